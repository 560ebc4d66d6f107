//! Rules for places.

use super::Faults;
use crate::limits;
use crate::model::{gate, text};
use crate::proto::v1;
use crate::proto::v1::place::Where;

/// A place that is set says where it is; whether it may be left out is the form's affair.
pub(super) fn check(place: Option<&v1::Place>, at: &str, faults: &mut Faults) {
    let Some(place) = place else { return };
    match &place.r#where {
        // An empty place is blank, which the form has told already.
        None if place.description.is_none() => {}
        None => faults.add(
            at,
            "the place is only described",
            "give one of gate, markers, section, point or polygon as well",
        ),
        Some(Where::Gate(gate)) => {
            let at = format!("{at}.gate");
            check_name(gate, &at, faults);
            check_gate(gate, &at, faults);
        }
        Some(Where::Section(section)) => check_name(section, &format!("{at}.section"), faults),
        Some(Where::Markers(range)) => check_markers(*range, &format!("{at}.markers"), faults),
        Some(Where::Point(point)) => check_point(*point, &format!("{at}.point"), faults),
        Some(Where::Polygon(polygon)) => check_polygon(&polygon.points, at, faults),
    }
}

fn check_name(name: &str, at: &str, faults: &mut Faults) {
    if name.trim().is_empty() {
        faults.add(at, "is blank", "name it as the sides do");
    }
}

/// A gate pair is named `lao-cai/hekou`: one spelling only, so that notices on one gate meet. Which
/// gates there are is for each side's configuration. A blank one is told elsewhere.
pub(super) fn check_gate(gate: &str, at: &str, faults: &mut Faults) {
    if !gate.trim().is_empty() && !gate::is_gate_id(gate) {
        faults.add(
            at,
            format!("\"{}\" is no gate pair", text::excerpt(gate, 40)),
            "give both gates in words of a-z, 0-9 and -, joined by /, such as lao-cai/hekou; \
             `liaison gate list` shows those that are known",
        );
    }
}

/// Numbers from 1 and in order. `at` is the path of the range.
pub(super) fn check_markers(range: v1::MarkerRange, at: &str, faults: &mut Faults) {
    if range.first == 0 {
        faults.add(
            format!("{at}.first"),
            "markers are numbered from 1",
            "give the number of the first marker",
        );
    }
    if range.last < range.first {
        faults.add(
            format!("{at}.last"),
            format!("marker {} comes before {}", range.last, range.first),
            "give the higher number, or the same one for a single marker",
        );
    }
}

fn check_point(point: v1::GeoPoint, at: &str, faults: &mut Faults) {
    for (field, degrees, bound) in [
        ("latitude", point.latitude, 90.0),
        ("longitude", point.longitude, 180.0),
    ] {
        // Written so that a value that is no number is outside.
        if !(-bound..=bound).contains(&degrees) {
            faults.add(
                format!("{at}.{field}"),
                format!("{degrees} is outside -{bound} to {bound}"),
                "give decimal degrees in WGS 84",
            );
        }
    }
}

fn check_polygon(points: &[v1::GeoPoint], at: &str, faults: &mut Faults) {
    let at = format!("{at}.polygon.points");
    if points.len() < 3 {
        faults.add(
            at.as_str(),
            format!("{} points enclose no area", points.len()),
            "give three points or more, or a single point",
        );
    } else if points.first() == points.last() {
        faults.add(
            format!("{at}[{}]", points.len() - 1),
            "the first point is repeated at the end",
            "leave it out: the ring closes by itself",
        );
    }
    for (index, point) in points.iter().enumerate().take(limits::REPEATED_MAX) {
        check_point(*point, &format!("{at}[{index}]"), faults);
    }
}

//! Rules for period reports: the joint statistics, computed from both logs.

use super::{Faults, times};
use crate::limits;
use crate::model::{Origin, text};
use crate::proto::v1;

/// The same two logs and the same order of figures on both sides, so that equal reports are equal
/// bytes.
pub(super) fn check(report: &v1::PeriodReport, at: &str, faults: &mut Faults) {
    times::in_order(
        ("from", report.from.as_ref()),
        ("to", report.to.as_ref()),
        at,
        faults,
    );
    let origins = check_logs(&report.logs, at, faults);
    check_figures(&report.figures, origins.as_deref(), at, faults);
}

/// The origins, if every one can be read.
fn check_logs(logs: &[v1::CountedLog], at: &str, faults: &mut Faults) -> Option<Vec<Origin>> {
    let mut origins = Vec::new();
    // More than two are told once; what is in them is no matter then.
    for (index, log) in logs.iter().enumerate().take(2) {
        let at = format!("{at}.logs[{index}]");
        match Origin::parse(&log.origin) {
            Ok(origin) => origins.push(origin),
            Err(error) if !log.origin.is_empty() => faults.add(
                format!("{at}.origin"),
                error.to_string(),
                "give sender and recipient as checkpoints name them, joined by /",
            ),
            Err(_) => {} // blank, which the form tells
        }
        if log.size > limits::CHECKPOINT_SIZE_MAX {
            faults.add(
                format!("{at}.size"),
                format!("{} is more than a log can hold", log.size),
                "give the size of the checkpoint that was counted to",
            );
        }
        if !log.root.is_empty() && log.root.len() != 32 {
            faults.add(
                format!("{at}.root"),
                format!("has {} bytes, a root has 32", log.root.len()),
                "give the root of the checkpoint in base64",
            );
        }
    }
    if !logs.is_empty() && logs.len() != 2 {
        faults.add(
            format!("{at}.logs"),
            format!("{} logs are counted", logs.len()),
            "name two: what one side sent, and what the other did",
        );
        return None;
    }
    let [one, other] = &origins[..] else {
        return None;
    };
    if *other != one.reversed() {
        faults.add(
            format!("{at}.logs[1].origin"),
            format!("{other} is not the other direction of {one}"),
            format!("give {}", one.reversed()),
        );
        return None;
    }
    Some(origins)
}

fn check_figures(
    figures: &[v1::Figure],
    origins: Option<&[Origin]>,
    at: &str,
    faults: &mut Faults,
) {
    let mut last: Option<(&str, &str)> = None;
    for (index, figure) in figures.iter().enumerate() {
        let at = format!("{at}.figures[{index}]");
        if !figure.name.is_empty() && !is_figure_name(&figure.name) {
            faults.add(
                format!("{at}.name"),
                format!(
                    "\"{}\" is no name of a figure",
                    text::excerpt(&figure.name, 40)
                ),
                "give words of a-z, 0-9, - and _, joined by dots, such as handover.persons",
            );
        }
        let is_of_a_side = |origins: &[Origin]| {
            origins
                .iter()
                .any(|origin| origin.sender().as_str() == figure.side)
        };
        if !figure.side.is_empty() && origins.is_some_and(|origins| !is_of_a_side(origins)) {
            faults.add(
                format!("{at}.side"),
                format!("{} writes in neither log", text::excerpt(&figure.side, 80)),
                "give the node name of one of the two sides, or none for a figure of both",
            );
        }
        let this = (figure.name.as_str(), figure.side.as_str());
        match last {
            Some(last) if last == this => faults.add(
                at,
                "the figure before it has the same name and side",
                "keep one of the two",
            ),
            Some(last) if last > this => faults.add(
                at,
                "figures stand in the order of their names, and then of their sides",
                "sort them by bytes",
            ),
            _ => {}
        }
        last = Some(this);
    }
}

fn is_figure_name(name: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b))
    };
    name.split('.').all(is_part)
}

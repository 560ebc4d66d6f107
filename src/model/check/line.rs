//! Rules for what happens at the line itself: works and boundary markers.

use super::{Faults, languages, place, times};
use crate::proto::v1;

pub(super) fn check_works(works: &v1::WorksNotice, at: &str, faults: &mut Faults) {
    place::check(works.place.as_ref(), &format!("{at}.place"), faults);
    times::in_order(
        ("startsAt", works.starts_at.as_ref()),
        ("endsAt", works.ends_at.as_ref()),
        at,
        faults,
    );
}

/// Minutes on a marker are signed by both sides, so both can read them.
pub(super) fn check_marker(report: &v1::MarkerReport, at: &str, faults: &mut Faults) {
    if report.marker == 0 {
        faults.add(
            format!("{at}.marker"),
            "markers are numbered from 1",
            "give the number of the marker",
        );
    }
    if report.is_minutes {
        languages::require_every_national(report.common.as_ref(), at, faults);
    }
}

//! Rules for activity reports and notices of exercises.

use super::{Faults, count, place, times};
use crate::proto::v1;

/// There was an event at least; how many took part may be zero.
pub(super) fn check_report(report: &v1::ActivityReport, at: &str, faults: &mut Faults) {
    times::in_order(
        ("from", report.from.as_ref()),
        ("to", report.to.as_ref()),
        at,
        faults,
    );
    place::check(report.place.as_ref(), &format!("{at}.place"), faults);
    count::at_least_one(&[("events", report.events)], at, faults);
}

pub(super) fn check_exercise(exercise: &v1::ExerciseNotice, at: &str, faults: &mut Faults) {
    times::in_order(
        ("startsAt", exercise.starts_at.as_ref()),
        ("endsAt", exercise.ends_at.as_ref()),
        at,
        faults,
    );
    place::check(exercise.place.as_ref(), &format!("{at}.place"), faults);
    count::at_least_one(&[("officers", exercise.officers)], at, faults);
}

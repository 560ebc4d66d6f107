//! Rules for joint patrols: plans and reports.

use super::{Faults, count, place, times};
use crate::proto::v1;

pub(super) fn check_plan(plan: &v1::PatrolPlan, at: &str, faults: &mut Faults) {
    if let Some(markers) = plan.markers {
        place::check_markers(markers, &format!("{at}.markers"), faults);
    }
    times::in_order(
        ("startsAt", plan.starts_at.as_ref()),
        ("endsAt", plan.ends_at.as_ref()),
        at,
        faults,
    );
    let counts = [("teams", plan.teams), ("officers", plan.officers)];
    count::at_least_one(&counts, at, faults);
    let meeting_point = format!("{at}.meetingPoint");
    place::check(plan.meeting_point.as_ref(), &meeting_point, faults);
}

pub(super) fn check_report(report: &v1::PatrolReport, at: &str, faults: &mut Faults) {
    times::in_order(
        ("startedAt", report.started_at.as_ref()),
        ("endedAt", report.ended_at.as_ref()),
        at,
        faults,
    );
    if let Some(markers) = report.markers {
        place::check_markers(markers, &format!("{at}.markers"), faults);
    }
    let counts = [("teams", report.teams), ("officers", report.officers)];
    count::at_least_one(&counts, at, faults);
}

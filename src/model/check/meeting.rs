//! Rules for meetings: proposals and minutes.

use super::{Faults, languages, place, times};
use crate::proto::v1;

pub(super) fn check_proposal(proposal: &v1::MeetingProposal, at: &str, faults: &mut Faults) {
    place::check(proposal.place.as_ref(), &format!("{at}.place"), faults);
}

/// Minutes are signed by both sides, so both can read them, and both were there.
pub(super) fn check_minutes(minutes: &v1::MeetingMinutes, at: &str, faults: &mut Faults) {
    times::in_order(
        ("startedAt", minutes.started_at.as_ref()),
        ("endedAt", minutes.ended_at.as_ref()),
        at,
        faults,
    );
    place::check(minutes.place.as_ref(), &format!("{at}.place"), faults);
    languages::require_every_national(minutes.common.as_ref(), at, faults);
    if minutes.participants.len() == 1 {
        faults.add(
            format!("{at}.participants"),
            "only one participant is named",
            "name the participants of both sides",
        );
    }
}

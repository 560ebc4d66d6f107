//! What a message of the peer may be about, in numbers: the bounds that drafts have, for the lists
//! that workflows keep in memory.
//!
//! A peer's message is on record as it is and mostly not judged; but nobody else's node is to keep
//! a million persons because one message names them.

use crate::limits::{
    CALENDAR_DAYS_MAX, HANDOVER_PERSONS_MAX, LINE_BYTES_MAX, REPORT_FIGURES_MAX,
    VERIFICATION_PERSONS_MAX,
};
use crate::proto::v1::body::Body;

/// The first list or name of a body that is longer than any draft's may be; `None` if none is.
#[must_use]
pub fn over_limit(body: &Body) -> Option<&'static str> {
    let over = |what, length: usize, max: usize| (length > max).then_some(what);
    let persons = HANDOVER_PERSONS_MAX;
    match body {
        Body::HandoverRequest(m) => over("persons", m.persons.len(), persons),
        Body::HandoverReply(m) => over("decisions", m.decisions.len(), persons),
        Body::HandoverSupplement(m) => over("persons", m.persons.len(), persons),
        Body::HandoverSchedule(m) => over("numbers", m.numbers.len(), persons),
        Body::HandoverRecord(m) => over("persons", m.persons.len(), persons),
        Body::ProtectionDecision(m) => over("numbers", m.numbers.len(), persons),
        Body::Countersignature(m) => over("disputed", m.disputed.len(), persons)
            .or_else(|| over("body_digest", m.body_digest.len(), LINE_BYTES_MAX)),
        Body::Closure(m) => over("numbers", m.numbers.len(), persons),
        Body::VerificationRequest(m) => over("persons", m.persons.len(), VERIFICATION_PERSONS_MAX),
        Body::VerificationReply(m) => over("results", m.results.len(), VERIFICATION_PERSONS_MAX),
        Body::GateNotice(m) => over("gate", m.gate.len(), LINE_BYTES_MAX),
        Body::Calendar(m) => over("days_off", m.days_off.len(), CALENDAR_DAYS_MAX)
            .or_else(|| over("working_days", m.working_days.len(), CALENDAR_DAYS_MAX)),
        Body::PeriodReport(m) => over("figures", m.figures.len(), REPORT_FIGURES_MAX),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::v1;

    #[test]
    fn as_many_as_a_draft_may_have_and_not_one_more() {
        let closure = |count: u32| {
            Body::Closure(v1::Closure {
                numbers: (1..=count).collect(),
                ..v1::Closure::default()
            })
        };
        assert_eq!(over_limit(&closure(500)), None);
        assert_eq!(over_limit(&closure(501)), Some("numbers"));
        let request = |count: usize| {
            Body::HandoverRequest(v1::HandoverRequest {
                persons: vec![v1::HandoverPerson::default(); count],
                ..v1::HandoverRequest::default()
            })
        };
        assert_eq!(over_limit(&request(HANDOVER_PERSONS_MAX)), None);
        assert_eq!(
            over_limit(&request(HANDOVER_PERSONS_MAX + 1)),
            Some("persons")
        );
        let gate = |length: usize| {
            Body::GateNotice(v1::GateNotice {
                gate: "a".repeat(length),
                ..v1::GateNotice::default()
            })
        };
        assert_eq!(over_limit(&gate(LINE_BYTES_MAX)), None);
        assert_eq!(over_limit(&gate(LINE_BYTES_MAX + 1)), Some("gate"));
    }
}

//! Rules for answers.

use std::collections::HashSet;

use super::{Faults, languages};
use crate::proto::v1;
use crate::proto::v1::HandoverOutcome;

/// Each person is decided on once; an acceptance says how long it holds, anything else why.
pub(super) fn check_reply(reply: &v1::HandoverReply, at: &str, faults: &mut Faults) {
    let mut decided = HashSet::new();
    for (index, decision) in reply.decisions.iter().enumerate() {
        let at = format!("{at}.decisions[{index}]");
        if decision.number == 0 {
            faults.add(
                format!("{at}.number"),
                "persons are numbered from 1",
                "give the person's number in the request",
            );
        } else if !decided.insert(decision.number) {
            faults.add(
                format!("{at}.number"),
                format!("person {} is decided on twice", decision.number),
                "keep one decision",
            );
        }
        check_decision(decision, &at, faults);
    }
}

fn check_decision(decision: &v1::HandoverDecision, at: &str, faults: &mut Faults) {
    let reason = decision
        .reason
        .as_ref()
        .filter(|text| !text.texts.is_empty());
    if let Some(reason) = reason {
        languages::require_national(reason.texts.keys(), &format!("{at}.reason"), faults);
    }
    match HandoverOutcome::try_from(decision.outcome) {
        Ok(HandoverOutcome::Accepted) => {
            if decision.valid_until.is_none() {
                faults.add(
                    format!("{at}.validUntil"),
                    "an acceptance says how long it holds",
                    "give a time, 30 days from now for example",
                );
            }
        }
        Ok(HandoverOutcome::Verifying) => {
            if decision.valid_until.is_some() {
                faults.add(
                    format!("{at}.validUntil"),
                    "only an acceptance holds until a time",
                    "remove it",
                );
            }
        }
        Ok(outcome @ (HandoverOutcome::Refused | HandoverOutcome::InformationNeeded)) => {
            if reason.is_none() {
                faults.add(
                    format!("{at}.reason"),
                    format!("{} needs a reason", outcome.as_str_name()),
                    "say why it is refused, or what is still asked",
                );
            }
            if decision.valid_until.is_some() {
                faults.add(
                    format!("{at}.validUntil"),
                    "only an acceptance holds until a time",
                    "remove it, or accept",
                );
            }
        }
        // Blank or unknown: told by the form and by the choices.
        Ok(HandoverOutcome::Unspecified) | Err(_) => {}
    }
}

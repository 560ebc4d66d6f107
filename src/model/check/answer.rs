//! Rules for answers about persons, one by one.

use super::numbers::Numbers;
use super::{Faults, languages, manifest};
use crate::proto::v1;
use crate::proto::v1::{HandoverOutcome, VerificationOutcome};

/// Each person is decided on once; an acceptance says how long it holds, anything else why.
///
/// Who decided is required by the form: no program accepts anybody.
pub(super) fn check_handover(reply: &v1::HandoverReply, at: &str, faults: &mut Faults) {
    let mut decided = Numbers::default();
    for (index, decision) in reply.decisions.iter().enumerate() {
        let at = format!("{at}.decisions[{index}]");
        decided.take(decision.number, format!("{at}.number"), faults);
        check_decision(decision, &at, faults);
    }
}

fn check_decision(decision: &v1::HandoverDecision, at: &str, faults: &mut Faults) {
    let field = format!("{at}.reason");
    let has_reason = languages::is_given(decision.reason.as_ref(), &field, faults);
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
        Ok(
            outcome @ (HandoverOutcome::Refused
            | HandoverOutcome::InformationNeeded
            | HandoverOutcome::Verifying),
        ) => {
            // Nothing need be said of what is only being looked into.
            if !has_reason && outcome != HandoverOutcome::Verifying {
                faults.add(
                    field,
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

/// Each person has one result. Particulars other than those asked about are told.
pub(super) fn check_verification(reply: &v1::VerificationReply, at: &str, faults: &mut Faults) {
    let mut named = Numbers::default();
    for (index, result) in reply.results.iter().enumerate() {
        let at = format!("{at}.results[{index}]");
        named.take(result.number, format!("{at}.number"), faults);
        check_result(result, &at, faults);
    }
}

fn check_result(result: &v1::VerificationResult, at: &str, faults: &mut Faults) {
    let nationality = format!("{at}.nationality");
    manifest::check_state(&result.nationality, &nationality, faults);
    let detail = format!("{at}.detail");
    let has_detail = languages::is_given(result.detail.as_ref(), &detail, faults);
    match VerificationOutcome::try_from(result.outcome) {
        Ok(VerificationOutcome::ConfirmedOtherwise) if !has_detail => faults.add(
            detail,
            "VERIFICATION_OUTCOME_CONFIRMED_OTHERWISE needs the other particulars",
            "say under which particulars the person is known",
        ),
        Ok(VerificationOutcome::NotFound) if !result.nationality.is_empty() => faults.add(
            nationality,
            "a nationality is given for somebody who was not found",
            "remove it, or choose the outcome that established it",
        ),
        _ => {}
    }
}

//! How a batch stands in words, what is possible, and what is owed.

use std::collections::BTreeMap;

use super::Handover;
use super::moving::{on_the_table, record_in};
use super::person::{Case, State};
use crate::model::MessageId;
use crate::model::workflow::matter::{Duty, Opening, Owed, PersonView, Term, acknowledgement_term};
use crate::model::workflow::{Millis, Party, Step};
use crate::proto::v1::Kind;

pub(super) fn state(batch: &Handover, now: Option<Millis>) -> String {
    let mut counts: BTreeMap<&'static str, usize> = BTreeMap::new();
    for case in batch.persons.values() {
        *counts.entry(case.state.word(now)).or_default() += 1;
    }
    match counts.len() {
        0 => "no persons".to_owned(),
        1 => counts.into_keys().next().unwrap_or_default().to_owned(),
        _ => {
            let parts = counts
                .into_iter()
                .map(|(word, count)| format!("{count} {word}"));
            parts.collect::<Vec<_>>().join(", ")
        }
    }
}

pub(super) fn persons(batch: &Handover, now: Option<Millis>) -> Vec<PersonView> {
    let person = |(number, case): (&u32, &Case)| PersonView {
        number: *number,
        state: case.state.word(now).to_owned(),
        blocked: case
            .blocked()
            .filter(|_| !case.state.is_final())
            .map(str::to_owned),
    };
    batch.persons.iter().map(person).collect()
}

pub(super) fn steps(batch: &Handover, holder: Party) -> Vec<Step> {
    let asked = holder.other();
    let any = |holds: fn(&State) -> bool| batch.any(|case| holds(&case.state));
    let may_move = |holds: fn(&State) -> bool| {
        batch.any(|case| case.blocked().is_none() && holds(&case.state))
    };
    let mut steps = Vec::new();
    let mut step = |by, kind, does| steps.push(Step::new(by, kind, does));

    if any(|s| *s == State::Requested) {
        step(asked, Kind::Acknowledgement, "take note of it");
    }
    if any(is_undecided) {
        step(asked, Kind::HandoverReply, "decide on persons");
    } else if any(is_accepted) {
        step(asked, Kind::HandoverReply, "renew the acceptance");
    }
    let is_answered =
        |case: &Case| case.reply.is_some() && !case.state.is_final() && !case.state.has_left();
    if batch.any(is_answered) {
        step(asked, Kind::Withdrawal, "take back its answer");
    }
    if batch.any(|case| is_answered(case) && !matches!(case.state, State::Suspended(_))) {
        step(asked, Kind::HandoverReply, "correct its answer");
    }
    if any(|s| !s.is_final() && !s.has_left()) {
        let does = "tell more, or of a claim for protection";
        step(holder, Kind::HandoverSupplement, does);
    }
    if any(State::may_be_ended) {
        step(holder, Kind::Withdrawal, "withdraw the request");
        if !batch.holds_claim() {
            step(holder, Kind::HandoverRequest, "supersede the request");
        }
    }
    if any(|s| matches!(s, State::Suspended(_))) {
        let does = "record what a named authority decided on the claim";
        step(holder, Kind::ProtectionDecision, does);
    }
    for by in [holder, asked] {
        if may_move(is_accepted) {
            step(by, Kind::HandoverSchedule, "propose when and where");
        }
        let is_own = |case: &Case| on_the_table(&case.state).is_some_and(|offer| offer.by == by);
        let is_others = |case: &Case| on_the_table(&case.state).is_some_and(|offer| offer.by != by);
        if batch.any(is_others) {
            let does = "agree to the schedule, or decline";
            step(by, Kind::Response, does);
        }
        if batch.any(is_own) || any(|s| matches!(s, State::Scheduled { .. })) {
            let does = "take back its proposal, or its agreement";
            step(by, Kind::Withdrawal, does);
        }
    }
    if may_move(|s| matches!(s, State::Scheduled { .. })) {
        step(holder, Kind::HandoverRecord, "record the handover");
    }
    if any(|s| matches!(s, State::HandedOver(_) | State::Disputed(_))) {
        let does = "countersign the record, or dispute it";
        step(asked, Kind::Countersignature, does);
        step(holder, Kind::HandoverRecord, "correct its record");
    }
    if any(|s| matches!(s, State::Disputed(_))) {
        let does = "record that disputed persons were given back";
        step(asked, Kind::HandoverRecord, does);
    }
    if any(|s| matches!(s, State::GoingBack(_))) {
        let does = "countersign the record of the return";
        step(holder, Kind::Countersignature, does);
        step(asked, Kind::HandoverRecord, "correct its record");
    }
    if any(State::may_be_closed) {
        for by in [holder, asked] {
            step(by, Kind::Closure, "close what is done");
        }
    }
    steps
}

fn is_undecided(state: &State) -> bool {
    matches!(
        state,
        State::Requested | State::Acknowledged | State::Verifying | State::InformationAsked
    )
}

fn is_accepted(state: &State) -> bool {
    matches!(
        state,
        State::Accepted(_) | State::Proposed { .. } | State::Scheduled { .. }
    )
}

pub(super) fn duties(batch: &Handover, holder: Party, opening: &Opening) -> Vec<Duty> {
    let asked = holder.other();
    let any = |holds: fn(&State) -> bool| batch.any(|case| holds(&case.state));
    let mut duties: Vec<Duty> = Vec::new();
    // Each thing is owed once for each message that asks for it.
    let mut owe = |owed_by, owed, message: MessageId, term| {
        let duty = Duty {
            owed_by,
            owed,
            message,
            term,
        };
        if !duties.contains(&duty) {
            duties.push(duty);
        }
    };
    if any(|s| *s == State::Requested) {
        let term = acknowledgement_term(opening);
        owe(asked, Owed::Acknowledgement, opening.id, term);
    }
    if any(|s| matches!(s, State::Requested | State::Acknowledged | State::Verifying)) {
        let term = opening.respond_by.map(Term::At);
        owe(asked, Owed::Decision, opening.id, term);
    }
    for case in batch.persons.values() {
        match &case.state {
            State::InformationAsked => {
                let message = case.reply.unwrap_or(opening.id);
                owe(holder, Owed::Information, message, None);
            }
            State::Scheduled { agreed, .. } => {
                owe(holder, Owed::Record, agreed.message, None);
            }
            _ => {}
        }
        if let Some(offer) = on_the_table(&case.state) {
            owe(offer.by.other(), Owed::Agreement, offer.message, None);
        }
        if let Some(record) = record_in(&case.state) {
            let by = match case.state {
                State::HandedOver(_) => asked,
                State::GoingBack(_) => holder,
                // The other side has said what it thinks of it.
                _ => continue,
            };
            owe(by, Owed::Countersignature, record.message, None);
        }
    }
    duties
}

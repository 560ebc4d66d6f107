//! What is decided on persons: by the side that is asked, and by an authority on a claim.

use std::collections::BTreeMap;

use super::person::{Accepted, Case, State, fault_of};
use super::{Handover, not_now};
use crate::model::MessageId;
use crate::model::deadline::ACCEPTANCE_TIME;
use crate::model::workflow::facts::{Decision, Person};
use crate::model::workflow::matter::Act;
use crate::model::workflow::{Millis, millis_of};
use crate::proto::v1::{HandoverOutcome, ProtectionOutcome};

impl Handover {
    pub(super) fn acknowledge(&mut self) {
        for case in self.persons.values_mut() {
            match &mut case.state {
                state @ State::Requested => *state = State::Acknowledged,
                State::Suspended(before) if **before == State::Requested => {
                    **before = State::Acknowledged;
                }
                _ => {}
            }
        }
    }

    /// The answer about persons. One that corrects an earlier answer takes its place.
    pub(super) fn reply(&mut self, act: &Act<'_>, decisions: &[Decision]) -> Result<(), String> {
        match act.superseded {
            Some(earlier) => self.all_or_none(|copy| {
                copy.forget_reply(earlier.id)?;
                copy.decide(act, decisions)
            }),
            None => self.decide(act, decisions),
        }
    }

    fn decide(&mut self, act: &Act<'_>, decisions: &[Decision]) -> Result<(), String> {
        let by_number: BTreeMap<u32, &Decision> = decisions.iter().map(|d| (d.number, d)).collect();
        let now = act.facts.created_at;
        self.change(decisions.iter().map(|d| d.number), |number, case| {
            decided(number, case, by_number[&number], now)
        })?;
        for number in by_number.keys() {
            if let Some(case) = self.persons.get_mut(number) {
                case.reply = Some(act.facts.id);
            }
        }
        Ok(())
    }

    /// Takes back what a reply has decided, as far as nobody has left.
    pub(super) fn forget_reply(&mut self, reply: MessageId) -> Result<(), String> {
        let meant = self.numbers(|case| {
            case.reply == Some(reply) && !case.state.is_final() && !case.state.has_left()
        });
        if meant.is_empty() {
            return Err("it decides on nobody any more".to_owned());
        }
        self.change(meant.clone(), |_, case| {
            Ok(match &case.state {
                State::Suspended(_) => State::Suspended(Box::new(State::Verifying)),
                _ => State::Verifying,
            })
        })?;
        for number in meant {
            if let Some(case) = self.persons.get_mut(&number) {
                case.reply = None;
            }
        }
        Ok(())
    }

    pub(super) fn supplement(&mut self, persons: &[Person]) -> Result<(), String> {
        let mut known = BTreeMap::new();
        for told in persons {
            let Some(case) = self.persons.get(&told.number) else {
                return Err(format!("the request has no person {}", told.number));
            };
            // A claim that was decided is over; one that is made now is another.
            let is_decided = case.cleared && !told.claims_protection;
            let person = Person {
                claims_protection: !is_decided
                    && (case.person.claims_protection || told.claims_protection),
                ..case.person.and(told)
            };
            if let Some(fault) = fault_of(&person) {
                return Err(fault);
            }
            known.insert(told.number, person);
        }
        // One person who is done with, perhaps since this crossed the news of it, keeps nothing from
        // the others: a claim for protection that is told of one of them must not be lost.
        let is_over = |number: u32| {
            let case = self.persons.get(&number);
            case.is_some_and(|case| case.state.is_final() || case.state.has_left())
        };
        let open: Vec<u32> = persons
            .iter()
            .map(|person| person.number)
            .filter(|number| !is_over(*number))
            .collect();
        if open.is_empty()
            && let Some(first) = persons.first()
            && let Some(case) = self.persons.get(&first.number)
        {
            return Err(not_now(first.number, case, "told more of"));
        }
        known.retain(|number, _| open.contains(number));
        self.change(open, |number, case| {
            Ok(match &case.state {
                State::Suspended(before) => State::Suspended(before.clone()),
                state if known[&number].claims_protection => {
                    State::Suspended(Box::new(state.unscheduled()))
                }
                State::InformationAsked => State::Verifying,
                state => state.clone(),
            })
        })?;
        for (number, person) in known {
            if let Some(case) = self.persons.get_mut(&number) {
                case.cleared &= !person.claims_protection;
                case.person = person;
            }
        }
        Ok(())
    }

    pub(super) fn decide_claims(&mut self, numbers: &[u32], outcome: i32) -> Result<(), String> {
        let outcome = ProtectionOutcome::try_from(outcome).unwrap_or_default();
        self.change(numbers.iter().copied(), |number, case| {
            let State::Suspended(before) = &case.state else {
                return Err(not_now(number, case, "decided on by an authority"));
            };
            match outcome {
                ProtectionOutcome::HandoverMayProceed => Ok((**before).clone()),
                ProtectionOutcome::Protected => Ok(State::Protected),
                ProtectionOutcome::Unspecified => {
                    Err("the outcome of the decision is not known here".to_owned())
                }
            }
        })?;
        if outcome == ProtectionOutcome::HandoverMayProceed {
            for number in numbers {
                if let Some(case) = self.persons.get_mut(number) {
                    case.cleared = true;
                }
            }
        }
        Ok(())
    }
}

/// The state of a person after a decision.
fn decided(number: u32, case: &Case, decision: &Decision, now: Millis) -> Result<State, String> {
    let outcome = HandoverOutcome::try_from(decision.outcome).unwrap_or_default();
    let accepted = Accepted {
        until: decision
            .valid_until
            .unwrap_or_else(|| now.saturating_add(millis_of(ACCEPTANCE_TIME))),
    };
    if outcome == HandoverOutcome::Accepted && accepted.has_run_out(now) {
        return Err(format!(
            "the acceptance of person {number} has run out already; say until when it holds"
        ));
    }
    match (&case.state, outcome) {
        // An acceptance may be renewed, before and after it has run out: a time proposed stands.
        (
            State::Proposed {
                offer, countered, ..
            },
            HandoverOutcome::Accepted,
        ) => Ok(State::Proposed {
            accepted,
            offer: *offer,
            countered: *countered,
        }),
        (
            State::Scheduled {
                agreed,
                response,
                change,
                ..
            },
            HandoverOutcome::Accepted,
        ) => Ok(State::Scheduled {
            accepted,
            agreed: *agreed,
            response: *response,
            change: *change,
        }),
        (State::Accepted(_), HandoverOutcome::Accepted) => Ok(State::Accepted(accepted)),
        (state, outcome) => {
            let is_undecided = matches!(
                state,
                State::Requested | State::Acknowledged | State::Verifying | State::InformationAsked
            );
            if !is_undecided && !state.may_run_out().is_some_and(|a| a.has_run_out(now)) {
                return Err(not_now(number, case, "decided on"));
            }
            Ok(match outcome {
                HandoverOutcome::Accepted => State::Accepted(accepted),
                HandoverOutcome::Refused => State::Refused,
                HandoverOutcome::InformationNeeded => State::InformationAsked,
                // Of a newer version: it is being looked into, as far as this one can tell.
                HandoverOutcome::Verifying | HandoverOutcome::Unspecified => State::Verifying,
            })
        }
    }
}

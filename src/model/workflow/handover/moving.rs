//! When and where persons are handed over, what was, and how it ends.

use std::collections::BTreeMap;

use super::person::{Case, Offer, Record, State};
use super::{Handover, not_now};
use crate::model::MessageId;
use crate::model::deadline::HANDOVER_NOTICE_TIME;
use crate::model::workflow::facts::HandedOver;
use crate::model::workflow::matter::{Act, Effect};
use crate::model::workflow::{Millis, Said, millis_of};
use crate::proto::v1::{CountersignatureStance, Stance};

impl Handover {
    /// Proposes a time, or counters one. What was agreed on before stands until this is agreed to.
    pub(super) fn schedule(
        &mut self,
        act: &Act<'_>,
        numbers: &[u32],
        at: Millis,
        short_notice: bool,
    ) -> Result<(), String> {
        let now = act.facts.created_at;
        if at <= now {
            return Err("the hour proposed has passed".to_owned());
        }
        if !short_notice && at.saturating_sub(now) < millis_of(HANDOVER_NOTICE_TIME) {
            return Err("the notice is shorter than 48 hours, and no reason is given".to_owned());
        }
        let offer = Offer {
            by: act.by,
            message: act.facts.id,
            at,
        };
        match act.superseded {
            Some(earlier) => self.all_or_none(|copy| {
                copy.take_off(earlier.id)?;
                copy.propose(numbers, offer, now)
            }),
            None => self.propose(numbers, offer, now),
        }
    }

    fn propose(&mut self, numbers: &[u32], offer: Offer, now: Millis) -> Result<(), String> {
        self.change(numbers.iter().copied(), |number, case| {
            case.may_move(number)?;
            let (State::Accepted(accepted)
            | State::Proposed { accepted, .. }
            | State::Scheduled { accepted, .. }) = &case.state
            else {
                return Err(not_now(number, case, "scheduled"));
            };
            if accepted.has_run_out(now) {
                return Err(format!("the acceptance of person {number} has run out"));
            }
            if accepted.has_run_out(offer.at) {
                return Err(format!(
                    "the acceptance of person {number} will have run out by then"
                ));
            }
            Ok(match &case.state {
                State::Scheduled {
                    accepted,
                    agreed,
                    response,
                    ..
                } => State::Scheduled {
                    accepted: *accepted,
                    agreed: *agreed,
                    response: *response,
                    change: Some(offer),
                },
                State::Proposed {
                    offer: before,
                    countered,
                    ..
                } => State::Proposed {
                    accepted: *accepted,
                    offer,
                    countered: *countered || before.by != offer.by,
                },
                _ => State::Proposed {
                    accepted: *accepted,
                    offer,
                    countered: false,
                },
            })
        })
    }

    /// Agrees to a time proposed, or declines it.
    pub(super) fn respond(&mut self, act: &Act<'_>, stance: i32) -> Result<(), String> {
        let stance = Stance::try_from(stance).unwrap_or_default();
        if !matches!(stance, Stance::Agreed | Stance::Declined) {
            return Err("a named officer agrees to a schedule, or declines it".to_owned());
        }
        let schedule = act.target.1.id;
        let meant =
            self.numbers(|case| on_the_table(&case.state).is_some_and(|o| o.message == schedule));
        if meant.is_empty() {
            return Err("that schedule is no longer proposed for any person".to_owned());
        }
        if act.target.0 == act.by {
            return Err(
                "the side that proposed does not agree with itself; silence is no consent either"
                    .to_owned(),
            );
        }
        let now = act.facts.created_at;
        self.change(meant, |number, case| {
            let (State::Proposed {
                accepted, offer, ..
            }
            | State::Scheduled {
                accepted,
                change: Some(offer),
                ..
            }) = &case.state
            else {
                return Err(not_now(number, case, "scheduled"));
            };
            if stance == Stance::Declined {
                return Ok(without(&case.state, schedule));
            }
            case.may_move(number)?;
            if accepted.has_run_out(now) {
                return Err(format!("the acceptance of person {number} has run out"));
            }
            if offer.at <= now {
                return Err("the hour proposed has passed; propose another".to_owned());
            }
            Ok(State::Scheduled {
                accepted: *accepted,
                agreed: *offer,
                response: act.facts.id,
                change: None,
            })
        })
    }

    /// Takes a schedule off the table, or what was agreed on by it.
    fn take_off(&mut self, schedule: MessageId) -> Result<(), String> {
        let meant = self.numbers(|case| without(&case.state, schedule) != case.state);
        if meant.is_empty() {
            return Err("that schedule is no longer proposed for any person".to_owned());
        }
        self.change(meant, |_, case| Ok(without(&case.state, schedule)))
    }

    /// Takes back the agreement to a schedule: it is only proposed again.
    fn disagree(&mut self, agreement: MessageId) -> Result<(), String> {
        let meant = self.numbers(
            |case| matches!(&case.state, State::Scheduled { response, .. } if *response == agreement),
        );
        if meant.is_empty() {
            return Err("nothing is scheduled by that".to_owned());
        }
        self.change(meant, |_, case| {
            Ok(match &case.state {
                State::Scheduled {
                    accepted,
                    agreed,
                    change,
                    ..
                } => State::Proposed {
                    accepted: *accepted,
                    offer: change.unwrap_or(*agreed),
                    countered: change.is_some_and(|change| change.by != agreed.by),
                },
                other => other.clone(),
            })
        })
    }

    pub(super) fn record(&mut self, act: &Act<'_>, persons: &[HandedOver]) -> Result<(), String> {
        match act.superseded {
            Some(earlier) => self.all_or_none(|copy| {
                copy.forget_record(earlier.id, |state| {
                    matches!(state, State::HandedOver(_) | State::Disputed(_))
                })?;
                copy.hand_over(act, persons)
            }),
            None => self.hand_over(act, persons),
        }
    }

    fn hand_over(&mut self, act: &Act<'_>, persons: &[HandedOver]) -> Result<(), String> {
        self.change_told(persons, |number, case, told| {
            case.may_move(number)?;
            received_well(number, case, told)?;
            match &case.state {
                State::Scheduled { .. } => Ok(State::HandedOver(record_of(act, case))),
                _ => Err(not_now(number, case, "handed over")),
            }
        })
    }

    pub(super) fn record_return(
        &mut self,
        act: &Act<'_>,
        persons: &[HandedOver],
    ) -> Result<(), String> {
        match act.superseded {
            Some(earlier) => self.all_or_none(|copy| {
                copy.forget_record(earlier.id, |state| matches!(state, State::GoingBack(_)))?;
                copy.give_back(act, persons)
            }),
            None => self.give_back(act, persons),
        }
    }

    fn give_back(&mut self, act: &Act<'_>, persons: &[HandedOver]) -> Result<(), String> {
        self.change_told(persons, |number, case, told| {
            received_well(number, case, told)?;
            match &case.state {
                State::Disputed(_) => Ok(State::GoingBack(record_of(act, case))),
                _ => Err(not_now(number, case, "given back")),
            }
        })
    }

    fn change_told(
        &mut self,
        persons: &[HandedOver],
        to: impl Fn(u32, &Case, HandedOver) -> Result<State, String>,
    ) -> Result<(), String> {
        let told: BTreeMap<u32, HandedOver> = persons.iter().map(|p| (p.number, *p)).collect();
        self.change(persons.iter().map(|p| p.number), |number, case| {
            to(number, case, told[&number])
        })
    }

    /// A record that waits for a signature is corrected: it is as if it had not been made.
    fn forget_record(
        &mut self,
        record: MessageId,
        waits: impl Fn(&State) -> bool,
    ) -> Result<(), String> {
        let meant = self.numbers(|case| {
            waits(&case.state) && record_in(&case.state).is_some_and(|r| r.message == record)
        });
        if meant.is_empty() {
            return Err("the record no longer waits for a signature".to_owned());
        }
        self.change(meant, |_, case| {
            let before = record_in(&case.state).map(|record| (*record.before).clone());
            Ok(before.unwrap_or_else(|| case.state.clone()))
        })
    }

    pub(super) fn countersign(
        &mut self,
        act: &Act<'_>,
        digest: &[u8],
        stance: i32,
        disputed: &[u32],
    ) -> Result<(), String> {
        let signed = act.target.1.id;
        let of = |case: &Case| {
            record_in(&case.state)
                .filter(|r| r.message == signed)
                .cloned()
        };
        let meant = self.numbers(|case| of(case).is_some());
        if meant.is_empty() {
            return Err("there is no record in it that waits for a signature".to_owned());
        }
        if act.target.0 == act.by {
            return Err("the other side countersigns".to_owned());
        }
        let is_signed = match CountersignatureStance::try_from(stance).unwrap_or_default() {
            CountersignatureStance::Signed => true,
            CountersignatureStance::NotSigned => false,
            CountersignatureStance::Unspecified => {
                return Err("a named officer signs, or does not".to_owned());
            }
        };
        if let Some(number) = disputed.iter().find(|number| !meant.contains(number)) {
            return Err(format!("person {number} is not in that record"));
        }
        self.change(meant, |number, case| {
            let Some(record) = of(case).filter(|record| record.digest == digest) else {
                return Err("the digest is not that of the record".to_owned());
            };
            let agrees = is_signed && !disputed.contains(&number);
            Ok(match &case.state {
                State::GoingBack(_) if agrees => State::Returned,
                State::GoingBack(_) => State::GoingBack(record),
                _ if agrees => State::Confirmed,
                _ => State::Disputed(record),
            })
        })
    }

    pub(super) fn close(&mut self, numbers: &[u32]) -> Result<(), String> {
        let meant = if numbers.is_empty() {
            self.numbers(|case| !case.state.is_final())
        } else {
            numbers.to_vec()
        };
        self.change(meant, |number, case| {
            if case.state.may_be_closed() {
                Ok(State::Closed)
            } else {
                Err(not_now(number, case, "closed"))
            }
        })
    }

    /// Takes back the request, a decision, a schedule, or the agreement to one.
    pub(super) fn withdraw(&mut self, act: &Act<'_>) -> Result<Effect, String> {
        let target = act.target.1;
        match &target.said {
            Said::HandoverRequest(_) if target.id == self.id => self.end(&State::Withdrawn),
            Said::HandoverSchedule { .. } => self.take_off(target.id),
            Said::Response { .. } => self.disagree(target.id),
            Said::HandoverReply { .. } => self.forget_reply(target.id),
            Said::HandoverRecord { .. } => {
                Err("a record is corrected by another, not taken back".to_owned())
            }
            Said::HandoverSupplement(_) => Err(
                "what was told of persons is corrected by another supplement, not taken back"
                    .to_owned(),
            ),
            Said::ProtectionDecision { .. }
            | Said::Countersignature { .. }
            | Said::Closure { .. }
            | Said::Acknowledgement => Err("this is not taken back".to_owned()),
            _ => return Ok(Effect::Passed),
        }
        .map(|()| Effect::Took)
    }

    /// Ends the request for all persons who have not left and were not refused.
    pub(super) fn end(&mut self, state: &State) -> Result<(), String> {
        let meant = self.numbers(|case| case.state.may_be_ended());
        if meant.is_empty() {
            return Err("there is no person left in it who could still be handed over".to_owned());
        }
        self.change(meant, |_, _| Ok(state.clone()))
    }
}

/// The time that is proposed and not answered.
pub(super) fn on_the_table(state: &State) -> Option<&Offer> {
    match state {
        State::Proposed { offer, .. } => Some(offer),
        State::Scheduled { change, .. } => change.as_ref(),
        _ => None,
    }
}

/// The record that waits for a signature.
pub(super) fn record_in(state: &State) -> Option<&Record> {
    match state {
        State::HandedOver(record) | State::Disputed(record) | State::GoingBack(record) => {
            Some(record)
        }
        _ => None,
    }
}

/// The state without what a schedule has brought about.
fn without(state: &State, schedule: MessageId) -> State {
    match state {
        State::Proposed {
            accepted, offer, ..
        } if offer.message == schedule => State::Accepted(*accepted),
        State::Scheduled {
            accepted,
            agreed,
            response,
            change,
        } => match change {
            Some(change) if agreed.message == schedule => State::Proposed {
                accepted: *accepted,
                offer: *change,
                countered: change.by != agreed.by,
            },
            None if agreed.message == schedule => State::Accepted(*accepted),
            Some(change) if change.message == schedule => State::Scheduled {
                accepted: *accepted,
                agreed: *agreed,
                response: *response,
                change: None,
            },
            _ => state.clone(),
        },
        _ => state.clone(),
    }
}

fn record_of(act: &Act<'_>, case: &Case) -> Record {
    Record {
        message: act.facts.id,
        digest: act.facts.body_digest,
        before: Box::new(case.state.clone()),
    }
}

/// Whoever needs it was received by somebody named, in either direction.
fn received_well(number: u32, case: &Case, told: HandedOver) -> Result<(), String> {
    if case.person.is_minor_alone && !told.has_guardian {
        return Err(format!(
            "who received the unaccompanied minor, person {number}, is not named"
        ));
    }
    if case.person.is_trafficking_victim && !told.has_victim_authority {
        return Err(format!(
            "the authority for victims that received person {number} is not named"
        ));
    }
    Ok(())
}

//! Meetings and patrols: propose ⇄ counter → agreed → held or reported → co-signed.

use super::matter::{Act, Duty, Flow, Opening, Owed, Term, acknowledgement_term};
use super::{Facts, Millis, Party, Said, Step};
use crate::model::MessageId;
use crate::proto::v1::{CountersignatureStance, Kind, Stance};

/// A proposed meeting or patrol.
#[derive(Debug, Clone)]
pub(super) struct Proposal {
    is_patrol: bool,
    state: State,
    acknowledged: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// On the table: whose, and in which message.
    Proposed {
        by: Party,
        message: MessageId,
        countered: bool,
    },
    Agreed {
        at: Millis,
    },
    Declined,
    Withdrawn,
    /// Minutes of a meeting, not signed by the other side yet.
    Held {
        by: Party,
        message: MessageId,
        digest: [u8; 32],
        refused: bool,
    },
    CoSigned,
    /// Who has reported of a patrol, by party.
    Reported([Option<MessageId>; 2]),
}

impl Proposal {
    /// Opened by a proposal, or at once by minutes or a report of what took place without one.
    pub(super) fn open(by: Party, facts: &Facts) -> Self {
        let state = match facts.said {
            Said::MeetingMinutes { .. } => held(by, facts),
            Said::PatrolReport { .. } => {
                let mut reported = [None, None];
                reported[by.slot()] = Some(facts.id);
                State::Reported(reported)
            }
            _ => State::Proposed {
                by,
                message: facts.id,
                countered: false,
            },
        };
        Self {
            is_patrol: matches!(
                facts.said,
                Said::PatrolPlan { .. } | Said::PatrolReport { .. }
            ),
            state,
            acknowledged: false,
        }
    }

    fn kinds(&self) -> (Kind, Kind) {
        if self.is_patrol {
            (Kind::PatrolPlan, Kind::PatrolReport)
        } else {
            (Kind::MeetingProposal, Kind::MeetingMinutes)
        }
    }

    fn propose(&mut self, act: &Act<'_>) -> Result<(), String> {
        let State::Proposed { by, countered, .. } = self.state else {
            return Err("it is no longer proposed; propose another".to_owned());
        };
        self.state = State::Proposed {
            by: act.by,
            message: act.facts.id,
            countered: countered || by != act.by,
        };
        Ok(())
    }

    fn respond(&mut self, act: &Act<'_>, stance: i32) -> Result<(), String> {
        let State::Proposed { by, message, .. } = self.state else {
            return Err("nothing is proposed that could be answered".to_owned());
        };
        if by == act.by {
            return Err(
                "the side that proposed does not agree with itself; silence is no consent either"
                    .to_owned(),
            );
        }
        if !act.answers(message) {
            return Err("it answers a proposal that is no longer on the table".to_owned());
        }
        self.state = match Stance::try_from(stance) {
            Ok(Stance::Agreed) => State::Agreed {
                at: match act.target.1.said {
                    Said::MeetingProposal { at, .. } | Said::PatrolPlan { at } => at,
                    _ => 0,
                },
            },
            Ok(Stance::Declined) => State::Declined,
            _ => return Err("a proposal is agreed to, countered or declined".to_owned()),
        };
        Ok(())
    }

    fn minutes(&mut self, act: &Act<'_>) -> Result<(), String> {
        match &self.state {
            State::Agreed { .. } => {}
            State::Held { by, message, .. }
                if *by == act.by && act.facts.supersedes == Some(*message) => {}
            // Not signed: either side may draw up new ones.
            State::Held { refused: true, .. } => {}
            State::Held { .. } => {
                return Err(
                    "there are minutes already: sign them, or not, or supersede your own"
                        .to_owned(),
                );
            }
            State::Proposed { .. } => return Err("the meeting was not agreed to".to_owned()),
            _ => return Err("there is no agreed meeting left".to_owned()),
        }
        self.state = held(act.by, act.facts);
        Ok(())
    }

    fn report(&mut self, act: &Act<'_>) -> Result<(), String> {
        let mut reported = match &self.state {
            State::Agreed { .. } => [None, None],
            State::Reported(reported) => *reported,
            State::Proposed { .. } => return Err("the patrol was not agreed to".to_owned()),
            _ => return Err("there is no agreed patrol left".to_owned()),
        };
        let own = &mut reported[act.by.slot()];
        if own.is_some() && *own != act.facts.supersedes {
            return Err("this side has reported; a correction supersedes its report".to_owned());
        }
        *own = Some(act.facts.id);
        self.state = State::Reported(reported);
        Ok(())
    }

    fn countersign(&mut self, act: &Act<'_>, digest: &[u8], stance: i32) -> Result<(), String> {
        let State::Held {
            by,
            message,
            digest: own,
            refused,
        } = &mut self.state
        else {
            return Err("there are no minutes to be signed".to_owned());
        };
        if *by == act.by {
            return Err("the other side countersigns".to_owned());
        }
        if !act.answers(*message) {
            return Err("it signs minutes that were replaced".to_owned());
        }
        if digest != own {
            return Err("the digest is not that of the minutes".to_owned());
        }
        if stance == CountersignatureStance::Signed as i32 {
            self.state = State::CoSigned;
        } else {
            *refused = true;
        }
        Ok(())
    }

    fn withdraw(&mut self, act: &Act<'_>) -> Result<(), String> {
        match &self.state {
            State::Proposed { by, message, .. } if *by == act.by && act.withdraws(*message) => {
                self.state = State::Withdrawn;
                Ok(())
            }
            State::Proposed { .. } => {
                Err("the side whose proposal is on the table withdraws it".to_owned())
            }
            // What was agreed may still be called off by either side, which withdraws its part.
            State::Agreed { .. } => {
                self.state = State::Withdrawn;
                Ok(())
            }
            State::Held { by, message, .. } if *by == act.by && act.withdraws(*message) => {
                Err("minutes are superseded, not withdrawn".to_owned())
            }
            _ => Err("there is nothing left to withdraw".to_owned()),
        }
    }
}

fn held(by: Party, facts: &Facts) -> State {
    State::Held {
        by,
        message: facts.id,
        digest: facts.body_digest,
        refused: false,
    }
}

impl Flow for Proposal {
    fn apply(&mut self, opened_by: Party, act: &Act<'_>) -> Result<(), String> {
        match &act.facts.said {
            Said::Acknowledgement => {
                self.acknowledged |= act.by != opened_by;
                Ok(())
            }
            Said::MeetingProposal { .. } if !self.is_patrol => self.propose(act),
            Said::PatrolPlan { .. } if self.is_patrol => self.propose(act),
            Said::MeetingMinutes { .. } if !self.is_patrol => self.minutes(act),
            Said::PatrolReport { .. } if self.is_patrol => self.report(act),
            Said::Response { stance } => self.respond(act, *stance),
            Said::Countersignature {
                body_digest,
                stance,
                ..
            } => self.countersign(act, body_digest, *stance),
            Said::Withdrawal => self.withdraw(act),
            Said::MeetingProposal { .. }
            | Said::PatrolPlan { .. }
            | Said::MeetingMinutes { .. }
            | Said::PatrolReport { .. }
            | Said::VerificationReply { .. }
            | Said::Extension
            | Said::HandoverReply { .. }
            | Said::HandoverSupplement(_)
            | Said::HandoverSchedule { .. }
            | Said::HandoverRecord { .. }
            | Said::ProtectionDecision { .. }
            | Said::Closure { .. } => Err("this is no step of it".to_owned()),
            _ => Ok(()),
        }
    }

    fn state(&self, _now: Option<Millis>) -> String {
        match &self.state {
            State::Proposed {
                countered: false, ..
            } => "proposed",
            State::Proposed {
                countered: true, ..
            } => "countered",
            State::Agreed { .. } => "agreed",
            State::Declined => "declined",
            State::Withdrawn => "withdrawn",
            State::Held { refused: true, .. } => "minutes not signed",
            State::Held { .. } => "held, minutes to be signed",
            State::CoSigned => "co-signed",
            State::Reported([Some(_), Some(_)]) => "reported by both",
            State::Reported(_) => "reported by one side",
        }
        .to_owned()
    }

    fn steps(&self, _opened_by: Party) -> Vec<Step> {
        let (proposal, record) = self.kinds();
        match &self.state {
            State::Proposed { by, .. } => vec![
                Step::new(by.other(), Kind::Response, "agree or decline"),
                Step::new(by.other(), proposal, "counter it"),
                Step::new(*by, proposal, "change its proposal"),
                Step::new(*by, Kind::Withdrawal, "withdraw its proposal"),
            ],
            State::Agreed { .. } => [Party::A, Party::B]
                .into_iter()
                .map(|by| Step::new(by, record, "record what took place"))
                .collect(),
            State::Held { by, refused, .. } => {
                let mut steps = vec![
                    Step::new(by.other(), Kind::Countersignature, "sign, or not"),
                    Step::new(*by, record, "supersede its minutes"),
                ];
                if *refused {
                    steps.push(Step::new(by.other(), record, "draw up others"));
                }
                steps
            }
            State::Reported(reported) => [Party::A, Party::B]
                .into_iter()
                .filter(|by| reported[by.slot()].is_none())
                .map(|by| Step::new(by, record, "report its part"))
                .collect(),
            State::Declined | State::Withdrawn | State::CoSigned => Vec::new(),
        }
    }

    fn duties(&self, opened_by: Party, opening: &Opening) -> Vec<Duty> {
        let duty = |owed_by, owed, message, term| Duty {
            owed_by,
            owed,
            message,
            term,
        };
        let mut duties = Vec::new();
        match &self.state {
            State::Proposed { by, message, .. } => {
                let asked = (*message == opening.id).then_some(opening.respond_by);
                let term = asked.flatten().map(Term::At);
                duties.push(duty(by.other(), Owed::Agreement, *message, term));
                if !self.acknowledged
                    && let Some(term) = acknowledgement_term(opening)
                {
                    let other = opened_by.other();
                    let note = Owed::Acknowledgement;
                    duties.push(duty(other, note, opening.id, Some(term)));
                }
            }
            State::Held {
                by,
                message,
                refused: false,
                ..
            } => duties.push(duty(by.other(), Owed::Countersignature, *message, None)),
            State::Reported(reported) => {
                for by in [Party::A, Party::B] {
                    if reported[by.slot()].is_none() {
                        duties.push(duty(by, Owed::Record, opening.id, None));
                    }
                }
            }
            _ => {}
        }
        duties
    }

    fn is_open(&self, _now: Option<Millis>) -> bool {
        !matches!(
            self.state,
            State::Declined
                | State::Withdrawn
                | State::CoSigned
                | State::Reported([Some(_), Some(_)])
        )
    }
}

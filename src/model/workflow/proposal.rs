//! Meetings and patrols: propose ⇄ counter → agreed → held or reported → co-signed.

use super::matter::{Act, Duty, Effect, Flow, Opening, Owed, Term, acknowledgement_term};
use super::{Facts, Millis, Party, Said, Step, is_talk};
use crate::model::MessageId;
use crate::proto::v1::{CountersignatureStance, Kind, Stance};

/// Every state, in words: of meetings.
pub(super) const MEETING_STATES: &[&str] = &[
    "proposed",
    "countered",
    "agreed",
    "declined",
    "withdrawn",
    "held, minutes to be signed",
    "minutes not signed",
    "co-signed",
];
/// Every state, in words: of patrols.
pub(super) const PATROL_STATES: &[&str] = &[
    "proposed",
    "countered",
    "agreed",
    "declined",
    "withdrawn",
    "reported by one side",
    "reported by both",
];

/// A proposed meeting or patrol.
#[derive(Debug, Clone)]
pub(super) struct Proposal {
    /// What opened it.
    id: MessageId,
    is_patrol: bool,
    state: State,
    acknowledged: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// On the table.
    Proposed(Offer),
    Agreed {
        offer: Offer,
        /// The response that agreed.
        response: MessageId,
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

/// A proposal: whose, and in which message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Offer {
    by: Party,
    message: MessageId,
    countered: bool,
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
            _ => State::Proposed(Offer {
                by,
                message: facts.id,
                countered: false,
            }),
        };
        Self {
            id: facts.id,
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

    /// Nothing more comes of it: whoever proposes again, opens another.
    fn is_over(&self) -> bool {
        matches!(
            self.state,
            State::Declined
                | State::Withdrawn
                | State::CoSigned
                | State::Reported([Some(_), Some(_)])
        )
    }

    /// Changes the proposal on the table, or counters it.
    fn propose(&mut self, act: &Act<'_>) -> Result<Effect, String> {
        if act.superseded.is_none() && self.is_over() {
            return Ok(Effect::Passed);
        }
        let State::Proposed(offer) = &mut self.state else {
            return Err(if self.is_over() {
                "it is no longer proposed; propose another, which supersedes nothing".to_owned()
            } else {
                "it is no longer proposed; withdraw what was agreed on first, or begin another case"
                    .to_owned()
            });
        };
        *offer = Offer {
            by: act.by,
            message: act.facts.id,
            countered: offer.countered || offer.by != act.by,
        };
        Ok(Effect::Took)
    }

    fn respond(&mut self, act: &Act<'_>, stance: i32) -> Result<Effect, String> {
        let State::Proposed(offer) = self.state else {
            return Err("nothing is proposed that could be answered".to_owned());
        };
        if offer.by == act.by {
            return Err(
                "the side that proposed does not agree with itself; silence is no consent either"
                    .to_owned(),
            );
        }
        if !act.answers(offer.message) {
            return Err("it answers a proposal that is no longer on the table".to_owned());
        }
        self.state = match Stance::try_from(stance) {
            Ok(Stance::Agreed) => State::Agreed {
                offer,
                response: act.facts.id,
            },
            Ok(Stance::Declined) => State::Declined,
            _ => return Err("a named officer agrees to a proposal, or declines it".to_owned()),
        };
        Ok(Effect::Took)
    }

    fn minutes(&mut self, act: &Act<'_>) -> Result<Effect, String> {
        match &self.state {
            State::Held { by, message, .. } if *by == act.by && act.supersedes(*message) => {}
            // Not signed: either side may draw up new ones.
            State::Agreed { .. } | State::Held { refused: true, .. } => {}
            State::Held { .. } => {
                return Err(
                    "there are minutes already: sign them, or not, or supersede your own"
                        .to_owned(),
                );
            }
            State::Proposed { .. } => return Err("the meeting was not agreed to".to_owned()),
            State::CoSigned => return Err("both sides have signed the minutes".to_owned()),
            _ => return Err("there is no agreed meeting left".to_owned()),
        }
        self.state = held(act.by, act.facts);
        Ok(Effect::Took)
    }

    fn report(&mut self, act: &Act<'_>) -> Result<Effect, String> {
        let mut reported = match &self.state {
            State::Agreed { .. } => [None, None],
            State::Reported(reported) => *reported,
            State::Proposed { .. } => return Err("the patrol was not agreed to".to_owned()),
            _ => return Err("there is no agreed patrol left".to_owned()),
        };
        let own = &mut reported[act.by.slot()];
        if *own != act.facts.supersedes {
            return Err(if own.is_some() {
                "this side has reported; a correction supersedes its report".to_owned()
            } else {
                "this side has not reported of it yet".to_owned()
            });
        }
        *own = Some(act.facts.id);
        self.state = State::Reported(reported);
        Ok(Effect::Took)
    }

    fn countersign(&mut self, act: &Act<'_>, digest: &[u8], stance: i32) -> Result<Effect, String> {
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
        match CountersignatureStance::try_from(stance).unwrap_or_default() {
            CountersignatureStance::Signed => self.state = State::CoSigned,
            CountersignatureStance::NotSigned => *refused = true,
            CountersignatureStance::Unspecified => {
                return Err("a named officer signs, or does not".to_owned());
            }
        }
        Ok(Effect::Took)
    }

    /// Takes back the proposal on the table, or one's part of what was agreed on.
    fn withdraw(&mut self, act: &Act<'_>) -> Result<Effect, String> {
        let target = act.target.1;
        if is_talk(target.kind()) && target.said != Said::Acknowledgement {
            return Ok(Effect::Passed);
        }
        match &self.state {
            State::Proposed(offer) if act.supersedes(offer.message) => {}
            State::Agreed { offer, response }
                if act.supersedes(offer.message) || act.supersedes(*response) => {}
            State::Proposed { .. } | State::Agreed { .. } => {
                return Err("what is taken back is not what is on the table".to_owned());
            }
            State::Held { .. } => {
                return Err("minutes are corrected by others, not taken back".to_owned());
            }
            _ => return Err("there is nothing left to take back".to_owned()),
        }
        self.state = State::Withdrawn;
        Ok(Effect::Took)
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
    fn apply(&mut self, opened_by: Party, act: &Act<'_>) -> Result<Effect, String> {
        match &act.facts.said {
            Said::Acknowledgement => {
                self.acknowledged |= act.by != opened_by && act.target.1.id == self.id;
                Ok(Effect::Passed)
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
            } if !self.is_patrol => self.countersign(act, body_digest, *stance),
            Said::Withdrawal => self.withdraw(act),
            Said::Countersignature { .. }
            | Said::VerificationReply { .. }
            | Said::Extension
            | Said::HandoverReply { .. }
            | Said::HandoverSupplement(_)
            | Said::HandoverSchedule { .. }
            | Said::HandoverRecord { .. }
            | Said::ProtectionDecision { .. }
            | Said::Closure { .. } => Ok(Effect::Foreign("this is no step of it")),
            _ => Ok(Effect::Passed),
        }
    }

    fn state(&self, _now: Option<Millis>) -> String {
        match &self.state {
            State::Proposed(offer) if offer.countered => "countered",
            State::Proposed(_) => "proposed",
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
            State::Proposed(Offer { by, .. }) => vec![
                Step::new(by.other(), Kind::Response, "agree or decline"),
                Step::new(by.other(), proposal, "counter it"),
                Step::new(*by, proposal, "change its proposal"),
                Step::new(*by, Kind::Withdrawal, "withdraw its proposal"),
            ],
            State::Agreed { .. } => [Party::A, Party::B]
                .into_iter()
                .flat_map(|by| {
                    [
                        Step::new(by, record, "record what took place"),
                        Step::new(by, Kind::Withdrawal, "take back its part of it"),
                    ]
                })
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
                .map(|by| match reported[by.slot()] {
                    None => Step::new(by, record, "report its part"),
                    Some(_) => Step::new(by, record, "supersede its report"),
                })
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
            State::Proposed(Offer { by, message, .. }) => {
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
        !self.is_over()
    }
}

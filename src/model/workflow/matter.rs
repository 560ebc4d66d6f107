//! What a case is about: one matter for each thing that a message opened in it.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::handover::{Handover, fault_of_request};
use super::notice::Notice;
use super::proposal::Proposal;
use super::verification::Verification;
use super::{Facts, Impossible, Millis, Party, Said, Step, millis_of};
use crate::model::MessageId;
use crate::model::deadline;
use crate::proto::v1::{Kind, Precedence};

/// Something opened by a message, and how far it has come.
#[derive(Debug, Clone)]
pub struct Matter {
    opened_by: Party,
    opening: Opening,
    machine: Machine,
}

/// What is kept of the message that opened a matter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Opening {
    pub(super) id: MessageId,
    pub(super) kind: Kind,
    pub(super) precedence: i32,
    pub(super) status: i32,
    pub(super) acknowledge_by: Option<Millis>,
    pub(super) respond_by: Option<Millis>,
}

impl Opening {
    fn of(facts: &Facts) -> Self {
        Self {
            id: facts.id,
            kind: facts.kind(),
            precedence: facts.precedence,
            status: facts.status,
            acknowledge_by: facts.acknowledge_by,
            respond_by: facts.respond_by,
        }
    }
}

#[derive(Debug, Clone)]
enum Machine {
    Handover(Handover),
    Verification(Verification),
    Proposal(Proposal),
    Notice(Notice),
}

/// A message that names one of a matter's messages.
#[derive(Debug, Clone, Copy)]
pub(super) struct Act<'a> {
    /// Who says it.
    pub(super) by: Party,
    /// What it says.
    pub(super) facts: &'a Facts,
    /// The message it names, and whose that is.
    pub(super) target: (Party, &'a Facts),
    /// The message of its author that it corrects or withdraws.
    pub(super) superseded: Option<&'a Facts>,
}

impl Act<'_> {
    /// Whether it answers (rather than corrects) this message.
    pub(super) fn answers(&self, id: MessageId) -> bool {
        self.facts.in_reply_to == Some(id)
    }

    /// Whether it corrects or withdraws this message.
    pub(super) fn supersedes(&self, id: MessageId) -> bool {
        self.facts.supersedes == Some(id)
    }
}

/// What a message did to a matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// It was a step of it.
    Took,
    /// It was said about it and changes nothing.
    Passed,
    /// It is no step of it, for this reason; it may be one of another matter.
    Foreign(&'static str),
}

/// What every machine can do.
pub(super) trait Flow {
    /// Takes a step, or says why it is not possible; then nothing has changed.
    fn apply(&mut self, opened_by: Party, act: &Act<'_>) -> Result<Effect, String>;
    /// The state in words; at an instant, if given, with what ran out by then.
    fn state(&self, now: Option<Millis>) -> String;
    /// What is possible now.
    fn steps(&self, opened_by: Party) -> Vec<Step>;
    /// What is owed now.
    fn duties(&self, opened_by: Party, opening: &Opening) -> Vec<Duty>;
    /// Something is still to be done.
    fn is_open(&self, now: Option<Millis>) -> bool;
    /// The persons it is about, if any.
    fn persons(&self, _now: Option<Millis>) -> Vec<PersonView> {
        Vec::new()
    }
}

/// Something one side owes the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Duty {
    /// Who owes it.
    pub owed_by: Party,
    /// What.
    pub owed: Owed,
    /// The message that asks for it: its receipt starts the clock.
    #[serde(serialize_with = "as_text")]
    pub message: MessageId,
    /// By when; `None`: no time was set.
    pub term: Option<Term>,
}

/// What is owed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Owed {
    /// A person's acknowledgement.
    Acknowledgement,
    /// An answer in substance.
    Reply,
    /// A decision on persons.
    Decision,
    /// What was asked for on persons.
    Information,
    /// Agreement or counter-proposal.
    Agreement,
    /// A signature under the same text.
    Countersignature,
    /// A record, minutes or report of what took place.
    Record,
    /// The matter's end.
    Closure,
}

impl Owed {
    /// The word that files and keys use, the same for ever.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Acknowledgement => "acknowledgement",
            Self::Reply => "reply",
            Self::Decision => "decision",
            Self::Information => "information",
            Self::Agreement => "agreement",
            Self::Countersignature => "countersignature",
            Self::Record => "record",
            Self::Closure => "closure",
        }
    }
}

impl fmt::Display for Owed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Acknowledgement => "acknowledgement",
            Self::Reply => "reply",
            Self::Decision => "decision",
            Self::Information => "information",
            Self::Agreement => "agreement or counter-proposal",
            Self::Countersignature => "countersignature",
            Self::Record => "record",
            Self::Closure => "closure",
        })
    }
}

/// By when something is owed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Term {
    /// At this instant, as asked in the message.
    At(Millis),
    /// So many milliseconds after receipt.
    AfterReceipt(Millis),
    /// Working days of the side that owes it, from the day after receipt.
    #[serde(rename_all = "camelCase")]
    WorkingDays {
        /// How many.
        days: u8,
        /// How many more, since its one extension was taken.
        extended_by: u8,
    },
}

/// How a matter stands at an instant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MatterView {
    /// Kind of the message that opened it, as the proto names it.
    pub kind: &'static str,
    /// Who opened it.
    pub opened_by: Party,
    /// With which message.
    pub opening: String,
    /// Its state in words.
    pub state: String,
    /// Something is still to be done.
    pub is_open: bool,
    /// Each person's state, where it is about persons.
    pub persons: Vec<PersonView>,
    /// What is owed.
    pub duties: Vec<Duty>,
    /// What is possible.
    pub steps: Vec<Step>,
}

/// A person of a batch and how far it has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PersonView {
    /// Number in the manifest.
    pub number: u32,
    /// The state in one word of the glossary.
    pub state: String,
    /// Why the person may not be scheduled, if so.
    pub blocked: Option<String>,
}

fn as_text<S: serde::Serializer>(id: &MessageId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

impl Matter {
    /// What a message opens, if anything; with what is wrong with it, if it breaks a rule.
    /// `continued` are the kinds of the matters in which it was a step.
    pub(super) fn open(
        by: Party,
        facts: &Facts,
        continued: &[Kind],
    ) -> Option<(Self, Option<Impossible>)> {
        let mut fault = None;
        let kind = facts.kind();
        if continued.contains(&family(kind)) && is_continuation(facts) {
            return None;
        }
        let machine = match &facts.said {
            Said::HandoverRequest(persons) => {
                fault = fault_of_request(persons);
                Machine::Handover(Handover::open(facts.id, persons))
            }
            Said::VerificationRequest(numbers) => {
                fault = numbers
                    .is_empty()
                    .then(|| "it asks about no person".to_owned());
                Machine::Verification(Verification::open(facts.id, numbers))
            }
            Said::MeetingProposal { .. }
            | Said::PatrolPlan { .. }
            | Said::MeetingMinutes { .. }
            | Said::PatrolReport { .. } => Machine::Proposal(Proposal::open(by, facts)),
            _ => Machine::Notice(Notice::open(facts)?),
        };
        let matter = Self {
            opened_by: by,
            opening: Opening::of(facts),
            machine,
        };
        let fault = fault.map(|reason| matter.impossible(reason));
        Some((matter, fault))
    }

    /// Kind of the matter: that of the message that opens it in the ordinary course.
    pub(super) fn kind(&self) -> Kind {
        family(self.opening.kind)
    }

    /// Who opened it.
    #[must_use]
    pub fn opened_by(&self) -> Party {
        self.opened_by
    }

    /// The message that opened it.
    #[must_use]
    pub fn opening(&self) -> MessageId {
        self.opening.id
    }

    /// The state in words, leaving the time of day aside.
    #[must_use]
    pub fn state(&self) -> String {
        self.flow().state(None)
    }

    /// Takes a step, or says why it is not possible; then nothing has changed.
    pub(super) fn apply(&mut self, act: &Act<'_>) -> Result<Effect, Impossible> {
        let opened_by = self.opened_by;
        let result = if act.facts.said == Said::Acknowledgement && act.target.0 == act.by {
            Err("a side does not acknowledge its own message".to_owned())
        } else {
            self.flow_mut().apply(opened_by, act)
        };
        result.map_err(|reason| self.impossible(reason))
    }

    /// Whether somebody in it has claimed protection, and no authority has let the handover go on.
    pub(super) fn holds_claim(&self) -> bool {
        matches!(&self.machine, Machine::Handover(handover) if handover.holds_claim())
    }

    /// Whether it is a handover that is not done with.
    pub(super) fn is_open_handover(&self) -> bool {
        matches!(&self.machine, Machine::Handover(handover) if handover.is_open(None))
    }

    /// The message that took the one extension of a verification, if it was taken. Whether it came
    /// in time is for who counts the working days.
    #[must_use]
    pub fn extension(&self) -> Option<MessageId> {
        match &self.machine {
            Machine::Verification(verification) => verification.extension(),
            _ => None,
        }
    }

    /// What is possible now, leaving the time of day aside.
    #[must_use]
    pub fn steps(&self) -> Vec<Step> {
        self.flow().steps(self.opened_by)
    }

    /// What is owed now.
    #[must_use]
    pub fn duties(&self) -> Vec<Duty> {
        self.flow().duties(self.opened_by, &self.opening)
    }

    /// Whether it is real, and neither exercise nor test: [`crate::proto::v1::Status`].
    #[must_use]
    pub fn status(&self) -> i32 {
        self.opening.status
    }

    /// How it stands at an instant.
    #[must_use]
    pub fn view(&self, now: Millis) -> MatterView {
        let is_open = self.flow().is_open(Some(now));
        MatterView {
            kind: self.opening.kind.as_str_name(),
            opened_by: self.opened_by,
            opening: self.opening.id.to_string(),
            state: self.flow().state(Some(now)),
            is_open,
            persons: self.flow().persons(Some(now)),
            duties: self.duties(),
            steps: self.steps(),
        }
    }

    /// Each person's state, leaving the time of day aside; empty where it is about none.
    #[must_use]
    pub fn persons(&self) -> Vec<PersonView> {
        self.flow().persons(None)
    }

    pub(super) fn impossible(&self, reason: String) -> Impossible {
        Impossible {
            state: self.state(),
            reason,
            allowed: self.steps(),
        }
    }

    fn flow(&self) -> &dyn Flow {
        match &self.machine {
            Machine::Handover(machine) => machine,
            Machine::Verification(machine) => machine,
            Machine::Proposal(machine) => machine,
            Machine::Notice(machine) => machine,
        }
    }

    fn flow_mut(&mut self) -> &mut dyn Flow {
        match &mut self.machine {
            Machine::Handover(machine) => machine,
            Machine::Verification(machine) => machine,
            Machine::Proposal(machine) => machine,
            Machine::Notice(machine) => machine,
        }
    }
}

/// The kind under which a matter goes, whichever of its messages opened it.
fn family(kind: Kind) -> Kind {
    match kind {
        Kind::MeetingMinutes => Kind::MeetingProposal,
        Kind::PatrolReport => Kind::PatrolPlan,
        other => other,
    }
}

/// Whether a message continues the matter of its own kind which it answers: a follow-up or a
/// counter-proposal. Everything else is a matter of its own, and so is what takes the place of an
/// alert.
fn is_continuation(facts: &Facts) -> bool {
    match family(facts.kind()) {
        Kind::MeetingProposal | Kind::PatrolPlan => true,
        Kind::CrossingAlert | Kind::HazardNotice => facts.supersedes.is_none(),
        _ => false,
    }
}

/// By when a person's acknowledgement of a message is owed if it opens a matter; see
/// [`acknowledgement_term`].
pub(crate) fn acknowledgement_term_of(facts: &Facts) -> Option<Term> {
    acknowledgement_term(&Opening::of(facts))
}

/// By when a person's acknowledgement of a matter's first message is owed, if at all: as asked,
/// else as urgent messages and alerts always are.
pub(super) fn acknowledgement_term(opening: &Opening) -> Option<Term> {
    let asked = opening.acknowledge_by.map(Term::At);
    asked.or_else(|| {
        if opening.precedence == Precedence::Flash as i32 {
            Some(after(deadline::FLASH_ACKNOWLEDGE_TIME))
        } else if opening.precedence == Precedence::Immediate as i32
            || opening.kind == Kind::CrossingAlert
        {
            Some(after(deadline::ALERT_ACKNOWLEDGE_TIME))
        } else {
            None
        }
    })
}

/// What a message asks of the other side by a time, as header and kind alone say; of a letter also
/// the body. Whether it is still owed, the case says.
#[must_use]
pub fn asked_by(facts: &Facts) -> Vec<(Owed, Term)> {
    let opening = Opening {
        id: facts.id,
        kind: facts.kind(),
        precedence: facts.precedence,
        status: facts.status,
        acknowledge_by: facts.acknowledge_by,
        respond_by: facts.respond_by,
    };
    let respond_by = match facts.said {
        Said::Letter { reply_by } => reply_by.or(facts.respond_by),
        _ => facts.respond_by,
    };
    let answer = match facts.kind() {
        Kind::VerificationRequest => Some((
            Owed::Reply,
            Term::WorkingDays {
                days: deadline::VERIFICATION_REPLY_WORKING_DAYS,
                extended_by: 0,
            },
        )),
        Kind::HandoverRequest => respond_by.map(|at| (Owed::Decision, Term::At(at))),
        Kind::MeetingProposal | Kind::PatrolPlan => {
            respond_by.map(|at| (Owed::Agreement, Term::At(at)))
        }
        _ => respond_by.map(|at| (Owed::Reply, Term::At(at))),
    };
    let acknowledgement = acknowledgement_term(&opening).map(|term| (Owed::Acknowledgement, term));
    answer.into_iter().chain(acknowledgement).collect()
}

fn after(time: Duration) -> Term {
    Term::AfterReceipt(millis_of(time))
}

//! A person of a batch: how far it has come, and what stands against moving it.

use crate::model::MessageId;
use crate::model::workflow::facts::Person;
use crate::model::workflow::{Millis, Party};
use crate::proto::v1::HandoverRoute;

/// Every state, in words.
pub(in crate::model::workflow) const STATES: &[&str] = &[
    "requested",
    "acknowledged",
    "verifying",
    "information asked",
    "accepted",
    "expired",
    "refused",
    "schedule proposed",
    "countered",
    "scheduled",
    "handed over",
    "confirmed",
    "disputed",
    "going back",
    "returned",
    "closed",
    "withdrawn",
    "superseded",
    "suspended",
    "protected",
];

#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) person: Person,
    /// A decision by a named authority lets the handover of a claimant go on.
    pub(super) cleared: bool,
    /// The reply that decided on the person last.
    pub(super) reply: Option<MessageId>,
    pub(super) state: State,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    Requested,
    Acknowledged,
    Verifying,
    InformationAsked,
    Accepted(Accepted),
    Refused,
    Proposed {
        accepted: Accepted,
        offer: Offer,
        countered: bool,
    },
    Scheduled {
        accepted: Accepted,
        agreed: Offer,
        /// The response that agreed to it.
        response: MessageId,
        /// Another time is proposed: what was agreed on stands until that is.
        change: Option<Offer>,
    },
    HandedOver(Record),
    Confirmed,
    Disputed(Record),
    GoingBack(Record),
    Returned,
    Closed,
    Withdrawn,
    Superseded,
    /// By a claim for protection; with the state to go on from, in which nothing is scheduled.
    Suspended(Box<State>),
    Protected,
}

/// An acceptance holds until an instant, itself not included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Accepted {
    pub(super) until: Millis,
}

/// A time that a side proposes for the handover.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Offer {
    pub(super) by: Party,
    pub(super) message: MessageId,
    pub(super) at: Millis,
}

/// A record that waits for the other side's signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) message: MessageId,
    pub(super) digest: [u8; 32],
    /// How it was before: so it is again for whom a corrected record leaves out.
    pub(super) before: Box<State>,
}

impl Accepted {
    pub(super) fn has_run_out(self, at: Millis) -> bool {
        at >= self.until
    }
}

impl State {
    pub(super) fn word(&self, now: Option<Millis>) -> &'static str {
        if let Some(now) = now
            && self.may_run_out().is_some_and(|a| a.has_run_out(now))
        {
            return "expired";
        }
        match self {
            Self::Requested => "requested",
            Self::Acknowledged => "acknowledged",
            Self::Verifying => "verifying",
            Self::InformationAsked => "information asked",
            Self::Accepted(_) => "accepted",
            Self::Refused => "refused",
            Self::Proposed {
                countered: false, ..
            } => "schedule proposed",
            Self::Proposed {
                countered: true, ..
            } => "countered",
            Self::Scheduled { .. } => "scheduled",
            Self::HandedOver(_) => "handed over",
            Self::Confirmed => "confirmed",
            Self::Disputed(_) => "disputed",
            Self::GoingBack(_) => "going back",
            Self::Returned => "returned",
            Self::Closed => "closed",
            Self::Withdrawn => "withdrawn",
            Self::Superseded => "superseded",
            Self::Suspended(_) => "suspended",
            Self::Protected => "protected",
        }
    }

    /// The acceptance that may run out: until a time is agreed on.
    pub(super) fn may_run_out(&self) -> Option<Accepted> {
        match self {
            Self::Accepted(accepted) | Self::Proposed { accepted, .. } => Some(*accepted),
            _ => None,
        }
    }

    /// Nothing more is to be done about the person.
    pub(super) fn is_final(&self) -> bool {
        matches!(
            self,
            Self::Closed | Self::Withdrawn | Self::Superseded | Self::Protected
        )
    }

    /// The person is, or was, with the other side.
    pub(super) fn has_left(&self) -> bool {
        matches!(
            self,
            Self::HandedOver(_)
                | Self::Confirmed
                | Self::Disputed(_)
                | Self::GoingBack(_)
                | Self::Returned
        )
    }

    /// The request may still be ended for the person.
    pub(super) fn may_be_ended(&self) -> bool {
        !self.is_final() && !self.has_left() && *self != Self::Refused
    }

    pub(super) fn may_be_closed(&self) -> bool {
        matches!(self, Self::Confirmed | Self::Refused | Self::Returned)
    }

    /// Where the handover goes on from when a claim is refused: no appointment outlives it.
    pub(super) fn unscheduled(&self) -> Self {
        match self {
            Self::Proposed { accepted, .. } | Self::Scheduled { accepted, .. } => {
                Self::Accepted(*accepted)
            }
            other => other.clone(),
        }
    }
}

impl Case {
    pub(super) fn new(person: Person) -> Self {
        let state = if person.claims_protection {
            State::Suspended(Box::new(State::Requested))
        } else {
            State::Requested
        };
        Self {
            person,
            cleared: false,
            reply: None,
            state,
        }
    }

    /// A claim was made, and no authority has let the handover go on.
    pub(super) fn holds_claim(&self) -> bool {
        self.person.claims_protection && !self.cleared
    }

    /// Which safeguard stands against scheduling and handing over, if any.
    pub(super) fn blocked(&self) -> Option<&'static str> {
        let person = &self.person;
        if self.holds_claim() {
            Some("a claim for protection is not decided by a named authority")
        } else if person.is_minor_alone && !person.has_guardian {
            Some("no guardian or authority is named who receives the unaccompanied minor")
        } else if is_on_wrong_route(person) {
            Some("signs of trafficking: the person goes the victim's route, never as an offender")
        } else {
            None
        }
    }

    pub(super) fn may_move(&self, number: u32) -> Result<(), String> {
        self.blocked()
            .map_or(Ok(()), |reason| Err(format!("person {number}: {reason}")))
    }
}

impl Person {
    /// What is known of a person after this is told: a need is not taken back by leaving it out.
    pub(super) fn and(&self, told: &Self) -> Self {
        Self {
            claims_protection: self.claims_protection || told.claims_protection,
            is_minor_alone: self.is_minor_alone || told.is_minor_alone,
            is_trafficking_victim: self.is_trafficking_victim || told.is_trafficking_victim,
            ..*told
        }
    }
}

fn is_on_wrong_route(person: &Person) -> bool {
    person.is_trafficking_victim && person.route != HandoverRoute::Victim as i32
}

/// What is wrong with what is told of a person, by the safeguards.
pub(super) fn fault_of(person: &Person) -> Option<String> {
    let number = person.number;
    if person.claims_protection && person.has_particulars {
        Some(withheld(number))
    } else if person.is_minor_alone && !person.has_guardian {
        Some(format!(
            "person {number} is an unaccompanied minor, and no guardian or authority is named who \
             receives the child"
        ))
    } else if is_on_wrong_route(person) {
        Some(format!(
            "person {number} shows signs of being trafficked and goes the victim's route, never as \
             an offender"
        ))
    } else {
        None
    }
}

fn withheld(number: u32) -> String {
    format!(
        "person {number} claims protection: the particulars are withheld from the other side until \
         an authority has decided"
    )
}

//! Workflows: what follows from what both sides have said.
//!
//! State is a fold over the two logs of a link, never stored as truth: replaying either side's
//! logs gives the same state on both. Pure: no I/O, no clock.
//!
//! ```text
//! header + body ─▶ facts.rs    what of a message matters here; no personal data
//! two logs      ─▶ order.rs    one order of both that each side finds alike, without a clock
//!               ─▶ thread.rs   a case: its messages in that order
//!                  folded.rs   each applied to what the case is about, and judged
//!               ─▶ matter.rs   what a case is about: one machine for each thing opened in it
//!                  handover.rs, verification.rs, proposal.rs, notice.rs   the machines
//!               ─▶ board.rs    what stands outside cases: gates, calendars, rosters
//!               ─▶ due.rs      by when what is owed is due, on the calendars in force
//!               ─▶ ledger.rs   what of both logs matters beyond single cases
//!               ─▶ casebook.rs both logs of a link, folded as they grow, all in memory
//! facts         ─▶ packed.rs   a message's facts in few bytes, for whoever keeps them
//! ```
//!
//! A message is judged three ways ([`Standing`]). One that is not possible as things stand is
//! refused at its author's node before it is recorded, with [`Impossible`]. What the peer has
//! recorded all the same stays recorded: if its author could not know better, because an answer
//! crossed it on the way, it is [`Standing::Crossed`] and has no effect; else it is a
//! [`Standing::Breach`].

pub mod board;
pub mod casebook;
pub mod due;
pub mod facts;
mod folded;
mod handover;
pub mod ledger;
pub mod matter;
mod notice;
pub mod order;
pub mod packed;
mod proposal;
pub mod thread;
mod verification;

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::model::NodeName;
use crate::proto::v1::Kind;

pub use casebook::Casebook;
pub use due::{Published, Reckoned, calendars_in_force, reckon};
pub use facts::{Facts, Said};
pub use folded::{Folded, Judged};
pub use ledger::Ledger;
pub use matter::{Duty, Matter, MatterView, Owed, PersonView, Term, asked_by};
pub use thread::{Thread, ThreadView};

/// Milliseconds since 1970-01-01 UTC.
pub type Millis = i64;

/// One of the two sides of a link, the same at both nodes: `A` has the smaller node name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Party {
    /// The one with the smaller node name.
    A,
    /// The other.
    B,
}

impl Party {
    /// Which of the two nodes of a link a node is.
    #[must_use]
    pub fn of(node: &NodeName, other: &NodeName) -> Self {
        if node <= other { Self::A } else { Self::B }
    }

    /// The other side.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    pub(crate) fn slot(self) -> usize {
        match self {
            Self::A => 0,
            Self::B => 1,
        }
    }
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Standing {
    /// It took its effect, or needs none.
    Applied,
    /// It was possible as its author saw things, and crossed something of the other side; it has
    /// no effect.
    Crossed(Impossible),
    /// Its author could know that it was not possible; it has no effect.
    Breach(Impossible),
    /// It names a message that is not here yet.
    Waiting,
}

/// Why a message is not possible as things stand, and what is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Impossible {
    /// The state it met, in words.
    pub state: String,
    /// Why that excludes the message.
    pub reason: String,
    /// What is possible now, and by whom.
    pub allowed: Vec<Step>,
}

impl fmt::Display for Impossible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (state: {})", self.reason, self.state)
    }
}

/// A step that is possible now.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Step {
    /// By whom.
    pub by: Party,
    /// Kind of the message, as the proto names it.
    pub kind: &'static str,
    /// What it would do, in words.
    pub does: &'static str,
}

impl Step {
    pub(crate) fn new(by: Party, kind: Kind, does: &'static str) -> Self {
        Self {
            by,
            kind: kind.as_str_name(),
            does,
        }
    }
}

/// Whether a message of this kind can begin a case; others are a step of one.
#[must_use]
pub fn may_begin(kind: Kind) -> bool {
    !needs_matter(kind) && !matches!(kind, Kind::Acknowledgement | Kind::Withdrawal)
}

/// Kinds that mean something only as a step of something opened before.
fn needs_matter(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::VerificationReply
            | Kind::DeadlineExtension
            | Kind::HandoverReply
            | Kind::HandoverSupplement
            | Kind::HandoverSchedule
            | Kind::HandoverRecord
            | Kind::ProtectionDecision
            | Kind::Response
            | Kind::Countersignature
            | Kind::Closure
    )
}

/// A span in milliseconds.
fn millis_of(time: Duration) -> Millis {
    Millis::try_from(time.as_millis()).unwrap_or(Millis::MAX)
}

/// Every state that a matter of this kind, or a person in it, can be in, in words; none if the kind
/// opens no matter.
#[must_use]
pub fn states_of(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::HandoverRequest => handover::STATES,
        Kind::VerificationRequest => verification::STATES,
        Kind::MeetingProposal | Kind::MeetingMinutes => proposal::MEETING_STATES,
        Kind::PatrolPlan | Kind::PatrolReport => proposal::PATROL_STATES,
        other => notice::states(other),
    }
}

/// Kinds that can answer anything, whatever its state: they move nothing but themselves.
#[must_use]
pub fn is_talk(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Acknowledgement | Kind::OfficialLetter | Kind::CaseNotice | Kind::ActivityReport
    )
}

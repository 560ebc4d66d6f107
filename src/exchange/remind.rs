//! Which reminder of what is owed falls when. Pure: no store, no clock.
//!
//! Three stages, each once for each duty and, if its term was extended, once more for the new one:
//!
//! ```text
//! reminder     24 h before it is due; half-way, where the whole term is shorter than 48 h
//! overdue      when it is due
//! escalation   24 h later; at once for the acknowledgement of a FLASH or IMMEDIATE message
//! ```
//!
//! A stage whose time passed while the node was down falls when it is up again. Only a reminder that
//! can no longer help is left out: what is overdue is said to be overdue.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::due::{Due, When};
use crate::model::MessageId;
use crate::model::workflow::{Millis, Owed, Party, Term};
use crate::proto::v1::Precedence;

/// How long before it is due a long term is recalled.
pub const REMINDER_MS: Millis = 24 * 60 * 60 * 1_000;
/// A term shorter than this is recalled half-way.
pub const SHORT_TERM_MS: Millis = 48 * 60 * 60 * 1_000;
/// How long after it was due something is escalated, unless it is urgent.
pub const ESCALATION_MS: Millis = 24 * 60 * 60 * 1_000;

/// How far a duty has come that is not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Stage {
    /// It will be due soon.
    Reminder,
    /// It was due.
    Overdue,
    /// Someone above the duty officer must look.
    Escalation,
}

impl Stage {
    /// Every stage, in order.
    pub const ALL: [Self; 3] = [Self::Reminder, Self::Overdue, Self::Escalation];

    pub(crate) const fn byte(self) -> u8 {
        match self {
            Self::Reminder => 1,
            Self::Overdue => 2,
            Self::Escalation => 3,
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reminder => "reminder",
            Self::Overdue => "overdue",
            Self::Escalation => "escalated",
        })
    }
}

/// What tells one duty from another for ever: a duty that was extended is another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DutyKey {
    /// The message that asks.
    pub message: MessageId,
    /// What it asks for.
    pub owed: Owed,
    /// Of whom: both sides may owe the same.
    pub owed_by: Party,
    /// Working days that were added to its term.
    pub extended_by: u8,
}

impl DutyKey {
    /// Of a duty.
    #[must_use]
    pub fn of(due: &Due) -> Self {
        Self {
            message: due.duty.message,
            owed: due.duty.owed,
            owed_by: due.duty.owed_by,
            extended_by: match due.duty.term {
                Some(Term::WorkingDays { extended_by, .. }) => extended_by,
                _ => 0,
            },
        }
    }
}

/// A stage that was reached, as recorded. Carries no body and no name of a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reached {
    /// Which.
    pub stage: Stage,
    /// The message that asks for what is owed.
    pub message: String,
    /// It is a message of this node.
    pub is_own_message: bool,
    /// Where in its author's log.
    pub index: u64,
    /// What is owed.
    pub owed: Owed,
    /// By this node; else by the peer.
    pub owed_by_own: bool,
    /// Working days that were added to the term.
    #[serde(default)]
    pub extended_by: u8,
    /// [`crate::proto::v1::Status`]: exercises and tests are told apart.
    pub status: i32,
    /// When it is due, milliseconds since 1970.
    pub due_ms: Millis,
    /// When this was recorded, milliseconds since 1970.
    pub at_ms: u64,
}

/// Whether it is the acknowledgement of a FLASH or IMMEDIATE message.
#[must_use]
pub fn is_urgent(due: &Due) -> bool {
    due.duty.owed == Owed::Acknowledgement
        && [Precedence::Flash as i32, Precedence::Immediate as i32].contains(&due.asked.precedence)
}

/// When each stage of something owed falls, in order; nothing while no instant is known, or where it
/// had passed when the message arrived.
#[must_use]
pub fn stages(due: &Due) -> Vec<(Millis, Stage)> {
    let When::At(reckoned) = &due.when else {
        return Vec::new();
    };
    if due.had_passed() {
        return Vec::new();
    }
    let at = reckoned.at();
    let overdue = whole_second(at);
    let mut stages = Vec::new();
    let start = due.received_at.unwrap_or(due.asked.created_at);
    let term = at.saturating_sub(start);
    if term > 0 {
        let reminder = if term < SHORT_TERM_MS {
            start.saturating_add(term / 2)
        } else {
            at.saturating_sub(REMINDER_MS)
        };
        stages.push((reminder, Stage::Reminder));
    }
    stages.push((overdue, Stage::Overdue));
    let escalation = if is_urgent(due) {
        overdue
    } else {
        overdue.saturating_add(ESCALATION_MS)
    };
    stages.push((escalation, Stage::Escalation));
    stages
}

/// The first whole second at or after an instant: checkpoints are dated by whole seconds, and the one
/// that is signed now must not bear a time before the deadline.
fn whole_second(at: Millis) -> Millis {
    let beyond = at.rem_euclid(1_000);
    if beyond == 0 {
        at
    } else {
        at.saturating_add(1_000 - beyond)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::due::Asked;
    use crate::model::workflow::{Duty, Party, Reckoned};
    use crate::proto::v1::{Kind, Status};

    const HOUR: Millis = 3_600_000;

    fn due(owed: Owed, precedence: Precedence, received: Millis, at: Millis) -> Due {
        let id = MessageId::from_parts(1, [7; 10]);
        Due {
            case: id,
            duty: Duty {
                owed_by: Party::B,
                owed,
                message: id,
                term: Some(Term::At(at)),
            },
            asked: Asked {
                by: Party::A,
                index: 0,
                kind: Kind::OfficialLetter as i32,
                precedence: precedence as i32,
                status: Status::Actual as i32,
                created_at: 0,
            },
            received_at: Some(received),
            is_settled: true,
            when: When::At(Reckoned::At(at)),
        }
    }

    #[test]
    fn a_long_term_is_recalled_a_day_before() {
        let start = 100 * HOUR;
        for (term, reminder) in [
            (48 * HOUR, start + 24 * HOUR),
            (200 * HOUR, start + 176 * HOUR),
            (48 * HOUR - 2, start + 24 * HOUR - 1),
            (2 * HOUR, start + HOUR),
        ] {
            let due = due(Owed::Reply, Precedence::Routine, start, start + term);
            let end = whole_second(start + term);
            assert_eq!(
                stages(&due),
                [
                    (reminder, Stage::Reminder),
                    (end, Stage::Overdue),
                    (end + 24 * HOUR, Stage::Escalation)
                ]
            );
        }
    }

    #[test]
    fn an_urgent_message_that_nobody_has_noted_escalates_at_once() {
        for precedence in [Precedence::Flash, Precedence::Immediate] {
            let due = due(Owed::Acknowledgement, precedence, 0, 60_000);
            let expected = [
                (30_000, Stage::Reminder),
                (60_000, Stage::Overdue),
                (60_000, Stage::Escalation),
            ];
            assert_eq!(stages(&due), expected);
        }
        let reply = due(Owed::Reply, Precedence::Flash, 0, 60_000);
        assert_eq!(stages(&reply)[2].0, 60_000 + ESCALATION_MS);
    }

    #[test]
    fn a_deadline_within_a_second_passes_at_its_end() {
        let due = due(Owed::Reply, Precedence::Routine, 0, 60_001);
        assert_eq!(stages(&due)[1], (61_000, Stage::Overdue));
        assert_eq!(whole_second(-1), 0);
        assert_eq!(whole_second(1_000), 1_000);
    }

    #[test]
    fn what_was_due_before_it_came_is_not_recalled() {
        let due = due(Owed::Reply, Precedence::Routine, 10 * HOUR, HOUR);
        assert_eq!(stages(&due), []);
        assert!(!due.is_overdue(20 * HOUR));
        let unknown = Due {
            when: When::NotReceived,
            ..due
        };
        assert_eq!(stages(&unknown), []);
    }
}

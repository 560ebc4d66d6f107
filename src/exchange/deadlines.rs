//! Seeing to it that deadlines are said: reminders, what is overdue, escalation, breaches.
//!
//! One task of the node looks at every link when something changed, and when the next stage falls.
//! It records each stage ([`remind`](super::remind)) before it tells of it: after a crash it
//! was either told, or it is told after the restart. When something is overdue, on either side,
//! it asks the session for a heartbeat, so that the peer holds a checkpoint of this node that is
//! dated later than the deadline, and this node one of the peer's.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio_stream::wrappers::WatchStream;
use tokio_stream::{StreamExt as _, StreamMap};
use tokio_util::sync::CancellationToken;

use super::book::Head;
use super::command::Command;
use super::due::{Due, When};
use super::hold::Incident;
use super::layout::{self, LogSide, Region};
use super::read::ReadError;
use super::remind::{DutyKey, Reached, Stage};
use super::{Exchange, Link, RecordError};
use crate::model::MessageId;
use crate::model::workflow::{Millis, Party};
use crate::store::Direction;

/// The longest sleep: the clock may be set, and is looked at again after so long.
const SLEEP_MAX: Duration = Duration::from_secs(1);
/// Wait before the next attempt where the store could not be read or written.
const RETRY: Duration = Duration::from_secs(30);

/// Why a turn was not done.
#[derive(Debug, thiserror::Error)]
pub enum TurnError {
    /// Reading.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Recording.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The node is going down.
    #[error("the node is going down")]
    Stopping,
}

impl Exchange {
    /// Keeps the deadlines of every link until `stop`.
    pub async fn keep_deadlines(self: Arc<Self>, stop: CancellationToken) {
        let mut heads = StreamMap::new();
        for (key, link) in self.links().enumerate() {
            heads.insert(key, WatchStream::from_changes(link.watch_head()));
        }
        let keep = async {
            loop {
                let (mut next, mut failed) = (None, false);
                for link in self.links() {
                    match self.turn(link).await {
                        Ok(at) => next = [next, at].into_iter().flatten().min(),
                        Err(error) => {
                            tracing::warn!(peer = %link.peer, %error, "deadlines not kept");
                            failed = true;
                        }
                    }
                }
                if failed {
                    tokio::time::sleep(RETRY).await;
                } else {
                    self.wait_for(next, &mut heads).await;
                }
            }
        };
        stop.run_until_cancelled(keep).await;
    }

    /// Until an instant of the node's clock, or until something changed.
    async fn wait_for(
        &self,
        next: Option<Millis>,
        heads: &mut StreamMap<usize, WatchStream<Head>>,
    ) {
        loop {
            let left = next.map(|at| at.saturating_sub(self.now()));
            if left.is_some_and(|left| left <= 0) {
                return;
            }
            let left = left.and_then(|left| u64::try_from(left).ok());
            let left = left.map_or(SLEEP_MAX, Duration::from_millis);
            tokio::select! {
                () = tokio::time::sleep(left.min(SLEEP_MAX)) => {}
                Some(_) = heads.next() => return,
            }
        }
    }

    /// The node's clock.
    pub(super) fn now(&self) -> Millis {
        Millis::try_from(self.clock.unix_ms()).unwrap_or(Millis::MAX)
    }

    /// Records and tells every stage that has fallen on a link, and every breach of the peer that
    /// was not noted yet; says when the next stage falls.
    ///
    /// # Errors
    /// [`TurnError`]; what was not recorded is recorded in a later turn.
    pub async fn turn(self: &Arc<Self>, link: &Arc<Link>) -> Result<Option<Millis>, TurnError> {
        let (exchange, of) = (Arc::clone(self), Arc::clone(link));
        let look = move || {
            let now = exchange.now();
            exchange.with_dues(&of, |dues| {
                (dues.falling(now), dues.next_after(now), dues.new_breaches())
            })
        };
        let (falling, next, breaches) = if self.recorder.is_inline() {
            look()?
        } else {
            // The first look reads both logs.
            let looked = tokio::task::spawn_blocking(look).await;
            looked.map_err(|_| TurnError::Stopping)??
        };
        for breach in breaches {
            let incident = Incident {
                at_ms: self.clock.unix_ms(),
                peer: link.peer.to_string(),
                what: format!(
                    "the peer's message {} (index {}) is not possible in its case: {}. It is kept \
                     and has no effect; call the peer",
                    breach.message, breach.index, breach.reason
                ),
                evidence: Vec::new(),
            };
            let (number, index) = (link.number, breach.index);
            let is_first = self
                .ask(|reply| Command::NoteBreach(number, index, Box::new(incident), reply))
                .await?;
            if is_first {
                tracing::warn!(peer = %link.peer, index, "breach of protocol by the peer");
            }
            self.with_dues(link, |dues| dues.mark_noted(index))?;
        }
        for (stage, due) in falling {
            self.reach(link, stage, &due).await?;
        }
        Ok(next)
    }

    async fn reach(&self, link: &Link, stage: Stage, due: &Due) -> Result<(), TurnError> {
        let key = DutyKey::of(due);
        let owed_by = side_of(link, due.duty.owed_by);
        let reached = Reached {
            stage,
            message: due.duty.message.to_string(),
            is_own_message: due.asked.by == link.party(),
            index: due.asked.index,
            owed: due.duty.owed,
            owed_by_own: owed_by == LogSide::Own,
            extended_by: key.extended_by,
            status: due.asked.status,
            due_ms: match &due.when {
                When::At(reckoned) => reckoned.at(),
                _ => 0,
            },
            at_ms: self.clock.unix_ms(),
        };
        let (number, at_ms) = (link.number, reached.at_ms);
        let is_first = self
            .ask(|reply| Command::Reach(number, Box::new(reached), key, owed_by, reply))
            .await?;
        self.with_dues(link, |dues| dues.mark_reached(due, stage, at_ms))?;
        if is_first {
            tracing::warn!(
                peer = %link.peer, id = %due.duty.message, owed = due.duty.owed.word(),
                owed_by = if owed_by == LogSide::Own { "this node" } else { "the peer" },
                exercise = !due.is_actual(), "{stage}"
            );
            if stage == Stage::Overdue {
                link.pulse.wanted.send_modify(|count| *count += 1);
            }
        }
        Ok(())
    }

    /// The stages reached on a link from a number on, in the order recorded, at most `count`.
    ///
    /// # Errors
    /// When the store cannot be read, or a record is damaged.
    pub fn stages_from(
        &self,
        link: &Link,
        from: u64,
        count: usize,
    ) -> Result<Vec<(u64, Reached)>, ReadError> {
        if from >= link.head().stages_count {
            return Ok(Vec::new());
        }
        let (start, end) = layout::indexed_from(Region::Stage, link.number, from);
        let rows = self.store.scan(&start, &end, count, Direction::Forward)?;
        rows.into_iter()
            .map(|(key, value)| {
                let sequence = layout::index_of(&key).unwrap_or_default();
                let reached = serde_json::from_slice(&value);
                let reached = reached.map_err(|_| ReadError::Damaged {
                    what: "stage of something owed",
                    origin: link.own.to_string(),
                    index: sequence,
                })?;
                Ok((sequence, reached))
            })
            .collect()
    }

    /// Every stage reached on a link, over all time, with when that was recorded.
    pub(super) fn stages_reached(
        &self,
        link: &Link,
    ) -> Result<BTreeMap<(DutyKey, Stage), u64>, ReadError> {
        let stages = self.stages_from(link, 0, usize::MAX)?.into_iter();
        Ok(stages
            .filter_map(|(_, reached)| {
                let key = key_of(link, &reached)?;
                Some(((key, reached.stage), reached.at_ms))
            })
            .collect())
    }
}

fn key_of(link: &Link, reached: &Reached) -> Option<DutyKey> {
    Some(DutyKey {
        message: MessageId::parse(&reached.message).ok()?,
        owed: reached.owed,
        owed_by: if reached.owed_by_own {
            link.party()
        } else {
            link.party().other()
        },
        extended_by: reached.extended_by,
    })
}

fn side_of(link: &Link, party: Party) -> LogSide {
    if party == link.party() {
        LogSide::Own
    } else {
        LogSide::Mirror
    }
}

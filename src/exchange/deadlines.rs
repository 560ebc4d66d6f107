//! Seeing to it that deadlines are said: reminders, what is overdue, escalation, breaches.
//!
//! One task for each link looks at it when something changed, and when the next stage falls.
//! It records each stage ([`remind`](super::remind)) before it tells of it: after a crash it
//! was either told, or it is told after the restart. When something is overdue, on either side,
//! it asks the session for a heartbeat, so that the peer holds a checkpoint of this node that is
//! dated later than the deadline, and this node one of the peer's.

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::book::Head;
use super::command::Command;
use super::due::{Due, PeerBreach, When};
use super::hold::Incident;
use super::layout::{self, LogSide, Region};
use super::read::ReadError;
use super::remind::{DutyKey, Reached, Stage};
use super::{Exchange, Link, RecordError};
use crate::model::workflow::Millis;
use crate::store::Direction;

/// The longest sleep: the clock may be set, and is looked at again after so long.
const SLEEP_MAX: Duration = Duration::from_secs(1);
/// The shortest time between two looks at a link. Its messages come in hundreds then, and what is due
/// is due to the second.
const TURN_TIME_MIN: Duration = Duration::from_millis(50);
/// Wait before the next attempt where the store could not be read or written.
const RETRY: Duration = Duration::from_secs(30);

/// Stages, and breaches, that one turn takes: what becomes urgent meanwhile is first in the next.
const TURN_MAX: usize = 1_024;
/// Records asked for before the first answer is awaited; they share commits. 4 KiB each: 1 MiB.
const AT_ONCE: usize = 256;
/// Breaches of one link that become an incident each within an hour.
const INCIDENTS_AN_HOUR: usize = 32;
const HOUR_MS: u64 = 60 * 60 * 1_000;

/// What a look at a link found to do.
struct Looked {
    falling: Vec<(Stage, Due)>,
    breaches: Vec<PeerBreach>,
    has_more: bool,
    next: Option<Millis>,
}

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
    /// Keeps the deadlines of every link until `stop`, each by itself: one with much to tell holds up
    /// no other.
    pub async fn keep_deadlines(self: Arc<Self>, stop: CancellationToken) {
        let mut keepers = JoinSet::new();
        for link in self.links() {
            keepers.spawn(Arc::clone(&self).keep_link(Arc::clone(link)));
        }
        let keep = async {
            while let Some(ended) = keepers.join_next().await {
                if let Err(error) = ended {
                    tracing::error!(%error, "deadlines of a link are kept no more. Restart the node");
                }
            }
        };
        stop.run_until_cancelled(keep).await;
        // None of them holds the exchange when this returns.
        keepers.shutdown().await;
    }

    async fn keep_link(self: Arc<Self>, link: Arc<Link>) {
        let mut head = link.watch_head();
        loop {
            head.mark_unchanged();
            let turned = tokio::time::Instant::now();
            match self.turn(&link).await {
                // More is due already.
                Ok(Some(next)) if next <= self.now() => {}
                Ok(next) => {
                    self.wait_for(next, &mut head).await;
                    tokio::time::sleep_until(turned + TURN_TIME_MIN).await;
                }
                Err(error) => {
                    tracing::warn!(peer = %link.peer, %error, "deadlines not kept");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    /// Until an instant of the node's clock, or until something changed.
    async fn wait_for(&self, next: Option<Millis>, head: &mut watch::Receiver<Head>) {
        loop {
            let left = next.map(|at| at.saturating_sub(self.now()));
            if left.is_some_and(|left| left <= 0) {
                return;
            }
            let left = left.and_then(|left| u64::try_from(left).ok());
            let left = left.map_or(SLEEP_MAX, Duration::from_millis);
            tokio::select! {
                () = tokio::time::sleep(left.min(SLEEP_MAX)) => {}
                Ok(()) = head.changed() => return,
            }
        }
    }

    /// The node's clock, in milliseconds since 1970.
    #[must_use]
    pub fn now(&self) -> Millis {
        Millis::try_from(self.clock.unix_ms()).unwrap_or(Millis::MAX)
    }

    /// Records and tells the stages that have fallen on a link, the urgent ones first, and the
    /// breaches of the peer that were not noted yet, of each at most [`TURN_MAX`]; says when to look
    /// again: at once if there are more, else when the next stage falls.
    ///
    /// # Errors
    /// [`TurnError`]; what was not recorded is recorded in a later turn.
    pub async fn turn(self: &Arc<Self>, link: &Arc<Link>) -> Result<Option<Millis>, TurnError> {
        if link.head().restoring.is_some() {
            // What answers what is not here yet.
            return Ok(None);
        }
        let (exchange, of) = (Arc::clone(self), Arc::clone(link));
        let look = move || exchange.look_at(&of);
        let looked = if self.recorder.is_inline() {
            look()?
        } else {
            self.fold_if_behind(link).await?;
            // It reads the disk.
            let looked = tokio::task::spawn_blocking(look).await;
            looked.map_err(|_| TurnError::Stopping)??
        };
        for some in looked.falling.chunks(AT_ONCE) {
            self.reach(link, some).await?;
        }
        for some in looked.breaches.chunks(AT_ONCE) {
            self.note(link, some).await?;
        }
        self.keep_if_due(link).await;
        Ok(if looked.has_more {
            Some(self.now())
        } else {
            looked.next
        })
    }

    fn look_at(&self, link: &Link) -> Result<Looked, ReadError> {
        let now = self.now();
        self.with_dues(link, |dues| {
            let breaches = dues.new_breaches(TURN_MAX)?;
            let falling = dues.falling(now, TURN_MAX)?;
            Ok(Looked {
                has_more: [falling.len(), breaches.len()].contains(&TURN_MAX),
                falling,
                breaches,
                next: dues.next_after(now)?,
            })
        })?
    }

    /// Notes breaches, together. The first few of an hour become an incident each, the next one says
    /// that there are more; a peer must not bury what else a person should look at.
    async fn note(&self, link: &Link, breaches: &[PeerBreach]) -> Result<(), TurnError> {
        let at_ms = self.clock.unix_ms();
        let before = self.with_dues(link, |dues| {
            dues.count_breaches(at_ms / HOUR_MS, breaches.len())
        })?;
        let mut answers = Vec::with_capacity(breaches.len());
        for (count, breach) in (before..).zip(breaches) {
            // Why follows from bodies: it is told with the case, to those who may read them.
            let said = format!(
                "the peer's message {0} (index {1}) is not possible in its case: `liaison case show \
                 {0}` says why. It is kept and has no effect; call the peer",
                breach.message, breach.index
            );
            let what = match count.cmp(&INCIDENTS_AN_HOUR) {
                Ordering::Less => Some(said),
                Ordering::Equal => Some(format!(
                    "{said}. More than {INCIDENTS_AN_HOUR} messages of the peer within this hour \
                     were not possible; the others of the hour are not listed here, but marked in \
                     their cases"
                )),
                Ordering::Greater => None,
            };
            let incident = what.map(|what| {
                Box::new(Incident {
                    at_ms,
                    peer: link.peer.to_string(),
                    what,
                    evidence: Vec::new(),
                })
            });
            let (reply, answer) = oneshot::channel();
            let command = Command::NoteBreach(link.number, breach.index, incident, reply);
            self.recorder.send(command).await;
            answers.push((count, breach.index, answer));
        }
        let (mut noted, mut failed) = (Vec::new(), None);
        for (count, index, answer) in answers {
            match answer.await {
                Ok(Ok(is_first)) => {
                    if is_first && count <= INCIDENTS_AN_HOUR {
                        tracing::warn!(peer = %link.peer, index, "breach of protocol by the peer");
                    }
                    noted.push(index);
                }
                Ok(Err(error)) => failed = Some(TurnError::Record(error)),
                Err(_) => failed = Some(TurnError::Stopping),
            }
        }
        self.with_dues(link, |dues| {
            for index in noted {
                dues.mark_noted(index);
            }
        })?;
        failed.map_or(Ok(()), Err)
    }

    /// Records stages, together, and tells of them.
    async fn reach(&self, link: &Link, falling: &[(Stage, Due)]) -> Result<(), TurnError> {
        let mut answers = Vec::with_capacity(falling.len());
        for (stage, due) in falling {
            let (key, owed_by) = (DutyKey::of(due), link.side_of(due.duty.owed_by));
            let reached = self.reached(link, *stage, due);
            let (reply, answer) = oneshot::channel();
            let command = Command::Reach(link.number, Box::new(reached), key, owed_by, reply);
            self.recorder.send(command).await;
            answers.push((*stage, due, answer));
        }
        let (mut recorded, mut failed) = (Vec::new(), None);
        for (stage, due, answer) in answers {
            match answer.await {
                Ok(Ok(is_first)) => recorded.push((stage, due, is_first)),
                Ok(Err(error)) => failed = Some(TurnError::Record(error)),
                Err(_) => failed = Some(TurnError::Stopping),
            }
        }
        self.with_dues(link, |dues| {
            for (stage, due, _) in &recorded {
                dues.mark_reached(due, *stage);
            }
        })?;
        let mut is_overdue = false;
        for (stage, due, _) in recorded.into_iter().filter(|(.., is_first)| *is_first) {
            let is_own = link.side_of(due.duty.owed_by) == LogSide::Own;
            tracing::warn!(
                peer = %link.peer, id = %due.duty.message, owed = due.duty.owed.word(),
                owed_by = if is_own { "this node" } else { "the peer" },
                exercise = !due.is_actual(), "{stage}"
            );
            is_overdue |= stage == Stage::Overdue;
        }
        if is_overdue {
            link.pulse.wanted.send_modify(|count| *count += 1);
        }
        failed.map_or(Ok(()), Err)
    }

    fn reached(&self, link: &Link, stage: Stage, due: &Due) -> Reached {
        Reached {
            stage,
            message: due.duty.message.to_string(),
            is_own_message: due.asked.by == link.party(),
            index: due.asked.index,
            owed: due.duty.owed,
            owed_by_own: due.duty.owed_by == link.party(),
            extended_by: DutyKey::of(due).extended_by,
            status: due.asked.status,
            due_ms: match &due.when {
                When::At(reckoned) => reckoned.at(),
                _ => 0,
            },
            at_ms: self.clock.unix_ms(),
        }
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

    /// Whether something owed has reached a stage.
    pub(super) fn is_reached(
        &self,
        link: &Link,
        due: &Due,
        stage: Stage,
    ) -> Result<bool, ReadError> {
        Ok(link.head().stages_count > 0 && self.sequence_of(link, due, stage)?.is_some())
    }

    /// When it was recorded that something owed has reached a stage, milliseconds since 1970.
    pub(super) fn reached_at(
        &self,
        link: &Link,
        due: &Due,
        stage: Stage,
    ) -> Result<Option<u64>, ReadError> {
        let Some(sequence) = self.sequence_of(link, due, stage)? else {
            return Ok(None);
        };
        let stages = self.stages_from(link, sequence, 1)?;
        Ok(stages.first().map(|(_, reached)| reached.at_ms))
    }

    fn sequence_of(&self, link: &Link, due: &Due, stage: Stage) -> Result<Option<u64>, ReadError> {
        let key = DutyKey::of(due);
        let key = layout::stage_of(
            link.number,
            key.message,
            key.owed,
            link.side_of(key.owed_by),
            key.extended_by,
            stage,
        );
        let sequence = self.store.get(&key)?;
        Ok(sequence.and_then(|value| Some(u64::from_be_bytes(value.try_into().ok()?))))
    }
}

//! Retention: what the rules erase, day by day, and the cases that are on hold.
//!
//! Nothing is kept of where a run had come to: what is due is what the logs, the holds and the clock say
//! at that moment, less what was erased. So a run that was cut, or days on which the node did not run,
//! skip nothing, and nothing is erased twice. The rules themselves are in [`crate::model::retention`].

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::command::{Command, RecordError};
use super::erase::{ERASE_AT_ONCE, EraseError, ErasureOrder};
use super::layout::{self, LogSide, Place, StoredBody};
use super::read::{ReadError, Stored};
use super::submit::{Author, header_of};
use super::{Exchange, Link};
use crate::journal::{Act, Deed, Journal, JournalError};
use crate::model::MessageId;
use crate::model::body::is_system_kind;
use crate::model::retention::{Fate, Held, Policy};
use crate::proto::v1::Kind;
use crate::store::{Direction, StoreError};

/// Who erases by a rule, as it is recorded.
pub const RETENTION: &str = "retention";
/// How often it is looked whether a new day has begun.
const LOOK_INTERVAL: Duration = Duration::from_secs(3_600);
/// Entries that are read at once.
const PAGE: usize = 256;
const DAY_MS: u64 = 24 * 3_600_000;

/// Why a case is kept whatever the rules say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LegalHold {
    /// Since when, milliseconds since 1970.
    pub at_ms: u64,
    /// Who ordered it.
    pub by: String,
    /// Why: one line.
    pub reason: String,
}

/// A body that a rule concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JudgedBody {
    /// The message.
    pub id: MessageId,
    /// Its case.
    pub case: MessageId,
    /// Number of its kind.
    pub kind: i32,
    /// Number of its handling code.
    pub handling: i32,
    /// What is to become of it.
    pub fate: Fate,
}

/// What a run did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retained {
    /// Bodies erased.
    pub erased: u64,
    /// Due and not erased yet, or so damaged that nobody can say: it is tried again in an hour.
    pub failed: u64,
}

/// Why a run stopped; what it had erased is erased.
#[derive(Debug, thiserror::Error)]
pub enum RetentionError {
    /// It cannot be journalled, so it is not done.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The node is going down.
    #[error("the node is going down")]
    Stopping,
}

/// Whether an error is of one entry or its case, and of nothing else.
fn is_of_one(error: &ReadError) -> bool {
    match error {
        ReadError::Missing { .. } | ReadError::Damaged { .. } => true,
        ReadError::Store(error) => matches!(error, StoreError::Corrupt { .. }),
        ReadError::NoVault => false,
    }
}

/// Logs that an entry cannot be judged; gives the error back if it is of more than that entry.
fn not_judged(link: &Link, side: LogSide, index: u64, error: ReadError) -> Result<(), ReadError> {
    if !is_of_one(&error) {
        return Err(error);
    }
    tracing::warn!(peer = %link.peer, ?side, index, %error, "retention cannot judge an entry");
    Ok(())
}

/// Why a case was not put on hold.
#[derive(Debug, thiserror::Error)]
pub enum HoldError {
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It cannot be recorded.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// A case, as far as retention asks.
#[derive(Debug, Clone, Copy)]
struct Case {
    id: MessageId,
    is_open: bool,
    last_ms: u64,
    is_on_hold: bool,
}

impl Exchange {
    /// The case of a message: the id of its first message; its own id if it is in none. `None` when the
    /// message is not in a log here.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn case_of(&self, link: &Link, id: MessageId) -> Result<Option<MessageId>, ReadError> {
        let Some(Place::Log(side, index)) = self.place(link, id)? else {
            return Ok(None);
        };
        let case = self.with_cases(link, |cases| cases.case_at(side, index))??;
        Ok(Some(case.unwrap_or(id)))
    }

    /// The hold on a case.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn hold_of(&self, link: &Link, case: MessageId) -> Result<Option<LegalHold>, ReadError> {
        let row = self.store.get(&layout::legal_hold(link.number, case))?;
        let parse = |row: Vec<u8>| {
            serde_json::from_slice(&row).map_err(|_| ReadError::Damaged {
                what: "legal hold",
                origin: link.own.to_string(),
                index: 0,
            })
        };
        row.map(parse).transpose()
    }

    /// Every case of a link that is on hold.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn holds(&self, link: &Link) -> Result<Vec<(MessageId, LegalHold)>, ReadError> {
        let (start, end) = layout::legal_holds(link.number);
        let rows = self
            .store
            .scan(&start, &end, usize::MAX, Direction::Forward)?;
        let cases = rows.iter().filter_map(|(key, _)| layout::held_case(key));
        cases
            .filter_map(|case| {
                let hold = self.hold_of(link, case).transpose()?;
                Some(hold.map(|hold| (case, hold)))
            })
            .collect()
    }

    /// Puts a case on hold, durably; `false` if it was, and then that hold stays. What is being erased at
    /// this moment is waited for.
    ///
    /// # Errors
    /// [`HoldError`].
    pub async fn hold_case(
        &self,
        link: &Link,
        case: MessageId,
        hold: &LegalHold,
    ) -> Result<bool, HoldError> {
        let _alone = self.erasing.lock().await;
        let key = layout::legal_hold(link.number, case);
        if self.store.get(&key)?.is_some() {
            return Ok(false);
        }
        let value = serde_json::to_vec(hold).unwrap_or_default();
        self.ask(|reply| Command::Erase(vec![(key, Some(value))], reply))
            .await?;
        Ok(true)
    }

    /// Lifts the hold on a case, durably.
    ///
    /// # Errors
    /// [`RecordError`].
    pub async fn lift_hold(&self, link: &Link, case: MessageId) -> Result<(), RecordError> {
        let key = layout::legal_hold(link.number, case);
        self.ask(|reply| Command::Erase(vec![(key, None)], reply))
            .await
    }

    /// Judges every body of a link that a rule concerns and that was not erased, as of `now_ms`. Reads both
    /// logs: not to be called where others wait. Says how many entries could not be judged, since they or
    /// their cases are damaged.
    ///
    /// # Errors
    /// When the store cannot be read at all.
    pub fn judge_retention(
        &self,
        link: &Link,
        policy: &Policy,
        now_ms: u64,
        mut take: impl FnMut(JudgedBody),
    ) -> Result<u64, ReadError> {
        let mut unjudged = 0;
        if policy.is_idle() {
            return Ok(unjudged);
        }
        let mut cases = HashMap::new();
        let head = link.head();
        for (side, size) in [
            (LogSide::Own, head.delivered_size),
            (LogSide::Mirror, head.mirror_size),
        ] {
            let reader = self.reader(link, side);
            let mut next = 0;
            while next < size {
                let page = match reader.entries(next, size, PAGE) {
                    Ok(page) => {
                        let Some(last) = page.last() else { break };
                        next = last.index + 1;
                        page
                    }
                    // One of them: whoever is beside it is judged.
                    Err(error) if is_of_one(&error) => {
                        let until = size.min(next.saturating_add(PAGE as u64));
                        let mut page = Vec::new();
                        for index in next..until {
                            match reader.entry(index) {
                                Ok(stored) => page.push(stored),
                                Err(error) => {
                                    not_judged(link, side, index, error)?;
                                    unjudged += 1;
                                }
                            }
                        }
                        next = until;
                        page
                    }
                    Err(error) => return Err(error),
                };
                for stored in &page {
                    match self.judge_entry(link, side, stored, policy, now_ms, &mut cases) {
                        Ok(Some(judged)) => take(judged),
                        Ok(None) => {}
                        Err(error) => {
                            not_judged(link, side, stored.index, error)?;
                            unjudged += 1;
                        }
                    }
                }
            }
        }
        Ok(unjudged)
    }

    /// What is to become of the body of one entry; `None` when no rule concerns it.
    fn judge_entry(
        &self,
        link: &Link,
        side: LogSide,
        stored: &Stored,
        policy: &Policy,
        now_ms: u64,
        cases: &mut HashMap<MessageId, Case>,
    ) -> Result<Option<JudgedBody>, ReadError> {
        if stored.record.refused || stored.record.body == StoredBody::Absent {
            return Ok(None);
        }
        let header = header_of(stored, &link.origin(side).to_string())?;
        let handling = header.wire.handling.unwrap_or_default().code;
        let (kind, id) = (header.kind, header.id);
        if !policy.concerns(kind, handling) {
            return Ok(None);
        }
        let case = self.case_for_retention(link, side, stored.index, id, cases)?;
        if self.erasure_of(link, side, stored.index)?.is_some() {
            return Ok(None);
        }
        let held = Held {
            kind,
            handling,
            last_ms: case.last_ms.max(stored.record.recorded_at_ms),
            is_open: case.is_open,
            is_on_hold: case.is_on_hold,
        };
        Ok(Some(JudgedBody {
            id,
            case: case.id,
            kind,
            handling,
            fate: policy.judge(&held, now_ms),
        }))
    }

    fn case_for_retention(
        &self,
        link: &Link,
        side: LogSide,
        index: u64,
        id: MessageId,
        known: &mut HashMap<MessageId, Case>,
    ) -> Result<Case, ReadError> {
        let case = self.with_cases(link, |cases| cases.case_at(side, index))??;
        let case = case.unwrap_or(id);
        if let Some(known) = known.get(&case) {
            return Ok(*known);
        }
        let now = self.now();
        let (mut is_open, places) = self.with_cases(link, |cases| {
            let folded = cases.folded(case)?;
            Ok::<_, ReadError>(folded.map_or((false, Vec::new()), |folded| {
                let is_open = folded.matters.iter().any(|matter| matter.view(now).is_open);
                let places = folded.all_messages();
                let places = places.map(|message| (link.side_of(message.by), message.index));
                (is_open, places.collect())
            }))
        })??;
        let mut last_ms = 0;
        for (side, index) in places {
            let stored = self.reader(link, side).entry(index)?;
            let header = header_of(&stored, &link.origin(side).to_string())?;
            // What nodes say by themselves, such as that a body was erased, continues no case.
            if !Kind::try_from(header.kind).is_ok_and(is_system_kind) {
                last_ms = last_ms.max(stored.record.recorded_at_ms);
            }
            // What was erased of it no longer tells how it ended. Erasing was decided when it had.
            if is_open && self.erasure_of(link, side, index)?.is_some() {
                is_open = false;
            }
        }
        let found = Case {
            id: case,
            is_open,
            last_ms,
            is_on_hold: self.hold_of(link, case)?.is_some(),
        };
        known.insert(case, found);
        Ok(found)
    }

    /// Erases what is due now on every link; each is journalled before it is done.
    ///
    /// # Errors
    /// [`RetentionError`].
    pub async fn apply_retention(
        self: &Arc<Self>,
        policy: &Arc<Policy>,
        journal: &Journal,
    ) -> Result<Retained, RetentionError> {
        let mut done = Retained::default();
        for link in self.links().map(Arc::clone).collect::<Vec<_>>() {
            if link.head().restoring.is_some() {
                continue;
            }
            let (judging, of, rules) = (Arc::clone(self), Arc::clone(&link), Arc::clone(policy));
            let now_ms = self.clock.unix_ms();
            let judge = move || {
                let mut due: Vec<Vec<JudgedBody>> = vec![Vec::new(); rules.rules().len()];
                let unjudged = judging.judge_retention(&of, &rules, now_ms, |body| {
                    if let Fate::Due(rule, _) = body.fate {
                        due[rule].push(body);
                    }
                })?;
                Ok::<_, ReadError>((due, unjudged))
            };
            let judged = tokio::task::spawn_blocking(judge).await;
            let due = match judged.map_err(|_| RetentionError::Stopping)? {
                Ok((due, unjudged)) => {
                    done.failed += unjudged;
                    due
                }
                Err(error) => {
                    done.failed += 1;
                    tracing::error!(peer = %link.peer, %error, "retention was not carried out for a link");
                    continue;
                }
            };
            for (rule, due) in policy.rules().iter().zip(due) {
                let order = ErasureOrder {
                    by: Author::new(RETENTION),
                    reason: "the time for which it is kept is over".to_owned(),
                    authority: format!("retention rule: {rule} after the case was closed"),
                };
                for bodies in due.chunks(ERASE_AT_ONCE) {
                    self.erase_due(&link, bodies, &order, journal, &mut done)
                        .await?;
                }
            }
        }
        Ok(done)
    }

    async fn erase_due(
        &self,
        link: &Link,
        bodies: &[JudgedBody],
        order: &ErasureOrder,
        journal: &Journal,
        done: &mut Retained,
    ) -> Result<(), RetentionError> {
        let mut ids = Vec::with_capacity(bodies.len());
        for body in bodies {
            // Before it is noted: what cannot be erased now is not on record as erased.
            match self.would_erase(link, body.id) {
                Ok(would) if would.already => continue,
                Ok(_) => {}
                // It was put on hold since it was judged.
                Err(EraseError::Held { .. }) => continue,
                Err(error) => {
                    done.failed += 1;
                    tracing::warn!(peer = %link.peer, %error, "a body that is due is not erased yet");
                    continue;
                }
            }
            let deed = Deed::new(RETENTION, Act::Erased)
                .peer(&link.peer)
                .message(body.id);
            journal.note(deed.why(order.authority.clone())).await?;
            ids.push(body.id);
        }
        if ids.is_empty() || self.erase_all(link, &ids, order).await.is_ok() {
            done.erased += ids.len() as u64;
            return Ok(());
        }
        // One of them cannot be erased now; the others can.
        for id in ids {
            match self.erase(link, id, order).await {
                Ok(_) => done.erased += 1,
                Err(error) => {
                    done.failed += 1;
                    tracing::warn!(peer = %link.peer, %error, "a body that is due is not erased yet");
                }
            }
        }
        Ok(())
    }

    /// Erases what is due: at the start, and then when a day of UTC begins, until `stop`.
    pub async fn keep_retention(
        self: Arc<Self>,
        policy: Arc<Policy>,
        journal: Journal,
        stop: CancellationToken,
    ) {
        if policy.is_idle() {
            return;
        }
        let mut looks = tokio::time::interval(LOOK_INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut done_on = None;
        loop {
            tokio::select! {
                _ = looks.tick() => {}
                () = stop.cancelled() => return,
            }
            let today = self.clock.unix_ms() / DAY_MS;
            if done_on == Some(today) {
                continue;
            }
            match self.apply_retention(&policy, &journal).await {
                Ok(done) => {
                    // What failed is tried again in an hour.
                    done_on = (done.failed == 0).then_some(today);
                    if done != Retained::default() {
                        tracing::info!(erased = done.erased, failed = done.failed, "retention");
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "retention was not carried out; again in an hour");
                }
            }
        }
    }
}

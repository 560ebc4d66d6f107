//! The cases of a link: both logs folded into workflows, kept up as the logs grow.
//!
//! The fold itself is pure ([`crate::model::workflow`]); cases rest on the [`shelf`](super::shelf);
//! this file feeds it. A message that continues a case is judged, signed and recorded under that
//! case's lock, so that one side never says two things at once that exclude each other.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError};

use tokio::sync::OwnedMutexGuard;

use super::command::{Command, RecordError};
use super::deadlines::TurnError;
use super::fresh::Fresh;
use super::layout::{self, LogSide};
use super::overlay::Write;
use super::read::{LogReader, ReadError, Stored};
use super::sealed_facts;
use super::shelf::{CaseShelf, DUES, Logs, PROGRESS, STALE};
use super::submit::header_of;
use super::{Exchange, Link};
use crate::model::workflow::{Facts, Party, Standing};
use crate::model::{MessageId, NodeName, body};
use crate::proto::v1::body::Body;
use crate::proto::v1::{self, Kind};
use crate::tlog::leaf_hash;

/// The lock under which a message of a case is judged and recorded.
pub(crate) type CaseLock = OwnedMutexGuard<()>;

/// Locks of a link's cases: a case has the one its id falls on.
const CASE_LOCKS: usize = 64;
/// Entries of each log that are folded between two writes, while a link is folded from the beginning.
const FOLDED_AT_ONCE: u64 = 4_096;
/// Bytes of derived rows in one commit.
const WRITE_BYTES_MAX: usize = 8 << 20;

/// A link's cases and their locks.
#[derive(Debug)]
pub(crate) struct Cases {
    /// `None` until it was first asked for.
    shelf: std::sync::Mutex<Option<CaseShelf>>,
    /// What was written may be of other entries: of the cases, and of what is due.
    pub(super) forgotten: [AtomicBool; 2],
    /// Held while something derived is being written.
    pub(super) keeping: tokio::sync::Mutex<()>,
    locks: Vec<Arc<tokio::sync::Mutex<()>>>,
    pub(super) fresh: Arc<Fresh>,
}

impl Default for Cases {
    fn default() -> Self {
        Self {
            shelf: std::sync::Mutex::default(),
            forgotten: Default::default(),
            keeping: tokio::sync::Mutex::default(),
            locks: (0..CASE_LOCKS).map(|_| Arc::default()).collect(),
            fresh: Arc::default(),
        }
    }
}

impl Link {
    /// Which of the two sides this node is on this link.
    #[must_use]
    pub fn party(&self) -> Party {
        Party::of(self.own.sender(), &self.peer)
    }

    /// Whose log it is.
    #[must_use]
    pub fn party_of(&self, side: LogSide) -> Party {
        match side {
            LogSide::Own => self.party(),
            LogSide::Mirror => self.party().other(),
        }
    }

    /// Which log of this link a side writes.
    #[must_use]
    pub fn side_of(&self, party: Party) -> LogSide {
        if party == self.party() {
            LogSide::Own
        } else {
            LogSide::Mirror
        }
    }

    /// The node name of a side.
    #[must_use]
    pub fn node_of(&self, party: Party) -> &NodeName {
        if party == self.party() {
            self.own.sender()
        } else {
            &self.peer
        }
    }

    /// Waits for the lock under which a message is judged and recorded.
    ///
    /// Calendars and rosters are numbered across cases, so all of them share one.
    pub(crate) async fn lock_case(&self, thread: MessageId, kind: Kind) -> CaseLock {
        let at = match kind {
            Kind::Calendar | Kind::Roster => 0,
            // The last bytes of a UUIDv7 are random.
            _ => usize::from(thread.as_bytes()[15]) % CASE_LOCKS,
        };
        Arc::clone(&self.cases.locks[at]).lock_owned().await
    }
}

impl Exchange {
    /// Works with a link's cases as of all that is durable now.
    ///
    /// The cases are locked meanwhile: keep it short, and do not wait in it.
    ///
    /// # Errors
    /// When a log cannot be read.
    pub fn with_cases<T>(
        &self,
        link: &Link,
        work: impl FnOnce(&mut CaseShelf) -> T,
    ) -> Result<T, ReadError> {
        let mut guard = lock(link);
        let shelf = self.shelf(link, &mut guard)?;
        shelf.advance(sizes_of(link), u64::MAX)?;
        Ok(work(shelf))
    }

    fn shelf<'a>(
        &self,
        link: &Link,
        shelf: &'a mut Option<CaseShelf>,
    ) -> Result<&'a mut CaseShelf, ReadError> {
        if let Some(shelf) = shelf {
            return Ok(shelf);
        }
        let logs = LinkLogs {
            own: self.reader(link, LogSide::Own),
            mirror: self.reader(link, LogSide::Mirror),
            fresh: Arc::clone(&link.cases.fresh),
        };
        let (store, logs) = (Arc::clone(&self.store), Box::new(logs));
        let [forgotten, _] = &link.cases.forgotten;
        let is_forgotten = forgotten.load(Ordering::SeqCst);
        let opened = CaseShelf::open(store, link.number, link.party(), logs, is_forgotten)?;
        forgotten.store(false, Ordering::SeqCst);
        Ok(shelf.insert(opened))
    }

    /// Folds a link as far as its logs are durable, a part at a time, and writes each part: so that
    /// the next start finds it, and the memory stays small however much there is.
    ///
    /// # Errors
    /// When a log cannot be read.
    pub async fn fold(&self, link: &Link) -> Result<(), ReadError> {
        let mut told = 0;
        loop {
            let (has_more, done) = {
                let mut guard = lock(link);
                let shelf = self.shelf(link, &mut guard)?;
                let has_more = shelf.advance(sizes_of(link), FOLDED_AT_ONCE)?;
                (has_more, shelf.size(Party::A) + shelf.size(Party::B))
            };
            self.keep_if_due(link).await;
            if has_more && done / FOLD_TOLD_ENTRIES > told {
                told = done / FOLD_TOLD_ENTRIES;
                let of: u64 = sizes_of(link).iter().sum();
                tracing::info!(peer = %link.peer, done, of, "reading both logs for their cases");
            }
            if !has_more {
                break;
            }
        }
        self.fold_dues(link).await
    }

    /// The same where much was not folded, as after records were fetched back: on a thread that may
    /// block.
    pub(super) async fn fold_if_behind(
        self: &Arc<Self>,
        link: &Arc<Link>,
    ) -> Result<(), ReadError> {
        let is_behind = {
            let mut guard = lock(link);
            let shelf = self.shelf(link, &mut guard)?;
            let folded = shelf.size(Party::A) + shelf.size(Party::B);
            sizes_of(link).iter().sum::<u64>() > folded + FOLDED_AT_ONCE
        };
        if !is_behind {
            return Ok(());
        }
        let (folding, link) = (Arc::clone(self), Arc::clone(link));
        let runtime = tokio::runtime::Handle::current();
        let fold = move || runtime.block_on(folding.fold(&link));
        // What the runtime cuts when it goes down, nobody needs.
        tokio::task::spawn_blocking(fold).await.unwrap_or(Ok(()))
    }

    /// Writes what was derived of a link, if there is enough of it. What cannot be written, as on a
    /// full disk, is there all the same, and is tried again.
    pub(super) async fn keep_if_due(&self, link: &Link) {
        for kept in [
            self.keep_cases(link, false).await,
            self.keep_dues(link, false).await,
        ] {
            if let Err(error) = kept {
                tracing::debug!(peer = %link.peer, %error, "what was derived is not written yet");
            }
        }
    }

    async fn keep_cases(&self, link: &Link, in_any_case: bool) -> Result<(), TurnError> {
        let _alone = link.cases.keeping.lock().await;
        let given = {
            let mut guard = lock(link);
            let shelf = guard.as_mut().filter(|shelf| in_any_case || shelf.is_due());
            shelf.map(CaseShelf::give).transpose()?
        };
        let Some((given, writes)) = given else {
            return Ok(());
        };
        self.write_derived(writes).await?;
        if let Some(shelf) = lock(link).as_mut() {
            shelf.written(given);
        }
        Ok(())
    }

    /// Writes derived rows. Those of one piece belong together; what is lost between two pieces is
    /// derived again.
    pub(super) async fn write_derived(&self, mut writes: Vec<Write>) -> Result<(), RecordError> {
        // What says how far it goes comes last.
        writes.sort_by_key(|(key, _)| layout::is_derived_of(key, &[PROGRESS, STALE, DUES]));
        let mut piece = Vec::new();
        let mut bytes = 0;
        for write in writes {
            bytes += write.0.len() + write.1.as_ref().map_or(0, Vec::len);
            piece.push(write);
            if bytes > WRITE_BYTES_MAX {
                let piece = std::mem::take(&mut piece);
                self.ask(|reply| Command::Derived(piece, reply)).await?;
                bytes = 0;
            }
        }
        self.ask(|reply| Command::Derived(piece, reply)).await
    }

    /// Writes whatever was derived of a link and is not written yet.
    ///
    /// # Errors
    /// [`TurnError`]; it is derived again then after a restart.
    pub async fn keep_folded(&self, link: &Link) -> Result<(), TurnError> {
        self.keep_cases(link, true).await?;
        self.keep_dues(link, true).await
    }

    /// Forgets what is folded of a link. Call it when entries of a log were replaced: what follows
    /// from both logs is found anew when it is next asked for.
    ///
    /// It forgets in memory. Where a crash in between is possible, the commit that takes entries away
    /// puts [`super::shelf::stale_row`] besides.
    pub fn forget_folded(&self, link: &Link) {
        // The order of locks is that of `with_dues`.
        let mut dues = link.dues.lock().unwrap_or_else(PoisonError::into_inner);
        let mut shelf = lock(link);
        for forgotten in &link.cases.forgotten {
            forgotten.store(true, Ordering::SeqCst);
        }
        link.cases.fresh.clear();
        *dues = None;
        *shelf = None;
    }
}

impl Exchange {
    /// Lets go of what is in memory of a case. Call it when the body of a message of it is no more: it is
    /// read again, without what that said.
    pub(super) fn let_case_go(link: &Link, case: MessageId) {
        // First, or it would be taken from there again.
        link.cases.fresh.let_go(case);
        if let Some(shelf) = lock(link).as_mut() {
            shelf.let_go(case);
        }
    }
}

/// Entries after which it is told that a link is still being folded.
const FOLD_TOLD_ENTRIES: u64 = 100_000;

fn lock(link: &Link) -> MutexGuard<'_, Option<CaseShelf>> {
    let shelf = &link.cases.shelf;
    shelf.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sizes of own log and mirror that are durable.
fn sizes_of(link: &Link) -> [u64; 2] {
    let head = link.head.borrow();
    [head.own_size, head.mirror_size]
}

/// A standing as the proto has it, with the reason.
#[must_use]
pub fn told(standing: &Standing) -> (v1::Standing, String) {
    match standing {
        Standing::Applied => (v1::Standing::Applied, String::new()),
        Standing::Waiting => (v1::Standing::Waiting, String::new()),
        Standing::Crossed(why) => (v1::Standing::Crossed, why.to_string()),
        Standing::Breach(why) => (v1::Standing::Breach, why.to_string()),
    }
}

/// Both logs of a link as they lie in the store.
#[derive(Debug)]
struct LinkLogs {
    own: LogReader,
    mirror: LogReader,
    fresh: Arc<Fresh>,
}

impl LinkLogs {
    fn reader(&self, side: LogSide) -> &LogReader {
        match side {
            LogSide::Own => &self.own,
            LogSide::Mirror => &self.mirror,
        }
    }
}

impl Logs for LinkLogs {
    fn cases(
        &self,
        side: LogSide,
        from: u64,
        to: u64,
    ) -> Result<Vec<Option<MessageId>>, ReadError> {
        let count = usize::try_from(to - from).unwrap_or(usize::MAX);
        let entries = self.reader(side).entries(from, to, count)?;
        let case = |stored: &Stored| match header_of(stored, "") {
            Ok(header) => Ok(Some(header.thread_id)),
            Err(_) if stored.record.refused => Ok(None),
            Err(error) => Err(error),
        };
        entries.iter().map(case).collect()
    }

    fn facts(&self, side: LogSide, index: u64) -> Result<Option<Facts>, ReadError> {
        let reader = self.reader(side);
        let said = facts_at(reader, &reader.entry(index)?)?;
        let Some((facts, refusal)) = said else {
            return Ok(None);
        };
        let named = match refusal {
            None => false,
            Some(refusal) => match self.reader(side.other()).entry(refusal.index) {
                Ok(stored) => leaf_hash(&stored.entry).0 == *refusal.entry_digest,
                Err(ReadError::Missing { .. }) => false,
                Err(error) => return Err(error),
            },
        };
        Ok(Some(facts.refusing(named)))
    }

    fn keep(&self, side: LogSide, index: u64, facts: &Facts) -> Result<Option<Vec<u8>>, ReadError> {
        let reader = self.reader(side);
        let body = reader.entry(index)?.record.body;
        let kept = sealed_facts::keep(facts, &body, reader.vault());
        Ok(kept.map(|kept| kept.bytes))
    }

    fn fresh(&self, side: LogSide, index: u64) -> Option<Arc<Facts>> {
        self.fresh.get(side, index)
    }

    fn kept(&self, case: MessageId, value: &[u8]) -> Option<Facts> {
        sealed_facts::kept(case, value, self.own.vault())
    }
}

/// What an entry says, and the refusal if it is one; `None` for one that was refused for its form.
fn facts_at(
    reader: &LogReader,
    stored: &Stored,
) -> Result<Option<(Facts, Option<v1::Refusal>)>, ReadError> {
    let header = match header_of(stored, "") {
        Ok(header) => header,
        Err(_) if stored.record.refused => return Ok(None),
        Err(error) => return Err(error),
    };
    let Some((_, bytes)) = reader.body(stored)? else {
        let facts = if stored.record.refused {
            Facts::of(&header, None)
        } else {
            Facts::erased(&header)
        };
        return Ok(Some((facts, None)));
    };
    let content = body::read(header.kind, &header.schema, &bytes);
    let facts = Facts::of(&header, content.as_ref());
    let refusal = match content {
        Some(Body::Refusal(refusal)) => Some(refusal),
        _ => None,
    };
    Ok(Some((facts, refusal)))
}

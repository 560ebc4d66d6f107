//! Getting records back from the other side: what a node lost, its peer holds, under this node's
//! own signatures.
//!
//! ```text
//! behind.rs   a Hello shows receipts of this node's own key beyond what is recorded here
//! learn.rs    the peer changed its log key since: its announcements are read ahead, nothing is kept
//! tail.rs     what was appended since and never signed is set aside, the log is cut back
//! talk.rs     Fetch → Fetched: own log first, then the mirror ──▶ take.rs  verify, then commit
//!             the other side gives                            ◀── give.rs
//! tail.rs     what was set aside is appended again; the person is told
//! sound.rs    whether a store that opens gives all that it holds
//! ```
//!
//! Nothing is signed, cosigned or appended on the link meanwhile. Every chunk is verified before it
//! is committed: its leaves hash to a tree of which a consistency proof leads to a root under this
//! node's own signature (own log) or cosignature (mirror). So a peer can withhold, and nothing else.
//!
//! A crash at any line: what is being restored stands durably in region `Z` from before the first
//! change until after the last, and every step between is one commit that can be repeated.

mod behind;
mod files;
mod give;
mod learn;
mod pace;
mod recording;
pub mod salvage;
mod sound;
mod staging;
mod tail;
mod take;
mod talk;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::command::{Facts, Leaf, OwnEntry, PeerEntry};
use super::hold::{Hold, Incident};
use super::keys::RunKeys;
use super::layout::{self, LinkNumber, LogSide, Record, RestorePart, StoredBody};
use super::{Exchange, Link};
use crate::crypto::Verified;
use crate::crypto::checkpoint::{Checkpoint, Receipt};
use crate::crypto::history::KeyHistory;
use crate::crypto::note::Note;
use crate::store::{Direction, Store, StoreError};
use crate::tlog::{Hash, Tree};

pub(crate) use behind::{Behind, Shown};
pub(super) use recording::stage_step;
pub(in crate::exchange) use take::header_in;
pub(crate) use talk::restore_session;

/// Why and since when a link gets its records back. Kept in the store until it is done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restoring {
    /// Since when, milliseconds since 1970.
    pub at_ms: u64,
    /// What was noticed, in words.
    pub why: String,
    /// A receipt of the own log that the peer has shown: it must be reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own: Option<String>,
    /// A receipt of the peer's log that the peer has shown, or that this node gave: it must be reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<String>,
    /// Entries of the own log that were here and stay.
    pub own_from: u64,
    /// Entries of the mirror that were here.
    pub mirror_from: u64,
    /// Size up to which own entries were fetched back and proven to be of a tree that this node
    /// signed, whether or not receipts came along: they are never cut off again.
    #[serde(default)]
    pub own_proven: u64,
    /// Entries of the own log that were recorded here once, where a lost store's marks say so.
    #[serde(default)]
    pub own_claimed: u64,
    /// Entries of the mirror that were recorded here once, where a lost store's marks say so.
    #[serde(default)]
    pub mirror_claimed: u64,
    /// What the lost store's mark says of the own log: this root was signed, or may have been.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_mark: Option<Claim>,
    /// The same of the mirror: this root was cosigned, or may have been.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror_mark: Option<Claim>,
    /// Bodies of own messages that the peer did not have: it had refused the message, or a body was
    /// erased.
    #[serde(default)]
    pub bodies_absent: u64,
}

/// Size and root that a log had, as a mark says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Entries.
    pub size: u64,
    /// Merkle root at that size.
    pub root: [u8; 32],
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Restored {
    /// Entries of the own log fetched back.
    pub own_fetched: u64,
    /// Entries of the mirror fetched back.
    pub mirror_fetched: u64,
    /// Entries that had been set aside and were appended again.
    pub appended: u64,
    /// Entries that had been set aside and were among those fetched back.
    pub already_there: u64,
    /// Entries that stay set aside: their id is that of another message.
    pub aside: u64,
    /// Entries that stay set aside: a file of theirs is gone or spoiled.
    pub spoiled: u64,
    /// Entries that stay set aside: the key that signed them has ended in what was fetched back.
    pub key_ended: u64,
    /// Own messages whose body the peer does not keep.
    pub bodies_absent: u64,
    /// Entries recorded here once, by the marks, that are neither here nor at the peer.
    pub lost: u64,
}

/// A step of restoring that must be durable.
#[derive(Debug)]
pub(crate) enum RestoreStep {
    /// From now on nothing is appended to the link's own log.
    Begin(Box<Restoring>),
    /// Keep own entries beside the log: index, record, author.
    SetAside(Vec<(u64, Vec<u8>, Option<Vec<u8>>)>),
    /// Cut the own log back to a smaller tree of itself; the keys of what is cut off. The receipt is
    /// why it may be.
    CutBack(Box<CutBack>),
    /// Take entries back.
    Take(Box<RestoredRun>),
    /// Append again what was set aside; each with the index it is kept under. Or keep it there for
    /// good.
    AppendAgain(Vec<Again>),
    /// It is done. The link is held where sizes may be signed a second time.
    Finish(Box<Incident>, Option<Box<Hold>>),
    /// Every file of earlier messages is here.
    FilesAreHere,
}

/// See [`RestoreStep::CutBack`].
#[derive(Debug)]
pub(crate) struct CutBack {
    pub(crate) tree: Tree,
    pub(crate) gone: Vec<Vec<u8>>,
    /// What this node signed beyond or beside what is cut off.
    pub(crate) receipt: Verified<Receipt>,
    /// The own keys as of what stays.
    pub(crate) keys: Arc<KeyHistory>,
}

/// What becomes of an entry that was set aside.
#[derive(Debug)]
pub(crate) enum Again {
    /// Appended as it is.
    Append(u64, Box<OwnEntry>),
    /// It is in the log already: there, and with a record that has the body which the one fetched
    /// back lacks.
    Drop(u64, Option<Found>),
    /// Its id is another message's, its file is spoiled, or the key that signed it has ended: kept aside
    /// for good.
    Keep(u64, Vec<u8>),
}

/// Where an entry that was set aside is in the log.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) at: u64,
    /// The record there, completed; `None` when it needs nothing.
    pub(crate) completed: Option<Vec<u8>>,
    pub(crate) author: Option<Vec<u8>>,
}

/// Entries fetched back, verified one by one; the recorder verifies them as a whole.
#[derive(Debug)]
pub(crate) struct RestoredRun {
    pub(crate) side: LogSide,
    pub(crate) start_index: u64,
    pub(crate) entries: Vec<RestoredEntry>,
    /// Under this node's own signature and the peer's: own log. Or the other way round: mirror.
    pub(crate) target: Verified<Receipt>,
    /// From the tree that ends with the entries to the target.
    pub(crate) consistency: Vec<Hash>,
    /// Of sizes within the entries, in order.
    pub(crate) receipts: Vec<Verified<Receipt>>,
    /// Bodies of own messages that did not come.
    pub(crate) bodies_absent: u64,
    /// The keys of the log's author with what these entries change of them.
    pub(crate) keys: RunKeys,
}

/// One of them.
#[derive(Debug)]
pub(crate) enum RestoredEntry {
    Own(Box<RestoredOwn>),
    Peer(Box<RestoredPeer>),
}

impl RestoredEntry {
    fn leaf(&self) -> &Leaf {
        match self {
            Self::Own(own) => &own.leaf,
            Self::Peer(peer) => &peer.entry.leaf,
        }
    }
}

/// An own entry with all that follows from it and from what of the mirror is here.
#[derive(Debug)]
pub(crate) struct RestoredOwn {
    pub(crate) leaf: Leaf,
    /// `None` only for what is no entry at all.
    pub(crate) facts: Option<Facts>,
    pub(crate) recorded_at_ms: u64,
    /// Index of the peer's REFUSAL of it.
    pub(crate) refused_by: Option<u64>,
    /// The peer has confirmed its files.
    pub(crate) files_confirmed: bool,
    /// It refuses the peer's entry at this index, of this leaf.
    pub(crate) refuses: Option<(u64, Hash)>,
    /// It confirms the files of the peer's message at this index.
    pub(crate) confirms_files_of: Option<u64>,
}

/// An entry of the peer, judged again.
#[derive(Debug)]
pub(crate) struct RestoredPeer {
    pub(crate) entry: PeerEntry,
    pub(crate) recorded_at_ms: u64,
    /// The own log confirms its files.
    pub(crate) files_confirmed: bool,
    /// It is refused, and the own log does not say so.
    pub(crate) owed_refusal: Option<OwedRefusal>,
}

/// A REFUSAL that is to be said when the records are back: the one said then was lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OwedRefusal {
    pub(crate) leaf: [u8; 32],
    pub(crate) reason: i32,
    pub(crate) detail: String,
    pub(crate) id: Option<[u8; 16]>,
}

/// The index under which a record goes beside the log: its own, or the next that holds no *other*
/// entry, from `from` on. And whether the row is to be written: one that holds the entry already
/// stays, unless this one brings the body that it lacks.
pub(super) fn place_beside(
    store: &dyn Store,
    number: LinkNumber,
    part: RestorePart,
    from: u64,
    value: &[u8],
) -> Result<(u64, bool), StoreError> {
    let record = Record::decode(value);
    let mut index = from;
    loop {
        let Some(kept) = store.get(&layout::restore_at(number, part, index))? else {
            return Ok((index, true));
        };
        if kept == value {
            return Ok((index, false));
        }
        if let (Some(kept), Some(record)) = (Record::decode(&kept), &record)
            && kept.entry == record.entry
        {
            return Ok((index, kept.body == StoredBody::Absent));
        }
        index = index.saturating_add(1);
    }
}

/// What the store says of a link's restoring.
///
/// # Errors
/// When it cannot be read; `Ok(Err(()))` when it is damaged.
pub(crate) fn recorded(
    store: &dyn Store,
    number: LinkNumber,
) -> Result<Result<Option<Restoring>, ()>, StoreError> {
    let key = layout::restore(number, RestorePart::Record);
    let (start, end) = layout::parts_range(&key);
    let rows = store.scan(&start, &end, usize::MAX, Direction::Forward)?;
    if rows.is_empty() {
        return Ok(Ok(None));
    }
    let whole: Vec<u8> = rows.into_iter().flat_map(|(_, part)| part).collect();
    Ok(serde_json::from_slice(&whole).map(Some).map_err(drop))
}

/// Whether files of earlier messages of a link may be missing.
pub(crate) fn files_may_miss(store: &dyn Store, number: LinkNumber) -> Result<bool, StoreError> {
    let key = layout::restore(number, RestorePart::Files);
    Ok(store.get(&key)?.is_some())
}

impl Exchange {
    /// From now on sessions only restore: nothing is pushed, signed or cosigned on any link. For a
    /// process that does nothing else; it cannot be undone.
    pub fn restore_only(&self) {
        self.only_restores
            .store(true, std::sync::atomic::Ordering::Relaxed);
    }

    /// Whether sessions only restore.
    pub(crate) fn only_restores(&self) -> bool {
        self.only_restores
            .load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Whether the next session of a link only restores.
    pub(crate) fn restores(&self, link: &Link) -> bool {
        self.only_restores() || link.head().restoring.is_some()
    }

    /// Notes durably that a link must get its records back before anything is appended or signed
    /// on it.
    ///
    /// # Errors
    /// When it cannot be recorded.
    pub async fn begin_restoring(
        &self,
        link: &Link,
        restoring: Restoring,
    ) -> Result<(), super::RecordError> {
        self.restore_step(link, RestoreStep::Begin(Box::new(restoring)))
            .await
    }

    /// Asks the recorder for a step.
    pub(crate) async fn restore_step(
        &self,
        link: &Link,
        step: RestoreStep,
    ) -> Result<(), super::RecordError> {
        self.ask(|reply| super::Command::Restore(link.number, Box::new(step), reply))
            .await
    }

    /// What a link is restoring, if it is.
    #[must_use]
    pub fn restoring(&self, link: &Link) -> Option<Arc<Restoring>> {
        link.head().restoring
    }
}

impl RestoreStep {
    /// Bytes it adds to a commit, roughly.
    pub(crate) fn cost_bytes(&self) -> usize {
        match self {
            Self::Begin(_) | Self::Finish(..) | Self::FilesAreHere => 16 << 10,
            Self::SetAside(entries) => entries.iter().map(|(_, r, _)| r.len() + 512).sum(),
            Self::CutBack(cut) => cut.gone.iter().map(Vec::len).sum(),
            Self::Take(run) => {
                let entries = run.entries.iter().map(|e| e.leaf().cost_bytes + 256);
                let receipts = run.receipts.iter().map(|r| r.note.len());
                entries.chain(receipts).sum()
            }
            Self::AppendAgain(again) => again
                .iter()
                .map(|again| match again {
                    Again::Append(_, own) => own.leaf.cost_bytes + 512,
                    Again::Drop(_, found) => {
                        let completed = found.as_ref().and_then(|f| f.completed.as_ref());
                        512 + completed.map_or(0, Vec::len)
                    }
                    Again::Keep(_, record) => record.len(),
                })
                .sum(),
        }
    }
}

/// How far a link's restoring is, for whoever waits for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Entries of the own log that are here, and that must be; 0 as long as the peer has said
    /// nothing.
    pub own: (u64, u64),
    /// The same of the mirror.
    pub mirror: (u64, u64),
}

impl Exchange {
    /// How far a link's restoring is.
    #[must_use]
    pub fn restore_progress(&self, link: &Link) -> Progress {
        let head = link.head();
        let target = |note: Option<&String>| {
            let note = note.and_then(|note| Note::parse(note).ok());
            let checkpoint = note.and_then(|note| Checkpoint::parse(note.text()).ok());
            checkpoint.map_or(0, |checkpoint| checkpoint.size)
        };
        let restoring = head.restoring.as_deref();
        Progress {
            own: (
                head.own_size,
                target(restoring.and_then(|r| r.own.as_ref())),
            ),
            mirror: (
                head.mirror_size,
                target(restoring.and_then(|r| r.mirror.as_ref())),
            ),
        }
    }
}

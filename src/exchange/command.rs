//! What the recorder is asked to do: one variant for each step of the path that must be durable.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::cases::CaseLock;
use super::claims::Claim;
use super::hold::{Hold, Incident};
use super::holding::Release;
use super::keys::{OwnChange, RunKeys};
use super::layout::{FileRef, LinkNumber, LogSide, StoredBody, StoredEntry};
use super::overlay::Write;
use super::quota::{Charge, Meter};
use super::remind::{DutyKey, Reached};
use super::restore::RestoreStep;
use super::sealed_facts;
use super::submit::Author;
use crate::crypto::Verified;
use crate::crypto::checkpoint::{Receipt, SignedCheckpoint};
use crate::limits::SALT_BYTES;
use crate::model::{MessageId, workflow};
use crate::store::{Share, StoreError, Vault, full_text};
use crate::tlog::Hash;

/// An entry ready to be recorded: signed or verified, its files already durable.
#[derive(Debug, Clone)]
pub(crate) struct Leaf {
    pub(crate) hash: Hash,
    pub(crate) entry: StoredEntry,
    pub(crate) body: StoredBody,
    /// What it says, for the cases. `None` of what is no message of any sort; where it is not known
    /// it is read from the body later.
    pub(crate) said: Option<Packed>,
    /// Bytes it adds to the commit.
    pub(crate) cost_bytes: usize,
    /// Bytes that entry, salt and body occupy, in the record or in files.
    pub(crate) kept_bytes: u64,
}

/// What an entry says, packed, sealed if its body is, and the case it belongs to.
#[derive(Debug, Clone)]
pub(crate) struct Packed {
    pub(crate) case: MessageId,
    pub(crate) bytes: Vec<u8>,
    /// The same as it was before, if it is small.
    pub(crate) facts: Option<Arc<workflow::Facts>>,
}

/// What an admitted or own entry adds to the indices.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub(crate) id: MessageId,
    pub(crate) kind: i32,
    /// Whether it goes ahead of what is not, on the way and on a disk that fills.
    pub(crate) urgent: bool,
    /// Messages it answers, supersedes or withdraws.
    pub(crate) answers: Vec<MessageId>,
    pub(crate) files: Vec<FileRef>,
}

/// An own entry.
#[derive(Debug, Clone)]
pub(crate) struct OwnEntry {
    pub(crate) leaf: Leaf,
    pub(crate) facts: Facts,
    /// Who submitted it; `None` for what the node itself says.
    pub(crate) author: Option<Author>,
    /// A mirrored message whose files are hereby confirmed: it is pending no longer.
    pub(crate) confirms_files_of: Option<u64>,
    /// The `keyid` of the message key that signed it: it must hold at the index that it gets.
    pub(crate) keyid: String,
    /// What it changes of the own keys.
    pub(crate) change: Option<Box<OwnChange>>,
    /// What it takes of its author's quota; given back if it is not recorded.
    pub(crate) charge: Option<Arc<Charge>>,
    /// It is the REFUSAL that was owed for the mirrored entry at this index.
    pub(crate) owed_for: Option<u64>,
}

/// What a system message of the peer settles here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    None,
    /// REFUSAL of the own entry at this index.
    Refused(u64),
    /// `ATTACHMENTS_RECEIVED` for the own message with this id: the files of these digests.
    FilesConfirmed(MessageId, Vec<[u8; 32]>),
}

/// An entry of the peer after admission looked at it.
#[derive(Debug, Clone)]
pub(crate) struct PeerEntry {
    pub(crate) leaf: Leaf,
    /// `None` when it was refused: mirrored, but no message here.
    pub(crate) facts: Option<Facts>,
    pub(crate) effect: Effect,
}

/// A run of mirrored entries under one verified checkpoint of their author.
#[derive(Debug)]
pub(crate) struct MirrorRun {
    pub(crate) link: LinkNumber,
    pub(crate) start_index: u64,
    pub(crate) entries: Vec<PeerEntry>,
    pub(crate) signed: Verified<SignedCheckpoint>,
    /// Own REFUSAL entries for those that were not admitted, recorded in the same commit.
    pub(crate) refusals: Vec<OwnEntry>,
    pub(crate) incidents: Vec<Incident>,
    /// The peer's keys with what this run changes of them.
    pub(crate) keys: RunKeys,
    /// What it takes of the peer's quota.
    pub(crate) charge: Option<Charge>,
}

/// Where an own entry went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recorded {
    /// Its id.
    pub id: MessageId,
    /// Its index in the own log.
    pub index: u64,
    /// It was recorded before, by an earlier submission.
    pub already_recorded: bool,
}

/// Why the recorder did not record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The disk is full: nothing was written, the caller may try again when there is space.
    #[error(
        "{}; nothing was recorded. Free some space and try again",
        full_text(*.free_bytes, *.needed_bytes)
    )]
    Full {
        /// Free now; 0 when only the operating system knows.
        free_bytes: u64,
        /// What must be free for it: the floor and what was to be written; 0 when only the
        /// operating system knows.
        needed_bytes: u64,
    },
    /// Someone else is writing the same file: nothing was recorded, try again.
    #[error("{what}; nothing was recorded, try again")]
    Busy {
        /// The store's words.
        what: String,
    },
    /// The store does not take it, and would not another time: nothing was recorded, and the store
    /// goes on.
    #[error("the store does not take it, nothing was recorded: {what}")]
    NotTaken {
        /// The store's words.
        what: String,
    },
    /// The store failed and it is not known what is durable: the node must be restarted.
    #[error(
        "the store failed; nothing more is recorded or signed until the node is restarted: {reason}"
    )]
    Stopped {
        /// The store's words.
        reason: String,
    },
    /// The id is taken.
    #[error("the id is already used by another message")]
    IdUsed,
    /// The key that signed the entry has ended since; or the entry ends a log key, and more has been
    /// mirrored since than it says: sign again.
    #[error(
        "while the entry was signed, keys changed or entries of the peer were mirrored, so it must be \
         signed again"
    )]
    KeyEnded,
    /// A change of keys that would not count.
    #[error("the change of keys would not count: {reason}")]
    KeyChange {
        /// Why.
        reason: String,
    },
    /// A run does not start where the mirror ends.
    #[error("the run starts at {start_index}, the mirror ends at {mirror_size}")]
    NotNext {
        /// Start of the run.
        start_index: u64,
        /// End of the mirror.
        mirror_size: u64,
    },
    /// The entries do not hash to the checkpoint's root.
    #[error("the entries up to {size} do not hash to the root of the peer's checkpoint")]
    RootMismatch {
        /// Size of the checkpoint.
        size: u64,
    },
    /// The entry at this index is not the one that was expressed for it.
    #[error("the entry at {index} is not the one that was expressed for that index")]
    ExpressMismatch {
        /// The index.
        index: u64,
    },
    /// The peer signed two different trees.
    #[error("the peer signed another tree of size {size} before")]
    Contradicts {
        /// The size.
        size: u64,
        /// The earlier note.
        earlier: String,
    },
    /// Too many entries wait for their turn.
    #[error("too many expressed entries wait for their turn")]
    ExpressFull,
    /// The link gets its records back: nothing is appended to it until they are whole.
    #[error(
        "the records of this link are being restored from the peer; nothing was recorded. Try again \
         in a minute; `liaison status` shows how far it is"
    )]
    Restoring,
    /// Entries given back do not belong to the tree that was signed.
    #[error("the entries are not those of the signed tree of {size}")]
    NotOfTree {
        /// Size of the signed tree.
        size: u64,
    },
    /// A receipt for another tree than the one recorded here.
    #[error("the receipt is for another tree of size {size} than the own log's")]
    WrongTree {
        /// Size of the receipt.
        size: u64,
    },
}

impl RecordError {
    /// What an error of the store means for whoever asked.
    pub(crate) fn of(error: &StoreError) -> Self {
        match error {
            StoreError::Full { free, needed } => Self::Full {
                free_bytes: *free,
                needed_bytes: *needed,
            },
            StoreError::BlobBusy { .. } => Self::Busy {
                what: error.to_string(),
            },
            fatal if fatal.is_fatal() => Self::Stopped {
                reason: error.to_string(),
            },
            _ => Self::NotTaken {
                what: error.to_string(),
            },
        }
    }
}

pub(crate) type Reply<T> = oneshot::Sender<Result<T, RecordError>>;

/// What an entry holds until it is known what became of its commit.
#[derive(Debug, Default)]
pub(crate) struct Holds {
    /// Its case, if it was judged in one.
    pub(crate) case: Option<CaseLock>,
    /// Its id and files, if somebody submitted it.
    pub(crate) claim: Option<Claim>,
}

/// A step of the path.
#[derive(Debug)]
pub(crate) enum Command {
    /// Append to the own log; answered when durable. What it holds is held until then, whoever still
    /// waits for the answer.
    Append(LinkNumber, Box<OwnEntry>, Holds, Reply<Recorded>),
    /// Extend the mirror; answered when durable *and* under the high-water mark, so that the
    /// answer is the permission to cosign.
    Mirror(Box<MirrorRun>, Reply<()>),
    /// Keep an entry that came ahead of its turn; answered when durable.
    Express(LinkNumber, u64, Box<PeerEntry>, Reply<()>),
    /// Keep a receipt; answered when durable.
    Settle(LinkNumber, Box<Verified<Receipt>>, Reply<()>),
    /// Keep what was cosigned for the peer.
    KeepCosigned(LinkNumber, Box<Verified<Receipt>>),
    /// Keep the peer's latest dated checkpoint of its size, unless it contradicts an earlier one.
    KeepDated(LinkNumber, Box<Verified<SignedCheckpoint>>, Reply<()>),
    /// Stop a link, with the incident that tells of it.
    Hold(LinkNumber, Box<Hold>, Box<Incident>, Reply<()>),
    /// The peer says that it has stopped the link; or it goes on.
    PeerHold(
        LinkNumber,
        Option<Box<Hold>>,
        Option<Box<Incident>>,
        Reply<()>,
    ),
    /// Let a link go on. An expressed entry that is not what came at its index is forgotten: its
    /// index, and its id.
    Release(
        LinkNumber,
        Box<Release>,
        Option<(u64, MessageId)>,
        Box<Incident>,
        Reply<()>,
    ),
    /// Keep what an identity has taken of its day, for what no message records.
    KeepUsage(Arc<Meter>),
    /// Something a person should look at.
    Incident(Box<Incident>),
    /// Something owed has reached a stage; answered when durable, with whether this is the first
    /// time.
    Reach(LinkNumber, Box<Reached>, DutyKey, LogSide, Reply<bool>),
    /// The peer's message at an index breaks the rules of its case: noted once, with the incident
    /// if it is told by itself.
    NoteBreach(LinkNumber, u64, Option<Box<Incident>>, Reply<bool>),
    /// Keep which bundles of the peer were taken in last; answered when durable.
    BundlesTaken(LinkNumber, Vec<MessageId>, Reply<()>),
    /// Write rows that were derived from the logs, and that may be derived again; answered when
    /// durable.
    Derived(Vec<Write>, Reply<()>),
    /// Write and remove rows of an erasure; answered when durable.
    Erase(Vec<Write>, Reply<()>),
    /// Get records back, step by step; answered when the step is durable and its marks are.
    Restore(LinkNumber, Box<RestoreStep>, Reply<()>),
    /// Nothing; answered when everything asked before it has been done.
    Barrier(Reply<()>),
}

impl Command {
    /// What the space is for that it takes; `None` where that is next to nothing, or where nothing
    /// else can go on before it. The commit looks at the floor in any case.
    pub(crate) fn share(&self) -> Option<Share> {
        let is_reserved = match self {
            // What the node itself says, it owes.
            Self::Append(_, own, _, _) => own.author.is_none() || own.facts.urgent,
            // What was refused has no say in it.
            Self::Mirror(run, _) => {
                let mut facts = run.entries.iter().filter_map(|entry| entry.facts.as_ref());
                facts.all(|facts| facts.urgent)
            }
            Self::Express(_, _, entry, _) => {
                let facts = entry.facts.as_ref();
                facts.is_some_and(|facts| facts.urgent)
            }
            // It can be derived again.
            Self::Derived(..) => false,
            _ => return None,
        };
        Some(if is_reserved {
            Share::Reserved
        } else {
            Share::Ordinary
        })
    }

    /// Bytes it adds to a commit, roughly.
    pub(crate) fn cost_bytes(&self) -> usize {
        match self {
            Self::Append(_, own, _, _) => own.leaf.cost_bytes,
            Self::Mirror(run, _) => run.entries.iter().map(|e| e.leaf.cost_bytes).sum(),
            Self::Express(_, _, entry, _) => entry.leaf.cost_bytes,
            Self::Settle(..)
            | Self::KeepCosigned(..)
            | Self::KeepDated(..)
            | Self::BundlesTaken(..) => 1 << 10,
            Self::Hold(..)
            | Self::PeerHold(..)
            | Self::Release(..)
            | Self::Incident(..)
            | Self::Reach(..)
            | Self::NoteBreach(..) => 4 << 10,
            Self::Derived(writes, _) | Self::Erase(writes, _) => {
                let bytes = |(key, value): &Write| key.len() + value.as_ref().map_or(0, Vec::len);
                writes.iter().map(bytes).sum()
            }
            Self::Restore(_, step, _) => step.cost_bytes(),
            Self::KeepUsage(..) | Self::Barrier(..) => 0,
        }
    }
}

impl Leaf {
    /// A leaf whose parts are placed by size; those that do not fit must be written to files
    /// first, see `Exchange::place`.
    pub(crate) fn inline(hash: Hash, entry: Bytes, body: StoredBody) -> Self {
        let body_bytes = match &body {
            StoredBody::Inline { body, .. } => body.len(),
            StoredBody::Sealed { bytes, .. } => bytes.len(),
            StoredBody::File { .. } | StoredBody::SealedFile { .. } | StoredBody::Absent => 0,
        };
        Self {
            hash,
            said: None,
            cost_bytes: entry.len() + body_bytes + 256,
            kept_bytes: (entry.len() + SALT_BYTES + body_bytes) as u64,
            entry: StoredEntry::Inline(entry),
            body,
        }
    }

    /// The same, with what it says.
    pub(crate) fn saying(
        mut self,
        said: Option<&workflow::Facts>,
        vault: Option<&Arc<Vault>>,
    ) -> Self {
        let vault = vault.map(|vault| &**vault);
        self.said = said.and_then(|said| sealed_facts::keep(said, &self.body, vault));
        self.cost_bytes += self.said.as_ref().map_or(0, |said| said.bytes.len());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_fatal_asks_for_a_restart() {
        let big = StoreError::BatchTooLarge {
            bytes: 2,
            bytes_max: 1,
        };
        let busy = StoreError::BlobBusy {
            digest: "00".to_owned(),
        };
        let unknown = StoreError::OutcomeUnknown {
            what: "fdatasync".to_owned(),
        };
        let (big, busy) = (RecordError::of(&big), RecordError::of(&busy));
        assert!(matches!(big, RecordError::NotTaken { .. }), "{big}");
        assert!(matches!(busy, RecordError::Busy { .. }), "{busy}");
        for error in [big, busy] {
            assert!(!error.to_string().contains("restart"), "{error}");
        }
        let unknown = RecordError::of(&unknown);
        assert!(matches!(unknown, RecordError::Stopped { .. }), "{unknown}");
    }

    #[test]
    fn a_full_disk_is_told_with_the_numbers_that_are_known() {
        let told = |free, needed| RecordError::of(&StoreError::Full { free, needed }).to_string();
        assert!(told(5, 9).starts_with("the disk is full: 5 bytes are free, 9 are needed; "));
        assert!(told(0, 0).starts_with("the disk is full, or its quota is used up; "));
    }
}

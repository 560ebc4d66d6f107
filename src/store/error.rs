//! Why the store did not do what was asked, grouped by what its caller does next.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::VaultError;

/// What to do about records that are damaged, lost or older than they were.
pub const DO_NOW: &str = "delete nothing; the other side holds a full, signed mirror of what was \
     sent. If the right data directory is at hand, put it back; else stop the node and run \
     `liaison recover`, which keeps what is here and fetches the rest back. docs/operations.md, \
     \"Records that are damaged or lost\", says more";

/// How full the disk is, in words. Numbers are known when the store looked before it wrote; when
/// the operating system refused a write, they are not, and both are 0.
pub(crate) fn full_text(free: u64, needed: u64) -> String {
    if needed == 0 {
        "the disk is full, or its quota is used up".to_owned()
    } else {
        format!("the disk is full: {free} bytes are free, {needed} are needed")
    }
}

/// What a store answers when it cannot do what was asked, grouped by who has to act.
///
/// [`is_fatal`](StoreError::is_fatal) tells the two worlds apart: either nothing happened and the
/// store goes on, or nobody knows what is on disk and the node must stop and open the store anew.
/// It is cheap to clone, because one failed commit answers a whole group of callers.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    // --- The caller asked for what the store does not take. Nothing was written. ---
    /// A value is larger than [`limits::VALUE_BYTES_MAX`](crate::limits::VALUE_BYTES_MAX).
    #[error(
        "a value of {bytes} bytes is larger than the store takes ({bytes_max}); keep it as a blob"
    )]
    ValueTooLarge {
        /// Size of the value.
        bytes: usize,
        /// The largest that is taken.
        bytes_max: usize,
    },
    /// A key is empty, longer than [`limits::KEY_BYTES_MAX`](crate::limits::KEY_BYTES_MAX), or in
    /// the range that the store keeps for itself (first byte 0xFF).
    #[error("a key of {bytes} bytes is empty, too long, or begins with the reserved byte 0xFF")]
    KeyRefused {
        /// Size of the key.
        bytes: usize,
    },
    /// A batch is larger than [`limits::BATCH_BYTES_MAX`](crate::limits::BATCH_BYTES_MAX).
    #[error("a batch of {bytes} bytes is larger than one commit takes ({bytes_max})")]
    BatchTooLarge {
        /// Size of the batch.
        bytes: usize,
        /// The largest that is taken.
        bytes_max: usize,
    },
    /// A mark would go back, or name another tree of the same size. A node never signs two trees
    /// of one size, so the mark is refused before anything could be signed.
    #[error(
        "{origin}: the recorded mark is size {marked}; size {asked} would go back or differ at the same size"
    )]
    MarkRefused {
        /// The log.
        origin: String,
        /// Size that is recorded.
        marked: u64,
        /// Size that was to be recorded.
        asked: u64,
    },
    /// A blob is larger than it may be.
    #[error("a blob of {bytes} bytes is larger than allowed ({bytes_max})")]
    BlobTooLarge {
        /// Size of the blob, as far as known.
        bytes: u64,
        /// The largest that is taken.
        bytes_max: u64,
    },
    /// A chunk does not begin where the held part ends.
    #[error("the chunk begins at byte {asked}, the held part ends at {held}; go on from there")]
    BlobOffset {
        /// Bytes that are held.
        held: u64,
        /// Where the chunk begins.
        asked: u64,
    },
    /// The content is not what its digest says. What was held of it is dropped.
    #[error("the content has digest {found}, {expected} was announced; send it again")]
    BlobDigest {
        /// Announced digest, hex.
        expected: String,
        /// Digest of what is held, hex.
        found: String,
    },
    /// Someone else is writing or finishing the same blob.
    #[error("blob {digest} is being written by someone else")]
    BlobBusy {
        /// Digest, hex.
        digest: String,
    },

    // --- Not now. Nothing was written; try again later. ---
    /// The disk is full, or so nearly full that only the reserve is left.
    #[error(
        "{}; free some space, nothing was written and nothing is lost", full_text(*.free, *.needed)
    )]
    Full {
        /// Bytes free for this user; 0 when only the operating system knows.
        free: u64,
        /// Bytes that must be free for this work, with the floor that stays free; 0 when only the
        /// operating system knows.
        needed: u64,
    },
    /// Another process has the store open.
    #[error(
        "{path} is in use by another process; stop the node that runs on it, or choose another directory"
    )]
    InUse {
        /// The store's directory.
        path: PathBuf,
    },
    /// There is no store here, and none was to be made.
    #[error(
        "there is no store in {path}; check the directory, or make a new node with `liaison init`"
    )]
    Missing {
        /// The directory that was looked at.
        path: PathBuf,
    },
    /// A recovery was begun here and not finished.
    #[error("the recovery of {path} was begun and is not finished; go on with it: liaison recover")]
    Recovering {
        /// The store's directory.
        path: PathBuf,
    },
    /// The store was written by another version of this program.
    #[error(
        "{path} has storage version {found}, this program knows version {supported}; use the version of \
         liaison that wrote it. If no other ever ran here, that file is damaged: liaison recover --lost"
    )]
    Version {
        /// The file that says so.
        path: PathBuf,
        /// The version found.
        found: String,
        /// The version this program reads and writes.
        supported: u32,
    },

    // --- It is sealed, and there is no key. Nothing else is wrong. ---
    /// Its key was destroyed: it was erased, for ever.
    #[error("{path} is erased: its key was destroyed")]
    Erased {
        /// The sealed file.
        path: PathBuf,
    },
    /// The key files beside the store do not give what is needed.
    #[error("{0}")]
    Keys(Arc<VaultError>),

    // --- What is on disk must not be served. ---
    /// The files are damaged.
    #[error("{path} is damaged: {what}; {DO_NOW}")]
    Corrupt {
        /// The damaged file or directory.
        path: PathBuf,
        /// What was seen.
        what: String,
    },
    /// A store was here, and is gone. An empty store must never stand in for it.
    #[error("{path}: a store was made here and {what}; {DO_NOW}")]
    Vanished {
        /// The store's directory.
        path: PathBuf,
        /// What is missing.
        what: String,
    },
    /// The store holds less than the marks say was held.
    #[error("the store holds less than it did: {what}; {DO_NOW}")]
    Shortened {
        /// Each log that is short, with both sizes.
        what: String,
    },

    // --- Nobody knows what is on disk. Stop, and open the store anew. ---
    /// A commit failed at a point where it may or may not have taken effect; so does every
    /// commit after it, until the store is opened anew.
    #[error(
        "it is not known whether the last commit is on disk ({what}); restart the node, it will find out"
    )]
    OutcomeUnknown {
        /// What failed.
        what: String,
    },
    /// The operating system reported an error.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was being done.
        action: &'static str,
        /// To which file.
        path: PathBuf,
        /// The answer of the operating system.
        source: Arc<io::Error>,
    },
}

impl From<VaultError> for StoreError {
    /// What the disk refused stays that.
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::Store(error) => error,
            other => Self::Keys(Arc::new(other)),
        }
    }
}

impl StoreError {
    /// Whether the store must not be used further: stop acknowledging and signing, and open it
    /// anew (which may refuse, with a remedy).
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        matches!(
            self,
            StoreError::Corrupt { .. }
                | StoreError::Vanished { .. }
                | StoreError::Shortened { .. }
                | StoreError::OutcomeUnknown { .. }
                | StoreError::Io { .. }
        )
    }

    /// Wraps an error of the operating system about a file beside the store.
    #[must_use]
    pub fn of_io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::io(action, path, source)
    }

    /// Wraps an error of the operating system; a full disk keeps its own name.
    pub(super) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                StoreError::Full { free: 0, needed: 0 }
            }
            _ => StoreError::Io {
                action,
                path: path.to_owned(),
                source: Arc::new(source),
            },
        }
    }

    pub(super) fn corrupt(path: &Path, what: impl Into<String>) -> Self {
        StoreError::Corrupt {
            path: path.to_owned(),
            what: what.into(),
        }
    }

    pub(super) fn vanished(path: &Path, what: impl Into<String>) -> Self {
        StoreError::Vanished {
            path: path.to_owned(),
            what: what.into(),
        }
    }

    pub(super) fn unknown(what: impl Into<String>) -> Self {
        StoreError::OutcomeUnknown { what: what.into() }
    }
}

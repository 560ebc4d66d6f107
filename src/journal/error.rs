//! Why the journal did not take something, or does not open.

use crate::crypto::checkpoint::CheckpointError;
use crate::store::StoreError;
use crate::tlog::TreeError;

/// What went wrong with the journal. What it should have recorded is not done then.
#[derive(Debug, Clone, thiserror::Error)]
pub enum JournalError {
    /// A field of a deed is over its limit.
    #[error("the field {field} of a journal entry has {bytes} bytes, at most {bytes_max}")]
    TooLong {
        /// Which.
        field: &'static str,
        /// Its bytes.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// The disk is full.
    #[error(
        "the disk is full ({free} bytes free, {needed} needed): what is done with messages cannot be \
         journalled, and is therefore refused. Free some space; it goes on by itself"
    )]
    Full {
        /// Free now.
        free: u64,
        /// What must be free.
        needed: u64,
    },
    /// The store has failed; nothing is journalled until a restart.
    #[error(
        "the journal has failed ({reason}): what should be journalled is refused until the node is \
         started again"
    )]
    Stopped {
        /// Why.
        reason: String,
    },
    /// Its disk does not answer.
    #[error(
        "the journal's disk does not answer: what should be journalled is refused meanwhile. Look at \
         that disk; the node goes on by itself once it answers"
    )]
    Hangs,
    /// The journal is not what it was.
    #[error(
        "the journal was set back: {what}. Somebody put an older copy in its place, or its disk lost \
         data. Keep it as it is and find out; then put the right one back, or begin another, which says \
         so for ever and which the peers must accept: liaison journal begin --reason TEXT"
    )]
    SetBack {
        /// How.
        what: String,
    },
    /// The journal is gone.
    #[error(
        "the journal that was made here is gone: {what}. Put it back; or begin another, which says so \
         for ever and which the peers must accept: liaison journal begin --reason TEXT"
    )]
    Gone {
        /// What is gone.
        what: String,
    },
    /// Its content is damaged.
    #[error("the journal is damaged: {what}")]
    Damaged {
        /// What.
        what: String,
    },
    /// Its format is of another version.
    #[error("the journal has format {found}, this program knows {known}")]
    Format {
        /// Found.
        found: u32,
        /// Known.
        known: u32,
    },
    /// The reason for something cannot be taken.
    #[error("the reason is empty, or holds control or direction characters: say in one line why")]
    Reason,
    /// No key to sign with.
    #[error("no log key is at hand to sign the journal with")]
    NoKey,
    /// A note does not verify.
    #[error(transparent)]
    Note(#[from] CheckpointError),
}

impl JournalError {
    /// Whether a node must not start with such a journal: it is not the one that was made here, or not one
    /// of this program. With any other the node starts, and refuses what must be journalled.
    #[must_use]
    pub fn forbids_start(&self) -> bool {
        matches!(
            self,
            Self::SetBack { .. } | Self::Gone { .. } | Self::Format { .. }
        )
    }

    /// A word for programs.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "JOURNAL_FIELD_TOO_LONG",
            Self::Full { .. } => "DISK_FULL",
            Self::Stopped { .. } => "JOURNAL_STOPPED",
            Self::Hangs => "JOURNAL_HANGS",
            Self::SetBack { .. } => "JOURNAL_SET_BACK",
            Self::Gone { .. } => "JOURNAL_GONE",
            Self::Damaged { .. } => "JOURNAL_DAMAGED",
            Self::Format { .. } => "JOURNAL_FORMAT",
            Self::Reason => "JOURNAL_REASON",
            Self::NoKey => "JOURNAL_NO_KEY",
            Self::Note(_) => "JOURNAL_NOTE",
        }
    }
}

impl From<StoreError> for JournalError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full { free, needed } => Self::Full { free, needed },
            StoreError::Vanished { .. } | StoreError::Missing { .. } => Self::Gone {
                what: error.to_string(),
            },
            StoreError::Corrupt { .. } => Self::Damaged {
                what: error.to_string(),
            },
            error => Self::Stopped {
                reason: error.to_string(),
            },
        }
    }
}

impl From<TreeError<JournalError>> for JournalError {
    fn from(error: TreeError<JournalError>) -> Self {
        match error {
            TreeError::Read(error) => error,
            other => Self::Damaged {
                what: other.to_string(),
            },
        }
    }
}

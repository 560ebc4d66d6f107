//! Checkpoints: what a log says of itself, and who vouches for it.
//!
//! A [`Checkpoint`] is origin, size and root. The sender signs it and dates it
//! ([`SignedCheckpoint`]); the mirror's cosignature makes it a [`Receipt`].
//! Sources: <https://c2sp.org/tlog-checkpoint>, <https://c2sp.org/tlog-cosignature>.

mod sign;
mod verify;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

pub use self::sign::{cosign, sign_checkpoint};
pub use self::verify::{AuthorKeys, LogVerifier, LogVerifierError, MirrorKey};
use super::note::NoteError;
use crate::limits::{
    CHECKPOINT_SIZE_MAX, NOTE_BYTES_MAX, NOTE_COSIGNATURE_BYTES_MAX, NOTE_SIGNATURES_MAX,
};
use crate::tlog::Hash;

/// Why a checkpoint or a receipt is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Not a note, or a known key's line does not hold.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// A line of the text is not as it must be.
    #[error("line {line} of the checkpoint is malformed: {reason}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// The checkpoint of another log.
    #[error("the checkpoint is of log \"{found}\", not of {expected}")]
    Origin {
        /// The origin wanted.
        expected: String,
        /// The origin found, escaped and shortened.
        found: String,
    },
    /// A signature that must be there is not.
    #[error("the checkpoint lacks {role}'s signature (name {name}, key id {key_id:08x})")]
    MissingSignature {
        /// Whose: the log's, the author's or the mirror's.
        role: &'static str,
        /// The key name.
        name: String,
        /// The key id.
        key_id: u32,
    },
    /// Known keys have signed, and none of them holds at this size.
    #[error(
        "the checkpoint of size {size} is signed by {role} only with keys that do not hold there"
    )]
    KeyNotHolding {
        /// Whose: the log's or the mirror's.
        role: &'static str,
        /// The size.
        size: u64,
    },
    /// The note is so full that a cosignature has no room.
    #[error(
        "the checkpoint leaves no room for a cosignature: at most {} signature lines and {} bytes",
        NOTE_SIGNATURES_MAX - 1,
        NOTE_BYTES_MAX - NOTE_COSIGNATURE_BYTES_MAX
    )]
    NoRoom,
}

/// A log at one size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log: `<sender>/<recipient>`.
    pub origin: String,
    /// Number of leaves.
    pub size: u64,
    /// Root of the RFC 6962 tree of that size.
    pub root: Hash,
}

/// A checkpoint signed by its log and dated by its author.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    /// What is signed.
    pub checkpoint: Checkpoint,
    /// When the author signed, Unix seconds, by its clock.
    pub authored_at: u64,
    /// The whole note, as signed or received.
    pub note: String,
}

/// A checkpoint cosigned by the mirror: it durably holds the log up to that size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// What the mirror cosigned: the note without the mirror's line.
    pub signed: SignedCheckpoint,
    /// When the mirror cosigned, Unix seconds, by its clock.
    pub cosigned_at: u64,
    /// The whole note, with the mirror's line.
    pub note: String,
}

impl Checkpoint {
    /// The note text: three lines.
    #[must_use]
    pub fn encode(&self) -> String {
        format!(
            "{}\n{}\n{}\n",
            self.origin,
            self.size,
            STANDARD.encode(self.root.0)
        )
    }

    /// Reads a note text, strictly. Extension lines are accepted and ignored.
    ///
    /// Refused beyond the specification: sizes above 2^63 − 1, which other tools cannot hold, and
    /// an empty tree with a root that is not the empty one.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Line`].
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let fault = |line, reason| CheckpointError::Line { line, reason };
        let mut lines = text
            .strip_suffix('\n')
            .ok_or(fault(
                text.split('\n').count(),
                "it does not end with a newline",
            ))?
            .split('\n');

        let origin = lines
            .next()
            .filter(|origin| !origin.is_empty())
            .ok_or(fault(1, "no origin"))?;
        let size = lines
            .next()
            .and_then(parse_size)
            .ok_or(fault(2, "not a strict decimal size"))?;
        let root = lines
            .next()
            .and_then(parse_root)
            .ok_or(fault(3, "not strict base64 of 32 bytes"))?;
        if size == 0 && root != Hash::EMPTY_ROOT {
            return Err(fault(3, "not the root of an empty tree"));
        }
        if let Some(blank) = lines.position(str::is_empty) {
            return Err(fault(4 + blank, "an empty extension line"));
        }
        Ok(Self {
            origin: origin.to_owned(),
            size,
            root,
        })
    }
}

/// ASCII decimal without sign or leading zeros.
fn parse_size(text: &str) -> Option<u64> {
    let strict =
        text == "0" || (!text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit()));
    text.parse()
        .ok()
        .filter(|&size| strict && size <= CHECKPOINT_SIZE_MAX)
}

fn parse_root(text: &str) -> Option<Hash> {
    STANDARD.decode(text).ok()?.try_into().ok().map(Hash)
}

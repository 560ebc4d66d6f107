//! What is journalled: a deed in, the bytes of a leaf out.

use std::fmt::Display;

use prost::Message as _;

use super::JournalError;
use crate::limits::{
    JOURNAL_ENTRY_BYTES_MAX, JOURNAL_WHAT_BYTES_MAX, JOURNAL_WHO_BYTES_MAX, LINE_BYTES_MAX,
};
use crate::proto::v1::JournalEntry;

pub use crate::proto::v1::JournalAct as Act;

/// Bytes of salt in each entry.
pub const SALT_BYTES: usize = 16;

/// What somebody did: who and what, and what it was done to.
///
/// Nothing here may hold a body, a name of a person in a message, or a name of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Deed {
    entry: JournalEntry,
}

impl Deed {
    /// A deed of somebody: role and name, such as `operator/mai`; `node` or `retention` for what the
    /// node does by itself.
    #[must_use]
    pub fn new(who: impl Display, act: Act) -> Self {
        Self {
            entry: JournalEntry {
                who: who.to_string(),
                act: act as i32,
                ..JournalEntry::default()
            },
        }
    }

    /// The peer of the link concerned.
    #[must_use]
    pub fn peer(mut self, peer: impl Display) -> Self {
        self.entry.peer = peer.to_string();
        self
    }

    /// The id of the message concerned.
    #[must_use]
    pub fn message(mut self, id: impl Display) -> Self {
        self.entry.message_id = id.to_string();
        self
    }

    /// The reason that somebody typed, at most [`LINE_BYTES_MAX`].
    #[must_use]
    pub fn why(mut self, why: impl Into<String>) -> Self {
        self.entry.why = why.into();
        self
    }

    /// What it was done to, where that is no message: a call, the role of a key.
    #[must_use]
    pub fn what(mut self, what: impl Display) -> Self {
        self.entry.what = what.to_string();
        self
    }

    /// SHA-256 of the file or configuration concerned.
    #[must_use]
    pub fn digest(mut self, digest: [u8; 32]) -> Self {
        self.entry.digest = digest.to_vec().into();
        self
    }

    /// How often, if more than once.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.entry.times = if times > 1 { times } else { 0 };
        self
    }

    /// Its bytes, undated and without salt: the same for the same deed.
    pub(crate) fn encoded(&self) -> Vec<u8> {
        self.entry.encode_to_vec()
    }

    /// What was done.
    #[must_use]
    pub fn act(&self) -> Act {
        self.entry.act()
    }

    /// The same, if every field is within its limit.
    ///
    /// # Errors
    /// [`JournalError::TooLong`].
    pub fn checked(self) -> Result<Self, JournalError> {
        let entry = self.check()?;
        Ok(Self { entry })
    }

    /// Checks every limit.
    ///
    /// # Errors
    /// [`JournalError::TooLong`].
    pub(super) fn check(self) -> Result<JournalEntry, JournalError> {
        let entry = self.entry;
        for (field, text, bytes_max) in [
            ("who", &entry.who, JOURNAL_WHO_BYTES_MAX),
            ("peer", &entry.peer, PEER_BYTES_MAX),
            ("message_id", &entry.message_id, ID_BYTES_MAX),
            ("why", &entry.why, LINE_BYTES_MAX),
            ("what", &entry.what, JOURNAL_WHAT_BYTES_MAX),
        ] {
            let bytes = text.len();
            if bytes > bytes_max {
                return Err(JournalError::TooLong {
                    field,
                    bytes,
                    bytes_max,
                });
            }
        }
        Ok(entry)
    }
}

/// A node's name.
const PEER_BYTES_MAX: usize = 253;
/// A UUID as text.
const ID_BYTES_MAX: usize = 36;

/// The bytes of the leaf: dated and salted.
pub(super) fn leaf(mut entry: JournalEntry, unix_ms: u64, salt: [u8; SALT_BYTES]) -> Vec<u8> {
    entry.at = Some(prost_types::Timestamp {
        seconds: i64::try_from(unix_ms / 1_000).unwrap_or(i64::MAX),
        nanos: i32::try_from(unix_ms % 1_000).unwrap_or_default() * 1_000_000,
    });
    entry.salt = salt.to_vec().into();
    let bytes = entry.encode_to_vec();
    debug_assert!(bytes.len() <= JOURNAL_ENTRY_BYTES_MAX);
    bytes
}

/// An act by the word that people use for it: `read`, `keys-changed`.
#[must_use]
pub fn word_of(act: Act) -> String {
    let name = act.as_str_name();
    let name = name.strip_prefix("JOURNAL_ACT_").unwrap_or(name);
    name.to_ascii_lowercase().replace('_', "-")
}

/// The act of such a word.
#[must_use]
pub fn act_of(word: &str) -> Option<Act> {
    let name = format!(
        "JOURNAL_ACT_{}",
        word.to_ascii_uppercase().replace('-', "_")
    );
    Act::from_str_name(&name).filter(|act| *act != Act::Unspecified)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_lead_back_to_their_acts() {
        for number in 1..=24 {
            let act = Act::try_from(number).unwrap();
            assert_eq!(act_of(&word_of(act)), Some(act));
        }
        assert_eq!(act_of("unspecified"), None);
        assert_eq!(act_of("danced"), None);
    }

    #[test]
    fn each_field_is_taken_to_its_limit_and_not_a_byte_beyond() {
        let full = || {
            let peer = "p".repeat(PEER_BYTES_MAX);
            Deed::new("w".repeat(JOURNAL_WHO_BYTES_MAX), Act::Overrode)
                .peer(peer)
                .message("i".repeat(ID_BYTES_MAX))
                .why("y".repeat(LINE_BYTES_MAX))
                .what("t".repeat(JOURNAL_WHAT_BYTES_MAX))
                .digest([0xff; 32])
                .times(u32::MAX)
        };
        let entry = full().check().unwrap();
        let bytes = leaf(entry, u64::MAX, [0xff; SALT_BYTES]);
        assert!(bytes.len() <= JOURNAL_ENTRY_BYTES_MAX, "{}", bytes.len());
        for (field, deed) in [
            ("peer", full().peer("p".repeat(PEER_BYTES_MAX + 1))),
            ("message_id", full().message("i".repeat(ID_BYTES_MAX + 1))),
            ("why", full().why("y".repeat(LINE_BYTES_MAX + 1))),
            ("what", full().what("t".repeat(JOURNAL_WHAT_BYTES_MAX + 1))),
            (
                "who",
                Deed::new("w".repeat(JOURNAL_WHO_BYTES_MAX + 1), Act::Read),
            ),
        ] {
            match deed.check() {
                Err(JournalError::TooLong { field: found, .. }) => assert_eq!(found, field),
                other => panic!("{field}: {other:?}"),
            }
        }
    }
}

//! `BACKUP.json`: what belongs to a backup, by digest.
//!
//! It names no paths: content lies under its own digest, so no name in it can lead anywhere. Its
//! last field is the SHA-256 of the rest, so a changed byte of it shows.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::limits::{
    BACKUP_CONFIG_FILES_MAX, BACKUP_HELD_MAX, BACKUP_SEGMENT_ENTRIES, VKEY_BYTES_MAX,
};
use crate::model::text::escape;
use crate::model::{NodeName, Origin};
use crate::tlog::{Hash, node_hash};

/// What the first field says.
pub const FORMAT: &str = "liaison backup";
/// Version of everything in the folder.
pub const VERSION: u32 = 1;

/// Why a manifest is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Not JSON of this form.
    #[error("it is not the BACKUP.json of a backup: {0}")]
    Malformed(String),
    /// Written by another version.
    #[error("it has version {found}, this program knows {VERSION}; use the version that wrote it")]
    Version {
        /// The version found.
        found: u32,
    },
    /// A byte of it is not what was written.
    #[error("it was changed after it was written: its own digest does not match")]
    Changed,
    /// A field says what cannot be.
    #[error("{field}: {reason}")]
    Field {
        /// Which.
        field: String,
        /// What is wrong.
        reason: &'static str,
    },
}

/// A content of the backup, kept under its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Content {
    /// SHA-256, which is its name.
    pub sha256: Hex32,
    /// Bytes.
    pub bytes: u64,
    /// Items in it.
    pub count: u64,
}

/// Up to [`BACKUP_SEGMENT_ENTRIES`] entries of a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Segment {
    /// SHA-256 of the packed entries.
    pub sha256: Hex32,
    /// Bytes.
    pub bytes: u64,
    /// Merkle tree hash of the entries.
    pub root: Hex32,
}

/// One log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogContent {
    /// `<sender>/<recipient>`.
    pub origin: String,
    /// Entries.
    pub size: u64,
    /// Merkle tree hash of all of them.
    pub root: Hex32,
    /// The entries, [`BACKUP_SEGMENT_ENTRIES`] each, the last one what is left.
    pub segments: Vec<Segment>,
    /// The checkpoints of sizes 1 to [`BACKUP_SEGMENT_ENTRIES`], of the next so many, and so on.
    pub notes: Vec<Content>,
    /// The newest receipt or cosigned checkpoint, verbatim; empty where there is none.
    pub checkpoint: String,
    /// Its size; 0 where there is none.
    pub checkpoint_size: u64,
}

/// Both logs of a link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkContent {
    /// The peer.
    pub peer: String,
    /// Number of the link in the store.
    pub number: u16,
    /// The log that the node wrote.
    pub own: LogContent,
    /// The mirror of the peer's.
    pub mirror: LogContent,
}

/// A file of the configuration, for reference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigFile {
    /// Its name without directories.
    pub name: String,
    /// SHA-256 of its content.
    pub sha256: Hex32,
}

/// What belongs to a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: String,
    /// [`VERSION`].
    pub version: u32,
    /// How many backups were made into this folder.
    pub generation: u64,
    /// The node.
    pub node: String,
    /// The moment that it is of, milliseconds since 1970.
    pub taken_at_ms: u64,
    /// The same, for people.
    pub taken_at: String,
    /// Version of the store's keys and records.
    pub store_format: u32,
    /// The node's message key.
    pub message_key: String,
    /// The node's log key.
    pub log_key: String,
    /// Its links, by number.
    pub links: Vec<LinkContent>,
    /// What no log tells, as rows.
    pub rows: Content,
    /// The files that messages name.
    pub files: Content,
    /// The configuration, for reference.
    pub config: Vec<ConfigFile>,
    /// SHA-256 of this document with an empty text here.
    pub sha256: String,
}

/// 32 bytes in hexadecimal, lower case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hex32(pub [u8; 32]);

impl std::fmt::Display for Hex32 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl std::fmt::Debug for Hex32 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl Serialize for Hex32 {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hex32 {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut out = [0; 32];
        match hex::decode_to_slice(&text, &mut out) {
            Ok(()) if hex::encode(out) == text => Ok(Self(out)),
            _ => Err(serde::de::Error::custom("not 64 hexadecimal digits")),
        }
    }
}

impl Manifest {
    /// Its bytes, with its own digest.
    ///
    /// # Errors
    /// When it cannot be serialized.
    pub fn encode(&self) -> Result<Vec<u8>, ManifestError> {
        let mut unsigned = self.clone();
        unsigned.sha256 = String::new();
        let digest = Sha256::digest(unsigned.text()?);
        unsigned.sha256 = hex::encode(digest);
        unsigned.text()
    }

    fn text(&self) -> Result<Vec<u8>, ManifestError> {
        let mut text = serde_json::to_vec_pretty(self)
            .map_err(|error| ManifestError::Malformed(error.to_string()))?;
        text.push(b'\n');
        Ok(text)
    }

    /// Reads a manifest and checks that every number in it can be.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, ManifestError> {
        /// What every version begins with.
        #[derive(Deserialize)]
        struct Head {
            format: String,
            version: u32,
        }
        // What it quotes of the file may steer a terminal.
        let malformed = |error: serde_json::Error| {
            ManifestError::Malformed(escape(&error.to_string()).into_owned())
        };
        let head: Head = serde_json::from_slice(bytes).map_err(malformed)?;
        if head.format != FORMAT {
            return Err(ManifestError::Malformed("its format is another".to_owned()));
        }
        if head.version != VERSION {
            return Err(ManifestError::Version {
                found: head.version,
            });
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(malformed)?;
        if manifest.encode()? != bytes {
            return Err(ManifestError::Changed);
        }
        manifest.check()?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), ManifestError> {
        let wrong = |field: &str, reason| ManifestError::Field {
            field: field.to_owned(),
            reason,
        };
        let node = NodeName::parse(&self.node).map_err(|_| wrong("node", "not a node name"))?;
        if self.taken_at != super::time_text(self.taken_at_ms) {
            return Err(wrong("taken_at", "not the time that taken_at_ms is"));
        }
        for (field, key) in [
            ("message_key", &self.message_key),
            ("log_key", &self.log_key),
        ] {
            // Shown to people when it is another one.
            if key.len() > VKEY_BYTES_MAX || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(wrong(field, "not a key"));
            }
        }
        if self.links.len() > BACKUP_HELD_MAX / 2 {
            return Err(wrong("links", "more links than a node takes"));
        }
        if self.config.len() > BACKUP_CONFIG_FILES_MAX {
            return Err(wrong("config", "more files than a configuration has"));
        }
        for file in &self.config {
            if !is_plain_name(&file.name) {
                return Err(wrong("config", "a name that is no plain file name"));
            }
        }
        let mut last = 0;
        for link in &self.links {
            let peer = NodeName::parse(&link.peer).map_err(|_| wrong("peer", "not a node name"))?;
            if link.number <= last {
                return Err(wrong(
                    "number",
                    "links are not in the order of their numbers",
                ));
            }
            last = link.number;
            let own = Origin::new(node.clone(), peer);
            for (log, origin) in [
                (&link.own, own.to_string()),
                (&link.mirror, own.reversed().to_string()),
            ] {
                log.check(&origin)?;
            }
        }
        Ok(())
    }

    /// Every log, with the number of its link and whether it is the node's own.
    pub fn logs(&self) -> impl Iterator<Item = (&LinkContent, bool, &LogContent)> {
        self.links
            .iter()
            .flat_map(|link| [(link, true, &link.own), (link, false, &link.mirror)])
    }

    /// The content that it names, but for the files of messages.
    pub fn contents(&self) -> impl Iterator<Item = [u8; 32]> {
        let logs = self.logs().flat_map(|(_, _, log)| {
            let segments = log.segments.iter().map(|segment| segment.sha256.0);
            segments.chain(log.notes.iter().map(|notes| notes.sha256.0))
        });
        logs.chain([self.rows.sha256.0, self.files.sha256.0])
    }
}

impl LogContent {
    fn check(&self, origin: &str) -> Result<(), ManifestError> {
        let wrong = |reason| ManifestError::Field {
            field: origin.to_owned(),
            reason,
        };
        if self.origin != origin {
            return Err(wrong("it stands where another log belongs"));
        }
        if self.segments.len() as u64 != self.size.div_ceil(BACKUP_SEGMENT_ENTRIES) {
            return Err(wrong("its segments are not as many as its size asks for"));
        }
        if self.notes.len() > self.segments.len() {
            return Err(wrong("it has checkpoints beyond its end"));
        }
        if self.checkpoint_size > self.size {
            return Err(wrong("its newest checkpoint lies beyond its end"));
        }
        let roots: Vec<_> = self.segments.iter().map(|s| Hash(s.root.0)).collect();
        if joined(&roots) != Hash(self.root.0) {
            return Err(wrong("its segments do not make up its root"));
        }
        Ok(())
    }

    /// Entries in whole segments: they never change.
    #[must_use]
    pub const fn settled_entries(&self) -> u64 {
        self.size - self.size % BACKUP_SEGMENT_ENTRIES
    }

    /// The size up to which no checkpoint comes any more: there is a receipt of a later piece.
    #[must_use]
    pub fn settled_notes(&self) -> u64 {
        let last = self.checkpoint_size.saturating_sub(1);
        last - last % BACKUP_SEGMENT_ENTRIES
    }

    /// Entries of a segment.
    #[must_use]
    pub fn entries_of(&self, segment: usize) -> u64 {
        let start = segment as u64 * BACKUP_SEGMENT_ENTRIES;
        self.size.saturating_sub(start).min(BACKUP_SEGMENT_ENTRIES)
    }
}

/// The Merkle tree hash of a log whose entries lie in segments of a power of two, from the hashes of
/// these (RFC 6962 §2.1): only the last one may be smaller.
#[must_use]
pub fn joined(roots: &[Hash]) -> Hash {
    match roots {
        [] => Hash::EMPTY_ROOT,
        [only] => *only,
        _ => {
            let left = (roots.len() - 1).checked_ilog2().map_or(1, |log| 1 << log);
            let (left, right) = roots.split_at(left);
            node_hash(&joined(left), &joined(right))
        }
    }
}

/// A file name that stays where it is put: letters, digits, `.`, `_`, `-`, not first a dot.
#[must_use]
pub fn is_plain_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    !name.is_empty() && name.len() <= 255 && !name.starts_with('.') && name.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tlog::{Tree, leaf_hash};

    #[test]
    fn segments_join_to_the_root_of_the_log() {
        const WIDTH: usize = 4;
        let mut tree = Tree::new();
        let leaves: Vec<_> = (0..70_u8).map(|n| leaf_hash(&[n])).collect();
        for (size, leaf) in leaves.iter().enumerate() {
            let roots: Vec<_> = leaves[..size]
                .chunks(WIDTH)
                .map(|chunk| {
                    let mut segment = Tree::new();
                    for leaf in chunk {
                        segment.append(*leaf, &mut Vec::new());
                    }
                    segment.root()
                })
                .collect();
            assert_eq!(joined(&roots), tree.root(), "size {size}");
            tree.append(*leaf, &mut Vec::new());
        }
    }

    #[test]
    fn names_lead_nowhere() {
        for name in [
            "",
            ".",
            "..",
            "a/b",
            "/etc/passwd",
            ".hidden",
            "a\\b",
            "a\0",
        ] {
            assert!(!is_plain_name(name), "{name:?}");
        }
        assert!(is_plain_name("hekou.ni.cn.example.link.toml"));
        assert!(is_plain_name(&"a".repeat(255)));
        assert!(!is_plain_name(&"a".repeat(256)));
    }
}

//! The export format: names of files, and the manifest.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::render::Absence;
use crate::crypto::change;
use crate::crypto::vkey::{Algorithm, VerifierKey};
use crate::model::{NodeName, Origin};
use crate::proto::v1::KeyRole;
use crate::tlog::path::{TileKind, TilePath};
use crate::tlog::{TILE_HEIGHT, TILE_WIDTH, decimal};

/// What the manifest calls this format.
pub const FORMAT: &str = "liaison-export";
/// Version of the format.
pub const VERSION: u32 = 1;
/// Path of the manifest.
pub const MANIFEST: &str = "MANIFEST.json";
/// Path of the claim that a side was late, in an export that is evidence of it.
pub const CLAIM: &str = "claims/lateness.json";
/// Path of the receipt of the message that the claim is about.
pub const CLAIM_RECEIPT: &str = "claims/receipt.tlog-proof";

/// `MANIFEST.json`: what the export holds and which keys it claims.
///
/// Not signed: everything in it that matters is checked against what is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: String,
    /// [`VERSION`].
    pub version: u32,
    /// The node that exported.
    pub node: String,
    /// When, RFC 3339 in UTC.
    pub exported_at: String,
    /// Whether the receipt of each entry is included.
    pub proofs: bool,
    /// The logs, each with a folder of its own.
    pub logs: Vec<ManifestLog>,
    /// Every public key.
    pub keys: Vec<ManifestKey>,
    /// Lower-case hex SHA-256 of every other file, by path.
    pub files: BTreeMap<String, String>,
}

/// One log of an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestLog {
    /// Origin of the log.
    pub origin: String,
    /// Its folder, see [`folder`].
    pub folder: String,
    /// Whether it is the exporter's own log or its mirror of the peer's.
    pub held: Held,
    /// Entries exported: the size of the latest cosigned checkpoint, 0 without one.
    pub size: u64,
    /// Entries that the node has recorded beyond it.
    pub recorded_beyond: u64,
    /// The vkeys of its author with which it began; those that are not among them came by changes of
    /// keys in this log, or are other logs'. Empty: all of the author's in the export.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub start_keys: Vec<String>,
    /// Bodies that are not in the export and why, by index, as far as the node says why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub absent: Vec<ManifestAbsent>,
}

/// A body that is not in an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestAbsent {
    /// Index of its entry.
    pub index: u64,
    /// Id of its message; empty where the header cannot be read.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// What became of it. The entry's `notifications/<index>.json` says the same.
    pub absence: Absence,
    /// Why, in words; the exporter's.
    pub why: String,
}

/// As what a node holds a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Held {
    /// The log of what it sent.
    Own,
    /// The mirror of what the peer sent.
    Mirror,
}

impl Held {
    /// As what `node` holds the log of `origin`; nothing if it has no part in it.
    #[must_use]
    pub fn of(node: &NodeName, origin: &Origin) -> Option<Self> {
        if origin.sender() == node {
            Some(Self::Own)
        } else if origin.recipient() == node {
            Some(Self::Mirror)
        } else {
            None
        }
    }
}

/// One public key of an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestKey {
    /// C2SP verifier key.
    pub vkey: String,
    /// What it signs.
    pub role: Role,
    /// From when it is valid, RFC 3339 in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<String>,
    /// Until when it is valid, RFC 3339 in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<String>,
}

/// What a key signs. Name and type of a key settle it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Entries (DSSE); named like the node.
    Message,
    /// Checkpoints of one log; named like its origin.
    Log,
    /// Dates and cosigns checkpoints; named like the node.
    Cosigner,
    /// Releases messages: a person's; named `<node>/<person>`.
    Officer,
    /// Kept offline, revokes the others; named `<node>/recovery`.
    Recovery,
}

impl Role {
    /// The role of a key; nothing if its name is neither a node's nor an origin.
    #[must_use]
    pub fn of(key: &VerifierKey) -> Option<Self> {
        let node = || NodeName::parse(key.name()).is_ok();
        match key.algorithm() {
            Algorithm::Cosignature => node().then_some(Self::Cosigner),
            Algorithm::Ed25519 if node() => Some(Self::Message),
            Algorithm::Ed25519 if Origin::parse(key.name()).is_ok() => Some(Self::Log),
            Algorithm::Ed25519 => {
                let (node, _) = key.name().split_once('/')?;
                let node = NodeName::parse(node).ok()?;
                let is = |role| change::is_of_role(key, role, &node);
                if is(KeyRole::Recovery) {
                    Some(Self::Recovery)
                } else {
                    is(KeyRole::Officer).then_some(Self::Officer)
                }
            }
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Message => "message",
            Self::Log => "log",
            Self::Cosigner => "cosigner",
            Self::Officer => "officer",
            Self::Recovery => "recovery",
        })
    }
}

impl Manifest {
    /// The file's bytes.
    ///
    /// # Errors
    /// Never in practice: every key of its maps is a string.
    pub fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut bytes = serde_json::to_vec_pretty(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}

/// Folder of a log: `<sender>_<recipient>`; no host name holds an underscore.
#[must_use]
pub fn folder(origin: &Origin) -> String {
    format!("{}_{}", origin.sender(), origin.recipient())
}

/// A file in the folder of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogFile {
    /// `checkpoint`: the latest cosigned one.
    Latest,
    /// `checkpoints/<size>`.
    Checkpoint(u64),
    /// `tile/…`: hashes or entries.
    Tile(TilePath),
    /// `bodies/<index>.bin`: salt ‖ body.
    Body(u64),
    /// `notifications/<index>.json`.
    Notification(u64),
    /// `dsse/<index>.json`.
    Dsse(u64),
    /// `proofs/<index>.tlog-proof`.
    Proof(u64),
    /// `dated/<size>`: a checkpoint that its author has dated, without the mirror's line.
    Dated(u64),
}

impl LogFile {
    /// Parses a path relative to the log's folder; each file has exactly one.
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        if path == "checkpoint" {
            return Some(Self::Latest);
        }
        let (kind, name) = path.split_once('/')?;
        let index = |suffix: &str| name.strip_suffix(suffix).and_then(decimal);
        match kind {
            "checkpoints" => index("").map(Self::Checkpoint),
            "dated" => index("").map(Self::Dated),
            "tile" => TilePath::parse(path).ok().map(Self::Tile),
            "bodies" => index(".bin").map(Self::Body),
            "notifications" => index(".json").map(Self::Notification),
            "dsse" => index(".json").map(Self::Dsse),
            "proofs" => index(".tlog-proof").map(Self::Proof),
            _ => None,
        }
    }

    /// Whether the export of a log of `size` may hold this file.
    #[must_use]
    pub fn fits(self, size: u64) -> bool {
        match self {
            Self::Latest => true,
            Self::Checkpoint(at) | Self::Dated(at) => at <= size,
            Self::Tile(tile) => tiles_at(size, tile.kind).is_some_and(|(full, width)| {
                tile.width == TILE_WIDTH && tile.index < full
                    || tile.width == width && tile.index == full
            }),
            Self::Body(index)
            | Self::Notification(index)
            | Self::Dsse(index)
            | Self::Proof(index) => index < size,
        }
    }

    /// The path relative to the export.
    #[must_use]
    pub fn within(self, folder: &str) -> String {
        format!("{folder}/{self}")
    }
}

impl fmt::Display for LogFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latest => f.write_str("checkpoint"),
            Self::Checkpoint(size) => write!(f, "checkpoints/{size}"),
            Self::Dated(size) => write!(f, "dated/{size}"),
            Self::Tile(tile) => write!(f, "{tile}"),
            Self::Body(index) => write!(f, "bodies/{index}.bin"),
            Self::Notification(index) => write!(f, "notifications/{index}.json"),
            Self::Dsse(index) => write!(f, "dsse/{index}.json"),
            Self::Proof(index) => write!(f, "proofs/{index}.tlog-proof"),
        }
    }
}

/// Full tiles, and width of the partial one behind them, in a tree of `size`.
fn tiles_at(size: u64, kind: TileKind) -> Option<(u64, u64)> {
    let items = match kind {
        TileKind::Entries => size,
        TileKind::Hashes { level } => size.checked_shr(TILE_HEIGHT * u32::from(level))?,
    };
    Some((items / TILE_WIDTH, items % TILE_WIDTH))
}

/// Every tile of a kind in a tree of `size`, the partial one last.
pub fn tiles(size: u64, kind: TileKind) -> impl Iterator<Item = TilePath> {
    let (full, width) = tiles_at(size, kind).unwrap_or((0, 0));
    let partial = (width > 0).then_some(TilePath {
        kind,
        index: full,
        width,
    });
    (0..full)
        .map(move |index| TilePath {
            kind,
            index,
            width: TILE_WIDTH,
        })
        .chain(partial)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_a_log_come_back_and_fit_its_size() {
        for (path, fits) in [
            ("checkpoint", true),
            ("checkpoints/0", true),
            ("checkpoints/600", true),
            ("checkpoints/601", false),
            ("dated/0", true),
            ("dated/600", true),
            ("dated/601", false),
            ("tile/0/000", true),
            ("tile/0/002.p/88", true),
            ("tile/0/002.p/87", false),
            ("tile/0/001.p/88", false),
            ("tile/0/002", false),
            ("tile/1/000.p/2", true),
            ("tile/2/000.p/1", false),
            ("tile/63/000.p/1", false),
            ("tile/entries/002.p/88", true),
            ("bodies/599.bin", true),
            ("bodies/600.bin", false),
            ("notifications/0.json", true),
            ("dsse/0.json", true),
            ("proofs/0.tlog-proof", true),
        ] {
            let file = LogFile::parse(path).unwrap();
            assert_eq!(file.to_string(), path);
            assert_eq!(file.fits(600), fits, "{path}");
        }
        for path in [
            "",
            "x",
            "bodies/00.bin",
            "bodies/0.bin/x",
            "checkpoints/",
            "../checkpoint",
            "dsse/0.JSON",
        ] {
            assert_eq!(LogFile::parse(path), None, "{path:?}");
        }
    }

    #[test]
    fn the_tiles_of_a_size_are_those_of_the_specification() {
        // The example of tlog-tiles: 70,000 entries.
        let count = |level| tiles(70_000, TileKind::Hashes { level }).count();
        assert_eq!([count(0), count(1), count(2), count(3)], [274, 2, 1, 0]);
        let last = |level| {
            tiles(70_000, TileKind::Hashes { level })
                .last()
                .unwrap()
                .width
        };
        assert_eq!([last(0), last(1), last(2)], [112, 17, 1]);
        assert_eq!(tiles(0, TileKind::Entries).count(), 0);
        assert_eq!(tiles(256, TileKind::Entries).count(), 1);
    }
}

//! The record of an erasure, as it is kept.

use serde::{Deserialize, Serialize};

use super::super::layout::{self, LinkNumber, LogSide};
use super::super::overlay::Write;
use super::super::read::ReadError;
use crate::store::{Direction, KeyAddress, Store};

/// By whom, when and under what a body was erased.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erasure {
    /// When it was ordered here, milliseconds since 1970.
    pub at_ms: u64,
    /// By whom, as the desk knows callers (`admin/lan`), or the node's own `retention`.
    pub by: String,
    /// Why; for this side only.
    pub reason: String,
    /// Law, order or rule it was erased under; the peer is told.
    pub authority: String,
}

/// How far an erasure has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Step {
    /// It is decided. The body may still be there; it will not be for long.
    Decided,
    /// Keys are destroyed, files and body are gone.
    Gone,
    /// The peer was told, or will be by what lies in the own log.
    Said,
}

/// A row of region `e`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Row {
    #[serde(flatten)]
    pub(crate) erasure: Erasure,
    pub(crate) id: String,
    pub(crate) case: String,
    /// Keys of the body, in hexadecimal; those under which it lay before its records were restored too.
    pub(crate) keys: Vec<String>,
    /// The file of the body, if it lay in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) body_file: Option<String>,
    /// Attachments that no other message names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) files: Vec<FileRow>,
    /// Attachments that stay, since other messages name them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) kept_files: Vec<String>,
    /// When its keys were destroyed, milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) gone_at_ms: Option<u64>,
    pub(crate) step: Step,
}

/// An attachment that is destroyed, in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileRow {
    pub(crate) sha256: String,
    /// None of a file that does not lie sealed, or is not here.
    pub(crate) keys: Vec<String>,
}

impl FileRow {
    pub(crate) fn digest(&self) -> Option<[u8; 32]> {
        hex_of(&self.sha256)
    }
}

impl Row {
    pub(crate) fn key_addresses(&self) -> Vec<KeyAddress> {
        let files = self.files.iter().flat_map(|file| &file.keys);
        let keys = self.keys.iter().chain(files);
        keys.filter_map(|key| Some(KeyAddress::decode(hex_of(key)?)))
            .collect()
    }

    /// Whether body and files lay sealed, as far as there were any.
    pub(crate) fn was_sealed(&self) -> bool {
        !self.keys.is_empty() && self.files.iter().all(|file| !file.keys.is_empty())
    }

    pub(crate) fn digests(&self) -> impl Iterator<Item = [u8; 32]> {
        self.files.iter().filter_map(FileRow::digest)
    }

    pub(crate) fn kept_digests(&self) -> impl Iterator<Item = [u8; 32]> {
        self.kept_files.iter().filter_map(|file| hex_of(file))
    }

    pub(crate) fn body_digest(&self) -> Option<[u8; 32]> {
        self.body_file.as_deref().and_then(hex_of)
    }

    /// The rows that hold it.
    pub(crate) fn writes(&self, (number, side, index): Place) -> Vec<Write> {
        let key = layout::erased(number, side, index);
        let value = serde_json::to_vec(self).unwrap_or_default();
        layout::parts(&key, &value)
            .map(|(key, part)| (key, Some(part.to_vec())))
            .collect()
    }
}

/// Link, side and index.
pub(crate) type Place = (LinkNumber, LogSide, u64);

/// The record of an erasure; `None` when there was none.
pub(crate) fn read(store: &dyn Store, place: Place) -> Result<Option<Row>, ReadError> {
    let (number, side, index) = place;
    let key = layout::erased(number, side, index);
    let (start, end) = layout::parts_range(&key);
    let rows = store.scan(&start, &end, usize::MAX, Direction::Forward)?;
    if rows.is_empty() {
        return Ok(None);
    }
    let whole: Vec<u8> = rows.into_iter().flat_map(|(_, part)| part).collect();
    let row = serde_json::from_slice(&whole).map_err(|_| ReadError::Damaged {
        what: "record of an erasure",
        origin: format!("link {} {side:?} log", number.0),
        index,
    })?;
    Ok(Some(row))
}

/// Places with a row in a region of places, behind one, at most so many.
pub(crate) fn places(
    store: &dyn Store,
    region: layout::Region,
    behind: Option<Place>,
    count: usize,
) -> Result<Vec<Place>, ReadError> {
    let (mut start, end) = layout::region(region);
    if let Some((number, side, index)) = behind {
        start = match region {
            layout::Region::Erasing => layout::erasing(number, side, index),
            _ => layout::erased(number, side, index),
        };
        // Behind its later parts as well.
        start.push(0xff);
    }
    let mut found = Vec::new();
    while found.len() < count {
        let rows = store.scan(&start, &end, count, Direction::Forward)?;
        let Some((last, _)) = rows.last() else { break };
        start.clone_from(last);
        start.push(0);
        found.extend(rows.iter().filter_map(|(key, _)| layout::erased_place(key)));
    }
    Ok(found)
}

fn hex_of<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(bytes)
}

//! Follows the changes of keys that stand in the logs of an export.
//!
//! Before anything else of a log is judged, its entries are looked through for `KEY_CHANGE`s: what
//! they say decides which keys hold where. The same fold as the node's own
//! ([`KeyHistory`]), over the same bytes.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::format::{LogFile, tiles};
use super::opened::{Opened, OpenedLog};
use crate::crypto::history::{ChangeFault, KeyHistory, may_be_change};
use crate::limits::{BODY_BYTES_MAX, SALT_BYTES};
use crate::tlog::path::TileKind;
use crate::tlog::{TILE_WIDTH, bundle};

/// What came of following a log.
#[derive(Debug, Clone)]
pub(super) struct Followed {
    pub(super) history: KeyHistory,
    /// Changes that do not count, by index.
    pub(super) faults: BTreeMap<u64, ChangeFault>,
}

/// Folds the changes of a log. What is missing or cut is found, and told, when the log is judged.
pub(super) fn follow(export: &Opened, log: &OpenedLog, start: KeyHistory) -> Followed {
    let mut followed = Followed {
        history: start,
        faults: BTreeMap::new(),
    };
    let files = export.files();
    for tile in tiles(log.size, TileKind::Entries) {
        let path = LogFile::Tile(tile).within(&log.folder);
        let Some(bytes) = export.read(&path, bundle::BUNDLE_BYTES_MAX, &mut Vec::new()) else {
            if tile.index > files {
                // The size in the manifest is a claim.
                break;
            }
            continue;
        };
        let Ok(entries) = bundle::decode(&bytes) else {
            continue;
        };
        for (entry, index) in entries.iter().zip(tile.index * TILE_WIDTH..) {
            if !may_be_change(entry) {
                continue;
            }
            let salted = body(export, log, index);
            let (salt, body) = salted.split_at(salted.len().min(SALT_BYTES));
            let entry = Bytes::copy_from_slice(entry);
            if let Err(fault) = followed.history.take(index, &entry, salt, body) {
                followed.faults.insert(index, fault);
            }
        }
    }
    followed
}

fn body(export: &Opened, log: &OpenedLog, index: u64) -> Vec<u8> {
    let path = LogFile::Body(index).within(&log.folder);
    if !export.has(&path) {
        return Vec::new();
    }
    let salted = export.read(&path, SALT_BYTES + BODY_BYTES_MAX, &mut Vec::new());
    salted.unwrap_or_default()
}

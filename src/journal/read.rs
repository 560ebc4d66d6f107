//! Reading a journal: deeds by index, deeds by what is asked, tiles.

use std::sync::Arc;

use prost::Message as _;

use super::{Act, Journal, JournalError, layout};
use crate::limits::JOURNAL_SCAN_MAX;
use crate::proto::v1::JournalEntry;
use crate::store::{Direction, Store};
use crate::tlog::{Hash, TILE_WIDTH, TileReader, leaf_hash};

/// Which deeds are asked for. What is not set asks for nothing.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// Not before, milliseconds since 1970.
    pub since_ms: Option<u64>,
    /// This role and name, or this role.
    pub who: Option<String>,
    /// This act.
    pub act: Option<Act>,
    /// This message.
    pub message: Option<String>,
    /// Below this index; `None` for the newest.
    pub below: Option<u64>,
    /// At most so many.
    pub limit: usize,
}

/// What was found, newest first.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Index and deed.
    pub deeds: Vec<(u64, JournalEntry)>,
    /// Where to go on, if there is more to look at.
    pub next_below: Option<u64>,
    /// Deeds in the journal.
    pub size: u64,
}

impl Query {
    fn wants(&self, entry: &JournalEntry) -> bool {
        let who = self.who.as_deref().is_none_or(|who| {
            let role = entry.who.split('/').next();
            entry.who == who || role == Some(who)
        });
        let message = self.message.as_deref();
        who && self.act.is_none_or(|act| entry.act() == act)
            && message.is_none_or(|id| entry.message_id == id)
            && self.since_ms.is_none_or(|since| ms_of(entry) >= since)
    }
}

/// When, milliseconds since 1970.
pub(super) fn ms_of(entry: &JournalEntry) -> u64 {
    let at = entry.at.unwrap_or_default();
    let seconds = u64::try_from(at.seconds).unwrap_or_default();
    let ms = u64::try_from(at.nanos / 1_000_000).unwrap_or_default();
    seconds.saturating_mul(1_000).saturating_add(ms)
}

impl Journal {
    /// Deeds that are asked for, newest first. Looks at [`JOURNAL_SCAN_MAX`] at most. Order is that of the
    /// journal; a clock that was set back may put a later time before an earlier one.
    ///
    /// # Errors
    /// [`JournalError::Damaged`].
    pub fn list(&self, query: &Query) -> Result<Found, JournalError> {
        self.store()?;
        let size = self.size();
        let mut below = query.below.unwrap_or(size).min(size);
        let lowest = below.saturating_sub(JOURNAL_SCAN_MAX);
        let mut deeds = Vec::new();
        while below > lowest && deeds.len() < query.limit {
            // Tile by tile: what is packed is read once.
            let start = (below - 1) / TILE_WIDTH * TILE_WIDTH;
            let entries = self.entries(start, below)?;
            for bytes in entries.iter().rev() {
                below -= 1;
                let (index, entry) = (below, decode(below, bytes)?);
                if query.wants(&entry) {
                    deeds.push((index, entry));
                    if deeds.len() == query.limit {
                        break;
                    }
                }
            }
        }
        Ok(Found {
            deeds,
            next_below: (below > 0).then_some(below),
            size,
        })
    }

    /// The bytes of the deeds from `start` up to `end`, which must be within one tile of 256.
    ///
    /// # Errors
    /// [`JournalError::Damaged`] when one is missing.
    pub fn entries(&self, start: u64, end: u64) -> Result<Vec<Vec<u8>>, JournalError> {
        entries(&**self.store()?, self.size(), start, end)
    }
}

pub(super) fn decode(index: u64, bytes: &[u8]) -> Result<JournalEntry, JournalError> {
    JournalEntry::decode(bytes).map_err(|_| JournalError::Damaged {
        what: format!("entry {index} cannot be read"),
    })
}

fn entries(
    store: &dyn Store,
    size: u64,
    start: u64,
    end: u64,
) -> Result<Vec<Vec<u8>>, JournalError> {
    let missing = |index: u64| JournalError::Damaged {
        what: format!("entry {index} is missing"),
    };
    if start >= end {
        return Ok(Vec::new());
    }
    if end > size {
        return Err(missing(end - 1));
    }
    let tile = start / TILE_WIDTH;
    let first = tile * TILE_WIDTH;
    let place = |index: u64| usize::try_from(index - first).unwrap_or(usize::MAX);
    if first + TILE_WIDTH > size {
        let (from, to) = (layout::entry(start), layout::entry(end));
        let rows = store.scan(&from, &to, usize::MAX, Direction::Forward)?;
        let expected: Vec<_> = (start..end).map(layout::entry).collect();
        if rows.iter().map(|(key, _)| key).eq(expected.iter()) {
            return Ok(rows.into_iter().map(|(_, value)| value).collect());
        }
        // The tile was filled and packed a moment ago.
    }
    let (from, to) = layout::prefix(&layout::packed(tile, 0)[..9]);
    let rows = store.scan(&from, &to, usize::MAX, Direction::Forward)?;
    let parts: Vec<_> = rows.into_iter().map(|(_, value)| value).collect();
    let packed = layout::unpack(&parts).ok_or_else(|| missing(start))?;
    let wanted = packed.get(place(start)..place(end));
    wanted
        .map(<[_]>::to_vec)
        .ok_or_else(|| missing(end.saturating_sub(1)))
}

/// The deeds of the tile that is not full.
pub(super) fn tail(store: &dyn Store, size: u64) -> Result<Vec<Vec<u8>>, JournalError> {
    entries(store, size, size / TILE_WIDTH * TILE_WIDTH, size)
}

/// The tiles of a journal, and its leaves.
pub(super) struct Tiles {
    store: Arc<dyn Store>,
}

impl Tiles {
    pub(super) fn new(store: &Arc<dyn Store>) -> Self {
        Self {
            store: Arc::clone(store),
        }
    }
}

impl TileReader for Tiles {
    type Error = JournalError;

    fn full_tile(&self, level: u8, index: u64) -> Result<Vec<u8>, JournalError> {
        let tile = self.store.get(&layout::tile(level, index))?;
        tile.ok_or_else(|| JournalError::Damaged {
            what: format!("tile {index} of level {level} is missing"),
        })
    }

    fn leaf(&self, index: u64) -> Result<Hash, JournalError> {
        let entry = self.store.get(&layout::entry(index))?;
        let entry = entry.ok_or_else(|| JournalError::Damaged {
            what: format!("entry {index} is missing"),
        })?;
        Ok(leaf_hash(&entry))
    }
}

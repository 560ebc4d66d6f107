//! The keys that a store uses; and how far they have come, for a store that was made again and has no
//! marks of its own.

use std::collections::BTreeMap;

use super::layout::{self, Record, Region, region};
use crate::store::{Blobs, Direction, KeyAddress, Period, Store, StoreError};

/// Rows that are read at once.
const ROWS: usize = 256;

/// By month, the leaf behind the last one that something in the store is sealed with.
///
/// # Errors
/// [`StoreError`] when it cannot be read.
pub fn key_ends(store: &dyn Store, blobs: &Blobs) -> Result<BTreeMap<Period, u32>, StoreError> {
    let mut ends = BTreeMap::new();
    keys_in_use(store, blobs, |address| {
        let end = ends.entry(address.period).or_insert(0);
        *end = (*end).max(address.leaf.saturating_add(1));
    })?;
    Ok(ends)
}

/// Gives the key of every body and file here, whatever it waits for; some of them twice. What moves
/// meanwhile from where it waits to where it stays is not missed.
///
/// # Errors
/// [`StoreError`] when they cannot be read.
pub fn keys_in_use(
    store: &dyn Store,
    blobs: &Blobs,
    mut take: impl FnMut(KeyAddress),
) -> Result<(), StoreError> {
    // Those that wait first: an entry goes from there into its log, and never back.
    for wanted in [Region::Expressed, Region::Restore, Region::Entry] {
        let (mut from, to) = region(wanted);
        loop {
            let rows = store.scan(&from, &to, ROWS, Direction::Forward)?;
            let Some((last, _)) = rows.last() else {
                break;
            };
            from = [&last[..], &[0]].concat();
            for (key, value) in &rows {
                if wanted != Region::Entry && !layout::is_record_row(key) {
                    continue;
                }
                // A record that is none is found by whoever reads it.
                if let Some(key) = Record::decode(value).and_then(|record| record.body.key()) {
                    take(key);
                }
            }
        }
    }
    blobs.key_addresses(&mut take)
}

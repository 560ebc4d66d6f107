//! How far the keys of a store have come, counted from what it holds: for a store that was made again
//! and has no marks of its own.

use std::collections::BTreeMap;

use super::layout::{Record, Region, region};
use crate::store::{Blobs, Direction, KeyAddress, Period, Store, StoreError};

/// Rows that are read at once.
const ROWS: usize = 256;

/// By month, the leaf behind the last one that something in the store is sealed with.
///
/// # Errors
/// [`StoreError`] when it cannot be read.
pub fn key_ends(store: &dyn Store, blobs: &Blobs) -> Result<BTreeMap<Period, u32>, StoreError> {
    let mut ends = BTreeMap::new();
    let mut note = |address: KeyAddress| {
        let end = ends.entry(address.period).or_insert(0);
        *end = (*end).max(address.leaf.saturating_add(1));
    };
    let (mut from, to) = region(Region::Entry);
    loop {
        let rows = store.scan(&from, &to, ROWS, Direction::Forward)?;
        let Some((last, _)) = rows.last() else {
            break;
        };
        from = [&last[..], &[0]].concat();
        for (_, value) in &rows {
            // A record that is none is found by whoever reads it.
            if let Some(key) = Record::decode(value).and_then(|record| record.body.key()) {
                note(key);
            }
        }
    }
    blobs.key_addresses(&mut note)?;
    Ok(ends)
}

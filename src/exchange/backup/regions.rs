//! What a backup does with each region of the store.

use super::super::layout::{Region, region};
use crate::store::{Direction, Store, StoreError};

/// What becomes of a region in a backup and at a restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It goes with its log, piece by piece: entries, who submitted them, checkpoints.
    Logged,
    /// No log tells it: every row is carried as it lies.
    Carried,
    /// It follows from what is carried, and is made again at a restore.
    Rebuilt,
}

/// Decides about a region. Exhaustive: nobody can add a region without deciding.
pub(crate) const fn fate(region: Region) -> Fate {
    match region {
        // Of `Dated`, what lies beyond the mirror is carried as rows.
        Region::Author | Region::Checkpoint | Region::Dated | Region::Entry => Fate::Logged,
        // Of the same moment as the mirror, so that what they answer is known there.
        Region::BundlesTaken
        | Region::Fault
        | Region::Incident
        | Region::StageOf
        | Region::Stage
        | Region::Expressed
        | Region::Breach
        | Region::PastHold
        | Region::PeerHold
        | Region::Erased
        | Region::Erasing
        | Region::LegalHold
        | Region::Restore => Fate::Carried,
        Region::Answers
        | Region::Derived
        | Region::Facts
        | Region::Head
        | Region::Id
        | Region::KeyChange
        | Region::Link
        | Region::Meta
        | Region::Naming
        | Region::Outgoing
        | Region::Pending
        // What was taken of a day: after a restore it begins anew.
        | Region::Quota
        | Region::Refused
        | Region::Tile
        | Region::Urgent
        | Region::Wanted => Fate::Rebuilt,
    }
}

/// The first byte of a key in the store that belongs to no region known here.
///
/// # Errors
/// When the store cannot be read.
pub(crate) fn unknown_region(store: &dyn Store) -> Result<Option<u8>, StoreError> {
    let mut start = vec![0];
    loop {
        let rows = store.scan(&start, &[0xff], 1, Direction::Forward)?;
        let Some((key, _)) = rows.first() else {
            return Ok(None);
        };
        match Region::of(key) {
            Some(known) => start = region(known).1,
            None => return Ok(key.first().copied()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Batch, MemoryStore};

    #[test]
    fn a_region_that_nobody_decided_about_is_seen() {
        let store = MemoryStore::new();
        let mut batch = Batch::new();
        for region in Region::ALL {
            batch.put(vec![region as u8, 1], Vec::new());
            batch.put(vec![region as u8, 0xff, 7], Vec::new());
        }
        store.commit(batch).unwrap();
        assert_eq!(unknown_region(&store).unwrap(), None);
        let mut batch = Batch::new();
        batch.put(b"~1".to_vec(), Vec::new());
        store.commit(batch).unwrap();
        assert_eq!(unknown_region(&store).unwrap(), Some(b'~'));
    }

    #[test]
    fn every_region_stands_once_in_the_list() {
        for (number, region) in Region::ALL.into_iter().enumerate() {
            assert_eq!(Region::ALL.iter().position(|r| *r == region), Some(number));
        }
    }
}

//! Durable memory: the [`Store`] seam, sled behind it, and the files beside it.
//!
//! - [`Store`]: ordered keys, atomic commits that are durable when they answer. The one seam;
//!   everything above uses nothing else of the engine.
//! - [`SledStore`]: the engine on disk, made durable (sled's own flush is not).
//! - [`MemoryStore`]: the same seam for simulation and tests, with failures on demand.
//! - [`Marks`]: what this node has vouched for, in a file of its own, so that a store that
//!   vanished or was shortened is noticed.
//! - [`Blobs`]: content too large for a value, as files named by their digest; attachments sealed.
//! - [`counters`]: what this process has made durable, for figures.
//! - [`Vault`]: the keys of what is sealed, in small files beside the store.
//!
//! What is deliberately absent: transactions that read (one writer thread decides what to write),
//! iterators that hold the engine open, several trees, any knowledge of what the keys mean.
//!
//! The files are described to the byte in `docs/storage.md`.

mod aside;
mod blobs;
pub mod counters;
mod disk;
mod engine;
mod error;
mod key_copies;
mod key_marks;
mod layout;
mod marks;
mod memory;
mod quiet;
mod sealed_file;
mod sled_store;
mod vault;

use std::fmt::Debug;

use crate::limits;

pub use aside::Aside;
pub use blobs::{Blobs, Digest, Partial, Scratch};
pub(crate) use error::full_text;
pub use error::{DO_NOW, StoreError};
pub use key_copies::{CopiedKeys, FoundCopy, KEY_COPY_MANIFEST, KeyCopies, KeyCopy, KeyCopyError};
pub use key_marks::KeyMarks;
pub use marks::{Held, Mark, Marks, MarksFile, Shortfall};
pub use memory::{Failure, MemoryStore, Space};
pub use sled_store::{OpenOptions, SledStore, SyncPolicy, Unused};
pub use vault::{KeyAddress, Period, Uncopied, Vault, VaultError, VaultLock, shred as shred_file};

/// A key and its value.
pub type Record = (Vec<u8>, Vec<u8>);

/// An ordered key space with atomic, durable commits.
///
/// Keys are compared byte by byte. Keys that begin with 0xFF belong to the engine: they are
/// refused in batches and never seen in scans.
pub trait Store: Send + Sync + Debug + 'static {
    /// The value of a key.
    ///
    /// # Errors
    /// Only fatal ones: the files are damaged or cannot be read.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// At most `limit` records with `start <= key < end`, from that end of the range where
    /// `direction` begins. An empty range is no error.
    ///
    /// # Errors
    /// Only fatal ones: the files are damaged or cannot be read.
    fn scan(
        &self,
        start: &[u8],
        end: &[u8],
        limit: usize,
        direction: Direction,
    ) -> Result<Vec<Record>, StoreError>;

    /// Writes a batch: all of it or nothing, and durable against loss of power when this answers
    /// `Ok`. An empty batch does nothing.
    ///
    /// # Errors
    /// Not fatal, nothing written: a value, key or batch beyond its limit, or
    /// [`StoreError::Full`]. Fatal: [`StoreError::OutcomeUnknown`], which from then on every
    /// commit answers.
    fn commit(&self, batch: Batch) -> Result<(), StoreError>;

    /// Checks that so many bytes more may be written now, by what they are for; for what is reserved
    /// gives up the ballast if need be. Writes nothing. A store without a floor refuses nothing here.
    ///
    /// # Errors
    /// [`StoreError::Full`]; [`StoreError::Io`] when the system does not say.
    fn make_room(&self, share: Share, bytes: u64) -> Result<(), StoreError> {
        let _ = (share, bytes);
        Ok(())
    }

    /// Bytes that are free on the file system the store is on.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    fn free_bytes(&self) -> Result<u64, StoreError>;
}

/// What space is wanted for, as the disk fills.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// It can wait, or be asked for again: it leaves [`limits::BULK_FLOORS`] floors free.
    Ordinary,
    /// It cannot: it leaves one floor free, and the ballast is given up for it.
    Reserved,
}

/// Which end of a range a scan begins at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Smallest key first.
    Forward,
    /// Largest key first.
    Backward,
}

/// Writes that take effect together. A later write to a key replaces an earlier one.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    writes: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    bytes: usize,
}

impl Batch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Batch::default()
    }

    /// Sets a key's value.
    pub fn put(&mut self, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        let (key, value) = (key.into(), value.into());
        self.bytes += key.len() + value.len();
        self.writes.push((key, Some(value)));
    }

    /// Removes a key; that it was not there is no error.
    pub fn delete(&mut self, key: impl Into<Vec<u8>>) {
        let key = key.into();
        self.bytes += key.len();
        self.writes.push((key, None));
    }

    /// Every write in order: a key, and its value or that it is removed. For a [`Store`] that stands
    /// elsewhere, as the simulated disk of the tests does.
    pub fn writes(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        self.writes
            .iter()
            .map(|(key, value)| (key.as_slice(), value.as_deref()))
    }

    /// Bytes of all keys and values so far.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Writes so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.writes.len()
    }

    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// Checks every limit; each engine calls it before it touches anything.
    fn check(&self) -> Result<(), StoreError> {
        if self.bytes > limits::BATCH_BYTES_MAX {
            return Err(StoreError::BatchTooLarge {
                bytes: self.bytes,
                bytes_max: limits::BATCH_BYTES_MAX,
            });
        }
        for (key, value) in &self.writes {
            if key.is_empty() || key.len() > limits::KEY_BYTES_MAX || key[0] == RESERVED {
                return Err(StoreError::KeyRefused { bytes: key.len() });
            }
            let bytes = value.as_ref().map_or(0, Vec::len);
            if bytes > limits::VALUE_BYTES_MAX {
                return Err(StoreError::ValueTooLarge {
                    bytes,
                    bytes_max: limits::VALUE_BYTES_MAX,
                });
            }
        }
        Ok(())
    }
}

/// First byte of the keys that the engine keeps for itself.
const RESERVED: u8 = 0xFF;

/// The range that a scan may see, or nothing when it is empty.
fn visible<'a>(start: &'a [u8], end: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    let end = end.min(&[RESERVED][..]);
    (start < end).then_some((start, end))
}

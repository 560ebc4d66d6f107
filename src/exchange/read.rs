//! Reading a log back from the store: records, entries, bodies, tiles, proofs.

use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::layout::{self, LinkNumber, LogSide, Record, StoredBody, StoredEntry};
use crate::crypto::at_rest::{self, Context};
use crate::limits::SALT_BYTES;
use crate::store::{Blobs, DO_NOW, Direction, KeyAddress, Store, StoreError, Vault, VaultError};
use crate::tlog::{Hash, Snapshot, TILE_WIDTH, TileReader, Tree, TreeError, leaf_hash};

/// Why something recorded cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The store's own words.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A body lies sealed, and the node runs without key files.
    #[error("bodies lie sealed here, and no key files are configured; see docs/operations.md")]
    NoVault,
    /// A record that must be there is not.
    #[error("{what} {index} of {origin} is missing from the store; {DO_NOW}")]
    Missing {
        /// Kind of record.
        what: &'static str,
        /// The log.
        origin: String,
        /// Its index.
        index: u64,
    },
    /// A record does not parse or does not match its hash.
    #[error("{what} {index} of {origin} is damaged; {DO_NOW}")]
    Damaged {
        /// Kind of record.
        what: &'static str,
        /// The log.
        origin: String,
        /// Its index.
        index: u64,
    },
}

/// An entry with its body, as read back.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Its index.
    pub index: u64,
    /// Time, flags and where the parts lie.
    pub record: Record,
    /// The entry, verbatim.
    pub entry: Bytes,
}

/// What a sealed body belongs to: its entry, which names link, message and schema.
pub(super) struct BodyContext<'a>([&'a [u8]; 2]);

impl<'a> BodyContext<'a> {
    pub(super) fn of(leaf: &'a Hash) -> Self {
        Self([b"body", &leaf.0])
    }

    pub(super) fn as_context(&self) -> Context<'_> {
        Context(&self.0)
    }
}

/// Why a sealed body does not open.
pub(super) enum BodyError {
    NoVault,
    Keys(VaultError),
    Damaged,
}

/// Salt and body out of sealed bytes; `None` when the key was destroyed.
pub(super) fn open_body(
    vault: Option<&Vault>,
    leaf: &Hash,
    address: KeyAddress,
    sealed: &[u8],
) -> Result<Option<([u8; SALT_BYTES], Bytes)>, BodyError> {
    let key = match vault.ok_or(BodyError::NoVault)?.key(address) {
        Ok(key) => key,
        Err(VaultError::Destroyed) => return Ok(None),
        // Somebody has said so. The node goes on without that body.
        Err(VaultError::Missing { .. }) if vault.is_some_and(|vault| vault.is_lost(address)) => {
            return Ok(None);
        }
        Err(error) => return Err(BodyError::Keys(error)),
    };
    let context = BodyContext::of(leaf);
    let opened = at_rest::open(&key, context.as_context(), sealed);
    // Overwritten when the last that reads it is gone.
    let opened = Bytes::from_owner(Zeroizing::new(opened.map_err(|_| BodyError::Damaged)?));
    let salt = opened.first_chunk().copied().ok_or(BodyError::Damaged)?;
    Ok(Some((salt, opened.slice(SALT_BYTES..))))
}

/// Reads one log of one link.
#[derive(Debug, Clone)]
pub struct LogReader {
    store: Arc<dyn Store>,
    blobs: Arc<Blobs>,
    number: LinkNumber,
    side: LogSide,
}

impl LogReader {
    pub(crate) fn new(
        store: &Arc<dyn Store>,
        blobs: &Arc<Blobs>,
        number: LinkNumber,
        side: LogSide,
    ) -> Self {
        Self {
            store: Arc::clone(store),
            blobs: Arc::clone(blobs),
            number,
            side,
        }
    }

    /// Where the keys of what lies sealed are.
    pub(crate) fn vault(&self) -> Option<&Vault> {
        self.blobs.vault().map(|vault| &**vault)
    }

    /// The link it reads.
    pub(crate) fn number(&self) -> LinkNumber {
        self.number
    }

    fn log_name(&self) -> String {
        format!("link {} {:?} log", self.number.0, self.side)
    }

    fn damaged(&self, what: &'static str, index: u64) -> ReadError {
        ReadError::Damaged {
            what,
            origin: self.log_name(),
            index,
        }
    }

    fn missing(&self, what: &'static str, index: u64) -> ReadError {
        ReadError::Missing {
            what,
            origin: self.log_name(),
            index,
        }
    }

    /// The entry at an index.
    ///
    /// # Errors
    /// [`ReadError::Missing`] beyond the log's end.
    pub fn entry(&self, index: u64) -> Result<Stored, ReadError> {
        let value = self
            .store
            .get(&layout::entry(self.number, self.side, index))?
            .ok_or_else(|| self.missing("entry", index))?;
        self.stored(index, &value)
    }

    /// Entries from an index on, at most `count`, ending before `end`.
    ///
    /// # Errors
    /// When one is missing or damaged.
    pub fn entries(&self, start: u64, end: u64, count: usize) -> Result<Vec<Stored>, ReadError> {
        let (from, to) =
            layout::side_range(layout::Region::Entry, self.number, self.side, start, end);
        let rows = self.store.scan(&from, &to, count, Direction::Forward)?;
        rows.iter()
            .zip(start..)
            .map(|((key, value), index)| {
                if layout::index_of(key) == Some(index) {
                    self.stored(index, value)
                } else {
                    Err(self.missing("entry", index))
                }
            })
            .collect()
    }

    /// Entries before an index within the log, newest first, at most `count`.
    ///
    /// # Errors
    /// When one is missing or damaged.
    pub fn entries_before(&self, end: u64, count: usize) -> Result<Vec<Stored>, ReadError> {
        let (from, to) = layout::side_range(layout::Region::Entry, self.number, self.side, 0, end);
        let rows = self.store.scan(&from, &to, count, Direction::Backward)?;
        // A damaged engine may pass over records: a log has no gap.
        let expected = usize::try_from(end).unwrap_or(usize::MAX).min(count);
        if rows.len() != expected {
            return Err(self.missing("entry", end.saturating_sub(rows.len() as u64 + 1)));
        }
        rows.iter()
            .zip((0..end).rev())
            .map(|((key, value), index)| {
                if layout::index_of(key) == Some(index) {
                    self.stored(index, value)
                } else {
                    Err(self.missing("entry", index))
                }
            })
            .collect()
    }

    /// An entry of the peer that came ahead of its turn.
    ///
    /// # Errors
    /// When it is not there.
    pub fn expressed(&self, index: u64) -> Result<Stored, ReadError> {
        let value = self
            .store
            .get(&layout::expressed(self.number, index))?
            .ok_or_else(|| self.missing("expressed entry", index))?;
        self.stored(index, &value)
    }

    /// Every entry of the peer that came ahead of its turn, in order.
    ///
    /// # Errors
    /// When one is damaged.
    pub fn all_expressed(&self) -> Result<Vec<Stored>, ReadError> {
        let (from, to) = layout::indexed_from(layout::Region::Expressed, self.number, 0);
        let rows = self
            .store
            .scan(&from, &to, usize::MAX, Direction::Forward)?;
        rows.iter()
            .map(|(key, value)| {
                let index = layout::index_of(key).ok_or_else(|| self.damaged("key", 0))?;
                self.stored(index, value)
            })
            .collect()
    }

    pub(crate) fn stored(&self, index: u64, value: &[u8]) -> Result<Stored, ReadError> {
        let record = Record::decode(value).ok_or_else(|| self.damaged("entry", index))?;
        let entry = self.entry_of(&record, index)?;
        Ok(Stored {
            index,
            record,
            entry,
        })
    }

    /// An entry with its record, of a record that is kept elsewhere than in the log.
    pub(crate) fn read_back(&self, index: u64, record: Record) -> Result<Stored, ReadError> {
        let entry = self.entry_of(&record, index)?;
        Ok(Stored {
            index,
            record,
            entry,
        })
    }

    fn entry_of(&self, record: &Record, index: u64) -> Result<Bytes, ReadError> {
        match &record.entry {
            StoredEntry::Inline(bytes) => Ok(bytes.clone()),
            StoredEntry::File(digest) => {
                let bytes = self.file(digest, "entry", index)?;
                if Sha256::digest(&bytes).as_slice() != digest {
                    return Err(self.damaged("entry file", index));
                }
                Ok(bytes.into())
            }
        }
    }

    /// Salt and body of a stored entry; `None` when the body is not kept.
    ///
    /// # Errors
    /// When its file is missing or does not match its digest.
    pub fn body(&self, stored: &Stored) -> Result<Option<([u8; SALT_BYTES], Bytes)>, ReadError> {
        match &stored.record.body {
            StoredBody::Absent => Ok(None),
            StoredBody::Inline { salt, body } => Ok(Some((*salt, body.clone()))),
            StoredBody::File { digest } => {
                let bytes = Bytes::from(self.file(digest, "body", stored.index)?);
                if bytes.len() < SALT_BYTES || Sha256::digest(&bytes).as_slice() != digest {
                    return Err(self.damaged("body file", stored.index));
                }
                let mut salt = [0; SALT_BYTES];
                salt.copy_from_slice(&bytes[..SALT_BYTES]);
                Ok(Some((salt, bytes.slice(SALT_BYTES..))))
            }
            StoredBody::Sealed { key, bytes } => self.unsealed(stored, *key, bytes),
            StoredBody::SealedFile { key, digest } => {
                let bytes = self.file(digest, "body", stored.index)?;
                self.unsealed(stored, *key, &bytes)
            }
        }
    }

    /// Salt and body out of what lies sealed; `None` when the key was destroyed: it is erased.
    fn unsealed(
        &self,
        stored: &Stored,
        key: KeyAddress,
        bytes: &[u8],
    ) -> Result<Option<([u8; SALT_BYTES], Bytes)>, ReadError> {
        let vault = self.blobs.vault().map(|vault| &**vault);
        match open_body(vault, &leaf_hash(&stored.entry), key, bytes) {
            Ok(opened) => Ok(opened),
            Err(BodyError::NoVault) => Err(ReadError::NoVault),
            Err(BodyError::Keys(error)) => Err(StoreError::from(error).into()),
            Err(BodyError::Damaged) => Err(self.damaged("body", stored.index)),
        }
    }

    fn file(
        &self,
        digest: &[u8; 32],
        what: &'static str,
        index: u64,
    ) -> Result<Vec<u8>, ReadError> {
        match self.blobs.get(digest) {
            Ok(Some(bytes)) => Ok(bytes),
            Ok(None) => Err(self.missing(what, index)),
            // One file is spoiled, not the store.
            Err(StoreError::Corrupt { .. }) => Err(self.damaged(what, index)),
            Err(error) => Err(error.into()),
        }
    }

    /// Bytes of a file of a record; 0 when it is gone.
    pub(crate) fn file_bytes(&self, digest: &[u8; 32]) -> Result<u64, StoreError> {
        Ok(self.blobs.size(digest)?.unwrap_or_default())
    }

    /// Bytes that entry, salt and body of a record occupy, in the record or in files.
    pub(crate) fn kept_bytes(&self, record: &Record) -> Result<u64, ReadError> {
        let file = |digest| Ok::<_, StoreError>(self.blobs.size(digest)?.unwrap_or_default());
        let entry = match &record.entry {
            StoredEntry::Inline(bytes) => bytes.len() as u64,
            StoredEntry::File(digest) => file(digest)?,
        };
        let body = match &record.body {
            StoredBody::Inline { salt, body } => (salt.len() + body.len()) as u64,
            StoredBody::Sealed { bytes, .. } => bytes.len() as u64,
            StoredBody::File { digest } | StoredBody::SealedFile { digest, .. } => file(digest)?,
            StoredBody::Absent => 0,
        };
        Ok(entry + body)
    }

    pub(crate) fn leaf_of(&self, record: &Record) -> Result<Hash, ReadError> {
        Ok(leaf_hash(&self.entry_of(record, 0)?))
    }

    /// The checkpoint of exactly this size, if one is kept: of the own log a receipt; of the mirror
    /// one that its author signed, and that this node has cosigned unless it fell before it could.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn checkpoint(&self, size: u64) -> Result<Option<String>, ReadError> {
        let key = layout::checkpoint(self.number, self.side, size);
        self.note(self.store.get(&key)?, size)
    }

    /// The first checkpoint kept that covers an index, with its size; see [`Self::checkpoint`].
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn checkpoint_covering(&self, index: u64) -> Result<Option<(u64, String)>, ReadError> {
        Ok(self
            .checkpoints(index + 1, u64::MAX, 1, Direction::Forward)?
            .pop())
    }

    /// The latest checkpoint kept, with its size; see [`Self::checkpoint`].
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn latest_checkpoint(&self) -> Result<Option<(u64, String)>, ReadError> {
        Ok(self.checkpoints(0, u64::MAX, 1, Direction::Backward)?.pop())
    }

    /// Checkpoints kept with sizes in `from..to`; see [`Self::checkpoint`].
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn checkpoints(
        &self,
        from: u64,
        to: u64,
        count: usize,
        direction: Direction,
    ) -> Result<Vec<(u64, String)>, ReadError> {
        let region = layout::Region::Checkpoint;
        let (start, end) = layout::side_range(region, self.number, self.side, from, to);
        let rows = self.store.scan(&start, &end, count, direction)?;
        rows.into_iter()
            .map(|(key, value)| {
                let size = layout::index_of(&key).ok_or_else(|| self.damaged("key", 0))?;
                let note = self.note(Some(value), size)?;
                Ok((size, note.unwrap_or_default()))
            })
            .collect()
    }

    /// The peer's dated checkpoints kept with sizes in `from..to`; only the mirror has any.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn dated(
        &self,
        from: u64,
        to: u64,
        count: usize,
        direction: Direction,
    ) -> Result<Vec<(u64, String)>, ReadError> {
        let (start, end) = (
            layout::dated(self.number, from),
            layout::dated(self.number, to),
        );
        let rows = self.store.scan(&start, &end, count, direction)?;
        rows.into_iter()
            .map(|(key, value)| {
                let size = layout::index_of(&key).ok_or_else(|| self.damaged("key", 0))?;
                let note = self.note(Some(value), size)?;
                Ok((size, note.unwrap_or_default()))
            })
            .collect()
    }

    fn note(&self, value: Option<Vec<u8>>, size: u64) -> Result<Option<String>, ReadError> {
        value
            .map(|bytes| String::from_utf8(bytes).map_err(|_| self.damaged("checkpoint", size)))
            .transpose()
    }

    /// The root of the first `size` entries of a tree of this log.
    ///
    /// # Errors
    /// When a tile is missing.
    pub fn root_at(&self, tree: &Tree, size: u64) -> Result<Hash, ReadError> {
        if size == tree.size() {
            return Ok(tree.root());
        }
        Snapshot::new(tree, self)
            .root_at(size)
            .map_err(|error| self.tree_error(error))
    }

    /// Leaf hashes `start..end` as the tree holds them, from tiles and right edge.
    ///
    /// # Errors
    /// When a tile is missing.
    pub fn leaf_hashes(&self, tree: &Tree, start: u64, end: u64) -> Result<Vec<Hash>, ReadError> {
        let snapshot = Snapshot::new(tree, self);
        let mut hashes = Vec::new();
        let mut at = start;
        while at < end {
            let tile = at / TILE_WIDTH;
            let first = tile * TILE_WIDTH;
            let width = (tree.size() - first).min(TILE_WIDTH);
            let bytes = snapshot
                .tile(0, tile, width)
                .map_err(|error| self.tree_error(error))?;
            let (from, to) = (at - first, (end - first).min(width));
            for index in from..to {
                let start = usize::try_from(index).unwrap_or(usize::MAX) * Hash::BYTES;
                let hash = bytes
                    .get(start..start + Hash::BYTES)
                    .and_then(|bytes| Hash::from_slice(bytes).ok());
                hashes.push(hash.ok_or_else(|| self.damaged("tile", tile))?);
            }
            at = first + to;
        }
        Ok(hashes)
    }

    pub(crate) fn tree_error(&self, error: TreeError<ReadError>) -> ReadError {
        match error {
            TreeError::Read(error) => error,
            TreeError::TileLength { index, .. } => self.damaged("tile", index),
            TreeError::Range { asked, .. } => self.missing("entry", asked),
        }
    }
}

impl TileReader for LogReader {
    type Error = ReadError;

    fn full_tile(&self, level: u8, index: u64) -> Result<Vec<u8>, ReadError> {
        self.store
            .get(&layout::tile(self.number, self.side, level, index))?
            .ok_or_else(|| self.missing("tile", index))
    }

    fn leaf(&self, index: u64) -> Result<Hash, ReadError> {
        Ok(leaf_hash(&self.entry(index)?.entry))
    }
}

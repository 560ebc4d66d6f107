//! A file that lies sealed: read at any offset, grown at its end, never more of it in memory than a
//! segment.
//!
//! ```text
//! "LIAISON1" ‖ address of its key (6) ‖ head (48) ‖ segments of 65,536 + 16 bytes, the last one shorter
//! when it is whole: ‖ SHA-256 of all that (32)
//! ```
//!
//! While it grows, no segment is sealed as the last; [`SealedFile::end`] seals the last one as such, so
//! that a whole file cannot be cut off unnoticed. A file of nothing is one empty last segment. The digest
//! at the end is no protection: it is the name under which a backup keeps the bytes before it.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::{KeyAddress, StoreError, Vault, VaultError};
use crate::crypto::at_rest::{
    AtRestError, Context, FileCipher, HEAD_BYTES, SEALED_SEGMENT_BYTES, SEGMENT_BYTES,
};

const MAGIC: &[u8; 8] = b"LIAISON1";
/// Bytes before the segments.
const START_BYTES: u64 = START as u64;
const START: usize = MAGIC.len() + KeyAddress::BYTES + HEAD_BYTES;
const SEGMENT: u64 = SEGMENT_BYTES as u64;
const SEALED_SEGMENT: u64 = SEALED_SEGMENT_BYTES as u64;
const TAG: u64 = SEALED_SEGMENT - SEGMENT;
/// Bytes of the digest at the end of a whole file.
const DIGEST_BYTES: u64 = 32;

/// An open sealed file.
#[derive(Debug)]
pub(super) struct SealedFile {
    file: File,
    path: PathBuf,
    cipher: FileCipher,
    /// Bytes of content.
    bytes: u64,
}

impl SealedFile {
    /// Opens the sealed file of this name; `None` when there is none. One that is `growing` can be written.
    pub(super) fn open(
        path: &Path,
        vault: &Vault,
        name: &[u8; 32],
        growing: bool,
    ) -> Result<Option<Self>, StoreError> {
        let file = match File::options().read(true).write(growing).open(path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(StoreError::io("open", path, e)),
        };
        let mut start = [0; START];
        match file.read_exact_at(&mut start, 0) {
            Ok(()) => {}
            // A crash right after it was made: nothing of it is held.
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof && growing => return Ok(None),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(StoreError::corrupt(path, "it ends before its head"));
            }
            Err(e) => return Err(StoreError::io("read", path, e)),
        }
        let (magic, rest) = start.split_at(MAGIC.len());
        let (address, head) = rest.split_at(KeyAddress::BYTES);
        let (Ok(address), Ok(head)) = (address.try_into(), head.try_into()) else {
            return Err(StoreError::corrupt(path, "its head is not one"));
        };
        if magic != MAGIC {
            return Err(StoreError::corrupt(path, "it is not a sealed file"));
        }
        let address = KeyAddress::decode(address);
        let key = vault.key(address).map_err(|error| match error {
            VaultError::Destroyed => StoreError::Erased {
                path: path.to_owned(),
            },
            other => other.into(),
        })?;
        let cipher = FileCipher::resume(&key, Context(&[b"file", name]), &head)
            .map_err(|error| unsealed(path, error))?;
        let sealed = file
            .metadata()
            .map_err(|e| StoreError::io("look at", path, e))?
            .len();
        Ok(Some(Self {
            file,
            path: path.to_owned(),
            cipher,
            bytes: content_bytes(sealed, !growing),
        }))
    }

    /// Makes a new one, empty, in place of what a crash left under the name. Not durable.
    pub(super) fn create(path: &Path, vault: &Vault, name: &[u8; 32]) -> Result<Self, StoreError> {
        let (address, key) = vault.take()?;
        let (head, cipher) =
            FileCipher::begin(&key, Context(&[b"file", name])).map_err(|_| VaultError::Seal)?;
        let start = [&MAGIC[..], &address.encode(), &head].concat();
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path)
            .and_then(|file| file.write_all_at(&start, 0).map(|()| file))
            .map_err(|e| StoreError::io("write", path, e))?;
        Ok(Self {
            file,
            path: path.to_owned(),
            cipher,
            bytes: 0,
        })
    }

    /// The file itself, to be synced.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Adds content at the end of one that grows. When its last segment does not open, which a crash
    /// may leave, that segment is given up: [`bytes`](Self::bytes) says less then.
    pub(super) fn append(&mut self, mut content: &[u8]) -> Result<(), StoreError> {
        while !content.is_empty() {
            let number = self.bytes / SEGMENT;
            let mut segment = self.tail()?;
            let room = SEGMENT_BYTES - segment.len();
            let (now, later) = content.split_at(room.min(content.len()));
            segment.extend_from_slice(now);
            let grown = now.len() as u64;
            self.seal(number, false, segment)?;
            self.bytes += grown;
            content = later;
        }
        Ok(())
    }

    /// Gives up a last segment that does not open. Says how many bytes are held.
    pub(super) fn mend(&mut self) -> Result<u64, StoreError> {
        match self.tail() {
            Ok(_) => {}
            Err(StoreError::Corrupt { .. }) => {
                let number = self.bytes / SEGMENT;
                self.file
                    .set_len(START_BYTES + number * SEALED_SEGMENT)
                    .map_err(|e| StoreError::io("write", &self.path, e))?;
                self.bytes = number * SEGMENT;
            }
            Err(error) => return Err(error),
        }
        Ok(self.bytes)
    }

    /// Seals the last segment as the last, gives all content to `take`, and writes the digest.
    pub(super) fn end(&mut self, mut take: impl FnMut(&[u8])) -> Result<(), StoreError> {
        let is_full = self.bytes > 0 && self.bytes.is_multiple_of(SEGMENT);
        let last = self.bytes / SEGMENT - u64::from(is_full);
        let mut sum = Sha256::new();
        let start = self.read_sealed(0, usize::try_from(START_BYTES).unwrap_or_default())?;
        sum.update(start);
        for number in 0..=last {
            let segment = self.segment(number, false)?;
            take(&segment);
            if number == last {
                self.seal(number, true, segment)?;
            }
            let at = START_BYTES + number * SEALED_SEGMENT;
            sum.update(self.read_sealed(at, SEALED_SEGMENT_BYTES)?);
        }
        let end = self.sealed_bytes();
        self.file
            .write_all_at(&sum.finalize(), end)
            .map_err(|e| StoreError::io("write", &self.path, e))
    }

    /// Bytes as they lie, without the digest.
    pub(super) fn sealed_bytes(&self) -> u64 {
        let segments = self.bytes.div_ceil(SEGMENT).max(1);
        START_BYTES + self.bytes + segments * TAG
    }

    /// The digest of a whole file's bytes as they lie.
    pub(super) fn sealed_digest(&self) -> Result<[u8; 32], StoreError> {
        let mut digest = [0; 32];
        self.file
            .read_exact_at(&mut digest, self.sealed_bytes())
            .map_err(|e| StoreError::io("read", &self.path, e))?;
        Ok(digest)
    }

    /// At most `bytes_max` bytes as they lie, from `offset`, without the digest.
    pub(super) fn read_sealed(&self, offset: u64, bytes_max: usize) -> Result<Vec<u8>, StoreError> {
        let left = self.sealed_bytes().saturating_sub(offset);
        let mut bytes =
            vec![0; usize::try_from(left).map_or(bytes_max, |left| left.min(bytes_max))];
        self.file
            .read_exact_at(&mut bytes, offset)
            .map_err(|e| StoreError::io("read", &self.path, e))?;
        Ok(bytes)
    }

    /// At most `bytes_max` bytes of content from `offset`, of one that is whole.
    pub(super) fn read_at(&self, offset: u64, bytes_max: usize) -> Result<Vec<u8>, StoreError> {
        let end = self.bytes.min(offset.saturating_add(bytes_max as u64));
        let mut content =
            Vec::with_capacity(usize::try_from(end.saturating_sub(offset)).unwrap_or(0));
        let mut at = offset;
        while at < end {
            let number = at / SEGMENT;
            let segment = self.segment(number, self.is_last(number))?;
            let from = usize::try_from(at % SEGMENT).unwrap_or(SEGMENT_BYTES);
            let until =
                usize::try_from((end - number * SEGMENT).min(SEGMENT)).unwrap_or(SEGMENT_BYTES);
            let part = segment
                .get(from..until)
                .ok_or_else(|| StoreError::corrupt(&self.path, "a segment has another length"))?;
            content.extend_from_slice(part);
            at = number * SEGMENT + until as u64;
        }
        Ok(content)
    }

    /// Gives all content to `take`, piece by piece. `whole` says whether it was ended.
    pub(super) fn for_each(
        &self,
        whole: bool,
        mut take: impl FnMut(&[u8]),
    ) -> Result<(), StoreError> {
        let count = self.bytes.div_ceil(SEGMENT).max(u64::from(whole));
        for number in 0..count {
            take(&self.segment(number, whole && self.is_last(number))?);
        }
        Ok(())
    }

    fn is_last(&self, number: u64) -> bool {
        number + 1 >= self.bytes.div_ceil(SEGMENT)
    }

    /// What the segment at the end holds that is not full; empty when there is none.
    fn tail(&self) -> Result<Vec<u8>, StoreError> {
        if self.bytes.is_multiple_of(SEGMENT) {
            return Ok(Vec::with_capacity(SEALED_SEGMENT_BYTES));
        }
        self.segment(self.bytes / SEGMENT, false)
    }

    fn segment(&self, number: u64, last: bool) -> Result<Vec<u8>, StoreError> {
        let content = (self.bytes - (number * SEGMENT).min(self.bytes)).min(SEGMENT);
        if content == 0 && !last {
            return Ok(Vec::with_capacity(SEALED_SEGMENT_BYTES));
        }
        let mut segment = vec![0; usize::try_from(content + TAG).unwrap_or(SEALED_SEGMENT_BYTES)];
        self.file
            .read_exact_at(&mut segment, START_BYTES + number * SEALED_SEGMENT)
            .map_err(|e| match e.kind() {
                io::ErrorKind::UnexpectedEof => StoreError::corrupt(&self.path, "it was cut off"),
                _ => StoreError::io("read", &self.path, e),
            })?;
        self.cipher
            .open(number, last, &mut segment)
            .map_err(|error| unsealed(&self.path, error))?;
        Ok(segment)
    }

    fn seal(&self, number: u64, last: bool, mut segment: Vec<u8>) -> Result<(), StoreError> {
        self.cipher
            .seal(number, last, &mut segment)
            .map_err(|_| VaultError::Seal)?;
        self.file
            .write_all_at(&segment, START_BYTES + number * SEALED_SEGMENT)
            .map_err(|e| StoreError::io("write", &self.path, e))
    }
}

/// Bytes of content in a sealed file of so many bytes. Fewer than a tag are none: what a crash left.
fn content_bytes(sealed: u64, whole: bool) -> u64 {
    let end = if whole { DIGEST_BYTES } else { 0 };
    let segments = sealed.saturating_sub(START_BYTES + end);
    let (full, rest) = (segments / SEALED_SEGMENT, segments % SEALED_SEGMENT);
    full * SEGMENT + rest.saturating_sub(TAG)
}

/// Bytes of content in the sealed file at `path`; `None` when there is none.
pub(super) fn length(path: &Path, whole: bool) -> Result<Option<u64>, StoreError> {
    match std::fs::metadata(path) {
        Ok(meta) => Ok(Some(content_bytes(meta.len(), whole))),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(StoreError::io("look at", path, e)),
    }
}

/// Where the key of the sealed file at `path` is, read without opening it; `None` when there is no such
/// file, or it has no head.
pub(super) fn address(path: &Path) -> Result<Option<KeyAddress>, StoreError> {
    let mut start = [0; MAGIC.len() + KeyAddress::BYTES];
    let read = File::open(path).and_then(|file| file.read_exact_at(&mut start, 0));
    match read {
        Ok(()) => {}
        Err(e)
            if matches!(
                e.kind(),
                io::ErrorKind::UnexpectedEof | io::ErrorKind::NotFound
            ) =>
        {
            return Ok(None);
        }
        Err(e) => return Err(StoreError::io("read", path, e)),
    }
    let address = start
        .strip_prefix(MAGIC)
        .and_then(|rest| rest.try_into().ok());
    Ok(address.map(KeyAddress::decode))
}

fn unsealed(path: &Path, _: AtRestError) -> StoreError {
    StoreError::corrupt(path, "it does not open: its bytes changed")
}

//! What this node has vouched for, in one small file beside the store.
//!
//! Before a head is signed, its origin, size and root are recorded here. The engine can lose its
//! tail without an error; a store that holds less than a mark says, or another tree of that
//! size, is noticed by [`Marks::compare`] and must not be served.
//!
//! The file has two slots. A record goes to the slot that does not hold the newest state, so a
//! write that is torn by a crash leaves the state before it. Bytes: `docs/storage.md`.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::layout::Layout;
use super::{StoreError, counters, disk};
use crate::limits;

/// First bytes of the file.
const MAGIC: &[u8; 12] = b"liaisonmarks";
/// Version of the file, after the magic.
const VERSION: u32 = 1;
/// Bytes of the head: magic 12, version 4, slot size 4, SHA-256 of these 32; then zeros.
const HEAD_BYTES: usize = 4096;
const HEAD_USED: usize = 12 + 4 + 4 + 32;
/// Bytes of a slot in a new file: 160 logs with names of usual length.
const SLOT_BYTES: usize = 16 << 10;
/// The largest slot: two logs on each of the links, with the longest names, twice over.
const SLOT_BYTES_MAX: usize = 1 << 20;
/// Bytes around a slot's records: generation 8, length 4, SHA-256 32.
const SLOT_FRAME: usize = 8 + 4 + 32;
/// An origin is two node names of at most 253 bytes, joined by a slash.
const ORIGIN_BYTES_MAX: usize = 2 * 253 + 1;

const _: () = assert!(
    2 * limits::LINKS_MAX * (2 + ORIGIN_BYTES_MAX + 8 + 32) + SLOT_FRAME <= SLOT_BYTES_MAX,
    "every link's two marks fit the largest slot"
);

/// The head of one log at the highest size this node has vouched for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The log.
    pub origin: String,
    /// Entries it had.
    pub size: u64,
    /// Its Merkle root at that size.
    pub root: [u8; 32],
}

/// What the store holds of a log, as the caller of [`Marks::compare`] finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Entries it holds.
    pub size: u64,
    /// Root of its first `mark.size` entries; `None` when it holds fewer.
    pub root_at_mark: Option<[u8; 32]>,
}

/// A log of which the store does not hold what its mark says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shortfall {
    /// There are fewer entries than there were.
    Shorter {
        /// What was vouched for.
        mark: Mark,
        /// Entries the store holds.
        held: u64,
    },
    /// There are enough entries, but they are not those that were vouched for.
    Differs {
        /// What was vouched for.
        mark: Mark,
    },
}

impl fmt::Display for Shortfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Shortfall::Shorter { mark, held } => {
                write!(
                    f,
                    "{} had {} entries, {held} are there",
                    mark.origin, mark.size
                )
            }
            Shortfall::Differs { mark } => {
                write!(
                    f,
                    "{}: the first {} entries are not the same",
                    mark.origin, mark.size
                )
            }
        }
    }
}

impl From<Vec<Shortfall>> for StoreError {
    fn from(shortfalls: Vec<Shortfall>) -> Self {
        let what: Vec<String> = shortfalls.iter().map(ToString::to_string).collect();
        StoreError::Shortened {
            what: what.join("; "),
        }
    }
}

/// Size and root by origin.
type Heads = BTreeMap<String, (u64, [u8; 32])>;

/// The bytes behind the marks: a seam, so that a simulation can cut, tear and delay what is written.
pub trait MarksFile: Send + fmt::Debug {
    /// Its name, for messages.
    fn path(&self) -> &Path;

    /// Reads as many bytes as `bytes` has, from an offset on.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] when there are fewer, or the disk's own.
    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()>;

    /// Writes bytes within the file, durably when this answers `Ok`. A crash on the way may leave any
    /// part of them.
    ///
    /// # Errors
    /// The disk's own; what is written then is not known.
    fn write_all_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Puts a whole new content in the place of the old one, durably when this answers `Ok`: after a
    /// crash there is the one or the other.
    ///
    /// # Errors
    /// [`StoreError::Io`] and [`StoreError::Full`].
    fn replace(&mut self, content: &[u8]) -> Result<(), StoreError>;
}

/// The file as it lies beside the store.
#[derive(Debug)]
struct OnDisk {
    path: PathBuf,
    file: File,
}

impl OnDisk {
    fn open(path: PathBuf) -> Result<Self, StoreError> {
        match File::options().read(true).write(true).open(&path) {
            Ok(file) => Ok(Self { path, file }),
            Err(e) => Err(StoreError::io("open", &path, e)),
        }
    }
}

impl MarksFile for OnDisk {
    fn path(&self) -> &Path {
        &self.path
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(bytes, offset)
    }

    fn write_all_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file
            .write_all_at(bytes, offset)
            .and_then(|()| counters::sync_data(&self.file))
    }

    fn replace(&mut self, content: &[u8]) -> Result<(), StoreError> {
        disk::replace(&self.path, content)?;
        *self = Self::open(self.path.clone())?;
        Ok(())
    }
}

/// The file of marks. One writer at a time: it belongs to who holds the store's lock.
#[derive(Debug)]
pub struct Marks {
    file: Box<dyn MarksFile>,
    slot_bytes: usize,
    generation: u64,
    heads: Heads,
    poisoned: bool,
}

impl Marks {
    /// Makes an empty file of marks in the store's directory, durably, and opens it. When there is
    /// one it is opened as it is. [`SledStore::open`](super::SledStore::open) does this for a new
    /// store.
    ///
    /// # Errors
    /// As [`Marks::open`]; [`StoreError::Io`] and [`StoreError::Full`] when it cannot be made.
    pub fn create(dir: &Path) -> Result<Self, StoreError> {
        let path = Layout::new(dir).marks();
        if !path.exists() {
            disk::create_dir(dir)?;
            disk::replace(&path, &Marks::empty_image())?;
        }
        Marks::open(dir)
    }

    /// Opens the file of marks in a store's directory.
    ///
    /// # Errors
    /// [`StoreError::Vanished`] when it is not there, [`StoreError::Corrupt`] when no slot is
    /// whole, [`StoreError::Version`] when a newer program wrote it, [`StoreError::Io`].
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        match OnDisk::open(Layout::new(dir).marks()) {
            Ok(file) => Marks::read(Box::new(file)),
            Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Err(StoreError::vanished(dir, "its file of marks is gone"))
            }
            Err(error) => Err(error),
        }
    }

    /// The content of a file without any mark, as [`Marks::create`] makes it.
    #[must_use]
    pub fn empty_image() -> Vec<u8> {
        file_image(SLOT_BYTES, 1, &BTreeMap::new())
    }

    /// Reads the marks from where they lie.
    ///
    /// # Errors
    /// As [`Marks::open`], but for [`StoreError::Vanished`].
    pub fn read(file: Box<dyn MarksFile>) -> Result<Self, StoreError> {
        let slot_bytes = read_head(&*file)?;
        let newest = (0..2)
            .filter_map(|slot| read_slot(&*file, slot, slot_bytes))
            .max_by_key(|(generation, _)| *generation);
        let Some((generation, heads)) = newest else {
            return Err(StoreError::corrupt(
                file.path(),
                "neither of its two slots is whole",
            ));
        };
        Ok(Marks {
            file,
            slot_bytes,
            generation,
            heads,
            poisoned: false,
        })
    }

    /// The mark of a log.
    #[must_use]
    pub fn get(&self, origin: &str) -> Option<(u64, [u8; 32])> {
        self.heads.get(origin).copied()
    }

    /// Every mark, by origin.
    pub fn iter(&self) -> impl Iterator<Item = Mark> + '_ {
        self.heads.iter().map(|(origin, &(size, root))| Mark {
            origin: origin.clone(),
            size,
            root,
        })
    }

    /// Records heads, all of them or none, durably when this answers `Ok`. Heads that are
    /// recorded already cost nothing.
    ///
    /// # Errors
    /// Nothing recorded: [`StoreError::MarkRefused`] when a head is smaller than the one recorded
    /// or differs from it at the same size. Fatal: [`StoreError::OutcomeUnknown`] after any error
    /// of the disk, then and from then on.
    pub fn record(&mut self, marks: &[Mark]) -> Result<(), StoreError> {
        if self.poisoned {
            return Err(StoreError::unknown("an earlier write of the marks failed"));
        }
        let mut heads = self.heads.clone();
        for mark in marks {
            let new = (mark.size, mark.root);
            let old = heads.get(&mark.origin).copied();
            let goes_back = old.is_some_and(|o| new.0 < o.0 || (new.0 == o.0 && new.1 != o.1));
            if goes_back || mark.origin.is_empty() || mark.origin.len() > ORIGIN_BYTES_MAX {
                return Err(StoreError::MarkRefused {
                    origin: mark.origin.clone(),
                    marked: old.map_or(0, |o| o.0),
                    asked: mark.size,
                });
            }
            heads.insert(mark.origin.clone(), new);
        }
        if heads == self.heads {
            return Ok(());
        }
        let generation = self.generation + 1;
        let written = match slot_image(generation, &heads) {
            image if image.len() <= self.slot_bytes => self.write(generation, &image),
            image => self.grow(image.len(), generation, &heads),
        };
        if let Err(error) = written {
            // Whether the slot is on disk is not known, and the next write would go to the other
            // slot, over the last state that is known: stop.
            self.poisoned = true;
            return Err(StoreError::unknown(error.to_string()));
        }
        self.generation = generation;
        self.heads = heads;
        Ok(())
    }

    /// Sets the mark of a log back, durably: to a head that is proven to have been signed before
    /// what the mark says, and was not signed. Only restoring does this, before the log itself is cut
    /// back, and only under a verified receipt of what this node did sign: the mark then guards
    /// nothing that anybody was told.
    ///
    /// # Errors
    /// As [`Marks::record`], but for going back.
    pub fn restate(&mut self, mark: &Mark) -> Result<(), StoreError> {
        let before = self.heads.remove(&mark.origin);
        let restated = self.record(std::slice::from_ref(mark));
        if restated.is_err()
            && let Some(before) = before
        {
            self.heads.insert(mark.origin.clone(), before);
        }
        restated
    }

    /// Compares what was vouched for with what the store holds; `held` answers for one log. An
    /// empty answer means that all is there. A store may hold more than its marks say.
    ///
    /// # Errors
    /// Those of `held`.
    pub fn compare<E>(
        &self,
        mut held: impl FnMut(&Mark) -> Result<Held, E>,
    ) -> Result<Vec<Shortfall>, E> {
        let mut shortfalls = Vec::new();
        for mark in self.iter() {
            let found = held(&mark)?;
            if found.size < mark.size {
                shortfalls.push(Shortfall::Shorter {
                    mark,
                    held: found.size,
                });
            } else if found.root_at_mark != Some(mark.root) {
                shortfalls.push(Shortfall::Differs { mark });
            }
        }
        Ok(shortfalls)
    }

    fn write(&mut self, generation: u64, image: &[u8]) -> Result<(), StoreError> {
        let offset = slot_offset(slot_of(generation), self.slot_bytes);
        self.file
            .write_all_at(image, offset)
            .map_err(|e| StoreError::io("write", self.file.path(), e))
    }

    /// Writes the state to a new file with larger slots and puts it in the old one's place.
    fn grow(&mut self, needed: usize, generation: u64, heads: &Heads) -> Result<(), StoreError> {
        let slot_bytes = needed.next_power_of_two();
        if slot_bytes > SLOT_BYTES_MAX {
            return Err(StoreError::corrupt(
                self.file.path(),
                "it holds more logs than a node may have",
            ));
        }
        self.file
            .replace(&file_image(slot_bytes, generation, heads))?;
        self.slot_bytes = slot_bytes;
        Ok(())
    }
}

fn slot_of(generation: u64) -> u64 {
    generation % 2
}

fn slot_offset(slot: u64, slot_bytes: usize) -> u64 {
    HEAD_BYTES as u64 + slot * slot_bytes as u64
}

/// A whole file with one state in it. The other slot is zeros: written out, so that a later record
/// overwrites and need not allocate.
fn file_image(slot_bytes: usize, generation: u64, heads: &Heads) -> Vec<u8> {
    let mut image = Vec::with_capacity(HEAD_BYTES + 2 * slot_bytes);
    image.extend_from_slice(MAGIC);
    image.extend_from_slice(&VERSION.to_be_bytes());
    image.extend_from_slice(&length(slot_bytes).to_be_bytes());
    let sum = Sha256::digest(&image);
    image.extend_from_slice(&sum);
    image.resize(HEAD_BYTES + 2 * slot_bytes, 0);
    let slot = slot_image(generation, heads);
    let at = HEAD_BYTES
        + if slot_of(generation) == 0 {
            0
        } else {
            slot_bytes
        };
    image[at..at + slot.len()].copy_from_slice(&slot);
    image
}

fn slot_image(generation: u64, heads: &Heads) -> Vec<u8> {
    let mut records = Vec::new();
    for (origin, (size, root)) in heads {
        let bytes = u16::try_from(origin.len()).expect("at most ORIGIN_BYTES_MAX, checked");
        records.extend_from_slice(&bytes.to_be_bytes());
        records.extend_from_slice(origin.as_bytes());
        records.extend_from_slice(&size.to_be_bytes());
        records.extend_from_slice(root);
    }
    let mut image = Vec::with_capacity(records.len() + SLOT_FRAME);
    image.extend_from_slice(&generation.to_be_bytes());
    image.extend_from_slice(&length(records.len()).to_be_bytes());
    image.extend_from_slice(&records);
    let sum = Sha256::digest(&image);
    image.extend_from_slice(&sum);
    image
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("slots are at most SLOT_BYTES_MAX")
}

/// Slot size from the head of the file.
fn read_head(file: &dyn MarksFile) -> Result<usize, StoreError> {
    let path = file.path();
    let corrupt = |what: &str| StoreError::corrupt(path, what);
    let mut head = [0; HEAD_USED];
    file.read_exact_at(&mut head, 0)
        .map_err(|e| match e.kind() {
            io::ErrorKind::UnexpectedEof => corrupt("it is cut short"),
            _ => StoreError::io("read", path, e),
        })?;
    let (said, sum) = head.split_at(HEAD_USED - 32);
    let (magic, numbers) = said.split_at(MAGIC.len());
    if magic != MAGIC {
        return Err(corrupt("it is not a file of marks"));
    }
    let version = number(&numbers[..4]);
    if version != u64::from(VERSION) {
        return Err(StoreError::Version {
            path: path.to_owned(),
            found: version.to_string(),
            supported: VERSION,
        });
    }
    if Sha256::digest(said).as_slice() != sum {
        return Err(corrupt("its head does not match its checksum"));
    }
    usize::try_from(number(&numbers[4..]))
        .ok()
        .filter(|bytes| (SLOT_FRAME..=SLOT_BYTES_MAX).contains(bytes))
        .ok_or_else(|| corrupt("its slot size is out of range"))
}

/// Generation and marks of a slot, or nothing when it is not whole.
fn read_slot(file: &dyn MarksFile, slot: u64, slot_bytes: usize) -> Option<(u64, Heads)> {
    let mut bytes = vec![0; slot_bytes];
    file.read_exact_at(&mut bytes, slot_offset(slot, slot_bytes))
        .ok()?;
    let generation = number(&bytes[..8]);
    let records_bytes = usize::try_from(number(&bytes[8..12])).ok()?;
    let end = records_bytes.checked_add(12)?;
    let sum = bytes.get(end..end.checked_add(32)?)?;
    if Sha256::digest(&bytes[..end]).as_slice() != sum {
        return None;
    }
    let mut rest = &bytes[12..end];
    let mut heads = Heads::new();
    while !rest.is_empty() {
        let origin_bytes = usize::try_from(number(rest.get(..2)?)).ok()?;
        let origin = std::str::from_utf8(rest.get(2..2 + origin_bytes)?).ok()?;
        rest = rest.get(2 + origin_bytes..)?;
        let size = number(rest.get(..8)?);
        let root = rest.get(8..40)?.try_into().ok()?;
        rest = &rest[40..];
        heads.insert(origin.to_owned(), (size, root));
    }
    Some((generation, heads))
}

/// A big-endian number of at most 8 bytes.
fn number(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |number, &byte| number << 8 | u64::from(byte))
}

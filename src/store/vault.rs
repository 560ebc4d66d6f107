//! The keys of what lies on the disk, in small files beside the store.
//!
//! ```text
//! <body keys>/2026-11    what is left of a month's keys: a tree, see crypto::puncture
//! <body keys>/copies.json the copies that were made, see key_copies
//! <body keys>/LOCK        held by the process that has the files open
//! <body keys>/*.new      being written       ┐ found after a crash:
//! <body keys>/*.old      being overwritten   ┘ overwritten and removed
//! ```
//!
//! Each file is sealed under the node's storage key. A month's file changes when a block of keys is
//! begun (one in 4,096 bodies) and when keys are destroyed. To replace one: write the new, sync, link
//! the old under a second name, rename, sync the directory (**point of no return**), overwrite the old,
//! sync, remove it. So after a crash there is the state before or the one after, and of the one before
//! nothing is left but what the medium itself keeps of overwritten blocks.
//!
//! Deliberately absent: which body has which key. That is in the record of the entry.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::key_copies::{CopiedKeys, FoundCopy, KeyCopies, KeyCopy, KeyCopyError};
use super::layout::Layout;
use super::{KeyMarks, StoreError, counters, disk};
use crate::crypto::at_rest::{self, Context};
use crate::crypto::puncture::{BlockError, LeafKey, PuncturedTree, TreeFormatError};
use crate::crypto::storage_key::StorageKey;

/// What goes before the sealed part of every file.
const MAGIC: &[u8; 16] = b"liaison keys v1\n";
/// Bytes that are overwritten at once.
const SHRED_BYTES: usize = 64 << 10;
/// What a file of keys is at most: a month whose every second body was destroyed, at 100 million.
const FILE_BYTES_MAX: u64 = 4 << 30;
/// Input/output error, and a file system that was made read-only because of one.
const EIO: i32 = 5;
const EROFS: i32 = 30;
const NEW: &str = "new";
const OLD: &str = "old";

/// A month, counted from January of the year 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(u16);

impl Period {
    /// The month of a time, in UTC. `at_ms` is milliseconds since 1970.
    #[must_use]
    pub fn of_ms(at_ms: u64) -> Self {
        let ms = i64::try_from(at_ms).unwrap_or(i64::MAX);
        let date = jiff::Timestamp::from_millisecond(ms)
            .unwrap_or(jiff::Timestamp::MAX)
            .to_zoned(jiff::tz::TimeZone::UTC);
        let months = i32::from(date.year()) * 12 + i32::from(date.month()) - 1;
        Period(u16::try_from(months).unwrap_or(u16::MAX))
    }

    /// Reads what [`Display`](fmt::Display) writes: `2026-11`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (year, month) = text.split_once('-')?;
        let (year, month): (u16, u16) = (year.parse().ok()?, month.parse().ok()?);
        let period = Period(year.checked_mul(12)?.checked_add(month.checked_sub(1)?)?);
        // One text for one month.
        (period.to_string() == text).then_some(period)
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.0 / 12, self.0 % 12 + 1)
    }
}

/// Where the key of one body or file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyAddress {
    /// The month's file.
    pub period: Period,
    /// The leaf in its tree.
    pub leaf: u32,
}

impl KeyAddress {
    /// Bytes of an address as written.
    pub const BYTES: usize = 6;

    /// As written beside what is sealed: month (u16), leaf (u32), big-endian.
    #[must_use]
    pub fn encode(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..2].copy_from_slice(&self.period.0.to_be_bytes());
        bytes[2..].copy_from_slice(&self.leaf.to_be_bytes());
        bytes
    }

    /// Reads [`encode`](Self::encode)'s.
    #[must_use]
    pub fn decode(bytes: [u8; Self::BYTES]) -> Self {
        let [a, b, leaf @ ..] = bytes;
        Self {
            period: Period(u16::from_be_bytes([a, b])),
            leaf: u32::from_be_bytes(leaf),
        }
    }
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// It was destroyed: what it sealed is erased, for ever.
    #[error("erased: its key was destroyed")]
    Destroyed,
    /// The month's file is missing, or older than the store.
    #[error(
        "its key is missing: {} holds no key {} of {}; put the latest copy of the key files back",
        dir.display(), address.leaf, address.period
    )]
    Missing {
        /// Where the key files are.
        dir: PathBuf,
        /// Which key.
        address: KeyAddress,
    },
    /// A file of keys does not open with the storage key.
    #[error(
        "{} does not open with this node's storage key: it was changed, or sealed under another one. If it was \
         changed: move it away and bring in a copy: liaison keys restore COPY",
        path.display()
    )]
    Sealed {
        /// The file.
        path: PathBuf,
    },
    /// A file of keys opens and is none.
    #[error("{}: {source}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: TreeFormatError,
    },
    /// Files of keys are missing, or older than the store.
    #[error(
        "keys are missing that bodies here were sealed with: {missing} in no file of {}. Is the right disk \
         mounted? Put the files back, or bring in a copy: liaison keys restore COPY. If they are lost for \
         good: liaison keys restore --lost",
        dir.display()
    )]
    Behind {
        /// Where the key files are.
        dir: PathBuf,
        /// Which, in words.
        missing: String,
    },
    /// A copy was not made, or is none.
    #[error(transparent)]
    Copy(#[from] KeyCopyError),
    /// A copy is of another node, or opens with another storage key.
    #[error(
        "the copy is of {node} under the storage key {storage_key}; here is {here} under {key_here}. Nothing \
         was changed"
    )]
    OtherCopy {
        /// Whose it is.
        node: String,
        /// Name of the storage key that opens it.
        storage_key: String,
        /// This node.
        here: String,
        /// Name of its storage key.
        key_here: String,
    },
    /// No key could be made.
    #[error(transparent)]
    Block(#[from] BlockError),
    /// The cipher refused.
    #[error("keys cannot be sealed")]
    Seal,
    /// An earlier change of the files has failed.
    #[error(
        "the disk has failed under {}: no key is made or destroyed until the node is restarted",
        dir.display()
    )]
    Broken {
        /// Where the key files are.
        dir: PathBuf,
    },
    /// The disk refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The key files of a node. Every call may block on the disk.
pub struct Vault {
    dir: PathBuf,
    key: StorageKey,
    node: String,
    now_ms: Box<dyn Fn() -> u64 + Send + Sync>,
    periods: Mutex<BTreeMap<Period, PuncturedTree>>,
    /// Beside the store, once it is open.
    marks: Mutex<Option<KeyMarks>>,
    copies: Mutex<KeyCopies>,
    /// Months of which keys were destroyed in memory and not on the disk yet.
    behind: Mutex<BTreeSet<Period>>,
    /// The disk has failed.
    is_broken: AtomicBool,
    /// Whatever is missing counts as lost.
    given_up: AtomicBool,
    /// Held as long as the files may change.
    lock: Option<VaultLock>,
}

/// The files of keys, for this process alone.
#[derive(Debug)]
pub struct VaultLock(#[expect(dead_code, reason = "open means locked")] File);

impl VaultLock {
    /// Takes it; the directory is made when it is missing.
    ///
    /// # Errors
    /// [`StoreError::InUse`] while another process has it.
    pub fn take(dir: &Path) -> Result<Self, StoreError> {
        disk::create_dir(dir)?;
        Layout::new(dir).lock().map(Self)
    }
}

/// What would be lost if the files of keys were lost now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uncopied {
    /// When the latest whole copy was made, in milliseconds since 1970; `None` without one.
    pub copied_at_ms: Option<u64>,
    /// At most so many bodies and files were sealed under keys that no whole copy holds.
    pub keys: u64,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault")
            .field("dir", &self.dir)
            .finish_non_exhaustive()
    }
}

impl Vault {
    /// Opens the key files in `dir`, which is made when it is missing. What an interrupted change left
    /// is overwritten and removed first. `now_ms` is the clock, in milliseconds since 1970: it chooses
    /// the month of a new key, and nothing else.
    ///
    /// # Errors
    /// [`VaultError`]; nothing is made anew in place of what cannot be read.
    pub fn open(
        dir: &Path,
        key: StorageKey,
        node: &str,
        now_ms: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> Result<Self, VaultError> {
        disk::create_dir(dir)?;
        let vault = Self::closed(dir, key, node, now_ms)?;
        vault.clean()?;
        let mut periods = BTreeMap::new();
        for path in list(dir)? {
            if let Some(period) = period_of(&path) {
                periods.insert(period, vault.read_tree(&path)?);
            }
        }
        *vault.lock() = periods;
        Ok(vault)
    }

    fn closed(
        dir: &Path,
        key: StorageKey,
        node: &str,
        now_ms: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            dir: dir.to_owned(),
            key,
            node: node.to_owned(),
            now_ms: Box::new(now_ms),
            periods: Mutex::default(),
            marks: Mutex::default(),
            copies: Mutex::new(KeyCopies::open(dir)?),
            behind: Mutex::default(),
            is_broken: AtomicBool::new(false),
            given_up: AtomicBool::new(false),
            lock: None,
        })
    }

    /// Keeps the lock as long as this is open.
    #[must_use]
    pub fn holding(mut self, lock: VaultLock) -> Self {
        self.lock = Some(lock);
        self
    }

    /// Compares with the marks beside the store in `data_dir`, and keeps them from now on. To be called
    /// before a key is taken.
    ///
    /// # Errors
    /// [`VaultError::Behind`] when keys are missing that the store may need.
    pub fn keep_marks(&self, data_dir: &Path) -> Result<(), VaultError> {
        let periods = self.lock();
        let marks = KeyMarks::read(data_dir)?;
        let mut marks = marks.unwrap_or_else(|| KeyMarks::new(data_dir, &self.node));
        let missing: Vec<String> = marks
            .months()
            .map(|(period, mark)| {
                (
                    period,
                    periods.get(&period).map_or(0, PuncturedTree::leaves),
                    mark,
                )
            })
            .filter(|(_, end, mark)| end < mark)
            .map(|(period, end, mark)| format!("those of {period} from {end} to {}", mark - 1))
            .collect();
        if !missing.is_empty() {
            return Err(VaultError::Behind {
                dir: self.dir.clone(),
                missing: missing.join(", "),
            });
        }
        marks.raise(&self.key.id(), &ends(&periods))?;
        *self.marks.lock().unwrap_or_else(PoisonError::into_inner) = Some(marks);
        Ok(())
    }

    /// Takes note that keys are lost up to these leaves: what they sealed stays unreadable until a copy
    /// brings them back, and their numbers are never given again. Says how many leaves that are.
    ///
    /// # Errors
    /// [`VaultError::Store`]; the months before the one that failed are done.
    pub fn accept_loss(
        &self,
        marks: impl IntoIterator<Item = (Period, u32)>,
    ) -> Result<u64, VaultError> {
        let mut periods = self.lock();
        let mut lost = 0;
        for (period, mark) in marks {
            let tree = periods.entry(period).or_default();
            let more = tree.lose_to(mark);
            if more > 0 {
                self.write(&period.to_string(), &tree.encode())?;
                lost += u64::from(more);
            }
        }
        Ok(lost)
    }

    /// From now on every key that is missing counts as lost: somebody has said that there is no copy.
    pub fn give_up_missing(&self) {
        self.given_up.store(true, Ordering::Relaxed);
    }

    /// Whether a key is missing, and somebody has said that it is lost.
    #[must_use]
    pub fn is_lost(&self, address: KeyAddress) -> bool {
        let periods = self.lock();
        let tree = periods.get(&address.period);
        let is_noted = tree.is_some_and(|tree| tree.is_lost(address.leaf));
        is_noted || self.given_up.load(Ordering::Relaxed)
    }

    /// Leaves of which the keys are lost, destroyed ones not counted.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lock()
            .values()
            .map(|tree| u64::from(tree.lost()))
            .sum()
    }

    /// A copy of all keys as they are now, which is on the list from here on. It is on the list as
    /// whole only after [`finish_copy`](Self::finish_copy).
    ///
    /// # Errors
    /// [`VaultError::Copy`], [`VaultError::Seal`].
    pub fn copy(&self, label: &str) -> Result<CopiedKeys, VaultError> {
        let periods = self.lock();
        let mut copies = self.copies();
        let mut drawn = [0; 8];
        getrandom::fill(&mut drawn).map_err(BlockError::Randomness)?;
        let mut files = BTreeMap::new();
        for (period, tree) in &*periods {
            let name = period.to_string();
            let context = self.context(name.as_bytes());
            let sealed = at_rest::seal(self.key.leaf(), context.as_context(), &tree.encode())
                .map_err(|_| VaultError::Seal)?;
            files.insert(name, [&MAGIC[..], &sealed].concat());
        }
        let months = ends(&periods).into_iter();
        let copy = KeyCopy {
            id: hex::encode(drawn),
            at_ms: (self.now_ms)(),
            label: label.to_owned(),
            sha256: String::new(),
            storage_key: self.key.id(),
            months: months
                .map(|(period, end)| (period.to_string(), end))
                .collect(),
            finished: false,
            destroyed_at_ms: None,
            destroyed_by: None,
        };
        let copied = CopiedKeys::new(copy, &self.node, files, copies.all())?;
        // Before a byte of it leaves: an erasure of this moment must name it.
        copies.begin(copied.copy.clone())?;
        Ok(copied)
    }

    /// Notes that a copy was read back and is whole.
    ///
    /// # Errors
    /// [`KeyCopyError::Unknown`], [`KeyCopyError::Store`].
    pub fn finish_copy(&self, id: &str) -> Result<(), KeyCopyError> {
        self.copies().finish(id)
    }

    /// Notes that a copy was destroyed, by the word of `by`.
    ///
    /// # Errors
    /// [`KeyCopyError::Unknown`], [`KeyCopyError::Store`].
    pub fn note_destroyed_copy(&self, id: &str, by: &str) -> Result<(), KeyCopyError> {
        self.copies().destroyed(id, (self.now_ms)(), by)
    }

    /// Every copy that is remembered, oldest first.
    #[must_use]
    pub fn known_copies(&self) -> Vec<KeyCopy> {
        self.copies().all().to_vec()
    }

    /// Copies that may still be somewhere and hold one of these keys: to be destroyed, if the keys are.
    /// Ask before the keys are destroyed.
    #[must_use]
    pub fn copies_of(&self, addresses: &[KeyAddress]) -> Vec<KeyCopy> {
        let mut copies = self.copies().list();
        copies.retain(|copy| addresses.iter().any(|address| copy.may_hold(*address)));
        copies
    }

    /// What would be lost with the files of keys.
    #[must_use]
    pub fn uncopied(&self) -> Uncopied {
        let mut whole = self.copies().list();
        whole.retain(|copy| copy.finished && copy.storage_key == self.key.id());
        let held = |period: &Period| {
            let ends = whole
                .iter()
                .filter_map(|copy| copy.months.get(&period.to_string()));
            ends.copied().max().unwrap_or(0)
        };
        let periods = self.lock();
        let months = periods.iter();
        Uncopied {
            copied_at_ms: whole.iter().map(|copy| copy.at_ms).max(),
            keys: months
                .map(|(period, tree)| u64::from(tree.given().saturating_sub(held(period))))
                .sum(),
        }
    }

    /// Brings back from a copy what is missing here: months without a file, and keys that are lost. A
    /// key that is here, or was destroyed here, stays as it is. `marks` are those of the store. Says how
    /// many leaves came back.
    ///
    /// # Errors
    /// [`VaultError::OtherCopy`] before anything is changed; [`VaultError::Sealed`].
    pub fn restore_from(
        &self,
        found: &FoundCopy,
        marks: impl IntoIterator<Item = (Period, u32)>,
    ) -> Result<u64, VaultError> {
        let mut trees = BTreeMap::new();
        for (name, bytes) in &found.copied.files {
            let path = Path::new(name);
            let opened = self.unseal(path, bytes);
            let bytes = opened.map_err(|_| VaultError::OtherCopy {
                node: found.node.clone(),
                storage_key: found.copied.copy.storage_key.clone(),
                here: self.node.clone(),
                key_here: self.key.id(),
            })?;
            let tree = PuncturedTree::decode(&bytes).map_err(|source| VaultError::Format {
                path: path.to_owned(),
                source,
            })?;
            if let Some(period) = period_of(path) {
                trees.insert(period, tree);
            }
        }
        self.copies().merge(&found.others)?;
        self.copies()
            .merge(std::slice::from_ref(&found.copied.copy))?;
        // It was verified when it was found, and opens: the copy that saves the node is a whole one.
        self.finish_copy(&found.copied.copy.id)?;
        let mut back = 0;
        let marks: BTreeMap<Period, u32> = marks.into_iter().collect();
        let mut periods = self.lock();
        for (period, copy) in trees {
            let mark = marks.get(&period).copied().unwrap_or(0).max(copy.leaves());
            let tree = periods.entry(period).or_default();
            tree.lose_to(mark);
            back += u64::from(tree.fill_from(&copy));
            self.write(&period.to_string(), &tree.encode())?;
        }
        Ok(back)
    }

    /// Seals every file in `dir` anew, from one storage key to another; files that are sealed under the
    /// new one already are left. Nothing of the old sealing stays on the disk. After a crash it goes on
    /// where it was. Says how many files were changed.
    ///
    /// # Errors
    /// [`VaultError::Sealed`] when a file opens with neither; some may be changed then.
    pub fn reseal(
        dir: &Path,
        node: &str,
        from: StorageKey,
        to: StorageKey,
    ) -> Result<usize, VaultError> {
        let (old, new) = (
            Self::closed(dir, from, node, || 0)?,
            Self::closed(dir, to, node, || 0)?,
        );
        new.clean()?;
        let mut changed = 0;
        for path in list(dir)? {
            let Some(period) = period_of(&path) else {
                continue;
            };
            match new.read_tree(&path) {
                Ok(_) => continue,
                Err(VaultError::Sealed { .. }) => {}
                Err(error) => return Err(error),
            }
            let tree = old.read_tree(&path)?;
            new.write(&period.to_string(), &tree.encode())?;
            new.read_tree(&path)?;
            changed += 1;
        }
        Ok(changed)
    }

    /// Name of the storage key that the files are sealed under.
    #[must_use]
    pub fn storage_key_id(&self) -> String {
        self.key.id()
    }

    fn copies(&self) -> std::sync::MutexGuard<'_, KeyCopies> {
        self.copies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there are key files in `dir`.
    ///
    /// # Errors
    /// When it is there and cannot be listed.
    pub fn is_in(dir: &Path) -> Result<bool, StoreError> {
        match list(dir) {
            Ok(files) => Ok(files.iter().any(|path| period_of(path).is_some())),
            Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Takes a key that was never used; durable before this answers.
    ///
    /// # Errors
    /// [`VaultError::Block`], [`VaultError::Store`].
    pub fn take(&self) -> Result<(KeyAddress, LeafKey), VaultError> {
        let period = Period::of_ms((self.now_ms)());
        let mut periods = self.lock();
        let tree = periods.entry(period).or_default();
        if let Some((leaf, key)) = tree.take() {
            return Ok((KeyAddress { period, leaf }, key));
        }
        // In a copy: what is not durable must not be taken.
        let larger = tree.with_block()?;
        self.write(&period.to_string(), &larger.encode())?;
        let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(marks) = &mut *marks {
            let raised = marks.raise(&self.key.id(), &[(period, larger.leaves())]);
            self.watch_disk(raised.map_err(VaultError::from))?;
        }
        drop(marks);
        *tree = larger;
        let (leaf, key) = tree.take().ok_or(BlockError::Exhausted)?;
        Ok((KeyAddress { period, leaf }, key))
    }

    /// The key at an address.
    ///
    /// # Errors
    /// [`VaultError::Destroyed`], [`VaultError::Missing`].
    pub fn key(&self, address: KeyAddress) -> Result<LeafKey, VaultError> {
        let periods = self.lock();
        let tree = periods.get(&address.period);
        if let Some(key) = tree.and_then(|tree| tree.leaf(address.leaf)) {
            return Ok(key);
        }
        let is_known =
            |tree: &PuncturedTree| address.leaf < tree.leaves() && !tree.is_lost(address.leaf);
        if tree.is_some_and(is_known) {
            return Err(VaultError::Destroyed);
        }
        Err(VaultError::Missing {
            dir: self.dir.clone(),
            address,
        })
    }

    /// Destroys keys, durably when this answers `Ok`: what they sealed can never be opened again. Says
    /// how many were there. After a crash within, those of each month are there or gone together.
    ///
    /// # Errors
    /// [`VaultError`]; the keys of the months before the one that failed are destroyed.
    pub fn destroy(&self, addresses: &[KeyAddress]) -> Result<usize, VaultError> {
        let mut by_period: BTreeMap<Period, Vec<u32>> = BTreeMap::new();
        for address in addresses {
            by_period
                .entry(address.period)
                .or_default()
                .push(address.leaf);
        }
        let mut destroyed = 0;
        let mut periods = self.lock();
        for (period, leaves) in by_period {
            let Some(tree) = periods.get_mut(&period) else {
                continue;
            };
            let there = leaves
                .into_iter()
                .filter(|leaf| tree.puncture(*leaf))
                .count();
            // What memory has forgotten stays forgotten, also if the disk refuses now: then the file is
            // behind, whoever asked is told that it is not done, and who asks again has it written.
            let mut behind = self.behind.lock().unwrap_or_else(PoisonError::into_inner);
            if there > 0 {
                behind.insert(period);
            }
            if behind.contains(&period) {
                self.write(&period.to_string(), &tree.encode())?;
                behind.remove(&period);
                destroyed += there;
            }
        }
        Ok(destroyed)
    }

    /// Destroys every key that is not in `used` and was not given since the files were opened, durably
    /// when this answers `Ok`. Says how many; with `preview` nothing is destroyed.
    ///
    /// # Errors
    /// [`VaultError`]; the keys of the months before the one that failed are destroyed.
    pub fn prune(&self, used: &BTreeSet<KeyAddress>, preview: bool) -> Result<u64, VaultError> {
        let mut by_period: BTreeMap<Period, BTreeSet<u32>> = BTreeMap::new();
        for address in used {
            by_period
                .entry(address.period)
                .or_default()
                .insert(address.leaf);
        }
        let nothing = BTreeSet::new();
        let mut pruned = 0;
        let mut periods = self.lock();
        for (period, tree) in periods.iter_mut() {
            let keep = by_period.get(period).unwrap_or(&nothing);
            if preview {
                pruned += u64::from(tree.unused(keep));
                continue;
            }
            let destroyed = tree.retain(keep);
            let mut behind = self.behind.lock().unwrap_or_else(PoisonError::into_inner);
            if destroyed > 0 {
                behind.insert(*period);
            }
            if behind.contains(period) {
                self.write(&period.to_string(), &tree.encode())?;
                behind.remove(period);
            }
            pruned += u64::from(destroyed);
        }
        Ok(pruned)
    }

    /// The months of which there are keys.
    #[must_use]
    pub fn periods(&self) -> Vec<Period> {
        self.lock().keys().copied().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Period, PuncturedTree>> {
        self.periods.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, path: &Path) -> Result<zeroize::Zeroizing<Vec<u8>>, VaultError> {
        let io = |e| VaultError::Store(StoreError::io("read", path, e));
        let sealed = || VaultError::Sealed {
            path: path.to_owned(),
        };
        if fs::metadata(path).map_err(io)?.len() > FILE_BYTES_MAX {
            return Err(sealed());
        }
        self.unseal(path, &fs::read(path).map_err(io)?)
    }

    fn read_tree(&self, path: &Path) -> Result<PuncturedTree, VaultError> {
        let bytes = self.read(path)?;
        PuncturedTree::decode(&bytes).map_err(|source| VaultError::Format {
            path: path.to_owned(),
            source,
        })
    }

    /// What a file at `path` holds, of these bytes.
    fn unseal(&self, path: &Path, bytes: &[u8]) -> Result<zeroize::Zeroizing<Vec<u8>>, VaultError> {
        let sealed = || VaultError::Sealed {
            path: path.to_owned(),
        };
        let body = bytes.strip_prefix(MAGIC).ok_or_else(sealed)?;
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        at_rest::open(self.key.leaf(), self.context(name).as_context(), body)
            .map(zeroize::Zeroizing::new)
            .map_err(|_| sealed())
    }

    fn context<'a>(&'a self, name: &'a [u8]) -> FileContext<'a> {
        FileContext([MAGIC, self.node.as_bytes(), name])
    }

    /// Replaces a file, and overwrites what it was. When the disk itself fails nobody knows what is on
    /// it: then nothing is written until the files are opened anew. What passes, such as too many open
    /// files, is tried again by whoever asks next.
    fn write(&self, name: &str, content: &[u8]) -> Result<(), VaultError> {
        if self.is_broken.load(Ordering::Relaxed) {
            return Err(VaultError::Broken {
                dir: self.dir.clone(),
            });
        }
        self.watch_disk(self.replace(name, content))
    }

    /// Takes note when it is the disk that failed.
    fn watch_disk(&self, done: Result<(), VaultError>) -> Result<(), VaultError> {
        if let Err(VaultError::Store(StoreError::Io { source, .. })) = &done
            && matches!(source.raw_os_error(), Some(EIO | EROFS))
        {
            self.is_broken.store(true, Ordering::Relaxed);
        }
        done
    }

    fn replace(&self, name: &str, content: &[u8]) -> Result<(), VaultError> {
        self.clean()?;
        let context = self.context(name.as_bytes());
        let sealed = at_rest::seal(self.key.leaf(), context.as_context(), content)
            .map_err(|_| VaultError::Seal)?;
        let path = self.dir.join(name);
        let (new, old) = (path.with_extension(NEW), path.with_extension(OLD));
        let io = |path: &Path| {
            let path = path.to_owned();
            move |e| StoreError::io("write", &path, e)
        };
        File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&new)
            .and_then(|mut file| {
                file.write_all(MAGIC)?;
                file.write_all(&sealed)?;
                counters::sync_all(&file)
            })
            .map_err(io(&new))?;
        let had_one = match fs::hard_link(&path, &old) {
            Ok(()) => true,
            Err(e) if e.kind() == io::ErrorKind::NotFound => false,
            Err(e) => return Err(io(&old)(e).into()),
        };
        // Durable before the rename: after a crash the old one must still have a name.
        disk::sync_dir(&self.dir)?;
        fs::rename(&new, &path).map_err(io(&path))?;
        // Point of no return.
        disk::sync_dir(&self.dir)?;
        if had_one {
            shred(&old)?;
            disk::sync_dir(&self.dir)?;
        }
        Ok(())
    }

    /// What a crash left: a file that was to be, or the one that was.
    fn clean(&self) -> Result<(), StoreError> {
        let mut found = false;
        for path in list(&self.dir)? {
            let ending = path.extension().and_then(|ending| ending.to_str());
            if !matches!(ending, Some(NEW | OLD)) {
                continue;
            }
            found = true;
            let io = |e| StoreError::io("look at", &path, e);
            let inode = |meta: fs::Metadata| (meta.dev(), meta.ino());
            let current = match fs::metadata(path.with_extension("")) {
                Ok(meta) => Some(inode(meta)),
                Err(e) if e.kind() == io::ErrorKind::NotFound => None,
                Err(e) => return Err(io(e)),
            };
            match current {
                // The second name of the one that still holds.
                Some(current) if current == inode(fs::metadata(&path).map_err(io)?) => {
                    fs::remove_file(&path).map_err(|e| StoreError::io("remove", &path, e))?;
                }
                // No crash leaves that: someone removed the other. It is the only one.
                None if ending == Some(OLD) => fs::rename(&path, path.with_extension(""))
                    .map_err(|e| StoreError::io("rename", &path, e))?,
                _ => shred(&path)?,
            }
        }
        if found {
            disk::sync_dir(&self.dir)
        } else {
            Ok(())
        }
    }
}

fn list(dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    fs::read_dir(dir)
        .and_then(|entries| entries.map(|entry| entry.map(|e| e.path())).collect())
        .map_err(|e| StoreError::io("list", dir, e))
}

/// By month, the first leaf of the block that is not begun.
fn ends(periods: &BTreeMap<Period, PuncturedTree>) -> Vec<(Period, u32)> {
    let months = periods.iter();
    months
        .map(|(period, tree)| (*period, tree.leaves()))
        .collect()
}

/// The month whose keys a file holds.
fn period_of(path: &Path) -> Option<Period> {
    Period::parse(path.file_name()?.to_str()?)
}

struct FileContext<'a>([&'a [u8]; 3]);

impl FileContext<'_> {
    fn as_context(&self) -> Context<'_> {
        Context(&self.0)
    }
}

/// Overwrites a file in place, and removes it.
///
/// # Errors
/// [`StoreError::Io`].
pub fn shred(path: &Path) -> Result<(), StoreError> {
    let overwrite = || {
        let file = File::options().write(true).open(path)?;
        let bytes = file.metadata()?.len();
        let zeros = vec![0; SHRED_BYTES];
        let mut at = 0;
        while at < bytes {
            let part =
                usize::try_from(bytes - at).map_or(SHRED_BYTES, |left| left.min(SHRED_BYTES));
            file.write_all_at(&zeros[..part], at)?;
            at += part as u64;
        }
        counters::sync_all(&file)?;
        fs::remove_file(path)
    };
    overwrite().map_err(|e| StoreError::io("overwrite", path, e))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicU64;

    use super::*;

    const NOVEMBER: u64 = 1_795_000_000_000;
    const MONTH: u64 = 31 * 24 * 3_600_000;

    fn open_at(dir: &Path, at_ms: u64) -> Vault {
        open_as(dir, 7, "a.example", at_ms).unwrap()
    }

    fn open(dir: &Path) -> Vault {
        open_at(dir, NOVEMBER)
    }

    fn open_as(dir: &Path, key: u8, node: &str, at_ms: u64) -> Result<Vault, VaultError> {
        Vault::open(dir, StorageKey::from_bytes(&[key; 32]), node, move || at_ms)
    }

    fn is_gone(vault: &Vault, address: KeyAddress) -> bool {
        matches!(vault.key(address), Err(VaultError::Destroyed))
    }

    #[test]
    fn months_have_names() {
        assert_eq!(Period::of_ms(NOVEMBER).to_string(), "2026-11");
        assert_eq!(Period::of_ms(0).to_string(), "1970-01");
        assert_eq!(Period::parse("2026-11"), Some(Period::of_ms(NOVEMBER)));
        for wrong in [
            "2026-00",
            "2026-13",
            "26-11",
            "2026-1",
            "2026-11.old",
            "names",
        ] {
            assert_eq!(Period::parse(wrong), None, "{wrong}");
        }
        let address = KeyAddress {
            period: Period::of_ms(NOVEMBER),
            leaf: 0x0102_0304,
        };
        assert_eq!(KeyAddress::decode(address.encode()), address);
    }

    #[test]
    fn keys_last_and_are_never_given_twice() {
        let dir = tempfile::tempdir().unwrap();
        let mut given = BTreeMap::new();
        for _ in 0..3 {
            let now = Arc::new(AtomicU64::new(NOVEMBER));
            let clock = Arc::clone(&now);
            let key = StorageKey::from_bytes(&[7; 32]);
            let vault = Vault::open(dir.path(), key, "a.example", move || {
                clock.load(Ordering::Relaxed)
            })
            .unwrap();
            for count in 0..5_000 {
                now.store(NOVEMBER + count % 2 * MONTH, Ordering::Relaxed);
                let (address, key) = vault.take().unwrap();
                let secret = key.mac(b"");
                assert_eq!(given.insert(address, secret), None);
            }
        }
        let vault = open(dir.path());
        assert_eq!(vault.periods().len(), 2);
        for (address, secret) in &given {
            assert_eq!(vault.key(*address).unwrap().mac(b""), *secret);
        }
        let distinct: BTreeSet<_> = given.values().collect();
        assert_eq!(distinct.len(), given.len());
    }

    #[test]
    fn what_is_destroyed_stays_so_and_nothing_else_goes() {
        let dir = tempfile::tempdir().unwrap();
        let vault = open(dir.path());
        let taken: Vec<_> = (0..100).map(|_| vault.take().unwrap().0).collect();
        drop(vault);
        let vault = open_at(dir.path(), NOVEMBER + MONTH);
        let other = vault.take().unwrap().0;
        assert_eq!(vault.destroy(&[taken[3], taken[50], other]).unwrap(), 3);
        assert_eq!(vault.destroy(&[taken[3]]).unwrap(), 0, "once");
        for vault in [vault, open(dir.path())] {
            for (at, address) in taken.iter().enumerate() {
                assert_eq!(is_gone(&vault, *address), [3, 50].contains(&at), "{at}");
            }
            assert!(is_gone(&vault, other));
        }
        // No second copy of a file is left.
        let names: Vec<_> = fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(names.len(), 2, "{names:?}");
    }

    /// What a crash between any two steps of a replacement leaves, made by hand: the state before or
    /// the one after, and no file beside it.
    #[test]
    fn a_crash_at_any_step_leaves_the_state_before_or_after() {
        let dir = tempfile::tempdir().unwrap();
        let vault = open(dir.path());
        let taken: Vec<_> = (0..10).map(|_| vault.take().unwrap().0).collect();
        let path = dir.path().join("2026-11");
        let before = fs::read(&path).unwrap();
        vault.destroy(&taken[..1]).unwrap();
        let after = fs::read(&path).unwrap();
        let (new, old) = (
            dir.path().join("2026-11.new"),
            dir.path().join("2026-11.old"),
        );
        let steps: [(&str, bool, &dyn Fn()); 6] = [
            ("new half written", false, &|| {
                fs::write(&new, &after[..40]).unwrap();
            }),
            ("new written", false, &|| fs::write(&new, &after).unwrap()),
            ("old linked", false, &|| {
                fs::write(&new, &after).unwrap();
                fs::hard_link(&path, &old).unwrap();
            }),
            ("renamed", true, &|| {
                fs::write(&new, &after).unwrap();
                fs::hard_link(&path, &old).unwrap();
                fs::rename(&new, &path).unwrap();
            }),
            ("half overwritten", true, &|| {
                fs::rename(&path, &old).unwrap();
                fs::write(&path, &after).unwrap();
                fs::write(&old, [0; 20]).unwrap();
            }),
            ("the new one lost by a hand", false, &|| {
                fs::rename(&path, &old).unwrap();
            }),
        ];
        for (step, is_after, make) in steps {
            fs::write(&path, &before).unwrap();
            make();
            let vault = open(dir.path());
            assert_eq!(is_gone(&vault, taken[0]), is_after, "{step}");
            for address in &taken[1..] {
                vault.key(*address).unwrap();
            }
            assert!(!new.exists() && !old.exists(), "{step}");
            assert_eq!(vault.destroy(&taken[..1]).unwrap(), usize::from(!is_after));
        }
    }

    #[test]
    fn nothing_opens_with_another_key_or_after_a_change() {
        let dir = tempfile::tempdir().unwrap();
        let vault = open(dir.path());
        vault.take().unwrap();
        drop(vault);
        let other = open_as(dir.path(), 8, "a.example", NOVEMBER);
        assert!(matches!(other, Err(VaultError::Sealed { .. })));
        let other = open_as(dir.path(), 7, "b.example", NOVEMBER);
        assert!(matches!(other, Err(VaultError::Sealed { .. })));
        let path = dir.path().join("2026-11");
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            fs::write(&path, &changed).unwrap();
            let opened = open_as(dir.path(), 7, "a.example", NOVEMBER);
            assert!(matches!(opened, Err(VaultError::Sealed { .. })), "{at}");
        }
        fs::write(&path, &whole).unwrap();
        // A month's file under another month's name.
        fs::copy(dir.path().join("2026-11"), dir.path().join("2026-12")).unwrap();
        let opened = open_as(dir.path(), 7, "a.example", NOVEMBER);
        assert!(matches!(opened, Err(VaultError::Sealed { .. })));
    }

    #[test]
    fn an_older_file_says_that_a_key_is_missing() {
        let dir = tempfile::tempdir().unwrap();
        let vault = open(dir.path());
        vault.take().unwrap();
        let old = fs::read(dir.path().join("2026-11")).unwrap();
        let later = (0..=crate::crypto::puncture::BLOCK_LEAVES)
            .map(|_| vault.take().unwrap().0)
            .last()
            .unwrap();
        fs::write(dir.path().join("2026-11"), old).unwrap();
        let error = open(dir.path()).key(later).unwrap_err();
        assert!(matches!(error, VaultError::Missing { .. }), "{error}");
    }

    #[test]
    fn a_second_process_is_told_that_they_are_in_use() {
        let dir = tempfile::tempdir().unwrap();
        let held = open(dir.path()).holding(VaultLock::take(dir.path()).unwrap());
        let second = VaultLock::take(dir.path());
        assert!(matches!(second, Err(StoreError::InUse { .. })));
        drop(held);
        VaultLock::take(dir.path()).unwrap();
    }

    /// Files of keys that are older than the store, or gone: noticed, and no number is given twice.
    #[test]
    fn an_older_file_is_noticed_and_a_copy_brings_back_what_it_has() {
        let (dir, data, safe) = (
            tempfile::tempdir().unwrap(),
            tempfile::tempdir().unwrap(),
            tempfile::tempdir().unwrap(),
        );
        let fresh = || open(dir.path());
        let vault = fresh();
        vault.keep_marks(data.path()).unwrap();
        let early = vault.take().unwrap().0;
        let old = fs::read(dir.path().join("2026-11")).unwrap();
        let middle = vault_block(&vault);
        let copied = vault.copy("the safe").unwrap();
        let at = copied.write(safe.path()).unwrap();
        assert_eq!(vault.uncopied().copied_at_ms, None, "not whole yet");
        vault.finish_copy(&copied.copy.id).unwrap();
        assert_eq!(vault.uncopied().copied_at_ms, Some(NOVEMBER));
        assert_eq!(vault.uncopied().keys, 0);
        let late = vault_block(&vault);
        assert_eq!(vault.uncopied().keys, 1);
        vault.destroy(&[early]).unwrap();
        assert_eq!(vault.copies_of(&[early]).len(), 1);
        assert_eq!(vault.copies_of(&[late]).len(), 0);
        let secret = vault.key(middle).unwrap().mac(b"");
        drop(vault);

        // Put back by hand: the node is told, and does not start.
        fs::write(dir.path().join("2026-11"), &old).unwrap();
        let error = fresh().keep_marks(data.path()).unwrap_err().to_string();
        assert!(
            error.contains("those of 2026-11 from 4096 to 12287"),
            "{error}"
        );
        assert!(error.contains("liaison keys restore"), "{error}");
        // Gone altogether.
        fs::remove_file(dir.path().join("2026-11")).unwrap();
        assert!(fresh().keep_marks(data.path()).is_err());

        let marks = || KeyMarks::read(data.path()).unwrap().unwrap();
        let found = FoundCopy::read(&at).unwrap();
        let vault = fresh();
        assert_eq!(vault.accept_loss(marks().months()).unwrap(), 12_288);
        assert_eq!(vault.lost(), 12_288);
        assert!(
            matches!(vault.key(early), Err(VaultError::Missing { .. })),
            "not: erased"
        );
        let next = vault.take().unwrap().0;
        assert_eq!(next.leaf, 12_288, "never a second time");
        assert_eq!(vault.restore_from(&found, marks().months()).unwrap(), 8_192);
        assert!(vault.known_copies().iter().all(|copy| copy.finished));
        vault.keep_marks(data.path()).unwrap();
        for vault in [vault, fresh()] {
            assert_eq!(vault.key(middle).unwrap().mac(b""), secret);
            assert!(matches!(vault.key(late), Err(VaultError::Missing { .. })));
            vault.key(next).unwrap();
            // It was destroyed after the copy: whoever knows that destroys it again.
            vault.key(early).unwrap();
        }
        let vault = fresh();
        vault.destroy(&[early]).unwrap();
        assert_eq!(vault.restore_from(&found, marks().months()).unwrap(), 0);
        assert!(
            is_gone(&vault, early),
            "a copy brings back nothing that was destroyed here"
        );
        assert_eq!(vault.known_copies().len(), 1);
    }

    /// Takes a key of a block of its own.
    fn vault_block(vault: &Vault) -> KeyAddress {
        loop {
            let address = vault.take().unwrap().0;
            if address
                .leaf
                .is_multiple_of(crate::crypto::puncture::BLOCK_LEAVES)
            {
                return address;
            }
        }
    }

    #[test]
    fn a_copy_of_another_node_or_key_changes_nothing() {
        let (dir, safe) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let vault = open(dir.path());
        vault.take().unwrap();
        let at = vault.copy("the safe").unwrap().write(safe.path()).unwrap();
        let found = FoundCopy::read(&at).unwrap();
        for (key, node) in [(8, "a.example"), (7, "b.example")] {
            let other = tempfile::tempdir().unwrap();
            let other = open_as(other.path(), key, node, NOVEMBER).unwrap();
            let error = other.restore_from(&found, []).unwrap_err();
            assert!(matches!(error, VaultError::OtherCopy { .. }), "{error}");
            assert!(other.known_copies().is_empty() && other.periods().is_empty());
        }
    }

    /// A new storage key: whatever was done when the power failed, it goes on; then the old one opens
    /// nothing.
    #[test]
    fn files_are_sealed_anew_across_a_crash_between_any_two() {
        let key = |of: u8| StorageKey::from_bytes(&[of; 32]);
        for done in 0..=2 {
            let dir = tempfile::tempdir().unwrap();
            let mut taken = Vec::new();
            for month in 0..2 {
                let vault = open_at(dir.path(), NOVEMBER + month * MONTH);
                taken.push(vault.take().unwrap().0);
            }
            // As far as it had come: some are under the new key, one is left half replaced.
            let whole = tempfile::tempdir().unwrap();
            for name in ["2026-11", "2026-12"].iter().skip(done) {
                fs::rename(dir.path().join(name), whole.path().join(name)).unwrap();
            }
            assert_eq!(
                Vault::reseal(dir.path(), "a.example", key(7), key(8)).unwrap(),
                done
            );
            for name in ["2026-11", "2026-12"].iter().skip(done) {
                fs::rename(whole.path().join(name), dir.path().join(name)).unwrap();
            }
            fs::write(dir.path().join("2026-12.new"), b"half").unwrap();
            let left = Vault::reseal(dir.path(), "a.example", key(7), key(8)).unwrap();
            assert_eq!(left, 2 - done);
            assert!(open_as(dir.path(), 7, "a.example", NOVEMBER).is_err());
            let vault = open_as(dir.path(), 8, "a.example", NOVEMBER).unwrap();
            for address in taken {
                vault.key(address).unwrap();
            }
            let other = Vault::reseal(dir.path(), "a.example", key(6), key(5));
            assert!(matches!(other, Err(VaultError::Sealed { .. })));
        }
    }
}

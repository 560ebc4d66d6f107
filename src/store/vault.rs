//! The keys of what lies on the disk, in small files beside the store.
//!
//! ```text
//! <body keys>/2026-11    what is left of a month's keys: a tree, see crypto::puncture
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

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::{StoreError, disk};
use crate::crypto::at_rest::{self, Context};
use crate::crypto::puncture::{BlockError, LeafKey, PuncturedTree, TreeFormatError};
use crate::crypto::storage_key::StorageKey;

/// What goes before the sealed part of every file.
const MAGIC: &[u8; 16] = b"liaison keys v1\n";
/// Bytes that are overwritten at once.
const SHRED_BYTES: usize = 64 << 10;
/// What a file of keys is at most: a month whose every second body was destroyed, at 100 million.
const FILE_BYTES_MAX: u64 = 4 << 30;
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

    fn parse(text: &str) -> Option<Self> {
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
        "{} does not open with this node's storage key: it was changed, or sealed under another one",
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
    /// No key could be made.
    #[error(transparent)]
    Block(#[from] BlockError),
    /// The cipher refused.
    #[error("keys cannot be sealed")]
    Seal,
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
        let vault = Self {
            dir: dir.to_owned(),
            key,
            node: node.to_owned(),
            now_ms: Box::new(now_ms),
            periods: Mutex::default(),
        };
        vault.clean()?;
        let mut periods = BTreeMap::new();
        for path in list(dir)? {
            if let Some(period) = period_of(&path) {
                let bytes = vault.read(&path)?;
                let tree = PuncturedTree::decode(&bytes)
                    .map_err(|source| VaultError::Format { path, source })?;
                periods.insert(period, tree);
            }
        }
        *vault.lock() = periods;
        Ok(vault)
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
        let mut larger = PuncturedTree::decode(&tree.encode()).map_err(|source| {
            let path = self.path(period);
            VaultError::Format { path, source }
        })?;
        larger.begin_block()?;
        self.write(&period.to_string(), &larger.encode())?;
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
        if tree.is_some_and(|tree| address.leaf < tree.leaves()) {
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
            if there > 0 {
                // What memory has forgotten stays forgotten, also if the disk refuses now: then the
                // file is behind, and whoever asked is told that it is not done.
                self.write(&period.to_string(), &tree.encode())?;
                destroyed += there;
            }
        }
        Ok(destroyed)
    }

    /// How many keys were destroyed. It never falls, but by an older copy of the files.
    #[must_use]
    pub fn punctured(&self) -> u64 {
        let periods = self.lock();
        periods.values().map(|tree| u64::from(tree.punctured())).sum()
    }

    /// The months of which there are keys.
    #[must_use]
    pub fn periods(&self) -> Vec<Period> {
        self.lock().keys().copied().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Period, PuncturedTree>> {
        self.periods.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, period: Period) -> PathBuf {
        self.dir.join(period.to_string())
    }

    fn read(&self, path: &Path) -> Result<zeroize::Zeroizing<Vec<u8>>, VaultError> {
        let io = |e| VaultError::Store(StoreError::io("read", path, e));
        let sealed = || VaultError::Sealed {
            path: path.to_owned(),
        };
        if fs::metadata(path).map_err(io)?.len() > FILE_BYTES_MAX {
            return Err(sealed());
        }
        let bytes = fs::read(path).map_err(io)?;
        let body = bytes.strip_prefix(MAGIC).ok_or_else(sealed)?;
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        at_rest::open(self.key.leaf(), self.context(name).as_context(), body)
            .map(zeroize::Zeroizing::new)
            .map_err(|_| sealed())
    }

    fn context<'a>(&'a self, name: &'a [u8]) -> FileContext<'a> {
        FileContext([MAGIC, self.node.as_bytes(), name])
    }

    /// Replaces a file, and overwrites what it was.
    fn write(&self, name: &str, content: &[u8]) -> Result<(), VaultError> {
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
                file.sync_all()
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
fn shred(path: &Path) -> Result<(), StoreError> {
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
        file.sync_all()?;
        fs::remove_file(path)
    };
    overwrite().map_err(|e| StoreError::io("overwrite", path, e))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

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
        let distinct: std::collections::BTreeSet<_> = given.values().collect();
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
                fs::write(&new, &after[..40]).unwrap()
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
                fs::rename(&path, &old).unwrap()
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
}

//! The engine on disk: sled 0.34, one tree, made durable.
//!
//! sled's own `flush()` writes without a sync on Linux: after loss of power, acknowledged data or
//! the whole store is gone. So every commit is `apply_batch`, `flush()`, then `fdatasync` on a
//! second handle of sled's file. sled also panics on damaged files and opens a file that was
//! emptied as an empty store; both become errors here. See `docs/storage.md`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::disk::{self, Ballast};
use super::engine;
use super::layout::Layout;
use super::quiet::{background_panics, quietly};
use super::{
    Aside, Batch, Blobs, Direction, Marks, RESERVED, Record, Share, Store, StoreError, counters,
    visible,
};
use crate::limits;

/// The engine's own key: it says that this tree belongs to a store that was completely made.
const MADE_KEY: [u8; 2] = [RESERVED, 0x01];
const MADE_VALUE: &[u8] = b"liaison store 1";
/// Bytes that must be free to open: sled writes a snapshot of its page table when it opens.
const OPEN_BYTES_NEEDED: u64 = 4 << 20;

/// How and where to open a [`SledStore`].
#[derive(Debug, Clone)]
pub struct OpenOptions {
    /// The store's directory.
    pub dir: PathBuf,
    /// Bytes of sled's page cache; its memory may be half as much again. Default 16 MiB.
    pub cache_bytes: u64,
    /// Free space below which commits are refused. Default [`limits::DISK_FREE_BYTES_MIN`].
    pub free_bytes_min: u64,
    /// Bytes held back for opening on a full disk. Default [`limits::BALLAST_BYTES`].
    pub ballast_bytes: u64,
    /// Time for sled to open; 2 million records take 2 to 4 s. Default 2 min.
    pub open_time_max: Duration,
    /// Whether to make a store when there is none. Default no.
    pub create: bool,
    /// Whether this is the recovery of the store, which alone may open one that is being replaced.
    /// Default no.
    pub recovering: bool,
    /// For the power-cut test only, which proves with it that it has teeth.
    #[doc(hidden)]
    pub sync: SyncPolicy,
}

impl OpenOptions {
    /// Defaults for a directory.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        OpenOptions {
            dir: dir.into(),
            cache_bytes: 16 << 20,
            free_bytes_min: limits::DISK_FREE_BYTES_MIN,
            ballast_bytes: limits::BALLAST_BYTES,
            open_time_max: Duration::from_secs(120),
            create: false,
            recovering: false,
            sync: SyncPolicy::Fdatasync,
        }
    }

    /// The same, making a store when there is none.
    #[must_use]
    pub fn create(mut self) -> Self {
        self.create = true;
        self
    }
}

/// How a commit is made durable. Only the power-cut test uses any but the default.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SyncPolicy {
    /// `flush()`, then `fdatasync`.
    #[default]
    Fdatasync,
    /// sled's `flush()` alone, which loses data.
    StockSled,
}

/// A store on disk. Dropping it closes it.
///
/// Commits run one at a time. After the first error of the engine or the disk it is *poisoned*:
/// commits answer [`StoreError::OutcomeUnknown`], reads go on as far as the engine can.
#[derive(Debug)]
pub struct SledStore {
    /// Present until drop.
    db: Option<sled::Db>,
    layout: Layout,
    options: OpenOptions,
    ballast: Ballast,
    /// Whether the ballast is held; locked while it is taken or given up.
    ballast_held: Mutex<bool>,
    poisoned: AtomicBool,
    /// It was a write that failed, and not what was read that is damaged.
    write_failed: AtomicBool,
    background_panics: u64,
    /// A second handle of sled's file, for `fdatasync`; who holds it may write.
    writer: Mutex<File>,
    /// Held as long as the store is open; last, so that it is released last.
    _lock: File,
}

/// A directory that no store is opened in, until this is dropped.
#[derive(Debug)]
pub struct Unused(#[expect(dead_code, reason = "it locks while it is open")] File);

impl Unused {
    /// Takes the directory of a store, without opening what is in it.
    ///
    /// # Errors
    /// [`StoreError::InUse`], [`StoreError::Io`].
    pub fn take(dir: &Path) -> Result<Self, StoreError> {
        Layout::new(dir).lock().map(Self)
    }
}

impl SledStore {
    /// Opens a store, or makes one when [`OpenOptions::create`] says so and there is none.
    ///
    /// On a full disk the ballast is released so that the engine can open; reads work then, and
    /// commits answer [`StoreError::Full`] until there is space.
    ///
    /// # Errors
    /// [`StoreError::Missing`], [`StoreError::InUse`], [`StoreError::Full`],
    /// [`StoreError::Version`]; [`StoreError::Vanished`] and [`StoreError::Corrupt`] when what is
    /// on disk must not be served; [`StoreError::Io`]. Nothing is removed or emptied here; but
    /// sled, when it opens a file that is damaged in the middle, gives up what follows. That is
    /// seen by [`Marks::compare`], which the caller has to do next.
    pub fn open(options: &OpenOptions) -> Result<Self, StoreError> {
        let layout = Layout::new(&options.dir);
        if !options.recovering && Aside::begun(&options.dir)?.is_some() {
            return Err(StoreError::Recovering {
                path: options.dir.clone(),
            });
        }
        if !options.create && !layout.has_traces() {
            return Err(StoreError::Missing {
                path: options.dir.clone(),
            });
        }
        disk::create_dir(&options.dir)?;
        let lock = layout.lock()?;
        layout.clean()?;

        // 1. Is there a store, and is every part of it there?
        let is_made = layout.is_made()?;
        if is_made {
            layout.check_present()?;
        } else if layout.marks().exists() && Marks::open(&options.dir)?.iter().next().is_some() {
            return Err(StoreError::vanished(
                &options.dir,
                "its FORMAT file is gone",
            ));
        } else if !options.create {
            let what = "its FORMAT file is gone, or its making was interrupted";
            return Err(StoreError::vanished(&options.dir, what));
        }

        // 2. Room for the engine to open.
        let ballast = Ballast::new(layout.ballast(), options.ballast_bytes);
        if disk::free_bytes(&options.dir)? < OPEN_BYTES_NEEDED {
            ballast.release()?;
            disk::check_free(&options.dir, OPEN_BYTES_NEEDED)?;
        }

        // 3. The engine. What a killed process wrote may still be in memory only, and sled's
        //    snapshot, which it syncs, must never speak of more than its file durably holds.
        disk::create_dir(&layout.sled())?;
        if layout.sled_db().exists() {
            sync_file(&layout.sled_db())?;
        }
        let background_panics = background_panics();
        let db = engine::open(&layout, options)?;
        let mut store = SledStore {
            db: Some(db),
            writer: Mutex::new(open_to_sync(&layout.sled_db())?),
            layout,
            options: options.clone(),
            ballast,
            ballast_held: Mutex::new(false),
            poisoned: AtomicBool::new(false),
            write_failed: AtomicBool::new(false),
            background_panics,
            _lock: lock,
        };

        // 4. Is it the store that was made here? A new one is finished by its FORMAT file.
        if is_made {
            if store
                .read(|db| db.get(MADE_KEY))?
                .is_none_or(|value| value != MADE_VALUE)
            {
                let what = "its database holds nothing of it";
                return Err(StoreError::vanished(&options.dir, what));
            }
        } else {
            store.finish_making()?;
        }
        disk::sync_dir(&store.layout.sled())?;

        // 5. The reserve, when there is room for it beside the floor.
        store.take_ballast()?;
        Ok(store)
    }

    /// Takes the reserve again when there is room for it beside the floor; says whether it is held.
    /// Opening and commits do it by themselves.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn take_ballast(&self) -> Result<bool, StoreError> {
        let mut held = self.ballast_held();
        *held = self.ballast.take(self.options.free_bytes_min)?;
        Ok(*held)
    }

    fn ballast_held(&self) -> MutexGuard<'_, bool> {
        let held = self.ballast_held.lock();
        held.unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a commit has failed in a way that leaves its outcome unknown.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.poisoned.load(Ordering::SeqCst) || background_panics() != self.background_panics
    }

    /// The store's directory, for [`Marks::open`] and [`Blobs::open`].
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.layout.dir
    }

    /// Checks that so much is free; gives up the ballast for it if need be. What comes here below the
    /// floor is urgent: what is not was refused at a higher one.
    fn free_up(&self, needed: u64) -> Result<(), StoreError> {
        if disk::check_free(&self.layout.dir, needed).is_ok() {
            return Ok(());
        }
        let mut held = self.ballast_held();
        if std::mem::take(&mut *held) {
            self.ballast.release()?;
            tracing::error!(
                bytes = self.options.ballast_bytes,
                "the disk is full: the ballast is given up, for what is urgent. Make room now"
            );
        }
        drop(held);
        disk::check_free(&self.layout.dir, needed)
    }

    /// Makes everything beside the engine, then says that the store is made.
    fn finish_making(&mut self) -> Result<(), StoreError> {
        // Without FORMAT there is either nothing yet or the rest of an interrupted making, in
        // which nothing can have been acknowledged. Records mean that FORMAT was lost.
        if self
            .read(|db| db.iter().next().transpose())?
            .is_some_and(|(key, _)| key != MADE_KEY)
        {
            return Err(StoreError::vanished(
                &self.layout.dir,
                "its FORMAT file is gone",
            ));
        }
        Marks::create(&self.layout.dir)?;
        Blobs::open(&self.layout.dir, 0)?;
        let mut batch = sled::Batch::default();
        batch.insert(&MADE_KEY, MADE_VALUE);
        self.write(batch)?;
        sync_file(&self.layout.sled().join("conf"))?;
        disk::sync_dir(&self.layout.sled())?;
        disk::sync_dir(&self.layout.dir)?;
        self.layout.write_format()
    }

    fn db(&self) -> &sled::Db {
        self.db.as_ref().expect("present until drop")
    }

    /// Reads; an error or a panic means damaged files, and ends writing. Unless a write has failed before:
    /// sled splits pages also while it reads, and refuses to read them where it cannot write that.
    fn read<T>(&self, read: impl FnOnce(&sled::Db) -> sled::Result<T>) -> Result<T, StoreError> {
        let what = match quietly(|| read(self.db())) {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => engine::describe(&error),
            Err(panic) => panic,
        };
        if self.write_failed.load(Ordering::SeqCst) {
            return Err(StoreError::unknown(what));
        }
        self.poisoned.store(true, Ordering::SeqCst);
        Err(StoreError::corrupt(&self.layout.sled(), what))
    }

    /// Applies a batch and makes it durable. Past its first line the outcome is unknown until it
    /// answers `Ok`; a failed sync is never tried again, because the kernel may have dropped the
    /// pages it could not write.
    fn write(&self, batch: sled::Batch) -> Result<(), StoreError> {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_poisoned() {
            return Err(StoreError::unknown("an earlier write failed"));
        }
        let outcome = quietly(|| -> sled::Result<()> {
            self.db().apply_batch(batch)?;
            self.db().flush()?;
            if self.options.sync == SyncPolicy::Fdatasync {
                counters::sync_data(&writer)?;
            }
            Ok(())
        });
        let what = match outcome {
            Ok(Ok(())) if !self.is_poisoned() => {
                counters::committed();
                return Ok(());
            }
            Ok(Ok(())) => "a thread of the storage engine stopped".to_owned(),
            Ok(Err(error)) => engine::describe(&error),
            Err(panic) => panic,
        };
        self.write_failed.store(true, Ordering::SeqCst);
        self.poisoned.store(true, Ordering::SeqCst);
        Err(StoreError::unknown(what))
    }
}

impl Store for SledStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        if key.first() == Some(&RESERVED) {
            return Ok(None);
        }
        Ok(self.read(|db| db.get(key))?.map(|value| value.to_vec()))
    }

    fn scan(
        &self,
        start: &[u8],
        end: &[u8],
        limit: usize,
        direction: Direction,
    ) -> Result<Vec<Record>, StoreError> {
        let Some((start, end)) = visible(start, end) else {
            return Ok(Vec::new());
        };
        self.read(|db| {
            let range = db.range(start..end);
            let copy = |record: sled::Result<(sled::IVec, sled::IVec)>| {
                record.map(|(key, value)| (key.to_vec(), value.to_vec()))
            };
            match direction {
                Direction::Forward => range.take(limit).map(copy).collect(),
                Direction::Backward => range.rev().take(limit).map(copy).collect(),
            }
        })
    }

    fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        batch.check()?;
        if batch.is_empty() {
            return Ok(());
        }
        if self.is_poisoned() {
            return Err(StoreError::unknown("an earlier write failed"));
        }
        let needed = self
            .options
            .free_bytes_min
            .saturating_add(batch.bytes() as u64);
        self.free_up(needed)?;
        let mut held = self.ballast_held();
        if !*held {
            // The reserve is a convenience for the next opening; that it cannot be taken stops
            // nothing now. Twice its size must be free: what it was given up for a moment ago may
            // not be written yet.
            let keep_free = self
                .options
                .free_bytes_min
                .saturating_add(self.options.ballast_bytes);
            *held = self.ballast.take(keep_free).unwrap_or(false);
        }
        drop(held);
        let mut writes = sled::Batch::default();
        for (key, value) in batch.writes {
            match value {
                Some(value) => writes.insert(key, value),
                None => writes.remove(key),
            }
        }
        self.write(writes)
    }

    fn make_room(&self, share: Share, bytes: u64) -> Result<(), StoreError> {
        let floor = self.options.free_bytes_min;
        match share {
            Share::Ordinary => {
                let kept = floor.saturating_mul(limits::BULK_FLOORS);
                disk::check_free(&self.layout.dir, kept.saturating_add(bytes))
            }
            Share::Reserved => self.free_up(floor.saturating_add(bytes)),
        }
    }

    fn free_bytes(&self) -> Result<u64, StoreError> {
        disk::free_bytes(&self.layout.dir)
    }
}

impl Drop for SledStore {
    fn drop(&mut self) {
        if let Some(db) = self.db.take() {
            engine::close(db);
        }
    }
}

fn open_to_sync(path: &Path) -> Result<File, StoreError> {
    File::open(path).map_err(|e| StoreError::io("open", path, e))
}

fn sync_file(path: &Path) -> Result<(), StoreError> {
    counters::sync_data(&open_to_sync(path)?).map_err(|e| StoreError::io("sync", path, e))
}

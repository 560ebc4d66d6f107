//! The directory of a store: names, the `LOCK`, the `FORMAT` and what must exist beside it.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::{StoreError, disk};

/// Version of everything under the store's directory.
pub(super) const VERSION: u32 = 1;
/// How long a lock is waited for: a process that ends, or one that is just being started by the
/// former owner and has not yet closed what it inherited, holds it a moment longer.
const LOCK_TIME_MAX: Duration = Duration::from_millis(500);
const FORMAT_HEAD: &str = "liaison store\nversion ";

/// Paths of a store.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub(super) dir: PathBuf,
}

impl Layout {
    pub(super) fn new(dir: &Path) -> Self {
        Layout {
            dir: dir.to_owned(),
        }
    }

    pub(super) fn format(&self) -> PathBuf {
        self.dir.join("FORMAT")
    }

    pub(super) fn marks(&self) -> PathBuf {
        self.dir.join("marks")
    }

    pub(super) fn ballast(&self) -> PathBuf {
        self.dir.join("ballast")
    }

    pub(super) fn blobs(&self) -> PathBuf {
        self.dir.join("blobs")
    }

    pub(super) fn sled(&self) -> PathBuf {
        self.dir.join("sled")
    }

    pub(super) fn sled_db(&self) -> PathBuf {
        self.sled().join("db")
    }

    fn lock_file(&self) -> PathBuf {
        self.dir.join("LOCK")
    }

    /// Whether anything in the directory is of a store, made or half made.
    pub(super) fn has_traces(&self) -> bool {
        [self.format(), self.marks(), self.sled_db()]
            .iter()
            .any(|path| path.exists())
    }

    /// Takes the store for this process, until the file is dropped. A killed process leaves no
    /// lock behind.
    pub(super) fn lock(&self) -> Result<File, StoreError> {
        let path = self.lock_file();
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|e| StoreError::io("open", &path, e))?;
        let deadline = Instant::now() + LOCK_TIME_MAX;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    thread::sleep(Duration::from_millis(10));
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(StoreError::InUse {
                        path: self.dir.clone(),
                    });
                }
                Err(TryLockError::Error(e)) => return Err(StoreError::io("lock", &path, e)),
            }
        }
    }

    /// Whether a store was completely made here: `FORMAT` is written last.
    pub(super) fn is_made(&self) -> Result<bool, StoreError> {
        let path = self.format();
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(e) => return Err(StoreError::io("read", &path, e)),
        };
        let version = std::str::from_utf8(&bytes)
            .ok()
            .and_then(|text| text.strip_prefix(FORMAT_HEAD))
            .and_then(|rest| rest.strip_suffix('\n'))
            .filter(|version| !version.is_empty() && version.bytes().all(|b| b.is_ascii_digit()))
            .ok_or_else(|| StoreError::corrupt(&path, "it is not the format file of a store"))?;
        if version == VERSION.to_string() {
            Ok(true)
        } else {
            let found = version.chars().take(20).collect();
            Err(StoreError::Version {
                path,
                found,
                supported: VERSION,
            })
        }
    }

    /// Says that the store is completely made, durably.
    pub(super) fn write_format(&self) -> Result<(), StoreError> {
        disk::replace(
            &self.format(),
            format!("{FORMAT_HEAD}{VERSION}\n").as_bytes(),
        )
    }

    /// Refuses a store of which a part is gone. The engine would quietly begin an empty one.
    pub(super) fn check_present(&self) -> Result<(), StoreError> {
        let gone = |what: &str| Err(StoreError::vanished(&self.dir, what));
        match fs::metadata(self.sled_db()) {
            Ok(meta) if meta.len() > 0 => {}
            Ok(_) => return gone("its database file sled/db is empty"),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return gone("its database file sled/db is gone");
            }
            Err(e) => return Err(StoreError::io("look at", &self.sled_db(), e)),
        }
        if !self.marks().is_file() {
            return gone("its file of marks is gone");
        }
        if !self.blobs().is_dir() {
            return gone("its directory of blobs is gone");
        }
        Ok(())
    }

    /// Removes what an interrupted replacement left. sled writes over a leftover snapshot without
    /// shortening it first, and would then refuse it.
    pub(super) fn clean(&self) -> Result<(), StoreError> {
        for dir in [self.dir.clone(), self.sled()] {
            let entries = match fs::read_dir(&dir) {
                Ok(entries) => entries,
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(e) => return Err(StoreError::io("list", &dir, e)),
            };
            for entry in entries {
                let path = entry.map_err(|e| StoreError::io("list", &dir, e))?.path();
                if path
                    .extension()
                    .is_some_and(|e| e == "tmp" || e == "generating")
                {
                    fs::remove_file(&path).map_err(|e| StoreError::io("remove", &path, e))?;
                }
            }
        }
        Ok(())
    }
}

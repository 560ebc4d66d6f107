//! What every file of the store needs: durable creation, free space, the ballast.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate, statvfs};

use super::{StoreError, counters};

/// Makes the names in a directory durable. A file that was created, renamed or removed is only
/// safely so after its directory was synced.
pub(super) fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    File::open(dir)
        .and_then(|dir| counters::sync_all(&dir))
        .map_err(|e| StoreError::io("sync", dir, e))
}

/// Makes a directory and those above it that are missing, durably.
pub(super) fn create_dir(dir: &Path) -> Result<(), StoreError> {
    if dir.is_dir() {
        return Ok(());
    }
    let parent = match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    create_dir(parent)?;
    match fs::create_dir(dir) {
        Ok(()) => sync_dir(parent),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(e) => Err(StoreError::io("make", dir, e)),
    }
}

/// Writes a whole file so that after a crash there is the old one or the new one, never a part:
/// temporary name, sync, rename, sync of the directory.
pub(super) fn replace(path: &Path, content: &[u8]) -> Result<(), StoreError> {
    let temporary = path.with_extension("tmp");
    let write = || {
        let mut file = File::create(&temporary)?;
        file.write_all(content)?;
        counters::sync_all(&file)?;
        fs::rename(&temporary, path)
    };
    write().map_err(|e| StoreError::io("write", path, e))?;
    sync_dir(path.parent().unwrap_or(Path::new(".")))
}

/// Bytes that this user may still write on the file system of `path`.
pub(super) fn free_bytes(path: &Path) -> Result<u64, StoreError> {
    let stat =
        statvfs(path).map_err(|e| StoreError::io("ask the free space of", path, e.into()))?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Refuses when less than `needed` bytes are free.
pub(super) fn check_free(path: &Path, needed: u64) -> Result<(), StoreError> {
    let free = free_bytes(path)?;
    if free < needed {
        Err(StoreError::Full { free, needed })
    } else {
        Ok(())
    }
}

/// A file of nothing, held so that it can be given back when the disk is full: the engine has to
/// write to open, and cannot open on a disk without a free byte.
#[derive(Debug)]
pub(super) struct Ballast {
    path: PathBuf,
    bytes: u64,
}

impl Ballast {
    pub(super) fn new(path: PathBuf, bytes: u64) -> Self {
        Ballast { path, bytes }
    }

    /// Whether the whole of it is held.
    pub(super) fn is_held(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|meta| meta.len() >= self.bytes)
    }

    /// Gives the space back.
    pub(super) fn release(&self) -> Result<(), StoreError> {
        match fs::remove_file(&self.path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                Err(StoreError::io("release", &self.path, e))
            }
            _ => Ok(()),
        }
    }

    /// Takes the space, unless `keep_free` bytes would not be left; says whether it is held.
    pub(super) fn take(&self, keep_free: u64) -> Result<bool, StoreError> {
        if self.bytes == 0 || self.is_held() {
            return Ok(true);
        }
        let dir = self.path.parent().unwrap_or(Path::new("."));
        if free_bytes(dir)? < keep_free.saturating_add(self.bytes) {
            return Ok(false);
        }
        match self.allocate() {
            Ok(()) => Ok(true),
            Err(_) => self.release().map(|()| false),
        }
    }

    fn allocate(&self) -> io::Result<()> {
        let mut file = File::create(&self.path)?;
        match fallocate(&file, FallocateFlags::empty(), 0, self.bytes) {
            Ok(()) => Ok(()),
            // File systems without preallocation: write it out.
            Err(rustix::io::Errno::OPNOTSUPP) => {
                let zeros = vec![0; 64 << 10];
                let mut left = self.bytes;
                while left > 0 {
                    let part = usize::try_from(left).map_or(zeros.len(), |l| l.min(zeros.len()));
                    file.write_all(&zeros[..part])?;
                    left -= part as u64;
                }
                counters::sync_all(&file)
            }
            Err(e) => Err(e.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ballast_is_taken_and_released() {
        let dir = tempfile::tempdir().unwrap();
        let ballast = Ballast::new(dir.path().join("ballast"), 1 << 20);
        assert!(!ballast.is_held());
        assert!(ballast.take(0).unwrap());
        assert!(ballast.is_held());
        ballast.release().unwrap();
        ballast.release().unwrap();
        assert!(!ballast.is_held());
        assert!(
            !ballast.take(u64::MAX).unwrap(),
            "not when too little would be left"
        );
    }

    #[test]
    fn directories_are_made_with_those_above() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a/b/c");
        create_dir(&deep).unwrap();
        create_dir(&deep).unwrap();
        replace(&deep.join("file.x"), b"1").unwrap();
        replace(&deep.join("file.x"), b"2").unwrap();
        assert_eq!(fs::read(deep.join("file.x")).unwrap(), b"2");
        assert_eq!(fs::read_dir(&deep).unwrap().count(), 1);
    }
}

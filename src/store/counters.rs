//! What this process has made durable, counted: one relaxed addition for each sync and commit.
//!
//! Of the whole process, since a process runs one node. Only figures are made of it
//! ([`liaison bench`](crate::cli)); nothing is decided by it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

static SYNCS: AtomicU64 = AtomicU64::new(0);
static COMMITS: AtomicU64 = AtomicU64::new(0);
/// The kernel's account of this process, opened while it may be.
static ACCOUNT: OnceLock<File> = OnceLock::new();

/// Where the kernel keeps that account (proc(5)).
const ACCOUNT_FILE: &str = "/proc/self/io";
/// Bytes of it that are read; it has seven short lines.
const ACCOUNT_BYTES_MAX: usize = 1 << 10;

/// What was counted since the process began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counted {
    /// Calls of `fdatasync` and `fsync` by the store, for its engine's file, marks, key files, files and
    /// directories; without those that the engine makes by itself.
    pub syncs: u64,
    /// Commits of every store of this process: the log's and the journal's.
    pub commits: u64,
}

/// What was counted up to now.
#[must_use]
pub fn counted() -> Counted {
    Counted {
        syncs: SYNCS.load(Ordering::Relaxed),
        commits: COMMITS.load(Ordering::Relaxed),
    }
}

/// Opens the kernel's account of this process. To be done before the process shuts its memory off from
/// others: the account is shut off with it. Without it, [`written_bytes`] is not known.
pub fn open_account() {
    if let Ok(file) = File::open(ACCOUNT_FILE) {
        // A second call finds it open.
        drop(ACCOUNT.set(file));
    }
}

/// Bytes that this process has caused to be written to disks, in whole pages; `None` where the system
/// does not say.
#[must_use]
pub fn written_bytes() -> Option<u64> {
    let mut bytes = [0; ACCOUNT_BYTES_MAX];
    let read = ACCOUNT.get()?.read_at(&mut bytes, 0).ok()?;
    let text = std::str::from_utf8(bytes.get(..read)?).ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("write_bytes: "))?;
    line.trim().parse().ok()
}

/// `fdatasync`, counted.
pub(super) fn sync_data(file: &File) -> io::Result<()> {
    SYNCS.fetch_add(1, Ordering::Relaxed);
    file.sync_data()
}

/// `fsync`, counted.
pub(super) fn sync_all(file: &File) -> io::Result<()> {
    SYNCS.fetch_add(1, Ordering::Relaxed);
    file.sync_all()
}

/// A commit is durable.
pub(super) fn committed() {
    COMMITS.fetch_add(1, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Batch, OpenOptions, SledStore, Store as _};

    #[test]
    fn a_commit_is_counted_with_its_sync() {
        let dir = tempfile::tempdir().unwrap();
        let store = SledStore::open(&OpenOptions::new(dir.path()).create()).unwrap();
        let before = counted();
        let mut batch = Batch::new();
        batch.put(*b"key", *b"value");
        store.commit(batch).unwrap();
        // Other tests of this process count as well.
        let after = counted();
        assert!(after.syncs > before.syncs && after.commits > before.commits);
    }

    #[test]
    fn what_was_written_is_known() {
        open_account();
        assert!(written_bytes().is_some());
    }
}

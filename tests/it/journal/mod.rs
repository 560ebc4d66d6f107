//! The journal: what is noted is there, once, in order, whatever fell; what was changed is found.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod durable;
mod judged;
mod nodes;
mod sessions;
mod witnessed;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use liaison::journal::{Act, Deed, Ground, Journal, JournalError, Mode, Query};
use liaison::model::NodeName;
use liaison::store::{Marks, MemoryStore};
use tempfile::TempDir;

use crate::sides::Side;

static DISKS: AtomicU64 = AtomicU64::new(0);

/// What outlives a process.
pub(crate) struct Disk {
    pub(crate) node: NodeName,
    pub(crate) store: MemoryStore,
    pub(crate) dir: TempDir,
    drawn: Arc<AtomicU64>,
}

impl Disk {
    pub(crate) fn new(node: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        Marks::create(dir.path()).unwrap();
        Self {
            node: NodeName::parse(node).unwrap(),
            store: MemoryStore::new(),
            dir,
            // No two draw the same salts.
            drawn: Arc::new(AtomicU64::new(DISKS.fetch_add(1 << 32, Ordering::Relaxed))),
        }
    }

    pub(crate) fn open(&self, mode: Mode) -> Result<Journal, JournalError> {
        Journal::open(self.ground(), mode)
    }

    pub(crate) fn ground(&self) -> Ground {
        let drawn = Arc::clone(&self.drawn);
        Ground {
            node: self.node.clone(),
            store: Arc::new(self.store.clone()),
            marks: Marks::open(self.dir.path()).unwrap(),
            unix_ms: Arc::new(|| 1_795_000_000_000),
            salt: Arc::new(move || {
                let number = drawn.fetch_add(1, Ordering::Relaxed);
                let mut salt = [0; 16];
                salt[..8].copy_from_slice(&number.to_be_bytes());
                Some(salt)
            }),
        }
    }
}

/// The journal of a side that lives as long as the test.
pub(crate) fn of_side(side: &Side) -> (Journal, MemoryStore) {
    let disk = Disk::new(side.name.as_str());
    let journal = disk.open(Mode::Inline).unwrap();
    // Marks are a file; the store is in memory.
    drop(disk.dir.keep());
    (journal, disk.store)
}

pub(crate) fn read(number: u64) -> Deed {
    Deed::new("operator/mai", Act::Read)
        .peer("b.example")
        .message(format!("message-{number}"))
}

pub(crate) fn all() -> Query {
    Query {
        limit: usize::MAX,
        ..Query::default()
    }
}

//! A machine: a disk that lasts, a clock that may be wrong, and one process after the other.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use liaison::exchange::clock::{Clock, Entropy};
use liaison::exchange::{Exchange, Foundations, LinkTerms, OpenError, RecorderMode};
use liaison::model::MessageId;
use liaison::proto::v1;
use liaison::store::Blobs;
use tokio::time::Instant;

use super::disk::{self, Disk};
use super::life::Life;
use super::wire::Host;
use crate::sides::Side;

/// Runs with tokio's paused time, and is wrong by so much.
#[derive(Debug)]
pub(crate) struct SimClock {
    began: Instant,
    skew_ms: AtomicI64,
}

/// November 2026.
const BEGAN_MS: i64 = 1_795_000_000_000;
const YEAR_MS: i64 = 365 * 24 * 3_600 * 1_000;

impl SimClock {
    fn new() -> Self {
        Self {
            began: Instant::now(),
            skew_ms: AtomicI64::new(0),
        }
    }

    /// Sets it forwards or back, never out of the years that a header takes.
    pub(crate) fn jump(&self, ms: i64) {
        let bound = 20 * YEAR_MS;
        let skew = self.skew_ms.load(Ordering::Relaxed) + ms;
        self.skew_ms
            .store(skew.clamp(-bound, bound), Ordering::Relaxed);
    }
}

impl Clock for SimClock {
    fn unix_ms(&self) -> u64 {
        let passed = i64::try_from(self.began.elapsed().as_millis()).unwrap();
        let skew = self.skew_ms.load(Ordering::Relaxed);
        u64::try_from(BEGAN_MS + passed + skew).unwrap()
    }
}

/// What a caller was told.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Told {
    pub(crate) index: u64,
    pub(crate) draft: Arc<v1::Draft>,
}

pub(crate) struct Machine {
    pub(crate) side: Side,
    pub(crate) disk: Disk,
    pub(crate) clock: Arc<SimClock>,
    pub(crate) life: Life,
    pub(crate) process: Option<Arc<Exchange>>,
    pub(crate) told: BTreeMap<MessageId, Told>,
    /// Submitted without an answer: asked again with the same id after the restart.
    pub(crate) unanswered: Vec<Arc<v1::Draft>>,
    started: u64,
}

/// A machine as it was.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    pub(crate) disk: disk::Copy,
    blobs: BTreeSet<String>,
}

impl Machine {
    pub(crate) fn new(side: Side) -> Self {
        Self {
            side,
            disk: Disk::new(),
            clock: Arc::new(SimClock::new()),
            life: Life::default(),
            process: None,
            told: BTreeMap::new(),
            unanswered: Vec::new(),
            started: 0,
        }
    }

    pub(crate) fn host(&self) -> Host {
        Host {
            life: self.life.clone(),
            disk: self.disk.clone(),
        }
    }

    /// Starts a process that ends at its `fuse`th point, if there is such an order.
    pub(crate) fn open(&mut self, peer: &Side, fuse: Option<u64>) -> Result<(), OpenError> {
        self.started += 1;
        self.life = Life::until(fuse);
        let terms = LinkTerms {
            peer: peer.name.clone(),
            keys: peer.card_for(&self.side),
            own_start: self.side.card_for(peer).start(),
            classification_max: v1::Classification::Confidential,
        };
        let foundations = Foundations {
            node: self.side.name.clone(),
            keys: self.side.keys(),
            store: self.disk.store(&self.life),
            blobs: Arc::new(Blobs::open(self.side.dir.path(), 0)?),
            marks: self.disk.marks(&self.life)?,
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            entropy: Entropy::seeded(u64::from(self.side.seed) << 48 | self.started),
        };
        let exchange = Exchange::open(foundations, vec![terms], RecorderMode::Inline)?;
        self.process = Some(exchange);
        Ok(())
    }

    /// Puts the process away. Whatever ran for it must have ended.
    pub(crate) fn bury(&mut self, power_lost: bool) {
        self.life.kill();
        if let Some(process) = self.process.take() {
            assert_eq!(Arc::strong_count(&process), 1, "someone still runs");
        }
        if power_lost {
            self.disk.power_cut();
            // A file that was being written when the power went.
            let torn = self.side.dir.path().join("blobs/tmp/torn");
            drop(fs::write(torn, b"half of it"));
        } else {
            self.disk.reopen();
        }
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot {
            disk: self.disk.copy(),
            blobs: self.blobs(),
        }
    }

    /// Sets the whole machine back. Its blobs of later go too.
    pub(crate) fn set_back(&self, snapshot: &Snapshot) {
        self.disk.put_back(snapshot.disk.clone());
        for later in self.blobs().difference(&snapshot.blobs) {
            fs::remove_file(self.side.dir.path().join("blobs").join(later)).unwrap();
        }
    }

    fn blobs(&self) -> BTreeSet<String> {
        let dir = self.side.dir.path().join("blobs");
        let Ok(entries) = fs::read_dir(dir) else {
            return BTreeSet::new();
        };
        entries
            .map(Result::unwrap)
            .filter(|entry| entry.file_type().unwrap().is_file())
            .map(|entry| entry.file_name().into_string().unwrap())
            .collect()
    }
}

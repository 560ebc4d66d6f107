//! The seam in memory, for simulation and tests: it crashes, fails and fills up on demand.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Batch, Direction, Record, Share, Store, StoreError, visible};
use crate::limits;

/// How a commit fails. The caller gets [`StoreError::OutcomeUnknown`] in every case: it must not
/// be able to tell, and has to be right in each world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Nothing was written.
    Before,
    /// It can be read now, and is gone after a crash.
    Volatile,
    /// It is durable; only the answer was lost.
    After,
}

/// A store in memory. Clones share one content, so a test keeps a clone as "the disk" while the
/// node that used another clone is dropped and started anew.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// What reads see.
    records: BTreeMap<Vec<u8>, Vec<u8>>,
    /// How to go back to what is durable: former values, newest last.
    undo: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    commits: u64,
    failures: BTreeMap<u64, Failure>,
    /// Commits answer without being durable, as on a disk that lies.
    loses_syncs: bool,
    full: bool,
    /// Commits that are still refused as by a full disk.
    refused: u64,
    space: Space,
    poisoned: bool,
}

/// The disk that a store in memory pretends to lie on.
#[derive(Debug, Clone, Copy)]
pub struct Space {
    /// Bytes free. They do not grow fewer by themselves.
    pub free_bytes: u64,
    /// Bytes that stay free.
    pub floor_bytes: u64,
    /// Bytes of ballast that are held.
    pub ballast_bytes: u64,
}

impl Default for Space {
    /// More than any test fills.
    fn default() -> Self {
        Self {
            free_bytes: 1 << 40,
            floor_bytes: 0,
            ballast_bytes: 0,
        }
    }
}

impl Space {
    fn check(&self, floors: u64, bytes: u64) -> Result<(), StoreError> {
        let needed = self
            .floor_bytes
            .saturating_mul(floors)
            .saturating_add(bytes);
        if self.free_bytes < needed {
            let free = self.free_bytes;
            return Err(StoreError::Full { free, needed });
        }
        Ok(())
    }

    /// As the store on a disk does it.
    fn free_up(&mut self, bytes: u64) -> Result<(), StoreError> {
        if self.check(1, bytes).is_err() {
            self.free_bytes += std::mem::take(&mut self.ballast_bytes);
        }
        self.check(1, bytes)
    }
}

impl State {
    fn apply(&mut self, batch: Batch) {
        for (key, value) in batch.writes {
            let former = match value {
                Some(value) => self.records.insert(key.clone(), value),
                None => self.records.remove(&key),
            };
            self.undo.push((key, former));
        }
    }
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        MemoryStore::default()
    }

    /// Commits that were tried so far, failed ones included, empty and refused ones not.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.state().commits
    }

    /// Lets a later commit fail: `in_commits` 0 is the next one.
    pub fn fail_commit(&self, in_commits: u64, failure: Failure) {
        let mut state = self.state();
        let at = state.commits + in_commits;
        state.failures.insert(at, failure);
    }

    /// Whether the disk is full: every commit is refused with [`StoreError::Full`].
    pub fn set_full(&self, full: bool) {
        self.state().full = full;
    }

    /// Refuses so many of the next commits as a full disk does.
    pub fn refuse_commits(&self, count: u64) {
        self.state().refused = count;
    }

    /// Changes the disk.
    pub fn set_space(&self, space: Space) {
        self.state().space = space;
    }

    /// The disk as it is now.
    #[must_use]
    pub fn space(&self) -> Space {
        self.state().space
    }

    /// Whether commits answer without being durable. A test that cannot tell the difference has
    /// no teeth.
    pub fn set_loses_syncs(&self, loses_syncs: bool) {
        self.state().loses_syncs = loses_syncs;
    }

    /// Loss of power, and the store opened anew: what was not durable is gone, failures that were
    /// ordered and have not happened are forgotten.
    pub fn crash(&self) {
        let mut state = self.state();
        while let Some((key, former)) = state.undo.pop() {
            match former {
                Some(value) => state.records.insert(key, value),
                None => state.records.remove(&key),
            };
        }
        state.failures.clear();
        state.poisoned = false;
    }

    /// The process ended and the store was opened anew, without loss of power.
    pub fn reopen(&self) {
        self.state().poisoned = false;
    }

    /// Everything that is there, for comparison.
    #[must_use]
    pub fn records(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        self.state().records.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A test thread that panicked in the middle leaves maps that are whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.state().records.get(key).cloned())
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
        let state = self.state();
        let range = state.records.range(start.to_vec()..end.to_vec());
        let copy = |(key, value): (&Vec<u8>, &Vec<u8>)| (key.clone(), value.clone());
        Ok(match direction {
            Direction::Forward => range.take(limit).map(copy).collect(),
            Direction::Backward => range.rev().take(limit).map(copy).collect(),
        })
    }

    fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        batch.check()?;
        if batch.is_empty() {
            return Ok(());
        }
        let mut state = self.state();
        if state.poisoned {
            return Err(StoreError::unknown("an earlier commit failed"));
        }
        if state.full || state.refused > 0 {
            state.refused = state.refused.saturating_sub(1);
            return Err(StoreError::Full {
                free: 0,
                needed: batch.bytes() as u64,
            });
        }
        state.space.free_up(batch.bytes() as u64)?;
        let number = state.commits;
        state.commits += 1;
        let failure = state.failures.remove(&number);
        if failure != Some(Failure::Before) {
            state.apply(batch);
        }
        let durable = matches!(failure, None | Some(Failure::After)) && !state.loses_syncs;
        if durable {
            state.undo.clear();
        }
        if failure.is_some() {
            state.poisoned = true;
            return Err(StoreError::unknown("the failure was ordered"));
        }
        Ok(())
    }

    fn make_room(&self, share: Share, bytes: u64) -> Result<(), StoreError> {
        let mut state = self.state();
        if state.full {
            return Err(StoreError::Full {
                free: 0,
                needed: bytes,
            });
        }
        match share {
            Share::Ordinary => state.space.check(limits::BULK_FLOORS, bytes),
            Share::Reserved => state.space.free_up(bytes),
        }
    }

    fn free_bytes(&self) -> Result<u64, StoreError> {
        let state = self.state();
        Ok(if state.full {
            0
        } else {
            state.space.free_bytes
        })
    }
}

//! Derived rows that are not written yet, over those that are: one ordered key space to whoever
//! reads it.
//!
//! What is derived from the logs is written by the recorder, now and then and many rows at once. What
//! is not written yet is lost in a crash, and derived again.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::store::{Direction, Record, Store, StoreError};

/// Rows read at once.
const ROWS_AT_ONCE: usize = 512;

/// A key, and its value unless it is to be removed.
pub(crate) type Write = (Vec<u8>, Option<Vec<u8>>);

/// Rows that are not written yet over those of the store.
pub(crate) struct Overlay {
    store: Arc<dyn Store>,
    pending: BTreeMap<Vec<u8>, (u64, Option<Vec<u8>>)>,
    /// Since when what is put now is pending: another each time that it was given out to be written.
    generation: u64,
}

/// Numbers for every overlay of the process: what one has given out says nothing to another.
static GENERATIONS: AtomicU64 = AtomicU64::new(0);

fn next_generation() -> u64 {
    GENERATIONS.fetch_add(1, Ordering::SeqCst)
}

impl fmt::Debug for Overlay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Overlay")
            .field("pending", &self.pending.len())
            .finish_non_exhaustive()
    }
}

impl Overlay {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            pending: BTreeMap::new(),
            generation: next_generation(),
        }
    }

    /// Rows that are not written yet.
    pub(crate) fn len(&self) -> usize {
        self.pending.len()
    }

    pub(crate) fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    pub(crate) fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.pending.insert(key, (self.generation, Some(value)));
    }

    pub(crate) fn delete(&mut self, key: Vec<u8>) {
        self.pending.insert(key, (self.generation, None));
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.pending.get(key) {
            Some((_, value)) => Ok(value.clone()),
            None => self.store.get(key),
        }
    }

    /// As [`Store::scan`].
    pub(crate) fn scan(
        &self,
        start: &[u8],
        end: &[u8],
        limit: usize,
        direction: Direction,
    ) -> Result<Vec<Record>, StoreError> {
        if start >= end {
            return Ok(Vec::new());
        }
        let mut pending = self.pending.range(start.to_vec()..end.to_vec()).peekable();
        if pending.peek().is_none() {
            return self.store.scan(start, end, limit, direction);
        }
        let pending: BTreeMap<&Vec<u8>, &Option<Vec<u8>>> =
            pending.map(|(key, (_, value))| (key, value)).collect();
        // Each row of the store that is hidden makes room for one behind it.
        let rows = self
            .store
            .scan(start, end, limit.saturating_add(pending.len()), direction)?;
        let mut merged: Vec<Record> = rows
            .into_iter()
            .filter(|(key, _)| !pending.contains_key(key))
            .collect();
        let put = pending
            .into_iter()
            .filter_map(|(key, value)| Some((key.clone(), value.clone()?)));
        merged.extend(put);
        merged.sort_unstable_by(|(a, _), (b, _)| match direction {
            Direction::Forward => a.cmp(b),
            Direction::Backward => b.cmp(a),
        });
        merged.truncate(limit);
        Ok(merged)
    }

    /// Removes what the store has in a range and what is not pending: it was put there by another that
    /// is gone.
    pub(crate) fn disown(&mut self, mut start: Vec<u8>, end: &[u8]) -> Result<(), StoreError> {
        loop {
            let rows = self
                .store
                .scan(&start, end, ROWS_AT_ONCE, Direction::Forward)?;
            let Some((last, _)) = rows.last() else {
                return Ok(());
            };
            start.clone_from(last);
            start.push(0);
            for (key, _) in rows {
                if !self.pending.contains_key(&key) {
                    self.delete(key);
                }
            }
        }
    }

    /// Everything that is pending, to be written together; hand the number back to
    /// [`Overlay::written`] when that is durable.
    pub(crate) fn give(&mut self) -> (u64, Vec<Write>) {
        let given = self.generation;
        self.generation = next_generation();
        let writes = self.pending.iter();
        let writes = writes.map(|(key, (_, value))| (key.clone(), value.clone()));
        (given, writes.collect())
    }

    /// What was given out is durable.
    pub(crate) fn written(&mut self, given: u64) {
        self.pending.retain(|_, (since, _)| *since > given);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Batch, MemoryStore};

    fn key(number: u8) -> Vec<u8> {
        vec![b'J', number]
    }

    /// Whatever is pending, a reader sees what a map of all would show.
    #[test]
    fn what_is_pending_and_what_is_written_are_one() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let mut overlay = Overlay::new(Arc::clone(&store));
        let mut plain = BTreeMap::new();
        let mut dice = 7_u32;
        let mut next = |below: u32| {
            dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (dice >> 16) % below
        };
        for round in 0..4_000 {
            let of = key(u8::try_from(next(40)).unwrap());
            match next(8) {
                0..=3 => {
                    let value = vec![u8::try_from(round % 251).unwrap()];
                    overlay.put(of.clone(), value.clone());
                    plain.insert(of, value);
                }
                4 | 5 => {
                    overlay.delete(of.clone());
                    plain.remove(&of);
                }
                6 => {
                    let (given, writes) = overlay.give();
                    // Written meanwhile: what came later stays pending.
                    let late = key(u8::try_from(next(40)).unwrap());
                    overlay.put(late.clone(), vec![1]);
                    plain.insert(late, vec![1]);
                    let mut batch = Batch::new();
                    for (key, value) in writes {
                        match value {
                            Some(value) => batch.put(key, value),
                            None => batch.delete(key),
                        }
                    }
                    store.commit(batch).unwrap();
                    overlay.written(given);
                }
                _ => {}
            }
            let (from, to) = (next(40), next(41));
            let (from, to) = (
                key(u8::try_from(from).unwrap()),
                key(u8::try_from(to).unwrap()),
            );
            let limit = usize::try_from(next(12)).unwrap();
            let mut rows: Vec<Record> = plain
                .iter()
                .filter(|(key, _)| (&from..&to).contains(key))
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect();
            for direction in [Direction::Forward, Direction::Backward] {
                let mut first = rows.clone();
                first.truncate(limit);
                assert_eq!(overlay.scan(&from, &to, limit, direction).unwrap(), first);
                rows.reverse();
            }
            assert_eq!(overlay.get(&from).unwrap(), plain.get(&from).cloned());
        }
    }
}

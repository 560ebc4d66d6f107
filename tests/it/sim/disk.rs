//! A disk that outlives its processes: records, marks, and what of both would survive a power cut.
//!
//! It can be full, it can fail a commit in three ways, it can lie, it can be set back. Its defects
//! are the mutants: a node that stands on such a disk is a node with that line of code removed.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use liaison::store::{Batch, Direction, Failure, Marks, MarksFile, Record, Store, StoreError};

use super::life::{Life, Point, What};

type Rows = BTreeMap<Vec<u8>, Arc<[u8]>>;
/// A key, and what it held before.
type Former = (Vec<u8>, Option<Arc<[u8]>>);

/// A line of the node that is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Defect {
    /// A commit answers before it is durable, and is made durable by nothing but luck.
    NoSync,
    /// Ids are not remembered.
    NoIds,
    /// The head that is signed is persisted when the signature has left.
    MarkAfterSigning,
    /// What is mirrored is flushed when its cosignature has left.
    CosignBeforeFlush,
}

/// What a disk holds.
#[derive(Debug, Clone, Default)]
struct Content {
    rows: Rows,
    /// How to go back to what is durable: former values, newest last.
    undo: Vec<Former>,
    marks: Vec<u8>,
    durable_marks: Vec<u8>,
}

/// What survives a power cut, kept aside.
#[derive(Debug, Clone)]
pub(crate) struct Copy(Content);

#[derive(Debug, Clone)]
pub(crate) struct Disk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    content: Content,
    failure: Option<(u64, Failure)>,
    poisoned: bool,
    full: bool,
    defect: Option<Defect>,
    lies: bool,
    commits: u64,
    /// The marks as they are durable, read once.
    known_marks: Option<Heads>,
}

type Heads = BTreeMap<String, u64>;

/// What a node holds of its two logs, durably.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) own: u64,
    pub(crate) mirror: u64,
    pub(crate) delivered: u64,
}

impl Content {
    fn power_cut(&mut self) {
        while let Some((key, former)) = self.undo.pop() {
            match former {
                Some(value) => self.rows.insert(key, value),
                None => self.rows.remove(&key),
            };
        }
        self.marks.clone_from(&self.durable_marks);
    }

    fn durable(&self, key: &[u8]) -> Option<Arc<[u8]>> {
        let oldest = self.undo.iter().find(|(changed, _)| changed == key);
        match oldest {
            Some((_, former)) => former.clone(),
            None => self.rows.get(key).cloned(),
        }
    }
}

impl Disk {
    pub(crate) fn new() -> Self {
        let mut state = State::default();
        state.content.marks = Marks::empty_image();
        state.content.durable_marks = Marks::empty_image();
        Self(Arc::new(Mutex::new(state)))
    }

    /// The store as one process has it.
    pub(crate) fn store(&self, life: &Life) -> Arc<dyn Store> {
        Arc::new(Mounted(self.clone(), life.clone()))
    }

    /// The marks as one process has them.
    pub(crate) fn marks(&self, life: &Life) -> Result<Marks, StoreError> {
        Marks::read(Box::new(Mounted(self.clone(), life.clone())))
    }

    pub(crate) fn set_full(&self, full: bool) {
        self.state().full = full;
    }

    /// From now on commits answer without being durable; marks are durable all the same.
    pub(crate) fn set_lies(&self, lies: bool) {
        self.state().lies = lies;
    }

    pub(crate) fn set_defect(&self, defect: Option<Defect>) {
        self.state().defect = defect;
    }

    /// Lets a later commit fail, the next being 0; the process lives on.
    pub(crate) fn fail_commit(&self, in_commits: u64, failure: Failure) {
        let mut state = self.state();
        let at = state.commits + in_commits;
        state.failure = Some((at, failure));
    }

    /// The power fails.
    pub(crate) fn power_cut(&self) {
        let mut state = self.state();
        state.content.power_cut();
        state.known_marks = None;
        state.failure = None;
        state.poisoned = false;
    }

    /// The process ended; what was written to the files can still be read.
    pub(crate) fn reopen(&self) {
        self.state().poisoned = false;
    }

    /// A frame has left: what the defects put off is done now.
    pub(crate) fn frame_left(&self) {
        let mut state = self.state();
        match state.defect {
            Some(Defect::MarkAfterSigning) => {
                let marks = state.content.marks.clone();
                state.content.durable_marks = marks;
                state.known_marks = None;
            }
            Some(Defect::CosignBeforeFlush) => state.content.undo.clear(),
            _ => {}
        }
    }

    /// What would be there after a power cut now: a snapshot of the machine.
    pub(crate) fn copy(&self) -> Copy {
        let mut content = self.state().content.clone();
        content.power_cut();
        Copy(content)
    }

    pub(crate) fn put_back(&self, copy: Copy) {
        let mut state = self.state();
        state.content = copy.0;
        state.known_marks = None;
        state.failure = None;
        state.poisoned = false;
    }

    /// What is durable of both logs.
    pub(crate) fn held(&self) -> Held {
        self.state().content.held()
    }

    /// The sizes that are durably marked, of an origin.
    pub(crate) fn marked(&self, origin: &str) -> u64 {
        let mut state = self.state();
        if state.known_marks.is_none() {
            let image = state.content.durable_marks.clone();
            let marks = Marks::read(Box::new(Image(image))).unwrap();
            let heads = marks.iter().map(|mark| (mark.origin, mark.size)).collect();
            state.known_marks = Some(heads);
        }
        let heads = state.known_marks.as_ref().unwrap();
        heads.get(origin).copied().unwrap_or_default()
    }

    /// Whether anything is kept of the peer's log beyond so many entries: ahead of its turn, or
    /// under a dated checkpoint.
    pub(crate) fn knows_beyond(&self, size: u64) -> bool {
        let state = self.state();
        let keeps = |region: u8, from: u64| {
            let start = [&[region, 0, 1][..], &from.to_be_bytes()].concat();
            let end = vec![region, 0, 2];
            state.content.rows.range(start..end).next().is_some()
        };
        keeps(b'X', size) || keeps(b'D', size + 1)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Copy {
    pub(crate) fn held(&self) -> Held {
        self.0.held()
    }
}

impl Content {
    /// Reads the head of the one link: docs/storage.md, `H`.
    fn held(&self) -> Held {
        let Some(head) = self.durable(&[b'H', 0, 1]) else {
            return Held::default();
        };
        let number = |at: usize| u64::from_be_bytes(head[at..at + 8].try_into().unwrap());
        Held {
            own: number(0),
            mirror: number(40),
            delivered: number(80),
        }
    }
}

/// A disk as one process has it.
#[derive(Debug)]
struct Mounted(Disk, Life);

fn gone() -> StoreError {
    StoreError::OutcomeUnknown {
        what: "the process is dead".to_owned(),
    }
}

/// What a batch is about.
fn what(batch: &Batch) -> What {
    let mut found = What::Other;
    for (key, value) in batch.writes() {
        let side = key.get(3).copied();
        let row = match (key[0], side) {
            (b'E', Some(1)) => What::Mirror,
            (b'E', _) => What::Own,
            (b'C', Some(0)) => What::Receipt,
            (b'C', _) => What::Cosigned,
            (b'X', _) if value.is_some() => What::Express,
            _ => continue,
        };
        let rank = |what| match what {
            What::Mirror => 5,
            What::Own => 4,
            What::Receipt => 3,
            What::Cosigned => 2,
            What::Express => 1,
            What::Other => 0,
        };
        if rank(row) > rank(found) {
            found = row;
        }
    }
    found
}

impl Store for Mounted {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        if self.1.is_over() {
            return Err(gone());
        }
        let state = self.0.state();
        if state.defect == Some(Defect::NoIds) && key[0] == b'I' {
            return Ok(None);
        }
        Ok(state.content.rows.get(key).map(|value| value.to_vec()))
    }

    fn scan(
        &self,
        start: &[u8],
        end: &[u8],
        limit: usize,
        direction: Direction,
    ) -> Result<Vec<Record>, StoreError> {
        if self.1.is_over() {
            return Err(gone());
        }
        if start >= end {
            return Ok(Vec::new());
        }
        let state = self.0.state();
        let rows = state.content.rows.range(start.to_vec()..end.to_vec());
        let copy = |(key, value): (&Vec<u8>, &Arc<[u8]>)| (key.clone(), value.to_vec());
        Ok(match direction {
            Direction::Forward => rows.take(limit).map(copy).collect(),
            Direction::Backward => rows.rev().take(limit).map(copy).collect(),
        })
    }

    fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        if batch.is_empty() {
            return Ok(());
        }
        let what = what(&batch);
        if !self.1.pass(Point::CommitBefore(what)) {
            return Err(gone());
        }
        let mut state = self.0.state();
        if state.poisoned {
            return Err(StoreError::OutcomeUnknown {
                what: "an earlier commit failed".to_owned(),
            });
        }
        if state.full {
            return Err(StoreError::Full {
                free: 0,
                needed: batch.bytes() as u64,
            });
        }
        let number = state.commits;
        state.commits += 1;
        let failure = state.failure.filter(|(at, _)| *at <= number);
        if failure.is_some() {
            state.failure = None;
        }
        let failure = failure.map(|(_, failure)| failure);
        if failure != Some(Failure::Before) {
            for (key, value) in batch.writes() {
                let former = match value {
                    Some(value) => state.content.rows.insert(key.to_vec(), value.into()),
                    None => state.content.rows.remove(key),
                };
                state.content.undo.push((key.to_vec(), former));
            }
        }
        let put_off = match state.defect {
            Some(Defect::NoSync) => true,
            Some(Defect::CosignBeforeFlush) => what == What::Mirror,
            _ => state.lies,
        };
        if matches!(failure, None | Some(Failure::After)) && !put_off {
            state.content.undo.clear();
        }
        if failure.is_some() {
            state.poisoned = true;
            return Err(StoreError::OutcomeUnknown {
                what: "the failure was ordered".to_owned(),
            });
        }
        drop(state);
        if self.1.pass(Point::CommitAfter(what)) {
            Ok(())
        } else {
            Err(gone())
        }
    }

    fn free_bytes(&self) -> Result<u64, StoreError> {
        Ok(if self.0.state().full { 0 } else { 1 << 40 })
    }
}

impl MarksFile for Mounted {
    fn path(&self) -> &Path {
        Path::new("marks")
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        read_at(&self.0.state().content.marks, bytes, offset)
    }

    fn write_all_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let at = usize::try_from(offset).unwrap();
        let write = |bytes: &[u8]| {
            let mut state = self.0.state();
            let content = &mut state.content;
            content.marks[at..at + bytes.len()].copy_from_slice(bytes);
            if state.defect != Some(Defect::MarkAfterSigning) {
                let content = &mut state.content;
                content.durable_marks[at..at + bytes.len()].copy_from_slice(bytes);
                state.known_marks = None;
            }
        };
        let dead = || Err(io::Error::other("the process is dead"));
        if !self.1.pass(Point::MarkBefore) {
            return dead();
        }
        if !self.1.pass(Point::MarkTorn) {
            write(&bytes[..bytes.len() / 2]);
            return dead();
        }
        write(bytes);
        if self.1.pass(Point::MarkAfter) {
            Ok(())
        } else {
            dead()
        }
    }

    fn replace(&mut self, content: &[u8]) -> Result<(), StoreError> {
        let mut state = self.0.state();
        state.content.marks = content.to_vec();
        state.content.durable_marks = content.to_vec();
        Ok(())
    }
}

/// Marks to look at.
#[derive(Debug)]
struct Image(Vec<u8>);

impl MarksFile for Image {
    fn path(&self) -> &Path {
        Path::new("marks")
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        read_at(&self.0, bytes, offset)
    }

    fn write_all_at(&mut self, _: &[u8], _: u64) -> io::Result<()> {
        Err(io::Error::other("to look at only"))
    }

    fn replace(&mut self, _: &[u8]) -> Result<(), StoreError> {
        Err(gone())
    }
}

fn read_at(image: &[u8], bytes: &mut [u8], offset: u64) -> io::Result<()> {
    let at = usize::try_from(offset).unwrap();
    let part = image.get(at..at + bytes.len());
    bytes.copy_from_slice(part.ok_or(io::ErrorKind::UnexpectedEof)?);
    Ok(())
}

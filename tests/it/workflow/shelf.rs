//! Cases that rest in a store: whatever was let go of, written, lost in a crash and read again, they
//! stand as the fold of both logs in memory does.

use std::collections::BTreeMap;
use std::sync::Arc;

use liaison::exchange::LogSide;
use liaison::exchange::layout::LinkNumber;
use liaison::exchange::read::ReadError;
use liaison::exchange::shelf::{CaseShelf, Logs, facts_rows, stale_row};
use liaison::model::MessageId;
use liaison::model::workflow::casebook::Snapshot;
use liaison::model::workflow::{Casebook, Facts, Millis, Party, Said};
use liaison::store::{Batch, MemoryStore, Store};

use super::crossing::Dice;
use super::language::{START, facts, id};

const NUMBER: LinkNumber = LinkNumber(7);
const SIDES: [LogSide; 2] = [LogSide::Own, LogSide::Mirror];

/// Both logs, own and mirror, as they can be read.
#[derive(Debug, Clone)]
struct Read(Arc<[Vec<Facts>; 2]>);

impl Read {
    fn log(&self, side: LogSide) -> &[Facts] {
        &self.0[usize::from(side == LogSide::Mirror)]
    }
}

impl Logs for Read {
    fn cases(
        &self,
        side: LogSide,
        from: u64,
        to: u64,
    ) -> Result<Vec<Option<MessageId>>, ReadError> {
        let log = self.log(side).iter();
        let (from, to) = [from, to].map(|at| usize::try_from(at).unwrap()).into();
        let log = log.take(to).skip(from);
        Ok(log.map(|facts| Some(facts.thread)).collect())
    }

    fn facts(&self, side: LogSide, index: u64) -> Result<Option<Facts>, ReadError> {
        Ok(Some(
            self.log(side)[usize::try_from(index).unwrap()].clone(),
        ))
    }
}

/// A shelf under whose store everything may happen that may be survived.
pub(super) struct Resting {
    own: Party,
    logs: Read,
    store: Arc<MemoryStore>,
    shelf: CaseShelf,
    dice: Dice,
}

impl Resting {
    pub(super) fn new(own: Party, logs: [Vec<Facts>; 2], seed: u64) -> Self {
        let (logs, store) = (Read(Arc::new(logs)), Arc::new(MemoryStore::new()));
        let mut dice = Dice(seed);
        // Most facts are there with their entries; what is not is read from the bodies.
        let mut batch = Batch::new();
        for side in SIDES {
            for (facts, index) in logs.log(side).iter().zip(0..) {
                if !dice.one_in(5) {
                    for (key, value) in facts_rows(NUMBER, side, index, facts) {
                        batch.put(key, value);
                    }
                }
            }
        }
        store.commit(batch).unwrap();
        let shelf = open(&store, own, &logs, false);
        Self {
            own,
            logs,
            store,
            shelf,
            dice,
        }
    }

    fn write(&mut self, is_lost: bool) {
        let (given, writes) = self.shelf.give().unwrap();
        if is_lost {
            return;
        }
        let mut batch = Batch::new();
        for (key, value) in writes {
            match value {
                Some(value) => batch.put(key, value),
                None => batch.delete(key),
            }
        }
        self.store.commit(batch).unwrap();
        self.shelf.written(given);
    }

    /// One thing that may happen at any time.
    fn something_happens(&mut self, now: Millis) {
        match self.dice.below(12) {
            0 | 1 => self.shelf = open(&self.store, self.own, &self.logs, false),
            2 | 3 => self.write(false),
            4 => self.write(true),
            5 => self.shelf.let_all_go(),
            6 => drop(self.shelf.snapshot(now).unwrap()),
            7 if self.dice.one_in(4) => {
                self.shelf = open(&self.store, self.own, &self.logs, true);
            }
            8 if self.dice.one_in(4) => {
                let from = SIDES.map(|side| self.dice.below(self.logs.log(side).len() + 1));
                let mut batch = Batch::new();
                let (key, value) = stale_row(NUMBER, from.map(|from| from as u64));
                batch.put(key, value);
                self.store.commit(batch).unwrap();
                self.shelf = open(&self.store, self.own, &self.logs, false);
            }
            _ => {
                let cases: Vec<_> = self
                    .logs
                    .log(LogSide::Own)
                    .iter()
                    .map(|f| f.thread)
                    .collect();
                if let Some(case) = self.dice.pick(&cases).copied() {
                    self.shelf.folded(case).unwrap();
                }
            }
        }
    }

    pub(super) fn snapshot_at_the_end(&mut self, now: Millis) -> String {
        let whole = SIDES.map(|side| self.logs.log(side).len() as u64);
        loop {
            let sizes =
                whole.map(|size| self.dice.below(usize::try_from(size).unwrap() + 1) as u64);
            let is_last = self.dice.one_in(12);
            let sizes = if is_last { whole } else { sizes };
            let at_most = if is_last {
                u64::MAX
            } else {
                1 + self.dice.below(40) as u64
            };
            self.shelf.advance(sizes, at_most).unwrap();
            if is_last {
                let snapshot = self.shelf.snapshot(now).unwrap();
                return serde_json::to_string(&snapshot).unwrap();
            }
            self.something_happens(now);
        }
    }

    /// Everything as of the first entries of A's and of B's log: folded in memory, and as it rested.
    pub(super) fn as_of(&self, sizes: [u64; 2], now: Millis) -> (String, String) {
        let mut plain = Casebook::default();
        for (by, side) in [self.own, self.own.other()].into_iter().zip(SIDES) {
            for facts in self.logs.log(side) {
                plain.take(by, Some(facts.clone()));
            }
        }
        let plain = serde_json::to_string(&plain.as_of(sizes).snapshot(now)).unwrap();
        let ledger = self.shelf.ledger_as_of(sizes).unwrap();
        let mut threads = BTreeMap::new();
        let mut last = None;
        while let Some(case) = self.shelf.case_after(last).unwrap() {
            last = Some(case);
            let mut thread = self.shelf.case_as_of(&ledger, case).unwrap();
            if thread.has_word_of_a_person() {
                ledger.fold(&mut thread);
                threads.insert(case.to_string(), thread.view(case, now));
            }
        }
        let boards = ledger.boards().view();
        let rested = serde_json::to_string(&Snapshot { threads, boards }).unwrap();
        (plain, rested)
    }
}

fn open(store: &Arc<MemoryStore>, own: Party, logs: &Read, is_forgotten: bool) -> CaseShelf {
    let store: Arc<dyn Store> = Arc::clone(store) as _;
    CaseShelf::open(store, NUMBER, own, Box::new(logs.clone()), is_forgotten).unwrap()
}

fn letters(from: u64, count: u64) -> Vec<Facts> {
    let letter = |number| facts(number, Said::Letter { reply_by: None });
    (from..from + count).map(letter).collect()
}

#[test]
fn a_million_cases_would_take_no_more_memory_than_these() {
    let mut resting = Resting::new(Party::A, [letters(1, 3_000), letters(5_000, 10)], 3);
    resting.shelf.advance([3_000, 10], u64::MAX).unwrap();
    resting.shelf.snapshot(START).unwrap();
    let (cases, messages) = resting.shelf.in_memory();
    assert!(cases <= liaison::limits::CASES_KEPT_MAX, "{cases}");
    assert!(
        messages <= liaison::limits::CASES_MESSAGES_KEPT_MAX,
        "{messages}"
    );
}

#[test]
fn a_case_that_is_flooded_is_read_no_further_than_it_counts() {
    let mut flood = letters(1, 5_000);
    let first = flood[0].thread;
    for letter in &mut flood {
        letter.thread = first;
    }
    let mut resting = Resting::new(Party::A, [flood.clone(), letters(9_000, 1)], 5);
    resting.shelf.advance([5_000, 1], u64::MAX).unwrap();
    let count =
        |resting: &mut Resting| resting.shelf.folded(first).unwrap().unwrap().messages.len();
    assert_eq!(count(&mut resting), liaison::limits::CASE_MESSAGES_MAX);
    let (_, messages) = resting.shelf.in_memory();
    assert!(
        messages <= liaison::limits::CASE_MESSAGES_MAX + 3,
        "{messages}"
    );
    resting.shelf.let_all_go();
    assert_eq!(count(&mut resting), liaison::limits::CASE_MESSAGES_MAX);
    let mut book = Casebook::default();
    for letter in flood {
        book.take(Party::A, Some(letter));
    }
    let plain = book.folded(first).unwrap().messages.len();
    assert_eq!(count(&mut resting), plain);
}

/// Entries were cut off and others came in their place.
#[test]
fn what_was_cut_off_leaves_nothing_behind() {
    let before = [letters(1, 40), letters(100, 40)];
    let mut resting = Resting::new(Party::B, before.clone(), 11);
    resting.shelf.advance([40, 40], u64::MAX).unwrap();
    resting.write(false);
    let mut after = before;
    after[0].truncate(25);
    after[0].extend(letters(300, 20));
    let mut batch = Batch::new();
    let (key, value) = stale_row(NUMBER, [25, 40]);
    batch.put(key, value);
    resting.store.commit(batch).unwrap();
    let logs = Read(Arc::new(after.clone()));
    // What was given out before is lost or not; it makes no difference.
    let mut shelf = open(&resting.store, Party::B, &logs, false);
    shelf.advance([45, 40], u64::MAX).unwrap();
    let found = serde_json::to_string(&shelf.snapshot(START).unwrap()).unwrap();
    let mut book = Casebook::default();
    for (by, log) in [Party::B, Party::A].into_iter().zip(after) {
        for facts in log {
            book.take(by, Some(facts));
        }
    }
    let plain = serde_json::to_string(&book.snapshot(START)).unwrap();
    assert_eq!(found, plain);
    assert!(!found.contains(&id(26).to_string()));
    let mut cases = 0;
    let mut last = None;
    while let Some(case) = shelf.case_after(last).unwrap() {
        last = Some(case);
        cases += 1;
    }
    assert_eq!(cases, 45 + 40);
}

//! The cases of a link where they rest: what each message says lies in the store by its case, and a
//! case is folded when somebody asks for it.
//!
//! ```text
//! K  link case side index   what the message says, packed; written with its entry
//! J  link 'p'               how far both logs are taken in
//!    link 'r' side index    an entry that was not admitted, and the index of its refusal
//!    link 'b' side index    an entry of which the boards must know, and its case
//!    link 'x' own mirror    from where on K may be of others: entries were replaced there
//! ```
//!
//! Nothing of it is the truth: all of it follows from the two logs and is made again from them
//! where it is missing, of another version, or damaged. In memory are the ledger
//! ([`crate::model::workflow::Ledger`]) and the few cases that were asked for last; so a link of a
//! million cases, open or settled, takes as much memory as one of a hundred.
//!
//! What is taken in is exact: whenever a case is read, only its messages below the sizes of the
//! ledger count, so that it stands as a fold of both logs up to there.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::layout::{self, LinkNumber, LogSide};
use super::overlay::{Overlay, Write};
use super::read::ReadError;
use crate::limits::{CASE_MESSAGES_MAX, CASES_KEPT_MAX, CASES_MESSAGES_KEPT_MAX, VALUE_BYTES_MAX};
use crate::model::MessageId;
use crate::model::workflow::board::Boards;
use crate::model::workflow::casebook::Snapshot;
use crate::model::workflow::ledger::Parts;
use crate::model::workflow::{
    Facts, Folded, Impossible, Ledger, Millis, Party, Said, Thread, packed,
};
use crate::store::{Direction, Record, Store};

/// Version of the rows of `J`; with that of the packed facts, of all that is derived.
const VERSION: u8 = 1;
/// Rows read at once.
const ROWS_AT_ONCE: usize = 512;
/// Entries that were taken in last, of which it is still known in memory which case they are of.
const RECENT_MAX: usize = 8_192;
/// Entries taken in before others get their turn, while a link is folded from the beginning.
pub(crate) const ENTRIES_AT_ONCE: u64 = 256;
/// Entries, or rows, after which what was derived is written: folded again in a tenth of a second.
const UNWRITTEN_MAX: usize = 4_096;

pub(super) const PROGRESS: u8 = b'p';
const REFUSED: u8 = b'r';
const ON_BOARD: u8 = b'b';
pub(super) const STALE: u8 = b'x';
/// How far it was counted what is due.
pub(super) const DUES: u8 = b'q';
/// Every kind that says what was derived, or how far.
const ALL: [u8; 5] = [PROGRESS, REFUSED, ON_BOARD, STALE, DUES];

/// The two logs that the shelf is made from.
pub trait Logs: fmt::Debug + Send {
    /// The cases of the entries from an index up to another, some of the first of them at least;
    /// `None` of an entry that is no message of any sort.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn cases(&self, side: LogSide, from: u64, to: u64)
    -> Result<Vec<Option<MessageId>>, ReadError>;

    /// What an entry says, read from its body.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn facts(&self, side: LogSide, index: u64) -> Result<Option<Facts>, ReadError>;

    /// What an entry says, as it is kept beside others of its case. `None`: it is not kept.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn keep(&self, side: LogSide, index: u64, facts: &Facts) -> Result<Option<Vec<u8>>, ReadError> {
        let _ = (side, index);
        Ok(Some(facts.pack()))
    }

    /// What an entry says, if it is in memory because it was recorded a moment ago: the same as is kept.
    fn fresh(&self, side: LogSide, index: u64) -> Option<Arc<Facts>> {
        let _ = (side, index);
        None
    }

    /// Reads what [`Logs::keep`] made. `None` of what is damaged, of another version or erased.
    fn kept(&self, case: MessageId, value: &[u8]) -> Option<Facts> {
        Facts::unpack(case, value)
    }
}

/// An entry that was taken in, for those who look again at what has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Touched {
    /// Its case.
    pub(crate) case: Option<MessageId>,
    /// The case of the entry that it refuses.
    pub(crate) refuses_in: Option<MessageId>,
    /// It may change which calendars are in force.
    pub(crate) calendars: bool,
}

/// A case in memory.
#[derive(Debug)]
struct Kept {
    thread: Thread,
    /// Grows with each use of any.
    used: u64,
    /// Messages when it was last counted.
    messages: usize,
}

/// The cases of a link.
#[derive(Debug)]
pub struct CaseShelf {
    number: LinkNumber,
    own: Party,
    logs: Box<dyn Logs>,
    overlay: Overlay,
    ledger: Ledger,
    kept: HashMap<MessageId, Kept>,
    kept_messages: usize,
    /// By use, those not used for the longest time first.
    order: BTreeMap<u64, MessageId>,
    uses: u64,
    /// The last entries of each log, the own first.
    recent: [VecDeque<Touched>; 2],
    /// Sizes of both logs when what was derived was last given out.
    given: [u64; 2],
    /// Of each log, the own first: the entries whose facts may be of others, and are made anew.
    anew: [Range<u64>; 2],
    /// Made anew, and never written: a shelf that is gone may have written after this was opened.
    is_first: bool,
}

impl CaseShelf {
    /// The shelf of a link as it was written last; `is_forgotten`: that may be of other entries, and is
    /// to be made anew.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn open(
        store: Arc<dyn Store>,
        number: LinkNumber,
        own: Party,
        logs: Box<dyn Logs>,
        is_forgotten: bool,
    ) -> Result<Self, ReadError> {
        let mut shelf = Self {
            number,
            own,
            logs,
            overlay: Overlay::new(store),
            ledger: Ledger::default(),
            kept: HashMap::new(),
            kept_messages: 0,
            order: BTreeMap::new(),
            uses: 0,
            recent: Default::default(),
            given: [0; 2],
            anew: [0..0, 0..0],
            is_first: false,
        };
        let progress = shelf.overlay.get(&shelf.key(PROGRESS, &[]))?;
        let progress = progress.as_deref().and_then(Progress::decode);
        let stale = shelf.rows(STALE)?.into_iter();
        let stale = stale.map(|(key, _)| {
            let sizes = key.get(layout::DERIVED_KEY_BYTES..);
            sizes.and_then(decode_sizes).unwrap_or_default()
        });
        let stale = stale.reduce(|a, b| [a[0].min(b[0]), a[1].min(b[1])]);
        if let Some(from) = stale.or(is_forgotten.then_some([0; 2])) {
            shelf.clear(&ALL)?;
            // Up to where the logs are, which is not known yet.
            shelf.anew = from.map(|from| from..u64::MAX);
            shelf.is_first = true;
            shelf.clear_facts()?;
        } else if let Some(progress) = progress {
            shelf.restore(progress)?;
        } else {
            // Nothing yet, or of another version. Facts of another version are replaced one by one.
            shelf.clear(&ALL)?;
        }
        Ok(shelf)
    }

    fn key(&self, kind: u8, rest: &[&[u8]]) -> Vec<u8> {
        layout::derived(self.number, kind, rest)
    }

    fn party(&self, side: LogSide) -> Party {
        match side {
            LogSide::Own => self.own,
            LogSide::Mirror => self.own.other(),
        }
    }

    /// Removes all that was derived but the facts. Of what is due only how far that was counted: it
    /// is then made again by whoever keeps it.
    fn clear(&mut self, kinds: &[u8]) -> Result<(), ReadError> {
        for kind in kinds {
            let (start, end) = layout::derived_of(self.number, *kind);
            self.overlay.disown(start, &end)?;
        }
        Ok(())
    }

    /// Removes facts that lie in another case than the entry that is there now.
    fn clear_facts(&mut self) -> Result<(), ReadError> {
        let (mut start, end) = layout::all_facts(self.number);
        loop {
            let rows = self
                .overlay
                .scan(&start, &end, ROWS_AT_ONCE, Direction::Forward)?;
            let Some((last, _)) = rows.last() else {
                return Ok(());
            };
            start.clone_from(last);
            start.push(0);
            for (key, _) in rows {
                let Some((case, side, index, _)) = layout::facts_place(&key) else {
                    continue;
                };
                if self.anew[usize::from(side.byte())].contains(&index)
                    && self.case_at(side, index)? != Some(case)
                {
                    self.overlay.delete(key);
                }
            }
        }
    }

    fn restore(&mut self, progress: Progress) -> Result<(), ReadError> {
        let mut parts = Parts::default();
        for side in [LogSide::Own, LogSide::Mirror] {
            let (slot, by) = (self.party(side).slot(), usize::from(side.byte()));
            parts.sizes[slot] = progress.sizes[by];
            parts.seen[slot] = progress.seen[by];
        }
        self.ledger = self.ledger_of(parts)?;
        self.given = progress.sizes;
        self.anew = progress.anew;
        Ok(())
    }

    /// The ledger at given sizes, which are no more than was taken in once.
    fn ledger_of(&self, mut parts: Parts) -> Result<Ledger, ReadError> {
        for (key, refusal) in self.rows(REFUSED)? {
            let Some((side, index, refusal)) = refused_of(&key, &refusal) else {
                continue;
            };
            let author = self.party(side);
            if refusal < parts.sizes[author.other().slot()] {
                parts.refused[author.slot()].push((index, refusal));
            }
        }
        let mut on_boards = Vec::new();
        for (key, case) in self.rows(ON_BOARD)? {
            let place = side_of(&key).zip(layout::index_of(&key));
            let place = place.zip(MessageId::from_slice(&case).ok());
            let Some(((side, index), case)) = place else {
                continue;
            };
            let by = self.party(side);
            if index < parts.sizes[by.slot()]
                && let Some(facts) = self.facts(side, index, case)?
            {
                on_boards.push((by, index, facts));
            }
        }
        Ok(Ledger::restore(parts, on_boards))
    }

    fn rows(&self, kind: u8) -> Result<Vec<Record>, ReadError> {
        let (start, end) = layout::derived_of(self.number, kind);
        let rows = self
            .overlay
            .scan(&start, &end, usize::MAX, Direction::Forward)?;
        Ok(rows)
    }

    /// How many entries of a log were taken in.
    #[must_use]
    pub fn size(&self, by: Party) -> u64 {
        self.ledger.size(by)
    }

    /// Calendars, rosters and gates.
    #[must_use]
    pub fn boards(&self) -> &Boards {
        self.ledger.boards()
    }

    /// Takes in both logs up to sizes of own log and mirror, but no more than so many entries of
    /// each; says whether there are more.
    ///
    /// # Errors
    /// When a log cannot be read; what came before is taken in.
    pub fn advance(&mut self, sizes: [u64; 2], at_most: u64) -> Result<bool, ReadError> {
        let mut has_more = false;
        for (side, size) in [LogSide::Own, LogSide::Mirror].into_iter().zip(sizes) {
            let party = self.party(side);
            let anew = &mut self.anew[usize::from(side.byte())];
            if anew.end == u64::MAX {
                anew.end = size;
            }
            let end = size.min(self.size(party).saturating_add(at_most));
            has_more |= end < size;
            while self.size(party) < end {
                let from = self.size(party);
                let is_anew = self.anew[usize::from(side.byte())].contains(&from);
                if let Some(facts) = self.logs.fresh(side, from).filter(|_| !is_anew) {
                    self.take(side, Some(facts))?;
                    continue;
                }
                let cases = self
                    .logs
                    .cases(side, from, end.min(from + ENTRIES_AT_ONCE))?;
                if cases.is_empty() {
                    return Ok(false);
                }
                for (case, index) in cases.into_iter().zip(from..) {
                    let facts = match case {
                        Some(case) => self.facts_or_made(side, index, case)?,
                        None => None,
                    };
                    self.take(side, facts.map(Arc::new))?;
                }
            }
        }
        Ok(has_more)
    }

    fn take(&mut self, side: LogSide, facts: Option<Arc<Facts>>) -> Result<(), ReadError> {
        let by = self.party(side);
        let index = self.size(by);
        let mut touched = Touched {
            case: facts.as_ref().map(|facts| facts.thread),
            refuses_in: None,
            calendars: facts.as_deref().is_some_and(matters_to_calendars),
        };
        if let Some(Said::Refusal { index: refused }) = facts.as_ref().map(|facts| &facts.said)
            && *refused < self.size(by.other())
        {
            // Asked before anything changes: what fails is tried again from here.
            touched.refuses_in = self.case_at(side.other(), *refused)?;
        }
        let taken = self.ledger.take(by, facts.as_deref());
        if let Some(refused) = taken.refuses {
            let rest: [&[u8]; 2] = [&[side.other().byte()], &refused.to_be_bytes()];
            let key = self.key(REFUSED, &rest);
            self.overlay.put(key, index.to_be_bytes().to_vec());
            if let Some(case) = touched.refuses_in {
                self.let_go(case);
            }
        } else {
            touched.refuses_in = None;
        }
        if let Some(facts) = facts.filter(|_| taken.is_of_its_case) {
            if taken.is_on_board {
                let key = self.key(ON_BOARD, &[&[side.byte()], &index.to_be_bytes()]);
                self.overlay.put(key, facts.thread.as_bytes().to_vec());
            }
            if taken.is_void {
                self.let_go(facts.thread);
            } else if let Some(kept) = self.kept.get_mut(&facts.thread)
                && kept.thread.len_of(by) <= CASE_MESSAGES_MAX + 1
            {
                // Beyond, it has no effect.
                kept.thread.take(by, index, facts);
            }
        }
        let recent = &mut self.recent[usize::from(side.byte())];
        recent.push_back(touched);
        if recent.len() > RECENT_MAX {
            recent.pop_front();
        }
        Ok(())
    }

    /// The case of an entry.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn case_at(&self, side: LogSide, index: u64) -> Result<Option<MessageId>, ReadError> {
        let cases = self.logs.cases(side, index, index + 1)?;
        Ok(cases.into_iter().next().flatten())
    }

    /// What the entries from an index on have touched, of some of them at least.
    pub(crate) fn touched(&self, side: LogSide, from: u64) -> Result<Vec<Touched>, ReadError> {
        let end = self.size(self.party(side)).min(from + ENTRIES_AT_ONCE);
        let recent = &self.recent[usize::from(side.byte())];
        let first = self.size(self.party(side)) - recent.len() as u64;
        if let Some(skipped) = from.checked_sub(first) {
            let skipped = usize::try_from(skipped).unwrap_or(usize::MAX);
            let count = usize::try_from(end.saturating_sub(from)).unwrap_or(usize::MAX);
            return Ok(recent.iter().skip(skipped).take(count).copied().collect());
        }
        let mut touched = Vec::new();
        for (case, index) in self.logs.cases(side, from, end)?.into_iter().zip(from..) {
            let facts = match case {
                Some(case) => self.facts(side, index, case)?,
                None => None,
            };
            let refused = match facts.as_ref().map(|facts| &facts.said) {
                Some(Said::Refusal { index }) => Some(*index),
                _ => None,
            };
            let refused = refused.filter(|index| *index < self.size(self.party(side.other())));
            touched.push(Touched {
                case,
                refuses_in: match refused {
                    Some(index) => self.case_at(side.other(), index)?,
                    None => None,
                },
                calendars: facts.as_ref().is_some_and(matters_to_calendars),
            });
        }
        Ok(touched)
    }

    /// What an entry of a case says. What is missing or damaged is read from its body.
    fn facts(
        &self,
        side: LogSide,
        index: u64,
        case: MessageId,
    ) -> Result<Option<Facts>, ReadError> {
        let packed = self.packed(side, index, case)?;
        match packed.and_then(|packed| self.logs.kept(case, &packed)) {
            Some(facts) => Ok(Some(facts)),
            None => self.logs.facts(side, index),
        }
    }

    fn packed(
        &self,
        side: LogSide,
        index: u64,
        case: MessageId,
    ) -> Result<Option<Vec<u8>>, ReadError> {
        let key = layout::facts(self.number, case, side, index);
        let first = self.overlay.get(&key)?;
        if first
            .as_ref()
            .is_none_or(|first| first.len() < VALUE_BYTES_MAX)
        {
            return Ok(first);
        }
        let (start, end) = layout::parts_range(&key);
        let parts = self
            .overlay
            .scan(&start, &end, usize::MAX, Direction::Forward)?;
        Ok(Some(parts.into_iter().flat_map(|(_, part)| part).collect()))
    }

    /// The same; and keeps what had to be read from the body.
    fn facts_or_made(
        &mut self,
        side: LogSide,
        index: u64,
        case: MessageId,
    ) -> Result<Option<Facts>, ReadError> {
        let packed = self.packed(side, index, case)?;
        let known = packed.and_then(|packed| self.logs.kept(case, &packed));
        let is_anew = self.anew[usize::from(side.byte())].contains(&index);
        if known.is_some() && !is_anew {
            return Ok(known);
        }
        let facts = self.logs.facts(side, index)?;
        if let Some(facts) = facts
            .as_ref()
            .filter(|facts| known.as_ref() != Some(*facts))
            && let Some(kept) = self.logs.keep(side, index, facts)?
        {
            for (key, value) in packed_rows(self.number, side, index, facts.thread, &kept) {
                self.overlay.put(key, value);
            }
        }
        Ok(facts)
    }

    /// Reads a case, unless it is in memory.
    fn load(&mut self, case: MessageId) -> Result<(), ReadError> {
        self.uses += 1;
        if let Some(kept) = self.kept.get_mut(&case) {
            self.order.remove(&kept.used);
            self.order.insert(self.uses, case);
            kept.used = self.uses;
            return Ok(());
        }
        let mut thread = Thread::default();
        self.each_of_case(case, |shelf, side, index, facts| {
            shelf.add(&mut thread, side, index, facts)
        })?;
        let kept = Kept {
            messages: 0,
            used: self.uses,
            thread,
        };
        self.kept.insert(case, kept);
        self.order.insert(self.uses, case);
        self.count(case);
        Ok(())
    }

    /// Adds a message to its case, if it counts; says whether others of its side may.
    fn add(&self, thread: &mut Thread, side: LogSide, index: u64, facts: Arc<Facts>) -> bool {
        let by = self.party(side);
        if matches!(facts.said, Said::Refusal { .. }) {
            return true;
        }
        if self.ledger.is_void(by, index) {
            // It only says that the case is there.
            if thread.is_empty() {
                thread.take(by, index, facts);
                thread.void(by, index);
            }
            return true;
        }
        thread.take(by, index, facts);
        thread.len_of(by) <= CASE_MESSAGES_MAX + 1
    }

    /// Every message of a case that was taken in, in the order of either log; `visit` says whether
    /// it wants more of that side.
    fn each_of_case(
        &self,
        case: MessageId,
        mut visit: impl FnMut(&Self, LogSide, u64, Arc<Facts>) -> bool,
    ) -> Result<(), ReadError> {
        let (mut start, end) = layout::facts_of(self.number, case);
        let mut rows_at_once = 8;
        loop {
            let rows = self
                .overlay
                .scan(&start, &end, rows_at_once, Direction::Forward)?;
            let mut is_last = rows.len() < rows_at_once;
            rows_at_once = ROWS_AT_ONCE;
            let Some((last, _)) = rows.last() else {
                return Ok(());
            };
            start.clone_from(last);
            start.push(0);
            for (key, value) in rows {
                let Some((_, side, index, true)) = layout::facts_place(&key) else {
                    continue;
                };
                if index >= self.size(self.party(side)) {
                    continue;
                }
                let whole = Some(value).filter(|value| value.len() < VALUE_BYTES_MAX);
                let kept = || {
                    whole
                        .and_then(|value| self.logs.kept(case, &value))
                        .map(Arc::new)
                };
                let facts = match self.logs.fresh(side, index).or_else(kept) {
                    Some(facts) => Some(facts),
                    None => self.facts(side, index, case)?.map(Arc::new),
                };
                let Some(facts) = facts.filter(|facts| facts.thread == case) else {
                    continue;
                };
                if !visit(self, side, index, facts) {
                    let Some(next) = next_side(self.number, case, side) else {
                        return Ok(());
                    };
                    start = next;
                    is_last = false;
                    break;
                }
            }
            if is_last {
                return Ok(());
            }
        }
    }

    pub(super) fn let_go(&mut self, case: MessageId) {
        if let Some(kept) = self.kept.remove(&case) {
            self.order.remove(&kept.used);
            self.kept_messages -= kept.messages;
        }
    }

    /// Counts the messages of a case, and lets go of those not used for the longest time while there
    /// are too many.
    fn count(&mut self, case: MessageId) {
        if let Some(kept) = self.kept.get_mut(&case) {
            let messages = kept.thread.len();
            self.kept_messages = self.kept_messages - kept.messages + messages;
            kept.messages = messages;
        }
        while self.kept.len() > 1
            && (self.kept.len() > CASES_KEPT_MAX || self.kept_messages > CASES_MESSAGES_KEPT_MAX)
        {
            match self.order.first_key_value() {
                Some((_, id)) if *id != case => self.let_go(*id),
                _ => return,
            }
        }
    }

    /// A case, folded; `None` if no message of it is here.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn folded(&mut self, case: MessageId) -> Result<Option<&Folded>, ReadError> {
        self.load(case)?;
        self.count(case);
        let ledger = &self.ledger;
        let kept = self.kept.get_mut(&case);
        let kept = kept.filter(|kept| !kept.thread.is_empty());
        Ok(kept.map(|kept| ledger.fold(&mut kept.thread)))
    }

    /// Whether a person has said something in a case that the other side admitted.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn has_word_of_a_person(&mut self, case: MessageId) -> Result<bool, ReadError> {
        self.load(case)?;
        let kept = self.kept.get(&case);
        Ok(kept.is_some_and(|kept| kept.thread.has_word_of_a_person()))
    }

    /// Judges a message that is about to be recorded by a side that knows all that is here.
    ///
    /// # Errors
    /// When the store cannot be read; and why it is not possible as things stand, and what is.
    pub fn judge(&mut self, by: Party, facts: &Facts) -> Result<Result<(), Impossible>, ReadError> {
        self.load(facts.thread)?;
        self.count(facts.thread);
        let mut none = Thread::default();
        let kept = self.kept.get_mut(&facts.thread);
        let case = kept.map_or(&mut none, |kept| &mut kept.thread);
        Ok(self.ledger.judge(by, facts, case))
    }

    /// The last case before another in the order of their ids, which is that of their times; from
    /// the end without one.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn case_before(&self, other: Option<MessageId>) -> Result<Option<MessageId>, ReadError> {
        let (start, end) = layout::all_facts(self.number);
        let end = other.map_or(end, |other| layout::facts_of(self.number, other).0);
        self.next_case(&start, &end, Direction::Backward)
    }

    /// The first case after another; from the beginning without one.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn case_after(&self, other: Option<MessageId>) -> Result<Option<MessageId>, ReadError> {
        let (start, end) = layout::all_facts(self.number);
        let start = other.map_or(start, |other| layout::facts_of(self.number, other).1);
        self.next_case(&start, &end, Direction::Forward)
    }

    fn next_case(
        &self,
        start: &[u8],
        end: &[u8],
        direction: Direction,
    ) -> Result<Option<MessageId>, ReadError> {
        let rows = self.overlay.scan(start, end, 1, direction)?;
        let place = rows.first().and_then(|(key, _)| layout::facts_place(key));
        Ok(place.map(|(case, ..)| case))
    }

    /// The ledger as of the first entries of A's and of B's log alone.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn ledger_as_of(&self, sizes: [u64; 2]) -> Result<Ledger, ReadError> {
        let here = [self.size(Party::A), self.size(Party::B)];
        self.ledger_of(Parts {
            sizes: [sizes[0].min(here[0]), sizes[1].min(here[1])],
            ..Parts::default()
        })
    }

    /// A case as of a ledger of [`CaseShelf::ledger_as_of`].
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn case_as_of(&self, ledger: &Ledger, case: MessageId) -> Result<Thread, ReadError> {
        let mut thread = Thread::default();
        self.each_of_case(case, |shelf, side, index, facts| {
            let by = shelf.party(side);
            let counts = index < ledger.size(by)
                && !ledger.is_void(by, index)
                && !matches!(facts.said, Said::Refusal { .. });
            if counts {
                thread.take(by, index, facts);
            }
            index < ledger.size(by) && thread.len_of(by) <= CASE_MESSAGES_MAX
        })?;
        Ok(thread)
    }

    /// Everything that follows at an instant. Reads every case.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn snapshot(&mut self, now: Millis) -> Result<Snapshot, ReadError> {
        let mut threads = BTreeMap::new();
        let mut last = None;
        while let Some(case) = self.case_after(last)? {
            last = Some(case);
            if self.has_word_of_a_person(case)? && self.folded(case)?.is_some() {
                let kept = self.kept.get_mut(&case);
                let view = kept.map(|kept| kept.thread.view(case, now));
                threads.extend(view.map(|view| (case.to_string(), view)));
            }
        }
        Ok(Snapshot {
            threads,
            boards: self.boards().view(),
        })
    }

    /// Whether so much was derived that it should be written.
    #[must_use]
    pub fn is_due(&self) -> bool {
        let sizes = self.sizes();
        let entries: u64 = sizes.iter().zip(self.given).map(|(n, m)| n - m).sum();
        entries >= UNWRITTEN_MAX as u64 || self.overlay.len() >= UNWRITTEN_MAX
    }

    /// Sizes of own log and mirror as taken in.
    fn sizes(&self) -> [u64; 2] {
        [LogSide::Own, LogSide::Mirror].map(|side| self.size(self.party(side)))
    }

    /// Everything that was derived and is not written, to be written together; hand the number back
    /// to [`CaseShelf::written`] when that is durable.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn give(&mut self) -> Result<(u64, Vec<Write>), ReadError> {
        if std::mem::take(&mut self.is_first) {
            self.clear(&[REFUSED, ON_BOARD])?;
            self.clear_facts()?;
        }
        self.given = self.sizes();
        let seen = [LogSide::Own, LogSide::Mirror].map(|side| self.ledger.seen(self.party(side)));
        let progress = Progress {
            sizes: self.given,
            seen,
            anew: self.anew.clone(),
        };
        let key = self.key(PROGRESS, &[]);
        self.overlay.put(key, progress.encode());
        Ok(self.overlay.give())
    }

    /// What was given out is durable.
    pub fn written(&mut self, given: u64) {
        self.overlay.written(given);
    }

    /// Lets go of every case in memory; each is read again when it is asked for.
    pub fn let_all_go(&mut self) {
        self.kept.clear();
        self.order.clear();
        self.kept_messages = 0;
    }

    /// Cases in memory, and their messages.
    #[must_use]
    pub fn in_memory(&self) -> (usize, usize) {
        (self.kept.len(), self.kept_messages)
    }
}

/// Rows that keep what a message says: to be written with its entry.
#[must_use]
pub fn facts_rows(
    number: LinkNumber,
    side: LogSide,
    index: u64,
    facts: &Facts,
) -> Vec<(Vec<u8>, Vec<u8>)> {
    packed_rows(number, side, index, facts.thread, &facts.pack())
}

pub(crate) fn packed_rows(
    number: LinkNumber,
    side: LogSide,
    index: u64,
    case: MessageId,
    packed: &[u8],
) -> Vec<(Vec<u8>, Vec<u8>)> {
    let key = layout::facts(number, case, side, index);
    let parts = layout::parts(&key, packed);
    parts.map(|(key, part)| (key, part.to_vec())).collect()
}

/// The row that says that both logs were cut back, and that what was derived from there on is of
/// other entries: written in the commit that cuts them.
#[must_use]
pub fn stale_row(number: LinkNumber, from: [u64; 2]) -> (Vec<u8>, Vec<u8>) {
    let from = from.map(u64::to_be_bytes).concat();
    (layout::derived(number, STALE, &[&from]), Vec::new())
}

fn matters_to_calendars(facts: &Facts) -> bool {
    matches!(
        facts.said,
        Said::Calendar { .. } | Said::Withdrawal | Said::Refusal { .. }
    )
}

/// Where the messages of the next side of a case begin.
fn next_side(number: LinkNumber, case: MessageId, side: LogSide) -> Option<Vec<u8>> {
    match side {
        LogSide::Own => Some(layout::facts(number, case, LogSide::Mirror, 0)),
        LogSide::Mirror => None,
    }
}

fn side_of(key: &[u8]) -> Option<LogSide> {
    LogSide::of(*key.get(layout::DERIVED_KEY_BYTES)?)
}

fn refused_of(key: &[u8], refusal: &[u8]) -> Option<(LogSide, u64, u64)> {
    let refusal = u64::from_be_bytes(refusal.try_into().ok()?);
    Some((side_of(key)?, layout::index_of(key)?, refusal))
}

fn decode_sizes(value: &[u8]) -> Option<[u64; 2]> {
    let (own, mirror) = value.split_first_chunk()?;
    Some([
        u64::from_be_bytes(*own),
        u64::from_be_bytes(mirror.try_into().ok()?),
    ])
}

/// How far both logs are taken in: own and mirror.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Progress {
    sizes: [u64; 2],
    seen: [u64; 2],
    anew: [Range<u64>; 2],
}

impl Progress {
    fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION, packed::VERSION];
        let [own, mirror] = &self.anew;
        let anew = [own.start, own.end, mirror.start, mirror.end];
        for number in self.sizes.into_iter().chain(self.seen).chain(anew) {
            out.extend(number.to_be_bytes());
        }
        out
    }

    fn decode(value: &[u8]) -> Option<Self> {
        let rest = value.strip_prefix(&[VERSION, packed::VERSION])?;
        let mut pairs = rest.chunks(16).map(decode_sizes);
        let mut pair = || pairs.next().flatten();
        let (sizes, seen) = (pair()?, pair()?);
        let range = |[start, end]: [u64; 2]| start..end;
        let progress = Self {
            sizes,
            seen,
            anew: [range(pair()?), range(pair()?)],
        };
        pairs.next().is_none().then_some(progress)
    }
}

//! When what is owed on a link is due, on both sides, kept up as the logs and receipts grow.
//!
//! What is owed follows from the cases ([`super::cases`]); by when, from the time of receipt, which
//! stands in a cosignature, and from the calendars in force. Only the cases that changed are looked
//! at again. Which cases owe something by a time, and when each falls due, is kept in rows that may be
//! derived again at any time ([`DueBook`]); so it takes no memory, however much is owed.
//!
//! The time of receipt is the same for both sides: that of the cosignature of the side that holds
//! the message, on the first checkpoint that covers it. Of several that follow each other closely a
//! sender may keep only the last; then it counts from that one, which is later.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};

use super::deadlines::TurnError;
use super::layout::{self, LinkNumber, LogSide};
use super::overlay::{Overlay, Write};
use super::read::ReadError;
use super::remind::{self, DutyKey, Stage};
use super::shelf::{CaseShelf, DUES, STALE};
use super::view::cosigned_at;
use super::{Exchange, Link};
use crate::limits::CASE_DUES_MAX;
use crate::model::MessageId;
use crate::model::calendar::{CalendarError, YearCalendar};
use crate::model::workflow::{
    Duty, Millis, Party, Published, Reckoned, Standing, Term, calendars_in_force, reckon,
};
use crate::proto::v1::Status;
use crate::proto::v1::body::Body;
use crate::store::{Direction, Record, Store};

/// Something one side owes the other, and when it is due.
#[derive(Debug, Clone, PartialEq)]
pub struct Due {
    /// The case.
    pub case: MessageId,
    /// What is owed, by whom, for which message.
    pub duty: Duty,
    /// The message that asks for it.
    pub asked: Asked,
    /// When the side that owes it had the message, by its cosignature; only looked up where a
    /// term is set.
    pub received_at: Option<Millis>,
    /// No later receipt changes `received_at`.
    pub is_settled: bool,
    /// The instant.
    pub when: When,
}

/// A message that asks for something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// Its author.
    pub by: Party,
    /// Where in its author's log.
    pub index: u64,
    /// [`crate::proto::v1::Kind`], or the number of a newer one.
    pub kind: i32,
    /// [`crate::proto::v1::Precedence`].
    pub precedence: i32,
    /// [`crate::proto::v1::Status`].
    pub status: i32,
    /// Its author's clock.
    pub created_at: Millis,
}

/// When something is due.
#[derive(Debug, Clone, PartialEq)]
pub enum When {
    /// No time was set.
    NoTerm,
    /// It counts from receipt; there is none yet.
    NotReceived,
    /// Then.
    At(Reckoned),
    /// It cannot be counted: a calendar is missing.
    NoCalendar(CalendarError),
}

impl Due {
    /// Whether it is late at an instant.
    #[must_use]
    pub fn is_overdue(&self, now: Millis) -> bool {
        let is_past = matches!(&self.when, When::At(reckoned) if now >= reckoned.at());
        is_past && !self.had_passed()
    }

    /// Whether the time asked for had passed when the message arrived: nobody is late by that.
    #[must_use]
    pub fn had_passed(&self) -> bool {
        let When::At(reckoned) = &self.when else {
            return false;
        };
        self.received_at
            .is_some_and(|received| received >= reckoned.at())
    }

    /// Whether it is real, and neither exercise nor test.
    #[must_use]
    pub fn is_actual(&self) -> bool {
        self.asked.status == Status::Actual as i32
    }
}

/// A message of the peer that breaks the rules of its case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerBreach {
    /// Where in the peer's log.
    pub index: u64,
    /// Its id.
    pub message: MessageId,
    /// Why it was not possible.
    pub reason: String,
}

/// A calendar of a side, for the list.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// Its message.
    pub message: MessageId,
    /// When its author published it.
    pub said_at: Millis,
    /// What it says, and where.
    pub published: Published,
}

/// How far it is known what is owed on a link. What is owed itself is counted from its case each time:
/// in the store lies which cases owe something by a time, and when they must be looked at.
///
/// ```text
/// J  link 'q'                     how far both logs were looked at
///    link 't' case                a case that owes something by a time
///    link 'k' case                the keys of its rows of the three kinds that follow, in parts
///    link 'a' class at duty case  a stage that falls at an instant and was not reached; class 0 first
///    link 'd' at case number      something is late from this instant on
///    link 'w' side index case     no receipt yet counts for good of the message at that index
///    link 'u' index               a message of the peer whose breach was not noted yet: its case
/// ```
#[derive(Debug)]
pub struct DueBook {
    overlay: Overlay,
    number: LinkNumber,
    /// Entries of own log and mirror that were looked at.
    taken: [u64; 2],
    /// The same when rows were last given out to be written.
    given: [u64; 2],
    /// Of A and of B; `None` until they were first read.
    calendars: Option<[Vec<Listed>; 2]>,
    /// The hour in which breaches were noted last, and how many.
    breaches_of_hour: (u64, usize),
    /// Made anew, and never written: a book that is gone may have written after this was opened.
    is_first: bool,
}

/// What is owed on a link, as of all that is durable.
#[derive(Debug)]
pub struct Dues<'a> {
    exchange: &'a Exchange,
    link: &'a Link,
    book: &'a mut DueBook,
}

/// What is late on a link.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Overdue {
    /// Owed by this node.
    pub own: u32,
    /// Owed by the peer.
    pub theirs: u32,
    /// Exercises and tests, of either side.
    pub exercises: u32,
}

/// A case as the shelf leaves it, before instants are counted.
struct Looked {
    case: MessageId,
    duties: Vec<(Duty, Asked, u64)>,
    breaches: Vec<PeerBreach>,
}

/// A calendar in a log: its message, when it was published, where, and where it was taken back.
type Posted = (MessageId, Millis, u64, Option<u64>);

/// Version of the rows.
const VERSION: u8 = 1;
/// Cases looked at, and rows read, at once.
const AT_ONCE: usize = 256;
/// Entries or rows after which what was derived is written.
const UNWRITTEN_MAX: usize = 4_096;

const CASE: u8 = b't';
const KEYS: u8 = b'k';
const AGENDA: u8 = b'a';
const LATE: u8 = b'd';
const WAITS: u8 = b'w';
const UNNOTED: u8 = b'u';

/// Flags in the row of a case: working days are counted in it.
const COUNTS_DAYS: u8 = 1;
/// Flags of something late.
const OWED_BY_OWN: u8 = 1;
const ACTUAL: u8 = 2;

impl DueBook {
    fn open(
        store: Arc<dyn Store>,
        number: LinkNumber,
        is_forgotten: bool,
    ) -> Result<Self, ReadError> {
        let mut book = Self {
            overlay: Overlay::new(store),
            number,
            taken: [0; 2],
            given: [0; 2],
            calendars: None,
            breaches_of_hour: (0, 0),
            is_first: true,
        };
        let (start, end) = layout::derived_of(number, STALE);
        let stale = book.overlay.scan(&start, &end, 1, Direction::Forward)?;
        let is_stale = is_forgotten || !stale.is_empty();
        let progress = book.overlay.get(&book.key(DUES, &[]))?;
        let taken = progress.filter(|_| !is_stale).and_then(|progress| {
            let (own, mirror) = progress.strip_prefix(&[VERSION])?.split_first_chunk()?;
            let mirror = u64::from_be_bytes(mirror.try_into().ok()?);
            Some([u64::from_be_bytes(*own), mirror])
        });
        if let Some(taken) = taken {
            (book.taken, book.given) = (taken, taken);
            book.is_first = false;
            return Ok(book);
        }
        book.clear()?;
        Ok(book)
    }

    /// Removes what the store has and this book has not put.
    fn clear(&mut self) -> Result<(), ReadError> {
        for kind in [DUES, CASE, KEYS, AGENDA, LATE, WAITS, UNNOTED] {
            let (start, end) = layout::derived_of(self.number, kind);
            self.overlay.disown(start, &end)?;
        }
        Ok(())
    }

    fn key(&self, kind: u8, rest: &[&[u8]]) -> Vec<u8> {
        layout::derived(self.number, kind, rest)
    }

    /// Rows of a kind from a key on, at most [`AT_ONCE`].
    fn some(&self, start: &[u8], kind: u8) -> Result<Vec<Record>, ReadError> {
        let (_, end) = layout::derived_of(self.number, kind);
        Ok(self
            .overlay
            .scan(start, &end, AT_ONCE, Direction::Forward)?)
    }

    fn is_due(&self) -> bool {
        let entries = self.taken.iter().zip(self.given);
        let entries: u64 = entries.map(|(now, then)| now - then).sum();
        entries >= UNWRITTEN_MAX as u64 || self.overlay.len() >= UNWRITTEN_MAX
    }

    fn give(&mut self) -> Result<(u64, Vec<Write>), ReadError> {
        if std::mem::take(&mut self.is_first) {
            self.clear()?;
        }
        self.given = self.taken;
        let mut progress = vec![VERSION];
        for taken in self.taken {
            progress.extend(taken.to_be_bytes());
        }
        self.overlay.put(self.key(DUES, &[]), progress);
        Ok(self.overlay.give())
    }

    /// Counts breaches of an hour (since 1970) that are about to be noted; says how many there were
    /// before.
    fn count_breaches(&mut self, hour: u64, more: usize) -> usize {
        if self.breaches_of_hour.0 != hour {
            self.breaches_of_hour = (hour, 0);
        }
        let before = self.breaches_of_hour.1;
        self.breaches_of_hour.1 = before.saturating_add(more);
        before
    }

    /// Puts the rows of a case in place of those it had.
    fn put_case(&mut self, case: MessageId, rows: &Rows) -> Result<(), ReadError> {
        let of_case = self.key(CASE, &[case.as_bytes()]);
        if !rows.has_term && self.overlay.get(&of_case)?.is_none() {
            return Ok(());
        }
        let list = self.key(KEYS, &[case.as_bytes()]);
        let (start, end) = layout::parts_range(&list);
        let parts = self
            .overlay
            .scan(&start, &end, usize::MAX, Direction::Forward)?;
        let mut before = Vec::new();
        for (key, part) in parts {
            before.extend(part);
            self.overlay.delete(key);
        }
        let before = Rows::keys(&before);
        for key in before.iter().filter(|key| !rows.by_key.contains_key(*key)) {
            let key = self.key(key[0], &[&key[1..]]);
            self.overlay.delete(key);
        }
        for (rest, value) in &rows.by_key {
            if !before.contains(rest) {
                let key = self.key(rest[0], &[&rest[1..]]);
                self.overlay.put(key, value.clone());
            }
        }
        if rows.has_term {
            let flags = if rows.counts_days { COUNTS_DAYS } else { 0 };
            self.overlay.put(of_case, vec![flags]);
            let keys = rows.encode();
            for (key, part) in layout::parts(&list, &keys) {
                self.overlay.put(key, part.to_vec());
            }
        } else {
            self.overlay.delete(of_case);
        }
        Ok(())
    }
}

/// The rows of a case that owes something by a time: each by kind and rest of its key.
#[derive(Debug, Default)]
struct Rows {
    has_term: bool,
    counts_days: bool,
    by_key: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Rows {
    fn put(&mut self, kind: u8, rest: &[&[u8]], value: Vec<u8>) {
        let mut key = vec![kind];
        for part in rest {
            key.extend_from_slice(part);
        }
        self.by_key.insert(key, value);
    }

    /// Each key with its length in front.
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for key in self.by_key.keys() {
            out.push(u8::try_from(key.len()).unwrap_or(u8::MAX));
            out.extend_from_slice(key);
        }
        out
    }

    fn keys(value: &[u8]) -> BTreeSet<Vec<u8>> {
        let mut keys = BTreeSet::new();
        let mut rest = value;
        while let Some((length, tail)) = rest.split_first() {
            let Some((key, tail)) = tail.split_at_checked(usize::from(*length)) else {
                break;
            };
            if !key.is_empty() {
                keys.insert(key.to_vec());
            }
            rest = tail;
        }
        keys
    }
}

/// An instant whose bytes sort as it does.
fn ordered(at: Millis) -> [u8; 8] {
    (at.cast_unsigned() ^ 1 << 63).to_be_bytes()
}

fn instant(bytes: &[u8]) -> Option<Millis> {
    let bytes = u64::from_be_bytes(bytes.try_into().ok()?);
    Some((bytes ^ 1 << 63).cast_signed())
}

/// The rest of an agenda row's key behind its instant: stage, duty, case.
fn agenda_rest(stage: Stage, key: DutyKey, owed_by: LogSide, case: MessageId) -> Vec<u8> {
    let mut rest = vec![stage.byte()];
    rest.extend(key.message.as_bytes());
    rest.extend([layout::owed_byte(key.owed), owed_by.byte(), key.extended_by]);
    rest.extend(case.as_bytes());
    rest
}

/// Class, instant and the rest of an agenda row's key.
fn agenda_of(key: &[u8]) -> Option<(u8, Millis, &[u8])> {
    let rest = key.get(layout::DERIVED_KEY_BYTES..)?;
    let (class, rest) = rest.split_first()?;
    let (at, rest) = rest.split_at_checked(8)?;
    Some((*class, instant(at)?, rest))
}

/// The case at the end of a key.
fn case_of(key: &[u8]) -> Option<MessageId> {
    MessageId::from_slice(key.get(key.len().checked_sub(16)?..)?).ok()
}

/// The key behind another.
fn behind(mut key: Vec<u8>) -> Vec<u8> {
    key.push(0);
    key
}

fn class_of(due: &Due) -> u8 {
    u8::from(!remind::is_urgent(due))
}

impl Dues<'_> {
    /// What is owed in a case.
    ///
    /// # Errors
    /// When a log or a receipt cannot be read.
    pub fn of_case(&self, case: MessageId) -> Result<Vec<Due>, ReadError> {
        let peer = self.link.party().other();
        let looked = self
            .exchange
            .with_cases(self.link, |cases| look(cases, case, peer))??;
        self.exchange.counted(self.link, self.book, looked)
    }

    /// Some cases after another, in the order of their ids, and what is owed in each: all of them, or
    /// those that owe something by a time. None: there are no more.
    ///
    /// # Errors
    /// When a log or a receipt cannot be read.
    pub fn page(
        &self,
        after: Option<MessageId>,
        by_a_time: bool,
    ) -> Result<Vec<(MessageId, Vec<Due>)>, ReadError> {
        let mut cases = Vec::new();
        if by_a_time {
            let start = match after {
                Some(after) => behind(self.book.key(CASE, &[after.as_bytes()])),
                None => self.book.key(CASE, &[]),
            };
            let rows = self.book.some(&start, CASE)?;
            cases.extend(rows.iter().filter_map(|(key, _)| case_of(key)));
        } else {
            let mut last = after;
            while cases.len() < AT_ONCE
                && let Some(case) = self
                    .exchange
                    .with_cases(self.link, |shelf| shelf.case_after(last))??
            {
                last = Some(case);
                cases.push(case);
            }
        }
        let of_case = |case: MessageId| Ok((case, self.of_case(case)?));
        cases.into_iter().map(of_case).collect()
    }

    /// Everything owed, case by case. Reads every case.
    ///
    /// # Errors
    /// When a log or a receipt cannot be read.
    pub fn all(&self) -> Result<Vec<Due>, ReadError> {
        let (mut all, mut last) = (Vec::new(), None);
        loop {
            let page = self.page(last, false)?;
            let Some((case, _)) = page.last() else {
                return Ok(all);
            };
            last = Some(*case);
            all.extend(page.into_iter().flat_map(|(_, dues)| dues));
        }
    }

    /// How much is late at an instant.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn overdue(&self, now: Millis) -> Result<Overdue, ReadError> {
        let mut counted = Overdue::default();
        let mut start = self.book.key(LATE, &[]);
        let end = self.book.key(LATE, &[&ordered(now.saturating_add(1))]);
        loop {
            let rows = self
                .book
                .overlay
                .scan(&start, &end, AT_ONCE, Direction::Forward)?;
            for (_, value) in &rows {
                let flags = value.first().copied().unwrap_or_default();
                let of = match (flags & ACTUAL != 0, flags & OWED_BY_OWN != 0) {
                    (false, _) => &mut counted.exercises,
                    (true, true) => &mut counted.own,
                    (true, false) => &mut counted.theirs,
                };
                *of = of.saturating_add(1);
            }
            match rows.into_iter().last() {
                Some((last, _)) => start = behind(last),
                None => return Ok(counted),
            }
        }
    }

    /// Breaches of the peer that were not noted yet, the first of them by index.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(crate) fn new_breaches(&mut self, count: usize) -> Result<Vec<PeerBreach>, ReadError> {
        let (start, end) = layout::derived_of(self.book.number, UNNOTED);
        let rows = self
            .book
            .overlay
            .scan(&start, &end, count, Direction::Forward)?;
        let mut of_cases: BTreeMap<MessageId, Vec<PeerBreach>> = BTreeMap::new();
        let peer = self.link.party().other();
        let mut breaches = Vec::new();
        for (key, case) in rows {
            let index = layout::index_of(&key).unwrap_or_default();
            let noted = layout::breach(self.link.number, index);
            let mut found = None;
            if let Ok(case) = MessageId::from_slice(&case)
                && self.book.overlay.store().get(&noted)?.is_none()
            {
                let of_case = match of_cases.entry(case) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(new) => {
                        let looked = self
                            .exchange
                            .with_cases(self.link, |cases| look(cases, case, peer))??;
                        new.insert(looked.breaches)
                    }
                };
                found = of_case.iter().find(|breach| breach.index == index).cloned();
            }
            match found {
                Some(breach) => breaches.push(breach),
                // It was noted, or is none by what has come since.
                None => self.book.overlay.delete(key),
            }
        }
        Ok(breaches)
    }

    /// A breach was noted.
    pub(crate) fn mark_noted(&mut self, index: u64) {
        let key = self.book.key(UNNOTED, &[&index.to_be_bytes()]);
        self.book.overlay.delete(key);
    }

    /// Counts breaches of an hour (since 1970) that are about to be noted; says how many there were
    /// before.
    pub(crate) fn count_breaches(&mut self, hour: u64, more: usize) -> usize {
        self.book.count_breaches(hour, more)
    }

    /// The stages of something owed that were reached, in order, and when that was recorded,
    /// milliseconds since 1970.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn stages_of(&self, due: &Due) -> Result<Vec<(Stage, u64)>, ReadError> {
        let mut stages = Vec::new();
        if self.link.head().stages_count == 0 {
            return Ok(stages);
        }
        for stage in Stage::ALL {
            if let Some(at_ms) = self.exchange.reached_at(self.link, due, stage)? {
                stages.push((stage, at_ms));
            }
        }
        Ok(stages)
    }

    /// Every calendar that a side has published, in the order of its log.
    #[must_use]
    pub fn calendars(&self, by: Party) -> &[Listed] {
        self.book.calendars(by)
    }

    /// The first stages that fall by an instant and were not reached yet, each with what is owed: what
    /// is urgent first, then in the order in which they fall.
    ///
    /// # Errors
    /// When a log or a receipt cannot be read.
    pub fn falling(&mut self, now: Millis, count: usize) -> Result<Vec<(Stage, Due)>, ReadError> {
        let mut falling = Vec::new();
        let mut known: Option<(MessageId, Vec<Due>)> = None;
        for class in [0, 1] {
            let mut start = self.book.key(AGENDA, &[&[class]]);
            let end = ordered(now.saturating_add(1));
            let end = self.book.key(AGENDA, &[&[class], &end]);
            loop {
                let rows = self
                    .book
                    .overlay
                    .scan(&start, &end, AT_ONCE, Direction::Forward)?;
                let Some((last, _)) = rows.last() else { break };
                start = behind(last.clone());
                for (key, _) in rows {
                    let Some(((_, _, rest), case)) = agenda_of(&key).zip(case_of(&key)) else {
                        continue;
                    };
                    if known.as_ref().is_none_or(|(of, _)| *of != case) {
                        known = Some((case, self.of_case(case)?));
                    }
                    let dues = known.as_ref().map_or(&[][..], |(_, dues)| dues);
                    let found = dues.iter().find_map(|due| {
                        let side = self.link.side_of(due.duty.owed_by);
                        let is_it = |stage: &Stage| {
                            agenda_rest(*stage, DutyKey::of(due), side, case) == rest
                        };
                        Some((Stage::ALL.into_iter().find(is_it)?, due))
                    });
                    // A reminder of what is overdue is none.
                    let helps = |(stage, due): &(Stage, &Due)| {
                        *stage != Stage::Reminder || !due.is_overdue(now)
                    };
                    match found.filter(helps) {
                        Some((stage, due)) => falling.push((stage, due.clone())),
                        None => self.book.overlay.delete(key),
                    }
                    if falling.len() == count {
                        return Ok(falling);
                    }
                }
            }
        }
        Ok(falling)
    }

    /// When the next stage falls, later than an instant.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn next_after(&self, now: Millis) -> Result<Option<Millis>, ReadError> {
        let after = ordered(now.saturating_add(1));
        let mut next = None;
        for class in [0_u8, 1] {
            let start = self.book.key(AGENDA, &[&[class], &after]);
            let end = self.book.key(AGENDA, &[&[class + 1]]);
            let rows = self
                .book
                .overlay
                .scan(&start, &end, 1, Direction::Forward)?;
            let of_class = rows.first().and_then(|(key, _)| agenda_of(key));
            let at = of_class.map(|(_, at, _)| at);
            next = [next, at].into_iter().flatten().min();
        }
        Ok(next)
    }

    /// A stage was recorded.
    pub(crate) fn mark_reached(&mut self, due: &Due, stage: Stage) {
        let side = self.link.side_of(due.duty.owed_by);
        for (at, of) in remind::stages(due) {
            if of == stage {
                let rest = agenda_rest(stage, DutyKey::of(due), side, due.case);
                let class = [class_of(due)];
                let key = self.book.key(AGENDA, &[&class, &ordered(at), &rest]);
                self.book.overlay.delete(key);
            }
        }
    }
}

impl DueBook {
    fn calendars(&self, by: Party) -> &[Listed] {
        let of_sides = self.calendars.as_ref();
        of_sides.map_or(&[][..], |calendars| &calendars[by.slot()])
    }
}

fn counts_days(duty: &Duty) -> bool {
    matches!(duty.term, Some(Term::WorkingDays { .. }))
}

fn look(cases: &mut CaseShelf, case: MessageId, peer: Party) -> Result<Looked, ReadError> {
    let mut looked = Looked {
        case,
        duties: Vec::new(),
        breaches: Vec::new(),
    };
    let Some(folded) = cases.folded(case)? else {
        return Ok(looked);
    };
    for judged in &folded.messages {
        if judged.by == peer
            && let Standing::Breach(impossible) = &judged.standing
        {
            looked.breaches.push(PeerBreach {
                index: judged.index,
                message: judged.facts.id,
                reason: impossible.to_string(),
            });
        }
    }
    for matter in &folded.matters {
        for duty in matter.duties() {
            if let Some(judged) = folded.message(duty.message) {
                let facts = &judged.facts;
                let asked = Asked {
                    by: judged.by,
                    index: judged.index,
                    kind: facts.kind,
                    precedence: facts.precedence,
                    status: facts.status,
                    created_at: facts.created_at,
                };
                looked.duties.push((duty, asked, facts.seen_size));
            }
        }
    }
    Ok(looked)
}

impl Exchange {
    /// Works with what is owed on a link as of all that is durable now.
    ///
    /// # Errors
    /// When a log or a receipt cannot be read.
    pub fn with_dues<T>(
        &self,
        link: &Link,
        work: impl FnOnce(&mut Dues<'_>) -> T,
    ) -> Result<T, ReadError> {
        let mut guard = lock(link);
        let book = self.due_book(link, &mut guard)?;
        self.refresh(link, book, u64::MAX)?;
        Ok(work(&mut Dues {
            exchange: self,
            link,
            book,
        }))
    }

    fn due_book<'a>(
        &self,
        link: &Link,
        book: &'a mut Option<DueBook>,
    ) -> Result<&'a mut DueBook, ReadError> {
        if let Some(book) = book {
            return Ok(book);
        }
        let [_, forgotten] = &link.cases.forgotten;
        let is_forgotten = forgotten.load(Ordering::SeqCst);
        let opened = DueBook::open(Arc::clone(&self.store), link.number, is_forgotten)?;
        forgotten.store(false, Ordering::SeqCst);
        Ok(book.insert(opened))
    }

    /// Counts what is due on a link, a part at a time, and writes each part.
    pub(super) async fn fold_dues(&self, link: &Link) -> Result<(), ReadError> {
        loop {
            let has_more = {
                let mut guard = lock(link);
                let book = self.due_book(link, &mut guard)?;
                self.refresh(link, book, UNWRITTEN_MAX as u64)?
            };
            self.keep_if_due(link).await;
            if !has_more {
                return Ok(());
            }
        }
    }

    /// Writes what was derived of what is due on a link, if there is enough of it.
    pub(super) async fn keep_dues(&self, link: &Link, in_any_case: bool) -> Result<(), TurnError> {
        let given = {
            let mut guard = lock(link);
            let book = guard.as_mut().filter(|book| in_any_case || book.is_due());
            book.map(DueBook::give).transpose()?
        };
        let Some((given, writes)) = given else {
            return Ok(());
        };
        self.write_derived(writes).await?;
        if let Some(book) = lock(link).as_mut() {
            book.overlay.written(given);
        }
        Ok(())
    }

    /// Looks at what has changed: of each log at no more than about so many entries; says whether
    /// there are more.
    fn refresh(&self, link: &Link, dues: &mut DueBook, at_most: u64) -> Result<bool, ReadError> {
        if dues.calendars.is_none() {
            self.read_all_calendars(link, dues)?;
        }
        let sides = [LogSide::Own, LogSide::Mirror];
        let mut done = 0;
        loop {
            let (mut cases, mut calendars) = (BTreeSet::new(), false);
            let mut taken = dues.taken;
            let touched = self.with_cases(link, |shelf| {
                let touched = |side: LogSide| {
                    let from = dues.taken[usize::from(side.byte())];
                    shelf.touched(side, from)
                };
                let [own, mirror] = sides.map(touched);
                Ok::<_, ReadError>([own?, mirror?])
            })??;
            for (touched, taken) in touched.into_iter().zip(&mut taken) {
                *taken += touched.len() as u64;
                for touched in touched {
                    calendars |= touched.calendars;
                    cases.extend(touched.case);
                    cases.extend(touched.refuses_in);
                }
            }
            if taken == dues.taken {
                break;
            }
            if calendars {
                self.read_all_calendars(link, dues)?;
                let (start, end) = layout::derived_of(link.number, CASE);
                self.look_again(link, dues, start, &end, |value| {
                    value.first().is_some_and(|flags| flags & COUNTS_DAYS != 0)
                })?;
            }
            self.look_at_cases(link, dues, cases)?;
            done += taken.iter().sum::<u64>() - dues.taken.iter().sum::<u64>();
            dues.taken = taken;
            if done >= at_most {
                return Ok(true);
            }
        }
        // What has a receipt by now.
        let (start, end) = layout::derived_of(link.number, WAITS);
        let delivered = link.head().delivered_size.to_be_bytes();
        let delivered = dues.key(WAITS, &[&[LogSide::Own.byte()], &delivered]);
        self.look_again(link, dues, start, &delivered, |_| true)?;
        let mirrored = dues.key(WAITS, &[&[LogSide::Mirror.byte()]]);
        self.look_again(link, dues, mirrored, &end, |_| true)?;
        Ok(false)
    }

    /// Looks again at the cases of some rows.
    fn look_again(
        &self,
        link: &Link,
        dues: &mut DueBook,
        mut start: Vec<u8>,
        end: &[u8],
        is_meant: impl Fn(&[u8]) -> bool,
    ) -> Result<(), ReadError> {
        loop {
            let rows = dues
                .overlay
                .scan(&start, end, AT_ONCE, Direction::Forward)?;
            let Some((last, _)) = rows.last() else {
                return Ok(());
            };
            start = behind(last.clone());
            let meant = rows.iter().filter(|(_, value)| is_meant(value));
            let cases: BTreeSet<MessageId> = meant.filter_map(|(key, _)| case_of(key)).collect();
            self.look_at_cases(link, dues, cases)?;
        }
    }

    fn look_at_cases(
        &self,
        link: &Link,
        dues: &mut DueBook,
        cases: BTreeSet<MessageId>,
    ) -> Result<(), ReadError> {
        let peer = link.party().other();
        let looked = self.with_cases(link, |shelf| {
            let looked = cases.into_iter().map(|case| look(shelf, case, peer));
            looked.collect::<Result<Vec<_>, _>>()
        })??;
        for looked in looked {
            let case = looked.case;
            for breach in &looked.breaches {
                let noted = layout::breach(link.number, breach.index);
                if self.store.get(&noted)?.is_none() {
                    let key = dues.key(UNNOTED, &[&breach.index.to_be_bytes()]);
                    dues.overlay.put(key, case.as_bytes().to_vec());
                }
            }
            let counted = self.counted(link, dues, looked)?;
            let rows = self.rows_of(link, case, &counted)?;
            dues.put_case(case, &rows)?;
        }
        Ok(())
    }

    /// What is owed in a case, with its instants.
    fn counted(&self, link: &Link, dues: &DueBook, looked: Looked) -> Result<Vec<Due>, ReadError> {
        let mut counted = Vec::with_capacity(looked.duties.len());
        for (duty, asked, seen_size) in looked.duties {
            counted.push(self.count(link, dues, looked.case, duty, asked, seen_size)?);
        }
        Ok(counted)
    }

    fn rows_of(&self, link: &Link, case: MessageId, dues: &[Due]) -> Result<Rows, ReadError> {
        let mut rows = Rows::default();
        for (due, number) in dues.iter().take(CASE_DUES_MAX).zip(0_u64..) {
            if due.when == When::NoTerm {
                continue;
            }
            rows.has_term = true;
            rows.counts_days |= counts_days(&due.duty);
            let number = number.to_be_bytes();
            if !due.is_settled {
                let side = [link.side_of(due.asked.by).byte()];
                let index = due.asked.index.to_be_bytes();
                rows.put(WAITS, &[&side, &index, case.as_bytes()], Vec::new());
            }
            if let When::At(reckoned) = &due.when
                && !due.had_passed()
            {
                let is_own = due.duty.owed_by == link.party();
                let flags =
                    if is_own { OWED_BY_OWN } else { 0 } | if due.is_actual() { ACTUAL } else { 0 };
                let at = ordered(reckoned.at());
                rows.put(LATE, &[&at, case.as_bytes(), &number], vec![flags]);
            }
            let side = link.side_of(due.duty.owed_by);
            for (at, stage) in remind::stages(due) {
                if !self.is_reached(link, due, stage)? {
                    let rest = agenda_rest(stage, DutyKey::of(due), side, case);
                    let class = [class_of(due)];
                    rows.put(AGENDA, &[&class, &ordered(at), &rest], Vec::new());
                }
            }
        }
        Ok(rows)
    }

    fn read_all_calendars(&self, link: &Link, dues: &mut DueBook) -> Result<(), ReadError> {
        let parties = [Party::A, Party::B];
        let posted = self.with_cases(link, |shelf| {
            let [a, b] = parties.map(|by| shelf.boards().published_calendars(by));
            [a, b].map(|published| {
                let published = published.into_iter();
                // Calendars of exercises and tests count for nothing.
                let actual = published.filter(|(posted, _)| posted.status == Status::Actual as i32);
                let posted = actual.map(|(posted, withdrawn_at)| {
                    (posted.id, posted.said_at, posted.index, withdrawn_at)
                });
                posted.collect::<Vec<Posted>>()
            })
        })?;
        let mut before = dues.calendars.take().unwrap_or_default();
        for ((by, posted), before) in parties.into_iter().zip(posted).zip(&mut before) {
            *before = self.read_calendars(link, by, posted, std::mem::take(before))?;
        }
        dues.calendars = Some(before);
        Ok(())
    }

    /// The calendars themselves; each is read once.
    fn read_calendars(
        &self,
        link: &Link,
        by: Party,
        posted: Vec<Posted>,
        before: Vec<Listed>,
    ) -> Result<Vec<Listed>, ReadError> {
        let mut known: BTreeMap<u64, YearCalendar> = before
            .into_iter()
            .map(|listed| (listed.published.index, listed.published.calendar))
            .collect();
        let mut listed = Vec::with_capacity(posted.len());
        for (message, said_at, index, withdrawn_at) in posted {
            let calendar = match known.remove(&index) {
                Some(calendar) => Some(calendar),
                None => self.calendar_at(link, by, index)?,
            };
            // A body that cannot be read is no calendar: what needs it says that it is missing.
            let Some(calendar) = calendar else { continue };
            listed.push(Listed {
                message,
                said_at,
                published: Published {
                    index,
                    withdrawn_at,
                    calendar,
                },
            });
        }
        Ok(listed)
    }

    /// The calendar that a side published at an index of its log; `None` if it is none.
    pub(super) fn calendar_at(
        &self,
        link: &Link,
        by: Party,
        index: u64,
    ) -> Result<Option<YearCalendar>, ReadError> {
        let said = self.said(link, link.side_of(by), index)?;
        Ok(match said {
            Some((_, Body::Calendar(calendar))) => YearCalendar::from_message(&calendar, "").ok(),
            _ => None,
        })
    }

    fn count(
        &self,
        link: &Link,
        dues: &DueBook,
        case: MessageId,
        duty: Duty,
        asked: Asked,
        seen_size: u64,
    ) -> Result<Due, ReadError> {
        let Some(term) = duty.term else {
            return Ok(Due {
                case,
                duty,
                asked,
                received_at: None,
                is_settled: true,
                when: When::NoTerm,
            });
        };
        let (received_at, is_settled) = self.received_at(link, asked)?;
        let calendars = match term {
            Term::WorkingDays { .. } => dues.calendars(duty.owed_by),
            Term::At(_) | Term::AfterReceipt(_) => &[],
        };
        let published = calendars.iter().map(|listed| &listed.published);
        let when = match reckon(
            &term,
            received_at,
            &calendars_in_force(published, seen_size),
        ) {
            Ok(Some(reckoned)) => When::At(reckoned),
            Ok(None) => When::NotReceived,
            Err(error) => When::NoCalendar(error),
        };
        Ok(Due {
            case,
            duty,
            asked,
            received_at,
            is_settled,
            when,
        })
    }

    /// When the other side of a message's author had it, and whether that is settled.
    fn received_at(&self, link: &Link, asked: Asked) -> Result<(Option<Millis>, bool), ReadError> {
        let millis =
            |seconds: u64| Millis::try_from(seconds.saturating_mul(1_000)).unwrap_or(Millis::MAX);
        if asked.by == link.party() {
            let receipt = self.receipt_covering(link, LogSide::Own, asked.index)?;
            let at = receipt.and_then(|(_, note)| cosigned_at(link, &note));
            return Ok((at.map(millis), at.is_some()));
        }
        let receipt = self.receipt_covering(link, LogSide::Mirror, asked.index)?;
        let cosigned = receipt.and_then(|(_, note)| link.mirror_verifier.receipt(&note).ok());
        if let Some(receipt) = cosigned {
            return Ok((Some(millis(receipt.cosigned_at)), true));
        }
        // A moment after it was recorded the cosignature is kept; until then, this is closest.
        let stored = self.reader(link, LogSide::Mirror).entry(asked.index)?;
        let at = Millis::try_from(stored.record.recorded_at_ms).unwrap_or(Millis::MAX);
        Ok((Some(at), false))
    }
}

fn lock(link: &Link) -> MutexGuard<'_, Option<DueBook>> {
    link.dues.lock().unwrap_or_else(PoisonError::into_inner)
}

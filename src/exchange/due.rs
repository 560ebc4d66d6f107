//! When what is owed on a link is due, on both sides, kept up as the logs and receipts grow.
//!
//! What is owed follows from the cases ([`super::cases`]); by when, from the time of receipt, which
//! stands in a cosignature, and from the calendars in force. Only the cases that changed are looked
//! at again. Nothing of it is stored.
//!
//! The time of receipt is the same for both sides: that of the cosignature of the side that holds
//! the message, on the first checkpoint that covers it. Of several that follow each other closely a
//! sender may keep only the last; then it counts from that one, which is later.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;

use super::layout::LogSide;
use super::read::ReadError;
use super::remind::{self, DutyKey, Stage};
use super::view::cosigned_at;
use super::{Exchange, Link};
use crate::model::MessageId;
use crate::model::calendar::{CalendarError, YearCalendar};
use crate::model::workflow::{
    Casebook, Duty, Facts, Millis, Party, Published, Reckoned, Said, Standing, Term,
    calendars_in_force, reckon,
};
use crate::proto::v1::Status;
use crate::proto::v1::body::Body;

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
    /// [`v1::Kind`], or the number of a newer one.
    pub kind: i32,
    /// [`v1::Precedence`].
    pub precedence: i32,
    /// [`v1::Status`].
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

/// What is owed on a link, as of the last look.
#[derive(Debug, Default)]
pub struct DueBook {
    /// Entries of each log that were looked at.
    taken: [u64; 2],
    cases: BTreeMap<MessageId, Vec<Due>>,
    breaches: BTreeMap<MessageId, Vec<PeerBreach>>,
    calendars: [Vec<Listed>; 2],
    /// When the stages fall that were not reached yet.
    agenda: BTreeSet<(Millis, Stage, DutyKey, MessageId)>,
    /// Stages that were, and when that was recorded.
    reached: BTreeMap<(DutyKey, Stage), u64>,
    /// Breaches that were noted, by index.
    noted: BTreeSet<u64>,
    /// The hour in which breaches were noted last, and how many.
    breaches_of_hour: (u64, usize),
}

/// A case as the casebook leaves it, before instants are counted.
struct Looked {
    case: MessageId,
    duties: Vec<(Duty, Asked, u64)>,
    breaches: Vec<PeerBreach>,
}

/// A calendar in a log: its message, when it was published, where, and where it was taken back.
type Posted = (MessageId, Millis, u64, Option<u64>);

impl DueBook {
    /// Everything owed, case by case.
    pub fn all(&self) -> impl Iterator<Item = &Due> {
        self.cases.values().flatten()
    }

    /// What the peer did against the rules, case by case.
    pub fn breaches(&self) -> impl Iterator<Item = &PeerBreach> {
        self.breaches.values().flatten()
    }

    /// Those that this process has not asked to be noted yet.
    #[must_use]
    pub(crate) fn new_breaches(&self) -> Vec<PeerBreach> {
        let is_new = |breach: &&PeerBreach| !self.noted.contains(&breach.index);
        let mut new: Vec<_> = self.breaches().filter(is_new).cloned().collect();
        new.sort_by_key(|breach| breach.index);
        new
    }

    /// A breach was noted.
    pub(crate) fn mark_noted(&mut self, index: u64) {
        self.noted.insert(index);
    }

    /// Counts breaches of an hour (since 1970) that are about to be noted; says how many there were
    /// before.
    pub(crate) fn count_breaches(&mut self, hour: u64, more: usize) -> usize {
        if self.breaches_of_hour.0 != hour {
            self.breaches_of_hour = (hour, 0);
        }
        let before = self.breaches_of_hour.1;
        self.breaches_of_hour.1 = before.saturating_add(more);
        before
    }

    /// The stages of something owed that were reached, in order, and when that was recorded,
    /// milliseconds since 1970.
    #[must_use]
    pub fn stages_of(&self, due: &Due) -> Vec<(Stage, u64)> {
        let key = DutyKey::of(due);
        let of = |stage| Some((stage, *self.reached.get(&(key, stage))?));
        Stage::ALL.into_iter().filter_map(of).collect()
    }

    /// Every calendar that a side has published, in the order of its log.
    #[must_use]
    pub fn calendars(&self, by: Party) -> &[Listed] {
        &self.calendars[by.slot()]
    }

    /// The first stages that fall by an instant and were not reached yet, each with what is owed: what
    /// is urgent first, then in the order in which they fall.
    #[must_use]
    pub fn falling(&self, now: Millis, count: usize) -> Vec<(Stage, Due)> {
        let fallen = self.agenda.iter().take_while(|(at, ..)| *at <= now);
        let of = |(_, stage, key, case): &(Millis, Stage, DutyKey, MessageId)| {
            let dues = self.cases.get(case)?;
            let due = dues.iter().find(|due| DutyKey::of(due) == *key)?;
            // A reminder of what is overdue is none.
            let helps = *stage != Stage::Reminder || !due.is_overdue(now);
            helps.then_some((*stage, due))
        };
        let (mut first, other): (Vec<_>, Vec<_>) = fallen
            .filter_map(of)
            .partition(|(_, due)| remind::is_urgent(due));
        first.extend(other);
        let first = first.into_iter().take(count);
        first.map(|(stage, due)| (stage, due.clone())).collect()
    }

    /// When the next stage falls, later than an instant.
    #[must_use]
    pub fn next_after(&self, now: Millis) -> Option<Millis> {
        let next = self.agenda.iter().find(|(at, ..)| *at > now);
        next.map(|(at, ..)| *at)
    }

    /// A stage was recorded.
    pub(crate) fn mark_reached(&mut self, due: &Due, stage: Stage, at_ms: u64) {
        let key = DutyKey::of(due);
        self.reached.entry((key, stage)).or_insert(at_ms);
        for (at, of) in remind::stages(due) {
            if of == stage {
                self.agenda.remove(&(at, stage, key, due.case));
            }
        }
    }

    fn put(&mut self, case: MessageId, dues: Vec<Due>) {
        if let Some(before) = self.cases.remove(&case) {
            for due in &before {
                for (at, stage) in remind::stages(due) {
                    self.agenda.remove(&(at, stage, DutyKey::of(due), case));
                }
            }
        }
        for due in &dues {
            let key = DutyKey::of(due);
            for (at, stage) in remind::stages(due) {
                if !self.reached.contains_key(&(key, stage)) {
                    self.agenda.insert((at, stage, key, case));
                }
            }
        }
        if !dues.is_empty() {
            self.cases.insert(case, dues);
        }
    }

    /// The cases that must be looked at again, and whether calendars must.
    fn changed(
        &self,
        book: &Casebook,
        head_delivered: u64,
        own: Party,
    ) -> (BTreeSet<MessageId>, bool) {
        let mut cases = BTreeSet::new();
        let mut calendars = false;
        for by in [Party::A, Party::B] {
            for (_, facts) in book.log_from(by, self.taken[by.slot()]) {
                cases.insert(facts.thread);
                calendars |= matters_to_calendars(facts);
                if let Said::Refusal { index } = facts.said
                    && let Some(refused) = book.entry(by.other(), index)
                {
                    cases.insert(refused.thread);
                }
            }
        }
        for (case, dues) in &self.cases {
            let waits = |due: &Due| {
                !due.is_settled && (due.asked.by != own || due.asked.index < head_delivered)
            };
            if dues.iter().any(waits) || calendars && dues.iter().any(|due| counts_days(&due.duty))
            {
                cases.insert(*case);
            }
        }
        (cases, calendars)
    }
}

fn counts_days(duty: &Duty) -> bool {
    matches!(duty.term, Some(Term::WorkingDays { .. }))
}

fn matters_to_calendars(facts: &Facts) -> bool {
    matches!(
        facts.said,
        Said::Calendar { .. } | Said::Withdrawal | Said::Refusal { .. }
    )
}

fn look(book: &mut Casebook, case: MessageId, peer: Party) -> Looked {
    let mut looked = Looked {
        case,
        duties: Vec::new(),
        breaches: Vec::new(),
    };
    let Some(folded) = book.folded(case) else {
        return looked;
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
    // Most cases are never asked for again: folded, each would keep some kilobytes.
    book.forget(case);
    looked
}

impl Exchange {
    /// Works with what is owed on a link as of all that is durable now.
    ///
    /// # Errors
    /// When a log or a receipt cannot be read.
    pub fn with_dues<T>(
        &self,
        link: &Link,
        work: impl FnOnce(&mut DueBook) -> T,
    ) -> Result<T, ReadError> {
        let mut dues = link.dues.lock().unwrap_or_else(PoisonError::into_inner);
        if dues.is_none() {
            *dues = Some(DueBook {
                reached: self.stages_reached(link)?,
                ..DueBook::default()
            });
        }
        let book = dues.get_or_insert_default();
        self.refresh(link, book)?;
        Ok(work(book))
    }

    fn refresh(&self, link: &Link, dues: &mut DueBook) -> Result<(), ReadError> {
        let own = link.party();
        let delivered_size = link.head().delivered_size;
        let parties = [Party::A, Party::B];
        let (looked, posted, taken) = self.with_cases(link, |book| {
            let (cases, calendars) = dues.changed(book, delivered_size, own);
            let looked: Vec<Looked> = cases
                .into_iter()
                .map(|case| look(book, case, own.other()))
                .collect();
            let posted = calendars.then(|| parties.map(|by| actual_calendars(book, by)));
            (looked, posted, parties.map(|by| book.size(by)))
        })?;
        if let Some(posted) = posted {
            for (by, posted) in parties.into_iter().zip(posted) {
                let before = std::mem::take(&mut dues.calendars[by.slot()]);
                dues.calendars[by.slot()] = self.read_calendars(link, by, posted, before)?;
            }
        }
        for looked in looked {
            let mut counted = Vec::with_capacity(looked.duties.len());
            for (duty, asked, seen_size) in looked.duties {
                counted.push(self.count(link, dues, looked.case, duty, asked, seen_size)?);
            }
            dues.put(looked.case, counted);
            if looked.breaches.is_empty() {
                dues.breaches.remove(&looked.case);
            } else {
                dues.breaches.insert(looked.case, looked.breaches);
            }
        }
        dues.taken = taken;
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
        let calendars = dues.calendars[duty.owed_by.slot()].iter();
        let published: Vec<Published> = match term {
            Term::WorkingDays { .. } => calendars.map(|c| c.published.clone()).collect(),
            Term::At(_) | Term::AfterReceipt(_) => Vec::new(),
        };
        let when = match reckon(
            &term,
            received_at,
            &calendars_in_force(&published, seen_size),
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

/// Calendars of exercises and tests count for nothing.
fn actual_calendars(book: &Casebook, by: Party) -> Vec<Posted> {
    let published = book.boards().published_calendars(by).into_iter();
    published
        .filter(|(posted, _)| {
            let facts = book.entry(by, posted.index);
            facts.is_some_and(|facts| facts.status == Status::Actual as i32)
        })
        .map(|(posted, withdrawn_at)| (posted.id, posted.said_at, posted.index, withdrawn_at))
        .collect()
}

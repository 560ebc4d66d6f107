//! By when what is owed is due: from a term, the time of receipt and the calendars in force.
//!
//! Which time is that of receipt, the caller says: it stands in a cosignature, not in a log.

use jiff::Timestamp;

use super::{Millis, Term};
use crate::model::calendar::{CalendarError, CalendarSet, YearCalendar};
use crate::model::deadline::{Due, due_instant};

/// A calendar as a side has published it.
#[derive(Debug, Clone, PartialEq)]
pub struct Published {
    /// Its place in the side's log.
    pub index: u64,
    /// Where in the same log it was taken back, if it was.
    pub withdrawn_at: Option<u64>,
    /// What it says.
    pub calendar: YearCalendar,
}

/// The calendars of the side that must answer, as they were in force when a request was recorded
/// whose author had seen so many entries of that side's log.
///
/// Published before is what the author of the request had seen, unless it had been taken back
/// by then. Whatever comes later completes the years that were missing and changes none:
/// neither a correction nor a withdrawal after the fact moves a deadline.
#[must_use]
pub fn calendars_in_force<'a>(
    published: impl IntoIterator<Item = &'a Published> + Clone,
    seen_size: u64,
) -> CalendarSet {
    let mut set = CalendarSet::default();
    let was_seen = |published: &&Published| published.index < seen_size;
    let was_up = |published: &&Published| published.withdrawn_at.is_none_or(|at| at >= seen_size);
    for before in published
        .clone()
        .into_iter()
        .filter(was_seen)
        .filter(was_up)
    {
        set.replace(&before.calendar);
    }
    for later in published.into_iter().filter(|of| !was_seen(of)) {
        set.complete(&later.calendar);
    }
    set
}

/// When something is due.
#[derive(Debug, Clone, PartialEq)]
pub enum Reckoned {
    /// At this instant.
    At(Millis),
    /// At the end of the last working day counted.
    Counted(Box<Due>),
}

impl Reckoned {
    /// The instant; what happens at it or later is late.
    #[must_use]
    pub fn at(&self) -> Millis {
        match self {
            Self::At(at) => *at,
            Self::Counted(due) => due.at.as_millisecond(),
        }
    }

    /// How it was counted, where working days were.
    #[must_use]
    pub fn counted(&self) -> Option<&Due> {
        match self {
            Self::At(_) => None,
            Self::Counted(due) => Some(due),
        }
    }
}

/// When a term ends; `None` if it runs from a receipt that is not there yet.
///
/// # Errors
/// [`CalendarError`]: the calendar of a year that is needed has not been published.
pub fn reckon(
    term: &Term,
    received: Option<Millis>,
    calendars: &CalendarSet,
) -> Result<Option<Reckoned>, CalendarError> {
    let (days, extended_by) = match term {
        Term::At(at) => return Ok(Some(Reckoned::At(*at))),
        Term::AfterReceipt(after) => {
            return Ok(received.map(|at| Reckoned::At(at.saturating_add(*after))));
        }
        Term::WorkingDays { days, extended_by } => (*days, *extended_by),
    };
    let Some(received) = received else {
        return Ok(None);
    };
    let received = Timestamp::from_millisecond(received).unwrap_or(Timestamp::MAX);
    let mut due = due_instant(received, days, calendars)?;
    if extended_by > 0 {
        due = due.extended(extended_by, calendars)?;
    }
    Ok(Some(Reckoned::Counted(Box::new(due))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::calendar::find_sample;

    fn published(index: u64, withdrawn_at: Option<u64>, version: u32) -> Published {
        let sample = find_sample("vn-2026").unwrap();
        let text = sample
            .toml
            .replace("version = 1", &format!("version = {version}"));
        Published {
            index,
            withdrawn_at,
            calendar: crate::model::calendar::read_toml(&text).unwrap(),
        }
    }

    fn version(list: &[Published], seen_size: u64) -> Option<u32> {
        let set = calendars_in_force(list, seen_size);
        set.year(2026).ok().map(YearCalendar::version)
    }

    #[test]
    fn what_was_seen_counts_and_what_comes_later_only_fills_gaps() {
        let list = [published(3, None, 1), published(7, None, 2)];
        // Seen up to, and not including, the correction; then with it; then nothing of either.
        assert_eq!(version(&list, 7), Some(1));
        assert_eq!(version(&list, 8), Some(2));
        assert_eq!(version(&list, 3), Some(1));
        assert_eq!(version(&[], 3), None);
    }

    #[test]
    fn a_withdrawal_after_the_fact_moves_no_deadline() {
        let list = [published(3, Some(5), 1), published(9, None, 2)];
        assert_eq!(version(&list, 5), Some(1), "taken back later");
        assert_eq!(version(&list, 6), Some(2), "taken back before");
    }

    #[test]
    fn a_term_from_receipt_waits_for_the_receipt() {
        let set = calendars_in_force(&[published(0, None, 1)], 1);
        let days = Term::WorkingDays {
            days: 7,
            extended_by: 0,
        };
        assert_eq!(reckon(&days, None, &set), Ok(None));
        assert_eq!(reckon(&Term::AfterReceipt(60_000), None, &set), Ok(None));
        let at = |term, received| reckon(&term, Some(received), &set).unwrap().unwrap().at();
        assert_eq!(at(Term::AfterReceipt(60_000), 1_000), 61_000);
        assert_eq!(at(Term::At(5), 1_000), 5);
        // 13 February 2026, 23:59 in Hanoi: counted by hand in docs/deadlines.md.
        let received: Timestamp = "2026-02-13T16:59:00Z".parse().unwrap();
        let due: Timestamp = "2026-03-03T17:00:00Z".parse().unwrap();
        assert_eq!(at(days, received.as_millisecond()), due.as_millisecond());
        let extended = Term::WorkingDays {
            days: 7,
            extended_by: 5,
        };
        let later: Timestamp = "2026-03-10T17:00:00Z".parse().unwrap();
        assert_eq!(
            at(extended, received.as_millisecond()),
            later.as_millisecond()
        );
        let none = CalendarSet::default();
        assert!(reckon(&days, Some(0), &none).is_err());
    }
}

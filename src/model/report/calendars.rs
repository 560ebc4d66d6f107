//! The working-day calendars that a side has published, and which count for a request.

use crate::model::calendar::{CalendarSet, YearCalendar};

/// A side's calendars with their places in its log, in order.
#[derive(Debug, Clone, Default)]
pub struct Published(Vec<(u64, YearCalendar)>);

impl Published {
    /// Calendars with the index of each in the log of the side that published it.
    #[must_use]
    pub fn new(mut calendars: Vec<(u64, YearCalendar)>) -> Self {
        calendars.sort_by_key(|(index, _)| *index);
        Self(calendars)
    }

    /// Those that count for a request whose author had seen so many entries of this side's log:
    /// what it had seen was in force; of a year without any, the first published later.
    #[must_use]
    pub fn in_force(&self, seen_size: u64) -> CalendarSet {
        let of = |is_seen: bool| -> Vec<YearCalendar> {
            let calendars = self.0.iter();
            calendars
                .filter(|(index, _)| (*index < seen_size) == is_seen)
                .map(|(_, calendar)| calendar.clone())
                .collect()
        };
        CalendarSet::in_force(&of(true), &of(false))
    }
}

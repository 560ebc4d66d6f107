//! Counting working days.

use jiff::civil::Date;

use super::set::{CalendarError, CalendarSet};

/// The working days that were counted, and by which calendars.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counted {
    /// Each working day, in order; the last one is the result.
    pub days: Vec<Date>,
    /// Year and version of each calendar that was looked at, in order.
    pub calendar_versions: Vec<(i16, u32)>,
}

/// Counts `count` working days: day 1 is the first working day after `after`, which is never
/// counted itself. No days are counted for 0.
///
/// # Errors
/// [`CalendarError`] if a day had to be looked at of whose year there is no calendar.
pub fn add_working_days(
    after: Date,
    count: u8,
    calendars: &CalendarSet,
) -> Result<Counted, CalendarError> {
    let mut counted = Counted::default();
    let mut date = after;
    // It ends: a set has finitely many years, and each step goes one day on.
    while counted.days.len() < usize::from(count) {
        date = date
            .tomorrow()
            .map_err(|_| calendars.missing(date.year().saturating_add(1)))?;
        let calendar = calendars.year(date.year())?;
        let looked_at = (calendar.year(), calendar.version());
        if counted.calendar_versions.last() != Some(&looked_at) {
            counted.calendar_versions.push(looked_at);
        }
        if calendars.is_working_day(date)? {
            counted.days.push(date);
        }
    }
    Ok(counted)
}

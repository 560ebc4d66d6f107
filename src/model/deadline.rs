//! When an answer is due: the instant, and how it was counted.
//!
//! # The rule
//!
//! Working days are counted on the calendar of the side that must answer. The day of receipt is
//! the local date of the receipt in that calendar's zone, and is not counted; day 1 is the first
//! working day after it. The answer is due at the **end** of the last day counted: the instant at
//! which the following day begins in that zone. An answer is in time if its own instant lies
//! before it; the instant itself is late.
//!
//! People read the end of a day as 24:00 of that day ([`local`]): `2026-03-03 24:00 +07:00`, which
//! is `2026-03-04 01:00 +08:00` elsewhere. For programs it is `2026-03-03T17:00:00Z`.
//!
//! An extension goes on counting from the last day, not from when it was asked for.
//!
//! # What is absent
//!
//! Which instant is the receipt and which calendars were in force is told by the logs, and handed
//! in. Zones come from the calendars and with them from the time zone database that is built in,
//! so two nodes of one version come to the same instant.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;

use crate::model::calendar::{
    CalendarError, CalendarSet, Counted, Country, YearCalendar, add_working_days,
};

/// Working days for the reply to a verification request.
///
/// Source: the published practice of provincial liaison on the Viet Nam–China border.
pub const VERIFICATION_REPLY_WORKING_DAYS: u8 = 7;
/// Working days that the one extension of a verification reply adds.
///
/// Source: the rule of these workflows.
pub const EXTENSION_WORKING_DAYS: u8 = 5;
/// From the receipt of a crossing alert or an IMMEDIATE message until a person acknowledges it.
///
/// Source: the rule of these workflows; a default.
pub const ALERT_ACKNOWLEDGE_TIME: Duration = Duration::from_secs(60 * 60);
/// From the receipt of a FLASH message until a person acknowledges it; then it escalates.
///
/// Source: the rule of these workflows; a default.
pub const FLASH_ACKNOWLEDGE_TIME: Duration = Duration::from_secs(60);
/// From the receipt of a proposed handover schedule to the hour that it proposes, at least.
///
/// Source: the rule of these workflows.
pub const HANDOVER_NOTICE_TIME: Duration = Duration::from_secs(48 * 60 * 60);
/// From the receipt of an acceptance until it runs out, if it names no time itself: 30 times 24 h.
///
/// Source: the rule of these workflows; a default.
pub const ACCEPTANCE_TIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// When an answer is due, and all that is needed to count it again by hand.
#[derive(Debug, Clone, PartialEq)]
pub struct Due {
    /// The end of `last_day` in `zone`; what happens at this instant or later is late.
    pub at: Timestamp,
    /// The zone of the calendar of `last_day`.
    pub zone: TimeZone,
    /// Whose working days.
    pub country: Country,
    /// The day of receipt in the answering side's zone; not counted.
    pub received_on: Date,
    /// The last day on which the answer is in time.
    pub last_day: Date,
    /// Each working day that was counted, in order, those of an extension included.
    pub counted: Vec<Date>,
    /// Year and version of each calendar that was looked at, in order.
    pub calendar_versions: Vec<(i16, u32)>,
    /// Whether one of these is sample data that its side has not confirmed.
    pub sample: bool,
}

impl Due {
    /// Whether an instant is too late.
    #[must_use]
    pub fn is_over(&self, at: Timestamp) -> bool {
        at >= self.at
    }

    /// The same with more working days, counted on from the last one. `calendars` are those that
    /// the first counting was made on, because an extension continues it.
    ///
    /// # Errors
    /// [`CalendarError`] if a year is needed that has no calendar.
    pub fn extended(
        &self,
        working_days: u8,
        calendars: &CalendarSet,
    ) -> Result<Self, CalendarError> {
        let more = add_working_days(self.last_day, working_days, calendars)?;
        let mut due = self.clone();
        due.sample |= is_sample(&more, calendars);
        due.counted.extend(&more.days);
        for looked_at in more.calendar_versions {
            if due.calendar_versions.last() != Some(&looked_at) {
                due.calendar_versions.push(looked_at);
            }
        }
        if let Some(last) = more.days.last() {
            let calendar = calendars.year(last.year())?;
            due.last_day = *last;
            due.zone = calendar.zone().clone();
            due.at = end_of(*last, calendar, calendars)?;
        }
        Ok(due)
    }
}

/// The instant until which an answer is in time that is due within so many working days of
/// `received`. `calendars` are those of the side that must answer, in force when the request was
/// recorded. 0 working days end with the day of receipt.
///
/// # Errors
/// [`CalendarError`] if a day had to be looked at of whose year there is no calendar.
pub fn due_instant(
    received: Timestamp,
    working_days: u8,
    calendars: &CalendarSet,
) -> Result<Due, CalendarError> {
    let (received_on, first) = day_of_receipt(received, calendars)?;
    let counted = add_working_days(received_on, working_days, calendars)?;
    let last_day = counted.days.last().copied().unwrap_or(received_on);
    let calendar = match counted.days.last() {
        Some(last) => calendars.year(last.year())?,
        None => first,
    };
    Ok(Due {
        at: end_of(last_day, calendar, calendars)?,
        zone: calendar.zone().clone(),
        country: calendar.country().clone(),
        received_on,
        last_day,
        sample: is_sample(&counted, calendars),
        counted: counted.days,
        calendar_versions: counted.calendar_versions,
    })
}

/// The local date of receipt, and the calendar of the day after it.
///
/// It is the zone of this calendar that says which date it is: the first day looked at is the day
/// after receipt, so a receipt on 31 December needs no calendar of the year that ends. If a side
/// changes its zone with the year, both may claim the date; then the earlier calendar is right.
fn day_of_receipt(
    received: Timestamp,
    calendars: &CalendarSet,
) -> Result<(Date, &YearCalendar), CalendarError> {
    let date_in = |calendar: &YearCalendar| received.to_zoned(calendar.zone().clone()).date();
    let of_next_day = |date: Date| date.tomorrow().map_or(date.year(), Date::year);
    let mut nearest = None;
    for calendar in calendars.years() {
        let date = date_in(calendar);
        let year = of_next_day(date);
        if year == calendar.year() {
            return Ok((date, calendar));
        }
        // For the error only: by the zone of the calendar that is next to it.
        let distance = year.abs_diff(calendar.year());
        if nearest.is_none_or(|(least, _)| distance < least) {
            nearest = Some((distance, year));
        }
    }
    Err(match nearest {
        Some((_, year)) => calendars.missing(year),
        None => CalendarError::NoCalendar,
    })
}

/// The instant at which the following day begins.
fn end_of(
    day: Date,
    calendar: &YearCalendar,
    calendars: &CalendarSet,
) -> Result<Timestamp, CalendarError> {
    // Not reached: calendars end long before jiff's last day.
    let beyond = |_| calendars.missing(day.year().saturating_add(1));
    let next = day.tomorrow().map_err(beyond)?;
    let begins = next.to_zoned(calendar.zone().clone()).map_err(beyond)?;
    Ok(begins.timestamp())
}

fn is_sample(counted: &Counted, calendars: &CalendarSet) -> bool {
    counted
        .calendar_versions
        .iter()
        .any(|(year, _)| calendars.year(*year).is_ok_and(YearCalendar::is_sample))
}

/// A due instant as people read it somewhere: `2026-03-03 24:00 +07:00`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Local {
    /// The day that it belongs to: at the stroke of midnight, the one that ends.
    pub date: Date,
    /// Hours and minutes, and seconds if there are any; `24:00` at the end of a day.
    pub time: String,
    /// From UTC: `+07:00`.
    pub offset: String,
}

impl fmt::Display for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.date, self.time, self.offset)
    }
}

/// A due instant in a zone. Midnight is 24:00 of the day that ends, because it is the end that is
/// meant (ISO 8601-1:2019/Amd 1:2022; RFC 3339 has no such hour, so this is for people only).
#[must_use]
pub fn local(at: Timestamp, zone: &TimeZone) -> Local {
    let zoned = at.to_zoned(zone.clone());
    let pattern = if zoned.second() == 0 {
        "%H:%M"
    } else {
        "%H:%M:%S"
    };
    let (date, time) = match zoned.date().yesterday() {
        Ok(ended) if zoned.time() == Time::midnight() => (ended, "24:00".to_owned()),
        _ => (zoned.date(), zoned.strftime(pattern).to_string()),
    };
    Local {
        date,
        time,
        offset: zoned.strftime("%:z").to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_day_is_24_o_clock_where_it_ends() {
        let at: Timestamp = "2026-03-03T17:00:00Z".parse().unwrap();
        let fixed = |hours| TimeZone::fixed(jiff::tz::offset(hours));
        for (zone, shown) in [
            (7, "2026-03-03 24:00 +07:00"),
            (8, "2026-03-04 01:00 +08:00"),
            (0, "2026-03-03 17:00 +00:00"),
            (-5, "2026-03-03 12:00 -05:00"),
        ] {
            assert_eq!(local(at, &fixed(zone)).to_string(), shown);
        }
        let at = "2026-03-03T16:00:01Z".parse().unwrap();
        assert_eq!(
            local(at, &fixed(8)).to_string(),
            "2026-03-04 00:00:01 +08:00"
        );
    }
}

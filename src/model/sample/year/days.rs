//! Working days and office hours of a side, by the sample calendar of its country.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::model::calendar::{self, YearCalendar};
use crate::model::workflow::Millis;

const MINUTE_MS: i64 = 60_000;
/// Offices open, local time.
const OPENS_HOUR: i8 = 8;
/// Offices close, local time.
const CLOSES_HOUR: i8 = 17;
/// The last working day on which something is done, so that the year is over everywhere.
const LAST_DAY: (i8, i8) = (12, 30);

/// The working days of a side in 2025.
#[derive(Debug, Clone)]
pub(super) struct Days {
    zone: TimeZone,
    working: Vec<Date>,
}

impl Days {
    /// By the sample of that name.
    pub(super) fn of_sample(name: &str) -> Self {
        let calendar = sample(name);
        let mut working = Vec::new();
        let mut date = jiff::civil::date(2025, 1, 1);
        let last = jiff::civil::date(2025, LAST_DAY.0, LAST_DAY.1);
        while date <= last {
            if calendar.is_working_day(date) == Some(true) {
                working.push(date);
            }
            date = date.tomorrow().unwrap_or(Date::MAX);
        }
        Self {
            zone: calendar.zone().clone(),
            working,
        }
    }

    /// An instant by local time.
    pub(super) fn at(&self, date: Date, hour: i8, minute: i8) -> Millis {
        let time = date.at(hour, minute, 0, 0).to_zoned(self.zone.clone());
        time.map_or(0, |time| time.timestamp().as_millisecond())
    }

    fn local(&self, at: Millis) -> (Date, i8) {
        let time = Timestamp::from_millisecond(at).unwrap_or_default();
        let time = time.to_zoned(self.zone.clone());
        (time.date(), time.hour())
    }

    /// The morning of a working day, counted from 0; the last one if there are not so many.
    pub(super) fn nth(&self, day: usize) -> Millis {
        let last = self.working.len().saturating_sub(1);
        self.at(self.working[day.min(last)], OPENS_HOUR, 0)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.working.len()
    }

    /// The morning of the working day that is so many working days after the day of an instant;
    /// with 0, of that day itself if it is one, else the next.
    pub(super) fn after(&self, at: Millis, days: usize) -> Millis {
        let (date, _) = self.local(at);
        let from = self.working.partition_point(|day| *day < date);
        let is_working = self.working.get(from) == Some(&date);
        // Day 0 of a day off is the one before the next working day.
        let back = usize::from(!is_working && days > 0);
        self.nth(from + days - back)
    }

    /// The same instant if it is within office hours, else when the office opens next.
    pub(super) fn office(&self, at: Millis) -> Millis {
        let (date, hour) = self.local(at);
        let is_working = self.working.binary_search(&date).is_ok();
        if is_working && (OPENS_HOUR..CLOSES_HOUR).contains(&hour) {
            return at;
        }
        let days = usize::from(is_working && hour >= CLOSES_HOUR);
        // Not all at eight sharp: whoever comes later in the night comes later in the morning.
        self.after(at, days) + at.rem_euclid(45 * MINUTE_MS)
    }
}

/// A sample calendar that comes with the program.
pub(super) fn sample(name: &str) -> YearCalendar {
    let sample = calendar::find_sample(name).expect("the samples of both countries are built in");
    sample.read().expect("a test reads every sample")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn office_hours_skip_holidays_and_keep_make_up_days() {
        let days = Days::of_sample("vn-2025");
        let date = |month, day| jiff::civil::date(2025, month, day);
        let noon = days.at(date(1, 3), 12, 0);
        assert_eq!(days.office(noon), noon);
        // The evening before Tết goes on after it.
        let evening = days.at(date(1, 24), 18, 0);
        assert_eq!(days.local(days.office(evening)).0, date(2, 3));
        // A Saturday that is worked.
        let saturday = days.at(date(4, 26), 10, 0);
        assert_eq!(days.office(saturday), saturday);
        assert_eq!(days.local(days.after(noon, 1)).0, date(1, 6));
        assert_eq!(days.local(days.after(noon, 0)).0, date(1, 3));
        let sunday = days.at(date(1, 5), 10, 0);
        assert_eq!(days.local(days.after(sunday, 0)).0, date(1, 6));
        assert_eq!(days.local(days.after(sunday, 1)).0, date(1, 6));
        assert_eq!(days.local(days.nth(9_999)).0, date(12, 30));
    }
}

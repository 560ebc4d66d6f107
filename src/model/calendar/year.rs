//! One side's working days of one year.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;

use crate::proto::v1;
use crate::proto::v1::LocalizedText;

/// The first year that a calendar may be of: notifications carry no earlier times.
pub const YEAR_MIN: i16 = 2000;
/// The last year that a calendar may be of: the end of its last day is a time that notifications
/// carry, in every zone.
pub const YEAR_MAX: i16 = 2199;

/// A country by its two letters, `VN`.
///
/// Source: ISO 3166-1 alpha-2 (the form; which letters are given out is not looked up).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Country(String);

impl Country {
    /// Two capital ASCII letters, and nothing else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_code = text.len() == 2 && text.bytes().all(|b| b.is_ascii_uppercase());
        is_code.then(|| Self(text.to_owned()))
    }

    /// The two letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a calendar says of one day. Names are as its author wrote them, and may be empty.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Day<'a> {
    /// A weekday like any other.
    Working,
    /// A Saturday or Sunday that is worked.
    MakeUp(&'a LocalizedText),
    /// A Saturday or Sunday like any other.
    Weekend,
    /// A weekday that is off.
    Off(&'a LocalizedText),
}

impl Day<'_> {
    /// Whether it counts.
    #[must_use]
    pub const fn is_working(self) -> bool {
        matches!(self, Self::Working | Self::MakeUp(_))
    }
}

/// A side's working days of one year, in one version. Cheap to clone.
///
/// Invariants: every listed day lies in the year and is listed once; days off are Mondays to
/// Fridays, worked days are Saturdays and Sundays; the zone is one of the time zone database that
/// is built in, under its exact name.
#[derive(Debug, Clone, PartialEq)]
pub struct YearCalendar(pub(super) Arc<Content>);

/// What only `parse` puts together, so that the invariants hold.
#[derive(Debug, PartialEq)]
pub(super) struct Content {
    pub(super) year: i16,
    pub(super) version: u32,
    pub(super) country: Country,
    pub(super) zone: TimeZone,
    pub(super) days_off: BTreeMap<Date, LocalizedText>,
    pub(super) working_days: BTreeMap<Date, LocalizedText>,
    pub(super) source: String,
    pub(super) sample: bool,
    pub(super) authority: String,
}

impl YearCalendar {
    /// The body of the notification that publishes it; days in their order.
    #[must_use]
    pub fn to_message(&self, common: v1::Common) -> v1::Calendar {
        let list = |days: &BTreeMap<Date, LocalizedText>| {
            days.iter()
                .map(|(date, name)| v1::CalendarDay {
                    date: date.to_string(),
                    name: (!name.texts.is_empty()).then(|| name.clone()),
                })
                .collect()
        };
        v1::Calendar {
            common: Some(common),
            year: self.year().into(),
            version: self.version(),
            country: self.country().as_str().to_owned(),
            time_zone: self.zone_name().to_owned(),
            days_off: list(&self.0.days_off),
            working_days: list(&self.0.working_days),
            source: self.source().to_owned(),
            sample: self.is_sample(),
            authority: self.authority().to_owned(),
        }
    }

    /// Which year.
    #[must_use]
    pub fn year(&self) -> i16 {
        self.0.year
    }

    /// Counted from 1; of one year, a later calendar with a higher version replaces the earlier.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.0.version
    }

    /// Whose holidays.
    #[must_use]
    pub fn country(&self) -> &Country {
        &self.0.country
    }

    /// In which zone its days begin and end.
    #[must_use]
    pub fn zone(&self) -> &TimeZone {
        &self.0.zone
    }

    /// The zone's IANA name.
    #[must_use]
    pub fn zone_name(&self) -> &str {
        self.0.zone.iana_name().unwrap_or_default()
    }

    /// Weekdays that are off, by date, with their names.
    #[must_use]
    pub fn days_off(&self) -> &BTreeMap<Date, LocalizedText> {
        &self.0.days_off
    }

    /// Saturdays and Sundays that are worked, by date, with their names.
    #[must_use]
    pub fn working_days(&self) -> &BTreeMap<Date, LocalizedText> {
        &self.0.working_days
    }

    /// The decision that it follows, in its author's words.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// Whether it is sample data that nobody has confirmed.
    #[must_use]
    pub fn is_sample(&self) -> bool {
        self.0.sample
    }

    /// Who publishes it, in its author's words.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.0.authority
    }

    /// What it says of a day; nothing if the day is not of its year.
    #[must_use]
    pub fn day(&self, date: Date) -> Option<Day<'_>> {
        if date.year() != self.year() {
            return None;
        }
        Some(if let Some(name) = self.0.days_off.get(&date) {
            Day::Off(name)
        } else if let Some(name) = self.0.working_days.get(&date) {
            Day::MakeUp(name)
        } else if is_weekend(date) {
            Day::Weekend
        } else {
            Day::Working
        })
    }

    /// Whether a day of its year is worked; nothing if the day is not of its year.
    #[must_use]
    pub fn is_working_day(&self, date: Date) -> Option<bool> {
        self.day(date).map(Day::is_working)
    }
}

pub(super) fn is_weekend(date: Date) -> bool {
    matches!(date.weekday(), Weekday::Saturday | Weekday::Sunday)
}

//! The calendars of one side that count for one request.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use jiff::civil::Date;

use super::year::{Country, Day, YearCalendar};

/// Why a day cannot be judged. Nothing is guessed in its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CalendarError {
    /// The side has published no calendar at all.
    #[error("the side that must answer has published no working-day calendar")]
    NoCalendar,
    /// The side has published calendars, but none of this year.
    #[error("the working-day calendar of {country} for {year} has not been published")]
    MissingYear {
        /// Whose, by its other calendars.
        country: Country,
        /// Which year.
        year: i16,
    },
}

impl CalendarError {
    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> String {
        match self {
            Self::NoCalendar => "that side publishes its calendar, with liaison calendar publish; \
                                 until then there is no due time"
                .to_owned(),
            Self::MissingYear { country, year } => format!(
                "the side of {country} publishes its calendar of {year}, with liaison calendar \
                 publish; until then there is no due time"
            ),
        }
    }
}

/// The calendars of one side that count for one request: at most one a year.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CalendarSet(BTreeMap<i16, YearCalendar>);

impl CalendarSet {
    /// The versions in force when a request was recorded, from what its answering side published
    /// before and later, each in the order of publishing.
    ///
    /// For each year this is the highest version published before; a later one counts only if
    /// its version is higher, so that repeating an old version changes nothing. If there was none
    /// before, it is the first one published later, whatever follows: a correction after the fact
    /// moves no deadline.
    #[must_use]
    pub fn in_force(published_before: &[YearCalendar], published_later: &[YearCalendar]) -> Self {
        let mut set = Self::default();
        for calendar in published_before {
            set.replace(calendar);
        }
        for calendar in published_later {
            set.complete(calendar);
        }
        set
    }

    /// Takes a calendar published before the request; says whether it is now in force.
    pub fn replace(&mut self, calendar: &YearCalendar) -> bool {
        match self.0.entry(calendar.year()) {
            Entry::Occupied(known) if known.get().version() >= calendar.version() => false,
            Entry::Occupied(mut known) => {
                known.insert(calendar.clone());
                true
            }
            Entry::Vacant(missing) => {
                missing.insert(calendar.clone());
                true
            }
        }
    }

    /// Takes a calendar published after the request; says whether it is now in force.
    pub fn complete(&mut self, calendar: &YearCalendar) -> bool {
        match self.0.entry(calendar.year()) {
            Entry::Occupied(_) => false,
            Entry::Vacant(missing) => {
                missing.insert(calendar.clone());
                true
            }
        }
    }

    /// The calendars, by year.
    #[must_use]
    pub fn years(&self) -> impl DoubleEndedIterator<Item = &YearCalendar> {
        self.0.values()
    }

    /// The calendar of a year.
    ///
    /// # Errors
    /// [`CalendarError`] if there is none.
    pub fn year(&self, year: i16) -> Result<&YearCalendar, CalendarError> {
        self.0.get(&year).ok_or_else(|| self.missing(year))
    }

    /// What is said of a day.
    ///
    /// # Errors
    /// [`CalendarError`] if there is no calendar of its year.
    pub fn day(&self, date: Date) -> Result<Day<'_>, CalendarError> {
        let calendar = self.year(date.year())?;
        calendar.day(date).ok_or_else(|| self.missing(date.year()))
    }

    /// Whether a day is worked.
    ///
    /// # Errors
    /// [`CalendarError`] if there is no calendar of its year.
    pub fn is_working_day(&self, date: Date) -> Result<bool, CalendarError> {
        self.day(date).map(Day::is_working)
    }

    /// The error of a year without calendar.
    pub(crate) fn missing(&self, year: i16) -> CalendarError {
        match self.years().next_back() {
            None => CalendarError::NoCalendar,
            Some(known) => CalendarError::MissingYear {
                country: known.country().clone(),
                year,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::v1;

    fn calendar(year: i32, version: u32, day_off: &str) -> YearCalendar {
        let message = v1::Calendar {
            year,
            version,
            country: "VN".to_owned(),
            time_zone: "Asia/Ho_Chi_Minh".to_owned(),
            days_off: vec![v1::CalendarDay {
                date: day_off.to_owned(),
                name: None,
            }],
            source: "A decision".to_owned(),
            authority: "An authority".to_owned(),
            ..v1::Calendar::default()
        };
        YearCalendar::from_message(&message, "").unwrap()
    }

    #[test]
    fn the_version_in_force_is_the_highest_before_or_else_the_first_later() {
        let first = calendar(2026, 1, "2026-03-02");
        let second = calendar(2026, 2, "2026-03-03");
        let third = calendar(2026, 3, "2026-03-04");
        let repeated = calendar(2026, 2, "2026-03-05");
        let in_force = |before: &[&YearCalendar], later: &[&YearCalendar]| {
            let own = |list: &[&YearCalendar]| list.iter().copied().cloned().collect::<Vec<_>>();
            let set = CalendarSet::in_force(&own(before), &own(later));
            set.year(2026).cloned()
        };
        assert_eq!(in_force(&[&first, &second], &[&third]), Ok(second.clone()));
        assert_eq!(in_force(&[&second, &first], &[]), Ok(second.clone()));
        assert_eq!(in_force(&[&second, &repeated], &[]), Ok(second.clone()));
        assert_eq!(in_force(&[], &[&first, &second]), Ok(first.clone()));
        assert_eq!(in_force(&[], &[&second, &first]), Ok(second));
        assert_eq!(in_force(&[], &[]), Err(CalendarError::NoCalendar));
        let other = calendar(2025, 1, "2025-03-03");
        assert_eq!(in_force(&[&other], &[&first]), Ok(first));
    }

    #[test]
    fn a_missing_year_says_which_calendar_is_to_be_published() {
        let set = CalendarSet::in_force(&[calendar(2026, 1, "2026-03-02")], &[]);
        let error = set.is_working_day(Date::constant(2027, 1, 4)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the working-day calendar of VN for 2027 has not been published"
        );
        assert!(error.remedy().contains("publishes its calendar of 2027"));
        assert!(set.is_working_day(Date::constant(2026, 3, 3)).unwrap());
        assert!(!set.is_working_day(Date::constant(2026, 3, 2)).unwrap());
    }
}

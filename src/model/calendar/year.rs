//! One side's working days of one year, checked.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jiff::civil::{Date, Weekday};
use jiff::tz::{TimeZone, TimeZoneDatabase};

use crate::limits;
use crate::model::check::FieldFault;
use crate::model::text::excerpt;
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

/// How the fields of more than one word are called where a fault is told.
pub(super) struct Names {
    time_zone: &'static str,
    days_off: &'static str,
    working_days: &'static str,
}

impl Names {
    /// In a draft.
    const JSON: Self = Self {
        time_zone: "timeZone",
        days_off: "daysOff",
        working_days: "workingDays",
    };
    /// In a calendar file.
    pub(super) const TOML: Self = Self {
        time_zone: "time_zone",
        days_off: "days_off",
        working_days: "working_days",
    };
}

/// A side's working days of one year, in one version. Cheap to clone.
///
/// Invariants: every listed day lies in the year and is listed once; days off are Mondays to
/// Fridays, worked days are Saturdays and Sundays; the zone is one of the time zone database that
/// is built in, under its exact name.
#[derive(Debug, Clone, PartialEq)]
pub struct YearCalendar(Arc<Content>);

#[derive(Debug, PartialEq)]
struct Content {
    year: i16,
    version: u32,
    country: Country,
    zone: TimeZone,
    days_off: BTreeMap<Date, LocalizedText>,
    working_days: BTreeMap<Date, LocalizedText>,
    source: String,
    sample: bool,
    authority: String,
}

impl YearCalendar {
    /// Reads the body of a CALENDAR notification, of which `common` is not looked at. `at` is its
    /// path in faults: `body.calendar` in a draft, or empty.
    ///
    /// # Errors
    /// Every fault, field by field.
    pub fn from_message(message: &v1::Calendar, at: &str) -> Result<Self, Vec<FieldFault>> {
        Self::parse(message, at, &Names::JSON)
    }

    /// [`Self::from_message`], with the fields named as their author sees them.
    pub(super) fn parse(
        message: &v1::Calendar,
        at: &str,
        names: &Names,
    ) -> Result<Self, Vec<FieldFault>> {
        let mut faults = Faults {
            at,
            list: Vec::new(),
        };
        let year = parse_year(message.year, &mut faults);
        if message.version == 0 {
            faults.add(
                "version",
                "versions are counted from 1",
                "write 1, and one more with each correction",
            );
        }
        let country = Country::parse(&message.country);
        if country.is_none() {
            faults.add(
                "country",
                format!("\"{}\" is no country code", excerpt(&message.country, 20)),
                "write the two capital letters of ISO 3166-1, such as VN or CN",
            );
        }
        let zone = parse_zone(&message.time_zone, names.time_zone, &mut faults);
        for (field, text, remedy) in [
            (
                "source",
                &message.source,
                "name the decision that it follows",
            ),
            ("authority", &message.authority, "name who publishes it"),
        ] {
            if text.trim().is_empty() {
                faults.add(field, "it is missing", remedy);
            }
        }
        let mut days = Days {
            year,
            seen: BTreeMap::new(),
            faults: &mut faults,
        };
        let listed = message.days_off.len() + message.working_days.len();
        let (days_off, working_days) = if listed > limits::CALENDAR_DAYS_MAX {
            let reason = format!(
                "{listed} days are listed, over the limit of {}",
                limits::CALENDAR_DAYS_MAX
            );
            let remedy = "list only weekdays that are off and weekend days that are worked";
            days.faults.add(names.days_off, reason, remedy);
            Default::default()
        } else {
            (
                days.read(names.days_off, &message.days_off, false),
                days.read(names.working_days, &message.working_days, true),
            )
        };
        match (year, country, zone) {
            (Some(year), Some(country), Some(zone)) if faults.list.is_empty() => {
                Ok(Self(Arc::new(Content {
                    year,
                    version: message.version,
                    country,
                    zone,
                    days_off,
                    working_days,
                    source: message.source.clone(),
                    sample: message.sample,
                    authority: message.authority.clone(),
                })))
            }
            _ => Err(faults.list),
        }
    }

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

fn is_weekend(date: Date) -> bool {
    matches!(date.weekday(), Weekday::Saturday | Weekday::Sunday)
}

fn parse_year(year: i32, faults: &mut Faults<'_>) -> Option<i16> {
    let known = i16::try_from(year)
        .ok()
        .filter(|year| (YEAR_MIN..=YEAR_MAX).contains(year));
    if known.is_none() {
        faults.add(
            "year",
            format!("{year} is not between {YEAR_MIN} and {YEAR_MAX}"),
            "write the year with four digits",
        );
    }
    known
}

/// Looked up in the database that is built in: the machine's own may be older or newer than the
/// other side's, and then the two would count to different instants.
fn parse_zone(name: &str, field: &str, faults: &mut Faults<'_>) -> Option<TimeZone> {
    let zone = TimeZoneDatabase::bundled()
        .get(name)
        .ok()
        .filter(|zone| !zone.is_unknown());
    let remedy = "write an IANA name such as Asia/Ho_Chi_Minh or Asia/Shanghai";
    match zone {
        Some(zone) if zone.iana_name() == Some(name) => Some(zone),
        Some(zone) => {
            let exact = zone.iana_name().unwrap_or_default();
            let reason = format!("{} is not its exact name", excerpt(name, 40));
            faults.add(field, reason, format!("write {exact}"));
            None
        }
        None => {
            let reason = format!("\"{}\" is no time zone", excerpt(name, 40));
            faults.add(field, reason, remedy);
            None
        }
    }
}

/// What is wrong, by JSON path.
struct Faults<'a> {
    at: &'a str,
    list: Vec<FieldFault>,
}

impl Faults<'_> {
    fn add(&mut self, field: &str, reason: impl Into<String>, remedy: impl Into<String>) {
        let field = match self.at {
            "" => field.to_owned(),
            at => format!("{at}.{field}"),
        };
        self.list.push(FieldFault {
            field,
            reason: reason.into(),
            remedy: remedy.into(),
        });
    }
}

/// Reads the two lists of days; a day stands in one of them, once.
struct Days<'a, 'b> {
    year: Option<i16>,
    seen: BTreeMap<Date, String>,
    faults: &'a mut Faults<'b>,
}

impl Days<'_, '_> {
    /// The good days of a list, in which all must be weekend days, or none.
    fn read(
        &mut self,
        list: &str,
        days: &[v1::CalendarDay],
        weekend: bool,
    ) -> BTreeMap<Date, LocalizedText> {
        let mut good = BTreeMap::new();
        for (index, day) in days.iter().enumerate() {
            let field = format!("{list}[{index}].date");
            let Some(date) = parse_date(&day.date) else {
                self.faults.add(
                    &field,
                    format!("\"{}\" is no date", excerpt(&day.date, 20)),
                    "write a day that exists as year, month and day: 2026-02-16",
                );
                continue;
            };
            self.check(&field, date, weekend);
            good.insert(date, day.name.clone().unwrap_or_default());
        }
        good
    }

    fn check(&mut self, field: &str, date: Date, weekend: bool) {
        if let Some(year) = self.year.filter(|year| date.year() != *year) {
            self.faults.add(
                field,
                format!("{date} is not in {year}"),
                format!(
                    "move it to the calendar of {}, or correct the year",
                    date.year()
                ),
            );
        }
        let day = date.strftime("%A");
        if is_weekend(date) && !weekend {
            self.faults.add(
                field,
                format!("{date} is a {day}, which is off without being listed"),
                "remove it, or correct the date",
            );
        }
        if !is_weekend(date) && weekend {
            self.faults.add(
                field,
                format!("{date} is a {day}, which is worked without being listed"),
                "remove it, or correct the date",
            );
        }
        if let Some(first) = self.seen.get(&date) {
            let reason = format!("{date} is listed twice, first in {first}");
            self.faults.add(field, reason, "remove one of the two");
        } else {
            self.seen.insert(date, field.to_owned());
        }
    }
}

/// A date in exactly the form that it is written in: `2026-02-16`.
fn parse_date(text: &str) -> Option<Date> {
    let date: Date = text.parse().ok()?;
    (date.to_string() == text).then_some(date)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> v1::Calendar {
        v1::Calendar {
            common: None,
            year: 2026,
            version: 1,
            country: "VN".to_owned(),
            time_zone: "Asia/Ho_Chi_Minh".to_owned(),
            days_off: days(&["2026-02-16", "2026-02-17"]),
            working_days: days(&["2026-01-10"]),
            source: "A decision".to_owned(),
            sample: true,
            authority: "An authority".to_owned(),
        }
    }

    fn days(dates: &[&str]) -> Vec<v1::CalendarDay> {
        dates
            .iter()
            .map(|date| v1::CalendarDay {
                date: (*date).to_owned(),
                name: None,
            })
            .collect()
    }

    #[track_caller]
    fn refused(message: &v1::Calendar, expected: &[(&str, &str)]) {
        let faults = YearCalendar::from_message(message, "body.calendar").unwrap_err();
        let told: Vec<_> = faults
            .iter()
            .map(|fault| (fault.field.as_str(), fault.reason.as_str()))
            .collect();
        let matches = told.len() == expected.len()
            && told.iter().zip(expected).all(|(told, expected)| {
                told.0 == format!("body.calendar.{}", expected.0) && told.1.contains(expected.1)
            });
        assert!(matches, "{told:#?}");
    }

    #[test]
    fn a_calendar_comes_back_from_its_message() {
        let calendar = YearCalendar::from_message(&message(), "").unwrap();
        let again = calendar.to_message(v1::Common::default());
        assert_eq!(YearCalendar::from_message(&again, ""), Ok(calendar));
        let expected = v1::Calendar {
            common: Some(v1::Common::default()),
            ..message()
        };
        assert_eq!(again, expected);
    }

    #[test]
    fn every_day_of_the_year_is_one_of_four() {
        let calendar = YearCalendar::from_message(&message(), "").unwrap();
        let on = |month, day| calendar.day(Date::constant(2026, month, day));
        assert!(matches!(on(2, 13), Some(Day::Working))); // Friday
        assert!(matches!(on(2, 14), Some(Day::Weekend))); // Saturday
        assert!(matches!(on(2, 16), Some(Day::Off(_)))); // Monday
        assert!(matches!(on(1, 10), Some(Day::MakeUp(_)))); // Saturday
        assert_eq!(calendar.day(Date::constant(2025, 12, 31)), None);
        assert_eq!(calendar.is_working_day(Date::constant(2027, 1, 1)), None);
    }

    #[test]
    fn all_faults_are_told_at_once() {
        let bad = v1::Calendar {
            year: 1999,
            version: 0,
            country: "vn".to_owned(),
            time_zone: "Asia/Hanoi".to_owned(),
            days_off: days(&["2026-02-30"]),
            working_days: days(&["16.2.2026"]),
            source: " ".to_owned(),
            authority: String::new(),
            ..message()
        };
        refused(
            &bad,
            &[
                ("year", "1999 is not between"),
                ("version", "from 1"),
                ("country", "\"vn\" is no country code"),
                ("timeZone", "\"Asia/Hanoi\" is no time zone"),
                ("source", "missing"),
                ("authority", "missing"),
                ("daysOff[0].date", "\"2026-02-30\" is no date"),
                ("workingDays[0].date", "\"16.2.2026\" is no date"),
            ],
        );
    }

    #[test]
    fn days_stand_in_their_year_and_their_list_once() {
        let bad = v1::Calendar {
            days_off: days(&["2027-01-01", "2026-02-14", "2026-02-16", "2026-02-16"]),
            working_days: days(&["2026-02-18", "2025-12-27", "2026-02-14"]),
            ..message()
        };
        refused(
            &bad,
            &[
                ("daysOff[0].date", "2027-01-01 is not in 2026"),
                ("daysOff[1].date", "a Saturday, which is off"),
                ("daysOff[3].date", "twice, first in daysOff[2]"),
                ("workingDays[0].date", "a Wednesday, which is worked"),
                ("workingDays[1].date", "2025-12-27 is not in 2026"),
                ("workingDays[2].date", "twice, first in daysOff[1]"),
            ],
        );
    }

    #[test]
    fn dates_have_one_form() {
        for text in [
            "20260216",
            "2026-2-16",
            "2026-02-16T00:00",
            "+002026-02-16",
            "2026-047",
            "",
            "2026-02-16 ",
        ] {
            assert_eq!(parse_date(text), None, "{text}");
        }
        assert!(parse_date("2026-02-16").is_some() && parse_date("2024-02-29").is_some());
    }

    #[test]
    fn zones_have_their_exact_name() {
        let with = |zone: &str| v1::Calendar {
            time_zone: zone.to_owned(),
            ..message()
        };
        refused(&with("asia/shanghai"), &[("timeZone", "exact name")]);
        for zone in ["", "Etc/Unknown", "+07:00", "/etc/localtime"] {
            refused(&with(zone), &[("timeZone", "no time zone")]);
        }
        for zone in ["Asia/Shanghai", "Asia/Ho_Chi_Minh", "Asia/Bangkok", "UTC"] {
            let calendar = YearCalendar::from_message(&with(zone), "").unwrap();
            assert_eq!(calendar.zone_name(), zone);
        }
    }

    #[test]
    fn years_end_where_times_end() {
        for (year, good) in [
            (1999, false),
            (2000, true),
            (2199, true),
            (2200, false),
            (i32::MIN, false),
        ] {
            let of_year = v1::Calendar {
                year,
                days_off: Vec::new(),
                working_days: Vec::new(),
                ..message()
            };
            assert_eq!(
                YearCalendar::from_message(&of_year, "").is_ok(),
                good,
                "{year}"
            );
        }
    }

    #[test]
    fn more_days_than_a_year_has_are_not_looked_at() {
        let every_day = |count: usize| v1::Calendar {
            days_off: days(&vec!["2026-02-16"; count]),
            working_days: Vec::new(),
            ..message()
        };
        let faults = YearCalendar::from_message(&every_day(limits::CALENDAR_DAYS_MAX), "");
        assert_eq!(faults.unwrap_err().len(), limits::CALENDAR_DAYS_MAX - 1);
        refused(
            &every_day(limits::CALENDAR_DAYS_MAX + 1),
            &[("daysOff", "367 days")],
        );
    }
}

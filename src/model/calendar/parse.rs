//! Reading a calendar, with every fault at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::Date;
use jiff::tz::{TimeZone, TimeZoneDatabase};

use super::year::{Content, Country, YEAR_MAX, YEAR_MIN, YearCalendar, is_weekend};
use crate::limits;
use crate::model::check::FieldFault;
use crate::model::text::excerpt;
use crate::proto::v1;
use crate::proto::v1::LocalizedText;

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
        let days_off = days.read(names.days_off, &message.days_off, false);
        let working_days = days.read(names.working_days, &message.working_days, true);
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
        if days.len() > limits::CALENDAR_DAYS_MAX {
            let reason = format!(
                "{} days are listed, over the limit of {}",
                days.len(),
                limits::CALENDAR_DAYS_MAX
            );
            let remedy = "list only weekdays that are off and weekend days that are worked";
            self.faults.add(list, reason, remedy);
            return good;
        }
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
    use crate::model::calendar::Day;

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

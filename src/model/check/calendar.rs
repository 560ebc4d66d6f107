//! Rules for working-day calendars.

use std::collections::BTreeSet;

use jiff::civil::Date;

use super::{Faults, count, gate};
use crate::model::text;
use crate::proto::v1;

/// Years that a calendar may be of: the end of the last one is a time that notifications carry.
const YEARS: std::ops::RangeInclusive<i32> = 2000..=2199;

pub(super) fn check(calendar: &v1::Calendar, at: &str, faults: &mut Faults) {
    let has_year = YEARS.contains(&calendar.year);
    if !has_year {
        faults.add(
            format!("{at}.year"),
            format!("{} is not between 2000 and 2199", calendar.year),
            "give the year with four digits",
        );
    }
    count::version(calendar.version, at, faults);
    let country = &calendar.country;
    let is_code = country.len() == 2 && country.bytes().all(|b| b.is_ascii_uppercase());
    if !country.is_empty() && !is_code {
        faults.add(
            format!("{at}.country"),
            format!("\"{}\" is no country code", text::excerpt(country, 20)),
            "give the two capital letters of ISO 3166-1, such as VN or CN",
        );
    }
    gate::check_zone(&calendar.time_zone, &format!("{at}.timeZone"), faults);
    let mut seen = BTreeSet::new();
    for (list, days) in [
        ("daysOff", &calendar.days_off),
        ("workingDays", &calendar.working_days),
    ] {
        for (index, day) in days
            .iter()
            .enumerate()
            .filter(|(_, day)| !day.date.is_empty())
        {
            let field = format!("{at}.{list}[{index}].date");
            let date = day.date.parse::<Date>().ok();
            match date.filter(|date| date.to_string() == day.date) {
                None => faults.add(
                    field,
                    format!("\"{}\" is no date", text::excerpt(&day.date, 20)),
                    "give year, month and day: 2026-02-16",
                ),
                Some(date) if has_year && i32::from(date.year()) != calendar.year => faults.add(
                    field,
                    format!("{date} is not in {}", calendar.year),
                    "list days of the calendar's year only",
                ),
                Some(date) if !seen.insert(date) => {
                    faults.add(field, format!("{date} is listed twice"), "list it once");
                }
                Some(_) => {}
            }
        }
    }
}

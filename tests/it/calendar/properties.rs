//! Properties of the counting, on calendars that nobody would decree.

use std::collections::BTreeSet;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp, ToSpan as _};
use liaison::model::calendar::{CalendarSet, YearCalendar, add_working_days};
use liaison::model::deadline::due_instant;
use liaison::proto::v1;
use proptest::prelude::*;

const YEARS: std::ops::RangeInclusive<i16> = 2025..=2028;
const ZONES: [&str; 4] = [
    "Asia/Ho_Chi_Minh",
    "Asia/Shanghai",
    "America/Havana",
    "Pacific/Kiritimati",
];

/// The day of 2025 and later with this number.
fn day(number: u16) -> Date {
    Date::constant(2025, 1, 1)
        .checked_add(i64::from(number).days())
        .unwrap()
}

fn is_weekend(date: Date) -> bool {
    date.weekday().to_monday_zero_offset() >= 5
}

/// Four years in which the given days are the other way round.
fn calendars(zone: &str, turned: &BTreeSet<Date>) -> CalendarSet {
    let years: Vec<_> = YEARS
        .map(|year| {
            let list = |weekend| {
                turned
                    .iter()
                    .filter(|date| date.year() == year && is_weekend(**date) == weekend)
                    .map(|date| v1::CalendarDay {
                        date: date.to_string(),
                        name: None,
                    })
                    .collect()
            };
            let message = v1::Calendar {
                year: year.into(),
                version: 1,
                country: "XX".to_owned(),
                time_zone: zone.to_owned(),
                days_off: list(false),
                working_days: list(true),
                source: "Invented for a test".to_owned(),
                authority: "Nobody".to_owned(),
                ..v1::Calendar::default()
            };
            YearCalendar::from_message(&message, "").unwrap()
        })
        .collect();
    CalendarSet::in_force(&years, &[])
}

fn turned() -> impl Strategy<Value = BTreeSet<Date>> {
    prop::collection::btree_set((0_u16..1_461).prop_map(day), 0..200)
}

proptest! {
    #[test]
    fn exactly_the_working_days_are_counted(
        turned in turned(), after in 0_u16..900, count in 0_u8..=60
    ) {
        let calendars = calendars(ZONES[0], &turned);
        let after = day(after);
        let counted = add_working_days(after, count, &calendars).unwrap();
        prop_assert_eq!(counted.days.len(), usize::from(count));
        // By definition, without the calendar's own code.
        let mut expected = Vec::new();
        let mut date = after;
        while let Some(last) = counted.days.last().filter(|last| date < **last) {
            date = date.tomorrow().unwrap();
            prop_assert!(date <= *last);
            if is_weekend(date) == turned.contains(&date) {
                expected.push(date);
            }
        }
        prop_assert_eq!(&counted.days, &expected);
        let years: Vec<_> = counted.calendar_versions.iter().map(|(year, _)| *year).collect();
        prop_assert!(years.windows(2).all(|pair| pair[0] + 1 == pair[1]));
        prop_assert_eq!(years.last().copied(), counted.days.last().map(|last| last.year()));
    }

    #[test]
    fn counting_goes_on_where_it_stopped(
        turned in turned(), after in 0_u16..600, first in 1_u8..=40, more in 0_u8..=40
    ) {
        let calendars = calendars(ZONES[1], &turned);
        let at_once = add_working_days(day(after), first + more, &calendars).unwrap();
        let some = add_working_days(day(after), first, &calendars).unwrap();
        let rest = add_working_days(*some.days.last().unwrap(), more, &calendars).unwrap();
        prop_assert_eq!(at_once.days, [some.days, rest.days].concat());
    }

    #[test]
    fn an_extension_is_the_longer_count(
        turned in turned(), seconds in 0_i64..50_000_000, days in 1_u8..=20, more in 0_u8..=20,
        zone in 0..ZONES.len()
    ) {
        let calendars = calendars(ZONES[zone], &turned);
        let received = received(seconds);
        let extended = due_instant(received, days, &calendars)
            .and_then(|due| due.extended(more, &calendars));
        prop_assert_eq!(extended, due_instant(received, days + more, &calendars));
    }

    #[test]
    fn who_receives_later_is_due_no_earlier_and_always_after_receipt(
        turned in turned(), seconds in 0_i64..50_000_000, later in 0_i64..1_000_000,
        days in 0_u8..=20, zone in 0..ZONES.len()
    ) {
        let calendars = calendars(ZONES[zone], &turned);
        let due = due_instant(received(seconds), days, &calendars).unwrap();
        let of_later = due_instant(received(seconds + later), days, &calendars).unwrap();
        prop_assert!(due.at <= of_later.at);
        prop_assert!(received(seconds) < due.at);
        // The last instant of the last day, to the nanosecond.
        let local = |at: Timestamp| at.to_zoned(due.zone.clone()).date();
        prop_assert_eq!(local(due.at - SignedDuration::from_nanos(1)), due.last_day);
        prop_assert_eq!(local(due.at), due.last_day.tomorrow().unwrap());
    }

    #[test]
    fn the_hour_of_receipt_does_not_matter_within_its_day(
        turned in turned(), number in 1_u16..500, hours in (0_i64..24, 0_i64..24), days in 0_u8..=20
    ) {
        let calendars = calendars(ZONES[1], &turned);
        let midnight: Timestamp = format!("{}T00:00+08:00", day(number)).parse().unwrap();
        let due = |hour| {
            due_instant(midnight + SignedDuration::from_hours(hour), days, &calendars).unwrap()
        };
        prop_assert_eq!(due(hours.0), due(hours.1));
    }

    #[test]
    fn any_text_as_a_file_is_an_answer(text in "\\PC{0,200}") {
        let _ = liaison::model::calendar::read_toml(&text);
    }
}

/// So many seconds into 2025.
fn received(seconds: i64) -> Timestamp {
    let begin: Timestamp = "2025-01-02T00:00:00Z".parse().unwrap();
    begin + SignedDuration::from_secs(seconds)
}

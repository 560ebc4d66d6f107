//! Deadlines counted by hand on the sample calendars. Each case lists the days as a reader would
//! count them: the number of the working day, or in brackets why a day does not count.

use std::slice::from_ref;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use liaison::model::calendar::{CalendarError, CalendarSet, YearCalendar};
use liaison::model::deadline::{
    Due, EXTENSION_WORKING_DAYS, VERIFICATION_REPLY_WORKING_DAYS, due_instant, local,
};

use super::{sample, sample_set};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn due(country: &str, received: &str) -> Due {
    due_instant(
        at(received),
        VERIFICATION_REPLY_WORKING_DAYS,
        &sample_set(country),
    )
    .unwrap()
}

/// The counted days as `02-23 02-24`.
fn counted(due: &Due) -> String {
    let days: Vec<_> = due
        .counted
        .iter()
        .map(|day| day.strftime("%m-%d").to_string())
        .collect();
    days.join(" ")
}

#[track_caller]
fn check(due: &Due, days: &str, instant: &str, shown: &str) {
    assert_eq!(counted(due), days);
    assert_eq!(due.at, at(instant));
    assert_eq!(local(due.at, &due.zone).to_string(), shown);
    assert!(!due.is_over(at(instant) - jiff::SignedDuration::from_nanos(1)));
    assert!(due.is_over(at(instant)));
}

#[test]
fn vn_friday_before_tet_a_minute_before_midnight() {
    // Received Fri 13 Feb 23:59 +07.
    // Sat 14 (weekend), Sun 15 (weekend), Mon 16 to Fri 20 (Tet), Sat 21, Sun 22 (weekend),
    // Mon 23 = 1, Tue 24 = 2, Wed 25 = 3, Thu 26 = 4, Fri 27 = 5, Sat 28, Sun 1 Mar (weekend),
    // Mon 2 = 6, Tue 3 = 7. The end of Tue 3 March +07 is 17:00 UTC.
    check(
        &due("vn", "2026-02-13T23:59+07:00"),
        "02-23 02-24 02-25 02-26 02-27 03-02 03-03",
        "2026-03-03T17:00:00Z",
        "2026-03-03 24:00 +07:00",
    );
}

#[test]
fn vn_two_minutes_later_it_is_saturday_and_nothing_changes() {
    // Received Sat 14 Feb 00:01 +07, a weekend day in VN: the same days count as above.
    let before = due("vn", "2026-02-13T23:59+07:00");
    let after = due("vn", "2026-02-14T00:01+07:00");
    assert_eq!(after.received_on, Date::constant(2026, 2, 14));
    assert_eq!((after.at, after.counted), (before.at, before.counted));
}

#[test]
fn cn_friday_before_spring_festival_a_minute_before_midnight() {
    // Received Fri 13 Feb 23:59 +08.
    // Sat 14 = 1 (make-up day), Sun 15 (weekend), Mon 16 to Fri 20 (festival), Sat 21, Sun 22
    // (weekend), Mon 23 (festival), Tue 24 = 2, Wed 25 = 3, Thu 26 = 4, Fri 27 = 5,
    // Sat 28 = 6 (make-up day), Sun 1 Mar (weekend), Mon 2 = 7. The end of Mon 2 March +08 is
    // 16:00 UTC.
    check(
        &due("cn", "2026-02-13T23:59+08:00"),
        "02-14 02-24 02-25 02-26 02-27 02-28 03-02",
        "2026-03-02T16:00:00Z",
        "2026-03-02 24:00 +08:00",
    );
}

#[test]
fn cn_two_minutes_later_the_make_up_saturday_is_the_day_of_receipt() {
    // Received Sat 14 Feb 00:01 +08: this worked Saturday is no longer counted.
    // Sun 15 to Mon 23 (off as above), Tue 24 = 1, Wed 25 = 2, Thu 26 = 3, Fri 27 = 4,
    // Sat 28 = 5 (make-up day), Sun 1 Mar (weekend), Mon 2 = 6, Tue 3 = 7.
    check(
        &due("cn", "2026-02-14T00:01+08:00"),
        "02-24 02-25 02-26 02-27 02-28 03-02 03-03",
        "2026-03-03T16:00:00Z",
        "2026-03-03 24:00 +08:00",
    );
}

#[test]
fn one_instant_is_two_dates_and_each_side_counts_from_its_own() {
    // 23:30 +07 on Fri 13 Feb is 00:30 +08 on Sat 14 Feb.
    let instant = "2026-02-13T16:30:00Z";
    let (vn, cn) = (due("vn", instant), due("cn", instant));
    assert_eq!(vn.received_on, Date::constant(2026, 2, 13));
    assert_eq!(cn.received_on, Date::constant(2026, 2, 14));
    // VN as from Friday, CN as from Saturday, above.
    assert_eq!(vn.at, at("2026-03-03T17:00:00Z"));
    assert_eq!(cn.at, at("2026-03-03T16:00:00Z"));
    let hanoi = vn.zone.clone();
    assert_eq!(local(cn.at, &hanoi).to_string(), "2026-03-03 23:00 +07:00");
    assert_eq!(
        local(vn.at, &cn.zone).to_string(),
        "2026-03-04 01:00 +08:00"
    );
}

#[test]
fn cn_golden_week() {
    // Received Wed 30 Sep 10:00 +08.
    // Thu 1, Fri 2 (National Day), Sat 3, Sun 4 (weekend), Mon 5 to Wed 7 (National Day),
    // Thu 8 = 1, Fri 9 = 2, Sat 10 = 3 (make-up day), Sun 11 (weekend), Mon 12 = 4, Tue 13 = 5,
    // Wed 14 = 6, Thu 15 = 7.
    check(
        &due("cn", "2026-09-30T10:00+08:00"),
        "10-08 10-09 10-10 10-12 10-13 10-14 10-15",
        "2026-10-15T16:00:00Z",
        "2026-10-15 24:00 +08:00",
    );
}

#[test]
fn vn_works_through_golden_week() {
    // The same instant, Wed 30 Sep 09:00 +07.
    // Thu 1 = 1, Fri 2 = 2, Sat 3, Sun 4 (weekend), Mon 5 = 3, Tue 6 = 4, Wed 7 = 5, Thu 8 = 6,
    // Fri 9 = 7.
    check(
        &due("vn", "2026-09-30T10:00+08:00"),
        "10-01 10-02 10-05 10-06 10-07 10-08 10-09",
        "2026-10-09T17:00:00Z",
        "2026-10-09 24:00 +07:00",
    );
}

#[test]
fn cn_make_up_sunday_before_mid_autumn() {
    // Received Fri 18 Sep 23:59 +08.
    // Sat 19 (weekend), Sun 20 = 1 (make-up day), Mon 21 = 2, Tue 22 = 3, Wed 23 = 4, Thu 24 = 5,
    // Fri 25 (Mid-Autumn), Sat 26, Sun 27 (weekend), Mon 28 = 6, Tue 29 = 7.
    check(
        &due("cn", "2026-09-18T23:59+08:00"),
        "09-20 09-21 09-22 09-23 09-24 09-28 09-29",
        "2026-09-29T16:00:00Z",
        "2026-09-29 24:00 +08:00",
    );
}

#[test]
fn vn_make_up_saturday_before_national_day() {
    // Received Fri 21 Aug 17:30 +07.
    // Sat 22 = 1 (make-up day), Sun 23 (weekend), Mon 24 = 2, Tue 25 = 3, Wed 26 = 4, Thu 27 = 5,
    // Fri 28 = 6, Sat 29, Sun 30 (weekend), Mon 31 (exchanged), Tue 1, Wed 2 Sep (National Day),
    // Thu 3 = 7.
    check(
        &due("vn", "2026-08-21T17:30+07:00"),
        "08-22 08-24 08-25 08-26 08-27 08-28 09-03",
        "2026-09-03T17:00:00Z",
        "2026-09-03 24:00 +07:00",
    );
}

#[test]
fn vn_over_the_end_of_the_year() {
    // Received Mon 29 Dec 2025 14:00 +07.
    // Tue 30 = 1, Wed 31 = 2, Thu 1, Fri 2 Jan (New Year), Sat 3, Sun 4 (weekend), Mon 5 = 3,
    // Tue 6 = 4, Wed 7 = 5, Thu 8 = 6, Fri 9 = 7.
    let due = due("vn", "2025-12-29T14:00+07:00");
    check(
        &due,
        "12-30 12-31 01-05 01-06 01-07 01-08 01-09",
        "2026-01-09T17:00:00Z",
        "2026-01-09 24:00 +07:00",
    );
    assert_eq!(due.calendar_versions, [(2025, 1), (2026, 1)]);
    assert!(due.sample);
}

#[test]
fn cn_over_the_end_of_the_year() {
    // Received Mon 29 Dec 2025 14:00 +08.
    // Tue 30 = 1, Wed 31 = 2, Thu 1, Fri 2 Jan (New Year), Sat 3 (weekend), Sun 4 = 3 (make-up
    // day), Mon 5 = 4, Tue 6 = 5, Wed 7 = 6, Thu 8 = 7.
    check(
        &due("cn", "2025-12-29T14:00+08:00"),
        "12-30 12-31 01-04 01-05 01-06 01-07 01-08",
        "2026-01-08T16:00:00Z",
        "2026-01-08 24:00 +08:00",
    );
}

#[test]
fn an_extension_goes_on_from_the_original_last_day() {
    // As above until Fri 9 Jan 2026 = 7. Sat 10 = 8 (make-up day), Sun 11 (weekend), Mon 12 = 9,
    // Tue 13 = 10, Wed 14 = 11, Thu 15 = 12.
    let calendars = sample_set("vn");
    let first = due("vn", "2025-12-29T14:00+07:00");
    let extended = first.extended(EXTENSION_WORKING_DAYS, &calendars).unwrap();
    check(
        &extended,
        "12-30 12-31 01-05 01-06 01-07 01-08 01-09 01-10 01-12 01-13 01-14 01-15",
        "2026-01-15T17:00:00Z",
        "2026-01-15 24:00 +07:00",
    );
    assert_eq!(extended.calendar_versions, [(2025, 1), (2026, 1)]);
    assert_eq!(extended.received_on, first.received_on);
}

#[test]
fn an_extension_over_spring_festival() {
    // Received Wed 4 Feb 2026 09:00 +08. Thu 5 = 1, Fri 6 = 2, Sat 7, Sun 8 (weekend), Mon 9 = 3,
    // Tue 10 = 4, Wed 11 = 5, Thu 12 = 6, Fri 13 = 7. Extension: Sat 14 = 8 (make-up day), Sun 15
    // to Mon 23 (off), Tue 24 = 9, Wed 25 = 10, Thu 26 = 11, Fri 27 = 12.
    let first = due("cn", "2026-02-04T09:00+08:00");
    assert_eq!(first.last_day, Date::constant(2026, 2, 13));
    let extended = first.extended(5, &sample_set("cn")).unwrap();
    assert_eq!(extended.at, at("2026-02-27T16:00:00Z"));
    assert_eq!(
        counted(&extended),
        "02-05 02-06 02-09 02-10 02-11 02-12 02-13 02-14 02-24 02-25 02-26 02-27"
    );
}

#[test]
fn a_year_without_calendar_is_an_error_that_names_it() {
    // Received Mon 28 Dec 2026: Tue 29 = 1, Wed 30 = 2, Thu 31 = 3, and 2027 is not published.
    let calendars = sample_set("vn");
    let missing = |country: &str, year| CalendarError::MissingYear {
        country: sample(&format!("{country}-2026")).country().clone(),
        year,
    };
    let received = at("2026-12-28T10:00+07:00");
    assert_eq!(
        due_instant(received, 7, &calendars),
        Err(missing("vn", 2027))
    );
    // Three days need no calendar of 2027, and the end of 31 December lies in no other year.
    let due = due_instant(received, 3, &calendars).unwrap();
    assert_eq!(due.at, at("2026-12-31T17:00:00Z"));
    assert_eq!(due.extended(5, &calendars), Err(missing("vn", 2027)));
    // Before the first year, and long after the last.
    for (received, year) in [
        ("2024-12-25T10:00+07:00", 2024),
        ("2031-06-01T10:00Z", 2031),
    ] {
        assert_eq!(
            due_instant(at(received), 7, &calendars),
            Err(missing("vn", year))
        );
    }
    let none = CalendarSet::default();
    assert_eq!(
        due_instant(received, 7, &none),
        Err(CalendarError::NoCalendar)
    );
    for received in [Timestamp::MIN, Timestamp::MAX] {
        assert!(due_instant(received, 7, &calendars).is_err());
    }
}

#[test]
fn the_year_of_receipt_is_needed_only_if_a_day_of_it_is_looked_at() {
    let new_year =
        |country: &str| CalendarSet::in_force(&[sample(&format!("{country}-2026"))], &[]);
    // Received Wed 31 Dec 2025 23:59 +07: Thu 1, Fri 2 Jan (New Year), Sat 3, Sun 4 (weekend),
    // Mon 5 = 1, Tue 6 = 2, Wed 7 = 3, Thu 8 = 4, Fri 9 = 5, Sat 10 = 6 (make-up day), Sun 11
    // (weekend), Mon 12 = 7.
    let due = due_instant(at("2025-12-31T23:59+07:00"), 7, &new_year("vn")).unwrap();
    assert_eq!(due.at, at("2026-01-12T17:00:00Z"));
    assert_eq!(due.calendar_versions, [(2026, 1)]);
    // Received Tue 30 Dec 2025 23:30 +07, which is Wed 31 Dec 00:30 +08: 31 December is looked at
    // in VN and not in CN.
    let received = at("2025-12-30T23:30+07:00");
    assert!(matches!(
        due_instant(received, 7, &new_year("vn")),
        Err(CalendarError::MissingYear { year: 2025, .. })
    ));
    // CN: Thu 1, Fri 2 Jan (New Year), Sat 3 (weekend), Sun 4 = 1 (make-up day), Mon 5 = 2,
    // Tue 6 = 3, Wed 7 = 4, Thu 8 = 5, Fri 9 = 6, Sat 10, Sun 11 (weekend), Mon 12 = 7.
    let due = due_instant(received, 7, &new_year("cn")).unwrap();
    assert_eq!(due.at, at("2026-01-12T16:00:00Z"));
}

/// The sample of VN 2026 as another version, in which one day more is off.
fn corrected(version: u32, day_off: &str) -> YearCalendar {
    let mut message = sample("vn-2026").to_message(liaison::proto::v1::Common::default());
    message.version = version;
    message.sample = false;
    message.days_off.push(liaison::proto::v1::CalendarDay {
        date: day_off.to_owned(),
        name: None,
    });
    YearCalendar::from_message(&message, "").unwrap()
}

#[test]
fn a_correction_counts_for_requests_recorded_after_it_only() {
    let (first, second) = (sample("vn-2026"), corrected(2, "2026-02-23"));
    let received = at("2026-02-13T23:59+07:00");
    let before = CalendarSet::in_force(from_ref(&first), from_ref(&second));
    let due = due_instant(received, 7, &before).unwrap();
    assert_eq!(due.last_day, Date::constant(2026, 3, 3));
    assert_eq!(due.calendar_versions, [(2026, 1)]);
    // Mon 23 Feb no longer counts: Tue 24 = 1, …, Fri 27 = 4, Mon 2 Mar = 5, Tue 3 = 6, Wed 4 = 7.
    let after = CalendarSet::in_force(&[first, second], &[]);
    let due = due_instant(received, 7, &after).unwrap();
    assert_eq!(due.last_day, Date::constant(2026, 3, 4));
    assert_eq!(due.calendar_versions, [(2026, 2)]);
    assert!(!due.sample);
}

#[test]
fn without_a_calendar_at_the_time_the_first_later_one_counts() {
    let (first, second) = (sample("vn-2026"), corrected(2, "2026-02-23"));
    let calendars = CalendarSet::in_force(&[], &[first, second]);
    let due = due_instant(at("2026-02-13T23:59+07:00"), 7, &calendars).unwrap();
    assert_eq!(due.calendar_versions, [(2026, 1)]);
    assert_eq!(due.last_day, Date::constant(2026, 3, 3));
}

#[test]
fn no_working_days_end_with_the_day_of_receipt() {
    let due = due_instant(at("2026-02-17T00:01+07:00"), 0, &sample_set("vn")).unwrap();
    assert_eq!(due.at, at("2026-02-17T17:00:00Z"));
    assert!(due.counted.is_empty() && due.calendar_versions.is_empty());
}

#[test]
fn a_day_that_does_not_begin_at_midnight_begins_where_the_one_before_ends() {
    // In Havana clocks went from Sat 9 March 2024 24:00 (-05) straight to Sun 01:00 (-04).
    // Received Fri 8 March: Sat 9 = 1 (worked here). Its end is 05:00 UTC, shown as Sunday 01:00,
    // since there was no Sunday 00:00.
    let message = liaison::proto::v1::Calendar {
        year: 2024,
        version: 1,
        country: "CU".to_owned(),
        time_zone: "America/Havana".to_owned(),
        working_days: vec![liaison::proto::v1::CalendarDay {
            date: "2024-03-09".to_owned(),
            name: None,
        }],
        source: "Invented for this test".to_owned(),
        authority: "Nobody".to_owned(),
        ..liaison::proto::v1::Calendar::default()
    };
    let year = YearCalendar::from_message(&message, "").unwrap();
    let calendars = CalendarSet::in_force(&[year], &[]);
    let due = due_instant(at("2024-03-08T12:00:00-05:00"), 1, &calendars).unwrap();
    assert_eq!(due.last_day, Date::constant(2024, 3, 9));
    assert_eq!(due.at, at("2024-03-10T05:00:00Z"));
}

#[test]
fn zones_come_from_the_database_that_is_built_in() {
    // Found under their names, with one offset all year: Viet Nam has been at +07 since 1975,
    // China at +08 since 1991.
    for (name, offset) in [("vn-2026", 7), ("cn-2026", 8)] {
        let zone: TimeZone = sample(name).zone().clone();
        for month in 1..=12 {
            let noon = Date::constant(2026, month, 1).at(12, 0, 0, 0);
            let zoned = noon.to_zoned(zone.clone()).unwrap();
            assert_eq!(zoned.offset(), jiff::tz::offset(offset));
        }
    }
}

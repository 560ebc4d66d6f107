//! Working-day calendars and deadlines: the samples against the table of decisions, deadlines
//! counted by hand, and properties of the counting.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by panicking"
)]

#[path = "calendar/by_hand.rs"]
mod by_hand;
#[path = "calendar/cli.rs"]
mod cli;
#[path = "calendar/properties.rs"]
mod properties;
#[path = "calendar/samples.rs"]
mod samples;

use liaison::model::calendar::{CalendarSet, YearCalendar, find_sample};

fn sample(name: &str) -> YearCalendar {
    find_sample(name).unwrap().read().unwrap()
}

/// Both sample years of a country.
fn sample_set(country: &str) -> CalendarSet {
    let years = [2025, 2026].map(|year| sample(&format!("{country}-{year}")));
    CalendarSet::in_force(&years, &[])
}

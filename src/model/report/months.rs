//! A figure month by month.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::{Offset, TimeZone};

use super::Period;
use super::tally::Figure;

/// Months of one series: ten years. A longer period is not split.
pub(super) const MONTHS_MAX: usize = 120;

impl Figure {
    /// What was counted in each calendar month of the period, in a zone; empty if the period has
    /// more than `MONTHS_MAX`. Months are named by their first day.
    #[must_use]
    pub fn by_month(&self, period: Period, zone: &TimeZone) -> Vec<(Date, i64)> {
        let mut months: Vec<(Date, i64)> = Vec::new();
        let (Some(mut month), Some(last)) = (
            month_of(period.from, zone),
            month_of(period.to.saturating_sub(1), zone),
        ) else {
            return Vec::new();
        };
        while month <= last {
            if months.len() == MONTHS_MAX {
                return Vec::new();
            }
            months.push((month, 0));
            let next = month.last_of_month().tomorrow();
            let Ok(next) = next else { break };
            month = next;
        }
        for entry in &self.made_of {
            let month = month_of(entry.at, zone);
            let found = months.iter_mut().find(|(of, _)| Some(*of) == month);
            if let Some((_, sum)) = found {
                *sum = sum.saturating_add(entry.amount);
            }
        }
        months
    }
}

/// A zone by its IANA name, or by its offset from UTC: `+07:00`.
#[must_use]
pub fn parse_zone(text: &str) -> Option<TimeZone> {
    let fixed = |sign: i8, digits: &str| {
        let (hours, minutes) = digits.split_once(':')?;
        let two = |text: &str| (text.len() == 2).then(|| text.parse::<u8>().ok())?;
        let (hours, minutes) = (two(hours)?, two(minutes)?);
        let seconds = i32::from(hours) * 3_600 + i32::from(minutes) * 60;
        let is_time = hours <= 14 && minutes < 60;
        let offset = Offset::from_seconds(i32::from(sign) * seconds).ok()?;
        is_time.then(|| TimeZone::fixed(offset))
    };
    match (text.strip_prefix('+'), text.strip_prefix('-')) {
        (Some(digits), _) => fixed(1, digits),
        (_, Some(digits)) => fixed(-1, digits),
        _ => TimeZone::get(text).ok(),
    }
}

fn month_of(at: i64, zone: &TimeZone) -> Option<Date> {
    let at = Timestamp::from_millisecond(at).ok()?;
    Some(at.to_zoned(zone.clone()).date().first_of_month())
}

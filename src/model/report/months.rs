//! A figure month by month.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

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

fn month_of(at: i64, zone: &TimeZone) -> Option<Date> {
    let at = Timestamp::from_millisecond(at).ok()?;
    Some(at.to_zoned(zone.clone()).date().first_of_month())
}

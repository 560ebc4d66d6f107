//! The range of times that notifications may carry.

use prost_types::Timestamp;

/// 2000-01-01T00:00:00Z.
pub(crate) const SECONDS_MIN: i64 = 946_684_800;
/// 2200-12-31T23:59:59Z.
pub(crate) const SECONDS_MAX: i64 = 7_289_654_399;

/// Says whether a timestamp lies in the years 2000 to 2200 and has proper nanoseconds.
///
/// The bounds catch times in milliseconds, zero times and other accidents, and everything inside
/// them can be written as RFC 3339.
#[must_use]
pub fn in_range(time: &Timestamp) -> bool {
    (SECONDS_MIN..=SECONDS_MAX).contains(&time.seconds) && (0..=999_999_999).contains(&time.nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_the_years_they_say() {
        let time = |seconds, nanos| Timestamp { seconds, nanos };
        assert_eq!(time(SECONDS_MIN, 0).to_string(), "2000-01-01T00:00:00Z");
        assert_eq!(time(SECONDS_MAX, 0).to_string(), "2200-12-31T23:59:59Z");
        assert!(in_range(&time(SECONDS_MIN, 0)));
        assert!(in_range(&time(SECONDS_MAX, 999_999_999)));
        assert!(!in_range(&time(SECONDS_MIN - 1, 0)));
        assert!(!in_range(&time(SECONDS_MAX + 1, 0)));
        assert!(!in_range(&time(SECONDS_MIN, -1)));
        assert!(!in_range(&time(SECONDS_MIN, 1_000_000_000)));
    }
}

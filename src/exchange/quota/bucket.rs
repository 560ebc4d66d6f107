//! So many at once, so many a second.

use std::time::Duration;

use tokio::time::Instant;

/// A bucket of tokens that fills with time. Starts full.
#[derive(Debug, Clone)]
pub struct Bucket {
    per_second: i64,
    burst: i64,
    /// Below zero when more was taken at once than the bucket holds.
    tokens: i64,
    /// Up to when tokens were earned; `None` until the first is taken.
    since: Option<Instant>,
}

impl Bucket {
    /// At least one at once and one a second.
    #[must_use]
    pub fn new(per_second: u32, burst: u32) -> Self {
        let burst = i64::from(burst.max(1));
        Self {
            per_second: i64::from(per_second.max(1)),
            burst,
            tokens: burst,
            since: None,
        }
    }

    /// Takes `count`, once there are as many as there are or the bucket is full: what it cannot
    /// hold is owed.
    ///
    /// # Errors
    /// How long until it can be taken; nothing was taken.
    pub fn take(&mut self, count: u64, now: Instant) -> Result<(), Duration> {
        self.fill(now);
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let needed = count.min(self.burst);
        if self.tokens >= needed {
            self.tokens = self.tokens.saturating_sub(count);
            return Ok(());
        }
        let missing = u128::try_from(needed.saturating_sub(self.tokens)).unwrap_or(0);
        let per_second = u128::try_from(self.per_second).unwrap_or(1);
        let ns = (missing * 1_000_000_000).div_ceil(per_second);
        Err(Duration::from_nanos(u64::try_from(ns).unwrap_or(u64::MAX)))
    }

    fn fill(&mut self, now: Instant) {
        let Some(since) = self.since else {
            self.since = Some(now);
            return;
        };
        let nanos = now.saturating_duration_since(since).as_nanos();
        let per_second = u128::try_from(self.per_second).unwrap_or(1);
        let earned = nanos.saturating_mul(per_second) / 1_000_000_000;
        let earned = i64::try_from(earned).unwrap_or(i64::MAX);
        if self.tokens.saturating_add(earned) >= self.burst {
            self.tokens = self.burst;
            self.since = Some(now);
        } else if earned > 0 {
            self.tokens += earned;
            // Only the time that was paid for is used up, or short gaps would never add up.
            let paid = u128::try_from(earned).unwrap_or(0) * 1_000_000_000 / per_second;
            self.since = Some(since + Duration::from_nanos(u64::try_from(paid).unwrap_or(0)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_burst_goes_at_once_and_then_so_many_a_second() {
        let start = Instant::now();
        let mut bucket = Bucket::new(10, 5);
        for _ in 0..5 {
            bucket.take(1, start).unwrap();
        }
        assert_eq!(bucket.take(1, start), Err(Duration::from_millis(100)));
        let soon = start + Duration::from_millis(99);
        assert_eq!(bucket.take(1, soon), Err(Duration::from_millis(100)));
        bucket.take(1, start + Duration::from_millis(100)).unwrap();
        // Short gaps add up: 10 a second, for 1,000 seconds, and not one more.
        let (mut now, mut taken) = (start + Duration::from_millis(100), 0);
        for _ in 0..1_000_000 {
            now += Duration::from_millis(1);
            taken += u32::from(bucket.take(1, now).is_ok());
        }
        assert_eq!(taken, 10_000);
    }

    #[test]
    fn more_than_the_bucket_holds_is_owed() {
        let start = Instant::now();
        let mut bucket = Bucket::new(10, 5);
        bucket.take(25, start).unwrap();
        assert_eq!(bucket.take(1, start), Err(Duration::from_millis(2_100)));
        let later = start + Duration::from_millis(2_100);
        bucket.take(1, later).unwrap();
        assert_eq!(bucket.take(25, later), Err(Duration::from_millis(500)));
        bucket
            .take(u64::MAX, later + Duration::from_secs(1))
            .unwrap();
        assert!(
            bucket
                .take(1, later + Duration::from_secs(1 << 20))
                .is_err()
        );
    }
}

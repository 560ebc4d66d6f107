//! Waiting before dialling again: doubling, jittered, bounded.

use std::time::Duration;

use crate::limits::{BACKOFF_MAX, BACKOFF_MIN};

/// The waits of one link. Each is drawn from the upper half of a span that doubles, so that two
/// nodes that lost each other at one moment do not meet at every door together.
#[derive(Debug, Clone)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    failures: u32,
}

impl Backoff {
    /// Waits from `min` up to `max`.
    ///
    /// # Errors
    ///
    /// [`BackoffError`] for a span with which it would be a busy loop or never grow.
    pub fn new(min: Duration, max: Duration) -> Result<Self, BackoffError> {
        if min < Duration::from_millis(1) {
            return Err(BackoffError::TooShort);
        }
        if max < min {
            return Err(BackoffError::Inverted);
        }
        if max > Duration::from_secs(3_600) {
            return Err(BackoffError::TooLong);
        }
        Ok(Self {
            min,
            max,
            failures: 0,
        })
    }

    /// 0.2 s to 30 s, as the protocol says.
    #[must_use]
    pub fn standard() -> Self {
        Self {
            min: BACKOFF_MIN,
            max: BACKOFF_MAX,
            failures: 0,
        }
    }

    /// The next wait. `random` is any uniformly drawn number; the caller owns the randomness.
    pub fn next(&mut self, random: u64) -> Duration {
        let span = self
            .min
            .saturating_mul(2_u32.saturating_pow(self.failures.saturating_add(1)))
            .clamp(self.min, self.max.max(self.min));
        self.failures = self.failures.saturating_add(1);
        let half = (span / 2).max(self.min.min(span));
        let jitter_micros =
            u64::try_from(span.saturating_sub(half).as_micros()).unwrap_or(u64::MAX);
        half + Duration::from_micros(random % jitter_micros.saturating_add(1))
    }

    /// After a session that held: begin with the shortest wait again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// Waits handed out since the last [`Self::reset`].
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

/// Nonsense that a [`Backoff`] refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BackoffError {
    /// A busy loop.
    #[error("the shortest wait must be at least 1 ms")]
    TooShort,
    /// Never.
    #[error("the longest wait must be at most an hour")]
    TooLong,
    /// The wrong way round.
    #[error("the longest wait is shorter than the shortest")]
    Inverted,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_within_their_bounds() {
        for random in [0, 1, 123_456_789, u64::MAX] {
            let mut backoff = Backoff::standard();
            let mut longest = Duration::ZERO;
            for failure in 0..100 {
                let wait = backoff.next(random);
                assert!(
                    wait >= BACKOFF_MIN && wait <= BACKOFF_MAX,
                    "{failure}: {wait:?}"
                );
                longest = longest.max(wait);
            }
            assert!(longest >= BACKOFF_MAX / 2);
            backoff.reset();
            assert!(backoff.next(random) <= BACKOFF_MIN * 2);
        }
    }

    #[test]
    fn jitter_spreads() {
        let waits: std::collections::BTreeSet<_> = (0..50)
            .map(|random| {
                let mut backoff = Backoff::standard();
                backoff.next(0);
                backoff.next(random * 7_919)
            })
            .collect();
        assert!(waits.len() > 40);
    }

    #[test]
    fn nonsense_is_refused() {
        let ms = Duration::from_millis;
        assert!(Backoff::new(BACKOFF_MIN, BACKOFF_MAX).is_ok());
        assert_eq!(
            Backoff::new(ms(0), ms(10)).unwrap_err(),
            BackoffError::TooShort
        );
        assert_eq!(
            Backoff::new(ms(10), ms(9)).unwrap_err(),
            BackoffError::Inverted
        );
        assert_eq!(
            Backoff::new(ms(10), ms(3_600_001)).unwrap_err(),
            BackoffError::TooLong
        );
    }
}

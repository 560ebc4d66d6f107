//! A clock whose hands the replay moves.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::exchange::clock::Clock;
use crate::model::workflow::Millis;

/// Stands still until it is set.
#[derive(Debug)]
pub(super) struct Hands(AtomicU64);

impl Hands {
    pub(super) fn at(at: Millis) -> Self {
        Self(AtomicU64::new(unix_ms(at)))
    }

    /// Never goes back.
    pub(super) fn set(&self, at: Millis) {
        self.0.fetch_max(unix_ms(at), Ordering::Relaxed);
    }
}

fn unix_ms(at: Millis) -> u64 {
    u64::try_from(at).unwrap_or_default()
}

impl Clock for Hands {
    fn unix_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn runs_by_itself(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hands_never_go_back() {
        let hands = Hands::at(1_000);
        hands.set(3_000);
        hands.set(2_000);
        assert_eq!(hands.unix_ms(), 3_000);
        assert!(!hands.runs_by_itself());
    }
}

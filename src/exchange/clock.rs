//! The one place where the clock is read, and one of the two where randomness is drawn (the other
//! makes keys). Both are injected, so that a simulation replays from a seed.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use sha2::{Digest as _, Sha256};

/// Tells the time of day. Timers use tokio's clock; this one dates what is said.
pub trait Clock: Send + Sync + fmt::Debug + 'static {
    /// Milliseconds since 1970-01-01 UTC.
    fn unix_ms(&self) -> u64;

    /// Whole seconds since 1970-01-01 UTC.
    fn unix_seconds(&self) -> u64 {
        self.unix_ms() / 1_000
    }

    /// Whether it runs by itself. One that is set by hand, to replay what was, jumps while a word
    /// of the peer is on its way: how the peer's clock stands to it cannot be told.
    fn runs_by_itself(&self) -> bool {
        true
    }

    /// Now, as it stands in headers.
    fn timestamp(&self) -> prost_types::Timestamp {
        timestamp_of_ms(self.unix_ms())
    }
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    fn unix_ms(&self) -> u64 {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}

/// Converts milliseconds since 1970 to a protobuf timestamp.
#[must_use]
pub fn timestamp_of_ms(unix_ms: u64) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: i64::try_from(unix_ms / 1_000).unwrap_or(i64::MAX),
        nanos: i32::try_from(unix_ms % 1_000).unwrap_or_default() * 1_000_000,
    }
}

/// A protobuf timestamp of whole seconds since 1970.
#[must_use]
pub fn timestamp_of_seconds(unix_seconds: u64) -> prost_types::Timestamp {
    timestamp_of_ms(unix_seconds.saturating_mul(1_000))
}

/// Randomness for salts and ids.
#[derive(Clone)]
pub struct Entropy(Arc<Fill>);

type Fill = dyn Fn(&mut [u8]) -> Result<(), getrandom::Error> + Send + Sync;

impl fmt::Debug for Entropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entropy")
    }
}

impl Entropy {
    /// The operating system's.
    #[must_use]
    pub fn system() -> Self {
        Self(Arc::new(getrandom::fill))
    }

    /// A reproducible stream for simulations: SHA-256 in counter mode over the seed. Not for use
    /// where anything is protected.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        let counter = Mutex::new(0_u64);
        Self(Arc::new(move |out| {
            for chunk in out.chunks_mut(32) {
                let mut counter = counter.lock().unwrap_or_else(PoisonError::into_inner);
                *counter += 1;
                let mut hash = Sha256::new();
                hash.update(seed.to_be_bytes());
                hash.update(counter.to_be_bytes());
                chunk.copy_from_slice(&hash.finalize()[..chunk.len()]);
            }
            Ok(())
        }))
    }

    /// Draws `N` bytes.
    ///
    /// # Errors
    /// When the operating system has no randomness to give; nothing may be signed then.
    pub fn bytes<const N: usize>(&self) -> Result<[u8; N], getrandom::Error> {
        let mut out = [0; N];
        (self.0)(&mut out)?;
        Ok(out)
    }
}

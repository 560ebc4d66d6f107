//! How much one identity may take: messages a second, bytes a day, and a share of the disk.
//!
//! An identity is a peer by its node name, or a person or program of the desk by role and name.
//! Each has one [`Meter`]. Whatever it wants recorded is taken from the meter first; what then is
//! not recorded is given back, whoever still waits for the answer. So a caller gains nothing by
//! hanging up, and loses nothing by a refusal.
//!
//! What is urgent (FLASH, IMMEDIATE, and what a person says to have taken note) has a quarter of
//! each quota for itself, on top: nobody's bulk stands before it, and it is bounded all the same.
//!
//! The day is the UTC day by the node's clock. What was taken of it is written in the very commit
//! that records what it was taken for (region `q`), so a restart gives nothing back.

mod bucket;
mod meters;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub use bucket::Bucket;
pub(crate) use meters::Meters;

use super::layout;
use crate::limits::QUOTA_DAY_BYTES_MIN;

/// Milliseconds of a day.
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
/// What is urgent has this part of a quota for itself.
const RESERVE_PART: u64 = 4;

/// What an identity may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Messages, on average.
    pub messages_per_second: u32,
    /// Messages at once, after a pause.
    pub burst_messages: u32,
    /// Bytes of messages and files within a UTC day.
    pub bytes_per_day: u64,
    /// The part of the disk that was free above the floor when the identity's day began, in
    /// percent, that it may fill within that day. 64 MiB at least: below, the floor itself
    /// decides.
    pub disk_percent: u8,
}

impl Quota {
    /// A peer, unless the configuration says otherwise. A hundred thousand letters that gathered
    /// while the line was down come at once; then 5,000 a second, which keep a fifth of one core
    /// busy with signatures.
    pub const PEER: Self = Self {
        messages_per_second: 5_000,
        burst_messages: 100_000,
        bytes_per_day: 32 << 30,
        disk_percent: 25,
    };
    /// A person or program of the desk, unless the configuration says otherwise.
    pub const DESK: Self = Self {
        messages_per_second: 1_000,
        burst_messages: 20_000,
        bytes_per_day: 16 << 30,
        disk_percent: 25,
    };
}

/// Whether something may draw on the reserve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// It may not.
    Bulk,
    /// FLASH, IMMEDIATE, and a person's acknowledgement.
    Urgent,
}

/// Which part of a quota is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuotaPart {
    /// Messages a second.
    Messages,
    /// Bytes a day.
    Bytes,
    /// The share of the disk.
    Disk,
}

/// A quota is used up; nothing was taken of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OverQuota {
    /// Which part.
    pub part: QuotaPart,
    /// The limit: messages a second, or bytes of the day.
    pub limit: u64,
    /// Messages at once, where messages are counted; else bytes of the day taken so far.
    pub of: u64,
    /// When enough of it will be there again.
    pub retry_after: Duration,
}

impl std::fmt::Display for OverQuota {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { limit, of, .. } = self;
        let mib = |bytes: u64| bytes >> 20;
        match self.part {
            QuotaPart::Messages => write!(f, "{limit} messages a second, {of} at once"),
            QuotaPart::Bytes => write!(
                f,
                "{} MiB a day (UTC), of which {} MiB are used",
                mib(*limit),
                mib(*of)
            ),
            QuotaPart::Disk => write!(
                f,
                "its share of the free disk space, {} MiB today (UTC), of which {} MiB are used",
                mib(*limit),
                mib(*of)
            ),
        }
    }
}

/// When something is taken, and what the disk has then.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// For what is counted by the second.
    pub instant: tokio::time::Instant,
    /// For what is counted by the day.
    pub unix_ms: u64,
    /// Bytes that are free above the floor.
    pub free_bytes: u64,
}

/// What one identity has taken.
#[derive(Debug)]
pub struct Meter {
    name: String,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    quota: Quota,
    bulk: Bucket,
    reserve: Bucket,
    day: Day,
}

/// One day of an identity, as it is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Day {
    /// Days since 1970; 0 before the first.
    pub(crate) number: u64,
    /// Bytes taken.
    pub(crate) used_bytes: u64,
    /// The share of the disk, fixed when the day began.
    pub(crate) share_bytes: u64,
    /// That the day's quota is used up was told.
    pub(crate) told: bool,
}

impl Meter {
    pub(crate) fn new(name: String, quota: Quota, day: Day) -> Self {
        let state = State {
            bulk: Bucket::new(quota.messages_per_second, quota.burst_messages),
            reserve: reserve_of(quota),
            quota,
            day,
        };
        Self {
            name,
            state: Mutex::new(state),
        }
    }

    /// Whose it is, such as `integration/radar` or `peer/hekou.ni.cn.example`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Changes what may be taken. What was taken stays taken.
    pub fn limit(&self, quota: Quota) {
        let mut state = self.lock();
        if state.quota != quota {
            state.bulk = Bucket::new(quota.messages_per_second, quota.burst_messages);
            state.reserve = reserve_of(quota);
            state.quota = quota;
        }
    }

    /// Takes messages and bytes, all of them or none. More messages at once than there ever can
    /// be are taken as soon as the burst is full, and owed.
    ///
    /// # Errors
    /// [`OverQuota`]: which part, and when to come again.
    pub fn take(
        self: &Arc<Self>,
        class: Class,
        messages: u64,
        bytes: u64,
        now: Moment,
    ) -> Result<Charge, OverQuota> {
        let mut state = self.lock();
        let state = &mut *state;
        state.day.begin(&state.quota, now);
        state.day.has_room(&state.quota, class, bytes, now)?;
        let by_rate = match (state.bulk.take(messages, now.instant), class) {
            (Err(wait), Class::Bulk) => Err(wait),
            (Err(wait), Class::Urgent) => {
                let reserved = state.reserve.take(messages, now.instant);
                reserved.map_err(|own| own.min(wait))
            }
            (Ok(()), _) => Ok(()),
        };
        by_rate.map_err(|retry_after| OverQuota {
            part: QuotaPart::Messages,
            limit: u64::from(state.quota.messages_per_second),
            of: u64::from(state.quota.burst_messages),
            retry_after,
        })?;
        state.day.used_bytes = state.day.used_bytes.saturating_add(bytes);
        Ok(Charge {
            meter: Arc::clone(self),
            day: state.day.number,
            bytes,
            kept: AtomicBool::new(false),
        })
    }

    /// Whether that the day's quota is used up is told for the first time; it is then told.
    pub(crate) fn tell(&self) -> bool {
        !std::mem::replace(&mut self.lock().day.told, true)
    }

    /// What is kept of it: key and value of region `q`.
    pub(crate) fn row(&self) -> (Vec<u8>, Vec<u8>) {
        (layout::quota(&self.name), self.lock().day.encode())
    }

    fn give_back(&self, day: u64, bytes: u64) {
        let mut state = self.lock();
        if state.day.number == day {
            state.day.used_bytes = state.day.used_bytes.saturating_sub(bytes);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn reserve_of(quota: Quota) -> Bucket {
    let part = |of: u32| of.div_ceil(u32::try_from(RESERVE_PART).unwrap_or(1));
    Bucket::new(part(quota.messages_per_second), part(quota.burst_messages))
}

impl Day {
    /// Begins a new day if it is one. A clock that was set back by less than a day begins none;
    /// one that was far ahead for a while does not keep the identity out until then.
    fn begin(&mut self, quota: &Quota, now: Moment) {
        let today = now.unix_ms / DAY_MS;
        if today == self.number || today + 1 == self.number {
            return;
        }
        let percent = u64::from(quota.disk_percent.min(100));
        *self = Self {
            number: today,
            share_bytes: (now.free_bytes / 100 * percent).max(QUOTA_DAY_BYTES_MIN),
            ..Self::default()
        };
    }

    fn has_room(
        &self,
        quota: &Quota,
        class: Class,
        bytes: u64,
        now: Moment,
    ) -> Result<(), OverQuota> {
        let with_reserve = |limit: u64| match class {
            Class::Bulk => limit,
            Class::Urgent => limit.saturating_add(limit / RESERVE_PART),
        };
        let wanted = self.used_bytes.saturating_add(bytes);
        for (part, limit) in [
            (QuotaPart::Bytes, quota.bytes_per_day),
            (QuotaPart::Disk, self.share_bytes),
        ] {
            if bytes > 0 && wanted > with_reserve(limit) {
                let next = (self.number + 1).saturating_mul(DAY_MS);
                return Err(OverQuota {
                    part,
                    limit,
                    of: self.used_bytes,
                    retry_after: Duration::from_millis(next.saturating_sub(now.unix_ms).max(1)),
                });
            }
        }
        Ok(())
    }

    /// Number, bytes used and share as u64, told as one byte.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(25);
        for number in [self.number, self.used_bytes, self.share_bytes] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        out.push(u8::from(self.told));
        out
    }

    /// `None` for what was not written by [`Day::encode`].
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (&told, numbers) = bytes.split_last()?;
        let (numbers, []) = numbers.as_chunks::<8>() else {
            return None;
        };
        let [number, used_bytes, share_bytes] = *numbers else {
            return None;
        };
        Some(Self {
            number: u64::from_be_bytes(number),
            used_bytes: u64::from_be_bytes(used_bytes),
            share_bytes: u64::from_be_bytes(share_bytes),
            told: told != 0,
        })
    }
}

/// What was taken of a meter; given back when it is dropped, unless it was kept.
#[derive(Debug)]
pub struct Charge {
    meter: Arc<Meter>,
    day: u64,
    bytes: u64,
    kept: AtomicBool,
}

impl Charge {
    /// What it was taken for is recorded: it stays taken. Returns the meter, to be written with it.
    pub(crate) fn keep(&self) -> &Arc<Meter> {
        self.kept.store(true, Ordering::Relaxed);
        &self.meter
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        if !*self.kept.get_mut() {
            self.meter.give_back(self.day, self.bytes);
        }
    }
}

#[cfg(test)]
mod tests;

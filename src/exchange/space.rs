//! What becomes less as the disk fills, and telling of it while there is still room to.
//!
//! | free | what stops |
//! |---|---|
//! | below 4 floors | files: uploads, and what peers bring |
//! | below 2 floors | ordinary messages, of the desk and of peers |
//! | below the floor | the ballast is given up; when that is used as well, everything |
//!
//! Each step down is noted once; the next time after there was half as much again.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::Exchange;
use super::hold::Incident;
use crate::limits::{
    ATTACHMENT_FLOORS, BULK_FLOORS, PARTIAL_TIME_MAX, SPACE_INTERVAL, SWEEP_INTERVAL,
    UPLOAD_TIME_MAX,
};

/// How far the disk has filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    /// Everything is taken.
    Enough,
    /// No files.
    NoFiles,
    /// No ordinary messages either.
    Urgent,
    /// Nothing.
    Nothing,
}

impl Level {
    fn of(free: u64, floor: u64) -> Self {
        if free < floor {
            Self::Nothing
        } else if free < floor.saturating_mul(BULK_FLOORS) {
            Self::Urgent
        } else if free < floor.saturating_mul(ATTACHMENT_FLOORS) {
            Self::NoFiles
        } else {
            Self::Enough
        }
    }

    fn stops(self) -> &'static str {
        match self {
            Self::Enough => "nothing",
            Self::NoFiles => "no file is taken any more",
            Self::Urgent => {
                "nothing is recorded any more but alerts (FLASH, IMMEDIATE), acknowledgements and \
                 receipts; what else peers send waits in their outboxes"
            }
            Self::Nothing => "nothing is recorded any more",
        }
    }
}

/// The level that was last told, and what to tell next.
#[derive(Debug)]
struct Watch {
    floor: u64,
    told: Level,
}

impl Watch {
    fn new(floor: u64) -> Self {
        Self {
            floor,
            told: Level::Enough,
        }
    }

    /// The level, if it is worse than the one last told.
    fn look(&mut self, free: u64) -> Option<Level> {
        let level = Level::of(free, self.floor);
        // Half as much again as each step needs, or a disk at its edge would be told of for ever.
        let recovered = Level::of(free / 3 * 2, self.floor);
        if recovered < self.told {
            self.told = recovered.max(level);
        }
        (level > self.told).then(|| {
            self.told = level;
            level
        })
    }
}

impl Exchange {
    /// Watches the disk, and removes what nobody has named or gone on with, until `stop`.
    pub async fn keep_space(self: Arc<Self>, floor_bytes: u64, stop: CancellationToken) {
        let mut watch = Watch::new(floor_bytes);
        let mut looks = tokio::time::interval(SPACE_INTERVAL);
        let mut sweeps = tokio::time::interval(SWEEP_INTERVAL);
        for ticks in [&mut looks, &mut sweeps] {
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        loop {
            tokio::select! {
                _ = looks.tick() => self.look_at_space(&mut watch).await,
                _ = sweeps.tick() => {
                    self.sweep_files().await;
                    if let Err(error) = self.complete_erasures().await {
                        tracing::error!(%error, "an erasure is not complete; it is tried again every hour");
                    }
                }
                () = stop.cancelled() => return,
            }
        }
    }

    async fn look_at_space(&self, watch: &mut Watch) {
        let Ok(free) = self.free_bytes() else {
            return; // whoever records is told so
        };
        let Some(level) = watch.look(free) else {
            return;
        };
        let incident = Incident {
            at_ms: self.clock.unix_ms(),
            peer: self.node.to_string(),
            what: format!(
                "the disk is filling up: {} MiB are free where the records are, and {}. Make room: \
                 move exports, logs and whatever else is not the node's off this disk, or enlarge \
                 it. Never remove anything in the data directory",
                free >> 20,
                level.stops()
            ),
            evidence: Vec::new(),
        };
        if level == Level::Nothing {
            // There is no room for the incident itself.
            tracing::error!(what = %incident.what, "the disk is full");
        } else {
            self.note_incident(incident).await;
        }
    }

    /// Removes uploads that no message has named for a day, and unfinished files that nobody has
    /// gone on with for a month.
    async fn sweep_files(&self) {
        let now = Duration::from_millis(self.clock.unix_ms());
        let before = move |age: Duration| UNIX_EPOCH + now.saturating_sub(age);
        let blobs = Arc::clone(&self.blobs);
        let sweep = move || blobs.sweep(before(UPLOAD_TIME_MAX), before(PARTIAL_TIME_MAX));
        match tokio::task::spawn_blocking(sweep).await {
            Ok(Ok(0)) | Err(_) => {}
            Ok(Ok(removed)) => tracing::info!(removed, "files that nobody named were removed"),
            Ok(Err(error)) => tracing::warn!(%error, "old uploads cannot be removed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_down_is_told_once_until_there_was_half_as_much_again() {
        const FLOOR: u64 = 100;
        let mut watch = Watch::new(FLOOR);
        let mut told = |free| watch.look(free);
        assert_eq!(told(400), None);
        assert_eq!(told(399), Some(Level::NoFiles));
        // To and fro at the edge.
        for _ in 0..10 {
            assert_eq!(told(401), None);
            assert_eq!(told(399), None);
        }
        assert_eq!(told(200), None);
        assert_eq!(told(199), Some(Level::Urgent));
        assert_eq!(told(201), None);
        assert_eq!(told(100), None);
        assert_eq!(told(99), Some(Level::Nothing));
        assert_eq!(told(100), None);
        assert_eq!(told(99), None);
        // Half as much again as each step needs.
        assert_eq!(told(153), None);
        assert_eq!(told(99), Some(Level::Nothing));
        assert_eq!(told(603), None);
        assert_eq!(told(50), Some(Level::Nothing));
    }
}

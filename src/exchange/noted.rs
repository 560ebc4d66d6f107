//! How many incidents one peer can cause: each costs a record that stays.
//!
//! A peer may open a session, say something worth noting and hang up, again and again. So of each
//! cause there are so many at once for each peer and one more each hour; the next one says how many
//! were left out.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use super::Exchange;
use super::hold::Incident;
use crate::limits::{INCIDENTS_BURST_MAX, INCIDENTS_INTERVAL};

/// What a peer can bring about as often as it likes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cause {
    /// It says that it holds the link.
    Fault,
    /// It says that it takes no more for now.
    Slowed,
    /// Its clock differs.
    Clock,
    /// Its log is shorter than what is mirrored of it, or it has lost its mirror.
    Lost,
    /// Its journal does not extend what was witnessed of it.
    Journal,
    /// An entry was not admitted, or names a file that cannot come.
    Entry,
}

/// What each peer has caused.
#[derive(Debug, Default)]
pub(crate) struct Noted(Mutex<BTreeMap<(String, Cause), Spent>>);

#[derive(Debug)]
struct Spent {
    left: u32,
    since: Instant,
    left_out: u64,
}

impl Noted {
    /// Whether one more may be kept; then with how many were left out before.
    fn take(&self, peer: &str, cause: Cause, now: Instant) -> Option<u64> {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let spent = noted.entry((peer.to_owned(), cause)).or_insert(Spent {
            left: INCIDENTS_BURST_MAX,
            since: now,
            left_out: 0,
        });
        let interval = INCIDENTS_INTERVAL.as_millis().max(1);
        let earned = now.saturating_duration_since(spent.since).as_millis() / interval;
        if let Ok(earned) = u32::try_from(earned)
            && earned > 0
        {
            spent.since += INCIDENTS_INTERVAL * earned;
            spent.left = spent.left.saturating_add(earned).min(INCIDENTS_BURST_MAX);
        }
        if spent.left == 0 {
            spent.left_out += 1;
            return None;
        }
        spent.left -= 1;
        Some(std::mem::take(&mut spent.left_out))
    }
}

impl Exchange {
    /// The incident as it may be kept; `None` if the peer has caused too many of its kind.
    pub(crate) fn may_note(&self, cause: Cause, mut incident: Incident) -> Option<Incident> {
        let left_out = self.noted.take(&incident.peer, cause, Instant::now());
        let Some(left_out) = left_out else {
            tracing::debug!(peer = %incident.peer, ?cause, "an incident too many is not kept");
            return None;
        };
        if left_out > 0 {
            let more = format!(" ({left_out} more of this kind were not noted one by one)");
            incident.what.push_str(&more);
        }
        Some(incident)
    }

    /// Keeps something that a peer has brought about, unless it does so too often.
    pub(crate) async fn note_caused(&self, cause: Cause, incident: Incident) {
        if let Some(incident) = self.may_note(cause, incident) {
            self.note_incident(incident).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_at_once_and_then_one_an_hour_and_the_rest_is_counted() {
        let noted = Noted::default();
        let start = Instant::now();
        let take = |peer: &str, cause, now| noted.take(peer, cause, now);
        for _ in 0..INCIDENTS_BURST_MAX {
            assert_eq!(take("a.example", Cause::Fault, start), Some(0));
        }
        for _ in 0..1_000 {
            assert_eq!(take("a.example", Cause::Fault, start), None);
        }
        // Another cause, and another peer, are another matter.
        assert_eq!(take("a.example", Cause::Clock, start), Some(0));
        assert_eq!(take("b.example", Cause::Fault, start), Some(0));
        let later = start + INCIDENTS_INTERVAL;
        assert_eq!(take("a.example", Cause::Fault, later), Some(1_000));
        assert_eq!(take("a.example", Cause::Fault, later), None);
        let much_later = later + INCIDENTS_INTERVAL * 10_000;
        let taken = (0..1_000)
            .filter(|_| take("a.example", Cause::Fault, much_later).is_some())
            .count();
        assert_eq!(taken, INCIDENTS_BURST_MAX as usize);
    }
}

//! Heartbeats: a freshly dated checkpoint now and then.

use std::sync::atomic::Ordering;

use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::super::{Exchange, Link};
use super::frames::send;
use super::{Never, Stop};
use crate::limits::HEARTBEAT_INTERVAL;
use crate::proto::v1::{self, Frame, frame};

/// Sends a freshly dated checkpoint of the own log now and then, even when nothing is new: it
/// tells *link down* from *ignored*, and proves lateness to an auditor. When a deadline has passed,
/// on either side, it is sent at once: then there is one of that size that is dated later.
pub(super) async fn pulse(
    exchange: &Exchange,
    link: &Link,
    outgoing: &mpsc::Sender<Frame>,
) -> Result<Never, Stop> {
    let mut ticks = tokio::time::interval(HEARTBEAT_INTERVAL);
    // After a stall, one heartbeat and not all that were missed.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    let pulse = &link.pulse;
    let mut wanted = pulse.wanted.subscribe();
    loop {
        let sent = pulse.sent.load(Ordering::Relaxed);
        tokio::select! {
            _ = ticks.tick() => {}
            // The sender lives in the link: this ends only when one is wanted.
            _ = wanted.wait_for(|count| *count > sent) => {}
        }
        let answered = *wanted.borrow_and_update();
        let size = link.head().signable_size;
        if exchange.log_key(link, size).is_none() {
            // A store that was put back does not know the key yet: it says nothing.
            pulse.sent.fetch_max(answered, Ordering::Relaxed);
            continue;
        }
        let signed = exchange.sign_own_checkpoint(link, size)?;
        let beat = v1::Heartbeat {
            checkpoint: signed.note.clone(),
            sent_at: Some(exchange.clock().timestamp()),
        };
        send(outgoing, frame::Frame::Heartbeat(beat)).await?;
        pulse.sent.fetch_max(answered, Ordering::Relaxed);
    }
}

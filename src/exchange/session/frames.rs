//! Frames out and in, and what each tells of the peer: that it lives, and what its clock says.

use tokio::sync::mpsc;

use super::super::channel::ChannelError;
use super::super::noted::Cause;
use super::super::{Exchange, Incident, Link};
use super::{End, Stop};
use crate::limits::{CLOCK_SKEW_MAX, SILENCE_TIME_MAX};
use crate::proto::v1::{Frame, frame};

pub(crate) fn framed(frame: frame::Frame) -> Frame {
    Frame { frame: Some(frame) }
}

/// Sends a frame; gives up on a peer that takes none.
pub(crate) async fn send(outgoing: &mpsc::Sender<Frame>, frame: frame::Frame) -> Result<(), Stop> {
    let sent = outgoing.send(framed(frame));
    let why = match tokio::time::timeout(SILENCE_TIME_MAX, sent).await {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(_)) => "the stream to the peer is closed",
        Err(_) => "the peer takes no frames",
    };
    Err(Stop::End(End::Lost(ChannelError::Broken(why.to_owned()))))
}

/// # Errors
/// [`End::Refused`] for a frame that is none of the protocol's.
pub(crate) fn next_frame(next: Option<Result<Frame, ChannelError>>) -> Result<frame::Frame, Stop> {
    match next {
        None => Err(Stop::End(End::Closed)),
        Some(Err(error)) => Err(Stop::End(End::Lost(error))),
        Some(Ok(Frame { frame: Some(frame) })) => Ok(frame),
        Some(Ok(Frame { frame: None })) => Err(Stop::End(End::Refused(
            "a frame of no kind known to this version".to_owned(),
        ))),
    }
}

pub(crate) fn touch(exchange: &Exchange, link: &Link) {
    let now = exchange.clock().unix_ms();
    link.presence.send_if_modified(|presence| {
        presence.heard_at_ms = Some(now);
        false
    });
}

/// Notes when the peer was heard and how its clock stands to ours. A skewed clock is flagged and
/// stops nothing: order does not depend on clocks.
pub(super) async fn heard(
    exchange: &Exchange,
    link: &Link,
    sent_at: Option<&prost_types::Timestamp>,
) {
    let now_ms = exchange.clock().unix_ms();
    let comparable = sent_at.filter(|_| exchange.clock().runs_by_itself());
    let theirs_ms = comparable.map(|at| {
        at.seconds
            .saturating_mul(1_000)
            .saturating_add(i64::from(at.nanos) / 1_000_000)
    });
    let skew_ms = theirs_ms.map(|at| at.saturating_sub(i64::try_from(now_ms).unwrap_or(i64::MAX)));
    let mut newly_skewed = None;
    link.presence.send_modify(|presence| {
        let was = presence.skew_ms.is_some_and(is_skewed);
        presence.heard_at_ms = Some(now_ms);
        presence.skew_ms = skew_ms;
        newly_skewed = skew_ms.filter(|skew| is_skewed(*skew) && !was);
    });
    if let Some(skew_ms) = newly_skewed {
        let incident = Incident {
            at_ms: now_ms,
            peer: link.peer.to_string(),
            what: format!(
                "the peer's clock differs from ours by {} s; one of them is wrong. Messages go on",
                skew_ms / 1_000
            ),
            evidence: Vec::new(),
        };
        exchange.note_caused(Cause::Clock, incident).await;
    }
}

/// Whether a difference of clocks is beyond the bound.
#[must_use]
pub fn is_skewed(skew_ms: i64) -> bool {
    u128::from(skew_ms.unsigned_abs()) > CLOCK_SKEW_MAX.as_millis()
}

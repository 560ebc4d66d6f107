//! One session of a link: the symmetrical state machine of both sides.
//!
//! ```text
//! Hello ⇄ Hello → ┬ push    own entries the mirror lacks, express ahead, checkpoints
//!                 ├ mirror  the peer's entries: verify, admit, record, cosign
//!                 ├ settle  the peer's cosignatures: verify, keep
//!                 ├ witness each other's journals: offer, cosign
//!                 └ pulse   a dated checkpoint every 60 s, and when a deadline has passed
//! ```
//!
//! All run at once until one of them ends; the first end is the session's. Only what breaks the
//! logs themselves holds the link ([`End::Held`]); everything else is backoff and another try.

mod farewell;
mod frames;
mod greet;
mod pulse;
mod seat;
mod take;
mod window;
mod witness;

use std::sync::{Arc, PoisonError};

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::channel::{ChannelError, FrameChannel, Incoming};
use super::hold::{Evidence, Hold};
use super::push::Pusher;
use super::read::ReadError;
use super::restore::restore_session;
use super::{Exchange, Link, RecordError};
use crate::crypto::Verified;
use crate::crypto::checkpoint::SignedCheckpoint;
use crate::limits::JOURNAL_FRAMES_MAX;
use crate::model::{NodeName, Origin};
use crate::proto::v1::{self, FaultCode, Frame};

pub(crate) use farewell::peer_fault;
pub use frames::is_skewed;
pub(crate) use frames::{framed, next_frame, send, touch};
pub(crate) use window::{Mirroring, item_bytes};

use farewell::{conclude, part};
use greet::{Greeted, greet};
use pulse::pulse;
use seat::{Seat, Standing, held};
use take::{Takers, read};
use window::{Window, window_frames};
use witness::witness;

/// Protocol versions this program speaks.
pub const PROTOCOL_VERSION: u32 = 1;

/// How a session ended.
#[derive(Debug)]
pub enum End {
    /// The peer closed, or the carrier broke: dial again.
    Lost(ChannelError),
    /// The peer closed the stream in order.
    Closed,
    /// The link is held: the logs do not fit together, or an operator stopped it. Recorded, and
    /// the peer was told.
    Held(Box<Hold>),
    /// The peer told us why it stops.
    PeerFault(Box<v1::Fault>),
    /// The peer spoke out of turn before the session stood; not worth holding a link for.
    Refused(String),
    /// Another session took the link over.
    Replaced,
    /// This store lacks what this node signed: the session ends, and the next one fetches it back.
    Restoring(String),
    /// A session in which records were given back is over: all that was wanted has come.
    Restored,
    /// This node is going down.
    ShuttingDown,
    /// This node cannot record: disk full or store failed.
    Unable(RecordError),
    /// This node cannot read its own store.
    Unreadable(ReadError),
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Lost(error) => write!(f, "{error}"),
            Self::Closed => f.write_str("the peer closed the session"),
            Self::Held(hold) => write!(f, "held: {}: {}", hold.code_name(), hold.text),
            Self::PeerFault(fault) => {
                let code = FaultCode::try_from(fault.code).unwrap_or(FaultCode::Unspecified);
                let text = crate::model::text::escape(&fault.text);
                let code_name = code.as_str_name();
                if holds_the_speaker(code) {
                    write!(f, "held by the peer: {code_name}: {text}")
                } else {
                    write!(f, "the peer says {code_name}: {text}")
                }
            }
            Self::Refused(text) => write!(f, "session refused: {text}"),
            Self::Restoring(why) => write!(f, "restoring: {why}"),
            Self::Restored => f.write_str("records were restored; the link goes on"),
            Self::Replaced => f.write_str("another session took over"),
            Self::ShuttingDown => f.write_str("this node is going down"),
            Self::Unable(error) => write!(f, "{error}"),
            Self::Unreadable(error) => write!(f, "{error}"),
        }
    }
}

/// Whether the side that says this Fault holds the link. It never holds the side that hears it.
pub(super) fn holds_the_speaker(code: FaultCode) -> bool {
    !matches!(
        code,
        FaultCode::Version | FaultCode::ShuttingDown | FaultCode::Restoring
    )
}

impl From<RecordError> for End {
    fn from(error: RecordError) -> Self {
        Self::Unable(error)
    }
}

impl From<ReadError> for End {
    fn from(error: ReadError) -> Self {
        Self::Unreadable(error)
    }
}

impl From<crate::store::StoreError> for End {
    fn from(error: crate::store::StoreError) -> Self {
        Self::Unreadable(error.into())
    }
}

/// What breaks the logs: becomes a [`Hold`] with its evidence.
#[derive(Debug)]
pub(crate) struct Breach {
    pub(crate) code: FaultCode,
    pub(crate) origin: String,
    pub(crate) index: u64,
    pub(crate) text: String,
    pub(crate) evidence: Evidence,
}

/// How a part of a session ends early.
#[derive(Debug)]
pub(crate) enum Stop {
    End(End),
    Breach(Box<Breach>),
}

impl<E: Into<End>> From<E> for Stop {
    fn from(end: E) -> Self {
        Self::End(end.into())
    }
}

impl Breach {
    pub(crate) fn stop(
        code: FaultCode,
        origin: &Origin,
        index: u64,
        text: impl Into<String>,
        evidence: impl Into<Evidence>,
    ) -> Stop {
        Stop::Breach(Box::new(Self {
            code,
            origin: origin.to_string(),
            index,
            text: text.into(),
            evidence: evidence.into(),
        }))
    }
}

/// Runs one session to its end.
///
/// If another session occupies the link, the one dialled by the lexicographically smaller node
/// name stays; of two dialled by the same node, the newer one stays, since its dialler has given
/// the older one up. It may be dropped at any point: the link is free then, and shown as down.
pub async fn run(
    exchange: &Arc<Exchange>,
    link: &Arc<Link>,
    dialled_by: &NodeName,
    channel: FrameChannel,
    shutdown: &CancellationToken,
) -> End {
    let FrameChannel {
        outgoing,
        mut incoming,
    } = channel;
    let Some(seat) = Seat::take(link, dialled_by) else {
        return End::Replaced;
    };
    let alone = tokio::select! {
        biased;
        () = shutdown.cancelled() => return End::ShuttingDown,
        () = seat.stop.cancelled() => return End::Replaced,
        alone = link.running.lock() => alone,
    };
    let mut standing = Standing {
        link,
        down_reason: "the session was cut short".to_owned(),
    };
    let outcome = tokio::select! {
        biased;
        () = shutdown.cancelled() => Stop::End(End::ShuttingDown),
        () = seat.stop.cancelled() => Stop::End(End::Replaced),
        hold = held(link) => Stop::End(End::Held(Box::new(hold))),
        stopped = converse(exchange, link, &outgoing, &mut incoming) => stopped,
    };
    let end = conclude(exchange, link, &outgoing, outcome).await;
    standing.down_reason = end.to_string();
    // Shown as down before another session may show it as up.
    drop(standing);
    drop(alone);
    drop(seat);
    if matches!(
        end,
        End::ShuttingDown | End::Held(_) | End::Restoring(_) | End::Restored
    ) {
        part(outgoing, incoming).await;
    }
    end
}

/// Stops a link's running session, if there is one.
pub fn stop(link: &Link) {
    let slot = link.slot.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(occupant) = &slot.occupant {
        occupant.stop.cancel();
    }
}

/// Hello both ways, then everything at once until something ends.
async fn converse(
    exchange: &Arc<Exchange>,
    link: &Arc<Link>,
    outgoing: &mpsc::Sender<Frame>,
    incoming: &mut Incoming,
) -> Stop {
    let greeted = match greet(exchange, link, outgoing, incoming).await {
        Err(stop) => return stop,
        Ok(Greeted::Restoring { shown, theirs }) => {
            exchange.peer_goes_on(link).await;
            link.presence.send_modify(|presence| {
                presence.up = true;
                presence.down_reason = None;
            });
            return restore_session(exchange, link, outgoing, incoming, *shown, theirs).await;
        }
        Ok(Greeted::Standing(greeted)) => greeted,
    };
    link.carriage.judged();
    if let Err(stop) = exchange.say_owed_refusals(link).await {
        return stop;
    }
    link.presence.send_modify(|presence| {
        presence.up = true;
        presence.down_reason = None;
        (presence.slowed, presence.slows) = (None, None);
    });
    exchange.peer_goes_on(link).await;
    tracing::info!(peer = %link.peer, resume_at = greeted.peer_mirrored, "session up");
    let window = Window::default();
    let (pushes, mirror_queue) = mpsc::channel(window_frames());
    let cosigned = watch::Sender::new(String::new());
    let settle_queue = cosigned.subscribe();
    let cosigned_size = watch::Sender::new(greeted.peer_mirrored);
    let pusher = Pusher::new(exchange, link, outgoing, cosigned_size.subscribe());
    let mirror = Mirroring {
        queue: mirror_queue,
        window: &window,
        next_index: greeted.mirror_size,
    };
    let (letters, mail) = mpsc::channel(JOURNAL_FRAMES_MAX);
    let takers = Takers {
        pushes: &pushes,
        cosigned: &cosigned,
        journal: &letters,
    };
    let ended = tokio::try_join!(
        read(exchange, link, incoming, &window, &takers),
        pusher.run(),
        exchange.mirror(link, outgoing, mirror),
        exchange.settle(link, settle_queue, &cosigned_size),
        pulse(exchange, link, outgoing),
        witness(exchange, link, outgoing, greeted.witnesses_journals, mail),
    );
    exchange.journal_session_ends(link).await;
    match ended {
        Err(stop) => stop,
        // Each part runs for ever.
        Ok((never, ..)) => match never {},
    }
}

/// A part of a session that runs until the session ends.
pub(crate) enum Never {}

/// A checkpoint of the own log, signed within a session.
pub(crate) type OwnCheckpoint = Verified<SignedCheckpoint>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_that_holds_the_peer_is_shown_as_held_by_it() {
        let shown = |code: FaultCode| {
            End::PeerFault(Box::new(v1::Fault {
                code: code as i32,
                text: "the reason".to_owned(),
                ..v1::Fault::default()
            }))
            .to_string()
        };
        assert_eq!(
            shown(FaultCode::Held),
            "held by the peer: FAULT_CODE_HELD: the reason"
        );
        assert!(shown(FaultCode::RootMismatch).starts_with("held by the peer: "));
        assert!(shown(FaultCode::ShuttingDown).starts_with("the peer says "));
    }
}

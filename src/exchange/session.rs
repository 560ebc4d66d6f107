//! One session of a link: the symmetrical state machine of both sides.
//!
//! ```text
//! Hello ⇄ Hello → ┬ push    own entries the mirror lacks, express ahead, checkpoints
//!                 ├ mirror  the peer's entries: verify, admit, record, cosign
//!                 ├ settle  the peer's cosignatures: verify, keep
//!                 └ pulse   a dated checkpoint every 60 s
//! ```
//!
//! All run at once until one of them ends; the first end is the session's. Only what breaks the
//! logs themselves holds the link ([`End::Held`]); everything else is backoff and another try.

use std::sync::{Arc, PoisonError};

use tokio::sync::{mpsc, watch};
use tokio_stream::StreamExt as _;
use tokio_util::sync::CancellationToken;

use super::book::Occupant;
use super::channel::{ChannelError, FrameChannel, Incoming};
use super::hold::Hold;
use super::push::Pusher;
use super::read::ReadError;
use super::{Exchange, Link, LogSide, RecordError};
use crate::crypto::Verified;
use crate::crypto::checkpoint::SignedCheckpoint;
use crate::limits::{CLOCK_SKEW_MAX, HEARTBEAT_INTERVAL, HELLO_TIME_MAX, WINDOW_ENTRIES_MAX};
use crate::model::NodeName;
use crate::proto::v1::{self, FaultCode, Frame, frame};

/// Protocol versions this program speaks.
pub const PROTOCOL_VERSION: u32 = 1;

/// How a session ended.
#[derive(Debug)]
pub enum End {
    /// The peer closed, or the carrier broke: dial again.
    Lost(ChannelError),
    /// The peer closed the stream in order.
    Closed,
    /// The logs do not fit together; recorded, and the peer was told.
    Held(Box<Hold>),
    /// The peer told us why it stops.
    PeerFault(Box<v1::Fault>),
    /// The peer spoke out of turn before the session stood; not worth holding a link for.
    Refused(String),
    /// Another session took the link over, or it is being held by an operator.
    Replaced,
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
                write!(f, "the peer says {}: {text}", code.as_str_name())
            }
            Self::Refused(text) => write!(f, "session refused: {text}"),
            Self::Replaced => f.write_str("another session took over"),
            Self::ShuttingDown => f.write_str("this node is going down"),
            Self::Unable(error) => write!(f, "{error}"),
            Self::Unreadable(error) => write!(f, "{error}"),
        }
    }
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
    pub(crate) evidence: Vec<String>,
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
        origin: impl ToString,
        index: u64,
        text: impl Into<String>,
        evidence: Vec<String>,
    ) -> Stop {
        Stop::Breach(Box::new(Self {
            code,
            origin: origin.to_string(),
            index,
            text: text.into(),
            evidence,
        }))
    }
}

/// Runs one session to its end.
///
/// If another session occupies the link, the one dialled by the lexicographically smaller node
/// name stays; of two dialled by the same node, the newer one stays, since its dialler has given
/// the older one up.
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
    if let Some(hold) = link.head().held {
        let text = "the link is held here until an operator has looked".to_owned();
        tell(&outgoing, FaultCode::Held, &hold.origin, hold.index, text).await;
        return End::Replaced;
    }
    let Some((serial, stop)) = occupy(link, dialled_by) else {
        return End::Replaced;
    };
    let alone = tokio::select! {
        alone = link.running.lock() => alone,
        () = stop.cancelled() => {
            vacate(link, serial);
            return End::Replaced;
        }
    };
    let outcome = tokio::select! {
        biased;
        () = shutdown.cancelled() => Stop::End(End::ShuttingDown),
        () = stop.cancelled() => Stop::End(End::Replaced),
        stopped = converse(exchange, link, &outgoing, &mut incoming) => stopped,
    };
    let end = conclude(exchange, link, &outgoing, outcome).await;
    link.presence.send_modify(|presence| {
        presence.up = false;
        presence.down_reason = Some(end.to_string());
    });
    vacate(link, serial);
    drop(alone);
    end
}

/// Stops a link's running session, if there is one.
pub fn stop(link: &Link) {
    let slot = link.slot.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(occupant) = &*slot {
        occupant.stop.cancel();
    }
}

fn occupy(link: &Link, dialled_by: &NodeName) -> Option<(u64, CancellationToken)> {
    let mut slot = link.slot.lock().unwrap_or_else(PoisonError::into_inner);
    let mut serial = 0;
    if let Some(occupant) = &*slot {
        if occupant.dialled_by < *dialled_by {
            return None;
        }
        occupant.stop.cancel();
        serial = occupant.serial + 1;
    }
    let stop = CancellationToken::new();
    *slot = Some(Occupant {
        serial,
        dialled_by: dialled_by.clone(),
        stop: stop.clone(),
    });
    Some((serial, stop))
}

/// Leaves the link's slot, unless another session has taken it over.
fn vacate(link: &Link, serial: u64) {
    let mut slot = link.slot.lock().unwrap_or_else(PoisonError::into_inner);
    if slot
        .as_ref()
        .is_some_and(|occupant| occupant.serial == serial)
    {
        *slot = None;
    }
}

/// Tells the peer and the record how the session ended.
async fn conclude(
    exchange: &Exchange,
    link: &Link,
    outgoing: &mpsc::Sender<Frame>,
    outcome: Stop,
) -> End {
    match outcome {
        Stop::End(End::ShuttingDown) => {
            let text = "going down".to_owned();
            tell(outgoing, FaultCode::ShuttingDown, "", 0, text).await;
            End::ShuttingDown
        }
        Stop::End(end) => end,
        Stop::Breach(breach) => {
            let hold = Hold {
                code: breach.code as i32,
                origin: breach.origin,
                index: breach.index,
                text: breach.text,
                evidence: breach.evidence,
                at_ms: exchange.clock().unix_ms(),
            };
            // Recorded before the peer is told: after a crash here the link is held all the same.
            if let Err(error) = exchange.hold(link, hold.clone()).await {
                return End::Unable(error);
            }
            let text = hold.text.clone();
            tell(outgoing, breach.code, &hold.origin, hold.index, text).await;
            End::Held(Box::new(hold))
        }
    }
}

async fn tell(
    outgoing: &mpsc::Sender<Frame>,
    code: FaultCode,
    origin: &str,
    index: u64,
    text: String,
) {
    let fault = v1::Fault {
        code: code as i32,
        origin: origin.to_owned(),
        index,
        text,
    };
    let sent = outgoing.send(framed(frame::Frame::Fault(fault)));
    // The peer may be gone or stuck; it will learn at the next attempt.
    drop(tokio::time::timeout(HELLO_TIME_MAX, sent).await);
}

pub(crate) fn framed(frame: frame::Frame) -> Frame {
    Frame { frame: Some(frame) }
}

/// Hello both ways, then everything at once until something ends.
async fn converse(
    exchange: &Arc<Exchange>,
    link: &Arc<Link>,
    outgoing: &mpsc::Sender<Frame>,
    incoming: &mut Incoming,
) -> Stop {
    match greet(exchange, link, outgoing, incoming).await {
        Err(stop) => stop,
        Ok(peer_mirrored) => {
            link.presence.send_modify(|presence| {
                presence.up = true;
                presence.down_reason = None;
            });
            tracing::info!(peer = %link.peer, resume_at = peer_mirrored, "session up");
            let (pushes, mirror_queue) = mpsc::channel(1 + window_frames());
            let (cosigned, settle_queue) = mpsc::channel(1 + window_frames());
            let cosigned_size = watch::Sender::new(peer_mirrored);
            let pusher = Pusher::new(exchange, link, outgoing, cosigned_size.subscribe());
            let ended = tokio::try_join!(
                read(exchange, link, incoming, &pushes, &cosigned),
                pusher.run(),
                exchange.mirror(link, outgoing, mirror_queue),
                exchange.settle(link, settle_queue, &cosigned_size),
                pulse(exchange, link, outgoing),
            );
            match ended {
                Err(stop) => stop,
                // Each part runs for ever.
                Ok((never, ..)) => match never {},
            }
        }
    }
}

/// Frames that a whole window makes at worst: one entry each.
fn window_frames() -> usize {
    usize::try_from(WINDOW_ENTRIES_MAX).unwrap_or(usize::MAX)
}

/// A part of a session that runs until the session ends.
pub(crate) enum Never {}

/// Sends and takes the first frames, and judges what the peer says of both logs before anything
/// is signed. Returns how much of the own log the peer has mirrored.
async fn greet(
    exchange: &Exchange,
    link: &Link,
    outgoing: &mpsc::Sender<Frame>,
    incoming: &mut Incoming,
) -> Result<u64, Stop> {
    let head = link.head();
    let mirror = exchange.reader(link, LogSide::Mirror);
    let own = exchange.reader(link, LogSide::Own);
    let own_checkpoint = own.latest_checkpoint()?.map(|(_, note)| note);
    let mirrored_checkpoint = match mirror.checkpoint(head.mirror_size)? {
        None => String::new(),
        Some(note) => exchange.cosigned_again(link, &note)?,
    };
    let hello = v1::Hello {
        version_min: PROTOCOL_VERSION,
        version_max: PROTOCOL_VERSION,
        node: exchange.node().to_string(),
        own_checkpoint: own_checkpoint.unwrap_or_default(),
        own_size: head.own_size,
        mirrored_size: head.mirror_size,
        mirrored_checkpoint,
        sent_at: Some(exchange.clock().timestamp()),
    };
    send(outgoing, frame::Frame::Hello(hello)).await?;

    let first = tokio::time::timeout(HELLO_TIME_MAX, incoming.next())
        .await
        .map_err(|_| End::Refused("no Hello came in time".to_owned()))?;
    let theirs = match next_frame(first)? {
        frame::Frame::Hello(hello) => hello,
        frame::Frame::Fault(fault) => return Err(Stop::End(End::PeerFault(Box::new(fault)))),
        _ => {
            return Err(Stop::End(End::Refused(
                "the first frame was no Hello".into(),
            )));
        }
    };
    if theirs.version_min > PROTOCOL_VERSION || theirs.version_max < PROTOCOL_VERSION {
        let text = format!(
            "no version in common: the peer speaks {} to {}, this node {PROTOCOL_VERSION}",
            theirs.version_min, theirs.version_max
        );
        tell(outgoing, FaultCode::Version, "", 0, text.clone()).await;
        return Err(Stop::End(End::Refused(text)));
    }
    if theirs.node != link.peer.as_str() {
        let text = "the Hello names another node than the certificate".to_owned();
        return Err(Stop::End(End::Refused(text)));
    }
    heard(exchange, link, theirs.sent_at.as_ref()).await;
    exchange.judge_peer_log(link, &theirs).await?;
    exchange.judge_own_log(link, &theirs).await
}

/// Takes frames in and hands them to the part they are for. Never waits on the store, so that
/// what is urgent is not stuck behind what is not.
async fn read(
    exchange: &Arc<Exchange>,
    link: &Arc<Link>,
    incoming: &mut Incoming,
    pushes: &mpsc::Sender<v1::Push>,
    cosigned: &mpsc::Sender<String>,
) -> Result<Never, Stop> {
    let beyond = |what: &str| {
        let text = format!("the peer sent more {what} than the window allows");
        Breach::stop(FaultCode::Protocol, &link.mirror, 0, text, Vec::new())
    };
    loop {
        let frame = match next_frame(incoming.next().await) {
            Err(Stop::End(End::Refused(text))) => {
                let code = FaultCode::Protocol;
                return Err(Breach::stop(code, &link.mirror, 0, text, Vec::new()));
            }
            other => other?,
        };
        touch(exchange, link);
        match frame {
            frame::Frame::Push(push) => pushes.try_send(push).map_err(|_| beyond("pushes"))?,
            frame::Frame::Cosigned(note) => cosigned
                .try_send(note.checkpoint)
                .map_err(|_| beyond("cosignatures"))?,
            frame::Frame::Express(express) => exchange.take_express(link, express).await?,
            frame::Frame::Heartbeat(beat) => {
                heard(exchange, link, beat.sent_at.as_ref()).await;
                exchange.take_heartbeat(link, &beat.checkpoint).await?;
            }
            frame::Frame::Fault(fault) => {
                return Err(Stop::End(End::PeerFault(Box::new(fault))));
            }
            frame::Frame::Hello(_) => {
                let text = "a second Hello in one session";
                return Err(Breach::stop(
                    FaultCode::Protocol,
                    &link.mirror,
                    0,
                    text,
                    Vec::new(),
                ));
            }
        }
    }
}

/// Sends a freshly dated checkpoint of the own log now and then, even when nothing is new: it
/// tells *link down* from *ignored*, and proves lateness to an auditor.
async fn pulse(
    exchange: &Exchange,
    link: &Link,
    outgoing: &mpsc::Sender<Frame>,
) -> Result<Never, Stop> {
    let mut ticks = tokio::time::interval(HEARTBEAT_INTERVAL);
    ticks.tick().await;
    loop {
        ticks.tick().await;
        let size = link.head().signable_size;
        let signed = exchange.sign_own_checkpoint(link, size)?;
        let beat = v1::Heartbeat {
            checkpoint: signed.note.clone(),
            sent_at: Some(exchange.clock().timestamp()),
        };
        send(outgoing, frame::Frame::Heartbeat(beat)).await?;
    }
}

pub(crate) async fn send(outgoing: &mpsc::Sender<Frame>, frame: frame::Frame) -> Result<(), Stop> {
    outgoing.send(framed(frame)).await.map_err(|_| {
        Stop::End(End::Lost(ChannelError::Broken(
            "the stream to the peer is closed".to_owned(),
        )))
    })
}

/// # Errors
/// [`End::Refused`] for a frame that is none of the protocol's.
fn next_frame(next: Option<Result<Frame, ChannelError>>) -> Result<frame::Frame, Stop> {
    match next {
        None => Err(Stop::End(End::Closed)),
        Some(Err(error)) => Err(Stop::End(End::Lost(error))),
        Some(Ok(Frame { frame: Some(frame) })) => Ok(frame),
        Some(Ok(Frame { frame: None })) => Err(Stop::End(End::Refused(
            "a frame of no kind known to this version".to_owned(),
        ))),
    }
}

fn touch(exchange: &Exchange, link: &Link) {
    let now = exchange.clock().unix_ms();
    link.presence.send_if_modified(|presence| {
        presence.heard_at_ms = Some(now);
        false
    });
}

/// Notes when the peer was heard and how its clock stands to ours. A skewed clock is flagged and
/// stops nothing: order does not depend on clocks.
async fn heard(exchange: &Exchange, link: &Link, sent_at: Option<&prost_types::Timestamp>) {
    let now_ms = exchange.clock().unix_ms();
    let theirs_ms = sent_at.map(|at| {
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
        let incident = super::Incident {
            at_ms: now_ms,
            peer: link.peer.to_string(),
            what: format!(
                "the peer's clock differs from ours by {} s; one of them is wrong. Messages go on",
                skew_ms / 1_000
            ),
            evidence: Vec::new(),
        };
        exchange.note_incident(incident).await;
    }
}

/// Whether a difference of clocks is beyond the bound.
#[must_use]
pub fn is_skewed(skew_ms: i64) -> bool {
    u128::from(skew_ms.unsigned_abs()) > CLOCK_SKEW_MAX.as_millis()
}

/// A checkpoint of the own log, signed within a session.
pub(crate) type OwnCheckpoint = Verified<SignedCheckpoint>;

//! One session of a link: the symmetrical state machine of both sides.
//!
//! ```text
//! Hello ⇄ Hello → ┬ push    own entries the mirror lacks, express ahead, checkpoints
//!                 ├ mirror  the peer's entries: verify, admit, record, cosign
//!                 ├ settle  the peer's cosignatures: verify, keep
//!                 └ pulse   a dated checkpoint every 60 s, and when a deadline has passed
//! ```
//!
//! All run at once until one of them ends; the first end is the session's. Only what breaks the
//! logs themselves holds the link ([`End::Held`]); everything else is backoff and another try.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_stream::StreamExt as _;
use tokio_util::sync::CancellationToken;

use super::book::Occupant;
use super::channel::{ChannelError, FrameChannel, Incoming};
use super::command::Command;
use super::hold::{self, Hold};
use super::push::Pusher;
use super::read::ReadError;
use super::{Exchange, Link, LogSide, RecordError};
use crate::crypto::Verified;
use crate::crypto::checkpoint::SignedCheckpoint;
use crate::limits::{
    CLOCK_SKEW_MAX, FAREWELL_TIME_MAX, FAULT_TEXT_BYTES_MAX, HEARTBEAT_INTERVAL,
    HEARTBEATS_BURST_MAX, HELLO_TIME_MAX, KEPT_NOTE_BYTES_MAX, SILENCE_TIME_MAX, WINDOW_BYTES_MAX,
    WINDOW_ENTRIES_MAX,
};
use crate::model::{NodeName, Origin};
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
    /// The link is held: the logs do not fit together, or an operator stopped it. Recorded, and
    /// the peer was told.
    Held(Box<Hold>),
    /// The peer told us why it stops.
    PeerFault(Box<v1::Fault>),
    /// The peer spoke out of turn before the session stood; not worth holding a link for.
    Refused(String),
    /// Another session took the link over.
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
                let code_name = code.as_str_name();
                if holds_the_speaker(code) {
                    write!(f, "held by the peer: {code_name}: {text}")
                } else {
                    write!(f, "the peer says {code_name}: {text}")
                }
            }
            Self::Refused(text) => write!(f, "session refused: {text}"),
            Self::Replaced => f.write_str("another session took over"),
            Self::ShuttingDown => f.write_str("this node is going down"),
            Self::Unable(error) => write!(f, "{error}"),
            Self::Unreadable(error) => write!(f, "{error}"),
        }
    }
}

/// Whether the side that says this Fault holds the link. It never holds the side that hears it.
fn holds_the_speaker(code: FaultCode) -> bool {
    !matches!(code, FaultCode::Version | FaultCode::ShuttingDown)
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
        origin: &Origin,
        index: u64,
        text: impl Into<String>,
        evidence: Vec<String>,
    ) -> Stop {
        Stop::Breach(Box::new(Self {
            code,
            origin: origin.to_string(),
            index,
            text: text.into(),
            evidence: evidence.into_iter().map(|e| hold::evidence(&e)).collect(),
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
    if matches!(end, End::ShuttingDown | End::Held(_)) {
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

/// A session's place on its link; free again when dropped, however the session ends.
struct Seat<'a> {
    link: &'a Link,
    serial: u64,
    stop: CancellationToken,
}

impl<'a> Seat<'a> {
    fn take(link: &'a Link, dialled_by: &NodeName) -> Option<Self> {
        let mut slot = link.slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(occupant) = &slot.occupant {
            if occupant.dialled_by < *dialled_by {
                return None;
            }
            occupant.stop.cancel();
        }
        slot.last_serial += 1;
        let (serial, stop) = (slot.last_serial, CancellationToken::new());
        slot.occupant = Some(Occupant {
            serial,
            dialled_by: dialled_by.clone(),
            stop: stop.clone(),
        });
        Some(Self { link, serial, stop })
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut slot = self
            .link
            .slot
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // Another session may have taken the place over.
        if slot
            .occupant
            .as_ref()
            .is_some_and(|occupant| occupant.serial == self.serial)
        {
            slot.occupant = None;
        }
    }
}

/// Shows the link as down when dropped.
struct Standing<'a> {
    link: &'a Link,
    down_reason: String,
}

impl Drop for Standing<'_> {
    fn drop(&mut self) {
        let reason = std::mem::take(&mut self.down_reason);
        self.link.presence.send_modify(|presence| {
            presence.up = false;
            presence.down_reason = Some(reason);
        });
    }
}

/// Waits until the link is held, by whomever; at once if it is.
async fn held(link: &Link) -> Hold {
    let mut heads = link.watch_head();
    let held = heads
        .wait_for(|head| head.held.is_some())
        .await
        .ok()
        .and_then(|head| head.held.clone());
    match held {
        Some(hold) => (*hold).clone(),
        // The sender lives in the link, so this is never reached.
        None => std::future::pending().await,
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
        Stop::End(End::Held(hold)) => {
            let text = format!(
                "the link is held here until an operator has looked: {}: {}",
                hold.code_name(),
                hold.text
            );
            tell(outgoing, FaultCode::Held, &hold.origin, hold.index, text).await;
            End::Held(hold)
        }
        Stop::End(End::PeerFault(fault)) => {
            note_fault(exchange, link, &fault).await;
            End::PeerFault(fault)
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
    drop(tokio::time::timeout(FAREWELL_TIME_MAX, sent).await);
}

/// Lets the peer read what it was told last, until it closes. A stream that is dropped by its dialler
/// at once is reset, and what was on its way is lost.
async fn part(outgoing: mpsc::Sender<Frame>, mut incoming: Incoming) {
    drop(outgoing);
    let closed = async { while let Some(Ok(_)) = incoming.next().await {} };
    drop(tokio::time::timeout(FAREWELL_TIME_MAX, closed).await);
}

/// Records that the peer holds the link because of something this side said. That it is still
/// held, its version and its going down are shown while they last and not recorded each time.
async fn note_fault(exchange: &Exchange, link: &Link, fault: &v1::Fault) {
    let code = FaultCode::try_from(fault.code).unwrap_or(FaultCode::Unspecified);
    if matches!(
        code,
        FaultCode::Held | FaultCode::Version | FaultCode::ShuttingDown
    ) {
        return;
    }
    let incident = super::Incident {
        at_ms: exchange.clock().unix_ms(),
        peer: link.peer.to_string(),
        what: format!(
            "the peer holds the link: {} at index {} of {}: {}",
            code.as_str_name(),
            fault.index,
            crate::model::text::escape(&fault.origin),
            crate::model::text::escape(&fault.text)
        ),
        evidence: Vec::new(),
    };
    exchange.note_incident(incident).await;
}

/// The end by a Fault of the peer, its texts cut to what is worth showing.
fn peer_fault(fault: &v1::Fault) -> Stop {
    let cut = |text| hold::cut(text, FAULT_TEXT_BYTES_MAX).to_owned();
    Stop::End(End::PeerFault(Box::new(v1::Fault {
        code: fault.code,
        origin: cut(&fault.origin),
        index: fault.index,
        text: cut(&fault.text),
    })))
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
    let greeted = match greet(exchange, link, outgoing, incoming).await {
        Err(stop) => return stop,
        Ok(greeted) => greeted,
    };
    link.presence.send_modify(|presence| {
        presence.up = true;
        presence.down_reason = None;
    });
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
    let ended = tokio::try_join!(
        read(exchange, link, incoming, &window, &pushes, &cosigned),
        pusher.run(),
        exchange.mirror(link, outgoing, mirror),
        exchange.settle(link, settle_queue, &cosigned_size),
        pulse(exchange, link, outgoing),
    );
    match ended {
        Err(stop) => stop,
        // Each part runs for ever.
        Ok((never, ..)) => match never {},
    }
}

/// Pushes that a whole window makes at worst: one entry each.
fn window_frames() -> usize {
    usize::try_from(WINDOW_ENTRIES_MAX).unwrap_or(usize::MAX)
}

/// What the peer has pushed and this side has not cosigned yet: bounds the memory that a peer may
/// fill. A peer that keeps to the protocol never meets these bounds, since it counts what it sent
/// until the cosignature has reached it.
#[derive(Debug, Default)]
pub(crate) struct Window {
    entries: AtomicUsize,
    bytes: AtomicUsize,
}

impl Window {
    /// Takes a push in, if it fits.
    fn take(&self, push: &v1::Push) -> bool {
        // An empty push costs as much as one entry.
        let entries = push.items.len().max(1);
        let entries = self.entries.fetch_add(entries, Ordering::Relaxed) + entries;
        let added: usize = push.items.iter().map(item_bytes).sum();
        let bytes = self.bytes.fetch_add(added, Ordering::Relaxed) + added;
        entries <= window_frames() && bytes <= WINDOW_BYTES_MAX
    }

    /// Lets go of what is being cosigned.
    pub(crate) fn give(&self, entries: usize, bytes: usize) {
        self.entries.fetch_sub(entries, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// What an item counts in the window.
pub(crate) fn item_bytes(item: &v1::Item) -> usize {
    item.entry.len() + item.salt.len() + item.body.len()
}

/// What the mirror half of a session starts from.
pub(crate) struct Mirroring<'a> {
    pub(crate) queue: mpsc::Receiver<v1::Push>,
    pub(crate) window: &'a Window,
    /// The mirrored size that the Hello stated.
    pub(crate) next_index: u64,
}

/// A part of a session that runs until the session ends.
pub(crate) enum Never {}

/// Where both logs stand once both Hellos were accepted.
struct Greeted {
    /// How much of the own log the peer has mirrored.
    peer_mirrored: u64,
    /// How much of the peer's log this side said it has mirrored.
    mirror_size: u64,
}

/// Sends and takes the first frames, and judges what the peer says of both logs before anything
/// is signed.
async fn greet(
    exchange: &Exchange,
    link: &Link,
    outgoing: &mpsc::Sender<Frame>,
    incoming: &mut Incoming,
) -> Result<Greeted, Stop> {
    // A session that was replaced may have left a run with the recorder. Its entries must be
    // counted in the Hello: else the peer sends them again, and that would look like a gap.
    exchange.ask(Command::Barrier).await?;
    let head = link.head();
    let mirror = exchange.reader(link, LogSide::Mirror);
    let own = exchange.reader(link, LogSide::Own);
    let own_checkpoint = own.latest_checkpoint()?.map(|(_, note)| note);
    let mirrored_checkpoint = match mirror.checkpoint(head.mirror_size)? {
        None if head.mirror_size == 0 => String::new(),
        // An empty one would look like a lie to the peer, and hold the link.
        None => {
            return Err(Stop::End(End::Unreadable(ReadError::Missing {
                what: "checkpoint",
                origin: link.mirror.to_string(),
                index: head.mirror_size,
            })));
        }
        Some(note) => exchange.cosigned_again(link, &note).await?,
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
        frame::Frame::Fault(fault) => return Err(peer_fault(&fault)),
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
    let peer_mirrored = exchange.judge_own_log(link, &theirs).await?;
    Ok(Greeted {
        peer_mirrored,
        mirror_size: head.mirror_size,
    })
}

/// Takes frames in and hands them to the part they are for. Waits for no push to be recorded and
/// for nothing to be sent, so that what is urgent is not stuck behind what is not.
async fn read(
    exchange: &Arc<Exchange>,
    link: &Arc<Link>,
    incoming: &mut Incoming,
    window: &Window,
    pushes: &mpsc::Sender<v1::Push>,
    cosigned: &watch::Sender<String>,
) -> Result<Never, Stop> {
    let protocol = |text: &str, index| {
        Breach::stop(FaultCode::Protocol, &link.mirror, index, text, Vec::new())
    };
    let mut beats = Beats::new();
    loop {
        let Ok(next) = tokio::time::timeout(SILENCE_TIME_MAX, incoming.next()).await else {
            let text = "the peer has said nothing for three heartbeats".to_owned();
            return Err(Stop::End(End::Lost(ChannelError::Broken(text))));
        };
        let frame = match next_frame(next) {
            Err(Stop::End(End::Refused(text))) => {
                let code = FaultCode::Protocol;
                return Err(Breach::stop(code, &link.mirror, 0, text, Vec::new()));
            }
            other => other?,
        };
        touch(exchange, link);
        match frame {
            frame::Frame::Push(push) => {
                let start_index = push.start_index;
                let note_bytes = push.checkpoint.len();
                if note_bytes > KEPT_NOTE_BYTES_MAX {
                    // It would wait beside the items without being counted in the window.
                    let text = format!(
                        "a checkpoint has {note_bytes} bytes, {KEPT_NOTE_BYTES_MAX} are taken"
                    );
                    let (code, evidence) = (FaultCode::BadCheckpoint, vec![push.checkpoint]);
                    return Err(Breach::stop(
                        code,
                        &link.mirror,
                        start_index,
                        text,
                        evidence,
                    ));
                }
                let fits = window.take(&push);
                if !fits || pushes.try_send(push).is_err() {
                    let text = "the peer sent more than the window allows";
                    return Err(protocol(text, start_index));
                }
            }
            // The newest covers those before it.
            frame::Frame::Cosigned(note) => drop(cosigned.send_replace(note.checkpoint)),
            frame::Frame::Express(express) => exchange.take_express(link, express).await?,
            // Each costs verification and a flush; no honest peer sends so many.
            frame::Frame::Heartbeat(_) if !beats.take() => {
                tracing::debug!(peer = %link.peer, "a heartbeat too many is not looked at");
            }
            frame::Frame::Heartbeat(beat) => {
                heard(exchange, link, beat.sent_at.as_ref()).await;
                exchange.take_heartbeat(link, &beat.checkpoint).await?;
            }
            frame::Frame::Fault(fault) => {
                return Err(peer_fault(&fault));
            }
            frame::Frame::Hello(_) => {
                return Err(protocol("a second Hello in one session", 0));
            }
        }
    }
}

/// Heartbeats that may still be taken: a few at once, then one a second.
struct Beats {
    left: u32,
    since: Instant,
}

impl Beats {
    fn new() -> Self {
        Self {
            left: HEARTBEATS_BURST_MAX,
            since: Instant::now(),
        }
    }

    fn take(&mut self) -> bool {
        let seconds = self.since.elapsed().as_secs();
        if seconds > 0 {
            self.since += Duration::from_secs(seconds);
            let earned = u32::try_from(seconds).unwrap_or(u32::MAX);
            self.left = self.left.saturating_add(earned).min(HEARTBEATS_BURST_MAX);
        }
        let taken = self.left > 0;
        self.left = self.left.saturating_sub(1);
        taken
    }
}

/// Sends a freshly dated checkpoint of the own log now and then, even when nothing is new: it
/// tells *link down* from *ignored*, and proves lateness to an auditor. When a deadline has passed,
/// on either side, it is sent at once: then there is one of that size that is dated later.
async fn pulse(
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

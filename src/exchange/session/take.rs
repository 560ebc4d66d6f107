//! Taking frames in, each for the part of the session that it is for.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_stream::StreamExt as _;

use super::super::channel::{ChannelError, Incoming};
use super::super::quota::Bucket;
use super::super::{Exchange, Link};
use super::farewell::peer_fault;
use super::frames::{heard, next_frame, touch};
use super::window::Window;
use super::witness::Letter;
use super::{Breach, End, Never, Stop};
use crate::limits::{
    FRAMES_BURST_MAX, FRAMES_PER_SECOND_MAX, HEARTBEATS_BURST_MAX, KEPT_NOTE_BYTES_MAX,
    SILENCE_TIME_MAX,
};
use crate::proto::v1::{self, FaultCode, frame};

/// The parts of the session that frames are for.
pub(super) struct Takers<'a> {
    pub(super) pushes: &'a mpsc::Sender<v1::Push>,
    pub(super) cosigned: &'a watch::Sender<String>,
    pub(super) journal: &'a mpsc::Sender<Letter>,
}

/// Takes frames in and hands them to the part they are for. Waits for no push to be recorded and
/// for nothing to be sent, so that what is urgent is not stuck behind what is not.
pub(super) async fn read(
    exchange: &Arc<Exchange>,
    link: &Arc<Link>,
    incoming: &mut Incoming,
    window: &Window,
    takers: &Takers<'_>,
) -> Result<Never, Stop> {
    let protocol = |text: &str, index| {
        Breach::stop(FaultCode::Protocol, &link.mirror, index, text, Vec::new())
    };
    let mut beats = Beats::new();
    let mut frames = Bucket::new(FRAMES_PER_SECOND_MAX, FRAMES_BURST_MAX);
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
        // Whoever sends more is not read: the stream fills, and it waits.
        while let Err(wait) = frames.take(1, Instant::now()) {
            tokio::time::sleep(wait).await;
        }
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
                if !fits || takers.pushes.try_send(push).is_err() {
                    let text = "the peer sent more than the window allows";
                    return Err(protocol(text, start_index));
                }
            }
            // The newest covers those before it.
            frame::Frame::Cosigned(note) => {
                link.no_longer_slowed();
                drop(takers.cosigned.send_replace(note.checkpoint));
            }
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
            // More than can be looked at is not looked at; who offers tries again.
            frame::Frame::JournalOffer(offer) => {
                drop(takers.journal.try_send(Letter::Offer(offer)));
            }
            frame::Frame::JournalAnswer(answer) => {
                drop(takers.journal.try_send(Letter::Answer(answer)));
            }
            frame::Frame::Slowed(slowed) => exchange.slowed_by_peer(link, &slowed).await,
            frame::Frame::Hello(_) => {
                return Err(protocol("a second Hello in one session", 0));
            }
            frame::Frame::Fetch(_) | frame::Frame::Fetched(_) => {
                return Err(protocol("a fetch in a session in which nobody restores", 0));
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

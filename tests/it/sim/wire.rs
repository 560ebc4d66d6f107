//! The wires between two nodes, and who sits on them: partitions, delays, breaks, and a man in the
//! middle who repeats, drops, swaps and plays back frames.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use liaison::exchange::channel::{self, FrameChannel, Incoming};
use liaison::model::{Header, MessageId};
use liaison::proto::v1::{self, Frame, frame};
use prost::Message as _;
use sha2::{Digest as _, Sha256};
use tokio::sync::{Notify, mpsc};
use tokio_stream::StreamExt as _;
use tokio_util::sync::CancellationToken;

use super::dice::Dice;
use super::disk::Disk;
use super::life::{Kind, Life, Point};
use super::notary::{Notary, Who};

/// What lies between the two machines, whatever runs on them.
#[derive(Debug, Clone)]
pub(crate) struct Net {
    /// Whether nothing arrives, by the speaker.
    blocked: Arc<Mutex<[bool; 2]>>,
    /// Told when something may arrive again. A watch channel wakes who waits in a random order.
    opened: Arc<Notify>,
    pub(crate) notary: Notary,
    /// Every frame that arrived on any wire: two runs of one seed have the same.
    trace: Arc<Mutex<Vec<Arrival>>>,
    /// Frames of earlier wires, by the speaker, for the man in the middle.
    past: Arc<Mutex<[Vec<Frame>; 2]>>,
    /// What arrived, in order, while somebody keeps it.
    tap: Arc<Mutex<Option<Heard>>>,
    /// Urgent messages that arrived ahead of their turn: to whom, on which wire.
    arrived: Arc<Mutex<Vec<(Who, u64, MessageId)>>>,
}

/// Frames in the order in which they arrived, by speaker.
pub(crate) type Heard = Vec<(Who, Frame)>;

/// A frame that arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Arrival {
    speaker: Who,
    wire: u64,
    kind: Kind,
    digest: [u8; 32],
}

/// How a wire treats its frames.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manners {
    /// Frames, both ways together, after which it breaks.
    pub(crate) lifetime: u64,
    /// Whether frames may be late.
    pub(crate) slow: bool,
    /// Whether a man in the middle is at work.
    pub(crate) meddled: bool,
}

/// Of one end of a wire.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    pub(crate) life: Life,
    pub(crate) disk: Disk,
}

impl Net {
    pub(crate) fn new(notary: Notary) -> Self {
        Self {
            blocked: Arc::default(),
            opened: Arc::default(),
            notary,
            trace: Arc::default(),
            past: Arc::default(),
            tap: Arc::default(),
            arrived: Arc::default(),
        }
    }

    /// What `speaker` says arrives nowhere, or does again.
    pub(crate) fn set_blocked(&self, speaker: Who, blocked: bool) {
        self.blocked.lock().unwrap()[speaker] = blocked;
        self.opened.notify_waiters();
    }

    pub(crate) fn is_whole(&self) -> bool {
        *self.blocked.lock().unwrap() == [false; 2]
    }

    /// Waits until what a speaker says arrives.
    async fn open(&self, speaker: Who) {
        loop {
            // Made before it is looked at: so no change is missed.
            let opened = self.opened.notified();
            if !self.blocked.lock().unwrap()[speaker] {
                return;
            }
            opened.await;
        }
    }

    pub(crate) fn trace(&self) -> Vec<Arrival> {
        self.trace.lock().unwrap().clone()
    }

    /// Keeps what arrives from now on, by speaker; gives what was kept before.
    pub(crate) fn tap(&self) -> Heard {
        let mut tap = self.tap.lock().unwrap();
        tap.replace(Vec::new()).unwrap_or_default()
    }

    /// The urgent messages that arrived since the last call.
    pub(crate) fn take_arrived(&self) -> Vec<(Who, u64, MessageId)> {
        std::mem::take(&mut *self.arrived.lock().unwrap())
    }

    /// Lays a wire between two processes.
    pub(crate) fn lay(
        &self,
        number: u64,
        hosts: &[Host; 2],
        manners: Manners,
        dice: &mut Dice,
    ) -> (FrameChannel, FrameChannel) {
        let (left, left_far) = channel::pair();
        let (right, right_far) = channel::pair();
        let cut = CancellationToken::new();
        let carried = Arc::new(Mutex::new(0));
        let mut way = |speaker: Who| Way {
            speaker,
            number,
            net: self.clone(),
            from: hosts[speaker].clone(),
            to: hosts[1 - speaker].clone(),
            manners,
            dice: dice.split(),
            cut: cut.clone(),
            carried: Arc::clone(&carried),
            kept_back: None,
        };
        let (forth, back) = (way(0), way(1));
        tokio::spawn(forth.carry(left_far.incoming, right_far.outgoing));
        tokio::spawn(back.carry(right_far.incoming, left_far.outgoing));
        (left, right)
    }
}

/// One direction of one wire.
struct Way {
    speaker: Who,
    number: u64,
    net: Net,
    from: Host,
    to: Host,
    manners: Manners,
    dice: Dice,
    cut: CancellationToken,
    carried: Arc<Mutex<u64>>,
    /// A frame that waits to be overtaken.
    kept_back: Option<Frame>,
}

impl Way {
    async fn carry(mut self, from: Incoming, to: mpsc::Sender<Frame>) {
        let cut = self.cut.clone();
        let broken = tokio::select! {
            biased;
            () = cut.cancelled() => true,
            broken = self.carry_all(from, &to) => broken,
        };
        if broken {
            self.cut.cancel();
        }
    }

    /// Carries until the speaker's end closes, or the wire breaks: then it says so.
    async fn carry_all(&mut self, mut from: Incoming, to: &mpsc::Sender<Frame>) -> bool {
        while let Some(Ok(frame)) = from.next().await {
            let kind = kind_of(&frame);
            if !self.from.life.pass(Point::Sending(kind)) {
                return false;
            }
            self.net.notary.see(self.speaker, &self.from.disk, &frame);
            self.from.disk.frame_left();
            let is_last = !self.from.life.pass(Point::Sent(kind));
            let frames = if self.manners.meddled {
                self.meddle(frame)
            } else {
                vec![frame]
            };
            for frame in frames {
                if self.manners.slow && self.dice.one_in(4) {
                    let ms = self.dice.below(2_000);
                    tokio::time::sleep(Duration::from_millis(ms)).await;
                }
                self.net.open(self.speaker).await;
                if !self.deliver(frame, to).await {
                    return true;
                }
            }
            if is_last {
                return false;
            }
            let mut carried = self.carried.lock().unwrap();
            *carried += 1;
            if *carried > self.manners.lifetime {
                return true;
            }
        }
        false
    }

    async fn deliver(&self, frame: Frame, to: &mpsc::Sender<Frame>) -> bool {
        if !self.to.life.pass(Point::Received(kind_of(&frame))) {
            return false;
        }
        {
            let mut trace = self.net.trace.lock().unwrap();
            trace.push(Arrival {
                speaker: self.speaker,
                wire: self.number,
                kind: kind_of(&frame),
                digest: Sha256::digest(frame.encode_to_vec()).into(),
            });
        }
        if let Some(tap) = &mut *self.net.tap.lock().unwrap() {
            tap.push((self.speaker, frame.clone()));
        }
        if let Some(frame::Frame::Express(express)) = &frame.frame
            && let Some(id) = id_of(express)
            && !self.manners.meddled
        {
            let to = 1 - self.speaker;
            let mut arrived = self.net.arrived.lock().unwrap();
            arrived.push((to, self.number, id));
        }
        to.send(frame).await.is_ok()
    }

    /// What the man in the middle lets through in the place of a frame.
    fn meddle(&mut self, frame: Frame) -> Vec<Frame> {
        let mut past = self.net.past.lock().unwrap();
        let past = &mut past[self.speaker];
        if past.len() < 200 {
            past.push(frame.clone());
        }
        let mut frames = match self.dice.below(24) {
            0 => vec![frame.clone(), frame],
            1 => vec![],
            2 if self.kept_back.is_none() => {
                self.kept_back = Some(frame);
                return vec![];
            }
            3 => vec![past[self.dice.index(past.len())].clone(), frame],
            4 => vec![frame, past[self.dice.index(past.len())].clone()],
            _ => vec![frame],
        };
        frames.extend(self.kept_back.take());
        frames
    }
}

fn kind_of(frame: &Frame) -> Kind {
    match frame.frame.as_ref() {
        Some(frame::Frame::Hello(_)) => Kind::Hello,
        Some(frame::Frame::Push(_)) => Kind::Push,
        Some(frame::Frame::Cosigned(_)) => Kind::Cosigned,
        Some(frame::Frame::Express(_)) => Kind::Express,
        Some(frame::Frame::Heartbeat(_)) => Kind::Heartbeat,
        Some(frame::Frame::Fault(_)) => Kind::Fault,
        _ => Kind::Other,
    }
}

fn id_of(express: &v1::Express) -> Option<MessageId> {
    let item = express.item.as_ref()?;
    let entry = v1::Entry::decode(item.entry.clone()).ok()?;
    Some(Header::parse(&entry.payload).ok()?.id)
}

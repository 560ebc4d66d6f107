//! The seam between a session and what carries it: frames out, frames in.

use std::fmt;
use std::pin::Pin;

use tokio::sync::mpsc;
use tokio_stream::Stream;

use crate::proto::v1::Frame;

/// Frames waiting to be carried. Small, so that what is urgent does not queue behind what is not.
pub const OUTGOING_FRAMES_MAX: usize = 2;

/// Why a frame did not come.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChannelError {
    /// The carrier broke; dial again.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// The peer sent what the carrier does not take, such as an oversize frame.
    #[error("the peer sent something that is no frame: {0}")]
    NotAFrame(String),
}

/// A stream of frames from the peer; ends when the peer closes.
pub type Incoming = Pin<Box<dyn Stream<Item = Result<Frame, ChannelError>> + Send>>;

/// Both directions of one session. Order is kept, nothing is doubled; anything may be cut off at
/// any point.
pub struct FrameChannel {
    /// To the peer.
    pub outgoing: mpsc::Sender<Frame>,
    /// From the peer.
    pub incoming: Incoming,
}

impl fmt::Debug for FrameChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FrameChannel")
    }
}

/// Two ends of a channel within one process, for simulations and tests.
#[must_use]
pub fn pair() -> (FrameChannel, FrameChannel) {
    let (a_out, b_in) = mpsc::channel(OUTGOING_FRAMES_MAX);
    let (b_out, a_in) = mpsc::channel(OUTGOING_FRAMES_MAX);
    (end(a_out, a_in), end(b_out, b_in))
}

fn end(outgoing: mpsc::Sender<Frame>, incoming: mpsc::Receiver<Frame>) -> FrameChannel {
    use tokio_stream::StreamExt as _;
    let incoming = tokio_stream::wrappers::ReceiverStream::new(incoming);
    FrameChannel {
        outgoing,
        incoming: Box::pin(incoming.map(Ok)),
    }
}

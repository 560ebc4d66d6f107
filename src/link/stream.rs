//! A gRPC stream as a frame channel, from either end.

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Code, Status, Streaming};

use crate::exchange::channel::{ChannelError, FrameChannel, OUTGOING_FRAMES_MAX};
use crate::limits::FRAME_BYTES_MAX;
use crate::proto::v1::exchange_service_client::ExchangeServiceClient;
use crate::proto::v1::{Frame, SessionRequest, SessionResponse};

/// Opens a session at the peer over a dialled connection.
///
/// A TLS 1.3 client learns that its certificate was refused only with the first answer, so this
/// call is also what tells a connection that works from one that was refused.
///
/// # Errors
/// What the peer or the connection answered.
pub async fn open(
    client: &mut ExchangeServiceClient<tonic::transport::Channel>,
) -> Result<FrameChannel, Status> {
    let (outgoing, queue) = mpsc::channel::<Frame>(OUTGOING_FRAMES_MAX);
    let requests = ReceiverStream::new(queue).map(|frame| SessionRequest { frame: Some(frame) });
    let responses = client.session(requests).await?.into_inner();
    Ok(FrameChannel {
        outgoing,
        incoming: Box::pin(frames(responses, |response: SessionResponse| {
            response.frame
        })),
    })
}

/// The frames of a session that was opened here, and the queue of those to be sent.
pub(super) fn opened_here(
    requests: Streaming<SessionRequest>,
) -> (FrameChannel, mpsc::Receiver<Frame>) {
    let (outgoing, queue) = mpsc::channel::<Frame>(OUTGOING_FRAMES_MAX);
    let channel = FrameChannel {
        outgoing,
        incoming: Box::pin(frames(requests, |request: SessionRequest| request.frame)),
    };
    (channel, queue)
}

fn frames<T: Send + 'static>(
    stream: Streaming<T>,
    frame: impl Fn(T) -> Option<Frame> + Send + 'static,
) -> impl Stream<Item = Result<Frame, ChannelError>> + Send {
    stream.map(move |next| match next {
        // A message without a frame is a frame of no kind.
        Ok(message) => Ok(frame(message).unwrap_or_default()),
        Err(status) => Err(error_of(&status)),
    })
}

fn error_of(status: &Status) -> ChannelError {
    let text = crate::model::text::escape(status.message()).into_owned();
    match status.code() {
        Code::OutOfRange | Code::ResourceExhausted => ChannelError::NotAFrame(format!(
            "larger than {FRAME_BYTES_MAX} bytes, or too many at once: {text}"
        )),
        Code::Internal if text.contains("decode") => ChannelError::NotAFrame(text),
        code => ChannelError::Broken(format!("{code:?}: {text}")),
    }
}

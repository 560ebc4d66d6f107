//! What a node serves to its peers: sessions, and attachments beside them.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt as _};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::{Request, Response, Status, Streaming};

use super::connection::ConnectInfo;
use super::identity::Identity;
use super::stream::opened_here;
use crate::exchange::layout::{FileRef, LinkNumber};
use crate::exchange::quota::Bucket;
use crate::exchange::{Exchange, Link, LogSide, session};
use crate::limits::{
    CHUNK_BYTES_MAX, FRAME_BYTES_MAX, LINK_TRANSFERS_MAX, SESSIONS_BURST_MAX,
    SESSIONS_PER_SECOND_MAX, SESSIONS_WAITING_MAX, SILENCE_TIME_MAX,
};
use crate::proto::v1::exchange_service_server::{ExchangeService, ExchangeServiceServer};
use crate::proto::v1::put_attachment_request::Part;
use crate::proto::v1::{self, SessionRequest, SessionResponse};
use crate::store::{Blobs, StoreError};

/// Chunks of an attachment on their way to the peer.
const CHUNKS_AHEAD: usize = 4;

/// The exchange as peers see it.
#[derive(Debug)]
pub struct ExchangeDoor {
    exchange: Arc<Exchange>,
    shutdown: CancellationToken,
    tasks: TaskTracker,
    /// Attachments that each peer may have under way.
    transfers: BTreeMap<LinkNumber, Arc<Semaphore>>,
    /// How often each peer may open a session.
    paces: BTreeMap<LinkNumber, Pace>,
}

/// How often a peer may open a session, and how many wait for it.
#[derive(Debug)]
struct Pace {
    bucket: Mutex<Bucket>,
    waiting: Semaphore,
}

impl Pace {
    fn new() -> Self {
        Self {
            bucket: Mutex::new(Bucket::new(SESSIONS_PER_SECOND_MAX, SESSIONS_BURST_MAX)),
            waiting: Semaphore::new(SESSIONS_WAITING_MAX),
        }
    }

    /// Waits until one more session may be opened: a peer that dials and hangs up costs no more than
    /// one that stays.
    async fn keep(&self) -> Result<(), Status> {
        let take = || {
            let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
            bucket.take(1, Instant::now())
        };
        if take().is_ok() {
            return Ok(());
        }
        let Ok(_place) = self.waiting.try_acquire() else {
            return Err(Status::resource_exhausted(
                "sessions are opened too often; wait some seconds before the next",
            ));
        };
        while let Err(wait) = take() {
            tokio::time::sleep(wait).await;
        }
        Ok(())
    }
}

impl ExchangeDoor {
    /// The service, with its limits set. Sessions run as `tasks` and end at `shutdown`.
    #[must_use]
    pub fn service(
        exchange: Arc<Exchange>,
        shutdown: CancellationToken,
        tasks: TaskTracker,
    ) -> ExchangeServiceServer<Self> {
        let permits = || Arc::new(Semaphore::new(LINK_TRANSFERS_MAX));
        let transfers = exchange.links().map(|link| (link.number, permits()));
        ExchangeServiceServer::new(Self {
            transfers: transfers.collect(),
            paces: exchange
                .links()
                .map(|link| (link.number, Pace::new()))
                .collect(),
            exchange,
            shutdown,
            tasks,
        })
        .max_decoding_message_size(FRAME_BYTES_MAX)
        .max_encoding_message_size(FRAME_BYTES_MAX)
    }

    /// The link of whoever called: the name that TLS has shown, and no other.
    fn link_of<T>(&self, request: &Request<T>) -> Result<(Arc<Link>, ConnectInfo), Status> {
        let info = request
            .extensions()
            .get::<ConnectInfo>()
            .ok_or_else(|| Status::unauthenticated("no identity"))?;
        let Identity::Peer(peer) = &info.identity else {
            return Err(Status::permission_denied("only a peer node may call this"));
        };
        let link = self
            .exchange
            .link(peer.node.as_str())
            .ok_or_else(|| Status::permission_denied("no link with this node"))?;
        Ok((Arc::clone(link), info.clone()))
    }

    /// The size of a file that may be put: a message of the peer names it, or it was lost here.
    fn wanted(&self, link: &Link, sha256: &[u8; 32]) -> Result<Option<u64>, StoreError> {
        match self.exchange.named_file(link, LogSide::Mirror, sha256)? {
            Some(size) => Ok(Some(size)),
            None => self.exchange.takes_back(link, sha256),
        }
    }

    /// A place for one more attachment of this peer.
    fn transfer_of(&self, link: &Link) -> Result<OwnedSemaphorePermit, Status> {
        self.transfers
            .get(&link.number)
            .and_then(|places| Arc::clone(places).try_acquire_owned().ok())
            .ok_or_else(|| Status::resource_exhausted("too many attachments at a time"))
    }
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl ExchangeService for ExchangeDoor {
    type SessionStream = Answers<SessionResponse>;
    type GetAttachmentStream = Answers<v1::GetAttachmentResponse>;

    async fn session(
        &self,
        request: Request<Streaming<SessionRequest>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let (link, info) = self.link_of(&request)?;
        if let Some(pace) = self.paces.get(&link.number) {
            pace.keep().await?;
        }
        let (channel, queue) = opened_here(request.into_inner());
        let exchange = Arc::clone(&self.exchange);
        let shutdown = self.shutdown.clone();
        self.tasks.spawn(async move {
            let dialler = link.peer.clone();
            // The session itself ends in order, so that it leaves its place on the link.
            let stop = shutdown.child_token();
            let session = session::run(&exchange, &link, &dialler, channel, &stop);
            tokio::pin!(session);
            let end = tokio::select! {
                end = &mut session => end,
                () = info.ending.retiring() => {
                    stop.cancel();
                    session.await
                }
            };
            tracing::info!(peer = %link.peer, remote = %info.remote, %end, "session ended");
        });
        let frames = ReceiverStream::new(queue);
        Ok(Response::new(Box::pin(
            frames.map(|frame| Ok(SessionResponse { frame: Some(frame) })),
        )))
    }

    async fn stat_attachment(
        &self,
        request: Request<v1::StatAttachmentRequest>,
    ) -> Result<Response<v1::StatAttachmentResponse>, Status> {
        let (link, _) = self.link_of(&request)?;
        let sha256 = digest(&request.get_ref().sha256)?;
        let wanted = self
            .wanted(&link, &sha256)
            .map_err(|error| status_of(&error))?;
        let Some(size) = wanted else {
            return Ok(Response::new(v1::StatAttachmentResponse::default()));
        };
        let blobs = self.exchange.blobs_of(&link).map_err(|e| status_of(&e))?;
        let complete = blobs.size(&sha256).map_err(|e| status_of(&e))? == Some(size);
        let held_bytes = if complete {
            size
        } else {
            blobs.partial(&sha256).map_err(|e| status_of(&e))?
        };
        Ok(Response::new(v1::StatAttachmentResponse {
            held_bytes,
            complete,
            wanted: true,
        }))
    }

    async fn put_attachment(
        &self,
        request: Request<Streaming<v1::PutAttachmentRequest>>,
    ) -> Result<Response<v1::PutAttachmentResponse>, Status> {
        let (link, _) = self.link_of(&request)?;
        let _place = self.transfer_of(&link)?;
        let mut parts = request.into_inner();
        let first = in_time(parts.message()).await?;
        let Some(Part::Start(start)) = first.and_then(|m| m.part) else {
            return Err(Status::invalid_argument("the first part is not a start"));
        };
        let sha256 = digest(&start.sha256)?;
        let wanted = self
            .wanted(&link, &sha256)
            .map_err(|error| status_of(&error))?;
        if wanted != Some(start.size) {
            return Err(Status::failed_precondition(
                "no message admitted here names this file with this size",
            ));
        }
        let part = self.exchange.blobs_of(&link).map_err(|e| status_of(&e))?;
        let mut held_bytes = start.offset;
        while let Some(message) = in_time(parts.message()).await? {
            let Some(Part::Chunk(chunk)) = message.part else {
                return Err(Status::invalid_argument("a second start"));
            };
            if chunk.len() > CHUNK_BYTES_MAX {
                return Err(Status::invalid_argument("a chunk over 256 KiB"));
            }
            if held_bytes.saturating_add(chunk.len() as u64) > start.size {
                return Err(Status::invalid_argument("more bytes than announced"));
            }
            let over = |over| Status::resource_exhausted(format!("your quota: {over}"));
            let taken = self.exchange.charge_file(&link, chunk.len());
            let charge = taken.map_err(|error| status_of(&error))?.map_err(over)?;
            let blobs = Arc::clone(&part);
            held_bytes = blocking(move || {
                let held_bytes = blobs.write_at(&sha256, held_bytes, &chunk)?;
                charge.keep();
                Ok(held_bytes)
            })
            .await?;
        }
        // What holds more than that is a file that cannot go on: then it is begun again.
        let complete = held_bytes >= start.size;
        if complete {
            let file = FileRef {
                sha256,
                size: start.size,
            };
            finish(&self.exchange, &link, part, file).await?;
            self.exchange.file_arrived(&link);
        }
        Ok(Response::new(v1::PutAttachmentResponse {
            held_bytes,
            complete,
        }))
    }

    async fn get_attachment(
        &self,
        request: Request<v1::GetAttachmentRequest>,
    ) -> Result<Response<Self::GetAttachmentStream>, Status> {
        let (link, _) = self.link_of(&request)?;
        let v1::GetAttachmentRequest { sha256, offset } = request.into_inner();
        let sha256 = digest(&sha256)?;
        // What the peer sent is the peer's: it may have lost it.
        let named = |side| {
            self.exchange
                .named_file(&link, side, &sha256)
                .map_err(|error| status_of(&error))
        };
        if named(LogSide::Own)?.is_none() && named(LogSide::Mirror)?.is_none() {
            return Err(Status::not_found("no message on this link names this file"));
        }
        let place = self.transfer_of(&link)?;
        let (sender, receiver) = mpsc::channel(CHUNKS_AHEAD);
        let exchange = Arc::clone(&self.exchange);
        let mut offset = offset;
        // No thread waits for the peer to read on: there are only so many that may block.
        tokio::spawn(async move {
            loop {
                let blobs = Arc::clone(exchange.blobs());
                let read = blocking(move || blobs.read_at(&sha256, offset, CHUNK_BYTES_MAX)).await;
                let answer = match read {
                    Ok(Some(chunk)) if chunk.is_empty() => break,
                    Ok(Some(chunk)) => {
                        offset = offset.saturating_add(chunk.len() as u64);
                        Ok(v1::GetAttachmentResponse {
                            chunk: chunk.into(),
                        })
                    }
                    Ok(None) => Err(Status::unavailable("the file is not here")),
                    Err(status) => Err(status),
                };
                let last = answer.is_err();
                let sent = tokio::time::timeout(SILENCE_TIME_MAX, sender.send(answer)).await;
                if !matches!(sent, Ok(Ok(()))) || last {
                    break;
                }
            }
            drop(place);
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}

fn digest(bytes: &[u8]) -> Result<[u8; 32], Status> {
    bytes
        .try_into()
        .map_err(|_| Status::invalid_argument("sha256 has not 32 bytes"))
}

/// Waits for the peer, but not for ever.
pub(super) async fn in_time<T>(
    answer: impl Future<Output = Result<T, Status>>,
) -> Result<T, Status> {
    tokio::time::timeout(SILENCE_TIME_MAX, answer)
        .await
        .unwrap_or_else(|_| Err(Status::deadline_exceeded("nothing came for three minutes")))
}

/// Publishes a file that has come whole. What was erased while it came is not: it is dropped, and its
/// key destroyed.
pub(super) async fn finish(
    exchange: &Exchange,
    link: &Link,
    part: Arc<Blobs>,
    file: FileRef,
) -> Result<(), Status> {
    // From the look at what is named until the file has its name.
    let _alone = exchange.no_erasure().await;
    let named = exchange.is_file_named(link, &file.sha256);
    if named.map_err(|error| status_of(&error))? {
        return blocking(move || part.finish(&file.sha256, file.size)).await;
    }
    if let Err(error) = exchange.drop_unfinished(part, file.sha256).await {
        tracing::warn!(peer = %link.peer, %error, "what came of an erased file was not dropped");
    }
    Err(Status::failed_precondition(
        "no message here names this file any more",
    ))
}

/// Runs disk work off the runtime's threads.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Status> {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(status_of(&error)),
        Err(_) => Err(Status::aborted("the node is going down")),
    }
}

/// What a peer is told of a fault of this store: enough to try again, nothing of the disk.
fn status_of(error: &StoreError) -> Status {
    tracing::warn!(%error, "an attachment call failed");
    match error {
        StoreError::BlobOffset { held, .. } => {
            Status::failed_precondition(format!("{held} bytes are held; go on from there"))
        }
        StoreError::BlobDigest { .. } => {
            Status::data_loss("the content does not match its digest; send it again")
        }
        StoreError::BlobBusy { .. } => Status::unavailable("another transfer of it is running"),
        StoreError::BlobTooLarge { .. } => Status::invalid_argument("larger than is taken"),
        StoreError::Full { .. } => Status::resource_exhausted("the disk is full"),
        _ => Status::internal("the store failed"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn sessions_are_opened_so_many_at_once_and_then_one_a_second() {
        let pace = Arc::new(Pace::new());
        for _ in 0..SESSIONS_BURST_MAX {
            pace.keep().await.unwrap();
        }
        let began = Instant::now();
        let waiting: Vec<_> = (0..SESSIONS_WAITING_MAX)
            .map(|_| {
                let pace = Arc::clone(&pace);
                tokio::spawn(async move { pace.keep().await })
            })
            .collect();
        while pace.waiting.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        // One more than may wait is told so at once.
        let refused = pace.keep().await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::ResourceExhausted);
        assert_eq!(began.elapsed(), Duration::ZERO);
        for kept in waiting {
            kept.await.unwrap().unwrap();
        }
        // Paused, the clock goes on only where something waits for it.
        let seconds = SESSIONS_WAITING_MAX as u64 / u64::from(SESSIONS_PER_SECOND_MAX);
        assert!(began.elapsed() >= Duration::from_secs(seconds));
        // A place is given back by whoever has waited.
        pace.keep().await.unwrap();
    }
}

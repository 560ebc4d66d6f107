//! Everything that the node keeps, for its administrators: one backup at a time.
//!
//! It holds every body and every attachment as they lie: sealed, and without their keys. So an
//! administrator, who sees no body, sees none in it either; nothing is ever opened for a backup. What
//! lies unsealed, of a time before this node sealed, is given as it is.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::caller::{Access, Caller, Method};
use super::errors::DeskError;
use super::service::{admit, answer};
use super::{Desk, blocking};
use crate::exchange::Exchange;
use crate::exchange::backup::source::SourceError;
use crate::journal::Act;
use crate::limits::{BACKUP_HELD_MAX, CHUNK_BYTES_MAX, READER_TIME_MAX};
use crate::link::connection::ConnectInfo;
use crate::link::identity::Identity;
use crate::proto::v1;
use crate::proto::v1::backup_service_server::BackupService;
use crate::store::{Blobs, StoreError};

/// Pieces between the disk and the network, each of 1 MiB at most.
const AHEAD_PIECES: usize = 4;
/// Parts of a file between the disk and the network.
const AHEAD_CHUNKS: usize = 4;

type Pieces = ReceiverStream<Result<v1::BackupResponse, Status>>;
type Chunks = ReceiverStream<Result<v1::BackupFileResponse, Status>>;

#[tonic::async_trait]
impl BackupService for Arc<Desk> {
    type BackupStream = Pieces;

    async fn backup(
        &self,
        request: Request<v1::BackupRequest>,
    ) -> Result<Response<Pieces>, Status> {
        let caller = admit_keeper(&request, Method::Backup)?;
        tracing::info!(%caller, "a backup is asked for: everything that is kept, as it lies");
        let deed = Desk::deed(&caller, Act::BackedUp);
        let result = match self.note(deed).await {
            Ok(()) => Desk::backup(self, request.into_inner()).await,
            Err(error) => Err(error),
        };
        answer(&caller, Method::Backup, result)
    }

    type BackupFileStream = Chunks;

    async fn backup_file(
        &self,
        request: Request<v1::BackupFileRequest>,
    ) -> Result<Response<Chunks>, Status> {
        let caller = admit_keeper(&request, Method::Backup)?;
        let result = Desk::backup_file(self, &caller, request.get_ref()).await;
        answer(&caller, Method::Backup, result)
    }
}

/// An administrator, or the node's own user at the socket.
pub(super) fn admit_keeper<T>(request: &Request<T>, method: Method) -> Result<Caller, Status> {
    let (caller, access) = admit(request, method)?;
    if access == Access::Full || is_at_socket(request) {
        return Ok(caller);
    }
    let error = DeskError::NotAtSocket;
    Err(super::service::refused(&caller, method, error))
}

/// Whether the caller is the node's own user at its socket.
fn is_at_socket<T>(request: &Request<T>) -> bool {
    let info = request.extensions().get::<ConnectInfo>();
    info.is_some_and(|info| matches!(info.identity, Identity::Unix(_)))
}

/// Why a piece could not be handed on.
#[derive(Debug, thiserror::Error)]
enum Gone {
    #[error("the reader has gone")]
    Reader,
    #[error("the reader does not read on")]
    NotRead,
    #[error("the node is going down")]
    Node,
}

impl Desk {
    async fn backup(self: &Arc<Self>, request: v1::BackupRequest) -> Result<Pieces, DeskError> {
        if request.held.len() > BACKUP_HELD_MAX {
            return Err(DeskError::field(
                "held",
                format!("more than {BACKUP_HELD_MAX} logs"),
                "name each log of this node once",
            ));
        }
        let permit = Arc::clone(&self.backups).try_acquire_owned();
        let permit = permit.map_err(|_| DeskError::Crowded { what: "backups" })?;
        let moment = self.exchange.moment().await?;
        let (pieces, stream) = mpsc::channel(AHEAD_PIECES);
        let desk = Arc::clone(self);
        let runtime = tokio::runtime::Handle::current();
        tokio::task::spawn_blocking(move || {
            let mut give = |piece| {
                if desk.stop.is_cancelled() {
                    return Err(Gone::Node);
                }
                let sent =
                    async { tokio::time::timeout(READER_TIME_MAX, pieces.send(Ok(piece))).await };
                match runtime.block_on(sent) {
                    Ok(sent) => sent.map_err(|_| Gone::Reader),
                    Err(_) => Err(Gone::NotRead),
                }
            };
            let given = desk.exchange.give_backup(&moment, &request.held, &mut give);
            let error = match given {
                Ok(()) | Err(SourceError::Sink(Gone::Reader)) => None,
                Err(SourceError::Sink(Gone::NotRead)) => Some(DeskError::NotRead),
                Err(SourceError::Sink(Gone::Node)) => Some(DeskError::Stopping),
                Err(SourceError::Store(error)) => Some(error.into()),
                Err(SourceError::Read(error)) => Some(error.into()),
                Err(error @ SourceError::Damaged { .. }) => {
                    Some(DeskError::Damaged(error.to_string()))
                }
                Err(error @ SourceError::UnknownRegion { .. }) => {
                    Some(DeskError::Export(error.to_string()))
                }
            };
            if let Some(error) = error {
                tracing::warn!(reason = error.reason(), "a backup has ended early");
                // Not for ever: a stream without its end is not taken for the whole either.
                let sent = async {
                    tokio::time::timeout(READER_TIME_MAX, pieces.send(Err(error.into()))).await
                };
                drop(runtime.block_on(sent));
            }
            drop(permit);
        });
        Ok(ReceiverStream::new(stream))
    }

    async fn backup_file(
        self: &Arc<Self>,
        caller: &Caller,
        request: &v1::BackupFileRequest,
    ) -> Result<Chunks, DeskError> {
        let sha256 = <[u8; 32]>::try_from(&request.sha256[..])
            .map_err(|_| DeskError::field("sha256", "it has not 32 bytes", "give a SHA-256"))?;
        let blobs = Arc::clone(self.exchange.blobs());
        let file = match &request.content_sha256[..] {
            [] => NamedFile::AsItIs(sha256),
            content => NamedFile::Sealed(content.try_into().map_err(|_| {
                let fault = "it has neither 32 bytes nor none";
                DeskError::field("contentSha256", fault, "give the one of Backup's answer")
            })?),
        };
        let size = blocking(move || Ok(file.size(&blobs)?)).await?;
        let size = size.ok_or(DeskError::NoFile)?;
        self.note_counted(Self::deed(caller, Act::BackedUp).what("files"))
            .await?;
        let seat = self.downloads.take(caller);
        let seat = seat.ok_or(DeskError::Crowded { what: "downloads" })?;
        let (chunks, stream) = mpsc::channel(AHEAD_CHUNKS);
        let (exchange, stop) = (Arc::clone(&self.exchange), self.stop.clone());
        tokio::spawn(async move {
            let sent = tokio::select! {
                sent = give_file(&exchange, file, size, &chunks) => sent,
                () = chunks.closed() => return,
                () = stop.cancelled() => Err(DeskError::Stopping),
            };
            drop(seat);
            if let Err(error) = sent {
                tracing::warn!(
                    reason = error.reason(),
                    "a file of a backup has ended early"
                );
                drop(chunks.try_send(Err(error.into())));
            }
        });
        Ok(ReceiverStream::new(stream))
    }
}

/// A file that a backup asks for.
#[derive(Debug, Clone, Copy)]
enum NamedFile {
    /// By the digest of what lies there. By that of what is sealed in one, there is no such file.
    AsItIs([u8; 32]),
    /// By the digest of what is sealed in it; given as it lies.
    Sealed([u8; 32]),
}

impl NamedFile {
    fn size(self, blobs: &Blobs) -> Result<Option<u64>, StoreError> {
        match self {
            Self::AsItIs(digest) => blobs.plain_size(&digest),
            Self::Sealed(content) => Ok(blobs.sealed_as(&content)?.map(|(_, size)| size)),
        }
    }

    fn read(self, blobs: &Blobs, offset: u64) -> Result<Option<Vec<u8>>, StoreError> {
        match self {
            Self::AsItIs(digest) => blobs.read_plain_at(&digest, offset, CHUNK_BYTES_MAX),
            Self::Sealed(content) => blobs.read_sealed_at(&content, offset, CHUNK_BYTES_MAX),
        }
    }
}

/// Gives a file to a caller who reads on. Who asked counts and hashes what came.
async fn give_file(
    exchange: &Exchange,
    file: NamedFile,
    size: u64,
    chunks: &mpsc::Sender<Result<v1::BackupFileResponse, Status>>,
) -> Result<(), DeskError> {
    let mut offset = 0;
    while offset < size {
        let blobs = Arc::clone(exchange.blobs());
        let read = blocking(move || Ok(file.read(&blobs, offset)?)).await?;
        let chunk = Bytes::from(read.unwrap_or_default());
        if chunk.is_empty() {
            return Ok(());
        }
        offset += chunk.len() as u64;
        let sent = chunks.send(Ok(v1::BackupFileResponse { chunk }));
        match tokio::time::timeout(READER_TIME_MAX, sent).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Ok(()),
            Err(_) => return Err(DeskError::NotRead),
        }
    }
    Ok(())
}

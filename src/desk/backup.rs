//! Everything that the node keeps, for its administrators: one backup at a time.
//!
//! It holds every body. An administrator, who else sees none, may read them all from it; so may the
//! node's own user at its socket, who could read the store's files as well.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::caller::{Access, Caller, Method};
use super::errors::DeskError;
use super::service::{admit, answer};
use super::{Desk, blocking};
use crate::exchange::backup::source::SourceError;
use crate::limits::{BACKUP_HELD_MAX, CHUNK_BYTES_MAX};
use crate::link::connection::ConnectInfo;
use crate::link::identity::Identity;
use crate::proto::v1;
use crate::proto::v1::backup_service_server::BackupService;

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
        let caller = admit_backup(&request)?;
        tracing::info!(%caller, "a backup is asked for: everything that is kept, bodies included");
        let result = Desk::backup(self, request.into_inner()).await;
        answer(&caller, Method::Backup, result)
    }

    type BackupFileStream = Chunks;

    async fn backup_file(
        &self,
        request: Request<v1::BackupFileRequest>,
    ) -> Result<Response<Chunks>, Status> {
        let caller = admit_backup(&request)?;
        let result = Desk::backup_file(self, request.get_ref()).await;
        answer(&caller, Method::Backup, result)
    }
}

/// An administrator, or the node's own user at the socket.
fn admit_backup<T>(request: &Request<T>) -> Result<Caller, Status> {
    let (caller, access) = admit(request, Method::Backup)?;
    let identity = request
        .extensions()
        .get::<ConnectInfo>()
        .map(|info| &info.identity);
    if access == Access::Full || matches!(identity, Some(Identity::Unix(_))) {
        return Ok(caller);
    }
    let error = DeskError::NotAtSocket;
    Err(super::service::refused(&caller, Method::Backup, error))
}

/// Why a piece could not be handed on.
#[derive(Debug, thiserror::Error)]
enum Gone {
    #[error("the reader has gone")]
    Reader,
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
        tokio::task::spawn_blocking(move || {
            let mut give = |piece| {
                if desk.stop.is_cancelled() {
                    return Err(Gone::Node);
                }
                pieces.blocking_send(Ok(piece)).map_err(|_| Gone::Reader)
            };
            let given = desk.exchange.give_backup(&moment, &request.held, &mut give);
            let error = match given {
                Ok(()) | Err(SourceError::Sink(Gone::Reader)) => None,
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
                // Waits: the reader must not take what came for the whole.
                drop(pieces.blocking_send(Err(error.into())));
            }
            drop(permit);
        });
        Ok(ReceiverStream::new(stream))
    }

    async fn backup_file(
        self: &Arc<Self>,
        request: &v1::BackupFileRequest,
    ) -> Result<Chunks, DeskError> {
        let sha256 = <[u8; 32]>::try_from(&request.sha256[..])
            .map_err(|_| DeskError::field("sha256", "it has not 32 bytes", "give a SHA-256"))?;
        let blobs = Arc::clone(self.exchange.blobs());
        let size = blocking(move || Ok(blobs.size(&sha256)?)).await?;
        let size = size.ok_or(DeskError::NoFile)?;
        let (chunks, stream) = mpsc::channel(AHEAD_CHUNKS);
        let desk = Arc::clone(self);
        tokio::task::spawn_blocking(move || {
            let mut offset = 0;
            while offset < size {
                if desk.stop.is_cancelled() {
                    drop(chunks.blocking_send(Err(DeskError::Stopping.into())));
                    return;
                }
                let read = desk
                    .exchange
                    .blobs()
                    .read_at(&sha256, offset, CHUNK_BYTES_MAX);
                let chunk = match read {
                    Ok(chunk) => Bytes::from(chunk.unwrap_or_default()),
                    Err(error) => {
                        drop(chunks.blocking_send(Err(DeskError::from(error).into())));
                        return;
                    }
                };
                offset += chunk.len() as u64;
                let is_short = chunk.is_empty();
                let part = v1::BackupFileResponse { chunk };
                if is_short || chunks.blocking_send(Ok(part)).is_err() {
                    // Who asked counts and hashes what came.
                    return;
                }
            }
        });
        Ok(ReceiverStream::new(stream))
    }
}

//! Carrying attachments, from the side that dialled: it fetches what is missing here and brings
//! what the peer lacks. Each transfer goes on where the last one was cut.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio_stream::StreamExt as _;
use tonic::{Code, Status};

use super::service::blocking;
use crate::exchange::layout::FileRef;
use crate::exchange::{Exchange, Link};
use crate::limits::CHUNK_BYTES_MAX;
use crate::proto::v1;
use crate::proto::v1::exchange_service_client::ExchangeServiceClient;
use crate::proto::v1::put_attachment_request::Part;

type Client = ExchangeServiceClient<tonic::transport::Channel>;

/// Chunks read ahead of the network.
const CHUNKS_AHEAD: usize = 4;

/// Carries files both ways for as long as the session lasts; ends only with an error of the
/// connection. Files that the peer does not know of yet wait until its log or ours has grown.
pub async fn run(exchange: Arc<Exchange>, link: Arc<Link>, mut client: Client) -> Status {
    let mut files = exchange.watch_files(&link);
    let mut heads = link.watch_head();
    let mut brought = BTreeSet::new();
    loop {
        files.mark_unchanged();
        heads.mark_unchanged();
        if let Err(status) = round(&exchange, &link, &mut client, &mut brought).await {
            match status.code() {
                // This file, not the connection; the next change tries again.
                Code::FailedPrecondition
                | Code::NotFound
                | Code::DataLoss
                | Code::ResourceExhausted
                | Code::Unavailable
                | Code::Internal => {
                    tracing::info!(peer = %link.peer, %status, "a file waits");
                }
                _ => return status,
            }
        }
        let alive = tokio::select! {
            changed = files.changed() => changed,
            changed = heads.changed() => changed,
        };
        if alive.is_err() {
            return Status::aborted("the node is going down");
        }
    }
}

async fn round(
    exchange: &Arc<Exchange>,
    link: &Arc<Link>,
    client: &mut Client,
    brought: &mut BTreeSet<[u8; 32]>,
) -> Result<(), Status> {
    let unreadable = |_| Status::aborted("the store cannot be read");
    for file in exchange.missing_files(link).map_err(unreadable)? {
        fetch(exchange, client, file).await?;
        exchange.file_arrived(link);
    }
    for file in exchange.unconfirmed_files(link).map_err(unreadable)? {
        if !brought.contains(&file.sha256) && bring(exchange, client, file).await? {
            brought.insert(file.sha256);
        }
    }
    Ok(())
}

/// Fetches a file that a message of the peer names.
async fn fetch(exchange: &Exchange, client: &mut Client, file: FileRef) -> Result<(), Status> {
    let blobs = Arc::clone(exchange.blobs());
    let mut offset = blocking(move || blobs.partial(&file.sha256)).await?;
    if offset < file.size {
        let request = v1::GetAttachmentRequest {
            sha256: file.sha256.to_vec().into(),
            offset,
        };
        let mut chunks = client.get_attachment(request).await?.into_inner();
        while let Some(chunk) = chunks.message().await? {
            if offset + chunk.chunk.len() as u64 > file.size {
                return Err(Status::data_loss("more bytes than the message states"));
            }
            let blobs = Arc::clone(exchange.blobs());
            offset = blocking(move || blobs.write_at(&file.sha256, offset, &chunk.chunk)).await?;
        }
    }
    let blobs = Arc::clone(exchange.blobs());
    blocking(move || blobs.finish(&file.sha256, file.size)).await
}

/// Brings a file that an own message names; `false` when the peer does not know of it yet.
async fn bring(exchange: &Exchange, client: &mut Client, file: FileRef) -> Result<bool, Status> {
    let sha256 = bytes::Bytes::copy_from_slice(&file.sha256);
    let stat = v1::StatAttachmentRequest {
        sha256: sha256.clone(),
    };
    let stat = client.stat_attachment(stat).await?.into_inner();
    if !stat.wanted {
        return Ok(false);
    }
    if stat.complete {
        return Ok(true);
    }
    let start = v1::AttachmentStart {
        sha256,
        size: file.size,
        offset: stat.held_bytes,
    };
    let (sender, receiver) = tokio::sync::mpsc::channel(CHUNKS_AHEAD);
    let blobs = Arc::clone(exchange.blobs());
    let reading = tokio::task::spawn_blocking(move || {
        let mut offset = start.offset;
        if sender.blocking_send(Part::Start(start)).is_err() {
            return Ok(());
        }
        loop {
            let chunk = blobs.read_at(&file.sha256, offset, CHUNK_BYTES_MAX)?;
            let chunk = chunk.unwrap_or_default();
            offset += chunk.len() as u64;
            if chunk.is_empty() || sender.blocking_send(Part::Chunk(chunk.into())).is_err() {
                return Ok(());
            }
        }
    });
    let parts = tokio_stream::wrappers::ReceiverStream::new(receiver)
        .map(|part| v1::PutAttachmentRequest { part: Some(part) });
    let answer = client.put_attachment(parts).await;
    let read: Result<Result<(), crate::store::StoreError>, _> = reading.await;
    if let Ok(Err(error)) = read {
        return Err(Status::unavailable(format!(
            "the file cannot be read: {error}"
        )));
    }
    Ok(answer?.into_inner().complete)
}

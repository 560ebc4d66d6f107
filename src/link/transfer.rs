//! Carrying attachments, from the side that dialled: it fetches what is missing here and brings
//! what the peer lacks. Each transfer goes on where the last one was cut.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio_stream::StreamExt as _;
use tonic::{Code, Status};

use super::service::{blocking, in_time};
use crate::exchange::layout::FileRef;
use crate::exchange::{Exchange, Link};
use crate::limits::{CHUNK_BYTES_MAX, SILENCE_TIME_MAX, TRANSFER_RETRY_INTERVAL};
use crate::proto::v1;
use crate::proto::v1::exchange_service_client::ExchangeServiceClient;
use crate::proto::v1::put_attachment_request::Part;

type Client = ExchangeServiceClient<tonic::transport::Channel>;

/// Chunks read ahead of the network.
const CHUNKS_AHEAD: usize = 4;

/// Carries files both ways for as long as the session lasts; ends only with an error of the
/// connection. Files that the peer does not know of yet wait until its log or ours has grown; those
/// that could not be carried are tried again after a while.
pub async fn run(exchange: Arc<Exchange>, link: Arc<Link>, mut client: Client) -> Status {
    let mut files = exchange.watch_files(&link);
    let mut heads = link.watch_head();
    let mut brought = BTreeSet::new();
    loop {
        files.mark_unchanged();
        heads.mark_unchanged();
        let waiting = match round(&exchange, &link, &mut client, &mut brought).await {
            Ok(waiting) => waiting,
            Err(status) => return status,
        };
        let again = async {
            if waiting == 0 {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(TRANSFER_RETRY_INTERVAL).await;
        };
        let alive = tokio::select! {
            changed = files.changed() => changed,
            changed = heads.changed() => changed,
            () = again => Ok(()),
        };
        if alive.is_err() {
            return Status::aborted("the node is going down");
        }
    }
}

/// Carries what can be carried; says how many files have to wait. One that cannot be carried does
/// not stop those behind it.
async fn round(
    exchange: &Arc<Exchange>,
    link: &Arc<Link>,
    client: &mut Client,
    brought: &mut BTreeSet<[u8; 32]>,
) -> Result<usize, Status> {
    let unreadable = |_| Status::aborted("the store cannot be read");
    let mut waiting = 0;
    for file in exchange.missing_files(link).map_err(unreadable)? {
        match fetch(exchange, client, file).await {
            Ok(()) => exchange.file_arrived(link),
            Err(status) => waiting += waits(link, status)?,
        }
    }
    for file in exchange.unconfirmed_files(link).map_err(unreadable)? {
        if brought.contains(&file.sha256) {
            continue;
        }
        match bring(exchange, client, file).await {
            Ok(true) => {
                brought.insert(file.sha256);
            }
            Ok(false) => {}
            Err(status) => waiting += waits(link, status)?,
        }
    }
    Ok(waiting)
}

/// One file that waits, if it is this file's fault and not the connection's.
fn waits(link: &Link, status: Status) -> Result<usize, Status> {
    match status.code() {
        Code::FailedPrecondition
        | Code::NotFound
        | Code::DataLoss
        | Code::DeadlineExceeded
        | Code::ResourceExhausted
        | Code::Unavailable
        | Code::Internal => {
            let text = crate::model::text::escape(status.message()).into_owned();
            tracing::info!(peer = %link.peer, code = ?status.code(), %text, "a file waits");
            Ok(1)
        }
        _ => Err(status),
    }
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
        let answer = in_time(client.get_attachment(request)).await?;
        let mut chunks = answer.into_inner();
        while let Some(chunk) = in_time(chunks.message()).await? {
            if offset.saturating_add(chunk.chunk.len() as u64) > file.size {
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
    let stat = in_time(client.stat_attachment(stat)).await?.into_inner();
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
    let reading = tokio::spawn(async move {
        let mut offset = start.offset;
        let mut next = Part::Start(start);
        loop {
            // A peer that takes nothing is not waited for; nor does a thread wait for it.
            let sent = tokio::time::timeout(SILENCE_TIME_MAX, sender.send(next)).await;
            if !matches!(sent, Ok(Ok(()))) {
                return Ok(());
            }
            let blobs = Arc::clone(&blobs);
            let read = move || blobs.read_at(&file.sha256, offset, CHUNK_BYTES_MAX);
            let chunk = blocking(read).await?.unwrap_or_default();
            if chunk.is_empty() {
                return Ok(());
            }
            offset = offset.saturating_add(chunk.len() as u64);
            next = Part::Chunk(chunk.into());
        }
    });
    let parts = tokio_stream::wrappers::ReceiverStream::new(receiver)
        .map(|part| v1::PutAttachmentRequest { part: Some(part) });
    let answer = client.put_attachment(parts);
    tokio::pin!(answer);
    let read: Result<Result<(), Status>, _>;
    let answer = tokio::select! {
        answer = &mut answer => {
            read = Ok(Ok(()));
            answer
        }
        done = reading => {
            read = done;
            in_time(answer).await
        }
    };
    if let Ok(Err(status)) = read {
        let text = format!("the file cannot be read: {}", status.message());
        return Err(Status::unavailable(text));
    }
    Ok(answer?.into_inner().complete)
}

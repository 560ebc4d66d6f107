//! Attachments: stored before a draft names them, read from a message that names them.
//!
//! An upload is written by one task that owns it to its end: a caller who goes away, stalls or
//! lies leaves nothing behind.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::caller::{Access, Caller, Method, Role};
use super::errors::DeskError;
use super::handling::use_of;
use super::read::parse_id;
use super::seats::{Seat, Seats};
use super::{Desk, blocking};
use crate::exchange::Exchange;
use crate::exchange::quota::Class;
use crate::exchange::submit::files_of;
use crate::exchange::view::Detail;
use crate::journal::Act;
use crate::limits::{
    ATTACHMENT_BYTES_MAX, ATTACHMENT_FLOORS, CHUNK_BYTES_MAX, READER_TIME_MAX, UPLOAD_PAUSE_MAX,
};
use crate::model::handling::Use;
use crate::proto::v1::{self, upload_attachment_request::Part};
use crate::store::{Blobs, StoreError};

/// Where unfinished uploads lie, apart from what peers send.
const PARTS: &str = "desk";
/// Chunks between the network and the disk, each of 256 KiB at most.
const AHEAD_CHUNKS: usize = 4;

/// The answer to `DownloadAttachment`.
pub(super) type Chunks = ReceiverStream<Result<v1::DownloadAttachmentResponse, Status>>;

/// The uploads under way.
#[derive(Debug)]
pub(super) struct Uploads {
    seats: Seats,
    digests: Arc<Mutex<BTreeSet<[u8; 32]>>>,
}

/// One upload under way: nobody else writes the same file meanwhile.
#[derive(Debug)]
struct Claim {
    digest: [u8; 32],
    digests: Arc<Mutex<BTreeSet<[u8; 32]>>>,
    _seat: Seat,
}

impl Uploads {
    pub(super) fn new(seats: Seats) -> Self {
        Self {
            seats,
            digests: Arc::default(),
        }
    }

    fn claim(&self, caller: &Caller, digest: [u8; 32]) -> Result<Claim, DeskError> {
        let seat = self.seats.take(caller);
        let seat = seat.ok_or(DeskError::Crowded { what: "uploads" })?;
        let mut digests = self.digests.lock().unwrap_or_else(PoisonError::into_inner);
        if !digests.insert(digest) {
            let digest = hex::encode(digest);
            return Err(StoreError::BlobBusy { digest }.into());
        }
        Ok(Claim {
            digest,
            digests: Arc::clone(&self.digests),
            _seat: seat,
        })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.digests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.digest);
    }
}

/// What the network hands to the disk.
enum Written {
    Chunk(Bytes),
    /// Everything came; without this, nothing is kept.
    Finish,
}

impl Desk {
    pub(super) async fn upload(
        &self,
        caller: &Caller,
        mut parts: Streaming<v1::UploadAttachmentRequest>,
    ) -> Result<v1::UploadAttachmentResponse, DeskError> {
        if caller.role == Role::Integration && !self.rules.integrations.contains_key(&caller.name) {
            // It may send nothing, so it has nothing to attach.
            return Err(DeskError::Denied {
                role: caller.role,
                method: Method::UploadAttachment,
            });
        }
        let first = tokio::select! {
            first = next_part(&mut parts) => first?,
            () = self.stop.cancelled() => return Err(DeskError::Stopping),
        };
        let Some(Part::Start(start)) = first else {
            return Err(DeskError::field(
                "start",
                "the first part is not the start",
                "send digest and size first, then the chunks",
            ));
        };
        let digest = self.check_start(&start)?;
        let claim = self.uploads.claim(caller, digest)?;
        let stored = v1::UploadAttachmentResponse {
            sha256: start.sha256.clone(),
            size: start.size,
        };
        let blobs = self.exchange.blobs().of(PARTS)?;
        let now = UNIX_EPOCH + Duration::from_millis(self.exchange.clock().unix_ms());
        if blobs.size(&digest)? == Some(start.size)
            || blobs.uploaded(&digest, now)? == Some(start.size)
        {
            return Ok(stored); // the same content is here already
        }
        let charge = self.charge(caller, Class::Bulk, 1, start.size).await?;
        let (chunks, queue) = mpsc::channel(AHEAD_CHUNKS);
        let exchange = Arc::clone(&self.exchange);
        let writing = tokio::spawn(async move {
            blocking(move || write(&blobs, &claim, start.size, queue)).await?;
            exchange.keep_charge(charge).await;
            Ok(())
        });
        let received = tokio::select! {
            received = receive(&mut parts, start.size, chunks) => received,
            () = self.stop.cancelled() => Err(Unreceived::Refused(DeskError::Stopping)),
        };
        // Waited for in any case: when the caller hears of a failure, nothing is left of it.
        let written = writing.await.unwrap_or(Err(DeskError::Stopping));
        match (received, written) {
            // The disk's own fault is why the rest was not taken.
            (Err(Unreceived::NotWritten), Err(error)) | (Err(Unreceived::Refused(error)), _) => {
                Err(error)
            }
            (Err(Unreceived::NotWritten), Ok(())) => Err(DeskError::BrokenOff),
            (Ok(()), written) => written.map(|()| stored),
        }
    }

    fn check_start(&self, start: &v1::UploadStart) -> Result<[u8; 32], DeskError> {
        let Ok(digest) = <[u8; 32]>::try_from(&start.sha256[..]) else {
            return Err(DeskError::field(
                "start.sha256",
                format!("{} bytes, a SHA-256 has 32", start.sha256.len()),
                "give the SHA-256 of the whole file",
            ));
        };
        if start.size > ATTACHMENT_BYTES_MAX {
            let (bytes, bytes_max) = (start.size, ATTACHMENT_BYTES_MAX);
            return Err(StoreError::BlobTooLarge { bytes, bytes_max }.into());
        }
        // Better now than after an hour.
        let reserve = self
            .facts
            .disk_free_bytes_min
            .saturating_mul(ATTACHMENT_FLOORS);
        let needed = reserve.saturating_add(start.size);
        let free = self.exchange.free_bytes()?;
        if free < needed {
            return Err(StoreError::Full { free, needed }.into());
        }
        Ok(digest)
    }

    pub(super) async fn download(
        self: &Arc<Self>,
        caller: &Caller,
        access: Access,
        request: v1::DownloadAttachmentRequest,
    ) -> Result<Chunks, DeskError> {
        let wanted = match request.purpose() {
            v1::Purpose::Unspecified => Use::Export,
            v1::Purpose::Read => {
                return Err(DeskError::field(
                    "purpose",
                    "a file that is downloaded is a copy by itself",
                    "say EXPORT, PRINT or FORWARD, or leave it out for EXPORT",
                ));
            }
            other => use_of(other as i32)?,
        };
        let id = parse_id("messageId", &request.message_id)?;
        let Ok(digest) = <[u8; 32]>::try_from(&request.sha256[..]) else {
            return Err(DeskError::field(
                "sha256",
                format!("{} bytes, a SHA-256 has 32", request.sha256.len()),
                "give the digest that `show` prints",
            ));
        };
        let (link, place) = self.visible(caller, access, id)?;
        let message = self.exchange.message(&link, place, Detail::Full)?;
        let content = message.body.as_ref().and_then(|body| body.body.as_ref());
        let named = content.into_iter().flat_map(files_of);
        let size = named
            .filter(|file| file.sha256 == digest)
            .map(|file| file.size)
            .next()
            .ok_or(DeskError::NoSuchFile { id })?;
        // Whatever it is said to be for, it is a copy that goes out.
        self.permit(caller, &message, Use::Export, &request.override_reason)
            .await?;
        if wanted == Use::Forward {
            self.permit(caller, &message, wanted, &request.override_reason)
                .await?;
        }
        let blobs = self.exchange.blobs();
        if blobs.size(&digest)? != Some(size) {
            let held = blobs.partial(&digest)?;
            return Err(DeskError::FileIncomplete { held, size });
        }
        let seat = self.downloads.take(caller);
        let seat = seat.ok_or(DeskError::Crowded { what: "downloads" })?;
        let deed = Self::deed(caller, Act::Downloaded)
            .peer(&link.peer)
            .message(id)
            .what(wanted)
            .digest(digest);
        self.note(deed).await?;
        let (chunks, stream) = mpsc::channel(AHEAD_CHUNKS);
        let (exchange, stop) = (Arc::clone(&self.exchange), self.stop.clone());
        tokio::spawn(async move {
            let sent = tokio::select! {
                sent = send_file(&exchange, digest, size, &chunks) => sent,
                () = chunks.closed() => return,
                () = stop.cancelled() => Err(DeskError::Stopping),
            };
            drop(seat);
            if let Err(error) = sent {
                tracing::warn!(reason = error.reason(), "a download has ended early");
                drop(chunks.try_send(Err(error.into())));
            }
        });
        Ok(ReceiverStream::new(stream))
    }
}

/// Why a file was not taken in to its end.
enum Unreceived {
    /// The caller's part of it.
    Refused(DeskError),
    /// The disk took no more; the writer knows why.
    NotWritten,
}

/// Takes chunks until the announced size, not a byte more or less.
async fn receive(
    parts: &mut Streaming<v1::UploadAttachmentRequest>,
    size: u64,
    chunks: mpsc::Sender<Written>,
) -> Result<(), Unreceived> {
    let fault = |field: &str, reason: String, remedy: &str| {
        Err(Unreceived::Refused(DeskError::field(field, reason, remedy)))
    };
    let mut received = 0_u64;
    loop {
        let part = next_part(parts).await.map_err(Unreceived::Refused)?;
        let chunk = match part {
            Some(Part::Chunk(chunk)) => chunk,
            Some(Part::Start(_)) => {
                return fault(
                    "start",
                    "it came twice".to_owned(),
                    "send one file in one call",
                );
            }
            None if received == size => break,
            None => {
                return fault(
                    "start.size",
                    format!("{size} bytes were announced, {received} came"),
                    "send the whole file again with its size",
                );
            }
        };
        if chunk.len() > CHUNK_BYTES_MAX {
            return fault(
                "chunk",
                format!("{} bytes, over the limit of {CHUNK_BYTES_MAX}", chunk.len()),
                "send chunks of at most 256 KiB",
            );
        }
        received += chunk.len() as u64;
        if received > size {
            return fault(
                "start.size",
                format!("{size} bytes were announced, more came"),
                "send the whole file again with its size",
            );
        }
        let sent = chunks.send(Written::Chunk(chunk)).await;
        sent.map_err(|_| Unreceived::NotWritten)?;
    }
    let sent = chunks.send(Written::Finish).await;
    sent.map_err(|_| Unreceived::NotWritten)
}

/// The next part, within the time for it; `None` at the end.
async fn next_part(
    parts: &mut Streaming<v1::UploadAttachmentRequest>,
) -> Result<Option<Part>, DeskError> {
    let message = tokio::time::timeout(UPLOAD_PAUSE_MAX, parts.message())
        .await
        .map_err(|_| DeskError::Stalled)?
        .map_err(|status| DeskError::Transport(Box::new(status)))?;
    match message {
        None => Ok(None),
        Some(v1::UploadAttachmentRequest { part: Some(part) }) => Ok(Some(part)),
        Some(v1::UploadAttachmentRequest { part: None }) => Err(DeskError::field(
            "part",
            "it is neither start nor chunk",
            "send the start first, then chunks",
        )),
    }
}

/// Writes one upload; keeps it only if all of it came and has its digest.
fn write(
    blobs: &Blobs,
    claim: &Claim,
    size: u64,
    queue: mpsc::Receiver<Written>,
) -> Result<(), DeskError> {
    // What an earlier one left when the node fell.
    blobs.discard(&claim.digest)?;
    let written = write_parts(blobs, claim, size, queue);
    if written.is_err()
        && let Err(error) = blobs.discard(&claim.digest)
    {
        tracing::warn!(%error, "part of a refused upload stays until the same file is sent again");
    }
    written
}

fn write_parts(
    blobs: &Blobs,
    claim: &Claim,
    size: u64,
    mut queue: mpsc::Receiver<Written>,
) -> Result<(), DeskError> {
    let mut held = 0;
    loop {
        match queue.blocking_recv() {
            Some(Written::Chunk(chunk)) => held = blobs.write_at(&claim.digest, held, &chunk)?,
            Some(Written::Finish) => return Ok(blobs.finish_upload(&claim.digest, size)?),
            None => return Err(DeskError::BrokenOff),
        }
    }
}

async fn send_file(
    exchange: &Exchange,
    digest: [u8; 32],
    size: u64,
    chunks: &mpsc::Sender<Result<v1::DownloadAttachmentResponse, Status>>,
) -> Result<(), DeskError> {
    let mut offset = 0;
    while offset < size {
        let blobs = Arc::clone(exchange.blobs());
        let read = blocking(move || Ok(blobs.read_at(&digest, offset, CHUNK_BYTES_MAX)?)).await?;
        let chunk = Bytes::from(read.unwrap_or_default());
        if chunk.is_empty() {
            // It was whole a moment ago: an erasure came between.
            return Err(DeskError::FileIncomplete { held: offset, size });
        }
        offset += chunk.len() as u64;
        let sent = chunks.send(Ok(v1::DownloadAttachmentResponse { chunk }));
        match tokio::time::timeout(READER_TIME_MAX, sent).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Ok(()),
            Err(_) => return Err(DeskError::NotRead),
        }
    }
    Ok(())
}

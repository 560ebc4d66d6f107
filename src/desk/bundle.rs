//! What is carried by hand: a bundle out, a bundle in.
//!
//! A bundle that comes in is first laid in a file without a name beside the store, as it is: sealed.
//! It is judged there whole before anything of it is recorded.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::caller::{Caller, Method};
use super::errors::DeskError;
use super::service::{admit, answer};
use super::{Desk, blocking};
use crate::exchange::bundle::format::FormatError;
use crate::exchange::bundle::{BundleError, Imported, Part, Since};
use crate::journal::Act;
use crate::limits::{BUNDLE_BYTES_MAX, CHUNK_BYTES_MAX, UPLOAD_PAUSE_MAX};
use crate::proto::v1;
use crate::proto::v1::bundle_service_server::BundleService;
use crate::store::Scratch;

/// Parts between the disk and the network.
const AHEAD_PARTS: usize = 2;

type Answer = Result<v1::ExportBundleResponse, Status>;
/// The answer to `ExportBundle`.
pub(super) type Answers = ReceiverStream<Answer>;

#[tonic::async_trait]
impl BundleService for Arc<Desk> {
    type ExportBundleStream = Answers;

    async fn export_bundle(
        &self,
        request: Request<v1::ExportBundleRequest>,
    ) -> Result<Response<Answers>, Status> {
        let (caller, _) = admit(&request, Method::ExportBundle)?;
        let deed = Desk::deed(&caller, Act::BundleExported)
            .peer(super::journal::shown_peer(&request.get_ref().peer));
        let result = match self.note(deed).await {
            Ok(()) => Desk::export_bundle(self, request.get_ref()),
            Err(error) => Err(error),
        };
        answer(&caller, Method::ExportBundle, result)
    }

    async fn import_bundle(
        &self,
        request: Request<Streaming<v1::ImportBundleRequest>>,
    ) -> Result<Response<v1::ImportBundleResponse>, Status> {
        let (caller, _) = admit(&request, Method::ImportBundle)?;
        let deed = Desk::deed(&caller, Act::BundleImported);
        let result = match self.note(deed.what("begun")).await {
            Ok(()) => Desk::import_bundle(self, &caller, request.into_inner()).await,
            Err(error) => Err(error),
        };
        answer(&caller, Method::ImportBundle, result)
    }
}

impl Desk {
    fn export_bundle(
        self: &Arc<Self>,
        request: &v1::ExportBundleRequest,
    ) -> Result<Answers, DeskError> {
        let Some(link) = self.exchange.link(&request.peer).cloned() else {
            return Err(DeskError::field(
                "peer",
                "no such peer of this node",
                "`status` shows the peers",
            ));
        };
        let since = request.start_index.map_or(Since::Receipt, Since::Index);
        let permit = Arc::clone(&self.bundles).try_acquire_owned();
        let permit = permit.map_err(|_| DeskError::Crowded { what: "bundles" })?;
        let (answers, stream) = mpsc::channel(AHEAD_PARTS);
        let (exchange, stop) = (Arc::clone(&self.exchange), self.stop.clone());
        tokio::spawn(async move {
            let (parts, queue) = mpsc::channel(AHEAD_PARTS);
            let made = exchange.export_bundle(&link, since, parts);
            let work = async { tokio::join!(made, hand_on(queue, &answers)).0 };
            let made = tokio::select! {
                made = work => made.map_err(DeskError::from),
                () = stop.cancelled() => Err(DeskError::Stopping),
            };
            // Whoever has gone needs no answer.
            match made {
                Ok(statement) => {
                    let last = v1::ExportBundleResponse {
                        statement: Some(statement),
                        ..v1::ExportBundleResponse::default()
                    };
                    drop(answers.send(Ok(last)).await);
                }
                Err(DeskError::Bundle(BundleError::Gone)) => {}
                Err(error) => {
                    tracing::warn!(reason = error.reason(), "a bundle was not made");
                    drop(answers.send(Err(error.into())).await);
                }
            }
            drop(permit);
        });
        Ok(ReceiverStream::new(stream))
    }

    async fn import_bundle(
        self: &Arc<Self>,
        caller: &Caller,
        mut parts: Streaming<v1::ImportBundleRequest>,
    ) -> Result<v1::ImportBundleResponse, DeskError> {
        let permit = Arc::clone(&self.bundles).try_acquire_owned();
        let permit = permit.map_err(|_| DeskError::Crowded { what: "bundles" })?;
        let blobs = Arc::clone(self.exchange.blobs());
        let mut scratch = blocking(move || Ok(blobs.scratch()?)).await?;
        while let Some(chunk) = next_chunk(&mut parts).await? {
            if scratch.held() + chunk.len() as u64 > BUNDLE_BYTES_MAX {
                return Err(BundleError::from(FormatError::TooLarge).into());
            }
            let blobs = Arc::clone(self.exchange.blobs());
            let append = move || {
                blobs.scratch_append(&mut scratch, &chunk)?;
                Ok::<Scratch, DeskError>(scratch)
            };
            scratch = blocking(append).await?;
        }
        let (exchange, stop) = (Arc::clone(&self.exchange), self.stop.clone());
        // A caller who goes away does not end what runs.
        let taking = tokio::spawn(async move {
            let taken = tokio::select! {
                taken = exchange.import_bundle(scratch.into_file()) => taken.map_err(DeskError::from),
                () = stop.cancelled() => Err(DeskError::Stopping),
            };
            drop(permit);
            taken
        });
        let imported = taking.await.unwrap_or(Err(DeskError::Stopping))?;
        // Whose it is stands in it, and is known only once it was judged.
        let deed = Self::deed(caller, Act::BundleImported).peer(&imported.statement.sender);
        self.try_note(deed.what("taken")).await;
        Ok(response(imported))
    }
}

/// Cuts what was made into parts that the network takes.
async fn hand_on(mut queue: mpsc::Receiver<Part>, answers: &mpsc::Sender<Answer>) {
    while let Some(part) = queue.recv().await {
        for chunk in part.bytes.chunks(CHUNK_BYTES_MAX) {
            let answer = v1::ExportBundleResponse {
                chunk: bytes::Bytes::copy_from_slice(chunk),
                done: part.done,
                total: part.total,
                statement: None,
            };
            if answers.send(Ok(answer)).await.is_err() {
                return;
            }
        }
    }
}

/// The next chunk, within the time for it; `None` at the end.
async fn next_chunk(
    parts: &mut Streaming<v1::ImportBundleRequest>,
) -> Result<Option<bytes::Bytes>, DeskError> {
    let message = tokio::time::timeout(UPLOAD_PAUSE_MAX, parts.message())
        .await
        .map_err(|_| DeskError::Stalled)?
        .map_err(|status| DeskError::Transport(Box::new(status)))?;
    let Some(v1::ImportBundleRequest { chunk }) = message else {
        return Ok(None);
    };
    if chunk.len() > CHUNK_BYTES_MAX {
        return Err(DeskError::field(
            "chunk",
            format!("{} bytes, over the limit of {CHUNK_BYTES_MAX}", chunk.len()),
            "send chunks of at most 256 KiB",
        ));
    }
    Ok(Some(chunk))
}

fn response(imported: Imported) -> v1::ImportBundleResponse {
    v1::ImportBundleResponse {
        statement: Some(imported.statement),
        entries_recorded: imported.recorded,
        entries_known: imported.known,
        entries_ahead: imported.ahead,
        entries_left: imported.left,
        entries_delivered: imported.delivered,
        files_taken: imported.files_taken,
        files_unwanted: imported.files_unwanted,
        may_sign: imported.may_sign,
        entries_waiting: imported.waiting,
        files_failed: imported.files_failed,
    }
}

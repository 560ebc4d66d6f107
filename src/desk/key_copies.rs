//! Copies of the files of keys: written down first, then given; a person says when one is destroyed.
//!
//! For administrators, and for the node's own user at its socket, who has the files anyway. What is
//! given is sealed under the storage key, which is not in it.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::backup::admit_keeper;
use super::caller::Method;
use super::errors::DeskError;
use super::service::{admit, answer};
use super::{Desk, blocking};
use crate::journal::Act;
use crate::limits::CHUNK_BYTES_MAX;
use crate::proto::v1;
use crate::proto::v1::key_copies_service_server::KeyCopiesService;
use crate::store::{CopiedKeys, KEY_COPY_MANIFEST, Vault, VaultError};

/// Parts between here and the network.
const AHEAD_PARTS: usize = 4;

type Parts = ReceiverStream<Result<v1::CopyKeysResponse, Status>>;

impl Desk {
    fn vault(&self) -> Result<Arc<Vault>, DeskError> {
        let vault = self.exchange.blobs().vault();
        vault.cloned().ok_or(DeskError::NotSealed)
    }

    async fn copy_keys(&self, label: String) -> Result<Parts, DeskError> {
        let vault = self.vault()?;
        let copied = blocking(move || Ok(vault.copy(&label)?)).await?;
        tracing::info!(copy = copied.copy.id, "the files of keys are copied");
        let (parts, stream) = mpsc::channel(AHEAD_PARTS);
        tokio::spawn(async move {
            for part in parts_of(copied) {
                if parts.send(Ok(part)).await.is_err() {
                    return;
                }
            }
        });
        Ok(ReceiverStream::new(stream))
    }

    fn list_key_copies(&self) -> v1::ListKeyCopiesResponse {
        let Some(vault) = self.exchange.blobs().vault() else {
            return v1::ListKeyCopiesResponse::default();
        };
        let uncopied = vault.uncopied();
        let copies = vault.known_copies().into_iter();
        v1::ListKeyCopiesResponse {
            copies: copies
                .map(|copy| v1::KeyCopy {
                    id: copy.id,
                    at_ms: copy.at_ms,
                    label: copy.label,
                    sha256: copy.sha256,
                    storage_key: copy.storage_key,
                    finished: copy.finished,
                    destroyed_at_ms: copy.destroyed_at_ms,
                    destroyed_by: copy.destroyed_by.unwrap_or_default(),
                })
                .collect(),
            sealed: true,
            storage_key: vault.storage_key_id(),
            copied_at_ms: uncopied.copied_at_ms,
            uncopied: uncopied.keys,
            lost: vault.lost(),
        }
    }
}

/// The manifest, then each file, cut into parts, then the end.
fn parts_of(copied: CopiedKeys) -> Vec<v1::CopyKeysResponse> {
    let mut parts = Vec::new();
    let files = copied.files.into_iter();
    for (name, bytes) in
        std::iter::once((KEY_COPY_MANIFEST.to_owned(), copied.manifest)).chain(files)
    {
        for part in bytes.chunks(CHUNK_BYTES_MAX) {
            parts.push(v1::CopyKeysResponse {
                name: name.clone(),
                part: part.to_vec().into(),
                end: false,
            });
        }
    }
    parts.push(v1::CopyKeysResponse {
        end: true,
        ..v1::CopyKeysResponse::default()
    });
    parts
}

#[tonic::async_trait]
impl KeyCopiesService for Arc<Desk> {
    type CopyKeysStream = Parts;

    async fn copy_keys(
        &self,
        request: Request<v1::CopyKeysRequest>,
    ) -> Result<Response<Parts>, Status> {
        let caller = admit_keeper(&request, Method::CopyKeys)?;
        let label = request.into_inner().label;
        let copy = async {
            let deed = Desk::deed(&caller, Act::KeysBackedUp).why(label.as_str());
            self.note(deed).await?;
            Desk::copy_keys(self, label).await
        };
        answer(&caller, Method::CopyKeys, copy.await)
    }

    async fn finish_key_copy(
        &self,
        request: Request<v1::FinishKeyCopyRequest>,
    ) -> Result<Response<v1::FinishKeyCopyResponse>, Status> {
        let caller = admit_keeper(&request, Method::CopyKeys)?;
        let id = request.into_inner().id;
        let finish = async {
            let vault = self.vault()?;
            blocking(move || Ok(vault.finish_copy(&id).map_err(VaultError::from)?)).await?;
            Ok(v1::FinishKeyCopyResponse {})
        };
        answer(&caller, Method::CopyKeys, finish.await)
    }

    async fn list_key_copies(
        &self,
        request: Request<v1::ListKeyCopiesRequest>,
    ) -> Result<Response<v1::ListKeyCopiesResponse>, Status> {
        let (caller, _) = admit(&request, Method::ListKeys)?;
        answer(&caller, Method::ListKeys, Ok(Desk::list_key_copies(self)))
    }

    async fn note_key_copy_destroyed(
        &self,
        request: Request<v1::NoteKeyCopyDestroyedRequest>,
    ) -> Result<Response<v1::NoteKeyCopyDestroyedResponse>, Status> {
        let caller = admit_keeper(&request, Method::CopyKeys)?;
        let (id, by) = (request.into_inner().id, caller.author());
        let note = async {
            let what = format!("key copy {id} destroyed");
            self.note(Desk::deed(&caller, Act::KeysBackedUp).what(what))
                .await?;
            let vault = self.vault()?;
            blocking(move || {
                let noted = vault.note_destroyed_copy(&id, by.as_str());
                Ok(noted.map_err(VaultError::from)?)
            })
            .await?;
            Ok(v1::NoteKeyCopyDestroyedResponse {})
        };
        answer(&caller, Method::CopyKeys, note.await)
    }

    async fn prune_keys(
        &self,
        request: Request<v1::PruneKeysRequest>,
    ) -> Result<Response<v1::PruneKeysResponse>, Status> {
        let caller = admit_keeper(&request, Method::PruneKeys)?;
        let preview = request.into_inner().preview;
        let prune = async {
            if !preview {
                // Before it is noted: what is refused is not on record as done.
                self.exchange.prune_keys(true).await?;
                let deed = Desk::deed(&caller, Act::KeysChanged).what("prune");
                self.note(deed).await?;
            }
            let keys = self.exchange.prune_keys(preview).await?;
            Ok(v1::PruneKeysResponse { keys })
        };
        answer(&caller, Method::PruneKeys, prune.await)
    }
}

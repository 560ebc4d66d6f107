//! Erasing: for administrators, who see no body, under an authority that is recorded.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::Desk;
use super::caller::{Caller, Method};
use super::errors::DeskError;
use super::read::parse_id;
use super::service::{admit, answer};
use crate::exchange::erase::{EraseError, Erased, ErasureOrder};
use crate::journal::Act;
use crate::proto::v1;
use crate::proto::v1::erasure_service_server::ErasureService;

#[tonic::async_trait]
impl ErasureService for Arc<Desk> {
    async fn erase(
        &self,
        request: Request<v1::EraseRequest>,
    ) -> Result<Response<v1::EraseResponse>, Status> {
        let (caller, _) = admit(&request, Method::Erase)?;
        // Apart from the call: a caller who goes away does not stop it half way.
        let (desk, by) = (Arc::clone(self), caller.clone());
        let work = async move { desk.erase_now(&by, request.into_inner()).await };
        let result = match tokio::spawn(work).await {
            Ok(result) => result,
            Err(_) => Err(DeskError::Stopping),
        };
        answer(&caller, Method::Erase, result)
    }
}

impl Desk {
    async fn erase_now(
        &self,
        caller: &Caller,
        request: v1::EraseRequest,
    ) -> Result<v1::EraseResponse, DeskError> {
        let id = parse_id("id", &request.id)?;
        let found = self.exchange.find(id)?;
        let (link, _) = found.ok_or(DeskError::NotFound { id })?;
        let would = self.exchange.would_erase(&link, id)?;
        let (files, kept) = match would {
            Err(already) => return Ok(self.told(&already)),
            Ok(would) => would,
        };
        if request.preview {
            return Ok(v1::EraseResponse {
                attachments: count(files),
                attachments_kept: count(kept),
                was_sealed: self.exchange.blobs().vault().is_some(),
                copies: self.copies(),
                ..v1::EraseResponse::default()
            });
        }
        let order = ErasureOrder {
            by: caller.author(),
            reason: request.reason,
            authority: request.authority,
        };
        order.check()?;
        let deed = Self::deed(caller, Act::Erased)
            .peer(&link.peer)
            .message(id)
            .what(short(&order.authority))
            .why(order.reason.clone());
        self.note(deed).await?;
        let erased = self.exchange.erase(&link, id, &order).await?;
        tracing::warn!(peer = %link.peer, %caller, "a body was erased");
        Ok(self.told(&erased))
    }

    fn told(&self, erased: &Erased) -> v1::EraseResponse {
        v1::EraseResponse {
            erasure: Some((&erased.erasure).into()),
            already: erased.already,
            attachments: count(erased.files),
            attachments_kept: count(erased.kept_files),
            was_sealed: erased.was_sealed,
            copies: self.copies(),
        }
    }
}

impl From<EraseError> for DeskError {
    fn from(error: EraseError) -> Self {
        match error {
            EraseError::Text {
                field,
                fault,
                remedy,
            } => Self::field(field, fault, remedy),
            EraseError::Read(error) => error.into(),
            EraseError::Record(error) => error.into(),
            EraseError::NotFound { id } => Self::NotFound { id },
            error => Self::Erase(Box::new(error)),
        }
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// As much of an authority as the journal takes for what was done.
fn short(authority: &str) -> &str {
    let mut end = authority.len().min(JOURNAL_WHAT_BYTES_MAX);
    while !authority.is_char_boundary(end) {
        end -= 1;
    }
    &authority[..end]
}

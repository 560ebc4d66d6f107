//! Erasing: for administrators, who see no body, and for the node's own user at its socket; under an
//! authority that is recorded.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::Desk;
use super::backup::admit_keeper;
use super::caller::{Caller, Method};
use super::errors::DeskError;
use super::read::parse_id;
use super::service::answer;
use crate::exchange::clock::timestamp_of_ms;
use crate::exchange::erase::{EraseError, Erased, ErasureOrder};
use crate::journal::Act;
use crate::limits::JOURNAL_WHAT_BYTES_MAX;
use crate::model::text::cut;
use crate::proto::v1;
use crate::proto::v1::erasure_service_server::ErasureService;

#[tonic::async_trait]
impl ErasureService for Arc<Desk> {
    async fn erase(
        &self,
        request: Request<v1::EraseRequest>,
    ) -> Result<Response<v1::EraseResponse>, Status> {
        let caller = admit_keeper(&request, Method::Erase)?;
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
        self.check_no_hold(&link, id)?;
        let would = self.exchange.would_erase(&link, id)?;
        if request.preview && !would.already {
            let told = told(&would);
            return Ok(v1::EraseResponse {
                erasure: None,
                ..told
            });
        }
        if would.already {
            return Ok(told(&would));
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
            .what(cut(&order.authority, JOURNAL_WHAT_BYTES_MAX))
            .why(order.reason.clone());
        self.note(deed).await?;
        let erased = self.exchange.erase(&link, id, &order).await?;
        tracing::warn!(peer = %link.peer, %caller, "a body was erased");
        Ok(told(&erased))
    }
}

fn told(erased: &Erased) -> v1::EraseResponse {
    let copies = erased.copies.iter();
    v1::EraseResponse {
        erasure: Some((&erased.erasure).into()),
        already: erased.already,
        attachments: count(erased.files),
        attachments_kept: count(erased.kept_files),
        was_sealed: erased.was_sealed,
        copies: copies
            .map(|copy| v1::KeyFilesCopy {
                made_at: Some(timestamp_of_ms(copy.at_ms)),
                label: copy.label.clone(),
                id: copy.id.clone(),
            })
            .collect(),
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

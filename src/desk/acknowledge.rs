//! Acknowledging: a person has taken note of a message of the peer.

use std::sync::Arc;

use prost::Message as _;

use super::Desk;
use super::caller::Caller;
use super::errors::DeskError;
use super::quota::Admission;
use super::read::parse_id;
use crate::exchange::layout::Place;
use crate::exchange::quota::Class;
use crate::exchange::submit::SubmitError;
use crate::exchange::view::Detail;
use crate::exchange::{Link, LogSide};
use crate::journal::Act;
use crate::model::check::FieldFault;
use crate::model::{MessageId, body, handling};
use crate::proto::v1;
use crate::proto::v1::body::Body;

impl Desk {
    pub(super) async fn acknowledge(
        &self,
        caller: &Caller,
        request: v1::AcknowledgeRequest,
    ) -> Result<v1::AcknowledgeResponse, DeskError> {
        let id = parse_id("id", &request.id)?;
        let (link, place) = self.exchange.find(id)?.ok_or(DeskError::NotFound { id })?;
        if let Place::Log(LogSide::Own, _) = place {
            return Err(DeskError::field(
                "id",
                "this side sent that message",
                "give the id of a message of the peer",
            ));
        }
        let message = self.exchange.message(&link, place, Detail::Line)?;
        if matches!(
            message.kind(),
            v1::Kind::Refusal | v1::Kind::AttachmentsReceived
        ) {
            return Err(DeskError::field(
                "id",
                "a node said that by itself, nobody waits for an acknowledgement",
                "acknowledge the messages of people and programs",
            ));
        }
        // A retry must say the same, its time included; two at once may both be the first.
        let earlier = self.earlier_time(&link, &request.acknowledgement_id)?;
        let now = self.exchange.clock().timestamp();
        let ceiling = link.classification_max;
        let draft = acknowledgement(&message, &request, ceiling, earlier.unwrap_or(now));
        let author = caller.author();
        // A person's word: nobody's bulk stands before it.
        let Admission { seat, charge } = self
            .let_in(caller, Class::Urgent, draft.encoded_len())
            .await?;
        let deed = Self::deed(caller, Act::Acknowledged)
            .peer(&link.peer)
            .message(id);
        // The entry itself names its author, and no body is shown: the peer is not kept waiting.
        self.try_note(deed).await;
        let recorded = match self
            .exchange
            .submit_charged(draft, &author, Some(charge))
            .await
        {
            Err(SubmitError::IdUsed { .. }) if earlier.is_none() => {
                let earlier = self.earlier_time(&link, &request.acknowledgement_id)?;
                let draft = acknowledgement(&message, &request, ceiling, earlier.unwrap_or(now));
                self.exchange.submit(draft, &author).await
            }
            other => other,
        };
        let recorded = recorded.map_err(in_own_words)?;
        drop(seat);
        Ok(v1::AcknowledgeResponse {
            id: recorded.id.to_string(),
            index: recorded.index,
        })
    }

    /// When the acknowledgement with this id, if it is recorded, says that note was taken.
    fn earlier_time(
        &self,
        link: &Arc<Link>,
        acknowledgement_id: &str,
    ) -> Result<Option<prost_types::Timestamp>, DeskError> {
        let Ok(id) = MessageId::parse(acknowledgement_id) else {
            return Ok(None); // none given, or the draft's own check says so
        };
        let Some(place @ Place::Log(LogSide::Own, _)) = self.exchange.place(link, id)? else {
            return Ok(None);
        };
        let message = self.exchange.message(link, place, Detail::Full)?;
        Ok(match message.body.and_then(|body| body.body) {
            Some(Body::Acknowledgement(earlier)) => earlier.acknowledged_at,
            _ => None,
        })
    }
}

fn acknowledgement(
    message: &v1::Message,
    request: &v1::AcknowledgeRequest,
    ceiling: v1::Classification,
    at: prost_types::Timestamp,
) -> v1::Draft {
    let officer = request.officer.clone().unwrap_or_default();
    // Of an exercise, an exercise; unknown to this version, what drafts are by default.
    let status = v1::Status::try_from(message.status).unwrap_or_default();
    let classification = message
        .handling
        .map_or(0, |handling| handling.classification);
    let classification = v1::Classification::try_from(classification).unwrap_or_default();
    // It holds nothing of the message; a peer that says more than was agreed is acknowledged too.
    let classification = handling::within(classification as i32, ceiling);
    v1::Draft {
        id: request.acknowledgement_id.clone(),
        recipient: message.peer.clone(),
        status: status as i32,
        handling: Some(v1::Handling {
            classification,
            ..v1::Handling::default()
        }),
        thread_id: message.thread_id.clone(),
        in_reply_to: message.id.clone(),
        body: Some(v1::Body {
            body: Some(body::acknowledgement(officer, request.remark.clone(), at)),
        }),
        ..v1::Draft::default()
    }
}

/// The faults of the draft made here, as faults of the request it was made from.
fn in_own_words(error: SubmitError) -> SubmitError {
    let SubmitError::Faults(faults) = error else {
        return error;
    };
    let mut own: Vec<FieldFault> = faults
        .into_iter()
        .map(|fault| FieldFault {
            field: request_field(&fault.field),
            ..fault
        })
        .collect();
    // The office stands in two places of the body and in one of the request.
    own.dedup_by(|a, b| a.field == b.field && a.reason == b.reason);
    SubmitError::Faults(own)
}

fn request_field(field: &str) -> String {
    const WITHIN: &str = "body.acknowledgement.";
    match field {
        "id" => "acknowledgementId".to_owned(),
        "inReplyTo" => "id".to_owned(),
        "body.acknowledgement.common" => "officer".to_owned(),
        "body.acknowledgement.common.fromOffice" => "officer.office".to_owned(),
        field if field.starts_with("body.acknowledgement.common.languages") => "remark".to_owned(),
        field => field.strip_prefix(WITHIN).unwrap_or(field).to_owned(),
    }
}

//! What handling codes restrict: the check of each use, and sending on to another peer.
//!
//! The rule is [`crate::model::handling`]'s; here it is asked, by the node and not by its callers, and
//! what came of it is noted.

use std::sync::Arc;

use prost::Message as _;
use tonic::{Request, Response, Status};

use super::Desk;
use super::caller::{Access, Caller, Method, Role};
use super::errors::DeskError;
use super::quota::{Admission, class_of};
use super::read::parse_id;
use super::service::{admit, answer};
use crate::exchange::view::Detail;
use crate::journal::Act;
use crate::model::handling::{self, Permit, Use, check_reason, code_of, not_forwarded, permits};
use crate::proto::v1;
use crate::proto::v1::handling_service_server::HandlingService;

#[tonic::async_trait]
impl HandlingService for Arc<Desk> {
    async fn forward(
        &self,
        request: Request<v1::ForwardRequest>,
    ) -> Result<Response<v1::ForwardResponse>, Status> {
        let (caller, access) = admit(&request, Method::Forward)?;
        let result = Desk::forward(self, &caller, access, request.into_inner()).await;
        answer(&caller, Method::Forward, result)
    }
}

/// The use that a request's purpose is.
pub(super) fn use_of(purpose: i32) -> Result<Use, DeskError> {
    match v1::Purpose::try_from(purpose) {
        Ok(v1::Purpose::Unspecified | v1::Purpose::Read) => Ok(Use::Read),
        Ok(v1::Purpose::Export) => Ok(Use::Export),
        Ok(v1::Purpose::Print) => Ok(Use::Print),
        Ok(v1::Purpose::Forward) => Ok(Use::Forward),
        Err(_) => Err(DeskError::field(
            "purpose",
            format!("{purpose} is no Purpose"),
            "say what for, or leave it out to read",
        )),
    }
}

/// The reason that a request gives, checked; nothing if it gives none.
pub(super) fn reason_of(typed: &str) -> Result<Option<&str>, DeskError> {
    if typed.is_empty() {
        return Ok(None);
    }
    let checked = check_reason(typed).map_err(|fault| DeskError::Fields(vec![fault]))?;
    Ok(Some(checked))
}

impl Desk {
    /// Lets a caller use a message that it may see, if its handling code allows it or a reason is
    /// given; notes an override, and a refusal.
    pub(super) async fn permit(
        &self,
        caller: &Caller,
        message: &v1::Message,
        wanted: Use,
        override_reason: &str,
    ) -> Result<(), DeskError> {
        let reason = reason_of(override_reason)?;
        let code = code_of(message.handling.as_ref());
        let Permit::NeedsOverride { why } = permits(code, wanted) else {
            return Ok(());
        };
        let word = handling::code_word(code);
        let deed = |act| {
            Self::deed(caller, act)
                .peer(&message.peer)
                .message(&message.id)
                .what(format_args!("{wanted} {word}"))
        };
        let Some(reason) = reason else {
            let refusal = deed(Act::Refused);
            if caller.role == Role::Integration {
                self.note_of_program(caller, refusal).await?;
            } else {
                self.note_counted(refusal).await?;
            }
            return Err(DeskError::Restricted {
                id: message.id.clone(),
                code: word,
                why,
                wanted,
            });
        };
        let overriding = deed(Act::Overrode).why(reason);
        if caller.role == Role::Integration {
            return self.note_of_program(caller, overriding).await;
        }
        self.note(overriding).await
    }

    async fn forward(
        self: &Arc<Self>,
        caller: &Caller,
        access: Access,
        request: v1::ForwardRequest,
    ) -> Result<v1::ForwardResponse, DeskError> {
        let id = parse_id("messageId", &request.message_id)?;
        let (desk, by) = (Arc::clone(self), caller.clone());
        let read = move || {
            let (link, place) = desk.visible(&by, access, id)?;
            Ok(desk.exchange.message(&link, place, Detail::Full)?)
        };
        let message = self.reading(caller, read).await?;
        let draft = self.forwarding(&message, &request)?;
        if caller.role == Role::Integration {
            self.check_program(caller, &draft)?;
        }
        self.permit(caller, &message, Use::Forward, &request.override_reason)
            .await?;
        let deed = Self::deed(caller, Act::Forwarded)
            .peer(&request.recipient)
            .message(id);
        let Admission { seat, charge } = self
            .let_in(caller, class_of(&draft), draft.encoded_len())
            .await?;
        self.note(deed).await?;
        let recorded = self
            .exchange
            .submit_charged(draft, &caller.author(), Some(charge))
            .await?;
        drop(seat);
        let origin = self.exchange.link(&request.recipient).map(|link| &link.own);
        Ok(v1::ForwardResponse {
            id: recorded.id.to_string(),
            origin: origin.map(ToString::to_string).unwrap_or_default(),
            index: recorded.index,
            already_recorded: recorded.already_recorded,
        })
    }

    /// The new message that says the same: what it says and how it is to be handled are the
    /// original's, and it names no message of the other link.
    fn forwarding(
        &self,
        message: &v1::Message,
        request: &v1::ForwardRequest,
    ) -> Result<v1::Draft, DeskError> {
        let fault = |field: &str, reason: String, remedy: &str| {
            Err(DeskError::field(field, reason, remedy))
        };
        if self.exchange.link(&request.recipient).is_none() {
            return fault(
                "recipient",
                "no such peer of this node".to_owned(),
                "`status` shows the peers",
            );
        }
        if request.recipient == message.peer {
            return fault(
                "recipient",
                "the message is on the link with this peer already".to_owned(),
                "name another peer",
            );
        }
        if let Some(why) = not_forwarded(message.kind()) {
            let kind = message.kind().as_str_name().trim_start_matches("KIND_");
            return fault(
                "messageId",
                format!("{kind} is not forwarded: {why}"),
                "write an official letter that says what the other authority may know",
            );
        }
        if message.level() == v1::Level::Withdrawn {
            return fault(
                "messageId",
                "its author took it back".to_owned(),
                "forward what stands instead of it, if anything does",
            );
        }
        if let Some(state) = message.attachments.iter().find(|state| !state.complete) {
            let size = state.attachment.as_ref().map_or(0, |file| file.size);
            return Err(DeskError::FileIncomplete {
                held: state.held_bytes,
                size,
            });
        }
        if message.body.is_none() {
            return fault(
                "messageId",
                "its body is not here: erased, refused, or of a newer version".to_owned(),
                "there is nothing to forward; `show` says what became of it",
            );
        }
        Ok(v1::Draft {
            id: request.id.clone(),
            recipient: request.recipient.clone(),
            precedence: match request.precedence {
                0 => message.precedence,
                chosen => chosen,
            },
            status: message.status,
            handling: message.handling,
            acknowledge_by: request.acknowledge_by,
            body: message.body.clone(),
            ..v1::Draft::default()
        })
    }
}

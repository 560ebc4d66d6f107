//! Submitting: the path's own checks, and before them what a program may send at all.

use prost::Message as _;

use super::Desk;
use super::caller::{Caller, Role};
use super::errors::DeskError;
use super::quota::{Admission, class_of};
use super::seats::Seat;
use crate::exchange::layout::Place;
use crate::exchange::{Link, LogSide};
use crate::model::{MessageId, body};
use crate::proto::v1;

impl Desk {
    pub(super) async fn submit(
        &self,
        caller: &Caller,
        request: v1::SubmitRequest,
    ) -> Result<v1::SubmitResponse, DeskError> {
        // Without a draft, the check names everything that is missing.
        let draft = request.draft.unwrap_or_default();
        if caller.role == Role::Integration {
            self.check_program(caller, &draft)?;
        }
        let admission = self
            .let_in(caller, class_of(&draft), draft.encoded_len())
            .await?;
        self.record(caller, draft, admission).await
    }

    /// As [`Desk::submit`], for a draft that has its place in flight.
    pub(super) async fn submit_seated(
        &self,
        caller: &Caller,
        draft: v1::Draft,
        seat: Seat,
    ) -> Result<v1::SubmitResponse, DeskError> {
        if caller.role == Role::Integration {
            self.check_program(caller, &draft)?;
        }
        let admission = self
            .let_in_seated(caller, class_of(&draft), draft.encoded_len(), seat)
            .await?;
        self.record(caller, draft, admission).await
    }

    async fn record(
        &self,
        caller: &Caller,
        draft: v1::Draft,
        admission: Admission,
    ) -> Result<v1::SubmitResponse, DeskError> {
        let Admission { seat, charge } = admission;
        let recipient = draft.recipient.clone();
        let author = caller.author();
        let recorded = self
            .exchange
            .submit_charged(draft, &author, Some(charge))
            .await?;
        drop(seat);
        let origin = self.exchange.link(&recipient).map(|link| &link.own);
        Ok(v1::SubmitResponse {
            id: recorded.id.to_string(),
            origin: origin.map(ToString::to_string).unwrap_or_default(),
            index: recorded.index,
            already_recorded: recorded.already_recorded,
        })
    }

    /// A program sends only the kinds that its configuration names, and speaks only of what it
    /// may know: its own messages. Were a sensor that has been broken into let to answer the
    /// peer, its answer would show the peer's message as settled.
    pub(super) fn check_program(
        &self,
        caller: &Caller,
        draft: &v1::Draft,
    ) -> Result<(), DeskError> {
        let Some(content) = draft.body.as_ref().and_then(|body| body.body.as_ref()) else {
            return Ok(()); // the draft's own check says so
        };
        let kind = body::kind_of(content);
        let rule = self.rules.integrations.get(&caller.name);
        if !rule.is_some_and(|kinds| kinds.contains(&(kind as i32))) {
            let kinds = rule.into_iter().flatten();
            let names: Vec<_> = kinds
                .filter_map(|number| v1::Kind::try_from(*number).ok())
                .map(|kind| kind.as_str_name())
                .collect();
            let allowed = if names.is_empty() {
                "nothing".to_owned()
            } else {
                names.join(", ")
            };
            return Err(DeskError::Kind { kind, allowed });
        }
        let Some(link) = self.exchange.link(&draft.recipient) else {
            return Ok(()); // as above
        };
        // A letter answers a letter. All else that programs send opens a matter, or goes on with it.
        let answers_peer = kind == v1::Kind::OfficialLetter;
        for (field, text, may_name_peers) in [
            ("inReplyTo", &draft.in_reply_to, answers_peer),
            ("supersedes", &draft.supersedes, false),
        ] {
            let Ok(id) = MessageId::parse(text) else {
                continue; // as above
            };
            let may = match self.exchange.place(link, id)? {
                Some(Place::Log(LogSide::Own, index)) => self.is_own(caller, link, index)?,
                Some(Place::Log(LogSide::Mirror, _) | Place::Expressed(_)) => may_name_peers,
                None => false,
            };
            if !may {
                return Err(DeskError::field(
                    field,
                    format!("no message {id} that this program may name"),
                    "name a message that this program has sent",
                ));
            }
        }
        Ok(())
    }

    /// Whether the caller submitted the own message at an index.
    pub(super) fn is_own(
        &self,
        caller: &Caller,
        link: &Link,
        own_index: u64,
    ) -> Result<bool, DeskError> {
        let author = self.exchange.author(link, own_index)?;
        Ok(author == Some(caller.author()))
    }
}

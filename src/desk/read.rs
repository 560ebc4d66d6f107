//! Reading: one message, pages of them.

use std::sync::Arc;

use super::Desk;
use super::caller::{Access, Caller, Role};
use super::errors::DeskError;
use super::handling::use_of;
use crate::exchange::layout::Place;
use crate::exchange::quota::Class;
use crate::exchange::view::Detail;
use crate::exchange::{Link, LogSide};
use crate::journal::{Act, Deed};
use crate::limits::JOURNAL_ENTRY_BYTES_MAX;
use crate::model::MessageId;
use crate::model::handling::Use;
use crate::proto::v1;

/// An id as a request gives it.
pub(super) fn parse_id(field: &str, text: &str) -> Result<MessageId, DeskError> {
    MessageId::parse(text).map_err(|error| {
        DeskError::field(
            field,
            error.to_string(),
            "use the id of a message, as `list` shows it",
        )
    })
}

impl Desk {
    /// A message that the caller may know of. What it may not know of is not there.
    pub(super) fn visible(
        &self,
        caller: &Caller,
        access: Access,
        id: MessageId,
    ) -> Result<(Arc<Link>, Place), DeskError> {
        let found = self.exchange.find(id)?;
        let (link, place) = found.ok_or(DeskError::NotFound { id })?;
        let may = match (access, place) {
            (Access::Full | Access::Outline, _) => true,
            (Access::Own, Place::Log(LogSide::Own, index)) => self.is_own(caller, &link, index)?,
            (Access::Own | Access::Denied, _) => false,
        };
        if may {
            Ok((link, place))
        } else {
            Err(DeskError::NotFound { id })
        }
    }

    pub(super) async fn get(
        self: &Arc<Self>,
        caller: &Caller,
        access: Access,
        request: v1::GetRequest,
    ) -> Result<v1::GetResponse, DeskError> {
        let id = parse_id("id", &request.id)?;
        let wanted = use_of(request.purpose)?;
        let (desk, by) = (Arc::clone(self), caller.clone());
        let read = move || {
            let (link, place) = desk.visible(&by, access, id)?;
            Ok(desk.exchange.message(&link, place, Detail::Full)?)
        };
        let mut message = self.reading(caller, read).await?;
        if access == Access::Outline {
            // Nothing is left that a code could restrict.
            withhold(&mut message);
        } else {
            self.permit(caller, &message, wanted, &request.override_reason)
                .await?;
            match wanted {
                Use::Read => self.note_read(caller, access, &message, "").await?,
                // Nothing is sent by it: that is another call.
                Use::Forward => self.note_read(caller, access, &message, "forward").await?,
                Use::Export => self.note_use(caller, Act::Exported, &message).await?,
                Use::Print => self.note_use(caller, Act::Printed, &message).await?,
            }
        }
        Ok(v1::GetResponse {
            message: Some(message),
        })
    }

    /// Notes that a caller is about to be shown a message, if that is to be noted.
    async fn note_read(
        &self,
        caller: &Caller,
        access: Access,
        message: &v1::Message,
        what: &str,
    ) -> Result<(), DeskError> {
        match Self::reading_of(caller, access, message) {
            Some(deed) => self.note(deed.what(what)).await,
            None => Ok(()),
        }
    }

    /// What is noted before a caller is shown a message, if its body is in it. A program that is shown
    /// what it has submitted itself is not noted.
    pub(super) fn reading_of(
        caller: &Caller,
        access: Access,
        message: &v1::Message,
    ) -> Option<Deed> {
        if message.body.is_none() || access == Access::Own {
            return None;
        }
        Some(Self::deed_with(caller, Act::Read, message))
    }

    fn deed_with(caller: &Caller, act: Act, message: &v1::Message) -> Deed {
        Self::deed(caller, act)
            .peer(&message.peer)
            .message(&message.id)
    }

    /// Notes a use. A program that uses the same again and again is counted, and pays for what it makes
    /// the journal grow by.
    async fn note_use(
        &self,
        caller: &Caller,
        act: Act,
        message: &v1::Message,
    ) -> Result<(), DeskError> {
        let deed = Self::deed_with(caller, act, message);
        if caller.role == Role::Integration {
            return self.note_of_program(caller, deed).await;
        }
        self.note(deed).await
    }

    /// Notes, counted, what a program could do without end.
    pub(super) async fn note_of_program(
        &self,
        caller: &Caller,
        deed: Deed,
    ) -> Result<(), DeskError> {
        if !self.is_due(&deed) {
            return self.note_counted(deed).await;
        }
        self.check_room(Class::Bulk)?;
        let bytes = JOURNAL_ENTRY_BYTES_MAX as u64;
        let charge = self.charge(caller, Class::Bulk, 1, bytes).await?;
        self.note_counted(deed).await?;
        self.exchange.keep_charge(charge).await;
        Ok(())
    }

    pub(super) fn list(
        &self,
        caller: &Caller,
        access: Access,
        mut request: v1::ListRequest,
    ) -> Result<v1::ListResponse, DeskError> {
        if access == Access::Own {
            if request.side() == v1::Side::Peer {
                return Ok(v1::ListResponse::default());
            }
            // Nothing else is read for it.
            request.side = v1::Side::Own as i32;
        }
        let mut page = self.exchange.list(&request, |message| match access {
            Access::Full | Access::Outline => true,
            Access::Own => self.may_see_own(caller, message),
            Access::Denied => false,
        })?;
        if access == Access::Outline {
            page.messages.iter_mut().for_each(withhold);
        }
        Ok(page)
    }

    /// Whether a message, as it was put together for people, is one that the caller submitted.
    pub(super) fn may_see_own(&self, caller: &Caller, message: &v1::Message) -> bool {
        message.side() == v1::Side::Own
            && self
                .exchange
                .link(&message.peer)
                .is_some_and(|link| self.is_own(caller, link, message.index).unwrap_or(false))
    }
}

/// Takes out the body and what tells of it.
pub(super) fn withhold(message: &mut v1::Message) {
    message.body = None;
    message.attachments.clear();
    message.body_withheld = true;
    if let Some(refusal) = &mut message.refusal {
        // It quotes what was wrong with the body.
        refusal.detail.clear();
    }
    // They say what the body would have done in its case.
    message.standing = v1::Standing::default().into();
    message.standing_reason.clear();
}

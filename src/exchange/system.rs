//! What the node itself says: `REFUSAL`, `ATTACHMENTS_RECEIVED`, `KEY_CHANGE`,
//! `ERASURE_NOTICE`. Signed, recorded, pushed and
//! receipted like everything else.

use super::admit::Refused;
use super::clock::timestamp_of_ms;
use super::command::OwnEntry;
use super::erase::Erasure;
use super::submit::SubmitError;
use super::{Exchange, Link};
use crate::crypto::vkey::VerifierKey;
use crate::model::{Header, MessageId, handling};
use crate::proto::v1::{self, RefusalReason};
use crate::tlog::Hash;

/// What a REFUSAL says.
pub(crate) struct RefusalOf<'a> {
    pub(crate) index: u64,
    pub(crate) leaf: Hash,
    pub(crate) reason: RefusalReason,
    pub(crate) detail: &'a str,
    /// The id the entry claims, if it can be read: the REFUSAL answers it.
    pub(crate) id: Option<MessageId>,
}

impl Exchange {
    /// Signs a REFUSAL of the peer's entry at an index.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub(crate) fn refusal(
        &self,
        link: &Link,
        index: u64,
        leaf: Hash,
        refused: &Refused,
    ) -> Result<OwnEntry, SubmitError> {
        let of = RefusalOf {
            index,
            leaf,
            reason: refused.reason,
            detail: &refused.detail,
            id: refused.id,
        };
        self.refusal_that(link, &of)
    }

    /// Signs a REFUSAL by what it says.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub(crate) fn refusal_that(
        &self,
        link: &Link,
        of: &RefusalOf<'_>,
    ) -> Result<OwnEntry, SubmitError> {
        let content = v1::body::Body::Refusal(v1::Refusal {
            index: of.index,
            entry_digest: of.leaf.0.to_vec().into(),
            reason: of.reason as i32,
            detail: of.detail.to_owned(),
        });
        self.system_entry(link, &content, of.id.map(|id| (id, id)))
    }

    /// Signs an `ATTACHMENTS_RECEIVED` for the peer's message at an index.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub(crate) fn files_received(
        &self,
        link: &Link,
        mirror_index: u64,
        message: &Header,
        sha256: Vec<[u8; 32]>,
    ) -> Result<OwnEntry, SubmitError> {
        let digests = sha256.into_iter().map(|d| d.to_vec().into());
        let content = v1::body::Body::AttachmentsReceived(v1::AttachmentsReceived {
            sha256: digests.collect(),
        });
        let of = Some((message.id, message.thread_id));
        let mut own = self.system_entry(link, &content, of)?;
        own.confirms_files_of = Some(mirror_index);
        Ok(own)
    }

    /// Signs an `ERASURE_NOTICE` for a message.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub(crate) fn erasure_notice(
        &self,
        link: &Link,
        message: &Header,
        erasure: &Erasure,
    ) -> Result<OwnEntry, SubmitError> {
        let content = v1::body::Body::ErasureNotice(v1::ErasureNotice {
            erased_at: Some(timestamp_of_ms(erasure.at_ms)),
            authority: erasure.authority.clone(),
        });
        self.system_entry(link, &content, Some((message.id, message.thread_id)))
    }

    /// Signs a change of the own keys, ready to be recorded.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub(crate) fn change_entry(
        &self,
        link: &Link,
        content: &v1::body::Body,
        by: Option<&VerifierKey>,
    ) -> Result<OwnEntry, SubmitError> {
        let id = MessageId::from_parts(self.clock.unix_ms(), self.entropy.bytes()?);
        let draft = v1::Draft {
            precedence: v1::Precedence::Routine as i32,
            status: v1::Status::Actual as i32,
            handling: Some(said_by_the_node(link)),
            body: Some(v1::Body {
                body: Some(content.clone()),
            }),
            ..v1::Draft::default()
        };
        self.sign_change(link, &draft, id, content, by)
    }

    /// Signs what the node says of a message of this id and case.
    fn system_entry(
        &self,
        link: &Link,
        content: &v1::body::Body,
        answers: Option<(MessageId, MessageId)>,
    ) -> Result<OwnEntry, SubmitError> {
        let id = MessageId::from_parts(self.clock.unix_ms(), self.entropy.bytes()?);
        let draft = v1::Draft {
            precedence: v1::Precedence::Routine as i32,
            status: v1::Status::Actual as i32,
            handling: Some(said_by_the_node(link)),
            body: Some(v1::Body {
                body: Some(content.clone()),
            }),
            in_reply_to: answers.map(|(id, _)| id.to_string()).unwrap_or_default(),
            ..v1::Draft::default()
        };
        let thread_id = answers.map_or(id, |(_, thread_id)| thread_id);
        self.sign_entry(link, &draft, id, thread_id, content)
    }
}

/// It says nothing of what messages say, so it may go wherever they may.
fn said_by_the_node(link: &Link) -> v1::Handling {
    v1::Handling {
        classification: handling::within(
            v1::Classification::Restricted as i32,
            link.classification_max,
        ),
        ..v1::Handling::default()
    }
}

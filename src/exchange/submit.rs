//! Submitting: draft → check → sign → append → answer.
//!
//! The caller is answered after the flush and not before. The entry is signed on the caller's
//! task, before it has an index, so that many are signed at once; the recorder gives the index.
//! The id makes it safe to ask again: the same id and content gives the first result, another
//! content is an error.

use std::sync::Arc;

use bytes::Bytes;
use prost::Message as _;
use zeroize::Zeroizing;

use super::command::{Command, Holds, Leaf, OwnEntry, RecordError, Recorded};
use super::keys::OwnChange;
use super::layout::{self, FileRef, LogSide, Place, StoredBody, StoredEntry};
use super::quota::Charge;
use super::read::{BodyContext, ReadError, Stored};
use super::restore::header_in;
use super::{Exchange, Link};
use crate::crypto::Verified;
use crate::crypto::at_rest;
use crate::crypto::dsse::{self, DsseError, Envelope};
use crate::crypto::keys::MessageKey;
use crate::crypto::vkey::VerifierKey;
use crate::limits::SALT_BYTES;
use crate::model::check::FieldFault;
use crate::model::header::{HeaderError, HeaderParts};
use crate::model::workflow::{self, Facts, Impossible, Party};
use crate::model::{self, Header, MessageId, body, check, handling};
use crate::proto::v1;
use crate::store::{Share, StoreError, Vault, VaultError};
use crate::tlog::{Hash, leaf_hash};

/// Times that a message is signed because its key ended before it had its place.
const SIGN_AGAIN_MAX: usize = 8;

/// Bytes of a body that is signed and sealed within a moment, and lies in its record.
const QUICK_BYTES_MAX: usize = 4_096;

/// Who submits: a role and a name, as the desk knows them. Kept beside the entry on this node,
/// never signed nor sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author(String);

impl Author {
    /// An author by its text, such as `integration/radar`.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a draft was not recorded. Nothing of it was kept.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// The caller's mistake: every fault, with field, reason and remedy.
    #[error("{}", faults_text(.0))]
    Faults(Vec<FieldFault>),
    /// The same id was used for another message.
    #[error(
        "id {id}: this id is already used by a message with other content; give this one a new id"
    )]
    IdUsed {
        /// The id.
        id: MessageId,
    },
    /// The workflow of its case does not allow it now.
    #[error("{}", impossible_text(.impossible, *.own))]
    Impossible {
        /// Why, and what is possible.
        impossible: Box<Impossible>,
        /// Which side this node is.
        own: Party,
    },
    /// The recorder's words.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The store cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The header cannot be made.
    #[error("the header cannot be made: {0}")]
    Header(#[from] HeaderError),
    /// The envelope cannot be made.
    #[error("the entry cannot be signed: {0}")]
    Sign(#[from] DsseError),
    /// None of the message keys at hand holds at the end of the log.
    #[error(
        "none of the message keys at hand holds at the end of this log: it is older than they are. \
         Let it catch up with the peer, or put the right key file back"
    )]
    NoKey,
    /// The system gives no randomness.
    #[error("the system gives no randomness; nothing can be signed")]
    Entropy(#[from] getrandom::Error),
}

impl From<StoreError> for SubmitError {
    fn from(error: StoreError) -> Self {
        Self::Read(error.into())
    }
}

/// What is not possible and what is, as the person who asked reads it.
fn impossible_text(impossible: &Impossible, own: Party) -> String {
    let mut text = format!(
        "this is not possible now: {}; the case stands at: {}",
        impossible.reason, impossible.state
    );
    for (by, who) in [(own, "this side"), (own.other(), "the other side")] {
        let steps: Vec<String> = impossible
            .allowed
            .iter()
            .filter(|step| step.by == by)
            .map(|step| format!("{} ({})", step.kind, step.does))
            .collect();
        if !steps.is_empty() {
            text = format!("{text}; possible now by {who}: {}", steps.join(", "));
        }
    }
    text
}

fn faults_text(faults: &[FieldFault]) -> String {
    let lines = faults
        .iter()
        .map(|fault| format!("{}: {}; {}", fault.field, fault.reason, fault.remedy));
    lines.collect::<Vec<_>>().join("\n")
}

fn fault(field: &str, reason: impl Into<String>, remedy: impl Into<String>) -> SubmitError {
    SubmitError::Faults(vec![FieldFault {
        field: field.to_owned(),
        reason: reason.into(),
        remedy: remedy.into(),
    }])
}

impl Exchange {
    /// Checks, signs and records a draft; returns once it is durable.
    ///
    /// # Errors
    /// [`SubmitError`]; nothing was recorded then, except when the store stopped
    /// ([`RecordError::Stopped`]): ask again with the same id after the restart.
    pub async fn submit(&self, draft: v1::Draft, author: &Author) -> Result<Recorded, SubmitError> {
        self.submit_charged(draft, author, None).await
    }

    /// As [`Exchange::submit`], at the cost of a quota: what is not recorded is given back.
    ///
    /// # Errors
    /// As [`Exchange::submit`].
    pub async fn submit_charged(
        &self,
        draft: v1::Draft,
        author: &Author,
        charge: Option<Charge>,
    ) -> Result<Recorded, SubmitError> {
        let charge = charge.map(Arc::new);
        for _ in 1..SIGN_AGAIN_MAX {
            match self
                .submit_once(draft.clone(), author, charge.clone())
                .await
            {
                Err(SubmitError::Record(RecordError::KeyEnded)) => {}
                other => return other,
            }
        }
        self.submit_once(draft, author, charge).await
    }

    async fn submit_once(
        &self,
        draft: v1::Draft,
        author: &Author,
        charge: Option<Arc<Charge>>,
    ) -> Result<Recorded, SubmitError> {
        let draft = check::with_defaults(draft);
        check::check_draft(&draft).map_err(SubmitError::Faults)?;
        let Some(link) = self.link(&draft.recipient) else {
            let known: Vec<_> = self.links().map(|link| link.peer.to_string()).collect();
            return Err(fault(
                "recipient",
                format!(
                    "{} is no peer of this node",
                    model::text::escape(&draft.recipient)
                ),
                format!("use one of: {}", known.join(", ")),
            ));
        };
        check_ceiling(draft.handling.as_ref(), link)?;
        let id = match draft.id.as_str() {
            "" => MessageId::from_parts(self.clock.unix_ms(), self.entropy.bytes()?),
            text => MessageId::parse(text)
                .map_err(|error| fault("id", error.to_string(), "use a UUIDv7, or none"))?,
        };
        let recorded = draft.body.as_ref().and_then(|body| body.body.as_ref());
        let Some(content) = recorded else {
            return Err(fault(
                "body",
                "it is missing",
                "give exactly one kind of body",
            ));
        };
        // Before anything is written for it. Whoever has it now is waited for: then this one comes later.
        let mut claim = self.claims.claim(id, &self.blobs).await;
        if let Some(before) = self.earlier(link, id, &draft, content)? {
            return Ok(before);
        }
        if self.sent_elsewhere(link, id)? {
            return Err(SubmitError::IdUsed { id });
        }
        let answered = self.named_message(link, &draft.in_reply_to, "inReplyTo", None)?;
        let superseded =
            self.named_message(link, &draft.supersedes, "supersedes", Some(LogSide::Own))?;
        let thread_id = match (draft.thread_id.as_str(), &answered, &superseded) {
            ("", Some(header), _) | ("", None, Some(header)) => header.thread_id,
            ("", None, None) => id,
            (text, ..) => MessageId::parse(text)
                .map_err(|error| fault("threadId", error.to_string(), "use a thread's id"))?,
        };
        self.check_files(content)?;

        let continues = answered.is_some() || superseded.is_some() || thread_id != id;
        let kind = body::kind_of(content);
        let is_judged = continues || is_judged_at_once(kind);
        let case = if is_judged {
            Some(link.lock_case(thread_id, kind).await)
        } else {
            None
        };
        let named = Named { id, thread_id };
        // What lies in files is written before it is recorded: nobody is to wait for that.
        let is_quick = content.encoded_len() <= QUICK_BYTES_MAX && files_of(content).is_empty();
        let (mut own, coming) = if is_judged {
            let possible = self.judged(link, &draft, named, content)?;
            self.check_signing(link, content, answered.as_ref())?;
            let coming = is_quick.then(|| self.recorder.coming());
            (self.sign_header(link, possible)?, coming)
        } else {
            let coming = is_quick.then(|| self.recorder.coming());
            let own = self.sign_entry(link, &draft, id, thread_id, content)?;
            (own, coming)
        };
        claim.takes(&own.leaf);
        self.adopt_files(&own.facts.files)?;
        own.author = Some(author.clone());
        own.charge = charge;
        let holds = Holds {
            case,
            claim: Some(claim),
        };
        let append = |reply| Command::Append(link.number, Box::new(own), holds, reply);
        let answer = self.tell(append).await;
        drop(coming);
        match self.answered(answer).await {
            // The node itself was faster with the same id: is it the same message?
            Ok(recorded) if recorded.already_recorded => self
                .earlier(link, id, &draft, content)?
                .ok_or(SubmitError::IdUsed { id }),
            Ok(recorded) => Ok(recorded),
            Err(RecordError::IdUsed) => Err(SubmitError::IdUsed { id }),
            Err(error) => Err(error.into()),
        }
    }

    /// A countersignature is one of the very message that it answers, and one of a period report
    /// is given only if the figures are the same here.
    fn check_signing(
        &self,
        link: &Link,
        content: &v1::body::Body,
        answered: Option<&Header>,
    ) -> Result<(), SubmitError> {
        let (v1::body::Body::Countersignature(countersignature), Some(signed)) =
            (content, answered)
        else {
            return Ok(());
        };
        if countersignature.body_digest != signed.body_digest.as_slice() {
            return Err(fault(
                "body.countersignature.bodyDigest",
                "it is not the digest of the message in inReplyTo",
                "answer the message that is signed, with the digest of its body",
            ));
        }
        match self.faults_of_signing(link, content, signed)? {
            faults if faults.is_empty() => Ok(()),
            faults => Err(SubmitError::Faults(faults)),
        }
    }

    /// Makes the header of a draft and judges it by all that is here of its case.
    fn judged(
        &self,
        link: &Link,
        draft: &v1::Draft,
        named: Named,
        content: &v1::body::Body,
    ) -> Result<Unsigned, SubmitError> {
        let party = link.party();
        // Judged by exactly what the header says was seen.
        self.with_cases(link, |cases| {
            let seen_size = cases.size(party.other());
            let unsigned = self.unsigned(link, draft, named, seen_size, content)?;
            let facts = Facts::of(&unsigned.header, Some(content));
            if self.answers_ahead(link, &facts, seen_size)? {
                return if workflow::is_talk(facts.kind()) {
                    Ok(unsigned)
                } else {
                    Err(fault(
                        "inReplyTo",
                        "the message came ahead of its turn; what was said before it is not here \
                         yet",
                        "acknowledge it now, and answer it when it has a place in the log",
                    ))
                };
            }
            match cases.judge(party, &facts)? {
                Ok(()) => Ok(unsigned),
                Err(impossible) => Err(SubmitError::Impossible {
                    impossible: Box::new(impossible),
                    own: party,
                }),
            }
        })?
    }

    /// Whether a draft answers a message that came by express and has no place yet in the log as
    /// far as it is folded. It may be getting one at this moment: the store has it then, and the
    /// cases are about to.
    fn answers_ahead(
        &self,
        link: &Link,
        facts: &Facts,
        seen_size: u64,
    ) -> Result<bool, StoreError> {
        let Some(id) = facts.in_reply_to else {
            return Ok(false);
        };
        Ok(match self.place(link, id)? {
            Some(Place::Expressed(_)) => true,
            Some(Place::Log(LogSide::Mirror, index)) => index >= seen_size,
            Some(Place::Log(LogSide::Own, _)) | None => false,
        })
    }

    /// The record of an earlier submission of the same id and content.
    fn earlier(
        &self,
        link: &Link,
        id: MessageId,
        draft: &v1::Draft,
        content: &v1::body::Body,
    ) -> Result<Option<Recorded>, SubmitError> {
        let Some(place) = self.place(link, id)? else {
            return Ok(None);
        };
        let Place::Log(LogSide::Own, index) = place else {
            return Err(SubmitError::IdUsed { id });
        };
        let reader = self.reader(link, LogSide::Own);
        let stored = reader.entry(index)?;
        let header = header_of(&stored, &link.own.to_string())?;
        let wire = &header.wire;
        let same_header = wire.kind == body::kind_of(content) as i32
            && wire.precedence == draft.precedence
            && wire.status == draft.status
            && wire.handling == draft.handling
            && optional_text(header.in_reply_to) == draft.in_reply_to
            && optional_text(header.supersedes) == draft.supersedes
            && (draft.thread_id.is_empty() || header.thread_id.to_string() == draft.thread_id)
            && wire.acknowledge_by == draft.acknowledge_by
            && wire.respond_by == draft.respond_by;
        let same_body = match reader.body(&stored)? {
            Some((_, bytes)) => bytes == body::encode(content),
            None => false,
        };
        if same_header && same_body {
            Ok(Some(Recorded {
                id,
                index,
                already_recorded: true,
            }))
        } else {
            Err(SubmitError::IdUsed { id })
        }
    }

    /// Whether this node sent a message of this id to another peer: an id is unique for ever.
    fn sent_elsewhere(&self, link: &Link, id: MessageId) -> Result<bool, SubmitError> {
        for other in self.links().filter(|other| other.number != link.number) {
            if let Some(Place::Log(LogSide::Own, _)) = self.place(other, id)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Who submitted the own message at an index; `None` for what the node itself said.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn author(&self, link: &Link, own_index: u64) -> Result<Option<Author>, StoreError> {
        let value = self.store.get(&layout::author(link.number, own_index))?;
        Ok(value.map(|text| Author(String::from_utf8_lossy(&text).into_owned())))
    }

    /// The header of a message that a draft names, which must be on this link.
    fn named_message(
        &self,
        link: &Link,
        text: &str,
        field: &str,
        of: Option<LogSide>,
    ) -> Result<Option<Header>, SubmitError> {
        if text.is_empty() {
            return Ok(None);
        }
        let id = MessageId::parse(text)
            .map_err(|error| fault(field, error.to_string(), "use the id of a message"))?;
        let not_here = || {
            fault(
                field,
                format!(
                    "no message {id} of the right side on the link with {}",
                    link.peer
                ),
                "use the id of a message that `list` shows on this link",
            )
        };
        let place = self.place(link, id)?.ok_or_else(not_here)?;
        match place {
            Place::Log(side, _) if of.is_some_and(|of| of != side) => return Err(not_here()),
            Place::Expressed(_) if of == Some(LogSide::Own) => return Err(not_here()),
            Place::Log(..) | Place::Expressed(_) => {}
        }
        // What came ahead may get its turn at this moment.
        let (_, stored) = self.stored_at(link, place)?;
        Ok(Some(header_of(&stored, link.peer.as_str())?))
    }

    /// Where an id lies on a link.
    pub(crate) fn place(&self, link: &Link, id: MessageId) -> Result<Option<Place>, StoreError> {
        let value = self.store.get(&layout::id(link.number, id))?;
        Ok(value.as_deref().and_then(Place::decode))
    }

    /// Every file a body names must be here, whole, before the body is signed.
    fn check_files(&self, content: &v1::body::Body) -> Result<(), SubmitError> {
        for (number, file) in files_of(content).iter().enumerate() {
            if !self.blobs.is_here(&file.sha256, file.size)? {
                return Err(no_such_file(number));
            }
        }
        Ok(())
    }

    /// Makes blobs of the files that a message is about to name: from here on they are never removed
    /// for being old.
    fn adopt_files(&self, files: &[FileRef]) -> Result<(), SubmitError> {
        for (number, file) in files.iter().enumerate() {
            if !self.blobs.adopt(&file.sha256, file.size)? {
                return Err(no_such_file(number));
            }
        }
        Ok(())
    }

    /// Signs an entry and makes its files durable, so that it can be recorded.
    pub(crate) fn sign_entry(
        &self,
        link: &Link,
        draft: &v1::Draft,
        id: MessageId,
        thread_id: MessageId,
        content: &v1::body::Body,
    ) -> Result<OwnEntry, SubmitError> {
        let seen_size = link.head().mirror_size;
        let named = Named { id, thread_id };
        self.sign_header(link, self.unsigned(link, draft, named, seen_size, content)?)
    }

    /// Makes the header of a draft.
    fn unsigned(
        &self,
        link: &Link,
        draft: &v1::Draft,
        named: Named,
        seen_size: u64,
        content: &v1::body::Body,
    ) -> Result<Unsigned, SubmitError> {
        let salt = self.entropy.bytes::<SALT_BYTES>()?;
        let bytes = body::encode(content);
        let header = Header::build(&HeaderParts {
            draft,
            id: named.id,
            sender: link.own.sender(),
            recipient: link.own.recipient(),
            created_at: self.clock.timestamp(),
            thread_id: named.thread_id,
            seen_size,
            salt: &salt,
            body: &bytes,
        })?;
        // Whatever made the draft: nothing above the ceiling is ever signed.
        check_ceiling(header.wire.handling.as_ref(), link)?;
        Ok(Unsigned {
            facts: facts_of(&header, content),
            said: Facts::of(&header, Some(content)),
            header,
            salt,
            bytes,
        })
    }

    fn sign_header(&self, link: &Link, unsigned: Unsigned) -> Result<OwnEntry, SubmitError> {
        let key = self.message_key(link).ok_or(SubmitError::NoKey)?;
        self.sign_header_by(&key, unsigned)
    }

    fn sign_header_by(
        &self,
        key: &MessageKey,
        unsigned: Unsigned,
    ) -> Result<OwnEntry, SubmitError> {
        let payload = Bytes::from(unsigned.header.wire.encode_to_vec());
        let envelope = dsse::sign(key, payload)?;
        let digest = unsigned.header.body_digest;
        let body = (unsigned.salt, unsigned.bytes, digest);
        let share = share_of(unsigned.facts.urgent);
        let leaf = self.place_leaf(&envelope, Some(body), share)?;
        Ok(OwnEntry {
            leaf: leaf.saying(Some(&unsigned.said), self.blobs.vault()),
            facts: unsigned.facts,
            author: None,
            confirms_files_of: None,
            keyid: key.keyid(),
            change: None,
            charge: None,
            owed_for: None,
        })
    }

    /// Signs a change of the own keys; by the key of this vkey, if it is given.
    pub(crate) fn sign_change(
        &self,
        link: &Link,
        draft: &v1::Draft,
        id: MessageId,
        content: &v1::body::Body,
        by: Option<&VerifierKey>,
    ) -> Result<OwnEntry, SubmitError> {
        let seen_size = link.head().mirror_size;
        let named = Named { id, thread_id: id };
        let unsigned = self.unsigned(link, draft, named, seen_size, content)?;
        let key = match by {
            None => self.message_key(link),
            Some(vkey) => {
                let ring = self.ring.message();
                let mut ring = ring.into_iter();
                ring.find(|key| key.public() == *vkey.public())
            }
        };
        let key = key.ok_or(SubmitError::NoKey)?;
        let (salt, body) = (unsigned.salt.to_vec(), unsigned.bytes.clone());
        let payload = Bytes::from(unsigned.header.wire.encode_to_vec());
        let entry = dsse::sign(&key, payload)?.bytes.clone();
        let mut own = self.sign_header_by(&key, unsigned)?;
        own.change = Some(Box::new(OwnChange { entry, salt, body }));
        Ok(own)
    }

    /// Decides where entry and body lie; those too large for a record become durable files here,
    /// before the commit that names them.
    pub(crate) fn place_leaf(
        &self,
        envelope: &Verified<Envelope>,
        body: Option<([u8; SALT_BYTES], Bytes, [u8; 32])>,
        share: Share,
    ) -> Result<Leaf, StoreError> {
        self.place_bytes(&envelope.bytes, body, share)
    }

    pub(crate) fn place_bytes(
        &self,
        entry: &Bytes,
        body: Option<([u8; SALT_BYTES], Bytes, [u8; 32])>,
        share: Share,
    ) -> Result<Leaf, StoreError> {
        let hash = leaf_hash(entry);
        let body_bytes = body.as_ref().map_or(0, |(_, body, _)| body.len());
        let body = match body {
            None => StoredBody::Absent,
            Some((salt, body, _))
                if let Some(vault) = self.blobs.vault()
                    && lies_sealed(entry) =>
            {
                let content = Zeroizing::new([&salt[..], &body[..]].concat());
                self.seal_body(vault, entry, &hash, &content, share)?
            }
            Some((salt, body, _)) if layout::body_fits(entry.len(), body.len()) => {
                StoredBody::Inline { salt, body }
            }
            Some((salt, body, digest)) => {
                let content = [&salt[..], &body[..]].concat();
                self.store.make_room(share, content.len() as u64)?;
                self.blobs.put(&digest, &content)?;
                StoredBody::File { digest }
            }
        };
        self.leaf_of(entry, hash, body, body_bytes, share)
            .map_err(|failed| {
                let (error, body) = *failed;
                if let Some(digest) = body.file() {
                    // Whoever asked hears of the first error.
                    let _ = self.blobs.forget(digest);
                }
                error
            })
    }

    /// As [`Exchange::place_bytes`], of a body that lies here already.
    pub(crate) fn place_again(
        &self,
        entry: &Bytes,
        body: StoredBody,
        body_bytes: usize,
        share: Share,
    ) -> Result<Leaf, StoreError> {
        self.leaf_of(entry, leaf_hash(entry), body, body_bytes, share)
            .map_err(|failed| failed.0)
    }

    /// The leaf of an entry whose body is placed; one too large for a record becomes a file. With the
    /// error it gives the body back.
    fn leaf_of(
        &self,
        entry: &Bytes,
        hash: Hash,
        body: StoredBody,
        body_bytes: usize,
        share: Share,
    ) -> Result<Leaf, Box<(StoreError, StoredBody)>> {
        let mut leaf = Leaf::inline(hash, entry.clone(), body);
        let sealing = leaf.body.key().map_or(0, |_| at_rest::OVERHEAD_BYTES);
        leaf.kept_bytes = (entry.len() + SALT_BYTES + body_bytes + sealing) as u64;
        if !layout::entry_fits(entry.len()) {
            let digest: [u8; 32] = {
                use sha2::Digest as _;
                sha2::Sha256::digest(entry).into()
            };
            let put = self
                .store
                .make_room(share, entry.len() as u64)
                .and_then(|()| self.blobs.put(&digest, entry));
            if let Err(error) = put {
                return Err(Box::new((error, leaf.body)));
            }
            leaf.entry = StoredEntry::File(digest);
        }
        Ok(leaf)
    }
}

impl Exchange {
    /// Seals salt and body under a key of their own.
    fn seal_body(
        &self,
        vault: &Vault,
        entry: &Bytes,
        leaf: &Hash,
        content: &[u8],
        share: Share,
    ) -> Result<StoredBody, StoreError> {
        let (key, secret) = vault.take()?;
        let sealed = at_rest::seal(&secret, BodyContext::of(leaf).as_context(), content)
            .map_err(|_| VaultError::Seal)?;
        if layout::sealed_fits(entry.len(), sealed.len()) {
            let bytes = sealed.into();
            return Ok(StoredBody::Sealed { key, bytes });
        }
        let digest: [u8; 32] = {
            use sha2::Digest as _;
            sha2::Sha256::digest(&sealed).into()
        };
        self.store.make_room(share, sealed.len() as u64)?;
        self.blobs.put(&digest, &sealed)?;
        Ok(StoredBody::SealedFile { key, digest })
    }
}

/// All bodies but those that nodes say of keys, leaves and digests: they say nothing of persons, and the
/// logs are judged and put together again by them, also where no key file is at hand.
fn lies_sealed(entry: &Bytes) -> bool {
    let is_open = |kind: i32| {
        matches!(
            v1::Kind::try_from(kind),
            Ok(v1::Kind::KeyChange | v1::Kind::Refusal | v1::Kind::AttachmentsReceived)
        )
    };
    // Nearly all are told by their kind alone.
    if !kind_in(entry).is_some_and(is_open) {
        return true;
    }
    !header_in(entry).is_some_and(|header| is_open(header.kind))
}

/// The kind that an entry says to be, whatever else is in it.
fn kind_in(entry: &Bytes) -> Option<i32> {
    /// Of [`v1::Entry`].
    #[derive(Clone, PartialEq, prost::Message)]
    struct Payload {
        #[prost(bytes = "bytes", tag = "1")]
        payload: Bytes,
    }
    /// Of [`v1::Header`].
    #[derive(Clone, PartialEq, prost::Message)]
    struct Kind {
        #[prost(int32, tag = "5")]
        kind: i32,
    }
    let payload = Payload::decode(entry.clone()).ok()?.payload;
    Some(Kind::decode(payload).ok()?.kind)
}

fn no_such_file(number: usize) -> SubmitError {
    fault(
        &format!("body.common.attachments[{number}].sha256"),
        "no file of this digest and size has been uploaded to this node",
        "upload the file first (`send --attach FILE` does it), then send; an upload that no message \
         names is removed after a day",
    )
}

/// The ids of a message that is being made.
#[derive(Debug, Clone, Copy)]
struct Named {
    id: MessageId,
    thread_id: MessageId,
}

/// A header before it is signed, with its body.
#[derive(Debug)]
struct Unsigned {
    header: Header,
    facts: super::command::Facts,
    said: Facts,
    salt: [u8; SALT_BYTES],
    bytes: Bytes,
}

/// Kinds that may be impossible even as the first of their case.
fn is_judged_at_once(kind: v1::Kind) -> bool {
    matches!(
        kind,
        v1::Kind::HandoverRequest | v1::Kind::Calendar | v1::Kind::Roster
    ) || !workflow::is_talk(kind) && !workflow::may_begin(kind)
}

/// A draft above the link's ceiling is refused before it is signed.
fn check_ceiling(stated: Option<&v1::Handling>, link: &Link) -> Result<(), SubmitError> {
    let classification = stated.map_or(0, |handling| handling.classification);
    let ceiling = link.classification_max;
    if !handling::is_above(classification, ceiling) {
        return Ok(());
    }
    let stated = v1::Classification::try_from(classification).unwrap_or_default();
    let stated = match stated {
        v1::Classification::Unspecified => "RESTRICTED, as nothing lower was given",
        stated => short(stated),
    };
    Err(fault(
        "handling.classification",
        format!(
            "it is {stated}, and at most {} may be sent to {}",
            short(ceiling),
            link.peer
        ),
        "send it another way, or classify it lower if what it says is; what may be sent is agreed \
         in writing, and set as classification_max in the link's settings",
    ))
}

fn short(classification: v1::Classification) -> &'static str {
    let name = classification.as_str_name();
    name.strip_prefix("CLASSIFICATION_").unwrap_or(name)
}

/// The checked header of a stored entry.
pub(crate) fn header_of(stored: &Stored, origin: &str) -> Result<Header, ReadError> {
    let damaged = || ReadError::Damaged {
        what: "header",
        origin: origin.to_owned(),
        index: stored.index,
    };
    let entry = v1::Entry::decode(stored.entry.clone()).map_err(|_| damaged())?;
    Header::parse(&entry.payload).map_err(|_| damaged())
}

/// Whether a message goes ahead of what is not urgent: over a backlog, a quota and a disk that fills. An
/// acknowledgement does whatever its precedence, for it is a person's word that somebody waits for.
pub(crate) fn goes_ahead(kind: i32, precedence: i32) -> bool {
    precedence >= v1::Precedence::Immediate as i32 || kind == v1::Kind::Acknowledgement as i32
}

/// What space is for that a message takes.
pub(crate) fn share_of(goes_ahead: bool) -> Share {
    if goes_ahead {
        Share::Reserved
    } else {
        Share::Ordinary
    }
}

/// The files a body names; those without a proper digest are left out.
pub(crate) fn files_of(content: &v1::body::Body) -> Vec<FileRef> {
    let common = body::common(content);
    let attachments = common.map(|c| c.attachments.as_slice()).unwrap_or_default();
    attachments
        .iter()
        .filter_map(|attachment| {
            Some(FileRef {
                sha256: attachment.sha256[..].try_into().ok()?,
                size: attachment.size,
            })
        })
        .collect()
}

pub(crate) fn facts_of(header: &Header, content: &v1::body::Body) -> super::command::Facts {
    super::command::Facts {
        id: header.id,
        kind: header.kind,
        urgent: goes_ahead(header.kind, header.precedence),
        answers: [header.in_reply_to, header.supersedes]
            .into_iter()
            .flatten()
            .collect(),
        files: files_of(content),
    }
}

fn optional_text(id: Option<MessageId>) -> String {
    id.map(|id| id.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry_of(header: &v1::Header, payload: Option<Vec<u8>>) -> Bytes {
        let entry = v1::Entry {
            payload: payload.unwrap_or_else(|| header.encode_to_vec()).into(),
            payload_type: "application/vnd.liaison.header.v1+protobuf".to_owned(),
            signatures: vec![v1::Signature::default()],
        };
        entry.encode_to_vec().into()
    }

    #[test]
    fn the_kind_of_an_entry_is_read_by_itself() {
        for kind in 0..64 {
            let header = v1::Header {
                sender: "laocai.bg.vn.example".to_owned(),
                kind,
                schema: "a schema".to_owned(),
                ..v1::Header::default()
            };
            assert_eq!(kind_in(&entry_of(&header, None)), Some(kind));
        }
        assert_eq!(kind_in(&Bytes::from_static(b"\xff")), None);
        let header = v1::Header::default();
        assert_eq!(kind_in(&entry_of(&header, Some(vec![0xff]))), None);
    }

    #[test]
    fn what_only_claims_to_be_of_a_system_kind_lies_sealed() {
        // A kind, and a header that is none for the rest.
        let header = v1::Header {
            kind: v1::Kind::KeyChange as i32,
            ..v1::Header::default()
        };
        let entry = entry_of(&header, None);
        assert_eq!(kind_in(&entry), Some(v1::Kind::KeyChange as i32));
        assert!(lies_sealed(&entry));
        assert!(lies_sealed(&Bytes::from_static(b"no entry")));
    }
}

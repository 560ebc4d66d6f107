//! Admission: does an entry that the mirror takes become a message here?
//!
//! The mirror takes any leaf that its author's checkpoint covers; the author answers for its own
//! log. Admission judges each entry from its bytes: verified first, parsed after. Authentic but
//! unknown (a newer kind, a newer enum value) is admitted and shown as such.

use std::collections::HashMap;

use bytes::Bytes;
use prost::Message as _;

use super::command::{Effect, Facts, Leaf, PeerEntry};
use super::keys::RunKeys;
use super::layout::{FileRef, Place, StoredBody};
use super::read::ReadError;
use super::submit::{files_of, goes_ahead, share_of};
use super::{Exchange, Link, LogSide};
use crate::crypto::Verified;
use crate::crypto::dsse::{DsseError, Envelope};
use crate::limits::{ATTACHMENT_BYTES_MAX, ATTACHMENTS_MAX, BODY_BYTES_MAX, SALT_BYTES};
use crate::model::body::{self, BodyError, Decoded};
use crate::model::check;
use crate::model::header::body_digest;
use crate::model::{Header, MessageId, workflow};
use crate::proto::v1::{self, RefusalReason};
use crate::store::{Share, StoreError};
use crate::tlog::leaf_hash;

/// Why an entry is no message here, in the words of the REFUSAL that goes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) reason: RefusalReason,
    pub(crate) detail: String,
    /// The id it claims, if it can be read: the REFUSAL answers it.
    pub(crate) id: Option<MessageId>,
    /// It claims to be a REFUSAL itself; those are not answered with another one.
    pub(crate) is_refusal: bool,
}

/// An authentic entry whose names, body and limits are right. Whether its id is unused is decided
/// in order, by [`Exchange::admit_in_order`].
#[derive(Debug, Clone)]
pub(crate) struct Authentic {
    envelope: Verified<Envelope>,
    header: Header,
    salt: [u8; SALT_BYTES],
    body: Bytes,
    files: Vec<FileRef>,
    says: Says,
    /// For the cases. It is small, whatever the body is.
    said: workflow::Facts,
}

/// What an entry settles here. The parsed body is not kept: a run holds many, and each may take
/// many times its bytes.
#[derive(Debug, Clone)]
enum Says {
    Nothing,
    Refusal { index: u64, entry_digest: Bytes },
    FilesReceived { sha256: Vec<[u8; 32]> },
}

/// Judges an entry by itself: signature, header, names, body, limits. Pure, so that many are
/// judged at once on every core.
///
/// # Errors
/// [`Refused`], for the record and for the author.
pub(crate) fn judge(
    link: &Link,
    keys: &RunKeys,
    index: u64,
    item: &v1::Item,
) -> Result<Authentic, Box<Refused>> {
    let refuse = |reason, detail: &str| {
        let claimed = Claim::of(&item.entry);
        Box::new(Refused {
            reason,
            detail: detail.to_owned(),
            id: claimed.id,
            is_refusal: claimed.is_refusal,
        })
    };
    let verified = keys.history.verify_entry(index, item.entry.clone());
    let (envelope, _) = verified.map_err(|error| match error {
        DsseError::UnknownKey { .. }
        | DsseError::BadSignature { .. }
        | DsseError::OfficerEnded { .. } => refuse(RefusalReason::BadSignature, &error.to_string()),
        _ => refuse(RefusalReason::MalformedEntry, &error.to_string()),
    })?;
    let header = Header::parse(&envelope.payload)
        .map_err(|error| refuse(RefusalReason::MalformedHeader, &error.to_string()))?;
    if header.sender != *link.mirror.sender() || header.recipient != *link.mirror.recipient() {
        return Err(refuse(
            RefusalReason::WrongNames,
            "sender or recipient in the header are not those of this log",
        ));
    }
    // What it has seen of this node's log is durable here before it can have seen it.
    if header.wire.seen_size > link.head().own_size {
        return Err(refuse(
            RefusalReason::MalformedHeader,
            "the header's seen_size is more than this node has said",
        ));
    }
    let mismatch = |detail| refuse(RefusalReason::BodyMismatch, detail);
    if item.erased {
        return Err(mismatch("the body was not sent"));
    }
    if item.body.len() > BODY_BYTES_MAX {
        return Err(refuse(
            RefusalReason::OverLimit,
            &format!(
                "the body has {} bytes, {BODY_BYTES_MAX} are taken",
                item.body.len()
            ),
        ));
    }
    let salt: [u8; SALT_BYTES] = item.salt[..]
        .try_into()
        .map_err(|_| mismatch("the salt has not 32 bytes"))?;
    if item.body.len() != header.body_size as usize {
        return Err(mismatch(
            "the body has not the length that the header states",
        ));
    }
    if body_digest(&salt, &item.body) != header.body_digest {
        return Err(mismatch(
            "the body does not hash to the digest in the header",
        ));
    }
    let content = match body::decode(header.kind, &header.schema, &item.body) {
        Ok(Decoded::Known(body)) => body.body,
        Ok(Decoded::Newer) => None,
        Err(error) => {
            let reason = match error {
                BodyError::TooManyParts => RefusalReason::OverLimit,
                _ => RefusalReason::MalformedBody,
            };
            return Err(refuse(reason, &error.to_string()));
        }
    };
    if matches!(content, Some(v1::body::Body::KeyChange(_)))
        && !keys.history.changes().contains_key(&index)
    {
        let why = keys.faults.get(&index).map(ToString::to_string);
        let why = why.unwrap_or_else(|| "it waits for its turn".to_owned());
        return Err(refuse(RefusalReason::KeyChange, &why));
    }
    if let Some(content) = &content {
        if let Some(what) = check::over_limit(content) {
            return Err(refuse(
                RefusalReason::OverLimit,
                &format!("{what} is longer than this node takes"),
            ));
        }
        let common = body::common(content);
        let attachments = common.map(|c| c.attachments.as_slice()).unwrap_or_default();
        if attachments.len() > ATTACHMENTS_MAX
            || attachments.iter().any(|a| a.size > ATTACHMENT_BYTES_MAX)
        {
            return Err(refuse(
                RefusalReason::OverLimit,
                "the attachments are more or larger than this node takes",
            ));
        }
        if attachments.iter().any(|a| a.sha256.len() != 32) {
            return Err(refuse(
                RefusalReason::MalformedBody,
                "the digest of an attachment has not 32 bytes",
            ));
        }
    }
    Ok(Authentic {
        said: workflow::Facts::of(&header, content.as_ref()),
        envelope,
        header,
        salt,
        body: item.body.clone(),
        files: content.as_ref().map(files_of).unwrap_or_default(),
        says: match content {
            Some(v1::body::Body::Refusal(refusal)) => Says::Refusal {
                index: refusal.index,
                entry_digest: refusal.entry_digest,
            },
            Some(v1::body::Body::AttachmentsReceived(received)) => {
                let digests = received.sha256.iter();
                Says::FilesReceived {
                    sha256: digests.filter_map(|d| d[..].try_into().ok()).collect(),
                }
            }
            _ => Says::Nothing,
        },
    })
}

/// The header of an entry whose body was erased: authentic, and of this log.
pub(crate) fn authentic_header(
    link: &Link,
    keys: &RunKeys,
    index: u64,
    item: &v1::Item,
) -> Option<Header> {
    let history = &keys.history;
    let (envelope, _) = history.verify_entry(index, item.entry.clone()).ok()?;
    let header = Header::parse(&envelope.payload).ok()?;
    let of_this_log =
        header.sender == *link.mirror.sender() && header.recipient == *link.mirror.recipient();
    of_this_log.then_some(header)
}

impl Authentic {
    pub(crate) fn id(&self) -> MessageId {
        self.header.id
    }

    fn facts(&self) -> Facts {
        let named = [self.header.in_reply_to, self.header.supersedes];
        Facts {
            id: self.header.id,
            kind: self.header.kind,
            urgent: self.goes_ahead(),
            answers: named.into_iter().flatten().collect(),
            files: self.files.clone(),
        }
    }

    fn goes_ahead(&self) -> bool {
        goes_ahead(self.header.kind, self.header.precedence)
    }

    fn is_refusal(&self) -> bool {
        self.header.kind == v1::Kind::Refusal as i32
    }
}

/// Ids of the run under judgement, beside those recorded.
pub(crate) type RunIds = HashMap<MessageId, u64>;

/// What admission made of an entry.
pub(crate) struct Judged {
    pub(crate) entry: PeerEntry,
    pub(crate) refused: Option<Box<Refused>>,
}

impl Exchange {
    /// Decides about the next entry in order, and makes its files durable.
    ///
    /// # Errors
    /// When the store cannot be read or a file not be written: nothing is decided then.
    pub(crate) fn admit_in_order(
        &self,
        link: &Link,
        index: u64,
        item: &v1::Item,
        judged: Result<Authentic, Box<Refused>>,
        keys: &RunKeys,
        run: &mut RunIds,
    ) -> Result<Judged, StoreError> {
        let judged = match judged {
            Ok(authentic) => {
                if self.id_is_free(link, authentic.id(), index, run)? {
                    Ok(authentic)
                } else {
                    Err(Box::new(Refused {
                        reason: RefusalReason::DuplicateId,
                        detail: "the id was used before on this link".to_owned(),
                        id: Some(authentic.id()),
                        is_refusal: authentic.is_refusal(),
                    }))
                }
            }
            Err(refused) => Err(refused),
        };
        Ok(match judged {
            Ok(authentic) => {
                run.insert(authentic.id(), index);
                Judged {
                    entry: self.admitted(link, index, &authentic)?,
                    refused: None,
                }
            }
            Err(refused) => Judged {
                entry: PeerEntry {
                    leaf: self
                        .place_refused(index, item, keys)?
                        .saying(said_of_refused(&item.entry).as_ref(), self.blobs.vault()),
                    facts: None,
                    effect: Effect::None,
                },
                refused: Some(refused),
            },
        })
    }

    /// A refused entry, without its body; but a change of keys counts by itself, even if the message
    /// that it came in is refused, and is read again at the next start.
    pub(crate) fn place_refused(
        &self,
        index: u64,
        item: &v1::Item,
        keys: &RunKeys,
    ) -> Result<Leaf, StoreError> {
        let salt = <[u8; SALT_BYTES]>::try_from(&item.salt[..]);
        let body = match salt {
            Ok(salt) if keys.history.changes().contains_key(&index) => {
                let digest = body_digest(&salt, &item.body);
                Some((salt, item.body.clone(), digest))
            }
            _ => None,
        };
        self.place_bytes(&item.entry, body, Share::Reserved)
    }

    /// Entry, body and facts of an authentic entry, its files made durable. What came ahead of its turn
    /// stays sealed as it lies: a body has one key, and is gone when that one is destroyed.
    pub(crate) fn admitted(
        &self,
        link: &Link,
        index: u64,
        authentic: &Authentic,
    ) -> Result<PeerEntry, StoreError> {
        let effect = self.effect(link, authentic)?;
        let share = share_of(authentic.goes_ahead());
        let leaf = if let Some(body) = self.sealed_ahead(link, index, authentic)? {
            let entry = &authentic.envelope.bytes;
            self.place_again(entry, body, authentic.body.len(), share)?
        } else {
            let body = (
                authentic.salt,
                authentic.body.clone(),
                authentic.header.body_digest,
            );
            self.place_leaf(&authentic.envelope, Some(body), share)?
        };
        let refuses = matches!(effect, Effect::Refused(_));
        let said = authentic.said.clone().refusing(refuses);
        Ok(PeerEntry {
            leaf: leaf.saying(Some(&said), self.blobs.vault()),
            facts: Some(authentic.facts()),
            effect,
        })
    }

    /// The body of this very entry as it was sealed when it came ahead of its turn, if it opens.
    fn sealed_ahead(
        &self,
        link: &Link,
        index: u64,
        authentic: &Authentic,
    ) -> Result<Option<StoredBody>, StoreError> {
        if link.head().express_waiting.entries == 0 {
            return Ok(None);
        }
        let reader = self.reader(link, LogSide::Mirror);
        let stored = match reader.expressed(index) {
            Ok(stored) => stored,
            Err(ReadError::Store(error)) => return Err(error),
            Err(_) => return Ok(None),
        };
        if stored.record.body.key().is_none() || stored.entry != authentic.envelope.bytes {
            return Ok(None);
        }
        // One whose key is lost, or that was damaged, is sealed anew from what came.
        let opens = matches!(
            reader.body(&stored),
            Ok(Some((salt, body))) if salt == authentic.salt && body == authentic.body
        );
        Ok(opens.then_some(stored.record.body))
    }

    /// What a system message of the peer settles here. A REFUSAL counts only for the very entry
    /// that it names by index and leaf hash: else one sent ahead would refuse what comes later.
    fn effect(&self, link: &Link, authentic: &Authentic) -> Result<Effect, StoreError> {
        Ok(match (&authentic.says, authentic.header.in_reply_to) {
            (
                Says::Refusal {
                    index,
                    entry_digest,
                },
                _,
            ) => match self.reader(link, LogSide::Own).entry(*index) {
                Ok(own) if leaf_hash(&own.entry).0[..] == entry_digest[..] => {
                    Effect::Refused(*index)
                }
                Err(ReadError::Store(error)) => return Err(error),
                _ => Effect::None,
            },
            (Says::FilesReceived { sha256 }, Some(id)) => {
                Effect::FilesConfirmed(id, sha256.clone())
            }
            _ => Effect::None,
        })
    }

    /// An id is free if nothing has it, or if what has it is this very entry, expressed before.
    pub(crate) fn id_is_free(
        &self,
        link: &Link,
        id: MessageId,
        index: u64,
        run: &RunIds,
    ) -> Result<bool, StoreError> {
        if run.contains_key(&id) {
            return Ok(false);
        }
        Ok(match self.place(link, id)? {
            None => true,
            Some(Place::Expressed(at)) => at == index,
            Some(Place::Log(..)) => false,
        })
    }
}

/// What an unverified entry claims to be: used only to word a refusal.
struct Claim {
    id: Option<MessageId>,
    is_refusal: bool,
}

impl Claim {
    fn of(entry: &Bytes) -> Self {
        let header = v1::Entry::decode(entry.clone())
            .ok()
            .and_then(|entry| v1::Header::decode(entry.payload).ok())
            .unwrap_or_default();
        Self {
            id: MessageId::from_slice(&header.id).ok(),
            is_refusal: header.kind == v1::Kind::Refusal as i32,
        }
    }
}

/// What the header of an entry says that was refused, for the cases.
pub(crate) fn said_of_refused(entry: &Bytes) -> Option<workflow::Facts> {
    let entry = v1::Entry::decode(entry.clone()).ok()?;
    let header = Header::parse(&entry.payload).ok()?;
    Some(workflow::Facts::of(&header, None))
}

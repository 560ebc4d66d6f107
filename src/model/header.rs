//! The signed header: read from hostile bytes, or built from a checked draft.

use prost::Message as _;
use prost_types::Timestamp;
use sha2::{Digest as _, Sha256};

use super::check::with_defaults;
use super::id::{IdError, MessageId};
use super::name::{NameError, NodeName};
use super::{body, time};
use crate::limits;
use crate::proto::v1;

/// A header whose fields have their form.
///
/// Numbers of kinds, precedences and statuses may be unknown here: a newer peer may use more than
/// this version knows, and what it says is recorded all the same.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    /// Unique for ever.
    pub id: MessageId,
    /// The author.
    pub sender: NodeName,
    /// The addressee.
    pub recipient: NodeName,
    /// The case.
    pub thread_id: MessageId,
    /// The message answered.
    pub in_reply_to: Option<MessageId>,
    /// The sender's message corrected or withdrawn.
    pub supersedes: Option<MessageId>,
    /// SHA-256 of salt and body.
    pub body_digest: [u8; 32],
    /// Bytes of the body without the salt.
    pub body_size: u32,
    /// Full name of the body's protobuf message.
    pub schema: String,
    /// [`v1::Kind`], or the number of a newer one; never 0.
    pub kind: i32,
    /// [`v1::Precedence`], or the number of a newer one; never 0.
    pub precedence: i32,
    /// [`v1::Status`], or the number of a newer one; never 0.
    pub status: i32,
    /// The header as it was read, known fields only.
    pub wire: v1::Header,
}

impl Header {
    /// Reads a header from the payload of an entry. Unknown protobuf fields are passed over.
    ///
    /// # Errors
    /// The first field that is missing or lacks its form.
    pub fn parse(payload: &[u8]) -> Result<Self, HeaderError> {
        Self::from_wire(v1::Header::decode(payload)?)
    }

    /// Builds the header of a draft that [`super::check::check_draft`] has passed.
    ///
    /// Defaults are filled in; the draft's own `id` and `thread_id` are not looked at, since the
    /// caller has decided on both.
    ///
    /// # Errors
    /// What [`Header::parse`] would refuse: a header that cannot be read is never signed.
    pub fn build(parts: &HeaderParts<'_>) -> Result<Self, HeaderError> {
        let draft = with_defaults(parts.draft.clone());
        let content = draft
            .body
            .and_then(|body| body.body)
            .ok_or(HeaderError::Missing { field: "kind" })?;
        Self::from_wire(v1::Header {
            id: bytes_of(parts.id),
            sender: parts.sender.as_str().to_owned(),
            recipient: parts.recipient.as_str().to_owned(),
            created_at: Some(parts.created_at),
            kind: body::kind_of(&content) as i32,
            precedence: draft.precedence,
            status: draft.status,
            handling: draft.handling,
            thread_id: bytes_of(parts.thread_id),
            in_reply_to: optional_bytes("in_reply_to", &draft.in_reply_to)?,
            supersedes: optional_bytes("supersedes", &draft.supersedes)?,
            acknowledge_by: draft.acknowledge_by,
            respond_by: draft.respond_by,
            body_digest: body_digest(parts.salt, parts.body).to_vec().into(),
            body_size: u32::try_from(parts.body.len()).unwrap_or(u32::MAX),
            schema: body::schema_of(&content).to_owned(),
            seen_size: parts.seen_size,
        })
    }

    fn from_wire(wire: v1::Header) -> Result<Self, HeaderError> {
        let name = |field, name: &str| {
            NodeName::parse(name).map_err(|source| HeaderError::Name { field, source })
        };
        let header =
            Self {
                id: required_id("id", &wire.id)?,
                sender: name("sender", &wire.sender)?,
                recipient: name("recipient", &wire.recipient)?,
                thread_id: required_id("thread_id", &wire.thread_id)?,
                in_reply_to: optional_id("in_reply_to", &wire.in_reply_to)?,
                supersedes: optional_id("supersedes", &wire.supersedes)?,
                body_digest: wire.body_digest.as_ref().try_into().map_err(|_| {
                    HeaderError::Digest {
                        bytes: wire.body_digest.len(),
                    }
                })?,
                body_size: wire.body_size,
                schema: wire.schema.clone(),
                kind: number("kind", wire.kind)?,
                precedence: number("precedence", wire.precedence)?,
                status: number("status", wire.status)?,
                wire,
            };
        header.check()?;
        Ok(header)
    }

    fn check(&self) -> Result<(), HeaderError> {
        if self.sender == self.recipient {
            return Err(HeaderError::ToItself);
        }
        if self.body_size as usize > limits::BODY_BYTES_MAX {
            return Err(HeaderError::BodySize {
                bytes: self.body_size,
            });
        }
        if !is_full_name(&self.schema) {
            return Err(HeaderError::Schema);
        }
        let handling = self.wire.handling.ok_or(missing("handling"))?;
        number("handling.classification", handling.classification)?;
        let times = [
            ("created_at", self.wire.created_at, true),
            ("acknowledge_by", self.wire.acknowledge_by, false),
            ("respond_by", self.wire.respond_by, false),
        ];
        for (field, value, is_required) in times {
            match value {
                None if is_required => return Err(missing(field)),
                Some(value) if !time::in_range(&value) => return Err(HeaderError::Time { field }),
                _ => {}
            }
        }
        Ok(())
    }
}

/// What a header is built of.
#[derive(Debug, Clone)]
pub struct HeaderParts<'a> {
    /// The checked draft.
    pub draft: &'a v1::Draft,
    /// The message's id: the draft's, or a new one.
    pub id: MessageId,
    /// This node.
    pub sender: &'a NodeName,
    /// The peer.
    pub recipient: &'a NodeName,
    /// The node's clock.
    pub created_at: Timestamp,
    /// The case: the draft's, that of the message answered, or `id`.
    pub thread_id: MessageId,
    /// Entries of the recipient's log that this node has mirrored.
    pub seen_size: u64,
    /// 32 random bytes.
    pub salt: &'a [u8; limits::SALT_BYTES],
    /// The body as [`body::encode`] gave it.
    pub body: &'a [u8],
}

/// SHA-256 of the salt followed by the body: what the header, and so the log, commits to.
#[must_use]
pub fn body_digest(salt: &[u8], body: &[u8]) -> [u8; 32] {
    Sha256::new()
        .chain_update(salt)
        .chain_update(body)
        .finalize()
        .into()
}

fn bytes_of(id: MessageId) -> bytes::Bytes {
    id.as_bytes().to_vec().into()
}

fn optional_bytes(field: &'static str, id: &str) -> Result<bytes::Bytes, HeaderError> {
    if id.is_empty() {
        return Ok(bytes::Bytes::new());
    }
    MessageId::parse(id)
        .map(bytes_of)
        .map_err(|source| HeaderError::Id { field, source })
}

fn required_id(field: &'static str, bytes: &[u8]) -> Result<MessageId, HeaderError> {
    optional_id(field, bytes)?.ok_or(missing(field))
}

fn optional_id(field: &'static str, bytes: &[u8]) -> Result<Option<MessageId>, HeaderError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    MessageId::from_slice(bytes)
        .map(Some)
        .map_err(|source| HeaderError::Id { field, source })
}

fn number(field: &'static str, number: i32) -> Result<i32, HeaderError> {
    if number == 0 {
        return Err(missing(field));
    }
    Ok(number)
}

fn missing(field: &'static str) -> HeaderError {
    HeaderError::Missing { field }
}

/// Dotted protobuf identifiers, as in "liaison.v1.OfficialLetter".
fn is_full_name(name: &str) -> bool {
    let is_identifier = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    name.len() <= limits::LINE_BYTES_MAX && name.split('.').all(is_identifier)
}

/// Why a payload is no header.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum HeaderError {
    /// No protobuf message of that form.
    #[error("the header is no liaison.v1.Header: {0}")]
    Malformed(#[from] prost::DecodeError),
    /// A required field is not there.
    #[error("the header lacks {field}")]
    Missing {
        /// As in the proto.
        field: &'static str,
    },
    /// A field that is no id.
    #[error("the header's {field}: {source}")]
    Id {
        /// As in the proto.
        field: &'static str,
        /// What is wrong with it.
        source: IdError,
    },
    /// A field that is no node name.
    #[error("the header's {field}: {source}")]
    Name {
        /// As in the proto.
        field: &'static str,
        /// What is wrong with it.
        source: NameError,
    },
    /// Sender and recipient are the same.
    #[error("the header's recipient is its sender")]
    ToItself,
    /// A time outside the years 2000 to 2200.
    #[error("the header's {field} is outside the years 2000 to 2200")]
    Time {
        /// As in the proto.
        field: &'static str,
    },
    /// Not the length of a SHA-256.
    #[error("the header's body_digest has {bytes} bytes, not 32")]
    Digest {
        /// Its length.
        bytes: usize,
    },
    /// Larger than a body may be.
    #[error(
        "the header's body_size is {bytes}, over the limit of {} bytes",
        limits::BODY_BYTES_MAX
    )]
    BodySize {
        /// As in the header.
        bytes: u32,
    },
    /// No full name of a protobuf message.
    #[error("the header's schema is no full name of a protobuf message")]
    Schema,
}

//! An official letter with what is known of it, ready to be printed.

use bytes::Bytes;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use prost::Message as _;

use super::letter_page;
use super::qr::{QrCheckpoint, QrText};
use crate::audit::proof::{Proven, verify_proof};
use crate::crypto::vkey::VerifierKey;
use crate::model::name::NameError;
use crate::model::{Header, MessageId, Origin};
use crate::proto::v1::{self, body::Body};
use crate::tlog::Hash;

/// A letter as a page shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Letter {
    /// The message.
    pub id: MessageId,
    /// The log that it is in.
    pub origin: Origin,
    /// Body digest of its signed header.
    pub body_digest: Hash,
    /// The message as its node gives it; its body is the letter below.
    pub message: v1::Message,
    /// What it says.
    pub letter: v1::OfficialLetter,
    /// Its receipt, verified; nothing if there is none yet.
    pub receipt: Option<Proven>,
    /// The withdrawal with which its author took it back.
    pub withdrawn_by: Option<Followed>,
    /// The message with which its author corrected it.
    pub superseded_by: Option<Followed>,
}

/// A later message of the same author that changes how a letter stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Followed {
    /// That message.
    pub id: MessageId,
    /// When its author wrote it.
    pub created_at: Option<prost_types::Timestamp>,
    /// Why, if it is a withdrawal that says so.
    pub reason: Option<v1::LocalizedText>,
}

impl Letter {
    /// Puts together what a node tells: the message, its receipt if there is one, and those of
    /// its answers that are at hand. The receipt is verified under the keys that come with it, and
    /// compared with the message.
    ///
    /// # Errors
    /// [`LetterError`]: it is no letter, or cannot be shown whole.
    pub fn of(
        message: &v1::Message,
        proof: Option<&v1::ProofResponse>,
        answers: &[v1::Message],
    ) -> Result<Self, LetterError> {
        let mut message = message.clone();
        let letter = match message.body.take().and_then(|body| body.body) {
            Some(Body::OfficialLetter(letter)) => letter,
            _ if message.kind() != v1::Kind::OfficialLetter => {
                return Err(LetterError::Kind {
                    kind: kind_name(&message),
                });
            }
            _ if message.needs_newer_version => return Err(LetterError::Newer),
            _ => return Err(LetterError::NoBody),
        };
        let id = MessageId::parse(&message.id).map_err(|_| LetterError::NoDigest)?;
        let body_digest =
            Hash::from_slice(&message.body_digest).map_err(|_| LetterError::NoDigest)?;
        let origin =
            Origin::parse(&message.origin).map_err(|source| LetterError::Origin { source })?;
        let mut made = Self {
            id,
            origin,
            body_digest,
            letter,
            receipt: None,
            withdrawn_by: None,
            superseded_by: None,
            message,
        };
        if let Some(proof) = proof {
            made.receipt = Some(made.verified(proof)?);
        }
        for answer in answers {
            if answer.side != made.message.side || answer.supersedes != made.message.id {
                continue;
            }
            if let Ok(id) = MessageId::parse(&answer.id) {
                made.follow(id, answer);
            }
        }
        Ok(made)
    }

    fn follow(&mut self, id: MessageId, answer: &v1::Message) {
        let body = answer.body.as_ref().and_then(|body| body.body.as_ref());
        let reason = match body {
            Some(Body::Withdrawal(withdrawal)) => withdrawal.reason.clone(),
            _ => None,
        };
        let followed = Some(Followed {
            id,
            created_at: answer.created_at,
            reason,
        });
        if answer.kind() == v1::Kind::Withdrawal {
            self.withdrawn_by = followed;
        } else {
            self.superseded_by = followed;
        }
    }

    /// The receipt, if it holds and is of this message.
    fn verified(&self, proof: &v1::ProofResponse) -> Result<Proven, LetterError> {
        let keys: Result<Vec<_>, _> = proof
            .vkeys
            .iter()
            .map(|key| VerifierKey::parse(key))
            .collect();
        let keys = keys.map_err(|error| LetterError::Receipt {
            why: error.to_string(),
        })?;
        let judged = verify_proof(&proof.tlog_proof, &proof.entry, &keys);
        let proven = match judged.proven {
            Some(proven) if judged.verdict.clean => proven,
            _ => {
                let finding = judged.verdict.findings.first();
                let why = finding.map_or_else(String::new, |finding| finding.what.clone());
                return Err(LetterError::Receipt { why });
            }
        };
        let same = proven.id.as_deref() == Some(&*self.id.to_string())
            && proven.origin == self.origin.to_string()
            && proven.index == self.message.index
            && signed_digest(&proof.entry) == Some(self.body_digest);
        if same {
            Ok(proven)
        } else {
            Err(LetterError::OtherReceipt)
        }
    }

    /// What the code on its page says.
    #[must_use]
    pub fn qr_text(&self) -> QrText {
        let checkpoint = self.receipt.as_ref().and_then(|proven| {
            Some(QrCheckpoint {
                size: proven.size,
                root: Hash::parse(&proven.root).ok()?,
            })
        });
        QrText {
            id: self.id,
            body_digest: self.body_digest,
            origin: self.origin.clone(),
            index: self.message.index,
            checkpoint,
        }
    }

    /// The page: one self-contained HTML file in A4. Times are shown in each of `zones`.
    #[must_use]
    pub fn page(&self, zones: &[TimeZone], printed_at: Timestamp) -> String {
        letter_page::render(self, zones, printed_at)
    }
}

/// Body digest of an entry whose signature has been verified.
fn signed_digest(entry: &Bytes) -> Option<Hash> {
    let entry = v1::Entry::decode(entry.clone()).ok()?;
    let header = Header::parse(&entry.payload).ok()?;
    Some(Hash(header.body_digest))
}

/// `handover request`; its number if this version does not know it.
fn kind_name(message: &v1::Message) -> String {
    match message.kind() {
        v1::Kind::Unspecified => format!("kind {}", message.kind_number),
        kind => super::words::value(kind.as_str_name(), "KIND_").to_lowercase(),
    }
}

/// Why there is no page.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LetterError {
    /// Another kind.
    #[error("this message is no official letter but: {kind}; `liaison show` shows it")]
    Kind {
        /// Which.
        kind: String,
    },
    /// A kind or schema that this version does not know.
    #[error(
        "the letter is of a newer version than this node; bring the node up to date to print it"
    )]
    Newer,
    /// The body is not here.
    #[error(
        "what the letter says is withheld from you or not held here, so there is nothing to print"
    )]
    NoBody,
    /// The node is older than this program.
    #[error(
        "the node does not tell the digest of the letter; bring node and command to one version"
    )]
    NoDigest,
    /// The node is older than this program, or at fault.
    #[error(
        "the node does not tell the log of the letter ({source}); bring node and command to one version"
    )]
    Origin {
        /// What is wrong with the origin.
        source: NameError,
    },
    /// A receipt that does not hold.
    #[error("the receipt that the node gives does not hold: {why}")]
    Receipt {
        /// The first finding.
        why: String,
    },
    /// A receipt of something else.
    #[error("the receipt that the node gives is not of this letter")]
    OtherReceipt,
}

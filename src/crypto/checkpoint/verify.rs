//! Verifying checkpoints and receipts of one log.

use super::super::note::{self, Note, Signer};
use super::super::vkey::{Algorithm, VerifierKey};
use super::super::{Verified, shown};
use super::{Checkpoint, CheckpointError, Receipt, SignedCheckpoint};
use crate::limits::{NOTE_BYTES_MAX, NOTE_COSIGNATURE_BYTES_MAX, NOTE_SIGNATURES_MAX};
use crate::model::Origin;

/// Why keys do not make a verifier of a log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogVerifierError {
    /// A key has another name or another type than its role wants.
    #[error(
        "the {role} key of log {origin} must have name {name} and type 0x{byte:02x}; {vkey} has not"
    )]
    Key {
        /// log, author or mirror.
        role: &'static str,
        /// The log.
        origin: Origin,
        /// The name wanted.
        name: String,
        /// The type wanted.
        byte: u8,
        /// The key given.
        vkey: String,
    },
    /// The mirror has the sender's key: a receipt would be the sender's own word.
    #[error(
        "the mirror of log {origin} has the same public key as its sender; receipts would prove nothing"
    )]
    SameKey {
        /// The log.
        origin: Origin,
    },
}

/// The keys of one log and its mirror, and the judge of its checkpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogVerifier {
    origin: Origin,
    log: VerifierKey,
    author: VerifierKey,
    mirror: VerifierKey,
}

impl LogVerifier {
    /// Joins the keys of a log: `log` of type 0x01 is named by the origin, `author` and `mirror` of
    /// type 0x04 are named by its sender and its recipient.
    ///
    /// # Errors
    ///
    /// [`LogVerifierError`] names the key.
    pub fn new(
        origin: Origin,
        log: VerifierKey,
        author: VerifierKey,
        mirror: VerifierKey,
    ) -> Result<Self, LogVerifierError> {
        let wanted = [
            ("log", &log, origin.to_string(), Algorithm::Ed25519),
            (
                "author",
                &author,
                origin.sender().to_string(),
                Algorithm::Cosignature,
            ),
            (
                "mirror",
                &mirror,
                origin.recipient().to_string(),
                Algorithm::Cosignature,
            ),
        ];
        for (role, key, name, algorithm) in wanted {
            if key.name() != name || key.algorithm() != algorithm {
                let (byte, vkey) = (algorithm.byte(), key.to_string());
                return Err(LogVerifierError::Key {
                    role,
                    origin,
                    name,
                    byte,
                    vkey,
                });
            }
        }
        if mirror.public() == author.public() || mirror.public() == log.public() {
            return Err(LogVerifierError::SameKey { origin });
        }
        Ok(Self {
            origin,
            log,
            author,
            mirror,
        })
    }

    /// The log.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The log's key: type 0x01, named by the origin.
    #[must_use]
    pub fn log(&self) -> &VerifierKey {
        &self.log
    }

    /// The author's cosigner key: type 0x04, named by the sender.
    #[must_use]
    pub fn author(&self) -> &VerifierKey {
        &self.author
    }

    /// The mirror's cosigner key: type 0x04, named by the recipient.
    #[must_use]
    pub fn mirror(&self) -> &VerifierKey {
        &self.mirror
    }

    /// Verifies a checkpoint: the log's and the author's lines are there and hold.
    ///
    /// If the mirror's line is there as well, it must hold too.
    ///
    /// # Errors
    ///
    /// [`CheckpointError`]; [`CheckpointError::NoRoom`] if the note could not be cosigned.
    pub fn checkpoint(&self, note: &str) -> Result<Verified<SignedCheckpoint>, CheckpointError> {
        let note = Note::parse(note)?;
        if note.signatures().len() >= NOTE_SIGNATURES_MAX
            || note.as_str().len() > NOTE_BYTES_MAX - NOTE_COSIGNATURE_BYTES_MAX
        {
            return Err(CheckpointError::NoRoom);
        }
        let (signed, _) = self.verify(&note)?;
        Ok(Verified::mark(signed))
    }

    /// Verifies a receipt: a checkpoint that the mirror has cosigned.
    ///
    /// # Errors
    ///
    /// [`CheckpointError`].
    pub fn receipt(&self, note: &str) -> Result<Verified<Receipt>, CheckpointError> {
        let note = Note::parse(note)?;
        let (signed, cosigned_at) = self.verify(&note)?;
        let cosigned_at = cosigned_at.ok_or_else(|| missing("the mirror", &self.mirror))?;
        let without = note
            .without(&self.mirror)
            .ok_or_else(|| missing("the log", &self.log))?;
        let signed = SignedCheckpoint {
            note: without.to_string(),
            ..signed
        };
        Ok(Verified::mark(Receipt {
            signed,
            cosigned_at,
            note: note.to_string(),
        }))
    }

    /// Verifies a receipt for a checkpoint that was verified, or signed, before: only the mirror's
    /// line is new. `None` if the note is not that very checkpoint with the mirror's line, or the
    /// checkpoint is of another log; [`LogVerifier::receipt`] judges it then.
    ///
    /// # Errors
    ///
    /// [`CheckpointError`].
    pub fn receipt_for(
        &self,
        signed: &Verified<SignedCheckpoint>,
        note: &str,
    ) -> Result<Option<Verified<Receipt>>, CheckpointError> {
        let note = Note::parse(note)?;
        let without = note.without(&self.mirror).map(|note| note.to_string());
        if without.as_ref() != Some(&signed.note)
            || signed.checkpoint.origin != self.origin.to_string()
        {
            return Ok(None);
        }
        let signers = note::verify(&note, &[&self.mirror])?;
        let cosigned_at = signers
            .iter()
            .find_map(|signer| signer.unix_seconds)
            .ok_or_else(|| missing("the mirror", &self.mirror))?;
        Ok(Some(Verified::mark(Receipt {
            signed: (**signed).clone(),
            cosigned_at,
            note: note.to_string(),
        })))
    }

    /// The checkpoint, and the mirror's time if the mirror has signed.
    fn verify(&self, note: &Note) -> Result<(SignedCheckpoint, Option<u64>), CheckpointError> {
        // 1. The signatures, before a byte of the text is looked at.
        let signers = note::verify(note, &[&self.log, &self.author, &self.mirror])?;
        let by = |key: &VerifierKey| signers.iter().find(|signer| signer.key == key);
        by(&self.log).ok_or_else(|| missing("the log", &self.log))?;
        let authored_at = by(&self.author)
            .and_then(|signer| signer.unix_seconds)
            .ok_or_else(|| missing("the author", &self.author))?;
        let cosigned_at = by(&self.mirror).and_then(|signer: &Signer<'_>| signer.unix_seconds);

        // 2. The text.
        let checkpoint = Checkpoint::parse(note.text())?;
        let expected = self.origin.to_string();
        if checkpoint.origin != expected {
            return Err(CheckpointError::Origin {
                expected,
                found: shown(&checkpoint.origin),
            });
        }
        Ok((
            SignedCheckpoint {
                checkpoint,
                authored_at,
                note: note.to_string(),
            },
            cosigned_at,
        ))
    }
}

fn missing(role: &'static str, key: &VerifierKey) -> CheckpointError {
    CheckpointError::MissingSignature {
        role,
        name: key.name().to_owned(),
        key_id: key.key_id(),
    }
}

//! Verifying checkpoints and receipts of one log.

use super::super::note::{self, Note, NoteError};
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

/// A log key in both its forms, and the sizes at which it may sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorKeys {
    /// Type 0x01, named by the origin.
    pub log: VerifierKey,
    /// Type 0x04, named by the sender; the same public key.
    pub author: VerifierKey,
    /// First size of a checkpoint that it may sign.
    pub first_size: u64,
    /// Last; open if `None`.
    pub last_size: Option<u64>,
}

/// A key of the mirror, and the sizes at which it may cosign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirrorKey {
    /// Type 0x04, named by the recipient.
    pub mirror: VerifierKey,
    /// First size of a checkpoint that it may cosign.
    pub first_size: u64,
    /// Last; open if `None`.
    pub last_size: Option<u64>,
}

/// The keys of one log and its mirror, and the judge of its checkpoints.
///
/// Of both there may be several over the life of the log, each with the sizes at which it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogVerifier {
    origin: Origin,
    authors: Vec<AuthorKeys>,
    mirrors: Vec<MirrorKey>,
}

impl LogVerifier {
    /// Joins the keys of a log that has one of each: `log` of type 0x01 is named by the origin,
    /// `author` and `mirror` of type 0x04 are named by its sender and its recipient.
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
        let authors = vec![AuthorKeys {
            log,
            author,
            first_size: 0,
            last_size: None,
        }];
        let mirrors = vec![MirrorKey {
            mirror,
            first_size: 0,
            last_size: None,
        }];
        let verifier = Self::of_many(origin, authors, mirrors)?;
        let is_author = |mirror: &MirrorKey| verifier.is_author(&mirror.mirror);
        if verifier.mirrors.iter().any(is_author) {
            let origin = verifier.origin;
            return Err(LogVerifierError::SameKey { origin });
        }
        Ok(verifier)
    }

    /// Joins the keys of a log over its whole life.
    ///
    /// A mirror's key that is the sender's as well is no fault of the whole, since one side could
    /// bring it in at any time: its line just never makes a receipt.
    ///
    /// # Errors
    ///
    /// [`LogVerifierError::Key`].
    pub fn of_many(
        origin: Origin,
        authors: Vec<AuthorKeys>,
        mirrors: Vec<MirrorKey>,
    ) -> Result<Self, LogVerifierError> {
        let (log_name, sender) = (origin.to_string(), origin.sender().to_string());
        let recipient = origin.recipient().to_string();
        let (plain, dated) = (Algorithm::Ed25519, Algorithm::Cosignature);
        let of_author = authors.iter().flat_map(|keys| {
            [
                ("log", &keys.log, &log_name, plain),
                ("author", &keys.author, &sender, dated),
            ]
        });
        let of_mirror = mirrors.iter();
        let of_mirror = of_mirror.map(|key| ("mirror", &key.mirror, &recipient, dated));
        for (role, key, name, algorithm) in of_author.chain(of_mirror) {
            if key.name() != name || key.algorithm() != algorithm {
                let (byte, vkey) = (algorithm.byte(), key.to_string());
                return Err(LogVerifierError::Key {
                    role,
                    origin: origin.clone(),
                    name: name.clone(),
                    byte,
                    vkey,
                });
            }
        }
        Ok(Self {
            origin,
            authors,
            mirrors,
        })
    }

    /// The log.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The keys of its author, oldest first.
    #[must_use]
    pub fn authors(&self) -> &[AuthorKeys] {
        &self.authors
    }

    /// The keys of its mirror, oldest first.
    #[must_use]
    pub fn mirrors(&self) -> &[MirrorKey] {
        &self.mirrors
    }

    fn is_author(&self, key: &VerifierKey) -> bool {
        let mut authors = self.authors.iter();
        authors
            .any(|keys| keys.author.public() == key.public() || keys.log.public() == key.public())
    }

    /// Verifies a checkpoint: the log's and the author's lines are there and hold, by one key that
    /// may sign that size.
    ///
    /// If a line of the mirror is there as well, it must hold too.
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
        Ok(Verified::mark(self.verify(&note)?.0.signed))
    }

    /// Verifies a receipt: a checkpoint that the mirror has cosigned.
    ///
    /// # Errors
    ///
    /// [`CheckpointError`].
    pub fn receipt(&self, note: &str) -> Result<Verified<Receipt>, CheckpointError> {
        let note = Note::parse(note)?;
        let (judged, cosigners) = self.verify(&note)?;
        let cosigned_at = self.cosigned_at(&cosigners, judged.signed.checkpoint.size)?;
        let without = cosigners
            .iter()
            .try_fold(note.clone(), |note, (key, _)| note.without(key))
            .ok_or_else(|| self.no_author())?;
        let signed = SignedCheckpoint {
            note: without.to_string(),
            ..judged.signed
        };
        Ok(Verified::mark(Receipt {
            signed,
            cosigned_at,
            note: note.to_string(),
        }))
    }

    /// Verifies a receipt for a checkpoint that was verified, or signed, before: only the mirror's
    /// line is new. `None` if the note is not that very checkpoint with lines of the mirror, or the
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
        let mirrors: Vec<_> = self.mirrors.iter().map(|key| &key.mirror).collect();
        let without = mirrors
            .iter()
            .try_fold(note.clone(), |note, key| note.without(key))
            .map(|note| note.to_string());
        if without.as_ref() != Some(&signed.note)
            || signed.checkpoint.origin != self.origin.to_string()
        {
            return Ok(None);
        }
        let signers = note::verify(&note, &mirrors)?;
        let cosigners: Vec<_> = signers
            .iter()
            .filter_map(|signer| Some((signer.key, signer.unix_seconds?)))
            .collect();
        let cosigned_at = self.cosigned_at(&cosigners, signed.checkpoint.size)?;
        Ok(Some(Verified::mark(Receipt {
            signed: (**signed).clone(),
            cosigned_at,
            note: note.to_string(),
        })))
    }

    /// When the mirror cosigned, by the first key that may cosign that size.
    fn cosigned_at(
        &self,
        cosigners: &[(&VerifierKey, u64)],
        size: u64,
    ) -> Result<u64, CheckpointError> {
        let counts = |(key, _): &&(&VerifierKey, u64)| {
            !self.is_author(key)
                && self.mirrors.iter().any(|held| {
                    held.mirror == **key && within(size, held.first_size, held.last_size)
                })
        };
        match cosigners.iter().find(counts) {
            Some((_, at)) => Ok(*at),
            None if cosigners.is_empty() => Err(match self.mirrors.last() {
                Some(key) => missing("the mirror", &key.mirror),
                None => NoteError::NoKnownKey.into(),
            }),
            None => {
                let role = "the mirror";
                Err(CheckpointError::KeyNotHolding { role, size })
            }
        }
    }

    fn no_author(&self) -> CheckpointError {
        match self.authors.last() {
            Some(keys) => missing("the log", &keys.log),
            None => NoteError::NoKnownKey.into(),
        }
    }

    /// The checkpoint, and by whom of the mirror it is cosigned, with the time.
    fn verify<'v>(&'v self, note: &Note) -> Result<(Judged<'v>, Cosigners<'v>), CheckpointError> {
        // 1. The signatures, before a byte of the text is looked at.
        let authors = self.authors.iter();
        let authors = authors.flat_map(|keys| [&keys.log, &keys.author]);
        let mut known: Vec<&VerifierKey> = Vec::new();
        for key in authors.chain(self.mirrors.iter().map(|key| &key.mirror)) {
            if !known.contains(&key) {
                known.push(key);
            }
        }
        let signers = note::verify(note, &known)?;
        let by = |key: &VerifierKey| signers.iter().find(|signer| signer.key == key);
        let mut fault = None;
        let signed: Vec<_> = self
            .authors
            .iter()
            .filter_map(|keys| {
                let (log, author) = (by(&keys.log), by(&keys.author));
                let authored_at = author.and_then(|signer| signer.unix_seconds);
                if log.is_some() && authored_at.is_none() {
                    fault = Some(missing("the author", &keys.author));
                }
                log.and(authored_at).map(|at| (keys, at))
            })
            .collect();
        if signed.is_empty() {
            return Err(fault.unwrap_or_else(|| self.no_author()));
        }
        let cosigners = self
            .mirrors
            .iter()
            .filter_map(|key| Some((&key.mirror, by(&key.mirror)?.unix_seconds?)))
            .collect();
        // 2. The text.
        let checkpoint = Checkpoint::parse(note.text())?;
        let expected = self.origin.to_string();
        if checkpoint.origin != expected {
            return Err(CheckpointError::Origin {
                expected,
                found: shown(&checkpoint.origin),
            });
        }
        // 3. Whether who signed might.
        let size = checkpoint.size;
        let counts =
            |(keys, _): &&(&AuthorKeys, u64)| within(size, keys.first_size, keys.last_size);
        let Some((author, authored_at)) = signed.iter().find(counts) else {
            let role = "the log";
            return Err(CheckpointError::KeyNotHolding { role, size });
        };
        let judged = Judged {
            author,
            signed: SignedCheckpoint {
                checkpoint,
                authored_at: *authored_at,
                note: note.to_string(),
            },
        };
        Ok((judged, cosigners))
    }

    /// The keys by which a note counts as this log's checkpoint, and as its receipt.
    ///
    /// # Errors
    ///
    /// As [`LogVerifier::checkpoint`], but for room.
    pub fn signers(&self, note: &str) -> Result<Vec<VerifierKey>, CheckpointError> {
        let (judged, cosigners) = self.verify(&Note::parse(note)?)?;
        let author = [judged.author.log.clone(), judged.author.author.clone()];
        let cosigners = cosigners.into_iter().map(|(key, _)| key.clone());
        Ok(author.into_iter().chain(cosigners).collect())
    }
}

/// Keys of the mirror whose lines hold, each with its time.
type Cosigners<'v> = Vec<(&'v VerifierKey, u64)>;

struct Judged<'v> {
    author: &'v AuthorKeys,
    signed: SignedCheckpoint,
}

fn within(size: u64, first: u64, last: Option<u64>) -> bool {
    size >= first && last.is_none_or(|last| size <= last)
}

fn missing(role: &'static str, key: &VerifierKey) -> CheckpointError {
    CheckpointError::MissingSignature {
        role,
        name: key.name().to_owned(),
        key_id: key.key_id(),
    }
}

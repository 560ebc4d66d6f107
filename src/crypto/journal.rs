//! Checkpoints of a journal: a log that a node keeps of itself, under its log key.
//!
//! The origin is `<node>/journal`. No link's log can have that origin: `journal` is no node's name, it
//! has one label. Text and signature lines are those of any checkpoint ([`super::checkpoint`]): a line of
//! type 0x01 named by the origin, and a dated one of type 0x04 named by the node. Those who witness add
//! lines of type 0x04 under their own names (<https://c2sp.org/tlog-witness>).

use super::checkpoint::{Checkpoint, CheckpointError};
use super::keys::LogKey;
use super::note::{self, Note, SignatureLine};
use super::vkey::{Algorithm, VerifierKey, VkeyError};
use super::{Verified, cosignature, shown};
use crate::limits::{JOURNAL_NOTE_BYTES_MAX, NOTE_COSIGNATURE_BYTES_MAX};
use crate::model::NodeName;
use crate::tlog::Hash;

/// The last part of every journal's origin.
const JOURNAL: &str = "journal";

/// The origin of a node's journal: `<node>/journal`.
#[must_use]
pub fn origin(node: &NodeName) -> String {
    format!("{node}/{JOURNAL}")
}

/// A checkpoint of a journal, signed and dated by its node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalCheckpoint {
    /// Origin, size and root.
    pub checkpoint: Checkpoint,
    /// When the node signed, Unix seconds, by its clock.
    pub authored_at: u64,
    /// Who else has signed it, by vkey, and when.
    pub witnessed: Vec<(VerifierKey, u64)>,
    /// The whole note, as signed or received.
    pub note: String,
}

/// The vkey under which a log key signs its node's journal: `<node>/journal`, type 0x01, from the one
/// that stands on the node's card (the node's name, type 0x04).
///
/// # Errors
/// [`VkeyError`] for a key of another type than a card has.
pub fn journal_key(cosigner: &VerifierKey) -> Result<VerifierKey, VkeyError> {
    let name = format!("{}/{JOURNAL}", cosigner.name());
    VerifierKey::new(&name, Algorithm::Ed25519, *cosigner.public())
}

/// Signs and dates a checkpoint of the node's own journal. The caller answers for the discipline: never
/// two trees of one size, and nothing that is not durable.
#[must_use]
#[expect(
    clippy::missing_panics_doc,
    reason = "it cannot: the text is made here"
)]
pub fn sign(
    key: &LogKey,
    node: &NodeName,
    size: u64,
    root: Hash,
    unix_seconds: u64,
) -> Verified<JournalCheckpoint> {
    let checkpoint = Checkpoint {
        origin: origin(node),
        size,
        root,
    };
    let authored_at = unix_seconds.min(cosignature::UNIX_SECONDS_MAX);
    let text = checkpoint.encode();
    let log_key =
        journal_key(&key.cosigner_verifier(node)).expect("a log key's vkey has the card's type");
    let log = SignatureLine {
        name: checkpoint.origin.clone(),
        key_id: log_key.key_id(),
        bytes: key.sign(text.as_bytes()).to_vec(),
    };
    let author = dated_line(key, node, &text, authored_at);
    let note =
        Note::new(&text, &[log, author]).expect("an origin, a number and base64 make a note");
    Verified::mark(JournalCheckpoint {
        checkpoint,
        authored_at,
        witnessed: Vec::new(),
        note: note.to_string(),
    })
}

/// Cosigns a peer's journal: the statement that it extends all that was cosigned of it before. The caller
/// answers for that, and that it is durable.
///
/// # Errors
/// [`CheckpointError::NoRoom`].
pub fn cosign(
    key: &LogKey,
    name: &NodeName,
    signed: &Verified<JournalCheckpoint>,
    unix_seconds: u64,
) -> Result<String, CheckpointError> {
    let at = unix_seconds.min(cosignature::UNIX_SECONDS_MAX);
    let note = Note::parse(&signed.note)?;
    let line = dated_line(key, name, note.text(), at);
    let own = key.cosigner_verifier(name);
    let note = note.without(&own).ok_or(CheckpointError::NoRoom)?;
    let cosigned = note.with_signature(line)?;
    Ok(cosigned.to_string())
}

/// The text of a note and those lines under it that are by the keys given, as they stand on cards; nothing
/// is judged. What others have added is not kept: it could be anything, as large as it fits.
///
/// # Errors
/// [`CheckpointError::Note`] if it is no note, or bears no line of these.
pub fn only_by(note: &str, keys: &[VerifierKey]) -> Result<String, CheckpointError> {
    let parsed = Note::parse(note)?;
    let logs: Vec<VerifierKey> = keys
        .iter()
        .filter_map(|key| journal_key(key).ok())
        .collect();
    let is_by = |line: &SignatureLine| {
        let mut keys = logs.iter().chain(keys);
        keys.any(|key| key.name() == line.name && key.key_id() == line.key_id)
    };
    let lines = parsed.signatures().iter().filter(|line| is_by(line));
    let lines: Vec<SignatureLine> = lines.cloned().collect();
    Ok(Note::new(parsed.text(), &lines)?.to_string())
}

fn dated_line(key: &LogKey, name: &NodeName, text: &str, unix_seconds: u64) -> SignatureLine {
    let signature = key.sign(&cosignature::message(unix_seconds, text));
    SignatureLine {
        name: name.to_string(),
        key_id: key.cosigner_verifier(name).key_id(),
        bytes: cosignature::encode(unix_seconds, &signature),
    }
}

/// Verifies a checkpoint of a node's journal: signed and dated by one of its log keys, given as they
/// stand on its card, and every line by a known key holds.
///
/// # Errors
/// [`CheckpointError`].
pub fn verify(
    node: &NodeName,
    note: &str,
    own: &[VerifierKey],
    witnesses: &[VerifierKey],
) -> Result<Verified<JournalCheckpoint>, CheckpointError> {
    if note.len() > JOURNAL_NOTE_BYTES_MAX + NOTE_COSIGNATURE_BYTES_MAX {
        return Err(CheckpointError::NoRoom);
    }
    let parsed = Note::parse(note)?;
    let logs: Vec<VerifierKey> = own.iter().filter_map(|key| journal_key(key).ok()).collect();
    let keys: Vec<&VerifierKey> = logs.iter().chain(own).chain(witnesses).collect();
    let signers = note::verify(&parsed, &keys)?;
    let checkpoint = Checkpoint::parse(parsed.text())?;
    let expected = origin(node);
    if checkpoint.origin != expected {
        return Err(CheckpointError::Origin {
            expected,
            found: shown(&checkpoint.origin),
        });
    }
    let missing = |role, key: Option<&VerifierKey>| CheckpointError::MissingSignature {
        role,
        name: key.map_or_else(String::new, |key| key.name().to_owned()),
        key_id: key.map_or(0, VerifierKey::key_id),
    };
    // Both lines by one key: the note is dated by whoever signed it.
    let log = signers
        .iter()
        .find(|signer| signer.unix_seconds.is_none() && logs.contains(signer.key));
    let log = log.ok_or_else(|| missing("the log", logs.first()))?;
    let author = signers
        .iter()
        .find(|signer| own.contains(signer.key) && signer.key.public() == log.key.public());
    let authored_at = author
        .and_then(|signer| signer.unix_seconds)
        .ok_or_else(|| missing("the author", own.first()))?;
    let witnessed = signers
        .iter()
        .filter(|signer| witnesses.contains(signer.key) && !own.contains(signer.key))
        .filter_map(|signer| Some((signer.key.clone(), signer.unix_seconds?)))
        .collect();
    Ok(Verified::mark(JournalCheckpoint {
        checkpoint,
        authored_at,
        witnessed,
        note: note.to_owned(),
    }))
}

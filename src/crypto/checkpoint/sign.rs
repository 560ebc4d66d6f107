//! Signing checkpoints and cosigning them.

use super::super::keys::LogKey;
use super::super::note::{Note, SignatureLine};
use super::super::{Verified, cosignature};
use super::{Checkpoint, Receipt, SignedCheckpoint};
use crate::model::{NodeName, Origin};
use crate::tlog::Hash;

/// Signs and dates a checkpoint of the own log.
///
/// Two lines: the log's signature (name = origin) and the author's own cosignature (name = sender),
/// which dates it. The caller answers for the discipline: never two trees of one size.
///
/// `unix_seconds` above 2^63 − 1 is taken as 2^63 − 1, the latest that can be written.
#[must_use]
#[expect(
    clippy::missing_panics_doc,
    reason = "it cannot: the text is made here"
)]
pub fn sign_checkpoint(
    key: &LogKey,
    origin: &Origin,
    size: u64,
    root: Hash,
    unix_seconds: u64,
) -> Verified<SignedCheckpoint> {
    let checkpoint = Checkpoint {
        origin: origin.to_string(),
        size,
        root,
    };
    let authored_at = unix_seconds.min(cosignature::UNIX_SECONDS_MAX);
    let text = checkpoint.encode();
    let log = SignatureLine {
        name: checkpoint.origin.clone(),
        key_id: key.log_verifier(origin).key_id(),
        bytes: key.sign(text.as_bytes()).to_vec(),
    };
    let author = cosignature_line(key, origin.sender(), &text, authored_at);
    let note =
        Note::new(&text, &[log, author]).expect("an origin, a number and base64 make a note");
    Verified::mark(SignedCheckpoint {
        checkpoint,
        authored_at,
        note: note.to_string(),
    })
}

/// Cosigns a checkpoint of the peer's log: the statement that all of it is durably held.
///
/// `name` is the own node name, the log's recipient. A line that the note already has by this very
/// cosigner is replaced. The caller answers for the discipline: only trees that extend the last one
/// cosigned for that origin, and only after the flush.
///
/// `unix_seconds` above 2^63 − 1 is taken as 2^63 − 1, the latest that can be written.
#[must_use]
#[expect(
    clippy::missing_panics_doc,
    reason = "it cannot: what Verified promises suffices"
)]
pub fn cosign(
    key: &LogKey,
    name: &NodeName,
    signed: &Verified<SignedCheckpoint>,
    unix_seconds: u64,
) -> Verified<Receipt> {
    let cosigned_at = unix_seconds.min(cosignature::UNIX_SECONDS_MAX);
    let note = Note::parse(&signed.note)
        .ok()
        .and_then(|note| note.without(&key.cosigner_verifier(name)))
        .expect("a verified checkpoint has a note with the log's line");
    let line = cosignature_line(key, name, note.text(), cosigned_at);
    let cosigned = note
        .with_signature(line)
        .expect("a verified checkpoint leaves room for this line");
    let signed = SignedCheckpoint {
        note: note.to_string(),
        ..SignedCheckpoint::clone(signed)
    };
    Verified::mark(Receipt {
        signed,
        cosigned_at,
        note: cosigned.to_string(),
    })
}

fn cosignature_line(key: &LogKey, name: &NodeName, text: &str, unix_seconds: u64) -> SignatureLine {
    let signature = key.sign(&cosignature::message(unix_seconds, text));
    SignatureLine {
        name: name.to_string(),
        key_id: key.cosigner_verifier(name).key_id(),
        bytes: cosignature::encode(unix_seconds, &signature),
    }
}

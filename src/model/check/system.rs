//! Rules for what a node says by itself.

use super::{Faults, times};
use crate::limits;
use crate::proto::v1;
use crate::proto::v1::body::Body;

/// Bytes of a SHA-256.
const DIGEST_BYTES: usize = 32;
/// Bytes of an Ed25519 signature.
const SIGNATURE_BYTES: usize = 64;

pub(super) fn check(content: &Body, at: &str, faults: &mut Faults) {
    match content {
        Body::Refusal(refusal) => check_refusal(refusal, at, faults),
        Body::AttachmentsReceived(received) => {
            if received.sha256.is_empty() {
                faults.add(
                    format!("{at}.sha256"),
                    "no attachment is named",
                    "name each attachment of the message",
                );
            }
            for (index, digest) in received.sha256.iter().enumerate() {
                let field = format!("{at}.sha256[{index}]");
                check_length(digest, DIGEST_BYTES, "a SHA-256", field, faults);
            }
        }
        Body::KeyChange(change) => check_key_change(change, at, faults),
        Body::Maintenance(maintenance) => {
            let (from, to) = (maintenance.from.as_ref(), maintenance.to.as_ref());
            for (name, time) in [("from", from), ("to", to)] {
                require(time.is_some(), format!("{at}.{name}"), faults);
            }
            times::in_order(("from", from), ("to", to), at, faults);
        }
        Body::ErasureNotice(notice) => {
            require(notice.erased_at.is_some(), format!("{at}.erasedAt"), faults);
            let authority = !notice.authority.trim().is_empty();
            require(authority, format!("{at}.authority"), faults);
        }
        _ => {}
    }
}

fn check_refusal(refusal: &v1::Refusal, at: &str, faults: &mut Faults) {
    let field = format!("{at}.entryDigest");
    check_length(
        &refusal.entry_digest,
        DIGEST_BYTES,
        "a SHA-256",
        field,
        faults,
    );
    if refusal.reason == 0 {
        faults.add(format!("{at}.reason"), "is missing", "say why");
    }
}

/// Form only: whether the change counts is for those who have the keys before it.
fn check_key_change(change: &v1::KeyChange, at: &str, faults: &mut Faults) {
    for (name, number) in [("role", change.role), ("action", change.action)] {
        require(number != 0, format!("{at}.{name}"), faults);
    }
    let keys = [("oldVkey", &change.old_vkey), ("newVkey", &change.new_vkey)];
    for (name, key) in keys.iter().filter(|(_, key)| !key.is_empty()) {
        if name_of(key).is_none() {
            faults.add(
                format!("{at}.{name}"),
                "is no verifier key",
                "give name+hash+key, as C2SP signed notes have it",
            );
        }
    }
    if change.old_vkey == change.new_vkey && !change.new_vkey.is_empty() {
        faults.add(
            format!("{at}.newVkey"),
            "the key follows itself",
            "give the key that follows",
        );
    }
    let signatures = [
        ("oldKeySignature", &change.old_key_signature),
        ("newKeySignature", &change.new_key_signature),
        ("recoverySignature", &change.recovery_signature),
    ];
    for (name, signature) in signatures.iter().filter(|(_, bytes)| !bytes.is_empty()) {
        let field = format!("{at}.{name}");
        check_length(
            signature,
            SIGNATURE_BYTES,
            "an Ed25519 signature",
            field,
            faults,
        );
    }
}

/// The name in a verifier key of that form; whether the key is one is for those who use it.
///
/// Source: C2SP signed-note, "Verifier keys".
fn name_of(vkey: &str) -> Option<&str> {
    let mut parts = vkey.splitn(3, '+');
    let (name, hash, key) = (parts.next()?, parts.next()?, parts.next()?);
    let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    let is_base64 = |b: u8| b.is_ascii_alphanumeric() || b"+/=".contains(&b);
    let is_form = vkey.len() <= limits::VKEY_BYTES_MAX
        && !name.is_empty()
        && hash.len() == 8
        && hash.bytes().all(is_hex)
        && !key.is_empty()
        && key.bytes().all(is_base64);
    is_form.then_some(name)
}

fn require(is_given: bool, field: String, faults: &mut Faults) {
    if !is_given {
        faults.add(field, "is missing", "fill it in");
    }
}

fn check_length(found: &[u8], bytes: usize, what: &str, field: String, faults: &mut Faults) {
    if found.len() != bytes {
        faults.add(
            field,
            format!("has {} bytes, {what} has {bytes}", found.len()),
            "give the whole of it",
        );
    }
}

//! The statement of a `KEY_CHANGE`: what its keys sign.
//!
//! The entry that carries a `KEY_CHANGE` is signed by a message key. Inside it stand further
//! signatures: by the key that begins, which proves that whoever announces it has it; by the key
//! that it follows; or by the recovery key. They sign a text of nine lines that names the log and
//! counts the changes before this one, so that none can be said again, elsewhere or in another
//! order. Signed is DSSE's pre-authentication encoding of that text under [`STATEMENT_TYPE`]: it
//! can be taken neither for an entry nor for a checkpoint.

use sha2::{Digest as _, Sha256};

use super::dsse::pae;
use super::keys::{SignError, SignsStatements, StatementBytes};
use super::vkey::{Algorithm, VerifierKey};
use crate::model::{NodeName, Origin};
use crate::proto::v1::{self, KeyAction, KeyRole};

/// Payload type of every statement.
pub const STATEMENT_TYPE: &str = "application/vnd.liaison.key-change.v1";

/// The last part of a recovery key's name; no officer may have it.
pub const RECOVERY: &str = "recovery";

/// The statement of a change in the log of `origin`: nine lines of text.
///
/// `liaison key change 1`, origin, role, action (as in the proto), number, old vkey, new vkey,
/// SHA-256 of the certificate, SHA-256 of the reason (lower-case hex). A vkey or certificate that
/// is not there is an empty line.
#[must_use]
pub fn statement(origin: &Origin, change: &v1::KeyChange) -> String {
    let digest = |bytes: &[u8]| hex::encode(Sha256::digest(bytes));
    let certificate = match &change.certificate[..] {
        [] => String::new(),
        der => digest(der),
    };
    format!(
        "liaison key change 1\n{origin}\n{role}\n{action}\n{number}\n{old}\n{new}\n{certificate}\n{reason}\n",
        role = change.role().as_str_name(),
        action = change.action().as_str_name(),
        number = change.number,
        old = change.old_vkey,
        new = change.new_vkey,
        reason = digest(change.reason.as_bytes()),
    )
}

/// Signs the statement of a change; goes into the field of the key's part in it.
///
/// # Errors
///
/// [`SignError`], if the key lies in a token.
pub fn sign<K: SignsStatements>(
    key: &K,
    origin: &Origin,
    change: &v1::KeyChange,
) -> Result<[u8; 64], SignError> {
    key.sign_statement(&StatementBytes(signed_bytes(origin, change)))
}

/// Whether a signature of the statement is that key's.
pub(super) fn holds(
    key: &VerifierKey,
    origin: &Origin,
    change: &v1::KeyChange,
    signature: &[u8],
) -> bool {
    key.holds(&signed_bytes(origin, change), signature)
}

fn signed_bytes(origin: &Origin, change: &v1::KeyChange) -> Vec<u8> {
    pae(STATEMENT_TYPE, statement(origin, change).as_bytes())
}

/// Whether a key is named, and of the type, that a role wants at that node.
#[must_use]
pub fn is_of_role(key: &VerifierKey, role: KeyRole, node: &NodeName) -> bool {
    let part = key
        .name()
        .strip_prefix(node.as_str())
        .and_then(|rest| rest.strip_prefix('/'));
    match role {
        KeyRole::Message => key.algorithm() == Algorithm::Ed25519 && key.name() == node.as_str(),
        KeyRole::Log => key.algorithm() == Algorithm::Cosignature && key.name() == node.as_str(),
        KeyRole::Officer => {
            key.algorithm() == Algorithm::Ed25519
                && part.is_some_and(|part| part != RECOVERY && is_officer_name(part))
        }
        KeyRole::Recovery => key.algorithm() == Algorithm::Ed25519 && part == Some(RECOVERY),
        KeyRole::Unspecified | KeyRole::Authority => false,
    }
}

/// Whether a text may stand for a person in a key's name: a lower-case label of at most 63.
#[must_use]
pub fn is_officer_name(part: &str) -> bool {
    (1..=63).contains(&part.len())
        && part
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !part.starts_with('-')
        && !part.ends_with('-')
}

/// Whether a change stands or falls with the recovery key.
#[must_use]
pub fn is_by_recovery(change: &v1::KeyChange) -> bool {
    change.action() == KeyAction::Revoke
}

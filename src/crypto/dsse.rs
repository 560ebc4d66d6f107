//! DSSE: how an entry is signed.
//!
//! Signed is the pre-authentication encoding of payload type and payload; the envelope is
//! [`v1::Entry`], whose bytes are kept as their author serialized them. The payload is not parsed
//! here: that is for whoever holds a [`Verified`] one.
//! Source: <https://github.com/secure-systems-lab/dsse>, protocol and envelope, version 1.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use prost::Message as _;

use super::keys::{MessageKey, SignError};
use super::vkey::{Algorithm, VerifierKey};
use super::{Verified, shown};
use crate::limits::{ENTRY_BYTES_MAX, ENTRY_SIGNATURES_MAX};
use crate::proto::v1;

/// Payload type of every entry: a serialized `liaison.v1.Header`.
pub const PAYLOAD_TYPE: &str = "application/vnd.liaison.header.v1+protobuf";

/// Payload type of the statement of a bundle: a serialized `liaison.v1.BundleStatement`. It is signed
/// with every byte, so no statement can be passed off as an entry, nor an entry as a statement.
pub const BUNDLE_PAYLOAD_TYPE: &str = "application/vnd.liaison.bundle.v1+protobuf";

const SIGNATURE_BYTES: usize = 64;

/// Why an entry was not signed, or is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DsseError {
    // The caller's mistake.
    /// The payload is too large to sign.
    #[error("the entry would have {bytes} bytes, at most {ENTRY_BYTES_MAX} are allowed")]
    EntryTooLarge {
        /// Size that the entry would have.
        bytes: usize,
    },

    /// The key does not sign.
    #[error(transparent)]
    Unsigned(#[from] SignError),

    // The author's fault.
    /// The entry is larger than the limit.
    #[error("the entry has {bytes} bytes, at most {ENTRY_BYTES_MAX} are allowed")]
    TooLarge {
        /// Size of the entry.
        bytes: usize,
    },
    /// Not a serialized `liaison.v1.Entry`.
    #[error("the entry is not a serialized liaison.v1.Entry")]
    Malformed(#[source] prost::DecodeError),
    /// Another payload type.
    #[error("the entry's payload type is \"{found}\", not {wanted}")]
    PayloadType {
        /// The type found, escaped and shortened.
        found: String,
        /// The one that it must be.
        wanted: &'static str,
    },
    /// No signature, or more than the limit.
    #[error("the entry has {count} signatures, 1 to {ENTRY_SIGNATURES_MAX} are allowed")]
    SignatureCount {
        /// Signatures found.
        count: usize,
    },
    /// A signature is not of 64 bytes.
    #[error("signature {index} of the entry has {bytes} bytes, not 64")]
    SignatureLength {
        /// Counted from 0.
        index: usize,
        /// Its length.
        bytes: usize,
    },
    /// The first signature is by a key that is not known.
    #[error("the entry is signed by a key that is not known here: keyid \"{keyid}\"")]
    UnknownKey {
        /// The keyid found, escaped and shortened.
        keyid: String,
    },
    /// An officer has signed whose key is not valid at this index.
    #[error("the key of officer {name} is not valid at this index")]
    OfficerEnded {
        /// The key's name.
        name: String,
    },
    /// A signature by a known key does not hold.
    #[error("the signature by keyid {keyid} does not hold")]
    BadSignature {
        /// The keyid of the known key.
        keyid: String,
    },
}

/// A signed entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The entry as its author serialized it: the leaf data, never serialized again.
    pub bytes: Bytes,
    /// The signed payload: a serialized header.
    pub payload: Bytes,
}

/// The pre-authentication encoding: the bytes that are signed.
///
/// `DSSEv1 SP len(type) SP type SP len(payload) SP payload`, lengths in ASCII decimal.
#[must_use]
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let start = format!(
        "DSSEv1 {} {payload_type} {} ",
        payload_type.len(),
        payload.len()
    );
    [start.as_bytes(), payload].concat()
}

/// Signs a payload and serializes the entry, once and for all.
///
/// # Errors
///
/// [`DsseError::EntryTooLarge`]; [`DsseError::Unsigned`] if the key lies in a token that does not
/// sign.
pub fn sign(key: &MessageKey, payload: Bytes) -> Result<Verified<Envelope>, DsseError> {
    sign_as(PAYLOAD_TYPE, key, payload)
}

/// Signs the statement of a bundle.
///
/// # Errors
///
/// [`DsseError::EntryTooLarge`]; [`DsseError::Unsigned`].
pub fn sign_statement(key: &MessageKey, payload: Bytes) -> Result<Verified<Envelope>, DsseError> {
    sign_as(BUNDLE_PAYLOAD_TYPE, key, payload)
}

fn sign_as(
    payload_type: &str,
    key: &MessageKey,
    payload: Bytes,
) -> Result<Verified<Envelope>, DsseError> {
    let signature = key.sign(&pae(payload_type, &payload))?;
    let entry = v1::Entry {
        payload: payload.clone(),
        payload_type: payload_type.to_owned(),
        signatures: vec![v1::Signature {
            sig: Bytes::copy_from_slice(&signature),
            keyid: key.keyid(),
        }],
    };
    let bytes = Bytes::from(entry.encode_to_vec());
    if bytes.len() > ENTRY_BYTES_MAX {
        return Err(DsseError::EntryTooLarge { bytes: bytes.len() });
    }
    Ok(Verified::mark(Envelope { bytes, payload }))
}

/// Verifies an entry as it was received.
///
/// The first signature must be by one of `keys` (of type [`Algorithm::Ed25519`]; others are passed
/// over) and hold. A further signature by one of them must hold too; by unknown keys, it is kept
/// and not looked into.
///
/// # Errors
///
/// [`DsseError`] but for `EntryTooLarge`.
pub fn verify(bytes: Bytes, keys: &[VerifierKey]) -> Result<Verified<Envelope>, DsseError> {
    verify_as(PAYLOAD_TYPE, bytes, keys, &[]).map(|(envelope, _)| envelope)
}

/// Verifies an entry that officers may have released, and says who did.
///
/// As [`verify`]; besides, a further signature by one of `officers` must hold, and the officer's key
/// must be valid here, as the mark beside it says. An officer alone signs no entry.
///
/// # Errors
///
/// [`DsseError`] but for `EntryTooLarge`.
pub fn verify_released(
    bytes: Bytes,
    keys: &[VerifierKey],
    officers: &[(VerifierKey, bool)],
) -> Result<(Verified<Envelope>, Vec<VerifierKey>), DsseError> {
    verify_as(PAYLOAD_TYPE, bytes, keys, officers)
}

/// Verifies the statement of a bundle, as [`verify`] does an entry.
///
/// # Errors
///
/// [`DsseError`] but for `EntryTooLarge`.
pub fn verify_statement(
    bytes: Bytes,
    keys: &[VerifierKey],
) -> Result<Verified<Envelope>, DsseError> {
    verify_as(BUNDLE_PAYLOAD_TYPE, bytes, keys, &[]).map(|(envelope, _)| envelope)
}

fn verify_as(
    payload_type: &'static str,
    bytes: Bytes,
    keys: &[VerifierKey],
    officers: &[(VerifierKey, bool)],
) -> Result<(Verified<Envelope>, Vec<VerifierKey>), DsseError> {
    let entry = decode(&bytes)?;
    if entry.payload_type != payload_type {
        return Err(DsseError::PayloadType {
            found: shown(&entry.payload_type),
            wanted: payload_type,
        });
    }
    check_signatures(&entry.signatures)?;
    let signed = pae(&entry.payload_type, &entry.payload);
    let mut released = Vec::new();
    for (index, signature) in entry.signatures.iter().enumerate() {
        let by = |key: &VerifierKey| {
            key.algorithm() == Algorithm::Ed25519 && key.keyid() == signature.keyid
        };
        let officer = officers.iter().find(|(key, _)| index > 0 && by(key));
        let known = keys.iter().find(|key| by(key));
        match known.or(officer.map(|(key, _)| key)) {
            Some(key) if !key.holds(&signed, &signature.sig) => {
                return Err(DsseError::BadSignature {
                    keyid: key.keyid().to_owned(),
                });
            }
            None if index == 0 => {
                return Err(DsseError::UnknownKey {
                    keyid: shown(&signature.keyid),
                });
            }
            Some(_) | None => {}
        }
        match officer {
            Some((key, false)) => {
                return Err(DsseError::OfficerEnded {
                    name: key.name().to_owned(),
                });
            }
            Some((key, true)) if !released.contains(key) => released.push(key.clone()),
            Some(_) | None => {}
        }
    }
    let envelope = Verified::mark(Envelope {
        bytes,
        payload: entry.payload,
    });
    Ok((envelope, released))
}

/// The entry as a DSSE JSON envelope, for other people's tools. Nothing is verified.
///
/// # Errors
///
/// [`DsseError::TooLarge`] or [`DsseError::Malformed`].
pub fn to_json(entry: &[u8]) -> Result<serde_json::Value, DsseError> {
    let entry = decode(&Bytes::copy_from_slice(entry))?;
    let signatures: Vec<_> = entry
        .signatures
        .iter()
        .map(|signature| serde_json::json!({ "keyid": signature.keyid, "sig": STANDARD.encode(&signature.sig) }))
        .collect();
    Ok(serde_json::json!({
        "payload": STANDARD.encode(&entry.payload),
        "payloadType": entry.payload_type,
        "signatures": signatures,
    }))
}

/// Unknown fields are passed over: a newer version may have added them, and the bytes stay whole.
fn decode(bytes: &Bytes) -> Result<v1::Entry, DsseError> {
    if bytes.len() > ENTRY_BYTES_MAX {
        return Err(DsseError::TooLarge { bytes: bytes.len() });
    }
    v1::Entry::decode(bytes.clone()).map_err(DsseError::Malformed)
}

fn check_signatures(signatures: &[v1::Signature]) -> Result<(), DsseError> {
    if !(1..=ENTRY_SIGNATURES_MAX).contains(&signatures.len()) {
        return Err(DsseError::SignatureCount {
            count: signatures.len(),
        });
    }
    match signatures
        .iter()
        .position(|signature| signature.sig.len() != SIGNATURE_BYTES)
    {
        Some(index) => Err(DsseError::SignatureLength {
            index,
            bytes: signatures[index].sig.len(),
        }),
        None => Ok(()),
    }
}

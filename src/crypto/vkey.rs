//! Verifier keys (vkeys): the only textual form of public keys in files and in output.
//!
//! `name+hash+base64(type ‖ public key)`, hash = the key id in lower-case hex.
//! Source: <https://c2sp.org/signed-note>, "Verifier keys".

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest as _, Sha256};

use super::shown;
use crate::limits::VKEY_BYTES_MAX;

/// What a key signs, and how: the signature type of C2SP signed-note.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// Type 0x01: Ed25519 over the note text; also the type of message keys, which sign DSSE.
    Ed25519,
    /// Type 0x04: timestamped cosignature of a checkpoint, C2SP tlog-cosignature v1.
    Cosignature,
}

impl Algorithm {
    /// The signature type identifier byte.
    #[must_use]
    pub fn byte(self) -> u8 {
        match self {
            Self::Ed25519 => 0x01,
            Self::Cosignature => 0x04,
        }
    }

    fn from_byte(byte: u8) -> Option<Self> {
        [Self::Ed25519, Self::Cosignature]
            .into_iter()
            .find(|algorithm| algorithm.byte() == byte)
    }
}

/// Why a verifier key is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VkeyError {
    /// The text is longer than any vkey of this protocol.
    #[error("the vkey has {bytes} bytes, at most {VKEY_BYTES_MAX} are allowed")]
    TooLong {
        /// Length of the text.
        bytes: usize,
    },
    /// The text does not have the three parts.
    #[error("a vkey has the form name+hash+base64, this has not; copy the whole line")]
    Form,
    /// The name is empty or holds a space, a plus or a control character.
    #[error("the key name \"{name}\" is empty or holds a space, a plus or a control character")]
    Name {
        /// The name, escaped.
        name: String,
    },
    /// The second part is not eight lower-case hex digits.
    #[error("the key id of a vkey is eight lower-case hex digits")]
    KeyId,
    /// The third part is not strict base64.
    #[error("the key of the vkey is not strict base64")]
    Base64,
    /// A signature type that is not used here.
    #[error("signature type 0x{byte:02x} is not used here; only 0x01 and 0x04 are")]
    Algorithm {
        /// The type identifier byte.
        byte: u8,
    },
    /// Not 32 bytes of public key.
    #[error("an Ed25519 public key has 32 bytes, this has {bytes}")]
    Length {
        /// Bytes after the type identifier.
        bytes: usize,
    },
    /// The key id does not belong to the name and key: a part was changed or mistyped.
    #[error(
        "the vkey says key id {stated:08x}, its name and key give {computed:08x}; a part of it was changed"
    )]
    Mismatch {
        /// The key id in the text.
        stated: u32,
        /// The key id that the name and key have.
        computed: u32,
    },
    /// The bytes are not the one canonical encoding of a curve point.
    #[error("the public key is not a canonical point of the curve")]
    NotCanonical,
    /// The point is of small order, or has a small-order part. No honest key is: a signature by
    /// it can hold for many messages, or for one verifier and not for another.
    #[error("the public key is weak (of small or mixed order); it must not be trusted")]
    Weak,
}

/// A public key with its name and its use.
///
/// The point is canonical and of prime order, and the name is fit for a signature line.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    algorithm: Algorithm,
    public: VerifyingKey,
    key_id: u32,
    keyid: String,
}

impl VerifierKey {
    /// Names a public key.
    ///
    /// # Errors
    ///
    /// [`VkeyError::Name`], [`VkeyError::NotCanonical`] or [`VkeyError::Weak`].
    pub fn new(name: &str, algorithm: Algorithm, public: VerifyingKey) -> Result<Self, VkeyError> {
        if !is_key_name(name) {
            return Err(VkeyError::Name { name: shown(name) });
        }
        check_point(&public)?;
        Ok(Self::of_judged(name, algorithm, public))
    }

    /// Names a public key that was judged before, or is of a secret that is here: to judge it again
    /// would take as long as to verify a signature. The name is fit for a signature line.
    pub(in crate::crypto) fn of_judged(
        name: &str,
        algorithm: Algorithm,
        public: VerifyingKey,
    ) -> Self {
        debug_assert!(is_key_name(name) && check_point(&public).is_ok());
        Self {
            name: name.to_owned(),
            algorithm,
            public,
            key_id: key_id(name, algorithm.byte(), public.as_bytes()),
            keyid: hex::encode(Sha256::digest(public.as_bytes())),
        }
    }

    /// Reads a vkey, strictly.
    ///
    /// # Errors
    ///
    /// [`VkeyError`] says which part is wrong.
    pub fn parse(text: &str) -> Result<Self, VkeyError> {
        if text.len() > VKEY_BYTES_MAX {
            return Err(VkeyError::TooLong { bytes: text.len() });
        }
        // Base64 has plus signs of its own: only the first two separate.
        let (name, rest) = text.split_once('+').ok_or(VkeyError::Form)?;
        let (hash, key) = rest.split_once('+').ok_or(VkeyError::Form)?;
        if !is_key_name(name) {
            return Err(VkeyError::Name { name: shown(name) });
        }
        if hash.len() != 8 || !hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(VkeyError::KeyId);
        }
        let stated = u32::from_str_radix(hash, 16).map_err(|_| VkeyError::KeyId)?;
        let key = STANDARD.decode(key).map_err(|_| VkeyError::Base64)?;
        let (&byte, public) = key.split_first().ok_or(VkeyError::Form)?;
        let algorithm = Algorithm::from_byte(byte).ok_or(VkeyError::Algorithm { byte })?;
        let public: &[u8; 32] = public.try_into().map_err(|_| VkeyError::Length {
            bytes: public.len(),
        })?;
        let computed = key_id(name, byte, public);
        if stated != computed {
            return Err(VkeyError::Mismatch { stated, computed });
        }
        let public = VerifyingKey::from_bytes(public).map_err(|_| VkeyError::NotCanonical)?;
        Self::new(name, algorithm, public)
    }

    /// The key name: a node name or an origin.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the key signs.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The key id of signature lines: first four bytes, big-endian, of
    /// SHA-256(name ‖ 0x0A ‖ type ‖ public key).
    #[must_use]
    pub fn key_id(&self) -> u32 {
        self.key_id
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> &VerifyingKey {
        &self.public
    }

    /// The `keyid` of DSSE signatures: lower-case hex SHA-256 of the 32-byte public key.
    #[must_use]
    pub fn keyid(&self) -> &str {
        &self.keyid
    }

    /// Whether `signature` is this key's over `message`, by strict verification.
    pub(in crate::crypto) fn holds(&self, message: &[u8], signature: &[u8]) -> bool {
        Signature::from_slice(signature)
            .is_ok_and(|signature| self.public.verify_strict(message, &signature).is_ok())
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut key = [self.algorithm.byte(); 33];
        key[1..].copy_from_slice(self.public.as_bytes());
        write!(
            f,
            "{}+{:08x}+{}",
            self.name,
            self.key_id,
            STANDARD.encode(key)
        )
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifierKey({self})")
    }
}

impl FromStr for VerifierKey {
    type Err = VkeyError;

    fn from_str(text: &str) -> Result<Self, VkeyError> {
        Self::parse(text)
    }
}

/// Whether a key name is fit for vkeys and signature lines: not empty, no Unicode space, no plus,
/// and no control character below U+0020, which no note may hold.
pub(in crate::crypto) fn is_key_name(name: &str) -> bool {
    !name.is_empty()
        && !name
            .chars()
            .any(|c| c.is_whitespace() || c == '+' || c < ' ')
}

fn key_id(name: &str, algorithm: u8, public: &[u8; 32]) -> u32 {
    let digest = Sha256::new()
        .chain_update(name)
        .chain_update([b'\n', algorithm])
        .chain_update(public)
        .finalize();
    u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]])
}

/// Refuses encodings and points that two careful verifiers could judge differently.
///
/// ed25519-dalek decodes by ZIP-215, which takes y ≥ p and −0; comparing with the encoding of the
/// decoded point finds both.
fn check_point(public: &VerifyingKey) -> Result<(), VkeyError> {
    let point = public.to_edwards();
    if point.compress().as_bytes() != public.as_bytes() {
        return Err(VkeyError::NotCanonical);
    }
    if public.is_weak() || !point.is_torsion_free() {
        return Err(VkeyError::Weak);
    }
    Ok(())
}

//! Sealing a file to a node, so that whoever finds it on its way reads nothing of it.
//!
//! HPKE (RFC 9180) in base mode: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305; as rustls
//! has it over aws-lc-rs. A file is a sequence of segments sealed one after the other in one context:
//! none can be left out, repeated or moved, and the last one says that it is the last.
//!
//! The recipient's key is its **log key** in Montgomery form (RFC 7748 §4.1): it stands on the peer's
//! card, it always lies in the node's own key file, and a card needs no further key. That one key pair
//! may serve Ed25519 and such a KEM is shown in <https://eprint.iacr.org/2021/509>.
//!
//! Sealing says nothing about who sealed it: the file is signed besides. And there is no forward
//! secrecy: whoever gets the recipient's log key later opens every file once sealed to it.

use std::fmt;

use rustls::crypto::aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_CHACHA20_POLY1305 as SUITE;
use rustls::crypto::hpke::{
    EncapsulatedSecret, Hpke as _, HpkeOpener, HpkePrivateKey, HpkePublicKey, HpkeSealer,
};

use super::keys::LogKey;
use super::vkey::VerifierKey;

/// Bytes of the encapsulated secret that goes before the segments.
pub const ENCAPSULATED_BYTES: usize = 32;
/// Bytes by which a segment grows when it is sealed.
pub const TAG_BYTES: usize = 16;

/// What a segment is sealed with beside its place: whether more follow.
const MORE: &[u8] = b"more";
const LAST: &[u8] = b"last";

/// Why something was not sealed or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The library refused: the key is no key, or there is no randomness.
    #[error("it cannot be sealed: {0}")]
    Seal(String),
    /// It was sealed to another key, or changed on its way.
    #[error("it does not open with this node's log key: sealed to another key, or changed")]
    Open,
}

/// Seals segments in order.
pub struct Sealer(Box<dyn HpkeSealer>);

/// Opens segments in order.
pub struct Opener(Box<dyn HpkeOpener>);

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer")
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opener")
    }
}

impl Sealer {
    /// Begins a file for the node with this log key. `info` is what both sides know of the file; it
    /// opens with no other. Returns what must go before the segments.
    ///
    /// # Errors
    /// [`SealError::Seal`].
    pub fn to(
        recipient: &VerifierKey,
        info: &[u8],
    ) -> Result<([u8; ENCAPSULATED_BYTES], Self), SealError> {
        let seal = |text: &dyn fmt::Display| SealError::Seal(text.to_string());
        let public = HpkePublicKey(recipient.public().to_montgomery().to_bytes().to_vec());
        let (EncapsulatedSecret(secret), sealer) = SUITE
            .setup_sealer(info, &public)
            .map_err(|error| seal(&error))?;
        let secret = <[u8; ENCAPSULATED_BYTES]>::try_from(secret)
            .map_err(|_| seal(&"the encapsulated secret has another length"))?;
        Ok((secret, Self(sealer)))
    }

    /// Seals the next segment.
    ///
    /// # Errors
    /// [`SealError::Seal`].
    pub fn seal(&mut self, segment: &[u8], last: bool) -> Result<Vec<u8>, SealError> {
        self.0
            .seal(if last { LAST } else { MORE }, segment)
            .map_err(|error| SealError::Seal(error.to_string()))
    }
}

impl Opener {
    /// Begins to open a file that was sealed to this key with this `info`.
    ///
    /// # Errors
    /// [`SealError::Open`]; that it is the wrong key shows at the first segment only.
    pub fn with(
        key: &LogKey,
        encapsulated: &[u8; ENCAPSULATED_BYTES],
        info: &[u8],
    ) -> Result<Self, SealError> {
        let secret = HpkePrivateKey::from(key.agreement_secret().to_vec());
        SUITE
            .setup_opener(&EncapsulatedSecret(encapsulated.to_vec()), info, &secret)
            .map(Self)
            .map_err(|_| SealError::Open)
    }

    /// Opens the next segment.
    ///
    /// # Errors
    /// [`SealError::Open`].
    pub fn open(&mut self, segment: &[u8], last: bool) -> Result<Vec<u8>, SealError> {
        self.0
            .open(if last { LAST } else { MORE }, segment)
            .map_err(|_| SealError::Open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::NodeName;

    fn key(seed: u8) -> (LogKey, VerifierKey) {
        let key = LogKey::from_seed(&[seed; 32]);
        let public = key.cosigner_verifier(&NodeName::parse("hekou.ni.cn.example").unwrap());
        (key, public)
    }

    #[test]
    fn only_the_recipient_opens_and_only_in_order() {
        let (ours, public) = key(1);
        let (theirs, _) = key(2);
        let (secret, mut sealer) = Sealer::to(&public, b"info").unwrap();
        let first = sealer.seal(b"one", false).unwrap();
        let second = sealer.seal(b"two", true).unwrap();
        assert_eq!(first.len(), 3 + TAG_BYTES);

        let mut opener = Opener::with(&ours, &secret, b"info").unwrap();
        assert_eq!(opener.open(&first, false).unwrap(), b"one");
        assert_eq!(opener.open(&second, true).unwrap(), b"two");

        let begun = |key: &LogKey, info: &[u8]| Opener::with(key, &secret, info).unwrap();
        assert_eq!(
            begun(&theirs, b"info").open(&first, false),
            Err(SealError::Open)
        );
        assert_eq!(
            begun(&ours, b"other").open(&first, false),
            Err(SealError::Open)
        );
        assert_eq!(
            begun(&ours, b"info").open(&second, true),
            Err(SealError::Open)
        );
        assert_eq!(
            begun(&ours, b"info").open(&first, true),
            Err(SealError::Open)
        );
        let mut cut = begun(&ours, b"info");
        cut.open(&first, false).unwrap();
        assert_eq!(cut.open(&first, false), Err(SealError::Open));
        let mut other = secret;
        other[3] ^= 1;
        let opened = Opener::with(&ours, &other, b"info").map(|mut o| o.open(&first, false));
        assert!(!matches!(opened, Ok(Ok(_))));
    }

    #[test]
    fn the_public_half_is_that_of_the_secret_half() {
        // RFC 7748: the key that the card gives and the one in the file are one pair.
        for seed in 0..32 {
            let (ours, public) = key(seed);
            let (secret, mut sealer) = Sealer::to(&public, b"").unwrap();
            let sealed = sealer.seal(b"x", true).unwrap();
            let mut opener = Opener::with(&ours, &secret, b"").unwrap();
            assert_eq!(opener.open(&sealed, true).unwrap(), b"x");
        }
    }
}

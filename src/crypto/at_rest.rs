//! Content at rest: sealed under a key of its own, bound to what it belongs to.
//!
//! AES-256-GCM-SIV (RFC 8452) as aws-lc has it: a nonce that came twice would show that two contents
//! are equal, and nothing more. The key of the cipher is made of the leaf's key and a random salt, and
//! together with it a commitment: sealed bytes open under one key only (an AEAD alone does not promise
//! that; Albertini et al., "How to abuse and fix authenticated encryption without key commitment", 2022).
//!
//! ```text
//! salt (16) ‖ commitment (32) ‖ ciphertext ‖ tag (16)
//! key ‖ commitment = HMAC-SHA-512(leaf key, "liaison at rest v1" ‖ salt)
//! ```
//!
//! A file is sealed in segments, each with its number and whether it is the last as its nonce (STREAM;
//! Hoang, Reyhanitabar, Rogaway, Vizár, 2015): none can be left out, moved or cut off, any of them can
//! be read alone, and memory does not grow with the file. A file that still grows is sealed anew from
//! its last segment on; that is what the misuse resistance is for.

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::{constant_time, hmac};
use zeroize::Zeroize as _;

use super::puncture::LeafKey;

/// Bytes of the salt.
const SALT_BYTES: usize = 16;
/// Bytes of the commitment.
const COMMITMENT_BYTES: usize = 32;
/// Bytes of an authentication tag.
const TAG_BYTES: usize = 16;
/// Bytes before what is sealed.
pub const HEAD_BYTES: usize = SALT_BYTES + COMMITMENT_BYTES;
/// Bytes by which content grows that is sealed in one piece.
pub const OVERHEAD_BYTES: usize = HEAD_BYTES + TAG_BYTES;
/// Bytes of content in a segment of a file.
pub const SEGMENT_BYTES: usize = 64 << 10;
/// Bytes of a whole segment as written.
pub const SEALED_SEGMENT_BYTES: usize = SEGMENT_BYTES + TAG_BYTES;
/// The nonce of what is sealed in one piece: the key is used once.
const ONE_PIECE: [u8; 12] = [0xff; 12];

/// Why something was not sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AtRestError {
    /// Changed since, cut, or of another message.
    #[error("it does not open: its bytes changed, or they belong elsewhere")]
    Open,
    /// There is no randomness, or it is larger than the cipher takes.
    #[error("it cannot be sealed")]
    Seal,
}

/// What sealed content belongs to. It opens with no other.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a>(pub &'a [&'a [u8]]);

impl Context<'_> {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(128);
        for part in self.0 {
            bytes.extend((part.len() as u64).to_be_bytes());
            bytes.extend(*part);
        }
        bytes
    }
}

/// Seals content in one piece.
///
/// # Errors
/// [`AtRestError::Seal`].
pub fn seal(key: &LeafKey, context: Context<'_>, content: &[u8]) -> Result<Vec<u8>, AtRestError> {
    let (head, cipher) = begin(key)?;
    let mut sealed = Vec::with_capacity(OVERHEAD_BYTES + content.len());
    sealed.extend(head);
    sealed.extend(content);
    let tag = cipher
        .seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(ONE_PIECE),
            Aad::from(context.bytes()),
            &mut sealed[HEAD_BYTES..],
        )
        .map_err(|_| AtRestError::Seal)?;
    sealed.extend(tag.as_ref());
    Ok(sealed)
}

/// Opens what [`seal`] made.
///
/// # Errors
/// [`AtRestError::Open`].
pub fn open(key: &LeafKey, context: Context<'_>, sealed: &[u8]) -> Result<Vec<u8>, AtRestError> {
    let (head, sealed) = sealed.split_first_chunk().ok_or(AtRestError::Open)?;
    let cipher = resume(key, head)?;
    let mut content = sealed.to_vec();
    let bytes = cipher
        .open_in_place(
            Nonce::assume_unique_for_key(ONE_PIECE),
            Aad::from(context.bytes()),
            &mut content,
        )
        .map_err(|_| AtRestError::Open)?
        .len();
    content.truncate(bytes);
    Ok(content)
}

/// The cipher of one file.
#[derive(Debug)]
pub struct FileCipher {
    cipher: LessSafeKey,
    context: Vec<u8>,
}

impl FileCipher {
    /// Begins a file; returns what goes before its segments.
    ///
    /// # Errors
    /// [`AtRestError::Seal`].
    pub fn begin(
        key: &LeafKey,
        context: Context<'_>,
    ) -> Result<([u8; HEAD_BYTES], Self), AtRestError> {
        let (head, cipher) = begin(key)?;
        let context = context.bytes();
        Ok((head, Self { cipher, context }))
    }

    /// Goes on with a file of which the head was read.
    ///
    /// # Errors
    /// [`AtRestError::Open`] when it is of another key.
    pub fn resume(
        key: &LeafKey,
        context: Context<'_>,
        head: &[u8; HEAD_BYTES],
    ) -> Result<Self, AtRestError> {
        Ok(Self {
            cipher: resume(key, head)?,
            context: context.bytes(),
        })
    }

    /// Seals a segment in place; `segment` grows by its tag.
    ///
    /// # Errors
    /// [`AtRestError::Seal`].
    pub fn seal(&self, number: u64, last: bool, segment: &mut Vec<u8>) -> Result<(), AtRestError> {
        let aad = Aad::from(&self.context);
        self.cipher
            .seal_in_place_append_tag(nonce(number, last), aad, segment)
            .map_err(|_| AtRestError::Seal)
    }

    /// Opens a segment in place; `segment` shrinks by its tag.
    ///
    /// # Errors
    /// [`AtRestError::Open`].
    pub fn open(&self, number: u64, last: bool, segment: &mut Vec<u8>) -> Result<(), AtRestError> {
        let aad = Aad::from(&self.context);
        let bytes = self
            .cipher
            .open_in_place(nonce(number, last), aad, segment)
            .map_err(|_| AtRestError::Open)?
            .len();
        segment.truncate(bytes);
        Ok(())
    }
}

fn nonce(number: u64, last: bool) -> Nonce {
    let mut nonce = [0; 12];
    nonce[..8].copy_from_slice(&number.to_be_bytes());
    nonce[11] = u8::from(last);
    Nonce::assume_unique_for_key(nonce)
}

fn begin(key: &LeafKey) -> Result<([u8; HEAD_BYTES], LessSafeKey), AtRestError> {
    let mut salt = [0; SALT_BYTES];
    getrandom::fill(&mut salt).map_err(|_| AtRestError::Seal)?;
    let (cipher, commitment) = derive(key, &salt).ok_or(AtRestError::Seal)?;
    let mut head = [0; HEAD_BYTES];
    head[..SALT_BYTES].copy_from_slice(&salt);
    head[SALT_BYTES..].copy_from_slice(&commitment);
    Ok((head, cipher))
}

fn resume(key: &LeafKey, head: &[u8; HEAD_BYTES]) -> Result<LessSafeKey, AtRestError> {
    let (salt, commitment) = head.split_at(SALT_BYTES);
    let (cipher, expected) = derive(key, salt).ok_or(AtRestError::Open)?;
    constant_time::verify_slices_are_equal(&expected, commitment).map_err(|_| AtRestError::Open)?;
    Ok(cipher)
}

fn derive(key: &LeafKey, salt: &[u8]) -> Option<(LessSafeKey, [u8; COMMITMENT_BYTES])> {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA512, &key.0));
    context.update(b"liaison at rest v1");
    context.update(salt);
    let mut derived = [0; 64];
    derived.copy_from_slice(context.sign().as_ref());
    let mut commitment = [0; COMMITMENT_BYTES];
    commitment.copy_from_slice(&derived[32..]);
    let cipher = UnboundKey::new(&AES_256_GCM_SIV, &derived[..32]).ok();
    derived.zeroize();
    Some((LessSafeKey::new(cipher?), commitment))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTEXT: Context<'static> = Context(&[b"a.example/b.example", b"id", b"schema"]);

    #[test]
    fn what_is_sealed_opens_with_its_key_and_context_only() {
        let key = LeafKey([1; 32]);
        let long = vec![7; 100_000];
        for content in [&b""[..], b"body", &long] {
            let sealed = seal(&key, CONTEXT, content).unwrap();
            assert_eq!(sealed.len(), content.len() + OVERHEAD_BYTES);
            assert_eq!(open(&key, CONTEXT, &sealed).unwrap(), content);
            assert_ne!(seal(&key, CONTEXT, content).unwrap(), sealed, "salted");
            assert!(open(&LeafKey([2; 32]), CONTEXT, &sealed).is_err());
            // Parts cannot be shifted into each other.
            let other = Context(&[b"a.example/b.examplei", b"d", b"schema"]);
            assert!(open(&key, other, &sealed).is_err());
        }
    }

    #[test]
    fn every_changed_or_missing_byte_is_noticed() {
        let key = LeafKey([1; 32]);
        let sealed = seal(&key, CONTEXT, b"some body").unwrap();
        for at in 0..sealed.len() {
            for bit in 0..8 {
                let mut other = sealed.clone();
                other[at] ^= 1 << bit;
                assert_eq!(open(&key, CONTEXT, &other), Err(AtRestError::Open), "{at}");
            }
            assert_eq!(open(&key, CONTEXT, &sealed[..at]), Err(AtRestError::Open));
        }
    }

    #[test]
    fn segments_have_their_place() {
        let key = LeafKey([1; 32]);
        let (head, cipher) = FileCipher::begin(&key, CONTEXT).unwrap();
        let mut first = b"first".to_vec();
        let mut last = b"last".to_vec();
        cipher.seal(0, false, &mut first).unwrap();
        cipher.seal(1, true, &mut last).unwrap();
        let again = FileCipher::resume(&key, CONTEXT, &head).unwrap();
        for (number, is_last) in [(0, true), (1, false), (2, false)] {
            assert!(again.open(number, is_last, &mut first.clone()).is_err());
        }
        assert!(
            again.open(1, false, &mut last.clone()).is_err(),
            "cut off after it"
        );
        again.open(0, false, &mut first).unwrap();
        again.open(1, true, &mut last).unwrap();
        assert_eq!((&first[..], &last[..]), (&b"first"[..], &b"last"[..]));
        let mut head = head;
        head[20] ^= 1;
        assert!(FileCipher::resume(&key, CONTEXT, &head).is_err());
    }
}

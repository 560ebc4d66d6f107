//! Signed notes: a text and the signature lines under it.
//!
//! Source: <https://c2sp.org/signed-note>; where it leaves a choice, the stricter one:
//! - base64 is canonical (padding, no stray bits), key ids and names exact;
//! - a note in which one known key has two lines is refused: two cosignatures of one key would
//!   say two times;
//! - a note is refused as a whole when a line by a known key does not hold, whoever else signed.
//!
//! Lines by unknown keys are kept as they are and never looked into.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::vkey::{Algorithm, VerifierKey, is_key_name};
use super::{Verified, cosignature};
use crate::limits::{NOTE_BYTES_MAX, NOTE_SIGNATURES_MAX};

const LINE_START: &str = "\u{2014} ";

/// Why a note is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    // Not a note.
    /// Larger than the limit.
    #[error("the note has {bytes} bytes, at most {NOTE_BYTES_MAX} are allowed")]
    TooLarge {
        /// Size of the note.
        bytes: usize,
    },
    /// More signature lines than the limit.
    #[error("the note has more than {NOTE_SIGNATURES_MAX} signature lines")]
    TooManySignatures,
    /// A control character other than newline.
    #[error("the note holds the control character U+{code:04X}")]
    ControlCharacter {
        /// The character's code.
        code: u32,
    },
    /// No blank line between text and signatures.
    #[error("the note has no blank line between text and signatures")]
    NoBlankLine,
    /// Nothing below the blank line.
    #[error("the note has no signature lines")]
    NoSignatureLines,
    /// The last line does not end.
    #[error("the note does not end with a newline")]
    NoFinalNewline,
    /// A line below the blank line is not a signature line.
    #[error("signature line {line} is malformed: {reason}")]
    SignatureLine {
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        reason: &'static str,
    },

    // A note, but not to be trusted.
    /// A known key's signature does not hold.
    #[error("the signature by {name} (key id {key_id:08x}) does not hold")]
    BadSignature {
        /// The key name.
        name: String,
        /// The key id.
        key_id: u32,
    },
    /// One known key has two lines.
    #[error("{name} (key id {key_id:08x}) has two signature lines")]
    DuplicateSignature {
        /// The key name.
        name: String,
        /// The key id.
        key_id: u32,
    },
    /// None of the known keys signed.
    #[error("none of the known keys has signed the note")]
    NoKnownKey,

    // The caller's mistake.
    /// Two of the known keys have one name and one key id.
    #[error("two known keys are both named {name} and have key id {key_id:08x}")]
    AmbiguousKey {
        /// The key name.
        name: String,
        /// The key id.
        key_id: u32,
    },
}

/// A signature line: `— name base64(key id ‖ bytes)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureLine {
    /// Key name.
    pub name: String,
    /// Key id.
    pub key_id: u32,
    /// Signature, of whatever form the key's type has; at least one byte.
    pub bytes: Vec<u8>,
}

impl SignatureLine {
    fn parse(line: &str) -> Result<Self, &'static str> {
        let rest = line
            .strip_prefix(LINE_START)
            .ok_or("it does not start with an em dash and a space")?;
        let (name, blob) = rest
            .split_once(' ')
            .ok_or("it has no space after the key name")?;
        if !is_key_name(name) {
            return Err("the key name is empty or holds a space or a plus");
        }
        let blob = STANDARD
            .decode(blob)
            .map_err(|_| "the signature is not strict base64")?;
        match blob.split_first_chunk::<4>() {
            Some((key_id, bytes)) if !bytes.is_empty() => Ok(Self {
                name: name.to_owned(),
                key_id: u32::from_be_bytes(*key_id),
                bytes: bytes.to_vec(),
            }),
            _ => Err("the signature is too short"),
        }
    }

    fn is_by(&self, key: &VerifierKey) -> bool {
        self.key_id == key.key_id() && self.name == key.name()
    }
}

impl fmt::Display for SignatureLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let blob = [self.key_id.to_be_bytes().as_slice(), &self.bytes].concat();
        write!(f, "{LINE_START}{} {}", self.name, STANDARD.encode(blob))
    }
}

/// A note, well formed and not verified. It keeps its bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Note {
    whole: String,
    /// Length of the text, with its final newline.
    text_bytes: usize,
    signatures: Vec<SignatureLine>,
}

impl Note {
    /// Takes a note apart, strictly.
    ///
    /// # Errors
    ///
    /// The first group of [`NoteError`].
    pub fn parse(whole: &str) -> Result<Self, NoteError> {
        if whole.len() > NOTE_BYTES_MAX {
            return Err(NoteError::TooLarge { bytes: whole.len() });
        }
        if let Some(c) = whole.chars().find(|&c| c < ' ' && c != '\n') {
            return Err(NoteError::ControlCharacter { code: c.into() });
        }
        // The text may hold blank lines: the last one separates.
        let split = whole.rfind("\n\n").ok_or(NoteError::NoBlankLine)?;
        let lines = &whole[split + 2..];
        if lines.is_empty() {
            return Err(NoteError::NoSignatureLines);
        }
        let lines = lines.strip_suffix('\n').ok_or(NoteError::NoFinalNewline)?;
        let signatures = lines
            .split('\n')
            .zip(1..)
            .map(|(text, line)| {
                if line > NOTE_SIGNATURES_MAX {
                    return Err(NoteError::TooManySignatures);
                }
                SignatureLine::parse(text)
                    .map_err(|reason| NoteError::SignatureLine { line, reason })
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            whole: whole.to_owned(),
            text_bytes: split + 1,
            signatures,
        })
    }

    /// Joins a text and its signature lines.
    ///
    /// # Errors
    ///
    /// As [`Note::parse`]; also when the text does not end with a newline.
    pub fn new(text: &str, signatures: &[SignatureLine]) -> Result<Self, NoteError> {
        let mut whole = format!("{text}\n");
        for signature in signatures {
            whole.push_str(&signature.to_string());
            whole.push('\n');
        }
        let note = Self::parse(&whole)?;
        // A line whose name holds a newline, or a text that does not end with one, would come back
        // as something else.
        if note.text() == text && note.signatures == signatures {
            Ok(note)
        } else {
            Err(NoteError::NoBlankLine)
        }
    }

    /// The note with one more signature line at its end.
    ///
    /// # Errors
    ///
    /// As [`Note::new`].
    pub fn with_signature(&self, signature: SignatureLine) -> Result<Self, NoteError> {
        let mut signatures = self.signatures.clone();
        signatures.push(signature);
        Self::new(self.text(), &signatures)
    }

    /// The note without the lines of `key`; nothing, when no line is left.
    pub(in crate::crypto) fn without(&self, key: &VerifierKey) -> Option<Self> {
        let others: Vec<_> = self
            .signatures
            .iter()
            .filter(|line| !line.is_by(key))
            .cloned()
            .collect();
        Self::new(self.text(), &others).ok()
    }

    /// The text, with its final newline: what is signed.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.whole[..self.text_bytes]
    }

    /// The signature lines, in their order; at least one.
    #[must_use]
    pub fn signatures(&self) -> &[SignatureLine] {
        &self.signatures
    }

    /// The whole note as it was received.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.whole
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.whole)
    }
}

impl fmt::Debug for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Note({:?})", self.whole)
    }
}

/// A known key that signed a note, and when it says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signer<'k> {
    /// The key.
    pub key: &'k VerifierKey,
    /// Unix seconds of a cosignature; `None` for a plain signature.
    pub unix_seconds: Option<u64>,
}

/// Verifies a note: every known key's line holds, and there is at least one.
///
/// Returns the signers in the order of their lines.
///
/// # Errors
///
/// The second and third group of [`NoteError`].
pub fn verify<'k>(
    note: &Note,
    keys: &[&'k VerifierKey],
) -> Result<Verified<Vec<Signer<'k>>>, NoteError> {
    let mut signers: Vec<Signer<'k>> = Vec::new();
    for line in &note.signatures {
        let mut known = keys.iter().copied().filter(|key| line.is_by(key));
        let Some(key) = known.next() else { continue };
        // The name is a known one, so it is fit to be shown.
        let (name, key_id) = (key.name().to_owned(), key.key_id());
        if known.next().is_some() {
            return Err(NoteError::AmbiguousKey { name, key_id });
        }
        if signers.iter().any(|signer| signer.key == key) {
            return Err(NoteError::DuplicateSignature { name, key_id });
        }
        match verify_line(note.text(), line, key) {
            Some(unix_seconds) => signers.push(Signer { key, unix_seconds }),
            None => return Err(NoteError::BadSignature { name, key_id }),
        }
    }
    if signers.is_empty() {
        Err(NoteError::NoKnownKey)
    } else {
        Ok(Verified::mark(signers))
    }
}

/// `None` when the line does not hold, else the time that it carries, if its type carries one.
#[expect(
    clippy::option_option,
    reason = "outer: does it hold; inner: has it a time"
)]
fn verify_line(text: &str, line: &SignatureLine, key: &VerifierKey) -> Option<Option<u64>> {
    match key.algorithm() {
        Algorithm::Ed25519 => key.holds(text.as_bytes(), &line.bytes).then_some(None),
        Algorithm::Cosignature => {
            let (unix_seconds, signature) = cosignature::decode(&line.bytes)?;
            let message = cosignature::message(unix_seconds, text);
            key.holds(&message, signature).then_some(Some(unix_seconds))
        }
    }
}

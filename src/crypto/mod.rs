//! Who says it: keys, DSSE, signed notes, checkpoints, cosignatures.
//!
//! Reading order: [`keys`] are what a node signs with, [`vkey`] what others verify with;
//! [`token_uri`] names a key that stays in a token; [`dsse`] signs one entry; [`note`] is the signed
//! text that [`checkpoint`] builds on; [`change`] is how keys follow each other, and [`history`] which of
//! them hold where in a log. [`at_rest`] seals what the disk keeps, under keys that [`puncture`] can destroy one by
//! one.
//!
//! Rules of the room:
//! - Bytes are verified first and parsed after: what leaves here as [`Verified`] was signed by a
//!   key that the caller named, and nothing else can make a [`Verified`].
//! - Every signature is verified alone and strictly. There is no batch verification: it accepts
//!   signatures that an auditor's single verification refuses.
//! - There is no way to sign free text. A node key signs three kinds of text, which begin with
//!   `DSSEv1 `, with an origin (two dotted names joined by `/`, or for the [`journal`] one and the word
//!   `journal`) and with `cosignature/v1\n`; so
//!   none can be passed off as another. Of the first kind there are two, told apart by the payload
//!   type that follows: entries, and statements on changes of keys.

pub mod at_rest;
pub mod change;
pub mod checkpoint;
mod cosignature;
pub mod dsse;
pub mod history;
pub mod journal;
mod keyfile;
pub mod keys;
pub mod note;
pub mod puncture;
pub mod seal;
pub mod storage_key;
#[cfg(feature = "pkcs11")]
mod token;
pub mod token_uri;
mod verified;
pub mod vkey;

pub use verified::Verified;

/// A piece of hostile text, fit for an error message: escaped, cut to 80 characters.
fn shown(text: &str) -> String {
    const CHARS_MAX: usize = 80;
    let mut shown: String = text
        .chars()
        .take(CHARS_MAX)
        .flat_map(char::escape_default)
        .collect();
    if text.chars().nth(CHARS_MAX).is_some() {
        shown.push('…');
    }
    shown
}

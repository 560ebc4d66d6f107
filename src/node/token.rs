//! The message key in a token, as the configuration names it.

use std::io;
use std::path::Path;

use zeroize::Zeroizing;

use super::passphrase::{PassphraseError, PassphraseSource};
use crate::crypto::keys::{MessageKey, SignError};
use crate::crypto::token_uri::TokenUri;
use crate::crypto::vkey::VerifierKey;
use crate::model::NodeName;

/// A message key that lies in a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenConfig {
    /// Where.
    pub uri: TokenUri,
    /// What it must be: the message key as it stands on the card that the peers have.
    pub vkey: Option<VerifierKey>,
    /// Where the PIN comes from; `None`: it is the passphrase of the key files.
    pub pin: Option<PassphraseSource>,
}

/// Why there is no message key.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The token, or the key in it.
    #[error("{0}")]
    Token(#[from] SignError),
    /// No PIN.
    #[error("the PIN of the token is not to be had")]
    Pin(#[from] PassphraseError),
    /// Nothing says what the PIN is.
    #[error(
        "nothing says where the PIN of the token comes from; set keys.pin to prompt, file:PATH or \
         credential:NAME"
    )]
    NoPin,
    /// The key is another one than the peers know.
    #[error(
        "the token holds the key {found}, but keys.message_vkey is {expected}: peers would refuse \
         what it signs. Put the right token in, or put the configuration right"
    )]
    OtherKey {
        /// What the token holds.
        found: String,
        /// What the configuration names.
        expected: String,
    },
    /// The configuration does not say which key is meant.
    #[error(
        "keys.message_vkey is missing, so nothing tells whether this is the key that the peers have on \
         the card. Compare it with the card, then write under [keys]: message_vkey = \"{found}\""
    )]
    NotNamed {
        /// What the token holds.
        found: String,
    },
}

impl TokenConfig {
    /// Opens the key. A key that the configuration does not name is refused, if `must_be_named`: it
    /// need not be where the own card is yet to be made.
    ///
    /// # Errors
    /// [`TokenError`] says what to do.
    pub fn open(
        &self,
        node: &NodeName,
        passphrase: Option<&Zeroizing<String>>,
        credentials: Option<&Path>,
        prompt: impl FnOnce() -> io::Result<Zeroizing<String>>,
        must_be_named: bool,
    ) -> Result<MessageKey, TokenError> {
        let pin = match &self.pin {
            Some(source) => source.get(credentials, prompt)?,
            None => passphrase.cloned(),
        };
        let key = MessageKey::open_token(&self.uri, pin.ok_or(TokenError::NoPin)?)?;
        let found = key.verifier(node);
        match &self.vkey {
            Some(expected) if *expected != found => Err(TokenError::OtherKey {
                found: found.to_string(),
                expected: expected.to_string(),
            }),
            None if must_be_named => Err(TokenError::NotNamed {
                found: found.to_string(),
            }),
            _ => Ok(key),
        }
    }
}

//! The storage key: the one secret that opens what the disk keeps.
//!
//! It seals the files of keys beside the store, and nothing else; what is in the store is sealed under
//! those. It is 32 bytes that never sign anything, and lies in one of three forms:
//!
//! - in a key file as the others do (PKCS#8, under the passphrase);
//! - as 64 hex digits that whoever starts the node hands over (a systemd credential);
//! - in a small file, wrapped by an AES key that never leaves a PKCS#11 token. Not the token itself seals
//!   the files: it would have to be asked for each block of keys, it could not be taken out, and an HSM
//!   shared by many would see how much is recorded. Asked once at the start, it is enough that without it
//!   the disk gives nothing.

use std::fmt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::keyfile;
use super::keys::{KeyError, Loaded, Protection, SignError};
use super::puncture::LeafKey;
use super::token_uri::TokenUri;

/// First line of a file with a wrapped storage key; the second is hex.
const WRAPPED: &str = "liaison storage key, wrapped by a token, version 1";

/// Why there is no storage key.
#[derive(Debug, thiserror::Error)]
pub enum StorageKeyError {
    /// Its file.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The token does not answer as it should.
    #[error(
        "the token that wraps the storage key cannot be used: {what}; put it back and start the node again"
    )]
    Away {
        /// Its words.
        what: String,
    },
    /// Token or key cannot be found.
    #[error("{what}")]
    Missing {
        /// What, and what to do.
        what: String,
    },
    /// The token does not take the PIN.
    #[error(
        "the token that wraps the storage key does not take the PIN ({what}); it is not tried again, so \
         that the token does not lock itself: put keys.storage_pin right"
    )]
    Pin {
        /// Its words.
        what: String,
    },
    /// It was wrapped by another key, or for another node.
    #[error(
        "the key in the token does not open {}: it was wrapped by another key or for another node, or was \
         changed. Put in the right token, or put back the copy of this file",
        path.display()
    )]
    OtherKey {
        /// The file.
        path: PathBuf,
    },
    /// The token does not give back what it wrapped.
    #[error(
        "the token does not give back what it wrapped; nothing was made. Do not trust this token: look at \
         it, or use another"
    )]
    Faulty,
    /// This program was built without tokens.
    #[error(
        "the storage key is wrapped by a token, and this program was built without the feature pkcs11; \
         build it with: cargo build --release --features pkcs11"
    )]
    NoTokens,
    /// Not a file with a wrapped key.
    #[error(
        "{} holds no wrapped storage key; put back the copy of it that is kept apart from this machine",
        path.display()
    )]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// Not 64 hex digits.
    #[error(
        "the storage key is handed over as 64 hex digits in one line, and this is none; make one with: \
         openssl rand -hex 32"
    )]
    NotHex,
}

impl StorageKeyError {
    fn of_token(error: SignError, path: &Path) -> Self {
        match error {
            SignError::Away { what } => Self::Away { what },
            SignError::Missing { what } => Self::Missing { what },
            SignError::Pin { what } => Self::Pin { what },
            SignError::Faulty => Self::Faulty,
            SignError::NoTokens => Self::NoTokens,
            SignError::OtherKey => Self::OtherKey {
                path: path.to_owned(),
            },
        }
    }
}

/// The node's storage key.
#[derive(Clone)]
pub struct StorageKey(LeafKey);

impl fmt::Debug for StorageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StorageKey")
    }
}

impl StorageKey {
    /// Makes a key from 32 secret bytes.
    #[must_use]
    pub fn from_bytes(secret: &[u8; 32]) -> Self {
        // Whoever uses the same file for a signing key by mistake gives neither away.
        StorageKey(LeafKey(LeafKey(*secret).mac(b"liaison storage key v1")))
    }

    /// Makes a new one and writes its file.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn create(path: &Path, protection: &Protection) -> Result<Self, KeyError> {
        let mut secret = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *secret).map_err(KeyError::Randomness)?;
        let key = ed25519_dalek::SigningKey::from_bytes(&secret);
        keyfile::write(path, &key, protection)?;
        Ok(Self::from_bytes(&secret))
    }

    /// Loads it.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn load(
        path: &Path,
        passphrase: Option<&Zeroizing<String>>,
    ) -> Result<Loaded<Self>, KeyError> {
        let Loaded { key, encrypted } = keyfile::load(path, passphrase)?;
        let secret = Zeroizing::new(key.to_bytes());
        Ok(Loaded {
            key: Self::from_bytes(&secret),
            encrypted,
        })
    }

    /// Takes it from 64 hex digits, such as a credential.
    ///
    /// # Errors
    /// [`StorageKeyError::NotHex`].
    pub fn from_hex(text: &str) -> Result<Self, StorageKeyError> {
        let mut secret = Zeroizing::new([0; 32]);
        hex::decode_to_slice(text.trim(), &mut *secret).map_err(|_| StorageKeyError::NotHex)?;
        Ok(Self::from_bytes(&secret))
    }

    /// Makes a new one and writes a file of it, wrapped by the AES key in a token, for this node.
    ///
    /// # Errors
    /// [`StorageKeyError`].
    pub fn create_wrapped(
        path: &Path,
        uri: &TokenUri,
        pin: &str,
        node: &str,
    ) -> Result<Self, StorageKeyError> {
        let mut secret = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *secret).map_err(KeyError::Randomness)?;
        let wrapped = wrap(uri, pin, bound_to(node).as_bytes(), &*secret)
            .map_err(|error| StorageKeyError::of_token(error, path))?;
        let text = format!("{WRAPPED}\n{}\n", hex::encode(wrapped));
        keyfile::write_new(path, text.as_bytes())?;
        Ok(Self::from_bytes(&secret))
    }

    /// Loads one that lies wrapped.
    ///
    /// # Errors
    /// [`StorageKeyError`].
    pub fn load_wrapped(
        path: &Path,
        uri: &TokenUri,
        pin: &str,
        node: &str,
    ) -> Result<Self, StorageKeyError> {
        let malformed = || StorageKeyError::Malformed {
            path: path.to_owned(),
        };
        let text = keyfile::read(path)?;
        let wrapped = text
            .strip_prefix(WRAPPED)
            .and_then(|rest| hex::decode(rest.trim()).ok())
            .ok_or_else(malformed)?;
        let secret = unwrap(uri, pin, bound_to(node).as_bytes(), &wrapped)
            .map_err(|error| StorageKeyError::of_token(error, path))?;
        let secret = Zeroizing::new(<[u8; 32]>::try_from(&secret[..]).map_err(|_| malformed())?);
        Ok(Self::from_bytes(&secret))
    }

    /// Its name: 16 hex digits that tell it from others and say nothing of it.
    #[must_use]
    pub fn id(&self) -> String {
        hex::encode(&self.0.mac(b"liaison storage key name v1")[..8])
    }

    /// As a key of [`super::at_rest`].
    #[must_use]
    pub fn leaf(&self) -> &LeafKey {
        &self.0
    }
}

/// What a wrapped storage key belongs to: one of another node does not open.
fn bound_to(node: &str) -> String {
    format!("liaison storage key v1 {node}")
}

#[cfg(feature = "pkcs11")]
use super::token::{unwrap, wrap};

#[cfg(not(feature = "pkcs11"))]
fn wrap(_: &TokenUri, _: &str, _: &[u8], _: &[u8]) -> Result<Vec<u8>, SignError> {
    Err(SignError::NoTokens)
}

#[cfg(not(feature = "pkcs11"))]
fn unwrap(_: &TokenUri, _: &str, _: &[u8], _: &[u8]) -> Result<Zeroizing<Vec<u8>>, SignError> {
    Err(SignError::NoTokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_handed_over_is_64_hex_digits() {
        let key = StorageKey::from_hex(&format!("{}\n", "0a".repeat(32))).unwrap();
        assert_eq!(key.id(), StorageKey::from_bytes(&[10; 32]).id());
        for wrong in ["", "0a", &"0a".repeat(33), &"zz".repeat(32)] {
            assert!(StorageKey::from_hex(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_name_tells_keys_apart_and_says_nothing_of_them() {
        let (one, other) = (
            StorageKey::from_bytes(&[1; 32]),
            StorageKey::from_bytes(&[2; 32]),
        );
        assert_ne!(one.id(), other.id());
        assert_eq!(one.id().len(), 16);
        assert!(!hex::encode(one.leaf().0).contains(&one.id()));
    }
}

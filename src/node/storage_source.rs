//! The storage key, as the configuration names it: a file, a credential, or wrapped by a token.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::document::Fault;
use super::passphrase::{PassphraseError, PassphraseSource};
use crate::crypto::keys::{Loaded, Protection};
use crate::crypto::storage_key::{StorageKey, StorageKeyError};
use crate::crypto::token_uri::TokenUri;
use crate::model::NodeName;

/// Where the storage key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StorageSource {
    /// A key file as the others are, under the passphrase.
    File(PathBuf),
    /// A systemd credential of 64 hex digits.
    Credential(String),
    /// A file that an AES key in a token opens.
    Token {
        /// The AES key.
        uri: TokenUri,
        /// Where the PIN comes from; `None`: it is the passphrase of the key files.
        pin: Option<PassphraseSource>,
        /// The file.
        wrapped: PathBuf,
    },
}

impl fmt::Display for StorageSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) | Self::Token { wrapped: path, .. } => path.display().fmt(f),
            Self::Credential(name) => write!(f, "the credential {name}"),
        }
    }
}

/// Why there is no storage key.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The key itself.
    #[error(transparent)]
    Key(#[from] StorageKeyError),
    /// A credential, or the PIN of the token.
    #[error("the storage key is not to be had")]
    Secret(#[from] PassphraseError),
    /// Nothing says what the PIN is.
    #[error(
        "nothing says where the PIN of the token that wraps the storage key comes from; set \
         keys.storage_pin to prompt, file:PATH or credential:NAME"
    )]
    NoPin,
    /// A file without encryption, which the configuration does not allow.
    #[error(
        "{} is not encrypted. Encrypt it, or set allow_unencrypted_keys = true under [keys] if this is a \
         trial",
        .0.display()
    )]
    Unencrypted(PathBuf),
    /// It is missing, and something lies here that only it opens.
    #[error(
        "the storage key is missing: {place}. What lies here is sealed under the storage key {wanted}, \
         and another one opens nothing. Put back the copy that is kept apart from this machine"
    )]
    Missing {
        /// Where it should be.
        place: String,
        /// Its name, as far as known.
        wanted: String,
    },
    /// It is another one.
    #[error(
        "{place} is the storage key {found}, and what lies here is sealed under {wanted}. Put that one \
         back; if the key was being changed, go on: liaison keys change-storage"
    )]
    Other {
        /// Where it was found.
        place: String,
        /// Its name.
        found: String,
        /// Of the one that is wanted.
        wanted: String,
    },
    /// The old one must be named.
    #[error(
        "a storage key that is a credential is changed by handing over a new one and naming the old one; \
         set keys.storage to the new one, then: liaison keys change-storage --from credential:OLD"
    )]
    NameOld,
    /// Old and new are one.
    #[error(
        "{0} is the storage key that the configuration names already; leave --from out, or put the new \
         place into keys.storage first"
    )]
    SamePlace(String),
    /// Not written as a storage key is.
    #[error("{0}")]
    Written(#[from] Fault),
    /// A credential is made by whoever hands it over.
    #[error(
        "a storage key that is a credential is not made here; make one, such as: openssl rand -hex 32 | \
         systemd-creds encrypt --name={0} - /etc/liaison.{0}.cred"
    )]
    NotMadeHere(String),
}

/// What opens key files.
#[derive(Debug, Clone, Copy)]
pub struct Opening<'a> {
    /// Whose key it is.
    pub node: &'a NodeName,
    /// Of the key files.
    pub passphrase: Option<&'a Zeroizing<String>>,
    /// The environment's `$CREDENTIALS_DIRECTORY`.
    pub credentials: Option<&'a Path>,
    /// Key files may be unencrypted.
    pub allow_unencrypted: bool,
}

impl Opening<'_> {
    fn pin(&self, source: Option<&PassphraseSource>) -> Result<Zeroizing<String>, StorageError> {
        let ask = || -> io::Result<Zeroizing<String>> {
            rpassword::prompt_password(format!(
                "PIN of the token that wraps the storage key of {}: ",
                self.node
            ))
            .map(Zeroizing::new)
        };
        let pin = match source {
            Some(source) => source.get(self.credentials, ask)?,
            None => self.passphrase.cloned(),
        };
        pin.ok_or(StorageError::NoPin)
    }
}

impl StorageSource {
    /// The file that it is in, if it is in one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) | Self::Token { wrapped: path, .. } => Some(path),
            Self::Credential(_) => None,
        }
    }

    /// The same source with another file; a credential as it is.
    #[must_use]
    pub fn with_file(&self, file: PathBuf) -> Self {
        let mut other = self.clone();
        match &mut other {
            Self::File(path) | Self::Token { wrapped: path, .. } => *path = file,
            Self::Credential(_) => {}
        }
        other
    }

    /// Whether there is one. A credential always is: whoever names it hands it over.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.file()
            .is_none_or(|path| path.symlink_metadata().is_ok())
    }

    /// Loads it.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn load(&self, opening: Opening<'_>) -> Result<StorageKey, StorageError> {
        match self {
            Self::File(path) => {
                let loaded = StorageKey::load(path, opening.passphrase);
                let Loaded { key, encrypted } = loaded.map_err(StorageKeyError::from)?;
                if encrypted || opening.allow_unencrypted {
                    Ok(key)
                } else {
                    Err(StorageError::Unencrypted(path.clone()))
                }
            }
            Self::Credential(name) => {
                let source = PassphraseSource::Credential(name.clone());
                let text = source.get(opening.credentials, || Err(io::ErrorKind::Other.into()))?;
                Ok(StorageKey::from_hex(&text.unwrap_or_default())?)
            }
            Self::Token { uri, pin, wrapped } => {
                let pin = opening.pin(pin.as_ref())?;
                let node = opening.node.as_str();
                Ok(StorageKey::load_wrapped(wrapped, uri, &pin, node)?)
            }
        }
    }

    /// Makes a new one in its place, where none is.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn create(&self, opening: Opening<'_>) -> Result<StorageKey, StorageError> {
        match self {
            Self::File(path) => {
                let protection = match opening.passphrase {
                    Some(passphrase) => Protection::Passphrase(passphrase.clone()),
                    None => Protection::Unencrypted,
                };
                Ok(StorageKey::create(path, &protection).map_err(StorageKeyError::from)?)
            }
            Self::Credential(name) => Err(StorageError::NotMadeHere(name.clone())),
            Self::Token { uri, pin, wrapped } => {
                let pin = opening.pin(pin.as_ref())?;
                let node = opening.node.as_str();
                Ok(StorageKey::create_wrapped(wrapped, uri, &pin, node)?)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opening<'a>(node: &'a NodeName, credentials: Option<&'a Path>) -> Opening<'a> {
        Opening {
            node,
            passphrase: None,
            credentials,
            allow_unencrypted: false,
        }
    }

    #[test]
    fn a_credential_is_handed_over_and_never_made() {
        let dir = tempfile::tempdir().unwrap();
        let node = NodeName::parse("a.example").unwrap();
        let source = StorageSource::Credential("storage".to_owned());
        assert!(source.exists());
        let absent = source.load(opening(&node, None)).unwrap_err();
        assert!(matches!(absent, StorageError::Secret(_)), "{absent}");
        let there = opening(&node, Some(dir.path()));
        assert!(source.load(there).is_err());
        std::fs::write(dir.path().join("storage"), "not hex\n").unwrap();
        let wrong = source.load(there).unwrap_err().to_string();
        assert!(wrong.contains("openssl rand -hex 32"), "{wrong}");
        std::fs::write(dir.path().join("storage"), format!("{}\n", "ab".repeat(32))).unwrap();
        let key = source.load(there).unwrap();
        assert_eq!(key.id(), StorageKey::from_bytes(&[0xab; 32]).id());
        let error = source.create(there).unwrap_err();
        assert!(matches!(error, StorageError::NotMadeHere(_)), "{error}");
    }

    #[test]
    fn a_file_is_encrypted_unless_that_is_allowed() {
        let dir = tempfile::tempdir().unwrap();
        let node = NodeName::parse("a.example").unwrap();
        let source = StorageSource::File(dir.path().join("storage.pem"));
        assert!(!source.exists());
        let plain = opening(&node, None);
        let made = source.create(plain).unwrap();
        let error = source.load(plain).unwrap_err();
        assert!(matches!(error, StorageError::Unencrypted(_)), "{error}");
        let allowed = Opening {
            allow_unencrypted: true,
            ..plain
        };
        assert_eq!(source.load(allowed).unwrap().id(), made.id());
        assert!(source.create(allowed).is_err(), "never over another");
    }
}

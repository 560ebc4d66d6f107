//! The storage key: the one secret that opens what the disk keeps.
//!
//! It seals the files of keys beside the store, and nothing else; what is in the store is sealed under
//! those. It lies in a key file as the others do (PKCS#8, under the passphrase), as 32 bytes that never
//! sign anything.

use std::fmt;
use std::path::Path;

use zeroize::Zeroizing;

use super::keyfile;
use super::keys::{KeyError, Loaded, Protection};
use super::puncture::LeafKey;

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

    /// As a key of [`super::at_rest`].
    #[must_use]
    pub fn leaf(&self) -> &LeafKey {
        &self.0
    }
}

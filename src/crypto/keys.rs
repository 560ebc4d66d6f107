//! The two private keys of a node.
//!
//! Both are Ed25519 (RFC 8032) and kept in files of their own: the *message key* signs entries,
//! the *log key* signs checkpoints and cosignatures.

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use zeroize::{ZeroizeOnDrop, Zeroizing};

use super::keyfile;
use super::vkey::{Algorithm, VerifierKey};
use crate::limits::KEY_FILE_BYTES_MAX;
use crate::model::{NodeName, Origin};

/// Signs entries (DSSE): a key in memory, from a file, or one that stays in a token.
#[derive(Debug)]
pub struct MessageKey(Secret);

#[derive(Debug)]
enum Secret {
    Held(Box<NodeKey<ForMessages>>),
    #[cfg(feature = "pkcs11")]
    Token(Box<super::token::TokenKey>),
}

/// Signs checkpoints of the own log, and cosigns.
pub type LogKey = NodeKey<ForLog>;

/// Use of a [`MessageKey`].
#[derive(Debug)]
pub enum ForMessages {}

/// Use of a [`LogKey`].
#[derive(Debug)]
pub enum ForLog {}

/// Kept offline; revokes the others.
pub type RecoveryKey = NodeKey<ForRecovery>;
/// A person's, who releases messages.
pub type OfficerKey = NodeKey<ForOfficer>;
/// Use of a [`RecoveryKey`].
#[derive(Debug)]
pub enum ForRecovery {}
/// Use of an [`OfficerKey`].
#[derive(Debug)]
pub enum ForOfficer {}

/// What a node key is for. It keeps one key from being given where the other is wanted.
pub trait Use: sealed::Sealed {
    /// Name of the key in messages.
    const NAME: &'static str;
}

impl Use for ForMessages {
    const NAME: &'static str = "MessageKey";
}

impl Use for ForLog {
    const NAME: &'static str = "LogKey";
}

impl Use for ForRecovery {
    const NAME: &'static str = "RecoveryKey";
}

impl Use for ForOfficer {
    const NAME: &'static str = "OfficerKey";
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::ForMessages {}
    impl Sealed for super::MessageKey {}
    impl<U: super::Use> Sealed for super::NodeKey<U> {}
    impl Sealed for super::ForLog {}
    impl Sealed for super::ForRecovery {}
    impl Sealed for super::ForOfficer {}
}

/// A private key of the node, wiped from memory when dropped.
///
/// It cannot be cloned, printed or made to sign free text: see [`super::dsse::sign`],
/// [`super::checkpoint::sign_checkpoint`] and [`super::checkpoint::cosign`].
pub struct NodeKey<U: Use> {
    secret: SigningKey,
    usage: PhantomData<fn() -> U>,
}

/// A key from a file, and how the file kept it.
#[derive(Debug)]
pub struct Loaded<K> {
    /// The key.
    pub key: K,
    /// Whether the file was encrypted. A caller refuses an unencrypted file unless it was told to
    /// accept one.
    pub encrypted: bool,
}

/// How a key file keeps the key.
pub enum Protection {
    /// Encrypted with a passphrase: PBES2, scrypt, AES-256-CBC.
    Passphrase(Zeroizing<String>),
    /// Readable by whoever reads the file. For demonstrations and tests.
    Unencrypted,
}

impl fmt::Debug for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Passphrase(_) => "Passphrase(…)",
            Self::Unencrypted => "Unencrypted",
        })
    }
}

/// Why a key was not made, written or loaded.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    // The operator's to put right.
    /// There is a file already; a key is never overwritten.
    #[error(
        "{path} exists already and a key is never overwritten; choose another place or move it away"
    )]
    Exists {
        /// The key file.
        path: PathBuf,
    },
    /// Not a regular file.
    #[error("{path} is not a regular file")]
    NotAFile {
        /// The key file.
        path: PathBuf,
    },
    /// Others may read or change the file.
    #[error("{path} has mode {mode:04o}, a key file must have 0600 or 0400; run: chmod 600 {path}")]
    Mode {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// An encrypted file and no passphrase.
    #[error(
        "{path} is encrypted and no passphrase was given; give one by prompt, file or credential"
    )]
    PassphraseNeeded {
        /// The key file.
        path: PathBuf,
    },
    /// The passphrase does not open the file.
    #[error("the passphrase does not open {path}; check it, or restore the file if it was damaged")]
    WrongPassphrase {
        /// The key file.
        path: PathBuf,
    },
    /// An empty passphrase protects nothing.
    #[error("the passphrase is empty; give one, or ask for an unencrypted file explicitly")]
    EmptyPassphrase,
    /// Encrypted otherwise than with PBES2, scrypt and AES-256-CBC of the usual cost.
    #[error(
        "{path} is not encrypted with scrypt and AES-256-CBC of the usual cost; convert it: \
         openssl pkcs8 -topk8 -scrypt -in {path} -out NEW"
    )]
    Encryption {
        /// The key file.
        path: PathBuf,
    },
    /// Another kind of key.
    #[error("{path} holds another kind of key, an Ed25519 private key is wanted")]
    NotEd25519 {
        /// The key file.
        path: PathBuf,
    },

    // The file is not what it should be.
    /// Too big for a key.
    #[error("{path} is larger than {KEY_FILE_BYTES_MAX} bytes, which no key file is")]
    TooLarge {
        /// The key file.
        path: PathBuf,
    },
    /// Not a PEM file of one private key.
    #[error(
        "{path} is not a PEM file of a PKCS#8 private key: {reason}; put back the copy of it that is \
         kept apart from this machine"
    )]
    Malformed {
        /// The key file.
        path: PathBuf,
        /// What is wrong.
        reason: &'static str,
    },

    /// The private key in it is not that of the public key in it.
    #[error(
        "{path} is damaged: its private key is not that of the public key in it. Put back the copy of \
         it that is kept apart from this machine; nothing is signed with another key"
    )]
    Damaged {
        /// The key file.
        path: PathBuf,
    },

    /// The key never leaves its token.
    #[error("the key lies in a token and cannot be written to a file")]
    InToken,

    // The machine failed.
    /// The file system refused.
    #[error("cannot {action} {path}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The key file, or its directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The key could not be encoded.
    #[error("the key cannot be encoded")]
    Encoding(#[source] pkcs8::Error),
    /// The system has no randomness to give.
    #[error("the system gives no random bytes")]
    Randomness(#[source] getrandom::Error),
}

impl<U: Use> NodeKey<U> {
    /// Makes a new key.
    ///
    /// # Errors
    ///
    /// [`KeyError::Randomness`].
    pub fn generate() -> Result<Self, KeyError> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut()).map_err(KeyError::Randomness)?;
        Ok(Self::from_seed(&seed))
    }

    /// The key of a 32-byte seed (the "private key" of RFC 8032).
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self {
            secret: SigningKey::from_bytes(seed),
            usage: PhantomData,
        }
    }

    /// Writes the key to a new file of mode 0600, and makes it and its name durable.
    ///
    /// # Errors
    ///
    /// [`KeyError::Exists`], [`KeyError::EmptyPassphrase`], [`KeyError::Io`] and the like. No
    /// half-written file is left behind.
    pub fn write_file(&self, path: &Path, protection: &Protection) -> Result<(), KeyError> {
        keyfile::write(path, &self.secret, protection)
    }

    /// Loads the key from a file of mode 0600 or 0400.
    ///
    /// A passphrase given for an unencrypted file is not used: look at [`Loaded::encrypted`].
    ///
    /// # Errors
    ///
    /// [`KeyError`] names the file and the remedy.
    pub fn load_file(
        path: &Path,
        passphrase: Option<&Zeroizing<String>>,
    ) -> Result<Loaded<Self>, KeyError> {
        let Loaded { key, encrypted } = keyfile::load(path, passphrase)?;
        Ok(Loaded {
            key: Self {
                secret: key,
                usage: PhantomData,
            },
            encrypted,
        })
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> VerifyingKey {
        self.secret.verifying_key()
    }

    /// Signs. The caller answers for the text's beginning, see the rules of the room.
    pub(in crate::crypto) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.secret.sign(message).to_bytes()
    }

    fn named(&self, name: &str, algorithm: Algorithm) -> VerifierKey {
        named(name, algorithm, self.public())
    }
}

/// Why a message key did not sign. Nothing was signed; a key in memory always signs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The token does not answer as it should.
    #[error(
        "the token that holds the message key cannot be used: {what}; put it back, the node tries \
         again with the next signature"
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
        "the token does not take the PIN ({what}); it is not tried again, so that the token does not \
         lock itself: put the PIN right and restart the node"
    )]
    Pin {
        /// Its words.
        what: String,
    },
    /// Another key lies where the key was.
    #[error("the token holds another key than before under the same name; nothing was signed")]
    OtherKey,
    /// What the token gave is no signature by its key.
    #[error(
        "the token gave a signature that does not hold under its own public key; it was thrown away. \
         Do not trust this token: look at it, or use another"
    )]
    Faulty,
    /// This program was built without tokens.
    #[error(
        "the message key lies in a token, and this program was built without the feature pkcs11; \
         build it with: cargo build --release --features pkcs11"
    )]
    NoTokens,
}

impl MessageKey {
    /// Makes a new key, in memory.
    ///
    /// # Errors
    ///
    /// [`KeyError::Randomness`].
    pub fn generate() -> Result<Self, KeyError> {
        NodeKey::generate().map(|key| Self(Secret::Held(Box::new(key))))
    }

    /// The key of a 32-byte seed (the "private key" of RFC 8032).
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(Secret::Held(Box::new(NodeKey::from_seed(seed))))
    }

    /// Loads the key from a file, see [`NodeKey::load_file`].
    ///
    /// # Errors
    ///
    /// [`KeyError`] names the file and the remedy.
    pub fn load_file(
        path: &Path,
        passphrase: Option<&Zeroizing<String>>,
    ) -> Result<Loaded<Self>, KeyError> {
        let Loaded { key, encrypted } = NodeKey::load_file(path, passphrase)?;
        Ok(Loaded {
            key: Self(Secret::Held(Box::new(key))),
            encrypted,
        })
    }

    /// Opens the key in a token, and reads its public half there.
    ///
    /// # Errors
    ///
    /// [`SignError`] says what is missing; [`SignError::NoTokens`] without the feature `pkcs11`.
    #[cfg(feature = "pkcs11")]
    pub fn open_token(
        uri: &super::token_uri::TokenUri,
        pin: Zeroizing<String>,
    ) -> Result<Self, SignError> {
        let key = super::token::TokenKey::open(uri.clone(), pin)?;
        Ok(Self(Secret::Token(Box::new(key))))
    }

    /// Without the feature `pkcs11` there are no tokens.
    ///
    /// # Errors
    ///
    /// [`SignError::NoTokens`].
    #[cfg(not(feature = "pkcs11"))]
    pub fn open_token(
        _uri: &super::token_uri::TokenUri,
        _pin: Zeroizing<String>,
    ) -> Result<Self, SignError> {
        Err(SignError::NoTokens)
    }

    /// Writes the key to a new file, see [`NodeKey::write_file`]. A key that stays in a token is in
    /// no file.
    ///
    /// # Errors
    ///
    /// As there; [`KeyError::InToken`].
    pub fn write_file(&self, path: &Path, protection: &Protection) -> Result<(), KeyError> {
        match &self.0 {
            Secret::Held(key) => key.write_file(path, protection),
            #[cfg(feature = "pkcs11")]
            Secret::Token(_) => Err(KeyError::InToken),
        }
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> VerifyingKey {
        match &self.0 {
            Secret::Held(key) => key.public(),
            #[cfg(feature = "pkcs11")]
            Secret::Token(key) => key.public(),
        }
    }

    /// Signs. The caller answers for the text's beginning, see the rules of the room.
    #[cfg_attr(
        not(feature = "pkcs11"),
        expect(clippy::unnecessary_wraps, reason = "a key in a token may not sign")
    )]
    pub(in crate::crypto) fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        match &self.0 {
            Secret::Held(key) => Ok(key.sign(message)),
            #[cfg(feature = "pkcs11")]
            Secret::Token(key) => key.sign(message),
        }
    }

    /// The vkey by which others verify this node's entries: its name, type 0x01.
    #[must_use]
    pub fn verifier(&self, node: &NodeName) -> VerifierKey {
        named(node.as_str(), Algorithm::Ed25519, self.public())
    }

    /// The `keyid` of DSSE signatures: lower-case hex SHA-256 of the public key.
    #[must_use]
    pub fn keyid(&self) -> String {
        use sha2::Digest as _;
        hex::encode(sha2::Sha256::digest(self.public().as_bytes()))
    }
}

/// A public key of this node under a name: node names are key names, and the public key of a seed is of
/// prime order. One from a token was judged when it was opened.
fn named(name: &str, algorithm: Algorithm, public: VerifyingKey) -> VerifierKey {
    VerifierKey::of_judged(name, algorithm, public)
}

/// A private key that signs statements on changes of keys; one in memory always does.
pub trait SignsStatements: sealed::Sealed {
    /// Signs. The caller answers for the text's beginning, see the rules of the room.
    ///
    /// # Errors
    ///
    /// [`SignError`], if the key lies in a token.
    #[doc(hidden)]
    fn sign_statement(&self, message: &StatementBytes) -> Result<[u8; 64], SignError>;
}

/// Bytes that only [`super::change`] makes.
#[derive(Debug)]
pub struct StatementBytes(pub(in crate::crypto) Vec<u8>);

impl<U: Use> SignsStatements for NodeKey<U> {
    fn sign_statement(&self, message: &StatementBytes) -> Result<[u8; 64], SignError> {
        Ok(self.sign(&message.0))
    }
}

impl SignsStatements for MessageKey {
    fn sign_statement(&self, message: &StatementBytes) -> Result<[u8; 64], SignError> {
        self.sign(&message.0)
    }
}

impl RecoveryKey {
    /// The vkey by which others know it: `<node>/recovery`, type 0x01.
    #[must_use]
    pub fn verifier(&self, node: &NodeName) -> VerifierKey {
        let name = format!("{node}/{}", super::change::RECOVERY);
        self.named(&name, Algorithm::Ed25519)
    }
}

impl OfficerKey {
    /// The vkey of a person at a node: `<node>/<person>`, type 0x01; `None` if the name is not fit
    /// for it, see [`super::change::is_officer_name`].
    #[must_use]
    pub fn verifier(&self, node: &NodeName, person: &str) -> Option<VerifierKey> {
        let fit = super::change::is_officer_name(person) && person != super::change::RECOVERY;
        fit.then(|| self.named(&format!("{node}/{person}"), Algorithm::Ed25519))
    }
}

impl LogKey {
    /// The vkey of this node's log: the origin, type 0x01.
    #[must_use]
    pub fn log_verifier(&self, origin: &Origin) -> VerifierKey {
        self.named(&origin.to_string(), Algorithm::Ed25519)
    }

    /// The vkey of this node as a cosigner: its name, type 0x04.
    #[must_use]
    pub fn cosigner_verifier(&self, node: &NodeName) -> VerifierKey {
        self.named(node.as_str(), Algorithm::Cosignature)
    }
}

impl LogKey {
    /// The same key as a secret of X25519, whose public half is the log key in Montgomery form.
    pub(in crate::crypto) fn agreement_secret(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.secret.to_scalar_bytes())
    }
}

impl<U: Use> fmt::Debug for NodeKey<U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}(public: {})",
            U::NAME,
            hex::encode(self.public().as_bytes())
        )
    }
}

// The signing key wipes itself; this says so to callers.
impl<U: Use> ZeroizeOnDrop for NodeKey<U> {}

#[cfg(test)]
mod tests {
    use super::{LogKey, MessageKey};
    use crate::crypto::vkey::{Algorithm, VerifierKey};

    /// RFC 8032 §7.1, from the vectors of the integration tests.
    #[test]
    fn signatures_are_those_of_the_rfc() {
        let vectors = include_str!("../../tests/vectors/crypto/rfc8032.json");
        let vectors: serde_json::Value = serde_json::from_str(vectors).unwrap();
        let cases = vectors["cases"].as_array().unwrap();
        assert_eq!(cases.len(), 4);
        for case in cases {
            let bytes = |field: &str| hex::decode(case[field].as_str().unwrap()).unwrap();
            let key = MessageKey::from_seed(&bytes("seed").try_into().unwrap());
            assert_eq!(key.public().as_bytes().as_slice(), bytes("public"));
            let signature = key.sign(&bytes("message")).unwrap();
            assert_eq!(signature.as_slice(), bytes("signature"));
            let verifier = VerifierKey::new("a", Algorithm::Ed25519, key.public()).unwrap();
            assert!(verifier.holds(&bytes("message"), &bytes("signature")));
            assert_eq!(verifier.keyid(), key.keyid());
        }
    }

    /// `named` does not judge them.
    #[test]
    fn every_seed_gives_a_key_that_can_be_named() {
        for seed in [[0; 32], [0xff; 32], [0x80; 32]] {
            let key = LogKey::from_seed(&seed);
            assert!(VerifierKey::new("a", Algorithm::Cosignature, key.public()).is_ok());
        }
    }
}

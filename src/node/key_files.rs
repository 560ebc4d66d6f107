//! The files of a node's signing keys while they change.
//!
//! | file | is |
//! |---|---|
//! | `message.pem` | the key in use; always there |
//! | `message.pem.next` | the key that follows: made before it is announced, until the last link has it alone |
//! | `message.pem.revoking` | the key that follows by the word of the recovery key |
//! | `message.pem.retired-<date>` | a key that was in use |
//! | `message.pem.abandoned-<date>` | a key that was to follow, and was revoked with the others |
//!
//! The same for the log key. A retired log key opens bundles that were sealed to it, signs what was
//! recorded before it was revoked until the peer has confirmed that, and a backup of the time of a
//! retired key is restored. At start all but the last are loaded, and each link's log says which one
//! signs. The file in use is replaced by a link and a rename, so there is one at any moment; it is
//! replaced only when no log needs the old key any more.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zeroize::Zeroizing;

use super::config::AtRestConfig;
use super::run::NodeError;
use super::storage;
use super::storage_source::{Opening, StorageError, StorageSource};
use super::token::TokenConfig;
use crate::crypto::keys::{KeyError, Loaded, LogKey, MessageKey, Protection};
use crate::crypto::vkey::VerifierKey;
use crate::exchange::NodeKeys;
use crate::exchange::clock::{Clock as _, SystemClock};
use crate::exchange::keys::{NextKey, RetiredKeys};
use crate::model::NodeName;
use crate::proto::v1::KeyRole;
use crate::store::{KeyMarks, Vault, VaultError, VaultLock};

/// Files of keys that were in use, of one role, that are looked at.
const RETIRED_KEYS_MAX: usize = 8;

const RETIRED: &str = "retired";
const ABANDONED: &str = "abandoned";

/// Why a key is to follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// It is time.
    Rotation,
    /// The one before is lost or stolen.
    Revocation,
}

impl Cause {
    fn suffix(self) -> &'static str {
        match self {
            Self::Rotation => "next",
            Self::Revocation => "revoking",
        }
    }
}

/// Where the keys are, and how the files keep them.
#[derive(Debug)]
pub(super) struct KeyFiles {
    pub(super) node: NodeName,
    /// Where the message key lies, if it is in no file.
    pub(super) token: Option<TokenConfig>,
    pub(super) credentials: Option<PathBuf>,
    pub(super) message: PathBuf,
    pub(super) log: PathBuf,
    pub(super) storage: StorageSource,
    pub(super) passphrase: Option<Zeroizing<String>>,
    pub(super) allow_unencrypted: bool,
}

impl KeyFiles {
    fn path(&self, role: KeyRole) -> &Path {
        match role {
            KeyRole::Message => &self.message,
            _ => &self.log,
        }
    }

    /// A key that lies in a token is made, and replaced, there.
    fn is_in_token(&self, role: KeyRole) -> bool {
        role == KeyRole::Message && self.token.is_some()
    }

    fn following(&self, role: KeyRole, cause: Cause) -> PathBuf {
        with_suffix(self.path(role), cause.suffix())
    }

    fn check<K>(&self, file: &Path, loaded: Loaded<K>) -> Result<K, NodeError> {
        if loaded.encrypted || self.allow_unencrypted {
            Ok(loaded.key)
        } else {
            Err(NodeError::Unencrypted {
                file: file.to_owned(),
            })
        }
    }

    /// The keys in use.
    pub(super) fn current(&self) -> Result<NodeKeys, NodeError> {
        let message = if let Some(token) = &self.token {
            let prompt = || {
                rpassword::prompt_password(format!("PIN of the token of {}: ", self.node))
                    .map(Zeroizing::new)
            };
            let pins = self.credentials.as_deref();
            token.open(&self.node, self.passphrase.as_ref(), pins, prompt, true)?
        } else {
            let loaded = MessageKey::load_file(&self.message, self.passphrase.as_ref())?;
            self.check(&self.message, loaded)?
        };
        let log = LogKey::load_file(&self.log, self.passphrase.as_ref())?;
        Ok(NodeKeys {
            message,
            log: self.check(&self.log, log)?,
        })
    }

    /// What opens key files.
    pub(super) fn opening(&self) -> Opening<'_> {
        Opening {
            node: &self.node,
            passphrase: self.passphrase.as_ref(),
            credentials: self.credentials.as_deref(),
            allow_unencrypted: self.allow_unencrypted,
        }
    }

    /// The keys of what lies on the disk, if it lies sealed, for this process alone. The storage key is
    /// made when there is none, and nothing that it would have to open: neither key files nor a store
    /// in which something was sealed.
    pub(super) fn vault(
        &self,
        at_rest: &AtRestConfig,
        data_dir: &Path,
    ) -> Result<Option<Arc<Vault>>, NodeError> {
        let dir = &at_rest.body_keys;
        let marks = KeyMarks::read(data_dir)?;
        let is_sealed = Vault::is_in(dir)?;
        if !at_rest.encrypt {
            return if is_sealed || marks.is_some() {
                Err(NodeError::LiesSealed { dir: dir.clone() })
            } else {
                Ok(None)
            };
        }
        let lock = VaultLock::take(dir)?;
        storage::go_on(&self.storage, dir, self.opening())?;
        let wanted = marks.as_ref().map(|marks| marks.storage_key().to_owned());
        let key = if self.storage.exists() {
            self.storage.load(self.opening())?
        } else if is_sealed || wanted.is_some() {
            let wanted = wanted.unwrap_or_else(|| "that sealed it".to_owned());
            let place = self.storage.to_string();
            return Err(StorageError::Missing { place, wanted }.into());
        } else {
            self.storage.create(self.opening())?
        };
        let found = key.id();
        let now = || SystemClock.unix_ms();
        let vault = match (Vault::open(dir, key, self.node.as_str(), now), wanted) {
            (Ok(vault), _) => vault,
            (Err(VaultError::Sealed { .. }), Some(wanted)) if wanted != found => {
                let place = self.storage.to_string();
                return Err(StorageError::Other {
                    place,
                    found,
                    wanted,
                }
                .into());
            }
            (Err(error), _) => return Err(error.into()),
        };
        Ok(Some(Arc::new(vault.holding(lock))))
    }

    /// A key that is to follow, if one was made.
    pub(super) fn pending(
        &self,
        role: KeyRole,
        cause: Cause,
    ) -> Result<Option<NextKey>, NodeError> {
        let file = self.following(role, cause);
        if !file.exists() || self.is_in_token(role) {
            return Ok(None);
        }
        let passphrase = self.passphrase.as_ref();
        Ok(Some(if role == KeyRole::Message {
            let loaded = MessageKey::load_file(&file, passphrase)?;
            NextKey::Message(Arc::new(self.check(&file, loaded)?))
        } else {
            let loaded = LogKey::load_file(&file, passphrase)?;
            NextKey::Log(Arc::new(self.check(&file, loaded)?))
        }))
    }

    /// Every key that is to follow.
    pub(super) fn all_pending(&self) -> Result<Vec<NextKey>, NodeError> {
        let mut keys = Vec::new();
        for role in [KeyRole::Message, KeyRole::Log] {
            for cause in [Cause::Rotation, Cause::Revocation] {
                keys.extend(self.pending(role, cause)?);
            }
        }
        Ok(keys)
    }

    /// Files of keys of a role that were put away so (`retired`, `abandoned`), newest first, and no more
    /// than are ever asked for.
    fn put_away(&self, role: KeyRole, how: &str) -> Vec<PathBuf> {
        let current = self.path(role);
        let begins = with_suffix(current, &format!("{how}-"));
        let directory = current.parent().unwrap_or(Path::new("."));
        let Ok(entries) = std::fs::read_dir(directory) else {
            return Vec::new();
        };
        let (begins, mut files) = (begins.to_string_lossy().into_owned(), Vec::new());
        for entry in entries.flatten() {
            let file = directory.join(entry.file_name());
            if file.to_string_lossy().starts_with(&begins) {
                files.push(file);
            }
        }
        // The date first, then how many of that day came before: `-10` comes after `-9`.
        files.sort_by_key(|file| (file.as_os_str().len(), file.clone()));
        files.sort_by_key(|file| {
            let name = file.to_string_lossy().into_owned();
            name.get(begins.len()..begins.len() + 8).map(str::to_owned)
        });
        files.reverse();
        files.truncate(RETIRED_KEYS_MAX);
        files
    }

    /// Public keys of a role that were in use here, newest first; without those whose file cannot be
    /// read, such as under an older passphrase.
    pub(super) fn retired_public(&self, role: KeyRole) -> Vec<VerifierKey> {
        let passphrase = self.passphrase.as_ref();
        let loaded = self.put_away(role, RETIRED).into_iter().filter_map(|file| {
            let vkey = if role == KeyRole::Message {
                let key = MessageKey::load_file(&file, passphrase).ok()?.key;
                key.verifier(&self.node)
            } else {
                let key = LogKey::load_file(&file, passphrase).ok()?.key;
                key.cosigner_verifier(&self.node)
            };
            Some(vkey)
        });
        loaded.collect()
    }

    /// Makes the key that is to follow, durable before it is used; or takes the one that was made.
    pub(super) fn make(&self, role: KeyRole, cause: Cause) -> Result<NextKey, NodeError> {
        if self.is_in_token(role) {
            return Err(KeyError::InToken.into());
        }
        if let Some(key) = self.pending(role, cause)? {
            return Ok(key);
        }
        let file = self.following(role, cause);
        let protection = match &self.passphrase {
            Some(passphrase) => Protection::Passphrase(passphrase.clone()),
            None => Protection::Unencrypted,
        };
        Ok(if role == KeyRole::Message {
            let key = MessageKey::generate()?;
            key.write_file(&file, &protection)?;
            NextKey::Message(Arc::new(key))
        } else {
            let key = LogKey::generate()?;
            key.write_file(&file, &protection)?;
            NextKey::Log(Arc::new(key))
        })
    }

    /// Puts the key that follows in the place of the one in use, which is kept as retired.
    ///
    /// Link, then rename: at any moment there is a file in use, the old one or the new one.
    pub(super) fn settle(&self, role: KeyRole, cause: Cause, date: &str) -> Result<(), KeyError> {
        let current = self.path(role);
        let fault = |action, path: &Path| {
            let path = path.to_owned();
            move |source| KeyError::Io {
                action,
                path,
                source,
            }
        };
        let following = self.following(role, cause);
        for number in 1.. {
            let suffix = match number {
                1 => format!("{RETIRED}-{date}"),
                _ => format!("{RETIRED}-{date}-{number}"),
            };
            let retired = with_suffix(current, &suffix);
            match std::fs::hard_link(current, &retired) {
                Ok(()) => break,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(fault("keep", &retired)(error)),
            }
        }
        std::fs::rename(&following, current).map_err(fault("replace", current))?;
        let directory = current.parent().unwrap_or(Path::new("."));
        File::open(directory)
            .and_then(|directory| directory.sync_all())
            .map_err(fault("sync", directory))
    }

    /// Puts a key aside that was to follow and shall not: another way was taken.
    pub(super) fn abandon(&self, role: KeyRole, cause: Cause, date: &str) -> Result<(), KeyError> {
        let file = self.following(role, cause);
        if !file.exists() {
            return Ok(());
        }
        let aside = with_suffix(self.path(role), &format!("{ABANDONED}-{date}"));
        std::fs::rename(&file, &aside).map_err(|source| KeyError::Io {
            action: "put aside",
            path: file,
            source,
        })
    }
}

impl RetiredKeys for KeyFiles {
    fn log_keys(&self) -> Vec<Arc<LogKey>> {
        let mut keys = Vec::new();
        let retired = self.put_away(KeyRole::Log, RETIRED);
        // One that was announced may have been the only one that held, before it was revoked as well.
        let abandoned = self.put_away(KeyRole::Log, ABANDONED);
        for file in retired.into_iter().chain(abandoned) {
            match LogKey::load_file(&file, self.passphrase.as_ref()) {
                Ok(loaded) => keys.push(Arc::new(loaded.key)),
                Err(error) => {
                    tracing::warn!(file = %file.display(), %error, "a retired key is not read");
                }
            }
        }
        keys
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    PathBuf::from(name)
}

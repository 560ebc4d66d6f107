//! Changes of the node's keys, from their files to every link's log.
//!
//! Whatever is decided is first a file, then entries in the logs, then the file in use: after a crash
//! at any line the next start finds the file and goes on.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

use super::key_files::{Cause, KeyFiles};
use super::public_keys;
use super::run::NodeError;
use crate::crypto::history::StartKeys;
use crate::desk::keys::{KeyKeeper, KeysError};
use crate::exchange::keys::NextKey;
use crate::exchange::rotate::Stage;
use crate::exchange::{Exchange, Link};
use crate::model::NodeName;
use crate::proto::v1::{KeyChange, KeyRole};

const ROLES: [KeyRole; 2] = [KeyRole::Message, KeyRole::Log];

/// The keys of a running node.
#[derive(Debug)]
pub(super) struct Keyring {
    exchange: Arc<Exchange>,
    files: Arc<KeyFiles>,
    public_file: PathBuf,
    authority_file: PathBuf,
    /// One change of files at a time.
    busy: tokio::sync::Mutex<()>,
    public: Mutex<StartKeys>,
}

impl Keyring {
    /// Takes up what was begun before a restart.
    pub(super) fn open(
        exchange: Arc<Exchange>,
        files: KeyFiles,
        public_file: PathBuf,
        authority_file: PathBuf,
        public: StartKeys,
    ) -> Result<Arc<Self>, NodeError> {
        for key in files.all_pending()? {
            exchange.ring().add(key);
        }
        let files = Arc::new(files);
        exchange.ring().shelve(Arc::clone(&files) as Arc<_>);
        exchange.take_back_log_keys();
        let keyring = Self {
            exchange,
            files,
            public_file,
            authority_file,
            busy: tokio::sync::Mutex::default(),
            public: Mutex::new(public),
        };
        keyring.warn_of_entries_without_key();
        Ok(Arc::new(keyring))
    }

    /// Goes on with what was begun, whenever a link has moved.
    pub(super) async fn keep(self: Arc<Self>, link: Arc<Link>, stop: CancellationToken) {
        let mut heads = link.watch_head();
        let mut delivered = None;
        loop {
            let now = heads.borrow_and_update().delivered_size;
            if delivered != Some(now) {
                delivered = Some(now);
                if let Err(error) = self.go_on().await {
                    tracing::warn!(%error, "a change of keys waits");
                }
            }
            tokio::select! {
                changed = heads.changed() => if changed.is_err() { return },
                () = stop.cancelled() => return,
            }
        }
    }

    async fn go_on(&self) -> Result<(), KeysError> {
        let _one = self.busy.lock().await;
        for role in ROLES {
            if let Some(next) = self.files.pending(role, Cause::Rotation)? {
                self.spread(&next, "").await?;
            }
            self.settle(role, Cause::Rotation)?;
            self.settle(role, Cause::Revocation)?;
        }
        self.exchange.let_go_of_ended_log_keys();
        Ok(())
    }

    /// Tells of entries whose log key is not at hand any more: so many may not get through.
    fn warn_of_entries_without_key(&self) {
        for link in self.exchange.links() {
            let entries = self.exchange.entries_without_log_key(link);
            if entries > 0 {
                tracing::warn!(
                    peer = %link.peer,
                    entries,
                    "entries wait for the peer whose log key is not at hand; more than 4,096 of \
                     them, or 15 MiB, do not get through. Put the file of that key back as \
                     log.pem.retired-DATE, and restart the node"
                );
            }
        }
    }

    /// Announces a key wherever it is not, and retires the older ones wherever they are not needed.
    async fn spread(&self, next: &NextKey, reason: &str) -> Result<(), KeysError> {
        for link in self.exchange.links() {
            self.exchange.announce_key(link, next, reason).await?;
            self.exchange.retire_keys(link).await?;
        }
        Ok(())
    }

    /// Puts the file of a key that follows in the place of the one in use, once every log has it
    /// alone.
    fn settle(&self, role: KeyRole, cause: Cause) -> Result<(), KeysError> {
        let Some(next) = self.files.pending(role, cause)? else {
            return Ok(());
        };
        let public = next.public();
        let mut links = self.exchange.links();
        let alone = |link: &Arc<Link>| {
            let stage = self.exchange.stage_of_key(link, &public, role);
            // What goes beside the log is still verified by the key that the peer knows.
            stage == Stage::Alone && (cause == Cause::Revocation || link.knows_own_keys())
        };
        if links.all(alone) {
            self.files.settle(role, cause, &self.today())?;
            self.exchange.let_go_of_keys(role, &public);
            tracing::info!(role = role.as_str_name(), "a new key is in use");
        }
        Ok(())
    }

    fn today(&self) -> String {
        let ms = i64::try_from(self.exchange.clock().unix_ms()).unwrap_or(i64::MAX);
        let now = jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::MAX);
        now.strftime("%Y%m%d").to_string()
    }
}

impl From<NodeError> for KeysError {
    fn from(error: NodeError) -> Self {
        Self::Files(error.to_string())
    }
}

#[tonic::async_trait]
impl KeyKeeper for Keyring {
    async fn rotate(&self, role: KeyRole, reason: &str) -> Result<(), KeysError> {
        let _one = self.busy.lock().await;
        if self.files.pending(role, Cause::Revocation)?.is_some() {
            return Err(KeysError::Revoking);
        }
        let next = self.files.make(role, Cause::Rotation)?;
        self.spread(&next, reason).await?;
        self.settle(role, Cause::Rotation)
    }

    async fn prepare_revocation(
        &self,
        role: KeyRole,
        reason: &str,
    ) -> Result<Vec<(String, KeyChange)>, KeysError> {
        let _one = self.busy.lock().await;
        let next = self.files.make(role, Cause::Revocation)?;
        let mut changes = Vec::new();
        for link in self.exchange.links() {
            let change = self.exchange.prepare_revocation(link, &next, reason)?;
            changes.extend(change.map(|change| (link.peer.to_string(), change)));
        }
        Ok(changes)
    }

    async fn revoke(
        &self,
        role: KeyRole,
        changes: Vec<(String, KeyChange)>,
    ) -> Result<(), KeysError> {
        let _one = self.busy.lock().await;
        let next = self.files.pending(role, Cause::Revocation)?;
        let next = next.ok_or(KeysError::NotPrepared)?;
        for (peer, change) in changes {
            let link = self
                .exchange
                .link(&peer)
                .ok_or(KeysError::NoLink { peer })?;
            self.exchange.revoke_key(link, &next, change).await?;
        }
        // Whatever was to follow by the word of the lost key does not.
        let today = self.today();
        self.files.abandon(role, Cause::Rotation, &today)?;
        self.settle(role, Cause::Revocation)?;
        self.warn_of_entries_without_key();
        Ok(())
    }

    fn authority(&self) -> Result<bytes::Bytes, KeysError> {
        let read = std::fs::read(&self.authority_file);
        let pem = read.map_err(|error| KeysError::Files(error.to_string()))?;
        let found = crate::link::files::parse_certificates(&pem);
        let found = found.map_err(|reason| KeysError::Files(reason.to_string()))?;
        let first = found.first().ok_or(KeysError::NotPrepared)?;
        Ok(first.to_vec().into())
    }

    fn note_officer(
        &self,
        node: &NodeName,
        vkey: &crate::crypto::vkey::VerifierKey,
        begins: bool,
    ) -> Result<(), KeysError> {
        let mut public = self.public.lock().unwrap_or_else(PoisonError::into_inner);
        public.officers.retain(|key| key != vkey);
        if begins {
            public.officers.push(vkey.clone());
        }
        public_keys::save(&self.public_file, &public_head(node), &public)
            .map_err(|error| KeysError::Files(format!("{}: {error}", self.public_file.display())))
    }
}

/// The first lines of the file of public keys.
pub(crate) fn public_head(node: &NodeName) -> String {
    format!(
        "# Public keys of {node} that go into its card beside its message and log key: of officers, \
         and the\n# recovery key. Written by: liaison keys"
    )
}

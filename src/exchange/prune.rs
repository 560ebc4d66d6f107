//! Keys that nothing here uses: they are destroyed, so that what they sealed opens nowhere.
//!
//! A store that was made again seals every body under a new key. The old store, and every backup of it,
//! opens with the keys of before as long as these are in the key files: also after a body was erased,
//! for an erasure destroys the key that the store names.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Exchange;
use super::command::RecordError;
use super::key_ends::keys_in_use;
use crate::store::{Blobs, KeyAddress, StoreError, VaultError};

/// Why keys were not destroyed.
#[derive(Debug, thiserror::Error)]
pub enum PruneError {
    /// Nothing lies sealed here.
    #[error(
        "nothing lies sealed here ([at_rest] encrypt = false), so there are no keys to destroy"
    )]
    NotSealed,
    /// A link is not whole.
    #[error(
        "the records or files of the link with {peer} are not all back: the keys of what is missing may be \
         needed. Wait until `liaison status` shows every link whole"
    )]
    NotWhole {
        /// Whose link.
        peer: String,
    },
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The key files were not changed, or not all of them.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The keys are destroyed; that was not recorded.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The node is going down.
    #[error("the node is going down; nothing may have been destroyed: do it again when it runs")]
    Stopping,
}

impl Exchange {
    /// Destroys every key that nothing here uses, durably when this returns, and says how many; with
    /// `preview` nothing is destroyed. Keys that were given since this process has begun stay.
    ///
    /// # Errors
    /// [`PruneError`]; nothing is destroyed unless it says so.
    pub async fn prune_keys(&self, preview: bool) -> Result<u64, PruneError> {
        let vault = self.blobs.vault().ok_or(PruneError::NotSealed)?;
        // Nothing is erased meanwhile: a key that is destroyed there is not counted here too.
        let _alone = self.erasing.lock().await;
        for link in self.links() {
            let head = link.head();
            if head.restoring.is_some() || head.files_lost {
                let peer = link.peer.to_string();
                return Err(PruneError::NotWhole { peer });
            }
        }
        let (vault, store, blobs) = (
            Arc::clone(vault),
            Arc::clone(&self.store),
            Arc::clone(&self.blobs),
        );
        let pruned = self.off_thread(move || {
            let mut used = BTreeSet::new();
            keys_in_use(&*store, &blobs, |address| {
                used.insert(address);
            })?;
            Ok(vault.prune(&used, preview)?)
        });
        pruned.await.unwrap_or(Err(PruneError::Stopping))
    }

    /// Destroys keys of what no record names any more, durably when this returns.
    pub(super) async fn destroy_unnamed(&self, keys: Vec<KeyAddress>) -> Result<(), PruneError> {
        let Some(vault) = self.blobs.vault().cloned() else {
            return Ok(());
        };
        if keys.is_empty() {
            return Ok(());
        }
        let _alone = self.erasing.lock().await;
        let destroyed = self.off_thread(move || vault.destroy(&keys)).await;
        destroyed.ok_or(PruneError::Stopping)??;
        Ok(())
    }

    /// Drops what is held in `part` of a file that nothing names any more, and destroys its key. To be
    /// called while [`Exchange::no_erasure`] is held.
    ///
    /// # Errors
    /// [`PruneError`]; it is swept when it is old then.
    pub async fn drop_unfinished(
        &self,
        part: Arc<Blobs>,
        sha256: [u8; 32],
    ) -> Result<(), PruneError> {
        let dropped = self.off_thread(move || {
            let key = part.partial_key(&sha256)?;
            if let (Some(vault), Some(key)) = (part.vault(), key) {
                vault.destroy(&[key])?;
            }
            Ok(part.discard(&sha256)?)
        });
        dropped.await.unwrap_or(Err(PruneError::Stopping))
    }
}

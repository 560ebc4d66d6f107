//! Ids under which something is being recorded right now, each by one submission at a time.
//!
//! A submission writes its large parts as files before the commit that names them. Were two of one id
//! at it at once, each with a salt of its own, the loser's files would stay for ever, and a caller could
//! fill the disk with them at the cost of one message. So an id is claimed before the first file is
//! written, until it is known what became of the commit; whoever comes meanwhile waits, and is then
//! answered as one that comes later. A claim that ends without a commit takes its files along.
//!
//! An id is unique on all links of a node, and so are claims.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OwnedMutexGuard;

use super::command::{Leaf, RecordError, Recorded};
use super::layout::StoredEntry;
use crate::model::MessageId;
use crate::store::{Blobs, Digest};

type Lock = Arc<tokio::sync::Mutex<()>>;

/// The ids that are claimed now.
#[derive(Debug, Clone, Default)]
pub(crate) struct Claims(Arc<Mutex<HashMap<MessageId, Lock>>>);

/// One id, claimed until this is dropped.
#[derive(Debug)]
pub(crate) struct Claim {
    files: Vec<Digest>,
    blobs: Arc<Blobs>,
    // Dropped in this order: free for the next one, then out of the table if there is none.
    _alone: OwnedMutexGuard<()>,
    _place: Place,
}

impl Claims {
    /// Waits until nobody else has the id.
    pub(crate) async fn claim(&self, id: MessageId, blobs: &Arc<Blobs>) -> Claim {
        let place = self.place(id);
        let alone = Arc::clone(place.lock()).lock_owned().await;
        Claim {
            files: Vec::new(),
            blobs: Arc::clone(blobs),
            _alone: alone,
            _place: place,
        }
    }

    fn place(&self, id: MessageId) -> Place {
        let lock = Arc::clone(self.table().entry(id).or_default());
        Place {
            claims: self.clone(),
            id,
            lock: Some(lock),
        }
    }

    fn table(&self) -> MutexGuard<'_, HashMap<MessageId, Lock>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Claim {
    /// The files of this entry are this claim's, until it is settled.
    pub(crate) fn takes(&mut self, leaf: &Leaf) {
        if let Some(digest) = leaf.body.file() {
            self.files.push(*digest);
        }
        if let StoredEntry::File(digest) = &leaf.entry {
            self.files.push(*digest);
        }
    }

    /// What became of the commit. The files stay if a record names them, or if nobody can say whether
    /// one does.
    pub(crate) fn settle(mut self, outcome: &Result<Recorded, RecordError>) {
        let may_be_named = match outcome {
            Ok(recorded) => !recorded.already_recorded,
            Err(error) => matches!(error, RecordError::Stopped { .. }),
        };
        if may_be_named {
            self.files.clear();
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        for digest in &self.files {
            if let Err(error) = self.blobs.forget(digest) {
                tracing::warn!(%error, "a file that nobody named cannot be removed");
            }
        }
    }
}

/// A place in the table of claims, of who has the id or waits for it.
#[derive(Debug)]
struct Place {
    claims: Claims,
    id: MessageId,
    lock: Option<Lock>,
}

impl Place {
    fn lock(&self) -> &Lock {
        self.lock.as_ref().expect("present until drop")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut table = self.claims.table();
        // Under the table's lock, so that the last one sees that it is the last.
        self.lock = None;
        if let Entry::Occupied(entry) = table.entry(self.id)
            && Arc::strong_count(entry.get()) == 1
        {
            entry.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims() -> (tempfile::TempDir, Claims, Arc<Blobs>) {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Arc::new(Blobs::open(dir.path(), 0).unwrap());
        (dir, Claims::default(), blobs)
    }

    #[tokio::test]
    async fn an_id_is_claimed_once_at_a_time_and_forgotten_after() {
        let (_dir, claims, blobs) = claims();
        let id = MessageId::from_parts(1, [1; 10]);
        let other = MessageId::from_parts(1, [2; 10]);
        let first = claims.claim(id, &blobs).await;
        drop(claims.claim(other, &blobs).await);
        let mut waits = Box::pin(claims.claim(id, &blobs));
        let mut gives_up = Box::pin(claims.claim(id, &blobs));
        assert!(futures_poll(&mut waits).is_none());
        assert!(futures_poll(&mut gives_up).is_none());
        drop(first);
        let second = futures_poll(&mut waits).expect("free now");
        assert!(futures_poll(&mut gives_up).is_none());
        drop(gives_up);
        drop(waits);
        drop(second);
        assert!(claims.table().is_empty());
    }

    /// The output of a future that is ready.
    fn futures_poll<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match std::pin::Pin::new(future).poll(&mut context) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        }
    }
}

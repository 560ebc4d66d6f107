//! What is under way between a push and its cosignature, bounded.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc;

use crate::limits::{WINDOW_BYTES_MAX, WINDOW_ENTRIES_MAX};
use crate::proto::v1;

/// Pushes that a whole window makes at worst: one entry each.
pub(super) fn window_frames() -> usize {
    usize::try_from(WINDOW_ENTRIES_MAX).unwrap_or(usize::MAX)
}

/// What the peer has pushed and this side has not cosigned yet: bounds the memory that a peer may
/// fill. A peer that keeps to the protocol never meets these bounds, since it counts what it sent
/// until the cosignature has reached it.
#[derive(Debug, Default)]
pub(crate) struct Window {
    entries: AtomicUsize,
    bytes: AtomicUsize,
}

impl Window {
    /// Takes a push in, if it fits.
    pub(super) fn take(&self, push: &v1::Push) -> bool {
        // An empty push costs as much as one entry.
        let entries = push.items.len().max(1);
        let entries = self.entries.fetch_add(entries, Ordering::Relaxed) + entries;
        let added: usize = push.items.iter().map(item_bytes).sum();
        let bytes = self.bytes.fetch_add(added, Ordering::Relaxed) + added;
        entries <= window_frames() && bytes <= WINDOW_BYTES_MAX
    }

    /// Lets go of what is being cosigned.
    pub(crate) fn give(&self, entries: usize, bytes: usize) {
        self.entries.fetch_sub(entries, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// What an item counts in the window.
pub(crate) fn item_bytes(item: &v1::Item) -> usize {
    item.entry.len() + item.salt.len() + item.body.len()
}

/// What the mirror half of a session starts from.
pub(crate) struct Mirroring<'a> {
    pub(crate) queue: mpsc::Receiver<v1::Push>,
    pub(crate) window: &'a Window,
    /// The mirrored size that the Hello stated.
    pub(crate) next_index: u64,
}

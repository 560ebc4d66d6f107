//! The receipts of both logs: what each cosigned checkpoint kept here covers.
//!
//! Of the peer's log, a checkpoint is kept with the entries it covers and cosigned a moment later;
//! when the node fell in between, the cosignature is missing until the next Hello. Such a
//! checkpoint is no receipt and is passed over here; nothing is signed outside a session.

use super::read::ReadError;
use super::{Exchange, Link, LogSide};
use crate::store::Direction;

/// Checkpoints looked at in one go.
const AT_ONCE: usize = 64;

impl Exchange {
    /// The first receipt that covers an index: its size and its note.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn receipt_covering(
        &self,
        link: &Link,
        side: LogSide,
        index: u64,
    ) -> Result<Option<(u64, String)>, ReadError> {
        Ok(self
            .receipts(link, side, index.saturating_add(1), 1)?
            .into_iter()
            .next())
    }

    /// The latest receipt: its size and its note.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn latest_receipt(
        &self,
        link: &Link,
        side: LogSide,
    ) -> Result<Option<(u64, String)>, ReadError> {
        let reader = self.reader(link, side);
        let mut end = u64::MAX;
        loop {
            let page = reader.checkpoints(0, end, AT_ONCE, Direction::Backward)?;
            let Some((oldest, _)) = page.last() else {
                return Ok(None);
            };
            end = *oldest;
            let found = page
                .into_iter()
                .find(|(_, note)| is_receipt(link, side, note));
            if found.is_some() {
                return Ok(found);
            }
        }
    }

    /// Receipts of at least `size_min` entries, smallest first, at most `count`; fewer only when
    /// there are no more.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn receipts(
        &self,
        link: &Link,
        side: LogSide,
        size_min: u64,
        count: usize,
    ) -> Result<Vec<(u64, String)>, ReadError> {
        let reader = self.reader(link, side);
        let mut receipts = Vec::new();
        let mut from = size_min;
        while receipts.len() < count {
            let wanted = (count - receipts.len()).min(AT_ONCE);
            let page = reader.checkpoints(from, u64::MAX, wanted, Direction::Forward)?;
            let Some((last, _)) = page.last() else {
                break;
            };
            from = last + 1;
            receipts.extend(
                page.into_iter()
                    .filter(|(_, note)| is_receipt(link, side, note)),
            );
        }
        Ok(receipts)
    }
}

fn is_receipt(link: &Link, side: LogSide, note: &str) -> bool {
    match side {
        // Kept only after it was verified.
        LogSide::Own => true,
        LogSide::Mirror => link.mirror_verifier.receipt(note).is_ok(),
    }
}

//! Giving: what the other side lost and asks for, as it was signed then.

use std::collections::BTreeMap;

use super::super::push::item;
use super::super::read::{LogReader, ReadError};
use super::super::session::{End, Stop, item_bytes};
use super::super::{Exchange, Link, LogSide};
use crate::crypto::note::Note;
use crate::limits::{PUSH_BYTES_MAX, PUSH_ENTRIES_MAX};
use crate::proto::v1::{self, LogOf};
use crate::store::Direction;
use crate::tlog::{Tree, leaf_hash};

/// Entries read at once: bodies may be large.
const READ_AT_ONCE: usize = 64;

/// Which of this node's logs a speaker at the other side means.
pub(super) fn side_asked(log: LogOf) -> Option<LogSide> {
    match log {
        LogOf::Unspecified => None,
        LogOf::Speaker => Some(LogSide::Mirror),
        LogOf::Listener => Some(LogSide::Own),
    }
}

impl Exchange {
    /// The next entries that were asked for, with what proves them.
    ///
    /// # Errors
    /// What is asked for is not here, or cannot be read.
    pub(super) fn give(
        &self,
        link: &Link,
        side: LogSide,
        fetch: &v1::Fetch,
    ) -> Result<v1::Fetched, Stop> {
        let tree = link.tree(side);
        let (start, target) = (fetch.start_index, fetch.target_size);
        if target > tree.size() || start >= target {
            return Err(Stop::End(End::Refused(format!(
                "the peer asks for entries {start} to {target} of {}, {} are here",
                link.origin(side),
                tree.size()
            ))));
        }
        let reader = self.reader(link, side);
        let mut receipts = receipts_within(link, side, &reader, start, target)?;
        let mut items: Vec<v1::Item> = Vec::new();
        let mut bytes = 0;
        'gather: while items.len() < PUSH_ENTRIES_MAX {
            let from = start + items.len() as u64;
            let stored = reader.entries(from, target, READ_AT_ONCE)?;
            if stored.is_empty() {
                break;
            }
            for stored in stored {
                let item = item(&reader, &stored)?;
                let note = receipts.get(&(stored.index + 1)).map_or(0, String::len);
                let size = item_bytes(&item) + note;
                let over = bytes + size > PUSH_BYTES_MAX || items.len() == PUSH_ENTRIES_MAX;
                if over && !items.is_empty() {
                    break 'gather;
                }
                bytes += size;
                items.push(item);
            }
        }
        let end = start + items.len() as u64;
        check(link, side, &reader, &tree, start, &items)?;
        let consistency = tree
            .snapshot(&reader)
            .consistency_proof(end, target)
            .map_err(|error| reader.tree_error(error))?;
        drop(receipts.split_off(&(end + 1)));
        Ok(v1::Fetched {
            start_index: start,
            items,
            consistency: consistency.iter().map(|h| h.0.to_vec().into()).collect(),
            receipts: receipts.into_values().collect(),
        })
    }
}

/// Receipts kept of sizes that a chunk from `start` on may reach, by size.
fn receipts_within(
    link: &Link,
    side: LogSide,
    reader: &LogReader,
    start: u64,
    target: u64,
) -> Result<BTreeMap<u64, String>, ReadError> {
    let end = target.min(start + PUSH_ENTRIES_MAX as u64);
    let kept = reader.checkpoints(start + 1, end + 1, PUSH_ENTRIES_MAX, Direction::Forward)?;
    let cosigned = |note: &str| match side {
        LogSide::Own => true,
        // The node may have fallen before it cosigned; whoever gets the note verifies it.
        LogSide::Mirror => Note::parse(note).is_ok_and(|note| {
            let own = link.own.sender().as_str();
            note.signatures().iter().any(|line| line.name == own)
        }),
    };
    Ok(kept
        .into_iter()
        .filter(|(_, note)| cosigned(note))
        .collect())
}

/// What is given must be what the tree holds: the other side would call anything else a forgery.
fn check(
    link: &Link,
    side: LogSide,
    reader: &LogReader,
    tree: &Tree,
    start: u64,
    items: &[v1::Item],
) -> Result<(), ReadError> {
    let leaves = reader.leaf_hashes(tree, start, start + items.len() as u64)?;
    for ((item, leaf), index) in items.iter().zip(leaves).zip(start..) {
        if leaf_hash(&item.entry) != leaf {
            return Err(ReadError::Damaged {
                what: "entry",
                origin: link.origin(side).to_string(),
                index,
            });
        }
    }
    Ok(())
}

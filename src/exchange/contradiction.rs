//! Evidence that a log key signed two logs, put together where it is found.
//!
//! Two notes of one size need nothing else. For two sizes the tree behind the larger one must be
//! here: it shows what that log really holds at the smaller size. What was sent under a note whose
//! root it does not hash to shows nothing: only the author has the hashes of what it signed.

use std::collections::HashMap;

use super::hold::Evidence;
use super::read::{LogReader, ReadError};
use super::{Exchange, Link, LogSide};
use crate::crypto::checkpoint::{Checkpoint, Receipt, SignedCheckpoint};
use crate::crypto::note::Note;
use crate::proto::v1;
use crate::tlog::equivocation::{Equivocation, Prefix};
use crate::tlog::{Hash, TileReader, Tree, leaf_hash};

/// Two signed notes of one size.
pub(super) fn of_one_size(earlier: String, note: &str) -> Evidence {
    let file = Equivocation {
        prefix: None,
        smaller: earlier.clone(),
        larger: note.to_owned(),
    };
    Evidence::proof(vec![earlier, note.to_owned()], &file)
}

impl Exchange {
    /// A verified note that is not of the tree recorded at its size, against the first note kept
    /// that covers that size. Without such a note it is all the evidence there is.
    pub(super) fn against_recorded(
        &self,
        link: &Link,
        side: LogSide,
        note: &SignedCheckpoint,
    ) -> Result<Evidence, ReadError> {
        let size = note.checkpoint.size;
        let Some((covering_size, covering)) = self.signed_over(link, side, size)? else {
            return Ok(Evidence::from(vec![note.note.clone()]));
        };
        if covering_size == size {
            return Ok(of_one_size(covering, &note.note));
        }
        let (tree, reader) = (link.tree(side), self.reader(link, side));
        let prefix = Prefix::of_tree(&tree, &reader, size, covering_size)
            .map_err(|error| reader.tree_error(error))?;
        let file = Equivocation {
            prefix: Some(prefix),
            smaller: note.note.clone(),
            larger: covering.clone(),
        };
        Ok(Evidence::proof(vec![note.note.clone(), covering], &file))
    }

    /// Whether this node's own key signed another tree than the one recorded here, at a size up to
    /// which it has signed this one as well: then two instances had the key. The peer showed it.
    pub(super) fn against_ourselves(
        &self,
        link: &Link,
        receipt: &Receipt,
    ) -> Result<Option<Evidence>, ReadError> {
        let shown = &receipt.signed.checkpoint;
        let (tree, reader) = (link.tree(LogSide::Own), self.reader(link, LogSide::Own));
        if shown.size > tree.size() || reader.root_at(&tree, shown.size)? == shown.root {
            return Ok(None);
        }
        // With the mirror's line: it says when the peer had it.
        let note = SignedCheckpoint {
            note: receipt.note.clone(),
            ..receipt.signed.clone()
        };
        let evidence = self.against_recorded(link, LogSide::Own, &note)?;
        Ok(evidence.equivocation.is_some().then_some(evidence))
    }

    /// A run that is not recorded, whose own leaves contradict a note kept before: `earlier`, of a
    /// size within the run.
    pub(super) fn against_run(
        &self,
        link: &Link,
        items: &[v1::Item],
        (earlier_size, earlier): (u64, String),
        note: &str,
    ) -> Evidence {
        let bare = |earlier| Evidence::from(vec![earlier, note.to_owned()]);
        let mut tree = (*link.tree(LogSide::Mirror)).clone();
        let mut full = Vec::new();
        for item in items {
            tree.append(leaf_hash(&item.entry), &mut full);
        }
        if !signs(note, &tree) {
            return bare(earlier);
        }
        if earlier_size == tree.size() {
            return of_one_size(earlier, note);
        }
        let run = WithRun {
            recorded: self.reader(link, LogSide::Mirror),
            full: full
                .into_iter()
                .map(|tile| ((tile.level, tile.index), tile.hashes))
                .collect(),
        };
        let Ok(prefix) = Prefix::of_tree(&tree, &run, earlier_size, tree.size()) else {
            return bare(earlier);
        };
        let file = Equivocation {
            prefix: Some(prefix),
            smaller: earlier.clone(),
            larger: note.to_owned(),
        };
        Evidence::proof(vec![earlier, note.to_owned()], &file)
    }

    /// A dated note of the peer kept at exactly this size.
    pub(super) fn dated_note(&self, link: &Link, size: u64) -> Result<Option<String>, ReadError> {
        let reader = self.reader(link, LogSide::Mirror);
        let mut dated = reader.dated(
            size,
            size.saturating_add(1),
            1,
            crate::store::Direction::Forward,
        )?;
        Ok(dated.pop().map(|(_, note)| note))
    }

    /// The first note kept that its author signed over the tree recorded here at `size` or more.
    fn signed_over(
        &self,
        link: &Link,
        side: LogSide,
        size: u64,
    ) -> Result<Option<(u64, String)>, ReadError> {
        let reader = self.reader(link, side);
        let kept = reader.checkpoint_covering(size.saturating_sub(1))?;
        if kept.is_some() || side == LogSide::Mirror {
            return Ok(kept);
        }
        // What this session has signed and the peer has not cosigned yet.
        let signed = link
            .last_signed
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone();
        Ok(signed
            .filter(|signed| signed.checkpoint.size >= size.max(1))
            .map(|signed| (signed.checkpoint.size, signed.note.clone())))
    }
}

/// Whether a note states this very tree.
fn signs(note: &str, tree: &Tree) -> bool {
    let note = Note::parse(note).ok();
    let stated = note.and_then(|note| Checkpoint::parse(note.text()).ok());
    stated.is_some_and(|stated| stated.size == tree.size() && stated.root == tree.root())
}

/// What is recorded, and the tiles that a run would add to it.
struct WithRun {
    recorded: LogReader,
    full: HashMap<(u8, u64), Vec<u8>>,
}

impl TileReader for WithRun {
    type Error = ReadError;

    fn full_tile(&self, level: u8, index: u64) -> Result<Vec<u8>, ReadError> {
        match self.full.get(&(level, index)) {
            Some(hashes) => Ok(hashes.clone()),
            None => self.recorded.full_tile(level, index),
        }
    }

    fn leaf(&self, index: u64) -> Result<Hash, ReadError> {
        self.recorded.leaf(index)
    }
}

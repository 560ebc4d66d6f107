//! Learning the peer's keys ahead of its log: the announcement of the key by which it has signed is
//! lost here with the rest, and stands in its own log.
//!
//! The own log comes back first, under receipts by that very key. So what is missing of the peer's log
//! is read through once, entry by entry, only for the `KEY_CHANGE`s in it; nothing of it is kept. Then
//! both logs come back as always.
//!
//! # Why a hostile peer gains nothing
//!
//! What it gives must lead to the root of a tree that **this node cosigned**, by this node's own line
//! alone. So the changes found are those that this node mirrored before it signed, and the fold over
//! them, from the keys known here on, is the one that it made then: each change signed by a key that
//! held. A peer that gives other entries has no proof; one that leaves the body of a change out gives
//! nothing. And the key learned is good for nothing by itself: every tree that is taken back is under
//! this node's own signature or cosignature, and once the mirror is back its receipts verify by what
//! stands in it.

use std::sync::Arc;

use super::super::keys::RunKeys;
use super::super::session::{Breach, Stop};
use super::super::{Exchange, Link, LogSide};
use super::behind::{Behind, Shown};
use super::take::{check_bounds, check_changes, not_it};
use crate::crypto::Verified;
use crate::crypto::checkpoint::{Checkpoint, Receipt};
use crate::crypto::history::KeyHistory;
use crate::proto::v1::{self, FaultCode};
use crate::tlog::{Hash, Tree, leaf_hash, verify_consistency};

/// What is being read through.
#[derive(Debug)]
pub(super) struct Lesson {
    tree: Tree,
    history: KeyHistory,
    /// Up to here this node cosigned.
    target: Checkpoint,
    shown: Box<Behind>,
}

/// What was learned.
#[derive(Debug)]
pub(super) struct Learned {
    /// The peer's keys as of the tree that this node cosigned.
    pub(super) history: Arc<KeyHistory>,
    /// What is to be reached, as receipts: the own log first.
    pub(super) plan: Vec<(LogSide, Verified<Receipt>)>,
}

impl Lesson {
    /// What there is to learn before what a Hello shows is a receipt; or what it shows, if it is one.
    pub(super) fn of(link: &Link, shown: Box<Behind>) -> Result<Self, Box<Behind>> {
        match &shown.mirror {
            Some(Shown::Word { checkpoint, .. }) => Ok(Self {
                tree: (*link.tree(LogSide::Mirror)).clone(),
                history: KeyHistory::clone(&link.key_history(LogSide::Mirror)),
                target: checkpoint.clone(),
                shown,
            }),
            _ => Err(shown),
        }
    }

    /// Where to read on, and up to where; nothing when it is read through.
    pub(super) fn next(&self) -> Option<(u64, u64)> {
        let at = self.tree.size();
        (at < self.target.size).then_some((at, self.target.size))
    }

    /// Reads entries through.
    ///
    /// # Errors
    /// They are not of the tree that this node cosigned.
    pub(super) fn take(&mut self, given: &v1::Fetched) -> Result<(), Stop> {
        check_bounds(given, self.target.size)?;
        check_changes(&given.items)?;
        let consistency = given
            .consistency
            .iter()
            .map(|hash| Hash::from_slice(hash))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| not_it("has a proof that is none"))?;
        let (mut tree, mut full) = (self.tree.clone(), Vec::new());
        for item in &given.items {
            tree.append(leaf_hash(&item.entry), &mut full);
        }
        let (size, root) = (tree.size(), tree.root());
        verify_consistency(size, self.target.size, root, self.target.root, &consistency)
            .map_err(|_| not_it("is not of the tree that this node cosigned"))?;
        for (item, index) in given.items.iter().zip(given.start_index..) {
            // One that does not count was refused then and is now.
            drop(
                self.history
                    .take(index, &item.entry, &item.salt, &item.body),
            );
        }
        self.tree = tree;
        Ok(())
    }

    /// What the notes shown are by what was learned.
    ///
    /// # Errors
    /// A breach: the peer signed by a key that is not announced in what this node cosigned.
    pub(super) fn learned(self, exchange: &Exchange, link: &Link) -> Result<Learned, Stop> {
        let history = Arc::new(self.history);
        let keys = RunKeys::of_peer(&history);
        let mut plan = Vec::new();
        let shown = [
            (LogSide::Own, self.shown.own),
            (LogSide::Mirror, self.shown.mirror),
        ];
        for (side, shown) in shown {
            let (note, checkpoint) = match shown {
                None => continue,
                Some(Shown::Receipt(receipt)) => {
                    plan.push((side, receipt));
                    continue;
                }
                Some(Shown::Word { note, checkpoint }) => (note, checkpoint),
            };
            let judge = match side {
                LogSide::Own => {
                    exchange.lenient_verifier_by(link, &RunKeys::own(link), side, &history)
                }
                LogSide::Mirror => exchange.lenient_verifier_by(link, &keys, side, &history),
            };
            match judge.receipt(&note) {
                Ok(receipt) => plan.push((side, receipt)),
                Err(error) => {
                    return Err(Breach::stop(
                        FaultCode::RolledBack,
                        link.origin(side),
                        checkpoint.size,
                        format!(
                            "this node once signed {} entries of this log that its store does not \
                             hold any more, and the peer signed them too, by a log key that is \
                             announced nowhere in the {} entries of its log that this node \
                             cosigned: {error}. What it would give back cannot be verified. Nothing \
                             is signed; call the peer, restore a backup, or put the current data \
                             directory back",
                            checkpoint.size, self.target.size
                        ),
                        vec![note],
                    ));
                }
            }
        }
        Ok(Learned { history, plan })
    }
}

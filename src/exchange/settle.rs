//! Settling: verify the peer's cosignature, keep it as the receipt, mark what it covers delivered.

use std::sync::{Arc, PoisonError};

use tokio::sync::watch;

use super::command::{Command, RecordError};
use super::hold::Evidence;
use super::restore::Shown;
use super::session::{Breach, End, Never, Stop};
use super::{Exchange, Link, LogSide};
use crate::crypto::Verified;
use crate::crypto::checkpoint::{Checkpoint, CheckpointError, Receipt};
use crate::limits::VALUE_BYTES_MAX;
use crate::proto::v1::{self, FaultCode};

impl Exchange {
    /// Takes in the peer's cosignatures for one session. Of those that gathered while the last
    /// one was being flushed, the newest covers the others.
    pub(super) async fn settle(
        self: &Arc<Self>,
        link: &Arc<Link>,
        mut newest: watch::Receiver<String>,
        cosigned: &watch::Sender<u64>,
    ) -> Result<Never, Stop> {
        let mut heads = link.watch_head();
        let mut waits = false;
        loop {
            let changed = tokio::select! {
                // In a fixed order, so that a simulation replays.
                biased;
                changed = newest.changed() => changed,
                // What was mirrored may have brought the key.
                changed = heads.changed(), if waits => changed,
            };
            if changed.is_err() {
                return Err(Stop::End(End::Closed));
            }
            heads.mark_unchanged();
            let note = newest.borrow_and_update().clone();
            let Some(receipt) = self.verify_receipt(link, &note)? else {
                waits = true;
                continue;
            };
            waits = false;
            let size = receipt.signed.checkpoint.size;
            self.keep_receipt(link, receipt).await?;
            // An older one that is said again does not close the window.
            cosigned.send_if_modified(|before| {
                let grew = size > *before;
                *before = size.max(*before);
                grew
            });
        }
    }

    /// A receipt must verify under the keys of both sides and be of the tree recorded here. Nothing
    /// if none of the peer's keys known here has signed: its announcement may be under way, and until
    /// then the note says no more than what this node signed itself.
    pub(super) fn verify_receipt(
        &self,
        link: &Link,
        note: &str,
    ) -> Result<Option<Verified<Receipt>>, Stop> {
        let bad = |text: String, index| {
            Breach::stop(
                FaultCode::BadCosignature,
                &link.own,
                index,
                text,
                vec![note.to_owned()],
            )
        };
        if note.len() > VALUE_BYTES_MAX {
            let text = format!(
                "its note has {} bytes, {VALUE_BYTES_MAX} are kept",
                note.len()
            );
            return Err(bad(text, 0));
        }
        let signed = link
            .last_signed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let verifier = &link.own_verifier;
        let judged = match signed.map(|signed| verifier.receipt_for(&signed, note)) {
            Some(Ok(Some(receipt))) => Ok(receipt),
            // Not the checkpoint signed last, or not as it was signed: all of it is judged.
            Some(Ok(None)) | None => verifier.receipt(note),
            Some(Err(error)) => Err(error),
        };
        if judged.as_ref().is_err_and(lacks_the_mirror) && verifier.checkpoint(note).is_ok() {
            return Ok(None);
        }
        let receipt = judged.map_err(|error| {
            bad(
                format!("the peer's cosignature does not verify: {error}"),
                0,
            )
        })?;
        let checkpoint = &receipt.signed.checkpoint;
        let tree = link.tree(LogSide::Own);
        if checkpoint.size > tree.size() {
            return Err(bad(
                "the peer cosigned more than this log holds".to_owned(),
                checkpoint.size,
            ));
        }
        let root = self
            .reader(link, LogSide::Own)
            .root_at(&tree, checkpoint.size)?;
        if root != checkpoint.root {
            if let Some(evidence) = self.against_ourselves(link, &receipt)? {
                return Err(own_two_trees(link, checkpoint.size, evidence));
            }
            return Err(bad(
                "the peer cosigned another tree than this log's".to_owned(),
                checkpoint.size,
            ));
        }
        Ok(Some(receipt))
    }

    pub(super) async fn keep_receipt(
        &self,
        link: &Link,
        receipt: Verified<Receipt>,
    ) -> Result<(), Stop> {
        let size = receipt.signed.checkpoint.size;
        let delivered = size <= link.head().delivered_size;
        if delivered && self.reader(link, LogSide::Own).checkpoint(size)?.is_some() {
            // Said again: the earlier receipt of this size is the better one.
            return Ok(());
        }
        *link
            .last_receipt
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(receipt.clone());
        let settled = self
            .ask(|reply| Command::Settle(link.number, Box::new(receipt), reply))
            .await;
        match settled {
            Ok(()) => {
                tracing::debug!(peer = %link.peer, size, "delivered");
                Ok(())
            }
            Err(error @ RecordError::WrongTree { .. }) => Err(Breach::stop(
                FaultCode::BadCosignature,
                &link.own,
                size,
                error.to_string(),
                Vec::new(),
            )),
            Err(error) => Err(error.into()),
        }
    }

    /// What a note says that this node has signed, though it is no receipt by the keys known here,
    /// since none of the peer's has cosigned. Its own signature is what this node is judged by: the
    /// announcement of the peer's key may be among what is here no longer, or not yet.
    pub(super) fn signed_before(
        &self,
        link: &Link,
        error: Option<&CheckpointError>,
        note: &str,
    ) -> Option<Checkpoint> {
        let error = error.filter(|_| note.len() <= VALUE_BYTES_MAX)?;
        let signed = self.signed_here(link, note)?;
        lacks_the_mirror(error).then(|| signed.checkpoint.clone())
    }

    /// Takes what a Hello says of this node's log, which is known to be what is recorded here.
    pub(super) async fn judge_own_log(&self, link: &Link, hello: &v1::Hello) -> Result<u64, Stop> {
        let mirrored = hello.mirrored_size;
        let delivered = link.head().delivered_size;
        if mirrored < delivered {
            // The peer lost its mirror or a part of it: it gets the rest again.
            let incident = super::Incident {
                at_ms: self.clock.unix_ms(),
                peer: link.peer.to_string(),
                what: format!(
                    "the peer's mirror holds {mirrored} entries, but it gave receipts up to \
                     {delivered}; the others are sent again"
                ),
                evidence: Vec::new(),
            };
            self.note_caused(super::noted::Cause::Lost, incident).await;
        }
        // It is of the tree recorded here: `Exchange::behind` has compared.
        let Some(Shown::Receipt(receipt)) = self.shown_receipt(link, hello)? else {
            // Nothing, or what is here under a key of the peer that is still to be announced.
            return Ok(mirrored);
        };
        if mirrored > link.head().delivered_size {
            self.keep_receipt(link, receipt).await?;
        }
        Ok(mirrored)
    }
}

/// Whether a receipt is none only because no known key of the mirror has signed it.
fn lacks_the_mirror(error: &CheckpointError) -> bool {
    matches!(
        error,
        CheckpointError::MissingSignature {
            role: "the mirror",
            ..
        }
    )
}

/// The peer shows a tree that this node's own key signed, and this node has signed another one over
/// the same entries: two instances of it had the key, or someone else has it.
pub(super) fn own_two_trees(link: &Link, size: u64, evidence: Evidence) -> Stop {
    Breach::stop(
        FaultCode::Equivocation,
        &link.own,
        size,
        "this node's own log key signed two different trees of its log: two copies of the node ran \
         with the same keys, or someone else has the key. Both notes are kept as evidence. Nothing \
         more is signed; find the other copy and stop it",
        evidence,
    )
}

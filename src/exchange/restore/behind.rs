//! Judging a Hello: does the peer hold receipts, by this node's own key, of more than is here?

use super::super::hold::Incident;
use super::super::keys::RunKeys;
use super::super::noted::Cause;
use super::super::read::ReadError;
use super::super::session::{Breach, Stop};
use super::super::settle::own_two_trees;
use super::super::{Exchange, Link, LogSide};
use super::Restoring;
use crate::crypto::Verified;
use crate::crypto::checkpoint::{Checkpoint, Receipt};
use crate::limits::VALUE_BYTES_MAX;
use crate::proto::v1::{self, FaultCode};

/// What a Hello shows that this store lacks.
#[derive(Debug, Default)]
pub(crate) struct Behind {
    /// A receipt of the own log: entries that this node signed and does not hold.
    pub(crate) own: Option<Verified<Receipt>>,
    /// A receipt of the peer's log: entries that this node cosigned and does not hold.
    pub(crate) mirror: Option<Verified<Receipt>>,
}

impl Behind {
    pub(crate) fn is_behind(&self) -> bool {
        self.own.is_some() || self.mirror.is_some()
    }

    fn size(receipt: Option<&Verified<Receipt>>) -> u64 {
        receipt.map_or(0, |receipt| receipt.signed.checkpoint.size)
    }
}

impl Exchange {
    /// Compares what a Hello shows under this node's own key with what is here, before anything is
    /// signed.
    ///
    /// # Errors
    /// A breach where two of the signed trees contradict each other: nothing can be restored then.
    pub(crate) fn behind(&self, link: &Link, hello: &v1::Hello) -> Result<Behind, Stop> {
        Ok(Behind {
            own: self.own_behind(link, hello)?,
            mirror: self.mirror_behind(link, hello),
        })
    }

    fn own_behind(
        &self,
        link: &Link,
        hello: &v1::Hello,
    ) -> Result<Option<Verified<Receipt>>, Stop> {
        let Some(receipt) = self.shown_receipt(link, hello)? else {
            return Ok(None);
        };
        let checkpoint = &receipt.signed.checkpoint;
        let tree = link.tree(LogSide::Own);
        let reader = self.reader(link, LogSide::Own);
        if checkpoint.size <= tree.size()
            && reader.root_at(&tree, checkpoint.size)? == checkpoint.root
        {
            return Ok(None);
        }
        let delivered_size = link.head().delivered_size;
        if checkpoint.size > delivered_size {
            return Ok(Some(receipt));
        }
        // What is here is under a receipt as well: this node's key has signed both.
        let evidence = self.against_ourselves(link, &receipt)?;
        Err(own_two_trees(
            link,
            checkpoint.size,
            evidence.unwrap_or_else(|| vec![receipt.note.clone()].into()),
        ))
    }

    /// What is restored must come at least to what the peer has shown before: else it would be signed
    /// over again.
    pub(crate) fn must_reach(
        &self,
        link: &Link,
        restoring: &Restoring,
        shown: &Behind,
    ) -> Result<(), Stop> {
        for (side, note, shown) in [
            (LogSide::Own, &restoring.own, &shown.own),
            (LogSide::Mirror, &restoring.mirror, &shown.mirror),
        ] {
            let Some(note) = note else { continue };
            let verifier = self.lenient_verifier(link, &RunKeys::now(link), side);
            let Ok(before) = verifier.receipt(note) else {
                continue;
            };
            let wanted = &before.signed.checkpoint;
            let tree = link.tree(side);
            let is_here = wanted.size <= tree.size()
                && self.reader(link, side).root_at(&tree, wanted.size)? == wanted.root;
            if is_here || Behind::size(shown.as_ref()) >= wanted.size {
                continue;
            }
            return Err(Breach::stop(
                FaultCode::RolledBack,
                link.origin(side),
                wanted.size,
                format!(
                    "the peer showed {} entries of this log before and shows fewer now: the rest \
                     cannot be fetched back. Call the peer: were its records put back to an older \
                     state? Once it has its own again, release the link. If nobody has them any \
                     more, releasing goes on without them",
                    wanted.size
                ),
                vec![note.clone()],
            ));
        }
        Ok(())
    }

    /// Notes durably that a link gets its records back, and tells the person.
    pub(crate) async fn notice_behind(&self, link: &Link, behind: &Behind) -> Result<String, Stop> {
        let head = link.head();
        let (own, mirror) = (
            Behind::size(behind.own.as_ref()),
            Behind::size(behind.mirror.as_ref()),
        );
        let mut noticed = Vec::new();
        if own > 0 {
            noticed.push(format!(
                "this node signed {own} entries, {} are here and {} of them receipted",
                head.own_size, head.delivered_size
            ));
        }
        if mirror > 0 {
            noticed.push(format!(
                "this node cosigned {mirror} entries of the peer, {} are here",
                head.mirror_size
            ));
        }
        let why = format!(
            "an old copy of this node's records was put back: {}",
            noticed.join("; ")
        );
        let note = |receipt: &Option<Verified<Receipt>>| receipt.as_ref().map(|r| r.note.clone());
        let before = head.restoring.as_deref();
        let restoring = Restoring {
            own: note(&behind.own),
            mirror: note(&behind.mirror),
            ..before.cloned().unwrap_or_else(|| Restoring {
                at_ms: self.clock().unix_ms(),
                why: why.clone(),
                own_from: head.own_size,
                mirror_from: head.mirror_size,
                ..Restoring::default()
            })
        };
        if head.restoring.is_none() {
            let incident = Incident {
                at_ms: restoring.at_ms,
                peer: link.peer.to_string(),
                what: format!(
                    "{why}. Nothing is signed; what is missing is fetched back from the peer"
                ),
                evidence: restoring
                    .own
                    .iter()
                    .chain(&restoring.mirror)
                    .cloned()
                    .collect(),
            };
            self.note_incident(incident).await;
        }
        if before != Some(&restoring) {
            self.begin_restoring(link, restoring).await?;
        }
        Ok(why)
    }

    /// Notes what a Hello says of the peer's own restoring; an incident when it begins.
    pub(crate) async fn note_peer_restores(
        &self,
        link: &Link,
        hello: &v1::Hello,
    ) -> Result<(), ReadError> {
        let says = hello.restoring();
        let before = link.presence.borrow().peer_restoring;
        link.presence
            .send_modify(|presence| presence.peer_restoring = says);
        if says != v1::Restoring::Unspecified {
            // Whoever carries files looks again: the peer may want some.
            self.file_arrived(link);
        }
        if says == v1::Restoring::Records && before != says {
            let (theirs, ours) = (link.head().mirror_size, link.head().own_size);
            let incident = Incident {
                at_ms: self.clock().unix_ms(),
                peer: link.peer.to_string(),
                what: format!(
                    "the peer is restoring its records from here: it shows {} of {theirs} entries \
                     of its log, and {} of {ours} of this node's. What is sent meanwhile waits",
                    hello.own_size, hello.mirrored_size
                ),
                evidence: Vec::new(),
            };
            self.note_caused(Cause::Lost, incident).await;
        }
        Ok(())
    }
}

impl Exchange {
    /// The peer's claim of the own log: its newest receipt of it, verified. `None` if it mirrors
    /// nothing, or shows what is here under a key that it has not announced here yet.
    pub(crate) fn shown_receipt(
        &self,
        link: &Link,
        hello: &v1::Hello,
    ) -> Result<Option<Verified<Receipt>>, Stop> {
        let mirrored = hello.mirrored_size;
        if mirrored == 0 {
            return Ok(None);
        }
        let note = &hello.mirrored_checkpoint;
        let bad = |text: String| {
            let (code, evidence) = (FaultCode::BadCosignature, vec![note.clone()]);
            Breach::stop(code, &link.own, mirrored, text, evidence)
        };
        let judged = self
            .lenient_verifier(link, &RunKeys::now(link), LogSide::Own)
            .receipt(note);
        if let Some(checkpoint) = self.signed_before(link, judged.as_ref().err(), note) {
            return self.shown_word(link, &checkpoint, mirrored, note);
        }
        let receipt = match judged {
            Ok(receipt) if note.len() <= VALUE_BYTES_MAX => receipt,
            judged => {
                let why = judged
                    .err()
                    .map_or("it is too long".to_owned(), |e| e.to_string());
                return Err(bad(format!(
                    "the checkpoint of the peer's mirror does not verify: {why}"
                )));
            }
        };
        if receipt.signed.checkpoint.size != mirrored {
            return Err(bad(
                "the peer's mirror and its checkpoint have different sizes".to_owned(),
            ));
        }
        Ok(Some(receipt))
    }

    /// The peer's claim of the own log where none of its keys known here has cosigned: this node's
    /// own signature still counts. Within what is here, it says how far the peer is and is no receipt.
    /// Beyond, the announcement of the peer's key was lost with the rest, and nothing that the peer
    /// gives back could be verified: a person must look.
    fn shown_word(
        &self,
        link: &Link,
        checkpoint: &Checkpoint,
        mirrored: u64,
        note: &str,
    ) -> Result<Option<Verified<Receipt>>, Stop> {
        let tree = link.tree(LogSide::Own);
        let is_here = checkpoint.size == mirrored
            && mirrored <= tree.size()
            && self.reader(link, LogSide::Own).root_at(&tree, mirrored)? == checkpoint.root;
        if is_here {
            return Ok(None);
        }
        Err(Breach::stop(
            FaultCode::RolledBack,
            &link.own,
            mirrored,
            format!(
                "this node once signed {mirrored} entries that its store does not hold any more \
                 ({} are here), and the peer has changed its log key since: what it would give back \
                 cannot be verified. Nothing is signed; restore a backup that was made after that \
                 change, or put the current data directory back",
                tree.size()
            ),
            vec![note.to_owned()],
        ))
    }

    /// A receipt of more of the peer's log than is mirrored here, under this node's cosignature.
    fn mirror_behind(&self, link: &Link, hello: &v1::Hello) -> Option<Verified<Receipt>> {
        let note = &hello.own_checkpoint;
        // One that does not verify is judged with the peer's log.
        let verifier = self.lenient_verifier(link, &RunKeys::now(link), LogSide::Mirror);
        let receipt = verifier.receipt(note).ok()?;
        let is_beyond = receipt.signed.checkpoint.size > link.head().mirror_size;
        (is_beyond && note.len() <= VALUE_BYTES_MAX).then_some(receipt)
    }
}

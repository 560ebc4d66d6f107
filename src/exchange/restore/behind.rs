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
use crate::crypto::checkpoint::{Checkpoint, CheckpointError, Receipt};
use crate::crypto::note::NoteError;
use crate::limits::VALUE_BYTES_MAX;
use crate::proto::v1::{self, FaultCode};

/// What a Hello shows that this store lacks.
#[derive(Debug, Default)]
pub(crate) struct Behind {
    /// Of the own log: entries that this node signed and does not hold.
    pub(crate) own: Option<Shown>,
    /// Of the peer's log: entries that this node cosigned and does not hold.
    pub(crate) mirror: Option<Shown>,
}

/// A note under this node's own key.
#[derive(Debug)]
pub(crate) enum Shown {
    /// It verifies under the keys of both sides.
    Receipt(Verified<Receipt>),
    /// Only this node's own line does: the peer's is by a key whose announcement is lost with the rest.
    /// It becomes a receipt once the peer's keys are learned ([`super::learn`]).
    Word {
        /// The note.
        note: String,
        /// What it says.
        checkpoint: Checkpoint,
    },
}

impl Shown {
    pub(crate) fn note(&self) -> &str {
        match self {
            Self::Receipt(receipt) => &receipt.note,
            Self::Word { note, .. } => note,
        }
    }

    pub(crate) fn checkpoint(&self) -> &Checkpoint {
        match self {
            Self::Receipt(receipt) => &receipt.signed.checkpoint,
            Self::Word { checkpoint, .. } => checkpoint,
        }
    }

    pub(crate) fn receipt(self) -> Option<Verified<Receipt>> {
        match self {
            Self::Receipt(receipt) => Some(receipt),
            Self::Word { .. } => None,
        }
    }

    pub(crate) fn is_word(&self) -> bool {
        matches!(self, Self::Word { .. })
    }
}

impl Behind {
    pub(crate) fn is_behind(&self) -> bool {
        self.own.is_some() || self.mirror.is_some()
    }

    fn size(shown: Option<&Shown>) -> u64 {
        shown.map_or(0, |shown| shown.checkpoint().size)
    }
}

impl Exchange {
    /// Compares what a Hello shows under this node's own key with what is here, before anything is
    /// signed.
    ///
    /// # Errors
    /// A breach where two of the signed trees contradict each other: nothing can be restored then.
    pub(crate) fn behind(&self, link: &Link, hello: &v1::Hello) -> Result<Behind, Stop> {
        let mirror = self.mirror_behind(link, &hello.own_checkpoint);
        let own = self.own_behind(link, hello, mirror.as_ref())?;
        Ok(Behind { own, mirror })
    }

    fn own_behind(
        &self,
        link: &Link,
        hello: &v1::Hello,
        mirror: Option<&Shown>,
    ) -> Result<Option<Shown>, Stop> {
        let Some(shown) = self.shown_receipt(link, hello)? else {
            return Ok(None);
        };
        let checkpoint = shown.checkpoint();
        let tree = link.tree(LogSide::Own);
        let reader = self.reader(link, LogSide::Own);
        if checkpoint.size <= tree.size()
            && reader.root_at(&tree, checkpoint.size)? == checkpoint.root
        {
            return Ok(None);
        }
        let is_beyond = checkpoint.size > link.head().delivered_size;
        match shown {
            Shown::Receipt(_) if is_beyond => Ok(Some(shown)),
            // The announcement of the key stands in what this node cosigned of the peer's log: it can be
            // had, and comes first.
            Shown::Word { .. } if is_beyond && mirror.is_some_and(Shown::is_word) => {
                Ok(Some(shown))
            }
            Shown::Word { note, checkpoint } => Err(not_to_be_verified(link, &note, &checkpoint)),
            // What is here is under a receipt as well: this node's key has signed both.
            Shown::Receipt(receipt) => {
                let evidence = self.against_ourselves(link, &receipt)?;
                Err(own_two_trees(
                    link,
                    receipt.signed.checkpoint.size,
                    evidence.unwrap_or_else(|| vec![receipt.note.clone()].into()),
                ))
            }
        }
    }

    /// What is restored must come at least to what the peer has shown before, and to what was cosigned
    /// here before: else it would be signed over again.
    ///
    /// A cosignature that never left this node the peer cannot show. What counts is that it still has the
    /// entries: then they are fetched back up to there.
    pub(crate) fn must_reach(
        &self,
        link: &Link,
        restoring: &Restoring,
        hello: &v1::Hello,
        shown: &mut Behind,
    ) -> Result<(), Stop> {
        for (side, note) in [
            (LogSide::Own, &restoring.own),
            (LogSide::Mirror, &restoring.mirror),
        ] {
            let Some(note) = note else { continue };
            let wanted = match side {
                LogSide::Own => self.signed_here(link, note).map(|s| s.checkpoint.clone()),
                LogSide::Mirror => self.cosigned_here(link, note),
            };
            let Some(wanted) = wanted else { continue };
            let tree = link.tree(side);
            let is_here = wanted.size <= tree.size()
                && self.reader(link, side).root_at(&tree, wanted.size)? == wanted.root;
            let shown_here = match side {
                LogSide::Own => &shown.own,
                LogSide::Mirror => &shown.mirror,
            };
            if is_here || Behind::size(shown_here.as_ref()) >= wanted.size {
                continue;
            }
            if side == LogSide::Mirror
                && hello.own_size >= wanted.size
                && let Some(further) = self.mirror_behind(link, note)
            {
                shown.mirror = Some(further);
                continue;
            }
            let what = match side {
                LogSide::Own => "the peer showed that it had",
                LogSide::Mirror => "this node cosigned",
            };
            return Err(Breach::stop(
                FaultCode::RolledBack,
                link.origin(side),
                wanted.size,
                format!(
                    "{what} {} entries of this log before, and the peer shows fewer now: the rest \
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
        let note = |shown: &Option<Shown>| shown.as_ref().map(|shown| shown.note().to_owned());
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
    ///
    /// Where none of the peer's keys known here has cosigned, this node's own signature still counts.
    /// Within what is here, it says how far the peer is and is no receipt; beyond, it is what this node
    /// must get back.
    pub(crate) fn shown_receipt(
        &self,
        link: &Link,
        hello: &v1::Hello,
    ) -> Result<Option<Shown>, Stop> {
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
        let shown = if let Some(checkpoint) = self.signed_before(link, judged.as_ref().err(), note)
        {
            Shown::Word {
                note: note.clone(),
                checkpoint,
            }
        } else {
            match judged {
                Ok(receipt) if note.len() <= VALUE_BYTES_MAX => Shown::Receipt(receipt),
                judged => {
                    let why = judged
                        .err()
                        .map_or("it is too long".to_owned(), |e| e.to_string());
                    return Err(bad(format!(
                        "the checkpoint of the peer's mirror does not verify: {why}. If this node's \
                         log key was changed since its records were copied or backed up, put the \
                         newer key file in place, and release the link"
                    )));
                }
            }
        };
        let checkpoint = shown.checkpoint();
        if checkpoint.size != mirrored {
            return Err(bad(
                "the peer's mirror and its checkpoint have different sizes".to_owned(),
            ));
        }
        let tree = link.tree(LogSide::Own);
        let is_here = shown.is_word()
            && mirrored <= tree.size()
            && self.reader(link, LogSide::Own).root_at(&tree, mirrored)? == checkpoint.root;
        Ok((!is_here).then_some(shown))
    }

    /// What a note says of more of the peer's log than is mirrored here, under this node's cosignature.
    fn mirror_behind(&self, link: &Link, note: &str) -> Option<Shown> {
        if note.len() > VALUE_BYTES_MAX {
            return None;
        }
        // One that does not verify is judged with the peer's log.
        let verifier = self.lenient_verifier(link, &RunKeys::now(link), LogSide::Mirror);
        let shown = match verifier.receipt(note) {
            Ok(receipt) => Shown::Receipt(receipt),
            Err(
                CheckpointError::MissingSignature {
                    role: "the log", ..
                }
                | CheckpointError::Note(NoteError::NoKnownKey),
            ) => Shown::Word {
                checkpoint: self.cosigned_here(link, note)?,
                note: note.to_owned(),
            },
            Err(_) => return None,
        };
        (shown.checkpoint().size > link.head().mirror_size).then_some(shown)
    }
}

/// Beyond what is here under the own key, and nothing that this node cosigned brings the key by which the
/// peer has cosigned: what it would give back could not be verified, and a person must look.
fn not_to_be_verified(link: &Link, note: &str, checkpoint: &Checkpoint) -> Stop {
    Breach::stop(
        FaultCode::RolledBack,
        &link.own,
        checkpoint.size,
        format!(
            "this node once signed {} entries that its store does not hold any more ({} are here), \
             and the peer cosigned them by a log key that it has changed to since, and whose \
             announcement it does not show: what it would give back cannot be verified. Nothing is \
             signed; restore a backup that was made after that change, or put the current data \
             directory back",
            checkpoint.size,
            link.head().own_size
        ),
        vec![note.to_owned()],
    )
}

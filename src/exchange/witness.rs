//! The node's journal as its peers see it: who witnesses whose, with which keys.
//!
//! Both sides of a link witness each other's journal unless one of them is told not to. They exchange
//! checkpoints and proofs, hashes only. A journal that was set back or written anew is an incident with both
//! notes as evidence; it does not hold the link, whose own logs it does not touch.

use std::collections::BTreeSet;

use super::hold::Incident;
use super::noted::Cause;
use super::{Exchange, Link, LogSide};
use crate::crypto::vkey::VerifierKey;
use crate::journal::folder::Keys;
use crate::journal::{Journal, JournalError, Offer, Unwitnessed};
use crate::limits::JOURNAL_PROOF_HASHES_MAX;
use crate::model::NodeName;
use crate::proto::v1::{self, KeyRole};
use crate::tlog::Hash;

/// The journal, and the links on which it is not witnessed, nor that of the peer.
#[derive(Debug)]
pub(super) struct Witnessing {
    journal: Journal,
    without: BTreeSet<NodeName>,
}

impl Exchange {
    /// Gives the exchange the node's journal, to be witnessed by the peers but those named, and to keep what
    /// it witnesses of theirs. Once; without, nothing is witnessed.
    pub fn keep_journal(&self, journal: Journal, without: BTreeSet<NodeName>) {
        // A second one would be a mistake of the caller; the first stays.
        drop(self.witnessing.set(Witnessing { journal, without }));
    }

    /// The journal, if the two sides of this link may witness each other's.
    pub(crate) fn witnesses(&self, link: &Link) -> Option<&Journal> {
        let witnessing = self.witnessing.get()?;
        (!witnessing.without.contains(&link.peer)).then_some(&witnessing.journal)
    }

    /// The log keys of one side of a link, as on its card: all there ever were, for what was signed once.
    fn log_keys_of(link: &Link, side: LogSide) -> Vec<VerifierKey> {
        let history = link.key_history(side);
        let keys = history.keys().iter();
        keys.filter(|key| key.role == KeyRole::Log)
            .map(|key| key.vkey.clone())
            .collect()
    }

    /// Those of the peer that hold now, for what it signs now.
    fn open_log_keys(link: &Link) -> Vec<VerifierKey> {
        let history = link.key_history(LogSide::Mirror);
        let keys = history.keys().iter();
        keys.filter(|key| key.role == KeyRole::Log && key.is_open())
            .map(|key| key.vkey.clone())
            .collect()
    }

    /// The keys that a journal of this node may be judged with: its own, and those of its peers.
    #[must_use]
    pub fn journal_keys(&self) -> Keys {
        let mut keys = Keys::default();
        for key in self.ring.log() {
            keys.own.push(key.cosigner_verifier(&self.node));
        }
        for link in self.links() {
            for key in Self::log_keys_of(link, LogSide::Own) {
                if !keys.own.contains(&key) {
                    keys.own.push(key);
                }
            }
            keys.witnesses
                .extend(Self::log_keys_of(link, LogSide::Mirror));
        }
        keys
    }

    /// The log key with which the journal is signed for people of this node: the oldest in use, which every
    /// peer knows.
    #[must_use]
    pub fn journal_key(&self) -> Option<std::sync::Arc<crate::crypto::keys::LogKey>> {
        let of_links = self.links().find_map(|link| {
            let size = link.head().signable_size;
            self.log_key(link, size)
        });
        of_links.or_else(|| self.ring.log().first().cloned())
    }

    /// The own journal's checkpoint for the peer of a link, if there is anything new for it to cosign.
    ///
    /// # Errors
    /// [`JournalError`].
    pub(crate) fn offer_journal(
        &self,
        link: &Link,
        journal: &Journal,
        old_size: Option<u64>,
    ) -> Result<Option<v1::JournalOffer>, JournalError> {
        let old_size = match old_size {
            Some(size) => size,
            None => journal
                .last_cosigned(&link.peer)?
                .map_or(0, |(size, _)| size),
        };
        if old_size == journal.size() {
            return Ok(None);
        }
        let Some(key) = self.log_key(link, link.head().signable_size) else {
            return Ok(None);
        };
        let offer = journal.offer(&key, old_size)?;
        Ok(Some(v1::JournalOffer {
            checkpoint: offer.note,
            old_size: offer.old_size,
            consistency: offer
                .consistency
                .iter()
                .map(|hash| hash.0.to_vec().into())
                .collect(),
        }))
    }

    /// Judges a checkpoint of the peer's journal, and cosigns it if it extends what was cosigned before.
    pub(crate) async fn take_journal_offer(
        &self,
        link: &Link,
        journal: &Journal,
        offer: v1::JournalOffer,
    ) -> Option<v1::JournalAnswer> {
        let key = self.log_key(link, link.head().signable_size)?;
        let proof: Option<Vec<Hash>> = offer
            .consistency
            .iter()
            .take(JOURNAL_PROOF_HASHES_MAX + 1)
            .map(|hash| Hash::from_slice(hash).ok())
            .collect();
        let offer = Offer {
            note: offer.checkpoint,
            old_size: offer.old_size,
            consistency: proof?,
        };
        let peer_keys = Self::open_log_keys(link);
        match journal.witness(&link.peer, &offer, &peer_keys, &key).await {
            Ok(cosigned) => Some(v1::JournalAnswer {
                cosigned,
                ..v1::JournalAnswer::default()
            }),
            Err(Unwitnessed::OtherSize { known, note, .. }) => Some(v1::JournalAnswer {
                known_size: known,
                known: note,
                ..v1::JournalAnswer::default()
            }),
            Err(error @ Unwitnessed::Contradiction { .. }) => {
                let what = format!(
                    "{error}. Ask the other side by another way what happened to it; if there is a good \
                     reason: liaison journal accept {}",
                    link.peer
                );
                let (known_size, evidence) = match error {
                    Unwitnessed::Contradiction {
                        known, evidence, ..
                    } => (known, evidence),
                    _ => (0, Vec::new()),
                };
                let known = evidence.first().cloned().unwrap_or_default();
                self.note_journal(link, what, evidence).await;
                Some(v1::JournalAnswer {
                    known_size,
                    known,
                    contradiction: true,
                    ..v1::JournalAnswer::default()
                })
            }
            Err(error) => {
                tracing::warn!(peer = %link.peer, %error, "the peer's journal was not witnessed");
                None
            }
        }
    }

    /// Judges what the peer answered to the own journal's checkpoint. Returns what to offer next, if it has
    /// cosigned another size than was thought.
    pub(crate) async fn take_journal_answer(
        &self,
        link: &Link,
        journal: &Journal,
        answer: v1::JournalAnswer,
    ) -> Option<v1::JournalOffer> {
        let own = Self::log_keys_of(link, LogSide::Own);
        // An earlier note may bear a key that has ended since.
        let witnesses = if answer.cosigned.is_empty() {
            Self::log_keys_of(link, LogSide::Mirror)
        } else {
            Self::open_log_keys(link)
        };
        let note = if answer.cosigned.is_empty() {
            &answer.known
        } else {
            &answer.cosigned
        };
        let kept = match note.as_str() {
            "" => Ok(None),
            note => journal
                .keep_cosigned(&link.peer, note, &own, &witnesses)
                .await
                .map(Some),
        };
        match kept {
            Err(error @ JournalError::SetBack { .. }) => {
                self.note_journal(link, error.to_string(), vec![note.clone()])
                    .await;
                return None;
            }
            Err(error) => {
                tracing::warn!(peer = %link.peer, %error, "no cosignature of the journal");
                return None;
            }
            Ok(Some(kept)) => {
                tracing::debug!(peer = %link.peer, size = kept.size, "journal witnessed");
            }
            Ok(None) => {}
        }
        if answer.contradiction {
            let what =
                "the peer says that this node's journal does not extend what it has cosigned of it";
            self.note_journal(link, what.to_owned(), Vec::new()).await;
            return None;
        }
        if !answer.cosigned.is_empty() {
            return None;
        }
        match self.offer_journal(link, journal, Some(answer.known_size)) {
            Ok(offer) => offer,
            Err(error) => {
                tracing::warn!(peer = %link.peer, %error, "the journal is not offered");
                None
            }
        }
    }

    async fn note_journal(&self, link: &Link, what: String, evidence: Vec<String>) {
        let incident = Incident {
            at_ms: self.clock().unix_ms(),
            peer: link.peer.to_string(),
            what,
            evidence,
        };
        self.note_caused(Cause::Journal, incident).await;
    }
}

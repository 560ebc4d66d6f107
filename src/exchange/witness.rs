//! The node's journal as its peers see it: who witnesses whose, with which keys.
//!
//! Both sides of a link witness each other's journal unless one of them is told not to. They exchange
//! checkpoints and proofs, hashes only. A journal that was set back or written anew is an incident with both
//! notes as evidence; it does not hold the link, whose own logs it does not touch.
//!
//! Who has something to hide need not show it: so it is an incident as well if a peer was told what was
//! cosigned and shows nothing that extends it, and if one that was witnessed shows no journal any more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use super::hold::Incident;
use super::noted::Cause;
use super::{Exchange, Link, LogSide};
use crate::crypto::vkey::VerifierKey;
use crate::journal::folder::Keys;
use crate::journal::{Journal, JournalError, Offer, Unwitnessed};
use crate::limits::{JOURNAL_PROOF_HASHES_MAX, JOURNAL_SILENT_SESSIONS_MAX};
use crate::model::NodeName;
use crate::proto::v1::{self, KeyRole};
use crate::tlog::Hash;

/// The journal, and the links on which it is not witnessed, nor that of the peer.
#[derive(Debug)]
pub(super) struct Witnessing {
    journal: Journal,
    without: BTreeSet<NodeName>,
    owed: Mutex<BTreeMap<NodeName, Owed>>,
}

/// What a peer owes the witness of its journal.
#[derive(Debug, Default)]
struct Owed {
    /// It was told that so many entries were cosigned, and has yet to show a journal that extends them: that
    /// number, the note cosigned and the one it showed.
    extension: Option<(u64, Vec<String>)>,
    /// Sessions in a row that have begun and shown no journal yet, where one was witnessed before.
    silent: u32,
    /// Whether it was said already that it shows none.
    told: bool,
}

impl Exchange {
    /// Gives the exchange the node's journal, to be witnessed by the peers but those named, and to keep what
    /// it witnesses of theirs. Once; without, nothing is witnessed.
    pub fn keep_journal(&self, journal: Journal, without: BTreeSet<NodeName>) {
        // A second one would be a mistake of the caller; the first stays.
        drop(self.witnessing.set(Witnessing {
            journal,
            without,
            owed: Mutex::default(),
        }));
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
            let open = Self::open_log_keys(link);
            for key in Self::log_keys_of(link, LogSide::Mirror) {
                if !open.contains(&key) {
                    keys.ended.push(key.clone());
                }
                keys.witnesses.push(key);
            }
        }
        // What this node signs with now holds, also where a peer has not heard of its end yet.
        let ring = self.ring.log();
        let in_use = |key: &VerifierKey| {
            let mut ring = ring.iter();
            ring.any(|own| own.cosigner_verifier(&self.node) == *key)
        };
        let ended = keys.own.iter().filter(|key| !in_use(key)).cloned();
        keys.ended.extend(ended.collect::<Vec<_>>());
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

    /// The own journal's checkpoint for the peer of a link, if there is anything new for it to cosign, or it
    /// is to be shown in any case.
    ///
    /// # Errors
    /// [`JournalError`].
    pub(crate) fn offer_journal(
        &self,
        link: &Link,
        journal: &Journal,
        old_size: Option<u64>,
        in_any_case: bool,
    ) -> Result<Option<v1::JournalOffer>, JournalError> {
        let old_size = match old_size {
            Some(size) => size,
            None => journal
                .last_cosigned(&link.peer)?
                .map_or(0, |(size, _)| size),
        };
        let size = journal.size();
        if size == 0 || (old_size == size && !in_any_case) {
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
            Ok(cosigned) => {
                self.journal_owed(link, |owed| *owed = Owed::default());
                Some(v1::JournalAnswer {
                    cosigned,
                    ..v1::JournalAnswer::default()
                })
            }
            Err(Unwitnessed::OtherSize { known, note, .. }) => {
                // It may have missed an answer. It may also hide that it was set back: what it shows from
                // here on tells.
                let evidence = vec![note.clone(), offer.note];
                self.journal_owed(link, |owed| {
                    let first = owed.extension.take();
                    owed.extension = first.or(Some((known, evidence)));
                });
                Some(v1::JournalAnswer {
                    known_size: known,
                    known: note,
                    ..v1::JournalAnswer::default()
                })
            }
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
                // That says it all.
                self.journal_owed(link, |owed| {
                    (owed.extension, owed.silent) = (None, 0);
                });
                self.note_journal(link, what, evidence).await;
                Some(v1::JournalAnswer {
                    known_size,
                    known,
                    contradiction: true,
                    ..v1::JournalAnswer::default()
                })
            }
            Err(error) => {
                if matches!(error, Unwitnessed::Journal(_)) {
                    // It is this node that cannot.
                    self.journal_owed(link, |owed| (owed.extension, owed.silent) = (None, 0));
                }
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
                // Goes on: the peer is shown what there is, so that it holds the contradiction, signed.
            }
            Err(error) => {
                tracing::warn!(peer = %link.peer, %error, "no cosignature of the journal");
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
        match self.offer_journal(link, journal, Some(answer.known_size), true) {
            Ok(offer) => offer,
            Err(error) => {
                tracing::warn!(peer = %link.peer, %error, "the journal is not offered");
                None
            }
        }
    }

    /// What the peer of a link owes, changed.
    fn journal_owed<T>(&self, link: &Link, change: impl FnOnce(&mut Owed) -> T) -> Option<T> {
        let witnessing = self.witnessing.get()?;
        let mut owed = witnessing
            .owed
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Some(change(owed.entry(link.peer.clone()).or_default()))
    }

    /// A session begins in which journals may be witnessed; `shows`: the peer says that it takes part.
    pub(crate) async fn journal_session_begins(&self, link: &Link, journal: &Journal, shows: bool) {
        self.journal_session_ends(link).await;
        match journal.last_witnessed(&link.peer) {
            Ok(Some(_)) => {}
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(peer = %link.peer, %error, "what was witnessed cannot be read");
                return;
            }
        }
        let silent = self.journal_owed(link, |owed| {
            owed.silent = owed.silent.saturating_add(1);
            owed.silent
        });
        if !shows || silent.is_some_and(|silent| silent > JOURNAL_SILENT_SESSIONS_MAX) {
            self.journal_not_shown(link).await;
        }
    }

    /// The peer has had its time: it is an incident if it was witnessed before and shows no journal, once
    /// until it shows one that is cosigned.
    pub(crate) async fn journal_not_shown(&self, link: &Link) {
        self.journal_session_ends(link).await;
        let is_new = self.journal_owed(link, |owed| {
            let is_new = owed.silent > 0 && !owed.told;
            owed.told |= is_new;
            is_new
        });
        if is_new == Some(true) {
            let what = "the peer's journal was witnessed here, and is no longer shown: it has failed, was \
                        switched off (witness_journal = false), or somebody hides it. Ask the other side by \
                        another way";
            self.note_journal(link, what.to_owned(), Vec::new()).await;
        }
    }

    /// A session has ended, or has lasted: it is an incident if the peer was told what was cosigned of its
    /// journal and has not shown one that extends it.
    pub(crate) async fn journal_session_ends(&self, link: &Link) {
        let Some(Some((known, evidence))) = self.journal_owed(link, |owed| owed.extension.take())
        else {
            return;
        };
        let what = format!(
            "{known} entries of the peer's journal were cosigned here; it showed a journal with another past, \
             was told so, and has not shown that it extends them: it was set back or written anew, or the \
             session was cut just then. Compare: liaison journal witnessed {peer}, and the peer's own journal \
             verify --against",
            peer = link.peer
        );
        self.note_journal(link, what, evidence).await;
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

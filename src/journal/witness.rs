//! Witnessing: a peer's journal is cosigned here if it extends what was cosigned of it before, and this one
//! is offered to the peers. Hashes only. As <https://c2sp.org/tlog-witness> has it.
//!
//! What this node has seen of a peer's journal is a mark in the journal's file of marks, durable before the
//! cosignature is made: no crash and no other copy of the journal's store leads to two trees cosigned.

use prost::Message as _;

use super::read::Tiles;
use super::writer::Command;
use super::{Journal, JournalError, layout};
use crate::crypto::Verified;
use crate::crypto::checkpoint::Checkpoint;
use crate::crypto::checkpoint::CheckpointError;
use crate::crypto::journal::{self as notes, JournalCheckpoint};
use crate::crypto::keys::LogKey;
use crate::crypto::vkey::VerifierKey;
use crate::limits::{JOURNAL_NOTE_BYTES_MAX, JOURNAL_NOTES_MAX, JOURNAL_PROOF_HASHES_MAX};
use crate::model::NodeName;
use crate::proto::v1::JournalWitness;
use crate::store::{Batch, Direction};
use crate::tlog::Hash;

/// A journal's checkpoint as it is offered to a witness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The signed note.
    pub note: String,
    /// The size that the witness is thought to have cosigned last; 0 for none.
    pub old_size: u64,
    /// RFC 6962 consistency proof from there.
    pub consistency: Vec<Hash>,
}

/// Why a checkpoint of a peer's journal was not cosigned.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Unwitnessed {
    /// It is no checkpoint of that journal by a key that holds.
    #[error("it is no checkpoint of {origin} that can be believed: {error}")]
    Note {
        /// The journal.
        origin: String,
        /// Why.
        error: CheckpointError,
    },
    /// It is larger than any.
    #[error("a note of {bytes} bytes and a proof of {hashes} hashes are more than a journal needs")]
    TooLarge {
        /// Of the note.
        bytes: usize,
        /// Of the proof.
        hashes: usize,
    },
    /// The peer thinks that another size was cosigned; it is told which. No fault by itself.
    #[error("{known} entries were cosigned last, not {old}")]
    OtherSize {
        /// What the peer thinks.
        old: u64,
        /// What it is.
        known: u64,
        /// The note that was cosigned then.
        note: String,
    },
    /// The journal is shorter than it was, or is another one: somebody has set it back or written it anew.
    #[error(
        "the journal {origin} was set back or written anew: {known} entries were cosigned here, and what \
         is shown now has {size} and does not extend them ({why})"
    )]
    Contradiction {
        /// The journal.
        origin: String,
        /// Cosigned before.
        known: u64,
        /// Shown now.
        size: u64,
        /// How it is seen.
        why: &'static str,
        /// The note cosigned before, if it is still there, and the one shown now.
        evidence: Vec<String>,
    },
    /// This node cannot write down what it has seen.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// What became of a cosignature that a peer sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// Entries that it covers.
    pub size: u64,
    /// When the peer cosigned, Unix seconds, by its clock.
    pub at: u64,
}

/// A mark of a peer's journal that is to be moved.
pub(super) struct Advance {
    pub(super) origin: String,
    pub(super) old_size: u64,
    pub(super) size: u64,
    pub(super) root: Hash,
    pub(super) consistency: Vec<Hash>,
}

/// What the marks say to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Advanced {
    Recorded,
    OtherSize { known: u64 },
    Contradiction { known: u64, why: &'static str },
}

impl Journal {
    /// Signs the checkpoint of all that is durable.
    #[must_use]
    pub fn sign(&self, key: &LogKey) -> Verified<JournalCheckpoint> {
        let tree = self.tree();
        let now = (self.0.unix_ms)() / 1_000;
        notes::sign(key, &self.0.node, tree.size(), tree.root(), now)
    }

    /// The checkpoint of all that is durable, for a witness that has cosigned `old_size`.
    ///
    /// # Errors
    /// [`JournalError::SetBack`] if the witness has cosigned more than there is;
    /// [`JournalError::Damaged`].
    pub fn offer(&self, key: &LogKey, old_size: u64) -> Result<Offer, JournalError> {
        self.store()?;
        let tree = self.tree();
        if old_size > tree.size() {
            let size = tree.size();
            return Err(JournalError::SetBack {
                what: format!("a peer has cosigned {old_size} entries of it, {size} are there"),
            });
        }
        let tiles = Tiles::new(self.store()?);
        let consistency = tree
            .snapshot(&tiles)
            .consistency_proof(old_size, tree.size())?;
        let now = (self.0.unix_ms)() / 1_000;
        let signed = notes::sign(key, &self.0.node, tree.size(), tree.root(), now);
        Ok(Offer {
            note: signed.note.clone(),
            old_size,
            consistency,
        })
    }

    /// Keeps a peer's cosignature of this journal, after judging it: this node's lines and the peer's, no
    /// others. Of each day, by this node's clock, the last one stays; of one size the first.
    ///
    /// # Errors
    /// [`JournalError::Note`] if it is none; [`JournalError::SetBack`] if it is one, of another journal than
    /// this: somebody has written this one anew.
    pub async fn keep_cosigned(
        &self,
        peer: &NodeName,
        note: &str,
        own: &[VerifierKey],
        witnesses: &[VerifierKey],
    ) -> Result<Kept, JournalError> {
        self.store()?;
        let judged = notes::verify(&self.0.node, note, own, witnesses)?;
        let is_by = |key: &VerifierKey| key.name() == peer.as_str();
        let Some((_, at)) = judged.witnessed.iter().find(|(key, _)| is_by(key)) else {
            return Err(JournalError::Note(CheckpointError::MissingSignature {
                role: "the witness",
                name: peer.to_string(),
                key_id: 0,
            }));
        };
        let (size, at) = (judged.checkpoint.size, *at);
        let tree = self.tree();
        let is_ours = size <= tree.size() && {
            let tiles = Tiles::new(self.store()?);
            tree.snapshot(&tiles).root_at(size)? == judged.checkpoint.root
        };
        if !is_ours {
            return Err(JournalError::SetBack {
                what: format!(
                    "{peer} has cosigned {size} entries that are not those that are here"
                ),
            });
        }
        let now = (self.0.unix_ms)() / 1_000;
        let mut day = now / DAY;
        let mut batch = Batch::new();
        if let Some((earlier, known)) = self.newest_cosigned(peer)? {
            // Never before the newest, whatever becomes of the clock: else an older one would count as that.
            day = day.max(earlier);
            let newest = size_of(&known).unwrap_or_default();
            let holds = notes::verify(&self.0.node, &known, own, witnesses)
                .is_ok_and(|known| known.witnessed.iter().any(|(key, _)| is_by(key)));
            if newest > size || (newest == size && holds) {
                return Ok(Kept { size, at });
            }
            if newest == size {
                batch.delete(layout::cosigned(peer.as_str(), earlier));
            }
            if day > earlier {
                self.make_room(&mut batch, &layout::cosigned_by(peer.as_str()))?;
            }
        }
        let of_peer = witnesses.iter().filter(|key| is_by(key));
        let keys: Vec<VerifierKey> = own.iter().chain(of_peer).cloned().collect();
        let kept = notes::only_by(note, &keys)?;
        batch.put(layout::cosigned(peer.as_str(), day), kept.into_bytes());
        self.put(batch).await?;
        Ok(Kept { size, at })
    }

    /// Removes the oldest of the rows that begin so, if one more would be too many.
    fn make_room(&self, batch: &mut Batch, rows: &[u8]) -> Result<(), JournalError> {
        let (start, end) = layout::prefix(rows);
        let store = self.store()?;
        let rows = store.scan(&start, &end, JOURNAL_NOTES_MAX, Direction::Forward)?;
        if rows.len() >= JOURNAL_NOTES_MAX
            && let Some((oldest, _)) = rows.into_iter().next()
        {
            batch.delete(oldest);
        }
        Ok(())
    }

    /// The day and the note.
    fn newest_cosigned(&self, peer: &NodeName) -> Result<Option<(u64, String)>, JournalError> {
        let (start, end) = layout::prefix(&layout::cosigned_by(peer.as_str()));
        let rows = self.store()?.scan(&start, &end, 1, Direction::Backward)?;
        Ok(rows.into_iter().next().and_then(|(key, value)| {
            let (_, day) = layout::parse_of_peer(&key)?;
            Some((day, String::from_utf8(value).ok()?))
        }))
    }

    /// The newest checkpoint of this journal that a peer has cosigned: size and note.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn last_cosigned(&self, peer: &NodeName) -> Result<Option<(u64, String)>, JournalError> {
        let newest = self.newest_cosigned(peer)?;
        Ok(newest.and_then(|(_, note)| Some((size_of(&note)?, note))))
    }

    /// Every checkpoint of this journal that is kept with a peer's cosignature: peer, size, note.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn cosigned(&self) -> Result<Vec<(String, u64, String)>, JournalError> {
        let (start, end) = layout::region(b'C');
        let rows = self
            .store()?
            .scan(&start, &end, usize::MAX, Direction::Forward)?;
        Ok(rows
            .into_iter()
            .filter_map(|(key, value)| {
                let (peer, _) = layout::parse_of_peer(&key)?;
                let note = String::from_utf8(value).ok()?;
                Some((peer, size_of(&note)?, note))
            })
            .collect())
    }

    /// The last checkpoint of each peer's journal that was cosigned here: the peer and what is kept.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn witnessed(&self) -> Result<Vec<(String, JournalWitness)>, JournalError> {
        let (start, end) = layout::region(b'W');
        let rows = self
            .store()?
            .scan(&start, &end, usize::MAX, Direction::Forward)?;
        Ok(rows
            .into_iter()
            .filter_map(|(key, value)| {
                let peer = String::from_utf8(key.get(1..)?.to_vec()).ok()?;
                Some((peer, JournalWitness::decode(value.as_slice()).ok()?))
            })
            .collect())
    }

    /// What was cosigned last of a peer's journal.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn last_witnessed(&self, peer: &NodeName) -> Result<Option<JournalWitness>, JournalError> {
        let row = self.store()?.get(&layout::witnessed(peer.as_str()))?;
        Ok(row.and_then(|row| JournalWitness::decode(row.as_slice()).ok()))
    }

    /// Cosigns a checkpoint of a peer's journal, if it extends what was cosigned of it before; that is
    /// durable before it is cosigned. Returns the cosigned note.
    ///
    /// # Errors
    /// [`Unwitnessed`].
    pub async fn witness(
        &self,
        peer: &NodeName,
        offer: &Offer,
        peer_keys: &[VerifierKey],
        key: &LogKey,
    ) -> Result<String, Unwitnessed> {
        let (bytes, hashes) = (offer.note.len(), offer.consistency.len());
        if bytes > JOURNAL_NOTE_BYTES_MAX || hashes > JOURNAL_PROOF_HASHES_MAX {
            return Err(Unwitnessed::TooLarge { bytes, hashes });
        }
        let origin = notes::origin(peer);
        let believed = notes::only_by(&offer.note, peer_keys)
            .and_then(|note| notes::verify(peer, &note, peer_keys, &[]));
        let signed = believed.map_err(|error| Unwitnessed::Note {
            origin: origin.clone(),
            error,
        })?;
        let advance = Advance {
            origin: origin.clone(),
            old_size: offer.old_size,
            size: signed.checkpoint.size,
            root: signed.checkpoint.root,
            consistency: offer.consistency.clone(),
        };
        let advanced = self
            .ask(|reply| Command::Advance(Box::new(advance), reply))
            .await?;
        let before = || -> Result<String, JournalError> {
            let kept = self.last_witnessed(peer)?;
            Ok(kept.map(|kept| kept.note).unwrap_or_default())
        };
        match advanced {
            Advanced::Recorded => {}
            Advanced::OtherSize { known } => {
                return Err(Unwitnessed::OtherSize {
                    old: offer.old_size,
                    known,
                    note: before()?,
                });
            }
            Advanced::Contradiction { known, why } => {
                return Err(Unwitnessed::Contradiction {
                    origin,
                    known,
                    size: signed.checkpoint.size,
                    why,
                    evidence: vec![before()?, offer.note.clone()],
                });
            }
        }
        // The mark is durable.
        let now_ms = (self.0.unix_ms)();
        let cosigned =
            notes::cosign(key, &self.0.node, &signed, now_ms / 1_000).map_err(|error| {
                Unwitnessed::Note {
                    origin: origin.clone(),
                    error,
                }
            })?;
        let kept = JournalWitness {
            note: cosigned.clone(),
            at: Some(prost_types::Timestamp {
                seconds: i64::try_from(now_ms / 1_000).unwrap_or(i64::MAX),
                nanos: 0,
            }),
        };
        let mut batch = Batch::new();
        if let Some(former) = self.last_witnessed(peer)? {
            let at = seconds_of(&former);
            if at / DAY != now_ms / 1_000 / DAY {
                self.keep_former(&mut batch, peer, &former)?;
            }
        }
        batch.put(layout::witnessed(peer.as_str()), kept.encode_to_vec());
        self.put(batch).await?;
        Ok(cosigned)
    }

    /// Forgets what was cosigned of a peer's journal, so that the one it shows now is taken as the first. For
    /// a person who knows why it was lost; who notes that before.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn accept_anew(&self, peer: &NodeName) -> Result<(), JournalError> {
        if let Some(former) = self.last_witnessed(peer)? {
            let mut batch = Batch::new();
            self.keep_former(&mut batch, peer, &former)?;
            self.put(batch).await?;
        }
        let origin = notes::origin(peer);
        self.ask(|reply| Command::Forget(origin, reply)).await
    }

    /// Keeps what was cosigned of a peer's journal beside what will be: it may prove something one day.
    fn keep_former(
        &self,
        batch: &mut Batch,
        peer: &NodeName,
        former: &JournalWitness,
    ) -> Result<(), JournalError> {
        self.make_room(batch, &layout::all_witnessed_before(peer.as_str()))?;
        let key = layout::witnessed_before(peer.as_str(), seconds_of(former));
        batch.put(key, former.encode_to_vec());
        Ok(())
    }

    /// What was cosigned here of the peers' journals before [`Journal::witnessed`]: of each day the last, and
    /// what was there before a person accepted another journal. Peer, Unix seconds and what is kept.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn witnessed_before(&self) -> Result<Vec<(String, u64, JournalWitness)>, JournalError> {
        let (start, end) = layout::region(b'V');
        let store = self.store()?;
        let rows = store.scan(&start, &end, usize::MAX, Direction::Forward)?;
        Ok(rows
            .into_iter()
            .filter_map(|(key, value)| {
                let (peer, at) = layout::parse_of_peer(&key)?;
                let kept = JournalWitness::decode(value.as_slice()).ok()?;
                Some((peer, at, kept))
            })
            .collect())
    }

    async fn put(&self, batch: Batch) -> Result<(), JournalError> {
        self.ask(|reply| Command::Put(batch, reply)).await
    }
}

const DAY: u64 = 86_400;

fn seconds_of(kept: &JournalWitness) -> u64 {
    let at = kept.at.unwrap_or_default();
    u64::try_from(at.seconds).unwrap_or_default()
}

/// The size that a note speaks of; it was judged when it was kept.
fn size_of(note: &str) -> Option<u64> {
    let (text, _) = note.split_once("\n\n")?;
    let checkpoint = Checkpoint::parse(&format!("{text}\n")).ok()?;
    Some(checkpoint.size)
}

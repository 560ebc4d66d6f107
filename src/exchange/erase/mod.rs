//! Erasing a body for ever, while every signature, receipt and proof of it still verifies.
//!
//! ```text
//! 1  decided   a record of who, why and what, and a mark that it is not done       (one commit)
//! 2            the keys of body and files are destroyed in the key files           (no way back)
//! 3            what they sealed is removed: files, then the body in its record
//! 4  gone      (one commit)
//! 5  said      ERASURE_NOTICE in the own log, then the mark is removed             (two commits)
//! ```
//!
//! Whether another message names a file is asked when it is decided, and again before its key is destroyed.
//!
//! After a crash the marks tell what to go on with ([`Exchange::complete_erasures`]): before 1 the body
//! is as it was, from 1 on it will be gone. Nothing is said twice: before a notice is signed, those that
//! answer the message are looked at.
//!
//! An entry signs the salted digest of its body, not the body, so nothing else is touched. What the cases
//! know of it lies sealed under the same key, and is gone with it.

mod act;
mod again;
mod look;
mod row;

use super::clock::timestamp_of_ms;
use super::command::{Command, RecordError};
use super::layout;
use super::read::ReadError;
use super::submit::{Author, SubmitError};
use super::{Exchange, Link, LogSide};
use crate::limits::LINE_BYTES_MAX;
use crate::model::MessageId;
use crate::model::text::line_fault;
use crate::proto::v1;
use crate::store::{KeyCopy, StoreError};

pub use row::Erasure;
pub(crate) use row::{Row, places, read};

use look::{Found, Target};
use row::Place;

/// Messages that are erased in one go.
pub const ERASE_AT_ONCE: usize = 256;

/// By whom and under what bodies are to be erased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErasureOrder {
    /// Who orders it.
    pub by: Author,
    /// Why: one line, for this side only. No names of persons belong into it.
    pub reason: String,
    /// Law, order or rule: one line; the peer is told.
    pub authority: String,
}

/// What an erasure did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erased {
    /// By whom, when, under what.
    pub erasure: Erasure,
    /// Attachments that were destroyed with it.
    pub files: usize,
    /// Attachments that stay, since other messages name them.
    pub kept_files: usize,
    /// It lay sealed. If not, old copies of the store may still hold it.
    pub was_sealed: bool,
    /// It was erased before; nothing was done now.
    pub already: bool,
    /// Copies of the key files that may still be somewhere and hold its keys.
    pub copies: Vec<KeyCopy>,
}

/// Why a body was not erased. It is as it was, but for [`EraseError::Keys`] and what follows it.
#[derive(Debug, thiserror::Error)]
pub enum EraseError {
    /// Reason or authority are no such text.
    #[error("{field}: {fault}; {remedy}")]
    Text {
        /// Which.
        field: &'static str,
        /// What is wrong.
        fault: String,
        /// What to do.
        remedy: &'static str,
    },
    /// No message of the link has the id.
    #[error("{id}: no such message")]
    NotFound {
        /// The id.
        id: MessageId,
    },
    /// The peer does not have it yet.
    #[error(
        "{id} is not delivered: erased now, nobody could ever read it. Withdraw it \
         (liaison new WITHDRAWAL --supersedes {id}), and erase it when the peer has receipted it"
    )]
    NotDelivered {
        /// The id.
        id: MessageId,
    },
    /// Its files are still on their way.
    #[error(
        "attachments of {id} are still on their way; erase it when `liaison show {id}` shows them whole"
    )]
    FilesUnderWay {
        /// The id.
        id: MessageId,
    },
    /// It came ahead of its turn.
    #[error("{id} came ahead of its turn; erase it when the messages before it have come")]
    Expressed {
        /// The id.
        id: MessageId,
    },
    /// Its case is on hold.
    #[error("{id} is of a case on hold: nothing of it is erased. See liaison hold list")]
    Held {
        /// The id.
        id: MessageId,
    },
    /// Nodes say it of keys, places and digests.
    #[error(
        "{id} is a {kind} that a node says by itself: it names no person, and the log is judged by it"
    )]
    System {
        /// The id.
        id: MessageId,
        /// Its kind.
        kind: &'static str,
    },
    /// The link gets its records back.
    #[error("the records of this link are being restored from the peer; erase when they are whole")]
    Restoring,
    /// The keys were not destroyed, or the node does not know it. It goes on by itself.
    #[error(
        "it is decided and on record, and not done yet: {0}. The node tries again every hour and when it starts"
    )]
    Keys(String),
    /// The store cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It cannot be recorded.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The notice cannot be signed. The body is gone; the node says so later.
    #[error("the body is gone; the notice to the peer was not signed yet: {0}")]
    Notice(#[source] Box<SubmitError>),
}

impl From<StoreError> for EraseError {
    fn from(error: StoreError) -> Self {
        Self::Read(error.into())
    }
}

impl From<&Erasure> for v1::Erasure {
    fn from(erasure: &Erasure) -> Self {
        Self {
            at: Some(timestamp_of_ms(erasure.at_ms)),
            by: erasure.by.clone(),
            reason: erasure.reason.clone(),
            authority: erasure.authority.clone(),
        }
    }
}

impl ErasureOrder {
    /// Whether both texts are such texts.
    ///
    /// # Errors
    /// [`EraseError::Text`].
    pub fn check(&self) -> Result<(), EraseError> {
        let texts = [
            (
                "reason",
                &self.reason,
                "say in one line why; it is recorded",
            ),
            (
                "authority",
                &self.authority,
                "name the law, order or rule in one line; it is recorded, and the peer is told",
            ),
        ];
        for (field, text, remedy) in texts {
            let Some(fault) = line_fault(text, LINE_BYTES_MAX) else {
                continue;
            };
            return Err(EraseError::Text {
                field,
                fault,
                remedy,
            });
        }
        Ok(())
    }
}

impl Exchange {
    /// Erases the body of a message for ever, with its attachments as far as no other message names
    /// them, and says so to the peer. Durable when it returns. That it was erased before is no error.
    ///
    /// # Errors
    /// [`EraseError`].
    pub async fn erase(
        &self,
        link: &Link,
        id: MessageId,
        order: &ErasureOrder,
    ) -> Result<Erased, EraseError> {
        let mut erased = self.erase_all(link, &[id], order).await?;
        erased.pop().ok_or(EraseError::NotFound { id })
    }

    /// As [`Exchange::erase`], several messages of a link: their keys are destroyed together. Call it with at
    /// most [`ERASE_AT_ONCE`]. Either all of them can be erased, or nothing is done.
    ///
    /// # Errors
    /// [`EraseError`], of the first that cannot.
    pub async fn erase_all(
        &self,
        link: &Link,
        ids: &[MessageId],
        order: &ErasureOrder,
    ) -> Result<Vec<Erased>, EraseError> {
        order.check()?;
        let _alone = self.erasing.lock().await;
        if link.head().restoring.is_some() {
            return Err(EraseError::Restoring);
        }
        let erasure = Erasure {
            at_ms: self.clock.unix_ms(),
            by: order.by.as_str().to_owned(),
            reason: order.reason.trim().to_owned(),
            authority: order.authority.trim().to_owned(),
        };
        let mut done = Vec::with_capacity(ids.len());
        let mut targets: Vec<Target> = Vec::new();
        for id in ids {
            let others: Vec<Place> = targets.iter().map(|target| target.place).collect();
            match self.erasable(link, *id, &erasure, &others)? {
                Found::Target(target) => targets.push(*target),
                Found::Gone(row) => done.push(self.told(&row, true)),
            }
        }
        let mut writes = Vec::new();
        for Target { place, row, .. } in targets.iter().filter(|target| !target.is_begun) {
            writes.extend(row.writes(*place));
            writes.push((layout::erasing(place.0, place.1, place.2), Some(Vec::new())));
        }
        if !writes.is_empty() {
            self.ask(|reply| Command::Erase(writes, reply)).await?;
        }
        let targets = targets.into_iter().map(|target| (target.place, target.row));
        for (_, row) in self.go_on_erasing(link, targets.collect()).await? {
            done.push(self.told(&row, false));
        }
        Ok(done)
    }

    /// What erasing a message would destroy: told as if it were done, and nothing is.
    ///
    /// # Errors
    /// As [`Exchange::erase`].
    pub fn would_erase(&self, link: &Link, id: MessageId) -> Result<Erased, EraseError> {
        let erasure = Erasure {
            at_ms: self.clock.unix_ms(),
            by: String::new(),
            reason: String::new(),
            authority: String::new(),
        };
        Ok(match self.erasable(link, id, &erasure, &[])? {
            Found::Gone(row) => self.told(&row, true),
            Found::Target(target) => self.told(&target.row, false),
        })
    }

    fn told(&self, row: &Row, already: bool) -> Erased {
        // One that was made since does not hold what was destroyed by then.
        let until_ms = row.gone_at_ms.unwrap_or(u64::MAX);
        let vault = self.blobs.vault();
        let mut copies = vault.map_or_else(Vec::new, |vault| vault.copies_of(&row.key_addresses()));
        copies.retain(|copy| copy.at_ms <= until_ms);
        Erased {
            erasure: row.erasure.clone(),
            files: row.files.len(),
            kept_files: row.kept_files.len(),
            was_sealed: row.was_sealed(),
            already,
            copies,
        }
    }

    /// Who erased a message of a log, when and why; `None` when nobody did.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn erasure_of(
        &self,
        link: &Link,
        side: LogSide,
        index: u64,
    ) -> Result<Option<Erasure>, ReadError> {
        let row = read(&*self.store, (link.number, side, index))?;
        Ok(row.map(|row| row.erasure))
    }
}

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
//! After a crash the marks tell what to go on with ([`Exchange::complete_erasures`]): before 1 the body
//! is as it was, from 1 on it will be gone. Nothing is said twice: before a notice is signed, those that
//! answer the message are looked at.
//!
//! An entry signs the salted digest of its body, not the body, so nothing else is touched. What the cases
//! know of it lies sealed under the same key, and is gone with it.

mod row;

use std::sync::Arc;

use super::clock::timestamp_of_ms;
use super::command::{Command, Holds, RecordError};
use super::layout::{self, FileRef, Place, Region, StoredBody};
use super::overlay::Write;
use super::read::{LogReader, ReadError, Stored};
use super::submit::{Author, SubmitError, files_of, header_of};
use super::{Exchange, Link, LogSide};
use crate::limits::LINE_BYTES_MAX;
use crate::model::body::{self, Decoded};
use crate::model::text::is_steering;
use crate::model::{Header, MessageId};
use crate::proto::v1::{self, Kind};
use crate::store::{Direction, KeyCopy, StoreError, Vault};

pub use row::Erasure;
pub(crate) use row::{Row, places, read};

use row::Step;

/// Messages that are erased in one go.
pub const ERASE_AT_ONCE: usize = 256;
/// Times that a notice is signed anew because its key ended meanwhile.
const SIGN_AGAIN_MAX: usize = 8;

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

/// A message that is to be erased, looked at.
struct Target {
    place: row::Place,
    row: Row,
    was_sealed: bool,
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
            let fault = if text.trim().is_empty() {
                "it is empty".to_owned()
            } else if text.len() > LINE_BYTES_MAX {
                let bytes = text.len();
                format!("{bytes} bytes, over the limit of {LINE_BYTES_MAX}")
            } else if text.chars().any(is_steering) {
                "it holds control or direction characters".to_owned()
            } else {
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
            let found = self.erasable(link, *id, &erasure, &targets)?;
            match found {
                Ok(target) => {
                    done.push(Erased {
                        erasure: erasure.clone(),
                        files: target.row.files.len(),
                        kept_files: target.row.kept_files.len(),
                        was_sealed: target.was_sealed,
                        already: false,
                        copies: self.copies_of(&target.row),
                    });
                    targets.push(target);
                }
                Err(already) => done.push(already),
            }
        }
        let mut writes = Vec::new();
        for Target { place, row, .. } in &targets {
            writes.extend(row.writes(*place));
            writes.push((layout::erasing(place.0, place.1, place.2), Some(Vec::new())));
        }
        self.ask(|reply| Command::Erase(writes, reply)).await?;
        let targets = targets.into_iter().map(|target| (target.place, target.row));
        self.go_on_erasing(link, targets.collect()).await?;
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
            Err(already) => already,
            Ok(target) => Erased {
                files: target.row.files.len(),
                kept_files: target.row.kept_files.len(),
                was_sealed: target.was_sealed,
                copies: self.copies_of(&target.row),
                erasure,
                already: false,
            },
        })
    }

    fn copies_of(&self, row: &Row) -> Vec<KeyCopy> {
        let vault = self.blobs.vault();
        vault.map_or_else(Vec::new, |vault| vault.copies_of(&row.key_addresses()))
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

    fn erasable(
        &self,
        link: &Link,
        id: MessageId,
        erasure: &Erasure,
        others: &[Target],
    ) -> Result<Result<Target, Erased>, EraseError> {
        let (side, index) = match self.place(link, id)? {
            None => return Err(EraseError::NotFound { id }),
            Some(Place::Expressed(_)) => return Err(EraseError::Expressed { id }),
            Some(Place::Log(side, index)) => (side, index),
        };
        let place = (link.number, side, index);
        if let Some(row) = read(&*self.store, place)? {
            return Ok(Err(Erased {
                files: row.files.len(),
                kept_files: row.kept_files.len(),
                was_sealed: !row.keys.is_empty(),
                copies: self.copies_of(&row),
                erasure: row.erasure,
                already: true,
            }));
        }
        let reader = self.reader(link, side);
        let stored = reader.entry(index)?;
        let header = header_of(&stored, &link.origin(side).to_string())?;
        let kind = Kind::try_from(header.kind).unwrap_or(Kind::Unspecified);
        if body::is_system_kind(kind) {
            let kind = kind.as_str_name();
            return Err(EraseError::System { id, kind });
        }
        // Asked here, where whoever puts a case on hold waits for this to be over.
        if self.hold_of(link, header.thread_id)?.is_some() {
            return Err(EraseError::Held { id });
        }
        if side == LogSide::Own && index >= link.head().delivered_size {
            return Err(EraseError::NotDelivered { id });
        }
        if side == LogSide::Own
            && self
                .store
                .get(&layout::outgoing(link.number, index))?
                .is_some()
        {
            return Err(EraseError::FilesUnderWay { id });
        }
        let (mut keys, mut files, mut kept_files) = (Vec::new(), Vec::new(), Vec::new());
        keys.extend(
            stored
                .record
                .body
                .key()
                .map(|key| hex::encode(key.encode())),
        );
        let was_sealed = !keys.is_empty();
        for file in named_in(&reader, &stored, &header)? {
            let name = hex::encode(file.sha256);
            if self.is_named_elsewhere(&file, place, others)? {
                kept_files.push(name);
                continue;
            }
            match self.blobs.key_of(&file.sha256) {
                Ok(key) => keys.extend(key.map(|key| hex::encode(key.encode()))),
                // With an erasure that was cut off.
                Err(StoreError::Erased { .. }) => {}
                Err(error) => return Err(error.into()),
            }
            files.push(name);
        }
        let row = Row {
            erasure: erasure.clone(),
            id: id.to_string(),
            case: header.thread_id.to_string(),
            keys,
            body_file: stored.record.body.file().map(hex::encode),
            files,
            kept_files,
            step: Step::Decided,
        };
        Ok(Ok(Target {
            place,
            row,
            was_sealed,
        }))
    }

    /// Whether another message names a file, that is not among those which are erased now. A store that
    /// does not know by whom it is named at all, keeps it.
    fn is_named_elsewhere(
        &self,
        file: &FileRef,
        place: row::Place,
        others: &[Target],
    ) -> Result<bool, StoreError> {
        let (start, end) = layout::naming_of(&file.sha256);
        let rows = self
            .store
            .scan(&start, &end, ERASE_AT_ONCE + 1, Direction::Forward)?;
        let own = |(number, side, index)| layout::naming(&file.sha256, number, side, index);
        let here = own(place);
        let others: Vec<_> = others.iter().map(|other| own(other.place)).collect();
        let mut is_known = false;
        for (key, _) in &rows {
            is_known |= *key == here;
            if *key != here && !others.contains(key) {
                return Ok(true);
            }
        }
        Ok(!is_known)
    }

    /// Goes on with erasures that are decided: from where each of them stands.
    async fn go_on_erasing(
        &self,
        link: &Link,
        targets: Vec<(row::Place, Row)>,
    ) -> Result<(), EraseError> {
        let decided = targets.iter().filter(|(_, row)| row.step == Step::Decided);
        let decided: Vec<_> = decided.cloned().collect();
        if !decided.is_empty() {
            self.destroy(decided).await?;
        }
        for (_, row) in &targets {
            if let Ok(case) = MessageId::parse(&row.case) {
                Self::let_case_go(link, case);
            }
        }
        for (place, mut row) in targets {
            if row.step != Step::Said {
                self.say_erased(link, place, &row).await?;
            }
            row.step = Step::Said;
            let mut writes = row.writes(place);
            writes.push((layout::erasing(place.0, place.1, place.2), None));
            self.ask(|reply| Command::Erase(writes, reply)).await?;
        }
        Ok(())
    }

    /// Destroys keys, files and bodies.
    async fn destroy(&self, mut targets: Vec<(row::Place, Row)>) -> Result<(), EraseError> {
        let blobs = Arc::clone(&self.blobs);
        let rows: Vec<Row> = targets.iter().map(|(_, row)| row.clone()).collect();
        let work = move || {
            let keys: Vec<_> = rows.iter().flat_map(Row::key_addresses).collect();
            if !keys.is_empty() {
                let vault = blobs
                    .vault()
                    .ok_or_else(|| ReadError::NoVault.to_string())?;
                vault.destroy(&keys).map_err(|error| error.to_string())?;
            }
            for row in &rows {
                for file in row.digests() {
                    blobs.remove_attachment(&file).map_err(|e| e.to_string())?;
                }
            }
            Ok(())
        };
        let destroyed = if self.is_inline() {
            work()
        } else {
            let ended = tokio::task::spawn_blocking(work).await;
            ended.unwrap_or_else(|_| Err("the node is going down".to_owned()))
        };
        destroyed.map_err(EraseError::Keys)?;
        let mut writes = Vec::new();
        for (place, row) in &mut targets {
            let (number, side, index) = *place;
            let reader = LogReader::new(&self.store, &self.blobs, number, side);
            let mut record = reader.entry(index)?.record;
            record.body = StoredBody::Absent;
            writes.push((layout::entry(number, side, index), Some(record.encode())));
            if side == LogSide::Mirror {
                // What has not come of its files is wanted no more.
                writes.push((layout::pending(number, index), None));
            }
            for file in row.digests() {
                writes.push((layout::naming(&file, number, side, index), None));
                for link in self.links() {
                    for side in [LogSide::Own, LogSide::Mirror] {
                        writes.push((layout::wanted(link.number, side, &file), None));
                    }
                }
            }
            for file in row
                .kept_files
                .iter()
                .filter_map(|file| hex::decode(file).ok())
            {
                if let Ok(file) = <[u8; 32]>::try_from(file) {
                    writes.push((layout::naming(&file, number, side, index), None));
                }
            }
            row.step = Step::Gone;
            writes.extend(row.writes(*place));
        }
        let destroyed = targets.iter().map(|(_, row)| row.keys.len() as u64).sum();
        writes.push(self.destroyed_row(destroyed)?);
        self.ask(|reply| Command::Erase(writes, reply)).await?;
        // The record names it no more: what is left is ciphertext without a key.
        for (_, row) in &targets {
            if let Some(file) = row.body_digest() {
                self.blobs.remove(&file)?;
            }
        }
        Ok(())
    }

    /// How many keys this store has had destroyed, with so many more.
    fn destroyed_row(&self, more: u64) -> Result<Write, StoreError> {
        let count = self.destroyed_count()?.unwrap_or(0) + more;
        Ok((layout::punctured(), Some(count.to_be_bytes().to_vec())))
    }

    fn destroyed_count(&self) -> Result<Option<u64>, StoreError> {
        let count = self.store.get(&layout::punctured())?;
        Ok(count.and_then(|count| Some(u64::from_be_bytes(count.try_into().ok()?))))
    }

    /// Says to the peer that a body is gone, unless it was said.
    async fn say_erased(
        &self,
        link: &Link,
        place: row::Place,
        row: &Row,
    ) -> Result<(), EraseError> {
        let Some((id, thread_id)) = row.ids() else {
            return Ok(());
        };
        if self.own_notice_of(link, id)?.is_some() {
            return Ok(());
        }
        let reader = self.reader(link, place.1);
        let stored = reader.entry(place.2)?;
        let header = header_of(&stored, &link.origin(place.1).to_string())?;
        debug_assert_eq!((header.id, header.thread_id), (id, thread_id));
        for _ in 0..SIGN_AGAIN_MAX {
            let notice = self.erasure_notice(link, &header, &row.erasure);
            let own = notice.map_err(|error| EraseError::Notice(Box::new(error)))?;
            let said = self
                .ask(|reply| Command::Append(link.number, Box::new(own), Holds::default(), reply))
                .await;
            match said {
                Ok(_) => return Ok(()),
                Err(RecordError::KeyEnded) => {}
                Err(error) => return Err(EraseError::Notice(Box::new(error.into()))),
            }
        }
        Err(EraseError::Notice(Box::new(RecordError::KeyEnded.into())))
    }

    /// Index of the notice in the own log that a message was erased here.
    fn own_notice_of(&self, link: &Link, id: MessageId) -> Result<Option<u64>, StoreError> {
        self.notice_of(link, id, LogSide::Own)
    }

    fn notice_of(
        &self,
        link: &Link,
        id: MessageId,
        by: LogSide,
    ) -> Result<Option<u64>, StoreError> {
        let (start, end) = layout::answers_of(link.number, id);
        let rows = self
            .store
            .scan(&start, &end, usize::MAX, Direction::Forward)?;
        Ok(rows.iter().find_map(|(key, value)| {
            let (side, index) = layout::answer_place(key)?;
            let kind = i32::from_be_bytes(value[..].try_into().ok()?);
            (side == by && kind == Kind::ErasureNotice as i32).then_some(index)
        }))
    }

    /// What a side has said of having erased its copy of a message: when, and under what authority.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn erasure_said(
        &self,
        link: &Link,
        id: MessageId,
        by: LogSide,
    ) -> Result<Option<v1::ErasureNotice>, ReadError> {
        let Some(index) = self.notice_of(link, id, by)? else {
            return Ok(None);
        };
        let reader = self.reader(link, by);
        let stored = reader.entry(index)?;
        let Some((_, bytes)) = reader.body(&stored)? else {
            return Ok(None);
        };
        Ok(prost::Message::decode(bytes).ok())
    }

    /// Goes on with erasures that a crash or a full disk has cut off; at each start before anything is
    /// shown, and every hour. Destroys again what an older copy of the key files has brought back.
    ///
    /// # Errors
    /// The first one's; the others are tried.
    pub async fn complete_erasures(&self) -> Result<(), EraseError> {
        let _alone = self.erasing.lock().await;
        self.destroy_again().await?;
        let mut first = Ok(());
        let mut behind = None;
        loop {
            let open = places(&*self.store, Region::Erasing, behind, ERASE_AT_ONCE)?;
            let Some(last) = open.last() else {
                return first;
            };
            behind = Some(*last);
            for place in open {
                let link = self.links().find(|link| link.number == place.0);
                let (Some(link), Some(row)) = (link, read(&*self.store, place)?) else {
                    continue;
                };
                if link.head().restoring.is_some() {
                    continue;
                }
                let link = Arc::clone(link);
                let done = self.go_on_erasing(&link, vec![(place, row)]).await;
                if let (Err(error), Ok(())) = (done, &first) {
                    first = Err(error);
                }
            }
        }
    }

    /// Destroys the keys of everything that was erased again, if fewer are destroyed than once were.
    async fn destroy_again(&self) -> Result<(), EraseError> {
        let Some(vault) = self.blobs.vault() else {
            return Ok(());
        };
        let once = self.destroyed_count()?;
        if once.is_some_and(|once| vault.punctured() >= once) {
            return Ok(());
        }
        let (mut behind, mut count) = (None, 0_u64);
        loop {
            let page = places(&*self.store, Region::Erased, behind, ERASE_AT_ONCE)?;
            let Some(last) = page.last() else { break };
            behind = Some(*last);
            let mut keys = Vec::new();
            for place in &page {
                let row = read(&*self.store, *place)?;
                keys.extend(row.iter().flat_map(Row::key_addresses));
            }
            count += keys.len() as u64;
            let destroyed = destroy_keys(Arc::clone(vault), keys).await?;
            if destroyed > 0 {
                tracing::warn!(
                    destroyed,
                    "an older copy of the key files was put back: keys of erased bodies are destroyed again"
                );
            }
        }
        if once == Some(count) || (once.is_none() && count == 0) {
            return Ok(());
        }
        let row = (layout::punctured(), Some(count.to_be_bytes().to_vec()));
        Ok(self.ask(|reply| Command::Erase(vec![row], reply)).await?)
    }

    /// Erases again what this side had said to be erased, and what came back with the records of a link.
    ///
    /// # Errors
    /// The first one's.
    pub async fn erase_what_came_back(&self, link: &Link) -> Result<usize, EraseError> {
        let _alone = self.erasing.lock().await;
        let (mut start, end) = layout::all_answers(link.number);
        let mut erased = 0;
        loop {
            let rows = self
                .store
                .scan(&start, &end, ERASE_AT_ONCE, Direction::Forward)?;
            let Some((last, _)) = rows.last() else {
                return Ok(erased);
            };
            start.clone_from(last);
            start.push(0);
            for (key, value) in &rows {
                let is_notice = value[..] == (Kind::ErasureNotice as i32).to_be_bytes();
                let Some((LogSide::Own, index)) = layout::answer_place(key).filter(|_| is_notice)
                else {
                    continue;
                };
                let Some(id) = layout::answered(key) else {
                    continue;
                };
                erased += usize::from(self.erase_again(link, id, index).await?);
            }
        }
    }

    /// Says whether there was something to erase.
    async fn erase_again(
        &self,
        link: &Link,
        id: MessageId,
        notice: u64,
    ) -> Result<bool, EraseError> {
        let reader = self.reader(link, LogSide::Own);
        let stored = reader.entry(notice)?;
        let Some((_, said)) = reader.body(&stored)? else {
            return Ok(false);
        };
        let Ok(said) = <v1::ErasureNotice as prost::Message>::decode(said) else {
            return Ok(false);
        };
        let at = said.erased_at.unwrap_or_default();
        let at_ms = u64::try_from(at.seconds).unwrap_or(0) * 1_000;
        let erasure = Erasure {
            at_ms: at_ms + u64::try_from(at.nanos / 1_000_000).unwrap_or(0),
            by: "node".to_owned(),
            reason: "this side had said so before its records were restored".to_owned(),
            authority: said.authority,
        };
        match self.erasable(link, id, &erasure, &[]) {
            Ok(Ok(target)) => {
                let had_body = self
                    .reader(link, target.place.1)
                    .entry(target.place.2)?
                    .record
                    .body
                    != StoredBody::Absent;
                let place = target.place;
                let mut writes = target.row.writes(place);
                writes.push((layout::erasing(place.0, place.1, place.2), Some(Vec::new())));
                self.ask(|reply| Command::Erase(writes, reply)).await?;
                self.go_on_erasing(link, vec![(place, target.row)]).await?;
                Ok(had_body)
            }
            Ok(Err(_))
            | Err(
                EraseError::NotFound { .. } | EraseError::System { .. } | EraseError::Held { .. },
            ) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

async fn destroy_keys(
    vault: Arc<Vault>,
    keys: Vec<crate::store::KeyAddress>,
) -> Result<usize, EraseError> {
    let work = move || vault.destroy(&keys).map_err(|error| error.to_string());
    let ended = tokio::task::spawn_blocking(work).await;
    ended
        .unwrap_or_else(|_| Err("the node is going down".to_owned()))
        .map_err(EraseError::Keys)
}

/// The files that a message names, as far as its body can be read.
fn named_in(
    reader: &LogReader,
    stored: &Stored,
    header: &Header,
) -> Result<Vec<FileRef>, EraseError> {
    let read = match reader.body(stored) {
        Ok(Some((_, bytes))) => body::decode(header.kind, &header.schema, &bytes),
        // What does not open, nobody reads; that it is erased shall not hang on it.
        Ok(None) | Err(ReadError::Damaged { .. } | ReadError::Missing { .. }) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(error.into()),
    };
    Ok(match read {
        Ok(Decoded::Known(v1::Body {
            body: Some(content),
        })) => files_of(&content),
        _ => Vec::new(),
    })
}

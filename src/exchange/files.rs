//! Attachments: which files a link still owes, each way, and what follows when they have come.
//!
//! A file travels apart from its message, named by its content. It is taken only if a message
//! admitted here names it, and given only if a message sent on this link does. When the last file
//! of a message has arrived and been checked, the node says so:
//! `ATTACHMENTS_RECEIVED`.

use std::collections::BTreeMap;

use tokio::sync::watch;

use super::command::{Command, Holds};
use super::layout::{self, FileRef, FileRefs, Region};
use super::read::LogReader;
use super::submit::{SubmitError, header_of};
use super::{Exchange, Link, LogSide};
use crate::store::{Direction, StoreError};

/// Messages with files under way that are read in one go: at most 64 files each, 640 KiB.
const MESSAGES_AT_ONCE: usize = 256;

/// A page of files that are owed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilesPage {
    /// Each file once.
    pub files: Vec<FileRef>,
    /// Go on from this index; `None` when there are no more.
    pub next: Option<u64>,
}

/// Messages of a page, by index, with the files each names.
struct OwedPage {
    messages: Vec<(u64, Vec<FileRef>)>,
    next: Option<u64>,
}

impl Exchange {
    /// Follows changes of what a link's files owe: a count that grows.
    #[must_use]
    pub fn watch_files(&self, link: &Link) -> watch::Receiver<u64> {
        link.files.subscribe()
    }

    /// The size of a file that a message of this side names; `None` when none does.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn named_file(
        &self,
        link: &Link,
        side: LogSide,
        sha256: &[u8; 32],
    ) -> Result<Option<u64>, StoreError> {
        let value = self.store.get(&layout::wanted(link.number, side, sha256))?;
        Ok(value.and_then(|v| Some(u64::from_be_bytes(v.try_into().ok()?))))
    }

    /// As long as it is held, nothing is erased.
    pub async fn no_erasure(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.erasing.lock().await
    }

    /// Whether a message of either side of a link names a file: if not, it was erased meanwhile.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn is_file_named(&self, link: &Link, sha256: &[u8; 32]) -> Result<bool, StoreError> {
        let own = self.named_file(link, LogSide::Own, sha256)?;
        let mirror = self.named_file(link, LogSide::Mirror, sha256)?;
        Ok(own.or(mirror).is_some())
    }

    /// Files that are not here yet, of the peer's messages from an index on. A file that the message
    /// names with another size than an earlier message cannot come and is left out.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn missing_files(&self, link: &Link, from: u64) -> Result<FilesPage, StoreError> {
        let page = self.owed(link, Region::Pending, from)?;
        let mut missing = BTreeMap::new();
        for file in page.messages.into_iter().flat_map(|(_, files)| files) {
            if missing.contains_key(&file.sha256)
                || self.blobs.size(&file.sha256)? == Some(file.size)
            {
                continue;
            }
            if self.named_file(link, LogSide::Mirror, &file.sha256)? == Some(file.size) {
                missing.insert(file.sha256, file);
            }
        }
        Ok(FilesPage {
            files: missing.into_values().collect(),
            next: page.next,
        })
    }

    /// Files that the peer has not confirmed, of own messages from an index on that it has receipted:
    /// of others it does not know yet.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn unconfirmed_files(&self, link: &Link, from: u64) -> Result<FilesPage, StoreError> {
        self.unconfirmed_files_below(link, from, link.head().delivered_size)
    }

    /// Files that the peer has not confirmed, of own messages from an index on and below another.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(super) fn unconfirmed_files_below(
        &self,
        link: &Link,
        from: u64,
        end: u64,
    ) -> Result<FilesPage, StoreError> {
        let page = self.owed(link, Region::Outgoing, from)?;
        let files: BTreeMap<_, _> = page
            .messages
            .into_iter()
            .filter(|(index, _)| *index < end)
            .flat_map(|(_, files)| files)
            .map(|file| (file.sha256, file))
            .collect();
        Ok(FilesPage {
            files: files.into_values().collect(),
            next: page.next.filter(|next| *next < end),
        })
    }

    /// Looks again: a file has arrived.
    pub fn file_arrived(&self, link: &Link) {
        link.files.send_modify(|count| *count += 1);
    }

    /// Says `ATTACHMENTS_RECEIVED` for every message whose files are all here; returns for how many.
    ///
    /// # Errors
    /// When one cannot be recorded; those before it are.
    pub async fn confirm_files(&self, link: &Link) -> Result<usize, SubmitError> {
        let _alone = link.confirming.lock().await;
        let mut confirmed = 0;
        if link.head().restoring.is_some() {
            // It may have been said already; looked at again when the records are back.
            return Ok(0);
        }
        let reader = self.reader(link, LogSide::Mirror);
        let mut from = Some(0);
        while let Some(at) = from {
            let page = self.owed(link, Region::Pending, at)?;
            from = page.next;
            for (index, files) in page.messages {
                if self.are_here(&files)? {
                    self.confirm(link, &reader, index, &files).await?;
                    confirmed += 1;
                }
            }
        }
        Ok(confirmed)
    }

    fn are_here(&self, files: &[FileRef]) -> Result<bool, StoreError> {
        for file in files {
            if self.blobs.size(&file.sha256)? != Some(file.size) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn confirm(
        &self,
        link: &Link,
        reader: &LogReader,
        index: u64,
        files: &[FileRef],
    ) -> Result<(), SubmitError> {
        let stored = reader.entry(index)?;
        let header = header_of(&stored, &link.mirror.to_string())?;
        let digests = files.iter().map(|file| file.sha256).collect();
        let own = self.files_received(link, index, &header, digests)?;
        self.ask(|reply| Command::Append(link.number, Box::new(own), Holds::default(), reply))
            .await?;
        Ok(())
    }

    /// How many messages still owe files: the peer's, and the own ones.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn files_under_way(&self, link: &Link) -> Result<(u64, u64), StoreError> {
        let count = |region| {
            let (mut count, mut from) = (0, Some(0));
            while let Some(at) = from {
                let page = self.owed(link, region, at)?;
                count += page.messages.len() as u64;
                from = page.next;
            }
            Ok::<_, StoreError>(count)
        };
        Ok((count(Region::Pending)?, count(Region::Outgoing)?))
    }

    fn owed(&self, link: &Link, region: Region, from: u64) -> Result<OwedPage, StoreError> {
        let (start, end) = layout::indexed_from(region, link.number, from);
        let rows = self
            .store
            .scan(&start, &end, MESSAGES_AT_ONCE, Direction::Forward)?;
        let last = rows.last().filter(|_| rows.len() == MESSAGES_AT_ONCE);
        Ok(OwedPage {
            next: last
                .and_then(|(key, _)| layout::index_of(key))
                .map(|index| index + 1),
            messages: rows
                .iter()
                .filter_map(|(key, value)| {
                    Some((layout::index_of(key)?, FileRefs::decode(value)?.0))
                })
                .collect(),
        })
    }
}

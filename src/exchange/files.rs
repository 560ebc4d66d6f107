//! Attachments: which files a link still owes, each way, and what follows when they have come.
//!
//! A file travels apart from its message, named by its content. It is taken only if a message
//! admitted here names it, and given only if a message sent on this link does. When the last file
//! of a message has arrived and been checked, the node says so:
//! `ATTACHMENTS_RECEIVED`.

use std::collections::BTreeMap;

use tokio::sync::watch;

use super::command::Command;
use super::layout::{self, FileRef, FileRefs, Region};
use super::submit::{SubmitError, header_of};
use super::{Exchange, Link, LogSide};
use crate::store::{Direction, StoreError};

/// Messages with files under way that are looked at in one go.
const MESSAGES_AT_ONCE: usize = 1_024;

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

    /// Files of the peer's messages that are not here yet.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn missing_files(&self, link: &Link) -> Result<Vec<FileRef>, StoreError> {
        let mut missing = BTreeMap::new();
        for (_, files) in self.owed(link, Region::Pending)? {
            for file in files {
                if self.blobs.size(&file.sha256)? != Some(file.size) {
                    missing.insert(file.sha256, file);
                }
            }
        }
        Ok(missing.into_values().collect())
    }

    /// Files of own messages that the peer has not confirmed.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn unconfirmed_files(&self, link: &Link) -> Result<Vec<FileRef>, StoreError> {
        let owed = self.owed(link, Region::Outgoing)?;
        let files: BTreeMap<_, _> = owed
            .into_iter()
            .flat_map(|(_, files)| files)
            .map(|file| (file.sha256, file))
            .collect();
        Ok(files.into_values().collect())
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
        let mut confirmed = 0;
        let reader = self.reader(link, LogSide::Mirror);
        for (index, files) in self.owed(link, Region::Pending)? {
            let mut complete = true;
            for file in &files {
                complete &= self.blobs.size(&file.sha256)? == Some(file.size);
            }
            if !complete {
                continue;
            }
            let stored = reader.entry(index)?;
            let header = header_of(&stored, &link.mirror.to_string())?;
            let digests = files.iter().map(|file| file.sha256).collect();
            let own = self.files_received(link, index, header.id, digests)?;
            self.ask(|reply| Command::Append(link.number, Box::new(own), reply))
                .await?;
            confirmed += 1;
        }
        Ok(confirmed)
    }

    /// How many messages still owe files: the peer's, and the own ones.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn files_under_way(&self, link: &Link) -> Result<(u64, u64), StoreError> {
        let incoming = self.owed(link, Region::Pending)?.len() as u64;
        let outgoing = self.owed(link, Region::Outgoing)?.len() as u64;
        Ok((incoming, outgoing))
    }

    fn owed(&self, link: &Link, region: Region) -> Result<Vec<(u64, Vec<FileRef>)>, StoreError> {
        let (start, end) = layout::indexed_from(region, link.number, 0);
        let rows = self
            .store
            .scan(&start, &end, MESSAGES_AT_ONCE, Direction::Forward)?;
        Ok(rows
            .iter()
            .filter_map(|(key, value)| Some((layout::index_of(key)?, FileRefs::decode(value)?.0)))
            .collect())
    }
}

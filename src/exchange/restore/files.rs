//! Files of earlier messages that were lost with the store: which, and when all are here again.

use std::sync::atomic::Ordering;

use super::super::layout::{self, FileRef, LogSide};
use super::super::{Exchange, Link, RecordError};
use super::RestoreStep;
use crate::store::{Direction, StoreError};

/// Files looked at in one go.
const FILES_AT_ONCE: usize = 256;

/// A page of files that messages of a side name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedFiles {
    /// The files.
    pub files: Vec<FileRef>,
    /// Go on behind this one; `None` when there are no more.
    pub next: Option<[u8; 32]>,
}

impl Exchange {
    /// Files that messages of a side name, behind one, in the order of their digests.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn named_files(
        &self,
        link: &Link,
        side: LogSide,
        behind: Option<&[u8; 32]>,
    ) -> Result<NamedFiles, StoreError> {
        let (mut start, end) = layout::wanted_from(link.number, side, behind.unwrap_or(&[0; 32]));
        if behind.is_some() {
            start.push(0);
        }
        let rows = self
            .store
            .scan(&start, &end, FILES_AT_ONCE, Direction::Forward)?;
        let files: Vec<FileRef> = rows
            .iter()
            .filter_map(|(key, size)| {
                Some(FileRef {
                    sha256: key.get(4..)?.try_into().ok()?,
                    size: u64::from_be_bytes(size[..].try_into().ok()?),
                })
            })
            .collect();
        Ok(NamedFiles {
            next: files
                .last()
                .filter(|_| rows.len() == FILES_AT_ONCE)
                .map(|file| file.sha256),
            files,
        })
    }

    /// Files of both logs that are not here, at most so many; the peer may have them.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn lost_files(&self, link: &Link, count_max: usize) -> Result<Vec<FileRef>, StoreError> {
        let mut lost = Vec::new();
        for side in [LogSide::Own, LogSide::Mirror] {
            let mut behind = None;
            loop {
                let page = self.named_files(link, side, behind.as_ref())?;
                for file in page.files {
                    if lost.len() >= count_max {
                        return Ok(lost);
                    }
                    if self.blobs.size(&file.sha256)? != Some(file.size) {
                        lost.push(file);
                    }
                }
                behind = page.next;
                if behind.is_none() {
                    break;
                }
            }
        }
        Ok(lost)
    }

    /// Whether a file was lost here and may be put by the peer: a message of either side names it,
    /// and records of the link were restored.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn takes_back(&self, link: &Link, sha256: &[u8; 32]) -> Result<Option<u64>, StoreError> {
        let head = link.head();
        if !head.files_lost && head.restoring.is_none() {
            return Ok(None);
        }
        self.named_file(link, LogSide::Own, sha256)
    }

    /// Looks whether every file of earlier messages is here again, and notes it.
    ///
    /// # Errors
    /// When it cannot be read or recorded.
    pub async fn note_files_back(&self, link: &Link) -> Result<bool, RecordError> {
        let head = link.head();
        if !head.files_lost || head.restoring.is_some() {
            link.erased_again.store(false, Ordering::Relaxed);
            return Ok(!head.files_lost);
        }
        // It looks at all of the log, and this is asked with every file.
        if !link.erased_again.swap(true, Ordering::Relaxed)
            && let Err(error) = self.erase_what_came_back(link).await
        {
            link.erased_again.store(false, Ordering::Relaxed);
            // Nothing is lost by it; it is tried again with the next file.
            tracing::error!(peer = %link.peer, %error, "what was erased came back and is not erased yet");
            return Ok(false);
        }
        let lost = self.lost_files(link, 1).map_err(|e| RecordError::of(&e))?;
        if lost.is_empty() {
            self.restore_step(link, RestoreStep::FilesAreHere).await?;
        }
        Ok(lost.is_empty())
    }
}

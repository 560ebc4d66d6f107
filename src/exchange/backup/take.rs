//! Making a backup from what a node gives: verified again, written under new names, published last.
//!
//! Incremental: pieces of a log that are full never change, so only what follows them is asked for.
//! That the old pieces and the new ones make up the root that the node has now is checked before
//! anything counts.

mod log;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use sha2::{Digest as _, Sha256};

use self::log::{LogTaking, keep};
use super::super::layout::{FORMAT_VERSION, Record, StoredEntry};
use super::folder::FolderError;
use super::manifest::{self, ConfigFile, Hex32, LinkContent, LogContent, Manifest, ManifestError};
use super::pack::{FileUse, PackedEntry, PackedFile, PackedNote};
use super::shelf::{Failpoint, NewContent, Shelf};
use crate::limits::VALUE_BYTES_MAX;
use crate::proto::v1::{self, backup_response::Piece};
use crate::tlog::leaf_hash;

/// Why a backup was not made. The former one is whole then.
#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    /// The folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The folder holds the backup of another node.
    #[error("{dir} holds the backup of {found}, this node is {node}; name another directory")]
    OtherNode {
        /// The folder.
        dir: String,
        /// Whose backup it holds.
        found: String,
        /// The node.
        node: String,
    },
    /// The folder holds more of a log, or another log, than the node.
    #[error(
        "{origin}: the backup holds {held} entries that the node's log of {size} does not continue. \
         The node lost records, or was put back to an earlier state: keep this backup as it is, make \
         the next one into a new directory, and see docs/operations.md, \"Records that are damaged \
         or lost\""
    )]
    NotContinued {
        /// The log.
        origin: String,
        /// Entries in the backup.
        held: u64,
        /// Entries in the node.
        size: u64,
    },
    /// What came is not what its own digests say.
    #[error("{what} of {origin} did not arrive as it was recorded; make the backup again")]
    Wrong {
        /// The log, or what else.
        origin: String,
        /// What of it.
        what: String,
    },
    /// The node speaks another version.
    #[error("the node and this command are of different versions: {0}; bring them to one")]
    Version(&'static str),
    /// The manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

/// What was backed up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taken {
    /// Backups made into the folder.
    pub generation: u64,
    /// The moment it is of, milliseconds since 1970.
    pub taken_at_ms: u64,
    /// Logs with their sizes.
    pub logs: Vec<(String, u64)>,
    /// Entries that came, those of the last piece again.
    pub entries_sent: u64,
    /// Entries in the backup.
    pub entries: u64,
    /// Files of messages that came.
    pub files_sent: u64,
    /// Files of messages in the backup.
    pub files: u64,
    /// Bytes written.
    pub bytes_written: u64,
    /// Attachments that had not come to the node.
    pub awaited: u64,
    /// Attachments that are damaged in the node: not in the backup.
    pub damaged: Vec<[u8; 32]>,
}

/// A backup being made.
#[derive(Debug)]
pub struct Taking {
    shelf: Shelf,
    former: Option<Manifest>,
    start: Option<v1::BackupStart>,
    logs: BTreeMap<String, LogTaking>,
    rows: Option<(NewContent, u64)>,
    files: BTreeMap<[u8; 32], (FileUse, u64)>,
    former_files: BTreeMap<[u8; 32], (FileUse, u64)>,
    has_ended: bool,
    taken: Taken,
}

impl Taking {
    /// Begins a backup into a folder.
    ///
    /// # Errors
    /// [`TakeError`].
    pub fn open(dir: &Path) -> Result<Self, TakeError> {
        let shelf = Shelf::open(dir)?;
        let former = match shelf.folder().manifest() {
            Ok(manifest) => Some(manifest),
            Err(FolderError::Missing { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        let mut taking = Self {
            shelf,
            former,
            start: None,
            logs: BTreeMap::new(),
            rows: None,
            files: BTreeMap::new(),
            former_files: BTreeMap::new(),
            has_ended: false,
            taken: Taken::default(),
        };
        taking.read_former()?;
        Ok(taking)
    }

    /// Ends the work at a step, for tests.
    #[doc(hidden)]
    pub fn set_failpoint(&mut self, failpoint: Failpoint) {
        self.shelf.set_failpoint(failpoint);
    }

    /// Which files the former backup names, and whether its pieces are there: by their length; only
    /// `liaison backup check` reads all of them.
    fn read_former(&mut self) -> Result<(), TakeError> {
        let Some(former) = &mut self.former else {
            return Ok(());
        };
        let folder = self.shelf.folder().clone();
        for link in &mut former.links {
            for log in [&mut link.own, &mut link.mirror] {
                let whole = |sha256: &Hex32, bytes| folder.open(&sha256.0, bytes).is_ok();
                let (mut segments, mut notes) = (log.segments.iter(), log.notes.iter());
                let is_whole = segments.all(|s| whole(&s.sha256, s.bytes))
                    && notes.all(|n| whole(&n.sha256, n.bytes));
                if !is_whole {
                    // All of it is sent again.
                    log.segments.clear();
                    log.notes.clear();
                    log.size = 0;
                    log.checkpoint_size = 0;
                }
            }
        }
        let files = former.files.clone();
        let known = &mut self.former_files;
        let read = folder.items(
            &files.sha256.0,
            files.bytes,
            files.count,
            |file: PackedFile| {
                known.insert(file.sha256, (file.used, file.size));
                Ok::<_, FolderError>(())
            },
        );
        match read {
            Err(error) if error.is_finding() => {
                // Which files belong to old pieces is not known: all of it is sent again.
                self.former_files.clear();
                for link in &mut former.links {
                    for log in [&mut link.own, &mut link.mirror] {
                        (log.size, log.checkpoint_size) = (0, 0);
                    }
                }
                Ok(())
            }
            other => Ok(other?),
        }
    }

    /// What the node need not send.
    #[must_use]
    pub fn held(&self) -> Vec<v1::BackupHeld> {
        let logs = self.former.iter().flat_map(Manifest::logs);
        logs.map(|(_, _, log)| v1::BackupHeld {
            origin: log.origin.clone(),
            entries: log.settled_entries(),
            notes: log.settled_notes(),
        })
        .collect()
    }

    /// Entries that come, once the start has.
    #[must_use]
    pub fn entries_to_come(&self) -> u64 {
        let logs = self.logs.values();
        logs.map(|log| log.said.size.saturating_sub(log.next_index))
            .sum()
    }

    /// Takes a piece.
    ///
    /// # Errors
    /// [`TakeError`]; the former backup is whole then.
    pub fn take(&mut self, response: v1::BackupResponse) -> Result<(), TakeError> {
        match response.piece {
            Some(Piece::Start(start)) if self.start.is_none() => self.begin(start),
            Some(_) if self.start.is_none() || self.has_ended => {
                Err(TakeError::Version("pieces come out of order"))
            }
            Some(Piece::Entries(entries)) => self.entries(entries),
            Some(Piece::Notes(notes)) => self.notes(notes),
            Some(Piece::Rows(rows)) => self.rows(rows),
            Some(Piece::Files(files)) => self.names(files),
            Some(Piece::End(_)) => self.end(),
            Some(Piece::Start(_)) | None => Err(TakeError::Version("it sends an unknown piece")),
        }
    }

    fn begin(&mut self, start: v1::BackupStart) -> Result<(), TakeError> {
        if start.store_format != FORMAT_VERSION {
            return Err(TakeError::Version("the store has another format"));
        }
        let former = self.former.as_ref();
        if let Some(former) = former
            && former.node != start.node
        {
            return Err(TakeError::OtherNode {
                dir: self.shelf.folder().dir().display().to_string(),
                found: former.node.clone(),
                node: start.node,
            });
        }
        for said in &start.logs {
            let held = former.and_then(|former| {
                let mut logs = former.logs();
                logs.find(|(_, _, log)| log.origin == said.origin)
            });
            let log = LogTaking::new(said.clone(), held.map(|(_, _, log)| log))?;
            self.logs.insert(said.origin.clone(), log);
        }
        let mut lost = former.into_iter().flat_map(Manifest::logs);
        if let Some((_, _, lost)) = lost.find(|(_, _, log)| !self.logs.contains_key(&log.origin)) {
            return Err(TakeError::NotContinued {
                origin: lost.origin.clone(),
                held: lost.size,
                size: 0,
            });
        }
        self.taken.taken_at_ms = start.at_ms;
        self.start = Some(start);
        Ok(())
    }

    fn entries(&mut self, piece: v1::BackupEntries) -> Result<(), TakeError> {
        let log = self.logs.get_mut(&piece.origin);
        let log = log.ok_or(TakeError::Version("it sends entries of an unknown log"))?;
        if piece.start_index != log.next_index {
            return Err(TakeError::Version("entries come out of order"));
        }
        for entry in piece.entries {
            let index = log.next_index;
            let wrong = || TakeError::Wrong {
                origin: piece.origin.clone(),
                what: format!("entry {index}"),
            };
            if entry.record.len() > VALUE_BYTES_MAX || index >= log.said.size {
                return Err(wrong());
            }
            let record = Record::decode(&entry.record).ok_or_else(wrong)?;
            let leaf = match &record.entry {
                StoredEntry::Inline(bytes) => leaf_hash(bytes),
                StoredEntry::File(digest) => {
                    if <[u8; 32]>::from(Sha256::digest(&entry.entry)) != *digest {
                        return Err(wrong());
                    }
                    let size = entry.entry.len() as u64;
                    if !self.shelf.has_whole(digest, size)? {
                        let mut content = self.shelf.begin()?;
                        content.write(&entry.entry)?;
                        self.shelf.keep(content)?;
                    }
                    self.files.insert(*digest, (FileUse::Record, size));
                    leaf_hash(&entry.entry)
                }
            };
            if let Some(digest) = record.body.file() {
                self.files
                    .insert(*digest, (FileUse::Record, entry.body_bytes));
            }
            let packed = PackedEntry {
                record: entry.record.into(),
                author: entry.author,
            };
            log.push(&mut self.shelf, &packed, leaf)?;
            self.taken.entries_sent += 1;
        }
        Ok(())
    }

    fn notes(&mut self, piece: v1::BackupNotes) -> Result<(), TakeError> {
        let log = self.logs.get_mut(&piece.origin);
        let log = log.ok_or(TakeError::Version("it sends checkpoints of an unknown log"))?;
        for note in piece.notes {
            if note.size == 0 || note.size > log.said.size || note.note.len() > VALUE_BYTES_MAX {
                return Err(TakeError::Wrong {
                    origin: piece.origin,
                    what: format!("the checkpoint of size {}", note.size),
                });
            }
            log.note(
                &mut self.shelf,
                &PackedNote {
                    is_dated: note.is_dated,
                    size: note.size,
                    note: note.note.into(),
                },
            )?;
        }
        Ok(())
    }

    fn rows(&mut self, piece: v1::BackupRows) -> Result<(), TakeError> {
        let mut rows = match self.rows.take() {
            Some(rows) => rows,
            None => (self.shelf.begin()?, 0),
        };
        for row in piece.rows {
            rows.0.pack(&(Vec::from(row.key), Vec::from(row.value)))?;
            rows.1 += 1;
        }
        self.rows = Some(rows);
        Ok(())
    }

    fn names(&mut self, piece: v1::BackupFiles) -> Result<(), TakeError> {
        for file in piece.files {
            let sha256 = <[u8; 32]>::try_from(&file.sha256[..])
                .map_err(|_| TakeError::Version("it names a file without a digest"))?;
            let used = if let Ok(content) = <[u8; 32]>::try_from(&file.content_sha256[..]) {
                FileUse::Sealed(content)
            } else if file.is_record {
                FileUse::Record
            } else if file.is_here {
                FileUse::Attachment
            } else {
                FileUse::Awaited
            };
            // The same content may be an attachment of one message and awaited for another.
            let known = self.files.entry(sha256).or_insert((used, file.size));
            if known.0 == FileUse::Awaited || used == FileUse::Record {
                *known = (used, file.size);
            }
        }
        Ok(())
    }

    /// Everything has come but the files: every log must be whole and make up its root.
    fn end(&mut self) -> Result<(), TakeError> {
        for log in self.logs.values_mut() {
            log.end(&mut self.shelf)?;
        }
        // Files of old pieces, which were not sent again.
        for (sha256, (used, size)) in &self.former_files {
            if *used == FileUse::Record {
                self.files.entry(*sha256).or_insert((*used, *size));
            }
        }
        self.has_ended = true;
        Ok(())
    }

    /// Files that have to be fetched, once the end has come.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn missing(&self) -> Result<Vec<PackedFile>, TakeError> {
        let mut missing = Vec::new();
        for (sha256, (used, size)) in &self.files {
            if *used == FileUse::Awaited {
                continue;
            }
            let named_before = self
                .former_files
                .get(sha256)
                .is_some_and(|(before, _)| *before != FileUse::Awaited);
            let is_here = if named_before {
                self.shelf.folder().open(sha256, *size).is_ok()
            } else {
                self.shelf.has_whole(sha256, *size)?
            };
            if !is_here {
                missing.push(PackedFile {
                    used: *used,
                    sha256: *sha256,
                    size: *size,
                });
            }
        }
        Ok(missing)
    }

    /// Begins a file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn begin_file(&mut self) -> Result<NewContent, TakeError> {
        Ok(self.shelf.begin()?)
    }

    /// Keeps a fetched file if it is what it should be. An attachment that is not is left out of the
    /// backup and told; without an entry or a body there is no backup.
    ///
    /// # Errors
    /// [`TakeError::Wrong`].
    pub fn end_file(&mut self, file: &PackedFile, content: NewContent) -> Result<(), TakeError> {
        if content.digest() == file.sha256 && content.bytes() == file.size {
            self.shelf.keep(content)?;
            self.taken.files_sent += 1;
            return Ok(());
        }
        self.shelf.discard(&content)?;
        self.leave_out(file)
    }

    /// Leaves a file out that the node cannot give.
    ///
    /// # Errors
    /// [`TakeError::Wrong`] unless it is an attachment.
    pub fn leave_out(&mut self, file: &PackedFile) -> Result<(), TakeError> {
        if file.used == FileUse::Record {
            return Err(TakeError::Wrong {
                origin: "the node's store".to_owned(),
                what: format!("the file {}", hex::encode(file.sha256)),
            });
        }
        self.files.remove(&file.sha256);
        let content = match file.used {
            FileUse::Sealed(content) => content,
            _ => file.sha256,
        };
        self.files.insert(content, (FileUse::Awaited, file.size));
        self.taken.damaged.push(content);
        Ok(())
    }

    /// Publishes the backup, with the configuration beside it.
    ///
    /// # Errors
    /// [`TakeError`]; unless it came after the publishing, the former backup is whole.
    pub fn finish(mut self, config: &[(String, Vec<u8>)]) -> Result<Taken, TakeError> {
        let Some(start) = self.start.take().filter(|_| self.has_ended) else {
            return Err(TakeError::Version("its stream has no end"));
        };
        let rows = match self.rows.take() {
            Some(rows) => rows,
            None => (self.shelf.begin()?, 0),
        };
        let rows = keep(&mut self.shelf, rows)?;
        let mut names = (self.shelf.begin()?, 0);
        for (sha256, (used, size)) in &self.files {
            names.0.pack(&PackedFile {
                used: *used,
                sha256: *sha256,
                size: *size,
            })?;
            names.1 += 1;
        }
        let files = keep(&mut self.shelf, names)?;
        let generation = self.former.as_ref().map_or(0, |f| f.generation) + 1;
        self.shelf.keep_config(generation, config)?;
        let config = config.iter().map(|(name, bytes)| ConfigFile {
            name: name.clone(),
            sha256: Hex32(Sha256::digest(bytes).into()),
        });
        let manifest = Manifest {
            format: manifest::FORMAT.to_owned(),
            version: manifest::VERSION,
            generation,
            node: start.node,
            taken_at_ms: start.at_ms,
            taken_at: super::time_text(start.at_ms),
            store_format: start.store_format,
            message_key: start.message_key,
            log_key: start.log_key,
            links: links(std::mem::take(&mut self.logs))?,
            rows,
            files,
            config: config.collect(),
            sha256: String::new(),
        };
        let mut named: BTreeSet<_> = manifest.contents().collect();
        let here = self.files.iter();
        let here = here.filter(|(_, (used, _))| *used != FileUse::Awaited);
        named.extend(here.map(|(sha256, _)| *sha256));
        self.shelf.publish(&manifest, &named)?;
        let logs = manifest
            .logs()
            .map(|(_, _, log)| (log.origin.clone(), log.size));
        let logs: Vec<_> = logs.collect();
        let awaited = self.files.values();
        let awaited = awaited
            .filter(|(used, _)| *used == FileUse::Awaited)
            .count() as u64;
        Ok(Taken {
            generation,
            entries: logs.iter().map(|(_, size)| size).sum(),
            logs,
            files: self.files.len() as u64 - awaited,
            awaited: awaited - self.taken.damaged.len() as u64,
            bytes_written: self.shelf.written(),
            ..self.taken
        })
    }
}

/// Both logs of each link together, by number.
fn links(logs: BTreeMap<String, LogTaking>) -> Result<Vec<LinkContent>, TakeError> {
    let mut links: BTreeMap<u16, (Option<LogContent>, Option<LogContent>)> = BTreeMap::new();
    for log in logs.into_values() {
        let number = u16::try_from(log.said.link)
            .map_err(|_| TakeError::Version("it numbers a link beyond 65,535"))?;
        let link = links.entry(number).or_default();
        if log.said.is_own {
            link.0 = Some(log.content());
        } else {
            link.1 = Some(log.content());
        }
    }
    let links = links.into_iter().map(|(number, logs)| match logs {
        (Some(own), Some(mirror)) => Ok(LinkContent {
            peer: own.origin.split('/').nth(1).unwrap_or_default().to_owned(),
            number,
            own,
            mirror,
        }),
        _ => Err(TakeError::Version(
            "it gives one log of a link without the other",
        )),
    });
    links.collect()
}

//! Is a backup whole, and does everything in it agree? Without a node, a key or a network.
//!
//! Every byte is read. What its own digests cannot tell, that it is the log of *this* node, is told
//! at a restore, where the keys are.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message as _;
use sha2::{Digest as _, Sha256};

use super::super::layout::{Record, Region, StoredBody, StoredEntry, link_of};
use super::folder::{Folder, FolderError};
use super::manifest::{LogContent, Manifest};
use super::pack::{FileUse, PackedEntry, PackedFile, PackedNote};
use super::regions::{Fate, fate};
use crate::crypto::checkpoint::Checkpoint;
use crate::crypto::note::Note;
use crate::limits::{BACKUP_SEGMENT_ENTRIES, ENTRY_BYTES_MAX, FINDINGS_MAX};
use crate::model::Header;
use crate::model::header::body_digest;
use crate::proto::v1;
use crate::tlog::{Hash, Tree, leaf_hash};

/// Something that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where, in words.
    pub place: String,
    /// What.
    pub what: String,
    /// A store can be made from the backup all the same: it speaks of what lies beside the content.
    pub is_aside: bool,
}

/// What was found.
#[derive(Debug, Clone)]
pub struct Checked {
    /// What belongs to the backup.
    pub manifest: Manifest,
    /// Entries read.
    pub entries: u64,
    /// Files of messages read.
    pub files: u64,
    /// Attachments that had not come when it was made.
    pub awaited: u64,
    /// Bytes read.
    pub bytes: u64,
    /// What is wrong; empty when nothing is.
    pub findings: Vec<Finding>,
    /// Content that it does not name: left by an interrupted backup, removed by the next.
    pub unnamed: u64,
}

/// The files of messages that a backup holds.
pub(crate) type Files = BTreeMap<[u8; 32], (FileUse, u64)>;

/// Checks a backup; tells from time to time how many bytes were read.
///
/// # Errors
/// [`FolderError`]: there is no backup, its `BACKUP.json` is not to be trusted, or it cannot be read.
pub fn check(folder: &Folder, progress: &mut dyn FnMut(u64)) -> Result<Checked, FolderError> {
    let manifest = folder.manifest()?;
    let mut work = Work {
        folder,
        files: Files::new(),
        checked: Checked {
            manifest: manifest.clone(),
            entries: 0,
            files: 0,
            awaited: 0,
            bytes: 0,
            findings: Vec::new(),
            unnamed: 0,
        },
        progress,
    };
    match files_of(folder, &manifest) {
        Ok(files) => work.files = files,
        Err(error) => work.note("the list of files", error)?,
    }
    for (_, _, log) in manifest.logs() {
        work.log(log)?;
    }
    work.rows(&manifest)?;
    work.content_of_files()?;
    for file in &manifest.config {
        match folder.config(manifest.generation, &file.name, &file.sha256) {
            Err(error) if error.is_finding() => {
                let place = format!("the configuration file {}", file.name);
                work.find_aside(&place, error.to_string());
            }
            read => drop(read?),
        }
    }
    let mut named: BTreeSet<_> = manifest.contents().collect();
    let here = work.files.iter();
    let here = here.filter(|(_, (used, _))| *used != FileUse::Awaited);
    named.extend(here.map(|(sha256, _)| *sha256));
    let (unnamed, foreign) = folder.strangers(manifest.generation, &named)?;
    work.checked.unnamed = unnamed;
    for path in foreign {
        work.find_aside(
            &path.display().to_string(),
            "it does not belong to a backup",
        );
    }
    Ok(work.checked)
}

/// The files of messages that a backup names.
///
/// # Errors
/// [`FolderError`].
pub(crate) fn files_of(folder: &Folder, manifest: &Manifest) -> Result<Files, FolderError> {
    let list = &manifest.files;
    let mut files = Files::new();
    folder.items(
        &list.sha256.0,
        list.bytes,
        list.count,
        |file: PackedFile| {
            files.insert(file.sha256, (file.used, file.size));
            Ok::<_, FolderError>(())
        },
    )?;
    Ok(files)
}

struct Work<'a> {
    folder: &'a Folder,
    files: Files,
    checked: Checked,
    progress: &'a mut dyn FnMut(u64),
}

/// Why reading a packed file stopped.
enum Stop {
    Folder(FolderError),
    Wrong(String),
}

impl From<FolderError> for Stop {
    fn from(error: FolderError) -> Self {
        Self::Folder(error)
    }
}

impl Work<'_> {
    fn find(&mut self, place: &str, what: impl Into<String>) {
        if self.checked.findings.len() < FINDINGS_MAX {
            self.checked.findings.push(Finding {
                place: place.to_owned(),
                what: what.into(),
                is_aside: false,
            });
        }
    }

    fn find_aside(&mut self, place: &str, what: impl Into<String>) {
        self.find(place, what);
        if let Some(finding) = self.checked.findings.last_mut() {
            finding.is_aside |= finding.place == place;
        }
    }

    /// Keeps what speaks of the backup; passes on what speaks of this machine.
    fn note(&mut self, place: &str, error: FolderError) -> Result<(), FolderError> {
        if error.is_finding() {
            self.find(place, error.to_string());
            Ok(())
        } else {
            Err(error)
        }
    }

    fn stopped(&mut self, place: &str, stop: Stop) -> Result<(), FolderError> {
        match stop {
            Stop::Folder(error) => self.note(place, error),
            Stop::Wrong(what) => {
                self.find(place, what);
                Ok(())
            }
        }
    }

    fn read(&mut self, bytes: u64) {
        self.checked.bytes += bytes;
        (self.progress)(self.checked.bytes);
    }

    fn log(&mut self, log: &LogContent) -> Result<(), FolderError> {
        // The tree of all entries, as long as none is missing.
        let mut whole = Some(Tree::new());
        for (number, segment) in log.segments.iter().enumerate() {
            let start = number as u64 * BACKUP_SEGMENT_ENTRIES;
            let count = log.entries_of(number);
            let last = (start + count).saturating_sub(1);
            let place = format!("entries {start} to {last} of {}", log.origin);
            let roots = self.notes(log, number)?;
            let mut tree = Tree::new();
            let mut wrong_roots = Vec::new();
            let (folder, files) = (self.folder, &self.files);
            let read = folder.items(
                &segment.sha256.0,
                segment.bytes,
                count,
                |entry: PackedEntry| {
                    let index = start + tree.size();
                    let leaf = leaf_of(folder, files, &entry)
                        .map_err(|what| Stop::Wrong(format!("entry {index}: {what}")))?;
                    tree.append(leaf, &mut Vec::new());
                    if let Some(whole) = &mut whole {
                        whole.append(leaf, &mut Vec::new());
                        let noted = roots.get(&whole.size());
                        if noted.is_some_and(|noted| noted.iter().any(|r| *r != whole.root())) {
                            wrong_roots.push(whole.size());
                        }
                    }
                    Ok::<_, Stop>(())
                },
            );
            self.read(segment.bytes);
            self.checked.entries += count;
            if let Err(stop) = read {
                // It tells more than the checkpoints, with which nothing agrees then.
                whole = None;
                self.stopped(&place, stop)?;
                continue;
            }
            for size in wrong_roots {
                let what = format!("the checkpoint of size {size} is of other entries");
                self.find(&place, what);
            }
            if tree.root() != Hash(segment.root.0) {
                whole = None;
                self.find(&place, "they do not make up the root that BACKUP.json says");
            }
        }
        if let Some(whole) = whole
            && whole.root() != Hash(log.root.0)
        {
            self.find(&log.origin, "its entries do not make up its root");
        }
        Ok(())
    }

    /// The roots that the checkpoints of a piece name, by size.
    fn notes(
        &mut self,
        log: &LogContent,
        number: usize,
    ) -> Result<BTreeMap<u64, Vec<Hash>>, FolderError> {
        let mut roots: BTreeMap<u64, Vec<Hash>> = BTreeMap::new();
        let Some(notes) = log.notes.get(number) else {
            return Ok(roots);
        };
        let start = number as u64 * BACKUP_SEGMENT_ENTRIES;
        let end = start + log.entries_of(number);
        let read = self.folder.items(
            &notes.sha256.0,
            notes.bytes,
            notes.count,
            |note: PackedNote| {
                let root = root_of(&note, &log.origin)
                    .filter(|_| (start + 1..=end).contains(&note.size))
                    .ok_or_else(|| {
                        Stop::Wrong(format!(
                            "what lies as the checkpoint of size {} is none of this log",
                            note.size
                        ))
                    })?;
                roots.entry(note.size).or_default().push(root);
                Ok::<_, Stop>(())
            },
        );
        self.read(notes.bytes);
        if let Err(stop) = read {
            let place = format!(
                "checkpoints of sizes {} to {end} of {}",
                start + 1,
                log.origin
            );
            self.stopped(&place, stop)?;
        }
        Ok(roots)
    }

    fn rows(&mut self, manifest: &Manifest) -> Result<(), FolderError> {
        let rows = &manifest.rows;
        let read = self.folder.items(
            &rows.sha256.0,
            rows.bytes,
            rows.count,
            |(key, _): (Vec<u8>, Vec<u8>)| {
                if is_row(manifest, &key) {
                    Ok(())
                } else {
                    Err(Stop::Wrong(format!(
                        "the key {} is none that a backup carries",
                        hex::encode(&key)
                    )))
                }
            },
        );
        self.read(rows.bytes);
        match read {
            Ok(()) => Ok(()),
            Err(stop) => self.stopped("the rows that no log tells", stop),
        }
    }

    fn content_of_files(&mut self) -> Result<(), FolderError> {
        for (sha256, (used, size)) in std::mem::take(&mut self.files) {
            if used == FileUse::Awaited {
                self.checked.awaited += 1;
            } else {
                let read = self.folder.open(&sha256, size);
                let read = read.and_then(super::folder::Content::finish);
                self.read(size);
                self.checked.files += 1;
                if let Err(error) = read {
                    let place = format!("the file {}", hex::encode(sha256));
                    self.note(&place, error)?;
                }
            }
            self.files.insert(sha256, (used, size));
        }
        Ok(())
    }
}

/// Whether a backup may carry a row with this key.
pub(crate) fn is_row(manifest: &Manifest, key: &[u8]) -> bool {
    match Region::of(key) {
        Some(Region::Incident) => true,
        Some(region) if fate(region) == Fate::Carried || region == Region::Dated => {
            let number = link_of(key).map(|number| number.0);
            let mut links = manifest.links.iter();
            links.any(|link| Some(link.number) == number)
        }
        _ => false,
    }
}

/// The root that a checkpoint names, if it is one of this log and size.
fn root_of(note: &PackedNote, origin: &str) -> Option<Hash> {
    let text = std::str::from_utf8(&note.note).ok()?;
    let parsed = Note::parse(text).ok()?;
    let checkpoint = Checkpoint::parse(parsed.text()).ok()?;
    (checkpoint.origin == origin && checkpoint.size == note.size).then_some(checkpoint.root)
}

/// The leaf hash of a packed entry whose parts are there and agree.
pub(crate) fn leaf_of(
    folder: &Folder,
    files: &Files,
    packed: &PackedEntry,
) -> Result<Hash, String> {
    let record = Record::decode(&packed.record).ok_or("its record cannot be read")?;
    let entry = match &record.entry {
        StoredEntry::Inline(bytes) => bytes.to_vec(),
        StoredEntry::File(digest) => {
            let size = match files.get(digest) {
                Some((FileUse::Record, size)) if *size <= ENTRY_BYTES_MAX as u64 => *size,
                _ => return Err("its file is not in the backup".to_owned()),
            };
            let bytes = folder
                .whole(digest, size)
                .map_err(|error| error.to_string())?;
            if <[u8; 32]>::from(Sha256::digest(&bytes)) != *digest {
                return Err("its file is not what it was".to_owned());
            }
            bytes
        }
    };
    let found = match &record.body {
        // What is sealed opens with the node's key files only, which are not in the backup.
        StoredBody::Absent | StoredBody::Sealed { .. } => return Ok(leaf_hash(&entry)),
        StoredBody::SealedFile { digest, .. } => match files.get(digest) {
            Some((FileUse::Record, _)) => return Ok(leaf_hash(&entry)),
            _ => return Err("the file of its body is not in the backup".to_owned()),
        },
        StoredBody::Inline { salt, body } => body_digest(salt, body),
        StoredBody::File { digest } => match files.get(digest) {
            Some((FileUse::Record, _)) => *digest,
            _ => return Err("the file of its body is not in the backup".to_owned()),
        },
    };
    let header = v1::Entry::decode(&entry[..])
        .ok()
        .and_then(|entry| Header::parse(&entry.payload).ok())
        .ok_or("its header cannot be read")?;
    if found == header.body_digest {
        Ok(leaf_hash(&entry))
    } else {
        Err("its body is not the one that its header names".to_owned())
    }
}

//! Copies of the files of keys: which were made, and how one looks.
//!
//! ```text
//! <body keys>/copies.json             every copy that was made
//! <somewhere>/keys-<date>-<id>/       one copy
//!   2026-11                           a month's keys, sealed under the storage key as in the node
//!   MANIFEST.json                     written last: node, date, digests, and the copies known by then
//! ```
//!
//! A key that was destroyed in the node opens bodies of an old backup as long as a copy of it is
//! anywhere. So every copy is written down before its first byte leaves, and an erasure names those
//! that hold what it destroys. Nothing else makes copies.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{KeyAddress, Period, StoreError, counters, disk};
use crate::limits::{KEY_COPIES_MAX, KEY_COPY_LABEL_BYTES_MAX};

/// The list's name among the files of keys.
const LIST: &str = "copies.json";
/// The manifest's name in a copy.
pub const KEY_COPY_MANIFEST: &str = "MANIFEST.json";
/// What a manifest begins with.
const FORMAT: &str = "liaison key copy 1";

/// A copy of the files of keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyCopy {
    /// What tells it from others: 16 hex digits; in the name of its directory.
    pub id: String,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// What the person who made it calls it: where it was put.
    pub label: String,
    /// SHA-256 of its manifest, hex; empty in the manifest itself.
    pub sha256: String,
    /// Name of the storage key that opens it.
    pub storage_key: String,
    /// By month, the first leaf that is not in it.
    pub months: BTreeMap<String, u32>,
    /// It was read back and was whole.
    pub finished: bool,
    /// When somebody said that it was destroyed, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destroyed_at_ms: Option<u64>,
    /// Who said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destroyed_by: Option<String>,
}

impl KeyCopy {
    /// Whether it may hold the key at an address: the block was begun when it was made. Ask before the
    /// key is destroyed; a copy that is made afterwards does not hold it.
    #[must_use]
    pub fn may_hold(&self, address: KeyAddress) -> bool {
        let end = self.months.get(&address.period.to_string());
        end.is_some_and(|end| address.leaf < *end)
    }

    /// Name of its directory.
    #[must_use]
    pub fn dir_name(&self) -> String {
        let ms = i64::try_from(self.at_ms).unwrap_or(i64::MAX);
        let at = jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::MAX);
        format!("keys-{}-{}", at.strftime("%Y-%m-%dT%H%M%SZ"), self.id)
    }
}

/// Why the list was not changed, or a copy is none.
#[derive(Debug, thiserror::Error)]
pub enum KeyCopyError {
    /// What it is called.
    #[error(
        "{0:?} does not say where a copy is; name it in one line of at most {KEY_COPY_LABEL_BYTES_MAX} bytes"
    )]
    Label(String),
    /// Too many.
    #[error(
        "{KEY_COPIES_MAX} copies of the key files are on the list; destroy old ones and say so: liaison \
         keys backup --destroyed ID"
    )]
    TooMany,
    /// No such copy.
    #[error("no copy {0} is on the list; see: liaison keys backup --list")]
    Unknown(String),
    /// What is in a directory is no whole copy.
    #[error("{} is no whole copy of key files: {what}", path.display())]
    NotWhole {
        /// The directory or a file of it.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The disk refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The copies that were made, durably.
#[derive(Debug)]
pub struct KeyCopies {
    path: PathBuf,
    copies: Vec<KeyCopy>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    copies: Vec<KeyCopy>,
}

impl KeyCopies {
    /// Reads the list beside the files of keys.
    pub(super) fn open(dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join(LIST);
        let copies = match fs::read(&path) {
            Ok(bytes) => {
                serde_json::from_slice::<List>(&bytes)
                    .map_err(|e| StoreError::corrupt(&path, e.to_string()))?
                    .copies
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(e) => return Err(StoreError::io("read", &path, e)),
        };
        Ok(Self { path, copies })
    }

    /// Copies that may still be somewhere, oldest first; also those that were begun and never ended.
    #[must_use]
    pub fn list(&self) -> Vec<KeyCopy> {
        let still = |copy: &&KeyCopy| copy.destroyed_at_ms.is_none();
        self.copies.iter().filter(still).cloned().collect()
    }

    /// Every copy that is remembered, oldest first.
    #[must_use]
    pub fn all(&self) -> &[KeyCopy] {
        &self.copies
    }

    fn write(&self, copies: &[KeyCopy]) -> Result<(), StoreError> {
        let list = List {
            copies: copies.to_vec(),
        };
        let bytes = serde_json::to_vec_pretty(&list)
            .map_err(|e| StoreError::corrupt(&self.path, e.to_string()))?;
        disk::replace(&self.path, &bytes)
    }

    /// Writes a copy down before it is made.
    pub(super) fn begin(&mut self, copy: KeyCopy) -> Result<(), KeyCopyError> {
        let is_line = !copy.label.trim().is_empty() && !copy.label.contains(char::is_control);
        if !is_line || copy.label.len() > KEY_COPY_LABEL_BYTES_MAX {
            return Err(KeyCopyError::Label(copy.label));
        }
        let mut copies = self.copies.clone();
        if copies.len() >= KEY_COPIES_MAX {
            let destroyed = copies
                .iter()
                .position(|copy| copy.destroyed_at_ms.is_some());
            copies.remove(destroyed.ok_or(KeyCopyError::TooMany)?);
        }
        copies.push(copy);
        self.write(&copies)?;
        self.copies = copies;
        Ok(())
    }

    fn change(&mut self, id: &str, change: impl FnOnce(&mut KeyCopy)) -> Result<(), KeyCopyError> {
        let mut copies = self.copies.clone();
        let copy = copies.iter_mut().find(|copy| copy.id == id);
        change(copy.ok_or_else(|| KeyCopyError::Unknown(id.to_owned()))?);
        self.write(&copies)?;
        self.copies = copies;
        Ok(())
    }

    pub(super) fn finish(&mut self, id: &str) -> Result<(), KeyCopyError> {
        self.change(id, |copy| copy.finished = true)
    }

    pub(super) fn destroyed(&mut self, id: &str, at_ms: u64, by: &str) -> Result<(), KeyCopyError> {
        self.change(id, |copy| {
            if copy.destroyed_at_ms.is_none() {
                copy.destroyed_at_ms = Some(at_ms);
                copy.destroyed_by = Some(by.to_owned());
            }
        })
    }

    /// Takes in what a copy knows of others; what is on the list stays as it is.
    pub(super) fn merge(&mut self, others: &[KeyCopy]) -> Result<(), StoreError> {
        let mut copies = self.copies.clone();
        for other in others {
            if !copies.iter().any(|copy| copy.id == other.id) {
                copies.push(other.clone());
            }
        }
        copies.sort_by_key(|copy| copy.at_ms);
        if copies != self.copies {
            self.write(&copies)?;
            self.copies = copies;
        }
        Ok(())
    }
}

/// A whole copy, in memory.
#[derive(Debug, Clone)]
pub struct CopiedKeys {
    /// Which.
    pub copy: KeyCopy,
    /// The manifest's bytes.
    pub manifest: Vec<u8>,
    /// The months, by their names: sealed.
    pub files: BTreeMap<String, Vec<u8>>,
}

/// What a copy says of itself.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    format: String,
    node: String,
    copy: KeyCopy,
    /// SHA-256 of each file, hex.
    files: BTreeMap<String, String>,
    /// The copies that were known when it was made.
    others: Vec<KeyCopy>,
}

impl CopiedKeys {
    /// Puts a copy together. `copy.sha256` is filled in.
    pub(super) fn new(
        mut copy: KeyCopy,
        node: &str,
        files: BTreeMap<String, Vec<u8>>,
        others: &[KeyCopy],
    ) -> Result<Self, StoreError> {
        let digests = files.iter();
        let manifest = Manifest {
            format: FORMAT.to_owned(),
            node: node.to_owned(),
            copy: copy.clone(),
            files: digests
                .map(|(name, bytes)| (name.clone(), hex::encode(Sha256::digest(bytes))))
                .collect(),
            others: others.to_vec(),
        };
        let manifest = serde_json::to_vec_pretty(&manifest)
            .map_err(|e| StoreError::corrupt(Path::new(KEY_COPY_MANIFEST), e.to_string()))?;
        copy.sha256 = hex::encode(Sha256::digest(&manifest));
        Ok(Self {
            copy,
            manifest,
            files,
        })
    }

    /// Puts a copy together from what was sent, and checks it.
    ///
    /// # Errors
    /// [`KeyCopyError::NotWhole`].
    pub fn of_parts(
        manifest: Vec<u8>,
        files: BTreeMap<String, Vec<u8>>,
    ) -> Result<Self, KeyCopyError> {
        let (copied, _, _) = Self::checked(Path::new(KEY_COPY_MANIFEST), manifest, files)?;
        Ok(copied)
    }

    fn checked(
        path: &Path,
        manifest: Vec<u8>,
        files: BTreeMap<String, Vec<u8>>,
    ) -> Result<(Self, String, Vec<KeyCopy>), KeyCopyError> {
        let not_whole = |what: String| KeyCopyError::NotWhole {
            path: path.to_owned(),
            what,
        };
        let said: Manifest =
            serde_json::from_slice(&manifest).map_err(|e| not_whole(e.to_string()))?;
        if said.format != FORMAT {
            return Err(not_whole(format!("its format is {:?}", said.format)));
        }
        for (name, digest) in &said.files {
            let bytes = files.get(name);
            let bytes = bytes.ok_or_else(|| not_whole(format!("{name:?} is missing")))?;
            if Period::parse(name).is_none() || hex::encode(Sha256::digest(bytes)) != *digest {
                return Err(not_whole(format!("{name:?} is not as it was written")));
            }
        }
        let mut copy = said.copy;
        copy.sha256 = hex::encode(Sha256::digest(&manifest));
        let copied = Self {
            copy,
            manifest,
            files,
        };
        Ok((copied, said.node, said.others))
    }

    /// Writes the copy into a new directory of its own within `to`, durably, and reads it back. Says
    /// where it is.
    ///
    /// # Errors
    /// [`KeyCopyError::Store`]; [`KeyCopyError::NotWhole`] when the medium gives back something else.
    pub fn write(&self, to: &Path) -> Result<PathBuf, KeyCopyError> {
        let dir = to.join(self.copy.dir_name());
        disk::create_dir(to)?;
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&dir)
            .map_err(|e| StoreError::io("make", &dir, e))?;
        let files = self.files.iter();
        let files = files.map(|(name, bytes)| (name.as_str(), bytes));
        for (name, bytes) in files.chain([(KEY_COPY_MANIFEST, &self.manifest)]) {
            let path = dir.join(name);
            fs::File::options()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path)
                .and_then(|mut file| {
                    file.write_all(bytes)?;
                    counters::sync_all(&file)?;
                    // So that it is read from the medium.
                    let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed);
                    Ok(())
                })
                .map_err(|e| StoreError::io("write", &path, e))?;
        }
        disk::sync_dir(&dir)?;
        disk::sync_dir(to)?;
        let back = FoundCopy::read(&dir)?;
        if back.copied.manifest == self.manifest && back.copied.files == self.files {
            Ok(dir)
        } else {
            Err(KeyCopyError::NotWhole {
                path: dir,
                what: "what was read back is not what was written".to_owned(),
            })
        }
    }
}

/// A copy as it was found in a directory.
#[derive(Debug)]
pub struct FoundCopy {
    /// It.
    pub copied: CopiedKeys,
    /// Whose it is.
    pub node: String,
    /// The copies that were known when it was made.
    pub others: Vec<KeyCopy>,
}

impl FoundCopy {
    /// Reads a copy and checks it against its manifest.
    ///
    /// # Errors
    /// [`KeyCopyError::NotWhole`], [`KeyCopyError::Store`].
    pub fn read(dir: &Path) -> Result<Self, KeyCopyError> {
        let path = dir.join(KEY_COPY_MANIFEST);
        let manifest = match fs::read(&path) {
            Ok(manifest) => manifest,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Err(KeyCopyError::NotWhole {
                    path: dir.to_owned(),
                    what: format!(
                        "it has no {KEY_COPY_MANIFEST}. Name the directory keys-DATE-ID that holds one"
                    ),
                });
            }
            Err(e) => return Err(StoreError::io("read", &path, e).into()),
        };
        let mut files = BTreeMap::new();
        let entries = fs::read_dir(dir).map_err(|e| StoreError::io("list", dir, e))?;
        for entry in entries {
            let entry = entry.map_err(|e| StoreError::io("list", dir, e))?;
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
                continue;
            };
            if Period::parse(&name).is_some() {
                let path = entry.path();
                let bytes = fs::read(&path).map_err(|e| StoreError::io("read", &path, e))?;
                files.insert(name, bytes);
            }
        }
        let (copied, node, others) = CopiedKeys::checked(dir, manifest, files)?;
        Ok(Self {
            copied,
            node,
            others,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy(id: &str, end: u32) -> KeyCopy {
        KeyCopy {
            id: id.to_owned(),
            at_ms: 1_795_000_000_000,
            label: "the safe".to_owned(),
            sha256: String::new(),
            storage_key: "aa".to_owned(),
            months: BTreeMap::from([("2026-11".to_owned(), end)]),
            finished: false,
            destroyed_at_ms: None,
            destroyed_by: None,
        }
    }

    #[test]
    fn a_copy_is_written_down_ended_and_destroyed() {
        let dir = tempfile::tempdir().unwrap();
        let mut copies = KeyCopies::open(dir.path()).unwrap();
        copies.begin(copy("01", 4_096)).unwrap();
        copies.begin(copy("02", 8_192)).unwrap();
        copies.finish("01").unwrap();
        copies.destroyed("02", 7, "operator/mai").unwrap();
        copies.destroyed("02", 9, "operator/linh").unwrap();
        assert!(matches!(copies.finish("03"), Err(KeyCopyError::Unknown(_))));
        let copies = KeyCopies::open(dir.path()).unwrap();
        let still = copies.list();
        assert_eq!(still.len(), 1);
        assert!(still[0].finished);
        assert_eq!(
            copies.all()[1].destroyed_by.as_deref(),
            Some("operator/mai")
        );
        assert_eq!(copies.all()[1].destroyed_at_ms, Some(7));
    }

    #[test]
    fn it_holds_what_was_begun_when_it_was_made() {
        let address = |leaf, period| KeyAddress { period, leaf };
        let november = Period::of_ms(1_795_000_000_000);
        let copy = copy("01", 4_096);
        assert!(copy.may_hold(address(4_095, november)));
        assert!(!copy.may_hold(address(4_096, november)));
        assert!(!copy.may_hold(address(0, Period::of_ms(0))));
        assert_eq!(copy.dir_name(), "keys-2026-11-18T110640Z-01");
    }

    #[test]
    fn labels_are_one_line_and_bounded_and_so_is_the_list() {
        let dir = tempfile::tempdir().unwrap();
        let mut copies = KeyCopies::open(dir.path()).unwrap();
        for wrong in [" ", "a\nb", &"x".repeat(KEY_COPY_LABEL_BYTES_MAX + 1)] {
            let mut copy = copy("01", 0);
            wrong.clone_into(&mut copy.label);
            assert!(matches!(copies.begin(copy), Err(KeyCopyError::Label(_))));
        }
        let mut longest = copy("00", 0);
        longest.label = "x".repeat(KEY_COPY_LABEL_BYTES_MAX);
        copies.begin(longest).unwrap();
        copies.copies = vec![copy("00", 0); KEY_COPIES_MAX];
        assert!(matches!(
            copies.begin(copy("01", 0)),
            Err(KeyCopyError::TooMany)
        ));
        copies.copies[7].destroyed_at_ms = Some(1);
        copies.begin(copy("01", 0)).unwrap();
        assert_eq!(copies.all().len(), KEY_COPIES_MAX);
    }

    #[test]
    fn a_copy_is_read_as_it_was_written_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let files = BTreeMap::from([("2026-11".to_owned(), vec![1, 2, 3])]);
        let copied = CopiedKeys::new(copy("01", 4_096), "a.example", files, &[copy("00", 1)]);
        let copied = copied.unwrap();
        let at = copied.write(dir.path()).unwrap();
        let found = FoundCopy::read(&at).unwrap();
        assert_eq!((found.node.as_str(), found.others.len()), ("a.example", 1));
        assert_eq!(found.copied.copy, copied.copy);
        let again = CopiedKeys::of_parts(copied.manifest.clone(), copied.files.clone());
        assert_eq!(again.unwrap().copy.sha256, copied.copy.sha256);
        assert!(CopiedKeys::of_parts(copied.manifest.clone(), BTreeMap::new()).is_err());
        fs::write(at.join("2026-11"), [1, 2, 4]).unwrap();
        assert!(FoundCopy::read(&at).is_err());
        fs::remove_file(at.join("2026-11")).unwrap();
        assert!(FoundCopy::read(&at).is_err());
        let error = FoundCopy::read(dir.path()).unwrap_err().to_string();
        assert!(error.contains("keys-DATE-ID"), "{error}");
    }
}

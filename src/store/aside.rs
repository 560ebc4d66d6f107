//! Setting a store aside that must not be served any more, so that a new one can take its place.
//! Nothing is deleted: the old one lies in a directory of its own beside the new one.
//!
//! While that is under way a file `RECOVERING` stands in the directory, from before the first change
//! until the new store says of every log that it is to be restored. Whoever opens the store meanwhile
//! is refused: it would look like a node that never said anything.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::blobs::SEALED;
use super::layout::Layout;
use super::sealed_file::SealedFile;
use super::{StoreError, Vault, disk};

/// The name of the file.
const RECOVERING: &str = "RECOVERING";
/// Its second line, once the old store was moved as a whole: what lies here then is of the new one.
const MOVED: &str = "\nmoved";
/// The longest name it may hold.
const NAME_BYTES_MAX: usize = 128;

/// A store being replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aside {
    dir: PathBuf,
    /// Where the old one lies.
    pub old: PathBuf,
}

impl Aside {
    /// The replacement that was begun in a store's directory and not finished.
    ///
    /// # Errors
    /// [`StoreError::Io`]; [`StoreError::Corrupt`] when the file that says so is none of ours.
    pub fn begun(dir: &Path) -> Result<Option<Self>, StoreError> {
        let path = dir.join(RECOVERING);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(StoreError::io("read", &path, e)),
        };
        let name = text.strip_suffix('\n').unwrap_or_default();
        let name = name.strip_suffix(MOVED).unwrap_or(name);
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.chars().all(is_name) {
            return Err(StoreError::corrupt(
                &path,
                "it does not name the directory of the old store",
            ));
        }
        Ok(Some(Self {
            dir: dir.to_owned(),
            old: dir.join(name),
        }))
    }

    /// Begins: from now on the store is not opened but for recovery. `name` is that of the directory
    /// the old one goes to.
    ///
    /// # Errors
    /// [`StoreError::InUse`] while a node runs on it, [`StoreError::Io`], [`StoreError::Full`].
    pub fn begin(dir: &Path, name: &str) -> Result<Self, StoreError> {
        disk::create_dir(dir)?;
        let _lock = Layout::new(dir).lock()?;
        disk::replace(&dir.join(RECOVERING), format!("{name}\n").as_bytes())?;
        Ok(Self {
            dir: dir.to_owned(),
            old: dir.join(name),
        })
    }

    /// Moves the old store there, as far as that was not done before: all but the blobs, which are
    /// named by their content and serve the new one as well.
    ///
    /// # Errors
    /// As [`Aside::begin`].
    pub fn move_away(&self) -> Result<(), StoreError> {
        let (from, to) = (Layout::new(&self.dir), Layout::new(&self.old));
        let _lock = from.lock()?;
        let path = self.dir.join(RECOVERING);
        let text = fs::read_to_string(&path).map_err(|e| StoreError::io("read", &path, e))?;
        if text.trim_end().ends_with(MOVED) {
            return Ok(());
        }
        disk::create_dir(&self.old)?;
        // FORMAT first: what is left then is no store to anyone.
        for (from, to) in [
            (from.format(), to.format()),
            (from.sled(), to.sled()),
            (from.marks(), to.marks()),
        ] {
            // What is there already was moved before; what is here then is of the new one.
            if to.exists() || !from.exists() {
                continue;
            }
            fs::rename(&from, &to).map_err(|e| StoreError::io("move", &from, e))?;
            disk::sync_dir(&self.dir)?;
            disk::sync_dir(&self.old)?;
        }
        // The old one can be opened where it lies, to read what it still gives.
        disk::create_dir(&to.blobs())?;
        let name = text.trim_end();
        disk::replace(&path, format!("{name}{MOVED}\n").as_bytes())
    }

    /// Looks at every blob that stays: one whose content is not what its name says, or cannot be read,
    /// goes to the old store. Returns how many were looked at and how many went.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn check_blobs(
        &self,
        vault: Option<&Vault>,
        mut looked: impl FnMut(u64),
    ) -> Result<(u64, u64), StoreError> {
        let (mut count, mut spoiled) = (0, 0);
        let blobs = Layout::new(&self.dir).blobs();
        let old = Layout::new(&self.old).blobs();
        spoiled_files(
            &blobs,
            vault,
            |number| {
                count = number;
                looked(number);
            },
            |path, name, _| {
                spoiled += 1;
                fs::rename(path, old.join(name)).map_err(|e| StoreError::io("move", path, e))
            },
        )?;
        if spoiled > 0 {
            disk::sync_dir(&blobs)?;
            disk::sync_dir(&old)?;
        }
        Ok((count, spoiled))
    }

    /// Ends: the new store stands by itself.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn end(self) -> Result<(), StoreError> {
        let path = self.dir.join(RECOVERING);
        fs::remove_file(&path).map_err(|e| StoreError::io("remove", &path, e))?;
        disk::sync_dir(&self.dir)
    }
}

/// Compares every whole blob of a directory with its name; `found` gets each that is not what it says,
/// and each that cannot be read with why.
pub(super) fn spoiled_files(
    blobs: &Path,
    vault: Option<&Vault>,
    mut looked: impl FnMut(u64),
    mut found: impl FnMut(&Path, &str, Option<io::Error>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let entries = match fs::read_dir(blobs) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(StoreError::io("list", blobs, e)),
    };
    let mut count = 0;
    for entry in entries {
        let path = entry.map_err(|e| StoreError::io("list", blobs, e))?.path();
        let name = path.file_name().and_then(|n| n.to_str());
        let name = name.unwrap_or_default();
        let is_sealed = path.extension().is_some_and(|ending| ending == SEALED);
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        let mut digest = [0; 32];
        let is_blob = hex::decode_to_slice(stem.unwrap_or_default(), &mut digest).is_ok();
        // Without keys nobody can say.
        if !is_blob || !path.is_file() || is_sealed && vault.is_none() {
            continue;
        }
        count += 1;
        looked(count);
        let content = match vault {
            Some(vault) if is_sealed => sealed_content(&path, vault, &digest),
            _ => content_digest(&path).map(Some),
        };
        match content {
            Ok(Some(content)) if content == digest => {}
            Ok(_) => found(&path, name, None)?,
            Err(error) => found(&path, name, Some(error))?,
        }
    }
    Ok(())
}

/// The digest of what a sealed file holds; `None` when it does not open. One of which the key was
/// destroyed is what it should be, and one whose key is missing may be.
fn sealed_content(path: &Path, vault: &Vault, digest: &[u8; 32]) -> io::Result<Option<Vec<u8>>> {
    let mut hash = Sha256::new();
    let read = SealedFile::open(path, vault, digest, false).and_then(|file| match file {
        Some(file) => file.for_each(true, |content| hash.update(content)),
        None => Ok(()),
    });
    match read {
        Ok(()) => Ok(Some(hash.finalize().to_vec())),
        Err(StoreError::Erased { .. } | StoreError::Keys(_)) => Ok(Some(digest.to_vec())),
        Err(StoreError::Io { source, .. }) => {
            Err(io::Error::new(source.kind(), source.to_string()))
        }
        Err(_) => Ok(None),
    }
}

fn content_digest(path: &Path) -> io::Result<Vec<u8>> {
    let (mut file, mut hash) = (fs::File::open(path)?, Sha256::new());
    let mut chunk = vec![0; 64 << 10];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(hash.finalize().to_vec()),
            bytes => hash.update(&chunk[..bytes]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{OpenOptions, SledStore};
    use super::*;

    #[test]
    fn a_store_that_is_being_replaced_is_not_opened_and_nothing_of_it_is_deleted() {
        let dir = tempfile::tempdir().unwrap();
        let open = || OpenOptions::new(dir.path());
        drop(SledStore::open(&open().create()).unwrap());
        let aside = Aside::begin(dir.path(), "lost-1").unwrap();
        let refused = SledStore::open(&open()).unwrap_err();
        assert!(refused.to_string().contains("liaison recover"), "{refused}");
        aside.move_away().unwrap();
        aside.move_away().unwrap();
        assert_eq!(Aside::begun(dir.path()).unwrap(), Some(aside.clone()));
        let mut new = open().create();
        new.recovering = true;
        drop(SledStore::open(&new).unwrap());
        // Interrupted here and begun again, the new one is not taken for the old one.
        aside.move_away().unwrap();
        drop(SledStore::open(&new).unwrap());
        drop(SledStore::open(&OpenOptions::new(&aside.old)).unwrap());
        aside.end().unwrap();
        drop(SledStore::open(&open()).unwrap());
        assert!(dir.path().join("lost-1/sled/db").exists());
    }

    #[test]
    fn what_the_old_store_lacked_is_not_taken_from_the_new_one() {
        let dir = tempfile::tempdir().unwrap();
        let aside = Aside::begin(dir.path(), "lost-1").unwrap();
        aside.move_away().unwrap();
        let mut new = OpenOptions::new(dir.path()).create();
        new.recovering = true;
        drop(SledStore::open(&new).unwrap());
        let begun = Aside::begun(dir.path()).unwrap().unwrap();
        assert_eq!(begun, aside);
        begun.move_away().unwrap();
        assert!(dir.path().join("sled/db").exists());
        assert!(!dir.path().join("lost-1/sled").exists());
    }
}

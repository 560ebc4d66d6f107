//! What an administrator does with the storage key and the files of keys while the node does not run.
//!
//! **A new storage key** (crash at any line: go on with the same command, or start the node):
//!
//! ```text
//! storage.pem.next   made, durable          nothing else has changed
//! each month's file  sealed anew            opens with one of the two
//! storage.pem.old    second name of the old
//! storage.pem        is the new one         point of no return: every file was read back under it
//! storage.pem.old    overwritten, removed
//! ```
//!
//! A key in use is never removed before every file of keys was read under the new one.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::config::{Config, storage_source_of};
use super::key_files::KeyFiles;
use super::run::{NodeError, key_files};
use super::storage_source::{Opening, StorageError, StorageSource};
use crate::store::{FoundCopy, KeyMarks, StoreError, Vault, VaultError, VaultLock, shred_file};

/// What a change of the storage key came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageChanged {
    /// Name of the key from now on.
    pub id: String,
    /// Files of keys that were sealed anew.
    pub files: usize,
    /// The old key's file, overwritten and removed.
    pub removed: Option<PathBuf>,
}

/// What was brought in from a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeysBack {
    /// Keys that came back, used or not.
    pub back: u64,
    /// Keys that are in no file here still.
    pub lost: u64,
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    PathBuf::from(name)
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> NodeError {
    move |e| StoreError::of_io(action, path, e).into()
}

/// Goes on with a change that was begun: to be called with the files locked. Says how many files were
/// sealed anew.
pub(super) fn go_on(
    source: &StorageSource,
    dir: &Path,
    opening: Opening<'_>,
) -> Result<usize, NodeError> {
    let Some(file) = source.file() else {
        return Ok(0);
    };
    let (next, old) = (beside(file, "next"), beside(file, "old"));
    let mut files = 0;
    if next.exists() {
        let to = source.with_file(next.clone()).load(opening)?;
        // A crash between the two renames of an earlier try left only the second name.
        let from = if file.exists() { file } else { &old };
        let from = source.with_file(from.to_owned()).load(opening)?;
        files = Vault::reseal(dir, opening.node.as_str(), from, to)?;
        match fs::hard_link(file, &old) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(io_error("keep", &old)(e)),
        }
        sync_parent(file)?;
        fs::rename(&next, file).map_err(io_error("replace", file))?;
        sync_parent(file)?;
    }
    if old.exists() && file.exists() {
        let inode = |path: &Path| fs::metadata(path).map(|meta| (meta.dev(), meta.ino()));
        let same = inode(&old).map_err(io_error("look at", &old))?
            == inode(file).map_err(io_error("look at", file))?;
        // A second name of the one in use: someone gave the new one up. It must not be overwritten.
        if same {
            fs::remove_file(&old).map_err(io_error("remove", &old))?;
        } else {
            shred_file(&old)?;
        }
        sync_parent(file)?;
    }
    Ok(files)
}

fn sync_parent(file: &Path) -> Result<(), NodeError> {
    let dir = file.parent().unwrap_or(Path::new("."));
    fs::File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(io_error("sync", dir))
}

/// Takes a new storage key into use, while the node does not run: of the same form, or, if the
/// configuration names another place now, from the old one `from` (as it stood under `storage`).
///
/// # Errors
/// [`NodeError`]; the same again goes on where it was.
pub fn change_storage(config: &Config, from: Option<&str>) -> Result<StorageChanged, NodeError> {
    let files = key_files(config)?;
    let (dir, opening) = (&config.at_rest.body_keys, files.opening());
    let _lock = VaultLock::take(dir)?;
    let mut changed = go_on(&files.storage, dir, opening)?;
    let source = &files.storage;
    let removed;
    let to = if let Some(from) = from {
        let old = storage_source_of(config, from)?;
        if old == *source {
            return Err(StorageError::SamePlace(old.to_string()).into());
        }
        let from = old.load(opening)?;
        let to = if source.exists() {
            source.load(opening)?
        } else {
            source.create(opening)?
        };
        changed += Vault::reseal(dir, opening.node.as_str(), from, to.clone())?;
        removed = old.file().map(Path::to_owned);
        to
    } else {
        let Some(file) = source.file() else {
            return Err(StorageError::NameOld.into());
        };
        if changed == 0 {
            // What is there must open before anything is made.
            drop(open_vault(&files, dir)?);
            source.with_file(beside(file, "next")).create(opening)?;
            changed += go_on(source, dir, opening)?;
        }
        removed = None;
        source.load(opening)?
    };
    let vault = Vault::open(dir, to, opening.node.as_str(), || 0)?;
    if config.data_dir.is_dir() && KeyMarks::read(&config.data_dir)?.is_some() {
        vault.keep_marks(&config.data_dir)?;
    }
    if let Some(old) = &removed {
        shred_file(old)?;
        sync_parent(old)?;
    }
    Ok(StorageChanged {
        id: vault.storage_key_id(),
        files: changed,
        removed,
    })
}

fn open_vault(files: &KeyFiles, dir: &Path) -> Result<Vault, NodeError> {
    let key = files.storage.load(files.opening())?;
    Ok(Vault::open(dir, key, files.node.as_str(), || 0)?)
}

/// Brings in a copy of the files of keys, or without one takes note that what is missing is lost, while
/// the node does not run. Nothing that is here is replaced.
///
/// # Errors
/// [`NodeError`].
pub fn restore_keys(config: &Config, copy: Option<&Path>) -> Result<KeysBack, NodeError> {
    let files = key_files(config)?;
    let dir = &config.at_rest.body_keys;
    let _lock = VaultLock::take(dir)?;
    if !files.storage.exists() {
        let wanted = match copy
            .map(FoundCopy::read)
            .transpose()
            .map_err(VaultError::from)?
        {
            Some(found) => found.copied.copy.storage_key,
            None => "that sealed it".to_owned(),
        };
        let place = files.storage.to_string();
        return Err(StorageError::Missing { place, wanted }.into());
    }
    let vault = open_vault(&files, dir)?;
    let marks = || -> Result<Vec<_>, NodeError> {
        let marks = KeyMarks::read(&config.data_dir)?;
        Ok(marks
            .map(|marks| marks.months().collect())
            .unwrap_or_default())
    };
    let back = match copy {
        Some(copy) => {
            let found = FoundCopy::read(copy).map_err(VaultError::from)?;
            vault.restore_from(&found, marks()?)?
        }
        None => 0,
    };
    vault.accept_loss(marks()?)?;
    Ok(KeysBack {
        back,
        lost: vault.lost(),
    })
}

/// Opens the files of keys of a node that does not run.
///
/// # Errors
/// [`NodeError`]; [`StoreError::InUse`] when it does.
pub fn open_keys(config: &Config) -> Result<Option<Arc<Vault>>, NodeError> {
    let files = key_files(config)?;
    files.vault(&config.at_rest, &config.data_dir)
}

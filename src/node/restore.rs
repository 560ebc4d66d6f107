//! A node's store made again from a backup, in place of one that is lost.
//!
//! Built beside its place and renamed at the end: what is at the place before is never touched, and
//! a restore that was interrupted begins again.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::config::Config;
use super::run::{NodeError, key_files, link_terms, own_start};
use crate::exchange::backup::folder::Folder;
use crate::exchange::backup::manifest::Manifest;
use crate::exchange::backup::restore::{self, Ground, RestoreError, Restored};
use crate::exchange::clock::{Clock as _, SystemClock};
use crate::exchange::key_ends::key_ends;
use crate::exchange::keys::NextKey;
use crate::proto::v1::KeyRole;
use crate::store::{Blobs, Marks, OpenOptions, SledStore, StoreError};

/// Says that a directory is a restore under way; locked by who does it.
const RESTORING: &str = "RESTORING";

/// Why a store was not restored. What was at its place is as it was.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// There is something at its place.
    #[error(
        "{dir} is not empty: nothing is restored over another store. If the store is lost, move the \
         directory away and keep it: mv {dir} {dir}.lost",
        dir = .0.display()
    )]
    Occupied(PathBuf),
    /// The node runs.
    #[error(
        "the node answers at {}: it runs, be its data directory where it may. Stop it first; two \
         nodes with the same keys would sign two logs",
        .0.display()
    )]
    Running(PathBuf),
    /// What is at the place of the work is not a restore's.
    #[error("{} is in the way and no restore made it; move it away", .0.display())]
    InTheWay(PathBuf),
    /// Another restore is under way.
    #[error("another restore works in {}; wait for it to end", .0.display())]
    InUse(PathBuf),
    /// The data directory cannot be put in place.
    #[error(
        "cannot {action} {}: {source}. If the data directory is a mount point, name a directory \
         within it as data_dir",
        .path.display()
    )]
    Io {
        /// What was being done.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// The answer of the operating system.
        source: io::Error,
    },
    /// What the backup holds lies sealed, and what opens it is not here.
    #[error(
        "the storage key is missing: {0}. What the backup holds lies sealed: put keys/ and a copy of the key \
         files back first (liaison keys restore COPY, afterwards, does for the latter). If they are lost for \
         good, or the node never sealed anything: --without-body-keys; the logs and their proofs come back, \
         sealed bodies stay unreadable"
    )]
    NoStorageKey(String),
    /// Keys or cards.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// The backup, or what was made of it.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PlaceError {
    move |source| PlaceError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}

/// Whether a store may be put at the place of the configuration: no node runs, and nothing is there.
///
/// # Errors
/// [`PlaceError::Running`], [`PlaceError::Occupied`].
pub fn check_place(config: &Config) -> Result<(), PlaceError> {
    // A node whose data directory was moved away goes on in it.
    if UnixStream::connect(&config.desk.socket).is_ok() {
        return Err(PlaceError::Running(config.desk.socket.clone()));
    }
    match fs::read_dir(&config.data_dir) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(PlaceError::Occupied(config.data_dir.clone())),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(io_error("list", &config.data_dir)(error)),
    }
}

/// Makes the store of a configuration from a backup that was found whole.
///
/// # Errors
/// [`PlaceError`]: nothing is at its place then.
pub fn restore_store(
    config: &Config,
    folder: &Folder,
    manifest: &Manifest,
    without_body_keys: bool,
    progress: &mut dyn FnMut(u64),
) -> Result<Restored, PlaceError> {
    check_place(config)?;
    let files = key_files(config)?;
    let holds_some = manifest.logs().any(|(_, _, log)| log.size > 0);
    if config.at_rest.encrypt && holds_some && !without_body_keys && !files.storage.exists() {
        return Err(PlaceError::NoStorageKey(files.storage.to_string()));
    }
    let keys = files.current()?;
    let mut succession = Vec::new();
    for key in files.all_pending()? {
        succession.push(match key {
            NextKey::Message(key) => (KeyRole::Message, key.verifier(&config.node)),
            NextKey::Log(key) => (KeyRole::Log, key.cosigner_verifier(&config.node)),
        });
    }
    for role in [KeyRole::Message, KeyRole::Log] {
        let retired = files.retired_public(role).into_iter();
        succession.extend(retired.map(|key| (role, key)));
    }
    let own_start = own_start(config, &keys)?;
    let terms = config
        .links
        .iter()
        .map(|link| link_terms(&config.node, link, &own_start))
        .collect::<Result<Vec<_>, _>>()?;
    let work = Workplace::take(&config.data_dir)?;
    let restored = {
        let mut options = OpenOptions::new(&work.dir).create();
        options.cache_bytes = config.limits.cache_bytes;
        options.free_bytes_min = config.limits.disk_free_bytes_min;
        let store = Arc::new(SledStore::open(&options)?);
        let mut blobs = Blobs::open(&work.dir, config.limits.disk_free_bytes_min)?;
        let vault = files.vault(&config.at_rest, &config.data_dir)?;
        if let Some(vault) = &vault {
            blobs = blobs.sealed(Arc::clone(vault));
        }
        let mut ground = Ground {
            node: config.node.clone(),
            keys,
            succession,
            store,
            blobs: Arc::new(blobs),
            marks: Marks::open(&work.dir)?,
            now_ms: SystemClock.unix_ms(),
        };
        let mut restored = restore::restore(folder, manifest, &mut ground, terms, progress)?;
        if let Some(vault) = &vault {
            // Before a key is given: no body of the backup may have it already.
            let ends = key_ends(&*ground.store, &ground.blobs)?;
            vault.accept_loss(ends).map_err(NodeError::from)?;
            vault.keep_marks(&work.dir).map_err(NodeError::from)?;
            restored.keys_lost = vault.lost();
        }
        restored
        // The store closes here, before it moves.
    };
    work.put(&config.data_dir)?;
    Ok(restored)
}

/// Where the store is built.
struct Workplace {
    dir: PathBuf,
    marker: PathBuf,
    _lock: File,
}

impl Workplace {
    /// Takes the directory beside the data directory, emptied of what an interrupted restore left.
    fn take(data_dir: &Path) -> Result<Self, PlaceError> {
        let mut name = data_dir.file_name().unwrap_or_default().to_owned();
        name.push(".restoring");
        let dir = data_dir.with_file_name(name);
        let marker = dir.join(RESTORING);
        if dir.exists() && !marker.exists() {
            let mut entries = fs::read_dir(&dir).map_err(io_error("list", &dir))?;
            if entries.next().is_some() {
                return Err(PlaceError::InTheWay(dir));
            }
        }
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&dir)
            .map_err(io_error("make", &dir))?;
        let lock = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&marker)
            .map_err(io_error("open", &marker))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(PlaceError::InUse(dir)),
            Err(TryLockError::Error(error)) => return Err(io_error("lock", &marker)(error)),
        }
        for entry in fs::read_dir(&dir).map_err(io_error("list", &dir))? {
            let path = entry.map_err(io_error("list", &dir))?.path();
            if path == marker {
                continue;
            }
            let removed = if path.is_dir() {
                fs::remove_dir_all(&path)
            } else {
                fs::remove_file(&path)
            };
            removed.map_err(io_error("remove", &path))?;
        }
        Ok(Self {
            dir,
            marker,
            _lock: lock,
        })
    }

    /// Puts the store in its place: from here on it is the node's.
    fn put(self, data_dir: &Path) -> Result<(), PlaceError> {
        let sync = |dir: &Path| {
            File::open(dir)
                .and_then(|dir| dir.sync_all())
                .map_err(io_error("sync", dir))
        };
        sync(&self.dir)?;
        // Replaces an empty directory and nothing else.
        fs::rename(&self.dir, data_dir).map_err(io_error("put in place", data_dir))?;
        let parent = match data_dir.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        sync(parent)?;
        let marker = data_dir.join(self.marker.file_name().unwrap_or_default());
        fs::remove_file(&marker).map_err(io_error("remove", &marker))?;
        sync(data_dir)
    }
}

//! The journal of a running node: where it lies, and that it is not silently begun anew.
//!
//! Its store lies apart from the node's, in a directory of its own. A file in the data directory says that a
//! journal was made; where that is there and the journal is not, the node does not start.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::config::Config;
use super::run::NodeError;
use crate::exchange::clock::{Clock, Entropy, SystemClock};
use crate::journal::{Act, Deed, Ground, Journal, JournalError, Mode};
use crate::limits::{JOURNAL_BALLAST_BYTES, JOURNAL_CACHE_BYTES, JOURNAL_FLOOR_BYTES};
use crate::model::text::is_steering;
use crate::store::{Marks, OpenOptions, SledStore, StoreError, Unused};

/// In the data directory: a journal was made for this node.
const MADE: &str = "JOURNAL";
const MADE_TEXT: &str = "A journal was made for this node. Without it, the node does not start.\n";

/// How the journal's store is opened.
fn options(config: &Config) -> OpenOptions {
    let mut options = OpenOptions::new(&config.journal_dir);
    options.cache_bytes = JOURNAL_CACHE_BYTES;
    options.ballast_bytes = JOURNAL_BALLAST_BYTES;
    options.free_bytes_min = config.limits.disk_free_bytes_min.min(JOURNAL_FLOOR_BYTES);
    options
}

fn io_error(action: &str, path: &Path, error: &std::io::Error) -> JournalError {
    JournalError::Stopped {
        reason: format!("cannot {action} {}: {error}", path.display()),
    }
}

/// Opens the journal of a node; where none was ever made, makes it. One that does not open refuses
/// what must be journalled.
pub(super) fn open(config: &Config, clock: &Arc<dyn Clock>) -> Result<Journal, JournalError> {
    let (reached, dating) = (config.clone(), Arc::clone(clock));
    let reach = Box::new(move || ground(&reached, &dating));
    let clock = Arc::clone(clock);
    let unix_ms = Arc::new(move || clock.unix_ms());
    Journal::open_when_possible(config.node.clone(), unix_ms, reach, Mode::Thread)
}

/// What the journal stands on.
fn ground(config: &Config, clock: &Arc<dyn Clock>) -> Result<Ground, JournalError> {
    let made = config.data_dir.join(MADE);
    let mut options = options(config);
    options.create = !made.exists();
    let store = SledStore::open(&options).map_err(|error| match error {
        StoreError::Missing { path } | StoreError::Vanished { path, .. } => JournalError::Gone {
            what: format!(
                "there is none, or not the whole of it, in {}",
                path.display()
            ),
        },
        error => error.into(),
    })?;
    let marks = Marks::open(&config.journal_dir)?;
    if options.create {
        mark_made(&made)?;
    }
    let entropy = Entropy::system();
    let clock = Arc::clone(clock);
    Ok(Ground {
        node: config.node.clone(),
        store: Arc::new(store),
        marks,
        unix_ms: Arc::new(move || clock.unix_ms()),
        salt: Arc::new(move || entropy.bytes().ok()),
    })
}

/// Says durably that a journal was made: after it was.
fn mark_made(path: &Path) -> Result<(), JournalError> {
    let write = || {
        let mut file = File::create(path)?;
        file.write_all(MADE_TEXT.as_bytes())?;
        file.sync_all()?;
        path.parent()
            .map_or(Ok(()), |dir| File::open(dir)?.sync_all())
    };
    write().map_err(|error| io_error("write", path, &error))
}

/// Notes that the node starts, and with what if that is not what it had before. A journal that takes nothing
/// now gets it later: the node runs meanwhile, and refuses what must be journalled.
pub(super) async fn begin(journal: &Journal, config: &Config) -> Result<(), NodeError> {
    let what = concat!("version ", env!("CARGO_PKG_VERSION"));
    match journal.start(what, digest(config)?).await {
        Err(error) if error.forbids_start() => Err(error.into()),
        Err(error) => {
            tracing::error!(
                reason = %error,
                "the node starts all the same; what must be journalled is refused"
            );
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

/// SHA-256 over the configuration and the files of every link: name, length and content of each.
fn digest(config: &Config) -> Result<[u8; 32], NodeError> {
    let mut hash = Sha256::new();
    let mut files: Vec<PathBuf> = vec![config.file.clone()];
    if let Ok(entries) = fs::read_dir(&config.links_dir) {
        let mut links: Vec<_> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|end| end == "toml"))
            .collect();
        links.sort();
        files.extend(links);
    }
    for file in files {
        let content = fs::read(&file).map_err(|error| io_error("read", &file, &error))?;
        let name = file.file_name().unwrap_or_default().as_encoded_bytes();
        for part in [name, &content] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
    }
    Ok(hash.finalize().into())
}

/// Begins another journal in place of one that is lost or must not be used; what there is of it is moved
/// beside it. Returns where to.
///
/// # Errors
/// [`JournalError`]: also while the node runs. Nothing is moved then.
pub async fn begin_journal(config: &Config, reason: &str) -> Result<Option<PathBuf>, JournalError> {
    if UnixStream::connect(&config.desk.socket).is_ok() {
        return Err(JournalError::Stopped {
            reason: format!(
                "the node answers at {}: stop it first",
                config.desk.socket.display()
            ),
        });
    }
    // Everything that can be refused, before anything is moved.
    let reason = reason.trim();
    if reason.is_empty() || reason.chars().any(is_steering) {
        return Err(JournalError::Reason);
    }
    let deed = Deed::new("node", Act::Begun).why(reason).checked()?;
    // A node that does not answer may run all the same.
    let _node = Unused::take(&config.data_dir)?;
    let dir = &config.journal_dir;
    let aside = if dir.exists() {
        let _journal = match Unused::take(dir) {
            Err(error @ StoreError::InUse { .. }) => return Err(error.into()),
            // It may be why another is begun.
            taken => taken.ok(),
        };
        let mut name = dir.file_name().unwrap_or_default().to_owned();
        name.push(format!(".lost-{}", SystemClock.unix_seconds()));
        let aside = dir.with_file_name(name);
        fs::rename(dir, &aside).map_err(|error| io_error("move away", dir, &error))?;
        Some(aside)
    } else {
        None
    };
    let made = config.data_dir.join(MADE);
    if made.exists() {
        fs::remove_file(&made).map_err(|error| io_error("remove", &made, &error))?;
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let journal = open(config, &clock)?;
    journal.note(deed).await?;
    journal.close();
    Ok(aside)
}

//! The folder of a backup: content by digest, and one file that says what belongs to it.
//!
//! ```text
//! DIR/
//!   BACKUP.json        what belongs to the backup; replaced by renaming, last of all
//!   LOCK               held by who writes; empty
//!   data/<2 hex>/<64 hex>  content, named by its SHA-256
//!   tmp/               content that is being written
//!   config-<n>/        the configuration as of generation n, for people
//! ```
//!
//! Content never changes: what is new gets a new name. So until `BACKUP.json` is replaced the former
//! generation is whole, and afterwards the new one is; what no generation names is removed later.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use sha2::{Digest as _, Sha256};

use super::manifest::{Hex32, Manifest, ManifestError};
use super::pack::{PackError, Packed};
use crate::limits::{BACKUP_CONFIG_BYTES_MAX, BACKUP_MANIFEST_BYTES_MAX};

/// The file that says what belongs to a backup.
pub const MANIFEST: &str = "BACKUP.json";
pub(super) const LOCK: &str = "LOCK";
pub(super) const DATA: &str = "data";
pub(super) const TMP: &str = "tmp";
pub(super) const CONFIG: &str = "config-";

/// Why a folder cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", .path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// The answer of the operating system.
        source: io::Error,
    },
    /// The disk is full.
    #[error(
        "the disk of {} is full; the former backup is whole. Free some space and make the backup \
         again",
        .path.display()
    )]
    Full {
        /// What was being written.
        path: PathBuf,
    },
    /// Somebody else writes it.
    #[error("{} is being written by another backup; wait for it to end", .path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// There is no backup.
    #[error("there is no backup in {}: it has no {MANIFEST}", .path.display())]
    Missing {
        /// The folder.
        path: PathBuf,
    },
    /// Something else is there.
    #[error("{} holds other files and no backup; name an empty or new directory", .path.display())]
    Foreign {
        /// The folder.
        path: PathBuf,
    },
    /// Its manifest is not to be taken.
    #[error("{}: {source}", .path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// Why.
        source: ManifestError,
    },
    /// Content is not there.
    #[error("{} is missing", .path.display())]
    NoContent {
        /// Where it should be.
        path: PathBuf,
    },
    /// Content is not what its name says.
    #[error("{}: {what}", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
}

impl FolderError {
    pub(super) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full {
                path: path.to_owned(),
            },
            _ => Self::Io {
                action,
                path: path.to_owned(),
                source,
            },
        }
    }

    /// Whether it speaks of what is in the backup; else of this machine.
    #[must_use]
    pub fn is_finding(&self) -> bool {
        matches!(
            self,
            Self::Manifest { .. } | Self::NoContent { .. } | Self::Damaged { .. }
        )
    }
}

/// A folder to read from.
#[derive(Debug, Clone)]
pub struct Folder {
    pub(super) dir: PathBuf,
}

impl Folder {
    /// A folder; nothing is looked at yet.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What belongs to the backup.
    ///
    /// # Errors
    /// [`FolderError::Missing`] where there is no backup, [`FolderError::Manifest`] where it cannot
    /// be trusted.
    pub fn manifest(&self) -> Result<Manifest, FolderError> {
        let path = self.dir.join(MANIFEST);
        let missing = || FolderError::Missing {
            path: self.dir.clone(),
        };
        let bytes = read_plain(&path, BACKUP_MANIFEST_BYTES_MAX)?.ok_or_else(missing)?;
        Manifest::decode(&bytes).map_err(|source| FolderError::Manifest { path, source })
    }

    /// Where content lies.
    #[must_use]
    pub fn path_of(&self, sha256: &[u8; 32]) -> PathBuf {
        let name = hex::encode(sha256);
        self.dir.join(DATA).join(&name[..2]).join(&name)
    }

    /// Opens content that has so many bytes.
    ///
    /// # Errors
    /// [`FolderError::NoContent`], [`FolderError::Damaged`] when it has another length.
    pub fn open(&self, sha256: &[u8; 32], bytes: u64) -> Result<Content, FolderError> {
        let path = self.path_of(sha256);
        let missing = || FolderError::NoContent { path: path.clone() };
        let (file, length) = open_plain(&path)?.ok_or_else(missing)?;
        if length != bytes {
            return Err(FolderError::Damaged {
                path,
                what: format!("it has {length} bytes, {bytes} belong there"),
            });
        }
        Ok(Content {
            file: BufReader::with_capacity(64 << 10, file),
            sha256: *sha256,
            sum: Sha256::new(),
            path,
        })
    }

    /// Every item of a packed file, which must have so many and be what its name says. Items are
    /// handed on before the whole is judged: an error means that none of them may be used.
    ///
    /// # Errors
    /// [`FolderError`], or what `take` answers.
    pub fn items<T: Packed, E: From<FolderError>>(
        &self,
        sha256: &[u8; 32],
        bytes: u64,
        count: u64,
        mut take: impl FnMut(T) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut content = self.open(sha256, bytes)?;
        let mut found = 0;
        loop {
            match T::unpack(&mut content) {
                Ok(Some(item)) => take(item)?,
                Ok(None) => break,
                Err(error) => return Err(content.damaged(&error).into()),
            }
            found += 1;
        }
        let path = content.path.clone();
        content.finish()?;
        if found == count {
            return Ok(());
        }
        let what = format!("it holds {found} items, {count} belong there");
        Err(FolderError::Damaged { path, what }.into())
    }

    /// A small content as a whole.
    ///
    /// # Errors
    /// As [`Folder::open`].
    pub fn whole(&self, sha256: &[u8; 32], bytes: u64) -> Result<Vec<u8>, FolderError> {
        let mut content = self.open(sha256, bytes)?;
        let mut out = Vec::new();
        let path = content.path.clone();
        content
            .read_to_end(&mut out)
            .map_err(|error| FolderError::io("read", &path, error))?;
        content.finish()?;
        Ok(out)
    }

    /// A file of the configuration of a generation.
    ///
    /// # Errors
    /// When it is not there or not what it was.
    pub fn config(
        &self,
        generation: u64,
        name: &str,
        sha256: &Hex32,
    ) -> Result<Vec<u8>, FolderError> {
        let path = self.dir.join(format!("{CONFIG}{generation}")).join(name);
        let missing = || FolderError::NoContent { path: path.clone() };
        let bytes = read_plain(&path, BACKUP_CONFIG_BYTES_MAX)?.ok_or_else(missing)?;
        if <[u8; 32]>::from(Sha256::digest(&bytes)) == sha256.0 {
            return Ok(bytes);
        }
        let what = "its content is not what was written".to_owned();
        Err(FolderError::Damaged { path, what })
    }

    /// Names in the folder that no backup has: first content that the backup does not name, which an
    /// interrupted one leaves and the next removes; then all else.
    ///
    /// # Errors
    /// When it cannot be listed.
    pub fn strangers(
        &self,
        generation: u64,
        named: &BTreeSet<[u8; 32]>,
    ) -> Result<(u64, Vec<PathBuf>), FolderError> {
        let (mut unnamed, mut foreign) = (0, Vec::new());
        let config = format!("{CONFIG}{generation}");
        for path in list(&self.dir)? {
            match name_of(&path) {
                MANIFEST | LOCK | TMP | DATA => {}
                name if name == config => {}
                name if name.starts_with(CONFIG) || name == "BACKUP.tmp" => unnamed += 1,
                _ => foreign.push(path),
            }
        }
        self.each_content(|path, digest| {
            match digest {
                Some(digest) if named.contains(&digest) => {}
                Some(_) => unnamed += 1,
                None => foreign.push(path.to_owned()),
            }
            Ok(())
        })?;
        foreign.sort();
        Ok((unnamed, foreign))
    }

    pub(super) fn each_content(
        &self,
        mut each: impl FnMut(&Path, Option<[u8; 32]>) -> Result<(), FolderError>,
    ) -> Result<(), FolderError> {
        let data = self.dir.join(DATA);
        for shelf in list_or_none(&data)? {
            if !fs::symlink_metadata(&shelf).is_ok_and(|meta| meta.is_dir()) {
                each(&shelf, None)?;
                continue;
            }
            for path in list(&shelf)? {
                let mut digest = [0; 32];
                let known = hex::decode_to_slice(name_of(&path), &mut digest).is_ok()
                    && self.path_of(&digest) == path;
                each(&path, known.then_some(digest))?;
            }
        }
        Ok(())
    }
}

/// Content being read; it is judged by [`Content::finish`].
#[derive(Debug)]
pub struct Content {
    file: BufReader<File>,
    sha256: [u8; 32],
    sum: Sha256,
    path: PathBuf,
}

impl Read for Content {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(out)?;
        self.sum.update(&out[..count]);
        Ok(count)
    }
}

impl Content {
    /// Reads what is left and compares the whole with its name.
    ///
    /// # Errors
    /// [`FolderError::Damaged`].
    pub fn finish(mut self) -> Result<(), FolderError> {
        io::copy(&mut self, &mut io::sink())
            .map_err(|error| FolderError::io("read", &self.path, error))?;
        if <[u8; 32]>::from(self.sum.finalize()) == self.sha256 {
            return Ok(());
        }
        Err(FolderError::Damaged {
            path: self.path,
            what: "its content does not match its name".to_owned(),
        })
    }

    fn damaged(self, error: &PackError) -> FolderError {
        let path = self.path.clone();
        // What does not match its name is no more than that.
        match self.finish() {
            Err(error) => error,
            Ok(()) => FolderError::Damaged {
                path,
                what: error.to_string(),
            },
        }
    }
}

/// Opens a regular file, not through a link; `None` where there is nothing.
fn open_plain(path: &Path) -> Result<Option<(File, u64)>, FolderError> {
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(no_follow())
        .open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            return Err(no_file(path));
        }
        Err(error) => return Err(FolderError::io("open", path, error)),
    };
    let meta = file
        .metadata()
        .map_err(|error| FolderError::io("look at", path, error))?;
    if meta.is_file() {
        Ok(Some((file, meta.len())))
    } else {
        Err(no_file(path))
    }
}

fn no_file(path: &Path) -> FolderError {
    FolderError::Damaged {
        path: path.to_owned(),
        what: "it is no file of its own but a link or something else".to_owned(),
    }
}

fn read_plain(path: &Path, bytes_max: u64) -> Result<Option<Vec<u8>>, FolderError> {
    let Some((file, length)) = open_plain(path)? else {
        return Ok(None);
    };
    let mut bytes = Vec::new();
    file.take(bytes_max + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| FolderError::io("read", path, error))?;
    if bytes.len() as u64 > bytes_max {
        return Err(FolderError::Damaged {
            path: path.to_owned(),
            what: format!("it has {length} bytes, at most {bytes_max} are read"),
        });
    }
    Ok(Some(bytes))
}

/// Never through a link, and never waiting for the other end of a pipe.
pub(super) fn no_follow() -> i32 {
    (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed()
}

pub(super) fn make_dir(dir: &Path) -> Result<(), FolderError> {
    if dir.is_dir() {
        return Ok(());
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|error| FolderError::io("make", dir, error))?;
    match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync_dir(parent),
        _ => Ok(()),
    }
}

pub(super) fn sync_dir(dir: &Path) -> Result<(), FolderError> {
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(|error| FolderError::io("sync", dir, error))
}

pub(super) fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), FolderError> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        })
        .map_err(|error| FolderError::io("write", path, error))
}

pub(super) fn list(dir: &Path) -> Result<Vec<PathBuf>, FolderError> {
    fs::read_dir(dir)
        .and_then(|entries| entries.map(|entry| entry.map(|e| e.path())).collect())
        .map_err(|error| FolderError::io("list", dir, error))
}

fn list_or_none(dir: &Path) -> Result<Vec<PathBuf>, FolderError> {
    if dir.is_dir() {
        list(dir)
    } else {
        Ok(Vec::new())
    }
}

pub(super) fn name_of(path: &Path) -> &str {
    path.file_name()
        .and_then(|name| name.to_str())
        .unwrap_or("")
}

pub(super) fn remove(path: &Path) -> Result<(), FolderError> {
    fs::remove_file(path).map_err(|error| FolderError::io("remove", path, error))
}

pub(super) fn remove_if_there(path: &Path) -> Result<(), FolderError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(FolderError::io("remove", path, error))
        }
        _ => Ok(()),
    }
}

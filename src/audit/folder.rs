//! Reads a folder that somebody handed over.
//!
//! The folder is walked once without following symbolic links; afterwards only regular files that
//! the walk has met are opened, under the names that it gave them. So a path in a manifest, however
//! it is written, reaches nothing outside. Every read has a limit.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::limits::{EXPORT_DEPTH_MAX, EXPORT_FILES_MAX};
use crate::model::text;

/// The regular files below a folder.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
    files: BTreeMap<String, u64>,
    odd: Vec<(String, &'static str)>,
}

/// Why a file was not read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error("the file is missing")]
    Missing,
    #[error("the file has {bytes} bytes, more than the {bytes_max} that such a file can have")]
    TooLarge { bytes: u64, bytes_max: u64 },
    #[error("the file cannot be read: {0}")]
    Io(#[from] io::Error),
}

impl Folder {
    /// Walks the folder.
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        let mut folder = Self {
            root: root.to_owned(),
            files: BTreeMap::new(),
            odd: Vec::new(),
        };
        folder.walk(root, "", 0)?;
        Ok(folder)
    }

    /// Every regular file, in order.
    pub(super) fn files(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// Whether there is a regular file of that name.
    pub(super) fn has(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }

    /// What else lies there: links, devices, names that are no text. Escaped, with what it is.
    pub(super) fn odd(&self) -> &[(String, &'static str)] {
        &self.odd
    }

    /// Reads a file of at most `bytes_max` bytes.
    pub(super) fn read(&self, path: &str, bytes_max: usize) -> Result<Vec<u8>, ReadError> {
        let bytes_max = bytes_max as u64;
        let Some(&bytes) = self.files.get(path) else {
            return Err(ReadError::Missing);
        };
        if bytes > bytes_max {
            return Err(ReadError::TooLarge { bytes, bytes_max });
        }
        let file = open_no_follow(&self.root.join(path))?;
        let mut content = Vec::with_capacity(usize::try_from(bytes).unwrap_or(0));
        // It may have grown since.
        file.take(bytes_max + 1).read_to_end(&mut content)?;
        match content.len() as u64 {
            bytes if bytes > bytes_max => Err(ReadError::TooLarge { bytes, bytes_max }),
            _ => Ok(content),
        }
    }

    fn walk(&mut self, dir: &Path, prefix: &str, depth: usize) -> io::Result<()> {
        for entry in std::fs::read_dir(dir)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else {
                let shown = format!("{prefix}{}", name.to_string_lossy());
                self.note_odd(&shown, "a name that is not UTF-8");
                continue;
            };
            let path = format!("{prefix}{name}");
            // Of the link itself: nothing here follows one.
            let metadata = entry.metadata()?;
            if metadata.is_dir() {
                if depth == EXPORT_DEPTH_MAX {
                    self.note_odd(&path, "a folder deeper than any of an export");
                } else {
                    self.walk(&entry.path(), &format!("{path}/"), depth + 1)?;
                }
            } else if metadata.is_file() {
                if self.files.len() == EXPORT_FILES_MAX {
                    return Err(io::Error::other("more files than an export can have"));
                }
                self.files.insert(path, metadata.len());
            } else if metadata.is_symlink() {
                self.note_odd(&path, "a symbolic link, which is not followed");
            } else {
                self.note_odd(&path, "neither file nor folder");
            }
        }
        Ok(())
    }

    fn note_odd(&mut self, path: &str, what: &'static str) {
        if self.odd.len() < EXPORT_DEPTH_MAX * 1000 {
            self.odd.push((text::escape(path).into_owned(), what));
        }
    }
}

fn open_no_follow(path: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).map_err(io::Error::other)?;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::other("no longer a file"))
    }
}

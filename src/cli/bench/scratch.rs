//! The directory that a run makes for itself, and takes away again.

use std::path::{Path, PathBuf};

use rustix::fs::statfs;

use crate::cli::exit::{Exit, Failure, OrExit as _};

/// What the kernel calls a file system in memory (statfs(2)).
const TMPFS_MAGIC: u32 = 0x0102_1994;

/// A directory that is removed when this is dropped, unless it is to be kept.
#[derive(Debug)]
pub(super) struct Scratch {
    dir: PathBuf,
    keep: bool,
}

impl Scratch {
    /// Makes a new directory in `parent`, which is made if it is missing.
    pub(super) fn make(parent: &Path, keep: bool) -> Result<Self, Failure> {
        let dir = parent.join(format!("liaison-bench-{}", std::process::id()));
        let failed = || format!("the directory {}", dir.display());
        std::fs::create_dir_all(parent).or_fail(Exit::CannotCreate, failed)?;
        std::fs::create_dir(&dir).or_fail(Exit::CannotCreate, failed)?;
        Ok(Self { dir, keep })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.dir
    }

    /// Whether it lies in memory, where nothing is ever made durable.
    pub(super) fn is_in_memory(&self) -> bool {
        // The type has another width on other machines.
        statfs(&self.dir).is_ok_and(|stat| u64::try_from(stat.f_type) == Ok(TMPFS_MAGIC.into()))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !self.keep {
            // Best effort: what stays lies in a directory that names its maker.
            let _ = std::fs::remove_dir_all(&self.dir);
        }
    }
}

//! The directory that a run makes for itself, and takes away again.

use std::path::{Path, PathBuf};

use rustix::fs::statfs;

use crate::cli::exit::{Exit, Failure, OrExit as _};
use crate::cli::print::Screen;

/// What the kernel calls a file system in memory (statfs(2)).
const TMPFS_MAGIC: u32 = 0x0102_1994;

/// A directory that is removed when this is dropped, unless it is to be kept: either is said.
#[derive(Debug)]
pub(super) struct Scratch {
    dir: PathBuf,
    keep: bool,
    screen: Screen,
}

impl Scratch {
    /// Makes a new directory in `parent`, which is made if it is missing.
    pub(super) fn make(parent: &Path, keep: bool, screen: Screen) -> Result<Self, Failure> {
        let dir = parent.join(format!("liaison-bench-{}", std::process::id()));
        let failed = || format!("the directory {}", dir.display());
        std::fs::create_dir_all(parent).or_fail(Exit::CannotCreate, failed)?;
        std::fs::create_dir(&dir).or_fail(Exit::CannotCreate, failed)?;
        Ok(Self { dir, keep, screen })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.dir
    }

    /// Whether it stays.
    pub(super) fn is_kept(&self) -> bool {
        self.keep
    }

    /// Says so if figures of this place would be worth nothing.
    pub(super) fn warn(&self) {
        if self.is_in_memory() {
            self.screen.note(format!(
                "{} is in memory, where nothing is made durable: name a directory on a disk with --dir",
                self.dir.display()
            ));
        }
    }

    /// Whether it lies in memory, where nothing is ever made durable.
    fn is_in_memory(&self) -> bool {
        // The type has another width on other machines.
        statfs(&self.dir).is_ok_and(|stat| u64::try_from(stat.f_type) == Ok(TMPFS_MAGIC.into()))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let dir = self.dir.display();
        if self.keep {
            self.screen.note(format!("the nodes are in {dir}"));
        } else if let Err(error) = std::fs::remove_dir_all(&self.dir) {
            self.screen.note(format!(
                "{dir} could not be removed ({error}): remove it by hand"
            ));
        }
    }
}

//! The file that a result is saved to. It is opened before anything is measured: hours of measuring are
//! not to be lost to a path that cannot be written.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use crate::cli::exit::{Exit, Failure, OrExit as _};

/// A file that can be written. What was in it stays until there is a result; without one, a file that was
/// made for it goes again.
#[derive(Debug)]
pub(super) struct Saved {
    path: PathBuf,
    file: File,
    /// Whether it was made for this result, and nothing is in it yet.
    is_new: bool,
}

impl Saved {
    /// Opens it, or makes it.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let failed = || failed(path);
        let made = OpenOptions::new().write(true).create_new(true).open(path);
        let (file, is_new) = match made {
            Ok(file) => (file, true),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                let file = OpenOptions::new().write(true).open(path);
                (file.or_fail(Exit::CannotCreate, failed)?, false)
            }
            Err(error) => return Err(error).or_fail(Exit::CannotCreate, failed),
        };
        Ok(Self {
            path: path.to_owned(),
            file,
            is_new,
        })
    }

    /// Writes the result in place of what was there.
    pub(super) fn write(mut self, text: &str) -> Result<(), Failure> {
        let is_file = self.file.metadata().is_ok_and(|meta| meta.is_file());
        let emptied = if is_file {
            self.file.set_len(0)
        } else {
            // Devices and pipes have no length.
            Ok(())
        };
        emptied
            .and_then(|()| self.file.write_all(text.as_bytes()))
            .or_fail(Exit::CannotCreate, || failed(&self.path))?;
        self.is_new = false;
        Ok(())
    }
}

impl Drop for Saved {
    fn drop(&mut self) {
        if self.is_new {
            // Best effort: it is empty.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn failed(path: &Path) -> String {
    format!("--save: the file {}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_stays_until_there_is_a_result() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("result.json");
        drop(Saved::open(&path).unwrap());
        assert!(!path.exists(), "nothing came of it");

        std::fs::write(&path, "an earlier and longer result").unwrap();
        let saved = Saved::open(&path).unwrap();
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "an earlier and longer result"
        );
        saved.write("a result").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "a result");
        drop(Saved::open(&path).unwrap());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "a result");
    }
}

//! File systems of their own, for tests that fill a disk or cut its power. Needs root on Linux:
//! where mounts are forbidden these tests fail and say so, because a skipped one proves nothing.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// A mounted file system; unmounted when dropped.
#[derive(Debug)]
pub(crate) struct Mounted {
    pub(crate) dir: PathBuf,
}

impl Mounted {
    /// A file system in memory.
    pub(crate) fn tmpfs(dir: &Path, mebibytes: u32) -> Self {
        std::fs::create_dir_all(dir).unwrap();
        let size = format!("size={mebibytes}m");
        run(Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(dir));
        Mounted {
            dir: dir.to_owned(),
        }
    }

    /// The ext4 file system in an image file, made anew when `fresh`.
    pub(crate) fn ext4(image: &Path, dir: &Path, mebibytes: u64, fresh: bool) -> Self {
        std::fs::create_dir_all(dir).unwrap();
        if fresh {
            let file = std::fs::File::create(image).unwrap();
            file.set_len(mebibytes << 20).unwrap();
            run(Command::new("mkfs.ext4")
                .args(["-q", "-F", "-m", "0"])
                .arg(image));
        }
        run(Command::new("mount")
            .args(["-o", "loop"])
            .arg(image)
            .arg(dir));
        Mounted {
            dir: dir.to_owned(),
        }
    }

    /// Unmounts now, and waits until it is done: a killed process may let go a little later.
    pub(crate) fn unmount(self) {
        let umount = || Command::new("umount").arg(&self.dir).output().unwrap();
        for _ in 0..200 {
            if umount().status.success() {
                std::mem::forget(self);
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        let output = umount();
        panic!(
            "{}: {}",
            self.dir.display(),
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.dir).output();
    }
}

/// Runs a command that must succeed.
pub(crate) fn run(command: &mut Command) {
    let output = command
        .output()
        .unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(
        output.status.success(),
        "{command:?} failed. This test needs root on Linux, with mount, mkfs.ext4 and loop devices \
         allowed; it must not be skipped: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

//! The folder of a backup while it is written: new names first, `BACKUP.json` last.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::folder::{
    CONFIG, Content, DATA, Folder, FolderError, LOCK, MANIFEST, TMP, list, make_dir, name_of,
    no_follow, remove, remove_if_there, sync_dir, write_synced,
};
use super::manifest::Manifest;
use super::pack::Packed;

/// For tests: asked before each step that changes the folder; an error ends the work there, as a
/// crash would.
#[doc(hidden)]
pub type Failpoint = Box<dyn FnMut(&'static str) -> io::Result<()> + Send>;

/// A folder that is being written; nobody else writes it meanwhile.
pub struct Shelf {
    folder: Folder,
    serial: u64,
    /// Directories whose names are not durable yet.
    touched: BTreeSet<PathBuf>,
    /// Bytes written.
    written: u64,
    failpoint: Option<Failpoint>,
    _lock: File,
}

impl std::fmt::Debug for Shelf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shelf")
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

impl Shelf {
    /// Takes a folder for writing; makes it where there is none.
    ///
    /// # Errors
    /// [`FolderError::Foreign`] when something else is there, [`FolderError::InUse`].
    pub fn open(dir: &Path) -> Result<Self, FolderError> {
        let folder = Folder::new(dir);
        make_dir(dir)?;
        let is_new = !dir.join(MANIFEST).exists();
        let ours = [LOCK, TMP, DATA, "BACKUP.tmp", "lost+found"];
        let foreign = |path: &PathBuf| {
            let name = name_of(path);
            !ours.contains(&name) && !name.starts_with(CONFIG)
        };
        if is_new && list(dir)?.iter().any(foreign) {
            return Err(FolderError::Foreign {
                path: dir.to_owned(),
            });
        }
        let path = dir.join(LOCK);
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(no_follow())
            .open(&path)
            .map_err(|error| FolderError::io("open", &path, error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(FolderError::InUse {
                    path: dir.to_owned(),
                });
            }
            Err(TryLockError::Error(error)) => return Err(FolderError::io("lock", &path, error)),
        }
        make_dir(&dir.join(DATA))?;
        let tmp = dir.join(TMP);
        make_dir(&tmp)?;
        for path in list(&tmp)? {
            remove(&path)?;
        }
        Ok(Self {
            folder,
            serial: 0,
            touched: BTreeSet::new(),
            written: 0,
            failpoint: None,
            _lock: lock,
        })
    }

    /// Ends the work at a step, for tests.
    #[doc(hidden)]
    pub fn set_failpoint(&mut self, failpoint: Failpoint) {
        self.failpoint = Some(failpoint);
    }

    fn step(&mut self, what: &'static str) -> Result<(), FolderError> {
        match &mut self.failpoint {
            None => Ok(()),
            Some(failpoint) => {
                failpoint(what).map_err(|error| FolderError::io(what, &self.folder.dir, error))
            }
        }
    }

    /// To read from.
    #[must_use]
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Bytes of content written so far.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Begins new content.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn begin(&mut self) -> Result<NewContent, FolderError> {
        self.step("make")?;
        self.serial += 1;
        let path = self.folder.dir.join(TMP).join(self.serial.to_string());
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(|error| FolderError::io("make", &path, error))?;
        Ok(NewContent {
            file,
            path,
            sum: Sha256::new(),
            bytes: 0,
            buffer: Vec::new(),
        })
    }

    /// Makes content durable under its name; answers digest and bytes. Its name is durable when
    /// [`Shelf::publish`] has answered.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep(&mut self, mut content: NewContent) -> Result<([u8; 32], u64), FolderError> {
        self.step("write")?;
        content.flush_buffer()?;
        content
            .file
            .sync_data()
            .map_err(|error| FolderError::io("sync", &content.path, error))?;
        let sha256 = content.sum.finalize().into();
        let path = self.folder.path_of(&sha256);
        let shelf = path.parent().unwrap_or(&self.folder.dir).to_owned();
        make_dir(&shelf)?;
        self.step("name")?;
        fs::rename(&content.path, &path).map_err(|error| FolderError::io("name", &path, error))?;
        self.touched.insert(shelf);
        self.written += content.bytes;
        Ok((sha256, content.bytes))
    }

    /// Drops content that turned out wrong.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn discard(&mut self, content: &NewContent) -> Result<(), FolderError> {
        remove(&content.path)
    }

    /// Whether content is here already, as an interrupted backup may have left it: read again and
    /// compared with its name.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn has_whole(&self, sha256: &[u8; 32], bytes: u64) -> Result<bool, FolderError> {
        match self.folder.open(sha256, bytes).and_then(Content::finish) {
            Ok(()) => Ok(true),
            Err(error) if error.is_finding() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Keeps the configuration beside the content of a generation.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep_config(
        &mut self,
        generation: u64,
        files: &[(String, Vec<u8>)],
    ) -> Result<(), FolderError> {
        let dir = self.folder.dir.join(format!("{CONFIG}{generation}"));
        self.step("make")?;
        make_dir(&dir)?;
        for path in list(&dir)? {
            remove(&path)?;
        }
        for (name, bytes) in files {
            self.step("write")?;
            write_synced(&dir.join(name), bytes)?;
            self.written += bytes.len() as u64;
        }
        self.touched.insert(dir);
        Ok(())
    }

    /// Makes a new generation the backup: everything it names is durable before, and from the
    /// renaming on it counts. Then removes what no longer belongs to it.
    ///
    /// # Errors
    /// When it cannot be written: the former generation is the backup then, whole.
    pub fn publish(
        &mut self,
        manifest: &Manifest,
        named: &BTreeSet<[u8; 32]>,
    ) -> Result<(), FolderError> {
        let dir = self.folder.dir.clone();
        let path = dir.join(MANIFEST);
        let bytes = manifest.encode().map_err(|source| FolderError::Manifest {
            path: path.clone(),
            source,
        })?;
        self.step("sync")?;
        for touched in std::mem::take(&mut self.touched) {
            sync_dir(&touched)?;
        }
        sync_dir(&dir.join(DATA))?;
        sync_dir(&dir)?;
        self.step("write")?;
        let temporary = dir.join("BACKUP.tmp");
        remove_if_there(&temporary)?;
        write_synced(&temporary, &bytes)?;
        self.written += bytes.len() as u64;
        self.step("publish")?;
        fs::rename(&temporary, &path).map_err(|error| FolderError::io("publish", &path, error))?;
        // Point of no return: from here on the new generation is the backup.
        sync_dir(&dir)?;
        self.prune(manifest.generation, named)
    }

    /// Removes what the generation does not name.
    fn prune(&mut self, generation: u64, named: &BTreeSet<[u8; 32]>) -> Result<(), FolderError> {
        let mut old = Vec::new();
        self.folder.clone().each_content(|path, digest| {
            if digest.is_some_and(|digest| !named.contains(&digest)) {
                old.push(path.to_owned());
            }
            Ok(())
        })?;
        for path in old {
            self.step("remove")?;
            remove(&path)?;
        }
        let current = format!("{CONFIG}{generation}");
        for path in list(&self.folder.dir)? {
            let name = name_of(&path);
            let number = name.strip_prefix(CONFIG);
            let is_ours = number.is_some_and(|n| n.bytes().all(|byte| byte.is_ascii_digit()));
            if is_ours && name != current {
                self.step("remove")?;
                fs::remove_dir_all(&path)
                    .map_err(|error| FolderError::io("remove", &path, error))?;
            }
        }
        Ok(())
    }
}

/// Content being written.
#[derive(Debug)]
pub struct NewContent {
    file: File,
    path: PathBuf,
    sum: Sha256,
    bytes: u64,
    buffer: Vec<u8>,
}

/// Bytes that are gathered before they are written.
const BUFFER_BYTES: usize = 256 << 10;

impl NewContent {
    /// Adds bytes.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), FolderError> {
        self.sum.update(bytes);
        self.bytes += bytes.len() as u64;
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER_BYTES {
            self.flush_buffer()?;
        }
        Ok(())
    }

    /// Adds an item.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn pack(&mut self, item: &impl Packed) -> Result<(), FolderError> {
        let mut bytes = Vec::new();
        item.pack(&mut bytes);
        self.write(&bytes)
    }

    /// Bytes so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// SHA-256 of the bytes so far.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        self.sum.clone().finalize().into()
    }

    fn flush_buffer(&mut self) -> Result<(), FolderError> {
        self.file
            .write_all(&self.buffer)
            .map_err(|error| FolderError::io("write", &self.path, error))?;
        self.buffer.clear();
        Ok(())
    }
}

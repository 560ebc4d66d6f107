//! Files: bodies and entries too large for a value, and every attachment.
//!
//! A blob is named by the SHA-256 of its content and appears under that name only when the whole
//! of it is on disk: temporary file, fdatasync, rename, sync of the directory. So the commit that
//! names a blob comes after [`Blobs::put`] or [`Blobs::finish`] has answered.
//!
//! With a [`Vault`], attachments lie sealed; [`put`](Blobs::put) takes bytes as they are (entries stay readable, bodies
//! come sealed). What lies there unsealed, of a time without a vault, is still read.
//!
//! File names are made of digests alone; no name that anyone sent ever becomes a path.
//!
//! What a peer sends in parts lies apart from what another peer or an upload does ([`Blobs::of`]):
//! nobody writes into, cuts off or learns of another's unfinished file. What the desk uploads waits
//! in a place of its own until a message names it ([`Blobs::adopt`]); nothing else is ever removed
//! for being old.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::SystemTime;

use sha2::{Digest as _, Sha256};

use super::layout::Layout;
use super::sealed_file::{self, SealedFile};
use super::{KeyAddress, StoreError, Vault, counters, disk};
use crate::limits;

/// SHA-256 of a blob's content, which is its name.
pub type Digest = [u8; 32];

/// Bytes that are read at once when content is hashed: memory does not grow with the blob.
const HASH_BYTES: usize = 256 << 10;

/// The ending of sealed files.
pub(super) const SEALED: &str = "s";

/// A blob of which a part is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partial {
    /// Its name, once it is whole.
    pub digest: Digest,
    /// Bytes that are held, from the beginning.
    pub held: u64,
}

/// A file without a name; see [`Blobs::scratch`].
#[derive(Debug)]
pub struct Scratch {
    file: File,
    /// Where it was, for errors.
    path: PathBuf,
    held: u64,
}

impl Scratch {
    /// Bytes written.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.held
    }

    /// The file, to be read.
    #[must_use]
    pub fn into_file(self) -> File {
        self.file
    }
}

/// The blobs of a store. May be used from several threads; all of it blocks on the disk.
#[derive(Debug)]
pub struct Blobs {
    dir: PathBuf,
    /// Where unfinished blobs lie.
    partial: PathBuf,
    free_bytes_min: u64,
    /// What attachments are sealed with.
    vault: Option<Arc<Vault>>,
    /// Files that a thread is writing right now.
    busy: Arc<(Mutex<BTreeSet<PathBuf>>, Condvar)>,
}

impl Blobs {
    /// Opens the blobs of the store in `dir`, makes their directory when there is none, and
    /// removes what an interrupted [`put`](Blobs::put) left. Partial blobs stay. Writes are
    /// refused when they would leave less than `free_bytes_min`.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn open(dir: &Path, free_bytes_min: u64) -> Result<Self, StoreError> {
        let dir = Layout::new(dir).blobs();
        let blobs = Blobs {
            partial: dir.join("partial"),
            dir,
            free_bytes_min,
            vault: None,
            busy: Arc::default(),
        };
        disk::create_dir(&blobs.partial)?;
        disk::create_dir(&blobs.dir.join("tmp"))?;
        disk::create_dir(&blobs.uploads())?;
        for path in list(&blobs.dir.join("tmp"))? {
            fs::remove_file(&path).map_err(|e| StoreError::io("remove", &path, e))?;
        }
        Ok(blobs)
    }

    /// The same blobs, with attachments sealed from now on.
    #[must_use]
    pub fn sealed(mut self, vault: Arc<Vault>) -> Self {
        self.vault = Some(vault);
        self
    }

    /// What attachments are sealed with.
    #[must_use]
    pub fn vault(&self) -> Option<&Arc<Vault>> {
        self.vault.as_ref()
    }

    /// The same blobs, with the unfinished ones of `owner` apart from everyone else's. `owner` is a
    /// word of this program's own, such as `link-3`.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn of(&self, owner: &str) -> Result<Self, StoreError> {
        let partial = self.dir.join("partial").join(owner);
        disk::create_dir(&partial)?;
        Ok(Blobs {
            dir: self.dir.clone(),
            partial,
            free_bytes_min: self.free_bytes_min,
            vault: self.vault.clone(),
            busy: Arc::clone(&self.busy),
        })
    }

    /// Stores whole content, durably when this answers `Ok`. That it is there already is no error.
    ///
    /// # Errors
    /// Nothing stored: [`StoreError::BlobDigest`] when the content is not what `digest` says,
    /// [`StoreError::Full`], [`StoreError::BlobBusy`], [`StoreError::Io`].
    pub fn put(&self, digest: &Digest, content: &[u8]) -> Result<(), StoreError> {
        self.put_all(&[(*digest, content)])
    }

    /// Stores several contents with one sync of the directory.
    ///
    /// # Errors
    /// As [`Blobs::put`]; those before the one that failed may have been stored.
    pub fn put_all(&self, blobs: &[(Digest, &[u8])]) -> Result<(), StoreError> {
        if blobs.is_empty() {
            return Ok(());
        }
        for (digest, content) in blobs {
            check_digest(digest, &Sha256::digest(content).into())?;
            let _busy = self.begin(self.path(digest), digest)?;
            // One that is there may have been renamed a moment ago: the sync below covers it.
            if self.size(digest)? != Some(content.len() as u64) {
                self.write_whole(digest, content)?;
            }
        }
        disk::sync_dir(&self.dir)
    }

    /// Compares every whole blob with its name, telling how many were looked at; the first that is
    /// not what its name says.
    ///
    /// # Errors
    /// [`StoreError::Io`] when they cannot be listed, or one of them cannot be read: what is in it
    /// nobody knows then.
    pub fn first_spoiled(&self, looked: impl FnMut(u64)) -> Result<Option<PathBuf>, StoreError> {
        let mut first = None;
        let vault = self.vault.as_deref();
        super::aside::spoiled_files(&self.dir, vault, looked, |path, _, unread| {
            if let Some(error) = unread {
                return Err(StoreError::io("read", path, error));
            }
            first.get_or_insert_with(|| path.to_owned());
            Ok(())
        })?;
        Ok(first)
    }

    /// The content, checked against its digest; `None` when it is not held. For content that fits
    /// memory; attachments are read with [`Blobs::read_at`].
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when the content is not what its name says, [`StoreError::Io`].
    pub fn get(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.path(digest);
        let content = match fs::read(&path) {
            Ok(content) => content,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(StoreError::io("read", &path, e)),
        };
        if <Digest>::from(Sha256::digest(&content)) != *digest {
            return Err(StoreError::corrupt(
                &path,
                "its content does not match its name",
            ));
        }
        Ok(Some(content))
    }

    /// At most `bytes_max` bytes from `offset`; empty at the end, `None` when it is not held. The
    /// digest is not checked: who receives the last chunk checks the whole.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn read_at(
        &self,
        digest: &Digest,
        offset: u64,
        bytes_max: usize,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        if let Some(file) = self.open_sealed(digest)? {
            return file.read_at(offset, bytes_max).map(Some);
        }
        self.read_plain_at(digest, offset, bytes_max)
    }

    /// As [`Blobs::read_at`], of what lies here under its own digest and not sealed: nothing is opened.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn read_plain_at(
        &self,
        digest: &Digest,
        offset: u64,
        bytes_max: usize,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.path(digest);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(StoreError::io("open", &path, e)),
        };
        let read = || {
            let left = file.metadata()?.len().saturating_sub(offset);
            let bytes = usize::try_from(left).map_or(bytes_max, |left| left.min(bytes_max));
            let mut chunk = vec![0; bytes];
            file.read_exact_at(&mut chunk, offset)?;
            Ok(chunk)
        };
        read()
            .map(Some)
            .map_err(|e| StoreError::io("read", &path, e))
    }

    /// How an attachment lies sealed: digest and length of the bytes, without the digest at their end;
    /// `None` when it does not lie sealed here.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Erased`] when its key was destroyed.
    pub fn sealed_as(&self, digest: &Digest) -> Result<Option<(Digest, u64)>, StoreError> {
        let file = self.open_sealed(digest)?;
        file.map(|file| Ok((file.sealed_digest()?, file.sealed_bytes())))
            .transpose()
    }

    /// At most `bytes_max` bytes of an attachment as they lie sealed, from `offset`.
    ///
    /// # Errors
    /// As [`Blobs::sealed_as`].
    pub fn read_sealed_at(
        &self,
        digest: &Digest,
        offset: u64,
        bytes_max: usize,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let file = self.open_sealed(digest)?;
        file.map(|file| file.read_sealed(offset, bytes_max))
            .transpose()
    }

    fn open_sealed(&self, digest: &Digest) -> Result<Option<SealedFile>, StoreError> {
        let Some(vault) = &self.vault else {
            return Ok(None);
        };
        SealedFile::open(&self.dir.join(sealed(digest)), vault, digest, false)
    }

    /// Begins to put an attachment back as it lay sealed; see [`Blobs::finish_sealed`].
    ///
    /// # Errors
    /// [`StoreError::Full`], [`StoreError::Io`].
    pub fn begin_sealed(&self, digest: &Digest) -> Result<File, StoreError> {
        let path = self.dir.join("tmp").join(sealed(digest));
        File::create(&path).map_err(|e| self.write_error(&path, e))
    }

    /// Appends to [`Blobs::begin_sealed`]'s file, as long as there is space.
    ///
    /// # Errors
    /// [`StoreError::Full`], [`StoreError::Io`].
    pub fn write_sealed(
        &self,
        digest: &Digest,
        file: &mut File,
        chunk: &[u8],
    ) -> Result<(), StoreError> {
        self.check_free_for_files(chunk.len() as u64)?;
        let path = self.dir.join("tmp").join(sealed(digest));
        io::Write::write_all(file, chunk).map_err(|e| self.write_error(&path, e))
    }

    /// Publishes what was written to [`Blobs::begin_sealed`]'s file, durably when this answers `Ok`.
    /// `sealed_digest` is that of its bytes. Whether it opens shows when it is read.
    ///
    /// # Errors
    /// [`StoreError::Full`], [`StoreError::Io`].
    pub fn finish_sealed(
        &self,
        digest: &Digest,
        mut file: File,
        sealed_digest: &Digest,
    ) -> Result<(), StoreError> {
        let from = self.dir.join("tmp").join(sealed(digest));
        io::Write::write_all(&mut file, sealed_digest).map_err(|e| self.write_error(&from, e))?;
        self.publish(&file, &from, &self.dir.join(sealed(digest)))?;
        disk::sync_dir(&self.dir)
    }

    /// Whether the whole blob is held.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn has(&self, digest: &Digest) -> Result<bool, StoreError> {
        self.size(digest).map(|size| size.is_some())
    }

    /// Bytes of a blob that is held whole.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn size(&self, digest: &Digest) -> Result<Option<u64>, StoreError> {
        self.size_in(&self.dir, digest)
    }

    /// Bytes of a blob that lies here under its own digest and not sealed: where it lies sealed only,
    /// there is none.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn plain_size(&self, digest: &Digest) -> Result<Option<u64>, StoreError> {
        length(&self.path(digest))
    }

    /// Bytes that are held of a blob that is not whole yet: where to go on.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn partial(&self, digest: &Digest) -> Result<u64, StoreError> {
        Ok(self.length(&self.partial_path(digest))?.unwrap_or(0))
    }

    /// Every blob that is not whole yet, so that abandoned ones can be discarded.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn partials(&self) -> Result<Vec<Partial>, StoreError> {
        let mut partials = Vec::new();
        for path in list(&self.partial)? {
            let mut digest = [0; 32];
            let stem = path.file_stem().unwrap_or_default();
            if hex::decode_to_slice(stem.as_encoded_bytes(), &mut digest).is_ok() {
                let held = self.length(&path)?.unwrap_or(0);
                partials.push(Partial { digest, held });
            }
        }
        Ok(partials)
    }

    /// Appends a chunk to a partial blob; `offset` must be what is held. Not durable: after a
    /// crash, ask [`Blobs::partial`] where to go on. Answers what is held then.
    ///
    /// # Errors
    /// Nothing written: [`StoreError::BlobOffset`], [`StoreError::BlobTooLarge`] beyond
    /// [`limits::ATTACHMENT_BYTES_MAX`], [`StoreError::BlobBusy`], [`StoreError::Full`].
    /// [`StoreError::Io`] otherwise.
    pub fn write_at(&self, digest: &Digest, offset: u64, chunk: &[u8]) -> Result<u64, StoreError> {
        let _busy = self.begin(self.partial_path(digest), digest)?;
        let held = self.partial(digest)?;
        if offset != held {
            return Err(StoreError::BlobOffset {
                held,
                asked: offset,
            });
        }
        let end = offset.saturating_add(chunk.len() as u64);
        if end > limits::ATTACHMENT_BYTES_MAX {
            let bytes_max = limits::ATTACHMENT_BYTES_MAX;
            return Err(StoreError::BlobTooLarge {
                bytes: end,
                bytes_max,
            });
        }
        self.check_free_for_files(chunk.len() as u64)?;
        let path = self.partial_path(digest);
        if let Some(vault) = &self.vault {
            let mut file = Self::growing(&path, vault, digest)?;
            let held = file.mend()?;
            if held != offset {
                return Err(StoreError::BlobOffset {
                    held,
                    asked: offset,
                });
            }
            return match file.append(chunk) {
                Ok(()) => Ok(end),
                Err(StoreError::Full { .. }) => Err(self.full()),
                Err(error) => Err(error),
            };
        }
        File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .and_then(|file| file.write_all_at(chunk, offset))
            .map_err(|e| self.write_error(&path, e))?;
        Ok(end)
    }

    /// The unfinished sealed file at `path`, made when there is none.
    fn growing(path: &Path, vault: &Vault, digest: &Digest) -> Result<SealedFile, StoreError> {
        match SealedFile::open(path, vault, digest, true)? {
            Some(file) => Ok(file),
            None => SealedFile::create(path, vault, digest),
        }
    }

    /// Checks a partial blob that holds all of its `size` bytes, and publishes it, durably when
    /// this answers `Ok`. That it was published already is no error.
    ///
    /// # Errors
    /// Not published: [`StoreError::BlobOffset`] when more or less than `size` is held,
    /// [`StoreError::BlobDigest`] when the content is not what the digest says (the partial is
    /// removed: begin again), [`StoreError::BlobBusy`], [`StoreError::Io`].
    pub fn finish(&self, digest: &Digest, size: u64) -> Result<(), StoreError> {
        self.finish_as(digest, size, &self.attachment_path(digest))
    }

    /// As [`Blobs::finish`], for a file that no message names yet: it waits until one does
    /// ([`Blobs::adopt`]), or until it is too old ([`Blobs::sweep`]).
    ///
    /// # Errors
    /// As [`Blobs::finish`].
    pub fn finish_upload(&self, digest: &Digest, size: u64) -> Result<(), StoreError> {
        self.finish_as(digest, size, &self.upload_path(digest))
    }

    fn finish_as(&self, digest: &Digest, size: u64, to: &Path) -> Result<(), StoreError> {
        let path = self.partial_path(digest);
        let _busy = self.begin(path.clone(), digest)?;
        let dir = to.parent().unwrap_or(&self.dir);
        if self.length(to)? == Some(size) {
            remove(&path)?;
            return disk::sync_dir(dir);
        }
        if let Some(vault) = &self.vault {
            let mut file = Self::growing(&path, vault, digest)?;
            let held = file.mend()?;
            if held < size {
                return Err(StoreError::BlobOffset { held, asked: size });
            }
            let mut sum = Sha256::new();
            // A crash between the end and the new name leaves one that is ended: it cannot go on.
            let ended = if held > size {
                Err(StoreError::corrupt(&path, "it holds more than it has"))
            } else {
                file.end(|content| sum.update(content))
            };
            match ended {
                Err(StoreError::Corrupt { .. }) => {
                    remove(&path)?;
                    return Err(StoreError::BlobDigest {
                        expected: hex::encode(digest),
                        found: "what does not open".to_owned(),
                    });
                }
                ended => ended?,
            }
            if let Err(error) = check_digest(digest, &sum.finalize().into()) {
                remove(&path)?;
                return Err(error);
            }
            self.publish(file.file(), &path, to)?;
            return disk::sync_dir(dir);
        }
        if size == 0 {
            // Nothing was ever written of a blob of nothing.
            File::create(&path).map_err(|e| self.write_error(&path, e))?;
        }
        let held = self.partial(digest)?;
        if held != size {
            return Err(StoreError::BlobOffset { held, asked: size });
        }
        let file = File::open(&path).map_err(|e| StoreError::io("open", &path, e))?;
        let found = hash(&file).map_err(|e| StoreError::io("read", &path, e))?;
        if let Err(error) = check_digest(digest, &found) {
            remove(&path)?;
            return Err(error);
        }
        self.publish(&file, &path, to)?;
        disk::sync_dir(dir)
    }

    /// Bytes of a file that was uploaded and waits to be named; it then waits from now on.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn uploaded(&self, digest: &Digest, now: SystemTime) -> Result<Option<u64>, StoreError> {
        let path = self.upload_path(digest);
        let _busy = self.begin(path.clone(), digest)?;
        let renewed = File::options()
            .append(true)
            .open(&path)
            .and_then(|file| file.set_modified(now));
        match renewed {
            Ok(()) => self.length(&path),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(StoreError::io("look at", &path, e)),
        }
    }

    /// Whether a file of this size is here to be named: among the blobs, or uploaded.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn is_here(&self, digest: &Digest, size: u64) -> Result<bool, StoreError> {
        Ok(self.size(digest)? == Some(size)
            || self.length(&self.upload_path(digest))? == Some(size))
    }

    /// Makes an uploaded file a blob, durably when this answers `Ok`, because a message is about to
    /// name it. Says whether the blob is there; that it was already is no error.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn adopt(&self, digest: &Digest, size: u64) -> Result<bool, StoreError> {
        if self.size(digest)? == Some(size) {
            // Whoever gave it its name may not have synced it yet.
            return disk::sync_dir(&self.dir).map(|()| true);
        }
        let (from, to) = (self.upload_path(digest), self.attachment_path(digest));
        if self.length(&from)? != Some(size) {
            return Ok(false);
        }
        match fs::hard_link(&from, &to) {
            Ok(()) => disk::sync_dir(&self.dir).map(|()| true),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => self.adopt_again(digest, size),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(self.write_error(&to, e)),
        }
    }

    /// Somebody else has just done it; or the name is there with another length, which no blob is.
    fn adopt_again(&self, digest: &Digest, size: u64) -> Result<bool, StoreError> {
        disk::sync_dir(&self.dir)?;
        Ok(self.size(digest)? == Some(size))
    }

    /// Removes uploads that have waited since before `uploads_before`, and unfinished files that
    /// nothing was added to since before `partials_before`. A file that a message names stays: it
    /// has a name of its own among the blobs. Returns how many were removed.
    ///
    /// # Errors
    /// [`StoreError::Io`]; those before it are removed.
    pub fn sweep(
        &self,
        uploads_before: SystemTime,
        partials_before: SystemTime,
    ) -> Result<usize, StoreError> {
        let mut places = vec![(self.uploads(), uploads_before)];
        let partials = self.partial_dirs()?.into_iter();
        places.extend(partials.map(|dir| (dir, partials_before)));
        let mut removed = 0;
        for (dir, before) in places {
            for path in list(&dir)? {
                let Ok(_busy) = self.begin(path.clone(), &[0; 32]) else {
                    continue; // in use at this moment, and so not old
                };
                let is_old = fs::metadata(&path)
                    .and_then(|meta| Ok(meta.is_file() && meta.modified()? < before));
                if is_old.unwrap_or(false) {
                    remove(&path)?;
                    removed += 1;
                }
            }
        }
        Ok(removed)
    }

    /// Drops what is held of a blob that is not whole.
    ///
    /// # Errors
    /// [`StoreError::BlobBusy`], [`StoreError::Io`].
    pub fn discard(&self, digest: &Digest) -> Result<(), StoreError> {
        let path = self.partial_path(digest);
        let _busy = self.begin(path.clone(), digest)?;
        remove(&path)
    }

    /// Removes a blob, durably. That it is not there is no error.
    ///
    /// # Errors
    /// [`StoreError::BlobBusy`], [`StoreError::Io`].
    pub fn remove(&self, digest: &Digest) -> Result<(), StoreError> {
        let _busy = self.begin(self.path(digest), digest)?;
        remove(&self.path(digest))?;
        disk::sync_dir(&self.dir)
    }

    /// Where the keys of an attachment are: of the blob, of an upload, and of what anybody holds of it
    /// unfinished. None of them is opened, so a damaged one, or one without a key, is no error.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn keys_of(&self, digest: &Digest) -> Result<Vec<KeyAddress>, StoreError> {
        let mut keys = BTreeSet::new();
        for path in self.places_of(digest)? {
            if is_sealed(&path) {
                keys.extend(sealed_file::address(&path)?);
            }
        }
        Ok(keys.into_iter().collect())
    }

    /// Where the key of what is held here unfinished of an attachment is.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn partial_key(&self, digest: &Digest) -> Result<Option<KeyAddress>, StoreError> {
        sealed_file::address(&self.partial.join(sealed(digest)))
    }

    /// Removes an attachment, sealed or not, durably: the blob, an upload, and what anybody holds of it
    /// unfinished. That it is not there is no error. Whoever is writing a piece of it is waited for, and
    /// then finds nothing to go on with.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn remove_attachment(&self, digest: &Digest) -> Result<(), StoreError> {
        let places = self.places_of(digest)?;
        let _busy: Vec<_> = places
            .iter()
            .map(|path| self.begin_behind(path.clone()))
            .collect();
        let mut dirs = BTreeSet::new();
        for path in &places {
            if remove_if_there(path)? {
                dirs.extend(path.parent());
            }
        }
        dirs.insert(&self.dir);
        dirs.into_iter().try_for_each(disk::sync_dir)
    }

    /// Removes a blob that was just put and that nothing came to name. Not durable: after a crash it
    /// may be there again, and nobody names it then either.
    ///
    /// # Errors
    /// [`StoreError::BlobBusy`], [`StoreError::Io`].
    pub fn forget(&self, digest: &Digest) -> Result<(), StoreError> {
        let _busy = self.begin(self.path(digest), digest)?;
        remove(&self.path(digest))
    }

    /// A file without a name, for what must be looked at whole before anything of it is kept. It is
    /// gone when it is closed, and after a crash.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn scratch(&self) -> Result<Scratch, StoreError> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = self.dir.join("tmp").join(format!("scratch-{number}"));
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(|e| self.write_error(&path, e))?;
        remove(&path)?;
        Ok(Scratch {
            file,
            path,
            held: 0,
        })
    }

    /// Appends to a scratch file, as long as there is space for files.
    ///
    /// # Errors
    /// [`StoreError::Full`], [`StoreError::Io`].
    pub fn scratch_append(&self, scratch: &mut Scratch, chunk: &[u8]) -> Result<(), StoreError> {
        self.check_free_for_files(chunk.len() as u64)?;
        scratch
            .file
            .write_all_at(chunk, scratch.held)
            .map_err(|e| self.write_error(&scratch.path, e))?;
        scratch.held += chunk.len() as u64;
        Ok(())
    }

    /// Files stop before messages do: those who let files come must not fill the disk with them until
    /// no alert can be recorded any more.
    fn check_free_for_files(&self, bytes: u64) -> Result<(), StoreError> {
        let reserve = self
            .free_bytes_min
            .saturating_mul(limits::ATTACHMENT_FLOORS - 1);
        self.check_free(reserve.saturating_add(bytes))
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.dir.join(hex::encode(digest))
    }

    /// The name of an attachment, sealed or not.
    fn attachment_name(&self, digest: &Digest) -> String {
        match &self.vault {
            Some(_) => sealed(digest),
            None => hex::encode(digest),
        }
    }

    fn attachment_path(&self, digest: &Digest) -> PathBuf {
        self.dir.join(self.attachment_name(digest))
    }

    fn partial_path(&self, digest: &Digest) -> PathBuf {
        self.partial.join(self.attachment_name(digest))
    }

    /// Bytes of content, sealed or not; `None` when there is no such file.
    fn length(&self, path: &Path) -> Result<Option<u64>, StoreError> {
        if path.extension().is_some_and(|ending| ending == SEALED) {
            // What is not in the directory of the unfinished is whole.
            return sealed_file::length(path, path.parent() != Some(&self.partial));
        }
        length(path)
    }

    fn size_in(&self, dir: &Path, digest: &Digest) -> Result<Option<u64>, StoreError> {
        if self.vault.is_some()
            && let Some(size) = self.length(&dir.join(self.attachment_name(digest)))?
        {
            return Ok(Some(size));
        }
        length(&dir.join(hex::encode(digest)))
    }

    fn uploads(&self) -> PathBuf {
        self.dir.join("uploads")
    }

    fn upload_path(&self, digest: &Digest) -> PathBuf {
        self.uploads().join(self.attachment_name(digest))
    }

    fn check_free(&self, bytes: u64) -> Result<(), StoreError> {
        disk::check_free(&self.dir, self.free_bytes_min.saturating_add(bytes))
    }

    fn write_whole(&self, digest: &Digest, content: &[u8]) -> Result<(), StoreError> {
        self.check_free(content.len() as u64)?;
        let path = self.dir.join("tmp").join(hex::encode(digest));
        let published = File::create(&path)
            .and_then(|file| file.write_all_at(content, 0).map(|()| file))
            .map_err(|e| self.write_error(&path, e))
            .and_then(|file| self.publish(&file, &path, &self.path(digest)));
        if published.is_err() {
            // Best effort: what stays is removed when the store is next opened.
            let _ = fs::remove_file(&path);
        }
        published
    }

    /// Makes the content durable, then gives it its name. The name is durable after a sync of the
    /// directory, which the caller does.
    fn publish(&self, file: &File, from: &Path, to: &Path) -> Result<(), StoreError> {
        counters::sync_data(file).map_err(|e| self.write_error(from, e))?;
        fs::rename(from, to).map_err(|e| self.write_error(from, e))
    }

    /// Names a full disk as such, with what is free.
    fn write_error(&self, path: &Path, error: io::Error) -> StoreError {
        match StoreError::io("write", path, error) {
            StoreError::Full { .. } => self.full(),
            error => error,
        }
    }

    fn full(&self) -> StoreError {
        StoreError::Full {
            free: disk::free_bytes(&self.dir).unwrap_or(0),
            needed: self.free_bytes_min.saturating_add(1),
        }
    }

    fn begin(&self, path: PathBuf, digest: &Digest) -> Result<Busy<'_>, StoreError> {
        let mut busy = self.busy.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !busy.insert(path.clone()) {
            return Err(StoreError::BlobBusy {
                digest: hex::encode(digest),
            });
        }
        Ok(Busy { blobs: self, path })
    }

    /// As [`begin`](Self::begin), behind whoever is writing it now: a chunk, or the end of a file. To take
    /// several, take them in the order of their paths.
    fn begin_behind(&self, path: PathBuf) -> Busy<'_> {
        let (busy, is_free) = &*self.busy;
        let busy = busy.lock().unwrap_or_else(PoisonError::into_inner);
        let mut busy = is_free
            .wait_while(busy, |busy| busy.contains(&path))
            .unwrap_or_else(PoisonError::into_inner);
        busy.insert(path.clone());
        drop(busy);
        Busy { blobs: self, path }
    }

    /// Everywhere that an attachment, or a part of it, may lie, sealed or not; in order.
    fn places_of(&self, digest: &Digest) -> Result<BTreeSet<PathBuf>, StoreError> {
        let mut dirs = self.partial_dirs()?;
        dirs.extend([self.uploads(), self.dir.clone()]);
        let names = [hex::encode(digest), sealed(digest)];
        let places = dirs
            .iter()
            .flat_map(|dir| names.iter().map(|name| dir.join(name)));
        Ok(places.collect())
    }

    /// Where unfinished files lie, whoever's they are.
    fn partial_dirs(&self) -> Result<Vec<PathBuf>, StoreError> {
        let partial = self.dir.join("partial");
        let owners = list(&partial)?.into_iter().filter(|path| path.is_dir());
        let mut dirs: Vec<_> = owners.collect();
        dirs.push(partial);
        Ok(dirs)
    }
}

/// The right to write one file, until dropped.
struct Busy<'a> {
    blobs: &'a Blobs,
    path: PathBuf,
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        let (busy, is_free) = &*self.blobs.busy;
        busy.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.path);
        is_free.notify_all();
    }
}

impl Blobs {
    /// Gives the address of the key of every file that lies sealed here, whole, uploaded or unfinished. A
    /// file without a head is passed over: whoever reads it finds that. What is finished or adopted
    /// meanwhile is not missed.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn key_addresses(&self, mut take: impl FnMut(KeyAddress)) -> Result<(), StoreError> {
        let mut dirs = self.partial_dirs()?;
        dirs.extend([self.uploads(), self.dir.clone()]);
        for dir in dirs {
            let entries = fs::read_dir(&dir).map_err(|e| StoreError::io("list", &dir, e))?;
            for entry in entries {
                let path = entry.map_err(|e| StoreError::io("list", &dir, e))?.path();
                if is_sealed(&path)
                    && let Some(address) = sealed_file::address(&path)?
                {
                    take(address);
                }
            }
        }
        Ok(())
    }
}

/// Whether a file is of the sealed ones, by its name.
fn is_sealed(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == SEALED)
}

/// The file name of sealed content.
fn sealed(digest: &Digest) -> String {
    format!("{}.{SEALED}", hex::encode(digest))
}

fn check_digest(expected: &Digest, found: &Digest) -> Result<(), StoreError> {
    if expected == found {
        return Ok(());
    }
    Err(StoreError::BlobDigest {
        expected: hex::encode(expected),
        found: hex::encode(found),
    })
}

fn hash(mut file: &File) -> io::Result<Digest> {
    let mut sum = Sha256::new();
    let mut buffer = vec![0; HASH_BYTES];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(sum.finalize().into()),
            Ok(bytes) => sum.update(&buffer[..bytes]),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

fn length(path: &Path) -> Result<Option<u64>, StoreError> {
    match fs::metadata(path) {
        Ok(meta) => Ok(Some(meta.len())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(StoreError::io("look at", path, e)),
    }
}

fn list(dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    fs::read_dir(dir)
        .and_then(|entries| entries.map(|entry| entry.map(|e| e.path())).collect())
        .map_err(|e| StoreError::io("list", dir, e))
}

fn remove(path: &Path) -> Result<(), StoreError> {
    remove_if_there(path).map(drop)
}

/// Says whether it was there.
fn remove_if_there(path: &Path) -> Result<bool, StoreError> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(StoreError::io("remove", path, e)),
    }
}

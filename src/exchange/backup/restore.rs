//! A store made again from a backup, by the code that records.
//!
//! ```text
//!  files → blobs          each under its digest
//!  own log                each entry appended again; its tail, which no receipt covers, verified
//!  mirror                 each run recorded again under the peer's own checkpoint, verified
//!  checkpoints, rows      as they were
//!  marks                  last
//! ```
//!
//! The store is built where nobody looks for one and put in its place when it is whole, so an
//! interrupted restore is begun again. Nothing is signed here: that waits until the peer has said
//! what it holds.

mod log;

use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::Arc;

use bytes::Bytes;

use self::log::LinkWork;
use super::super::admit;
use super::super::book::Book;
use super::super::hold::Incident;
use super::super::keys::RunKeys;
use super::super::layout::{self, LinkNumber, LogSide, Place};
use super::super::read::{LogReader, ReadError};
use super::super::{Link, LinkTerms, NodeKeys, OpenError, check_format};
use super::check::{self, is_row};
use super::folder::{Folder, FolderError};
use super::manifest::Manifest;
use super::pack::FileUse;
use crate::crypto::at_rest::OVERHEAD_BYTES;
use crate::crypto::vkey::VerifierKey;
use crate::limits::{CHUNK_BYTES_MAX, ITEM_BYTES_MAX, SALT_BYTES};
use crate::model::NodeName;
use crate::proto::v1::{self, KeyRole};
use crate::store::{Batch, Blobs, Direction, Marks, Store, StoreError};

/// Bytes of a commit after which the next one begins.
const COMMIT_BYTES: usize = 4 << 20;

/// Why a store was not made from a backup. Nothing was put in its place then.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The backup.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What was just written cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A link cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The backup is of another node.
    #[error("the backup is of {found}, the configuration is of {node}; name the right one")]
    OtherNode {
        /// Whose backup it is.
        found: String,
        /// The node of the configuration.
        node: NodeName,
    },
    /// A key is not the one it was.
    #[error(
        "the {role} key of the configuration is {own}, the backup was made under {found}, and no file \
         beside it says that one followed the other; put the key files of the node back from where keys \
         are kept, the retired ones too"
    )]
    OtherKey {
        /// message or log.
        role: &'static str,
        /// The configured key.
        own: String,
        /// The backup's.
        found: String,
    },
    /// A link of the backup is not configured.
    #[error(
        "the backup holds the link with {peer}, which is not configured here; put its two files back \
         into links/ (they are in the backup's config folder if it was configured then)"
    )]
    NoLink {
        /// The peer.
        peer: String,
    },
    /// What the backup holds is not what a key vouches for.
    #[error(
        "{origin}: {what}. The backup was made up or changed; use another one, or recover from the \
         other side"
    )]
    NotAuthentic {
        /// The log.
        origin: String,
        /// What does not verify.
        what: String,
    },
    /// A row that no backup carries.
    #[error("the key {key} is none that a backup carries; the backup was changed")]
    Row {
        /// In hexadecimal.
        key: String,
    },
}

/// Where a store is made.
#[derive(Debug)]
pub struct Ground {
    /// The node.
    pub node: NodeName,
    /// Its keys: for their public halves. Nothing is signed.
    pub keys: NodeKeys,
    /// Keys of this node that are to follow those, and that were in use before them.
    pub succession: Vec<(KeyRole, VerifierKey)>,
    /// An empty store.
    pub store: Arc<dyn Store>,
    /// Its files.
    pub blobs: Arc<Blobs>,
    /// Its marks.
    pub marks: Marks,
    /// Now, milliseconds since 1970.
    pub now_ms: u64,
}

/// What was restored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Restored {
    /// Entries of all logs.
    pub entries: u64,
    /// Files of messages.
    pub files: u64,
    /// Entries that came ahead of their turn and are no longer to be admitted; they come again.
    pub dropped: u64,
    /// Keys that what was restored may be sealed under, and that are in no key file here.
    pub keys_lost: u64,
}

/// Makes a store from a backup that [`check::check`] has found whole. Tells how many entries are in.
///
/// # Errors
/// [`RestoreError`]: what is on the ground then is of no use.
pub fn restore(
    folder: &Folder,
    manifest: &Manifest,
    ground: &mut Ground,
    terms: Vec<LinkTerms>,
    progress: &mut dyn FnMut(u64),
) -> Result<Restored, RestoreError> {
    check_identity(manifest, ground)?;
    let mut restored = Restored {
        files: put_files(folder, manifest, &ground.blobs)?,
        ..Restored::default()
    };
    check_format(&*ground.store)?;
    let mut terms: BTreeMap<_, _> = terms
        .into_iter()
        .map(|terms| (terms.peer.to_string(), terms))
        .collect();
    let (mut all_marks, mut books) = (Vec::new(), Vec::new());
    for link in &manifest.links {
        let no_link = || RestoreError::NoLink {
            peer: link.peer.clone(),
        };
        let terms = terms.remove(&link.peer).ok_or_else(no_link)?;
        let ground = &*ground;
        let number = LinkNumber(link.number);
        let mut batch = Batch::new();
        batch.put(layout::link(number), link.peer.as_bytes().to_vec());
        ground.store.commit(batch)?;
        let book = Book::open(
            &ground.store,
            &ground.blobs,
            &ground.marks,
            &ground.node,
            number,
            terms,
        )?;
        let mut work = LinkWork {
            folder,
            ground,
            number,
            books: BTreeMap::from([(number, book)]),
            progress,
            entries: &mut restored.entries,
        };
        work.own(link)?;
        work.check_keys(manifest)?;
        work.mirror(&link.mirror)?;
        // Its receipt may be by a key of the peer that the mirror brings.
        work.settle(&link.own)?;
        all_marks.extend(work.finish(link)?);
        books.extend(work.books.into_values().map(|book| book.link));
    }
    put_rows(folder, manifest, &*ground.store)?;
    for link in &books {
        check_dated(ground, link)?;
        restored.dropped += admit_expressed(ground, link)?;
    }
    note_restore(manifest, ground)?;
    // Nothing was vouched for here before; from now on it is.
    ground.marks.record(&all_marks)?;
    Ok(restored)
}

/// The node and its keys must be those that the backup was made by.
fn check_identity(manifest: &Manifest, ground: &Ground) -> Result<(), RestoreError> {
    if manifest.node != ground.node.as_str() {
        return Err(RestoreError::OtherNode {
            found: manifest.node.clone(),
            node: ground.node.clone(),
        });
    }
    for role in [KeyRole::Message, KeyRole::Log] {
        let (name, found) = named(role, manifest);
        // With a link, its log says what has followed: looked at then.
        let mut keys = ground.keys_of(role).into_iter();
        if manifest.links.is_empty() && !keys.any(|key| key.to_string() == *found) {
            return Err(ground.other_key(role, name, found));
        }
    }
    Ok(())
}

/// What a role is called, and the key that the backup names for it.
fn named(role: KeyRole, manifest: &Manifest) -> (&'static str, &String) {
    match role {
        KeyRole::Message => ("message", &manifest.message_key),
        _ => ("log", &manifest.log_key),
    }
}

impl Ground {
    /// The keys of a role of this node: the one in use, then those around it.
    fn keys_of(&self, role: KeyRole) -> Vec<VerifierKey> {
        let in_use = match role {
            KeyRole::Message => self.keys.message.verifier(&self.node),
            _ => self.keys.log.cosigner_verifier(&self.node),
        };
        let around = self.succession.iter().filter(|(of, _)| *of == role);
        let around = around.map(|(_, key)| key.clone());
        std::iter::once(in_use).chain(around).collect()
    }

    fn other_key(&self, role: KeyRole, name: &'static str, found: &str) -> RestoreError {
        let own = self.keys_of(role).remove(0).to_string();
        RestoreError::OtherKey {
            role: name,
            own,
            found: found.to_owned(),
        }
    }
}

/// Copies every file of messages; each is judged by its digest before it counts.
fn put_files(folder: &Folder, manifest: &Manifest, blobs: &Blobs) -> Result<u64, RestoreError> {
    let mut count = 0;
    for (sha256, (used, size)) in check::files_of(folder, manifest)? {
        if used == FileUse::Awaited {
            continue;
        }
        if let FileUse::Sealed(inner) = used {
            put_sealed(folder, (&sha256, size), &inner, blobs)?;
            count += 1;
            continue;
        }
        // A larger one is of no record.
        if used == FileUse::Record && size <= (ITEM_BYTES_MAX + OVERHEAD_BYTES) as u64 {
            blobs.put(&sha256, &folder.whole(&sha256, size)?)?;
            count += 1;
            continue;
        }
        let mut content = folder.open(&sha256, size)?;
        let mut chunk = vec![0; CHUNK_BYTES_MAX];
        let mut held = 0;
        while held < size {
            let length = usize::try_from(size - held).map_or(chunk.len(), |l| l.min(chunk.len()));
            let read = content.read_exact(&mut chunk[..length]);
            read.map_err(|source| FolderError::Io {
                action: "read",
                path: folder.path_of(&sha256),
                source,
            })?;
            held = blobs.write_at(&sha256, held, &chunk[..length])?;
        }
        blobs.finish(&sha256, size)?;
        count += 1;
    }
    Ok(count)
}

/// Puts an attachment back as it lay sealed.
fn put_sealed(
    folder: &Folder,
    (sha256, size): (&[u8; 32], u64),
    content: &[u8; 32],
    blobs: &Blobs,
) -> Result<(), RestoreError> {
    let path = folder.path_of(sha256);
    let io = |source| FolderError::Io {
        action: "read",
        path: path.clone(),
        source,
    };
    let mut from = folder.open(sha256, size)?;
    let mut to = blobs.begin_sealed(content)?;
    let mut chunk = vec![0; CHUNK_BYTES_MAX];
    let mut left = size;
    while left > 0 {
        let length = usize::try_from(left).map_or(chunk.len(), |l| l.min(chunk.len()));
        from.read_exact(&mut chunk[..length]).map_err(io)?;
        blobs.write_sealed(content, &mut to, &chunk[..length])?;
        left -= length as u64;
    }
    // What is not what its name says is never published.
    from.finish()?;
    Ok(blobs.finish_sealed(content, to, sha256)?)
}

/// Puts the rows that no log tells.
fn put_rows(folder: &Folder, manifest: &Manifest, store: &dyn Store) -> Result<(), RestoreError> {
    let rows = &manifest.rows;
    let mut batch = Batch::new();
    folder.items(
        &rows.sha256.0,
        rows.bytes,
        rows.count,
        |(key, value): (Vec<u8>, Vec<u8>)| {
            if !is_row(manifest, &key) {
                let key = hex::encode(&key);
                return Err(RestoreError::Row { key });
            }
            batch.put(key, value);
            if batch.bytes() >= COMMIT_BYTES {
                store.commit(std::mem::take(&mut batch))?;
            }
            Ok(())
        },
    )?;
    Ok(store.commit(batch)?)
}

/// A checkpoint that the peer signed ahead of the mirror must be one: a false one would look like a
/// second tree later.
fn check_dated(ground: &Ground, link: &Link) -> Result<(), RestoreError> {
    let reader = LogReader::new(&ground.store, &ground.blobs, link.number, LogSide::Mirror);
    let (from, to) = (link.head().mirror_size + 1, u64::MAX);
    for (size, note) in reader.dated(from, to, usize::MAX, Direction::Forward)? {
        let what = match link.mirror_verifier.checkpoint(&note) {
            Ok(signed) if signed.checkpoint.size == size => continue,
            Ok(_) => "it is of another size".to_owned(),
            Err(error) => error.to_string(),
        };
        return Err(RestoreError::NotAuthentic {
            origin: link.mirror.to_string(),
            what: format!("the dated checkpoint of size {size} does not verify: {what}"),
        });
    }
    Ok(())
}

/// Gives the entries that came ahead of their turn their ids back. One that would not be admitted
/// now is dropped: it comes again with its turn.
fn admit_expressed(ground: &Ground, link: &Link) -> Result<u64, RestoreError> {
    let reader = LogReader::new(&ground.store, &ground.blobs, link.number, LogSide::Mirror);
    let mut batch = Batch::new();
    let mut dropped = 0;
    for stored in reader.all_expressed()? {
        let (salt, body) = reader
            .body(&stored)?
            .unwrap_or(([0; SALT_BYTES], Bytes::new()));
        let item = v1::Item {
            entry: stored.entry.clone(),
            salt: salt.to_vec().into(),
            body,
            ..v1::Item::default()
        };
        if let Ok(authentic) = admit::judge(link, &RunKeys::now(link), stored.index, &item) {
            let key = layout::id(link.number, authentic.id());
            if ground.store.get(&key)?.is_none() {
                batch.put(key, Place::Expressed(stored.index).encode());
            }
        } else {
            batch.delete(layout::expressed(link.number, stored.index));
            dropped += 1;
        }
    }
    ground.store.commit(batch)?;
    Ok(dropped)
}

/// What people see of it later, and auditors.
fn note_restore(manifest: &Manifest, ground: &Ground) -> Result<(), RestoreError> {
    let mut batch = Batch::new();
    let mut sequence = 0;
    for link in &manifest.links {
        let incident = Incident {
            at_ms: ground.now_ms,
            peer: link.peer.clone(),
            what: format!(
                "this node's store was restored from its backup of {}: {} own entries, {} of the peer",
                manifest.taken_at, link.own.size, link.mirror.size
            ),
            evidence: Vec::new(),
        };
        let value = serde_json::to_vec(&incident).unwrap_or_default();
        let mut key = layout::incident(ground.now_ms, sequence);
        while ground.store.get(&key)?.is_some() {
            sequence += 1;
            key = layout::incident(ground.now_ms, sequence);
        }
        sequence += 1;
        for (key, part) in layout::parts(&key, &value) {
            batch.put(key, part);
        }
    }
    Ok(ground.store.commit(batch)?)
}

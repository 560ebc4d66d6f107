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

use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::Arc;

use bytes::Bytes;

use super::super::admit;
use super::super::book::Book;
use super::super::command::{Effect, Facts, Leaf, MirrorRun, OwnEntry, PeerEntry, RecordError};
use super::super::hold::Incident;
use super::super::keys::{OwnChange, RunKeys, first_keyid};
use super::super::layout::{self, LinkNumber, LogSide, Place};
use super::super::read::{LogReader, ReadError, Stored};
use super::super::stage::Stage;
use super::super::submit::{Author, files_of, header_of, is_urgent};
use super::super::{Link, LinkTerms, NodeKeys, OpenError, check_format};
use super::check::{self, is_row};
use super::folder::{Folder, FolderError};
use super::manifest::{LinkContent, LogContent, Manifest};
use super::pack::{FileUse, PackedEntry, PackedNote};
use crate::crypto::checkpoint::CheckpointError;
use crate::crypto::dsse::DsseError;
use crate::limits::{BACKUP_SEGMENT_ENTRIES, CHUNK_BYTES_MAX, GROUP_BYTES_MAX, SALT_BYTES};
use crate::model::{Header, NodeName, body};
use crate::proto::v1;
use crate::store::{Batch, Blobs, Direction, Marks, Store, StoreError};
use crate::tlog::leaf_hash;

/// Entries of the own log that are recorded together.
const ENTRIES_AT_ONCE: usize = 256;
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
        "the {role} key of the configuration is {own}, the backup was made under {found}; put the key \
         file of the node back from where keys are kept"
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
    let keys = &ground.keys;
    let own = [
        (
            "message",
            keys.message.verifier(&ground.node).to_string(),
            &manifest.message_key,
        ),
        (
            "log",
            keys.log.cosigner_verifier(&ground.node).to_string(),
            &manifest.log_key,
        ),
    ];
    for (role, own, found) in own {
        if own != *found && manifest.links.is_empty() {
            return Err(RestoreError::OtherKey {
                role,
                own,
                found: found.clone(),
            });
        }
    }
    Ok(())
}

/// Copies every file of messages; each is judged by its digest before it counts.
fn put_files(folder: &Folder, manifest: &Manifest, blobs: &Blobs) -> Result<u64, RestoreError> {
    let mut count = 0;
    for (sha256, (used, size)) in check::files_of(folder, manifest)? {
        if used == FileUse::Awaited {
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

/// One link while it is made again.
struct LinkWork<'a> {
    folder: &'a Folder,
    ground: &'a Ground,
    number: LinkNumber,
    books: BTreeMap<LinkNumber, Book>,
    progress: &'a mut dyn FnMut(u64),
    entries: &'a mut u64,
}

/// What is committed together: what recording makes of it, and then the rows as they were, for
/// their times and flags.
struct Group {
    stage: Stage,
    rows: Batch,
    count: usize,
}

impl Group {
    fn new() -> Self {
        Self {
            stage: Stage::new(0),
            rows: Batch::new(),
            count: 0,
        }
    }

    fn is_full(&self) -> bool {
        self.count >= ENTRIES_AT_ONCE || self.stage.batch.bytes() >= COMMIT_BYTES
    }
}

/// A mirrored entry with its record, and the change of keys that it may be.
type Kept = (PeerEntry, Vec<u8>, Option<Box<OwnChange>>);

/// An entry of a backup as the recorder takes it.
struct Read {
    /// The change of keys that it may be.
    change: Option<Box<OwnChange>>,
    stored: Stored,
    leaf: Leaf,
    header: Option<Header>,
    content: Option<v1::body::Body>,
}

impl LinkWork<'_> {
    fn book(&self) -> &Book {
        &self.books[&self.number]
    }

    fn commit(&mut self, group: &mut Group) -> Result<(), RestoreError> {
        let mut group = std::mem::replace(group, Group::new());
        group.stage.write_heads(&self.books);
        self.ground.store.commit(group.stage.batch)?;
        for (number, staged) in group.stage.links {
            if let Some(book) = self.books.get_mut(&number) {
                staged.apply(book);
            }
        }
        self.ground.store.commit(group.rows)?;
        *self.entries += group.count as u64;
        (self.progress)(*self.entries);
        Ok(())
    }

    fn read(
        &self,
        log: &LogContent,
        index: u64,
        packed: &PackedEntry,
    ) -> Result<Read, RestoreError> {
        let side = self.side_of(log);
        let damaged = || ReadError::Damaged {
            what: "entry",
            origin: log.origin.clone(),
            index,
        };
        let reader = LogReader::new(&self.ground.store, &self.ground.blobs, self.number, side);
        let stored = reader.stored(index, &packed.record)?;
        let mut leaf = Leaf::inline(
            leaf_hash(&stored.entry),
            stored.entry.clone(),
            stored.record.body.clone(),
        );
        leaf.entry = stored.record.entry.clone();
        let body = reader.body(&stored)?;
        let change = OwnChange::of(&stored.entry, body.as_ref());
        let (header, content) = match &body {
            None => (None, None),
            Some((_, body)) => {
                let header = header_of(&stored, &log.origin).map_err(|_| damaged())?;
                let content = body::read(header.kind, &header.schema, body);
                (Some(header), content)
            }
        };
        Ok(Read {
            change,
            stored,
            leaf,
            header,
            content,
        })
    }

    fn side_of(&self, log: &LogContent) -> LogSide {
        if log.origin == self.book().link.own.to_string() {
            LogSide::Own
        } else {
            LogSide::Mirror
        }
    }

    /// Appends the own log again, entry by entry.
    fn own(&mut self, link: &LinkContent) -> Result<(), RestoreError> {
        let log = &link.own;
        let mut group = Group::new();
        let mut next = 0;
        for (number, segment) in log.segments.iter().enumerate() {
            let folder = self.folder;
            let count = log.entries_of(number);
            folder.items(&segment.sha256.0, segment.bytes, count, |packed| {
                self.own_entry(log, next, &packed, &mut group)?;
                next += 1;
                if group.is_full() {
                    self.commit(&mut group)?;
                }
                Ok::<_, RestoreError>(())
            })?;
        }
        self.commit(&mut group)?;
        for number in 0..log.notes.len() {
            let notes = self.notes(log, number)?;
            self.put_notes(LogSide::Own, &notes)?;
        }
        Ok(())
    }

    /// Keys follow each other in the log: those of the configuration must be among the ones that hold
    /// at its end, or the node could not sign on.
    fn check_keys(&self, manifest: &Manifest) -> Result<(), RestoreError> {
        let history = self.book().link.key_history(LogSide::Own);
        let (node, keys) = (&self.ground.node, &self.ground.keys);
        let own = [
            (
                "message",
                keys.message.verifier(node),
                &manifest.message_key,
            ),
            ("log", keys.log.cosigner_verifier(node), &manifest.log_key),
        ];
        for (role, own, found) in own {
            let mut held = history.keys().iter();
            if !held.any(|held| held.vkey == own && held.is_open()) {
                return Err(RestoreError::OtherKey {
                    role,
                    own: own.to_string(),
                    found: found.clone(),
                });
            }
        }
        Ok(())
    }

    fn own_entry(
        &mut self,
        log: &LogContent,
        index: u64,
        packed: &PackedEntry,
        group: &mut Group,
    ) -> Result<(), RestoreError> {
        let read = self.read(log, index, packed)?;
        let Some(header) = &read.header else {
            return Err(not_authentic(log, format!("own entry {index} has no body")));
        };
        let mut facts = facts_of(header, read.content.as_ref());
        // Outbox rows of what is delivered are gone already.
        facts.urgent &= index >= log.checkpoint_size;
        let own = OwnEntry {
            leaf: read.leaf,
            facts,
            author: (!packed.author.is_empty()).then(|| Author::new(packed.author.clone())),
            confirms_files_of: None,
            owed_for: None,
            keyid: first_keyid(&read.stored.entry),
            change: read.change,
        };
        let book = &self.books[&self.number];
        let appended = group.stage.append(book, own);
        appended.map_err(|error| refused(log, &error))?;
        if index >= log.checkpoint_size {
            // No receipt covers it: its own signature is all that vouches for it.
            let history = group.stage.own_history(book);
            let verified = history.verify_entry(index, read.stored.entry.clone());
            verified.map_err(|error| not_signed(log, index, &error))?;
        }
        let key = layout::entry(self.number, LogSide::Own, index);
        group.rows.put(key, packed.record.clone());
        group.count += 1;
        Ok(())
    }

    /// Takes the newest receipt: it must be of this log, and says what is delivered.
    fn settle(&mut self, log: &LogContent) -> Result<(), RestoreError> {
        let size = log.checkpoint_size;
        if size == 0 {
            return Ok(());
        }
        let book = self.book();
        let receipt = book.link.own_verifier.receipt(&log.checkpoint);
        let receipt = receipt.map_err(|error| not_verified(log, size, &error))?;
        let reader = self.reader(LogSide::Own);
        let root = reader.root_at(&book.own, size)?;
        let checkpoint = &receipt.signed.checkpoint;
        if checkpoint.size != size || checkpoint.root != root {
            return Err(not_authentic(
                log,
                format!("the receipt of size {size} is of other entries"),
            ));
        }
        let mut group = Group::new();
        let store = Arc::clone(&self.ground.store);
        group
            .stage
            .settle(&*store, self.book(), size, &log.checkpoint)?;
        self.commit(&mut group)
    }

    /// Records the mirror again, run by run, each under the checkpoint that its author signed.
    fn mirror(&mut self, log: &LogContent) -> Result<(), RestoreError> {
        let mut group = Group::new();
        let mut run: Vec<Kept> = Vec::new();
        let (mut next, mut run_bytes) = (0, 0);
        for (number, segment) in log.segments.iter().enumerate() {
            let notes = self.notes(log, number)?;
            let signed: BTreeMap<_, _> = notes
                .iter()
                .filter(|note| !note.is_dated)
                .map(|note| (note.size, note))
                .collect();
            let folder = self.folder;
            let count = log.entries_of(number);
            folder.items(&segment.sha256.0, segment.bytes, count, |packed| {
                let (entry, change) = self.peer_entry(log, next, &packed)?;
                run_bytes += entry.leaf.cost_bytes;
                run.push((entry, packed.record, change));
                next += 1;
                if let Some(note) = signed.get(&next) {
                    self.run(log, std::mem::take(&mut run), note, &mut group)?;
                    run_bytes = 0;
                    if group.is_full() {
                        self.commit(&mut group)?;
                    }
                } else if run_bytes > 2 * GROUP_BYTES_MAX {
                    return Err(not_covered(log, next));
                }
                Ok::<_, RestoreError>(())
            })?;
            self.commit(&mut group)?;
            self.put_notes(LogSide::Mirror, &notes)?;
        }
        if run.is_empty() {
            Ok(())
        } else {
            Err(not_covered(log, next))
        }
    }

    fn peer_entry(
        &self,
        log: &LogContent,
        index: u64,
        packed: &PackedEntry,
    ) -> Result<(PeerEntry, Option<Box<OwnChange>>), RestoreError> {
        let read = self.read(log, index, packed)?;
        let header = read.header.filter(|_| !read.stored.record.refused);
        let facts = header
            .as_ref()
            .map(|header| facts_of(header, read.content.as_ref()));
        let effect = match (&read.content, &header) {
            (Some(v1::body::Body::Refusal(refusal)), Some(_)) => {
                match self.reader(LogSide::Own).entry(refusal.index) {
                    Ok(own) if leaf_hash(&own.entry).0[..] == refusal.entry_digest[..] => {
                        Effect::Refused(refusal.index)
                    }
                    Err(ReadError::Store(error)) => return Err(error.into()),
                    _ => Effect::None,
                }
            }
            (Some(v1::body::Body::AttachmentsReceived(received)), Some(header)) => {
                let digests = received.sha256.iter();
                let digests = digests.filter_map(|d| d[..].try_into().ok()).collect();
                header
                    .in_reply_to
                    .map_or(Effect::None, |id| Effect::FilesConfirmed(id, digests))
            }
            _ => Effect::None,
        };
        let entry = PeerEntry {
            leaf: read.leaf,
            facts,
            effect,
        };
        Ok((entry, read.change))
    }

    fn run(
        &mut self,
        log: &LogContent,
        run: Vec<Kept>,
        note: &PackedNote,
        group: &mut Group,
    ) -> Result<(), RestoreError> {
        let start_index = note.size - run.len() as u64;
        let changes = run.iter().any(|(.., change)| change.is_some());
        if changes {
            // It is folded onto what was recorded before.
            self.commit(group)?;
        }
        let book = &self.books[&self.number];
        let keys = if changes {
            let numbered = run.iter().zip(start_index..);
            let changes = numbered.filter_map(|((.., change), at)| Some((at, &**change.as_ref()?)));
            RunKeys::of_changes(&book.link, LogSide::Mirror, changes)
        } else {
            RunKeys::now(&book.link)
        };
        let text = String::from_utf8_lossy(&note.note);
        let signed = book.link.run_verifier(&keys).checkpoint(&text);
        let signed = signed.map_err(|error| not_verified(log, note.size, &error))?;
        let kept = run.into_iter().map(|(entry, record, _)| (entry, record));
        let (entries, records): (Vec<_>, Vec<_>) = kept.unzip();
        let mut confirmed = Vec::new();
        for (entry, index) in entries.iter().zip(start_index..) {
            let facts = entry.facts.as_ref();
            if let Some(facts) = facts.filter(|facts| !facts.files.is_empty())
                && self.has_confirmed(facts)?
            {
                confirmed.push(index);
            }
        }
        group.count += entries.len();
        let run = MirrorRun {
            link: self.number,
            start_index,
            entries,
            signed,
            refusals: Vec::new(),
            incidents: Vec::new(),
            keys,
        };
        let store = Arc::clone(&self.ground.store);
        let recorded = group.stage.mirror(&*store, book, run)?;
        recorded.map_err(|error| refused(log, &error))?;
        for index in confirmed {
            group
                .stage
                .batch
                .delete(layout::pending(self.number, index));
        }
        for (record, index) in records.into_iter().zip(start_index..) {
            let key = layout::entry(self.number, LogSide::Mirror, index);
            group.rows.put(key, record);
        }
        if changes {
            // What comes next is judged by it.
            self.commit(group)?;
        }
        Ok(())
    }

    /// Whether the own log says `ATTACHMENTS_RECEIVED` of a message of the peer.
    fn has_confirmed(&self, facts: &Facts) -> Result<bool, RestoreError> {
        let kind = v1::Kind::AttachmentsReceived as i32;
        let (start, end) = layout::answers_of(self.number, facts.id);
        let store = &self.ground.store;
        let rows = store.scan(&start, &end, usize::MAX, Direction::Forward)?;
        Ok(rows.iter().any(|(key, value)| {
            matches!(layout::answer_place(key), Some((LogSide::Own, _)))
                && value[..] == kind.to_be_bytes()
        }))
    }

    fn notes(&self, log: &LogContent, number: usize) -> Result<Vec<PackedNote>, RestoreError> {
        let mut notes = Vec::new();
        if let Some(content) = log.notes.get(number) {
            let start = number as u64 * BACKUP_SEGMENT_ENTRIES;
            let sizes = start + 1..=start + log.entries_of(number);
            self.folder.items(
                &content.sha256.0,
                content.bytes,
                content.count,
                |note: PackedNote| {
                    if !sizes.contains(&note.size) {
                        let what = format!("a checkpoint of size {} lies elsewhere", note.size);
                        return Err(not_authentic(log, what));
                    }
                    notes.push(note);
                    Ok(())
                },
            )?;
        }
        Ok(notes)
    }

    /// Keeps checkpoints as they were kept.
    fn put_notes(&self, side: LogSide, notes: &[PackedNote]) -> Result<(), RestoreError> {
        let mut batch = Batch::new();
        for note in notes {
            let key = match note.is_dated {
                true => layout::dated(self.number, note.size),
                false => layout::checkpoint(self.number, side, note.size),
            };
            batch.put(key, note.note.clone());
            if batch.bytes() >= COMMIT_BYTES {
                self.ground.store.commit(std::mem::take(&mut batch))?;
            }
        }
        Ok(self.ground.store.commit(batch)?)
    }

    fn reader(&self, side: LogSide) -> LogReader {
        LogReader::new(&self.ground.store, &self.ground.blobs, self.number, side)
    }

    /// Both logs must be what the backup says; answers their marks.
    fn finish(&self, link: &LinkContent) -> Result<[crate::store::Mark; 2], RestoreError> {
        let head = self.book().head_record();
        for (log, size, root) in [
            (&link.own, head.own_size, head.own_root),
            (&link.mirror, head.mirror_size, head.mirror_root),
        ] {
            if size != log.size || root != log.root.0 {
                return Err(not_authentic(
                    log,
                    "what was recorded is not what the backup says".to_owned(),
                ));
            }
        }
        Ok(self.book().marks())
    }
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
        match admit::judge(link, &RunKeys::now(link), stored.index, &item) {
            Ok(authentic) => {
                let key = layout::id(link.number, authentic.id());
                if ground.store.get(&key)?.is_none() {
                    batch.put(key, Place::Expressed(stored.index).encode());
                }
            }
            Err(_) => {
                batch.delete(layout::expressed(link.number, stored.index));
                dropped += 1;
            }
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

fn facts_of(header: &Header, content: Option<&v1::body::Body>) -> Facts {
    let named = [header.in_reply_to, header.supersedes];
    Facts {
        id: header.id,
        kind: header.kind,
        urgent: is_urgent(header.precedence),
        answers: named.into_iter().flatten().collect(),
        files: content.map(files_of).unwrap_or_default(),
    }
}

fn not_authentic(log: &LogContent, what: String) -> RestoreError {
    RestoreError::NotAuthentic {
        origin: log.origin.clone(),
        what,
    }
}

fn not_signed(log: &LogContent, index: u64, error: &DsseError) -> RestoreError {
    not_authentic(
        log,
        format!("entry {index} is not signed by this node: {error}"),
    )
}

fn not_verified(log: &LogContent, size: u64, error: &CheckpointError) -> RestoreError {
    not_authentic(
        log,
        format!("the checkpoint of size {size} does not verify: {error}"),
    )
}

fn not_covered(log: &LogContent, end: u64) -> RestoreError {
    not_authentic(
        log,
        format!("no checkpoint of its author covers the entries before {end}"),
    )
}

fn refused(log: &LogContent, error: &RecordError) -> RestoreError {
    not_authentic(log, error.to_string())
}

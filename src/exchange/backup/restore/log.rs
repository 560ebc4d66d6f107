//! One link made again: its own log appended, its mirror recorded run by run.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::super::admit::said_of_refused;
use super::super::super::book::Book;
use super::super::super::command::{
    Effect, Facts, Leaf, MirrorRun, OwnEntry, PeerEntry, RecordError,
};
use super::super::super::keys::{OwnChange, RunKeys, first_keyid};
use super::super::super::layout::{self, LinkNumber, LogSide, StoredBody};
use super::super::super::read::{LogReader, ReadError, Stored};
use super::super::super::stage::Stage;
use super::super::super::submit::{Author, files_of, goes_ahead, header_of};
use super::super::folder::Folder;
use super::super::manifest::{LinkContent, LogContent, Manifest};
use super::super::pack::{PackedEntry, PackedNote};
use super::{COMMIT_BYTES, Ground, RestoreError, named};
use crate::crypto::checkpoint::CheckpointError;
use crate::crypto::dsse::DsseError;
use crate::crypto::vkey::VerifierKey;
use crate::limits::{BACKUP_SEGMENT_ENTRIES, GROUP_BYTES_MAX};
use crate::model::{Header, body, workflow};
use crate::proto::v1::{self, KeyRole};
use crate::store::{Batch, Direction, Mark};
use crate::tlog::leaf_hash;

/// Entries of the own log that are recorded together.
const ENTRIES_AT_ONCE: usize = 256;

/// One link while it is made again.
pub(super) struct LinkWork<'a> {
    pub(super) folder: &'a Folder,
    pub(super) ground: &'a Ground,
    pub(super) number: LinkNumber,
    pub(super) books: BTreeMap<LinkNumber, Book>,
    pub(super) progress: &'a mut dyn FnMut(u64),
    pub(super) entries: &'a mut u64,
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
                staged.apply(book, false);
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
        // Without its body, erased or come back without it, an entry says what its header says.
        let header = header_of(&stored, &log.origin);
        let change = OwnChange::of(&stored.entry, body.as_ref());
        let (header, content) = match &body {
            None => (header.ok(), None),
            Some((_, body)) => {
                let header = header.map_err(|_| damaged())?;
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
    pub(super) fn own(&mut self, link: &LinkContent) -> Result<(), RestoreError> {
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

    /// Keys follow each other in the log: one of this node's must hold at its end. The one in use may
    /// have followed since; then the node signs nothing before its log has caught up with the peer.
    pub(super) fn check_keys(&self, manifest: &Manifest) -> Result<(), RestoreError> {
        let history = self.book().link.key_history(LogSide::Own);
        for role in [KeyRole::Message, KeyRole::Log] {
            let mut keys = self.ground.keys_of(role).into_iter();
            let holds = |key: VerifierKey| {
                let mut held = history.keys().iter();
                held.any(|held| held.vkey == key && held.is_open())
            };
            if !keys.any(holds) {
                let (name, found) = named(role, manifest);
                return Err(self.ground.other_key(role, name, found));
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
            return Err(not_authentic(
                log,
                format!("own entry {index} has no header"),
            ));
        };
        let mut facts = facts_of(header, read.content.as_ref());
        // Outbox rows of what is delivered are gone already.
        facts.urgent &= index >= log.checkpoint_size;
        // Of one that was erased they are made when they are asked for.
        let is_here = read.leaf.body != StoredBody::Absent;
        let said = is_here.then(|| workflow::Facts::of(header, read.content.as_ref()));
        let own = OwnEntry {
            leaf: read.leaf.saying(said.as_ref(), self.ground.blobs.vault()),
            facts,
            author: (!packed.author.is_empty()).then(|| Author::new(packed.author.clone())),
            confirms_files_of: None,
            owed_for: None,
            charge: None,
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
    pub(super) fn settle(&mut self, log: &LogContent) -> Result<(), RestoreError> {
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
    pub(super) fn mirror(&mut self, log: &LogContent) -> Result<(), RestoreError> {
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
        let said = match &header {
            Some(header) => {
                let said = workflow::Facts::of(header, read.content.as_ref());
                Some(said.refusing(matches!(effect, Effect::Refused(_))))
            }
            None => said_of_refused(&read.stored.entry),
        };
        let entry = PeerEntry {
            leaf: read.leaf.saying(said.as_ref(), self.ground.blobs.vault()),
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
            charge: None,
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
            let key = if note.is_dated {
                layout::dated(self.number, note.size)
            } else {
                layout::checkpoint(self.number, side, note.size)
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
    pub(super) fn finish(&self, link: &LinkContent) -> Result<[Mark; 2], RestoreError> {
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

fn facts_of(header: &Header, content: Option<&v1::body::Body>) -> Facts {
    let named = [header.in_reply_to, header.supersedes];
    Facts {
        id: header.id,
        kind: header.kind,
        urgent: goes_ahead(header.kind, header.precedence),
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

//! One log of a backup being made: pieces of entries and of checkpoints.

use super::super::manifest::{Content, Hex32, LogContent, Segment, joined};
use super::super::pack::{PackedEntry, PackedNote};
use super::super::shelf::{NewContent, Shelf};
use super::TakeError;
use crate::limits::BACKUP_SEGMENT_ENTRIES;
use crate::proto::v1;
use crate::tlog::{Hash, Tree};

/// A log being taken.
#[derive(Debug)]
pub(super) struct LogTaking {
    pub(super) said: v1::BackupLog,
    pub(super) segments: Vec<Segment>,
    pub(super) notes: Vec<Content>,
    pub(super) next_index: u64,
    pub(super) segment: Option<(NewContent, Tree)>,
    pub(super) open_notes: Option<(NewContent, u64)>,
    pub(super) last_note: u64,
    pub(super) checkpoint: (u64, String),
}

impl LogTaking {
    pub(super) fn new(said: v1::BackupLog, held: Option<&LogContent>) -> Result<Self, TakeError> {
        let (entries, notes) = held.map_or((0, 0), |held| {
            (held.settled_entries(), held.settled_notes())
        });
        if let Some(held) = held.filter(|held| held.size > said.size) {
            return Err(TakeError::NotContinued {
                origin: said.origin,
                held: held.size,
                size: said.size,
            });
        }
        let pieces = |size: u64| usize::try_from(size / BACKUP_SEGMENT_ENTRIES).unwrap_or(0);
        let held_segments = held
            .map(|held| held.segments.as_slice())
            .unwrap_or_default();
        let held_notes = held.map(|held| held.notes.as_slice()).unwrap_or_default();
        Ok(Self {
            segments: held_segments[..pieces(entries)].to_vec(),
            notes: held_notes[..pieces(notes).min(held_notes.len())].to_vec(),
            next_index: entries,
            segment: None,
            open_notes: None,
            last_note: notes,
            checkpoint: held
                .filter(|held| held.checkpoint_size > 0)
                .map(|held| (held.checkpoint_size, held.checkpoint.clone()))
                .unwrap_or_default(),
            said,
        })
    }

    pub(super) fn push(
        &mut self,
        shelf: &mut Shelf,
        entry: &PackedEntry,
        leaf: Hash,
    ) -> Result<(), TakeError> {
        let mut segment = match self.segment.take() {
            Some(segment) => segment,
            None => (shelf.begin()?, Tree::new()),
        };
        segment.0.pack(entry)?;
        segment.1.append(leaf, &mut Vec::new());
        self.next_index += 1;
        self.segment = Some(segment);
        if self.next_index.is_multiple_of(BACKUP_SEGMENT_ENTRIES) {
            self.close_segment(shelf)?;
        }
        Ok(())
    }

    fn close_segment(&mut self, shelf: &mut Shelf) -> Result<(), TakeError> {
        if let Some((content, tree)) = self.segment.take() {
            let (sha256, bytes) = shelf.keep(content)?;
            self.segments.push(Segment {
                sha256: Hex32(sha256),
                bytes,
                root: Hex32(tree.root().0),
            });
        }
        Ok(())
    }

    pub(super) fn note(&mut self, shelf: &mut Shelf, note: &PackedNote) -> Result<(), TakeError> {
        let piece = (note.size - 1) / BACKUP_SEGMENT_ENTRIES;
        if piece < self.notes.len() as u64 {
            return Err(TakeError::Version("checkpoints come out of order"));
        }
        // Pieces without any checkpoint are there all the same: the place says which piece it is.
        while (self.notes.len() as u64) < piece {
            self.close_notes(shelf)?;
        }
        let mut notes = match self.open_notes.take() {
            Some(notes) => notes,
            None => (shelf.begin()?, 0),
        };
        notes.0.pack(note)?;
        notes.1 += 1;
        self.open_notes = Some(notes);
        if !note.is_dated && note.size > self.checkpoint.0 {
            let text = String::from_utf8(note.note.clone());
            let text = text.map_err(|_| TakeError::Wrong {
                origin: self.said.origin.clone(),
                what: format!("the checkpoint of size {}", note.size),
            })?;
            self.checkpoint = (note.size, text);
        }
        self.last_note = self.last_note.max(note.size);
        Ok(())
    }

    fn close_notes(&mut self, shelf: &mut Shelf) -> Result<(), TakeError> {
        let notes = match self.open_notes.take() {
            Some(notes) => notes,
            None => (shelf.begin()?, 0),
        };
        self.notes.push(keep(shelf, notes)?);
        Ok(())
    }

    pub(super) fn end(&mut self, shelf: &mut Shelf) -> Result<(), TakeError> {
        self.close_segment(shelf)?;
        if self.open_notes.is_some() {
            self.close_notes(shelf)?;
        }
        let roots: Vec<_> = self.segments.iter().map(|s| Hash(s.root.0)).collect();
        if self.next_index == self.said.size && joined(&roots).0[..] == self.said.root[..] {
            return Ok(());
        }
        Err(TakeError::NotContinued {
            origin: self.said.origin.clone(),
            held: self.next_index,
            size: self.said.size,
        })
    }

    pub(super) fn content(self) -> LogContent {
        let root = joined(
            &self
                .segments
                .iter()
                .map(|s| Hash(s.root.0))
                .collect::<Vec<_>>(),
        );
        LogContent {
            origin: self.said.origin,
            size: self.said.size,
            root: Hex32(root.0),
            segments: self.segments,
            notes: self.notes,
            checkpoint_size: self.checkpoint.0,
            checkpoint: self.checkpoint.1,
        }
    }
}

pub(super) fn keep(
    shelf: &mut Shelf,
    (content, count): (NewContent, u64),
) -> Result<Content, TakeError> {
    let (sha256, bytes) = shelf.keep(content)?;
    Ok(Content {
        sha256: Hex32(sha256),
        bytes,
        count,
    })
}

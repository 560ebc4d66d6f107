//! What a step of restoring changes, within one commit.

use std::sync::Arc;

use super::super::book::Book;
use super::super::command::RecordError;
use super::super::hold::{Hold, evidence};
use super::super::layout::{
    self, FileRefs, LinkNumber, LogSide, Place, Record, RestorePart, StoredEntry,
};
use super::super::shelf;
use super::super::stage::{Stage, Whether};
use super::take::refusal_in;
use super::{
    Again, CutBack, RestoredEntry, RestoredOwn, RestoredPeer, RestoredRun, Restoring, place_beside,
};
use crate::crypto::checkpoint::Checkpoint;
use crate::crypto::note::Note;
use crate::proto::v1::FaultCode;
use crate::store::{Direction, Store, StoreError};
use crate::tlog::{leaf_hash, verify_consistency};

/// Rows of region `Z` removed by the last commit of a restoring; more are harmless and stay until
/// the next one.
const ROWS_AT_ONCE: usize = 4_096;

/// Parts of what is said of a restoring: two notes of 8 KiB as JSON, and as much again.
const PARTS_MAX: u8 = 8;

impl Stage {
    /// Notes that a link restores, or what it must reach now.
    pub(in super::super) fn begin_restoring(&mut self, book: &Book, restoring: Restoring) {
        let number = book.link.number;
        let value = serde_json::to_vec(&restoring).unwrap_or_default();
        let key = layout::restore(number, RestorePart::Record);
        // What was said before may have had more parts.
        for part in 1..=PARTS_MAX {
            self.batch.delete([&key[..], &[part]].concat());
        }
        for (key, part) in layout::parts(&key, &value) {
            self.batch.put(key, part);
        }
        self.touch(number).restoring = Whether::Restores(Arc::new(restoring));
    }

    pub(in super::super) fn set_aside(
        &mut self,
        store: &dyn Store,
        book: &Book,
        entries: Vec<(u64, Vec<u8>, Option<Vec<u8>>)>,
    ) -> Result<(), StoreError> {
        let number = book.link.number;
        // Later than what was set aside before under the same index, and in order among themselves.
        let mut next = 0;
        for (index, record, author) in entries {
            let part = RestorePart::Aside;
            let (at, put) = place_beside(store, number, part, index.max(next), &record)?;
            next = at.saturating_add(1);
            // What it refuses is refused again if it has to come back too.
            if let Some((refused, of)) = refusal_in(&record) {
                let key = layout::restore_at(number, RestorePart::Refused, refused);
                self.batch.put(key, of.leaf.to_vec());
            }
            if put {
                self.batch.put(layout::restore_at(number, part, at), record);
            }
            if let Some(author) = author {
                let key = layout::restore_at(number, RestorePart::AsideAuthor, at);
                self.batch.put(key, author);
            }
        }
        Ok(())
    }

    pub(in super::super) fn cut_back(&mut self, book: &Book, cut: CutBack) {
        for key in cut.gone {
            self.batch.delete(key);
        }
        self.forget_derived(book, [cut.tree.size(), book.mirror.size()]);
        let staged = self.touch(book.link.number);
        staged.cut_to = Some(cut.tree.size());
        staged.own = Some(cut.tree);
        self.take_history(book, LogSide::Own, &cut.keys);
    }

    /// Takes entries back, if they go on where the log ends, belong to the signed tree, and the
    /// receipts that came along are of it; otherwise stages nothing.
    pub(in super::super) fn take_back(
        &mut self,
        store: &dyn Store,
        book: &Book,
        run: RestoredRun,
    ) -> Result<Result<(), RecordError>, StoreError> {
        let number = book.link.number;
        let (mut tree, size) = {
            let staged = self.touch(number);
            let tree = match run.side {
                LogSide::Own => staged.own.as_ref().unwrap_or(&book.own),
                LogSide::Mirror => staged.mirror.as_ref().unwrap_or(&book.mirror),
            };
            (tree.clone(), tree.size())
        };
        if size != run.start_index {
            return Ok(Err(RecordError::NotNext {
                start_index: run.start_index,
                mirror_size: size,
            }));
        }
        let end = size + run.entries.len() as u64;
        let dated = match run.side {
            LogSide::Own => std::collections::BTreeMap::new(),
            LogSide::Mirror => self.dated_between(store, number, size + 1, end)?,
        };
        let mut full = Vec::new();
        let mut contradicted = None;
        for (entry, index) in run.entries.iter().zip(size..) {
            let leaf = entry.leaf().hash;
            if run.side == LogSide::Mirror
                && book.expressed.get(&index).is_some_and(|a| a.hash != leaf)
            {
                return Ok(Err(RecordError::ExpressMismatch { index }));
            }
            tree.append(leaf, &mut full);
            let other = |note: &str| {
                let note = Note::parse(note).ok();
                let known = note.and_then(|note| Checkpoint::parse(note.text()).ok());
                known.is_some_and(|known| known.root != tree.root())
            };
            let receipt = run
                .receipts
                .iter()
                .find(|r| r.signed.checkpoint.size == tree.size())
                .filter(|r| r.signed.checkpoint.root != tree.root())
                .map(|r| r.note.clone());
            let earlier = receipt.or_else(|| dated.get(&tree.size()).filter(|n| other(n)).cloned());
            contradicted = contradicted.or_else(|| Some((tree.size(), earlier?)));
        }
        let target = &run.target.signed.checkpoint;
        if verify_consistency(
            tree.size(),
            target.size,
            tree.root(),
            target.root,
            &run.consistency,
        )
        .is_err()
        {
            return Ok(Err(RecordError::NotOfTree { size: target.size }));
        }
        if let Some((size, earlier)) = contradicted {
            return Ok(Err(RecordError::Contradicts { size, earlier }));
        }
        for index in run.keys.changes_from(run.start_index) {
            let key = layout::key_change(number, run.side, index);
            self.batch.put(key, Vec::new());
            self.take_history(book, run.side, &run.keys.history);
        }
        self.put_tiles(number, run.side, full);
        for receipt in &run.receipts {
            let key = layout::checkpoint(number, run.side, receipt.signed.checkpoint.size);
            self.batch.put(key, receipt.note.clone().into_bytes());
        }
        let mut newest = run.receipts.last().map(|r| r.signed.checkpoint.size);
        if tree.size() == target.size {
            // One that was kept before is the better one.
            let key = layout::checkpoint(number, run.side, target.size);
            if newest != Some(target.size) && store.get(&key)?.is_none() {
                self.batch.put(key, run.target.note.clone().into_bytes());
            }
            newest = Some(target.size);
        }
        let staged = self.touch(number);
        match run.side {
            LogSide::Own => {
                staged.own = Some(tree);
                if let Some(size) = newest {
                    let before = staged.delivered_size.unwrap_or(book.delivered_size);
                    staged.delivered_size = Some(before.max(size));
                }
                let delivered_size = staged.delivered_size.unwrap_or(book.delivered_size);
                // Receipts say so by themselves.
                let is_news = run.bodies_absent > 0 || end > delivered_size;
                if let Some(restoring) = book.restoring.as_ref().filter(|_| is_news) {
                    let mut restoring = (**restoring).clone();
                    restoring.bodies_absent += run.bodies_absent;
                    restoring.own_proven = restoring.own_proven.max(end);
                    self.begin_restoring(book, restoring);
                }
            }
            LogSide::Mirror => staged.mirror = Some(tree),
        }
        for (entry, index) in run.entries.into_iter().zip(size..) {
            match entry {
                RestoredEntry::Own(own) => self.own_back(book, index, *own),
                RestoredEntry::Peer(peer) => self.peer_back(store, book, index, *peer)?,
            }
        }
        Ok(Ok(()))
    }

    /// An own entry that is receipted already: its indices, without what only waits for a receipt.
    fn own_back(&mut self, book: &Book, index: u64, own: RestoredOwn) {
        let number = book.link.number;
        self.touch(number).is_replaced = true;
        if let Some(said) = own.leaf.said {
            for (key, part) in
                shelf::packed_rows(number, LogSide::Own, index, said.case, &said.bytes)
            {
                self.batch.put(key, part);
            }
        }
        let record = Record {
            recorded_at_ms: own.recorded_at_ms,
            entry: own.leaf.entry,
            body: own.leaf.body,
            refused: false,
            expressed: false,
        };
        self.batch
            .put(layout::entry(number, LogSide::Own, index), record.encode());
        if let Some((mirror_index, leaf)) = own.refuses {
            let key = layout::restore_at(number, RestorePart::Refused, mirror_index);
            self.batch.put(key, leaf.0.to_vec());
        }
        if let Some(by) = own.refused_by {
            self.batch
                .put(layout::refused(number, index), by.to_be_bytes().to_vec());
        }
        if let Some(mirror_index) = own.confirms_files_of {
            self.batch.delete(layout::pending(number, mirror_index));
        }
        self.touch(number).changed = true;
        let Some(facts) = own.facts else { return };
        self.note_id(number, facts.id, Place::Log(LogSide::Own, index));
        for answered in &facts.answers {
            self.put_answer(number, *answered, LogSide::Own, index, facts.kind);
        }
        if facts.files.is_empty() {
            return;
        }
        for file in &facts.files {
            let key = layout::wanted(number, LogSide::Own, &file.sha256);
            self.batch.put(key, file.size.to_be_bytes().to_vec());
            self.name_file(number, LogSide::Own, index, file);
        }
        if !own.files_confirmed {
            let refs = FileRefs(facts.files).encode();
            self.batch.put(layout::outgoing(number, index), refs);
        }
        self.touch(number).files = true;
    }

    fn peer_back(
        &mut self,
        store: &dyn Store,
        book: &Book,
        index: u64,
        peer: RestoredPeer,
    ) -> Result<(), StoreError> {
        let number = book.link.number;
        self.touch(number).is_replaced = true;
        self.recorded_at_ms = Some(peer.recorded_at_ms);
        let mirrored = self.mirror_entry(store, book, index, peer.entry);
        self.recorded_at_ms = None;
        mirrored?;
        if peer.files_confirmed {
            self.batch.delete(layout::pending(number, index));
        }
        if let Some(owed) = peer.owed_refusal {
            let key = layout::restore_at(number, RestorePart::OwedRefusal, index);
            let value = serde_json::to_vec(&owed).unwrap_or_default();
            self.batch.put(key, value);
        }
        Ok(())
    }

    /// Appends again what was set aside, or keeps it aside for good.
    pub(in super::super) fn append_again(
        &mut self,
        store: &dyn Store,
        book: &Book,
        again: Vec<Again>,
    ) -> Result<(), StoreError> {
        let number = book.link.number;
        let mut next = 0;
        for again in again {
            let index = match again {
                Again::Append(index, own) => {
                    // A step that is done again finds it recorded.
                    if self.place_of(store, number, own.facts.id)?.is_none()
                        && self.append(book, *own).is_err()
                    {
                        // The key that signed it has ended meanwhile.
                        let key = layout::restore_at(number, RestorePart::Aside, index);
                        if let Some(record) = store.get(&key)? {
                            next = self.keep_aside(store, number, index, next, record)?;
                        }
                    }
                    index
                }
                Again::Drop(index, found) => {
                    if let Some(found) = found {
                        if let Some(record) = found.completed {
                            let key = layout::entry(number, LogSide::Own, found.at);
                            self.batch.put(key, record);
                        }
                        if let Some(author) = found.author {
                            self.batch.put(layout::author(number, found.at), author);
                        }
                    }
                    index
                }
                Again::Keep(index, record) => {
                    next = self.keep_aside(store, number, index, next, record)?;
                    index
                }
            };
            for part in [RestorePart::Aside, RestorePart::AsideAuthor] {
                self.batch.delete(layout::restore_at(number, part, index));
            }
        }
        Ok(())
    }

    /// Keeps an entry aside for good, with who submitted it; returns from where on the next one may lie.
    /// A REFUSAL among them is said anew: the entry is refused.
    fn keep_aside(
        &mut self,
        store: &dyn Store,
        number: LinkNumber,
        index: u64,
        next: u64,
        record: Vec<u8>,
    ) -> Result<u64, StoreError> {
        let part = RestorePart::Kept;
        let owed = refusal_in(&record);
        let (at, put) = place_beside(store, number, part, index.max(next), &record)?;
        if put {
            self.batch.put(layout::restore_at(number, part, at), record);
        }
        if let Some((refused, owed)) = owed {
            let key = layout::entry(number, LogSide::Mirror, refused);
            let mirrored = store.get(&key)?.as_deref().and_then(Record::decode);
            let is_it = |entry: &StoredEntry| match entry {
                StoredEntry::Inline(entry) => leaf_hash(entry).0 == owed.leaf,
                StoredEntry::File(_) => true,
            };
            if mirrored.is_some_and(|record| record.refused && is_it(&record.entry)) {
                let key = layout::restore_at(number, RestorePart::OwedRefusal, refused);
                let value = serde_json::to_vec(&owed).unwrap_or_default();
                self.batch.put(key, value);
            }
        }
        let author = layout::restore_at(number, RestorePart::AsideAuthor, index);
        if let Some(author) = store.get(&author)? {
            let key = layout::restore_at(number, RestorePart::KeptAuthor, at);
            self.batch.put(key, author);
        }
        Ok(at.saturating_add(1))
    }

    /// The last commit: the link is like any other. What a hold of the lost store said holds again.
    pub(in super::super) fn finish_restoring(
        &mut self,
        store: &dyn Store,
        book: &Book,
        mut hold: Option<Hold>,
    ) -> Result<(), StoreError> {
        let number = book.link.number;
        if let Some(restoring) = &book.restoring {
            self.forget_derived(book, [restoring.own_from, restoring.mirror_from]);
        }
        for part in [RestorePart::Record, RestorePart::Hold] {
            let (start, end) = layout::parts_range(&layout::restore(number, part));
            let rows = store.scan(&start, &end, usize::MAX, Direction::Forward)?;
            let mut whole = Vec::new();
            for (key, value) in rows {
                whole.extend_from_slice(&value);
                self.batch.delete(key);
            }
            if part == RestorePart::Hold && !whole.is_empty() {
                let mut earlier: Hold =
                    serde_json::from_slice(&whole).unwrap_or_else(|_| unreadable(book, &whole));
                if let Some(hold) = hold.take() {
                    earlier.text = format!("{}. Moreover: {}", earlier.text, hold.text);
                    earlier.evidence.extend(hold.evidence);
                }
                hold = Some(earlier);
            }
        }
        if let Some(hold) = hold {
            self.hold(store, book, &hold)?;
        }
        let (start, end) = layout::restore_from(number, RestorePart::Refused, 0);
        for (key, _) in store.scan(&start, &end, ROWS_AT_ONCE, Direction::Forward)? {
            self.batch.delete(key);
        }
        let key = layout::restore(number, RestorePart::Files);
        self.batch.put(key, Vec::new());
        let staged = self.touch(number);
        staged.restoring = Whether::IsWhole;
        staged.files_lost = Some(true);
        staged.files = true;
        staged.changed = true;
        Ok(())
    }

    pub(in super::super) fn files_are_here(&mut self, book: &Book) {
        let number = book.link.number;
        self.batch
            .delete(layout::restore(number, RestorePart::Files));
        self.touch(number).files_lost = Some(false);
    }
}

/// The hold of a lost store that cannot be read any more: it still holds, and a person decides.
fn unreadable(book: &Book, whole: &[u8]) -> Hold {
    let at_ms = book
        .restoring
        .as_ref()
        .map_or(0, |restoring| restoring.at_ms);
    Hold {
        code: FaultCode::Unspecified as i32,
        origin: book.link.own.to_string(),
        index: book.own.size(),
        text: "the link was held before the records were lost, and why cannot be read any more. \
               Look at the incidents and call the peer before you release it"
            .to_owned(),
        evidence: vec![evidence(&String::from_utf8_lossy(whole))],
        equivocation: None,
        at_ms,
    }
}

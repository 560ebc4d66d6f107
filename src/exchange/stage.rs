//! A group of commands while it is being put together: one batch for the store, and beside it what
//! each link will look like once the batch is durable.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, PoisonError};

use super::book::{Ahead, Book, Trees};
use super::command::{Effect, Leaf, MirrorRun, OwnEntry, PeerEntry, RecordError, Recorded};
use super::hold::{Hold, Incident};
use super::holding::{PastHold, Release};
use super::layout::{
    self, FileRef, FileRefs, HeadRecord, LinkNumber, LogSide, Place, Record, RestorePart, Urgency,
};
use super::quota::{Charge, Meter};
use super::remind::{DutyKey, Reached};
use super::restore::Restoring;
use super::shelf;
use crate::crypto::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::crypto::history::KeyHistory;
use crate::crypto::note::Note;
use crate::limits::{CHECKPOINT_SIZE_MAX, EXPRESSED_BYTES_MAX, EXPRESSED_ENTRIES_MAX};
use crate::model::MessageId;
use crate::model::workflow::Facts;
use crate::proto::v1::KeyRole;
use crate::store::{Batch, Direction, Mark, Store, StoreError};
use crate::tlog::{FullTile, Tree};

/// Outbox rows of urgent messages removed by one receipt; the next one removes more.
const URGENT_ROWS_AT_ONCE: usize = 1_024;

/// A group while it is being put together: the batch, and what each link will look like.
pub(super) struct Stage {
    now_ms: u64,
    pub(super) batch: Batch,
    pub(super) links: BTreeMap<LinkNumber, StagedLink>,
    ids: HashMap<(LinkNumber, MessageId), Place>,
    /// Dated checkpoints of this group, by link and size.
    dated: BTreeMap<(LinkNumber, u64), String>,
    /// Files that messages of the peers in this group name first, by key.
    wanted: BTreeSet<Vec<u8>>,
    /// What is noted once and was noted in this group, by key.
    once: BTreeSet<Vec<u8>>,
    /// Whose quotas this group draws on.
    usage: BTreeMap<String, Arc<Meter>>,
    /// What this group is at the cost of; kept once it is committed.
    pub(super) charges: Vec<Arc<Charge>>,
    /// Holds that this group has ended.
    released: u64,
    /// The time to put into records instead of now: that of an entry recorded long ago.
    pub(super) recorded_at_ms: Option<u64>,
}

/// What a group does to a link's hold.
#[derive(Default)]
enum Holding {
    #[default]
    AsBefore,
    Held(Arc<Hold>),
    Released,
}

/// What a group does to a link's restoring.
#[derive(Default)]
pub(super) enum Whether {
    #[default]
    AsBefore,
    Restores(Arc<Restoring>),
    IsWhole,
}

/// What a group changes on one link.
#[derive(Default)]
pub(super) struct StagedLink {
    pub(super) own: Option<Tree>,
    pub(super) mirror: Option<Tree>,
    pub(super) delivered_size: Option<u64>,
    /// The own log was cut back to so many entries.
    pub(super) cut_to: Option<u64>,
    /// What the link restores from now on, if anything.
    pub(super) restoring: Whether,
    /// Whether files of earlier messages may be missing from now on.
    pub(super) files_lost: Option<bool>,
    urgent: Vec<(u64, Urgency)>,
    /// Entries lie where others did, or may.
    pub(super) is_replaced: bool,
    /// What the entries say that are small, the own first.
    said: [Vec<(u64, Arc<Facts>)>; 2],
    expressed: Vec<(u64, Ahead)>,
    no_longer_expressed: BTreeSet<u64>,
    pub(super) files: bool,
    pub(super) changed: bool,
    stages_reached: u64,
    held: Holding,
    own_keys: Option<Arc<KeyHistory>>,
    mirror_keys: Option<Arc<KeyHistory>>,
    /// What becomes of the peer's hold, as it said.
    peer_held: Holding,
}

impl Stage {
    pub(super) fn new(now_ms: u64) -> Self {
        Self {
            now_ms,
            batch: Batch::new(),
            links: BTreeMap::new(),
            ids: HashMap::new(),
            dated: BTreeMap::new(),
            wanted: BTreeSet::new(),
            once: BTreeSet::new(),
            released: 0,
            recorded_at_ms: None,
            usage: BTreeMap::new(),
            charges: Vec::new(),
        }
    }

    /// An identity has taken of its quota for what is in this group.
    pub(super) fn use_up(&mut self, meter: &Arc<Meter>) {
        if !self.usage.contains_key(meter.name()) {
            self.usage
                .insert(meter.name().to_owned(), Arc::clone(meter));
        }
    }

    /// This group is at the cost of a quota. Given back if the group is not committed.
    fn charge(&mut self, charge: Arc<Charge>) {
        self.use_up(charge.meter());
        self.charges.push(charge);
    }

    /// Writes what each identity has taken by now.
    pub(super) fn write_usage(&mut self) {
        for meter in std::mem::take(&mut self.usage).into_values() {
            let (key, value) = meter.row();
            self.batch.put(key, value);
        }
    }

    /// Where an id lies, in the store or earlier in this group.
    pub(super) fn place_of(
        &self,
        store: &dyn Store,
        number: LinkNumber,
        id: MessageId,
    ) -> Result<Option<Place>, StoreError> {
        if let Some(place) = self.ids.get(&(number, id)) {
            return Ok(Some(*place));
        }
        let value = store.get(&layout::id(number, id))?;
        Ok(value.as_deref().and_then(Place::decode))
    }

    pub(super) fn note_id(&mut self, number: LinkNumber, id: MessageId, place: Place) {
        self.ids.insert((number, id), place);
        self.batch.put(layout::id(number, id), place.encode());
    }

    /// Whether nothing may be appended to a link now.
    pub(super) fn restores(&self, book: &Book) -> bool {
        let staged = self.links.get(&book.link.number);
        match staged.map(|staged| &staged.restoring) {
            Some(Whether::Restores(_)) => true,
            Some(Whether::IsWhole) => false,
            Some(Whether::AsBefore) | None => book.restoring.is_some(),
        }
    }

    /// The own keys as this group leaves them.
    pub(super) fn own_history(&self, book: &Book) -> Arc<KeyHistory> {
        let staged = self.links.get(&book.link.number);
        match staged.and_then(|staged| staged.own_keys.as_ref()) {
            Some(history) => Arc::clone(history),
            None => book.link.key_history(LogSide::Own),
        }
    }

    /// Puts a history in the place of the one before, with this group.
    pub(super) fn take_history(&mut self, book: &Book, side: LogSide, history: &Arc<KeyHistory>) {
        let staged = self.touch(book.link.number);
        match side {
            LogSide::Own => staged.own_keys = Some(Arc::clone(history)),
            LogSide::Mirror => staged.mirror_keys = Some(Arc::clone(history)),
        }
    }

    /// Whether the key that signed an entry holds at an index of the own log; and if the entry
    /// changes the keys, whether that counts there.
    fn check_own_key(
        &mut self,
        book: &Book,
        index: u64,
        own: &OwnEntry,
    ) -> Result<(), RecordError> {
        let history = self.own_history(book);
        let staged = self.links.entry(book.link.number).or_default();
        if let Some(change) = &own.change {
            let mut after = KeyHistory::clone(&history);
            let counts = after.take(index, &change.entry, &change.salt, &change.body);
            return match counts {
                Ok(true) => {
                    staged.own_keys = Some(Arc::new(after));
                    let key = layout::key_change(book.link.number, LogSide::Own, index);
                    self.batch.put(key, Vec::new());
                    Ok(())
                }
                Ok(false) => Err(RecordError::KeyChange {
                    reason: "it is none".to_owned(),
                }),
                Err(fault) => Err(RecordError::KeyChange {
                    reason: fault.to_string(),
                }),
            };
        }
        if history.message_key_holds(&own.keyid, index) {
            Ok(())
        } else {
            Err(RecordError::KeyEnded)
        }
    }

    /// Whether an entry ends a log key that may have cosigned since it was signed: the peer's log has
    /// grown beyond what its header says was seen, and that is where the key's cosignatures end.
    pub(super) fn ends_too_early(&self, book: &Book, own: &OwnEntry) -> bool {
        let Some(change) = &own.change else {
            return false;
        };
        let staged = self.links.get(&book.link.number);
        let own_tree = staged.and_then(|staged| staged.own.as_ref());
        let index = own_tree.unwrap_or(&book.own).size();
        let mirror = staged.and_then(|staged| staged.mirror.as_ref());
        let mirror_size = mirror.unwrap_or(&book.mirror).size();
        let before = self.own_history(book);
        let mut after = KeyHistory::clone(&before);
        // One that does not count ends nothing, and is refused for that.
        if !matches!(
            after.take(index, &change.entry, &change.salt, &change.body),
            Ok(true)
        ) {
            return false;
        }
        let mut keys = before.keys().iter().zip(after.keys());
        keys.any(|(was, is)| {
            is.role == KeyRole::Log
                && was.is_open()
                && !is.is_open()
                && is.cosigned_until != Some(mirror_size)
        })
    }

    /// Appends to the own log: entry, tiles, id, answers, outbox, in one batch; or nothing, if the
    /// key that signed it does not hold there.
    pub(super) fn append(&mut self, book: &Book, own: OwnEntry) -> Result<Recorded, RecordError> {
        let number = book.link.number;
        let staged = self.links.entry(number).or_default();
        let index = staged.own.as_ref().unwrap_or(&book.own).size();
        self.check_own_key(book, index, &own)?;
        if let Some(charge) = own.charge {
            self.charge(charge);
        }
        let staged = self.links.entry(number).or_default();
        let tree = staged.own.get_or_insert_with(|| (*book.own).clone());
        let mut full = Vec::new();
        tree.append(own.leaf.hash, &mut full);
        if own.facts.urgent {
            let urgency = Urgency::of(own.facts.kind);
            staged.urgent.push((index, urgency));
            self.batch
                .put(layout::urgent(number, index), urgency.encode());
        }
        staged.changed |= !own.facts.answers.is_empty();
        self.put_tiles(number, LogSide::Own, full);
        self.put_entry(number, LogSide::Own, index, own.leaf, false, false);
        if let Some(author) = &own.author {
            let name = author.as_str().as_bytes().to_vec();
            self.batch.put(layout::author(number, index), name);
        }
        let place = Place::Log(LogSide::Own, index);
        self.note_id(number, own.facts.id, place);
        for answered in &own.facts.answers {
            self.put_answer(number, *answered, LogSide::Own, index, own.facts.kind);
        }
        if !own.facts.files.is_empty() {
            for file in &own.facts.files {
                let key = layout::wanted(number, LogSide::Own, &file.sha256);
                self.batch.put(key, file.size.to_be_bytes().to_vec());
                self.name_file(number, LogSide::Own, index, file);
            }
            let refs = FileRefs(own.facts.files.clone()).encode();
            self.batch.put(layout::outgoing(number, index), refs);
            self.touch(number).files = true;
        }
        if let Some(mirror_index) = own.confirms_files_of {
            self.batch.delete(layout::pending(number, mirror_index));
            self.touch(number).changed = true;
        }
        if let Some(mirror_index) = own.owed_for {
            let part = RestorePart::OwedRefusal;
            self.batch
                .delete(layout::restore_at(number, part, mirror_index));
        }
        Ok(Recorded {
            id: own.facts.id,
            index,
            already_recorded: false,
        })
    }

    /// Extends the mirror by a run, if it starts where the mirror ends and hashes to its
    /// checkpoint's root; otherwise stages nothing.
    pub(super) fn mirror(
        &mut self,
        store: &dyn Store,
        book: &Book,
        run: MirrorRun,
    ) -> Result<Result<(), RecordError>, StoreError> {
        let number = book.link.number;
        let staged = self.links.get(&number);
        let mut tree = staged
            .and_then(|s| s.mirror.as_ref())
            .unwrap_or(&book.mirror)
            .clone();
        if tree.size() != run.start_index {
            return Ok(Err(RecordError::NotNext {
                start_index: run.start_index,
                mirror_size: tree.size(),
            }));
        }
        let mut full = Vec::new();
        let end = run.start_index + run.entries.len() as u64;
        let dated = self.dated_between(store, number, run.start_index + 1, end)?;
        let mut contradicted = None;
        for (entry, index) in run.entries.iter().zip(run.start_index..) {
            let awaited = staged
                .and_then(|s| s.expressed.iter().find(|(at, _)| *at == index))
                .map(|(_, ahead)| ahead)
                .or_else(|| book.expressed.get(&index));
            if awaited.is_some_and(|ahead| ahead.hash != entry.leaf.hash) {
                return Ok(Err(RecordError::ExpressMismatch { index }));
            }
            tree.append(entry.leaf.hash, &mut full);
            let earlier = dated.get(&tree.size()).filter(|note| {
                let earlier = Note::parse(note).ok();
                let earlier = earlier.and_then(|note| Checkpoint::parse(note.text()).ok());
                earlier.is_some_and(|earlier| earlier.root != tree.root())
            });
            contradicted = contradicted.or_else(|| Some((tree.size(), earlier?.clone())));
        }
        let checkpoint = &run.signed.checkpoint;
        if checkpoint.size != tree.size() || checkpoint.root != tree.root() {
            return Ok(Err(RecordError::RootMismatch {
                size: checkpoint.size,
            }));
        }
        if let Some((size, earlier)) = contradicted {
            return Ok(Err(RecordError::Contradicts { size, earlier }));
        }
        let own_size = staged.and_then(|s| s.own.as_ref());
        let own_size = own_size.unwrap_or(&book.own).size();
        let own_keys = self.own_history(book);
        let mut refusals = run.refusals.iter().zip(own_size..);
        if !refusals.all(|(own, index)| own_keys.message_key_holds(&own.keyid, index)) {
            return Ok(Err(RecordError::KeyEnded));
        }
        for index in run.keys.changes_from(run.start_index) {
            let key = layout::key_change(number, LogSide::Mirror, index);
            self.batch.put(key, Vec::new());
            self.touch(number).mirror_keys = Some(Arc::clone(&run.keys.history));
        }

        if let Some(charge) = run.charge {
            self.charge(Arc::new(charge));
        }
        self.put_tiles(number, LogSide::Mirror, full);
        self.touch(number).mirror = Some(tree);
        for (entry, index) in run.entries.into_iter().zip(run.start_index..) {
            self.mirror_entry(store, book, index, entry)?;
        }
        let key = layout::checkpoint(number, LogSide::Mirror, checkpoint.size);
        self.batch.put(key, run.signed.note.clone().into_bytes());
        for refusal in run.refusals {
            if let Err(error) = self.append(book, refusal) {
                // Looked at above.
                return Ok(Err(error));
            }
        }
        Ok(Ok(()))
    }

    /// The peer's dated checkpoints with sizes from `first` to `last`, both included.
    pub(super) fn dated_between(
        &self,
        store: &dyn Store,
        number: LinkNumber,
        first: u64,
        last: u64,
    ) -> Result<BTreeMap<u64, String>, StoreError> {
        let (start, end) = (
            layout::dated(number, first),
            layout::dated(number, last + 1),
        );
        let rows = store.scan(&start, &end, usize::MAX, Direction::Forward)?;
        let mut dated: BTreeMap<u64, String> = rows
            .into_iter()
            .filter_map(|(key, note)| {
                Some((layout::index_of(&key)?, String::from_utf8(note).ok()?))
            })
            .collect();
        let staged = self.dated.range((number, first)..=(number, last));
        dated.extend(staged.map(|((_, size), note)| (*size, note.clone())));
        Ok(dated)
    }

    /// Keeps a dated checkpoint of the peer, the newest of its size, unless the peer signed
    /// another tree of that size before. Of those beyond the mirror only the newest is kept.
    pub(super) fn keep_dated(
        &mut self,
        store: &dyn Store,
        book: &Book,
        signed: &SignedCheckpoint,
    ) -> Result<Result<(), RecordError>, StoreError> {
        let number = book.link.number;
        let size = signed.checkpoint.size;
        let mirror = self.links.get(&number).and_then(|s| s.mirror.as_ref());
        let mirror_size = mirror.unwrap_or(&book.mirror).size();
        let earlier = self.dated_between(store, number, size, size)?.remove(&size);
        if let Some(note) = earlier
            && let Ok(earlier) = book.link.mirror_verifier.checkpoint(&note)
        {
            if earlier.checkpoint.root != signed.checkpoint.root {
                return Ok(Err(RecordError::Contradicts {
                    size,
                    earlier: note,
                }));
            }
            if earlier.authored_at >= signed.authored_at {
                return Ok(Ok(()));
            }
        }
        if size > mirror_size {
            // A peer can invent any size that is not mirrored yet: of those the newest is kept.
            let ahead = self.dated_between(store, number, mirror_size + 1, CHECKPOINT_SIZE_MAX)?;
            for (other, note) in ahead {
                let kept = book.link.mirror_verifier.checkpoint(&note);
                if kept.is_ok_and(|kept| kept.authored_at > signed.authored_at) {
                    return Ok(Ok(()));
                }
                self.batch.delete(layout::dated(number, other));
                self.dated.remove(&(number, other));
            }
        }
        let note = signed.note.clone();
        self.batch
            .put(layout::dated(number, size), note.clone().into_bytes());
        self.dated.insert((number, size), note);
        Ok(Ok(()))
    }

    pub(super) fn mirror_entry(
        &mut self,
        store: &dyn Store,
        book: &Book,
        index: u64,
        entry: PeerEntry,
    ) -> Result<(), StoreError> {
        let number = book.link.number;
        let staged = self.touch(number);
        let expressed = book.expressed.contains_key(&index)
            || staged.expressed.iter().any(|(at, _)| *at == index);
        if expressed {
            staged.no_longer_expressed.insert(index);
            self.batch.delete(layout::expressed(number, index));
        }
        let refused = entry.facts.is_none();
        self.put_entry(
            number,
            LogSide::Mirror,
            index,
            entry.leaf,
            refused,
            expressed,
        );
        match entry.effect {
            Effect::None => {}
            Effect::Refused(own_index) => {
                let key = layout::refused(number, own_index);
                self.batch.put(key, index.to_be_bytes().to_vec());
                self.touch(number).changed = true;
            }
            Effect::FilesConfirmed(id, digests) => {
                let place = self.place_of(store, number, id)?;
                if let Some(Place::Log(LogSide::Own, own_index)) = place
                    && confirms(store, number, own_index, &digests)?
                {
                    self.batch.delete(layout::outgoing(number, own_index));
                    self.touch(number).changed = true;
                }
            }
        }
        if let Some(facts) = entry.facts {
            self.note_id(number, facts.id, Place::Log(LogSide::Mirror, index));
            for answered in facts.answers {
                self.put_answer(number, answered, LogSide::Mirror, index, facts.kind);
                self.touch(number).changed = true;
            }
            if !facts.files.is_empty() {
                for file in &facts.files {
                    self.want(store, number, *file)?;
                    self.name_file(number, LogSide::Mirror, index, file);
                }
                let refs = FileRefs(facts.files).encode();
                self.batch.put(layout::pending(number, index), refs);
                self.touch(number).files = true;
            }
        }
        Ok(())
    }

    /// Keeps which message names a file: it can be erased with the last of them.
    pub(super) fn name_file(
        &mut self,
        number: LinkNumber,
        side: LogSide,
        index: u64,
        file: &FileRef,
    ) {
        let key = layout::naming(&file.sha256, number, side, index);
        self.batch.put(key, Vec::new());
    }

    /// Keeps the size of a file that a message of the peer names: the one stated first. A later
    /// message that states another cannot be right about the same digest, and must not break the
    /// first.
    fn want(
        &mut self,
        store: &dyn Store,
        number: LinkNumber,
        file: FileRef,
    ) -> Result<(), StoreError> {
        let key = layout::wanted(number, LogSide::Mirror, &file.sha256);
        if !self.wanted.contains(&key) && store.get(&key)?.is_none() {
            self.batch
                .put(key.clone(), file.size.to_be_bytes().to_vec());
            self.wanted.insert(key);
        }
        Ok(())
    }

    pub(super) fn express(
        &mut self,
        store: &dyn Store,
        book: &Book,
        index: u64,
        entry: &PeerEntry,
    ) -> Result<Result<(), RecordError>, StoreError> {
        let number = book.link.number;
        if let Some(facts) = &entry.facts
            && let Some(place) = self.place_of(store, number, facts.id)?
            && place != Place::Expressed(index)
        {
            // Another entry took the id since this one was judged. The mirror judges this one
            // when its index comes.
            return Ok(Ok(()));
        }
        let now_ms = self.now_ms;
        let staged = self.touch(number);
        let mirror_size = staged.mirror.as_ref().unwrap_or(&book.mirror).size();
        if index < mirror_size {
            // Its turn came first; the mirror has judged it already.
            return Ok(Ok(()));
        }
        let known = book.expressed.get(&index).or_else(|| {
            staged
                .expressed
                .iter()
                .find(|(at, _)| *at == index)
                .map(|(_, ahead)| ahead)
        });
        match known {
            Some(ahead) if ahead.hash == entry.leaf.hash => return Ok(Ok(())),
            Some(_) => return Ok(Err(RecordError::ExpressMismatch { index })),
            None => {}
        }
        let ahead = Ahead {
            hash: entry.leaf.hash,
            bytes: entry.leaf.kept_bytes,
        };
        let waiting = || {
            let staged = staged.expressed.iter().map(|(_, ahead)| ahead);
            book.expressed.values().chain(staged)
        };
        let bytes: u64 = waiting().map(|ahead| ahead.bytes).sum();
        if waiting().count() >= EXPRESSED_ENTRIES_MAX || bytes + ahead.bytes > EXPRESSED_BYTES_MAX {
            return Ok(Err(RecordError::ExpressFull));
        }
        staged.expressed.push((index, ahead));
        let record = Record {
            recorded_at_ms: now_ms,
            entry: entry.leaf.entry.clone(),
            body: entry.leaf.body.clone(),
            refused: false,
            expressed: true,
        };
        self.batch
            .put(layout::expressed(number, index), record.encode());
        if let Some(facts) = &entry.facts {
            self.note_id(number, facts.id, Place::Expressed(index));
        }
        Ok(Ok(()))
    }

    pub(super) fn settle(
        &mut self,
        store: &dyn Store,
        book: &Book,
        size: u64,
        note: &str,
    ) -> Result<(), StoreError> {
        let number = book.link.number;
        let key = layout::checkpoint(number, LogSide::Own, size);
        self.batch.put(key, note.as_bytes().to_vec());
        let staged = self.touch(number);
        let before = staged.delivered_size.unwrap_or(book.delivered_size);
        let delivered_size = before.max(size);
        staged.delivered_size = Some(delivered_size);
        let (start, _) = layout::indexed_from(layout::Region::Urgent, number, 0);
        let end = layout::urgent(number, delivered_size);
        for (key, _) in store.scan(&start, &end, URGENT_ROWS_AT_ONCE, Direction::Forward)? {
            self.batch.delete(key);
        }
        Ok(())
    }

    pub(super) fn hold(
        &mut self,
        store: &dyn Store,
        book: &Book,
        hold: &Hold,
    ) -> Result<(), StoreError> {
        let number = book.link.number;
        self.delete_hold(store, number)?;
        let value = serde_json::to_vec(hold).unwrap_or_default();
        for (key, part) in layout::parts(&layout::fault(number), &value) {
            self.batch.put(key, part);
        }
        self.touch(number).held = Holding::Held(Arc::new(hold.clone()));
        Ok(())
    }

    /// Keeps why the peer holds the link, or that it does not any more.
    pub(super) fn peer_hold(
        &mut self,
        store: &dyn Store,
        book: &Book,
        hold: Option<&Hold>,
    ) -> Result<(), StoreError> {
        let number = book.link.number;
        let key = layout::peer_hold(number);
        self.delete_parts(store, &key)?;
        if let Some(hold) = hold {
            let value = serde_json::to_vec(hold).unwrap_or_default();
            for (key, part) in layout::parts(&key, &value) {
                self.batch.put(key, part);
            }
        }
        self.touch(number).peer_held = match hold {
            Some(hold) => Holding::Held(Arc::new(hold.clone())),
            None => Holding::Released,
        };
        Ok(())
    }

    /// Lets the link go on, and keeps what it was held for. What would hold it again at once is
    /// forgotten; the evidence has it.
    pub(super) fn release(
        &mut self,
        store: &dyn Store,
        book: &Book,
        release: Release,
        forgotten: Option<(u64, MessageId)>,
    ) -> Result<(), StoreError> {
        let number = book.link.number;
        let held = match &self.touch(number).held {
            Holding::AsBefore => book.link.head().held,
            Holding::Held(hold) => Some(Arc::clone(hold)),
            Holding::Released => None,
        };
        // Two operators at once: the second one has nothing left to release.
        let Some(hold) = held else { return Ok(()) };
        let past = PastHold {
            hold: (*hold).clone(),
            release,
        };
        let sequence = PastHold::next_sequence(store, number)? + self.released;
        self.released += 1;
        let value = serde_json::to_vec(&past).unwrap_or_default();
        for (key, part) in layout::parts(&layout::past_hold(number, sequence), &value) {
            self.batch.put(key, part);
        }
        self.delete_hold(store, number)?;
        // A checkpoint ahead of the mirror may be one of the two that contradict each other.
        let (_, end) = layout::indexed_from(layout::Region::Dated, number, 0);
        let ahead = layout::dated(number, book.mirror.size() + 1);
        for (key, _) in store.scan(&ahead, &end, usize::MAX, Direction::Forward)? {
            self.batch.delete(key);
        }
        if let Some((index, id)) = forgotten {
            self.batch.delete(layout::expressed(number, index));
            // An entry of the log that has the id keeps it.
            if self.place_of(store, number, id)? == Some(Place::Expressed(index)) {
                self.batch.delete(layout::id(number, id));
            }
            self.touch(number).no_longer_expressed.insert(index);
        }
        self.touch(number).held = Holding::Released;
        // Whoever releases goes on with what there is.
        if let Some(restoring) = &book.restoring {
            let restoring = Restoring {
                own: None,
                mirror: None,
                ..(**restoring).clone()
            };
            self.begin_restoring(book, restoring);
        }
        Ok(())
    }

    fn delete_hold(&mut self, store: &dyn Store, number: LinkNumber) -> Result<(), StoreError> {
        self.delete_parts(store, &layout::fault(number))
    }

    fn delete_parts(&mut self, store: &dyn Store, key: &[u8]) -> Result<(), StoreError> {
        let (start, end) = layout::parts_range(key);
        for (part, _) in store.scan(&start, &end, usize::MAX, Direction::Forward)? {
            self.batch.delete(part);
        }
        Ok(())
    }

    /// Keeps an incident under a sequence that no other incident has.
    pub(super) fn incident(&mut self, incident: &Incident, sequence: u32) {
        let key = layout::incident(incident.at_ms, sequence);
        let value = serde_json::to_vec(incident).unwrap_or_default();
        for (key, part) in layout::parts(&key, &value) {
            self.batch.put(key, part);
        }
    }

    /// Whether a key is neither in the store nor in this group; then it is now.
    fn is_first(&mut self, store: &dyn Store, key: &[u8]) -> Result<bool, StoreError> {
        Ok(store.get(key)?.is_none() && self.once.insert(key.to_vec()))
    }

    /// Records that something owed has reached a stage, unless that was recorded before.
    pub(super) fn reach(
        &mut self,
        store: &dyn Store,
        book: &Book,
        reached: &Reached,
        key: DutyKey,
        owed_by: LogSide,
    ) -> Result<bool, StoreError> {
        let number = book.link.number;
        let once = layout::stage_of(
            number,
            key.message,
            key.owed,
            owed_by,
            key.extended_by,
            reached.stage,
        );
        if !self.is_first(store, &once)? {
            return Ok(false);
        }
        let staged = self.touch(number);
        let sequence = book.stages_reached + staged.stages_reached;
        staged.stages_reached += 1;
        let value = serde_json::to_vec(reached).unwrap_or_default();
        self.batch.put(layout::stage(number, sequence), value);
        self.batch.put(once, sequence.to_be_bytes().to_vec());
        Ok(true)
    }

    /// Records that a breach of the peer was noted, unless that was recorded before.
    pub(super) fn note_breach(
        &mut self,
        store: &dyn Store,
        number: LinkNumber,
        mirror_index: u64,
    ) -> Result<bool, StoreError> {
        let key = layout::breach(number, mirror_index);
        let is_first = self.is_first(store, &key)?;
        if is_first {
            self.batch.put(key, Vec::new());
        }
        Ok(is_first)
    }

    pub(super) fn touch(&mut self, number: LinkNumber) -> &mut StagedLink {
        self.links.entry(number).or_default()
    }

    /// From these indices of own log and mirror on, what was derived may be of other entries.
    pub(super) fn forget_derived(&mut self, book: &Book, from: [u64; 2]) {
        let (key, value) = shelf::stale_row(book.link.number, from);
        self.batch.put(key, value);
    }

    pub(super) fn put_tiles(&mut self, number: LinkNumber, side: LogSide, full: Vec<FullTile>) {
        for tile in full {
            let key = layout::tile(number, side, tile.level, tile.index);
            self.batch.put(key, tile.hashes);
        }
    }

    fn put_entry(
        &mut self,
        number: LinkNumber,
        side: LogSide,
        index: u64,
        leaf: Leaf,
        refused: bool,
        expressed: bool,
    ) {
        if let Some(said) = leaf.said {
            for (key, part) in shelf::packed_rows(number, side, index, said.case, &said.bytes) {
                self.batch.put(key, part);
            }
            if let Some(facts) = said.facts {
                let staged = self.touch(number);
                staged.said[usize::from(side.byte())].push((index, facts));
            }
        }
        let record = Record {
            recorded_at_ms: self.recorded_at_ms.unwrap_or(self.now_ms),
            entry: leaf.entry,
            body: leaf.body,
            refused,
            expressed,
        };
        self.batch
            .put(layout::entry(number, side, index), record.encode());
    }

    pub(super) fn put_answer(
        &mut self,
        number: LinkNumber,
        answered: MessageId,
        side: LogSide,
        index: u64,
        kind: i32,
    ) {
        self.batch.put(
            layout::answer(number, answered, side, index),
            kind.to_be_bytes().to_vec(),
        );
    }

    /// Adds the head of every link whose logs changed: it commits with the entries it counts.
    pub(super) fn write_heads(&mut self, books: &BTreeMap<LinkNumber, Book>) {
        for (number, staged) in &self.links {
            let Some(book) = books.get(number) else {
                continue;
            };
            let before = book.head_record();
            let after = staged.head_record(book);
            if before != after {
                self.batch.put(layout::head(*number), after.encode());
            }
        }
    }
}

/// Whether the digests that the peer confirms are those of every file the own message names.
fn confirms(
    store: &dyn Store,
    number: LinkNumber,
    own_index: u64,
    digests: &[[u8; 32]],
) -> Result<bool, StoreError> {
    let owed = store.get(&layout::outgoing(number, own_index))?;
    let owed = owed.as_deref().and_then(FileRefs::decode);
    Ok(owed.is_some_and(|owed| owed.0.iter().all(|file| digests.contains(&file.sha256))))
}

impl StagedLink {
    fn head_record(&self, book: &Book) -> HeadRecord {
        let own = self.own.as_ref().unwrap_or(&book.own);
        let mirror = self.mirror.as_ref().unwrap_or(&book.mirror);
        HeadRecord {
            own_size: own.size(),
            own_root: own.root().0,
            mirror_size: mirror.size(),
            mirror_root: mirror.root().0,
            delivered_size: self.delivered_size.unwrap_or(book.delivered_size),
        }
    }

    /// The logs that grew, as the high-water mark wants them.
    pub(super) fn marks(&self, book: &Book) -> Vec<Mark> {
        let logs = [
            (&self.own, &book.link.own),
            (&self.mirror, &book.link.mirror),
        ];
        logs.into_iter()
            .filter_map(|(tree, origin)| {
                let tree = tree.as_ref()?;
                Some(Mark {
                    origin: origin.to_string(),
                    size: tree.size(),
                    root: tree.root().0,
                })
            })
            .collect()
    }

    /// Makes the committed group the state, and publishes it; `quietly`: who follows it is told by somebody
    /// else, a moment later.
    pub(super) fn apply(self, book: &mut Book, quietly: bool) {
        if let Some(tree) = self.own {
            book.own = Arc::new(tree);
        }
        if let Some(tree) = self.mirror {
            book.mirror = Arc::new(tree);
        }
        let is_as_before = matches!(self.restoring, Whether::AsBefore);
        match self.restoring {
            Whether::AsBefore => {}
            Whether::Restores(restoring) => book.restoring = Some(restoring),
            Whether::IsWhole => book.restoring = None,
        }
        let expressed_count = self.expressed.len() as u64;
        book.stages_reached += self.stages_reached;
        book.expressed.extend(self.expressed);
        for index in &self.no_longer_expressed {
            book.expressed.remove(index);
        }
        let link = &book.link;
        // Here and not by whoever asked for it, who may be gone by now.
        if self.is_replaced || self.cut_to.is_some() || !is_as_before {
            link.cases.fresh.clear();
        }
        // Before the sizes, which tell that it is there.
        for (side, said) in [LogSide::Own, LogSide::Mirror].into_iter().zip(self.said) {
            link.cases.fresh.put(side, said);
        }
        // Before the sizes: whoever sees the new size signs by the new keys.
        for (side, history) in [
            (LogSide::Own, self.own_keys),
            (LogSide::Mirror, self.mirror_keys),
        ] {
            if let Some(history) = history {
                link.publish_keys(side, history);
            }
        }
        link.publish_trees(Trees {
            own: Arc::clone(&book.own),
            mirror: Arc::clone(&book.mirror),
        });
        {
            let mut urgent = link.urgent.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(size) = self.cut_to {
                urgent.cut(size);
            }
            for (index, urgency) in self.urgent {
                urgent.insert(index, urgency);
            }
            if let Some(delivered_size) = self.delivered_size {
                book.delivered_size = delivered_size;
                urgent.delivered(delivered_size);
            }
        }
        link.head.send_if_modified(|head| {
            head.own_size = book.own.size();
            head.mirror_size = book.mirror.size();
            head.delivered_size = book.delivered_size;
            head.expressed_count += expressed_count;
            head.express_waiting = book.express_waiting();
            head.changes_count += u64::from(self.changed);
            head.stages_count = book.stages_reached;
            head.restoring.clone_from(&book.restoring);
            head.files_lost = self.files_lost.unwrap_or(head.files_lost);
            match self.held {
                Holding::AsBefore => {}
                Holding::Held(hold) => head.held = Some(hold),
                Holding::Released => head.held = None,
            }
            match self.peer_held {
                Holding::AsBefore => {}
                Holding::Held(hold) => head.peer_hold = Some(hold),
                Holding::Released => head.peer_hold = None,
            }
            !quietly
        });
        if self.files {
            link.files.send_modify(|count| *count += 1);
        }
    }
}

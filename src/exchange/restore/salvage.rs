//! What a store that must not be served any more still gives: everything that the other side does
//! not have. It is written into the new store before that is opened for the first time.
//!
//! Read where it can be read, and stopped where it cannot; every piece that counts is verified:
//! entries by this node's signature, bodies by their digest.

use super::super::hold;
use super::super::layout::{self, HeadRecord, LinkNumber, LogSide, Record, Region, RestorePart};
use super::super::layout::{StoredBody, StoredEntry};
use super::super::read::open_body;
use super::take::{header_in, refusal_in};
use super::{Claim, Restoring, place_beside};
use crate::crypto::dsse;
use crate::crypto::history::{KeyHistory, StartKeys};
use crate::crypto::vkey::VerifierKey;
use crate::limits::VALUE_BYTES_MAX;
use crate::model::header::body_digest;
use crate::model::{NodeName, Origin};
use crate::store::{Batch, Direction, Marks, Store, StoreError, Vault};
use crate::tlog::leaf_hash;

/// Rows read, and written, at once.
const ROWS_AT_ONCE: usize = 256;

/// What was found of an old store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Salvaged {
    /// Own entries that had not been receipted; those that the peer does not have either are
    /// appended again.
    pub own_entries: u64,
    /// Own entries that could not be used: they do not verify.
    pub spoiled: u64,
    /// Rows beside the logs: authors, incidents, reminders, dated checkpoints.
    pub rows: u64,
    /// Reading ended early, and why.
    pub trouble: Option<String>,
}

/// A link of the store that is made anew.
#[derive(Debug, Clone)]
pub struct SalvageLink {
    /// The peer.
    pub peer: NodeName,
    /// The keys with which the own log on it began.
    pub own_start: StartKeys,
}

/// Where a store is made anew.
#[derive(Debug)]
pub struct Salvage<'a> {
    /// The old store; `None` if it does not open.
    pub old: Option<&'a dyn Store>,
    /// The old marks; `None` if they cannot be read.
    pub marks: Option<&'a Marks>,
    /// The new store, empty or half filled by a salvage that was interrupted.
    pub new: &'a dyn Store,
    /// What bodies are sealed with.
    pub vault: Option<&'a Vault>,
    /// This node.
    pub node: &'a NodeName,
    /// Its message keys at hand: they count as well where the old store does not tell any more which
    /// keys followed each other.
    pub at_hand: Vec<VerifierKey>,
    /// Why the old store is not served.
    pub why: &'a str,
    /// Now, milliseconds since 1970.
    pub at_ms: u64,
}

impl Salvage<'_> {
    /// Copies what is of use, and notes of every one of `links` that it is to be restored.
    /// That note comes last: an interrupted salvage is done again.
    ///
    /// # Errors
    /// When the new store cannot be written. What the old one does not give is in the answer.
    pub fn run(&self, links: &[SalvageLink]) -> Result<Salvaged, StoreError> {
        let mut found = Salvaged::default();
        let mut batch = Batch::new();
        batch.put(
            layout::meta(),
            layout::FORMAT_VERSION.to_be_bytes().to_vec(),
        );
        self.new.commit(batch)?;
        if self.old.is_some() {
            // Numbers of links stay what they were: cursors of programs hold them.
            self.copy(&mut found, Region::Link, |_| true)?;
            for region in [
                Region::Incident,
                Region::StageOf,
                Region::Stage,
                Region::Breach,
                Region::Dated,
                Region::PastHold,
                Region::PeerHold,
                Region::BundlesTaken,
                Region::LegalHold,
                Region::Erased,
                Region::Erasing,
            ] {
                self.copy(&mut found, region, |_| true)?;
            }
            // Of a restoring that was under way: all but what is said anew below.
            self.copy(&mut found, Region::Restore, |key| {
                key.get(3) != Some(&(RestorePart::Record as u8))
            })?;
        }
        let mut numbers = super::super::link_numbers(self.new)?;
        for SalvageLink { peer, own_start } in links {
            let known = numbers.get(peer.as_str()).copied();
            let number = known.unwrap_or_else(|| {
                LinkNumber(numbers.values().map(|n| n.0).max().map_or(1, |n| n + 1))
            });
            numbers.insert(peer.to_string(), number);
            self.link(&mut found, number, peer, own_start)?;
        }
        Ok(found)
    }

    fn link(
        &self,
        found: &mut Salvaged,
        number: LinkNumber,
        peer: &NodeName,
        own_start: &StartKeys,
    ) -> Result<(), StoreError> {
        let own = Origin::new(self.node.clone(), peer.clone());
        let marked = |origin: &Origin| {
            let mark = self.marks.and_then(|marks| marks.get(&origin.to_string()));
            mark.map(|(size, root)| Claim { size, root })
        };
        let (own_mark, mirror_mark) = (marked(&own), marked(&own.reversed()));
        let mut restoring = Restoring {
            at_ms: self.at_ms,
            why: self.why.to_owned(),
            own_claimed: own_mark.map_or(0, |mark| mark.size),
            mirror_claimed: mirror_mark.map_or(0, |mark| mark.size),
            own_mark,
            mirror_mark,
            ..Restoring::default()
        };
        let mut batch = Batch::new();
        batch.put(layout::link(number), peer.as_str().as_bytes().to_vec());
        if let Some(old) = self.old {
            let head = old.get(&layout::head(number)).ok().flatten();
            let head = head.as_deref().and_then(HeadRecord::decode);
            restoring.own = last_note(old, number, LogSide::Own);
            restoring.mirror = last_note(old, number, LogSide::Mirror);
            let head = head.unwrap_or_default();
            // Of a restoring that was under way: it knew of more than this store ever had.
            if let Ok(Ok(Some(earlier))) = super::recorded(old, number) {
                let larger = |a: Option<Claim>, b: Option<Claim>| {
                    a.into_iter().chain(b).max_by_key(|claim| claim.size)
                };
                restoring.own_claimed = restoring.own_claimed.max(earlier.own_claimed);
                restoring.mirror_claimed = restoring.mirror_claimed.max(earlier.mirror_claimed);
                restoring.own_mark = larger(restoring.own_mark, earlier.own_mark);
                restoring.mirror_mark = larger(restoring.mirror_mark, earlier.mirror_mark);
            }
            restoring.own_claimed = restoring.own_claimed.max(head.own_size);
            restoring.mirror_claimed = restoring.mirror_claimed.max(head.mirror_size);
            let delivered_size = head.delivered_size;
            self.copy(found, Region::Author, |key| {
                is_of(key, number) && layout::index_of(key).is_some_and(|at| at < delivered_size)
            })?;
            let mut keys = OwnKeys {
                history: KeyHistory::start(own, own_start).ok(),
                at_hand: &self.at_hand,
                vault: self.vault,
            };
            keys.fold(old, number, delivered_size);
            self.tail(found, number, delivered_size, &mut keys)?;
            if let Ok(Some(hold)) = hold::recorded_hold(old, number) {
                let key = layout::restore(number, RestorePart::Hold);
                for (key, part) in layout::parts(&key, &hold) {
                    batch.put(key, part);
                }
            }
        }
        let value = serde_json::to_vec(&restoring).unwrap_or_default();
        let key = layout::restore(number, RestorePart::Record);
        for (key, part) in layout::parts(&key, &value) {
            batch.put(key, part);
        }
        self.new.commit(batch)
    }

    /// Own entries from the receipts on, each verified by the keys as of its index, into the region of
    /// those set aside.
    fn tail(
        &self,
        found: &mut Salvaged,
        number: LinkNumber,
        from: u64,
        keys: &mut OwnKeys<'_>,
    ) -> Result<(), StoreError> {
        let (mut start, end) =
            layout::side_range(Region::Entry, number, LogSide::Own, from, u64::MAX);
        let Some(old) = self.old else { return Ok(()) };
        // Not over what a restoring that was under way had set aside.
        let mut next = 0;
        loop {
            let rows = match old.scan(&start, &end, ROWS_AT_ONCE, Direction::Forward) {
                Ok(rows) => rows,
                Err(error) => {
                    found.trouble = Some(error.to_string());
                    return Ok(());
                }
            };
            let Some((last, _)) = rows.last() else {
                return Ok(());
            };
            start.clone_from(last);
            start.push(0);
            let mut batch = Batch::new();
            for (key, value) in rows {
                let index = layout::index_of(&key);
                let Some(index) = index.filter(|index| keys.is_sound(*index, &value)) else {
                    found.spoiled += 1;
                    continue;
                };
                found.own_entries += 1;
                let part = RestorePart::Aside;
                let (at, put) = place_beside(self.new, number, part, index.max(next), &value)?;
                next = at.saturating_add(1);
                // What it refuses is refused again when it comes back, whatever it looks like now.
                if let Some((refused, of)) = refusal_in(&value) {
                    let key = layout::restore_at(number, RestorePart::Refused, refused);
                    batch.put(key, of.leaf.to_vec());
                }
                if put {
                    batch.put(layout::restore_at(number, part, at), value);
                }
                if let Ok(Some(author)) = old.get(&layout::author(number, index)) {
                    let aside = layout::restore_at(number, RestorePart::AsideAuthor, at);
                    batch.put(aside, author);
                }
            }
            self.new.commit(batch)?;
        }
    }

    /// Copies rows of a region as they are.
    fn copy(
        &self,
        found: &mut Salvaged,
        region: Region,
        wanted: impl Fn(&[u8]) -> bool,
    ) -> Result<(), StoreError> {
        let Some(old) = self.old else { return Ok(()) };
        let (mut start, end) = layout::region(region);
        loop {
            let rows = match old.scan(&start, &end, ROWS_AT_ONCE, Direction::Forward) {
                Ok(rows) => rows,
                Err(error) => {
                    found.trouble = Some(error.to_string());
                    return Ok(());
                }
            };
            let Some((last, _)) = rows.last() else {
                return Ok(());
            };
            start.clone_from(last);
            start.push(0);
            let mut batch = Batch::new();
            for (key, value) in rows {
                if wanted(&key) && value.len() <= VALUE_BYTES_MAX {
                    found.rows += 1;
                    batch.put(key, value);
                }
            }
            self.new.commit(batch)?;
        }
    }
}

/// The keys by which own entries are judged.
struct OwnKeys<'a> {
    history: Option<KeyHistory>,
    at_hand: &'a [VerifierKey],
    vault: Option<&'a Vault>,
}

impl OwnKeys<'_> {
    /// Takes in the changes below an index, as far as the old store gives them.
    fn fold(&mut self, old: &dyn Store, number: LinkNumber, size: u64) {
        let (start, end) = layout::side_range(Region::KeyChange, number, LogSide::Own, 0, size);
        let rows = old.scan(&start, &end, usize::MAX, Direction::Forward);
        for index in rows
            .iter()
            .flatten()
            .filter_map(|(key, _)| layout::index_of(key))
        {
            let value = old.get(&layout::entry(number, LogSide::Own, index));
            let record = value.ok().flatten().as_deref().and_then(Record::decode);
            if let Some(record) = record {
                self.take(index, &record);
            }
        }
    }

    /// Takes in an entry, if it is a change of keys.
    fn take(&mut self, index: u64, record: &Record) {
        if let (Some(history), StoredEntry::Inline(entry), StoredBody::Inline { salt, body }) =
            (&mut self.history, &record.entry, &record.body)
        {
            // One that does not count changes nothing.
            drop(history.take(index, entry, salt, body));
        }
    }

    /// Whether a record is an entry that this node signed, with the body that it names. What lies in
    /// files is looked at when it is read: they are named by their digests.
    fn is_sound(&mut self, index: u64, value: &[u8]) -> bool {
        let Some(record) = Record::decode(value) else {
            return false;
        };
        let StoredEntry::Inline(entry) = &record.entry else {
            return true;
        };
        self.take(index, &record);
        let history = self.history.as_ref();
        let held = history.is_some_and(|h| h.verify_entry(index, entry.clone()).is_ok());
        if !held && dsse::verify(entry.clone(), self.at_hand).is_err() {
            return false;
        }
        let Some(header) = header_in(entry) else {
            return false;
        };
        match &record.body {
            StoredBody::Inline { salt, body } => body_digest(salt, body) == header.body_digest,
            StoredBody::File { digest } => *digest == header.body_digest,
            StoredBody::Sealed { key, bytes } => {
                let opened = open_body(self.vault, &leaf_hash(entry), *key, bytes);
                opened.is_ok_and(|opened| {
                    opened
                        .is_some_and(|(salt, body)| body_digest(&salt, &body) == header.body_digest)
                })
            }
            StoredBody::SealedFile { .. } => true,
            StoredBody::Absent => false,
        }
    }
}

fn is_of(key: &[u8], number: LinkNumber) -> bool {
    key.get(1..3) == Some(&number.0.to_be_bytes()[..])
}

/// The latest checkpoint kept of a log. Whether it is a receipt is judged by whoever uses it.
fn last_note(old: &dyn Store, number: LinkNumber, side: LogSide) -> Option<String> {
    let (start, end) = layout::side_range(Region::Checkpoint, number, side, 0, u64::MAX);
    let rows = old.scan(&start, &end, 1, Direction::Backward).ok()?;
    String::from_utf8(rows.into_iter().next()?.1).ok()
}

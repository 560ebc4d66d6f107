//! What was appended after the records were lost: set aside, and appended again at the end.
//!
//! Nobody was told of these entries but this node's own people: they were never under a checkpoint
//! that left the node. They are kept as they are, never signed again.

use std::sync::Arc;

use prost::Message as _;

use super::super::command::{Holds, OwnEntry};
use super::super::hold::{Hold, Incident};
use super::super::keys::{OwnChange, first_keyid, fold};
use super::super::layout::{self, LogSide, Place, Record, RestorePart, StoredBody};
use super::super::read::{ReadError, Stored};
use super::super::session::Stop;
use super::super::submit::{Author, SubmitError, facts_of};
use super::super::system::RefusalOf;
use super::super::{Exchange, Link, RecordError};
use super::take::{facts_without_body, header_in};
use super::{Again, Claim, CutBack, Found, OwedRefusal, RestoreStep, Restored, Restoring};
use crate::crypto::Verified;
use crate::crypto::checkpoint::Receipt;
use crate::crypto::history::KeyHistory;
use crate::model::header::body_digest;
use crate::model::{MessageId, body};
use crate::proto::v1::{self, FaultCode, Kind, RefusalReason};
use crate::store::{Direction, StoreError};
use crate::tlog::{TILE_WIDTH, Tree, leaf_hash};

/// Entries of one step: their records take 4 MiB at most.
const ENTRIES_AT_ONCE: u64 = 512;

/// Entries of the own log that are receipted, or were fetched back and proven: never cut off.
pub(super) fn proven_size(link: &Link) -> u64 {
    let head = link.head();
    let proven = head.restoring.map_or(0, |restoring| restoring.own_proven);
    head.delivered_size.max(proven)
}

impl Exchange {
    /// Sets aside what is recorded beyond what is proven, and cuts the own log back to that. A crash at
    /// any line leaves the entries in the log, beside it, or both; it is done again then.
    pub(super) async fn cut_back(
        &self,
        link: &Link,
        receipt: &Verified<Receipt>,
    ) -> Result<(), Stop> {
        let head = link.head();
        let keep = proven_size(link);
        tracing::warn!(
            peer = %link.peer, from = keep, to = head.own_size,
            "entries that were never signed into a tree are set aside"
        );
        let reader = self.reader(link, LogSide::Own);
        let mut at = keep;
        while at < head.own_size {
            let end = head.own_size.min(at + ENTRIES_AT_ONCE);
            let mut aside = Vec::new();
            for stored in reader.entries(at, end, usize::MAX)? {
                let author = self.store.get(&layout::author(link.number, stored.index))?;
                aside.push((stored.index, stored.record.encode(), author));
            }
            self.restore_step(link, RestoreStep::SetAside(aside))
                .await?;
            at = end;
        }
        // From the end on, so that each step leaves a log.
        let mut size = head.own_size;
        while size > keep {
            let smaller = keep.max(size.saturating_sub(ENTRIES_AT_ONCE));
            let gone = self.keys_between(link, smaller, size)?;
            let tree = Tree::restore(smaller, &reader).map_err(|error| reader.tree_error(error))?;
            let history = link.key_history(LogSide::Own).restarted();
            let number = link.number;
            let folded = fold(
                &*self.store,
                &reader,
                number,
                LogSide::Own,
                smaller,
                history,
            );
            let keys = folded.map_err(|_| ReadError::Damaged {
                what: "change of keys",
                origin: link.own.to_string(),
                index: smaller,
            })?;
            let cut = CutBack {
                keys: Arc::new(keys),
                tree,
                gone,
                receipt: receipt.clone(),
            };
            self.restore_step(link, RestoreStep::CutBack(Box::new(cut)))
                .await?;
            size = smaller;
        }
        self.forget_folded(link);
        let restoring = link.head().restoring;
        if let Some(restoring) = restoring.filter(|r| r.own_from != keep) {
            let restoring = Restoring {
                own_from: keep,
                ..(*restoring).clone()
            };
            self.begin_restoring(link, restoring).await?;
        }
        Ok(())
    }

    /// Every key that own entries have put.
    fn keys_between(&self, link: &Link, from: u64, to: u64) -> Result<Vec<Vec<u8>>, ReadError> {
        let number = link.number;
        let reader = self.reader(link, LogSide::Own);
        let mut keys = Vec::new();
        for stored in reader.entries(from, to, usize::MAX)? {
            let index = stored.index;
            keys.push(layout::entry(number, LogSide::Own, index));
            keys.push(layout::author(number, index));
            keys.push(layout::urgent(number, index));
            keys.push(layout::outgoing(number, index));
            keys.push(layout::refused(number, index));
            keys.push(layout::key_change(number, LogSide::Own, index));
            let Some(header) = header_in(&stored.entry) else {
                continue;
            };
            if self.place(link, header.id)? == Some(Place::Log(LogSide::Own, index)) {
                keys.push(layout::id(number, header.id));
            }
            for answered in [header.in_reply_to, header.supersedes]
                .into_iter()
                .flatten()
            {
                keys.push(layout::answer(number, answered, LogSide::Own, index));
            }
        }
        let (mut first, mut last) = (from / TILE_WIDTH, to / TILE_WIDTH);
        for level in 0.. {
            if last == 0 {
                break;
            }
            keys.extend(
                (first..=last).map(|index| layout::tile(number, LogSide::Own, level, index)),
            );
            (first, last) = (first / TILE_WIDTH, last / TILE_WIDTH);
        }
        Ok(keys)
    }

    /// Appends again what was set aside, tells the person, and lets the link go on.
    pub(super) async fn finish_restoring(&self, link: &Link) -> Result<(), Stop> {
        let Some(restoring) = link.head().restoring else {
            link.presence.send_if_modified(|presence| {
                let news = presence.restored.is_none();
                presence.restored.get_or_insert_default();
                news
            });
            return Ok(());
        };
        let head = link.head();
        let mut came = Restored {
            own_fetched: head.own_size.saturating_sub(restoring.own_from),
            mirror_fetched: head.mirror_size.saturating_sub(restoring.mirror_from),
            bodies_absent: restoring.bodies_absent,
            ..Restored::default()
        };
        loop {
            let again = self.next_again(link, &mut came)?;
            if again.is_empty() {
                break;
            }
            self.restore_step(link, RestoreStep::AppendAgain(again))
                .await?;
        }
        let head = link.head();
        came.lost = restoring.own_claimed.saturating_sub(head.own_size);
        let mirror_lost = restoring.mirror_claimed.saturating_sub(head.mirror_size);
        let incident = Incident {
            at_ms: self.clock().unix_ms(),
            peer: link.peer.to_string(),
            what: told(&restoring, &came, mirror_lost),
            evidence: Vec::new(),
        };
        tracing::warn!(peer = %incident.peer, what = %incident.what, "restored");
        let hold = self.unlike_the_marks(link, &restoring, incident.at_ms)?;
        let finish = RestoreStep::Finish(Box::new(incident), hold.map(Box::new));
        // Before the step: whoever sees the link whole, or held, sees what came of it too.
        link.presence.send_modify(|presence| {
            presence.restored = Some(Arc::new(came));
            presence.restore_trouble = None;
        });
        if let Err(error) = self.restore_step(link, finish).await {
            link.presence
                .send_modify(|presence| presence.restored = None);
            return Err(error.into());
        }
        self.forget_folded(link);
        Ok(())
    }

    /// Holds the link where the logs are not what the marks of the lost store claim: new entries
    /// would be signed at sizes that this node may have signed before.
    fn unlike_the_marks(
        &self,
        link: &Link,
        restoring: &Restoring,
        at_ms: u64,
    ) -> Result<Option<Hold>, ReadError> {
        let (own_size, mirror_size) = (link.head().own_size, link.head().mirror_size);
        let (side, what) = if restoring.own_claimed > own_size {
            let what = format!(
                "{} entries were recorded in {} before the records were lost, {own_size} are back: \
                 the rest is LOST, unless the peer or a bundle has it",
                restoring.own_claimed, link.own
            );
            (LogSide::Own, what)
        } else if self.is_another(link, LogSide::Own, restoring.own_mark)? {
            let what = format!(
                "{} had another tree of {} entries before the records were lost",
                link.own, restoring.own_claimed
            );
            (LogSide::Own, what)
        } else if self.is_another(link, LogSide::Mirror, restoring.mirror_mark)? {
            let what = format!(
                "the mirror of {} had another tree of {} entries before the records were lost",
                link.mirror, restoring.mirror_claimed
            );
            (LogSide::Mirror, what)
        } else if restoring.mirror_claimed > mirror_size {
            let what = format!(
                "{} entries of {} were mirrored here before the records were lost, {mirror_size} \
                 are back, and the peer shows no receipt of the rest. That need be nobody's fault: \
                 this node may have fallen before it sent one",
                restoring.mirror_claimed, link.mirror
            );
            (LogSide::Mirror, what)
        } else {
            return Ok(None);
        };
        let (index, warning) = match side {
            LogSide::Own => (
                own_size,
                "This node may have signed those sizes already, for the peer or into a bundle. To \
                 release the link means to sign them a second time, over other entries: if a first \
                 signature turns up, it reads as if this node had two logs. Call the peer first: \
                 have it import every bundle, and compare sizes and roots",
            ),
            LogSide::Mirror => (
                mirror_size,
                "This node may have cosigned those sizes already. To release the link means to \
                 cosign them again: if the peer sends the same entries, nothing is wrong; if it \
                 sends others, two receipts of this node contradict each other. Call the peer first: \
                 does its log still have all of them, and was it not put back to an older state?",
            ),
        };
        Ok(Some(Hold {
            code: FaultCode::RolledBack as i32,
            origin: link.origin(side).to_string(),
            index,
            text: format!("{what}. {warning}"),
            evidence: Vec::new(),
            equivocation: None,
            at_ms,
        }))
    }

    fn is_another(
        &self,
        link: &Link,
        side: LogSide,
        claim: Option<Claim>,
    ) -> Result<bool, ReadError> {
        let tree = link.tree(side);
        // One that ends before is looked at by its size.
        let Some(claim) = claim.filter(|claim| claim.size <= tree.size()) else {
            return Ok(false);
        };
        let root = self.reader(link, side).root_at(&tree, claim.size)?;
        Ok(root.0 != claim.root)
    }

    /// Decides about the next entries that were set aside.
    fn next_again(&self, link: &Link, came: &mut Restored) -> Result<Vec<Again>, ReadError> {
        let (start, end) = layout::restore_from(link.number, RestorePart::Aside, 0);
        let at_once = usize::try_from(ENTRIES_AT_ONCE).unwrap_or(usize::MAX);
        let rows = self.store.scan(&start, &end, at_once, Direction::Forward)?;
        let reader = self.reader(link, LogSide::Own);
        let mut ids = std::collections::BTreeSet::new();
        let mut again = Vec::new();
        // As the recorder will find it when it comes to the entry.
        let mut history = KeyHistory::clone(&link.key_history(LogSide::Own));
        let mut next_index = link.head().own_size;
        for (key, value) in rows {
            let damaged = || ReadError::Damaged {
                what: "entry set aside",
                origin: link.own.to_string(),
                index: layout::index_of(&key).unwrap_or_default(),
            };
            let index = layout::index_of(&key).ok_or_else(damaged)?;
            let record = Record::decode(&value).ok_or_else(damaged)?;
            let stored = match reader.read_back(index, record) {
                Ok(stored) => stored,
                Err(ReadError::Missing { .. } | ReadError::Damaged { .. }) => {
                    came.spoiled += 1;
                    again.push(Again::Keep(index, value));
                    continue;
                }
                Err(error) => return Err(error),
            };
            let Some(header) = header_in(&stored.entry) else {
                return Err(damaged());
            };
            again.push(match self.place(link, header.id)? {
                None if ids.insert(header.id) => {
                    if self.is_said_already(link, &header)? {
                        came.already_there += 1;
                        Again::Drop(index, None)
                    } else {
                        match self.set_aside_entry(link, stored, &header) {
                            Ok(own) if holds_at(&mut history, next_index, &own) => {
                                came.appended += 1;
                                next_index += 1;
                                Again::Append(index, Box::new(own))
                            }
                            Ok(_) => {
                                came.key_ended += 1;
                                Again::Keep(index, value)
                            }
                            Err(ReadError::Missing { .. } | ReadError::Damaged { .. }) => {
                                came.spoiled += 1;
                                Again::Keep(index, value)
                            }
                            Err(error) => return Err(error),
                        }
                    }
                }
                Some(Place::Log(LogSide::Own, at))
                    if leaf_hash(&reader.entry(at)?.entry) == leaf_hash(&stored.entry)
                        || same_content(&header, &reader.entry(at)?) =>
                {
                    came.already_there += 1;
                    let found = self.found_again(link, &stored, at, came)?;
                    Again::Drop(index, Some(found))
                }
                _ => {
                    came.aside += 1;
                    Again::Keep(index, value)
                }
            });
        }
        Ok(again)
    }

    /// What the one set aside knows of itself and the one fetched back does not: who wrote it, and
    /// the body where the peer kept none.
    fn found_again(
        &self,
        link: &Link,
        aside: &Stored,
        at: u64,
        came: &mut Restored,
    ) -> Result<Found, ReadError> {
        let reader = self.reader(link, LogSide::Own);
        let mut record = reader.entry(at)?.record;
        let mut completed = None;
        if record.body == StoredBody::Absent
            && let Some(header) = header_in(&aside.entry)
        {
            let body = match reader.body(aside) {
                Err(ReadError::Missing { .. } | ReadError::Damaged { .. }) => None,
                body => body?,
            };
            if body.is_some_and(|(salt, body)| body_digest(&salt, &body) == header.body_digest) {
                record.body = aside.record.body.clone();
                completed = Some(record.encode());
                came.bodies_absent = came.bodies_absent.saturating_sub(1);
            }
        }
        let known = self.store.get(&layout::author(link.number, at))?;
        let key = layout::restore_at(link.number, RestorePart::AsideAuthor, aside.index);
        let author = match known {
            None => self.store.get(&key)?,
            Some(_) => None,
        };
        Ok(Found {
            at,
            completed,
            author,
        })
    }

    /// What the node itself said twice, since it did not know that it had said it.
    fn is_said_already(
        &self,
        link: &Link,
        header: &crate::model::Header,
    ) -> Result<bool, StoreError> {
        let Some(answered) = header
            .in_reply_to
            .filter(|_| header.kind == Kind::AttachmentsReceived as i32)
        else {
            return Ok(false);
        };
        let (start, end) = layout::answers_of(link.number, answered);
        let rows = self
            .store
            .scan(&start, &end, usize::MAX, Direction::Forward)?;
        let said = (header.kind).to_be_bytes();
        Ok(rows.iter().any(|(key, value)| {
            let of_own = layout::answer_place(key).is_some_and(|(side, _)| side == LogSide::Own);
            of_own && value[..] == said
        }))
    }

    fn set_aside_entry(
        &self,
        link: &Link,
        stored: Stored,
        header: &crate::model::Header,
    ) -> Result<OwnEntry, ReadError> {
        let reader = self.reader(link, LogSide::Own);
        let whole = reader.body(&stored)?;
        let change = OwnChange::of(&stored.entry, whole.as_ref());
        let content = whole.and_then(|(_, bytes)| body::read(header.kind, &header.schema, &bytes));
        let facts = match &content {
            Some(content) => facts_of(header, content),
            None => facts_without_body(header),
        };
        let confirms_files_of = match (&content, header.in_reply_to) {
            (Some(v1::body::Body::AttachmentsReceived(_)), Some(id)) => {
                match self.place(link, id)? {
                    Some(Place::Log(LogSide::Mirror, at)) => Some(at),
                    _ => None,
                }
            }
            _ => None,
        };
        // One that was to be said anew is said by this.
        let owed_for = match &content {
            Some(v1::body::Body::Refusal(refusal)) => Some(refusal.index),
            _ => None,
        };
        let key = layout::restore_at(link.number, RestorePart::AsideAuthor, stored.index);
        let author = self.store.get(&key)?;
        let kept_bytes = reader.kept_bytes(&stored.record)?;
        Ok(OwnEntry {
            leaf: super::super::command::Leaf {
                hash: leaf_hash(&stored.entry),
                entry: stored.record.entry,
                body: stored.record.body,
                said: None,
                cost_bytes: crate::limits::VALUE_BYTES_MAX,
                kept_bytes,
            },
            facts,
            author: author.map(|text| Author::new(String::from_utf8_lossy(&text))),
            confirms_files_of,
            owed_for,
            keyid: first_keyid(&stored.entry),
            change,
            charge: None,
        })
    }

    /// Says the REFUSALs that were lost with an old store. Called within a session, before anything
    /// is pushed.
    pub(crate) async fn say_owed_refusals(&self, link: &Link) -> Result<(), Stop> {
        loop {
            let (start, end) = layout::restore_from(link.number, RestorePart::OwedRefusal, 0);
            let rows = self.store.scan(&start, &end, 64, Direction::Forward)?;
            if rows.is_empty() {
                return Ok(());
            }
            for (key, value) in rows {
                let damaged = || ReadError::Damaged {
                    what: "REFUSAL owed",
                    origin: link.own.to_string(),
                    index: layout::index_of(&key).unwrap_or_default(),
                };
                let index = layout::index_of(&key).ok_or_else(damaged)?;
                let owed: OwedRefusal = serde_json::from_slice(&value).map_err(|_| damaged())?;
                let of = RefusalOf {
                    index,
                    leaf: crate::tlog::Hash(owed.leaf),
                    reason: RefusalReason::try_from(owed.reason).unwrap_or_default(),
                    detail: &owed.detail,
                    id: owed.id.and_then(|id| MessageId::from_slice(&id).ok()),
                };
                let mut own = self.refusal_that(link, &of).map_err(|error| match error {
                    SubmitError::Record(error) => Stop::from(error),
                    other => Stop::from(RecordError::NotTaken {
                        what: other.to_string(),
                    }),
                })?;
                own.owed_for = Some(index);
                self.ask(|reply| {
                    super::super::Command::Append(
                        link.number,
                        Box::new(own),
                        Holds::default(),
                        reply,
                    )
                })
                .await?;
            }
        }
    }

    /// How many entries stay set aside for good: their ids are those of other messages.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn kept_aside(&self, link: &Link) -> Result<usize, StoreError> {
        let (start, end) = layout::restore_from(link.number, RestorePart::Kept, 0);
        let rows = self
            .store
            .scan(&start, &end, usize::MAX, Direction::Forward)?;
        Ok(rows.len())
    }

    /// How many own entries wait, set aside, until the records are back; counted up to a thousand.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn waiting_aside(&self, link: &Link) -> Result<usize, StoreError> {
        let (start, end) = layout::restore_from(link.number, RestorePart::Aside, 0);
        let rows = self.store.scan(&start, &end, 1_000, Direction::Forward)?;
        Ok(rows.len())
    }
}

/// Whether the key that signed an entry holds at an index; a change of keys is taken in.
fn holds_at(history: &mut KeyHistory, index: u64, own: &OwnEntry) -> bool {
    match &own.change {
        Some(change) => {
            let counts = history.take(index, &change.entry, &change.salt, &change.body);
            counts.is_ok_and(|counts| counts)
        }
        None => history.message_key_holds(&own.keyid, index),
    }
}

/// The same message submitted again after a rollback: a program asks again with its id, and the entry
/// differs only in what the node adds by itself.
fn same_content(header: &crate::model::Header, recorded: &Stored) -> bool {
    let Some(known) = header_in(&recorded.entry) else {
        return false;
    };
    let said = |wire: &v1::Header| v1::Header {
        created_at: None,
        seen_size: 0,
        body_digest: bytes::Bytes::new(),
        ..wire.clone()
    };
    // The salt differs, so the digest of equal bodies does: compared only where it is the same.
    said(&header.wire).encode_to_vec() == said(&known.wire).encode_to_vec()
        && header.body_digest == known.body_digest
}

/// What happened, in words.
fn told(restoring: &Restoring, came: &Restored, mirror_lost: u64) -> String {
    let mut parts = vec![format!(
        "the records are back: {} entries of the own log and {} of the peer's were fetched from \
         the peer and verified",
        came.own_fetched, came.mirror_fetched
    )];
    if came.appended > 0 {
        parts.push(format!(
            "{} that were recorded here after the loss were appended again, and are sent now",
            came.appended
        ));
    }
    if came.already_there > 0 {
        parts.push(format!(
            "{} recorded here were among those fetched",
            came.already_there
        ));
    }
    if came.aside > 0 {
        parts.push(format!(
            "{} STAY SET ASIDE: their ids are those of other messages now, look at them and send \
             them anew",
            came.aside
        ));
    }
    if came.spoiled > 0 {
        parts.push(format!(
            "{} STAY SET ASIDE: the file with their text is gone or spoiled, ask whoever wrote them \
             to send them anew",
            came.spoiled
        ));
    }
    if came.key_ended > 0 {
        parts.push(format!(
            "{} STAY SET ASIDE: the key that signed them had ended by what was fetched back, ask \
             whoever wrote them to send them anew",
            came.key_ended
        ));
    }
    if came.bodies_absent > 0 {
        parts.push(format!(
            "of {} own messages the peer does not keep the body: it refused them, or the body was \
             erased",
            came.bodies_absent
        ));
    }
    if came.lost > 0 {
        parts.push(format!(
            "{} entries that were recorded here are LOST: they are neither here nor at the peer. \
             They were never receipted, or the peer lost them as well; compare with the peer's \
             latest export",
            came.lost
        ));
    }
    if mirror_lost > 0 {
        parts.push(format!(
            "{mirror_lost} entries of the peer that were mirrored here are not fetched: the peer \
             shows no receipt of them"
        ));
    }
    format!("{}. What had happened: {}", parts.join("; "), restoring.why)
}

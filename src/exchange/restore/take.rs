//! Taking entries back: each is looked at here, all of them together by the recorder.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use prost::Message as _;

use super::super::admit::{self, Authentic, Refused, RunIds};
use super::super::command::{Effect, Facts, Leaf, PeerEntry, RecordError};
use super::super::keys::RunKeys;
use super::super::layout::{self, LogSide, Place, Record, RestorePart, StoredBody, StoredEntry};
use super::super::session::{End, Stop};
use super::super::submit::{facts_of, goes_ahead};
use super::super::{Exchange, Link};
use super::pace::bytes_of;
use super::{OwedRefusal, RestoredEntry, RestoredOwn, RestoredPeer, RestoredRun};
use crate::crypto::Verified;
use crate::crypto::checkpoint::{LogVerifier, Receipt};
use crate::crypto::history::{KeyHistory, may_be_change};
use crate::limits::{
    BODY_BYTES_MAX, ENTRY_BYTES_MAX, PUSH_BYTES_MAX, PUSH_ENTRIES_MAX, SALT_BYTES, VALUE_BYTES_MAX,
};
use crate::model::header::body_digest;
use crate::model::{Header, MessageId, body, workflow};
use crate::proto::v1::{self, Kind};
use crate::store::{Direction, Share, StoreError};
use crate::tlog::{Hash, Tree, leaf_hash, verify_consistency};

/// Hashes of a consistency proof: two for each of 64 levels at most.
const CONSISTENCY_HASHES_MAX: usize = 2 * 64;
/// Receipts below which judging them on this task is quicker than spreading them.
const SPREAD_RECEIPTS_MIN: usize = 8;

/// What the peer gave is not what was asked for: the session ends, nothing of it is kept.
pub(super) fn not_it(text: impl std::fmt::Display) -> Stop {
    Stop::End(End::Refused(format!("what the peer gave back {text}")))
}

fn unable(error: &StoreError) -> Stop {
    Stop::End(End::Unable(RecordError::of(error)))
}

impl Exchange {
    /// Looks at entries given back, each by itself. They have passed [`check_tree`]: so what is written
    /// to files here is named by entries that were signed, and a peer cannot fill the disk.
    ///
    /// # Errors
    /// [`End::Refused`] for what is not what was asked for.
    pub(super) async fn restored_run(
        self: &Arc<Self>,
        link: &Arc<Link>,
        side: LogSide,
        given: v1::Fetched,
        target: &Verified<Receipt>,
        peer_keys: &Arc<KeyHistory>,
    ) -> Result<RestoredRun, Stop> {
        let start_index = given.start_index;
        let end = start_index + given.items.len() as u64;
        check_changes(&given.items)?;
        // What is fetched back may bring the very keys that its receipts are signed by.
        let keys = RunKeys::of_items(link, side, start_index, &given.items);
        let verifier = self.lenient_verifier_by(link, &keys, side, peer_keys);
        let consistency = proof_of(&given)?;
        let receipts = self
            .restored_receipts(&verifier, given.receipts, start_index..end)
            .await?;
        let dates: BTreeMap<u64, u64> = receipts
            .iter()
            .map(|r| {
                (
                    r.signed.checkpoint.size,
                    r.cosigned_at.saturating_mul(1_000),
                )
            })
            .collect();
        let mut bodies_absent = 0;
        let entries = match side {
            LogSide::Own => {
                let mut entries = Vec::with_capacity(given.items.len());
                for item in &given.items {
                    let own = self.restored_own(link, item)?;
                    bodies_absent += u64::from(matches!(own.leaf.body, StoredBody::Absent));
                    entries.push(RestoredEntry::Own(Box::new(own)));
                }
                entries
            }
            LogSide::Mirror => {
                let items = Arc::new(given.items);
                self.restored_peers(link, &keys, start_index, &items, &dates)
                    .await?
            }
        };
        Ok(RestoredRun {
            side,
            start_index,
            entries,
            target: target.clone(),
            consistency,
            receipts,
            bodies_absent,
            keys,
        })
    }

    /// Receipts that came along, verified on every core.
    async fn restored_receipts(
        &self,
        verifier: &Arc<LogVerifier>,
        notes: Vec<String>,
        within: std::ops::Range<u64>,
    ) -> Result<Vec<Verified<Receipt>>, Stop> {
        let count = notes.len();
        let mut receipts = if count < SPREAD_RECEIPTS_MIN || self.is_inline() {
            verify(verifier, &notes)
        } else {
            let notes = Arc::new(notes);
            let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
            let share = count.div_ceil(workers);
            let tasks: Vec<_> = (0..count)
                .step_by(share)
                .map(|start| {
                    let (verifier, notes) = (Arc::clone(verifier), Arc::clone(&notes));
                    tokio::task::spawn_blocking(move || {
                        verify(&verifier, &notes[start..(start + share).min(notes.len())])
                    })
                })
                .collect();
            let mut receipts = Vec::with_capacity(count);
            for task in tasks {
                receipts.extend(task.await.unwrap_or_default());
            }
            receipts
        };
        if receipts.len() != count {
            return Err(not_it("has a receipt that does not verify"));
        }
        receipts.sort_by_key(|receipt| receipt.signed.checkpoint.size);
        let sizes = receipts.iter().map(|r| r.signed.checkpoint.size);
        let distinct = sizes.clone().collect::<std::collections::BTreeSet<_>>();
        let fit = |size: u64| size > within.start && size <= within.end;
        if distinct.len() != count || !sizes.clone().all(fit) {
            return Err(not_it("has receipts of other entries"));
        }
        Ok(receipts)
    }

    /// An own entry: its body must be the one that it names; what the mirror says of it counts.
    fn restored_own(&self, link: &Link, item: &v1::Item) -> Result<RestoredOwn, Stop> {
        let Some(header) = header_in(&item.entry) else {
            // It is signed into the tree, whatever it is.
            return Ok(RestoredOwn {
                leaf: self
                    .place_bytes(&item.entry, None, Share::Reserved)
                    .map_err(|e| unable(&e))?,
                facts: None,
                recorded_at_ms: self.clock().unix_ms(),
                refused_by: None,
                files_confirmed: false,
                refuses: None,
                confirms_files_of: None,
            });
        };
        let (leaf, content) = self.placed(item, &header)?;
        let facts = match &content {
            Some(content) => facts_of(&header, content),
            None => facts_without_body(&header),
        };
        // What a REFUSAL refuses is found when the mirror is back; its facts are made then.
        let said = match &content {
            Some(v1::body::Body::Refusal(_)) => None,
            // Of one that was erased they are made when they are asked for.
            None if leaf.body == StoredBody::Absent => None,
            content => Some(workflow::Facts::of(&header, content.as_ref())),
        };
        let mut own = RestoredOwn {
            leaf: leaf.saying(said.as_ref(), self.blobs().vault()),
            recorded_at_ms: created_ms(&header),
            refused_by: None,
            files_confirmed: false,
            refuses: None,
            confirms_files_of: None,
            facts: None,
        };
        match (&content, header.in_reply_to) {
            (Some(v1::body::Body::Refusal(refusal)), _) => {
                own.refuses = Hash::from_slice(&refusal.entry_digest)
                    .ok()
                    .map(|leaf| (refusal.index, leaf));
            }
            (Some(v1::body::Body::AttachmentsReceived(_)), Some(id)) => {
                if let Some(Place::Log(LogSide::Mirror, index)) =
                    self.place(link, id).map_err(|e| unable(&e))?
                {
                    own.confirms_files_of = Some(index);
                }
            }
            _ => {}
        }
        // The mirror may have come first: what it settles of this entry is settled.
        if link.head().mirror_size > 0 {
            self.settled_by_mirror(link, &facts, &mut own)?;
        }
        own.facts = Some(facts);
        Ok(own)
    }

    /// REFUSAL and `ATTACHMENTS_RECEIVED` of the peer that speak of an own entry.
    fn settled_by_mirror(
        &self,
        link: &Link,
        facts: &Facts,
        own: &mut RestoredOwn,
    ) -> Result<(), Stop> {
        for (index, kind) in self.answers_in(link, facts.id, LogSide::Mirror)? {
            if kind != Kind::Refusal as i32 && kind != Kind::AttachmentsReceived as i32 {
                continue;
            }
            let reader = self.reader(link, LogSide::Mirror);
            let stored = reader.entry(index)?;
            let Some((header, (_, bytes))) = header_in(&stored.entry).zip(reader.body(&stored)?)
            else {
                continue;
            };
            match body::read(header.kind, &header.schema, &bytes) {
                Some(v1::body::Body::Refusal(refusal))
                    if refusal.entry_digest == own.leaf.hash.0.as_slice() =>
                {
                    own.refused_by = Some(index);
                }
                Some(v1::body::Body::AttachmentsReceived(received)) => {
                    let names = |sha256: &[u8; 32]| {
                        received.sha256.iter().any(|digest| digest == &sha256[..])
                    };
                    own.files_confirmed |= facts.files.iter().all(|file| names(&file.sha256));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Entries of a side that answer a message: index and kind.
    fn answers_in(
        &self,
        link: &Link,
        id: MessageId,
        side: LogSide,
    ) -> Result<Vec<(u64, i32)>, StoreError> {
        let (start, end) = layout::answers_of(link.number, id);
        let rows = self
            .store
            .scan(&start, &end, usize::MAX, Direction::Forward)?;
        Ok(rows
            .iter()
            .filter_map(|(key, value)| {
                let (of, index) = layout::answer_place(key)?;
                let kind = i32::from_be_bytes(value[..].try_into().ok()?);
                (of == side).then_some((index, kind))
            })
            .collect())
    }

    /// Entry and body where they are kept, and what the body says. A body that did not come may
    /// still be here, in a file of its own.
    fn placed(
        &self,
        item: &v1::Item,
        header: &Header,
    ) -> Result<(Leaf, Option<v1::body::Body>), Stop> {
        let digest = header.body_digest;
        if item.erased {
            let kept = self.blobs.get(&digest).map_err(|e| unable(&e))?;
            // A file that was spoiled is no body.
            let matches = |whole: &Vec<u8>| {
                whole
                    .split_first_chunk::<SALT_BYTES>()
                    .is_some_and(|(salt, body)| {
                        body.len() == header.body_size as usize && body_digest(salt, body) == digest
                    })
            };
            let Some(whole) = kept.filter(matches) else {
                let leaf = self
                    .place_bytes(&item.entry, None, Share::Reserved)
                    .map_err(|e| unable(&e))?;
                return Ok((leaf, None));
            };
            let whole = Bytes::from(whole);
            let mut salt = [0; SALT_BYTES];
            salt.copy_from_slice(&whole[..SALT_BYTES]);
            return self.placed_whole(&item.entry, header, salt, whole.slice(SALT_BYTES..));
        }
        let salt: [u8; SALT_BYTES] = item.salt[..]
            .try_into()
            .map_err(|_| not_it("has a body whose salt has not 32 bytes"))?;
        self.placed_whole(&item.entry, header, salt, item.body.clone())
    }

    fn placed_whole(
        &self,
        entry: &Bytes,
        header: &Header,
        salt: [u8; SALT_BYTES],
        bytes: Bytes,
    ) -> Result<(Leaf, Option<v1::body::Body>), Stop> {
        let digest = header.body_digest;
        if bytes.len() != header.body_size as usize || body_digest(&salt, &bytes) != digest {
            return Err(not_it("has another body than its entry names"));
        }
        let content = body::read(header.kind, &header.schema, &bytes);
        let leaf = self
            .place_bytes(entry, Some((salt, bytes, digest)), Share::Reserved)
            .map_err(|e| unable(&e))?;
        Ok((leaf, content))
    }

    /// Entries of the peer, admitted or refused as they were then: the own log says which.
    async fn restored_peers(
        &self,
        link: &Arc<Link>,
        keys: &RunKeys,
        start_index: u64,
        items: &Arc<Vec<v1::Item>>,
        dates: &BTreeMap<u64, u64>,
    ) -> Result<Vec<RestoredEntry>, Stop> {
        let end = start_index + items.len() as u64;
        let refused = self.refused_then(link, start_index, end)?;
        let judged = self.judge_all(link, keys, start_index, items).await;
        let mut ids = RunIds::new();
        let mut entries = Vec::with_capacity(items.len());
        for ((item, judged), index) in items.iter().zip(judged).zip(start_index..) {
            let leaf = leaf_hash(&item.entry);
            let was_refused = refused.get(&index) == Some(&leaf);
            let receipted = dates.range(index + 1..).next().map(|(_, at)| *at);
            let header = header_in(&item.entry);
            let created = header.as_ref().map_or(0, created_ms);
            // The receipt has whole seconds; within that one, the order is that of the author.
            let recorded_at_ms = receipted.map_or(created, |at| created.clamp(at, at + 999));
            let mut peer = RestoredPeer {
                entry: PeerEntry {
                    leaf: Leaf::inline(leaf, Bytes::new(), StoredBody::Absent),
                    facts: None,
                    effect: Effect::None,
                },
                recorded_at_ms,
                files_confirmed: false,
                owed_refusal: None,
            };
            let admitted = if was_refused {
                None
            } else {
                match self.admitted_again(link, keys, index, item, judged, &mut ids)? {
                    Ok(entry) => Some(entry),
                    Err(refused) => {
                        if !refused.is_refusal {
                            peer.owed_refusal = Some(OwedRefusal {
                                leaf: leaf.0,
                                reason: refused.reason as i32,
                                detail: refused.detail,
                                id: refused.id.map(|id| *id.as_bytes()),
                            });
                        }
                        None
                    }
                }
            };
            peer.entry = match admitted {
                Some(entry) => entry,
                None => PeerEntry {
                    leaf: self
                        .place_refused(index, item, keys)
                        .map_err(|e| unable(&e))?,
                    ..peer.entry
                },
            };
            if let Some(facts) = peer.entry.facts.as_ref().filter(|f| !f.files.is_empty()) {
                let answers = self.answers_in(link, facts.id, LogSide::Own)?;
                let kind = Kind::AttachmentsReceived as i32;
                peer.files_confirmed = answers.iter().any(|(_, of)| *of == kind);
            }
            entries.push(RestoredEntry::Peer(Box::new(peer)));
        }
        Ok(entries)
    }

    /// What admission says of an entry now. One whose body was erased since is admitted without.
    fn admitted_again(
        &self,
        link: &Link,
        keys: &RunKeys,
        index: u64,
        item: &v1::Item,
        judged: Result<Authentic, Box<Refused>>,
        ids: &mut RunIds,
    ) -> Result<Result<PeerEntry, Box<Refused>>, Stop> {
        if item.erased
            && let Some(header) = admit::authentic_header(link, keys, index, item)
            && self
                .id_is_free(link, header.id, index, ids)
                .map_err(|e| unable(&e))?
        {
            ids.insert(header.id, index);
            return Ok(Ok(PeerEntry {
                leaf: self
                    .place_bytes(&item.entry, None, Share::Reserved)
                    .map_err(|e| unable(&e))?,
                facts: Some(facts_without_body(&header)),
                effect: Effect::None,
            }));
        }
        let judged = self
            .admit_in_order(link, index, item, judged, keys, ids)
            .map_err(|e| unable(&e))?;
        Ok(match judged.refused {
            None => Ok(judged.entry),
            Some(refused) => Err(refused),
        })
    }

    /// What the own log refuses of the peer's, by index, as far as it was restored.
    fn refused_then(
        &self,
        link: &Link,
        start: u64,
        end: u64,
    ) -> Result<BTreeMap<u64, Hash>, StoreError> {
        let part = RestorePart::Refused;
        let (from, to) = (
            layout::restore_at(link.number, part, start),
            layout::restore_at(link.number, part, end),
        );
        let rows = self
            .store
            .scan(&from, &to, usize::MAX, Direction::Forward)?;
        Ok(rows
            .iter()
            .filter_map(|(key, leaf)| Some((layout::index_of(key)?, Hash::from_slice(leaf).ok()?)))
            .collect())
    }
}

/// Sizes and counts, before anything is computed.
pub(super) fn check_bounds(given: &v1::Fetched, target_size: u64) -> Result<(), Stop> {
    let end = given.start_index.saturating_add(given.items.len() as u64);
    let fits = !given.items.is_empty()
        && given.items.len() <= PUSH_ENTRIES_MAX
        && given.receipts.len() <= given.items.len()
        && given.receipts.iter().all(|r| r.len() <= VALUE_BYTES_MAX)
        && given.consistency.len() <= CONSISTENCY_HASHES_MAX
        && end <= target_size
        && (given.items.len() == 1 || bytes_of(given) <= PUSH_BYTES_MAX)
        && given
            .items
            .iter()
            .all(|i| i.entry.len() <= ENTRY_BYTES_MAX && i.body.len() <= BODY_BYTES_MAX);
    if fits {
        Ok(())
    } else {
        Err(not_it("is not what was asked for, or over a limit"))
    }
}

/// Whether entries go on from a tree and belong to the one that was signed. The recorder judges it
/// again, of the tree as it is then.
///
/// # Errors
/// [`End::Refused`] for what is over a limit; within, the recorder's own words.
pub(super) fn check_tree(
    tree: &Tree,
    given: &v1::Fetched,
    target: &Verified<Receipt>,
) -> Result<Result<(), RecordError>, Stop> {
    let target = &target.signed.checkpoint;
    check_bounds(given, target.size)?;
    let proof = proof_of(given)?;
    if tree.size() != given.start_index {
        return Ok(Err(RecordError::NotNext {
            start_index: given.start_index,
            mirror_size: tree.size(),
        }));
    }
    let mut tree = tree.clone();
    let mut full = Vec::new();
    for item in &given.items {
        tree.append(leaf_hash(&item.entry), &mut full);
    }
    let (size, root) = (tree.size(), tree.root());
    let proven = verify_consistency(size, target.size, root, target.root, &proof);
    Ok(proven.map_err(|_| RecordError::NotOfTree { size: target.size }))
}

fn proof_of(given: &v1::Fetched) -> Result<Vec<Hash>, Stop> {
    let hashes = given.consistency.iter().map(|hash| Hash::from_slice(hash));
    hashes
        .collect::<Result<_, _>>()
        .map_err(|_| not_it("has a proof that is none"))
}

/// Bodies of `KEY_CHANGE`s are kept by both sides for ever: one that is left out, or is another, would
/// make other keys of the log than there were.
pub(super) fn check_changes(items: &[v1::Item]) -> Result<(), Stop> {
    for item in items.iter().filter(|item| may_be_change(&item.entry)) {
        let Some(header) = header_in(&item.entry) else {
            continue;
        };
        let is_whole = !item.erased
            && item.body.len() == header.body_size as usize
            && body_digest(&item.salt, &item.body) == header.body_digest;
        if header.kind == Kind::KeyChange as i32 && !is_whole {
            return Err(not_it("lacks the body of a change of keys"));
        }
    }
    Ok(())
}

/// The receipts that verify.
fn verify(verifier: &LogVerifier, notes: &[String]) -> Vec<Verified<Receipt>> {
    let judged = notes.iter().map(|note| verifier.receipt(note));
    judged.filter_map(Result::ok).collect()
}

/// The header of an entry, if it is one.
pub(in crate::exchange) fn header_in(entry: &Bytes) -> Option<Header> {
    let entry = v1::Entry::decode(entry.clone()).ok()?;
    Header::parse(&entry.payload).ok()
}

fn created_ms(header: &Header) -> u64 {
    let at = header.wire.created_at.unwrap_or_default();
    let ms = at.seconds.saturating_mul(1_000) + i64::from(at.nanos) / 1_000_000;
    u64::try_from(ms).unwrap_or_default()
}

/// What a record of an own entry refuses of the peer's log, if it is a REFUSAL: the index, and what
/// is to be said of the entry there.
pub(super) fn refusal_in(record: &[u8]) -> Option<(u64, OwedRefusal)> {
    let record = Record::decode(record)?;
    let (StoredEntry::Inline(entry), StoredBody::Inline { body, .. }) = (record.entry, record.body)
    else {
        return None;
    };
    let header = header_in(&entry).filter(|header| header.kind == Kind::Refusal as i32)?;
    let Some(v1::body::Body::Refusal(refusal)) = body::read(header.kind, &header.schema, &body)
    else {
        return None;
    };
    let owed = OwedRefusal {
        leaf: Hash::from_slice(&refusal.entry_digest).ok()?.0,
        reason: refusal.reason,
        detail: refusal.detail,
        id: header.in_reply_to.map(|id| *id.as_bytes()),
    };
    Some((refusal.index, owed))
}

/// What a header alone says.
pub(super) fn facts_without_body(header: &Header) -> Facts {
    Facts {
        id: header.id,
        kind: header.kind,
        urgent: goes_ahead(header.kind, header.precedence),
        answers: [header.in_reply_to, header.supersedes]
            .into_iter()
            .flatten()
            .collect(),
        files: Vec::new(),
    }
}

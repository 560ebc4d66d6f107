//! Which keys a link goes by: the history of each side's keys, folded from its log, and of the
//! private keys at hand the one that holds where it is to sign.
//!
//! Nothing here is stored but where the `KEY_CHANGE`s stand (region `V`), an index into the logs. A
//! history is folded from the start keys at opening and goes on with each commit.
//!
//! A new key is announced in the own log, and each link has its own: so which key signs is asked per
//! link. A message key signs from the entry after its announcement on. A log key signs checkpoints
//! and cosignatures once the peer has cosigned its announcement, since the peer could not verify it
//! before; the older one signs until then.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use prost::Message as _;

use super::layout::{self, LinkNumber, LogSide, Region};
use super::read::{LogReader, ReadError};
use super::rotate::Stage;
use super::{Exchange, Link, OpenError};
use crate::crypto::Verified;
use crate::crypto::checkpoint::{
    AuthorKeys, Checkpoint, CheckpointError, LogVerifier, LogVerifierError, MirrorKey, Receipt,
    SignedCheckpoint, cosign,
};
use crate::crypto::history::{ChangeFault, HeldKey, KeyHistory, may_be_change};
use crate::crypto::keys::{LogKey, MessageKey};
use crate::crypto::note::{self, Note};
use crate::crypto::vkey::VerifierKey;
use crate::limits::SALT_BYTES;
use crate::model::Origin;
use crate::proto::v1::{self, KeyRole};
use crate::store::{Direction, Store};

/// The private keys at hand, each in use somewhere or about to be.
#[derive(Debug)]
pub struct KeyRing {
    held: RwLock<Held>,
}

#[derive(Debug)]
struct Held {
    message: Vec<Arc<MessageKey>>,
    log: Vec<Arc<LogKey>>,
    /// Log keys that were in use. Nothing is signed with them.
    retired: Vec<Arc<LogKey>>,
    /// Where older ones lie.
    shelf: Option<Arc<dyn RetiredKeys>>,
}

/// Where log keys lie that were in use: a bundle may be under way that was sealed to one of them.
pub trait RetiredKeys: std::fmt::Debug + Send + Sync {
    /// Those that can be had, newest first. May take a while: they are decrypted.
    fn log_keys(&self) -> Vec<Arc<LogKey>>;
}

/// A private key that is to follow.
#[derive(Debug, Clone)]
pub enum NextKey {
    /// For entries.
    Message(Arc<MessageKey>),
    /// For checkpoints and cosignatures.
    Log(Arc<LogKey>),
}

impl NextKey {
    /// What it is for.
    #[must_use]
    pub fn role(&self) -> KeyRole {
        match self {
            Self::Message(_) => KeyRole::Message,
            Self::Log(_) => KeyRole::Log,
        }
    }

    /// Its public key.
    #[must_use]
    pub fn public(&self) -> [u8; 32] {
        match self {
            Self::Message(key) => key.public().to_bytes(),
            Self::Log(key) => key.public().to_bytes(),
        }
    }
}

impl KeyRing {
    pub(super) fn new(keys: super::NodeKeys) -> Self {
        let held = Held {
            message: vec![Arc::new(keys.message)],
            log: vec![Arc::new(keys.log)],
            retired: Vec::new(),
            shelf: None,
        };
        Self {
            held: RwLock::new(held),
        }
    }

    /// Puts a key beside the others; nothing signs with it before it is announced.
    pub fn add(&self, key: NextKey) {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        match key {
            NextKey::Message(key) => {
                if held.message.iter().all(|k| k.public() != key.public()) {
                    held.message.push(key);
                }
            }
            NextKey::Log(key) => {
                if held.log.iter().all(|k| k.public() != key.public()) {
                    held.log.push(key);
                }
            }
        }
    }

    /// Lets go of every key of a role but one. Log keys still open what is sealed to them.
    pub fn keep_only(&self, role: KeyRole, public: &[u8; 32]) {
        self.keep(role, |key| key == public);
    }

    /// Lets go of the keys of a role that are not to be kept.
    fn keep(&self, role: KeyRole, kept: impl Fn(&[u8; 32]) -> bool) {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        match role {
            KeyRole::Message => held.message.retain(|k| kept(k.public().as_bytes())),
            KeyRole::Log => {
                let (stay, gone) = std::mem::take(&mut held.log)
                    .into_iter()
                    .partition(|key| kept(key.public().as_bytes()));
                held.log = stay;
                held.retired.extend::<Vec<_>>(gone);
            }
            _ => {}
        }
    }

    /// Says where log keys lie that were in use.
    pub fn shelve(&self, shelf: Arc<dyn RetiredKeys>) {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        held.shelf = Some(shelf);
    }

    /// Log keys that were in use, newest first: they open what was sealed to them, and sign nothing.
    /// Reads files.
    #[must_use]
    pub fn retired_log(&self) -> Vec<Arc<LogKey>> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        let mut keys: Vec<_> = held.retired.iter().rev().cloned().collect();
        let shelf = held.shelf.clone();
        drop(held);
        let shelved = shelf.map(|shelf| shelf.log_keys()).unwrap_or_default();
        let known: Vec<_> = keys.iter().map(|key| key.public()).collect();
        keys.extend(shelved.into_iter().filter(|k| !known.contains(&k.public())));
        keys
    }

    /// The message keys at hand, oldest first.
    #[must_use]
    pub fn message(&self) -> Vec<Arc<MessageKey>> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        held.message.clone()
    }

    /// The log keys at hand, oldest first.
    #[must_use]
    pub fn log(&self) -> Vec<Arc<LogKey>> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        held.log.clone()
    }
}

/// The histories of a link's two logs, and the judges that follow from them.
#[derive(Debug)]
pub(crate) struct LinkKeys {
    histories: RwLock<[Arc<KeyHistory>; 2]>,
}

/// A judge of checkpoints that is replaced when a key begins or ends.
#[derive(Debug)]
pub struct Judge(RwLock<Arc<LogVerifier>>);

impl Judge {
    fn new(verifier: LogVerifier) -> Self {
        Self(RwLock::new(Arc::new(verifier)))
    }

    fn replace(&self, verifier: LogVerifier) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(verifier);
    }

    /// The judge as of now.
    #[must_use]
    pub fn current(&self) -> Arc<LogVerifier> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// See [`LogVerifier::checkpoint`].
    ///
    /// # Errors
    /// [`CheckpointError`].
    pub fn checkpoint(&self, note: &str) -> Result<Verified<SignedCheckpoint>, CheckpointError> {
        self.current().checkpoint(note)
    }

    /// See [`LogVerifier::receipt`].
    ///
    /// # Errors
    /// [`CheckpointError`].
    pub fn receipt(&self, note: &str) -> Result<Verified<Receipt>, CheckpointError> {
        self.current().receipt(note)
    }

    /// See [`LogVerifier::receipt_for`].
    ///
    /// # Errors
    /// [`CheckpointError`].
    pub fn receipt_for(
        &self,
        signed: &Verified<SignedCheckpoint>,
        note: &str,
    ) -> Result<Option<Verified<Receipt>>, CheckpointError> {
        self.current().receipt_for(signed, note)
    }
}

impl LinkKeys {
    pub(super) fn new(own: KeyHistory, mirror: KeyHistory) -> Self {
        Self {
            histories: RwLock::new([Arc::new(own), Arc::new(mirror)]),
        }
    }

    fn of(&self, side: LogSide) -> Arc<KeyHistory> {
        let histories = self
            .histories
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&histories[place(side)])
    }

    fn put(&self, side: LogSide, history: Arc<KeyHistory>) {
        let mut histories = self
            .histories
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        histories[place(side)] = history;
    }
}

fn place(side: LogSide) -> usize {
    match side {
        LogSide::Own => 0,
        LogSide::Mirror => 1,
    }
}

/// The judge of one log: its author's keys from its own history, its mirror's from the other's.
pub(super) fn judge_of(
    author: &KeyHistory,
    mirror: &KeyHistory,
) -> Result<LogVerifier, LogVerifierError> {
    judge_with(author, mirror, Vec::new(), Vec::new())
}

fn judge_with(
    author: &KeyHistory,
    mirror: &KeyHistory,
    more_authors: Vec<AuthorKeys>,
    more_mirrors: Vec<MirrorKey>,
) -> Result<LogVerifier, LogVerifierError> {
    let mut authors = author.author_keys();
    authors.extend(more_authors);
    let mut mirrors = mirror.mirror_keys();
    mirrors.extend(more_mirrors);
    LogVerifier::of_many(author.origin().clone(), authors, mirrors)
}

/// Both judges of a link.
///
/// # Errors
/// When a side's start keys are the other's: receipts would be its own word.
pub(super) fn judges(own: &KeyHistory, mirror: &KeyHistory) -> Result<[Judge; 2], OpenError> {
    let own_log = judge_of(own, mirror)?;
    let mirror_log = judge_of(mirror, own)?;
    for author in own_log.authors() {
        let mut cosigners = own_log.mirrors().iter();
        if cosigners.any(|key| key.mirror.public() == author.author.public()) {
            let origin = own_log.origin().clone();
            return Err(LogVerifierError::SameKey { origin }.into());
        }
    }
    Ok([Judge::new(own_log), Judge::new(mirror_log)])
}

/// Folds a log's history: its start and the changes that stand in it.
pub(super) fn fold(
    store: &dyn Store,
    reader: &LogReader,
    number: LinkNumber,
    side: LogSide,
    size: u64,
    mut history: KeyHistory,
) -> Result<KeyHistory, OpenError> {
    let (start, end) = layout::side_range(Region::KeyChange, number, side, 0, size);
    for (key, _) in store.scan(&start, &end, usize::MAX, Direction::Forward)? {
        let origin = history.origin().to_string();
        let damaged = |index| ReadError::Damaged {
            what: "change of keys",
            origin: origin.clone(),
            index,
        };
        let index = layout::index_of(&key).ok_or_else(|| damaged(0))?;
        let stored = reader.entry(index)?;
        let (salt, body) = reader.body(&stored)?.ok_or_else(|| damaged(index))?;
        let counts = history.take(index, &stored.entry, &salt, &body);
        match counts {
            Ok(true) => {}
            Ok(false) => return Err(damaged(index).into()),
            Err(fault) => {
                return Err(OpenError::History {
                    origin,
                    index,
                    fault: Box::new(fault),
                });
            }
        }
    }
    Ok(history)
}

/// The history by which the entries of a run are judged: with the changes that stand in it.
#[derive(Debug, Clone)]
pub(crate) struct RunKeys {
    pub(crate) history: Arc<KeyHistory>,
    /// Changes in the run that do not count, by index.
    pub(crate) faults: Arc<BTreeMap<u64, ChangeFault>>,
}

impl RunKeys {
    /// The history as it is, for entries that come ahead of their turn.
    pub(crate) fn now(link: &Link) -> Self {
        Self {
            history: link.key_history(LogSide::Mirror),
            faults: Arc::default(),
        }
    }

    /// The own history as it is.
    pub(crate) fn own(link: &Link) -> Self {
        Self {
            history: link.key_history(LogSide::Own),
            faults: Arc::default(),
        }
    }

    /// A history of the peer's keys that was learned ahead of its log.
    pub(crate) fn of_peer(history: &Arc<KeyHistory>) -> Self {
        Self {
            history: Arc::clone(history),
            faults: Arc::default(),
        }
    }

    /// The history of the peer's log with what stands in a run.
    pub(crate) fn of_run(link: &Link, start_index: u64, items: &[v1::Item]) -> Self {
        Self::of_items(link, LogSide::Mirror, start_index, items)
    }

    /// The history of a log with what stands in entries behind its end.
    pub(crate) fn of_items(
        link: &Link,
        side: LogSide,
        start_index: u64,
        items: &[v1::Item],
    ) -> Self {
        let mut keys = Self {
            history: link.key_history(side),
            faults: Arc::default(),
        };
        if !items.iter().any(|item| may_be_change(&item.entry)) {
            return keys;
        }
        let mut history = KeyHistory::clone(&keys.history);
        let mut faults = BTreeMap::new();
        for (item, index) in items.iter().zip(start_index..) {
            if let Err(fault) = history.take(index, &item.entry, &item.salt, &item.body) {
                faults.insert(index, fault);
            }
        }
        keys.history = Arc::new(history);
        keys.faults = Arc::new(faults);
        keys
    }

    /// The history with changes that are read back one by one.
    pub(crate) fn of_changes<'c>(
        link: &Link,
        side: LogSide,
        changes: impl Iterator<Item = (u64, &'c OwnChange)>,
    ) -> Self {
        let mut history = KeyHistory::clone(&link.key_history(side));
        for (index, change) in changes {
            // One that does not count was refused then and is now.
            drop(history.take(index, &change.entry, &change.salt, &change.body));
        }
        Self {
            history: Arc::new(history),
            faults: Arc::default(),
        }
    }

    /// Indices within a run at which a change counts.
    pub(crate) fn changes_from(&self, start_index: u64) -> Vec<u64> {
        let changes = self.history.changes().range(start_index..);
        changes.map(|(index, _)| *index).collect()
    }
}

/// A `KEY_CHANGE` on its way into a log: what its history needs of it.
#[derive(Debug, Clone)]
pub(crate) struct OwnChange {
    pub(crate) entry: Bytes,
    pub(crate) salt: Vec<u8>,
    pub(crate) body: Bytes,
}

impl OwnChange {
    /// The change that an entry may be, with its body.
    pub(crate) fn of(entry: &Bytes, body: Option<&([u8; SALT_BYTES], Bytes)>) -> Option<Box<Self>> {
        let (salt, body) = body.filter(|_| may_be_change(entry))?;
        Some(Box::new(Self {
            entry: entry.clone(),
            salt: salt.to_vec(),
            body: body.clone(),
        }))
    }
}

/// The `keyid` of an entry's first signature; empty if it is no entry.
pub(crate) fn first_keyid(entry: &Bytes) -> String {
    let entry = v1::Entry::decode(entry.clone()).unwrap_or_default();
    let first = entry.signatures.into_iter().next();
    first.map(|signature| signature.keyid).unwrap_or_default()
}

impl Link {
    /// The history of a log's keys, as of the last commit.
    #[must_use]
    pub fn key_history(&self, side: LogSide) -> Arc<KeyHistory> {
        self.keys.of(side)
    }

    /// The officers who released the entry at an index of a log, by the last part of their keys' names.
    #[must_use]
    pub fn released_by(&self, side: LogSide, index: u64, entry: &Bytes) -> Vec<String> {
        let history = self.key_history(side);
        // Most logs have no officers, and most entries one signature.
        if history.officers_at(index).is_empty() {
            return Vec::new();
        }
        let released = history.verify_entry(index, entry.clone());
        let officers = released.map(|(_, officers)| officers).unwrap_or_default();
        let person = |key: &VerifierKey| Some(key.name().rsplit_once('/')?.1.to_owned());
        officers.iter().filter_map(person).collect()
    }

    /// Puts a history that a commit has brought in the place of the one before, and both judges
    /// with it.
    pub(super) fn publish_keys(&self, side: LogSide, history: Arc<KeyHistory>) {
        self.keys.put(side, history);
        let (own, mirror) = (self.keys.of(LogSide::Own), self.keys.of(LogSide::Mirror));
        // Names and types were checked with the keys themselves.
        if let Ok(verifier) = judge_of(&own, &mirror) {
            self.own_verifier.replace(verifier);
        }
        if let Ok(verifier) = judge_of(&mirror, &own) {
            self.mirror_verifier.replace(verifier);
        }
    }

    /// The judge of the peer's checkpoints for a run that may bring keys of its own.
    pub(super) fn run_verifier(&self, keys: &RunKeys) -> Arc<LogVerifier> {
        let mirror = self.key_history(LogSide::Mirror);
        if Arc::ptr_eq(&mirror, &keys.history) {
            return self.mirror_verifier.current();
        }
        let own = self.key_history(LogSide::Own);
        match judge_of(&keys.history, &own) {
            Ok(verifier) => Arc::new(verifier),
            Err(_) => self.mirror_verifier.current(),
        }
    }

    /// The peer's log key to which files on their way to it are sealed: the oldest that holds, which it
    /// has at hand as long as it does.
    #[must_use]
    pub fn sealing_key(&self) -> Option<VerifierKey> {
        let history = self.key_history(LogSide::Mirror);
        let mut keys = history.keys().iter();
        let key = keys.find(|key| key.role == KeyRole::Log && key.is_open());
        key.map(|key| key.vkey.clone())
    }

    /// Whether the peer has confirmed every change of this node's keys: then it goes by the same as
    /// this node.
    #[must_use]
    pub fn knows_own_keys(&self) -> bool {
        let history = self.key_history(LogSide::Own);
        let last = history.changes().keys().next_back();
        last.is_none_or(|last| *last < self.head().delivered_size)
    }

    /// Whether the peer has mirrored, and said so, what began a key of this node.
    fn is_delivered(&self, key: &HeldKey) -> bool {
        key.since
            .is_none_or(|since| since < self.head().delivered_size)
    }
}

impl Exchange {
    /// The private keys at hand.
    #[must_use]
    pub fn ring(&self) -> &KeyRing {
        &self.ring
    }

    /// The message key that signs the next entry of a link's own log; nothing if none of those at
    /// hand holds there.
    #[must_use]
    pub fn message_key(&self, link: &Link) -> Option<Arc<MessageKey>> {
        let next_index = link.head().own_size;
        let history = link.key_history(LogSide::Own);
        let ring = self.ring.message();
        let mut holding = history.keys().iter().rev().filter(|key| {
            key.role == KeyRole::Message && key.is_open() && key.holds_at(next_index)
        });
        holding.find_map(|held| {
            let mut ring = ring.iter();
            ring.find(|key| key.public() == *held.vkey.public())
                .cloned()
        })
    }

    /// The message key at hand that the peer knows by what it has confirmed: for what goes beside the
    /// log, and must be verified before it.
    #[must_use]
    pub fn known_message_key(&self, link: &Link) -> Option<Arc<MessageKey>> {
        let delivered_size = link.head().delivered_size;
        let history = link.key_history(LogSide::Own);
        let ring = self.ring.message();
        let mut known = history
            .keys()
            .iter()
            .rev()
            .filter(|key| key.role == KeyRole::Message && key.holds_at(delivered_size));
        known.find_map(|held| {
            let mut ring = ring.iter();
            ring.find(|key| key.public() == *held.vkey.public())
                .cloned()
        })
    }

    /// Log keys of this node that have ended on a link whose peer has not confirmed the end yet. Up to
    /// there they alone hold, so what waits for the peer goes under them; beyond, they sign nothing.
    #[must_use]
    pub fn log_keys_still_needed(&self) -> Vec<[u8; 32]> {
        let mut needed = Vec::new();
        for link in self.links() {
            let delivered_size = link.head().delivered_size;
            for key in link.key_history(LogSide::Own).keys() {
                let waits = key.ended.is_some_and(|ended| ended.at >= delivered_size);
                if key.role == KeyRole::Log && waits {
                    needed.push(key.vkey.public().to_bytes());
                }
            }
        }
        needed
    }

    /// Lets go of every key of a role but the one in use, and the log keys that are still needed.
    pub fn let_go_of_keys(&self, role: KeyRole, in_use: &[u8; 32]) {
        let needed = match role {
            KeyRole::Log => self.log_keys_still_needed(),
            _ => Vec::new(),
        };
        self.ring
            .keep(role, |key| key == in_use || needed.contains(key));
    }

    /// Lets go of log keys that have ended on every link and are needed on none.
    pub fn let_go_of_ended_log_keys(&self) {
        let needed = self.log_keys_still_needed();
        let is_ended = |key: &[u8; 32]| {
            let mut links = self.links().peekable();
            links.peek().is_some()
                && links.all(|link| self.stage_of_key(link, key, KeyRole::Log) == Stage::Ended)
        };
        self.ring
            .keep(KeyRole::Log, |key| needed.contains(key) || !is_ended(key));
    }

    /// Entries of the own log that wait for the peer and for whose checkpoints no log key at hand holds:
    /// they go under the next one that can be signed, if all up to there fit into a window.
    #[must_use]
    pub fn entries_without_log_key(&self, link: &Link) -> u64 {
        let head = link.head();
        let (waiting, end) = (head.delivered_size + 1, head.own_size);
        let history = link.key_history(LogSide::Own);
        let ring = self.ring.log();
        let at_hand = history.keys().iter().filter(|held| {
            let mut ring = ring.iter();
            held.role == KeyRole::Log && ring.any(|key| key.public() == *held.vkey.public())
        });
        let reached = at_hand
            .filter(|held| held.last.is_none_or(|last| last >= waiting))
            .map(|held| held.first.max(waiting))
            .min();
        reached
            .unwrap_or(end + 1)
            .min(end + 1)
            .saturating_sub(waiting)
    }

    /// Takes log keys that were in use back where a link still needs them, after a restart.
    pub fn take_back_log_keys(&self) {
        let needed = self.log_keys_still_needed();
        let at_hand = self.ring.log();
        let is_missing = |key: &[u8; 32]| at_hand.iter().all(|k| k.public().as_bytes() != key);
        // Files are read and decrypted only where one is missing.
        if needed.iter().any(is_missing) {
            for key in self.ring.retired_log() {
                if needed.contains(key.public().as_bytes()) {
                    self.ring.add(NextKey::Log(key));
                }
            }
        }
    }

    /// The log key that signs the own checkpoint of a size. Nothing if no key at hand holds there;
    /// then there may be one that was signed when one did.
    #[must_use]
    pub fn log_key(&self, link: &Link, size: u64) -> Option<Arc<LogKey>> {
        self.newest_log_key(link, |key| key.holds_at(size))
    }

    /// The log key that cosigns the peer's checkpoint of a size.
    #[must_use]
    pub fn cosigner_key(&self, link: &Link, size: u64) -> Option<Arc<LogKey>> {
        self.newest_log_key(link, |key| key.cosigns_at(size))
    }

    /// The newest key that the peer knows of; if it knows none of them, the newest.
    fn newest_log_key(&self, link: &Link, holds: impl Fn(&HeldKey) -> bool) -> Option<Arc<LogKey>> {
        let history = link.key_history(LogSide::Own);
        let ring = self.ring.log();
        let candidates: Vec<_> = history
            .keys()
            .iter()
            .rev()
            .filter(|key| key.role == KeyRole::Log && holds(key))
            .filter_map(|held| {
                let mut ring = ring.iter();
                let key = ring.find(|key| key.public() == *held.vkey.public())?;
                Some((held, key))
            })
            .collect();
        let known = candidates.iter().find(|(held, _)| link.is_delivered(held));
        known
            .or_else(|| candidates.first())
            .map(|(_, key)| Arc::clone(key))
    }

    /// Cosigns a checkpoint of the peer that is mirrored, durably and under the high-water mark.
    /// Nothing if no key at hand holds there.
    pub(super) fn cosign_mirrored(
        &self,
        link: &Link,
        signed: &Verified<SignedCheckpoint>,
    ) -> Option<Verified<Receipt>> {
        let key = self.cosigner_key(link, signed.checkpoint.size)?;
        let now = self.clock.unix_seconds();
        Some(cosign(&key, &self.node, signed, now))
    }

    /// Whether a note is a checkpoint that this node signed, by whatever key at hand: a store that
    /// was put back may not know yet that the key follows.
    pub(super) fn signed_here(
        &self,
        link: &Link,
        note: &str,
    ) -> Option<Verified<SignedCheckpoint>> {
        self.lenient_verifier(link, &RunKeys::now(link), LogSide::Own)
            .checkpoint(note)
            .ok()
    }

    /// What a note says of the peer's log under this node's own cosignature, whoever has signed it
    /// beside. That vouches for the tree: this node had it, whole.
    pub(super) fn cosigned_here(&self, link: &Link, note: &str) -> Option<Checkpoint> {
        let note = Note::parse(note).ok()?;
        let history = link.key_history(LogSide::Own);
        let mut keys = history.mirror_keys();
        for key in self.ring.log() {
            let vkey = key.cosigner_verifier(link.own.sender());
            if keys.iter().all(|known| known.mirror != vkey) {
                keys.push(MirrorKey {
                    mirror: vkey,
                    first_size: 0,
                    last_size: None,
                });
            }
        }
        let known: Vec<_> = keys.iter().map(|key| &key.mirror).collect();
        let signers = note::verify(&note, &known).ok()?;
        let checkpoint = Checkpoint::parse(note.text()).ok()?;
        let counts = |key: &&MirrorKey| {
            let size = checkpoint.size;
            size >= key.first_size && key.last_size.is_none_or(|last| size <= last)
        };
        let mut counting = keys.iter().filter(counts);
        let is_by_us = counting.any(|key| {
            let mut signers = signers.iter();
            signers.any(|by| *by.key == key.mirror && by.unix_seconds.is_some())
        });
        (is_by_us && checkpoint.origin == link.mirror.to_string()).then_some(checkpoint)
    }

    /// The judge of one log for records that are fetched back: by what stands in the entries at hand
    /// as well, and by every log key of this node that is at hand, wherever it holds.
    pub(super) fn lenient_verifier(
        &self,
        link: &Link,
        keys: &RunKeys,
        side: LogSide,
    ) -> Arc<LogVerifier> {
        self.lenient_verifier_by(link, keys, side, &link.key_history(LogSide::Mirror))
    }

    /// The same, by a history of the peer's keys that was learned ahead of its log.
    pub(super) fn lenient_verifier_by(
        &self,
        link: &Link,
        keys: &RunKeys,
        side: LogSide,
        peer: &Arc<KeyHistory>,
    ) -> Arc<LogVerifier> {
        let (own, mirror) = (link.key_history(LogSide::Own), Arc::clone(peer));
        let is_own = keys.history.origin() == own.origin();
        let (own, mirror) = if is_own {
            (Arc::clone(&keys.history), mirror)
        } else {
            (own, Arc::clone(&keys.history))
        };
        let ring = self.ring.log();
        let fresh: Vec<_> = ring
            .iter()
            .filter(|key| {
                let mut held = own.keys().iter();
                !held.any(|held| *held.vkey.public() == key.public())
            })
            .collect();
        let judge = match side {
            LogSide::Own => {
                let more = fresh.iter().map(|key| author_keys(key, &link.own));
                judge_with(&own, &mirror, more.collect(), Vec::new())
            }
            LogSide::Mirror => {
                let more = fresh.iter().map(|key| MirrorKey {
                    mirror: key.cosigner_verifier(link.own.sender()),
                    first_size: 0,
                    last_size: None,
                });
                judge_with(&mirror, &own, Vec::new(), more.collect())
            }
        };
        match (judge, side) {
            (Ok(judge), _) => Arc::new(judge),
            (Err(_), LogSide::Own) => link.own_verifier.current(),
            (Err(_), LogSide::Mirror) => link.mirror_verifier.current(),
        }
    }
}

fn author_keys(key: &LogKey, origin: &Origin) -> AuthorKeys {
    AuthorKeys {
        log: key.log_verifier(origin),
        author: key.cosigner_verifier(origin.sender()),
        first_size: 0,
        last_size: None,
    }
}

//! Which keys of a node hold where in its log: a fold over the `KEY_CHANGE`s that stand in it.
//!
//! A history begins with the keys that were exchanged when the link was made ([`StartKeys`]) and
//! takes in the log's entries in order ([`KeyHistory::take`]). It knows nothing but these, so the
//! node that writes the log, the one that mirrors it and the auditor find the same.
//!
//! # Where a key holds
//!
//! A change that stands at index `k` of the log:
//!
//! | | entries | checkpoints of this log | cosignatures of the other log |
//! |---|---|---|---|
//! | key that begins | from `k + 1` on | of sizes from `k + 1` on | of sizes from `seen_size` on |
//! | key that ends | up to `k` | of sizes up to `k` | of sizes up to `seen_size` |
//!
//! `seen_size` is what the header of the change says was mirrored of the other log. Between ADD and
//! RETIRE both keys hold. A new message key after REVOKE holds from `k` on: it may sign that very
//! entry, since no other key may be left.
//!
//! # Whether a change counts
//!
//! By the entry alone, never by what else became of it: one that is refused as a message because its
//! id was used before counts all the same, or a verdict would depend on what only one side has seen.
//! A change that does not count changes nothing.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message as _;

use super::change::{self, is_by_recovery, is_of_role};
use super::checkpoint::{AuthorKeys, MirrorKey};
use super::dsse::{self, DsseError};
use super::vkey::{Algorithm, VerifierKey, VkeyError};
use crate::limits::{
    AUTHORITIES_ANNOUNCED_MAX, AUTHORITY_BYTES_MAX, KEY_CHANGES_MAX, KEY_REVOCATIONS_MAX,
    LINE_BYTES_MAX, OFFICER_KEYS_MAX, OPEN_KEYS_MAX,
};
use crate::model::body::{self, Decoded};
use crate::model::header::{HeaderError, body_digest};
use crate::model::{Header, NodeName, Origin};
use crate::proto::v1::{self, KeyAction, KeyRole};

/// The keys with which a log begins: those of the card that its author gave at link set-up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StartKeys {
    /// Sign entries; type 0x01, named like the node. With the first and the last index each may sign.
    pub message: Vec<(VerifierKey, u64, Option<u64>)>,
    /// Sign checkpoints and cosignatures; type 0x04, named like the node.
    pub log: Vec<VerifierKey>,
    /// Persons who release messages; type 0x01, named `<node>/<person>`.
    pub officers: Vec<VerifierKey>,
    /// Kept offline; type 0x01, named `<node>/recovery`.
    pub recovery: Option<VerifierKey>,
}

/// A key of the node and where it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldKey {
    /// What it is for; never an authority.
    pub role: KeyRole,
    /// The key; a log key as type 0x04.
    pub vkey: VerifierKey,
    /// Index of the change that began it; `None` for a key of the start.
    pub since: Option<u64>,
    /// First index of entries, and first size of checkpoints, that it may sign.
    pub first: u64,
    /// Last of them; open if `None`.
    pub last: Option<u64>,
    /// First size of the other log that it may cosign.
    pub cosigned_from: u64,
    /// Last of them; open if `None`.
    pub cosigned_until: Option<u64>,
    /// How it ended.
    pub ended: Option<Ended>,
}

/// How a key ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Index of the change.
    pub at: u64,
    /// By the recovery key: it was lost or stolen.
    pub revoked: bool,
}

impl HeldKey {
    /// Whether it may sign at an index, or a checkpoint of that size.
    #[must_use]
    pub fn holds_at(&self, index: u64) -> bool {
        index >= self.first && self.last.is_none_or(|last| index <= last)
    }

    /// Whether it may cosign the other log at that size.
    #[must_use]
    pub fn cosigns_at(&self, size: u64) -> bool {
        size >= self.cosigned_from && self.cosigned_until.is_none_or(|last| size <= last)
    }

    /// Whether no change has ended it.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.ended.is_none()
    }
}

/// An authority for TLS certificates that the node has announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnnouncedAuthority {
    /// Index of the change.
    pub at: u64,
    /// Its certificate, DER.
    pub certificate: Bytes,
}

/// A change that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// What it is about.
    pub role: KeyRole,
    /// What becomes of it.
    pub action: KeyAction,
}

/// The keys of one log's author, over the whole log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyHistory {
    origin: Origin,
    keys: Vec<HeldKey>,
    authorities: Vec<AnnouncedAuthority>,
    changes: BTreeMap<u64, Counted>,
    /// Changes that count and that the recovery key did not sign.
    ordinary: u64,
    /// Those that it did.
    revocations: u64,
}

/// Why a `KEY_CHANGE` does not count.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ChangeFault {
    /// The entry is not signed by a key that may sign it.
    #[error(transparent)]
    Entry(#[from] DsseError),
    /// The header.
    #[error("the header is malformed: {0}")]
    Header(#[from] HeaderError),
    /// Another log's.
    #[error("sender or recipient are not those of this log")]
    Names,
    /// No body, another one, or none of this kind.
    #[error("the body is not the change of keys that the header commits to")]
    Body,
    /// A role or action of a newer version.
    #[error("a role or an action that this version does not know")]
    Unknown,
    /// A role to which this cannot happen.
    #[error("{action} is not possible for a key of this role")]
    NotPossible {
        /// The action.
        action: &'static str,
    },
    /// A change out of turn, or said again.
    #[error("it is number {found}, the next one is {expected}: said again, or out of order")]
    Number {
        /// The number in the change.
        found: u64,
        /// The number that comes next.
        expected: u64,
    },
    /// More than the log's share.
    #[error("the log has as many changes of keys as are taken")]
    TooMany,
    /// A key that is none.
    #[error("the {which} key: {error}")]
    Vkey {
        /// old or new.
        which: &'static str,
        /// What is wrong with it.
        error: VkeyError,
    },
    /// A key of another name or type.
    #[error("the {which} key is not named, or not of the type, as this role wants it")]
    Name {
        /// old or new.
        which: &'static str,
    },
    /// A part that has no meaning here, or lacks.
    #[error("{field} must {}be there", if *.wanted { "" } else { "not " })]
    Field {
        /// The field.
        field: &'static str,
        /// It is missing.
        wanted: bool,
    },
    /// The old key is not one that holds.
    #[error("the old key does not hold at this index")]
    OldKey,
    /// The key that vouches for a retirement is not one that stays.
    #[error("the new key does not stay when the old one ends")]
    NotStaying,
    /// The key was in this log before.
    #[error("the new key was used before in this log, in whatever role; a key never comes back")]
    UsedBefore,
    /// A signature within does not hold.
    #[error("the signature of the {which} key does not hold")]
    Signature {
        /// old, new or recovery.
        which: &'static str,
    },
    /// There is no recovery key.
    #[error("no recovery key was exchanged for this link")]
    NoRecovery,
    /// Too many at once.
    #[error("more than {max} keys of this role would hold at once")]
    TooManyOpen {
        /// The limit.
        max: usize,
    },
    /// A long reason or certificate.
    #[error("{field} is longer than {max} bytes")]
    TooLong {
        /// The field.
        field: &'static str,
        /// The limit.
        max: usize,
    },
}

/// Why keys do not begin a history.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// A key of another name or type than its role wants.
    #[error("the key {vkey} is not named, or not of the type, as its role at {node} wants it")]
    Name {
        /// The key.
        vkey: String,
        /// The node.
        node: NodeName,
    },
    /// One public key twice.
    #[error("the public key of {vkey} is there in two roles")]
    Twice {
        /// The key.
        vkey: String,
    },
}

impl KeyHistory {
    /// The history of a log in which nothing stands yet.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(origin: Origin, start: &StartKeys) -> Result<Self, StartError> {
        let node = origin.sender().clone();
        let mut history = Self {
            origin,
            keys: Vec::new(),
            authorities: Vec::new(),
            changes: BTreeMap::new(),
            ordinary: 0,
            revocations: 0,
        };
        let message = start.message.iter();
        let message = message.map(|(vkey, first, last)| (KeyRole::Message, vkey, *first, *last));
        let unbounded = |role| move |vkey| (role, vkey, 0, None);
        let rest = start
            .log
            .iter()
            .map(unbounded(KeyRole::Log))
            .chain(start.officers.iter().map(unbounded(KeyRole::Officer)))
            .chain(start.recovery.iter().map(unbounded(KeyRole::Recovery)));
        for (role, vkey, first, last) in message.chain(rest) {
            let named = || vkey.to_string();
            if !is_of_role(vkey, role, &node) {
                let vkey = named();
                return Err(StartError::Name { vkey, node });
            }
            let same = |held: &&HeldKey| held.vkey.public() == vkey.public();
            match history.keys.iter().find(same) {
                // A card may name one message key for two spans.
                Some(held) if held.role == role && role == KeyRole::Message => {}
                Some(_) => return Err(StartError::Twice { vkey: named() }),
                None => {}
            }
            history.keys.push(HeldKey {
                role,
                vkey: vkey.clone(),
                since: None,
                first,
                last,
                cosigned_from: 0,
                cosigned_until: None,
                ended: None,
            });
        }
        Ok(history)
    }

    /// The history of the same log with nothing in it yet; for logs that began with keys without
    /// bounds, as a node's own do.
    #[must_use]
    pub fn restarted(&self) -> Self {
        let start = self.keys.iter().filter(|key| key.since.is_none());
        Self {
            origin: self.origin.clone(),
            keys: start
                .map(|key| HeldKey {
                    last: None,
                    cosigned_until: None,
                    ended: None,
                    ..key.clone()
                })
                .collect(),
            authorities: Vec::new(),
            changes: BTreeMap::new(),
            ordinary: 0,
            revocations: 0,
        }
    }

    /// The log.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Every key there ever was, in the order in which they began.
    #[must_use]
    pub fn keys(&self) -> &[HeldKey] {
        &self.keys
    }

    /// The authorities announced, oldest first.
    #[must_use]
    pub fn authorities(&self) -> &[AnnouncedAuthority] {
        &self.authorities
    }

    /// The changes that count, by index.
    #[must_use]
    pub fn changes(&self) -> &BTreeMap<u64, Counted> {
        &self.changes
    }

    /// The number that the next ordinary change, or the next revocation, must have.
    #[must_use]
    pub fn next_number(&self, revocation: bool) -> u64 {
        if revocation {
            self.revocations
        } else {
            self.ordinary
        }
    }

    /// The recovery key that holds at the end of the log.
    #[must_use]
    pub fn recovery(&self) -> Option<&VerifierKey> {
        let mut keys = self.keys.iter().rev();
        let key = keys.find(|key| key.role == KeyRole::Recovery && key.is_open());
        key.map(|key| &key.vkey)
    }

    fn of_role(&self, role: KeyRole) -> impl DoubleEndedIterator<Item = &HeldKey> {
        self.keys.iter().filter(move |key| key.role == role)
    }

    /// The keys that may have signed the entry at an index.
    #[must_use]
    pub fn message_keys_at(&self, index: u64) -> Vec<VerifierKey> {
        self.held_at(KeyRole::Message, index)
    }

    /// The keys that may have signed a statement beside the log, made when it had so many entries. The
    /// log may have gone on since, and ended a key that held for the peer then: it counts all the same,
    /// but for one that was revoked before.
    #[must_use]
    pub fn message_keys_beside(&self, size: u64) -> Vec<VerifierKey> {
        let retired = |key: &HeldKey| key.ended.is_some_and(|ended| !ended.revoked);
        self.of_role(KeyRole::Message)
            .filter(|key| key.first <= size && (key.holds_at(size) || retired(key)))
            .map(|key| key.vkey.clone())
            .collect()
    }

    /// Whether the key of a `keyid` may sign the entry at an index.
    #[must_use]
    pub fn message_key_holds(&self, keyid: &str, index: u64) -> bool {
        let mut keys = self.of_role(KeyRole::Message);
        keys.any(|key| key.vkey.keyid() == keyid && key.holds_at(index))
    }

    /// The officers' keys that hold at an index.
    #[must_use]
    pub fn officers_at(&self, index: u64) -> Vec<VerifierKey> {
        self.held_at(KeyRole::Officer, index)
    }

    fn held_at(&self, role: KeyRole, index: u64) -> Vec<VerifierKey> {
        let keys = self.of_role(role).filter(|key| key.holds_at(index));
        keys.map(|key| key.vkey.clone()).collect()
    }

    /// Verifies the entry at an index: the first signature by a message key that holds there, and
    /// every further one by a key that was ever known: an officer's must hold there as well.
    /// Returns the officers' keys.
    ///
    /// # Errors
    /// [`DsseError`].
    pub fn verify_entry(
        &self,
        index: u64,
        entry: Bytes,
    ) -> Result<(super::Verified<dsse::Envelope>, Vec<VerifierKey>), DsseError> {
        let message = self.message_keys_at(index);
        let mut known = self.of_role(KeyRole::Officer).peekable();
        if known.peek().is_none() {
            return Ok((dsse::verify(entry, &message)?, Vec::new()));
        }
        let officers: Vec<_> = known
            .map(|key| (key.vkey.clone(), key.holds_at(index)))
            .collect();
        dsse::verify_released(entry, &message, &officers)
    }

    /// The keys with which the log's checkpoints are judged.
    ///
    /// # Panics
    /// Never: an origin is a key name.
    #[must_use]
    pub fn author_keys(&self) -> Vec<AuthorKeys> {
        self.of_role(KeyRole::Log)
            .map(|key| AuthorKeys {
                log: log_vkey(&key.vkey, &self.origin),
                author: key.vkey.clone(),
                first_size: key.first,
                last_size: key.last,
            })
            .collect()
    }

    /// The keys with which its author cosigns the other log.
    #[must_use]
    pub fn mirror_keys(&self) -> Vec<MirrorKey> {
        self.of_role(KeyRole::Log)
            .map(|key| MirrorKey {
                mirror: key.vkey.clone(),
                first_size: key.cosigned_from,
                last_size: key.cosigned_until,
            })
            .collect()
    }

    /// Takes in the entry at the next index, if it is a `KEY_CHANGE`; false if it is none.
    ///
    /// `salt` and `body` as they came with it; empty if there is none.
    ///
    /// # Errors
    /// [`ChangeFault`]: the change does not count, and the history is as before.
    pub fn take(
        &mut self,
        index: u64,
        entry: &Bytes,
        salt: &[u8],
        body: &[u8],
    ) -> Result<bool, ChangeFault> {
        // 1. What it claims to be. Nothing is believed yet.
        if !may_be_change(entry) {
            return Ok(false);
        }
        let claim = v1::Entry::decode(entry.clone())
            .ok()
            .and_then(|entry| v1::Header::decode(entry.payload).ok())
            .unwrap_or_default();
        if claim.kind != v1::Kind::KeyChange as i32 {
            return Ok(false);
        }
        let decoded = body::decode(claim.kind, &claim.schema, body);
        let Ok(Decoded::Known(v1::Body {
            body: Some(v1::body::Body::KeyChange(change)),
        })) = decoded
        else {
            return Err(ChangeFault::Body);
        };
        // 2. Who signed the entry: a message key that holds, or the one that a revocation brings.
        let mut keys = self.message_keys_at(index);
        if change.role() == KeyRole::Message && is_by_recovery(&change) {
            keys.push(
                self.check(index, &change)?
                    .new
                    .ok_or(ChangeFault::Unknown)?,
            );
        }
        let envelope = dsse::verify(entry.clone(), &keys)?;
        // The caller may have given another entry's claim; from here on it is the signed one.
        let header = Header::parse(&envelope.payload)?;
        if header.sender != *self.origin.sender() || header.recipient != *self.origin.recipient() {
            return Err(ChangeFault::Names);
        }
        if header.body_size as usize != body.len() || body_digest(salt, body) != header.body_digest
        {
            return Err(ChangeFault::Body);
        }
        // 3. What it says, and the signatures within.
        let checked = self.check(index, &change)?;
        self.apply(index, header.wire.seen_size, &change, checked);
        Ok(true)
    }

    /// Whether a change would count if it stood at `index`, apart from who signs its entry.
    ///
    /// # Errors
    /// [`ChangeFault`].
    pub fn would_count(&self, index: u64, change: &v1::KeyChange) -> Result<(), ChangeFault> {
        self.check(index, change).map(drop)
    }

    fn check(&self, index: u64, change: &v1::KeyChange) -> Result<Checked, ChangeFault> {
        let (role, action) = (change.role(), change.action());
        if role == KeyRole::Unspecified || action == KeyAction::Unspecified {
            return Err(ChangeFault::Unknown);
        }
        let shape = Shape::of(role, action).ok_or(ChangeFault::NotPossible {
            action: action.as_str_name(),
        })?;
        shape.check(change)?;
        let by_recovery = is_by_recovery(change);
        let (expected, max) = if by_recovery {
            (self.revocations, KEY_REVOCATIONS_MAX)
        } else {
            (self.ordinary, KEY_CHANGES_MAX)
        };
        if change.number != expected {
            let found = change.number;
            return Err(ChangeFault::Number { found, expected });
        }
        if expected >= max {
            return Err(ChangeFault::TooMany);
        }
        let node = self.origin.sender();
        let vkey = |which, text: &str| {
            if text.is_empty() {
                return Ok(None);
            }
            let key = VerifierKey::parse(text);
            let key = key.map_err(|error| ChangeFault::Vkey { which, error })?;
            if is_of_role(&key, role, node) {
                Ok(Some(key))
            } else {
                Err(ChangeFault::Name { which })
            }
        };
        let (old, new) = (
            vkey("old", &change.old_vkey)?,
            vkey("new", &change.new_vkey)?,
        );
        let held = |key: &VerifierKey| {
            self.of_role(role)
                .any(|held| held.vkey == *key && held.is_open() && held.holds_at(index))
        };
        if old.as_ref().is_some_and(|old| !held(old)) {
            return Err(ChangeFault::OldKey);
        }
        if let Some(new) = &new {
            if action == KeyAction::Retire {
                if !held(new) || old.as_ref() == Some(new) {
                    return Err(ChangeFault::NotStaying);
                }
            } else {
                self.check_fresh(role, action, new)?;
            }
        }
        if role == KeyRole::Authority && self.authorities.len() >= AUTHORITIES_ANNOUNCED_MAX {
            return Err(ChangeFault::TooMany);
        }
        let recovery = match (by_recovery, self.recovery()) {
            (true, None) => return Err(ChangeFault::NoRecovery),
            (true, Some(key)) => Some(key.clone()),
            (false, _) => None,
        };
        let signatures = [
            (
                "old",
                old.as_ref().filter(|_| shape.old_signs),
                &change.old_key_signature,
            ),
            ("new", new.as_ref(), &change.new_key_signature),
            ("recovery", recovery.as_ref(), &change.recovery_signature),
        ];
        for (which, key, signature) in signatures {
            if key.is_some_and(|key| !change::holds(key, &self.origin, change, signature)) {
                return Err(ChangeFault::Signature { which });
            }
        }
        Ok(Checked { old, new })
    }

    /// A key that begins was never there, under no name, and there is room for it.
    fn check_fresh(
        &self,
        role: KeyRole,
        action: KeyAction,
        new: &VerifierKey,
    ) -> Result<(), ChangeFault> {
        // A signature line names a key by its name and four bytes: those must be its own as well.
        let log_id = |key: &VerifierKey| log_vkey(key, &self.origin).key_id();
        let taken = self.keys.iter().any(|held| {
            held.vkey.public() == new.public()
                || role == KeyRole::Log
                    && held.role == KeyRole::Log
                    && (held.vkey.key_id() == new.key_id() || log_id(&held.vkey) == log_id(new))
        });
        if taken {
            return Err(ChangeFault::UsedBefore);
        }
        let max = match (role, action) {
            (KeyRole::Message | KeyRole::Log, KeyAction::Add) => OPEN_KEYS_MAX,
            (KeyRole::Officer, KeyAction::Add) => OFFICER_KEYS_MAX,
            _ => return Ok(()),
        };
        if self.of_role(role).filter(|key| key.is_open()).count() >= max {
            return Err(ChangeFault::TooManyOpen { max });
        }
        Ok(())
    }

    fn apply(&mut self, index: u64, seen_size: u64, change: &v1::KeyChange, checked: Checked) {
        let (role, action) = (change.role(), change.action());
        let by_recovery = is_by_recovery(change);
        let replaces_all = by_recovery && role != KeyRole::Officer;
        for held in &mut self.keys {
            let ends = held.role == role
                && held.is_open()
                && match action {
                    KeyAction::Retire => checked.old.as_ref() == Some(&held.vkey),
                    KeyAction::Revoke => replaces_all || checked.old.as_ref() == Some(&held.vkey),
                    // There is one recovery key: the next one takes its place.
                    _ => role == KeyRole::Recovery,
                };
            if ends {
                held.last = Some(held.last.map_or(index, |last| last.min(index)));
                held.cosigned_until = Some(seen_size);
                held.ended = Some(Ended {
                    at: index,
                    revoked: by_recovery,
                });
            }
        }
        if let Some(vkey) = checked.new.filter(|_| action != KeyAction::Retire) {
            // The entry of a revocation may be signed by the key that it brings.
            let from_here = by_recovery && role == KeyRole::Message;
            self.keys.push(HeldKey {
                role,
                vkey,
                since: Some(index),
                first: if from_here { index } else { index + 1 },
                last: None,
                cosigned_from: seen_size,
                cosigned_until: None,
                ended: None,
            });
        }
        if role == KeyRole::Authority {
            self.authorities.push(AnnouncedAuthority {
                at: index,
                certificate: change.certificate.clone(),
            });
        }
        self.changes.insert(index, Counted { role, action });
        if by_recovery {
            self.revocations += 1;
        } else {
            self.ordinary += 1;
        }
    }
}

/// The keys that a change names, read and in their roles.
struct Checked {
    old: Option<VerifierKey>,
    new: Option<VerifierKey>,
}

/// Which fields a change must have; what it need not have, it must not.
#[derive(Clone, Copy)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "a table: one column for each field"
)]
struct Shape {
    old: bool,
    new: bool,
    certificate: bool,
    old_signs: bool,
    recovery_signs: bool,
}

impl Shape {
    fn of(role: KeyRole, action: KeyAction) -> Option<Self> {
        let none = Self {
            old: false,
            new: false,
            certificate: false,
            old_signs: false,
            recovery_signs: false,
        };
        Some(match (role, action) {
            (KeyRole::Message | KeyRole::Log | KeyRole::Recovery, KeyAction::Add) => Self {
                old: true,
                new: true,
                old_signs: true,
                ..none
            },
            (KeyRole::Message | KeyRole::Log, KeyAction::Retire) => Self {
                old: true,
                new: true,
                ..none
            },
            (KeyRole::Message | KeyRole::Log, KeyAction::Revoke) => Self {
                new: true,
                recovery_signs: true,
                ..none
            },
            (KeyRole::Officer, KeyAction::Add) => Self { new: true, ..none },
            (KeyRole::Officer, KeyAction::Retire) => Self { old: true, ..none },
            (KeyRole::Officer, KeyAction::Revoke) => Self {
                old: true,
                recovery_signs: true,
                ..none
            },
            (KeyRole::Authority, KeyAction::Add) => Self {
                certificate: true,
                ..none
            },
            _ => return None,
        })
    }

    fn check(self, change: &v1::KeyChange) -> Result<(), ChangeFault> {
        let fields = [
            ("old_vkey", self.old, change.old_vkey.is_empty()),
            ("new_vkey", self.new, change.new_vkey.is_empty()),
            (
                "certificate",
                self.certificate,
                change.certificate.is_empty(),
            ),
            (
                "old_key_signature",
                self.old_signs,
                change.old_key_signature.is_empty(),
            ),
            (
                "new_key_signature",
                self.new,
                change.new_key_signature.is_empty(),
            ),
            (
                "recovery_signature",
                self.recovery_signs,
                change.recovery_signature.is_empty(),
            ),
        ];
        for (field, wanted, is_empty) in fields {
            if wanted == is_empty {
                return Err(ChangeFault::Field { field, wanted });
            }
        }
        let lengths = [
            ("reason", change.reason.len(), LINE_BYTES_MAX),
            ("certificate", change.certificate.len(), AUTHORITY_BYTES_MAX),
        ];
        for (field, found, max) in lengths {
            if found > max {
                return Err(ChangeFault::TooLong { field, max });
            }
        }
        Ok(())
    }
}

/// The type 0x01 key of a log, which has the public key of its author as a cosigner.
fn log_vkey(cosigner: &VerifierKey, origin: &Origin) -> VerifierKey {
    VerifierKey::new(&origin.to_string(), Algorithm::Ed25519, *cosigner.public())
        .expect("an origin is a key name, and the point was checked with the cosigner key")
}

/// Whether an entry may be a `KEY_CHANGE`: quick, and never wrong about one that is. Its header
/// names the schema of its body.
#[must_use]
pub fn may_be_change(entry: &[u8]) -> bool {
    const SCHEMA: &[u8] = b"liaison.v1.KeyChange";
    let mut rest = entry;
    // The dot-free tail is rare in a header; `K` more so.
    while let Some(at) = rest.iter().position(|byte| *byte == b'K') {
        let end = at + b"KeyChange".len();
        if rest.get(at..end) == Some(b"KeyChange") {
            return entry.windows(SCHEMA.len()).any(|window| window == SCHEMA);
        }
        rest = &rest[at + 1..];
    }
    false
}

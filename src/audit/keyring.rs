//! The keys on which a verdict rests.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;

use super::finding::{Code, Finding, KeyUse};
use super::format::{MANIFEST, ManifestKey, Role};
use super::history::{self, Followed};
use super::opened::Opened;
use crate::crypto::Verified;
use crate::crypto::change::is_of_role;
use crate::crypto::checkpoint::{
    AuthorKeys, CheckpointError, LogVerifier, LogVerifierError, MirrorKey, Receipt,
    SignedCheckpoint,
};
use crate::crypto::history::{KeyHistory, StartError, StartKeys};
use crate::crypto::vkey::VerifierKey;
use crate::limits::EXPORT_KEYS_MAX;
use crate::model::{Origin, text};
use crate::proto::v1::KeyRole;

/// Keys by role, pinned by the caller or claimed by the export.
#[derive(Debug, Default)]
pub(super) struct Keyring {
    keys: Vec<RingKey>,
    /// Keys of the export that the caller did not name: a change of keys must bring them.
    unpinned: Vec<VerifierKey>,
    /// By origin, the keys with which the export says that a log began.
    starts: BTreeMap<String, Vec<VerifierKey>>,
    /// By origin, the histories followed.
    followed: BTreeMap<String, Followed>,
}

#[derive(Debug)]
struct RingKey {
    key: VerifierKey,
    role: Role,
    pinned: bool,
    valid_from: Option<Timestamp>,
    valid_until: Option<Timestamp>,
    used: AtomicBool,
}

/// The keys of one log.
#[derive(Debug)]
pub(super) struct LogKeys {
    /// The keys of its sender, where in the log they hold.
    pub(super) followed: Followed,
    verifier: LogVerifier,
}

/// Why a checkpoint is no receipt.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReceiptFault {
    #[error("there is no {role} key named {name}")]
    NoKey { role: Role, name: String },
    #[error("the mirror has the same public key as the sender; its receipts prove nothing")]
    SameKey,
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Verifier(#[from] LogVerifierError),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

impl LogKeys {
    /// Whether anybody can have signed its entries.
    pub(super) fn has_message_key(&self) -> bool {
        let mut keys = self.followed.history.keys().iter();
        keys.any(|key| key.role == KeyRole::Message)
    }
}

impl Keyring {
    /// Takes the keys that the caller trusts and no others.
    pub(super) fn pinned(trusted: &[VerifierKey]) -> Self {
        let keys = trusted.iter().filter_map(|key| {
            let role = Role::of(key)?;
            Some(RingKey {
                key: key.clone(),
                role,
                pinned: true,
                valid_from: None,
                valid_until: None,
                used: AtomicBool::new(false),
            })
        });
        Self {
            keys: keys.collect(),
            ..Self::default()
        }
    }

    /// Takes the keys that an export claims, or, when the caller trusts keys of its own, checks
    /// the export's against those.
    pub(super) fn of_manifest(
        claimed: &[ManifestKey],
        trusted: Option<&[VerifierKey]>,
        findings: &mut Vec<Finding>,
    ) -> Self {
        let mut ring = trusted.map(Self::pinned).unwrap_or_default();
        if claimed.len() > EXPORT_KEYS_MAX {
            let what = format!(
                "{} keys, at most {EXPORT_KEYS_MAX} are allowed",
                claimed.len()
            );
            findings.push(Finding::error(Code::Key, MANIFEST, what));
            return ring;
        }
        let mut seen: HashSet<String> = HashSet::new();
        for claim in claimed {
            let fault = |code, what: String| {
                let vkey = text::escape(&claim.vkey);
                Finding::error(code, MANIFEST, format!("key {vkey}: {what}"))
            };
            let key = match VerifierKey::parse(&claim.vkey) {
                Ok(key) => key,
                Err(error) => {
                    findings.push(fault(Code::Key, error.to_string()));
                    continue;
                }
            };
            if Role::of(&key) != Some(claim.role) {
                let what = format!("its name and type are not those of a {} key", claim.role);
                findings.push(fault(Code::Key, what));
                continue;
            }
            if !seen.insert(key.to_string()) {
                findings.push(fault(Code::Key, "listed twice".into()));
                continue;
            }
            let (from, until) = (
                time(claim.valid_from.as_deref()),
                time(claim.valid_until.as_deref()),
            );
            let (Ok(valid_from), Ok(valid_until)) = (from, until) else {
                findings.push(fault(
                    Code::Key,
                    "its validity is not RFC 3339 in UTC".into(),
                ));
                continue;
            };
            if trusted.is_none() {
                let role = claim.role;
                let used = AtomicBool::new(false);
                let pinned = false;
                ring.keys.push(RingKey {
                    key,
                    role,
                    pinned,
                    valid_from,
                    valid_until,
                    used,
                });
            } else if !ring.keys.iter().any(|pinned| pinned.key == key) {
                ring.unpinned.push(key);
            }
        }
        ring
    }

    /// Follows the changes of keys in every log of an export.
    pub(super) fn follow(&mut self, export: &Opened, findings: &mut Vec<Finding>) {
        for log in &export.logs {
            let listed = export.start_keys(log, findings);
            if let Some(listed) = listed {
                self.starts.insert(log.origin.to_string(), listed);
            }
        }
        for log in &export.logs {
            // What is wrong with the keys is told when the log is judged.
            if let Ok(start) = self.start(&log.origin) {
                let followed = history::follow(export, log, start);
                self.followed.insert(log.origin.to_string(), followed);
            }
        }
        let unpinned = std::mem::take(&mut self.unpinned);
        for key in unpinned {
            if self.is_brought(&key) {
                continue;
            }
            let what = format!("key {key}: not among the trusted keys, nor brought by them");
            findings.push(Finding::error(Code::KeyNotPinned, MANIFEST, what));
        }
    }

    /// Whether a change of keys has brought a key, in whatever form.
    fn is_brought(&self, key: &VerifierKey) -> bool {
        self.followed.values().any(|followed| {
            let history = &followed.history;
            let mut brought = history.keys().iter().filter(|held| held.since.is_some());
            brought.any(|held| {
                held.vkey == *key
                    || held.role == KeyRole::Log
                        && held.vkey.public() == key.public()
                        && key.name() == history.origin().to_string()
            })
        })
    }

    fn all(&self, role: Role, name: &str) -> Vec<VerifierKey> {
        let keys = self
            .keys
            .iter()
            .filter(|key| key.role == role && key.key.name() == name);
        keys.map(|key| key.key.clone()).collect()
    }

    /// The history with which a log begins: the keys of its sender that are believed, but for those
    /// that came later.
    fn start(&self, origin: &Origin) -> Result<KeyHistory, StartError> {
        let node = origin.sender();
        let listed = self.starts.get(&origin.to_string());
        let begins = |key: &VerifierKey| listed.is_none_or(|listed| listed.contains(key));
        let of = |role| {
            let keys = self.all(role, node.as_str()).into_iter();
            keys.filter(begins).collect::<Vec<_>>()
        };
        let below = self.keys.iter().map(|key| &key.key);
        let below: Vec<_> = below.filter(|key| begins(key)).collect();
        let of_role = |role| {
            let keys = below.iter().filter(move |key| is_of_role(key, role, node));
            keys.map(|key| VerifierKey::clone(key)).collect::<Vec<_>>()
        };
        let start = StartKeys {
            message: of(Role::Message)
                .into_iter()
                .map(|key| (key, 0, None))
                .collect(),
            log: of(Role::Cosigner),
            officers: of_role(KeyRole::Officer),
            recovery: of_role(KeyRole::Recovery).into_iter().next(),
        };
        KeyHistory::start(origin.clone(), &start)
    }

    fn followed(&self, origin: &Origin) -> Result<Followed, StartError> {
        match self.followed.get(&origin.to_string()) {
            Some(followed) => Ok(followed.clone()),
            None => Ok(Followed {
                history: self.start(origin)?,
                faults: BTreeMap::new(),
            }),
        }
    }

    /// The keys of one log.
    pub(super) fn of_log(&self, origin: &Origin) -> Result<LogKeys, ReceiptFault> {
        let some = |role, name: &str| match self.all(role, name) {
            keys if keys.is_empty() => Err(ReceiptFault::NoKey {
                role,
                name: name.to_owned(),
            }),
            keys => Ok(keys),
        };
        let (sender, recipient) = (origin.sender().as_str(), origin.recipient().as_str());
        let logs = some(Role::Log, &origin.to_string())?;
        some(Role::Cosigner, sender)?;
        some(Role::Cosigner, recipient)?;
        let followed = self.followed(origin)?;
        let mut authors = followed.history.author_keys();
        let later = |key: &AuthorKeys| {
            let mut keys = followed.history.keys().iter();
            keys.any(|held| held.vkey == key.author && held.since.is_some())
        };
        // The log's key has the public key of its author as a cosigner; each form is believed by
        // itself, unless a change has brought both.
        authors.retain(|keys| logs.contains(&keys.log) || later(keys));
        let mirrors = self.followed(&origin.reversed())?.history.mirror_keys();
        let verifier = LogVerifier::of_many(origin.clone(), authors, mirrors)?;
        let same = |mirror: &MirrorKey| {
            let mut authors = verifier.authors().iter();
            authors.any(|keys| keys.author.public() == mirror.mirror.public())
        };
        if verifier.mirrors().iter().all(same) {
            return Err(ReceiptFault::SameKey);
        }
        Ok(LogKeys { followed, verifier })
    }

    /// Verifies the two signatures of a checkpoint that its author has dated; also says whether a
    /// key was not valid then.
    pub(super) fn dated(
        &self,
        keys: &LogKeys,
        note: &str,
    ) -> Result<(Verified<SignedCheckpoint>, Option<String>), ReceiptFault> {
        let signed = keys.verifier.checkpoint(note)?;
        let at = signed.authored_at;
        let signers = keys.verifier.signers(note)?;
        let mut invalid = signers.iter().filter_map(|key| self.used(key, at));
        let invalid = invalid.next();
        Ok((signed, invalid))
    }

    /// Verifies the three signatures of a receipt; also says whether a key was not valid then.
    pub(super) fn receipt(
        &self,
        keys: &LogKeys,
        note: &str,
    ) -> Result<(Verified<Receipt>, Option<String>), ReceiptFault> {
        let receipt = keys.verifier.receipt(note)?;
        let (authored, cosigned) = (receipt.signed.authored_at, receipt.cosigned_at);
        let signers = keys.verifier.signers(note)?;
        let recipient = keys.verifier.origin().recipient().as_str();
        let mut invalid = None;
        for key in &signers {
            let at = if key.name() == recipient {
                cosigned
            } else {
                authored
            };
            invalid = self.used(key, at).or(invalid);
        }
        Ok((receipt, invalid))
    }

    /// Marks the message key `keyid` of `name` as used; says so if it was not valid then.
    pub(super) fn message_used(
        &self,
        name: &str,
        keyid: &str,
        unix_seconds: i64,
    ) -> Option<String> {
        let of_key = |key: &&RingKey| {
            key.role == Role::Message && key.key.name() == name && key.key.keyid() == keyid
        };
        self.keys.iter().find(of_key)?.used_at(unix_seconds)
    }

    fn used(&self, key: &VerifierKey, unix_seconds: u64) -> Option<String> {
        let unix_seconds = i64::try_from(unix_seconds).unwrap_or(i64::MAX);
        self.keys
            .iter()
            .find(|held| held.key == *key)?
            .used_at(unix_seconds)
    }

    /// The keys, for the verdict.
    pub(super) fn uses(&self) -> Vec<KeyUse> {
        let uses = self.keys.iter().map(|key| KeyUse {
            role: key.role,
            vkey: key.key.to_string(),
            fingerprint: key.key.keyid().to_owned(),
            pinned: key.pinned,
        });
        uses.collect()
    }

    /// Keys that the export claims and that have signed nothing in it.
    pub(super) fn unused(&self) -> impl Iterator<Item = Finding> {
        let unused = |key: &&RingKey| !key.pinned && !key.used.load(Ordering::Relaxed);
        self.keys.iter().filter(unused).map(|key| {
            let what = format!(
                "the {} key {} has signed nothing in this export",
                key.role, key.key
            );
            Finding::note(Code::KeyUnused, MANIFEST, what)
        })
    }
}

impl RingKey {
    fn used_at(&self, unix_seconds: i64) -> Option<String> {
        self.used.store(true, Ordering::Relaxed);
        let before = self
            .valid_from
            .is_some_and(|from| unix_seconds < from.as_second());
        let after = self
            .valid_until
            .is_some_and(|until| unix_seconds > until.as_second());
        let what = || {
            format!(
                "signed by {} at {unix_seconds} (Unix), when it was not valid",
                self.key
            )
        };
        (before || after).then(what)
    }
}

/// A time in the one form that exports write.
pub(super) fn time(text: Option<&str>) -> Result<Option<Timestamp>, jiff::Error> {
    let Some(text) = text else { return Ok(None) };
    let time: Timestamp = text.parse()?;
    if time.to_string() == text {
        Ok(Some(time))
    } else {
        Err(jiff::Error::from_args(format_args!(
            "not in canonical form"
        )))
    }
}

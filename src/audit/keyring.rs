//! The keys on which a verdict rests.

use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;

use super::finding::{Code, Finding, KeyUse};
use super::format::{MANIFEST, ManifestKey, Role};
use crate::crypto::Verified;
use crate::crypto::checkpoint::{CheckpointError, LogVerifier, Receipt, SignedCheckpoint};
use crate::crypto::note::NoteError;
use crate::crypto::vkey::VerifierKey;
use crate::limits::{EXPORT_KEYS_MAX, ROLE_KEYS_MAX};
use crate::model::{Origin, text};

/// Keys by role, pinned by the caller or claimed by the export.
#[derive(Debug, Default)]
pub(super) struct Keyring {
    keys: Vec<RingKey>,
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
    /// Message keys of its sender.
    pub(super) message: Vec<VerifierKey>,
    /// One for each combination of log key and cosigner keys.
    verifiers: Vec<LogVerifier>,
}

/// Why a checkpoint is no receipt.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReceiptFault {
    #[error("there is no {role} key named {name}")]
    NoKey { role: Role, name: String },
    #[error("the mirror has the same public key as the sender; its receipts prove nothing")]
    SameKey,
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
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
        let mut seen: Vec<VerifierKey> = Vec::new();
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
            if seen.contains(&key) {
                findings.push(fault(Code::Key, "listed twice".into()));
                continue;
            }
            seen.push(key.clone());
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
                findings.push(fault(
                    Code::KeyNotPinned,
                    "not among the trusted keys".into(),
                ));
            }
        }
        ring
    }

    /// The keys of one log.
    pub(super) fn of_log(&self, origin: &Origin) -> Result<LogKeys, ReceiptFault> {
        let all = |role, name: &str| -> Vec<VerifierKey> {
            let keys = self
                .keys
                .iter()
                .filter(|key| key.role == role && key.key.name() == name);
            keys.map(|key| key.key.clone()).collect()
        };
        let some = |role, name: &str| match all(role, name) {
            keys if keys.is_empty() => Err(ReceiptFault::NoKey {
                role,
                name: name.to_owned(),
            }),
            mut keys => {
                keys.truncate(ROLE_KEYS_MAX);
                Ok(keys)
            }
        };
        let (sender, recipient) = (origin.sender().as_str(), origin.recipient().as_str());
        let logs = some(Role::Log, &origin.to_string())?;
        let authors = some(Role::Cosigner, sender)?;
        let mirrors = some(Role::Cosigner, recipient)?;
        let mut verifiers = Vec::new();
        for log in &logs {
            for author in &authors {
                for mirror in &mirrors {
                    let keys = (log.clone(), author.clone(), mirror.clone());
                    verifiers.extend(LogVerifier::new(origin.clone(), keys.0, keys.1, keys.2).ok());
                }
            }
        }
        if verifiers.is_empty() {
            return Err(ReceiptFault::SameKey);
        }
        Ok(LogKeys {
            message: all(Role::Message, sender),
            verifiers,
        })
    }

    /// Verifies the two signatures of a checkpoint that its author has dated; also says whether a
    /// key was not valid then.
    pub(super) fn dated(
        &self,
        keys: &LogKeys,
        note: &str,
    ) -> Result<(Verified<SignedCheckpoint>, Option<String>), ReceiptFault> {
        let mut fault = None;
        for verifier in &keys.verifiers {
            match verifier.checkpoint(note) {
                Ok(signed) => {
                    let at = signed.authored_at;
                    let invalid = [
                        self.used(verifier.log(), at),
                        self.used(verifier.author(), at),
                    ];
                    return Ok((signed, invalid.into_iter().flatten().next()));
                }
                Err(
                    error @ (CheckpointError::MissingSignature { .. }
                    | CheckpointError::Note(NoteError::NoKnownKey)),
                ) => fault = fault.or(Some(error)),
                Err(error) => return Err(error.into()),
            }
        }
        Err(fault.map_or(ReceiptFault::SameKey, Into::into))
    }

    /// Verifies the three signatures of a receipt; also says whether a key was not valid then.
    pub(super) fn receipt(
        &self,
        keys: &LogKeys,
        note: &str,
    ) -> Result<(Verified<Receipt>, Option<String>), ReceiptFault> {
        let mut fault = None;
        for verifier in &keys.verifiers {
            match verifier.receipt(note) {
                Ok(receipt) => {
                    let (authored, cosigned) = (receipt.signed.authored_at, receipt.cosigned_at);
                    let invalid = [
                        self.used(verifier.log(), authored),
                        self.used(verifier.author(), authored),
                        self.used(verifier.mirror(), cosigned),
                    ];
                    return Ok((receipt, invalid.into_iter().flatten().next()));
                }
                // Of several combinations, the telling fault is not that a line is missing.
                Err(
                    error @ (CheckpointError::MissingSignature { .. }
                    | CheckpointError::Note(NoteError::NoKnownKey)),
                ) => fault = fault.or(Some(error)),
                Err(error) => return Err(error.into()),
            }
        }
        Err(fault.map_or(ReceiptFault::SameKey, Into::into))
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

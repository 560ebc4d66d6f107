//! What an audit has to say.

use serde::Serialize;

use super::format::Role;
use super::lateness::Claim;
use crate::limits::FINDINGS_MAX;

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing; nothing is wrong.
    Note,
    /// Something is wrong.
    Error,
}

/// What kind of thing was found, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(
    missing_docs,
    reason = "the words say it; the text of a finding says the rest"
)]
pub enum Code {
    Unreadable,
    Missing,
    NotListed,
    NotOfTheFormat,
    HashMismatch,
    TooLarge,
    Manifest,
    Key,
    KeyNotPinned,
    KeyUnused,
    KeyNotValidThen,
    KeyChange,
    Checkpoint,
    SignatureLines,
    Root,
    Date,
    Tile,
    Bundle,
    Signature,
    Header,
    Names,
    DuplicateId,
    Body,
    Notification,
    Dsse,
    Proof,
    RefusedEntry,
    Refusal,
    Size,
    EntryDiffers,
    BodyDiffers,
    Equivocation,
    NoContradiction,
    Claim,
}

/// One thing that was found, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How grave.
    pub severity: Severity,
    /// What kind.
    pub code: Code,
    /// Path of the file, relative to the export.
    pub place: String,
    /// Index of the entry concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<u64>,
    /// Id of the message concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// In words; hostile text in it is escaped.
    pub what: String,
}

impl Finding {
    /// Something wrong with a file.
    pub(super) fn error(code: Code, place: impl Into<String>, what: impl Into<String>) -> Self {
        let (place, what) = (place.into(), what.into());
        Self {
            severity: Severity::Error,
            code,
            place,
            index: None,
            id: None,
            what,
        }
    }

    /// Something worth knowing about a file.
    pub(super) fn note(code: Code, place: impl Into<String>, what: impl Into<String>) -> Self {
        Self {
            severity: Severity::Note,
            ..Self::error(code, place, what)
        }
    }

    /// The same, of one entry.
    pub(super) fn at(mut self, index: u64) -> Self {
        self.index = Some(index);
        self
    }

    /// The same, of one message.
    pub(super) fn of(mut self, id: Option<&str>) -> Self {
        self.id = id.map(ToOwned::to_owned);
        self
    }
}

/// What was checked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Files read.
    pub files: u64,
    /// Entries whose leaf hash went into a recomputed tree.
    pub entries: u64,
    /// Signatures of entries that hold.
    pub signatures: u64,
    /// Bodies that match their entry.
    pub bodies: u64,
    /// Bodies that are not in the export.
    pub bodies_absent: u64,
    /// Of these, those that the exporter has left out.
    pub bodies_withheld: u64,
    /// Of these, those that the exporter says were erased.
    pub bodies_erased: u64,
    /// Checkpoints whose three signatures hold.
    pub checkpoints: u64,
    /// Tiles that match the recomputed tree.
    pub tiles: u64,
    /// Receipts that verify.
    pub proofs: u64,
    /// Entries mirrored but not admitted.
    pub refused: u64,
}

impl Counts {
    /// Adds what another part of the work has counted.
    pub(super) const fn add(&mut self, other: Self) {
        self.files += other.files;
        self.entries += other.entries;
        self.signatures += other.signatures;
        self.bodies += other.bodies;
        self.bodies_absent += other.bodies_absent;
        self.bodies_withheld += other.bodies_withheld;
        self.bodies_erased += other.bodies_erased;
        self.checkpoints += other.checkpoints;
        self.tiles += other.tiles;
        self.proofs += other.proofs;
        self.refused += other.refused;
    }
}

/// One log as far as it was judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogSummary {
    /// Origin of the log.
    pub origin: String,
    /// Entries in the export.
    pub size: u64,
    /// Entries that the exporter says it has recorded beyond.
    pub recorded_beyond: u64,
    /// Root that the latest checkpoint signs, base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
    /// When the author signed the latest checkpoint, Unix seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authored_at: Option<u64>,
    /// When the mirror cosigned it, Unix seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cosigned_at: Option<u64>,
}

/// A key on which a verdict rests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyUse {
    /// What it signs.
    pub role: Role,
    /// The key.
    pub vkey: String,
    /// Lower-case hex SHA-256 of the public key, for comparing by voice.
    pub fingerprint: String,
    /// Whether the caller named it; else it is the export's own claim.
    pub pinned: bool,
}

/// What an audit found, for people and, serialized, for programs.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Verdict {
    /// Whether nothing is wrong: there is no finding but notes.
    pub clean: bool,
    /// Errors found, listed or not.
    pub errors: u64,
    /// What was found, the first [`FINDINGS_MAX`].
    pub findings: Vec<Finding>,
    /// Findings that are not listed.
    pub findings_beyond: u64,
    /// What was checked.
    pub counts: Counts,
    /// The logs.
    pub logs: Vec<LogSummary>,
    /// The keys on which all this rests.
    pub rests_on: Vec<KeyUse>,
    /// What the export claims beyond its logs, when it holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claim: Option<Claim>,
}

/// Gathers findings, of which a hostile export can have any number.
#[derive(Debug, Default)]
pub(super) struct Findings {
    list: Vec<Finding>,
    beyond: u64,
    errors: u64,
}

impl Findings {
    pub(super) fn push(&mut self, finding: Finding) {
        if finding.severity == Severity::Error {
            self.errors += 1;
        }
        if self.list.len() < FINDINGS_MAX {
            self.list.push(finding);
        } else {
            self.beyond += 1;
        }
    }

    pub(super) fn extend(&mut self, findings: impl IntoIterator<Item = Finding>) {
        findings.into_iter().for_each(|finding| self.push(finding));
    }

    /// The verdict so far: errors first, in the order of their places.
    pub(super) fn into_verdict(mut self, counts: Counts) -> Verdict {
        self.list
            .sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        Verdict {
            clean: self.errors == 0,
            errors: self.errors,
            findings: self.list,
            findings_beyond: self.beyond,
            counts,
            logs: Vec::new(),
            rests_on: Vec::new(),
            claim: None,
        }
    }
}

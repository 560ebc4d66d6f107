//! Verifies evidence that the holder of a log key signed two different logs.
//!
//! It takes the file and the keys that the auditor trusts; there is no word of the accuser in the
//! verdict. Two notes of one size contradict each other by their roots. For notes of two sizes the
//! file shows, by a consistency proof that leads to the root of the larger note, what the larger
//! tree holds at the smaller size: another root than the smaller note's. Nobody can make that of
//! two notes of one honest log without a collision of SHA-256.

use serde::Serialize;

use super::finding::{Code, Counts, Finding, Findings, Verdict};
use super::keyring::Keyring;
use crate::crypto::checkpoint::Checkpoint;
use crate::crypto::note::{self, Note, NoteError};
use crate::crypto::vkey::{Algorithm, VerifierKey};
use crate::model::{Origin, text};
use crate::tlog::equivocation::{Equivocation, Prefix};
use crate::tlog::verify_consistency;

/// What such a file proves: the holder of `key` signed both notes, and no log holds both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TwoLogs {
    /// The log: `<sender>/<recipient>`.
    pub origin: String,
    /// The key that signed both.
    pub key: String,
    /// Lower-case hex SHA-256 of its public key, for comparing by voice.
    pub fingerprint: String,
    /// The two notes; of two sizes, the smaller first.
    pub notes: [SignedNote; 2],
    /// The root that the larger tree has at the smaller size, base64; for notes of two sizes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix_root: Option<String>,
}

/// One of the two.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SignedNote {
    /// Entries of the log.
    pub size: u64,
    /// Its root, base64.
    pub root: String,
    /// When its author dated it, Unix seconds by its clock, if it did and its key is trusted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authored_at: Option<u64>,
    /// When the other side cosigned it, Unix seconds by its clock, if it did and its key is trusted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cosigned_at: Option<u64>,
}

/// What came of verifying such a file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EquivocationVerdict {
    /// What is proven, if anything is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proven: Option<TwoLogs>,
    /// What was found; `place` is `file`, `first note`, `second note` or `proof`.
    #[serde(flatten)]
    pub verdict: Verdict,
}

const FILE: &str = "file";
const NOTES: [&str; 2] = ["first note", "second note"];
const PROOF: &str = "proof";

/// Verifies a file under the keys that the caller trusts: the log key of the side accused, or its
/// cosigner key, from which that follows. The other keys of both sides date the notes.
#[must_use]
pub fn verify_equivocation(file: &str, keys: &[VerifierKey]) -> EquivocationVerdict {
    let mut findings = Findings::default();
    let mut counts = Counts::default();
    let proven = match prove(file, keys, &mut findings, &mut counts) {
        Ok(proven) => Some(proven),
        Err(finding) => {
            findings.push(finding);
            None
        }
    };
    let mut verdict = findings.into_verdict(counts);
    verdict.rests_on = Keyring::pinned(keys).uses();
    EquivocationVerdict { proven, verdict }
}

/// One note, as far as it was judged.
struct Judged {
    checkpoint: Checkpoint,
    /// The log's keys that signed it.
    log: Vec<VerifierKey>,
    authored_at: Option<u64>,
    cosigned_at: Option<u64>,
    /// Names of lines by keys that the caller did not name.
    others: Vec<String>,
}

fn prove(
    file: &str,
    keys: &[VerifierKey],
    findings: &mut Findings,
    counts: &mut Counts,
) -> Result<TwoLogs, Finding> {
    // 1. The file.
    let file = Equivocation::parse(file)
        .map_err(|error| Finding::error(Code::NotOfTheFormat, FILE, error.to_string()))?;
    // 2. Each note by itself: a checkpoint, signed by a trusted key of the log that it names.
    let first = judge(&file.smaller, NOTES[0], keys, counts)?;
    let second = judge(&file.larger, NOTES[1], keys, counts)?;
    // 3. Of one log, and signed by one key.
    let (small, large) = (&first.checkpoint, &second.checkpoint);
    if small.origin != large.origin {
        let what = format!("one is of {}, the other of {}", small.origin, large.origin);
        return Err(Finding::error(Code::Names, FILE, what));
    }
    let key = first.log.iter().find(|key| second.log.contains(key));
    let key = key.ok_or_else(|| {
        let what = "the two notes are signed by two keys of the log; that shows no contradiction \
                    of either key's holder";
        Finding::error(Code::Key, FILE, what)
    })?;
    // 4. Both cannot be true.
    contradict(small, large, file.prefix.as_ref())?;

    for (judged, place) in [(&first, NOTES[0]), (&second, NOTES[1])] {
        if judged.authored_at.is_none() {
            let what = "no line of a trusted key of its author dates it";
            findings.push(Finding::note(Code::Date, place, what));
        }
        for name in &judged.others {
            let name = text::escape(name);
            let what = format!("a line by {name} is of no key named, and was not looked at");
            findings.push(Finding::note(Code::SignatureLines, place, what));
        }
    }
    if first.cosigned_at.is_some() && second.cosigned_at.is_some() {
        let what = "the mirror has cosigned both: it was itself put back to an earlier state between \
                    them, or held two mirrors";
        findings.push(Finding::note(Code::Equivocation, FILE, what));
    }
    let signed = |judged: &Judged| SignedNote {
        size: judged.checkpoint.size,
        root: judged.checkpoint.root.to_string(),
        authored_at: judged.authored_at,
        cosigned_at: judged.cosigned_at,
    };
    Ok(TwoLogs {
        origin: small.origin.clone(),
        key: key.to_string(),
        fingerprint: key.keyid().to_owned(),
        notes: [signed(&first), signed(&second)],
        prefix_root: file.prefix.map(|prefix| prefix.root.to_string()),
    })
}

/// Whether no log holds both checkpoints.
fn contradict(
    small: &Checkpoint,
    large: &Checkpoint,
    prefix: Option<&Prefix>,
) -> Result<(), Finding> {
    let fault = |code, what: String| Err(Finding::error(code, PROOF, what));
    let no_contradiction = |what: &str| fault(Code::NoContradiction, what.to_owned());
    match prefix {
        None if small.size != large.size => fault(
            Code::Proof,
            format!(
                "the notes have sizes {} and {}, and nothing shows what the larger tree holds at the \
                 smaller size",
                small.size, large.size
            ),
        ),
        None if small.root == large.root => no_contradiction(
            "both notes sign the same size and root: that is one log, signed twice",
        ),
        None => Ok(()),
        Some(_) if small.size >= large.size => fault(
            Code::Proof,
            format!(
                "a prefix is stated, but the notes have sizes {} and {}: the smaller one must come \
                 first",
                small.size, large.size
            ),
        ),
        Some(Prefix { root, hashes }) => {
            verify_consistency(small.size, large.size, *root, large.root, hashes)
                .or_else(|error| fault(Code::Proof, error.to_string()))?;
            if *root == small.root {
                return no_contradiction(
                    "the larger log begins with the smaller one: that is one log that grew",
                );
            }
            Ok(())
        }
    }
}

fn judge(
    whole: &str,
    place: &str,
    keys: &[VerifierKey],
    counts: &mut Counts,
) -> Result<Judged, Finding> {
    let fault = |code, what: String| Finding::error(code, place, what);
    let note = Note::parse(whole).map_err(|error| fault(Code::Checkpoint, error.to_string()))?;
    let claimed = Checkpoint::parse(note.text())
        .map_err(|error| fault(Code::Checkpoint, error.to_string()))?;
    let origin = Origin::parse(&claimed.origin)
        .map_err(|error| fault(Code::Checkpoint, error.to_string()))?;
    let (log, author, mirror) = keys_of(&origin, keys);
    if log.is_empty() {
        let what = format!(
            "none of the keys named is of the log {origin}; name the card of {}",
            origin.sender()
        );
        return Err(fault(Code::Key, what));
    }
    let known: Vec<&VerifierKey> = log.iter().chain(author).chain(mirror).collect();
    let signers = note::verify(&note, &known).map_err(|error| {
        let code = match &error {
            NoteError::NoKnownKey => Code::Key,
            _ => Code::Signature,
        };
        fault(code, error.to_string())
    })?;
    counts.signatures += signers.len() as u64;
    let dated = |name: &str| {
        let mut of_name = signers.iter().filter(|signer| signer.key.name() == name);
        of_name.find_map(|signer| signer.unix_seconds)
    };
    let by_log: Vec<VerifierKey> = signers
        .iter()
        .filter(|signer| log.contains(signer.key))
        .map(|signer| signer.key.clone())
        .collect();
    if by_log.is_empty() {
        let what = format!("no trusted key of the log {origin} has signed it");
        return Err(fault(Code::Key, what));
    }
    counts.checkpoints += 1;
    Ok(Judged {
        checkpoint: claimed,
        log: by_log,
        authored_at: dated(origin.sender().as_str()),
        cosigned_at: dated(origin.recipient().as_str()),
        others: note
            .signatures()
            .iter()
            .filter(|line| {
                !known
                    .iter()
                    .any(|key| key.key_id() == line.key_id && key.name() == line.name)
            })
            .map(|line| line.name.clone())
            .collect(),
    })
}

type NodeKeys<'k> = Vec<&'k VerifierKey>;

/// The trusted keys of a log, its author and its mirror. A node signs its logs with the key that it
/// cosigns with: from a cosigner key follows the log's.
fn keys_of<'k>(
    origin: &Origin,
    keys: &'k [VerifierKey],
) -> (Vec<VerifierKey>, NodeKeys<'k>, NodeKeys<'k>) {
    let cosigners = |name: &str| -> NodeKeys<'k> {
        let of_name =
            |key: &&VerifierKey| key.algorithm() == Algorithm::Cosignature && key.name() == name;
        keys.iter().filter(of_name).collect()
    };
    let (author, mirror) = (
        cosigners(origin.sender().as_str()),
        cosigners(origin.recipient().as_str()),
    );
    let name = origin.to_string();
    let named = keys
        .iter()
        .filter(|key| key.algorithm() == Algorithm::Ed25519 && key.name() == name)
        .cloned();
    let follow = author
        .iter()
        .filter_map(|key| VerifierKey::new(&name, Algorithm::Ed25519, *key.public()).ok());
    let mut log: Vec<VerifierKey> = Vec::new();
    for key in named.chain(follow) {
        if !log.contains(&key) {
            log.push(key);
        }
    }
    (log, author, mirror)
}

impl TwoLogs {
    /// The verdict in one sentence, for people.
    #[must_use]
    pub fn statement(&self) -> String {
        let [first, second] = &self.notes;
        let sizes = if first.size == second.size {
            format!("both of {} entries, with different roots", first.size)
        } else {
            format!(
                "of {} and {} entries, and the larger does not begin with the smaller",
                first.size, second.size
            )
        };
        format!(
            "EQUIVOCATION PROVEN: the holder of key {} signed two different logs {}: {sizes}",
            self.key, self.origin
        )
    }
}

//! Verifies one receipt: a `.tlog-proof`, the entry and the keys.

use bytes::Bytes;
use serde::Serialize;

use super::finding::{Code, Counts, Finding, Findings, Verdict};
use super::keyring::Keyring;
use crate::crypto::checkpoint::Checkpoint;
use crate::crypto::note::Note;
use crate::crypto::vkey::VerifierKey;
use crate::model::{Header, Origin};
use crate::tlog::proof::TlogProof;
use crate::tlog::{leaf_hash, verify_inclusion};

/// What a receipt proves: the mirror durably held this entry, at this index, at this time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Proven {
    /// The log: `<sender>/<recipient>`.
    pub origin: String,
    /// Index of the entry.
    pub index: u64,
    /// Size of the log under the checkpoint.
    pub size: u64,
    /// Root of the log, base64.
    pub root: String,
    /// Leaf hash of the entry, base64.
    pub leaf: String,
    /// When the author signed the checkpoint, Unix seconds, by its clock.
    pub authored_at: u64,
    /// When the mirror cosigned it, Unix seconds, by its clock.
    pub cosigned_at: u64,
    /// Id of the message, when the author's signature of the entry holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// What came of verifying a receipt.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProofVerdict {
    /// What is proven, when the proof itself holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proven: Option<Proven>,
    /// What was found; `place` is `proof` or `entry`.
    #[serde(flatten)]
    pub verdict: Verdict,
}

const PROOF: &str = "proof";
const ENTRY: &str = "entry";

/// Verifies a receipt of `entry` (the leaf's bytes) under `keys`: log key, both cosigner keys, and
/// the sender's message key.
#[must_use]
pub fn verify_proof(proof: &str, entry: &[u8], keys: &[VerifierKey]) -> ProofVerdict {
    let ring = Keyring::pinned(keys);
    let mut findings = Findings::default();
    let proven = match prove(proof, entry, &ring) {
        Ok((mut proven, origin)) => {
            proven.id = author(entry, proven.index, &origin, &ring, &mut findings);
            Some(proven)
        }
        Err(finding) => {
            findings.push(finding);
            None
        }
    };
    let mut verdict = findings.into_verdict(Counts::default());
    verdict.rests_on = ring.uses();
    ProofVerdict { proven, verdict }
}

fn prove(proof: &str, entry: &[u8], ring: &Keyring) -> Result<(Proven, Origin), Finding> {
    let fault =
        |code, error: &dyn std::fmt::Display| Finding::error(code, PROOF, error.to_string());
    let proof = TlogProof::parse(proof).map_err(|error| fault(Code::Proof, &error))?;
    // C2SP tlog-proof, "Verifying": 1. Compute the leaf hash.
    let leaf = leaf_hash(entry);
    // 2. Check that the origin is acceptable and that the log's key has signed.
    // 3. Verify all known cosignatures; here the author's and the mirror's are required.
    let note = Note::parse(&proof.checkpoint).map_err(|error| fault(Code::Checkpoint, &error))?;
    let claimed =
        Checkpoint::parse(note.text()).map_err(|error| fault(Code::Checkpoint, &error))?;
    let origin = Origin::parse(&claimed.origin).map_err(|error| fault(Code::Checkpoint, &error))?;
    let keys = ring
        .of_log(&origin)
        .map_err(|error| fault(Code::Key, &error))?;
    let (receipt, _) = ring
        .receipt(&keys, &proof.checkpoint)
        .map_err(|error| fault(Code::Checkpoint, &error))?;
    // 4. Check the inclusion proof against the signed root.
    let checkpoint = &receipt.signed.checkpoint;
    let (index, size) = (proof.index, checkpoint.size);
    verify_inclusion(index, size, leaf, &proof.hashes, checkpoint.root)
        .map_err(|error| fault(Code::Proof, &error).at(index))?;
    let proven = Proven {
        origin: origin.to_string(),
        index,
        size,
        root: checkpoint.root.to_string(),
        leaf: leaf.to_string(),
        authored_at: receipt.signed.authored_at,
        cosigned_at: receipt.cosigned_at,
        id: None,
    };
    Ok((proven, origin))
}

/// Id of the message, when the entry is its author's; a mirrored leaf need not be.
fn author(
    entry: &[u8],
    index: u64,
    origin: &Origin,
    ring: &Keyring,
    findings: &mut Findings,
) -> Option<String> {
    let mut fault = |code, what: String| {
        findings.push(Finding::error(code, ENTRY, what));
        None
    };
    let keys = ring.of_log(origin).ok()?;
    let history = &keys.followed.history;
    let envelope = match history.verify_entry(index, Bytes::copy_from_slice(entry)) {
        Ok((envelope, _)) => envelope,
        Err(error) => return fault(Code::Signature, error.to_string()),
    };
    let header = match Header::parse(&envelope.payload) {
        Ok(header) => header,
        Err(error) => return fault(Code::Header, error.to_string()),
    };
    if header.sender != *origin.sender() || header.recipient != *origin.recipient() {
        let what = format!(
            "from {} to {}, in the log {origin}",
            header.sender, header.recipient
        );
        return fault(Code::Names, what);
    }
    Some(header.id.to_string())
}

//! Judges one entry and the files that belong to it.

use bytes::Bytes;
use prost::Message as _;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::finding::{Code, Counts, Finding};
use super::format::LogFile;
use super::keyring::{Keyring, LogKeys};
use super::log::Kept;
use super::opened::{Opened, OpenedLog};
use super::render::{self, Absence};
use crate::crypto::checkpoint::Checkpoint;
use crate::crypto::note::Note;
use crate::limits::{BODY_BYTES_MAX, EXPORT_JSON_BYTES_MAX, SALT_BYTES};
use crate::model::Header;
use crate::model::header::body_digest;
use crate::proto::v1;
use crate::tlog::proof::{PROOF_BYTES_MAX, TlogProof};
use crate::tlog::{Hash, leaf_hash, verify_inclusion};

/// What an entry is judged with. Shared by the threads that judge a bundle.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bench<'a> {
    pub(super) export: &'a Opened,
    pub(super) log: &'a OpenedLog,
    pub(super) ring: &'a Keyring,
    pub(super) keys: &'a LogKeys,
    pub(super) checkpoints: &'a Kept,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) leaf: Hash,
    /// Its header, when signature and header hold.
    pub(super) message: Option<Header>,
    /// What the entry says of an entry of the other log, when all of it holds.
    pub(super) refusal: Option<v1::Refusal>,
    /// Faults that stand.
    pub(super) faults: Vec<Finding>,
    /// Faults of a leaf that need not be admitted: they stand unless it was refused.
    pub(super) refusable: Vec<Finding>,
    pub(super) counts: Counts,
}

impl Bench<'_> {
    /// Judges the entry at `index`, found in the bundle at `place`.
    pub(super) fn judge(&self, place: &str, index: u64, entry: &[u8]) -> Judged {
        let mut judged = Judged {
            leaf: leaf_hash(entry),
            message: None,
            refusal: None,
            faults: Vec::new(),
            refusable: Vec::new(),
            counts: Counts {
                entries: 1,
                ..Counts::default()
            },
        };
        let verified = self.signature(place, index, entry, &mut judged);
        // For the files that repeat it, a header is read even from a leaf whose signature is bad.
        let header = render::header(entry);
        let id = header.as_ref().map(|header| header.id.to_string());
        let body = self.body(index, header.as_ref(), &mut judged);
        if let (Some(header), Some(body)) = (&verified, &body) {
            judged.refusal = refusal(header, body);
        }
        judged.message = verified;
        self.notification(index, entry, body.as_deref(), &mut judged);
        self.dsse(index, entry, &mut judged.faults);
        if self.export.manifest.proofs {
            self.proof(index, &mut judged);
        }
        for finding in judged.faults.iter_mut().chain(&mut judged.refusable) {
            finding.index = Some(index);
            finding.id.clone_from(&id);
        }
        judged
    }

    /// The header, when it is signed by the log's author and speaks of this log.
    fn signature(
        &self,
        place: &str,
        index: u64,
        entry: &[u8],
        judged: &mut Judged,
    ) -> Option<Header> {
        let mut refusable = |code, what| judged.refusable.push(Finding::error(code, place, what));
        let history = &self.keys.followed.history;
        let verified = history.verify_entry(index, Bytes::copy_from_slice(entry));
        let envelope = match verified {
            Ok((envelope, _)) => envelope,
            Err(error) => {
                refusable(Code::Signature, error.to_string());
                return None;
            }
        };
        judged.counts.signatures += 1;
        let header = match Header::parse(&envelope.payload) {
            Ok(header) => header,
            Err(error) => {
                refusable(Code::Header, error.to_string());
                return None;
            }
        };
        let origin = &self.log.origin;
        if header.sender != *origin.sender() || header.recipient != *origin.recipient() {
            let what = format!(
                "from {} to {}, in the log {origin}",
                header.sender, header.recipient
            );
            refusable(Code::Names, what);
            return None;
        }
        if let Some(fault) = self.keys.followed.faults.get(&index) {
            let what = format!("a change of keys that does not count: {fault}");
            refusable(Code::KeyChange, what);
        }
        let created_at = header.wire.created_at.map_or(0, |time| time.seconds);
        let keyid = first_keyid(entry);
        if let Some(what) = self
            .ring
            .message_used(origin.sender().as_str(), &keyid, created_at)
        {
            refusable(Code::KeyNotValidThen, what);
        }
        Some(header)
    }

    /// Salt ‖ body, when it is there and can be what the entry commits to.
    fn body(&self, index: u64, header: Option<&Header>, judged: &mut Judged) -> Option<Vec<u8>> {
        let path = LogFile::Body(index).within(&self.log.folder);
        if !self.export.has(&path) {
            judged.counts.bodies_absent += 1;
            return None;
        }
        let salted = self
            .export
            .read(&path, SALT_BYTES + BODY_BYTES_MAX, &mut judged.faults)?;
        let fault = match (header, salted.split_first_chunk::<SALT_BYTES>()) {
            (None, _) => "a body of an entry whose header cannot be read",
            (_, None) => "shorter than a salt",
            (Some(header), Some((salt, body))) => {
                if body.len() as u64 != u64::from(header.body_size) {
                    "its length is not the one in the header"
                } else if body_digest(salt, body) != header.body_digest {
                    "its salted digest is not the one in the header"
                } else {
                    judged.counts.bodies += 1;
                    return Some(salted);
                }
            }
        };
        judged.faults.push(Finding::error(Code::Body, path, fault));
        Some(salted)
    }

    fn notification(&self, index: u64, entry: &[u8], body: Option<&[u8]>, judged: &mut Judged) {
        let path = LogFile::Notification(index).within(&self.log.folder);
        let Some(bytes) = self
            .export
            .read(&path, EXPORT_JSON_BYTES_MAX, &mut judged.faults)
        else {
            return;
        };
        let said = self.log.absent.get(&index).copied();
        if let Some(body) = body {
            if said.is_some() {
                let what = "the manifest says that its body is not in the export, and it is";
                judged
                    .faults
                    .push(Finding::error(Code::Manifest, path.clone(), what));
            }
            let derived = render::notification(index, entry, Ok(body));
            // An export stays what it was when later versions learn more kinds.
            if bytes != derived && bytes == render::notification(index, entry, Err(render::NEWER)) {
                let what =
                    "written by a version that did not know this kind; the body is beside it";
                judged
                    .faults
                    .push(Finding::note(Code::Notification, path, what));
                return;
            }
            judged
                .faults
                .extend(differs(Code::Notification, &path, &bytes, &derived));
            return;
        }
        // Which of the reasons it gives is the exporter's word, but it is one of these.
        let given = Absence::ALL
            .into_iter()
            .find(|absence| render::notification(index, entry, Err(absence.word())) == bytes);
        if let Some(said) = said
            && given.is_some_and(|given| given != said)
        {
            let what = format!("the manifest says that its body is {}", said.word());
            judged
                .faults
                .push(Finding::error(Code::Manifest, path.clone(), what));
        }
        match given {
            Some(Absence::Withheld) => judged.counts.bodies_withheld += 1,
            Some(Absence::Erased) => judged.counts.bodies_erased += 1,
            Some(Absence::Refused) => {
                let what = "its body is said to be refused, but the other log of this export holds \
                            no signed REFUSAL of it";
                judged
                    .refusable
                    .push(Finding::error(Code::Refusal, path, what));
            }
            None => {
                let derived = render::notification(index, entry, Err(Absence::Withheld.word()));
                judged
                    .faults
                    .extend(differs(Code::Notification, &path, &bytes, &derived));
            }
        }
    }

    fn dsse(&self, index: u64, entry: &[u8], faults: &mut Vec<Finding>) {
        let path = LogFile::Dsse(index).within(&self.log.folder);
        match render::dsse(entry) {
            Some(derived) => {
                if let Some(bytes) = self.export.read(&path, EXPORT_JSON_BYTES_MAX, faults) {
                    faults.extend(differs(Code::Dsse, &path, &bytes, &derived));
                }
            }
            None if self.export.has(&path) => {
                let what = "an envelope of an entry that is none";
                faults.push(Finding::error(Code::Dsse, path, what));
            }
            None => {}
        }
    }

    fn proof(&self, index: u64, judged: &mut Judged) {
        let path = LogFile::Proof(index).within(&self.log.folder);
        let Some(bytes) = self.export.read(&path, PROOF_BYTES_MAX, &mut judged.faults) else {
            return;
        };
        match self.check_proof(index, judged.leaf, &bytes) {
            Ok(()) => judged.counts.proofs += 1,
            Err(what) => judged.faults.push(Finding::error(Code::Proof, path, what)),
        }
    }

    fn check_proof(&self, index: u64, leaf: Hash, bytes: &[u8]) -> Result<(), String> {
        let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
        let proof = TlogProof::parse(text).map_err(|error| error.to_string())?;
        if proof.index != index {
            return Err(format!("it is of index {}", proof.index));
        }
        if proof.extra.is_some() {
            return Err("it carries extra data, which exports never do".into());
        }
        let note = Note::parse(&proof.checkpoint).map_err(|error| error.to_string())?;
        let size = Checkpoint::parse(note.text())
            .map_err(|error| error.to_string())?
            .size;
        // Signatures need not be verified again if the very same note has been.
        let digest: [u8; 32] = Sha256::digest(proof.checkpoint.as_bytes()).into();
        let kept = self
            .checkpoints
            .get(&size)
            .filter(|kept| kept.digest == digest);
        let kept = kept.ok_or_else(|| {
            format!("its checkpoint of size {size} is not the verified one in checkpoints/")
        })?;
        verify_inclusion(index, size, leaf, &proof.hashes, kept.root)
            .map_err(|error| error.to_string())
    }
}

/// The refusal that a verified entry states.
fn refusal(header: &Header, salted: &[u8]) -> Option<v1::Refusal> {
    if header.kind != v1::Kind::Refusal as i32 {
        return None;
    }
    let (salt, body) = salted.split_first_chunk::<SALT_BYTES>()?;
    let holds = body_digest(salt, body) == header.body_digest;
    v1::Refusal::decode(body).ok().filter(|_| holds)
}

fn first_keyid(entry: &[u8]) -> String {
    let entry = v1::Entry::decode(entry).unwrap_or_default();
    entry
        .signatures
        .into_iter()
        .next()
        .map(|signature| signature.keyid)
        .unwrap_or_default()
}

/// A finding if a file is not what follows from entry and body; names the first field that differs.
fn differs(code: Code, path: &str, found: &[u8], derived: &[u8]) -> Option<Finding> {
    if found == derived {
        return None;
    }
    let parse = |bytes| serde_json::from_slice::<Value>(bytes).ok();
    let what = match (parse(found), parse(derived)) {
        (Some(found), Some(derived)) => match first_difference(&found, &derived, String::new()) {
            Some(field) => format!("differs from what entry and body say at {field}"),
            None => "not the text that an export writes: order, spaces or repeated fields".into(),
        },
        _ => "no JSON".into(),
    };
    Some(Finding::error(code, path, what))
}

/// Path of the first field in which two values differ.
fn first_difference(found: &Value, derived: &Value, path: String) -> Option<String> {
    match (found, derived) {
        (Value::Object(found), Value::Object(derived)) => {
            for (name, value) in derived {
                let path = format!("{path}.{name}");
                match found.get(name) {
                    None => return Some(path),
                    Some(other) => {
                        if let Some(field) = first_difference(other, value, path) {
                            return Some(field);
                        }
                    }
                }
            }
            let extra = found.keys().find(|name| !derived.contains_key(*name))?;
            Some(format!("{path}.{}", crate::model::text::escape(extra)))
        }
        (Value::Array(found), Value::Array(derived)) if found.len() == derived.len() => {
            let mut pairs = found.iter().zip(derived).enumerate();
            pairs.find_map(|(at, (found, derived))| {
                first_difference(found, derived, format!("{path}[{at}]"))
            })
        }
        _ => (found != derived).then_some(path),
    }
}

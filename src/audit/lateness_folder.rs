//! The claim of an export that a side was late, judged again with what the export holds.

use std::collections::BTreeMap;

use prost::Message as _;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::finding::{Code, Finding};
use super::format::{CLAIM, CLAIM_RECEIPT, LogFile};
use super::lateness::{self, Claim, Dated, Exhibit, Line};
use super::log::{DatedKept, Kept};
use super::opened::{Opened, OpenedLog};
use super::render;
use super::verify::{Leaf, entry};
use crate::limits::{BODY_BYTES_MAX, EXPORT_JSON_BYTES_MAX, SALT_BYTES};
use crate::model::header::body_digest;
use crate::model::{Header, Origin, body};
use crate::proto::v1;
use crate::proto::v1::body::Body;
use crate::tlog::path::TileKind;
use crate::tlog::proof::{PROOF_BYTES_MAX, TlogProof};
use crate::tlog::{Hash, bundle, leaf_hash, verify_inclusion};

/// What of a claim says which one it is; all else follows.
#[derive(Deserialize)]
struct Named {
    log: String,
    index: u64,
    checkpoint_size: u64,
}

/// Judges the claim of an export whose logs have been judged. Nothing is believed that is in it: it
/// is derived again, and must be the same text.
pub(super) fn check(
    export: &Opened,
    logs: &BTreeMap<usize, (Kept, DatedKept)>,
    refused: &BTreeMap<Leaf, u64>,
    faults: &mut Vec<Finding>,
) -> Option<Claim> {
    let bytes = export.read(CLAIM, EXPORT_JSON_BYTES_MAX, faults)?;
    let mut fault = |place: &str, what: String| {
        faults.push(Finding::error(Code::Claim, place, what));
        None::<Claim>
    };
    let Ok(named) = serde_json::from_slice::<Named>(&bytes) else {
        return fault(CLAIM, "no claim of lateness".to_owned());
    };
    let number = |origin: &Origin| export.logs.iter().position(|log| log.origin == *origin);
    let own = Origin::parse(&named.log).ok();
    let both = own.and_then(|own| Some((number(&own)?, number(&own.reversed())?)));
    let Some((own, peer)) = both else {
        return fault(CLAIM, "its two logs are not both in this export".to_owned());
    };
    let (Some((receipts, _)), Some((_, dated))) = (logs.get(&own), logs.get(&peer)) else {
        return fault(CLAIM, "its logs could not be judged".to_owned());
    };
    let refused = refused.iter().filter(|((log, _), _)| *log == peer);
    let folder = FolderExhibit {
        export,
        own: &export.logs[own],
        peer: &export.logs[peer],
        own_lines: lines(export, &export.logs[own]),
        peer_lines: lines(export, &export.logs[peer]),
        receipts,
        refusals: refused.map(|((_, index), at)| (*at, *index)).collect(),
    };
    let Some((_, at)) = dated.get(&named.checkpoint_size) else {
        let place = LogFile::Dated(named.checkpoint_size).within(&folder.peer.folder);
        return fault(
            &place,
            "the dated checkpoint that the claim names does not hold".to_owned(),
        );
    };
    let dated = Dated {
        size: named.checkpoint_size,
        at: *at,
    };
    let claim = match lateness::judge(&folder, named.index, dated) {
        Ok(claim) => claim,
        Err(error) => return fault(CLAIM, format!("the claim does not hold: {error}")),
    };
    if claim.encode() != bytes {
        let what = "not what follows from the logs; the claim was changed or is of other logs";
        return fault(CLAIM, what.to_owned());
    }
    let proof = export.read(CLAIM_RECEIPT, PROOF_BYTES_MAX, faults)?;
    match folder.check_receipt(&claim, &proof) {
        Ok(()) => Some(claim),
        Err(what) => {
            faults.push(Finding::error(Code::Proof, CLAIM_RECEIPT, what));
            None
        }
    }
}

/// What matters of each entry of a log, as far as its bundles are there.
fn lines(export: &Opened, log: &OpenedLog) -> Vec<Option<Line>> {
    let mut lines = Vec::new();
    for tile in super::format::tiles(log.size, TileKind::Entries) {
        let path = LogFile::Tile(tile).within(&log.folder);
        let bytes = export.read(&path, bundle::BUNDLE_BYTES_MAX, &mut Vec::new());
        let bytes = bytes.unwrap_or_default();
        let Ok(entries) = bundle::decode(&bytes) else {
            break;
        };
        let of = |entry: &&[u8]| render::header(entry).map(|header| Line::of(&header));
        lines.extend(entries.iter().map(of));
        if entries.len() as u64 != tile.width {
            break;
        }
    }
    lines
}

/// What an export holds, as the judge wants it.
struct FolderExhibit<'a> {
    export: &'a Opened,
    own: &'a OpenedLog,
    peer: &'a OpenedLog,
    own_lines: Vec<Option<Line>>,
    peer_lines: Vec<Option<Line>>,
    receipts: &'a Kept,
    refusals: BTreeMap<u64, u64>,
}

impl FolderExhibit<'_> {
    /// Header and body of an entry; the body only if it is what the header commits to.
    fn message(&self, log: &OpenedLog, index: u64) -> Option<(Header, Option<Body>)> {
        if index >= log.size {
            return None;
        }
        let header = render::header(&entry(self.export, log, index)?)?;
        let path = LogFile::Body(index).within(&log.folder);
        let salted = self.export.has(&path).then(|| {
            self.export
                .read(&path, SALT_BYTES + BODY_BYTES_MAX, &mut Vec::new())
        });
        let content = salted.flatten().and_then(|salted| {
            let (salt, bytes) = salted.split_first_chunk::<SALT_BYTES>()?;
            if body_digest(salt, bytes) != header.body_digest {
                return None;
            }
            if header.kind == v1::Kind::Refusal as i32 {
                return v1::Refusal::decode(bytes).ok().map(Body::Refusal);
            }
            body::read(header.kind, &header.schema, bytes)
        });
        Some((header, content))
    }

    fn check_receipt(&self, claim: &Claim, bytes: &[u8]) -> Result<(), String> {
        let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
        let proof = TlogProof::parse(text).map_err(|error| error.to_string())?;
        if proof.extra.is_some() {
            return Err("it carries extra data, which exports never do".to_owned());
        }
        let digest: [u8; 32] = Sha256::digest(proof.checkpoint.as_bytes()).into();
        let kept = self.receipts.get(&claim.receipt_size);
        let kept = kept.filter(|kept| kept.digest == digest).ok_or_else(|| {
            let size = claim.receipt_size;
            format!("its checkpoint is not the verified one in checkpoints/{size}")
        })?;
        let leaf = entry(self.export, self.own, claim.index).ok_or("its entry is missing")?;
        if proof.index != claim.index {
            return Err(format!("it is of index {}", proof.index));
        }
        let (size, leaf) = (claim.receipt_size, leaf_hash(&leaf));
        verify_inclusion(proof.index, size, leaf, &proof.hashes, kept.root)
            .map_err(|error| error.to_string())
    }
}

impl Exhibit for FolderExhibit<'_> {
    fn own(&self) -> &Origin {
        &self.own.origin
    }

    fn own_lines(&self) -> &[Option<Line>] {
        &self.own_lines
    }

    fn peer_lines(&self) -> &[Option<Line>] {
        &self.peer_lines
    }

    fn receipt(&self, index: u64) -> Option<(u64, u64)> {
        let mut covering = self.receipts.range(index.checked_add(1)?..);
        covering
            .next()
            .map(|(size, kept)| (*size, kept.cosigned_at))
    }

    fn request(&self, index: u64) -> Option<(Header, Option<Body>)> {
        self.message(self.own, index)
    }

    fn peer_body(&self, index: u64) -> Option<Body> {
        self.message(self.peer, index)?.1
    }

    fn leaf(&self, index: u64) -> Option<Hash> {
        Some(leaf_hash(&entry(self.export, self.own, index)?))
    }

    fn refusals(&self) -> &BTreeMap<u64, u64> {
        &self.refusals
    }

    fn receipted_after(&self, second: u64) -> Option<u64> {
        let mut receipts = self.receipts.iter();
        let found = receipts.find(|(_, kept)| kept.cosigned_at > second);
        found.map(|(size, _)| *size)
    }
}

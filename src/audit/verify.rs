//! Re-checks an export from the keys alone.
//!
//! Recomputed from entries and bodies: leaf hashes, every tile, every root, the two JSON files of
//! each entry. Verified strictly: the author's signature of each entry, the three signatures of
//! each checkpoint, each receipt. Since every kept checkpoint signs a root of the one sequence of
//! entries that is there, all of them are consistent with each other.
//!
//! A mirrored leaf need not be admitted: a fault of an entry itself is a note, not an error, when
//! the other log of the export holds its recipient's signed REFUSAL with index and leaf hash.

use std::collections::BTreeMap;
use std::path::Path;

use super::entry::Judged;
use super::finding::{Code, Counts, Finding, Findings, LogSummary, Verdict};
use super::format::{CLAIM, CLAIM_RECEIPT, Held, LogFile, MANIFEST};
use super::keyring::Keyring;
use super::lateness_folder;
use super::log;
use super::opened::{Opened, OpenedLog};
use super::render;
use crate::crypto::vkey::VerifierKey;
use crate::limits::FINDINGS_MAX;
use crate::model::{MessageId, Origin, text};
use crate::proto::v1;
use crate::tlog::path::{TileKind, TilePath};
use crate::tlog::{Hash, TILE_BYTES, TILE_WIDTH, bundle};

/// How far the work has come.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// The log at work.
    pub origin: &'a Origin,
    /// Entries judged.
    pub done: u64,
    /// Entries of the log in the export.
    pub total: u64,
}

/// Verifies the export in `dir`.
///
/// With `trusted` keys nothing else is believed, and keys of the export that are not among them are
/// reported. Without, the export's own keys are taken, and the verdict lists on which fingerprints
/// it rests: whoever reads it compares them with what the sides have given out.
pub fn verify_export(
    dir: &Path,
    trusted: Option<&[VerifierKey]>,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Verdict {
    examine(dir, trusted, &mut |_, _, _| {}, progress).0
}

/// The same, for somebody who looks on: `witness` is told of each entry of each log, in order. The
/// export comes back if there is a manifest to go by.
pub(super) fn examine(
    dir: &Path,
    trusted: Option<&[VerifierKey]>,
    witness: &mut dyn FnMut(&OpenedLog, u64, &Judged),
    progress: &mut dyn FnMut(Progress<'_>),
) -> (Verdict, Option<Opened>) {
    let mut findings = Findings::default();
    let mut faults = Vec::new();
    let opened = Opened::open(dir, &mut faults);
    let Some(export) = opened else {
        findings.extend(faults);
        return (findings.into_verdict(Counts::default()), None);
    };
    let mut ring = Keyring::of_manifest(&export.manifest.keys, trusted, &mut faults);
    ring.follow(&export, &mut faults);
    findings.extend(faults);

    let mut court = Court::default();
    let mut counts = Counts {
        files: export.files(),
        ..Counts::default()
    };
    let mut logs = Vec::new();
    let mut judged_logs = BTreeMap::new();
    for (number, log) in export.logs.iter().enumerate() {
        let keys = match ring.of_log(&log.origin) {
            Ok(keys) => keys,
            Err(error) => {
                let what = format!("log {}: {error}", log.origin);
                findings.push(Finding::error(Code::Key, MANIFEST, what));
                logs.push(unjudged(log));
                continue;
            }
        };
        if !keys.has_message_key() && log.size > 0 {
            let what = format!("there is no message key named {}", log.origin.sender());
            findings.push(Finding::error(Code::Key, MANIFEST, what));
        }
        let mut entry = |index, judged: Judged| {
            counts.add(judged.counts);
            witness(log, index, &judged);
            court.hear((number, index), judged, &export, &mut findings);
        };
        let judged = log::judge(&export, log, &ring, &keys, &mut entry, progress);
        counts.add(judged.counts);
        findings.extend(judged.faults);
        logs.push(judged.summary);
        judged_logs.insert(number, (judged.checkpoints, judged.dated));
    }
    let refused = court.close(&export, &mut findings);
    counts.refused = refused.len() as u64;
    let claim = if export.has(CLAIM) || export.has(CLAIM_RECEIPT) {
        let mut faults = Vec::new();
        let claim = lateness_folder::check(&export, &judged_logs, &refused, &mut faults);
        findings.extend(faults);
        claim
    } else {
        None
    };
    check_export_time(&export, &logs, &mut findings);
    findings.extend(ring.unused());

    let mut verdict = findings.into_verdict(counts);
    verdict.logs = logs;
    verdict.rests_on = ring.uses();
    // It rests on all that was checked.
    verdict.claim = claim.filter(|_| verdict.clean);
    (verdict, Some(export))
}

/// Number of a log in the export, and index in it.
pub(super) type Leaf = (usize, u64);

/// What must wait until both logs have been heard.
#[derive(Debug, Default)]
struct Court {
    /// By link (the lower number of its logs in the export) and id: an id is used once on a link.
    messages: BTreeMap<(usize, MessageId), Leaf>,
    refusals: Vec<(Leaf, MessageId, v1::Refusal)>,
    /// Faults that stand unless one of the leaves was refused.
    pending: Vec<(Vec<Leaf>, Finding)>,
}

impl Court {
    fn hear(&mut self, leaf: Leaf, judged: Judged, export: &Opened, findings: &mut Findings) {
        let log = &export.logs[leaf.0];
        findings.extend(judged.faults);
        for fault in judged.refusable {
            self.postpone(vec![leaf], fault, findings);
        }
        let Some(id) = judged.message.map(|header| header.id) else {
            return;
        };
        let reversed = log.origin.reversed();
        let other = export.logs.iter().position(|log| log.origin == reversed);
        let link = other.map_or(leaf.0, |other| leaf.0.min(other));
        match self.messages.get(&(link, id)) {
            // The same entry again as well: an index is one message, or refused.
            Some(other) => {
                let what = format!("its id was used before, at index {}", other.1);
                let place = bundle_path(log, leaf.1);
                let finding = Finding::error(Code::DuplicateId, place, what).at(leaf.1);
                let leaves = vec![leaf, *other];
                self.postpone(leaves, finding.of(Some(&id.to_string())), findings);
            }
            None => {
                self.messages.insert((link, id), leaf);
            }
        }
        if let Some(refusal) = judged.refusal {
            self.refusals.push((leaf, id, refusal));
        }
    }

    /// Beyond what a verdict lists anyway, faults are not kept but stand at once.
    fn postpone(&mut self, leaves: Vec<Leaf>, fault: Finding, findings: &mut Findings) {
        if self.pending.len() < FINDINGS_MAX {
            self.pending.push((leaves, fault));
        } else {
            findings.push(fault);
        }
    }

    /// Matches refusals with what they refuse; returns the entries that were refused, each with the
    /// index of the first REFUSAL of it in the other log.
    fn close(self, export: &Opened, findings: &mut Findings) -> BTreeMap<Leaf, u64> {
        let mut refused = BTreeMap::new();
        for ((log, index), id, refusal) in &self.refusals {
            let log = &export.logs[*log];
            let other = log.origin.reversed();
            let target = export.logs.iter().position(|log| log.origin == other);
            let Some(target) = target.filter(|target| refusal.index < export.logs[*target].size)
            else {
                let what = format!(
                    "refuses index {} of {other}, beyond this export",
                    refusal.index
                );
                let note = Finding::note(Code::Refusal, bundle_path(log, *index), what);
                findings.push(note.at(*index).of(Some(&id.to_string())));
                continue;
            };
            let leaf = leaf(export, &export.logs[target], refusal.index);
            if leaf.is_some_and(|leaf| leaf.0[..] == refusal.entry_digest[..]) {
                refused
                    .entry((target, refusal.index))
                    .or_insert((*index, refusal));
            } else {
                let what = format!(
                    "refuses index {} of {other} by a digest that is not that entry's",
                    refusal.index
                );
                let error = Finding::error(Code::Refusal, bundle_path(log, *index), what);
                findings.push(error.at(*index).of(Some(&id.to_string())));
            }
        }
        for (leaves, fault) in self.pending {
            if !leaves.iter().any(|leaf| refused.contains_key(leaf)) {
                findings.push(fault);
            }
        }
        for ((log, index), (_, refusal)) in &refused {
            let log = &export.logs[*log];
            let what = format!(
                "refused entry: {} has mirrored and not admitted it: {}: {}",
                log.origin.recipient(),
                refusal.reason().as_str_name(),
                text::escape(&refusal.detail)
            );
            let id = entry(export, log, *index)
                .and_then(|entry| render::header(&entry))
                .map(|header| header.id.to_string());
            let note = Finding::note(Code::RefusedEntry, bundle_path(log, *index), what);
            findings.push(note.at(*index).of(id.as_deref()));
        }
        let first = refused.into_iter().map(|(leaf, (at, _))| (leaf, at));
        first.collect()
    }
}

/// The leaf hash that the export's tiles have at an index.
fn leaf(export: &Opened, log: &OpenedLog, index: u64) -> Option<Hash> {
    let path = tile_of(log, index, TileKind::Hashes { level: 0 });
    let tile = export.read(&path, TILE_BYTES, &mut Vec::new())?;
    let position = usize::try_from(index % TILE_WIDTH).ok()?;
    Hash::from_slice(tile.chunks(Hash::BYTES).nth(position)?).ok()
}

/// The entry that the export's bundles have at an index.
pub(super) fn entry(export: &Opened, log: &OpenedLog, index: u64) -> Option<Vec<u8>> {
    let path = bundle_path(log, index);
    let bytes = export.read(&path, bundle::BUNDLE_BYTES_MAX, &mut Vec::new())?;
    let position = usize::try_from(index % TILE_WIDTH).ok()?;
    bundle::decode(&bytes)
        .ok()?
        .get(position)
        .map(|entry| entry.to_vec())
}

/// Path of the bundle that holds an entry.
pub(super) fn bundle_path(log: &OpenedLog, index: u64) -> String {
    tile_of(log, index, TileKind::Entries)
}

fn tile_of(log: &OpenedLog, index: u64, kind: TileKind) -> String {
    let index = index / TILE_WIDTH;
    let width = (log.size - index * TILE_WIDTH).min(TILE_WIDTH);
    LogFile::Tile(TilePath { kind, index, width }).within(&log.folder)
}

/// An export is not older than what its own node signed in it, unless its clock was put back. The
/// time of an export is only the exporter's word, so this is only worth a note.
fn check_export_time(export: &Opened, logs: &[LogSummary], findings: &mut Findings) {
    let Ok(exported_at) = export.manifest.exported_at.parse::<jiff::Timestamp>() else {
        return;
    };
    let exported_at = u64::try_from(exported_at.as_second()).unwrap_or(0);
    let own_clock = |log: &LogSummary| {
        let origin = Origin::parse(&log.origin).ok()?;
        match Held::of(export.node.as_ref()?, &origin)? {
            Held::Own => log.authored_at,
            Held::Mirror => log.cosigned_at,
        }
    };
    if logs
        .iter()
        .filter_map(own_clock)
        .any(|time| time > exported_at)
    {
        let what = "exported_at is before the time of a signature of the node that exported";
        findings.push(Finding::note(Code::Date, MANIFEST, what));
    }
}

fn unjudged(log: &OpenedLog) -> LogSummary {
    LogSummary {
        origin: log.origin.to_string(),
        size: log.size,
        recorded_beyond: log.recorded_beyond,
        root: None,
        authored_at: None,
        cosigned_at: None,
    }
}

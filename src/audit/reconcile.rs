//! Compares the exports of both sides.
//!
//! What the exports claim each by itself is [`verify`](super::verify)'s business; here it is
//! whether they tell the same story: the mirror of one is the log of the other, entry by entry up to
//! the common size; the checkpoints of both fit the entries of both; bodies that both hold are the
//! same bytes. Two verified checkpoints that contradict each other are equivocation by the log's
//! author, or by a cosigner that vouched for both.
//!
//! Places begin with `A/` or `B/`.

use std::collections::BTreeMap;
use std::path::Path;

use super::Progress;
use super::finding::{Code, Counts, Finding, Findings, LogSummary, Verdict};
use super::format::{LogFile, MANIFEST};
use super::keyring::Keyring;
use super::log::{Kept, read_checkpoints};
use super::opened::{Opened, OpenedLog};
use super::render;
use super::verify::bundle_path;
use crate::limits::{BODY_BYTES_MAX, SALT_BYTES};
use crate::tlog::{Hash, TILE_WIDTH, Tree, bundle, leaf_hash};

/// Compares the exports in `dir_a` and `dir_b`.
pub fn reconcile(dir_a: &Path, dir_b: &Path, progress: &mut dyn FnMut(Progress<'_>)) -> Verdict {
    let mut findings = Findings::default();
    let sides = (
        Side::open('A', dir_a, &mut findings),
        Side::open('B', dir_b, &mut findings),
    );
    let (Some(a), Some(b)) = sides else {
        return findings.into_verdict(Counts::default());
    };
    if a.export.node == b.export.node {
        let what = "both exports are of the same node; compare one of each side";
        findings.push(Finding::error(Code::Manifest, b.place(MANIFEST), what));
    }
    compare_keys(&a, &b, &mut findings);

    let mut counts = Counts {
        files: a.export.files() + b.export.files(),
        ..Counts::default()
    };
    let mut logs = Vec::new();
    for log in &a.export.logs {
        match b
            .export
            .logs
            .iter()
            .find(|other| other.origin == log.origin)
        {
            Some(other) => {
                let pair = Pair {
                    a: &a,
                    b: &b,
                    log_a: log,
                    log_b: other,
                };
                counts.add(pair.compare(&mut findings, progress));
                logs.push(pair.summary());
            }
            None => findings.push(absent(&b, log)),
        }
    }
    let only_b = b
        .export
        .logs
        .iter()
        .filter(|log| a.export.logs.iter().all(|other| other.origin != log.origin));
    findings.extend(only_b.map(|log| absent(&a, log)));

    let mut verdict = findings.into_verdict(counts);
    verdict.logs = logs;
    verdict.rests_on = a.ring.uses();
    verdict
}

/// One of the two exports.
struct Side {
    letter: char,
    export: Opened,
    ring: Keyring,
}

impl Side {
    fn open(letter: char, dir: &Path, findings: &mut Findings) -> Option<Self> {
        let mut faults = Vec::new();
        let export = Opened::open(dir, &mut faults);
        let ring = export.as_ref().map(|export| {
            let mut ring = Keyring::of_manifest(&export.manifest.keys, None, &mut faults);
            ring.follow(export, &mut faults);
            ring
        });
        findings.extend(faults.into_iter().map(|fault| on_side(letter, fault)));
        Some(Self {
            letter,
            export: export?,
            ring: ring?,
        })
    }

    fn place(&self, path: &str) -> String {
        format!("{}/{path}", self.letter)
    }

    /// Reads a file; its faults are reported with this side's letter.
    fn read(&self, path: &str, bytes_max: usize, findings: &mut Findings) -> Option<Vec<u8>> {
        let mut faults = Vec::new();
        let bytes = self.export.read(path, bytes_max, &mut faults);
        findings.extend(faults.into_iter().map(|fault| on_side(self.letter, fault)));
        bytes
    }

    fn checkpoints(&self, log: &OpenedLog, findings: &mut Findings) -> Kept {
        let mut faults = Vec::new();
        let kept = match self.ring.of_log(&log.origin) {
            Ok(keys) => read_checkpoints(&self.export, log, &self.ring, &keys, &mut faults),
            Err(error) => {
                let what = format!("log {}: {error}", log.origin);
                faults.push(Finding::error(Code::Key, MANIFEST, what));
                Kept::new()
            }
        };
        findings.extend(faults.into_iter().map(|fault| on_side(self.letter, fault)));
        kept
    }
}

fn on_side(letter: char, finding: Finding) -> Finding {
    Finding {
        place: format!("{letter}/{}", finding.place),
        ..finding
    }
}

fn absent(side: &Side, log: &OpenedLog) -> Finding {
    let what = format!(
        "it does not hold the log {}, which the other export does",
        log.origin
    );
    Finding::error(Code::Missing, side.place(MANIFEST), what)
}

/// Both sides name the same keys for whatever both hold.
fn compare_keys(a: &Side, b: &Side, findings: &mut Findings) {
    for (side, other) in [(a, b), (b, a)] {
        let names: Vec<String> = other
            .export
            .logs
            .iter()
            .flat_map(|log| {
                let (origin, sender) = (log.origin.to_string(), log.origin.sender().to_string());
                [origin, sender, log.origin.recipient().to_string()]
            })
            .collect();
        let theirs = other.ring.uses();
        for key in side.ring.uses() {
            let name = key.vkey.split('+').next().unwrap_or_default();
            if names.iter().any(|known| known == name) && theirs.iter().all(|k| k.vkey != key.vkey)
            {
                let what = format!(
                    "the {} key {} is not in the other export",
                    key.role, key.vkey
                );
                findings.push(Finding::error(Code::Key, side.place(MANIFEST), what));
            }
        }
    }
}

/// One log in both exports.
struct Pair<'a> {
    a: &'a Side,
    b: &'a Side,
    log_a: &'a OpenedLog,
    log_b: &'a OpenedLog,
}

impl Pair<'_> {
    fn compare(&self, findings: &mut Findings, progress: &mut dyn FnMut(Progress<'_>)) -> Counts {
        let (size_a, size_b) = (self.log_a.size, self.log_b.size);
        if size_a != size_b {
            let what = format!(
                "log {}: A holds {size_a} entries, B {size_b}; compared up to the smaller size",
                self.log_a.origin
            );
            findings.push(Finding::note(Code::Size, self.a.place(MANIFEST), what));
        }
        let kept_a = self.a.checkpoints(self.log_a, findings);
        let kept_b = self.b.checkpoints(self.log_b, findings);
        self.compare_checkpoints(&kept_a, &kept_b, findings);

        let mut counts = Counts {
            checkpoints: (kept_a.len() + kept_b.len()) as u64,
            ..Counts::default()
        };
        let (mut tree_a, mut tree_b) = (Some(Tree::new()), Some(Tree::new()));
        let total = size_a.max(size_b);
        let mut first = 0;
        while first < total {
            let entries_a = entries(self.a, self.log_a, first, findings);
            let entries_b = entries(self.b, self.log_b, first, findings);
            if entries_a.is_none() && entries_b.is_none() {
                break;
            }
            let (entries_a, entries_b) =
                (entries_a.unwrap_or_default(), entries_b.unwrap_or_default());
            for (index, (one, other)) in (first..).zip(entries_a.iter().zip(&entries_b)) {
                counts.entries += 1;
                if one == other {
                    counts.bodies += self.compare_bodies(index, one, findings);
                } else {
                    self.differ(index, one, other, findings);
                }
            }
            // Each side's entries under the other side's checkpoints.
            let tree_a = grow(&mut tree_a, &entries_a, self.log_a, first);
            contradict(tree_a, &kept_b, self.b, self.log_b, findings);
            let tree_b = grow(&mut tree_b, &entries_b, self.log_b, first);
            contradict(tree_b, &kept_a, self.a, self.log_a, findings);
            first += TILE_WIDTH;
            let origin = &self.log_a.origin;
            progress(Progress {
                origin,
                done: first.min(total),
                total,
            });
        }
        counts
    }

    /// Two verified checkpoints of one size with two roots.
    fn compare_checkpoints(&self, kept_a: &Kept, kept_b: &Kept, findings: &mut Findings) {
        for (size, one) in kept_a {
            if kept_b.get(size).is_some_and(|other| other.root != one.root) {
                let what = format!(
                    "equivocation: A and B hold signed checkpoints of size {size} with two roots"
                );
                let path = LogFile::Checkpoint(*size).within(&self.log_a.folder);
                findings.push(Finding::error(
                    Code::Equivocation,
                    self.a.place(&path),
                    &*what,
                ));
                findings.push(Finding::error(
                    Code::Equivocation,
                    self.b.place(&path),
                    what,
                ));
            }
        }
    }

    fn differ(&self, index: u64, one: &[u8], other: &[u8], findings: &mut Findings) {
        let id = |entry| render::header(entry).map(|header| header.id.to_string());
        let (id_a, id_b) = (id(one), id(other));
        let shown = |id: &Option<String>| id.clone().unwrap_or_else(|| "unreadable".into());
        let what = format!(
            "the entries differ: A has {} (leaf {}), B has {} (leaf {})",
            shown(&id_a),
            leaf_hash(one),
            shown(&id_b),
            leaf_hash(other)
        );
        let place = self.b.place(&bundle_path(self.log_b, index));
        let finding = Finding::error(Code::EntryDiffers, place, what).at(index);
        findings.push(finding.of(id_a.or(id_b).as_deref()));
    }

    /// Compares the bodies that both hold; returns how many were the same.
    fn compare_bodies(&self, index: u64, entry: &[u8], findings: &mut Findings) -> u64 {
        let path = LogFile::Body(index).within(&self.log_a.folder);
        if !self.a.export.has(&path) || !self.b.export.has(&path) {
            return 0;
        }
        let bytes_max = SALT_BYTES + BODY_BYTES_MAX;
        let one = self.a.read(&path, bytes_max, findings);
        let other = self.b.read(&path, bytes_max, findings);
        if one == other {
            return 1;
        }
        let id = render::header(entry).map(|header| header.id.to_string());
        let place = self.b.place(&path);
        let finding = Finding::error(
            Code::BodyDiffers,
            place,
            "the two sides hold different bodies",
        );
        findings.push(finding.at(index).of(id.as_deref()));
        0
    }

    fn summary(&self) -> LogSummary {
        let beyond = |log: &OpenedLog| log.size.saturating_add(log.recorded_beyond);
        let size = self.log_a.size.min(self.log_b.size);
        LogSummary {
            origin: self.log_a.origin.to_string(),
            size,
            recorded_beyond: beyond(self.log_a).max(beyond(self.log_b)) - size,
            root: None,
            authored_at: None,
            cosigned_at: None,
        }
    }
}

/// Checkpoints of one side that the other side's entries contradict.
fn contradict(
    roots: BTreeMap<u64, Hash>,
    kept: &Kept,
    side: &Side,
    log: &OpenedLog,
    findings: &mut Findings,
) {
    for (size, root) in roots {
        if kept.get(&size).is_some_and(|kept| kept.root != root) {
            let what = format!(
                "signs another root than the first {size} entries of the other export have"
            );
            let path = side.place(&LogFile::Checkpoint(size).within(&log.folder));
            findings.push(Finding::error(Code::Equivocation, path, what));
        }
    }
}

/// The entries of the bundle that begins at `first`; nothing when the log or its file ends there.
fn entries(
    side: &Side,
    log: &OpenedLog,
    first: u64,
    findings: &mut Findings,
) -> Option<Vec<Vec<u8>>> {
    if first >= log.size {
        return None;
    }
    let path = bundle_path(log, first);
    let bytes = side.read(&path, bundle::BUNDLE_BYTES_MAX, findings)?;
    match bundle::decode(&bytes) {
        Ok(entries) => Some(entries.into_iter().map(<[u8]>::to_vec).collect()),
        Err(error) => {
            findings.push(Finding::error(
                Code::Bundle,
                side.place(&path),
                error.to_string(),
            ));
            None
        }
    }
}

/// Appends a bundle to a tree and returns the roots of every size on the way; gives the tree up when
/// entries are missing.
fn grow(
    tree: &mut Option<Tree>,
    entries: &[Vec<u8>],
    log: &OpenedLog,
    first: u64,
) -> BTreeMap<u64, Hash> {
    let mut roots = BTreeMap::new();
    let expected = log.size.saturating_sub(first).min(TILE_WIDTH);
    if entries.len() as u64 != expected {
        *tree = None;
    }
    let Some(tree) = tree else { return roots };
    let mut full = Vec::new();
    for entry in entries {
        tree.append(leaf_hash(entry), &mut full);
        roots.insert(tree.size(), tree.root());
    }
    roots
}

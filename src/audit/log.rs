//! Judges one log of an export: checkpoints, entries, tiles, roots.

use std::collections::BTreeMap;
use std::num::NonZero;

use sha2::{Digest as _, Sha256};

use super::Progress;
use super::entry::{Bench, Judged};
use super::finding::{Code, Counts, Finding, LogSummary};
use super::format::{LogFile, tiles};
use super::keyring::{Keyring, LogKeys};
use super::opened::{Opened, OpenedLog};
use crate::crypto::note::Note;
use crate::limits::NOTE_BYTES_MAX;
use crate::tlog::path::{TileKind, TilePath};
use crate::tlog::{FullTile, Hash, TILE_BYTES, TILE_WIDTH, Tree, bundle};

/// Entries below which a bundle is not worth a thread of its own.
const ENTRIES_PER_THREAD_MIN: usize = 16;
/// Threads that judge a bundle.
const THREADS_MAX: usize = 8;

/// The checkpoints of a log whose signatures hold, by size.
pub(super) type Kept = BTreeMap<u64, KeptCheckpoint>;

/// A checkpoint whose signatures hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct KeptCheckpoint {
    /// The root that it signs.
    pub(super) root: Hash,
    /// SHA-256 of the note.
    pub(super) digest: [u8; 32],
    pub(super) authored_at: u64,
    pub(super) cosigned_at: u64,
}

/// What came of a log, but for its entries, which went to the caller one by one.
#[derive(Debug)]
pub(super) struct LogJudged {
    pub(super) summary: LogSummary,
    pub(super) faults: Vec<Finding>,
    pub(super) counts: Counts,
    /// Its receipts.
    pub(super) checkpoints: Kept,
    /// Checkpoints that only its author has signed: root and date, Unix seconds, by size.
    pub(super) dated: DatedKept,
}

/// Checkpoints that only their author has signed: root and date, Unix seconds, by size.
pub(super) type DatedKept = BTreeMap<u64, (Hash, u64)>;

/// Judges a log; `entry` is called for each entry in order.
pub(super) fn judge(
    export: &Opened,
    log: &OpenedLog,
    ring: &Keyring,
    keys: &LogKeys,
    entry: &mut dyn FnMut(u64, Judged),
    progress: &mut dyn FnMut(Progress<'_>),
) -> LogJudged {
    let mut faults = Vec::new();
    let mut counts = Counts::default();
    let checkpoints = read_checkpoints(export, log, ring, keys, &mut faults);
    counts.checkpoints = checkpoints.len() as u64;
    check_latest(export, log, &mut faults);
    let dated = read_dated(export, log, ring, keys, &mut faults);
    counts.checkpoints += dated.len() as u64;

    let bench = Bench {
        export,
        log,
        ring,
        keys,
        checkpoints: &checkpoints,
    };
    let mut growing = Growing {
        export,
        log,
        checkpoints: &checkpoints,
        dated: &dated,
        tree: Tree::new(),
    };
    growing.check_dated(&mut faults);
    let mut whole = true;
    let files = export.files();
    progress(Progress {
        origin: &log.origin,
        done: 0,
        total: log.size,
    });
    for tile in tiles(log.size, TileKind::Entries) {
        let path = LogFile::Tile(tile).within(&log.folder);
        let bytes = export
            .read(&path, bundle::BUNDLE_BYTES_MAX, &mut faults)
            .unwrap_or_default();
        let entries = bundle::decode(&bytes).unwrap_or_else(|error| {
            faults.push(Finding::error(Code::Bundle, &*path, error.to_string()));
            Vec::new()
        });
        if entries.len() as u64 != tile.width && export.has(&path) {
            let what = format!("{} entries, not {}", entries.len(), tile.width);
            faults.push(Finding::error(Code::Bundle, &*path, what));
        }
        whole &= entries.len() as u64 == tile.width;
        let first = tile.index * TILE_WIDTH;
        for (index, judged) in (first..).zip(judge_bundle(&bench, &path, first, &entries)) {
            if whole {
                growing.append(judged.leaf, &mut faults, &mut counts);
            }
            entry(index, judged);
        }
        progress(Progress {
            origin: &log.origin,
            done: first + tile.width,
            total: log.size,
        });
        if !export.has(&path) && tile.index > files {
            // The size in the manifest is a claim; nothing follows that would be worth a walk.
            break;
        }
    }
    if whole {
        growing.finish(&mut faults, &mut counts);
    } else {
        let what = "entries are missing or cut, so tiles and roots of this log were not recomputed";
        faults.push(Finding::error(
            Code::Root,
            LogFile::Latest.within(&log.folder),
            what,
        ));
    }

    let latest = checkpoints.get(&log.size);
    let summary = LogSummary {
        origin: log.origin.to_string(),
        size: log.size,
        recorded_beyond: log.recorded_beyond,
        root: latest.map(|kept| kept.root.to_string()),
        authored_at: latest.map(|kept| kept.authored_at),
        cosigned_at: latest.map(|kept| kept.cosigned_at),
    };
    LogJudged {
        summary,
        faults,
        counts,
        checkpoints,
        dated,
    }
}

/// Verifies every checkpoint that its author has dated and that is there without the mirror's line.
fn read_dated(
    export: &Opened,
    log: &OpenedLog,
    ring: &Keyring,
    keys: &LogKeys,
    faults: &mut Vec<Finding>,
) -> DatedKept {
    let mut kept = DatedKept::new();
    for size in export.dated(log) {
        let path = LogFile::Dated(size).within(&log.folder);
        let Some(bytes) = export.read(&path, NOTE_BYTES_MAX, faults) else {
            continue;
        };
        let mut fault = |code, what: String| faults.push(Finding::error(code, &*path, what));
        let Ok(note) = std::str::from_utf8(&bytes) else {
            fault(Code::Checkpoint, "not UTF-8".into());
            continue;
        };
        let (signed, not_valid) = match ring.dated(keys, note) {
            Ok(signed) => signed,
            Err(error) => {
                fault(Code::Checkpoint, error.to_string());
                continue;
            }
        };
        if let Some(what) = not_valid {
            fault(Code::KeyNotValidThen, what);
        }
        let origin = log.origin.to_string();
        if line_names(note) != [origin.as_str(), log.origin.sender().as_str()] {
            let what = "its signature lines are not log and author, in this order";
            fault(Code::SignatureLines, what.to_owned());
        }
        if signed.checkpoint.size == size {
            kept.insert(size, (signed.checkpoint.root, signed.authored_at));
        } else {
            let what = format!("it is of size {}", signed.checkpoint.size);
            fault(Code::Checkpoint, what);
        }
    }
    kept
}

/// Verifies every checkpoint that is there.
pub(super) fn read_checkpoints(
    export: &Opened,
    log: &OpenedLog,
    ring: &Keyring,
    keys: &LogKeys,
    faults: &mut Vec<Finding>,
) -> Kept {
    let mut kept = Kept::new();
    let mut authored_at = 0;
    for size in export.checkpoints(log) {
        let path = LogFile::Checkpoint(size).within(&log.folder);
        let Some(bytes) = export.read(&path, NOTE_BYTES_MAX, faults) else {
            continue;
        };
        let mut fault = |code, what: String| faults.push(Finding::error(code, &*path, what));
        let Ok(note) = std::str::from_utf8(&bytes) else {
            fault(Code::Checkpoint, "not UTF-8".into());
            continue;
        };
        let (receipt, not_valid) = match ring.receipt(keys, note) {
            Ok(receipt) => receipt,
            Err(error) => {
                fault(Code::Checkpoint, error.to_string());
                continue;
            }
        };
        if let Some(what) = not_valid {
            fault(Code::KeyNotValidThen, what);
        }
        if let Some(what) = signature_lines(log, note) {
            fault(Code::SignatureLines, what);
        }
        let signed = &receipt.signed;
        if signed.checkpoint.size != size {
            fault(
                Code::Checkpoint,
                format!("it is of size {}", signed.checkpoint.size),
            );
            continue;
        }
        if signed.authored_at < authored_at {
            let what = "dated before a checkpoint of a smaller size: the author's clock went back";
            faults.push(Finding::note(Code::Date, &*path, what));
        }
        authored_at = signed.authored_at;
        let checkpoint = KeptCheckpoint {
            root: signed.checkpoint.root,
            digest: Sha256::digest(&bytes).into(),
            authored_at,
            cosigned_at: receipt.cosigned_at,
        };
        kept.insert(size, checkpoint);
    }
    kept
}

/// Checks that the note has the three lines of a receipt and no other: what else somebody adds is
/// covered by no signature.
fn signature_lines(log: &OpenedLog, note: &str) -> Option<String> {
    let names = line_names(note);
    let origin = log.origin.to_string();
    let expected = [
        origin.as_str(),
        log.origin.sender().as_str(),
        log.origin.recipient().as_str(),
    ];
    let what = "its signature lines are not log, author and mirror, in this order";
    (names != expected).then(|| what.to_owned())
}

/// The names on the signature lines of a note, in order.
fn line_names(note: &str) -> Vec<String> {
    let lines = Note::parse(note).map(|note| note.signatures().to_vec());
    let lines = lines.unwrap_or_default().into_iter();
    lines.map(|line| line.name).collect()
}

/// `checkpoint` is the checkpoint of the log's size.
fn check_latest(export: &Opened, log: &OpenedLog, faults: &mut Vec<Finding>) {
    let path = LogFile::Latest.within(&log.folder);
    let of_size = LogFile::Checkpoint(log.size).within(&log.folder);
    // A log without entries need not have a receipt.
    if log.size == 0 && !export.has(&path) && !export.has(&of_size) {
        return;
    }
    let latest = export.read(&path, NOTE_BYTES_MAX, faults);
    // Its hash was checked when the checkpoints were read.
    let other = export.read(&of_size, NOTE_BYTES_MAX, &mut Vec::new());
    if other.is_none() && !export.manifest.files.contains_key(&of_size) {
        faults.push(Finding::error(
            Code::Missing,
            &*of_size,
            "the log's latest checkpoint is missing",
        ));
    }
    if latest.is_some() && other.is_some() && latest != other {
        let what = format!("not the same as checkpoints/{}", log.size);
        faults.push(Finding::error(Code::Checkpoint, path, what));
    }
}

/// Judges the entries of a bundle on all cores.
fn judge_bundle(bench: &Bench<'_>, path: &str, first: u64, entries: &[&[u8]]) -> Vec<Judged> {
    let cores = std::thread::available_parallelism()
        .map_or(1, NonZero::get)
        .min(THREADS_MAX);
    let share = entries.len().div_ceil(cores).max(ENTRIES_PER_THREAD_MIN);
    let judge = |(part, entries): (usize, &[&[u8]])| -> Vec<Judged> {
        let first = first + (part * share) as u64;
        let entries = (first..).zip(entries);
        entries
            .map(|(index, entry)| bench.judge(path, index, entry))
            .collect()
    };
    if entries.len() <= share {
        return judge((0, entries));
    }
    std::thread::scope(|scope| {
        let parts = entries.chunks(share).enumerate();
        let threads: Vec<_> = parts.map(|part| scope.spawn(move || judge(part))).collect();
        let joined = threads.into_iter().map(|thread| {
            // A panic in a part is a bug, and goes on as one.
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        joined.flatten().collect()
    })
}

/// The tree as it is recomputed, leaf by leaf, against the export's tiles and checkpoints.
struct Growing<'a> {
    export: &'a Opened,
    log: &'a OpenedLog,
    checkpoints: &'a Kept,
    dated: &'a DatedKept,
    tree: Tree,
}

impl Growing<'_> {
    fn append(&mut self, leaf: Hash, faults: &mut Vec<Finding>, counts: &mut Counts) {
        let mut full = Vec::new();
        self.tree.append(leaf, &mut full);
        for FullTile {
            level,
            index,
            hashes,
        } in full
        {
            let tile = TilePath {
                kind: TileKind::Hashes { level },
                index,
                width: TILE_WIDTH,
            };
            self.tile(tile, level, &hashes, faults, counts);
        }
        let size = self.tree.size();
        let signed = self.checkpoints.get(&size);
        if signed.is_some_and(|kept| kept.root != self.tree.root()) {
            let path = LogFile::Checkpoint(size).within(&self.log.folder);
            let what = format!("signs another root than the first {size} entries have");
            faults.push(Finding::error(Code::Root, path, what));
        }
        self.check_dated(faults);
    }

    fn check_dated(&self, faults: &mut Vec<Finding>) {
        let size = self.tree.size();
        let signed = self.dated.get(&size);
        if signed.is_some_and(|(root, _)| *root != self.tree.root()) {
            let path = LogFile::Dated(size).within(&self.log.folder);
            let what = format!("signs another root than the first {size} entries have");
            faults.push(Finding::error(Code::Root, path, what));
        }
    }

    /// Compares the partial tiles of the right edge.
    fn finish(&self, faults: &mut Vec<Finding>, counts: &mut Counts) {
        for level in 0..=7 {
            let edge = self.tree.edge(level);
            if !edge.is_empty() {
                let hashes: Vec<u8> = edge.iter().flat_map(|hash| hash.0).collect();
                let items = self.tree.size() >> (8 * u32::from(level));
                let (index, width) = (items / TILE_WIDTH, edge.len() as u64);
                let tile = TilePath {
                    kind: TileKind::Hashes { level },
                    index,
                    width,
                };
                self.tile(tile, level, &hashes, faults, counts);
            }
        }
    }

    fn tile(
        &self,
        tile: TilePath,
        level: u8,
        hashes: &[u8],
        faults: &mut Vec<Finding>,
        counts: &mut Counts,
    ) {
        let path = LogFile::Tile(tile).within(&self.log.folder);
        let Some(found) = self.export.read(&path, TILE_BYTES, faults) else {
            return;
        };
        if found == hashes {
            counts.tiles += 1;
            return;
        }
        if found.len() != hashes.len() {
            let what = format!("{} bytes, not {}", found.len(), hashes.len());
            faults.push(Finding::error(Code::Tile, path, what));
            return;
        }
        let pairs = found.chunks(Hash::BYTES).zip(hashes.chunks(Hash::BYTES));
        for (position, _) in (0u64..)
            .zip(pairs)
            .filter(|(_, (found, hash))| found != hash)
        {
            let what = format!("hash {position} is not the one that the entries give");
            let finding = Finding::error(Code::Tile, &*path, what);
            let leaf = tile.index * TILE_WIDTH + position;
            faults.push(if level == 0 {
                finding.at(leaf)
            } else {
                finding
            });
        }
    }
}

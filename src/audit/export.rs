//! Writes an export: a folder that needs none of our software to be read.
//!
//! Log by log and bundle by bundle: memory holds at most one bundle of entries (16 MiB), one body
//! and, for the manifest, about 150 bytes per file.

use std::collections::BTreeMap;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::format::{
    FORMAT, Held, LogFile, MANIFEST, Manifest, ManifestAbsent, ManifestKey, ManifestLog, Role,
    VERSION, folder, tiles,
};
use super::render::{self, Absence};
use crate::crypto::note::{Note, SignatureLine};
use crate::crypto::vkey::VerifierKey;
use crate::model::{NodeName, Origin};
use crate::tlog::path::{LEVEL_MAX, TileKind, TilePath};
use crate::tlog::proof::TlogProof;
use crate::tlog::{Snapshot, TILE_WIDTH, TileReader, Tree, TreeError, bundle};

/// Receipts asked of a source at a time.
const RECEIPTS_PAGE: usize = 256;

/// A log, own or mirrored, as its node keeps it.
///
/// It must not change under the export but by growing: `tree` is a snapshot.
pub trait LogSource: TileReader {
    /// Origin of the log.
    fn origin(&self) -> &Origin;

    /// The keys of its author with which it began, but for the log's own form of the log key; none: all
    /// that the export has of it.
    fn start_keys(&self) -> Vec<VerifierKey> {
        Vec::new()
    }

    /// The tree of everything recorded, at least as large as the latest receipt.
    fn tree(&self) -> &Tree;

    /// The leaf at `index`, verbatim.
    ///
    /// # Errors
    /// It cannot be read, or is missing.
    fn entry(&self, index: u64) -> Result<Bytes, Self::Error>;

    /// What goes with the leaf at `index`. Bodies of refusals hold nothing of the message refused
    /// and explain the other log, so they are better not withheld.
    ///
    /// # Errors
    /// It cannot be read.
    fn body(&self, index: u64) -> Result<SourceBody, Self::Error>;

    /// Why a body that [`LogSource::body`] has called absent is, in words, for the manifest; nothing
    /// where there is no more to say.
    ///
    /// # Errors
    /// It cannot be read.
    fn why_absent(&self, index: u64, absence: Absence) -> Result<Option<String>, Self::Error> {
        let _ = (index, absence);
        Ok(None)
    }

    /// The latest cosigned checkpoint.
    ///
    /// # Errors
    /// It cannot be read.
    fn latest_receipt(&self) -> Result<Option<SourceReceipt>, Self::Error>;

    /// Up to `limit` cosigned checkpoints of at least `size_min` entries, smallest first, the newest
    /// of each size. Fewer only when there are no more.
    ///
    /// # Errors
    /// They cannot be read.
    fn receipts(&self, size_min: u64, limit: usize) -> Result<Vec<SourceReceipt>, Self::Error>;
}

/// A body as a node keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceBody {
    /// Salt ‖ body.
    Held(Bytes),
    /// Not in this export, and why.
    Absent(Absence),
}

/// A cosigned checkpoint as a node keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceReceipt {
    /// Size of the tree.
    pub size: u64,
    /// The note, verbatim, with the author's and the mirror's lines.
    pub note: String,
}

/// Where the files of an export go: a folder, a stream.
pub trait FileSink {
    /// Why writing failed.
    type Error;

    /// Takes one whole file. Each path comes once; the manifest comes last.
    ///
    /// # Errors
    /// It cannot be written; the export stops.
    fn file(&mut self, path: &str, bytes: &[u8]) -> Result<(), Self::Error>;
}

/// What an export says about itself.
#[derive(Debug, Clone)]
pub struct ExportHead {
    /// The node that exports.
    pub node: NodeName,
    /// Now.
    pub exported_at: jiff::Timestamp,
    /// Every public key of both sides, own and peers'.
    pub keys: Vec<ExportKey>,
    /// Also write each entry's receipt.
    pub proofs: bool,
    /// What else the export holds.
    pub annex: Annex,
}

/// What an export holds beside its logs, as evidence of something.
#[derive(Debug, Clone, Default)]
pub struct Annex {
    /// Checkpoints with their author's date: of which log, of what size, the note.
    pub dated: Vec<(Origin, u64, String)>,
    /// Other files that the format names, by path.
    pub files: Vec<(&'static str, Vec<u8>)>,
}

/// A public key and when it is valid.
#[derive(Debug, Clone)]
pub struct ExportKey {
    /// The key; name and type give its role.
    pub key: VerifierKey,
    /// From when; `None`: always was.
    pub valid_from: Option<jiff::Timestamp>,
    /// Until when; `None`: no end set.
    pub valid_until: Option<jiff::Timestamp>,
}

impl ExportKey {
    /// A key that is valid at any time.
    #[must_use]
    pub fn unlimited(key: VerifierKey) -> Self {
        Self {
            key,
            valid_from: None,
            valid_until: None,
        }
    }
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// Origin and exported size of each log.
    pub logs: Vec<(Origin, u64)>,
    /// Files, the manifest included.
    pub files: u64,
}

/// Why an export stopped.
#[derive(Debug, thiserror::Error)]
pub enum ExportError<R, S> {
    /// The log could not be read.
    #[error("the log could not be read: {0}")]
    Source(R),
    /// The tree could not be read.
    #[error("the log's tree could not be read: {0}")]
    Tree(TreeError<R>),
    /// A file could not be written.
    #[error("a file could not be written: {0}")]
    Sink(S),
    /// The node has no part in the log.
    #[error("the log {origin} is neither the node's own nor its mirror")]
    ForeignLog {
        /// Origin of the log.
        origin: Origin,
    },
    /// A key is named neither like a node nor like a log.
    #[error("the key {name} is named neither like a node nor like a log")]
    KeyRole {
        /// Name of the key.
        name: String,
    },
    /// An entry does not fit a bundle.
    #[error(transparent)]
    Bundle(#[from] bundle::BundleError),
    /// The manifest could not be serialized.
    #[error("the manifest could not be serialized: {0}")]
    Manifest(serde_json::Error),
}

/// Exports logs, each up to its latest cosigned checkpoint.
///
/// # Errors
/// Reading or writing failed; what was written so far has no manifest and is of no use.
pub fn export<L: LogSource, S: FileSink>(
    head: &ExportHead,
    logs: &[L],
    sink: &mut S,
) -> Result<Exported, ExportError<L::Error, S::Error>> {
    let mut writer = Writer {
        sink,
        files: BTreeMap::new(),
        keys: &head.keys,
        proofs: head.proofs,
        absent: Vec::new(),
    };
    let keys = head
        .keys
        .iter()
        .map(manifest_key::<L, S>)
        .collect::<Result<_, _>>()?;
    let mut manifest_logs = Vec::new();
    let mut exported = Vec::new();
    for log in logs {
        let origin = log.origin().clone();
        let held = Held::of(&head.node, &origin).ok_or_else(|| ExportError::ForeignLog {
            origin: origin.clone(),
        })?;
        let size = writer.log(log)?;
        manifest_logs.push(ManifestLog {
            origin: origin.to_string(),
            folder: folder(&origin),
            held,
            size,
            recorded_beyond: log.tree().size().saturating_sub(size),
            start_keys: start_keys(&origin, &log.start_keys(), &head.keys),
            absent: std::mem::take(&mut writer.absent),
        });
        exported.push((origin, size));
    }
    writer.annex::<L>(&head.annex)?;
    let manifest = Manifest {
        format: FORMAT.into(),
        version: VERSION,
        node: head.node.to_string(),
        exported_at: head.exported_at.to_string(),
        proofs: head.proofs,
        logs: manifest_logs,
        keys,
        files: writer.files,
    };
    let bytes = manifest.encode().map_err(ExportError::Manifest)?;
    sink.file(MANIFEST, &bytes).map_err(ExportError::Sink)?;
    Ok(Exported {
        logs: exported,
        files: manifest.files.len() as u64 + 1,
    })
}

/// The keys with which a log began, if they are not simply all of its author's.
fn start_keys(origin: &Origin, start: &[VerifierKey], all: &[ExportKey]) -> Vec<String> {
    let node = origin.sender().as_str();
    let of_author = |key: &&VerifierKey| {
        let name = key.name();
        Role::of(key) != Some(Role::Log)
            && (name == node
                || name
                    .strip_prefix(node)
                    .is_some_and(|rest| rest.starts_with('/')))
    };
    let mut all = all.iter().map(|key| &key.key).filter(of_author);
    if start.is_empty() || all.all(|key| start.contains(key)) {
        return Vec::new();
    }
    start.iter().map(ToString::to_string).collect()
}

fn manifest_key<L: LogSource, S: FileSink>(
    key: &ExportKey,
) -> Result<ManifestKey, ExportError<L::Error, S::Error>> {
    let role = Role::of(&key.key).ok_or_else(|| ExportError::KeyRole {
        name: key.key.name().to_owned(),
    })?;
    Ok(ManifestKey {
        vkey: key.key.to_string(),
        role,
        valid_from: key.valid_from.map(|time| time.to_string()),
        valid_until: key.valid_until.map(|time| time.to_string()),
    })
}

/// The note with the lines of log, author and mirror, in this order, and no others.
#[must_use]
pub fn three_lines(origin: &Origin, note: &str, keys: &[ExportKey]) -> String {
    let (log, sender) = (origin.to_string(), origin.sender().as_str());
    only_lines(&[&log, sender, origin.recipient().as_str()], note, keys)
}

/// The note with the lines of these parties, in this order, and no others.
///
/// Whoever relays a note may add lines that no known key answers for (C2SP signed-note); an export
/// holds nothing that the keys in it do not vouch for. The signed text stays as it is.
fn only_lines(parties: &[&str], note: &str, keys: &[ExportKey]) -> String {
    let Ok(parsed) = Note::parse(note) else {
        return note.to_owned();
    };
    let of = |name: &str| {
        let known = |line: &&SignatureLine| {
            line.name == name
                && keys
                    .iter()
                    .any(|key| key.key.name() == name && key.key.key_id() == line.key_id)
        };
        parsed
            .signatures()
            .iter()
            .filter(known)
            .cloned()
            .collect::<Vec<_>>()
    };
    let lines: Vec<_> = parties.iter().flat_map(|name| of(name)).collect();
    Note::new(parsed.text(), &lines).map_or_else(|_| note.to_owned(), |note| note.to_string())
}

struct Writer<'s, S> {
    sink: &'s mut S,
    files: BTreeMap<String, String>,
    keys: &'s [ExportKey],
    proofs: bool,
    /// Of the log being written.
    absent: Vec<ManifestAbsent>,
}

type Written<L, S, T = ()> =
    Result<T, ExportError<<L as TileReader>::Error, <S as FileSink>::Error>>;

impl<S: FileSink> Writer<'_, S> {
    /// Writes one log and returns its exported size.
    fn log<L: LogSource>(&mut self, log: &L) -> Written<L, S, u64> {
        let folder = folder(log.origin());
        let latest = log.latest_receipt().map_err(ExportError::Source)?;
        // Without a receipt nothing is exported: nobody but the exporter answers for it yet.
        let Some(latest) = latest else { return Ok(0) };
        let size = latest.size;
        for tile in tiles(size, TileKind::Entries) {
            self.entries::<L>(log, &folder, tile.index * TILE_WIDTH, tile.width)?;
        }
        self.tiles::<L>(log, &folder, size)?;
        self.receipts::<L>(log, &folder, size)?;
        let note = three_lines(log.origin(), &latest.note, self.keys);
        self.file::<L>(&folder, LogFile::Latest, note.as_bytes())?;
        Ok(size)
    }

    /// Writes a bundle of `width` entries from `first`, and what belongs to each of them.
    fn entries<L: LogSource>(
        &mut self,
        log: &L,
        folder: &str,
        first: u64,
        width: u64,
    ) -> Written<L, S> {
        let mut entries = Vec::new();
        for index in first..first + width {
            let entry = log.entry(index).map_err(ExportError::Source)?;
            let body = log.body(index).map_err(ExportError::Source)?;
            let held = match &body {
                SourceBody::Held(salted) => {
                    self.file::<L>(folder, LogFile::Body(index), salted)?;
                    Ok(salted.as_ref())
                }
                SourceBody::Absent(absence) => {
                    let why = log
                        .why_absent(index, *absence)
                        .map_err(ExportError::Source)?;
                    self.absent.extend(why.map(|why| ManifestAbsent {
                        index,
                        id: render::header(&entry).map_or_else(String::new, |h| h.id.to_string()),
                        absence: *absence,
                        why,
                    }));
                    Err(absence.word())
                }
            };
            let notification = render::notification(index, &entry, held);
            self.file::<L>(folder, LogFile::Notification(index), &notification)?;
            if let Some(envelope) = render::dsse(&entry) {
                self.file::<L>(folder, LogFile::Dsse(index), &envelope)?;
            }
            entries.push(entry);
        }
        let bundle = bundle::encode(&entries)?;
        let path = TilePath {
            kind: TileKind::Entries,
            index: first / TILE_WIDTH,
            width,
        };
        self.file::<L>(folder, LogFile::Tile(path), &bundle)
    }

    fn tiles<L: LogSource>(&mut self, log: &L, folder: &str, size: u64) -> Written<L, S> {
        let snapshot = Snapshot::new(log.tree(), log);
        for level in 0..=LEVEL_MAX {
            for tile in tiles(size, TileKind::Hashes { level }) {
                let hashes = snapshot
                    .tile(level, tile.index, tile.width)
                    .map_err(ExportError::Tree)?;
                self.file::<L>(folder, LogFile::Tile(tile), &hashes)?;
            }
        }
        Ok(())
    }

    /// Writes every checkpoint up to `size` and, when asked, the receipt of each entry: under the
    /// first checkpoint that covers it, since that one dates its delivery.
    fn receipts<L: LogSource>(&mut self, log: &L, folder: &str, size: u64) -> Written<L, S> {
        let snapshot = Snapshot::new(log.tree(), log);
        let mut proven = 0;
        let mut size_min = 0;
        loop {
            let page = log
                .receipts(size_min, RECEIPTS_PAGE)
                .map_err(ExportError::Source)?;
            let last = page.len() < RECEIPTS_PAGE;
            // A log may have got receipts of more since.
            for receipt in page.into_iter().take_while(|receipt| receipt.size <= size) {
                let file = LogFile::Checkpoint(receipt.size);
                let note = three_lines(log.origin(), &receipt.note, self.keys);
                self.file::<L>(folder, file, note.as_bytes())?;
                size_min = receipt.size + 1;
                let covered = if self.proofs { receipt.size } else { 0 };
                while proven < covered {
                    let hashes = snapshot
                        .inclusion_proof(proven, receipt.size)
                        .map_err(ExportError::Tree)?;
                    let checkpoint = note.clone();
                    let proof = TlogProof {
                        extra: None,
                        index: proven,
                        hashes,
                        checkpoint,
                    };
                    self.file::<L>(folder, LogFile::Proof(proven), proof.encode().as_bytes())?;
                    proven += 1;
                }
            }
            if last || size_min > size {
                return Ok(());
            }
        }
    }

    fn annex<L: LogSource>(&mut self, annex: &Annex) -> Written<L, S> {
        for (origin, size, note) in &annex.dated {
            let log = origin.to_string();
            let note = only_lines(&[&log, origin.sender().as_str()], note, self.keys);
            self.file::<L>(&folder(origin), LogFile::Dated(*size), note.as_bytes())?;
        }
        for (path, bytes) in &annex.files {
            self.at_path::<L>((*path).to_owned(), bytes)?;
        }
        Ok(())
    }

    fn file<L: LogSource>(&mut self, folder: &str, file: LogFile, bytes: &[u8]) -> Written<L, S> {
        self.at_path::<L>(file.within(folder), bytes)
    }

    fn at_path<L: LogSource>(&mut self, path: String, bytes: &[u8]) -> Written<L, S> {
        self.sink.file(&path, bytes).map_err(ExportError::Sink)?;
        self.files.insert(path, hex::encode(Sha256::digest(bytes)));
        Ok(())
    }
}

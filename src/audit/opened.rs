//! An export as it was handed over: files, manifest, and whether the two agree.

use std::collections::BTreeMap;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::finding::{Code, Finding};
use super::folder::{Folder, ReadError};
use super::format::{
    CLAIM, CLAIM_RECEIPT, FORMAT, Held, LogFile, MANIFEST, Manifest, VERSION, folder,
};
use super::keyring::time;
use super::render::Absence;
use crate::crypto::vkey::VerifierKey;
use crate::limits::{EXPORT_KEYS_MAX, EXPORT_LOGS_MAX, MANIFEST_BYTES_MAX};
use crate::model::{NodeName, Origin, text};

/// An export whose manifest could be read.
#[derive(Debug)]
pub(super) struct Opened {
    folder: Folder,
    pub(super) manifest: Manifest,
    /// The node that exported.
    pub(super) node: Option<NodeName>,
    /// The logs whose origin is one.
    pub(super) logs: Vec<OpenedLog>,
}

/// A log of an export, as the manifest has it.
#[derive(Debug, Clone)]
pub(super) struct OpenedLog {
    pub(super) origin: Origin,
    pub(super) folder: String,
    pub(super) size: u64,
    pub(super) recorded_beyond: u64,
    /// What the manifest says became of bodies that are not in the export, by index.
    pub(super) absent: BTreeMap<u64, Absence>,
}

impl Opened {
    /// The keys with which the manifest says that a log began; nothing if it does not say.
    pub(super) fn start_keys(
        &self,
        log: &OpenedLog,
        findings: &mut Vec<Finding>,
    ) -> Option<Vec<VerifierKey>> {
        let origin = log.origin.to_string();
        let mut logs = self.manifest.logs.iter();
        let listed = &logs.find(|log| log.origin == origin)?.start_keys;
        if listed.is_empty() {
            return None;
        }
        let mut keys = Vec::new();
        for vkey in listed.iter().take(EXPORT_KEYS_MAX) {
            let all = &self.manifest.keys;
            match VerifierKey::parse(vkey) {
                Ok(key) if all.iter().any(|key| key.vkey == *vkey) => keys.push(key),
                _ => {
                    let vkey = text::escape(vkey);
                    let what = format!("log {origin}: its start key {vkey} is none of the keys");
                    findings.push(Finding::error(Code::Key, MANIFEST, what));
                }
            }
        }
        Some(keys)
    }

    /// Opens an export and compares files with manifest. Nothing when there is no manifest to go by.
    pub(super) fn open(dir: &Path, findings: &mut Vec<Finding>) -> Option<Self> {
        let folder = match Folder::open(dir) {
            Ok(folder) => folder,
            Err(error) => {
                let what = format!("the folder cannot be read: {error}");
                findings.push(Finding::error(Code::Unreadable, ".", what));
                return None;
            }
        };
        let bytes = match folder.read(MANIFEST, MANIFEST_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(error) => {
                findings.push(unread(MANIFEST, &error));
                return None;
            }
        };
        let manifest: Manifest = match serde_json::from_slice(&bytes) {
            Ok(manifest) => manifest,
            Err(error) => {
                let what = format!(
                    "no manifest of an export: {}",
                    text::escape(&error.to_string())
                );
                findings.push(Finding::error(Code::Manifest, MANIFEST, what));
                return None;
            }
        };
        if manifest.format != FORMAT || manifest.version != VERSION {
            let what = format!(
                "format {} version {}; this version of the software reads {FORMAT} version {VERSION}",
                text::escape(&manifest.format),
                manifest.version
            );
            findings.push(Finding::error(Code::Manifest, MANIFEST, what));
            return None;
        }
        // One text for one manifest: no field said twice, nothing between the lines.
        if manifest.encode().ok().as_deref() != Some(&*bytes) {
            let what = "not the text that an export writes: order, spaces or repeated fields";
            findings.push(Finding::error(Code::Manifest, MANIFEST, what));
        }
        if !matches!(time(Some(&manifest.exported_at)), Ok(Some(_))) {
            let what = "exported_at is not RFC 3339 in UTC";
            findings.push(Finding::error(Code::Manifest, MANIFEST, what));
        }
        let node = NodeName::parse(&manifest.node).ok();
        if node.is_none() {
            findings.push(Finding::error(
                Code::Manifest,
                MANIFEST,
                "node is no node name",
            ));
        }
        let logs = logs(&manifest, node.as_ref(), findings);
        let opened = Self {
            folder,
            manifest,
            node,
            logs,
        };
        opened.compare_files(findings);
        Some(opened)
    }

    /// Whether a file is there, listed or not.
    pub(super) fn has(&self, path: &str) -> bool {
        self.folder.has(path)
    }

    /// Files that are listed and there.
    pub(super) fn files(&self) -> u64 {
        self.folder
            .files()
            .filter(|path| self.manifest.files.contains_key(*path))
            .count() as u64
    }

    /// Reads a file that the export must hold, and checks its hash. A file that is listed or there,
    /// but not both, has already been reported.
    pub(super) fn read(
        &self,
        path: &str,
        bytes_max: usize,
        findings: &mut Vec<Finding>,
    ) -> Option<Vec<u8>> {
        let listed = self.manifest.files.get(path);
        let bytes = match self.folder.read(path, bytes_max) {
            Ok(bytes) => bytes,
            Err(ReadError::Missing) if listed.is_some() => return None,
            Err(error) => {
                findings.push(unread(path, &error));
                return None;
            }
        };
        if listed.is_some_and(|hash| *hash != hex::encode(Sha256::digest(&bytes))) {
            let what = "its SHA-256 is not the one in the manifest";
            findings.push(Finding::error(Code::HashMismatch, path, what));
        }
        Some(bytes)
    }

    /// Sizes of the checkpoints of a log that are there, ascending.
    pub(super) fn checkpoints(&self, log: &OpenedLog) -> Vec<u64> {
        self.sizes(log, |file| match file {
            LogFile::Checkpoint(size) => Some(size),
            _ => None,
        })
    }

    /// Sizes of the dated checkpoints of a log that are there, ascending.
    pub(super) fn dated(&self, log: &OpenedLog) -> Vec<u64> {
        self.sizes(log, |file| match file {
            LogFile::Dated(size) => Some(size),
            _ => None,
        })
    }

    fn sizes(&self, log: &OpenedLog, of: impl Fn(LogFile) -> Option<u64>) -> Vec<u64> {
        let prefix = format!("{}/", log.folder);
        let sizes = self.folder.files().filter_map(|path| {
            let file = LogFile::parse(path.strip_prefix(&prefix)?)?;
            of(file).filter(|size| *size <= log.size)
        });
        let mut sizes: Vec<u64> = sizes.collect();
        sizes.sort_unstable();
        sizes
    }

    /// Reports what is listed and not there, there and not listed, and neither known.
    fn compare_files(&self, findings: &mut Vec<Finding>) {
        for (path, what) in self.folder.odd() {
            findings.push(Finding::error(Code::NotOfTheFormat, path, *what));
        }
        for path in self.manifest.files.keys() {
            let shown = text::escape(path);
            if !self.is_of_the_format(path) {
                let what = "listed in the manifest, but no file of this export's logs";
                findings.push(Finding::error(Code::NotOfTheFormat, shown, what));
            } else if !self.folder.has(path) {
                let what = "listed in the manifest, but missing";
                findings.push(Finding::error(Code::Missing, shown, what));
            }
        }
        let strangers = self
            .folder
            .files()
            .filter(|path| !self.manifest.files.contains_key(*path));
        for path in strangers.filter(|path| *path != MANIFEST) {
            let what = "not listed in the manifest";
            findings.push(Finding::error(Code::NotListed, text::escape(path), what));
        }
    }

    fn is_of_the_format(&self, path: &str) -> bool {
        if path == CLAIM || path == CLAIM_RECEIPT {
            return true;
        }
        let Some((folder, file)) = path.split_once('/') else {
            return false;
        };
        let log = self.logs.iter().find(|log| log.folder == folder);
        let Some(file) = LogFile::parse(file) else {
            return false;
        };
        let proof = matches!(file, LogFile::Proof(_));
        log.is_some_and(|log| file.fits(log.size) && (!proof || self.manifest.proofs))
    }
}

/// The logs of a manifest, each checked for form.
fn logs(
    manifest: &Manifest,
    node: Option<&NodeName>,
    findings: &mut Vec<Finding>,
) -> Vec<OpenedLog> {
    let mut fault = |what: String| findings.push(Finding::error(Code::Manifest, MANIFEST, what));
    if manifest.logs.len() > EXPORT_LOGS_MAX {
        fault(format!(
            "{} logs, at most {EXPORT_LOGS_MAX} are allowed",
            manifest.logs.len()
        ));
        return Vec::new();
    }
    let mut logs: Vec<OpenedLog> = Vec::new();
    for log in &manifest.logs {
        let shown = text::escape(&log.origin);
        let Ok(origin) = Origin::parse(&log.origin) else {
            fault(format!("log {shown}: not an origin"));
            continue;
        };
        if origin.to_string() != log.origin || logs.iter().any(|other| other.origin == origin) {
            fault(format!(
                "log {shown}: listed twice or not in canonical form"
            ));
            continue;
        }
        if log.folder != folder(&origin) {
            fault(format!(
                "log {shown}: its folder is not {}",
                folder(&origin)
            ));
        }
        if node.is_some_and(|node| Held::of(node, &origin) != Some(log.held)) {
            fault(format!("log {shown}: not what the node holds it as"));
        }
        let mut absent = BTreeMap::new();
        for said in &log.absent {
            let later = absent
                .last_key_value()
                .is_none_or(|(last, _)| *last < said.index);
            if said.index >= log.size || !later {
                let index = said.index;
                fault(format!(
                    "log {shown}: an absent body at index {index}, out of order or beyond the log"
                ));
                break;
            }
            absent.insert(said.index, said.absence);
        }
        logs.push(OpenedLog {
            absent,
            folder: folder(&origin),
            origin,
            size: log.size,
            recorded_beyond: log.recorded_beyond,
        });
    }
    logs
}

fn unread(path: &str, error: &ReadError) -> Finding {
    let code = match error {
        ReadError::Missing => Code::Missing,
        ReadError::TooLarge { .. } => Code::TooLarge,
        ReadError::Io(_) => Code::Unreadable,
    };
    Finding::error(code, path, error.to_string())
}

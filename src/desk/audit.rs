//! Evidence: one receipt, or whole logs as files.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::caller::{Access, Caller};
use super::errors::DeskError;
use super::handling::reason_of;
use super::read::parse_id;
use super::{Desk, blocking};
use crate::audit::Absence;
use crate::audit::export::{
    Annex, ExportError, ExportHead, ExportKey, FileSink, LogSource, SourceBody, SourceReceipt,
    export,
};
use crate::audit::format::tiles;
use crate::crypto::vkey::VerifierKey;
use crate::exchange::layout::{Place, StoredBody};
use crate::exchange::read::{LogReader, ReadError, Stored};
use crate::exchange::submit::header_of;
use crate::exchange::{Exchange, Link, LogSide};
use crate::journal::Act;
use crate::limits::{CHUNK_BYTES_MAX, JOURNAL_WHAT_BYTES_MAX, READER_TIME_MAX};
use crate::model::handling::{self, Permit, Use, code_of, permits};
use crate::model::text::escape;
use crate::model::{Header, Origin};
use crate::proto::v1::{self, KeyRole};
use crate::tlog::path::{LEVEL_MAX, TileKind};
use crate::tlog::proof::TlogProof;
use crate::tlog::{Hash, Snapshot, TileReader, Tree};

/// Parts of files between the disk and the network, each of 256 KiB at most.
pub(super) const AHEAD_PARTS: usize = 4;
/// Receipts counted in one go.
const RECEIPTS_AT_ONCE: usize = 256;

pub(super) type Part = Result<v1::ExportResponse, Status>;
/// The answer to Export.
pub(super) type Parts = ReceiverStream<Part>;

impl Desk {
    pub(super) fn proof(
        &self,
        caller: &Caller,
        access: Access,
        request: &v1::ProofRequest,
    ) -> Result<v1::ProofResponse, DeskError> {
        let id = parse_id("id", &request.id)?;
        let (link, place) = self.visible(caller, access, id)?;
        let no_receipt = |why| DeskError::NoReceipt { id, why };
        let Place::Log(side, index) = place else {
            return Err(no_receipt(
                "it came by express, its turn in the log is still to come",
            ));
        };
        let receipt = self.exchange.receipt_covering(&link, side, index)?;
        let (size, checkpoint) = receipt.ok_or_else(|| {
            no_receipt(match side {
                LogSide::Own => "the other side has not confirmed that it holds it",
                LogSide::Mirror => "this side has not cosigned it",
            })
        })?;
        let reader = self.exchange.reader(&link, side);
        let tree = link.tree(side);
        let hashes = Snapshot::new(&tree, &reader)
            .inclusion_proof(index, size)
            .map_err(|error| reader.tree_error(error))?;
        let proof = TlogProof {
            extra: None,
            index,
            hashes,
            checkpoint,
        };
        let root = if (1..=tree.size()).contains(&request.root_at) {
            let root = Snapshot::new(&tree, &reader).root_at(request.root_at);
            let root = root.map_err(|error| reader.tree_error(error))?;
            root.0.to_vec().into()
        } else {
            Bytes::new()
        };
        let keys = keys_of_log(&link, side);
        Ok(v1::ProofResponse {
            tlog_proof: proof.encode(),
            vkeys: keys.iter().map(ToString::to_string).collect(),
            entry: reader.entry(index)?.entry,
            root,
        })
    }

    pub(super) async fn export(
        self: &Arc<Self>,
        caller: &Caller,
        request: &v1::ExportRequest,
    ) -> Result<Parts, DeskError> {
        let reason = reason_of(&request.override_reason)?;
        let mut withheld = Withheld::of(request)?;
        withheld.restricted = reason.is_none();
        let links: Vec<_> = match request.peer.as_str() {
            "" => self.exchange.links().cloned().collect(),
            peer => match self.exchange.link(peer) {
                Some(link) => vec![Arc::clone(link)],
                None => {
                    return Err(DeskError::field(
                        "peer",
                        "no such peer of this node",
                        "`status` shows the peers; leave it empty for all",
                    ));
                }
            },
        };
        let permit = Arc::clone(&self.exports).try_acquire_owned();
        let permit = permit.map_err(|_| DeskError::Crowded { what: "exports" })?;
        let mut job = ExportJob::new(&self.exchange, links);
        job.proofs = request.proofs;
        job.withheld = withheld;
        if request.withhold_bodies {
            job = job.bodies(Bodies::Withheld);
        }
        // What leaves is settled and written down before any of it does.
        let told = request.clone();
        let (job, logs, leaving) = blocking(move || {
            let logs = job.logs()?;
            let leaving = leaving(&logs, &told)?;
            Ok((job, logs, leaving))
        })
        .await?;
        for link in leaving {
            let deed = |act| Self::deed(caller, act).peer(&link.peer);
            let exported = deed(Act::Exported).what(link.what);
            self.note(exported.why(reason.unwrap_or_default())).await?;
            for (code, times) in link.overridden {
                let word = handling::code_word(code);
                let overrode = deed(Act::Overrode).what(format_args!("export of logs {word}"));
                let why = reason.unwrap_or_default();
                self.note(overrode.why(why).times(times)).await?;
            }
        }
        let (parts, stream) = mpsc::channel(AHEAD_PARTS);
        let stop = self.stop.clone();
        tokio::task::spawn_blocking(move || {
            let mut sink = PartSink::new(parts, stop);
            if let Err(error) = job.run_with(&logs, &mut sink) {
                tracing::warn!(reason = error.reason(), "an export has ended early");
                sink.fail(error.into());
            }
            drop(permit);
        });
        Ok(ReceiverStream::new(stream))
    }
}

/// Which bodies an export holds. Those of refusals are always in it.
#[derive(Debug, Clone)]
pub(super) enum Bodies {
    /// Every one.
    All,
    /// None.
    Withheld,
    /// Those at these indices of each log.
    Only {
        /// Of the own log.
        own: BTreeSet<u64>,
        /// Of the peer's.
        mirror: BTreeSet<u64>,
    },
}

impl Bodies {
    fn withholds(&self, side: LogSide, index: u64) -> bool {
        match (self, side) {
            (Self::All, _) => false,
            (Self::Withheld, _) => true,
            (Self::Only { own, .. }, LogSide::Own) => !own.contains(&index),
            (Self::Only { mirror, .. }, LogSide::Mirror) => !mirror.contains(&index),
        }
    }
}

/// Which bodies an export leaves out beside, by what their headers say.
#[derive(Debug, Clone, Default)]
struct Withheld {
    /// Numbers of kinds.
    kinds: BTreeSet<i32>,
    /// Numbers of handling codes.
    codes: BTreeSet<i32>,
    /// Also those whose handling code restricts an export.
    restricted: bool,
}

impl Withheld {
    /// What a request asks for, each of it checked.
    fn of(request: &v1::ExportRequest) -> Result<Self, DeskError> {
        let open = |kind: &i32| STAYS_OPEN.map(|kind| kind as i32).contains(kind);
        for kind in &request.withhold_kinds {
            let fault = match v1::Kind::try_from(*kind) {
                Err(_) | Ok(v1::Kind::Unspecified) => format!("{kind} is no Kind"),
                Ok(known) if open(kind) => format!(
                    "{} says nothing of anybody, and without it the logs cannot be checked",
                    known.as_str_name()
                ),
                Ok(_) => continue,
            };
            let remedy = "name kinds that say something of somebody";
            return Err(DeskError::field("withholdKinds", fault, remedy));
        }
        for code in &request.withhold_codes {
            if handling::is_known(*code) && *code != 0 {
                continue;
            }
            return Err(DeskError::field(
                "withholdCodes",
                format!("{code} is no HandlingCode"),
                "name H0, H1, H2 or H3",
            ));
        }
        Ok(Self {
            kinds: request.withhold_kinds.iter().copied().collect(),
            codes: request.withhold_codes.iter().copied().collect(),
            restricted: false,
        })
    }

    /// Why the body under a header is left out; nothing if it is not.
    fn why(&self, header: &Header) -> Option<String> {
        let code = code_of(header.wire.handling.as_ref());
        if self.kinds.contains(&header.kind) {
            let kind = v1::Kind::try_from(header.kind).unwrap_or_default();
            let word = kind.as_str_name().trim_start_matches("KIND_");
            return Some(format!("kind {word}, as asked for"));
        }
        if self.codes.contains(&code) {
            let word = handling::code_word(code);
            return Some(format!("handling code {word}, as asked for"));
        }
        match permits(code, Use::Export) {
            Permit::NeedsOverride { why } if self.restricted => {
                let word = handling::code_word(code);
                Some(format!("handling code {word}: {why}"))
            }
            _ => None,
        }
    }
}

/// Kinds whose bodies are in every export. What a node says about a refusal holds nothing of the message
/// refused; a change of keys says nothing of anybody, and without it the log cannot be checked.
const STAYS_OPEN: [v1::Kind; 2] = [v1::Kind::Refusal, v1::Kind::KeyChange];

/// One export of one or more links.
pub(super) struct ExportJob {
    exchange: Arc<Exchange>,
    links: Vec<Arc<Link>>,
    proofs: bool,
    bodies: Bodies,
    withheld: Withheld,
    /// Of the own log and the peer's no more than the first receipt of at least so many entries.
    sizes_min: Option<[u64; 2]>,
    annex: Annex,
}

impl ExportJob {
    /// Everything of some links.
    pub(super) fn new(exchange: &Arc<Exchange>, links: Vec<Arc<Link>>) -> Self {
        Self {
            exchange: Arc::clone(exchange),
            links,
            proofs: false,
            bodies: Bodies::All,
            withheld: Withheld::default(),
            sizes_min: None,
            annex: Annex::default(),
        }
    }

    pub(super) fn bodies(self, bodies: Bodies) -> Self {
        Self { bodies, ..self }
    }

    pub(super) fn sizes_min(self, own: u64, mirror: u64) -> Self {
        Self {
            sizes_min: Some([own, mirror]),
            ..self
        }
    }

    pub(super) fn annex(self, annex: Annex) -> Self {
        Self { annex, ..self }
    }

    /// The receipt at which the export of a log ends.
    fn last_receipt(&self, link: &Link, side: LogSide) -> Result<Option<(u64, String)>, ReadError> {
        let size_min = self.sizes_min.map(|[own, mirror]| match side {
            LogSide::Own => own,
            LogSide::Mirror => mirror,
        });
        match size_min {
            Some(0) => Ok(None),
            Some(size) => {
                let first = self.exchange.receipts(link, side, size, 1)?;
                Ok(first.into_iter().next())
            }
            None => self.exchange.latest_receipt(link, side),
        }
    }

    pub(super) fn run(&self, sink: &mut PartSink) -> Result<(), DeskError> {
        self.run_with(&self.logs()?, sink)
    }

    /// The logs as of now: two of each link.
    fn logs(&self) -> Result<Vec<ExportLog>, DeskError> {
        let mut logs = Vec::new();
        for link in &self.links {
            for side in [LogSide::Own, LogSide::Mirror] {
                logs.push(ExportLog {
                    exchange: Arc::clone(&self.exchange),
                    reader: self.exchange.reader(link, side),
                    // In this order: the tree is at least as large as the receipt.
                    latest: self.last_receipt(link, side)?,
                    tree: link.tree(side),
                    link: Arc::clone(link),
                    side,
                    bodies: self.bodies.clone(),
                    withheld: self.withheld.clone(),
                });
            }
        }
        Ok(logs)
    }

    fn run_with(&self, logs: &[ExportLog], sink: &mut PartSink) -> Result<(), DeskError> {
        for log in logs {
            sink.files_total += log.files(self.proofs)?;
        }
        let annexed = self.annex.dated.len() + self.annex.files.len();
        sink.files_total += annexed as u64 + 1; // the manifest
        let milliseconds = i64::try_from(self.exchange.clock().unix_ms()).unwrap_or(i64::MAX);
        let head = ExportHead {
            node: self.exchange.node().clone(),
            exported_at: jiff::Timestamp::from_millisecond(milliseconds)
                .unwrap_or(jiff::Timestamp::MAX),
            keys: self.keys(),
            proofs: self.proofs,
            annex: self.annex.clone(),
        };
        match export(&head, logs, sink) {
            Ok(_) | Err(ExportError::Sink(Gone::Reader)) => Ok(()),
            Err(ExportError::Sink(Gone::Node)) => Err(DeskError::Stopping),
            Err(ExportError::Source(error)) => Err(error.into()),
            Err(other) => Err(DeskError::Export(other.to_string())),
        }
    }

    /// Every public key of both sides, each once.
    fn keys(&self) -> Vec<ExportKey> {
        let mut keys: Vec<VerifierKey> = Vec::new();
        for link in &self.links {
            for side in [LogSide::Own, LogSide::Mirror] {
                for key in keys_of_log(link, side) {
                    if !keys.contains(&key) {
                        keys.push(key);
                    }
                }
            }
        }
        keys.into_iter().map(ExportKey::unlimited).collect()
    }
}

/// What leaves with an export, of one link.
struct Leaving {
    peer: String,
    /// Sizes of both logs, and what is left out.
    what: String,
    /// How many bodies of which handling code are in it only because there is a reason.
    overridden: BTreeMap<i32, u32>,
}

fn leaving(logs: &[ExportLog], request: &v1::ExportRequest) -> Result<Vec<Leaving>, DeskError> {
    let mut all = Vec::new();
    for pair in logs.chunks(2) {
        let mut sizes = Vec::new();
        let mut overridden = BTreeMap::new();
        for log in pair {
            let size = log.latest.as_ref().map_or(0, |(size, _)| *size);
            sizes.push(size.to_string());
            for index in 0..size {
                if let Some(code) = log.overridden(index)? {
                    let count: &mut u32 = overridden.entry(code).or_default();
                    *count = count.saturating_add(1);
                }
            }
        }
        let Some(log) = pair.first() else { continue };
        all.push(Leaving {
            peer: log.link.peer.to_string(),
            what: format!("logs {}{}", sizes.join("+"), left_out(request)),
            overridden,
        });
    }
    Ok(all)
}

/// What an export was asked to leave out, as the journal has it.
fn left_out(request: &v1::ExportRequest) -> String {
    if request.withhold_bodies {
        return " without bodies".to_owned();
    }
    let (kinds, codes) = (&request.withhold_kinds, &request.withhold_codes);
    let kinds: BTreeSet<_> = kinds.iter().map(ToString::to_string).collect();
    let codes: BTreeSet<_> = codes
        .iter()
        .map(|code| handling::code_word(*code))
        .collect();
    let mut text = String::new();
    if !kinds.is_empty() {
        let kinds: Vec<_> = kinds.into_iter().collect();
        text = format!(" without kinds {}", kinds.join(","));
    }
    if !codes.is_empty() {
        let codes: Vec<_> = codes.into_iter().collect();
        text = format!("{text} without {}", codes.join(","));
    }
    if text.len() > LEFT_OUT_BYTES_MAX {
        return " without many kinds".to_owned();
    }
    text
}

/// Bytes of what was left out, beside two sizes of 20 digits at most in a field of 128.
const LEFT_OUT_BYTES_MAX: usize = JOURNAL_WHAT_BYTES_MAX - 5 - 20 - 1 - 20;

/// The keys that it takes to check one log: of its entries, its checkpoints, both cosignatures.
pub(super) fn keys_of_log(link: &Link, side: LogSide) -> Vec<VerifierKey> {
    let (author, mirror) = match side {
        LogSide::Own => (LogSide::Own, LogSide::Mirror),
        LogSide::Mirror => (LogSide::Mirror, LogSide::Own),
    };
    let (author, mirror) = (link.key_history(author), link.key_history(mirror));
    let signing = author.keys().iter().filter(|key| key.role != KeyRole::Log);
    let mut keys: Vec<_> = signing.map(|key| key.vkey.clone()).collect();
    for pair in author.author_keys() {
        keys.extend([pair.log, pair.author]);
    }
    keys.extend(mirror.mirror_keys().into_iter().map(|key| key.mirror));
    keys
}

/// A log as an export reads it: a snapshot.
struct ExportLog {
    exchange: Arc<Exchange>,
    link: Arc<Link>,
    side: LogSide,
    reader: LogReader,
    latest: Option<(u64, String)>,
    tree: Arc<Tree>,
    bodies: Bodies,
    withheld: Withheld,
}

impl ExportLog {
    /// How many files it becomes. Bodies that are not here are counted all the same: the number is
    /// for a progress bar.
    fn files(&self, proofs: bool) -> Result<u64, ReadError> {
        let Some((size, _)) = &self.latest else {
            return Ok(0);
        };
        let bodies = match &self.bodies {
            Bodies::All => *size,
            Bodies::Withheld => 0,
            Bodies::Only { own, mirror } => match self.side {
                LogSide::Own => own.len() as u64,
                LogSide::Mirror => mirror.len() as u64,
            },
        };
        let of_entries = 2 + u64::from(proofs);
        let mut count = size * of_entries + bodies;
        count += tiles(*size, TileKind::Entries).count() as u64 + 1;
        for level in 0..=LEVEL_MAX {
            count += tiles(*size, TileKind::Hashes { level }).count() as u64;
        }
        let mut from = 0;
        loop {
            let page = self
                .exchange
                .receipts(&self.link, self.side, from, RECEIPTS_AT_ONCE)?;
            let within = page.iter().filter(|(at, _)| at <= size).count();
            count += within as u64;
            match page.last() {
                Some((last, _)) if within == RECEIPTS_AT_ONCE => from = last + 1,
                _ => return Ok(count),
            }
        }
    }

    /// The handling code of a body that is in the export though its code restricts that.
    fn overridden(&self, index: u64) -> Result<Option<i32>, ReadError> {
        if self.withheld.restricted {
            return Ok(None);
        }
        let stored = self.reader.entry(index)?;
        let Ok(header) = header_of(&stored, "") else {
            return Ok(None);
        };
        let code = code_of(header.wire.handling.as_ref());
        let is_free = matches!(permits(code, Use::Export), Permit::Allowed);
        if is_free || stored.record.body == StoredBody::Absent {
            return Ok(None);
        }
        Ok(self.why_withheld(&stored).is_none().then_some(code))
    }

    /// Why a body is left out of this export; nothing if it is not.
    fn why_withheld(&self, stored: &Stored) -> Option<String> {
        let all = self.bodies.withholds(self.side, stored.index);
        match header_of(stored, "") {
            Ok(header) if STAYS_OPEN.map(|kind| kind as i32).contains(&header.kind) => None,
            _ if all => Some(match self.bodies {
                Bodies::Only { .. } => "not needed for what this proves".to_owned(),
                _ => "every body, as asked for".to_owned(),
            }),
            Ok(header) => self.withheld.why(&header),
            // Its header cannot be read: nothing says that it is restricted.
            Err(_) => None,
        }
    }
}

impl ExportLog {
    fn why_erased(&self, index: u64) -> Result<String, ReadError> {
        if let Some(erasure) = self.exchange.erasure_of(&self.link, self.side, index)? {
            let at = i64::try_from(erasure.at_ms).unwrap_or(i64::MAX);
            let at = jiff::Timestamp::from_millisecond(at).unwrap_or(jiff::Timestamp::MAX);
            let (by, under) = (escape(&erasure.by), escape(&erasure.authority));
            return Ok(format!("erased on {at} by {by} under {under}"));
        }
        // After the records were restored, the notice in the own log is all that tells of it.
        let stored = self.reader.entry(index)?;
        let header = header_of(&stored, &self.origin().to_string())?;
        let said = self
            .exchange
            .erasure_said(&self.link, header.id, LogSide::Own)?;
        Ok(said.map_or_else(
            || "not held here, and no erasure is on record".to_owned(),
            |notice| format!("erased under {}", escape(&notice.authority)),
        ))
    }
}

impl TileReader for ExportLog {
    type Error = ReadError;

    fn full_tile(&self, level: u8, index: u64) -> Result<Vec<u8>, ReadError> {
        self.reader.full_tile(level, index)
    }

    fn leaf(&self, index: u64) -> Result<Hash, ReadError> {
        self.reader.leaf(index)
    }
}

impl LogSource for ExportLog {
    fn origin(&self) -> &Origin {
        self.link.origin(self.side)
    }

    fn start_keys(&self) -> Vec<VerifierKey> {
        let history = self.link.key_history(self.side);
        let start = history.keys().iter().filter(|key| key.since.is_none());
        start.map(|key| key.vkey.clone()).collect()
    }

    fn tree(&self) -> &Tree {
        &self.tree
    }

    fn entry(&self, index: u64) -> Result<Bytes, ReadError> {
        Ok(self.reader.entry(index)?.entry)
    }

    fn body(&self, index: u64) -> Result<SourceBody, ReadError> {
        let stored = self.reader.entry(index)?;
        if stored.record.refused && stored.record.body == StoredBody::Absent {
            return Ok(SourceBody::Absent(Absence::Refused));
        }
        if self.why_withheld(&stored).is_some() {
            return Ok(SourceBody::Absent(Absence::Withheld));
        }
        Ok(match self.reader.body(&stored)? {
            Some((salt, body)) => SourceBody::Held([&salt[..], &body[..]].concat().into()),
            None => SourceBody::Absent(Absence::Erased),
        })
    }

    fn why_absent(&self, index: u64, absence: Absence) -> Result<Option<String>, ReadError> {
        match absence {
            Absence::Withheld => Ok(self.why_withheld(&self.reader.entry(index)?)),
            // The reason is for this side only.
            Absence::Erased => self.why_erased(index).map(Some),
            Absence::Refused => Ok(None),
        }
    }

    fn latest_receipt(&self) -> Result<Option<SourceReceipt>, ReadError> {
        let latest = self.latest.clone();
        Ok(latest.map(|(size, note)| SourceReceipt { size, note }))
    }

    fn receipts(&self, size_min: u64, limit: usize) -> Result<Vec<SourceReceipt>, ReadError> {
        let receipts = self
            .exchange
            .receipts(&self.link, self.side, size_min, limit)?;
        let receipts = receipts.into_iter();
        Ok(receipts
            .map(|(size, note)| SourceReceipt { size, note })
            .collect())
    }
}

/// Why a file could not be handed on.
#[derive(Debug, Clone, Copy, thiserror::Error)]
pub(super) enum Gone {
    #[error("the reader has gone")]
    Reader,
    #[error("the node is going down")]
    Node,
}

/// Files as parts of a stream, at the pace of the reader.
pub(super) struct PartSink {
    parts: mpsc::Sender<Part>,
    files_total: u64,
    stop: CancellationToken,
}

impl PartSink {
    pub(super) fn new(parts: mpsc::Sender<Part>, stop: CancellationToken) -> Self {
        Self {
            parts,
            files_total: 0,
            stop,
        }
    }

    /// Tells the reader why nothing more comes, if it still listens.
    pub(super) fn fail(&self, status: Status) {
        drop(self.parts.try_send(Err(status)));
    }
}

impl FileSink for PartSink {
    type Error = Gone;

    fn file(&mut self, path: &str, bytes: &[u8]) -> Result<(), Gone> {
        let chunks = bytes.len().div_ceil(CHUNK_BYTES_MAX).max(1);
        for number in 0..chunks {
            let start = number * CHUNK_BYTES_MAX;
            let end = (start + CHUNK_BYTES_MAX).min(bytes.len());
            if self.stop.is_cancelled() {
                return Err(Gone::Node);
            }
            let part = v1::ExportResponse {
                path: path.to_owned(),
                chunk: Bytes::copy_from_slice(&bytes[start..end]),
                last: number + 1 == chunks,
                files_total: self.files_total,
            };
            let sent = self.parts.send(Ok(part));
            tokio::runtime::Handle::current().block_on(async {
                tokio::select! {
                    // A reader that has stalled for so long is gone: it occupies a thread.
                    sent = tokio::time::timeout(READER_TIME_MAX, sent) => match sent {
                        Ok(Ok(())) => Ok(()),
                        Ok(Err(_)) | Err(_) => Err(Gone::Reader),
                    },
                    () = self.stop.cancelled() => Err(Gone::Node),
                }
            })?;
        }
        Ok(())
    }
}

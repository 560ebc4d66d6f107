//! Evidence that the peer did not answer in time: an export with a claim that it proves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_stream::StreamExt as _;
use tokio_stream::adapters::Map;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::audit::{AHEAD_PARTS, Bodies, ExportJob, Part, PartSink, Parts, keys_of_log};
use super::caller::{Access, Caller};
use super::errors::DeskError;
use super::read::parse_id;
use super::{Desk, blocking};
use crate::audit::export::{Annex, ExportKey, three_lines};
use crate::audit::format::{CLAIM, CLAIM_RECEIPT};
use crate::audit::lateness::{self, Claim, Dated, Exhibit, Line, NotLate};
use crate::exchange::layout::Place;
use crate::exchange::read::{LogReader, ReadError};
use crate::exchange::submit::header_of;
use crate::exchange::view::Detail;
use crate::exchange::{Exchange, Link, LogSide};
use crate::model::handling::Use;
use crate::model::workflow::Standing;
use crate::model::{Header, MessageId, Origin, body};
use crate::proto::v1;
use crate::proto::v1::Kind;
use crate::proto::v1::body::Body;
use crate::store::Direction;
use crate::tlog::proof::TlogProof;
use crate::tlog::{Hash, Snapshot, leaf_hash};

/// Entries read in one go.
const ENTRIES_AT_ONCE: usize = 256;

/// The answer to Lateness.
pub(super) type Pieces = Map<Parts, fn(Part) -> Result<v1::LatenessResponse, Status>>;

impl Desk {
    pub(super) async fn lateness(
        self: &Arc<Self>,
        caller: &Caller,
        access: Access,
        request: v1::LatenessRequest,
    ) -> Result<Pieces, DeskError> {
        let (desk, by) = (Arc::clone(self), caller.clone());
        let gather = move || Desk::gather(&desk, &by, access, &request.id);
        let Gathered { permit, job, named } = blocking(gather).await?;
        for message in &named {
            self.permit(caller, message, Use::Export, &request.override_reason)
                .await?;
        }
        let (parts, stream) = mpsc::channel(AHEAD_PARTS);
        let stop = self.stop.clone();
        tokio::task::spawn_blocking(move || {
            let mut sink = PartSink::new(parts, stop);
            if let Err(error) = job.run(&mut sink) {
                tracing::warn!(reason = error.reason(), "evidence has ended early");
                sink.fail(error.into());
            }
            drop(permit);
        });
        let wrap: fn(Part) -> _ = |part| part.map(|part| v1::LatenessResponse { part: Some(part) });
        Ok(ReceiverStream::new(stream).map(wrap))
    }

    /// Puts the evidence together, if there is any.
    fn gather(
        self: &Arc<Self>,
        caller: &Caller,
        access: Access,
        id: &str,
    ) -> Result<Gathered, DeskError> {
        let id = parse_id("id", id)?;
        let (link, place) = self.visible(caller, access, id)?;
        let Place::Log(LogSide::Own, index) = place else {
            return Err(DeskError::NotLate {
                id,
                why: "it is a message of the peer; evidence is written of an own message that the \
                      peer owes an answer to"
                    .to_owned(),
            });
        };
        let permit = Arc::clone(&self.exports).try_acquire_owned();
        let permit = permit.map_err(|_| DeskError::Crowded { what: "exports" })?;
        let refused = |why: &str| DeskError::NotLate {
            id,
            why: why.to_owned(),
        };
        let standing = self.exchange.with_cases(&link, |book| {
            let Some(case) = book.case_at(LogSide::Own, index)? else {
                return Ok(None);
            };
            let judged = book.folded(case)?.and_then(|folded| folded.message(id));
            Ok::<_, ReadError>(judged.map(|judged| judged.standing.clone()))
        })??;
        // None: the peer refused it. Whether that was before it was late is judged below.
        if standing.is_some_and(|standing| standing != Standing::Applied) {
            return Err(refused(
                "it has no effect in its case; `case show` says why",
            ));
        }
        let evidence = Evidence::gather(&self.exchange, &link, id, index)?;
        let due_at = evidence.claim.due_at.parse::<jiff::Timestamp>();
        let now = i64::try_from(self.exchange.clock().unix_ms()).unwrap_or(i64::MAX);
        if due_at.is_ok_and(|due_at| due_at.as_millisecond() > now) {
            // It would hold, by a peer's clock that is ahead; nobody should rely on that.
            return Err(refused("by this node's clock the answer is not due yet"));
        }
        let named = evidence.named(&self.exchange, &link)?;
        let job = evidence.into_job(&self.exchange, &link)?;
        Ok(Gathered { permit, job, named })
    }
}

/// Evidence that can be written out.
struct Gathered {
    permit: OwnedSemaphorePermit,
    job: ExportJob,
    /// The messages whose bodies are in it.
    named: Vec<v1::Message>,
}

/// A claim, and the checkpoint it rests on.
struct Evidence {
    claim: Claim,
    dated_note: String,
    /// Bodies without which it could not be checked.
    own_bodies: BTreeSet<u64>,
    peer_bodies: BTreeSet<u64>,
}

impl Evidence {
    fn gather(
        exchange: &Exchange,
        link: &Link,
        id: MessageId,
        index: u64,
    ) -> Result<Self, DeskError> {
        let logs = Logs::read(exchange, link)?;
        let mut why: Option<NotLate> = None;
        // The newest checkpoint; else the newest before an extension was taken, then before the
        // answer or a REFUSAL came: a late one was late.
        let extension = lateness::extension_of(&logs, id);
        let mut limits: Vec<u64> = extension.into_iter().collect();
        limits.push(logs.peer_lines.len() as u64);
        let mut found = None;
        while let Some(limit) = limits.pop() {
            let Some((dated, note)) = logs.dated_up_to(limit)? else {
                continue;
            };
            match lateness::judge(&logs, index, dated) {
                Ok(claim) => {
                    found = Some((claim, note));
                    break;
                }
                Err(error) => {
                    if let NotLate::Answered { index, .. } | NotLate::RefusedByPeer { index } =
                        &error
                    {
                        limits.retain(|limit| limit < index);
                        limits.push(*index);
                    }
                    why.get_or_insert(error);
                }
            }
        }
        let Some((claim, dated_note)) = found else {
            let why = match why {
                None => return Err(no_checkpoint(id)),
                Some(why @ NotLate::NotDue { .. }) => format!(
                    "{why}. If the time has passed: the peer dates a checkpoint at once when the \
                     link is up, and at least every 60 s; try again then"
                ),
                Some(why) => why.to_string(),
            };
            return Err(DeskError::NotLate { id, why });
        };
        let own_bodies = logs
            .own_line(index)
            .filter(|line| line.kind == Kind::OfficialLetter as i32)
            .map(|_| index);
        let size = usize::try_from(claim.checkpoint_size).unwrap_or(usize::MAX);
        let needed = |(at, line): (u64, &Option<Line>)| {
            let kind = line.as_ref()?.kind;
            let wanted = [Kind::Calendar as i32, Kind::DeadlineExtension as i32];
            wanted.contains(&kind).then_some(at)
        };
        let peer_lines = (0..).zip(logs.peer_lines.iter().take(size));
        Ok(Self {
            own_bodies: own_bodies.into_iter().collect(),
            peer_bodies: peer_lines.filter_map(needed).collect(),
            claim,
            dated_note,
        })
    }

    /// The messages whose bodies are in it.
    fn named(&self, exchange: &Exchange, link: &Link) -> Result<Vec<v1::Message>, ReadError> {
        let own = self.own_bodies.iter().map(|at| (LogSide::Own, *at));
        let peers = self.peer_bodies.iter().map(|at| (LogSide::Mirror, *at));
        own.chain(peers)
            .map(|(side, at)| exchange.message(link, Place::Log(side, at), Detail::Line))
            .collect()
    }

    fn into_job(self, exchange: &Arc<Exchange>, link: &Arc<Link>) -> Result<ExportJob, DeskError> {
        let reader = exchange.reader(link, LogSide::Own);
        let (index, size) = (self.claim.index, self.claim.receipt_size);
        let tree = link.tree(LogSide::Own);
        let hashes = Snapshot::new(&tree, &reader)
            .inclusion_proof(index, size)
            .map_err(|error| reader.tree_error(error))?;
        let missing = || ReadError::Missing {
            what: "checkpoint",
            origin: link.own.to_string(),
            index: size,
        };
        let note = reader.checkpoint(size)?.ok_or_else(missing)?;
        let keys: Vec<ExportKey> = keys_of_log(link, LogSide::Own)
            .into_iter()
            .map(ExportKey::unlimited)
            .collect();
        let proof = TlogProof {
            extra: None,
            index,
            hashes,
            checkpoint: three_lines(&link.own, &note, &keys),
        };
        let dated = (
            link.mirror.clone(),
            self.claim.checkpoint_size,
            self.dated_note,
        );
        let annex = Annex {
            dated: vec![dated],
            files: vec![
                (CLAIM, self.claim.encode()),
                (CLAIM_RECEIPT, proof.encode().into_bytes()),
            ],
        };
        Ok(ExportJob::new(exchange, vec![Arc::clone(link)])
            .bodies(Bodies::Only {
                own: self.own_bodies,
                mirror: self.peer_bodies,
            })
            // What either said after what was judged is no part of the claim.
            .sizes_min(self.claim.log_size, self.claim.checkpoint_size)
            .annex(annex))
    }
}

fn no_checkpoint(id: MessageId) -> DeskError {
    DeskError::NotLate {
        id,
        why: "no dated checkpoint of the peer is held yet; it dates one at least every 60 s while \
              the link is up. Try again then"
            .to_owned(),
    }
}

/// Both logs of a link as the judge wants them.
struct Logs<'a> {
    exchange: &'a Exchange,
    link: &'a Link,
    own: LogReader,
    mirror: LogReader,
    own_lines: Vec<Option<Line>>,
    peer_lines: Vec<Option<Line>>,
    refusals: BTreeMap<u64, u64>,
}

impl<'a> Logs<'a> {
    fn read(exchange: &'a Exchange, link: &'a Link) -> Result<Self, DeskError> {
        // As far as an export goes: what is receipted.
        let size = |side| {
            let latest = exchange.latest_receipt(link, side)?;
            Ok::<_, ReadError>(latest.map_or(0, |(size, _)| size))
        };
        let (own, mirror) = (
            exchange.reader(link, LogSide::Own),
            exchange.reader(link, LogSide::Mirror),
        );
        let own_lines = lines(&own, size(LogSide::Own)?)?;
        let peer_lines = lines(&mirror, size(LogSide::Mirror)?)?;
        let refusals = (0..).zip(&own_lines).filter_map(|(at, line)| {
            let is_refusal = line.as_ref()?.kind == Kind::Refusal as i32;
            if !is_refusal {
                return None;
            }
            match content(&own, at)?.1? {
                Body::Refusal(refusal) => Some((at, refusal.index)),
                _ => None,
            }
        });
        let refusals = refusals.collect();
        Ok(Self {
            exchange,
            link,
            own,
            mirror,
            own_lines,
            peer_lines,
            refusals,
        })
    }

    fn own_line(&self, index: u64) -> Option<&Line> {
        self.own_lines.get(usize::try_from(index).ok()?)?.as_ref()
    }

    /// The newest dated checkpoint of the peer over at most so many entries.
    fn dated_up_to(&self, size: u64) -> Result<Option<(Dated, String)>, DeskError> {
        let end = size.saturating_add(1);
        let heard = self.mirror.dated(0, end, 1, Direction::Backward)?;
        let pushed = self.mirror.checkpoints(0, end, 1, Direction::Backward)?;
        let verified = heard.into_iter().chain(pushed).filter_map(|(size, note)| {
            let signed = self.link.mirror_verifier.checkpoint(&note).ok()?;
            let at = signed.authored_at;
            (signed.checkpoint.size == size).then_some((Dated { size, at }, note))
        });
        Ok(verified.max_by_key(|(dated, _)| (dated.at, dated.size)))
    }
}

/// Header and body of an entry, as far as they can be read.
fn content(reader: &LogReader, index: u64) -> Option<(Header, Option<Body>)> {
    let stored = reader.entry(index).ok()?;
    let header = header_of(&stored, "").ok()?;
    let bytes = reader.body(&stored).ok().flatten();
    let content = bytes.and_then(|(_, bytes)| body::read(header.kind, &header.schema, &bytes));
    Some((header, content))
}

fn lines(reader: &LogReader, size: u64) -> Result<Vec<Option<Line>>, ReadError> {
    let mut lines = Vec::new();
    while (lines.len() as u64) < size {
        for stored in reader.entries(lines.len() as u64, size, ENTRIES_AT_ONCE)? {
            let header = header_of(&stored, "").ok();
            lines.push(header.as_ref().map(Line::of));
        }
    }
    Ok(lines)
}

impl Exhibit for Logs<'_> {
    fn own(&self) -> &Origin {
        &self.link.own
    }

    fn own_lines(&self) -> &[Option<Line>] {
        &self.own_lines
    }

    fn peer_lines(&self) -> &[Option<Line>] {
        &self.peer_lines
    }

    fn receipt(&self, index: u64) -> Option<(u64, u64)> {
        let receipt = self
            .exchange
            .receipt_covering(self.link, LogSide::Own, index);
        let (size, note) = receipt.ok()??;
        let receipt = self.link.own_verifier.receipt(&note).ok()?;
        Some((size, receipt.cosigned_at))
    }

    fn request(&self, index: u64) -> Option<(Header, Option<Body>)> {
        content(&self.own, index)
    }

    fn peer_body(&self, index: u64) -> Option<Body> {
        content(&self.mirror, index)?.1
    }

    fn leaf(&self, index: u64) -> Option<Hash> {
        Some(leaf_hash(&self.own.entry(index).ok()?.entry))
    }

    fn refusals(&self) -> &BTreeMap<u64, u64> {
        &self.refusals
    }

    fn receipted_after(&self, second: u64) -> Option<u64> {
        let mut from = 0;
        loop {
            let page = self
                .exchange
                .receipts(self.link, LogSide::Own, from, ENTRIES_AT_ONCE);
            let page = page.ok()?;
            from = page.last()?.0.saturating_add(1);
            let is_after = |(size, note): &(u64, String)| {
                let receipt = self.link.own_verifier.receipt(note);
                *size <= self.own_lines.len() as u64
                    && receipt.is_ok_and(|receipt| receipt.cosigned_at > second)
            };
            if let Some((size, _)) = page.iter().find(|one| is_after(one)) {
                return Some(*size);
            }
        }
    }
}

//! The journal for those who may read it: lines, and files that are judged without the node.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::Desk;
use super::caller::{Access, Caller, Method};
use super::errors::DeskError;
use super::link::check_reason;
use super::service::{admit, answer, refused};
use crate::exchange::clock::timestamp_of_seconds;
use crate::journal::{Act, JournalError, Query};
use crate::limits::{CHUNK_BYTES_MAX, JOURNAL_PAGE_MAX, JOURNAL_WHO_BYTES_MAX, READER_TIME_MAX};
use crate::link::connection::ConnectInfo;
use crate::link::identity::Identity;
use crate::proto::v1;
use crate::proto::v1::journal_service_server::JournalService;

/// Deeds of a page when none are asked for.
const PAGE: u32 = 100;
/// Parts between the disk and the network.
const AHEAD_PARTS: usize = 4;

type Parts = ReceiverStream<Result<v1::ExportJournalResponse, Status>>;

/// Auditors and administrators; and the node's own user at its socket, who has the files anyway.
fn admit_reader<T>(request: &Request<T>, method: Method) -> Result<Caller, Status> {
    let (caller, access) = admit(request, method)?;
    let info = request.extensions().get::<ConnectInfo>();
    let local = info.is_some_and(|info| matches!(info.identity, Identity::Unix(_)));
    if access == Access::Full || local {
        return Ok(caller);
    }
    Err(refused(&caller, method, DeskError::NotAtSocket))
}

#[tonic::async_trait]
impl JournalService for Arc<Desk> {
    async fn list_journal(
        &self,
        request: Request<v1::ListJournalRequest>,
    ) -> Result<Response<v1::ListJournalResponse>, Status> {
        let caller = admit_reader(&request, Method::ListJournal)?;
        let desk = Arc::clone(self);
        let work = move || desk.list_journal_now(request.get_ref());
        let listed = self.reading(&caller, work).await;
        answer(&caller, Method::ListJournal, listed)
    }

    type ExportJournalStream = Parts;

    async fn export_journal(
        &self,
        request: Request<v1::ExportJournalRequest>,
    ) -> Result<Response<Parts>, Status> {
        let caller = admit_reader(&request, Method::ExportJournal)?;
        let exported = self.export_journal_to(&caller).await;
        answer(&caller, Method::ExportJournal, exported)
    }

    async fn accept_journal(
        &self,
        request: Request<v1::AcceptJournalRequest>,
    ) -> Result<Response<v1::AcceptJournalResponse>, Status> {
        let caller = admit_reader(&request, Method::AcceptJournal)?;
        let accepted = self.accept_journal_of(&caller, request.get_ref()).await;
        answer(&caller, Method::AcceptJournal, accepted)
    }
}

impl Desk {
    fn list_journal_now(
        &self,
        request: &v1::ListJournalRequest,
    ) -> Result<v1::ListJournalResponse, DeskError> {
        let size = request.page_size;
        if size > JOURNAL_PAGE_MAX {
            return Err(DeskError::field(
                "pageSize",
                format!("{size}, over the limit of {JOURNAL_PAGE_MAX}"),
                "ask page by page",
            ));
        }
        if request.who.len() > JOURNAL_WHO_BYTES_MAX {
            return Err(DeskError::field(
                "who",
                format!(
                    "{} bytes, at most {JOURNAL_WHO_BYTES_MAX}",
                    request.who.len()
                ),
                "name a role, or role and name, such as operator/mai",
            ));
        }
        let below = match request.page_token.as_str() {
            "" => None,
            token => Some(token.parse::<u64>().map_err(|_| {
                let remedy = "give the one of the answer before";
                DeskError::field("pageToken", "it is none of this node", remedy)
            })?),
        };
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let act = Act::try_from(request.act).map_err(|_| {
            DeskError::field("act", "no such act is known here", "name one of JournalAct")
        })?;
        let since_ms = request.since.map(|at| {
            let seconds = u64::try_from(at.seconds).unwrap_or_default();
            let ms = u64::try_from(at.nanos / 1_000_000).unwrap_or_default();
            seconds.saturating_mul(1_000).saturating_add(ms)
        });
        let query = Query {
            since_ms,
            who: some(&request.who),
            act: (act != Act::Unspecified).then_some(act),
            message: some(&request.message_id),
            below,
            limit: usize::try_from(if size == 0 { PAGE } else { size }).unwrap_or(usize::MAX),
        };
        let found = self.journal.list(&query)?;
        let keys = self.exchange.journal_keys();
        let mut witnesses = Vec::new();
        for link in self.exchange.links() {
            if let Some((size, note)) = self.journal.last_cosigned(&link.peer)? {
                let node = self.journal.node();
                let judged =
                    crate::crypto::journal::verify(node, &note, &keys.own, &keys.witnesses);
                let at = judged.ok().and_then(|note| {
                    let mut by = note.witnessed.iter();
                    let by = by.find(|(key, _)| key.name() == link.peer.as_str());
                    by.map(|(_, at)| timestamp_of_seconds(*at))
                });
                witnesses.push(v1::JournalStanding {
                    peer: link.peer.to_string(),
                    size,
                    at,
                });
            }
        }
        Ok(v1::ListJournalResponse {
            lines: found
                .deeds
                .into_iter()
                .map(|(index, entry)| v1::JournalLine {
                    index,
                    entry: Some(entry),
                })
                .collect(),
            next_page_token: found
                .next_below
                .map(|below| below.to_string())
                .unwrap_or_default(),
            size: found.size,
            witnesses,
        })
    }

    async fn export_journal_to(self: &Arc<Self>, caller: &Caller) -> Result<Parts, DeskError> {
        let permit = Arc::clone(&self.exports).try_acquire_owned();
        let permit = permit.map_err(|_| DeskError::Crowded { what: "exports" })?;
        let key = self.exchange.journal_key().ok_or(JournalError::NoKey)?;
        self.note(Self::deed(caller, Act::Exported).what("journal"))
            .await?;
        let (parts, stream) = mpsc::channel(AHEAD_PARTS);
        let desk = Arc::clone(self);
        let runtime = tokio::runtime::Handle::current();
        tokio::task::spawn_blocking(move || {
            let signed = desk.journal.sign(&key);
            let mut give =
                |path: &str, content: Vec<u8>| desk.give_file(&runtime, &parts, path, &content);
            let keys = desk.exchange.journal_keys();
            if let Err(error) = desk.journal.export(&signed, keys, &mut give) {
                tracing::warn!(
                    reason = error.reason(),
                    "an export of the journal has ended early"
                );
                drop(parts.try_send(Err(error.into())));
            }
            drop(permit);
        });
        Ok(ReceiverStream::new(stream))
    }

    fn give_file(
        &self,
        runtime: &tokio::runtime::Handle,
        parts: &mpsc::Sender<Result<v1::ExportJournalResponse, Status>>,
        path: &str,
        content: &[u8],
    ) -> Result<(), DeskError> {
        let chunks: Vec<&[u8]> = match content {
            [] => vec![&[]],
            content => content.chunks(CHUNK_BYTES_MAX).collect(),
        };
        let count = chunks.len();
        for (number, chunk) in chunks.into_iter().enumerate() {
            if self.stop.is_cancelled() {
                return Err(DeskError::Stopping);
            }
            let part = v1::ExportJournalResponse {
                path: path.to_owned(),
                chunk: Bytes::copy_from_slice(chunk),
                last: number + 1 == count,
            };
            let sent = async { tokio::time::timeout(READER_TIME_MAX, parts.send(Ok(part))).await };
            match runtime.block_on(sent) {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err(DeskError::BrokenOff),
                Err(_) => return Err(DeskError::NotRead),
            }
        }
        Ok(())
    }

    async fn accept_journal_of(
        &self,
        caller: &Caller,
        request: &v1::AcceptJournalRequest,
    ) -> Result<v1::AcceptJournalResponse, DeskError> {
        let link = self.link_named(&request.peer)?;
        let reason = check_reason(&request.reason)?;
        let deed = Self::deed(caller, Act::WitnessAccepted)
            .peer(&link.peer)
            .why(reason);
        self.note(deed).await?;
        let journal = self.journal.clone();
        journal.accept_anew(&link.peer).await?;
        tracing::warn!(peer = %link.peer, %caller, "the peer's journal is witnessed anew");
        Ok(v1::AcceptJournalResponse {})
    }
}

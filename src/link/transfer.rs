//! Carrying attachments, from the side that dialled: it fetches what is missing here and brings
//! what the peer lacks. Each transfer goes on where the last one was cut.
//!
//! One file's trouble does not stop the others: a file that could not be carried waits, twice as
//! long each time, and the rest goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use tokio_stream::StreamExt as _;
use tonic::Status;

use super::service::{blocking, finish};
use crate::exchange::layout::FileRef;
use crate::exchange::{Exchange, Link, LogSide};
use crate::limits::{CHUNK_BYTES_MAX, UPLOAD_PAUSE_MAX};
use crate::proto::v1;
use crate::proto::v1::exchange_service_client::ExchangeServiceClient;
use crate::proto::v1::put_attachment_request::Part;
use crate::store::StoreError;

type Client = ExchangeServiceClient<tonic::transport::Channel>;

/// Chunks read ahead of the network.
const CHUNKS_AHEAD: usize = 4;
/// Lost files asked for in one look.
const LOST_AT_ONCE: usize = 1_024;
/// First wait of a file that could not be carried.
const WAIT_MIN: Duration = Duration::from_secs(1);
/// Longest wait of a file that could not be carried.
const WAIT_MAX: Duration = Duration::from_secs(5 * 60);
/// Longest pause after a look through everything that is owed. A pause is as long as the look was,
/// so that a thousand files that cannot come take no more than half of a core.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Carries files both ways for as long as the session lasts; ends only when the node does. Files
/// that the peer does not know of yet wait until it has receipted their message.
pub async fn run(exchange: Arc<Exchange>, link: Arc<Link>, client: Client) {
    let mut files = exchange.watch_files(&link);
    let mut heads = link.watch_head();
    let mut carrier = Carrier {
        exchange,
        link,
        client,
        brought: BTreeSet::new(),
        gave_back: false,
        waits: Waits::default(),
    };
    loop {
        files.mark_unchanged();
        heads.mark_unchanged();
        let began = Instant::now();
        let unreadable = carrier.round().await.err();
        if let Some(error) = &unreadable {
            tracing::warn!(peer = %carrier.link.peer, %error, "what is owed cannot be read");
        }
        tokio::time::sleep(began.elapsed().min(PAUSE_MAX)).await;
        let again = match unreadable {
            Some(_) => Some(Instant::now() + WAIT_MAX),
            None => carrier.waits.next(),
        };
        let waited = async {
            match again {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let alive = tokio::select! {
            changed = files.changed() => changed,
            changed = heads.changed() => changed,
            () = waited => Ok(()),
        };
        if alive.is_err() {
            return;
        }
    }
}

/// Which way a file goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    Here,
    There,
}

/// One session's carrying.
struct Carrier {
    exchange: Arc<Exchange>,
    link: Arc<Link>,
    client: Client,
    /// Files that the peer has whole; it will confirm them.
    brought: BTreeSet<[u8; 32]>,
    /// A peer that lost its files has got all that is here.
    gave_back: bool,
    waits: Waits,
}

impl Carrier {
    /// Looks through everything that is owed and carries what need not wait.
    async fn round(&mut self) -> Result<(), StoreError> {
        self.waits.begin_round();
        let mut from = Some(0);
        while let Some(at) = from {
            let page = self.exchange.missing_files(&self.link, at)?;
            from = page.next;
            for file in page.files {
                if !self.waits.may_try(Way::Here, &file, Instant::now()) {
                    continue;
                }
                let fetched =
                    fetch(&self.exchange, &self.link, &mut self.client, file, Of::Peer).await;
                if fetched.is_ok() {
                    self.exchange.file_arrived(&self.link);
                }
                self.note(Way::Here, &file, fetched);
            }
        }
        let mut from = Some(0);
        while let Some(at) = from {
            let page = self.exchange.unconfirmed_files(&self.link, at)?;
            from = page.next;
            for file in page.files {
                if self.brought.contains(&file.sha256)
                    || !self.waits.may_try(Way::There, &file, Instant::now())
                {
                    continue;
                }
                let brought = bring(&self.exchange, &mut self.client, file).await;
                if brought.is_ok() {
                    self.brought.insert(file.sha256);
                }
                self.note(Way::There, &file, brought);
            }
        }
        self.give_back().await?;
        self.take_back().await?;
        self.waits.end_round();
        Ok(())
    }

    /// Fetches files of earlier messages that were lost here, of either log.
    async fn take_back(&mut self) -> Result<(), StoreError> {
        let head = self.link.head();
        if !head.files_lost || head.restoring.is_some() {
            return Ok(());
        }
        for file in self.exchange.lost_files(&self.link, LOST_AT_ONCE)? {
            if self.waits.may_try(Way::Here, &file, Instant::now()) {
                let (exchange, link) = (&self.exchange, &self.link);
                let fetched = fetch(exchange, link, &mut self.client, file, Of::Us).await;
                if fetched.is_ok() {
                    self.exchange.file_arrived(&self.link);
                }
                self.note(Way::Here, &file, fetched);
            }
        }
        Ok(())
    }

    /// Brings a peer that has lost its files what it asks for, of either log; once a session each.
    async fn give_back(&mut self) -> Result<(), StoreError> {
        let asks = self.link.presence().peer_restoring;
        if asks == v1::Restoring::Unspecified || self.gave_back {
            return Ok(());
        }
        let mut all = true;
        for side in [LogSide::Own, LogSide::Mirror] {
            let mut behind = None;
            loop {
                let page = self
                    .exchange
                    .named_files(&self.link, side, behind.as_ref())?;
                for file in page.files {
                    if self.brought.contains(&file.sha256)
                        || self.exchange.blobs().size(&file.sha256)? != Some(file.size)
                    {
                        continue;
                    }
                    if !self.waits.may_try(Way::There, &file, Instant::now()) {
                        all = false;
                        continue;
                    }
                    let brought = bring(&self.exchange, &mut self.client, file).await;
                    all &= brought.is_ok();
                    if brought.is_ok() {
                        self.brought.insert(file.sha256);
                    }
                    self.note(Way::There, &file, brought);
                }
                behind = page.next;
                if behind.is_none() {
                    break;
                }
            }
        }
        // While its entries come, it does not know yet what it wants.
        self.gave_back = all && asks == v1::Restoring::Files;
        Ok(())
    }

    fn note(&mut self, way: Way, file: &FileRef, carried: Result<(), Status>) {
        let Err(status) = carried else {
            self.waits.done(way, file);
            return;
        };
        let failures = self.waits.failed(way, file, Instant::now());
        if failures.is_power_of_two() {
            tracing::info!(
                peer = %self.link.peer, file = %hex::encode(file.sha256), ?way, failures,
                code = ?status.code(), text = %crate::model::text::escape(status.message()),
                "a file waits"
            );
        }
    }
}

/// Files that could not be carried, and when each is tried again. Holds only what is still owed.
#[derive(Debug, Default)]
struct Waits {
    files: BTreeMap<(Way, [u8; 32]), Wait>,
    round: u64,
}

#[derive(Debug)]
struct Wait {
    failures: u32,
    until: Instant,
    seen_in_round: u64,
}

impl Waits {
    fn begin_round(&mut self) {
        self.round += 1;
    }

    /// Forgets what was not asked about in this round: it is owed no more.
    fn end_round(&mut self) {
        let round = self.round;
        self.files.retain(|_, wait| wait.seen_in_round == round);
    }

    fn may_try(&mut self, way: Way, file: &FileRef, now: Instant) -> bool {
        match self.files.get_mut(&(way, file.sha256)) {
            None => true,
            Some(wait) => {
                wait.seen_in_round = self.round;
                wait.until <= now
            }
        }
    }

    /// Has a file wait, twice as long as the last time; returns how often it has failed.
    fn failed(&mut self, way: Way, file: &FileRef, now: Instant) -> u32 {
        let wait = self.files.entry((way, file.sha256)).or_insert(Wait {
            failures: 0,
            until: now,
            seen_in_round: self.round,
        });
        let doubled = 1_u32.checked_shl(wait.failures).unwrap_or(u32::MAX);
        wait.failures = wait.failures.saturating_add(1);
        wait.until = now + WAIT_MIN.saturating_mul(doubled).min(WAIT_MAX);
        wait.failures
    }

    fn done(&mut self, way: Way, file: &FileRef) {
        self.files.remove(&(way, file.sha256));
    }

    /// When the next file may be tried again.
    fn next(&self) -> Option<Instant> {
        self.files.values().map(|wait| wait.until).min()
    }
}

/// Waits for the other side, but not for ever: it may answer pings and carry nothing.
async fn in_time<T>(answer: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    tokio::time::timeout(UPLOAD_PAUSE_MAX, answer)
        .await
        .unwrap_or_else(|_| Err(Status::deadline_exceeded("the peer carries nothing")))
}

/// On whose account a file comes: what was lost here and is given back is not the peer's doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    Peer,
    Us,
}

/// Fetches a file that a message names.
async fn fetch(
    exchange: &Exchange,
    link: &Link,
    client: &mut Client,
    file: FileRef,
    of: Of,
) -> Result<(), Status> {
    let part = exchange
        .blobs_of(link)
        .map_err(|error| Status::unavailable(error.to_string()))?;
    let blobs = Arc::clone(&part);
    let mut offset = blocking(move || blobs.partial(&file.sha256)).await?;
    if offset < file.size {
        let request = v1::GetAttachmentRequest {
            sha256: file.sha256.to_vec().into(),
            offset,
        };
        let mut chunks = in_time(client.get_attachment(request)).await?.into_inner();
        while let Some(chunk) = in_time(chunks.message()).await? {
            if offset + chunk.chunk.len() as u64 > file.size {
                return Err(Status::data_loss("more bytes than the message states"));
            }
            let mut charge = None;
            if of == Of::Peer {
                let taken = exchange.charge_file(link, chunk.chunk.len());
                let taken = taken.map_err(|error| Status::unavailable(error.to_string()))?;
                let over = |over| Status::resource_exhausted(format!("its quota here: {over}"));
                charge = Some(taken.map_err(over)?);
            }
            let blobs = Arc::clone(&part);
            offset = blocking(move || {
                let offset = blobs.write_at(&file.sha256, offset, &chunk.chunk)?;
                if let Some(charge) = charge {
                    charge.keep();
                }
                Ok(offset)
            })
            .await?;
        }
    }
    finish(exchange, link, part, file).await
}

/// Brings a file that an own message names.
async fn bring(exchange: &Exchange, client: &mut Client, file: FileRef) -> Result<(), Status> {
    let sha256 = bytes::Bytes::copy_from_slice(&file.sha256);
    let stat = v1::StatAttachmentRequest {
        sha256: sha256.clone(),
    };
    let stat = in_time(client.stat_attachment(stat)).await?.into_inner();
    if !stat.wanted {
        return Err(Status::not_found("no message admitted there names it"));
    }
    if stat.complete {
        return Ok(());
    }
    let start = v1::AttachmentStart {
        sha256,
        size: file.size,
        offset: stat.held_bytes,
    };
    let (sender, receiver) = tokio::sync::mpsc::channel(CHUNKS_AHEAD);
    let blobs = Arc::clone(exchange.blobs());
    let progress = Arc::new(AtomicU64::new(0));
    let taken = Arc::clone(&progress);
    let reading = tokio::task::spawn_blocking(move || {
        let mut offset = start.offset;
        if sender.blocking_send(Part::Start(start)).is_err() {
            return Ok(());
        }
        loop {
            let chunk = blobs.read_at(&file.sha256, offset, CHUNK_BYTES_MAX)?;
            let chunk = chunk.unwrap_or_default();
            offset += chunk.len() as u64;
            if chunk.is_empty() || sender.blocking_send(Part::Chunk(chunk.into())).is_err() {
                return Ok(());
            }
            taken.store(offset, Ordering::Relaxed);
        }
    });
    let parts = tokio_stream::wrappers::ReceiverStream::new(receiver)
        .map(|part| v1::PutAttachmentRequest { part: Some(part) });
    let answer = {
        let mut putting = std::pin::pin!(client.put_attachment(parts));
        let mut before = 0;
        loop {
            if let Ok(answer) = tokio::time::timeout(UPLOAD_PAUSE_MAX, &mut putting).await {
                break answer;
            }
            let now = progress.load(Ordering::Relaxed);
            if now == before {
                break Err(Status::deadline_exceeded("the peer takes nothing"));
            }
            before = now;
        }
    };
    let read: Result<Result<(), StoreError>, _> = reading.await;
    if let Ok(Err(error)) = read {
        return Err(Status::unavailable(format!(
            "the file cannot be read: {error}"
        )));
    }
    if answer?.into_inner().complete {
        Ok(())
    } else {
        Err(Status::unavailable("the file ended before its size"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_file_that_fails_waits_longer_each_time_and_others_do_not() {
        let file = |byte| FileRef {
            sha256: [byte; 32],
            size: 1,
        };
        let (bad, good) = (file(1), file(2));
        let mut waits = Waits::default();
        let mut now = Instant::now();
        let mut waited = Vec::new();
        for failures in 1..=12 {
            waits.begin_round();
            assert!(waits.may_try(Way::Here, &bad, now));
            assert_eq!(waits.failed(Way::Here, &bad, now), failures);
            assert!(!waits.may_try(Way::Here, &bad, now));
            assert!(waits.may_try(Way::Here, &good, now));
            // What goes the other way is another matter.
            assert!(waits.may_try(Way::There, &bad, now));
            waits.end_round();
            let until = waits.next().unwrap();
            waited.push((until - now).as_secs());
            now = until;
        }
        assert_eq!(waited, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        for _ in 0..100 {
            waits.failed(Way::Here, &bad, now);
        }
        // Owed no more, it is not remembered.
        waits.begin_round();
        waits.end_round();
        assert_eq!(waits.next(), None);
    }
}

//! The path: submit → push → mirror → settle.
//!
//! A notification's life reads top to bottom, each step in one file:
//!
//! ```text
//!  sender                                                     recipient
//!  submit.rs   draft → check → sign → append (one commit,
//!              flushed) → answer the caller
//!  push.rs     what the mirror lacks ─────────── link ──────▶ mirror.rs  verify → admit (admit.rs)
//!                                                             → extend mirror → flush → cosign
//!  settle.rs   verify cosignature, keep receipt ◀────────────┘
//! ```
//!
//! [`session`] runs these four at once over one stream, symmetrically: each side is the sender of
//! its own log and the mirror of the other's. `recorder` is the only writer; what is durable is
//! published from there through [`book::Link`]. [`files`] brings attachments after their messages.
//! [`view`] reads it all back as people see it, `receipts` as auditors do, [`watch`] tells what
//! happens. [`due`] says by when what is owed is due, and [`deadlines`] sees to it that it is said.
//! [`restore`] gets back from the peer what was lost here. [`erase`] destroys a body for ever.
//!
//! Transport-free: a session speaks over a [`channel::FrameChannel`], which `link` makes from a
//! gRPC stream and a test from a pair of queues. The other two seams are [`clock::Clock`] and
//! [`crate::store::Store`].
//!
//! Architecture invariants that are kept here (docs/architecture.md numbers them): nothing enters
//! a log but what is [`Verified`](crate::crypto::Verified) (1); received bytes are kept
//! and re-sent, never serialized again (2); no checkpoint, receipt or answer leaves before what
//! it speaks of is flushed (3); no two trees of one size are signed (4); one transaction for
//! entry, body, tiles, id index and outbox (5); delivery at least once, recording idempotent (6).

mod admit;
mod admitting;
pub mod backup;
pub mod book;
pub mod bundle;
pub mod cases;
pub mod channel;
mod claims;
pub mod clock;
mod command;
mod contradiction;
pub mod deadlines;
pub mod due;
pub mod erase;
pub mod files;
mod fresh;
pub mod hold;
mod holding;
pub mod key_ends;
pub mod keys;
pub mod layout;
#[cfg(test)]
mod minimal;
mod mirror;
mod noted;
mod overlay;
pub mod period;
pub mod prune;
mod push;
pub mod quota;
pub mod read;
mod receipts;
mod recorder;
pub mod remind;
pub mod restore;
pub mod retention;
pub mod rotate;
mod sealed_facts;
pub mod session;
mod settle;
pub mod shelf;
mod slow;
mod space;
mod stage;
pub mod submit;
mod system;
pub mod view;
pub mod watch;
mod witness;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio::sync::{oneshot, watch as watch_channel};

pub use book::{Link, LinkTerms, OpenError, PeerKeys, PeerMessageKey};
pub use command::{RecordError, Recorded};
pub use holding::{PastHold, Release};
pub use layout::LogSide;
pub use submit::Author;

use book::Book;
use claims::Claims;
use clock::{Clock, Entropy};
use command::Command;
use hold::Incident;
use keys::KeyRing;
use layout::{HeadRecord, LinkNumber, Region};
use noted::Noted;
use quota::Meters;
use read::LogReader;
use recorder::{Recorder, RecorderHandle};

use crate::crypto::history::StartKeys;
use crate::crypto::keys::{LogKey, MessageKey};
use crate::limits::LINKS_MAX;
use crate::model::NodeName;
use crate::store::{Batch, Blobs, Direction, Mark, Marks, Store, StoreError};

/// A node's two keys.
#[derive(Debug)]
pub struct NodeKeys {
    /// Signs entries.
    pub message: MessageKey,
    /// Signs checkpoints and cosignatures.
    pub log: LogKey,
}

impl NodeKeys {
    /// The keys with which a log of this node begins today.
    #[must_use]
    pub fn start(&self, node: &NodeName) -> StartKeys {
        StartKeys {
            message: vec![(self.message.verifier(node), 0, None)],
            log: vec![self.log.cosigner_verifier(node)],
            ..StartKeys::default()
        }
    }
}

/// Everything an exchange stands on.
#[derive(Debug)]
pub struct Foundations {
    /// This node.
    pub node: NodeName,
    /// Its keys.
    pub keys: NodeKeys,
    /// Durable memory.
    pub store: Arc<dyn Store>,
    /// Durable files.
    pub blobs: Arc<Blobs>,
    /// The high-water mark.
    pub marks: Marks,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// Salts and ids.
    pub entropy: Entropy,
}

/// How the recorder runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecorderMode {
    /// In a thread of its own, with group commit.
    Thread,
    /// Within its callers, for simulations.
    Inline,
}

/// One node's side of all its links.
#[derive(Debug)]
pub struct Exchange {
    node: NodeName,
    ring: KeyRing,
    changing: tokio::sync::Mutex<()>,
    erasing: tokio::sync::Mutex<()>,
    store: Arc<dyn Store>,
    blobs: Arc<Blobs>,
    clock: Arc<dyn Clock>,
    entropy: Entropy,
    recorder: RecorderHandle,
    links: BTreeMap<NodeName, Arc<Link>>,
    meters: Meters,
    claims: Claims,
    noted: Noted,
    witnessing: OnceLock<witness::Witnessing>,
    trouble: watch_channel::Sender<Option<String>>,
    /// Sessions only restore; see [`Exchange::restore_only`].
    only_restores: std::sync::atomic::AtomicBool,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

impl Exchange {
    /// Opens every link's logs, judged against the high-water mark, and starts the recorder.
    ///
    /// # Errors
    /// [`OpenError`], with the remedy; nothing is served then.
    pub fn open(
        foundations: Foundations,
        terms: Vec<LinkTerms>,
        mode: RecorderMode,
    ) -> Result<Arc<Self>, OpenError> {
        let Foundations {
            node,
            keys,
            store,
            blobs,
            mut marks,
            clock,
            entropy,
        } = foundations;
        if terms.len() > LINKS_MAX {
            return Err(OpenError::TooManyLinks);
        }
        check_format(&*store)?;
        let mut numbers = link_numbers(&*store)?;
        let mut books = Vec::new();
        for terms in terms {
            let number = match numbers.get(terms.peer.as_str()) {
                Some(number) => *number,
                None => new_link_number(&*store, &mut numbers, &terms.peer)?,
            };
            books.push(Book::open(&store, &blobs, &marks, &node, number, terms)?);
        }
        mark_what_was_read(&*store, &mut marks, &books)?;
        let links = books
            .iter()
            .map(|book| (book.link.peer.clone(), Arc::clone(&book.link)))
            .collect();
        let trouble = watch_channel::Sender::new(None);
        let told = trouble.clone();
        let recorder = Recorder::new(
            Arc::clone(&store),
            marks,
            Arc::clone(&clock),
            books,
            Box::new(move |reason| {
                told.send_replace(Some(reason.to_owned()));
            }),
        );
        let (recorder, thread) = match mode {
            RecorderMode::Inline => (recorder.inline(), None),
            RecorderMode::Thread => {
                let (handle, thread) = recorder.spawn().map_err(OpenError::Thread)?;
                (handle, Some(thread))
            }
        };
        Ok(Arc::new(Self {
            node,
            ring: KeyRing::new(keys),
            changing: tokio::sync::Mutex::default(),
            erasing: tokio::sync::Mutex::default(),
            store,
            blobs,
            clock,
            entropy,
            recorder,
            links,
            meters: Meters::new(),
            claims: Claims::default(),
            noted: Noted::default(),
            witnessing: OnceLock::new(),
            trouble,
            only_restores: std::sync::atomic::AtomicBool::new(false),
            thread: Mutex::new(thread),
        }))
    }

    /// This node's name.
    #[must_use]
    pub fn node(&self) -> &NodeName {
        &self.node
    }

    /// The clock everything here is dated by.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// The node's randomness.
    #[must_use]
    pub fn entropy(&self) -> &Entropy {
        &self.entropy
    }

    /// The files of messages.
    #[must_use]
    pub fn blobs(&self) -> &Arc<Blobs> {
        &self.blobs
    }

    /// The files of messages, as the peer of a link brings them: what it has not finished lies apart
    /// from what others have not.
    ///
    /// # Errors
    /// When the place for it cannot be made.
    pub fn blobs_of(&self, link: &Link) -> Result<Arc<Blobs>, StoreError> {
        self.blobs
            .of(&format!("link-{}", link.number.0))
            .map(Arc::new)
    }

    /// Free bytes where the store lies.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn free_bytes(&self) -> Result<u64, StoreError> {
        self.store.free_bytes()
    }

    /// Every link, by peer.
    pub fn links(&self) -> impl Iterator<Item = &Arc<Link>> {
        self.links.values()
    }

    /// The link to a peer.
    #[must_use]
    pub fn link(&self, peer: &str) -> Option<&Arc<Link>> {
        self.links.get(&NodeName::parse(peer).ok()?)
    }

    /// Whether everything runs within its callers, so that a simulation replays.
    pub(crate) fn is_inline(&self) -> bool {
        self.recorder.is_inline()
    }

    /// Work on the disk, off the runtime's threads; within the caller where everything is. `None` when the
    /// node is going down.
    pub(crate) async fn off_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        if self.is_inline() {
            return Some(work());
        }
        tokio::task::spawn_blocking(work).await.ok()
    }

    /// Reads one log of a link.
    #[must_use]
    pub fn reader(&self, link: &Link, side: LogSide) -> LogReader {
        LogReader::new(&self.store, &self.blobs, link.number, side)
    }

    /// Why nothing more is recorded or signed, if the store has failed.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.trouble.borrow().clone()
    }

    /// Follows [`Exchange::trouble`].
    #[must_use]
    pub fn watch_trouble(&self) -> watch_channel::Receiver<Option<String>> {
        self.trouble.subscribe()
    }

    /// Asks the recorder and waits for its answer.
    async fn ask<T>(
        &self,
        make: impl FnOnce(command::Reply<T>) -> Command,
    ) -> Result<T, RecordError> {
        let answer = self.tell(make).await;
        self.answered(answer).await
    }

    /// Queues a command for the recorder, which will answer it.
    async fn tell<T>(
        &self,
        make: impl FnOnce(command::Reply<T>) -> Command,
    ) -> oneshot::Receiver<Result<T, RecordError>> {
        let (reply, answer) = oneshot::channel();
        self.recorder.send(make(reply)).await;
        answer
    }

    async fn answered<T>(
        &self,
        answer: oneshot::Receiver<Result<T, RecordError>>,
    ) -> Result<T, RecordError> {
        answer.await.unwrap_or_else(|_| {
            Err(RecordError::Stopped {
                reason: self
                    .trouble()
                    .unwrap_or_else(|| "the recorder has ended".to_owned()),
            })
        })
    }

    /// Keeps something for a person to look at.
    pub async fn note_incident(&self, incident: Incident) {
        tracing::warn!(peer = %incident.peer, what = %incident.what, "incident");
        self.recorder
            .send(Command::Incident(Box::new(incident)))
            .await;
    }

    /// The latest incidents, newest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn incidents(&self, count: usize) -> Result<Vec<Incident>, StoreError> {
        hold::latest_incidents(&*self.store, count)
    }

    /// Waits until the peers of all sessions that are up have receipted what is recorded for them.
    pub async fn pushed_out(&self) {
        for link in self.links() {
            let (mut heads, mut presence) = (link.watch_head(), link.watch_presence());
            let receipted = heads.wait_for(|head| head.delivered_size >= head.own_size);
            let down = presence.wait_for(|presence| !presence.up);
            // The senders live in the link: it is one of the two that ends.
            tokio::select! {
                _ = receipted => {}
                _ = down => {}
            }
        }
    }

    /// Waits until everything queued is durable and the recorder has ended. Call it when every
    /// session and every caller is gone.
    pub fn finish(self: Arc<Self>) {
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let last = Arc::try_unwrap(self).is_ok();
        if let Some(thread) = thread
            && last
        {
            drop(thread.join());
        }
    }
}

/// Raises the high-water mark to what was read back, before any of it is signed again.
///
/// The store may hold more than the mark when the node fell between the two. What was read then
/// may lie in the machine's cache only, so something is committed first: a commit that is durable
/// makes durable what came before it.
fn mark_what_was_read(
    store: &dyn Store,
    marks: &mut Marks,
    books: &[Book],
) -> Result<(), StoreError> {
    let read: Vec<_> = books.iter().flat_map(Book::marks).collect();
    let is_marked =
        |mark: &Mark| mark.size == 0 || marks.get(&mark.origin) == Some((mark.size, mark.root));
    if read.iter().all(is_marked) {
        return Ok(());
    }
    let mut batch = Batch::new();
    batch.put(
        layout::meta(),
        layout::FORMAT_VERSION.to_be_bytes().to_vec(),
    );
    store.commit(batch)?;
    marks.record(&read)
}

fn check_format(store: &dyn Store) -> Result<(), OpenError> {
    let known = layout::FORMAT_VERSION;
    match store.get(&layout::meta())? {
        None => {
            let mut batch = Batch::new();
            batch.put(layout::meta(), known.to_be_bytes().to_vec());
            store.commit(batch)?;
            Ok(())
        }
        Some(value) => {
            let found = value.try_into().map_or(u32::MAX, u32::from_be_bytes);
            if found == known {
                Ok(())
            } else {
                Err(OpenError::Format { found, known })
            }
        }
    }
}

fn link_numbers(store: &dyn Store) -> Result<BTreeMap<String, LinkNumber>, StoreError> {
    let (start, end) = layout::region(Region::Link);
    let rows = store.scan(&start, &end, usize::MAX, Direction::Forward)?;
    Ok(rows
        .into_iter()
        .filter_map(|(key, value)| {
            let number = u16::from_be_bytes(key.get(1..)?.try_into().ok()?);
            Some((String::from_utf8(value).ok()?, LinkNumber(number)))
        })
        .collect())
}

fn new_link_number(
    store: &dyn Store,
    numbers: &mut BTreeMap<String, LinkNumber>,
    peer: &NodeName,
) -> Result<LinkNumber, OpenError> {
    let next = numbers.values().map(|n| n.0).max().map_or(1, |n| n + 1);
    let number = LinkNumber(next);
    let mut batch = Batch::new();
    batch.put(layout::link(number), peer.as_str().as_bytes().to_vec());
    store.commit(batch)?;
    numbers.insert(peer.to_string(), number);
    Ok(number)
}

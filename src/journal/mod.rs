//! Who did what on this node: a Merkle log of its own, so that nobody can look at a body without a trace,
//! nor take the trace away.
//!
//! A [`Deed`] goes in with [`Journal::note`] and is durable when that answers; whoever does something
//! that is to be journalled does it only then. Deeds that come together are one commit, as with messages:
//!
//! ```text
//! note → queue → stage: date, salt, leaf → commit (flush) → mark (flush) → answer
//! ```
//!
//! A crash before the flush leaves nothing and nobody was answered; after it, the deed is there once. The
//! mark is a file beside the store: a journal that was set back is noticed when it is opened.
//!
//! The tree is that of any log here, its origin `<node>/journal`. Checkpoints are signed by the node's log
//! key when somebody asks: for an export, and for the peers that witness it. These see hashes only, and
//! every leaf has a salt, so they learn nothing of what was done; but from then on not even who has this
//! node's disk and keys can write it anew.
//!
//! What is deliberately absent: bodies, names of persons or files, any way to change or remove a deed.

mod deed;
mod error;
pub mod folder;
mod layout;
mod read;
mod witness;
mod writer;

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use tokio::sync::{mpsc, oneshot};

pub use deed::{Act, Deed, SALT_BYTES, act_of, word_of};
pub use error::JournalError;
pub use read::{Found, Query};
pub use witness::{Kept, Offer, Unwitnessed};

use crate::crypto::journal as notes;
use crate::limits::JOURNAL_QUEUE_MAX;
use crate::model::NodeName;
use crate::store::{Marks, Store};
use crate::tlog::{Hash, Tree};
use writer::{Command, Pen, Start, Trouble};

/// Everything a journal stands on.
pub struct Ground {
    /// This node.
    pub node: NodeName,
    /// The journal's own store.
    pub store: Arc<dyn Store>,
    /// Its marks.
    pub marks: Marks,
    /// The time of day, milliseconds since 1970.
    pub unix_ms: Arc<dyn Fn() -> u64 + Send + Sync>,
    /// Salts; nothing when the system gives no randomness.
    pub salt: Arc<dyn Fn() -> Option<[u8; SALT_BYTES]> + Send + Sync>,
}

impl fmt::Debug for Ground {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ground")
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}

/// How the writer runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// In a thread of its own, with group commit.
    Thread,
    /// Within its callers, for simulations.
    Inline,
}

/// The journal of one node. A handle: clones are the same journal.
#[derive(Clone)]
pub struct Journal(Arc<Inner>);

struct Inner {
    node: NodeName,
    unix_ms: Arc<dyn Fn() -> u64 + Send + Sync>,
    /// Nothing until the journal could be opened.
    base: Arc<OnceLock<Base>>,
    trouble: Trouble,
    /// Gone once the journal is closed.
    queue: Mutex<Option<Queue>>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

/// What readers read.
struct Base {
    store: Arc<dyn Store>,
    /// All that is durable.
    tree: Arc<RwLock<Tree>>,
}

/// Finds what a journal stands on; asked again while the disk is full.
pub type Reach = Box<dyn FnMut() -> Result<Ground, JournalError> + Send>;

#[derive(Clone)]
enum Queue {
    Thread(mpsc::Sender<Command>),
    Inline(Arc<Mutex<Pen>>),
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Journal({}, {})", self.0.node, self.size())
    }
}

impl Journal {
    /// Opens a journal, judged against its mark, and starts its writer. An empty store is a new journal.
    ///
    /// # Errors
    /// [`JournalError::SetBack`], [`JournalError::Damaged`], [`JournalError::Format`],
    /// [`JournalError::Stopped`]: nothing that must be journalled may be done then.
    pub fn open(ground: Ground, mode: Mode) -> Result<Self, JournalError> {
        let (node, unix_ms) = (ground.node.clone(), Arc::clone(&ground.unix_ms));
        let mut ground = Some(ground);
        let reach = Box::new(move || {
            ground.take().ok_or_else(|| JournalError::Stopped {
                reason: "it was opened once".to_owned(),
            })
        });
        let mut pen = Pen::new(reach);
        pen.open()?;
        Self::run(node, unix_ms, pen, mode)
    }

    /// As [`Journal::open`], but a journal that does not open is one that refuses everything: on a full disk it
    /// is tried again with each thing to note; after any other failure it is not, until a restart.
    ///
    /// # Errors
    /// What [`JournalError::forbids_start`].
    pub fn open_when_possible(
        node: NodeName,
        unix_ms: Arc<dyn Fn() -> u64 + Send + Sync>,
        reach: Reach,
        mode: Mode,
    ) -> Result<Self, JournalError> {
        let mut pen = Pen::new(reach);
        match pen.open() {
            Err(error) if error.forbids_start() => return Err(error),
            Err(error) => {
                tracing::error!(reason = %error, "the journal does not open yet");
            }
            Ok(()) => {}
        }
        Self::run(node, unix_ms, pen, mode)
    }

    fn run(
        node: NodeName,
        unix_ms: Arc<dyn Fn() -> u64 + Send + Sync>,
        pen: Pen,
        mode: Mode,
    ) -> Result<Self, JournalError> {
        let (base, trouble) = (pen.base(), pen.trouble());
        let (queue, thread) = match mode {
            Mode::Inline => (Queue::Inline(Arc::new(Mutex::new(pen))), None),
            Mode::Thread => {
                let (sender, commands) = mpsc::channel(JOURNAL_QUEUE_MAX);
                let thread = std::thread::Builder::new()
                    .name("journal".to_owned())
                    .spawn(move || pen.run(commands))
                    .map_err(|error| JournalError::Stopped {
                        reason: format!("no thread for it: {error}"),
                    })?;
                (Queue::Thread(sender), Some(thread))
            }
        };
        Ok(Self(Arc::new(Inner {
            node,
            unix_ms,
            base,
            trouble,
            queue: Mutex::new(Some(queue)),
            thread: Mutex::new(thread),
        })))
    }

    /// Writes a deed down, durably when this answers `Ok`: its index. Whoever is refused this does not do
    /// it, or does not show it.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn note(&self, deed: Deed) -> Result<u64, JournalError> {
        let entry = Box::new(deed.check()?);
        self.ask(|reply| Command::Note(entry, reply)).await
    }

    /// Why nothing could be written down when that was tried last, for people; `None` while it works. What
    /// must be journalled is refused meanwhile. Each deed tries it again, where that can help.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        let trouble = self.0.trouble.read();
        let trouble = trouble.unwrap_or_else(PoisonError::into_inner);
        trouble.as_ref().map(ToString::to_string)
    }

    /// Whose it is.
    #[must_use]
    pub fn node(&self) -> &NodeName {
        &self.0.node
    }

    /// `<node>/journal`.
    #[must_use]
    pub fn origin(&self) -> String {
        notes::origin(&self.0.node)
    }

    /// Deeds in it, all durable; none while it could not be opened.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.tree().size()
    }

    /// Root of all that is durable.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.tree().root()
    }

    /// The store, once it is open.
    fn store(&self) -> Result<&Arc<dyn Store>, JournalError> {
        let trouble = || {
            let trouble = self.0.trouble.read();
            let trouble = trouble.unwrap_or_else(PoisonError::into_inner).clone();
            trouble.unwrap_or_else(|| JournalError::Stopped {
                reason: "it was not tried yet".to_owned(),
            })
        };
        self.0
            .base
            .get()
            .map(|base| &base.store)
            .ok_or_else(trouble)
    }

    fn tree(&self) -> Tree {
        let Some(base) = self.0.base.get() else {
            return Tree::new();
        };
        let tree = base.tree.read().unwrap_or_else(PoisonError::into_inner);
        tree.clone()
    }

    /// Notes that the node starts, as what, and with which configuration if that is another than the one
    /// noted last; in a new journal, that it was begun. What cannot be written now is written before
    /// anything else is.
    ///
    /// # Errors
    /// [`JournalError`]: it is not written yet.
    pub async fn start(&self, what: &str, configuration: [u8; 32]) -> Result<(), JournalError> {
        let deed = |act| Deed::new("node", act);
        let start = Start {
            begun: deed(Act::Begun).check()?,
            started: deed(Act::Started).what(what).check()?,
            changed: deed(Act::ConfigurationChanged)
                .digest(configuration)
                .check()?,
            configuration,
            at_ms: (self.0.unix_ms)(),
        };
        self.ask(|reply| Command::Start(Box::new(start), reply))
            .await
    }

    /// Ends the writer when everything queued is durable. What comes later is refused.
    pub fn close(&self) {
        let queue = self.0.queue.lock();
        drop(queue.unwrap_or_else(PoisonError::into_inner).take());
        let thread = self.0.thread.lock();
        let thread = thread.unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            drop(thread.join());
        }
    }

    async fn ask<T>(
        &self,
        make: impl FnOnce(oneshot::Sender<Result<T, JournalError>>) -> Command,
    ) -> Result<T, JournalError> {
        let closed = || JournalError::Stopped {
            reason: "the journal is closed".to_owned(),
        };
        let queue = self.0.queue.lock();
        let queue = queue.unwrap_or_else(PoisonError::into_inner).clone();
        let (reply, answer) = oneshot::channel();
        match queue.ok_or_else(closed)? {
            // A closed queue drops the command, and with it the reply.
            Queue::Thread(sender) => drop(sender.send(make(reply)).await),
            Queue::Inline(writer) => writer
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .group(vec![make(reply)]),
        }
        answer.await.unwrap_or_else(|_| Err(closed()))
    }
}

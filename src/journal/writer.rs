//! The one writer of a journal: it alone changes tree, store and marks.

use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use tokio::sync::{mpsc, oneshot};

use super::deed::{self, SALT_BYTES};
use super::read::{self, Tiles};
use super::witness::{Advance, Advanced};
use super::{Base, Ground, JournalError, Reach, layout};
use crate::crypto::journal::origin;
use crate::limits::JOURNAL_GROUP_MAX;
use crate::model::NodeName;
use crate::proto::v1::JournalEntry;
use crate::store::{Batch, Mark, Marks, Store, StoreError};
use crate::tlog::{Hash, TILE_WIDTH, Tree, leaf_hash, verify_consistency};

pub(super) type Reply<T> = oneshot::Sender<Result<T, JournalError>>;

/// What the writer is asked.
pub(super) enum Command {
    /// Writes a deed down.
    Note(Box<JournalEntry>, Reply<u64>),
    /// Writes down that the node starts, before anything else.
    Start(Box<Start>, Reply<()>),
    /// Moves the mark of a peer's journal, if it extends what the mark says.
    Advance(Box<Advance>, Reply<Advanced>),
    /// Sets the mark of a peer's journal back to nothing.
    Forget(String, Reply<()>),
    /// Keeps notes.
    Put(Batch, Reply<()>),
}

impl Command {
    fn refuse(self, error: JournalError) {
        match self {
            Self::Note(_, reply) => drop(reply.send(Err(error))),
            Self::Start(_, reply) | Self::Forget(_, reply) | Self::Put(_, reply) => {
                drop(reply.send(Err(error)));
            }
            Self::Advance(_, reply) => drop(reply.send(Err(error))),
        }
    }
}

/// What is written down when a node starts.
pub(super) struct Start {
    /// If there is nothing yet.
    pub(super) begun: JournalEntry,
    pub(super) started: JournalEntry,
    /// If the configuration is not the one noted last.
    pub(super) changed: JournalEntry,
    pub(super) configuration: [u8; 32],
    /// When it started.
    pub(super) at_ms: u64,
}

/// Who writes, once the journal is open. While the disk is full, whoever asks makes it try again; after any
/// other failure nobody does: what a failed sync has left must be read from the disk by another process.
pub(super) struct Pen {
    reach: Reach,
    failed: Option<JournalError>,
    writer: Option<Writer>,
    base: Arc<OnceLock<Base>>,
    trouble: Trouble,
    /// What has yet to be written before anything else, and whether that has failed before.
    start: Option<(Box<Start>, bool)>,
}

impl Pen {
    pub(super) fn new(reach: Reach) -> Self {
        Self {
            reach,
            failed: None,
            writer: None,
            base: Arc::default(),
            trouble: Trouble::default(),
            start: None,
        }
    }

    /// What readers read, once there is something.
    pub(super) fn base(&self) -> Arc<OnceLock<Base>> {
        Arc::clone(&self.base)
    }

    /// What is shown of its state.
    pub(super) fn trouble(&self) -> Trouble {
        Arc::clone(&self.trouble)
    }

    /// Opens the journal, if it is not.
    pub(super) fn open(&mut self) -> Result<(), JournalError> {
        if self.writer.is_some() {
            return Ok(());
        }
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let opened = (self.reach)().and_then(|ground| {
            let store = Arc::clone(&ground.store);
            Ok((store, Writer::open(ground, Arc::clone(&self.trouble))?))
        });
        self.failed = opened
            .as_ref()
            .err()
            .filter(|error| !matches!(error, JournalError::Full { .. }))
            .cloned();
        let mut trouble = self.trouble.write().unwrap_or_else(PoisonError::into_inner);
        *trouble = opened.as_ref().err().cloned();
        let (store, writer) = opened?;
        let tree = writer.published();
        // It is set once: a writer is never given up.
        drop(self.base.set(Base { store, tree }));
        self.writer = Some(writer);
        Ok(())
    }

    /// Takes commands until every handle is gone; whatever has gathered meanwhile is one commit.
    pub(super) fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        while let Some(first) = commands.blocking_recv() {
            let mut group = vec![first];
            while group.len() < JOURNAL_GROUP_MAX {
                let Ok(next) = commands.try_recv() else { break };
                group.push(next);
            }
            self.group(group);
        }
    }

    /// Carries out a group of commands, if the journal is open and knows that the node has started.
    pub(super) fn group(&mut self, commands: Vec<Command>) {
        let (mut rest, mut starts) = (Vec::new(), Vec::new());
        for command in commands {
            match command {
                Command::Start(start, reply) => {
                    self.start = Some((start, false));
                    starts.push(reply);
                }
                command => rest.push(command),
            }
        }
        let ready = self.open().and_then(|()| self.write_start());
        if let (Err(_), Some((_, is_late))) = (&ready, &mut self.start) {
            *is_late = true;
        }
        for reply in starts {
            drop(reply.send(ready.clone()));
        }
        match (ready, &mut self.writer) {
            (Ok(()), Some(writer)) => writer.group(rest),
            (Ok(()), None) => {}
            (Err(error), _) => {
                for command in rest {
                    command.refuse(error.clone());
                }
            }
        }
    }

    fn write_start(&mut self) -> Result<(), JournalError> {
        let (Some((start, is_late)), Some(writer)) = (&self.start, &mut self.writer) else {
            return Ok(());
        };
        writer.write_start(start, *is_late)?;
        self.start = None;
        Ok(())
    }
}

/// The writer and all it owns.
pub(super) struct Writer {
    node: NodeName,
    store: Arc<dyn Store>,
    marks: Marks,
    unix_ms: Arc<dyn Fn() -> u64 + Send + Sync>,
    salt: Arc<dyn Fn() -> Option<[u8; SALT_BYTES]> + Send + Sync>,
    tree: Tree,
    /// The deeds of the tile that is not full: fewer than 256.
    tail: Vec<Vec<u8>>,
    published: Arc<RwLock<Tree>>,
    stopped: Option<String>,
    trouble: Trouble,
}

/// Why nothing can be written down now; nothing while that goes well.
pub(super) type Trouble = Arc<RwLock<Option<JournalError>>>;

/// What a group adds, beside the state until it is durable.
struct Stage {
    batch: Batch,
    tree: Tree,
    tail: Vec<Vec<u8>>,
}

impl Writer {
    /// Reads the state back and judges it against the mark.
    pub(super) fn open(ground: Ground, trouble: Trouble) -> Result<Self, JournalError> {
        let Ground {
            node,
            store,
            mut marks,
            unix_ms,
            salt,
        } = ground;
        check_format(&*store)?;
        let head = store.get(&layout::head())?.unwrap_or_default();
        let (size, root) = match head.split_first_chunk::<8>() {
            None => (0, None),
            Some((size, root)) => (u64::from_be_bytes(*size), Some(root)),
        };
        let tiles = Tiles::new(&store);
        let tail = read::tail(&*store, size)?;
        let tree = Tree::restore(size, &tiles)?;
        let is_root = |root: &[u8]| tree.root().as_bytes().as_slice() == root;
        if root.is_some_and(|root| !is_root(root)) {
            return Err(JournalError::Damaged {
                what: format!("its {size} entries do not make the tree that was committed"),
            });
        }
        let origin = origin(&node);
        if let Some((marked, marked_root)) = marks.get(&origin) {
            if size < marked {
                return Err(JournalError::SetBack {
                    what: format!("{marked} entries were vouched for, {size} are there"),
                });
            }
            let found = tree.snapshot(&tiles).root_at(marked)?;
            if found.as_bytes() != &marked_root {
                return Err(JournalError::SetBack {
                    what: format!("the first {marked} entries are not those that were there"),
                });
            }
        }
        if size > 0 && marks.get(&origin).is_none_or(|(marked, _)| marked < size) {
            // What was read may lie in the machine's cache only: a commit that is durable makes durable
            // what came before it.
            let mut batch = Batch::new();
            batch.put(
                layout::meta(),
                layout::FORMAT_VERSION.to_be_bytes().to_vec(),
            );
            store.commit(batch)?;
            marks.record(&[mark_of(&origin, &tree)])?;
        }
        Ok(Self {
            node,
            store,
            marks,
            unix_ms,
            salt,
            published: Arc::new(RwLock::new(tree.clone())),
            tree,
            tail,
            stopped: None,
            trouble,
        })
    }

    /// What readers see: all that is durable.
    pub(super) fn published(&self) -> Arc<RwLock<Tree>> {
        Arc::clone(&self.published)
    }

    fn tell<T>(&self, outcome: Result<T, JournalError>) -> Result<T, JournalError> {
        let mut trouble = self.trouble.write().unwrap_or_else(PoisonError::into_inner);
        *trouble = outcome.as_ref().err().cloned();
        outcome
    }

    /// Carries out a group of commands: all of them durable, or none.
    pub(super) fn group(&mut self, commands: Vec<Command>) {
        let mut stage = self.stage();
        let mut answers: Vec<(Reply<u64>, u64)> = Vec::new();
        for command in commands {
            match command {
                Command::Note(entry, reply) => match self.append(&mut stage, *entry) {
                    Ok(index) => answers.push((reply, index)),
                    Err(error) => drop(reply.send(Err(error))),
                },
                // Written before the group.
                Command::Start(_, reply) => drop(reply.send(Ok(()))),
                // These are not of the tree, and rare: each by itself, at once.
                Command::Advance(advance, reply) => drop(reply.send(self.advance(&advance))),
                Command::Forget(origin, reply) => drop(reply.send(self.forget(origin))),
                Command::Put(batch, reply) => drop(reply.send(self.put(batch))),
            }
        }
        if answers.is_empty() {
            return;
        }
        let outcome = self.commit(stage);
        let outcome = self.tell(outcome);
        for (reply, index) in answers {
            drop(reply.send(outcome.clone().map(|()| index)));
        }
    }

    fn stage(&self) -> Stage {
        Stage {
            batch: Batch::new(),
            tree: self.tree.clone(),
            tail: self.tail.clone(),
        }
    }

    /// Writes down that the node has started; `is_late`: it was tried before.
    fn write_start(&mut self, start: &Start, is_late: bool) -> Result<(), JournalError> {
        let written = self.stage_start(start, is_late);
        let written = written.and_then(|stage| self.commit(stage));
        self.tell(written)
    }

    fn stage_start(&self, start: &Start, is_late: bool) -> Result<Stage, JournalError> {
        let mut stage = self.stage();
        if stage.tree.size() == 0 {
            self.append(&mut stage, start.begun.clone())?;
        }
        let mut started = start.started.clone();
        if is_late {
            let at = i64::try_from(start.at_ms / 1_000).unwrap_or(i64::MAX);
            if let Ok(at) = jiff::Timestamp::from_second(at) {
                started.why = format!("at {at}; nothing could be noted until now");
            }
        }
        self.append(&mut stage, started)?;
        let before = self.store.get(&layout::configuration())?;
        if before.as_deref() != Some(&start.configuration[..]) {
            self.append(&mut stage, start.changed.clone())?;
            let digest = start.configuration.to_vec();
            stage.batch.put(layout::configuration(), digest);
        }
        Ok(stage)
    }

    fn advance(&mut self, advance: &Advance) -> Result<Advanced, JournalError> {
        self.check_running()?;
        let known = self.marks.get(&advance.origin);
        let (known, root) = known.map_or((0, Hash::EMPTY_ROOT), |(size, root)| (size, Hash(root)));
        let contradiction = |why| Ok(Advanced::Contradiction { known, why });
        if advance.size < known {
            return contradiction("it is shorter");
        }
        if advance.size == known && advance.root != root {
            return contradiction("it has another root at the same size");
        }
        if advance.old_size != known {
            return Ok(Advanced::OtherSize { known });
        }
        let proof = &advance.consistency;
        if verify_consistency(known, advance.size, root, advance.root, proof).is_err() {
            return contradiction("its proof of consistency does not hold");
        }
        let mark = Mark {
            origin: advance.origin.clone(),
            size: advance.size,
            root: advance.root.0,
        };
        match self.marks.record(&[mark]) {
            Ok(()) => Ok(Advanced::Recorded),
            Err(error) if !error.is_fatal() => Err(error.into()),
            Err(error) => Err(self.stop(&error)),
        }
    }

    fn forget(&mut self, origin: String) -> Result<(), JournalError> {
        self.check_running()?;
        let mark = Mark {
            origin,
            size: 0,
            root: Hash::EMPTY_ROOT.0,
        };
        match self.marks.restate(&mark) {
            Ok(()) => Ok(()),
            Err(error) if !error.is_fatal() => Err(error.into()),
            Err(error) => Err(self.stop(&error)),
        }
    }

    fn put(&mut self, batch: Batch) -> Result<(), JournalError> {
        self.check_running()?;
        match self.store.commit(batch) {
            Ok(()) => Ok(()),
            Err(error) if !error.is_fatal() => Err(error.into()),
            Err(error) => Err(self.stop(&error)),
        }
    }

    fn check_running(&self) -> Result<(), JournalError> {
        match &self.stopped {
            None => Ok(()),
            Some(reason) => Err(JournalError::Stopped {
                reason: reason.clone(),
            }),
        }
    }

    fn append(&self, stage: &mut Stage, entry: JournalEntry) -> Result<u64, JournalError> {
        self.check_running()?;
        let salt = (self.salt)().ok_or_else(|| JournalError::Stopped {
            reason: "the system gives no randomness".to_owned(),
        })?;
        let bytes = deed::leaf(entry, (self.unix_ms)(), salt);
        let index = stage.tree.size();
        let mut full = Vec::new();
        stage.tree.append(leaf_hash(&bytes), &mut full);
        stage.batch.put(layout::entry(index), bytes.clone());
        stage.tail.push(bytes);
        for tile in full {
            if tile.level == 0 {
                let first = tile.index * TILE_WIDTH;
                for index in first..first + TILE_WIDTH {
                    stage.batch.delete(layout::entry(index));
                }
                for (part, bytes) in (0..).zip(layout::pack(&stage.tail)) {
                    stage.batch.put(layout::packed(tile.index, part), bytes);
                }
                stage.tail.clear();
            }
            stage
                .batch
                .put(layout::tile(tile.level, tile.index), tile.hashes);
        }
        Ok(index)
    }

    fn commit(&mut self, mut stage: Stage) -> Result<(), JournalError> {
        let mut head = stage.tree.size().to_be_bytes().to_vec();
        head.extend_from_slice(stage.tree.root().as_bytes());
        stage.batch.put(layout::head(), head);
        match self.store.commit(stage.batch) {
            Ok(()) => {}
            // Nothing was written: the next group may fare better.
            Err(error) if !error.is_fatal() => return Err(error.into()),
            Err(error) => return Err(self.stop(&error)),
        }
        // Point of no return: the group is durable, whoever learns of it.
        let mark = mark_of(&origin(&self.node), &stage.tree);
        self.tree = stage.tree;
        self.tail = stage.tail;
        if let Err(error) = self.marks.record(&[mark]) {
            return Err(self.stop(&error));
        }
        let mut published = self
            .published
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        published.clone_from(&self.tree);
        Ok(())
    }

    fn stop(&mut self, error: &StoreError) -> JournalError {
        let reason = error.to_string();
        tracing::error!(%reason, "the journal has failed: what it must record is refused");
        self.stopped = Some(reason.clone());
        let stopped = JournalError::Stopped { reason };
        drop(self.tell(Err::<(), _>(stopped.clone())));
        stopped
    }
}

fn mark_of(origin: &str, tree: &Tree) -> Mark {
    Mark {
        origin: origin.to_owned(),
        size: tree.size(),
        root: tree.root().0,
    }
}

fn check_format(store: &dyn Store) -> Result<(), JournalError> {
    let known = layout::FORMAT_VERSION;
    match store.get(&layout::meta())? {
        None => {
            let mut batch = Batch::new();
            batch.put(layout::meta(), known.to_be_bytes().to_vec());
            Ok(store.commit(batch)?)
        }
        Some(value) => {
            let found = value.try_into().map_or(u32::MAX, u32::from_be_bytes);
            if found == known {
                Ok(())
            } else {
                Err(JournalError::Format { found, known })
            }
        }
    }
}

//! The one writer of a journal: it alone changes tree, store and marks.

use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::{mpsc, oneshot};

use super::deed::{self, SALT_BYTES};
use super::read::{self, Tiles};
use super::witness::{Advance, Advanced};
use super::{Ground, JournalError, layout};
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
    /// The same, and which configuration it speaks of.
    Configuration(Box<JournalEntry>, [u8; 32], Reply<u64>),
    /// Moves the mark of a peer's journal, if it extends what the mark says.
    Advance(Box<Advance>, Reply<Advanced>),
    /// Sets the mark of a peer's journal back to nothing.
    Forget(String, Reply<()>),
    /// Keeps notes.
    Put(Batch, Reply<()>),
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
    pub(super) fn open(ground: Ground) -> Result<Self, JournalError> {
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
            trouble: Trouble::default(),
        })
    }

    /// What readers see: all that is durable.
    pub(super) fn published(&self) -> Arc<RwLock<Tree>> {
        Arc::clone(&self.published)
    }

    /// What is shown of its state.
    pub(super) fn trouble(&self) -> Trouble {
        Arc::clone(&self.trouble)
    }

    fn tell<T>(&self, outcome: Result<T, JournalError>) -> Result<T, JournalError> {
        let mut trouble = self.trouble.write().unwrap_or_else(PoisonError::into_inner);
        *trouble = outcome.as_ref().err().cloned();
        outcome
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

    /// Carries out a group of commands: all of them durable, or none.
    pub(super) fn group(&mut self, commands: Vec<Command>) {
        let mut stage = Stage {
            batch: Batch::new(),
            tree: self.tree.clone(),
            tail: self.tail.clone(),
        };
        let mut answers: Vec<(Reply<u64>, u64)> = Vec::new();
        for command in commands {
            match command {
                Command::Note(entry, reply) => match self.append(&mut stage, *entry) {
                    Ok(index) => answers.push((reply, index)),
                    Err(error) => drop(reply.send(Err(error))),
                },
                Command::Configuration(entry, digest, reply) => {
                    match self.append(&mut stage, *entry) {
                        Ok(index) => {
                            stage.batch.put(layout::configuration(), digest.to_vec());
                            answers.push((reply, index));
                        }
                        Err(error) => drop(reply.send(Err(error))),
                    }
                }
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

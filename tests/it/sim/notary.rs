//! Reads along on the wire: every note that ever left a node, over all time.
//!
//! Of each log a node signs one tree of each size for ever; what it vouches for is durable, and so
//! is its mark, when the note leaves.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use liaison::crypto::checkpoint::LogVerifier;
use liaison::exchange::{Exchange, LogSide};
use liaison::proto::v1::{Frame, frame};
use liaison::tlog::Hash;
use tokio_util::sync::CancellationToken;

use super::disk::Disk;
use crate::sides::{Side, link_of};

/// One of the two nodes: 0 or 1.
pub(crate) type Who = usize;

#[derive(Debug, Clone)]
pub(crate) struct Notary(Arc<Mutex<Seen>>, CancellationToken);

#[derive(Debug)]
struct Seen {
    /// Of the log that each writes.
    verifiers: [LogVerifier; 2],
    origins: [String; 2],
    known: HashMap<String, Statement>,
    /// By signer, log and size.
    signed: BTreeMap<(Who, Who, u64), Signed>,
    /// Whether the disk of each can be believed; where not, its lies come out otherwise.
    believes: [bool; 2],
    violation: Option<String>,
}

#[derive(Debug, Clone, Copy)]
struct Statement {
    log: Who,
    size: u64,
    root: Hash,
}

#[derive(Debug, Clone, Copy)]
struct Signed {
    root: Hash,
    /// Found to be of the log as it was at a quiet point.
    confirmed: bool,
}

impl Notary {
    pub(crate) fn of(a: &Side, b: &Side) -> Self {
        let seen = Seen {
            verifiers: [a.verifier(b), b.verifier(a)],
            origins: [a.origin_to(b), b.origin_to(a)].map(|origin| origin.to_string()),
            known: HashMap::new(),
            signed: BTreeMap::new(),
            believes: [true; 2],
            violation: None,
        };
        Self(Arc::new(Mutex::new(seen)), CancellationToken::new())
    }

    /// A frame leaves a node. What is wrong with it is kept: whoever carries it cannot stop the run.
    pub(crate) fn see(&self, speaker: Who, disk: &Disk, frame: &Frame) {
        let mut seen = self.seen();
        if let Err(violation) = seen.look_at(speaker, disk, frame) {
            seen.violation.get_or_insert(violation);
            drop(seen);
            self.1.cancel();
        }
    }

    /// Ready once something was wrong.
    pub(crate) async fn alarm(&self) {
        self.1.cancelled().await;
    }

    /// Nothing that ever left a node was wrong.
    pub(crate) fn assert_clean(&self) {
        let violation = self.seen().violation.clone();
        if let Some(violation) = violation {
            panic!("{violation}");
        }
    }
    pub(crate) fn count(&self) -> u64 {
        self.seen().signed.len() as u64
    }

    pub(crate) fn set_believes(&self, who: Who, believes: bool) {
        self.seen().believes[who] = believes;
    }

    /// Nobody holds what a node signed of its log beyond a size: it may sign that anew. Only a
    /// machine that was set back as a whole has this excuse.
    pub(crate) fn forget_beyond(&self, who: Who, size: u64) {
        let mut seen = self.seen();
        seen.signed
            .retain(|(signer, log, at), _| *signer != who || *log != who || *at <= size);
    }

    /// Every note that a node ever signed is of the logs as they are now: of its own, and of its
    /// mirror. `again`: also what was found so before.
    pub(crate) fn assert_of(&self, who: Who, exchange: &Exchange, again: bool) {
        let mut seen = self.seen();
        let link = link_of(exchange);
        for ((signer, log, size), signed) in &mut seen.signed {
            if *signer != who || (signed.confirmed && !again) {
                continue;
            }
            let side = if *log == who {
                LogSide::Own
            } else {
                LogSide::Mirror
            };
            let tree = link.tree(side);
            assert!(*size <= tree.size(), "{size} of log {log} were vouched for");
            let root = exchange.reader(&link, side).root_at(&tree, *size).unwrap();
            assert_eq!(root, signed.root, "size {size} of log {log}");
            signed.confirmed = true;
        }
    }

    /// What was confirmed of a node's logs has to be confirmed again.
    pub(crate) fn doubt(&self) {
        for signed in self.seen().signed.values_mut() {
            signed.confirmed = false;
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn look_at(&mut self, speaker: Who, disk: &Disk, frame: &Frame) -> Result<(), String> {
        let other = 1 - speaker;
        match frame.frame.as_ref().ok_or("a frame of no kind")? {
            frame::Frame::Hello(hello) => {
                self.note(speaker, speaker, disk, &hello.own_checkpoint)?;
                self.note(speaker, other, disk, &hello.mirrored_checkpoint)
            }
            frame::Frame::Push(push) => self.note(speaker, speaker, disk, &push.checkpoint),
            frame::Frame::Heartbeat(beat) => self.note(speaker, speaker, disk, &beat.checkpoint),
            frame::Frame::Cosigned(cosigned) => {
                self.note(speaker, other, disk, &cosigned.checkpoint)
            }
            frame::Frame::Express(express) => {
                let marked = disk.marked(&self.origins[speaker]);
                if express.index < marked || !self.believes[speaker] {
                    return Ok(());
                }
                let index = express.index;
                Err(format!(
                    "expressed beyond the high-water mark: {index} of {marked}"
                ))
            }
            frame::Frame::Fault(_)
            | frame::Frame::Fetch(_)
            | frame::Frame::Fetched(_)
            | frame::Frame::JournalOffer(_)
            | frame::Frame::JournalAnswer(_)
            | frame::Frame::Slowed(_) => Ok(()),
        }
    }

    fn note(&mut self, signer: Who, log: Who, disk: &Disk, note: &str) -> Result<(), String> {
        if note.is_empty() {
            return Ok(());
        }
        let statement = match self.known.get(note) {
            Some(statement) => *statement,
            None => self.read(log, note)?,
        };
        let origin = &self.origins[log];
        if statement.log != log {
            return Err(format!("a note of the other log than {origin}"));
        }
        let Statement { size, root, .. } = statement;
        let signed = Signed {
            root,
            confirmed: false,
        };
        let before = *self.signed.entry((signer, log, size)).or_insert(signed);
        if before.root != root {
            return Err(format!("two trees of size {size} were signed for {origin}"));
        }
        if self.believes[signer] {
            let held = disk.held();
            let durable = if signer == log { held.own } else { held.mirror };
            if size > durable {
                return Err(format!(
                    "signed before it was durable: {size} of {origin}, durable are {durable}"
                ));
            }
            let marked = disk.marked(origin);
            if size > marked {
                return Err(format!(
                    "signed beyond the high-water mark: {size} of {origin}, marked are {marked}"
                ));
            }
        }
        Ok(())
    }

    fn read(&mut self, log: Who, note: &str) -> Result<Statement, String> {
        let signed = self.verifiers[log].checkpoint(note);
        let signed =
            signed.map_err(|error| format!("a checkpoint on the wire does not verify: {error}"))?;
        let statement = Statement {
            log,
            size: signed.checkpoint.size,
            root: signed.checkpoint.root,
        };
        self.known.insert(note.to_owned(), statement);
        Ok(statement)
    }
}

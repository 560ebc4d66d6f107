//! The recorder: the one writer. It alone changes logs, mirrors and indices.
//!
//! Commands gather while the last commit is being flushed; whatever has gathered becomes the next
//! commit (natural group commit), with what is just being signed. A group is staged beside the state, committed as one atomic
//! batch, and only then becomes the state, is published and is answered. So a crash at any line
//! leaves either all of a group or nothing of it, and nobody was told of what is not durable.
//!
//! ```text
//! commands → stage → store.commit (flush) ──▶ answer appends, receipts
//!                                         └─▶ marks.record (flush) ──▶ publish what may be signed,
//!                                                                      answer mirror runs
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::book::Book;
use super::clock::Clock;
use super::command::{Command, RecordError, Recorded};
use super::hold::Incident;
use super::layout::{self, LinkNumber, LogSide, Place};
use super::restore;
use super::stage::Stage;
use crate::limits::{GROUP_BYTES_MAX, GROUP_COMMANDS_MAX, RECORDER_QUEUE_MAX};
use crate::store::{Marks, Share, Store, StoreError};

/// How long a group waits at most for commands that are being made: about what its commit takes.
const GATHER_TIME_MAX: Duration = Duration::from_micros(300);

/// Hands commands to the recorder.
#[derive(Clone)]
pub(crate) struct RecorderHandle(Mode);

#[derive(Clone)]
enum Mode {
    /// A thread of its own; commands group while it flushes.
    Thread(mpsc::Sender<Command>, Arc<AtomicUsize>),
    /// Within the caller, for simulations: every command is a group.
    Inline(Arc<Mutex<Recorder>>),
}

impl fmt::Debug for RecorderHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Mode::Thread(..) => "RecorderHandle(thread)",
            Mode::Inline(_) => "RecorderHandle(inline)",
        })
    }
}

impl RecorderHandle {
    /// Whether everything runs within its callers, so that a simulation replays.
    pub(crate) fn is_inline(&self) -> bool {
        matches!(self.0, Mode::Inline(_))
    }

    /// Says that a command is being made, which is about to be queued: the next group waits for it, for a
    /// moment. To be kept until it is queued, over work of the processor only and nothing that waits.
    pub(crate) fn coming(&self) -> Coming {
        let count = match &self.0 {
            Mode::Thread(_, count) => Some(Arc::clone(count)),
            Mode::Inline(_) => None,
        };
        if let Some(count) = &count {
            count.fetch_add(1, Ordering::Relaxed);
        }
        Coming(count)
    }

    /// Queues a command; waits while the queue is full.
    pub(crate) async fn send(&self, command: Command) {
        match &self.0 {
            // A closed queue drops the command and with it the reply: the caller sees `Stopped`.
            Mode::Thread(queue, _) => drop(queue.send(command).await),
            Mode::Inline(recorder) => recorder
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .group(vec![command]),
        }
    }
}

/// A command that is being made. What is being made at the same time, such as a signature on each core,
/// is then one commit, instead of one for whatever is first and another for the rest.
#[derive(Debug)]
#[must_use]
pub(crate) struct Coming(Option<Arc<AtomicUsize>>);

impl Drop for Coming {
    fn drop(&mut self) {
        if let Some(count) = &self.0 {
            count.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// The writer and all it owns.
pub(crate) struct Recorder {
    store: Arc<dyn Store>,
    marks: Marks,
    clock: Arc<dyn Clock>,
    books: BTreeMap<LinkNumber, Book>,
    incident_sequence: u32,
    stopped: Option<String>,
    /// Told once when the store fails for good.
    on_stop: Box<dyn Fn(&str) + Send>,
}

impl Recorder {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        marks: Marks,
        clock: Arc<dyn Clock>,
        books: Vec<Book>,
        on_stop: Box<dyn Fn(&str) + Send>,
    ) -> Self {
        let books = books.into_iter().map(|book| (book.link.number, book));
        Self {
            store,
            marks,
            clock,
            books: books.collect(),
            incident_sequence: 0,
            stopped: None,
            on_stop,
        }
    }

    /// Moves the recorder to a thread of its own, which ends when every handle is gone.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn spawn(
        mut self,
    ) -> std::io::Result<(RecorderHandle, std::thread::JoinHandle<()>)> {
        let (sender, mut queue) = mpsc::channel::<Command>(RECORDER_QUEUE_MAX);
        let coming = Arc::new(AtomicUsize::new(0));
        let still_coming = Arc::clone(&coming);
        let thread = std::thread::Builder::new()
            .name("recorder".to_owned())
            .spawn(move || {
                let mut first_of_next = None;
                while let Some(first) = first_of_next.take().or_else(|| queue.blocking_recv()) {
                    let mut bytes = first.cost_bytes();
                    let mut group = vec![first];
                    let begun = Instant::now();
                    while group.len() < GROUP_COMMANDS_MAX {
                        let Ok(next) = queue.try_recv() else {
                            let comes = still_coming.load(Ordering::Relaxed) > 0;
                            if comes && begun.elapsed() < GATHER_TIME_MAX {
                                std::thread::yield_now();
                                continue;
                            }
                            break;
                        };
                        bytes += next.cost_bytes();
                        if bytes > GROUP_BYTES_MAX {
                            // A batch has a limit; a group over it would be refused as a whole.
                            first_of_next = Some(next);
                            break;
                        }
                        group.push(next);
                    }
                    self.group(group);
                }
            })?;
        Ok((RecorderHandle(Mode::Thread(sender, coming)), thread))
    }

    /// Keeps the recorder within its callers.
    pub(crate) fn inline(self) -> RecorderHandle {
        RecorderHandle(Mode::Inline(Arc::new(Mutex::new(self))))
    }

    /// Records a group of commands: all of them durable, or none.
    fn group(&mut self, commands: Vec<Command>) {
        if let Some(reason) = &self.stopped {
            let reason = reason.clone();
            for command in commands {
                refuse(
                    command,
                    &RecordError::Stopped {
                        reason: reason.clone(),
                    },
                );
            }
            return;
        }
        let now_ms = self.clock.unix_ms();
        let mut stage = Stage::new(now_ms);
        let mut answers = Answers::default();
        let all: u64 = commands.iter().map(|c| c.cost_bytes() as u64).sum();
        let has_room = self.store.make_room(Share::Ordinary, all).is_ok();
        let mut bytes = 0;
        for command in commands {
            // Each by itself: what is urgent does not fail for the bulk that it came with.
            let with = bytes + command.cost_bytes() as u64;
            if !has_room
                && let Some(share) = command.share()
                && let Err(error @ StoreError::Full { .. }) = self.store.make_room(share, with)
            {
                refuse(command, &RecordError::of(&error));
                continue;
            }
            bytes = with;
            if let Err(error) = self.stage(&mut stage, command, &mut answers) {
                self.stop(&error, answers);
                return;
            }
        }
        stage.write_heads(&self.books);
        stage.write_usage();
        if stage.batch.is_empty() {
            answers.give(&Ok(()));
            return;
        }
        match self.store.commit(stage.batch) {
            Ok(()) => {}
            Err(error) if error.is_fatal() => return self.stop(&error, answers),
            Err(error) => return answers.give(&Err(RecordError::of(&error))),
        }
        // Point of no return: the group is durable. A crash from here on loses nothing; whoever
        // was not answered asks again and finds it recorded.
        for charge in stage.charges {
            charge.keep();
        }
        let mut heads = Vec::new();
        // Whoever follows these is told once, when the mark is there too.
        let mut marked = Vec::new();
        for (number, staged) in stage.links {
            if let Some(book) = self.books.get_mut(&number) {
                let marks = staged.marks(book);
                let has_marks = !marks.is_empty();
                if has_marks {
                    marked.push(number);
                }
                heads.extend(marks);
                staged.apply(book, has_marks);
            }
        }
        answers.give_flushed();
        if let Err(error) = self.marks.record(&heads) {
            // Everything is durable, but nothing may be signed without the mark.
            for book in marked.iter().filter_map(|number| self.books.get(number)) {
                book.link.head.send_modify(|_| {});
            }
            return self.stop(&error, answers);
        }
        for book in self.books.values() {
            let signable = book.own.size();
            let is_told = !marked.contains(&book.link.number);
            book.link.head.send_if_modified(|head| {
                let changed = head.signable_size != signable;
                head.signable_size = signable;
                changed || !is_told
            });
        }
        answers.give(&Ok(()));
    }

    fn stop(&mut self, error: &StoreError, answers: Answers) {
        let reason = error.to_string();
        (self.on_stop)(&reason);
        self.stopped = Some(reason.clone());
        answers.give(&Err(RecordError::Stopped { reason }));
    }

    /// Adds one command to the group. A command that cannot be carried out is answered at once
    /// with its reason and leaves no trace in the stage.
    fn stage(
        &mut self,
        stage: &mut Stage,
        command: Command,
        answers: &mut Answers,
    ) -> Result<(), StoreError> {
        match command {
            Command::Append(number, own, holds, reply) => {
                let Some(book) = self.books.get(&number) else {
                    return Ok(());
                };
                let recorded = match stage.place_of(&*self.store, number, own.facts.id)? {
                    None if stage.restores(book) => Err(RecordError::Restoring),
                    // Signed again, it says what has been mirrored, and may be cosigned, since.
                    None if stage.ends_too_early(book, &own) => Err(RecordError::KeyEnded),
                    None => stage.append(book, *own),
                    Some(Place::Log(LogSide::Own, index)) => Ok(Recorded {
                        id: own.facts.id,
                        index,
                        already_recorded: true,
                    }),
                    Some(_) => Err(RecordError::IdUsed),
                };
                answers.flushed.push(Box::new(move |outcome| {
                    let outcome = outcome.and(recorded);
                    if let Some(claim) = holds.claim {
                        claim.settle(&outcome);
                    }
                    drop(reply.send(outcome));
                    drop(holds.case);
                }));
            }
            Command::Mirror(run, reply) => {
                let Some(book) = self.books.get(&run.link) else {
                    return Ok(());
                };
                let mut run = *run;
                let incidents = std::mem::take(&mut run.incidents);
                match stage.mirror(&*self.store, book, run)? {
                    Ok(()) => {
                        for incident in &incidents {
                            self.stage_incident(stage, incident)?;
                        }
                        answers.marked.push(Box::new(move |outcome| {
                            drop(reply.send(outcome));
                        }));
                    }
                    Err(error) => drop(reply.send(Err(error))),
                }
            }
            Command::Express(number, index, entry, reply) => {
                let Some(book) = self.books.get(&number) else {
                    return Ok(());
                };
                match stage.express(&*self.store, book, index, &entry)? {
                    Ok(()) => answers.flushed.push(Box::new(move |outcome| {
                        drop(reply.send(outcome));
                    })),
                    Err(error) => drop(reply.send(Err(error))),
                }
            }
            Command::Settle(number, receipt, reply) => {
                let Some(book) = self.books.get(&number) else {
                    return Ok(());
                };
                let size = receipt.signed.checkpoint.size;
                if size > book.own.size() {
                    drop(reply.send(Err(RecordError::WrongTree { size })));
                } else {
                    stage.settle(&*self.store, book, size, &receipt.note)?;
                    answers.flushed.push(Box::new(move |outcome| {
                        drop(reply.send(outcome));
                    }));
                }
            }
            Command::KeepCosigned(number, receipt) => {
                let size = receipt.signed.checkpoint.size;
                let key = layout::checkpoint(number, LogSide::Mirror, size);
                stage.batch.put(key, receipt.note.clone().into_bytes());
            }
            Command::BundlesTaken(number, ids, reply) => {
                let value = layout::encode_ids(&ids);
                stage.batch.put(layout::bundles_taken(number), value);
                answers.flushed.push(Box::new(move |outcome| {
                    drop(reply.send(outcome));
                }));
            }
            Command::KeepDated(number, signed, reply) => {
                let Some(book) = self.books.get(&number) else {
                    return Ok(());
                };
                match stage.keep_dated(&*self.store, book, &signed)? {
                    Ok(()) => answers.flushed.push(Box::new(move |outcome| {
                        drop(reply.send(outcome));
                    })),
                    Err(error) => drop(reply.send(Err(error))),
                }
            }
            Command::Hold(number, hold, incident, reply) => {
                if let Some(book) = self.books.get(&number) {
                    stage.hold(&*self.store, book, &hold)?;
                }
                self.stage_incident(stage, &incident)?;
                answers.flushed.push(Box::new(move |outcome| {
                    drop(reply.send(outcome));
                }));
            }
            Command::PeerHold(number, hold, incident, reply) => {
                if let Some(book) = self.books.get(&number) {
                    stage.peer_hold(&*self.store, book, hold.as_deref())?;
                }
                if let Some(incident) = incident {
                    self.stage_incident(stage, &incident)?;
                }
                answers.flushed.push(Box::new(move |outcome| {
                    drop(reply.send(outcome));
                }));
            }
            Command::Release(number, release, forgotten, incident, reply) => {
                if let Some(book) = self.books.get(&number) {
                    stage.release(&*self.store, book, *release, forgotten)?;
                }
                self.stage_incident(stage, &incident)?;
                answers.flushed.push(Box::new(move |outcome| {
                    drop(reply.send(outcome));
                }));
            }
            Command::KeepUsage(meter) => stage.use_up(&meter),
            Command::Incident(incident) => self.stage_incident(stage, &incident)?,
            Command::Reach(number, reached, key, owed_by, reply) => {
                let Some(book) = self.books.get(&number) else {
                    return Ok(());
                };
                let is_first = stage.reach(&*self.store, book, &reached, key, owed_by)?;
                answers.flushed.push(Box::new(move |outcome| {
                    drop(reply.send(outcome.map(|()| is_first)));
                }));
            }
            Command::NoteBreach(number, index, incident, reply) => {
                let is_first = stage.note_breach(&*self.store, number, index)?;
                if let Some(incident) = incident.filter(|_| is_first) {
                    self.stage_incident(stage, &incident)?;
                }
                answers.flushed.push(Box::new(move |outcome| {
                    drop(reply.send(outcome.map(|()| is_first)));
                }));
            }
            Command::Derived(writes, reply) | Command::Erase(writes, reply) => {
                for (key, value) in writes {
                    match value {
                        Some(value) => stage.batch.put(key, value),
                        None => stage.batch.delete(key),
                    }
                }
                answers.flushed.push(Box::new(move |outcome| {
                    drop(reply.send(outcome));
                }));
            }
            Command::Restore(number, step, reply) => {
                let Some(book) = self.books.get(&number) else {
                    return Ok(());
                };
                let marks = &mut self.marks;
                match restore::stage_step(stage, &*self.store, marks, book, *step)? {
                    Ok(incident) => {
                        if let Some(incident) = incident {
                            self.stage_incident(stage, &incident)?;
                        }
                        answers.marked.push(Box::new(move |outcome| {
                            drop(reply.send(outcome));
                        }));
                    }
                    Err(error) => drop(reply.send(Err(error))),
                }
            }
            Command::Barrier(reply) => answers.marked.push(Box::new(move |outcome| {
                drop(reply.send(outcome));
            })),
        }
        Ok(())
    }

    /// Keeps an incident and overwrites none: neither one of the same millisecond, nor one of
    /// before a restart, when the clock was set back.
    fn stage_incident(&mut self, stage: &mut Stage, incident: &Incident) -> Result<(), StoreError> {
        loop {
            self.incident_sequence = self.incident_sequence.wrapping_add(1);
            let key = layout::incident(incident.at_ms, self.incident_sequence);
            if self.store.get(&key)?.is_none() {
                break;
            }
        }
        stage.incident(incident, self.incident_sequence);
        Ok(())
    }
}

impl Drop for Recorder {
    /// A recorder that panics takes the node's voice with it: then the node must say so.
    fn drop(&mut self) {
        if std::thread::panicking() && self.stopped.is_none() {
            (self.on_stop)("the recorder panicked; this is a bug. Restart the node");
        }
    }
}

type Answer = Box<dyn FnOnce(Result<(), RecordError>) + Send>;

/// Who waits for what: for the flush, or for the mark behind it.
#[derive(Default)]
struct Answers {
    flushed: Vec<Answer>,
    marked: Vec<Answer>,
}

impl Answers {
    fn give_flushed(&mut self) {
        for answer in self.flushed.drain(..) {
            answer(Ok(()));
        }
    }

    fn give(self, outcome: &Result<(), RecordError>) {
        for answer in self.flushed.into_iter().chain(self.marked) {
            answer(outcome.clone());
        }
    }
}

fn refuse(command: Command, error: &RecordError) {
    match command {
        Command::Append(_, _, _, reply) => drop(reply.send(Err(error.clone()))),
        Command::Mirror(_, reply)
        | Command::Express(_, _, _, reply)
        | Command::Settle(_, _, reply)
        | Command::Hold(.., reply)
        | Command::PeerHold(.., reply)
        | Command::Release(.., reply)
        | Command::KeepDated(_, _, reply)
        | Command::BundlesTaken(_, _, reply)
        | Command::Derived(_, reply)
        | Command::Erase(_, reply)
        | Command::Restore(_, _, reply)
        | Command::Barrier(reply) => drop(reply.send(Err(error.clone()))),
        Command::Reach(.., reply) | Command::NoteBreach(.., reply) => {
            drop(reply.send(Err(error.clone())));
        }
        Command::KeepCosigned(..) | Command::KeepUsage(..) | Command::Incident(..) => {}
    }
}

#[cfg(test)]
mod tests;

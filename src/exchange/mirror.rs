//! Mirroring: verify → admit → extend the mirror → flush → cosign.
//!
//! Whatever pushes have gathered while the last flush ran are taken as one run under the newest
//! checkpoint among them, up to a number of entries: one commit, one cosignature (natural batching).

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::admit::{self, Authentic, Judged, Refused, RunIds};
use super::book::Waiting;
use super::command::{Command, MirrorRun, RecordError};
use super::contradiction::of_one_size;
use super::hold::{Evidence, Incident, entry_evidence};
use super::keys::RunKeys;
use super::noted::Cause;
use super::quota::{Charge, Class};
use super::read::ReadError;
use super::session::{Breach, End, Mirroring, Never, Stop, item_bytes, send};
use super::submit::SubmitError;
use super::{Exchange, Link, LogSide};
use crate::crypto::Verified;
use crate::crypto::checkpoint::{
    Checkpoint, CheckpointError, LogVerifier, Receipt, SignedCheckpoint,
};
use crate::crypto::note::{Note, NoteError};
use crate::limits::{
    CHECKPOINT_SIZE_MAX, ENTRY_BYTES_MAX, EXPRESSED_BYTES_MAX, EXPRESSED_ENTRIES_MAX,
    GROUP_BYTES_MAX, KEPT_NOTE_BYTES_MAX, PUSH_ENTRIES_MAX, RUN_ENTRIES_READY,
};
use crate::proto::v1::{self, FaultCode, frame};
use crate::store::StoreError;
use crate::tlog::leaf_hash;

/// Items below which judging on the session's own task is quicker than spreading them.
const SPREAD_ITEMS_MIN: usize = 16;

impl Exchange {
    /// Plays mirror of the peer's log for one session.
    pub(super) async fn mirror(
        self: &Arc<Self>,
        link: &Arc<Link>,
        outgoing: &mpsc::Sender<v1::Frame>,
        mirroring: Mirroring<'_>,
    ) -> Result<Never, Stop> {
        let Mirroring {
            mut queue,
            window,
            next_index,
        } = mirroring;
        let mut run = Run::at(next_index);
        loop {
            let Some(push) = queue.recv().await else {
                return Err(Stop::End(End::Closed));
            };
            run.take(link, push)?;
            while run.bytes < GROUP_BYTES_MAX && run.items.len() < RUN_ENTRIES_READY {
                let Ok(push) = queue.try_recv() else { break };
                run.take(link, push)?;
            }
            let Some((note, items)) = run.covered() else {
                continue;
            };
            let start_index = run.next_index - (items.len() + run.items.len()) as u64;
            let (entries, bytes) = (items.len(), items.iter().map(item_bytes).sum());
            // More than the Hello showed may be here: see `mirror_shown`.
            let (start_index, items) = without_known(link, start_index, items);
            let receipt = if items.is_empty() {
                self.cosign_known(link, &note, start_index)?
            } else {
                let charge = self.charge_run(link, outgoing, start_index, &items).await?;
                self.mirror_run(link, start_index, items, &note, Some(charge))
                    .await?
            };
            let cosigned = v1::Cosigned {
                checkpoint: receipt.note.clone(),
            };
            // Before it is sent: the peer may answer it with as much again.
            window.give(entries, bytes);
            send(outgoing, frame::Frame::Cosigned(cosigned)).await?;
            self.recorder
                .send(Command::KeepCosigned(link.number, Box::new(receipt)))
                .await;
        }
    }

    /// Records a run and cosigns its checkpoint.
    pub(super) async fn mirror_run(
        self: &Arc<Self>,
        link: &Arc<Link>,
        start_index: u64,
        items: Vec<v1::Item>,
        note: &str,
        charge: Option<Charge>,
    ) -> Result<Verified<Receipt>, Stop> {
        let size = start_index + items.len() as u64;
        // The run may bring the very key that signs its checkpoint: by the word of the key before,
        // or of the recovery key, which the entries carry themselves.
        let keys = RunKeys::of_run(link, start_index, &items);
        let signed = peer_checkpoint(link, &link.run_verifier(&keys), note, size)?;
        let items = Arc::new(items);
        let judged = self.judge_all(link, &keys, start_index, &items).await;
        // What comes ahead of these entries, or has the id of one of them, is sealed and recorded before this
        // looks, or after this is recorded: else a body would be sealed under two keys, or an id be two
        // messages.
        let ids = judged.iter().flatten().map(Authentic::id);
        let alone = link.admitting.alone(start_index..size, ids).await;
        let mut run = self.admit_run(link, &keys, start_index, &items, judged, &signed)?;
        run.charge = charge;
        for incident in &run.incidents {
            tracing::warn!(peer = %incident.peer, what = %incident.what, "refused");
        }
        let keep = signed.clone();
        let recorded = self
            .ask(|reply| Command::Mirror(Box::new(run), reply))
            .await;
        drop(alone);
        match recorded {
            Ok(()) => {}
            Err(RecordError::RootMismatch { size }) => {
                // The entries show nothing of what the note's author signed; a note of that very
                // size, kept before, does.
                if let Some(earlier) = self.dated_note(link, size)?
                    && !states_same(&earlier, note)
                {
                    return Err(two_trees(link, size, of_one_size(earlier, note)));
                }
                return Err(Breach::stop(
                    FaultCode::RootMismatch,
                    &link.mirror,
                    size,
                    "the entries sent do not hash to the root that their author signed",
                    vec![note.to_owned()],
                ));
            }
            Err(RecordError::ExpressMismatch { index }) => {
                return Err(Breach::stop(
                    FaultCode::ExpressMismatch,
                    &link.mirror,
                    index,
                    "the entry at this index is not the one that was expressed for it",
                    vec![
                        entry_evidence(&self.expressed_entry(link, index)?),
                        note.to_owned(),
                    ],
                ));
            }
            Err(RecordError::Contradicts { size, earlier }) => {
                let evidence = self.against_run(link, &items, (size, earlier), note);
                return Err(two_trees(link, size, evidence));
            }
            Err(error) => return Err(error.into()),
        }
        // Durable and under the high-water mark: only now may it be cosigned. The recorder let it
        // through only because it extends what was cosigned last.
        self.cosign_mirrored(link, &keep).ok_or_else(no_log_key)
    }

    /// Decides about each entry of a run in order; refusals are signed here and recorded with it.
    fn admit_run(
        &self,
        link: &Link,
        keys: &RunKeys,
        start_index: u64,
        items: &[v1::Item],
        judged: Vec<Result<Authentic, Box<Refused>>>,
        signed: &Verified<SignedCheckpoint>,
    ) -> Result<MirrorRun, Stop> {
        let mut ids = RunIds::new();
        let mut sizes = HashMap::new();
        let mut run = MirrorRun {
            link: link.number,
            start_index,
            entries: Vec::with_capacity(items.len()),
            signed: signed.clone(),
            refusals: Vec::new(),
            incidents: Vec::new(),
            keys: keys.clone(),
            charge: None,
        };
        for ((item, judged), index) in items.iter().zip(judged).zip(start_index..) {
            let Judged { entry, refused } = self
                .admit_in_order(link, index, item, judged, keys, &mut ids)
                .map_err(|error| unable(&error))?;
            for file in entry.facts.iter().flat_map(|facts| &facts.files) {
                let first = match sizes.get(&file.sha256) {
                    Some(size) => Some(*size),
                    None => self
                        .named_file(link, LogSide::Mirror, &file.sha256)
                        .map_err(|error| unable(&error))?,
                };
                let first = *sizes
                    .entry(file.sha256)
                    .or_insert(first.unwrap_or(file.size));
                if first != file.size {
                    let incident = Incident {
                        at_ms: self.clock.unix_ms(),
                        peer: link.peer.to_string(),
                        what: format!(
                            "entry {index} of {} names the file {} with {} bytes, an earlier one \
                             with {first}: the earlier one counts, and this one's cannot arrive",
                            link.mirror,
                            hex::encode(file.sha256),
                            file.size
                        ),
                        evidence: Vec::new(),
                    };
                    run.incidents.extend(self.may_note(Cause::Entry, incident));
                }
            }
            if let Some(refused) = refused {
                let incident = Incident {
                    at_ms: self.clock.unix_ms(),
                    peer: link.peer.to_string(),
                    what: format!(
                        "entry {index} of {} was mirrored but not admitted: {}: {}",
                        link.mirror,
                        refused.reason.as_str_name(),
                        refused.detail
                    ),
                    evidence: Vec::new(),
                };
                run.incidents.extend(self.may_note(Cause::Entry, incident));
                // A refused REFUSAL is not answered with another, or two nodes that do not know
                // each other's keys would never stop.
                if !refused.is_refusal {
                    let refusal = self
                        .refusal(link, index, entry.leaf.hash, &refused)
                        .map_err(unsigned)?;
                    run.refusals.push(refusal);
                }
            }
            run.entries.push(entry);
        }
        Ok(run)
    }

    /// An entry ahead of its turn: judged like any other, kept and shown at once. What cannot be
    /// admitted is left for the mirror to judge when its index comes.
    pub(super) async fn take_express(
        &self,
        link: &Arc<Link>,
        express: v1::Express,
    ) -> Result<(), Stop> {
        let index = express.index;
        let outside = |text: &str| {
            let code = FaultCode::Protocol;
            Breach::stop(code, &link.mirror, index, text, Vec::new())
        };
        let Some(item) = express.item else {
            return Err(outside("an express frame without an entry"));
        };
        if index >= CHECKPOINT_SIZE_MAX {
            return Err(outside("an express frame for an index that no log reaches"));
        }
        let mismatch = |text: &str, known: &[u8]| {
            let evidence = vec![entry_evidence(known), entry_evidence(&item.entry)];
            let code = FaultCode::ExpressMismatch;
            Breach::stop(code, &link.mirror, index, text, evidence)
        };
        let meter = self.peer_meter(link)?;
        if self.take(&meter, Class::Urgent, 1, 0).is_err() {
            // Its turn in the log will come; until then it costs no more than this.
            tracing::debug!(peer = %link.peer, index, "an express too many is not looked at");
            return Ok(());
        }
        let leaf = leaf_hash(&item.entry);
        let Ok(authentic) = admit::judge(link, &RunKeys::now(link), index, &item) else {
            tracing::warn!(peer = %link.peer, index, "an expressed entry cannot be admitted");
            return Ok(());
        };
        // Only behind the run that brings this very entry, or another one of its id.
        let ids = [authentic.id()];
        let alone = link.admitting.alone(index..index + 1, ids).await;
        // What is here already is compared before anything is written: no frame leaves a file that
        // no record names.
        if let Ok(known) = self.reader(link, LogSide::Mirror).expressed(index)
            && leaf_hash(&known.entry) != leaf
        {
            let text = "two different entries were expressed for one index";
            return Err(mismatch(text, &known.entry));
        }
        let free = self
            .id_is_free(link, authentic.id(), index, &RunIds::new())
            .map_err(|error| unable(&error))?;
        let head = link.head();
        if free && index >= head.mirror_size && has_room(head.express_waiting, &item) {
            let entry = self
                .admitted(link, index, &authentic)
                .map_err(|e| unable(&e))?;
            let asked = self
                .ask(|reply| Command::Express(link.number, index, Box::new(entry), reply))
                .await;
            match asked {
                Ok(()) | Err(RecordError::ExpressFull) => {}
                Err(RecordError::ExpressMismatch { .. }) => {
                    let text = "two different entries were expressed for one index";
                    return Err(mismatch(text, &self.expressed_entry(link, index)?));
                }
                Err(error) => return Err(error.into()),
            }
        }
        drop(alone);
        // Its turn came first: then it must be what the mirror holds at that index.
        if index < link.head().mirror_size {
            let mirrored = self.reader(link, LogSide::Mirror).entry(index)?;
            if leaf_hash(&mirrored.entry) != leaf {
                let text = "the entry expressed is not the one mirrored at that index";
                return Err(mismatch(text, &mirrored.entry));
            }
        }
        Ok(())
    }

    fn expressed_entry(&self, link: &Link, index: u64) -> Result<bytes::Bytes, ReadError> {
        Ok(self.reader(link, LogSide::Mirror).expressed(index)?.entry)
    }

    /// A dated checkpoint of the peer: the newest of each size is kept.
    pub(super) async fn take_heartbeat(&self, link: &Link, note: &str) -> Result<(), Stop> {
        if note.is_empty() {
            return Ok(());
        }
        let signed = match verified(&link.mirror_verifier.current(), note) {
            Ok(signed) => signed,
            Err(error) if says_nothing_yet(link, note, &error) => {
                tracing::debug!(peer = %link.peer, "a checkpoint by a key that is still to come");
                return Ok(());
            }
            Err(error) => {
                let text = format!("the peer's heartbeat does not verify: {error}");
                let evidence = vec![note.to_owned()];
                let code = FaultCode::BadCheckpoint;
                return Err(Breach::stop(code, &link.mirror, 0, text, evidence));
            }
        };
        self.compare_with_mirror(link, &signed)?;
        let keep = Box::new(signed.clone());
        match self
            .ask(|reply| Command::KeepDated(link.number, keep, reply))
            .await
        {
            // A run that was recorded before this note was not compared with it: look again.
            Ok(()) => self.compare_with_mirror(link, &signed),
            Err(RecordError::Contradicts { size, earlier }) => {
                Err(two_trees(link, size, of_one_size(earlier, note)))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// A checkpoint of the peer within what is mirrored must be of the same tree.
    pub(super) fn compare_with_mirror(
        &self,
        link: &Link,
        signed: &Verified<SignedCheckpoint>,
    ) -> Result<(), Stop> {
        let size = signed.checkpoint.size;
        let tree = link.tree(LogSide::Mirror);
        if size > tree.size() {
            return Ok(());
        }
        let reader = self.reader(link, LogSide::Mirror);
        if reader.root_at(&tree, size)? == signed.checkpoint.root {
            return Ok(());
        }
        let evidence = self.against_recorded(link, LogSide::Mirror, signed)?;
        Err(two_trees(link, size, evidence))
    }

    /// Judges what a Hello says of the peer's own log.
    pub(super) async fn judge_peer_log(&self, link: &Link, hello: &v1::Hello) -> Result<(), Stop> {
        let (said, mirrored) = (hello.own_size, link.head().mirror_size);
        let rolled_back = (said < mirrored).then_some(said);
        let news = rolled_back.is_some()
            && link
                .presence
                .borrow()
                .rolled_back_to
                .is_none_or(|known| Some(known) != rolled_back);
        link.presence
            .send_modify(|presence| presence.rolled_back_to = rolled_back);
        if news {
            let incident = Incident {
                at_ms: self.clock.unix_ms(),
                peer: link.peer.to_string(),
                what: format!(
                    "the peer's log has {said} entries, but {mirrored} of it are mirrored here \
                     under its signature: the peer was rolled back or lost its records. Call it; \
                     what is mirrored here is the truth"
                ),
                evidence: self
                    .reader(link, LogSide::Mirror)
                    .checkpoint(mirrored)?
                    .into_iter()
                    .collect(),
            };
            self.note_caused(Cause::Lost, incident).await;
        }
        if hello.own_checkpoint.is_empty() {
            return Ok(());
        }
        self.take_heartbeat(link, &hello.own_checkpoint).await
    }

    /// How much of the peer's log a Hello shows as mirrored, with the cosignature.
    ///
    /// That is all that is mirrored, unless no checkpoint of just that size is here: so it is after a
    /// restoring that was given up midway, since receipts need not come with every piece. Then it is
    /// what the latest receipt covers. The peer sends the rest again, and what of it is here already is
    /// compared by the root that the peer signs over it.
    pub(super) async fn mirror_shown(&self, link: &Link) -> Result<(u64, String), Stop> {
        let size = link.head().mirror_size;
        match self.reader(link, LogSide::Mirror).checkpoint(size)? {
            Some(note) => Ok((size, self.cosigned_again(link, &note).await?)),
            None if size == 0 => Ok((0, String::new())),
            None => {
                let latest = self.latest_receipt(link, LogSide::Mirror)?;
                let (shown, note) = latest.unwrap_or_default();
                tracing::warn!(
                    peer = %link.peer, size, shown,
                    "the mirror ends beyond its latest receipt; the peer sends that part again"
                );
                Ok((shown, note))
            }
        }
    }

    /// Cosigns the checkpoint of a run that is mirrored already: it must be of the same tree.
    pub(super) fn cosign_known(
        &self,
        link: &Link,
        note: &str,
        size: u64,
    ) -> Result<Verified<Receipt>, Stop> {
        let signed = peer_checkpoint(link, &link.mirror_verifier.current(), note, size)?;
        self.compare_with_mirror(link, &signed)?;
        self.cosign_mirrored(link, &signed).ok_or_else(no_log_key)
    }

    /// The cosignature to show in a Hello: the one kept, or, if the node fell between the flush
    /// and keeping it, a new one over the same checkpoint, which is kept then.
    pub(super) async fn cosigned_again(&self, link: &Link, note: &str) -> Result<String, Stop> {
        if link.mirror_verifier.receipt(note).is_ok() {
            return Ok(note.to_owned());
        }
        let size = link.head().mirror_size;
        let verifier = link.mirror_verifier.current();
        let signed = peer_checkpoint(link, &verifier, note, size)?;
        let receipt = self.cosign_mirrored(link, &signed).ok_or_else(no_log_key)?;
        let again = receipt.note.clone();
        self.recorder
            .send(Command::KeepCosigned(link.number, Box::new(receipt)))
            .await;
        // Durable before it is shown: a session to restore records shows only what is kept.
        self.ask(Command::Barrier).await?;
        Ok(again)
    }
}

/// A run without what of it is mirrored already. The root over all of it says whether that was the same.
pub(super) fn without_known(
    link: &Link,
    start_index: u64,
    mut items: Vec<v1::Item>,
) -> (u64, Vec<v1::Item>) {
    let known = link.head().mirror_size.saturating_sub(start_index);
    let known = usize::try_from(known).map_or(items.len(), |known| known.min(items.len()));
    drop(items.drain(..known));
    (start_index + known as u64, items)
}

/// Whether one more entry may wait for its turn. The recorder asks again; this one comes before the
/// entry's files are written.
fn has_room(waiting: Waiting, item: &v1::Item) -> bool {
    waiting.entries < EXPRESSED_ENTRIES_MAX
        && waiting.bytes + item_bytes(item) as u64 <= EXPRESSED_BYTES_MAX
}

/// Verifies the checkpoint of a run or heartbeat: signed by the peer's log key, of the size
/// it claims to cover.
pub(super) fn peer_checkpoint(
    link: &Link,
    verifier: &LogVerifier,
    note: &str,
    size: u64,
) -> Result<Verified<SignedCheckpoint>, Stop> {
    let bad = |text: String| {
        Breach::stop(
            FaultCode::BadCheckpoint,
            &link.mirror,
            size,
            text,
            vec![note.to_owned()],
        )
    };
    let signed = verified(verifier, note)
        .map_err(|error| bad(format!("the peer's checkpoint does not verify: {error}")))?;
    if signed.checkpoint.size == size {
        Ok(signed)
    } else {
        Err(bad(format!(
            "the peer's checkpoint has size {}, its entries end at {size}",
            signed.checkpoint.size
        )))
    }
}

/// A checkpoint of the peer, if it verifies and can be kept.
fn verified(
    verifier: &LogVerifier,
    note: &str,
) -> Result<Verified<SignedCheckpoint>, CheckpointError> {
    if note.len() > KEPT_NOTE_BYTES_MAX {
        let bytes = note.len();
        return Err(NoteError::TooLarge { bytes }.into());
    }
    verifier.checkpoint(note)
}

/// Whether a checkpoint that does not verify may be by a key whose announcement has not been
/// mirrored yet: nobody known has signed it, and it is of more than is mirrored. Then it is no
/// statement at all, and no fault either.
fn says_nothing_yet(link: &Link, note: &str, error: &CheckpointError) -> bool {
    let unknown = matches!(
        error,
        CheckpointError::MissingSignature { .. } | CheckpointError::Note(NoteError::NoKnownKey)
    );
    let claimed = Note::parse(note).ok();
    let claimed = claimed.and_then(|note| Checkpoint::parse(note.text()).ok());
    unknown && claimed.is_some_and(|claimed| claimed.size > link.head().mirror_size)
}

/// This node cannot cosign: its log does not know the keys at hand.
fn no_log_key() -> Stop {
    Stop::End(End::Unable(RecordError::NotTaken {
        what: "none of the log keys at hand holds for this log; put the right key files back"
            .to_owned(),
    }))
}

fn two_trees(link: &Link, size: u64, evidence: Evidence) -> Stop {
    let text = format!(
        "{} signed two different trees of its log: this checkpoint contradicts what it signed \
         before. Both notes are kept as evidence",
        link.peer
    );
    let code = if evidence.equivocation.is_some() {
        FaultCode::Equivocation
    } else {
        FaultCode::BadCheckpoint
    };
    Breach::stop(code, &link.mirror, size, text, evidence)
}

/// Whether two notes state the same size and root.
fn states_same(one: &str, other: &str) -> bool {
    let stated = |note: &str| {
        let note = Note::parse(note).ok()?;
        Checkpoint::parse(note.text()).ok()
    };
    stated(one) == stated(other)
}

/// The store cannot be read, or a file not be written.
fn unable(error: &StoreError) -> Stop {
    Stop::End(End::Unable(RecordError::of(error)))
}

/// A REFUSAL cannot be signed.
fn unsigned(error: SubmitError) -> Stop {
    Stop::End(End::Unable(match error {
        SubmitError::Record(error) => error,
        SubmitError::Read(ReadError::Store(error)) => RecordError::of(&error),
        // Nothing was recorded, and the store goes on: tried again with the next session.
        other => RecordError::NotTaken {
            what: other.to_string(),
        },
    }))
}

/// Entries pushed and not yet mirrored. The session's window bounds them.
struct Run {
    next_index: u64,
    items: Vec<v1::Item>,
    bytes: usize,
    /// The newest checkpoint, and how many of `items` it covers.
    checkpoint: Option<(String, usize)>,
}

impl Run {
    fn at(next_index: u64) -> Self {
        Self {
            next_index,
            items: Vec::new(),
            bytes: 0,
            checkpoint: None,
        }
    }

    fn take(&mut self, link: &Link, push: v1::Push) -> Result<(), Stop> {
        let breach = |code, index, text: &str| {
            Err(Breach::stop(code, &link.mirror, index, text, Vec::new()))
        };
        if push.start_index != self.next_index {
            let text = format!(
                "the push starts at {}, the mirror expects {}",
                push.start_index, self.next_index
            );
            return breach(FaultCode::IndexGap, push.start_index, &text);
        }
        if push.items.len() > PUSH_ENTRIES_MAX {
            return breach(
                FaultCode::Protocol,
                push.start_index,
                "more than 512 entries at once",
            );
        }
        if push.items.is_empty() {
            return breach(
                FaultCode::Protocol,
                push.start_index,
                "a push without entries",
            );
        }
        for item in push.items {
            if item.entry.len() > ENTRY_BYTES_MAX {
                return breach(
                    FaultCode::Protocol,
                    self.next_index,
                    "an entry over 65,535 bytes",
                );
            }
            self.next_index += 1;
            self.bytes += item_bytes(&item);
            self.items.push(item);
        }
        if !push.checkpoint.is_empty() {
            self.checkpoint = Some((push.checkpoint, self.items.len()));
        }
        Ok(())
    }

    /// The items under the newest checkpoint, if there is one; later ones stay.
    fn covered(&mut self) -> Option<(String, Vec<v1::Item>)> {
        let (note, count) = self.checkpoint.take()?;
        let later = self.items.split_off(count);
        let items = std::mem::replace(&mut self.items, later);
        self.bytes = self.items.iter().map(item_bytes).sum();
        Some((note, items))
    }
}

impl Exchange {
    /// Judges items on every core; each signature singly and strictly.
    pub(super) async fn judge_all(
        &self,
        link: &Arc<Link>,
        keys: &RunKeys,
        start_index: u64,
        items: &Arc<Vec<v1::Item>>,
    ) -> Vec<Result<Authentic, Box<Refused>>> {
        if items.len() < SPREAD_ITEMS_MIN || self.recorder.is_inline() {
            return judge_part(link, keys, start_index, items, 0, items.len());
        }
        let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let share = items.len().div_ceil(workers);
        let tasks: Vec<_> = (0..items.len())
            .step_by(share)
            .map(|start| {
                let (link, items) = (Arc::clone(link), Arc::clone(items));
                let keys = keys.clone();
                let judging = move || judge_part(&link, &keys, start_index, &items, start, share);
                (start, tokio::task::spawn_blocking(judging))
            })
            .collect();
        let mut judged = Vec::with_capacity(items.len());
        for (start, task) in tasks {
            // A task that does not answer means that the runtime is going down, or that judging
            // panicked; judged here, it shows which.
            let part = task
                .await
                .unwrap_or_else(|_| judge_part(link, keys, start_index, items, start, share));
            judged.extend(part);
        }
        judged
    }
}

fn judge_part(
    link: &Link,
    keys: &RunKeys,
    start_index: u64,
    items: &[v1::Item],
    start: usize,
    count: usize,
) -> Vec<Result<Authentic, Box<Refused>>> {
    let end = (start + count).min(items.len());
    items[start..end]
        .iter()
        .zip(start_index + start as u64..)
        .map(|(item, index)| admit::judge(link, keys, index, item))
        .collect()
}

//! Both logs of a link, folded as they grow.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::Serialize;

use super::board::{Boards, BoardsView};
use super::folded::{Folded, Judged};
use super::thread::{Thread, ThreadView};
use super::{Facts, Impossible, Millis, Party, Said, Standing};
use crate::model::MessageId;
use crate::proto::v1::Kind;

/// What follows from both logs of a link. Each log is taken in its order; how the two interleave
/// changes nothing.
#[derive(Debug, Clone, Default)]
pub struct Casebook {
    threads: HashMap<MessageId, Thread>,
    logs: [Log; 2],
    boards: Boards,
}

/// One side's log.
#[derive(Debug, Clone, Default)]
struct Log {
    entries: Vec<Option<Arc<Facts>>>,
    /// Where each message is.
    places: HashMap<MessageId, u64>,
    /// Further places of an id that was used again.
    again: HashMap<MessageId, Vec<u64>>,
    /// What a person of this side has seen of the other log at most.
    seen: u64,
    /// Entries that the other side did not admit, and the index of its refusal; both grow.
    refused: Vec<(u64, u64)>,
}

impl Log {
    fn size(&self) -> u64 {
        self.entries.len() as u64
    }

    fn get(&self, index: u64) -> Option<&Arc<Facts>> {
        let at = usize::try_from(index).ok()?;
        self.entries.get(at)?.as_ref()
    }

    fn is_void(&self, index: u64) -> bool {
        let found = self
            .refused
            .binary_search_by_key(&index, |(entry, _)| *entry);
        found.is_ok()
    }

    /// Whether an entry before this one was refused, and its author could not know it yet.
    fn had_unknown_refusal(&self, index: u64, seen: u64) -> bool {
        let before = self.refused.partition_point(|(entry, _)| *entry < index);
        self.refused[..before]
            .last()
            .is_some_and(|(_, refusal)| *refusal >= seen)
    }

    /// The first message of that id that the other side has admitted.
    fn place(&self, id: MessageId) -> Option<u64> {
        let again = self.again.get(&id).into_iter().flatten();
        let mut places = self.places.get(&id).into_iter().chain(again);
        places.find(|index| !self.is_void(**index)).copied()
    }
}

/// Everything that follows, to be compared between sides.
#[derive(Debug, Serialize)]
pub struct Snapshot {
    /// Every case, by id.
    pub threads: BTreeMap<String, ThreadView>,
    /// Calendars, rosters, gates.
    pub boards: BoardsView,
}

impl Casebook {
    /// How many entries of a log were taken in.
    #[must_use]
    pub fn size(&self, by: Party) -> u64 {
        self.logs[by.slot()].size()
    }

    /// Takes in the next entry of a log. `None`: an entry that is no message of any sort. Of one that
    /// was not admitted, the header is enough.
    ///
    /// Whoever calls sees to it that a `REFUSAL` names the leaf of the entry that it refuses. One
    /// that does not is handed in as [`Said::System`].
    pub fn take(&mut self, by: Party, facts: Option<Facts>) {
        self.take_shared(by, facts.map(Arc::new));
    }

    fn take_shared(&mut self, by: Party, facts: Option<Arc<Facts>>) {
        let log = &mut self.logs[by.slot()];
        let index = log.size();
        let Some(facts) = facts else {
            log.entries.push(None);
            return;
        };
        log.entries.push(Some(Arc::clone(&facts)));
        if let Said::Refusal { index: refused } = facts.said {
            self.refuse(by.other(), refused, index);
            return;
        }
        if !facts.is_of_the_node() {
            log.seen = log.seen.max(facts.seen_size);
        }
        if let Some(first) = log.places.insert(facts.id, index) {
            log.places.insert(facts.id, first);
            log.again.entry(facts.id).or_default().push(index);
        }
        let is_void = log.is_void(index);
        self.boards.take(by, index, &facts);
        if let Some(replaced) = facts.supersedes.and_then(|id| log.places.get(&id))
            && let Some(of) = log.get(*replaced)
            && (facts.said == Said::Withdrawal
                || [of.kind(), facts.kind()] == [Kind::GateNotice; 2])
        {
            // A calendar or roster gives way to a higher version only, or to a withdrawal.
            self.boards.replace(by, *replaced, index);
        }
        if is_void {
            self.boards.void(by, index);
        }
        let thread = self.threads.entry(facts.thread).or_default();
        thread.take(by, index, facts);
        if is_void {
            thread.void(by, index);
        }
    }

    /// The other side did not admit an entry.
    ///
    /// An honest node refuses an entry in the moment in which it mirrors it. What a person there
    /// has seen already was not refused then, and is not taken away later; and no entry is refused
    /// after a later one.
    fn refuse(&mut self, author: Party, index: u64, refusal: u64) {
        let is_late = index < self.logs[author.other().slot()].seen;
        let log = &mut self.logs[author.slot()];
        if is_late || log.refused.last().is_some_and(|(last, _)| *last >= index) {
            return;
        }
        log.refused.push((index, refusal));
        if let Some(facts) = log.get(index) {
            if let Some(thread) = self.threads.get_mut(&facts.thread) {
                thread.void(author, index);
            }
            self.boards.void(author, index);
        }
    }

    /// Judges a message that is about to be recorded by a side that knows all that is here.
    ///
    /// # Errors
    /// Why it is not possible as things stand, and what is.
    pub fn judge(&mut self, by: Party, facts: &Facts) -> Result<(), Impossible> {
        self.boards.judge(by, facts)?;
        if facts.is_first() && !self.threads.contains_key(&facts.thread) {
            return Thread::default().judge(by, facts);
        }
        let Some(thread) = self.threads.get_mut(&facts.thread) else {
            return Err(Impossible {
                state: "no such case".to_owned(),
                reason: "no message of that case is here; leave threadId out to begin one"
                    .to_owned(),
                allowed: Vec::new(),
            });
        };
        thread.judge(by, facts)
    }

    /// The case of a message.
    #[must_use]
    pub fn thread_of(&self, message: MessageId) -> Option<MessageId> {
        let (_, _, facts) = self.message(message)?;
        Some(facts.thread)
    }

    /// What a message says, and where it is. One that was refused is only found where no other has
    /// its id.
    #[must_use]
    pub fn message(&self, id: MessageId) -> Option<(Party, u64, &Arc<Facts>)> {
        let sides = [Party::A, Party::B];
        let admitted = |by: &Party| Some((*by, self.logs[by.slot()].place(id)?));
        let any = |by: &Party| Some((*by, *self.logs[by.slot()].places.get(&id)?));
        let found = sides.iter().find_map(admitted);
        let (by, index) = found.or_else(|| sides.iter().find_map(any))?;
        Some((by, index, self.logs[by.slot()].get(index)?))
    }

    /// A case, folded.
    pub fn folded(&mut self, thread: MessageId) -> Option<&Folded> {
        let case = self.threads.get_mut(&thread)?;
        let has_posted = case.has_posted();
        if has_posted || self.logs.iter().any(|log| !log.refused.is_empty()) {
            if has_posted {
                // What was posted before may have been refused since.
                case.fold_anew();
            }
            let (logs, boards) = (&self.logs, &self.boards);
            case.folded_mut()
                .reconsider(|judged| reconsidered(judged, &logs[judged.by.slot()], boards));
        }
        Some(case.folded())
    }

    /// Gives back the memory of a case's folding; it is folded again when it is asked for.
    pub fn forget(&mut self, thread: MessageId) {
        if let Some(case) = self.threads.get_mut(&thread) {
            case.fold_anew();
        }
    }

    /// How a case stands at an instant.
    pub fn view(&mut self, thread: MessageId, now: Millis) -> Option<ThreadView> {
        self.folded(thread)?;
        let case = self.threads.get_mut(&thread)?;
        Some(case.view(thread, now))
    }

    /// Every case in which a person has said something, in the order of their ids, which is that of
    /// their times.
    #[must_use]
    pub fn threads(&self) -> Vec<MessageId> {
        let threads = self.threads.iter();
        let mut ids: Vec<MessageId> = threads
            .filter(|(_, thread)| thread.has_word_of_a_person())
            .map(|(id, _)| *id)
            .collect();
        ids.sort_unstable();
        ids
    }

    /// Calendars, rosters and gates.
    #[must_use]
    pub fn boards(&self) -> &Boards {
        &self.boards
    }

    /// The messages of one log in order, as far as they can be read; those of the node and those
    /// refused included.
    pub fn log(&self, by: Party) -> impl Iterator<Item = (u64, &Arc<Facts>)> {
        let log = self.logs[by.slot()].entries.iter().zip(0..);
        log.filter_map(|(facts, index)| Some((index, facts.as_ref()?)))
    }

    /// The same from an index on.
    pub fn log_from(&self, by: Party, from: u64) -> impl Iterator<Item = (u64, &Arc<Facts>)> {
        let start = usize::try_from(from).unwrap_or(usize::MAX);
        let entries = &self.logs[by.slot()].entries;
        let log = entries.get(start..).unwrap_or_default();
        let log = log.iter().zip(from..);
        log.filter_map(|(facts, index)| Some((index, facts.as_ref()?)))
    }

    /// What the entry at an index says, if it can be read.
    #[must_use]
    pub fn entry(&self, by: Party, index: u64) -> Option<&Arc<Facts>> {
        self.logs[by.slot()].get(index)
    }

    /// The same, of the first entries of A's and of B's log alone.
    #[must_use]
    pub fn as_of(&self, sizes: [u64; 2]) -> Self {
        let mut book = Self::default();
        for party in [Party::A, Party::B] {
            let size = usize::try_from(sizes[party.slot()]).unwrap_or(usize::MAX);
            for facts in self.logs[party.slot()].entries.iter().take(size) {
                book.take_shared(party, facts.clone());
            }
        }
        book
    }

    /// Everything that follows at an instant.
    pub fn snapshot(&mut self, now: Millis) -> Snapshot {
        let ids = self.threads();
        let view = |id: MessageId| Some((id.to_string(), self.view(id, now)?));
        Snapshot {
            threads: ids.into_iter().filter_map(view).collect(),
            boards: self.boards.view(),
        }
    }
}

/// Kinds that are posted in versions.
pub(super) fn is_posted(kind: Kind) -> bool {
    matches!(kind, Kind::Calendar | Kind::Roster)
}

/// What is thought of a message by what its case does not tell: a version that does not follow the
/// one before is against the rules; and who could not know that an earlier message of its own was
/// refused, and so built on it, is not to blame.
fn reconsidered(judged: &Judged, log: &Log, boards: &Boards) -> Option<Standing> {
    let (index, facts) = (judged.index, &judged.facts);
    let fault = match &judged.standing {
        Standing::Breach(impossible) => Some(impossible.clone()),
        Standing::Applied if is_posted(facts.kind()) => boards.fault(judged.by, index, facts),
        _ => None,
    }?;
    Some(if log.had_unknown_refusal(index, facts.seen_size) {
        Standing::Crossed(fault)
    } else {
        Standing::Breach(fault)
    })
}

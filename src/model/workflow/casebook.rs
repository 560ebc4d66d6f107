//! Both logs of a link, folded as they grow.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::Serialize;

use super::board::{Boards, BoardsView};
use super::folded::Folded;
use super::ledger::Ledger;
use super::thread::{Thread, ThreadView};
use super::{Facts, Impossible, Millis, Party};
use crate::model::MessageId;
use crate::proto::v1::Kind;

/// What follows from both logs of a link, all of it in memory. Each log is taken in its order; how
/// the two interleave changes nothing.
#[derive(Debug, Clone, Default)]
pub struct Casebook {
    threads: HashMap<MessageId, Thread>,
    logs: [Log; 2],
    ledger: Ledger,
}

/// One side's log.
#[derive(Debug, Clone, Default)]
struct Log {
    entries: Vec<Option<Arc<Facts>>>,
    /// Where each message is.
    places: HashMap<MessageId, u64>,
    /// Further places of an id that was used again.
    again: HashMap<MessageId, Vec<u64>>,
}

impl Log {
    fn get(&self, index: u64) -> Option<&Arc<Facts>> {
        let at = usize::try_from(index).ok()?;
        self.entries.get(at)?.as_ref()
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
        self.ledger.size(by)
    }

    /// Takes in the next entry of a log. `None`: an entry that is no message of any sort. Of one that
    /// was not admitted, the header is enough.
    ///
    /// Whoever calls sees to it that a `REFUSAL` names the leaf of the entry that it refuses. One
    /// that does not is handed in as [`super::Said::System`].
    pub fn take(&mut self, by: Party, facts: Option<Facts>) {
        self.take_shared(by, facts.map(Arc::new));
    }

    fn take_shared(&mut self, by: Party, facts: Option<Arc<Facts>>) {
        let index = self.size(by);
        let taken = self.ledger.take(by, facts.as_deref());
        let log = &mut self.logs[by.slot()];
        log.entries.push(facts.clone());
        if let Some(refused) = taken.refuses
            && let Some(of) = self.logs[by.other().slot()].get(refused)
            && let Some(thread) = self.threads.get_mut(&of.thread)
        {
            thread.void(by.other(), refused);
        }
        let Some(facts) = facts.filter(|_| taken.is_of_its_case) else {
            return;
        };
        let log = &mut self.logs[by.slot()];
        if let Some(first) = log.places.insert(facts.id, index) {
            log.places.insert(facts.id, first);
            log.again.entry(facts.id).or_default().push(index);
        }
        let thread = self.threads.entry(facts.thread).or_default();
        thread.take(by, index, facts);
        if taken.is_void {
            thread.void(by, index);
        }
    }

    /// Judges a message that is about to be recorded by a side that knows all that is here.
    ///
    /// # Errors
    /// Why it is not possible as things stand, and what is.
    pub fn judge(&mut self, by: Party, facts: &Facts) -> Result<(), Impossible> {
        let mut none = Thread::default();
        let case = self.threads.get_mut(&facts.thread).unwrap_or(&mut none);
        self.ledger.judge(by, facts, case)
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
        let admitted = |by: &Party| Some((*by, self.place(*by, id)?));
        let any = |by: &Party| Some((*by, *self.logs[by.slot()].places.get(&id)?));
        let found = sides.iter().find_map(admitted);
        let (by, index) = found.or_else(|| sides.iter().find_map(any))?;
        Some((by, index, self.logs[by.slot()].get(index)?))
    }

    /// The first message of that id that the other side has admitted.
    fn place(&self, by: Party, id: MessageId) -> Option<u64> {
        let log = &self.logs[by.slot()];
        let again = log.again.get(&id).into_iter().flatten();
        let mut places = log.places.get(&id).into_iter().chain(again);
        places
            .find(|index| !self.ledger.is_void(by, **index))
            .copied()
    }

    /// A case, folded.
    pub fn folded(&mut self, thread: MessageId) -> Option<&Folded> {
        let case = self.threads.get_mut(&thread)?;
        Some(self.ledger.fold(case))
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
        self.ledger.boards()
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
            boards: self.ledger.boards().view(),
        }
    }
}

/// Kinds that are posted in versions.
pub(super) fn is_posted(kind: Kind) -> bool {
    matches!(kind, Kind::Calendar | Kind::Roster)
}

//! Both logs of a link, folded as they grow.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::Serialize;

use super::board::{Boards, BoardsView};
use super::thread::{Folded, Thread, ThreadView};
use super::{Facts, Impossible, Millis, Party, Said};
use crate::model::MessageId;

/// What follows from both logs of a link. Each log is taken in its order; how the two interleave
/// changes nothing.
#[derive(Debug, Clone, Default)]
pub struct Casebook {
    threads: HashMap<MessageId, Thread>,
    /// Where each message is: whose log, index, case.
    places: HashMap<MessageId, (Party, u64, MessageId)>,
    /// The case of each index of each log, to find what a refusal means; and every message's facts.
    logs: [Vec<Option<Arc<Facts>>>; 2],
    /// Refusals of entries that are not here yet.
    refused_ahead: [Vec<u64>; 2],
    boards: Boards,
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
        self.logs[by.slot()].len() as u64
    }

    /// Takes in the next entry of a log. `None`: an entry that was not admitted and cannot be read.
    pub fn take(&mut self, by: Party, facts: Option<Facts>) {
        let index = self.size(by);
        let Some(facts) = facts else {
            self.logs[by.slot()].push(None);
            return;
        };
        let facts = Arc::new(facts);
        self.logs[by.slot()].push(Some(Arc::clone(&facts)));
        if let Said::Refusal { index } = facts.said {
            self.void(by.other(), index);
            return;
        }
        self.places
            .entry(facts.id)
            .or_insert((by, index, facts.thread));
        let thread = self.threads.entry(facts.thread).or_default();
        thread.take(by, index, Arc::clone(&facts));
        self.boards.take(by, index, &facts);
        if facts.said == Said::Withdrawal
            && let Some(withdrawn) = facts.supersedes
            && let Some((whose, at, _)) = self.places.get(&withdrawn)
            && *whose == by
        {
            self.boards.withdraw(by, *at, index);
        }
        if self.refused_ahead[by.slot()].contains(&index) {
            self.void(by, index);
        }
    }

    /// The other side did not admit an entry.
    fn void(&mut self, by: Party, index: u64) {
        let facts = usize::try_from(index)
            .ok()
            .and_then(|index| self.logs[by.slot()].get(index).cloned());
        match facts {
            Some(Some(facts)) => {
                if let Some(thread) = self.threads.get_mut(&facts.thread) {
                    thread.void(by, index);
                }
                self.boards.void(by, index);
            }
            Some(None) => {}
            None => self.refused_ahead[by.slot()].push(index),
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
        self.places.get(&message).map(|(_, _, thread)| *thread)
    }

    /// What a message says, and where it is.
    #[must_use]
    pub fn message(&self, id: MessageId) -> Option<(Party, u64, &Arc<Facts>)> {
        let (by, index, _) = self.places.get(&id)?;
        let at = usize::try_from(*index).ok()?;
        let facts = self.logs[by.slot()].get(at)?.as_ref()?;
        Some((*by, *index, facts))
    }

    /// A case, folded.
    pub fn folded(&mut self, thread: MessageId) -> Option<&Folded> {
        self.threads.get_mut(&thread).map(Thread::folded)
    }

    /// How a case stands at an instant.
    pub fn view(&mut self, thread: MessageId, now: Millis) -> Option<ThreadView> {
        let case = self.threads.get_mut(&thread)?;
        Some(case.view(thread, now))
    }

    /// Every case, in the order of their ids, which is that of their times.
    #[must_use]
    pub fn threads(&self) -> Vec<MessageId> {
        let mut ids: Vec<MessageId> = self.threads.keys().copied().collect();
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
        let log = self.logs[by.slot()].iter().zip(0..);
        log.filter_map(|(facts, index)| Some((index, facts.as_ref()?)))
    }

    /// The same from an index on.
    pub fn log_from(&self, by: Party, from: u64) -> impl Iterator<Item = (u64, &Arc<Facts>)> {
        let start = usize::try_from(from).unwrap_or(usize::MAX);
        let log = self.logs[by.slot()].get(start..).unwrap_or_default();
        let log = log.iter().zip(from..);
        log.filter_map(|(facts, index)| Some((index, facts.as_ref()?)))
    }

    /// What the entry at an index says, if it can be read.
    #[must_use]
    pub fn entry(&self, by: Party, index: u64) -> Option<&Arc<Facts>> {
        let index = usize::try_from(index).ok()?;
        self.logs[by.slot()].get(index)?.as_ref()
    }

    /// The same, of the first entries of A's and of B's log alone.
    #[must_use]
    pub fn as_of(&self, sizes: [u64; 2]) -> Self {
        let mut book = Self::default();
        for party in [Party::A, Party::B] {
            let size = usize::try_from(sizes[party.slot()]).unwrap_or(usize::MAX);
            for facts in self.logs[party.slot()].iter().take(size) {
                book.take(party, facts.as_deref().cloned());
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

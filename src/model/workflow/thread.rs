//! A case: its messages in the order that both sides find.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;

use super::casebook::is_posted;
use super::folded::{Folded, Ordered};
use super::matter::MatterView;
use super::order::{self, Place};
use super::{Facts, Impossible, Millis, Party, Standing};
use crate::limits::CASE_MESSAGES_MAX;
use crate::model::MessageId;
#[cfg(doc)]
use crate::proto::v1::Kind;

/// Messages among which an id is found sooner by looking at each.
const FEW: usize = 32;

/// One message of a case.
#[derive(Debug, Clone)]
struct Item {
    index: u64,
    /// The other side did not admit it: it is no message there, and so none here.
    is_void: bool,
    facts: Arc<Facts>,
}

/// A case, as far as its messages are here.
///
/// Of each side the first [`CASE_MESSAGES_MAX`] messages count; what follows them has no effect.
#[derive(Debug, Clone, Default)]
pub struct Thread {
    items: Items,
    folded: Option<Folded>,
    has_posted: bool,
}

/// The messages of both sides, each in the order of its log.
#[derive(Debug, Clone, Default)]
pub(super) struct Items {
    of: [Vec<Item>; 2],
    /// How many of them are not void.
    valid: [usize; 2],
}

/// How a case stands at an instant; the same on both sides that hold the same messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ThreadView {
    /// The id of its first message.
    pub id: String,
    /// Messages in order: whose, index, id and standing; at the end those beyond the limit, of A
    /// and then of B.
    pub messages: Vec<MessageView>,
    /// What it is about.
    pub matters: Vec<MatterView>,
    /// Something is still to be done.
    pub is_open: bool,
}

/// A message of a [`ThreadView`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MessageView {
    /// Whose.
    pub by: Party,
    /// Where in that side's log.
    pub index: u64,
    /// Its id.
    pub id: String,
    /// [`Kind`] or the number of a newer one.
    pub kind: i32,
    /// What became of it.
    pub standing: Standing,
}

impl Thread {
    /// Takes in a message. Taking it again changes nothing.
    pub fn take(&mut self, by: Party, index: u64, facts: Arc<Facts>) {
        let items = &mut self.items.of[by.slot()];
        let Err(at) = items.binary_search_by_key(&index, |item| item.index) else {
            return;
        };
        let is_next = at == items.len();
        self.has_posted |= is_posted(facts.kind());
        let item = Item {
            index,
            is_void: false,
            facts: Arc::clone(&facts),
        };
        items.insert(at, item);
        self.items.valid[by.slot()] += 1;
        // What comes last in the order only adds to what was folded. All else is folded anew when
        // somebody asks.
        let Some(mut folded) = self.folded.take().filter(|_| is_next) else {
            return;
        };
        if self.items.valid[by.slot()] > CASE_MESSAGES_MAX {
            folded.push_beyond(by, index, facts);
        } else if let Some(last) = folded.at_end(by, index, &facts) {
            folded.step(&last, &self.items);
        } else {
            return;
        }
        self.folded = Some(folded);
    }

    /// The other side did not admit the message at this index.
    pub fn void(&mut self, by: Party, index: u64) {
        let items = &mut self.items.of[by.slot()];
        if let Ok(at) = items.binary_search_by_key(&index, |item| item.index)
            && !items[at].is_void
        {
            items[at].is_void = true;
            self.items.valid[by.slot()] -= 1;
            self.folded = None;
        }
    }

    /// The case as its messages leave it.
    pub fn folded(&mut self) -> &Folded {
        self.folded_mut()
    }

    pub(super) fn folded_mut(&mut self) -> &mut Folded {
        let items = &self.items;
        self.folded.get_or_insert_with(|| Folded::of(items))
    }

    /// Whether something in it stands on a board as well.
    pub(super) fn has_posted(&self) -> bool {
        self.has_posted
    }

    /// Forgets what was folded.
    pub(super) fn fold_anew(&mut self) {
        self.folded = None;
    }

    /// Judges a message that is about to be recorded by a side which knows all that is here.
    ///
    /// # Errors
    /// Why it is not possible as things stand.
    pub fn judge(&mut self, by: Party, facts: &Facts) -> Result<(), Impossible> {
        let is_full = self.items.valid[by.slot()] >= CASE_MESSAGES_MAX;
        if is_full {
            return Err(Folded::is_full());
        }
        self.folded().judge(by, facts)
    }

    /// How it stands at an instant.
    pub fn view(&mut self, id: MessageId, now: Millis) -> ThreadView {
        let folded = self.folded();
        let matters: Vec<MatterView> = folded.matters.iter().map(|m| m.view(now)).collect();
        ThreadView {
            id: id.to_string(),
            messages: folded
                .all_messages()
                .map(|judged| MessageView {
                    by: judged.by,
                    index: judged.index,
                    id: judged.facts.id.to_string(),
                    kind: judged.facts.kind,
                    standing: judged.standing.clone(),
                })
                .collect(),
            is_open: matters.iter().any(|matter| matter.is_open),
            matters,
        }
    }

    /// How many messages it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.of.iter().map(Vec::len).sum()
    }

    /// How many of them are of one side.
    #[must_use]
    pub fn len_of(&self, by: Party) -> usize {
        self.items.of[by.slot()].len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a person has said something in it that the other side admitted.
    #[must_use]
    pub fn has_word_of_a_person(&self) -> bool {
        let mut items = self.items.of.iter().flatten();
        items.any(|item| !item.is_void && !item.facts.is_of_the_node())
    }
}

impl Items {
    /// Those that count.
    fn counted(&self, by: Party) -> impl Iterator<Item = &Item> {
        let items = self.of[by.slot()].iter().filter(|item| !item.is_void);
        items.take(CASE_MESSAGES_MAX)
    }

    /// Those that count, in order; and whether claims exclude each other.
    pub(super) fn in_order(&self) -> (Vec<Ordered>, bool) {
        in_order(&[Party::A, Party::B].map(|by| self.counted(by).collect()))
    }

    /// What the author of a message had before it when it signed it, in its order.
    pub(super) fn known_to(&self, message: &Ordered) -> Vec<Ordered> {
        let known = |by: Party| {
            let until = if by == message.by {
                message.index
            } else {
                message.seen
            };
            let items = self.counted(by).take_while(|item| item.index < until);
            items.collect()
        };
        in_order(&[Party::A, Party::B].map(known)).0
    }

    /// Those that are beyond the limit.
    pub(super) fn beyond(&self, by: Party) -> impl Iterator<Item = (u64, &Arc<Facts>)> {
        let items = self.of[by.slot()].iter().filter(|item| !item.is_void);
        let beyond = items.skip(CASE_MESSAGES_MAX);
        beyond.map(|item| (item.index, &item.facts))
    }
}

/// Puts messages of both sides into the order that both find.
fn in_order(items: &[Vec<&Item>; 2]) -> (Vec<Ordered>, bool) {
    let found: [Option<HashMap<MessageId, u64>>; 2] = [0, 1].map(|slot| {
        let items: &Vec<&Item> = &items[slot];
        // The first of an id counts.
        let ids = items.iter().rev().map(|item| (item.facts.id, item.index));
        (items.len() > FEW).then(|| ids.collect())
    });
    let find = |by: Party, id: MessageId| -> Option<u64> {
        if let Some(found) = &found[by.slot()] {
            return found.get(&id).copied();
        }
        let mut items = items[by.slot()].iter();
        items
            .find(|item| item.facts.id == id)
            .map(|item| item.index)
    };
    let places = |by: Party| -> Vec<Place> {
        let items = items[by.slot()].iter();
        items
            .map(|item| place(item.index, &item.facts, |id| find(by.other(), id)))
            .collect()
    };
    let merged = order::merge(&places(Party::A), &places(Party::B));
    let mut seen = [0; 2];
    let ordered = merged.order.into_iter().map(|(by, at)| {
        let item = items[by.slot()][at];
        let seen = &mut seen[by.slot()];
        *seen = seen_after(*seen, &item.facts);
        Ordered {
            by,
            index: item.index,
            seen: *seen,
            facts: Arc::clone(&item.facts),
        }
    });
    (ordered.collect(), merged.is_forced)
}

/// What the order needs to know of a message; `find` is where a message of the other side is.
pub(super) fn place(index: u64, facts: &Facts, find: impl Fn(MessageId) -> Option<u64>) -> Place {
    // Whoever speaks in a case knows the message that began it.
    let named = [facts.in_reply_to, Some(facts.thread)];
    let proven = named.into_iter().flatten().filter_map(find).max();
    let proven = proven.map_or(0, |index| index + 1);
    Place {
        index,
        knows: proven.max(facts.seen_size),
        proven,
    }
}

/// What a side has seen of the other when it says this, if it had seen so much before. A node says
/// what it says by itself beside that.
pub(super) fn seen_after(before: u64, facts: &Facts) -> u64 {
    if facts.is_of_the_node() {
        before
    } else {
        before.max(facts.seen_size)
    }
}

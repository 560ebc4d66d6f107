//! What of both logs matters beyond single cases: how far they were taken in, what was refused, what
//! is on boards.
//!
//! With this and the messages of one case that case is folded, wherever its messages were kept
//! meanwhile: [`super::Casebook`] holds all of them, the node keeps those of settled cases on disk.

use super::board::Boards;
use super::casebook::is_posted;
use super::folded::{Folded, Judged};
use super::{Facts, Impossible, Party, Said, Standing, Thread};

/// What of both logs matters beyond single cases. Each log is taken in its order; how the two
/// interleave changes nothing.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    sides: [Side; 2],
    boards: Boards,
}

/// One side's log.
#[derive(Debug, Clone, Default)]
struct Side {
    size: u64,
    /// What a person of this side has seen of the other log at most.
    seen: u64,
    /// Entries that the other side did not admit, and the index of its refusal; both grow.
    refused: Vec<(u64, u64)>,
}

/// What an entry does beyond its own case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Taken {
    /// It is a message of its case.
    pub is_of_its_case: bool,
    /// The other side did not admit it.
    pub is_void: bool,
    /// The entry of the other log that is void from now on.
    pub refuses: Option<u64>,
    /// It is on a board, or takes something off it: see [`Ledger::restore`].
    pub is_on_board: bool,
}

/// A ledger but for its boards, as it is kept. Of A and of B.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Parts {
    /// Entries taken in.
    pub sizes: [u64; 2],
    /// What a person of that side has seen of the other log at most.
    pub seen: [u64; 2],
    /// Entries that the other side did not admit, and the index of its refusal, in order.
    pub refused: [Vec<(u64, u64)>; 2],
}

impl Side {
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
}

impl Ledger {
    /// A ledger as it was, from its parts and from the messages of which [`Taken::is_on_board`] was
    /// told, each log's in its order.
    #[must_use]
    pub fn restore(parts: Parts, on_boards: impl IntoIterator<Item = (Party, u64, Facts)>) -> Self {
        let mut ledger = Self::default();
        for (by, index, facts) in on_boards {
            ledger.boards.take(by, index, &facts);
        }
        let Parts {
            sizes,
            seen,
            refused,
        } = parts;
        for (by, refused) in [Party::A, Party::B].into_iter().zip(refused) {
            for (index, _) in &refused {
                ledger.boards.void(by, *index);
            }
            ledger.sides[by.slot()] = Side {
                size: sizes[by.slot()],
                seen: seen[by.slot()],
                refused,
            };
        }
        ledger
    }

    /// How many entries of a log were taken in.
    #[must_use]
    pub fn size(&self, by: Party) -> u64 {
        self.sides[by.slot()].size
    }

    /// What a person of a side has seen of the other log at most.
    #[must_use]
    pub fn seen(&self, by: Party) -> u64 {
        self.sides[by.slot()].seen
    }

    /// The index of the refusal of an entry that the other side did not admit.
    #[must_use]
    pub fn refusal_of(&self, by: Party, index: u64) -> Option<u64> {
        let refused = &self.sides[by.slot()].refused;
        let at = refused.binary_search_by_key(&index, |(entry, _)| *entry);
        at.ok().map(|at| refused[at].1)
    }

    /// Whether the other side did not admit an entry.
    #[must_use]
    pub fn is_void(&self, by: Party, index: u64) -> bool {
        self.sides[by.slot()].is_void(index)
    }

    /// Calendars, rosters and gates.
    #[must_use]
    pub fn boards(&self) -> &Boards {
        &self.boards
    }

    /// Takes in the next entry of a log. `None`: an entry that is no message of any sort.
    pub fn take(&mut self, by: Party, facts: Option<&Facts>) -> Taken {
        let side = &mut self.sides[by.slot()];
        let index = side.size;
        side.size += 1;
        let Some(facts) = facts else {
            return Taken::default();
        };
        if let Said::Refusal { index: refused } = facts.said {
            return Taken {
                refuses: self.refuse(by.other(), refused, index).then_some(refused),
                ..Taken::default()
            };
        }
        if !facts.is_of_the_node() {
            side.seen = side.seen.max(facts.seen_size);
        }
        let is_void = side.is_void(index);
        let is_on_board = self.boards.take(by, index, facts);
        if is_void {
            self.boards.void(by, index);
        }
        Taken {
            is_of_its_case: true,
            is_void,
            refuses: None,
            is_on_board,
        }
    }

    /// The other side did not admit an entry; says whether that counts.
    ///
    /// An honest node refuses an entry in the moment in which it mirrors it. What a person there
    /// has seen already was not refused then, and is not taken away later; and no entry is refused
    /// after a later one.
    fn refuse(&mut self, author: Party, index: u64, refusal: u64) -> bool {
        let is_late = index < self.sides[author.other().slot()].seen;
        let side = &mut self.sides[author.slot()];
        if is_late || side.refused.last().is_some_and(|(last, _)| *last >= index) {
            return false;
        }
        side.refused.push((index, refusal));
        self.boards.void(author, index);
        true
    }

    /// Judges a message that is about to be recorded by a side that knows all that is here, and the
    /// messages of its case.
    ///
    /// # Errors
    /// Why it is not possible as things stand, and what is.
    pub fn judge(&self, by: Party, facts: &Facts, case: &mut Thread) -> Result<(), Impossible> {
        self.boards.judge(by, facts)?;
        if case.is_empty() && !facts.is_first() {
            return Err(Impossible {
                state: "no such case".to_owned(),
                reason: "no message of that case is here; leave threadId out to begin one"
                    .to_owned(),
                allowed: Vec::new(),
            });
        }
        case.judge(by, facts)
    }

    /// A case, folded.
    pub fn fold<'a>(&self, case: &'a mut Thread) -> &'a Folded {
        let has_posted = case.has_posted();
        if has_posted || self.sides.iter().any(|side| !side.refused.is_empty()) {
            if has_posted {
                // What was posted before may have been refused since.
                case.fold_anew();
            }
            case.folded_mut()
                .reconsider(|judged| self.reconsidered(judged));
        }
        case.folded()
    }

    /// What is thought of a message by what its case does not tell: a version that does not follow
    /// the one before is against the rules; and who could not know that an earlier message of its
    /// own was refused, and so built on it, is not to blame.
    fn reconsidered(&self, judged: &Judged) -> Option<Standing> {
        let (index, facts) = (judged.index, &judged.facts);
        let fault = match &judged.standing {
            Standing::Breach(impossible) => Some(impossible.clone()),
            Standing::Applied if is_posted(facts.kind()) => {
                self.boards.fault(judged.by, index, facts)
            }
            _ => None,
        }?;
        let side = &self.sides[judged.by.slot()];
        Some(if side.had_unknown_refusal(index, facts.seen_size) {
            Standing::Crossed(fault)
        } else {
            Standing::Breach(fault)
        })
    }
}

//! The figures of a period, computed from what both logs say and from nothing else.
//!
//! ```text
//! both logs, up to given sizes ─▶ mod.rs       a case at a time, what counts in it
//!                               ─▶ count.rs     what is counted: letters, calls, meetings, cases …
//!                               ─▶ handover.rs  persons asked for, and handed over
//!                               ─▶ answers.rs   how long answers took, and how many were in time
//!                               ─▶ tally.rs     figures, each with the messages that make it up
//! catalogue.rs  every figure: name, unit, labels
//! compare.rs    a period report against what is counted here
//! ```
//!
//! # What counts
//!
//! A message counts if it took effect in its case, is ACTUAL, and was neither refused by the other
//! node nor withdrawn nor superseded by its author, within the sizes counted. Exercises and tests
//! are counted in one figure of their own.
//!
//! # When it counts
//!
//! Every time is one that a side has signed: of an event the time in the body (a call began, a
//! meeting began, persons were handed over), else the header's `created_at`. Neither the receipt
//! nor the clock of the node that computes has a part in it. So both sides find the same figures
//! in the same entries.

mod answers;
pub mod catalogue;
pub mod compare;
mod count;
mod handover;
mod months;
mod tally;

use std::collections::{HashMap, HashSet};

use super::{MessageId, NodeName};
use crate::model::workflow::{Casebook, Matter, Millis, Party, Said, Standing};
use crate::model::workflow::{Folded, Judged, Published};
use crate::proto::v1::Status;

pub use catalogue::{Definition, Group, Label, Unit};
pub use months::parse_zone;
pub use tally::{Entry, Figure, Value};

use tally::Tally;

/// A time from an instant on, up to another that is not part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// From here on.
    pub from: Millis,
    /// Up to here, itself not included.
    pub to: Millis,
}

impl Period {
    /// Whether an instant lies in it.
    #[must_use]
    pub fn has(self, at: Millis) -> bool {
        (self.from..self.to).contains(&at)
    }

    /// Whether something that lasted up to an instant ended in it: a month that ends as the
    /// period does is part of it.
    #[must_use]
    pub fn has_end(self, end: Millis) -> bool {
        self.has(end.saturating_sub(1))
    }
}

/// Whose a figure is. Sides are those of [`Party`], the same at both nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Whose {
    /// Of one side.
    Side(Party),
    /// Of both together.
    Both,
}

/// The figures of a period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Node names of A and B.
    pub sides: [NodeName; 2],
    /// The period.
    pub period: Period,
    /// Entries counted of the log of A and of B.
    pub sizes: [u64; 2],
    /// Every figure of [`catalogue::all`], in its order; where one is of a side, of A, of B and, if
    /// they add up, of both.
    pub figures: Vec<Figure>,
}

impl Report {
    /// Computes every figure from the messages in `book`, which holds both logs as far as they are
    /// counted. `calendars` are those that A and B have published in it.
    #[must_use]
    pub fn compute(
        book: &mut Casebook,
        sides: [NodeName; 2],
        period: Period,
        calendars: &[Vec<Published>; 2],
    ) -> Self {
        let mut count = Count::new(period, calendars);
        for id in book.threads() {
            if let Some(folded) = book.folded(id) {
                count.add(folded);
            }
        }
        count.finish(sides, [Party::A, Party::B].map(|party| book.size(party)))
    }

    /// A figure by name and side.
    #[must_use]
    pub fn figure(&self, name: &str, whose: Whose) -> Option<&Figure> {
        let mut figures = self.figures.iter();
        figures.find(|figure| figure.definition.name == name && figure.whose == whose)
    }

    /// Node name of the side whose a figure is; empty for one of both.
    #[must_use]
    pub fn side_name(&self, whose: Whose) -> &str {
        match whose {
            Whose::Side(party) => self.node_of(party).as_str(),
            Whose::Both => "",
        }
    }

    /// Node name of a side.
    #[must_use]
    pub fn node_of(&self, party: Party) -> &NodeName {
        let [a, b] = &self.sides;
        match party {
            Party::A => a,
            Party::B => b,
        }
    }
}

/// Figures of a period while they are counted, a case at a time.
#[derive(Debug)]
pub struct Count<'a> {
    tally: Tally,
    period: Period,
    calendars: &'a [Vec<Published>; 2],
}

impl<'a> Count<'a> {
    /// Nothing yet. `calendars` are those that A and B have published as far as is counted.
    #[must_use]
    pub fn new(period: Period, calendars: &'a [Vec<Published>; 2]) -> Self {
        Self {
            tally: Tally::default(),
            period,
            calendars,
        }
    }

    /// Counts a case in which a person has said something.
    pub fn add(&mut self, folded: &Folded) {
        let case = Case::of(folded);
        count::count(&case, self.period, &mut self.tally);
        handover::count(&case, self.period, &mut self.tally);
        answers::measure(&case, self.period, self.calendars, &mut self.tally);
    }

    /// Every figure, from so many entries of the log of A and of B.
    #[must_use]
    pub fn finish(self, sides: [NodeName; 2], sizes: [u64; 2]) -> Report {
        Report {
            figures: self.tally.figures(),
            sizes,
            sides,
            period: self.period,
        }
    }
}

/// A case, as far as it counts.
struct Case<'a> {
    folded: &'a Folded,
    /// Withdrawn or superseded.
    gone: HashSet<MessageId>,
    /// What the other side answered to a message, in order; what is gone left out.
    answers: HashMap<MessageId, Vec<&'a Judged>>,
}

impl<'a> Case<'a> {
    fn of(folded: &'a Folded) -> Self {
        let applied = || folded.messages.iter().filter(|judged| is_applied(judged));
        let gone = applied().filter_map(|judged| judged.facts.supersedes);
        let mut case = Self {
            folded,
            gone: gone.collect(),
            answers: HashMap::new(),
        };
        for judged in applied() {
            let is_gone = case.gone.contains(&judged.facts.id);
            if let Some(answered) = judged.facts.in_reply_to
                && !is_gone
                && folded
                    .message(answered)
                    .is_some_and(|of| of.by != judged.by)
            {
                case.answers.entry(answered).or_default().push(judged);
            }
        }
        case
    }

    /// The messages that count.
    fn live(&self) -> impl Iterator<Item = &'a Judged> {
        let messages = self.folded.messages.iter();
        messages.filter(|judged| {
            is_applied(judged) && is_actual(judged) && !self.gone.contains(&judged.facts.id)
        })
    }

    /// The other side's answers to a message.
    fn answers(&self, judged: &Judged) -> impl Iterator<Item = &'a Judged> {
        let answers = self.answers.get(&judged.facts.id);
        answers.into_iter().flatten().copied()
    }

    /// The matter that a message opened.
    fn opened_by(&self, judged: &Judged) -> Option<&'a Matter> {
        let id = judged.facts.id;
        self.folded
            .matters_of(id)
            .find(|matter| matter.opening() == id)
    }

    /// Whether a message belongs to a matter.
    fn is_of(&self, judged: &Judged, matter: &Matter) -> bool {
        let mut matters = self.folded.matters_of(judged.facts.id);
        matters.any(|of| of.opening() == matter.opening())
    }
}

fn is_applied(judged: &Judged) -> bool {
    judged.standing == Standing::Applied && !matches!(judged.facts.said, Said::System)
}

fn is_actual(judged: &Judged) -> bool {
    judged.facts.status == Status::Actual as i32
}

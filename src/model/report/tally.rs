//! Figures, each with the messages that make it up.

use std::collections::BTreeMap;

use super::catalogue::{self, Definition, Sides};
use super::{Period, Whose};
use crate::model::MessageId;
use crate::model::workflow::Judged;
use crate::model::workflow::{Millis, Party};

/// What a figure comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// This, in the unit of its definition.
    Known(i64),
    /// There is nothing to measure it by: no answer was given, none was due.
    None,
    /// It cannot be told, and why.
    NotComputable(String),
}

impl Value {
    /// The number, if there is one.
    #[must_use]
    pub fn known(&self) -> Option<i64> {
        match self {
            Self::Known(value) => Some(*value),
            Self::None | Self::NotComputable(_) => None,
        }
    }
}

/// A message that is part of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Whose log it is in.
    pub by: Party,
    /// Its index there.
    pub index: u64,
    /// Its id.
    pub id: MessageId,
    /// The time by which it counts.
    pub at: Millis,
    /// What it adds, or what was measured on it.
    pub amount: i64,
}

impl Entry {
    /// A message by its place, at a time.
    pub(super) fn of(judged: &Judged, at: Millis, amount: i64) -> Self {
        Self {
            by: judged.by,
            index: judged.index,
            id: judged.facts.id,
            at,
            amount,
        }
    }
}

/// One figure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figure {
    /// What it is.
    pub definition: &'static Definition,
    /// Whose it is.
    pub whose: Whose,
    /// What it comes to.
    pub value: Value,
    /// What is counted: the messages that add up to it. A median or percentile: the message it was
    /// measured on. A share: the messages that were not in time.
    pub made_of: Vec<Entry>,
}

/// Something that was to be answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measured {
    /// The message that asked.
    pub(super) asked: Entry,
    /// How long the answer took, in the measure's unit; `None` without an answer.
    pub(super) took: Option<i64>,
    /// Whether it was in time; `None` if no time was set, or it has not run out yet.
    pub(super) in_time: Option<bool>,
}

/// What is measured, by the names of its figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Measure {
    LetterReply,
    VerificationReply,
    Acknowledgement,
}

impl Measure {
    /// Names of: answers, median, 90th percentile, due, in time, share in time.
    fn names(self) -> [&'static str; 6] {
        match self {
            Self::LetterReply => [
                "letters.replied",
                "letters.reply-time.median",
                "letters.reply-time.p90",
                "letters.reply-due",
                "letters.on-time",
                "letters.on-time.share",
            ],
            Self::VerificationReply => [
                "verification.replied",
                "verification.reply-days.median",
                "verification.reply-days.p90",
                "verification.reply-due",
                "verification.on-time",
                "verification.on-time.share",
            ],
            Self::Acknowledgement => [
                "acknowledgement.given",
                "acknowledgement.time.median",
                "acknowledgement.time.p90",
                "acknowledgement.due",
                "acknowledgement.on-time",
                "acknowledgement.on-time.share",
            ],
        }
    }
}

/// What has been counted and measured so far.
#[derive(Debug, Default)]
pub(super) struct Tally {
    counted: BTreeMap<(String, Whose), Vec<Entry>>,
    measured: BTreeMap<(Measure, Party), Vec<Measured>>,
    failed: BTreeMap<(Measure, Party), String>,
}

impl Tally {
    /// Counts a message for a side, if it lies in the period.
    pub(super) fn add(&mut self, period: Period, name: &str, party: Party, entry: Entry) {
        self.add_whose(period, name, Whose::Side(party), entry);
    }

    /// Counts a message for both sides, if it lies in the period.
    pub(super) fn add_both(&mut self, period: Period, name: &str, entry: Entry) {
        self.add_whose(period, name, Whose::Both, entry);
    }

    fn add_whose(&mut self, period: Period, name: &str, whose: Whose, entry: Entry) {
        debug_assert!(catalogue::find(name).is_some(), "{name} is in no catalogue");
        if period.has(entry.at) {
            let key = (name.to_owned(), whose);
            self.counted.entry(key).or_default().push(entry);
        }
    }

    /// Notes how a side has answered.
    pub(super) fn measure(&mut self, measure: Measure, party: Party, measured: Measured) {
        let key = (measure, party);
        self.measured.entry(key).or_default().push(measured);
    }

    /// What a side's answers are measured by is missing.
    pub(super) fn fail(&mut self, measure: Measure, party: Party, reason: String) {
        self.failed.entry((measure, party)).or_insert(reason);
    }

    /// Every figure, in the order of the catalogue.
    pub(super) fn figures(mut self) -> Vec<Figure> {
        self.finish_measures();
        let mut figures = Vec::new();
        for definition in catalogue::all() {
            let of_sides = [Party::A, Party::B].map(Whose::Side);
            let own: &[Whose] = match definition.sides {
                Sides::Both => &[Whose::Both],
                Sides::Each | Sides::EachAndSum => &of_sides,
            };
            for whose in own {
                figures.push(self.figure(definition, *whose));
            }
            if definition.sides == Sides::EachAndSum {
                let both = figures[figures.len() - 2..].to_vec();
                figures.push(sum(definition, &both));
            }
        }
        figures
    }

    fn figure(&mut self, definition: &'static Definition, whose: Whose) -> Figure {
        let key = (definition.name.clone(), whose);
        let made_of = self.counted.remove(&key).unwrap_or_default();
        Figure {
            definition,
            whose,
            value: Value::Known(total(&made_of)),
            made_of,
        }
        .measured(self, whose)
    }

    /// What can be counted of the measures is counted; a share and a median are drawn up later.
    fn finish_measures(&mut self) {
        for ((measure, party), list) in &mut self.measured {
            list.sort_by_key(|m| (m.took, m.asked.at, m.asked.index));
            let names = measure.names();
            let mut add = |name: &str, entry: Entry| {
                let key = (name.to_owned(), Whose::Side(*party));
                let entry = Entry { amount: 1, ..entry };
                self.counted.entry(key).or_default().push(entry);
            };
            for measured in list.iter() {
                if measured.took.is_some() {
                    add(names[0], measured.asked);
                }
                if measured.in_time.is_some() {
                    add(names[3], measured.asked);
                }
                if measured.in_time == Some(true) {
                    add(names[4], measured.asked);
                }
            }
        }
        for entries in self.counted.values_mut() {
            entries.sort_by_key(|entry| (entry.by, entry.index));
        }
    }
}

impl Figure {
    /// The same with what was measured, if it is a figure of a measure.
    fn measured(mut self, tally: &Tally, whose: Whose) -> Self {
        let Whose::Side(party) = whose else {
            return self;
        };
        let measures = [
            Measure::LetterReply,
            Measure::VerificationReply,
            Measure::Acknowledgement,
        ];
        let name = self.definition.name.as_str();
        let found = measures.into_iter().find_map(|measure| {
            let at = measure.names().iter().position(|own| *own == name)?;
            Some((measure, at))
        });
        let Some((measure, at)) = found else {
            return self;
        };
        if at > 0
            && let Some(reason) = tally.failed.get(&(measure, party))
        {
            self.value = Value::NotComputable(reason.clone());
            self.made_of.clear();
            return self;
        }
        let list = tally.measured.get(&(measure, party));
        let list = list.map_or(&[][..], Vec::as_slice);
        match at {
            1 => self.percentile(list, 50),
            2 => self.percentile(list, 90),
            5 => self.share(list),
            _ => {}
        }
        self
    }

    /// Nearest rank: the least value that so many percent of all do not exceed.
    fn percentile(&mut self, list: &[Measured], percent: usize) {
        let taken: Vec<Entry> = list
            .iter()
            .filter_map(|m| m.took.map(|amount| Entry { amount, ..m.asked }))
            .collect();
        let rank = (taken.len() * percent).div_ceil(100);
        match rank.checked_sub(1).and_then(|at| taken.get(at)) {
            Some(entry) => {
                self.value = Value::Known(entry.amount);
                self.made_of = vec![*entry];
            }
            None => self.value = Value::None,
        }
    }

    /// Of what was due, in thousandths, rounded down: nothing late is rounded away.
    fn share(&mut self, list: &[Measured]) {
        let due: Vec<&Measured> = list.iter().filter(|m| m.in_time.is_some()).collect();
        let late: Vec<Entry> = due
            .iter()
            .filter(|m| m.in_time == Some(false))
            .map(|m| Entry {
                amount: 1,
                ..m.asked
            })
            .collect();
        let of = due.len();
        let in_time = of - late.len();
        self.value = match (in_time * 1_000).checked_div(of) {
            Some(share) => Value::Known(i64::try_from(share).unwrap_or(i64::MAX)),
            None => Value::None,
        };
        self.made_of = late;
        self.made_of.sort_by_key(|entry| (entry.by, entry.index));
    }
}

fn total(entries: &[Entry]) -> i64 {
    let amounts = entries.iter().map(|entry| entry.amount);
    amounts.fold(0, i64::saturating_add)
}

/// The figure of both sides that those of each add up to.
fn sum(definition: &'static Definition, sides: &[Figure]) -> Figure {
    let mut both = Figure {
        definition,
        whose: Whose::Both,
        value: Value::Known(0),
        made_of: Vec::new(),
    };
    for figure in sides {
        both.value = match (both.value, &figure.value) {
            (Value::Known(a), Value::Known(b)) => Value::Known(a.saturating_add(*b)),
            (Value::Known(_), other) => other.clone(),
            (other, _) => other,
        };
        both.made_of.extend_from_slice(&figure.made_of);
    }
    if both.value.known().is_none() {
        both.made_of.clear();
    }
    both
}

//! A period report against what is counted here.

use std::collections::BTreeMap;

use super::catalogue::find;
use super::tally::{Entry, Value};
use super::{Report, Whose};
use crate::model::workflow::Party;
use crate::proto::v1;

/// The figures that every report carries, even if they are zero: so that it carries some.
const ALWAYS: &str = "letters";

/// A figure that is not what is counted here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Its name.
    pub name: String,
    /// Node name of the side whose it is; empty for both.
    pub side: String,
    /// What the report says; 0 if it says nothing.
    pub stated: i64,
    /// What is counted here.
    pub counted: Value,
    /// The messages that make it up here.
    pub made_of: Vec<Entry>,
    /// Why no number can be set against it.
    pub reason: Option<&'static str>,
}

impl Report {
    /// The figures as a period report carries them; see [`to_proposal`].
    #[must_use]
    pub fn to_proposal(&self) -> Vec<v1::Figure> {
        let figures = self.figures.iter();
        proposed(figures.map(|figure| {
            let side = self.side_name(figure.whose);
            (figure.definition.name.as_str(), side, figure.value.known())
        }))
    }

    /// What a period report says otherwise than is counted here. A figure that it leaves out is 0.
    #[must_use]
    pub fn differences(&self, stated: &[v1::Figure]) -> Vec<Difference> {
        let mut differences = Vec::new();
        let mut left: BTreeMap<(&str, &str), i64> = BTreeMap::new();
        for figure in stated {
            let key = (figure.name.as_str(), figure.side.as_str());
            if left.insert(key, figure.value).is_some() {
                differences.push(unknown(figure, "it is stated twice"));
            }
        }
        for figure in &self.figures {
            let name = figure.definition.name.as_str();
            let side = self.side_name(figure.whose);
            let stated = left.remove(&(name, side));
            let counted = figure.value.known().unwrap_or_default();
            let is_told = figure.value.known().is_some();
            if stated.unwrap_or_default() != counted || (stated.is_some() && !is_told) {
                differences.push(Difference {
                    name: name.to_owned(),
                    side: side.to_owned(),
                    stated: stated.unwrap_or_default(),
                    counted: figure.value.clone(),
                    made_of: figure.made_of.clone(),
                    reason: None,
                });
            }
        }
        for figure in stated {
            if left.contains_key(&(figure.name.as_str(), figure.side.as_str())) {
                let reason = if find(&figure.name).is_some() {
                    "there is no such figure of that side"
                } else {
                    "this version knows no figure of that name"
                };
                differences.push(unknown(figure, reason));
            }
        }
        differences
    }

    /// The whose of a side by its node name; empty is both.
    #[must_use]
    pub fn whose_of(&self, side: &str) -> Option<Whose> {
        match side {
            "" => Some(Whose::Both),
            side => [Party::A, Party::B]
                .into_iter()
                .find(|party| self.node_of(*party).as_str() == side)
                .map(Whose::Side),
        }
    }
}

/// The figures as a period report carries them: in the order of their names and sides, those that
/// are zero or cannot be told left out.
#[must_use]
pub fn to_proposal(figures: &[v1::ReportFigure]) -> Vec<v1::Figure> {
    let figures = figures.iter();
    proposed(figures.map(|figure| (figure.name.as_str(), figure.side.as_str(), figure.value)))
}

fn proposed<'a>(figures: impl Iterator<Item = (&'a str, &'a str, Option<i64>)>) -> Vec<v1::Figure> {
    let mut proposed: Vec<v1::Figure> = figures
        .filter_map(|(name, side, value)| {
            let value = value.filter(|value| *value != 0 || name == ALWAYS)?;
            Some(v1::Figure {
                name: name.to_owned(),
                side: side.to_owned(),
                value,
            })
        })
        .collect();
    proposed.sort_by(|a, b| (&a.name, &a.side).cmp(&(&b.name, &b.side)));
    proposed
}

fn unknown(figure: &v1::Figure, reason: &'static str) -> Difference {
    Difference {
        name: figure.name.clone(),
        side: figure.side.clone(),
        stated: figure.value,
        counted: Value::None,
        made_of: Vec::new(),
        reason: Some(reason),
    }
}

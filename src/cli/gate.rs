//! `liaison gate`: the gate pairs that are known by name.

use clap::{Args, Subcommand};
use serde_json::json;

use super::exit::{Done, Exit};
use super::print::Screen;
use super::table::{Cell, Fit, Style, Table};
use crate::model::gate::{self, Gate, GateClass, GateList};
use crate::model::text::escape;

/// Gate pairs by name.
#[derive(Debug, Subcommand)]
pub(crate) enum GateCommand {
    List(List),
}

/// Lists the gate pairs that are known by name, with the ids that messages carry.
///
/// A message may name other pairs as well.
#[derive(Debug, Args)]
pub(crate) struct List {}

impl GateCommand {
    pub(crate) fn run(self, screen: Screen) -> Done {
        match self {
            Self::List(List {}) => list(gate::sample(), screen),
        }
    }
}

fn list(list: &GateList, screen: Screen) -> Done {
    if screen.json {
        let gates = list.gates().iter().map(
            |gate| json!({"id": gate.id(), "class": gate.class().as_str(), "names": gate.names()}),
        );
        screen.json(&json!({
            "sample": list.is_sample(),
            "source": list.source(),
            "gates": gates.collect::<Vec<_>>(),
        }))?;
        return Ok(Exit::Ok);
    }
    let mut table = Table::new(&[
        ("GATE", Fit::Whole),
        ("VIETNAMESE", Fit::Down(12)),
        ("CHINESE", Fit::Down(12)),
        ("ENGLISH", Fit::Down(12)),
        ("CLASS", Fit::Whole),
    ]);
    for gate in list.gates() {
        table.row([
            gate.id().into(),
            name(gate, "vi"),
            name(gate, "zh-Hans"),
            name(gate, "en"),
            class(gate.class()),
        ]);
    }
    screen.table(&table)?;
    if list.is_sample() {
        screen.note(format!("\nsample data: {}", escape(list.source())));
    }
    Ok(Exit::Ok)
}

fn name(gate: &Gate, language: &str) -> Cell {
    match gate.names().get(language) {
        Some(name) => escape(name).into(),
        None => Cell::styled("to be confirmed", Style::Warn),
    }
}

fn class(class: GateClass) -> Cell {
    let word = class.as_str().replace('-', " ");
    match class {
        GateClass::ToBeConfirmed => Cell::styled(word, Style::Warn),
        _ => word.into(),
    }
}

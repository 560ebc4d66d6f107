//! `liaison check`: what is wrong with drafts, without sending them.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::draft::{self, Additions, Refused};
use super::exit::{Done, Exit};
use super::print::Screen;
use super::table::Style;
use crate::model::template;
use crate::model::typed::Located;

/// Checks drafts as send does, and sends nothing. Needs no node.
///
/// Tells every fault of every draft, with line and column (in bytes) where the field is in the file.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The drafts; - reads standard input.
    #[arg(value_name = "FILE|-", required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    additions: Additions,
}

impl Check {
    pub(crate) async fn run(self, screen: Screen) -> Done {
        let mut exit = Exit::Ok;
        let mut told = Vec::new();
        for file in &self.files {
            let name = draft::name_of(file);
            let outcome = draft::prepare(file, &self.additions).await?;
            match outcome {
                Ok(prepared) => {
                    let form = prepared
                        .draft
                        .body
                        .as_ref()
                        .and_then(|body| body.body.as_ref());
                    let kind = form
                        .and_then(template::of_body)
                        .map_or("", |form| form.word.as_str());
                    told.push(json!({ "file": name, "kind": kind, "faults": [] }));
                    if !screen.json {
                        screen.line(format!("{name}: nothing is wrong ({kind})"))?;
                    }
                }
                Err(refused) => {
                    exit = Exit::Data;
                    told.push(json!({ "file": name, "faults": as_json(&refused) }));
                    if !screen.json {
                        tell(&name, &refused, screen)?;
                    }
                }
            }
        }
        if screen.json {
            screen.json(&json!({ "files": told }))?;
        }
        Ok(exit)
    }
}

fn tell(name: &str, refused: &Refused, screen: Screen) -> Result<(), super::exit::Failure> {
    let count = draft::count(refused.faults.len());
    screen.styled(&format!("{name}: {count}"), Style::Bad)?;
    for Located { fault, place } in &refused.faults {
        let place = match place {
            Some((line, column)) => format!("{name}:{line}:{column}"),
            None => name.to_owned(),
        };
        screen.line(format!("  {place}: {}", fault.field))?;
        screen.line(format!("      reason: {}", fault.reason))?;
        screen.line(format!("      remedy: {}", fault.remedy))?;
    }
    Ok(())
}

fn as_json(refused: &Refused) -> Vec<serde_json::Value> {
    let one = |located: &Located| {
        let mut value = json!({
            "field": located.fault.field,
            "reason": located.fault.reason,
            "remedy": located.fault.remedy,
        });
        if let Some((line, column)) = located.place {
            value["line"] = line.into();
            value["column"] = column.into();
        }
        value
    };
    refused.faults.iter().map(one).collect()
}

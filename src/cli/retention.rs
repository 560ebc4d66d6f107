//! `liaison retention` and `liaison hold`: what the rules erase, and cases that are kept.

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::json;

use super::connect::Target;
use super::exit::{Done, Exit};
use super::print::Screen;
use super::table::{Fit, Table};
use super::{refused, when, words};
use crate::model::MessageId;
use crate::model::text::escape;
use crate::proto::v1;

/// How long bodies are kept.
#[derive(Debug, Subcommand)]
pub(crate) enum Retention {
    List(List),
}

/// Tells what the rules would erase, without erasing anything.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// As of this day or moment, such as 2028-12-01; else now.
    #[arg(long, value_name = "DATE", value_parser = when::parse_moment)]
    at: Option<Timestamp>,
}

/// Keeps a case, whatever the rules say and whoever orders an erasure.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Hold {
    #[command(subcommand)]
    command: Option<HoldCommand>,
    /// Any message of the case.
    #[arg(required = true, value_parser = MessageId::parse)]
    id: Option<MessageId>,
    /// Why: one line. Name no person in it.
    #[arg(long, value_name = "TEXT", required = true)]
    reason: Option<String>,
}

#[derive(Debug, Subcommand)]
enum HoldCommand {
    /// Lists the cases on hold.
    List,
    Lift(Lift),
}

/// Lifts the hold on a case: the rules apply again, from the next day on.
#[derive(Debug, Args)]
struct Lift {
    /// Any message of the case.
    #[arg(value_parser = MessageId::parse)]
    id: MessageId,
    /// Why: one line. Name no person in it.
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

impl Retention {
    pub(crate) async fn run(self, target: &Target, screen: Screen) -> Done {
        let Self::List(list) = self;
        let desk = target.connect().await?;
        let request = v1::ListRetentionRequest {
            at: list.at.map(when::to_wire),
        };
        let told = refused::answer(desk.retention().list_retention(request).await)?;
        if screen.json {
            let due = told.due.iter().map(|body| {
                json!({
                    "id": body.id,
                    "peer": body.peer,
                    "threadId": body.thread_id,
                    "kind": words::kind(body.kind),
                    "dueAt": when::full_wire(body.due_at.as_ref()),
                    "rule": body.rule + 1,
                })
            });
            screen.json(&json!({
                "rules": told.rules,
                "due": due.collect::<Vec<_>>(),
                "dueCount": told.due_count,
                "onHoldCount": told.on_hold_count,
                "openCount": told.open_count,
                "laterCount": told.later_count,
            }))?;
            return Ok(Exit::Ok);
        }
        if told.rules.is_empty() {
            screen.line("no rule: bodies are kept until someone erases them")?;
            screen.note("rules stand in the configuration, under [[retention]]");
            return Ok(Exit::Ok);
        }
        for (number, rule) in (1..).zip(&told.rules) {
            screen.line(format!("rule {number}: {rule}"))?;
        }
        let mut table = Table::new(&[
            ("DUE SINCE", Fit::Whole),
            ("MESSAGE", Fit::Whole),
            ("KIND", Fit::Down(12)),
            ("PEER", Fit::Down(12)),
            ("RULE", Fit::Whole),
        ]);
        for body in &told.due {
            table.row([
                when::full_wire(body.due_at.as_ref()).into(),
                body.id.as_str().into(),
                words::kind(body.kind).into(),
                escape(&body.peer).into(),
                (body.rule + 1).to_string().into(),
            ]);
        }
        if !told.due.is_empty() {
            screen.table(&table)?;
        }
        let when = list.at.map_or_else(|| "now".to_owned(), when::full);
        screen.line(format!(
            "{} due {when}; {} kept by a hold, {} in open cases, {} later",
            told.due_count, told.on_hold_count, told.open_count, told.later_count
        ))?;
        screen.note("the node erases what is due by itself, every day; nothing was erased now");
        Ok(Exit::Ok)
    }
}

impl Hold {
    pub(crate) async fn run(self, target: &Target, screen: Screen) -> Done {
        let desk = target.connect().await?;
        match (self.command, self.id) {
            (Some(HoldCommand::List), _) => {
                let request = v1::ListHoldsRequest {};
                let told = refused::answer(desk.retention().list_holds(request).await)?;
                list_holds(&told.holds, screen)
            }
            (Some(HoldCommand::Lift(lift)), _) => {
                let request = v1::LiftHoldRequest {
                    id: lift.id.to_string(),
                    reason: lift.reason,
                };
                let told = refused::answer(desk.retention().lift_hold(request).await)?;
                let hold = told.hold.unwrap_or_default();
                if screen.json {
                    screen.json(&hold_json(&hold))?;
                } else {
                    screen.line(format!("the case {} is on hold no longer", hold.thread_id))?;
                    screen.note("what a rule says is due of it is erased with the next run: liaison retention list");
                }
                Ok(Exit::Ok)
            }
            (None, id) => {
                let request = v1::HoldCaseRequest {
                    id: id.map(|id| id.to_string()).unwrap_or_default(),
                    reason: self.reason.unwrap_or_default(),
                };
                let told = refused::answer(desk.retention().hold_case(request).await)?;
                let hold = told.hold.unwrap_or_default();
                if screen.json {
                    screen.json(&hold_json(&hold))?;
                } else if told.already {
                    screen.line(format!(
                        "the case {} was on hold already, by {} since {}; that hold stays",
                        hold.thread_id,
                        escape(&hold.by),
                        when::full_wire(hold.at.as_ref())
                    ))?;
                } else {
                    screen.line(format!("the case {} is on hold", hold.thread_id))?;
                }
                Ok(Exit::Ok)
            }
        }
    }
}

fn hold_json(hold: &v1::LegalHold) -> serde_json::Value {
    json!({
        "threadId": hold.thread_id,
        "peer": hold.peer,
        "at": when::full_wire(hold.at.as_ref()),
        "by": hold.by,
        "reason": hold.reason,
    })
}

fn list_holds(holds: &[v1::LegalHold], screen: Screen) -> Done {
    if screen.json {
        let holds: Vec<_> = holds.iter().map(hold_json).collect();
        screen.json(&json!({ "holds": holds }))?;
        return Ok(Exit::Ok);
    }
    if holds.is_empty() {
        screen.note("no case is on hold");
        return Ok(Exit::Ok);
    }
    let mut table = Table::new(&[
        ("CASE", Fit::Whole),
        ("PEER", Fit::Down(12)),
        ("SINCE", Fit::Whole),
        ("BY", Fit::Down(8)),
        ("WHY", Fit::Down(12)),
    ]);
    for hold in holds {
        table.row([
            hold.thread_id.as_str().into(),
            escape(&hold.peer).into(),
            when::full_wire(hold.at.as_ref()).into(),
            escape(&hold.by).into(),
            escape(&hold.reason).into(),
        ]);
    }
    screen.table(&table)?;
    Ok(Exit::Ok)
}

//! `liaison erase`: the body of a message, for ever.

use clap::Args;

use super::connect::Target;
use super::exit::{Done, Exit, Failure};
use super::print::{self, Screen};
use super::{refused, show, when, words};
use crate::model::text::escape;
use crate::model::{MessageId, json};
use crate::proto::v1;

/// Erases the body of a message for ever, with the attachments that no other message names.
///
/// What it said can then be read by nobody here, not from old copies of the store or of the disk either.
/// That it was sent, when, and every receipt and proof of it stay, and `audit verify` says so. The other
/// side is told when and under what authority, and keeps its copy until it erases it too.
///
/// For administrators. Who, when, why and under what authority is recorded and cannot be undone.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: liaison erase 0197c2a4-… --reason 'end of retention' \
--authority 'Decree 13/2023, art. 16' --yes"
)]
pub(crate) struct Erase {
    /// The message.
    #[arg(value_parser = MessageId::parse)]
    id: MessageId,
    /// Why: one line, for this side only. Name no person in it.
    #[arg(long, value_name = "TEXT", required_unless_present = "preview")]
    reason: Option<String>,
    /// Law, order or rule: one line. The other side is told.
    #[arg(long, value_name = "TEXT", required_unless_present = "preview")]
    authority: Option<String>,
    /// Only tell what would be destroyed.
    #[arg(long, conflicts_with = "yes")]
    preview: bool,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

impl Erase {
    pub(crate) async fn run(self, target: &Target, screen: Screen) -> Done {
        let desk = target.connect().await?;
        let request = |preview| v1::EraseRequest {
            id: self.id.to_string(),
            reason: self.reason.clone().unwrap_or_default(),
            authority: self.authority.clone().unwrap_or_default(),
            preview,
        };
        if self.preview || !self.yes {
            let would = refused::answer(desk.erasure().erase(request(true)).await)?;
            if would.already || (self.preview && screen.json) {
                return told(&would, screen);
            }
            let message = show::get(&desk, &self.id.to_string()).await?;
            let (from, to) = match message.side() {
                v1::Side::Own => ("this node".into(), escape(&message.peer)),
                _ => (escape(&message.peer), "this node".into()),
            };
            screen.note(format!(
                "{} from {from} to {to}, created {}",
                words::kind(message.kind_number),
                when::full_wire(message.created_at.as_ref()),
            ));
            screen.note(format!(
                "its body{} will be destroyed for ever{}",
                files(would.attachments, " and "),
                stays(&would)
            ));
            note_copies(&would, screen);
            if self.preview {
                return Ok(Exit::Ok);
            }
            if print::ask("Type \"erase\" to go on:")? != "erase" {
                return Err(Failure::new(Exit::Negative, "nothing was erased"));
            }
        }
        let done = refused::answer(desk.erasure().erase(request(false)).await)?;
        told(&done, screen)
    }
}

fn told(done: &v1::EraseResponse, screen: Screen) -> Done {
    if screen.json {
        screen.json(&json::to_json_whole(done))?;
        return Ok(Exit::Ok);
    }
    let Some(erasure) = &done.erasure else {
        return Ok(Exit::Ok);
    };
    if done.already {
        screen.note(format!("it was erased before: {}", line(erasure)));
    } else {
        screen.note(format!(
            "erased{}{}; the other side is told",
            files(done.attachments, " with "),
            stays(done)
        ));
    }
    if !done.was_sealed {
        screen.note(
            "it did not lie encrypted: old copies of the disk and backups made before now may still hold \
             it. Destroy them",
        );
    }
    note_copies(done, screen);
    Ok(Exit::Ok)
}

fn note_copies(done: &v1::EraseResponse, screen: Screen) {
    if done.copies.is_empty() {
        return;
    }
    screen.note(
        "copies of the key files open it still, with an old backup of the records. Destroy them, make a \
         new one (liaison keys backup), and say so:",
    );
    for copy in &done.copies {
        screen.note(format!(
            "  {}, made {}: liaison keys backup --destroyed {}",
            escape(&copy.label),
            when::full_wire(copy.made_at.as_ref()),
            escape(&copy.id)
        ));
    }
}

fn files(count: u32, before: &str) -> String {
    match count {
        0 => String::new(),
        1 => format!("{before}1 attachment"),
        count => format!("{before}{count} attachments"),
    }
}

fn stays(done: &v1::EraseResponse) -> String {
    match done.attachments_kept {
        0 => String::new(),
        count => format!(
            "; {} that other messages name too {}",
            files(count, ""),
            if count == 1 { "stays" } else { "stay" }
        ),
    }
}

/// Who erased a body, when, and under what.
pub(crate) fn line(erasure: &v1::Erasure) -> String {
    let mut out = format!("erased on {}", when::full_wire(erasure.at.as_ref()));
    for (word, text) in [
        (" by ", &erasure.by),
        (" under ", &erasure.authority),
        (": ", &erasure.reason),
    ] {
        if !text.is_empty() {
            out.push_str(word);
            out.push_str(&escape(text));
        }
    }
    out
}

//! `liaison new`: a form to fill in.

use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;

use super::connect::Target;
use super::exit::{Done, Exit, Failure, OrExit as _};
use super::print::Screen;
use super::show;
use crate::model::template::{Answered, Form, fill, find, forms, prefill};
use crate::model::{MessageId, NodeName};
use crate::proto::v1::Side;

/// Writes a form to fill in, with comments that say what belongs where.
///
/// Fill it in, let `liaison check FILE` look at it, then send it: `liaison send FILE`.
#[derive(Debug, Args)]
pub(crate) struct New {
    /// What is to be said, such as handover-request; --list names them all.
    #[arg(required_unless_present = "list")]
    kind: Option<String>,
    /// The message that this answers, or takes back, or whose case it belongs to: fills in what follows
    /// from it. Asks the node.
    #[arg(long, value_name = "ID", value_parser = MessageId::parse)]
    answers: Option<MessageId>,
    /// To which node.
    #[arg(long, value_name = "NODE", value_parser = NodeName::parse, conflicts_with = "answers")]
    to: Option<NodeName>,
    /// Write to this file, which must not exist yet.
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    /// List the kinds there are.
    #[arg(long, conflicts_with_all = ["kind", "answers", "to", "out"])]
    list: bool,
}

impl New {
    pub(crate) async fn run(self, target: &Target, screen: Screen) -> Done {
        let Some(typed) = &self.kind else {
            return list(screen);
        };
        let form = find(typed)
            .filter(|form| !form.is_system)
            .ok_or_else(|| unknown(typed))?;
        let filled = match (&self.answers, &self.to) {
            (Some(id), _) => answered(form, *id, target).await?,
            (None, Some(node)) => serde_json::json!({ "recipient": node.to_string() }),
            (None, None) => serde_json::json!({}),
        };
        let text = fill(form, &filled);
        match &self.out {
            None if screen.json => screen.json(&serde_json::json!({
                "kind": form.word,
                "template": text,
            }))?,
            None => screen.raw(text.as_bytes())?,
            Some(file) => {
                write_new(file, &text)?;
                if screen.json {
                    screen.json(&serde_json::json!({ "kind": form.word, "file": file }))?;
                } else {
                    let file = file.display();
                    screen.line(format!("written       {file}"))?;
                    screen.note(format!("fill it in, then: liaison check {file}"));
                }
            }
        }
        Ok(Exit::Ok)
    }
}

/// What follows from the message with that id.
async fn answered(
    form: &Form,
    id: MessageId,
    target: &Target,
) -> Result<serde_json::Value, Failure> {
    let desk = target.connect().await?;
    let message = show::get(&desk, &id.to_string()).await?;
    let is_own = message.side() == Side::Own;
    if !is_own && form.needs_supersedes {
        let what = format!("{id} is the peer's message, and only an own one can be taken back");
        return Err(Failure::new(Exit::Data, what).remedy("give the id of an own message"));
    }
    let content = message.body.as_ref().and_then(|body| body.body.as_ref());
    Ok(prefill(
        form,
        Answered {
            message: &message,
            body: content,
        },
    ))
}

fn list(screen: Screen) -> Done {
    let offered = forms().iter().filter(|form| !form.is_system);
    if screen.json {
        let kinds: Vec<_> = offered
            .map(|form| serde_json::json!({ "kind": form.word, "purpose": form.purpose }))
            .collect();
        screen.json(&serde_json::json!({ "kinds": kinds }))?;
    } else {
        screen.raw(listed().as_bytes())?;
    }
    Ok(Exit::Ok)
}

/// The kinds, one a line.
fn listed() -> String {
    let offered = || forms().iter().filter(|form| !form.is_system);
    let width = offered().map(|form| form.word.len()).max().unwrap_or(0);
    let lines: Vec<String> = offered()
        .map(|form| format!("{:width$}  {}\n", form.word, form.purpose))
        .collect();
    lines.concat()
}

fn unknown(typed: &str) -> Failure {
    let typed = crate::model::text::escape(typed);
    let what = match find(&typed) {
        Some(form) => format!("only a node says {}, by itself", form.word),
        None => format!("there is no kind \"{typed}\""),
    };
    Failure::new(Exit::Usage, what).remedy(format!("choose one of these:\n{}", listed().trim_end()))
}

fn write_new(file: &PathBuf, text: &str) -> Result<(), Failure> {
    let doing = || format!("{} was not written", file.display());
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    let mut opened = options.open(file).or_fail(Exit::CannotCreate, doing)?;
    opened
        .write_all(text.as_bytes())
        .or_fail(Exit::CannotCreate, doing)
}

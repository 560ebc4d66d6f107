//! `liaison link show`: why a link is held, since when, what to do, and what was held before.

use clap::Args;

use super::words::Seen;
use crate::cli::connect::Target;
use crate::cli::exit::{Done, Exit, Failure};
use crate::cli::print::Screen;
use crate::cli::table::{Cell, Fit, Style, Table, wrap};
use crate::cli::{refused, when};
use crate::model::{json, text};
use crate::proto::v1;

/// Shows how a link stands: who holds it, why, since when and what to do; and every earlier hold,
/// with who released it and why.
///
/// Exits with 1 if the link is held, by either side.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The peer's node name.
    peer: String,
}

impl Show {
    pub(crate) async fn run(self, target: &Target, screen: Screen) -> Done {
        let desk = target.connect().await?;
        let request = v1::ShowLinkRequest { peer: self.peer };
        let link = refused::answer(desk.links().show_link(request).await)?;
        if screen.json {
            screen.json(&json::to_json_whole(&link))?;
        } else {
            render(&link, screen)?;
        }
        let held = link.held.is_some() || link.held_by_peer.is_some();
        Ok(if held { Exit::Negative } else { Exit::Ok })
    }
}

fn render(link: &v1::ShowLinkResponse, screen: Screen) -> Result<(), Failure> {
    let peer = text::escape(&link.peer);
    if let Some(hold) = &link.held {
        let seen = Seen {
            hold,
            holder: &link.node,
            other: &link.peer,
            here: &link.node,
        };
        tell(
            &format!("the link with {peer} is HELD by this node"),
            seen,
            screen,
        )?;
    }
    if let Some(hold) = &link.held_by_peer {
        let seen = Seen {
            hold,
            holder: &link.peer,
            other: &link.node,
            here: &link.node,
        };
        tell(
            &format!("the link with {peer} is HELD by {peer}"),
            seen,
            screen,
        )?;
    }
    if link.held.is_none() && link.held_by_peer.is_none() {
        let state = match (link.up, link.down_reason.as_str()) {
            (true, _) => "up".to_owned(),
            (false, "") => "down".to_owned(),
            (false, why) => format!("down: {}", text::escape(why)),
        };
        screen.line(format!("the link with {peer} is {state}; nobody holds it"))?;
    }
    if link.past.is_empty() {
        screen.line("\nit was never held before")?;
    } else {
        screen.line("")?;
        screen.table(&past(&link.past))?;
    }
    Ok(())
}

fn tell(title: &str, seen: Seen<'_>, screen: Screen) -> Result<(), Failure> {
    let hold = seen.hold;
    screen.styled(title, Style::Bad)?;
    row("since", &when::full_wire(hold.at.as_ref()), screen)?;
    row("why", &seen.what(), screen)?;
    let said = format!(
        "{} at index {} of {}: {}",
        hold.code().as_str_name(),
        hold.index,
        text::escape(&hold.origin),
        text::escape(&hold.text)
    );
    row("in its words", &said, screen)?;
    let kept = match (hold.proven, hold.pieces) {
        (true, _) => "a file that proves it to anybody, offline".to_owned(),
        (false, 0) => "none kept".to_owned(),
        (false, 1) => "1 signed piece kept; by itself it proves nothing to others".to_owned(),
        (false, pieces) => {
            format!("{pieces} signed pieces kept; by themselves they prove nothing to others")
        }
    };
    if seen.holder == seen.here {
        row("evidence", &kept, screen)?;
    }
    for (step, number) in seen.steps().iter().zip(1..) {
        let label = if number == 1 { "what to do" } else { "" };
        row(label, &format!("{number}. {step}"), screen)?;
    }
    Ok(())
}

/// A label and what stands behind it, in lines of one width.
fn row(label: &str, said: &str, screen: Screen) -> Result<(), Failure> {
    const LABEL: usize = 14;
    let width = screen.text_width().saturating_sub(LABEL + 2).max(40);
    for (line, number) in wrap(said, width).iter().zip(0..) {
        let label = if number == 0 { label } else { "" };
        screen.line(format!("  {label:<LABEL$}{line}"))?;
    }
    Ok(())
}

fn past(holds: &[v1::PastLinkHold]) -> Table {
    let mut table = Table::new(&[
        ("NO", Fit::Right),
        ("HELD", Fit::Whole),
        ("WHY", Fit::Down(20)),
        ("PROOF", Fit::Whole),
        ("RELEASED", Fit::Whole),
        ("BY", Fit::Whole),
        ("REASON", Fit::Down(20)),
    ]);
    for past in holds {
        let hold = past.hold.clone().unwrap_or_default();
        table.row([
            past.number.to_string().into(),
            when::minute_wire(hold.at.as_ref()).into(),
            text::escape(&hold.text).into(),
            Cell::styled(if hold.proven { "yes" } else { "" }, Style::Bad),
            when::minute_wire(past.released_at.as_ref()).into(),
            text::escape(&past.released_by).into(),
            text::escape(&past.reason).into(),
        ]);
    }
    table
}

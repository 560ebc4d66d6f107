//! `liaison watch`: what happens, as it happens.

use clap::Args;

use super::connect::Target;
use super::exit::{Done, Exit, Failure};
use super::print::Screen;
use super::table::{Style, pad};
use super::{levels, refused, summary, when, words};
use crate::model::{json, text};
use crate::proto::v1::{self, Side, WatchEvent};

/// Follows what happens: own messages recorded and delivered, the peer's received, and what is
/// owed on either side when it is nearly due, overdue or escalated.
///
/// With --json, one object a line; give the cursor of the last one taken in to --cursor, and nothing
/// is missed. Ends with Ctrl-C.
#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// Go on after this event.
    #[arg(long, conflicts_with = "from_start")]
    cursor: Option<String>,
    /// From the beginning of the logs.
    #[arg(long)]
    from_start: bool,
    /// End when all that there is has been told.
    #[arg(long)]
    until_caught_up: bool,
}

impl Watch {
    pub(crate) async fn run(self, target: &Target, screen: Screen) -> Done {
        let mut cursor = self.cursor.unwrap_or_default();
        let request = v1::WatchRequest {
            cursor: cursor.clone(),
            from_start: self.from_start,
            ..v1::WatchRequest::default()
        };
        let desk = target.connect().await?;
        let mut events = refused::answer(desk.desk().watch(request).await)?;
        loop {
            let event = tokio::select! {
                event = events.message() => event,
                _ = tokio::signal::ctrl_c() => {
                    if !screen.json && !cursor.is_empty() {
                        screen.note(format!("to go on from here: liaison watch --cursor {cursor}"));
                    }
                    return Ok(Exit::Ok);
                }
            };
            let event = event.map_err(|status| {
                let failure = refused::failure(&status);
                if cursor.is_empty() {
                    failure
                } else {
                    failure.remedy(format!(
                        "go on without missing anything: liaison watch --cursor {cursor}"
                    ))
                }
            })?;
            let Some(event) = event else {
                return Err(
                    Failure::new(Exit::Unavailable, "the node has ended the stream")
                        .remedy(format!("go on: liaison watch --cursor {cursor}")),
                );
            };
            if !event.cursor.is_empty() {
                cursor.clone_from(&event.cursor);
            }
            if screen.json {
                screen.json_line(&json::to_json_whole(&event))?;
            } else if let Some(line) = line(&event, screen.colour) {
                screen.line(line)?;
            }
            if self.until_caught_up && event.event() == WatchEvent::CaughtUp {
                return Ok(Exit::Ok);
            }
        }
    }
}

/// An event on a line; nothing for those that carry no message.
fn line(event: &v1::WatchResponse, colour: bool) -> Option<String> {
    if let Some(link) = &event.link {
        return Some(link_line(event.event(), link, colour));
    }
    let message = event.message.as_ref()?;
    let (arrow, word) = match event.event() {
        WatchEvent::Recorded => ("→", "recorded"),
        WatchEvent::Delivered => ("✓", "delivered"),
        WatchEvent::Received => ("←", "received"),
        WatchEvent::Reminded | WatchEvent::Overdue | WatchEvent::Escalated => {
            return Some(stage_line(event, message, colour));
        }
        WatchEvent::Unspecified
        | WatchEvent::CaughtUp
        | WatchEvent::LinkHeld
        | WatchEvent::LinkHeldByPeer
        | WatchEvent::LinkReleased => return None,
    };
    let at = match event.event() {
        WatchEvent::Delivered => message
            .delivered_at
            .as_ref()
            .or(message.recorded_at.as_ref()),
        _ => message.recorded_at.as_ref(),
    };
    let (precedence, style) = words::precedence(message.precedence);
    let said = message
        .body
        .as_ref()
        .and_then(|body| body.body.as_ref())
        .map(summary::of);
    let now = when::now();
    let due = levels::due(message)
        .first()
        .map(|due| format!("  ({})", due.text(now)));
    Some(format!(
        "{}  {arrow} {word:<9}  {}  {} {}  {}  {}{}",
        when::full_wire(at),
        text::escape(&message.peer),
        style.paint(&pad(&precedence, 9), colour),
        Style::Bold.paint(&pad(&words::kind(message.kind_number), 20), colour),
        text::escape(&message.id),
        said.unwrap_or_default(),
        due.unwrap_or_default(),
    ))
}

/// What has become of a link, on a line that stands out.
fn link_line(what: WatchEvent, link: &v1::LinkAlarm, colour: bool) -> String {
    let peer = text::escape(&link.peer);
    let (word, style, rest) = match what {
        WatchEvent::LinkReleased => ("GOES ON", Style::Good, String::new()),
        WatchEvent::LinkHeldByPeer => ("HELD BY PEER", Style::Bad, why(link, &peer)),
        _ => ("LINK HELD", Style::Bad, why(link, &peer)),
    };
    format!(
        "{}  {}  {peer}{rest}",
        when::full_wire(link.at.as_ref()),
        style.paint(&format!("! {word}"), colour),
    )
}

fn why(link: &v1::LinkAlarm, peer: &str) -> String {
    let text = text::escape(&link.text);
    format!("  {text}  (see liaison link show {peer})")
}

/// What is owed for a message, on a line that stands out.
fn stage_line(event: &v1::WatchResponse, message: &v1::Message, colour: bool) -> String {
    let stage = event.stage.unwrap_or_default();
    let (word, style) = match event.event() {
        WatchEvent::Reminded => ("DUE SOON", Style::Warn),
        WatchEvent::Escalated => ("ESCALATED", Style::Bad),
        _ => ("OVERDUE", Style::Bad),
    };
    let who = match stage.owed_by() {
        Side::Own => "we owe".to_owned(),
        _ => format!("{} owes", text::escape(&message.peer)),
    };
    let exercise = words::status(message.status);
    let exercise = if exercise.is_empty() {
        exercise
    } else {
        format!("{exercise}  ")
    };
    format!(
        "{}  {}  {exercise}{who} {} for {} {}, due {}",
        when::full_wire(stage.at.as_ref()),
        style.paint(&format!("! {word:<9}"), colour),
        words::owed(stage.owed()),
        Style::Bold.paint(&words::kind(message.kind_number), colour),
        text::escape(&message.id),
        when::full_wire(stage.due_at.as_ref()),
    )
}

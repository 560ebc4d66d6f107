//! `liaison due`: what is owed on either side, and when.

use clap::Args;

use super::connect::Target;
use super::exit::{Done, Exit, Failure};
use super::print::Screen;
use super::table::{Cell, Fit, Style, Table};
use super::{refused, when, words};
use crate::model::{json, text};
use crate::proto::v1::{self, DueStage, DueState, Side};

/// Shows what is owed on either side, and when it is due; what is overdue first.
///
/// The time is shown in this node's zone and in the peer's. Working days are counted on the calendar
/// of the side that owes; its version stands beside them. Exercises and tests have a list of their
/// own. Of very much, the first 2,000 are listed and the others counted.
#[derive(Debug, Args)]
pub(crate) struct Due {
    /// Only the link with this node.
    #[arg(long, value_name = "PEER")]
    peer: Option<String>,
    /// Only what this node owes.
    #[arg(long, conflicts_with = "theirs")]
    own: bool,
    /// Only what the peer owes.
    #[arg(long)]
    theirs: bool,
    /// Also what is owed without a time being set.
    #[arg(long)]
    all: bool,
}

impl Due {
    pub(crate) async fn run(self, target: &Target, screen: Screen) -> Done {
        let owed_by = match (self.own, self.theirs) {
            (true, _) => Side::Own,
            (_, true) => Side::Peer,
            _ => Side::Unspecified,
        };
        let request = v1::ListDueRequest {
            peer: self.peer.unwrap_or_default(),
            owed_by: owed_by as i32,
            all: self.all,
        };
        let desk = target.connect().await?;
        let listed = refused::answer(desk.desk().list_due(request).await)?;
        if screen.json {
            screen.json(&json::to_json_whole(&listed))?;
        } else {
            render(&listed, screen)?;
        }
        Ok(Exit::Ok)
    }
}

fn render(listed: &v1::ListDueResponse, screen: Screen) -> Result<(), Failure> {
    let (actual, exercises): (Vec<_>, Vec<_>) = listed
        .dues
        .iter()
        .partition(|due| words::status(due.status).is_empty());
    if actual.is_empty() {
        screen.line("nothing is owed")?;
    } else {
        screen.table(&table(&actual, listed.now.as_ref()))?;
    }
    if !exercises.is_empty() {
        screen.styled("\nEXERCISES AND TESTS, not real:", Style::Warn)?;
        screen.table(&table(&exercises, listed.now.as_ref()))?;
    }
    if listed.left_out > 0 {
        screen.note(format!(
            "these come first; {} more are owed and not listed: --peer, --own and --theirs narrow it \
             down, and without --all only what has a time is listed",
            listed.left_out
        ));
    }
    for due in listed.dues.iter().filter(|due| !due.missing.is_empty()) {
        screen.note(format!(
            "{}: {}",
            text::escape(&due.message_id),
            text::escape(&due.missing)
        ));
    }
    if listed.dues.iter().any(is_on_sample) {
        screen.note("SAMPLE: counted on a sample calendar; its side confirms its own before use");
    }
    if listed
        .dues
        .iter()
        .any(|due| due.overdue && due.owed_by() == Side::Peer && due.side() == Side::Own)
    {
        screen.note("evidence that the peer is late: liaison audit lateness ID --out DIR");
    }
    Ok(())
}

fn table(dues: &[&v1::Due], now: Option<&prost_types::Timestamp>) -> Table {
    let mut table = Table::new(&[
        ("WHEN", Fit::Whole),
        ("MESSAGE", Fit::Whole),
        ("WHO OWES", Fit::Down(10)),
        ("WHAT", Fit::Whole),
        ("FOR", Fit::Whole),
        ("DUE HERE", Fit::Whole),
        ("DUE THERE", Fit::Whole),
        ("COUNTED ON", Fit::Down(10)),
        ("SO FAR", Fit::Whole),
    ]);
    for due in dues {
        let (word, style) = standing(due, now);
        let who = match due.owed_by() {
            Side::Own => "this node".to_owned(),
            _ => text::escape(&due.owed_by_node).into_owned(),
        };
        table.row([
            Cell::styled(word, style),
            text::escape(&due.message_id).into(),
            who.into(),
            words::owed(due.owed()).into(),
            words::kind(due.kind_number).into(),
            text::escape(&due.due_own).into(),
            text::escape(&due.due_peer).into(),
            counted(due).into(),
            so_far(due).into(),
        ]);
    }
    table
}

fn standing(due: &v1::Due, now: Option<&prost_types::Timestamp>) -> (String, Style) {
    let plain = |word: &str| (word.to_owned(), Style::Dim);
    match due.state() {
        DueState::Known => {
            let at = due.due_at.as_ref().and_then(when::from_wire);
            let now = now.and_then(when::from_wire).unwrap_or_else(when::now);
            let Some(at) = at else {
                return plain("unknown");
            };
            if due.overdue {
                let by = when::rough(now.duration_since(at).unsigned_abs());
                (format!("OVERDUE by {by}"), Style::Bad)
            } else if had_passed(due) {
                plain("the time asked had passed when it arrived")
            } else {
                (when::distance(at, now), Style::Plain)
            }
        }
        DueState::NotReceived => plain("counts from receipt; none yet"),
        DueState::NoCalendar => ("calendar missing".to_owned(), Style::Bad),
        DueState::NoTerm => plain("no time set"),
        DueState::Unspecified => plain("unknown"),
    }
}

/// Nobody is late with what was asked of him too late.
fn had_passed(due: &v1::Due) -> bool {
    let at = due.due_at.as_ref().and_then(when::from_wire);
    let received = due.received_at.as_ref().and_then(when::from_wire);
    at.zip(received)
        .is_some_and(|(at, received)| received >= at)
}

/// `7 working days, VN 2026 v1`.
fn counted(due: &v1::Due) -> String {
    let Some(count) = &due.count else {
        return String::new();
    };
    let versions: Vec<_> = count
        .calendars
        .iter()
        .map(|calendar| format!("{} v{}", calendar.year, calendar.version))
        .collect();
    let sample = if count.sample { " SAMPLE" } else { "" };
    format!(
        "{} working days, {} {}{sample}",
        count.days,
        text::escape(&count.country),
        versions.join(", ")
    )
}

fn is_on_sample(due: &v1::Due) -> bool {
    due.count.as_ref().is_some_and(|count| count.sample)
}

fn so_far(due: &v1::Due) -> &'static str {
    match due.stages.last().map(v1::ReachedStage::stage) {
        Some(DueStage::Reminder) => "reminded",
        Some(DueStage::Overdue) => "told overdue",
        Some(DueStage::Escalation) => "escalated",
        Some(DueStage::Unspecified) | None => "",
    }
}

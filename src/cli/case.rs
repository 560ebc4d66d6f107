//! `liaison case`: what both sides have said on one thing, where it stands, who owes what.

use std::fmt::Write as _;

use clap::{Args, Subcommand};

use super::connect::Target;
use super::exit::{Done, Exit};
use super::print::Screen;
use super::show;
use super::table::{Cell, Fit, Style, Table, pad};
use super::{refused, summary, when, words};
use crate::limits::PAGE_MESSAGES_MAX;
use crate::model::text::escape;
use crate::model::{MessageId, json};
use crate::proto::v1::{self, Side};

/// Messages of a case that are fetched to be told in a line.
const SUMMARIES_MAX: usize = 200;
/// Persons of a batch that are listed one by one when nothing else asks for it.
const PERSONS_SHOWN_MAX: usize = 20;

/// Cases: threads of messages with their state, the next step, and who owes it.
#[derive(Debug, Subcommand)]
pub(crate) enum Case {
    List(List),
    Show(Show),
}

/// Lists cases, newest first.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only of the link with this node.
    #[arg(long, value_name = "NODE")]
    peer: Option<String>,
    /// Those that are done as well.
    #[arg(long)]
    all: bool,
    /// Only those in which this side owes something.
    #[arg(long, conflicts_with = "awaited")]
    owed: bool,
    /// Only those in which the other side owes something.
    #[arg(long)]
    awaited: bool,
    /// Only those opened by this kind, such as handover-request; may be given several times.
    #[arg(long, value_parser = words::parse_kind)]
    kind: Vec<v1::Kind>,
    /// Only this status: actual, exercise, test.
    #[arg(long, value_parser = words::parse_status)]
    status: Vec<v1::Status>,
    /// At most so many.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

/// Shows a case: its messages in the order that both sides find, its state and what is possible now.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The case, or any message of it.
    #[arg(value_parser = MessageId::parse)]
    id: MessageId,
    /// List every person of a large batch.
    #[arg(long)]
    persons: bool,
}

impl Case {
    pub(crate) async fn run(self, target: &Target, screen: Screen) -> Done {
        match self {
            Self::List(list) => list.run(target, screen).await,
            Self::Show(show) => show.run(target, screen).await,
        }
    }
}

impl List {
    async fn run(self, target: &Target, screen: Screen) -> Done {
        let owed_by = match (self.owed, self.awaited) {
            (true, _) => Side::Own,
            (_, true) => Side::Peer,
            _ => Side::Unspecified,
        };
        let mut request = v1::ListCasesRequest {
            peer: self.peer.unwrap_or_default(),
            open_only: !self.all,
            owed_by: owed_by.into(),
            kinds: self.kind.iter().map(|kind| (*kind).into()).collect(),
            statuses: self.status.iter().map(|status| (*status).into()).collect(),
            ..v1::ListCasesRequest::default()
        };
        let desk = target.connect().await?;
        let mut found = v1::ListCasesResponse::default();
        let limit = self.limit as usize;
        loop {
            let left = u32::try_from(limit - found.cases.len()).unwrap_or(PAGE_MESSAGES_MAX);
            request.page_size = left.min(PAGE_MESSAGES_MAX);
            let page = refused::answer(desk.desk().list_cases(request.clone()).await)?;
            found.cases.extend(page.cases);
            found.next_page_token = page.next_page_token;
            if found.next_page_token.is_empty() || found.cases.len() >= limit {
                break;
            }
            request.page_token.clone_from(&found.next_page_token);
        }
        if screen.json {
            screen.json(&json::to_json_whole(&found))?;
        } else if found.cases.is_empty() {
            let what = if self.all { "no case" } else { "no open case" };
            screen.note(what);
        } else {
            screen.table(&table(&found.cases))?;
        }
        if !screen.json && !found.next_page_token.is_empty() {
            screen.note("there are more: the same command with a higher --limit");
        }
        Ok(Exit::Ok)
    }
}

fn table(cases: &[v1::Case]) -> Table {
    let mut table = Table::new(&[
        ("LATEST", Fit::Whole),
        ("PEER", Fit::Down(6)),
        ("ABOUT", Fit::Down(10)),
        ("STATE", Fit::Down(10)),
        ("OWED", Fit::Down(10)),
        ("", Fit::Down(6)),
        ("CASE", Fit::Whole),
    ]);
    let first = cases.first().map(|case| case.peer.as_str());
    let several = cases.iter().any(|case| Some(case.peer.as_str()) != first);
    for case in cases {
        let latest = case.latest_at.as_ref().and_then(when::from_wire);
        let (matter, further) = chosen(case);
        let status = words::status(case.status);
        let about = matter.map_or_else(
            || "messages".to_owned(),
            |matter| words::kind(matter.kind) + &further,
        );
        table.row([
            latest.map(when::short).unwrap_or_default().into(),
            if several {
                escape(&case.peer).into()
            } else {
                Cell::default()
            },
            if status.is_empty() {
                about.into()
            } else {
                Cell::styled(format!("{status} {about}"), Style::Warn)
            },
            matter.map_or_else(Cell::default, |matter| escape(&matter.state).into()),
            matter.map_or_else(Cell::default, owed),
            if case.breach_count > 0 {
                let breaches = summary::count(case.breach_count as usize, "breach");
                Cell::styled(breaches.replace("breachs", "breaches"), Style::Bad)
            } else {
                Cell::default()
            },
            escape(&case.thread_id).into(),
        ]);
    }
    table
}

/// What a case is mainly about: the first of it that is open, else the first; and how much more.
fn chosen(case: &v1::Case) -> (Option<&v1::Matter>, String) {
    let open = case.matters.iter().find(|matter| matter.open);
    let further = match case.matters.len() {
        0 | 1 => String::new(),
        several => format!(" +{}", several - 1),
    };
    (open.or(case.matters.first()), further)
}

/// `we owe: reply`, `they owe: decision`.
fn owed(matter: &v1::Matter) -> Cell {
    if !matter.open {
        return Cell::default();
    }
    let by = |side: Side| {
        let duties = matter
            .duties
            .iter()
            .filter(move |duty| duty.owed_by() == side);
        duties
            .map(|duty| escape(&duty.owed).into_owned())
            .collect::<Vec<_>>()
    };
    let (ours, theirs) = (by(Side::Own), by(Side::Peer));
    if !ours.is_empty() {
        Cell::styled(format!("we owe {}", ours.join(", ")), Style::Warn)
    } else if theirs.is_empty() {
        Cell::default()
    } else {
        format!("they owe {}", theirs.join(", ")).into()
    }
}

impl Show {
    async fn run(self, target: &Target, screen: Screen) -> Done {
        let desk = target.connect().await?;
        let id = self.id.to_string();
        let request = v1::GetCaseRequest { id };
        let found = refused::answer(desk.desk().get_case(request).await)?;
        if screen.json {
            screen.json(&json::to_json_whole(&found))?;
            return Ok(Exit::Ok);
        }
        let peer = found.case.as_ref().map_or("", |case| case.peer.as_str());
        show::settle_zones(&desk, peer).await;
        let mut texts = Vec::new();
        for message in found.messages.iter().take(SUMMARIES_MAX) {
            let message = show::get(&desk, &message.id).await?;
            let content = message.body.as_ref().and_then(|body| body.body.as_ref());
            texts.push(content.map(summary::of).unwrap_or_default());
        }
        let case = found.case.unwrap_or_default();
        screen.raw(head(&case, self.persons, screen).as_bytes())?;
        screen.line("")?;
        screen.table(&thread(&found.messages, &texts))?;
        if found.messages.len() > SUMMARIES_MAX {
            screen.note(format!("only the first {SUMMARIES_MAX} are summed up"));
        }
        Ok(Exit::Ok)
    }
}

fn head(case: &v1::Case, all_persons: bool, screen: Screen) -> String {
    let mut out = String::new();
    let mut line = |name: &str, text: &str| {
        if name.is_empty() && text.is_empty() {
            out.push('\n');
            return;
        }
        let name = Style::Dim.paint(&pad(name, 14), screen.colour).into_owned();
        let _ = writeln!(out, "{name}{text}");
    };
    line("case", &escape(&case.thread_id));
    line("with", &escape(&case.peer));
    let status = words::status(case.status);
    if !status.is_empty() {
        let status = format!("{status}: not real");
        line("status", &Style::Warn.paint(&status, screen.colour));
    }
    for matter in &case.matters {
        line("", "");
        let opened = format!(
            "opened by {} with {}",
            who(matter.opened_by()),
            matter.opening_id
        );
        let kind = words::kind(matter.kind);
        line(
            "about",
            &format!(
                "{}, {}",
                Style::Bold.paint(&kind, screen.colour),
                escape(&opened)
            ),
        );
        let state = escape(&matter.state);
        let style = if matter.open {
            Style::Plain
        } else {
            Style::Good
        };
        line("state", &style.paint(&state, screen.colour));
        for person in persons(matter, all_persons) {
            line("", &person);
        }
        for duty in matter.duties.iter().filter(|_| matter.open) {
            let text = format!("{}, for {}", escape(&duty.owed), escape(&duty.message_id));
            let name = if duty.owed_by() == Side::Own {
                "we owe"
            } else {
                "they owe"
            };
            line(name, &text);
        }
        for side in [Side::Own, Side::Peer] {
            let steps: Vec<String> = matter
                .steps
                .iter()
                .filter(|step| step.by() == side)
                .map(|step| format!("{} ({})", words::kind(step.kind), escape(&step.does)))
                .collect();
            if !steps.is_empty() {
                let name = if side == Side::Own {
                    "we can"
                } else {
                    "they can"
                };
                line(name, &steps.join(", "));
            }
        }
    }
    out
}

fn who(side: Side) -> &'static str {
    match side {
        Side::Own => "this side",
        _ => "the other side",
    }
}

/// Persons one by one, or counted by state where they are many.
fn persons(matter: &v1::Matter, all: bool) -> Vec<String> {
    let told = |person: &v1::MatterPerson| {
        let mut text = format!("person {:>3}  {}", person.number, escape(&person.state));
        if !person.blocked.is_empty() {
            let _ = write!(text, "; held back: {}", escape(&person.blocked));
        }
        text
    };
    let list: Vec<&v1::MatterPerson> = matter.persons.iter().collect();
    if all || list.len() <= PERSONS_SHOWN_MAX {
        return list.into_iter().map(told).collect();
    }
    let mut lines: Vec<String> = list
        .iter()
        .filter(|person| !person.blocked.is_empty())
        .map(|person| told(person))
        .collect();
    lines.push(format!("{} persons; --persons lists each", list.len()));
    lines
}

fn thread(messages: &[v1::CaseMessage], texts: &[String]) -> Table {
    let mut table = Table::new(&[
        ("SAID", Fit::Whole),
        ("", Fit::Whole),
        ("KIND", Fit::Down(10)),
        ("WHAT", Fit::Down(8)),
        ("", Fit::Down(10)),
        ("ID", Fit::Whole),
    ]);
    let none = String::new();
    for (at, message) in messages.iter().enumerate() {
        let created = message.created_at.as_ref().and_then(when::from_wire);
        let standing = match message.standing() {
            v1::Standing::Breach => Cell::styled(
                format!("BREACH: {}", escape(&message.standing_reason)),
                Style::Bad,
            ),
            v1::Standing::Crossed => {
                let reason = escape(&message.standing_reason);
                Cell::styled(format!("crossed, without effect: {reason}"), Style::Warn)
            }
            v1::Standing::Waiting => Cell::styled("answers what is not here yet", Style::Warn),
            v1::Standing::Applied | v1::Standing::Unspecified => Cell::default(),
        };
        table.row([
            created.map(when::short).unwrap_or_default().into(),
            words::arrow(message.side()).into(),
            words::kind(message.kind_number).into(),
            texts.get(at).unwrap_or(&none).clone().into(),
            standing,
            escape(&message.id).into(),
        ]);
    }
    table
}

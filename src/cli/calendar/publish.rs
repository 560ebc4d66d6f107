//! `liaison calendar publish` and `list`: calendars in the logs.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;

use super::read;
use crate::cli::connect::{Desk, Target};
use crate::cli::exit::{Done, Exit, Failure};
use crate::cli::print::Screen;
use crate::cli::table::{Cell, Fit, Style, Table};
use crate::cli::{draft, refused, send, status, when};
use crate::model::calendar::YearCalendar;
use crate::model::{json, text};
use crate::proto::v1::{self, Side};

/// Publishes a calendar to the other side, as a signed notification.
///
/// Deadlines of answers that this side owes are counted on it. A correction is a new version and
/// moves no deadline that is already running. Publish next year's calendar as soon as it is
/// decided: a deadline that runs into a year without calendar has no due time until then.
#[derive(Debug, Args)]
pub(crate) struct Publish {
    /// The calendar, as calendars/*.toml.
    file: PathBuf,
    /// To this node; may be left out if there is one link only.
    #[arg(long, value_name = "NODE")]
    to: Option<String>,
    /// The office that publishes it.
    #[arg(long, value_name = "NAME")]
    office: String,
    /// The office addressed.
    #[arg(long, value_name = "NAME")]
    to_office: String,
    /// Its version; else one more than the last one published, whatever the file says.
    #[arg(long, value_name = "N")]
    as_version: Option<u32>,
    /// Law, treaty or agreement it rests on; may be given several times.
    #[arg(long, value_name = "TEXT")]
    legal_basis: Vec<String>,
    /// Only check it.
    #[arg(long)]
    check: bool,
}

/// Shows the calendars that both sides have published.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only the link with this node.
    #[arg(long, value_name = "PEER")]
    peer: Option<String>,
}

impl Publish {
    pub(super) async fn run(self, target: &Target, screen: Screen) -> Done {
        let calendar = read(&self.file)?;
        let desk = target.connect().await?;
        let to = match self.to {
            Some(to) => to,
            None => only_link(&desk).await?,
        };
        let version = match self.as_version {
            Some(version) => version,
            None => next_version(&desk, &to, calendar.year().into()).await?,
        };
        let is_sample = calendar.is_sample();
        let content = content(
            &calendar,
            version,
            v1::Common {
                from_office: self.office,
                to_office: self.to_office,
                legal_basis: self.legal_basis,
                ..v1::Common::default()
            },
        );
        let year = content.year;
        let checked = draft::check(v1::Draft {
            id: draft::new_id()?.to_string(),
            recipient: to.clone(),
            body: Some(v1::Body {
                body: Some(v1::body::Body::Calendar(content)),
            }),
            ..v1::Draft::default()
        })?;
        if is_sample {
            screen.note(
                "this is SAMPLE data: whatever is counted on it says so. Compare it with the \
                 decision, set sample = false, and publish that",
            );
        }
        if self.check {
            screen.line("nothing is wrong with the calendar; nothing was sent")?;
            return Ok(Exit::Ok);
        }
        let submitted = send::submit(&desk, checked).await?;
        if screen.json {
            let mut value = json::to_json_whole(&submitted);
            value["version"] = version.into();
            screen.json(&value)?;
        } else {
            screen.line(format!(
                "recorded      {}  index {}: calendar of {year}, version {version}, to {}",
                submitted.id,
                submitted.index,
                text::escape(&to)
            ))?;
        }
        Ok(Exit::Ok)
    }
}

async fn only_link(desk: &Desk) -> Result<String, Failure> {
    let status = status::get(desk).await?;
    match &status.links[..] {
        [only] => Ok(only.peer.clone()),
        [] => Err(Failure::new(Exit::Usage, "there is no link yet")
            .remedy("add one: liaison peer add FILE")),
        _ => {
            let peers: Vec<_> = status.links.iter().map(|l| text::escape(&l.peer)).collect();
            Err(
                Failure::new(Exit::Usage, "there are several links; which one?")
                    .remedy(format!("--to one of {}", peers.join(", "))),
            )
        }
    }
}

async fn calendars(desk: &Desk, peer: &str) -> Result<Vec<v1::PublishedCalendar>, Failure> {
    let request = v1::ListCalendarsRequest {
        peer: peer.to_owned(),
    };
    let listed = refused::answer(desk.desk().list_calendars(request).await)?;
    Ok(listed.calendars)
}

/// One more than the last own version of that year.
async fn next_version(desk: &Desk, peer: &str, year: i32) -> Result<u32, Failure> {
    let published = calendars(desk, peer).await?;
    let own = published.iter().filter(|p| p.side() == Side::Own);
    let versions = own.filter_map(|p| p.calendar.as_ref());
    let last = versions.filter(|c| c.year == year).map(|c| c.version).max();
    Ok(last.unwrap_or(0).saturating_add(1))
}

/// The notification's body. It declares the languages in which every day is named, and keeps these:
/// a notification says everything in each of its languages.
fn content(calendar: &YearCalendar, version: u32, common: v1::Common) -> v1::Calendar {
    let mut content = calendar.to_message(common);
    content.version = version;
    let days = || content.days_off.iter().chain(&content.working_days);
    let names = || days().filter_map(|day| day.name.as_ref());
    let mut shared: Option<BTreeSet<String>> = None;
    for name in names() {
        let tags: BTreeSet<String> = name.texts.keys().cloned().collect();
        shared = Some(match shared {
            None => tags,
            Some(shared) => shared.intersection(&tags).cloned().collect(),
        });
    }
    let shared = shared.unwrap_or_default();
    for day in content.days_off.iter_mut().chain(&mut content.working_days) {
        if let Some(name) = &mut day.name {
            name.texts.retain(|tag, _| shared.contains(tag));
        }
        day.name.take_if(|name| name.texts.is_empty());
    }
    if let Some(common) = &mut content.common {
        common.languages = shared.into_iter().collect();
    }
    content
}

impl List {
    pub(super) async fn run(self, target: &Target, screen: Screen) -> Done {
        let desk = target.connect().await?;
        let peer = self.peer.unwrap_or_default();
        let published = calendars(&desk, &peer).await?;
        if screen.json {
            let list: Vec<_> = published.iter().map(json::to_json_whole).collect();
            screen.json(&serde_json::json!({ "calendars": list }))?;
            return Ok(Exit::Ok);
        }
        if published.is_empty() {
            screen.line("no calendar has been published")?;
            screen.note(
                "publish this side's: liaison calendar publish FILE --office … --to-office …",
            );
            return Ok(Exit::Ok);
        }
        screen.table(&table(&published))?;
        Ok(Exit::Ok)
    }
}

fn table(published: &[v1::PublishedCalendar]) -> Table {
    let mut table = Table::new(&[
        ("LINK", Fit::Down(12)),
        ("WHOSE", Fit::Whole),
        ("CALENDAR", Fit::Whole),
        ("VERSION", Fit::Right),
        ("COUNTS", Fit::Whole),
        ("ZONE", Fit::Whole),
        ("OFF", Fit::Right),
        ("WORKED", Fit::Right),
        ("PUBLISHED", Fit::Whole),
        ("AUTHORITY", Fit::Down(12)),
    ]);
    for published in published {
        let calendar = published.calendar.clone().unwrap_or_default();
        let (word, style) = match (published.in_force, published.withdrawn, calendar.sample) {
            (_, true, _) => ("withdrawn", Style::Warn),
            (false, ..) => ("replaced", Style::Dim),
            (true, _, true) => ("yes, SAMPLE", Style::Warn),
            (true, _, false) => ("yes", Style::Good),
        };
        table.row([
            text::escape(&published.peer).into(),
            match published.side() {
                Side::Own => "this side",
                _ => "the peer",
            }
            .into(),
            format!("{} {}", text::escape(&calendar.country), calendar.year).into(),
            calendar.version.to_string().into(),
            Cell::styled(word, style),
            text::escape(&calendar.time_zone).into(),
            calendar.days_off.len().to_string().into(),
            calendar.working_days.len().to_string().into(),
            when::full_wire(published.published_at.as_ref()).into(),
            text::escape(&calendar.authority).into(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::calendar::samples;

    #[test]
    fn every_sample_makes_a_draft_without_faults() {
        for sample in samples() {
            let common = v1::Common {
                from_office: "Trạm mẫu".to_owned(),
                to_office: "示例站".to_owned(),
                ..v1::Common::default()
            };
            let content = content(&sample.read().unwrap(), 3, common);
            assert_eq!(content.version, 3);
            let draft = v1::Draft {
                recipient: "hekou.ni.cn.example".to_owned(),
                body: Some(v1::Body {
                    body: Some(v1::body::Body::Calendar(content)),
                }),
                ..v1::Draft::default()
            };
            draft::check(draft).unwrap();
        }
    }
}

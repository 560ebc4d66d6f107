//! `liaison calendar due`: a deadline, day by day.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{ArgGroup, Args};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use serde_json::{Value, json};

use super::{labelled, read, reason, sample, title};
use crate::cli::exit::{Done, Exit, Failure, OrExit as _};
use crate::cli::print::Screen;
use crate::cli::table::Style;
use crate::model::calendar::{CalendarError, CalendarSet, YearCalendar, samples};
use crate::model::deadline::{
    Due, EXTENSION_WORKING_DAYS, VERIFICATION_REPLY_WORKING_DAYS, due_instant, local,
};
use crate::model::text::escape;

/// Counts a deadline day by day, so that it can be checked by hand.
///
/// The calendars are those of the side that must answer. The day of receipt is not counted; the
/// answer is due at the end of the last working day, in that side's zone.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("calendars").required(true))]
#[command(
    after_help = "Example: liaison calendar due --received 2026-02-13T23:59+07:00 --samples vn"
)]
pub(crate) struct DueArgs {
    /// Calendar files of one side. Of one year the highest version counts.
    #[arg(group = "calendars")]
    files: Vec<PathBuf>,
    /// The sample calendars of a country instead: vn or cn.
    #[arg(long, value_name = "COUNTRY", group = "calendars")]
    samples: Option<String>,
    /// When the request was received, with its offset: 2026-02-13T23:59+07:00.
    #[arg(long, value_name = "TIME", value_parser = parse_received)]
    received: Timestamp,
    /// Working days.
    #[arg(long, value_name = "N", default_value_t = VERIFICATION_REPLY_WORKING_DAYS)]
    #[arg(value_parser = clap::value_parser!(u8).range(1..))]
    days: u8,
    /// Adds the one extension, of 5 working days.
    #[arg(long)]
    extension: bool,
    /// Zones to show the times in, besides that of the calendar; may be given several times.
    #[arg(long, value_name = "ZONE", value_parser = parse_zone)]
    #[arg(default_values = ["Asia/Ho_Chi_Minh", "Asia/Shanghai"])]
    zone: Vec<TimeZone>,
}

/// With an offset only: the machine's own zone has no say in a deadline.
fn parse_received(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|_| {
        "write the time with its offset from UTC, such as 2026-02-13T23:59+07:00".to_owned()
    })
}

fn parse_zone(name: &str) -> Result<TimeZone, String> {
    TimeZoneDatabase::bundled()
        .get(name)
        .map_err(|_| "write an IANA name such as Asia/Ho_Chi_Minh".to_owned())
}

impl DueArgs {
    pub(super) fn run(self, screen: Screen) -> Done {
        let calendars = self.calendars()?;
        let mut due = due_instant(self.received, self.days, &calendars).map_err(explain)?;
        let mut extended_from = None;
        if self.extension {
            let first = due;
            due = first
                .extended(EXTENSION_WORKING_DAYS, &calendars)
                .map_err(explain)?;
            extended_from = Some(first);
        }
        let zones = self.zones(&due);
        let counting = Counting {
            received: self.received,
            due,
            extended_from,
            calendars,
            zones,
        };
        if screen.json {
            screen.json(&counting.as_json())?;
        } else {
            screen.raw(counting.render(screen)?.as_bytes())?;
        }
        Ok(Exit::Ok)
    }

    fn calendars(&self) -> Result<CalendarSet, Failure> {
        let calendars: Vec<YearCalendar> = match &self.samples {
            None => self
                .files
                .iter()
                .map(|f| read(f))
                .collect::<Result<_, _>>()?,
            Some(country) => {
                let prefix = format!("{}-", country.to_ascii_lowercase());
                let names = samples().iter().map(|sample| sample.name);
                let found: Result<Vec<_>, _> = names
                    .filter(|name| name.starts_with(&prefix))
                    .map(sample)
                    .collect();
                let found = found?;
                if found.is_empty() {
                    let what = format!("there are no sample calendars of {}", escape(country));
                    return Err(Failure::new(Exit::Usage, what).remedy("there are vn and cn"));
                }
                found
            }
        };
        if let Some(pair) = calendars
            .windows(2)
            .find(|pair| pair[0].country() != pair[1].country())
        {
            let what = format!(
                "the calendars are of two countries, {} and {}",
                pair[0].country(),
                pair[1].country()
            );
            return Err(Failure::new(Exit::Usage, what)
                .remedy("give those of the side that must answer, only"));
        }
        Ok(CalendarSet::in_force(&calendars, &[]))
    }

    /// The calendar's zone, and the others asked for.
    fn zones(&self, due: &Due) -> Vec<TimeZone> {
        let mut zones = vec![due.zone.clone()];
        for zone in &self.zone {
            if !zones.contains(zone) {
                zones.push(zone.clone());
            }
        }
        zones
    }
}

fn explain(error: CalendarError) -> Failure {
    let remedy = error.remedy();
    Failure::of(Exit::Data, anyhow::Error::new(error))
        .while_doing("the deadline cannot be counted")
        .remedy(remedy)
}

/// A deadline with all that it was counted from.
struct Counting {
    received: Timestamp,
    due: Due,
    /// Before the extension.
    extended_from: Option<Due>,
    calendars: CalendarSet,
    /// First that of the calendar.
    zones: Vec<TimeZone>,
}

impl Counting {
    fn render(&self, screen: Screen) -> Result<String, Failure> {
        let mut out = String::new();
        let mut line = |name, words: &str| out.push_str(&labelled(name, words, screen));
        for (number, zone) in self.zones.iter().enumerate() {
            let zoned = self.received.to_zoned(zone.clone());
            let time = zoned.strftime("%a %Y-%m-%d %H:%M:%S %:z");
            let name = if number == 0 { "received" } else { "" };
            line(name, &format!("{time}  {}", name_of(zone)));
        }
        for (number, (year, _)) in self.due.calendar_versions.iter().enumerate() {
            let calendar = self.calendars.year(*year).map_err(explain)?;
            line(if number == 0 { "calendar" } else { "" }, &title(calendar));
        }
        let total = self.due.counted.len();
        let count = match &self.extended_from {
            None => format!("{total} working days"),
            Some(first) => {
                let before = first.counted.len();
                format!("{before} + {} working days", total - before)
            }
        };
        let begin = self.due.received_on.strftime("%a %Y-%m-%d");
        let zone = name_of(&self.due.zone);
        line("counted", &format!("{count} after {begin}, {zone}"));

        out.push('\n');
        for day in self.days()? {
            let style = if day.number.is_some() {
                Style::Plain
            } else {
                Style::Dim
            };
            let number = day.number.map_or_else(|| "-".to_owned(), |n| n.to_string());
            let words: Vec<&str> = [day.reason.as_str(), self.remark(day.number)]
                .into_iter()
                .filter(|words| !words.is_empty())
                .collect();
            let date = day.date.strftime("%a %Y-%m-%d");
            let text = format!("  {number:>3}  {date}  {}", words.join("; "));
            let _ = writeln!(out, "{}", style.paint(text.trim_end(), screen.colour));
        }
        out.push('\n');

        let mut line = |name, words: &str| out.push_str(&labelled(name, words, screen));
        for (number, zone) in self.zones.iter().enumerate() {
            let shown = local(self.due.at, zone);
            let text = format!("{} {shown}", shown.date.strftime("%a"));
            let text = Style::Bold.paint(&text, screen.colour);
            let name = if number == 0 { "due" } else { "" };
            line(name, &format!("{text}  {}", name_of(zone)));
        }
        let note = format!("{}: before this instant an answer is in time", self.due.at);
        line("", &note);
        Ok(out)
    }

    /// Says at the last day before the extension that it was that.
    fn remark(&self, number: Option<usize>) -> &'static str {
        match &self.extended_from {
            Some(first) if number == Some(first.counted.len()) => "due without the extension",
            _ => "",
        }
    }

    /// Each day from the one after receipt to the last.
    fn days(&self) -> Result<Vec<Listed>, Failure> {
        let mut days = Vec::new();
        let mut number = 0;
        let mut date = self.due.received_on;
        while date < self.due.last_day {
            date = date.tomorrow().or_exit(Exit::Internal)?;
            let day = self.calendars.day(date).map_err(explain)?;
            number += usize::from(day.is_working());
            days.push(Listed {
                date,
                number: day.is_working().then_some(number),
                reason: reason(day),
            });
        }
        Ok(days)
    }

    fn as_json(&self) -> Value {
        let due = &self.due;
        let calendars: Vec<_> = due
            .calendar_versions
            .iter()
            .map(|(year, version)| {
                let sample = self
                    .calendars
                    .year(*year)
                    .is_ok_and(YearCalendar::is_sample);
                json!({"year": year, "version": version, "sample": sample})
            })
            .collect();
        let shown: Vec<_> = self
            .zones
            .iter()
            .map(|zone| json!({"timeZone": name_of(zone), "text": local(due.at, zone).to_string()}))
            .collect();
        json!({
            "received": self.received.to_string(),
            "receivedOn": due.received_on.to_string(),
            "country": due.country.as_str(),
            "timeZone": name_of(&due.zone),
            "calendars": calendars,
            "counted": due.counted.iter().map(Date::to_string).collect::<Vec<_>>(),
            "dueWithoutExtension": self.extended_from.as_ref().map(|first| first.at.to_string()),
            "due": due.at.to_string(),
            "dueShown": shown,
        })
    }
}

/// One line of the counting.
struct Listed {
    date: Date,
    /// Which working day it is, if it is one.
    number: Option<usize>,
    reason: String,
}

fn name_of(zone: &TimeZone) -> &str {
    zone.iana_name().unwrap_or_default()
}

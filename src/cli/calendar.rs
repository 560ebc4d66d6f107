//! `liaison calendar`: working days of a year, deadlines counted so that they can be checked by
//! hand (both need no node), and the calendars in the logs.

mod due;
mod publish;
mod show;

use std::io::Read as _;
use std::path::Path;

use clap::Subcommand;

use super::connect::Target;
use super::exit::{Done, Exit, Failure, OrExit as _};
use super::in_turn;
use super::print::Screen;
use super::table::{Style, pad};
use crate::limits::CALENDAR_FILE_BYTES_MAX;
use crate::model::calendar::{
    CalendarFileError, Day, YearCalendar, find_sample, read_toml, samples,
};
use crate::model::text::escape;
use crate::proto::v1::LocalizedText;

/// Working days: a year to look at, a deadline to check by hand.
#[derive(Debug, Subcommand)]
pub(crate) enum Calendar {
    Show(show::Show),
    Due(due::DueArgs),
    Publish(publish::Publish),
    List(publish::List),
}

impl Calendar {
    pub(crate) fn run(self, target: &Target, screen: Screen) -> Done {
        match self {
            Self::Publish(publish) => in_turn(publish.run(target, screen)),
            Self::List(list) => in_turn(list.run(target, screen)),
            Self::Show(show) => show.run(screen),
            Self::Due(due) => due.run(screen),
        }
    }
}

/// Columns of what stands before the lines of a heading.
const LABEL_WIDTH: usize = 14;

/// Reads a calendar file.
pub(crate) fn read(file: &Path) -> Result<YearCalendar, Failure> {
    let what = || format!("the calendar in {} cannot be used", file.display());
    let mut text = String::new();
    // One byte over the limit is enough to refuse it for its length.
    let limit = CALENDAR_FILE_BYTES_MAX as u64 + 1;
    std::fs::File::open(file)
        .and_then(|file| file.take(limit).read_to_string(&mut text))
        .or_fail(Exit::Data, what)?;
    read_toml(&text).map_err(|error| match error {
        CalendarFileError::Faults(faults) => Failure::new(Exit::Data, what()).faults(faults),
        other => Failure::of(Exit::Data, anyhow::Error::new(other))
            .while_doing(what())
            .remedy("compare with calendars/*.toml"),
    })
}

/// A sample by its name.
fn sample(name: &str) -> Result<YearCalendar, Failure> {
    let names: Vec<_> = samples().iter().map(|sample| sample.name).collect();
    find_sample(&name.to_ascii_lowercase())
        .ok_or_else(|| {
            let what = format!("there is no sample calendar {}", escape(name));
            Failure::new(Exit::Usage, what).remedy(format!("there are {}", names.join(", ")))
        })?
        .read()
        .or_exit(Exit::Internal)
}

/// A calendar in a few words.
fn title(calendar: &YearCalendar) -> String {
    format!(
        "{} {}, version {}{}",
        calendar.country(),
        calendar.year(),
        calendar.version(),
        if calendar.is_sample() {
            ", SAMPLE: to be confirmed before use"
        } else {
            ""
        }
    )
}

/// A line of a heading.
fn labelled(name: &str, words: &str, screen: Screen) -> String {
    let name = pad(name, LABEL_WIDTH);
    format!("{}{words}\n", Style::Dim.paint(&name, screen.colour))
}

/// Why a day is off or worked.
fn reason(day: Day<'_>) -> String {
    let (what, name) = match day {
        Day::Working => return String::new(),
        Day::Weekend => return "weekend".to_owned(),
        Day::Off(name) => ("off", name),
        Day::MakeUp(name) => ("worked", name),
    };
    match names(name) {
        name if name.is_empty() => what.to_owned(),
        name => format!("{what}: {name}"),
    }
}

/// A name in each of its languages.
fn names(name: &LocalizedText) -> String {
    let texts: Vec<_> = name.texts.values().map(|text| escape(text)).collect();
    texts.join(" · ")
}

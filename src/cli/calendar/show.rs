//! `liaison calendar show`: a year, month by month.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use jiff::civil::Date;
use serde_json::json;

use super::{LABEL_WIDTH, labelled, names, read, sample, title};
use crate::cli::exit::{Done, Exit};
use crate::cli::print::Screen;
use crate::cli::table::{Style, pad, wrap};
use crate::model::calendar::{Day, YearCalendar};
use crate::model::text::escape;

/// Shows the working days of a year, from a calendar file or a sample.
#[derive(Debug, Args)]
#[command(after_help = "Samples: vn-2025, vn-2026, cn-2025, cn-2026.")]
#[group(required = true, multiple = false)]
pub(crate) struct Show {
    /// A calendar file, such as those in calendars/.
    file: Option<PathBuf>,
    /// A sample that comes with the program, such as vn-2026.
    #[arg(long, value_name = "NAME")]
    sample: Option<String>,
}

impl Show {
    pub(super) fn run(self, screen: Screen) -> Done {
        let calendar = match (self.file, self.sample) {
            (Some(file), _) => read(&file)?,
            (None, name) => sample(&name.unwrap_or_default())?,
        };
        if screen.json {
            screen.json(&as_json(&calendar))?;
        } else {
            screen.raw(render(&calendar, screen).as_bytes())?;
        }
        Ok(Exit::Ok)
    }
}

/// Columns of a month: seven days of two digits and a mark.
const MONTH_WIDTH: usize = 21;
const GAP: &str = "   ";

fn render(calendar: &YearCalendar, screen: Screen) -> String {
    let mut out = String::new();
    let mut line = |name, words: &str| out.push_str(&labelled(name, words, screen));
    let title = title(calendar);
    line("calendar", &Style::Bold.paint(&title, screen.colour));
    line("time zone", calendar.zone_name());
    line("authority", &escape(calendar.authority()));
    let width = screen.text_width() - LABEL_WIDTH;
    let source = wrap(&escape(calendar.source()), width);
    for (number, part) in source.iter().enumerate() {
        line(if number == 0 { "source" } else { "" }, part);
    }
    let days: usize = (1..=12).map(|month| working(calendar, month)).sum();
    line("working days", &days.to_string());
    line("marks", "x weekday off   + weekend day worked");

    let months: Vec<Vec<String>> = (1..=12)
        .map(|month| month_lines(calendar, month, screen.colour))
        .collect();
    let beside = match screen.width {
        Some(width) => ((width + GAP.len()) / (MONTH_WIDTH + GAP.len())).clamp(1, 4),
        None => 3,
    };
    for row in months.chunks(beside) {
        out.push('\n');
        for number in 0..row.iter().map(Vec::len).max().unwrap_or(0) {
            let cells: Vec<&str> = row
                .iter()
                .map(|month| month.get(number).map_or(BLANK, String::as_str))
                .collect();
            out.push_str(cells.join(GAP).trim_end());
            out.push('\n');
        }
    }

    for (heading, listed) in [
        ("Weekdays off", calendar.days_off()),
        ("Weekend days worked", calendar.working_days()),
    ] {
        let _ = writeln!(out, "\n{heading}: {}", listed.len());
        for (date, name) in listed {
            let line = format!("  {}  {}", date.strftime("%a %Y-%m-%d"), names(name));
            let _ = writeln!(out, "{}", line.trim_end());
        }
    }
    out
}

/// As wide as a month.
const BLANK: &str = "                     ";

/// The lines of a month, each [`MONTH_WIDTH`] columns wide.
fn month_lines(calendar: &YearCalendar, month: i8, colour: bool) -> Vec<String> {
    let first = Date::constant(calendar.year(), month, 1);
    let title = format!(
        "{}  {} working",
        first.strftime("%B"),
        working(calendar, month)
    );
    let mut lines = vec![
        Style::Bold
            .paint(&pad(&title, MONTH_WIDTH), colour)
            .into_owned(),
        Style::Dim
            .paint("Mo Tu We Th Fr Sa Su ", colour)
            .into_owned(),
    ];
    let mut week = "   ".repeat(
        first
            .weekday()
            .to_monday_zero_offset()
            .unsigned_abs()
            .into(),
    );
    let mut date = first;
    loop {
        let (mark, style) = match calendar.day(date) {
            Some(Day::Off(_)) => ('x', Style::Warn),
            Some(Day::MakeUp(_)) => ('+', Style::Good),
            Some(Day::Weekend) => (' ', Style::Dim),
            Some(Day::Working) | None => (' ', Style::Plain),
        };
        week.push_str(&style.paint(&format!("{:2}{mark}", date.day()), colour));
        let last = date == first.last_of_month();
        if last {
            let left = 6 - date.weekday().to_monday_zero_offset().unsigned_abs();
            week.push_str(&"   ".repeat(left.into()));
        }
        if last || date.weekday() == jiff::civil::Weekday::Sunday {
            lines.push(std::mem::take(&mut week));
        }
        match date.tomorrow() {
            Ok(next) if !last => date = next,
            _ => return lines,
        }
    }
}

/// Working days of a month.
fn working(calendar: &YearCalendar, month: i8) -> usize {
    let first = Date::constant(calendar.year(), month, 1);
    first
        .series(jiff::Span::new().days(1))
        .take_while(|date| date.month() == month)
        .filter(|date| calendar.is_working_day(*date) == Some(true))
        .count()
}

fn as_json(calendar: &YearCalendar) -> serde_json::Value {
    let list = |days: &std::collections::BTreeMap<Date, _>| -> Vec<_> {
        days.iter()
            .map(|(date, name): (_, &crate::proto::v1::LocalizedText)| {
                json!({"date": date.to_string(), "name": name.texts})
            })
            .collect()
    };
    let months: Vec<_> = (1..=12).map(|month| working(calendar, month)).collect();
    json!({
        "country": calendar.country().as_str(),
        "year": calendar.year(),
        "version": calendar.version(),
        "timeZone": calendar.zone_name(),
        "authority": calendar.authority(),
        "source": calendar.source(),
        "sample": calendar.is_sample(),
        "daysOff": list(calendar.days_off()),
        "workingDays": list(calendar.working_days()),
        "workingDaysOfMonths": months,
        "workingDaysOfYear": months.iter().sum::<usize>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::calendar::find_sample;

    fn plain(width: Option<usize>) -> String {
        let calendar = find_sample("cn-2026").unwrap().read().unwrap();
        let screen = Screen {
            json: false,
            width,
            colour: false,
        };
        render(&calendar, screen)
    }

    #[test]
    fn a_month_stands_under_its_weekdays() {
        let calendar = find_sample("cn-2026").unwrap().read().unwrap();
        let lines = month_lines(&calendar, 2, false);
        assert_eq!(
            lines,
            [
                "February  16 working ",
                "Mo Tu We Th Fr Sa Su ",
                "                   1 ",
                " 2  3  4  5  6  7  8 ",
                " 9 10 11 12 13 14+15 ",
                "16x17x18x19x20x21 22 ",
                "23x24 25 26 27 28+   ",
            ]
        );
        for month in 1..=12 {
            for line in month_lines(&calendar, month, false) {
                assert_eq!(line.len(), MONTH_WIDTH, "{line}");
            }
        }
    }

    #[test]
    fn months_stand_beside_each_other_as_the_terminal_allows() {
        let head = |width| {
            let text = plain(width);
            let line = text.lines().find(|line| line.contains("January")).unwrap();
            line.matches("working").count()
        };
        assert_eq!(head(Some(40)), 1);
        assert_eq!(head(Some(60)), 2);
        assert_eq!(head(Some(80)), 3);
        assert_eq!(head(Some(200)), 4);
        assert_eq!(head(None), 3);
    }
}

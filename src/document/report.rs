//! The figures of a period, for spreadsheets and as a page.

use jiff::tz::TimeZone;

use super::csv::{Cell, Csv};
use super::report_page;
use super::words;
use crate::model::report::catalogue::{self, Definition};
use crate::model::report::{Group, Label};
use crate::proto::v1;

/// The figures of a period with what surrounds them, as the desk gives them.
#[derive(Debug, Clone, Copy)]
pub struct Report<'a> {
    /// The answer of the desk.
    pub answer: &'a v1::ReportResponse,
    /// The zone in which its days are days.
    pub zone: &'a TimeZone,
}

/// A figure by the three it may be of.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    /// What it is.
    pub definition: &'static Definition,
    /// Of the own side, of the peer, of both; where there are such.
    pub figures: [Option<&'a v1::ReportFigure>; 3],
}

impl Row<'_> {
    /// Whether there is nothing in it worth a line: a kind of case that there was none of.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let is_split = matches!(self.definition.group, Group::Cases | Group::Activities)
            && !self.definition.name.contains(".all.");
        let may_be_left_out = is_split || self.definition.name.ends_with(".unknown");
        let is_zero = |figure: &v1::ReportFigure| {
            figure.value.unwrap_or_default() == 0 && figure.not_computable.is_empty()
        };
        may_be_left_out && self.figures.iter().flatten().all(|figure| is_zero(figure))
    }
}

impl<'a> Report<'a> {
    /// The rows of a group, in order; those that are empty left out.
    #[must_use]
    pub fn rows(&self, group: Group) -> Vec<Row<'a>> {
        let all = catalogue::all().iter().filter(|of| of.group == group);
        all.map(|definition| Row {
            definition,
            figures: [
                self.figure(&definition.name, &self.answer.node),
                self.figure(&definition.name, &self.answer.peer),
                self.figure(&definition.name, ""),
            ],
        })
        .filter(|row| row.figures.iter().any(Option::is_some) && !row.is_empty())
        .collect()
    }

    /// A figure by name and side; an empty side is both.
    #[must_use]
    pub fn figure(&self, name: &str, side: &str) -> Option<&'a v1::ReportFigure> {
        let mut figures = self.answer.figures.iter();
        figures.find(|figure| figure.name == name && figure.side == side)
    }

    /// First and last day of the period, if both of its instants are midnights of the zone.
    #[must_use]
    pub fn days(&self) -> Option<(String, String)> {
        let local = |time: Option<&prost_types::Timestamp>| {
            let time = words::of_wire(time?)?;
            let zoned = time.to_zoned(self.zone.clone());
            (zoned.time() == jiff::civil::Time::midnight()).then(|| zoned.date())
        };
        let from = local(self.answer.from.as_ref())?;
        let to = local(self.answer.to.as_ref())?;
        Some((from.to_string(), to.yesterday().ok()?.to_string()))
    }

    /// The period in words: `2025-01-01 – 2025-12-31`, or its instants.
    #[must_use]
    pub fn period(&self) -> String {
        if let Some((first, last)) = self.days() {
            return format!("{first} – {last}");
        }
        let instant = |time: Option<&prost_types::Timestamp>| {
            time.and_then(words::of_wire)
                .map_or_else(String::new, |time| {
                    words::exact_moment(time, std::slice::from_ref(self.zone))
                })
        };
        format!(
            "{} – {}",
            instant(self.answer.from.as_ref()),
            instant(self.answer.to.as_ref())
        )
    }

    /// The figures as comma-separated values: one line for each, with its labels in three
    /// languages.
    #[must_use]
    pub fn csv(&self) -> String {
        let mut csv = Csv::default();
        csv.row(
            &[
                "name",
                "side",
                "value",
                "unit",
                "label_vi",
                "label_zh",
                "label_en",
                "note",
                "from",
                "to",
                "time_zone",
            ]
            .map(Cell::Text),
        );
        let instant = |time: Option<&prost_types::Timestamp>| {
            let time = time.and_then(words::of_wire);
            time.map_or_else(String::new, |time| time.to_string())
        };
        let from = instant(self.answer.from.as_ref());
        let to = instant(self.answer.to.as_ref());
        for figure in &self.answer.figures {
            let label = label_of(&figure.name);
            let label = |of: fn(&Label) -> &str| label.map_or("", of);
            let note = if figure.not_computable.is_empty() {
                String::new()
            } else {
                format!("not computable: {}", figure.not_computable)
            };
            csv.row(&[
                Cell::Text(&figure.name),
                Cell::Text(&figure.side),
                figure.value.map_or(Cell::Empty, Cell::Number),
                Cell::Text(&figure.unit),
                Cell::Text(label(|label| &label.vi)),
                Cell::Text(label(|label| &label.zh)),
                Cell::Text(label(|label| &label.en)),
                Cell::Text(&note),
                Cell::Text(&from),
                Cell::Text(&to),
                Cell::Text(&self.answer.time_zone),
            ]);
        }
        csv.into_string()
    }

    /// The figures as one page with charts, in A4.
    #[must_use]
    pub fn page(&self) -> String {
        report_page::page(self)
    }
}

/// The labels of a figure.
#[must_use]
pub fn label_of(name: &str) -> Option<&'static Label> {
    catalogue::find(name).map(|definition| &definition.label)
}

/// What a figure comes to, as people read it: `97.3 %`, `2 h 05 min`; a dash if there was nothing
/// to measure.
#[must_use]
pub fn value(figure: &v1::ReportFigure) -> String {
    if !figure.not_computable.is_empty() {
        return "?".to_owned();
    }
    let Some(value) = figure.value else {
        return "—".to_owned();
    };
    match figure.unit.as_str() {
        "permille" => format!("{}.{} %", value / 10, (value % 10).abs()),
        "seconds" => length(value),
        _ => value.to_string(),
    }
}

fn length(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    if seconds < 120 {
        format!("{seconds} s")
    } else if hours < 1 {
        format!("{minutes} min")
    } else if days < 2 {
        format!("{hours} h {:02} min", minutes % 60)
    } else {
        format!("{days} d {:02} h", hours % 24)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_by_people() {
        let of = |unit: &str, number: Option<i64>| {
            value(&v1::ReportFigure {
                unit: unit.to_owned(),
                value: number,
                ..v1::ReportFigure::default()
            })
        };
        assert_eq!(of("count", Some(1_182)), "1182");
        assert_eq!(of("permille", Some(973)), "97.3 %");
        assert_eq!(of("permille", Some(1_000)), "100.0 %");
        assert_eq!(of("working-days", Some(4)), "4");
        assert_eq!(of("count", None), "—");
        for (seconds, text) in [
            (59, "59 s"),
            (119, "119 s"),
            (120, "2 min"),
            (3_599, "59 min"),
            (3_600, "1 h 00 min"),
            (172_799, "47 h 59 min"),
            (172_800, "2 d 00 h"),
        ] {
            assert_eq!(of("seconds", Some(seconds)), text);
        }
        let missing = v1::ReportFigure {
            not_computable: "calendar CN 2026 missing".to_owned(),
            ..v1::ReportFigure::default()
        };
        assert_eq!(value(&missing), "?");
    }
}

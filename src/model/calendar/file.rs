//! A calendar as a TOML file, and the samples that come with the program.
//!
//! The keys are those of the notification's fields, as the proto names them.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::parse::Names;
use super::year::YearCalendar;
use crate::limits;
use crate::model::check::FieldFault;
use crate::model::text::excerpt;
use crate::proto::v1;

/// Why a calendar file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CalendarFileError {
    /// Longer than any calendar.
    #[error(
        "it has {bytes} bytes, over the limit of {}",
        limits::CALENDAR_FILE_BYTES_MAX
    )]
    TooLong {
        /// Bytes of the file.
        bytes: usize,
    },
    /// It is no TOML, or not in the form of a calendar.
    #[error("line {line}, column {column}: {reason}")]
    Form {
        /// Counted from 1.
        line: usize,
        /// In characters, counted from 1.
        column: usize,
        /// What is wrong; safe to show on a terminal.
        reason: String,
    },
    /// Values are wrong.
    #[error("{} of its values cannot be right", .0.len())]
    Faults(Vec<FieldFault>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    year: i32,
    version: u32,
    country: String,
    time_zone: String,
    authority: String,
    source: String,
    sample: bool,
    days_off: Vec<FileDay>,
    working_days: Vec<FileDay>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileDay {
    date: String,
    #[serde(default)]
    name: BTreeMap<String, String>,
}

/// Reads a calendar file, strictly: an unknown key is refused, because a day under a misspelt key
/// would silently be worked.
///
/// # Errors
/// [`CalendarFileError`]; of values, every fault, by the file's own keys.
pub fn read_toml(text: &str) -> Result<YearCalendar, CalendarFileError> {
    let bytes = text.len();
    if bytes > limits::CALENDAR_FILE_BYTES_MAX {
        return Err(CalendarFileError::TooLong { bytes });
    }
    let file: File = toml::from_str(text).map_err(|error| misshapen(text, &error))?;
    YearCalendar::parse(&file.into_message(), "", &Names::TOML).map_err(CalendarFileError::Faults)
}

impl File {
    fn into_message(self) -> v1::Calendar {
        let days = |list: Vec<FileDay>| {
            list.into_iter()
                .map(|day| v1::CalendarDay {
                    date: day.date,
                    name: Some(v1::LocalizedText { texts: day.name }),
                })
                .collect()
        };
        v1::Calendar {
            common: None,
            year: self.year,
            version: self.version,
            country: self.country,
            time_zone: self.time_zone,
            days_off: days(self.days_off),
            working_days: days(self.working_days),
            source: self.source,
            sample: self.sample,
            authority: self.authority,
        }
    }
}

fn misshapen(text: &str, error: &toml::de::Error) -> CalendarFileError {
    let before = error
        .span()
        .and_then(|span| text.get(..span.start))
        .unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    CalendarFileError::Form {
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
        reason: excerpt(error.message(), 300),
    }
}

/// A sample calendar that comes with the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SampleCalendar {
    /// Name of the file in `calendars/`, without `.toml`: country in small letters and year.
    pub name: &'static str,
    /// The file's text.
    pub toml: &'static str,
}

impl SampleCalendar {
    /// The calendar.
    ///
    /// # Errors
    /// None for those of [`samples`]; a test reads them all.
    pub fn read(&self) -> Result<YearCalendar, CalendarFileError> {
        read_toml(self.toml)
    }
}

macro_rules! samples {
    ($($name:literal),+ $(,)?) => {
        &[$(SampleCalendar {
            name: $name,
            toml: include_str!(concat!("../../../calendars/", $name, ".toml")),
        }),+]
    };
}

const SAMPLES: &[SampleCalendar] = samples!["cn-2025", "cn-2026", "vn-2025", "vn-2026"];

/// Every sample, by country and year.
#[must_use]
pub const fn samples() -> &'static [SampleCalendar] {
    SAMPLES
}

/// The sample of that name.
#[must_use]
pub fn find_sample(name: &str) -> Option<&'static SampleCalendar> {
    SAMPLES.iter().find(|sample| sample.name == name)
}

//! Working-day calendars: which days of a year a side works.
//!
//! Holidays and the weekend days worked to make up for them are decided anew each year, so they
//! are data, published by each side for itself as a CALENDAR notification, never code.
//!
//! - [`YearCalendar`]: one side, one year, one version; read from the notification or from TOML.
//! - [`CalendarSet`]: the versions of one side that count for one request.
//! - [`add_working_days`]: the counting. What it means for deadlines is in [`super::deadline`].
//!
//! A day off is a Saturday, a Sunday or a listed weekday; a listed Saturday or Sunday is worked.
//! Nothing is ever guessed: a day of a year without calendar is an error that says which calendar
//! is missing.

mod file;
mod parse;
mod set;
mod working_days;
mod year;

pub use self::file::{CalendarFileError, SampleCalendar, find_sample, read_toml, samples};
pub use self::set::{CalendarError, CalendarSet};
pub use self::working_days::{Counted, add_working_days};
pub use self::year::{Country, Day, YEAR_MAX, YEAR_MIN, YearCalendar};

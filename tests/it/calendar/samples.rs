//! The sample files: what they list, and what a file must not be.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use jiff::civil::Date;
use liaison::limits;
use liaison::model::calendar::{CalendarFileError, YearCalendar, read_toml, samples};
use liaison::proto::v1::LocalizedText;

use super::sample;

/// Name, zone, weekdays off, weekend days worked, as the published decisions list them.
type Row = (&'static str, &'static str, &'static str, &'static str);

const TABLE: [Row; 4] = [
    (
        "vn-2025",
        "Asia/Ho_Chi_Minh",
        "1 Jan; 27 Jan; 28 Jan; 29 Jan; 30 Jan; 31 Jan; 7 Apr; 30 Apr; 1 May; 2 May; 1 Sep; 2 Sep",
        "Sat 26 Apr",
    ),
    (
        "vn-2026",
        "Asia/Ho_Chi_Minh",
        "1 Jan; 2 Jan; 16 Feb; 17 Feb; 18 Feb; 19 Feb; 20 Feb; 27 Apr; 30 Apr; 1 May; 31 Aug; \
         1 Sep; 2 Sep; 24 Nov",
        "Sat 10 Jan; Sat 22 Aug",
    ),
    (
        "cn-2025",
        "Asia/Shanghai",
        "1 Jan; 28 Jan; 29 Jan; 30 Jan; 31 Jan; 3 Feb; 4 Feb; 4 Apr; 1 May; 2 May; 5 May; 2 Jun; \
         1 Oct; 2 Oct; 3 Oct; 6 Oct; 7 Oct; 8 Oct",
        "Sun 26 Jan; Sat 8 Feb; Sun 27 Apr; Sun 28 Sep; Sat 11 Oct",
    ),
    (
        "cn-2026",
        "Asia/Shanghai",
        "1 Jan; 2 Jan; 16 Feb; 17 Feb; 18 Feb; 19 Feb; 20 Feb; 23 Feb; 6 Apr; 1 May; 4 May; \
         5 May; 19 Jun; 25 Sep; 1 Oct; 2 Oct; 5 Oct; 6 Oct; 7 Oct",
        "Sun 4 Jan; Sat 14 Feb; Sat 28 Feb; Sat 9 May; Sun 20 Sep; Sat 10 Oct",
    ),
];

#[test]
fn the_samples_are_the_published_table() {
    assert_eq!(samples().len(), TABLE.len());
    for (name, zone, off, worked) in TABLE {
        let calendar = sample(name);
        let (country, year) = name.split_once('-').unwrap();
        assert_eq!(calendar.country().as_str(), country.to_uppercase());
        assert_eq!(calendar.year().to_string(), year);
        assert_eq!(calendar.zone_name(), zone);
        assert_eq!(calendar.version(), 1);
        let listed = |days: &BTreeMap<Date, LocalizedText>, pattern: &str| {
            let dates: Vec<_> = days
                .keys()
                .map(|date| date.strftime(pattern).to_string())
                .collect();
            dates.join("; ")
        };
        assert_eq!(listed(calendar.days_off(), "%-d %b"), off, "{name}");
        assert_eq!(
            listed(calendar.working_days(), "%a %-d %b"),
            worked,
            "{name}"
        );
    }
}

#[test]
fn the_samples_say_that_they_are_samples_and_name_every_day_in_two_languages() {
    for (name, ..) in TABLE {
        let calendar = sample(name);
        assert!(calendar.is_sample());
        assert!(calendar.source().contains("confirms its own"), "{name}");
        let national = if name.starts_with("vn") {
            "vi"
        } else {
            "zh-Hans"
        };
        for (date, day) in calendar.days_off().iter().chain(calendar.working_days()) {
            let tags: Vec<_> = day.texts.keys().map(String::as_str).collect();
            let mut expected = vec!["en", national];
            expected.sort_unstable();
            assert_eq!(tags, expected, "{date}");
        }
    }
}

#[test]
fn the_files_beside_the_source_are_those_built_in() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("calendars");
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), TABLE.len());
    for (name, ..) in TABLE {
        let text = std::fs::read_to_string(dir.join(format!("{name}.toml"))).unwrap();
        assert_eq!(read_toml(&text), Ok(sample(name)));
    }
}

#[test]
fn a_sample_can_be_published_and_read_back() {
    for (name, ..) in TABLE {
        let calendar = sample(name);
        let message = calendar.to_message(liaison::proto::v1::Common::default());
        let again = YearCalendar::from_message(&message, "body.calendar").unwrap();
        assert_eq!(again, calendar);
    }
}

fn edited(from: &str, to: &str) -> Result<YearCalendar, CalendarFileError> {
    let text = liaison::model::calendar::find_sample("vn-2026")
        .unwrap()
        .toml;
    assert!(text.contains(from));
    read_toml(&text.replacen(from, to, 1))
}

#[test]
fn an_unknown_key_is_refused_where_it_stands() {
    for (from, to, key) in [
        ("sample = true", "sample = true\nsampel = false", "sampel"),
        ("working_days = [", "workingDays = [", "workingDays"),
        ("date = \"2026-01-01\"", "day = \"2026-01-01\"", "day"),
        ("sample = true", "", "sample"),
    ] {
        let Err(CalendarFileError::Form { line, reason, .. }) = edited(from, to) else {
            panic!("{to} was taken");
        };
        assert!(line >= 1 && reason.contains(key), "{line}: {reason}");
    }
    let Err(CalendarFileError::Form { line, .. }) = edited("version = 1", "version = \"1\"") else {
        panic!("a version is a number");
    };
    assert_eq!(line, 5);
}

#[test]
fn values_are_told_by_the_keys_of_the_file() {
    let text = liaison::model::calendar::find_sample("vn-2026")
        .unwrap()
        .toml;
    let text = text
        .replace("Asia/Ho_Chi_Minh", "Asia/Hanoi")
        .replace("2026-02-16", "2026-02-14")
        .replace("2026-01-10", "2026-01-12");
    let Err(CalendarFileError::Faults(faults)) = read_toml(&text) else {
        panic!("it was taken");
    };
    let fields: Vec<_> = faults.iter().map(|fault| fault.field.as_str()).collect();
    let expected = ["time_zone", "days_off[2].date", "working_days[0].date"];
    assert_eq!(fields, expected);
}

#[test]
fn a_file_may_have_so_many_bytes_and_no_more() {
    let text = liaison::model::calendar::find_sample("vn-2026")
        .unwrap()
        .toml;
    let fill = "#".repeat(limits::CALENDAR_FILE_BYTES_MAX - text.len());
    let longest = text.to_owned() + &fill;
    assert_eq!(longest.len(), limits::CALENDAR_FILE_BYTES_MAX);
    assert!(read_toml(&longest).is_ok());
    let bytes = limits::CALENDAR_FILE_BYTES_MAX + 1;
    assert_eq!(
        read_toml(&(longest + "#")),
        Err(CalendarFileError::TooLong { bytes })
    );
}

#[test]
fn the_largest_honest_file_fits() {
    // Every day of a leap year, named in three languages.
    let mut date = Date::constant(2028, 1, 1);
    let mut lists = [String::new(), String::new()];
    while date.year() == 2028 {
        let weekend = date.weekday().to_monday_zero_offset() >= 5;
        let vi = "Nghỉ bù Giỗ Tổ Hùng Vương".repeat(2);
        let zh = "国庆节、中秋节调休上班";
        let en = "Make-up day for National Day and Mid-Autumn Festival";
        let name = format!("{{ vi = \"{vi}\", zh-Hans = \"{zh}\", en = \"{en}\" }}");
        let list = &mut lists[usize::from(weekend)];
        writeln!(list, "  {{ date = \"{date}\", name = {name} }},").unwrap();
        date = date.tomorrow().unwrap();
    }
    let [off, worked] = lists;
    let text = format!(
        "year = 2028\nversion = 1\ncountry = \"VN\"\ntime_zone = \"Asia/Ho_Chi_Minh\"\n\
         authority = \"a\"\nsource = \"s\"\nsample = true\ndays_off = [\n{off}]\n\
         working_days = [\n{worked}]\n"
    );
    let calendar = read_toml(&text).unwrap();
    let days = calendar.days_off().len() + calendar.working_days().len();
    assert_eq!(days, limits::CALENDAR_DAYS_MAX);
}

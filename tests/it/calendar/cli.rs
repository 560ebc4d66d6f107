//! The program's own words on calendars and deadlines, which officers check by hand.

use std::path::Path;
use std::process::{Command, Output};

/// Runs the program at the repository's root, in a zone that must have no say.
fn calendar(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_liaison"))
        .arg("calendar")
        .args(arguments)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .env("TZ", "America/Havana")
        .env("TZDIR", "/nonexistent")
        .env_remove("COLUMNS")
        .env_remove("LIAISON_CONFIG")
        .output()
        .unwrap()
}

#[track_caller]
fn said(output: &Output, code: i32) -> String {
    let out = String::from_utf8(output.stdout.clone()).unwrap();
    let err = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(code), "{out}\n{err}");
    out + &err
}

#[test]
fn a_deadline_is_told_day_by_day_and_in_both_zones() {
    let received = ["due", "--received", "2026-02-13T23:59+07:00", "--days", "7"];
    let from_sample = said(
        &calendar(&[&received[..], &["--samples", "vn"]].concat()),
        0,
    );
    for line in [
        "received      Fri 2026-02-13 23:59:00 +07:00  Asia/Ho_Chi_Minh",
        "              Sat 2026-02-14 00:59:00 +08:00  Asia/Shanghai",
        "calendar      VN 2026, version 1, SAMPLE: to be confirmed before use",
        "    -  Sun 2026-02-22  weekend",
        "    1  Mon 2026-02-23",
        "    7  Tue 2026-03-03",
        "due           Tue 2026-03-03 24:00 +07:00  Asia/Ho_Chi_Minh",
        "              Wed 2026-03-04 01:00 +08:00  Asia/Shanghai",
    ] {
        assert!(
            from_sample.lines().any(|said| said == line),
            "{line}\n{from_sample}"
        );
    }
    let file = ["calendars/vn-2026.toml"];
    let from_file = said(&calendar(&[&received[..], &file].concat()), 0);
    assert_eq!(from_file, from_sample);
}

#[test]
fn an_extension_shows_both_ends() {
    let arguments = ["due", "--received", "2026-02-04T09:00+08:00", "--extension"];
    let output = calendar(&[&arguments[..], &["--samples", "CN"]].concat());
    let text = said(&output, 0);
    assert!(
        text.contains("    7  Fri 2026-02-13  due without the extension\n"),
        "{text}"
    );
    assert!(
        text.contains("due           Fri 2026-02-27 24:00 +08:00"),
        "{text}"
    );
    let output = calendar(&[&arguments[..], &["--samples", "cn", "--json"]].concat());
    let value: serde_json::Value = serde_json::from_str(&said(&output, 0)).unwrap();
    assert_eq!(value["due"], "2026-02-27T16:00:00Z");
    assert_eq!(value["dueWithoutExtension"], "2026-02-13T16:00:00Z");
    assert_eq!(value["counted"].as_array().unwrap().len(), 12);
    assert_eq!(value["calendars"][0]["sample"], true);
}

#[test]
fn what_cannot_be_counted_is_told_with_what_to_do() {
    let due = |more: &[&str]| calendar(&[&["due"], more].concat());
    let missing = due(&["--received", "2026-12-28T10:00+07:00", "--samples", "vn"]);
    let text = said(&missing, 65);
    assert!(
        text.contains("of VN for 2027 has not been published"),
        "{text}"
    );
    assert!(text.contains("publishes its calendar of 2027"), "{text}");
    // A time without offset would be read in the machine's zone.
    let local = due(&["--received", "2026-12-28T10:00", "--samples", "vn"]);
    assert!(said(&local, 2).contains("with its offset"));
    let files = ["calendars/vn-2026.toml", "calendars/cn-2026.toml"];
    let mixed = due(&[&["--received", "2026-02-13T10:00Z"][..], &files].concat());
    assert!(said(&mixed, 2).contains("two countries, VN and CN"));
    let unknown = due(&["--received", "2026-02-13T10:00Z", "--samples", "fr"]);
    assert!(said(&unknown, 2).contains("there are vn and cn"));
    let none = due(&["--received", "2026-02-13T10:00Z"]);
    assert!(said(&none, 2).contains("--samples"));
}

#[test]
fn a_year_is_shown_with_its_marks_and_names() {
    let text = said(&calendar(&["show", "--sample", "cn-2026"]), 0);
    for part in [
        "calendar      CN 2026, version 1, SAMPLE: to be confirmed before use",
        "16x17x18x19x20x21 22 ",
        "23x24 25 26 27 28+",
        "  Sun 2026-09-20  Make-up day for National Day · 国庆节调休上班",
        "Weekdays off: 19",
        "Weekend days worked: 6",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    let from_file = said(&calendar(&["show", "calendars/cn-2026.toml"]), 0);
    assert_eq!(from_file, text);
    let json = said(&calendar(&["show", "--sample", "vn-2026", "--json"]), 0);
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    // 261 weekdays, 14 off, 2 weekend days worked.
    assert_eq!(value["workingDaysOfYear"], 249);
}

#[test]
fn every_fault_of_a_file_is_told_at_once_and_nothing_steers_the_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("vn.toml");
    let good = std::fs::read_to_string("calendars/vn-2026.toml").unwrap();
    let bad = good
        .replace("version = 1", "version = 0")
        .replace("\"VN\"", "\"\\u001b[2J\"")
        .replace("2026-02-16", "2026-02-14");
    std::fs::write(&file, bad).unwrap();
    let text = said(&calendar(&["show", file.to_str().unwrap()]), 65);
    for part in [
        "  version\n",
        "  country\n",
        "  days_off[2].date\n      reason: 2026-02-14 is a Saturday",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert!(!text.contains('\u{1b}'), "{text}");
    std::fs::write(&file, good.replace("Victory Day", "\\u001b[2J")).unwrap();
    let text = said(&calendar(&["show", file.to_str().unwrap()]), 0);
    assert!(
        text.contains("\\u{1B}[2J") && !text.contains('\u{1b}'),
        "{text}"
    );
}

//! Rules of what is published and counted: period reports, calendars and rosters; each with an
//! edit of a sample inside it and one outside.

use liaison::limits;
use liaison::model::calendar::YearCalendar;
use liaison::model::sample;
use liaison::proto::v1::body::Body;
use serde_json::{Value, json};

use super::{Case, Edit, assert_fault, assert_inside, assert_outside, edited, faults};

const PERIOD: &str = "period-report";
const CALENDAR: &str = "calendar";
const ROSTER: &str = "roster";

#[rustfmt::skip]
fn inside() -> Vec<Edit> {
    vec![
        (PERIOD, vec![("/body/periodReport/to", json!("2026-10-31T17:00:01Z"))]),
        (PERIOD, vec![("/body/periodReport/logs/0/size", json!("0"))]),
        (PERIOD, vec![("/body/periodReport/logs/0/size", json!("9223372036854775807"))]),
        (PERIOD, vec![("/body/periodReport/figures", json!([{"name": "a"}, {"name": "a", "side": "hekou.ni.cn.example"}, {"name": "a.b-1_c", "value": "-1"}]))]),
        (CALENDAR, vec![("/body/calendar/workingDays", json!([]))]),
        (CALENDAR, vec![("/body/calendar/version", json!(7)), ("/body/calendar/sample", json!(false))]),
        (CALENDAR, vec![("/body/calendar/daysOff/0/name", Value::Null)]),
        (ROSTER, vec![("/body/roster/version", json!(1))]),
        (ROSTER, vec![("/body/roster/validUntil", json!("2026-11-30T16:00:01Z"))]),
        (ROSTER, vec![("/body/roster/entries/0/languages", json!(["zh-Hans-CN", "tyz", "x-local"]))]),
    ]
}

#[rustfmt::skip]
fn outside() -> Vec<Case> {
    let log = "/body/periodReport/logs/0/origin";
    let figures = "/body/periodReport/figures";
    let other = json!({"origin": "a.b/c.d", "size": "1", "root": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="});
    vec![
        (PERIOD, "/body/periodReport/to", json!("2026-10-31T17:00:00Z"), "body.periodReport.to", "not after from"),
        (PERIOD, "/body/periodReport/logs/1", Value::Null, "body.periodReport.logs", "1 logs"),
        (PERIOD, "/body/periodReport/logs/-", other, "body.periodReport.logs", "3 logs"),
        (PERIOD, "/body/periodReport/logs", json!([]), "body.periodReport.logs", "missing"),
        (PERIOD, log, json!("hekou.ni.cn.example/laocai.bg.vn.example"), "body.periodReport.logs[1].origin", "not the other direction"),
        (PERIOD, log, json!("laocai.bg.vn.example"), "body.periodReport.logs[0].origin", "slash"),
        (PERIOD, log, Value::Null, "body.periodReport.logs[0].origin", "missing"),
        (PERIOD, "/body/periodReport/logs/0/size", json!("9223372036854775808"), "body.periodReport.logs[0].size", "more than a log"),
        (PERIOD, "/body/periodReport/logs/0/root", json!("AAAA"), "body.periodReport.logs[0].root", "3 bytes"),
        (PERIOD, "/body/periodReport/logs/0/root", Value::Null, "body.periodReport.logs[0].root", "missing"),
        (PERIOD, figures, json!([]), "body.periodReport.figures", "missing"),
        (PERIOD, figures, json!([{"name": "b"}, {"name": "a"}]), "body.periodReport.figures[1]", "order"),
        (PERIOD, figures, json!([{"name": "a", "side": "laocai.bg.vn.example"}, {"name": "a"}]), "body.periodReport.figures[1]", "order"),
        (PERIOD, figures, json!([{"name": "a"}, {"name": "a", "value": "2"}]), "body.periodReport.figures[1]", "same name and side"),
        (PERIOD, figures, json!([{"name": "Calls"}]), "body.periodReport.figures[0].name", "no name of a figure"),
        (PERIOD, figures, json!([{"name": "a..b"}]), "body.periodReport.figures[0].name", "no name of a figure"),
        (PERIOD, figures, json!([{"name": "a", "side": "elsewhere.example"}]), "body.periodReport.figures[0].side", "neither log"),
        (CALENDAR, "/body/calendar/year", json!(1999), "body.calendar.year", "1999 is not between"),
        (CALENDAR, "/body/calendar/year", json!(2025), "body.calendar.daysOff[0].date", "not in 2025"),
        (CALENDAR, "/body/calendar/version", json!(0), "body.calendar.version", "from 1"),
        (CALENDAR, "/body/calendar/country", json!("VNM"), "body.calendar.country", "no country code"),
        (CALENDAR, "/body/calendar/country", Value::Null, "body.calendar.country", "missing"),
        (CALENDAR, "/body/calendar/timeZone", json!("Hanoi"), "body.calendar.timeZone", "no time zone"),
        (CALENDAR, "/body/calendar/daysOff/0/date", json!("2026-02-30"), "body.calendar.daysOff[0].date", "no date"),
        (CALENDAR, "/body/calendar/daysOff/0/date", json!("2026-01-03"), "body.calendar.daysOff[0].date", "Saturday"),
        (CALENDAR, "/body/calendar/daysOff/1/date", json!("2026-01-01"), "body.calendar.daysOff[1].date", "twice"),
        (CALENDAR, "/body/calendar/workingDays/0/date", json!("2026-01-12"), "body.calendar.workingDays[0].date", "Monday"),
        (CALENDAR, "/body/calendar/authority", Value::Null, "body.calendar.authority", "missing"),
        (ROSTER, "/body/roster/version", json!(0), "body.roster.version", "must be 1"),
        (ROSTER, "/body/roster/validUntil", json!("2026-11-30T16:00:00Z"), "body.roster.validUntil", "not after validFrom"),
        (ROSTER, "/body/roster/entries", json!([]), "body.roster.entries", "missing"),
        (ROSTER, "/body/roster/entries/1/officer/phone", Value::Null, "body.roster.entries[1].officer.phone", "can be called"),
        (ROSTER, "/body/roster/entries/1/officer/phone", json!(" "), "body.roster.entries[1].officer.phone", "can be called"),
        (ROSTER, "/body/roster/entries/0/languages", json!([]), "body.roster.entries[0].languages", "missing"),
        (ROSTER, "/body/roster/entries/0/languages/0", json!("中文"), "body.roster.entries[0].languages[0]", "no language tag"),
        (ROSTER, "/body/roster/entries/0/languages/0", json!("zh-hans"), "body.roster.entries[0].languages[0]", "customary"),
        (ROSTER, "/body/roster/entries/0/languages/0", json!("vi"), "body.roster.entries[0].languages[1]", "twice"),
        (ROSTER, "/body/roster/entries/0/role", Value::Null, "body.roster.entries[0].role", "missing"),
    ]
}

#[test]
fn edits_inside_the_rules_are_sendable() {
    assert_inside(inside());
}

#[test]
fn edits_outside_the_rules_are_refused_at_their_field() {
    assert_outside(outside());
}

#[test]
fn what_is_blank_in_a_calendar_is_told_once() {
    let draft = edited(
        CALENDAR,
        &[
            ("/body/calendar/country", Value::Null),
            ("/body/calendar/timeZone", Value::Null),
            ("/body/calendar/source", Value::Null),
            ("/body/calendar/daysOff/0/date", json!("")),
        ],
    );
    let told: Vec<String> = faults(&draft).into_iter().map(|f| f.field).collect();
    for field in ["country", "timeZone", "source", "daysOff[0].date"] {
        let field = format!("body.calendar.{field}");
        assert_eq!(told.iter().filter(|f| **f == field).count(), 1, "{told:?}");
    }
    assert_eq!(told.len(), 4);
}

#[test]
fn the_sample_calendar_says_the_days_of_the_sample_file() {
    let draft = sample::find(CALENDAR).unwrap().draft().unwrap();
    let Some(Body::Calendar(message)) = draft.body.unwrap().body else {
        unreachable!("the sample is a calendar")
    };
    let said = YearCalendar::from_message(&message, "").unwrap();
    let file = include_str!("../../../calendars/vn-2026.toml");
    let filed = liaison::model::calendar::read_toml(file).unwrap();
    let dates = |days: Vec<liaison::proto::v1::CalendarDay>| {
        days.into_iter().map(|day| day.date).collect::<Vec<_>>()
    };
    let (said, filed) = [said, filed]
        .map(|calendar| calendar.to_message(liaison::proto::v1::Common::default()))
        .into();
    assert_eq!(dates(said.days_off), dates(filed.days_off));
    assert_eq!(dates(said.working_days), dates(filed.working_days));
    assert_eq!(said.time_zone, filed.time_zone);
}

#[test]
fn figures_one_over_are_refused() {
    let with = |count: usize| {
        let figures: Vec<_> = (0..count)
            .map(|index| json!({"name": format!("figure-{index:04}"), "value": "1"}))
            .collect();
        edited(PERIOD, &[("/body/periodReport/figures", json!(figures))])
    };
    assert_eq!(faults(&with(limits::REPORT_FIGURES_MAX)), []);
    let over = with(limits::REPORT_FIGURES_MAX + 1);
    assert_fault(&over, "body.periodReport.figures", "1001 elements");
}

#[test]
fn calendar_days_one_over_are_refused() {
    // Weekdays of a year are 262 at most, so only the count can be reached, not a good calendar.
    let with = |count: usize| {
        let days = vec![json!({"date": "2026-01-01"}); count];
        edited(
            CALENDAR,
            &[
                ("/body/calendar/daysOff", json!(days)),
                ("/body/calendar/workingDays", json!([])),
                ("/body/calendar/common/languages", json!([])),
            ],
        )
    };
    let told = |count| {
        let faults = faults(&with(count));
        faults.iter().any(|f| f.field == "body.calendar.daysOff")
    };
    assert!(!told(limits::CALENDAR_DAYS_MAX));
    assert!(told(limits::CALENDAR_DAYS_MAX + 1));
}

#[test]
fn roster_entries_and_their_languages_one_over_are_refused() {
    let json: Value = serde_json::from_str(sample::find(ROSTER).unwrap().json).unwrap();
    let entry = &json["body"]["roster"]["entries"][0];
    let with = |count: usize| {
        let entries = vec![entry.clone(); count];
        edited(ROSTER, &[("/body/roster/entries", json!(entries))])
    };
    assert_eq!(faults(&with(limits::REPEATED_MAX)), []);
    let over = with(limits::REPEATED_MAX + 1);
    assert_fault(&over, "body.roster.entries", "257 elements");

    let tags = ["vi", "zh-Hans", "en", "fr", "lo", "km", "th", "ru", "my"];
    let pointer = "/body/roster/entries/0/languages";
    let with = |count: usize| edited(ROSTER, &[(pointer, json!(tags[..count]))]);
    assert_eq!(faults(&with(limits::LANGUAGES_MAX)), []);
    let over = with(limits::LANGUAGES_MAX + 1);
    assert_fault(&over, "body.roster.entries[0].languages", "9 elements");
}

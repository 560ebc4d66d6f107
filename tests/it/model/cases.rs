//! Information on cases, and hotline calls.

use liaison::limits::CALL_SECONDS_MAX;
use serde_json::{Value, json};

use super::assert_rules;

#[test]
fn figures_of_cases_can_be_true() {
    assert_rules(
        "case-notice",
        vec![
            vec![("suspects", json!(9))],
            vec![("prosecutions", json!(5))],
            // Only suspects were counted.
            vec![("persons", json!(0))],
            vec![("cases", json!(0)), ("prosecutions", json!(0))],
            vec![("to", json!("2026-10-31T17:00:00Z"))],
            vec![
                ("place", Value::Null),
                ("common/notApplicable", json!(["place"])),
            ],
        ],
        vec![
            ("suspects", json!(10), "suspects", "10 suspects"),
            ("persons", json!(5), "suspects", "5 persons"),
            ("prosecutions", json!(6), "prosecutions", "6 prosecutions"),
            ("cases", json!(1), "prosecutions", "the 1 cases"),
            ("to", json!("2026-10-31T16:59:59Z"), "to", "is not after"),
            ("from", Value::Null, "from", "missing"),
            ("category", Value::Null, "category", "missing"),
            ("category", json!(99), "category", "no CaseCategory"),
            ("place", Value::Null, "place", "neither"),
            (
                "place/markers/first",
                json!(168),
                "place.markers.last",
                "comes before",
            ),
            ("description", Value::Null, "description", "neither"),
        ],
    );
}

#[test]
fn calls_take_a_second_to_a_day() {
    assert_rules(
        "hotline-call",
        vec![
            vec![("durationSeconds", json!(1))],
            vec![("durationSeconds", json!(CALL_SECONDS_MAX))],
        ],
        vec![
            (
                "durationSeconds",
                json!(0),
                "durationSeconds",
                "0 seconds is not",
            ),
            (
                "durationSeconds",
                json!(CALL_SECONDS_MAX + 1),
                "durationSeconds",
                "86401 seconds is not",
            ),
            ("called", Value::Null, "called", "missing"),
            ("caller/name", json!(""), "caller.name", "missing"),
            ("summary", Value::Null, "summary", "missing"),
        ],
    );
}

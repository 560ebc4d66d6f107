//! Responses, countersignatures and closures.

use serde_json::{Value, json};

use super::assert_rules;

#[test]
fn who_does_not_agree_says_why() {
    let agreed = ("stance", json!("STANCE_AGREED"));
    let english = json!({"texts": {"en": "x"}});
    assert_rules(
        "response",
        vec![
            vec![agreed.clone()],
            vec![
                agreed,
                ("statement", Value::Null),
                ("common/languages", json!([])),
            ],
            vec![("stance", json!("STANCE_DECLINED"))],
            vec![("common/toOffice", Value::Null)],
        ],
        vec![
            (
                "statement",
                Value::Null,
                "statement",
                "STANCE_DIFFERS needs a statement",
            ),
            (
                "statement",
                json!({"texts": {}}),
                "statement",
                "needs a statement",
            ),
            ("statement", english, "statement", "no national language"),
            ("stance", Value::Null, "stance", "missing"),
            ("stance", json!(9), "stance", "no Stance"),
            ("officer", Value::Null, "officer", "missing"),
        ],
    );
    let draft = super::edited(
        "response",
        &[
            ("/body/response/stance", json!("STANCE_DECLINED")),
            ("/body/response/statement", Value::Null),
        ],
    );
    super::assert_fault(&draft, "body.response.statement", "STANCE_DECLINED needs");
}

#[test]
fn a_countersignature_names_what_it_signs() {
    let reason = json!({"texts": {"vi": "Sai số người.", "zh-Hans": "人数有误。"}});
    let not_signed = json!("COUNTERSIGNATURE_STANCE_NOT_SIGNED");
    assert_rules(
        "countersignature",
        vec![
            vec![("disputed", Value::Null), ("common/languages", json!([]))],
            vec![("stance", not_signed.clone()), ("reason", reason.clone())],
            vec![("disputed/0/number", json!(500))],
        ],
        vec![
            ("bodyDigest", Value::Null, "bodyDigest", "missing"),
            (
                "bodyDigest",
                json!("EREREREREREREREREREREREREREREREREREREREREQ=="),
                "bodyDigest",
                "31 bytes",
            ),
            (
                "bodyDigest",
                json!("ERERERERERERERERERERERERERERERERERERERERERER"),
                "bodyDigest",
                "33 bytes",
            ),
            ("stance", not_signed, "reason", "needs a reason"),
            ("reason", reason, "reason", "but it is signed"),
            ("stance", Value::Null, "stance", "missing"),
            ("officer", Value::Null, "officer", "missing"),
            (
                "disputed/0/reason",
                Value::Null,
                "disputed[0].reason",
                "missing",
            ),
            (
                "disputed/0/number",
                json!(0),
                "disputed[0].number",
                "from 1",
            ),
            (
                "disputed/0/number",
                json!(501),
                "disputed[0].number",
                "no person 501",
            ),
            (
                "disputed/-",
                json!({"number": 1}),
                "disputed[1].number",
                "twice",
            ),
        ],
    );
}

#[test]
fn a_closure_has_an_outcome() {
    assert_rules(
        "closure",
        vec![
            vec![("numbers", json!([1, 500]))],
            vec![
                ("statement", Value::Null),
                ("common/languages", json!([])),
                ("common/notApplicable", json!(["statement"])),
            ],
        ],
        vec![
            ("outcome", Value::Null, "outcome", "missing"),
            ("outcome", json!(5), "outcome", "no ClosureOutcome"),
            ("numbers", json!([3, 3]), "numbers[1]", "twice"),
            ("numbers", json!([501]), "numbers[0]", "no person 501"),
            ("statement", Value::Null, "statement", "neither"),
        ],
    );
}

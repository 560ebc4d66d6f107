//! Verification: who persons are, answered one by one.

use serde_json::{Value, json};

use super::assert_rules;

#[test]
fn what_is_asked_of_each_person_is_judged_as_in_a_handover() {
    let zone = json!({"type": "passport", "number": "EX0000001", "issuer": "CHN", "mrz": [
        "P<CHNWANG<<SHILI<<<<<<<<<<<<<<<<<<<<<<<<<<<<",
        "EX00000018CHN9005178M3102282<<<<<<<<<<<<<<02"]});
    assert_rules(
        "verification-request",
        vec![
            vec![
                ("persons/1/document", zone.clone()),
                ("persons/1/birthDate", json!("1990-05-17")),
                ("persons/1/nationality", json!("CHN")),
                ("persons/1/sex", json!("SEX_MALE")),
                ("common/notApplicable/6", Value::Null),
            ],
            vec![("persons/0/nationality", json!("XXX"))],
            vec![
                ("persons/1/question", Value::Null),
                ("common/notApplicable/-", json!("persons[1].question")),
            ],
        ],
        vec![
            (
                "persons/1/claimsNoProtection",
                Value::Null,
                "persons[1].claimsNoProtection",
                "claims no protection",
            ),
            ("persons", json!([]), "persons", "missing"),
            (
                "persons/0/number",
                json!(2),
                "persons[0].number",
                "should be 1",
            ),
            (
                "persons/1/number",
                json!(1),
                "persons[1].number",
                "should be 2",
            ),
            ("persons/0/name", Value::Null, "persons[0].name", "missing"),
            (
                "persons/0/name",
                json!({"native": " "}),
                "persons[0].name",
                "blank",
            ),
            (
                "persons/0/birthDate",
                json!("1994-02-30"),
                "persons[0].birthDate",
                "no date",
            ),
            (
                "persons/0/nationality",
                json!("VN"),
                "persons[0].nationality",
                "no state",
            ),
            (
                "persons/0/photoSha256",
                json!("ERERERERERERERERERERERERERERERERERERERERERE="),
                "persons[0].photoSha256",
                "no attachment",
            ),
            (
                "persons/1/document",
                zone,
                "persons[1].document.mrz",
                "nationality is CHN",
            ),
            (
                "persons/0/document/mrz",
                json!(["SHORT"]),
                "persons[0].document.mrz[0]",
                "",
            ),
            (
                "persons/1/question",
                Value::Null,
                "persons[1].question",
                "neither",
            ),
        ],
    );
}

#[test]
fn each_person_has_one_result_that_a_person_answers_for() {
    assert_rules(
        "verification-reply",
        vec![
            vec![("results/1", Value::Null), ("common/languages", json!([]))],
            vec![
                ("results/0/outcome", json!("VERIFICATION_OUTCOME_NOT_FOUND")),
                ("results/0/nationality", Value::Null),
            ],
            vec![
                (
                    "results/0/outcome",
                    json!("VERIFICATION_OUTCOME_NOT_A_NATIONAL"),
                ),
                ("results/0/nationality", json!("XXA")),
            ],
            vec![("results/0/number", json!(500))],
        ],
        vec![
            ("results", json!([]), "results", "missing"),
            ("results/1/number", json!(1), "results[1].number", "twice"),
            ("results/1/number", json!(0), "results[1].number", "from 1"),
            (
                "results/1/number",
                json!(501),
                "results[1].number",
                "no person 501",
            ),
            (
                "results/0/outcome",
                Value::Null,
                "results[0].outcome",
                "missing",
            ),
            (
                "results/1/detail",
                Value::Null,
                "results[1].detail",
                "other particulars",
            ),
            (
                "results/1/detail",
                json!({"texts": {"en": "x"}}),
                "results[1].detail",
                "no national language",
            ),
            (
                "results/0/nationality",
                json!("Vnm"),
                "results[0].nationality",
                "no state",
            ),
            (
                "results/0/outcome",
                json!("VERIFICATION_OUTCOME_NOT_FOUND"),
                "results[0].nationality",
                "not found",
            ),
            ("decidedBy", Value::Null, "decidedBy", "missing"),
            ("decidedBy/name", json!(" "), "decidedBy.name", "missing"),
        ],
    );
}

#[test]
fn an_extension_has_a_reason() {
    assert_rules(
        "deadline-extension",
        vec![vec![("common/toOffice", Value::Null)]],
        vec![
            ("reason", Value::Null, "reason", "missing"),
            (
                "reason",
                json!({"texts": {"en": "x"}}),
                "reason",
                "no national language",
            ),
        ],
    );
}

//! Handover: safeguards of the form, what is added, agreed, handed over and decided.

use liaison::model::check::check_draft;
use serde_json::{Value, json};

use super::{assert_fault, assert_rules, edited, faults};

const REQUEST: &str = "handover-request";
const SUPPLEMENT: &str = "handover-supplement";
const PHOTO: &str = "l4a4nVpH2rkeXRtMIbdryW0ifWLUer5GIZZjqvewGjM=";

/// The first person of the sample of a request, who claims protection and of whom is said what
/// may be said.
fn claimant() -> Value {
    json!({"number": 1, "sex": "SEX_MALE", "route": "HANDOVER_ROUTE_RETURN",
        "screening": {"carriedOut": true, "protectionClaim": true}})
}

/// The sample of a request with that person in it.
fn with_claimant(person: &Value) -> liaison::proto::v1::Draft {
    edited(
        REQUEST,
        &[
            ("/body/handoverRequest/persons/0", person.clone()),
            ("/body/handoverRequest/common/attachments", json!([])),
        ],
    )
}

#[test]
fn of_a_claimant_nothing_that_tells_who_it_is_may_be_said() {
    assert_eq!(check_draft(&with_claimant(&claimant())), Ok(()));

    let particulars = [
        ("name", json!({"native": "王示例"})),
        ("earlierNames", json!([{"native": "王示例"}])),
        ("birthDate", json!("1990")),
        ("birthPlace", json!("云南省红河州（示例）")),
        ("nationality", json!("CHN")),
        ("parents", json!([{"native": "王示例父"}])),
        ("lastAddress", json!("示例路1号")),
        (
            "document",
            json!({"type": "passport", "number": "1", "issuer": "CHN"}),
        ),
        ("photoSha256", json!(PHOTO)),
    ];
    for (field, value) in particulars {
        let mut person = claimant();
        person[field] = value;
        let draft = with_claimant(&person);
        let field = format!("body.handoverRequest.persons[0].{field}");
        assert_fault(&draft, &field, "claims protection");
        let told = faults(&draft);
        let fault = told.iter().find(|fault| fault.field == field).unwrap();
        assert!(fault.remedy.contains("withhold the particulars"));
    }
    let mut person = claimant();
    person["screening"]["familyNumbers"] = json!([2]);
    let field = "body.handoverRequest.persons[0].screening.familyNumbers[0]";
    assert_fault(&with_claimant(&person), field, "claims protection");
}

#[test]
fn what_a_claimant_needs_may_be_said_and_blanks_listed() {
    let mut person = claimant();
    let text = json!({"texts": {"vi": "Cần phiên dịch.", "zh-Hans": "需翻译。"}});
    person["careNeeds"] = text.clone();
    person["medicalNeeds"] = text;
    person["screening"]["minor"] = true.into();
    person["screening"]["unaccompanied"] = true.into();
    person["screening"]["receivingGuardian"] = "民政局（示例）".into();
    let draft = edited(
        REQUEST,
        &[
            ("/body/handoverRequest/persons/0", person),
            ("/body/handoverRequest/common/attachments", json!([])),
            (
                "/body/handoverRequest/common/notApplicable",
                json!([
                    "persons[0].name",
                    "persons[0].document",
                    "persons[1].earlierNames",
                    "persons[1].document",
                    "persons[1].photoSha256",
                    "persons[1].medicalNeeds"
                ]),
            ),
        ],
    );
    assert_eq!(check_draft(&draft), Ok(()));

    // A claim takes no other safeguard away.
    let mut person = claimant();
    person["screening"]["minor"] = true.into();
    person["screening"]["unaccompanied"] = true.into();
    let field = "body.handoverRequest.persons[0].screening.receivingGuardian";
    assert_fault(&with_claimant(&person), field, "named guardian");
}

#[test]
fn a_claim_waives_the_blanks_of_that_person_alone() {
    let mut person = claimant();
    person["screening"]["protectionClaim"] = false.into();
    let draft = with_claimant(&person);
    for (field, reason) in [
        ("name", "missing"),
        ("nationality", "missing"),
        ("birthDate", "neither"),
        ("document", "neither"),
    ] {
        let field = format!("body.handoverRequest.persons[0].{field}");
        assert_fault(&draft, &field, reason);
    }
    // What is not a particular is asked for all the same.
    let mut person = claimant();
    person.as_object_mut().unwrap().remove("sex");
    person.as_object_mut().unwrap().remove("route");
    let draft = with_claimant(&person);
    assert_fault(&draft, "body.handoverRequest.persons[0].sex", "neither");
    assert_fault(&draft, "body.handoverRequest.persons[0].route", "missing");
}

#[test]
fn nobody_else_tells_of_a_claimant_as_family() {
    let family = "/body/handoverRequest/persons/1/screening/familyNumbers";
    let draft = edited(
        REQUEST,
        &[
            ("/body/handoverRequest/persons/0", claimant()),
            ("/body/handoverRequest/common/attachments", json!([])),
            (family, json!([1])),
        ],
    );
    let field = "body.handoverRequest.persons[1].screening.familyNumbers[0]";
    assert_fault(&draft, field, "person 1 claims protection");
    assert_eq!(
        check_draft(&edited(REQUEST, &[(family, json!([1]))])),
        Ok(())
    );
}

#[test]
fn who_may_have_been_trafficked_goes_the_victims_route() {
    let trafficked = |route: &str| {
        edited(
            REQUEST,
            &[
                (
                    "/body/handoverRequest/persons/0/screening/traffickingIndicator",
                    json!(true),
                ),
                ("/body/handoverRequest/persons/0/route", json!(route)),
            ],
        )
    };
    assert_eq!(check_draft(&trafficked("HANDOVER_ROUTE_VICTIM")), Ok(()));
    let field = "body.handoverRequest.persons[0].route";
    for route in ["HANDOVER_ROUTE_RETURN", "HANDOVER_ROUTE_OFFENDER"] {
        assert_fault(&trafficked(route), field, route);
    }
    let unsaid = trafficked("HANDOVER_ROUTE_UNSPECIFIED");
    assert_fault(&unsaid, field, "missing");
    // Nor does a claim take the indicator away.
    let mut person = claimant();
    person["screening"]["traffickingIndicator"] = true.into();
    assert_fault(&with_claimant(&person), field, "trafficked");
    // Without the indicator, each route is possible.
    for route in ["VICTIM", "RETURN", "OFFENDER"] {
        let route = json!(format!("HANDOVER_ROUTE_{route}"));
        let draft = edited(REQUEST, &[("/body/handoverRequest/persons/0/route", route)]);
        assert_eq!(check_draft(&draft), Ok(()));
    }
}

#[test]
fn a_named_person_decides_on_a_handover() {
    assert_rules(
        "handover-reply",
        vec![
            vec![
                ("decisions/1/outcome", json!("HANDOVER_OUTCOME_VERIFYING")),
                ("decisions/1/reason", Value::Null),
            ],
            vec![("decisions/1/number", json!(500))],
        ],
        vec![
            ("decidedBy", Value::Null, "decidedBy", "missing"),
            ("decidedBy", json!({}), "decidedBy", "missing"),
            ("decidedBy/name", Value::Null, "decidedBy.name", "missing"),
            ("decidedBy/rank", Value::Null, "decidedBy.rank", "missing"),
            (
                "common/notApplicable",
                json!(["decidedBy"]),
                "common.notApplicable[0]",
                "applies to every",
            ),
            (
                "decisions/1/number",
                json!(501),
                "decisions[1].number",
                "no person 501",
            ),
            (
                "decisions/1/reason",
                json!({"texts": {"en": "x"}}),
                "decisions[1].reason",
                "no national language",
            ),
        ],
    );
}

#[test]
fn a_supplement_speaks_of_persons_of_the_request() {
    assert_rules(
        SUPPLEMENT,
        vec![
            vec![("persons/1/number", json!(500))],
            // The photograph may have come with the request.
            vec![
                ("persons/1/photoSha256", json!(PHOTO)),
                ("common/notApplicable/2", Value::Null),
            ],
            // Of whom the supplement says nothing, the request may.
            vec![("persons/1/screening/familyNumbers", json!([7]))],
        ],
        vec![
            ("persons", json!([]), "persons", "missing"),
            ("persons/1/number", json!(1), "persons[1].number", "twice"),
            ("persons/1/number", json!(0), "persons[1].number", "from 1"),
            (
                "persons/1/number",
                json!(501),
                "persons[1].number",
                "no person 501",
            ),
            (
                "persons/1/photoSha256",
                json!("AAAA"),
                "persons[1].photoSha256",
                "3 bytes",
            ),
            (
                "persons/0/name",
                json!({"native": "王示例"}),
                "persons[0].name",
                "claims protection",
            ),
            (
                "persons/1/birthDate",
                json!("2011-13"),
                "persons[1].birthDate",
                "no date",
            ),
            (
                "persons/1/screening/receivingGuardian",
                Value::Null,
                "persons[1].screening.receivingGuardian",
                "named guardian",
            ),
            (
                "persons/1/screening/traffickingIndicator",
                json!(true),
                "persons[1].route",
                "trafficked",
            ),
            (
                "persons/1/screening/familyNumbers",
                json!([1]),
                "persons[1].screening.familyNumbers[0]",
                "claims protection",
            ),
            (
                "persons/1/screening/familyNumbers",
                json!([501]),
                "persons[1].screening.familyNumbers[0]",
                "no person 501",
            ),
            ("statement", Value::Null, "statement", "missing"),
        ],
    );
}

#[test]
fn a_schedule_says_who_when_and_where() {
    let text = |tag: &str| json!({"texts": {tag: "x"}});
    let both = json!({"texts": {"vi": "Bệnh nặng.", "zh-Hans": "病情危重。"}});
    assert_rules(
        "handover-schedule",
        vec![
            vec![("numbers", json!([500]))],
            vec![("shortNoticeReason", both)],
            vec![
                ("escorts", Value::Null),
                ("common/notApplicable", json!(["escorts"])),
            ],
        ],
        vec![
            ("numbers", json!([]), "numbers", "missing"),
            ("numbers", json!([1, 1]), "numbers[1]", "twice"),
            ("numbers", json!([0]), "numbers[0]", "from 1"),
            ("numbers", json!([501]), "numbers[0]", "no person 501"),
            ("scheduledAt", Value::Null, "scheduledAt", "missing"),
            ("gate", Value::Null, "gate", "missing"),
            ("gate", json!({"gate": " "}), "gate.gate", "blank"),
            (
                "shortNoticeReason",
                text("en"),
                "shortNoticeReason",
                "no national language",
            ),
        ],
    );
}

#[test]
fn a_record_names_both_officers_and_each_person_once() {
    let giver = json!({"name": "Lê Thị Mẫu", "rank": "Thiếu tá",
        "office": "Đồn Biên phòng Cửa khẩu quốc tế Lào Cai (MẪU)"});
    assert_rules(
        "handover-record",
        vec![
            vec![("isReturn", json!(true))],
            vec![("persons/1/number", json!(500))],
            vec![("persons/0/belongings", json!([]))],
            vec![("persons/1/victimAuthority", json!("妇联（示例）"))],
        ],
        vec![
            ("persons", json!([]), "persons", "missing"),
            ("persons/1/number", json!(1), "persons[1].number", "twice"),
            ("persons/1/number", json!(0), "persons[1].number", "from 1"),
            (
                "persons/1/number",
                json!(501),
                "persons[1].number",
                "no person 501",
            ),
            (
                "persons/0/condition",
                Value::Null,
                "persons[0].condition",
                "missing",
            ),
            (
                "persons/0/belongings/0",
                json!(" "),
                "persons[0].belongings[0]",
                "blank",
            ),
            ("givenBy", Value::Null, "givenBy", "missing"),
            ("receivedBy", giver, "receivedBy", "the same officer"),
            ("handedOverAt", Value::Null, "handedOverAt", "missing"),
            (
                "handedOverAt",
                json!("1999-12-31T23:59:59Z"),
                "handedOverAt",
                "outside the years",
            ),
            ("gate", json!({"section": ""}), "gate.section", "blank"),
        ],
    );
}

#[test]
fn a_decision_on_protection_names_authority_and_persons() {
    assert_rules(
        "protection-decision",
        vec![
            vec![("numbers", json!([1, 2, 500]))],
            vec![("outcome", json!("PROTECTION_OUTCOME_HANDOVER_MAY_PROCEED"))],
        ],
        vec![
            ("numbers", json!([]), "numbers", "missing"),
            ("numbers", json!([2, 2]), "numbers[1]", "twice"),
            ("numbers", json!([1, 501]), "numbers[1]", "no person 501"),
            ("authority", json!(" "), "authority", "missing"),
            ("decisionNumber", Value::Null, "decisionNumber", "missing"),
            ("decidedAt", Value::Null, "decidedAt", "missing"),
            ("outcome", Value::Null, "outcome", "missing"),
            ("outcome", json!(7), "outcome", "no ProtectionOutcome"),
        ],
    );
}

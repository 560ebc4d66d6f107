//! Each rule: an edit of a sample that is inside it, and one that is outside.

use liaison::model::check::{check_body, check_draft, with_defaults};
use liaison::proto::v1;
use liaison::proto::v1::body::Body;
use serde_json::{Value, json};

use super::{assert_fault, edited, faults};

const SENSOR: &str = "crossing-alert-sensor";
const PATROL: &str = "crossing-alert-patrol";
const LETTER: &str = "official-letter";
const REQUEST: &str = "handover-request";
const REPLY: &str = "handover-reply";
const ACK: &str = "acknowledgement";
const WITHDRAWAL: &str = "withdrawal";

/// Sample, edits that keep it sendable.
type Inside = (&'static str, Vec<(&'static str, Value)>);

#[rustfmt::skip]
fn inside() -> Vec<Inside> {
    let id = "019cb3d0-7a00-7c11-8a2b-6f0c5d4e3b21";
    vec![
        (LETTER, vec![("/id", json!(id))]),
        (LETTER, vec![("/threadId", json!(id)), ("/inReplyTo", json!(id)), ("/supersedes", json!(id))]),
        (LETTER, vec![("/precedence", json!("PRECEDENCE_PRIORITY"))]),
        (LETTER, vec![("/handling", Value::Null)]),
        (LETTER, vec![("/respondBy", json!("2000-01-01T00:00:00Z"))]),
        (LETTER, vec![("/respondBy", json!("2200-12-31T23:59:59.999999999Z"))]),
        (LETTER, vec![("/body/officialLetter/common/languages", json!(["en", "vi", "zh-Hans"]))]),
        (LETTER, vec![("/body/officialLetter/subject/texts/en", json!("tab\tand\nline"))]),
        (LETTER, vec![("/body/officialLetter/place", Value::Null), ("/body/officialLetter/common/notApplicable", json!(["place"]))]),
        (LETTER, vec![("/body/officialLetter/common/legalBasis", Value::Null), ("/body/officialLetter/common/notApplicable", json!(["common.legalBasis"]))]),
        (LETTER, vec![("/body/officialLetter/signatory/phone", Value::Null)]),
        (LETTER, vec![("/body/officialLetter/common/attachments", json!([]))]),
        (LETTER, vec![("/body/officialLetter/common/attachments/0/name", json!("tệp đính kèm..v2.pdf"))]),
        (LETTER, vec![("/body/officialLetter/common/attachments/0/mediaType", json!("application/vnd.oasis.opendocument.text"))]),
        (LETTER, vec![("/body/officialLetter/place", json!({"markers": {"first": 7, "last": 7}}))]),
        (LETTER, vec![("/body/officialLetter/place", json!({"section": "S-12"}))]),
        (LETTER, vec![("/body/officialLetter/place", json!({"polygon": {"points": [{"latitude": 22.0, "longitude": 103.0}, {"latitude": 22.5, "longitude": 103.0}, {"latitude": 22.5, "longitude": 103.5}]}}))]),
        (SENSOR, vec![("/body/crossingAlert/place/point", json!({"latitude": -90.0, "longitude": 180.0}))]),
        (SENSOR, vec![("/body/crossingAlert/place/point", json!({"latitude": 90.0, "longitude": -180.0}))]),
        (SENSOR, vec![("/body/crossingAlert/sensorConfidencePercent", json!(1))]),
        (SENSOR, vec![("/body/crossingAlert/sensorConfidencePercent", json!(100))]),
        (SENSOR, vec![("/precedence", json!("PRECEDENCE_IMMEDIATE"))]),
        (SENSOR, vec![("/precedence", json!("PRECEDENCE_ROUTINE"))]),
        (PATROL, vec![("/body/crossingAlert/persons", json!(0))]),
        (PATROL, vec![("/body/crossingAlert/direction", json!("DIRECTION_UNKNOWN"))]),
        (REQUEST, vec![("/body/handoverRequest/persons/0/birthDate", json!("1990"))]),
        (REQUEST, vec![("/body/handoverRequest/persons/0/birthDate", json!("1990-05"))]),
        (REQUEST, vec![("/body/handoverRequest/persons/0/name/native", Value::Null)]),
        (REQUEST, vec![("/body/handoverRequest/persons/0/name/transliteration", Value::Null)]),
        (REQUEST, vec![("/body/handoverRequest/persons/1/nationality", json!("XXA"))]),
        (REQUEST, vec![("/body/handoverRequest/persons/0/screening/familyNumbers", json!([2]))]),
        (REQUEST, vec![("/body/handoverRequest/persons/1/sex", Value::Null), ("/body/handoverRequest/common/notApplicable/-", json!("persons[1].sex"))]),
        (REQUEST, vec![("/body/handoverRequest/persons/0/document/number", json!("ex 000-0001"))]),
        (REQUEST, vec![("/body/handoverRequest/persons/1/screening/unaccompanied", json!(false)), ("/body/handoverRequest/persons/1/screening/receivingGuardian", Value::Null)]),
        (REPLY, vec![("/body/handoverReply/decisions/1/outcome", json!("HANDOVER_OUTCOME_REFUSED"))]),
        (REPLY, vec![("/body/handoverReply/remark", Value::Null), ("/body/handoverReply/common/notApplicable", json!(["remark"]))]),
        (ACK, vec![("/body/acknowledgement/remark", Value::Null), ("/body/acknowledgement/common/languages", json!([]))]),
        (ACK, vec![("/body/acknowledgement/common/toOffice", Value::Null)]),
        (WITHDRAWAL, vec![("/body/withdrawal/common/toOffice", Value::Null)]),
    ]
}

#[test]
fn edits_inside_the_rules_are_sendable() {
    for (sample, edits) in inside() {
        assert_eq!(
            check_draft(&edited(sample, &edits)),
            Ok(()),
            "{sample} with {edits:?}"
        );
    }
}

/// Sample, JSON pointer, value, field of the fault, part of its reason.
type Outside = (
    &'static str,
    &'static str,
    Value,
    &'static str,
    &'static str,
);

#[rustfmt::skip]
fn header_cases() -> Vec<Outside> {
    let v4 = json!("919108f7-52d1-4320-9bac-f847db4148a8");
    vec![
        (LETTER, "/recipient", Value::Null, "recipient", "empty"),
        (LETTER, "/recipient", json!("Hekou.example"), "recipient", "contains `H`"),
        (LETTER, "/id", json!("1"), "id", "not a UUID"),
        (LETTER, "/id", v4.clone(), "id", "version 7"),
        (LETTER, "/threadId", v4.clone(), "threadId", "version 7"),
        (LETTER, "/inReplyTo", v4.clone(), "inReplyTo", "version 7"),
        (LETTER, "/supersedes", v4, "supersedes", "version 7"),
        (LETTER, "/precedence", json!(9), "precedence", "9 is no Precedence"),
        (LETTER, "/status", json!(-1), "status", "-1 is no Status"),
        (LETTER, "/handling/code", json!(7), "handling.code", "7 is no HandlingCode"),
        (LETTER, "/respondBy", json!("1999-12-31T23:59:59Z"), "respondBy", "outside the years"),
        (LETTER, "/respondBy", json!("2201-01-01T00:00:00Z"), "respondBy", "outside the years"),
        (LETTER, "/body/officialLetter", Value::Null, "body", "no body"),
        (LETTER, "/body", Value::Null, "body", "no body"),
        (REPLY, "/inReplyTo", Value::Null, "inReplyTo", "answers a handover request"),
        (ACK, "/inReplyTo", Value::Null, "inReplyTo", "of a message"),
        (WITHDRAWAL, "/supersedes", Value::Null, "supersedes", "takes back"),
        (LETTER, "/body", json!({"refusal": {}}), "body.refusal", "only a node"),
        (LETTER, "/body", json!({"attachmentsReceived": {}}), "body.attachmentsReceived", "only a node"),
    ]
}

#[rustfmt::skip]
fn common_cases() -> Vec<Outside> {
    let attachment = |field: &str| -> &'static str {
        format!("/body/officialLetter/common/attachments/0/{field}").leak()
    };
    let letter = "body.officialLetter";
    let at = |field: &str| -> &'static str { format!("{letter}.{field}").leak() };
    let name = at("common.attachments[0].name");
    vec![
        (LETTER, "/body/officialLetter/common", Value::Null, at("common"), "missing"),
        (LETTER, "/body/officialLetter/common/fromOffice", json!("  "), at("common.fromOffice"), "missing"),
        (LETTER, "/body/officialLetter/common/toOffice", Value::Null, at("common.toOffice"), "missing"),
        (LETTER, "/body/officialLetter/common/legalBasis", Value::Null, at("common.legalBasis"), "neither"),
        (LETTER, "/body/officialLetter/common/legalBasis", json!([" "]), at("common.legalBasis[0]"), "blank"),
        (LETTER, "/body/officialLetter/subject", Value::Null, at("subject"), "missing"),
        (LETTER, "/body/officialLetter/subject", json!({"texts": {}}), at("subject"), "missing"),
        (LETTER, "/body/officialLetter/text/texts/vi", json!(" \n"), at("text.texts[\"vi\"]"), "blank"),
        (LETTER, "/body/officialLetter/text/texts/vi", Value::Null, at("text.texts"), "no text in vi"),
        (LETTER, "/body/officialLetter/text/texts/fr", json!("x"), at("text.texts[\"fr\"]"), "not listed"),
        (LETTER, "/body/officialLetter/text/texts/việt", json!("x"), at("text.texts[\"việt\"]"), "no language tag"),
        (LETTER, "/body/officialLetter/common/languages/2", Value::Null, at("subject.texts[\"en\"]"), "not listed"),
        (LETTER, "/body/officialLetter/common/languages/-", json!("en"), at("common.languages[3]"), "twice"),
        (LETTER, "/body/officialLetter/common/languages/-", json!("fr"), at("common.languages[3]"), "no text of this"),
        (LETTER, "/body/officialLetter/common/languages/-", json!("e"), at("common.languages[3]"), "no language tag"),
        (LETTER, "/body/officialLetter/common/languages/-", json!("ZH-hans"), at("common.languages[3]"), "customary"),
        (LETTER, "/body/officialLetter/replyBy", Value::Null, at("replyBy"), "neither"),
        (LETTER, "/body/officialLetter/letterNumber", Value::Null, at("letterNumber"), "missing"),
        (LETTER, "/body/officialLetter/signatory", json!({}), at("signatory"), "missing"),
        (LETTER, "/body/officialLetter/signatory/name", Value::Null, at("signatory.name"), "missing"),
        (LETTER, "/body/officialLetter/signatory/rank", Value::Null, at("signatory.rank"), "missing"),
        (LETTER, "/body/officialLetter/common/notApplicable", json!(["place"]), at("common.notApplicable[0]"), "is filled in"),
        (LETTER, "/body/officialLetter/common/notApplicable", json!(["subject"]), at("common.notApplicable[0]"), "applies to every"),
        (LETTER, "/body/officialLetter/common/notApplicable", json!(["colour"]), at("common.notApplicable[0]"), "is no field"),
        (LETTER, "/body/officialLetter/common/notApplicable", json!(["reply_by"]), at("common.notApplicable[0]"), "is no field"),
        (LETTER, "/body/officialLetter/common/notApplicable", json!(["place", "place"]), at("common.notApplicable[1]"), "twice"),
        (PATROL, "/body/crossingAlert/common/notApplicable/-", json!("vehicles"), "body.crossingAlert.common.notApplicable[1]", "always has an answer"),
        (LETTER, attachment("name"), json!("../secret.pdf"), name, "slash"),
        (LETTER, attachment("name"), json!("a\\b.pdf"), name, "slash"),
        (LETTER, attachment("name"), json!(".bashrc"), name, "begins with a dot"),
        (LETTER, attachment("name"), json!("a\u{0}b"), name, "NUL"),
        (LETTER, attachment("name"), json!("a\u{1b}b"), name, "control"),
        (LETTER, attachment("name"), json!("a\u{202e}fdp.exe"), name, "contains \\u{202E}"),
        (LETTER, attachment("name"), json!("C:a.pdf"), name, "colon"),
        (LETTER, attachment("name"), json!("a.pdf "), name, "blank"),
        (LETTER, attachment("name"), Value::Null, name, "missing"),
        (LETTER, attachment("mediaType"), json!("pdf"), at("common.attachments[0].mediaType"), "no media type"),
        (LETTER, attachment("mediaType"), json!("text/plain; charset=utf-8"), at("common.attachments[0].mediaType"), "no media type"),
        (LETTER, attachment("size"), json!("0"), at("common.attachments[0].size"), "empty"),
        (LETTER, attachment("sha256"), json!("AAAA"), at("common.attachments[0].sha256"), "3 bytes"),
        (LETTER, attachment("sha256"), Value::Null, at("common.attachments[0].sha256"), "missing"),
        (LETTER, "/body/officialLetter/place", json!({"description": {"texts": {"vi": "a", "zh-Hans": "b", "en": "c"}}}), at("place"), "only described"),
        (LETTER, "/body/officialLetter/place", json!({"gate": " "}), at("place.gate"), "blank"),
        (LETTER, "/body/officialLetter/place/markers/first", json!(105), at("place.markers.last"), "comes before"),
        (LETTER, "/body/officialLetter/place/markers/first", json!(0), at("place.markers.first"), "from 1"),
        (LETTER, "/body/officialLetter/place", json!({"point": {"latitude": 90.000_001}}), at("place.point.latitude"), "outside"),
        (LETTER, "/body/officialLetter/place", json!({"point": {"longitude": "NaN"}}), at("place.point.longitude"), "outside"),
        (LETTER, "/body/officialLetter/place", json!({"point": {"longitude": -180.5}}), at("place.point.longitude"), "outside"),
        (LETTER, "/body/officialLetter/place", json!({"polygon": {"points": [{"latitude": 1}, {"latitude": 2}]}}), at("place.polygon.points"), "no area"),
        (LETTER, "/body/officialLetter/place", json!({"polygon": {"points": [{"latitude": 1}, {"latitude": 2}, {"latitude": 91}]}}), at("place.polygon.points[2].latitude"), "outside"),
        (LETTER, "/body/officialLetter/place", json!({"polygon": {"points": [{"latitude": 1}, {"latitude": 2}, {"latitude": 1}]}}), at("place.polygon.points[2]"), "repeated"),
    ]
}

#[rustfmt::skip]
fn alert_cases() -> Vec<Outside> {
    let at = |field: &str| -> &'static str { format!("body.crossingAlert.{field}").leak() };
    vec![
        (SENSOR, "/body/crossingAlert/common/precedenceReason", Value::Null, at("common.precedenceReason"), "needs a reason"),
        (SENSOR, "/body/crossingAlert/sensorConfidencePercent", json!(0), at("sensorConfidencePercent"), "0 percent"),
        (SENSOR, "/body/crossingAlert/sensorConfidencePercent", json!(101), at("sensorConfidencePercent"), "101 percent"),
        (SENSOR, "/body/crossingAlert/description/texts/en", json!("P<CHNWANG<<SHILI<<<<<<<<<<<<<<<<<<<<<<<<<<<<"), at("description.texts[\"en\"]"), "a line of a passport"),
        (SENSOR, "/body/crossingAlert/sensorId", json!("CCCD 001090000001"), at("sensorId"), "a personal number of Viet Nam"),
        (SENSOR, "/body/crossingAlert/common/attachments", json!([{"name": "a.jpg", "mediaType": "image/jpeg", "size": "3", "sha256": "l4a4nVpH2rkeXRtMIbdryW0ifWLUer5GIZZjqvewGjM="}]), at("common.attachments"), "no files"),
        (PATROL, "/body/crossingAlert/sensorConfidencePercent", json!(50), at("sensorConfidencePercent"), "no sensor"),
        (SENSOR, "/body/crossingAlert/sourceGrade", Value::Null, at("sourceGrade"), "missing"),
        (SENSOR, "/body/crossingAlert/informationGrade", Value::Null, at("informationGrade"), "missing"),
        (SENSOR, "/body/crossingAlert/incidentType", json!("INCIDENT_TYPE_UNSPECIFIED"), at("incidentType"), "missing"),
        (SENSOR, "/body/crossingAlert/incidentType", json!(999), at("incidentType"), "999 is no IncidentType"),
        (SENSOR, "/body/crossingAlert/direction", Value::Null, at("direction"), "missing"),
        (SENSOR, "/body/crossingAlert/occurredAt", Value::Null, at("occurredAt"), "missing"),
        (SENSOR, "/body/crossingAlert/occurredAt", json!("1970-01-01T00:00:00Z"), at("occurredAt"), "outside the years"),
        (SENSOR, "/body/crossingAlert/place", Value::Null, at("place"), "missing"),
        (SENSOR, "/body/crossingAlert/means", Value::Null, at("means"), "neither"),
        (SENSOR, "/body/crossingAlert/common/notApplicable", Value::Null, at("request"), "neither"),
    ]
}

#[rustfmt::skip]
fn handover_cases() -> Vec<Outside> {
    let at = |field: &str| -> &'static str { format!("body.handoverRequest.{field}").leak() };
    let to = |field: &str| -> &'static str { format!("/body/handoverRequest/{field}").leak() };
    let reply = |field: &str| -> &'static str { format!("body.handoverReply.{field}").leak() };
    vec![
        (REQUEST, to("persons"), json!([]), at("persons"), "missing"),
        (REQUEST, to("persons/1/number"), json!(1), at("persons[1].number"), "should be 2"),
        (REQUEST, to("persons/0/number"), Value::Null, at("persons[0].number"), "should be 1"),
        (REQUEST, to("persons/0/name"), Value::Null, at("persons[0].name"), "missing"),
        (REQUEST, to("persons/0/name"), json!({"native": " "}), at("persons[0].name"), "blank"),
        (REQUEST, to("persons/0/parents/0"), json!({}), at("persons[0].parents[0]"), "blank"),
        (REQUEST, to("persons/0/birthDate"), json!("1990-02-30"), at("persons[0].birthDate"), "no date"),
        (REQUEST, to("persons/0/birthDate"), json!("17.5.1990"), at("persons[0].birthDate"), "no date"),
        (REQUEST, to("persons/0/birthDate"), Value::Null, at("persons[0].birthDate"), "neither"),
        (REQUEST, to("persons/0/sex"), Value::Null, at("persons[0].sex"), "neither"),
        (REQUEST, to("persons/0/nationality"), Value::Null, at("persons[0].nationality"), "missing"),
        (REQUEST, to("persons/0/nationality"), json!("Chn"), at("persons[0].nationality"), "no state"),
        (REQUEST, to("persons/0/nationality"), json!("CN"), at("persons[0].nationality"), "no state"),
        (REQUEST, to("persons/0/screening"), Value::Null, at("persons[0].screening"), "missing"),
        (REQUEST, to("persons/0/screening/carriedOut"), json!(false), at("persons[0].screening"), "missing"),
        (REQUEST, to("persons/1/screening/carriedOut"), json!(false), at("persons[1].screening.carriedOut"), "nobody was asked"),
        (REQUEST, to("persons/1/screening/minor"), json!(false), at("persons[1].screening.unaccompanied"), "only a minor"),
        (REQUEST, to("persons/1/screening/receivingGuardian"), json!(""), at("persons[1].screening.receivingGuardian"), "named guardian"),
        (REQUEST, to("persons/0/screening/familyNumbers"), json!([3]), at("persons[0].screening.familyNumbers[0]"), "no person 3"),
        (REQUEST, to("persons/0/screening/familyNumbers"), json!([0]), at("persons[0].screening.familyNumbers[0]"), "no person 0"),
        (REQUEST, to("persons/0/screening/familyNumbers"), json!([1]), at("persons[0].screening.familyNumbers[0]"), "own family"),
        (REQUEST, to("persons/0/screening/familyNumbers"), json!([2, 2]), at("persons[0].screening.familyNumbers[1]"), "twice"),
        (REQUEST, to("persons/0/photoSha256"), json!("AAAA"), at("persons[0].photoSha256"), "no attachment"),
        (REQUEST, to("common/attachments"), json!([]), at("persons[0].photoSha256"), "no attachment"),
        (REQUEST, to("common/notApplicable/-"), json!("persons[2].sex"), at("common.notApplicable[7]"), "is no field"),
        (REQUEST, to("common/notApplicable/-"), json!("persons[1].document.mrz"), at("common.notApplicable[7]"), "is no field"),
        (REQUEST, to("persons/0/document/number"), json!("E9"), at("persons[0].document.mrz"), "document number is EX0000001"),
        (REQUEST, to("persons/0/document/issuer"), json!("VNM"), at("persons[0].document.mrz"), "issuing state is CHN"),
        (REQUEST, to("persons/0/document/issuer"), json!("china"), at("persons[0].document.issuer"), "no state"),
        (REQUEST, to("persons/0/document/type"), Value::Null, at("persons[0].document.type"), "missing"),
        (REQUEST, to("persons/0/document/mrz"), json!([]), at("persons[0].document.mrz"), "neither"),
        (REQUEST, to("persons/0/document/mrz/1"), json!("EX00000019CHN9005177M3102280<<<<<<<<<<<<<<04"), at("persons[0].document.mrz[1]"), "document number, character 10, is 9"),
        (REQUEST, to("persons/0/document/mrz/1"), json!("short"), at("persons[0].document.mrz[1]"), "none of A-Z"),
        (REQUEST, to("persons/0/document/mrz/0"), json!("SHORT"), at("persons[0].document.mrz[0]"), "5 characters"),
        (REQUEST, to("persons/0/birthDate"), json!("1990-05-18"), at("persons[0].document.mrz"), "date of birth is 900517"),
        (REQUEST, to("persons/0/sex"), json!("SEX_FEMALE"), at("persons[0].document.mrz"), "sex is M"),
        (REQUEST, to("persons/0/nationality"), json!("VNM"), at("persons[0].document.mrz"), "nationality is CHN"),
        (REQUEST, to("escorts/0/office"), Value::Null, at("escorts[0].office"), "missing"),
        (REQUEST, to("proposedGate"), json!({"gate": ""}), at("proposedGate.gate"), "blank"),
        (REPLY, "/body/handoverReply/decisions", json!([]), reply("decisions"), "missing"),
        (REPLY, "/body/handoverReply/decisions/1/number", json!(1), reply("decisions[1].number"), "twice"),
        (REPLY, "/body/handoverReply/decisions/1/number", json!(0), reply("decisions[1].number"), "from 1"),
        (REPLY, "/body/handoverReply/decisions/0/validUntil", Value::Null, reply("decisions[0].validUntil"), "how long"),
        (REPLY, "/body/handoverReply/decisions/1/reason", Value::Null, reply("decisions[1].reason"), "needs a reason"),
        (REPLY, "/body/handoverReply/decisions/1/validUntil", json!("2026-12-19T00:00:00Z"), reply("decisions[1].validUntil"), "only an acceptance"),
        (REPLY, "/body/handoverReply/decisions/0/outcome", Value::Null, reply("decisions[0].outcome"), "missing"),
        (REPLY, "/body/handoverReply/remark", Value::Null, reply("remark"), "neither"),
        (ACK, "/body/acknowledgement/officer", Value::Null, "body.acknowledgement.officer", "missing"),
        (ACK, "/body/acknowledgement/officer/rank", json!(""), "body.acknowledgement.officer.rank", "missing"),
        (ACK, "/body/acknowledgement/acknowledgedAt", Value::Null, "body.acknowledgement.acknowledgedAt", "missing"),
        (ACK, "/body/acknowledgement/common/fromOffice", Value::Null, "body.acknowledgement.common.fromOffice", "missing"),
        (WITHDRAWAL, "/body/withdrawal/reason", Value::Null, "body.withdrawal.reason", "missing"),
    ]
}

#[test]
fn edits_outside_the_rules_are_refused_at_their_field() {
    let cases = [
        header_cases(),
        common_cases(),
        alert_cases(),
        handover_cases(),
    ]
    .concat();
    for (sample, pointer, value, field, reason) in cases {
        assert_fault(&edited(sample, &[(pointer, value)]), field, reason);
    }
}

#[test]
fn required_texts_are_in_a_national_language() {
    let mut texts = vec![("/body/officialLetter/common/languages", json!(["en"]))];
    for field in ["subject", "text", "common/attachments/0/description"] {
        let pointer: &'static str = format!("/body/officialLetter/{field}").leak();
        texts.push((pointer, json!({"texts": {"en": "only English"}})));
    }
    let draft = edited(LETTER, &texts);
    assert_fault(
        &draft,
        "body.officialLetter.subject",
        "no national language",
    );
    assert_fault(&draft, "body.officialLetter.text", "no national language");
    assert_eq!(
        faults(&draft).len(),
        2,
        "the optional description may be in English alone"
    );
}

#[test]
fn every_fault_is_told_at_once_and_in_the_same_order() {
    let draft = edited(
        REQUEST,
        &[
            ("/recipient", json!("nobody")),
            ("/body/handoverRequest/persons/0/nationality", json!("chn")),
            (
                "/body/handoverRequest/persons/1/screening/receivingGuardian",
                json!(""),
            ),
            ("/body/handoverRequest/evidence", Value::Null),
            (
                "/body/handoverRequest/transport/texts/vi",
                json!("a\u{2066}b"),
            ),
        ],
    );
    let told = faults(&draft);
    let fields: Vec<&str> = told.iter().map(|fault| fault.field.as_str()).collect();
    for field in [
        "recipient",
        "body.handoverRequest.persons[0].nationality",
        "body.handoverRequest.persons[1].screening.receivingGuardian",
        "body.handoverRequest.evidence",
        "body.handoverRequest.transport.texts[\"vi\"]",
    ] {
        assert!(fields.contains(&field), "{field} in {fields:?}");
    }
    for _ in 0..8 {
        assert_eq!(faults(&draft), told);
    }
    assert!(!told.iter().any(|fault| fault.reason.contains('\u{2066}')));
}

#[test]
fn steering_characters_are_refused_in_every_string() {
    for (found, shown) in [
        ('\u{202a}', "\\u{202A}"),
        ('\u{202e}', "\\u{202E}"),
        ('\u{2066}', "\\u{2066}"),
        ('\u{2069}', "\\u{2069}"),
        ('\u{200e}', "\\u{200E}"),
        ('\u{7f}', "\\u{7F}"),
        ('\u{85}', "\\u{85}"),
        ('\r', "\\u{D}"),
        ('\u{2028}', "\\u{2028}"),
    ] {
        let hidden = json!(format!("a{found}b"));
        let line = edited(
            LETTER,
            &[("/body/officialLetter/letterNumber", hidden.clone())],
        );
        assert_fault(&line, "body.officialLetter.letterNumber", shown);
        let text = edited(LETTER, &[("/body/officialLetter/text/texts/en", hidden)]);
        assert_fault(&text, "body.officialLetter.text.texts[\"en\"]", shown);
    }
    for found in ["\n", "\t"] {
        let line = edited(
            LETTER,
            &[(
                "/body/officialLetter/letterNumber",
                json!(found.to_owned() + "27"),
            )],
        );
        assert_fault(&line, "body.officialLetter.letterNumber", "control");
    }
}

#[test]
fn a_message_does_not_name_itself() {
    let id = json!("019cb3d0-7a00-7c11-8a2b-6f0c5d4e3b21");
    for pointer in ["/inReplyTo", "/supersedes"] {
        let draft = edited(LETTER, &[("/id", id.clone()), (pointer, id.clone())]);
        assert_fault(&draft, &pointer[1..], "names itself");
    }
}

#[test]
fn attachments_are_told_apart() {
    let twice = json!({"name": "PHU-LUC-27.pdf", "mediaType": "application/pdf", "size": "5",
        "sha256": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="});
    let pointer = "/body/officialLetter/common/attachments/-";
    let draft = edited(LETTER, &[(pointer, twice.clone())]);
    assert_fault(
        &draft,
        "body.officialLetter.common.attachments[1].name",
        "another attachment",
    );
    let draft = edited(LETTER, &[(pointer, twice.clone()), (pointer, twice)]);
    assert_fault(
        &draft,
        "body.officialLetter.common.attachments[2].sha256",
        "the same file",
    );
}

#[test]
fn a_card_with_its_whole_number_in_the_optional_data_agrees() {
    let edits = |number: &str| {
        let zone = liaison::model::mrz::td1(&liaison::model::mrz::Fields {
            document_code: "ID",
            issuer: "VNM",
            number: "090000001",
            nationality: "VNM",
            birth_date: "900517",
            sex: 'M',
            expiry_date: "310228",
            optional: "001090000001",
            name: "MAU<<VAN<AN",
        });
        let document =
            json!({"type": "identity card", "number": number, "issuer": "VNM", "mrz": zone});
        edited(
            REQUEST,
            &[
                ("/body/handoverRequest/persons/0/nationality", json!("VNM")),
                ("/body/handoverRequest/persons/0/document", document),
            ],
        )
    };
    assert_eq!(check_draft(&edits("001090000001")), Ok(()));
    assert_eq!(check_draft(&edits("090000001")), Ok(()));
    assert_fault(
        &edits("001090000002"),
        "body.handoverRequest.persons[0].document.mrz",
        "document number",
    );
    assert_fault(
        &edits("0000001"),
        "body.handoverRequest.persons[0].document.mrz",
        "document number",
    );
}

#[test]
fn what_nodes_say_passes_as_a_body_and_not_as_a_draft() {
    let refusal = Body::Refusal(v1::Refusal {
        index: 3,
        entry_digest: vec![1; 32].into(),
        reason: v1::RefusalReason::DuplicateId as i32,
        detail: "the id was used before".to_owned(),
    });
    let received = Body::AttachmentsReceived(v1::AttachmentsReceived {
        sha256: vec![vec![2; 32].into()],
    });
    for body in [refusal, received] {
        assert_eq!(check_body(&body, v1::Precedence::Routine), []);
        let draft = v1::Draft {
            recipient: "a.b".to_owned(),
            body: Some(v1::Body { body: Some(body) }),
            ..v1::Draft::default()
        };
        assert_eq!(faults(&draft).len(), 1);
    }
    let empty = check_body(
        &Body::Refusal(v1::Refusal::default()),
        v1::Precedence::Routine,
    );
    let fields: Vec<&str> = empty.iter().map(|fault| fault.field.as_str()).collect();
    assert_eq!(fields, ["body.refusal.entryDigest", "body.refusal.reason"]);
    let empty = Body::AttachmentsReceived(v1::AttachmentsReceived::default());
    assert_eq!(
        check_body(&empty, v1::Precedence::Routine)[0].field,
        "body.attachmentsReceived.sha256"
    );
}

#[test]
fn choices_left_out_have_their_defaults() {
    let draft = with_defaults(v1::Draft::default());
    assert_eq!(draft.precedence(), v1::Precedence::Routine);
    assert_eq!(draft.status(), v1::Status::Actual);
    let handling = draft.handling.unwrap();
    assert_eq!(handling.classification(), v1::Classification::Restricted);
    assert_eq!(handling.code(), v1::HandlingCode::Unspecified);

    let chosen = edited(SENSOR, &[("/status", json!("STATUS_EXERCISE"))]);
    assert_eq!(with_defaults(chosen.clone()), chosen);
}

#[test]
fn an_acknowledgement_made_for_an_officer_may_be_sent() {
    let ack = edited(ACK, &[]);
    let Some(Body::Acknowledgement(content)) = ack.body.clone().unwrap().body else {
        unreachable!("the sample is an acknowledgement")
    };
    for remark in [content.remark, None] {
        let body = liaison::model::body::acknowledgement(
            content.officer.clone().unwrap(),
            remark,
            content.acknowledged_at.unwrap(),
        );
        let draft = v1::Draft {
            body: Some(v1::Body { body: Some(body) }),
            ..ack.clone()
        };
        assert_eq!(check_draft(&draft), Ok(()));
    }
}

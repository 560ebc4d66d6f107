//! Rules of what happens at the line: gates, works, markers and hazards; each with an edit of a
//! sample inside it and one outside.

use bytes::Bytes;
use liaison::limits;
use liaison::model::sample;
use liaison::proto::v1;
use liaison::proto::v1::body::Body;
use serde_json::{Value, json};

use super::{Case, Edit, assert_fault, assert_inside, assert_outside, edited, faults};

const GATE: &str = "gate-notice";
const WORKS: &str = "works-notice";
const MARKER: &str = "marker-report";
const HAZARD: &str = "hazard-notice";

#[rustfmt::skip]
fn inside() -> Vec<Edit> {
    let hours = |hours: Value| (GATE, vec![("/body/gateNotice/hours", json!([hours]))]);
    vec![
        hours(json!({"opens": "00:00", "closes": "24:00", "timeZone": "Asia/Shanghai"})),
        hours(json!({"opens": "22:00", "closes": "06:00", "timeZone": "Asia/Ho_Chi_Minh", "weekdays": [7, 1]})),
        hours(json!({"opens": "23:59", "closes": "00:00", "timeZone": "UTC", "weekdays": [1, 2, 3, 4, 5, 6, 7]})),
        (GATE, vec![("/body/gateNotice/gate", json!("new-gate-2/other"))]),
        (GATE, vec![("/body/gateNotice/status", json!("GATE_STATUS_OPEN")), ("/body/gateNotice/reason", Value::Null), ("/body/gateNotice/common/notApplicable", json!(["reason"])), ("/body/gateNotice/common/languages", json!([]))]),
        (GATE, vec![("/body/gateNotice/hours", Value::Null), ("/body/gateNotice/common/notApplicable", json!(["hours"]))]),
        (GATE, vec![("/body/gateNotice/status", json!("GATE_STATUS_CLOSED")), ("/body/gateNotice/hours", Value::Null), ("/body/gateNotice/common/notApplicable", json!(["hours"]))]),
        (GATE, vec![("/body/gateNotice/validUntil", Value::Null), ("/body/gateNotice/common/notApplicable", json!(["validUntil"]))]),
        (GATE, vec![("/body/gateNotice/validUntil", json!("2026-12-13T17:00:01Z"))]),
        (WORKS, vec![("/body/worksNotice/distanceMetres", json!(0)), ("/body/worksNotice/consentAsked", json!(false))]),
        (WORKS, vec![("/body/worksNotice/endsAt", json!("2026-12-07T00:00:01Z"))]),
        (MARKER, vec![("/body/markerReport/marker", json!(1))]),
        (MARKER, vec![("/body/markerReport/isMinutes", json!(true))]),
        (MARKER, vec![("/body/markerReport/common/attachments", json!([]))]),
        (HAZARD, vec![("/body/hazardNotice/capXml", Value::Null)]),
        (HAZARD, vec![("/body/hazardNotice/capXml", json!("<alert xmlns=\"urn:oasis:names:tc:emergency:cap:1.2\">\r\n\t&amp;</alert>"))]),
        (HAZARD, vec![("/body/hazardNotice/helpAsked", Value::Null), ("/body/hazardNotice/common/notApplicable", json!(["helpAsked"]))]),
    ]
}

#[rustfmt::skip]
fn outside() -> Vec<Case> {
    let hour = "/body/gateNotice/hours/0/opens";
    let until = "/body/gateNotice/hours/0/closes";
    let zone = "/body/gateNotice/hours/0/timeZone";
    let opens = "body.gateNotice.hours[0].opens";
    let closes = "body.gateNotice.hours[0].closes";
    let time_zone = "body.gateNotice.hours[0].timeZone";
    let cap = "/body/hazardNotice/capXml";
    let cap_xml = "body.hazardNotice.capXml";
    vec![
        (GATE, "/body/gateNotice/gate", json!("Huu-Nghi/youyi-guan"), "body.gateNotice.gate", "no gate pair"),
        (GATE, "/body/gateNotice/gate", json!("huu nghi/youyi guan"), "body.gateNotice.gate", "no gate pair"),
        (GATE, "/body/gateNotice/gate", Value::Null, "body.gateNotice.gate", "missing"),
        (GATE, "/body/gateNotice/traffic", Value::Null, "body.gateNotice.traffic", "missing"),
        (GATE, "/body/gateNotice/reason", Value::Null, "body.gateNotice.reason", "GATE_STATUS_RESTRICTED needs a reason"),
        (GATE, "/body/gateNotice/hours", Value::Null, "body.gateNotice.hours", "neither"),
        (GATE, "/body/gateNotice/status", json!("GATE_STATUS_CLOSED"), "body.gateNotice.hours", "closed gate has no hours"),
        (GATE, "/body/gateNotice/validUntil", json!("2026-12-13T17:00:00Z"), "body.gateNotice.validUntil", "not after validFrom"),
        (GATE, "/body/gateNotice/validUntil", Value::Null, "body.gateNotice.validUntil", "neither"),
        (GATE, hour, json!("24:00"), opens, "no such time"),
        (GATE, hour, json!("7:00"), opens, "no such time"),
        (GATE, hour, json!("07:60"), opens, "no such time"),
        (GATE, hour, json!("-1:00"), opens, "no such time"),
        (GATE, hour, Value::Null, opens, "missing"),
        (GATE, until, json!("24:01"), closes, "no such time"),
        (GATE, until, json!("07:00"), closes, "closes when it opens"),
        (GATE, zone, json!("Hanoi"), time_zone, "no time zone"),
        (GATE, zone, json!("asia/ho_chi_minh"), time_zone, "not its exact name"),
        (GATE, zone, json!("+07:00"), time_zone, "no time zone"),
        (GATE, zone, json!("Etc/Unknown"), time_zone, "no time zone"),
        (GATE, "/body/gateNotice/hours/0/weekdays/0", json!(0), "body.gateNotice.hours[0].weekdays[0]", "0 is no day"),
        (GATE, "/body/gateNotice/hours/0/weekdays/0", json!(8), "body.gateNotice.hours[0].weekdays[0]", "8 is no day"),
        (GATE, "/body/gateNotice/hours/0/weekdays/1", json!(1), "body.gateNotice.hours[0].weekdays[1]", "day 1 is listed twice"),
        (WORKS, "/body/worksNotice/endsAt", json!("2026-12-07T00:00:00Z"), "body.worksNotice.endsAt", "not after startsAt"),
        (WORKS, "/body/worksNotice/place/markers/first", json!(114), "body.worksNotice.place.markers.last", "comes before"),
        (WORKS, "/body/worksNotice/type", Value::Null, "body.worksNotice.type", "missing"),
        (MARKER, "/body/markerReport/marker", json!(0), "body.markerReport.marker", "from 1"),
        (MARKER, "/body/markerReport/condition", Value::Null, "body.markerReport.condition", "missing"),
        (HAZARD, "/body/hazardNotice/place/markers/last", json!(1), "body.hazardNotice.place.markers.last", "comes before"),
        (HAZARD, "/body/hazardNotice/common/precedenceReason", Value::Null, "body.hazardNotice.common.precedenceReason", "needs a reason"),
        (HAZARD, cap, json!("Cháy rừng"), cap_xml, "begins neither"),
        (HAZARD, cap, json!("<alert/>"), cap_xml, "not in the namespace"),
        (HAZARD, cap, json!("<?xml version=\"1.0\"?><!DOCTYPE alert><alert xmlns=\"urn:oasis:names:tc:emergency:cap:1.2\"/>"), cap_xml, "document type"),
        (HAZARD, cap, json!("<alert xmlns=\"urn:oasis:names:tc:emergency:cap:1.2\">&file;</alert>"), cap_xml, "entity"),
        (HAZARD, cap, json!("<alert xmlns=\"urn:oasis:names:tc:emergency:cap:1.2\">"), cap_xml, "not closed"),
        (HAZARD, cap, json!("<alert xmlns=\"urn:oasis:names:tc:emergency:cap:1.2\">\u{202e}</alert>"), cap_xml, "contains \\u{202E}"),
        (HAZARD, "/body/hazardNotice/capSha256", json!("AAAA"), "body.hazardNotice.capSha256", "3 bytes"),
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
fn minutes_on_a_marker_are_in_both_languages() {
    let chinese = json!({"texts": {"zh-Hans": "基座有裂缝"}});
    let edits = |is_minutes: bool| {
        [
            ("/body/markerReport/common/languages", json!(["zh-Hans"])),
            ("/body/markerReport/description", chinese.clone()),
            ("/body/markerReport/common/attachments", json!([])),
            ("/body/markerReport/isMinutes", json!(is_minutes)),
        ]
    };
    assert_eq!(faults(&edited(MARKER, &edits(false))), []);
    let field = "body.markerReport.common.languages";
    assert_fault(&edited(MARKER, &edits(true)), field, "not given in vi");
}

#[test]
fn an_alert_is_embedded_or_attached_never_both() {
    let digest = Bytes::from(vec![7; 32]);
    let with = |cap_xml: &str, attached: bool| {
        let mut draft = sample::find(HAZARD).unwrap().draft().unwrap();
        let Some(Body::HazardNotice(notice)) = draft.body.as_mut().unwrap().body.as_mut() else {
            unreachable!("the sample is a hazard notice")
        };
        cap_xml.clone_into(&mut notice.cap_xml);
        notice.cap_sha256 = digest.clone();
        if attached {
            notice.common.as_mut().unwrap().attachments = vec![v1::Attachment {
                name: "cap.xml".to_owned(),
                media_type: "application/cap+xml".to_owned(),
                size: 1,
                sha256: digest.clone(),
                description: None,
            }];
        }
        draft
    };
    let field = "body.hazardNotice.capSha256";
    assert_eq!(faults(&with("", true)), []);
    assert_fault(&with("", false), field, "no attachment");
    let alert = "<alert xmlns=\"urn:oasis:names:tc:emergency:cap:1.2\"/>";
    assert_fault(&with(alert, true), field, "embedded in capXml as well");
}

#[test]
fn an_embedded_alert_may_have_as_many_bytes_as_a_text() {
    let with = |bytes: usize| {
        let frame = "<alert xmlns=\"urn:oasis:names:tc:emergency:cap:1.2\"></alert>";
        let filled = "x".repeat(bytes - frame.len());
        let xml = frame.replace("></", &format!(">{filled}</"));
        assert_eq!(xml.len(), bytes);
        edited(HAZARD, &[("/body/hazardNotice/capXml", json!(xml))])
    };
    assert_eq!(faults(&with(limits::TEXT_BYTES_MAX)), []);
    let over = with(limits::TEXT_BYTES_MAX + 1);
    assert_fault(&over, "body.hazardNotice.capXml", "65537 bytes");
    assert_eq!(faults(&over).len(), 1);
}

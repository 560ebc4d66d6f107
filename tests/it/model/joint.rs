//! Rules of what the sides do together: meetings, patrols, activities and exercises; each with an
//! edit of a sample inside it and one outside.

use serde_json::{Value, json};

use super::{Case, Edit, assert_inside, assert_outside, edited, faults};

const PROPOSAL: &str = "meeting-proposal";
const MINUTES: &str = "meeting-minutes";
const PLAN: &str = "patrol-plan";
const REPORT: &str = "patrol-report";
const ACTIVITY: &str = "activity-report";
const EXERCISE: &str = "exercise-notice";

#[rustfmt::skip]
fn inside() -> Vec<Edit> {
    let polygon = json!({"polygon": {"points": [{"latitude": 22.0, "longitude": 103.0}, {"latitude": 22.5, "longitude": 103.0}, {"latitude": 22.5, "longitude": 103.5}]}});
    vec![
        (PROPOSAL, vec![("/body/meetingProposal/place", json!({"section": "S-12"}))]),
        (PROPOSAL, vec![("/body/meetingProposal/place", json!({"point": {"latitude": 22.5, "longitude": 103.9}}))]),
        (PROPOSAL, vec![("/body/meetingProposal/place", polygon)]),
        (PROPOSAL, vec![("/body/meetingProposal/place", json!({"gate": "nowhere-9/else"}))]),
        (PROPOSAL, vec![("/body/meetingProposal/participants", Value::Null), ("/body/meetingProposal/common/notApplicable", json!(["participants"]))]),
        (MINUTES, vec![("/body/meetingMinutes/endedAt", json!("2026-12-03T02:00:00.000000001Z"))]),
        (MINUTES, vec![("/body/meetingMinutes/decisions", json!([]))]),
        (MINUTES, vec![("/body/meetingMinutes/participants/3", Value::Null), ("/body/meetingMinutes/participants/2", Value::Null)]),
        (PLAN, vec![("/body/patrolPlan/markers", json!({"first": 1, "last": 1}))]),
        (PLAN, vec![("/body/patrolPlan/endsAt", json!("2026-12-10T00:30:01Z"))]),
        (PLAN, vec![("/body/patrolPlan/teams", json!(1)), ("/body/patrolPlan/officers", json!(1))]),
        (PLAN, vec![("/body/patrolPlan/meetingPoint", Value::Null), ("/body/patrolPlan/purpose", Value::Null), ("/body/patrolPlan/common/notApplicable", json!(["meetingPoint", "purpose"])), ("/body/patrolPlan/common/languages", json!([]))]),
        (REPORT, vec![("/body/patrolReport/teams", json!(1)), ("/body/patrolReport/officers", json!(1))]),
        (ACTIVITY, vec![("/body/activityReport/participants", json!(0)), ("/body/activityReport/events", json!(1))]),
        (ACTIVITY, vec![("/body/activityReport/place", json!({"markers": {"first": 87, "last": 167}}))]),
        (EXERCISE, vec![("/body/exerciseNotice/officers", json!(1))]),
        (EXERCISE, vec![("/status", json!("STATUS_EXERCISE"))]),
    ]
}

#[rustfmt::skip]
fn outside() -> Vec<Case> {
    vec![
        (PROPOSAL, "/body/meetingProposal/level", Value::Null, "body.meetingProposal.level", "missing"),
        (PROPOSAL, "/body/meetingProposal/level", json!(9), "body.meetingProposal.level", "9 is no MeetingLevel"),
        (PROPOSAL, "/body/meetingProposal/place/gate", json!("Lào Cai/Hekou"), "body.meetingProposal.place.gate", "no gate pair"),
        (PROPOSAL, "/body/meetingProposal/place/gate", json!("lao-cai"), "body.meetingProposal.place.gate", "no gate pair"),
        (PROPOSAL, "/body/meetingProposal/place", json!({"section": " "}), "body.meetingProposal.place.section", "blank"),
        (PROPOSAL, "/body/meetingProposal/place", json!({"point": {"latitude": 91}}), "body.meetingProposal.place.point.latitude", "outside"),
        (PROPOSAL, "/body/meetingProposal/place", json!({"polygon": {"points": []}}), "body.meetingProposal.place.polygon.points", "no area"),
        (PROPOSAL, "/body/meetingProposal/participants", Value::Null, "body.meetingProposal.participants", "neither"),
        (MINUTES, "/body/meetingMinutes/endedAt", json!("2026-12-03T02:00:00Z"), "body.meetingMinutes.endedAt", "not after startedAt"),
        (MINUTES, "/body/meetingMinutes/place", json!({"markers": {"first": 0, "last": 1}}), "body.meetingMinutes.place.markers.first", "from 1"),
        (MINUTES, "/body/meetingMinutes/participants", json!([{"name": "Mẫu", "rank": "a", "office": "b"}]), "body.meetingMinutes.participants", "only one"),
        (MINUTES, "/body/meetingMinutes/participants", json!([]), "body.meetingMinutes.participants", "missing"),
        (MINUTES, "/body/meetingMinutes/common/languages/1", Value::Null, "body.meetingMinutes.common.languages", "not given in zh"),
        (MINUTES, "/body/meetingMinutes/common/languages/0", Value::Null, "body.meetingMinutes.common.languages", "not given in vi"),
        (MINUTES, "/body/meetingMinutes/decisions/1/texts/vi", Value::Null, "body.meetingMinutes.decisions[1].texts", "no text in vi"),
        (PLAN, "/body/patrolPlan/markers/first", json!(0), "body.patrolPlan.markers.first", "from 1"),
        (PLAN, "/body/patrolPlan/markers/first", json!(168), "body.patrolPlan.markers.last", "comes before"),
        (PLAN, "/body/patrolPlan/markers", Value::Null, "body.patrolPlan.markers", "missing"),
        (PLAN, "/body/patrolPlan/endsAt", json!("2026-12-10T00:30:00Z"), "body.patrolPlan.endsAt", "not after startsAt"),
        (PLAN, "/body/patrolPlan/teams", json!(0), "body.patrolPlan.teams", "must be 1"),
        (PLAN, "/body/patrolPlan/officers", Value::Null, "body.patrolPlan.officers", "must be 1"),
        (PLAN, "/body/patrolPlan/meetingPoint/markers/last", json!(1), "body.patrolPlan.meetingPoint.markers.last", "comes before"),
        (REPORT, "/body/patrolReport/endedAt", json!("2026-12-10T00:00:00Z"), "body.patrolReport.endedAt", "not after startedAt"),
        (REPORT, "/body/patrolReport/markers/last", json!(86), "body.patrolReport.markers.last", "comes before"),
        (REPORT, "/body/patrolReport/teams", json!(0), "body.patrolReport.teams", "must be 1"),
        (REPORT, "/body/patrolReport/officers", json!(0), "body.patrolReport.officers", "must be 1"),
        (ACTIVITY, "/body/activityReport/to", json!("2026-10-31T17:00:00Z"), "body.activityReport.to", "not after from"),
        (ACTIVITY, "/body/activityReport/events", json!(0), "body.activityReport.events", "must be 1"),
        (ACTIVITY, "/body/activityReport/place/section", json!(""), "body.activityReport.place.section", "blank"),
        (EXERCISE, "/body/exerciseNotice/endsAt", json!("2026-12-16T01:00:00Z"), "body.exerciseNotice.endsAt", "not after startsAt"),
        (EXERCISE, "/body/exerciseNotice/officers", json!(0), "body.exerciseNotice.officers", "must be 1"),
        (EXERCISE, "/body/exerciseNotice/place/gate", json!("a/b/c"), "body.exerciseNotice.place.gate", "no gate pair"),
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
fn minutes_in_a_third_language_as_well_are_still_in_both() {
    let english = json!("For the record.");
    let draft = edited(
        MINUTES,
        &[
            (
                "/body/meetingMinutes/common/languages",
                json!(["vi", "zh-Hans", "en"]),
            ),
            (
                "/body/meetingMinutes/place/description/texts/en",
                english.clone(),
            ),
            ("/body/meetingMinutes/text/texts/en", english.clone()),
            ("/body/meetingMinutes/decisions/0/texts/en", english.clone()),
            ("/body/meetingMinutes/decisions/1/texts/en", english),
        ],
    );
    assert_eq!(faults(&draft), []);
}

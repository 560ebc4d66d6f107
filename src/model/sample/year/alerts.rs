//! Alerts at the line, day and night: most are acknowledged within the hour, all are closed.

use super::Side;
use super::script::{MINUTE, Ref, SECOND, Script, at_markers, both, time, without};
use crate::model::workflow::Millis;
use crate::proto::v1;
use crate::proto::v1::body::Body;
use crate::proto::v1::{ClosureOutcome, IncidentType, Precedence, Status};

type Texts = (&'static str, &'static str);

const SEEN: [(IncidentType, Texts, Texts); 6] = [
    (
        IncidentType::PersonsCrossing,
        ("Đi bộ", "徒步"),
        (
            "Nhóm người đi theo lối mòn về phía đường biên.",
            "一群人沿小路走向边界线。",
        ),
    ),
    (
        IncidentType::BoatsCrossing,
        ("Bè tre", "竹筏"),
        ("Bè đang rời bờ.", "竹筏正驶离岸边。"),
    ),
    (
        IncidentType::VehiclesCrossing,
        ("Xe máy", "摩托车"),
        ("Xe máy chở hàng không đèn.", "摩托车夜间无灯载货。"),
    ),
    (
        IncidentType::LivestockCrossing,
        ("Gia súc tự đi", "牲畜自行走动"),
        ("Đàn bò đi qua đường biên.", "牛群越过边界线。"),
    ),
    (
        IncidentType::ResourceUseAcross,
        ("Đi bộ", "徒步"),
        ("Người hái măng ở sát mốc.", "有人在界碑旁采笋。"),
    ),
    (
        IncidentType::IllegalGoods,
        ("Gùi hàng", "背运货物"),
        ("Người gùi hàng xuống suối.", "有人背运货物下到河沟。"),
    ),
];

/// Raises so many alerts, a few of them FLASH.
pub(super) fn raise(script: &mut Script, alerts: usize) {
    for number in 0..alerts {
        let precedence = match number % 48 {
            17 => Precedence::Flash,
            5 | 29 | 41 => Precedence::Immediate,
            8 | 20 | 32 | 44 => Precedence::Priority,
            _ => Precedence::Routine,
        };
        let by = script.a_side();
        let at = script.any_time(number, alerts, 6);
        let alert = alert(script, by, at, precedence, Status::Actual, None);
        follow(script, &alert, precedence, Status::Actual);
    }
}

/// What comes after an alert: noted, followed up now and then, closed.
pub(super) fn follow(script: &mut Script, alert: &Ref, precedence: Precedence, status: Status) {
    let is_late = script.dice.chance(6);
    let wait = match precedence {
        Precedence::Flash if is_late => script.dice.between(70, 200) * SECOND,
        Precedence::Flash => script.dice.between(14, 55) * SECOND,
        _ if is_late => script.dice.between(65, 240) * MINUTE,
        Precedence::Immediate => script.dice.between(60, 900) * SECOND,
        _ => script.dice.between(120, 3_300) * SECOND,
    };
    let mut last = script.acknowledge(alert, alert.at + wait, status).at;
    let (by, other) = (alert.by, alert.by.other());
    if script.dice.chance(12) {
        last += script.dice.between(5, 40) * MINUTE;
        self::alert(script, by, last, Precedence::Routine, status, Some(alert));
    }
    let at = last + script.dice.between(30, 2_000) * MINUTE;
    let outcome = *script.dice.pick(&[
        ClosureOutcome::Resolved,
        ClosureOutcome::Resolved,
        ClosureOutcome::NothingFurther,
        ClosureOutcome::Unfounded,
        ClosureOutcome::PassedOn,
    ]);
    let who = if script.dice.chance(70) { by } else { other };
    if Script::is_in_year(at) {
        script.close(who, alert, at, outcome, Vec::new(), status);
    }
}

pub(super) fn alert(
    script: &mut Script,
    by: Side,
    at: Millis,
    precedence: Precedence,
    status: Status,
    follows: Option<&Ref>,
) -> Ref {
    let (incident, means, description) = *script.dice.pick(&SEEN);
    let office = script.dice.below(3);
    let marker = script.marker();
    let is_sensor = script.dice.chance(35);
    let mut common = without(script.common(by, office), &["request"]);
    if matches!(precedence, Precedence::Immediate | Precedence::Flash) {
        common.precedence_reason = Some(both(
            "Có trẻ em, nước chảy xiết; cần ứng cứu ngay.",
            "有儿童，水流湍急，须立即救援。",
        ));
    }
    let mut counts = [0; 3];
    match incident {
        IncidentType::BoatsCrossing => counts = [script.dice.count(1, 8), 0, 1],
        IncidentType::VehiclesCrossing => counts = [script.dice.count(1, 3), 1, 0],
        IncidentType::LivestockCrossing => {}
        _ => counts[0] = script.dice.count(1, 9),
    }
    let body = Body::CrossingAlert(v1::CrossingAlert {
        common: Some(common),
        incident_type: incident.into(),
        occurred_at: Some(time(at - script.dice.between(20, 600) * SECOND)),
        place: Some(at_markers(marker, marker)),
        persons: counts[0],
        vehicles: counts[1],
        boats: counts[2],
        direction: (*script.dice.pick(&[
            v1::Direction::TowardsRecipient,
            v1::Direction::TowardsSender,
            v1::Direction::AlongTheLine,
        ]))
        .into(),
        means: Some(both(means.0, means.1)),
        source_grade: if is_sensor {
            v1::SourceGrade::B.into()
        } else {
            v1::SourceGrade::A.into()
        },
        information_grade: v1::InformationGrade::InformationGrade2.into(),
        sensor_id: if is_sensor {
            format!("MAU-TH-{marker:04}")
        } else {
            String::new()
        },
        sensor_confidence_percent: if is_sensor {
            script.dice.count(55, 98)
        } else {
            0
        },
        description: Some(both(description.0, description.1)),
        request: None,
    });
    let mut draft = match follows {
        Some(first) => script.answer(by, first, body),
        None => script.draft(by, body),
    };
    draft.precedence = precedence.into();
    draft.status = status.into();
    script.say(at, by, draft)
}

//! The line itself and what both sides tell of themselves: calendars, rosters, gates, works,
//! markers, hazards, exercises.

use super::alerts;
use super::days::sample;
use super::script::{DAY, HOUR, MINUTE, Script, at_gate, at_markers, both, time, without};
use super::{BEGINS_AT, Side};
use crate::model::workflow::Millis;
use crate::proto::v1;
use crate::proto::v1::body::Body;
use crate::proto::v1::{GateStatus, MarkerCondition, Precedence, RosterRole, Stance, Status};

/// Both sides publish their calendars before anything else: what follows is counted on them.
pub(super) fn open(script: &mut Script) {
    for by in Side::BOTH {
        let at = script.days(by).nth(0) + MINUTE;
        publish(script, by, script.cast.of(by).calendar, at);
        roster(script, by, 1, at + 20 * MINUTE);
        let december = script.days(by).office(BEGINS_AT + 340 * DAY);
        publish(script, by, script.cast.of(by).next_calendar, december);
    }
}

fn publish(script: &mut Script, by: Side, calendar: &str, at: Millis) {
    // Each calendar names its days in its own language and in English.
    let common = v1::Common {
        languages: Vec::new(),
        ..script.common(by, 0)
    };
    let mut calendar = sample(calendar).to_message(common);
    let tags: Vec<String> = calendar
        .days_off
        .iter()
        .filter_map(|day| day.name.as_ref())
        .flat_map(|name| name.texts.keys().cloned())
        .collect();
    if let Some(common) = &mut calendar.common {
        common.languages = tags;
        common.languages.sort();
        common.languages.dedup();
    }
    let mut draft = script.draft(by, Body::Calendar(calendar));
    draft.handling = Some(v1::Handling {
        classification: v1::Classification::Unclassified.into(),
        ..v1::Handling::default()
    });
    script.say(at, by, draft);
}

fn roster(script: &mut Script, by: Side, version: u32, at: Millis) {
    let roles = [
        (RosterRole::DutyOfficer, ("Cả ngày đêm", "全天")),
        (RosterRole::LiaisonOfficer, ("Giờ hành chính", "工作时间")),
        (RosterRole::Commander, ("Qua trực ban", "经值班员转接")),
    ];
    let entries = roles.iter().enumerate().map(|(at, (role, hours))| {
        let number = usize::try_from(version).unwrap_or_default() + at;
        v1::RosterEntry {
            officer: Some(script.cast.officer(by, number, at)),
            role: (*role).into(),
            languages: vec!["vi".to_owned(), "zh-Hans".to_owned()],
            hours: Some(both(hours.0, hours.1)),
        }
    });
    let body = Body::Roster(v1::Roster {
        common: Some(script.common(by, 0)),
        version,
        valid_from: Some(time(at)),
        valid_until: Some(time(at + 92 * DAY)),
        entries: entries.collect(),
    });
    let draft = script.draft(by, body);
    script.say(at, by, draft);
}

/// The rest of the year at the line.
pub(super) fn tell(script: &mut Script) {
    for by in Side::BOTH {
        for (version, day) in (2..).zip([88, 179, 271]) {
            let at = script.days(by).office(BEGINS_AT + day * DAY);
            roster(script, by, version, at);
        }
    }
    gates(script);
    for number in 0..6 {
        works(script, number);
    }
    for number in 0..8 {
        marker(script, number);
    }
    hazard(script, Status::Actual, 221);
    exercise(script);
}

/// Closed on the holidays, restricted now and then; one notice is replaced.
fn gates(script: &mut Script) {
    let reason = |vi, zh| Some(both(vi, zh));
    let festival = reason("Nghỉ Tết Nguyên đán", "春节放假");
    let national = reason("Nghỉ Quốc khánh", "国庆节放假");
    let check = reason("Bảo dưỡng hệ thống kiểm soát", "检查系统检修");
    let flood = reason("Nước sông lên cao", "河水上涨");
    let notices = [
        (Side::Vn, 24, 5, GateStatus::Closed, festival.clone()),
        (Side::Cn, 25, 5, GateStatus::Closed, festival),
        (Side::Vn, 140, 3, GateStatus::Restricted, check),
        (Side::Cn, 195, 2, GateStatus::Restricted, flood),
        (Side::Vn, 242, 3, GateStatus::Restricted, national.clone()),
        (Side::Cn, 271, 4, GateStatus::Closed, national),
    ];
    for (by, day, days, status, reason) in notices {
        let at = script
            .days(by)
            .office(BEGINS_AT + (day - 6) * DAY + 2 * HOUR);
        let from = BEGINS_AT + day * DAY;
        let notice = |script: &Script, days: i64| {
            let gate = script.gate(1);
            let is_closed = status == GateStatus::Closed;
            let zone = match by {
                Side::Vn => "Asia/Ho_Chi_Minh",
                Side::Cn => "Asia/Shanghai",
            };
            let mut common = script.common(by, 1);
            if is_closed {
                common = without(common, &["hours"]);
            }
            let hours = v1::GateHours {
                opens: "09:00".to_owned(),
                closes: "15:00".to_owned(),
                time_zone: zone.to_owned(),
                weekdays: Vec::new(),
            };
            let body = Body::GateNotice(v1::GateNotice {
                common: Some(common),
                gate: gate.to_owned(),
                status: status.into(),
                hours: if is_closed { Vec::new() } else { vec![hours] },
                traffic: v1::GateTraffic::PersonsAndGoods.into(),
                valid_from: Some(time(from)),
                valid_until: Some(time(from + days * DAY)),
                reason: reason.clone(),
            });
            script.draft(by, body)
        };
        let draft = notice(script, days);
        let sent = script.say(at, by, draft);
        if day == 140 {
            // It takes two days longer.
            let at = script.soon(by, at, (200, 900));
            let draft = v1::Draft {
                supersedes: sent.id.clone(),
                ..notice(script, days + 2)
            };
            script.say(at, by, draft);
        } else {
            let at = script.soon(by.other(), at, (10, 200));
            script.acknowledge(&sent, at, Status::Actual);
        }
    }
}

fn works(script: &mut Script, number: usize) {
    let by = script.a_side();
    let at = script.office_time(by, number, 6, 30);
    let marker = script.marker();
    let starts = at + 12 * DAY;
    let body = Body::WorksNotice(v1::WorksNotice {
        common: Some(script.common(by, 1)),
        r#type: v1::WorksType::SightlineClearing.into(),
        place: Some(at_markers(marker, marker + 2)),
        starts_at: Some(time(starts)),
        ends_at: Some(time(starts + 4 * DAY)),
        distance_metres: 5,
        description: Some(both(
            "Phát quang hành lang thông tầm nhìn bằng dụng cụ cầm tay; không đốt.",
            "用手工工具清理通视道，不焚烧。",
        )),
        consent_asked: number != 4,
    });
    let draft = script.draft(by, body);
    let sent = script.say(at, by, draft);
    let at = script.in_days(by.other(), at, (1, 4));
    match number {
        2 => {
            let reason = both("Đề nghị lùi sau mùa lúa.", "建议在稻收之后进行。");
            script.respond(&sent, at, Stance::Declined, Some(reason));
        }
        4 => {
            script.acknowledge(&sent, at, Status::Actual);
        }
        _ => {
            script.respond(&sent, at, Stance::Agreed, None);
        }
    }
}

/// Reports, half of them minutes that both sides sign.
fn marker(script: &mut Script, number: usize) {
    let by = script.a_side();
    let at = script.office_time(by, number, 8, 14);
    let is_minutes = number % 2 == 1;
    let marker = script.marker();
    let (condition, text) = if is_minutes {
        let text = both(
            "Hai bên đã sửa bệ mốc và kiểm tra vị trí; mốc đúng vị trí.",
            "双方已修复界碑基座并核对位置，界碑位置无误。",
        );
        (MarkerCondition::Restored, text)
    } else {
        let text = both(
            "Bệ mốc có vết nứt dài 30 cm; thân mốc không dịch chuyển.",
            "界碑基座有长30厘米裂缝，碑身未移位。",
        );
        (MarkerCondition::Damaged, text)
    };
    let body = Body::MarkerReport(v1::MarkerReport {
        common: Some(script.common(by, 1)),
        marker,
        condition: condition.into(),
        observed_at: Some(time(at - 3 * HOUR)),
        description: Some(text),
        is_minutes,
    });
    let draft = script.draft(by, body);
    let sent = script.say(at, by, draft);
    let at = script.soon(by.other(), at, (60, 1_200));
    if is_minutes {
        script.countersign(&sent, at, Vec::new(), None);
    } else {
        script.acknowledge(&sent, at, Status::Actual);
    }
}

/// A fire that may cross the line.
fn hazard(script: &mut Script, status: Status, day: i64) {
    let by = script.a_side();
    let at = BEGINS_AT + day * DAY + 13 * HOUR + script.dice.between(0, 90) * MINUTE;
    let marker = script.marker();
    let mut common = script.common(by, 1);
    common.precedence_reason = Some(both(
        "Đám cháy cách đường biên 400 m, gió thổi về phía biên giới.",
        "火场距边界线400米，风向吹向边界。",
    ));
    let body = Body::HazardNotice(v1::HazardNotice {
        common: Some(common),
        r#type: v1::HazardType::ForestFire.into(),
        place: Some(at_markers(marker, marker + 1)),
        onset_at: Some(time(at - 30 * MINUTE)),
        description: Some(both(
            "Cháy rừng trồng khoảng 3 ha, đang lan về phía đường biên.",
            "人工林起火约3公顷，火势向边界线蔓延。",
        )),
        help_asked: Some(both(
            "Đề nghị cảnh báo cư dân và chuẩn bị băng cản lửa.",
            "请提醒居民并准备防火隔离带。",
        )),
        cap_xml: String::new(),
        cap_sha256: Vec::new().into(),
    });
    let draft = v1::Draft {
        precedence: Precedence::Immediate.into(),
        status: status.into(),
        ..script.draft(by, body)
    };
    let sent = script.say(at, by, draft);
    script.acknowledge(&sent, at + 11 * MINUTE, status);
}

/// A joint exercise: announced for real, and then traffic that is none.
fn exercise(script: &mut Script) {
    let by = Side::Cn;
    let day = 290;
    let begins = BEGINS_AT + day * DAY + 9 * HOUR;
    let at = script.days(by).office(begins - 14 * DAY);
    let body = Body::ExerciseNotice(v1::ExerciseNotice {
        common: Some(script.common(by, 1)),
        subject: Some(both("Diễn tập chung cứu hộ khi có lũ", "洪水联合救援演练")),
        starts_at: Some(time(begins)),
        ends_at: Some(time(begins + 3 * HOUR)),
        place: Some(at_gate(script.gate(1))),
        description: Some(both(
            "Tin nhắn trong diễn tập mang trạng thái EXERCISE.",
            "演练中的消息标为EXERCISE。",
        )),
        officers: 40,
    });
    let draft = script.draft(by, body);
    let sent = script.say(at, by, draft);
    let agreed = script.soon(Side::Vn, at, (60, 900));
    script.respond(&sent, agreed, Stance::Agreed, None);
    hazard(script, Status::Exercise, day);
    for number in 0..4 {
        let at = begins + number * 31 * MINUTE;
        let precedence = if number == 1 {
            Precedence::Flash
        } else {
            Precedence::Immediate
        };
        let by = script.a_side();
        let alert = alerts::alert(script, by, at, precedence, Status::Exercise, None);
        alerts::follow(script, &alert, precedence, Status::Exercise);
    }
}

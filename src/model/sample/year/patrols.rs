//! Joint patrols, and legal education along the line.

use super::script::{DAY, HOUR, MINUTE, Ref, Script, at_markers, both, time, without};
use super::{BEGINS_AT, Side};
use crate::model::workflow::Millis;
use crate::proto::v1;
use crate::proto::v1::Stance;
use crate::proto::v1::body::Body;

/// Patrols so often, with so many officers of each side: planned, countered now and then, agreed,
/// reported by both.
pub(super) fn walk(script: &mut Script, patrols: usize, officers: u32) {
    for number in 0..patrols {
        let by = Side::BOTH[number % 2];
        let at = script.office_time(by, number, patrols, 24);
        let mut walk_at = script.days(by).after(at, 9) + HOUR;
        let mut plan = plan(script, by, None, at, walk_at, officers);
        if number % 4 == 2 {
            let at = script.soon(by.other(), at, (90, 900));
            walk_at = script.days(by.other()).office(walk_at + DAY);
            plan = self::plan(script, by.other(), Some(&plan), at, walk_at, officers);
        }
        let at = script.soon(plan.by.other(), plan.at, (90, 900));
        script.respond(&plan, at, Stance::Agreed, None);
        for by in Side::BOTH {
            let ended = walk_at + 7 * HOUR + script.dice.between(0, 50) * MINUTE;
            report(script, by, &plan, (walk_at, ended), officers);
        }
    }
}

const TEAMS: u32 = 4;
const MARKERS: v1::MarkerRange = v1::MarkerRange {
    first: 87,
    last: 167,
};

fn plan(
    script: &mut Script,
    by: Side,
    counters: Option<&Ref>,
    at: Millis,
    walk_at: Millis,
    officers: u32,
) -> Ref {
    let body = Body::PatrolPlan(v1::PatrolPlan {
        common: Some(script.common(by, 1)),
        r#type: v1::PatrolType::Regular.into(),
        markers: Some(MARKERS),
        starts_at: Some(time(walk_at)),
        ends_at: Some(time(walk_at + 8 * HOUR)),
        teams: TEAMS,
        officers,
        meeting_point: Some(at_markers(102, 102)),
        purpose: Some(both(
            "Kiểm tra đường biên và mốc giới, tuyên truyền cho cư dân hai bên.",
            "检查边界线和界碑，向两侧边民开展宣传。",
        )),
    });
    let draft = match counters {
        Some(plan) => script.answer(by, plan, body),
        None => script.draft(by, body),
    };
    script.say(at, by, draft)
}

fn report(
    script: &mut Script,
    by: Side,
    plan: &Ref,
    (began, ended): (Millis, Millis),
    officers: u32,
) {
    let body = Body::PatrolReport(v1::PatrolReport {
        common: Some(script.common(by, 1)),
        started_at: Some(time(began)),
        ended_at: Some(time(ended)),
        markers: Some(MARKERS),
        teams: TEAMS,
        officers,
        findings: Some(both(
            "Đường biên và mốc giới nguyên vẹn; đã nhắc nhở hai hộ dân.",
            "边界线和界碑完好，已提醒两户居民。",
        )),
    });
    let at = ended + script.dice.between(30, 300) * MINUTE;
    let draft = script.answer(by, plan, body);
    script.say(at, by, draft);
}

/// Tells each month of legal education; so many residents took part in all.
pub(super) fn teach(script: &mut Script, residents: u32) {
    let parts = script.dice.parts(residents, 24, 150);
    for (number, participants) in parts.into_iter().enumerate() {
        let by = Side::BOTH[number % 2];
        let month = i64::try_from(number / 2).unwrap_or_default();
        let from = BEGINS_AT + month * 30 * DAY;
        let to = from + 28 * DAY;
        let later = to + script.dice.between(4, 30) * HOUR;
        let at = script.days(by).office(later);
        let common = without(script.common(by, 0), &["place", "description"]);
        let body = Body::ActivityReport(v1::ActivityReport {
            common: Some(v1::Common {
                // There is no text in it.
                languages: Vec::new(),
                ..common
            }),
            r#type: v1::ActivityType::LegalEducation.into(),
            from: Some(time(from)),
            to: Some(time(to)),
            place: None,
            events: participants / 60 + 1,
            participants,
            description: None,
        });
        let draft = script.draft(by, body);
        script.say(at, by, draft);
    }
}

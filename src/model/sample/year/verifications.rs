//! Questions about persons: most are answered within 7 working days, some late, some extended.

use super::Side;
use super::script::{HOUR, MINUTE, Ref, Script, both, without};
use crate::model::sample::{People, handover_persons};
use crate::model::workflow::Millis;
use crate::proto::v1;
use crate::proto::v1::body::Body;
use crate::proto::v1::{ClosureOutcome, Status, VerificationOutcome};

/// Asks so many times.
pub(super) fn ask(script: &mut Script, requests: usize) {
    for number in 0..requests {
        let by = script.a_side();
        let asked = by.other();
        let at = script.office_time(by, number, requests, 22);
        let persons = 1 + script.dice.below(6);
        let request = request(script, by, at, number, persons);
        let noted = script.soon(asked, at, (10, 350));
        let noted = script.acknowledge(&request, noted, Status::Actual);
        // The day of the request is not counted. The last day is not used up to its last minute.
        let (days, is_extended) = match number % 16 {
            3 => ((9, 11), false),
            7 => ((9, 11), true),
            11 => ((13, 15), true),
            _ => ((2, 6), false),
        };
        let mut last = noted.at;
        if is_extended {
            last = script.in_days(asked, at, (5, 6)).max(noted.at + HOUR);
            extend(script, &request, last);
        }
        let replied = script.in_days(asked, at, days).max(last + HOUR);
        let replied = script.days(asked).office(replied);
        let numbers: Vec<u32> = (1..).take(persons).collect();
        let split = if number % 5 == 2 { persons / 2 } else { 0 };
        if split > 0 {
            let first = (last + 30 * MINUTE).min(replied - 10 * MINUTE);
            reply(script, &request, first, &numbers[..split]);
        }
        let done = reply(script, &request, replied, &numbers[split..]);
        if script.dice.chance(60) {
            let at = script.soon(by, done.at, (60, 2_000));
            let outcome = ClosureOutcome::Resolved;
            script.close(by, &request, at, outcome, Vec::new(), Status::Actual);
        }
    }
}

fn request(script: &mut Script, by: Side, at: Millis, number: usize, persons: usize) -> Ref {
    // Whether they are nationals of the side that is asked.
    let people = match by {
        Side::Vn => People::Chinese,
        Side::Cn => People::Vietnamese,
    };
    let office = script.dice.below(3);
    let mut not_applicable = Vec::new();
    let persons = handover_persons(people, 400 + number * 7, persons, &mut not_applicable);
    // A request for verification has the same particulars, and neither needs nor screening.
    not_applicable.retain(|field| !field.ends_with("Needs"));
    let persons = persons.into_iter().map(|person| v1::VerificationPerson {
        number: person.number,
        name: person.name,
        earlier_names: person.earlier_names,
        birth_date: person.birth_date,
        birth_place: person.birth_place,
        sex: person.sex,
        nationality: person.nationality,
        parents: person.parents,
        last_address: person.last_address,
        document: person.document,
        photo_sha256: person.photo_sha256,
        claims_no_protection: true,
        question: Some(both(
            "Người này có phải là công dân của quý bên không?",
            "此人是否为贵方公民？",
        )),
    });
    let body = Body::VerificationRequest(v1::VerificationRequest {
        common: Some(v1::Common {
            not_applicable,
            ..script.common(by, office)
        }),
        persons: persons.collect(),
        circumstances: Some(both(
            "Được phát hiện khi kiểm tra, không có giấy tờ cư trú hợp lệ (MẪU).",
            "检查中发现，无有效居留证件（示例）。",
        )),
    });
    let draft = script.draft(by, body);
    script.say(at, by, draft)
}

fn extend(script: &mut Script, request: &Ref, at: Millis) -> Ref {
    let by = request.by.other();
    let body = Body::DeadlineExtension(v1::DeadlineExtension {
        common: Some(script.common(by, 0)),
        reason: Some(both(
            "Hồ sơ hộ tịch ở huyện khác; cần thêm thời gian.",
            "户籍档案在其他县，需延长时间。",
        )),
    });
    let draft = script.answer(by, request, body);
    script.say(at, by, draft)
}

fn reply(script: &mut Script, request: &Ref, at: Millis, numbers: &[u32]) -> Ref {
    let by = request.by.other();
    let nationality = match by {
        Side::Vn => "VNM",
        Side::Cn => "CHN",
    };
    let results = numbers.iter().map(|number| {
        let outcome = match script.dice.below(10) {
            0 => VerificationOutcome::NotFound,
            1 => VerificationOutcome::ConfirmedOtherwise,
            _ => VerificationOutcome::Confirmed,
        };
        v1::VerificationResult {
            number: *number,
            outcome: outcome.into(),
            nationality: if outcome == VerificationOutcome::NotFound {
                String::new()
            } else {
                nationality.to_owned()
            },
            detail: (outcome == VerificationOutcome::ConfirmedOtherwise).then(|| {
                both(
                    "Ngày sinh trong hộ tịch khác một tháng.",
                    "户籍出生日期相差一个月。",
                )
            }),
        }
    });
    let results: Vec<_> = results.collect();
    let has_text = results.iter().any(|result| result.detail.is_some());
    let mut common = without(script.common(by, 0), &["remark"]);
    if !has_text {
        common.languages.clear();
    }
    let body = Body::VerificationReply(v1::VerificationReply {
        common: Some(common),
        results,
        remark: None,
        decided_by: Some(script.cast.officer(by, numbers.len(), 0)),
    });
    let draft = script.answer(by, request, body);
    script.say(at, by, draft)
}

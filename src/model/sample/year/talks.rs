//! Calls and meetings.

use super::Side;
use super::script::{DAY, HOUR, MINUTE, Ref, Script, at_gate, both, time, without};
use crate::model::workflow::Millis;
use crate::proto::v1;
use crate::proto::v1::body::Body;
use crate::proto::v1::{MeetingLevel, Stance};

type Texts = (&'static str, &'static str);

/// Subject and summary of calls.
const CALLS: [(Texts, Texts); 6] = [
    (
        ("Người vượt biên trái phép", "非法越境人员"),
        (
            "Báo có nhóm người ở gần mốc; bên kia cử tổ tuần tra.",
            "通报界碑附近有人员聚集，对方派出巡逻组。",
        ),
    ),
    (
        ("Ùn tắc xe hàng", "货车拥堵"),
        (
            "Hai bên thống nhất điều tiết xe trong buổi chiều.",
            "双方商定下午疏导车辆。",
        ),
    ),
    (
        ("Hẹn gặp gỡ", "约定会晤"),
        ("Thống nhất giờ và địa điểm gặp gỡ.", "商定会晤时间和地点。"),
    ),
    (
        ("Người dân bị thương", "居民受伤"),
        (
            "Đề nghị cho xe cứu thương qua cửa khẩu; đã đồng ý.",
            "请求救护车通过口岸，已同意。",
        ),
    ),
    (
        ("Gia súc đi lạc", "牲畜走失"),
        (
            "Ba con trâu đã được giữ lại và sẽ trả cho chủ.",
            "三头水牛已看管，将归还主人。",
        ),
    ),
    (
        ("Thời tiết xấu", "恶劣天气"),
        (
            "Trao đổi về mưa lớn và nguy cơ sạt lở trên đường tuần tra.",
            "交换暴雨及巡逻道路滑坡风险情况。",
        ),
    ),
];

/// Notes so many calls; the other side confirms them, or says how its own notes differ.
pub(super) fn call(script: &mut Script, calls: usize) {
    for number in 0..calls {
        let by = script.a_side();
        let began = script.any_time(number, calls, 6);
        let seconds = script.dice.count(50, 1_500);
        let (subject, summary) = *script.dice.pick(&CALLS);
        let office = script.dice.below(3);
        let body = Body::HotlineCall(v1::HotlineCall {
            common: Some(script.common(by, office)),
            caller: Some(script.cast.officer(by, number, office)),
            called: Some(script.cast.officer(by.other(), number / 2, office)),
            started_at: Some(time(began)),
            duration_seconds: seconds,
            subject: Some(both(subject.0, subject.1)),
            summary: Some(both(summary.0, summary.1)),
        });
        let noted = began + Millis::from(seconds) * 1_000 + script.dice.between(4, 50) * MINUTE;
        let draft = script.draft(by, body);
        let sent = script.say(noted, by, draft);
        if number % 29 == 13 {
            continue; // nobody has answered
        }
        let at = noted + script.dice.between(3, 200) * MINUTE;
        if number % 17 == 9 {
            let account = both(
                "Theo ghi chép của chúng tôi, cuộc gọi bắt đầu muộn hơn năm phút.",
                "据我方记录，通话晚五分钟开始。",
            );
            script.respond(&sent, at, Stance::Differs, Some(account));
        } else {
            script.respond(&sent, at, Stance::Agreed, None);
        }
    }
}

/// Holds so many talks and meetings: proposed, countered or agreed, minuted, signed by both; and a
/// few that did not come about.
pub(super) fn meet(script: &mut Script, talks: usize, face_to_face: usize) {
    for number in 0..talks {
        meeting(script, MeetingLevel::Talks, number, talks);
    }
    for number in 0..face_to_face {
        meeting(script, MeetingLevel::FaceToFace, number, face_to_face);
    }
    for number in 0..4 {
        let (by, level) = (script.a_side(), MeetingLevel::FaceToFace);
        let at = script.office_time(by, number, 4, 30);
        let meet_at = script.in_days(by, at, (8, 12));
        let proposed = propose(script, by, None, at, level, meet_at);
        let at = script.soon(by.other(), at, (60, 900));
        if number % 2 == 0 {
            let reason = both(
                "Trùng với đợt tập huấn; đề nghị lùi sang tháng sau.",
                "与集训冲突，建议改至下月。",
            );
            script.respond(&proposed, at, Stance::Declined, Some(reason));
        } else {
            script.respond(&proposed, at, Stance::Agreed, None);
            let at = script.soon(by, at, (300, 1_500));
            let reason = both("Bão số 3; hoãn gặp gỡ.", "受台风影响，会晤推迟。");
            script.withdraw(&proposed, at, reason);
        }
    }
}

fn meeting(script: &mut Script, level: MeetingLevel, number: usize, of: usize) {
    let by = script.a_side();
    let at = script.office_time(by, number, of, 24);
    let lead = if level == MeetingLevel::Talks {
        (8, 11)
    } else {
        (4, 7)
    };
    let mut meet_at = script.in_days(by, at, lead);
    meet_at = script.days(by).office(meet_at);
    let mut table = propose(script, by, None, at, level, meet_at);
    if script.dice.chance(25) {
        // The other side counters, once.
        let at = script.soon(by.other(), at, (40, 600));
        meet_at = script.days(by.other()).office(meet_at + DAY);
        table = propose(script, by.other(), Some(&table), at, level, meet_at);
    }
    let at = script.soon(table.by.other(), table.at, (40, 700));
    let agreed = script.respond(&table, at, Stance::Agreed, None);

    let ends = meet_at + script.dice.between(60, 200) * MINUTE;
    let mut at = ends.max(agreed.at) + script.dice.between(30, 240) * MINUTE;
    let mut held = minutes(script, by, &table, None, at, level, (meet_at, ends));
    if number % 40 == 21 {
        // One word is not what was agreed: not signed, put right, signed.
        at = script.soon(by.other(), held.at, (30, 200));
        let reason = both("Mục 2: ngày tuần tra chưa đúng.", "第二项：巡逻日期有误。");
        let refused = script.countersign(&held, at, Vec::new(), Some(reason));
        at = script.soon(by, refused.at, (20, 120));
        held = minutes(script, by, &table, Some(&held), at, level, (meet_at, ends));
    }
    let at = script.soon(by.other(), held.at, (30, 1_600));
    script.countersign(&held, at, Vec::new(), None);
}

const AGENDA: Texts = (
    "1. Kết quả phối hợp.\n2. Kế hoạch tuần tra chung.\n3. Cửa khẩu và cư dân biên giới.",
    "一、协作情况。\n二、联合巡逻计划。\n三、口岸与边民。",
);

fn place(script: &mut Script, by: Side) -> v1::Place {
    let office = script.dice.below(3);
    v1::Place {
        description: Some(match by {
            Side::Vn => both("Phòng hội đàm, phía Việt Nam", "越方一侧会谈室"),
            Side::Cn => both("Phòng hội đàm, phía Trung Quốc", "中方一侧会谈室"),
        }),
        ..at_gate(script.gate(office))
    }
}

fn propose(
    script: &mut Script,
    by: Side,
    counters: Option<&Ref>,
    at: Millis,
    level: MeetingLevel,
    meet_at: Millis,
) -> Ref {
    let office = usize::from(level == MeetingLevel::FaceToFace);
    let body = Body::MeetingProposal(v1::MeetingProposal {
        common: Some(script.common(by, office)),
        level: level.into(),
        starts_at: Some(time(meet_at)),
        place: Some(place(script, by)),
        agenda: Some(both(AGENDA.0, AGENDA.1)),
        participants: (0..3)
            .map(|number| script.cast.officer(by, number, office))
            .collect(),
    });
    let draft = match counters {
        Some(proposal) => script.answer(by, proposal, body),
        None => script.draft(by, body),
    };
    script.say(at, by, draft)
}

fn minutes(
    script: &mut Script,
    by: Side,
    of: &Ref,
    supersedes: Option<&Ref>,
    at: Millis,
    level: MeetingLevel,
    (started, ended): (Millis, Millis),
) -> Ref {
    let office = usize::from(level == MeetingLevel::FaceToFace);
    let both_sides = Side::BOTH.into_iter();
    let participants = both_sides.flat_map(|side| (0..3).map(move |number| (side, number)));
    let next = both(
        "Tuần tra chung trong tháng tới; thời gian thống nhất qua đường dây nóng.",
        "下月开展联合巡逻，时间通过热线商定。",
    );
    let share = both(
        "Trao đổi thông tin trong vòng một giờ khi có người vượt biên.",
        "发现越境人员一小时内互通信息。",
    );
    let body = Body::MeetingMinutes(v1::MeetingMinutes {
        common: Some(without(script.common(by, office), &[])),
        level: level.into(),
        started_at: Some(time(started)),
        ended_at: Some(time(ended.max(started + HOUR))),
        place: Some(place(script, by)),
        participants: participants
            .map(|(side, number)| script.cast.officer(side, number, office))
            .collect(),
        text: Some(both(
            "Hai bên đánh giá công tác phối hợp và thống nhất các nội dung dưới đây. Biên bản lập \
             bằng tiếng Việt và tiếng Trung, hai văn bản có giá trị như nhau.",
            "双方回顾了协作情况，并就下列事项达成一致。本纪要以越文和中文写成，两种文本同等作准。",
        )),
        decisions: vec![next, share],
    });
    let draft = match supersedes {
        Some(before) => v1::Draft {
            supersedes: before.id.clone(),
            ..script.draft(by, body)
        },
        None => script.answer(by, of, body),
    };
    script.say(at, by, draft)
}

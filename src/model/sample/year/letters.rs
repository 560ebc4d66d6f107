//! Letters: sent, acknowledged, most of those that ask for it answered, few of them late.

use super::Side;
use super::script::{DAY, Ref, Script, both, time, without};
use crate::model::sample;
use crate::proto::v1;
use crate::proto::v1::body::Body;

type Texts = (&'static str, &'static str);

/// Subject and text.
const MATTERS: [(Texts, Texts); 8] = [
    (
        (
            "V/v phối hợp tuần tra chung quý tới",
            "关于下季度联合巡逻的函",
        ),
        (
            "Đề nghị quý bên thống nhất thời gian, đoạn mốc và lực lượng tham gia tuần tra chung.",
            "请贵方商定联合巡逻的时间、界碑段及参加人员。",
        ),
    ),
    (
        (
            "V/v trao đổi thông tin về phương tiện vận chuyển hàng hóa",
            "关于交换货运车辆信息的函",
        ),
        (
            "Đề nghị quý bên cung cấp số lượng xe chờ thông quan trong tuần để điều tiết hai bên.",
            "请贵方提供本周待通关车辆数，以便双方疏导。",
        ),
    ),
    (
        ("V/v kiểm tra hiện trạng mốc giới", "关于查看界碑现状的函"),
        (
            "Sau đợt mưa lớn, đề nghị hai bên cùng kiểm tra mốc giới và đường tuần tra.",
            "大雨过后，建议双方共同查看界碑和巡逻道路。",
        ),
    ),
    (
        (
            "V/v tuyên truyền cho cư dân biên giới",
            "关于向边民开展宣传的函",
        ),
        (
            "Xin gửi nội dung tuyên truyền pháp luật mẫu; đề nghị quý bên góp ý trước khi in.",
            "现送上法治宣传样稿，请贵方在付印前提出意见。",
        ),
    ),
    (
        (
            "V/v thời gian làm việc của cửa khẩu dịp lễ",
            "关于节日期间口岸工作时间的函",
        ),
        (
            "Đề nghị quý bên thông báo lịch nghỉ lễ và phương án trực của cửa khẩu.",
            "请贵方通报放假安排及口岸值班方案。",
        ),
    ),
    (
        (
            "V/v xử lý rác thải trên sông biên giới",
            "关于处理界河垃圾的函",
        ),
        (
            "Phát hiện rác trôi ở bờ sông; đề nghị hai bên cùng thu gom và nhắc nhở cư dân.",
            "发现界河岸有漂浮垃圾，建议双方共同清理并提醒居民。",
        ),
    ),
    (
        (
            "V/v cảm ơn phối hợp tìm kiếm người đi lạc",
            "关于感谢协助寻找走失人员的函",
        ),
        (
            "Xin cảm ơn quý bên đã phối hợp; người đi lạc đã về nhà an toàn.",
            "感谢贵方协助，走失人员已平安回家。",
        ),
    ),
    (
        (
            "V/v danh sách liên lạc khi có thiên tai",
            "关于灾害联络名单的函",
        ),
        (
            "Đề nghị quý bên rà soát danh sách liên lạc khi có lũ, sạt lở và cháy rừng.",
            "请贵方核对洪水、滑坡及森林火灾联络名单。",
        ),
    ),
];

const REPLIES: [Texts; 3] = [
    (
        "Đã nhận công văn. Chúng tôi đồng ý với đề nghị của quý bên.",
        "来函收悉，我方同意贵方建议。",
    ),
    (
        "Đã nhận công văn. Xin gửi thông tin như đề nghị và mong tiếp tục phối hợp.",
        "来函收悉，现按请求提供信息，望继续协作。",
    ),
    (
        "Đã nhận công văn. Chúng tôi đề nghị điều chỉnh thời gian và sẽ trao đổi qua đường dây nóng.",
        "来函收悉，建议调整时间，并通过热线再商。",
    ),
];

/// Writes so many letters, and so many answers to them.
pub(super) fn write(script: &mut Script, letters: usize, replies: usize) {
    for number in 0..letters {
        let by = script.a_side();
        let is_answered = (number + 1) * replies / letters > number * replies / letters;
        let at = script.office_time(by, number, letters, 12);
        // Now and then a reply is asked for and does not come.
        let asks = is_answered && script.dice.chance(85) || script.dice.chance(2);
        let wrong = number % 80 == 37;
        let first = letter(script, by, at, asks, number);
        let mut sent = script.say(at, by, first.clone());
        if wrong {
            let at = script.soon(by, at, (10, 90));
            let mut corrected = first;
            corrected.supersedes.clone_from(&sent.id);
            corrected.in_reply_to.clear();
            if let Some(Body::OfficialLetter(letter)) = content(&mut corrected) {
                letter.letter_number = script.letter_number(by);
            }
            sent = script.say(at, by, corrected);
        }
        let other = by.other();
        if script.dice.chance(80) {
            let at = script.soon(other, sent.at, (8, 300));
            script.acknowledge(&sent, at, v1::Status::Actual);
        }
        if is_answered {
            answer(script, &sent, number);
        }
    }
    for number in 0..letters / 70 {
        let by = script.a_side();
        let at = script.office_time(by, number, letters / 70, 12);
        let draft = letter(script, by, at, false, number);
        let sent = script.say(at, by, draft);
        let at = script.soon(by, at, (5, 60));
        let reason = both(
            "Ghi nhầm nơi nhận; đã gửi lại cho đơn vị khác.",
            "收文单位有误，已另行发送。",
        );
        script.withdraw(&sent, at, reason);
    }
}

fn answer(script: &mut Script, sent: &Ref, number: usize) {
    let by = sent.by.other();
    let days = if script.dice.chance(92) {
        (1, 6)
    } else {
        (9, 11)
    };
    // After the acknowledgement, which is given within the day or the next.
    let at = script.in_days(by, sent.at, days).max(sent.at + 2 * DAY);
    let at = script.days(by).office(at);
    let (vi, zh) = *script.dice.pick(&REPLIES);
    let office = script.dice.below(3);
    let mut draft = letter(script, by, at, false, number);
    draft.in_reply_to.clone_from(&sent.id);
    if let Some(Body::OfficialLetter(letter)) = content(&mut draft) {
        letter.text = Some(both(vi, zh));
        letter.signatory = Some(script.cast.officer(by, office, office));
    }
    script.say(at, by, draft);
}

fn content(draft: &mut v1::Draft) -> Option<&mut Body> {
    draft.body.as_mut()?.body.as_mut()
}

fn letter(script: &mut Script, by: Side, at: i64, asks: bool, number: usize) -> v1::Draft {
    let (subject, text) = *script.dice.pick(&MATTERS);
    let office = script.dice.below(4);
    let reply_by = asks.then(|| time(script.days(by).office(at + 14 * DAY)));
    let mut common = without(script.common(by, office), &["place"]);
    if !asks {
        common = without(common, &["replyBy"]);
    }
    if number % 60 == 11 {
        common.attachments.extend(annex());
    }
    let body = Body::OfficialLetter(v1::OfficialLetter {
        common: Some(common),
        letter_number: script.letter_number(by),
        subject: Some(both(subject.0, subject.1)),
        text: Some(both(text.0, text.1)),
        signatory: Some(script.cast.officer(by, office, office)),
        reply_by,
        place: None,
    });
    v1::Draft {
        respond_by: reply_by,
        ..script.draft(by, body)
    }
}

/// The small file that the samples come with.
fn annex() -> Option<v1::Attachment> {
    use sha2::{Digest as _, Sha256};

    let (name, file) = sample::FILES
        .iter()
        .find(|(name, _)| *name == "phu-luc-27.pdf")?;
    Some(v1::Attachment {
        name: (*name).to_owned(),
        media_type: "application/pdf".to_owned(),
        size: file.len() as u64,
        sha256: Sha256::digest(file).to_vec().into(),
        description: None,
    })
}

//! What the two sides say in the demo: the samples, with today's times and each other's names.

use jiff::{SignedDuration, Timestamp};

use crate::cli::draft::new_id;
use crate::cli::exit::{Exit, Failure, OrExit as _};
use crate::cli::when::{now, to_wire};
use crate::model::sample::{self, People, handover_batch};
use crate::proto::v1::body::Body;
use crate::proto::v1::{self, Draft, HandoverOutcome};

/// A time from now.
fn soon(length: SignedDuration) -> Option<prost_types::Timestamp> {
    now()
        .checked_add(length)
        .ok()
        .map(whole_seconds)
        .map(to_wire)
}

fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * days)
}

/// A text in both national languages.
pub(super) fn text(vi: &str, zh: &str) -> v1::LocalizedText {
    let texts = [
        ("vi".to_owned(), vi.to_owned()),
        ("zh-Hans".to_owned(), zh.to_owned()),
    ];
    v1::LocalizedText {
        texts: texts.into(),
    }
}

/// A sample, with an id of its own.
fn of_sample(name: &str) -> Result<Draft, Failure> {
    let sample = sample::find(name)
        .ok_or_else(|| Failure::new(Exit::Internal, format!("there is no sample {name}")))?;
    let mut draft = sample.draft().or_exit(Exit::Internal)?;
    draft.id = new_id()?.to_string();
    Ok(draft)
}

fn body_of(draft: &mut Draft) -> Option<&mut Body> {
    draft.body.as_mut()?.body.as_mut()
}

fn with_body(body: Body, recipient: &str) -> Result<Draft, Failure> {
    Ok(Draft {
        id: new_id()?.to_string(),
        recipient: recipient.to_owned(),
        body: Some(v1::Body { body: Some(body) }),
        ..Draft::default()
    })
}

/// What a patrol has seen; the Chinese side says it.
pub(super) fn patrol_alert() -> Result<Draft, Failure> {
    let mut draft = of_sample("crossing-alert-patrol")?;
    if let Some(Body::CrossingAlert(alert)) = body_of(&mut draft) {
        alert.occurred_at = soon(SignedDuration::from_mins(-12));
    }
    Ok(draft)
}

/// What a sensor has seen, FLASH; the Vietnamese side says it.
pub(super) fn flash_alert() -> Result<Draft, Failure> {
    let mut draft = of_sample("crossing-alert-sensor")?;
    draft.acknowledge_by = soon(SignedDuration::from_secs(60));
    if let Some(Body::CrossingAlert(alert)) = body_of(&mut draft) {
        alert.occurred_at = soon(SignedDuration::from_secs(-5));
    }
    Ok(draft)
}

/// Asks for persons to be taken over; `people` are the nationals of the side that is asked.
pub(super) fn handover(recipient: &str, people: People, persons: usize) -> Result<Draft, Failure> {
    let mut draft = handover_batch(recipient, people, persons);
    draft.id = new_id()?.to_string();
    draft.respond_by = soon(days(7));
    if let Some(Body::HandoverRequest(request)) = body_of(&mut draft) {
        request.proposed_at = soon(days(10));
    }
    Ok(draft)
}

/// Answers a handover: all are accepted, but of a large batch two.
pub(super) fn handover_reply(request: &Draft, recipient: &str) -> Result<Draft, Failure> {
    let Some(Body::HandoverRequest(asked)) =
        request.body.as_ref().and_then(|body| body.body.as_ref())
    else {
        return Err(Failure::new(Exit::Internal, "this is no handover request"));
    };
    let last = asked.persons.len();
    let decisions = asked.persons.iter().enumerate().map(|(index, person)| {
        let (outcome, reason) = match index + 1 {
            number if last > 10 && number == last => (
                HandoverOutcome::Refused,
                Some(text(
                    "Không tra cứu được hộ tịch; chưa xác nhận là công dân (MẪU).",
                    "未查到户籍，无法确认国籍（示例）。",
                )),
            ),
            number if last > 10 && number == last - 1 => (
                HandoverOutcome::InformationNeeded,
                Some(text(
                    "Đề nghị cung cấp họ tên và ngày sinh của cha mẹ (MẪU).",
                    "请提供父母姓名及出生日期（示例）。",
                )),
            ),
            _ => (HandoverOutcome::Accepted, None),
        };
        v1::HandoverDecision {
            number: person.number,
            outcome: outcome.into(),
            valid_until: if reason.is_none() {
                soon(days(30))
            } else {
                None
            },
            reason,
        }
    });
    let (from, to) = offices(asked.common.as_ref());
    let is_vietnamese = request.recipient.ends_with(".vn.example");
    let decided_by = if is_vietnamese {
        officer_of_the_vietnamese_side()?
    } else {
        officer_of_the_chinese_side()?
    };
    let body = Body::HandoverReply(v1::HandoverReply {
        common: Some(common(&to, &from)),
        decisions: decisions.collect(),
        remark: Some(text("Đề nghị bàn giao đúng giờ.", "请按时交接。")),
        decided_by: Some(decided_by),
    });
    let mut draft = with_body(body, recipient)?;
    draft.in_reply_to.clone_from(&request.id);
    draft.handling = request.handling;
    Ok(draft)
}

/// A letter of the Vietnamese side; its annex is added when it is sent.
pub(super) fn letter(number: &str) -> Result<Draft, Failure> {
    let mut draft = of_sample("official-letter")?;
    draft.respond_by = soon(days(9));
    let reply_by = draft.respond_by;
    if let Some(Body::OfficialLetter(letter)) = body_of(&mut draft) {
        number.clone_into(&mut letter.letter_number);
        letter.reply_by = reply_by;
        if let Some(common) = &mut letter.common {
            common.attachments.clear();
        }
    }
    Ok(draft)
}

/// A letter of the Chinese side, in answer to one or by itself.
pub(super) fn letter_back(
    number: &str,
    recipient: &str,
    answers: Option<&Draft>,
) -> Result<Draft, Failure> {
    let sample = of_sample("official-letter")?;
    let Some(Body::OfficialLetter(sample)) = sample.body.and_then(|body| body.body) else {
        return Err(Failure::new(Exit::Internal, "the sample is no letter"));
    };
    let (from, to) = offices(sample.common.as_ref());
    let mut form = common(&to, &from);
    form.not_applicable = vec![
        "common.legalBasis".to_owned(),
        "replyBy".to_owned(),
        "place".to_owned(),
    ];
    let officer = officer_of_the_chinese_side()?;
    let body = Body::OfficialLetter(v1::OfficialLetter {
        common: Some(form),
        letter_number: number.to_owned(),
        subject: Some(text(
            "V/v đồng ý tuần tra chung đoạn mốc 101–104",
            "关于同意联合巡逻101至104号界碑段的复函",
        )),
        text: Some(text(
            "Kính gửi quý đồn,\n\nĐã nhận công văn. Chúng tôi đồng ý với thời gian và đoạn tuần tra đề nghị.\n\nTrân trọng.",
            "贵屯：\n\n来函收悉。我方同意所提巡逻时间及路段，参加人员名单见附件。\n\n顺致崇高敬意。",
        )),
        signatory: Some(officer),
        reply_by: None,
        place: None,
    });
    let mut draft = with_body(body, recipient)?;
    if let Some(answered) = answers {
        draft.in_reply_to.clone_from(&answered.id);
    }
    Ok(draft)
}

/// Takes back an own message.
pub(super) fn withdrawal(of: &Draft) -> Result<Draft, Failure> {
    let body = of.body.as_ref().and_then(|body| body.body.as_ref());
    let (from, to) = offices(body.and_then(crate::model::body::common));
    let body = Body::Withdrawal(v1::Withdrawal {
        common: Some(common(&from, &to)),
        reason: Some(text(
            "Ghi nhầm số công văn; công văn thay thế sẽ được gửi sau.",
            "文号有误，更正后的公函另行发送。",
        )),
    });
    let mut draft = with_body(body, &of.recipient)?;
    draft.supersedes.clone_from(&of.id);
    Ok(draft)
}

/// Who acknowledges for the Chinese side.
pub(super) fn officer_of_the_chinese_side() -> Result<v1::Officer, Failure> {
    match of_sample("acknowledgement")?
        .body
        .and_then(|body| body.body)
    {
        Some(Body::Acknowledgement(sample)) => Ok(sample.officer.unwrap_or_default()),
        _ => Err(Failure::new(
            Exit::Internal,
            "the sample is no acknowledgement",
        )),
    }
}

/// Who acknowledges for the Vietnamese side.
pub(super) fn officer_of_the_vietnamese_side() -> Result<v1::Officer, Failure> {
    match of_sample("official-letter")?
        .body
        .and_then(|body| body.body)
    {
        Some(Body::OfficialLetter(sample)) => Ok(sample.signatory.unwrap_or_default()),
        _ => Err(Failure::new(Exit::Internal, "the sample is no letter")),
    }
}

fn offices(common: Option<&v1::Common>) -> (String, String) {
    common.map_or_else(Default::default, |common| {
        (common.from_office.clone(), common.to_office.clone())
    })
}

fn common(from: &str, to: &str) -> v1::Common {
    v1::Common {
        from_office: from.to_owned(),
        to_office: to.to_owned(),
        languages: vec!["vi".to_owned(), "zh-Hans".to_owned()],
        ..v1::Common::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::check::{check_draft, with_defaults};

    #[test]
    fn everything_said_in_the_demo_may_be_said() {
        let (vn, cn) = ("laocai.bg.vn.example", "hekou.ni.cn.example");
        let batch = handover(cn, People::Chinese, 110).unwrap();
        let few = handover(vn, People::Vietnamese, 2).unwrap();
        let first = letter("27/ĐBPLC-TM (MẪU)").unwrap();
        let drafts = [
            patrol_alert().unwrap(),
            flash_alert().unwrap(),
            handover_reply(&batch, vn).unwrap(),
            handover_reply(&few, cn).unwrap(),
            letter_back("河边检函〔2026〕27号（示例）", vn, Some(&first)).unwrap(),
            letter_back("河边检函〔2026〕28号（示例）", vn, None).unwrap(),
            withdrawal(&first).unwrap(),
            batch,
            few,
            first,
        ];
        for draft in drafts {
            assert_eq!(
                check_draft(&with_defaults(draft.clone())),
                Ok(()),
                "{draft:?}"
            );
        }
    }
}

//! Links between messages: which kinds make no sense without the message they answer.

use liaison::model::check::check_draft;
use liaison::model::{body, sample};
use liaison::proto::v1;
use liaison::proto::v1::Kind;
use serde_json::Value;

use super::{assert_fault, edited, faults};

const ANSWERS: [Kind; 11] = [
    Kind::VerificationReply,
    Kind::DeadlineExtension,
    Kind::HandoverReply,
    Kind::HandoverSupplement,
    Kind::HandoverSchedule,
    Kind::HandoverRecord,
    Kind::ProtectionDecision,
    Kind::Acknowledgement,
    Kind::Response,
    Kind::Countersignature,
    Kind::Closure,
];

#[test]
fn answers_name_what_they_answer_and_nothing_else_must() {
    let mut seen = Vec::new();
    for sample in sample::SAMPLES {
        let mut draft = sample.draft().unwrap();
        let kind = body::kind_of(draft.body.as_ref().unwrap().body.as_ref().unwrap());
        draft.in_reply_to.clear();
        if ANSWERS.contains(&kind) {
            seen.push(kind);
            let told = faults(&draft);
            assert_eq!(told.len(), 1, "{}: {told:?}", sample.name);
            assert_eq!(told[0].field, "inReplyTo", "{}", sample.name);
        } else {
            assert_eq!(check_draft(&draft), Ok(()), "{}", sample.name);
        }
    }
    assert_eq!(seen.len(), ANSWERS.len(), "{seen:?}");
}

#[test]
fn a_withdrawal_names_what_it_takes_back() {
    let draft = edited("withdrawal", &[("/supersedes", Value::Null)]);
    assert_fault(&draft, "supersedes", "takes back");
}

#[test]
fn a_draft_without_a_body_is_told_every_kind_that_may_be_sent() {
    let told = faults(&edited("withdrawal", &[("/body", Value::Null)]));
    let [fault] = &told[..] else {
        panic!("{told:?}")
    };
    for content in body::one_of_each() {
        let name = body::json_name_of(&content);
        let is_named = fault.remedy.split([' ', ',']).any(|word| word == name);
        assert_eq!(is_named, !body::is_system(&content), "{name}");
    }
    assert_eq!(fault.field, "body");
    let nothing = v1::Draft::default();
    assert_fault(&nothing, "body", "no body");
}

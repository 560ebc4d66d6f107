//! Every limit: reached, and one over.

use bytes::Bytes;
use liaison::limits;
use liaison::model::check::check_draft;
use liaison::model::json::{JsonError, from_json};
use liaison::model::{body, sample};
use liaison::proto::v1;
use liaison::proto::v1::body::Body;
use serde_json::json;

use super::{assert_fault, edited, faults};

const LETTER: &str = "official-letter";

#[test]
fn lines() {
    let pointer = "/body/officialLetter/letterNumber";
    let field = "body.officialLetter.letterNumber";
    let longest = "ố".repeat(170) + "ab";
    assert_eq!(longest.len(), limits::LINE_BYTES_MAX);
    assert_eq!(
        check_draft(&edited(LETTER, &[(pointer, json!(longest))])),
        Ok(())
    );
    let over = longest + "c";
    assert_fault(
        &edited(LETTER, &[(pointer, json!(over))]),
        field,
        "513 bytes",
    );
}

#[test]
fn texts() {
    let pointer = "/body/officialLetter/text/texts/vi";
    let field = "body.officialLetter.text.texts[\"vi\"]";
    let longest = "x".repeat(limits::TEXT_BYTES_MAX);
    assert_eq!(
        check_draft(&edited(LETTER, &[(pointer, json!(longest))])),
        Ok(())
    );
    let over = longest + "x";
    assert_fault(
        &edited(LETTER, &[(pointer, json!(over))]),
        field,
        "65537 bytes",
    );
}

#[test]
fn languages() {
    let tags = ["vi", "zh-Hans", "en", "fr", "lo", "km", "th", "ru", "my"];
    let with = |count: usize| {
        let texts: serde_json::Map<_, _> = tags[..count]
            .iter()
            .map(|tag| ((*tag).to_owned(), json!("x")))
            .collect();
        edited(
            "withdrawal",
            &[
                ("/body/withdrawal/common/languages", json!(tags[..count])),
                ("/body/withdrawal/reason/texts", json!(texts)),
            ],
        )
    };
    assert_eq!(check_draft(&with(limits::LANGUAGES_MAX)), Ok(()));
    let over = with(limits::LANGUAGES_MAX + 1);
    assert_fault(&over, "body.withdrawal.common.languages", "9 elements");
    assert_fault(&over, "body.withdrawal.reason.texts", "9 languages");
}

#[test]
fn attachments() {
    let with = |count: usize, size: u64| {
        let mut draft = edited(LETTER, &[]);
        let Some(Body::OfficialLetter(letter)) = draft.body.as_mut().unwrap().body.as_mut() else {
            unreachable!("the sample is a letter")
        };
        letter.common.as_mut().unwrap().attachments = (0..count)
            .map(|index| v1::Attachment {
                name: format!("{index}.pdf"),
                media_type: "application/pdf".to_owned(),
                size,
                sha256: Bytes::from(vec![u8::try_from(index).unwrap(); 32]),
                description: None,
            })
            .collect();
        draft
    };
    let at = "body.officialLetter.common.attachments";
    assert_eq!(check_draft(&with(limits::ATTACHMENTS_MAX, 1)), Ok(()));
    assert_fault(&with(limits::ATTACHMENTS_MAX + 1, 1), at, "65 elements");
    assert_eq!(check_draft(&with(1, limits::ATTACHMENT_BYTES_MAX)), Ok(()));
    let over = with(1, limits::ATTACHMENT_BYTES_MAX + 1);
    assert_fault(&over, &format!("{at}[0].size"), "1073741825 bytes");
}

#[test]
fn lists() {
    let with = |count: usize| {
        edited(
            LETTER,
            &[(
                "/body/officialLetter/common/legalBasis",
                json!(vec!["x"; count]),
            )],
        )
    };
    assert_eq!(check_draft(&with(limits::REPEATED_MAX)), Ok(()));
    let over = with(limits::REPEATED_MAX + 1);
    assert_fault(
        &over,
        "body.officialLetter.common.legalBasis",
        "257 elements",
    );

    let with = |count: usize| {
        let paths: Vec<String> = (0..count).map(|index| format!("x{index}")).collect();
        edited(
            LETTER,
            &[("/body/officialLetter/common/notApplicable", json!(paths))],
        )
    };
    let at = "body.officialLetter.common.notApplicable";
    let told = |count| faults(&with(count)).iter().any(|fault| fault.field == at);
    assert!(!told(limits::NOT_APPLICABLE_MAX));
    assert!(told(limits::NOT_APPLICABLE_MAX + 1));
}

#[test]
fn persons_and_decisions() {
    let batch = |count| sample::handover_batch("a.b", sample::People::Chinese, count);
    assert_eq!(check_draft(&batch(limits::HANDOVER_PERSONS_MAX)), Ok(()));
    let over = batch(limits::HANDOVER_PERSONS_MAX + 1);
    assert_fault(&over, "body.handoverRequest.persons", "501 elements");

    let with = |count: usize| {
        let decisions: Vec<_> = (1..=count)
            .map(|number| {
                json!({"number": number, "outcome": "HANDOVER_OUTCOME_ACCEPTED",
                    "validUntil": "2026-12-19T00:00:00Z"})
            })
            .collect();
        edited(
            "handover-reply",
            &[("/body/handoverReply/decisions", json!(decisions))],
        )
    };
    assert_eq!(check_draft(&with(limits::HANDOVER_PERSONS_MAX)), Ok(()));
    let over = with(limits::HANDOVER_PERSONS_MAX + 1);
    assert_fault(&over, "body.handoverReply.decisions", "501 elements");
}

#[test]
fn lists_about_persons() {
    let max = limits::HANDOVER_PERSONS_MAX;
    assert_eq!(limits::VERIFICATION_PERSONS_MAX, max);
    let text = json!({"texts": {"vi": "x", "zh-Hans": "x"}});
    // Entries by number; each is right by itself.
    let entries: [(&str, &str, serde_json::Value); 9] = [
        (
            "verification-request",
            "persons",
            json!({"name": {"native": "示例"}, "birthDate": "1990", "birthPlace": "示例",
                "sex": "SEX_X", "nationality": "CHN", "lastAddress": "示例", "question": text}),
        ),
        (
            "verification-reply",
            "results",
            json!({"outcome": "VERIFICATION_OUTCOME_CONFIRMED"}),
        ),
        (
            "handover-supplement",
            "persons",
            json!({"sex": "SEX_X", "careNeeds": text, "medicalNeeds": text,
                "screening": {"carriedOut": true, "protectionClaim": true},
                "route": "HANDOVER_ROUTE_RETURN"}),
        ),
        ("handover-record", "persons", json!({"condition": text})),
        ("countersignature", "disputed", json!({"reason": text})),
        ("handover-schedule", "numbers", serde_json::Value::Null),
        ("protection-decision", "numbers", serde_json::Value::Null),
        ("closure", "numbers", serde_json::Value::Null),
        // The form of a person is the same in a request.
        (
            "handover-request",
            "persons",
            json!({"sex": "SEX_X", "careNeeds": text,
            "medicalNeeds": text, "screening": {"carriedOut": true, "protectionClaim": true},
            "route": "HANDOVER_ROUTE_RETURN"}),
        ),
    ];
    for (sample, list, entry) in entries {
        let kind = super::camel_case(sample);
        let with = |count: usize| {
            let filled = (1..=count).map(|number| match entry.clone() {
                serde_json::Value::Object(mut object) => {
                    object.insert("number".to_owned(), json!(number));
                    if sample == "verification-request" {
                        object.insert("claimsNoProtection".to_owned(), true.into());
                    }
                    json!(object)
                }
                _ => json!(number),
            });
            let filled: Vec<_> = filled.collect();
            let blanks: Vec<String> = match sample {
                "verification-request" => (0..count)
                    .flat_map(|index| {
                        ["earlierNames", "parents", "document", "photoSha256"]
                            .map(|field| format!("persons[{index}].{field}"))
                    })
                    .collect(),
                "verification-reply" => vec!["remark".to_owned()],
                _ => Vec::new(),
            };
            let mut edits = vec![
                (format!("/body/{kind}/{list}"), json!(filled)),
                (format!("/body/{kind}/common/notApplicable"), json!(blanks)),
            ];
            if sample == "handover-request" {
                edits.push((format!("/body/{kind}/common/attachments"), json!([])));
            }
            if sample == "verification-reply" {
                // No text is left in it.
                edits.push((format!("/body/{kind}/common/languages"), json!([])));
            }
            let edits: Vec<(&str, serde_json::Value)> = edits
                .iter()
                .map(|(pointer, value)| (pointer.as_str(), value.clone()))
                .collect();
            edited(sample, &edits)
        };
        assert_eq!(check_draft(&with(max)), Ok(()), "{sample}");
        let field = format!("body.{kind}.{list}");
        assert_fault(&with(max + 1), &field, "501 elements");
    }
}

/// A letter whose body has exactly `bytes` bytes, within all other limits.
fn letter_of(bytes: usize) -> v1::Draft {
    let mut draft = edited(LETTER, &[]);
    let Some(content) = draft.body.as_mut().unwrap().body.as_mut() else {
        unreachable!("the sample has a body")
    };
    let attachment = |index: u8, texts: usize| v1::Attachment {
        name: format!("{index}.pdf"),
        media_type: "application/pdf".to_owned(),
        size: 1,
        sha256: Bytes::from(vec![index; 32]),
        description: Some(v1::LocalizedText {
            texts: ["vi", "zh-Hans", "en"]
                .map(|tag| (tag.to_owned(), "x".repeat(texts)))
                .into(),
        }),
    };
    let set = |content: &mut Body, last: usize| {
        let Body::OfficialLetter(letter) = content else {
            unreachable!("the sample is a letter")
        };
        letter.common.as_mut().unwrap().attachments = (0..5)
            .map(|index| attachment(index, limits::TEXT_BYTES_MAX))
            .chain([attachment(5, last)])
            .collect();
    };
    // Three texts of the last attachment grow evenly; the letter number takes up the rest.
    let grown = 20_000;
    set(content, grown);
    let missing = bytes - body::encode(content).len();
    set(content, grown + missing / 3);
    let Body::OfficialLetter(letter) = content else {
        unreachable!("the sample is a letter")
    };
    letter.letter_number += &"9".repeat(missing % 3);
    assert_eq!(body::encode(content).len(), bytes);
    draft
}

#[test]
fn bodies() {
    assert_eq!(check_draft(&letter_of(limits::BODY_BYTES_MAX)), Ok(()));
    let over = letter_of(limits::BODY_BYTES_MAX + 1);
    assert_fault(&over, "body.officialLetter", "1048577 bytes");
    assert_eq!(faults(&over).len(), 1);
}

#[test]
fn json_texts() {
    let json = sample::find("withdrawal").unwrap().json;
    let padded = |bytes: usize| json.to_owned() + &" ".repeat(bytes - json.len());
    assert!(from_json::<v1::Draft>(&padded(limits::DESK_MESSAGE_BYTES_MAX)).is_ok());
    let bytes = limits::DESK_MESSAGE_BYTES_MAX + 1;
    assert_eq!(
        from_json::<v1::Draft>(&padded(bytes)),
        Err(JsonError::TooLarge { bytes })
    );
}

#[test]
fn faults_themselves() {
    let persons: Vec<_> = (0..500).map(|_| json!({})).collect();
    let draft = edited(
        "handover-request",
        &[("/body/handoverRequest/persons", json!(persons))],
    );
    let told = faults(&draft);
    assert_eq!(told.len(), limits::FAULTS_MAX + 1);
    assert!(told[limits::FAULTS_MAX].reason.contains("further faults"));
}

//! Canonical JSON: what is refused, and that everything else comes back as it was.

use liaison::model::json::{JsonError, from_json, to_json, to_json_of};
use liaison::model::{body, sample};
use liaison::proto;
use liaison::proto::v1;
use proptest::prelude::*;
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, Kind, MapKey, MessageDescriptor, Value};

fn refused(json: &str) -> (String, usize, usize, String, String) {
    match from_json::<v1::Draft>(json) {
        Err(JsonError::Field {
            field,
            line,
            column,
            reason,
            remedy,
        }) => (field, line, column, reason, remedy),
        other => panic!("{json} gave {other:?}"),
    }
}

#[test]
fn faults_name_field_place_reason_and_remedy() {
    let cases = [
        (
            "{\"recipient\": \"a.b\",\n \"recipeint\": \"c\"}",
            ("recipeint", 2, 12),
            "unrecognized field name 'recipeint'",
            "did you mean \"recipient\"?",
        ),
        (
            r#"{"body": {"officialLetter": {"colour": 1}}}"#,
            ("body.officialLetter.colour", 1, 37),
            "unrecognized field name 'colour'",
            "remove it; known here: common, letterNumber, subject",
        ),
        (
            r#"{"body": {"officialLetter": {"letter number": 1}}}"#,
            ("body.officialLetter.letter number", 1, 44),
            "unrecognized",
            "did you mean \"letterNumber\"?",
        ),
        (
            r#"{"precedence": "FLASH"}"#,
            ("precedence", 1, 22),
            "unrecognized enum value 'FLASH'",
            "give one of PRECEDENCE_ROUTINE, PRECEDENCE_PRIORITY, PRECEDENCE_IMMEDIATE",
        ),
        (
            r#"{"acknowledgeBy": "02/03/2026"}"#,
            ("acknowledgeBy", 1, 30),
            "",
            "give a time with its zone",
        ),
        (
            r#"{"acknowledgeBy": "2026-03-02T08:30:00"}"#,
            ("acknowledgeBy", 1, 39),
            "",
            "give a time with its zone",
        ),
        (
            r#"{"id": 7}"#,
            ("id", 1, 8),
            "invalid type",
            "give a text in double quotes",
        ),
        (
            r#"{"handling": "RESTRICTED"}"#,
            ("handling", 1, 25),
            "invalid type",
            "give an object with classification, code",
        ),
        (
            r#"{"body": {"handoverRequest": {"persons": [{"number": 1}, {"number": -2}]}}}"#,
            ("body.handoverRequest.persons[1].number", 1, 70),
            "",
            "give a whole number in range",
        ),
        (
            r#"{"body": {"handoverRequest": {"persons": {}}}}"#,
            ("body.handoverRequest.persons", 1, 42),
            "invalid type",
            "give a list in [ ]",
        ),
        (
            r#"{"body": {"handoverRequest": {"persons": [{"photoSha256": "*"}]}}}"#,
            ("body.handoverRequest.persons[0].photoSha256", 1, 61),
            "invalid base64",
            "base64",
        ),
        (
            r#"{"body": {"officialLetter": {"subject": {"texts": ["vi"]}}}}"#,
            ("body.officialLetter.subject.texts", 1, 51),
            "invalid type",
            "give an object such as",
        ),
        (
            r#"{"body": {"withdrawal": {}, "acknowledgement": {}}}"#,
            ("body", 1, 50),
            "multiple fields provided for oneof 'body'",
            "keep one",
        ),
        (
            r#"{"id": "a", "id": "b"}"#,
            ("id", 1, 16),
            "given twice",
            "keep one",
        ),
    ];
    for (json, (field, line, column), reason, remedy) in cases {
        let told = refused(json);
        assert_eq!((told.0.as_str(), told.1), (field, line), "{json}");
        assert!(told.2.abs_diff(column) <= 1, "{json}: column {}", told.2);
        assert!(told.3.contains(reason), "{json}: {}", told.3);
        assert!(told.4.contains(remedy), "{json}: {}", told.4);
    }
}

#[test]
fn what_is_no_json_says_where() {
    for (json, line, column) in [
        ("", 1, 0),
        ("{\n \"id\": \"a\"\n \"recipient\": \"b\"}", 3, 2),
        ("{\"id\": \"a\"", 1, 10),
        ("{} {}", 1, 4),
        ("{'id': 1}", 1, 2),
    ] {
        let Err(JsonError::Syntax {
            line: l, column: c, ..
        }) = from_json::<v1::Draft>(json)
        else {
            panic!("{json} is no JSON")
        };
        assert_eq!((l, c), (line, column), "{json}");
    }
    // Depth is bounded by the message, however deep the text.
    let deep = "[".repeat(200_000) + &"]".repeat(200_000);
    assert!(from_json::<v1::Draft>(&deep).is_err());
}

#[test]
fn errors_show_no_steering_characters() {
    let error = from_json::<v1::Draft>("{\"a\u{202e}b\": 1}")
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("\\u{202E}") && !error.contains('\u{202e}'),
        "{error}"
    );
}

#[test]
fn leniency_that_the_mapping_grants() {
    let draft: v1::Draft = from_json(
        "\u{feff}{\"in_reply_to\": \"x\", \"precedence\": 4, \"supersedes\": null,
          \"acknowledgeBy\": \"2026-03-02T08:30:00.5+07:00\"}",
    )
    .unwrap();
    assert_eq!(draft.in_reply_to, "x");
    assert_eq!(draft.precedence(), v1::Precedence::Flash);
    let shown = to_json(&draft);
    assert_eq!(shown["acknowledgeBy"], "2026-03-02T01:30:00.500Z");
    assert_eq!(shown["precedence"], "PRECEDENCE_FLASH");
}

#[test]
fn messages_are_rendered_by_name() {
    for sample in sample::SAMPLES {
        let draft = sample.draft().unwrap();
        let content = draft.body.clone().unwrap().body.unwrap();
        let shown = to_json_of(body::schema_of(&content), &body::encode(&content)).unwrap();
        let whole = to_json(&draft);
        let (_, inner) = whole["body"].as_object().unwrap().iter().next().unwrap();
        assert_eq!(&shown, inner);
    }
    let unknown = to_json_of("liaison.v9.Unheard", b"");
    assert!(matches!(unknown, Err(JsonError::UnknownMessage(_))));
    let malformed = to_json_of("liaison.v1.Header", b"\xff");
    assert!(matches!(malformed, Err(JsonError::Wire(_))));
}

#[test]
fn impossible_times_are_left_out_and_do_not_fail() {
    let header = v1::Header {
        sender: "a.b".to_owned(),
        created_at: Some(prost_types::Timestamp {
            seconds: i64::MIN,
            nanos: i32::MIN,
        }),
        ..v1::Header::default()
    };
    assert_eq!(to_json(&header), serde_json::json!({"sender": "a.b"}));
}

fn pool() -> DescriptorPool {
    DescriptorPool::decode(proto::DESCRIPTORS).unwrap()
}

/// Any value of any message, by its descriptor; times within what JSON can express.
fn any_message(descriptor: &MessageDescriptor) -> BoxedStrategy<DynamicMessage> {
    if descriptor.full_name() == "google.protobuf.Timestamp" {
        let empty = DynamicMessage::new(descriptor.clone());
        return (946_684_800_i64..7_289_654_400, 0..1_000_000_000)
            .prop_map(move |(seconds, nanos)| {
                let mut at = empty.clone();
                at.set_field_by_name("seconds", Value::I64(seconds));
                at.set_field_by_name("nanos", Value::I32(nanos));
                at
            })
            .boxed();
    }
    let mut message = Just(DynamicMessage::new(descriptor.clone())).boxed();
    for field in descriptor.fields() {
        let value: BoxedStrategy<Value> = if field.is_map() {
            prop::collection::hash_map(
                any_text().prop_map(MapKey::String),
                any_text().prop_map(Value::String),
                0..3,
            )
            .prop_map(Value::Map)
            .boxed()
        } else if field.is_list() {
            prop::collection::vec(any_value(&field.kind()), 0..3)
                .prop_map(Value::List)
                .boxed()
        } else {
            any_value(&field.kind())
        };
        message = (message, prop::option::weighted(0.5, value))
            .prop_map(move |(mut message, value)| {
                if let Some(value) = value {
                    message.set_field(&field, value);
                }
                message
            })
            .boxed();
    }
    message
}

fn any_text() -> BoxedStrategy<String> {
    prop_oneof![".{0,12}", any::<String>()].boxed()
}

fn any_value(kind: &Kind) -> BoxedStrategy<Value> {
    match kind {
        Kind::String => any_text().prop_map(Value::String).boxed(),
        Kind::Bytes => prop::collection::vec(any::<u8>(), 0..40)
            .prop_map(|bytes| Value::Bytes(bytes.into()))
            .boxed(),
        Kind::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        Kind::Double => prop::num::f64::NORMAL.prop_map(Value::F64).boxed(),
        Kind::Uint32 => any::<u32>().prop_map(Value::U32).boxed(),
        Kind::Uint64 => any::<u64>().prop_map(Value::U64).boxed(),
        Kind::Int32 => any::<i32>().prop_map(Value::I32).boxed(),
        Kind::Int64 => any::<i64>().prop_map(Value::I64).boxed(),
        Kind::Enum(_) => prop_oneof![0..10, any::<i32>()]
            .prop_map(Value::EnumNumber)
            .boxed(),
        Kind::Message(inner) => any_message(inner).prop_map(Value::Message).boxed(),
        other => panic!("the proto uses {other:?} now: make some here"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_draft_comes_back_from_json_and_from_protobuf(
        draft in any_message(&pool().get_message_by_name("liaison.v1.Draft").unwrap())
            .prop_map(|dynamic| dynamic.transcode_to::<v1::Draft>().unwrap())
    ) {
        prop_assert_eq!(&v1::Draft::decode(draft.encode_to_vec().as_slice()).unwrap(), &draft);
        let json = to_json(&draft);
        prop_assert_eq!(&from_json::<v1::Draft>(&json.to_string()).unwrap(), &draft);
        prop_assert_eq!(to_json(&draft), json);
        // Whatever is in it, judging it ends, and ends the same way.
        let first = liaison::model::check::check_draft(&draft);
        prop_assert_eq!(first, liaison::model::check::check_draft(&draft));
    }

    #[test]
    fn any_text_is_read_or_refused(json in "[\\[\\]{}\":,a-c0-9 \\\\\n]{0,60}") {
        let _ = from_json::<v1::Draft>(&json);
    }

    #[test]
    fn any_edit_of_a_sample_is_read_or_refused(
        which in 0..sample::SAMPLES.len(), at in any::<prop::sample::Index>(), with in any::<u8>()
    ) {
        let mut json = sample::SAMPLES[which].json.as_bytes().to_vec();
        let at = at.index(json.len());
        json[at] = with;
        if let Err(error) = from_json::<v1::Draft>(&String::from_utf8_lossy(&json)) {
            prop_assert!(!error.to_string().is_empty());
        }
    }
}

//! What is read by shape is what reflection reads: samples, and samples changed at random.

use proptest::prelude::*;
use prost::Message as _;
use prost_reflect::{DynamicMessage, Kind, MapKey, ReflectMessage as _, Value as Dynamic};

use super::{Field, Message, Shape, Value, What};
use crate::limits::BODY_PARTS_MAX;
use crate::model::body::{BodyError, Decoded};
use crate::model::{body, check, json, parts, sample};
use crate::proto::v1;

/// The same as [`Message::read`], by reflection.
fn reflected(message: &DynamicMessage) -> Message<'_> {
    let shape = Shape::named(message.descriptor().full_name()).unwrap();
    let set = message.fields().map(|(field, value)| {
        let (place, field) = shape.field(field.number()).unwrap();
        (place, value_of(field, value))
    });
    Message {
        shape,
        set: set.collect(),
        size: message.encoded_len(),
    }
}

fn value_of<'a>(field: &Field, value: &'a Dynamic) -> Value<'a> {
    match value {
        Dynamic::Bool(yes) => Value::Number(u64::from(*yes)),
        // As protobuf has it: a negative number fills all 64 bits.
        Dynamic::I32(number) => Value::Number(i64::from(*number).cast_unsigned()),
        Dynamic::I64(number) => Value::Number(number.cast_unsigned()),
        Dynamic::U32(number) => Value::Number(u64::from(*number)),
        Dynamic::U64(number) => Value::Number(*number),
        Dynamic::F32(number) => Value::Number(u64::from(number.to_bits())),
        Dynamic::F64(number) => Value::Number(number.to_bits()),
        Dynamic::String(text) => Value::Text(text),
        Dynamic::Bytes(bytes) => Value::Bytes(bytes),
        Dynamic::EnumNumber(number) => Value::Choice(*number),
        Dynamic::Message(inner) => match json::timestamp_of(inner) {
            Some(at) => Value::Time(at),
            None => Value::Message(reflected(inner)),
        },
        Dynamic::List(items) => {
            Value::List(items.iter().map(|item| value_of(field, item)).collect())
        }
        Dynamic::Map(entries) => {
            assert!(matches!(field.what, What::Texts(_)), "the only maps");
            let mut texts: Vec<(&str, &str)> = entries
                .iter()
                .map(|(tag, text)| (tag.as_str().unwrap(), text.as_str().unwrap()))
                .collect();
            texts.sort_unstable();
            Value::Texts(texts)
        }
    }
}

/// The first time that no notification may carry, by reflection.
fn first_bad_time(schema: &str, bytes: &[u8]) -> Option<String> {
    let dynamic = json::decode_dynamic(schema, bytes).unwrap();
    check::first_bad_time(&reflected(&dynamic))
}

/// Numbers below a bound, from a list that a failing test can be told by.
struct Dice<'a>(std::slice::Iter<'a, u32>);

impl Dice<'_> {
    fn below(&mut self, bound: usize) -> usize {
        self.0.next().map_or(0, |number| *number as usize % bound)
    }

    fn one_of<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())].clone()
    }
}

const TEXTS: [&str; 20] = [
    "",
    " ",
    "x",
    "vi",
    "zh-Hans",
    "en",
    "ZH-hans",
    "a\u{202E}b",
    "Cửa khẩu Hữu Nghị",
    "友谊关口岸\n",
    "\u{FEFF}",
    "\u{7f}",
    "\u{85}",
    "replyBy",
    "place",
    "common.legalBasis",
    "common.toOffice",
    "persons[0].sex",
    "huu-nghi/youyi-guan",
    "001090000001",
];

fn any_single(kind: &Kind, dice: &mut Dice<'_>) -> Dynamic {
    match kind {
        Kind::String if dice.below(12) == 11 => Dynamic::String("ề".repeat(12_000)),
        Kind::String => Dynamic::String(dice.one_of(&TEXTS).to_owned()),
        Kind::Bytes => Dynamic::Bytes(vec![7_u8; dice.one_of(&[0, 1, 32, 33])].into()),
        Kind::Bool => Dynamic::Bool(dice.below(2) == 1),
        Kind::Double => Dynamic::F64(dice.one_of(&[0.0, -0.0, 91.5, f64::NAN, 22.5])),
        Kind::Uint32 => Dynamic::U32(dice.one_of(&[0, 1, 127, 128, u32::MAX])),
        Kind::Uint64 => Dynamic::U64(dice.one_of(&[0, 1, 300, u64::MAX])),
        Kind::Int32 => Dynamic::I32(dice.one_of(&[0, -1, 1_000_000_000])),
        Kind::Int64 => Dynamic::I64(dice.one_of(&[0, -1, 946_684_799, 946_684_800])),
        Kind::Enum(_) => Dynamic::EnumNumber(dice.one_of(&[0, 1, 2, 3, 4, 99, -1])),
        Kind::Message(inner) => {
            let mut message = DynamicMessage::new(inner.clone());
            for _ in 0..dice.below(3) {
                change(&mut message, dice);
            }
            Dynamic::Message(message)
        }
        other => panic!("the proto uses {other:?} now: make some here"),
    }
}

/// Changes something in a message: far down as often as at the top.
fn change(message: &mut DynamicMessage, dice: &mut Dice<'_>) {
    let fields: Vec<_> = message.descriptor().fields().collect();
    let set: Vec<_> = message.fields().map(|(field, _)| field).collect();
    let deeper = dice.below(4) > 0 && !set.is_empty();
    let field = dice.one_of(if deeper { &set } else { &fields });
    if deeper {
        match message.get_field_mut(&field) {
            Dynamic::Message(inner) => return change(inner, dice),
            Dynamic::List(items) if !items.is_empty() && dice.below(3) > 0 => {
                let item = dice.below(items.len());
                match &mut items[item] {
                    Dynamic::Message(inner) => return change(inner, dice),
                    other => *other = any_single(&field.kind(), dice),
                }
                return;
            }
            Dynamic::List(items) if dice.below(2) == 0 => {
                items.push(any_single(&field.kind(), dice));
                return;
            }
            Dynamic::Map(entries) if dice.below(3) > 0 => {
                let tag = MapKey::String(dice.one_of(&TEXTS).to_owned());
                entries.insert(tag, any_single(&Kind::String, dice));
                return;
            }
            _ => {}
        }
    }
    if dice.below(3) == 0 {
        return message.clear_field(&field);
    }
    let value = if field.is_map() {
        let tag = MapKey::String(dice.one_of(&TEXTS).to_owned());
        Dynamic::Map([(tag, any_single(&Kind::String, dice))].into())
    } else if field.is_list() {
        let count = dice.one_of(&[0, 1, 2, 5, 1_025]);
        let one = any_single(&field.kind(), dice);
        Dynamic::List(vec![one; count])
    } else {
        any_single(&field.kind(), dice)
    };
    message.set_field(&field, value);
}

fn changed(which: usize, dice: &[u32]) -> v1::Draft {
    let mut dice = Dice(dice.iter());
    let mut dynamic = json::to_dynamic(&sample::SAMPLES[which].draft().unwrap());
    for _ in 0..=dice.below(4) {
        change(&mut dynamic, &mut dice);
    }
    dynamic.transcode_to().unwrap()
}

fn assert_read_as_reflected(draft: &v1::Draft) {
    let bytes = draft.encode_to_vec();
    let dynamic = json::to_dynamic(draft);
    assert_eq!(Message::read::<v1::Draft>(&bytes), reflected(&dynamic));
}

#[test]
fn samples_are_read_as_reflection_reads_them() {
    for sample in sample::SAMPLES {
        assert_read_as_reflected(&sample.draft().unwrap());
    }
    assert_read_as_reflected(&v1::Draft::default());
}

#[test]
fn the_order_on_the_wire_does_not_matter() {
    let back = v1::Common {
        to_office: "b".to_owned(),
        languages: vec!["vi".to_owned()],
        ..v1::Common::default()
    };
    let front = v1::Common {
        from_office: "a".to_owned(),
        languages: vec!["en".to_owned()],
        ..v1::Common::default()
    };
    let bytes = [back.encode_to_vec(), front.encode_to_vec()].concat();
    let dynamic = json::decode_dynamic("liaison.v1.Common", &bytes).unwrap();
    assert_eq!(Message::read::<v1::Common>(&bytes), reflected(&dynamic));

    let texts = |texts: &[(&str, &str)]| {
        let texts = texts
            .iter()
            .map(|(tag, text)| ((*tag).to_owned(), (*text).to_owned()));
        let texts = texts.collect();
        v1::LocalizedText { texts }.encode_to_vec()
    };
    let bytes = [
        texts(&[("vi", "1"), ("zh", "2")]),
        texts(&[("en", "3"), ("vi", "4")]),
    ]
    .concat();
    let dynamic = json::decode_dynamic("liaison.v1.LocalizedText", &bytes).unwrap();
    assert_eq!(
        Message::read::<v1::LocalizedText>(&bytes).set,
        reflected(&dynamic).set
    );
}

#[test]
fn every_message_and_field_has_its_shape() {
    for (at, shape) in Shape::all().iter().enumerate() {
        assert_eq!(shape.at, at);
        let fields = shape.descriptor.fields();
        assert_eq!(shape.fields.len(), fields.len());
        for (place, field) in fields.enumerate() {
            let (found, own) = shape.field(field.number()).unwrap();
            assert_eq!((found, &own.descriptor), (place, &field));
            let inner = own.inner().map(|inner| inner.descriptor.clone());
            assert_eq!(inner.as_ref(), field.kind().as_message());
            if let What::Choice(choices) = &own.what {
                for number in -1..100 {
                    let known = choices.descriptor.get_value(number).is_some();
                    assert_eq!(choices.has(number), known, "{}", field.full_name());
                }
            }
        }
        for number in [0, 536_870_911, u32::MAX] {
            assert!(shape.field(number).is_none());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 512,
        rng_seed: proptest::test_runner::RngSeed::Fixed(5),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn changed_samples_are_read_as_reflection_reads_them(
        which in 0..sample::SAMPLES.len(), dice in prop::collection::vec(any::<u32>(), 60)
    ) {
        assert_read_as_reflected(&changed(which, &dice));
    }

    /// Also where times are given twice or in pieces, replaced, or stand in what is unknown: a piece
    /// of the bytes is written once more, somewhere in them or at the end.
    #[test]
    fn bodies_from_elsewhere_are_judged_as_reflection_judges_them(
        which in 0..sample::SAMPLES.len(), dice in prop::collection::vec(any::<u32>(), 80)
    ) {
        let Some(content) = changed(which, &dice).body.and_then(|body| body.body) else {
            return Ok(());
        };
        let schema = body::schema_of(&content);
        let mut bytes = body::encode(&content).to_vec();
        let mut dice = Dice(dice[60..].iter());
        for _ in 0..dice.below(3) {
            let (from, to) = (dice.below(bytes.len() + 1), dice.below(bytes.len() + 1));
            let piece = bytes[from.min(to)..from.max(to)].to_vec();
            let within = dice.below(bytes.len() + 1);
            let at = dice.one_of(&[0, bytes.len(), within]);
            bytes.splice(at..at, piece);
        }
        let odd = parts::look(Shape::named(schema).unwrap(), &bytes, BODY_PARTS_MAX);
        match body::decode(body::kind_of(&content) as i32, schema, &bytes) {
            Ok(Decoded::Known(_)) => prop_assert_eq!(first_bad_time(schema, &bytes), None),
            Err(BodyError::Time { field }) => {
                prop_assert!(odd.unwrap().odd_time);
                prop_assert_eq!(first_bad_time(schema, &bytes), Some(field));
            }
            Err(BodyError::Malformed { .. } | BodyError::Broken { .. }) => {
                prop_assert!(json::decode_dynamic(schema, &bytes).is_err());
            }
            other => prop_assert!(false, "{:?}", other),
        }
    }
}

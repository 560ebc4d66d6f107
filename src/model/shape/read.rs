//! A message as its fields, read from its bytes without a copy of any text.

use prost::Message as _;
use prost_types::Timestamp;

use super::{Field, Shape, What};
use crate::model::wire::{Fields, Raw, varint};

/// Room for as many fields is made at once: most messages have no more.
const SET_AT_FIRST: usize = 8;

/// A message whose fields are known by their descriptors.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Message<'a> {
    pub(crate) shape: &'static Shape,
    /// The fields that are set, each with its place among those of the shape, in this order.
    pub(crate) set: Vec<(usize, Value<'a>)>,
    /// Bytes on the wire.
    pub(crate) size: usize,
}

/// What is set in a field.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value<'a> {
    Text(&'a str),
    Bytes(&'a [u8]),
    /// Its bits: yes is 1.
    Number(u64),
    Choice(i32),
    Time(Timestamp),
    Message(Message<'a>),
    List(Vec<Value<'a>>),
    /// Language and text, by ascending language.
    Texts(Vec<(&'a str, &'a str)>),
}

impl<'a> Message<'a> {
    /// Reads what this program has encoded itself: `bytes` are what `encode` makes of a generated
    /// message. Nothing else may come here; what were no such message would be passed over.
    pub(crate) fn read<M: prost::Name>(bytes: &'a [u8]) -> Self {
        Self::of_shape(Shape::of::<M>(), bytes)
    }

    /// As [`Message::read`], of a shape that is known already.
    pub(crate) fn of_shape(shape: &'static Shape, bytes: &'a [u8]) -> Self {
        let mut message = Self {
            shape,
            set: Vec::new(),
            size: bytes.len(),
        };
        if !bytes.is_empty() {
            message
                .set
                .reserve_exact(shape.fields.len().min(SET_AT_FIRST));
        }
        for (number, raw) in Fields::of(bytes) {
            if let Some((at, field)) = shape.field(number) {
                message.take(at, field, raw);
            }
        }
        message
    }

    /// The value of a field by its name in the proto; `None` if it is not set.
    pub(crate) fn get(&self, name: &str) -> Option<&Value<'a>> {
        self.set
            .iter()
            .find(|(at, _)| self.shape.fields[*at].descriptor.name() == name)
            .map(|(_, value)| value)
    }

    /// The fields that are set, by ascending number.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&'static Field, &Value<'a>)> {
        let shape = self.shape;
        self.set
            .iter()
            .map(|(at, value)| (&shape.fields[*at], value))
    }

    fn take(&mut self, at: usize, field: &'static Field, raw: Raw<'a>) {
        // Encoders write by ascending number, all of a list together; a search finds the rest.
        let found = match self.set.last() {
            None => Err(0),
            Some((last, _)) if *last < at => Err(self.set.len()),
            Some((last, _)) if *last == at => Ok(self.set.len() - 1),
            Some(_) => self.set.binary_search_by_key(&at, |(at, _)| *at),
        };
        if !field.is_list {
            let Some(value) = single(field, raw) else {
                return;
            };
            match found {
                Ok(place) => self.set[place].1 = value,
                Err(place) => self.set.insert(place, (at, value)),
            }
            return;
        }
        let place = found.unwrap_or_else(|place| {
            let empty = match field.what {
                What::Texts(_) => Value::Texts(Vec::new()),
                _ => Value::List(Vec::new()),
            };
            self.set.insert(place, (at, empty));
            place
        });
        match &mut self.set[place].1 {
            Value::Texts(texts) => {
                if let Raw::Bytes(entry) = raw {
                    add_text(texts, text_of(entry));
                }
            }
            Value::List(items) => add(items, field, raw),
            _ => {}
        }
    }
}

/// One value; `None` where the bytes are not what the descriptor says.
fn single<'a>(field: &'static Field, raw: Raw<'a>) -> Option<Value<'a>> {
    Some(match (&field.what, raw) {
        (What::Text, Raw::Bytes(bytes)) => Value::Text(str::from_utf8(bytes).ok()?),
        (What::Bytes, Raw::Bytes(bytes)) => Value::Bytes(bytes),
        (What::Varint, Raw::Varint(number)) => Value::Number(number),
        (What::Choice(_), Raw::Varint(number)) => Value::Choice(choice(number)),
        (What::Four, Raw::Four(bytes)) | (What::Eight, Raw::Eight(bytes)) => {
            Value::Number(bits(bytes))
        }
        (What::Message(_), Raw::Bytes(bytes)) => {
            let shape = field.inner()?;
            if shape.is_time {
                Value::Time(Timestamp::decode(bytes).ok()?)
            } else {
                Value::Message(Message::of_shape(shape, bytes))
            }
        }
        _ => return None,
    })
}

/// Adds one element, or all that are packed together.
fn add<'a>(items: &mut Vec<Value<'a>>, field: &'static Field, raw: Raw<'a>) {
    let Raw::Bytes(mut packed) = raw else {
        items.extend(single(field, raw));
        return;
    };
    match field.what {
        What::Varint => {
            while let Some(number) = varint(&mut packed) {
                items.push(Value::Number(number));
            }
        }
        What::Choice(_) => {
            while let Some(number) = varint(&mut packed) {
                items.push(Value::Choice(choice(number)));
            }
        }
        What::Four => items.extend(packed.chunks_exact(4).map(bits).map(Value::Number)),
        What::Eight => items.extend(packed.chunks_exact(8).map(bits).map(Value::Number)),
        _ => items.extend(single(field, raw)),
    }
}

/// Adds a text in its order; of two with one key the last one counts.
fn add_text<'a>(texts: &mut Vec<(&'a str, &'a str)>, (key, text): (&'a str, &'a str)) {
    if texts.last().is_none_or(|(last, _)| *last < key) {
        return texts.push((key, text));
    }
    match texts.binary_search_by_key(&key, |(key, _)| key) {
        Ok(place) => texts[place].1 = text,
        Err(place) => texts.insert(place, (key, text)),
    }
}

/// The key and the value of an entry of a map; what is empty is not written.
fn text_of(entry: &[u8]) -> (&str, &str) {
    let (mut key, mut text) = ("", "");
    for (number, raw) in Fields::of(entry) {
        let Raw::Bytes(bytes) = raw else { continue };
        let bytes = str::from_utf8(bytes).unwrap_or_default();
        match number {
            1 => key = bytes,
            2 => text = bytes,
            _ => {}
        }
    }
    (key, text)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "protobuf's own way: the lower 32 bits"
)]
fn choice(number: u64) -> i32 {
    number as i32
}

fn bits(bytes: &[u8]) -> u64 {
    let little = |value, byte: &u8| (value << 8) | u64::from(*byte);
    bytes.iter().rev().fold(0, little)
}

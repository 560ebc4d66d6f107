//! What every message is made of, compiled once from the descriptors.
//!
//! The rules for drafts and the bounds on what peers send look at every field of every message that
//! passes. Reflection would build each message a second time for that, field by field; a [`Shape`]
//! reads the same from its bytes ([`Message`]), or only counts what lies in them
//! ([`super::parts`]).

mod read;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::LazyLock;

use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};

use super::json;

pub(crate) use self::read::{Message, Value};

/// A kind of message.
#[derive(Debug)]
pub(crate) struct Shape {
    /// Its place among all; for tables beside this one.
    pub(crate) at: usize,
    pub(crate) descriptor: MessageDescriptor,
    /// A `google.protobuf.Timestamp`.
    pub(crate) is_time: bool,
    /// By ascending number.
    pub(crate) fields: Vec<Field>,
}

/// A field of a kind of message.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) descriptor: FieldDescriptor,
    number: u32,
    /// As JSON has it.
    pub(crate) json_name: String,
    pub(crate) what: What,
    /// Any number of values, which maps have as well.
    is_list: bool,
}

/// What a field holds, or each element of a list.
#[derive(Debug)]
pub(crate) enum What {
    Text,
    Bytes,
    /// A number of variable length, or yes or no.
    Varint,
    Four,
    Eight,
    Choice(Choices),
    Message(usize),
    /// A map of texts by language; the number is that of the shape of its entries.
    Texts(usize),
}

/// The choices of an enum.
#[derive(Debug)]
pub(crate) struct Choices {
    pub(crate) descriptor: EnumDescriptor,
    /// In ascending order.
    numbers: Vec<i32>,
}

impl Choices {
    pub(crate) fn has(&self, number: i32) -> bool {
        self.numbers.binary_search(&number).is_ok()
    }
}

impl PartialEq for Shape {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Shape {
    /// Of the message of that full name; `None` if this version does not know it.
    pub(crate) fn named(full_name: &str) -> Option<&'static Self> {
        let at = SHAPES.by_name.get(full_name)?;
        Some(&SHAPES.all[*at])
    }

    /// Of a generated message.
    pub(crate) fn of<M: prost::Name>() -> &'static Self {
        Self::named(&M::full_name())
            .expect("generated messages and descriptors come from the same files")
    }

    /// Every one there is, each at its own place.
    pub(crate) fn all() -> &'static [Self] {
        &SHAPES.all
    }

    /// The field of that number, and its place among the fields.
    pub(crate) fn field(&self, number: u32) -> Option<(usize, &Field)> {
        // Most messages number their fields from 1 without a gap.
        let guess = (number as usize).wrapping_sub(1);
        let at = match self.fields.get(guess) {
            Some(field) if field.number == number => guess,
            _ => self
                .fields
                .binary_search_by_key(&number, |field| field.number)
                .ok()?,
        };
        Some((at, &self.fields[at]))
    }
}

impl Field {
    /// The shape of the messages in this field, entries of maps included.
    pub(crate) fn inner(&self) -> Option<&'static Shape> {
        match self.what {
            What::Message(at) | What::Texts(at) => Some(&SHAPES.all[at]),
            _ => None,
        }
    }
}

struct Shapes {
    all: Vec<Shape>,
    by_name: HashMap<String, usize>,
}

static SHAPES: LazyLock<Shapes> = LazyLock::new(|| {
    let messages: Vec<MessageDescriptor> = json::POOL.all_messages().collect();
    let by_name: HashMap<String, usize> = messages
        .iter()
        .enumerate()
        .map(|(at, message)| (message.full_name().to_owned(), at))
        .collect();
    let all = messages
        .into_iter()
        .enumerate()
        .map(|(at, descriptor)| Shape {
            at,
            is_time: descriptor.full_name() == json::TIMESTAMP,
            fields: descriptor
                .fields()
                .map(|field| compile(field, &by_name))
                .collect(),
            descriptor,
        })
        .collect();
    Shapes { all, by_name }
});

fn compile(descriptor: FieldDescriptor, by_name: &HashMap<String, usize>) -> Field {
    let what = match descriptor.kind() {
        Kind::String => What::Text,
        Kind::Bytes => What::Bytes,
        Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => What::Four,
        Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => What::Eight,
        Kind::Enum(choices) => {
            let mut numbers: Vec<i32> = choices.values().map(|choice| choice.number()).collect();
            numbers.sort_unstable();
            What::Choice(Choices {
                descriptor: choices,
                numbers,
            })
        }
        Kind::Message(inner) => {
            let at = by_name[inner.full_name()];
            let is_text = |field: FieldDescriptor| matches!(field.kind(), Kind::String);
            if descriptor.is_map()
                && is_text(inner.map_entry_key_field())
                && is_text(inner.map_entry_value_field())
            {
                What::Texts(at)
            } else {
                What::Message(at)
            }
        }
        // Every other number has a variable length.
        _ => What::Varint,
    };
    Field {
        number: descriptor.number(),
        json_name: descriptor.json_name().to_owned(),
        is_list: descriptor.is_list() || descriptor.is_map(),
        what,
        descriptor,
    }
}

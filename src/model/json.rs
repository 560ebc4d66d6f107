//! Canonical proto3 JSON of every message, in and out.
//!
//! The mapping is protobuf's own, so any language's protobuf library reads and writes our files.
//! Reading is stricter than the mapping asks: unknown fields and fields given twice are refused,
//! since both are mistakes that would otherwise lose what somebody wrote.
//!
//! Source: <https://protobuf.dev/programming-guides/json/>.

mod place;

use std::sync::LazyLock;

use prost_reflect::{
    DescriptorPool, DynamicMessage, Kind, MessageDescriptor, ReflectMessage as _, SerializeOptions,
    Value,
};
use serde::de::IgnoredAny;

use self::place::{Place, Segment};
use super::text;
use super::time;
use crate::limits;
use crate::proto;

/// The descriptors of every message, built in.
pub(super) static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    DescriptorPool::decode(proto::DESCRIPTORS).expect("the built-in descriptor set was compiled")
});

pub(super) const TIMESTAMP: &str = "google.protobuf.Timestamp";

/// A message as canonical JSON.
///
/// A time that RFC 3339 cannot express is left out; [`super::body::decode`] and
/// [`super::Header::parse`] let none through.
#[must_use]
pub fn to_json<M: prost::Message + prost::Name>(message: &M) -> serde_json::Value {
    render(to_dynamic(message)).unwrap_or(serde_json::Value::Null)
}

/// A message as JSON for programs: like [`to_json`], but with the fields that have their default, so
/// that lists, numbers and enums are always there. A `body` in it is left as [`to_json`] writes it:
/// it is what was said.
#[must_use]
pub fn to_json_whole<M: prost::Message + prost::Name>(message: &M) -> serde_json::Value {
    let mut dynamic = to_dynamic(message);
    drop_impossible_times(&mut dynamic);
    let options = SerializeOptions::new().skip_default_fields(false);
    let whole = dynamic.serialize_with_options(serde_json::value::Serializer, &options);
    let mut whole = whole.unwrap_or(serde_json::Value::Null);
    keep_bodies(&mut whole, &to_json(message));
    whole
}

fn keep_bodies(whole: &mut serde_json::Value, canonical: &serde_json::Value) {
    use serde_json::Value::{Array, Object};
    match (whole, canonical) {
        (Object(whole), Object(canonical)) => {
            for (key, value) in whole.iter_mut() {
                match canonical.get(key) {
                    Some(said) if key == "body" => value.clone_from(said),
                    Some(said) => keep_bodies(value, said),
                    None => {}
                }
            }
        }
        (Array(whole), Array(canonical)) => {
            for (value, said) in whole.iter_mut().zip(canonical) {
                keep_bodies(value, said);
            }
        }
        _ => {}
    }
}

/// The bytes of the message named `full_name` as canonical JSON.
///
/// # Errors
/// A message this version does not know, or bytes that are no such message.
pub fn to_json_of(full_name: &str, bytes: &[u8]) -> Result<serde_json::Value, JsonError> {
    render(decode_dynamic(full_name, bytes)?)
}

/// Reads a message from JSON.
///
/// # Errors
/// The first thing that is wrong, with its field, line, column and remedy.
pub fn from_json<M: prost::Message + prost::Name + Default>(json: &str) -> Result<M, JsonError> {
    if json.len() > limits::DESK_MESSAGE_BYTES_MAX {
        return Err(JsonError::TooLarge { bytes: json.len() });
    }
    // Some editors put a byte order mark in front.
    let json = json.trim_start_matches('\u{FEFF}');
    // Syntax first: from here on the text is known to be JSON, and of bounded depth in use.
    serde_json::from_str::<IgnoredAny>(json).map_err(|error| syntax(&error))?;
    place::refuse_duplicates(json)?;

    let descriptor = descriptor_of::<M>();
    let mut reader = serde_json::Deserializer::from_str(json);
    let message = DynamicMessage::deserialize(descriptor.clone(), &mut reader)
        .map_err(|error| fault(&descriptor, json, &error))?;
    Ok(message.transcode_to()?)
}

/// A message in the reflective form, for what asks for its fields by name and is not done often: the
/// rules for drafts read [`super::shape`] instead.
pub(crate) fn to_dynamic<M: prost::Message + prost::Name>(message: &M) -> DynamicMessage {
    let mut dynamic = DynamicMessage::new(descriptor_of::<M>());
    dynamic
        .transcode_from(message)
        .expect("a generated message fits its own descriptor");
    dynamic
}

/// The message named `full_name` in the reflective form.
pub(crate) fn decode_dynamic(full_name: &str, bytes: &[u8]) -> Result<DynamicMessage, JsonError> {
    let unknown = || JsonError::UnknownMessage(text::excerpt(full_name, 80));
    let descriptor = descriptor_named(full_name).ok_or_else(unknown)?;
    Ok(DynamicMessage::decode(descriptor, bytes)?)
}

/// The descriptor of a message by its full name.
pub(crate) fn descriptor_named(full_name: &str) -> Option<MessageDescriptor> {
    POOL.get_message_by_name(full_name)
}

/// The descriptor of a generated message.
pub(crate) fn descriptor_of<M: prost::Name>() -> MessageDescriptor {
    POOL.get_message_by_name(&M::full_name())
        .expect("generated messages and descriptors come from the same files")
}

fn render(mut message: DynamicMessage) -> Result<serde_json::Value, JsonError> {
    drop_impossible_times(&mut message);
    serde_json::to_value(&message).map_err(|error| JsonError::Unwritable(error.to_string()))
}

fn drop_impossible_times(message: &mut DynamicMessage) {
    let mut impossible = Vec::new();
    for (field, value) in message.fields_mut() {
        match value {
            Value::Message(inner) if is_impossible(inner) => impossible.push(field),
            Value::Message(inner) => drop_impossible_times(inner),
            Value::List(items) => {
                items.retain(|item| !item.as_message().is_some_and(is_impossible));
                for item in items.iter_mut().filter_map(Value::as_message_mut) {
                    drop_impossible_times(item);
                }
            }
            _ => {}
        }
    }
    for field in impossible {
        message.clear_field(&field);
    }
}

fn is_impossible(message: &DynamicMessage) -> bool {
    message.descriptor().full_name() == TIMESTAMP
        && !timestamp_of(message).is_some_and(|at| time::in_range(&at))
}

/// The timestamp that a reflective message holds, if it is one.
pub(crate) fn timestamp_of(message: &DynamicMessage) -> Option<prost_types::Timestamp> {
    if message.descriptor().full_name() != TIMESTAMP {
        return None;
    }
    Some(prost_types::Timestamp {
        seconds: message.get_field_by_name("seconds")?.as_i64()?,
        nanos: message.get_field_by_name("nanos")?.as_i32()?,
    })
}

pub(super) fn syntax(error: &serde_json::Error) -> JsonError {
    JsonError::Syntax {
        line: error.line(),
        column: error.column(),
        reason: reason_of(error),
    }
}

fn fault(root: &MessageDescriptor, json: &str, error: &serde_json::Error) -> JsonError {
    if !error.is_data() {
        return syntax(error);
    }
    let place = Place::at(json, error.line(), error.column());
    let reason = reason_of(error);
    let remedy = remedy(root, &place, &reason);
    JsonError::Field {
        field: place.to_string(),
        line: error.line(),
        column: error.column(),
        reason,
        remedy,
    }
}

/// What serde says, without the position it appends, safe to show.
pub(super) fn reason_of(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let reason = match text.rfind(" at line ") {
        Some(end) => &text[..end],
        None => &text,
    };
    text::excerpt(reason, 300)
}

/// What stands at a place of a message.
enum Target {
    Message(MessageDescriptor),
    List(Kind),
    Map(Kind),
    Scalar(Kind),
}

fn remedy(root: &MessageDescriptor, place: &Place, reason: &str) -> String {
    if reason.starts_with("unrecognized field name") {
        let (_, parent) = place
            .segments()
            .split_last()
            .unwrap_or((&Segment::Index(0), &[]));
        if let Some(Target::Message(message)) = target(root, parent) {
            return known_fields(&message, place.last_key());
        }
    }
    if reason.starts_with("multiple fields provided for oneof") {
        return "keep one of these fields and remove the others".to_owned();
    }
    match target(root, place.segments()) {
        Some(Target::Message(message)) => message_remedy(&message),
        Some(Target::List(_)) => "give a list in [ ]".to_owned(),
        Some(Target::Map(_)) => {
            "give an object such as {\"vi\": \"…\", \"zh-Hans\": \"…\"}".to_owned()
        }
        Some(Target::Scalar(kind)) => scalar_remedy(&kind),
        None => "compare with a template: liaison new KIND".to_owned(),
    }
}

pub(super) fn known_fields(message: &MessageDescriptor, given: Option<&str>) -> String {
    let names: Vec<String> = message
        .fields()
        .map(|field| field.json_name().to_owned())
        .collect();
    let folded = |name: &str| name.to_lowercase().replace(['_', '-', ' '], "");
    let meant = given.and_then(|given| {
        names
            .iter()
            .find(|name| folded(name) == folded(given) || distance_is_small(name, given))
    });
    match meant {
        Some(name) => format!("did you mean \"{name}\"? known here: {}", names.join(", ")),
        None => format!("remove it; known here: {}", names.join(", ")),
    }
}

/// One or two letters inserted, removed or changed.
fn distance_is_small(name: &str, given: &str) -> bool {
    let (a, b): (Vec<char>, Vec<char>) = (name.chars().collect(), given.chars().collect());
    if a.len().abs_diff(b.len()) > 2 || a.len() < 4 {
        return false;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()] <= 2
}

pub(super) fn message_remedy(message: &MessageDescriptor) -> String {
    if message.full_name() == TIMESTAMP {
        return "give a time with its zone, such as \"2026-03-02T08:30:00+07:00\"".to_owned();
    }
    let names: Vec<String> = message
        .fields()
        .map(|field| field.json_name().to_owned())
        .collect();
    format!("give an object with {}", names.join(", "))
}

pub(super) fn scalar_remedy(kind: &Kind) -> String {
    match kind {
        Kind::Enum(choices) => {
            let names: Vec<String> = choices
                .values()
                .filter(|value| value.number() != 0)
                .map(|value| value.name().to_owned())
                .collect();
            format!("give one of {}", names.join(", "))
        }
        Kind::Bool => "give true or false, without quotes".to_owned(),
        Kind::String => "give a text in double quotes".to_owned(),
        Kind::Bytes => "give the bytes in base64, in double quotes".to_owned(),
        Kind::Double | Kind::Float => "give a number".to_owned(),
        _ => "give a whole number in range".to_owned(),
    }
}

fn target(root: &MessageDescriptor, path: &[Segment]) -> Option<Target> {
    let mut at = Target::Message(root.clone());
    for segment in path {
        at = match (at, segment) {
            (Target::Message(message), Segment::Key(key)) => {
                let field = message
                    .get_field_by_json_name(key)
                    .or_else(|| message.get_field_by_name(key))?;
                if field.is_list() {
                    Target::List(field.kind())
                } else if field.is_map() {
                    Target::Map(field.kind().as_message()?.map_entry_value_field().kind())
                } else {
                    single(field.kind())
                }
            }
            (Target::List(kind), Segment::Index(_)) | (Target::Map(kind), Segment::Key(_)) => {
                single(kind)
            }
            _ => return None,
        };
    }
    Some(at)
}

fn single(kind: Kind) -> Target {
    match kind {
        Kind::Message(message) => Target::Message(message),
        other => Target::Scalar(other),
    }
}

/// Why a text is not the message asked for.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum JsonError {
    /// Over the limit of a request.
    #[error(
        "the JSON has {bytes} bytes, over the limit of {}; send long documents as attachments",
        limits::DESK_MESSAGE_BYTES_MAX
    )]
    TooLarge {
        /// Its length.
        bytes: usize,
    },
    /// No JSON.
    #[error(
        "line {line}, column {column}: this is no JSON: {reason}; check quotes, commas and brackets there"
    )]
    Syntax {
        /// From 1.
        line: usize,
        /// In bytes, from 1.
        column: usize,
        /// What the parser says.
        reason: String,
    },
    /// JSON, but not of this message.
    #[error("line {line}, column {column}, {field}: {reason}; {remedy}")]
    Field {
        /// JSON path; `(top)` for the whole.
        field: String,
        /// From 1.
        line: usize,
        /// In bytes, from 1.
        column: usize,
        /// What is wrong.
        reason: String,
        /// What to do.
        remedy: String,
    },
    /// No such message in this version.
    #[error("this version does not know the message {0}")]
    UnknownMessage(String),
    /// Bytes that are not the message they are said to be.
    #[error("the bytes are no such message: {0}")]
    Wire(#[from] prost::DecodeError),
    /// A message that JSON cannot express.
    #[error("the message cannot be written as JSON: {0}")]
    Unwritable(String),
}

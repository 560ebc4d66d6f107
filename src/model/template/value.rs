//! Values of a form, on one line.

use std::fmt::Write as _;

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::Value;

use super::blank::LANGUAGES;
use super::comments;
use crate::model::json::TIMESTAMP;
use crate::model::text::is_steering;

/// What a field holds unless somebody says otherwise.
pub(super) const DEFAULTS: [(&str, &str); 1] =
    [("liaison.v1.CrossingAlert.sensor_confidence_percent", "0")];

pub(super) fn is_localized(field: &FieldDescriptor) -> bool {
    matches!(field.kind(), Kind::Message(message) if message.name() == "LocalizedText")
}

/// A message of few plain values that speak for themselves.
pub(super) fn is_small(message: &MessageDescriptor) -> bool {
    message.fields().len() <= 3
        && message.fields().all(|field| {
            !field.is_list()
                && !field.is_map()
                && !matches!(field.kind(), Kind::Message(_) | Kind::Enum(_))
                && comments::of_field(&field).is_empty()
        })
}

/// A position within its list, which everybody else names.
pub(super) fn is_number(field: &FieldDescriptor) -> bool {
    field.name() == "number" && matches!(field.kind(), Kind::Uint32 | Kind::Uint64)
}

pub(super) fn number(list: &FieldDescriptor, index: usize, element: &mut Value) {
    if let Kind::Message(message) = list.kind()
        && let Some(field) = message.get_field_by_name("number")
        && is_number(&field)
        && element["number"].is_null()
    {
        if element.is_null() {
            *element = Value::Object(serde_json::Map::new());
        }
        element["number"] = (index + 1).into();
    }
}

pub(super) fn default_of(field: &FieldDescriptor) -> Option<&'static str> {
    DEFAULTS
        .iter()
        .find(|(name, _)| *name == field.full_name())
        .map(|(_, value)| *value)
}

/// A value on one line.
pub(super) fn compact(field: &FieldDescriptor, filled: &Value) -> String {
    if !field.is_list() {
        return scalar(field, filled);
    }
    let elements: Vec<String> = match filled.as_array() {
        Some(elements) => elements.iter().map(|e| scalar(field, e)).collect(),
        None => vec![scalar(field, &Value::Null)],
    };
    format!("[{}]", elements.join(", "))
}

pub(super) fn scalar(field: &FieldDescriptor, filled: &Value) -> String {
    match (field.kind(), filled) {
        (Kind::Message(message), filled) if message.full_name() != TIMESTAMP => {
            compact_message(&message, filled)
        }
        (_, Value::Null) => default_of(field).unwrap_or("\"\"").to_owned(),
        (_, Value::String(text)) => quoted(text),
        (_, other) => other.to_string(),
    }
}

pub(super) fn compact_message(message: &MessageDescriptor, filled: &Value) -> String {
    if message.name() == "LocalizedText" {
        let texts: Vec<String> = texts(filled)
            .iter()
            .map(|(tag, text)| format!("{}: {}", quoted(tag), quoted(text)))
            .collect();
        return format!("{{\"texts\": {{{}}}}}", texts.join(", "));
    }
    let fields: Vec<String> = message
        .fields()
        .map(|field| {
            let name = field.json_name();
            format!("\"{name}\": {}", compact(&field, &filled[name]))
        })
        .collect();
    format!("{{{}}}", fields.join(", "))
}

pub(super) fn texts(filled: &Value) -> Vec<(String, String)> {
    match filled["texts"].as_object() {
        Some(texts) => texts
            .iter()
            .map(|(tag, text)| (tag.clone(), text.as_str().unwrap_or_default().to_owned()))
            .collect(),
        None => LANGUAGES
            .iter()
            .map(|tag| ((*tag).to_owned(), String::new()))
            .collect(),
    }
}

/// A JSON string in which nothing steers how the file is shown.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            c if is_steering(c) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    put!(out, "\\u{unit:04x}");
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_steer_nothing_and_come_back() {
        for text in ["a\"b\\c\n\t", "\u{202E}x\u{E0041}", "公函 Đã"] {
            let json = quoted(text);
            assert!(!json.chars().any(is_steering), "{json}");
            assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }
    }
}

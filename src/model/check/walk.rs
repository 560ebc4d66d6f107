//! A walk through every field of a message, whatever its meaning.

use std::fmt::Write as _;

use prost_reflect::{DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MapKey, Value};
use prost_types::Timestamp;

use crate::model::{json, text, time};

/// A JSON path that grows and shrinks with the walk.
#[derive(Debug, Clone, Default)]
pub(super) struct Path(String);

impl Path {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Runs `inner` one field further down.
    fn field(&mut self, name: &str, inner: impl FnOnce(&mut Self)) {
        let length = self.0.len();
        if length > 0 {
            self.0.push('.');
        }
        self.0.push_str(name);
        inner(self);
        self.0.truncate(length);
    }

    /// Runs `inner` on an element of a list.
    fn index(&mut self, index: usize, inner: impl FnOnce(&mut Self)) {
        let length = self.0.len();
        // Writing to a String cannot fail.
        let _ = write!(self.0, "[{index}]");
        inner(self);
        self.0.truncate(length);
    }

    /// Runs `inner` on an entry of a map.
    fn key(&mut self, key: &str, inner: impl FnOnce(&mut Self)) {
        let length = self.0.len();
        let _ = write!(self.0, "[\"{}\"]", text::excerpt(key, 40));
        inner(self);
        self.0.truncate(length);
    }
}

/// What the walk comes by.
#[derive(Debug)]
pub(super) enum Found<'a> {
    /// A field of text without line breaks.
    Line(&'a str),
    /// A document in a format of its own, with line breaks.
    Document(&'a str),
    /// A localized text: all of its languages.
    Localized(Vec<(&'a str, &'a str)>),
    /// A list and how long it is.
    List(&'a FieldDescriptor, usize),
    /// A choice by number.
    Choice(&'a EnumDescriptor, i32),
    /// A time.
    Time(Timestamp),
}

/// Visits every field that is set in `message`, outermost first.
pub(super) fn walk(
    message: &DynamicMessage,
    path: &mut Path,
    visit: &mut dyn FnMut(&Path, Found<'_>),
) {
    if let Some(at) = json::timestamp_of(message) {
        return visit(path, Found::Time(at));
    }
    for (field, value) in message.fields() {
        path.field(field.json_name(), |path| {
            walk_field(&field, value, path, visit);
        });
    }
}

fn walk_field(
    field: &FieldDescriptor,
    value: &Value,
    path: &mut Path,
    visit: &mut dyn FnMut(&Path, Found<'_>),
) {
    match value {
        Value::List(items) => {
            visit(path, Found::List(field, items.len()));
            for (index, item) in items.iter().enumerate() {
                path.index(index, |path| walk_value(&field.kind(), item, path, visit));
            }
        }
        Value::Map(entries) => {
            // The only maps of the proto are those of LocalizedText; the map's iteration order
            // is random, and faults are to come in the same order every time.
            let mut texts: Vec<(&str, &str)> = entries
                .iter()
                .filter_map(|(tag, text)| Some((MapKey::as_str(tag)?, text.as_str()?)))
                .collect();
            texts.sort_unstable();
            visit(path, Found::Localized(texts));
        }
        Value::String(document) if field.full_name() == "liaison.v1.HazardNotice.cap_xml" => {
            visit(path, Found::Document(document));
        }
        single => walk_value(&field.kind(), single, path, visit),
    }
}

fn walk_value(
    kind: &Kind,
    value: &Value,
    path: &mut Path,
    visit: &mut dyn FnMut(&Path, Found<'_>),
) {
    match (kind, value) {
        (_, Value::Message(inner)) => walk(inner, path, visit),
        (_, Value::String(line)) => visit(path, Found::Line(line)),
        (Kind::Enum(choices), Value::EnumNumber(number)) => {
            visit(path, Found::Choice(choices, *number));
        }
        _ => {}
    }
}

/// Runs `inner` with the path of the text in the language `tag`, below the path of its map.
pub(super) fn in_language(path: &Path, tag: &str, inner: impl FnOnce(&Path)) {
    path.clone().key(tag, |path| inner(path));
}

/// The first time in a message that lies outside what a notification may carry, as JSON path.
pub(crate) fn first_bad_time(message: &DynamicMessage) -> Option<String> {
    let mut first = None;
    walk(message, &mut Path::default(), &mut |path, found| {
        if let Found::Time(at) = found
            && !time::in_range(&at)
            && first.is_none()
        {
            first = Some(path.as_str().to_owned());
        }
    });
    first
}

//! A walk through every field of a message, whatever its meaning.

use std::fmt::Write as _;

use prost_types::Timestamp;

use crate::model::shape::{Choices, Field, Message, Value, What};
use crate::model::{text, time};

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
}

/// What the walk comes by.
#[derive(Debug)]
pub(super) enum Found<'a> {
    /// A field of text without line breaks.
    Line(&'a str),
    /// A document in a format of its own, with line breaks.
    Document(&'a str),
    /// A localized text: all of its languages.
    Localized(&'a [(&'a str, &'a str)]),
    /// A list and how long it is.
    List(&'static Field, usize),
    /// A choice by number.
    Choice(&'static Choices, i32),
    /// A time.
    Time(Timestamp),
}

/// Visits every field that is set in `message`, outermost first.
pub(super) fn walk<'a>(
    message: &'a Message<'a>,
    path: &mut Path,
    visit: &mut dyn FnMut(&Path, Found<'a>),
) {
    for (field, value) in message.fields() {
        path.field(&field.json_name, |path| {
            walk_field(field, value, path, visit);
        });
    }
}

fn walk_field<'a>(
    field: &'static Field,
    value: &'a Value<'a>,
    path: &mut Path,
    visit: &mut dyn FnMut(&Path, Found<'a>),
) {
    match value {
        Value::List(items) => {
            visit(path, Found::List(field, items.len()));
            for (index, item) in items.iter().enumerate() {
                path.index(index, |path| walk_value(field, item, path, visit));
            }
        }
        Value::Text(document)
            if field.descriptor.full_name() == "liaison.v1.HazardNotice.cap_xml" =>
        {
            visit(path, Found::Document(document));
        }
        single => walk_value(field, single, path, visit),
    }
}

fn walk_value<'a>(
    field: &'static Field,
    value: &'a Value<'a>,
    path: &mut Path,
    visit: &mut dyn FnMut(&Path, Found<'a>),
) {
    match value {
        Value::Message(inner) => walk(inner, path, visit),
        Value::Time(at) => visit(path, Found::Time(*at)),
        Value::Text(line) => visit(path, Found::Line(line)),
        Value::Texts(texts) => visit(path, Found::Localized(texts)),
        Value::Choice(number) => {
            if let What::Choice(choices) = &field.what {
                visit(path, Found::Choice(choices, *number));
            }
        }
        Value::Bytes(_) | Value::Number(_) | Value::List(_) => {}
    }
}

/// The path of the text in the language `tag`, below the path of its map.
pub(super) fn in_language(path: &Path, tag: &str) -> String {
    format!("{}[\"{}\"]", path.as_str(), text::excerpt(tag, 40))
}

/// The first time in a message that lies outside what a notification may carry, as JSON path.
pub(crate) fn first_bad_time(message: &Message<'_>) -> Option<String> {
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

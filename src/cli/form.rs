//! A body as a form: every field of it with its name, whatever kind it is of.
//!
//! Reads the descriptors, so that a kind added to the proto is shown without a change here. Only
//! lists about persons, and a few others that are read better so, have tables of their own.

mod persons;
mod tables;

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, ReflectMessage as _, Value};

use super::table::{Style, Table, pad, wrap};
use super::{summary, when, words};
use crate::model::json;
use crate::model::text::{escape, escape_lines};
use crate::proto::v1;
use crate::proto::v1::body::Body;

/// Columns of a field's name.
const NAME_WIDTH: usize = 26;
/// Entries of a list of short texts that are shown.
const LIST_MAX: usize = 12;

/// The body for a terminal of that width.
pub(crate) fn render(body: &v1::Body, width: usize, colour: bool) -> String {
    let mut form = Form {
        out: String::new(),
        width,
        colour,
    };
    let dynamic = json::to_dynamic(body);
    for (_, value) in dynamic.fields() {
        if let Value::Message(content) = value {
            form.message(content, 0, body.body.as_ref());
        }
    }
    form.out
}

struct Form {
    out: String,
    width: usize,
    colour: bool,
}

impl Form {
    fn message(&mut self, message: &DynamicMessage, indent: usize, body: Option<&Body>) {
        for field in message.descriptor().fields() {
            if message.has_field(&field) || is_answered(&field) {
                self.field(&field, &message.get_field(&field), indent, body);
            }
        }
    }

    fn field(
        &mut self,
        field: &FieldDescriptor,
        value: &Value,
        indent: usize,
        body: Option<&Body>,
    ) {
        let name = field.name().replace('_', " ");
        match (field.name(), body) {
            // They have a table of their own.
            ("attachments", Some(_)) => return,
            // It is the frame of every form, not a part of it.
            ("common", Some(_)) => {
                if let Value::Message(common) = value {
                    self.message(common, indent, body);
                }
                return;
            }
            // Each may be cited by its number.
            ("decisions", Some(Body::MeetingMinutes(_))) => {
                for (number, decision) in (1..).zip(value.as_list().into_iter().flatten()) {
                    if let Value::Message(decision) = decision {
                        self.inner(&format!("decision {number}"), decision, indent);
                    }
                }
                return;
            }
            (name, Some(body)) => {
                if let Some((heading, table)) = tables::of(name, body) {
                    self.heading(&heading, indent);
                    self.table(&table, indent + 2);
                    return;
                }
            }
            _ => {}
        }
        if let (Value::List(items), Some(body)) = (value, body)
            && self.persons(field.name(), items, body, indent)
        {
            return;
        }
        match value {
            Value::List(items) if field.name().ends_with("numbers") => {
                let numbers: Vec<u32> = items.iter().filter_map(Value::as_u32).collect();
                let name = if name == "numbers" { "persons" } else { &name };
                self.line(name, &summary::ranges(&numbers), indent);
            }
            Value::List(items) if items.iter().all(|item| item.as_message().is_none()) => {
                let mut texts: Vec<String> = items
                    .iter()
                    .take(LIST_MAX)
                    .map(|item| plain(field, item))
                    .collect();
                if items.len() > LIST_MAX {
                    texts.push(format!("and {} more", items.len() - LIST_MAX));
                }
                self.line(&name, &texts.join("; "), indent);
            }
            Value::List(items) => {
                for item in items {
                    self.field(field, item, indent, None);
                }
            }
            Value::Message(message) => self.inner(&name, message, indent),
            other => self.line(&name, &plain(field, other), indent),
        }
    }

    fn inner(&mut self, name: &str, message: &DynamicMessage, indent: usize) {
        if let Some(time) = json::timestamp_of(message) {
            self.line(name, &when::full_wire(Some(&time)), indent);
        } else if message.descriptor().name() == "LocalizedText" {
            let texts = message
                .transcode_to::<v1::LocalizedText>()
                .unwrap_or_default();
            self.heading(name, indent);
            for (language, text) in &texts.texts {
                self.line(&escape(language), &escape_lines(text), indent + 2);
            }
        } else if message.descriptor().name() == "PersonName" {
            let person = message.transcode_to::<v1::PersonName>().unwrap_or_default();
            let parts = [&person.native, &person.transliteration];
            let parts: Vec<_> = parts
                .into_iter()
                .filter(|part| !part.is_empty())
                .map(|p| escape(p))
                .collect();
            self.line(name, &parts.join(" / "), indent);
        } else if message.descriptor().name() == "Officer" {
            let officer = message.transcode_to::<v1::Officer>().unwrap_or_default();
            let parts = [
                &officer.name,
                &officer.rank,
                &officer.office,
                &officer.phone,
            ];
            let parts: Vec<_> = parts
                .into_iter()
                .filter(|part| !part.is_empty())
                .map(|p| escape(p))
                .collect();
            self.line(name, &parts.join(", "), indent);
        } else if message.descriptor().name() == "MarkerRange" {
            let range = message.transcode_to::<v1::MarkerRange>();
            let range = range.unwrap_or_default();
            self.line(name, &format!("{}–{}", range.first, range.last), indent);
        } else if message.descriptor().name() == "Place" {
            let place = message.transcode_to::<v1::Place>().unwrap_or_default();
            let text = summary::place(&place);
            let text = match text.strip_prefix("gate ") {
                Some(gate) if name.ends_with("gate") => gate,
                _ => &text,
            };
            self.line(name, text, indent);
            if let Some(description) = place.description.filter(|_| place.r#where.is_some()) {
                for (language, text) in &description.texts {
                    self.line(&escape(language), &escape_lines(text), indent + 2);
                }
            }
        } else {
            self.heading(name, indent);
            self.message(message, indent + 2, None);
        }
    }

    fn heading(&mut self, name: &str, indent: usize) {
        self.out.push_str(&" ".repeat(indent));
        self.out.push_str(&Style::Dim.paint(name, self.colour));
        self.out.push('\n');
    }

    /// A name and a text, which may take several lines.
    fn line(&mut self, name: &str, text: &str, indent: usize) {
        let column = NAME_WIDTH.max(indent + name.len() + 1);
        let room = self.width.saturating_sub(column).max(20);
        for (number, line) in wrap(text.trim_end_matches('\n'), room).iter().enumerate() {
            if number == 0 {
                let name = pad(&format!("{}{name}", " ".repeat(indent)), column);
                self.out.push_str(&Style::Dim.paint(&name, self.colour));
            } else if !line.is_empty() {
                self.out.push_str(&" ".repeat(column));
            }
            self.out.push_str(line);
            self.out.push('\n');
        }
    }

    fn table(&mut self, table: &Table, indent: usize) {
        let text = table.render(Some(self.width.saturating_sub(indent)), self.colour);
        for line in text.lines() {
            self.out.push_str(&" ".repeat(indent));
            self.out.push_str(line);
            self.out.push('\n');
        }
    }
}

/// Whether zero or no is an answer, and shown; protobuf holds both as not set.
fn is_answered(field: &FieldDescriptor) -> bool {
    let has_blank = field.is_list()
        || matches!(
            field.kind(),
            Kind::String | Kind::Bytes | Kind::Enum(_) | Kind::Message(_)
        );
    // A person who saw something has no percentage.
    !has_blank && field.name() != "sensor_confidence_percent"
}

/// A value that stands on a line.
fn plain(field: &FieldDescriptor, value: &Value) -> String {
    match value {
        Value::String(text) => escape_lines(text).into_owned(),
        Value::Bytes(bytes) => hex::encode(bytes),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::EnumNumber(number) => match field.kind() {
            Kind::Enum(choices) => choices.get_value(*number).map_or_else(
                || format!("{number} (newer)"),
                |choice| words::of_enum(choices.name(), choice.name()),
            ),
            _ => number.to_string(),
        },
        Value::I32(number) => number.to_string(),
        Value::I64(number) => number.to_string(),
        Value::U32(number) => number.to_string(),
        Value::U64(number) => number.to_string(),
        Value::F32(number) => number.to_string(),
        Value::F64(number) => number.to_string(),
        Value::Message(_) | Value::List(_) | Value::Map(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::sample::{People, SAMPLES, handover_batch};

    fn shown(draft: &v1::Draft) -> String {
        render(draft.body.as_ref().unwrap(), 100, false)
    }

    #[test]
    fn nothing_said_of_a_few_persons_is_left_out() {
        for sample in SAMPLES {
            let draft = sample.draft().unwrap();
            let text: String = shown(&draft).split_whitespace().collect();
            let json = json::to_json(draft.body.as_ref().unwrap());
            let mut left_out = Vec::new();
            missing(&json, &text, &mut left_out);
            assert_eq!(left_out, Vec::<String>::new(), "{}", sample.name);
        }
    }

    /// Texts in other letters than ours are names or said for people; all are shown.
    fn missing(json: &serde_json::Value, text: &str, left_out: &mut Vec<String>) {
        match json {
            serde_json::Value::Object(fields) => {
                for (_, value) in fields.iter().filter(|(name, _)| *name != "attachments") {
                    missing(value, text, left_out);
                }
            }
            serde_json::Value::Array(items) => {
                for item in items {
                    missing(item, text, left_out);
                }
            }
            serde_json::Value::String(said) if !said.is_ascii() => {
                let said: String = said.split_whitespace().collect();
                if !text.contains(&said) {
                    left_out.push(said);
                }
            }
            _ => {}
        }
    }

    #[test]
    fn zero_and_no_are_shown_as_answers() {
        let shown_of =
            |name: &str| shown(&crate::model::sample::find(name).unwrap().draft().unwrap());
        let patrol = shown_of("crossing-alert-patrol");
        let line = |name: &str, value: &str| format!("{name:<NAME_WIDTH$}{value}\n");
        assert!(patrol.contains(&line("vehicles", "0")), "{patrol}");
        assert!(!patrol.contains("confidence"), "{patrol}");
        let record = shown_of("handover-record");
        assert!(record.contains(&line("is return", "no")), "{record}");
        assert!(record.contains(&line("gate", "lao-cai/hekou")), "{record}");
        let schedule = shown_of("handover-schedule");
        assert!(schedule.contains(&line("persons", "1, 2")), "{schedule}");
    }

    #[test]
    fn of_many_persons_the_needs_are_shown() {
        let text = shown(&handover_batch("a.b", People::Vietnamese, 110));
        assert_eq!(text.matches("medical needs").count(), 5);
        assert!(!text.contains("last address"), "{text}");
    }
}

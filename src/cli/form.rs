//! A body as a form: every field of it with its name, whatever kind it is of.
//!
//! Reads the descriptors, so that a kind added to the proto is shown without a change here. Only
//! lists of persons and decisions have tables of their own.

mod tables;

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, ReflectMessage as _, Value};

use super::table::{Cell, Fit, Style, Table, pad, wrap};
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
            if message.has_field(&field) {
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
            ("persons", Some(Body::HandoverRequest(request))) => {
                self.heading(&summary::count(request.persons.len(), "person"), indent);
                self.table(&persons(&request.persons), indent + 2);
                return;
            }
            ("decisions", Some(Body::HandoverReply(reply))) => {
                self.heading(&summary::count(reply.decisions.len(), "decision"), indent);
                self.table(&decisions(&reply.decisions), indent + 2);
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
        match value {
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
            self.line(name, &summary::place(&place), indent);
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

fn persons(persons: &[v1::HandoverPerson]) -> Table {
    let mut table = Table::new(&[
        ("NO", Fit::Right),
        ("NAME", Fit::Down(8)),
        ("LATIN LETTERS", Fit::Down(8)),
        ("BORN", Fit::Whole),
        ("SEX", Fit::Whole),
        ("STATE", Fit::Whole),
        ("DOCUMENT", Fit::Down(6)),
        ("SCREENING", Fit::Down(6)),
    ]);
    for person in persons {
        let name = person.name.clone().unwrap_or_default();
        let document = person
            .document
            .as_ref()
            .map(|document| escape(&document.number).into_owned());
        table.row([
            person.number.to_string().into(),
            escape(&name.native).into(),
            escape(&name.transliteration).into(),
            escape(&person.birth_date).into(),
            words::of_enum("Sex", person.sex().as_str_name()).into(),
            escape(&person.nationality).into(),
            document.unwrap_or_default().into(),
            screening(person.screening.as_ref()),
        ]);
    }
    table
}

fn screening(screening: Option<&v1::ProtectionScreening>) -> Cell {
    let Some(screening) = screening.filter(|screening| screening.carried_out) else {
        return Cell::styled("not carried out", Style::Warn);
    };
    let flags = [
        (screening.protection_claim, "PROTECTION CLAIM"),
        (screening.trafficking_indicator, "trafficking"),
        (screening.minor, "minor"),
        (screening.unaccompanied, "unaccompanied"),
        (screening.pregnant, "pregnant"),
    ];
    let said: Vec<_> = flags
        .into_iter()
        .filter(|(set, _)| *set)
        .map(|(_, word)| word)
        .collect();
    if said.is_empty() {
        Cell::styled("done", Style::Dim)
    } else {
        Cell::styled(said.join(", "), Style::Warn)
    }
}

fn decisions(decisions: &[v1::HandoverDecision]) -> Table {
    let mut table = Table::new(&[
        ("NO", Fit::Right),
        ("OUTCOME", Fit::Whole),
        ("VALID UNTIL", Fit::Whole),
        ("REASON", Fit::Down(10)),
    ]);
    for decision in decisions {
        let outcome = words::of_enum("HandoverOutcome", decision.outcome().as_str_name());
        let until = decision
            .valid_until
            .as_ref()
            .and_then(when::from_wire)
            .map(when::full);
        table.row([
            decision.number.to_string().into(),
            outcome.into(),
            until.unwrap_or_default().into(),
            summary::localized(decision.reason.as_ref()).into(),
        ]);
    }
    table
}

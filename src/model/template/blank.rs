//! A form to fill in: JSON with comments that say what belongs where.

use std::fmt::Write as _;

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::Value;

use super::value::{
    compact, compact_message, is_localized, is_small, number, quoted, scalar, texts,
};
use super::{Form, comments, note};
use crate::model::check::{Rule, rule_in, with_defaults};
use crate::model::json::{self, TIMESTAMP};
use crate::model::text::escape;
use crate::model::typed::NOT_APPLICABLE;
use crate::proto::v1;

/// The languages that a form has lines for; others are added by hand.
pub const LANGUAGES: [&str; 2] = ["vi", "zh-Hans"];

/// Columns of a comment.
const WIDTH: usize = 100;

/// Where nothing is asked, since the rest of the file or the command line says it.
const LEFT_OUT: [&str; 4] = [
    "liaison.v1.Draft.id",
    "liaison.v1.Common.languages",
    "liaison.v1.Common.attachments",
    "liaison.v1.Common.not_applicable",
];

/// The fields of a draft in the order in which people think of them; those not named here come before
/// the body.
const HEADER: [&str; 9] = [
    "recipient",
    "in_reply_to",
    "supersedes",
    "thread_id",
    "precedence",
    "status",
    "handling",
    "acknowledge_by",
    "respond_by",
];

/// The form of a kind with every field of it, blank where `filled` has no value.
///
/// `filled` is a part of a draft in JSON. In an object of it, the key `"//"` is a comment to stand in
/// front; in a list, each element becomes one of the form.
#[must_use]
pub fn fill(form: &Form, filled: &Value) -> String {
    let mut whole = json::to_json(&with_defaults(v1::Draft::default()));
    merge(&mut whole, filled);
    let mut writer = Writer {
        out: head(form),
        form,
    };
    writer.draft(&whole);
    writer.out
}

fn head(form: &Form) -> String {
    let mut out = String::new();
    let title = form.word.to_uppercase().replace('-', " ");
    let lines = [
        format!("{title}. {}", form.purpose),
        String::new(),
        "Write into the empty quotes \"\". Numbers and true or false may stand without quotes.".to_owned(),
        "Required: must be filled in.".to_owned(),
        format!(
            "Or \"{NOT_APPLICABLE}\": fill it in, or write that in place of the whole value, brackets \
             included."
        ),
        "Optional: may stay blank as a whole, or be taken out.".to_owned(),
        "Texts: the same in each language; to add one, add a line such as \"en\": \"\" to every text."
            .to_owned(),
        "More of a list: copy one element { … } and put a comma between the two.".to_owned(),
        "Times have a zone: +07:00 is that of Hanoi, +08:00 that of Beijing, Z is UTC.".to_owned(),
        "Lines behind // are for you and are not sent.".to_owned(),
        String::new(),
        "Then: liaison check FILE, and: liaison send FILE (files go with --attach FILE).".to_owned(),
    ];
    for line in lines {
        let comment = format!("// {line}");
        out.push_str(comment.trim_end());
        out.push('\n');
    }
    out
}

fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (into, from) => into.clone_from(from),
    }
}

struct Writer<'a> {
    out: String,
    form: &'a Form,
}

/// How a member of an object is written.
enum Member {
    Live(FieldDescriptor),
    /// Another choice, in a comment.
    Choice(FieldDescriptor),
}

impl Writer<'_> {
    fn draft(&mut self, filled: &Value) {
        let draft = json::descriptor_of::<v1::Draft>();
        let mut fields: Vec<FieldDescriptor> = draft.fields().filter(is_asked).collect();
        let last = HEADER.len();
        fields.sort_by_key(|field| match field.name() {
            "body" => last + 1,
            name => HEADER
                .iter()
                .position(|known| *known == name)
                .unwrap_or(last),
        });
        self.out.push_str("{\n");
        for field in fields {
            if field.name() == "body" {
                let body = &filled["body"][&self.form.json_name];
                let message = self.form.message.clone();
                self.out.push_str("\n  \"body\": {\n");
                put!(self.out, "    \"{}\": ", self.form.json_name);
                self.object(&message, 2, body);
                self.out.push_str("\n  }\n");
            } else {
                self.member(&field, 1, &filled[field.json_name()], false, false);
            }
        }
        self.out.push_str("}\n");
    }

    /// An object over several lines; the cursor is behind `"name": `.
    fn object(&mut self, message: &MessageDescriptor, depth: usize, filled: &Value) {
        self.out.push_str("{\n");
        if let Some(comment) = filled["//"].as_str() {
            self.comment(depth + 1, &[comment.to_owned()]);
        }
        let members = members(message, filled);
        let last_live = members
            .iter()
            .rposition(|member| matches!(member, Member::Live(_)));
        for (index, member) in members.iter().enumerate() {
            match member {
                Member::Live(field) => {
                    let is_last = Some(index) == last_live;
                    let value = &filled[field.json_name()];
                    self.member(field, depth + 1, value, index == 0, is_last);
                }
                Member::Choice(field) => {
                    let mut line = format!(
                        "or \"{}\": {}",
                        field.json_name(),
                        compact(field, &Value::Null)
                    );
                    let note = comments::of_field(field).replace('\n', " ");
                    if !note.is_empty() {
                        line = format!("{line}  {note}");
                    }
                    self.comment(depth + 1, &[line]);
                }
            }
        }
        self.out.push_str(&"  ".repeat(depth));
        self.out.push('}');
    }

    fn member(
        &mut self,
        field: &FieldDescriptor,
        depth: usize,
        filled: &Value,
        is_first: bool,
        is_last: bool,
    ) {
        let comma = if is_last { "" } else { "," };
        let note = note::lines(self.form, field, filled);
        let name = format!("{}\"{}\": ", "  ".repeat(depth), field.json_name());
        if is_leaf(field) {
            let value = compact(field, filled);
            let line = format!("{name}{value}{comma}");
            match note.as_slice() {
                [short] if line.chars().count() + short.chars().count() + 5 <= WIDTH => {
                    put!(self.out, "{line}  // {short}\n");
                }
                _ => {
                    self.above(depth, &note, is_first);
                    put!(self.out, "{line}\n");
                }
            }
            return;
        }
        self.above(depth, &note, is_first);
        self.out.push_str(&name);
        self.value(field, depth, filled);
        self.out.push_str(comma);
        self.out.push('\n');
    }

    /// A value that takes several lines.
    fn value(&mut self, field: &FieldDescriptor, depth: usize, filled: &Value) {
        if !field.is_list() {
            return self.single(field, depth, filled);
        }
        let blank = [Value::Null];
        let elements = filled.as_array().map_or(&blank[..], Vec::as_slice);
        self.out.push_str("[\n");
        for (index, element) in elements.iter().enumerate() {
            let mut element = element.clone();
            // Where a list may stay blank, a number in it would make it look filled in.
            if rule_in(self.form.kind, field) == Some(Rule::Required) {
                number(field, index, &mut element);
            }
            self.out.push_str(&"  ".repeat(depth + 1));
            self.single(field, depth + 1, &element);
            self.out.push_str(if index + 1 == elements.len() {
                "\n"
            } else {
                ",\n"
            });
        }
        self.out.push_str(&"  ".repeat(depth));
        self.out.push(']');
    }

    fn single(&mut self, field: &FieldDescriptor, depth: usize, filled: &Value) {
        let Kind::Message(message) = field.kind() else {
            self.out.push_str(&scalar(field, filled));
            return;
        };
        if is_localized(field) {
            let indent = "  ".repeat(depth);
            let lines: Vec<String> = texts(filled)
                .iter()
                .map(|(tag, text)| format!("{indent}  {}: {}", quoted(tag), quoted(text)))
                .collect();
            let lines = lines.join(",\n");
            put!(self.out, "{{\"texts\": {{\n{lines}\n{indent}}}}}");
        } else if is_small(&message) {
            self.out.push_str(&compact_message(&message, filled));
        } else {
            self.object(&message, depth, filled);
        }
    }

    fn above(&mut self, depth: usize, note: &[String], is_first: bool) {
        if !note.is_empty() {
            if !is_first {
                self.out.push('\n');
            }
            self.comment(depth, note);
        }
    }

    fn comment(&mut self, depth: usize, lines: &[String]) {
        let indent = format!("{}// ", "  ".repeat(depth));
        for line in lines {
            // A comment that ended early would be read as content.
            for wrapped in note::wrap(&escape(line), WIDTH.saturating_sub(indent.len())) {
                self.out.push_str(&indent);
                self.out.push_str(&wrapped);
                self.out.push('\n');
            }
        }
    }
}

/// The fields that are asked, with one live choice where only one may be given.
fn members(message: &MessageDescriptor, filled: &Value) -> Vec<Member> {
    let mut members = Vec::new();
    for field in message
        .fields()
        .filter(|field| is_asked(field) || !filled[field.json_name()].is_null())
    {
        let live = match field
            .containing_oneof()
            .filter(|oneof| !oneof.is_synthetic())
        {
            None => true,
            Some(oneof) => {
                let chosen = oneof
                    .fields()
                    .find(|other| !filled[other.json_name()].is_null());
                chosen.or_else(|| oneof.fields().next()).as_ref() == Some(&field)
            }
        };
        members.push(if live {
            Member::Live(field)
        } else {
            Member::Choice(field)
        });
    }
    members
}

fn is_asked(field: &FieldDescriptor) -> bool {
    !LEFT_OUT.contains(&field.full_name())
}

/// Whether the value stands on the line of its name.
fn is_leaf(field: &FieldDescriptor) -> bool {
    match field.kind() {
        Kind::Message(message) if message.full_name() == TIMESTAMP => true,
        Kind::Message(message) => !field.is_list() && is_small(&message),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_end_where_they_should() {
        let form = super::super::find("withdrawal").unwrap();
        let hostile =
            serde_json::json!({"body": {"withdrawal": {"//": "a\n\"reason\": 1\u{2028}"}}});
        let text = fill(form, &hostile);
        assert!(
            text.contains("// a\\u{A}\"reason\": 1\\u{2028}\n"),
            "{text}"
        );
    }
}

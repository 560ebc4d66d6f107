//! A page about each kind, in Markdown.

use std::fmt::Write as _;

use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};

use super::{Form, comments, forms, workflow_of};
use crate::model::check::{Rule, rule_in};
use crate::model::json::TIMESTAMP;
use crate::model::sample::SAMPLES;

/// What notifications.md explains for all kinds.
const EXPLAINED: [(&str, &str); 5] = [
    ("Common", "../notifications.md#what-every-body-says"),
    ("Attachment", "../notifications.md#attachments"),
    ("Officer", "../notifications.md#officers"),
    ("Place", "../notifications.md#places"),
    ("LocalizedText", "../notifications.md#write-a-draft"),
];

/// The page of a kind.
#[must_use]
pub fn page(form: &Form) -> String {
    let title = sentence(&form.word.replace('-', " "));
    let mut out = format!(
        "<!-- Generated from proto/liaison/v1/notification.proto, its comments and the rules. -->\n\n\
         # {title}\n\n{}\n\n",
        comments::of_message(&form.message)
    );
    if form.is_system {
        out.push_str("Only a node says this, by itself; it is refused in drafts.\n\n");
    } else {
        put!(
            out,
            "Write one: `liaison new {0} --out {0}.json`, fill it in, `liaison check {0}.json`, \
             `liaison send {0}.json`.\n{1}\n",
            form.word,
            links(form)
        );
    }
    put!(
        out,
        "[All kinds](README.md) · [what holds for all of them](../notifications.md)\n\n\
         ## Fields\n\nIn `body.{}`:\n\n",
        form.json_name
    );
    let mut parts = Parts::default();
    table(form, &form.message, &mut parts, &mut out);
    let mut next = 0;
    while let Some(message) = parts.messages.get(next).cloned() {
        next += 1;
        put!(out, "\n### {}\n\n", message.name());
        paragraph(&comments::of_message(&message), &mut out);
        table(form, &message, &mut parts, &mut out);
    }
    if !parts.choices.is_empty() {
        out.push_str("\n## Choices\n");
    }
    for choices in &parts.choices {
        put!(out, "\n### {}\n\n", choices.name());
        paragraph(&comments::of_enum(choices), &mut out);
        out.push_str("| value | meaning |\n|---|---|\n");
        for value in choices.values().filter(|value| value.number() != 0) {
            let meaning = cell(&comments::of_value(&value));
            put!(out, "| `{}` | {meaning} |\n", value.name());
        }
    }
    if let Some(picture) = workflow_of(&form.word) {
        put!(
            out,
            "\n## Workflow\n\n<!-- workflow -->\n```mermaid\n{}\n```\n",
            picture.trim_end()
        );
    }
    for (index, sample) in samples_of(form).enumerate() {
        if index == 0 {
            out.push_str("\n## Example\n");
        }
        put!(
            out,
            "\n[samples/{0}.json](../../samples/{0}.json):\n\n```json\n{1}```\n",
            sample.name,
            sample.json
        );
    }
    out
}

/// The page that lists the others.
#[must_use]
pub fn index_page() -> String {
    let mut out = String::from(
        "<!-- Generated from proto/liaison/v1/notification.proto and its comments. -->\n\n\
         # Kinds of notification\n\nWhat holds for all of them is in \
         [notifications.md](../notifications.md). `liaison new --list` prints this list.\n\n\
         | kind | in a draft | what it is |\n|---|---|---|\n",
    );
    let (system, human): (Vec<&Form>, Vec<&Form>) = forms().iter().partition(|form| form.is_system);
    let rows = |forms: &[&Form], out: &mut String| {
        for form in forms {
            put!(
                out,
                "| [{0}]({0}.md) | `{1}` | {2} |\n",
                form.word,
                form.json_name,
                cell(&form.purpose)
            );
        }
    };
    rows(&human, &mut out);
    out.push_str(
        "\nSaid by nodes themselves, and refused in drafts:\n\n\
         | kind | in a body | what it is |\n|---|---|---|\n",
    );
    rows(&system, &mut out);
    out
}

/// Samples are named after their kind, with more behind it where there are several.
fn samples_of(form: &Form) -> impl Iterator<Item = &'static crate::model::sample::Sample> {
    SAMPLES.iter().filter(move |sample| {
        let longest = forms()
            .iter()
            .filter(|other| is_named(sample.name, &other.word))
            .max_by_key(|other| other.word.len());
        longest.is_some_and(|other| other.word == form.word)
    })
}

fn is_named(sample: &str, word: &str) -> bool {
    sample
        .strip_prefix(word)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

fn links(form: &Form) -> String {
    let mut said = String::new();
    if form.needs_reply_to {
        put!(
            said,
            "It names the message that it answers in `inReplyTo`; `liaison new {} --answers ID` takes over \
             what it can from there.\n",
            form.word
        );
    }
    if form.needs_supersedes {
        said.push_str("It names the own message concerned in `supersedes`.\n");
    }
    said
}

/// What the tables so far have named and no table has told yet.
#[derive(Default)]
struct Parts {
    messages: Vec<MessageDescriptor>,
    choices: Vec<EnumDescriptor>,
}

fn table(form: &Form, message: &MessageDescriptor, parts: &mut Parts, out: &mut String) {
    out.push_str("| field | form | filled in | meaning |\n|---|---|---|---|\n");
    for field in message.fields() {
        let mut meaning = cell(&comments::of_field(&field));
        if let Some(oneof) = field
            .containing_oneof()
            .filter(|oneof| !oneof.is_synthetic())
        {
            let others: Vec<String> = oneof
                .fields()
                .filter(|other| *other != field)
                .map(|other| format!("`{}`", other.json_name()))
                .collect();
            meaning = format!("{meaning} Or {}.", others.join(", "));
        }
        put!(
            out,
            "| `{}` | {} | {} | {} |\n",
            field.json_name(),
            shape(&field, parts),
            filled_in(form, &field),
            meaning.trim()
        );
    }
}

fn shape(field: &FieldDescriptor, parts: &mut Parts) -> String {
    let one = match field.kind() {
        Kind::Message(message) if message.full_name() == TIMESTAMP => "time".to_owned(),
        Kind::Message(message) => {
            let name = message.name().to_owned();
            if let Some((_, link)) = EXPLAINED.iter().find(|(known, _)| *known == name) {
                let word = match name.as_str() {
                    "LocalizedText" => "text".to_owned(),
                    "Common" => "common part".to_owned(),
                    _ => name.to_lowercase(),
                };
                format!("[{word}]({link})")
            } else {
                if !parts.messages.contains(&message) {
                    parts.messages.push(message);
                }
                format!("[{name}](#{})", name.to_lowercase())
            }
        }
        Kind::Enum(choices) => {
            let name = choices.name().to_owned();
            if !parts.choices.contains(&choices) {
                parts.choices.push(choices);
            }
            format!("[{name}](#{})", name.to_lowercase())
        }
        Kind::String => "line".to_owned(),
        Kind::Bytes => "bytes in base64".to_owned(),
        Kind::Bool => "true or false".to_owned(),
        _ => "number".to_owned(),
    };
    if field.is_list() {
        let many = if matches!(one.as_str(), "line" | "number" | "time") {
            "s"
        } else {
            ""
        };
        format!("list of {one}{many}")
    } else {
        one
    }
}

fn filled_in(form: &Form, field: &FieldDescriptor) -> &'static str {
    if form.is_system {
        return "";
    }
    match rule_in(form.kind, field) {
        Some(Rule::Required) => "yes",
        Some(Rule::OrNotApplicable) => "or *not applicable*",
        Some(Rule::Answered) if matches!(field.kind(), Kind::Bool) => "*no* is an answer",
        Some(Rule::Answered) => "0 is an answer",
        Some(Rule::Free) | None => "",
    }
}

fn paragraph(text: &str, out: &mut String) {
    if !text.is_empty() {
        out.push_str(text);
        out.push_str("\n\n");
    }
}

/// A text as one cell of a table.
fn cell(text: &str) -> String {
    text.replace('\n', " ")
        .replace('|', "\\|")
        .replace('<', "&lt;")
}

fn sentence(words: &str) -> String {
    let mut chars = words.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_uppercase().collect::<String>() + chars.as_str()
    })
}

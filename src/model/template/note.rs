//! What the comment of a field says: what it means, whether it must be filled in, how it is written.

use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::Value;

use super::value::{default_of, is_localized, is_number, is_small};
use super::{Form, comments};
use crate::model::check::{Rule, rule_in};
use crate::model::json::TIMESTAMP;
use crate::model::typed::NOT_APPLICABLE;

/// What the comment of a field says: meaning, whether it must be filled in, form.
pub(super) fn lines(form: &Form, field: &FieldDescriptor, filled: &Value) -> Vec<String> {
    let mut words = Vec::new();
    let own = comments::of_field(field).replace('\n', " ");
    let inherited = match field.kind() {
        Kind::Enum(choices) => comments::of_enum(&choices),
        Kind::Message(message) if !says_nothing_new(field, &message) => {
            comments::of_message(&message)
        }
        _ => String::new(),
    };
    if !own.is_empty() {
        words.push(own);
    } else if !inherited.is_empty() {
        words.push(inherited.replace('\n', " "));
    }
    words.extend(duty(form, field, filled));
    words.extend(format_of(field));
    let mut lines = Vec::new();
    if !words.is_empty() {
        lines.push(words.join(" "));
    }
    if is_digest(field) {
        lines.push("Written by: openssl dgst -sha256 -binary FILE | base64".to_owned());
    }
    if let Kind::Enum(choices) = field.kind() {
        lines.extend(choice_lines(&choices));
    }
    lines
}

fn duty(form: &Form, field: &FieldDescriptor, filled: &Value) -> Option<String> {
    if field.parent_message().full_name() == "liaison.v1.Draft" {
        let needed = match field.name() {
            "recipient" => true,
            "in_reply_to" => form.needs_reply_to,
            "supersedes" => form.needs_supersedes,
            _ => false,
        };
        let word = if needed { "Required." } else { "Optional." };
        return filled.is_null().then(|| word.to_owned());
    }
    if field.name() == "common" {
        return None;
    }
    let Some(rule) = rule_in(form.kind, field) else {
        // Parts of a place: one of those that say where, and words beside it.
        return is_localized(field).then(|| "Optional.".to_owned());
    };
    match rule {
        Rule::Required => Some("Required.".to_owned()),
        Rule::OrNotApplicable => Some(format!("Or \"{NOT_APPLICABLE}\".")),
        Rule::Free => Some("Optional.".to_owned()),
        Rule::Answered if default_of(field).is_some() || is_number(field) => None,
        Rule::Answered if matches!(field.kind(), Kind::Bool) => Some("Required:".to_owned()),
        Rule::Answered => Some("Required: a number.".to_owned()),
    }
}

/// The digest of a file that the author has.
fn is_digest(field: &FieldDescriptor) -> bool {
    matches!(field.kind(), Kind::Bytes) && field.name().contains("sha256")
}

/// What forms are made of everywhere, or what its own few fields say: the comment of the message would
/// only repeat itself.
fn says_nothing_new(field: &FieldDescriptor, message: &MessageDescriptor) -> bool {
    message.full_name().starts_with("google.")
        || matches!(message.name(), "LocalizedText" | "Common" | "Officer")
        || field.is_list() && is_small(message)
}

/// How a value of this field is written, where the quotes alone do not say it.
fn format_of(field: &FieldDescriptor) -> Option<String> {
    let words = match field.kind() {
        Kind::Message(message) if message.full_name() == TIMESTAMP => {
            "Time: \"2026-03-02T08:30:00+07:00\"."
        }
        Kind::Bytes => "Base64.",
        Kind::Bool => "true or false.",
        _ => return None,
    };
    Some(words.to_owned())
}

fn choice_lines(choices: &EnumDescriptor) -> Vec<String> {
    let known: Vec<(String, String)> = choices
        .values()
        .filter(|value| value.number() != 0)
        .map(|value| {
            let meaning = comments::of_value(&value).replace('\n', " ");
            (value.name().to_owned(), meaning)
        })
        .collect();
    if known.iter().all(|(_, meaning)| meaning.is_empty()) {
        let names: Vec<String> = known.into_iter().map(|(name, _)| name).collect();
        return vec![format!("One of: {}", names.join(", "))];
    }
    known
        .into_iter()
        .map(|(name, meaning)| match meaning.as_str() {
            "" => format!("- {name}"),
            meaning => format!("- {name}: {meaning}"),
        })
        .collect()
}

pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().map_or(0, |line| line.chars().count());
        if line > 0 && line + 1 + word.chars().count() > width.max(40) {
            // What belongs to a choice is set in below it.
            let hang = if text.starts_with("- ") { "  " } else { "" };
            lines.push(hang.to_owned() + word);
        } else if let Some(last) = lines.last_mut() {
            if !last.is_empty() {
                last.push(' ');
            }
            last.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_comments_are_wrapped() {
        let words = "word ".repeat(60);
        let lines = wrap(words.trim(), 80);
        assert!(lines.len() > 3 && lines.iter().all(|line| line.len() <= 80));
        assert_eq!(lines.join(" "), words.trim());
    }
}

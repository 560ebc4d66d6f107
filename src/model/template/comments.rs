//! The comments of the proto, by what they stand before.

use std::collections::HashMap;
use std::sync::LazyLock;

use prost_reflect::{EnumDescriptor, EnumValueDescriptor, FieldDescriptor, MessageDescriptor};

use crate::model::json::POOL;
use crate::proto::v1;

/// File and path within it → comment. Read once: the descriptors never change.
static COMMENTS: LazyLock<HashMap<(String, Vec<i32>), String>> = LazyLock::new(|| {
    let mut comments = HashMap::new();
    for file in POOL.files() {
        let proto = file.file_descriptor_proto();
        for location in proto
            .source_code_info
            .iter()
            .flat_map(|info| &info.location)
        {
            let comment = location
                .leading_comments
                .as_deref()
                .or(location.trailing_comments.as_deref());
            if let Some(comment) = comment {
                let key = (file.name().to_owned(), location.path.clone());
                comments.insert(key, tidy(comment));
            }
        }
    }
    comments
});

/// Without the blanks around the lines, and with fields named as JSON names them: `inReplyTo` for
/// `header.in_reply_to`.
fn tidy(comment: &str) -> String {
    let lines: Vec<String> = comment.trim().lines().map(json_names).collect();
    lines.join("\n")
}

fn json_names(line: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
    let mut out = String::new();
    for word in line.trim().split_inclusive(|c| !is_part(c)) {
        let (name, end) = word.split_at(word.find(|c| !is_part(c)).unwrap_or(word.len()));
        let is_field = name.contains('_') && !name.contains(|c: char| c.is_ascii_uppercase());
        if is_field {
            push_json_name(name.strip_prefix("header.").unwrap_or(name), &mut out);
        } else {
            out.push_str(name);
        }
        out.push_str(end);
    }
    out
}

fn push_json_name(name: &str, out: &mut String) {
    for (index, part) in name.split('_').enumerate() {
        match part.split_at_checked(1) {
            Some((first, rest)) if index > 0 => {
                out.push_str(&first.to_ascii_uppercase());
                out.push_str(rest);
            }
            _ => out.push_str(part),
        }
    }
}

fn at(file: &str, path: &[i32]) -> String {
    COMMENTS
        .get(&(file.to_owned(), path.to_vec()))
        .cloned()
        .unwrap_or_default()
}

/// Of the kind's number and name, in one line.
pub(super) fn of_kind(kind: v1::Kind) -> String {
    let kinds = POOL.get_enum_by_name("liaison.v1.Kind");
    let value = kinds.and_then(|kinds| kinds.get_value(kind as i32));
    value.map_or_else(String::new, |value| of_value(&value).replace('\n', " "))
}

pub(super) fn of_message(message: &MessageDescriptor) -> String {
    at(message.parent_file().name(), message.path())
}

pub(super) fn of_field(field: &FieldDescriptor) -> String {
    at(field.parent_message().parent_file().name(), field.path())
}

pub(super) fn of_enum(choices: &EnumDescriptor) -> String {
    at(choices.parent_file().name(), choices.path())
}

pub(super) fn of_value(value: &EnumValueDescriptor) -> String {
    at(value.parent_enum().parent_file().name(), value.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_named_as_json_names_them() {
        for (comment, told) in [
            (
                " Answers header.in_reply_to.\n  Or short_notice_reason says why.\n",
                "Answers inReplyTo.\nOr shortNoticeReason says why.",
            ),
            (
                "\"Asia/Ho_Chi_Minh\", \"persons[2].sex\" and photo_sha256",
                "\"Asia/Ho_Chi_Minh\", \"persons[2].sex\" and photoSha256",
            ),
        ] {
            assert_eq!(tidy(comment), told);
        }
    }
}

//! The comments of the proto, by what they stand before.

use std::collections::HashMap;
use std::sync::LazyLock;

use prost_reflect::{EnumDescriptor, EnumValueDescriptor, FieldDescriptor, MessageDescriptor};

use crate::model::json::POOL;

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

/// Without the blanks that stand before and after the lines.
fn tidy(comment: &str) -> String {
    let lines: Vec<&str> = comment.trim().lines().map(str::trim).collect();
    lines.join("\n")
}

fn at(file: &str, path: &[i32]) -> String {
    COMMENTS
        .get(&(file.to_owned(), path.to_vec()))
        .cloned()
        .unwrap_or_default()
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

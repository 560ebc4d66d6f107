//! The rules for drafts, from outside: each with a case inside and one outside; and properties of
//! every form a message takes.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by panicking"
)]

#[path = "model/bytes.rs"]
mod bytes_and_names;
#[path = "model/cases.rs"]
mod case_rules;
#[path = "model/handover.rs"]
mod handover_rules;
#[path = "model/joint.rs"]
mod joint;
#[path = "model/json.rs"]
mod json_form;
#[path = "model/limits.rs"]
mod limit_rules;
#[path = "model/line.rs"]
mod line;
#[path = "model/links.rs"]
mod link_rules;
#[path = "model/page.rs"]
mod page;
#[path = "model/record.rs"]
mod record;
#[path = "model/rules.rs"]
mod rules;
#[path = "model/stance.rs"]
mod stance_rules;
#[path = "model/system.rs"]
mod system_rules;
#[path = "model/verification.rs"]
mod verification_rules;

use liaison::model::check::{FieldFault, check_draft};
use liaison::model::{json, sample};
use liaison::proto::v1;
use serde_json::Value;

/// A sample with some values replaced, each by JSON pointer; null removes.
fn edited(name: &str, edits: &[(&str, Value)]) -> v1::Draft {
    let mut draft: Value = serde_json::from_str(sample::find(name).unwrap().json).unwrap();
    for (pointer, value) in edits {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let parent = draft
            .pointer_mut(parent)
            .unwrap_or_else(|| panic!("{name} has no {pointer}"));
        match parent {
            Value::Object(object) if value.is_null() => {
                object
                    .remove(key)
                    .unwrap_or_else(|| panic!("{name} has no {pointer}"));
            }
            Value::Object(object) => {
                object.insert(key.to_owned(), value.clone());
            }
            Value::Array(list) if value.is_null() => {
                list.remove(key.parse().unwrap());
            }
            Value::Array(list) if key == "-" => list.push(value.clone()),
            Value::Array(list) => list[key.parse::<usize>().unwrap()] = value.clone(),
            _ => panic!("{name} has no {pointer}"),
        }
    }
    json::from_json(&draft.to_string()).unwrap()
}

fn faults(draft: &v1::Draft) -> Vec<FieldFault> {
    check_draft(draft).err().unwrap_or_default()
}

fn assert_fault(draft: &v1::Draft, field: &str, reason: &str) {
    let faults = faults(draft);
    let told = faults
        .iter()
        .find(|fault| fault.field == field && fault.reason.contains(reason));
    let Some(fault) = told else {
        panic!("no fault at {field} with \"{reason}\" among {faults:#?}")
    };
    assert!(!fault.remedy.is_empty());
}

/// Sample, edits that keep it sendable.
type Edit = (&'static str, Vec<(&'static str, Value)>);

fn assert_inside(edits: Vec<Edit>) {
    for (sample, edits) in edits {
        assert_eq!(
            check_draft(&edited(sample, &edits)),
            Ok(()),
            "{sample} with {edits:?}"
        );
    }
}

/// Sample, JSON pointer, value, field of the fault, part of its reason.
type Case = (
    &'static str,
    &'static str,
    Value,
    &'static str,
    &'static str,
);

fn assert_outside(cases: Vec<Case>) {
    for (sample, pointer, value, field, reason) in cases {
        assert_fault(&edited(sample, &[(pointer, value)]), field, reason);
    }
}

/// Edits of a sample, each by JSON pointer below the kind's own message.
type Edits = Vec<(&'static str, Value)>;
/// An edit, and the field and part of the reason of the fault that it makes, below the kind's own
/// message as well.
type Refused = (&'static str, Value, &'static str, &'static str);

/// Checks what keeps a sample sendable, and what does not.
fn assert_rules(sample: &str, inside: Vec<Edits>, outside: Vec<Refused>) {
    let kind = camel_case(sample);
    let draft_of = |edits: &[(&str, Value)]| {
        let edits: Vec<(String, Value)> = edits
            .iter()
            .map(|(pointer, value)| (format!("/body/{kind}/{pointer}"), value.clone()))
            .collect();
        let edits: Vec<(&str, Value)> = edits
            .iter()
            .map(|(pointer, value)| (pointer.as_str(), value.clone()))
            .collect();
        edited(sample, &edits)
    };
    for edits in inside {
        assert_eq!(
            check_draft(&draft_of(&edits)),
            Ok(()),
            "{sample} with {edits:?}"
        );
    }
    for (pointer, value, field, reason) in outside {
        let draft = draft_of(&[(pointer, value)]);
        assert_fault(&draft, &format!("body.{kind}.{field}"), reason);
    }
}

/// `case-notice` is `caseNotice` in JSON.
fn camel_case(sample: &str) -> String {
    let mut words = sample.split('-');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| {
        name + &word[..1].to_ascii_uppercase() + &word[1..]
    })
}

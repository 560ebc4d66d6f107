//! Forms to fill in and pages to read, for every kind there is.
//!
//! Both are made by reflection, from the proto and its comments, the table of blanks
//! ([`super::check`]) and the samples: a kind that is added to the proto has them without a line here.
//! What only some kinds have stands in two tables: pictures of workflows ([`workflow_of`]) and what an
//! answer takes over from the message answered ([`prefill()`]).

/// Writes to a `String`, which cannot fail. The file has `std::fmt::Write` in use.
macro_rules! put {
    ($out:expr, $($text:tt)+) => {{
        let _ = write!($out, $($text)+);
    }};
}

mod blank;
mod comments;
mod note;
mod page;
mod prefill;
mod value;

use std::sync::LazyLock;

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};

use super::check::check_draft;
use super::{body, json};
use crate::proto::v1;

pub use self::blank::{LANGUAGES, fill};
pub use self::page::{index_page, page};
pub use self::prefill::{Answered, prefill};

/// A kind of notification as a form.
#[derive(Debug, Clone)]
pub struct Form {
    /// Its word, `handover-request`: what is typed, and the name of its page and sample.
    pub word: String,
    /// Its field in a draft's body, `handoverRequest`.
    pub json_name: String,
    /// Its number and name in headers.
    pub kind: v1::Kind,
    /// What it is, in one sentence.
    pub purpose: String,
    /// Only a node says it, by itself.
    pub is_system: bool,
    /// A draft of it names the message that it answers.
    pub needs_reply_to: bool,
    /// A draft of it names the own message that it replaces or takes back.
    pub needs_supersedes: bool,
    message: MessageDescriptor,
}

static FORMS: LazyLock<Vec<Form>> = LazyLock::new(|| {
    let wrapper = json::descriptor_of::<v1::Body>();
    let field = |content: &v1::body::Body| {
        let field = wrapper.get_field_by_json_name(&body::json_name_of(content))?;
        form(&field)
    };
    // What belongs together stands together there, those of nodes last.
    body::one_of_each().iter().filter_map(field).collect()
});

/// Every kind this version knows, what belongs together in a row, the node's own last.
#[must_use]
pub fn forms() -> &'static [Form] {
    &FORMS
}

/// The form of a kind as somebody may write it: `handover-request`, `HANDOVER_REQUEST`,
/// `handoverRequest`, `KIND_HANDOVER_REQUEST`.
#[must_use]
pub fn find(typed: &str) -> Option<&'static Form> {
    let folded = |name: &str| name.to_lowercase().replace(['_', '-', ' '], "");
    let typed = folded(typed);
    let bare = typed.strip_prefix("kind").unwrap_or(&typed);
    FORMS.iter().find(|form| folded(&form.word) == bare)
}

/// The form of a body.
#[must_use]
pub fn of_body(body: &v1::body::Body) -> Option<&'static Form> {
    let kind = body::kind_of(body);
    FORMS.iter().find(|form| form.kind == kind)
}

/// The picture of a kind's workflow, in Mermaid; `None` where a message is the whole of it.
#[must_use]
pub fn workflow_of(word: &str) -> Option<&'static str> {
    WORKFLOWS
        .iter()
        .find(|(words, _)| words.contains(&word))
        .map(|(_, picture)| *picture)
}

/// Kinds of one workflow, and its picture.
const WORKFLOWS: &[(&[&str], &str)] = &[
    (
        &["crossing-alert"],
        include_str!("../../docs/workflows/crossing-alert.mmd"),
    ),
    (
        &["case-notice"],
        include_str!("../../docs/workflows/case-notice.mmd"),
    ),
    (
        &[
            "verification-request",
            "verification-reply",
            "deadline-extension",
        ],
        include_str!("../../docs/workflows/verification-request.mmd"),
    ),
    (
        &[
            "handover-request",
            "handover-reply",
            "handover-supplement",
            "handover-schedule",
            "handover-record",
            "protection-decision",
        ],
        include_str!("../../docs/workflows/handover-request.mmd"),
    ),
    (
        &["official-letter"],
        include_str!("../../docs/workflows/official-letter.mmd"),
    ),
    (
        &["hotline-call"],
        include_str!("../../docs/workflows/hotline-call.mmd"),
    ),
    (
        &["meeting-proposal", "meeting-minutes"],
        include_str!("../../docs/workflows/meeting-proposal.mmd"),
    ),
    (
        &["patrol-plan", "patrol-report"],
        include_str!("../../docs/workflows/patrol-plan.mmd"),
    ),
    (
        &["gate-notice"],
        include_str!("../../docs/workflows/gate-notice.mmd"),
    ),
    (
        &["works-notice"],
        include_str!("../../docs/workflows/works-notice.mmd"),
    ),
    (
        &["marker-report"],
        include_str!("../../docs/workflows/marker-report.mmd"),
    ),
    (
        &["hazard-notice"],
        include_str!("../../docs/workflows/hazard-notice.mmd"),
    ),
    (
        &["activity-report"],
        include_str!("../../docs/workflows/activity-report.mmd"),
    ),
    (
        &["exercise-notice"],
        include_str!("../../docs/workflows/exercise-notice.mmd"),
    ),
    (
        &["period-report"],
        include_str!("../../docs/workflows/period-report.mmd"),
    ),
];

/// The kind whose message a field of the wrapper holds.
pub(crate) fn kind_of_field(field: &FieldDescriptor) -> v1::Kind {
    v1::Kind::from_str_name(&format!("KIND_{}", field.name().to_uppercase())).unwrap_or_default()
}

fn form(field: &FieldDescriptor) -> Option<Form> {
    let Kind::Message(message) = field.kind() else {
        return None;
    };
    let draft = empty_draft(field, &message)?;
    let content = draft.body.as_ref().and_then(|body| body.body.as_ref())?;
    let faults = check_draft(&draft).err().unwrap_or_default();
    let needs = |name: &str| faults.iter().any(|fault| fault.field == name);
    Some(Form {
        word: field.name().replace('_', "-"),
        json_name: field.json_name().to_owned(),
        kind: kind_of_field(field),
        purpose: comments::of_kind(kind_of_field(field)),
        is_system: body::is_system(content),
        needs_reply_to: needs("inReplyTo"),
        needs_supersedes: needs("supersedes"),
        message,
    })
}

/// A draft of which only the kind is given: the rules say of it what this kind needs.
fn empty_draft(field: &FieldDescriptor, message: &MessageDescriptor) -> Option<v1::Draft> {
    let mut wrapper = DynamicMessage::new(field.parent_message().clone());
    wrapper.set_field(field, Value::Message(DynamicMessage::new(message.clone())));
    Some(v1::Draft {
        body: Some(wrapper.transcode_to().ok()?),
        ..v1::Draft::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_found_however_they_are_written() {
        for typed in [
            "handover-request",
            "HANDOVER_REQUEST",
            "handoverRequest",
            "KIND_HANDOVER_REQUEST",
            "Handover request",
        ] {
            assert_eq!(find(typed).unwrap().word, "handover-request", "{typed}");
        }
        assert!(find("handover").is_none() && find("").is_none());
    }

    #[test]
    fn every_kind_is_a_form_that_says_what_it_is() {
        for form in forms() {
            assert_ne!(form.kind, v1::Kind::Unspecified, "{}", form.word);
            assert!(
                form.purpose.ends_with('.'),
                "{}: {}",
                form.word,
                form.purpose
            );
        }
        assert!(find("refusal").unwrap().is_system);
        assert!(find("acknowledgement").unwrap().needs_reply_to);
        assert!(find("withdrawal").unwrap().needs_supersedes);
        assert!(!find("official-letter").unwrap().needs_reply_to);
    }

    #[test]
    fn pictures_belong_to_kinds_there_are_or_will_be() {
        for (words, picture) in WORKFLOWS {
            assert!(!words.is_empty() && picture.ends_with('\n'));
        }
        assert!(workflow_of("handover-reply").unwrap().contains("Diagram"));
        assert!(workflow_of("refusal").is_none());
    }
}

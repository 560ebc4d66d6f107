//! What an answer takes over from the message that it answers.

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, ReflectMessage as _};
use serde_json::{Map, Value, json};

use super::{Form, of_body};
use crate::model::{body, json as form_json};
use crate::proto::v1;
use crate::proto::v1::body::Body;

/// The message that is answered, as the node holds it.
#[derive(Debug, Clone, Copy)]
pub struct Answered<'a> {
    /// The message.
    pub message: &'a v1::Message,
    /// Its body; `None` where it is withheld, or of a kind this version does not know.
    pub body: Option<&'a Body>,
}

/// Makes the kind's own part of an answer from the body answered.
type Prefill = fn(&Form, &Body) -> Option<Map<String, Value>>;

/// What kinds take over beyond the rule for all: kind of the answer, how. Where a kind is not here,
/// [`one_by_one`] serves.
const PREFILLS: &[(&str, Prefill)] = &[];

/// A part of a draft, for [`super::fill`]: links, handling and status of the message answered, its
/// offices swapped, and one element for each numbered element of it.
///
/// An own message is not answered but replaced or taken back, where the kind does that; its offices
/// stay as they are.
#[must_use]
pub fn prefill(form: &Form, answered: Answered<'_>) -> Value {
    let message = answered.message;
    let is_own = message.side() == v1::Side::Own;
    let mut draft = json!({
        "recipient": message.peer,
        "threadId": message.thread_id,
    });
    let link = if is_own && form.needs_supersedes {
        "supersedes"
    } else {
        "inReplyTo"
    };
    draft[link] = message.id.clone().into();
    if let Some(status) = known(message.status != 0, || message.status().as_str_name()) {
        draft["status"] = status;
    }
    if let Some(handling) = &message.handling {
        draft["handling"] = form_json::to_json(handling);
    }
    let Some(content) = answered.body else {
        return draft;
    };
    let own_part = PREFILLS
        .iter()
        .find(|(word, _)| *word == form.word)
        .map_or(one_by_one as Prefill, |(_, prefill)| *prefill);
    let mut kind = own_part(form, content).unwrap_or_default();
    if let Some(common) = body::common(content) {
        let (from, to) = if is_own {
            (&common.from_office, &common.to_office)
        } else {
            (&common.to_office, &common.from_office)
        };
        let offices: Map<String, Value> = [("fromOffice", from), ("toOffice", to)]
            .into_iter()
            .filter(|(_, office)| !office.is_empty())
            .map(|(field, office)| (field.to_owned(), office.as_str().into()))
            .collect();
        kind.insert("common".to_owned(), offices.into());
    }
    if let Some(of) = of_body(content) {
        kind.insert(
            "//".to_owned(),
            format!("Answers the {} {}.", of.word.replace('-', " "), message.id).into(),
        );
    }
    draft["body"] = json!({ &form.json_name: kind });
    draft
}

fn known(is_known: bool, name: impl FnOnce() -> &'static str) -> Option<Value> {
    is_known.then(|| name().into())
}

/// Where the message answered has a list of numbered elements and the answer has one too: an element
/// for each, with its number, and in a comment whom it is about.
fn one_by_one(form: &Form, content: &Body) -> Option<Map<String, Value>> {
    let answered = form_json::to_dynamic(&v1::Body {
        body: Some(content.clone()),
    });
    let (_, content) = answered.fields().next()?;
    let content = content.as_message()?;
    let theirs = content.descriptor().fields().find(is_numbered)?;
    let ours = form.message.fields().find(is_numbered)?;
    // The same list answers nothing: a request that follows another names its own.
    if element_name(&theirs) == element_name(&ours) {
        return None;
    }
    let list = content.get_field(&theirs);
    let elements: Vec<Value> = list
        .as_list()?
        .iter()
        .filter_map(|element| {
            let element = element.as_message()?;
            let number = element.get_field_by_name("number")?.as_u32()?;
            Some(json!({ "number": number, "//": label(element, number) }))
        })
        .collect();
    let mut kind = Map::new();
    kind.insert(ours.json_name().to_owned(), elements.into());
    Some(kind)
}

fn is_numbered(field: &FieldDescriptor) -> bool {
    let Kind::Message(element) = field.kind() else {
        return false;
    };
    let number = element.get_field_by_name("number");
    field.is_list() && number.is_some_and(|number| matches!(number.kind(), Kind::Uint32))
}

fn element_name(list: &FieldDescriptor) -> String {
    match list.kind() {
        Kind::Message(element) => element.full_name().to_owned(),
        _ => String::new(),
    }
}

/// `2: 李小示例, LI XIAOSHILI, 2011-09`: enough to see who is meant.
fn label(element: &DynamicMessage, number: u32) -> String {
    let mut parts = Vec::new();
    if let Some(name) = element.get_field_by_name("name")
        && let Some(name) = name.as_message()
    {
        for part in ["native", "transliteration"] {
            let part = name.get_field_by_name(part);
            parts.extend(part.and_then(|part| part.as_str().map(str::to_owned)));
        }
    }
    let born = element.get_field_by_name("birth_date");
    parts.extend(born.and_then(|born| born.as_str().map(str::to_owned)));
    parts.retain(|part| !part.is_empty());
    format!("{number}: {}", parts.join(", "))
}

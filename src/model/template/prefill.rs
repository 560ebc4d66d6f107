//! What an answer takes over from the message that it answers.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, ReflectMessage as _};
use serde_json::{Map, Value, json};

use super::{Form, of_body};
use crate::model::check::{Rule, rule_in};
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

/// What an answer takes over beyond the rule for all: kind of the answer, kind answered, how. Where the
/// two are not here, [`one_by_one`] serves.
const PREFILLS: &[(&str, &str, Prefill)] = &[
    // A counter-proposal begins with what was proposed.
    ("handover-schedule", "handover-schedule", all_of_it),
    ("meeting-proposal", "meeting-proposal", all_of_it),
    ("patrol-plan", "patrol-plan", all_of_it),
    ("handover-schedule", "handover-reply", those_accepted),
    ("handover-supplement", "handover-reply", those_asked_about),
    ("protection-decision", "handover-request", those_who_claim),
    (
        "protection-decision",
        "handover-supplement",
        those_who_claim,
    ),
];

/// A part of a draft, for [`super::fill`]: links, handling and status of the message answered, its
/// offices swapped, and one element for each numbered element of it.
///
/// An own message is replaced or taken back where the kind does that, and else only gives its case; its
/// offices stay as they are.
#[must_use]
pub fn prefill(form: &Form, answered: Answered<'_>) -> Value {
    let message = answered.message;
    let is_own = message.side() == v1::Side::Own;
    let mut draft = json!({
        "recipient": message.peer,
        "threadId": message.thread_id,
    });
    if is_own && form.needs_supersedes {
        draft["supersedes"] = message.id.clone().into();
    } else if !is_own || form.needs_reply_to {
        draft["inReplyTo"] = message.id.clone().into();
    }
    if let Some(status) = known(message.status != 0, || message.status().as_str_name()) {
        draft["status"] = status;
    }
    if let Some(handling) = &message.handling {
        draft["handling"] = form_json::to_json(handling);
    }
    let Some(content) = answered.body else {
        return draft;
    };
    let word = of_body(content).map_or("", |of| of.word.as_str());
    let own_part = PREFILLS
        .iter()
        .find(|(answer, answered, _)| *answer == form.word && *answered == word)
        .map_or(one_by_one as Prefill, |(_, _, prefill)| *prefill);
    let mut kind = own_part(form, content).unwrap_or_default();
    // What signs a message names it by its digest.
    if form.message.get_field_by_name("body_digest").is_some() {
        let digest = BASE64_STANDARD.encode(&message.body_digest);
        kind.insert("bodyDigest".to_owned(), digest.into());
    }
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
    let words = word.replace('-', " ");
    kind.insert(
        "//".to_owned(),
        format!("On the {words} {}.", message.id).into(),
    );
    draft["body"] = json!({ &form.json_name: kind });
    draft
}

fn known(is_known: bool, name: impl FnOnce() -> &'static str) -> Option<Value> {
    is_known.then(|| name().into())
}

/// Everything but the common part.
fn all_of_it(form: &Form, content: &Body) -> Option<Map<String, Value>> {
    let wrapper = form_json::to_json(&v1::Body {
        body: Some(content.clone()),
    });
    let mut kind = wrapper[&form.json_name].as_object()?.clone();
    kind.remove("common");
    Some(kind)
}

fn those_accepted(form: &Form, content: &Body) -> Option<Map<String, Value>> {
    of_outcome(form, content, v1::HandoverOutcome::Accepted)
}

fn those_asked_about(form: &Form, content: &Body) -> Option<Map<String, Value>> {
    of_outcome(form, content, v1::HandoverOutcome::InformationNeeded)
}

fn those_who_claim(form: &Form, content: &Body) -> Option<Map<String, Value>> {
    let persons = match content {
        Body::HandoverRequest(request) => &request.persons,
        Body::HandoverSupplement(supplement) => &supplement.persons,
        _ => return None,
    };
    let claims = |person: &&v1::HandoverPerson| {
        let screening = person.screening.as_ref();
        screening.is_some_and(|screening| screening.protection_claim)
    };
    let meant = persons.iter().filter(claims);
    numbered(form, meant.map(|person| (person.number, String::new())))
}

fn of_outcome(
    form: &Form,
    content: &Body,
    outcome: v1::HandoverOutcome,
) -> Option<Map<String, Value>> {
    let Body::HandoverReply(reply) = content else {
        return None;
    };
    let meant = reply
        .decisions
        .iter()
        .filter(|decision| decision.outcome() == outcome);
    numbered(form, meant.map(|decision| (decision.number, String::new())))
}

/// Where the message answered is on numbered persons and the answer is too: each of them, with whom it
/// is about in a comment.
fn one_by_one(form: &Form, content: &Body) -> Option<Map<String, Value>> {
    // A request that follows another numbers its own.
    if of_body(content).is_some_and(|of| of.word == form.word) {
        return None;
    }
    let answered = form_json::to_dynamic(&v1::Body {
        body: Some(content.clone()),
    });
    let (_, content) = answered.fields().next()?;
    let content = content.as_message()?;
    let fields = || content.descriptor().fields().collect::<Vec<_>>();
    if let Some(list) = fields().iter().find(|field| is_numbered(field)) {
        let list = content.get_field(list);
        let elements = list.as_list()?.iter().filter_map(|element| {
            let element = element.as_message()?;
            let number = element.get_field_by_name("number")?.as_u32()?;
            Some((number, label(element)))
        });
        return numbered(form, elements);
    }
    let numbers = content.get_field_by_name("numbers")?;
    let numbers = numbers
        .as_list()?
        .iter()
        .filter_map(prost_reflect::Value::as_u32);
    numbered(form, numbers.map(|number| (number, String::new())))
}

/// The part of the form that names persons by their numbers.
fn numbered(form: &Form, meant: impl Iterator<Item = (u32, String)>) -> Option<Map<String, Value>> {
    let ours = form.message.fields().find(is_numbered);
    let meant: Vec<(u32, String)> = meant.collect();
    let mut kind = Map::new();
    if meant.is_empty() {
        return None;
    }
    if let Some(ours) = ours {
        let elements: Vec<Value> = meant
            .into_iter()
            .map(|(number, label)| match label.as_str() {
                "" => json!({ "number": number }),
                label => json!({ "number": number, "//": format!("{number}: {label}") }),
            })
            .collect();
        // What may be left out is for the author to begin.
        if rule_in(form.kind, &ours) == Some(Rule::Required) {
            kind.insert(ours.json_name().to_owned(), elements.into());
        }
    } else if let Some(ours) = form.message.get_field_by_name("numbers") {
        let numbers: Vec<u32> = meant.into_iter().map(|(number, _)| number).collect();
        kind.insert(ours.json_name().to_owned(), numbers.into());
    }
    Some(kind)
}

fn is_numbered(field: &FieldDescriptor) -> bool {
    let Kind::Message(element) = field.kind() else {
        return false;
    };
    let number = element.get_field_by_name("number");
    field.is_list() && number.is_some_and(|number| matches!(number.kind(), Kind::Uint32))
}

/// `李小示例, LI XIAOSHILI, 2011-09`: enough to see who is meant.
fn label(element: &DynamicMessage) -> String {
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
    parts.join(", ")
}

//! Fills every field of a draft that takes any text with a marker of its own, by its descriptor: a field
//! that is added to the proto is filled as well, or the test that counts them says so.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use liaison::model::check::check_draft;
use liaison::proto::{self, v1};
use prost::Message as _;
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor,
    ReflectMessage as _, Value,
};

/// Fields of text that take no free text, and why. Nothing that could tell of a person fits into them,
/// or what fits is looked for as it is ([`KEPT`]).
const NO_MARKER: &[(&str, &str)] = &[
    ("Common.languages", "tags of languages"),
    ("Common.not_applicable", "names of fields of the form"),
    ("RosterEntry.languages", "tags of languages"),
    ("HandoverPerson.nationality", "one of a list of codes"),
    ("VerificationPerson.nationality", "one of a list of codes"),
    ("VerificationResult.nationality", "one of a list of codes"),
    ("TravelDocument.issuer", "one of a list of codes"),
    ("GateHours.opens", "a time of day"),
    ("GateHours.closes", "a time of day"),
    ("GateHours.time_zone", "name of a time zone"),
    ("Calendar.country", "one of a list of codes"),
    ("Calendar.time_zone", "name of a time zone"),
    ("CalendarDay.date", "a date that is public"),
    ("CountedLog.origin", "names of both nodes"),
    ("Figure.name", "one of a list of names"),
    ("Figure.side", "name of a node"),
    (
        "Place.gate",
        "a gate pair, in letters and digits; the sections beside it take text",
    ),
    ("GateNotice.gate", "a gate pair, in letters and digits"),
    ("Refusal.detail", "written by the program"),
    ("KeyChange.old_vkey", "a public key"),
    ("KeyChange.new_vkey", "a public key"),
    (
        "KeyChange.reason",
        "lies open on purpose: an administrator's line about a key",
    ),
    (
        "ErasureNotice.authority",
        "said where a body was erased; tested there",
    ),
];

/// Fields whose content is checked, so that the samples' own stays: it is looked for as it is.
const KEPT: [&str; 3] = [
    "HandoverPerson.birth_date",
    "VerificationPerson.birth_date",
    "TravelDocument.mrz",
];

/// What was filled in, and what to look for.
#[derive(Default)]
pub(super) struct Markers {
    count: usize,
    /// Needle by where it stands.
    pub(super) needles: BTreeMap<String, String>,
    pub(super) filled: BTreeSet<String>,
}

pub(super) fn pool() -> DescriptorPool {
    DescriptorPool::decode(proto::DESCRIPTORS).unwrap()
}

/// Message and field, without the package.
fn name_of(field: &FieldDescriptor) -> String {
    let name = field.full_name().strip_prefix("liaison.v1.");
    name.unwrap_or(field.full_name()).to_owned()
}

impl Markers {
    /// A marker: sixteen letters and digits that nobody else writes.
    pub(super) fn new_one(&mut self, place: &str) -> String {
        use sha2::{Digest as _, Sha256};
        self.count += 1;
        let digest = Sha256::digest(format!("{place} {}", self.count));
        let marker = format!("Mk{}", &hex::encode(digest)[..14]);
        let place = format!("{place} ({})", self.count);
        self.needles.insert(place, marker.clone());
        marker
    }

    /// The draft with a marker in every field of its body that takes one.
    pub(super) fn try_fill(&mut self, draft: &v1::Draft) -> Result<v1::Draft, String> {
        let descriptor = pool().get_message_by_name("liaison.v1.Draft").unwrap();
        let mut dynamic =
            DynamicMessage::decode(descriptor, draft.encode_to_vec().as_slice()).unwrap();
        let mut body = dynamic.get_field_by_name("body").unwrap().into_owned();
        self.message(body.as_message_mut().unwrap());
        dynamic.set_field_by_name("body", body);
        let mut filled = v1::Draft::decode(dynamic.encode_to_vec().as_slice()).unwrap();
        let content = filled.body.as_mut().and_then(|body| body.body.as_mut());
        let common = content.and_then(liaison::model::body::common_mut).unwrap();
        common.languages = ["vi", "zh-Hans"].map(str::to_owned).to_vec();
        settle(&mut filled)?;
        Ok(filled)
    }

    #[track_caller]
    pub(super) fn fill(&mut self, draft: &v1::Draft) -> v1::Draft {
        self.try_fill(draft).unwrap()
    }

    fn message(&mut self, message: &mut DynamicMessage) {
        let descriptor = message.descriptor();
        let has_mrz = descriptor.name() == "TravelDocument"
            && message
                .get_field_by_name("mrz")
                .is_some_and(|lines| lines.as_list().is_some_and(|lines| !lines.is_empty()));
        let person = matches!(descriptor.name(), "HandoverPerson" | "VerificationPerson");
        let is_claimant = person && claims(message);
        let is_read_by_machine = person && document_has_mrz(message);
        for field in descriptor.fields() {
            let name = name_of(&field);
            if is_claimant && IDENTITY.contains(&field.name()) {
                continue;
            }
            if has_mrz && field.name() == "number" {
                self.keep(&name, message.get_field(&field).as_str().unwrap());
                continue;
            }
            if KEPT.contains(&name.as_str()) {
                let value = message.get_field(&field).into_owned();
                let lines = value.as_list().map(<[Value]>::to_vec);
                for line in lines.unwrap_or_else(|| vec![value]) {
                    self.keep(&name, line.as_str().unwrap());
                }
                continue;
            }
            if NO_MARKER.iter().any(|(known, _)| *known == name) {
                continue;
            }
            // Of a text that is signed there is no reason why it is not.
            if name == "Countersignature.reason" && is_signed(message) {
                continue;
            }
            // A person is no sensor.
            if name == "CrossingAlert.sensor_id" && !message.has_field(&field) {
                continue;
            }
            // The machine-readable lines say the same name, in Latin letters.
            if is_read_by_machine && field.name() == "name" {
                let mut value = message.get_field(&field).into_owned();
                let marker = self.new_one("PersonName.native");
                let inner = value.as_message_mut().unwrap();
                inner.set_field_by_name("native", Value::String(marker));
                message.set_field(&field, value);
                continue;
            }
            self.field(message, &field, &name);
        }
    }

    fn field(&mut self, message: &mut DynamicMessage, field: &FieldDescriptor, name: &str) {
        match field.kind() {
            Kind::String if field.is_map() => unreachable!("maps are of texts"),
            Kind::String => {
                if field.containing_oneof().is_some() && !is_section(message) {
                    return;
                }
                let marker = self.new_one(name);
                self.filled.insert(name.to_owned());
                let marker = match name {
                    "Attachment.media_type" => format!("application/{marker}"),
                    "HazardNotice.cap_xml" => format!(
                        "<alert xmlns=\"urn:oasis:names:tc:emergency:cap:1.2\"><note>{marker}</note></alert>"
                    ),
                    _ => marker,
                };
                let value = Value::String(marker);
                let value = if field.is_list() {
                    Value::List(vec![value])
                } else {
                    value
                };
                message.set_field(field, value);
            }
            Kind::Message(inner) if inner.full_name() == "liaison.v1.LocalizedText" => {
                self.filled.insert("LocalizedText.texts".to_owned());
                self.filled.insert(name.to_owned());
                if field.is_list() {
                    let text = self.text(&inner, name);
                    message.set_field(field, Value::List(vec![text]));
                } else {
                    let text = self.text(&inner, name);
                    message.set_field(field, text);
                }
            }
            Kind::Message(inner) if inner.package_name() == "liaison.v1" => {
                if field.is_list() {
                    let mut list = message.get_field(field).into_owned();
                    let items = list.as_list_mut().unwrap();
                    let may_be_new = ["PersonName", "Officer"].contains(&inner.name());
                    if items.is_empty() && may_be_new {
                        items.push(Value::Message(DynamicMessage::new(inner)));
                    }
                    for item in items.iter_mut() {
                        self.message(item.as_message_mut().unwrap());
                    }
                    if !items.is_empty() {
                        message.set_field(field, list);
                    }
                } else if inner.name() == "Place" && field.name() == "place" {
                    let mut place = DynamicMessage::new(inner);
                    place.set_field_by_name("section", Value::String("s".to_owned()));
                    self.message(&mut place);
                    message.set_field(field, Value::Message(place));
                } else if message.has_field(field) || inner.name() == "Officer" {
                    let mut value = message.get_field(field).into_owned();
                    self.message(value.as_message_mut().unwrap());
                    message.set_field(field, value);
                }
            }
            _ => {}
        }
    }

    fn text(&mut self, text: &MessageDescriptor, name: &str) -> Value {
        let mut message = DynamicMessage::new(text.clone());
        let texts: HashMap<MapKey, Value> = ["vi", "zh-Hans"]
            .map(|tag| {
                let marker = self.new_one(&format!("{name}[{tag}]"));
                (MapKey::String(tag.to_owned()), Value::String(marker))
            })
            .into();
        message.set_field_by_name("texts", Value::Map(texts));
        Value::Message(message)
    }

    fn keep(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.filled.insert(name.to_owned());
            // A year is not enough to be told from what else is there.
            if value.len() >= 9 {
                self.needles
                    .insert(format!("{name} {value}"), value.to_owned());
            }
        }
    }

    /// Every field of text of every body that has neither a marker nor a reason.
    pub(super) fn forgotten(&self) -> Vec<String> {
        let mut open = vec![pool().get_message_by_name("liaison.v1.Body").unwrap()];
        let mut seen = BTreeSet::new();
        let mut fields = BTreeSet::new();
        while let Some(message) = open.pop() {
            if !seen.insert(message.full_name().to_owned()) {
                continue;
            }
            for field in message.fields() {
                match field.kind() {
                    Kind::String => {
                        fields.insert(name_of(&field));
                    }
                    Kind::Message(inner) if inner.full_name() == "liaison.v1.LocalizedText" => {
                        fields.insert(name_of(&field));
                    }
                    Kind::Message(inner) if !inner.is_map_entry() => open.push(inner),
                    _ => {}
                }
            }
        }
        for (known, _) in NO_MARKER {
            assert!(fields.contains(*known), "{known} is no field of text");
        }
        let is_known = |name: &String| {
            self.filled.contains(name) || NO_MARKER.iter().any(|(known, _)| known == name)
        };
        fields.into_iter().filter(|name| !is_known(name)).collect()
    }
}

/// What the form of somebody who claims protection does not say.
const IDENTITY: [&str; 9] = [
    "name",
    "earlier_names",
    "birth_date",
    "birth_place",
    "nationality",
    "parents",
    "last_address",
    "document",
    "photo_sha256",
];

fn claims(person: &DynamicMessage) -> bool {
    let screening = person.get_field_by_name("screening");
    let claim = screening
        .as_ref()
        .and_then(|s| s.as_message())
        .and_then(|s| {
            let claim = s.get_field_by_name("protection_claim")?;
            claim.as_bool()
        });
    claim.unwrap_or(false)
}

fn document_has_mrz(person: &DynamicMessage) -> bool {
    let document = person.get_field_by_name("document");
    let lines = document
        .as_ref()
        .and_then(|d| d.as_message())
        .and_then(|d| {
            let lines = d.get_field_by_name("mrz")?;
            lines.as_list().map(<[Value]>::len)
        });
    lines.unwrap_or(0) > 0
}

fn is_signed(countersignature: &DynamicMessage) -> bool {
    let stance = countersignature.get_field_by_name("stance");
    stance.and_then(|stance| stance.as_enum_number()) == Some(1)
}

fn is_section(place: &DynamicMessage) -> bool {
    place.has_field_by_name("section")
}

/// Says of each field whether it is not applicable, as the check wants it.
fn settle(draft: &mut v1::Draft) -> Result<(), String> {
    for _ in 0..200 {
        let Err(faults) = check_draft(draft) else {
            return Ok(());
        };
        let common = draft
            .body
            .as_mut()
            .and_then(|body| body.body.as_mut())
            .and_then(liaison::model::body::common_mut)
            .unwrap();
        let mut changed = false;
        for fault in &faults {
            let path = fault.field.splitn(3, '.').nth(2).unwrap_or_default();
            if let Some(at) = path.strip_prefix("common.notApplicable[") {
                let at: usize = at.trim_end_matches(']').parse().unwrap();
                common.not_applicable.remove(at);
                changed = true;
                break;
            }
            if fault.reason.contains("not applicable") {
                common.not_applicable.push(path.to_owned());
                changed = true;
                break;
            }
        }
        if !changed {
            return Err(format!("{faults:#?}"));
        }
    }
    Err(format!("{:#?}", check_draft(draft)))
}

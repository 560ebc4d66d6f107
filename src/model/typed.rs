//! A draft as a person typed it: proto3 JSON with comments, and every fault with its place.
//!
//! [`super::json::from_json`] ends at the first mistake, as programs want it. Here the text is read to its
//! end: what cannot be read is left out and told, and the rest is judged by [`super::check`].
//!
//! What a person may write that is no proto3 JSON:
//!
//! - comments and a comma too many, see [`super::jsonc`];
//! - `""` for what is not filled in yet, whatever the field holds; a part of which nothing is filled in is
//!   blank as a whole, if it may be;
//! - `"not applicable"` in place of a field's value, which lists the field in `common.notApplicable`;
//! - no `common.languages`: they are those of the texts.

mod tree;

use std::collections::{HashMap, HashSet};

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value};
use serde::de::IgnoredAny;

use self::tree::Node;
use super::check::{FieldFault, NEITHER, Rule, check_draft, rule_in, with_defaults};
use super::json::{self, JsonError};
use super::{jsonc, template, text};
use crate::limits;
use crate::proto::v1;

/// What stands in place of a value that does not apply.
pub const NOT_APPLICABLE: &str = "not applicable";

/// A draft as far as it could be read, and what was wrong with the text.
#[derive(Debug)]
pub struct Typed {
    /// The draft without what could not be read.
    pub draft: v1::Draft,
    faults: Vec<FieldFault>,
    /// JSON path → line and column, of everything in the text.
    places: HashMap<String, (usize, usize)>,
    /// Fields that say in their own place that they are not applicable, below the kind.
    marked: Vec<String>,
    /// How many the list itself names; the marked ones come behind.
    listed: usize,
}

/// A fault and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// What is wrong.
    pub fault: FieldFault,
    /// Line from 1, and column from 1 in bytes; `None` if the field is not in the text.
    pub place: Option<(usize, usize)>,
}

/// Reads the text of a draft.
///
/// # Errors
/// Text over the limit of a request, nested too deeply, or that is no JSON even without comments.
pub fn read(text: &str) -> Result<Typed, JsonError> {
    if text.len() > limits::DESK_MESSAGE_BYTES_MAX {
        return Err(JsonError::TooLarge { bytes: text.len() });
    }
    let plain = jsonc::strip(text)?;
    serde_json::from_str::<IgnoredAny>(&plain).map_err(|error| json::syntax(&error))?;
    let lines = Lines::of(&plain);
    let root = tree::build(&plain).map_err(|at| {
        let (line, column) = lines.place(at);
        JsonError::Syntax {
            line,
            column,
            reason: format!(
                "more than {} objects and lists within one another",
                limits::DRAFT_DEPTH_MAX
            ),
        }
    })?;
    let mut reader = Reader {
        lines,
        kind: v1::Kind::Unspecified,
        below: String::new(),
        faults: Vec::new(),
        places: HashMap::new(),
        marked: Vec::new(),
        languages: Vec::new(),
    };
    let descriptor = json::descriptor_of::<v1::Draft>();
    let mut message = reader.message(&descriptor, &root, "");
    let listed = reader.complete(&mut message);
    Ok(Typed {
        draft: message.transcode_to()?,
        faults: reader.faults,
        places: reader.places,
        marked: reader.marked,
        listed,
    })
}

impl Typed {
    /// The draft with its defaults, if it may be sent.
    ///
    /// # Errors
    /// Every fault, of the text and of what it says, in the order of the text; those of fields that are
    /// not in it come last.
    pub fn judge(self) -> Result<v1::Draft, Vec<Located>> {
        let draft = with_defaults(self.draft.clone());
        let said = check_draft(&draft).err().unwrap_or_default();
        // What could not be read is missing to the rules; that was told once.
        let told = |field: &str| {
            let touches = |inner: &str, outer: &str| {
                inner
                    .strip_prefix(outer)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
            };
            self.faults
                .iter()
                .any(|fault| touches(field, &fault.field) || touches(&fault.field, field))
        };
        let said: Vec<FieldFault> = said
            .into_iter()
            .filter(|fault| !told(&fault.field))
            .map(|fault| self.as_typed(fault))
            .collect();
        let mut all: Vec<Located> = self
            .faults
            .iter()
            .cloned()
            .chain(said)
            .map(|fault| Located {
                place: self.places.get(&fault.field).copied(),
                fault,
            })
            .collect();
        if all.is_empty() {
            return Ok(draft);
        }
        all.sort_by_key(|located| located.place.unwrap_or((usize::MAX, 0)));
        Err(all)
    }

    /// The fault in the words of the text: marks stand at their fields, not in the list.
    fn as_typed(&self, mut fault: FieldFault) -> FieldFault {
        if fault.reason == NEITHER {
            fault.remedy = format!("fill it in, or write \"{NOT_APPLICABLE}\" in its place");
        }
        let Some((body, index)) = fault.field.split_once(".common.notApplicable[") else {
            return fault;
        };
        let index: Option<usize> = index.strip_suffix(']').and_then(|index| index.parse().ok());
        if let Some(path) = index
            .and_then(|index| index.checked_sub(self.listed))
            .and_then(|index| self.marked.get(index))
        {
            fault.field = format!("{body}.{path}");
            "fill it in".clone_into(&mut fault.remedy);
        }
        fault
    }
}

struct Reader {
    lines: Lines,
    kind: v1::Kind,
    /// The path of the kind's message, `body.handoverRequest`.
    below: String,
    faults: Vec<FieldFault>,
    places: HashMap<String, (usize, usize)>,
    marked: Vec<String>,
    languages: Vec<String>,
}

impl Reader {
    fn fault(&mut self, field: &str, reason: impl Into<String>, remedy: impl Into<String>) {
        if self.faults.len() < limits::FAULTS_MAX {
            self.faults.push(FieldFault {
                field: if field.is_empty() { "(top)" } else { field }.to_owned(),
                reason: reason.into(),
                remedy: remedy.into(),
            });
        }
    }

    fn place(&mut self, path: &str, at: usize) {
        let place = self.lines.place(at);
        self.places.insert(path.to_owned(), place);
    }

    fn message(
        &mut self,
        descriptor: &MessageDescriptor,
        node: &Node<'_>,
        path: &str,
    ) -> DynamicMessage {
        let mut message = DynamicMessage::new(descriptor.clone());
        let tree::Value::Object(members) = &node.value else {
            self.fault(path, "is no object", json::message_remedy(descriptor));
            return message;
        };
        let mut seen = HashSet::new();
        for member in members {
            let known = descriptor
                .get_field_by_json_name(&member.key)
                .or_else(|| descriptor.get_field_by_name(&member.key));
            let name = match &known {
                Some(field) => field.json_name().to_owned(),
                None => text::excerpt(&member.key, 80),
            };
            let path = match path {
                "" => name,
                _ => format!("{path}.{name}"),
            };
            let is_new = seen.insert(path.clone());
            let at = if known.is_some() && is_new {
                member.node.at
            } else {
                member.at
            };
            self.place(&path, at);
            match known {
                None => {
                    let remedy = json::known_fields(descriptor, Some(&member.key));
                    self.fault(&path, "there is no such field", remedy);
                }
                Some(_) if !is_new => {
                    self.fault(&path, "the field is given twice", "keep one of the two");
                }
                Some(field) => self.field(&mut message, &field, &member.node, &path),
            }
        }
        message
    }

    fn field(
        &mut self,
        message: &mut DynamicMessage,
        field: &FieldDescriptor,
        node: &Node<'_>,
        path: &str,
    ) {
        let is_wrapper = field.parent_message().full_name() == "liaison.v1.Body";
        if is_wrapper && self.below.is_empty() && !node.is_null() {
            path.clone_into(&mut self.below);
            self.kind = template::kind_of_field(field);
        }
        if node.is_null() || self.is_left_blank(field, node, is_wrapper) {
            return;
        }
        if let Some(below) = self.mark(field, node, path) {
            self.marked.push(below);
            return;
        }
        if let Some(oneof) = field.containing_oneof()
            && let Some(other) = oneof.fields().find(|other| message.has_field(other))
        {
            let reason = format!("{} is given as well", other.json_name());
            self.fault(
                path,
                reason,
                "keep one of these fields and remove the others",
            );
            return;
        }
        if let Some(value) = self.value(field, node, path) {
            message.set_field(field, value);
        }
    }

    /// Whether nothing is filled in, and the rules are to judge that.
    fn is_left_blank(&self, field: &FieldDescriptor, node: &Node<'_>, is_wrapper: bool) -> bool {
        if is_wrapper || field.name() == "body" || field.is_map() || !node.is_blank() {
            return false;
        }
        let is_whole = field.is_list() || matches!(field.kind(), Kind::Message(_) | Kind::Enum(_));
        match node.value {
            tree::Value::Leaf(_) => is_whole || field.supports_presence() && !is_text(field),
            _ if rule_in(self.kind, field) != Some(Rule::Required) => is_whole,
            // What must be filled in is told part by part, where its parts are asked for.
            _ => match field.kind() {
                Kind::Message(message) => {
                    let is_free = |part| rule_in(self.kind, &part) == Some(Rule::Free);
                    !field.is_list() && message.fields().all(is_free)
                }
                _ => false,
            },
        }
    }

    /// The path below the kind of a field that is said to be not applicable.
    fn mark(&self, field: &FieldDescriptor, node: &Node<'_>, path: &str) -> Option<String> {
        let below = path.strip_prefix(self.below.as_str())?.strip_prefix('.')?;
        let is_said = node
            .text()
            .is_some_and(|text| text.trim().eq_ignore_ascii_case(NOT_APPLICABLE));
        // The parts of a text or a place have no rule: there it is a text like any other.
        (is_said && !self.below.is_empty() && rule_in(self.kind, field).is_some())
            .then(|| below.to_owned())
    }

    fn value(&mut self, field: &FieldDescriptor, node: &Node<'_>, path: &str) -> Option<Value> {
        if field.is_map() {
            return self.map(node, path);
        }
        if !field.is_list() {
            return self.single(field, node, path);
        }
        let tree::Value::Array(items) = &node.value else {
            self.fault(path, "is no list", "give a list in [ ]");
            return None;
        };
        let mut values = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let path = format!("{path}[{index}]");
            self.place(&path, item.at);
            // The others keep their numbers whatever becomes of one.
            let value = self.single(field, item, &path);
            values.push(value.unwrap_or_else(|| Value::default_value(&field.kind())));
        }
        Some(Value::List(values))
    }

    fn map(&mut self, node: &Node<'_>, path: &str) -> Option<Value> {
        let tree::Value::Object(members) = &node.value else {
            let remedy = "give an object such as {\"vi\": \"…\", \"zh-Hans\": \"…\"}";
            self.fault(path, "is no object", remedy);
            return None;
        };
        let mut entries = HashMap::new();
        let mut seen = HashSet::new();
        for member in members {
            let path = format!("{path}[\"{}\"]", text::excerpt(&member.key, 40));
            let key = MapKey::String(member.key.clone());
            if !seen.insert(member.key.as_str()) {
                self.place(&path, member.at);
                self.fault(&path, "the language is given twice", "keep one of the two");
                continue;
            }
            self.place(&path, member.node.at);
            match member.node.text() {
                Some(text) => {
                    if !self.languages.contains(&member.key) {
                        self.languages.push(member.key.clone());
                    }
                    entries.insert(key, Value::String(text));
                }
                None => self.fault(&path, "is no text", json::scalar_remedy(&Kind::String)),
            }
        }
        Some(Value::Map(entries))
    }

    fn single(&mut self, field: &FieldDescriptor, node: &Node<'_>, path: &str) -> Option<Value> {
        let kind = field.kind();
        if let Kind::Message(descriptor) = &kind
            && descriptor.full_name() != json::TIMESTAMP
        {
            return Some(Value::Message(self.message(descriptor, node, path)));
        }
        let remedy = match &kind {
            Kind::Message(descriptor) => json::message_remedy(descriptor),
            other => json::scalar_remedy(other),
        };
        let tree::Value::Leaf(raw) = node.value else {
            self.fault(path, "is no single value", remedy);
            return None;
        };
        let holds_text = matches!(kind, Kind::String | Kind::Bytes | Kind::Enum(_));
        if !holds_text && node.is_blank() {
            let remedy = match kind {
                Kind::Bool | Kind::Message(_) => remedy,
                _ => format!("{remedy}; 0 is an answer too"),
            };
            self.fault(path, "is blank", remedy);
            return None;
        }
        match scalar(field, raw) {
            Ok(value) => Some(value),
            Err(reason) => {
                self.fault(path, reason, remedy);
                None
            }
        }
    }

    /// Adds to the common part what was said elsewhere in the text; returns how long the list of what
    /// is not applicable was.
    fn complete(&mut self, draft: &mut DynamicMessage) -> usize {
        let common = set_part(draft, "body")
            .and_then(|body| body.fields_mut().next())
            .and_then(|(_, value)| value.as_message_mut())
            .and_then(|kind| set_part(kind, "common"));
        let Some(common) = common else { return 0 };
        if let Some(Value::List(languages)) = common.get_field_by_name_mut("languages")
            && languages.is_empty()
        {
            languages.extend(self.languages.drain(..).map(Value::String));
        }
        let Some(Value::List(list)) = common.get_field_by_name_mut("not_applicable") else {
            return 0;
        };
        self.marked
            .retain(|path| !list.iter().any(|listed| listed.as_str() == Some(path)));
        let listed = list.len();
        list.extend(self.marked.iter().cloned().map(Value::String));
        listed
    }
}

/// A part of a message, if it is set: asking for it would set it.
fn set_part<'a>(message: &'a mut DynamicMessage, name: &str) -> Option<&'a mut DynamicMessage> {
    if !message.has_field_by_name(name) {
        return None;
    }
    message.get_field_by_name_mut(name)?.as_message_mut()
}

fn is_text(field: &FieldDescriptor) -> bool {
    matches!(field.kind(), Kind::String | Kind::Bytes)
}

/// Reads one value as proto3 JSON does, by reading a message that has nothing else.
fn scalar(field: &FieldDescriptor, raw: &str) -> Result<Value, String> {
    let name = field.json_name();
    let json = if field.is_list() {
        format!("{{\"{name}\":[{raw}]}}")
    } else {
        format!("{{\"{name}\":{raw}}}")
    };
    let mut reader = serde_json::Deserializer::from_str(&json);
    let message = DynamicMessage::deserialize(field.parent_message().clone(), &mut reader)
        .map_err(|error| json::reason_of(&error))?;
    let value = message.get_field(field).into_owned();
    match value {
        Value::List(items) => items.into_iter().next().ok_or_else(|| "is null".to_owned()),
        single => Ok(single),
    }
}

/// Where lines begin.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        let starts = text.match_indices('\n').map(|(at, _)| at + 1);
        Self(std::iter::once(0).chain(starts).collect())
    }

    fn place(&self, at: usize) -> (usize, usize) {
        let line = self.0.partition_point(|start| *start <= at);
        (line, at - self.0[line.saturating_sub(1)] + 1)
    }
}

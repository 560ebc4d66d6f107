//! No blanks in forms: a field is filled in, or said to be not applicable.
//!
//! [`RULES`] has a line for every field of every form. A field added to the proto without one
//! fails a test here: somebody must decide.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::LazyLock;

use prost_reflect::FieldDescriptor;

use super::{Faults, languages, screening};
use crate::model::shape::{Field, Message, Shape, Value};
use crate::model::{body, text};
use crate::proto::v1;
use crate::proto::v1::body::Body;

/// What is said of a field that is blank and should not be, where it may also be not applicable.
pub(crate) const NEITHER: &str = "is neither filled in nor said to be not applicable";

/// What may be left blank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Is filled in.
    Required,
    /// Is filled in, or listed in `common.notApplicable`.
    OrNotApplicable,
    /// May be blank without a word.
    Free,
    /// A number or a yes or no: zero and no are answers, so it is never blank.
    Answered,
}

use Rule::{Answered, Free, OrNotApplicable as OrNot, Required};

/// Message, field, rule. Places, times and localized texts are filled in as a whole.
const RULES: &[(&str, &[(&str, Rule)])] = &[
    (
        "Common",
        &[
            ("from_office", Required),
            ("to_office", Required),
            ("legal_basis", Free),
            ("languages", Free),
            ("attachments", Free),
            ("precedence_reason", Free),
            ("not_applicable", Free),
        ],
    ),
    (
        "Attachment",
        &[
            ("name", Required),
            ("media_type", Required),
            ("size", Answered),
            ("sha256", Required),
            ("description", Free),
        ],
    ),
    (
        "Officer",
        &[
            ("name", Required),
            ("rank", Required),
            ("office", Required),
            ("phone", Free),
        ],
    ),
    (
        "CrossingAlert",
        &[
            ("common", Required),
            ("incident_type", Required),
            ("occurred_at", Required),
            ("place", Required),
            ("persons", Answered),
            ("vehicles", Answered),
            ("boats", Answered),
            ("direction", Required),
            ("means", OrNot),
            ("source_grade", Required),
            ("information_grade", Required),
            ("sensor_id", Free),
            ("sensor_confidence_percent", Answered),
            ("description", OrNot),
            ("request", OrNot),
        ],
    ),
    (
        "HandoverRequest",
        &[
            ("common", Required),
            ("persons", Required),
            ("circumstances", Required),
            ("evidence", Required),
            ("proposed_at", OrNot),
            ("proposed_gate", OrNot),
            ("transport", OrNot),
            ("escorts", OrNot),
        ],
    ),
    (
        "HandoverPerson",
        &[
            ("number", Answered),
            ("name", Required),
            ("earlier_names", OrNot),
            ("birth_date", OrNot),
            ("birth_place", OrNot),
            ("sex", OrNot),
            ("nationality", Required),
            ("parents", OrNot),
            ("last_address", OrNot),
            ("document", OrNot),
            ("photo_sha256", OrNot),
            ("care_needs", OrNot),
            ("medical_needs", OrNot),
            ("screening", Required),
            ("route", Required),
        ],
    ),
    // One of the two at least: see manifest.
    ("PersonName", &[("native", Free), ("transliteration", Free)]),
    (
        "TravelDocument",
        &[
            ("type", Required),
            ("number", Required),
            ("issuer", Required),
            ("mrz", OrNot),
        ],
    ),
    (
        "ProtectionScreening",
        &[
            ("carried_out", Answered),
            ("minor", Answered),
            ("unaccompanied", Answered),
            ("pregnant", Answered),
            ("trafficking_indicator", Answered),
            ("protection_claim", Answered),
            ("family_numbers", Free),
            ("receiving_guardian", Free),
        ],
    ),
    (
        "HandoverReply",
        &[
            ("common", Required),
            ("decisions", Required),
            ("remark", OrNot),
            ("decided_by", Required),
        ],
    ),
    // By outcome: see answer.
    (
        "HandoverDecision",
        &[
            ("number", Answered),
            ("outcome", Required),
            ("valid_until", Free),
            ("reason", Free),
        ],
    ),
    (
        "OfficialLetter",
        &[
            ("common", Required),
            ("letter_number", Required),
            ("subject", Required),
            ("text", Required),
            ("signatory", Required),
            ("reply_by", OrNot),
            ("place", OrNot),
        ],
    ),
    (
        "Acknowledgement",
        &[
            ("common", Required),
            ("officer", Required),
            ("acknowledged_at", Required),
            ("remark", Free),
        ],
    ),
    ("Withdrawal", &[("common", Required), ("reason", Required)]),
    (
        "CaseNotice",
        &[
            ("common", Required),
            ("category", Required),
            ("from", Required),
            ("to", Required),
            ("place", OrNot),
            ("cases", Answered),
            ("persons", Answered),
            ("suspects", Answered),
            ("prosecutions", Answered),
            ("description", OrNot),
            ("request", OrNot),
        ],
    ),
    (
        "VerificationRequest",
        &[
            ("common", Required),
            ("persons", Required),
            ("circumstances", Required),
        ],
    ),
    (
        "VerificationPerson",
        &[
            ("number", Answered),
            ("name", Required),
            ("earlier_names", OrNot),
            ("birth_date", OrNot),
            ("birth_place", OrNot),
            ("sex", OrNot),
            ("nationality", OrNot),
            ("parents", OrNot),
            ("last_address", OrNot),
            ("document", OrNot),
            ("photo_sha256", OrNot),
            ("question", OrNot),
            ("claims_no_protection", Answered),
        ],
    ),
    (
        "VerificationReply",
        &[
            ("common", Required),
            ("results", Required),
            ("remark", OrNot),
            ("decided_by", Required),
        ],
    ),
    (
        "VerificationResult",
        &[
            ("number", Answered),
            ("outcome", Required),
            ("nationality", Free),
            ("detail", Free),
        ],
    ),
    (
        "DeadlineExtension",
        &[("common", Required), ("reason", Required)],
    ),
    (
        "HandoverSupplement",
        &[
            ("common", Required),
            ("persons", Required),
            ("statement", Required),
        ],
    ),
    (
        "HandoverSchedule",
        &[
            ("common", Required),
            ("numbers", Required),
            ("scheduled_at", Required),
            ("gate", Required),
            ("transport", OrNot),
            ("escorts", OrNot),
            ("short_notice_reason", Free),
        ],
    ),
    (
        "HandoverRecord",
        &[
            ("common", Required),
            ("handed_over_at", Required),
            ("gate", Required),
            ("given_by", Required),
            ("received_by", Required),
            ("persons", Required),
            ("is_return", Answered),
            ("remark", OrNot),
        ],
    ),
    (
        "HandedOverPerson",
        &[
            ("number", Answered),
            ("condition", Required),
            ("belongings", Free),
            ("receiving_guardian", Free),
            ("victim_authority", Free),
        ],
    ),
    (
        "ProtectionDecision",
        &[
            ("common", Required),
            ("numbers", Required),
            ("authority", Required),
            ("decision_number", Required),
            ("decided_at", Required),
            ("outcome", Required),
            ("remark", OrNot),
        ],
    ),
    (
        "HotlineCall",
        &[
            ("common", Required),
            ("caller", Required),
            ("called", Required),
            ("started_at", Required),
            ("duration_seconds", Answered),
            ("subject", Required),
            ("summary", Required),
        ],
    ),
    (
        "Response",
        &[
            ("common", Required),
            ("stance", Required),
            ("statement", Free),
            ("officer", Required),
        ],
    ),
    (
        "MeetingProposal",
        &[
            ("common", Required),
            ("level", Required),
            ("starts_at", Required),
            ("place", Required),
            ("agenda", Required),
            ("participants", OrNot),
        ],
    ),
    (
        "MeetingMinutes",
        &[
            ("common", Required),
            ("level", Required),
            ("started_at", Required),
            ("ended_at", Required),
            ("place", Required),
            ("participants", Required),
            ("text", Required),
            ("decisions", Free),
        ],
    ),
    (
        "Countersignature",
        &[
            ("common", Required),
            ("body_digest", Required),
            ("officer", Required),
            ("stance", Required),
            ("disputed", Free),
            ("reason", Free),
        ],
    ),
    (
        "DisputedPerson",
        &[("number", Answered), ("reason", Required)],
    ),
    (
        "PatrolPlan",
        &[
            ("common", Required),
            ("type", Required),
            ("markers", Required),
            ("starts_at", Required),
            ("ends_at", Required),
            ("teams", Answered),
            ("officers", Answered),
            ("meeting_point", OrNot),
            ("purpose", OrNot),
        ],
    ),
    (
        "PatrolReport",
        &[
            ("common", Required),
            ("started_at", Required),
            ("ended_at", Required),
            ("markers", Required),
            ("teams", Answered),
            ("officers", Answered),
            ("findings", Required),
        ],
    ),
    ("MarkerRange", &[("first", Answered), ("last", Answered)]),
    (
        "GateNotice",
        &[
            ("common", Required),
            ("gate", Required),
            ("status", Required),
            ("hours", OrNot),
            ("traffic", Required),
            ("valid_from", Required),
            ("valid_until", OrNot),
            ("reason", OrNot),
        ],
    ),
    (
        "GateHours",
        &[
            ("opens", Required),
            ("closes", Required),
            ("time_zone", Required),
            ("weekdays", Free),
        ],
    ),
    (
        "WorksNotice",
        &[
            ("common", Required),
            ("type", Required),
            ("place", Required),
            ("starts_at", Required),
            ("ends_at", Required),
            ("distance_metres", Answered),
            ("description", Required),
            ("consent_asked", Answered),
        ],
    ),
    (
        "MarkerReport",
        &[
            ("common", Required),
            ("marker", Answered),
            ("condition", Required),
            ("observed_at", Required),
            ("description", Required),
            ("is_minutes", Answered),
        ],
    ),
    (
        "HazardNotice",
        &[
            ("common", Required),
            ("type", Required),
            ("place", Required),
            ("onset_at", Required),
            ("description", Required),
            ("help_asked", OrNot),
            ("cap_xml", Free),
            ("cap_sha256", Free),
        ],
    ),
    (
        "ActivityReport",
        &[
            ("common", Required),
            ("type", Required),
            ("from", Required),
            ("to", Required),
            ("place", OrNot),
            ("events", Answered),
            ("participants", Answered),
            ("description", OrNot),
        ],
    ),
    (
        "ExerciseNotice",
        &[
            ("common", Required),
            ("subject", Required),
            ("starts_at", Required),
            ("ends_at", Required),
            ("place", Required),
            ("description", OrNot),
            ("officers", Answered),
        ],
    ),
    (
        "PeriodReport",
        &[
            ("common", Required),
            ("from", Required),
            ("to", Required),
            ("logs", Required),
            ("figures", Required),
        ],
    ),
    (
        "CountedLog",
        &[("origin", Required), ("size", Answered), ("root", Required)],
    ),
    (
        "Figure",
        &[("name", Required), ("side", Free), ("value", Answered)],
    ),
    (
        "Calendar",
        &[
            ("common", Required),
            ("year", Answered),
            ("version", Answered),
            ("country", Required),
            ("time_zone", Required),
            ("days_off", Required),
            ("working_days", Free),
            ("source", Required),
            ("sample", Answered),
            ("authority", Required),
        ],
    ),
    ("CalendarDay", &[("date", Required), ("name", Free)]),
    (
        "Roster",
        &[
            ("common", Required),
            ("version", Answered),
            ("valid_from", Required),
            ("valid_until", Required),
            ("entries", Required),
        ],
    ),
    (
        "RosterEntry",
        &[
            ("officer", Required),
            ("role", Required),
            ("languages", Required),
            ("hours", Required),
        ],
    ),
    (
        "Closure",
        &[
            ("common", Required),
            ("outcome", Required),
            ("numbers", Free),
            ("statement", OrNot),
        ],
    ),
];

/// Messages that are filled in as a whole.
const WHOLE: [&str; 3] = [
    "google.protobuf.Timestamp",
    "liaison.v1.LocalizedText",
    "liaison.v1.Place",
];

/// The kind's message in a draft.
pub(super) fn message_of<'a>(draft: &'a Message<'a>) -> Option<&'a Message<'a>> {
    let Some(Value::Message(wrapper)) = draft.get("body") else {
        return None;
    };
    // The wrapper has exactly one field set.
    match wrapper.set.first() {
        Some((_, Value::Message(message))) => Some(message),
        _ => None,
    }
}

/// Checks a body and the fields that are set in its message.
pub(super) fn check(content: &Body, message: &Message<'_>, at: &str, faults: &mut Faults) {
    let listed = body::common(content).map_or(&[][..], |common| &common.not_applicable);
    let mut form = Form {
        at,
        kind: body::kind_of(content),
        listed: HashMap::new(),
        lengths: 0,
        path: String::new(),
        faults,
    };
    for (index, path) in listed.iter().enumerate() {
        form.lengths |= length_bit(path);
        if form.listed.insert(path, (index, false)).is_some() {
            form.refuse_listed(index, path, "is listed twice", "remove one of the two");
        }
    }
    form.message(message);
    form.finish();
}

fn length_bit(path: &str) -> u64 {
    1 << (path.len() % 64)
}

struct Form<'a> {
    at: &'a str,
    kind: v1::Kind,
    /// Path below the kind's message → index in the list, and whether such a field was met.
    listed: HashMap<&'a str, (usize, bool)>,
    /// [`length_bit`] of each of them: most fields are of another length, and need not be looked up.
    lengths: u64,
    /// Of the field at which the check is, below the kind's message.
    path: String,
    faults: &'a mut Faults,
}

impl Form<'_> {
    fn message(&mut self, message: &Message<'_>) {
        let rules = &RULED[message.shape.at];
        // What a claimant's form does not say, it may not say.
        let withholds = screening::is_claimant(message);
        let above = self.path.len();
        let mut set = message.set.iter().peekable();
        for (place, field) in message.shape.fields.iter().enumerate() {
            if above > 0 {
                self.path.push('.');
            }
            self.path.push_str(&field.json_name);
            let rule = if withholds && screening::is_withheld(field) {
                Free
            } else {
                rules.of(self.kind, place)
            };
            let value = set.next_if(|(at, _)| *at == place).map(|(_, value)| value);
            self.field(value, rule);
            self.path.truncate(above);
        }
    }

    fn field(&mut self, value: Option<&Value<'_>>, rule: Rule) {
        let filled = value.filter(|value| is_filled(value));
        let may_be_listed = self.lengths & length_bit(&self.path) != 0;
        if may_be_listed && let Some((index, met)) = self.listed.get_mut(self.path.as_str()) {
            *met = true;
            let index = *index;
            self.judge_listed(index, rule, filled.is_some());
        } else if filled.is_none() {
            self.judge_blank(rule);
        }
        match filled {
            Some(Value::Message(inner)) => self.inner(inner, rule),
            Some(Value::List(items)) => {
                let above = self.path.len();
                for (index, item) in items.iter().enumerate() {
                    // Writing to a String cannot fail.
                    let _ = write!(self.path, "[{index}]");
                    self.element(item, rule);
                    self.path.truncate(above);
                }
            }
            _ => {}
        }
    }

    fn inner(&mut self, inner: &Message<'_>, rule: Rule) {
        if !RULED[inner.shape.at].is_whole {
            self.message(inner);
        } else if rule != Free
            && let Some(Value::Texts(texts)) = inner.get("texts")
        {
            let tags = texts.iter().map(|(tag, _)| *tag);
            let (at, path) = (self.at, &self.path);
            languages::require_national(tags, || format!("{at}.{path}"), self.faults);
        }
    }

    fn element(&mut self, item: &Value<'_>, rule: Rule) {
        match item {
            Value::Message(inner) => self.inner(inner, rule),
            other if !is_filled(other) => self.faults.add(
                format!("{}.{}", self.at, self.path),
                "the element is blank",
                "fill it in or remove it",
            ),
            _ => {}
        }
    }

    fn judge_blank(&mut self, rule: Rule) {
        let (at, path) = (self.at, &self.path);
        match rule {
            Required => self
                .faults
                .add(format!("{at}.{path}"), "is missing", "fill it in"),
            OrNot => self.faults.add(
                format!("{at}.{path}"),
                NEITHER,
                format!("fill it in, or add \"{path}\" to {at}.common.notApplicable"),
            ),
            Free | Answered => {}
        }
    }

    fn judge_listed(&mut self, index: usize, rule: Rule, is_filled: bool) {
        let (reason, remedy) = match rule {
            Answered => (
                "always has an answer: a number, or yes or no",
                "remove it from the list",
            ),
            Required => (
                "applies to every message of this kind",
                "remove it from the list and fill the field in",
            ),
            OrNot | Free if is_filled => (
                "is filled in, and listed as not applicable",
                "remove it from the list, or empty the field",
            ),
            OrNot | Free => return,
        };
        let path = std::mem::take(&mut self.path);
        self.refuse_listed(index, &path, reason, remedy);
        self.path = path;
    }

    fn refuse_listed(&mut self, index: usize, path: &str, reason: &str, remedy: &str) {
        self.faults.add(
            format!("{}.common.notApplicable[{index}]", self.at),
            format!("\"{}\" {reason}", text::excerpt(path, 80)),
            remedy,
        );
    }

    fn finish(mut self) {
        let mut unmet: Vec<(usize, &str)> = self
            .listed
            .iter()
            .filter(|(_, (_, met))| !met)
            .map(|(path, (index, _))| (*index, *path))
            .collect();
        unmet.sort_unstable();
        for (index, path) in unmet {
            self.refuse_listed(
                index,
                path,
                "is no field of this form, or of a part of it that is itself blank",
                "name a field as JSON does, from below the kind on, such as \"means\" or \
                 \"persons[2].sex\" (counted from 0)",
            );
        }
    }
}

/// The rules for the fields of one message.
struct Ruled {
    /// By number of the kind, then by place of the field.
    rules: Vec<Vec<Rule>>,
    /// Whether it is one of [`WHOLE`].
    is_whole: bool,
}

impl Ruled {
    /// The rule for the field at that place; what has none is free.
    fn of(&self, kind: v1::Kind, place: usize) -> Rule {
        let rules = self.rules.get(kind as usize);
        rules.map_or(Free, |rules| rules[place])
    }
}

/// What [`rule_in`] says of every field, by place of the message.
static RULED: LazyLock<Vec<Ruled>> = LazyLock::new(|| {
    let kinds = body::one_of_each()
        .iter()
        .map(body::kind_of)
        .collect::<Vec<_>>();
    let kind_max = kinds.iter().map(|kind| *kind as usize).max().unwrap_or(0);
    let ruled = |shape: &Shape| {
        let mut rules = vec![Vec::new(); kind_max + 1];
        for kind in &kinds {
            let rule = |field: &Field| rule_in(*kind, &field.descriptor).unwrap_or(Free);
            rules[*kind as usize] = shape.fields.iter().map(rule).collect();
        }
        Ruled {
            rules,
            is_whole: WHOLE.contains(&shape.descriptor.full_name()),
        }
    };
    Shape::all().iter().map(ruled).collect()
});

/// The rule for a field where it stands in a form of that kind; `None` for fields of what is filled in
/// as a whole, and of what is no form.
pub(crate) fn rule_in(kind: v1::Kind, field: &FieldDescriptor) -> Option<Rule> {
    let is_answer = matches!(
        kind,
        v1::Kind::Acknowledgement
            | v1::Kind::Withdrawal
            | v1::Kind::Response
            | v1::Kind::Countersignature
            | v1::Kind::Closure
            | v1::Kind::DeadlineExtension
    );
    let is_formal = matches!(kind, v1::Kind::HandoverRequest | v1::Kind::OfficialLetter);
    match field.full_name() {
        // The message answered or withdrawn says whom it went to.
        "liaison.v1.Common.to_office" if is_answer => Some(Free),
        "liaison.v1.Common.legal_basis" if is_formal => Some(OrNot),
        _ => rule_of(field.parent_message().name(), field.name()),
    }
}

fn rule_of(message: &str, field: &str) -> Option<Rule> {
    let (_, fields) = RULES.iter().find(|(name, _)| *name == message)?;
    let (_, rule) = fields.iter().find(|(name, _)| *name == field)?;
    Some(*rule)
}

fn is_filled(value: &Value<'_>) -> bool {
    match value {
        Value::Text(line) => !line.trim().is_empty(),
        Value::Bytes(bytes) => !bytes.is_empty(),
        Value::Choice(number) => *number != 0,
        Value::List(items) => !items.is_empty(),
        Value::Message(message) => !message.set.is_empty(),
        // A time of zero seconds is set all the same; whether it can be is for `strings`.
        Value::Time(_) | Value::Number(_) | Value::Texts(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::json;
    use prost_reflect::{Kind, MessageDescriptor, ReflectMessage as _};

    fn undecided(message: &MessageDescriptor, missing: &mut Vec<String>) {
        for field in message.fields() {
            let Some(rule) = rule_of(message.name(), field.name()) else {
                missing.push(field.full_name().to_owned());
                continue;
            };
            let can_be_blank = field.is_list()
                || matches!(
                    field.kind(),
                    Kind::String | Kind::Bytes | Kind::Message(_) | Kind::Enum(_)
                );
            assert_eq!(rule == Answered, !can_be_blank, "{}", field.full_name());
            if let Kind::Message(inner) = field.kind()
                && !WHOLE.contains(&inner.full_name())
            {
                undecided(&inner, missing);
            }
        }
    }

    #[test]
    fn every_field_of_every_form_has_a_rule() {
        let mut missing = Vec::new();
        for field in json::to_dynamic(&v1::Body::default()).descriptor().fields() {
            if let Kind::Message(kind) = field.kind()
                && kind.get_field_by_name("common").is_some()
            {
                undecided(&kind, &mut missing);
            }
        }
        assert_eq!(missing, Vec::<String>::new());
    }
}

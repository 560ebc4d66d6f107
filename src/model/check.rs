//! What a draft must fulfil before it is recorded.
//!
//! Every fault is found at once, so that a form comes back only once. Only own drafts are judged
//! here; what a peer says is on record whatever it is.
//!
//! Rules of three sorts, each in its place: for every field whatever it means (`strings`,
//! through `walk`), for blanks (`form`, one table), and for the sense of a kind (one file per
//! kind, or few).

mod activity;
mod alert;
mod answer;
mod attachments;
mod bulk;
mod calendar;
mod cap;
mod case;
mod count;
mod draft;
mod form;
mod gate;
mod handover;
mod hazard;
mod identity;
mod languages;
mod line;
mod manifest;
mod meeting;
mod numbers;
mod patrol;
mod period;
mod place;
mod roster;
mod screening;
mod stance;
mod strings;
mod system;
mod times;
mod verification;
mod walk;

use std::fmt;

use prost::Message as _;

use crate::limits;
use crate::model::body;
use crate::model::shape::Message;
use crate::proto::v1;
use crate::proto::v1::body::Body;

pub use self::bulk::over_limit;
pub(crate) use self::form::{NEITHER, Rule, rule_in};
pub(crate) use self::walk::first_bad_time;

/// One thing that is wrong with a draft.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FieldFault {
    /// JSON path in the draft, for example `body.handoverRequest.persons[2].document.mrz[1]`.
    pub field: String,
    /// What is wrong; safe to show on a terminal.
    pub reason: String,
    /// What to do about it.
    pub remedy: String,
}

impl fmt::Display for FieldFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.field, self.reason, self.remedy)
    }
}

/// The draft with the choices filled in that have a default: ROUTINE, ACTUAL, RESTRICTED.
#[must_use]
pub fn with_defaults(mut draft: v1::Draft) -> v1::Draft {
    if draft.precedence == 0 {
        draft.precedence = v1::Precedence::Routine as i32;
    }
    if draft.status == 0 {
        draft.status = v1::Status::Actual as i32;
    }
    let handling = draft.handling.get_or_insert_default();
    if handling.classification == 0 {
        handling.classification = v1::Classification::Restricted as i32;
    }
    draft
}

/// Checks a draft by a person or a program, in the order of its fields.
///
/// What the node says by itself (refusals, attachments received) is no draft of theirs and is a
/// fault here.
///
/// # Errors
/// Every fault, at most [`limits::FAULTS_MAX`] and a last one that counts the others.
pub fn check_draft(draft: &v1::Draft) -> Result<(), Vec<FieldFault>> {
    let mut faults = Faults::default();
    let bytes = draft.encode_to_vec();
    let fields = Message::read::<v1::Draft>(&bytes);
    strings::check(&fields, &mut faults);
    draft::check(draft, &mut faults);
    if let Some(content) = draft.body.as_ref().and_then(|body| body.body.as_ref()) {
        let precedence = v1::Precedence::try_from(draft.precedence).unwrap_or_default();
        if body::is_system(content) {
            faults.add(
                format!("body.{}", body::json_name_of(content)),
                "only a node says this, by itself",
                "choose another kind; to take note of a message, send an acknowledgement",
            );
        } else {
            check_content(content, &fields, precedence, &mut faults);
        }
    }
    faults.into_result()
}

/// Checks a body of any kind, the node's own kinds included. Paths begin with `body.`, as in the
/// draft it would be in; rules that look at the header as well are [`check_draft`]'s.
#[must_use]
pub fn check_body(content: &Body, precedence: v1::Precedence) -> Vec<FieldFault> {
    let mut faults = Faults::default();
    let draft = v1::Draft {
        body: Some(v1::Body {
            body: Some(content.clone()),
        }),
        ..v1::Draft::default()
    };
    let bytes = draft.encode_to_vec();
    let fields = Message::read::<v1::Draft>(&bytes);
    strings::check(&fields, &mut faults);
    check_content(content, &fields, precedence, &mut faults);
    faults.into_result().err().unwrap_or_default()
}

/// Checks the body of a draft, of which `draft` has the fields.
fn check_content(
    content: &Body,
    draft: &Message<'_>,
    precedence: v1::Precedence,
    faults: &mut Faults,
) {
    let at = format!("body.{}", body::json_name_of(content));
    let form = form::message_of(draft);
    let bytes = form.map_or(0, |form| form.size);
    if bytes > limits::BODY_BYTES_MAX {
        faults.add(
            at.as_str(),
            format!(
                "the body has {bytes} bytes, over the limit of {}",
                limits::BODY_BYTES_MAX
            ),
            "send long texts and lists as attachments, or several messages",
        );
    }
    if body::is_system(content) {
        return system::check(content, &at, faults);
    }
    if let Some(form) = form {
        form::check(content, form, &at, faults);
    }
    if let Some(common) = body::common(content) {
        languages::check(draft, common, &at, faults);
        attachments::check(&common.attachments, &at, faults);
        precedence_reason(common, precedence, &at, faults);
    }
    match content {
        Body::CrossingAlert(alert) => alert::check(alert, &at, faults),
        Body::CaseNotice(notice) => case::check_notice(notice, &at, faults),
        Body::HotlineCall(call) => case::check_call(call, &at, faults),
        Body::VerificationRequest(request) => verification::check(request, &at, faults),
        Body::VerificationReply(reply) => answer::check_verification(reply, &at, faults),
        Body::HandoverRequest(request) => handover::check_request(request, &at, faults),
        Body::HandoverReply(reply) => answer::check_handover(reply, &at, faults),
        Body::HandoverSupplement(supplement) => {
            handover::check_supplement(supplement, &at, faults);
        }
        Body::HandoverSchedule(schedule) => handover::check_schedule(schedule, &at, faults),
        Body::HandoverRecord(record) => handover::check_record(record, &at, faults),
        Body::ProtectionDecision(decision) => {
            numbers::check(&decision.numbers, &format!("{at}.numbers"), faults);
        }
        Body::Closure(closure) => {
            numbers::check(&closure.numbers, &format!("{at}.numbers"), faults);
        }
        Body::Response(response) => stance::check_response(response, &at, faults),
        Body::Countersignature(signature) => {
            stance::check_countersignature(signature, &at, faults);
        }
        Body::OfficialLetter(letter) => {
            place::check(letter.place.as_ref(), &format!("{at}.place"), faults);
        }
        Body::MeetingProposal(proposal) => meeting::check_proposal(proposal, &at, faults),
        Body::MeetingMinutes(minutes) => meeting::check_minutes(minutes, &at, faults),
        Body::PatrolPlan(plan) => patrol::check_plan(plan, &at, faults),
        Body::PatrolReport(report) => patrol::check_report(report, &at, faults),
        Body::GateNotice(notice) => gate::check(notice, &at, faults),
        Body::WorksNotice(works) => line::check_works(works, &at, faults),
        Body::MarkerReport(report) => line::check_marker(report, &at, faults),
        Body::HazardNotice(notice) => hazard::check(notice, &at, faults),
        Body::ActivityReport(report) => activity::check_report(report, &at, faults),
        Body::ExerciseNotice(exercise) => activity::check_exercise(exercise, &at, faults),
        Body::PeriodReport(report) => period::check(report, &at, faults),
        Body::Calendar(calendar) => calendar::check(calendar, &at, faults),
        Body::Roster(roster) => roster::check(roster, &at, faults),
        // All that the others need is in the table of blanks and in their headers.
        _ => {}
    }
}

fn precedence_reason(
    common: &v1::Common,
    precedence: v1::Precedence,
    at: &str,
    faults: &mut Faults,
) {
    let is_urgent = matches!(
        precedence,
        v1::Precedence::Immediate | v1::Precedence::Flash
    );
    let field = format!("{at}.common.precedenceReason");
    match &common.precedence_reason {
        Some(reason) if !reason.texts.is_empty() => {
            languages::require_national(reason.texts.keys(), || field.as_str(), faults);
        }
        _ if is_urgent => faults.add(
            field,
            format!("{} needs a reason", precedence.as_str_name()),
            "say why it cannot wait, or choose PRECEDENCE_PRIORITY",
        ),
        _ => {}
    }
}

/// The faults found so far.
#[derive(Debug, Default)]
struct Faults {
    list: Vec<FieldFault>,
    further: usize,
}

impl Faults {
    fn add(
        &mut self,
        field: impl Into<String>,
        reason: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        if self.list.len() == limits::FAULTS_MAX {
            self.further += 1;
            return;
        }
        self.list.push(FieldFault {
            field: field.into(),
            reason: reason.into(),
            remedy: remedy.into(),
        });
    }

    fn into_result(mut self) -> Result<(), Vec<FieldFault>> {
        if self.further > 0 {
            self.list.push(FieldFault {
                field: "(draft)".to_owned(),
                reason: format!("{} further faults are not listed", self.further),
                remedy: "remove the faults above first".to_owned(),
            });
        }
        if self.list.is_empty() {
            Ok(())
        } else {
            Err(self.list)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::json;

    #[test]
    fn faults_are_counted_beyond_the_limit() {
        let mut faults = Faults::default();
        for _ in 0..limits::FAULTS_MAX {
            faults.add("a", "b", "c");
        }
        faults.add("a", "b", "c");
        faults.add("a", "b", "c");
        let list = faults.into_result().unwrap_err();
        assert_eq!(list.len(), limits::FAULTS_MAX + 1);
        assert!(list[limits::FAULTS_MAX].reason.starts_with("2 further"));
    }

    #[test]
    fn names_of_bodies_are_those_of_json() {
        let alert = Body::CrossingAlert(v1::CrossingAlert::default());
        let wrapped = v1::Body {
            body: Some(alert.clone()),
        };
        let json = json::to_json(&wrapped);
        assert!(json.get(body::json_name_of(&alert)).is_some());
    }
}

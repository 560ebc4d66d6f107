//! A message's body in one line.

mod joint;

use super::{when, words};
use crate::model::text::escape;
use crate::proto::v1;
use crate::proto::v1::body::Body;

/// Texts are shown in this language if there is a choice, else in the first one given.
const LANGUAGE: &str = "en";

/// A text in one language, escaped; empty if there is none.
pub(crate) fn localized(text: Option<&v1::LocalizedText>) -> String {
    localized_in(text, LANGUAGE)
}

fn localized_in(text: Option<&v1::LocalizedText>, language: &str) -> String {
    let Some(texts) = text.map(|text| &text.texts) else {
        return String::new();
    };
    let chosen = texts.get(language).or_else(|| texts.values().next());
    chosen.map_or_else(String::new, |text| escape(text).into_owned())
}

/// What the body says, in one line, escaped.
pub(crate) fn of(body: &Body) -> String {
    of_in(body, LANGUAGE)
}

/// The same, with texts in a language of choice.
pub(crate) fn of_in(body: &Body, language: &str) -> String {
    match body {
        Body::CrossingAlert(alert) => {
            let type_name = alert.incident_type().as_str_name();
            let mut parts = vec![words::of_enum("IncidentType", type_name)];
            let counts = [
                (alert.persons, "person"),
                (alert.vehicles, "vehicle"),
                (alert.boats, "boat"),
            ];
            for (number, what) in counts.into_iter().filter(|(number, _)| *number > 0) {
                parts.push(count(number as usize, what));
            }
            let place = alert.place.as_ref().map(place).unwrap_or_default();
            if !place.is_empty() {
                parts.push(place);
            }
            parts.join(", ")
        }
        Body::CaseNotice(notice) => case_notice(notice),
        Body::VerificationRequest(request) => count(request.persons.len(), "person"),
        Body::VerificationReply(reply) => {
            let outcomes = reply.results.iter().map(v1::VerificationResult::outcome);
            tally(
                outcomes
                    .map(|outcome| words::of_enum("VerificationOutcome", outcome.as_str_name())),
            )
        }
        Body::DeadlineExtension(extension) => localized_in(extension.reason.as_ref(), language),
        Body::HandoverRequest(request) => persons(&request.persons),
        Body::HandoverReply(reply) => {
            let outcomes = reply.decisions.iter().map(v1::HandoverDecision::outcome);
            tally(outcomes.map(|outcome| words::of_enum("HandoverOutcome", outcome.as_str_name())))
        }
        Body::HandoverSupplement(supplement) => said(
            persons(&supplement.persons),
            supplement.statement.as_ref(),
            language,
        ),
        Body::HandoverSchedule(schedule) => {
            let numbers = numbered("person", &schedule.numbers);
            moment(
                numbers,
                schedule.scheduled_at.as_ref(),
                schedule.gate.as_ref(),
            )
        }
        Body::HandoverRecord(record) => {
            let mut handed = count(record.persons.len(), "person");
            if record.is_return {
                handed.push_str(" given back");
            }
            moment(handed, record.handed_over_at.as_ref(), record.gate.as_ref())
        }
        Body::ProtectionDecision(decision) => format!(
            "{}: {}, {} of {}",
            numbered("person", &decision.numbers),
            words::of_enum("ProtectionOutcome", decision.outcome().as_str_name()),
            escape(&decision.decision_number),
            escape(&decision.authority),
        ),
        Body::HotlineCall(call) => {
            let name = |officer: Option<&v1::Officer>| {
                officer.map(|officer| escape(&officer.name).into_owned())
            };
            let (caller, called) = (name(call.caller.as_ref()), name(call.called.as_ref()));
            let between = format!(
                "{} → {}",
                caller.unwrap_or_default(),
                called.unwrap_or_default()
            );
            said(between, call.subject.as_ref(), language)
        }
        Body::OfficialLetter(letter) => {
            format!(
                "{}: {}",
                escape(&letter.letter_number),
                localized_in(letter.subject.as_ref(), language)
            )
        }
        Body::Acknowledgement(acknowledgement) => {
            let officer = acknowledgement.officer.as_ref().map(officer);
            let remark = acknowledgement.remark.as_ref();
            said(officer.unwrap_or_default(), remark, language)
        }
        Body::Response(response) => {
            let stance = words::of_enum("Stance", response.stance().as_str_name());
            said(stance, response.statement.as_ref(), language)
        }
        Body::Countersignature(signature) => {
            let stance = signature.stance().as_str_name();
            let mut stance = words::of_enum("CountersignatureStance", stance);
            let disputed: Vec<u32> = signature.disputed.iter().map(|d| d.number).collect();
            if !disputed.is_empty() {
                stance = format!("{stance}, {} disputed", numbered("person", &disputed));
            }
            said(stance, signature.reason.as_ref(), language)
        }
        Body::Closure(closure) => {
            let mut outcome = words::of_enum("ClosureOutcome", closure.outcome().as_str_name());
            if !closure.numbers.is_empty() {
                outcome = format!("{}: {outcome}", numbered("person", &closure.numbers));
            }
            said(outcome, closure.statement.as_ref(), language)
        }
        Body::Withdrawal(withdrawal) => localized_in(withdrawal.reason.as_ref(), language),
        Body::Refusal(refusal) => format!(
            "of index {}: {}",
            refusal.index,
            words::of_enum("RefusalReason", refusal.reason().as_str_name())
        ),
        Body::AttachmentsReceived(received) => count(received.sha256.len(), "file"),
        Body::KeyChange(change) => key_change(change),
        Body::Maintenance(maintenance) => {
            let moment = |time: Option<&prost_types::Timestamp>| when::full_wire(time);
            let (from, to) = (maintenance.from.as_ref(), maintenance.to.as_ref());
            format!("{} to {}", moment(from), moment(to))
        }
        Body::ErasureNotice(notice) => escape(&notice.authority).into_owned(),
        other => joint::of(other, language),
    }
}

fn key_change(change: &v1::KeyChange) -> String {
    let what = format!(
        "{}: {}",
        words::of_enum("KeyRole", change.role().as_str_name()),
        words::of_enum("KeyAction", change.action().as_str_name())
    );
    match change.reason.as_str() {
        "" => what,
        reason => format!("{what}, {}", escape(reason)),
    }
}

fn case_notice(notice: &v1::CaseNotice) -> String {
    let category = words::of_enum("CaseCategory", notice.category().as_str_name());
    let mut parts = vec![category, count(notice.cases as usize, "case")];
    let counts = [
        (notice.persons, "person"),
        (notice.suspects, "suspect"),
        (notice.prosecutions, "prosecution"),
    ];
    for (number, what) in counts.into_iter().filter(|(number, _)| *number > 0) {
        parts.push(count(number as usize, what));
    }
    parts.join(", ")
}

/// `110 persons`, and how many of them claim protection.
fn persons(persons: &[v1::HandoverPerson]) -> String {
    let claims = persons
        .iter()
        .filter_map(|person| person.screening.as_ref())
        .filter(|screening| screening.protection_claim)
        .count();
    let all = count(persons.len(), "person");
    if claims == 0 {
        all
    } else {
        format!("{all}, {}", count(claims, "PROTECTION CLAIM"))
    }
}

/// `2 accepted, 1 refused`, in the order in which each comes first.
fn tally(words: impl Iterator<Item = String>) -> String {
    let mut counted: Vec<(String, usize)> = Vec::new();
    for word in words {
        match counted.iter_mut().find(|(known, _)| *known == word) {
            Some((_, number)) => *number += 1,
            None => counted.push((word, 1)),
        }
    }
    let parts = counted
        .into_iter()
        .map(|(word, number)| format!("{number} {word}"));
    parts.collect::<Vec<_>>().join(", ")
}

/// `agreed: the text`, or the first alone.
fn said(what: String, text: Option<&v1::LocalizedText>, language: &str) -> String {
    match localized_in(text, language) {
        text if text.is_empty() => what,
        text => format!("{what}: {text}"),
    }
}

/// `2 persons, 2026-11-30 09:00:00 +07:00, gate lao-cai/hekou`.
fn moment(what: String, time: Option<&prost_types::Timestamp>, gate: Option<&v1::Place>) -> String {
    let mut parts = vec![what, when::full_wire(time)];
    parts.extend(gate.map(place));
    parts.join(", ")
}

/// `person 3`, `persons 1–3, 7`.
fn numbered(what: &str, numbers: &[u32]) -> String {
    let plural = if numbers.len() == 1 { "" } else { "s" };
    format!("{what}{plural} {}", ranges(numbers))
}

/// `1–3, 7`.
pub(crate) fn ranges(numbers: &[u32]) -> String {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable();
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for number in sorted {
        match runs.last_mut() {
            Some((_, last)) if number - *last <= 1 => *last = number,
            _ => runs.push((number, number)),
        }
    }
    let runs = runs.into_iter().map(|(first, last)| match last - first {
        0 => first.to_string(),
        1 => format!("{first}, {last}"),
        _ => format!("{first}–{last}"),
    });
    runs.collect::<Vec<_>>().join(", ")
}

/// An officer: `陈示例, 二级警督`.
pub(crate) fn officer(officer: &v1::Officer) -> String {
    let parts = [&officer.name, &officer.rank];
    let parts: Vec<_> = parts
        .into_iter()
        .filter(|part| !part.is_empty())
        .map(|p| escape(p))
        .collect();
    parts.join(", ")
}

/// A place in few words.
pub(crate) fn place(place: &v1::Place) -> String {
    use v1::place::Where;
    match &place.r#where {
        Some(Where::Gate(gate)) => format!("gate {}", escape(gate)),
        Some(Where::Markers(range)) => joint::markers(*range),
        Some(Where::Section(section)) => format!("section {}", escape(section)),
        Some(Where::Point(point)) => format!("{:.5}, {:.5}", point.latitude, point.longitude),
        Some(Where::Polygon(polygon)) => format!("area of {} points", polygon.points.len()),
        None => localized(place.description.as_ref()),
    }
}

/// `1 person`, `2 persons`.
pub(crate) fn count(number: usize, what: &str) -> String {
    if number == 1 {
        format!("1 {what}")
    } else {
        format!("{number} {what}s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shown_in_runs() {
        for (numbers, shown) in [
            (&[][..], ""),
            (&[3], "3"),
            (&[2, 1], "1, 2"),
            (&[7, 1, 3, 2], "1–3, 7"),
            (&[1, 1, 5, 6, u32::MAX], "1, 5, 6, 4294967295"),
        ] {
            assert_eq!(ranges(numbers), shown);
        }
    }

    /// What stands before the first time, which is shown in the zone of the reader.
    #[test]
    fn summaries_say_what_matters_first() {
        for (name, line) in [
            (
                "case-notice",
                "fireworks, 5 cases, 9 persons, 6 suspects, 2 prosecutions",
            ),
            ("verification-request", "2 persons"),
            ("verification-reply", "1 confirmed, 1 confirmed otherwise"),
            ("handover-request", "2 persons"),
            ("handover-reply", "1 accepted, 1 information needed"),
            ("handover-supplement", "2 persons, 1 PROTECTION CLAIM: "),
            ("handover-schedule", "persons 1, 2, "),
            ("handover-record", "2 persons, "),
            (
                "protection-decision",
                "person 1: protected, 12/QĐ-BV (MẪU) of Cơ quan xét đơn xin bảo vệ",
            ),
            ("hotline-call", "Phạm Văn Mẫu → 陈示例: Xe tải dừng"),
            ("response", "differs: Theo ghi chép của chúng tôi"),
            ("countersignature", "signed, person 1 disputed"),
            ("closure", "resolved: Bảy người"),
        ] {
            let draft = crate::model::sample::find(name).unwrap().draft().unwrap();
            let shown = of(&draft.body.unwrap().body.unwrap());
            assert!(shown.starts_with(line), "{name}: {shown}");
        }
    }

    #[test]
    fn every_sample_has_a_summary_in_one_line() {
        for sample in crate::model::sample::SAMPLES {
            let draft = sample.draft().unwrap();
            let body = draft.body.unwrap().body.unwrap();
            let line = of(&body);
            assert!(!line.is_empty(), "{}", sample.name);
            assert!(!line.contains('\n'), "{}: {line}", sample.name);
        }
    }
}

//! A message's body in one line.

mod joint;

use super::words;
use crate::model::text::escape;
use crate::proto::v1::body::Body;
use crate::proto::v1::{self, HandoverOutcome};

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
        Body::HandoverRequest(request) => count(request.persons.len(), "person"),
        Body::HandoverReply(reply) => {
            let number = |outcome: HandoverOutcome| {
                reply
                    .decisions
                    .iter()
                    .filter(|decision| decision.outcome() == outcome)
                    .count()
            };
            [
                (number(HandoverOutcome::Accepted), "accepted"),
                (number(HandoverOutcome::Refused), "refused"),
                (
                    number(HandoverOutcome::InformationNeeded),
                    "information needed",
                ),
            ]
            .into_iter()
            .filter(|(number, _)| *number > 0)
            .map(|(number, word)| format!("{number} {word}"))
            .collect::<Vec<_>>()
            .join(", ")
        }
        Body::OfficialLetter(letter) => {
            format!(
                "{}: {}",
                escape(&letter.letter_number),
                localized_in(letter.subject.as_ref(), language)
            )
        }
        Body::Acknowledgement(acknowledgement) => {
            let officer = acknowledgement
                .officer
                .as_ref()
                .map(officer)
                .unwrap_or_default();
            let remark = localized_in(acknowledgement.remark.as_ref(), language);
            if remark.is_empty() {
                officer
            } else {
                format!("{officer}: {remark}")
            }
        }
        Body::Withdrawal(withdrawal) => localized_in(withdrawal.reason.as_ref(), language),
        Body::Refusal(refusal) => format!(
            "of index {}: {}",
            refusal.index,
            words::of_enum("RefusalReason", refusal.reason().as_str_name())
        ),
        Body::AttachmentsReceived(received) => count(received.sha256.len(), "file"),
        other => joint::of(other, language),
    }
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

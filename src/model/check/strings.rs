//! Rules for every field whatever it means: characters, lengths, counts, choices, times.

use super::Faults;
use super::walk::{Found, Path, in_language, walk};
use crate::limits;
use crate::model::shape::{Field, Message};
use crate::model::{text, time};

pub(super) fn check(draft: &Message<'_>, faults: &mut Faults) {
    walk(
        draft,
        &mut Path::default(),
        &mut |path, found| match found {
            Found::Line(line) => check_line(path, line, faults),
            Found::Document(document) => check_document(path, document, faults),
            Found::Localized(texts) => {
                if texts.len() > limits::LANGUAGES_MAX {
                    too_many(
                        path,
                        texts.len(),
                        limits::LANGUAGES_MAX,
                        "languages",
                        faults,
                    );
                }
                for (tag, text) in texts {
                    check_text(&|| in_language(path, tag), text, faults);
                }
            }
            Found::List(field, length) => {
                let length_max = length_max(field);
                if length > length_max {
                    too_many(path, length, length_max, "elements", faults);
                }
            }
            Found::Choice(choices, number) => {
                if !choices.has(number) {
                    let names: Vec<String> = choices
                        .descriptor
                        .values()
                        .filter(|value| value.number() != 0)
                        .map(|value| value.name().to_owned())
                        .collect();
                    faults.add(
                        path.as_str(),
                        format!("{number} is no {}", choices.descriptor.name()),
                        format!("choose one of {}", names.join(", ")),
                    );
                }
            }
            Found::Time(at) => {
                if !time::in_range(&at) {
                    faults.add(
                        path.as_str(),
                        "the time is outside the years 2000 to 2200",
                        "give a time with its zone, such as 2026-03-02T08:30:00+07:00",
                    );
                }
            }
        },
    );
}

fn too_many(path: &Path, found: usize, max: usize, what: &str, faults: &mut Faults) {
    faults.add(
        path.as_str(),
        format!("{found} {what}, over the limit of {max}"),
        "send the rest in further messages or as an attachment",
    );
}

fn length_max(field: &Field) -> usize {
    match field.descriptor.full_name() {
        "liaison.v1.HandoverRequest.persons"
        | "liaison.v1.HandoverReply.decisions"
        | "liaison.v1.HandoverSupplement.persons"
        | "liaison.v1.HandoverSchedule.numbers"
        | "liaison.v1.HandoverRecord.persons"
        | "liaison.v1.ProtectionDecision.numbers"
        | "liaison.v1.Countersignature.disputed"
        | "liaison.v1.Closure.numbers" => limits::HANDOVER_PERSONS_MAX,
        "liaison.v1.VerificationRequest.persons" | "liaison.v1.VerificationReply.results" => {
            limits::VERIFICATION_PERSONS_MAX
        }
        "liaison.v1.Common.attachments" | "liaison.v1.AttachmentsReceived.sha256" => {
            limits::ATTACHMENTS_MAX
        }
        "liaison.v1.Common.languages" | "liaison.v1.RosterEntry.languages" => limits::LANGUAGES_MAX,
        "liaison.v1.PeriodReport.figures" => limits::REPORT_FIGURES_MAX,
        "liaison.v1.Calendar.days_off" | "liaison.v1.Calendar.working_days" => {
            limits::CALENDAR_DAYS_MAX
        }
        "liaison.v1.Common.not_applicable" => limits::NOT_APPLICABLE_MAX,
        _ => limits::REPEATED_MAX,
    }
}

fn check_line(path: &Path, line: &str, faults: &mut Faults) {
    if line.len() > limits::LINE_BYTES_MAX {
        faults.add(
            path.as_str(),
            format!(
                "the line has {} bytes, over the limit of {}",
                line.len(),
                limits::LINE_BYTES_MAX
            ),
            "shorten it; long texts belong into a field with languages or an attachment",
        );
    }
    if let Some(found) = text::first_steering(line, &[]) {
        steering(path.as_str(), found, "", faults);
    }
}

fn check_text(path: &dyn Fn() -> String, text: &str, faults: &mut Faults) {
    if text.len() > limits::TEXT_BYTES_MAX {
        faults.add(
            path(),
            format!(
                "the text has {} bytes, over the limit of {}",
                text.len(),
                limits::TEXT_BYTES_MAX
            ),
            "shorten it, or send it as an attachment",
        );
    }
    if let Some(found) = text::first_steering(text, &['\n', '\t']) {
        let kept = "; line feeds and tabs may stay";
        steering(path(), found, kept, faults);
    }
    if text.trim().is_empty() {
        faults.add(
            path(),
            "the text is blank",
            "write it, or remove the language from every text",
        );
    }
}

/// As a text, but for carriage returns: programs write documents with them.
fn check_document(path: &Path, document: &str, faults: &mut Faults) {
    if document.len() > limits::TEXT_BYTES_MAX {
        faults.add(
            path.as_str(),
            format!(
                "the document has {} bytes, over the limit of {}",
                document.len(),
                limits::TEXT_BYTES_MAX
            ),
            "send it as an attachment",
        );
    }
    if let Some(found) = text::first_steering(document, &['\n', '\t', '\r']) {
        let kept = "; line breaks and tabs may stay";
        steering(path.as_str(), found, kept, faults);
    }
}

fn steering(path: impl Into<String>, found: char, kept: &str, faults: &mut Faults) {
    faults.add(
        path,
        format!(
            "contains {}, a control, direction or invisible character",
            text::escape(&found.to_string())
        ),
        format!("remove it: it could make the text read as something else{kept}"),
    );
}

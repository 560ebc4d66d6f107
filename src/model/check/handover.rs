//! Rules for handovers up to the moment: who is to be taken over, when and where.

use super::numbers::{self, Numbers};
use super::{Faults, languages, manifest, place, screening};
use crate::proto::v1;

pub(super) fn check_request(request: &v1::HandoverRequest, at: &str, faults: &mut Faults) {
    let gate = format!("{at}.proposedGate");
    place::check(request.proposed_gate.as_ref(), &gate, faults);

    let persons = u32::try_from(request.persons.len()).unwrap_or(u32::MAX);
    let is_listed = |number| (1..=persons).contains(&number);
    let claimants = screening::claimants(&request.persons);
    let files = manifest::files(request.common.as_ref());
    for (expected, person) in (1..).zip(&request.persons) {
        let at = format!("{at}.persons[{}]", expected - 1);
        manifest::check_number(person.number, expected, &at, faults);
        screening::check(person, &claimants, &is_listed, &at, faults);
        // Of a claimant nothing is there to be right or wrong.
        if !screening::claims_protection(person) {
            manifest::check_photo(person.into(), &files, &at, faults);
            manifest::check(person.into(), &at, faults);
        }
    }
}

/// The numbers are those of the request, which is not at hand here; so any that it can have.
pub(super) fn check_supplement(supplement: &v1::HandoverSupplement, at: &str, faults: &mut Faults) {
    let claimants = screening::claimants(&supplement.persons);
    let mut named = Numbers::default();
    for (index, person) in supplement.persons.iter().enumerate() {
        let at = format!("{at}.persons[{index}]");
        named.take(person.number, format!("{at}.number"), faults);
        screening::check(person, &claimants, &numbers::is_possible, &at, faults);
        if !screening::claims_protection(person) {
            check_earlier_photo(person, &at, faults);
            manifest::check(person.into(), &at, faults);
        }
    }
}

/// The photograph may have come with the request.
fn check_earlier_photo(person: &v1::HandoverPerson, at: &str, faults: &mut Faults) {
    let bytes = person.photo_sha256.len();
    if !matches!(bytes, 0 | 32) {
        faults.add(
            format!("{at}.photoSha256"),
            format!("has {bytes} bytes, a SHA-256 has 32"),
            "give the SHA-256 of the photograph, attached here or to the request",
        );
    }
}

/// Whether the notice is short depends on when it is sent, and is for the workflow.
pub(super) fn check_schedule(schedule: &v1::HandoverSchedule, at: &str, faults: &mut Faults) {
    numbers::check(&schedule.numbers, &format!("{at}.numbers"), faults);
    place::check(schedule.gate.as_ref(), &format!("{at}.gate"), faults);
    let short_notice = schedule.short_notice_reason.as_ref();
    languages::is_given(short_notice, &format!("{at}.shortNoticeReason"), faults);
}

/// Each person is on record once.
pub(super) fn check_record(record: &v1::HandoverRecord, at: &str, faults: &mut Faults) {
    place::check(record.gate.as_ref(), &format!("{at}.gate"), faults);
    let mut named = Numbers::default();
    for (index, person) in record.persons.iter().enumerate() {
        let field = format!("{at}.persons[{index}].number");
        named.take(person.number, field, faults);
    }
    if record.given_by.is_some() && record.given_by == record.received_by {
        faults.add(
            format!("{at}.receivedBy"),
            "the same officer gives and receives",
            "name the officer of the other side who received the persons",
        );
    }
}

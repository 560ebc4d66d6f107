//! Rules for handover requests.

use std::collections::HashSet;

use super::{Faults, manifest, place};
use crate::proto::v1;

pub(super) fn check(request: &v1::HandoverRequest, at: &str, faults: &mut Faults) {
    let gate = format!("{at}.proposedGate");
    place::check(request.proposed_gate.as_ref(), &gate, faults);

    let persons = u32::try_from(request.persons.len()).unwrap_or(u32::MAX);
    let files: HashSet<&[u8]> = request
        .common
        .iter()
        .flat_map(|common| &common.attachments)
        .map(|attachment| attachment.sha256.as_ref())
        .collect();
    for (expected, person) in (1..).zip(&request.persons) {
        let at = format!("{at}.persons[{}]", expected - 1);
        if person.number != expected {
            faults.add(
                format!("{at}.number"),
                format!("the number is {} and should be {expected}", person.number),
                "number the manifest from 1 without gaps",
            );
        }
        check_photo(person, &files, &at, faults);
        if let Some(screening) = &person.screening {
            check_screening(screening, expected, persons, &at, faults);
        }
        manifest::check(person, &at, faults);
    }
}

fn check_photo(person: &v1::HandoverPerson, files: &HashSet<&[u8]>, at: &str, faults: &mut Faults) {
    let digest = person.photo_sha256.as_ref();
    if !digest.is_empty() && !files.contains(digest) {
        faults.add(
            format!("{at}.photoSha256"),
            "no attachment has this SHA-256",
            "attach the photograph and give the SHA-256 of the file",
        );
    }
}

fn check_screening(
    screening: &v1::ProtectionScreening,
    number: u32,
    persons: u32,
    at: &str,
    faults: &mut Faults,
) {
    let at = format!("{at}.screening");
    if !screening.carried_out {
        faults.add(
            format!("{at}.carriedOut"),
            "nobody was asked",
            "have a trained officer carry the screening out, or remove the screening and list it \
             as not applicable",
        );
    }
    if screening.unaccompanied && !screening.minor {
        faults.add(
            format!("{at}.unaccompanied"),
            "only a minor can be unaccompanied",
            "set minor as well, or clear unaccompanied",
        );
    }
    let is_alone = screening.unaccompanied && screening.minor;
    if is_alone && screening.receiving_guardian.trim().is_empty() {
        faults.add(
            format!("{at}.receivingGuardian"),
            "an unaccompanied minor is handed to a named guardian or authority",
            "name who receives the child",
        );
    }
    let mut family = HashSet::new();
    for (index, member) in screening.family_numbers.iter().enumerate() {
        let field = format!("{at}.familyNumbers[{index}]");
        if *member == number {
            faults.add(
                field,
                "the person is named as their own family",
                "remove it",
            );
        } else if !(1..=persons).contains(member) {
            faults.add(
                field,
                format!("there is no person {member} in this manifest"),
                "give numbers of this manifest",
            );
        } else if !family.insert(member) {
            faults.add(
                field,
                format!("person {member} is named twice"),
                "remove one of the two",
            );
        }
    }
}

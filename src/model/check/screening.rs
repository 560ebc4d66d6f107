//! Safeguards for persons in need of protection, as far as a form can keep them.
//!
//! The workflow keeps them again: a form is filled in once, and a claim may be made at any time.

use std::collections::HashSet;

use prost::Message as _;

use super::Faults;
use crate::model::shape::{Field, Message, Value};
use crate::proto::v1;
use crate::proto::v1::HandoverRoute;

/// What says who a person is, as in the proto. Of somebody who claims protection the other side is
/// told none of it: it may be the one they fear.
const PARTICULARS: [&str; 9] = [
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

/// Whether a part of a form is about somebody who claims protection.
pub(super) fn is_claimant(message: &Message<'_>) -> bool {
    message.shape.descriptor.name() == "HandoverPerson"
        && matches!(
            message.get("screening"),
            // What is set is yes.
            Some(Value::Message(screening)) if screening.get("protection_claim").is_some()
        )
}

/// Whether the field of a claimant's form is left blank without a word, since it would say who it is.
pub(super) fn is_withheld(field: &Field) -> bool {
    PARTICULARS.contains(&field.descriptor.name())
}

/// Whether somebody claims asylum, or fears to be returned.
pub(super) fn claims_protection(person: &v1::HandoverPerson) -> bool {
    let screening = person.screening.as_ref();
    screening.is_some_and(|screening| screening.protection_claim)
}

/// The numbers of those of a manifest who claim protection.
pub(super) fn claimants(persons: &[v1::HandoverPerson]) -> HashSet<u32> {
    let claimants = persons.iter().filter(|person| claims_protection(person));
    claimants.map(|person| person.number).collect()
}

/// Checks what was found of one person. `is_listed` says which numbers the manifest can have.
pub(super) fn check(
    person: &v1::HandoverPerson,
    claimants: &HashSet<u32>,
    is_listed: &dyn Fn(u32) -> bool,
    at: &str,
    faults: &mut Faults,
) {
    let Some(screening) = &person.screening else {
        return;
    };
    if screening.protection_claim {
        check_withheld(person, at, faults);
    }
    check_route(person, screening, at, faults);

    let at = format!("{at}.screening");
    if !screening.carried_out {
        faults.add(
            format!("{at}.carriedOut"),
            "nobody was asked",
            "have a trained officer carry the screening out before the handover is asked for",
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
    check_family(person.number, screening, claimants, is_listed, &at, faults);
}

fn check_withheld(person: &v1::HandoverPerson, at: &str, faults: &mut Faults) {
    for (field, _) in Message::read::<v1::HandoverPerson>(&person.encode_to_vec()).fields() {
        if is_withheld(field) {
            faults.add(
                format!("{at}.{}", field.json_name),
                "the person claims protection, and this says who it is",
                "withhold the particulars of a claimant from the other side: remove it; number, \
                 sex, screening, needs and route stay",
            );
        }
    }
}

fn check_route(
    person: &v1::HandoverPerson,
    screening: &v1::ProtectionScreening,
    at: &str,
    faults: &mut Faults,
) {
    let route = HandoverRoute::try_from(person.route);
    if screening.trafficking_indicator
        && let Ok(route @ (HandoverRoute::Return | HandoverRoute::Offender)) = route
    {
        faults.add(
            format!("{at}.route"),
            format!(
                "{} is no route for somebody who may have been trafficked",
                route.as_str_name()
            ),
            "choose HANDOVER_ROUTE_VICTIM",
        );
    }
}

fn check_family(
    number: u32,
    screening: &v1::ProtectionScreening,
    claimants: &HashSet<u32>,
    is_listed: &dyn Fn(u32) -> bool,
    at: &str,
    faults: &mut Faults,
) {
    let mut family = HashSet::new();
    for (index, member) in screening.family_numbers.iter().enumerate() {
        let field = format!("{at}.familyNumbers[{index}]");
        if *member == number {
            faults.add(
                field,
                "the person is named as their own family",
                "remove it",
            );
        } else if !is_listed(*member) {
            faults.add(
                field,
                format!("there is no person {member} in this manifest"),
                "give numbers of this manifest",
            );
        } else if screening.protection_claim || claimants.contains(member) {
            let claimant = if screening.protection_claim {
                number
            } else {
                *member
            };
            faults.add(
                field,
                format!("person {claimant} claims protection, and the family tells who it is"),
                "withhold the family of a claimant from the other side: remove the number",
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

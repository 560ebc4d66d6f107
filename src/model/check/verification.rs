//! Rules for verification requests.

use super::{Faults, manifest};
use crate::proto::v1;

pub(super) fn check(request: &v1::VerificationRequest, at: &str, faults: &mut Faults) {
    let files = manifest::files(request.common.as_ref());
    for (expected, person) in (1..).zip(&request.persons) {
        let at = format!("{at}.persons[{}]", expected - 1);
        manifest::check_number(person.number, expected, &at, faults);
        manifest::check_photo(person.into(), &files, &at, faults);
        manifest::check(person.into(), &at, faults);
        if !person.claims_no_protection {
            faults.add(
                format!("{at}.claimsNoProtection"),
                "it is not said that the person claims no protection from the side that is asked",
                "ask the person first; whoever claims protection is not named to that side, so take \
                 the person out of the request",
            );
        }
    }
}

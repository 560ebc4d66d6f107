//! Rules for rosters.

use std::collections::HashSet;

use super::{Faults, count, languages, times};
use crate::proto::v1;

/// A roster exists to be called by: everybody on it has a telephone and languages.
pub(super) fn check(roster: &v1::Roster, at: &str, faults: &mut Faults) {
    count::at_least_one(&[("version", roster.version)], at, faults);
    times::in_order(
        ("validFrom", roster.valid_from.as_ref()),
        ("validUntil", roster.valid_until.as_ref()),
        at,
        faults,
    );
    for (index, entry) in roster.entries.iter().enumerate() {
        let at = format!("{at}.entries[{index}]");
        if let Some(officer) = &entry.officer
            && officer.phone.trim().is_empty()
        {
            faults.add(
                format!("{at}.officer.phone"),
                "an officer of a roster can be called",
                "give the telephone number, or of the duty room",
            );
        }
        let mut seen = HashSet::new();
        for (index, tag) in entry.languages.iter().enumerate() {
            let field = format!("{at}.languages[{index}]");
            if !seen.insert(tag) {
                faults.add(
                    field,
                    "the language is listed twice",
                    "remove one of the two",
                );
            } else if !tag.trim().is_empty() {
                languages::check_tag(tag, || field.as_str(), faults);
            }
        }
    }
}

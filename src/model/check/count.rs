//! Rules for numbers of people and things.

use super::Faults;

/// Of what a message is about there is one at least: zero is a number that was not filled in.
pub(super) fn at_least_one(counts: &[(&str, u32)], at: &str, faults: &mut Faults) {
    for (field, number) in counts {
        if *number == 0 {
            faults.add(
                format!("{at}.{field}"),
                "is 0, and must be 1 at least",
                "give the number",
            );
        }
    }
}

/// Versions count up from 1, so that a later one is known by its number.
pub(super) fn version(version: u32, at: &str, faults: &mut Faults) {
    if version == 0 {
        faults.add(
            format!("{at}.version"),
            "versions are counted from 1",
            "give 1, and one more with each correction",
        );
    }
}

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

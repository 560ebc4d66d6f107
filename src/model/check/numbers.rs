//! Rules for the numbers by which later messages name the persons of a request.

use std::collections::HashSet;

use super::Faults;
use crate::limits;

/// The numbers named so far in one message.
#[derive(Debug, Default)]
pub(super) struct Numbers(HashSet<u32>);

impl Numbers {
    /// Takes the next one: a request numbers its persons from 1, and each is named once.
    pub(super) fn take(&mut self, number: u32, field: impl Into<String>, faults: &mut Faults) {
        if number == 0 {
            faults.add(
                field,
                "persons are numbered from 1",
                "give the person's number in the request",
            );
        } else if !is_possible(number) {
            faults.add(
                field,
                format!(
                    "there is no person {number}: a request has at most {}",
                    limits::HANDOVER_PERSONS_MAX
                ),
                "give the person's number in the request",
            );
        } else if !self.0.insert(number) {
            faults.add(
                field,
                format!("person {number} is named twice"),
                "name each person once",
            );
        }
    }
}

/// Whether the largest request has a person of that number.
pub(super) fn is_possible(number: u32) -> bool {
    let max = u32::try_from(limits::HANDOVER_PERSONS_MAX).unwrap_or(u32::MAX);
    (1..=max).contains(&number)
}

/// Checks a list of nothing but numbers.
pub(super) fn check(numbers: &[u32], at: &str, faults: &mut Faults) {
    let mut named = Numbers::default();
    for (index, number) in numbers.iter().enumerate() {
        named.take(*number, format!("{at}[{index}]"), faults);
    }
}

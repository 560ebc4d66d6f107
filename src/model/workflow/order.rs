//! One order of two logs, the same on both sides, without a clock.
//!
//! Within a log the index orders. Between the logs, a message comes after everything that its
//! author had seen when it signed it (`seen_size` in the header), and after the message it
//! answers. What neither had seen of the other is concurrent: then the side with the smaller
//! node name comes first. So no side can put its word before another's by its clock, and both
//! find the same order from the same two logs.
//!
//! What a message names it has seen: nobody guesses the id of a message. What it says it has seen
//! may be a lie. Where two claims exclude each other, what is proven counts.

use super::Party;

/// What the order needs to know of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    /// In its author's log.
    pub index: u64,
    /// How many entries of the other log its author knew, at least: as it says, or as is proven.
    pub knows: u64,
    /// How many of them by what it names.
    pub proven: u64,
}

/// Two lists of places in one order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Merged {
    /// For each: whose it is, and its position in that list.
    pub order: Vec<(Party, usize)>,
    /// Claims excluded each other: somebody says to have seen what had not been said yet.
    pub is_forced: bool,
}

/// Orders two lists of places, each sorted by index.
///
/// A claim to have seen what could not have been said yet (each side after the other) is nobody's
/// to honour: there what is proven decides, and then the smaller node name.
#[must_use]
pub fn merge(a: &[Place], b: &[Place]) -> Merged {
    let (mut i, mut j) = (0, 0);
    let mut order = Vec::with_capacity(a.len() + b.len());
    let mut is_forced = false;
    while i < a.len() || j < b.len() {
        let next_is_a = match (a.get(i), b.get(j)) {
            (Some(a), Some(b)) if b.index >= a.knows => true,
            (Some(a), Some(b)) if a.index >= b.knows => false,
            (Some(a), Some(b)) => {
                is_forced = true;
                b.index >= a.proven
            }
            (next, _) => next.is_some(),
        };
        if next_is_a {
            order.push((Party::A, i));
            i += 1;
        } else {
            order.push((Party::B, j));
            j += 1;
        }
    }
    Merged { order, is_forced }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(list: &[(u64, u64)]) -> Vec<Place> {
        list.iter()
            .map(|&(index, knows)| Place {
                index,
                knows,
                proven: 0,
            })
            .collect()
    }

    fn shown(merged: &Merged) -> String {
        let place = |&(party, at): &(Party, usize)| match party {
            Party::A => format!("a{at} "),
            Party::B => format!("b{at} "),
        };
        merged.order.iter().map(place).collect()
    }

    fn order(a: &[(u64, u64)], b: &[(u64, u64)]) -> String {
        shown(&merge(&places(a), &places(b)))
    }

    #[test]
    fn an_answer_comes_after_what_it_had_seen() {
        assert_eq!(order(&[(0, 0), (1, 1)], &[(0, 1)]), "a0 b0 a1 ");
        assert_eq!(order(&[(0, 1)], &[(0, 0)]), "b0 a0 ");
        // Other threads lie between: indices need not follow each other.
        assert_eq!(order(&[(7, 4)], &[(3, 0), (9, 8)]), "b0 a0 b1 ");
    }

    #[test]
    fn what_crossed_is_ordered_by_name() {
        assert_eq!(order(&[(0, 0), (1, 0)], &[(0, 0), (1, 0)]), "a0 a1 b0 b1 ");
    }

    #[test]
    fn a_circle_of_claims_ends() {
        assert_eq!(order(&[(0, 1)], &[(0, 1)]), "a0 b0 ");
        assert_eq!(order(&[(0, u64::MAX)], &[(0, u64::MAX)]), "a0 b0 ");
    }

    #[test]
    fn what_is_proven_stands_against_what_is_said() {
        // B says that its first message had seen everything; A answers that message.
        let mut a = places(&[(0, 1)]);
        a[0].proven = 1;
        let b = places(&[(0, u64::MAX)]);
        let merged = merge(&a, &b);
        assert_eq!(shown(&merged), "b0 a0 ");
        assert!(merged.is_forced);
    }
}

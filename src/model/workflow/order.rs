//! One order of two logs, the same on both sides, without a clock.
//!
//! Within a log the index orders. Between the logs, a message comes after everything that its
//! author had seen when it signed it (`seen_size` in the header), and after the message it
//! answers. What neither had seen of the other is concurrent: then the side with the smaller
//! node name comes first. So no side can put its word before another's by its clock, and both
//! find the same order from the same two logs.

use super::Party;

/// What the order needs to know of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// In its author's log.
    pub index: u64,
    /// How many entries of the other log its author knew, at least.
    pub knows: u64,
}

/// Orders two lists of places, each sorted by index: for each, whose it is and its position in
/// that list.
///
/// A claim to have seen what could not have been said yet (each side after the other) is nobody's
/// to honour: there the side with the smaller node name goes first.
#[must_use]
pub fn merge(a: &[Place], b: &[Place]) -> Vec<(Party, usize)> {
    let (mut i, mut j) = (0, 0);
    let mut order = Vec::with_capacity(a.len() + b.len());
    while i < a.len() || j < b.len() {
        let a_is_ready = i < a.len() && b.get(j).is_none_or(|next| next.index >= a[i].knows);
        let b_is_ready = j < b.len() && a.get(i).is_none_or(|next| next.index >= b[j].knows);
        if i < a.len() && (a_is_ready || !b_is_ready) {
            order.push((Party::A, i));
            i += 1;
        } else {
            order.push((Party::B, j));
            j += 1;
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(list: &[(u64, u64)]) -> Vec<Place> {
        list.iter()
            .map(|&(index, knows)| Place { index, knows })
            .collect()
    }

    fn order(a: &[(u64, u64)], b: &[(u64, u64)]) -> String {
        merge(&places(a), &places(b))
            .into_iter()
            .map(|(party, at)| match party {
                Party::A => format!("a{at} "),
                Party::B => format!("b{at} "),
            })
            .collect()
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
}

//! What the entries recorded last say, so that it need not be read back to be folded.
//!
//! The recorder puts it here with the commit that makes the entries durable; whoever folds the cases
//! ([`super::shelf`]) asks here first. It is a copy of what lies beside the entries and nothing more: what
//! is not here any more is read. It holds what is taken from bodies, so it is let go of when a body is
//! erased, and when entries are replaced.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::layout::LogSide;
use crate::limits::FRESH_ENTRIES_MAX;
use crate::model::MessageId;
use crate::model::workflow::Facts;

/// By index, ascending; the own log first.
type Rings = [VecDeque<(u64, Arc<Facts>)>; 2];

/// The last entries of both logs of a link.
#[derive(Default)]
pub(crate) struct Fresh(Mutex<Rings>);

impl std::fmt::Debug for Fresh {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fresh")
    }
}

impl Fresh {
    /// Takes what was recorded just now, in the order of the log.
    pub(super) fn put(&self, side: LogSide, said: Vec<(u64, Arc<Facts>)>) {
        let mut rings = self.rings();
        let ring = &mut rings[usize::from(side.byte())];
        for (index, facts) in said {
            // An entry in the place of another.
            while ring.back().is_some_and(|(last, _)| *last >= index) {
                ring.pop_back();
            }
            if ring.len() == FRESH_ENTRIES_MAX {
                ring.pop_front();
            }
            ring.push_back((index, facts));
        }
    }

    /// What an entry says, if it is among the last.
    pub(super) fn get(&self, side: LogSide, index: u64) -> Option<Arc<Facts>> {
        let rings = self.rings();
        let ring = &rings[usize::from(side.byte())];
        let at = ring.binary_search_by_key(&index, |(at, _)| *at).ok()?;
        Some(Arc::clone(&ring[at].1))
    }

    /// Lets go of what was said in a case.
    pub(super) fn let_go(&self, case: MessageId) {
        for ring in &mut *self.rings() {
            ring.retain(|(_, facts)| facts.thread != case);
        }
    }

    /// Lets go of everything.
    pub(super) fn clear(&self) {
        *self.rings() = Rings::default();
    }

    fn rings(&self) -> MutexGuard<'_, Rings> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::workflow::Said;

    fn said(case: u8, index: u64) -> (u64, Arc<Facts>) {
        let id = MessageId::from_parts(u64::from(case), [case; 10]);
        let facts = Facts {
            id,
            thread: id,
            in_reply_to: None,
            supersedes: None,
            created_at: 0,
            seen_size: 0,
            kind: 0,
            precedence: 0,
            status: 0,
            acknowledge_by: None,
            respond_by: None,
            body_digest: [0; 32],
            said: Said::Unknown,
        };
        (index, Arc::new(facts))
    }

    #[test]
    fn the_last_of_each_log_are_here() {
        let fresh = Fresh::default();
        let all: Vec<_> = (0..=FRESH_ENTRIES_MAX as u64)
            .map(|at| said(1, at))
            .collect();
        fresh.put(LogSide::Own, all.clone());
        fresh.put(LogSide::Mirror, vec![said(2, 7)]);
        assert!(fresh.get(LogSide::Own, 0).is_none(), "one over");
        for (index, facts) in &all[1..] {
            assert_eq!(fresh.get(LogSide::Own, *index).as_ref(), Some(facts));
        }
        assert_eq!(fresh.get(LogSide::Mirror, 7), Some(said(2, 7).1));
        assert!(fresh.get(LogSide::Mirror, 6).is_none());
    }

    #[test]
    fn what_is_replaced_or_erased_is_let_go() {
        let fresh = Fresh::default();
        fresh.put(LogSide::Own, vec![said(1, 0), said(2, 1), said(1, 2)]);
        fresh.put(LogSide::Own, vec![said(3, 1)]);
        assert_eq!(fresh.get(LogSide::Own, 1), Some(said(3, 1).1));
        assert!(
            fresh.get(LogSide::Own, 2).is_none(),
            "it was behind what was cut"
        );
        fresh.put(LogSide::Mirror, vec![said(1, 5)]);
        fresh.let_go(said(1, 0).1.thread);
        assert!(fresh.get(LogSide::Own, 0).is_none() && fresh.get(LogSide::Mirror, 5).is_none());
        assert!(fresh.get(LogSide::Own, 1).is_some());
        fresh.clear();
        assert!(fresh.get(LogSide::Own, 1).is_none());
    }
}

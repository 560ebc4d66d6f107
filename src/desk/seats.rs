//! Places for callers who stay: so many in all, and so many for each.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use super::caller::Caller;

/// Who is seated, and how many may be.
#[derive(Debug, Clone)]
pub(super) struct Seats {
    all_max: usize,
    caller_max: usize,
    seated: Arc<Mutex<BTreeMap<Caller, usize>>>,
    /// Told of every place that is given back.
    given_back: Arc<Notify>,
}

/// A place; gives itself back.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Seats,
    caller: Caller,
}

impl Seats {
    pub(super) fn new(all_max: usize, caller_max: usize) -> Self {
        Self {
            all_max,
            caller_max,
            seated: Arc::default(),
            given_back: Arc::default(),
        }
    }

    /// A place, unless the caller or all together have as many as they may.
    pub(super) fn take(&self, caller: &Caller) -> Option<Seat> {
        self.take_up_to(caller, self.caller_max, self.all_max)
    }

    /// The same, with other bounds for this caller and for all together.
    pub(super) fn take_up_to(
        &self,
        caller: &Caller,
        caller_max: usize,
        all_max: usize,
    ) -> Option<Seat> {
        let mut seated = self.seated.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = seated.values().sum();
        let own = seated.get(caller).copied().unwrap_or_default();
        if all >= all_max || own >= caller_max {
            return None;
        }
        seated.insert(caller.clone(), own + 1);
        Some(Seat {
            seats: self.clone(),
            caller: caller.clone(),
        })
    }
}

impl Seats {
    /// The same, as soon as there is one.
    pub(super) async fn wait_up_to(
        &self,
        caller: &Caller,
        caller_max: usize,
        all_max: usize,
    ) -> Seat {
        loop {
            if let Some(seat) = self.take_up_to(caller, caller_max, all_max) {
                return seat;
            }
            let mut given_back = pin!(self.given_back.notified());
            given_back.as_mut().enable();
            // One may have been given back before it was listened for.
            if let Some(seat) = self.take_up_to(caller, caller_max, all_max) {
                return seat;
            }
            given_back.await;
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let seats = &self.seats.seated;
        let mut seated = seats.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = seated.get_mut(&self.caller) {
            *count -= 1;
            if *count == 0 {
                seated.remove(&self.caller);
            }
        }
        drop(seated);
        self.seats.given_back.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::super::caller::Role;
    use super::*;
    use crate::limits::{CALLER_WATCHERS_MAX, WATCHERS_MAX};

    #[test]
    fn a_bound_of_ones_own_reaches_beyond_what_all_have_taken() {
        let seats = Seats::new(4, 4);
        let caller = |name: &str| Caller {
            role: Role::Integration,
            name: name.to_owned(),
        };
        let bulk: Vec<_> = (0..4)
            .map(|_| seats.take(&caller("bulk")).unwrap())
            .collect();
        assert!(seats.take(&caller("alerts")).is_none());
        let urgent = seats.take_up_to(&caller("alerts"), 5, 5).unwrap();
        assert!(seats.take_up_to(&caller("alerts"), 5, 5).is_none());
        assert!(seats.take_up_to(&caller("others"), 5, 5).is_none());
        drop((bulk, urgent));
        assert!(seats.take(&caller("others")).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_has_the_next_place_that_is_given_back() {
        let seats = Seats::new(2, 2);
        let caller = |name: &str| Caller {
            role: Role::Integration,
            name: name.to_owned(),
        };
        let (bulk, others) = (caller("bulk"), caller("others"));
        let first = seats.wait_up_to(&bulk, 1, 2).await;
        let second = seats.take(&others).unwrap();
        let waiting = {
            let (seats, bulk) = (seats.clone(), bulk.clone());
            tokio::spawn(async move { seats.wait_up_to(&bulk, 1, 2).await })
        };
        // Another's is of no use to it: its own are taken.
        drop(second);
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        assert!(!waiting.is_finished());
        drop(first);
        let third = waiting.await.unwrap();
        assert!(seats.take_up_to(&bulk, 1, 2).is_none());
        drop(third);
        assert!(seats.take_up_to(&bulk, 1, 2).is_some());
    }

    #[test]
    fn one_caller_cannot_take_every_seat() {
        let seats = Seats::new(WATCHERS_MAX, CALLER_WATCHERS_MAX);
        let caller = |number: usize| Caller {
            role: Role::Integration,
            name: number.to_string(),
        };
        let mut taken: Vec<_> = (0..CALLER_WATCHERS_MAX)
            .map(|_| seats.take(&caller(0)).unwrap())
            .collect();
        assert!(seats.take(&caller(0)).is_none());
        for number in 0.. {
            let Some(seat) = seats.take(&caller(1 + number / CALLER_WATCHERS_MAX)) else {
                break;
            };
            taken.push(seat);
        }
        assert_eq!(taken.len(), WATCHERS_MAX);
        taken.clear();
        assert!(seats.take(&caller(0)).is_some());
    }
}

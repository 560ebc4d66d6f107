//! Places for callers who stay: so many in all, and so many for each.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::caller::Caller;
use crate::limits::{CALLER_WATCHERS_MAX, WATCHERS_MAX};

/// Who is seated.
#[derive(Debug, Default, Clone)]
pub(super) struct Seats(Arc<Mutex<BTreeMap<Caller, usize>>>);

/// A place; gives itself back.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Seats,
    caller: Caller,
}

impl Seats {
    /// A place, unless the caller or all together have as many as they may.
    pub(super) fn take(&self, caller: &Caller) -> Option<Seat> {
        let mut seated = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = seated.values().sum();
        let own = seated.get(caller).copied().unwrap_or_default();
        if all >= WATCHERS_MAX || own >= CALLER_WATCHERS_MAX {
            return None;
        }
        seated.insert(caller.clone(), own + 1);
        Some(Seat {
            seats: self.clone(),
            caller: caller.clone(),
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seated = self.seats.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = seated.get_mut(&self.caller) {
            *count -= 1;
            if *count == 0 {
                seated.remove(&self.caller);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::caller::Role;
    use super::*;

    #[test]
    fn one_caller_cannot_take_every_seat() {
        let seats = Seats::default();
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

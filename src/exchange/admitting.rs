//! Which entries of the peer are being admitted: sealed, and recorded.
//!
//! A body is sealed under one key, so an entry that comes ahead of its turn and the run that brings it in its
//! turn must not be admitted at once. Other entries do not wait for each other: what is urgent goes past a
//! long run.

use std::ops::Range;

use tokio::sync::watch;

/// The entries that are being admitted on a link.
#[derive(Debug, Default)]
pub(crate) struct Admitting(watch::Sender<Vec<Range<u64>>>);

/// Entries that nobody else admits, until this is dropped.
#[derive(Debug)]
#[must_use]
pub(crate) struct Admitted<'a> {
    admitting: &'a Admitting,
    entries: Range<u64>,
}

impl Admitting {
    /// Waits until nobody admits any of these entries, of which there is at least one; from then on the
    /// caller does.
    pub(crate) async fn alone(&self, entries: Range<u64>) -> Admitted<'_> {
        let mut changes = self.0.subscribe();
        loop {
            let taken = self.0.send_if_modified(|taken| {
                let is_free = !taken.iter().any(|other| overlap(other, &entries));
                if is_free {
                    taken.push(entries.clone());
                }
                is_free
            });
            if taken {
                let admitting = self;
                return Admitted { admitting, entries };
            }
            // The sender is here: this cannot fail.
            drop(changes.changed().await);
        }
    }
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        self.admitting
            .0
            .send_modify(|taken| taken.retain(|other| *other != self.entries));
    }
}

fn overlap(one: &Range<u64>, other: &Range<u64>) -> bool {
    one.start < other.end && other.start < one.end
}

#[cfg(test)]
mod tests {
    use std::pin::{Pin, pin};
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn poll<F: Future>(future: Pin<&mut F>) -> Option<F::Output> {
        match future.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        }
    }

    #[test]
    fn an_entry_waits_for_the_run_that_it_is_in_and_for_no_other() {
        let admitting = Admitting::default();
        let run = poll(pin!(admitting.alone(4..8))).unwrap();
        for outside in [3, 8, 100] {
            let past = poll(pin!(admitting.alone(outside..outside + 1)));
            assert!(past.is_some(), "{outside}");
        }
        let mut first = pin!(admitting.alone(4..5));
        let mut last = pin!(admitting.alone(7..8));
        assert!(poll(first.as_mut()).is_none());
        assert!(poll(last.as_mut()).is_none());
        drop(run);
        let ahead = poll(last).unwrap();
        let mut all = pin!(admitting.alone(0..512));
        assert!(poll(all.as_mut()).is_none());
        drop(ahead);
        drop(poll(all).unwrap());
        assert!(poll(first).is_some());
    }
}

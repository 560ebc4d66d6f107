//! Which entries of the peer are being admitted: looked up, sealed, and recorded.
//!
//! A body is sealed under one key and an id is one message; so an entry that comes ahead of its turn and a run
//! that brings it in its turn, or brings another of the same id, must not be admitted at once. Other entries
//! do not wait for each other: what is urgent goes past a long run.

use std::collections::HashSet;
use std::ops::Range;

use tokio::sync::watch;

use crate::model::MessageId;

/// The entries that are being admitted on a link.
#[derive(Debug, Default)]
pub(crate) struct Admitting(watch::Sender<Taken>);

#[derive(Debug, Default)]
struct Taken {
    all: Vec<Admission>,
    last_serial: u64,
}

/// Entries that one caller admits, and the ids that they have.
#[derive(Debug)]
struct Admission {
    serial: u64,
    entries: Range<u64>,
    ids: HashSet<MessageId>,
}

/// Entries that nobody else admits, until this is dropped.
#[derive(Debug)]
#[must_use]
pub(crate) struct Alone<'a> {
    admitting: &'a Admitting,
    serial: u64,
}

impl Admitting {
    /// Waits until nobody admits any of these entries, of which there is at least one, nor any other of one of
    /// these ids; from then on the caller does.
    pub(crate) async fn alone(
        &self,
        entries: Range<u64>,
        ids: impl IntoIterator<Item = MessageId>,
    ) -> Alone<'_> {
        let mut waiting = Some(Admission {
            serial: 0,
            entries,
            ids: ids.into_iter().collect(),
        });
        let mut changes = self.0.subscribe();
        loop {
            let mut serial = None;
            self.0.send_if_modified(|taken| {
                let is_free = |own: &mut Admission| !taken.all.iter().any(|other| own.meets(other));
                if let Some(own) = waiting.take_if(is_free) {
                    taken.last_serial += 1;
                    serial = Some(taken.last_serial);
                    let serial = taken.last_serial;
                    taken.all.push(Admission { serial, ..own });
                }
                // Nobody waits for more to be taken.
                false
            });
            if let Some(serial) = serial {
                let admitting = self;
                return Alone { admitting, serial };
            }
            // The sender is here: this cannot fail.
            drop(changes.changed().await);
        }
    }
}

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        self.admitting
            .0
            .send_modify(|taken| taken.all.retain(|other| other.serial != self.serial));
    }
}

impl Admission {
    fn meets(&self, other: &Self) -> bool {
        let same_entry =
            self.entries.start < other.entries.end && other.entries.start < self.entries.end;
        same_entry || !self.ids.is_disjoint(&other.ids)
    }
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

    fn id(number: u8) -> MessageId {
        MessageId::from_parts(1_774_000_000_000, [number; 10])
    }

    #[test]
    fn an_entry_waits_for_the_run_that_it_is_in_and_for_no_other() {
        let admitting = Admitting::default();
        let run = poll(pin!(admitting.alone(4..8, [id(1), id(2)]))).unwrap();
        for outside in [3, 8, 100] {
            let past = poll(pin!(admitting.alone(outside..outside + 1, [id(3)])));
            assert!(past.is_some(), "{outside}");
        }
        let mut first = pin!(admitting.alone(4..5, [id(3)]));
        let mut last = pin!(admitting.alone(7..8, [id(4)]));
        assert!(poll(first.as_mut()).is_none());
        assert!(poll(last.as_mut()).is_none());
        drop(run);
        let ahead = poll(last).unwrap();
        let mut all = pin!(admitting.alone(0..512, []));
        assert!(poll(all.as_mut()).is_none());
        drop(ahead);
        drop(poll(all).unwrap());
        assert!(poll(first).is_some());
    }

    #[test]
    fn an_entry_waits_for_a_run_that_brings_its_id_elsewhere() {
        let admitting = Admitting::default();
        let run = poll(pin!(admitting.alone(4..8, [id(1), id(2)]))).unwrap();
        let mut ahead = pin!(admitting.alone(500..501, [id(2)]));
        assert!(poll(ahead.as_mut()).is_none());
        drop(run);
        let ahead = poll(ahead).unwrap();
        let mut run = pin!(admitting.alone(8..9, [id(2)]));
        assert!(poll(run.as_mut()).is_none());
        drop(ahead);
        assert!(poll(run).is_some());
    }
}

//! Pushing: what the mirror lacks, in runs under a checkpoint; what is urgent ahead of its turn.
//!
//! Whatever has gathered since the last push goes next, up to a window of entries and bytes that
//! are not yet cosigned. Each push costs signatures, syncs and a receipt, on either side; so where a small
//! one is under way already, a few entries wait until it is cosigned, or more have come, for a moment. A FLASH or IMMEDIATE entry that would have to wait behind others goes by
//! Express first; so does an acknowledgement that the next push would not bring, or that the peer lets
//! wait. The mirror takes them up again when their index comes.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, MutexGuard, PoisonError};

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::book::UrgentOutbox;
use super::read::{LogReader, ReadError, Stored};
use super::session::{Never, OwnCheckpoint, Stop, item_bytes, send};
use super::{Exchange, Link, LogSide};
use crate::crypto::checkpoint::sign_checkpoint;
use crate::limits::{
    ACKNOWLEDGEMENTS_AHEAD_MAX, ITEM_BYTES_MAX, PUSH_BYTES_MAX, PUSH_ENTRIES_READY,
    RUN_ENTRIES_READY, SMALL_PUSH_TIME_MAX, WINDOW_BYTES_MAX, WINDOW_ENTRIES_MAX,
};
use crate::proto::v1::{self, frame};
use crate::store::Direction;
use crate::tlog::leaf_hash;

/// A push that is not yet cosigned.
struct InFlight {
    /// Index behind its last entry.
    end: u64,
    bytes: usize,
    /// It brought few entries, which were all that there were, and a checkpoint that can be cosigned: what
    /// comes next may wait for that.
    is_small: bool,
    sent_at: Instant,
}

/// The sending half of one session.
pub(super) struct Pusher<'a> {
    exchange: &'a Arc<Exchange>,
    link: &'a Arc<Link>,
    reader: LogReader,
    outgoing: &'a mpsc::Sender<v1::Frame>,
    /// Size up to which the peer has cosigned in this session.
    cosigned: watch::Receiver<u64>,
    /// Index of the next entry to push.
    next_index: u64,
    /// Each push that is not yet cosigned.
    in_flight: VecDeque<InFlight>,
    in_flight_bytes: usize,
    /// Urgent entries already sent ahead in this session.
    expressed: BTreeSet<u64>,
    /// Acknowledgements sent ahead in this session that were not cosigned when last looked.
    acknowledgements_ahead: BTreeSet<u64>,
}

impl<'a> Pusher<'a> {
    pub(super) fn new(
        exchange: &'a Arc<Exchange>,
        link: &'a Arc<Link>,
        outgoing: &'a mpsc::Sender<v1::Frame>,
        cosigned: watch::Receiver<u64>,
    ) -> Self {
        let next_index = *cosigned.borrow();
        Self {
            exchange,
            link,
            reader: exchange.reader(link, LogSide::Own),
            outgoing,
            cosigned,
            next_index,
            in_flight: VecDeque::new(),
            in_flight_bytes: 0,
            expressed: BTreeSet::new(),
            acknowledgements_ahead: BTreeSet::new(),
        }
    }

    pub(super) async fn run(mut self) -> Result<Never, Stop> {
        let mut heads = self.link.watch_head();
        loop {
            let head = heads.borrow_and_update().clone();
            let cosigned_size = *self.cosigned.borrow_and_update();
            self.free_window(cosigned_size);
            // Not beyond the high-water mark: the Express frame vouches for the index.
            if let Some(index) = self.next_urgent(head.signable_size) {
                self.express(index).await?;
                continue;
            }
            let room = self.window_room(cosigned_size);
            let waits_until = self.waits_until(head.signable_size);
            // Behind one small push it waits for one round trip at most.
            let in_turn = if waits_until.is_some() && self.in_flight.len() > 1 {
                0
            } else {
                room
            };
            if let Some(index) =
                self.next_acknowledgement(cosigned_size, head.signable_size, in_turn)
            {
                self.acknowledgements_ahead.insert(index);
                self.express(index).await?;
                continue;
            }
            let has_more = self.next_index < head.signable_size;
            if has_more && room > 0 && waits_until.is_none() {
                self.push(head.signable_size, room).await?;
                continue;
            }
            let wakes_at = waits_until.unwrap_or_else(Instant::now);
            let alive = tokio::select! {
                // In a fixed order, so that a simulation replays.
                biased;
                changed = heads.changed() => changed,
                changed = self.cosigned.changed() => changed,
                () = tokio::time::sleep_until(wakes_at), if has_more && waits_until.is_some() => Ok(()),
            };
            if alive.is_err() {
                return Err(Stop::End(super::session::End::ShuttingDown));
            }
        }
    }

    fn free_window(&mut self, cosigned_size: u64) {
        while let Some(push) = self.in_flight.front() {
            if push.end > cosigned_size {
                break;
            }
            self.in_flight_bytes -= push.bytes;
            self.in_flight.pop_front();
        }
    }

    /// How many entries may be pushed now. A push is at most [`ITEM_BYTES_MAX`] large, so with
    /// room for one of that size the window in bytes is kept as well.
    fn window_room(&self, cosigned_size: u64) -> usize {
        if self.in_flight_bytes + ITEM_BYTES_MAX > WINDOW_BYTES_MAX {
            return 0;
        }
        let in_flight = self.next_index.saturating_sub(cosigned_size);
        usize::try_from(WINDOW_ENTRIES_MAX.saturating_sub(in_flight)).unwrap_or(usize::MAX)
    }

    /// Until when so few entries as stand ready go with later ones, unless the small push before them is
    /// cosigned; `None` if they go now.
    fn waits_until(&self, signable_size: u64) -> Option<Instant> {
        let ready = signable_size.saturating_sub(self.next_index);
        let before = self.in_flight.back().filter(|push| push.is_small)?;
        let until = before.sent_at + SMALL_PUSH_TIME_MAX;
        (ready < PUSH_ENTRIES_READY && Instant::now() < until).then_some(until)
    }

    /// The next urgent entry that would have to wait: others stand before it, or are under way.
    fn next_urgent(&mut self, signable_size: u64) -> Option<u64> {
        let waits_from = if self.in_flight.is_empty() {
            self.next_index + 1
        } else {
            self.next_index
        };
        let urgent = self.urgent();
        let next = urgent
            .alerts
            .range(waits_from..signable_size.max(waits_from))
            .find(|index| !self.expressed.contains(index))
            .copied();
        drop(urgent);
        self.expressed = self.expressed.split_off(&self.next_index);
        next
    }

    /// The next acknowledgement that the next push would not bring, because the window is full or too
    /// much stands before it; or that is not cosigned yet by a peer that lets what was pushed wait. Where
    /// nothing waits, it goes in its turn, and costs no second frame.
    fn next_acknowledgement(
        &mut self,
        cosigned_size: u64,
        signable_size: u64,
        room: usize,
    ) -> Option<u64> {
        self.acknowledgements_ahead = self.acknowledgements_ahead.split_off(&cosigned_size);
        if self.acknowledgements_ahead.len() >= ACKNOWLEDGEMENTS_AHEAD_MAX {
            return None;
        }
        let waits_from = if self.link.presence.borrow().slowed.is_some() {
            cosigned_size
        } else {
            self.next_index + room.min(RUN_ENTRIES_READY) as u64
        };
        let urgent = self.urgent();
        let mut waiting = urgent
            .acknowledgements
            .range(waits_from..signable_size.max(waits_from));
        waiting
            .find(|index| !self.acknowledgements_ahead.contains(index))
            .copied()
    }

    fn urgent(&self) -> MutexGuard<'_, UrgentOutbox> {
        let urgent = self.link.urgent.lock();
        urgent.unwrap_or_else(PoisonError::into_inner)
    }

    async fn express(&mut self, index: u64) -> Result<(), Stop> {
        let stored = self.reader.entry(index)?;
        let express = v1::Express {
            index,
            item: Some(item(&self.reader, &stored)?),
        };
        send(self.outgoing, frame::Frame::Express(express)).await?;
        self.expressed.insert(index);
        Ok(())
    }

    /// Sends the next entries, as many as fit, under a checkpoint of exactly their end.
    async fn push(&mut self, signable_size: u64, room: usize) -> Result<(), Stop> {
        let start_index = self.next_index;
        let entries_max = room.min(RUN_ENTRIES_READY);
        let (mut items, _) =
            self.exchange
                .gather(self.link, start_index, signable_size, entries_max)?;
        let end = start_index + items.len() as u64;
        let (end, checkpoint) = self
            .exchange
            .checkpoint_of_push(self.link, start_index, end)?;
        items.truncate(usize::try_from(end - start_index).unwrap_or(usize::MAX));
        let bytes = items.iter().map(item_bytes).sum();
        let is_covered = !checkpoint.is_empty();
        let push = v1::Push {
            start_index,
            items,
            checkpoint,
        };
        send(self.outgoing, frame::Frame::Push(push)).await?;
        self.next_index = end;
        self.in_flight.push_back(InFlight {
            end,
            bytes,
            is_small: is_covered && end == signable_size && end - start_index < PUSH_ENTRIES_READY,
            sent_at: Instant::now(),
        });
        self.in_flight_bytes += bytes;
        Ok(())
    }
}

/// What was read back must hash to what the tree holds, before a checkpoint over it is signed: one
/// flipped bit on disk would otherwise become a signed contradiction.
fn check_leaves(
    link: &Link,
    reader: &LogReader,
    start_index: u64,
    items: &[v1::Item],
) -> Result<(), ReadError> {
    let tree = link.tree(LogSide::Own);
    let end = start_index + items.len() as u64;
    let leaves = reader.leaf_hashes(&tree, start_index, end)?;
    for ((item, leaf), index) in items.iter().zip(leaves).zip(start_index..) {
        if leaf_hash(&item.entry) != leaf {
            return Err(ReadError::Damaged {
                what: "entry",
                origin: link.own.to_string(),
                index,
            });
        }
    }
    Ok(())
}

/// An entry as it travels, with its body if that is kept.
pub(super) fn item(reader: &LogReader, stored: &Stored) -> Result<v1::Item, ReadError> {
    let body = reader.body(stored)?;
    Ok(match body {
        Some((salt, body)) => v1::Item {
            entry: stored.entry.clone(),
            salt: salt.to_vec().into(),
            body,
            erased: false,
        },
        None => v1::Item {
            entry: stored.entry.clone(),
            erased: true,
            ..v1::Item::default()
        },
    })
}

impl Exchange {
    /// The next own entries with their bodies, as many as fit one push, ready to be signed over; one
    /// at least, or it is an error. With them their bytes.
    pub(super) fn gather(
        &self,
        link: &Link,
        start_index: u64,
        end: u64,
        entries_max: usize,
    ) -> Result<(Vec<v1::Item>, usize), ReadError> {
        let reader = self.reader(link, LogSide::Own);
        let mut items = Vec::new();
        let mut bytes = 0;
        'gather: while items.len() < entries_max && bytes < PUSH_BYTES_MAX {
            let from = start_index + items.len() as u64;
            // Read few at a time: bodies may be large.
            let stored = reader.entries(from, end, 64)?;
            if stored.is_empty() {
                break;
            }
            for stored in stored {
                let item = item(&reader, &stored)?;
                let size = item_bytes(&item);
                let over = bytes + size > PUSH_BYTES_MAX || items.len() == entries_max;
                if over && !items.is_empty() {
                    break 'gather;
                }
                bytes += size;
                items.push(item);
            }
        }
        if items.is_empty() {
            return Err(ReadError::Missing {
                what: "entry",
                origin: link.own.to_string(),
                index: start_index,
            });
        }
        check_leaves(link, &reader, start_index, &items)?;
        Ok((items, bytes))
    }

    /// The checkpoint for a push of entries up to `end`, and where it ends: signed now, or, where the
    /// key of that time is not at hand any more, the newest receipted one up to there. Without one the
    /// entries go without a checkpoint, which a later push brings.
    pub(super) fn checkpoint_of_push(
        &self,
        link: &Link,
        start_index: u64,
        end: u64,
    ) -> Result<(u64, String), ReadError> {
        if self.log_key(link, end).is_some() {
            let signed = self.sign_own_checkpoint(link, end)?;
            return Ok((end, signed.note.clone()));
        }
        let kept = self.reader(link, LogSide::Own).checkpoints(
            start_index + 1,
            end + 1,
            1,
            Direction::Backward,
        )?;
        Ok(kept.into_iter().next().unwrap_or((end, String::new())))
    }

    /// Signs a checkpoint of the own log. Only ever called within a session, after Hello has shown
    /// that the log extends what the peer has mirrored, or for a bundle, after such a Hello has been
    /// judged by this process; and never beyond the high-water mark: so no two trees of one size are
    /// ever signed.
    pub(super) fn sign_own_checkpoint(
        &self,
        link: &Link,
        size: u64,
    ) -> Result<OwnCheckpoint, ReadError> {
        let signable_size = link.head().signable_size;
        assert!(
            size <= signable_size,
            "a checkpoint beyond the high-water mark"
        );
        let tree = link.tree(LogSide::Own);
        let root = self.reader(link, LogSide::Own).root_at(&tree, size)?;
        let now = self.clock.unix_seconds();
        let key = self.log_key(link, size).ok_or(ReadError::Missing {
            what: "log key that holds for a checkpoint",
            origin: link.own.to_string(),
            index: size,
        })?;
        let signed = sign_checkpoint(&key, &link.own, size, root, now);
        *link
            .last_signed
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(signed.clone());
        Ok(signed)
    }
}

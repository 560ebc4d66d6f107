//! Who is in, and who is still at the door: every place is counted and gives itself back.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::accept::{AcceptLimits, WhenFull};
use super::connection::{ConnectInfo, Ending};
use super::identity::Identity;

/// Counts who is in, and who is still at the door.
#[derive(Debug)]
pub(super) struct Hall {
    limits: AcceptLimits,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    next_id: u64,
    /// By id, so the first is the oldest.
    waiting: BTreeMap<u64, Handshake>,
    seated: BTreeMap<u64, (Identity, Ending)>,
    log: LogBudget,
}

#[derive(Debug)]
struct Handshake {
    address: IpAddr,
    task: Option<AbortHandle>,
}

/// A place at the door; gives itself back.
#[derive(Debug)]
pub(super) struct Waiting {
    /// For [`Hall::can_end`].
    pub(super) id: u64,
    hall: Arc<Hall>,
}

/// A place inside; gives itself back.
#[derive(Debug)]
pub(super) struct Seat {
    id: u64,
    hall: Arc<Hall>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.hall.lock().waiting.remove(&self.id);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.hall.lock().seated.remove(&self.id);
    }
}

impl Hall {
    pub(super) fn new(limits: AcceptLimits) -> Self {
        Self {
            limits,
            state: Mutex::new(State {
                next_id: 0,
                waiting: BTreeMap::new(),
                seated: BTreeMap::new(),
                log: LogBudget::new(Instant::now()),
            }),
        }
    }

    pub(super) fn limits(&self) -> &AcceptLimits {
        &self.limits
    }

    /// A place for a handshake from `address`; `None` when as many as may are inside.
    pub(super) fn let_wait(self: &Arc<Self>, address: IpAddr) -> Option<Waiting> {
        let address = network_of(address);
        let mut state = self.lock();
        if state.seated.len() >= self.limits.connections_max {
            return None;
        }
        let of_address = || {
            state
                .waiting
                .iter()
                .filter(|(_, other)| other.address == address)
        };
        let oldest = if of_address().count() >= self.limits.address_handshakes_max {
            of_address().next().map(|(id, _)| *id)
        } else if state.waiting.len() >= self.limits.handshakes_max {
            state.waiting.keys().next().copied()
        } else {
            None
        };
        if let Some(task) = oldest
            .and_then(|id| state.waiting.remove(&id))
            .and_then(|of| of.task)
        {
            task.abort();
        }
        let id = state.next_id;
        state.next_id += 1;
        state.waiting.insert(
            id,
            Handshake {
                address,
                task: None,
            },
        );
        Some(Waiting {
            id,
            hall: self.clone(),
        })
    }

    pub(super) fn can_end(&self, id: u64, task: AbortHandle) {
        if let Some(handshake) = self.lock().waiting.get_mut(&id) {
            handshake.task = Some(task);
        }
    }

    /// From the door to the inside.
    pub(super) fn seat(self: &Arc<Self>, waiting: Waiting, info: &ConnectInfo) -> Option<Seat> {
        drop(waiting);
        self.seat_directly(info)
    }

    /// A place inside, if the caps allow it.
    pub(super) fn seat_directly(self: &Arc<Self>, info: &ConnectInfo) -> Option<Seat> {
        let mut state = self.lock();
        if state.seated.len() >= self.limits.connections_max {
            return None;
        }
        let of_identity = || {
            state
                .seated
                .values()
                .filter(|(identity, _)| *identity == info.identity)
        };
        if of_identity().count() >= self.limits.identity_connections_max {
            match self.limits.when_full {
                WhenFull::RefuseNewest => return None,
                // It leaves its place when its owner notices; until then one more is counted.
                WhenFull::CloseOldest => {
                    if let Some((_, ending)) =
                        of_identity().find(|(_, ending)| !ending.is_retiring())
                    {
                        ending.close();
                    }
                }
            }
        }
        let id = state.next_id;
        state.next_id += 1;
        state
            .seated
            .insert(id, (info.identity.clone(), info.ending.clone()));
        Some(Seat {
            id,
            hall: self.clone(),
        })
    }

    /// Cuts every connection on which no call runs, or every one; returns whether any is left.
    pub(super) fn cut(&self, busy_too: bool) -> bool {
        // Not under the lock: a connection that is cut gives its place back.
        let seated: Vec<_> = self.lock().seated.values().cloned().collect();
        for (_, ending) in seated
            .iter()
            .filter(|(_, ending)| busy_too || ending.is_idle())
        {
            ending.close();
        }
        !seated.is_empty()
    }

    /// Logs, unless strangers have used up what the log may grow by.
    pub(super) fn log(&self, write: impl FnOnce()) {
        let verdict = self.lock().log.take(Instant::now());
        if let Some(left_out) = verdict {
            if left_out > 0 {
                tracing::warn!(left_out, "refused connections were not logged one by one");
            }
            write();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The part of an address that one customer holds: all of IPv4, a /64 of IPv6.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// Lines that strangers may cause: 20 at once, then one a second.
#[derive(Debug)]
struct LogBudget {
    lines: u32,
    since: Instant,
    left_out: u64,
}

impl LogBudget {
    const LINES_MAX: u32 = 20;

    fn new(now: Instant) -> Self {
        Self {
            lines: Self::LINES_MAX,
            since: now,
            left_out: 0,
        }
    }

    /// `Some(lines left out before)` if a line may be written.
    fn take(&mut self, now: Instant) -> Option<u64> {
        let seconds = now.saturating_duration_since(self.since).as_secs();
        if seconds > 0 {
            self.since += Duration::from_secs(seconds);
            let earned = u32::try_from(seconds).unwrap_or(u32::MAX);
            self.lines = self.lines.saturating_add(earned).min(Self::LINES_MAX);
        }
        let Some(lines) = self.lines.checked_sub(1) else {
            self.left_out += 1;
            return None;
        };
        self.lines = lines;
        Some(std::mem::take(&mut self.left_out))
    }
}

//! The life of one process, point by point: it ends at any of them.
//!
//! Every seam reports here what is about to happen or has just happened: a commit, a mark, a frame.
//! A fuse counts these points down; where it burns out, the process is dead. From then on its disk
//! refuses it and its wires carry nothing of it, whatever its tasks still do.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// A place between two steps of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Point {
    /// A draft is handed in.
    Submitted,
    /// A commit is asked for; nothing of it is written.
    CommitBefore(What),
    /// It is durable; nobody knows.
    CommitAfter(What),
    /// The caller has the answer.
    Told,
    /// A mark is asked for.
    MarkBefore,
    /// A part of it is written.
    MarkTorn,
    /// It is durable.
    MarkAfter,
    /// A frame is made and has not left.
    Sending(Kind),
    /// It has left.
    Sent(Kind),
    /// A frame has arrived and was not looked at.
    Received(Kind),
}

/// What a commit is about, by the most telling of its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum What {
    /// An own entry.
    Own,
    /// Entries of the peer.
    Mirror,
    /// A receipt of the peer, kept.
    Receipt,
    /// A cosignature given, kept.
    Cosigned,
    /// An entry ahead of its turn.
    Express,
    /// A hold, an incident, a dated checkpoint, a stage.
    Other,
}

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    Hello,
    Push,
    Cosigned,
    Express,
    Heartbeat,
    Fault,
    /// A frame that this harness does not know.
    Other,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Life(Arc<Mutex<State>>, CancellationToken);

#[derive(Debug, Default)]
struct State {
    /// Points that are left to live; none: it lives until it is killed.
    fuse: Option<u64>,
    ended: Option<Ended>,
    passed: Vec<Point>,
}

impl Life {
    /// A process that ends at its `points`th point from here, the first being 0.
    pub(crate) fn until(points: Option<u64>) -> Self {
        let life = Self::default();
        life.state().fuse = points;
        life
    }

    /// Passes a point; says whether the process still lives.
    pub(crate) fn pass(&self, point: Point) -> bool {
        let mut state = self.state();
        if state.ended.is_some() {
            return false;
        }
        if state.fuse == Some(0) {
            state.ended = Some(Ended::At(point));
            drop(state);
            self.1.cancel();
            return false;
        }
        state.fuse = state.fuse.map(|left| left - 1);
        state.passed.push(point);
        true
    }

    /// Lets it end so many points from here.
    pub(crate) fn light(&self, points: u64) {
        self.state().fuse = Some(points);
    }

    /// Ends it from outside.
    pub(crate) fn kill(&self) {
        self.state().ended.get_or_insert(Ended::Killed);
        self.1.cancel();
    }

    pub(crate) fn is_over(&self) -> bool {
        self.state().ended.is_some()
    }

    /// Where the fuse burnt out; `None` while it lives and when it was killed.
    pub(crate) fn ended_at(&self) -> Option<Point> {
        match self.state().ended {
            Some(Ended::At(point)) => Some(point),
            Some(Ended::Killed) | None => None,
        }
    }

    /// Ready once it is over.
    pub(crate) async fn over(&self) {
        self.1.cancelled().await;
    }

    /// The points it passed, in order.
    pub(crate) fn passed(&self) -> Vec<Point> {
        self.state().passed.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a process ended.
#[derive(Debug, Clone, Copy)]
enum Ended {
    /// It was killed from outside.
    Killed,
    /// Its fuse burnt out.
    At(Point),
}

/// How often each point was where a process ended.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ends(pub(crate) BTreeMap<Point, u64>);

impl Ends {
    pub(crate) fn note(&mut self, point: Option<Point>) {
        if let Some(point) = point {
            *self.0.entry(point).or_default() += 1;
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (point, count) in &other.0 {
            *self.0.entry(*point).or_default() += count;
        }
    }
}

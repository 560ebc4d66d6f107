//! What ends a run from outside.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cli::exit::{Exit, Failure, OrExit as _};

/// Waits for a signal that asks this process to end. From when it is made, none of them ends it at once:
/// make it only when nobody is asked anything any more.
#[derive(Debug)]
pub(super) struct Ends {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Ends {
    /// From now on.
    pub(super) fn new() -> Result<Self, Failure> {
        let of = |kind| {
            signal(kind).or_fail(Exit::Internal, || {
                "the system does not deliver signals".to_owned()
            })
        };
        Ok(Self {
            interrupt: of(SignalKind::interrupt())?,
            terminate: of(SignalKind::terminate())?,
            hang_up: of(SignalKind::hangup())?,
        })
    }

    /// When it has come: how the run ends.
    pub(super) async fn come(&mut self) -> Failure {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
        }
        Failure::new(
            Exit::Negative,
            "interrupted: what was not finished is not told",
        )
        .remedy("what was sent to a real peer stays in both logs")
    }
}

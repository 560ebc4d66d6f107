//! What a node of the demo runs in: a process of its own, or this one.

use std::path::Path;
use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::process::Process;
use crate::cli::exit::Failure;
use crate::exchange::clock::Clock;
use crate::node::config::Config;
use crate::node::{Drained, NodeError, Surroundings, run_in};

/// A running node.
#[derive(Debug)]
pub(super) enum Host {
    /// As an administrator runs it.
    Process(Process),
    /// Within this process, by a clock of the demo's.
    Here {
        /// Told to end by this.
        stop: CancellationToken,
        /// How it ended.
        running: JoinHandle<Result<Drained, NodeError>>,
    },
}

impl Host {
    /// As a process that logs to a file.
    pub(super) fn start(config: &Path, log: &Path) -> Result<Self, Failure> {
        Process::start(config, log).map(Self::Process)
    }

    /// Within this process; it is told to end when this is dropped.
    pub(super) fn start_here(config: Config, clock: Arc<dyn Clock>) -> Self {
        let stop = CancellationToken::new();
        let told = stop.clone().cancelled_owned();
        let running = tokio::spawn(run_in(config, Surroundings { clock }, told));
        Self::Here { stop, running }
    }

    /// Whether it has ended.
    pub(super) fn has_ended(&mut self) -> bool {
        match self {
            Self::Process(process) => process.has_ended(),
            Self::Here { running, .. } => running.is_finished(),
        }
    }

    /// Returns when it has ended.
    pub(super) async fn ended(&mut self) {
        match self {
            Self::Process(process) => process.ended().await,
            Self::Here { running, .. } => drop(running.await),
        }
    }

    /// Why it ended, if it did so by itself and does not say so in its log.
    pub(super) async fn why_ended(self) -> Option<String> {
        match self {
            Self::Here { running, .. } if running.is_finished() => {
                let error = running.await.ok()?.err()?;
                Some(format!("{:#}", anyhow::Error::new(error)))
            }
            _ => None,
        }
    }

    /// Tells it to end, and waits until it has drained.
    pub(super) async fn stop(self) {
        match self {
            Self::Process(process) => process.stop().await,
            Self::Here { stop, running } => {
                stop.cancel();
                drop(running.await);
            }
        }
    }

    /// Ends it at once.
    pub(super) async fn kill(self) {
        match self {
            Self::Process(process) => process.kill().await,
            Self::Here { running, .. } => running.abort(),
        }
    }
}

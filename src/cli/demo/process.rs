//! A node as a process of its own, that never outlives the demo.
//!
//! Three ends are provided for: the demo stops it; the demo is dropped half-way (`kill_on_drop`); the
//! demo itself is killed, whereupon the kernel tells the node (`--with-parent`). It is in a process
//! group of its own, so that Ctrl-C on the terminal reaches the demo alone, which then stops it in
//! order.

use std::path::Path;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use crate::cli::exit::{Exit, Failure, OrExit as _};
use crate::limits::DRAIN_TIME_MAX;

/// Lines of a log that are shown when a node did not start.
const TAIL_LINES: usize = 12;

/// A running node.
#[derive(Debug)]
pub(super) struct Process(Child);

impl Process {
    /// Starts this program as a node; it logs to a file.
    pub(super) fn start(config: &Path, log: &Path) -> Result<Self, Failure> {
        let failed = || "a node process did not start".to_owned();
        let program = std::env::current_exe().or_fail(Exit::Internal, failed)?;
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .or_fail(Exit::CannotCreate, failed)?;
        Command::new(program)
            .arg("--config")
            .arg(config)
            .args(["node", "run", "--with-parent"])
            .arg(std::process::id().to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map(Self)
            .or_fail(Exit::Internal, failed)
    }

    /// Whether it has ended.
    pub(super) fn has_ended(&mut self) -> bool {
        !matches!(self.0.try_wait(), Ok(None))
    }

    /// Returns when it has ended.
    pub(super) async fn ended(&mut self) {
        let _ = self.0.wait().await;
    }

    /// Tells it to end, and waits until it has drained; then kills it.
    pub(super) async fn stop(mut self) {
        let pid = self
            .0
            .id()
            .and_then(|pid| i32::try_from(pid).ok())
            .and_then(Pid::from_raw);
        if let Some(pid) = pid {
            let _ = kill_process(pid, Signal::TERM);
        }
        if tokio::time::timeout(DRAIN_TIME_MAX, self.0.wait())
            .await
            .is_err()
        {
            let _ = self.0.kill().await;
        }
    }

    /// Ends it at once, as a power cut does.
    pub(super) async fn kill(mut self) {
        let _ = self.0.kill().await;
    }
}

/// The last lines of a log.
pub(in crate::cli) fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let first = lines.len().saturating_sub(TAIL_LINES);
    lines[first..].join("\n")
}

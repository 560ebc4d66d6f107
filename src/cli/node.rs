//! `liaison node run`: the node itself, in the foreground.

use std::io::IsTerminal as _;

use clap::Subcommand;
use rustix::process::{Signal, getppid, set_parent_process_death_signal};
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};

use super::connect::Target;
use super::exit::{Done, Exit, Failure, OrExit as _};
use crate::crypto::keys::SignError;
use crate::crypto::storage_key::StorageKeyError;
use crate::journal::JournalError;
use crate::node::config::{LogConfig, LogFormat};
use crate::node::storage_source::StorageError;
use crate::node::token::TokenError;
use crate::node::{Drained, NodeError, run};
use crate::store::{StoreError, VaultError};

/// The node itself.
#[derive(Debug, Subcommand)]
pub(crate) enum Node {
    /// Runs the node until SIGTERM or Ctrl-C; logs to standard error.
    Run {
        /// End when this process ends, which has started this one.
        #[arg(long, hide = true, value_name = "PID")]
        with_parent: Option<u32>,
    },
}

impl Node {
    pub(crate) async fn run(self, target: &Target) -> Done {
        let Self::Run { with_parent } = self;
        if let Some(parent) = with_parent {
            follow(parent)?;
        }
        let config = target.load_config()?;
        start_log(config.log);
        let shutdown = shutdown()?;
        let file = config.file.clone();
        match run(config, shutdown).await {
            Ok(Drained::Whole) => Ok(Exit::Ok),
            Ok(Drained::Cut) => Ok(Exit::Negative),
            Err(error) => Err(failure(error, &file)),
        }
    }
}

/// Has the kernel end this process when its parent ends, even by SIGKILL.
fn follow(parent: u32) -> Result<(), Failure> {
    set_parent_process_death_signal(Some(Signal::TERM)).or_fail(Exit::Internal, || {
        "the parent cannot be followed".to_owned()
    })?;
    // It may have ended before the kernel was asked.
    let still = getppid().and_then(|pid| u32::try_from(pid.as_raw_nonzero().get()).ok());
    if still == Some(parent) {
        Ok(())
    } else {
        Err(Failure::new(
            Exit::Negative,
            "the process that started this node has ended",
        ))
    }
}

fn failure(error: NodeError, config: &std::path::Path) -> Failure {
    failure_of(error).while_doing(format!("the node of {} did not start", config.display()))
}

/// How a command ends that could not open what the node would.
pub(super) fn failure_of(error: NodeError) -> Failure {
    let exit = match &error {
        // It may be put back while the service manager tries again. A PIN must not be tried again.
        NodeError::Token(TokenError::Token(SignError::Away { .. } | SignError::Missing { .. })) => {
            Exit::Unavailable
        }
        NodeError::Storage(StorageError::Key(
            StorageKeyError::Away { .. } | StorageKeyError::Missing { .. },
        ))
        | NodeError::Bind { .. }
        | NodeError::Local(_) => Exit::Unavailable,
        NodeError::Vault(VaultError::Store(StoreError::InUse { .. }))
        | NodeError::Store(StoreError::InUse { .. })
        | NodeError::Journal(JournalError::Full { .. }) => Exit::TryLater,
        NodeError::Passphrase(_)
        | NodeError::Storage(_)
        | NodeError::Key(_)
        | NodeError::Vault(_)
        | NodeError::LiesSealed { .. }
        | NodeError::Token(_)
        | NodeError::Unencrypted { .. }
        | NodeError::Card { .. }
        | NodeError::PublicKeys(_)
        | NodeError::SaveKeys { .. }
        | NodeError::Material(_) => Exit::Config,
        NodeError::Store(_) | NodeError::Open(_) | NodeError::Journal(_) | NodeError::Signal(_) => {
            Exit::Internal
        }
    };
    Failure::of(exit, anyhow::Error::new(error))
}

/// Log lines go to standard error; whoever runs the node collects them there.
fn start_log(log: LogConfig) {
    let builder = tracing_subscriber::fmt()
        .with_max_level(log.level)
        .with_writer(std::io::stderr)
        // It would tell of a line that cannot be written by panicking where standard error lies on
        // the same full or broken disk: in the midst of whatever is being done.
        .log_internal_errors(false);
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    // A subscriber that is there already is a test's; it stays.
    let _ = match log.format {
        LogFormat::Text => builder
            .with_ansi(std::io::stderr().is_terminal() && !plain)
            .with_target(false)
            .try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
}

/// Ends at the first SIGTERM or SIGINT. A second one ends the process, whatever it is doing: what
/// was acknowledged is durable, as after SIGKILL.
fn shutdown() -> Result<impl Future<Output = ()>, Failure> {
    let failed = || "the system does not deliver signals".to_owned();
    let mut terminate = signal(SignalKind::terminate()).or_fail(Exit::Internal, failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).or_fail(Exit::Internal, failed)?;
    Ok(async move {
        either(&mut terminate, &mut interrupt).await;
        tokio::spawn(async move {
            either(&mut terminate, &mut interrupt).await;
            tracing::error!("told a second time to end: ending at once");
            std::process::exit(i32::from(Exit::Negative.code()));
        });
    })
}

async fn either(one: &mut Signals, other: &mut Signals) {
    tokio::select! {
        _ = one.recv() => {}
        _ = other.recv() => {}
    }
}

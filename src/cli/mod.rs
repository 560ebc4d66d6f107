//! What was typed to printed answer.
//!
//! # Layout
//!
//! One file per noun: `init`, `peer`, `node`, `new`, `check`, `send`, `list`, `show`, `forward`, `case`,
//! `watch`, `ack`, `due`, `countersign`, `report`, `letter`, `status`, `link`, `keys`, `recover`, `audit`,
//! `bundle`, `backup`, `restore`, `erase`, `retention` (and `hold`), `journal`, `calendar`, `gate`, `demo`, `bench`.
//! Beside them what they share: `connect`
//! (which configuration, the way to the desk), `refused` (what the node's refusal means),
//! `exit` (how a command ends), `draft`, `attach`; and for showing: `print` (the only place
//! that prints), `table`, `when`, `words`, `levels`, `summary`, `form`.

mod ack;
mod attach;
mod audit;
mod backup;
mod bench;
mod bundle;
mod calendar;
mod case;
mod check;
mod connect;
mod countersign;
mod demo;
mod draft;
mod due;
mod erase;
mod exit;
mod form;
mod forward;
mod gate;
mod guard;
mod init;
mod journal;
mod keys;
mod letter;
mod levels;
mod link;
mod list;
mod new;
mod node;
mod peer;
mod print;
mod recover;
mod refused;
mod report;
mod restore;
mod retention;
mod send;
mod show;
mod status;
mod summary;
mod table;
mod watch;
mod when;
mod words;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;

use self::connect::Target;
use self::exit::{Done, OrExit as _};
pub use self::exit::{Exit, Failure, Told};
use self::print::Screen;

/// Signed notifications between two border authorities, with two mirrored logs and receipts that
/// verify offline.
#[derive(Debug, Parser)]
#[command(name = "liaison", version, about, max_term_width = 100, after_long_help = exit::HELP)]
#[command(after_help = "More, with exit codes: liaison --help. Begin with: liaison demo")]
#[command(
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true
)]
struct Cli {
    /// Answer as JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    target: Target,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(init::Init),
    #[command(subcommand)]
    Peer(peer::Peer),
    #[command(subcommand)]
    Node(node::Node),
    New(new::New),
    Check(check::Check),
    Send(Box<send::Send>),
    List(Box<list::List>),
    Show(show::Show),
    Forward(forward::Forward),
    #[command(subcommand)]
    Case(case::Case),
    Watch(watch::Watch),
    Ack(Box<ack::Ack>),
    Due(due::Due),
    Countersign(Box<countersign::Countersign>),
    Report(Box<report::Report>),
    #[command(subcommand)]
    Letter(letter::Letter),
    Status(status::Status),
    #[command(subcommand)]
    Link(link::Link),
    Recover(recover::Recover),
    #[command(subcommand)]
    Journal(journal::Journal),
    #[command(subcommand)]
    Keys(keys::Keys),
    #[command(subcommand)]
    Audit(audit::Audit),
    Backup(backup::Backup),
    Restore(restore::Restore),
    Erase(erase::Erase),
    Hold(retention::Hold),
    #[command(subcommand)]
    Retention(retention::Retention),
    #[command(subcommand)]
    Bundle(bundle::Bundle),
    #[command(subcommand)]
    Calendar(calendar::Calendar),
    #[command(subcommand)]
    Gate(gate::GateCommand),
    Demo(demo::Demo),
    Bench(Box<bench::Bench>),
    /// Prints completions for a shell, to be put where it looks for them.
    Completions {
        /// Which shell.
        shell: Shell,
    },
}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    if let Err(error) = guard::protect() {
        print::fault(&format!(
            "liaison: what this process has in memory could not be kept from core dumps: {error}"
        ));
    }
    let cli = Cli::parse(); // answers --help and usage errors by itself, with 0 and 2
    let outcome = cli.run();
    match outcome {
        Ok(exit) => exit.into(),
        Err(failure) => {
            if let Failure::Told(told) = &failure {
                print::failure(told);
            }
            failure.exit().into()
        }
    }
}

impl Cli {
    fn run(self) -> Done {
        let screen = Screen::of_process(self.json);
        let target = self.target;
        match self.command {
            Command::Init(init) => init.run(screen),
            Command::Peer(peer) => peer.run(&target, screen),
            Command::Completions { shell } => completions(shell, screen),
            Command::Node(node) => on_threads(node.run(&target)),
            Command::New(new) => in_turn(new.run(&target, screen)),
            Command::Check(check) => in_turn(check.run(screen)),
            Command::Send(send) => in_turn(send.run(&target, screen)),
            Command::List(list) => in_turn(list.run(&target, screen)),
            Command::Show(show) => in_turn(show.run(&target, screen)),
            Command::Forward(forward) => in_turn(forward.run(&target, screen)),
            Command::Case(case) => in_turn(case.run(&target, screen)),
            Command::Watch(watch) => in_turn(watch.run(&target, screen)),
            Command::Ack(ack) => in_turn(ack.run(&target, screen)),
            Command::Due(due) => in_turn(due.run(&target, screen)),
            Command::Countersign(countersign) => in_turn(countersign.run(&target, screen)),
            Command::Report(report) => in_turn(report.run(&target, screen)),
            Command::Letter(letter) => letter.run(&target, screen),
            Command::Status(status) => in_turn(status.run(&target, screen)),
            Command::Link(link) => in_turn(link.run(&target, screen)),
            Command::Journal(journal) => in_turn(journal.run(&target, screen)),
            Command::Keys(keys) => in_turn(keys.run(&target, screen)),
            Command::Recover(recover) => on_threads(recover.run(&target, screen)),
            Command::Audit(audit) => audit.run(&target, screen),
            Command::Bundle(bundle) => bundle.run(&target, screen),
            Command::Backup(backup) => in_turn(backup.run(&target, screen)),
            Command::Restore(restore) => restore.run(&target, screen),
            Command::Erase(erase) => in_turn(erase.run(&target, screen)),
            Command::Hold(hold) => in_turn(hold.run(&target, screen)),
            Command::Retention(retention) => in_turn(retention.run(&target, screen)),
            Command::Calendar(calendar) => calendar.run(&target, screen),
            Command::Gate(gate) => gate.run(screen),
            Command::Demo(demo) => on_threads(demo.run(screen)),
            Command::Bench(bench) => in_turn(bench.run(&target, screen)),
        }
    }
}

fn completions(shell: Shell, screen: Screen) -> Done {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "liaison", &mut script);
    screen.raw(&script)?;
    Ok(Exit::Ok)
}

/// Runs a client on this thread.
fn in_turn(work: impl Future<Output = Done>) -> Done {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime
        .or_fail(Exit::Internal, || "the runtime did not start".to_owned())?
        .block_on(work)
}

/// Runs a node on all processors.
fn on_threads(work: impl Future<Output = Done>) -> Done {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    runtime
        .or_fail(Exit::Internal, || "the runtime did not start".to_owned())?
        .block_on(work)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_flags_may_stand_anywhere() {
        let cli =
            Cli::try_parse_from(["liaison", "list", "--json", "--config", "x", "--own"]).unwrap();
        assert!(cli.json && cli.target.config.is_some());
        let conflict = Cli::try_parse_from(["liaison", "list", "--own", "--from-peer"]);
        assert!(conflict.is_err());
    }
}

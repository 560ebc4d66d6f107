//! `liaison demo`: both sides on one machine, from nothing to a verified export.
//!
//! Nothing here is a mock-up: the sides are made by what `init` and `peer add` do, the nodes are two
//! processes of this program, and all that is sent goes through their desks.
//!
//! - [`sides`]: making both sides in a directory that is the demo's own.
//! - [`host`]: what a node runs in; [`process`]: a process that ends with the demo.
//! - [`board`]: what happens, told as the nodes tell it.
//! - [`drafts`]: what is said; [`pdf`]: a file to attach.
//! - [`story`]: the order of events.
//! - [`verdict`]: exporting, verifying and reconciling it all.
//! - [`year`]: another story, a whole year of four nodes.

mod board;
mod drafts;
mod host;
mod pdf;
pub(super) mod process;
pub(super) mod sides;
mod story;
mod verdict;
mod year;

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};

use self::sides::Sides;
use super::connect::quoted;
use super::exit::{Done, Exit, Failure, OrExit as _};
use super::print::Screen;
use super::table::Style;

/// Shows all of it: makes two sides, runs their nodes, exchanges messages of every kind, proves it.
///
/// Everything is in one directory and on the loopback interface; nothing else is touched.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Where. A directory that is there must be empty or an earlier demo's, which is made anew.
    #[arg(long, value_name = "DIR", default_value = "demo")]
    dir: PathBuf,
    /// What is shown.
    #[arg(long, value_enum, default_value_t = Scenario::Day)]
    scenario: Scenario,
    /// End when all has been shown; else the nodes keep running to be played with.
    #[arg(long)]
    once: bool,
}

/// What a demo shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Scenario {
    /// Two nodes and one message of many kinds, told as it happens.
    Day,
    /// Four nodes, the year 2025 of two pairs at full speed, with its figures.
    #[value(name = "year-2025")]
    Year2025,
}

impl Demo {
    pub(crate) async fn run(self, screen: Screen) -> Done {
        let failed = || "the system does not deliver signals".to_owned();
        let mut terminate = signal(SignalKind::terminate()).or_fail(Exit::Internal, failed)?;
        let mut interrupt = signal(SignalKind::interrupt()).or_fail(Exit::Internal, failed)?;

        if self.scenario == Scenario::Year2025 {
            let stop = async {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
            };
            return year::show(&self.dir, self.once, stop, screen).await;
        }
        // Whatever ends the story, the nodes are stopped behind it.
        let mut sides = Sides::make(&self.dir, screen)?;
        let outcome = tokio::select! {
            outcome = show(&mut sides, self.once, screen) => outcome,
            _ = interrupt.recv() => Ok(Exit::Ok),
            _ = terminate.recv() => Ok(Exit::Ok),
        };
        if !self.once {
            screen.note("\nstopping both nodes");
        }
        sides.stop().await;
        outcome
    }
}

async fn show(sides: &mut Sides, once: bool, screen: Screen) -> Done {
    let told = story::tell(sides, screen).await?;
    screen.line("")?;
    screen.styled(
        "7  Both logs exported by both sides, verified and compared offline",
        Style::Bold,
    )?;
    let verdict = verdict::reach(sides, true).await?;
    verdict.tell(screen)?;
    verdict::summarise(sides, &told, &verdict, screen)?;
    if !verdict.is_clean() {
        return Err(Failure::new(
            Exit::Negative,
            "something is wrong with what the demo has recorded",
        ));
    }
    if once {
        return Ok(Exit::Ok);
    }
    suggest(sides, screen)?;
    sides.tell_ends(screen).await
}

/// What to try while the nodes run.
fn suggest(sides: &Sides, screen: Screen) -> Result<(), Failure> {
    let program = program();
    let (ours, theirs) = (&sides.vn, &sides.cn);
    let config = |side: &sides::Side| quoted(&side.config);
    let dir = &sides.dir;
    let first = sides.first_alert.as_deref().unwrap_or("ID");
    screen.line("")?;
    screen.styled(
        "Both nodes keep running until Ctrl-C. In another terminal, here:",
        Style::Bold,
    )?;
    screen.line(format!(
        "
  alias lc='{program} --config {ours_config}'
  alias hk='{program} --config {theirs_config}'

  lc status
  lc list
  hk show {first}
  hk watch                      # leave it running, and meanwhile:
  lc send {letter} --attach {annex} --wait delivered
  lc audit proof {first}
  {program} audit verify {export} --trust {keys}

Change any byte under {dir}/export and verify again.
Kill a node, send to it, start it again:
  hk node run
The nodes log to
  {ours_log}
  {theirs_log}",
        ours_config = config(ours),
        theirs_config = config(theirs),
        letter = quoted(&dir.join("samples/official-letter.json")),
        annex = quoted(&dir.join("samples/phu-luc-27.pdf")),
        export = quoted(&sides.export_of(ours)),
        keys = quoted(&sides.trusted_keys_file()),
        dir = dir.display(),
        ours_log = ours.log_file().display(),
        theirs_log = theirs.log_file().display(),
    ))
}

/// This program, as it can be typed here.
pub(super) fn program() -> String {
    let here = std::env::current_dir().unwrap_or_default();
    match std::env::current_exe() {
        Ok(path) => {
            let short = path
                .strip_prefix(&here)
                .map(Path::to_path_buf)
                .unwrap_or(path);
            quoted(&short)
        }
        Err(_) => "liaison".to_owned(),
    }
}

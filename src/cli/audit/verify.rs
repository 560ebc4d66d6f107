//! `liaison audit verify` and `reconcile`: judging exports, with no node and no configuration.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{equivocation, trust, verdict};
use crate::audit::Progress;
use crate::audit::reconcile::reconcile;
use crate::audit::verify::verify_export;
use crate::cli::exit::{Done, Exit, Failure};
use crate::cli::print::{Bar, Screen};

/// Re-checks an export, or evidence that a key signed two logs, from the keys alone. Needs no node
/// and no configuration.
///
/// Exits with 0 if nothing is wrong with an export, with 3 if a file of evidence proves what it is
/// for, and with 1 if either does not hold.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The export, a directory; or the file that `link evidence` has written.
    #[arg(value_name = "DIR|FILE")]
    dir: PathBuf,
    /// Believe only these keys: the card of a side, or a file with one vkey a line (# begins a
    /// remark); may be given several times, so once for each side's card.
    #[arg(long, value_name = "FILE")]
    trust: Vec<PathBuf>,
}

/// Compares the exports of both sides, and reports every difference.
///
/// It judges the differences; run verify on each export as well.
#[derive(Debug, Args)]
pub(crate) struct Reconcile {
    /// The export of one side.
    dir_a: PathBuf,
    /// The export of the other.
    dir_b: PathBuf,
}

impl Verify {
    pub(crate) fn run(self, screen: Screen) -> Done {
        if self.dir.is_file() {
            return equivocation::run(&self.dir, &self.trust, screen);
        }
        refuse_no_dir(&self.dir)?;
        let trusted = if self.trust.is_empty() {
            None
        } else {
            Some(trust::read(&self.trust)?)
        };
        let bar = Bar::items("verifying", 0);
        let verdict = verify_export(&self.dir, trusted.as_deref(), &mut |progress| {
            show(&bar, progress);
        });
        drop(bar);
        let clean = "Nothing is wrong: every signature, tree, receipt and body holds.";
        verdict::tell(&verdict, clean, screen)
    }
}

impl Reconcile {
    pub(crate) fn run(self, screen: Screen) -> Done {
        refuse_no_dir(&self.dir_a)?;
        refuse_no_dir(&self.dir_b)?;
        let bar = Bar::items("comparing", 0);
        let verdict = reconcile(&self.dir_a, &self.dir_b, &mut |progress| {
            show(&bar, progress);
        });
        drop(bar);
        if !screen.json {
            screen.line(format!("A  {}", self.dir_a.display()))?;
            screen.line(format!("B  {}\n", self.dir_b.display()))?;
        }
        let clean = "Both sides hold the same: every entry and body, index by index.";
        verdict::tell(&verdict, clean, screen)
    }
}

fn show(bar: &Bar, progress: Progress<'_>) {
    bar.total(progress.total);
    bar.at(progress.done);
}

fn refuse_no_dir(dir: &Path) -> Result<(), Failure> {
    if dir.is_dir() {
        return Ok(());
    }
    Err(
        Failure::new(Exit::Data, format!("{} is not a directory", dir.display()))
            .remedy("name the folder that liaison audit export has written"),
    )
}

//! `liaison audit verify` and `reconcile`: judging exports, with no node and no configuration.

use std::path::{Path, PathBuf};

use clap::Args;

use super::verdict;
use crate::audit::Progress;
use crate::audit::reconcile::reconcile;
use crate::audit::verify::verify_export;
use crate::cli::exit::{Done, Exit, Failure, OrExit as _};
use crate::cli::print::{Bar, Screen};
use crate::crypto::vkey::VerifierKey;
use crate::limits::EXPORT_KEYS_MAX;

/// Re-checks an export from the keys alone. Needs no node and no configuration.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The export.
    dir: PathBuf,
    /// Believe only these keys: a file with one vkey a line; # begins a remark.
    #[arg(long, value_name = "FILE")]
    trust: Option<PathBuf>,
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
        refuse_no_dir(&self.dir)?;
        let trusted = self.trust.as_deref().map(read_keys).transpose()?;
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

/// Reads verifier keys, one a line.
pub(super) fn read_keys(file: &Path) -> Result<Vec<VerifierKey>, Failure> {
    let text = std::fs::read_to_string(file)
        .or_fail(Exit::Data, || format!("the keys in {}", file.display()))?;
    let mut keys = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let at = || format!("{}, line {}", file.display(), number + 1);
        keys.push(VerifierKey::parse(line).or_fail(Exit::Data, at)?);
        if keys.len() > EXPORT_KEYS_MAX {
            return Err(Failure::new(
                Exit::Data,
                format!("more than {EXPORT_KEYS_MAX} keys"),
            ));
        }
    }
    if keys.is_empty() {
        return Err(
            Failure::new(Exit::Data, format!("{} names no key", file.display()))
                .remedy("write one vkey a line, as liaison peer show prints them"),
        );
    }
    Ok(keys)
}

//! `liaison bench plot`: results of this command as drawings, SVG files that stand by themselves.
//!
//! Several files are read as one: what was measured twice at one place is drawn at its median.

mod chosen;

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Deserialize;

use super::report::FORMAT;
use crate::cli::exit::{Done, Exit, Failure, OrExit as _};
use crate::cli::print::Screen;
use crate::limits::BENCH_FILE_BYTES_MAX;
use crate::model::text::escape;

/// Draws results that were saved as JSON.
///
/// What they hold decides what is drawn: throughput and latency over the window, throughput over
/// the entries that the log had before, and over the number of links, each if at least two such
/// figures are there. What is left out of them is said. All results must be of one machine and of
/// one version of this program.
#[derive(Debug, Args)]
pub(crate) struct Plot {
    /// Results, as --save wrote them.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Where the drawings go; those of the same names there are replaced.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// What of a result is drawn. The rest of it is passed over.
#[derive(Debug, Deserialize)]
struct Result {
    program: String,
    machine: Machine,
    runs: Vec<serde_json::Value>,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Machine {
    cores: u64,
    model: String,
    kernel: String,
}

/// A run with one load. Others have no such figures.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LoadRun {
    scenario: String,
    by: String,
    window: u64,
    window_until: String,
    payload_bytes: u64,
    mix: String,
    /// What the receiver's Watch showed; nobody watched if absent.
    watch: Option<String>,
    /// Measured with the machine of somebody else.
    peer: Option<String>,
    links: u64,
    entries_before: u64,
    per_second: f64,
    receipt_verified: Times,
    bounds: Option<Bounds>,
}

#[derive(Debug, Clone, Deserialize)]
struct Times {
    p50: f64,
    p99: f64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bounds {
    store_free_per_second: f64,
    this_store_per_second: f64,
}

/// Scenarios whose runs are drawn: they have the figures of [`LoadRun`].
const DRAWN: [&str; 3] = ["throughput", "growth", "links"];

impl Plot {
    pub(super) fn run(&self, screen: Screen) -> Done {
        let (mut runs, mut first): (Vec<LoadRun>, Option<(&Path, Result)>) = (Vec::new(), None);
        // How many there are of each scenario that has no drawing.
        let mut others: BTreeMap<String, usize> = BTreeMap::new();
        for file in &self.files {
            let result = read(file)?;
            for run in &result.runs {
                let scenario = run.get("scenario").and_then(serde_json::Value::as_str);
                match scenario.unwrap_or("an unnamed scenario") {
                    drawn if DRAWN.contains(&drawn) => runs.push(load_run(file, run)?),
                    other => *others.entry(shown(other)).or_default() += 1,
                }
            }
            let Some((before, known)) = &first else {
                first = Some((file, result));
                continue;
            };
            let different = if known.machine != result.machine {
                "machines"
            } else if known.program != result.program {
                "versions of this program"
            } else {
                continue;
            };
            let what = format!(
                "{} and {} are of different {different}, whose figures do not belong in one drawing",
                before.display(),
                file.display()
            );
            return Err(
                Failure::new(Exit::Data, what).remedy("draw each by itself, with another --out")
            );
        }
        let source = first.map(|(_, result)| source(&result)).unwrap_or_default();
        let (drawings, mut left_out) = chosen::drawings(&runs, &source);
        left_out.extend(
            others.iter().map(|(scenario, count)| {
                format!("of {scenario} nothing is drawn: left out {count}")
            }),
        );
        if drawings.is_empty() {
            return Err(
                Failure::new(Exit::Data, "there is nothing to draw: no two figures lie beside each other")
                    .remedy("measure at several windows, sizes of the log or numbers of links: liaison bench suite"),
            );
        }
        let failed = || format!("the directory {}", self.out.display());
        std::fs::create_dir_all(&self.out).or_fail(Exit::CannotCreate, failed)?;
        let mut written = Vec::new();
        for (name, drawing) in drawings {
            let path = self.out.join(name);
            std::fs::write(&path, drawing).or_fail(Exit::CannotCreate, || {
                format!("the file {}", path.display())
            })?;
            written.push(path);
        }
        if screen.json {
            screen.json(&serde_json::json!({ "files": written, "leftOut": left_out }))?;
        } else {
            for what in left_out {
                screen.note(what);
            }
            for path in written {
                screen.line(path.display().to_string())?;
            }
        }
        Ok(Exit::Ok)
    }
}

fn source(result: &Result) -> String {
    let machine = &result.machine;
    shown(&format!(
        "liaison {}, {} cores, {}, Linux {}",
        result.program, machine.cores, machine.model, machine.kernel
    ))
}

/// Text out of a file, on one line.
fn shown(text: &str) -> String {
    escape(text).chars().take(110).collect()
}

fn read(file: &Path) -> std::result::Result<Result, Failure> {
    let reading = || format!("the file {}", file.display());
    let mut bytes = Vec::new();
    std::fs::File::open(file)
        .and_then(|file| {
            file.take(BENCH_FILE_BYTES_MAX as u64 + 1)
                .read_to_end(&mut bytes)
        })
        .or_fail(Exit::Data, reading)?;
    let remedy = "give files that liaison bench --save FILE has written";
    if bytes.len() > BENCH_FILE_BYTES_MAX {
        let what = format!(
            "{} is longer than {BENCH_FILE_BYTES_MAX} bytes",
            file.display()
        );
        return Err(Failure::new(Exit::Data, what).remedy(remedy));
    }
    let value: serde_json::Value = serde_json::from_slice(&bytes)
        .or_fail(Exit::Data, reading)
        .map_err(|failure| failure.remedy(remedy))?;
    let format = value.get("format").and_then(serde_json::Value::as_str);
    if format != Some(FORMAT) {
        let found = format.map_or_else(
            || "nothing".to_owned(),
            |found| format!("\"{}\"", shown(found)),
        );
        let what = format!(
            "format in {}: it says {found}, not \"{FORMAT}\"",
            file.display()
        );
        return Err(Failure::new(Exit::Data, what).remedy(remedy));
    }
    serde_json::from_value(value)
        .or_fail(Exit::Data, reading)
        .map_err(|failure| failure.remedy(remedy))
}

/// The figures of a run that is drawn.
fn load_run(file: &Path, run: &serde_json::Value) -> std::result::Result<LoadRun, Failure> {
    LoadRun::deserialize(run)
        .or_fail(Exit::Data, || format!("a run in {}", file.display()))
        .map_err(|failure| {
            failure.remedy("measure again with this version: liaison bench --save FILE")
        })
}

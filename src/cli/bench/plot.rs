//! `liaison bench plot`: results of this command as drawings, SVG files that stand by themselves.
//!
//! Several files are read as one: what was measured twice at one place is drawn at its median.

mod chosen;

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
/// figures are there. All results must be of one machine.
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
    window: u64,
    payload_bytes: u64,
    mix: String,
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

/// Scenarios whose runs have the figures of [`LoadRun`].
const OF_LOADS: [&str; 4] = ["throughput", "growth", "links", "disk"];

impl Plot {
    pub(super) fn run(&self, screen: Screen) -> Done {
        let (mut runs, mut first): (Vec<LoadRun>, Option<(&Path, Result)>) = (Vec::new(), None);
        for file in &self.files {
            let result = read(file)?;
            for run in &result.runs {
                runs.extend(load_run(file, run)?);
            }
            match &first {
                Some((before, known)) if known.machine != result.machine => {
                    let what = format!(
                        "{} and {} are of different machines, whose figures do not belong in one drawing",
                        before.display(),
                        file.display()
                    );
                    return Err(Failure::new(Exit::Data, what)
                        .remedy("draw each by itself, with another --out"));
                }
                Some(_) => {}
                None => first = Some((file, result)),
            }
        }
        let source = first.map(|(_, result)| source(&result)).unwrap_or_default();
        let drawings = chosen::drawings(&runs, &source);
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
            screen.json(&serde_json::json!({ "files": written }))?;
        } else {
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

/// The figures of a run with a load; none if it is of another scenario.
fn load_run(file: &Path, run: &serde_json::Value) -> std::result::Result<Option<LoadRun>, Failure> {
    let scenario = run.get("scenario").and_then(serde_json::Value::as_str);
    if !scenario.is_some_and(|scenario| OF_LOADS.contains(&scenario)) {
        return Ok(None);
    }
    LoadRun::deserialize(run)
        .map(Some)
        .or_fail(Exit::Data, || format!("a run in {}", file.display()))
        .map_err(|failure| {
            failure.remedy("measure again with this version: liaison bench --save FILE")
        })
}

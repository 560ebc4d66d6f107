//! `liaison bench` as its users run it: what it reports adds up, and nothing of it stays behind.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod ended;
mod figures;
mod peer;

use std::path::Path;
use std::process::{Command, Output, Stdio};

use rustix::process::Pid;
use serde_json::Value;

/// The command, in a directory of its own.
fn bench(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_liaison"));
    command
        .env_remove("LIAISON_CONFIG")
        .env_remove("LIAISON_DESK")
        .env_remove("COLUMNS")
        .current_dir(dir)
        .stdin(Stdio::null())
        .arg("bench");
    command
}

/// Standard output of a run that succeeds.
#[track_caller]
fn ok(output: &Output) -> String {
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{out}\n{err}");
    out
}

/// Standard error of a run that ends with a code.
#[track_caller]
fn refused(output: &Output, code: i32) -> String {
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{err}");
    assert!(output.stdout.is_empty());
    err
}

/// The node processes of a run in a directory.
fn nodes_in(dir: &Path) -> Vec<Pid> {
    let dir = dir.to_str().unwrap();
    let mut nodes = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap_or_default();
        let Some(pid) = name.parse().ok().and_then(Pid::from_raw) else {
            continue;
        };
        // It may have ended meanwhile.
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains(dir) && line.contains(" node run ") {
            nodes.push(pid);
        }
    }
    nodes
}

/// Nothing of a run is left in its directory, nor runs.
#[track_caller]
fn nothing_is_left(dir: &Path) {
    assert_eq!(nodes_in(dir), []);
    assert_eq!(std::fs::read_dir(dir).unwrap().count(), 0);
}

#[track_caller]
fn number(value: &Value, pointer: &str) -> f64 {
    let found = value.pointer(pointer);
    let number = found.and_then(Value::as_f64);
    number.unwrap_or_else(|| panic!("{pointer} is no number: {found:?}"))
}

/// Percentiles are there, and in order.
#[track_caller]
fn in_order(run: &Value, what: &str) {
    let percentiles = ["p50", "p90", "p99", "p999", "max"];
    let times = percentiles.map(|name| number(run, &format!("/{what}/{name}")));
    assert!(times[0] > 0.0, "{what}");
    assert!(times.is_sorted(), "{what}: {times:?}");
}

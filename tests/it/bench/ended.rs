//! Runs that do not come to their end.

use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::{bench, nodes_in, nothing_is_left, refused};
use crate::nodes::PATIENCE;

/// A run that would take hours, as soon as both its nodes do.
fn begun(dir: &Path) -> (Child, Vec<Pid>) {
    let arguments = "--count 100000000 --rounds 1";
    let mut run = bench(dir)
        .args(arguments.split(' '))
        .args(["--dir", dir.to_str().unwrap()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let nodes = nodes_in(dir);
        if nodes.len() == 2 {
            return (run, nodes);
        }
        assert!(run.try_wait().unwrap().is_none(), "it has ended");
        assert!(Instant::now() < deadline, "no two nodes: {nodes:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn an_interrupted_run_stops_its_nodes_and_removes_their_directory() {
    // By whoever typed it, and by a terminal that was closed.
    for signal in [Signal::INT, Signal::HUP] {
        let dir = tempfile::tempdir().unwrap();
        let (run, _) = begun(dir.path());
        let pid = Pid::from_raw(run.id().try_into().unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
        let told = refused(&run.wait_with_output().unwrap(), 1);
        assert!(told.contains("interrupted"), "{told}");
        nothing_is_left(dir.path());
    }
}

#[test]
fn a_series_that_is_ended_tells_what_it_had_finished() {
    let dir = tempfile::tempdir().unwrap();
    let out = tempfile::tempdir().unwrap();
    let saved = out.path().join("suite.json");
    let mut run = bench(dir.path())
        .args(["suite", "--part", "2000", "--rounds", "1"])
        .args(["--dir", dir.path().to_str().unwrap()])
        .arg("--save")
        .arg(&saved)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The directory of the third step is made when two are finished, and removed when it is.
    let deadline = Instant::now() + PATIENCE;
    let scratch = dir.path().join(format!("liaison-bench-{}", run.id()));
    while !scratch.join("3-throughput").is_dir() {
        assert!(run.try_wait().unwrap().is_none(), "it has ended");
        assert!(Instant::now() < deadline, "no third step");
        std::thread::sleep(Duration::from_millis(5));
    }
    let pid = Pid::from_raw(run.id().try_into().unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    let output = run.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(
        told.contains("This is not all: throughput did not come to its end"),
        "{told}"
    );
    assert!(told.contains("single: "), "{told}");
    let result: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&saved).unwrap()).unwrap();
    assert_eq!(result["failed"], "throughput");
    assert_eq!(result["runs"].as_array().unwrap().len(), 2);
    nothing_is_left(dir.path());
}

#[test]
fn a_node_that_ends_ends_the_run_and_its_last_words_are_shown() {
    let dir = tempfile::tempdir().unwrap();
    let (run, nodes) = begun(dir.path());
    kill_process(nodes[0], Signal::KILL).unwrap();
    let told = refused(&run.wait_with_output().unwrap(), 69);
    assert!(told.contains("the node of the "), "{told}");
    assert!(told.contains("its log says:"), "{told}");
    nothing_is_left(dir.path());
}

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
    let dir = tempfile::tempdir().unwrap();
    let (run, _) = begun(dir.path());
    let pid = Pid::from_raw(run.id().try_into().unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    let told = refused(&run.wait_with_output().unwrap(), 1);
    assert!(told.contains("interrupted"), "{told}");
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

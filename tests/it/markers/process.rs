//! What a node has in memory leaves it in no core dump, and to no other process of its user.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Command;

use crate::nodes::{LEFT, Node};

/// Somebody who is not root, as nodes run.
const NOBODY: &str = "65534";

fn is_root() -> bool {
    rustix::process::getuid().is_root()
}

/// A node that runs as nobody, if we are root; the shell before it allows core dumps.
async fn started(dir: &Path) -> Node {
    let mut node = Node::init(dir, LEFT);
    let allow = "ulimit -c unlimited 2>/dev/null || ulimit -c $(ulimit -H -c); exec \"$@\"";
    let shell = ["-c", allow, "sh"];
    if is_root() {
        let owner = format!("{NOBODY}:{NOBODY}");
        let given = Command::new("chown").args(["-R", &owner]).arg(dir).status();
        assert!(given.unwrap().success());
        let as_nobody = [
            "setpriv",
            "--reuid",
            NOBODY,
            "--regid",
            NOBODY,
            "--clear-groups",
        ];
        node.start_under("sh", &[&shell[..], &as_nobody].concat());
    } else {
        node.start_under("sh", &shell);
    }
    node.desk().await;
    node
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_dumps_no_core_and_lets_nobody_read_its_memory() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = started(dir.path()).await;
    let proc = |what: &str| format!("/proc/{}/{what}", node.pid());
    let limits = fs::read_to_string(proc("limits")).unwrap();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"));
    let words: Vec<&str> = line.unwrap().split_whitespace().collect();
    assert_eq!(words[4..6], ["0", "0"], "{line:?}");
    // Of a process that may not be looked at, the kernel gives all that tells of its memory to root.
    let owner = |what: &str| fs::metadata(proc(what)).unwrap().uid();
    let own = fs::metadata(proc("")).map(|meta| meta.uid()).unwrap();
    for what in ["mem", "environ", "maps", "pagemap"] {
        assert_eq!(owner(what), 0, "{what}, of a process of {own}");
    }
    let told = fs::read_to_string(proc("status")).unwrap();
    let uid = told.lines().find(|line| line.starts_with("Uid:")).unwrap();
    assert_ne!(
        uid.split_whitespace().nth(1),
        Some("0"),
        "it does not run as root"
    );

    node.signal("ABRT");
    let ended = node.ended();
    assert_eq!(ended.signal(), Some(6));
    assert!(!ended.core_dumped());
}

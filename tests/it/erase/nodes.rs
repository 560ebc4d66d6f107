//! Two real nodes, their disks, and the command line: an erasure as an administrator does it, killed at
//! each sync, and under key files that are older than it. Needs `strace`, and the right to trace.

use std::path::Path;

use crate::killed_midway::{copy, kill_later};
use crate::nodes::{Node, RIGHT, liaison, pair, succeed};

fn at<'a>(config: &'a str, args: &[&'a str]) -> Vec<&'a str> {
    [&["--config", config], args].concat()
}

fn command(node: &Node, args: &[&str]) -> String {
    succeed(&at(&node.config(), args))
}

/// The ids of own letters, oldest first.
fn letters(node: &Node) -> Vec<String> {
    let listed = command(node, &["list", "--json", "--own"]);
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let messages = listed["messages"].as_array().unwrap();
    let letters = messages
        .iter()
        .filter(|m| m["kind"] == "KIND_OFFICIAL_LETTER");
    let mut ids: Vec<_> = letters
        .map(|message| message["id"].as_str().unwrap().to_owned())
        .collect();
    ids.reverse();
    ids
}

fn json(node: &Node, id: &str) -> serde_json::Value {
    serde_json::from_str(&command(node, &["show", id, "--json"])).unwrap()
}

/// Whether the body is read; if not, it is told who erased it.
fn is_readable(node: &Node, id: &str) -> bool {
    let message = json(node, id);
    let has_body = message["body"].is_object();
    assert_ne!(has_body, message["erasure"].is_object(), "{message:#}");
    has_body
}

const ORDER: [&str; 5] = [
    "--reason",
    "end of retention",
    "--authority",
    "Decree 13/2023, art. 16",
    "--yes",
];

fn erase(node: &Node, id: &str) -> std::process::Output {
    let config = node.config();
    liaison(&at(&config, &[&["erase", id], &ORDER[..]].concat()))
}

fn notices(node: &Node) -> usize {
    let listed = command(node, &["list", "--json", "--own"]);
    listed.matches("\"KIND_ERASURE_NOTICE\"").count()
}

async fn running(parent: &Path, count: usize) -> (Node, Node, Vec<String>) {
    let (mut left, mut right) = pair(parent);
    left.start();
    right.start();
    left.say(RIGHT, 0..count).await;
    left.delivered(RIGHT).await;
    let ids = letters(&left);
    assert_eq!(ids.len(), count);
    (left, right, ids)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_erases_and_an_auditor_finds_everything_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let (mut left, mut right, ids) = running(dir.path(), 3).await;
    let copies = dir.path().join("copies");
    command(
        &left,
        &[
            "keys",
            "backup",
            copies.to_str().unwrap(),
            "--label",
            "két an toàn 2",
        ],
    );
    let would = liaison(&at(&left.config(), &["erase", &ids[1], "--preview"]));
    let would = String::from_utf8(would.stderr).unwrap();
    assert!(would.contains("will be destroyed for ever"), "{would}");
    assert!(would.contains("két an toàn 2"), "{would}");
    assert!(is_readable(&left, &ids[1]));
    // Not without being asked, or --yes.
    let config = left.config();
    let asked = liaison(&at(&config, &[&["erase", &ids[1]], &ORDER[..4]].concat()));
    assert!(!asked.status.success() && is_readable(&left, &ids[1]));
    let done = erase(&left, &ids[1]);
    let told = String::from_utf8(done.stderr).unwrap();
    assert!(done.status.success(), "{told}");
    assert!(told.contains("erased; the other side is told"), "{told}");
    assert!(told.contains("liaison keys backup --destroyed"), "{told}");
    let shown = command(&left, &["show", &ids[1]]);
    assert!(shown.contains("erased on "), "{shown}");
    assert!(
        shown.contains(" under Decree 13/2023, art. 16: end of retention"),
        "{shown}"
    );
    assert!(is_readable(&left, &ids[0]) && is_readable(&left, &ids[2]));
    left.delivered(RIGHT).await;
    right.desk().await;
    let theirs = command(&right, &["show", &ids[1]]);
    assert!(theirs.contains("the peer's"), "{theirs}");
    assert!(json(&right, &ids[1])["body"].is_object());
    // Both exports verify, and say of each other's what is missing and what is not.
    for (node, erased) in [(&left, true), (&right, false)] {
        let export = dir.path().join(format!("export-of-{}", node.name));
        let to = export.to_str().unwrap();
        command(node, &["audit", "export", "--proofs", to]);
        let verdict = succeed(&["audit", "verify", "--json", to]);
        let manifest = std::fs::read_to_string(export.join("MANIFEST.json")).unwrap();
        assert_eq!(
            manifest.contains("\"erased\""),
            erased,
            "{verdict}\n{manifest}"
        );
        assert_eq!(
            manifest.contains("under Decree 13/2023, art. 16"),
            erased,
            "{manifest}"
        );
    }
    let journal = command(&left, &["journal", "list"]);
    assert!(
        journal.contains("erased") && journal.contains("end of retention"),
        "{journal}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_that_is_killed_at_any_sync_is_done_or_was_never_begun() {
    let dir = tempfile::tempdir().unwrap();
    let (mut left, mut right, ids) = running(dir.path(), 3).await;
    left.stop();
    right.stop();
    let parts = ["data", "body-keys", "journal"];
    let fresh = dir.path().join("fresh");
    std::fs::create_dir(&fresh).unwrap();
    for part in parts {
        if left.dir.join(part).exists() {
            copy(&left.dir.join(part), &fresh.join(part));
        }
    }
    let (mut killed, mut done, mut kept) = (0, 0, 0);
    for nth in 1..40 {
        for part in parts {
            if fresh.join(part).exists() {
                copy(&fresh.join(part), &left.dir.join(part));
            }
        }
        left.start();
        left.desk().await;
        let tracer = kill_later(&left, nth);
        let is_killed = !erase(&left, &ids[1]).status.success();
        if is_killed {
            killed += 1;
            assert!(!left.ended().success());
        } else {
            // Before the next look is journalled, and killed at that.
            left.kill();
        }
        tracer.join().unwrap();
        left.start();
        left.desk().await;
        if is_readable(&left, &ids[1]) {
            assert!(is_killed);
            kept += 1;
            assert_eq!(notices(&left), 0, "at {nth}");
            assert!(erase(&left, &ids[1]).status.success(), "at {nth}");
        } else {
            done += 1;
        }
        assert!(!is_readable(&left, &ids[1]));
        assert_eq!(notices(&left), 1, "at {nth}");
        assert!(
            is_readable(&left, &ids[0]) && is_readable(&left, &ids[2]),
            "at {nth}"
        );
        left.kill();
        if !is_killed {
            break;
        }
    }
    assert!(
        killed >= 4 && kept >= 1 && done >= 2,
        "{killed} {kept} {done}"
    );
    right.start();
    left.start();
    left.delivered(RIGHT).await;
    assert!(is_readable(&right, &ids[1]));
}

/// Someone puts an older copy of the key files back by hand: what was erased stays erased.
#[tokio::test(flavor = "multi_thread")]
async fn an_older_copy_of_the_key_files_brings_nothing_back() {
    let dir = tempfile::tempdir().unwrap();
    let (mut left, _right, ids) = running(dir.path(), 3).await;
    let keys = left.dir.join("body-keys");
    let old = dir.path().join("old");
    copy(&keys, &old);
    assert!(erase(&left, &ids[1]).status.success());
    left.stop();
    copy(&old, &keys);
    left.start();
    left.desk().await;
    assert!(left.log().contains("destroyed again"), "{}", left.log());
    assert!(!is_readable(&left, &ids[1]));
    assert!(is_readable(&left, &ids[0]) && is_readable(&left, &ids[2]));
}

//! Recovery with real processes, TLS and disks: a store that is gone, and one that was put back.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use liaison::proto::v1::LinkState;
use serde_json::Value;

use crate::nodes::{LEFT, Node, RIGHT, letter, liaison, pair, succeed};

fn in_node<'a>(config: &'a str, args: &[&'a str]) -> Vec<&'a str> {
    [&["--config", config], args].concat()
}

fn said(node: &Node, args: &[&str]) -> String {
    succeed(&in_node(&node.config(), args))
}

/// Sends a letter with a file.
fn send_with_file(node: &Node, to: &str, number: usize, bytes: usize) {
    let draft = serde_json::json!({
        "recipient": to,
        "body": {"officialLetter": {
            "common": {
                "fromOffice": "Phòng mẫu", "toOffice": "示例办公室", "legalBasis": ["Điều 1"],
                "languages": ["vi"], "notApplicable": ["place", "replyBy"],
            },
            "letterNumber": format!("{number}/MẪU"),
            "subject": {"texts": {"vi": "Về việc mẫu"}},
            "text": {"texts": {"vi": "Nội dung mẫu."}},
            "signatory": {"name": "Nguyễn Văn Mẫu", "rank": "Đại úy", "office": "Phòng mẫu"},
        }},
    });
    let file = node.dir.join(format!("file-{number}.bin"));
    let byte = u8::try_from(number % 251).unwrap();
    std::fs::write(&file, vec![byte; bytes]).unwrap();
    let path = node.dir.join("draft.json");
    std::fs::write(&path, draft.to_string()).unwrap();
    said(
        node,
        &[
            "send",
            path.to_str().unwrap(),
            "--attach",
            file.to_str().unwrap(),
        ],
    );
}

async fn is_quiet(left: &mut Node, right: &mut Node) {
    for _ in 0..3 {
        let a = left
            .until(RIGHT, "quiet", |l| {
                l.state() == LinkState::Up
                    && l.own_size == l.delivered_size
                    && l.attachments_incoming + l.attachments_outgoing == 0
            })
            .await;
        right
            .until(LEFT, "quiet", |l| {
                l.state() == LinkState::Up
                    && l.own_size == l.delivered_size
                    && l.mirrored_size >= a.own_size
                    && l.attachments_incoming + l.attachments_outgoing == 0
            })
            .await;
    }
}

/// What people see, and the heads by an export that verifies.
#[derive(Debug, PartialEq)]
struct Seen {
    ids: Vec<String>,
    due: Value,
    checkpoints: Vec<(String, String)>,
}

fn seen(node: &Node, export: &Path) -> Seen {
    drop(std::fs::remove_dir_all(export));
    said(node, &["audit", "export", export.to_str().unwrap()]);
    succeed(&["audit", "verify", export.to_str().unwrap()]);
    let list: Value = serde_json::from_str(&said(node, &["list", "--json", "--limit", "500"]))
        .unwrap_or_default();
    let text = list.to_string();
    let mut ids: Vec<String> = text
        .split("\"id\":\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next().map(str::to_owned))
        .collect();
    ids.sort();
    assert!(!ids.is_empty(), "{text}");
    let due: Value = serde_json::from_str(&said(node, &["due", "--json"])).unwrap();
    let due = due["dues"].clone();
    let mut checkpoints = Vec::new();
    for log in std::fs::read_dir(export).unwrap() {
        let file = log.unwrap().path().join("checkpoint");
        if file.exists() {
            let note = std::fs::read_to_string(&file).unwrap();
            // Origin, size and root; dates of receipts are compared by their files.
            let head: Vec<&str> = note.lines().take(3).collect();
            checkpoints.push((
                file.parent().unwrap().display().to_string(),
                head.join("\n"),
            ));
        }
    }
    checkpoints.sort();
    Seen {
        ids,
        due,
        checkpoints,
    }
}

#[tokio::test]
async fn a_store_that_is_gone_comes_back_through_a_kill_and_the_files_with_it() {
    let parent = tempfile::tempdir().unwrap();
    let (mut left, mut right) = pair(parent.path());
    // The side that loses its store only accepts: the peer has to bring the files.
    left.set_link(RIGHT, "dial = false");
    left.start();
    right.start();
    is_quiet(&mut left, &mut right).await;
    for number in 0..4 {
        send_with_file(&left, RIGHT, number, 300_000);
        send_with_file(&right, LEFT, 100 + number, 300_000);
    }
    is_quiet(&mut left, &mut right).await;
    let export = parent.path().join("export");
    let before = seen(&left, &export);
    left.stop();
    right.stop();
    std::fs::remove_dir_all(left.dir.join("data/sled")).unwrap();
    for entry in std::fs::read_dir(left.dir.join("data/blobs")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            std::fs::remove_file(path).unwrap();
        }
    }
    let config = left.config();
    let refused = liaison(&in_node(&config, &["node", "run"]));
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(told.contains("liaison recover"), "{told}");

    // Killed while it waits for the peer: the new store stands, and nothing is in it.
    let mut child = Command::new(env!("CARGO_BIN_EXE_liaison"))
        .args(in_node(&config, &["recover"]))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(
        lines
            .map(Result::unwrap)
            .any(|line| line.contains("waiting for the peer"))
    );
    child.kill().unwrap();
    child.wait().unwrap();

    right.start();
    right.desk().await;
    let output = liaison(&in_node(&config, &["recover", "--json"]));
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{output:?}");
    let told: Value = serde_json::from_str(&told).unwrap();
    let link = &told["links"][0];
    assert_eq!(link["state"], "whole", "{told:#}");
    assert_eq!(link["filesMissing"], 0);
    assert_eq!(link["restored"]["lost"], 0);
    let old: Vec<_> = std::fs::read_dir(left.dir.join("data"))
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().into_string().ok())
        .filter(|name| name.starts_with("lost-"))
        .collect();
    assert_eq!(old.len(), 1, "set aside once: {old:?}");

    left.start();
    is_quiet(&mut left, &mut right).await;
    assert_eq!(seen(&left, &export), before);
    let other = parent.path().join("other");
    seen(&right, &other);
    succeed(&[
        "audit",
        "reconcile",
        export.to_str().unwrap(),
        other.to_str().unwrap(),
    ]);
    // And it goes on.
    send_with_file(&left, RIGHT, 9, 1_000);
    is_quiet(&mut left, &mut right).await;
}

#[tokio::test]
async fn an_old_copy_put_back_is_filled_up_by_itself() {
    let parent = tempfile::tempdir().unwrap();
    let (mut left, mut right) = pair(parent.path());
    left.start();
    right.start();
    let mut desk = left.desk().await;
    for number in 0..20 {
        let draft = Some(letter(RIGHT, number));
        desk.submit(liaison::proto::v1::SubmitRequest { draft })
            .await
            .unwrap();
    }
    is_quiet(&mut left, &mut right).await;
    left.stop();
    let (data, old) = (left.dir.join("data"), left.dir.join("old"));
    let copied = Command::new("cp").arg("-a").args([&data, &old]).status();
    assert!(copied.unwrap().success());
    left.start();
    let mut desk = left.desk().await;
    for number in 20..60 {
        let draft = Some(letter(RIGHT, number));
        desk.submit(liaison::proto::v1::SubmitRequest { draft })
            .await
            .unwrap();
    }
    send_with_file(&right, LEFT, 7, 100_000);
    is_quiet(&mut left, &mut right).await;
    let export = parent.path().join("export");
    let before = seen(&left, &export);
    left.stop();
    std::fs::remove_dir_all(&data).unwrap();
    std::fs::rename(&old, &data).unwrap();

    left.start();
    left.until(RIGHT, "whole again", |l| {
        l.state() == LinkState::Up && l.own_size >= 60 && l.own_size == l.delivered_size
    })
    .await;
    is_quiet(&mut left, &mut right).await;
    assert_eq!(seen(&left, &export), before);
    let status = said(&left, &["status"]);
    assert!(status.contains("the records are back"), "{status}");
    let other = parent.path().join("other");
    seen(&right, &other);
    succeed(&[
        "audit",
        "reconcile",
        export.to_str().unwrap(),
        other.to_str().unwrap(),
    ]);
}

#[tokio::test]
async fn what_only_the_old_store_had_is_appended_again_and_what_nobody_has_is_counted() {
    let parent = tempfile::tempdir().unwrap();
    let (mut left, mut right) = pair(parent.path());
    left.start();
    right.start();
    is_quiet(&mut left, &mut right).await;
    send_with_file(&left, RIGHT, 1, 10_000);
    is_quiet(&mut left, &mut right).await;
    right.stop();
    let sends = async |left: &mut Node, numbers: std::ops::Range<usize>| {
        left.start();
        let mut desk = left.desk().await;
        for number in numbers {
            let draft = Some(letter(RIGHT, number));
            desk.submit(liaison::proto::v1::SubmitRequest { draft })
                .await
                .unwrap();
        }
        left.stop();
    };
    left.stop();
    sends(&mut left, 0..3).await;
    // The disk gave up the last two; the marks know of them.
    let (data, copy) = (left.dir.join("data"), left.dir.join("copy"));
    let copied = Command::new("cp").arg("-a").args([&data, &copy]).status();
    assert!(copied.unwrap().success());
    sends(&mut left, 3..5).await;
    std::fs::remove_dir_all(data.join("sled")).unwrap();
    std::fs::rename(copy.join("sled"), data.join("sled")).unwrap();

    right.start();
    right.desk().await;
    let config = left.config();
    let output = liaison(&in_node(&config, &["recover"]));
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(
        told.contains("3 recorded here and not known to the peer"),
        "{told}"
    );
    assert!(told.contains("2 LOST: "), "{told}");
    // Nothing is signed at sizes that may have been signed before, until a person says so.
    assert!(told.contains("sign them a second time"), "{told}");
    left.start();
    left.desk().await;
    said(
        &left,
        &["link", "release", RIGHT, "--reason", "they have none of it"],
    );
    is_quiet(&mut left, &mut right).await;
    let link = right
        .until(LEFT, "all that there is", |l| l.mirrored_size >= 4)
        .await;
    assert_eq!(link.mirrored_size, 4);
}

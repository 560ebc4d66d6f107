//! The journal of two real nodes: kill -9, witnessing over real TLS, verdicts with and without the node.

use std::path::Path;

use liaison::proto::v1;
use serde_json::Value;

use crate::nodes::{LEFT, Node, PATIENCE, RIGHT, liaison, pair, succeed};

fn journal(node: &Node, args: &[&str]) -> String {
    succeed(&[&["--config", &node.config(), "journal"], args].concat())
}

fn listed(node: &Node, args: &[&str]) -> Vec<Value> {
    let all = [&["list", "--json", "--limit", "100000"], args].concat();
    let lines = journal(node, &all);
    lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn verdict(args: &[&str]) -> (bool, Value) {
    let output = liaison(&[&["journal", "verify", "--json"], args].concat());
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let verdict = serde_json::from_slice(&output.stdout);
    (
        output.status.success(),
        verdict.unwrap_or_else(|_| panic!("{told}")),
    )
}

fn one(id: &str) -> v1::GetRequest {
    v1::GetRequest {
        id: id.to_owned(),
        ..v1::GetRequest::default()
    }
}

/// Waits until a peer has cosigned at least so many entries.
async fn witnessed(node: &Node, peer: &str, size: u64) {
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let (_, verdict) = verdict(&["--config", &node.config()]);
        let by = verdict["witnessed"].as_array().unwrap().iter();
        let by = by.filter(|by| by["peer"] == peer);
        if by
            .filter_map(|by| by["size"].as_u64())
            .any(|held| held >= size)
        {
            return;
        }
        assert!(
            std::time::Instant::now() < deadline,
            "{verdict:#}\n{}",
            node.log()
        );
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_witness_each_other_and_a_rewritten_journal_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let (mut left, mut right) = pair(dir.path());
    left.start();
    right.start();
    left.say(RIGHT, 0..3).await;
    left.delivered(RIGHT).await;
    // At the least what was there when the session came up.
    witnessed(&left, RIGHT, 3).await;
    witnessed(&right, LEFT, 3).await;
    let cards = [left.card(), right.card()];
    let (left_card, right_card) = (cards[0].to_str().unwrap(), cards[1].to_str().unwrap());
    let folder = dir.path().join("journal");
    let folder = folder.to_str().unwrap();
    journal(&left, &["export", folder]);
    // A backup brings it along, each time in place of the one before, and it verifies by itself.
    let bak = dir.path().join("bak");
    for _ in 0..2 {
        let config = left.config();
        succeed(&["--config", &config, "backup", bak.to_str().unwrap()]);
        let beside = dir.path().join("bak.journal");
        let (good, told) = verdict(&[
            beside.to_str().unwrap(),
            "--trust",
            left_card,
            "--trust",
            right_card,
        ]);
        assert!(good, "{told:#}");
        assert_eq!(told["witnessed"][0]["peer"], RIGHT);
        for gone in ["bak.journal.new", "bak.journal.old"] {
            assert!(!dir.path().join(gone).exists());
        }
    }
    let note = dir.path().join("note");
    std::fs::write(&note, journal(&right, &["witnessed", LEFT])).unwrap();
    left.stop();
    right.stop();
    let all = [
        folder,
        "--trust",
        left_card,
        "--trust",
        right_card,
        "--against",
        note.to_str().unwrap(),
    ];
    let (good, told) = verdict(&all);
    assert!(good, "{told:#}");
    assert_eq!(told["keysWereGiven"], true);

    // One byte of one entry.
    let bundles = Path::new(folder).join("tile/entries/000.p");
    let bundle = std::fs::read_dir(&bundles)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let mut bytes = std::fs::read(&bundle).unwrap();
    let at = bytes.len() - 1;
    bytes[at] ^= 1;
    std::fs::write(&bundle, &bytes).unwrap();
    let (good, told) = verdict(&all);
    assert!(!good, "{told:#}");
    bytes[at] ^= 1;
    std::fs::write(&bundle, &bytes).unwrap();
    assert!(verdict(&all).0);

    // The administrator begins another journal. The node says so, and the peer sees it.
    let config = left.config();
    std::fs::rename(left.dir.join("journal"), left.dir.join("hidden")).unwrap();
    // A reason that cannot be taken moves nothing.
    for reason in ["", "a\u{202e}b", &"y".repeat(513)] {
        let begun = ["--config", &config, "journal", "begin", "--reason", reason];
        assert!(!liaison(&begun).status.success());
        assert!(!left.dir.join("journal").exists());
        assert!(left.dir.join("data/JOURNAL").exists());
    }
    left.start();
    let log = loop {
        if let Some(status) = Some(left.ended()) {
            assert!(!status.success());
            break left.log();
        }
    };
    assert!(log.contains("liaison journal begin --reason"), "{log}");
    let begun = [
        "--config",
        &config,
        "journal",
        "begin",
        "--reason",
        "mất đĩa",
    ];
    succeed(&begun);
    left.start();
    right.start();
    drop(left.desk().await);
    let first = listed(&left, &["--act", "begun"]);
    assert_eq!(first[0]["why"], "mất đĩa");
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let mut told = false;
        for node in [&mut left, &mut right] {
            let status = node.desk().await.status(v1::StatusRequest {}).await;
            let incidents = status.unwrap().into_inner().incidents;
            told |= incidents
                .iter()
                .any(|incident| incident.what.contains("set back"));
        }
        if told {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{}", right.log());
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    left.stop();
    right.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_journal_that_does_not_open_the_node_runs_and_refuses_until_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (mut left, mut right) = pair(dir.path());
    left.start();
    right.start();
    left.say(RIGHT, 0..2).await;
    left.delivered(RIGHT).await;
    left.kill();
    // What no program opens.
    let lock = left.dir.join("journal/LOCK");
    std::fs::remove_file(&lock).unwrap();
    std::fs::create_dir(&lock).unwrap();
    left.start();
    // The desk answers, messages go both ways.
    left.say(RIGHT, 2..4).await;
    left.delivered(RIGHT).await;
    let mut desk = left.desk().await;
    let page = desk.list(v1::ListRequest::default()).await.unwrap();
    let id = page.into_inner().messages[0].id.clone();
    let refused = desk.get(one(&id)).await.unwrap_err();
    assert!(
        refused.message().contains("journal has failed"),
        "{refused}"
    );
    std::fs::remove_dir(&lock).unwrap();
    // Whatever failed, nothing goes on as if it had not.
    desk.get(one(&id)).await.unwrap_err();
    left.stop();
    left.start();
    left.desk().await.get(one(&id)).await.unwrap();
    let started = listed(&left, &["--act", "started"]);
    assert_eq!(started.len(), 2);
    let (good, told) = verdict(&["--config", &left.config()]);
    assert!(good, "{told:#}");
    left.stop();
    right.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_again_and_again_it_loses_and_doubles_nothing_that_was_answered() {
    let dir = tempfile::tempdir().unwrap();
    let (mut left, right) = pair(dir.path());
    drop(right);
    left.start();
    left.say(RIGHT, 0..1).await;
    let mut desk = left.desk().await;
    let page = desk.list(v1::ListRequest::default()).await.unwrap();
    let id = page.into_inner().messages[0].id.clone();
    let mut answered = 0_usize;
    for round in 0..5 {
        let mut reads = Vec::new();
        let client = left.desk().await;
        for _ in 0..8 {
            let (mut client, id) = (client.clone(), id.clone());
            reads.push(tokio::spawn(async move {
                let mut shown = 0_usize;
                while client.get(one(&id)).await.is_ok() {
                    shown += 1;
                }
                shown
            }));
        }
        // In the midst of it, wherever that is.
        let mut desk = left.desk().await;
        for _ in 0..10 * (round + 1) {
            desk.get(one(&id)).await.unwrap();
            answered += 1;
        }
        left.kill();
        for read in reads {
            answered += read.await.unwrap();
        }
        left.start();
        drop(left.desk().await);
        let noted = listed(&left, &["--act", "read"]);
        // Each body that was shown is noted, and at most what was under way besides.
        assert!(noted.len() >= answered, "{} {answered}", noted.len());
        assert!(
            noted.len() <= answered + 9 * (round + 1),
            "{} {answered}",
            noted.len()
        );
        let mut indices: Vec<_> = listed(&left, &[])
            .iter()
            .map(|line| line["index"].as_u64().unwrap())
            .collect();
        indices.reverse();
        assert!(indices.iter().copied().eq(0..indices.len() as u64));
        let (good, told) = verdict(&["--config", &left.config()]);
        assert!(good, "{told:#}");
    }
    left.stop();
}

//! Keys that change while two real nodes speak over real TLS and disks, with the command line that
//! administrators use; exports from before and after.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::{Path, PathBuf};

use liaison::proto::v1;
use serde_json::Value;

use crate::nodes::{LEFT, Node, RIGHT, liaison, succeed};

/// Two nodes with recovery keys, that know each other; not started.
fn pair(parent: &Path) -> (Node, Node) {
    let (left, right) = (Node::init(parent, LEFT), Node::init(parent, RIGHT));
    for node in [&left, &right] {
        let file = recovery_file(node);
        keys(node, &["recovery", "init", "--unencrypted", "--out", &file]);
    }
    left.add_peer(&right.card());
    right.add_peer(&left.card());
    (left, right)
}

fn recovery_file(node: &Node) -> String {
    node.dir.join("safe.pem").to_str().unwrap().to_owned()
}

/// `liaison keys …` at a node.
fn keys(node: &Node, args: &[&str]) -> String {
    let config = node.config();
    succeed(&[&["--config", &config, "keys"], args].concat())
}

/// The standing of each own key of a role, oldest first.
fn standing(node: &Node, role: &str) -> Vec<String> {
    let listed: Value = serde_json::from_str(&keys(node, &["list", "--json"])).unwrap();
    let own = listed["links"][0]["own"]["keys"].as_array().unwrap();
    own.iter()
        .filter(|key| key["role"] == role)
        .map(|key| key["standing"].as_str().unwrap().to_owned())
        .collect()
}

fn export(node: &Node, name: &str) -> PathBuf {
    let dir = node.dir.join(name);
    succeed(&[
        "--config",
        &node.config(),
        "audit",
        "export",
        "--proofs",
        dir.to_str().unwrap(),
    ]);
    dir
}

fn verify(dir: &Path, cards: &[&Path]) -> Value {
    let mut args = vec!["audit", "verify", "--json", dir.to_str().unwrap()];
    for card in cards {
        args.extend(["--trust", card.to_str().unwrap()]);
    }
    let output = liaison(&args);
    let verdict: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(output.status.success(), "{verdict:#}");
    verdict
}

/// Waits until only the newest key of a role holds, on every link.
async fn alone(node: &mut Node, role: &str, ended: usize, how: &str) {
    let mut wanted = vec![how.to_owned(); ended];
    wanted.push("signs".to_owned());
    let deadline = std::time::Instant::now() + crate::nodes::PATIENCE;
    while standing(node, role) != wanted {
        assert!(
            std::time::Instant::now() < deadline,
            "{:?}",
            standing(node, role)
        );
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_key_changes_under_traffic_and_all_exports_verify_from_the_first_cards() {
    let dir = tempfile::tempdir().unwrap();
    let (mut left, mut right) = pair(dir.path());
    let cards = [left.card(), right.card()];
    let cards = [cards[0].as_path(), cards[1].as_path()];
    left.start();
    right.start();
    left.say(RIGHT, 0..5).await;
    right.say(LEFT, 0..5).await;
    left.delivered(RIGHT).await;
    right.delivered(LEFT).await;
    let before = export(&left, "before");
    verify(&before, &cards);

    // Under traffic, one with the peer there, one while it is away, and over restarts.
    keys(&left, &["rotate", "message", "--reason", "mẫu"]);
    left.say(RIGHT, 10..20).await;
    keys(&right, &["rotate", "log"]);
    right.say(LEFT, 10..20).await;
    alone(&mut left, "message", 1, "retired").await;
    alone(&mut right, "log", 1, "retired").await;
    right.stop();
    keys(&left, &["rotate", "log"]);
    keys(&left, &["rotate", "message"]);
    left.say(RIGHT, 20..30).await;
    left.kill();
    left.start();
    left.say(RIGHT, 30..40).await;
    right.start();
    alone(&mut left, "log", 1, "retired").await;
    right.say(LEFT, 20..30).await;
    left.delivered(RIGHT).await;
    right.delivered(LEFT).await;
    // The files follow once the peer has confirmed all of it.
    let deadline = std::time::Instant::now() + crate::nodes::PATIENCE;
    while left.dir.join("keys/log.pem.next").exists()
        || left.dir.join("keys/message.pem.next").exists()
    {
        assert!(std::time::Instant::now() < deadline, "{}", left.log());
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    left.stop();
    left.start();
    left.say(RIGHT, 40..45).await;
    left.delivered(RIGHT).await;

    let (ours, theirs) = (export(&left, "ours"), export(&right, "theirs"));
    for dir in [&ours, &theirs] {
        let verdict = verify(dir, &cards);
        assert_eq!(verdict["counts"]["refused"], 0, "{verdict:#}");
        verify(dir, &[]);
    }
    verify(&before, &cards);
    succeed(&[
        "audit",
        "reconcile",
        ours.to_str().unwrap(),
        theirs.to_str().unwrap(),
    ]);
    // A card of today makes a link of today; it does not vouch for what was before.
    let today = [left.card(), right.card()];
    let mut args = vec!["audit", "verify", ours.to_str().unwrap()];
    for card in &today {
        args.extend(["--trust", card.to_str().unwrap()]);
    }
    assert!(!liaison(&args).status.success());
    left.stop();
    right.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_key_ends_by_the_recovery_key_while_the_node_runs() {
    let dir = tempfile::tempdir().unwrap();
    let (mut left, mut right) = pair(dir.path());
    let cards = [left.card(), right.card()];
    let cards = [cards[0].as_path(), cards[1].as_path()];
    left.start();
    right.start();
    left.say(RIGHT, 0..5).await;
    left.delivered(RIGHT).await;
    let file = recovery_file(&left);
    for which in ["message", "log"] {
        keys(
            &left,
            &[
                "revoke",
                which,
                "--recovery",
                &file,
                "--unencrypted",
                "--reason",
                "mất trộm",
            ],
        );
        alone(&mut left, which, 1, "revoked").await;
        left.say(RIGHT, 10..15).await;
        right.say(LEFT, 10..15).await;
    }
    left.delivered(RIGHT).await;
    right.delivered(LEFT).await;
    assert!(left.dir.join("keys/message.pem").exists());
    assert!(!left.dir.join("keys/message.pem.revoking").exists());
    for node in [&left, &right] {
        verify(&export(node, "after"), &cards);
    }
    left.stop();
    left.start();
    left.say(RIGHT, 20..22).await;
    left.delivered(RIGHT).await;
    left.stop();
    right.stop();
}

#[test]
fn a_process_that_falls_while_it_writes_a_key_leaves_no_half_of_one() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::init(dir.path(), LEFT);
    let file = recovery_file(&node);
    let config = node.config();
    let init = ["recovery", "init", "--unencrypted", "--out", &file];
    // A process that may write no byte into any file is killed at the first one.
    let killed = std::process::Command::new("sh")
        .args(["-c", "ulimit -c 0; ulimit -f 0; exec \"$@\"", "sh"])
        .arg(env!("CARGO_BIN_EXE_liaison"))
        .args(["--config", &config, "keys"])
        .args(init)
        .output()
        .unwrap();
    assert_eq!(killed.status.code(), None, "{killed:?}");
    assert!(!Path::new(&file).exists());
    let left_behind = || {
        let names = std::fs::read_dir(&node.dir).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name());
        let names = names.filter(|name| name.to_string_lossy().starts_with("safe.pem.making-"));
        names.count()
    };
    assert_eq!(left_behind(), 1);
    keys(&node, &init);
    assert!(Path::new(&file).exists());
    assert_eq!(left_behind(), 0);
}

/// Waits until the files of the keys in use are the ones that followed.
async fn settled(node: &Node) {
    let next = ["keys/log.pem.next", "keys/message.pem.next"];
    let deadline = std::time::Instant::now() + crate::nodes::PATIENCE;
    while next.iter().any(|file| node.dir.join(file).exists()) {
        assert!(std::time::Instant::now() < deadline, "{}", node.log());
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// Origin, size and root of both logs, by an export that verifies from the first cards.
fn heads(node: &Node, cards: &[&Path]) -> Vec<String> {
    let dir = node.dir.join("heads");
    drop(std::fs::remove_dir_all(&dir));
    verify(&export(node, "heads"), cards);
    let logs = std::fs::read_dir(&dir).unwrap();
    let mut heads: Vec<_> = logs
        .filter_map(|log| std::fs::read_to_string(log.unwrap().path().join("checkpoint")).ok())
        .map(|note| note.lines().take(3).collect::<Vec<_>>().join(" "))
        .collect();
    heads.sort();
    assert_eq!(heads.len(), 2);
    heads
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_before_come_back_after_every_key_has_changed() {
    let dir = tempfile::tempdir().unwrap();
    let (mut left, mut right) = pair(dir.path());
    let cards = [left.card(), right.card()];
    let cards = [cards[0].as_path(), cards[1].as_path()];
    left.start();
    right.start();
    left.say(RIGHT, 0..5).await;
    right.say(LEFT, 0..5).await;
    left.delivered(RIGHT).await;
    right.delivered(LEFT).await;
    // All of before: a backup, an old copy, and a bundle that is still under way.
    let (backup, bundle) = (dir.path().join("backup"), dir.path().join("a.bundle"));
    let config = left.config();
    let run = |args: &[&str]| succeed(&[&["--config", &config], args].concat());
    run(&["backup", backup.to_str().unwrap()]);
    right.say(LEFT, 5..8).await;
    right.delivered(LEFT).await;
    let of_right = right.config();
    let all = [
        "bundle",
        "export",
        LEFT,
        "--all",
        "-o",
        bundle.to_str().unwrap(),
    ];
    succeed(&[&["--config", &of_right], &all[..]].concat());
    left.stop();
    let (data, old) = (left.dir.join("data"), left.dir.join("old"));
    let copy = |from: &Path, to: &Path| {
        drop(std::fs::remove_dir_all(to));
        let mut copying = std::process::Command::new("cp");
        let copied = copying.arg("-a").args([from, to]).status();
        assert!(copied.unwrap().success());
    };
    copy(&data, &old);
    left.start();
    left.desk().await;

    for (is_left, role) in [
        (true, "log"),
        (false, "message"),
        (true, "message"),
        (false, "log"),
    ] {
        let node = if is_left { &mut left } else { &mut right };
        keys(node, &["rotate", role]);
        alone(node, role, 1, "retired").await;
        settled(node).await;
    }
    left.say(RIGHT, 20..30).await;
    right.say(LEFT, 20..30).await;
    left.delivered(RIGHT).await;
    right.delivered(LEFT).await;
    let before = heads(&left, &cards);

    // The bundle is sealed to a key that has ended, and signed by one that has.
    let taken = run(&["--json", "bundle", "import", bundle.to_str().unwrap()]);
    let taken: Value = serde_json::from_str(&taken).unwrap();
    assert!(taken["entriesKnown"].to_string().contains('8'), "{taken:#}");
    assert_eq!(heads(&left, &cards), before);

    // The old copy knows none of these keys, neither its own nor the peer's.
    left.stop();
    copy(&old, &data);
    left.start();
    let whole = async |left: &mut Node, right: &mut Node| {
        let all = right.until(LEFT, "up", |link| link.mirrored_size > 0).await;
        left.until(RIGHT, "whole", |link| {
            link.state() == v1::LinkState::Up
                && link.own_size == all.mirrored_size
                && link.delivered_size == link.own_size
                && link.mirrored_size == all.own_size
        })
        .await;
    };
    whole(&mut left, &mut right).await;
    assert_eq!(heads(&left, &cards), before);

    // The store is gone.
    left.stop();
    std::fs::remove_dir_all(data.join("sled")).unwrap();
    let told = run(&["recover", "--json"]);
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["links"][0]["state"], "whole", "{told:#}");
    left.start();
    whole(&mut left, &mut right).await;
    assert_eq!(heads(&left, &cards), before);

    // The backup is of the first keys; what a log began with is in it.
    left.stop();
    std::fs::remove_dir_all(&data).unwrap();
    run(&["restore", backup.to_str().unwrap()]);
    left.start();
    whole(&mut left, &mut right).await;
    assert_eq!(heads(&left, &cards), before);
    for (copy, file) in [
        (
            format!("{RIGHT}.start.toml"),
            format!("links/{RIGHT}.start.toml"),
        ),
        ("public.toml".to_owned(), "keys/public.toml".to_owned()),
    ] {
        let copied = std::fs::read(backup.join("config-1").join(copy)).unwrap();
        assert_eq!(copied, std::fs::read(left.dir.join(file)).unwrap());
    }
    left.say(RIGHT, 40..45).await;
    left.delivered(RIGHT).await;
    left.stop();
    right.stop();
}

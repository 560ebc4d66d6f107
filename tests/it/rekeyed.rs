//! Keys that change while two real nodes speak over real TLS and disks, with the command line that
//! administrators use; exports from before and after.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::{Path, PathBuf};

use liaison::proto::v1;
use serde_json::Value;

use crate::nodes::{LEFT, Node, RIGHT, letter, liaison, succeed};

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

async fn say(from: &mut Node, to: &str, numbers: std::ops::Range<usize>) {
    let mut desk = from.desk().await;
    for number in numbers {
        let draft = Some(letter(to, number));
        desk.submit(v1::SubmitRequest { draft }).await.unwrap();
    }
}

async fn delivered(node: &mut Node, peer: &str) {
    node.until(peer, "delivered", |link| {
        link.delivered_size == link.own_size && link.own_size > 0
    })
    .await;
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
    say(&mut left, RIGHT, 0..5).await;
    say(&mut right, LEFT, 0..5).await;
    delivered(&mut left, RIGHT).await;
    delivered(&mut right, LEFT).await;
    let before = export(&left, "before");
    verify(&before, &cards);

    // Under traffic, one with the peer there, one while it is away, and over restarts.
    keys(&left, &["rotate", "message", "--reason", "mẫu"]);
    say(&mut left, RIGHT, 10..20).await;
    keys(&right, &["rotate", "log"]);
    say(&mut right, LEFT, 10..20).await;
    alone(&mut left, "message", 1, "retired").await;
    alone(&mut right, "log", 1, "retired").await;
    right.stop();
    keys(&left, &["rotate", "log"]);
    keys(&left, &["rotate", "message"]);
    say(&mut left, RIGHT, 20..30).await;
    left.kill();
    left.start();
    say(&mut left, RIGHT, 30..40).await;
    right.start();
    alone(&mut left, "log", 1, "retired").await;
    say(&mut right, LEFT, 20..30).await;
    delivered(&mut left, RIGHT).await;
    delivered(&mut right, LEFT).await;
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
    say(&mut left, RIGHT, 40..45).await;
    delivered(&mut left, RIGHT).await;

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
    say(&mut left, RIGHT, 0..5).await;
    delivered(&mut left, RIGHT).await;
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
        say(&mut left, RIGHT, 10..15).await;
        say(&mut right, LEFT, 10..15).await;
    }
    delivered(&mut left, RIGHT).await;
    delivered(&mut right, LEFT).await;
    assert!(left.dir.join("keys/message.pem").exists());
    assert!(!left.dir.join("keys/message.pem.revoking").exists());
    for node in [&left, &right] {
        verify(&export(node, "after"), &cards);
    }
    left.stop();
    left.start();
    say(&mut left, RIGHT, 20..22).await;
    delivered(&mut left, RIGHT).await;
    left.stop();
    right.stop();
}

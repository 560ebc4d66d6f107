//! Why a session ends is known on both sides, whichever of them dialled.
//!
//! A dialler that said why and dropped its stream at once reset it, and the reason was lost: the
//! other side showed a link that its peer held as one that was merely down.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use liaison::proto::v1;

use crate::nodes::{LEFT, Node, PATIENCE, RIGHT, letter, pair};

fn is_up(link: &v1::LinkStatus) -> bool {
    link.state() == v1::LinkState::Up
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").args([from, to]).status();
    assert!(copied.unwrap().success());
}

async fn until_said(node: &Node, words: &str) {
    let deadline = Instant::now() + PATIENCE;
    while !node.log().contains(words) {
        assert!(
            Instant::now() < deadline,
            "{}: never {words:?}\n{}",
            node.name,
            node.log()
        );
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

async fn told_by_left(left_dials: bool) {
    let dir = tempfile::tempdir().unwrap();
    let (mut left, mut right) = pair(dir.path());
    if left_dials {
        right.set_link(LEFT, "dial = false");
    } else {
        left.set_link(RIGHT, "dial = false");
    }
    left.start();
    right.start();
    left.until(RIGHT, "up", is_up).await;

    // Going down.
    left.stop();
    until_said(&right, "FAULT_CODE_SHUTTING_DOWN").await;

    // Restoring: the data directory of yesterday is put back, after something was signed.
    let (data, old) = (left.dir.join("data"), left.dir.join("old"));
    copy(&data, &old);
    left.start();
    let draft = Some(letter(RIGHT, 1));
    let mut desk = left.desk().await;
    desk.submit(v1::SubmitRequest { draft }).await.unwrap();
    left.until(RIGHT, "delivered", |link| link.delivered_size == 1)
        .await;
    left.stop();
    std::fs::rename(&data, left.dir.join("new")).unwrap();
    std::fs::rename(&old, &data).unwrap();
    left.start();
    until_said(&right, "FAULT_CODE_RESTORING").await;
    left.until(RIGHT, "whole again", |link| {
        is_up(link) && link.delivered_size == 1
    })
    .await;
    let mut desk = right.desk().await;
    let status = desk.status(v1::StatusRequest {}).await.unwrap();
    let incidents = status.into_inner().incidents;
    assert!(
        incidents
            .iter()
            .any(|incident| incident.what.contains("restoring its records from here")),
        "{incidents:?}"
    );
    left.stop();
    right.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_side_that_is_dialled_is_told_why_a_session_ends() {
    told_by_left(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_side_that_dials_is_told_why_a_session_ends() {
    told_by_left(false).await;
}

/// An administrator reloads a node that is still starting: it must not be ended by that.
#[tokio::test(flavor = "multi_thread")]
async fn a_hangup_while_the_node_starts_does_not_end_it() {
    let dir = tempfile::tempdir().unwrap();
    let (mut left, _right) = pair(dir.path());
    // The node starts as far as it gets without a passphrase, which comes through a pipe.
    let pipe = left.dir.join("passphrase");
    let made = Command::new("mkfifo")
        .args(["-m", "600"])
        .arg(&pipe)
        .status();
    assert!(made.unwrap().success());
    let config = std::fs::read_to_string(left.config()).unwrap();
    let piped = config.replace("passphrase = \"none\"", "passphrase = \"file:passphrase\"");
    assert_ne!(config, piped);
    std::fs::write(left.config(), piped).unwrap();
    left.start();
    let opening = tokio::task::spawn_blocking(move || {
        std::fs::File::options().write(true).open(pipe).unwrap()
    });
    let mut passphrase = tokio::time::timeout(PATIENCE, opening)
        .await
        .unwrap()
        .unwrap();
    let pid = left.pid().to_string();
    let hangup = Command::new("kill").args(["-HUP", &pid]).status();
    assert!(hangup.unwrap().success());
    passphrase.write_all(b"not needed here\n").unwrap();
    drop(passphrase);
    left.desk().await;
    left.stop();
}

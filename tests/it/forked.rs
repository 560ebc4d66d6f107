//! A node that ran twice with the same keys: two real processes, one after the other, each saying
//! something else to a peer whose disk was put back as well. Found, told to both operators, proven
//! offline, and released only by name.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use liaison::proto::v1;

use crate::nodes::{LEFT, Node, RIGHT, letter, liaison, pair, succeed};

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").args([from, to]).status();
    assert!(copied.unwrap().success());
}

/// Puts one data directory in the place of another, which is kept.
fn swap(node: &Node, in_place: &str, aside: &str) {
    let data = node.dir.join("data");
    std::fs::rename(&data, node.dir.join(aside)).unwrap();
    copy(&node.dir.join(in_place), &data);
}

async fn say(left: &mut Node, number: usize, delivered: u64) {
    let draft = Some(letter(RIGHT, number));
    let mut desk = left.desk().await;
    desk.submit(v1::SubmitRequest { draft }).await.unwrap();
    left.until(RIGHT, "delivered", |link| link.delivered_size == delivered)
        .await;
}

fn run(node: &Node, args: &[&str]) -> Output {
    let config = node.config();
    liaison(&[&["--config", config.as_str()], args].concat())
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

fn verify(file: &Path, cards: &[PathBuf], more: &[&str]) -> Output {
    let mut args = vec!["audit", "verify", file.to_str().unwrap()];
    for card in cards {
        args.extend(["--trust", card.to_str().unwrap()]);
    }
    args.extend(more);
    liaison(&args)
}

async fn until_held(node: &mut Node, peer: &str) -> v1::LinkStatus {
    node.until(peer, "held", |link| link.state() == v1::LinkState::Held)
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_ran_twice_is_found_told_proven_and_released_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let (mut left, mut right) = pair(dir.path());
    left.start();
    right.start();
    say(&mut left, 1, 1).await;
    left.stop();
    right.stop();
    for node in [&left, &right] {
        copy(&node.dir.join("data"), &node.dir.join("snapshot"));
    }
    // The first instance says one thing,
    left.start();
    right.start();
    say(&mut left, 2, 2).await;
    left.stop();
    right.stop();
    // its clone another, to a peer that was put back too and knows nothing of the first;
    swap(&left, "snapshot", "first");
    swap(&right, "snapshot", "first");
    left.start();
    right.start();
    say(&mut left, 3, 2).await;
    left.stop();
    // and the first one comes back.
    swap(&left, "first", "clone");
    left.start();
    let link = until_held(&mut right, LEFT).await;
    assert!(link.detail.contains("EQUIVOCATION"), "{link:?}");
    let link = until_held(&mut left, RIGHT).await;
    assert!(link.detail.contains("own log key"), "{link:?}");

    // Both operators see it at first glance, and read the same.
    for (node, peer, step) in [
        (&left, RIGHT, "second copy"),
        (&right, LEFT, "Call an officer"),
    ] {
        let status = run(node, &["status"]);
        assert_eq!(code(&status), 1);
        let first_line = said(&status).lines().next().unwrap().to_owned();
        assert!(first_line.contains("1 link HELD"), "{first_line}");
        assert!(
            said(&status).contains("liaison link show"),
            "{}",
            said(&status)
        );
        let shown = run(node, &["link", "show", peer]);
        assert_eq!(code(&shown), 1);
        // Lines are filled to the width of the screen.
        let words = said(&shown)
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        let plain = format!("The log key of {LEFT} signed two different logs");
        assert!(words.contains(&plain), "{words}");
        assert!(words.contains(step), "{words}");
        let watched = run(node, &["watch", "--until-caught-up"]);
        assert!(said(&watched).contains("LINK HELD"), "{}", said(&watched));
    }

    // The evidence of either side proves it to an auditor with nothing but the cards.
    let cards = [left.card(), right.card()];
    for (node, peer) in [(&left, RIGHT), (&right, LEFT)] {
        let file = node.dir.join("evidence");
        let name = file.to_str().unwrap();
        let written = run(node, &["link", "evidence", peer, "-o", name]);
        assert_eq!(code(&written), 0, "{}", said(&written));
        let again = run(node, &["link", "evidence", peer, "-o", name]);
        assert_eq!(code(&again), 73, "never overwritten: {}", said(&again));
        for trusted in [&cards[..], &cards[..1]] {
            let verdict = verify(&file, trusted, &[]);
            assert_eq!(code(&verdict), 3, "{}", said(&verdict));
            let said = said(&verdict);
            assert!(
                said.starts_with(&format!(
                    "EQUIVOCATION PROVEN: the holder of key {LEFT}/{RIGHT}+"
                )),
                "{said}"
            );
        }
        let verdict = verify(&file, &cards, &["--json"]);
        assert_eq!(code(&verdict), 3);
        let json: serde_json::Value = serde_json::from_slice(&verdict.stdout).unwrap();
        assert_eq!(json["proven"]["origin"], format!("{LEFT}/{RIGHT}"));
        assert_eq!(json["proven"]["notes"][0]["size"], 2);
        assert_eq!(code(&verify(&file, &cards[1..], &[])), 1, "other keys");
        assert_eq!(code(&verify(&file, &[], &[])), 2, "no keys");
        let bad = node.dir.join("bad");
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&bad, text.replacen("\n2\n", "\n3\n", 1)).unwrap();
        let verdict = verify(&bad, &cards, &[]);
        assert_eq!(code(&verdict), 1);
        assert!(
            said(&verdict).contains("proves nothing"),
            "{}",
            said(&verdict)
        );
    }
    let export = right.dir.join("export");
    let name = export.to_str().unwrap();
    succeed(&["--config", &right.config(), "audit", "export", name]);
    assert_eq!(code(&verify(&export, &cards, &[])), 0);

    // SIGKILL changes nothing.
    right.kill();
    right.start();
    until_held(&mut right, LEFT).await;

    // Released only with a reason, by name; found again, held again, and all of it kept.
    let release = |node: &Node, peer: &str, reason: &str| {
        run(node, &["link", "release", peer, "--reason", reason])
    };
    assert_eq!(code(&run(&right, &["link", "release", LEFT])), 2);
    for bad in ["", "  ", "a\nb", &"x".repeat(513)] {
        assert_eq!(code(&release(&right, LEFT, bad)), 65, "{bad:?}");
    }
    // Whoever lets go first sees that the other one has not.
    assert_eq!(code(&release(&left, RIGHT, "we look for the copy")), 0);
    let link = left
        .until(RIGHT, "held by the peer", |link| {
            link.state() == v1::LinkState::HeldByPeer
        })
        .await;
    assert!(link.detail.contains("EQUIVOCATION"), "{link:?}");
    let status = run(&left, &["status"]);
    assert_eq!(code(&status), 1);
    assert!(
        said(&status).contains("is held by the peer"),
        "{}",
        said(&status)
    );
    let shown = said(&run(&left, &["link", "show", RIGHT]));
    let words = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains(&format!("HELD by {RIGHT}")), "{words}");
    assert!(words.contains("second copy"), "{words}");
    assert!(
        words.contains(&format!("Only {RIGHT} can release it")),
        "{words}"
    );
    let reason = "x".repeat(512);
    assert_eq!(code(&release(&right, LEFT, &reason)), 0);
    until_held(&mut right, LEFT).await;
    until_held(&mut left, RIGHT).await;
    let shown = run(&left, &["link", "show", RIGHT, "--json"]);
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    let past = &shown["past"][0];
    assert_eq!(past["reason"], "we look for the copy");
    assert!(
        past["releasedBy"]
            .as_str()
            .unwrap()
            .starts_with("operator/uid-")
    );
    assert_eq!(past["hold"]["proven"], true);
    assert_eq!(past["number"], "1");
    // Of the earlier hold, by its number.
    let earlier = left.dir.join("earlier");
    let name = earlier.to_str().unwrap();
    let written = run(
        &left,
        &["link", "evidence", RIGHT, "-o", name, "--hold", "1"],
    );
    assert_eq!(code(&written), 0, "{}", said(&written));
    assert_eq!(code(&verify(&earlier, &cards, &[])), 3);
    left.stop();
    right.stop();
}

//! Deadlines at two real nodes, as people meet them at the command line.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;
use std::time::Instant;

use liaison::exchange::clock::{Clock as _, SystemClock, timestamp_of_ms};
use liaison::proto::v1;
use serde_json::Value;

use crate::nodes::{self, LEFT, Node, PATIENCE, RIGHT, letter, pair, succeed};

fn run(node: &Node, arguments: &[&str]) -> String {
    succeed(&[&["--config", &node.config()], arguments].concat())
}

fn answer(node: &Node, arguments: &[&str]) -> Value {
    serde_json::from_str(&run(node, &[&["--json"], arguments].concat())).unwrap()
}

/// A letter that asks for a reply in so many milliseconds from now.
fn asking(recipient: &str, number: usize, after_ms: u64) -> v1::Draft {
    let mut draft = letter(recipient, number);
    let Some(v1::body::Body::OfficialLetter(letter)) = &mut draft.body.as_mut().unwrap().body
    else {
        unreachable!()
    };
    letter.reply_by = Some(timestamp_of_ms(SystemClock.unix_ms() + after_ms));
    let common = letter.common.as_mut().unwrap();
    common.not_applicable.retain(|field| field != "replyBy");
    draft
}

async fn send(node: &mut Node, draft: v1::Draft) -> String {
    let mut desk = node.desk().await;
    let request = v1::SubmitRequest { draft: Some(draft) };
    desk.submit(request).await.unwrap().into_inner().id
}

/// Waits until a watcher is told.
async fn until_told(node: &mut Node, what: v1::WatchEvent) {
    let request = v1::WatchRequest {
        from_start: true,
        ..v1::WatchRequest::default()
    };
    let mut desk = node.desk().await;
    let mut events = desk.watch(request).await.unwrap().into_inner();
    let told = async {
        while let Some(event) = events.message().await.unwrap() {
            if event.event() == what {
                return;
            }
        }
        panic!("the node has ended the stream");
    };
    tokio::time::timeout(PATIENCE, told).await.unwrap();
}

/// Asks for evidence until there is some: the peer dates its checkpoint a moment after the deadline.
fn evidence(node: &Node, id: &str, dir: &Path) -> String {
    let began = Instant::now();
    let config = node.config();
    let out = dir.to_str().unwrap();
    loop {
        let output = nodes::liaison(&["--config", &config, "audit", "lateness", id, "--out", out]);
        let said = String::from_utf8(output.stdout).unwrap();
        if output.status.success() {
            return said;
        }
        let refused = String::from_utf8(output.stderr).unwrap();
        assert!(refused.contains("no evidence"), "{refused}");
        assert!(began.elapsed() < PATIENCE, "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fell_due_while_the_node_was_dead_is_told_and_proven() {
    let dir = tempfile::tempdir().unwrap();
    let (mut left, mut right) = pair(dir.path());
    left.start();
    right.start();
    let id = send(&mut left, asking(RIGHT, 1, 2_000)).await;
    left.until(RIGHT, "delivered", |link| link.delivered_size == 1)
        .await;
    left.kill();
    // The other node needs nobody to tell it.
    right
        .until(LEFT, "overdue", |link| link.overdue_own == 1)
        .await;
    left.start();
    left.until(RIGHT, "overdue", |link| link.overdue_theirs == 1)
        .await;
    let due = answer(&left, &["due", "--theirs"]);
    let due = &due["dues"][0];
    assert_eq!(
        (&due["messageId"], &due["overdue"]),
        (&id.as_str().into(), &true.into())
    );
    assert_eq!(due["owedByNode"], RIGHT);
    let shown = run(&left, &["due"]);
    assert!(
        shown.contains("OVERDUE") && shown.contains(RIGHT),
        "{shown}"
    );
    let status = run(&left, &["status"]);
    assert!(
        status.contains("0 owed by this node, 1 by the peer"),
        "{status}"
    );
    until_told(&mut left, v1::WatchEvent::Overdue).await;
    let told = run(&left, &["watch", "--from-start", "--until-caught-up"]);
    assert!(
        told.contains("OVERDUE") && told.contains("owes reply"),
        "{told}"
    );
    let log = left.log();
    let line = log.lines().find(|line| line.contains("overdue"));
    assert!(line.unwrap().contains("WARN"), "{log}");

    let folder = dir.path().join("late");
    let said = evidence(&left, &id, &folder);
    assert!(
        said.starts_with(&format!("late: no reply to {id}")),
        "{said}"
    );
    let cards = [left.card(), right.card()];
    let [one, other] = cards.each_ref().map(|card| card.to_str().unwrap());
    let folder = folder.to_str().unwrap();
    let verify = ["audit", "verify", folder, "--trust", one, "--trust", other];
    let judged = succeed(&verify);
    assert!(
        judged.contains("late: no reply to") && judged.contains("Nothing is wrong"),
        "{judged}"
    );

    // Told once: killed again and up again, nothing is told anew.
    left.kill();
    left.start();
    drop(left.desk().await);
    let again = run(&left, &["watch", "--from-start", "--until-caught-up"]);
    let count = |text: &str| text.lines().filter(|line| line.contains("OVERDUE")).count();
    assert_eq!((count(&told), count(&again)), (1, 1), "{again}");

    // Answered, late as it is: nothing is owed any more.
    let reply = v1::Draft {
        in_reply_to: id.clone(),
        ..letter(LEFT, 2)
    };
    send(&mut right, reply).await;
    left.until(RIGHT, "nothing overdue", |link| link.overdue_theirs == 0)
        .await;
    left.stop();
    right.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn calendars_are_published_and_listed_by_both_sides() {
    let dir = tempfile::tempdir().unwrap();
    let (mut left, mut right) = pair(dir.path());
    left.start();
    right.start();
    drop((left.desk().await, right.desk().await));
    let calendars = Path::new(env!("CARGO_MANIFEST_DIR")).join("calendars");
    let file = calendars.join("vn-2026.toml");
    let file = file.to_str().unwrap();
    let offices = ["--office", "Trạm mẫu", "--to-office", "示例站"];
    let publish = [&["calendar", "publish", file][..], &offices].concat();
    let first = answer(&left, &publish);
    assert_eq!(
        (&first["index"], &first["version"]),
        (&"0".into(), &1.into())
    );
    // A correction is the next version by itself.
    assert_eq!(answer(&left, &publish)["version"], 2);
    let taken = [&publish[..], &["--as-version", "2"]].concat();
    let config = left.config();
    let refused = nodes::liaison(&[&["--config", &config], &taken[..]].concat());
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(
        said.contains("version 2 does not follow version 2"),
        "{said}"
    );

    right
        .until(LEFT, "both", |link| link.mirrored_size == 2)
        .await;
    for (node, side) in [(&left, "SIDE_OWN"), (&right, "SIDE_PEER")] {
        let listed = answer(node, &["calendar", "list"]);
        let listed = listed["calendars"].as_array().unwrap();
        let told: Vec<_> = listed
            .iter()
            .map(|one| {
                assert_eq!(one["side"], side);
                (one["calendar"]["version"].clone(), one["inForce"].clone())
            })
            .collect();
        assert_eq!(told, [(1.into(), false.into()), (2.into(), true.into())]);
    }
    let shown = run(&right, &["calendar", "list"]);
    assert!(
        shown.contains("VN 2026") && shown.contains("yes, SAMPLE"),
        "{shown}"
    );
    left.stop();
    right.stop();
}

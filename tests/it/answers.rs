//! What programs read: with --json the same fields are there, whatever their values.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use liaison::proto::v1;
use serde_json::{Value, json};

use crate::nodes::{self, RIGHT, letter, pair, succeed};

fn answer(arguments: &[&str]) -> Value {
    serde_json::from_str(&succeed(arguments)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_and_numbers_are_there_when_they_are_empty_or_zero() {
    let dir = tempfile::tempdir().unwrap();
    let (mut left, _right) = pair(dir.path());
    left.start();
    let mut desk = left.desk().await;
    let config = left.config();
    let ask = |more: &[&str]| answer(&[&["--config", &config, "--json"], more].concat());

    let none = ask(&["list"]);
    assert_eq!(none, json!({ "messages": [], "nextPageToken": "" }));
    let status = ask(&["status"]);
    assert_eq!(status["incidents"], json!([]));
    assert_eq!(status["trouble"], "");
    let link = &status["links"][0];
    for size in [
        "ownSize",
        "deliveredSize",
        "mirroredSize",
        "attachmentsIncoming",
    ] {
        assert_eq!(link[size], "0", "{link}");
    }

    let draft = letter(RIGHT, 1);
    let id = draft.id.clone();
    let said = liaison::model::json::to_json(&draft);
    let file = dir.path().join("letter.json");
    std::fs::write(&file, said.to_string()).unwrap();
    let file = file.to_str().unwrap();
    let checked = ask(&["send", file, "--check"]);
    assert_eq!(checked, json!({ "faults": [], "id": id }));
    let sent = ask(&["send", file]);
    assert_eq!(sent["index"], "0", "{sent}");
    assert_eq!(sent["alreadyRecorded"], false, "{sent}");
    assert_eq!(ask(&["send", file])["alreadyRecorded"], true);

    let shown = ask(&["show", &id]);
    assert_eq!(shown["index"], "0");
    assert_eq!(shown["answers"], json!([]));
    assert_eq!(
        shown["body"], said["body"],
        "what was said is not filled up"
    );
    let listed = ask(&["list"]);
    assert_eq!(listed["messages"][0]["index"], "0");
    let told = succeed(&[
        "--config",
        &config,
        "--json",
        "watch",
        "--from-start",
        "--until-caught-up",
    ]);
    let told: Value = serde_json::from_str(told.lines().next().unwrap()).unwrap();
    assert_eq!(told["message"]["index"], "0");
    drop(desk.status(v1::StatusRequest {}).await.unwrap());
    left.stop();

    // A card that is not there is no configuration that is not there.
    let missing = nodes::liaison(&["peer", "show", "/nowhere/peer.card.toml"]);
    let said = String::from_utf8(missing.stderr).unwrap();
    assert!(said.contains("peer card --out"), "{said}");
}

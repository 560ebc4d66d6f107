//! Two real nodes that cannot reach each other, and files between them; then the network comes back.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::nodes::{LEFT, Node, RIGHT, liaison, pair, succeed};

/// Runs a command against a node, as JSON.
fn on(node: &Node, arguments: &[&str]) -> Value {
    let config = node.config();
    let said = succeed(&[&["--json", "--config", &config], arguments].concat());
    serde_json::from_str(&said).unwrap()
}

fn number(value: &Value) -> u64 {
    match value {
        Value::Null => 0,
        Value::String(text) => text.parse().unwrap(),
        other => other.as_u64().unwrap(),
    }
}

fn sample(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("samples")
        .join(name);
    path.to_str().unwrap().to_owned()
}

fn path(dir: &Path, name: &str) -> String {
    dir.join(name).to_str().unwrap().to_owned()
}

fn send(node: &Node, draft: &str, more: &[&str]) -> String {
    let sent = on(node, &[&["send", draft], more].concat());
    sent["id"].as_str().unwrap().to_owned()
}

/// A flash alert for the other node, of the sample.
fn alert_for(peer: &str, dir: &Path) -> String {
    let text = std::fs::read_to_string(sample("crossing-alert-patrol.json")).unwrap();
    let mut draft: Value = serde_json::from_str(&text).unwrap();
    draft["recipient"] = peer.into();
    draft["precedence"] = "PRECEDENCE_FLASH".into();
    draft["body"]["crossingAlert"]["common"]["precedenceReason"] =
        serde_json::json!({"texts": {"zh-Hans": "示例", "vi": "mẫu"}});
    let file = path(dir, "alert.json");
    std::fs::write(&file, draft.to_string()).unwrap();
    file
}

const OFFICER: [&str; 6] = [
    "--name",
    "陈示例",
    "--rank",
    "二级警督",
    "--office",
    "河口出入境边防检查站（示例）",
];

#[tokio::test(flavor = "multi_thread")]
async fn everything_goes_by_hand_until_the_network_is_back() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let (mut left, mut right) = pair(dir);
    left.set_link(RIGHT, "dial = false");
    right.set_link(LEFT, "dial = false");
    left.start();
    right.start();
    left.desk().await;
    right.desk().await;

    let annex = sample("phu-luc-27.pdf");
    let letter = send(
        &left,
        &sample("official-letter.json"),
        &["--attach", &annex],
    );
    let alert = send(&right, &alert_for(LEFT, dir), &[]);

    // Shown at once on both sides, signed by nobody yet.
    let first = path(dir, "1.bundle");
    let made = on(&left, &["bundle", "export", RIGHT, "-o", &first]);
    assert_eq!(number(&made["endIndex"]), 1);
    assert_eq!(made["underCheckpoints"], false);
    let shown = succeed(&["--config", &right.config(), "bundle", "show", &first]);
    assert!(shown.contains("signature holds"), "{shown}");
    let card = left.card();
    let offline = succeed(&["bundle", "show", &first, "--card", card.to_str().unwrap()]);
    assert_eq!(shown, offline);
    let text = std::fs::read(&first).unwrap();
    assert!(text.starts_with(b"liaison bundle 1\nfrom: laocai.bg.vn.example\n"));
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&first).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);

    let second = path(dir, "2.bundle");
    let taken = on(&right, &["bundle", "import", &first, "--reply", &second]);
    assert_eq!(number(&taken["entriesAhead"]), 1);
    let third = path(dir, "3.bundle");
    let taken = on(&left, &["bundle", "import", &second, "--reply", &third]);
    assert_eq!(
        (number(&taken["entriesAhead"]), &taken["maySign"]),
        (1, &Value::Bool(true))
    );
    assert_eq!(number(&taken["reply"]["files"]), 1);
    succeed(&["--config", &left.config(), "show", &alert]);

    // Now with checkpoints; the attachment as well, and it is confirmed in the same go.
    let fourth = path(dir, "4.bundle");
    let taken = on(&right, &["bundle", "import", &third, "--reply", &fourth]);
    assert_eq!(
        (
            number(&taken["entriesRecorded"]),
            number(&taken["filesTaken"])
        ),
        (1, 1)
    );
    let got = path(dir, "got");
    succeed(&[
        "--config",
        &right.config(),
        "show",
        &letter,
        "--save-attachments",
        &got,
    ]);
    assert_eq!(
        std::fs::read(dir.join("got/phu-luc-27.pdf")).unwrap(),
        std::fs::read(&annex).unwrap()
    );
    on(&right, &[&["ack", &letter][..], &OFFICER].concat());
    let fifth = path(dir, "5.bundle");
    on(&right, &["bundle", "export", LEFT, "-o", &fifth]);

    // The later one first, then the one before it.
    let taken = on(&left, &["bundle", "import", &fifth]);
    assert_eq!(
        (
            number(&taken["entriesDelivered"]),
            number(&taken["entriesRecorded"])
        ),
        (1, 3)
    );
    let taken = on(&left, &["bundle", "import", &fourth]);
    assert_eq!(
        (
            number(&taken["entriesRecorded"]),
            number(&taken["entriesKnown"])
        ),
        (0, 2)
    );
    let seen = succeed(&["--config", &left.config(), "show", &letter]);
    assert!(seen.contains("● acknowledged"), "{seen}");

    // What is no bundle, or not for this node, is refused with the reason.
    let refused = liaison(&["--config", &left.config(), "bundle", "import", &annex]);
    assert_eq!(refused.status.code(), Some(65));
    let refused = liaison(&["--config", &left.config(), "bundle", "import", &first]);
    assert_eq!(refused.status.code(), Some(65));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("is for hekou.ni.cn.example"), "{said}");
    let mut changed = std::fs::read(&third).unwrap();
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    let bad = path(dir, "bad.bundle");
    std::fs::write(&bad, changed).unwrap();
    for command in ["import", "show"] {
        let refused = liaison(&["--config", &right.config(), "bundle", command, &bad]);
        assert!(matches!(refused.status.code(), Some(1 | 65)), "{refused:?}");
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(said.contains("changed on its way"), "{said}");
    }

    // The receipts for the alert and the acknowledgement go back.
    let sixth = path(dir, "6.bundle");
    on(&left, &["bundle", "export", RIGHT, "-o", &sixth]);
    let taken = on(&right, &["bundle", "import", &sixth]);
    assert_eq!(
        (
            number(&taken["entriesDelivered"]),
            number(&taken["entriesWaiting"])
        ),
        (3, 0)
    );

    audit(&left, &right, dir, "by-hand");

    // The network comes back, and it goes on.
    for (node, peer) in [(&mut left, RIGHT), (&mut right, LEFT)] {
        node.stop();
        let file = node.dir.join("links").join(format!("{peer}.link.toml"));
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, text.replace("\ndial = false\n", "\n")).unwrap();
        node.start();
        node.desk().await;
    }
    let again = send(
        &left,
        &sample("official-letter.json"),
        &["--attach", &annex, "--wait", "delivered"],
    );
    assert_ne!(again, letter);
    left.until(RIGHT, "delivered", |link| {
        link.delivered_size == link.own_size
    })
    .await;
    right
        .until(LEFT, "delivered", |link| {
            link.delivered_size == link.own_size && link.attachments_incoming == 0
        })
        .await;
    // A stick that was forgotten in a drawer harms nothing.
    let taken = on(&right, &["bundle", "import", &third]);
    assert_eq!(
        (
            number(&taken["entriesRecorded"]),
            number(&taken["entriesAhead"])
        ),
        (0, 0)
    );
    right
        .until(LEFT, "up again", |link| {
            link.state() == liaison::proto::v1::LinkState::Up
        })
        .await;
    left.until(RIGHT, "all", |link| link.delivered_size == link.own_size)
        .await;
    right
        .until(LEFT, "all", |link| link.delivered_size == link.own_size)
        .await;
    audit(&left, &right, dir, "online");
    left.stop();
    right.stop();
}

/// Both exports verify, and each mirror is the other's log.
fn audit(left: &Node, right: &Node, dir: &Path, name: &str) {
    let exports = [left, right].map(|node| {
        let export = path(dir, &format!("{name}-{}", node.name));
        succeed(&["--config", &node.config(), "audit", "export", &export]);
        succeed(&["audit", "verify", &export]);
        export
    });
    succeed(&["audit", "reconcile", &exports[0], &exports[1]]);
}

//! An auditor at the command line: two exports and the two cards, and nothing else.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;
use std::process::{Command, Output};

use liaison::proto::v1;

use crate::nodes::{LEFT, RIGHT, letter, pair, succeed};

/// Runs the program in a directory with no configuration in reach.
fn in_dir(dir: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output: Output = Command::new(env!("CARGO_BIN_EXE_liaison"))
        .args(arguments)
        .current_dir(dir)
        .env_remove("LIAISON_CONFIG")
        .output()
        .unwrap();
    let mut said = String::from_utf8(output.stdout).unwrap();
    said.push_str(&String::from_utf8(output.stderr).unwrap());
    (output.status.code(), said)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cards_of_the_sides_are_all_that_an_auditor_must_be_given() {
    let dir = tempfile::tempdir().unwrap();
    let (mut left, mut right) = pair(dir.path());
    left.start();
    right.start();
    for (node, peer) in [(&mut left, RIGHT), (&mut right, LEFT)] {
        let draft = Some(letter(peer, 1));
        let mut desk = node.desk().await;
        desk.submit(v1::SubmitRequest { draft }).await.unwrap();
        node.until(peer, "delivered", |link| link.delivered_size == 1)
            .await;
    }
    let auditor = dir.path().join("auditor");
    std::fs::create_dir(&auditor).unwrap();
    for (node, short) in [(&left, "left"), (&right, "right")] {
        let export = auditor.join(short);
        let export = export.to_str().unwrap();
        succeed(&["--config", &node.config(), "audit", "export", export]);
        std::fs::copy(node.card(), auditor.join(format!("{short}.card.toml"))).unwrap();
    }
    left.stop();
    right.stop();

    let cards = ["--trust", "left.card.toml", "--trust", "right.card.toml"];
    for export in ["left", "right"] {
        let arguments = [&["audit", "verify", export][..], &cards].concat();
        let (code, said) = in_dir(&auditor, &arguments);
        assert_eq!(code, Some(0), "{said}");
        assert!(
            !said.contains("keys that the export itself names"),
            "{said}"
        );

        // The keys as `peer show` prints them will do as well.
        let mut lines = String::new();
        for card in ["left.card.toml", "right.card.toml"] {
            let (code, shown) = in_dir(&auditor, &["peer", "show", card]);
            assert_eq!(code, Some(0), "{shown}");
            let keys = shown.split_whitespace().filter(|word| word.contains('+'));
            for key in keys.filter(|word| word.contains(".example+")) {
                lines.push_str(key);
                lines.push('\n');
            }
        }
        std::fs::write(auditor.join("keys"), &lines).unwrap();
        let (code, said) = in_dir(&auditor, &["audit", "verify", export, "--trust", "keys"]);
        assert_eq!(code, Some(0), "{lines}\n{said}");

        // Without the export's own word, and without the cards, it says what to do.
        let (code, said) = in_dir(&auditor, &["audit", "verify", export]);
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("--trust CARD"), "{said}");
    }

    // One card is not enough: the other side's receipts would rest on nobody's word.
    let one = ["audit", "verify", "left", "--trust", "left.card.toml"];
    let (code, said) = in_dir(&auditor, &one);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("not among the trusted keys"), "{said}");

    // A card of someone else under the same name is not believed.
    let stranger = crate::nodes::Node::init(&auditor, LEFT);
    let stranger = stranger.card();
    let arguments = [
        "audit",
        "verify",
        "left",
        "--trust",
        stranger.to_str().unwrap(),
        "--trust",
        "right.card.toml",
    ];
    let (code, said) = in_dir(&auditor, &arguments);
    assert_eq!(code, Some(1), "{said}");

    // What is no export is said to be none.
    let (code, said) = in_dir(&auditor, &["audit", "verify", "."]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("is no export"), "{said}");

    let (code, said) = in_dir(&auditor, &["audit", "reconcile", "left", "right"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("A  left\nB  right\n"), "{said}");
}

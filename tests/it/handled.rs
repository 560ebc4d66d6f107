//! Handling at the command line, between two real nodes: ceilings, codes, overrides, sending on, and what an
//! export leaves out.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;

use liaison::model::json;
use liaison::proto::v1::{self, Classification, HandlingCode};

use crate::nodes::{LEFT, Node, RIGHT, letter, liaison, pair, succeed};

const THIRD: &str = "malipo.ni.cn.example";
const REASON: &str = "permission of Hekou, letter 31/2026";

/// Exit code and everything that was said.
fn say(arguments: &[&str]) -> (i32, String) {
    let output = liaison(arguments);
    let mut said = String::from_utf8(output.stdout).unwrap();
    said.push_str(&String::from_utf8(output.stderr).unwrap());
    // As it was before it was broken into lines.
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    (output.status.code().unwrap(), said)
}

/// A draft as a file, and its id.
fn draft(dir: &Path, number: usize, class: Classification, code: HandlingCode) -> [String; 2] {
    let mut draft = letter(RIGHT, number);
    draft.handling = Some(v1::Handling {
        classification: class.into(),
        code: code.into(),
    });
    let file = dir.join(format!("{number}.json"));
    let text = serde_json::to_string_pretty(&json::to_json(&draft)).unwrap();
    std::fs::write(&file, text).unwrap();
    [file.to_str().unwrap().to_owned(), draft.id]
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_and_ceilings_hold_at_the_command_line() {
    let dir = tempfile::tempdir().unwrap();
    let (mut left, mut right) = pair(dir.path());
    let third = Node::init(dir.path(), THIRD);
    left.add_peer(&third.card());
    left.set_link(THIRD, "classification_max = \"INTERNAL\"");
    left.start();
    right.start();
    left.desk().await;
    let (config, other) = (left.config(), right.config());
    let here = |arguments: &[&str]| say(&[&["--config", &config], arguments].concat());

    // A ceiling: RESTRICTED, since nothing else was set.
    let none = HandlingCode::Unspecified;
    let [file, _] = draft(dir.path(), 1, Classification::Confidential, none);
    let (code, said) = here(&["send", &file]);
    assert_eq!(code, 65, "{said}");
    for word in [
        "handling.classification",
        "at most RESTRICTED",
        "agreed in writing",
    ] {
        assert!(said.contains(word), "{said}");
    }

    let [file, plain] = draft(dir.path(), 2, Classification::Restricted, none);
    succeed(&["--config", &config, "send", &file]);
    let [file, coded] = draft(dir.path(), 3, Classification::Internal, HandlingCode::H1);
    succeed(&["--config", &config, "send", &file, "--wait", "delivered"]);

    // Printing, on both sides: a code binds its author as well.
    right.desk().await;
    for config in [&config, &other] {
        let print = ["--config", config, "letter", "print", &coded];
        let (code, said) = say(&print);
        assert_eq!(code, 1, "{said}");
        for word in [coded.as_str(), "H1", "judicial", "--override \"REASON\""] {
            assert!(said.contains(word), "{said}");
        }
        let (code, said) = say(&[&print[..], &["--override", REASON]].concat());
        assert_eq!(code, 0, "{said}");
        assert!(said.contains("<html") && said.contains("3/MẪU"), "{said}");
        let (_, said) = say(&["--config", config, "show", &coded]);
        let stated = "INTERNAL H1 (not in judicial proceedings without permission)";
        assert!(said.contains(stated), "{said}");
    }
    let (code, said) = here(&["letter", "print", &plain]);
    assert_eq!(code, 0, "{said}");

    // Sending on.
    let (code, said) = here(&["forward", &coded, "--to", THIRD]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("not forwarded without a reason"), "{said}");
    let (code, said) = here(&["forward", &coded, "--to", THIRD, "--override", REASON]);
    assert_eq!(code, 0, "{said}");
    assert!(said.starts_with("recorded"), "{said}");
    let (code, said) = here(&["forward", &plain, "--to", THIRD]);
    assert_eq!(code, 65, "{said}");
    assert!(said.contains("at most INTERNAL"), "{said}");
    let (code, said) = here(&["list", "--peer", THIRD]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(said.matches("official letter").count(), 1, "{said}");

    // What an export leaves out; its proofs hold all the same.
    let exports = [
        (vec![], "1 body withheld", vec![coded.as_str()]),
        (vec!["--override", REASON], "", vec![]),
        (
            vec!["--override", REASON, "--withhold", "official-letter,H3"],
            "2 bodies withheld",
            vec![&coded, &plain],
        ),
    ];
    for (number, (more, withheld, ids)) in exports.into_iter().enumerate() {
        let export = dir.path().join(format!("export-{number}"));
        let export = export.to_str().unwrap();
        let (code, said) =
            here(&[&["audit", "export", export, "--link", RIGHT], &more[..]].concat());
        assert_eq!(code, 0, "{said}");
        assert_eq!(said.contains("NOT EXPORTED"), !ids.is_empty(), "{said}");
        for id in ids {
            assert!(said.contains(id), "{said}");
        }
        assert_eq!(said.contains("--override"), number == 0, "{said}");
        let (code, said) = say(&["audit", "verify", export]);
        assert_eq!(code, 0, "{said}");
        assert!(said.contains(withheld), "{said}");
        assert_eq!(said.contains("not in this export"), !withheld.is_empty());
    }
    let (code, said) = here(&["audit", "export", "x", "--withhold", "H7"]);
    assert_eq!(code, 2, "{said}");

    // Reasons are kept where they belong; the log of the process has none.
    assert!(!left.log().contains("31/2026"), "{}", left.log());
    assert_eq!(left.name, LEFT);
    left.stop();
    right.stop();
}

//! The commands themselves: `new`, `check`, and `send` beside it.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use liaison::limits;
use liaison::model::template;
use serde_json::Value;

use super::filler::filled;
use super::sample_of;
use crate::nodes;

fn run(dir: &Path, arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_liaison"))
        .args(arguments)
        .current_dir(dir)
        .env_remove("LIAISON_CONFIG")
        .env_remove("LIAISON_DESK")
        .env_remove("COLUMNS")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may end without having read.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

#[track_caller]
fn expect(output: &Output, code: i32) -> (String, String) {
    let out = String::from_utf8(output.stdout.clone()).unwrap();
    let err = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(code), "{out}\n{err}");
    (out, err)
}

#[test]
fn kinds_are_listed_and_wrong_ones_told() {
    let dir = tempfile::tempdir().unwrap();
    let (list, _) = expect(&run(dir.path(), &["new", "--list"], b""), 0);
    let (json, _) = expect(&run(dir.path(), &["new", "--list", "--json"], b""), 0);
    let json: Value = serde_json::from_str(&json).unwrap();
    let people: Vec<_> = super::people().collect();
    assert_eq!(json["kinds"].as_array().unwrap().len(), people.len());
    let (_, wrong) = expect(&run(dir.path(), &["new", "hand-over"], b""), 2);
    for form in people {
        let line = format!("  {}\n", form.purpose);
        let is_listed = |text: &str| text.lines().any(|line| line.trim().starts_with(&form.word));
        assert!(
            list.contains(&line) && is_listed(&list) && is_listed(&wrong),
            "{}",
            form.word
        );
    }
    let (_, system) = expect(&run(dir.path(), &["new", "refusal"], b""), 2);
    assert!(system.contains("only a node says refusal"), "{system}");
    assert!(!list.contains("refusal"));
    expect(&run(dir.path(), &["new"], b""), 2);
}

#[test]
fn a_form_is_written_filled_in_and_checked() {
    let dir = tempfile::tempdir().unwrap();
    let new = [
        "new",
        "HANDOVER_REQUEST",
        "--to",
        "hekou.ni.cn.example",
        "--out",
        "r.json",
    ];
    let (_, told) = expect(&run(dir.path(), &new, b""), 0);
    assert!(told.contains("liaison check r.json"), "{told}");
    // A form that somebody may have begun to fill in is not overwritten.
    expect(&run(dir.path(), &new, b""), 73);

    let (blank, _) = expect(&run(dir.path(), &["check", "r.json"], b""), 65);
    assert!(!blank.contains(" recipient\n"), "{blank}");
    let text = std::fs::read_to_string(dir.path().join("r.json")).unwrap();
    let line = 1 + text
        .lines()
        .position(|line| line.contains("\"nationality\""))
        .unwrap();
    let place = format!("r.json:{line}:");
    assert!(blank.contains(&place), "{place}: {blank}");

    let form = template::find("handover-request").unwrap();
    std::fs::write(dir.path().join("f.json"), filled(form, sample_of(form))).unwrap();
    let (both, _) = expect(&run(dir.path(), &["check", "f.json", "r.json"], b""), 65);
    assert!(
        both.contains("f.json: nothing is wrong (handover-request)"),
        "{both}"
    );
    let (json, _) = expect(
        &run(dir.path(), &["check", "f.json", "r.json", "--json"], b""),
        65,
    );
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["files"][0]["faults"], Value::Array(Vec::new()));
    let faults = json["files"][1]["faults"].as_array().unwrap();
    let nationality = "body.handoverRequest.persons[0].nationality";
    let fault = faults
        .iter()
        .find(|fault| fault["field"] == nationality)
        .unwrap();
    assert_eq!(fault["line"], line);

    // What check refuses, send refuses, for the same reasons.
    let (_, sent) = expect(&run(dir.path(), &["send", "--check", "r.json"], b""), 65);
    for fault in faults {
        let reason = fault["reason"].as_str().unwrap();
        let field = fault["field"].as_str().unwrap();
        assert!(
            sent.contains(field) && sent.contains(reason),
            "{field}: {sent}"
        );
    }
    expect(&run(dir.path(), &["send", "--check", "f.json"], b""), 0);
    expect(&run(dir.path(), &["check", "-"], text.as_bytes()), 65);
    expect(&run(dir.path(), &["check", "none.json"], b""), 65);
    expect(&run(dir.path(), &["check"], b""), 2);
}

#[test]
fn files_that_are_no_drafts_are_told_with_the_place() {
    let dir = tempfile::tempdir().unwrap();
    let check = |bytes: &[u8]| expect(&run(dir.path(), &["check", "-"], bytes), 65).0;
    assert!(check(b"{\n  \"id\": \"\xff\"\n}").contains("standard input:2:10: (file)"));
    // As Notepad saves "Unicode".
    assert!(check(b"\xff\xfe{\0}\0").contains("save the file as UTF-8"));
    assert!(check(b"{ /* x */ }").contains("standard input:1:3"));
    let over = vec![b' '; limits::DESK_MESSAGE_BYTES_MAX + 1];
    assert!(check(&over).contains("over the limit"));
    // Cut within a character, too large it is still.
    let mut cut = vec![b' '; limits::DESK_MESSAGE_BYTES_MAX];
    cut.extend("é".as_bytes());
    assert!(check(&cut).contains("over the limit"));
    // What it shows of hostile text cannot steer the terminal.
    let hostile = check("{\"a\u{202e}\u{1b}\": 1, \"recipient\": \"\u{202e}\"}".as_bytes());
    assert!(!hostile.contains(['\u{202e}', '\u{1b}']), "{hostile}");
}

#[tokio::test]
async fn a_reply_takes_over_what_follows_from_the_request_at_the_node() {
    let dir = tempfile::tempdir().unwrap();
    let (mut ours, mut theirs) = nodes::pair(dir.path());
    ours.start();
    theirs.start();
    drop((ours.desk().await, theirs.desk().await));
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples");
    let request = samples.join("handover-request.json");
    let photo = samples.join("anh-mau-1.png");
    let sent = nodes::succeed(&[
        "--config",
        &ours.config(),
        "send",
        request.to_str().unwrap(),
        "--to",
        nodes::RIGHT,
        "--attach",
        photo.to_str().unwrap(),
        "--wait",
        "delivered",
        "--json",
    ]);
    let id = serde_json::from_str::<Value>(&sent).unwrap()["id"]
        .as_str()
        .unwrap()
        .to_owned();

    let reply = dir.path().join("reply.json");
    let reply = reply.to_str().unwrap();
    let config = theirs.config();
    nodes::succeed(&[
        "--config",
        &config,
        "new",
        "handover-reply",
        "--answers",
        &id,
        "--out",
        reply,
    ]);
    let text = std::fs::read_to_string(reply).unwrap();
    assert!(
        text.contains(&id) && text.contains("// 2: 李小示例"),
        "{text}"
    );
    // Filled in as a person would: outcomes, an officer, and no remark.
    let outcome = "\"outcome\": \"HANDOVER_OUTCOME_VERIFYING\"";
    let mut text = text.replace("\"outcome\": \"\"", outcome);
    for field in ["name", "rank", "office"] {
        text = text.replace(
            &format!("\"{field}\": \"\""),
            &format!("\"{field}\": \"MẪU\""),
        );
    }
    let begin = text.find("\"remark\": ").unwrap() + "\"remark\": ".len();
    let end = begin + text[begin..].find("}}").unwrap() + 2;
    text.replace_range(begin..end, "\"not applicable\"");
    std::fs::write(reply, &text).unwrap();
    nodes::succeed(&["check", reply]);
    nodes::succeed(&["--config", &config, "send", reply, "--wait", "delivered"]);
    let shown = nodes::succeed(&["--config", &ours.config(), "show", &id, "--json"]);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["level"], "LEVEL_REPLIED");

    // The peer's message cannot be taken back.
    let wrong = nodes::liaison(&["--config", &config, "new", "withdrawal", "--answers", &id]);
    assert_eq!(wrong.status.code(), Some(65));
    let own = nodes::succeed(&[
        "--config",
        &ours.config(),
        "new",
        "withdrawal",
        "--answers",
        &id,
    ]);
    assert!(own.contains(&format!("\"supersedes\": \"{id}\"")), "{own}");
}

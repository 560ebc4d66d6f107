//! The built program, as people and scripts call it: everything that needs no running node.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const VN: &str = "laocai.bg.vn.example";
const CN: &str = "hekou.ni.cn.example";

/// Runs the program in `dir` without anything of the caller's environment that it heeds.
fn liaison(dir: &Path, arguments: &[&str]) -> Output {
    with_input(dir, arguments, "")
}

fn with_input(dir: &Path, arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_liaison"));
    for variable in [
        "LIAISON_CONFIG",
        "LIAISON_DESK",
        "LIAISON_CERT",
        "LIAISON_KEY",
        "LIAISON_CA",
        "COLUMNS",
        "CREDENTIALS_DIRECTORY",
    ] {
        command.env_remove(variable);
    }
    let mut child = command
        .args(arguments)
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may end without having read.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[track_caller]
fn expect(output: &Output, code: i32) {
    let (out, err) = (out(output), err(output));
    assert_eq!(output.status.code(), Some(code), "{out}\n{err}");
}

#[track_caller]
fn json(output: &Output) -> serde_json::Value {
    expect(output, 0);
    serde_json::from_slice(&output.stdout).unwrap()
}

fn init(dir: &Path, home: &str, name: &str, more: &[&str]) -> Output {
    let mut arguments = vec!["init", home, "--name", name];
    arguments.extend(more);
    liaison(dir, &arguments)
}

const TRIAL: &[&str] = &[
    "--unencrypted",
    "--example-ca",
    "--endpoint",
    "127.0.0.1:7443",
];

fn mode(path: PathBuf) -> u32 {
    std::fs::metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn init_makes_a_node_that_only_its_owner_can_read() {
    let dir = tempfile::tempdir().unwrap();
    let made = init(dir.path(), "node", VN, TRIAL);
    expect(&made, 0);
    let home = dir.path().join("node");
    for (path, wanted) in [
        ("", 0o700),
        ("keys/message.pem", 0o600),
        ("keys/log.pem", 0o600),
        ("tls/node.key", 0o600),
        ("data", 0o700),
        ("links", 0o700),
    ] {
        assert_eq!(mode(home.join(path)), wanted, "{path}");
    }
    let told = out(&made);
    for word in [
        "liaison.toml",
        "peer card",
        "peer add",
        "node run",
        "NOT encrypted",
    ] {
        assert!(told.contains(word), "{word}: {told}");
    }
    let listed = liaison(
        dir.path(),
        &["--config", "node/liaison.toml", "peer", "list", "--json"],
    );
    assert_eq!(json(&listed)["node"], VN);
}

#[test]
fn init_overwrites_nothing() {
    let dir = tempfile::tempdir().unwrap();
    expect(&init(dir.path(), "node", VN, TRIAL), 0);
    let key = dir.path().join("node/keys/message.pem");
    let before = std::fs::read(&key).unwrap();
    expect(&init(dir.path(), "node", VN, TRIAL), 73);
    // Even where the configuration is gone, as after an interrupted init.
    std::fs::remove_file(dir.path().join("node/liaison.toml")).unwrap();
    expect(&init(dir.path(), "node", VN, TRIAL), 73);
    assert_eq!(std::fs::read(&key).unwrap(), before);
}

#[test]
fn init_without_the_example_authority_makes_requests() {
    let dir = tempfile::tempdir().unwrap();
    let more = [
        "--unencrypted",
        "--desk-listen",
        "127.0.0.1:7444",
        "--organization",
        "Border Guard",
    ];
    expect(&init(dir.path(), "node", VN, &more), 0);
    for name in ["node", "desk"] {
        let request =
            std::fs::read_to_string(dir.path().join(format!("node/tls/{name}.csr"))).unwrap();
        assert!(request.starts_with("-----BEGIN CERTIFICATE REQUEST-----"));
        assert_eq!(mode(dir.path().join(format!("node/tls/{name}.key"))), 0o600);
        assert!(!dir.path().join(format!("node/tls/{name}.pem")).exists());
    }
    // There is no card before there is an authority.
    let card = liaison(
        dir.path(),
        &["--config", "node/liaison.toml", "peer", "card"],
    );
    expect(&card, 64);
    assert!(err(&card).contains("node-ca.pem"), "{}", err(&card));
}

#[test]
fn keys_are_encrypted_with_the_passphrase_of_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("pass phrase");
    std::fs::write(&secret, "correct horse battery staple\n").unwrap();
    let with = ["--passphrase-file", "pass phrase", "--example-ca"];

    // Others could read it: refused before anything is made.
    set_mode(&secret, 0o644);
    expect(&init(dir.path(), "node", VN, &with), 64);
    assert!(!dir.path().join("node").exists());

    set_mode(&secret, 0o600);
    expect(&init(dir.path(), "node", VN, &with), 0);
    let key = std::fs::read_to_string(dir.path().join("node/keys/log.pem")).unwrap();
    assert!(key.contains("ENCRYPTED PRIVATE KEY"), "{key}");
    expect(
        &liaison(
            dir.path(),
            &["--config", "node/liaison.toml", "peer", "card"],
        ),
        0,
    );

    std::fs::write(&secret, "another one altogether\n").unwrap();
    let wrong = liaison(
        dir.path(),
        &["--config", "node/liaison.toml", "peer", "card"],
    );
    expect(&wrong, 64);
    assert!(
        err(&wrong).contains("passphrase does not open"),
        "{}",
        err(&wrong)
    );

    std::fs::write(&secret, "short\n").unwrap();
    expect(&init(dir.path(), "other", VN, &with), 65);
    assert!(!dir.path().join("other").exists());
    // Nobody can be asked.
    expect(&init(dir.path(), "other", VN, &["--example-ca"]), 2);
}

fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn two_sides_take_each_others_cards() {
    let dir = tempfile::tempdir().unwrap();
    for (home, name) in [("vn", VN), ("cn", CN)] {
        expect(&init(dir.path(), home, name, TRIAL), 0);
        let config = format!("{home}/liaison.toml");
        let file = format!("{home}.card");
        expect(
            &liaison(dir.path(), &["-c", &config, "peer", "card", "--out", &file]),
            0,
        );
        // A card is not overwritten either.
        expect(
            &liaison(dir.path(), &["-c", &config, "peer", "card", "--out", &file]),
            73,
        );
    }
    let shown = json(&liaison(dir.path(), &["peer", "show", "cn.card", "--json"]));
    assert_eq!(shown["node"], CN);
    assert_eq!(shown["endpoints"][0], "127.0.0.1:7443");
    let fingerprint = shown["fingerprint"].as_str().unwrap().to_owned();
    let text = out(&liaison(dir.path(), &["peer", "show", "cn.card"]));
    assert!(
        text.contains(&fingerprint) && text.contains("NOT FOR USE"),
        "{text}"
    );

    let add = |more: &[&str]| {
        let mut arguments = vec!["-c", "vn/liaison.toml", "peer", "add"];
        arguments.extend(more);
        liaison(dir.path(), &arguments)
    };
    let links = || {
        std::fs::read_dir(dir.path().join("vn/links"))
            .unwrap()
            .count()
    };
    // Not compared, or another: nothing is added.
    expect(&add(&["cn.card"]), 2);
    let other = add(&[
        "cn.card",
        "--fingerprint",
        "0000 0000 0000 0000 0000 0000 0000 0000",
    ]);
    expect(&other, 1);
    // Its own card, and a changed one.
    let own = json(&liaison(dir.path(), &["peer", "show", "vn.card", "--json"]));
    expect(
        &add(&[
            "vn.card",
            "--fingerprint",
            own["fingerprint"].as_str().unwrap(),
        ]),
        65,
    );
    let card = std::fs::read_to_string(dir.path().join("cn.card")).unwrap();
    std::fs::write(
        dir.path().join("bad.card"),
        card.replace("role = \"log\"", "role = \"lag\""),
    )
    .unwrap();
    let bad = add(&["bad.card", "--fingerprint", &fingerprint]);
    expect(&bad, 65);
    assert!(err(&bad).contains("role"), "{}", err(&bad));
    assert_eq!(links(), 0);

    // Typed with hyphens, as people do.
    expect(
        &add(&["cn.card", "--fingerprint", &fingerprint.replace(' ', "-")]),
        0,
    );
    assert_eq!(links(), 2);
    expect(&add(&["cn.card", "--fingerprint", &fingerprint]), 73);
    let listed = json(&liaison(
        dir.path(),
        &["-c", "vn/liaison.toml", "peer", "list", "--json"],
    ));
    assert_eq!(listed["links"][0]["peer"], CN);
    assert_eq!(listed["links"][0]["fingerprint"], fingerprint.as_str());
}

#[test]
fn a_card_of_the_example_generator_is_for_trials_only() {
    let dir = tempfile::tempdir().unwrap();
    expect(&init(dir.path(), "vn", VN, &["--unencrypted"]), 0);
    expect(&init(dir.path(), "cn", CN, TRIAL), 0);
    let card = out(&liaison(
        dir.path(),
        &["-c", "cn/liaison.toml", "peer", "card"],
    ));
    std::fs::write(dir.path().join("cn.card"), card).unwrap();
    let shown = json(&liaison(dir.path(), &["peer", "show", "cn.card", "--json"]));
    let fingerprint = shown["fingerprint"].as_str().unwrap();
    let add = [
        "-c",
        "vn/liaison.toml",
        "peer",
        "add",
        "cn.card",
        "--fingerprint",
        fingerprint,
    ];
    let refused = liaison(dir.path(), &add);
    expect(&refused, 65);
    assert!(
        err(&refused).contains("allow_example_ca"),
        "{}",
        err(&refused)
    );
}

#[test]
fn a_draft_is_checked_before_any_node_is_asked() {
    let dir = tempfile::tempdir().unwrap();
    let send = |draft: &str| with_input(dir.path(), &["send", "-", "--check"], draft);

    let slip = send("{\"recipient\": \"hekou.ni.cn.example\", \"bdy\": {}}");
    expect(&slip, 65);
    assert!(
        err(&slip).contains("did you mean \"body\""),
        "{}",
        err(&slip)
    );
    assert!(err(&slip).contains("line 1, column"), "{}", err(&slip));

    expect(&send("{"), 65);
    expect(&send(""), 65);

    // Every fault at once, each with field, reason and remedy.
    let empty = send("{\"recipient\": \"x\", \"body\": {\"officialLetter\": {}}}");
    expect(&empty, 65);
    for word in [
        "recipient",
        "body.officialLetter.subject",
        "reason:",
        "remedy:",
    ] {
        assert!(err(&empty).contains(word), "{word}: {}", err(&empty));
    }
    // What it shows of hostile text cannot steer the terminal.
    let hostile =
        send("{\"recipient\": \"x\\u001b[2J\\u202E\", \"body\": {\"officialLetter\": {}}}");
    expect(&hostile, 65);
    assert!(
        !err(&hostile).contains(['\u{1b}', '\u{202E}']),
        "{}",
        err(&hostile)
    );

    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples");
    for sample in std::fs::read_dir(&samples).unwrap() {
        let path = sample.unwrap().path();
        if path.extension().is_some_and(|end| end == "json") {
            expect(
                &liaison(dir.path(), &["send", "--check", path.to_str().unwrap()]),
                0,
            );
        }
    }
    let letter = samples.join("official-letter.json");
    let missing = liaison(
        dir.path(),
        &["send", letter.to_str().unwrap(), "--attach", "none.pdf"],
    );
    expect(&missing, 65);
    assert!(err(&missing).contains("none.pdf"), "{}", err(&missing));
}

#[test]
fn a_node_that_does_not_run_is_named_with_the_command_to_start_it() {
    let dir = tempfile::tempdir().unwrap();
    expect(&init(dir.path(), "node", VN, TRIAL), 0);
    for command in [
        &["status"][..],
        &["list"],
        &["watch"],
        &["audit", "export", "out"],
    ] {
        let mut arguments = vec!["--config", "node/liaison.toml"];
        arguments.extend(command);
        let output = liaison(dir.path(), &arguments);
        expect(&output, 69);
        let told = err(&output);
        assert!(
            told.contains("run/desk.sock") && told.contains("node run"),
            "{told}"
        );
    }
    assert!(!dir.path().join("out").exists());
}

#[test]
fn a_bad_configuration_is_named_to_the_line() {
    let dir = tempfile::tempdir().unwrap();
    let none = liaison(dir.path(), &["status"]);
    expect(&none, 64);
    assert!(err(&none).contains("LIAISON_CONFIG"), "{}", err(&none));

    expect(&init(dir.path(), "node", VN, TRIAL), 0);
    let file = dir.path().join("node/liaison.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("listen = ", "lisen = ")).unwrap();
    for command in [&["status"][..], &["node", "run"], &["peer", "card"]] {
        let mut arguments = vec!["--config", "node/liaison.toml"];
        arguments.extend(command);
        let output = liaison(dir.path(), &arguments);
        expect(&output, 64);
        let told = err(&output);
        assert!(
            told.contains("did you mean") && told.contains("liaison.toml:"),
            "{told}"
        );
    }
}

#[test]
fn gates_are_listed_by_name_and_marked_as_sample() {
    let dir = tempfile::tempdir().unwrap();
    let listed = liaison(dir.path(), &["gate", "list"]);
    expect(&listed, 0);
    for part in ["huu-nghi/youyi-guan", "Lào Cai – Hà Khẩu", "老街—河口"] {
        assert!(out(&listed).contains(part), "{}", out(&listed));
    }
    assert!(err(&listed).contains("sample data"), "{}", err(&listed));
    let listed = liaison(dir.path(), &["gate", "list", "--json"]);
    expect(&listed, 0);
    let gates = json(&listed);
    assert_eq!(gates["sample"], true);
    assert_eq!(gates["gates"].as_array().unwrap().len(), 12);
    assert_eq!(gates["gates"][0]["class"], "international");
    assert_eq!(gates["gates"][0]["names"]["zh-Hans"], "友谊—友谊关");
}

#[test]
fn audits_need_no_node_and_say_what_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    expect(&liaison(dir.path(), &["audit", "verify", "none"]), 65);
    std::fs::create_dir(dir.path().join("empty")).unwrap();
    let empty = liaison(dir.path(), &["audit", "verify", "empty"]);
    expect(&empty, 1);
    assert!(out(&empty).contains("MANIFEST.json"), "{}", out(&empty));
    let as_json = liaison(dir.path(), &["audit", "verify", "empty", "--json"]);
    expect(&as_json, 1);
    let verdict: serde_json::Value = serde_json::from_slice(&as_json.stdout).unwrap();
    assert_eq!(verdict["clean"], false);
    expect(
        &liaison(dir.path(), &["audit", "reconcile", "empty", "empty"]),
        1,
    );

    std::fs::write(dir.path().join("keys"), "# none\n").unwrap();
    expect(
        &liaison(dir.path(), &["audit", "verify", "empty", "--trust", "keys"]),
        65,
    );
    std::fs::write(dir.path().join("keys"), "nonsense\n").unwrap();
    let keys = liaison(dir.path(), &["audit", "verify", "empty", "--trust", "keys"]);
    expect(&keys, 65);
    assert!(err(&keys).contains("line 1"), "{}", err(&keys));
}

#[test]
fn the_command_line_has_help_completions_and_documented_exits() {
    let dir = tempfile::tempdir().unwrap();
    let help = liaison(dir.path(), &["--help"]);
    expect(&help, 0);
    for word in ["Exit codes", "65", "LIAISON_CONFIG", "demo"] {
        assert!(out(&help).contains(word), "{word}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let script = liaison(dir.path(), &["completions", shell]);
        expect(&script, 0);
        assert!(out(&script).contains("liaison"), "{shell}");
    }
    expect(&liaison(dir.path(), &[]), 2);
    expect(&liaison(dir.path(), &["frobnicate"]), 2);
    expect(&liaison(dir.path(), &["show", "not-an-id"]), 2);
    expect(&liaison(dir.path(), &["init", "x", "--name", "One"]), 2);
    assert!(!dir.path().join("x").exists());
}

/// `liaison … | head -1` is no failure.
#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_liaison"))
        .args(["completions", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    expect(&output, 0);
    assert_eq!(err(&output), "");
}

#[test]
fn the_demo_touches_no_directory_but_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let mine = dir.path().join("demo");
    std::fs::create_dir(&mine).unwrap();
    std::fs::write(mine.join("thesis.txt"), "years of work").unwrap();
    let refused = liaison(dir.path(), &["demo", "--once"]);
    expect(&refused, 73);
    assert!(err(&refused).contains("--dir"), "{}", err(&refused));
    assert_eq!(std::fs::read_dir(&mine).unwrap().count(), 1);
}

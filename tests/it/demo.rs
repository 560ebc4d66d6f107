//! The demo, and the program against the two nodes that the demo leaves running.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::Value;

const KINDS: [&str; 8] = [
    "crossing alert",
    "handover request",
    "handover reply",
    "official letter",
    "acknowledgement",
    "withdrawal",
    "refusal",
    "attachments received",
];

fn program(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_liaison"));
    command
        .env_remove("LIAISON_CONFIG")
        .env_remove("LIAISON_DESK")
        .env_remove("COLUMNS")
        .current_dir(dir)
        .stdin(Stdio::null());
    command
}

fn run(dir: &Path, arguments: &[&str]) -> Output {
    program(dir).args(arguments).output().unwrap()
}

#[track_caller]
fn ok(output: &Output) -> String {
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    );
    assert_eq!(output.status.code(), Some(0), "{out}\n{err}");
    out
}

#[test]
fn the_demo_shows_all_of_it_within_ten_seconds() {
    let dir = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    let told = ok(&run(dir.path(), &["demo", "--once"]));
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );

    // Every kind, both ways.
    let summary = told.split("Summary").nth(1).unwrap();
    for kind in KINDS {
        let line = summary
            .lines()
            .find(|line| line.trim().starts_with(kind))
            .unwrap();
        let counts: Vec<u32> = line
            .split_whitespace()
            .filter_map(|word| word.parse().ok())
            .collect();
        assert!(
            counts.len() == 2 && counts.iter().all(|count| *count > 0),
            "{line}"
        );
    }
    for word in [
        "110 persons",
        "c2sp.org/tlog-proof@v1",
        "FLASH",
        "● acknowledged",
        "收悉",
        "Đã nhận",
    ] {
        assert!(told.contains(word), "{word}: {told}");
    }
    assert_eq!(told.matches("nothing is wrong").count(), 3, "{told}");

    // What it leaves is verified by anyone, and used again by the next demo.
    for side in ["laocai.bg.vn.example", "hekou.ni.cn.example"] {
        let export = format!("demo/export/{side}");
        ok(&run(
            dir.path(),
            &[
                "audit",
                "verify",
                &export,
                "--trust",
                "demo/export/trusted.vkeys",
            ],
        ));
    }
    assert!(
        !dir.path().join("demo/laocai/run/desk.sock").exists(),
        "the nodes are stopped"
    );
    ok(&run(dir.path(), &["demo", "--once"]));
}

/// A demo whose nodes keep running; whatever happens to a test, they end with it.
struct Running {
    dir: tempfile::TempDir,
    demo: Child,
}

impl Running {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut demo = program(dir.path())
            .arg("demo")
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(demo.stdout.take().unwrap()).lines();
        let ready = lines.any(|line| line.unwrap().contains("The nodes log to"));
        assert!(ready, "the demo has ended");
        Self { dir, demo }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn on(&self, side: &str, arguments: &[&str]) -> Output {
        let config = format!("demo/{side}/liaison.toml");
        program(self.path())
            .args(["--config", &config])
            .args(arguments)
            .output()
            .unwrap()
    }

    #[track_caller]
    fn json(&self, side: &str, arguments: &[&str]) -> Value {
        serde_json::from_str(&ok(&self.on(side, &[arguments, &["--json"]].concat()))).unwrap()
    }

    fn nodes(&self) -> Vec<Pid> {
        let children = format!("/proc/{0}/task/{0}/children", self.demo.id());
        let children = std::fs::read_to_string(children).unwrap();
        let pids = children
            .split_whitespace()
            .map(|pid| Pid::from_raw(pid.parse().unwrap()).unwrap());
        pids.collect()
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.demo.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.demo.kill();
        let _ = self.demo.wait();
    }
}

fn wait_until_gone(nodes: &[Pid]) {
    let deadline = Instant::now() + Duration::from_secs(12);
    // A zombie that nobody has waited for is gone as well.
    let alive = |pid: &Pid| {
        let stat = format!("/proc/{}/stat", pid.as_raw_nonzero());
        test_kill_process(*pid).is_ok()
            && std::fs::read_to_string(stat).is_ok_and(|stat| !stat.contains(") Z "))
    };
    while nodes.iter().any(alive) {
        assert!(Instant::now() < deadline, "a node outlives the demo");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn nodes_never_outlive_the_demo() {
    for signal in [Signal::INT, Signal::TERM, Signal::KILL] {
        let mut running = Running::start();
        let nodes = running.nodes();
        assert_eq!(nodes.len(), 2);
        // It is not made anew while it runs.
        let second = run(running.path(), &["demo", "--once"]);
        assert_eq!(second.status.code(), Some(75));

        running.signal(signal);
        let status = running.demo.wait().unwrap();
        if signal != Signal::KILL {
            assert_eq!(status.code(), Some(0));
        }
        wait_until_gone(&nodes);
    }
}

#[test]
fn messages_are_sent_read_acknowledged_and_proven() {
    let running = Running::start();
    let sample = |name: &str| {
        let path = running.path().join("demo/samples").join(name);
        path.to_str().unwrap().to_owned()
    };
    let letter = sample("official-letter.json");
    let annex = sample("phu-luc-27.pdf");

    let send = ["send", &letter, "--attach", &annex, "--wait", "delivered"];
    let sent = running.json("laocai", &send);
    let id = sent["id"].as_str().unwrap();
    assert_eq!(sent["message"]["level"], "LEVEL_DELIVERED");

    // Sending it again with its id sends nothing twice; other content with it is refused.
    let again = running.json("laocai", &["send", &letter, "--attach", &annex, "--id", id]);
    assert_eq!(
        (&again["index"], &again["alreadyRecorded"]),
        (&sent["index"], &Value::Bool(true))
    );
    let alert = sample("crossing-alert-sensor.json");
    let other = running.on("laocai", &["send", &alert, "--id", id]);
    assert_eq!(other.status.code(), Some(65));

    // Nobody has acknowledged it: what was asked for did not come about.
    let id2 = running.json("laocai", &["send", &letter, "--attach", &annex])["id"].clone();
    let late = [
        "send",
        &letter,
        "--attach",
        &annex,
        "--id",
        id2.as_str().unwrap(),
    ];
    let late = running.on(
        "laocai",
        &[&late[..], &["--wait", "acknowledged", "--timeout", "1s"]].concat(),
    );
    assert_eq!(late.status.code(), Some(1));

    let shown = ok(&running.on("hekou", &["show", id, "--save-attachments", "got"]));
    assert!(
        shown.contains("→ this node") && shown.contains("关于联合巡逻"),
        "{shown}"
    );
    let (got, given) = (
        running.path().join("got/phu-luc-27.pdf"),
        PathBuf::from(&annex),
    );
    assert_eq!(std::fs::read(&got).unwrap(), std::fs::read(given).unwrap());
    // Nothing is overwritten.
    let twice = running.on("hekou", &["show", id, "--save-attachments", "got"]);
    assert_eq!(twice.status.code(), Some(73));

    let officer = [
        "--name",
        "陈示例",
        "--rank",
        "二级警督",
        "--office",
        "河口出入境边防检查站（示例）",
    ];
    let ack = [
        &["ack", id][..],
        &officer,
        &["--remark", "zh-Hans=收悉", "--remark", "vi=Đã nhận"],
    ]
    .concat();
    let ack_id = running.json("hekou", &ack)["id"].clone();
    let wait = [
        "send",
        &letter,
        "--attach",
        &annex,
        "--id",
        id,
        "--wait",
        "acknowledged",
    ];
    let acknowledged = running.json("laocai", &wait);
    assert_eq!(acknowledged["message"]["answers"][0], ack_id);
    let shown = ok(&running.on("laocai", &["show", id]));
    assert!(
        shown.contains("● acknowledged") && shown.contains("陈示例"),
        "{shown}"
    );
    // Own messages are not for acknowledging.
    let own = running.on("laocai", &[&["ack", id][..], &officer].concat());
    assert!(
        matches!(own.status.code(), Some(1 | 65)),
        "{:?}",
        own.status
    );

    // Pages add up to the whole.
    let all = running.json("laocai", &["list", "--limit", "1000"]);
    let all = all["messages"].as_array().unwrap().clone();
    let first = running.json("laocai", &["list", "--limit", "5"]);
    let token = first["nextPageToken"].as_str().unwrap();
    let rest = running.json("laocai", &["list", "--limit", "1000", "--page", token]);
    let mut paged = first["messages"].as_array().unwrap().clone();
    paged.extend(rest["messages"].as_array().unwrap().clone());
    let ids = |messages: &[Value]| -> Vec<String> {
        messages
            .iter()
            .map(|message| message["id"].to_string())
            .collect()
    };
    assert_eq!(ids(&paged), ids(&all));
    let letters = [
        "list",
        "--own",
        "--kind",
        "official-letter",
        "--level",
        "acknowledged",
    ];
    assert_eq!(running.json("laocai", &letters)["messages"][0]["id"], id);

    // From the start, every line is JSON with a cursor to go on from.
    let watched = ok(&running.on(
        "hekou",
        &["watch", "--from-start", "--until-caught-up", "--json"],
    ));
    let last: Value = serde_json::from_str(watched.lines().last().unwrap()).unwrap();
    assert_eq!(last["event"], "WATCH_EVENT_CAUGHT_UP");

    // A receipt for a stranger.
    ok(&running.on("laocai", &["audit", "proof", id, "--out", "receipt"]));
    let check = |entry: &str| {
        let check = [
            "audit",
            "check-proof",
            "receipt.tlog-proof",
            "--entry",
            entry,
        ];
        run(
            running.path(),
            &[&check[..], &["--vkeys", "receipt.vkeys"]].concat(),
        )
    };
    assert!(ok(&check("receipt.entry")).contains(id));
    let mut entry = std::fs::read(running.path().join("receipt.entry")).unwrap();
    entry[40] ^= 1;
    std::fs::write(running.path().join("tampered.entry"), entry).unwrap();
    assert_eq!(check("tampered.entry").status.code(), Some(1));

    let status = ok(&running.on("laocai", &["status"]));
    assert!(
        status.contains("serving") && status.contains("hekou.ni.cn.example"),
        "{status}"
    );
    let unknown = running.on("laocai", &["show", "019caffb-5c48-7d02-9c31-1a2b3c4d5e6f"]);
    assert_eq!(unknown.status.code(), Some(1));
    // A name that no link has, told by field.
    let nowhere = running.on(
        "laocai",
        &[
            "send",
            &letter,
            "--attach",
            &annex,
            "--to",
            "nobody.example",
        ],
    );
    assert!(
        matches!(nowhere.status.code(), Some(1 | 65)),
        "{:?}",
        nowhere.status
    );
    let told = String::from_utf8_lossy(&nowhere.stderr).into_owned();
    assert!(
        told.contains("recipient") && told.contains("nobody.example"),
        "{told}"
    );
}

#[test]
fn the_desk_over_the_network_gives_each_role_its_own() {
    let running = Running::start();
    let config = std::fs::read_to_string(running.path().join("demo/laocai/liaison.toml")).unwrap();
    let config: toml::Table = config.parse().unwrap();
    let listen = config["desk"]["tcp"]["listen"].as_str().unwrap().to_owned();
    let as_role = |role: &str, arguments: &[&str]| {
        let file = |end: &str| format!("demo/laocai/tls/clients/{role}.{end}");
        program(running.path())
            .args([
                "--desk",
                &listen,
                "--cert",
                &file("pem"),
                "--key",
                &file("key"),
            ])
            .args(["--ca", "demo/laocai/tls/desk-ca.pem", "--allow-example-ca"])
            .args(arguments)
            .output()
            .unwrap()
    };
    ok(&as_role("auditor", &["list"]));
    ok(&as_role("auditor", &["audit", "export", "by-auditor"]));
    ok(&run(running.path(), &["audit", "verify", "by-auditor"]));
    let sending = as_role(
        "auditor",
        &["send", "demo/samples/crossing-alert-sensor.json"],
    );
    assert_eq!(sending.status.code(), Some(77));
    ok(&as_role("admin", &["status"]));
    ok(&as_role(
        "operator",
        &[
            "send",
            "demo/samples/crossing-alert-sensor.json",
            "--wait",
            "delivered",
        ],
    ));
    // Without --allow-example-ca, nothing of the example generator is believed.
    let strict = program(running.path())
        .args([
            "--desk",
            &listen,
            "--cert",
            "demo/laocai/tls/clients/auditor.pem",
        ])
        .args([
            "--key",
            "demo/laocai/tls/clients/auditor.key",
            "--ca",
            "demo/laocai/tls/desk-ca.pem",
        ])
        .arg("status")
        .output()
        .unwrap();
    assert_eq!(
        strict.status.code(),
        Some(64),
        "{}",
        String::from_utf8_lossy(&strict.stderr)
    );
}

//! A real node and everyone who knocks at its door in bad ways: scanners, floods, bombs, and callers
//! who stall. After each, those who behave are served, nothing has piled up, and the log says who.
//!
//! The knocking is `tests/tools/door.py`, which needs nothing of ours.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;
use std::process::Command;

use liaison::proto::v1::{self, LinkState};
use serde_json::Value;

use crate::nodes::{LEFT, Node, RIGHT, letter, pair};
use crate::sides::patiently;

/// A node under siege, and its honest peer.
struct Siege {
    left: Node,
    right: Node,
    /// Files and sockets that the node has open when nobody knocks.
    quiet_files: usize,
    _dir: tempfile::TempDir,
}

/// A node's open files may grow by so many: a session or two, and what the store opens.
const FILES_MORE: usize = 24;
/// Resident memory, in KiB: far from what any of these would cost unbounded.
const RESIDENT_KIB_MAX: usize = 256 << 10;

impl Siege {
    async fn begin() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (mut left, mut right) = pair(dir.path());
        // One line: an attack on it, and nothing else that comes and goes.
        left.set_link(RIGHT, "dial = false");
        left.start();
        right.start();
        left.until(RIGHT, "up", |link| link.state() == LinkState::Up)
            .await;
        let quiet_files = files(left.pid());
        Self {
            left,
            right,
            quiet_files,
            _dir: dir,
        }
    }

    /// Knocks, as a stranger or with the peer's own certificate.
    async fn knock(&self, as_peer: bool, case: &str, count: usize) -> Value {
        let own = as_peer.then_some(&self.right);
        self.knock_as(own, case, count).await
    }

    /// Knocks with the certificate of a node, if any.
    async fn knock_as(&self, node: Option<&Node>, case: &str, count: usize) -> Value {
        let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/door.py");
        let (certificate, key) = match node.map(|node| node.dir.join("tls")) {
            Some(tls) => (tls.join("node.pem"), tls.join("node.key")),
            None => ("-".into(), "-".into()),
        };
        let mut command = Command::new("python3");
        command
            .arg(tool)
            .args([self.left.port.to_string(), "-".to_owned()])
            .args([certificate, key])
            .args([case, &count.to_string()]);
        let run = tokio::task::spawn_blocking(move || command.output().unwrap());
        let output = run.await.unwrap();
        assert!(
            output.status.success(),
            "{case}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// A letter each way is recorded and receipted, and nothing has piled up.
    async fn assert_serving(&mut self, after: &str) {
        for (node, peer) in [(&mut self.left, RIGHT), (&mut self.right, LEFT)] {
            let draft = Some(letter(peer, 1));
            let mut desk = node.desk().await;
            desk.submit(v1::SubmitRequest { draft }).await.unwrap();
            node.until(peer, "delivered", |link| {
                link.delivered_size == link.own_size
            })
            .await;
        }
        let pid = self.left.pid();
        let most = self.quiet_files + FILES_MORE;
        let closed = async {
            while files(pid) > most {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        patiently(closed).await;
        let resident = resident_kib(pid);
        assert!(resident < RESIDENT_KIB_MAX, "{resident} KiB after {after}");
        let held = |link: &v1::LinkStatus| link.state() == LinkState::Held;
        let link = self.left.until(RIGHT, "seen", |_| true).await;
        assert!(!held(&link), "{after}: {link:?}");
    }

    fn lines(&self, words: &str) -> usize {
        self.left.log().matches(words).count()
    }
}

fn files(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .count()
}

fn resident_kib(pid: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.unwrap().split_whitespace().nth(1).unwrap();
    kib.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn scanners_and_strangers_come_no_further_than_the_door() {
    let mut siege = Siege::begin().await;
    for (case, said) in [
        ("plain_http", "received corrupt message"),
        ("garbage", "received corrupt message"),
        ("half_hello", "the TLS handshake took too long"),
        ("tls12", "peer is incompatible"),
        ("no_alpn", "peer sent no certificates"),
        ("http1_alpn", "doesn't support any known protocol"),
        ("knock", "peer sent no certificates"),
        ("other_sni", "peer sent no certificates"),
        ("long_sni", "peer sent no certificates"),
    ] {
        let before = siege.lines(said);
        let answer = siege.knock(false, case, 0).await;
        assert_eq!(answer["closed"], true, "{case}: {answer}");
        assert_eq!(
            siege.lines(said),
            before + 1,
            "{case}: {said}\n{}",
            siege.left.log()
        );
    }
    siege.assert_serving("strangers").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_peers_name_from_a_wrong_authority_comes_no_further_than_the_door() {
    let mut siege = Siege::begin().await;
    // The same name, by an authority of the impostor's own making.
    let elsewhere = tempfile::tempdir().unwrap();
    let impostor = Node::init(elsewhere.path(), RIGHT);
    let said = "a connection was refused";
    for case in ["knock", "many_streams"] {
        let before = siege.lines(said);
        let answer = siege.knock_as(Some(&impostor), case, 10).await;
        assert_eq!(answer["closed"], true, "{case}: {answer}");
        assert_eq!(
            siege.lines(said),
            before + 1,
            "{case}\n{}",
            siege.left.log()
        );
    }
    siege.assert_serving("a wrong authority").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_half_open_connections_keep_nobody_out() {
    const COUNT: usize = 2_000;
    let mut siege = Siege::begin().await;
    let knocking = siege.knock(false, "half_open", COUNT);
    let answer = knocking.await;
    assert_eq!(answer["ended"], COUNT, "{answer}");
    siege.assert_serving("half-open connections").await;
    // Strangers do not fill the log either: 20 lines, and one a second.
    let lines = siege.lines("a connection was refused");
    assert!(lines < COUNT / 4, "{lines} lines");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_the_peers_certificate_floods_one_connection_and_no_more() {
    const COUNT: usize = 40_000;
    let mut siege = Siege::begin().await;
    let cut = "floods the connection with frames that carry nothing";
    for case in [
        "rapid_reset",
        "continuation",
        "empty_continuation",
        "ping",
        "settings",
        "window_update",
        "empty_data",
        "priority",
        "unknown_frames",
        "header_bomb",
    ] {
        let before = siege.lines(cut);
        let answer = siege.knock(true, case, COUNT).await;
        assert_eq!(answer["closed"], true, "{case}: {answer}");
        assert!(
            answer["sent"].as_u64().unwrap() < COUNT as u64,
            "{case}: {answer}"
        );
        assert!(
            siege.lines(cut) <= before + 1,
            "{case}: told more than once"
        );
        siege.assert_serving(case).await;
    }
    assert!(siege.lines(cut) >= 4, "{}", siege.left.log());
    let named = format!("identity=\"peer {RIGHT}\"");
    assert!(siege.lines(&named) >= 4, "{}", siege.left.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_the_peers_certificate_stalls_and_oversizes_in_vain() {
    let mut siege = Siege::begin().await;
    for case in [
        "knock",
        "no_alpn",
        "oversized_frame",
        "oversized_message",
        "compressed",
    ] {
        let answer = siege.knock(true, case, 0).await;
        assert_eq!(answer["closed"], true, "{case}: {answer}");
    }
    siege.assert_serving("oversize").await;
    // Calls whose message never comes, from a client that lives: each has an end.
    let answer = siege.knock(true, "drip", 0).await;
    assert!(
        answer["ended"] == 64 || answer["closed"] == true,
        "{answer}\n{}",
        siege.left.log()
    );
    siege.assert_serving("dripping").await;
    // Sessions without end on one connection: one at a time, and so many a second.
    let answer = siege.knock(true, "many_streams", 300).await;
    assert_eq!(answer["closed"], true, "{answer}");
    siege.assert_serving("many sessions").await;
}

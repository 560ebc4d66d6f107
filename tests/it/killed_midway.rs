//! `kill -9` at the n-th sync of real processes while records come in: of a bundle, of `liaison
//! recover`, of `liaison restore`. Run again, the heads are what they would have been, to the byte.
//! Needs `strace`, and the right to trace.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::nodes::{LEFT, Node, RIGHT, liaison, pair, succeed};

/// The syncs at which a process is killed, one after the other, until it ends before.
const AT: [u32; 5] = [2, 4, 5, 9, 16];

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn inject(nth: u32) -> [String; 5] {
    let inject = format!("inject=fdatasync,fsync:signal=SIGKILL:when={nth}");
    ["-f", "-o", "/dev/null", "-e", &inject].map(str::to_owned)
}

/// Runs a command that is killed at the n-th sync of one of its threads.
fn killed_at(nth: u32, args: &[&str]) -> Output {
    Command::new("strace")
        .args(inject(nth))
        .arg(env!("CARGO_BIN_EXE_liaison"))
        .args(args)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// From now on a node that runs is killed at the n-th sync of one of its threads. What is returned
/// ends with the node.
pub(crate) fn kill_later(node: &Node, nth: u32) -> std::thread::JoinHandle<()> {
    let mut tracer = Command::new("strace")
        .args(inject(nth))
        .args(["-p", &node.pid().to_string()])
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(tracer.stderr.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    assert!(first.contains("attached"), "{first}");
    // What else it says is of no use, but must be read.
    std::thread::spawn(move || {
        lines.for_each(drop);
        tracer.wait().unwrap();
    })
}

pub(crate) fn copy(from: &Path, to: &Path) {
    drop(std::fs::remove_dir_all(to));
    let copied = Command::new("cp").arg("-a").args([from, to]).status();
    assert!(copied.unwrap().success());
}

/// Origin, size and root of both logs, by an export that verifies; and every receipt.
fn heads(node: &Node) -> Vec<(PathBuf, String)> {
    let export = node.dir.join("export");
    drop(std::fs::remove_dir_all(&export));
    let config = node.config();
    succeed(&["--config", &config, "audit", "export", text(&export)]);
    succeed(&["audit", "verify", text(&export)]);
    let mut heads = Vec::new();
    for log in std::fs::read_dir(&export).unwrap() {
        let log = log.unwrap().path();
        if let Ok(note) = std::fs::read_to_string(log.join("checkpoint")) {
            let head: Vec<_> = note.lines().take(3).collect();
            heads.push((log, head.join("\n")));
        }
    }
    heads.sort();
    assert!(!heads.is_empty());
    heads
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_is_taken_in_whole_however_often_the_node_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let (mut left, mut right) = pair(dir.path());
    left.start();
    right.start();
    left.say(RIGHT, 0..2).await;
    left.delivered(RIGHT).await;
    // From here on only files go between them.
    right.stop();
    left.set_link(RIGHT, "dial = false");
    right.set_link(LEFT, "dial = false");
    left.say(RIGHT, 10..550).await;
    let file = dir.path().join("there.bundle");
    let export = |node: &Node, peer: &str, file: &Path| {
        let config = node.config();
        succeed(&[
            "--config",
            &config,
            "bundle",
            "export",
            peer,
            "-o",
            text(file),
        ]);
    };
    export(&left, RIGHT, &file);
    let statement = succeed(&["--config", &right.config(), "bundle", "show", text(&file)]);
    assert!(
        statement.contains("542") || statement.contains("541"),
        "{statement}"
    );
    let (data, fresh) = (right.dir.join("data"), right.dir.join("fresh"));
    copy(&data, &fresh);
    let config = right.config();
    let import = ["--config", &config, "bundle", "import", text(&file)];
    let mut seen = None;
    let mut killed = 0;
    for nth in AT {
        copy(&fresh, &data);
        right.start();
        right.desk().await;
        let tracer = kill_later(&right, nth);
        let taken = liaison(&import);
        let is_killed = !taken.status.success();
        if is_killed {
            killed += 1;
            assert!(!right.ended().success());
        } else {
            // Before something else is, that is not looked at here.
            right.kill();
        }
        right.start();
        right.desk().await;
        if is_killed {
            succeed(&import);
        }
        // What was flushed and not cosigned before the end is cosigned with what goes back.
        let back = dir.path().join(format!("{nth}.bundle"));
        export(&right, LEFT, &back);
        // Every time it has come to the same.
        let link = right
            .until(LEFT, "all taken", |link| link.mirrored_size == 542)
            .await;
        let now = (link.mirrored_size, heads(&right));
        assert_eq!(seen.get_or_insert_with(|| now.clone()), &now, "at {nth}");
        right.kill();
        tracer.join().unwrap();
        if !is_killed {
            break;
        }
    }
    assert!(killed >= 2, "{killed}");
    right.start();
    right.desk().await;
    let back = dir.path().join("back.bundle");
    export(&right, LEFT, &back);
    succeed(&["--config", &left.config(), "bundle", "import", text(&back)]);
    left.delivered(RIGHT).await;
    assert_eq!(heads(&left)[0].1, heads(&right)[0].1);
}

#[tokio::test(flavor = "multi_thread")]
async fn recovery_and_restore_go_on_wherever_they_were_killed() {
    let dir = tempfile::tempdir().unwrap();
    let (mut left, mut right) = pair(dir.path());
    left.start();
    right.start();
    left.say(RIGHT, 0..600).await;
    right.say(LEFT, 0..20).await;
    left.delivered(RIGHT).await;
    right.delivered(LEFT).await;
    let backup = dir.path().join("backup");
    let config = left.config();
    succeed(&["--config", &config, "backup", text(&backup)]);
    let before = heads(&left);
    left.stop();
    let (data, lost) = (left.dir.join("data"), left.dir.join("lost"));
    copy(&data, &lost);
    std::fs::remove_dir_all(lost.join("sled")).unwrap();

    let recover = ["--config", &config, "recover"];
    let mut killed = 0;
    for nth in AT {
        copy(&lost, &data);
        let output = killed_at(nth, &recover);
        let is_killed = !output.status.success();
        if is_killed {
            killed += 1;
            succeed(&recover);
        }
        left.start();
        left.desk().await;
        assert_eq!(heads(&left), before, "recovery, at {nth}");
        left.stop();
        if !is_killed {
            break;
        }
    }
    assert!(killed >= 2, "{killed}");

    let restore = ["--config", &config, "restore", text(&backup)];
    killed = 0;
    for nth in AT {
        std::fs::remove_dir_all(&data).unwrap();
        let output = killed_at(nth, &restore);
        let is_killed = !output.status.success();
        if is_killed {
            killed += 1;
        }
        if !data.exists() {
            succeed(&restore);
        }
        left.start();
        left.desk().await;
        assert_eq!(heads(&left), before, "restore, at {nth}");
        left.stop();
        if !is_killed {
            break;
        }
    }
    assert!(killed >= 2, "{killed}");
    left.start();
    left.say(RIGHT, 700..701).await;
    left.delivered(RIGHT).await;
}

//! Backups of real nodes, over the real desk, with the commands that administrators type.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use liaison::audit::reconcile::reconcile;
use liaison::proto::v1;
use serde_json::Value;

use super::assert_whole;
use crate::nodes::{LEFT, Node, PATIENCE, RIGHT, letter, liaison, pair, succeed};

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn backup(node: &Node, dir: &Path) -> Value {
    let told = succeed(&["--config", &node.config(), "backup", text(dir), "--json"]);
    serde_json::from_str(&told).unwrap()
}

fn count(value: &Value, key: &str) -> u64 {
    value[key].as_u64().unwrap()
}

async fn delivered(node: &mut Node, peer: &str) {
    node.until(peer, "delivered", |link| {
        link.delivered_size == link.own_size
    })
    .await;
}

/// Everything in a directory, with mode and size.
fn listing(dir: &Path) -> Vec<(PathBuf, u32, u64)> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            let size = if meta.is_dir() { 0 } else { meta.len() };
            found.push((path.clone(), meta.permissions().mode() & 0o777, size));
            if meta.is_dir() {
                open.push(path);
            }
        }
    }
    found.sort();
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_comes_back_on_another_machine_from_a_backup_made_under_traffic() {
    let dir = tempfile::tempdir().unwrap();
    let (mut left, mut right) = pair(dir.path());
    left.start();
    right.start();
    let bak = dir.path().join("bak");
    // Backups while both sides speak.
    let mut from_left = left.desk().await;
    let mut from_right = right.desk().await;
    let traffic = tokio::spawn(async move {
        for number in 0..150 {
            let draft = Some(letter(RIGHT, number));
            from_left.submit(v1::SubmitRequest { draft }).await.unwrap();
            let draft = Some(letter(LEFT, number));
            from_right
                .submit(v1::SubmitRequest { draft })
                .await
                .unwrap();
        }
    });
    while !traffic.is_finished() {
        let (config, to) = (left.config(), bak.clone());
        let made = tokio::task::spawn_blocking(move || {
            succeed(&["--config", &config, "backup", text(&to), "--json"])
        });
        made.await.unwrap();
        assert_whole(&bak);
    }
    traffic.await.unwrap();
    delivered(&mut left, RIGHT).await;
    delivered(&mut right, LEFT).await;
    let taken = backup(&left, &bak);
    assert_eq!(count(&taken, "entries"), 300);
    // Nobody but its owner reads it; no key is in it.
    for (path, mode, _) in listing(&bak) {
        assert_eq!(mode & 0o077, 0, "{}", path.display());
        if path.is_file() {
            let bytes = fs::read(&path).unwrap();
            let key = format!("{} KEY", "PRIVATE");
            assert!(!String::from_utf8_lossy(&bytes).contains(&key));
        }
    }

    // The machine burns down. On another one there are configuration and keys, and the backup.
    left.kill();
    let elsewhere = dir.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let copied = Command::new("cp")
        .arg("-a")
        .arg(&left.dir)
        .arg(&elsewhere)
        .status();
    assert!(copied.unwrap().success());
    fs::remove_dir_all(&left.dir).unwrap();
    let place = elsewhere.join(LEFT);
    left.dir.clone_from(&place);
    fs::remove_dir_all(place.join("data")).unwrap();
    let told = succeed(&["--config", &left.config(), "restore", text(&bak), "--json"]);
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(count(&told, "entries"), 300);
    assert!(!place.join("data.restoring").exists() && !place.join("data/RESTORING").exists());

    left.start();
    left.say(RIGHT, 900..905).await;
    right.say(LEFT, 900..905).await;
    delivered(&mut left, RIGHT).await;
    delivered(&mut right, LEFT).await;
    let exports: Vec<_> = [&left, &right]
        .into_iter()
        .map(|node| {
            let to = dir.path().join(format!("export-{}", node.name));
            succeed(&["--config", &node.config(), "audit", "export", text(&to)]);
            to
        })
        .collect();
    let verdict = reconcile(&exports[0], &exports[1], &mut |_| ());
    assert!(verdict.clean, "{verdict:?}");
    left.stop();
    right.stop();
}

/// Starts a command and kills it with SIGKILL as soon as `moment` has come, unless it ends before;
/// answers whether it was killed.
fn kill_at(args: &[&str], moment: impl Fn() -> bool) -> bool {
    let mut child = Command::new(env!("CARGO_BIN_EXE_liaison"))
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + PATIENCE;
    loop {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        if moment() {
            child.kill().unwrap();
            child.wait().unwrap();
            return true;
        }
        assert!(Instant::now() < deadline, "liaison {args:?} does not end");
        std::thread::sleep(Duration::from_micros(200));
    }
}

fn bytes_in(dir: &Path) -> u64 {
    let mut bytes = 0;
    let mut open = vec![dir.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(meta) if meta.is_dir() => open.push(entry.path()),
                Ok(meta) => bytes += meta.len() + 1,
                Err(_) => {}
            }
        }
    }
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_backup_and_a_killed_restore_harm_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (mut left, mut right) = pair(dir.path());
    left.start();
    right.start();
    left.say(RIGHT, 0..400).await;
    delivered(&mut left, RIGHT).await;
    let config = left.config();
    let bak = dir.path().join("bak");
    let args = ["--config", &config, "backup", text(&bak)];
    // The first one is killed further and further on, by what it has written, until it goes through.
    let mut killed = 0;
    let mut bytes = 1;
    while kill_at(&args, || bytes_in(&bak) >= bytes) {
        killed += 1;
        bytes = bytes_in(&bak) + 1;
        if bak.join("BACKUP.json").exists() {
            assert_whole(&bak);
        }
    }
    assert!(killed > 0, "it was never killed");
    assert_whole(&bak);
    let before = assert_whole(&bak).manifest.generation;
    left.say(RIGHT, 400..420).await;
    kill_at(&args, || bak.join("tmp/1").exists());
    assert!(assert_whole(&bak).manifest.generation >= before);
    delivered(&mut left, RIGHT).await;
    let taken = backup(&left, &bak);
    assert_eq!(count(&taken, "entries"), 420);
    let kept = listing(&bak);

    left.stop();
    let data = left.dir.join("data");
    fs::rename(&data, left.dir.join("data.lost")).unwrap();
    let restoring = left.dir.join("data.restoring");
    let args = ["--config", &config, "restore", text(&bak)];
    let moments: [&dyn Fn() -> bool; 4] = [
        &|| restoring.exists(),
        &|| restoring.join("FORMAT").exists(),
        &|| fs::metadata(restoring.join("sled/db")).is_ok_and(|meta| meta.len() > 0),
        &|| data.exists(),
    ];
    for moment in moments {
        kill_at(&args, moment);
        if data.exists() {
            break;
        }
        // No half of a store is taken for one.
        let run = liaison(&["--config", &config, "node", "run"]);
        assert!(!run.status.success());
    }
    if !data.exists() {
        succeed(&args);
    }
    assert_eq!(
        listing(&bak),
        kept,
        "a restore changes nothing of the backup"
    );
    // A second time nothing is overwritten.
    let again = liaison(&args);
    assert_eq!(again.status.code(), Some(73));
    let told = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(told.contains("mv ") && told.contains(".lost"), "{told}");

    left.start();
    left.say(RIGHT, 500..501).await;
    delivered(&mut left, RIGHT).await;
    left.stop();
    right.stop();
}

#[test]
fn what_is_in_the_way_of_a_restore_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (mut left, _right) = pair(dir.path());
    left.start();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(left.say(RIGHT, 0..1));
    let bak = dir.path().join("bak");
    backup(&left, &bak);
    let config = left.config();
    let args = ["--config", &config, "restore", text(&bak)];
    // Over a running node, even if someone has moved its store away under it.
    assert_eq!(liaison(&args).status.code(), Some(75));
    fs::rename(left.dir.join("data"), left.dir.join("data.lost")).unwrap();
    let refused = liaison(&args);
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(75), "{told}");
    assert!(told.contains("Stop it first"), "{told}");
    left.stop();
    let other = left.dir.join("data.restoring");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("letters.odt"), b"x").unwrap();
    let refused = liaison(&args);
    assert_eq!(refused.status.code(), Some(73), "{refused:?}");
    assert!(other.join("letters.odt").exists());
    fs::remove_dir_all(&other).unwrap();
    // An empty directory is no store, and is used.
    fs::create_dir(left.dir.join("data")).unwrap();
    // A backup that is not whole is none.
    let manifest = fs::read(bak.join("BACKUP.json")).unwrap();
    let mut changed = manifest.clone();
    changed[200] ^= 1;
    fs::write(bak.join("BACKUP.json"), &changed).unwrap();
    let refused = liaison(&args);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let check = liaison(&["backup", "check", text(&bak)]);
    assert_eq!(check.status.code(), Some(1), "{check:?}");
    fs::write(bak.join("BACKUP.json"), &manifest).unwrap();
    succeed(&["backup", "check", text(&bak)]);
    // What lies beside the content is told, and stops nobody at three in the morning.
    fs::write(bak.join("\u{1b}[2Jnotes.txt"), b"x").unwrap();
    fs::write(bak.join("config-1/liaison.toml"), b"x").unwrap();
    let check = liaison(&["backup", "check", text(&bak)]);
    assert_eq!(check.status.code(), Some(1), "{check:?}");
    let told = String::from_utf8_lossy(&check.stdout).into_owned();
    assert!(
        told.contains("notes.txt") && !told.contains('\u{1b}'),
        "{told}"
    );
    succeed(&args);
    assert!(left.dir.join("data.lost").is_dir());
    let nothing = dir.path().join("nothing");
    fs::create_dir(&nothing).unwrap();
    let check = liaison(&["backup", "check", text(&nothing)]);
    assert_eq!(check.status.code(), Some(65), "{check:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_after_the_backup_comes_back_from_the_other_side() {
    let dir = tempfile::tempdir().unwrap();
    let (mut left, mut right) = pair(dir.path());
    left.start();
    right.start();
    left.say(RIGHT, 0..50).await;
    right.say(LEFT, 0..50).await;
    delivered(&mut left, RIGHT).await;
    delivered(&mut right, LEFT).await;
    let bak = dir.path().join("bak");
    backup(&left, &bak);
    left.say(RIGHT, 50..80).await;
    right.say(LEFT, 50..80).await;
    delivered(&mut left, RIGHT).await;
    delivered(&mut right, LEFT).await;
    left.kill();
    fs::remove_dir_all(left.dir.join("data")).unwrap();
    succeed(&["--config", &left.config(), "restore", text(&bak)]);
    // Behind what the backup holds, and before the other side can tell the rest.
    right.stop();
    left.start();
    left.say(RIGHT, 80..81).await;
    right.start();
    left.until(RIGHT, "filled up", |link| {
        link.own_size == 81 && link.delivered_size == 81 && link.mirrored_size == 80
    })
    .await;
    let exports: Vec<_> = [&left, &right]
        .into_iter()
        .map(|node| {
            let to = dir.path().join(format!("export-{}", node.name));
            succeed(&["--config", &node.config(), "audit", "export", text(&to)]);
            to
        })
        .collect();
    let verdict = reconcile(&exports[0], &exports[1], &mut |_| ());
    assert!(verdict.clean, "{verdict:?}");
    left.stop();
    right.stop();
}

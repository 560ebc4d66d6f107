//! The chapter "Keys of what lies on the disk" of docs/operations.md, done: its own commands, typed by a
//! shell against two nodes, and what is lost when something is lost.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use liaison::proto::v1::{self, body::Body as Content};
use serde_json::Value;

use crate::nodes::{LEFT, Node, RIGHT, letter, liaison, pair, succeed};

/// A node on a machine with media, where the page's commands are typed.
struct Station {
    dir: tempfile::TempDir,
    left: Node,
    right: Node,
    /// Letters that were delivered: id and number.
    said: Vec<(String, usize)>,
}

impl Station {
    async fn up() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (mut left, mut right) = pair(dir.path());
        for medium in ["media/keys-a", "media/keys-b", "srv/backup"] {
            fs::create_dir_all(dir.path().join(medium)).unwrap();
        }
        left.start();
        right.start();
        left.desk().await;
        right.desk().await;
        let said = Vec::new();
        let mut station = Self {
            dir,
            left,
            right,
            said,
        };
        station.say(1..4).await;
        station
    }

    async fn say(&mut self, numbers: std::ops::Range<usize>) {
        let mut desk = self.left.desk().await;
        for number in numbers {
            let draft = letter(RIGHT, number);
            self.said.push((draft.id.clone(), number));
            let draft = Some(draft);
            desk.submit(v1::SubmitRequest { draft }).await.unwrap();
        }
        self.left.delivered(RIGHT).await;
    }

    /// What the node shows of a letter: its number, or why not.
    async fn read(&mut self, id: &str) -> Result<String, tonic::Status> {
        let mut desk = self.left.desk().await;
        let request = v1::GetRequest {
            id: id.to_owned(),
            ..v1::GetRequest::default()
        };
        let message = desk.get(request).await?.into_inner().message.unwrap();
        match message.body.and_then(|body| body.body) {
            Some(Content::OfficialLetter(letter)) => Ok(letter.letter_number),
            _ => Err(tonic::Status::not_found("no body")),
        }
    }

    async fn reads_all(&mut self) {
        for (id, number) in self.said.clone() {
            assert_eq!(self.read(&id).await.unwrap(), format!("{number}/MẪU"));
        }
    }

    fn config(&self) -> String {
        self.left.config()
    }

    fn body_keys(&self) -> PathBuf {
        self.left.dir.join("body-keys")
    }

    /// Types the commands of a block of the page. Root and the service manager are played.
    async fn run(&mut self, block: &str) -> String {
        let mut told = String::new();
        let commands = commands(block);
        assert!(!commands.is_empty(), "no block {block}");
        for command in commands {
            let plain = command
                .trim_start_matches("sudo ")
                .trim_start_matches("-u liaison ");
            match plain {
                "systemctl stop liaison" => self.left.stop(),
                "systemctl start liaison" => {
                    self.left.start();
                    self.left.desk().await;
                }
                _ => told.push_str(&self.type_in(plain)),
            }
        }
        told
    }

    fn type_in(&self, command: &str) -> String {
        let at = |path: &str| self.dir.path().join(path).to_str().unwrap().to_owned();
        let typed = command
            .replace("/var/lib/liaison", &at(LEFT))
            .replace("/media/", &at("media/"))
            .replace("/srv/backup", &at("srv/backup"))
            .replace(" -o liaison", "");
        // The program under its plain name.
        let bin = Path::new(env!("CARGO_BIN_EXE_liaison")).parent().unwrap();
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        let output = Command::new("sh")
            .args(["-e", "-c", &typed])
            .env("PATH", path)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{typed}\n{said}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What the node says when it does not start.
    fn refuses(&self) -> String {
        let output = liaison(&["--config", &self.config(), "node", "run"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(64), "{said}");
        assert!(!said.contains("panicked"), "{said}");
        said
    }

    fn copies(&self) -> Value {
        let told = succeed(&[
            "--config",
            &self.config(),
            "keys",
            "backup",
            "--list",
            "--json",
        ]);
        serde_json::from_str(&told).unwrap()
    }

    /// The newest copy on the medium.
    fn copy(&self) -> String {
        let copies = fs::read_dir(self.dir.path().join("media/keys-a")).unwrap();
        let mut copies: Vec<_> = copies.map(|copy| copy.unwrap().path()).collect();
        copies.sort();
        copies.pop().unwrap().to_str().unwrap().to_owned()
    }
}

/// The commands of a block of the page, one a line.
fn commands(block: &str) -> Vec<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md");
    let page = fs::read_to_string(page).unwrap();
    let (_, rest) = page
        .split_once(&format!("<!-- run: {block} -->\n```sh\n"))
        .unwrap();
    let (lines, _) = rest.split_once("\n```").unwrap();
    let lines = lines.lines().filter(|line| !line.starts_with('#'));
    lines.map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_done_from_set_up_to_decommissioning() {
    let mut station = Station::up().await;
    let told = station.run("set-up").await;
    assert!(told.contains("storage key"), "{told}");
    assert!(
        told.contains("last copied") && !told.contains("could not be read"),
        "{told}"
    );
    // The data's backup holds neither key files nor the storage key.
    let backup = station.dir.path().join("srv/backup/laocai");
    let held = Command::new("grep")
        .args(["-rl", "-e", "liaison keys v1", "-e", "PRIVATE"])
        .arg(&backup)
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&held.stdout), "");
    assert!(backup.join("BACKUP.json").exists());

    // The disk burns; what was sealed before comes back, to the letter.
    station.run("drill").await;
    station.reads_all().await;
    station.say(10..12).await;
    // The restored node goes on in a block of its own, which no copy has: it says so.
    let told = station.run("weekly").await;
    assert!(told.contains("could not be read"), "{told}");
    assert_eq!(station.copies()["uncopied"], 0);

    // A new storage key: the former one opens nothing, and all is read.
    let former = fs::read(station.left.dir.join("keys/storage.pem")).unwrap();
    station.run("change").await;
    station.reads_all().await;
    let copies = station.copies();
    let standing = |number: usize| copies["copies"][number]["storageKey"] == copies["storageKey"];
    assert!(!standing(0) && standing(2), "{copies}");
    station.left.stop();
    let file = station.left.dir.join("keys/storage.pem");
    let current = fs::read(&file).unwrap();
    fs::write(&file, former).unwrap();
    let said = station.refuses();
    assert!(said.contains("what lies here is sealed under"), "{said}");
    fs::write(&file, current).unwrap();
    station.left.start();
    station.left.desk().await;

    // Given up: nobody reads a body any more, and the logs still verify.
    let evidence = station.dir.path().join("evidence");
    let evidence = evidence.to_str().unwrap();
    succeed(&[
        "--config",
        &station.config(),
        "audit",
        "export",
        evidence,
        "--proofs",
    ]);
    station.run("decommission").await;
    assert!(station.refuses().contains("the storage key is missing"));
    station.right.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn key_files_that_are_lost_come_back_from_a_copy_or_are_given_up() {
    let mut station = Station::up().await;
    station.run("set-up").await;
    let early = station.said[0].clone();
    station.left.stop();
    station.left.start();
    // After a start a block of its own, which the copy does not have.
    station.say(20..21).await;
    let late = station.said.last().unwrap().clone();
    assert!(station.copies()["uncopied"].as_u64().unwrap() >= 1);
    station.left.stop();

    fs::rename(station.body_keys(), station.dir.path().join("away")).unwrap();
    let said = station.refuses();
    assert!(said.contains("keys are missing"), "{said}");
    assert!(said.contains("liaison keys restore"), "{said}");
    let (config, copy) = (station.config(), station.copy());
    let told = succeed(&["--config", &config, "keys", "restore", &copy, "--json"]);
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["back"], 4_096, "{told}");
    assert_eq!(told["lost"], 4_096, "{told}");
    station.left.start();
    assert_eq!(station.read(&early.0).await.unwrap(), "1/MẪU");
    let status = station.read(&late.0).await.unwrap_err();
    assert!(!status.message().contains("erased"), "{status}");
    // The list of copies came back with the copy.
    assert_eq!(station.copies()["copies"].as_array().unwrap().len(), 1);
    station.say(21..22).await;
    let after = station.said.last().unwrap().clone();
    assert_eq!(station.read(&after.0).await.unwrap(), "21/MẪU");
    station.left.stop();

    // No copy at all: the node goes on, without the old bodies.
    fs::remove_dir_all(station.body_keys()).unwrap();
    station.refuses();
    succeed(&["--config", &config, "keys", "restore", "--lost"]);
    station.left.start();
    assert!(station.read(&early.0).await.is_err());
    station.say(22..23).await;
    let after = station.said.last().unwrap().clone();
    assert_eq!(station.read(&after.0).await.unwrap(), "22/MẪU");
    // A copy that turns up later still brings them back.
    station.left.stop();
    succeed(&["--config", &config, "keys", "restore", &copy]);
    station.left.start();
    assert_eq!(station.read(&early.0).await.unwrap(), "1/MẪU");
    assert_eq!(station.read(&after.0).await.unwrap(), "22/MẪU");
    station.left.stop();
    station.right.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_storage_key_is_made_in_place_of_one_that_is_lost() {
    let mut station = Station::up().await;
    station.run("set-up").await;
    station.left.stop();
    let file = station.left.dir.join("keys/storage.pem");
    let kept = station.dir.path().join("kept.pem");
    fs::rename(&file, &kept).unwrap();
    assert!(station.refuses().contains("the storage key is missing"));
    // Also where the key files are gone with it.
    fs::rename(station.body_keys(), station.dir.path().join("away")).unwrap();
    assert!(station.refuses().contains("the storage key is missing"));
    assert!(!file.exists());
    // Nor by a restore of the data; unless someone says that they are lost.
    fs::rename(
        station.left.dir.join("data"),
        station.dir.path().join("data"),
    )
    .unwrap();
    let backup = station.dir.path().join("srv/backup/laocai");
    let config = station.config();
    let restore = ["--config", &config, "restore", backup.to_str().unwrap()];
    let refused = liaison(&restore);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(64), "{said}");
    assert!(
        said.contains("--without-body-keys") && !file.exists(),
        "{said}"
    );
    // The data first, the keys after it: that way round too.
    fs::copy(&kept, &file).unwrap();
    let told = succeed(&restore);
    assert!(told.contains("liaison keys restore"), "{told}");
    succeed(&["--config", &config, "keys", "restore", &station.copy()]);
    station.left.start();
    station.reads_all().await;
    station.left.stop();

    // Lost for good: the logs go on, the old bodies stay shut.
    fs::remove_dir_all(station.body_keys()).unwrap();
    fs::remove_dir_all(station.left.dir.join("data")).unwrap();
    fs::remove_file(&file).unwrap();
    succeed(&[&restore[..], &["--without-body-keys"]].concat());
    station.left.start();
    let (id, _) = station.said[0].clone();
    assert!(station.read(&id).await.is_err());
    station.say(30..31).await;
    let (id, _) = station.said.last().unwrap().clone();
    assert_eq!(station.read(&id).await.unwrap(), "30/MẪU");
    station.left.stop();
    station.right.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_are_listed_until_someone_says_that_they_are_destroyed() {
    let mut station = Station::up().await;
    let config = station.config();
    let run = |args: &[&str]| liaison(&[&["--config", &config, "keys"], args].concat());
    let none = succeed(&["--config", &config, "keys", "list"]);
    assert!(none.contains("never copied"), "{none}");
    station.run("weekly").await;
    // It does not fit: the copy is on the list, and not as a whole one.
    let blocked = station.dir.path().join("blocked");
    fs::write(&blocked, "").unwrap();
    let failed = run(&[
        "backup",
        blocked.to_str().unwrap(),
        "--label",
        "a blocked place",
    ]);
    assert_eq!(failed.status.code(), Some(73), "{failed:?}");
    let copies = station.copies();
    assert_eq!(copies["copies"][0]["whole"], true);
    assert_eq!(copies["copies"][1]["whole"], false);
    assert_eq!(copies["copies"][1]["label"], "a blocked place");
    let id = copies["copies"][1]["id"].as_str().unwrap().to_owned();
    assert!(run(&["backup", "--destroyed", &id]).status.success());
    let unknown = run(&["backup", "--destroyed", "00"]);
    assert!(!unknown.status.success());
    assert!(station.copies()["copies"][1]["destroyed"].is_string());
    let label = "x".repeat(257);
    assert!(
        !run(&["backup", blocked.to_str().unwrap(), "--label", &label])
            .status
            .success()
    );
    // While the node runs nothing is brought in or changed.
    for args in [&["restore", "--lost"][..], &["change-storage"]] {
        assert_eq!(run(args).status.code(), Some(75), "{args:?}");
    }
    // Without the node the same.
    station.left.stop();
    let to = station.dir.path().join("media/keys-a");
    assert!(run(&["backup", to.to_str().unwrap()]).status.success());
    assert_eq!(station.copies()["copies"].as_array().unwrap().len(), 3);
    station.right.stop();
}

/// SIGKILL at each sync of a change of the storage key: the same again, or a start, and all is read; the
/// old key opens nothing then.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_storage_key_is_killed_at_each_sync() {
    let mut station = Station::up().await;
    station.left.stop();
    let (dir, config) = (station.left.dir.clone(), station.config());
    let file = dir.join("keys/storage.pem");
    let former = fs::read(&file).unwrap();
    let mut ended = false;
    for nth in 1..40 {
        let before = station.copies()["storageKey"].clone();
        let inject = format!("inject=fdatasync,fsync:signal=SIGKILL:when={nth}");
        let killed = Command::new("strace")
            .args(["-f", "-o", "/dev/null", "-e", &inject])
            .arg(env!("CARGO_BIN_EXE_liaison"))
            .args(["--config", &config, "keys", "change-storage"])
            .output()
            .unwrap();
        ended = killed.status.success();
        if !ended && nth % 2 == 0 {
            succeed(&["--config", &config, "keys", "change-storage"]);
        } else {
            // As a start does: it goes on with what was begun, or nothing was.
            station.copies();
        }
        let names: Vec<_> = fs::read_dir(dir.join("keys")).unwrap().collect();
        let left: Vec<_> = names
            .iter()
            .map(|name| name.as_ref().unwrap().file_name().into_string().unwrap())
            .filter(|name| name.contains("storage") && !name.contains(".making-"))
            .collect();
        assert_eq!(left, ["storage.pem"], "killed at {nth}");
        if ended {
            assert_ne!(station.copies()["storageKey"], before);
            break;
        }
    }
    assert!(ended, "it never came to its end");
    let current = fs::read(&file).unwrap();
    fs::write(&file, former).unwrap();
    station.refuses();
    fs::write(&file, current).unwrap();
    station.left.start();
    station.reads_all().await;
    station.left.stop();
    station.right.stop();
}

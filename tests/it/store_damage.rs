//! Files of the store are damaged: each damage is refused, noticed, or harmless.
//!
//! The engine answers a flipped bit with a panic on one of several threads, with an error, or by
//! dropping what follows it without a word. What a person sees must be an error with a remedy. The
//! damaged stores are opened in a process of their own, so that its screen can be read.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use liaison::store::{Batch, Direction, Held, Mark, Marks, SledStore, Store, StoreError};
use sha2::{Digest as _, Sha256};

use crate::store::{create, open, temp};

const RECORDS: u64 = 6_000;
const LOG: &str = "a.example/b.example";

fn record_key(index: u64) -> String {
    format!("log/{index:08}")
}

pub(crate) fn record_value(index: u64) -> Vec<u8> {
    let sum = Sha256::digest(index.to_be_bytes());
    sum.iter()
        .copied()
        .cycle()
        .take(300 + usize::from(sum[0]))
        .collect()
}

/// A store of several segments, with a mark that says what it holds.
fn make_model(dir: &Path) -> SledStore {
    let store = create(dir);
    for start in (0..RECORDS).step_by(100) {
        let mut batch = Batch::new();
        for index in start..start + 100 {
            batch.put(record_key(index), record_value(index));
        }
        batch.put("head", (start + 100).to_be_bytes());
        store.commit(batch).unwrap();
    }
    let mark = Mark {
        origin: LOG.to_owned(),
        size: RECORDS,
        root: [7; 32],
    };
    Marks::open(dir).unwrap().record(&[mark]).unwrap();
    store
}

/// What the exchange does with the log: open, read, compare with the mark. Prints one verdict.
fn judge(dir: &Path) -> String {
    let store = match open(dir) {
        Ok(store) => store,
        Err(e @ (StoreError::Corrupt { .. } | StoreError::Vanished { .. })) => {
            assert!(e.to_string().contains(liaison::store::DO_NOW), "{e}");
            return format!("refused: {e}");
        }
        Err(e @ (StoreError::Version { .. } | StoreError::Io { .. })) => {
            return format!("refused: {e}");
        }
        Err(e) => return format!("WRONG ERROR {e}"),
    };
    let marks = match Marks::open(dir) {
        Ok(marks) => marks,
        Err(error) => return format!("refused: {error}"),
    };
    let mut held = RECORDS;
    for index in 0..RECORDS {
        match store.get(record_key(index).as_bytes()) {
            Ok(Some(value)) if value == record_value(index) => {}
            Ok(Some(_)) => return format!("WRONG VALUE at {index}"),
            Ok(None) => held = held.min(index),
            Err(e) => return format!("unreadable: {e}"),
        }
    }
    match store.scan(b"log/", b"log0", usize::MAX, Direction::Forward) {
        // sled may pass over records of a damaged page. A log is read index by index, and the reader
        // refuses a gap.
        Ok(records) if held == RECORDS && records.len() as u64 != RECORDS => {
            return "unreadable: the scan has a gap".to_owned();
        }
        Ok(records) => {
            let right = |(index, (key, value)): (u64, &(Vec<u8>, Vec<u8>))| {
                key[..] == *record_key(index).as_bytes() && *value == record_value(index)
            };
            if held == RECORDS && !(0..).zip(&records).all(right) {
                return "WRONG SCAN".to_owned();
            }
        }
        Err(e) => return format!("unreadable: {e}"),
    }
    let root_at_mark = (held >= RECORDS).then_some([7; 32]);
    let compare = |_: &Mark| {
        Ok::<_, StoreError>(Held {
            size: held,
            root_at_mark,
        })
    };
    let shortfalls = marks.compare(compare).unwrap();
    match (held == RECORDS, shortfalls.is_empty()) {
        (true, true) if marks.get(LOG).is_none() => "intact, mark lost".to_owned(),
        (true, true) => "intact".to_owned(),
        (false, false) => format!("shortened, noticed: {}", StoreError::from(shortfalls)),
        _ => format!("SILENT: {held} of {RECORDS}"),
    }
}

/// Not a test of its own: [`judge_in_child`] runs this binary again to get here.
#[test]
fn damaged_store_child() {
    if let Some(dir) = std::env::var_os("LIAISON_TEST_DAMAGED_STORE") {
        say(&format!("\nverdict {}", judge(Path::new(&dir))));
    }
    if let Some(dir) = std::env::var_os("LIAISON_TEST_KILLED_STORE") {
        std::mem::forget(make_model(Path::new(&dir)));
        std::process::abort();
    }
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).unwrap();
}

fn child(variable: &str, dir: &Path) -> Output {
    Command::new(std::env::current_exe().unwrap())
        .args([
            "store_damage::damaged_store_child",
            "--exact",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(variable, dir)
        .output()
        .unwrap()
}

/// The verdict of another process, whose screen is watched.
fn judge_in_child(dir: &Path) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "store_damage::damaged_store_child",
            "--exact",
            "--nocapture",
            "--test-threads=1",
        ])
        .env("LIAISON_TEST_DAMAGED_STORE", dir)
        .output()
        .unwrap();
    let screen = [output.stdout, output.stderr].map(|s| String::from_utf8_lossy(&s).into_owned());
    let screen = screen.join("\n");
    assert!(
        !screen.contains("panicked at"),
        "a panic on the screen: {screen}"
    );
    let verdict = screen
        .lines()
        .find_map(|line| line.strip_prefix("verdict "));
    verdict
        .unwrap_or_else(|| panic!("no verdict, {}: {screen}", output.status))
        .to_owned()
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else if entry.file_name() != "ballast" {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// How the process ended that wrote the model. sled writes a snapshot when it opens, which lets
/// it notice more: it answers otherwise in each case.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Ended {
    Closed,
    Killed,
    Reopened,
}

impl Ended {
    const ALL: [Ended; 3] = [Ended::Closed, Ended::Killed, Ended::Reopened];
}

/// Applies each damage to a copy of one model and counts the verdicts.
fn judge_damages(ended: Ended, damages: impl IntoIterator<Item = (String, PathBuf, Damage)>) {
    let dir = temp();
    let model = dir.path().join("model");
    match ended {
        Ended::Closed => drop(make_model(&model)),
        Ended::Killed => drop(child("LIAISON_TEST_KILLED_STORE", &model)),
        Ended::Reopened => {
            drop(make_model(&model));
            drop(open(&model).unwrap());
        }
    }
    let whole = dir.path().join("whole");
    copy_dir(&model, &whole);
    assert_eq!(judge_in_child(&whole), "intact");
    let mut verdicts: BTreeMap<String, u32> = BTreeMap::new();
    for (name, file, damage) in damages {
        let copy = dir.path().join("copy");
        copy_dir(&model, &copy);
        damage.apply(&copy.join(file));
        let verdict = judge_in_child(&copy);
        let kind = verdict
            .split(&[':', ',', ' '][..])
            .next()
            .unwrap()
            .to_owned();
        assert!(
            ["refused", "unreadable", "shortened", "intact"].contains(&kind.as_str()),
            "{name}: {verdict}"
        );
        *verdicts.entry(kind).or_default() += 1;
        fs::remove_dir_all(&copy).unwrap();
    }
    say(&format!("{ended:?}: {verdicts:?}"));
}

enum Damage {
    /// Flips one bit, at this fraction of the file in 2^-32.
    Flip { at: u32, bit: u32 },
    /// Cuts the file to this fraction of it in 2^-32.
    Cut { at: u32 },
}

impl Damage {
    fn apply(&self, path: &Path) {
        let file = fs::File::options()
            .read(true)
            .write(true)
            .open(path)
            .unwrap();
        let bytes = file.metadata().unwrap().len();
        let place = |at: u32| (bytes * u64::from(at)) >> 32;
        match *self {
            Damage::Cut { at } => file.set_len(place(at)).unwrap(),
            Damage::Flip { at, bit } => {
                let mut byte = [0];
                file.read_exact_at(&mut byte, place(at)).unwrap();
                file.write_all_at(&[byte[0] ^ (1 << bit)], place(at))
                    .unwrap();
            }
        }
    }
}

/// Numbers that look random and are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as u32 ^ (self.0 >> 32) as u32
    }
}

/// sled answers a flipped bit with a panic, an error, or by dropping the tail without a word.
#[test]
fn a_flipped_bit_is_refused_or_noticed_or_harmless() {
    let mut numbers = Numbers(42);
    for ended in Ended::ALL {
        let damages = (0..100).map(|n| {
            let damage = Damage::Flip {
                at: numbers.next(),
                bit: numbers.next() % 8,
            };
            (format!("flip {n}"), PathBuf::from("sled/db"), damage)
        });
        judge_damages(ended, damages);
    }
}

#[test]
fn a_flipped_bit_beside_the_database_is_refused_or_noticed_or_harmless() {
    let mut numbers = Numbers(43);
    let damages = (0..60).map(|n| {
        let file = ["FORMAT", "marks", "sled/conf"][n % 3];
        let damage = Damage::Flip {
            at: numbers.next(),
            bit: numbers.next() % 8,
        };
        (format!("flip {n} of {file}"), PathBuf::from(file), damage)
    });
    judge_damages(Ended::Closed, damages);
}

/// sled opens a file that was cut short as a shorter store, without an error.
#[test]
fn a_truncated_database_is_refused_or_noticed() {
    let mut numbers = Numbers(44);
    for ended in Ended::ALL {
        let damages = (0..40).map(|n| {
            let at = if n < 20 {
                n * (u32::MAX / 20)
            } else {
                numbers.next()
            };
            let name = format!("cut at {at}");
            (name, PathBuf::from("sled/db"), Damage::Cut { at })
        });
        judge_damages(ended, damages);
    }
}

//! The store: what its seam promises, and what it answers when the machine misbehaves.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use liaison::limits;
use liaison::store::{
    Batch, Blobs, Direction, Failure, Held, Mark, Marks, MemoryStore, OpenOptions, SledStore,
    Store, StoreError,
};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::mounted::Mounted;

fn temp() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn create(dir: &Path) -> SledStore {
    SledStore::open(&OpenOptions::new(dir).create()).unwrap()
}

fn open(dir: &Path) -> Result<SledStore, StoreError> {
    SledStore::open(&OpenOptions::new(dir))
}

fn put(key: &str, value: &[u8]) -> Batch {
    let mut batch = Batch::new();
    batch.put(key, value);
    batch
}

fn keys(records: &[(Vec<u8>, Vec<u8>)]) -> Vec<String> {
    records
        .iter()
        .map(|(key, _)| String::from_utf8(key.clone()).unwrap())
        .collect()
}

/// Every promise of the seam that does not need a broken machine.
fn keeps_the_promises(store: &dyn Store) {
    let mut batch = Batch::new();
    for key in ["a1", "a2", "a3", "b1"] {
        batch.put(key, key.to_uppercase());
    }
    batch.delete("never there");
    batch.put("a2", "twice");
    store.commit(batch).unwrap();
    store.commit(Batch::new()).unwrap();

    assert_eq!(store.get(b"a1").unwrap().unwrap(), b"A1");
    assert_eq!(store.get(b"a2").unwrap().unwrap(), b"twice");
    assert_eq!(store.get(b"never there").unwrap(), None);
    let scan = |start: &[u8], end: &[u8], limit, direction| {
        keys(&store.scan(start, end, limit, direction).unwrap())
    };
    assert_eq!(scan(b"a", b"b", 9, Direction::Forward), ["a1", "a2", "a3"]);
    assert_eq!(
        scan(b"a2", b"b1", 9, Direction::Forward),
        ["a2", "a3"],
        "the end is exclusive"
    );
    assert_eq!(scan(b"a", b"b", 2, Direction::Forward), ["a1", "a2"]);
    assert_eq!(scan(b"a", b"z", 2, Direction::Backward), ["b1", "a3"]);
    assert_eq!(scan(b"a", b"z", 0, Direction::Backward).len(), 0);
    assert_eq!(
        scan(b"z", b"a", 9, Direction::Forward).len(),
        0,
        "an empty range is no error"
    );
    assert_eq!(scan(b"a", b"a", 9, Direction::Forward).len(), 0);
    let all = scan(b"", &[0xFF; 8], 99, Direction::Forward);
    assert_eq!(
        all,
        ["a1", "a2", "a3", "b1"],
        "the engine's own keys are not seen"
    );
    assert_eq!(store.get(&[0xFF, 0x01]).unwrap(), None);

    // One byte over each limit: refused, and nothing of the batch is written.
    let largest = vec![7; limits::VALUE_BYTES_MAX];
    store.commit(put("largest", &largest)).unwrap();
    assert_eq!(store.get(b"largest").unwrap().unwrap(), largest);
    let long_key = "k".repeat(limits::KEY_BYTES_MAX);
    store.commit(put(&long_key, b"v")).unwrap();
    let over = |key: Vec<u8>, bytes| {
        let mut batch = put("rides along", b"x");
        batch.put(key, vec![7; bytes]);
        batch
    };
    let error = store
        .commit(over(b"x".to_vec(), limits::VALUE_BYTES_MAX + 1))
        .unwrap_err();
    assert!(matches!(
        error,
        StoreError::ValueTooLarge {
            bytes: 8193,
            bytes_max: 8192
        }
    ));
    assert!(!error.is_fatal());
    for key in [
        vec![b'k'; limits::KEY_BYTES_MAX + 1],
        vec![],
        vec![0xFF, 0x01],
    ] {
        let error = store.commit(over(key, 1)).unwrap_err();
        assert!(matches!(error, StoreError::KeyRefused { .. }), "{error}");
    }
    let mut batch = Batch::new();
    while batch.bytes() <= limits::BATCH_BYTES_MAX {
        batch.put(format!("many {}", batch.len()), largest.clone());
    }
    let error = store.commit(batch).unwrap_err();
    assert!(matches!(error, StoreError::BatchTooLarge { .. }), "{error}");
    assert_eq!(store.get(b"rides along").unwrap(), None);

    let mut batch = Batch::new();
    batch.delete("a1");
    batch.delete(long_key);
    batch.delete("largest");
    store.commit(batch).unwrap();
    assert_eq!(
        scan(b"", b"\xff", 99, Direction::Forward),
        ["a2", "a3", "b1"]
    );
    assert!(store.free_bytes().unwrap() > 0);
}

#[test]
fn both_engines_keep_the_promises() {
    keeps_the_promises(&MemoryStore::new());
    let dir = temp();
    let store = create(dir.path());
    keeps_the_promises(&store);
    drop(store);
    let store = open(dir.path()).unwrap();
    assert_eq!(
        store.get(b"a2").unwrap().unwrap(),
        b"twice",
        "it is there after opening anew"
    );
    let blob_dir = dir.path().join("sled/blobs");
    assert_eq!(
        fs::read_dir(blob_dir).unwrap().count(),
        0,
        "no page is moved to an unsynced file"
    );
}

#[test]
fn memory_fails_in_each_of_the_worlds() {
    for (failure, seen, durable) in [
        (Failure::Before, false, false),
        (Failure::Volatile, true, false),
        (Failure::After, true, true),
    ] {
        let store = MemoryStore::new();
        store.commit(put("first", b"1")).unwrap();
        store.fail_commit(1, failure);
        store.commit(put("second", b"2")).unwrap();
        let error = store.commit(put("second", b"3")).unwrap_err();
        assert!(matches!(error, StoreError::OutcomeUnknown { .. }) && error.is_fatal());
        let error = store.commit(put("later", b"4")).unwrap_err();
        assert!(
            matches!(error, StoreError::OutcomeUnknown { .. }),
            "it stays stopped"
        );
        let value = |new| if new { b"3" } else { b"2" };
        assert_eq!(
            store.get(b"second").unwrap().unwrap(),
            value(seen),
            "{failure:?}"
        );
        store.clone().crash();
        assert_eq!(
            store.get(b"second").unwrap().unwrap(),
            value(durable),
            "{failure:?}"
        );
        store.commit(put("later", b"4")).unwrap();
    }
    let store = MemoryStore::new();
    store.set_loses_syncs(true);
    store.commit(put("lost", b"1")).unwrap();
    store.crash();
    assert_eq!(store.get(b"lost").unwrap(), None);
    store.set_full(true);
    assert!(matches!(
        store.commit(put("full", b"1")),
        Err(StoreError::Full { .. })
    ));
    store.set_full(false);
    store.commit(put("full", b"1")).unwrap();
}

#[test]
fn a_store_in_use_is_refused() {
    let dir = temp();
    let store = create(dir.path());
    let error = open(dir.path()).unwrap_err();
    assert!(
        matches!(error, StoreError::InUse { .. }) && !error.is_fatal(),
        "{error}"
    );
    assert!(
        error.to_string().contains("in use by another process"),
        "{error}"
    );
    drop(store);
    open(dir.path()).unwrap();
}

#[test]
fn where_there_is_no_store_none_is_made_unasked() {
    let dir = temp();
    let error = open(dir.path()).unwrap_err();
    assert!(matches!(error, StoreError::Missing { .. }), "{error}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    assert!(matches!(
        open(&dir.path().join("no/where")),
        Err(StoreError::Missing { .. })
    ));
}

#[test]
fn a_newer_version_is_refused() {
    let dir = temp();
    drop(create(dir.path()));
    fs::write(dir.path().join("FORMAT"), "liaison store\nversion 2\n").unwrap();
    let error = open(dir.path()).unwrap_err();
    assert!(
        matches!(&error, StoreError::Version { found, .. } if found == "2"),
        "{error}"
    );
    fs::write(dir.path().join("FORMAT"), "something else").unwrap();
    assert!(matches!(open(dir.path()), Err(StoreError::Corrupt { .. })));
}

/// A store whose files vanished must never be served as an empty one, whoever asks.
#[test]
fn a_vanished_store_is_never_an_empty_one() {
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 7] = [
        ("database removed", |dir| {
            fs::remove_file(dir.join("sled/db")).unwrap();
        }),
        ("database emptied", |dir| {
            fs::write(dir.join("sled/db"), "").unwrap();
        }),
        ("engine removed", |dir| {
            fs::remove_dir_all(dir.join("sled")).unwrap();
        }),
        ("format removed", |dir| {
            fs::remove_file(dir.join("FORMAT")).unwrap();
        }),
        ("marks removed", |dir| {
            fs::remove_file(dir.join("marks")).unwrap();
        }),
        ("blobs removed", |dir| {
            fs::remove_dir_all(dir.join("blobs")).unwrap();
        }),
        ("database replaced by a new one", |dir| {
            fs::remove_dir_all(dir.join("sled")).unwrap();
            drop(sled::open(dir.join("sled")).unwrap());
        }),
    ];
    for (name, damage) in damages {
        let dir = temp();
        let store = create(dir.path());
        store.commit(put("k", b"v")).unwrap();
        drop(store);
        damage(dir.path());
        for options in [
            OpenOptions::new(dir.path()),
            OpenOptions::new(dir.path()).create(),
        ] {
            let error = SledStore::open(&options).unwrap_err();
            assert!(
                matches!(error, StoreError::Vanished { .. }),
                "{name}: {error}"
            );
            let text = error.to_string();
            assert!(
                text.contains("restore this directory from"),
                "{name}: {text}"
            );
        }
    }
}

#[test]
fn an_interrupted_making_is_finished() {
    let dir = temp();
    drop(create(dir.path()));
    fs::remove_file(dir.path().join("FORMAT")).unwrap();
    fs::write(dir.path().join("FORMAT.tmp"), "half").unwrap();
    let store = create(dir.path());
    store.commit(put("k", b"v")).unwrap();
    drop(store);
    open(dir.path()).unwrap();
    assert!(!dir.path().join("FORMAT.tmp").exists());
}

// --- Damaged files -----------------------------------------------------------------------------

const RECORDS: u64 = 6_000;
const LOG: &str = "a.example/b.example";

fn record_key(index: u64) -> String {
    format!("log/{index:08}")
}

fn record_value(index: u64) -> Vec<u8> {
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
            assert!(e.to_string().contains("restore this directory from"), "{e}");
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
        Ok(records) if held == RECORDS && records.len() as u64 != RECORDS => {
            return "WRONG SCAN".to_owned();
        }
        Ok(_) => {}
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
            "store::damaged_store_child",
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
            "store::damaged_store_child",
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

// --- A full disk -------------------------------------------------------------------------------

const MIB: u64 = 1 << 20;

fn on_a_small_disk(dir: &Path) -> OpenOptions {
    let mut options = OpenOptions::new(dir.join("store")).create();
    options.ballast_bytes = 8 * MIB;
    options.free_bytes_min = 4 * MIB;
    options
}

/// Fills the disk until `left` bytes are free.
fn fill(dir: &Path, left: u64) {
    let path = dir.join("filler");
    let file = fs::File::options()
        .create(true)
        .append(true)
        .open(path)
        .unwrap();
    loop {
        let stat = rustix::fs::statvfs(dir).unwrap();
        let free = stat.f_bavail * stat.f_frsize;
        let bytes = usize::try_from(free.saturating_sub(left).min(MIB)).unwrap();
        if bytes == 0 || (&file).write_all(&vec![0; bytes]).is_err() {
            return;
        }
    }
}

fn commit_numbered(store: &SledStore, from: u64, to: u64) -> Result<u64, StoreError> {
    for index in from..to {
        let mut batch = Batch::new();
        for part in 0..8 {
            batch.put(format!("n/{index:06}/{part}"), record_value(index));
        }
        store.commit(batch)?;
    }
    Ok(to)
}

fn assert_numbered(store: &SledStore, count: u64) {
    for index in 0..count {
        for part in 0..8 {
            let value = store
                .get(format!("n/{index:06}/{part}").as_bytes())
                .unwrap();
            assert_eq!(value, Some(record_value(index)), "{index}");
        }
    }
}

fn full_disk(disk: &Mounted) {
    let options = on_a_small_disk(&disk.dir);
    let filler = disk.dir.join("filler");
    let store = SledStore::open(&options).unwrap();
    let mut count = commit_numbered(&store, 0, 50).unwrap();

    // Below the floor: refused in words, nothing written, and it goes on when there is space.
    fill(&disk.dir, 3 * MIB);
    for _ in 0..3 {
        let error = commit_numbered(&store, count, count + 1).unwrap_err();
        assert!(
            matches!(error, StoreError::Full { .. }) && !error.is_fatal(),
            "{error}"
        );
        assert!(error.to_string().contains("the disk is full"), "{error}");
    }
    assert_numbered(&store, count);
    assert_eq!(
        store.get(format!("n/{count:06}/0").as_bytes()).unwrap(),
        None
    );
    let blobs = Blobs::open(&options.dir, options.free_bytes_min).unwrap();
    let content = vec![1; 100_000];
    let digest = Sha256::digest(&content).into();
    assert!(matches!(
        blobs.put(&digest, &content),
        Err(StoreError::Full { .. })
    ));
    assert!(matches!(
        blobs.write_at(&digest, 0, &content),
        Err(StoreError::Full { .. })
    ));
    fs::remove_file(&filler).unwrap();
    count = commit_numbered(&store, count, count + 50).unwrap();
    blobs.put(&digest, &content).unwrap();
    drop(store);

    // Not a byte left: it opens on its ballast, reads, and refuses to write.
    fill(&disk.dir, 0);
    let store = SledStore::open(&options).unwrap();
    assert!(!options.dir.join("ballast").exists());
    assert_numbered(&store, count);
    fill(&disk.dir, 0);
    let error = commit_numbered(&store, count, count + 1).unwrap_err();
    assert!(matches!(error, StoreError::Full { .. }), "{error}");
    drop(store);

    // Not a byte and no ballast left: refused in words, and nothing is damaged by trying.
    fill(&disk.dir, 0);
    for _ in 0..3 {
        let error = SledStore::open(&options).unwrap_err();
        assert!(matches!(error, StoreError::Full { .. }), "{error}");
    }
    fs::remove_file(&filler).unwrap();
    let store = SledStore::open(&options).unwrap();
    assert!(
        options.dir.join("ballast").exists(),
        "the reserve is taken again"
    );
    assert_numbered(&store, count);
    count = commit_numbered(&store, count, count + 50).unwrap();
    drop(store);

    // Without a floor the disk fills in the middle of a commit: the outcome is unknown, the store
    // stops, and what was acknowledged is there when it is opened anew.
    let reckless = OpenOptions {
        free_bytes_min: 0,
        ..options.clone()
    };
    let store = SledStore::open(&reckless).unwrap();
    fill(&disk.dir, MIB);
    let error = loop {
        match commit_numbered(&store, count, count + 1) {
            Ok(next) => count = next,
            Err(error) => break error,
        }
    };
    if matches!(error, StoreError::OutcomeUnknown { .. }) {
        fs::remove_file(&filler).unwrap();
        let error = commit_numbered(&store, count, count + 1).unwrap_err();
        assert!(
            matches!(error, StoreError::OutcomeUnknown { .. }),
            "it stays stopped: {error}"
        );
        assert!(store.is_poisoned());
    } else {
        assert!(matches!(error, StoreError::Full { .. }), "{error}");
        fs::remove_file(&filler).unwrap();
    }
    drop(store);
    let store = SledStore::open(&options).unwrap();
    assert_numbered(&store, count);
    commit_numbered(&store, count + 1, count + 50).unwrap();
}

#[test]
fn a_full_disk_is_refused_in_words_and_nothing_is_lost() {
    let dir = temp();
    let disk = Mounted::tmpfs(&dir.path().join("tmpfs"), 48);
    full_disk(&disk);
    disk.unmount();
}

#[test]
fn a_full_ext4_disk_is_refused_in_words_and_nothing_is_lost() {
    let dir = temp();
    let disk = Mounted::ext4(
        &dir.path().join("image"),
        &dir.path().join("ext4"),
        64,
        true,
    );
    full_disk(&disk);
    disk.unmount();
}

// --- Marks -------------------------------------------------------------------------------------

fn mark(origin: &str, size: u64) -> Mark {
    Mark {
        origin: origin.to_owned(),
        size,
        root: Sha256::digest(size.to_be_bytes()).into(),
    }
}

#[test]
fn marks_only_go_forward() {
    let dir = temp();
    let mut marks = Marks::create(dir.path()).unwrap();
    assert_eq!(marks.get(LOG), None);
    marks
        .record(&[mark(LOG, 5), mark("b.example/a.example", 0)])
        .unwrap();
    marks.record(&[mark(LOG, 5)]).unwrap();
    marks.record(&[mark(LOG, 9)]).unwrap();
    let mut other_tree = mark(LOG, 9);
    other_tree.root = [1; 32];
    for refused in [
        mark(LOG, 8),
        other_tree,
        mark("", 1),
        mark(&"x".repeat(508), 1),
    ] {
        let error = marks
            .record(&[mark("c.example/d.example", 1), refused])
            .unwrap_err();
        assert!(
            matches!(error, StoreError::MarkRefused { .. }) && !error.is_fatal(),
            "{error}"
        );
    }
    assert_eq!(
        marks.get("c.example/d.example"),
        None,
        "all of them or none"
    );
    drop(marks);
    let marks = Marks::open(dir.path()).unwrap();
    assert_eq!(marks.get(LOG).unwrap().0, 9);
    let all: Vec<Mark> = marks.iter().collect();
    assert_eq!(all, [mark(LOG, 9), mark("b.example/a.example", 0)]);
    let none = |_: &Mark| {
        Ok::<_, StoreError>(Held {
            size: 0,
            root_at_mark: Some(mark("", 0).root),
        })
    };
    let shortfalls = marks.compare(none).unwrap();
    assert_eq!(shortfalls.len(), 1);
    assert_eq!(
        shortfalls[0].to_string(),
        format!("{LOG} had 9 entries, 0 are there")
    );
}

/// A crash can leave any part of a slot's write on the disk.
#[test]
fn a_torn_mark_leaves_the_state_before_it() {
    for rounds in 1..4 {
        let dir = temp();
        let path = dir.path().join("marks");
        let mut marks = Marks::create(dir.path()).unwrap();
        for round in 1..=rounds {
            marks
                .record(&[mark(LOG, round), mark("b.example/a.example", 7 * round)])
                .unwrap();
        }
        let before = fs::read(&path).unwrap();
        marks.record(&[mark(LOG, rounds + 1)]).unwrap();
        drop(marks);
        let after = fs::read(&path).unwrap();
        let differing: Vec<usize> = (0..after.len())
            .filter(|&at| before[at] != after[at])
            .collect();
        let (first, last) = (differing[0], differing[differing.len() - 1]);
        for cut in first..=last + 1 {
            for torn in [
                [&after[..cut], &before[cut..]].concat(),
                [&before[..cut], &after[cut..]].concat(),
            ] {
                fs::write(&path, &torn).unwrap();
                let mut marks = Marks::open(dir.path()).unwrap();
                let size = marks.get(LOG).unwrap().0;
                let whole = if torn == after { rounds + 1 } else { rounds };
                assert_eq!(size, whole, "cut at {cut}");
                marks.record(&[mark(LOG, rounds + 9)]).unwrap();
                assert_eq!(
                    Marks::open(dir.path()).unwrap().get(LOG).unwrap().0,
                    rounds + 9
                );
            }
        }
    }
}

#[test]
fn marks_grow_and_refuse_what_they_do_not_know() {
    let dir = temp();
    let path = dir.path().join("marks");
    let mut marks = Marks::create(dir.path()).unwrap();
    let small = fs::metadata(&path).unwrap().len();
    let origin = |n: u64| format!("{}{n}.example/b.example", "long".repeat(60));
    for n in 0..256 {
        marks.record(&[mark(&origin(n), n)]).unwrap();
    }
    marks.record(&[mark(&origin(0), 500)]).unwrap();
    drop(marks);
    assert!(fs::metadata(&path).unwrap().len() > small);
    let marks = Marks::open(dir.path()).unwrap();
    assert_eq!(marks.iter().count(), 256);
    assert_eq!(marks.get(&origin(0)).unwrap().0, 500);
    drop(marks);

    let whole = fs::read(&path).unwrap();
    let mut newer = whole.clone();
    newer[15] = 2;
    fs::write(&path, &newer).unwrap();
    assert!(matches!(
        Marks::open(dir.path()),
        Err(StoreError::Version { .. })
    ));
    for bytes in [0, 1, 51, 4096] {
        fs::write(&path, &whole[..bytes]).unwrap();
        let error = Marks::open(dir.path()).unwrap_err();
        assert!(
            matches!(error, StoreError::Corrupt { .. }),
            "{bytes}: {error}"
        );
    }
    fs::remove_file(&path).unwrap();
    assert!(matches!(
        Marks::open(dir.path()),
        Err(StoreError::Vanished { .. })
    ));
}

// --- Blobs -------------------------------------------------------------------------------------

fn content(seed: u8, bytes: usize) -> (Vec<u8>, [u8; 32]) {
    let content: Vec<u8> = (0..=250)
        .cycle()
        .take(bytes)
        .map(|at: u8| at.wrapping_add(seed))
        .collect();
    let digest = Sha256::digest(&content).into();
    (content, digest)
}

#[test]
fn a_blob_is_whole_or_not_there() {
    let dir = temp();
    let blobs = Blobs::open(dir.path(), 0).unwrap();
    let (one, one_digest) = content(1, 20_000);
    let (two, two_digest) = content(2, 0);
    assert_eq!(blobs.get(&one_digest).unwrap(), None);
    assert!(matches!(
        blobs.put(&two_digest, &one),
        Err(StoreError::BlobDigest { .. })
    ));
    blobs
        .put_all(&[(one_digest, &one), (two_digest, &two)])
        .unwrap();
    blobs.put(&one_digest, &one).unwrap();
    assert_eq!(blobs.get(&one_digest).unwrap().unwrap(), one);
    assert_eq!(blobs.size(&one_digest).unwrap(), Some(20_000));
    assert!(blobs.has(&two_digest).unwrap());
    assert_eq!(
        blobs.read_at(&one_digest, 19_990, 100).unwrap().unwrap(),
        one[19_990..]
    );
    assert_eq!(
        blobs.read_at(&one_digest, 30_000, 100).unwrap().unwrap(),
        [0_u8; 0]
    );
    assert_eq!(blobs.read_at(&[0; 32], 0, 100).unwrap(), None);

    // Leftovers of a crash are removed, published blobs stay.
    fs::write(dir.path().join("blobs/tmp/leftover"), "half").unwrap();
    let blobs = Blobs::open(dir.path(), 0).unwrap();
    assert_eq!(
        fs::read_dir(dir.path().join("blobs/tmp")).unwrap().count(),
        0
    );
    assert!(blobs.has(&one_digest).unwrap());

    // Rot is noticed when it is read.
    let path = dir.path().join("blobs").join(hex::encode(one_digest));
    fs::write(&path, &one[1..]).unwrap();
    let error = blobs.get(&one_digest).unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
    blobs.remove(&one_digest).unwrap();
    blobs.remove(&one_digest).unwrap();
    assert!(!blobs.has(&one_digest).unwrap());
}

#[test]
fn an_upload_goes_on_where_it_stopped() {
    let dir = temp();
    let (whole, digest) = content(3, 700_000);
    let size = whole.len() as u64;
    let blobs = Blobs::open(dir.path(), 0).unwrap();
    assert_eq!(blobs.partial(&digest).unwrap(), 0);
    assert_eq!(
        blobs.write_at(&digest, 0, &whole[..300_000]).unwrap(),
        300_000
    );
    drop(blobs);

    let blobs = Blobs::open(dir.path(), 0).unwrap();
    assert_eq!(blobs.partial(&digest).unwrap(), 300_000);
    assert_eq!(blobs.partials().unwrap().len(), 1);
    for offset in [0, 299_999, 300_001] {
        let error = blobs.write_at(&digest, offset, &whole[..9]).unwrap_err();
        assert!(
            matches!(error, StoreError::BlobOffset { held: 300_000, .. }),
            "{error}"
        );
    }
    assert!(matches!(
        blobs.finish(&digest, size),
        Err(StoreError::BlobOffset { .. })
    ));
    blobs.write_at(&digest, 300_000, &whole[300_000..]).unwrap();
    assert!(!blobs.has(&digest).unwrap(), "not before it was checked");
    blobs.finish(&digest, size).unwrap();
    blobs.finish(&digest, size).unwrap();
    assert_eq!(blobs.get(&digest).unwrap().unwrap(), whole);
    assert_eq!(blobs.partials().unwrap(), []);

    // Wrong content is dropped, and the upload begins again.
    let (_, other) = content(4, 700_000);
    blobs.write_at(&other, 0, &whole).unwrap();
    assert!(matches!(
        blobs.finish(&other, size),
        Err(StoreError::BlobDigest { .. })
    ));
    assert_eq!(blobs.partial(&other).unwrap(), 0);
    blobs.write_at(&other, 0, &whole).unwrap();
    blobs.discard(&other).unwrap();
    assert_eq!(blobs.partial(&other).unwrap(), 0);
    let (nothing, empty) = content(0, 0);
    blobs.finish(&empty, 0).unwrap();
    assert_eq!(blobs.get(&empty).unwrap().unwrap(), nothing);

    // One byte over the largest attachment.
    let path = dir.path().join("blobs/partial").join(hex::encode(other));
    fs::File::create(path)
        .unwrap()
        .set_len(limits::ATTACHMENT_BYTES_MAX - 1)
        .unwrap();
    blobs
        .write_at(&other, limits::ATTACHMENT_BYTES_MAX - 1, b"x")
        .unwrap();
    let error = blobs
        .write_at(&other, limits::ATTACHMENT_BYTES_MAX, b"x")
        .unwrap_err();
    assert!(matches!(error, StoreError::BlobTooLarge { .. }), "{error}");
}

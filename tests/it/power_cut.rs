//! Power is cut in the middle of traffic: whatever was acknowledged must be there afterwards.
//!
//! The story: sled's `flush()` does not sync on Linux. A test that kills the process never sees
//! it, because the kernel keeps what was written; only loss of power shows it. Here a store is put
//! on a file system of its own, a child process commits and acknowledges each commit on its
//! standard output, and at a random moment the file system is shut down under it without
//! flushing anything. The same run without our `fdatasync` must lose data, or this test would
//! prove nothing.
//!
//! `LIAISON_POWER_CUTS=1000` sets the number of cuts. Needs root, ext4, loop devices and `cc`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use liaison::store::{
    Batch, Blobs, Direction, Held, Mark, Marks, OpenOptions, SledStore, Store, StoreError,
    SyncPolicy,
};
use sha2::{Digest as _, Sha256};

use crate::mounted::{Mounted, run};

const CHILD: &str = "LIAISON_TEST_POWER_CUT";
const LOG: &str = "a.example/b.example";
/// Keys that are written over and over, so that sled collects garbage during the cuts.
const RING: u64 = 400;
/// Every so many batches, a mark and a blob.
const MARK_EVERY: u64 = 8;

// --- What a batch holds: a function of its number -----------------------------------------------

fn bytes(batch: u64, part: u64) -> Vec<u8> {
    let mut seed = [0; 16];
    seed[..8].copy_from_slice(&batch.to_be_bytes());
    seed[8..].copy_from_slice(&part.to_be_bytes());
    let sum = Sha256::digest(seed);
    let bytes = match part % 4 {
        0 => 40,
        1 => 500,
        _ => 20 * usize::from(sum[0]),
    };
    sum.iter().copied().cycle().take(bytes).collect()
}

fn parts(batch: u64) -> u64 {
    [1, 2, 1, 7, 1, 33, 3, 90][usize::try_from(batch % 8).unwrap()]
}

fn ring_slot(batch: u64, part: u64) -> u64 {
    batch
        .wrapping_mul(0x9E37_79B9_7F4A_7C15)
        .rotate_left(17)
        .wrapping_add(part * 7)
        % RING
}

fn blob(batch: u64) -> (Vec<u8>, [u8; 32]) {
    let content = bytes(batch, 2).repeat(40);
    let digest = Sha256::digest(&content).into();
    (content, digest)
}

fn root(size: u64) -> [u8; 32] {
    Sha256::digest(size.to_be_bytes()).into()
}

// --- The child: writes, or looks what is there ---------------------------------------------------

/// Not a test of its own: the tests below run this binary again to get here.
#[test]
fn power_cut_child() {
    let Ok(task) = std::env::var(CHILD) else {
        return;
    };
    let (task, dir) = task.split_once(' ').unwrap();
    println!();
    match task {
        "write" => write(Path::new(dir), SyncPolicy::Fdatasync),
        "write-stock" => write(Path::new(dir), SyncPolicy::StockSled),
        _ => look(Path::new(dir)),
    }
    // The engine of a damaged store may never close.
    std::process::exit(0);
}

fn options(dir: &Path, sync: SyncPolicy) -> OpenOptions {
    let mut options = OpenOptions::new(dir).create();
    options.sync = sync;
    options.ballast_bytes = 1 << 20;
    options.free_bytes_min = 1 << 20;
    options.open_time_max = Duration::from_secs(20);
    options
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).unwrap();
}

/// Batches held: the head record's number, 0 in a new store.
fn held(store: &dyn Store) -> Result<u64, StoreError> {
    let head = store.get(b"head")?;
    Ok(head.map_or(0, |bytes| u64::from_be_bytes(bytes.try_into().unwrap())))
}

fn write(dir: &Path, sync: SyncPolicy) {
    let store = SledStore::open(&options(dir, sync)).unwrap();
    let blobs = Blobs::open(dir, 0).unwrap();
    let mut marks = Marks::open(dir).unwrap();
    let first = held(&store).unwrap() + 1;
    say(&format!("ack {}", first - 1));
    for number in first.. {
        let mut batch = Batch::new();
        if number % MARK_EVERY == 0 {
            let (content, digest) = blob(number);
            // The power is gone in the middle of most of these; the parent kills this process.
            if blobs.put(&digest, &content).is_err() {
                break;
            }
        }
        for part in 0..parts(number) {
            batch.put(format!("log/{number:08}/{part:04}"), bytes(number, part));
            batch.put(
                format!("ring/{:04}", ring_slot(number, part)),
                number.to_be_bytes().repeat(50),
            );
        }
        batch.put("head", number.to_be_bytes());
        if store.commit(batch).is_err() {
            break;
        }
        say(&format!("ack {number}"));
        if number % MARK_EVERY == 0 {
            let mark = Mark {
                origin: LOG.to_owned(),
                size: number,
                root: root(number),
            };
            if marks.record(&[mark]).is_err() {
                break;
            }
            say(&format!("mark {number}"));
        }
    }
    std::thread::sleep(Duration::from_secs(60));
}

/// Says `held N` when batches 1 to N and nothing else are there, every byte of them.
fn look(dir: &Path) {
    let verdict = match inspect(dir) {
        Ok(held) => format!("held {held}"),
        Err(fault) => format!("fault {fault}"),
    };
    say(&verdict);
}

fn inspect(dir: &Path) -> Result<u64, String> {
    let text = |e: StoreError| e.to_string();
    let mut options = options(dir, SyncPolicy::Fdatasync);
    options.create = false;
    let store = SledStore::open(&options).map_err(text)?;
    let held = held(&store).map_err(text)?;
    let mut ring = std::collections::BTreeMap::new();
    let mut records = 0;
    for number in 1..=held {
        for part in 0..parts(number) {
            let key = format!("log/{number:08}/{part:04}");
            let value = store.get(key.as_bytes()).map_err(text)?;
            if value != Some(bytes(number, part)) {
                return Err(format!(
                    "batch {number} of {held}: part {part} is missing or wrong"
                ));
            }
            ring.insert(format!("ring/{:04}", ring_slot(number, part)), number);
            records += 1;
        }
        if number % MARK_EVERY == 0 {
            let (content, digest) = blob(number);
            let blobs = Blobs::open(dir, 0).map_err(text)?;
            if blobs.get(&digest).map_err(text)? != Some(content) {
                return Err(format!("the blob of batch {number} is missing"));
            }
        }
    }
    let all = store
        .scan(b"log/", b"log0", usize::MAX, Direction::Forward)
        .map_err(text)?;
    if all.len() != records {
        return Err(format!(
            "{} records, {records} expected: a batch is there in part",
            all.len()
        ));
    }
    for (key, value) in store
        .scan(b"ring/", b"ring0", usize::MAX, Direction::Forward)
        .map_err(text)?
    {
        let number = ring.remove(std::str::from_utf8(&key).unwrap());
        if number.is_none_or(|number| number.to_be_bytes().repeat(50) != value) {
            return Err("a record that is written over is of another batch".to_owned());
        }
    }
    if !ring.is_empty() {
        return Err("a record that is written over is missing".to_owned());
    }
    let marks = Marks::open(dir).map_err(text)?;
    let compare = |mark: &Mark| {
        Ok::<_, String>(Held {
            size: held,
            root_at_mark: Some(root(mark.size)),
        })
    };
    if let [shortfall, ..] = &marks.compare(compare)?[..] {
        return Err(shortfall.to_string());
    }
    say(&format!(
        "marked {}",
        marks.get(LOG).map_or(0, |mark| mark.0)
    ));
    Ok(held)
}

// --- The parent ------------------------------------------------------------------------------------

/// What a child has acknowledged so far; `u64::MAX` while it has said nothing.
#[derive(Debug)]
struct Said {
    ack: AtomicU64,
    mark: AtomicU64,
}

fn spawn(task: &str, dir: &Path) -> (Child, Arc<Said>, JoinHandle<String>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "power_cut::power_cut_child",
            "--exact",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(CHILD, format!("{task} {}", dir.display()))
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let said = Arc::new(Said {
        ack: AtomicU64::new(u64::MAX),
        mark: AtomicU64::new(0),
    });
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let read = {
        let said = Arc::clone(&said);
        move || {
            let mut last = String::new();
            for line in lines.map_while(Result::ok) {
                if let Some(number) = line.strip_prefix("ack ") {
                    said.ack.store(number.parse().unwrap(), Ordering::SeqCst);
                } else if let Some(number) = line.strip_prefix("mark") {
                    let number = number.trim_start_matches("ed").trim();
                    said.mark.store(number.parse().unwrap(), Ordering::SeqCst);
                } else if line.starts_with("held ") || line.starts_with("fault ") {
                    last = line;
                }
            }
            last
        }
    };
    (child, said, std::thread::spawn(read))
}

struct Machine {
    dir: tempfile::TempDir,
    tool: PathBuf,
    seed: u64,
}

impl Machine {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let tool = dir.path().join("power_cut");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/power_cut.c");
        run(Command::new("cc").arg("-o").arg(&tool).arg(source));
        Machine { dir, tool, seed: 1 }
    }

    fn mount(&self, fresh: bool) -> Mounted {
        let path = self.dir.path();
        Mounted::ext4(&path.join("image"), &path.join("disk"), 192, fresh)
    }

    fn random(&mut self, below: u64) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed % below
    }

    /// One cut and what was found after it: the batches held, or what is wrong.
    fn cycle(&mut self, task: &str, fresh: bool) -> Result<u64, String> {
        let disk = self.mount(fresh);
        let store = disk.dir.join("store");
        let (mut child, said, reader) = spawn(task, &store);
        let deadline = Instant::now() + Duration::from_secs(30);
        while said.ack.load(Ordering::SeqCst) == u64::MAX {
            assert!(
                Instant::now() < deadline,
                "the child did not open its store"
            );
            if child.try_wait().unwrap().is_some() {
                return Err("the store could not be opened to go on".to_owned());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_millis(10 + self.random(190)));

        // Only what was read before the cut counts.
        let (ack, mark) = (
            said.ack.load(Ordering::SeqCst),
            said.mark.load(Ordering::SeqCst),
        );
        run(Command::new(&self.tool).arg(&disk.dir));
        child.kill().unwrap();
        child.wait().unwrap();
        reader.join().unwrap();
        disk.unmount();

        let disk = self.mount(false);
        let (mut child, said, reader) = spawn("look", &store);
        child.wait().unwrap();
        let verdict = reader.join().unwrap();
        disk.unmount();
        let held = match verdict.strip_prefix("held ") {
            Some(held) => held.parse().unwrap(),
            None => return Err(format!("{ack} acknowledged; {verdict}")),
        };
        let marked = said.mark.load(Ordering::SeqCst);
        if held < ack || marked < mark {
            return Err(format!(
                "{ack} acknowledged, {held} held; {mark} marked, {marked} there"
            ));
        }
        Ok(held)
    }
}

fn cuts() -> u32 {
    std::env::var("LIAISON_POWER_CUTS").map_or(20, |cuts| cuts.parse().unwrap())
}

#[test]
fn what_was_acknowledged_survives_loss_of_power() {
    let mut machine = Machine::new();
    let mut report = String::new();
    for cut in 0..cuts() {
        // A store goes through several cuts, so that its repairs are cut as well.
        let held = machine.cycle("write", cut % 8 == 0);
        let held = held.unwrap_or_else(|fault| panic!("cut {cut}: {fault} ({report})"));
        write!(report, "{held} ").unwrap();
    }
    println!("batches held after each cut: {report}");
}

#[test]
fn without_the_sync_acknowledged_data_is_lost() {
    let mut machine = Machine::new();
    let cuts = cuts().min(20);
    for cut in 0..cuts {
        if let Err(fault) = machine.cycle("write-stock", true) {
            println!("cut {cut}: {fault}");
            return;
        }
    }
    panic!("{cuts} cuts without fdatasync lost nothing: the power-cut test has no teeth here");
}

/// The disk fails under an open store: it stops, says so, and never answers `Ok` again.
#[test]
fn after_an_error_of_the_disk_nothing_is_acknowledged() {
    let machine = Machine::new();
    let disk = machine.mount(true);
    let dir = disk.dir.join("store");
    let put = |store: &SledStore, key: &str| {
        let mut batch = Batch::new();
        batch.put(key, "value");
        store.commit(batch)
    };
    let store = SledStore::open(&options(&dir, SyncPolicy::Fdatasync)).unwrap();
    let blobs = Blobs::open(&dir, 0).unwrap();
    let mut marks = Marks::open(&dir).unwrap();
    put(&store, "before").unwrap();

    run(Command::new(&machine.tool).arg(&disk.dir));
    for _ in 0..3 {
        let error = put(&store, "after").unwrap_err();
        assert!(error.is_fatal(), "{error}");
        let mark = Mark {
            origin: LOG.to_owned(),
            size: 1,
            root: root(1),
        };
        let error = marks.record(&[mark]).unwrap_err();
        assert!(
            matches!(error, StoreError::OutcomeUnknown { .. }),
            "{error}"
        );
        let (content, digest) = blob(1);
        assert!(blobs.put(&digest, &content).unwrap_err().is_fatal());
    }
    assert!(store.is_poisoned());
    assert_eq!(marks.get(LOG), None);
    assert_eq!(store.get(b"before").unwrap().unwrap(), b"value");
    drop((store, blobs, marks));
    disk.unmount();

    let disk = machine.mount(false);
    let store = SledStore::open(&options(&dir, SyncPolicy::Fdatasync)).unwrap();
    assert_eq!(store.get(b"before").unwrap().unwrap(), b"value");
    put(&store, "after").unwrap();
    drop(store);
    disk.unmount();
}

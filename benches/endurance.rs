//! What a large log and a long day cost: two real nodes as processes, over real TLS and disks.
//! `cargo bench --bench endurance -- [--entries N] [--minutes M] [--rate R]`; 0 leaves a part out.
//!
//! ```text
//! restart  N entries recorded, the node stopped and started again      limits: 5 s at 1,000,000;
//!          resident at the start, and after 1,000 cases anywhere       100 MiB at 100,000
//! soak     R notifications a second each way, durable on both sides,   limits: 256 MiB, and flat
//!          for M minutes; one in ten owes an acknowledgement by a time
//! ```

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark that cannot go on has failed, and it reports"
)]

#[path = "../tests/it/nodes.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod nodes;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use liaison::proto::v1;
use liaison::store::{Direction, OpenOptions, SledStore, Store as _};
use nodes::{LEFT, Node, RIGHT, letter, pair};

const CALLERS: usize = 64;
const TOUCHED: usize = 1_000;

struct Options {
    entries: usize,
    minutes: f64,
    rate: f64,
}

fn main() {
    // `cargo test --benches` only wants to know that it runs.
    let is_smoke = std::env::args().any(|arg| arg == "--test");
    let option = |name: &str, of: f64| {
        let given = std::env::args().skip_while(|arg| arg != name).nth(1);
        given.map_or(of, |text| text.parse().unwrap())
    };
    let options = if is_smoke {
        Options {
            entries: 500,
            minutes: 0.02,
            rate: 50.0,
        }
    } else {
        Options {
            entries: whole(option("--entries", 100_000.0)),
            minutes: option("--minutes", 1.0),
            rate: option("--rate", 500.0),
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        if options.entries > 0 {
            restart(options.entries).await;
        }
        if options.minutes > 0.0 {
            soak(&options).await;
        }
    });
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts of a bench"
)]
fn whole(number: f64) -> usize {
    number as usize
}

#[expect(clippy::cast_precision_loss, reason = "counts of a bench")]
fn per_second(count: usize, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}

async fn restart(entries: usize) {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (mut left, _right) = pair(dir.path());
    left.start();
    let began = Instant::now();
    let mut tasks = Vec::new();
    for caller in 0..CALLERS {
        let mut desk = left.desk().await;
        tasks.push(tokio::spawn(async move {
            let mut some = Vec::new();
            for number in (caller..entries).step_by(CALLERS) {
                let draft = letter(RIGHT, number);
                if number % entries.div_ceil(TOUCHED) == 0 {
                    some.push(draft.id.clone());
                }
                let draft = Some(draft);
                desk.submit(v1::SubmitRequest { draft }).await.unwrap();
            }
            some
        }));
    }
    let mut some = Vec::new();
    for task in tasks {
        some.extend(task.await.unwrap());
    }
    println!(
        "recorded  {entries} entries at {:.0}/s; resident {} MiB",
        per_second(entries, began.elapsed()),
        resident_mib(&left)
    );
    left.stop();
    for time in ["first", "second"] {
        let began = Instant::now();
        left.start();
        let mut desk = left.desk().await;
        println!(
            "restart   with {entries} entries, the {time} time: ready after {:?}; resident {} MiB",
            began.elapsed(),
            resident_mib(&left)
        );
        let began = Instant::now();
        for id in &some {
            let id = id.clone();
            desk.get_case(v1::GetCaseRequest { id }).await.unwrap();
        }
        println!(
            "touched   {} cases in {:?}; resident {} MiB",
            some.len(),
            began.elapsed(),
            resident_mib(&left)
        );
        left.stop();
    }
}

async fn soak(options: &Options) {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (mut left, mut right) = pair(dir.path());
    left.start();
    right.start();
    let is_up = |link: &v1::LinkStatus| link.state == v1::LinkState::Up as i32;
    left.until(RIGHT, "up", is_up).await;
    right.until(LEFT, "up", is_up).await;
    let began = Instant::now();
    let end = began + Duration::from_secs_f64(options.minutes * 60.0);
    let callers = 16;
    let pause = Duration::from_secs_f64(f64::from(callers) / options.rate);
    let mut tasks = Vec::new();
    let said = [Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0))];
    for (node, peer, said) in [(&mut left, RIGHT, &said[0]), (&mut right, LEFT, &said[1])] {
        for caller in 0..callers {
            let mut desk = node.desk().await;
            let said = Arc::clone(said);
            let first = began + pause.mul_f64(f64::from(caller) / f64::from(callers));
            tasks.push(tokio::spawn(async move {
                let (mut at, mut count) = (first, 0);
                while at < end {
                    tokio::time::sleep_until(at.into()).await;
                    let mut draft = letter(peer, count);
                    if count % 10 == 0 {
                        draft.acknowledge_by = Some(in_an_hour());
                    }
                    let draft = Some(draft);
                    desk.submit(v1::SubmitRequest { draft }).await.unwrap();
                    said.fetch_add(1, Ordering::Relaxed);
                    count += 1;
                    at += pause;
                }
                count
            }));
        }
    }
    let watch = async {
        let mut resident = Vec::new();
        while Instant::now() < end {
            tokio::time::sleep(Duration::from_secs(10).min(end - Instant::now())).await;
            let now = [&left, &right].map(resident_mib);
            println!(
                "soak      {:>5} s: resident {} and {} MiB after {} and {} notifications",
                began.elapsed().as_secs(),
                now[0],
                now[1],
                said[0].load(Ordering::Relaxed),
                said[1].load(Ordering::Relaxed)
            );
            resident.push(now[0].max(now[1]));
        }
        resident
    };
    let resident = watch.await;
    let mut count = 0;
    for task in tasks {
        count += task.await.unwrap();
    }
    let time = began.elapsed();
    for (node, peer) in [(&mut left, RIGHT), (&mut right, LEFT)] {
        node.until(peer, "delivered", |link| {
            link.delivered_size == link.own_size
        })
        .await;
    }
    let third = resident.len().div_ceil(3).max(1);
    let most = |part: &[u64]| part.iter().copied().max().unwrap_or_default();
    let thirds: Vec<String> = resident
        .chunks(third)
        .map(|part| most(part).to_string())
        .collect();
    println!(
        "soak      {count} notifications, {:.0}/s both ways together, delivered {:?} after the last; \
         most resident in each third: {} MiB (wanted: 256, and flat)",
        per_second(count, time),
        began.elapsed().saturating_sub(time),
        thirds.join(", ")
    );
    left.stop();
    right.stop();
    rows(&left);
}

/// What lies in a node's store, by region: rows and bytes for each entry of both logs. sled keeps some
/// 18 bytes in memory for each row as long as it is open.
fn rows(node: &Node) {
    const AT_ONCE: usize = 4_096;
    let dir = node.dir.join("data");
    let store = SledStore::open(&OpenOptions::new(&dir)).unwrap();
    let mut regions: BTreeMap<u8, [u64; 3]> = BTreeMap::new();
    let mut start = vec![0];
    loop {
        let some = store
            .scan(&start, &[0xff], AT_ONCE, Direction::Forward)
            .unwrap();
        let Some((last, _)) = some.last() else { break };
        start.clone_from(last);
        start.push(0);
        for (key, value) in some {
            let region = regions.entry(key[0]).or_default();
            region[0] += 1;
            region[1] += key.len() as u64;
            region[2] += value.len() as u64;
        }
    }
    let entries = regions.get(&b'E').map_or(1, |of| of[0]);
    let each = |count: u64| per(count, entries);
    for (region, [rows, keys, values]) in &regions {
        println!(
            "rows      {}: {rows}, {:.3} an entry, {:.1} bytes of keys and {:.1} of values",
            char::from(*region),
            each(*rows),
            each(*keys),
            each(*values)
        );
    }
    let all: u64 = regions.values().map(|of| of[0]).sum();
    let payload: u64 = regions.values().map(|of| of[1] + of[2]).sum();
    let disk = std::fs::metadata(dir.join("sled/db")).unwrap().len();
    println!(
        "rows      {entries} entries, {:.2} rows each; {:.0} bytes each, {:.0} on disk",
        each(all),
        each(payload),
        each(disk)
    );
}

#[expect(clippy::cast_precision_loss, reason = "counts of a bench")]
fn per(count: u64, of: u64) -> f64 {
    count as f64 / of.max(1) as f64
}

fn in_an_hour() -> prost_types::Timestamp {
    use liaison::exchange::clock::{Clock as _, SystemClock};
    let now = SystemClock.unix_seconds();
    prost_types::Timestamp {
        seconds: i64::try_from(now).unwrap() + 3_600,
        nanos: 0,
    }
}

fn resident_mib(node: &Node) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS"));
    let kib: u64 = line
        .unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    kib / 1_024
}

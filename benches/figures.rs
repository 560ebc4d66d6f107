//! The figures that two real nodes reach on this machine, as ratios to limits measured in the
//! same run. `cargo bench --bench figures`.
//!
//! ```text
//! recorded   submit → answer            limit: 1 fdatasync + 1 signature
//! receipted  submit → verified receipt  limit: 2 fdatasync + 1 signature + 1 strict verification
//! ```

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark that cannot go on has failed, and it reports"
)]

#[path = "../tests/it/nodes.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod nodes;

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use ed25519_dalek::{Signer as _, SigningKey};
use liaison::proto::v1::{self, WatchEvent};
use nodes::{LEFT, Node, RIGHT, letter, pair};

const ROUNDS: usize = 300;
const COLD_ENTRIES: usize = 100_000;

fn main() {
    // `cargo test --benches` only wants to know that it runs.
    let smoke = std::env::args().any(|arg| arg == "--test");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(figures(
        if smoke { 10 } else { ROUNDS },
        if smoke { 1_000 } else { COLD_ENTRIES },
    ));
}

async fn figures(rounds: usize, cold_entries: usize) {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (mut left, mut right) = pair(dir.path());
    left.start();
    right.start();
    left.until(RIGHT, "up", |link| link.state == v1::LinkState::Up as i32)
        .await;
    right
        .until(LEFT, "up", |link| link.state == v1::LinkState::Up as i32)
        .await;

    let fdatasync = fdatasync_p50(dir.path(), rounds);
    let (sign, verify) = signature_p50(rounds);
    println!("limits    fdatasync {fdatasync:?}, sign {sign:?}, strict verify {verify:?} (p50)");

    let recorded = recorded_p50(&mut left, rounds).await;
    ratio("recorded", recorded, fdatasync + sign, 3);
    let receipted = receipted_p50(&mut left, rounds).await;
    ratio("receipted", receipted, 2 * fdatasync + sign + verify, 4);

    let idle = resident_kib(left.pid());
    println!("resident  {} MiB idle (limit 100)", idle / 1024);

    right.stop();
    fill(&mut left, cold_entries).await;
    left.stop();
    let started = Instant::now();
    left.start();
    left.desk().await;
    println!(
        "cold start with {cold_entries} entries: {:?} (limit 2 s); resident {} MiB",
        started.elapsed(),
        resident_kib(left.pid()) / 1024
    );
    left.stop();
}

fn ratio(what: &str, measured: Duration, limit: Duration, most: u32) {
    let ratio = measured.as_secs_f64() / limit.as_secs_f64();
    println!("{what:9} {measured:?} = {ratio:.2} × limit {limit:?} (at most {most})");
}

fn p50(mut samples: Vec<Duration>) -> Duration {
    samples.sort_unstable();
    samples[samples.len() / 2]
}

/// Appending a page to a growing file and making it durable, as a log does at best.
fn fdatasync_p50(dir: &Path, rounds: usize) -> Duration {
    let mut file = File::create(dir.join("limit")).unwrap();
    let mut samples = Vec::new();
    for _ in 0..rounds {
        let start = Instant::now();
        file.write_all(&[7; 4_096]).unwrap();
        file.sync_data().unwrap();
        samples.push(start.elapsed());
    }
    p50(samples)
}

fn signature_p50(rounds: usize) -> (Duration, Duration) {
    let key = SigningKey::from_bytes(&[7; 32]);
    let message = [9; 300];
    let (mut signs, mut verifies) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let start = Instant::now();
        let signature = key.sign(&message);
        signs.push(start.elapsed());
        let start = Instant::now();
        key.verifying_key()
            .verify_strict(&message, &signature)
            .unwrap();
        verifies.push(start.elapsed());
    }
    (p50(signs), p50(verifies))
}

async fn recorded_p50(left: &mut Node, rounds: usize) -> Duration {
    let mut desk = left.desk().await;
    let mut samples = Vec::new();
    for number in 0..rounds {
        let draft = Some(letter(RIGHT, number));
        let start = Instant::now();
        desk.submit(v1::SubmitRequest { draft }).await.unwrap();
        samples.push(start.elapsed());
        // The link is idle again before the next one.
        left.until(RIGHT, "delivered", |link| {
            link.delivered_size == link.own_size
        })
        .await;
    }
    p50(samples)
}

async fn receipted_p50(left: &mut Node, rounds: usize) -> Duration {
    let mut desk = left.desk().await;
    let mut watch = left
        .desk()
        .await
        .watch(v1::WatchRequest::default())
        .await
        .unwrap()
        .into_inner();
    let mut samples = Vec::new();
    for number in 0..rounds {
        let draft = letter(RIGHT, number);
        let id = draft.id.clone();
        let start = Instant::now();
        desk.submit(v1::SubmitRequest { draft: Some(draft) })
            .await
            .unwrap();
        loop {
            let event = watch.message().await.unwrap().unwrap();
            let of_it = event
                .message
                .as_ref()
                .is_some_and(|message| message.id == id);
            if of_it && event.event == WatchEvent::Delivered as i32 {
                break;
            }
        }
        samples.push(start.elapsed());
    }
    p50(samples)
}

/// Fills the log while the peer is away, many callers at once.
async fn fill(left: &mut Node, entries: usize) {
    let callers = 64;
    let mut tasks = Vec::new();
    for caller in 0..callers {
        let mut desk = left.desk().await;
        tasks.push(tokio::spawn(async move {
            for number in (caller..entries).step_by(callers) {
                let draft = Some(letter(RIGHT, number));
                desk.submit(v1::SubmitRequest { draft }).await.unwrap();
            }
        }));
    }
    let start = Instant::now();
    for task in tasks {
        task.await.unwrap();
    }
    let rate = f64::from(u32::try_from(entries).unwrap()) / start.elapsed().as_secs_f64();
    println!("recorded  {rate:.0}/s by {callers} callers at once");
}

fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

//! The figures that two real nodes reach on this machine, as ratios to limits measured in the
//! same run. `cargo bench --bench figures`.
//!
//! ```text
//! recorded   submit → durable           limit: 1 fdatasync + 1 signature
//! receipted  submit → verified receipt  limit: 2 fdatasync + 1 signature + 1 strict verification
//! ```
//!
//! *Recorded* is measured twice: where the message is recorded (the node's own call), and as a
//! program sees it that submits over the desk's socket. Each sample of a limit is taken right
//! before the sample it is compared with, after the same pause: a disk and a processor that have
//! rested answer later than those that have not, and so does everything that is measured here.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark that cannot go on has failed, and it reports"
)]

#[expect(dead_code, reason = "others set more")]
mod common;
#[path = "../tests/it/nodes.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod nodes;

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::without_quotas;
use ed25519_dalek::{Signer as _, SigningKey};
use liaison::crypto::keys::{LogKey, MessageKey};
use liaison::exchange::clock::{Entropy, SystemClock};
use liaison::exchange::submit::Author;
use liaison::exchange::{
    Exchange, Foundations, LinkTerms, NodeKeys, PeerKeys, PeerMessageKey, RecorderMode,
};
use liaison::model::NodeName;
use liaison::proto::v1::{self, WatchEvent};
use liaison::store::{Blobs, Marks, OpenOptions, SledStore};
use nodes::{LEFT, Node, RIGHT, letter, pair};

const ROUNDS: usize = 300;
const COLD_ENTRIES: usize = 100_000;

fn main() {
    // `cargo test --benches` only wants to know that it runs.
    let smoke = std::env::args().any(|arg| arg == "--test");
    // One thread: the caller is measured with the nodes, and should not wake others of its own.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(figures(
        if smoke { 10 } else { ROUNDS },
        if smoke { 1_000 } else { COLD_ENTRIES },
    ));
}

async fn figures(rounds: usize, cold_entries: usize) {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (mut left, mut right) = pair(dir.path());
    without_quotas(&left);
    without_quotas(&right);
    left.start();
    right.start();
    left.until(RIGHT, "up", |link| link.state == v1::LinkState::Up as i32)
        .await;
    right
        .until(LEFT, "up", |link| link.state == v1::LinkState::Up as i32)
        .await;

    let mut limits = Limits::new(dir.path());
    let recorded = recorded_within(dir.path(), &mut limits, rounds).await;
    limits.ratio("recorded in the node", recorded, &[1, 1, 0], 3);
    let recorded = recorded_p50(&mut left, &mut limits, rounds).await;
    limits.ratio("recorded over the socket", recorded, &[1, 1, 0], 3);
    let receipted = receipted_p50(&mut left, &mut limits, rounds).await;
    limits.ratio("receipted", receipted, &[2, 1, 1], 4);

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

/// Time for everything to come to rest between two samples.
const PAUSE: Duration = Duration::from_millis(5);

/// What the machine can do at best: one sample at a time.
struct Limits {
    file: File,
    key: SigningKey,
    samples: [Vec<Duration>; 3],
}

impl Limits {
    fn new(dir: &Path) -> Self {
        Self {
            file: File::create(dir.join("limit")).unwrap(),
            key: SigningKey::from_bytes(&[7; 32]),
            samples: Default::default(),
        }
    }

    /// Appends a page to a growing file and makes it durable, as a log does at best; signs;
    /// verifies strictly.
    async fn sample(&mut self) {
        tokio::time::sleep(PAUSE).await;
        let start = Instant::now();
        self.file.write_all(&[7; 4_096]).unwrap();
        self.file.sync_data().unwrap();
        self.samples[0].push(start.elapsed());
        let message = [9; 300];
        let start = Instant::now();
        let signature = self.key.sign(&message);
        self.samples[1].push(start.elapsed());
        let start = Instant::now();
        self.key
            .verifying_key()
            .verify_strict(&message, &signature)
            .unwrap();
        self.samples[2].push(start.elapsed());
        tokio::time::sleep(PAUSE).await;
    }

    /// Prints a median against so many fdatasyncs, signatures and verifications of the same
    /// minutes, and begins anew.
    fn ratio(&mut self, what: &str, measured: Duration, counts: &[u32; 3], most: u32) {
        let parts = std::mem::take(&mut self.samples).map(p50);
        let limit: Duration = parts.iter().zip(counts).map(|(part, n)| *part * *n).sum();
        let ratio = measured.as_secs_f64() / limit.as_secs_f64();
        let [fdatasync, sign, verify] = parts;
        println!(
            "{what:24} p50 {measured:?} = {ratio:.2} × limit {limit:?} (wanted: at most {most}); \
             fdatasync {fdatasync:?}, sign {sign:?}, strict verify {verify:?}"
        );
    }
}

fn p50(mut samples: Vec<Duration>) -> Duration {
    samples.sort_unstable();
    samples[samples.len() / 2]
}

/// The node's own call, in this process, without a link or a socket.
async fn recorded_within(dir: &Path, limits: &mut Limits, rounds: usize) -> Duration {
    let dir = dir.join("within");
    let (own, peer) = (
        NodeName::parse(LEFT).unwrap(),
        NodeName::parse(RIGHT).unwrap(),
    );
    let (peer_message, peer_log) = (MessageKey::from_seed(&[3; 32]), LogKey::from_seed(&[4; 32]));
    let store = SledStore::open(&OpenOptions::new(&dir).create()).unwrap();
    let foundations = Foundations {
        node: own.clone(),
        keys: NodeKeys {
            message: MessageKey::from_seed(&[1; 32]),
            log: LogKey::from_seed(&[2; 32]),
        },
        store: Arc::new(store),
        blobs: Arc::new(Blobs::open(&dir, 0).unwrap()),
        marks: Marks::open(&dir).unwrap(),
        clock: Arc::new(SystemClock),
        entropy: Entropy::system(),
    };
    let own_start = foundations.keys.start(&own);
    let terms = LinkTerms {
        peer: peer.clone(),
        keys: PeerKeys {
            message_keys: vec![PeerMessageKey::unbounded(peer_message.verifier(&peer))],
            cosigner_key: peer_log.cosigner_verifier(&peer),
            officers: Vec::new(),
            recovery: None,
        },
        own_start,
        classification_max: v1::Classification::Confidential,
    };
    let exchange = Exchange::open(foundations, vec![terms], RecorderMode::Thread).unwrap();
    let author = Author::new("operator");
    let mut samples = Vec::new();
    for number in 0..rounds {
        let draft = letter(RIGHT, number);
        limits.sample().await;
        let start = Instant::now();
        exchange.submit(draft, &author).await.unwrap();
        samples.push(start.elapsed());
    }
    p50(samples)
}

async fn recorded_p50(left: &mut Node, limits: &mut Limits, rounds: usize) -> Duration {
    let mut desk = left.desk().await;
    let mut samples = Vec::new();
    for number in 0..rounds {
        let draft = Some(letter(RIGHT, number));
        limits.sample().await;
        let start = Instant::now();
        desk.submit(v1::SubmitRequest { draft }).await.unwrap();
        samples.push(start.elapsed());
    }
    left.until(RIGHT, "delivered", |link| {
        link.delivered_size == link.own_size
    })
    .await;
    p50(samples)
}

async fn receipted_p50(left: &mut Node, limits: &mut Limits, rounds: usize) -> Duration {
    let mut desk = left.desk().await;
    let watch = left.desk().await.watch(v1::WatchRequest::default()).await;
    let mut watch = watch.unwrap().into_inner();
    let mut samples = Vec::new();
    for number in 0..rounds {
        let draft = letter(RIGHT, number);
        let id = draft.id.clone();
        limits.sample().await;
        let start = Instant::now();
        let draft = Some(draft);
        desk.submit(v1::SubmitRequest { draft }).await.unwrap();
        loop {
            let event = watch.message().await.unwrap().unwrap();
            let message = event.message.as_ref();
            let of_it = message.is_some_and(|message| message.id == id);
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

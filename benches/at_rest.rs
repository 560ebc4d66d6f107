//! What it costs that bodies lie sealed and can be erased. `cargo bench --bench at_rest`.
//!
//! ```text
//! throughput   submit by 64 callers → all receipted, two nodes; sealed against plain, in turns
//! erase        one message of so many of a month, from the command line, process and all
//! keys         file of a month, bytes a key; opening it; destroying one
//! ```

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark that cannot go on has failed, and it reports"
)]

mod common;
#[path = "../tests/it/nodes.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod nodes;

use std::path::Path;
use std::time::{Duration, Instant};

use common::{set, without_quotas};
use liaison::crypto::storage_key::StorageKey;
use liaison::proto::v1;
use liaison::store::{KeyAddress, Vault};
use nodes::{LEFT, Node, RIGHT, letter, pair, succeed};

const CALLERS: usize = 64;

fn main() {
    // `cargo test --benches` only wants to know that it runs.
    let smoke = std::env::args().any(|arg| arg == "--test");
    let (rounds, letters, month, keys) = if smoke {
        (1, 200, 300, 5_000)
    } else {
        (5, 20_000, 100_000, 1_000_000)
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    runtime.block_on(async {
        let (mut plain, mut sealed) = (Vec::new(), Vec::new());
        for round in 0..rounds {
            for is_sealed in [true, false] {
                let place = dir.path().join(format!("{round}-{is_sealed}"));
                std::fs::create_dir(&place).unwrap();
                let took = throughput(&place, is_sealed, letters).await;
                let into = if is_sealed { &mut sealed } else { &mut plain };
                into.push(took);
                std::fs::remove_dir_all(&place).unwrap();
            }
        }
        let rate = |times: &mut Vec<Duration>| {
            times.sort_unstable();
            f64::from(u32::try_from(letters).unwrap()) / times[times.len() / 2].as_secs_f64()
        };
        let (sealed, plain) = (rate(&mut sealed), rate(&mut plain));
        println!(
            "receipted {sealed:.0}/s sealed, {plain:.0}/s plain: {:.0} % (wanted: at least 85 %)",
            100.0 * sealed / plain
        );
        erase_one(&dir.path().join("month"), month).await;
    });
    keys_of_a_month(&dir.path().join("keys"), keys);
}

async fn running(place: &Path, is_sealed: bool) -> (Node, Node) {
    let (mut left, mut right) = pair(place);
    for node in [&left, &right] {
        without_quotas(node);
        set(
            node,
            &[("encrypt", if is_sealed { "true" } else { "false" })],
        );
    }
    left.start();
    right.start();
    let up = |link: &v1::LinkStatus| link.state == v1::LinkState::Up as i32;
    left.until(RIGHT, "up", up).await;
    right.until(LEFT, "up", up).await;
    (left, right)
}

async fn say_all(left: &mut Node, letters: usize) {
    let mut tasks = Vec::new();
    for caller in 0..CALLERS {
        let mut desk = left.desk().await;
        tasks.push(tokio::spawn(async move {
            for number in (caller..letters).step_by(CALLERS) {
                let draft = Some(letter(RIGHT, number));
                desk.submit(v1::SubmitRequest { draft }).await.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    left.delivered(RIGHT).await;
}

async fn throughput(place: &Path, is_sealed: bool, letters: usize) -> Duration {
    let (mut left, mut right) = running(place, is_sealed).await;
    // The first thousand find everything cold.
    say_all(&mut left, letters / 20).await;
    let start = Instant::now();
    say_all(&mut left, letters).await;
    let took = start.elapsed();
    let rate = f64::from(u32::try_from(letters).unwrap()) / took.as_secs_f64();
    println!(
        "  {} {rate:.0}/s",
        if is_sealed { "sealed" } else { "plain " }
    );
    left.stop();
    right.stop();
    took
}

async fn erase_one(place: &Path, month: usize) {
    std::fs::create_dir(place).unwrap();
    let (mut left, mut right) = running(place, true).await;
    say_all(&mut left, month).await;
    let config = left.config();
    let listed = succeed(&[
        "--config", &config, "list", "--json", "--own", "--limit", "3",
    ]);
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let mut took = Vec::new();
    for message in listed["messages"].as_array().unwrap() {
        let id = message["id"].as_str().unwrap();
        let erase = [
            "erase",
            id,
            "--reason",
            "bench",
            "--authority",
            "bench",
            "--yes",
        ];
        let start = Instant::now();
        succeed(&[&["--config", &config][..], &erase].concat());
        took.push(start.elapsed());
    }
    took.sort_unstable();
    println!(
        "erase     one of {month}: {:?} from the command line (wanted: under 1 s)",
        took[took.len() / 2]
    );
    let files = std::fs::read_dir(left.dir.join("body-keys")).unwrap();
    let bytes: u64 = files
        .map(|file| file.unwrap().metadata().unwrap().len())
        .sum();
    println!("          key files {bytes} bytes");
    left.stop();
    right.stop();
}

fn keys_of_a_month(dir: &Path, count: usize) {
    let open = || {
        let key = StorageKey::from_bytes(&[7; 32]);
        Vault::open(dir, key, "a.example", || 1_795_000_000_000).unwrap()
    };
    let vault = open();
    let mut addresses: Vec<KeyAddress> = Vec::with_capacity(count);
    let start = Instant::now();
    for _ in 0..count {
        addresses.push(vault.take().unwrap().0);
    }
    let each = start.elapsed() / u32::try_from(count).unwrap();
    println!("keys      one is taken in {each:?}");
    // One in ten destroyed, scattered: the file is largest then for what it holds.
    let scattered: Vec<_> = addresses.iter().step_by(10).copied().collect();
    vault.destroy(&scattered).unwrap();
    let start = Instant::now();
    vault.destroy(&[addresses[1]]).unwrap();
    let one = start.elapsed();
    drop(vault);
    let file = std::fs::read_dir(dir).unwrap().map(|file| file.unwrap());
    let bytes: u64 = file.map(|file| file.metadata().unwrap().len()).sum();
    let start = Instant::now();
    let vault = open();
    let opened = start.elapsed();
    assert!(vault.key(addresses[1]).is_err() && vault.key(addresses[2]).is_ok());
    println!(
        "          {count} keys, every tenth destroyed: {:.1} bytes a key (wanted: at most 100), opened in \
         {opened:?} (wanted: under 5 s), one more destroyed in {one:?} (wanted: under 1 s)",
        f64::from(u32::try_from(bytes).unwrap()) / f64::from(u32::try_from(count).unwrap()),
    );
}

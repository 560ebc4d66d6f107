//! Two exchanges within this process, their stores in memory: what is left when disks and network
//! cost nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use liaison::exchange::{Exchange, RecorderMode};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::sides::{Side, join, quiet, sides, submit, up};

const LETTERS: usize = 1_000;

fn threaded(side: &Side, peer: &Side) -> Arc<Exchange> {
    let opened = side.try_open(peer, peer.card_for(side), RecorderMode::Thread);
    opened.unwrap()
}

/// Records the letters, all at once as far as the node lets them in.
async fn record(exchange: &Arc<Exchange>, to: &Side, letters: usize) {
    let mut callers = JoinSet::new();
    for number in 0..letters {
        let (exchange, draft) = (Arc::clone(exchange), crate::signed::letter(to, number));
        callers.spawn(async move { submit(&exchange, draft).await.unwrap() });
    }
    while let Some(ended) = callers.join_next().await {
        ended.unwrap();
    }
}

pub(crate) fn measure(criterion: &mut Criterion) {
    let letters = if crate::is_smoke() { 50 } else { LETTERS };
    let runtime = Runtime::new().unwrap();
    let mut group = criterion.benchmark_group("exchange");
    group.sample_size(10);
    group.throughput(Throughput::Elements(letters as u64));
    group.bench_function("record", |bench| {
        bench.iter_custom(|rounds| {
            (0..rounds)
                .map(|_| runtime.block_on(recorded(letters)))
                .sum()
        });
    });
    group.bench_function("session", |bench| {
        bench.iter_custom(|rounds| {
            (0..rounds)
                .map(|_| runtime.block_on(carried(letters)))
                .sum()
        });
    });
    group.finish();
}

/// How long it takes until all letters are recorded by their sender.
async fn recorded(letters: usize) -> Duration {
    let (a, b) = sides();
    let left = threaded(&a, &b);
    let start = Instant::now();
    record(&left, &b, letters).await;
    start.elapsed()
}

/// How long it takes from the start of a session until every letter that waits is receipted.
async fn carried(letters: usize) -> Duration {
    let (a, b) = sides();
    let (left, right) = (threaded(&a, &b), threaded(&b, &a));
    record(&left, &b, letters).await;
    let start = Instant::now();
    let running = join(&left, &right);
    up(&left, &right).await;
    quiet(&left, &right).await;
    let took = start.elapsed();
    running.end().await;
    took
}

//! What lies on the disk: commits of the store, and what is sealed at rest.

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use liaison::crypto::at_rest::{self, Context};
use liaison::crypto::storage_key::StorageKey;
use liaison::store::{Batch, OpenOptions, SledStore, Store as _, Vault};

/// Records in one commit.
const GROUPS: [u64; 6] = [1, 8, 32, 64, 128, 256];
/// Bytes of one record: the entry of a letter and its sealed body.
const RECORD_BYTES: usize = 1_024;

pub(crate) fn measure(criterion: &mut Criterion) {
    commits(criterion);
    sealed(criterion);
    keys(criterion);
}

fn commits(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("store commit");
    group.sample_size(20);
    for records in GROUPS {
        let dir = crate::temp_dir();
        let store = SledStore::open(&OpenOptions::new(dir.path()).create()).unwrap();
        let mut number = 0_u64;
        let mut batch = || {
            let mut batch = Batch::new();
            for _ in 0..records {
                number += 1;
                // Bytes that no compression would shorten.
                let value = (0..RECORD_BYTES as u64 / 8)
                    .flat_map(|part| {
                        (number ^ part)
                            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                            .to_be_bytes()
                    })
                    .collect::<Vec<u8>>();
                batch.put(
                    [b"E\0\0\0\x01".as_slice(), &number.to_be_bytes()].concat(),
                    value,
                );
            }
            batch
        };
        group.throughput(Throughput::Elements(records));
        group.bench_function(BenchmarkId::from_parameter(records), |bench| {
            bench.iter_batched(
                &mut batch,
                |batch| store.commit(batch).unwrap(),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn sealed(criterion: &mut Criterion) {
    let key = StorageKey::from_bytes(&[7; 32]);
    let parts: [&[u8]; 2] = [b"a.example to b.example", &[9; 40]];
    let context = || Context(&parts);
    let mut group = criterion.benchmark_group("at rest");
    for bytes in [512_usize, 4_096] {
        let content = vec![7; bytes];
        let lying = at_rest::seal(key.leaf(), context(), &content).unwrap();
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_function(BenchmarkId::new("seal", bytes), |bench| {
            bench.iter(|| at_rest::seal(key.leaf(), context(), black_box(&content)).unwrap());
        });
        group.bench_function(BenchmarkId::new("open", bytes), |bench| {
            bench.iter(|| at_rest::open(key.leaf(), context(), black_box(&lying)).unwrap());
        });
    }
    group.finish();
}

fn keys(criterion: &mut Criterion) {
    let dir = crate::temp_dir();
    let key = StorageKey::from_bytes(&[7; 32]);
    let vault = Vault::open(dir.path(), key, "a.example", || 1_795_000_000_000).unwrap();
    let mut group = criterion.benchmark_group("leaf key");
    group.throughput(Throughput::Elements(1));
    // Whole blocks, so that the write that begins one is shared by its keys.
    group.bench_function("take", |bench| bench.iter(|| vault.take().unwrap()));
    let addresses: Vec<_> = (0..10_000).map(|_| vault.take().unwrap().0).collect();
    let mut addresses = addresses.iter().cycle().step_by(617);
    group.bench_function("find", |bench| {
        bench.iter(|| vault.key(*addresses.next().unwrap()).unwrap());
    });
    group.finish();
}

//! The Merkle tree: appending, and proofs in a large one.

use std::collections::HashMap;
use std::convert::Infallible;
use std::hint::black_box;

use criterion::{Criterion, Throughput};
use liaison::tlog::{FullTile, Hash, Snapshot, TileReader, Tree, leaf_hash, verify_inclusion};

/// The tiles and the leaves of a tree, in memory.
#[derive(Default)]
struct Tiles {
    full: HashMap<(u8, u64), Vec<u8>>,
    leaves: Vec<Hash>,
}

impl TileReader for Tiles {
    type Error = Infallible;

    fn full_tile(&self, level: u8, index: u64) -> Result<Vec<u8>, Infallible> {
        Ok(self.full[&(level, index)].clone())
    }

    fn leaf(&self, index: u64) -> Result<Hash, Infallible> {
        Ok(self.leaves[usize::try_from(index).unwrap()])
    }
}

impl Tiles {
    fn keep(&mut self, full: &mut Vec<FullTile>) {
        for tile in full.drain(..) {
            self.full.insert((tile.level, tile.index), tile.hashes);
        }
    }
}

fn grown(size: u64) -> (Tree, Tiles) {
    let (mut tree, mut tiles, mut full) = (Tree::new(), Tiles::default(), Vec::new());
    for number in 0..size {
        let leaf = leaf_hash(&number.to_be_bytes());
        tiles.leaves.push(leaf);
        tree.append(leaf, &mut full);
        tiles.keep(&mut full);
    }
    (tree, tiles)
}

pub(crate) fn measure(criterion: &mut Criterion) {
    let size = if crate::is_smoke() { 10_000 } else { 1_000_000 };
    let entry = vec![7_u8; 512];
    let mut group = criterion.benchmark_group("log");
    group.throughput(Throughput::Elements(1));
    group.bench_function("hash a leaf of 512 B", |bench| {
        bench.iter(|| leaf_hash(black_box(&entry)));
    });
    let (mut tree, tiles) = grown(size);
    let mut index = 0;
    // Another leaf each time: near and far ones cost differently.
    let mut next = move || {
        index = (index + 611_953) % size;
        index
    };
    let snapshot = Snapshot::new(&tree, &tiles);
    group.bench_function("inclusion proof", |bench| {
        bench.iter(|| snapshot.inclusion_proof(next(), size).unwrap());
    });
    let (at, root) = (size / 3, snapshot.root_at(size).unwrap());
    let proof = snapshot.inclusion_proof(at, size).unwrap();
    let leaf = tiles.leaves[usize::try_from(at).unwrap()];
    group.bench_function("verify an inclusion proof", |bench| {
        bench.iter(|| verify_inclusion(at, size, leaf, black_box(&proof), root).unwrap());
    });
    group.bench_function("consistency proof", |bench| {
        bench.iter(|| snapshot.consistency_proof(1 + next() / 2, size).unwrap());
    });
    let mut full = Vec::new();
    group.bench_function("append", |bench| {
        bench.iter(|| {
            tree.append(black_box(leaf), &mut full);
            full.clear();
        });
    });
    group.finish();
}

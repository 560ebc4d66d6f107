//! The tree against its definition: known answers, a naive recursive tree, a large log, and proofs
//! that somebody changed.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::OnceLock;

use liaison::tlog::path::{TileKind, TilePath};
use liaison::tlog::proof::TlogProof;
use liaison::tlog::{
    FullTile, Hash, ProofError, TileReader, Tree, TreeError, bundle, leaf_hash, node_hash,
    verify_consistency, verify_inclusion,
};
use proptest::prelude::*;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// What a log keeps, in memory; counts what is read and panics at what may not be asked for.
#[derive(Debug, Default)]
struct Kept {
    tiles: BTreeMap<(u8, u64), Vec<u8>>,
    leaves: Vec<Hash>,
    reads: Cell<u64>,
}

impl TileReader for Kept {
    type Error = String;

    fn full_tile(&self, level: u8, index: u64) -> Result<Vec<u8>, String> {
        self.reads.set(self.reads.get() + 1);
        let size = self.leaves.len() as u64 >> (8 * (u32::from(level) + 1));
        assert!(index < size, "tile {level}/{index} is not full");
        self.tiles
            .get(&(level, index))
            .cloned()
            .ok_or("missing".into())
    }

    fn leaf(&self, index: u64) -> Result<Hash, String> {
        self.reads.set(self.reads.get() + 1);
        let edge = self.leaves.len() / 256 * 256;
        assert!(
            usize::try_from(index).unwrap() >= edge,
            "leaf {index} is not at the edge"
        );
        self.leaves
            .get(usize::try_from(index).unwrap())
            .copied()
            .ok_or("missing".into())
    }
}

impl Kept {
    fn take(&mut self, full: &mut Vec<FullTile>) {
        for FullTile {
            level,
            index,
            hashes,
        } in full.drain(..)
        {
            assert_eq!(hashes.len(), 8192);
            assert!(
                self.tiles.insert((level, index), hashes).is_none(),
                "a tile is emitted once"
            );
        }
    }
}

fn build(leaves: impl IntoIterator<Item = Hash>) -> (Tree, Kept) {
    let mut tree = Tree::new();
    let mut kept = Kept::default();
    let mut full = Vec::new();
    for leaf in leaves {
        tree.append(leaf, &mut full);
        kept.leaves.push(leaf);
        kept.take(&mut full);
    }
    (tree, kept)
}

fn numbered(index: u64) -> Hash {
    leaf_hash(&index.to_be_bytes())
}

// ---- RFC 6962 §2.1, word for word -----------------------------------------------------------

fn half(leaves: &[Hash]) -> usize {
    let mut half = 1;
    while half * 2 < leaves.len() {
        half *= 2;
    }
    half
}

fn naive_root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Hash(Sha256::digest(b"").into()),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(half(leaves));
            node_hash(&naive_root(left), &naive_root(right))
        }
    }
}

fn naive_path(index: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() == 1 {
        return Vec::new();
    }
    let half = half(leaves);
    let (left, right) = leaves.split_at(half);
    let (mut path, sibling) = if index < half {
        (naive_path(index, left), naive_root(right))
    } else {
        (naive_path(index - half, right), naive_root(left))
    };
    path.push(sibling);
    path
}

fn naive_subproof(old: usize, leaves: &[Hash], whole: bool) -> Vec<Hash> {
    if old == leaves.len() {
        return if whole {
            Vec::new()
        } else {
            vec![naive_root(leaves)]
        };
    }
    let half = half(leaves);
    let (left, right) = leaves.split_at(half);
    let (mut proof, sibling) = if old <= half {
        (naive_subproof(old, left, whole), naive_root(right))
    } else {
        (naive_subproof(old - half, right, false), naive_root(left))
    };
    proof.push(sibling);
    proof
}

// ---- known answers --------------------------------------------------------------------------

/// The leaves of Certificate Transparency's own tests.
fn ct_leaves() -> Vec<Hash> {
    let leaves = [
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    ];
    leaves
        .iter()
        .map(|leaf| leaf_hash(&hex::decode(leaf).unwrap()))
        .collect()
}

fn unhex(text: &str) -> Hash {
    Hash::from_slice(&hex::decode(text).unwrap()).unwrap()
}

fn unhex_all(hashes: &[&str]) -> Vec<Hash> {
    hashes.iter().map(|hash| unhex(hash)).collect()
}

const CT_ROOTS: [&str; 9] = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

#[test]
fn certificate_transparency_known_answers() {
    const H0: &str = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d";
    const H1: &str = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7";
    const H23: &str = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e";
    const H4: &str = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b";
    const H45: &str = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a";
    const H67: &str = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0";
    const H4567: &str = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4";

    let (tree, kept) = build(ct_leaves());
    let log = tree.snapshot(&kept);
    for (size, root) in CT_ROOTS.iter().enumerate() {
        assert_eq!(
            log.root_at(size as u64).unwrap(),
            unhex(root),
            "size {size}"
        );
        assert_eq!(
            build(ct_leaves().into_iter().take(size)).0.root(),
            unhex(root)
        );
    }
    // Indices count from 0 here, from 1 in the original.
    let inclusion: [(u64, u64, &[&str]); 5] = [
        (0, 1, &[]),
        (0, 8, &[H1, H23, H4567]),
        (5, 8, &[H4, H67, CT_ROOTS[4]]),
        (2, 3, &[CT_ROOTS[2]]),
        (1, 5, &[H0, H23, H4]),
    ];
    for (index, size, proof) in inclusion {
        assert_eq!(
            log.inclusion_proof(index, size).unwrap(),
            unhex_all(proof),
            "{index} in {size}"
        );
    }
    let consistency: [(u64, u64, &[&str]); 4] = [
        (1, 1, &[]),
        (1, 8, &[H1, H23, H4567]),
        (6, 8, &[H45, H67, CT_ROOTS[4]]),
        (2, 5, &[H23, H4]),
    ];
    for (old, new, proof) in consistency {
        assert_eq!(
            log.consistency_proof(old, new).unwrap(),
            unhex_all(proof),
            "{old} to {new}"
        );
    }
}

#[test]
fn golden_trees() {
    let golden: Value = serde_json::from_str(include_str!("../vectors/tlog/tree.json")).unwrap();
    let number = |value: &Value| value.as_u64().unwrap();
    let hash = |value: &Value| unhex(value.as_str().unwrap());
    let hashes = |value: &Value| {
        value
            .as_array()
            .unwrap()
            .iter()
            .map(hash)
            .collect::<Vec<_>>()
    };
    let cases = |name: &str| golden[name].as_array().unwrap().clone();

    let (tree, kept) = build((0..66_000).map(numbered));
    let log = tree.snapshot(&kept);
    for case in cases("roots") {
        assert_eq!(
            log.root_at(number(&case["size"])).unwrap(),
            hash(&case["root"]),
            "{case}"
        );
    }
    for case in cases("inclusion") {
        let (index, size) = (number(&case["index"]), number(&case["size"]));
        let proof = hashes(&case["proof"]);
        assert_eq!(log.inclusion_proof(index, size).unwrap(), proof, "{case}");
        let root = log.root_at(size).unwrap();
        verify_inclusion(index, size, numbered(index), &proof, root).unwrap();
    }
    for case in cases("consistency") {
        let (old, new) = (number(&case["old"]), number(&case["new"]));
        let proof = hashes(&case["proof"]);
        assert_eq!(log.consistency_proof(old, new).unwrap(), proof, "{case}");
        let roots = (log.root_at(old).unwrap(), log.root_at(new).unwrap());
        verify_consistency(old, new, roots.0, roots.1, &proof).unwrap();
    }
    for case in cases("tiles") {
        let level = u8::try_from(number(&case["level"])).unwrap();
        let tile = log
            .tile(level, number(&case["index"]), number(&case["width"]))
            .unwrap();
        assert_eq!(
            Hash(Sha256::digest(tile).into()),
            hash(&case["sha256"]),
            "{case}"
        );
    }
}

#[test]
fn golden_files() {
    for line in include_str!("../vectors/tlog/paths.txt").lines() {
        let [kind, index, width, text] = line.split(' ').collect::<Vec<_>>().try_into().unwrap();
        let kind = match kind {
            "entries" => TileKind::Entries,
            level => TileKind::Hashes {
                level: level.parse().unwrap(),
            },
        };
        let path = TilePath {
            kind,
            index: index.parse().unwrap(),
            width: width.parse().unwrap(),
        };
        assert_eq!(path.to_string(), text);
        assert_eq!(text.parse(), Ok(path));
    }

    let bytes = hex::decode(include_str!("../vectors/tlog/bundle.hex").trim()).unwrap();
    let entries = [b"one".as_slice(), b"", b"tiny body"];
    assert_eq!(bundle::decode(&bytes).unwrap(), entries);
    assert_eq!(bundle::encode(&entries).unwrap(), bytes);

    let text = include_str!("../vectors/tlog/example.tlog-proof");
    let proof = TlogProof::parse(text).unwrap();
    assert_eq!(proof.encode(), text);
    assert_eq!(
        (proof.index, proof.extra.as_deref()),
        (2, Some(b"test".as_slice()))
    );
    assert_eq!(proof.hashes, [ct_leaves()[0], Hash::EMPTY_ROOT]);
}

// ---- against the naive tree -----------------------------------------------------------------

fn leaves() -> &'static [Hash] {
    static LEAVES: OnceLock<Vec<Hash>> = OnceLock::new();
    LEAVES.get_or_init(|| (0..66_200).map(numbered).collect())
}

/// Sizes where tiles become full, and any other.
fn sizes() -> impl Strategy<Value = usize> {
    prop_oneof![
        4 => 1usize..=40,
        6 => 1usize..=1_100,
        6 => prop_oneof![250usize..=260, 508usize..=516, 765usize..=770],
        1 => 65_530usize..=65_540,
        1 => 65_790usize..=65_795,
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn answers_are_those_of_the_definition(
        grown in sizes(),
        size in any::<prop::sample::Index>(),
        index in any::<prop::sample::Index>(),
        old in any::<prop::sample::Index>(),
    ) {
        let (tree, kept) = build(leaves()[..grown].iter().copied());
        let log = tree.snapshot(&kept);
        // Half of the time the newest tree, else an older one of the same log.
        let size = if size.index(2) == 0 { grown } else { size.index(grown) + 1 };
        let (index, old) = (index.index(size), old.index(size + 1));
        let slice = &leaves()[..size];
        let (size64, index64, old64) = (size as u64, index as u64, old as u64);

        let root = naive_root(slice);
        prop_assert_eq!(log.root_at(size64).unwrap(), root);
        prop_assert_eq!(tree.root(), log.root_at(grown as u64).unwrap());

        let proof = log.inclusion_proof(index64, size64).unwrap();
        prop_assert_eq!(&proof, &naive_path(index, slice));
        prop_assert_eq!(verify_inclusion(index64, size64, slice[index], &proof, root), Ok(()));

        let old_root = naive_root(&slice[..old]);
        let proof = log.consistency_proof(old64, size64).unwrap();
        let naive = if old == 0 { Vec::new() } else { naive_subproof(old, slice, true) };
        prop_assert_eq!(&proof, &naive);
        prop_assert_eq!(verify_consistency(old64, size64, old_root, root, &proof), Ok(()));

        prop_assert_eq!(Tree::restore(grown as u64, &kept).unwrap(), tree);
    }

    #[test]
    fn a_restored_tree_grows_on_as_if_nothing_had_been(
        cut in prop_oneof![0usize..=600, 65_530usize..=65_540],
        more in 1usize..=520,
    ) {
        let (mut tree, mut kept) = build(leaves()[..cut].iter().copied());
        let mut restored = Tree::restore(cut as u64, &kept).unwrap();
        let mut full = Vec::new();
        for leaf in &leaves()[cut..cut + more] {
            let (mut one, mut other) = (Vec::new(), Vec::new());
            tree.append(*leaf, &mut one);
            restored.append(*leaf, &mut other);
            prop_assert_eq!(&one, &other);
            full.append(&mut one);
            kept.leaves.push(*leaf);
            kept.take(&mut full);
        }
        prop_assert_eq!(restored, tree);
    }

    #[test]
    fn every_changed_proof_fails(
        size in prop_oneof![2usize..=40, 250usize..=600],
        index in any::<prop::sample::Index>(),
        old in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        bit in 0usize..256,
    ) {
        let (tree, kept) = build(leaves()[..size].iter().copied());
        let log = tree.snapshot(&kept);
        let (index, old) = (index.index(size) as u64, old.index(size - 1) as u64 + 1);
        let size = size as u64;
        let (root, leaf) = (tree.root(), numbered(index));
        let old_root = log.root_at(old).unwrap();
        let inclusion = log.inclusion_proof(index, size).unwrap();
        let consistency = log.consistency_proof(old, size).unwrap();
        let flip = |hash: Hash| {
            let mut bytes = hash.0;
            bytes[bit / 8] ^= 1 << (bit % 8);
            Hash(bytes)
        };
        prop_assert!(verify_inclusion(index, size, leaf, &inclusion, root).is_ok());
        prop_assert!(verify_consistency(old, size, old_root, root, &consistency).is_ok());

        for bad in mutations(&inclusion, at, flip) {
            prop_assert!(verify_inclusion(index, size, leaf, &bad, root).is_err());
        }
        for bad in mutations(&consistency, at, flip) {
            prop_assert!(verify_consistency(old, size, old_root, root, &bad).is_err());
        }
        prop_assert!(verify_inclusion(index, size, flip(leaf), &inclusion, root).is_err());
        prop_assert!(verify_inclusion(index, size, leaf, &inclusion, flip(root)).is_err());
        prop_assert!(verify_inclusion(index ^ 1, size, leaf, &inclusion, root).is_err());
        prop_assert!(verify_inclusion(size, size, leaf, &inclusion, root).is_err());
        prop_assert!(verify_inclusion(u64::MAX, size, leaf, &inclusion, root).is_err());
        prop_assert!(verify_consistency(old, size, flip(old_root), root, &consistency).is_err());
        prop_assert!(verify_consistency(old, size, old_root, flip(root), &consistency).is_err());
        prop_assert!(verify_consistency(size, old, old_root, root, &consistency).is_err());
        prop_assert!(verify_consistency(size, size, old_root, root, &consistency).is_err());
        prop_assert!(verify_consistency(0, size, old_root, root, &consistency).is_err());
    }
}

/// Every way of changing a list of hashes: a bit, one less, one more, two swapped.
fn mutations(
    proof: &[Hash],
    at: prop::sample::Index,
    flip: impl Fn(Hash) -> Hash,
) -> Vec<Vec<Hash>> {
    let mut all = Vec::new();
    let place = at.index(proof.len() + 1);
    let mut longer = proof.to_vec();
    longer.insert(place, numbered(7));
    all.push(longer);
    all.push(proof.iter().copied().chain([Hash::EMPTY_ROOT]).collect());
    for place in 0..proof.len() {
        let mut bad = proof.to_vec();
        bad[place] = flip(bad[place]);
        all.push(bad);
        let mut bad = proof.to_vec();
        bad.remove(place);
        all.push(bad);
        if place > 0 {
            let mut bad = proof.to_vec();
            bad.swap(place - 1, place);
            all.push(bad);
        }
    }
    all
}

// ---- size and misuse ------------------------------------------------------------------------

#[test]
fn a_proof_from_a_million_entries_reads_a_handful_of_tiles() {
    // Level 0: 3,906 full tiles; level 1: 15; level 2: one partial tile in memory.
    const SIZE: u64 = 1_000_000;
    const READS_MAX: u64 = 2 * 3;
    let (tree, kept) = build((0..SIZE).map(numbered));
    let log = tree.snapshot(&kept);
    let root = tree.root();
    for index in [
        0,
        1,
        255,
        256,
        65_535,
        65_536,
        123_456,
        500_000,
        999_935,
        999_936,
        SIZE - 1,
    ] {
        kept.reads.set(0);
        let proof = log.inclusion_proof(index, SIZE).unwrap();
        assert!(
            kept.reads.get() <= READS_MAX,
            "{} reads for {index}",
            kept.reads.get()
        );
        verify_inclusion(index, SIZE, numbered(index), &proof, root).unwrap();
    }
    for old in [1, 255, 256, 65_537, 500_001, 983_040, SIZE - 1] {
        kept.reads.set(0);
        let proof = log.consistency_proof(old, SIZE).unwrap();
        assert!(
            kept.reads.get() <= READS_MAX,
            "{} reads from {old}",
            kept.reads.get()
        );
        kept.reads.set(0);
        let old_root = log.root_at(old).unwrap();
        assert!(
            kept.reads.get() <= READS_MAX,
            "{} reads of the root at {old}",
            kept.reads.get()
        );
        verify_consistency(old, SIZE, old_root, root, &proof).unwrap();
    }
    kept.reads.set(0);
    assert_eq!(Tree::restore(SIZE, &kept).unwrap(), tree);
    assert!(
        kept.reads.get() <= 3 * 255,
        "{} reads to restore",
        kept.reads.get()
    );
}

#[test]
fn asking_beyond_the_tree_is_an_error() {
    let (tree, kept) = build((0..300).map(numbered));
    let log = tree.snapshot(&kept);
    let range = |asked, size| Some(TreeError::Range { asked, size });
    assert_eq!(log.root_at(301).err(), range(301, 300));
    assert_eq!(log.inclusion_proof(300, 300).err(), range(300, 300));
    assert_eq!(log.inclusion_proof(0, 0).err(), range(0, 0));
    assert_eq!(log.inclusion_proof(0, 301).err(), range(301, 300));
    assert_eq!(log.consistency_proof(5, 4).err(), range(5, 4));
    assert_eq!(log.consistency_proof(5, 301).err(), range(301, 300));
    for (level, index, width) in [
        (0, 0, 0),
        (0, 0, 257),
        (0, 1, 45),
        (0, 2, 1),
        (1, 0, 2),
        (2, 0, 1),
        (63, 0, 1),
        (0, u64::MAX, 1),
    ] {
        assert!(
            log.tile(level, index, width).is_err(),
            "{level}/{index}.p/{width}"
        );
    }
    assert_eq!(log.tile(0, 1, 44).unwrap().len(), 44 * 32);
}

#[test]
fn a_reader_that_fails_or_lies_about_lengths_is_an_error() {
    let (tree, mut kept) = build((0..300).map(numbered));
    kept.tiles.insert((0, 0), vec![0; 8191]);
    let length = Some(TreeError::TileLength {
        level: 0,
        index: 0,
        bytes: 8191,
    });
    assert_eq!(tree.snapshot(&kept).inclusion_proof(3, 300).err(), length);
    assert_eq!(Tree::restore(300, &kept).err(), length);
    kept.tiles.clear();
    let read = Some(TreeError::Read("missing".into()));
    assert_eq!(tree.snapshot(&kept).consistency_proof(3, 300).err(), read);
}

#[test]
fn edges_of_consistency() {
    let (one, none) = (numbered(0), Hash::EMPTY_ROOT);
    assert_eq!(verify_consistency(0, 0, none, none, &[]), Ok(()));
    assert_eq!(verify_consistency(0, 1, none, one, &[]), Ok(()));
    assert_eq!(verify_consistency(1, 1, one, one, &[]), Ok(()));
    assert_eq!(
        verify_consistency(0, 1, one, one, &[]),
        Err(ProofError::OldRoot)
    );
    assert_eq!(
        verify_consistency(0, 0, none, one, &[]),
        Err(ProofError::Root)
    );
    assert_eq!(
        verify_consistency(1, 1, one, none, &[]),
        Err(ProofError::Root)
    );
    assert_eq!(
        verify_consistency(1, 1, one, one, &[one]),
        Err(ProofError::Length { hashes: 1 })
    );
    assert_eq!(
        verify_consistency(3, 7, one, one, &[]),
        Err(ProofError::Length { hashes: 0 })
    );
    assert_eq!(
        verify_consistency(2, 1, one, one, &[]),
        Err(ProofError::Sizes { old: 2, new: 1 })
    );
}

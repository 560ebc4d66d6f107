//! What was said in order: Merkle tree, tiles, proofs.

mod hash;

pub use hash::{Hash, leaf_hash, node_hash};

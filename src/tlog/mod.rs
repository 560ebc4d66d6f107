//! What was said in order: Merkle tree, tiles, proofs.

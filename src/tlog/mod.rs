//! What was said in order: Merkle tree, tiles, proofs.
//!
//! An append-only log is a Merkle tree over SHA-256 (RFC 6962 §2.1), kept as C2SP tlog-tiles: 256
//! hashes wide, each hash of a tile at level *l* + 1 being the tree hash of a full tile at level *l*.
//!
//! - [`Hash`](struct@Hash): leaf and node hashes.
//! - [`Tree`]: the writer. Only the right edge is in memory; full tiles are handed out once.
//! - [`Snapshot`]: the reader. Roots and proofs for any size up to the tree's, from O(log n) tiles.
//! - [`verify_inclusion`], [`verify_consistency`]: the other side's half.
//! - [`path`], [`bundle`], [`proof`]: the C2SP file formats; [`equivocation`]: one in their style.
//!
//! Pure: no clock, no I/O but through [`TileReader`]. Deliberately absent: pruning, witnesses, and
//! any signature; a root is a claim until `crypto` has verified the checkpoint around it.

pub mod bundle;
mod decimal;
pub mod equivocation;
mod hash;
pub mod path;
pub mod proof;
mod snapshot;
mod tree;
mod verify;

pub use hash::{Hash, HashError, leaf_hash, node_hash};
pub use snapshot::{Snapshot, TileReader, TreeError};
pub use tree::{FullTile, Tree};
pub use verify::{ProofError, root_from_inclusion, verify_consistency, verify_inclusion};

pub(crate) use decimal::decimal;

/// Hashes of a full tile (C2SP tlog-tiles).
pub const TILE_WIDTH: u64 = 256;
/// Tree levels between two tile levels: 2^8 = [`TILE_WIDTH`].
pub const TILE_HEIGHT: u32 = 8;
/// Bytes of a full tile: 256 hashes of 32 bytes.
pub const TILE_BYTES: usize = 256 * Hash::BYTES;

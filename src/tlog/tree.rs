//! The writer of a log's tree.

use super::hash::perfect_root;
use super::{
    Hash, Snapshot, TILE_BYTES, TILE_HEIGHT, TILE_WIDTH, TileReader, TreeError, node_hash,
};

/// A tile that has just become full and will never change again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FullTile {
    /// Tile level; level 0 holds leaf hashes.
    pub level: u8,
    /// Index of the tile within its level.
    pub index: u64,
    /// 256 hashes, 8,192 bytes.
    pub hashes: Vec<u8>,
}

/// An append-only Merkle tree of which only the right edge is held in memory.
///
/// Invariants: `peaks` are the roots of the perfect subtrees that the binary digits of `size` name,
/// largest first; `edges[l]` are the hashes of the partial tile at level `l`, fewer than 256, that
/// is `floor(size / 256^l) mod 256` of them. Cloning costs at most a few tiles.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    size: u64,
    peaks: Vec<Hash>,
    edges: Vec<Vec<Hash>>,
}

impl Tree {
    /// The empty tree.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of leaves.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Merkle Tree Hash of all leaves (RFC 6962 §2.1).
    #[must_use]
    pub fn root(&self) -> Hash {
        let peaks = self.peaks.iter().rev().copied();
        peaks
            .reduce(|right, left| node_hash(&left, &right))
            .unwrap_or(Hash::EMPTY_ROOT)
    }

    /// Hashes of the partial right-edge tile at `level`; empty when every tile there is full.
    #[must_use]
    pub fn edge(&self, level: u8) -> &[Hash] {
        self.edges
            .get(usize::from(level))
            .map_or(&[], Vec::as_slice)
    }

    /// Appends one leaf and pushes every tile that it completes to `full`, lowest level first.
    ///
    /// Whoever keeps the log stores those tiles with the leaf, in one transaction.
    pub fn append(&mut self, leaf: Hash, full: &mut Vec<FullTile>) {
        let index = self.size;
        self.edge_push(0, leaf);
        // Like adding one to a binary number: each carry joins two perfect subtrees of a height.
        let mut node = leaf;
        for height in 1..=index.trailing_ones() {
            node = node_hash(&self.take_peak(), &node);
            if height.is_multiple_of(TILE_HEIGHT) {
                let level = height / TILE_HEIGHT;
                full.push(self.take_full(level - 1, index));
                self.edge_push(level, node);
            }
        }
        self.peaks.push(node);
        self.size += 1;
    }

    /// Rebuilds the tree of a kept log from its tiles and leaves.
    ///
    /// Reads at most 255 leaves and 255 tiles per level above. The result is only as good as the
    /// reader: compare [`root`](Self::root) with what was signed.
    ///
    /// # Errors
    /// The reader's; or a tile that is not 8,192 bytes.
    pub fn restore<R: TileReader>(size: u64, reader: &R) -> Result<Self, TreeError<R::Error>> {
        let mut edges = Vec::new();
        let mut level = 0u8;
        // Hashes on this level, full tiles included.
        let mut hashes = size;
        while hashes > 0 {
            let range = hashes - hashes % TILE_WIDTH..hashes;
            let edge = match level.checked_sub(1) {
                None => range
                    .map(|index| reader.leaf(index).map_err(TreeError::Read))
                    .collect::<Result<Vec<_>, _>>()?,
                Some(below) => range
                    .map(|index| Ok(perfect_root(&full_tile(reader, below, index)?)))
                    .collect::<Result<Vec<_>, TreeError<R::Error>>>()?,
            };
            edges.push(edge);
            hashes /= TILE_WIDTH;
            level += 1;
        }
        let peaks = edges
            .iter()
            .rev()
            .flat_map(|edge| edge_peaks(edge))
            .collect();
        Ok(Self { size, peaks, edges })
    }

    /// This tree with a reader of its full tiles, for roots and proofs.
    pub const fn snapshot<'a, R: TileReader>(&'a self, reader: &'a R) -> Snapshot<'a, R> {
        Snapshot::new(self, reader)
    }

    /// The smallest perfect subtree, for one of the same height to be joined to it.
    fn take_peak(&mut self) -> Hash {
        self.peaks
            .pop()
            .expect("a peak for every binary one of the size")
    }

    fn edge_push(&mut self, level: u32, hash: Hash) {
        let level = level as usize;
        if self.edges.len() == level {
            self.edges.push(Vec::new());
        }
        self.edges[level].push(hash);
    }

    /// Empties the edge of `level`, which the leaf at `leaf_index` has just filled.
    fn take_full(&mut self, level: u32, leaf_index: u64) -> FullTile {
        let edge = &mut self.edges[level as usize];
        debug_assert_eq!(
            edge.len() as u64,
            TILE_WIDTH,
            "a tile is emitted when it is full"
        );
        let hashes = edge.iter().flat_map(|hash| hash.0).collect();
        edge.clear();
        let index = leaf_index
            .checked_shr(TILE_HEIGHT * (level + 1))
            .unwrap_or(0);
        let level = u8::try_from(level).expect("64 bits of size are 8 levels");
        FullTile {
            level,
            index,
            hashes,
        }
    }
}

/// Reads a full tile as hashes.
pub(super) fn full_tile<R: TileReader>(
    reader: &R,
    level: u8,
    index: u64,
) -> Result<Vec<Hash>, TreeError<R::Error>> {
    let bytes = reader.full_tile(level, index).map_err(TreeError::Read)?;
    if bytes.len() != TILE_BYTES {
        return Err(TreeError::TileLength {
            level,
            index,
            bytes: bytes.len(),
        });
    }
    let (hashes, _) = bytes.as_chunks::<{ Hash::BYTES }>();
    Ok(hashes.iter().map(|hash| Hash(*hash)).collect())
}

/// Roots of the perfect subtrees over one level's edge, largest first.
fn edge_peaks(mut edge: &[Hash]) -> Vec<Hash> {
    let mut peaks = Vec::new();
    while let Some(height) = edge.len().checked_ilog2() {
        let (perfect, rest) = edge.split_at(1 << height);
        peaks.push(perfect_root(perfect));
        edge = rest;
    }
    peaks
}

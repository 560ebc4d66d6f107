//! Roots and proofs at any size up to the tree's, from O(log n) tiles.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::hash::perfect_root;
use super::tree::full_tile;
use super::{Hash, TILE_HEIGHT, TILE_WIDTH, Tree, node_hash};

/// Where full tiles and leaf hashes are kept.
///
/// Only full tiles of the tree and leaves of its right edge (fewer than 256) are ever asked for.
pub trait TileReader {
    /// Why reading failed.
    type Error;

    /// The 8,192 bytes of a full tile.
    ///
    /// # Errors
    /// It cannot be read, or is missing.
    fn full_tile(&self, level: u8, index: u64) -> Result<Vec<u8>, Self::Error>;

    /// The hash of a leaf.
    ///
    /// # Errors
    /// It cannot be read, or is missing.
    fn leaf(&self, index: u64) -> Result<Hash, Self::Error>;
}

/// Why a tree could not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeError<E> {
    /// The reader failed.
    #[error(transparent)]
    Read(E),
    /// The reader returned a tile of another length.
    #[error("tile {index} of level {level} has {bytes} bytes, a full tile has 8192")]
    TileLength {
        /// Tile level.
        level: u8,
        /// Index within the level.
        index: u64,
        /// What was found.
        bytes: usize,
    },
    /// The caller asked beyond the tree.
    #[error("asked for {asked}, which a tree of size {size} does not hold")]
    Range {
        /// Index or size asked for.
        asked: u64,
        /// Size it has to fit.
        size: u64,
    },
}

/// A tree and the reader of its full tiles: answers for every size from 0 to the tree's.
///
/// Each answer reads a tile at most once, and at most two tiles per level.
#[derive(Debug, Clone, Copy)]
pub struct Snapshot<'a, R> {
    tree: &'a Tree,
    reader: &'a R,
}

impl<'a, R: TileReader> Snapshot<'a, R> {
    /// Joins a tree with the reader of its full tiles.
    #[must_use]
    pub const fn new(tree: &'a Tree, reader: &'a R) -> Self {
        Self { tree, reader }
    }

    /// Size of the tree, the largest one this answers for.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.tree.size()
    }

    /// Merkle Tree Hash of the first `size` leaves.
    ///
    /// # Errors
    /// `size` beyond the tree; the reader's.
    pub fn root_at(&self, size: u64) -> Result<Hash, TreeError<R::Error>> {
        self.check_size(size)?;
        self.nodes().range(0, size)
    }

    /// `PATH(index, D[size])` of RFC 6962 §2.1.1: from the leaf's sibling up to the root's child.
    ///
    /// # Errors
    /// `index` not below `size`, or `size` beyond the tree; the reader's.
    pub fn inclusion_proof(&self, index: u64, size: u64) -> Result<Vec<Hash>, TreeError<R::Error>> {
        self.check_size(size)?;
        if index >= size {
            return Err(TreeError::Range { asked: index, size });
        }
        let nodes = self.nodes();
        let mut proof = Vec::new();
        let (mut start, mut end) = (0, size);
        // Downwards, so that the deepest sibling comes last; turned round at the end.
        while end - start > 1 {
            let middle = start + split(end - start);
            if index < middle {
                proof.push(nodes.range(middle, end)?);
                end = middle;
            } else {
                proof.push(nodes.range(start, middle)?);
                start = middle;
            }
        }
        proof.reverse();
        Ok(proof)
    }

    /// `PROOF(old, D[new])` of RFC 6962 §2.1.2; empty when the sizes are equal or `old` is 0.
    ///
    /// # Errors
    /// `old` above `new`, or `new` beyond the tree; the reader's.
    pub fn consistency_proof(&self, old: u64, new: u64) -> Result<Vec<Hash>, TreeError<R::Error>> {
        self.check_size(new)?;
        if old > new {
            return Err(TreeError::Range {
                asked: old,
                size: new,
            });
        }
        if old == 0 || old == new {
            return Ok(Vec::new());
        }
        let nodes = self.nodes();
        let mut proof = Vec::new();
        let (mut start, mut end) = (0, new);
        // SUBPROOF(m, D[n], b): b stays true for as long as the walk keeps to the left edge.
        while old < end {
            let middle = start + split(end - start);
            if old <= middle {
                proof.push(nodes.range(middle, end)?);
                end = middle;
            } else {
                proof.push(nodes.range(start, middle)?);
                start = middle;
            }
        }
        if start > 0 {
            proof.push(nodes.range(start, end)?);
        }
        proof.reverse();
        Ok(proof)
    }

    /// The first `width` hashes of a tile, 1 to 256, as tlog-tiles serves them.
    ///
    /// # Errors
    /// Hashes that the tree does not hold; the reader's.
    pub fn tile(&self, level: u8, index: u64, width: u64) -> Result<Vec<u8>, TreeError<R::Error>> {
        let held = hashes_at(self.tree.size(), level);
        let end = index
            .checked_mul(TILE_WIDTH)
            .and_then(|start| start.checked_add(width));
        if width == 0 || width > TILE_WIDTH || end.is_none_or(|end| end > held) {
            return Err(TreeError::Range {
                asked: index,
                size: held,
            });
        }
        let hashes = self.nodes().tile(level, index)?;
        Ok(hashes[..in_tile(width)]
            .iter()
            .flat_map(|hash| hash.0)
            .collect())
    }

    const fn nodes(&self) -> Nodes<'a, R> {
        Nodes {
            tree: self.tree,
            reader: self.reader,
            tiles: RefCell::new(BTreeMap::new()),
        }
    }

    const fn check_size(&self, size: u64) -> Result<(), TreeError<R::Error>> {
        if size > self.tree.size() {
            return Err(TreeError::Range {
                asked: size,
                size: self.tree.size(),
            });
        }
        Ok(())
    }
}

/// Largest power of two below `size`: where RFC 6962 splits a tree of `size` > 1 leaves.
const fn split(size: u64) -> u64 {
    1 << (size - 1).ilog2()
}

/// Hashes that a tree of `size` has at a tile level.
fn hashes_at(size: u64, level: u8) -> u64 {
    size.checked_shr(TILE_HEIGHT * u32::from(level))
        .unwrap_or(0)
}

/// A place in a tile, or its width.
fn in_tile(number: u64) -> usize {
    usize::try_from(number).expect("at most 256")
}

/// Tree nodes, computed from tiles that are read once and kept for one answer.
struct Nodes<'a, R> {
    tree: &'a Tree,
    reader: &'a R,
    tiles: RefCell<BTreeMap<(u8, u64), Vec<Hash>>>,
}

impl<R: TileReader> Nodes<'_, R> {
    /// Merkle Tree Hash of `D[start..end]`, where `start` is a multiple of the range's subtrees, as
    /// it is wherever the recursion of RFC 6962 leads.
    fn range(&self, start: u64, end: u64) -> Result<Hash, TreeError<R::Error>> {
        let mut peaks = Vec::new();
        let mut next = start;
        while let Some(height) = (end - next).checked_ilog2() {
            peaks.push(self.perfect(height, next >> height)?);
            next += 1 << height;
        }
        let root = peaks
            .into_iter()
            .rev()
            .reduce(|right, left| node_hash(&left, &right));
        Ok(root.unwrap_or(Hash::EMPTY_ROOT))
    }

    /// The `index`-th node at `height` above the leaves; all of its leaves are in the tree.
    fn perfect(&self, height: u32, index: u64) -> Result<Hash, TreeError<R::Error>> {
        let level = u8::try_from(height / TILE_HEIGHT).expect("64 bits of size are 8 levels");
        let width = 1u64 << (height % TILE_HEIGHT);
        let first = index * width;
        let hashes = self.tile(level, first / TILE_WIDTH)?;
        let first = in_tile(first % TILE_WIDTH);
        Ok(perfect_root(&hashes[first..first + in_tile(width)]))
    }

    /// Hashes of a tile: all 256, or as many as the tree's right edge holds.
    fn tile(&self, level: u8, index: u64) -> Result<Vec<Hash>, TreeError<R::Error>> {
        if index >= hashes_at(self.tree.size(), level) / TILE_WIDTH {
            return Ok(self.tree.edge(level).to_vec());
        }
        if let Some(hashes) = self.tiles.borrow().get(&(level, index)) {
            return Ok(hashes.clone());
        }
        let hashes = full_tile(self.reader, level, index)?;
        self.tiles
            .borrow_mut()
            .insert((level, index), hashes.clone());
        Ok(hashes)
    }
}

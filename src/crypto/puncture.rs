//! Keys of which single ones can be destroyed: a puncturable pseudorandom function.
//!
//! Every body has a key of its own, a **leaf**. A leaf is derived from the seed of a tree of hashes
//! (Goldreich, Goldwasser, Micali, 1986), so nothing is written when one is taken. To destroy a leaf,
//! the seed above it is replaced by the seeds of its siblings on the way down: every other leaf can
//! still be derived, the destroyed one by nobody, whatever else of the tree he learns afterwards.
//! Nothing has to be known about the other leaves for that, and so nothing else can be lost.
//!
//! ```text
//!        s                 leaf 2 destroyed:        .
//!      /   \                                      /   \
//!     .     .         s is forgotten,           [s0]    .
//!    / \   / \        s0 and s11... are kept           / \
//!   0   1 2   3                                       x  [3]
//! ```
//!
//! Leaves are numbered one after the other; each [`BLOCK_LEAVES`] of them have a random seed of their
//! own, drawn when the block is begun. A number is given once, also across a crash: a block is begun
//! anew after each start. So what is kept is at most one seed a leaf.
//!
//! Source: Boneh and Waters, "Constrained pseudorandom functions and their applications" (2013), §3.3.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use aws_lc_rs::hmac;
use zeroize::{Zeroize as _, ZeroizeOnDrop, Zeroizing};

/// Levels of a block's tree.
const BLOCK_LEVELS: u8 = 12;
/// Leaves of a block.
pub const BLOCK_LEAVES: u32 = 1 << BLOCK_LEVELS;
/// Leaves whose keys are derived in one go, on the way to the next.
const READY_LEVELS: u8 = 6;
/// Keys of leaves taken last that are kept: whoever takes one uses it again a moment later, and to derive
/// it anew is [`BLOCK_LEVELS`] hashes.
const RECENT: usize = 1_024;
/// Bytes of a seed.
const SEED_BYTES: usize = 32;
/// Bytes of a node as written: first leaf, level, seed.
const NODE_BYTES: usize = 4 + 1 + SEED_BYTES;
/// Bytes before the nodes: version, first leaf of the next block, number of nodes.
const HEAD_BYTES: usize = 1 + 4 + 4;
const VERSION: u8 = 1;
/// Of a tree with blocks that are lost; those stand before the nodes.
const VERSION_LOST: u8 = 2;
/// Bytes of a range of lost blocks: its first leaf, and the one behind it.
const LOST_BYTES: usize = 4 + 4;

/// The key of one leaf.
#[derive(Clone, ZeroizeOnDrop)]
pub struct LeafKey(pub(super) [u8; SEED_BYTES]);

impl fmt::Debug for LeafKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LeafKey")
    }
}

impl LeafKey {
    /// A key of 32 secret bytes.
    #[must_use]
    pub fn from_bytes(secret: [u8; 32]) -> Self {
        LeafKey(secret)
    }

    /// HMAC-SHA-256 under this key, for names and further keys.
    #[must_use]
    pub fn mac(&self, what: &[u8]) -> [u8; 32] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.0);
        let mut out = [0; 32];
        out.copy_from_slice(hmac::sign(&key, what).as_ref());
        out
    }
}

#[derive(Clone, ZeroizeOnDrop)]
struct Seed([u8; SEED_BYTES]);

impl Seed {
    fn random() -> Result<Self, getrandom::Error> {
        let mut seed = Seed([0; SEED_BYTES]);
        getrandom::fill(&mut seed.0)?;
        Ok(seed)
    }

    fn derive(&self, what: &[u8]) -> [u8; SEED_BYTES] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.0);
        let mut out = [0; SEED_BYTES];
        out.copy_from_slice(hmac::sign(&key, what).as_ref());
        out
    }

    fn children(&self) -> [Seed; 2] {
        [self.child(0), self.child(1)]
    }

    fn child(&self, side: u32) -> Seed {
        let what: &[u8] = match side {
            0 => b"liaison tree v1 left",
            _ => b"liaison tree v1 right",
        };
        Seed(self.derive(what))
    }

    fn leaf(&self) -> LeafKey {
        LeafKey(self.derive(b"liaison tree v1 leaf"))
    }
}

/// The keys that are left of one period.
pub struct PuncturedTree {
    /// By the first leaf below: levels below, and the seed. Never two over one leaf.
    nodes: BTreeMap<u32, (u8, Seed)>,
    /// First leaf of the next block.
    end: u32,
    /// Blocks that were begun and of which there is no seed, because the file was lost: first leaf of a
    /// range, and the one behind it. Not destroyed: a copy may still have them.
    lost: BTreeMap<u32, u32>,
    /// Leaves of the last block that were not taken yet: derived already, then from which on.
    ready: VecDeque<(u32, LeafKey)>,
    /// The last leaves that were taken, in order; never one that was destroyed.
    recent: VecDeque<(u32, LeafKey)>,
    next: u32,
    /// Leaves from here on are of blocks that were begun since the tree was read.
    since: u32,
}

impl fmt::Debug for PuncturedTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PuncturedTree")
            .field("nodes", &self.nodes.len())
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

/// Why bytes are no tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TreeFormatError {
    /// Written by another version.
    #[error("its keys are of version {0}, and this program knows up to version {VERSION_LOST}")]
    Version(u8),
    /// Cut, or not in order.
    #[error("its keys are not in the form that they were written in")]
    Malformed,
}

impl Default for PuncturedTree {
    fn default() -> Self {
        Self::new()
    }
}

impl PuncturedTree {
    /// A tree without a block.
    #[must_use]
    pub fn new() -> Self {
        Self {
            nodes: BTreeMap::new(),
            end: 0,
            lost: BTreeMap::new(),
            ready: VecDeque::new(),
            recent: VecDeque::new(),
            next: 0,
            since: 0,
        }
    }

    /// Takes a leaf that was never taken; `None` when a block must be begun first.
    pub fn take(&mut self) -> Option<(u32, LeafKey)> {
        loop {
            if let Some((leaf, ready)) = self.ready.front_mut() {
                let (leaf, key) = (*leaf, ready.clone());
                // To move it out would leave its bytes behind.
                ready.0.zeroize();
                self.ready.pop_front();
                self.remember(leaf, &key);
                return Some((leaf, key));
            }
            if self.next >= self.end {
                return None;
            }
            let first = self.next;
            self.next = first + (1 << READY_LEVELS);
            // Below a destroyed leaf there is no common seed: those are passed over.
            if let Some(seed) = self.seed_over(first, READY_LEVELS) {
                self.ready = expand(first, READY_LEVELS, seed);
            }
        }
    }

    fn remember(&mut self, leaf: u32, key: &LeafKey) {
        if self.recent.capacity() == 0 {
            // Of its full size from the start: growing would leave copies of keys behind.
            self.recent.reserve_exact(RECENT);
        }
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back((leaf, key.clone()));
    }

    /// Adds a block: from now on its leaves may be taken. It must be durable before one is used.
    ///
    /// # Errors
    /// When there is no randomness, or no number left.
    pub fn begin_block(&mut self) -> Result<(), BlockError> {
        let end = self
            .end
            .checked_add(BLOCK_LEAVES)
            .ok_or(BlockError::Exhausted)?;
        let seed = Seed::random().map_err(BlockError::Randomness)?;
        self.nodes.insert(self.end, (BLOCK_LEVELS, seed));
        self.end = end;
        Ok(())
    }

    /// The key of a leaf; `None` when it was destroyed or never was.
    #[must_use]
    pub fn leaf(&self, leaf: u32) -> Option<LeafKey> {
        if let Ok(at) = self
            .recent
            .binary_search_by_key(&leaf, |(recent, _)| *recent)
        {
            return Some(self.recent[at].1.clone());
        }
        self.seed_over(leaf, 0).map(|seed| seed.leaf())
    }

    /// Destroys a leaf; says whether it was there. It must be durable, and what was written of the
    /// tree before must be overwritten, before it counts as destroyed.
    pub fn puncture(&mut self, leaf: u32) -> bool {
        let Some((&first, (levels, _))) = self.nodes.range(..=leaf).next_back() else {
            return false;
        };
        let levels = *levels;
        if leaf - first >= 1 << levels {
            return false;
        }
        let Some((_, mut seed)) = self.nodes.remove(&first) else {
            return false;
        };
        let mut from = first;
        for level in (0..levels).rev() {
            let [left, right] = seed.children();
            let middle = from + (1 << level);
            if leaf < middle {
                self.nodes.insert(middle, (level, right));
                seed = left;
            } else {
                self.nodes.insert(from, (level, left));
                seed = right;
                from = middle;
            }
        }
        // What was derived ahead, or is remembered, may hold it.
        self.ready.retain(|(ahead, _)| *ahead != leaf);
        self.recent.retain(|(recent, _)| *recent != leaf);
        true
    }

    /// Destroys every leaf that is not in `keep`, but for those of blocks that were begun since the tree
    /// was read: one of these may have been given a moment ago. Says how many. As with
    /// [`puncture`](Self::puncture), it counts once it is durable.
    pub fn retain(&mut self, keep: &BTreeSet<u32>) -> u32 {
        let since = self.since;
        let mut destroyed = 0;
        let mut left = BTreeMap::new();
        let mut waiting: Vec<(u32, u8, Seed)> = std::mem::take(&mut self.nodes)
            .into_iter()
            .map(|(first, (levels, seed))| (first, levels, seed))
            .collect();
        while let Some((first, levels, seed)) = waiting.pop() {
            let leaves = 1_u32 << levels;
            let kept = if first >= since {
                leaves as usize
            } else {
                keep.range(first..=first + (leaves - 1)).count()
            };
            if kept == leaves as usize {
                left.insert(first, (levels, seed));
            } else if kept == 0 {
                destroyed += leaves;
            } else {
                let [one, other] = seed.children();
                waiting.push((first, levels - 1, one));
                waiting.push((first + leaves / 2, levels - 1, other));
            }
        }
        self.nodes = left;
        self.recent.clear();
        destroyed
    }

    /// Leaves that [`retain`](Self::retain) would destroy.
    #[must_use]
    pub fn unused(&self, keep: &BTreeSet<u32>) -> u32 {
        let before = self.nodes.range(..self.since);
        before
            .map(|(first, (levels, _))| {
                let leaves = 1_u32 << levels;
                let kept = keep.range(*first..=*first + (leaves - 1)).count();
                leaves - u32::try_from(kept).unwrap_or(leaves)
            })
            .sum()
    }

    /// As it is after one more block was begun; this one stays as it is.
    ///
    /// # Errors
    /// As [`begin_block`](Self::begin_block).
    pub fn with_block(&self) -> Result<Self, BlockError> {
        let nodes = self.nodes.iter();
        let mut larger = Self {
            nodes: nodes
                .map(|(first, (levels, seed))| (*first, (*levels, seed.clone())))
                .collect(),
            end: self.end,
            lost: self.lost.clone(),
            ready: VecDeque::new(),
            recent: VecDeque::new(),
            next: self.end,
            since: self.since,
        };
        larger.begin_block()?;
        Ok(larger)
    }

    /// Whether no leaf can be derived.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Leaves that were destroyed; lost ones do not count.
    #[must_use]
    pub fn punctured(&self) -> u32 {
        let left: u32 = self.nodes.values().map(|(levels, _)| 1 << levels).sum();
        self.end - left - self.lost()
    }

    /// Leaves that may have been given, from 0 on.
    #[must_use]
    pub fn leaves(&self) -> u32 {
        self.end
    }

    /// Leaves that were given, from 0 on; of the blocks of an earlier start all count.
    #[must_use]
    pub fn given(&self) -> u32 {
        self.next - u32::try_from(self.ready.len()).unwrap_or(self.next)
    }

    /// Whether the block of a leaf was begun and is lost.
    #[must_use]
    pub fn is_lost(&self, leaf: u32) -> bool {
        let range = self.lost.range(..=leaf).next_back();
        range.is_some_and(|(_, behind)| leaf < *behind)
    }

    /// Leaves of which the blocks are lost.
    #[must_use]
    pub fn lost(&self) -> u32 {
        let ranges = self.lost.iter();
        ranges.map(|(first, behind)| behind - first).sum()
    }

    /// Notes that blocks before `leaf` were begun of which nothing is here: they are lost, and their
    /// leaves are never given again. Says how many leaves that are.
    pub fn lose_to(&mut self, leaf: u32) -> u32 {
        let behind = leaf.checked_next_multiple_of(BLOCK_LEAVES);
        let behind = behind.unwrap_or(u32::MAX - (BLOCK_LEAVES - 1));
        if behind <= self.end {
            return 0;
        }
        let first = self.end;
        let before = self.lost.iter().find(|(_, end)| **end == first);
        let from = before.map_or(first, |(from, _)| *from);
        self.lost.insert(from, behind);
        self.ready.clear();
        (self.end, self.next) = (behind, behind);
        behind - first
    }

    /// Takes lost blocks from a copy that has them; nothing else changes. Says how many leaves that are.
    pub fn fill_from(&mut self, copy: &Self) -> u32 {
        let lost = std::mem::take(&mut self.lost);
        let mut filled = 0;
        for (first, behind) in lost {
            for block in (first..behind).step_by(BLOCK_LEAVES as usize) {
                if block >= copy.end || copy.is_lost(block) {
                    self.lose_block(block);
                    continue;
                }
                let nodes = copy.nodes.range(block..block + BLOCK_LEAVES);
                let nodes = nodes.map(|(first, (levels, seed))| (*first, (*levels, seed.clone())));
                self.nodes.extend(nodes);
                filled += BLOCK_LEAVES;
            }
        }
        filled
    }

    /// Adds a block behind those that are known to be lost.
    fn lose_block(&mut self, block: u32) {
        match self.lost.last_entry() {
            Some(mut last) if *last.get() == block => *last.get_mut() = block + BLOCK_LEAVES,
            _ => {
                self.lost.insert(block, block + BLOCK_LEAVES);
            }
        }
    }

    /// All of it, to be sealed and written.
    #[must_use]
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        // Of the right size from the start: growing would leave copies behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(
            HEAD_BYTES + 4 + self.lost.len() * LOST_BYTES + self.nodes.len() * NODE_BYTES,
        ));
        let count = |items: usize| u32::try_from(items).unwrap_or(u32::MAX).to_be_bytes();
        bytes.push(if self.lost.is_empty() {
            VERSION
        } else {
            VERSION_LOST
        });
        bytes.extend(self.end.to_be_bytes());
        bytes.extend(count(self.nodes.len()));
        if !self.lost.is_empty() {
            bytes.extend(count(self.lost.len()));
        }
        for (first, behind) in &self.lost {
            bytes.extend(first.to_be_bytes());
            bytes.extend(behind.to_be_bytes());
        }
        for (first, (levels, seed)) in &self.nodes {
            bytes.extend(first.to_be_bytes());
            bytes.push(*levels);
            bytes.extend(seed.0);
        }
        bytes
    }

    /// Reads what [`encode`](Self::encode) made. The next leaf is of a block not begun yet.
    ///
    /// # Errors
    /// [`TreeFormatError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, TreeFormatError> {
        let malformed = TreeFormatError::Malformed;
        let (&version, rest) = bytes.split_first().ok_or(malformed)?;
        if version != VERSION && version != VERSION_LOST {
            return Err(TreeFormatError::Version(version));
        }
        let (end, rest) = rest.split_first_chunk().ok_or(malformed)?;
        let (count, rest) = rest.split_first_chunk().ok_or(malformed)?;
        let (end, count) = (u32::from_be_bytes(*end), u32::from_be_bytes(*count));
        let (lost, rest) = if version == VERSION_LOST {
            decode_lost(rest, end).ok_or(malformed)?
        } else {
            (BTreeMap::new(), rest)
        };
        if !end.is_multiple_of(BLOCK_LEAVES)
            || rest.len() as u64 != u64::from(count) * NODE_BYTES as u64
        {
            return Err(malformed);
        }
        let mut nodes = BTreeMap::new();
        let mut free_from = 0;
        for node in rest.chunks_exact(NODE_BYTES) {
            let (first, node) = node.split_first_chunk().ok_or(malformed)?;
            let (&levels, seed) = node.split_first().ok_or(malformed)?;
            let first = u32::from_be_bytes(*first);
            let fits = first >= free_from
                && levels <= BLOCK_LEVELS
                && first.is_multiple_of(1 << levels)
                && first
                    .checked_add(1 << levels)
                    .is_some_and(|next| next <= end);
            let over_lost = lost.range(..=first).next_back();
            let over_lost = over_lost.is_some_and(|(_, behind)| first < *behind);
            if !fits || over_lost {
                return Err(malformed);
            }
            free_from = first + (1 << levels);
            let mut of = Seed([0; SEED_BYTES]);
            of.0.copy_from_slice(seed);
            nodes.insert(first, (levels, of));
        }
        Ok(Self {
            nodes,
            end,
            lost,
            ready: VecDeque::new(),
            recent: VecDeque::new(),
            next: end,
            since: end,
        })
    }

    /// The seed over `1 << levels` leaves from `first` on, which is a multiple of that.
    fn seed_over(&self, first: u32, levels: u8) -> Option<Seed> {
        let (&from, (over, seed)) = self.nodes.range(..=first).next_back()?;
        let within = first - from;
        if within >= 1 << over || *over < levels {
            return None;
        }
        let mut seed = seed.clone();
        for level in (levels..*over).rev() {
            seed = seed.child((within >> level) & 1);
        }
        Some(seed)
    }
}

/// The ranges of lost blocks, and what follows them: at least one, in order, never two that touch.
fn decode_lost(bytes: &[u8], end: u32) -> Option<(BTreeMap<u32, u32>, &[u8])> {
    let (count, bytes) = bytes.split_first_chunk()?;
    let count = usize::try_from(u32::from_be_bytes(*count)).ok()?;
    let (ranges, rest) = bytes.split_at_checked(count.checked_mul(LOST_BYTES)?)?;
    let mut lost = BTreeMap::new();
    let mut before = None;
    for range in ranges.chunks_exact(LOST_BYTES) {
        let (first, behind) = range.split_first_chunk()?;
        let first = u32::from_be_bytes(*first);
        let behind = u32::from_be_bytes(*behind.first_chunk()?);
        let whole = first.is_multiple_of(BLOCK_LEAVES) && behind.is_multiple_of(BLOCK_LEAVES);
        if !whole || first >= behind || behind > end || before.is_some_and(|last| first <= last) {
            return None;
        }
        lost.insert(first, behind);
        before = Some(behind);
    }
    (!lost.is_empty()).then_some((lost, rest))
}

/// Every leaf below a seed.
fn expand(first: u32, levels: u8, seed: Seed) -> VecDeque<(u32, LeafKey)> {
    let mut seeds = vec![seed];
    for _ in 0..levels {
        seeds = seeds.iter().flat_map(Seed::children).collect();
    }
    (first..).zip(seeds.iter().map(Seed::leaf)).collect()
}

/// Why no block was begun.
#[derive(Debug, thiserror::Error)]
pub enum BlockError {
    /// The operating system gave none.
    #[error("there is no randomness for keys: {0}")]
    Randomness(getrandom::Error),
    /// Four thousand million bodies in one period.
    #[error("the period has no key left: it held 4,294,967,296 bodies")]
    Exhausted,
}

impl Drop for PuncturedTree {
    fn drop(&mut self) {
        for (_, seed) in self.nodes.values_mut() {
            seed.0.zeroize();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(tree: &PuncturedTree) -> Vec<Option<[u8; 32]>> {
        (0..tree.leaves())
            .map(|leaf| tree.leaf(leaf).map(|key| key.0))
            .collect()
    }

    #[test]
    fn leaves_differ_and_are_what_was_taken() {
        let mut tree = PuncturedTree::new();
        assert!(tree.take().is_none(), "no block yet");
        tree.begin_block().unwrap();
        let taken: Vec<_> = std::iter::from_fn(|| tree.take()).collect();
        assert_eq!(taken.len(), BLOCK_LEAVES as usize);
        let all = keys(&tree);
        for (leaf, key) in &taken {
            assert_eq!(all[*leaf as usize], Some(key.0));
        }
        let distinct: BTreeSet<_> = all.iter().flatten().collect();
        assert_eq!(distinct.len(), all.len());
    }

    #[test]
    fn a_destroyed_leaf_is_gone_and_no_other() {
        let mut tree = PuncturedTree::new();
        tree.begin_block().unwrap();
        tree.begin_block().unwrap();
        let mut expected = keys(&tree);
        for leaf in [0, 1, 4_095, 4_096, 5_000, 8_191, 777] {
            assert!(tree.puncture(leaf));
            assert!(!tree.puncture(leaf), "once");
            expected[leaf as usize] = None;
            assert_eq!(keys(&tree), expected, "{leaf}");
            tree = PuncturedTree::decode(&tree.encode()).unwrap();
            assert_eq!(keys(&tree), expected, "{leaf}");
        }
        assert!(!tree.puncture(8_192), "beyond");
        assert_eq!(tree.punctured(), 7);
    }

    /// No seed that is kept lies over a destroyed leaf: what is left cannot lead there.
    #[test]
    fn no_seed_that_is_kept_lies_over_a_destroyed_leaf() {
        let mut tree = PuncturedTree::new();
        tree.begin_block().unwrap();
        for leaf in (0..BLOCK_LEAVES).step_by(37) {
            tree.puncture(leaf);
        }
        for (first, (levels, _)) in &tree.nodes {
            for leaf in *first..first + (1 << levels) {
                assert_ne!(leaf % 37, 0);
            }
        }
        let covered: u32 = tree.nodes.values().map(|(levels, _)| 1 << levels).sum();
        assert_eq!(covered, BLOCK_LEAVES - BLOCK_LEAVES.div_ceil(37));
    }

    #[test]
    fn what_is_destroyed_is_never_taken() {
        let mut tree = PuncturedTree::new();
        tree.begin_block().unwrap();
        let (first, _) = tree.take().unwrap();
        tree.puncture(first + 1);
        tree.puncture(first + 200);
        let taken: Vec<u32> = std::iter::from_fn(|| tree.take())
            .map(|(leaf, _)| leaf)
            .collect();
        assert!(!taken.contains(&(first + 1)) && !taken.contains(&(first + 200)));
        for leaf in taken {
            assert!(tree.leaf(leaf).is_some());
        }
    }

    /// What is remembered of leaves that were taken is what is derived, and goes with the seed.
    #[test]
    fn what_is_remembered_is_destroyed_too() {
        let mut tree = PuncturedTree::new();
        tree.begin_block().unwrap();
        let taken: Vec<_> = std::iter::from_fn(|| tree.take()).collect();
        assert_eq!(tree.recent.len(), RECENT, "and no more");
        let late = &taken[taken.len() - RECENT..];
        let fresh = PuncturedTree::decode(&tree.encode()).unwrap();
        for (leaf, key) in late {
            assert_eq!(tree.leaf(*leaf).unwrap().0, key.0);
            assert_eq!(fresh.leaf(*leaf).unwrap().0, key.0);
        }
        assert!(tree.puncture(late[5].0));
        assert!(tree.leaf(late[5].0).is_none() && tree.leaf(late[6].0).is_some());
        tree.since = tree.end;
        tree.retain(&BTreeSet::from([late[6].0]));
        assert!(tree.recent.is_empty() && tree.leaf(late[7].0).is_none());
        assert_eq!(tree.leaf(late[6].0).unwrap().0, late[6].1.0);
    }

    /// At most one seed a leaf, whatever is destroyed: 37 bytes.
    #[test]
    fn it_is_small() {
        let mut tree = PuncturedTree::new();
        tree.begin_block().unwrap();
        assert_eq!(tree.encode().len(), HEAD_BYTES + NODE_BYTES);
        tree.puncture(1_000);
        assert_eq!(
            tree.encode().len(),
            HEAD_BYTES + usize::from(BLOCK_LEVELS) * NODE_BYTES
        );
        for leaf in (0..BLOCK_LEAVES).step_by(2) {
            tree.puncture(leaf);
        }
        assert!(tree.encode().len() <= HEAD_BYTES + BLOCK_LEAVES as usize / 2 * NODE_BYTES);
        for leaf in 0..BLOCK_LEAVES {
            tree.puncture(leaf);
        }
        assert!(tree.is_empty());
        assert_eq!(tree.encode().len(), HEAD_BYTES);
    }

    /// What a copy does not know of is lost, not destroyed; a later copy brings it back, and nothing
    /// that was destroyed.
    #[test]
    fn what_is_lost_is_never_given_again_and_may_come_back() {
        let mut tree = PuncturedTree::new();
        tree.begin_block().unwrap();
        let old = PuncturedTree::decode(&tree.encode()).unwrap();
        tree.begin_block().unwrap();
        tree.begin_block().unwrap();
        tree.puncture(5_000);
        let whole = keys(&tree);

        let mut behind = old;
        assert_eq!(behind.lose_to(4_000), 0, "it knows those");
        assert_eq!(behind.lose_to(8_200), 2 * BLOCK_LEAVES);
        assert_eq!((behind.lost(), behind.leaves()), (8_192, 12_288));
        behind = PuncturedTree::decode(&behind.encode()).unwrap();
        assert!(behind.is_lost(4_096) && behind.is_lost(12_287));
        assert!(!behind.is_lost(4_095) && !behind.is_lost(12_288));
        behind.begin_block().unwrap();
        assert_eq!(behind.take().unwrap().0, 12_288);
        assert_eq!(behind.given(), 12_289);
        behind.puncture(7);

        // A copy of the time between has one of the two blocks.
        let mut between = PuncturedTree::new();
        between.end = 2 * BLOCK_LEAVES;
        between.nodes = tree
            .nodes
            .range(..8_192)
            .map(|(k, v)| (*k, v.clone()))
            .collect();
        assert_eq!(behind.fill_from(&between), BLOCK_LEAVES);
        assert_eq!(behind.lost(), BLOCK_LEAVES);
        behind = PuncturedTree::decode(&behind.encode()).unwrap();
        assert_eq!(behind.fill_from(&tree), BLOCK_LEAVES);
        assert_eq!((behind.lost(), behind.fill_from(&tree)), (0, 0));
        let filled = keys(&PuncturedTree::decode(&behind.encode()).unwrap());
        for (leaf, key) in whole.iter().enumerate() {
            let expected = if leaf == 7 { None } else { *key };
            assert_eq!(filled[leaf], expected, "{leaf}");
        }
    }

    #[test]
    fn what_is_no_tree_is_refused() {
        let mut tree = PuncturedTree::new();
        tree.begin_block().unwrap();
        tree.puncture(5);
        let bytes = tree.encode();
        for cut in 0..bytes.len() {
            assert!(PuncturedTree::decode(&bytes[..cut]).is_err(), "{cut}");
        }
        let mut longer = bytes.to_vec();
        longer.push(0);
        assert!(PuncturedTree::decode(&longer).is_err());
        let mut newer = bytes.to_vec();
        newer[0] = 3;
        assert_eq!(
            PuncturedTree::decode(&newer).unwrap_err(),
            TreeFormatError::Version(3)
        );
        // Nodes over what is lost, ranges that touch, and none.
        let lost = |ranges: &[(u32, u32)]| {
            let mut other = bytes.to_vec();
            other[0] = VERSION_LOST;
            let mut head = u32::try_from(ranges.len()).unwrap().to_be_bytes().to_vec();
            for (first, behind) in ranges {
                head.extend(first.to_be_bytes());
                head.extend(behind.to_be_bytes());
            }
            other.splice(HEAD_BYTES..HEAD_BYTES, head);
            other[1..5].copy_from_slice(&16_384_u32.to_be_bytes());
            PuncturedTree::decode(&other)
        };
        lost(&[(4_096, 8_192), (12_288, 16_384)]).unwrap();
        for wrong in [
            &[][..],
            &[(0, 4_096)],
            &[(4_096, 8_192), (8_192, 12_288)],
            &[(8_192, 12_288), (4_096, 8_192)],
            &[(4_096, 4_096)],
            &[(4_097, 8_192)],
            &[(8_192, 20_480)],
        ] {
            assert!(lost(wrong).is_err(), "{wrong:?}");
        }
        // Two nodes over one leaf, a level that is none, a node beyond the end.
        for (at, value) in [
            (HEAD_BYTES + NODE_BYTES + 3, 0),
            (HEAD_BYTES + 4, 13),
            (3, 0),
        ] {
            let mut other = bytes.to_vec();
            other[at] = value;
            assert!(PuncturedTree::decode(&other).is_err(), "{at}");
        }
    }
}

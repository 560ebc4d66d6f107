//! Verification of proofs, step by step as RFC 9162 §2.1.3.2 and §2.1.4.2 number them.

use super::{Hash, node_hash};

/// Why a proof does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The index is not in a tree of that size.
    #[error("index {index} is not in a tree of size {size}")]
    Index {
        /// Index claimed.
        index: u64,
        /// Size of the tree.
        size: u64,
    },
    /// The older tree is larger than the newer one.
    #[error("the older size {old} is above the newer size {new}")]
    Sizes {
        /// Size of the older tree.
        old: u64,
        /// Size of the newer tree.
        new: u64,
    },
    /// More or fewer hashes than the sizes ask for.
    #[error("the proof has {hashes} hashes, more or fewer than its sizes ask for")]
    Length {
        /// Hashes of the proof.
        hashes: usize,
    },
    /// The hashes lead to another root.
    #[error("the proof leads to another root")]
    Root,
    /// Of the older tree: the hashes lead to another root.
    #[error("the proof leads to another root of the older tree")]
    OldRoot,
}

/// Checks that `leaf` is at `index` of the tree of `size` leaves with `root`.
///
/// # Errors
/// It is not, or the proof is not exactly the one that the sizes ask for.
pub fn verify_inclusion(
    index: u64,
    size: u64,
    leaf: Hash,
    proof: &[Hash],
    root: Hash,
) -> Result<(), ProofError> {
    // 6. … then compare r with the root_hash.
    if root_from_inclusion(index, size, leaf, proof)? == root {
        Ok(())
    } else {
        Err(ProofError::Root)
    }
}

/// The root to which an inclusion proof leads.
///
/// # Errors
/// The proof is not of the length that the sizes ask for, or the index is beyond the tree.
pub fn root_from_inclusion(
    index: u64,
    size: u64,
    leaf: Hash,
    proof: &[Hash],
) -> Result<Hash, ProofError> {
    // 1. Compare leaf_index with tree_size. If leaf_index is greater than or equal to tree_size,
    //    then stop and fail.
    if index >= size {
        return Err(ProofError::Index { index, size });
    }
    // 2. Set two variables fn := leaf_index and sn := tree_size − 1.
    let (mut fnode, mut snode) = (index, size - 1);
    // 3. Set r to hash.
    let mut root = leaf;
    // 4. For each value p in the inclusion_path array:
    for hash in proof {
        // a. If sn is 0, then stop the iteration and fail.
        if snode == 0 {
            return Err(ProofError::Length {
                hashes: proof.len(),
            });
        }
        if fnode & 1 == 1 || fnode == snode {
            // b. If LSB(fn) is set, or if fn equals sn, then:
            //    i. set r to HASH(0x01 || p || r);
            root = node_hash(hash, &root);
            //    ii. if LSB(fn) is not set, right-shift both equally until LSB(fn) is set or fn is 0.
            while fnode & 1 == 0 && fnode != 0 {
                fnode >>= 1;
                snode >>= 1;
            }
        } else {
            //    Otherwise, set r to HASH(0x01 || r || p).
            root = node_hash(&root, hash);
        }
        // c. Finally, right-shift both fn and sn one time.
        fnode >>= 1;
        snode >>= 1;
    }
    // 5. Compare sn to 0. … If sn is 0 and r and the root_hash are equal, it is verified.
    if snode == 0 {
        Ok(root)
    } else {
        Err(ProofError::Length {
            hashes: proof.len(),
        })
    }
}

/// Checks that the tree of `new` leaves extends the tree of `old` leaves.
///
/// Every tree extends the empty one, with an empty proof; equal sizes ask for equal roots and an
/// empty proof. RFC 9162 leaves both to the caller; here nobody can forget them.
///
/// # Errors
/// It does not, or the proof is not exactly the one that the sizes ask for.
pub fn verify_consistency(
    old: u64,
    new: u64,
    old_root: Hash,
    new_root: Hash,
    proof: &[Hash],
) -> Result<(), ProofError> {
    if old > new {
        return Err(ProofError::Sizes { old, new });
    }
    if old == 0 || old == new {
        if !proof.is_empty() {
            return Err(ProofError::Length {
                hashes: proof.len(),
            });
        }
        if old == 0 && old_root != Hash::EMPTY_ROOT {
            return Err(ProofError::OldRoot);
        }
        if new == 0 && new_root != Hash::EMPTY_ROOT || old == new && old_root != new_root {
            return Err(ProofError::Root);
        }
        return Ok(());
    }
    // 1. If consistency_path is an empty array, stop and fail verification.
    let length = ProofError::Length {
        hashes: proof.len(),
    };
    // 2. If first is an exact power of 2, then prepend first_hash to the consistency_path array.
    let (seed, path) = if old.is_power_of_two() {
        (old_root, proof)
    } else {
        let (seed, path) = proof.split_first().ok_or(length)?;
        (*seed, path)
    };
    // 3. Set two variables fn := first − 1 and sn := second − 1.
    let (mut fnode, mut snode) = (old - 1, new - 1);
    // 4. If LSB(fn) is set, then right-shift both fn and sn equally until LSB(fn) is not set.
    while fnode & 1 == 1 {
        fnode >>= 1;
        snode >>= 1;
    }
    // 5. Set both fr and sr to the first value in the consistency_path array.
    let (mut old_found, mut new_found) = (seed, seed);
    // 6. For each subsequent value c in the consistency_path array:
    for hash in path {
        // a. If sn is 0, then stop the iteration and fail the proof verification.
        if snode == 0 {
            return Err(length);
        }
        if fnode & 1 == 1 || fnode == snode {
            // b. If LSB(fn) is set, or if fn equals sn, then:
            //    i. set fr to HASH(0x01 || c || fr); ii. set sr to HASH(0x01 || c || sr);
            old_found = node_hash(hash, &old_found);
            new_found = node_hash(hash, &new_found);
            //    iii. if LSB(fn) is not set, right-shift both until LSB(fn) is set or fn is 0.
            while fnode & 1 == 0 && fnode != 0 {
                fnode >>= 1;
                snode >>= 1;
            }
        } else {
            //    Otherwise, set sr to HASH(0x01 || sr || c).
            new_found = node_hash(&new_found, hash);
        }
        // c. Finally, right-shift both fn and sn one time.
        fnode >>= 1;
        snode >>= 1;
    }
    // 7. After completing the iteration: fr equals first_hash, sr equals second_hash, sn is 0.
    if snode != 0 {
        return Err(length);
    }
    if old_found != old_root {
        return Err(ProofError::OldRoot);
    }
    if new_found == new_root {
        Ok(())
    } else {
        Err(ProofError::Root)
    }
}

//! Merkle trees over SHA-256, as outcomes and lanes commit to their parts, and paths in them.
//!
//! ```text
//! leaf i    H(i (u32) | digest of the leaf)
//! node      H(left | right); the last node of a row of odd length is its own right neighbour
//! root      H(number of leaves (u32) | top); of no leaves: H(0 (u32) | H(nothing))
//! ```
//!
//! A leaf is bound to its place and the root to the number of leaves, so neighbours of a sorted tree are proven by two
//! leaves in consecutive places, and the ends by place 0 or the last one. A contract needs the SHA-256 precompile only.

use crate::{
    Digest,
    codec::{Buf, EncodeSize, Error, List, Read, ReadExt, Write},
};
use chorale_foundation::{
    BufMut,
    cryptography::Sha256,
    merkle::{Builder, Proof, Tree},
};

/// Siblings of a path at most: two for each level of the highest tree, at the two ends of a run of leaves.
pub const SIBLINGS_MAX: usize = 64;

/// The siblings that lead from a run of leaves to the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MerklePath {
    /// Leaves of the tree.
    pub leaves: u32,
    /// Place of the first leaf of the run.
    pub position: u32,
    /// Level by level from the leaves upwards, in each from left to right.
    pub siblings: List<Digest, SIBLINGS_MAX>,
}

impl MerklePath {
    /// Whether a run of leaves stands under a root. No leaves stand only in the tree that has none.
    #[must_use]
    pub fn verify(&self, run: &[Digest], root: &Digest) -> bool {
        if run.is_empty() {
            return self.leaves == 0 && self.position == 0 && self.siblings.is_empty() && *root == merkle_root(&[]);
        }
        let proof = Proof { leaf_count: self.leaves, siblings: self.siblings.to_vec() };
        proof.verify_range_inclusion::<Sha256>(self.position, run, root).is_ok()
    }
}

impl Write for MerklePath {
    fn write(&self, buf: &mut impl BufMut) {
        self.leaves.write(buf);
        self.position.write(buf);
        self.siblings.write(buf);
    }
}

impl EncodeSize for MerklePath {
    fn encode_size(&self) -> usize {
        4 + 4 + self.siblings.encode_size()
    }
}

impl Read for MerklePath {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, Error> {
        Ok(Self { leaves: ReadExt::read(buf)?, position: ReadExt::read(buf)?, siblings: ReadExt::read(buf)? })
    }
}

/// A tree with all its nodes, to take paths from.
#[derive(Clone, Debug)]
pub(crate) struct MerkleTree {
    tree: Tree<Digest>,
    leaves: u32,
}

impl MerkleTree {
    pub(crate) fn new(leaves: impl ExactSizeIterator<Item = Digest>) -> Self {
        let count = u32::try_from(leaves.len()).expect("trees are over bounded lists");
        let mut builder = Builder::<Sha256>::new(leaves.len());
        for leaf in leaves {
            builder.add(&leaf);
        }
        Self { tree: builder.build(), leaves: count }
    }

    pub(crate) const fn root(&self) -> Digest {
        self.tree.root()
    }

    /// The path of the leaves at `start..start + run`; of none in the tree without leaves. `None` if there are no such.
    pub(crate) fn path(&self, start: usize, run: usize) -> Option<MerklePath> {
        let position = u32::try_from(start).ok()?;
        let siblings = match u32::try_from(run).ok()?.checked_sub(1) {
            Some(more) => self.tree.range_proof(position, position.checked_add(more)?).ok()?.siblings,
            None => Vec::new(),
        };
        if self.leaves == 0 && run > 0 {
            return None;
        }
        Some(MerklePath { leaves: self.leaves, position, siblings: List::new(siblings).ok()? })
    }
}

/// The root over leaves, in their order.
#[must_use]
pub fn merkle_root(leaves: &[Digest]) -> Digest {
    MerkleTree::new(leaves.iter().copied()).root()
}

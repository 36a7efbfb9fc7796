//! The trees that proofs are taken from: held by who settles a height, or rebuilt from what it archived.

use crate::{
    Atomicity, BundleId, BundleProof, Digest, Height, ItemProof, Lane, LaneAbsence, LaneLeaf, LaneProof, LegProof,
    RegistryLeaf, RegistryProof, RollupId, TransactionProof, TxId, bundle_id, codec::List, codec_struct,
    limits::BUNDLE_LEGS_MAX, merkle::MerkleTree,
};
use std::collections::BTreeMap;

/// What is remembered of a bundle that was ordered, so that it can be proven without its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderedBundle {
    /// Its id.
    pub id: BundleId,
    /// What it promises.
    pub atomicity: Atomicity,
    /// The last height at which it could be ordered.
    pub expiry: Height,
    /// Its salt.
    pub salt: u64,
    /// Its legs, in order.
    pub legs: List<OrderedLeg, BUNDLE_LEGS_MAX>,
}
codec_struct!(OrderedBundle { id, atomicity, expiry, salt, legs });

impl OrderedBundle {
    /// Whether the id is the hash of the rest: then nobody can have made it up. Legs' rollups are bound by
    /// their own ids; what stands beside these is not looked at.
    #[must_use]
    pub fn is_named_by_its_id(&self) -> bool {
        let legs: Vec<TxId> = self.legs.iter().map(|leg| leg.id).collect();
        !legs.is_empty() && bundle_id(self.atomicity, self.expiry, self.salt, &legs) == self.id
    }
}

/// A leg of a bundle, without its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderedLeg {
    /// The rollup it is for.
    pub rollup: RollupId,
    /// Its id.
    pub id: TxId,
}
codec_struct!(OrderedLeg { rollup, id });

/// The lanes of a height, sorted by rollup.
#[derive(Clone, Debug)]
pub struct LaneTree {
    leaves: Vec<LaneLeaf>,
    tree: MerkleTree,
}

impl LaneTree {
    /// Builds the tree. Leaves come in any order, one of each rollup.
    #[must_use]
    pub fn new(mut leaves: Vec<LaneLeaf>) -> Self {
        leaves.sort_unstable_by_key(|leaf| leaf.rollup);
        let tree = MerkleTree::new(leaves.iter().map(LaneLeaf::digest));
        Self { leaves, tree }
    }

    /// What the outcome commits to.
    #[must_use]
    pub const fn root(&self) -> Digest {
        self.tree.root()
    }

    /// The leaves, sorted.
    #[must_use]
    pub fn leaves(&self) -> &[LaneLeaf] {
        &self.leaves
    }

    /// Proves a rollup's lane; `None` if it has none.
    #[must_use]
    pub fn prove(&self, rollup: RollupId) -> Option<LaneProof> {
        let position = self.position(rollup).ok()?;
        Some(LaneProof { leaf: self.leaves[position], path: self.tree.path(position, 1)? })
    }

    /// Proves that a rollup has no lane; `None` if it has one.
    #[must_use]
    pub fn prove_absence(&self, rollup: RollupId) -> Option<LaneAbsence> {
        let next = self.position(rollup).err()?;
        let left = next.checked_sub(1).map(|left| self.leaves[left]);
        let right = self.leaves.get(next).copied();
        let run = usize::from(left.is_some()) + usize::from(right.is_some());
        let path = self.tree.path(next.saturating_sub(1), run)?;
        Some(LaneAbsence { rollup, left, right, path })
    }

    fn position(&self, rollup: RollupId) -> Result<usize, usize> {
        self.leaves.binary_search_by_key(&rollup, |leaf| leaf.rollup)
    }
}

/// The last content of every rollup of the chain, as of a height.
#[derive(Clone, Debug)]
pub struct RegistryTree {
    leaves: Vec<RegistryLeaf>,
    tree: MerkleTree,
}

impl RegistryTree {
    /// Builds the tree. Leaves come in any order, one of each rollup.
    #[must_use]
    pub fn new(mut leaves: Vec<RegistryLeaf>) -> Self {
        leaves.sort_unstable_by_key(|leaf| leaf.rollup);
        let tree = MerkleTree::new(leaves.iter().map(RegistryLeaf::digest));
        Self { leaves, tree }
    }

    /// What the outcome commits to.
    #[must_use]
    pub const fn root(&self) -> Digest {
        self.tree.root()
    }

    /// Proves a rollup's row; `None` if the chain does not have the rollup.
    #[must_use]
    pub fn prove(&self, rollup: RollupId) -> Option<RegistryProof> {
        let position = self.leaves.binary_search_by_key(&rollup, |leaf| leaf.rollup).ok()?;
        Some(RegistryProof { leaf: self.leaves[position], path: self.tree.path(position, 1)? })
    }
}

impl Lane {
    /// Proves one of its items; `None` if there is no such.
    #[must_use]
    pub fn prove_item(&self, position: usize) -> Option<ItemProof> {
        let leaf = self.items().get(position)?.leaf();
        Some(ItemProof { leaf, path: self.tree().path(position, 1)? })
    }
}

/// Proves that a transaction stands in `lane`, alone; `None` if it does not.
#[must_use]
pub fn prove_transaction(lanes: &LaneTree, lane: &Lane, id: &TxId) -> Option<TransactionProof> {
    let position = lane.items().iter().position(|item| item.id == *id && item.place.leg.is_none())?;
    Some(TransactionProof { lane: lanes.prove(lane.rollup())?, item: lane.prove_item(position)? })
}

/// Proves that a bundle stands in the lanes of its rollups, with all its legs; `None` if it does not, or a lane is not
/// given.
#[must_use]
pub fn prove_bundle(tree: &LaneTree, lanes: &BTreeMap<RollupId, Lane>, bundle: &OrderedBundle) -> Option<BundleProof> {
    let id = bundle.id;
    let mut rollups: Vec<RollupId> = bundle.legs.iter().map(|leg| leg.rollup).collect();
    rollups.sort_unstable();
    rollups.dedup();
    let legs = (0u8..).zip(bundle.legs.iter()).map(|(position, leg)| {
        let lane = rollups.binary_search(&leg.rollup).ok()?;
        let item = prove_leg(lanes.get(&leg.rollup)?, id, position)?;
        Some(LegProof { lane: u8::try_from(lane).ok()?, item })
    });
    let legs = List::new(legs.collect::<Option<Vec<LegProof>>>()?).ok()?;
    let lanes = rollups.iter().map(|rollup| tree.prove(*rollup)).collect::<Option<Vec<LaneProof>>>()?;
    let (atomicity, expiry, salt) = (bundle.atomicity, bundle.expiry, bundle.salt);
    Some(BundleProof { atomicity, expiry, salt, lanes: List::new(lanes).ok()?, legs })
}

fn prove_leg(lane: &Lane, bundle: BundleId, position: u8) -> Option<ItemProof> {
    let is_leg = |item: &crate::LaneItem| item.place.leg == Some(crate::Leg { position, bundle });
    lane.prove_item(lane.items().iter().position(is_leg)?)
}

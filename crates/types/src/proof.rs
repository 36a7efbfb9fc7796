//! Proofs against an outcome: lanes, their absence, the registry, single transactions, and bundles with all their legs.
//!
//! A proof is a leaf (or two neighbours) and a [`MerklePath`]. It proves nothing by itself: the outcome it is checked
//! against has to be attested, or recomputed.

use crate::{
    Atomicity, BundleId, Digest, Height, ItemLeaf, Lane, LaneLeaf, MerklePath, Outcome, RegistryLeaf, RollupId, TxId,
    bundle_id, codec::List, codec_struct, limits::BUNDLE_LEGS_MAX,
};

/// What is wrong with a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The lane is not under the outcome's root.
    #[error("the path does not lead from the lane of rollup {0} to the outcome's lane root")]
    Lane(RollupId),
    /// Items were left out, added, changed or moved.
    #[error("these items are not the lane of rollup {0} that the outcome commits to")]
    Items(RollupId),
    /// The item is not in the lane.
    #[error("the path does not lead from {0} to the root of its lane")]
    Item(TxId),
    /// The neighbours do not enclose the rollup, or are none.
    #[error("the neighbours do not show that rollup {0} has no lane")]
    Absence(RollupId),
    /// The row is not under the outcome's root.
    #[error("the path does not lead from the row of rollup {0} to the outcome's registry root")]
    Registry(RollupId),
    /// The legs are not those that the bundle's id names.
    #[error("leg {0} is not the bundle's, or not in its place, or missing")]
    Leg(usize),
    /// A leg of a bundle where a transaction of its own is to be proven.
    #[error("{0} is there as the leg of a bundle only")]
    NotAlone(TxId),
}

/// That a rollup has a lane at a height: which, and when it had the one before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneProof {
    /// The lane.
    pub leaf: LaneLeaf,
    /// Its path.
    pub path: MerklePath,
}
codec_struct!(LaneProof { leaf, path });

impl LaneProof {
    /// Checks it against an outcome.
    ///
    /// # Errors
    ///
    /// The path leads elsewhere.
    pub fn verify(&self, outcome: &Outcome) -> Result<(), ProofError> {
        let holds = self.path.verify(&[self.leaf.digest()], &outcome.lanes);
        holds.then_some(()).ok_or(ProofError::Lane(self.leaf.rollup))
    }

    /// Checks that a lane is the one proven, with nothing left out.
    ///
    /// # Errors
    ///
    /// It is another one.
    pub fn covers(&self, lane: &Lane) -> Result<(), ProofError> {
        let same = lane.rollup() == self.leaf.rollup && lane.leaf(self.leaf.previous) == self.leaf;
        same.then_some(()).ok_or(ProofError::Items(self.leaf.rollup))
    }
}

/// That a rollup has no lane at a height: the lanes of its neighbours, which stand next to each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneAbsence {
    /// The rollup.
    pub rollup: RollupId,
    /// The last lane of a lower rollup; none if there is none.
    pub left: Option<LaneLeaf>,
    /// The first lane of a higher rollup; none if there is none.
    pub right: Option<LaneLeaf>,
    /// The path of those that exist.
    pub path: MerklePath,
}
codec_struct!(LaneAbsence { rollup, left, right, path });

impl LaneAbsence {
    /// Checks it against an outcome.
    ///
    /// # Errors
    ///
    /// The neighbours do not enclose the rollup, do not stand next to each other, or are not the outcome's.
    pub fn verify(&self, outcome: &Outcome) -> Result<(), ProofError> {
        let Self { rollup, left, right, path } = self;
        let enclosed =
            left.is_none_or(|left| left.rollup < *rollup) && right.is_none_or(|right| *rollup < right.rollup);
        // A neighbour may only be missing at the end of the tree.
        let at_start = left.is_some() || path.position == 0;
        let run: Vec<Digest> = left.iter().chain(right).map(LaneLeaf::digest).collect();
        let end = (path.position as usize).saturating_add(run.len());
        let at_end = right.is_some() || end == path.leaves as usize;
        let holds = enclosed && at_start && at_end && path.verify(&run, &outcome.lanes);
        holds.then_some(()).ok_or(ProofError::Absence(*rollup))
    }
}

/// When a rollup last had content, as of a height.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryProof {
    /// The row.
    pub leaf: RegistryLeaf,
    /// Its path.
    pub path: MerklePath,
}
codec_struct!(RegistryProof { leaf, path });

impl RegistryProof {
    /// Checks it against an outcome.
    ///
    /// # Errors
    ///
    /// The path leads elsewhere.
    pub fn verify(&self, outcome: &Outcome) -> Result<(), ProofError> {
        let holds = self.path.verify(&[self.leaf.digest()], &outcome.registry);
        holds.then_some(()).ok_or(ProofError::Registry(self.leaf.rollup))
    }
}

/// That an item stands in a lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemProof {
    /// The item.
    pub leaf: ItemLeaf,
    /// Its path.
    pub path: MerklePath,
}
codec_struct!(ItemProof { leaf, path });

impl ItemProof {
    fn verify(&self, lane: &LaneLeaf) -> Result<(), ProofError> {
        let holds = self.path.leaves == lane.items && self.path.verify(&[self.leaf.digest()], &lane.root);
        holds.then_some(()).ok_or(ProofError::Item(self.leaf.id))
    }
}

/// That a transaction was ordered, alone and not as a leg, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionProof {
    /// Its lane.
    pub lane: LaneProof,
    /// The transaction in it.
    pub item: ItemProof,
}
codec_struct!(TransactionProof { lane, item });

impl TransactionProof {
    /// The transaction.
    #[must_use]
    pub const fn id(&self) -> TxId {
        self.item.leaf.id
    }

    /// Checks it against an outcome.
    ///
    /// # Errors
    ///
    /// A path leads elsewhere, or the transaction is a leg.
    pub fn verify(&self, outcome: &Outcome) -> Result<(), ProofError> {
        if self.item.leaf.place.leg.is_some() {
            return Err(ProofError::NotAlone(self.id()));
        }
        self.lane.verify(outcome)?;
        self.item.verify(&self.lane.leaf)
    }
}

/// A leg of a bundle, and which of the proof's lanes it stands in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegProof {
    /// Index of its lane.
    pub lane: u8,
    /// The leg in it.
    pub item: ItemProof,
}
codec_struct!(LegProof { lane, item });

/// That a bundle was ordered, with all its legs, at one place of the global order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleProof {
    /// What the bundle promises.
    pub atomicity: Atomicity,
    /// The last height at which it could be ordered.
    pub expiry: Height,
    /// Its salt.
    pub salt: u64,
    /// The lanes of its rollups, rising.
    pub lanes: List<LaneProof, BUNDLE_LEGS_MAX>,
    /// Its legs, in order.
    pub legs: List<LegProof, BUNDLE_LEGS_MAX>,
}
codec_struct!(BundleProof { atomicity, expiry, salt, lanes, legs });

impl BundleProof {
    /// The bundle: its id follows from what is proven.
    #[must_use]
    pub fn id(&self) -> BundleId {
        let legs: Vec<TxId> = self.legs.iter().map(|leg| leg.item.leaf.id).collect();
        bundle_id(self.atomicity, self.expiry, self.salt, &legs)
    }

    /// Checks it against an outcome: every leg of the bundle, and nothing else, stands in its place.
    ///
    /// # Errors
    ///
    /// A path leads elsewhere, or a leg is missing, another's, or at another place.
    pub fn verify(&self, outcome: &Outcome) -> Result<(), ProofError> {
        for lane in self.lanes.iter() {
            lane.verify(outcome)?;
        }
        let id = self.id();
        let first = self.legs.first().ok_or(ProofError::Leg(0))?.item.leaf.place;
        for (position, LegProof { lane, item }) in self.legs.iter().enumerate() {
            let place = item.leaf.place;
            let here = (place.payload, place.unit) == (first.payload, first.unit);
            let named = place.leg.is_some_and(|leg| leg.bundle == id && usize::from(leg.position) == position);
            let lane = self.lanes.get(usize::from(*lane)).filter(|_| here && named);
            item.verify(&lane.ok_or(ProofError::Leg(position))?.leaf)?;
        }
        Ok(())
    }
}

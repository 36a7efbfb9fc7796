//! What an epoch fixes: validators, thresholds, leaders, ranks.

use crate::{mutation::Mutation, mutations::Mutations};
use chorale_types::{
    AvailabilityCertificate, BuilderId, EpochInfo, High, QuorumCertificate, Rank, Signers, ValidatorIndex, View,
};
use std::cell::Cell;

/// Leaders remembered: of a few views around the current one.
const LEADERS: u64 = 16;

/// An epoch with what follows from it.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) info: EpochInfo,
    /// The fixed certificate for view 0.
    pub(crate) start: QuorumCertificate,
    pub(crate) mutations: Mutations,
    weights: Vec<u64>,
    builders: Vec<BuilderId>,
    leaders: [Cell<Option<(View, ValidatorIndex)>>; 16],
}

impl Rules {
    pub(crate) fn new(info: EpochInfo, mutations: Mutations) -> Self {
        let weights = info.validators.iter().map(|(_, validator)| u64::from(validator.weight)).collect();
        let builders = info.validators.iter().map(|(_, validator)| validator.builder()).collect();
        let start = info.start_certificate();
        Self { start, mutations, weights, builders, leaders: std::array::from_fn(|_| Cell::new(None)), info }
    }

    /// Leader of a view. The draw hashes, so those around the current view are remembered.
    pub(crate) fn leader(&self, view: View) -> ValidatorIndex {
        let slot = &self.leaders[usize::try_from(view.0 % LEADERS).expect("below 16")];
        match slot.get() {
            Some((known, leader)) if known == view => leader,
            _ => {
                let leader = self.info.leader(view);
                slot.set(Some((view, leader)));
                leader
            }
        }
    }

    pub(crate) const fn validators(&self) -> usize {
        self.weights.len()
    }

    pub(crate) fn weight(&self, index: ValidatorIndex) -> u64 {
        self.weights.get(index.as_usize()).copied().unwrap_or_default()
    }

    pub(crate) fn is_member(&self, index: ValidatorIndex) -> bool {
        index.as_usize() < self.weights.len()
    }

    pub(crate) fn quorum(&self) -> u64 {
        if self.mutations.has(Mutation::QuorumOfHalf) {
            return self.info.validators.total() / 2 + 1;
        }
        self.info.validators.quorum()
    }

    pub(crate) fn is_quorum(&self, signers: &Signers) -> bool {
        self.info.validators.weight_of(signers).is_some_and(|weight| weight >= self.quorum())
    }

    /// How much the best that a validator knows counts.
    pub(crate) fn rank(&self, high: &High) -> Rank {
        let mut rank = high.rank();
        if self.mutations.has(Mutation::RankWithoutParent) {
            rank.parent = View(0);
        }
        rank
    }

    /// Whether a payload may be in a header of this view and author, as far as no signature is concerned.
    pub(crate) fn admits(&self, payload: &AvailabilityCertificate, view: View, author: ValidatorIndex) -> bool {
        payload.acknowledged.expiry >= view
            && self.builders.get(author.as_usize()) == Some(&payload.acknowledged.builder)
            && self.info.validators.is_quorum(&payload.signers)
    }
}

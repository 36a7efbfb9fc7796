//! Claims about executed rollups.

use crate::{Executed, LegsProof, ProvenLeg};
use chorale_types::{
    BundleEffect, BundleEffectProof, BundleId, DomainId, RollupHead, RollupHeadProof, RollupId, codec_enum,
};

/// What is claimed of executed rollups at a height.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExecutionClaim {
    /// This became of a bundle.
    Bundle(BundleEffectProof),
    /// A rollup is at this block.
    Head(RollupHeadProof),
    /// A bundle took effect, and this came of its legs.
    Legs(LegsProof),
}
codec_enum!(ExecutionClaim { 0 => Bundle, 1 => Head, 2 => Legs });

/// What is proven of executed rollups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProvenExecution {
    /// What became of a bundle: of all its legs, or of none.
    Bundle {
        /// Which.
        id: BundleId,
        /// The domain of its rollups.
        domain: DomainId,
        /// What became of it.
        effect: BundleEffect,
        /// What came of its legs, in order: of all, if that is proven too, or none.
        legs: Vec<ProvenLeg>,
    },
    /// Where a rollup is.
    Head(RollupHead),
}

/// Why a claim does not follow from an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExecutionProofError {
    /// The bundle is not under the outcome's root.
    #[error(
        "the path does not lead from bundle {0} and what is said to have become of it to the outcome's root of bundles"
    )]
    Bundle(BundleId),
    /// The head is not under the outcome's root.
    #[error("the path does not lead from the block of rollup {0} to the outcome's root of rollups")]
    Head(RollupId),
    /// Only what took effect is in blocks.
    #[error("legs are to be proven of bundle {0}, which took no effect")]
    NoLegs(BundleId),
    /// Not the header of the block.
    #[error("the header of rollup {0} is not that of its attested block")]
    Header(RollupId),
    /// Blocks in another order, or one twice.
    #[error("the block of rollup {0} is not after that of a lower rollup: blocks come by rollup, each once")]
    BlockOrder(RollupId),
    /// Nodes that prove nothing.
    #[error("of the trie nodes of rollup {0} one is not needed, or comes twice")]
    Nodes(RollupId),
    /// A leg without a block.
    #[error("leg {leg} is for a rollup whose block is not there")]
    NoBlock {
        /// Which, from 0.
        leg: usize,
    },
    /// The signed transaction is not under the block's root.
    #[error("the trie nodes do not lead from the block's root of transactions to leg {leg}")]
    Transaction {
        /// Which, from 0.
        leg: usize,
    },
    /// A receipt is not under the block's root.
    #[error(
        "the trie nodes do not lead from the block's root of receipts to those of leg {leg} and the transaction before"
    )]
    Receipt {
        /// Which, from 0.
        leg: usize,
    },
    /// A leg of a bundle that took effect succeeds.
    #[error("the receipt of leg {leg} says that it failed")]
    Failed {
        /// Which, from 0.
        leg: usize,
    },
    /// Other transactions than those of the bundle.
    #[error("with these terms, these transactions in this order are not the legs of bundle {0}")]
    OtherLegs(BundleId),
}

impl ExecutionClaim {
    /// Checks the claim against an attested outcome.
    ///
    /// # Errors
    ///
    /// It does not follow from it.
    pub fn verify(&self, executed: &Executed) -> Result<ProvenExecution, ExecutionProofError> {
        let outcome = executed.outcome();
        match self {
            Self::Bundle(proof) => {
                let (id, effect, domain) = (proof.bundle.id, proof.bundle.effect, outcome.domain);
                let holds = proof.holds(outcome);
                let proven = ProvenExecution::Bundle { id, domain, effect, legs: Vec::new() };
                holds.then_some(proven).ok_or(ExecutionProofError::Bundle(id))
            }
            Self::Head(proof) => {
                let holds = proof.holds(outcome);
                holds.then_some(ProvenExecution::Head(proof.head)).ok_or(ExecutionProofError::Head(proof.head.rollup))
            }
            Self::Legs(proof) => {
                let (id, effect) = (proof.effect.bundle.id, proof.effect.bundle.effect);
                let legs = proof.verify(outcome)?;
                Ok(ProvenExecution::Bundle { id, domain: outcome.domain, effect, legs })
            }
        }
    }
}

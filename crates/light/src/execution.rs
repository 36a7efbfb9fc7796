//! Claims about executed rollups.

use crate::Executed;
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
}
codec_enum!(ExecutionClaim { 0 => Bundle, 1 => Head });

/// What is proven of executed rollups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProvenExecution {
    /// What became of a bundle: of all its legs, or of none.
    Bundle {
        /// Which.
        id: BundleId,
        /// The domain of its rollups.
        domain: DomainId,
        /// What became of it.
        effect: BundleEffect,
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
                holds.then_some(ProvenExecution::Bundle { id, domain, effect }).ok_or(ExecutionProofError::Bundle(id))
            }
            Self::Head(proof) => {
                let holds = proof.holds(outcome);
                holds.then_some(ProvenExecution::Head(proof.head)).ok_or(ExecutionProofError::Head(proof.head.rollup))
            }
        }
    }
}

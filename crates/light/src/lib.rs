//! Verification from a genesis alone: what a follower, a wallet or an auditor checks, trusting no server.
//!
//! ```text
//! genesis -> validators of epoch 0 -> attested closing outcome -> validators of epoch 1 -> ...
//!                                  -> attested execution of a height -> bundle with its effect and legs, block of a rollup
//!                                  -> attested outcome of a height -> lane, absence, registry, transaction, bundle
//! ```
//!
//! - [`Light`] knows the validators of every epoch it was led to and turns an outcome with its attestation into an
//!   [`Attested`] one. Everything else takes only those.
//! - [`LaneFollower`] reads a rollup's lanes in order and refuses what skips, repeats, reorders or leaves out anything;
//!   [`FollowError`] tells a server that lies from a quorum that contradicts itself.
//! - [`ProofFile`] is a claim with all that proves it, to be kept and checked offline.
//!
//! All bytes are untrusted; no clock, socket or disk is needed. A server can only withhold, and [`LaneFollower::at_tip`]
//! shows that as well, as far as the tip is fresh: how old [`Attested::timestamp`] may be is the caller's to decide.

mod attested;
mod execution;
mod follower;
mod handover;
mod legs;
mod proof_file;
#[cfg(test)]
mod tests;
mod trie;

pub use attested::{Attested, Executed};
pub use execution::{ExecutionClaim, ExecutionProofError, ProvenExecution};
pub use follower::{FollowError, LaneFollower};
pub use handover::{HandOver, Light, LightError};
pub use legs::{EncodedBlock, HEADER_BYTES_MAX, LegBlock, LegPlace, LegTerms, LegsProof, NODE_BYTES_MAX, ProvenLeg};
pub use proof_file::{
    Claim, ExecutionProof, LaneClaim, OrderProof, Proof, ProofFile, ProofFileError, Proven, Verified,
};

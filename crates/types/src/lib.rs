//! The words of Chorale: what is signed, sent, stored and proven, with one canonical encoding.
//!
//! Everything here is data and stateless checks. Nothing knows a clock, a socket, a disk or another crate of Chorale.

pub mod codec;
pub mod limits;

mod account;
mod attestation;
mod block;
mod bls;
mod certificates;
mod evidence;
mod execution;
pub mod genesis;
mod ids;
mod lane;
mod manifest;
mod merkle;
mod messages;
mod outcome;
mod payload;
mod promise;
mod proof;
mod signers;
mod signing;
mod system;
mod table;
#[cfg(test)]
mod tests;
mod transaction;
mod trees;
mod validators;

pub use account::{AccountId, AccountSecret, AccountSignature};
pub use attestation::{Attestation, AttestationError, OutcomeVote};
pub use block::{AvailabilityCertificate, BlockReference, HEADER_BYTES_MAX, Header};
pub use bls::{Bls, ConsensusKey, ConsensusSecret};
pub use certificates::{
    CommitCertificate, High, QuorumCertificate, Rank, RankKind, TimeoutCertificate, TimeoutGroup, TimeoutQuorum, Tip,
};
pub use evidence::{Evidence, Fault};
pub use execution::{
    BundleEffect, BundleEffectProof, ExecutedBundle, ExecutedHeight, ExecutionOutcome, RollupHead, RollupHeadProof,
};
pub use genesis::{Genesis, GenesisError};
pub use ids::{
    BlockId, BundleId, ChainId, Commitment, Digest, DomainId, Epoch, Height, ParseIdError, RollupId, TimestampMs, TxId,
    ValidatorIndex, View, tagged_hash,
};
pub use lane::{ItemLeaf, Lane, LaneError, LaneItem, LaneLeaf, Leg, Place, RegistryLeaf};
pub use manifest::{Manifest, ManifestRollup};
pub use merkle::{MerklePath, SIBLINGS_MAX, merkle_root};
pub use messages::{CommitPair, CommitProof, CommitVote, Entry, Message, Nudge, Proposal, Reproposal, Timeout, Vote};
pub use outcome::{Outcome, PayloadStatus};
pub use payload::{
    ENTRY_OVERHEAD_BYTES, MalformedPayload, PAYLOAD_OVERHEAD_BYTES, Payload, PayloadTooLarge, PayloadUnit,
    SECTION_OVERHEAD_BYTES,
};
pub use promise::{Atomicity, Execution, PaidExecution, Promise, PromiseError, pay_message};
pub use proof::{
    BundleProof, ItemProof, LaneAbsence, LaneProof, LegProof, ProofError, RegistryProof, TransactionProof,
};
pub use signers::Signers;
pub use signing::{Acknowledged, BuilderId, Claim, Scheme, Signatories, Signature, Statement};
pub use system::{Resume, SystemItem};
pub use table::{HashKey, Table};
pub use transaction::{Bundle, Transaction, Unit, UnitId, bundle_id};
pub use trees::{LaneTree, OrderedBundle, OrderedLeg, RegistryTree, prove_bundle, prove_transaction};
pub use validators::{EpochInfo, NodeKey, Validator, ValidatorSet, ValidatorSetError, quantise};

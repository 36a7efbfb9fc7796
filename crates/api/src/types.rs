//! What methods take and answer.

use crate::{Base64Bytes, HexBytes};
use chorale_types::{OrderedBundle, Unit, codec::List, limits::LANE_ITEMS_MAX};
use serde::{Deserialize, Serialize};

/// A transaction of one rollup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransactionRequest {
    /// The rollup it is for.
    pub rollup: u64,
    /// The rollup's own encoding of it; opaque to the sequencer.
    pub data: HexBytes,
}

/// Transactions that are ordered together, next to each other, or not at all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BundleRequest {
    /// The transactions, in the order they are to stand in.
    pub legs: Vec<TransactionRequest>,
    /// The last height at which it may be ordered.
    pub expiry: u64,
    /// Makes equal content distinct.
    #[serde(default)]
    pub salt: u64,
    /// That all of them are to take effect, or none; left out if they are only to be ordered together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution: Option<ExecutionRequest>,
}

/// What it takes for a bundle to execute as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExecutionRequest {
    /// The domain of its rollups.
    pub domain: u64,
    /// Who pays: an address of 20 bytes.
    pub payer: HexBytes,
    /// Wei that the payer pays at most, in decimal digits.
    pub max_fee: String,
    /// Counts from 0.
    #[serde(default)]
    pub attempt: u32,
    /// The payer's signature: r, s and v, 65 bytes.
    pub signature: HexBytes,
}

/// Transactions and bundles of one batch at most.
pub const BATCH_UNITS_MAX: usize = 4_096;

/// What `submitBatch` takes, in the canonical encoding.
pub type UnitBatch = List<Unit, BATCH_UNITS_MAX>;

/// What became of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchAnswer {
    /// How many are in the pool of this node, durably.
    pub accepted: u64,
    /// The others.
    pub rejected: Vec<BatchRejection>,
}

/// One of a batch that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchRejection {
    /// Its place in the batch, from 0.
    pub position: u64,
    /// The error code.
    pub code: i32,
    /// Why, and what would be right.
    pub message: String,
}

/// Where a transaction or bundle is: the states in the order in which they are passed, and then ends without effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// In the pool of this node.
    Pending,
    /// A proposed payload claims to carry it.
    Proposed,
    /// The block of such a payload is certified.
    Certified,
    /// The block of such a payload is committed; content and position are not known yet.
    Committed,
    /// This node knows its position.
    Revealed,
    /// A quorum of the stake attests its position: it can be proven to anyone.
    OrderAttested,
    /// Ordered, but without effect.
    Skipped,
    /// Taken out of the pool.
    Evicted,
    /// Not ordered in time.
    Expired,
    /// Never taken into the pool.
    Rejected,
}

/// The status of a transaction or bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusAnswer {
    /// Where it is.
    pub state: State,
    /// The height it stands in; before it is revealed, that of the block whose payload carries it, says its manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height: Option<u64>,
    /// Its payload at that height, and its number in the payload's order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<(u8, u32)>,
    /// Why it is without effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The states that it has passed, in order, as far as this node saw its height pass them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passed: Vec<Passed>,
}

/// A state that something has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Passed {
    /// The state.
    pub state: State,
    /// The height it stands in.
    pub height: u64,
    /// The view of that height's header; none if the node saw none of it, as after an absence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub view: Option<u64>,
    /// When this node saw it, in milliseconds since 1970.
    pub time_ms: u64,
}

/// A committed header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeaderAnswer {
    /// Its height.
    pub height: u64,
    /// Its hash.
    pub id: String,
    /// Its epoch.
    pub epoch: u64,
    /// Its view.
    pub view: u64,
    /// What its leader says of the time, in milliseconds since 1970.
    pub timestamp_ms: u64,
    /// Index of its leader.
    pub author: u16,
    /// Commitments of its payloads, in order.
    pub payloads: Vec<String>,
    /// The canonical encoding.
    pub encoded: HexBytes,
}

/// A committed block with all that its payloads opened to, as far as a node has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BlockAnswer {
    /// Its height.
    pub height: u64,
    /// The header, in the canonical encoding.
    pub header: HexBytes,
    /// Proves that the block is committed, in the canonical encoding (`CommitProof`); none if only a later block of those
    /// committed together has the proof, or the node follows attestations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit_proof: Option<HexBytes>,
    /// What the height brought, in the canonical encoding (`Outcome`).
    pub outcome: HexBytes,
    /// The attestation of the outcome, if there is one yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attestation: Option<HexBytes>,
    /// The payloads of the header, in its order.
    pub payloads: Vec<BlockPayload>,
}

/// A payload of a committed block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BlockPayload {
    /// The manifest that its certificate names, in the canonical encoding.
    pub manifest: HexBytes,
    /// What it opened to; none if it is malformed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opened: Option<OpenedPayload>,
}

/// What a payload opened to. Sealed again for the validators of its epoch, it has the commitment of its certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OpenedPayload {
    /// The key it was sealed with: 32 bytes.
    pub key: HexBytes,
    /// Its bytes.
    pub payload: Base64Bytes,
}

/// A rollup's lane at a height, provable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LaneAnswer {
    /// The height.
    pub height: u64,
    /// Whether the rollup has content at this height.
    pub has_content: bool,
    /// The outcome of the height, in the canonical encoding.
    pub outcome: HexBytes,
    /// The attestation of the outcome, if there is one yet.
    pub attestation: Option<HexBytes>,
    /// The claim (lane with its proof, or its absence), in the canonical encoding.
    pub claim: HexBytes,
    /// The bundles that have legs in the lane, in the canonical encoding ([`LaneBundles`]). Their ids prove them.
    pub bundles: HexBytes,
}

/// The bundles of a lane, in the global order.
pub type LaneBundles = List<OrderedBundle, LANE_ITEMS_MAX>;

/// When a rollup last had content, provable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LastContentAnswer {
    /// The height that this is as of.
    pub height: u64,
    /// The last height with content; 0 if there was none.
    pub last: u64,
    /// The outcome of `height`, in the canonical encoding.
    pub outcome: HexBytes,
    /// The attestation of the outcome, in the canonical encoding.
    pub attestation: HexBytes,
    /// The claim, in the canonical encoding.
    pub claim: HexBytes,
}

/// A header on its way into the chain. A hint: another one may be committed at its height.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeaderHint {
    /// Its height.
    pub height: u64,
    /// Its view.
    pub view: u64,
    /// Its hash.
    pub id: String,
}

/// What a subscription to a rollup tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum RollupEvent {
    /// The rollup's lane at the next height with content, attested: each once, in order, none left out.
    Lane(LaneAnswer),
    /// A header was proposed. May be left out, and may come to nothing.
    Proposed(HeaderHint),
    /// A header was certified in its own view: lost only if its leader is provably faulty. May be left out.
    Certified(HeaderHint),
}

/// A validator of an epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ValidatorAnswer {
    /// Its name in the genesis.
    pub name: String,
    /// Its identity on the mesh.
    pub node: String,
    /// Its consensus key.
    pub key: String,
    /// Its weight.
    pub weight: u16,
    /// The domains of executed rollups that it attests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<u64>,
}

/// The validators of an epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ValidatorsAnswer {
    /// The epoch.
    pub epoch: u64,
    /// The last height of the epoch.
    pub closing_height: u64,
    /// The sum of all weights.
    pub total_weight: u64,
    /// The weight of a quorum.
    pub quorum: u64,
    /// The validators by index.
    pub validators: Vec<ValidatorAnswer>,
}

/// A domain of executed rollups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DomainAnswer {
    /// The domain.
    pub domain: u64,
    /// Its rollups.
    pub rollups: Vec<u64>,
    /// The weight of the validators that attest it, in the current epoch.
    pub weight: u64,
    /// The weight that an attestation takes; 0 if nobody attests it.
    pub quorum: u64,
    /// The last height that this node has an attestation of; none if it has none.
    pub attested: Option<u64>,
    /// The height of the last attestation that was ordered; 0 if there was none.
    pub ordered: u64,
    /// The first height with content that no ordered attestation covers; none if all is covered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<u64>,
    /// Its rollups for which nothing is ordered at present.
    pub suspended: Vec<SuspendedRollup>,
}

/// A rollup for which nothing is ordered, because what its domain became was not attested in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SuspendedRollup {
    /// The rollup.
    pub rollup: u64,
    /// Since this height.
    pub since: u64,
}

/// Attestations of executed rollups answered at once, at most.
pub const EXECUTION_ATTESTATIONS_MAX: usize = 256;
/// Outcomes of executed rollups answered at once, at most.
pub const EXECUTED_MAX: usize = 256;

/// Proof that a validator broke the rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EvidenceAnswer {
    /// The validator's identity on the mesh.
    pub node: String,
    /// The epoch in which it did.
    pub epoch: u64,
    /// Its index in that epoch.
    pub index: u16,
    /// What it did: two of its signatures contradict each other.
    pub fault: String,
    /// The proof, in the canonical encoding (`Evidence`).
    pub encoded: HexBytes,
}

/// Evidence answered at once, at most.
pub const EVIDENCE_MAX: usize = 64;

/// What one rollup holds of the pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RollupFigures {
    /// The rollup.
    pub rollup: u64,
    /// Entries.
    pub entries: u64,
    /// Bytes.
    pub bytes: u64,
}

/// Figures of the pool. Counts are since the node was started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MempoolAnswer {
    /// Entries in it.
    pub entries: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// By rollup.
    pub rollups: Vec<RollupFigures>,
    /// Entries taken in.
    pub admitted: u64,
    /// Entries refused.
    pub rejected: u64,
    /// Entries ordered with effect.
    pub revealed: u64,
    /// Entries ordered without effect.
    pub skipped: u64,
    /// Entries that were not ordered in time.
    pub expired: u64,
    /// Entries taken out to make room.
    pub evicted: u64,
}

/// What a node is and how far it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeAnswer {
    /// The chain's name.
    pub name: String,
    /// The chain's id.
    pub chain: String,
    /// The version of the program.
    pub version: String,
    /// Its identity on the mesh; none if it is a full node, which is not on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Its index among the validators; none if it follows.
    pub index: Option<u16>,
    /// The epoch it is in.
    pub epoch: u64,
    /// The view it is in.
    pub view: u64,
    /// Index of the view's leader.
    pub leader: u16,
    /// The last committed height.
    pub committed: u64,
    /// The last height whose content it knows and has settled.
    pub settled: u64,
    /// The last height up to which all are attested.
    pub attested: u64,
    /// Transactions and bundles settled since it was started.
    pub units_settled: u64,
    /// Ids of the rollups.
    pub rollups: Vec<u64>,
}

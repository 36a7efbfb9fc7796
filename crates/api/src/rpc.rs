//! The methods.

use crate::{
    Base64Bytes, BatchAnswer, BlockAnswer, BundleRequest, DomainAnswer, EvidenceAnswer, HeaderAnswer, HexBytes,
    LaneAnswer, LastContentAnswer, MempoolAnswer, NodeAnswer, RollupEvent, StatusAnswer, TransactionRequest,
    ValidatorsAnswer,
};
use jsonrpsee::{
    core::{RpcResult, SubscriptionResult},
    proc_macros::rpc,
};

/// The name of the method that subscribes to a rollup.
pub const SUBSCRIBE_METHOD: &str = "chorale_subscribeRollup";
/// The name of the one that ends a subscription.
pub const UNSUBSCRIBE_METHOD: &str = "chorale_unsubscribeRollup";
/// The name that its notifications have.
pub const NOTIFICATION_METHOD: &str = "chorale_rollup";

/// The interface of a node.
#[rpc(server, client, namespace = "chorale")]
pub trait ChoraleApi {
    /// Submits a transaction. Answers its id when it is in the pool of this node, durably.
    #[method(name = "submitTransaction")]
    async fn submit_transaction(&self, transaction: TransactionRequest) -> RpcResult<String>;

    /// Submits many transactions and bundles at once: a [`UnitBatch`](crate::UnitBatch) in the canonical encoding, in
    /// base64. Answers when those that are accepted are in the pool of this node, durably; who submits knows their ids.
    #[method(name = "submitBatch")]
    async fn submit_batch(&self, units: Base64Bytes) -> RpcResult<BatchAnswer>;

    /// Submits a bundle. Answers its id when it is in the pool of this node, durably.
    #[method(name = "submitBundle")]
    async fn submit_bundle(&self, bundle: BundleRequest) -> RpcResult<String>;

    /// The status of a transaction.
    #[method(name = "transactionStatus")]
    async fn transaction_status(&self, id: String) -> RpcResult<StatusAnswer>;

    /// The status of a bundle.
    #[method(name = "bundleStatus")]
    async fn bundle_status(&self, id: String) -> RpcResult<StatusAnswer>;

    /// A proof file for a transaction: everything that shows its position, from the genesis alone; or from an epoch whose
    /// validators the caller knows.
    #[method(name = "proveTransaction")]
    async fn prove_transaction(&self, id: String, from_epoch: Option<u64>) -> RpcResult<HexBytes>;

    /// A proof file for a bundle with all its legs.
    #[method(name = "proveBundle")]
    async fn prove_bundle(&self, id: String, from_epoch: Option<u64>) -> RpcResult<HexBytes>;

    /// A rollup's lane at a height, with proof; or the proof that it has none there.
    #[method(name = "lane")]
    async fn lane(&self, rollup: u64, height: u64) -> RpcResult<LaneAnswer>;

    /// The next height after this one at which a rollup has content; none if there is none yet.
    #[method(name = "nextContent")]
    async fn next_content(&self, rollup: u64, after: u64) -> RpcResult<Option<u64>>;

    /// When a rollup last had content, as of the newest attested height, with proof: who has all up to there knows that
    /// nothing is missing.
    #[method(name = "lastContent")]
    async fn last_content(&self, rollup: u64) -> RpcResult<LastContentAnswer>;

    /// Subscribes to a rollup from a height on, over WebSocket: all that was there is told first, then what comes. Who was
    /// cut off goes on, on any node, from the height after the last lane it got.
    #[subscription(name = "subscribeRollup" => "rollup", unsubscribe = "unsubscribeRollup", item = RollupEvent)]
    async fn subscribe_rollup(&self, rollup: u64, from_height: u64) -> SubscriptionResult;

    /// A committed header.
    #[method(name = "header")]
    async fn header(&self, height: u64) -> RpcResult<HeaderAnswer>;

    /// A committed block that is settled, with all that its payloads opened to: what a full node needs of a height.
    #[method(name = "block")]
    async fn block(&self, height: u64) -> RpcResult<BlockAnswer>;

    /// The attestation of a height, in the canonical encoding.
    #[method(name = "attestation")]
    async fn attestation(&self, height: u64) -> RpcResult<HexBytes>;

    /// Attestations of what the rollups of a domain became at heights with content, after this height: they rise, each in
    /// the canonical encoding; at most [`EXECUTION_ATTESTATIONS_MAX`](crate::EXECUTION_ATTESTATIONS_MAX).
    #[method(name = "executionAttestations")]
    async fn execution_attestations(&self, domain: u64, after: u64) -> RpcResult<Vec<HexBytes>>;

    /// The domains of executed rollups, and how far each is attested.
    #[method(name = "domains")]
    async fn domains(&self) -> RpcResult<Vec<DomainAnswer>>;

    /// The validators of an epoch.
    #[method(name = "validators")]
    async fn validators(&self, epoch: u64) -> RpcResult<ValidatorsAnswer>;

    /// What leads from an epoch to the next: the attested outcome of its closing height with the validators that it
    /// names, in the canonical encoding (`HandOver`).
    #[method(name = "handOver")]
    async fn hand_over(&self, epoch: u64) -> RpcResult<HexBytes>;

    /// Proofs that validators broke the rules, in the order in which this node learned of them, from a position on; at most
    /// [`EVIDENCE_MAX`](crate::EVIDENCE_MAX).
    #[method(name = "evidence")]
    async fn evidence(&self, from: u64) -> RpcResult<Vec<EvidenceAnswer>>;

    /// Figures of the pool.
    #[method(name = "mempool")]
    async fn mempool(&self) -> RpcResult<MempoolAnswer>;

    /// What the node is and how far it is.
    #[method(name = "node")]
    async fn node(&self) -> RpcResult<NodeAnswer>;

    /// Answers while the process serves requests.
    #[method(name = "health")]
    fn health(&self) -> RpcResult<String>;

    /// Answers "ready" when the node has committed something and is not behind with settling.
    #[method(name = "ready")]
    async fn ready(&self) -> RpcResult<String>;
}

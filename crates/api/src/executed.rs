//! What a node of executed rollups answers besides Ethereum's methods: to validators, and as proofs for anyone. `docs/rollups.md`
//! describes it.

use crate::HexBytes;
use jsonrpsee::{core::RpcResult, proc_macros::rpc};

/// What a node of a domain tells a validator that attests for it. Served at the address of each of its rollups.
#[rpc(server, client, namespace = "chorale")]
pub trait ExecutorApi {
    /// What the rollups became at heights with content, after this height: outcomes (`ExecutionOutcome`) that rise, in the
    /// canonical encoding, at most `max` (and at most [`EXECUTED_MAX`](crate::EXECUTED_MAX)). If there is none yet, waits up
    /// to `wait_ms` for one.
    #[method(name = "executed")]
    async fn executed(&self, after: u64, max: u32, wait_ms: u64) -> RpcResult<Vec<HexBytes>>;
}

/// Proofs of what executed rollups became. Served by a node of their domain, at the address of each of its rollups.
#[rpc(server, client, namespace = "chorale")]
pub trait ExecutionProofsApi {
    /// A proof file of what became of a bundle: everything that shows it, from the genesis alone; or from an epoch whose
    /// validators the caller knows.
    #[method(name = "proveBundleEffect")]
    async fn prove_bundle_effect(&self, id: String, from_epoch: Option<u64>) -> RpcResult<HexBytes>;

    /// A proof file of the block, with its state root, that the rollup has after the last height that is attested.
    #[method(name = "proveHead")]
    async fn prove_head(&self, from_epoch: Option<u64>) -> RpcResult<HexBytes>;
}

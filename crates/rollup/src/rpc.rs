//! Ethereum's JSON-RPC, as far as wallets and tools need it. See the
//! [specification](https://ethereum.github.io/execution-apis/); what differs is said at the method.

use crate::{calls::BlockAsked, filling::Filled};
use alloy_eips::{BlockId, BlockNumberOrTag, eip2930::AccessListResult};
use alloy_primitives::{Address, B256, Bytes, TxHash, U64, U256};
use alloy_rpc_types_eth::{
    AccountInfo, Block, EIP1186AccountProofResponse, FeeHistory, Filter, Index, Log, Transaction, TransactionReceipt,
    TransactionRequest, state::StateOverride,
};
use jsonrpsee::{
    core::{RpcResult, SubscriptionResult},
    proc_macros::rpc,
};
use serde_json::Value;

/// `eth_`.
#[rpc(server, namespace = "eth")]
pub(crate) trait Eth {
    #[method(name = "chainId")]
    fn chain_id(&self) -> RpcResult<U64>;

    /// Whether this node is still behind what is attested.
    #[method(name = "syncing")]
    fn syncing(&self) -> RpcResult<bool>;

    /// None: this node holds no keys.
    #[method(name = "accounts")]
    fn accounts(&self) -> RpcResult<Vec<Address>>;

    #[method(name = "blockNumber")]
    fn block_number(&self) -> RpcResult<U64>;

    #[method(name = "getBlockByNumber")]
    async fn block_by_number(&self, number: BlockNumberOrTag, full: bool) -> RpcResult<Option<Block>>;

    #[method(name = "getBlockByHash")]
    async fn block_by_hash(&self, hash: B256, full: bool) -> RpcResult<Option<Block>>;

    #[method(name = "getBlockTransactionCountByNumber")]
    async fn transaction_count_by_number(&self, number: BlockNumberOrTag) -> RpcResult<Option<U64>>;

    #[method(name = "getBlockTransactionCountByHash")]
    async fn transaction_count_by_hash(&self, hash: B256) -> RpcResult<Option<U64>>;

    #[method(name = "getTransactionByHash")]
    async fn transaction_by_hash(&self, hash: TxHash) -> RpcResult<Option<Transaction>>;

    #[method(name = "getTransactionByBlockNumberAndIndex")]
    async fn transaction_by_number(&self, number: BlockNumberOrTag, index: Index) -> RpcResult<Option<Transaction>>;

    #[method(name = "getTransactionByBlockHashAndIndex")]
    async fn transaction_by_block(&self, hash: B256, index: Index) -> RpcResult<Option<Transaction>>;

    #[method(name = "getTransactionReceipt")]
    async fn receipt(&self, hash: TxHash) -> RpcResult<Option<TransactionReceipt>>;

    #[method(name = "getBlockReceipts")]
    async fn receipts(&self, block: BlockId) -> RpcResult<Option<Vec<TransactionReceipt>>>;

    #[method(name = "getTransactionCount")]
    fn transaction_count(&self, address: Address, block: Option<BlockId>) -> RpcResult<U64>;

    #[method(name = "getBalance")]
    fn balance(&self, address: Address, block: Option<BlockId>) -> RpcResult<U256>;

    #[method(name = "getCode")]
    fn code(&self, address: Address, block: Option<BlockId>) -> RpcResult<Bytes>;

    #[method(name = "getStorageAt")]
    fn storage(&self, address: Address, slot: U256, block: Option<BlockId>) -> RpcResult<B256>;

    #[method(name = "getProof")]
    async fn proof(
        &self,
        address: Address,
        slots: Vec<U256>,
        block: Option<BlockId>,
    ) -> RpcResult<EIP1186AccountProofResponse>;

    #[method(name = "call")]
    async fn call(
        &self,
        request: TransactionRequest,
        block: Option<BlockId>,
        state: Option<StateOverride>,
        block_asked: Option<BlockAsked>,
    ) -> RpcResult<Bytes>;

    #[method(name = "estimateGas")]
    async fn estimate_gas(
        &self,
        request: TransactionRequest,
        block: Option<BlockId>,
        state: Option<StateOverride>,
        block_asked: Option<BlockAsked>,
    ) -> RpcResult<U64>;

    /// The accounts and slots that a call touches, but for those that it touches anyway.
    #[method(name = "createAccessList")]
    async fn create_access_list(
        &self,
        request: TransactionRequest,
        block: Option<BlockId>,
        state: Option<StateOverride>,
    ) -> RpcResult<AccessListResult>;

    /// Adds what is missing for a signature.
    #[method(name = "fillTransaction")]
    async fn fill_transaction(&self, request: TransactionRequest) -> RpcResult<Filled>;

    /// Balance, nonce and code at once.
    #[method(name = "getAccountInfo")]
    fn account_info(&self, address: Address, block: Option<BlockId>) -> RpcResult<AccountInfo>;

    /// Nobody uses blobs here, so they cost the least that they can.
    #[method(name = "blobBaseFee")]
    fn blob_base_fee(&self) -> RpcResult<U64>;

    /// None, of a block that there is.
    #[method(name = "getUncleCountByBlockHash")]
    async fn uncle_count_by_hash(&self, hash: B256) -> RpcResult<Option<U64>>;

    #[method(name = "getUncleCountByBlockNumber")]
    async fn uncle_count_by_number(&self, number: BlockNumberOrTag) -> RpcResult<Option<U64>>;

    #[method(name = "getUncleByBlockHashAndIndex")]
    fn uncle_by_hash(&self, hash: B256, index: Index) -> RpcResult<Option<Block>>;

    #[method(name = "getUncleByBlockNumberAndIndex")]
    fn uncle_by_number(&self, number: BlockNumberOrTag, index: Index) -> RpcResult<Option<Block>>;

    #[method(name = "gasPrice")]
    fn gas_price(&self) -> RpcResult<U256>;

    #[method(name = "maxPriorityFeePerGas")]
    fn max_priority_fee_per_gas(&self) -> RpcResult<U256>;

    #[method(name = "feeHistory")]
    async fn fee_history(
        &self,
        count: U64,
        newest: BlockNumberOrTag,
        percentiles: Option<Vec<f64>>,
    ) -> RpcResult<FeeHistory>;

    /// Answers when the transaction is in the sequencers' shared pool, durably.
    #[method(name = "sendRawTransaction")]
    async fn send_raw_transaction(&self, transaction: Bytes) -> RpcResult<TxHash>;

    /// Answers with the receipt (EIP-7966); the timeout is in milliseconds.
    #[method(name = "sendRawTransactionSync")]
    async fn send_raw_transaction_sync(
        &self,
        transaction: Bytes,
        timeout: Option<U64>,
    ) -> RpcResult<TransactionReceipt>;

    #[method(name = "getLogs")]
    async fn logs(&self, filter: Filter) -> RpcResult<Vec<Log>>;

    /// `newHeads`, `logs`, and `newPendingTransactions`: those that this node takes.
    #[subscription(name = "subscribe" => "subscription", unsubscribe = "unsubscribe", item = Value)]
    async fn subscribe(&self, kind: String, about: Option<Value>) -> SubscriptionResult;
}

/// `net_`.
#[rpc(server, namespace = "net")]
pub(crate) trait Net {
    #[method(name = "version")]
    fn version(&self) -> RpcResult<String>;

    /// Nodes that this one follows.
    #[method(name = "peerCount")]
    fn peer_count(&self) -> RpcResult<U64>;

    #[method(name = "listening")]
    fn listening(&self) -> RpcResult<bool>;
}

/// `web3_`.
#[rpc(server, namespace = "web3")]
pub(crate) trait Web3 {
    #[method(name = "clientVersion")]
    fn client_version(&self) -> RpcResult<String>;

    /// Keccak-256, not SHA-3.
    #[method(name = "sha3")]
    fn sha3(&self, data: Bytes) -> RpcResult<B256>;
}

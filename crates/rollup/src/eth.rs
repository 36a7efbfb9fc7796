//! The answers to Ethereum's JSON-RPC.

use crate::{
    access::access_list,
    answers,
    calls::{Asked, BlockAsked},
    errors::{INVALID_PARAMETERS, refused},
    fees::TIP,
    filling::Filled,
    rpc::{EthServer, NetServer, Web3Server},
    server::Server,
};
use alloy_eips::{BlockId, BlockNumberOrTag, eip2930::AccessListResult};
use alloy_primitives::{Address, B256, Bytes, TxHash, U64, U256, keccak256};
use alloy_rpc_types_eth::{
    AccountInfo, Block, EIP1186AccountProofResponse, EIP1186StorageProof, FeeHistory, Filter, Index, Log, Transaction,
    TransactionReceipt, TransactionRequest, state::StateOverride,
};
use alloy_serde::JsonStorageKey;
use chorale_evm::Chain;
use jsonrpsee::{
    PendingSubscriptionSink,
    core::{RpcResult, SubscriptionResult, async_trait},
};
use serde_json::Value;

/// Slots of one proof.
const PROOF_SLOTS_MAX: usize = 1_024;

#[async_trait]
impl EthServer for Server {
    fn chain_id(&self) -> RpcResult<U64> {
        Ok(U64::from(self.rollup.0))
    }

    fn syncing(&self) -> RpcResult<bool> {
        Ok(!*self.level.borrow())
    }

    fn accounts(&self) -> RpcResult<Vec<Address>> {
        Ok(Vec::new())
    }

    fn block_number(&self) -> RpcResult<U64> {
        Ok(U64::from(self.latest().head().number))
    }

    async fn block_by_number(&self, number: BlockNumberOrTag, full: bool) -> RpcResult<Option<Block>> {
        let Some(block) = self.block(number.into()).await? else { return Ok(None) };
        self.heavy.run(move || Some(answers::block(&block, full))).await
    }

    async fn block_by_hash(&self, hash: B256, full: bool) -> RpcResult<Option<Block>> {
        let Some(block) = self.block(hash.into()).await? else { return Ok(None) };
        self.heavy.run(move || Some(answers::block(&block, full))).await
    }

    async fn transaction_count_by_number(&self, number: BlockNumberOrTag) -> RpcResult<Option<U64>> {
        Ok(self.block(number.into()).await?.map(|block| U64::from(block.transactions.len())))
    }

    async fn transaction_count_by_hash(&self, hash: B256) -> RpcResult<Option<U64>> {
        Ok(self.block(hash.into()).await?.map(|block| U64::from(block.transactions.len())))
    }

    async fn transaction_by_hash(&self, hash: TxHash) -> RpcResult<Option<Transaction>> {
        // Before its block: in between it would be in neither.
        let pending = self.read().pending[&self.rollup].get(hash).map(answers::pending);
        let found = self.transaction(hash).await?.map(|(block, index)| answers::transaction(&block, index));
        Ok(found.or(pending))
    }

    async fn transaction_by_number(&self, number: BlockNumberOrTag, index: Index) -> RpcResult<Option<Transaction>> {
        Ok(self.block(number.into()).await?.and_then(|block| nth(&block, index.0)))
    }

    async fn transaction_by_block(&self, hash: B256, index: Index) -> RpcResult<Option<Transaction>> {
        Ok(self.block(hash.into()).await?.and_then(|block| nth(&block, index.0)))
    }

    async fn receipt(&self, hash: TxHash) -> RpcResult<Option<TransactionReceipt>> {
        Ok(self.transaction(hash).await?.map(|(block, index)| answers::receipt(&block, index)))
    }

    async fn receipts(&self, block: BlockId) -> RpcResult<Option<Vec<TransactionReceipt>>> {
        let Some(block) = self.block(block).await? else { return Ok(None) };
        self.heavy.run(move || Some(answers::receipts(&block))).await
    }

    fn transaction_count(&self, address: Address, block: Option<BlockId>) -> RpcResult<U64> {
        if block == Some(BlockId::pending()) {
            let published = self.read();
            let state = self.blocks_in(&published).latest().state();
            return Ok(U64::from(published.pending[&self.rollup].next_nonce(address, state)));
        }
        let view = self.view(block)?;
        Ok(U64::from(view.state().account(address).map_or(0, |account| account.nonce)))
    }

    fn balance(&self, address: Address, block: Option<BlockId>) -> RpcResult<U256> {
        Ok(self.view(block)?.state().account(address).map_or(U256::ZERO, |account| account.balance))
    }

    fn code(&self, address: Address, block: Option<BlockId>) -> RpcResult<Bytes> {
        let view = self.view(block)?;
        Ok(code_of(&view, address))
    }

    fn storage(&self, address: Address, slot: U256, block: Option<BlockId>) -> RpcResult<B256> {
        Ok(self.view(block)?.state().slot(address, slot).into())
    }

    async fn proof(
        &self,
        address: Address,
        slots: Vec<U256>,
        block: Option<BlockId>,
    ) -> RpcResult<EIP1186AccountProofResponse> {
        if slots.len() > PROOF_SLOTS_MAX {
            return Err(refused(INVALID_PARAMETERS, format!("at most {PROOF_SLOTS_MAX} slots can be proven at once")));
        }
        let view = self.view(block)?;
        let proof = self.heavy.run(move || view.account_proof(address, &slots)).await?;
        let account = proof.account.unwrap_or_default();
        let storage_proof = proof.slots.into_iter().map(|slot| EIP1186StorageProof {
            key: JsonStorageKey::Number(slot.slot),
            value: slot.value,
            proof: slot.proof,
        });
        Ok(EIP1186AccountProofResponse {
            address,
            balance: account.balance,
            code_hash: account.code_hash,
            nonce: account.nonce,
            storage_hash: proof.storage_hash,
            account_proof: proof.proof,
            storage_proof: storage_proof.collect(),
        })
    }

    async fn call(
        &self,
        request: TransactionRequest,
        block: Option<BlockId>,
        state: Option<StateOverride>,
        block_asked: Option<BlockAsked>,
    ) -> RpcResult<Bytes> {
        self.called(request, block, Asked { state, block: block_asked }).await
    }

    async fn estimate_gas(
        &self,
        request: TransactionRequest,
        block: Option<BlockId>,
        state: Option<StateOverride>,
        block_asked: Option<BlockAsked>,
    ) -> RpcResult<U64> {
        self.estimated(request, block, Asked { state, block: block_asked }).await
    }

    async fn create_access_list(
        &self,
        request: TransactionRequest,
        block: Option<BlockId>,
        state: Option<StateOverride>,
    ) -> RpcResult<AccessListResult> {
        self.on_ground(request, block, Asked { state, block: None }, access_list).await
    }

    async fn fill_transaction(&self, request: TransactionRequest) -> RpcResult<Filled> {
        self.filled(request).await
    }

    fn account_info(&self, address: Address, block: Option<BlockId>) -> RpcResult<AccountInfo> {
        let view = self.view(block)?;
        let account = view.state().account(address).copied().unwrap_or_default();
        Ok(AccountInfo { balance: account.balance, nonce: account.nonce, code: code_of(&view, address) })
    }

    fn blob_base_fee(&self) -> RpcResult<U64> {
        Ok(U64::ONE)
    }

    async fn uncle_count_by_hash(&self, hash: B256) -> RpcResult<Option<U64>> {
        Ok(self.block(hash.into()).await?.map(|_| U64::ZERO))
    }

    async fn uncle_count_by_number(&self, number: BlockNumberOrTag) -> RpcResult<Option<U64>> {
        Ok(self.block(number.into()).await?.map(|_| U64::ZERO))
    }

    fn uncle_by_hash(&self, _hash: B256, _index: Index) -> RpcResult<Option<Block>> {
        Ok(None)
    }

    fn uncle_by_number(&self, _number: BlockNumberOrTag, _index: Index) -> RpcResult<Option<Block>> {
        Ok(None)
    }

    fn gas_price(&self) -> RpcResult<U256> {
        Ok(U256::from(self.proposed_gas_price()))
    }

    fn max_priority_fee_per_gas(&self) -> RpcResult<U256> {
        Ok(U256::from(TIP))
    }

    async fn fee_history(
        &self,
        count: U64,
        newest: BlockNumberOrTag,
        percentiles: Option<Vec<f64>>,
    ) -> RpcResult<FeeHistory> {
        let server = self.clone();
        self.heavy.run(move || server.history_of_fees(count.to::<u64>(), newest, percentiles)).await?
    }

    async fn send_raw_transaction(&self, transaction: Bytes) -> RpcResult<TxHash> {
        self.take_transaction(transaction).await
    }

    async fn send_raw_transaction_sync(
        &self,
        transaction: Bytes,
        timeout: Option<U64>,
    ) -> RpcResult<TransactionReceipt> {
        self.take_and_wait(transaction, timeout).await
    }

    async fn logs(&self, filter: Filter) -> RpcResult<Vec<Log>> {
        let server = self.clone();
        self.heavy.run(move || server.logs_of(&filter)).await?
    }

    async fn subscribe(
        &self,
        pending: PendingSubscriptionSink,
        kind: String,
        about: Option<Value>,
    ) -> SubscriptionResult {
        self.serve_subscription(pending, &kind, about).await
    }
}

fn code_of(view: &Chain, address: Address) -> Bytes {
    let account = view.state().account(address);
    let code = account.and_then(|account| view.state().code(account.code_hash));
    code.map(|code| code.original_bytes()).unwrap_or_default()
}

fn nth(block: &chorale_evm::Block, index: usize) -> Option<Transaction> {
    (index < block.transactions.len()).then(|| answers::transaction(block, index))
}

impl NetServer for Server {
    fn version(&self) -> RpcResult<String> {
        Ok(self.rollup.to_string())
    }

    fn peer_count(&self) -> RpcResult<U64> {
        Ok(U64::from(self.nodes.iter().count()))
    }

    fn listening(&self) -> RpcResult<bool> {
        Ok(true)
    }
}

impl Web3Server for Server {
    fn client_version(&self) -> RpcResult<String> {
        Ok(concat!("chorale/v", env!("CARGO_PKG_VERSION")).to_owned())
    }

    fn sha3(&self, data: Bytes) -> RpcResult<B256> {
        Ok(keccak256(data))
    }
}

//! The answers to Ethereum's JSON-RPC.

use crate::{
    answers,
    errors::{INVALID_PARAMETERS, SERVER_ERROR, failed, refused},
    fees::TIP,
    rpc::{EthServer, NetServer, Web3Server},
    server::Server,
};
use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{Address, B256, Bytes, TxHash, TxKind, U64, U256};
use alloy_rpc_types_eth::{
    Block, EIP1186AccountProofResponse, EIP1186StorageProof, FeeHistory, Filter, Index, Log, Transaction,
    TransactionReceipt, TransactionRequest,
};
use alloy_serde::JsonStorageKey;
use chorale_evm::{Call, Called, Chain};
use jsonrpsee::{
    PendingSubscriptionSink,
    core::{RpcResult, SubscriptionResult, async_trait},
};

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
        let code = |view: &Chain| {
            let code_hash = view.state().account(address)?.code_hash;
            Some(view.state().code(code_hash)?.original_bytes())
        };
        Ok(code(&view).unwrap_or_default())
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

    async fn call(&self, request: TransactionRequest, block: Option<BlockId>) -> RpcResult<Bytes> {
        let view = self.view(block)?;
        let called = self.heavy.run(move || view.call(&as_call(&view, &request))).await?;
        match called {
            Ok(Called::Success { output, .. }) => Ok(output),
            Ok(called) => Err(failed(called)),
            Err(invalid) => Err(refused(SERVER_ERROR, words(&invalid))),
        }
    }

    async fn estimate_gas(&self, request: TransactionRequest, block: Option<BlockId>) -> RpcResult<U64> {
        let view = self.view(block)?;
        let estimated = self.heavy.run(move || view.estimate_gas(&affordable(&view, as_call(&view, &request)))).await?;
        match estimated {
            Ok(Ok(gas)) => Ok(U64::from(gas)),
            Ok(Err(called)) => Err(failed(called)),
            Err(invalid) => Err(refused(SERVER_ERROR, words(&invalid))),
        }
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

    async fn logs(&self, filter: Filter) -> RpcResult<Vec<Log>> {
        let server = self.clone();
        self.heavy.run(move || server.logs_of(&filter)).await?
    }

    async fn subscribe(
        &self,
        pending: PendingSubscriptionSink,
        kind: String,
        filter: Option<Filter>,
    ) -> SubscriptionResult {
        self.serve_subscription(pending, &kind, filter).await
    }
}

/// What a request is as a call. A gas limit that is left out is that of a block.
pub(crate) fn as_call(view: &Chain, request: &TransactionRequest) -> Call {
    let limit = view.rules().gas_limit;
    Call {
        from: request.from.unwrap_or_default(),
        to: request.to.unwrap_or(TxKind::Create),
        value: request.value.unwrap_or_default(),
        input: request.input.input().cloned().unwrap_or_default(),
        gas_limit: request.gas.unwrap_or(limit).min(limit),
        gas_price: request.max_fee_per_gas.or(request.gas_price).unwrap_or_default(),
        access_list: request.access_list.clone().unwrap_or_default(),
        authorizations: request.authorization_list.clone().unwrap_or_default(),
    }
}

/// With no more gas than its sender can pay for, if it pays: what is asked for is how much it needs.
fn affordable(view: &Chain, call: Call) -> Call {
    if call.gas_price == 0 {
        return call;
    }
    let balance = view.state().account(call.from).map_or(U256::ZERO, |account| account.balance);
    let gas = balance.saturating_sub(call.value) / U256::from(call.gas_price);
    Call { gas_limit: call.gas_limit.min(gas.saturating_to()), ..call }
}

/// An invalid transaction, in the words that wallets look for.
fn words(invalid: &chorale_evm::InvalidTransaction) -> String {
    match invalid {
        chorale_evm::InvalidTransaction::LackOfFundForMaxFee { fee, balance } => {
            format!("insufficient funds for gas * price + value: balance {balance}, tx cost {fee}")
        }
        other => other.to_string(),
    }
}

fn nth(block: &chorale_evm::Block, index: usize) -> Option<Transaction> {
    (index < block.transactions.len()).then(|| answers::transaction(block, index))
}

impl NetServer for Server {
    fn version(&self) -> RpcResult<String> {
        Ok(self.rollup.to_string())
    }

    fn listening(&self) -> RpcResult<bool> {
        Ok(true)
    }
}

impl Web3Server for Server {
    fn client_version(&self) -> RpcResult<String> {
        Ok(concat!("chorale/v", env!("CARGO_PKG_VERSION")).to_owned())
    }
}

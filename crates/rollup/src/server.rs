//! The answers to Ethereum's JSON-RPC.

use crate::{
    answers,
    blocks::Blocks,
    pending::Pending,
    rpc::{EthServer, NetServer, Web3Server},
};
use alloy_consensus::Transaction as _;
use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{Address, B256, Bytes, TxHash, TxKind, U64, U256, hex};
use alloy_rpc_types_eth::{
    Block, EIP1186AccountProofResponse, EIP1186StorageProof, FeeHistory, Filter, FilterBlockOption, Index, Log,
    Transaction, TransactionReceipt, TransactionRequest,
};
use alloy_serde::JsonStorageKey;
use chorale_api::{ChoraleApiClient as _, HexBytes};
use chorale_client::Nodes;
use chorale_evm::{Call, Called, SignedTransaction, State, recover};
use jsonrpsee::{
    PendingSubscriptionSink, SubscriptionMessage,
    core::{RpcResult, SubscriptionResult, async_trait},
    types::ErrorObjectOwned,
};
use serde_json::Value;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use tokio::sync::broadcast;

/// Blocks that one answer about logs or fees looks at.
const BLOCKS_PER_ANSWER_MAX: u64 = 10_000;
/// Logs of one answer.
const LOGS_PER_ANSWER_MAX: usize = 10_000;
/// Blocks of one fee history.
const FEE_BLOCKS_MAX: u64 = 1_024;
/// Percentiles of one fee history.
const PERCENTILES_MAX: usize = 100;
/// Slots of one proof.
const PROOF_SLOTS_MAX: usize = 1_024;
/// What is proposed as a tip, in wei: something above nothing, as nobody competes by it yet.
const TIP: u64 = 1_000_000;

/// Ethereum's codes: a reverted call, wrong parameters, and everything else.
const REVERTED: i32 = 3;
const INVALID_PARAMETERS: i32 = -32602;
const SERVER_ERROR: i32 = -32000;

fn refused(code: i32, message: impl Into<String>) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(code, message.into(), None::<()>)
}

/// What all methods share.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) blocks: Arc<RwLock<Blocks>>,
    pub(crate) pending: Arc<RwLock<Pending>>,
    /// Tells of every new block by its number.
    pub(crate) news: broadcast::Sender<u64>,
    pub(crate) nodes: Nodes,
}

impl Server {
    fn blocks(&self) -> RwLockReadGuard<'_, Blocks> {
        self.blocks.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the state, if it is that of the block asked for.
    fn state<T>(&self, block: Option<BlockId>, look: impl FnOnce(&Blocks) -> T) -> RpcResult<T> {
        let blocks = self.blocks();
        let head = blocks.head().number;
        let found = match block {
            None => head,
            Some(block) => blocks.find(block).ok_or_else(|| refused(SERVER_ERROR, "block not found"))?.header.number,
        };
        if found != head {
            let message = format!("the state of block {found} is not kept; that of the last one, {head}, is");
            return Err(refused(SERVER_ERROR, message));
        }
        Ok(look(&blocks))
    }

    /// What a request is as a call. A gas limit that is left out is that of a block.
    fn as_call(blocks: &Blocks, request: &TransactionRequest) -> Call {
        let limit = blocks.chain().rules().gas_limit;
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

    /// Whether a transaction could be in the next block, as far as its sender's account tells.
    fn admit(&self, transaction: &SignedTransaction) -> RpcResult<()> {
        let blocks = self.blocks();
        let chain = blocks.chain();
        let account = chain.state().account(transaction.signer()).copied().unwrap_or_default();
        let refuse = |message: String| Err(refused(SERVER_ERROR, message));
        if transaction.nonce() < account.nonce {
            let (next, nonce) = (account.nonce, transaction.nonce());
            return refuse(format!("nonce too low: next nonce {next}, tx nonce {nonce}"));
        }
        if transaction.gas_limit() > chain.rules().gas_limit {
            return refuse(format!("exceeds block gas limit of {}", chain.rules().gas_limit));
        }
        let fee = u128::from(transaction.gas_limit()).saturating_mul(transaction.max_fee_per_gas());
        let cost = transaction.value().saturating_add(U256::from(fee));
        if cost > account.balance {
            let balance = account.balance;
            return refuse(format!("insufficient funds for gas * price + value: balance {balance}, tx cost {cost}"));
        }
        let base_fee = u128::from(chain.next_base_fee());
        if transaction.max_fee_per_gas() < base_fee {
            let most = transaction.max_fee_per_gas();
            return refuse(format!(
                "max fee per gas less than block base fee: maxFeePerGas: {most}, baseFee: {base_fee}"
            ));
        }
        Ok(())
    }

    /// Hands a transaction to the first of the nodes that takes it.
    async fn submit(&self, data: &Bytes) -> RpcResult<()> {
        let rollup = self.blocks().chain().rules().chain_id;
        let mut failed = String::from("no node is left");
        for node in self.nodes.iter() {
            let request = chorale_api::TransactionRequest { rollup, data: HexBytes(data.to_vec()) };
            match node.client.submit_transaction(request).await {
                Ok(_) => return Ok(()),
                Err(error) => failed = format!("{}: {error}", node.url),
            }
        }
        Err(refused(SERVER_ERROR, format!("the sequencer does not take it: {failed}")))
    }

    fn logs_of(&self, filter: &Filter) -> RpcResult<Vec<Log>> {
        let blocks = self.blocks();
        let (first, last) = match filter.block_option {
            FilterBlockOption::AtBlockHash(hash) => {
                let number = blocks.number_of(hash).ok_or_else(|| refused(SERVER_ERROR, "unknown block"))?;
                (number, number)
            }
            FilterBlockOption::Range { from_block, to_block } => {
                let number = |tag: Option<BlockNumberOrTag>| blocks.number(tag.unwrap_or_default());
                (number(from_block), number(to_block).min(blocks.head().number))
            }
        };
        if last.saturating_sub(first) >= BLOCKS_PER_ANSWER_MAX {
            let message = format!("the range is of more than {BLOCKS_PER_ANSWER_MAX} blocks; ask for parts of it");
            return Err(refused(INVALID_PARAMETERS, message));
        }
        let mut found = Vec::new();
        for block in (first..=last).filter_map(|number| blocks.block(number)) {
            if filter.matches_bloom(block.header.logs_bloom) {
                found.extend(answers::logs(block).into_iter().filter(|log| filter.matches(&log.inner)));
            }
            if found.len() > LOGS_PER_ANSWER_MAX {
                let message = format!("more than {LOGS_PER_ANSWER_MAX} logs match; ask for fewer blocks");
                return Err(refused(INVALID_PARAMETERS, message));
            }
        }
        Ok(found)
    }
}

/// The error of a call that fails.
fn failed(called: Called) -> ErrorObjectOwned {
    match called {
        Called::Success { .. } => refused(SERVER_ERROR, "it succeeds"),
        Called::Revert { output } => {
            ErrorObjectOwned::owned(REVERTED, "execution reverted", Some(hex::encode_prefixed(output)))
        }
        Called::Halt { out_of_gas: true, .. } => refused(SERVER_ERROR, "out of gas"),
        Called::Halt { reason, .. } => refused(SERVER_ERROR, format!("execution failed: {reason}")),
    }
}

#[async_trait]
impl EthServer for Server {
    fn chain_id(&self) -> RpcResult<U64> {
        Ok(U64::from(self.blocks().chain().rules().chain_id))
    }

    fn syncing(&self) -> RpcResult<bool> {
        Ok(false)
    }

    fn accounts(&self) -> RpcResult<Vec<Address>> {
        Ok(Vec::new())
    }

    fn block_number(&self) -> RpcResult<U64> {
        Ok(U64::from(self.blocks().head().number))
    }

    fn block_by_number(&self, number: BlockNumberOrTag, full: bool) -> RpcResult<Option<Block>> {
        Ok(self.blocks().find(number.into()).map(|block| answers::block(block, full)))
    }

    fn block_by_hash(&self, hash: B256, full: bool) -> RpcResult<Option<Block>> {
        Ok(self.blocks().find(hash.into()).map(|block| answers::block(block, full)))
    }

    fn transaction_count_by_number(&self, number: BlockNumberOrTag) -> RpcResult<Option<U64>> {
        Ok(self.blocks().find(number.into()).map(|block| U64::from(block.transactions.len())))
    }

    fn transaction_count_by_hash(&self, hash: B256) -> RpcResult<Option<U64>> {
        Ok(self.blocks().find(hash.into()).map(|block| U64::from(block.transactions.len())))
    }

    fn transaction_by_hash(&self, hash: TxHash) -> RpcResult<Option<Transaction>> {
        if let Some((block, index)) = self.blocks().transaction(hash) {
            return Ok(Some(answers::transaction(block, index)));
        }
        let pending = self.pending.read().unwrap_or_else(PoisonError::into_inner);
        Ok(pending.get(hash).map(answers::pending))
    }

    fn transaction_by_number(&self, number: BlockNumberOrTag, index: Index) -> RpcResult<Option<Transaction>> {
        Ok(self.blocks().find(number.into()).and_then(|block| nth(block, index.0)))
    }

    fn transaction_by_block(&self, hash: B256, index: Index) -> RpcResult<Option<Transaction>> {
        Ok(self.blocks().find(hash.into()).and_then(|block| nth(block, index.0)))
    }

    fn receipt(&self, hash: TxHash) -> RpcResult<Option<TransactionReceipt>> {
        Ok(self.blocks().transaction(hash).map(|(block, index)| answers::receipt(block, index)))
    }

    fn receipts(&self, block: BlockId) -> RpcResult<Option<Vec<TransactionReceipt>>> {
        let blocks = self.blocks();
        let all = |block: &chorale_evm::Block| {
            (0..block.transactions.len()).map(|index| answers::receipt(block, index)).collect()
        };
        Ok(blocks.find(block).map(all))
    }

    fn transaction_count(&self, address: Address, block: Option<BlockId>) -> RpcResult<U64> {
        let is_pending = block == Some(BlockId::pending());
        let nonce = self.state(block, |blocks| {
            let state = blocks.chain().state();
            if is_pending {
                return self.pending.read().unwrap_or_else(PoisonError::into_inner).next_nonce(address, state);
            }
            state.account(address).map_or(0, |account| account.nonce)
        })?;
        Ok(U64::from(nonce))
    }

    fn balance(&self, address: Address, block: Option<BlockId>) -> RpcResult<U256> {
        self.state(block, |blocks| blocks.chain().state().account(address).map_or(U256::ZERO, |it| it.balance))
    }

    fn code(&self, address: Address, block: Option<BlockId>) -> RpcResult<Bytes> {
        let code = |state: &State| {
            let code_hash = state.account(address)?.code_hash;
            Some(state.code(code_hash)?.original_bytes())
        };
        self.state(block, |blocks| code(blocks.chain().state()).unwrap_or_default())
    }

    fn storage(&self, address: Address, slot: U256, block: Option<BlockId>) -> RpcResult<B256> {
        self.state(block, |blocks| blocks.chain().state().slot(address, slot).into())
    }

    fn proof(
        &self,
        address: Address,
        slots: Vec<U256>,
        block: Option<BlockId>,
    ) -> RpcResult<EIP1186AccountProofResponse> {
        if slots.len() > PROOF_SLOTS_MAX {
            return Err(refused(INVALID_PARAMETERS, format!("at most {PROOF_SLOTS_MAX} slots can be proven at once")));
        }
        // A proof brings the tries up to date, which they are after a block: nothing changes.
        self.state(block, |_| ())?;
        let mut blocks = self.blocks.write().unwrap_or_else(PoisonError::into_inner);
        let proof = blocks.chain_mut().account_proof(address, &slots);
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

    fn call(&self, request: TransactionRequest, block: Option<BlockId>) -> RpcResult<Bytes> {
        let called = self.state(block, |blocks| blocks.chain().call(&Self::as_call(blocks, &request)))?;
        match called {
            Ok(Called::Success { output, .. }) => Ok(output),
            Ok(called) => Err(failed(called)),
            Err(invalid) => Err(refused(SERVER_ERROR, invalid.to_string())),
        }
    }

    fn estimate_gas(&self, request: TransactionRequest, block: Option<BlockId>) -> RpcResult<U64> {
        let estimated = self.state(block, |blocks| blocks.chain().estimate_gas(&Self::as_call(blocks, &request)))?;
        match estimated {
            Ok(Ok(gas)) => Ok(U64::from(gas)),
            Ok(Err(called)) => Err(failed(called)),
            Err(invalid) => Err(refused(SERVER_ERROR, invalid.to_string())),
        }
    }

    fn gas_price(&self) -> RpcResult<U256> {
        Ok(U256::from(self.blocks().chain().next_base_fee() + TIP))
    }

    fn max_priority_fee_per_gas(&self) -> RpcResult<U256> {
        Ok(U256::from(TIP))
    }

    fn fee_history(
        &self,
        count: U64,
        newest: BlockNumberOrTag,
        percentiles: Option<Vec<f64>>,
    ) -> RpcResult<FeeHistory> {
        let blocks = self.blocks();
        let last = blocks.number(newest).min(blocks.head().number);
        let count = count.to::<u64>().clamp(1, FEE_BLOCKS_MAX).min(last + 1);
        let first = last + 1 - count;
        let looked_at: Vec<_> = (first..=last).filter_map(|number| blocks.block(number)).collect();
        let mut base_fees: Vec<u128> =
            looked_at.iter().map(|block| u128::from(block.header.base_fee_per_gas.unwrap_or_default())).collect();
        let next = looked_at.last().map(|block| blocks.chain().rules().next_base_fee(&block.header));
        base_fees.push(u128::from(next.unwrap_or_default()));
        #[expect(clippy::cast_precision_loss, reason = "gas is far below 2^52")]
        let ratio = |block: &&chorale_evm::Block| block.header.gas_used as f64 / block.header.gas_limit as f64;
        let percentiles = percentiles.unwrap_or_default();
        if percentiles.len() > PERCENTILES_MAX {
            return Err(refused(INVALID_PARAMETERS, format!("at most {PERCENTILES_MAX} percentiles can be asked for")));
        }
        Ok(FeeHistory {
            base_fee_per_blob_gas: vec![1; base_fees.len()],
            blob_gas_used_ratio: vec![0.0; looked_at.len()],
            base_fee_per_gas: base_fees,
            gas_used_ratio: looked_at.iter().map(ratio).collect(),
            oldest_block: first,
            reward: (!percentiles.is_empty())
                .then(|| looked_at.iter().map(|block| rewards(block, &percentiles)).collect()),
        })
    }

    async fn send_raw_transaction(&self, transaction: Bytes) -> RpcResult<TxHash> {
        let chain_id = self.blocks().chain().rules().chain_id;
        let signed = recover(&transaction, chain_id).map_err(|error| refused(SERVER_ERROR, error.to_string()))?;
        let hash = *signed.inner().tx_hash();
        if self.blocks().transaction(hash).is_some() {
            return Err(refused(SERVER_ERROR, "already known"));
        }
        self.admit(&signed)?;
        self.submit(&transaction).await?;
        self.pending.write().unwrap_or_else(PoisonError::into_inner).insert(signed);
        Ok(hash)
    }

    fn logs(&self, filter: Filter) -> RpcResult<Vec<Log>> {
        self.logs_of(&filter)
    }

    async fn subscribe(
        &self,
        pending: PendingSubscriptionSink,
        kind: String,
        filter: Option<Filter>,
    ) -> SubscriptionResult {
        if kind != "newHeads" && kind != "logs" {
            let message = format!("there is no subscription {kind:?}; there are newHeads and logs");
            pending.reject(refused(INVALID_PARAMETERS, message)).await;
            return Ok(());
        }
        let mut news = self.news.subscribe();
        let sink = pending.accept().await?;
        let filter = filter.unwrap_or_default();
        loop {
            let number = tokio::select! {
                () = sink.closed() => return Ok(()),
                number = news.recv() => match number {
                    Ok(number) => number,
                    // Who reads too slowly is cut off: it can ask for what it missed, and would not know that it did.
                    Err(_) => return Ok(()),
                },
            };
            for item in self.tell(number, &kind, &filter) {
                sink.send(SubscriptionMessage::from(serde_json::value::to_raw_value(&item)?)).await?;
            }
        }
    }
}

impl Server {
    /// What a subscriber is told of a block.
    fn tell(&self, number: u64, kind: &str, filter: &Filter) -> Vec<Value> {
        let blocks = self.blocks();
        let Some(block) = blocks.block(number) else { return Vec::new() };
        let json = |value: Result<Value, serde_json::Error>| value.unwrap_or_default();
        if kind == "newHeads" {
            return vec![json(serde_json::to_value(answers::header(block)))];
        }
        let logs = answers::logs(block).into_iter().filter(|log| filter.matches(&log.inner));
        logs.map(|log| json(serde_json::to_value(log))).collect()
    }
}

fn nth(block: &chorale_evm::Block, index: usize) -> Option<Transaction> {
    (index < block.transactions.len()).then(|| answers::transaction(block, index))
}

/// What was paid above the base fee at each percentile of the gas that a block used, by whoever paid least first.
fn rewards(block: &chorale_evm::Block, percentiles: &[f64]) -> Vec<u128> {
    let base_fee = block.header.base_fee_per_gas.unwrap_or_default();
    let mut before = 0;
    let mut paid: Vec<(u128, u64)> = Vec::with_capacity(block.transactions.len());
    for (transaction, receipt) in block.transactions.iter().zip(&block.receipts) {
        let gas_used = receipt.cumulative_gas_used() - before;
        before = receipt.cumulative_gas_used();
        paid.push((transaction.effective_tip_per_gas(base_fee).unwrap_or_default(), gas_used));
    }
    paid.sort_unstable();
    #[expect(clippy::cast_precision_loss, reason = "gas is far below 2^52")]
    let at = |percentile: &f64| {
        let wanted = block.header.gas_used as f64 * percentile / 100.0;
        let mut gas = 0;
        let found = paid.iter().find(|(_, gas_used)| {
            gas += gas_used;
            gas as f64 >= wanted
        });
        found.map_or(0, |(tip, _)| *tip)
    };
    percentiles.iter().map(at).collect()
}

impl NetServer for Server {
    fn version(&self) -> RpcResult<String> {
        Ok(self.blocks().chain().rules().chain_id.to_string())
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

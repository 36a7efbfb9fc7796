//! Blocks, transactions and receipts in the words of Ethereum's JSON-RPC.

use alloy_consensus::Transaction as _;
use alloy_primitives::{Address, TxKind, U256};
use alloy_rlp::{Encodable as _, length_of_length};
use alloy_rpc_types_eth::{
    Block as BlockAnswer, BlockTransactions, Header as HeaderAnswer, Log, Transaction as TransactionAnswer,
    TransactionReceipt,
};
use chorale_evm::{Block, SignedTransaction};

/// A header as `eth_subscribe` tells it.
pub(crate) fn header(block: &Block) -> HeaderAnswer {
    HeaderAnswer { hash: block.header.hash(), inner: block.header.inner().clone(), total_difficulty: None, size: None }
}

/// A block with its transactions, or with their hashes.
pub(crate) fn block(block: &Block, full: bool) -> BlockAnswer {
    let transactions = if full {
        BlockTransactions::Full((0..block.transactions.len()).map(|index| transaction(block, index)).collect())
    } else {
        BlockTransactions::Hashes(block.transactions.iter().map(|it| *it.inner().tx_hash()).collect())
    };
    let mut header = header(block);
    header.size = Some(U256::from(size(block)));
    BlockAnswer { header, uncles: Vec::new(), transactions, withdrawals: Some(Default::default()) }
}

/// Bytes of the block's RLP: header, transactions, no ommers, no withdrawals.
fn size(block: &Block) -> usize {
    let list = |payload: usize| payload + length_of_length(payload);
    let transactions = block.transactions.iter().map(|it| it.inner().length()).sum();
    list(block.header.inner().length() + list(transactions) + 1 + 1)
}

/// A transaction in its block.
pub(crate) fn transaction(block: &Block, index: usize) -> TransactionAnswer {
    let signed = &block.transactions[index];
    TransactionAnswer {
        effective_gas_price: Some(signed.effective_gas_price(block.header.base_fee_per_gas)),
        inner: signed.recovered().clone(),
        block_hash: Some(block.header.hash()),
        block_number: Some(block.header.number),
        transaction_index: Some(index as u64),
        block_timestamp: Some(block.header.timestamp),
    }
}

/// A transaction that is in no block yet.
pub(crate) fn pending(signed: &SignedTransaction) -> TransactionAnswer {
    TransactionAnswer {
        effective_gas_price: None,
        inner: signed.recovered().clone(),
        block_hash: None,
        block_number: None,
        transaction_index: None,
        block_timestamp: None,
    }
}

/// The logs of a block, in order, each with its place.
pub(crate) fn logs(block: &Block) -> Vec<Log> {
    let mut logs = Vec::new();
    for index in 0..block.receipts.len() {
        logs.extend(logs_of(block, index, logs.len()));
    }
    logs
}

/// The logs of one transaction; `first` is the place of the first of them in the block.
fn logs_of(block: &Block, index: usize, first: usize) -> Vec<Log> {
    let log = |(place, log): (usize, &alloy_primitives::Log)| Log {
        inner: log.clone(),
        block_hash: Some(block.header.hash()),
        block_number: Some(block.header.number),
        block_timestamp: Some(block.header.timestamp),
        transaction_hash: Some(*block.transactions[index].inner().tx_hash()),
        transaction_index: Some(index as u64),
        log_index: Some(place as u64),
        removed: false,
    };
    (first..).zip(block.receipts[index].logs()).map(log).collect()
}

/// The receipt of a transaction.
pub(crate) fn receipt(block: &Block, index: usize) -> TransactionReceipt {
    let first = block.receipts[..index].iter().map(|it| it.logs().len()).sum();
    receipt_with_logs_from(block, index, first)
}

/// The receipts of all transactions of a block.
pub(crate) fn receipts(block: &Block) -> Vec<TransactionReceipt> {
    let mut first = 0;
    let mut all = Vec::with_capacity(block.receipts.len());
    for (index, receipt) in block.receipts.iter().enumerate() {
        all.push(receipt_with_logs_from(block, index, first));
        first += receipt.logs().len();
    }
    all
}

/// `first` is the place of the first of its logs in the block.
fn receipt_with_logs_from(block: &Block, index: usize, first: usize) -> TransactionReceipt {
    let (signed, receipt) = (&block.transactions[index], &block.receipts[index]);
    let before = index.checked_sub(1).map_or(0, |before| block.receipts[before].cumulative_gas_used());
    let mut logs = logs_of(block, index, first).into_iter();
    TransactionReceipt {
        inner: receipt.clone().map_logs(|_| logs.next().expect("as many as in the receipt")),
        transaction_hash: *signed.inner().tx_hash(),
        transaction_index: Some(index as u64),
        block_hash: Some(block.header.hash()),
        block_number: Some(block.header.number),
        gas_used: receipt.cumulative_gas_used() - before,
        effective_gas_price: signed.effective_gas_price(block.header.base_fee_per_gas),
        blob_gas_used: None,
        blob_gas_price: None,
        from: signed.signer(),
        to: signed.to(),
        contract_address: created(signed),
    }
}

fn created(signed: &SignedTransaction) -> Option<Address> {
    matches!(signed.kind(), TxKind::Create).then(|| signed.signer().create(signed.nonce()))
}

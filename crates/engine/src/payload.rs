//! A block as `engine_newPayload` takes it.

use crate::client::{NEW_PAYLOAD_V3, NEW_PAYLOAD_V4, json};
use alloy_consensus::{BlockBody, TxEnvelope};
use alloy_primitives::B256;
use alloy_rpc_types_engine::ExecutionPayloadV3;
use chorale_evm::Block;
use serde_json::{Value, json};

/// The method that takes a block, and its parameters. Which one, is said by the block: the fork that it is of.
pub(crate) fn new_payload(block: &Block) -> (&'static str, Vec<Value>) {
    let header = &block.header;
    let transactions = block.transactions.iter().map(|signed| signed.inner().clone()).collect();
    let body = BlockBody::<TxEnvelope> { transactions, ommers: Vec::new(), withdrawals: Some(Default::default()) };
    let whole = alloy_consensus::Block::new(header.inner().clone(), body);
    let payload = ExecutionPayloadV3::from_block_unchecked(header.hash(), &whole);
    let beacon_root: B256 = header.parent_beacon_block_root.unwrap_or_default();
    // There are no blobs, so no hashes of any.
    let mut params = vec![json(&payload), json!([]), json(&beacon_root)];
    if header.requests_hash.is_none() {
        return (NEW_PAYLOAD_V3, params);
    }
    params.push(json(&block.requests));
    (NEW_PAYLOAD_V4, params)
}

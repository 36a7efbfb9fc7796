//! Clients of the OP stack: they make the blocks, of transactions that are given to them
//! ([Engine API of the OP stack](https://specs.optimism.io/protocol/exec-engine.html)).

use crate::{
    alarm::Reason,
    client::{
        Answered, ClientBlock, FORKCHOICE_V3, GET_PAYLOAD_V3, GET_PAYLOAD_V4, GET_PAYLOAD_V5, NEW_PAYLOAD_V3,
        NEW_PAYLOAD_V4, PayloadStatus, Updated, Verdict, json,
    },
    deposit::{DEPOSIT_TYPE, attributes_of_the_layer_below},
    driver::Heads,
    handing::{Asked, Session, Stop, Taken},
    trouble::Trouble,
};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B64, B256, Bytes, U64, keccak256};
use chorale_evm::Block;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json as object};

/// `Unsupported fork`: the method is of another one than the block.
const UNSUPPORTED_FORK: i32 = -38_005;
/// The extra data of a header since Holocene: version 0, denominator and elasticity of EIP-1559.
const HOLOCENE_BYTES: usize = 9;
/// Since Jovian: version 1, the same, and the least base fee.
const JOVIAN_BYTES: usize = 17;

/// What a client is to make a block of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Attributes {
    timestamp: U64,
    prev_randao: B256,
    suggested_fee_recipient: Address,
    withdrawals: [(); 0],
    parent_beacon_block_root: B256,
    transactions: Vec<Bytes>,
    no_tx_pool: bool,
    gas_limit: U64,
    #[serde(skip_serializing_if = "Option::is_none")]
    eip1559_params: Option<B64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_base_fee: Option<u64>,
}

/// A block that the client made.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Built {
    execution_payload: Value,
    parent_beacon_block_root: B256,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct BuiltPayload {
    parent_hash: B256,
    fee_recipient: Address,
    prev_randao: B256,
    block_number: U64,
    gas_limit: U64,
    timestamp: U64,
    block_hash: B256,
    transactions: Vec<Bytes>,
    withdrawals: Vec<Value>,
}

/// What a client calls a block is its own; what it is made of tells whether it is the rollup's.
pub(crate) fn is_made_of(theirs: &ClientBlock, ours: &Block) -> bool {
    let first = keccak256(attributes_of_the_layer_below(ours.header.number));
    let expected = std::iter::once(first).chain(ours.transactions.iter().map(|signed| *signed.inner().tx_hash()));
    theirs.timestamp.to::<u64>() == ours.header.timestamp
        && theirs.mix_hash == ours.header.mix_hash
        && theirs.transactions.iter().copied().eq(expected)
}

/// `parent_extra_data` tells which fork the chain is in: the rule for its base fee is handed on from block to block.
fn attributes(block: &Block, parent_extra_data: &[u8]) -> Attributes {
    let header = &block.header;
    let first = attributes_of_the_layer_below(header.number);
    debug_assert_eq!(first[0], DEPOSIT_TYPE);
    let others = block.transactions.iter().map(|signed| signed.inner().encoded_2718().into());
    let length = parent_extra_data.len();
    let has_rule = length == HOLOCENE_BYTES || length == JOVIAN_BYTES;
    let minimum = parent_extra_data.get(HOLOCENE_BYTES..).filter(|_| length == JOVIAN_BYTES);
    Attributes {
        timestamp: U64::from(header.timestamp),
        prev_randao: header.mix_hash,
        suggested_fee_recipient: header.beneficiary,
        withdrawals: [],
        parent_beacon_block_root: header.parent_beacon_block_root.unwrap_or_default(),
        transactions: std::iter::once(first).chain(others).collect(),
        no_tx_pool: true,
        gas_limit: U64::from(header.gas_limit),
        eip1559_params: has_rule.then(|| B64::from_slice(&parent_extra_data[1..HOLOCENE_BYTES])),
        min_base_fee: minimum.and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes),
    }
}

impl Session<'_> {
    /// Has the client make the block that has what a block of the rollup has, and makes that its head.
    pub(crate) async fn have_built(&mut self, block: &Block, before: Heads) -> Result<Taken, Stop> {
        let state = self.heads_state(before).await?;
        let parent = self.client.block_at(before.latest).await?;
        let Some(parent) = parent else { return Ok(Taken::Lacking) };
        let attributes = attributes(block, &parent.extra_data);
        let params = [json(&state), json(&attributes)];
        let asked = Asked { method: FORKCHOICE_V3, params: &params };
        let Answered { raw, answer } = self.client.call::<Updated>(FORKCHOICE_V3, &params).await?;
        let Updated { payload_status, payload_id } = answer;
        if self.judge(block, state.head_block_hash, &asked, &payload_status, raw)? == Taken::Lacking {
            return Ok(Taken::Lacking);
        }
        let no_payload = || Trouble::Answer { method: FORKCHOICE_V3, reason: "it names no payload".to_owned() };
        let (method, built) = self.built(payload_id.ok_or_else(no_payload)?).await?;
        let hash = self.check(block, &state.head_block_hash, &attributes, &asked, &built)?;
        let taken = self.keep(block, method, &built, hash).await?;
        if taken == Taken::Yes {
            self.tip = (block.header.number, hash);
        }
        Ok(taken)
    }

    /// What was made, by the method of its fork.
    async fn built(&self, id: B64) -> Result<(&'static str, Answered<Built>), Trouble> {
        let methods =
            [(GET_PAYLOAD_V4, NEW_PAYLOAD_V4), (GET_PAYLOAD_V5, NEW_PAYLOAD_V4), (GET_PAYLOAD_V3, NEW_PAYLOAD_V3)];
        let mut refused = None;
        for (get, new) in methods.into_iter().filter(|(get, new)| self.client.offers(get) && self.client.offers(new)) {
            match self.client.call(get, &[json(&id)]).await {
                Ok(built) => return Ok((new, built)),
                Err(trouble @ Trouble::Refused { code: UNSUPPORTED_FORK, .. }) => refused = Some(trouble),
                Err(trouble) => return Err(trouble),
            }
        }
        Err(refused.unwrap_or(Trouble::Method { method: GET_PAYLOAD_V4, offered: "none of its kind".to_owned() }))
    }

    /// That it is what was asked for; its hash.
    fn check(
        &self,
        block: &Block,
        parent: &B256,
        attributes: &Attributes,
        asked: &Asked<'_>,
        Answered { raw, answer: built }: &Answered<Built>,
    ) -> Result<B256, Stop> {
        let payload = BuiltPayload::deserialize(&built.execution_payload)
            .map_err(|error| Trouble::Answer { method: GET_PAYLOAD_V4, reason: error.to_string() })?;
        let differs = [
            ("parentHash", payload.parent_hash != *parent),
            ("blockNumber", payload.block_number.to::<u64>() != block.header.number),
            ("timestamp", payload.timestamp != attributes.timestamp),
            ("prevRandao", payload.prev_randao != attributes.prev_randao),
            ("feeRecipient", payload.fee_recipient != attributes.suggested_fee_recipient),
            ("gasLimit", payload.gas_limit != attributes.gas_limit),
            ("transactions", payload.transactions != attributes.transactions),
            ("withdrawals", !payload.withdrawals.is_empty()),
            ("parentBeaconBlockRoot", built.parent_beacon_block_root != attributes.parent_beacon_block_root),
        ];
        match differs.into_iter().find(|(_, differs)| *differs) {
            None => Ok(payload.block_hash),
            Some((field, _)) => Err(self.alarm(block, asked, Reason::OtherBlock { field }, raw.clone())),
        }
    }

    /// Has the client take its own block, as its head.
    async fn keep(
        &mut self,
        block: &Block,
        method: &'static str,
        built: &Answered<Built>,
        hash: B256,
    ) -> Result<Taken, Stop> {
        let mut params =
            vec![built.answer.execution_payload.clone(), object!([]), json(&built.answer.parent_beacon_block_root)];
        if method == NEW_PAYLOAD_V4 {
            params.push(object!([]));
        }
        let asked = Asked { method, params: &params };
        let Answered { raw, answer } = self.client.call::<PayloadStatus>(method, &params).await?;
        if self.judge(block, hash, &asked, &answer, raw)? == Taken::Lacking {
            return Ok(Taken::Lacking);
        }
        let head = alloy_rpc_types_engine::ForkchoiceState { head_block_hash: hash, ..Default::default() };
        let Answered { raw, answer } = self.client.forkchoice(&head, None).await?;
        let params = [json(&head), Value::Null];
        let asked = Asked { method: FORKCHOICE_V3, params: &params };
        let status = answer.payload_status;
        let taken = self.judge(block, hash, &asked, &status, raw)?;
        // Only its head is the parent of the next one.
        Ok(if status.status == Verdict::Valid { taken } else { Taken::Lacking })
    }
}

//! A client of the OP stack, which makes its own blocks: strict in what it is told to make them of.

use super::{
    chain::{Chain, Node, heads},
    fake::{Fake, Inside, block_json},
};
use crate::{Kind, State, deposit::attributes_of_the_layer_below};
use alloy_consensus::Header;
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{B64, B256, Bytes, U64, hex, keccak256};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Of the chain, what the client is started with.
pub(super) struct Rules {
    /// Extra data of all its blocks.
    extra_data: Vec<u8>,
    /// What `eip1559Params` and `minBaseFee` have to be.
    params: Option<B64>,
    minimum: Option<u64>,
    /// The ordered blocks that it should be told to make.
    expected: Vec<chorale_evm::Block>,
    /// Makes blocks with this field changed.
    changes: Option<(&'static str, Value)>,
}

/// Holocene, with a denominator of 250 and an elasticity of 6.
const HOLOCENE: [u8; 9] = hex!("00000000fa00000006");
/// Jovian, with the same and a least base fee of 1000.
const JOVIAN: [u8; 17] = hex!("01000000fa0000000600000000000003e8");

fn rules(chain: &Chain, extra_data: &[u8]) -> Rules {
    Rules {
        extra_data: extra_data.to_vec(),
        params: (!extra_data.is_empty()).then(|| B64::from(hex!("000000fa00000006"))),
        minimum: (extra_data.len() == 17).then_some(1_000),
        expected: chain.blocks.clone(),
        changes: None,
    }
}

impl Inside {
    /// Begins a block: nothing may be missing, nothing left over, and everything as it was ordered.
    pub(super) fn build(&mut self, attributes: &Value) -> String {
        let rules = self.optimism.as_ref().expect("only clients of the OP stack make blocks");
        let number = self.blocks[&self.head].0 + 1;
        let block = &rules.expected[usize::try_from(number).unwrap()];
        let header = &block.header;
        let mut transactions = vec![attributes_of_the_layer_below(number)];
        transactions.extend(block.transactions.iter().map(|signed| Bytes::from(signed.inner().encoded_2718())));
        let mut expected = json!({
            "timestamp": U64::from(header.timestamp),
            "prevRandao": header.mix_hash,
            "suggestedFeeRecipient": header.beneficiary,
            "withdrawals": [],
            "parentBeaconBlockRoot": header.parent_beacon_block_root,
            "transactions": transactions,
            "noTxPool": true,
            "gasLimit": U64::from(header.gas_limit),
        });
        if let Some(params) = rules.params {
            expected["eip1559Params"] = json!(params);
        }
        if let Some(minimum) = rules.minimum {
            expected["minBaseFee"] = json!(minimum);
        }
        assert_eq!(*attributes, expected, "what block {number} is to be made of");
        let mut payload = json!({
            "parentHash": self.head,
            "feeRecipient": header.beneficiary,
            "stateRoot": keccak256(format!("state {number}")),
            "receiptsRoot": B256::repeat_byte(1),
            "logsBloom": header.logs_bloom,
            "prevRandao": header.mix_hash,
            "blockNumber": U64::from(number),
            "gasLimit": U64::from(header.gas_limit),
            "gasUsed": "0x0",
            "timestamp": U64::from(header.timestamp),
            "extraData": Bytes::from(rules.extra_data.clone()),
            "baseFeePerGas": "0x7",
            "transactions": transactions,
            "withdrawals": [],
            "withdrawalsRoot": B256::repeat_byte(2),
            "blobGasUsed": "0x0",
            "excessBlobGas": "0x0",
        });
        if let Some((field, value)) = &rules.changes {
            payload[*field] = value.clone();
        }
        payload["blockHash"] = json!(keccak256(payload.to_string()));
        let id = format!("0x{number:016x}");
        let envelope = json!({
            "executionPayload": payload, "blockValue": "0x0", "blobsBundle": {}, "shouldOverrideBuilder": false,
            "parentBeaconBlockRoot": header.parent_beacon_block_root, "executionRequests": [],
        });
        self.built.insert(id.clone(), envelope);
        id
    }

    /// Takes back what it made, unchanged.
    pub(super) fn keep_built(&mut self, payload: &Value, beacon_root: &Value, requests: &Value) -> Value {
        assert_eq!(*requests, json!([]));
        let number: U64 = serde_json::from_value(payload["blockNumber"].clone()).unwrap();
        let number: u64 = number.to();
        let rules = self.optimism.as_ref().unwrap();
        let ordered = &rules.expected[usize::try_from(number).unwrap()].header;
        assert_eq!(*beacon_root, json!(ordered.parent_beacon_block_root));
        let mut without = payload.clone();
        let hash: B256 = serde_json::from_value(without.as_object_mut().unwrap().remove("blockHash").unwrap()).unwrap();
        assert_eq!(hash, keccak256(without.to_string()), "a block is not what was made");
        let transactions: Vec<Bytes> = serde_json::from_value(payload["transactions"].clone()).unwrap();
        let hashes: Vec<B256> = transactions.iter().map(keccak256).collect();
        let header = Header { extra_data: rules.extra_data.clone().into(), ..ordered.inner().clone() };
        let parent: B256 = serde_json::from_value(payload["parentHash"].clone()).unwrap();
        self.blocks.insert(hash, (number, parent, block_json(number, hash, &header, &hashes)));
        json!({ "status": "VALID", "latestValidHash": hash, "validationError": null })
    }
}

async fn start(chain: &Chain, extra_data: &[u8]) -> Fake {
    Fake::start(Inside { optimism: Some(rules(chain, extra_data)), ..Inside::new(chain) }).await
}

fn chain(extra_data: &[u8], blocks: usize) -> Chain {
    let mut chain = Chain::new(extra_data);
    (0..blocks).for_each(|_| chain.next(2));
    chain
}

#[tokio::test]
async fn a_client_of_the_op_stack_makes_the_blocks_of_what_had_an_effect() {
    for extra_data in [&[][..], &HOLOCENE, &JOVIAN] {
        let mut chain = chain(extra_data, 4);
        let fake = start(&chain, extra_data).await;
        let mut node = Node::start(&chain, &fake.url(), Kind::OpStack);
        node.follows(4).await;
        {
            let inside = fake.inside();
            assert_eq!((inside.handed(), inside.head_number()), (vec![1, 2, 3, 4], 4));
        }
        chain.next(1);
        fake.inside().optimism.as_mut().unwrap().expected = chain.blocks.clone();
        node.make(&chain, heads(5, 4, 3));
        node.follows(5).await;
        let inside = fake.inside();
        let hash = |number| inside.at(number).unwrap()["hash"].clone();
        assert_eq!((json!(inside.safe), json!(inside.finalized)), (hash(4), hash(3)));
        assert_ne!(json!(chain.hash(5)), hash(5), "its blocks are its own");
    }
}

#[tokio::test]
async fn a_client_of_the_op_stack_goes_on_where_it_is_and_from_the_beginning_if_it_lost_all() {
    let chain = chain(&HOLOCENE, 7);
    let fake = start(&chain, &HOLOCENE).await;
    let mut part = Node::start(&self::chain(&HOLOCENE, 3), &fake.url(), Kind::OpStack);
    part.follows(3).await;
    drop(part.heads);
    part.driver.await.unwrap();
    fake.inside().calls.clear();
    let mut node = Node::start(&chain, &fake.url(), Kind::OpStack);
    node.follows(7).await;
    assert_eq!(fake.inside().handed(), [4, 5, 6, 7]);
    let lost = Inside { optimism: Some(rules(&chain, &HOLOCENE)), ..Inside::new(&chain) };
    *fake.inside() = lost;
    while fake.inside().head_number() < 7 {
        tokio::task::yield_now().await;
    }
    assert_eq!(fake.inside().handed(), [1, 2, 3, 4, 5, 6, 7]);
}

#[tokio::test]
async fn a_block_that_is_made_of_something_else_is_an_alarm() {
    let changes = [
        ("transactions", json!([])),
        ("timestamp", json!("0x1")),
        ("prevRandao", json!(B256::ZERO)),
        ("feeRecipient", json!(alloy_primitives::Address::ZERO)),
        ("gasLimit", json!("0x1")),
        ("parentHash", json!(B256::ZERO)),
        ("blockNumber", json!("0x9")),
        ("withdrawals", json!([{ "index": "0x0" }])),
    ];
    for (field, value) in changes {
        let chain = chain(&HOLOCENE, 2);
        let fake = start(&chain, &HOLOCENE).await;
        fake.inside().optimism.as_mut().unwrap().changes = Some((field, value));
        let mut node = Node::start(&chain, &fake.url(), Kind::OpStack);
        let state = node.until("an alarm", |state| matches!(state, State::Alarm(_))).await;
        let State::Alarm(Some(path)) = state else { panic!("{state:?}") };
        let evidence: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        assert_eq!(evidence["reason"], json!({ "kind": "otherBlock", "field": field }));
        assert_eq!(fake.inside().head_number(), 0);
    }
}

/// Against the bytes that the specification gives for it: type, source, depositor, contract, nothing minted or sent, a
/// million gas, and the values of Isthmus.
#[test]
fn every_block_begins_with_what_is_known_of_the_layer_below() {
    let deposit = attributes_of_the_layer_below(1);
    assert_eq!((deposit[0], deposit[1]), (0x7e, 0xf9));
    let text = hex::encode(&deposit);
    for part in [
        "94deaddeaddeaddeaddeaddeaddeaddeaddead0001",
        "944200000000000000000000000000000000000015",
        // Minted, sent, gas, whether it is the system's, and 176 bytes.
        "8080830f424080b8b0098999be",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let data = &text[text.len() - 2 * 176..];
    let expected = format!("098999be{}{}{}", "00".repeat(8), "0000000000000001", "00".repeat(156));
    assert_eq!(data, expected);
    let different: BTreeSet<Bytes> = (1..50).map(attributes_of_the_layer_below).collect();
    assert_eq!(different.len(), 49, "no two blocks have the same one");
}

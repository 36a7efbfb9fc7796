//! Against the executable specification of Ethereum (EELS, the package `ethereum-execution`), which shares no code with
//! revm: `fixtures/eels-prague.jsonl` holds what it made of the blocks of these stories, one line for each block.
//!
//! `./x eels` runs it anew.

use super::story::{CHAIN, Story, effective, genesis};
use crate::{Block, Origin};
use alloy_consensus::{Header, Sealed};
use alloy_primitives::{Bloom, Bytes, hex, keccak256};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fmt::Write as _};

const STORIES: u64 = 24;
const BLOCKS: usize = 12;
const FIXTURE: &str = "fixtures/eels-prague.jsonl";

/// What the specification is asked about a block; the state before the first one is part of it.
fn question(parents: &[Sealed<Header>], origin: &Origin, block: &Block) -> Value {
    let header = &block.header;
    let hashes: BTreeMap<String, String> =
        parents.iter().map(|parent| (format!("{:#x}", parent.number), parent.hash().to_string())).collect();
    let txs: Vec<String> = effective(block).iter().map(hex::encode_prefixed).collect();
    let mut question = json!({
        // Tells apart a wrong answer, and an answer to another question.
        "id": keccak256(format!("{} {origin:?} {txs:?}", header.number)),
        "fork": "Prague",
        "chainId": CHAIN,
        "env": {
            "currentCoinbase": header.beneficiary,
            "currentGasLimit": format!("{:#x}", header.gas_limit),
            "currentNumber": format!("{:#x}", header.number),
            "currentTimestamp": format!("{:#x}", origin.timestamp_s),
            "currentRandom": origin.prev_randao,
            "currentBaseFee": format!("{:#x}", header.base_fee_per_gas.unwrap()),
            "parentBeaconBlockRoot": origin.sequencer_block,
            "currentExcessBlobGas": "0x0",
            "withdrawals": [],
            "blockHashes": hashes,
        },
        "txs": txs,
    });
    if header.number == 1 {
        question["alloc"] = alloc();
    }
    question
}

/// The state of the genesis, system contracts and all.
fn alloc() -> Value {
    let state = Story::new(0).rollup.state;
    let mut alloc = serde_json::Map::new();
    for (address, account) in state.accounts() {
        let code = state.code(account.code_hash).map_or(Bytes::new(), |code| code.original_bytes());
        let row = json!({
            "nonce": format!("{:#x}", account.nonce),
            "balance": format!("{:#x}", account.balance),
            "code": code,
            "storage": {},
        });
        alloc.insert(address.to_string(), row);
    }
    assert_eq!(genesis().alloc.len() + 5, alloc.len());
    Value::Object(alloc)
}

/// What both have to agree on.
fn answer(question: &Value, block: &Block) -> Value {
    let header = &block.header;
    json!({
        "question": question["id"],
        "stateRoot": header.state_root,
        "txRoot": header.transactions_root,
        "receiptsRoot": header.receipts_root,
        "logsBloom": header.logs_bloom,
        "gasUsed": format!("{:#x}", header.gas_used),
        "requestsHash": header.requests_hash,
    })
}

fn tell(mut each: impl FnMut(u64, usize, &Value, &Value)) {
    for seed in 0..STORIES {
        let mut story = Story::new(seed);
        let mut parents = vec![story.head.clone()];
        for number in 0..BLOCKS {
            let (origin, transactions) = (story.origin(), story.transactions());
            let block = story.next(origin.clone(), &transactions);
            let question = question(&parents, &origin, &block);
            each(seed, number, &question, &answer(&question, &block));
            parents.push(block.header.clone());
        }
    }
}

/// Writes the questions down for `./x eels`, if it asks for them.
#[test]
fn questions_to_the_executable_specification_can_be_asked() {
    let mut questions = String::new();
    tell(|_, _, question, _| writeln!(questions, "{question}").unwrap());
    assert_eq!(questions.lines().count() as u64, STORIES * BLOCKS as u64);
    if let Some(path) = std::env::var_os("EELS_QUESTIONS") {
        std::fs::write(path, questions).unwrap();
    }
}

#[test]
fn blocks_are_what_the_executable_specification_makes_of_them() {
    let text = std::fs::read_to_string(FIXTURE).unwrap();
    let mut lines = text.lines();
    tell(|seed, number, question, ours| {
        let line = lines.next().unwrap_or_else(|| panic!("{FIXTURE} ends before story {seed}, block {number}"));
        let theirs: Value = serde_json::from_str(line).unwrap();
        assert_eq!(
            theirs["question"], question["id"],
            "{FIXTURE} answers other questions than this test asks: run `./x eels`"
        );
        assert_eq!(*ours, theirs, "story {seed}, block {number}");
    });
    assert_eq!(lines.next(), None, "{FIXTURE} has answers that nothing asks for: run `./x eels`");
}

/// Or the agreement would be about empty blocks.
#[test]
fn the_stories_have_everything_in_them() {
    let mut seen = BTreeMap::<&str, usize>::new();
    let mut count = |what, by| *seen.entry(what).or_default() += by;
    for seed in 0..STORIES {
        let mut story = Story::new(seed);
        for _ in 0..BLOCKS {
            let (origin, transactions) = (story.origin(), story.transactions());
            let block = story.next(origin, &transactions);
            count("skipped", transactions.len() - block.transactions.len());
            count("failed", block.receipts.iter().filter(|receipt| !receipt.is_success()).count());
            count("succeeded", block.receipts.iter().filter(|receipt| receipt.is_success()).count());
            count("logs", usize::from(block.header.logs_bloom != Bloom::ZERO));
            count("requests", block.requests.len());
            for transaction in &block.transactions {
                let kind = ["legacy", "access list", "dynamic fee", "blob", "set code"];
                count(kind[usize::from(u8::from(transaction.tx_type()))], 1);
            }
        }
    }
    for what in
        ["skipped", "failed", "succeeded", "logs", "requests", "legacy", "access list", "dynamic fee", "set code"]
    {
        assert!(seen.get(what).is_some_and(|count| *count >= 20), "too few {what}: {seen:?}");
    }
    assert!(!seen.contains_key("blob"), "{seen:?}");
}

//! Calls, and what is to be different for them.

use super::network::{COUNTING, LOOKING, Network, REVERTING, Wallet};
use alloy_primitives::{Address, U256, hex};
use serde_json::{Value, json};

fn words(output: &Value) -> Vec<U256> {
    hex::decode(output.as_str().unwrap()).unwrap().chunks(32).map(U256::from_be_slice).collect()
}

fn word(number: u64) -> String {
    format!("{number:#066x}")
}

#[tokio::test]
async fn accounts_are_what_the_call_says() {
    let (mut network, wallet) = (Network::start().await, Wallet::first());
    network.order(&[wallet.call(0, COUNTING, vec![])]);
    let count = json!({"to": COUNTING});
    let asked = |state: Value| json!([count, "latest", state]);
    assert_eq!(words(&network.ask("eth_call", json!([count])).await), [U256::from(2)]);
    // Slots of storage, one by one or all; what is not named is as it is, or zero.
    let slot = |number| json!({word(0): word(number)});
    for (state, expected) in [
        (json!({COUNTING.to_string(): {"stateDiff": slot(41)}}), 42),
        (json!({COUNTING.to_string(): {"stateDiff": {word(1): word(41)}}}), 2),
        (json!({COUNTING.to_string(): {"state": slot(6)}}), 7),
        (json!({COUNTING.to_string(): {"state": {}}}), 1),
        (json!({}), 2),
        (Value::Null, 2),
    ] {
        assert_eq!(words(&network.ask("eth_call", asked(state)).await), [U256::from(expected)]);
    }
    // The code of an account that does not exist: it returns its balance.
    let nobody = Address::repeat_byte(0x77);
    let state = json!({nobody.to_string(): {"code": "0x475f5260205ff3", "balance": "0x64"}});
    let balance = network.ask("eth_call", json!([{"to": nobody}, "latest", state])).await;
    assert_eq!(words(&balance), [U256::from(100)]);
    // Money to send, also for an estimate.
    let gift = json!({"from": nobody, "to": Address::ZERO, "value": "0x1", "gasPrice": "0x3b9aca00"});
    assert_eq!(network.fails("eth_call", json!([gift])).await.0, -32000);
    let rich = json!({nobody.to_string(): {"balance": "0xde0b6b3a7640000"}});
    assert_eq!(network.ask("eth_call", json!([gift, "latest", rich])).await, "0x");
    assert_eq!(network.ask("eth_estimateGas", json!([gift, "latest", rich])).await, "0x5208");
    // Nothing of it stays.
    assert_eq!(words(&network.ask("eth_call", json!([count])).await), [U256::from(2)]);
    assert_eq!(network.ask("eth_getCode", json!([nobody, "latest"])).await, "0x");
}

#[tokio::test]
async fn the_block_is_what_the_call_says() {
    let network = Network::start().await;
    let block = json!({
        "number": "0x64", "time": "0x65", "feeRecipient": Address::repeat_byte(1), "gasLimit": "0x1000000",
        "prevRandao": word(7), "baseFeePerGas": "0x9",
    });
    let seen = words(&network.ask("eth_call", json!([{"to": LOOKING}, "latest", {}, block])).await);
    let recipient = U256::from_be_slice(Address::repeat_byte(1).into_word().as_slice());
    assert_eq!(
        seen,
        [100, 101, 9]
            .map(U256::from)
            .into_iter()
            .chain([recipient, U256::from(0x1000000), U256::from(7)])
            .collect::<Vec<_>>()
    );
    // The hash of a block, and the blob base fee, in code that returns both.
    let code = json!({LOOKING.to_string(): {"code": "0x6063405f524a60205260405ff3"}});
    let block = json!({"number": "0x64", "blockHash": {"99": word(5)}, "blobBaseFee": "0x3"});
    let seen = words(&network.ask("eth_call", json!([{"to": LOOKING}, "latest", code, block])).await);
    assert_eq!(seen, [U256::from(5), U256::from(3)]);
    // More gas than a block has is no way to more of the processor.
    let code = json!({LOOKING.to_string(): {"code": "0x5a5f5260205ff3"}});
    let gas = json!([{"to": LOOKING, "gas": "0xffffffffff"}, "latest", code, {"gasLimit": "0xffffffffff"}]);
    assert!(words(&network.ask("eth_call", gas).await)[0] < U256::from(120_000_000));
}

#[tokio::test]
async fn nothing_that_is_asked_for_is_ignored() {
    let network = Network::start().await;
    let call = json!({"to": COUNTING});
    let account = |account: Value| json!([call, "latest", {COUNTING.to_string(): account}]);
    let block = |block: Value| json!([call, "latest", {}, block]);
    for (params, words) in [
        (account(json!({"balence": "0x1"})), "unknown field"),
        (account(json!({"state": {}, "stateDiff": {}})), "both 'state' and 'stateDiff'"),
        (account(json!({"movePrecompileToAddress": Address::ZERO})), "not supported"),
        (account(json!({"code": "0xef0100"})), "delegation"),
        (block(json!({"numbre": "0x1"})), "no block override"),
        (block(json!({"beaconRoot": word(1)})), "\"beaconRoot\" is not supported"),
        (block(json!({"baseFee": word(1), "withdrawals": []})), "not supported"),
        (json!([{"to": COUNTING, "chainId": "0x5"}]), "chainId does not match node's (have=5, want=1001)"),
        (json!([{"to": COUNTING, "data": "0x01", "input": "0x02"}]), "not equal"),
        (json!([{"to": COUNTING, "gasPrice": "0x1", "maxFeePerGas": "0x2"}]), "both gasPrice and"),
        (json!([{"to": COUNTING, "maxFeePerBlobGas": "0x2"}]), "blob"),
    ] {
        for method in ["eth_call", "eth_estimateGas"] {
            let answer = network.answer(method, params.clone()).await;
            assert_eq!(answer["error"]["code"], -32602, "{params}: {answer}");
            assert!(answer["error"].to_string().replace("\\\"", "\"").contains(words), "{params}: {answer}");
        }
    }
}

#[tokio::test]
async fn reverts_say_why() {
    let network = Network::start().await;
    let reason = format!("0x08c379a0{:064x}{:064x}{:0<64}", 32, 7, hex::encode("because"));
    for (data, message) in [(reason.as_str(), "execution reverted: because"), ("0x1234", "execution reverted")] {
        for method in ["eth_call", "eth_estimateGas"] {
            let error = network.answer(method, json!([{"to": REVERTING, "data": data}])).await["error"].clone();
            assert_eq!(error, json!({"code": 3, "message": message, "data": data}));
        }
    }
    let poor = network.fails("eth_estimateGas", json!([{"to": COUNTING, "gas": "0x6000"}])).await;
    assert_eq!(poor, (-32000, "gas required exceeds allowance (24576)".to_owned()));
}

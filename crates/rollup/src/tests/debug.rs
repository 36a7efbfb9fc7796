//! Traces.

use super::network::{CALLING, COUNTING, LOGGING, Network, REVERTING, ROLLUP, Wallet, hash_of};
use alloy_primitives::{Bytes, U256, keccak256};
use chorale_evm::{DomainRules, SYNCHRONOUS_CALL};
use chorale_types::RollupId;
use serde_json::{Value, json};

fn call_tracer() -> Value {
    json!({"tracer": "callTracer"})
}

#[tokio::test]
async fn a_transaction_is_traced_where_it_stood() {
    let (mut network, wallet) = (Network::start().await, Wallet::first());
    let through = wallet.call(1, CALLING, COUNTING.into_word().0.to_vec());
    let block = [wallet.call(0, COUNTING, vec![]), through.clone(), wallet.call(2, REVERTING, vec![1])];
    network.order(&block);
    network.order(&[wallet.call(3, COUNTING, vec![])]);
    let trace = network.ask("debug_traceTransaction", json!([hash_of(&through), call_tracer()])).await;
    let address = |address: alloy_primitives::Address| json!(address.to_string().to_lowercase());
    assert_eq!(
        (&trace["type"], &trace["to"], &trace["from"]),
        (&json!("CALL"), &address(CALLING), &address(wallet.address()))
    );
    // It was the second one that counted.
    let inner = &trace["calls"][0];
    assert_eq!((&inner["to"], &inner["output"]), (&address(COUNTING), &json!(format!("{:#066x}", 2))));
    let receipt = network.ask("eth_getTransactionReceipt", json!([hash_of(&through)])).await;
    assert_eq!(trace["gasUsed"], receipt["gasUsed"]);

    let whole = network.ask("debug_traceBlockByNumber", json!(["0x1", call_tracer()])).await;
    assert_eq!((whole.as_array().unwrap().len(), &whole[1]["result"]), (3, &trace));
    assert_eq!(
        (&whole[2]["txHash"], &whole[2]["result"]["error"]),
        (&json!(hash_of(&block[2])), &json!("execution reverted"))
    );
    let hash = network.ask("eth_getBlockByNumber", json!(["0x1", false])).await["hash"].clone();
    assert_eq!(network.ask("debug_traceBlockByHash", json!([hash, call_tracer()])).await, whole);
    // Step by step.
    let steps = network.ask("debug_traceTransaction", json!([hash_of(&block[0])])).await;
    assert_eq!((&steps["failed"], &steps["structLogs"][0]["op"]), (&json!(false), &json!("PUSH0")));
    let before = json!({"tracer": "prestateTracer"});
    let before = network.ask("debug_traceTransaction", json!([hash_of(&block[0]), before])).await;
    assert!(before.as_object().unwrap().len() >= 2, "{before}");
}

#[tokio::test]
async fn a_call_is_traced_with_what_is_different_for_it() {
    let network = Network::start().await;
    let mut options = call_tracer();
    options["stateOverrides"] =
        json!({COUNTING.to_string(): {"stateDiff": {format!("{:#066x}", 0): format!("{:#066x}", 8)}}});
    let trace = network.ask("debug_traceCall", json!([{"to": COUNTING}, "latest", options])).await;
    assert_eq!(trace["output"], format!("{:#066x}", 9));
}

#[tokio::test]
async fn what_cannot_be_traced_says_so() {
    let (mut network, wallet) = (Network::start().await, Wallet::first());
    let first = wallet.call(0, LOGGING, vec![]);
    network.order(std::slice::from_ref(&first));
    let unknown = format!("{:#066x}", 1);
    for (method, params, code, words) in [
        ("debug_traceTransaction", json!([unknown, call_tracer()]), -32000, "transaction not found"),
        ("debug_traceBlockByHash", json!([unknown, call_tracer()]), -32000, "block not found"),
        ("debug_traceBlockByNumber", json!(["0x0", call_tracer()]), -32000, "genesis is not traceable"),
        ("debug_traceTransaction", json!([hash_of(&first), {"tracer": "{result: function() {}}"}]), -32602, "tracer"),
        ("debug_traceTransaction", json!([hash_of(&first), {"tracer": "muxTracer"}]), -32602, "tracer"),
    ] {
        let (found, message) = network.fails(method, params.clone()).await;
        assert!(found == code && message.contains(words), "{method}({params}): {found} {message}");
    }
    // No trace takes more memory than an answer may: a loop of calls, and one of calls with much input.
    for code in ["0x5b5f5f5f5f60045afa505f56", "0x5b5f5f6200ffff5f60045afa505f56"] {
        let options = json!({"tracer": "callTracer", "stateOverrides": {LOGGING.to_string(): {"code": code}}});
        let (code, message) = network.fails("debug_traceCall", json!([{"to": LOGGING}, "latest", options])).await;
        assert!(code == -32000 && (message.contains("calls") || message.contains("limit")), "{message}");
    }
    let steps = json!({"stateOverrides": {LOGGING.to_string(): {"code": "0x5b5f56"}}});
    let (code, message) = network.fails("debug_traceCall", json!([{"to": LOGGING}, "latest", steps])).await;
    assert!(code == -32000 && message.contains("too many steps"), "{message}");
    let limited = json!({"limit": 10, "stateOverrides": {LOGGING.to_string(): {"code": "0x5b5f56"}}});
    let trace = network.ask("debug_traceCall", json!([{"to": LOGGING, "gas": "0x186a0"}, "latest", limited])).await;
    assert_eq!(trace["structLogs"].as_array().unwrap().len(), 10);
    // State is kept for the last blocks only.
    for nonce in 1..=128 {
        network.order(&[wallet.call(nonce, LOGGING, vec![])]);
    }
    let (code, message) = network.fails("debug_traceTransaction", json!([hash_of(&first), call_tracer()])).await;
    assert!(code == -32000 && message.contains("is not kept"), "{message}");
}

/// What other rollups answered is in no block: all that the height made is executed once more.
#[tokio::test]
async fn what_called_another_rollup_is_traced_and_what_comes_after_it() {
    let rules = DomainRules { synchronous_calls: true, ..DomainRules::default() };
    let (mut network, wallet) = (Network::start_in(rules, &[ROLLUP, 1002]).await, Wallet::first());
    // `call(1002, COUNTING, "")`
    let words = [U256::from(1002), U256::from_be_bytes(COUNTING.into_word().0), U256::from(96), U256::ZERO];
    let words: Vec<u8> = words.iter().flat_map(U256::to_be_bytes::<32>).collect();
    let input = [&keccak256("call(uint256,address,bytes)")[..4], &words].concat();
    let carrier = (1002, LOGGING, Bytes::new());
    let calling = network.order_bundle(&wallet, &[(ROLLUP, SYNCHRONOUS_CALL, input.into()), carrier.clone()]);
    let trace = network.ask("debug_traceTransaction", json!([hash_of(&calling[0]), call_tracer()])).await;
    // What it was told: the bytes that the contract there returned, the first count.
    let told: Bytes = trace["output"].as_str().unwrap().parse().unwrap();
    assert_eq!((told.len(), told[95]), (96, 1), "{trace}");
    let receipt = network.ask("eth_getTransactionReceipt", json!([hash_of(&calling[0])])).await;
    assert_eq!(trace["gasUsed"], receipt["gasUsed"]);
    let whole = network.ask("debug_traceBlockByNumber", json!(["0x1", call_tracer()])).await;
    assert_eq!((whole.as_array().unwrap().len(), &whole[0]["result"]), (1, &trace));
    network.server.rollup = RollupId(1002);
    let trace = network.ask("debug_traceTransaction", json!([hash_of(&calling[1]), call_tracer()])).await;
    let receipt = network.ask("eth_getTransactionReceipt", json!([hash_of(&calling[1])])).await;
    assert_eq!(receipt["logs"].as_array().unwrap().len(), 2, "that of the call, and its own");
    assert_eq!(trace["gasUsed"], receipt["gasUsed"]);
    let count = network.ask("eth_getStorageAt", json!([COUNTING, "0x0", "latest"])).await;
    assert_eq!(count, json!(format!("{:#066x}", 1)));
    // A leg that calls nobody is a transaction like others, also where the other rollup has no block of the height.
    network.server.rollup = RollupId(ROLLUP);
    let others = network.order_bundle(&wallet, &[(ROLLUP, COUNTING, Bytes::new()), carrier]);
    let trace = network.ask("debug_traceTransaction", json!([hash_of(&others[0]), call_tracer()])).await;
    assert_eq!(trace["output"], format!("{:#066x}", 1));
    let alone = wallet.call(2, COUNTING, vec![]);
    network.order(std::slice::from_ref(&alone));
    let trace = network.ask("debug_traceTransaction", json!([hash_of(&alone), call_tracer()])).await;
    assert_eq!(trace["output"], format!("{:#066x}", 2));
}

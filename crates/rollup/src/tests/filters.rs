//! Filters.

use super::network::{COUNTING, LOGGING, Network, Wallet, hash_of};
use alloy_primitives::{Bytes, hex};
use serde_json::{Value, json};

#[tokio::test]
async fn filters_tell_what_is_new_since_the_last_question() {
    let (mut network, wallet) = (Network::start().await, Wallet::first());
    network.order(&[wallet.call(0, LOGGING, vec![1])]);
    let logs = network.ask("eth_newFilter", json!([{"address": LOGGING}])).await;
    let later = network.ask("eth_newFilter", json!([{"address": LOGGING, "fromBlock": "0x3"}])).await;
    let blocks = network.ask("eth_newBlockFilter", json!([])).await;
    // What was before is not new.
    for filter in [&logs, &blocks] {
        assert_eq!(network.ask("eth_getFilterChanges", json!([filter])).await, json!([]));
    }
    network.order(&[wallet.call(1, LOGGING, vec![2]), wallet.call(2, COUNTING, vec![])]);
    network.order(&[wallet.call(3, LOGGING, vec![3])]);
    let data = |logs: &Value| logs.as_array().unwrap().iter().map(|log| log["data"].clone()).collect::<Vec<_>>();
    let news = network.ask("eth_getFilterChanges", json!([logs])).await;
    assert_eq!(data(&news), ["0x02", "0x03"]);
    assert_eq!((&news[0]["blockNumber"], &news[0]["removed"]), (&json!("0x2"), &json!(false)));
    assert_eq!(data(&network.ask("eth_getFilterChanges", json!([later])).await), ["0x03"]);
    let mut hashes = Vec::new();
    for number in ["0x2", "0x3"] {
        hashes.push(network.ask("eth_getBlockByNumber", json!([number, false])).await["hash"].clone());
    }
    assert_eq!(network.ask("eth_getFilterChanges", json!([blocks])).await, Value::Array(hashes));
    for filter in [&logs, &blocks] {
        assert_eq!(network.ask("eth_getFilterChanges", json!([filter])).await, json!([]));
    }
    // All of a range; a filter without one is about the last block.
    assert_eq!(data(&network.ask("eth_getFilterLogs", json!([later])).await), ["0x03"]);
    assert_eq!(network.fails("eth_getFilterLogs", json!([blocks])).await.1, "filter not found");
    // A node without such a filter says so: who asks makes a new one.
    assert_eq!(network.ask("eth_uninstallFilter", json!([logs])).await, true);
    assert_eq!(network.ask("eth_uninstallFilter", json!([logs])).await, false);
    let gone = network.fails("eth_getFilterChanges", json!([logs])).await;
    assert_eq!(gone, (-32000, "filter not found".to_owned()));
}

/// Blocks leave the memory after a while; who asks later than that misses none of them.
#[tokio::test]
async fn filters_tell_what_is_only_on_the_disk_by_now() {
    let (mut network, wallet) = (Network::start().await, Wallet::first());
    let logs = network.ask("eth_newFilter", json!([{"address": LOGGING}])).await;
    let blocks = network.ask("eth_newBlockFilter", json!([])).await;
    let count = crate::blocks::STATES_MAX as u64 + 10;
    for nonce in 0..count - 1 {
        network.order(&[wallet.call(nonce, LOGGING, vec![1])]);
    }
    // The last one has many, so that their senders are found on all processors.
    let many: Vec<_> = (count - 1..count + 63).map(|nonce| wallet.call(nonce, COUNTING, vec![])).collect();
    network.order(&[&many[..], &[wallet.call(count + 63, LOGGING, vec![1])]].concat());
    let numbers: Vec<Value> = (1..=count).map(|number| json!(format!("{number:#x}"))).collect();
    let told = network.ask("eth_getFilterChanges", json!([logs])).await;
    let of: Vec<Value> = told.as_array().unwrap().iter().map(|log| log["blockNumber"].clone()).collect();
    assert_eq!(of, numbers);
    let told = network.ask("eth_getFilterChanges", json!([blocks])).await;
    let first = network.ask("eth_getBlockByNumber", json!(["0x1", false])).await["hash"].clone();
    assert_eq!((told.as_array().unwrap().len() as u64, &told[0]), (count, &first));
    for filter in [&logs, &blocks] {
        assert_eq!(network.ask("eth_getFilterChanges", json!([filter])).await, json!([]));
    }
}

#[tokio::test]
async fn pending_filters_tell_what_this_node_took() {
    let (network, wallet) = (Network::start().await, Wallet::first());
    let filter = network.ask("eth_newPendingTransactionFilter", json!([])).await;
    assert_eq!(network.fails("eth_newPendingTransactionFilter", json!([true])).await.0, -32602);
    let transaction = wallet.call(0, LOGGING, Bytes::new());
    let sent = network.ask("eth_sendRawTransaction", json!([hex::encode_prefixed(&transaction)])).await;
    assert_eq!(sent, json!(hash_of(&transaction)));
    assert_eq!(network.ask("eth_getFilterChanges", json!([filter])).await, json!([hash_of(&transaction)]));
    assert_eq!(network.ask("eth_getFilterChanges", json!([filter])).await, json!([]));
}

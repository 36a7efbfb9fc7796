//! What wallets ask for besides calls.

use super::network::{CALLING, COUNTING, LOGGING, Network, ROLLUP, Wallet, hash_of};
use crate::{again::due, pending::AGAIN_AFTER};
use alloy_consensus::{SignableTransaction as _, TxEip1559};
use alloy_primitives::{Address, hex};
use serde_json::{Value, json};
use std::time::Instant;

#[tokio::test]
async fn access_lists_name_what_is_touched_and_not_free_anyway() {
    let network = Network::start().await;
    let input = hex::encode_prefixed(COUNTING.into_word());
    let call = json!({"from": Wallet::first().address(), "to": CALLING, "data": input});
    let made = network.ask("eth_createAccessList", json!([call])).await;
    let slot = format!("{:#066x}", 0);
    assert_eq!(made["accessList"], json!([{"address": COUNTING, "storageKeys": [slot]}]));
    assert_eq!(made.get("error"), None);
    let mut with = call.clone();
    with["accessList"] = made["accessList"].clone();
    assert_eq!(network.ask("eth_createAccessList", json!([with])).await, made);
    let failing = json!({"to": super::network::REVERTING, "data": "0x12"});
    assert_eq!(network.ask("eth_createAccessList", json!([failing])).await["error"], "execution reverted");
}

#[tokio::test]
async fn a_filled_transaction_lacks_nothing_but_a_signature() {
    let (mut network, wallet) = (Network::start().await, Wallet::first());
    let sent = hex::encode_prefixed(wallet.call(0, LOGGING, vec![]));
    network.ask("eth_sendRawTransaction", json!([sent])).await;
    let request = json!({"from": wallet.address(), "to": LOGGING, "data": "0x1234"});
    let filled = network.ask("eth_fillTransaction", json!([request])).await;
    let tx = &filled["tx"];
    // The next one after what waits already.
    assert_eq!((&tx["nonce"], &tx["type"], &tx["chainId"]), (&json!("0x1"), &json!("0x2"), &json!("0x3e9")));
    let number = |value: &Value| u128::from_str_radix(&value.as_str().unwrap()[2..], 16).unwrap();
    let unsigned = TxEip1559 {
        chain_id: ROLLUP,
        nonce: 1,
        gas_limit: u64::try_from(number(&tx["gas"])).unwrap(),
        max_fee_per_gas: number(&tx["maxFeePerGas"]),
        max_priority_fee_per_gas: number(&tx["maxPriorityFeePerGas"]),
        to: LOGGING.into(),
        input: vec![0x12, 0x34].into(),
        ..TxEip1559::default()
    };
    let signature = wallet.sign(unsigned.signature_hash());
    let signed = alloy_eips::eip2718::Encodable2718::encoded_2718(&unsigned.into_signed(signature));
    network.order(&[wallet.call(0, LOGGING, vec![]), signed.clone()]);
    let receipt = network.ask("eth_getTransactionReceipt", json!([hash_of(&signed)])).await;
    assert_eq!((&receipt["status"], &receipt["logs"][0]["data"]), (&json!("0x1"), &json!("0x1234")));

    // What is given stays.
    let list = json!([{"address": COUNTING, "storageKeys": []}]);
    for (given, kind) in [
        (json!({"gasPrice": "0x77359401", "nonce": "0x9", "gas": "0x9999"}), "0x0"),
        (json!({"gasPrice": "0x77359401", "accessList": list}), "0x1"),
        (json!({"maxFeePerGas": "0x77359401", "maxPriorityFeePerGas": "0x2", "value": "0x5"}), "0x2"),
    ] {
        let mut request = request.clone();
        request.as_object_mut().unwrap().extend(given.as_object().unwrap().clone());
        let filled = network.ask("eth_fillTransaction", json!([request])).await;
        assert_eq!(filled["tx"]["type"], kind);
        for (field, value) in given.as_object().unwrap() {
            assert_eq!(&filled["tx"][field], value, "{filled}");
        }
    }
    for (params, message) in [
        (json!({"from": wallet.address()}), "contract creation without any data provided"),
        (
            json!({"to": LOGGING, "maxFeePerGas": "0x1", "maxPriorityFeePerGas": "0x2"}),
            "maxFeePerGas (1) < maxPriorityFeePerGas (2)",
        ),
    ] {
        assert_eq!(network.fails("eth_fillTransaction", json!([params])).await, (-32602, message.to_owned()));
    }
}

#[tokio::test]
async fn who_sends_can_wait_for_the_receipt() {
    let (mut network, wallet) = (Network::start().await, Wallet::first());
    let transaction = wallet.call(0, LOGGING, vec![7]);
    let raw = hex::encode_prefixed(&transaction);
    let methods = crate::run::methods(&network.server);
    let request = json!({"jsonrpc": "2.0", "id": 1, "method": "eth_sendRawTransactionSync", "params": [raw]});
    let waiting = tokio::spawn(async move { methods.raw_json_request(&request.to_string(), 1).await.unwrap().0 });
    // It is ordered when the sequencer has it.
    let submitted = network.submitted.recv().await.unwrap();
    assert_eq!(submitted, transaction);
    network.order(&[submitted]);
    let answer: Value = serde_json::from_str(waiting.await.unwrap().get()).unwrap();
    assert_eq!(answer["result"]["transactionHash"], json!(hash_of(&transaction)), "{answer}");

    // One that is not ordered in time is not lost.
    let late = wallet.call(1, LOGGING, vec![8]);
    let params = json!([hex::encode_prefixed(&late), 1]);
    let error = network.answer("eth_sendRawTransactionSync", params).await["error"].clone();
    assert_eq!((&error["code"], &error["data"]), (&json!(4), &json!(hash_of(&late))));
    let refused = network.fails("eth_sendRawTransactionSync", json!([raw, "0x1"])).await;
    assert_eq!(refused, (-32000, "already known".to_owned()));
}

#[tokio::test]
async fn what_this_node_took_can_be_seen() {
    let (mut network, wallet) = (Network::start().await, Wallet::first());
    let sent = [wallet.call(0, LOGGING, vec![1]), wallet.call(1, LOGGING, vec![2])];
    let methods = crate::run::methods(&network.server);
    let mut hashes = methods.subscribe_unbounded("eth_subscribe", ["newPendingTransactions"]).await.unwrap();
    for transaction in &sent {
        network.ask("eth_sendRawTransaction", json!([hex::encode_prefixed(transaction)])).await;
        let (hash, _) = hashes.next::<Value>().await.unwrap().unwrap();
        assert_eq!(hash, json!(hash_of(transaction)));
    }
    assert!(methods.subscribe_unbounded("eth_subscribe", ["syncing"]).await.is_err());
    assert_eq!(network.ask("txpool_status", json!([])).await, json!({"pending": "0x2", "queued": "0x0"}));
    let content = network.ask("txpool_content", json!([])).await;
    let sender = wallet.address().to_string().to_lowercase();
    assert_eq!(content["pending"][&sender]["1"]["hash"], json!(hash_of(&sent[1])), "{content}");
    assert_eq!(content["queued"], json!({}));
    let of_sender = network.ask("txpool_contentFrom", json!([sender])).await;
    assert_eq!(of_sender["pending"], content["pending"][&sender]);
    network.order(&sent);
    assert_eq!(network.ask("txpool_status", json!([])).await, json!({"pending": "0x0", "queued": "0x0"}));
}

/// Leaders make payloads beside each other, so the later one of two transactions may be ordered first. It had no effect, and
/// its sender had to find out.
#[tokio::test]
async fn what_was_ordered_too_early_is_ordered_again_when_its_turn_has_come() {
    let (mut network, wallet) = (Network::start().await, Wallet::first());
    let sent = [0, 1, 2].map(|nonce| wallet.call(nonce, COUNTING, vec![]));
    for transaction in &sent {
        network.ask("eth_sendRawTransaction", json!([hex::encode_prefixed(transaction)])).await;
        assert_eq!(network.submitted.recv().await.unwrap(), *transaction);
    }
    let nothing = |network: &Network, now| assert!(due(&network.server.shared, now).is_empty());
    network.order_in_vain(&sent[2]);
    network.order_in_vain(&sent[1]);
    let found = network.ask("eth_getTransactionByHash", json!([hash_of(&sent[1])])).await;
    assert_eq!((&found["nonce"], &found["blockHash"]), (&json!("0x1"), &Value::Null), "it waits on");
    let later = |times: u32| Instant::now() + AGAIN_AFTER * times;
    // What comes before them is under way, but that may never come.
    let again = |network: &Network, now: Instant| -> Vec<String> {
        due(&network.server.shared, now).iter().map(|(_, it)| it.inner().tx_hash().to_string()).collect()
    };
    let both = sent[1..].iter().map(|it| hash_of(it).to_string()).collect::<Vec<_>>();
    nothing(&network, Instant::now());
    {
        // One that no node takes leaves what it took the place of as it was.
        let other = chorale_evm::recover(&wallet.call(1, LOGGING, vec![]), ROLLUP).unwrap();
        let mut published = network.server.shared.write();
        let pending = published.pending.get_mut(&network.server.rollup).unwrap();
        let replaced = pending.insert(other.clone());
        assert!(pending.get(hash_of(&sent[1])).is_none());
        pending.take_back(*other.inner().tx_hash(), replaced);
    }
    // Also if nothing else is ordered after it.
    network.order(&sent[..1]);
    assert_eq!(again(&network, later(1)), both, "in their order");
    nothing(&network, later(1));
    assert_eq!(again(&network, later(3)), both, "nothing came of it");
    network.order(&sent[1..]);
    let receipt = network.ask("eth_getTransactionReceipt", json!([hash_of(&sent[2])])).await;
    assert_eq!(receipt["status"], "0x1");
    nothing(&network, later(9));
}

#[tokio::test]
async fn what_is_ordered_in_vain_again_and_again_is_forgotten() {
    let (mut network, wallet) = (Network::start().await, Wallet::first());
    let sent = [0, 1].map(|nonce| wallet.call(nonce, COUNTING, vec![]));
    for transaction in &sent {
        network.ask("eth_sendRawTransaction", json!([hex::encode_prefixed(transaction)])).await;
    }
    network.order_in_vain(&sent[1]);
    let mut tries = 0;
    while !due(&network.server.shared, Instant::now() + AGAIN_AFTER * (2 * tries + 1)).is_empty() {
        tries += 1;
    }
    assert_eq!(tries, 8);
    assert_eq!(network.ask("eth_getTransactionByHash", json!([hash_of(&sent[1])])).await, Value::Null);
    network.ask("eth_sendRawTransaction", json!([hex::encode_prefixed(&sent[1])])).await;
}

#[tokio::test]
async fn small_questions_have_answers() {
    let (mut network, wallet) = (Network::start().await, Wallet::first());
    network.order(&[wallet.call(0, COUNTING, vec![])]);
    let unknown = format!("{:#066x}", 1);
    for (method, params, expected) in [
        ("eth_blobBaseFee", json!([]), json!("0x1")),
        ("eth_getUncleCountByBlockNumber", json!(["latest"]), json!("0x0")),
        ("eth_getUncleCountByBlockNumber", json!(["0x9"]), json!(null)),
        ("eth_getUncleCountByBlockHash", json!([unknown]), json!(null)),
        ("eth_getUncleByBlockHashAndIndex", json!([unknown, "0x0"]), json!(null)),
        ("eth_getUncleByBlockNumberAndIndex", json!(["latest", "0x0"]), json!(null)),
        ("net_peerCount", json!([]), json!("0x1")),
        ("web3_sha3", json!(["0x"]), json!(alloy_primitives::KECCAK256_EMPTY)),
        (
            "eth_getAccountInfo",
            json!([Address::ZERO, "latest"]),
            json!({"balance": "0x0", "nonce": "0x0", "code": "0x"}),
        ),
    ] {
        assert_eq!(network.ask(method, params).await, expected, "{method}");
    }
    let before = network.ask("eth_getAccountInfo", json!([wallet.address(), "0x0"])).await;
    assert_eq!((&before["nonce"], &before["balance"]), (&json!("0x0"), &json!("0x21e19e0c9bab2400000")));
    assert_eq!(network.ask("eth_getAccountInfo", json!([wallet.address(), "latest"])).await["nonce"], "0x1");
    assert_eq!(network.fails("web3_sha3", json!(["no"])).await.0, -32602);
}

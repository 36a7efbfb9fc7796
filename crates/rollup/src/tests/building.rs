//! Bundles that are built for wallets: signed as they are, they execute.

use super::network::{COUNTING, LOGGING, Network, REVERTING, ROLLUP, Wallet, hash_of};
use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEip2930, TxEnvelope};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256, eip191_hash_message, hex, keccak256};
use alloy_rlp::Decodable as _;
use chorale_evm::{CALL_GAS, DomainRules, MAILBOX, Terms};
use chorale_types::{
    AccountId, Atomicity, DomainId, Execution, Height, RollupId, Transaction, TxId, bundle_id, codec::Blob,
    limits::BUNDLE_LIFETIME_HEIGHTS_MAX, pay_message, tagged_hash,
};
use serde_json::{Value, json};

const OTHER: u64 = 1002;
const PAYER: fn() -> Wallet = Wallet::second;

async fn network() -> Network {
    Network::start_in(DomainRules::default(), &[ROLLUP, OTHER]).await
}

fn number(value: &Value) -> u64 {
    u64::from_str_radix(&value.as_str().unwrap()[2..], 16).unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

/// What a wallet makes of the bytes that it is to sign: the signed transaction, and the signing hash without the mailbox.
fn signed(wallet: &Wallet, unsigned: &[u8]) -> (Vec<u8>, B256) {
    let mut fields = &unsigned[1..];
    if unsigned[0] == 1 {
        let transaction = TxEip2930::decode(&mut fields).unwrap();
        let mut without = transaction.clone();
        without.access_list.0.pop();
        let signature = wallet.sign(transaction.signature_hash());
        return (TxEnvelope::from(transaction.into_signed(signature)).encoded_2718(), without.signature_hash());
    }
    let transaction = TxEip1559::decode(&mut fields).unwrap();
    let mut without = transaction.clone();
    without.access_list.0.pop();
    let signature = wallet.sign(transaction.signature_hash());
    (TxEnvelope::from(transaction.into_signed(signature)).encoded_2718(), without.signature_hash())
}

fn terms(network: &Network, built: &Value) -> Terms {
    Terms {
        chain: network.server.chain,
        domain: DomainId(built["domain"].as_u64().unwrap()),
        payer: AccountId(bytes(&built["payer"]).try_into().unwrap()),
        max_fee: u128::from(number(&built["maxFee"])),
        expiry: Height(built["expiry"].as_u64().unwrap()),
        salt: number(&built["salt"]),
    }
}

/// The binding as docs/rollups.md says it.
fn binding(terms: &Terms, legs: &[(u64, Address, B256)]) -> B256 {
    let mut fields = Vec::new();
    fields.extend_from_slice(terms.chain.as_ref());
    fields.extend_from_slice(&terms.domain.0.to_be_bytes());
    fields.extend_from_slice(&terms.payer.0);
    fields.extend_from_slice(&terms.max_fee.to_be_bytes());
    fields.extend_from_slice(&terms.expiry.0.to_be_bytes());
    fields.extend_from_slice(&terms.salt.to_be_bytes());
    fields.push(u8::try_from(legs.len()).unwrap());
    for (rollup, sender, hash) in legs {
        fields.extend_from_slice(&rollup.to_be_bytes());
        fields.extend_from_slice(sender.as_slice());
        fields.extend_from_slice(hash.as_slice());
    }
    B256::new(tagged_hash("chorale/binding/v1", &[&fields]).0)
}

/// What the payer adds, and the node takes.
fn paid(terms: &Terms, built: &Value, legs: &[(u64, Vec<u8>)]) -> Value {
    let id = |(rollup, data): &(u64, Vec<u8>)| -> TxId {
        Transaction { rollup: RollupId(*rollup), data: Blob::new(data.clone()).unwrap() }.id()
    };
    let ids: Vec<TxId> = legs.iter().map(id).collect();
    let Terms { chain, domain, payer, max_fee, expiry, salt } = *terms;
    let execution = Execution { domain, payer, max_fee, attempt: 0 };
    let id = bundle_id(Atomicity::Execution(execution), expiry, salt, &ids);
    let signature = PAYER().sign(eip191_hash_message(pay_message(chain, id)));
    let mut bundle = built.clone();
    for field in ["chain", "binding"] {
        bundle.as_object_mut().unwrap().remove(field);
    }
    let leg = |(rollup, data): &(u64, Vec<u8>)| json!({"rollup": rollup, "data": hex::encode_prefixed(data)});
    bundle["legs"] = legs.iter().map(leg).collect();
    bundle["signature"] = json!(hex::encode_prefixed(signature.as_bytes()));
    bundle
}

#[tokio::test]
async fn what_is_built_needs_nothing_but_signatures() {
    let (mut network, wallets) = (network().await, [Wallet::first(), Wallet::second(), Wallet::first()]);
    // Something of the first sender waits already.
    let waiting = wallets[0].call(0, LOGGING, vec![]);
    network.ask("eth_sendRawTransaction", json!([hex::encode_prefixed(&waiting)])).await;
    let asked = json!({
        "payer": PAYER().address(), "maxFee": "0x64",
        "legs": [
            {"rollup": ROLLUP, "from": wallets[0].address(), "to": COUNTING},
            {"chainId": "0x3ea", "from": wallets[1].address(), "to": LOGGING, "data": "0x1234", "gasPrice": "0x77359401",
             "accessList": [{"address": COUNTING, "storageKeys": []}]},
            {"rollup": ROLLUP, "from": wallets[2].address(), "to": COUNTING, "gas": "0x30d40", "value": "0x0"},
        ],
    });
    let built = network.ask("chorale_buildBundle", json!([asked])).await;
    let legs = built["legs"].as_array().unwrap();
    let each = |field: &str| legs.iter().map(|leg| leg["transaction"][field].clone()).collect::<Vec<_>>();
    assert_eq!(each("nonce"), ["0x1", "0x0", "0x2"], "{built}");
    assert_eq!(each("type"), ["0x2", "0x1", "0x2"]);
    assert_eq!(each("chainId"), ["0x3e9", "0x3ea", "0x3e9"]);
    assert_eq!(each("gas")[2], "0x30d40");
    assert_eq!(built["expiry"], BUNDLE_LIFETIME_HEIGHTS_MAX / 2);
    let mut sent: Vec<(u64, Vec<u8>)> = Vec::new();
    let mut bound = Vec::new();
    for (leg, wallet) in legs.iter().zip(&wallets) {
        let (data, without) = signed(wallet, &bytes(&leg["unsigned"]));
        let rollup = leg["rollup"].as_u64().unwrap();
        bound.push((rollup, wallet.address(), without));
        sent.push((rollup, data));
        assert_eq!(leg["signingHash"], hex::encode_prefixed(keccak256(bytes(&leg["unsigned"]))));
        let list = leg["transaction"]["accessList"].as_array().unwrap();
        let entry = json!({"address": MAILBOX, "storageKeys": [B256::ZERO, built["binding"]]});
        assert_eq!(list.last().unwrap().to_string().to_lowercase(), entry.to_string().to_lowercase());
        let (gas, used) = (number(&leg["transaction"]["gas"]), number(&leg["gasUsed"]));
        assert!(gas >= used && (gas <= used + used / 8 + 300 || gas == 200_000), "{leg}");
    }
    let terms = terms(&network, &built);
    assert_eq!(built["binding"], json!(binding(&terms, &bound)));
    // The node takes it, and it does what was foreseen: the second count finds what the first one left.
    let bundle = paid(&terms, &built, &sent);
    network.ask("chorale_sendBundle", json!([bundle])).await;
    network.order(&[waiting]);
    network.order_legs(&terms, &sent);
    for (leg, (_, data)) in legs.iter().zip(&sent).filter(|(leg, _)| leg["rollup"] == ROLLUP) {
        let receipt = network.ask("eth_getTransactionReceipt", json!([hash_of(data)])).await;
        assert_eq!((&receipt["status"], &receipt["gasUsed"]), (&json!("0x1"), &leg["gasUsed"]));
    }
    assert!(number(&legs[0]["gasUsed"]) > number(&legs[2]["gasUsed"]) + 15_000, "{built}");
    let count = network.ask("eth_getStorageAt", json!([COUNTING, "0x0", "latest"])).await;
    assert_eq!(number(&count), 2);
    // Of what was given all stays, also the rest.
    let mut given = asked;
    (given["expiry"], given["salt"]) = (json!(77), json!("0x5"));
    let again = network.ask("chorale_buildBundle", json!([given])).await;
    assert_eq!((&again["expiry"], &again["salt"]), (&json!(77), &json!("0x5")));
}

/// The gas that a leg needs for calls is found as well, which no `eth_estimateGas` can.
#[tokio::test]
async fn legs_may_call_other_rollups() {
    let rules = DomainRules { synchronous_calls: true, ..DomainRules::default() };
    let (mut network, wallet) = (Network::start_in(rules, &[ROLLUP, OTHER]).await, Wallet::first());
    let call = [U256_OTHER.as_slice(), COUNTING.into_word().as_slice(), &word(0x60), &word(0)].concat();
    let input = [&keccak256("call(uint256,address,bytes)")[..4], &call].concat();
    let asked = json!({
        "payer": PAYER().address(), "maxFee": "0x0",
        "legs": [
            {"rollup": ROLLUP, "from": wallet.address(), "to": chorale_evm::SYNCHRONOUS_CALL, "data": hex::encode_prefixed(input)},
            {"rollup": OTHER, "from": wallet.address(), "to": COUNTING},
        ],
    });
    let built = network.ask("chorale_buildBundle", json!([asked])).await;
    let legs = built["legs"].as_array().unwrap();
    assert!(number(&legs[0]["gasUsed"]) > 21_000 + CALL_GAS + 22_000, "{built}");
    let sent: Vec<(u64, Vec<u8>)> =
        legs.iter().map(|leg| (leg["rollup"].as_u64().unwrap(), signed(&wallet, &bytes(&leg["unsigned"])).0)).collect();
    let terms = terms(&network, &built);
    network.order_legs(&terms, &sent);
    let receipt = network.ask("eth_getTransactionReceipt", json!([hash_of(&sent[0].1)])).await;
    assert_eq!(receipt["gasUsed"], legs[0]["gasUsed"]);
}

const U256_OTHER: [u8; 32] = word(OTHER);

const fn word(number: u64) -> [u8; 32] {
    let (mut word, bytes) = ([0; 32], number.to_be_bytes());
    let mut at = 0;
    while at < 8 {
        word[24 + at] = bytes[at];
        at += 1;
    }
    word
}

#[tokio::test]
async fn what_cannot_be_built_is_refused_by_leg() {
    let (mut network, wallet) = (network().await, Wallet::first());
    network.order(&[wallet.call(0, COUNTING, vec![])]);
    let from = wallet.address();
    let good = json!({"rollup": ROLLUP, "from": from, "to": COUNTING});
    let with = |fields: Value| {
        let mut leg = good.clone();
        leg.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        leg
    };
    let bundle = |legs: &[Value]| json!({"payer": PAYER().address(), "maxFee": "0x1", "legs": legs});
    let second = |leg: Value| bundle(&[json!({"rollup": OTHER, "from": from, "to": COUNTING}), leg]);
    let poor = Address::repeat_byte(0x77);
    let mailbox = json!([{"address": MAILBOX, "storageKeys": []}]);
    let reason = format!("0x08c379a0{:064x}{:064x}{:0<64}", 32, 7, hex::encode("because"));
    let send = [&keccak256("send(uint256,address,bytes)")[..4], &word(OTHER), &word(7), &word(0x60), &word(0)].concat();
    let send = with(json!({"to": MAILBOX, "data": hex::encode_prefixed(send)}));
    let mut cases = vec![
        (second(send), -32000, "legs[1]: no later leg consumed a message that it sent"),
        (bundle(&[]), -32602, "legs: a bundle has 1 to 16, not 0"),
        (bundle(&vec![good.clone(); 17]), -32602, "legs: a bundle has 1 to 16, not 17"),
    ];
    let (with_expiry, mut unknown) = (
        |expiry: u64| {
            let mut bundle = bundle(std::slice::from_ref(&good));
            bundle["expiry"] = json!(expiry);
            bundle
        },
        bundle(std::slice::from_ref(&good)),
    );
    unknown["fee"] = json!("0x1");
    cases.push((with_expiry(0), -32602, "expiry: 0 is not from 1, the chain's height"));
    cases.push((with_expiry(2 + BUNDLE_LIFETIME_HEIGHTS_MAX), -32602, "expiry: 16386 is not from 1"));
    cases.push((unknown, -32602, "Invalid params"));
    for (leg, code, message) in [
        (json!({"rollup": ROLLUP, "to": COUNTING}), -32602, "legs[1]: from: must be given"),
        (json!({"from": from, "to": COUNTING}), -32602, "legs[1]: rollup: must be given"),
        (with(json!({"rollup": 5})), -32602, "legs[1]: rollup 5 is none of this domain"),
        (with(json!({"chainId": "0x5"})), -32602, "legs[1]: chainId does not match"),
        (with(json!({"nonce": "0x0"})), -32602, "legs[1]: nonce: 0 is used; the next one is 1"),
        (with(json!({"nonce": "0xffffffffffffffff"})), -32602, "legs[1]: nonce: there is none after it"),
        (with(json!({"accessList": mailbox})), -32602, "legs[1]: accessList: names the mailbox"),
        (with(json!({"type": "0x1"})), -32602, "legs[1]: type: must be 2"),
        (with(json!({"gasPrice": "0x1", "type": "0x0"})), -32602, "legs[1]: type: must be 2, or 1 with gasPrice"),
        (with(json!({"authorizationList": []})), -32602, "legs[1]: authorizationList: a leg delegates no accounts"),
        (with(json!({"maxFeePerGas": "0x1", "maxPriorityFeePerGas": "0x2"})), -32602, "legs[1]: maxFeePerGas (1) <"),
        (
            with(json!({"maxFeePerGas": "0x1", "maxPriorityFeePerGas": "0x0"})),
            -32000,
            "legs[1]: gas price is less than",
        ),
        (json!({"rollup": ROLLUP, "from": from}), -32602, "legs[1]: contract creation without any data"),
        (with(json!({"from": poor})), -32000, "legs[1]: insufficient funds"),
        (with(json!({"from": poor, "value": "0x1"})), -32000, "legs[1]: insufficient funds"),
        (with(json!({"gas": "0x5209"})), -32000, "legs[1]: call gas cost"),
        (with(json!({"gas": "0x6b00"})), -32000, "legs[1]: it ended with OutOfGas"),
        (with(json!({"gas": "0xffffffff"})), -32000, "legs[1]: "),
        (with(json!({"to": REVERTING, "data": reason})), 3, "legs[1]: execution reverted: because"),
    ] {
        cases.push((second(leg), code, message));
    }
    let again = bundle(&[good.clone(), with(json!({"nonce": "0x5"}))]);
    cases.push((again, -32602, "legs[1]: nonce: must be 2, one above that of the sender's leg before, not 5"));
    let half = || with(json!({"gas": "0x4000000"}));
    cases.push((bundle(&[half(), half()]), -32000, "legs: the legs for rollup 1001 may use 134217728 gas together"));
    for (asked, code, message) in cases {
        let (found, words) = network.fails("chorale_buildBundle", json!([asked])).await;
        assert!(found == code && words.starts_with(message), "{asked}: {found} {words}");
    }
}

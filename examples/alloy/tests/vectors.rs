//! The golden vectors of bundles, which other implementations compute as well.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use alloy_consensus::{SignableTransaction as _, TxEip1559};
use alloy_eips::eip2930::AccessList;
use alloy_primitives::{Address, B256, Bytes, TxKind, U64, U128, U256};
use alloy_signer_local::PrivateKeySigner;
use chorale_alloy_examples::bundle::{
    Leg, MAILBOX, Terms, binding, pay_bundle, pay_message, sign_leg, transaction_id, with_binding, without_binding,
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Vectors {
    bundles: Vec<BundleVector>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BundleVector {
    name: String,
    chain: B256,
    domain: U64,
    payer: Address,
    payer_index: usize,
    max_fee: U128,
    attempt: u32,
    expiry: U64,
    salt: U64,
    legs: Vec<LegVector>,
    binding: B256,
    id: B256,
    pay_message: B256,
    signature: Bytes,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LegVector {
    rollup: U64,
    sender: Address,
    sender_index: usize,
    transaction: TransactionVector,
    signing_hash: B256,
    data: Bytes,
    id: B256,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TransactionVector {
    chain_id: U64,
    nonce: U64,
    max_priority_fee_per_gas: U128,
    max_fee_per_gas: U128,
    gas: U64,
    to: Option<Address>,
    value: U256,
    input: Bytes,
    access_list: AccessList,
}

impl TransactionVector {
    fn transaction(&self) -> TxEip1559 {
        TxEip1559 {
            chain_id: self.chain_id.to(),
            nonce: self.nonce.to(),
            gas_limit: self.gas.to(),
            max_fee_per_gas: self.max_fee_per_gas.to(),
            max_priority_fee_per_gas: self.max_priority_fee_per_gas.to(),
            to: self.to.map_or(TxKind::Create, TxKind::Call),
            value: self.value,
            access_list: self.access_list.clone(),
            input: self.input.clone(),
        }
    }
}

/// The development accounts that the vectors name.
fn account(index: usize) -> PrivateKeySigner {
    let keys = [
        "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
        "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
        "5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
    ];
    keys[index].parse().unwrap()
}

fn vectors() -> Vec<BundleVector> {
    let text = std::fs::read_to_string("../vectors.json").unwrap();
    serde_json::from_str::<Vectors>(&text).unwrap().bundles
}

#[test]
fn every_hash_and_signature_is_that_of_the_vectors() {
    let vectors = vectors();
    assert!(vectors.len() > 2);
    for vector in vectors {
        let name = &vector.name;
        let terms = Terms {
            chain: vector.chain,
            domain: vector.domain.to(),
            payer: vector.payer,
            max_fee: vector.max_fee.to(),
            expiry: vector.expiry.to(),
            salt: vector.salt.to(),
        };
        let leg = |leg: &LegVector| Leg { sender: leg.sender, transaction: leg.transaction.transaction() };
        let legs: Vec<Leg> = vector.legs.iter().map(leg).collect();
        let bound = binding(&terms, &legs).unwrap();
        assert_eq!(bound, vector.binding, "{name}");
        let mut signed = Vec::new();
        for (leg, expected) in legs.iter().zip(&vector.legs) {
            assert_eq!(leg.transaction.signature_hash(), expected.signing_hash, "{name}");
            let signer = account(expected.sender_index);
            assert_eq!(signer.address(), expected.sender, "{name}");
            let made = sign_leg(&signer, &leg.transaction, bound).unwrap();
            assert_eq!((made.rollup, &made.data), (expected.rollup.to(), &expected.data), "{name}");
            assert_eq!(transaction_id(made.rollup, &made.data), expected.id, "{name}");
            signed.push(made);
        }
        let bundle = pay_bundle(&account(vector.payer_index), terms, signed, vector.attempt).unwrap();
        assert_eq!(bundle.id, vector.id, "{name}");
        assert_eq!(pay_message(vector.chain, bundle.id), vector.pay_message, "{name}");
        assert_eq!(bundle.signature, vector.signature, "{name}");
    }
}

#[test]
fn a_binding_is_of_what_is_signed_beside_it() {
    let vector = &vectors()[0];
    let transaction = vector.legs[0].transaction.transaction();
    let bound = with_binding(&transaction, vector.binding).unwrap();
    assert_eq!(without_binding(&bound).unwrap(), transaction);
    assert_eq!(with_binding(&bound, B256::ZERO).unwrap(), with_binding(&transaction, B256::ZERO).unwrap());
    let mut twice = bound.clone();
    twice.access_list.0.push(bound.access_list.0[0].clone());
    assert!(without_binding(&twice).unwrap_err().to_string().contains(&MAILBOX.to_string()));
}

#[test]
fn nobody_pays_for_another() {
    let vector = &vectors()[0];
    let terms = Terms { chain: vector.chain, domain: 1, payer: vector.payer, max_fee: 1, expiry: 1, salt: 1 };
    let (payer, other) = (account(vector.payer_index), account(vector.payer_index + 1));
    assert!(pay_bundle(&payer, terms, Vec::new(), 0).is_ok());
    let refused = pay_bundle(&other, terms, Vec::new(), 0).unwrap_err();
    assert!(refused.to_string().contains("cannot pay"), "{refused}");
}

//! Golden bytes of what binds legs, for whoever signs them in other languages.
//!
//! `fixtures/binding.txt` has every input, and every step from them to the binding and to the bytes that are ordered. It is
//! written anew only by `UPDATE_FIXTURES=1 cargo test -p chorale-evm`.

use super::{
    bundling::{GWEI, Kind, Leg, terms},
    heights::{A, B},
    wallets::{raw, secret},
};
use crate::{BoundLeg, MAILBOX, Marker, Terms, binding, recover};
use alloy_consensus::TxEnvelope;
use alloy_eips::eip2930::AccessListItem;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, hex, keccak256};
use chorale_types::{DomainId, RollupId, tagged_hash};
use std::fmt::Write as _;

/// Two legs of both types, the first with an access list of its own, the second a creation.
fn legs() -> [Leg; 2] {
    let own = AccessListItem {
        address: Address::repeat_byte(0xc1),
        storage_keys: vec![B256::repeat_byte(1), B256::repeat_byte(2)],
    };
    let first = Leg::call(A, 0, 3, Address::repeat_byte(0xc1), Bytes::from_static(b"input"));
    let first = first.with(|ask| {
        ask.access_list.0 = vec![own];
        ask.value = U256::from(10u128.pow(18));
    });
    let second = Leg::call(B, 1, 0, Address::ZERO, Bytes::from_static(&[0x60, 0, 0x5f, 0x52]));
    [first, second.of(Kind::AccessList).with(|ask| ask.to = TxKind::Create)]
}

/// What is signed, as bytes: the hash of them is what a signature is over.
fn unsigned(leg: &Leg, entries: &[AccessListItem]) -> Vec<u8> {
    use alloy_consensus::SignableTransaction as _;
    match leg.sign(entries) {
        TxEnvelope::Eip1559(signed) => signed.tx().encoded_for_signing(),
        TxEnvelope::Eip2930(signed) => signed.tx().encoded_for_signing(),
        other => unreachable!("no leg: {other:?}"),
    }
}

#[test]
fn bindings_are_as_they_were() {
    let terms = Terms { domain: DomainId(7), max_fee: 123_456_789 * GWEI, salt: 0x0102_0304_0506_0708, ..terms() };
    let legs = legs();
    let bound = legs.each_ref().map(|leg| {
        let signed = recover(&raw(&leg.sign(&[Marker::entry(terms.chain.0)])), leg.rollup).unwrap();
        BoundLeg::of(RollupId(leg.rollup), &signed).unwrap()
    });
    let binding = binding(&terms, &bound);

    // Again, from the description.
    let count = [2];
    let mut preimage = [
        terms.chain.as_ref(),
        &terms.domain.0.to_be_bytes(),
        &terms.payer.0,
        &terms.max_fee.to_be_bytes(),
        &terms.expiry.0.to_be_bytes(),
        &terms.salt.to_be_bytes(),
        &count,
    ]
    .concat();
    let mut rows = vec![
        ("chain", hex::encode(terms.chain)),
        ("domain", terms.domain.0.to_string()),
        ("payer", hex::encode(terms.payer.0)),
        ("max-fee", terms.max_fee.to_string()),
        ("expiry", terms.expiry.0.to_string()),
        ("salt", terms.salt.to_string()),
        ("legs", legs.len().to_string()),
    ];
    for (leg, bound) in legs.iter().zip(&bound) {
        let unmarked = unsigned(leg, &[]);
        assert_eq!((bound.unmarked, bound.sender), (keccak256(&unmarked), leg.sender()));
        preimage.extend([&leg.rollup.to_be_bytes()[..], leg.sender().as_slice(), bound.unmarked.as_slice()].concat());
        rows.extend([
            ("leg-rollup", leg.rollup.to_string()),
            ("leg-secret-key", hex::encode(secret(leg.wallet))),
            ("leg-sender", hex::encode(leg.sender())),
            ("leg-unsigned-without-entry", hex::encode(unmarked)),
            ("leg-hash-without-entry", hex::encode(bound.unmarked)),
        ]);
    }
    assert_eq!(binding, tagged_hash("chorale/binding/v1", &[&preimage]));
    rows.extend([
        ("tag", "chorale/binding/v1".to_owned()),
        ("preimage", hex::encode(preimage)),
        ("binding", hex::encode(binding)),
        ("entry-address", hex::encode(MAILBOX)),
    ]);
    let entry = [Marker::entry(binding)];
    rows.extend(entry[0].storage_keys.iter().map(|key| ("entry-key", hex::encode(key))));
    for leg in &legs {
        let signed = raw(&leg.sign(&entry));
        assert_eq!(recover(&signed, leg.rollup).unwrap().marker(), Marker::Leg(binding));
        rows.extend([
            ("leg-unsigned", hex::encode(unsigned(leg, &entry))),
            ("leg-signed", hex::encode(&signed)),
            ("leg-hash", hex::encode(keccak256(&signed))),
        ]);
    }
    let mut text = String::new();
    for (name, value) in rows {
        writeln!(text, "{name} {value}").unwrap();
    }
    golden(&text);
}

fn golden(text: &str) {
    let path = "fixtures/binding.txt";
    if std::env::var_os("UPDATE_FIXTURES").is_some_and(|value| value == "1") {
        std::fs::write(path, text).unwrap();
    }
    let golden = std::fs::read_to_string(path).unwrap();
    for (now, was) in text.lines().zip(golden.lines()) {
        assert_eq!(now, was, "what is signed changed");
    }
    assert_eq!(text, golden);
}

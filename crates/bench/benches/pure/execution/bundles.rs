//! Heights of 1,000 bundles with two legs each, on two rollups with 100,000 accounts each: roots, receipts, bindings and
//! what the stake attests included.

use super::{ACCOUNTS, TRANSFERS, account, genesis, signer};
use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy_eips::{eip2718::Encodable2718 as _, eip2930::AccessList};
use alloy_primitives::{Address, Bytes, Signature, TxKind, U256, keccak256};
use chorale_evm::{
    BoundLeg, Content, Domain, DomainRules, Effect, Known, MAILBOX, Marker, RollupGenesis, Terms, binding, recover,
};
use chorale_types::{
    AccountId, Atomicity, BlockId, ChainId, Digest, DomainId, Epoch, Execution, Height, Lane, LaneItem, Leg,
    OrderedBundle, OrderedLeg, Outcome, Place, RollupId, TimestampMs, Transaction, bundle_id,
    codec::{Blob, List},
};
use criterion::{BenchmarkGroup, measurement::WallTime};
use secp256k1::{Message, Secp256k1};
use std::time::{Duration, Instant};

pub(super) const ROLLUPS: [u64; 2] = [1001, 1002];
pub(super) const DOMAIN: DomainId = DomainId(1);
const GAS: u64 = 60_000;

/// What the two legs do.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// Each pays somebody.
    Transfers,
    /// The first sends a message, which the second consumes.
    Messages,
}

/// What a domain is given, and what became known of it when it came in.
struct Given {
    outcome: Outcome,
    lanes: Vec<Lane>,
    bundles: Vec<OrderedBundle>,
    known: Known,
}

fn unsigned(kind: Kind, number: u64, position: usize) -> TxEip1559 {
    let sender = account(number);
    let (to, value, input) = match kind {
        Kind::Transfers => (account(number * 97 % ACCOUNTS), U256::from(1), Bytes::new()),
        Kind::Messages => (MAILBOX, U256::ZERO, call(position, sender)),
    };
    TxEip1559 {
        chain_id: ROLLUPS[position],
        gas_limit: GAS,
        max_fee_per_gas: 2_000_000_000,
        max_priority_fee_per_gas: 1_000_000,
        to: TxKind::Call(to),
        value,
        input,
        ..TxEip1559::default()
    }
}

/// `send` on the first rollup, `consume` on the second: of one word.
fn call(position: usize, party: Address) -> Bytes {
    let signature = ["send(uint256,address,bytes)", "consume(uint256,address,bytes)"][position];
    let words =
        [U256::from(ROLLUPS[1 - position]), U256::from_be_bytes(party.into_word().0), U256::from(96), U256::from(32)];
    let words = words.into_iter().chain([U256::from(7)]).flat_map(|word| word.to_be_bytes::<32>());
    keccak256(signature)[..4].iter().copied().chain(words).collect()
}

pub(super) fn sign(transaction: TxEip1559, number: u64) -> Vec<u8> {
    let hash = Message::from_digest(transaction.signature_hash().0);
    let (recovery, bytes) = Secp256k1::new().sign_ecdsa_recoverable(&hash, &signer(number)).serialize_compact();
    let signature = Signature::from_bytes_and_parity(&bytes, i32::from(recovery) == 1);
    TxEnvelope::from(transaction.into_signed(signature)).encoded_2718()
}

fn given(kind: Kind) -> Given {
    let digest = |byte: u8| Digest::from([byte; 32]);
    let (payer, max_fee, expiry) = (AccountId([1; 20]), 1, Height(100));
    let mut lanes = ROLLUPS.map(|_| Vec::new());
    let mut bundles = Vec::new();
    let mut known = Known::default();
    for number in 0..TRANSFERS {
        let terms = Terms { chain: ChainId(digest(1)), domain: DOMAIN, payer, max_fee, expiry, salt: number };
        let legs = [0, 1].map(|position| unsigned(kind, number, position));
        let bound = [0, 1].map(|position| BoundLeg {
            rollup: RollupId(ROLLUPS[position]),
            sender: account(number),
            unmarked: legs[position].signature_hash(),
        });
        let entry = Marker::entry(binding(&terms, &bound));
        let signed = legs.map(|leg| {
            let access_list = AccessList(vec![entry.clone()]);
            Blob::new(sign(TxEip1559 { access_list, ..leg }, number)).expect("small")
        });
        let transaction =
            |position: usize| Transaction { rollup: RollupId(ROLLUPS[position]), data: signed[position].clone() };
        let ids = [0, 1].map(|position| transaction(position).id());
        let atomicity = Atomicity::Execution(Execution { domain: DOMAIN, payer, max_fee, attempt: 0 });
        let id = bundle_id(atomicity, expiry, number, &ids);
        for (place_in_bundle, id_of_leg) in (0u8..).zip(ids) {
            let position = usize::from(place_in_bundle);
            let leg = Some(Leg { position: place_in_bundle, bundle: id });
            let place = Place { payload: 0, unit: u32::try_from(number).expect("a thousand"), leg };
            known.insert(id_of_leg, recover(&signed[position], ROLLUPS[position]).expect("signed above"));
            lanes[position].push(LaneItem { place, id: id_of_leg, data: signed[position].clone() });
        }
        let legs = [0, 1].map(|position| OrderedLeg { rollup: RollupId(ROLLUPS[position]), id: ids[position] });
        let legs = List::new(legs.to_vec()).expect("two");
        bundles.push(OrderedBundle { id, atomicity, expiry, salt: number, legs });
    }
    let lanes = ROLLUPS.into_iter().zip(lanes);
    let lanes = lanes.map(|(rollup, items)| Lane::new(RollupId(rollup), items).expect("they rise")).collect();
    Given { outcome: outcome(), lanes, bundles, known }
}

pub(super) fn outcome() -> Outcome {
    let digest = |byte: u8| Digest::from([byte; 32]);
    Outcome {
        chain: ChainId(digest(1)),
        epoch: Epoch(0),
        height: Height(1),
        header: BlockId(digest(2)),
        timestamp: TimestampMs(1_000),
        payloads: List::default(),
        lanes: digest(3),
        registry: digest(4),
        ledger: digest(5),
        next_validators: None,
    }
}

/// Derives the height on a copy of the domain, which shares its state with it as snapshots do.
fn height(domain: &Domain, given: &Given, known: &Known) -> Duration {
    let mut domain = domain.clone();
    let Given { outcome, lanes, bundles, .. } = given;
    let started = Instant::now();
    let derived = domain.derive_known(&Content { outcome, lanes, bundles }, known).expect("the next height");
    let elapsed = started.elapsed();
    assert!(derived.bundles.iter().all(|bundle| bundle.effect == Effect::Committed));
    assert_eq!(derived.bundles.len() as u64, TRANSFERS);
    elapsed
}

/// Both rollups before their first block.
pub(super) fn domain() -> Domain {
    let rollup = |chain: u64| RollupGenesis::new(&genesis(chain)).expect("nothing is wrong with it");
    let domain = Domain::new(ChainId(Digest::from([1; 32])), DOMAIN, DomainRules::default(), ROLLUPS.map(rollup));
    for rollup in ROLLUPS {
        // So that copies are made in constant time.
        let chain = domain.chain(RollupId(rollup)).expect("one of both");
        assert!(chain.state().current_root().is_some());
    }
    domain
}

pub(super) fn bench(group: &mut BenchmarkGroup<'_, WallTime>) {
    let domain = domain();
    for (kind, name) in [(Kind::Transfers, "two_legs"), (Kind::Messages, "two_legs_and_a_message")] {
        let given = given(kind);
        group.bench_function(format!("height_of_1000_bundles_of_{name}"), |b| {
            b.iter_custom(|times| (0..times).map(|_| height(&domain, &given, &given.known)).sum());
        });
    }
    let given = given(Kind::Transfers);
    group.bench_function("height_of_1000_bundles_of_two_legs_with_senders_to_recover", |b| {
        b.iter_custom(|times| (0..times).map(|_| height(&domain, &given, &Known::default())).sum());
    });
}

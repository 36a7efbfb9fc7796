//! Blocks of 1,000 simple transfers on a rollup with 100,000 accounts, roots and receipts included; and bundles.

mod bundles;
mod rollups;

use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_genesis::{Genesis, GenesisAccount};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, keccak256};
use chorale_evm::{BlockBuilder, Origin, RollupGenesis, SignedTransaction, recover};
use criterion::{Criterion, Throughput};
use secp256k1::{Message, Secp256k1, SecretKey};
use std::time::{Duration, Instant};

const CHAIN: u64 = 1001;
const ACCOUNTS: u64 = 100_000;
const TRANSFERS: u64 = 1_000;

fn signer(number: u64) -> SecretKey {
    SecretKey::from_slice(keccak256(number.to_be_bytes()).as_slice()).expect("a hash is a key")
}

/// A transfer by one of the first accounts to any of them.
fn transfer(number: u64) -> Vec<u8> {
    let tx = TxEip1559 {
        chain_id: CHAIN,
        nonce: 0,
        gas_limit: 21_000,
        max_fee_per_gas: 2_000_000_000,
        max_priority_fee_per_gas: 1_000_000,
        to: TxKind::Call(account(number * 97 % ACCOUNTS)),
        value: U256::from(1),
        ..TxEip1559::default()
    };
    let signed = Secp256k1::new().sign_ecdsa_recoverable(&Message::from_digest(tx.signature_hash().0), &signer(number));
    let (recovery, bytes) = signed.serialize_compact();
    let signature = Signature::from_bytes_and_parity(&bytes, i32::from(recovery) == 1);
    TxEnvelope::from(tx.into_signed(signature)).encoded_2718()
}

/// The first accounts are those that send.
fn account(number: u64) -> Address {
    if number >= TRANSFERS {
        return Address::from_word(keccak256(format!("account {number}")));
    }
    Address::from_raw_public_key(&signer(number).public_key(&Secp256k1::new()).serialize_uncompressed()[1..])
}

fn genesis(chain: u64) -> Genesis {
    let mut genesis = Genesis { gas_limit: 60_000_000, base_fee_per_gas: Some(1_000_000_000), ..Genesis::default() };
    genesis.config.chain_id = chain;
    let rich = GenesisAccount { balance: U256::from(10u128.pow(20)), ..GenesisAccount::default() };
    genesis.alloc = (0..ACCOUNTS).map(|number| (account(number), rich.clone())).collect();
    genesis
}

/// Makes the block, and takes it back outside of what is measured.
fn block(rollup: &mut RollupGenesis, transactions: &[SignedTransaction]) -> Duration {
    let origin =
        Origin { timestamp_s: 1, prev_randao: B256::ZERO, sequencer_block: B256::ZERO, extra_data: Bytes::new() };
    let transactions = transactions.to_vec();
    let started = Instant::now();
    let mut builder = BlockBuilder::begin(&rollup.rules, &rollup.header, origin, &mut rollup.state);
    for transaction in transactions {
        builder.execute(transaction).expect("everybody can pay");
    }
    let block = builder.finish();
    let elapsed = started.elapsed();
    assert_eq!(block.header.gas_used, 21_000 * TRANSFERS);
    let changes = rollup.state.take_changes();
    rollup.state.undo(&changes).expect("the last changes");
    drop(rollup.state.take_changes());
    // A block begins on a state whose root is known.
    assert_eq!(rollup.state.root(), rollup.header.state_root);
    elapsed
}

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut rollup = RollupGenesis::new(&genesis(CHAIN)).expect("nothing is wrong with it");
    let raw: Vec<Vec<u8>> = (0..TRANSFERS).map(transfer).collect();
    let all = || raw.iter().map(|bytes| recover(bytes, CHAIN).expect("signed above")).collect::<Vec<_>>();
    let known = all();
    let mut group = criterion.benchmark_group("execution_100k_accounts");
    group.sample_size(20);
    group.throughput(Throughput::Elements(TRANSFERS));
    group.bench_function("block_of_1000_transfers", |b| {
        b.iter_custom(|times| (0..times).map(|_| block(&mut rollup, &known)).sum());
    });
    group.bench_function("block_of_1000_transfers_with_the_state_before_it_kept", |b| {
        let mut kept = |_| {
            // Shares everything with the state that the block changes.
            let before = rollup.state.clone();
            let elapsed = block(&mut rollup, &known);
            assert_eq!(before.current_root(), Some(rollup.header.state_root));
            elapsed
        };
        b.iter_custom(|times| (0..times).map(&mut kept).sum());
    });
    group.bench_function("block_of_1000_transfers_with_senders_to_recover", |b| {
        b.iter_custom(|times| {
            let one = |_| {
                let started = Instant::now();
                let recovered = all();
                started.elapsed() + block(&mut rollup, &recovered)
            };
            (0..times).map(one).sum()
        });
    });
    bundles::bench(&mut group);
    rollups::bench(&mut group);
    group.finish();
}

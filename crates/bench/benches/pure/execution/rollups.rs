//! Heights of 1,000 transfers on each of two rollups, which nothing connects: one after the other, and each on a thread.

use super::{
    TRANSFERS, account,
    bundles::{DOMAIN, ROLLUPS, domain, outcome, sign},
};
use alloy_consensus::TxEip1559;
use alloy_primitives::{TxKind, U256};
use chorale_evm::{Content, Domain, Executor, InTurn, Known, Part, recover};
use chorale_types::{Lane, LaneItem, Place, RollupId, Transaction, codec::Blob};
use criterion::{BenchmarkGroup, Throughput, measurement::WallTime};
use std::{
    thread,
    time::{Duration, Instant},
};

/// As the rollups' node has it.
#[derive(Debug)]
struct Threads;

impl Executor for Threads {
    fn run(&self, mut parts: Vec<Part<'_>>) {
        let last = parts.pop();
        thread::scope(|scope| {
            parts.into_iter().for_each(|part| drop(scope.spawn(part)));
            last.into_iter().for_each(|part| part());
        });
    }
}

/// A lane of transfers by accounts that each send one.
fn lane(rollup: u64, known: &mut Known) -> Lane {
    let items = (0u32..).zip(0..TRANSFERS).map(|(unit, number)| {
        let transfer = TxEip1559 {
            chain_id: rollup,
            gas_limit: 21_000,
            max_fee_per_gas: 2_000_000_000,
            max_priority_fee_per_gas: 1_000_000,
            to: TxKind::Call(account(number * 97 % super::ACCOUNTS)),
            value: U256::from(1),
            ..TxEip1559::default()
        };
        let data = Blob::new(sign(transfer, number)).expect("small");
        let id = Transaction { rollup: RollupId(rollup), data: data.clone() }.id();
        known.insert(id, recover(&data, rollup).expect("signed above"));
        LaneItem { place: Place { payload: 0, unit, leg: None }, id, data }
    });
    Lane::new(RollupId(rollup), items.collect()).expect("they rise")
}

fn height(domain: &Domain, lanes: &[Lane], known: &Known, executor: &dyn Executor) -> Duration {
    let (mut domain, outcome) = (domain.clone(), outcome());
    let started = Instant::now();
    let content = Content { outcome: &outcome, lanes, bundles: &[] };
    let derived = domain.derive_with(&content, known, executor).expect("the next height");
    let elapsed = started.elapsed();
    assert!(derived.blocks.values().all(|made| made.block.transactions.len() as u64 == TRANSFERS));
    elapsed
}

pub(super) fn bench(group: &mut BenchmarkGroup<'_, WallTime>) {
    let domain = domain();
    assert_eq!(domain.id(), DOMAIN);
    let mut known = Known::default();
    let lanes = ROLLUPS.map(|rollup| lane(rollup, &mut known));
    group.throughput(Throughput::Elements(2 * TRANSFERS));
    for (executor, name) in [(&InTurn as &dyn Executor, "one_thread"), (&Threads, "two_threads")] {
        group.bench_function(format!("height_of_1000_transfers_on_each_of_two_rollups/{name}"), |b| {
            b.iter_custom(|times| (0..times).map(|_| height(&domain, &lanes, &known, executor)).sum());
        });
    }
}

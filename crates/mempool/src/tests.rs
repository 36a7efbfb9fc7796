//! The pool's promises, one by one and under random use.

#![allow(
    clippy::cloned_ref_to_slice_refs,
    clippy::needless_pass_by_value,
    clippy::collapsible_if,
    reason = "steps and lists of one read like the others"
)]

mod admission;
mod convergence;
mod fixtures;
mod flights;
mod gossip;
mod memory;
mod persistence;
mod random;
mod selection;

use crate::{Carrier, Config, Entry, Mempool, Output, PeerId, Record, Status};
use chorale_types::{
    Bundle, Commitment, Height, Manifest, Payload, Promise, RollupId, TimestampMs, Transaction, Unit, UnitId, View,
    codec::{Blob, List},
    tagged_hash,
};
use std::sync::Arc;

const T0: TimestampMs = TimestampMs(1_700_000_000_000);

fn at(ms: u64) -> TimestampMs {
    TimestampMs(T0.0 + ms)
}

/// A block of this view, ten heights below it.
fn carrier(view: u64) -> Carrier {
    Carrier { height: Height(view.saturating_sub(10)), view: View(view) }
}

/// A transaction's entry of `bytes` encoded bytes, of which `number` makes it distinct.
fn entry(rollup: u64, number: u64, bytes: usize) -> Entry {
    Entry::new(transaction(rollup, number, bytes))
}

/// Bytes of a transaction's entry around its data.
const OVERHEAD: usize = 13;

fn transaction(rollup: u64, number: u64, bytes: usize) -> Unit {
    Unit::Transaction(inner(rollup, number, bytes - OVERHEAD))
}

fn inner(rollup: u64, number: u64, data_bytes: usize) -> Transaction {
    let mut data = number.to_be_bytes().to_vec();
    data.resize(data_bytes, 0xAB);
    Transaction { rollup: RollupId(rollup), data: Blob::new(data).unwrap() }
}

fn bundle(legs: &[(u64, usize)], expiry: u64, salt: u64) -> Entry {
    let legs = legs.iter().map(|&(rollup, bytes)| inner(rollup, salt, bytes)).collect();
    let legs = List::new(legs).unwrap();
    Entry::new(Unit::Bundle(Bundle { promise: Promise::Inclusion, legs, expiry: Height(expiry), salt }))
}

/// Rollups 1, 2, 3 and room for 30 entries of 100 bytes, so that everything is driven into its bounds.
fn small() -> Config {
    Config {
        bytes_max: 3_000,
        entries_max: 30,
        peer_bytes_max: 1_500,
        peer_entries_max: 15,
        ended_entries_max: 1_000,
        refused_entries_max: 8,
        ordered_entries_max: 1_000,
        ..Config::new([1, 2, 3].map(RollupId), 4)
    }
}

/// The defaults for four validators and rollups 1, 2, 3.
fn roomy() -> Config {
    Config::new([1, 2, 3].map(RollupId), 4)
}

fn pool(config: Config) -> Mempool {
    Mempool::new(config, Height(0), T0).unwrap()
}

fn with_peers(config: Config, peers: impl IntoIterator<Item = u32>) -> Mempool {
    let mut pool = pool(config);
    pool.set_peers(peers.into_iter().map(PeerId), T0);
    pool
}

fn manifest(entries: &[Entry]) -> Arc<Manifest> {
    let units = entries.iter().map(|entry| entry.unit().clone()).collect();
    Arc::new(Payload::build(units, [7; 32]).unwrap().1)
}

fn commitment(number: u64) -> Commitment {
    Commitment(tagged_hash("test", &[&number.to_be_bytes()]))
}

fn ids(entries: &[Entry]) -> Vec<UnitId> {
    entries.iter().map(Entry::id).collect()
}

fn journal(outputs: &[Output]) -> Vec<Record> {
    let record = |output: &Output| match output {
        Output::Journal(record) => Some(record.clone()),
        _ => None,
    };
    outputs.iter().filter_map(record).collect()
}

fn statuses(outputs: &[Output]) -> Vec<(UnitId, Status)> {
    let status = |output: &Output| match output {
        Output::Status { id, status } => Some((*id, status.clone())),
        _ => None,
    };
    outputs.iter().filter_map(status).collect()
}

#![allow(clippy::unwrap_used, clippy::panic, clippy::cast_possible_truncation, reason = "tests fail by panicking")]

mod domains;
mod promises;
mod properties;
mod rules;
mod snapshots;

use crate::{Config, Content, Ledger, RollupRules, Settled};
use chorale_types::{
    Acknowledged, AvailabilityCertificate, BlockId, BlockReference, BuilderId, Bundle, ChainId, Commitment, Epoch,
    Header, Height, Payload, PayloadUnit, Promise, QuorumCertificate, RollupId, Signature, Signers, TimestampMs,
    Transaction, Unit, ValidatorIndex, View,
    codec::{Blob, List},
    tagged_hash,
};

const START: u64 = 1_000_000;

/// Rollups 1 to 3 have no nonces of their own, 4 has; the window is 4 heights.
fn config() -> Config {
    let rules = |id| (RollupId(id), RollupRules { has_nonces: id == 4, ..RollupRules::default() });
    Config {
        chain: chain(),
        start: TimestampMs(START),
        time_step_ms_max: 500,
        dedup_window_heights: 4,
        hash_key: Default::default(),
        rollups: [1, 2, 3, 4].map(rules).into(),
        domains: Default::default(),
    }
}

fn chain() -> ChainId {
    ChainId(tagged_hash("test", &[b"chain"]))
}

fn commitment(name: u64) -> Commitment {
    Commitment(tagged_hash("test", &[b"commitment", &name.to_be_bytes()]))
}

/// A header of this height that references payloads by name.
fn header(height: u64, payloads: &[u64]) -> Header {
    let certificate = |name: &u64| AvailabilityCertificate {
        acknowledged: Acknowledged {
            builder: BuilderId(tagged_hash("test", &[b"builder"])),
            commitment: commitment(*name),
            length: 1,
            manifest: tagged_hash("test", &[b"manifest"]),
            expiry: View(height + 10),
        },
        signers: Signers::none(1),
        signature: Signature::NONE,
    };
    let parent = BlockId(tagged_hash("test", &[b"parent"]));
    let block = BlockReference { view: View(height - 1), parent: View(0), height: Height(height - 1), id: parent };
    Header {
        chain: chain(),
        epoch: Epoch(0),
        view: View(height),
        height: Height(height),
        parent: QuorumCertificate {
            epoch: Epoch(0),
            view: View(height - 1),
            block,
            signers: Signers::none(1),
            signature: Signature::NONE,
        },
        timestamp: TimestampMs(START + 100 * height),
        payloads: List::new(payloads.iter().map(certificate).collect()).unwrap(),
        author: ValidatorIndex(0),
    }
}

fn transaction(rollup: u64, data: &str) -> Transaction {
    Transaction { rollup: RollupId(rollup), data: Blob::new(data.as_bytes().to_vec()).unwrap() }
}

fn single(rollup: u64, data: &str) -> Unit {
    Unit::Transaction(transaction(rollup, data))
}

fn bundle(expiry: u64, legs: Vec<Transaction>) -> Unit {
    let legs = List::new(legs).unwrap();
    Unit::Bundle(Bundle { promise: Promise::Inclusion, legs, expiry: Height(expiry), salt: 1 })
}

fn content(units: Vec<Unit>) -> Content {
    let (payload, ..) = Payload::build(units.into_iter().map(PayloadUnit::new).collect(), [1; 32]).unwrap();
    Content::Opened(payload)
}

/// Settles the next height with one payload of its own.
fn settle(ledger: &mut Ledger, units: Vec<Unit>) -> Settled {
    let height = ledger.height().0 + 1;
    ledger.settle(&header(height, &[height]), vec![content(units)], None).unwrap()
}

/// Settles heights without payloads up to this one.
fn idle_until(ledger: &mut Ledger, height: u64) {
    while ledger.height().0 < height {
        ledger.settle(&header(ledger.height().0 + 1, &[]), Vec::new(), None).unwrap();
    }
}

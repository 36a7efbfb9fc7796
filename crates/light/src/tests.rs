#![allow(clippy::unwrap_used, clippy::panic, clippy::cast_possible_truncation, reason = "tests fail by panicking")]

mod following;
mod legs;
mod proof_files;
mod trust;

use crate::{HandOver, Light};
use chorale_ledger::{Config, Content, Ledger, RollupRules, Settled};
use chorale_types::{
    Acknowledged, Attestation, AvailabilityCertificate, BlockId, Bls, BuilderId, Bundle, ChainId, Commitment,
    ConsensusSecret, DomainId, Epoch, EpochInfo, Header, Height, NodeKey, Outcome, Payload, PayloadUnit, Promise,
    QuorumCertificate, RollupId, Scheme, Signature, Signers, Statement, TimestampMs, Transaction, Unit, Validator,
    ValidatorIndex, ValidatorSet, View,
    codec::{Blob, List},
    tagged_hash,
};

/// Heights of an epoch.
const EPOCH_HEIGHTS: u64 = 5;
/// A domain that all but the last validator execute.
const DOMAIN: DomainId = DomainId(7);

fn chain() -> ChainId {
    ChainId(tagged_hash("test", &[b"chain"]))
}

fn secret(epoch: u64, index: u16) -> ConsensusSecret {
    ConsensusSecret::from_seed([u8::try_from(10 * (epoch + 1) + u64::from(index)).unwrap(); 32])
}

/// Four validators; other ones in every epoch.
fn validators(epoch: u64) -> ValidatorSet {
    let validator = |index: u16| {
        let domains = if index < 3 { vec![DOMAIN] } else { Vec::new() };
        let validator = Validator::new(NodeKey([index as u8; 32]), secret(epoch, index).public(), 1);
        Validator { domains: List::new(domains).unwrap(), ..validator }
    };
    ValidatorSet::new((0..4).map(validator).collect()).unwrap()
}

fn genesis(chain: ChainId) -> EpochInfo {
    EpochInfo {
        chain,
        epoch: Epoch(0),
        validators: validators(0),
        start: EpochInfo::start_block(Height(0), BlockId(tagged_hash("test", &[b"genesis"]))),
        closing: Height(EPOCH_HEIGHTS),
    }
}

fn light() -> Light {
    Light::new(genesis(chain()), EPOCH_HEIGHTS)
}

fn attest(outcome: &Outcome, signers: &[u16]) -> Attestation {
    attest_as(outcome.chain, outcome.epoch, outcome.statement(), signers)
}

fn attest_as(chain: ChainId, epoch: Epoch, statement: Statement, signers: &[u16]) -> Attestation {
    let Statement::Outcome { domain, height, root } = statement else { panic!("{statement:?}") };
    let signatures: Vec<Signature> =
        signers.iter().map(|index| Bls::signer(secret(epoch.0, *index)).sign(chain, epoch, &statement)).collect();
    let signers = Signers::of(4, signers.iter().copied().map(ValidatorIndex));
    let signature = Bls::verifier().aggregate(&signatures).unwrap();
    Attestation { domain, epoch, height, root, signers, signature }
}

fn transaction(rollup: u64, data: &str) -> Transaction {
    Transaction { rollup: RollupId(rollup), data: Blob::new(data.as_bytes().to_vec()).unwrap() }
}

fn single(rollup: u64, data: &str) -> Unit {
    Unit::Transaction(transaction(rollup, data))
}

fn bundle() -> Bundle {
    let legs = List::new(vec![transaction(1, "leg 0"), transaction(2, "leg 1")]).unwrap();
    Bundle { promise: Promise::Inclusion, legs, expiry: Height(100), salt: 1 }
}

/// A height that a server has, with its attestation.
struct Served {
    settled: Settled,
    attestation: Attestation,
}

impl Served {
    const fn outcome(&self) -> &Outcome {
        &self.settled.outcome
    }
}

fn header(chain: ChainId, height: u64, payloads: usize) -> Header {
    let certificate = AvailabilityCertificate {
        acknowledged: Acknowledged {
            builder: BuilderId(tagged_hash("test", &[b"builder"])),
            commitment: Commitment(tagged_hash("test", &[&height.to_be_bytes()])),
            length: 1,
            manifest: tagged_hash("test", &[b"manifest"]),
            expiry: View(height),
        },
        signers: Signers::none(4),
        signature: Signature::NONE,
    };
    let epoch = (height - 1) / EPOCH_HEIGHTS;
    let block = EpochInfo::start_block(Height(height - 1), BlockId(tagged_hash("test", &[b"parent"])));
    Header {
        chain,
        epoch: Epoch(epoch),
        view: View(height),
        height: Height(height),
        parent: QuorumCertificate {
            epoch: Epoch(epoch),
            view: View(height - 1),
            block,
            signers: Signers::none(4),
            signature: Signature::NONE,
        },
        timestamp: TimestampMs(100 * height),
        payloads: List::new(vec![certificate; payloads]).unwrap(),
        author: ValidatorIndex(0),
    }
}

/// The heights of a chain with this content, attested by validators 0, 1 and 3 of each epoch.
fn serve(chain: ChainId, history: &[Vec<Unit>]) -> Vec<Served> {
    let mut ledger = Ledger::new(Config {
        chain,
        start: TimestampMs(0),
        time_step_ms_max: 1_000,
        dedup_window_heights: 4,
        hash_key: Default::default(),
        rollups: [1, 2, 3].map(|id| (RollupId(id), RollupRules::default())).into(),
        domains: Default::default(),
    });
    let settle = |(height, units): (u64, &Vec<Unit>)| {
        let placed = units.iter().cloned().map(PayloadUnit::new).collect();
        let (payload, ..) = Payload::build(placed, [1; 32]).unwrap();
        let contents: Vec<Content> = (!units.is_empty()).then_some(Content::Opened(payload)).into_iter().collect();
        let next = height.is_multiple_of(EPOCH_HEIGHTS).then(|| validators(height / EPOCH_HEIGHTS).digest());
        let settled = ledger.settle(&header(chain, height, contents.len()), contents, next).unwrap();
        let attestation = attest(&settled.outcome, &[0, 1, 3]);
        Served { settled, attestation }
    };
    (1..).zip(history).map(settle).collect()
}

/// Rollup 1 has content at heights 1, 3, 4 and 7, rollup 2 at 3 and 6, rollup 3 nowhere; two epochs and a bit.
fn history() -> Vec<Vec<Unit>> {
    let units = |height| match height {
        1 => vec![single(1, "a"), single(1, "b")],
        3 => vec![single(2, "c"), Unit::Bundle(bundle())],
        4 => vec![single(1, "d")],
        6 => vec![single(2, "e")],
        7 => vec![single(1, "f"), single(1, "g"), single(1, "h")],
        _ => Vec::new(),
    };
    (1..=12).map(units).collect()
}

/// The hand-over out of an epoch.
fn hand_over(served: &[Served], epoch: u64) -> HandOver {
    let closing = &served[usize::try_from((epoch + 1) * EPOCH_HEIGHTS - 1).unwrap()];
    HandOver {
        outcome: closing.outcome().clone(),
        attestation: closing.attestation.clone(),
        next: Some(validators(epoch + 1)),
    }
}

//! The settlement actor on a simulated disk, fed by hand.

use super::{Actor, Config, Connections, Fate, Mailbox, Stopped, Unavailable};
use crate::{
    reveal::{Revealed, RevealedPayload},
    store::{KeptPayload, PayloadStore},
};
use chorale_dispersal::{Malformed, Opened};
use chorale_foundation::{
    Bytes,
    runtime::{Handle, Runner as _, Spawner as _, Supervisor as _, deterministic},
};
use chorale_ledger::{RollupRules, SkipReason};
use chorale_light::Claim;
use chorale_types::{
    Acknowledged, AvailabilityCertificate, BlockId, BuilderId, Bundle, ChainId, Commitment, Digest, Epoch, EpochInfo,
    Header, Height, Manifest, Payload, PayloadStatus, PayloadUnit, Promise, QuorumCertificate, RollupId, Signature,
    Signers, TimestampMs, Transaction, Unit, UnitId, ValidatorIndex, View,
    codec::{Blob, List, Shared},
    tagged_hash,
};
use std::{future::Future, sync::Arc, time::Duration};
use tokio::sync::{Mutex, mpsc};

/// Heights of an epoch in these tests, and in those of attestation.
pub(crate) const EPOCH_HEIGHTS: u64 = 50;

pub(crate) type Context = deterministic::Context;

pub(crate) fn run<F: Future<Output = ()> + Send>(seed: u64, test: impl FnOnce(Context) -> F) {
    let config = deterministic::Config::default().with_seed(seed).with_timeout(Some(Duration::from_secs(600)));
    deterministic::Runner::new(config).start(test);
}

pub(crate) fn chain() -> ChainId {
    ChainId(tagged_hash("test/chain", &[]))
}

/// Rollups 1 to 3; snapshots every 8 heights.
pub(crate) fn config(partition: &str) -> Config {
    Config {
        ledger: chorale_ledger::Config {
            chain: chain(),
            start: TimestampMs(0),
            time_step_ms_max: 1_000,
            dedup_window_heights: 16,
            hash_key: Default::default(),
            rollups: [1, 2, 3].map(|id| (RollupId(id), RollupRules::default())).into(),
            domains: Default::default(),
        },
        next_validators: Arc::new(|header: &Header| {
            header.height.0.is_multiple_of(EPOCH_HEIGHTS).then(|| next_validators(header.epoch))
        }),
        attests: Arc::new(|_| false),
        retention_heights: 1_000,
        snapshot_heights: 8,
        recent_bytes_max: 16 * 1024,
        index_ids_max: 10_000,
        partition: partition.to_owned(),
    }
}

pub(crate) fn next_validators(epoch: Epoch) -> Digest {
    tagged_hash("test/next", &[&epoch.0.to_be_bytes()])
}

pub(crate) fn transaction(rollup: u64, data: &str) -> Transaction {
    Transaction { rollup: RollupId(rollup), data: Blob::new(data.as_bytes().to_vec()).unwrap() }
}

pub(crate) fn single(rollup: u64, data: &str) -> Unit {
    Unit::Transaction(transaction(rollup, data))
}

fn bundle(salt: u64) -> Unit {
    let legs = List::new(vec![transaction(1, "leg 0"), transaction(2, "leg 1")]).unwrap();
    Unit::Bundle(Bundle { promise: Promise::Inclusion, legs, expiry: Height(90), salt })
}

fn payload(height: u64, units: Vec<Unit>) -> (Manifest, Bytes) {
    let salt = [u8::try_from(height % 251).unwrap(); 32];
    let (_, manifest, bytes) = Payload::build(units.into_iter().map(PayloadUnit::new).collect(), salt).unwrap();
    (manifest, bytes)
}

/// A height with one payload, or with none if there are no units.
pub(crate) fn revealed(height: u64, units: Vec<Unit>) -> Revealed {
    let payloads = if units.is_empty() {
        Vec::new()
    } else {
        let (manifest, bytes) = payload(height, units);
        vec![(manifest, Ok(Opened { payload: bytes, key: [0; 32] }))]
    };
    revealed_as(height, payloads)
}

fn revealed_as(height: u64, payloads: Vec<(Manifest, Result<Opened, Malformed>)>) -> Revealed {
    let payloads: Vec<RevealedPayload> = (0u8..)
        .zip(payloads)
        .map(|(index, (manifest, opened))| RevealedPayload {
            certificate: AvailabilityCertificate {
                acknowledged: Acknowledged {
                    builder: BuilderId(tagged_hash("test/builder", &[])),
                    commitment: Commitment(tagged_hash("test/commitment", &[&height.to_be_bytes(), &[index]])),
                    length: manifest.length,
                    manifest: manifest.digest(),
                    expiry: View(height),
                },
                signers: Signers::none(4),
                signature: Signature::NONE,
            },
            manifest: Arc::new(manifest),
            opened,
        })
        .collect();
    let epoch = Epoch((height - 1) / EPOCH_HEIGHTS);
    let block = EpochInfo::start_block(Height(height - 1), BlockId(tagged_hash("test/parent", &[])));
    let header = Header {
        chain: chain(),
        epoch,
        view: View(height),
        height: Height(height),
        parent: QuorumCertificate {
            epoch,
            view: View(height - 1),
            block,
            signers: Signers::none(4),
            signature: Signature::NONE,
        },
        timestamp: TimestampMs(100 * height),
        payloads: List::new(payloads.iter().map(|payload| payload.certificate.clone()).collect()).unwrap(),
        author: ValidatorIndex(0),
    };
    Revealed { header: Shared::new(header), payloads }
}

/// What each height of the tests brings.
fn history(height: u64) -> Vec<Unit> {
    match height % 5 {
        0 => Vec::new(),
        1 => vec![single(1, &format!("a{height}")), bundle(height), single(1, "again")],
        2 => vec![single(2, &format!("b{height}"))],
        _ => vec![single(1, &format!("c{height}")), single(2, &format!("d{height}"))],
    }
}

/// A running actor.
pub(crate) struct Node {
    pub(crate) mailbox: Mailbox,
    pub(crate) restart: Height,
    payloads: Mutex<PayloadStore<Context>>,
    sender: mpsc::Sender<Revealed>,
    handle: Handle<Result<(), Stopped>>,
}

impl Node {
    pub(crate) async fn start(context: &Context, config: Config) -> Self {
        let payloads = PayloadStore::open(context.child("payloads"), &config.partition).await.unwrap();
        let opened = Actor::open(context.child("settlement"), config, payloads.reader()).await;
        let (actor, mailbox) = opened.unwrap();
        let restart = actor.restart();
        let (sender, revealed) = mpsc::channel(4);
        let handle = context.child("run").spawn(move |_| actor.run(Connections { revealed }));
        Self { mailbox, restart, payloads: Mutex::new(payloads), sender, handle }
    }

    /// As reveal does: keeps the payloads, and hands the height on.
    pub(crate) async fn settle(&self, revealed: Revealed) {
        let height = revealed.header.height;
        for RevealedPayload { certificate, manifest, opened } in &revealed.payloads {
            let kept = KeptPayload { manifest: (**manifest).clone(), opened: opened.clone() };
            drop(self.payloads.lock().await.put(height, &certificate.into(), &kept).await.unwrap());
        }
        self.sender.send(revealed).await.unwrap();
        self.mailbox.settled().wait_for(|settled| *settled >= height).await.unwrap();
    }

    async fn settle_history(&self, heights: std::ops::RangeInclusive<u64>) {
        for height in heights {
            self.settle(revealed(height, history(height))).await;
        }
    }

    /// What was not synced is lost.
    pub(crate) async fn crash(self) {
        self.handle.abort();
        let _ = self.handle.await;
    }

    /// Where a follower of rollup 1 is led to, with nothing left out on the way.
    async fn led_to(&self, after: u64) -> u64 {
        let (rollup, mut last) = (RollupId(1), Height(after));
        while let Some(next) = self.mailbox.next_content(rollup, last).await.unwrap() {
            let answer = self.mailbox.lane(rollup, next).await.unwrap();
            assert_eq!(answer.lane.unwrap().proof.leaf.previous, last);
            last = next;
        }
        last.0
    }

    async fn has_found(&self, data: &str) -> bool {
        self.mailbox.find(single(1, data).id()).await.unwrap().is_some()
    }

    async fn root(&self, height: u64) -> Digest {
        self.mailbox.outcome(Height(height)).await.unwrap().root()
    }
}

#[test]
fn lanes_come_with_proofs_and_so_does_their_absence() {
    run(1, async |context| {
        let node = Node::start(&context, config("s")).await;
        node.settle_history(1..=12).await;
        for height in 1..=12 {
            for rollup in [1, 2, 3, 99].map(RollupId) {
                let answer = node.mailbox.lane(rollup, Height(height)).await.unwrap();
                match answer.lane {
                    Ok(claim) => {
                        claim.proof.verify(&answer.outcome).unwrap();
                        claim.proof.covers(&claim.lane).unwrap();
                        assert_eq!(claim.lane.rollup(), rollup);
                    }
                    Err(absence) => {
                        absence.verify(&answer.outcome).unwrap();
                        assert!(rollup.0 > 2 || height % 5 == 0 || (height % 5 == 2 && rollup.0 == 1));
                    }
                }
            }
        }
        let row = node.mailbox.registry(RollupId(1), Height(12)).unwrap();
        row.proof.verify(&row.outcome).unwrap();
        assert_eq!(row.proof.leaf.last, Height(11));
        let unknown = node.mailbox.registry(RollupId(99), Height(12)).unwrap_err();
        assert_eq!(unknown, Unavailable::UnknownRollup(RollupId(99)));
    });
}

#[test]
fn a_follower_is_led_from_content_to_content() {
    run(2, async |context| {
        let node = Node::start(&context, config("s")).await;
        node.settle_history(1..=12).await;
        let mut follower = chorale_light::LaneFollower::new(RollupId(1), Height(0));
        let mut heights = Vec::new();
        while let Some(next) = node.mailbox.next_content(RollupId(1), follower.last()).await.unwrap() {
            let answer = node.mailbox.lane(RollupId(1), next).await.unwrap();
            assert_eq!(answer.lane.unwrap().proof.leaf.previous, follower.last());
            heights.push(next.0);
            follower = chorale_light::LaneFollower::new(RollupId(1), next);
        }
        assert_eq!(heights, [1, 3, 4, 6, 8, 9, 11]);
        assert_eq!(node.mailbox.next_content(RollupId(3), Height(0)).await, Ok(None));
        let unknown = node.mailbox.next_content(RollupId(9), Height(0)).await;
        assert_eq!(unknown, Err(Unavailable::UnknownRollup(RollupId(9))));
    });
}

#[test]
fn units_are_found_and_proven_by_their_id() {
    run(3, async |context| {
        let node = Node::start(&context, config("s")).await;
        node.settle_history(1..=12).await;
        for (unit, height, place) in
            [(single(1, "a6"), 6, (0, 0)), (bundle(11), 11, (0, 1)), (single(1, "again"), 1, (0, 2))]
        {
            let id = unit.id();
            let found = node.mailbox.find(id).await.unwrap().unwrap().place;
            assert_eq!((found.height, found.fate), (Height(height), Fate::Included));
            assert_eq!(found.place.map(|place| (place.payload, place.unit)), Some(place));
            let answer = node.mailbox.prove(id).await.unwrap().unwrap();
            match (&answer.claim, id) {
                (Claim::Transaction(proof), UnitId::Transaction(id)) => {
                    proof.verify(&answer.outcome).unwrap();
                    assert_eq!(proof.id(), id);
                }
                (Claim::Bundle(proof), UnitId::Bundle(id)) => {
                    proof.verify(&answer.outcome).unwrap();
                    assert_eq!(proof.id(), id);
                }
                other => panic!("{other:?}"),
            }
        }
        let leg = UnitId::Transaction(transaction(1, "leg 0").id());
        assert!(node.mailbox.find(leg).await.unwrap().is_none(), "a leg has no life of its own");
        assert!(node.mailbox.prove(single(1, "nothing").id()).await.unwrap().is_none());
    });
}

#[test]
fn what_had_no_effect_is_found_with_its_reason_and_not_proven() {
    run(4, async |context| {
        let node = Node::start(&context, config("s")).await;
        let foreign = || single(77, "x");
        node.settle(revealed(1, vec![foreign(), single(1, "a")])).await;
        let found = node.mailbox.find(foreign().id()).await.unwrap().unwrap().place;
        assert_eq!(found.fate, Fate::Skipped(SkipReason::UnknownRollup(RollupId(77))));
        assert!(node.mailbox.prove(foreign().id()).await.unwrap().is_none());
        // Ordered again, and left out: what counts is the time that it had effect.
        node.settle(revealed(2, vec![single(1, "a")])).await;
        let record = node.mailbox.record(Height(2)).await.unwrap();
        assert_eq!(record.skipped()[0].reason, SkipReason::Repeated { first: Height(1) });
        assert_eq!(node.mailbox.find(single(1, "a").id()).await.unwrap().unwrap().place.height, Height(1));
    });
}

#[test]
fn what_is_not_its_manifest_or_does_not_open_is_malformed() {
    run(5, async |context| {
        let node = Node::start(&context, config("s")).await;
        let (_, bytes) = payload(1, vec![single(1, "a")]);
        let (other, _) = payload(1, vec![single(1, "b")]);
        let lie = (other.clone(), Ok(Opened { payload: bytes, key: [0; 32] }));
        let broken = (other, Err(Malformed::NotACodeword));
        node.settle(revealed_as(1, vec![lie, broken])).await;
        let record = node.mailbox.record(Height(1)).await.unwrap();
        assert_eq!(record.outcome().payloads[..], [PayloadStatus::Malformed; 2]);
        assert_eq!((record.payloads().len(), record.lanes().len(), record.included().len()), (2, 0, 0));
    });
}

#[test]
fn a_crash_loses_nothing_that_is_not_found_again() {
    run(6, async |context| {
        let node = Node::start(&context, config("whole")).await;
        node.settle_history(1..=30).await;
        let broken = Node::start(&context, config("broken")).await;
        broken.settle_history(1..=21).await;
        broken.crash().await;
        let again = Node::start(&context, config("broken")).await;
        assert_eq!(again.restart, Height(16), "the last snapshot");
        assert_eq!(*again.mailbox.settled().borrow(), Height(16));
        assert_eq!(again.root(16).await, node.root(16).await);
        let early = again.mailbox.find(bundle(11).id()).await.unwrap();
        assert_eq!(early.unwrap().place.height, Height(11), "the index is read again");
        again.settle_history(17..=30).await;
        for height in 1..=30 {
            assert_eq!(again.root(height).await, node.root(height).await, "height {height}");
            let (one, other) = (again.mailbox.record(Height(height)).await, node.mailbox.record(Height(height)).await);
            assert_eq!(one.unwrap(), other.unwrap());
        }
    });
}

#[test]
fn a_node_that_is_shut_down_goes_on_where_it_was() {
    run(7, async |context| {
        let node = Node::start(&context, config("s")).await;
        node.settle_history(1..=13).await;
        let root = node.root(13).await;
        let Node { sender, handle, mailbox, payloads, .. } = node;
        drop((sender, mailbox, payloads));
        handle.await.unwrap().unwrap();
        let again = Node::start(&context, config("s")).await;
        assert_eq!(again.restart, Height(13));
        assert_eq!(again.root(13).await, root);
        again.mailbox.registry(RollupId(1), Height(13)).unwrap();
        again.settle_history(14..=14).await;
    });
}

#[test]
fn what_is_not_here_is_said_to_be_pruned_or_not_yet() {
    run(8, async |context| {
        let settings = || Config { retention_heights: 40, ..config("s") };
        let node = Node::start(&context, settings()).await;
        node.settle_history(1..=200).await;
        let not_yet = Unavailable::NotYet { height: Height(201), settled: Height(200) };
        assert_eq!(node.mailbox.record(Height(201)).await.unwrap_err(), not_yet);
        assert_eq!(node.mailbox.record(Height(10)).await.unwrap_err(), Unavailable::Pruned { first: Height(160) });
        assert!(node.mailbox.record(Height(160)).await.is_ok(), "the last 40 and more are kept");
        let pruned = node.mailbox.next_content(RollupId(1), Height(10)).await.unwrap_err();
        assert!(matches!(pruned, Unavailable::Pruned { .. }));
        assert_eq!(node.mailbox.next_content(RollupId(1), Height(170)).await, Ok(Some(Height(171))));
        assert!(node.mailbox.find(bundle(11).id()).await.unwrap().is_none());
        assert!(matches!(node.mailbox.registry(RollupId(1), Height(10)), Err(Unavailable::Pruned { .. })));
        node.crash().await;
        let again = Node::start(&context, settings()).await;
        assert_eq!(again.mailbox.record(Height(10)).await.unwrap_err(), Unavailable::Pruned { first: Height(160) });
        let late = again.mailbox.find(single(1, "a191").id()).await.unwrap();
        assert_eq!(late.unwrap().place.height, Height(191));
    });
}

/// Nothing is pruned for who has all that a rollup had before, however long ago that was.
#[test]
fn a_rollup_that_was_quiet_for_long_goes_on_where_its_followers_are() {
    run(12, async |context| {
        let node = Node::start(&context, Config { retention_heights: 40, ..config("s") }).await;
        for height in 1..=200 {
            let mut units = vec![single(1, &format!("a{height}"))];
            if [5, 199].contains(&height) {
                units.push(single(3, &format!("b{height}")));
            }
            node.settle(revealed(height, units)).await;
        }
        assert_eq!(node.mailbox.next_content(RollupId(3), Height(5)).await, Ok(Some(Height(199))));
        let missed = node.mailbox.next_content(RollupId(3), Height(4)).await.unwrap_err();
        assert!(matches!(missed, Unavailable::Pruned { .. }), "{missed}");
    });
}

#[test]
fn an_index_that_is_full_forgets_the_oldest() {
    run(9, async |context| {
        let node = Node::start(&context, Config { index_ids_max: 20, ..config("s") }).await;
        node.settle_history(1..=40).await;
        assert!(node.mailbox.find(single(1, "a1").id()).await.unwrap().is_none());
        assert!(node.mailbox.find(single(1, "a36").id()).await.unwrap().is_some());
        assert!(node.mailbox.record(Height(1)).await.is_ok(), "by height it is still there");
    });
}

/// Or whoever follows a busy rollup and is a little behind would be told that lanes are pruned that are still there.
#[test]
fn an_index_that_is_full_still_leads_followers_through_all_that_is_kept() {
    run(13, async |context| {
        let settings = || Config { index_ids_max: 20, retention_heights: 100, ..config("s") };
        let node = Node::start(&context, settings()).await;
        node.settle_history(1..=40).await;
        assert_eq!(node.led_to(0).await, 39);
        assert!(node.has_found("a36").await && !node.has_found("a21").await, "ids are bounded");
        node.crash().await;
        let again = Node::start(&context, settings()).await;
        assert_eq!(again.restart, Height(40));
        assert_eq!(again.led_to(0).await, 39);
        assert!(again.has_found("a36").await && !again.has_found("a21").await, "nor does a restart read more ids");
        // Retention, and nothing else, is what ends it.
        again.settle_history(41..=200).await;
        assert_eq!(again.led_to(101).await, 199);
        let pruned = again.mailbox.next_content(RollupId(1), Height(90)).await;
        assert_eq!(pruned, Err(Unavailable::Pruned { first: Height(100) }));
        assert!(again.has_found("a196").await);
    });
}

#[test]
fn the_closing_height_names_the_next_validators() {
    run(10, async |context| {
        let node = Node::start(&context, config("s")).await;
        node.settle_history(1..=EPOCH_HEIGHTS + 1).await;
        let outcome = |height| node.mailbox.outcome(Height(height));
        assert_eq!(outcome(EPOCH_HEIGHTS - 1).await.unwrap().next_validators, None);
        assert_eq!(outcome(EPOCH_HEIGHTS).await.unwrap().next_validators, Some(next_validators(Epoch(0))));
        assert_eq!(outcome(EPOCH_HEIGHTS + 1).await.unwrap().next_validators, None);
    });
}

#[test]
fn a_disk_of_another_chain_is_refused() {
    run(11, async |context| {
        let node = Node::start(&context, config("s")).await;
        node.settle_history(1..=8).await;
        node.crash().await;
        let mut other = config("s");
        other.ledger.rollups.remove(&RollupId(3));
        let payloads = PayloadStore::open(context.child("payloads"), "other").await.unwrap();
        let refused = Actor::open(context.child("other"), other, payloads.reader()).await;
        assert!(matches!(refused.map(|_| ()), Err(Stopped::Restore(_))));
    });
}

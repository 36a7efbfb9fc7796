//! Against nodes whose chain is made here, as the ledger makes it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use super::{Config, Fault, Follower};
use crate::{FollowedSecond, Nodes, watched::Watched};
use chorale_api::{HexBytes, LaneAnswer, LaneBundles, LastContentAnswer};
use chorale_ledger::{Config as LedgerConfig, Content, Ledger, RollupRules, Settled};
use chorale_light::{Claim, FollowError, LaneClaim, Light};
use chorale_types::{
    Acknowledged, Attestation, AvailabilityCertificate, BlockId, Bls, BuilderId, ChainId, Commitment, ConsensusSecret,
    Epoch, EpochInfo, Header, Height, NodeKey, Payload, PayloadUnit, QuorumCertificate, RollupId, Scheme, Signature,
    Signers, TimestampMs, Transaction, Unit, Validator, ValidatorIndex, ValidatorSet, View,
    codec::{Blob, Encode as _, List},
    tagged_hash,
};
use jsonrpsee::{
    RpcModule,
    server::{ServerBuilder, ServerHandle},
    types::Params,
};
use proptest::prelude::*;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::watch;

const ROLLUPS: [u64; 2] = [1, 2];

fn secret(index: u8) -> ConsensusSecret {
    ConsensusSecret::from_seed([index + 1; 32])
}

fn epoch() -> EpochInfo {
    let validator = |index: u8| Validator::new(NodeKey([index; 32]), secret(index).public(), 1);
    EpochInfo {
        chain: ChainId(tagged_hash("test", &[b"chain"])),
        epoch: Epoch(0),
        validators: ValidatorSet::new((0..4).map(validator).collect()).unwrap(),
        start: EpochInfo::start_block(Height(0), BlockId(tagged_hash("test", &[b"genesis"]))),
        closing: Height(1_000),
    }
}

/// A height: how many milliseconds after the one before it, and which rollups have content.
type Sketch = (u64, bool, bool);

struct Chain(Vec<(Settled, Attestation)>);

impl Chain {
    fn new(heights: &[Sketch]) -> Self {
        let EpochInfo { chain, .. } = epoch();
        let rules = ROLLUPS.map(|id| (RollupId(id), RollupRules::default()));
        let mut ledger = Ledger::new(LedgerConfig {
            domains: Default::default(),
            chain,
            start: TimestampMs(0),
            time_step_ms_max: 60_000,
            dedup_window_heights: 4,
            hash_key: Default::default(),
            rollups: rules.into(),
        });
        let mut time = 0;
        let settle = |(height, &(later, one, two)): (u64, &Sketch)| {
            time += later;
            let unit = |(rollup, has): (u64, bool)| {
                let data = Blob::new(height.to_be_bytes().to_vec()).unwrap();
                has.then(|| Unit::Transaction(Transaction { rollup: RollupId(rollup), data }))
            };
            let units: Vec<PayloadUnit> =
                ROLLUPS.into_iter().zip([one, two]).filter_map(unit).map(PayloadUnit::new).collect();
            let contents: Vec<Content> = if units.is_empty() {
                Vec::new()
            } else {
                vec![Content::Opened(Payload::build(units, [1; 32]).unwrap().0)]
            };
            let settled = ledger.settle(&header(chain, height, time, contents.len()), contents, None).unwrap();
            let statement = settled.outcome.statement();
            let sign = |index: u8| Bls::signer(secret(index)).sign(chain, Epoch(0), &statement);
            let attestation = Attestation {
                domain: chorale_types::DomainId::ORDERING,
                epoch: Epoch(0),
                height: Height(height),
                root: settled.outcome.root(),
                signers: Signers::of(4, [0, 1, 3].map(ValidatorIndex)),
                signature: Bls::verifier().aggregate(&[0, 1, 3].map(sign)).unwrap(),
            };
            (settled, attestation)
        };
        Self((1..).zip(heights).map(settle).collect())
    }

    fn at(&self, height: u64) -> &(Settled, Attestation) {
        &self.0[usize::try_from(height - 1).unwrap()]
    }

    fn has_content(&self, rollup: u64, height: u64) -> bool {
        self.at(height).0.lanes.contains_key(&RollupId(rollup))
    }

    /// The heights with content and the closing height of every second that is over.
    fn seconds(&self) -> Vec<(Vec<u64>, u64)> {
        let second = |height: u64| self.at(height).0.outcome.timestamp.second();
        let mut seconds: Vec<(Vec<u64>, u64)> = Vec::new();
        let last = self.0.len() as u64;
        for height in (1..=last).filter(|height| !self.at(*height).0.lanes.is_empty()) {
            let Some(closing) = (height..=last).find(|later| second(*later) > second(height)) else { break };
            match seconds.last_mut() {
                Some((heights, same)) if *same == closing => heights.push(height),
                _ => seconds.push((vec![height], closing)),
            }
        }
        seconds
    }

    fn lane(&self, rollup: u64, height: u64) -> LaneAnswer {
        let (settled, attestation) = self.at(height);
        let rollup = RollupId(rollup);
        let claim = match settled.lanes.get(&rollup) {
            Some(lane) => {
                Claim::Lane(LaneClaim { lane: lane.clone(), proof: settled.lane_tree.prove(rollup).unwrap() })
            }
            None => Claim::Absence(settled.lane_tree.prove_absence(rollup).unwrap()),
        };
        LaneAnswer {
            height,
            has_content: settled.lanes.contains_key(&rollup),
            outcome: HexBytes(settled.outcome.encode().to_vec()),
            attestation: Some(HexBytes(attestation.encode().to_vec())),
            claim: HexBytes(claim.encode().to_vec()),
            bundles: HexBytes(LaneBundles::default().encode().to_vec()),
        }
    }

    fn last_content(&self, rollup: u64, tip: u64) -> LastContentAnswer {
        let (settled, attestation) = self.at(tip);
        let proof = settled.registry_tree.prove(RollupId(rollup)).unwrap();
        LastContentAnswer {
            height: tip,
            last: proof.leaf.last.0,
            outcome: HexBytes(settled.outcome.encode().to_vec()),
            attestation: HexBytes(attestation.encode().to_vec()),
            claim: HexBytes(Claim::Registry(proof).encode().to_vec()),
        }
    }
}

fn header(chain: ChainId, height: u64, time_ms: u64, payloads: usize) -> Header {
    let (signers, signature) = (Signers::none(4), Signature::NONE);
    let certificate = AvailabilityCertificate {
        acknowledged: Acknowledged {
            builder: BuilderId(tagged_hash("test", &[b"builder"])),
            commitment: Commitment(tagged_hash("test", &[&height.to_be_bytes()])),
            length: 1,
            manifest: tagged_hash("test", &[b"manifest"]),
            expiry: View(height),
        },
        signers: signers.clone(),
        signature,
    };
    let block = EpochInfo::start_block(Height(height - 1), BlockId(tagged_hash("test", &[b"parent"])));
    Header {
        chain,
        epoch: Epoch(0),
        view: View(height),
        height: Height(height),
        parent: QuorumCertificate { epoch: Epoch(0), view: View(height - 1), block, signers, signature },
        timestamp: TimestampMs(time_ms),
        payloads: List::new(vec![certificate; payloads]).unwrap(),
        author: ValidatorIndex(0),
    }
}

/// How a node answers.
#[derive(Default)]
struct Manner {
    /// The height up to which it knows the chain at first.
    first: u64,
    /// How many heights more it knows after every question.
    pace: u64,
    /// Shows this much later heights than those that are asked for, where there is no content.
    wrong_by: u64,
    /// How often a height was asked for.
    asked: Arc<AtomicU64>,
}

struct Served {
    chain: Arc<Chain>,
    tip: AtomicU64,
    manner: Manner,
}

impl Served {
    fn tip(&self) -> u64 {
        let tip = self.tip.fetch_add(self.manner.pace, Ordering::SeqCst);
        tip.min(self.chain.0.len() as u64)
    }
}

async fn serve(chain: &Arc<Chain>, manner: Manner) -> (String, ServerHandle) {
    let served = Served { chain: Arc::clone(chain), tip: AtomicU64::new(manner.first), manner };
    let mut module = RpcModule::new(served);
    let next = |params: Params<'_>, served: &Served, _: &jsonrpsee::Extensions| {
        let (rollup, after): (u64, u64) = params.parse().unwrap();
        (after + 1..=served.tip()).find(|height| served.chain.has_content(rollup, *height))
    };
    module.register_method("chorale_nextContent", next).unwrap();
    let lane = |params: Params<'_>, served: &Served, _: &jsonrpsee::Extensions| {
        let (rollup, height): (u64, u64) = params.parse().unwrap();
        served.manner.asked.fetch_add(1, Ordering::SeqCst);
        let is_empty = served.chain.at(height).0.lanes.is_empty();
        let answer = served.chain.lane(rollup, height + if is_empty { served.manner.wrong_by } else { 0 });
        serde_json::to_value(answer).unwrap()
    };
    module.register_method("chorale_lane", lane).unwrap();
    let last = |params: Params<'_>, served: &Served, _: &jsonrpsee::Extensions| {
        let (rollup,): (u64,) = params.parse().unwrap();
        serde_json::to_value(served.chain.last_content(rollup, served.tip())).unwrap()
    };
    module.register_method("chorale_lastContent", last).unwrap();
    let server = ServerBuilder::default().build("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", server.local_addr().unwrap());
    (url, server.start(module))
}

fn follower(urls: &[&str], last: u64) -> Follower {
    let quick = Duration::from_millis(1);
    let config = Config { poll_interval: quick, retry_interval: quick, silent_rounds_max: Some(20) };
    let watched = |rollup| (RollupId(rollup), Watched::new(RollupId(rollup), Height(last)));
    Follower {
        config,
        nodes: Nodes::new(urls.iter().map(|url| (*url).to_owned()), Duration::from_secs(60)).unwrap(),
        light: Light::new(epoch(), 1_000),
        rollups: ROLLUPS.map(watched).into(),
        last: Height(last),
        level: watch::Sender::new(false),
        second: Default::default(),
        alive: watch::Sender::new(std::time::Instant::now()),
        hints: Default::default(),
        verified: None,
    }
}

async fn seen(follower: &mut Follower, count: usize) -> Vec<(Vec<u64>, u64)> {
    let mut all = Vec::new();
    for _ in 0..count {
        let FollowedSecond { heights, closing } = follower.next_second().await.unwrap();
        all.push((heights.iter().map(|it| it.attested.height().0).collect(), closing.height().0));
    }
    all
}

fn heights() -> impl Strategy<Value = Vec<Sketch>> {
    let later = prop_oneof![6 => 1u64..500, 1 => 900u64..2_500];
    let height = (later, prop::bool::weighted(0.3), prop::bool::weighted(0.2));
    // The last one ends every second.
    proptest::collection::vec(height, 1..24).prop_map(|mut heights| {
        heights.push((3_000, false, false));
        heights
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whether the chain is there from the beginning or comes height by height, from whichever node, and wherever one begins.
    #[test]
    fn seconds_are_closed_by_the_same_heights_however_content_comes(heights in heights(), first in 1u64..4, stop: u16) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let chain = Arc::new(Chain::new(&heights));
            let expected = chain.seconds();
            let all = chain.0.len() as u64;
            let (whole, _one) = serve(&chain, Manner { first: all, ..Manner::default() }).await;
            let (slow, _two) = serve(&chain, Manner { first, pace: 1, ..Manner::default() }).await;
            prop_assert_eq!(seen(&mut follower(&[&whole], 0), expected.len()).await, expected.clone());
            prop_assert_eq!(seen(&mut follower(&[&slow], 0), expected.len()).await, expected.clone());
            let (slow, _three) = serve(&chain, Manner { first, pace: 1, ..Manner::default() }).await;
            prop_assert_eq!(seen(&mut follower(&[&slow, &whole], 0), expected.len()).await, expected.clone());
            let done = usize::from(stop) % (expected.len() + 1);
            let last = done.checked_sub(1).map_or(0, |index| expected[index].1 - 1);
            let rest = seen(&mut follower(&[&whole], last), expected.len() - done).await;
            prop_assert_eq!(rest, expected[done..].to_vec());
            Ok(())
        })?;
    }
}

/// An idle chain of days does not make anybody ask for every height of it.
#[tokio::test]
async fn a_second_before_a_long_pause_is_closed_with_few_questions() {
    let mut heights = vec![(1_100, true, false), (300, false, true)];
    heights.extend([(300, false, false); 600]);
    let chain = Arc::new(Chain::new(&heights));
    let asked = Arc::new(AtomicU64::new(0));
    let manner = Manner { first: 602, asked: Arc::clone(&asked), ..Manner::default() };
    let (url, _server) = serve(&chain, manner).await;
    assert_eq!(seen(&mut follower(&[&url], 0), 1).await, [(vec![1, 2], 4)]);
    // Two with content, and those near them.
    let asked = asked.load(Ordering::SeqCst);
    assert!(asked <= 8, "{asked}");
}

/// Or a node could say at which height a block is attested.
#[tokio::test]
async fn a_node_that_shows_another_height_than_was_asked_for_is_dropped() {
    let chain =
        Arc::new(Chain::new(&[(1_100, true, true), (300, false, false), (300, false, false), (2_000, true, true)]));
    let (liar, _one) = serve(&chain, Manner { first: 4, wrong_by: 1, ..Manner::default() }).await;
    let (honest, _two) = serve(&chain, Manner { first: 4, ..Manner::default() }).await;
    let mut follower = follower(&[&liar, &honest], 0);
    assert_eq!(seen(&mut follower, 1).await, [(vec![1], 4)]);
    let dropped: Vec<&str> = follower.nodes().dropped().iter().map(|dropped| dropped.url.as_str()).collect();
    assert_eq!(dropped, [liar.as_str()]);
}

#[test]
fn a_node_that_shows_a_fork_is_not_dropped_for_it() {
    let fork = FollowError::Contradiction { height: Height(7), last: Height(4) };
    assert!(matches!(Fault::of_lane(fork), Fault::Forked(error) if error == fork));
    let lie = FollowError::Skipped { height: Height(7), previous: Height(4), last: Height(3) };
    assert!(matches!(Fault::of_lane(lie), Fault::False(_)));
}

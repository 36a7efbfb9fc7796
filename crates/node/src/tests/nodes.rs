//! Whole nodes, all actors of each: only sockets and the API are missing.

use super::{
    cluster::{identity, node_key, secret},
    liar::{Liar, Lie},
};
use crate::{
    actors::{Handles, Identity, Node},
    mesh::{Mesh, channel},
    ports::Peers,
    run::NodeError,
    settlement::Fate,
};
use chorale_foundation::{
    codec::Encode as _,
    cryptography::{Signer as _, ed25519::PublicKey},
    p2p::simulated::{self, Link, Network, Oracle, Receiver},
    runtime::{Clock as _, Handle, Quota, Spawner as _, Supervisor as _, deterministic::Context},
    utils::{NZU32, NZUsize, probability},
};
use chorale_types::{
    Genesis, Height, Outcome, RollupId, Transaction, Unit, UnitId,
    codec::Blob,
    genesis::{GenesisFile, GenesisParameters, RollupFile, ValidatorFile},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tokio::sync::oneshot;

/// The channel of consensus; those of the bulk network count from 0.
const ORDER: u64 = 100;

/// Rollups 1 to 3.
const ROLLUPS: u64 = 3;

/// How long anything may take at most, of virtual time.
const PATIENCE: Duration = Duration::from_secs(600);

/// Links that take 10 ms, give or take 2, and lose so many messages of a hundred.
pub(super) fn link(lost_percent: u32) -> Link {
    let success_rate = match lost_percent {
        0 => probability!(1.0),
        1..5 => probability!(0.98),
        _ => probability!(0.9),
    };
    Link { latency: Duration::from_millis(10), jitter: Duration::from_millis(2), success_rate }
}

fn genesis(n: usize, parameters: GenesisParameters) -> Genesis {
    let validator = |i| ValidatorFile {
        name: format!("validator-{i}"),
        node: hex::encode(node_key(i).0),
        key: hex::encode(secret(i).public().encode()),
        possession: hex::encode(secret(i).prove_possession().0),
        stake: "32000000000000000000".to_owned(),
        domains: Vec::new(),
    };
    let rollup = |id| RollupFile { id, name: format!("rollup-{id}"), has_nonces: false, evm: None };
    let file = GenesisFile {
        name: "test".to_owned(),
        time_ms: 0,
        parameters,
        rollups: (1..=ROLLUPS).map(rollup).collect(),
        domains: Vec::new(),
        validators: (0..n).map(validator).collect(),
        epochs: Vec::new(),
    };
    file.check().unwrap()
}

/// A transaction of this name; names decide about the rollup.
pub(crate) fn unit(name: u64) -> Unit {
    let data = format!("transaction {name}").into_bytes();
    Unit::Transaction(Transaction { rollup: RollupId(1 + name % ROLLUPS), data: Blob::new(data).unwrap() })
}

struct RunningNode {
    handles: Handles,
    task: Handle<NodeError>,
}

/// See the [module](self).
pub(super) struct Nodes {
    pub(super) context: Context,
    pub(super) oracle: Oracle<PublicKey, Context>,
    pub(super) genesis: Genesis,
    n: usize,
    lies: BTreeMap<usize, Lie>,
    running: BTreeMap<usize, RunningNode>,
}

impl Nodes {
    /// `n` validators of equal stake, of which none runs yet.
    pub(super) async fn new(context: Context, n: usize, parameters: GenesisParameters, link: Link) -> Self {
        let settings = simulated::Config {
            max_size: 1024 * 1024,
            max_peers_per_set: NZUsize!(n),
            disconnect_on_block: true,
            tracked_peer_sets: NZUsize!(1),
        };
        let keys: Vec<PublicKey> = (0..n).map(|i| identity(i).public_key()).collect();
        let (network, oracle) = Network::new_with_peers(context.child("network"), settings, keys.clone()).await;
        network.start();
        for from in &keys {
            for to in keys.iter().filter(|to| *to != from) {
                oracle.add_link(from.clone(), to.clone(), link.clone()).await.unwrap();
            }
        }
        Self { context, oracle, genesis: genesis(n, parameters), n, lies: BTreeMap::new(), running: BTreeMap::new() }
    }

    /// A node's end of a channel, and what it makes of its messages there.
    async fn channel(&self, i: usize, channel: u64, lie: Option<Lie>) -> (Liar, Receiver<PublicKey>) {
        let control = self.oracle.control(identity(i).public_key());
        let (sender, receiver) = control.register(channel, Quota::per_second(NZU32!(100_000))).await.unwrap();
        (Liar::new(sender, lie), receiver)
    }

    /// From now on, a node that is started says something else about payloads than an honest one.
    pub(super) fn lies(&mut self, i: usize, lie: Lie) {
        self.lies.insert(i, lie);
    }

    /// Starts a node with the disk that it has.
    pub(super) async fn start(&mut self, i: usize) {
        self.start_with(i, "disk", false).await;
    }

    /// Starts all on new disks.
    pub(super) async fn start_all(&mut self) {
        for i in 0..self.n {
            self.start_with(i, "disk", true).await;
        }
    }

    /// Starts a node with the disk of this name.
    pub(super) async fn start_with(&mut self, i: usize, disk: &str, is_new: bool) {
        let mesh = Mesh {
            order: self.channel(i, ORDER, None).await,
            chunks: self.channel(i, channel::CHUNKS, self.lies.get(&i).cloned()).await,
            mempool: self.channel(i, channel::MEMPOOL, None).await,
            sync: self.channel(i, channel::SYNC, None).await,
            attest: self.channel(i, channel::ATTEST, None).await,
            evidence: self.channel(i, channel::EVIDENCE, None).await,
            peers: Peers::new([self.oracle.control(identity(i).public_key())]),
            membership: None,
        };
        let (genesis, partition) = (self.genesis.clone(), format!("{disk}-{i}-"));
        let identity = Identity { me: node_key(i), consensus: Some(secret(i)), is_new, partition };
        let (opened, is_open) = oneshot::channel();
        let context = self.context.child("node").with_attribute("index", i);
        let task = context.spawn(move |context| async move {
            let node = match Node::open(&context, &genesis, identity, mesh, &BTreeSet::new()).await {
                Ok(node) => node,
                Err(error) => return error,
            };
            let _ = opened.send(node.handles.clone());
            node.start(&context).ended().await
        });
        match is_open.await {
            Ok(handles) => self.running.insert(i, RunningNode { handles, task }),
            Err(_) => panic!("node {i} does not start: {}", task.await.unwrap()),
        };
    }

    /// Kills a node, with everything that it had not synced.
    pub(super) async fn crash(&mut self, i: usize) {
        let running = self.running.remove(&i).unwrap();
        running.task.abort();
        let _ = running.task.await;
    }

    pub(super) fn handles(&self, i: usize) -> &Handles {
        &self.running[&i].handles
    }

    pub(super) fn committed(&self, i: usize) -> Height {
        *self.handles(i).chain.committed.borrow()
    }

    pub(super) fn settled(&self, i: usize) -> Height {
        *self.handles(i).settlement.settled().borrow()
    }

    /// Submits transactions of these names to a node, which accepts them all.
    pub(super) async fn submit(&self, i: usize, names: impl IntoIterator<Item = u64>) -> Vec<UnitId> {
        let units: Vec<Unit> = names.into_iter().map(unit).collect();
        let submitted = self.handles(i).pool.submit(units).await.unwrap();
        submitted.into_iter().map(|result| result.unwrap().id).collect()
    }

    pub(super) async fn sleep_ms(&self, ms: u64) {
        self.context.sleep(Duration::from_millis(ms)).await;
    }

    /// Looks again every few milliseconds, until it is so.
    pub(super) async fn until(&self, what: &str, mut is_so: impl AsyncFnMut() -> bool) {
        let end = self.context.current() + PATIENCE;
        while !is_so().await {
            assert!(self.context.current() < end, "after {} s: {what}", PATIENCE.as_secs());
            self.sleep_ms(20).await;
        }
    }

    /// Waits until every running node has settled all of these, each with effect.
    pub(super) async fn until_settled(&self, ids: &[UnitId]) {
        for (i, node) in &self.running {
            for id in ids {
                self.until(&format!("node {i} has not settled {id}"), async || {
                    let found = node.handles.settlement.find(*id).await.unwrap();
                    found.is_some_and(|found| found.place.fate == Fate::Included)
                })
                .await;
            }
        }
    }

    /// Waits until every running node has settled this height.
    pub(super) async fn until_height(&self, height: Height) {
        for i in self.running.keys() {
            self.until(&format!("node {i} does not reach {height}"), async || self.settled(*i) >= height).await;
        }
    }

    /// The outcomes of all heights up to the lowest that a running node has settled; all of them have the same.
    pub(super) async fn agree(&self) -> Vec<Outcome> {
        let lowest = self.running.keys().map(|i| self.settled(*i)).min().unwrap();
        let mut outcomes = Vec::new();
        for height in (1..=lowest.0).map(Height) {
            let mut seen: BTreeMap<usize, Outcome> = BTreeMap::new();
            for (i, node) in &self.running {
                seen.insert(*i, node.handles.settlement.outcome(height).await.unwrap());
            }
            let (_, outcome) = seen.pop_first().unwrap();
            assert!(seen.values().all(|other| *other == outcome), "nodes differ at height {height}");
            outcomes.push(outcome);
        }
        outcomes
    }

    /// Waits until a height is attested on every running node.
    pub(super) async fn until_attested(&self, height: Height) {
        for (i, node) in &self.running {
            let what = format!("node {i} has no attestation of {height}");
            self.until(&what, async || node.handles.attestation.get(height).await.is_some()).await;
        }
    }

    /// Whether two halves of the nodes reach each other: those below `first` and the others.
    pub(super) async fn cut(&self, first: usize, is_cut: bool) {
        for (a, b) in (0..first).flat_map(|a| (first..self.n).map(move |b| (a, b))) {
            let [a, b] = [a, b].map(|i| identity(i).public_key());
            for (from, to) in [(a.clone(), b.clone()), (b, a)] {
                match is_cut {
                    true => self.oracle.remove_link(from, to).await.unwrap(),
                    false => self.oracle.add_link(from, to, link(0)).await.unwrap(),
                }
            }
        }
    }

    /// Who has cut off whom.
    pub(super) async fn cut_off(&self) -> Vec<(usize, usize)> {
        let index = |key: &PublicKey| (0..self.n).find(|i| identity(*i).public_key() == *key).unwrap();
        let mut pairs: Vec<(usize, usize)> =
            self.oracle.blocked().await.unwrap().iter().map(|(a, b)| (index(a), index(b))).collect();
        pairs.sort_unstable();
        pairs
    }
}

//! A handful of validators that order empty headers.

use crate::{
    consensus::{self, Chain, Stopped, wire::Wire},
    evidence::Reporter,
    mesh::channel,
    ports::{ChainHandle, Content, ContentSource, Peers},
    sync,
};
use chorale_foundation::{
    Bytes,
    codec::Encode as _,
    cryptography::ed25519::{PrivateKey, PublicKey},
    cryptography::{Hasher as _, Sha256, Signer as _},
    p2p::{
        Manager as _, Receiver as _, Recipients, Sender as _,
        simulated::{self, Link, Network, Oracle},
    },
    runtime::{
        Blob as _, Clock as _, Handle, Quota, ReadOptions, Spawner as _, Storage as _, Supervisor as _, WriteOptions,
        deterministic::Context,
    },
    utils::{NZU32, NZUsize, ordered::Set, probability},
};
use chorale_hotstuff::{Parameters, Votes};
use chorale_types::{
    BlockId, BlockReference, Bls, ChainId, ConsensusSecret, Epoch, EpochInfo, Evidence, Height, NodeKey, Scheme as _,
    Signature, Statement, Validator, ValidatorSet, View, codec::decode,
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::sync::mpsc;

const ORDER: u64 = 100;

/// Orders nothing.
pub(super) struct NoContent;

impl ContentSource for NoContent {
    fn take(&mut self, _: Epoch, _: View, _: &BlockReference) -> Content {
        Content::Ready(Vec::new())
    }

    fn proposed(&mut self, _: Epoch, _: View) {}

    fn pending(&self) -> bool {
        false
    }
}

pub(crate) fn identity(i: usize) -> PrivateKey {
    PrivateKey::from_seed(i as u64)
}

pub(crate) fn secret(i: usize) -> ConsensusSecret {
    ConsensusSecret::from_seed([u8::try_from(i + 1).unwrap(); 32])
}

pub(crate) fn node_key(i: usize) -> NodeKey {
    NodeKey(identity(i).public_key().encode().as_ref().try_into().unwrap())
}

/// The first epoch of `n` validators of equal stake.
pub(crate) fn first_epoch(n: usize, epoch_heights: u64) -> EpochInfo {
    let validators = (0..n).map(|i| Validator::new(node_key(i), secret(i).public(), 1)).collect();
    EpochInfo {
        chain: ChainId(Sha256::hash(&[b"a chain for tests"])),
        epoch: Epoch(0),
        validators: ValidatorSet::new(validators).unwrap(),
        start: EpochInfo::start_block(Height(0), BlockId(Sha256::hash(&[b"genesis"]))),
        closing: Height(epoch_heights),
    }
}

/// The same validators for ever.
pub(crate) fn epochs(first: &EpochInfo) -> consensus::EpochSource {
    let first = first.clone();
    Arc::new(move |epoch, start| {
        Some(EpochInfo { epoch, start, closing: Height(first.closing.0 * (epoch.0 + 1)), ..first.clone() })
    })
}

pub(super) fn parameters(votes: Votes) -> Parameters {
    Parameters {
        votes,
        timeout_base_ms: 500,
        timeout_ms_max: 5_000,
        clock_drift_ms: 100,
        idle_interval_ms: 0,
        pace_ms: 0,
        pace_bytes_per_ms: 0,
        headers_ahead_max: 4_096,
    }
}

fn link() -> Link {
    Link { latency: Duration::from_millis(10), jitter: Duration::from_millis(2), success_rate: probability!(1.0) }
}

struct Running {
    consensus: Handle<Result<(), Stopped>>,
    sync: Handle<()>,
    chain: ChainHandle,
    evidence: mpsc::Receiver<Evidence>,
}

/// See the [module](self).
pub(super) struct Cluster {
    context: Context,
    oracle: Oracle<PublicKey, Context>,
    first: EpochInfo,
    votes: Votes,
    /// Who the validators of later epochs are.
    pub(super) epochs: consensus::EpochSource,
    running: BTreeMap<usize, Running>,
}

impl Cluster {
    /// `n` validators, of which none runs yet. Links take 10 ms, give or take 2.
    pub(super) async fn new(context: Context, n: usize, epoch_heights: u64, votes: Votes) -> Self {
        let settings = simulated::Config {
            max_size: 1024 * 1024,
            max_peers_per_set: NZUsize!(n),
            disconnect_on_block: true,
            tracked_peer_sets: NZUsize!(1),
        };
        let (network, oracle) = Network::new(context.child("network"), settings);
        network.start();
        let keys: Vec<PublicKey> = (0..n).map(|i| identity(i).public_key()).collect();
        oracle.manager().track(0, Set::from_iter_dedup(keys.clone()));
        for a in &keys {
            for b in keys.iter().filter(|b| *b != a) {
                oracle.add_link(a.clone(), b.clone(), link()).await.unwrap();
            }
        }
        let first = first_epoch(n, epoch_heights);
        let epochs = epochs(&first);
        Self { context, oracle, first, votes, epochs, running: BTreeMap::new() }
    }

    /// Starts the node with the disk that it has, or with a new one.
    pub(super) async fn start(&mut self, i: usize, disk: &str, is_new: bool) {
        let context = self.context.child("node").with_attribute("index", i);
        let control = self.oracle.control(identity(i).public_key());
        let quota = Quota::per_second(NZU32!(100_000));
        let order = control.register(ORDER, quota).await.unwrap();
        let sync_channel = control.register(channel::SYNC, quota).await.unwrap();
        let config = consensus::Config {
            parameters: parameters(self.votes),
            me: node_key(i),
            signs: true,
            is_new,
            partition: format!("{disk}-{i}"),
        };
        let chain = Chain::open(context.child("chain"), config, self.first.clone(), self.epochs.clone()).await.unwrap();
        let handle = chain.handle();
        let peers = Peers::new([control]);
        let (wants_in, wants) = mpsc::channel(16);
        let (found_in, found) = mpsc::channel(16);
        let (reporter, evidence) = Reporter::new();
        let connections = consensus::Connections {
            scheme: Bls::signer(secret(i)),
            channel: order,
            peers: peers.clone(),
            reporter,
            membership: None,
            content: Box::new(NoContent),
            updates: mpsc::channel(1).1,
            wants: wants_in,
            found,
        };
        let actor = consensus::Actor::new(context.child("consensus"), chain, connections);
        let fetcher = sync::Actor::new(
            context.child("sync"),
            sync::Connections {
                me: node_key(i),
                chain: handle.clone(),
                channel: sync_channel,
                peers,
                wants,
                found: found_in,
            },
        );
        let running = Running {
            consensus: context.child("order").spawn(move |_| actor.run()),
            sync: context.child("fetch").spawn(move |_| fetcher.run()),
            chain: handle,
            evidence,
        };
        self.running.insert(i, running);
    }

    /// Starts all on disks of this name.
    pub(super) async fn start_all(&mut self, disk: &str, is_new: bool) {
        for i in 0..self.first.validators.len() {
            self.start(i, disk, is_new).await;
        }
    }

    /// Kills a node. What it had not synced is lost.
    pub(super) async fn crash(&mut self, i: usize) {
        let running = self.running.remove(&i).unwrap();
        running.consensus.abort();
        running.sync.abort();
        let _ = (running.consensus.await, running.sync.await);
    }

    pub(super) fn height(&self, i: usize) -> Height {
        *self.running[&i].chain.committed.borrow()
    }

    pub(super) fn chain(&self, i: usize) -> &ChainHandle {
        &self.running[&i].chain
    }

    /// The greatest height that a running node has committed.
    pub(super) fn top(&self) -> Height {
        self.running.keys().map(|i| self.height(*i)).max().unwrap_or_default()
    }

    /// Waits until all running nodes have committed this height.
    pub(super) async fn until(&self, height: Height) {
        for i in self.running.keys() {
            self.until_one(*i, height).await;
        }
        self.agree(height).await;
    }

    /// Waits until a node has committed this height.
    pub(super) async fn until_one(&self, i: usize, height: Height) {
        let mut committed = self.chain(i).committed.clone();
        let reached = committed.wait_for(|committed| *committed >= height);
        tokio::select! {
            reached = reached => { reached.unwrap(); }
            () = self.context.sleep(Duration::from_secs(600)) => panic!("node {i} does not reach height {height}"),
        }
    }

    /// All running nodes have the same headers up to this height, each on the one before, the last with a proof near.
    pub(super) async fn agree(&self, height: Height) {
        let mut parent = self.first.start.id;
        for h in (1..=height.0).map(Height) {
            let mut headers = Vec::new();
            for running in self.running.values() {
                headers.push(running.chain.headers.get(h).await.unwrap().header);
            }
            assert!(headers.iter().all(|header| *header == headers[0]), "nodes differ at height {h}");
            assert_eq!(headers[0].parent.block.id, parent, "height {h} extends another block");
            parent = headers[0].id();
        }
    }

    /// The channel of consensus for somebody who has a validator's place on the mesh.
    pub(super) async fn channel_of(
        &self,
        i: usize,
    ) -> (simulated::Sender<PublicKey, Context>, simulated::Receiver<PublicKey>) {
        let control = self.oracle.control(identity(i).public_key());
        control.register(ORDER, Quota::per_second(NZU32!(100_000))).await.unwrap()
    }

    /// Sends messages on the channel of consensus as somebody who has a validator's place on the mesh. How many pings
    /// of it were answered within a second.
    pub(super) async fn send_as(&self, i: usize, messages: impl IntoIterator<Item = Bytes>) -> usize {
        let (mut sender, mut receiver) = self.channel_of(i).await;
        for message in messages {
            sender.send(Recipients::All, message, true);
        }
        let mut pongs = 0;
        let mut over = Box::pin(self.context.sleep(Duration::from_secs(1)));
        loop {
            tokio::select! {
                () = &mut over => return pongs,
                Ok((_, bytes)) = receiver.recv() => {
                    pongs += usize::from(matches!(decode(Bytes::from(bytes)), Ok(Wire::Pong(_))));
                }
            }
        }
    }

    /// What a validator signs.
    pub(super) fn sign_as(&self, i: usize, statement: &Statement) -> Signature {
        Bls::signer(secret(i)).sign(self.first.chain, self.first.epoch, statement)
    }

    /// The evidence that a node found next.
    pub(super) async fn evidence(&mut self, i: usize) -> Evidence {
        self.running.get_mut(&i).unwrap().evidence.recv().await.unwrap()
    }

    /// Who has cut off whom.
    pub(super) async fn blocked(&self) -> Vec<(PublicKey, PublicKey)> {
        self.oracle.blocked().await.unwrap()
    }

    /// Whether two halves of the nodes reach each other: those below `first` and the others.
    pub(super) async fn cut(&self, first: usize, is_cut: bool) {
        for a in 0..first {
            for b in first..self.first.validators.len() {
                self.cut_pair(a, b, is_cut).await;
            }
        }
    }

    /// Whether two nodes reach each other.
    pub(super) async fn cut_pair(&self, a: usize, b: usize, is_cut: bool) {
        let [a, b] = [a, b].map(|i| identity(i).public_key());
        for (from, to) in [(a.clone(), b.clone()), (b, a)] {
            if is_cut {
                self.oracle.remove_link(from, to).await.unwrap();
            } else {
                self.oracle.add_link(from, to, link()).await.unwrap();
            }
        }
    }

    pub(super) const fn first_epoch(&self) -> &EpochInfo {
        &self.first
    }

    /// Damages every file of a partition of the node's disk: cuts off its second half, or changes a byte in its middle.
    pub(super) async fn damage(&self, partition: &str, is_cut_off: bool) {
        for name in self.context.scan(partition).await.unwrap() {
            let (blob, size) = self.context.open(partition, &name).await.unwrap();
            if is_cut_off {
                blob.resize(size / 2).await.unwrap();
            } else {
                let byte = blob.read_at(size / 2, 1, ReadOptions::default()).await.unwrap().coalesce().as_ref()[0];
                blob.write_at(size / 2, vec![!byte], WriteOptions::default()).await.unwrap();
            }
            blob.sync().await.unwrap();
        }
    }

    pub(super) async fn sleep_ms(&self, ms: u64) {
        self.context.sleep(Duration::from_millis(ms)).await;
    }
}

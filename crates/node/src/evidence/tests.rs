//! Three nodes on a simulated network, and a fourth validator that the test plays.

use super::{Actor, Connections, PER_VALIDATOR_MAX, REPEAT_MS, Register, Reporter, Stopped, actor::KEEP_OUT_REPEATS};
use crate::{
    mesh::channel,
    ports::{ChainHandle, Epochs, Peers, Position},
    store::HeaderStore,
    tests::{
        cluster::{epochs, first_epoch, identity, node_key, secret},
        network::linked,
    },
    watch,
};
use chorale_foundation::{
    Bytes,
    cryptography::{Signer as _, ed25519::PublicKey},
    p2p::{Blocker as _, Recipients, Sender as _, simulated::Oracle},
    runtime::{
        Clock as _, Handle, Quota, Runner as _, Spawner as _, Supervisor as _,
        deterministic::{Context, Runner},
    },
    utils::NZU32,
};
use chorale_types::{
    BlockReference, Bls, Epoch, EpochInfo, Evidence, Fault, Height, Scheme as _, Statement, ValidatorIndex, View,
    codec::Encode as _, tagged_hash,
};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::broadcast;

const NODES: usize = 4;
/// Whom the evidence is about, and who brings it.
const GUILTY: usize = 3;
const MESSENGER: usize = 2;
const EPOCH_HEIGHTS: u64 = 100;
/// Epochs that the nodes know.
const EPOCHS: u64 = 12;

struct Node {
    reporter: Reporter,
    register: Register,
    handle: Handle<Result<(), Stopped>>,
}

struct World {
    context: Context,
    oracle: Oracle<PublicKey, Context>,
    first: EpochInfo,
    /// In which the nodes are that are started from now on.
    epoch: Epoch,
    /// How often somebody was cut off by anybody.
    blocks: Arc<AtomicUsize>,
    nodes: BTreeMap<usize, Node>,
}

fn block(name: &str) -> BlockReference {
    BlockReference {
        view: View(5),
        parent: View(4),
        height: Height(5),
        id: chorale_types::BlockId(tagged_hash("test/block", &[name.as_bytes()])),
    }
}

impl World {
    async fn new(context: Context) -> Self {
        let peers: Vec<PublicKey> = (0..NODES).map(|i| identity(i).public_key()).collect();
        let oracle = linked(&context, &peers, 3).await;
        let first = first_epoch(NODES, EPOCH_HEIGHTS);
        Self { context, oracle, first, epoch: Epoch(0), blocks: Arc::default(), nodes: BTreeMap::new() }
    }

    async fn chain(&self, i: usize) -> ChainHandle {
        let context = self.context.child("headers").with_attribute("index", i);
        let headers = HeaderStore::open(context, &format!("headers-{i}")).await.unwrap();
        let known = Epochs::default();
        for epoch in 0..EPOCHS {
            known.insert(Arc::new(epochs(&self.first)(Epoch(epoch), self.first.start).unwrap()));
        }
        let epoch = known.get(self.epoch).unwrap();
        let position = Position { epoch, view: View(1), index: None };
        ChainHandle {
            events: broadcast::channel(16).0,
            committed: watch::channel(Height(0)).1,
            position: watch::channel(position).1,
            headers: headers.headers(),
            epochs: known,
        }
    }

    async fn start(&mut self, i: usize) {
        let control = self.oracle.control(identity(i).public_key());
        let (mut blocker, blocks) = (control.clone(), self.blocks.clone());
        let peers = Peers::with(move |peer| {
            blocks.fetch_add(1, Ordering::Relaxed);
            let _ = blocker.block(peer);
        });
        let connections = Connections {
            me: node_key(i),
            scheme: Bls::verifier(),
            chain: self.chain(i).await,
            peers,
            channel: control.register(channel::EVIDENCE, Quota::per_second(NZU32!(1_000))).await.unwrap(),
        };
        let context = self.context.child("evidence").with_attribute("index", i);
        let (actor, reporter, register) = Actor::open(context, &format!("evidence-{i}"), connections).await.unwrap();
        let handle = self.context.child("actor").spawn(move |_| actor.run());
        self.nodes.insert(i, Node { reporter, register, handle });
    }

    /// Kills a node. What it had not synced is lost.
    async fn crash(&mut self, i: usize) {
        let node = self.nodes.remove(&i).unwrap();
        node.handle.abort();
        let _ = node.handle.await;
    }

    /// Two votes of the last validator in one view of an epoch.
    fn guilt(&self, epoch: u64, names: [&str; 2]) -> Evidence {
        let statements = names.map(|name| Statement::Vote { view: View(5), block: block(name) });
        self.pair(epoch, statements)
    }

    fn pair(&self, epoch: u64, [first, second]: [Statement; 2]) -> Evidence {
        let sign =
            |statement: &Statement| Bls::signer(secret(NODES - 1)).sign(self.first.chain, Epoch(epoch), statement);
        Evidence {
            epoch: Epoch(epoch),
            offender: ValidatorIndex(3),
            first,
            first_signature: sign(&first),
            second,
            second_signature: sign(&second),
        }
    }

    /// Waits until a node lists so many.
    async fn listed(&self, i: usize, count: usize) {
        for _ in 0..10_000 {
            if self.nodes[&i].register.len() >= count {
                assert_eq!(self.nodes[&i].register.len(), count);
                return;
            }
            self.context.sleep(Duration::from_millis(10)).await;
        }
        panic!("node {i} lists {} and not {count}", self.nodes[&i].register.len());
    }

    /// Sends bytes as another validator, and waits until they have been read.
    async fn say(&self, bytes: impl IntoIterator<Item = Bytes>) {
        let control = self.oracle.control(identity(MESSENGER).public_key());
        let quota = Quota::per_second(NZU32!(1_000));
        let (mut sender, _receiver) = control.register(channel::EVIDENCE, quota).await.unwrap();
        for bytes in bytes {
            let _ = sender.send(Recipients::All, bytes, true);
        }
        self.context.sleep(Duration::from_millis(500)).await;
    }

    async fn cut_off(&self) -> Vec<(usize, usize)> {
        let index = |key: &PublicKey| (0..NODES).find(|i| identity(*i).public_key() == *key).unwrap();
        let mut pairs: Vec<(usize, usize)> =
            self.oracle.blocked().await.unwrap().iter().map(|(who, whom)| (index(who), index(whom))).collect();
        pairs.sort_unstable();
        pairs
    }
}

#[test]
fn what_one_node_finds_all_list_also_after_a_restart_and_who_was_away_learns_it() {
    Runner::seeded(41).start(|context| async move {
        let mut world = World::new(context).await;
        world.start(0).await;
        world.start(1).await;
        let evidence = world.guilt(0, ["a", "b"]);
        world.nodes[&0].reporter.report(evidence);
        world.listed(1, 1).await;
        let proven = world.nodes[&1].register.list(0, 10)[0];
        assert_eq!(proven.validator, node_key(GUILTY));
        assert_eq!((proven.fault, proven.evidence), (Fault::DoubleVote, evidence));

        for i in 0..2 {
            world.crash(i).await;
        }
        world.start(1).await;
        assert_eq!(world.nodes[&1].register.list(0, 10), [proven]);
        world.start(2).await;
        world.listed(2, 1).await;
        assert_eq!(world.nodes[&2].register.list(0, 10), [proven]);
        assert_eq!(world.cut_off().await, [0, 1, 2].map(|node| (node, GUILTY)));
    });
}

/// The networks let everybody in again after a while, and a node that was restarted has forgotten whom it cut off.
#[test]
fn who_is_guilty_is_kept_out_for_the_rest_of_its_epoch_also_after_a_restart() {
    Runner::seeded(46).start(|context| async move {
        let mut world = World::new(context).await;
        let blocks = |world: &World| world.blocks.load(Ordering::Relaxed);
        world.start(0).await;
        // After the first look at who is to be kept out, which finds nobody.
        world.context.sleep(Duration::from_millis(1_000)).await;
        let evidence = world.guilt(0, ["a", "b"]);
        world.nodes[&0].reporter.report(evidence);
        world.listed(0, 1).await;
        assert_eq!(blocks(&world), 1);
        world.context.sleep(Duration::from_millis(REPEAT_MS * KEEP_OUT_REPEATS + 1_000)).await;
        assert_eq!(blocks(&world), 2, "again after a while");

        world.crash(0).await;
        world.start(0).await;
        world.context.sleep(Duration::from_millis(1_000)).await;
        assert_eq!(blocks(&world), 3, "again after a restart");

        world.crash(0).await;
        world.epoch = Epoch(1);
        world.start(0).await;
        world.context.sleep(Duration::from_millis(REPEAT_MS * KEEP_OUT_REPEATS + 1_000)).await;
        assert_eq!(blocks(&world), 3, "the next epoch judges by itself");
    });
}

#[test]
fn one_object_is_kept_for_each_validator_epoch_and_kind() {
    Runner::seeded(42).start(|context| async move {
        let mut world = World::new(context).await;
        world.start(0).await;
        world.say([["a", "b"], ["a", "c"], ["b", "c"]].map(|names| world.guilt(0, names).encode())).await;
        world.listed(0, 1).await;
        world.say([world.guilt(1, ["a", "b"]).encode()]).await;
        let [one, other] = ["a", "b"].map(|name| Statement::Tip { view: View(5), id: block(name).id });
        world.say([world.pair(0, [one, other]).encode()]).await;
        world.listed(0, 3).await;
        assert_eq!(world.cut_off().await, [(0, GUILTY)]);
    });
}

#[test]
fn who_accuses_himself_without_end_fills_no_disk() {
    Runner::seeded(43).start(|context| async move {
        let mut world = World::new(context).await;
        world.start(0).await;
        let headers = ["a", "b"].map(|name| Statement::Tip { view: View(5), id: block(name).id });
        let again = ["a", "b"].map(|name| Statement::Reproposal {
            view: View(5),
            id: block(name).id,
            timeout: tagged_hash("test/timeout", &[]),
        });
        let votes = ["a", "b"].map(|name| Statement::Vote { view: View(5), block: block(name) });
        let timeouts = [2, 3].map(|rank| Statement::Timeout {
            view: View(5),
            rank: chorale_types::Rank { view: View(rank), kind: chorale_types::RankKind::Certified, parent: View(0) },
        });
        let hidden = [votes[0], timeouts[0]];
        let commit = [Statement::CommitVote { view: View(5), block: block("a") }, timeouts[0]];
        let outcomes = ["a", "b"].map(|name| Statement::Outcome {
            domain: chorale_types::DomainId::ORDERING,
            height: Height(5),
            root: tagged_hash("test/root", &[name.as_bytes()]),
        });
        let all = [headers, again, votes, timeouts, hidden, commit, outcomes];
        let everything: Vec<Bytes> =
            (0..EPOCHS).flat_map(|epoch| all.map(|pair| world.pair(epoch, pair).encode())).collect();
        assert!(everything.len() > PER_VALIDATOR_MAX);
        world.say(everything).await;
        world.listed(0, PER_VALIDATOR_MAX).await;
    });
}

#[test]
fn what_proves_nothing_is_refused_and_its_sender_cut_off() {
    type Lie = fn(&World) -> Bytes;
    let lies: [(&str, Lie); 4] = [
        ("garbage", |_| Bytes::from_static(b"\x07garbage")),
        ("no contradiction", |world| world.guilt(0, ["a", "a"]).encode()),
        ("no such validator", |world| Evidence { offender: ValidatorIndex(9), ..world.guilt(0, ["a", "b"]) }.encode()),
        ("another's signature", |world| {
            Evidence { offender: ValidatorIndex(1), ..world.guilt(0, ["a", "b"]) }.encode()
        }),
    ];
    for (what, lie) in lies {
        Runner::seeded(44).start(|context| async move {
            let mut world = World::new(context).await;
            world.start(0).await;
            world.say([lie(&world)]).await;
            assert!(world.nodes[&0].register.is_empty(), "{what}");
            assert_eq!(world.cut_off().await, [(0, MESSENGER)], "{what}");
        });
    }
}

#[test]
fn evidence_of_an_epoch_that_is_not_known_is_no_fault_of_its_sender() {
    Runner::seeded(45).start(|context| async move {
        let mut world = World::new(context).await;
        world.start(0).await;
        world.say([world.guilt(EPOCHS, ["a", "b"]).encode()]).await;
        assert!(world.nodes[&0].register.is_empty());
        assert!(world.cut_off().await.is_empty());
    });
}

//! Validators that attack: their identity on the mesh is real, what they send is not.

use crate::{cluster::Cluster, network::eventually};
use chorale_dispersal::{Assignment, seal};
use chorale_foundation::{
    Bytes,
    codec::{DecodeExt as _, Encode as _},
    cryptography::ed25519::PublicKey,
    p2p::{Recipients, Sender as _},
    runtime::{Clock as _, Runner as _, Supervisor as _, tokio as runtime},
};
use chorale_node::{
    attestation,
    config::{Keys, NodeConfig},
    consensus::wire::Wire,
    dispersal::{
        frames::split,
        message::{self, Disperse},
    },
    mesh::{self, SocketMesh},
    read_genesis,
};
use chorale_types::{
    BlockId, BlockReference, Bls, BuilderId, ConsensusSecret, DomainId, EpochInfo, Genesis, Height, Message, Payload,
    PayloadUnit, Scheme as _, Statement, Transaction, Unit, ValidatorIndex, View, Vote, codec::Blob, tagged_hash,
};
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

const ATTACKER: usize = 3;
const HONEST: [usize; 3] = [0, 1, 2];
const GARBAGE: Bytes = Bytes::from_static(&[0xff; 100]);

/// The attacker's end of the mesh, driven by a thread until it is dropped.
struct Attacker {
    done: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Attacker {
    /// Calls `attack` with the mesh and the identities of the nodes, again and again.
    fn start(
        folder: &Path,
        cluster: &Cluster,
        mut attack: impl FnMut(&mut SocketMesh<runtime::Context>, &[PublicKey]) + Send + 'static,
    ) -> Self {
        let config = NodeConfig::read(&cluster.config(ATTACKER)).unwrap();
        let genesis = read_genesis(&cluster.genesis()).unwrap();
        let keys = Keys::read(&config.keys).unwrap();
        // As fast as the others let it.
        let config = mesh::Config { send_percent: 1_000, ..mesh::Config::new(&config, &genesis, &keys).unwrap() };
        let nodes: Vec<PublicKey> = (0..=ATTACKER).map(|node| identity(cluster, node)).collect();
        let settings = runtime::Config::default().with_storage_directory(folder.join("attacker"));
        let done = Arc::new(AtomicBool::new(false));
        let is_done = done.clone();
        let thread = std::thread::spawn(move || {
            runtime::Runner::new(settings).start(|context| async move {
                let mut mesh = SocketMesh::start(&context.child("mesh"), &config);
                mesh.membership.as_mut().unwrap().track(&genesis.first_epoch());
                while !is_done.load(Ordering::Relaxed) {
                    attack(&mut mesh, &nodes);
                    // Nobody waits for this: it is how fast the attacker is.
                    context.sleep(Duration::from_millis(10)).await;
                }
            });
        });
        Self { done, thread: Some(thread) }
    }
}

impl Drop for Attacker {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(std::thread::panicking() || matches!(ended, Some(Ok(()))), "the attacker panicked");
    }
}

fn identity(cluster: &Cluster, node: usize) -> PublicKey {
    let keys = Keys::read(&NodeConfig::read(&cluster.config(node)).unwrap().keys).unwrap();
    PublicKey::decode(Bytes::copy_from_slice(&keys.node().0)).unwrap()
}

/// Whether the honest nodes order what they are sent.
fn order_goes_on(cluster: &Cluster, name: &str) {
    for node in HONEST {
        let id = cluster.submit(node, &format!("{name} {node}"));
        for node in HONEST {
            eventually(&format!("{id} is attested on node {node}"), || {
                (cluster.state(node, &id) == "order_attested").then_some(())
            });
        }
    }
}

/// Every honest node names the attacker in a log line, with what it did, and that it is cut off.
fn all_cut_off(cluster: &Cluster, reason: &str) {
    let attacker = identity(cluster, ATTACKER).to_string();
    for node in HONEST {
        eventually(&format!("node {node} cuts the attacker off"), || {
            let log = cluster.log(node);
            let names = |line: &str| line.contains("is cut off") && line.contains(&attacker) && line.contains(reason);
            log.lines().any(names).then_some(())
        });
    }
}

/// The keys of the attacker's validator, and the chain.
fn validator(cluster: &Cluster) -> (ConsensusSecret, Genesis) {
    let keys = Keys::read(&NodeConfig::read(&cluster.config(ATTACKER)).unwrap().keys).unwrap();
    (keys.consensus.unwrap(), read_genesis(&cluster.genesis()).unwrap())
}

/// Where the chain may be soon: an attacker does not know, and says everything for each.
fn views() -> impl FnMut() -> View {
    let mut round = 0;
    move || {
        round += 1;
        View(1 + round % 100)
    }
}

#[test]
fn who_votes_for_two_blocks_of_one_view_is_proven_guilty_and_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::new(folder.path(), 4, &[]);
    HONEST.iter().for_each(|node| cluster.start(*node));
    let (secret, genesis) = validator(&cluster);
    let info = genesis.first_epoch();
    let (scheme, author) = (Bls::signer(secret.clone()), index(&info, &secret));
    let mut next = views();
    let _attacker = Attacker::start(folder.path(), &cluster, move |mesh, _| {
        let view = next();
        for name in [b"one", b"two"] {
            let id = BlockId(tagged_hash("test/block", &[name]));
            let block = BlockReference { view, parent: View(0), height: Height(1), id };
            let signature = scheme.sign(info.chain, info.epoch, &Statement::Vote { view, block });
            let vote = Message::Vote(Vote { epoch: info.epoch, view, block, author, signature });
            let _ = mesh.order.0.send(Recipients::All, Wire::Consensus(vote).encode(), true);
        }
    });
    all_cut_off(&cluster, "provably broke the rules");
    order_goes_on(&cluster, "after equivocation");
}

#[test]
fn who_disperses_wrong_chunks_is_named_and_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::new(folder.path(), 4, &[]);
    HONEST.iter().for_each(|node| cluster.start(*node));
    let (secret, genesis) = validator(&cluster);
    let info = genesis.first_epoch();
    let assignment = Assignment::new(info.epoch, &info.validators.weights()).unwrap();
    let unit = Unit::Transaction(Transaction { rollup: genesis.rollups()[0].id, data: Blob::new(vec![7]).unwrap() });
    let (_, manifest, payload) = Payload::build(vec![PayloadUnit::new(unit)], [1; 32]).unwrap();
    let builder = BuilderId::of_validator(&secret.public());
    let mut next = views();
    let _attacker = Attacker::start(folder.path(), &cluster, move |mesh, nodes| {
        let expiry = View(next().0 + 20);
        let sealed = seal(&payload, &[2; 32], builder, expiry, &assignment).unwrap();
        for (index, validator) in info.validators.iter() {
            let Some(node) = nodes.iter().find(|node| node.as_ref() == validator.node.0) else { continue };
            let mut chunks = sealed.chunks_of(index).unwrap();
            let mut bytes = chunks.chunks.to_vec();
            bytes[0] ^= 1;
            chunks.chunks = Blob::new(bytes).unwrap();
            let message = Disperse { epoch: info.epoch, manifest: manifest.clone(), chunks };
            let message = message::Message::Disperse(message).encode();
            for frame in split(expiry.0, &message) {
                let _ = mesh.chunks.0.send(Recipients::One(node.clone()), frame.encode(), false);
            }
        }
    });
    all_cut_off(&cluster, "sent wrong chunks");
    order_goes_on(&cluster, "after wrong chunks");
}

/// The attacker's place among the validators.
fn index(info: &EpochInfo, secret: &ConsensusSecret) -> ValidatorIndex {
    let mut validators = info.validators.iter();
    validators.find(|(_, validator)| validator.key == secret.public()).map(|(index, _)| index).unwrap()
}

/// Each of the mesh's channels: who sends garbage on it is named, with what it did, and cut off, and the others go on.
#[test]
fn who_sends_garbage_is_named_and_cut_off_on_every_channel() {
    for round in 0..2 {
        let folder = tempfile::tempdir().unwrap();
        let mut cluster = Cluster::new(folder.path(), 4, &[]);
        HONEST.iter().for_each(|node| cluster.start(*node));
        // Each node sees another channel: it is cut off after the first message.
        let _attacker = Attacker::start(folder.path(), &cluster, move |mesh, nodes| {
            let channels = match round {
                0 => [&mut mesh.order.0, &mut mesh.chunks.0, &mut mesh.mempool.0],
                _ => [&mut mesh.sync.0, &mut mesh.attest.0, &mut mesh.evidence.0],
            };
            for (channel, node) in channels.into_iter().zip(nodes) {
                let _ = channel.send(Recipients::One(node.clone()), GARBAGE, false);
            }
        });
        all_cut_off(&cluster, "");
        order_goes_on(&cluster, "after garbage");
    }
}

/// Questions that are allowed, as fast as they go: they take nothing from the others, and end.
#[test]
fn who_floods_holds_nobody_up_and_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::new(folder.path(), 4, &[]);
    HONEST.iter().for_each(|node| cluster.start(*node));
    order_goes_on(&cluster, "before");
    let _attacker = Attacker::start(folder.path(), &cluster, |mesh, _| {
        // Ten times what a node takes from one peer.
        for height in 0..100 {
            let ask = attestation::Ask { domain: DomainId::ORDERING, height: Height(height % 4) };
            let question = attestation::Message::Ask(ask).encode();
            let _ = mesh.attest.0.send(Recipients::All, question, false);
        }
    });
    (0..3).for_each(|round| order_goes_on(&cluster, &format!("during {round}")));
    all_cut_off(&cluster, "floods the channel attest");
    order_goes_on(&cluster, "after");
}

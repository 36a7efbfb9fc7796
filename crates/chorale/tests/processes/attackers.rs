//! Validators that attack: their identity on the mesh is real, what they send is not.

use crate::{cluster::Cluster, network::eventually};
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
    mesh::{self, SocketMesh},
    read_genesis,
};
use chorale_types::Height;
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
        attack: impl Fn(&mut SocketMesh<runtime::Context>, &[PublicKey]) + Send + 'static,
    ) -> Self {
        let config = NodeConfig::read(&cluster.config(ATTACKER)).unwrap();
        let genesis = read_genesis(&cluster.genesis()).unwrap();
        let keys = Keys::read(&config.keys).unwrap();
        let config = mesh::Config::new(&config, &genesis, &keys).unwrap();
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
        let attacker = identity(&cluster, ATTACKER).to_string();
        for node in HONEST {
            eventually(&format!("round {round}: node {node} names the attacker"), || {
                let log = cluster.log(node);
                log.lines().any(|line| line.contains("is cut off") && line.contains(&attacker)).then_some(())
            });
        }
        order_goes_on(&cluster, "after garbage");
    }
}

/// Questions that are allowed, as fast as they go: they take nothing from the others.
#[test]
fn who_floods_holds_nobody_up() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::new(folder.path(), 4, &[]);
    HONEST.iter().for_each(|node| cluster.start(*node));
    order_goes_on(&cluster, "before");
    let _attacker = Attacker::start(folder.path(), &cluster, |mesh, _| {
        // Ten times what a node takes from one peer.
        for height in 0..100 {
            let question = attestation::Message::Ask(Height(height % 4)).encode();
            let _ = mesh.attest.0.send(Recipients::All, question, false);
        }
    });
    (0..3).for_each(|round| order_goes_on(&cluster, &format!("during {round}")));
}

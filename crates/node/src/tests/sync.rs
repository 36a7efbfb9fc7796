//! Answers about headers: one node that asks, and three peers that the test plays.

use super::{
    cluster::{first_epoch, identity, node_key},
    network::linked,
};
use crate::{
    consensus::Want,
    mesh::channel,
    ports::{ChainHandle, Epochs, Peers, Position},
    store::HeaderStore,
    sync::{self, chain::check, message},
    watch,
};
use chorale_foundation::{
    Bytes,
    cryptography::{Signer as _, ed25519::PublicKey},
    p2p::{Receiver as _, Recipients, Sender as _, simulated::Oracle},
    runtime::{
        Quota, Runner as _, Spawner as _, Supervisor as _,
        deterministic::{Context, Runner},
    },
    utils::NZU32,
};
use chorale_types::{
    EpochInfo, Header, Height, QuorumCertificate, TimestampMs, ValidatorIndex, View,
    codec::{Encode as _, List, decode},
};
use std::sync::Arc;
use tokio::sync::{broadcast, mpsc};

const NODES: usize = 4;
const QUOTA: u32 = 1_000;

/// Headers of heights 1 to `length`, each on the one before.
fn headers(epoch: &EpochInfo, length: u64, timestamp: u64) -> Vec<Header> {
    let mut parent = epoch.start_certificate();
    (1..=length)
        .map(|height| {
            let header = Header {
                chain: epoch.chain,
                epoch: epoch.epoch,
                view: View(height),
                height: Height(height),
                parent: parent.clone(),
                timestamp: TimestampMs(timestamp),
                payloads: List::default(),
                author: ValidatorIndex(0),
            };
            parent = QuorumCertificate { view: View(height), block: header.reference(), ..parent.clone() };
            header
        })
        .collect()
}

/// What a played peer answers to a question about headers.
type Lie = fn(&EpochInfo, &message::Ask) -> Option<Bytes>;

fn answer(number: u64, headers: Vec<Header>) -> Option<Bytes> {
    let headers = List::new(headers).unwrap();
    Some(message::Message::Answer(message::Answer { number, headers }).encode())
}

/// From the newest asked for down.
fn honest(epoch: &EpochInfo, ask: &message::Ask) -> Option<Bytes> {
    let all = headers(epoch, ask.height.0, 1);
    answer(ask.number, all.into_iter().rev().filter(|header| header.height > ask.above).collect())
}

fn nothing(_: &EpochInfo, ask: &message::Ask) -> Option<Bytes> {
    answer(ask.number, Vec::new())
}

fn silent(_: &EpochInfo, _: &message::Ask) -> Option<Bytes> {
    None
}

fn another_chain(epoch: &EpochInfo, ask: &message::Ask) -> Option<Bytes> {
    answer(ask.number, headers(epoch, ask.height.0, 2).into_iter().rev().collect())
}

/// The newest header is right, and its certificate was exchanged in the next.
fn another_certificate(epoch: &EpochInfo, ask: &message::Ask) -> Option<Bytes> {
    let mut all: Vec<Header> = headers(epoch, ask.height.0, 1).into_iter().rev().collect();
    all[1].parent.view = View(77);
    answer(ask.number, all)
}

fn too_many(epoch: &EpochInfo, ask: &message::Ask) -> Option<Bytes> {
    let mut all: Vec<Header> = headers(epoch, ask.height.0, 1).into_iter().rev().collect();
    all.push(all[0].clone());
    answer(ask.number, all)
}

fn garbage(_: &EpochInfo, _: &message::Ask) -> Option<Bytes> {
    Some(Bytes::from_static(b"\x01no answer"))
}

struct World {
    context: Context,
    oracle: Oracle<PublicKey, Context>,
    epoch: Arc<EpochInfo>,
}

impl World {
    async fn new(context: Context) -> Self {
        let peers: Vec<PublicKey> = (0..NODES).map(|i| identity(i).public_key()).collect();
        let oracle = linked(&context, &peers, 0).await;
        Self { context, oracle, epoch: Arc::new(first_epoch(NODES, 1_000)) }
    }

    /// Starts the node that asks.
    async fn start(&self) -> (mpsc::Sender<Want>, mpsc::Receiver<Vec<Header>>) {
        let control = self.oracle.control(identity(0).public_key());
        let headers = HeaderStore::open(self.context.child("headers"), "headers").await.unwrap();
        let epochs = Epochs::default();
        epochs.insert(self.epoch.clone());
        let position = Position { epoch: self.epoch.clone(), view: View(1), index: Some(ValidatorIndex(0)) };
        let chain = ChainHandle {
            events: broadcast::channel(16).0,
            committed: watch::channel(Height(0)).1,
            position: watch::channel(position).1,
            headers: headers.headers(),
            epochs,
        };
        let (wants_in, wants) = mpsc::channel(16);
        let (found_in, found) = mpsc::channel(16);
        let connections = sync::Connections {
            me: node_key(0),
            chain,
            channel: control.register(channel::SYNC, Quota::per_second(NZU32!(QUOTA))).await.unwrap(),
            peers: Peers::new([control]),
            wants,
            found: found_in,
        };
        let actor = sync::Actor::new(self.context.child("sync"), connections);
        self.context.child("actor").spawn(move |_| actor.run());
        (wants_in, found)
    }

    /// Plays a peer that answers every question in this way.
    async fn play(&self, i: usize, lie: Lie) {
        let control = self.oracle.control(identity(i).public_key());
        let quota = Quota::per_second(NZU32!(QUOTA));
        let (mut sender, mut receiver) = control.register(channel::SYNC, quota).await.unwrap();
        let epoch = self.epoch.clone();
        self.context.child("peer").with_attribute("index", i).spawn(move |_| async move {
            while let Ok((peer, bytes)) = receiver.recv().await {
                let Ok(message::Message::Ask(ask)) = decode(Bytes::from(bytes)) else { continue };
                if let Some(bytes) = lie(&epoch, &ask) {
                    let _ = sender.send(Recipients::One(peer), bytes, false);
                }
            }
        });
    }
}

#[test]
fn liars_are_cut_off_and_others_are_asked() {
    let lies: [(&str, Lie, bool); 6] = [
        ("another chain", another_chain, true),
        ("another certificate", another_certificate, true),
        ("too many", too_many, true),
        ("garbage", garbage, true),
        ("silence", silent, false),
        ("nothing", nothing, false),
    ];
    for (what, lie, is_proven) in lies {
        Runner::seeded(31).start(|context| async move {
            let world = World::new(context).await;
            // Only one of three is honest, and whoever is asked first is not.
            world.play(1, lie).await;
            world.play(2, lie).await;
            world.play(3, honest).await;
            let (wants, mut found) = world.start().await;
            let newest = headers(&world.epoch, 50, 1).pop().unwrap();
            let want = Want { id: newest.id(), height: newest.height, above: Height(20) };
            wants.send(want).await.unwrap();
            let Some(found) = found.recv().await else { panic!("{what}: nothing was found") };
            assert_eq!(found.len(), 30, "{what}");
            assert_eq!(found[0], newest, "{what}");
            let offenders: Vec<PublicKey> =
                world.oracle.blocked().await.unwrap().into_iter().map(|(_, blocked)| blocked).collect();
            assert_eq!(offenders.is_empty(), !is_proven, "{what}: {offenders:?}");
            assert!(!offenders.contains(&identity(3).public_key()), "{what}: the honest is blamed");
        });
    }
}

#[test]
fn only_the_chain_below_what_was_asked_for_is_an_answer() {
    let epoch = first_epoch(NODES, 1_000);
    let all: Vec<Header> = headers(&epoch, 10, 1).into_iter().rev().collect();
    let ask = message::Ask { number: 1, id: all[0].id(), height: Height(10), above: Height(4) };
    for length in 0..=6 {
        assert!(check(&ask, &all[..length]).is_ok(), "{length}");
    }
    assert!(check(&ask, &all[..7]).is_err(), "more than asked for");
    assert!(check(&ask, &all[1..3]).is_err(), "begins elsewhere");
    assert!(check(&ask, &[all[0].clone(), all[2].clone()]).is_err(), "a gap");
}

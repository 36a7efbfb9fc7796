//! The mempool actor on a simulated disk and network, among peers whom the test plays.

use super::{Actor, Connections, Mailbox};
use crate::{
    dispersal::Manifests,
    mesh::channel,
    ports::{ChainEvent, ChainHandle, Epochs, Peers, Position},
    settlement,
    store::{HeaderStore, PayloadStore},
    tests::{
        cluster::{first_epoch, identity, node_key},
        network::linked,
        nodes::unit,
    },
    watch,
};
use chorale_foundation::{
    Bytes,
    cryptography::{Signer as _, ed25519::PublicKey},
    p2p::{
        Receiver as _,
        simulated::{Oracle, Receiver},
    },
    runtime::{
        Clock as _, Quota, Runner as _, Spawner as _, Supervisor as _,
        deterministic::{Context, Runner},
    },
    utils::NZU32,
};
use chorale_mempool::{Config, Message};
use chorale_types::{Epoch, EpochInfo, Height, RollupId, ValidatorIndex, ValidatorSet, View, codec::decode};
use std::{sync::Arc, time::Duration};
use tokio::sync::broadcast;

const NODES: usize = 3;
/// Events that a follower of the chain may be behind.
const EVENTS_MAX: usize = 16;

/// The pool of node 0, and what it learns of the chain.
struct World {
    context: Context,
    oracle: Oracle<PublicKey, Context>,
    events: broadcast::Sender<ChainEvent>,
    position: watch::Sender<Position>,
    pool: Mailbox,
    /// Settles nothing, but is there.
    _settling: settlement::Actor<Context>,
}

/// An epoch with these validators.
fn epoch(number: u64, nodes: &[usize]) -> Arc<EpochInfo> {
    let all = first_epoch(NODES, 1_000);
    let validator = |i: &usize| all.validators.get(ValidatorIndex(u16::try_from(*i).unwrap())).unwrap().clone();
    let validators = ValidatorSet::new(nodes.iter().map(validator).collect()).unwrap();
    Arc::new(EpochInfo { epoch: Epoch(number), validators, ..all })
}

impl World {
    async fn new(context: Context, first: Arc<EpochInfo>) -> Self {
        let peers: Vec<PublicKey> = (0..NODES).map(|i| identity(i).public_key()).collect();
        let oracle = linked(&context, &peers, 0).await;
        let control = oracle.control(identity(0).public_key());
        let headers = HeaderStore::open(context.child("headers"), "headers").await.unwrap();
        let events = broadcast::channel(EVENTS_MAX).0;
        let (position, position_now) =
            watch::channel(Position { epoch: first, view: View(1), index: Some(ValidatorIndex(0)) });
        let chain = ChainHandle {
            events: events.clone(),
            committed: watch::channel(Height(0)).1,
            position: position_now,
            headers: headers.headers(),
            epochs: Epochs::default(),
        };
        let payloads = PayloadStore::open(context.child("payloads"), "payloads").await.unwrap();
        let config = settlement::tests::config("settlement");
        let (settling, settlement) =
            settlement::Actor::open(context.child("settlement"), config, payloads.reader()).await.unwrap();
        let connections = Connections {
            me: node_key(0),
            chain,
            settlement,
            channel: control.register(channel::MEMPOOL, Quota::per_second(NZU32!(1_000))).await.unwrap(),
            peers: Peers::new([control]),
        };
        let config = Config::new((1..=3).map(RollupId), NODES as u64);
        let (actor, pool, _) = Actor::open(context.child("pool"), config, "pool", connections).await.unwrap();
        context.child("actor").spawn(move |_| actor.run(Manifests::default()));
        Self { context, oracle, events, position, pool, _settling: settling }
    }

    /// Another validator's end of the channel.
    async fn peer(&self, i: usize) -> Receiver<PublicKey> {
        let control = self.oracle.control(identity(i).public_key());
        control.register(channel::MEMPOOL, Quota::per_second(NZU32!(1_000))).await.unwrap().1
    }
}

#[test]
fn an_epoch_that_began_while_events_were_missed_changes_whom_the_pool_gossips_with() {
    Runner::seeded(71).start(|context| async move {
        let (first, second) = (epoch(0, &[0, 1]), epoch(1, &[0, 2]));
        let world = World::new(context, first).await;
        let mut peer = world.peer(2).await;
        world.pool.figures().await.unwrap();
        // It listens from now on. Nobody else runs meanwhile: the first event is lost to whoever has not heard it.
        world.position.send_replace(Position { epoch: second.clone(), view: View(1), index: None });
        world.events.send(ChainEvent::EpochStarted { info: second }).unwrap();
        for view in 1..=EVENTS_MAX as u64 {
            let entered = ChainEvent::Entered { epoch: Epoch(1), view: View(view), leader: ValidatorIndex(0) };
            world.events.send(entered).unwrap();
        }
        // When the actor has been heard of, it has looked at its events before.
        world.pool.figures().await.unwrap();
        world.pool.submit(vec![unit(1)]).await.unwrap()[0].as_ref().unwrap();
        let told = tokio::select! {
            told = peer.recv() => told.unwrap(),
            () = world.context.sleep(Duration::from_secs(60)) => panic!("the validator that came is told nothing"),
        };
        assert_eq!(told.0, identity(0).public_key());
        assert!(matches!(decode(Bytes::from(told.1)), Ok(Message::Push(_))));
    });
}

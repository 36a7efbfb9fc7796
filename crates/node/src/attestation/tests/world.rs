//! The validators of these tests, and what a test does with them.

use crate::attestation::{Actor, Computed, Config, Connections, Input, Mailbox, Message, Messages, Router, Stopped};
use crate::{
    dispersal::keys::node_key,
    evidence::Reporter,
    mesh::channel,
    ports::{ChainHandle, Epochs, Peers, Position},
    settlement::{
        self,
        tests::{Context, EPOCH_HEIGHTS, Node as Settlement, chain, config, revealed, single},
    },
    store::HeaderStore,
    tests::network::linked,
    watch,
};
use chorale_foundation::{
    codec::Encode as _,
    cryptography::{
        Signer as _,
        ed25519::{PrivateKey, PublicKey},
    },
    p2p::{
        Recipients, Sender as _,
        simulated::{self, Oracle},
    },
    runtime::{Clock as _, Handle, Quota, Spawner as _, Supervisor as _},
    utils::NZU32,
};
use chorale_ledger::{DomainRules, RollupRules};
use chorale_types::{
    BlockId, Bls, ConsensusSecret, Digest, DomainId, Epoch, EpochInfo, Evidence, Height, OutcomeVote, RollupId,
    Scheme as _, Statement, Validator, ValidatorIndex, ValidatorSet, View, codec::List, tagged_hash,
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::sync::{broadcast, mpsc};

pub(super) const VALIDATORS: u16 = 4;

/// A domain of executed rollups.
pub(super) const DOMAIN: DomainId = DomainId(7);

pub(super) struct Node {
    pub(super) settlement: Settlement,
    pub(super) mailbox: Mailbox,
    pub(super) evidence: mpsc::Receiver<Evidence>,
    pub(super) handle: Handle<Result<(), Stopped>>,
    /// What is attested of executed rollups.
    pub(super) domain: Mailbox,
    pub(super) domain_handle: Handle<Result<(), Stopped>>,
    /// What executes them; none if nothing does.
    pub(super) executor: Option<mpsc::Sender<Vec<Computed>>>,
    router: Handle<()>,
}

pub(super) struct World {
    context: Context,
    oracle: Oracle<PublicKey, Context>,
    keys: Vec<PrivateKey>,
    /// The first epoch.
    pub(super) epoch: Arc<EpochInfo>,
    /// The second one: the same validators the other way round, and the last of them, which was the first, does not attest
    /// the domain any more.
    pub(super) next: Arc<EpochInfo>,
    pub(super) nodes: BTreeMap<u16, Node>,
    pub(super) retention_heights: u64,
    /// Rollup 1 is of the domain, whose attestations the order waits for.
    pub(super) is_waited_for: bool,
}

pub(super) fn secret(index: u16) -> ConsensusSecret {
    ConsensusSecret::from_seed([u8::try_from(index + 1).unwrap(); 32])
}

/// What a height brings.
pub(super) fn units(height: u64) -> Vec<chorale_types::Unit> {
    vec![single(1, &format!("a{height}"))]
}

impl World {
    pub(super) async fn new(context: Context) -> Self {
        Self::with_members(context, VALIDATORS).await
    }

    /// So many validators attest the domain.
    pub(super) async fn with_members(context: Context, members: u16) -> Self {
        let keys: Vec<PrivateKey> = (0..u64::from(VALIDATORS)).map(PrivateKey::from_seed).collect();
        let validator = |index: u16, attests: bool| {
            let key = node_key(&keys[usize::from(index)].public_key());
            let domains = List::new(if attests { vec![DOMAIN] } else { Vec::new() }).unwrap();
            Validator { domains, ..Validator::new(key, secret(index).public(), 1) }
        };
        let epoch = |epoch: u64, validators: Vec<Validator>| {
            let start = BlockId(tagged_hash("test/genesis", &[]));
            Arc::new(EpochInfo {
                chain: chain(),
                epoch: Epoch(epoch),
                validators: ValidatorSet::new(validators).unwrap(),
                start: EpochInfo::start_block(Height(epoch * EPOCH_HEIGHTS), start),
                closing: Height((epoch + 1) * EPOCH_HEIGHTS),
            })
        };
        let first = epoch(0, (0..VALIDATORS).map(|index| validator(index, index < members)).collect());
        let next = epoch(1, (0..VALIDATORS).rev().map(|index| validator(index, index > 0)).collect());
        let peers: Vec<PublicKey> = keys.iter().map(PrivateKey::public_key).collect();
        let oracle = linked(&context, &peers, 3).await;
        let (nodes, retention_heights) = (BTreeMap::new(), 1_000);
        Self { context, oracle, keys, epoch: first, next, nodes, retention_heights, is_waited_for: false }
    }

    pub(super) fn peer(&self, index: u16) -> PublicKey {
        self.keys[usize::from(index)].public_key()
    }

    pub(super) async fn chain(&self, index: u16) -> ChainHandle {
        let headers = self.context.child("headers").with_attribute("index", index);
        let headers = HeaderStore::open(headers, &format!("headers-{index}")).await.unwrap();
        let epochs = Epochs::default();
        epochs.insert(self.epoch.clone());
        epochs.insert(self.next.clone());
        let position = Position { epoch: self.epoch.clone(), view: View(1), index: Some(ValidatorIndex(index)) };
        ChainHandle {
            events: broadcast::channel(16).0,
            committed: watch::channel(Height(0)).1,
            position: watch::channel(position).1,
            headers: headers.headers(),
            epochs,
        }
    }

    fn settlement(&self, index: u16) -> settlement::Config {
        let mut config = config(&format!("settlement-{index}"));
        if self.is_waited_for {
            let rules = RollupRules { domain: Some(DOMAIN), ..RollupRules::default() };
            config.ledger.rollups.insert(RollupId(1), rules);
            config.ledger.rollups.insert(RollupId::SYSTEM, RollupRules::default());
            config.ledger.domains.insert(DOMAIN, DomainRules { attestation_lag_max: 5, by_second: false });
        }
        config
    }

    pub(super) async fn start(&mut self, index: u16) {
        self.start_with(index, true).await;
    }

    pub(super) async fn start_with(&mut self, index: u16, executes: bool) {
        let context = self.context.child("node").with_attribute("index", index);
        let settlement = Settlement::start(&context, self.settlement(index)).await;
        let control = self.oracle.control(self.peer(index));
        let (reporter, evidence) = Reporter::new();
        let (sender, receiver) = control.register(channel::ATTEST, Quota::per_second(NZU32!(10_000))).await.unwrap();
        let (peers, chain) = (Peers::new([control.clone()]), self.chain(index).await);
        let mut router = Router::new(receiver, peers.clone());
        let connections = |messages: Messages| Connections {
            me: node_key(&self.peer(index)),
            signs: true,
            scheme: Bls::signer(secret(index)),
            chain: chain.clone(),
            peers: peers.clone(),
            reporter: reporter.clone(),
            settlement: settlement.mailbox.clone(),
            channel: (sender.clone(), messages),
        };
        let retention_heights = self.retention_heights;
        let config = |domain: DomainId| Config {
            domain,
            retention_heights,
            ask_after_ms: 200,
            partition: format!("attestation-{index}-{domain}"),
        };
        let input = Input::settlement(settlement.mailbox.clone(), settlement.restart);
        let connected = connections(router.domain(DomainId::ORDERING));
        let opened = Actor::open(context.child("attestation"), config(DomainId::ORDERING), input, connected).await;
        let (actor, mailbox) = opened.unwrap();
        let (executor, computed) = mpsc::channel(16);
        let input = if executes { Input::executor(computed) } else { Input::nobody(settlement.mailbox.settled()) };
        let connected = connections(router.domain(DOMAIN));
        let opened = Actor::open(context.child("executed"), config(DOMAIN), input, connected).await;
        let (domain_actor, domain) = opened.unwrap();
        let node = Node {
            settlement,
            mailbox,
            evidence,
            handle: context.child("attest").spawn(move |_| actor.run()),
            domain,
            domain_handle: context.child("attest_executed").spawn(move |_| domain_actor.run()),
            executor: executes.then_some(executor),
            router: context.child("router").spawn(move |_| router.run()),
        };
        self.nodes.insert(index, node);
    }

    /// What was not synced is lost.
    pub(super) async fn crash(&mut self, index: u16) {
        let node = self.nodes.remove(&index).unwrap();
        for handle in [node.handle, node.domain_handle] {
            handle.abort();
            let _ = handle.await;
        }
        node.router.abort();
        let _ = node.router.await;
        node.settlement.crash().await;
    }

    pub(super) async fn settle(&self, heights: std::ops::RangeInclusive<u64>) {
        for height in heights {
            for node in self.nodes.values().filter(|node| node.settlement.mailbox.settled().borrow().0 < height) {
                node.settlement.settle(revealed(height, units(height))).await;
            }
        }
    }

    /// Waits until this node has everything up to `height` attested.
    pub(super) async fn attested(&self, index: u16, height: u64) {
        let mut attested = self.nodes[&index].mailbox.attested();
        tokio::select! {
            reached = attested.wait_for(|attested| attested.0 >= height) => reached.unwrap(),
            () = self.sleep_ms(60_000) => panic!("height {height} is not attested on node {index}"),
        }
    }

    pub(super) async fn root(&self, index: u16, height: u64) -> Digest {
        self.nodes[&index].settlement.mailbox.outcome(Height(height)).await.unwrap().root()
    }

    pub(super) async fn sleep_ms(&self, ms: u64) {
        self.context.sleep(Duration::from_millis(ms)).await;
    }

    pub(super) fn vote(&self, index: u16, height: u64, root: Digest) -> OutcomeVote {
        self.vote_on(DomainId::ORDERING, index, height, root)
    }

    pub(super) fn vote_on(&self, domain: DomainId, index: u16, height: u64, root: Digest) -> OutcomeVote {
        let statement = Statement::Outcome { domain, height: Height(height), root };
        let signature = Bls::signer(secret(index)).sign(self.epoch.chain, Epoch(0), &statement);
        OutcomeVote { domain, epoch: Epoch(0), height: Height(height), root, author: ValidatorIndex(index), signature }
    }

    /// A validator whose node the test plays.
    pub(super) async fn puppet(&self, index: u16) -> Puppet {
        let control = self.oracle.control(self.peer(index));
        let (sender, receiver) = control.register(channel::ATTEST, Quota::per_second(NZU32!(10_000))).await.unwrap();
        Puppet { sender, receiver }
    }

    pub(super) async fn cut_off(&self) -> Vec<(PublicKey, PublicKey)> {
        self.oracle.blocked().await.unwrap()
    }
}

pub(super) struct Puppet {
    sender: simulated::Sender<PublicKey, Context>,
    receiver: simulated::Receiver<PublicKey>,
}

impl Puppet {
    pub(super) fn say(&mut self, message: &Message) {
        self.say_bytes(message.encode());
    }

    pub(super) fn say_bytes(&mut self, bytes: chorale_foundation::Bytes) {
        let _ = self.sender.send(Recipients::All, bytes, true);
    }

    pub(super) async fn hear_vote(&mut self, from: &PublicKey, height: u64) -> OutcomeVote {
        self.hear_vote_on(DomainId::ORDERING, from, height).await
    }

    pub(super) async fn hear_vote_on(&mut self, domain: DomainId, from: &PublicKey, height: u64) -> OutcomeVote {
        use chorale_foundation::p2p::Receiver as _;
        loop {
            let (peer, bytes) = self.receiver.recv().await.unwrap();
            let message = chorale_types::codec::decode(chorale_foundation::Bytes::from(bytes)).unwrap();
            match message {
                Message::Vote(vote) if (peer == *from, vote.domain, vote.height) == (true, domain, Height(height)) => {
                    return vote;
                }
                _ => {}
            }
        }
    }
}

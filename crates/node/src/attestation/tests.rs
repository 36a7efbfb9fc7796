//! Four validators that settle the same heights, by hand, and attest them on a simulated network.

mod executed;

use super::{Actor, Computed, Config, Connections, Input, Mailbox, Message, Messages, Router, Stopped};
use crate::{
    dispersal::keys::node_key,
    evidence::Reporter,
    mesh::channel,
    ports::{ChainHandle, Epochs, Peers, Position},
    settlement::tests::{Context, EPOCH_HEIGHTS, Node as Settlement, chain, config, revealed, run, single},
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
use chorale_types::{
    Attestation, BlockId, Bls, ConsensusSecret, Digest, DomainId, Epoch, EpochInfo, Evidence, Fault, Height,
    OutcomeVote, Scheme as _, Signature, Signers, Statement, Validator, ValidatorIndex, ValidatorSet, View,
    codec::List, tagged_hash,
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::sync::{broadcast, mpsc};

const VALIDATORS: u16 = 4;

/// A domain of executed rollups.
const DOMAIN: DomainId = DomainId(7);

struct Node {
    settlement: Settlement,
    mailbox: Mailbox,
    evidence: mpsc::Receiver<Evidence>,
    handle: Handle<Result<(), Stopped>>,
    /// What is attested of executed rollups.
    domain: Mailbox,
    domain_handle: Handle<Result<(), Stopped>>,
    /// What executes them; none if nothing does.
    executor: Option<mpsc::Sender<Vec<Computed>>>,
    router: Handle<()>,
}

struct World {
    context: Context,
    oracle: Oracle<PublicKey, Context>,
    keys: Vec<PrivateKey>,
    epoch: Arc<EpochInfo>,
    nodes: BTreeMap<u16, Node>,
    retention_heights: u64,
}

fn secret(index: u16) -> ConsensusSecret {
    ConsensusSecret::from_seed([u8::try_from(index + 1).unwrap(); 32])
}

/// What a height brings.
fn units(height: u64) -> Vec<chorale_types::Unit> {
    vec![single(1, &format!("a{height}"))]
}

impl World {
    async fn new(context: Context) -> Self {
        Self::with_members(context, VALIDATORS).await
    }

    /// So many validators attest the domain.
    async fn with_members(context: Context, members: u16) -> Self {
        let keys: Vec<PrivateKey> = (0..u64::from(VALIDATORS)).map(PrivateKey::from_seed).collect();
        let validators = (0..).zip(&keys).map(|(index, key)| {
            let domains = if index < members { vec![DOMAIN] } else { Vec::new() };
            let validator = Validator::new(node_key(&key.public_key()), secret(index).public(), 1);
            Validator { domains: List::new(domains).unwrap(), ..validator }
        });
        let epoch = Arc::new(EpochInfo {
            chain: chain(),
            epoch: Epoch(0),
            validators: ValidatorSet::new(validators.collect()).unwrap(),
            start: EpochInfo::start_block(Height(0), BlockId(tagged_hash("test/genesis", &[]))),
            closing: Height(EPOCH_HEIGHTS),
        });
        let peers: Vec<PublicKey> = keys.iter().map(PrivateKey::public_key).collect();
        let oracle = linked(&context, &peers, 3).await;
        Self { context, oracle, keys, epoch, nodes: BTreeMap::new(), retention_heights: 1_000 }
    }

    fn peer(&self, index: u16) -> PublicKey {
        self.keys[usize::from(index)].public_key()
    }

    async fn chain(&self, index: u16) -> ChainHandle {
        let headers = self.context.child("headers").with_attribute("index", index);
        let headers = HeaderStore::open(headers, &format!("headers-{index}")).await.unwrap();
        let epochs = Epochs::default();
        epochs.insert(self.epoch.clone());
        let position = Position { epoch: self.epoch.clone(), view: View(1), index: Some(ValidatorIndex(index)) };
        ChainHandle {
            events: broadcast::channel(16).0,
            committed: watch::channel(Height(0)).1,
            position: watch::channel(position).1,
            headers: headers.headers(),
            epochs,
        }
    }

    async fn start(&mut self, index: u16) {
        self.start_with(index, true).await;
    }

    async fn start_with(&mut self, index: u16, executes: bool) {
        let context = self.context.child("node").with_attribute("index", index);
        let settlement = Settlement::start(&context, config(&format!("settlement-{index}"))).await;
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
    async fn crash(&mut self, index: u16) {
        let node = self.nodes.remove(&index).unwrap();
        for handle in [node.handle, node.domain_handle] {
            handle.abort();
            let _ = handle.await;
        }
        node.router.abort();
        let _ = node.router.await;
        node.settlement.crash().await;
    }

    async fn settle(&self, heights: std::ops::RangeInclusive<u64>) {
        for height in heights {
            for node in self.nodes.values().filter(|node| node.settlement.mailbox.settled().borrow().0 < height) {
                node.settlement.settle(revealed(height, units(height))).await;
            }
        }
    }

    /// Waits until this node has everything up to `height` attested.
    async fn attested(&self, index: u16, height: u64) {
        let mut attested = self.nodes[&index].mailbox.attested();
        tokio::select! {
            reached = attested.wait_for(|attested| attested.0 >= height) => reached.unwrap(),
            () = self.sleep_ms(60_000) => panic!("height {height} is not attested on node {index}"),
        }
    }

    async fn root(&self, index: u16, height: u64) -> Digest {
        self.nodes[&index].settlement.mailbox.outcome(Height(height)).await.unwrap().root()
    }

    async fn sleep_ms(&self, ms: u64) {
        self.context.sleep(Duration::from_millis(ms)).await;
    }

    fn vote(&self, index: u16, height: u64, root: Digest) -> OutcomeVote {
        self.vote_on(DomainId::ORDERING, index, height, root)
    }

    fn vote_on(&self, domain: DomainId, index: u16, height: u64, root: Digest) -> OutcomeVote {
        let statement = Statement::Outcome { domain, height: Height(height), root };
        let signature = Bls::signer(secret(index)).sign(self.epoch.chain, Epoch(0), &statement);
        OutcomeVote { domain, epoch: Epoch(0), height: Height(height), root, author: ValidatorIndex(index), signature }
    }

    /// A validator whose node the test plays.
    async fn puppet(&self, index: u16) -> Puppet {
        let control = self.oracle.control(self.peer(index));
        let (sender, receiver) = control.register(channel::ATTEST, Quota::per_second(NZU32!(10_000))).await.unwrap();
        Puppet { sender, receiver }
    }

    async fn cut_off(&self) -> Vec<(PublicKey, PublicKey)> {
        self.oracle.blocked().await.unwrap()
    }
}

struct Puppet {
    sender: simulated::Sender<PublicKey, Context>,
    receiver: simulated::Receiver<PublicKey>,
}

impl Puppet {
    fn say(&mut self, message: &Message) {
        self.say_bytes(message.encode());
    }

    fn say_bytes(&mut self, bytes: chorale_foundation::Bytes) {
        let _ = self.sender.send(Recipients::All, bytes, true);
    }

    async fn hear_vote(&mut self, from: &PublicKey, height: u64) -> OutcomeVote {
        self.hear_vote_on(DomainId::ORDERING, from, height).await
    }

    async fn hear_vote_on(&mut self, domain: DomainId, from: &PublicKey, height: u64) -> OutcomeVote {
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

#[test]
fn what_everybody_settled_is_attested_everywhere() {
    run(21, async |context| {
        let mut world = World::new(context).await;
        for index in 0..VALIDATORS {
            world.start(index).await;
        }
        world.settle(1..=20).await;
        for index in 0..VALIDATORS {
            world.attested(index, 20).await;
            for height in 1..=20 {
                let attestation = world.nodes[&index].mailbox.get(Height(height)).await.unwrap();
                attestation.verify(&Bls::verifier(), &world.epoch).unwrap();
                assert_eq!(attestation.root, world.root(index, height).await);
            }
        }
        assert!(world.cut_off().await.is_empty());
    });
}

#[test]
fn without_a_quorum_nothing_is_attested_and_who_comes_late_completes_it() {
    run(22, async |context| {
        let mut world = World::new(context).await;
        world.start(0).await;
        world.start(1).await;
        world.settle(1..=10).await;
        world.sleep_ms(5_000).await;
        assert_eq!(*world.nodes[&0].mailbox.attested().borrow(), Height(0));
        assert!(world.nodes[&0].mailbox.get(Height(1)).await.is_none());
        world.start(2).await;
        world.settle(1..=10).await;
        for index in 0..3 {
            world.attested(index, 10).await;
        }
        // Attested without it; it asks for what it missed.
        world.start(3).await;
        world.settle(1..=10).await;
        world.attested(3, 10).await;
    });
}

/// More than it may ask everybody for: it asks one for each, and gets all also if one of them never answers.
#[test]
fn a_node_that_was_away_for_long_gets_every_attestation_whoever_is_silent() {
    run(31, async |context| {
        let mut world = World::new(context).await;
        for index in 0..3 {
            world.start(index).await;
        }
        world.settle(1..=EPOCH_HEIGHTS).await;
        world.attested(0, EPOCH_HEIGHTS).await;
        world.crash(2).await;
        world.start(3).await;
        world.settle(1..=EPOCH_HEIGHTS).await;
        world.attested(3, EPOCH_HEIGHTS).await;
        for height in 1..=EPOCH_HEIGHTS {
            let attestation = world.nodes[&3].mailbox.get(Height(height)).await.unwrap();
            attestation.verify(&Bls::verifier(), &world.epoch).unwrap();
        }
        assert!(world.cut_off().await.is_empty());
    });
}

#[test]
fn a_restarted_validator_sends_the_same_signatures_and_never_others() {
    run(23, async |context| {
        let mut world = World::new(context).await;
        let mut witness = world.puppet(3).await;
        world.start(0).await;
        world.settle(1..=6).await;
        let before = witness.hear_vote(&world.peer(0), 6).await;
        world.crash(0).await;
        world.start(0).await;
        assert_eq!(world.nodes[&0].settlement.restart, Height(0), "no snapshot yet: all is settled again");
        world.settle(1..=6).await;
        let after = witness.hear_vote(&world.peer(0), 6).await;
        assert_eq!(before, after);
    });
}

#[test]
fn a_node_that_finds_another_root_than_it_signed_stops() {
    run(24, async |context| {
        let mut world = World::new(context).await;
        let mut witness = world.puppet(3).await;
        world.start(0).await;
        world.settle(1..=3).await;
        let signed = witness.hear_vote(&world.peer(0), 3).await;
        world.crash(0).await;
        world.start(0).await;
        world.settle(1..=2).await;
        let node = world.nodes.remove(&0).unwrap();
        node.settlement.settle(revealed(3, vec![single(1, "another history")])).await;
        let stopped = node.handle.await.unwrap().unwrap_err();
        match stopped {
            Stopped::Inconsistent { height, signed: before, .. } => {
                assert_eq!((height, before), (Height(3), signed.root));
            }
            other => panic!("{other}"),
        }
    });
}

#[test]
fn a_node_that_finds_another_root_than_a_quorum_stops_and_does_not_adopt_it() {
    run(25, async |context| {
        let mut world = World::new(context).await;
        for index in 0..VALIDATORS {
            world.start(index).await;
        }
        world.settle(1..=2).await;
        let wrong = world.nodes.remove(&3).unwrap();
        wrong.settlement.settle(revealed(3, vec![single(1, "a bit flipped")])).await;
        let ours = wrong.settlement.mailbox.outcome(Height(3)).await.unwrap().root();
        world.settle(3..=3).await;
        let theirs = world.root(0, 3).await;
        match wrong.handle.await.unwrap().unwrap_err() {
            Stopped::Diverged { height, ours: mine, attested, .. } => {
                assert_eq!((height, mine, attested), (Height(3), ours, theirs));
            }
            other => panic!("{other}"),
        }
        for index in 0..3 {
            world.attested(index, 3).await;
        }
    });
}

#[test]
fn a_false_signature_is_found_and_its_author_cut_off() {
    run(26, async |context| {
        let mut world = World::new(context).await;
        let mut liar = world.puppet(3).await;
        for index in 0..3 {
            world.start(index).await;
        }
        // It comes before the others' and completes a quorum of the wrong kind.
        world.settle(1..=1).await;
        let root = world.root(0, 1).await;
        world.attested(0, 1).await;
        let next = tagged_hash("test/no-root", &[]);
        let forged = OutcomeVote { signature: world.vote(3, 2, next).signature, ..world.vote(3, 2, root) };
        liar.say(&Message::Vote(forged));
        world.sleep_ms(100).await;
        world.settle(2..=2).await;
        for index in 0..3 {
            world.attested(index, 2).await;
        }
    });
}

#[test]
fn a_false_signature_for_the_right_root_does_not_spoil_the_quorum() {
    run(27, async |context| {
        let mut world = World::new(context).await;
        let mut liar = world.puppet(3).await;
        world.start(0).await;
        world.start(1).await;
        world.settle(1..=1).await;
        let root = world.root(0, 1).await;
        liar.say(&Message::Vote(OutcomeVote { signature: Signature([0xff; 48]), ..world.vote(3, 1, root) }));
        world.sleep_ms(500).await;
        assert!(world.nodes[&0].mailbox.get(Height(1)).await.is_none());
        let blocked = world.cut_off().await;
        assert!(blocked.contains(&(world.peer(0), world.peer(3))), "{blocked:?}");
        world.start(2).await;
        world.settle(1..=1).await;
        world.attested(0, 1).await;
        assert!(!world.cut_off().await.contains(&(world.peer(0), world.peer(1))), "the honest are not blamed");
    });
}

#[test]
fn two_roots_of_one_validator_are_evidence() {
    run(28, async |context| {
        let mut world = World::new(context).await;
        let mut liar = world.puppet(3).await;
        world.start(0).await;
        let [one, other] = [b"one", b"two"].map(|name| tagged_hash("test/root", &[name]));
        liar.say(&Message::Vote(world.vote(3, 1, one)));
        liar.say(&Message::Vote(world.vote(3, 1, other)));
        let evidence = world.nodes.get_mut(&0).unwrap().evidence.recv().await.unwrap();
        assert_eq!((evidence.offender, evidence.fault()), (ValidatorIndex(3), Some(Fault::DoubleOutcome)));
    });
}

/// Each cost two verifications and nobody was blamed, so a validator could go on for ever.
#[test]
fn who_contradicts_itself_with_a_false_signature_is_cut_off() {
    for is_false in [[true, true], [true, false], [false, true]] {
        run(32, async move |context| {
            let mut world = World::new(context).await;
            let mut liar = world.puppet(3).await;
            world.start(0).await;
            for (name, is_false) in ["one", "two"].into_iter().zip(is_false) {
                let vote = world.vote(3, 5, tagged_hash("test/root", &[name.as_bytes()]));
                let signature = if is_false { Signature([0xff; 48]) } else { vote.signature };
                liar.say(&Message::Vote(OutcomeVote { signature, ..vote }));
            }
            world.sleep_ms(200).await;
            assert_eq!(world.cut_off().await, [(world.peer(0), world.peer(3))], "{is_false:?}");
            assert!(world.nodes.get_mut(&0).unwrap().evidence.try_recv().is_err(), "{is_false:?}");
        });
    }
}

#[test]
fn strangers_bytes_and_others_signatures_are_refused() {
    let lies: [fn(&World, &mut Puppet); 4] = [
        |_, puppet| puppet.say_bytes(chorale_foundation::Bytes::from_static(b"\x09garbage")),
        |_, puppet| puppet.say_bytes(vec![0; 2_000].into()),
        |world, puppet| {
            let root = tagged_hash("test/root", &[]);
            puppet.say(&Message::Vote(world.vote(2, 1, root)));
        },
        |world, puppet| {
            let root = tagged_hash("test/root", &[]);
            let signers = Signers::of(4, (0..4).map(ValidatorIndex));
            let signature = world.vote(3, 1, root).signature;
            let (epoch, height) = (Epoch(0), Height(1));
            let domain = DomainId::ORDERING;
            puppet.say(&Message::Attestation(Attestation { domain, epoch, height, root, signers, signature }));
        },
    ];
    for (index, lie) in lies.into_iter().enumerate() {
        run(29, async move |context| {
            let mut world = World::new(context).await;
            let mut puppet = world.puppet(3).await;
            world.start(0).await;
            world.settle(1..=1).await;
            lie(&world, &mut puppet);
            world.sleep_ms(200).await;
            assert_eq!(world.cut_off().await, [(world.peer(0), world.peer(3))], "lie {index}");
        });
    }
}

#[test]
fn the_end_of_an_epoch_is_kept() {
    run(30, async |context| {
        let mut world = World::new(context).await;
        for index in 0..3 {
            world.start(index).await;
        }
        world.settle(1..=EPOCH_HEIGHTS).await;
        world.attested(0, EPOCH_HEIGHTS).await;
        let closing = world.nodes[&0].mailbox.closing(Epoch(0)).await.unwrap();
        assert_eq!(closing.outcome.height, Height(EPOCH_HEIGHTS));
        assert_eq!(closing.attestation.root, closing.outcome.root());
        assert!(closing.outcome.next_validators.is_some());
        assert!(world.nodes[&0].mailbox.closing(Epoch(1)).await.is_none());
        world.crash(0).await;
        world.start(0).await;
        assert_eq!(world.nodes[&0].mailbox.closing(Epoch(0)).await, Some(closing));
    });
}

//! The actors of a node on the mesh, and what connects them: on tokio and sockets in production ([`run`](crate::run)), on
//! a deterministic scheduler with a simulated network and disk in tests.

use crate::{
    attestation,
    consensus::{self, Chain},
    dispersal::Manifests,
    evidence,
    executor::Feed,
    mempool,
    mesh::Mesh,
    payloads,
    ports::ChainHandle,
    proposer::{Attested, DueAttestations},
    reveal::RevealAt,
    run::NodeError,
    runtime::Context,
    settlement,
    store::{PayloadReader, PayloadStore},
    sync,
};
use chorale_foundation::{
    cryptography::ed25519::PublicKey,
    p2p::{Receiver, Sender},
    runtime::{Error as RuntimeError, Handle},
};
use chorale_hotstuff::{Parameters, Votes};
use chorale_types::{
    BlockReference, Bls, BuilderId, ConsensusSecret, Digest, DomainId, Epoch, Genesis, NodeKey, RollupId,
    genesis::{GenesisParameters, RevealWhen, VotesTo},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use tokio::sync::mpsc;
use tracing::error;

/// What the proposer may tell consensus at a time.
const UPDATES_MAX: usize = 64;
/// Revealed heights that wait for settlement.
const REVEALED_MAX: usize = 16;
/// Questions about headers that wait.
const WANTS_MAX: usize = 16;
/// How long after it was settled the attestation of a height is asked for.
const ATTESTATION_ASK_AFTER_MS: u64 = 1_000;
/// A node without consensus key builds nothing.
const NO_BUILDER: BuilderId = BuilderId(Digest { 0: [0; 32] });
/// Headers that consensus keeps above the committed one.
const HEADERS_AHEAD_MAX: usize = 4_096;

/// Who the node is.
#[derive(Clone)]
pub(crate) struct Identity {
    /// On the mesh.
    pub(crate) me: NodeKey,
    /// The key of a validator; none if the node only follows.
    pub(crate) consensus: Option<ConsensusSecret>,
    /// It has never run: no record of what it signed is missing.
    pub(crate) is_new: bool,
    /// What the names of its files begin with.
    pub(crate) partition: String,
}

impl Identity {
    fn partition(&self, name: &str) -> String {
        format!("{}{name}", self.partition)
    }
}

/// By which others ask the actors. Clones share them.
#[derive(Clone)]
pub(crate) struct Handles {
    pub(crate) chain: ChainHandle,
    pub(crate) pool: mempool::Mailbox,
    pub(crate) payloads: PayloadReader,
    pub(crate) settlement: settlement::Mailbox,
    pub(crate) attestation: attestation::Mailbox,
    /// What is attested of executed rollups, by domain.
    pub(crate) domains: Arc<BTreeMap<DomainId, attestation::Mailbox>>,
    pub(crate) evidence: evidence::Register,
}

/// A node that has read its disk. It votes and settles once it is started.
pub(crate) struct Node<E: Context, N, R> {
    pub(crate) handles: Handles,
    /// What executors have to be asked for.
    pub(crate) feeds: Vec<Feed>,
    consensus: consensus::Actor<E, Bls, N, R>,
    settlement: settlement::Actor<E>,
    revealed: settlement::Connections,
    outcomes: attestation::Router<R>,
    attestation: attestation::Actor<E, Bls, N>,
    domains: BTreeMap<DomainId, attestation::Actor<E, Bls, N>>,
    evidence: evidence::Actor<E, Bls, N, R>,
    mempool: mempool::Actor<E, N, R>,
    sync: sync::Actor<E, N, R>,
    manifests: Manifests,
    /// Proposer, dispersal and reveal, which wait for consensus.
    payloads: Handle<()>,
}

/// The actors that must not end before the node does.
pub(crate) struct Running {
    consensus: Handle<Result<(), consensus::Stopped>>,
    settlement: Handle<Result<(), settlement::Stopped>>,
    attestation: Handle<Result<(), attestation::Stopped>>,
    evidence: Handle<Result<(), evidence::Stopped>>,
    mempool: Handle<Result<(), mempool::Stopped>>,
    payloads: Handle<()>,
}

impl Running {
    /// Completes when one of them ends, with the reason.
    pub(crate) async fn ended(self) -> NodeError {
        fn reason<E: Into<NodeError>>(name: &'static str, ended: Result<Result<(), E>, RuntimeError>) -> NodeError {
            match ended {
                Ok(Err(stopped)) => stopped.into(),
                Ok(Ok(())) | Err(_) => NodeError::Ended(name),
            }
        }
        tokio::select! {
            ended = self.consensus => reason("consensus", ended),
            ended = self.settlement => reason("settlement", ended),
            ended = self.attestation => reason("attestation", ended),
            ended = self.evidence => reason("evidence", ended),
            ended = self.mempool => reason("the mempool", ended),
            _ = self.payloads => NodeError::Ended("dispersal or reveal"),
        }
    }
}

impl<E, N, R> Node<E, N, R>
where
    E: Context,
    N: Sender<PublicKey = PublicKey>,
    R: Receiver<PublicKey = PublicKey>,
{
    /// Reads what is on disk and connects the actors. `executed`: the domains for which this node has an executor, which is
    /// to be asked for what [`Node::feeds`] says.
    ///
    /// # Errors
    ///
    /// A disk that cannot be read, or is of another chain.
    pub(crate) async fn open(
        context: &E,
        genesis: &Genesis,
        identity: Identity,
        mesh: Mesh<N, R>,
        executed: &BTreeSet<DomainId>,
    ) -> Result<Self, NodeError> {
        let Mesh { order, chunks, mempool, sync, attest, evidence, peers, membership } = mesh;
        let me = identity.me;
        let signs = identity.consensus.is_some();
        let builder =
            identity.consensus.as_ref().map_or(NO_BUILDER, |secret| BuilderId::of_validator(&secret.public()));
        let scheme = identity.consensus.clone().map_or_else(Bls::verifier, Bls::signer);
        let chain = open_chain(context, genesis, &identity).await?;
        let handle = chain.handle();

        let connections = evidence::Connections {
            me,
            scheme: scheme.clone(),
            chain: handle.clone(),
            peers: peers.clone(),
            channel: evidence,
        };
        let (evidence, reporter, register) =
            evidence::Actor::open(context.child("evidence"), &identity.partition("evidence"), connections).await?;

        let kept = PayloadStore::open(context.child("kept"), &identity.partition("payloads")).await;
        let kept = kept.map_err(NodeError::Storage)?;
        let kept_reader = kept.reader();
        let config = settlement::Config::new(genesis, &identity.partition("settlement"));
        let (settlement_actor, settlement) =
            settlement::Actor::open(context.child("settlement"), config, kept_reader.clone()).await?;

        let (to_attest, from_attest) = attest;
        let mut outcomes = attestation::Router::new(from_attest, peers.clone());
        let mut connections = |domain| attestation::Connections {
            me,
            signs,
            scheme: scheme.clone(),
            chain: handle.clone(),
            peers: peers.clone(),
            reporter: reporter.clone(),
            settlement: settlement.clone(),
            channel: (to_attest.clone(), outcomes.domain(domain)),
        };
        let config = |domain, partition: &str| attestation::Config {
            domain,
            retention_heights: genesis.parameters().retention_heights,
            ask_after_ms: ATTESTATION_ASK_AFTER_MS,
            partition: identity.partition(partition),
        };
        let input = attestation::Input::settlement(settlement.clone(), settlement_actor.restart());
        let ordering = config(DomainId::ORDERING, "attestation");
        let opened =
            attestation::Actor::open(context.child("attestation"), ordering, input, connections(DomainId::ORDERING));
        let (attestation_actor, attestation) = opened.await?;
        let (mut domain_actors, mut mailboxes, mut feeds) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        for domain in genesis.domains().iter().map(|domain| domain.id) {
            let (computed, executor) = Feed::channel();
            let input = if executed.contains(&domain) {
                attestation::Input::executor(executor)
            } else {
                attestation::Input::nobody(handle.committed.clone())
            };
            let context = context.child("domain").with_attribute("domain", domain);
            let config = config(domain, &format!("attestation-{domain}"));
            let (actor, mailbox) = attestation::Actor::open(context, config, input, connections(domain)).await?;
            if executed.contains(&domain) {
                feeds.push(Feed { domain, after: actor.last(), computed });
            }
            domain_actors.insert(domain, actor);
            mailboxes.insert(domain, mailbox);
        }

        let connections = mempool::Connections {
            me,
            chain: handle.clone(),
            settlement: settlement.clone(),
            channel: mempool,
            peers: peers.clone(),
        };
        let is_attested = genesis.domains().iter().any(|domain| genesis.is_attested(domain.id));
        let system = is_attested.then_some(RollupId::SYSTEM);
        let rollups = system.into_iter().chain(genesis.rollups().iter().map(|rollup| rollup.id));
        let owners = genesis.rollups().iter().filter_map(|rollup| Some((rollup.id, rollup.execution?.owner?)));
        let domains = genesis.rollups().iter().filter_map(|rollup| Some((rollup.id, rollup.execution?.domain)));
        let config = chorale_mempool::Config {
            domains: domains.collect(),
            nonces: genesis.rollups().iter().filter(|rollup| rollup.has_nonces).map(|rollup| rollup.id).collect(),
            owners: owners.collect(),
            chain: genesis.chain(),
            ..chorale_mempool::Config::new(rollups, handle.position.borrow().epoch.validators.len() as u64)
        };
        let (mempool_actor, pool, known) =
            mempool::Actor::open(context.child("mempool"), config, &identity.partition("mempool"), connections).await?;

        let (updates_sender, updates) = mpsc::channel(UPDATES_MAX);
        let (revealed_sender, revealed) = mpsc::channel(REVEALED_MAX);
        let connections = payloads::Connections {
            me,
            builder,
            scheme: scheme.clone(),
            chain: handle.clone(),
            peers: peers.clone(),
            pool: pool.clone(),
            system: DueAttestations::new(settlement.standings(), attested(genesis, &mailboxes)),
            consensus: updates_sender,
            payloads: kept,
            settlement: revealed_sender,
            settled: known,
        };
        let config = payloads::Config::new(limits(genesis.parameters()), &identity.partition("payloads"));
        let payloads = payloads::start(context.child("payloads"), config, chunks, connections).await?;

        let (wants, wanted) = mpsc::channel(WANTS_MAX);
        let (finds, found) = mpsc::channel(WANTS_MAX);
        let connections = sync::Connections {
            me,
            chain: handle.clone(),
            channel: sync,
            peers: peers.clone(),
            wants: wanted,
            found: finds,
        };
        let sync = sync::Actor::new(context.child("sync"), connections);
        let connections = consensus::Connections {
            scheme,
            channel: order,
            peers,
            reporter,
            membership,
            content: Box::new(payloads.content),
            updates,
            wants,
            found,
        };
        let consensus = consensus::Actor::new(context.child("consensus"), chain, connections);
        let handles = Handles {
            chain: handle,
            pool,
            payloads: kept_reader,
            settlement,
            attestation,
            domains: Arc::new(mailboxes),
            evidence: register,
        };
        Ok(Self {
            handles,
            feeds,
            consensus,
            settlement: settlement_actor,
            revealed: settlement::Connections { revealed },
            outcomes,
            attestation: attestation_actor,
            domains: domain_actors,
            evidence,
            mempool: mempool_actor,
            sync,
            manifests: payloads.dispersal.manifests().clone(),
            payloads: payloads.running,
        })
    }

    /// Starts the actors.
    pub(crate) fn start(self, context: &E) -> Running {
        let Self { consensus, settlement, revealed, evidence, mempool, sync, manifests, payloads, .. } = self;
        let (outcomes, attestation, domains) = (self.outcomes, self.attestation, self.domains);
        context.child("sync").spawn(move |_| sync.run());
        context.child("outcomes").spawn(move |_| outcomes.run());
        for (domain, actor) in domains {
            context.child("domain").with_attribute("domain", domain).spawn(move |_| async move {
                // Whatever is wrong with it, ordering and other domains go on.
                if let Err(stopped) = actor.run().await {
                    error!(%domain, %stopped, "this node attests nothing more of the domain");
                }
            });
        }
        Running {
            settlement: context.child("settlement").spawn(move |_| settlement.run(revealed)),
            attestation: context.child("attestation").spawn(move |_| attestation.run()),
            evidence: context.child("evidence").spawn(move |_| evidence.run()),
            mempool: context.child("mempool").spawn(move |_| mempool.run(manifests)),
            payloads,
            // On a thread of its own: no other actor's long turn delays a vote.
            consensus: context.child("order").dedicated().spawn(move |_| consensus.run()),
        }
    }
}

async fn open_chain<E: Context>(context: &E, genesis: &Genesis, identity: &Identity) -> Result<Chain<E>, NodeError> {
    let source = genesis.clone();
    let config = consensus::Config {
        parameters: parameters(genesis.parameters()),
        me: identity.me,
        signs: identity.consensus.is_some(),
        is_new: identity.is_new,
        partition: identity.partition("consensus"),
    };
    let epochs = Arc::new(move |epoch: Epoch, start: BlockReference| Some(source.epoch(epoch, start)));
    Ok(Chain::open(context.child("chain"), config, genesis.first_epoch(), epochs).await?)
}

/// The domains whose attestations are ordered.
fn attested(genesis: &Genesis, mailboxes: &BTreeMap<DomainId, attestation::Mailbox>) -> BTreeMap<DomainId, Attested> {
    let domain = |(domain, attestations): (&DomainId, &attestation::Mailbox)| {
        let lag_max = genesis.domain(*domain)?.attestation_lag_max;
        Some((*domain, Attested { lag_max, attestations: attestations.clone() }))
    };
    mailboxes.iter().filter_map(domain).collect()
}

fn limits(genesis: &GenesisParameters) -> payloads::Limits {
    payloads::Limits {
        payload_bytes_max: genesis.payload_bytes_max,
        timeout_base_ms: genesis.timeout_base_ms,
        reveal_at: match genesis.reveal {
            RevealWhen::Committed => RevealAt::Committed,
            RevealWhen::Certified => RevealAt::Certified,
        },
        retention_heights: genesis.retention_heights,
    }
}

fn parameters(genesis: &GenesisParameters) -> Parameters {
    Parameters {
        votes: match genesis.votes {
            VotesTo::Leaders => Votes::Leaders,
            VotesTo::All => Votes::All,
        },
        timeout_base_ms: genesis.timeout_base_ms,
        timeout_ms_max: genesis.timeout_ms_max,
        clock_drift_ms: genesis.clock_drift_ms,
        idle_interval_ms: genesis.idle_interval_ms,
        pace_ms: genesis.pace_ms,
        pace_bytes_per_ms: genesis.pace_bytes_per_ms,
        headers_ahead_max: HEADERS_AHEAD_MAX,
    }
}

//! A whole node in production: tokio, sockets, disk.

use crate::{
    attestation,
    config::{ConfigError, Keys, NEW_NODE_FILE, NodeConfig},
    consensus::{self, Chain},
    evidence, full, gateway, mempool,
    mesh::{self, Mesh},
    payloads,
    reveal::RevealAt,
    settlement,
    store::PayloadStore,
    sync,
};
use chorale_foundation::runtime::{
    Error as RuntimeError, Handle, Metrics as _, Runner as _, Spawner as _, Supervisor as _, tokio as runtime,
};
use chorale_hotstuff::{Parameters, Votes};
use chorale_types::{
    BlockReference, Bls, BuilderId, Digest, Epoch, Genesis, NodeKey,
    genesis::{GenesisParameters, RevealWhen, VotesTo},
};
use jsonrpsee::server::ServerHandle;
use std::{fs, future::Future, path::PathBuf, sync::Arc, time::Duration};
use tokio::sync::mpsc;
use tracing::info;

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
/// How long actors may take to finish when the node is shut down.
pub(crate) const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// Headers that consensus keeps above the committed one.
const HEADERS_AHEAD_MAX: usize = 4_096;

/// Why a node does not run, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The configuration or the keys.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The genesis.
    #[error("{path}: {error}")]
    Genesis {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: String,
    },
    /// Consensus stopped.
    #[error(transparent)]
    Consensus(#[from] consensus::Stopped),
    /// Settlement stopped.
    #[error(transparent)]
    Settlement(#[from] settlement::Stopped),
    /// Attestation stopped.
    #[error(transparent)]
    Attestation(#[from] attestation::Stopped),
    /// Evidence cannot be kept.
    #[error(transparent)]
    Evidence(#[from] evidence::Stopped),
    /// The mempool stopped.
    #[error(transparent)]
    Mempool(#[from] mempool::Stopped),
    /// Payloads cannot be carried.
    #[error(transparent)]
    Payloads(#[from] payloads::Error),
    /// The API cannot be served.
    #[error(transparent)]
    Gateway(#[from] gateway::GatewayError),
    /// The payloads on disk.
    #[error("payloads on disk: {0}")]
    Storage(chorale_foundation::storage::archive::Error),
    /// Following as a full node.
    #[error(transparent)]
    Full(#[from] full::Stopped),
    /// Whom to follow.
    #[error("follow: {0}")]
    Follow(#[from] chorale_client::UrlError),
    /// Attestations on disk.
    #[error(transparent)]
    Attestations(#[from] attestation::StorageError),
    /// A task ended that never should.
    #[error("{0} ended unexpectedly; its reason is in the log above")]
    Ended(&'static str),
}

/// Reads a genesis file.
///
/// # Errors
///
/// It cannot be read, or the first thing wrong with it.
pub fn read_genesis(path: &std::path::Path) -> Result<Genesis, NodeError> {
    let error = |error: String| NodeError::Genesis { path: path.to_owned(), error };
    let text = fs::read_to_string(path).map_err(|failure| error(failure.to_string()))?;
    Genesis::from_toml(&text).map_err(|failure| error(failure.to_string()))
}

/// Runs a node until `shutdown` completes. Blocks the thread.
///
/// # Errors
///
/// A configuration that cannot be used, or a reason that no node may go on after.
pub fn run(config: &NodeConfig, shutdown: impl Future<Output = ()> + Send + 'static) -> Result<(), NodeError> {
    let genesis = read_genesis(&config.genesis)?;
    let keys = Keys::read(&config.keys)?;
    let is_new = config.data.join(NEW_NODE_FILE);
    let settings = runtime::Config::default()
        .with_storage_directory(config.data.join("storage"))
        .with_worker_threads(config.worker_threads);
    let config = config.clone();
    runtime::Runner::new(settings).start(|context| async move {
        let node = start(&context, &config, &genesis, &keys, is_new.exists()).await?;
        // From here on the safety record says what was signed.
        if is_new.exists() {
            // If it stayed, a disk that loses the record later would pass for a new one.
            let failed = |error| NodeError::Config(ConfigError::Io { path: is_new.clone(), error });
            fs::remove_file(&is_new).map_err(failed)?;
        }
        let ended = tokio::select! {
            () = shutdown => None,
            ended = node.ended() => Some(ended),
        };
        info!("stopping");
        let _ = context.stop(0, Some(STOP_TIMEOUT)).await;
        ended.map_or(Ok(()), Err)
    })
}

/// The actors that must not end before the node does.
struct Running {
    consensus: Handle<Result<(), consensus::Stopped>>,
    settlement: Handle<Result<(), settlement::Stopped>>,
    attestation: Handle<Result<(), attestation::Stopped>>,
    evidence: Handle<Result<(), evidence::Stopped>>,
    mempool: Handle<Result<(), mempool::Stopped>>,
    payloads: Handle<()>,
    /// Serves as long as it is held.
    _gateway: ServerHandle,
}

impl Running {
    /// Completes when one of them ends, with the reason.
    async fn ended(self) -> NodeError {
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

async fn start(
    context: &runtime::Context,
    config: &NodeConfig,
    genesis: &Genesis,
    keys: &Keys,
    is_new: bool,
) -> Result<Running, NodeError> {
    let me = keys.node();
    let signs = keys.consensus.is_some();
    let scheme = keys.consensus.clone().map_or_else(Bls::verifier, Bls::signer);
    let chain = open_chain(context, genesis, me, signs, is_new).await?;
    let handle = chain.handle();
    let Mesh { order, chunks, mempool, sync, attest, evidence, peers, membership } =
        Mesh::start(&context.child("mesh"), &mesh::Config::new(config, genesis, keys)?);

    let connections = evidence::Connections {
        me,
        scheme: scheme.clone(),
        chain: handle.clone(),
        peers: peers.clone(),
        channel: evidence,
    };
    let (evidence_actor, reporter, register) =
        evidence::Actor::open(context.child("evidence"), "evidence", connections).await?;

    let kept = PayloadStore::open(context.child("kept"), "payloads").await.map_err(NodeError::Storage)?;
    let kept_reader = kept.reader();
    let settlement_config = settlement::Config::new(genesis, "settlement");
    let (settlement_actor, settlement) =
        settlement::Actor::open(context.child("settlement"), settlement_config, kept_reader.clone()).await?;
    let restart = settlement_actor.restart();

    let connections = attestation::Connections {
        me,
        signs,
        scheme: scheme.clone(),
        chain: handle.clone(),
        peers: peers.clone(),
        reporter: reporter.clone(),
        settlement: settlement.clone(),
        channel: attest,
    };
    let attestation_config = attestation::Config {
        retention_heights: genesis.parameters().retention_heights,
        ask_after_ms: ATTESTATION_ASK_AFTER_MS,
        partition: "attestation".to_owned(),
    };
    let (attestation_actor, attestation) =
        attestation::Actor::open(context.child("attestation"), attestation_config, restart, connections).await?;

    let connections = mempool::Connections {
        me,
        chain: handle.clone(),
        settlement: settlement.clone(),
        channel: mempool,
        peers: peers.clone(),
    };
    let pool_config = chorale_mempool::Config::new(
        genesis.rollups().iter().map(|rollup| rollup.id),
        handle.position.borrow().epoch.validators.len() as u64,
    );
    let (mempool_actor, pool, known) =
        mempool::Actor::open(context.child("mempool"), pool_config, "mempool", connections).await?;

    let (updates_sender, updates) = mpsc::channel(UPDATES_MAX);
    let (revealed_sender, revealed) = mpsc::channel(REVEALED_MAX);
    let connections = payloads::Connections {
        me,
        builder: keys.consensus.as_ref().map_or(NO_BUILDER, |secret| BuilderId::of_validator(&secret.public())),
        scheme: scheme.clone(),
        chain: handle.clone(),
        peers: peers.clone(),
        pool: pool.clone(),
        consensus: updates_sender,
        payloads: kept,
        settlement: revealed_sender,
        settled: known,
    };
    let payloads_config = payloads::Config::new(limits(genesis.parameters()), "payloads");
    let payloads = payloads::start(context.child("payloads"), payloads_config, chunks, connections).await?;

    let timeline = gateway::Timeline::default();
    let (seen, settled, attested) = (handle.clone(), settlement.settled(), attestation.attested());
    let recorded = timeline.clone();
    context.child("timeline").spawn(move |context| recorded.record(context, seen, settled, attested));
    let backend = gateway::Backend {
        genesis: Arc::new(genesis.clone()),
        me: Some(me),
        chain: handle.clone(),
        pool: gateway::Pool::Shared(pool),
        payloads: kept_reader,
        settlement,
        attestation,
        timeline,
        evidence: register,
        subscriptions: gateway::places_for_subscriptions(),
    };
    let runtime_metrics = context.child("metrics");
    let gateway =
        gateway::start(config.listen_rpc, config.rpc_limits(), backend, move || runtime_metrics.encode()).await?;

    let (wants, wanted) = mpsc::channel(WANTS_MAX);
    let (finds, found) = mpsc::channel(WANTS_MAX);
    let connections =
        sync::Connections { me, chain: handle, channel: sync, peers: peers.clone(), wants: wanted, found: finds };
    let sync = sync::Actor::new(context.child("sync"), connections);
    let content = Box::new(payloads.content);
    let connections = consensus::Connections {
        scheme,
        channel: order,
        peers,
        reporter,
        membership: Some(membership),
        content,
        updates,
        wants,
        found,
    };
    let consensus = consensus::Actor::new(context.child("consensus"), chain, connections);
    let manifests = payloads.dispersal.manifests().clone();

    context.child("sync").spawn(move |_| sync.run());
    Ok(Running {
        settlement: context
            .child("settlement")
            .spawn(move |_| settlement_actor.run(settlement::Connections { revealed })),
        attestation: context.child("attestation").spawn(move |_| attestation_actor.run()),
        evidence: context.child("evidence").spawn(move |_| evidence_actor.run()),
        mempool: context.child("mempool").spawn(move |_| mempool_actor.run(manifests)),
        payloads: payloads.running,
        _gateway: gateway,
        // On a thread of its own: no other actor's long turn delays a vote.
        consensus: context.child("order").dedicated().spawn(move |_| consensus.run()),
    })
}

async fn open_chain(
    context: &runtime::Context,
    genesis: &Genesis,
    me: NodeKey,
    signs: bool,
    is_new: bool,
) -> Result<Chain<runtime::Context>, NodeError> {
    let source = genesis.clone();
    let config = consensus::Config {
        parameters: parameters(genesis.parameters()),
        me,
        signs,
        is_new,
        partition: "consensus".to_owned(),
    };
    let epochs = Arc::new(move |epoch: Epoch, start: BlockReference| Some(source.epoch(epoch, start)));
    Ok(Chain::open(context.child("chain"), config, genesis.first_epoch(), epochs).await?)
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

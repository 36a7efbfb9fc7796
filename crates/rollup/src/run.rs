//! The whole process.

use crate::{
    again::order_again,
    attested::{self, Disagreement},
    bundles::BundlesServer,
    config::EngineConfig,
    cors::Cors,
    debug::DebugServer,
    engine::Engines,
    figures::{Told, pages},
    filters::{FilteringServer, Filters, Taken},
    follow::{FollowError, follow},
    published::Shared,
    questions::Questions,
    rpc::{EthServer, NetServer, Web3Server},
    server::{Heavy, Server},
    store::{Store, StoreError},
    subscriptions::HexIds,
    trust::Trust,
    txpool::TxPoolServer,
};
use alloy_primitives::B256;
use chorale_api::{ExecutionProofsApiServer, ExecutorApiServer, Pages, PagesLayer};
use chorale_client::{AttestationFollower, Config as FollowConfig, Follower, Nodes, UrlError};
use chorale_evm::{BlockTimes, Domain, DomainRules, GenesisError, RollupGenesis};
use chorale_types::{DomainId, Genesis, RollupId, genesis::ExecutedRollup};
use jsonrpsee::{
    RpcModule,
    server::{BatchRequestConfig, PingConfig, ServerBuilder, ServerConfig, ServerHandle},
};
use std::{
    collections::BTreeMap, future::Future, net::SocketAddr, num::NonZeroU64, path::PathBuf, sync::Arc, time::Duration,
};
use tokio::net::TcpListener;
use tracing::{info, warn};

/// How long a node that is followed may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of a request: the largest bundle in hexadecimal, and batches of small ones.
const REQUEST_BYTES_MAX: u32 = 5 * 1024 * 1024;
const ANSWER_BYTES_MAX: u32 = 32 * 1024 * 1024;
const BATCH_MAX: u32 = 100;
const CONNECTIONS_MAX: u32 = 1_024;
const SUBSCRIPTIONS_PER_CONNECTION_MAX: u32 = 32;
/// Messages that wait for a connection to take them.
const MESSAGES_MAX: u32 = 64;

/// What a domain's node needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// The sequencers' chain: all trust begins here.
    pub genesis: Genesis,
    /// The rollups' own genesis files, as Ethereum's clients read them: all of one domain, each with the address where its
    /// JSON-RPC is served, over HTTP and WebSocket.
    pub rollups: Vec<(alloy_genesis::Genesis, SocketAddr)>,
    /// Execution clients that are handed the blocks of rollups, by chain id.
    pub engines: BTreeMap<u64, EngineConfig>,
    /// The nodes to follow, and to hand transactions to.
    pub nodes: Vec<String>,
    /// The folder where all is written.
    pub data: PathBuf,
    /// So many of the last blocks of each rollup are kept, with receipts; all if none. State is kept of the last ones only,
    /// whatever this says.
    pub retain_blocks: Option<NonZeroU64>,
    /// Origins whose web pages may use the interface; `*` stands for all.
    pub cors: Vec<String>,
}

/// Why it does not run, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum RollupError {
    /// A rollup's genesis.
    #[error("the genesis of rollup {rollup}: {error}")]
    Genesis {
        /// Which.
        rollup: u64,
        /// What is wrong.
        error: GenesisError,
    },
    /// The chain does not execute it.
    #[error("the chain executes no rollup {0}: its genesis has no `evm` for it")]
    NotExecuted(u64),
    /// Another rollup than the chain pins.
    #[error("the genesis of rollup {rollup} has block 0 {found}, and the chain's genesis names {expected}")]
    OtherGenesis {
        /// Which.
        rollup: u64,
        /// What the chain says.
        expected: B256,
        /// What the file makes.
        found: B256,
    },
    /// Not the rollups of a domain.
    #[error("domain {domain} has the rollups {expected:?}; a node executes all of one domain, and was given {given:?}")]
    Domain {
        /// The domain of the first.
        domain: DomainId,
        /// The domain's.
        expected: Vec<u64>,
        /// Those given.
        given: Vec<u64>,
    },
    /// Nothing to execute.
    #[error("no rollup is given")]
    Nothing,
    /// No execution client takes such blocks.
    #[error(
        "rollup {0} has an execution client (`[rollups.engine]`), and blocks of its domain are by the height: clients take \
         none that share a second. Leave it out, or make a domain with `blocks = \"second\"`"
    )]
    EngineBlocks(u64),
    /// No execution client can make such calls.
    #[error(
        "rollup {0} has an execution client (`[rollups.engine]`), and its domain has synchronous calls, which no client \
         knows. Leave it out, or make a domain without them"
    )]
    EngineCalls(u64),
    /// The data folder.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Whom to follow.
    #[error(transparent)]
    Nodes(#[from] UrlError),
    /// The address to listen on.
    #[error("listening on {address}: {error}; choose another address")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why not.
        error: std::io::Error,
    },
    /// The order cannot be followed any more.
    #[error(transparent)]
    Follow(#[from] FollowError),
    /// Validators attest something else than this node executed.
    #[error(transparent)]
    Disagreement(#[from] Disagreement),
}

/// Runs until `shutdown` completes; tells `ready` where the rollups are served.
///
/// # Errors
///
/// A configuration that cannot be used, or the order cannot be followed any more.
pub async fn run(
    config: Config,
    ready: impl FnOnce(&BTreeMap<RollupId, SocketAddr>),
    shutdown: impl Future<Output = ()>,
) -> Result<(), RollupError> {
    let genesis = domain(&config)?;
    check_engines(&config, genesis.id())?;
    attested::check(&config.data)?;
    let is_attested = config.genesis.is_attested(genesis.id());
    let store = Store::open(&config.data, &genesis, config.retain_blocks)?.with_attestations(is_attested);
    let store = Arc::new(store);
    let restored = store.restore(&genesis)?;
    let (shared, domain) = Shared::new(restored);
    info!(height = %domain.height(), data = %config.data.display(), "going on");
    let idle_interval_ms = config.genesis.parameters().idle_interval_ms;
    if domain.blocks() == BlockTimes::Second && idle_interval_ms >= 1_000 {
        warn!(
            idle_interval_ms,
            "a second is closed by a later height, and the chain makes one only so often when it is idle"
        );
    }
    let shared = Arc::new(shared);
    let nodes = Nodes::new(config.nodes.clone(), ANSWER_TIMEOUT)?;
    let follow_config = FollowConfig { silent_rounds_max: None, ..FollowConfig::default() };
    let rollups = domain.chains().keys().copied();
    let follower = Follower::new(&config.genesis, rollups, domain.complete(), nodes.clone(), follow_config);
    let attestations = is_attested.then(|| {
        let (attested, interval) = (shared.read().attested, FollowConfig::default().poll_interval);
        AttestationFollower::new(&config.genesis, domain.id(), attested, nodes.clone(), interval)
    });
    let listeners = listen(&config).await?;
    let addresses: BTreeMap<RollupId, SocketAddr> =
        listeners.iter().map(|(rollup, (_, address))| (*rollup, *address)).collect();
    let urls = addresses.iter().map(|(rollup, address)| (*rollup, format!("http://{address}"))).collect();
    let (urls, heavy, reads) = (Arc::new(urls), Heavy::new(), Heavy::reads());
    let (questions, questions_of_bundles) = (Questions::new(), Questions::new());
    let trust = Trust::new(&config.genesis);
    // They end with this.
    let engines = Engines::start(&config, &store, &shared);
    let told = Told {
        shared: Arc::clone(&shared),
        level: follower.level(),
        alive: follower.alive(),
        engines: engines.states.clone(),
    };
    let pages = pages(told);
    let mut handles = Vec::new();
    for (rollup, (listener, address)) in listeners {
        let server = Server {
            chain: config.genesis.chain(),
            trust: trust.clone(),
            rollup,
            shared: Arc::clone(&shared),
            nodes: nodes.clone(),
            questions: questions.clone(),
            questions_of_bundles: questions_of_bundles.clone(),
            level: follower.level(),
            heavy: heavy.clone(),
            reads: reads.clone(),
            store: Arc::clone(&store),
            urls: Arc::clone(&urls),
            taken: Taken::default(),
            filters: Filters::default(),
        };
        handles.push(serve(listener, address, &server, &config.cors, &pages)?);
    }
    ready(&addresses);
    let watching = watch(attestations, config.data.clone(), Arc::clone(&store), Arc::clone(&shared));
    let again = order_again(Arc::clone(&shared), nodes);
    let ended = tokio::select! {
        () = shutdown => Ok(()),
        failed = follow(follower, domain, store, shared) => failed.map_err(RollupError::from),
        disagreement = watching => Err(disagreement.into()),
        never = again => match never {},
    };
    for handle in handles {
        let _ = handle.stop();
    }
    ended
}

/// Takes attestations until one disagrees; never, if nobody attests the domain.
async fn watch(
    attestations: Option<AttestationFollower>,
    data: PathBuf,
    store: Arc<Store>,
    shared: Arc<Shared>,
) -> Disagreement {
    match attestations {
        Some(follower) => attested::watch(follower, data, store, shared).await,
        None => std::future::pending().await,
    }
}

/// That execution clients can follow this domain at all.
fn check_engines(config: &Config, domain: DomainId) -> Result<(), RollupError> {
    let Some((rollup, _)) = config.engines.first_key_value() else { return Ok(()) };
    let rules = rules(config, domain);
    if rules.blocks != BlockTimes::Second {
        return Err(RollupError::EngineBlocks(*rollup));
    }
    if rules.synchronous_calls {
        return Err(RollupError::EngineCalls(*rollup));
    }
    Ok(())
}

/// The domain whose rollups are given, if they are all of it and what the chain says.
pub(crate) fn domain(config: &Config) -> Result<Domain, RollupError> {
    let mut rollups = BTreeMap::new();
    for (genesis, _) in &config.rollups {
        let rollup = genesis.config.chain_id;
        let execution = config.genesis.rollup(RollupId(rollup)).and_then(|known| known.execution.as_ref());
        let execution = execution.ok_or(RollupError::NotExecuted(rollup))?;
        rollups.insert(rollup, (pinned(genesis, execution)?, execution.domain));
    }
    let domain = rollups.values().next().ok_or(RollupError::Nothing)?.1;
    let expected: Vec<u64> = config.genesis.rollups_of(domain).map(|(rollup, _)| rollup.0).collect();
    let given: Vec<u64> = rollups.keys().copied().collect();
    if given != expected || config.rollups.len() != expected.len() {
        return Err(RollupError::Domain { domain, expected, given });
    }
    let rules = rules(config, domain);
    let rollups = rollups.into_values().map(|(rollup, _)| rollup);
    Ok(Domain::new(config.genesis.chain(), domain, rules, rollups))
}

fn rules(config: &Config, domain: DomainId) -> DomainRules {
    let known = config.genesis.domain(domain).expect("every domain that a rollup is in has rules");
    DomainRules { synchronous_calls: known.synchronous_calls, blocks: known.blocks }
}

/// A rollup's genesis, if it is the one that the chain names.
fn pinned(genesis: &alloy_genesis::Genesis, execution: &ExecutedRollup) -> Result<RollupGenesis, RollupError> {
    let rollup = genesis.config.chain_id;
    let not_zero = |value| NonZeroU64::new(value).expect("the chain's genesis was checked");
    let (denominator, elasticity) =
        (not_zero(execution.base_fee_change_denominator), not_zero(execution.base_fee_elasticity));
    let made = RollupGenesis::new(genesis).map_err(|error| RollupError::Genesis { rollup, error })?;
    let made = made.with_base_fee(denominator, elasticity);
    let (found, expected) = (made.header.hash(), B256::new(execution.genesis.0));
    if found != expected {
        return Err(RollupError::OtherGenesis { rollup, expected, found });
    }
    info!(rollup, genesis = %found, "the rollup's block 0");
    Ok(made)
}

async fn listen(config: &Config) -> Result<BTreeMap<RollupId, (std::net::TcpListener, SocketAddr)>, RollupError> {
    let mut listeners = BTreeMap::new();
    for (genesis, address) in &config.rollups {
        let failed = |error| RollupError::Listen { address: *address, error };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        listeners.insert(RollupId(genesis.config.chain_id), (listener.into_std().map_err(failed)?, bound));
    }
    Ok(listeners)
}

pub(crate) fn serve(
    listener: std::net::TcpListener,
    address: SocketAddr,
    server: &Server,
    cors: &[String],
    pages: &Pages,
) -> Result<ServerHandle, RollupError> {
    let limits = ServerConfig::builder()
        .max_request_body_size(REQUEST_BYTES_MAX)
        .max_response_body_size(ANSWER_BYTES_MAX)
        .max_connections(CONNECTIONS_MAX)
        .max_subscriptions_per_connection(SUBSCRIPTIONS_PER_CONNECTION_MAX)
        .set_message_buffer_capacity(MESSAGES_MAX)
        .set_batch_request_config(BatchRequestConfig::Limit(BATCH_MAX))
        .enable_ws_ping(PingConfig::new())
        .set_id_provider(HexIds)
        .build();
    let built = ServerBuilder::with_config(limits)
        .set_http_middleware(
            tower::ServiceBuilder::new().layer(PagesLayer::new(Arc::clone(pages))).layer(Cors::new(cors)),
        )
        .build_from_tcp(listener);
    let built = built.map_err(|error| RollupError::Listen { address, error })?;
    Ok(built.start(methods(server)))
}

pub(crate) fn methods(server: &Server) -> RpcModule<()> {
    let mut all = RpcModule::new(());
    let parts: [jsonrpsee::Methods; 9] = [
        EthServer::into_rpc(server.clone()).into(),
        FilteringServer::into_rpc(server.clone()).into(),
        NetServer::into_rpc(server.clone()).into(),
        Web3Server::into_rpc(server.clone()).into(),
        BundlesServer::into_rpc(server.clone()).into(),
        ExecutorApiServer::into_rpc(server.clone()).into(),
        ExecutionProofsApiServer::into_rpc(server.clone()).into(),
        DebugServer::into_rpc(server.clone()).into(),
        TxPoolServer::into_rpc(server.clone()).into(),
    ];
    for part in parts {
        all.merge(part).expect("their names differ");
    }
    all
}

//! A whole node in production: tokio, sockets, disk.

use crate::{
    actors::{Handles, Identity, Node, Running},
    attestation,
    config::{ConfigError, ExecutorConfig, Keys, NEW_NODE_FILE, NodeConfig},
    consensus, evidence, executor, full, gateway, mempool,
    mesh::{self, Mesh},
    payloads, settlement, store,
};
use chorale_foundation::runtime::{Metrics as _, Runner as _, Spawner as _, Supervisor as _, tokio as runtime};
use chorale_types::{DomainId, Genesis};
use jsonrpsee::server::ServerHandle;
use std::{collections::BTreeMap, fs, future::Future, path::PathBuf, sync::Arc, time::Duration};
use tracing::info;

/// How long actors may take to finish when the node is shut down.
pub(crate) const STOP_TIMEOUT: Duration = Duration::from_secs(5);

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
    /// An executor.
    #[error("executors: {0}")]
    Executor(chorale_client::UrlError),
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
        .with_storage_directory(store::storage(&config.data)?)
        .with_worker_threads(config.worker_threads);
    let config = config.clone();
    runtime::Runner::new(settings).start(|context| async move {
        let (running, _gateway) = start(&context, &config, &genesis, &keys, is_new.exists()).await?;
        // From here on the safety record says what was signed.
        if is_new.exists() {
            // If it stayed, a disk that loses the record later would pass for a new one.
            let failed = |error| NodeError::Config(ConfigError::Io { path: is_new.clone(), error });
            fs::remove_file(&is_new).map_err(failed)?;
        }
        let ended = tokio::select! {
            () = shutdown => None,
            ended = running.ended() => Some(ended),
        };
        info!("stopping");
        let _ = context.stop(0, Some(STOP_TIMEOUT)).await;
        ended.map_or(Ok(()), Err)
    })
}

/// Starts the actors and the API; the API is served as long as its handle is held.
async fn start(
    context: &runtime::Context,
    config: &NodeConfig,
    genesis: &Genesis,
    keys: &Keys,
    is_new: bool,
) -> Result<(Running, ServerHandle), NodeError> {
    let mesh = Mesh::start(&context.child("mesh"), &mesh::Config::new(config, genesis, keys)?);
    let me = keys.node();
    let identity = Identity { me, consensus: keys.consensus.clone(), is_new, partition: String::new() };
    let executed = executors(config, genesis)?;
    let mut node = Node::open(context, genesis, identity, mesh, &executed.keys().copied().collect()).await?;
    let Handles { chain, pool, payloads, settlement, attestation, domains, evidence } = node.handles.clone();
    for feed in std::mem::take(&mut node.feeds) {
        let Some(executor) = executed.get(&feed.domain).cloned() else { continue };
        let client = executor::client(&executor.url).map_err(NodeError::Executor)?;
        let (chain, settlement) = (genesis.chain(), settlement.clone());
        context
            .child("executor")
            .spawn(move |clock| executor::follow(clock, executor, client, chain, settlement, feed));
    }

    let timeline = gateway::Timeline::default();
    let (seen, settled, attested) = (chain.clone(), settlement.settled(), attestation.attested());
    let recorded = timeline.clone();
    context.child("timeline").spawn(move |context| recorded.record(context, seen, settled, attested));
    let backend = gateway::Backend {
        genesis: Arc::new(genesis.clone()),
        me: Some(me),
        chain,
        pool: gateway::Pool::Shared(pool),
        payloads,
        settlement,
        attestation,
        domains,
        timeline,
        evidence,
        subscriptions: gateway::places_for_subscriptions(),
        level: None,
    };
    let metrics = context.child("metrics");
    let gateway = gateway::start(config.listen_rpc, config.rpc_limits(), backend, move || metrics.encode()).await?;
    Ok((node.start(context), gateway))
}

/// The executors that are configured, by domain.
fn executors(config: &NodeConfig, genesis: &Genesis) -> Result<BTreeMap<DomainId, executor::Config>, NodeError> {
    let mut executors = BTreeMap::new();
    for (index, ExecutorConfig { domain, url }) in config.executors.iter().enumerate() {
        let problem = |problem: String| {
            let problem = format!("executors[{index}].domain {problem}");
            NodeError::Config(ConfigError::Content { path: config.genesis.clone(), problem })
        };
        let domain = DomainId(*domain);
        if genesis.domain(domain).is_none() {
            return Err(problem(format!("is {domain}, and by the genesis no rollup is in that domain")));
        }
        if executors.insert(domain, executor::Config { domain, url: url.clone() }).is_some() {
            return Err(problem(format!("is {domain} again: one executor is asked for each domain")));
        }
    }
    Ok(executors)
}

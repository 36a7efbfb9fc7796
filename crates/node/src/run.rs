//! A whole node in production: tokio, sockets, disk.

use crate::{
    config::{ConfigError, Keys, NEW_NODE_FILE, NodeConfig},
    consensus::{self, Chain},
    mesh::{self, Addresses, Mesh},
    ports::ContentSource,
    sync,
};
use chorale_foundation::runtime::{Runner as _, Spawner as _, Supervisor as _, tokio as runtime};
use chorale_hotstuff::{Parameters, Votes};
use chorale_types::{
    AvailabilityCertificate, BlockReference, Bls, Epoch, Genesis, View,
    genesis::{GenesisParameters, VotesTo},
};
use std::{fs, future::Future, path::PathBuf, sync::Arc, time::Duration};
use tokio::sync::mpsc;
use tracing::info;

/// How long a peer that misbehaved stays cut off.
const BLOCK_DURATION: Duration = Duration::from_secs(10 * 60);
/// How long actors may take to finish when the node is shut down.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
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
            let _ = fs::remove_file(&is_new);
        }
        let ended = tokio::select! {
            () = shutdown => None,
            stopped = node.consensus => Some(match stopped {
                Ok(Err(stopped)) => NodeError::Consensus(stopped),
                _ => NodeError::Ended("consensus"),
            }),
        };
        info!("stopping");
        let _ = context.stop(0, Some(STOP_TIMEOUT)).await;
        ended.map_or(Ok(()), Err)
    })
}

struct Running {
    consensus: chorale_foundation::runtime::Handle<Result<(), consensus::Stopped>>,
}

async fn start(
    context: &runtime::Context,
    config: &NodeConfig,
    genesis: &Genesis,
    keys: &Keys,
    is_new: bool,
) -> Result<Running, NodeError> {
    let me = keys.node();
    let source = genesis.clone();
    let chain = Chain::open(
        context.child("chain"),
        consensus::Config {
            parameters: parameters(genesis.parameters()),
            me,
            signs: keys.consensus.is_some(),
            is_new,
            partition: "consensus".to_owned(),
        },
        genesis.first_epoch(),
        Arc::new(move |epoch: Epoch, start: BlockReference| Some(source.epoch(epoch, start))),
    )
    .await?;
    let peers = config
        .peers()
        .map_err(|problem| NodeError::Config(ConfigError::Content { path: config.keys.clone(), problem }))?;
    let mut addresses = peers.clone();
    addresses.insert(me, Addresses { order: config.listen_order, bulk: config.listen_bulk });
    let mesh = Mesh::start(
        &context.child("mesh"),
        &mesh::Config {
            identity: keys.identity.clone(),
            namespace: [b"chorale/mesh/v1/".as_slice(), genesis.chain().as_ref()].concat(),
            listen: Addresses { order: config.listen_order, bulk: config.listen_bulk },
            peers: addresses,
            peers_max: chorale_types::limits::VALIDATORS_MAX.min(peers.len() + 1),
            block_duration: BLOCK_DURATION,
        },
    );
    let scheme = keys.consensus.clone().map_or_else(Bls::verifier, Bls::signer);
    let (_updates, updates) = mpsc::channel(64);
    let (wants, wanted) = mpsc::channel(16);
    let (finds, found) = mpsc::channel(16);
    let connections = sync::Connections {
        me,
        chain: chain.handle(),
        channel: mesh.sync,
        peers: mesh.peers.clone(),
        wants: wanted,
        found: finds,
    };
    let fetcher = sync::Actor::new(context.child("sync"), connections);
    context.child("sync").spawn(move |_| fetcher.run());
    let connections = consensus::Connections {
        scheme,
        channel: mesh.order,
        peers: mesh.peers,
        membership: Some(mesh.membership),
        content: Box::new(NoContent),
        updates,
        wants,
        found,
    };
    let actor = consensus::Actor::new(context.child("consensus"), chain, connections);
    let consensus = context.child("order").spawn(move |_| actor.run());
    Ok(Running { consensus })
}

struct NoContent;

impl ContentSource for NoContent {
    fn take(&mut self, _: Epoch, _: View, _: &BlockReference) -> Vec<AvailabilityCertificate> {
        Vec::new()
    }

    fn pending(&self) -> bool {
        false
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
        headers_ahead_max: HEADERS_AHEAD_MAX,
    }
}

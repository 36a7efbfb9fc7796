//! The whole process.

use crate::{
    blocks::Blocks,
    follow::{FollowError, follow},
    pending::Pending,
    rpc::{EthServer, NetServer, Web3Server},
    server::Server,
};
use alloy_genesis::GenesisAccount;
use alloy_primitives::{Address, U256, address};
use chorale_client::{Config as FollowConfig, Follower, Nodes, UrlError};
use chorale_evm::{Chain, GenesisError, RollupGenesis};
use chorale_types::{Genesis, Height, RollupId};
use jsonrpsee::{
    RpcModule,
    server::{BatchRequestConfig, ServerBuilder, ServerConfig},
};
use std::{
    future::Future,
    net::SocketAddr,
    sync::{Arc, RwLock},
    time::Duration,
};
use tokio::sync::broadcast;
use tracing::info;

/// How long a node that is followed may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Blocks that a subscriber may be behind.
const NEWS_MAX: usize = 1_024;
/// Bytes of a request: the largest transaction in hexadecimal, and batches of small ones.
const REQUEST_BYTES_MAX: u32 = 2 * 1024 * 1024;
const ANSWER_BYTES_MAX: u32 = 32 * 1024 * 1024;
const BATCH_MAX: u32 = 100;
const CONNECTIONS_MAX: u32 = 256;

/// What a rollup's node needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// The sequencers' chain: all trust begins here.
    pub genesis: Genesis,
    /// The rollup's own genesis, as Ethereum's clients read it.
    pub rollup: alloy_genesis::Genesis,
    /// The nodes to follow, and to hand transactions to.
    pub nodes: Vec<String>,
    /// Where Ethereum's JSON-RPC is served, over HTTP and WebSocket.
    pub listen: SocketAddr,
}

/// Why it does not run, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum RollupError {
    /// The rollup's genesis.
    #[error("the rollup's genesis: {0}")]
    Genesis(#[from] GenesisError),
    /// The chain orders nothing for this rollup.
    #[error("the chain has no rollup {0}; its genesis lists those it has")]
    UnknownRollup(u64),
    /// Whom to follow.
    #[error(transparent)]
    Nodes(#[from] UrlError),
    /// The address to listen on.
    #[error("listening on {address}: {error}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why not.
        error: std::io::Error,
    },
    /// The order cannot be followed any more.
    #[error(transparent)]
    Follow(#[from] FollowError),
}

/// A genesis for development: the ten accounts of the well-known mnemonic "test test test test test test test test test
/// test test junk" with 10,000 ether each, blocks of 30 million gas.
#[must_use]
pub fn development_genesis(chain_id: u64) -> alloy_genesis::Genesis {
    let mut genesis = alloy_genesis::Genesis {
        gas_limit: 30_000_000,
        base_fee_per_gas: Some(1_000_000_000),
        coinbase: FEE_RECIPIENT,
        ..alloy_genesis::Genesis::default()
    };
    genesis.config.chain_id = chain_id;
    let balance = U256::from(10_000u64) * U256::from(10u64).pow(U256::from(18u64));
    let rich = GenesisAccount { balance, ..GenesisAccount::default() };
    genesis.alloc = DEVELOPERS.into_iter().map(|developer| (developer, rich.clone())).collect();
    genesis
}

/// Nobody has its key: development needs no fees.
const FEE_RECIPIENT: Address = address!("000000000000000000000000000000000000fee5");
const DEVELOPERS: [Address; 10] = [
    address!("f39Fd6e51aad88F6F4ce6aB8827279cffFb92266"),
    address!("70997970C51812dc3A010C7d01b50e0d17dc79C8"),
    address!("3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"),
    address!("90F79bf6EB2c4f870365E785982E1f101E93b906"),
    address!("15d34AAf54267DB7D7c367839AAf71A00a2C6A65"),
    address!("9965507D1a55bcC2695C58ba16FB37d819B0A4dc"),
    address!("976EA74026E726554dB657fA54763abd0C3a0aa9"),
    address!("14dC79964da2C08b23698B3D3cc7Ca32193d9955"),
    address!("23618e81E3f5cdF7f54C3d65f7FBc0aBf5B21E8f"),
    address!("a0Ee7A142d267C1f36714E4a8F75612F20a79720"),
];

/// Runs until `shutdown` completes; tells `ready` where it listens.
///
/// # Errors
///
/// A configuration that cannot be used, or the order cannot be followed any more.
pub async fn run(
    config: Config,
    ready: impl FnOnce(SocketAddr),
    shutdown: impl Future<Output = ()>,
) -> Result<(), RollupError> {
    let Config { genesis, rollup, nodes, listen } = config;
    let id = RollupId(rollup.config.chain_id);
    if !genesis.rollups().iter().any(|known| known.id == id) {
        return Err(RollupError::UnknownRollup(id.0));
    }
    let rollup = RollupGenesis::new(&rollup)?;
    info!(chain = id.0, genesis = %rollup.header.hash(), "the rollup's block 0");
    let nodes = Nodes::new(nodes, ANSWER_TIMEOUT)?;
    let follower = Follower::new(&genesis, id, Height(0), nodes.clone(), FollowConfig::default());
    let server = Server {
        blocks: Arc::new(RwLock::new(Blocks::new(Chain::new(rollup)))),
        pending: Arc::new(RwLock::new(Pending::default())),
        news: broadcast::channel(NEWS_MAX).0,
        nodes,
    };
    let (handle, address) = serve(listen, &server).await?;
    ready(address);
    let following = follow(follower, server.blocks, server.pending, server.news);
    let ended = tokio::select! {
        () = shutdown => Ok(()),
        failed = following => failed,
    };
    let _ = handle.stop();
    Ok(ended?)
}

async fn serve(
    listen: SocketAddr,
    server: &Server,
) -> Result<(jsonrpsee::server::ServerHandle, SocketAddr), RollupError> {
    let failed = |error| RollupError::Listen { address: listen, error };
    let limits = ServerConfig::builder()
        .max_request_body_size(REQUEST_BYTES_MAX)
        .max_response_body_size(ANSWER_BYTES_MAX)
        .max_connections(CONNECTIONS_MAX)
        .set_batch_request_config(BatchRequestConfig::Limit(BATCH_MAX))
        .build();
    let built = ServerBuilder::with_config(limits).build(listen).await.map_err(failed)?;
    let address = built.local_addr().map_err(failed)?;
    Ok((built.start(methods(server)), address))
}

fn methods(server: &Server) -> RpcModule<()> {
    let mut all = RpcModule::new(());
    let parts: [jsonrpsee::Methods; 3] = [
        EthServer::into_rpc(server.clone()).into(),
        NetServer::into_rpc(server.clone()).into(),
        Web3Server::into_rpc(server.clone()).into(),
    ];
    for part in parts {
        all.merge(part).expect("their names differ");
    }
    all
}

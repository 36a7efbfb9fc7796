//! The execution client [ethrex](https://crates.io/crates/ethrex-rpc), with everything in memory and without peers: what it is
//! told over its Engine API is all that it knows.
//!
//! `chorale-ethrex GENESIS SECRET RPC_PORT ENGINE_PORT`, files first, ports of 127.0.0.1 behind.

use bytes::Bytes;
use ethrex_blockchain::Blockchain;
use ethrex_p2p::{
    network::P2PContext,
    peer_handler::PeerHandler,
    peer_table::PeerTableServer,
    rlpx::initiator::RLPxInitiator,
    sync::SyncMode,
    sync_manager::SyncManager,
    types::{NetworkConfig, Node, NodeRecord},
    utils::public_key_from_signing_key,
};
use ethrex_rpc::{ClientVersion, DEFAULT_HTTP_API, start_api};
use ethrex_storage::{EngineType, Store};
use secp256k1::SecretKey;
use std::{
    error::Error,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    sync::Arc,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// It has no peers, so nobody sees who it is.
const IDENTITY: [u8; 32] = [1; 32];
const GAS_LIMIT: u64 = 30_000_000;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [genesis, secret, rpc_port, engine_port] = &arguments[..] else {
        return Err("write: chorale-ethrex GENESIS SECRET RPC_PORT ENGINE_PORT".into());
    };
    let secret = Bytes::from(hex::decode(std::fs::read_to_string(secret)?.trim().trim_start_matches("0x"))?);
    let store = Store::new_from_genesis(Path::new(""), EngineType::InMemory, genesis).await?;
    let blockchain = Arc::new(Blockchain::default_with_store(store.clone()));

    let signer = SecretKey::from_slice(&IDENTITY)?;
    let node = Node::new(HERE, 0, 0, public_key_from_signing_key(&signer));
    let record = NodeRecord::from_node(&node, 1, &signer)?;
    let peers = PeerTableServer::spawn(node.node_id(), 0, store.clone());
    let context = P2PContext::new(
        node.clone(),
        NetworkConfig::from_node(&node),
        TaskTracker::new(),
        signer,
        peers.clone(),
        store.clone(),
        Arc::clone(&blockchain),
        String::new(),
        None,
        1_000,
        100.0,
    )?;
    let handler = PeerHandler::new(peers, RLPxInitiator::spawn(context));
    let stop = CancellationToken::new();
    let syncer = SyncManager::new(
        handler.clone(),
        &SyncMode::Full,
        stop.clone(),
        Arc::clone(&blockchain),
        store.clone(),
        ".".into(),
    )
    .await;
    let words = ["ethrex", "24.0.0", "chorale", "", std::env::consts::ARCH, ""].map(str::to_owned);
    let [name, version, branch, commit, machine, compiler] = words;
    start_api(
        SocketAddr::new(HERE, rpc_port.parse()?),
        None,
        SocketAddr::new(HERE, engine_port.parse()?),
        store,
        blockchain,
        secret,
        node,
        record,
        syncer,
        handler,
        ClientVersion::new(name, version, branch, commit, machine, compiler),
        None,
        GAS_LIMIT,
        String::new(),
        DEFAULT_HTTP_API.iter().copied().collect(),
        stop,
    )
    .await?;
    Ok(())
}

//! `chorale rollup`.

use crate::{
    network::layout::Layout,
    signals::{parent_is_gone, stop_requested},
};
use anyhow::{Context as _, Result, anyhow};
use chorale_rollup::{Config, EthereumGenesis, RollupConfig};
use chorale_types::RollupId;
use clap::Args;
use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};
use tracing::info;
use tracing_subscriber::EnvFilter;

const EXAMPLES: &str = "\
Examples:
  chorale rollup                                     the executed rollups of the network in ./devnet, again
  chorale rollup --listen 127.0.0.1:0 --data other   beside the one that devnet runs, on free ports, with its own data
  chorale rollup --config rollup.toml                as this file says; `chorale init` and `chorale devnet` write one
  chorale rollup --config rollup.toml --export domain.snapshot
                                                     of the last attested height, from the data of a node that was stopped
  chorale rollup --config other.toml --import domain.snapshot
                                                     checks it, and makes the data of a new node; then start that
  cast send --rpc-url http://127.0.0.1:9545 --private-key KEY ADDRESS --value 1ether

A node executes all rollups of a domain, because a bundle may touch any of them, and serves each at an address of its own.
It trusts the chain's genesis only, which names the hash of every rollup's block 0.";

/// Run the node of executed rollups: follow the shared order, verify it, execute it, and serve Ethereum's JSON-RPC.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The configuration; that of the network on this machine if not given.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Folder of a network on this machine.
    #[arg(long, value_name = "FOLDER", default_value = "devnet")]
    network: PathBuf,
    /// Where the first rollup is served, instead of where the configuration says; the others at the ports after it, or at
    /// free ones if it is 0.
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// The data folder, instead of the one that the configuration names. Each process needs its own.
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// Print the hash of the block 0 that a rollup's genesis file makes, for the chain's genesis, and stop.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["config", "network", "listen", "data"])]
    genesis_hash: Option<PathBuf>,
    /// Print the genesis file that an execution client of another kind needs to follow a rollup, made of the rollup's own, and
    /// stop.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["config", "network", "listen", "data", "genesis_hash"])]
    client_genesis: Option<PathBuf>,
    /// Write a snapshot of the domain at its last attested height to a new file, from the data of a node that does not run, and
    /// stop.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["listen", "genesis_hash", "client_genesis"])]
    export: Option<PathBuf>,
    /// Check a snapshot, whoever made it, make the data of a node from it in an empty folder, and stop.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["listen", "genesis_hash", "client_genesis", "export"])]
    import: Option<PathBuf>,
    /// Stop when standard input is closed: for nodes that another process starts.
    #[arg(long, hide = true)]
    stop_with_parent: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if let Some(path) = &arguments.genesis_hash {
        println!("{}", chorale_rollup::genesis_hash(&ethereum_genesis(path)?)?);
        return Ok(());
    }
    if let Some(path) = &arguments.client_genesis {
        let genesis = chorale_rollup::client_genesis(&ethereum_genesis(path)?)?;
        println!("{}", serde_json::to_string_pretty(&genesis)?);
        return Ok(());
    }
    let path = match &arguments.config {
        Some(path) => path.clone(),
        None => Layout { folder: arguments.network.clone() }.rollup_config(),
    };
    let file = RollupConfig::read(&path)
        .context("start a network with `chorale devnet`, or name a configuration with --config")?;
    let config = config(&path, &file, arguments)?;
    let filter = EnvFilter::try_new(&file.log).map_err(|error| anyhow!("{}: log: {error}", path.display()))?;
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(std::io::stderr).init();
    if let Some(path) = &arguments.import {
        let height = chorale_rollup::import(&config, path)?;
        println!("{} has the domain as it is after attested height {height}: start the node", config.data.display());
        return Ok(());
    }
    // Not one thread: what is asked of one connection must not hold up the others, nor the order that is followed.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    if let Some(path) = &arguments.export {
        let (height, bytes) = runtime.block_on(chorale_rollup::export(&config, path))?;
        println!("{}: the domain after attested height {height}, {bytes} bytes", path.display());
        return Ok(());
    }
    let outcome = runtime.block_on(async {
        let stop = stop_requested()?;
        let watch_parent = arguments.stop_with_parent;
        let shutdown = async move {
            let reason = tokio::select! {
                reason = stop => reason,
                () = parent_is_gone(watch_parent) => "standard input is closed",
            };
            info!(reason, "shutting down");
        };
        chorale_rollup::run(config, announce, shutdown).await.map_err(Into::into)
    });
    // What is being computed for somebody is not waited for.
    runtime.shutdown_background();
    outcome
}

fn announce(addresses: &BTreeMap<RollupId, SocketAddr>) {
    for (rollup, address) in addresses {
        println!("rollup {rollup} at http://{address} and ws://{address}");
    }
}

fn config(path: &Path, file: &RollupConfig, arguments: &Arguments) -> Result<Config> {
    let data = arguments.data.clone().or_else(|| file.data.clone());
    let data = data.with_context(|| {
        format!("nowhere to write: name a data folder with --data, or with `data = \"data\"` in {}", path.display())
    })?;
    let (mut rollups, mut engines) = (Vec::new(), BTreeMap::new());
    for (index, rollup) in (0..).zip(&file.rollups) {
        let address = match arguments.listen {
            None => rollup.listen,
            Some(first) if first.port() == 0 => first,
            Some(first) => {
                let port = first.port().checked_add(index).context("--listen: there are no ports behind it")?;
                SocketAddr::new(first.ip(), port)
            }
        };
        let genesis = ethereum_genesis(&rollup.genesis)?;
        engines.extend(rollup.engine.clone().map(|engine| (genesis.config.chain_id, engine)));
        rollups.push((genesis, address));
    }
    Ok(Config {
        genesis: chorale_node::read_genesis(&file.genesis)?,
        rollups,
        engines,
        nodes: file.nodes.clone(),
        data,
        retain_blocks: file.retain_blocks,
        cors: file.cors.clone(),
    })
}

fn ethereum_genesis(path: &Path) -> Result<EthereumGenesis> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is no genesis of Ethereum", path.display()))
}

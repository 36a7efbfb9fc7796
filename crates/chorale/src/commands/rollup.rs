//! `chorale rollup`.

use crate::{rpc::NodesArgument, runtime, signals::stop_requested};
use anyhow::{Context as _, Result, anyhow};
use chorale_rollup::Config;
use clap::Args;
use std::{fs, net::SocketAddr, path::PathBuf};
use tracing::info;
use tracing_subscriber::EnvFilter;

const EXAMPLES: &str = "\
Examples:
  chorale rollup --rollup 1001                       of the network in ./devnet, with funded development accounts
  chorale rollup --rollup 1001 --rollup-genesis rollup.json --listen 0.0.0.0:9545
  cast send --rpc-url http://127.0.0.1:9545 --private-key KEY ADDRESS --value 1ether

The rollup's genesis is a file as Ethereum's clients read it, whose chain id is the rollup's id. Without one the ten accounts
of the mnemonic \"test test test test test test test test test test test junk\" have 10,000 ether each.";

/// Run the node of an executed rollup: follow the shared order, verify it, execute it, and serve Ethereum's JSON-RPC.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The rollup: its id, which is its Ethereum chain id.
    #[arg(long)]
    rollup: u64,
    /// The rollup's genesis, as Ethereum's clients read it.
    #[arg(long)]
    rollup_genesis: Option<PathBuf>,
    /// Where Ethereum's JSON-RPC is served, over HTTP and WebSocket.
    #[arg(long, default_value = "127.0.0.1:9545")]
    listen: SocketAddr,
    /// The chain's genesis; that of the network on this machine if not given.
    #[arg(long)]
    genesis: Option<PathBuf>,
    /// What is logged, for example "info" or "debug,hyper=warn".
    #[arg(long, default_value = "info")]
    log: String,
    #[command(flatten)]
    nodes: NodesArgument,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let genesis = match (&arguments.genesis, arguments.nodes.layout()) {
        (Some(path), _) => path.clone(),
        (None, Some(layout)) => layout.genesis(),
        (None, None) => return Err(anyhow!("name the chain's genesis with --genesis")),
    };
    let config = Config {
        genesis: chorale_node::read_genesis(&genesis)?,
        rollup: rollup_genesis(arguments)?,
        nodes: arguments.nodes.endpoints()?.into_iter().map(|endpoint| endpoint.url).collect(),
        listen: arguments.listen,
    };
    let filter = EnvFilter::try_new(&arguments.log).map_err(|error| anyhow!("--log: {error}"))?;
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(std::io::stderr).init();
    runtime()?.block_on(async {
        let stop = stop_requested()?;
        let shutdown = async {
            let reason = stop.await;
            info!(reason, "shutting down");
        };
        let ready = |address| println!("rollup {} at http://{address} and ws://{address}", arguments.rollup);
        chorale_rollup::run(config, ready, shutdown).await.map_err(Into::into)
    })
}

fn rollup_genesis(arguments: &Arguments) -> Result<chorale_rollup::EthereumGenesis> {
    let Some(path) = &arguments.rollup_genesis else {
        return Ok(chorale_rollup::development_genesis(arguments.rollup));
    };
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let genesis: chorale_rollup::EthereumGenesis =
        serde_json::from_str(&text).with_context(|| format!("{} is no genesis of Ethereum", path.display()))?;
    let (given, expected) = (genesis.config.chain_id, arguments.rollup);
    anyhow::ensure!(given == expected, "{}: its chain id is {given}, and the rollup is {expected}", path.display());
    Ok(genesis)
}

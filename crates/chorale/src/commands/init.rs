//! `chorale init`.

use crate::network::layout::{Layout, Plan};
use anyhow::{Context as _, Result};
use chorale_node::config::FullNodeConfig;
use chorale_types::genesis::{BlockTimes, GenesisParameters, RevealWhen, VotesTo};
use clap::{Args, ValueEnum};
use std::{
    fs,
    io::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// Write the files of a new network of validators on this machine, or, with --follow, of a full node of a network that
/// exists.
///
/// A network: `genesis.toml`, and `node-0`, `node-1`, ... with configuration (commented), keys and data of each. To spread
/// it over machines, copy a node's folder and the genesis, and change the addresses in its `node.toml` and in those of
/// the others. A full node: `node.toml` (commented), and a copy of the genesis.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  chorale init --validators 7 --dir seven\n  chorale init --follow http://10.0.0.1:8545 --follow \
                  http://10.0.0.2:8545 --genesis genesis.toml --dir full-node"
)]
pub(crate) struct Arguments {
    /// The folder to write to.
    #[arg(long, default_value = "chorale-network")]
    dir: PathBuf,
    #[command(flatten)]
    network: NetworkArguments,
    /// A full node that follows the node with this URL. May be given several times: one that is honest is enough.
    #[arg(long, value_name = "URL", requires = "genesis", conflicts_with_all = ["validators", "stakes", "rollups", "executed", "votes", "reveal"])]
    follow: Vec<String>,
    /// The genesis of the network that the full node follows.
    #[arg(long, value_name = "FILE", requires = "follow")]
    genesis: Option<PathBuf>,
    /// Where the full node's API listens.
    #[arg(long, value_name = "ADDRESS", requires = "follow", default_value = "127.0.0.1:8645")]
    listen_rpc: SocketAddr,
}

/// What a new network is like.
#[derive(Args, Clone, Debug)]
pub(crate) struct NetworkArguments {
    /// How many validators.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=128))]
    pub(crate) validators: u16,
    /// Their stakes in ether, with commas between; equal ones if not given.
    #[arg(long, value_delimiter = ',')]
    pub(crate) stakes: Vec<u64>,
    /// How many rollups, with ids from 1001 on.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(0..=4096))]
    pub(crate) rollups: u64,
    /// So many of them, the first ones, are EVM rollups that are executed, in one domain: with the ten development accounts
    /// of Ethereum's tools, and bundles that take effect on all of them or on none.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(0..=8))]
    pub(crate) executed: u64,
    /// Where the first executed rollup is served; the others at the ports after it. 0: at free ones.
    #[arg(long, default_value_t = 9545, value_name = "PORT")]
    pub(crate) rollup_port: u16,
    /// What makes a block of executed rollups: each height, or all heights of a second. Only the latter execution clients of
    /// others can follow, and only without calls between rollups, which are then off.
    #[arg(long, value_enum, default_value_t = BlocksArgument::Height)]
    pub(crate) blocks: BlocksArgument,
    /// To whom votes go: to all (committed after three network delays) or to leaders (five, fewer messages).
    #[arg(long, value_enum, default_value_t = VotesArgument::All)]
    pub(crate) votes: VotesArgument,
    /// When payloads are opened: committed, or one round earlier, certified.
    #[arg(long, value_enum, default_value_t = RevealArgument::Committed)]
    pub(crate) reveal: RevealArgument,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum VotesArgument {
    Leaders,
    All,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum BlocksArgument {
    Height,
    Second,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum RevealArgument {
    Committed,
    Certified,
}

impl NetworkArguments {
    /// The plan of a network with these arguments.
    pub(crate) fn plan(&self, name: &str) -> Result<Plan> {
        let count = usize::from(self.validators);
        let stakes = if self.stakes.is_empty() { vec![32; count] } else { self.stakes.clone() };
        anyhow::ensure!(
            stakes.len() == count,
            "--stakes has {} entries and --validators is {count}; give one stake for each validator",
            stakes.len()
        );
        let defaults = GenesisParameters::default();
        let parameters = GenesisParameters {
            votes: match self.votes {
                VotesArgument::Leaders => VotesTo::Leaders,
                VotesArgument::All => VotesTo::All,
            },
            reveal: match self.reveal {
                RevealArgument::Committed => RevealWhen::Committed,
                RevealArgument::Certified => RevealWhen::Certified,
            },
            // A second is closed by a later height, which on an idle chain should not be late.
            idle_interval_ms: match self.blocks {
                BlocksArgument::Height => defaults.idle_interval_ms,
                BlocksArgument::Second => defaults.idle_interval_ms.min(500),
            },
            ..defaults
        };
        let blocks = match self.blocks {
            BlocksArgument::Height => BlockTimes::Height,
            BlocksArgument::Second => BlockTimes::Second,
        };
        let (rollups, executed, rollup_port) = (self.rollups, self.executed, self.rollup_port);
        Ok(Plan { name: name.to_owned(), stakes, rollups, executed, rollup_port, blocks, parameters })
    }
}

/// Writes the files of a full node.
fn full_node(arguments: &Arguments, genesis: &Path) -> Result<()> {
    let folder = &arguments.dir;
    chorale_node::read_genesis(genesis)?;
    fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    let path = folder.join("node.toml");
    let config =
        FullNodeConfig::new("genesis.toml".into(), "data".into(), arguments.follow.clone(), arguments.listen_rpc);
    let mut file = fs::File::create_new(&path).with_context(|| format!("writing {}", path.display()))?;
    file.write_all(config.to_commented_toml().as_bytes())?;
    let copy = folder.join("genesis.toml");
    if genesis.canonicalize()? != copy.canonicalize().unwrap_or_default() {
        fs::copy(genesis, &copy).with_context(|| format!("copying the genesis to {}", copy.display()))?;
    }
    println!("wrote a full node to {}", folder.display());
    println!("next: chorale node --config {}", path.display());
    Ok(())
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if let Some(genesis) = &arguments.genesis {
        return full_node(arguments, genesis);
    }
    let layout = Layout { folder: arguments.dir.clone() };
    layout.create(&arguments.network.plan("chorale-network")?)?;
    println!("wrote a network of {} validators to {}", arguments.network.validators, arguments.dir.display());
    println!("next: chorale node --config {}", layout.config(0).display());
    if layout.has_rollups() {
        println!("and:  chorale rollup --config {}", layout.rollup_config().display());
    }
    Ok(())
}

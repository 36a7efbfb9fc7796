//! `chorale follow`.

use crate::{rpc::NodesArgument, runtime};
use anyhow::{Context as _, Result, anyhow, ensure};
use chorale_client::{Config, Followed, Follower, Nodes};
use chorale_types::{Height, Lane, LaneItem, RollupId};
use clap::Args;
use serde_json::{Value, json};
use std::{
    io::{self, ErrorKind, Write as _},
    path::PathBuf,
    time::Duration,
};

const EXAMPLES: &str = "\
Examples:
  chorale follow --rollup 1001                          everything, from the start, of the network in ./devnet
  chorale follow --rollup 1001 --after 4200 --json      go on from the last height seen, a line of JSON per height
  chorale follow --rollup 1001 --genesis genesis.toml --node http://10.0.0.1:8545 --node http://10.0.0.2:8545

Every height is verified from the genesis alone before it is printed: attested by a quorum, complete, none left out. A node
that says something false is named on standard error and not asked again; one that does not answer is asked later.";

/// Follow rollups: print what they were given, height by height, verified.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The rollup. Given several times, they are followed as one: no content of one is missed while another goes on.
    #[arg(long = "rollup", value_name = "ROLLUP", required = true)]
    rollups: Vec<u64>,
    /// All up to this height is known already; it need not have content.
    #[arg(long, default_value_t = 0)]
    after: u64,
    /// Stop after so many heights with content.
    #[arg(long)]
    heights: Option<u64>,
    /// The chain's genesis; that of the network on this machine if not given.
    #[arg(long)]
    genesis: Option<PathBuf>,
    #[command(flatten)]
    nodes: NodesArgument,
    /// Print a line of JSON per height.
    #[arg(long)]
    json: bool,
}

/// How long a node may take to answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let genesis = match (&arguments.genesis, arguments.nodes.layout()) {
        (Some(path), _) => path.clone(),
        (None, Some(layout)) => layout.genesis(),
        (None, None) => return Err(anyhow!("name the chain's genesis with --genesis")),
    };
    let genesis = chorale_node::read_genesis(&genesis)?;
    let urls = arguments.nodes.endpoints()?.into_iter().map(|endpoint| endpoint.url);
    let nodes = Nodes::new(urls, REQUEST_TIMEOUT)?;
    let rollups: Vec<RollupId> = arguments.rollups.iter().copied().map(RollupId).collect();
    // Known from the genesis: a node that says so need not be believed.
    for rollup in &rollups {
        ensure!(
            genesis.rollup(*rollup).is_some(),
            "the chain has no rollup {rollup}; `chorale status --json` lists them"
        );
    }
    let mut follower = Follower::new(&genesis, rollups, Height(arguments.after), nodes, Config::default());
    runtime()?.block_on(async {
        let (mut heights, mut told) = (0, 0);
        while arguments.heights.is_none_or(|max| heights < max) {
            let followed = follower.next().await;
            for dropped in &follower.nodes().dropped()[told..] {
                eprintln!("dropped {}: {}", dropped.url, dropped.reason);
            }
            told = follower.nodes().dropped().len();
            match print(&followed?, arguments.json) {
                Ok(()) => heights += 1,
                // Who reads has enough, as `head` does.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => break,
                Err(error) => return Err(error).context("writing to standard output"),
            }
        }
        Ok(())
    })
}

fn print(followed: &Followed, as_json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let outcome = followed.attested.outcome();
    let mut items: Vec<(RollupId, &LaneItem)> = Vec::new();
    for lane in &followed.lanes {
        items.extend(lane.items().iter().map(|item| (lane.rollup(), item)));
    }
    if as_json {
        let items: Vec<Value> = items.into_iter().map(described).collect();
        let line = json!({
            "height": outcome.height.0,
            "epoch": outcome.epoch.0,
            "outcomeRoot": outcome.root().to_string(),
            "items": items,
        });
        writeln!(out, "{line}")?;
    } else {
        let bytes: u32 = followed.lanes.iter().map(Lane::bytes).sum();
        writeln!(out, "height {}, {} items, {bytes} bytes", outcome.height, items.len())?;
    }
    out.flush()
}

fn described((rollup, item): (RollupId, &LaneItem)) -> Value {
    let (payload, unit, leg) = item.place.order();
    json!({
        "rollup": rollup.0,
        "position": [payload, unit, leg],
        "id": item.id.to_string(),
        "data": format!("0x{}", hex::encode(&*item.data)),
    })
}

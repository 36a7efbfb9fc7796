//! `chorale bundle`.

use super::units::{ProveArguments, StatusArguments, WaitArguments, content, prove, show_status, submitted};
use crate::{
    rpc::{Kind, NodesArgument, answered},
    runtime,
};
use anyhow::{Context, Result, ensure};
use chorale_api::{BundleRequest, ChoraleApiClient as _, HexBytes, TransactionRequest};
use clap::{Args, Subcommand};
use std::time::{SystemTime, UNIX_EPOCH};

const EXAMPLES: &str = "\
Examples:
  chorale bundle send --leg 1001:lock --leg 1002:mint --wait revealed
  chorale bundle send --leg 1001:0x01 --leg 1002:0x02 --expiry 5000
  chorale bundle status 0x77aa...
  chorale bundle prove 0x77aa... --out swap.proof

All legs are ordered in one block, next to each other, or none is.";

/// Submit transactions for several rollups that are ordered together or not at all.
#[derive(Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum Command {
    /// Submit a bundle. It is accepted once it is durable on the node that answers.
    Send(Send),
    /// Show where a bundle is.
    Status(StatusArguments),
    /// Write a proof of where a bundle was ordered, with all its legs.
    Prove(ProveArguments),
}

#[derive(Args)]
pub(crate) struct Send {
    /// A leg: rollup, colon, content (hexadecimal with 0x, or text). In the order they are to stand in.
    #[arg(long = "leg", required = true, value_name = "ROLLUP:CONTENT")]
    legs: Vec<String>,
    /// The last height at which it may be ordered; 500 above the node's committed one if not given.
    #[arg(long)]
    expiry: Option<u64>,
    /// Makes equal content distinct; the time if not given, so that every call makes another bundle.
    #[arg(long)]
    salt: Option<u64>,
    #[command(flatten)]
    wait: WaitArguments,
    #[command(flatten)]
    nodes: NodesArgument,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// About ten seconds of a fast chain: long enough to be ordered, short enough to know soon that it was not.
const EXPIRY_HEIGHTS: u64 = 500;

pub(crate) fn run(command: &Command) -> Result<()> {
    runtime()?.block_on(async {
        match command {
            Command::Send(arguments) => send(arguments).await,
            Command::Status(arguments) => show_status(Kind::Bundle, arguments).await,
            Command::Prove(arguments) => prove(Kind::Bundle, arguments).await,
        }
    })
}

async fn send(arguments: &Send) -> Result<()> {
    let legs = arguments.legs.iter().map(|text| leg(text)).collect::<Result<Vec<_>>>()?;
    ensure!(legs.len() > 1, "a bundle has at least two legs; for one use `chorale tx send`");
    let endpoint = arguments.nodes.any().await?;
    let expiry = match arguments.expiry {
        Some(expiry) => expiry,
        None => answered(&endpoint, endpoint.client.node().await)?.committed + EXPIRY_HEIGHTS,
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let salt = arguments.salt.map_or_else(|| u64::try_from(now.as_micros()), Ok)?;
    let id = answered(
        &endpoint,
        endpoint.client.submit_bundle(BundleRequest { legs, expiry, salt, execution: None }).await,
    )?;
    submitted(&endpoint, Kind::Bundle, &id, &arguments.wait, arguments.json).await
}

fn leg(text: &str) -> Result<TransactionRequest> {
    let wrong = || format!("`{text}` is no leg; write rollup, colon, content, as in 1001:0x02f8");
    let (rollup, data) = text.split_once(':').with_context(wrong)?;
    Ok(TransactionRequest { rollup: rollup.parse().with_context(wrong)?, data: HexBytes(content(data)?) })
}

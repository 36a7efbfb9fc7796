//! `chorale bundle`.

use super::units::{ProveArguments, StatusArguments, WaitArguments, content, prove, show_status, submitted};
use crate::{
    rpc::{Endpoint, Kind, NodesArgument, answered},
    runtime,
};
use anyhow::{Context, Result, ensure};
use chorale_api::{
    BundleRequest, ChoraleApiClient as _, ErrorCode, ExecutionProofsApiClient as _, HexBytes, TransactionRequest,
};
use clap::{Args, Subcommand};
use jsonrpsee::core::client::Error;
use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

const EXAMPLES: &str = "\
Examples:
  chorale bundle send --leg 1001:lock --leg 1002:mint --wait revealed
  chorale bundle send --leg 1001:0x01 --leg 1002:0x02 --expiry 5000
  chorale bundle status 0x77aa...
  chorale bundle prove 0x77aa... --out swap.proof
  chorale bundle effect 0x77aa... --rollup http://127.0.0.1:9545 --out swap.proof

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
    /// Write a proof of what became of a bundle on executed rollups: all its legs took effect, or none did.
    Effect(EffectArguments),
}

/// Whose effect to prove, and where to put the proof.
#[derive(Args)]
pub(crate) struct EffectArguments {
    /// The id that the submission answered.
    id: String,
    /// The JSON-RPC of one of the rollups of its domain.
    #[arg(long, default_value = "http://127.0.0.1:9545")]
    rollup: String,
    /// The file to write.
    #[arg(long, short)]
    out: PathBuf,
    /// Seconds to wait for the attestation at most.
    #[arg(long, default_value_t = 30)]
    timeout: u64,
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
            Command::Effect(arguments) => effect(arguments).await,
        }
    })
}

/// How long to wait before a node is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(200);

async fn effect(EffectArguments { id, rollup, out, timeout }: &EffectArguments) -> Result<()> {
    let endpoint = Endpoint::new("the rollup's node".to_owned(), rollup.clone())?;
    let until = Instant::now() + Duration::from_secs(*timeout);
    let proof = loop {
        match endpoint.client.prove_bundle_effect(id.clone(), None).await {
            Ok(proof) => break proof,
            // Not executed or not attested yet, as far as this node knows.
            Err(Error::Call(error)) if error.code() == ErrorCode::NotFound.code() && Instant::now() < until => {
                tokio::time::sleep(ASK_AGAIN).await;
            }
            failed => break answered(&endpoint, failed)?,
        }
    };
    fs::write(out, &proof.0).with_context(|| format!("writing {}", out.display()))?;
    println!("wrote {} ({} bytes)", out.display(), proof.0.len());
    println!("next: chorale verify --genesis GENESIS {}", out.display());
    Ok(())
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

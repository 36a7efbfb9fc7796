//! `chorale tx`.

use super::units::{ProveArguments, StatusArguments, WaitArguments, content, prove, show_status, submitted};
use crate::{
    rpc::{Kind, NodesArgument, answered},
    runtime,
};
use anyhow::{Context, Result};
use chorale_api::{ChoraleApiClient as _, HexBytes, TransactionRequest};
use clap::{Args, Subcommand};
use std::{fs, path::PathBuf};

const EXAMPLES: &str = "\
Examples:
  chorale tx send --rollup 1001 hello --wait revealed    submit to the devnet in ./devnet, wait until it is ordered
  chorale tx send --rollup 1001 0x02f86c --node http://127.0.0.1:8545
  chorale tx status 0x5d0c...                            where it is
  chorale tx prove 0x5d0c... --out payment.proof         a file that `chorale verify` checks offline

States: pending, proposed, certified, committed, revealed, order_attested; or skipped, evicted, expired, rejected.";

/// Submit transactions, ask where they are, prove where they were ordered.
#[derive(Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum Command {
    /// Submit a transaction. It is accepted once it is durable on the node that answers.
    Send(Send),
    /// Show where a transaction is.
    Status(StatusArguments),
    /// Write a proof of where a transaction was ordered.
    Prove(ProveArguments),
}

#[derive(Args)]
pub(crate) struct Send {
    /// The content: hexadecimal with 0x, or text.
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    data: Option<String>,
    /// Read the content from a file.
    #[arg(long)]
    file: Option<PathBuf>,
    /// The rollup it is for.
    #[arg(long)]
    rollup: u64,
    #[command(flatten)]
    wait: WaitArguments,
    #[command(flatten)]
    nodes: NodesArgument,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(command: &Command) -> Result<()> {
    runtime()?.block_on(async {
        match command {
            Command::Send(arguments) => send(arguments).await,
            Command::Status(arguments) => show_status(Kind::Transaction, arguments).await,
            Command::Prove(arguments) => prove(Kind::Transaction, arguments).await,
        }
    })
}

async fn send(arguments: &Send) -> Result<()> {
    let data = match (&arguments.data, &arguments.file) {
        (_, Some(file)) => fs::read(file).with_context(|| format!("reading {}", file.display()))?,
        (Some(data), None) => content(data)?,
        (None, None) => Vec::new(),
    };
    let endpoint = arguments.nodes.any().await?;
    let request = TransactionRequest { rollup: arguments.rollup, data: HexBytes(data) };
    let id = answered(&endpoint, endpoint.client.submit_transaction(request).await)?;
    submitted(&endpoint, Kind::Transaction, &id, &arguments.wait, arguments.json).await
}

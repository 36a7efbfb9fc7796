//! `chorale domain`.

use crate::{
    rpc::{NodesArgument, answered},
    runtime,
    table::Table,
};
use anyhow::{Context, Result, bail, ensure};
use chorale_api::{ChoraleApiClient as _, DomainAnswer, HexBytes, SuspendedRollup, TransactionRequest};
use chorale_types::{AccountSecret, Height, Resume, RollupId, SystemItem};
use clap::{Args, Subcommand};
use serde_json::json;
use std::{
    fs,
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

const EXAMPLES: &str = "\
Examples:
  chorale domain status
  chorale domain resume 1001 --key owner.key

A domain is a group of rollups that are executed together. Validators that opted in attest what they became. If that lags too
far behind, the domain's rollups are suspended: nothing more is ordered for them, until all is attested and their owner lets
them go on.";

/// Show how far executed rollups are attested; let one go on that was suspended.
#[derive(Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum Command {
    /// Show all domains, and which rollups are suspended.
    Status(Status),
    /// Let a rollup go on that was suspended: for its owner, whom the genesis names.
    Resume(ResumeArguments),
}

#[derive(Args)]
pub(crate) struct Status {
    #[command(flatten)]
    nodes: NodesArgument,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(crate) struct ResumeArguments {
    /// The rollup.
    rollup: u64,
    /// A file with the owner's secret key in hexadecimal. Nobody else should be able to read it.
    #[arg(long)]
    key: PathBuf,
    #[command(flatten)]
    nodes: NodesArgument,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(command: &Command) -> Result<()> {
    runtime()?.block_on(async {
        match command {
            Command::Status(arguments) => status(arguments).await,
            Command::Resume(arguments) => resume(arguments).await,
        }
    })
}

async fn status(Status { nodes, json }: &Status) -> Result<()> {
    let endpoint = nodes.any().await?;
    let domains = answered(&endpoint, endpoint.client.domains().await)?;
    if *json {
        println!("{}", serde_json::to_string_pretty(&domains)?);
        return Ok(());
    }
    if domains.is_empty() {
        println!("The chain executes no rollups.");
        return Ok(());
    }
    let mut table =
        Table::new(&["domain", "rollups", "quorum", "attested", "in the order", "waits since", "suspended"]);
    for domain in &domains {
        table.row(row(domain));
    }
    print!("{table}");
    Ok(())
}

fn row(domain: &DomainAnswer) -> [String; 7] {
    let some = |height: Option<u64>| height.map_or_else(|| "-".to_owned(), |height| height.to_string());
    let rollups: Vec<String> = domain.rollups.iter().map(u64::to_string).collect();
    let quorum = if domain.weight == 0 {
        "nobody attests it".to_owned()
    } else {
        format!("{} of {}", domain.quorum, domain.weight)
    };
    let suspended: Vec<String> =
        domain.suspended.iter().map(|it| format!("{} since {}", it.rollup, it.since)).collect();
    [
        domain.domain.to_string(),
        rollups.join(" "),
        quorum,
        some(domain.attested),
        domain.ordered.to_string(),
        some(domain.waiting),
        if suspended.is_empty() { "-".to_owned() } else { suspended.join(", ") },
    ]
}

async fn resume(ResumeArguments { rollup, key, nodes, json }: &ResumeArguments) -> Result<()> {
    let secret = read_key(key)?;
    let endpoint = nodes.any().await?;
    let domains = answered(&endpoint, endpoint.client.domains().await)?;
    let domain = domains.iter().find(|domain| domain.rollups.contains(rollup));
    let domain =
        domain.with_context(|| format!("the chain executes no rollup {rollup}; see `chorale domain status`"))?;
    let suspended = domain.suspended.iter().find(|it| it.rollup == *rollup);
    let Some(SuspendedRollup { since, .. }) = suspended.copied() else { bail!("rollup {rollup} is not suspended") };
    if let Some(waiting) = domain.waiting.filter(|waiting| *waiting < since) {
        bail!("what domain {} became is not attested from height {waiting} on: wait until it is", domain.domain);
    }
    let chain = answered(&endpoint, endpoint.client.node().await)?.chain;
    let chain = chain.parse().with_context(|| format!("{} says that its chain is {chain}", endpoint.name))?;
    let (rollup, since) = (RollupId(*rollup), Height(since));
    let salt = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros())?;
    let signature = secret.sign(&Resume::message(chain, rollup, since, salt));
    let transaction = SystemItem::Resume(Resume { rollup, since, salt, signature }).to_transaction();
    let request = TransactionRequest { rollup: transaction.rollup.0, data: HexBytes(transaction.data.to_vec()) };
    let id = answered(&endpoint, endpoint.client.submit_transaction(request).await)?;
    if *json {
        println!("{}", serde_json::to_string_pretty(&json!({ "id": id, "rollup": rollup.0, "since": since.0 }))?);
    } else {
        println!("accepted by {}: {id}", endpoint.name);
        println!("next: chorale domain status");
    }
    Ok(())
}

fn read_key(path: &PathBuf) -> Result<AccountSecret> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let digits = text.trim();
    let digits = digits.strip_prefix("0x").unwrap_or(digits);
    let mut bytes = [0; 32];
    // The error would quote the secret.
    ensure!(hex::decode_to_slice(digits, &mut bytes).is_ok(), "{} is not 64 hexadecimal digits", path.display());
    AccountSecret::from_bytes(bytes).with_context(|| format!("{} holds no key of secp256k1", path.display()))
}

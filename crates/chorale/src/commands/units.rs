//! What `chorale tx` and `chorale bundle` share: waiting, statuses, proofs.

use crate::rpc::{Endpoint, Kind, NodesArgument, answered, progress, state_name, status, wait_for};
use anyhow::{Context, Result, bail, ensure};
use chorale_api::{ChoraleApiClient as _, State, StatusAnswer};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use std::{fs, path::PathBuf, time::Duration};

/// How far to wait.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Until {
    /// A proposed payload claims to carry it.
    Proposed,
    /// The block of such a payload is certified.
    Certified,
    /// The block of such a payload is committed.
    Committed,
    /// The node knows position and content.
    Revealed,
    /// A quorum attests its position: it can be proven to anyone.
    Attested,
}

impl Until {
    const fn state(self) -> State {
        match self {
            Self::Proposed => State::Proposed,
            Self::Certified => State::Certified,
            Self::Committed => State::Committed,
            Self::Revealed => State::Revealed,
            Self::Attested => State::OrderAttested,
        }
    }
}

/// Waiting after a submission.
#[derive(Args, Clone, Debug)]
pub(crate) struct WaitArguments {
    /// Wait until it is so far.
    #[arg(long, value_enum)]
    wait: Option<Until>,
    /// Seconds to wait at most.
    #[arg(long, default_value_t = 30)]
    timeout: u64,
}

/// A transaction or bundle that was submitted before.
#[derive(Args, Clone, Debug)]
pub(crate) struct StatusArguments {
    /// The id that the submission answered.
    id: String,
    #[command(flatten)]
    wait: WaitArguments,
    #[command(flatten)]
    nodes: NodesArgument,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Whose position to prove, and where to put the proof.
#[derive(Args, Clone, Debug)]
pub(crate) struct ProveArguments {
    /// The id that the submission answered.
    id: String,
    /// The file to write.
    #[arg(long, short)]
    out: PathBuf,
    /// Seconds to wait for the attestation at most.
    #[arg(long, default_value_t = 30)]
    timeout: u64,
    #[command(flatten)]
    nodes: NodesArgument,
}

/// Prints what was submitted, and waits if that was asked for.
pub(crate) async fn submitted(
    endpoint: &Endpoint,
    kind: Kind,
    id: &str,
    wait: &WaitArguments,
    as_json: bool,
) -> Result<()> {
    let answer = match wait.wait {
        Some(until) => {
            let timeout = Duration::from_secs(wait.timeout);
            Some(wait_for(endpoint, kind, id, until.state(), timeout).await?)
        }
        None => None,
    };
    if as_json {
        let mut value = json!({ "id": id, "node": endpoint.url });
        if let Some(answer) = &answer {
            value["status"] = serde_json::to_value(answer)?;
        }
        println!("{}", serde_json::to_string_pretty(&value)?);
    } else {
        println!("accepted by {}: {id}", endpoint.name);
        match &answer {
            Some(answer) => println!("{}", words(answer)),
            None => println!("next: chorale {} status {id}", name(kind)),
        }
    }
    answer.map_or(Ok(()), |answer| reached(&answer, wait))
}

/// `status`.
pub(crate) async fn show_status(kind: Kind, arguments: &StatusArguments) -> Result<()> {
    let endpoint = knowing(&arguments.nodes, kind, &arguments.id).await?;
    let answer = match arguments.wait.wait {
        Some(until) => {
            let timeout = Duration::from_secs(arguments.wait.timeout);
            wait_for(&endpoint, kind, &arguments.id, until.state(), timeout).await?
        }
        None => answered(&endpoint, status(&endpoint, kind, &arguments.id).await)?,
    };
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&answer)?);
    } else {
        println!("{}", words(&answer));
    }
    reached(&answer, &arguments.wait)
}

/// `prove`.
pub(crate) async fn prove(kind: Kind, arguments: &ProveArguments) -> Result<()> {
    let ProveArguments { id, out, timeout, nodes } = arguments;
    let endpoint = knowing(nodes, kind, id).await?;
    let answer = wait_for(&endpoint, kind, id, State::OrderAttested, Duration::from_secs(*timeout)).await?;
    ensure!(answer.state == State::OrderAttested, "there is no proof yet: it is {}", words(&answer));
    let proof = match kind {
        Kind::Transaction => endpoint.client.prove_transaction(id.clone(), None).await,
        Kind::Bundle => endpoint.client.prove_bundle(id.clone(), None).await,
    };
    let proof = answered(&endpoint, proof)?;
    fs::write(out, &proof.0).with_context(|| format!("writing {}", out.display()))?;
    println!("wrote {} ({} bytes)", out.display(), proof.0.len());
    println!("next: chorale verify --genesis GENESIS {}", out.display());
    Ok(())
}

/// The first node that knows the id: a pool is each node's own until its entries have spread.
async fn knowing(nodes: &NodesArgument, kind: Kind, id: &str) -> Result<Endpoint> {
    let mut last = String::new();
    for endpoint in nodes.endpoints()? {
        match answered(&endpoint, status(&endpoint, kind, id).await) {
            Ok(_) => return Ok(endpoint),
            Err(error) => last = error.to_string(),
        }
    }
    bail!("{last}")
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Transaction => "tx",
        Kind::Bundle => "bundle",
    }
}

fn words(answer: &StatusAnswer) -> String {
    let mut words = state_name(answer.state);
    if let Some(height) = answer.height {
        words.push_str(&format!(" at height {height}"));
    }
    if let Some((payload, number)) = answer.position {
        words.push_str(&format!(", payload {payload}, number {number}"));
    }
    if let Some(reason) = &answer.reason {
        words.push_str(&format!(": {reason}"));
    }
    if let Some((first, later)) = answer.passed.split_first() {
        words.push_str(&format!(" ({}", state_name(first.state)));
        if let Some(view) = first.view {
            words.push_str(&format!(" in view {view}"));
        }
        for passed in later {
            let ms = passed.time_ms.saturating_sub(first.time_ms);
            words.push_str(&format!(", {} after {ms} ms", state_name(passed.state)));
        }
        words.push(')');
    }
    words
}

fn reached(answer: &StatusAnswer, wait: &WaitArguments) -> Result<()> {
    let Some(until) = wait.wait else { return Ok(()) };
    match progress(answer.state) {
        None => bail!("it ended as {}", words(answer)),
        Some(reached) if Some(reached) < progress(until.state()) => {
            bail!("after {} s it is only {}; wait longer with --timeout", wait.timeout, words(answer))
        }
        Some(_) => Ok(()),
    }
}

/// What the user gave as content: hexadecimal with `0x`, or text.
pub(crate) fn content(text: &str) -> Result<Vec<u8>> {
    match text.strip_prefix("0x") {
        Some(digits) => {
            hex::decode(digits).with_context(|| format!("`{text}` is not hexadecimal; leave 0x out for text"))
        }
        None => Ok(text.as_bytes().to_vec()),
    }
}

/// A value as it is printed with `--json`.
pub(crate) fn print_json(value: &Value) -> Result<()> {
    println!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
}

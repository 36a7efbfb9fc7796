//! `chorale verify`.

use crate::exit::DOES_NOT_HOLD;
use anyhow::{Context, Result, ensure};
use chorale_light::{Light, ProofFile, Proven};
use clap::Args;
use serde_json::{Value, json};
use std::{fs, path::PathBuf, process::ExitCode};

const EXAMPLES: &str = "\
Example:
  chorale verify --genesis devnet/genesis.toml payment.proof

Needs no network and trusts nobody: the genesis names the first validators, and the file leads from them to the claim.
Exit code 3: the file proves nothing under this genesis; the message says where it breaks.";

/// Check a proof file against a genesis, offline.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The proof file.
    file: PathBuf,
    /// The genesis of the chain that it is to be about.
    #[arg(long, default_value = "genesis.toml")]
    genesis: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// A proof file with 4096 hand-overs between 1024 validators is larger; nobody has one.
const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let genesis = chorale_node::read_genesis(&arguments.genesis)?;
    let path = arguments.file.display();
    let bytes = fs::metadata(&arguments.file).with_context(|| format!("{path}"))?.len();
    ensure!(bytes <= FILE_BYTES_MAX, "{path} has {bytes} bytes; a proof file has at most {FILE_BYTES_MAX}");
    let bytes = fs::read(&arguments.file).with_context(|| format!("{path}"))?;
    let mut light = Light::new(genesis.first_epoch(), genesis.parameters().epoch_heights);
    let outcome = ProofFile::read_file(bytes).and_then(|file| file.verify(&mut light));
    let (holds, result) = match &outcome {
        Ok((proven, attested)) => {
            let outcome = attested.outcome();
            let words = words(proven);
            if !arguments.json {
                println!("proven: {words}");
                println!("  chain      {} ({})", genesis.chain(), genesis.name());
                println!("  height     {}, epoch {}", outcome.height, outcome.epoch);
                println!("  outcome    {}", outcome.root());
            }
            let mut result = described(proven);
            result["valid"] = json!(true);
            result["chain"] = json!(genesis.chain().to_string());
            result["height"] = json!(outcome.height.0);
            result["epoch"] = json!(outcome.epoch.0);
            result["outcomeRoot"] = json!(outcome.root().to_string());
            (true, result)
        }
        Err(error) => {
            if !arguments.json {
                eprintln!("not proven: {path}: {error}");
            }
            (false, json!({ "valid": false, "error": error.to_string() }))
        }
    };
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&result)?);
    }
    Ok(if holds { ExitCode::SUCCESS } else { ExitCode::from(DOES_NOT_HOLD) })
}

fn words(proven: &Proven) -> String {
    match proven {
        Proven::Transaction { id, rollup } => format!("transaction {id} was ordered for rollup {rollup}"),
        Proven::Bundle { id, legs } => format!("bundle {id} was ordered with all of its {legs} legs"),
        Proven::Lane { rollup, items, previous } => {
            format!(
                "rollup {rollup} was given exactly these {items} items, and before that something at height {previous}"
            )
        }
        Proven::Absence { rollup } => format!("rollup {rollup} was given nothing"),
        Proven::Registry { rollup, last } => format!("rollup {rollup} was given something last at height {last}"),
    }
}

fn described(proven: &Proven) -> Value {
    match proven {
        Proven::Transaction { id, rollup } => {
            json!({ "claim": "transaction", "id": id.to_string(), "rollup": rollup.0 })
        }
        Proven::Bundle { id, legs } => json!({ "claim": "bundle", "id": id.to_string(), "legs": legs }),
        Proven::Lane { rollup, items, previous } => {
            json!({ "claim": "lane", "rollup": rollup.0, "items": items, "previousHeight": previous.0 })
        }
        Proven::Absence { rollup } => json!({ "claim": "absence", "rollup": rollup.0 }),
        Proven::Registry { rollup, last } => json!({ "claim": "registry", "rollup": rollup.0, "lastHeight": last.0 }),
    }
}

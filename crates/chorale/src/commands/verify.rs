//! `chorale verify`.

use crate::exit::DOES_NOT_HOLD;
use anyhow::{Context, Result, ensure};
use chorale_light::{Light, ProofFile, Proven, ProvenExecution, ProvenLeg, Verified};
use chorale_types::{BundleEffect, Digest, Epoch, Genesis, Height, RollupHead};
use clap::Args;
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

const EXAMPLES: &str = "\
Examples:
  chorale verify --genesis devnet/genesis.toml payment.proof
  chorale verify --genesis devnet/genesis.toml proofs/*.proof

Needs no network and trusts nobody: the genesis names the first validators, and the file leads from them to the claim.
Exit code 3: a file proves nothing under this genesis; the message says where it breaks.";

/// Check proof files against a genesis, offline.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The proof files.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// The genesis of the chain that it is to be about.
    #[arg(long, default_value = "genesis.toml")]
    genesis: PathBuf,
    /// Print JSON: an object for one file, a list for several.
    #[arg(long)]
    json: bool,
}

/// A proof file with 4096 hand-overs between 1024 validators is larger; nobody has one.
const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let genesis = chorale_node::read_genesis(&arguments.genesis)?;
    let results: Vec<Value> =
        arguments.files.iter().map(|file| check(&genesis, file, arguments.json)).collect::<Result<_>>()?;
    if arguments.json {
        let one = if results.len() == 1 { results[0].clone() } else { json!(results) };
        println!("{}", serde_json::to_string_pretty(&one)?);
    }
    let hold = results.iter().all(|result| result["valid"] == true);
    Ok(if hold { ExitCode::SUCCESS } else { ExitCode::from(DOES_NOT_HOLD) })
}

/// Checks one file. Tells people the result, and returns it for programs.
fn check(genesis: &Genesis, file: &Path, as_json: bool) -> Result<Value> {
    let path = file.display();
    let bytes = fs::metadata(file).with_context(|| format!("{path}"))?.len();
    ensure!(bytes <= FILE_BYTES_MAX, "{path} has {bytes} bytes; a proof file has at most {FILE_BYTES_MAX}");
    let bytes = fs::read(file).with_context(|| format!("{path}"))?;
    let mut light = Light::new(genesis.first_epoch(), genesis.parameters().epoch_heights);
    let outcome = ProofFile::read_file(bytes).and_then(|file| file.verify(&mut light));
    Ok(match &outcome {
        Ok(verified) => {
            let Told { words, mut result, height, epoch, root } = told(verified);
            if !as_json {
                println!("proven: {words}");
                for line in legs_of(verified).iter().enumerate().map(leg_words) {
                    println!("  {line}");
                }
                println!("  chain      {} ({})", genesis.chain(), genesis.name());
                println!("  height     {height}, epoch {epoch}");
                println!("  outcome    {root}");
            }
            result["file"] = json!(path.to_string());
            result["valid"] = json!(true);
            result["chain"] = json!(genesis.chain().to_string());
            result["height"] = json!(height.0);
            result["epoch"] = json!(epoch.0);
            result["outcomeRoot"] = json!(root.to_string());
            result
        }
        Err(error) => {
            if !as_json {
                eprintln!("not proven: {path}: {error}");
            }
            json!({ "file": path.to_string(), "valid": false, "error": error.to_string() })
        }
    })
}

/// What is told of a proof that holds.
struct Told {
    words: String,
    result: Value,
    height: Height,
    epoch: Epoch,
    root: Digest,
}

fn told(verified: &Verified) -> Told {
    match verified {
        Verified::Order(proven, attested) => {
            let outcome = attested.outcome();
            let (height, epoch, root) = (outcome.height, outcome.epoch, outcome.root());
            Told { words: words(proven), result: described(proven), height, epoch, root }
        }
        Verified::Execution(proven, executed) => {
            let (outcome, epoch) = (executed.outcome(), executed.epoch());
            let (words, result) = executed_words(proven);
            Told { words, result, height: outcome.height, epoch, root: outcome.root() }
        }
    }
}

/// What is proven of the legs of a bundle.
fn legs_of(verified: &Verified) -> &[ProvenLeg] {
    match verified {
        Verified::Execution(ProvenExecution::Bundle { legs, .. }, _) => legs,
        _ => &[],
    }
}

fn leg_words((position, leg): (usize, &ProvenLeg)) -> String {
    let ProvenLeg { rollup, block, transaction, gas_used, logs } = leg;
    format!("leg {position:<6} 0x{transaction} in block {block} of rollup {rollup}, {gas_used} gas, {logs} logs")
}

fn leg_json(ProvenLeg { rollup, block, transaction, gas_used, logs }: &ProvenLeg) -> Value {
    let hash = format!("0x{transaction}");
    json!({ "rollup": rollup.0, "blockNumber": block, "transactionHash": hash, "gasUsed": gas_used, "logs": logs })
}

fn executed_words(proven: &ProvenExecution) -> (String, Value) {
    match proven {
        ProvenExecution::Bundle { id, domain, effect, legs } => {
            let (words, mut result) = match effect {
                BundleEffect::Committed => {
                    ("took effect with all its legs".to_owned(), json!({ "effect": "committed" }))
                }
                BundleEffect::Aborted { leg, reason, burns } => {
                    let leg_words = leg.map_or_else(String::new, |leg| format!(", because of leg {leg}"));
                    let burnt = if *burns { "; none of its legs ever will" } else { "" };
                    let words = format!("was aborted{leg_words} (reason {reason}), and no leg had any effect{burnt}");
                    (words, json!({ "effect": "aborted", "leg": leg, "reason": reason, "burnt": burns }))
                }
                BundleEffect::Unplaced => {
                    let words = "found no gas left, and no leg had any effect; it may be ordered again";
                    (words.to_owned(), json!({ "effect": "unplaced" }))
                }
            };
            result["claim"] = json!("bundleEffect");
            result["id"] = json!(id.to_string());
            result["domain"] = json!(domain.0);
            if *effect == BundleEffect::Committed {
                // Empty: the file proves the effect alone.
                result["legs"] = legs.iter().map(leg_json).collect();
            }
            (format!("bundle {id} of domain {domain} {words}"), result)
        }
        ProvenExecution::Head(RollupHead { rollup, number, block, state }) => {
            let words = format!("rollup {rollup} is at block {number}, {block}, with state root {state}");
            let (block, state) = (block.to_string(), state.to_string());
            let result =
                json!({ "claim": "head", "rollup": rollup.0, "number": number, "block": block, "stateRoot": state });
            (words, result)
        }
    }
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

//! `chorale bench`.

mod executed;
mod executed_report;
mod load;
mod report;

use anyhow::{Context as _, Result};
use clap::Subcommand;
use serde::Serialize;
use std::{fmt::Display, fs, path::Path};

/// Measure a running network.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Submit transactions at a fixed rate, and report what became of them, how fast, and what it cost.
    Load(load::Arguments),
    /// Submit signed transactions and bundles for the executed rollups at a fixed rate, and report whether they keep up.
    Executed(executed::Arguments),
}

pub(crate) fn run(command: &Command) -> Result<()> {
    match command {
        Command::Load(arguments) => load::run(arguments),
        Command::Executed(arguments) => executed::run(arguments),
    }
}

/// Measures, and says what came out: as a table or JSON, and to a file if one is named.
fn show<R: Serialize + Display>(
    measure: impl Future<Output = Result<R>>,
    out: Option<&Path>,
    as_json: bool,
) -> Result<()> {
    // As many threads as the generator needs and no more: it shares the machine with what it measures.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let report = runtime.block_on(measure)?;
    runtime.shutdown_background();
    let json = serde_json::to_string_pretty(&report)?;
    if let Some(out) = out {
        fs::write(out, &json).with_context(|| format!("writing {}", out.display()))?;
    }
    if as_json {
        println!("{json}");
    } else {
        print!("{report}");
    }
    Ok(())
}

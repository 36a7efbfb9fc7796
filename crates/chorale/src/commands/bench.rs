//! `chorale bench`.

mod executed;
mod executed_report;
mod load;
mod report;

use anyhow::Result;
use clap::Subcommand;

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

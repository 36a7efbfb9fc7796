//! `chorale`: one binary for every role.

mod commands;
mod exit;
mod load;
mod network;
mod rpc;
mod signals;
mod system;
mod table;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// A decentralized shared sequencer for rollups.
///
/// Start a whole network on this machine with `chorale devnet`. Run one node with `chorale node`, after `chorale init`
/// wrote its configuration.
#[derive(Parser)]
#[command(name = "chorale", version, after_help = exit::HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Init(commands::init::Arguments),
    /// Make keys, or show what is public of them.
    #[command(subcommand)]
    Keys(commands::keys::Command),
    Node(commands::node::Arguments),
    Rollup(commands::rollup::Arguments),
    Devnet(commands::devnet::Arguments),
    #[command(subcommand)]
    Tx(commands::tx::Command),
    #[command(subcommand)]
    Bundle(commands::bundle::Command),
    #[command(subcommand)]
    Domain(commands::domain::Command),
    Follow(commands::follow::Arguments),
    Status(commands::status::Arguments),
    Verify(commands::verify::Arguments),
    #[command(subcommand)]
    Bench(commands::bench::Command),
    Sim(commands::sim::Arguments),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Init(arguments) => commands::init::run(&arguments).map(|()| ExitCode::SUCCESS),
        Command::Keys(command) => commands::keys::run(&command).map(|()| ExitCode::SUCCESS),
        Command::Node(arguments) => commands::node::run(&arguments).map(|()| ExitCode::SUCCESS),
        Command::Rollup(arguments) => commands::rollup::run(&arguments).map(|()| ExitCode::SUCCESS),
        Command::Devnet(arguments) => commands::devnet::run(&arguments).map(|()| ExitCode::SUCCESS),
        Command::Tx(command) => commands::tx::run(&command).map(|()| ExitCode::SUCCESS),
        Command::Bundle(command) => commands::bundle::run(&command).map(|()| ExitCode::SUCCESS),
        Command::Domain(command) => commands::domain::run(&command).map(|()| ExitCode::SUCCESS),
        Command::Follow(arguments) => commands::follow::run(&arguments).map(|()| ExitCode::SUCCESS),
        Command::Status(arguments) => commands::status::run(&arguments).map(|()| ExitCode::SUCCESS),
        Command::Verify(arguments) => commands::verify::run(&arguments),
        Command::Bench(command) => commands::bench::run(&command).map(|()| ExitCode::SUCCESS),
        Command::Sim(arguments) => commands::sim::run(&arguments),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

/// For commands that talk to nodes; those that make load have a runtime of their own.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

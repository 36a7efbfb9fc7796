//! `chorale`: one binary for every role.

mod commands;
mod network;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// A decentralized shared sequencer for rollups.
///
/// Start a whole network on this machine with `chorale devnet`. Run one node with `chorale node`, after `chorale init`
/// wrote its configuration.
#[derive(Parser)]
#[command(name = "chorale", version, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 success, 1 failure (the message says what to do), 2 wrong usage, \
                          3 verification failed.";

#[derive(Subcommand)]
enum Command {
    /// Write the files of a new network: genesis, and configuration and keys of each node.
    Init(commands::init::Arguments),
    /// Make keys, or show what is public of them.
    #[command(subcommand)]
    Keys(commands::keys::Command),
    /// Run a node.
    Node(commands::node::Arguments),
    /// Run a whole network on this machine.
    Devnet(commands::devnet::Arguments),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Init(arguments) => commands::init::run(&arguments),
        Command::Keys(command) => commands::keys::run(&command),
        Command::Node(arguments) => commands::node::run(&arguments),
        Command::Devnet(arguments) => commands::devnet::run(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

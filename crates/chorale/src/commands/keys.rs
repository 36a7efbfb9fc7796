//! `chorale keys`.

use crate::network::layout::{new_keys, validator};
use anyhow::Result;
use chorale_node::config::Keys;
use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make new keys and write them to a file that only you can read. Never overwrites a file.
    New(New),
    /// Show what is public of keys, as the genesis wants it: identity, consensus key, proof of possession.
    Show(Show),
}

#[derive(Args)]
pub(crate) struct New {
    /// The file to write.
    #[arg(default_value = "keys.toml")]
    file: PathBuf,
}

#[derive(Args)]
pub(crate) struct Show {
    /// The file to read.
    #[arg(default_value = "keys.toml")]
    file: PathBuf,
    /// The validator's name.
    #[arg(long, default_value = "my-validator")]
    name: String,
    /// Its stake in wei.
    #[arg(long, default_value_t = 32_000_000_000_000_000_000)]
    stake: u128,
    /// Print JSON instead of the TOML that the genesis wants.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(command: &Command) -> Result<()> {
    match command {
        Command::New(New { file }) => {
            new_keys()?.write_new(file)?;
            println!("wrote {}", file.display());
            println!("next: chorale keys show {}", file.display());
        }
        Command::Show(Show { file, name, stake, json }) => {
            let validator = validator(name.clone(), &Keys::read(file)?, *stake)?;
            if *json {
                println!("{}", serde_json::to_string_pretty(&validator)?);
            } else {
                println!("[[validators]]\n{}", toml::to_string(&validator)?);
            }
        }
    }
    Ok(())
}

//! `chorale node`.

use crate::signals::{parent_is_gone, stop_requested};
use anyhow::{Context as _, Result};
use chorale_node::config::Config;
use clap::Args;
use std::{path::PathBuf, time::Duration};
use tracing::info;
use tracing_subscriber::EnvFilter;

/// Run a node: a validator, whose keys the genesis names, or a full node, which follows others over their API, verifies
/// everything, and serves the same API. The configuration says which.
///
/// Stops gracefully on SIGINT and SIGTERM. Started again, it goes on where it stopped, whatever way it ended.
#[derive(Args)]
#[command(
    after_help = "Example:\n  chorale node --config node-0/node.toml\n\n`chorale init` writes the configuration. With glibc, set \
                  MALLOC_ARENA_MAX=2 in the environment: a node then needs about half of the memory under load."
)]
pub(crate) struct Arguments {
    /// The node's configuration; `chorale init` writes one.
    #[arg(long, default_value = "node.toml")]
    config: PathBuf,
    /// Stop when standard input is closed: for nodes that another process starts.
    #[arg(long, hide = true)]
    stop_with_parent: bool,
    /// Lower the priority by so much, up to 19: for networks on one machine.
    #[arg(long, hide = true, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=19))]
    niceness: u8,
}

/// A node that was asked to stop and has not after this long ends at once. All that it promised is durable anyway.
const STOP_TIMEOUT: Duration = Duration::from_secs(8);

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if arguments.niceness > 0 {
        // Before there are threads, which inherit it.
        rustix::process::nice(i32::from(arguments.niceness)).context("lowering the priority")?;
    }
    let config = Config::read(&arguments.config)?;
    let filter = EnvFilter::try_new(config.log())
        .map_err(|error| anyhow::anyhow!("{}: log: {error}", arguments.config.display()))?;
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).init();
    let watch_parent = arguments.stop_with_parent;
    let shutdown = async move {
        let stop = match stop_requested() {
            Ok(stop) => stop,
            Err(error) => return tracing::error!(%error, "cannot listen for signals"),
        };
        let reason = tokio::select! {
            reason = stop => reason,
            () = parent_is_gone(watch_parent) => "standard input is closed",
        };
        info!(reason, "shutting down");
        std::thread::spawn(|| {
            std::thread::sleep(STOP_TIMEOUT);
            tracing::error!("did not stop in {} s; ending at once", STOP_TIMEOUT.as_secs());
            std::process::exit(1);
        });
    };
    match &config {
        Config::Validator(config) => chorale_node::run(config, shutdown)?,
        Config::Full(config) => chorale_node::full::run(config, shutdown)?,
    }
    Ok(())
}

//! `chorale devnet`.

use super::init::NetworkArguments;
use crate::network::{layout::Layout, processes::NodeProcess};
use anyhow::{Result, bail};
use clap::Args;
use std::{path::PathBuf, time::Duration};

/// Run a network of validators on this machine, each a process of its own, with their data in one folder.
///
/// Started again with the same folder, the chain goes on. Ctrl-C stops all of them.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The network's folder; made if it is not there.
    #[arg(long, default_value = "devnet")]
    dir: PathBuf,
    #[command(flatten)]
    network: NetworkArguments,
}

const POLL_INTERVAL: Duration = Duration::from_millis(100);

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let layout = Layout { folder: arguments.dir.clone() };
    if layout.exists() {
        println!("resuming the network in {}", layout.folder.display());
    } else {
        layout.create(&arguments.network.plan("devnet")?)?;
        println!("made a network of {} validators in {}", arguments.network.validators, layout.folder.display());
    }
    let mut nodes: Vec<NodeProcess> =
        (0..layout.configs()?.len()).map(|index| NodeProcess::new(layout.config(index))).collect();
    for node in &mut nodes {
        node.start()?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(async {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => Ok(()),
            failure = watch(&mut nodes) => failure,
        }
    });
    println!("stopping");
    nodes.iter_mut().for_each(NodeProcess::ask_to_stop);
    for node in &mut nodes {
        node.stop()?;
    }
    outcome
}

async fn watch(nodes: &mut [NodeProcess]) -> Result<()> {
    loop {
        for node in nodes.iter_mut() {
            if let Some(status) = node.ended()? {
                bail!("a node ended with {status}; its log is {}", node.log().display());
            }
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

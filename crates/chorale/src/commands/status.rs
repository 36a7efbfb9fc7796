//! `chorale status`.

use super::units::print_json;
use crate::{
    rpc::{Endpoint, NodesArgument, reason},
    runtime,
    table::Table,
};
use anyhow::{Result, ensure};
use chorale_api::{ChoraleApiClient as _, MempoolAnswer, NodeAnswer};
use clap::Args;
use serde_json::{Value, json};

/// Show how far each node of a network is.
///
/// Exit code 1 if no node answers.
#[derive(Args)]
#[command(after_help = "Examples:\n  chorale status\n  chorale status --node http://127.0.0.1:8545 --json")]
pub(crate) struct Arguments {
    #[command(flatten)]
    nodes: NodesArgument,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

type Answer = Result<(NodeAnswer, Option<MempoolAnswer>), String>;

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let endpoints = arguments.nodes.endpoints()?;
    let answers = runtime()?.block_on(async {
        let mut answers = Vec::new();
        for endpoint in &endpoints {
            answers.push(ask(endpoint).await);
        }
        answers
    });
    if arguments.json {
        let nodes = endpoints.iter().zip(&answers).map(|(endpoint, answer)| as_json(endpoint, answer));
        print_json(&Value::Array(nodes.collect::<Result<_, _>>()?))?;
    } else {
        print(&endpoints, &answers);
    }
    ensure!(answers.iter().any(Result::is_ok), "no node answers; is the network running?");
    Ok(())
}

async fn ask(endpoint: &Endpoint) -> Answer {
    let node = endpoint.client.node().await.map_err(|error| reason(&error))?;
    Ok((node, endpoint.client.mempool().await.ok()))
}

fn as_json(endpoint: &Endpoint, answer: &Answer) -> Result<Value, serde_json::Error> {
    Ok(match answer {
        Ok((node, pool)) => {
            json!({ "url": endpoint.url, "node": serde_json::to_value(node)?, "mempool": serde_json::to_value(pool)? })
        }
        Err(error) => json!({ "url": endpoint.url, "error": error }),
    })
}

fn print(endpoints: &[Endpoint], answers: &[Answer]) {
    if let Some((node, _)) = answers.iter().flatten().next() {
        println!("{}, chain {}", node.name, node.chain);
    }
    let mut table = Table::new(&["node", "api", "role", "epoch", "view", "committed", "settled", "attested", "pool"]);
    for (endpoint, answer) in endpoints.iter().zip(answers) {
        match answer {
            Ok((node, pool)) => table.row([
                endpoint.name.clone(),
                endpoint.url.clone(),
                node.index.map_or_else(|| "follows".to_owned(), |index| format!("validator {index}")),
                node.epoch.to_string(),
                node.view.to_string(),
                node.committed.to_string(),
                node.settled.to_string(),
                node.attested.to_string(),
                pool.as_ref().map_or_else(|| "-".to_owned(), |pool| pool.entries.to_string()),
            ]),
            Err(error) => table.row([endpoint.name.clone(), endpoint.url.clone(), format!("down: {error}")]),
        }
    }
    print!("{table}");
}

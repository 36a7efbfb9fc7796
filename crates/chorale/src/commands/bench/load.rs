//! `chorale bench load`.

use super::{
    report::{NodeReport, Report},
    show,
};
use crate::{
    load::{Plan, TallyHandle, generate},
    network::{
        monitor::{Frame, Monitor, NodeSample},
        processes::pid_file,
    },
    rpc::NodesArgument,
    signals::stop_requested,
    system::Usage,
};
use anyhow::{Context, Result};
use chorale_types::RollupId;
use clap::Args;
use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

const EXAMPLES: &str = "\
Examples:
  chorale bench load --rate 500                       latency at light load, of the network in ./devnet
  chorale bench load --rate 20000 --seconds 60        throughput
  chorale bench load --rate 1000 --node http://10.0.0.1:8545 --node http://10.0.0.2:8545

The generator is open-loop: what is due is submitted whether or not the network keeps up, through all nodes in turn, in
batches. Latencies are of samples, asked for every 5 ms; `accepted` is the time of whole requests. Processor time of
validators is reported if they run on this machine, and that of the generator apart.";

/// Submit transactions at a fixed rate, and report what became of them, how fast, and what it cost.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Transactions per second over all nodes.
    #[arg(long, default_value_t = 500)]
    rate: u64,
    /// How long to submit.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Seconds at the start that do not count for rates, latencies and costs.
    #[arg(long, default_value_t = 3)]
    warmup: u64,
    /// Seconds to wait at the end for what is still on its way.
    #[arg(long, default_value_t = 30)]
    drain: u64,
    /// Bytes of a transaction.
    #[arg(long, default_value_t = 512)]
    bytes: usize,
    /// Rollups to submit for, in turn; those of the genesis if not given.
    #[arg(long = "rollup")]
    rollups: Vec<u64>,
    #[command(flatten)]
    nodes: NodesArgument,
    /// Also write the report as JSON to a file.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

const LOOK_INTERVAL: Duration = Duration::from_secs(1);

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    show(measure(arguments), arguments.out.as_deref(), arguments.json)
}

/// A moment of the run.
struct Mark {
    frame: Frame,
    accepted: u64,
    generator: Option<Usage>,
}

async fn measure(arguments: &Arguments) -> Result<Report> {
    let endpoints = arguments.nodes.endpoints()?;
    let names: Vec<String> = endpoints.iter().map(|endpoint| endpoint.name.clone()).collect();
    let processes = processes(arguments);
    let mut monitor = Monitor::new(endpoints.clone());
    let first = monitor.look(&processes).await;
    let node = first.ahead().context("no node answers; is the network running?")?;
    let rollups = if arguments.rollups.is_empty() { node.rollups.clone() } else { arguments.rollups.clone() };
    let plan = Plan::new(arguments.rate, arguments.bytes, rollups.into_iter().map(RollupId).collect())?;
    let tally = TallyHandle::default();
    let mark = |frame: Frame| Mark { frame, accepted: tally.with(|tally| tally.accepted), generator: Usage::own() };

    let stop = stop_requested()?;
    tokio::pin!(stop);
    let start = Instant::now();
    let load = tokio::spawn(generate(plan, endpoints, tally.clone()));
    let (warmup, seconds) = (Duration::from_secs(arguments.warmup), Duration::from_secs(arguments.seconds));
    let mut begin = None;
    let mut memory = Vec::new();
    let end = loop {
        tokio::select! {
            _ = &mut stop => break mark(monitor.look(&processes).await),
            () = tokio::time::sleep(LOOK_INTERVAL) => {}
        }
        let frame = monitor.look(&processes).await;
        memory.push(largest(&frame));
        if !arguments.json {
            progress(&frame, start.elapsed());
        }
        if begin.is_none() && start.elapsed() >= warmup {
            tally.with(crate::load::Tally::forget_latencies);
            begin = Some(mark(frame.clone()));
        }
        if start.elapsed() >= seconds {
            break mark(frame);
        }
    };
    load.abort();
    let begin = begin.unwrap_or(Mark { frame: first.clone(), accepted: 0, generator: None });

    let drained = Instant::now();
    let mut last = monitor.look(&processes).await;
    while drained.elapsed() < Duration::from_secs(arguments.drain) {
        let accepted = tally.with(|tally| tally.accepted);
        if unsettled(&first, &last, accepted) == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        last = monitor.look(&processes).await;
    }
    let drain = drained.elapsed();

    let elapsed = end.frame.at - begin.frame.at;
    let accepted_in_window = end.accepted.saturating_sub(begin.accepted);
    let nodes =
        names.iter().enumerate().map(|(index, name)| NodeReport::new(name, index, &begin.frame, &end.frame, elapsed));
    let nodes: Vec<NodeReport> = nodes.collect();
    let tally = tally.with(|tally| tally.clone());
    let generator = end.generator.zip(begin.generator).and_then(|(end, begin)| end.cpu.checked_sub(begin.cpu));
    let unsettled = unsettled(&first, &last, tally.accepted);
    let rates = [elapsed.as_secs_f64(), start.elapsed().as_secs_f64() - drain.as_secs_f64()];
    Ok(Report::new(arguments.rate, arguments.bytes, rates, accepted_in_window, generator, nodes, &tally)
        .with_end(unsettled, drain, &memory))
}

/// Process ids of nodes on this machine, as far as they are known.
fn processes(arguments: &Arguments) -> Vec<Option<u32>> {
    let Some(layout) = arguments.nodes.layout() else { return Vec::new() };
    let count = layout.configs().map_or(0, |configs| configs.len());
    let id = |index| fs::read_to_string(pid_file(&layout.config(index))).ok()?.trim().parse().ok();
    (0..count).map(id).collect()
}

/// Accepted, and not settled on the node that is furthest behind.
fn unsettled(first: &Frame, now: &Frame, accepted: u64) -> u64 {
    let settled = |sample: &NodeSample| sample.node.as_ref().map_or(0, |node| node.units_settled);
    let pairs = first.nodes.iter().zip(&now.nodes);
    let least = pairs.map(|(first, now)| settled(now).saturating_sub(settled(first))).min();
    accepted.saturating_sub(least.unwrap_or(0))
}

fn largest(frame: &Frame) -> u64 {
    frame.nodes.iter().filter_map(|node| node.usage).map(|usage| usage.memory_bytes).max().unwrap_or(0)
}

fn progress(frame: &Frame, elapsed: Duration) {
    let settled = frame.rates.iter().map(|rates| rates.units).fold(f64::INFINITY, f64::min);
    let (committed, settled_to) = frame.ahead().map_or((0, 0), |node| (node.committed, node.settled));
    eprintln!(
        "{:>4} s: height {committed}, settled to {settled_to}, {settled:.0}/s settled everywhere",
        elapsed.as_secs()
    );
}

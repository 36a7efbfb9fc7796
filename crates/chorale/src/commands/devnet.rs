//! `chorale devnet`.

use super::init::NetworkArguments;
use crate::{
    load::{Plan, TallyHandle, generate},
    network::{
        layout::Layout,
        logs::Logs,
        monitor::{Frame, Monitor},
        rollups::{self, Served, served},
        supervisor::{Event, Supervisor},
        view::{Scene, Screen, draw, line},
    },
    signals::stop_requested,
};
use anyhow::{Result, bail};
use chorale_types::RollupId;
use clap::Args;
use console::Term;
use std::{
    io::IsTerminal as _,
    path::PathBuf,
    time::{Duration, Instant},
};

const EXAMPLES: &str = "\
Examples:
  chorale devnet                                    four validators, data in ./devnet
  chorale devnet --load 500                         and 500 transactions of 512 bytes per second, with latencies
  chorale devnet --validators 7 --stakes 10,5,5,5,1,1,1 --dir /tmp/seven
  chorale devnet --plain                            logs instead of the live view

From another terminal: chorale status, chorale tx send --rollup 1003 hello --wait revealed, chorale bench load,
chorale bench executed; cast, viem or a wallet at the rollups' addresses; node examples/token.mjs moves a token between both.
A node that ends, for example by `kill -9`, is started again after a second.";

/// Run a network of validators on this machine, each a process of its own, with their data in one folder.
///
/// Started again with the same folder, the chain goes on. Ctrl-C stops all of them.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The network's folder; made if it is not there.
    #[arg(long, default_value = "devnet")]
    dir: PathBuf,
    #[command(flatten)]
    network: NetworkArguments,
    /// Submit this many transactions per second, through all nodes.
    #[arg(long, value_name = "RATE")]
    load: Option<u64>,
    /// Bytes of each of them.
    #[arg(long, default_value_t = 512)]
    load_bytes: usize,
    /// Print logs instead of the live view; also done when the output is no terminal.
    #[arg(long)]
    plain: bool,
}

/// How long the nodes may take until they commit.
const START_TIMEOUT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(100);
const FRAME_INTERVAL: Duration = Duration::from_millis(500);
const LINE_INTERVAL: Duration = Duration::from_secs(1);

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let layout = Layout { folder: arguments.dir.clone() };
    if layout.exists() {
        println!("resuming the network in {} with its own genesis", layout.folder.display());
    } else {
        layout.create(&arguments.network.plan("devnet")?)?;
        println!("made a network of {} validators in {}", arguments.network.validators, layout.folder.display());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    // Before the nodes start, so that a signal at any later moment stops them.
    let stop = runtime.block_on(async { stop_requested() })?;
    let mut supervisor = Supervisor::start(&layout)?;
    let outcome = runtime.block_on(async {
        tokio::select! {
            reason = stop => {
                println!("{reason}: stopping");
                Ok(())
            }
            failure = operate(arguments, &layout, &mut supervisor) => failure,
        }
    });
    // Load goes first, so that it does not report nodes that stop.
    runtime.shutdown_background();
    supervisor.stop()?;
    if outcome.is_ok() {
        println!("stopped; `chorale devnet --dir {}` goes on from here", layout.folder.display());
    }
    outcome
}

async fn operate(arguments: &Arguments, layout: &Layout, supervisor: &mut Supervisor) -> Result<()> {
    let endpoints = layout.endpoints()?;
    let mut logs = Logs::of(layout, endpoints.len());
    let plain = arguments.plain || !std::io::stdout().is_terminal();
    let mut monitor = Monitor::new(endpoints.clone());
    let started = Instant::now();
    wait_until_committing(&mut monitor, supervisor).await?;
    println!("all {} validators commit, after {:.1} s", endpoints.len(), started.elapsed().as_secs_f64());
    for endpoint in &endpoints {
        println!("  {}  {}  (also /healthz, /readyz, /metrics)", endpoint.name, endpoint.url);
    }
    let executed = served(layout)?;
    let mut chains = Vec::new();
    if !executed.is_empty() {
        println!(
            "executed rollups, with the ten accounts of \"test test test test test test test test test test test junk\":"
        );
        chains = wait_until_served(&executed, supervisor).await?;
        for (rollup, chain) in executed.iter().zip(&chains) {
            println!("  chain id {chain}  {}  (HTTP and WebSocket; also /healthz, /readyz, /metrics)", rollup.url);
        }
    }
    println!();
    let tally = TallyHandle::default();
    if let Some(rate) = arguments.load {
        let plan = Plan::new(rate, arguments.load_bytes, load_rollups(&mut monitor, supervisor, &chains).await)?;
        tokio::spawn(generate(plan, endpoints.clone(), tally.clone()));
    }
    let mut screen = Screen::default();
    let mut event = None;
    loop {
        for new in supervisor.supervise()? {
            let (Event::Ended(words) | Event::Restarted(words)) = new;
            if plain {
                println!("{words}");
            }
            event = Some(words);
        }
        let frame = monitor.look(&supervisor.ids()).await;
        let counts = tally.with(|tally| tally.clone());
        let scene = Scene {
            up: started.elapsed(),
            endpoints: &endpoints,
            load: arguments.load.map(|rate| (rate, &counts)),
            event: event.as_deref(),
        };
        if plain {
            logs.lines().iter().for_each(|line| println!("{line}"));
            println!("{}", line(&frame, &scene));
            tokio::time::sleep(LINE_INTERVAL).await;
        } else {
            let (_, width) = Term::stdout().size();
            let rollups = rollups::draw(&executed, &rollups::look(&executed).await);
            screen.show(&(draw(&frame, &scene) + &rollups), usize::from(width))?;
            tokio::time::sleep(FRAME_INTERVAL).await;
        }
    }
}

/// Waits until all executed rollups are served. Their chain ids.
async fn wait_until_served(executed: &[Served], supervisor: &mut Supervisor) -> Result<Vec<u64>> {
    let deadline = Instant::now() + START_TIMEOUT;
    loop {
        supervisor.supervise()?;
        let chains: Option<Vec<u64>> =
            rollups::look(executed).await.blocks.iter().map(|block| block.map(|(chain, _)| chain)).collect();
        if let Some(chains) = chains {
            return Ok(chains);
        }
        if Instant::now() >= deadline {
            bail!(
                "after {} s the executed rollups are not served; see rollups/node.log in the network's folder",
                START_TIMEOUT.as_secs()
            );
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// The rollups that load is for: it is nothing that executed ones could execute, so they are left out if there are others.
async fn load_rollups(monitor: &mut Monitor, supervisor: &Supervisor, executed: &[u64]) -> Vec<RollupId> {
    let frame = monitor.look(&supervisor.ids()).await;
    let all = frame.ahead().map(|node| node.rollups.clone()).unwrap_or_default();
    let ordered: Vec<u64> = all.iter().copied().filter(|rollup| !executed.contains(rollup)).collect();
    let chosen = if ordered.is_empty() { all } else { ordered };
    chosen.into_iter().map(RollupId).collect()
}

/// Waits until every node has committed something since it first answered.
async fn wait_until_committing(monitor: &mut Monitor, supervisor: &mut Supervisor) -> Result<()> {
    let deadline = Instant::now() + START_TIMEOUT;
    let mut first: Vec<Option<u64>> = Vec::new();
    loop {
        supervisor.supervise()?;
        let frame = monitor.look(&supervisor.ids()).await;
        first.resize(frame.nodes.len(), None);
        let committed = |frame: &Frame| -> Vec<Option<u64>> {
            frame.nodes.iter().map(|node| node.node.as_ref().map(|node| node.committed)).collect()
        };
        let now = committed(&frame);
        for (first, now) in first.iter_mut().zip(&now) {
            *first = first.or(*now);
        }
        if first.iter().zip(&now).all(|(first, now)| first.zip(*now).is_some_and(|(first, now)| now > first)) {
            return Ok(());
        }
        if Instant::now() >= deadline {
            let silent = now.iter().filter(|committed| committed.is_none()).count();
            bail!(
                "after {} s not all nodes commit ({silent} do not answer); see node-*/node.log in the network's folder",
                START_TIMEOUT.as_secs()
            );
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

//! `chorale bench executed`.

use super::{
    executed_report::{Moment, Report},
    show,
};
use crate::{
    load::{
        Tally, TallyHandle,
        executed::{self, Domain, LagHandle, Watched, accounts::Signer, units::Plan},
    },
    network::{
        monitor::{Frame, Monitor},
        processes::pid_file,
        rollups::served,
    },
    rpc::{Endpoint, NodesArgument},
    signals::stop_requested,
    system::Usage,
};
use anyhow::{Context as _, Result, ensure};
use clap::Args;
use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tokio::task::JoinSet;

const EXAMPLES: &str = "\
Examples:
  chorale bench executed --rate 20                       latency at light load, of the network in ./devnet
  chorale bench executed --rate 3000 --seconds 60        whether the rollups keep up
  chorale bench executed --bundles 0 --rollup http://10.0.0.9:9545 --node http://10.0.0.1:8545

Payments between many accounts of the executed rollups, in turn, and bundles of two legs: all signed before the first is sent,
and submitted open-loop through all nodes. The accounts are new, and get their ether from the last development account.
Latencies are of every transaction, from its submission until its block is `latest`, or `safe`, on its rollup, asked for every
5 ms. The lag is that of the rollups' node behind the heights that the first node knows to be attested.";

/// Submit signed transactions and bundles for the executed rollups at a fixed rate, and report whether they keep up.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Transactions per second over all nodes; a bundle has two.
    #[arg(long, default_value_t = 20)]
    rate: u64,
    /// How long to submit.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Seconds at the start that do not count for rates, latencies, lag and costs.
    #[arg(long, default_value_t = 3)]
    warmup: u64,
    /// Seconds to wait at the end for what is still on its way.
    #[arg(long, default_value_t = 30)]
    drain: u64,
    /// Of 100 transactions and bundles, so many are bundles.
    #[arg(long, default_value_t = 5)]
    bundles: u64,
    /// Accounts of each rollup at most.
    #[arg(long, default_value_t = 4_000, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    accounts: u64,
    /// JSON-RPC of one of the rollups; those of the network on this machine if not given.
    #[arg(long, value_name = "URL")]
    rollup: Option<String>,
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
const DRAIN_LOOK_INTERVAL: Duration = Duration::from_millis(200);

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    show(measure(arguments), arguments.out.as_deref(), arguments.json)
}

impl Arguments {
    /// Transactions of 100 units.
    const fn transactions_of_100(&self) -> u64 {
        100 + self.bundles
    }

    fn units_per_second(&self) -> u64 {
        (self.rate * 100).div_ceil(self.transactions_of_100())
    }

    fn plan(&self) -> Result<Plan> {
        ensure!((1..=1_000_000).contains(&self.rate), "a load of {}/s; it must be 1 to 1000000 per second", self.rate);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Plan {
            units: self.units_per_second().saturating_mul(self.seconds),
            bundles_percent: self.bundles,
            accounts: self.accounts,
            run: u64::try_from(now.as_nanos() & u128::from(u64::MAX))?,
        })
    }

    fn rollup(&self) -> Result<Endpoint> {
        if let Some(url) = &self.rollup {
            return Endpoint::new(url, url);
        }
        let layout = self.nodes.layout().context("no network on this machine; name a rollup with --rollup URL")?;
        let served = served(&layout)?;
        let first = served.first().context("the network has no executed rollups: start one with --executed 2")?;
        Endpoint::new("rollups", &first.url)
    }

    /// Process ids of the sequencer's nodes on this machine, and of that of the rollups, as far as they are known.
    fn processes(&self) -> (Vec<Option<u32>>, Option<u32>) {
        let Some(layout) = self.nodes.layout() else { return (Vec::new(), None) };
        let id = |config: &Path| fs::read_to_string(pid_file(config)).ok()?.trim().parse().ok();
        let count = layout.configs().map_or(0, |configs| configs.len());
        ((0..count).map(|index| id(&layout.config(index))).collect(), id(&layout.rollup_config()))
    }
}

/// What is looked at during a run.
struct Bench {
    monitor: Monitor,
    processes: (Vec<Option<u32>>, Option<u32>),
    tally: TallyHandle,
    watched: Watched,
}

impl Bench {
    async fn look(&mut self) -> Moment {
        let frame: Frame = self.monitor.look(&self.processes.0).await;
        Moment {
            rollups: self.processes.1.and_then(Usage::of),
            generator: Usage::own(),
            accepted: self.tally.with(|tally| tally.accepted),
            executed: self.watched.executed(|executed| executed.transactions),
            frame,
        }
    }
}

async fn measure(arguments: &Arguments) -> Result<Report> {
    let endpoints = arguments.nodes.endpoints()?;
    let domain = Domain::of(&arguments.rollup()?).await?;
    let plan = arguments.plan()?;
    let prepared = prepare(&plan, &domain, endpoints.len()).await?;

    let (lags, tally, watched) = (LagHandle::default(), TallyHandle::default(), Watched::default());
    let monitor = Monitor::new(endpoints.clone());
    let mut bench = Bench { monitor, processes: arguments.processes(), tally: tally.clone(), watched: watched.clone() };
    for (index, rollup) in domain.rollups.iter().enumerate() {
        tokio::spawn(executed::watch(index, rollup.clone(), watched.clone()));
    }
    let sequencer = endpoints.first().context("no node to submit to")?.clone();
    tokio::spawn(executed::watch_lag(sequencer, domain.rollups[0].endpoint.clone(), lags.clone()));
    let stop = stop_requested()?;
    tokio::pin!(stop);
    let first = bench.look().await;
    let start = Instant::now();
    let units_per_second = arguments.units_per_second();
    let load = executed::generate(prepared, units_per_second, endpoints, tally.clone(), watched.clone());
    let mut load = tokio::spawn(load);
    let mut moments = vec![first];
    let mut is_warm = false;
    loop {
        tokio::select! {
            _ = &mut stop => break,
            _ = &mut load => break,
            () = tokio::time::sleep(LOOK_INTERVAL) => {}
        }
        let moment = bench.look().await;
        if !arguments.json {
            eprintln!("{}", moment.line(start.elapsed(), lags.all().last().copied(), watched.open()));
        }
        if !is_warm && start.elapsed() >= Duration::from_secs(arguments.warmup) {
            is_warm = true;
            tally.with(Tally::forget_latencies);
            watched.executed(executed::Executed::forget_latencies);
            lags.forget();
            moments.clear();
        }
        moments.push(moment);
    }
    load.abort();
    moments.push(bench.look().await);
    let (seconds, lags) = (start.elapsed().as_secs_f64(), lags.all());

    let drained = Instant::now();
    while watched.open() > 0 && drained.elapsed() < Duration::from_secs(arguments.drain) {
        tokio::time::sleep(DRAIN_LOOK_INTERVAL).await;
    }
    let drain = drained.elapsed();
    let executed = watched.executed(|executed| executed.clone());
    let tally = tally.with(|tally| tally.clone());
    Ok(Report::new(arguments.rate, arguments.bundles, seconds, &moments, &lags, &tally, &executed)
        .with_end(watched.open(), drain))
}

/// Accounts with ether, and all that they are going to send, signed.
async fn prepare(plan: &Plan, domain: &Domain, nodes: usize) -> Result<executed::Prepared> {
    let started = Instant::now();
    let purses = tokio::task::block_in_place(|| plan.purses(domain.rollups.len(), nodes))?;
    let accounts: usize = purses.iter().map(|purse| purse.accounts().len()).sum();
    eprintln!("giving ether to {accounts} accounts");
    let mut funding = JoinSet::new();
    for (rollup, purse) in domain.rollups.iter().cloned().zip(&purses) {
        let (accounts, wei) = (purse.accounts().to_vec(), plan.wei_per_account(purse));
        funding.spawn(async move { executed::fund(&rollup, &Signer::new(), &accounts, wei).await });
    }
    while let Some(funded) = funding.join_next().await {
        funded??;
    }
    eprintln!("signing {} transactions and bundles", plan.units);
    let prepared = tokio::task::block_in_place(|| plan.sign(domain, purses, nodes));
    eprintln!("prepared in {:.1} s", started.elapsed().as_secs_f64());
    Ok(prepared)
}

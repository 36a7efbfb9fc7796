//! `chorale sim`.

use crate::exit::DOES_NOT_HOLD;
use anyhow::{Result, ensure};
use chorale_sim::{Profile, Report, SimConfig, Stakes, Votes, run as simulate};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use std::{
    ops::RangeInclusive,
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

const EXAMPLES: &str = "\
Examples:
  chorale sim --profile adversarial --seeds 1..1000      a thousand worlds in which up to a third of the stake attacks
  chorale sim --profile wan --validators 50 --votes all  latencies over ten regions of the world
  chorale sim --profile faulty --seed 7 --story          what happened in one world, line by line

Profiles: lan (one data centre), wan (ten AWS regions, measured latencies), crashed (as many dead as may be),
faulty (network, disks, clocks and processes fail and recover), adversarial (as faulty, and up to a third attacks).
Exit code 3: a rule did not hold in some world; the command that replays it is printed.";

/// Simulate whole networks, each from one seed that decides everything: delays, losses, crashes, attackers.
///
/// The state machine that the nodes run is judged after every step by an oracle that shares no logic with it.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The kind of world: lan, wan, crashed, faulty, adversarial.
    #[arg(long, default_value = "faulty")]
    profile: Profile,
    /// From which seed to which, both included: `1..1000`.
    #[arg(long, default_value = "1..100", value_parser = seeds)]
    seeds: RangeInclusive<u64>,
    /// One seed.
    #[arg(long, conflicts_with = "seeds")]
    seed: Option<u64>,
    /// How many validators; each profile has a usual number.
    #[arg(long)]
    validators: Option<usize>,
    /// How stake is spread: drawn (from the seed), equal, unequal, third (one has just under a third).
    #[arg(long)]
    stakes: Option<Stakes>,
    /// To whom votes go: drawn (from the seed), leaders, all.
    #[arg(long)]
    votes: Option<Votes>,
    /// Heights that every correct node has to commit; each profile has a usual number.
    #[arg(long)]
    heights: Option<u64>,
    /// Tell what happened, line by line. With one seed only.
    #[arg(long, requires = "seed")]
    story: bool,
    /// Worlds at the same time; as many as there are processors if not given.
    #[arg(long)]
    jobs: Option<usize>,
    /// Stop after this many worlds in which a rule did not hold.
    #[arg(long, default_value_t = 10)]
    failures_max: usize,
    /// Print the summary, and each failure, as JSON.
    #[arg(long)]
    json: bool,
}

fn seeds(text: &str) -> Result<RangeInclusive<u64>, String> {
    let wrong = || format!("`{text}` is no range of seeds; write `1..1000`");
    let (first, last) = text.split_once("..").ok_or_else(wrong)?;
    let last = last.strip_prefix('=').unwrap_or(last);
    let (first, last) = (first.parse().map_err(|_| wrong())?, last.parse().map_err(|_| wrong())?);
    if first > last {
        return Err(format!("`{text}` is empty: the first seed is above the last"));
    }
    Ok(first..=last)
}

impl Arguments {
    fn config(&self, seed: u64) -> SimConfig {
        let usual = SimConfig::new(self.profile, seed);
        SimConfig {
            validators: self.validators.unwrap_or(usual.validators),
            stakes: self.stakes.unwrap_or(usual.stakes),
            votes: self.votes.unwrap_or(usual.votes),
            heights: self.heights.unwrap_or(usual.heights),
            story: self.story,
            ..usual
        }
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let validators = arguments.config(0).validators;
    ensure!((1..=1000).contains(&validators), "--validators is {validators}; it must be 1 to 1000");
    let seeds = arguments.seed.map_or_else(|| arguments.seeds.clone(), |seed| seed..=seed);
    let summary = search(arguments, &seeds);
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&summary)?);
    } else {
        summary.print();
    }
    Ok(if summary.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(DOES_NOT_HOLD) })
}

/// Runs the seeds on several threads.
fn search(arguments: &Arguments, seeds: &RangeInclusive<u64>) -> Summary {
    let bar = progress(seeds.end() - seeds.start() + 1, arguments.json);
    let started = Instant::now();
    let next = AtomicU64::new(*seeds.start());
    let summary = Mutex::new(Summary {
        profile: arguments.profile,
        validators: arguments.config(0).validators,
        ..Summary::new()
    });
    let jobs = arguments.jobs.or_else(|| std::thread::available_parallelism().ok().map(usize::from)).unwrap_or(1);
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed > *seeds.end() {
                break;
            }
            let report = simulate(&arguments.config(seed));
            let mut summary = summary.lock().unwrap_or_else(PoisonError::into_inner);
            if summary.failures.len() >= arguments.failures_max {
                break;
            }
            summary.add(report);
            bar.inc(1);
            bar.set_message(format!("{} failed", summary.failures.len()));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(work);
        }
    });
    bar.finish_and_clear();
    let mut summary = summary.into_inner().unwrap_or_else(PoisonError::into_inner);
    summary.finish(started.elapsed());
    summary
}

fn progress(count: u64, hidden: bool) -> ProgressBar {
    if hidden || count == 1 {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} worlds, {per_sec}, {eta} left, {msg}");
    let bar = ProgressBar::new(count);
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// What all runs came to. A delay's `p50` is the median over the seeds of their medians; the `p99` likewise, and the
/// `worst_p99` is the largest of them.
#[derive(Serialize)]
struct Summary {
    profile: Profile,
    validators: usize,
    runs: u64,
    blocks: u64,
    timeouts: u64,
    crashes: u64,
    evidence: u64,
    messages: u64,
    virtual_ms: u64,
    cpu_ms: f64,
    wall_ms: u128,
    messages_per_cpu_second: f64,
    certified: Spread,
    committed: Spread,
    committed_at_leader: Spread,
    failures: Vec<Report>,
    #[serde(skip)]
    delays: [Vec<chorale_sim::Delays>; 3],
    #[serde(skip)]
    last: Option<Report>,
}

#[derive(Clone, Copy, Default, Serialize)]
struct Spread {
    p50_ms: f64,
    p99_ms: f64,
    worst_p99_ms: f64,
}

impl Spread {
    fn of(delays: &[chorale_sim::Delays]) -> Self {
        let sorted = |of: fn(&chorale_sim::Delays) -> f64| {
            let mut values: Vec<f64> = delays.iter().filter(|delays| delays.count > 0).map(of).collect();
            values.sort_by(f64::total_cmp);
            values
        };
        let (p50, p99) = (sorted(|delays| delays.p50_ms), sorted(|delays| delays.p99_ms));
        let median = |values: &[f64]| values.get(values.len() / 2).copied().unwrap_or_default();
        Self { p50_ms: median(&p50), p99_ms: median(&p99), worst_p99_ms: p99.last().copied().unwrap_or_default() }
    }
}

impl Summary {
    fn new() -> Self {
        Self {
            profile: Profile::Lan,
            validators: 0,
            runs: 0,
            blocks: 0,
            timeouts: 0,
            crashes: 0,
            evidence: 0,
            messages: 0,
            virtual_ms: 0,
            cpu_ms: 0.0,
            wall_ms: 0,
            messages_per_cpu_second: 0.0,
            certified: Spread::default(),
            committed: Spread::default(),
            committed_at_leader: Spread::default(),
            failures: Vec::new(),
            delays: [const { Vec::new() }; 3],
            last: None,
        }
    }

    fn add(&mut self, report: Report) {
        self.runs += 1;
        self.blocks += report.committed;
        self.timeouts += report.timeouts;
        self.crashes += report.crashes;
        self.evidence += report.evidence;
        self.messages += report.messages;
        self.virtual_ms += report.virtual_ms;
        self.cpu_ms += report.cpu_ms;
        let delays = [report.certified, report.finalised, report.finalised_at_leader];
        self.delays.iter_mut().zip(delays).for_each(|(all, delays)| all.push(delays));
        if report.violation.is_some() {
            self.failures.push(report);
        } else {
            self.last = Some(report);
        }
    }

    fn finish(&mut self, wall: Duration) {
        self.wall_ms = wall.as_millis();
        self.certified = Spread::of(&self.delays[0]);
        self.committed = Spread::of(&self.delays[1]);
        self.committed_at_leader = Spread::of(&self.delays[2]);
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let messages = self.messages as f64;
        self.messages_per_cpu_second = if self.cpu_ms > 0.0 { messages / self.cpu_ms * 1000.0 } else { 0.0 };
    }

    fn print(&self) {
        if let Some(report) = self.failures.first().or(self.last.as_ref()) {
            report.story.iter().for_each(|line| println!("{line}"));
        }
        println!(
            "{} {} of profile {} with {} validators: {} blocks committed, {} views timed out, {} crashes, {} faults proven",
            self.runs,
            if self.runs == 1 { "world" } else { "worlds" },
            self.profile,
            self.validators,
            self.blocks,
            self.timeouts,
            self.crashes,
            self.evidence,
        );
        println!("\n{:22} {:>10} {:>10} {:>10}", "from proposal to", "p50", "p99", "worst p99");
        let rows = [
            ("certified", &self.certified),
            ("committed", &self.committed),
            ("committed at leader", &self.committed_at_leader),
        ];
        for (name, Spread { p50_ms, p99_ms, worst_p99_ms }) in rows {
            println!("{name:22} {p50_ms:>7.1} ms {p99_ms:>7.1} ms {worst_p99_ms:>7.1} ms");
        }
        println!(
            "\n{} s of virtual time in {:.1} s; {} messages, {:.0} per CPU second",
            self.virtual_ms / 1000,
            Duration::from_millis(u64::try_from(self.wall_ms).unwrap_or(u64::MAX)).as_secs_f64(),
            self.messages,
            self.messages_per_cpu_second,
        );
        if self.runs == 1
            && let Some(report) = &self.last
        {
            println!("trace {:016x}", report.trace_hash);
        }
        for report in &self.failures {
            if let Some(violation) = &report.violation {
                println!("\nseed {}: {:?} does not hold: {}", report.seed, violation.rule, violation.what);
                println!("  replay: {}", violation.replay);
            }
        }
        if self.failures.is_empty() {
            println!("every rule held");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::seeds;

    #[test]
    fn ranges_of_seeds_include_both_ends() {
        assert_eq!(seeds("1..1000"), Ok(1..=1000));
        assert_eq!(seeds("5..=5"), Ok(5..=5));
        for wrong in ["", "1", "..", "a..b", "-1..2", "1..2..3"] {
            assert!(seeds(wrong).unwrap_err().contains("write `1..1000`"), "{wrong}");
        }
        assert!(seeds("2..1").unwrap_err().contains("is empty"));
    }
}

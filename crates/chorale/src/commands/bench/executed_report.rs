//! What a load on executed rollups came to.

use crate::{
    load::{
        Latencies, Percentiles, Tally,
        executed::{Executed, Lag},
    },
    network::monitor::{Frame, NodeSample},
    system::Usage,
    table::Table,
};
use serde::Serialize;
use std::{collections::BTreeMap, fmt, time::Duration};

const MEBIBYTE: f64 = 1024.0 * 1024.0;

/// A moment of the run.
#[derive(Clone, Debug)]
pub(crate) struct Moment {
    /// The sequencer's nodes.
    pub(crate) frame: Frame,
    /// The rollups' node, if it runs on this machine.
    pub(crate) rollups: Option<Usage>,
    /// This process.
    pub(crate) generator: Option<Usage>,
    /// Transactions and bundles that a node made durable.
    pub(crate) accepted: u64,
    /// Transactions of this run that are in blocks.
    pub(crate) executed: u64,
}

impl Moment {
    /// For people who wait.
    pub(crate) fn line(&self, elapsed: Duration, lag: Option<Lag>, open: usize) -> String {
        let lag = lag.map_or_else(|| "unknown".to_owned(), |lag| format!("{} heights, {} ms", lag.heights, lag.ms));
        let seconds = elapsed.as_secs();
        format!("{seconds:>4} s: {} executed, {open} on their way; rollups behind by {lag}", self.executed)
    }

    /// Transactions and bundles settled by the node that is furthest behind.
    fn settled(&self) -> u64 {
        let settled = |sample: &NodeSample| sample.node.as_ref().map_or(0, |node| node.units_settled);
        self.frame.nodes.iter().map(settled).min().unwrap_or(0)
    }

    fn attested(&self) -> u64 {
        self.frame.ahead().map_or(0, |node| node.attested)
    }

    fn largest_validator(&self) -> Option<u64> {
        self.frame.nodes.iter().filter_map(|node| node.usage).map(|usage| usage.memory_bytes).max()
    }

    /// Processor time of all validators; none if one is not known.
    fn validators_cpu(&self) -> Option<Duration> {
        self.frame.nodes.iter().map(|node| node.usage.map(|usage| usage.cpu)).sum()
    }
}

/// A value in the first and in the last quarter of the measured time, and over all of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OverTime {
    first_quarter_p50: f64,
    last_quarter_p50: f64,
    p50: f64,
    p99: f64,
    max: f64,
}

impl OverTime {
    fn of(values: &[f64]) -> Self {
        let at = |values: &[f64], per_cent: usize| {
            let mut sorted = values.to_vec();
            sorted.sort_unstable_by(f64::total_cmp);
            sorted.get((sorted.len() * per_cent).div_ceil(100).saturating_sub(1)).copied().unwrap_or_default()
        };
        let quarter = values.len().div_ceil(4);
        Self {
            first_quarter_p50: at(&values[..quarter], 50),
            last_quarter_p50: at(&values[values.len() - quarter..], 50),
            p50: at(values, 50),
            p99: at(values, 99),
            max: at(values, 100),
        }
    }

    fn cells(&self, name: &str) -> [String; 6] {
        let Self { first_quarter_p50, last_quarter_p50, p50, p99, max } = *self;
        let [first, last, p50, p99, max] =
            [first_quarter_p50, last_quarter_p50, p50, p99, max].map(|value| format!("{value:.0}"));
        [name.to_owned(), first, last, p50, p99, max]
    }
}

/// All of it. Rates are per second and over the time after the warm-up; counts are of the whole run.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    rate: u64,
    bundles_percent: u64,
    measured_seconds: f64,
    submitted_units: u64,
    accepted_units: u64,
    refused: BTreeMap<String, u64>,
    not_in_time: u64,
    offered_per_second: f64,
    accepted_units_per_second: f64,
    settled_units_per_second: f64,
    executed_per_second: f64,
    heights_per_second: f64,
    executed: u64,
    others: u64,
    blocks: u64,
    without_block: u64,
    drain_seconds: f64,
    failed_questions: BTreeMap<String, u64>,
    latency: BTreeMap<&'static str, Percentiles>,
    lag_heights: OverTime,
    lag_ms: OverTime,
    rollups_memory_mib: OverTime,
    validator_memory_mib: OverTime,
    validators_cpus: Option<f64>,
    rollups_cpus: Option<f64>,
    generator_cpus: Option<f64>,
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
const fn float(count: u64) -> f64 {
    count as f64
}

impl Report {
    /// `moments`: from the end of the warm-up on; `seconds`: of the whole run.
    pub(crate) fn new(
        rate: u64,
        bundles_percent: u64,
        seconds: f64,
        moments: &[Moment],
        lags: &[Lag],
        tally: &Tally,
        executed: &Executed,
    ) -> Self {
        let [begin, .., end] = moments else { unreachable!("there is one at the beginning and one at the end") };
        let measured_seconds = (end.frame.at - begin.frame.at).as_secs_f64().max(0.001);
        let per_second = |of: fn(&Moment) -> u64| float(of(end).saturating_sub(of(begin))) / measured_seconds;
        let cpus = |of: fn(&Moment) -> Option<Duration>| {
            let used = of(end).zip(of(begin)).and_then(|(end, begin)| end.checked_sub(begin));
            used.map(|used| used.as_secs_f64() / measured_seconds)
        };
        let memory = |of: fn(&Moment) -> Option<u64>| {
            OverTime::of(&moments.iter().filter_map(of).map(|bytes| float(bytes) / MEBIBYTE).collect::<Vec<f64>>())
        };
        let lag = |of: fn(&Lag) -> u64| OverTime::of(&lags.iter().map(|lag| float(of(lag))).collect::<Vec<f64>>());
        let latency = |latencies: &Latencies| latencies.percentiles();
        Self {
            rate,
            bundles_percent,
            measured_seconds,
            submitted_units: tally.submitted,
            accepted_units: tally.accepted,
            refused: tally.refused.clone(),
            not_in_time: tally.overrun,
            offered_per_second: float(tally.submitted) * float(100 + bundles_percent) / 100.0 / seconds.max(0.001),
            accepted_units_per_second: per_second(|moment| moment.accepted),
            settled_units_per_second: per_second(Moment::settled),
            executed_per_second: per_second(|moment| moment.executed),
            heights_per_second: per_second(Moment::attested),
            executed: executed.transactions,
            others: executed.others,
            blocks: executed.blocks,
            without_block: 0,
            drain_seconds: 0.0,
            failed_questions: executed.failed.clone(),
            latency: BTreeMap::from([
                ("accepted", latency(&tally.latency_accepted)),
                ("latest", latency(&executed.latest)),
                ("safe", latency(&executed.safe)),
            ]),
            lag_heights: lag(|lag| lag.heights),
            lag_ms: lag(|lag| lag.ms),
            rollups_memory_mib: memory(|moment| moment.rollups.map(|usage| usage.memory_bytes)),
            validator_memory_mib: memory(Moment::largest_validator),
            validators_cpus: cpus(Moment::validators_cpu),
            rollups_cpus: cpus(|moment| moment.rollups.map(|usage| usage.cpu)),
            generator_cpus: cpus(|moment| moment.generator.map(|usage| usage.cpu)),
        }
    }

    /// Transactions that are in no block, so long after the last one was submitted.
    pub(crate) fn with_end(mut self, without_block: usize, drain: Duration) -> Self {
        (self.without_block, self.drain_seconds) = (without_block as u64, drain.as_secs_f64());
        self
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} transactions/s for the executed rollups, {} of 100 units bundles, measured for {:.0} s\n",
            self.rate, self.bundles_percent, self.measured_seconds
        )?;
        let Self { submitted_units, accepted_units, executed, others, blocks, .. } = self;
        writeln!(f, "offered    {:>8.0} transactions/s, {submitted_units} units in all", self.offered_per_second)?;
        writeln!(f, "accepted   {:>8.0} units/s, {accepted_units} in all", self.accepted_units_per_second)?;
        writeln!(
            f,
            "settled    {:>8.0} units/s, on every node, with those that were ordered once more without effect",
            self.settled_units_per_second
        )?;
        writeln!(
            f,
            "executed   {:>8.0} transactions/s; {executed} in {blocks} blocks, with {others} others",
            self.executed_per_second
        )?;
        writeln!(f, "heights    {:>8.1} attested/s", self.heights_per_second)?;
        writeln!(f, "in no block  {}, after {:.1} s", self.without_block, self.drain_seconds)?;
        writeln!(f, "not in time  {}  (the sequencer did not answer in time for them)", self.not_in_time)?;
        for (reason, count) in &self.refused {
            writeln!(f, "refused    {count:>9}  {reason}")?;
        }
        for (reason, count) in &self.failed_questions {
            writeln!(f, "no answer  {count:>9}  {reason}")?;
        }
        let mut table = Table::new(&["from submission to", "p50 ms", "p90 ms", "p99 ms", "max ms", "samples"]);
        for name in ["accepted", "latest", "safe"] {
            if let Some(of) = self.latency.get(name) {
                let ms = |value: f64| format!("{value:.1}");
                let row = [ms(of.p50_ms), ms(of.p90_ms), ms(of.p99_ms), ms(of.max_ms), of.count.to_string()];
                let [p50, p90, p99, max, count] = row;
                table.row([name.to_owned(), p50, p90, p99, max, count]);
            }
        }
        write!(f, "\n{table}")?;
        let mut table = Table::new(&["over time", "p50 of first quarter", "p50 of last quarter", "p50", "p99", "max"]);
        table.row(self.lag_heights.cells("rollups behind the order, heights"));
        table.row(self.lag_ms.cells("rollups behind the order, ms"));
        table.row(self.rollups_memory_mib.cells("memory of the rollups' node, MiB"));
        table.row(self.validator_memory_mib.cells("memory of the largest validator, MiB"));
        write!(f, "\n{table}\n")?;
        let some = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"));
        let (validators, rollups) = (some(self.validators_cpus), some(self.rollups_cpus));
        let generator = some(self.generator_cpus);
        writeln!(
            f,
            "processors used: {validators} by all validators, {rollups} by the rollups' node, {generator} by the generator"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::OverTime;

    #[test]
    fn quarters_show_what_rises() {
        let rising: Vec<f64> = (1..=100).map(f64::from).collect();
        let OverTime { first_quarter_p50, last_quarter_p50, p50, p99, max } = OverTime::of(&rising);
        assert_eq!((first_quarter_p50, last_quarter_p50, p50, p99, max), (13.0, 88.0, 50.0, 99.0, 100.0));
        assert_eq!(OverTime::of(&[]), OverTime::default());
    }
}

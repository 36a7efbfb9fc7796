//! What a load came to.

use crate::{
    load::{Percentiles, Tally},
    network::{
        monitor::{Frame, rates},
        view::steps,
    },
    table::Table,
};
use serde::Serialize;
use std::{collections::BTreeMap, fmt, time::Duration};

const MEBIBYTE: f64 = 1024.0 * 1024.0;

/// One node.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NodeReport {
    name: String,
    blocks_per_second: f64,
    settled_per_second: f64,
    cpu_seconds: Option<f64>,
    memory_mib: Option<f64>,
    memory_mib_max: Option<f64>,
    pool_entries: Option<u64>,
}

impl NodeReport {
    /// Of the node with this index, between two moments.
    pub(crate) fn new(name: &str, index: usize, begin: &Frame, end: &Frame, elapsed: Duration) -> Self {
        let pair = begin.nodes.get(index).zip(end.nodes.get(index));
        let rates = pair.map(|(begin, end)| rates(begin, end, elapsed)).unwrap_or_default();
        let usage = pair.and_then(|(_, end)| end.usage);
        #[expect(clippy::cast_precision_loss, reason = "shown in mebibytes")]
        let mib = |bytes: u64| bytes as f64 / MEBIBYTE;
        Self {
            name: name.to_owned(),
            blocks_per_second: rates.blocks,
            settled_per_second: rates.units,
            cpu_seconds: usage.map(|_| rates.cpus * elapsed.as_secs_f64()),
            memory_mib: usage.map(|usage| mib(usage.memory_bytes)),
            memory_mib_max: usage.map(|usage| mib(usage.memory_bytes_max)),
            pool_entries: pair.and_then(|(_, end)| end.pool.as_ref()).map(|pool| pool.entries),
        }
    }
}

/// All of it. Rates are per second and over the time after the warm-up; counts and latencies are of the whole run.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    rate: u64,
    transaction_bytes: usize,
    measured_seconds: f64,
    submitted: u64,
    accepted: u64,
    refused: BTreeMap<String, u64>,
    not_sent: u64,
    submitted_per_second: f64,
    accepted_per_second: f64,
    settled_per_second_everywhere: f64,
    settled_megabytes_per_second: f64,
    unsettled_at_end: u64,
    drain_seconds: f64,
    latency: BTreeMap<&'static str, Percentiles>,
    samples_lost: BTreeMap<String, u64>,
    validators_cpu_us_per_transaction: Option<f64>,
    generator_cpu_us_per_transaction: Option<f64>,
    memory_mib_first_quarter: f64,
    memory_mib_last_quarter: f64,
    nodes: Vec<NodeReport>,
}

impl Report {
    /// `seconds`: measured, and in all; `accepted`: in the measured time.
    pub(crate) fn new(
        rate: u64,
        transaction_bytes: usize,
        seconds: [f64; 2],
        accepted: u64,
        generator: Option<Duration>,
        nodes: Vec<NodeReport>,
        tally: &Tally,
    ) -> Self {
        let [measured_seconds, all_seconds] = seconds;
        let settled = nodes.iter().map(|node| node.settled_per_second).fold(f64::INFINITY, f64::min);
        let settled = if settled.is_finite() { settled } else { 0.0 };
        let cpu: Option<f64> = nodes.iter().map(|node| node.cpu_seconds).sum();
        #[expect(clippy::cast_precision_loss, reason = "rates for people")]
        let count = |count: u64| count as f64;
        let per = |cpu_seconds: f64, transactions: f64| (transactions > 0.0).then(|| cpu_seconds * 1e6 / transactions);
        #[expect(clippy::cast_precision_loss, reason = "rates for people")]
        let megabytes = settled * transaction_bytes as f64 / 1e6;
        Self {
            rate,
            transaction_bytes,
            measured_seconds,
            submitted: tally.submitted,
            accepted: tally.accepted,
            refused: tally.refused.clone(),
            not_sent: tally.overrun,
            submitted_per_second: count(tally.submitted) / all_seconds.max(0.001),
            accepted_per_second: count(accepted) / measured_seconds.max(0.001),
            settled_per_second_everywhere: settled,
            settled_megabytes_per_second: megabytes,
            unsettled_at_end: 0,
            drain_seconds: 0.0,
            latency: steps(tally).into_iter().map(|(name, latencies)| (name, latencies.percentiles())).collect(),
            samples_lost: tally.lost.clone(),
            validators_cpu_us_per_transaction: cpu.and_then(|cpu| per(cpu, settled * measured_seconds)),
            generator_cpu_us_per_transaction: generator.and_then(|cpu| per(cpu.as_secs_f64(), count(accepted))),
            memory_mib_first_quarter: 0.0,
            memory_mib_last_quarter: 0.0,
            nodes,
        }
    }

    /// `memory`: of the largest node, over time.
    pub(crate) fn with_end(mut self, unsettled: u64, drain: Duration, memory: &[u64]) -> Self {
        let quarter = memory.len().div_ceil(4);
        let most = |samples: &[u64]| {
            #[expect(clippy::cast_precision_loss, reason = "shown in mebibytes")]
            let bytes = samples.iter().copied().max().unwrap_or(0) as f64;
            bytes / MEBIBYTE
        };
        self.unsettled_at_end = unsettled;
        self.drain_seconds = drain.as_secs_f64();
        self.memory_mib_first_quarter = most(&memory[..quarter]);
        self.memory_mib_last_quarter = most(&memory[memory.len() - quarter..]);
        self
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}/s of {} bytes, measured for {:.0} s\n",
            self.rate, self.transaction_bytes, self.measured_seconds
        )?;
        writeln!(f, "submitted  {:>9}  {:>8.0}/s", self.submitted, self.submitted_per_second)?;
        writeln!(f, "accepted   {:>9}  {:>8.0}/s", self.accepted, self.accepted_per_second)?;
        writeln!(
            f,
            "settled on every node  {:>8.0}/s  ({:.2} MB/s)",
            self.settled_per_second_everywhere, self.settled_megabytes_per_second
        )?;
        writeln!(f, "not sent   {:>9}  (the network did not keep up)", self.not_sent)?;
        for (reason, count) in &self.refused {
            writeln!(f, "refused    {count:>9}  {reason}")?;
        }
        writeln!(f, "unsettled at the end  {}, after {:.1} s\n", self.unsettled_at_end, self.drain_seconds)?;
        let mut table = Table::new(&["from submission to", "p50 ms", "p90 ms", "p99 ms", "max ms", "samples"]);
        for name in ["accepted", "certified", "committed", "revealed", "attested"] {
            if let Some(of) = self.latency.get(name) {
                let ms = |value: f64| format!("{value:.1}");
                let cells = [ms(of.p50_ms), ms(of.p90_ms), ms(of.p99_ms), ms(of.max_ms), of.count.to_string()];
                let [p50, p90, p99, max, count] = cells;
                table.row([name.to_owned(), p50, p90, p99, max, count]);
            }
        }
        write!(f, "{table}")?;
        for (what, count) in &self.samples_lost {
            writeln!(f, "lost samples: {count} {what}")?;
        }
        let mut table = Table::new(&["node", "blocks/s", "settled/s", "cpu s", "memory MiB", "max MiB", "pool"]);
        let some = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1}"));
        for node in &self.nodes {
            table.row([
                node.name.clone(),
                format!("{:.1}", node.blocks_per_second),
                format!("{:.0}", node.settled_per_second),
                some(node.cpu_seconds),
                some(node.memory_mib),
                some(node.memory_mib_max),
                node.pool_entries.map_or_else(|| "-".to_owned(), |entries| entries.to_string()),
            ]);
        }
        writeln!(f, "\n{table}")?;
        writeln!(
            f,
            "processor time per transaction: {} us over all validators, {} us in the generator",
            some(self.validators_cpu_us_per_transaction),
            some(self.generator_cpu_us_per_transaction),
        )?;
        writeln!(
            f,
            "memory of the largest validator: {:.0} MiB in the first quarter, {:.0} MiB in the last",
            self.memory_mib_first_quarter, self.memory_mib_last_quarter
        )
    }
}

//! The live view of a network in a terminal, and its one line for logs.

use super::monitor::Frame;
use crate::{
    load::{Latencies, Tally},
    rpc::Endpoint,
    table::Table,
};
use chorale_api::RollupFigures;
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{self, Write as _},
    time::Duration,
};

/// Rollups that are shown.
const ROLLUPS_SHOWN: usize = 8;
const MEBIBYTE: f64 = 1024.0 * 1024.0;

/// What a frame is drawn with besides.
#[derive(Clone, Debug)]
pub(crate) struct Scene<'a> {
    /// Since the network was started.
    pub(crate) up: Duration,
    /// The nodes.
    pub(crate) endpoints: &'a [Endpoint],
    /// Transactions per second that are submitted, and what became of them.
    pub(crate) load: Option<(u64, &'a Tally)>,
    /// The last thing that happened.
    pub(crate) event: Option<&'a str>,
}

/// The lines of the live view.
pub(crate) fn draw(frame: &Frame, scene: &Scene<'_>) -> String {
    let mut text = String::new();
    let seconds = scene.up.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let _ = write!(text, "chorale devnet, up {hours:02}:{minutes:02}:{seconds:02}");
    if let Some(node) = frame.ahead() {
        let _ = writeln!(text, ", chain {}, Ctrl-C stops it\n", short(&node.chain));
        let blocks = best(frame, |rates| rates.blocks);
        let units = best(frame, |rates| rates.units);
        let _ = writeln!(
            text,
            "epoch {}   view {}   height {}   {blocks:.1} blocks/s   {units:.0} transactions/s settled",
            node.epoch, node.view, node.committed
        );
    } else {
        let _ = writeln!(text, ", no node answers\n");
    }
    let _ = writeln!(text);
    match scene.load {
        Some((rate, tally)) => text.push_str(&load(rate, tally)),
        None => text.push_str("latencies are measured with --load RATE\n"),
    }
    let _ = write!(text, "\n{}\n{}", rollups(frame), nodes(frame, scene.endpoints));
    if let Some(event) = scene.event {
        let _ = writeln!(text, "\n{event}");
    }
    text
}

fn best(frame: &Frame, rate: impl Fn(&super::monitor::Rates) -> f64) -> f64 {
    frame.rates.iter().map(rate).fold(0.0, f64::max)
}

fn load(rate: u64, tally: &Tally) -> String {
    let mut table = Table::new(&["from submission to", "p50", "p90", "p99", "samples"]);
    for (name, latencies) in steps(tally) {
        let of = latencies.percentiles();
        let ms = |value: f64| format!("{value:.0} ms");
        table.row([name.to_owned(), ms(of.p50_ms), ms(of.p90_ms), ms(of.p99_ms), of.count.to_string()]);
    }
    let refused: String =
        tally.refused.iter().map(|(reason, count)| format!("\n  refused {count}: {reason}")).collect();
    format!(
        "load {rate}/s: {} submitted, {} accepted, {} refused, {} not sent{refused}\n{table}",
        tally.submitted,
        tally.accepted,
        tally.refused_total(),
        tally.overrun,
    )
}

/// The latencies of a tally, with names.
pub(crate) fn steps(tally: &Tally) -> [(&'static str, &Latencies); 5] {
    [
        ("accepted", &tally.latency_accepted),
        ("certified", &tally.latency_certified),
        ("committed", &tally.latency_committed),
        ("revealed", &tally.latency_revealed),
        ("attested", &tally.latency_attested),
    ]
}

fn rollups(frame: &Frame) -> String {
    // Gossip gives every pool the same in the end; the fullest knows most.
    let mut known: BTreeMap<u64, RollupFigures> = BTreeMap::new();
    for figures in frame.nodes.iter().filter_map(|node| node.pool.as_ref()).flat_map(|pool| &pool.rollups) {
        let entry = known.entry(figures.rollup).or_insert_with(|| figures.clone());
        if entry.entries < figures.entries {
            *entry = figures.clone();
        }
    }
    for rollup in frame.ahead().iter().flat_map(|node| &node.rollups) {
        known.entry(*rollup).or_insert(RollupFigures { rollup: *rollup, entries: 0, bytes: 0 });
    }
    let mut table = Table::new(&["rollup", "waiting", "bytes"]);
    for figures in known.values().take(ROLLUPS_SHOWN) {
        table.row([figures.rollup.to_string(), figures.entries.to_string(), figures.bytes.to_string()]);
    }
    let more = known.len().saturating_sub(ROLLUPS_SHOWN);
    if more > 0 { format!("{table}and {more} more\n") } else { table.to_string() }
}

fn nodes(frame: &Frame, endpoints: &[Endpoint]) -> String {
    let heading = ["node", "api", "view", "committed", "settled", "attested", "pool", "settled/s", "cpu", "memory"];
    let mut table = Table::new(&heading);
    for ((endpoint, node), rates) in endpoints.iter().zip(&frame.nodes).zip(&frame.rates) {
        let Some(answer) = &node.node else {
            let state = if node.usage.is_some() { "does not answer yet" } else { "down" };
            table.row([endpoint.name.clone(), endpoint.url.clone(), state.to_owned()]);
            continue;
        };
        #[expect(clippy::cast_precision_loss, reason = "shown in mebibytes")]
        let memory = node.usage.map_or(0.0, |usage| usage.memory_bytes as f64 / MEBIBYTE);
        table.row([
            endpoint.name.clone(),
            endpoint.url.clone(),
            answer.view.to_string(),
            answer.committed.to_string(),
            answer.settled.to_string(),
            answer.attested.to_string(),
            node.pool.as_ref().map_or_else(|| "-".to_owned(), |pool| pool.entries.to_string()),
            format!("{:.0}", rates.units),
            format!("{:.0}%", rates.cpus * 100.0),
            format!("{memory:.0} MiB"),
        ]);
    }
    table.to_string()
}

/// One line for logs.
pub(crate) fn line(frame: &Frame, scene: &Scene<'_>) -> String {
    let up = scene.up.as_secs();
    let Some(node) = frame.ahead() else { return format!("{up} s: no node answers") };
    let answering = frame.nodes.iter().filter(|node| node.node.is_some()).count();
    let mut text = format!(
        "{up} s: view {}, height {}, {:.1} blocks/s, settled {} at {:.0} transactions/s, attested {}, {answering} of {} nodes",
        node.view,
        node.committed,
        best(frame, |rates| rates.blocks),
        node.settled,
        best(frame, |rates| rates.units),
        node.attested,
        frame.nodes.len(),
    );
    if let Some((rate, tally)) = scene.load {
        let _ = write!(text, "; load {rate}/s, {} accepted", tally.accepted);
        for (name, latencies) in steps(tally) {
            let of = latencies.percentiles();
            let _ = write!(text, ", {name} {:.0}/{:.0} ms", of.p50_ms, of.p99_ms);
        }
    }
    text
}

fn short(id: &str) -> &str {
    id.get(..14).unwrap_or(id)
}

/// Draws over what it has drawn before.
#[derive(Debug, Default)]
pub(crate) struct Screen {
    lines: usize,
}

impl Screen {
    /// Shows the lines, cut to the terminal's width so that none takes two rows.
    pub(crate) fn show(&mut self, text: &str, width: usize) -> io::Result<()> {
        let mut out = String::new();
        if self.lines > 0 {
            // Up to the first line, and everything below it away.
            let _ = write!(out, "\x1b[{}A\r\x1b[J", self.lines);
        }
        for line in text.lines() {
            out.extend(line.chars().take(width.saturating_sub(1)));
            out.push('\n');
        }
        self.lines = text.lines().count();
        let mut terminal = io::stdout().lock();
        terminal.write_all(out.as_bytes())?;
        terminal.flush()
    }
}

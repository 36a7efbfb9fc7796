//! `/metrics`, `/healthz` and `/readyz`: how the node is, for operators' tools.

use crate::published::{Published, Shared};
use alloy_eips::BlockNumberOrTag;
use chorale_api::{Figures, METRICS, Page, Pages};
use chorale_engine::State;
use chorale_types::RollupId;
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// How long the node may hear neither of content nor that there is none.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// How the execution clients are, by rollup.
pub(crate) type EngineStates = BTreeMap<RollupId, watch::Receiver<State>>;

/// What is told.
pub(crate) struct Told {
    pub(crate) shared: Arc<Shared>,
    /// Whether what is executed was level with the chain once.
    pub(crate) level: watch::Receiver<bool>,
    /// When it was last heard what the chain has, or that there is no more.
    pub(crate) alive: watch::Receiver<Instant>,
    pub(crate) engines: EngineStates,
}

/// The pages.
pub(crate) fn pages(told: Told) -> Pages {
    Arc::new(move |path| match path {
        METRICS => Some(Page::of(told.figures())),
        "/healthz" => Some(Page::of("up\n".to_owned())),
        "/readyz" => Some(told.readiness()),
        _ => None,
    })
}

impl Told {
    /// Balancers send users elsewhere while it is not.
    fn is_ready(&self) -> bool {
        *self.level.borrow() && self.alive.borrow().elapsed() < SILENCE_MAX
    }

    fn readiness(&self) -> Page {
        if self.is_ready() {
            return Page::of("follows the chain\n".to_owned());
        }
        let height = self.shared.read().height;
        let text = format!("executed to height {height}, and catching up with the chain, or no node of it answers\n");
        Page { status: 503, text }
    }

    fn figures(&self) -> String {
        let mut figures = Figures::default();
        let is_ready = u64::from(self.is_ready());
        let published = self.shared.read();
        figures.gauge("chorale_rollup_height", "The last height that is executed and written.", published.height.0);
        let attested = published.attested.0;
        figures.gauge("chorale_rollup_height_attested", "The last executed height that is attested.", attested);
        figures.gauge("chorale_rollup_ready", "1 if the node follows the chain, as /readyz tells.", is_ready);
        rollups(&mut figures, &published);
        let bundles = published.totals.bundles.iter().map(|(fate, count)| (format!("fate=\"{fate}\""), *count));
        figures.counters("chorale_rollup_bundles_total", "Bundles that executed, by what became of them.", bundles);
        drop(published);
        self.engines(&mut figures);
        figures.into_text()
    }

    fn engines(&self, figures: &mut Figures) {
        let states = self.engines.iter().map(|(rollup, state)| (label(*rollup), state.borrow().clone()));
        let states: Vec<(String, State)> = states.collect();
        let block = |(label, state): &(String, State)| match state {
            State::Following(number) => Some((label.clone(), *number)),
            _ => None,
        };
        let help = "The block that the execution client has, while it follows.";
        figures.gauges("chorale_rollup_engine_block", help, states.iter().filter_map(block));
        let alarm = |(label, state): &(String, State)| (label.clone(), u8::from(matches!(state, State::Alarm(_))));
        let help = "1 if the execution client disagrees: see the log.";
        figures.gauges("chorale_rollup_engine_alarm", help, states.iter().map(alarm));
    }
}

fn rollups(figures: &mut Figures, published: &Published) {
    for (tag, name, help) in [
        (BlockNumberOrTag::Latest, "chorale_rollup_block", "The last block."),
        (BlockNumberOrTag::Finalized, "chorale_rollup_block_finalized", "The last block that is attested."),
    ] {
        let blocks = published.rollups.iter().map(|(rollup, blocks)| (label(*rollup), blocks.number(tag)));
        figures.gauges(name, help, blocks);
    }
    let pending = published.pending.iter().map(|(rollup, pending)| (label(*rollup), pending.len()));
    let help = "Transactions that this node handed on, and that are in no block yet.";
    figures.gauges("chorale_rollup_pending", help, pending);
    let of = &published.totals.rollups;
    let transactions = of.iter().map(|(rollup, made)| (label(*rollup), made.transactions));
    let help = "Transactions in blocks since the node was started.";
    figures.counters("chorale_rollup_transactions_total", help, transactions);
    let skipped = of.iter().map(|(rollup, made)| (label(*rollup), made.skipped));
    let help = "Ordered transactions without effect since the node was started.";
    figures.counters("chorale_rollup_skipped_total", help, skipped);
    let gas = of.iter().map(|(rollup, made)| (label(*rollup), made.gas));
    figures.counters("chorale_rollup_gas_total", "Gas used in blocks since the node was started.", gas);
}

fn label(rollup: RollupId) -> String {
    format!("rollup=\"{rollup}\"")
}

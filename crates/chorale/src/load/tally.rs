//! What the generator has counted.

use super::Latencies;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

/// Different reasons that are kept; the rest count as other.
const REASONS_MAX: usize = 16;
const REASON_CHARS_MAX: usize = 120;

/// Counts since the start.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// Transactions sent to a node.
    pub(crate) submitted: u64,
    /// Transactions that a node made durable.
    pub(crate) accepted: u64,
    /// Transactions that were due when too many requests were unanswered, so they were not sent.
    pub(crate) overrun: u64,
    /// Transactions that were refused, or whose request failed, by reason.
    pub(crate) refused: BTreeMap<String, u64>,
    /// From submission to the node's answer; of requests.
    pub(crate) latency_accepted: Latencies,
    /// From submission to `certified`; of samples.
    pub(crate) latency_certified: Latencies,
    /// From submission to `committed`; of samples.
    pub(crate) latency_committed: Latencies,
    /// From submission to `revealed`; of samples.
    pub(crate) latency_revealed: Latencies,
    /// From submission to `order_attested`; of samples.
    pub(crate) latency_attested: Latencies,
    /// Samples that ended in another way, or did not end in time, by what became of them.
    pub(crate) lost: BTreeMap<String, u64>,
}

impl Tally {
    /// Counts refused transactions.
    pub(crate) fn refuse(&mut self, reason: &str, count: u64) {
        bounded(&mut self.refused, reason, count);
    }

    /// Forgets the durations of the warm-up.
    pub(crate) fn forget_latencies(&mut self) {
        let fresh = Self::default();
        self.latency_accepted = fresh.latency_accepted;
        self.latency_certified = fresh.latency_certified;
        self.latency_committed = fresh.latency_committed;
        self.latency_revealed = fresh.latency_revealed;
        self.latency_attested = fresh.latency_attested;
    }

    /// Counts a sample that was not ordered.
    pub(crate) fn lose(&mut self, what: &str) {
        bounded(&mut self.lost, what, 1);
    }

    /// Transactions refused for any reason.
    pub(crate) fn refused_total(&self) -> u64 {
        self.refused.values().sum()
    }
}

fn bounded(counts: &mut BTreeMap<String, u64>, reason: &str, count: u64) {
    let short: String = reason.chars().take(REASON_CHARS_MAX).collect();
    let full = counts.len() >= REASONS_MAX && !counts.contains_key(&short);
    *counts.entry(if full { "other".to_owned() } else { short }).or_default() += count;
}

/// A tally that several tasks count in.
#[derive(Clone, Debug, Default)]
pub(crate) struct TallyHandle(Arc<Mutex<Tally>>);

impl TallyHandle {
    /// Counts, or reads.
    pub(crate) fn with<T>(&self, action: impl FnOnce(&mut Tally) -> T) -> T {
        action(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

//! Figures for metrics.

use crate::{config::Standing, peer::PeerId, pool::Mempool, rejected::Rejected, status::Outcome};
use chorale_types::RollupId;
use std::collections::BTreeMap;

/// Counts since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) admitted: u64,
    pub(crate) rejected: [u64; Rejected::LABELS.len()],
    pub(crate) revealed: u64,
    pub(crate) evicted: u64,
    pub(crate) expired: u64,
    pub(crate) skipped: u64,
    pub(crate) fetched: u64,
    pub(crate) fetch_timeouts: u64,
    pub(crate) announcements_ignored: u64,
    pub(crate) pushes_withheld: u64,
    pub(crate) misbehaviours: u64,
}

impl Counters {
    pub(crate) const fn ended(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Revealed(_) => self.revealed += 1,
            Outcome::Evicted(_) => self.evicted += 1,
            Outcome::Expired(_) => self.expired += 1,
            Outcome::Skipped(_) => self.skipped += 1,
        }
    }
}

/// What a rollup or a peer holds of the pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Encoded bytes.
    pub bytes: u64,
    /// Entries.
    pub entries: u64,
}

/// A snapshot of the pool's figures. Counts are since the start of the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figures {
    /// Bytes and entries in all.
    pub total: Held,
    /// By rollup; bundles count for their home.
    pub rollups: BTreeMap<RollupId, Held>,
    /// By the peer they came from.
    pub peers: BTreeMap<PeerId, Held>,
    /// Payloads in flight whose manifests are known.
    pub payloads_in_flight: usize,
    /// Announced entries whose bodies are missing.
    pub wanted: usize,
    /// Ended entries whose outcome is remembered.
    pub remembered: usize,
    /// Entries admitted.
    pub admitted: u64,
    /// Entries refused, by [`Rejected::label`].
    pub rejected: BTreeMap<&'static str, u64>,
    /// Entries that were ordered with effect.
    pub revealed: u64,
    /// Entries evicted.
    pub evicted: u64,
    /// Entries expired.
    pub expired: u64,
    /// Entries ordered without effect.
    pub skipped: u64,
    /// Bodies that came on request.
    pub fetched: u64,
    /// Requests that were not answered in time.
    pub fetch_timeouts: u64,
    /// Announced ids beyond a peer's budget, left for a later announcement.
    pub announcements_ignored: u64,
    /// Pushes not sent because the peer's budget was used up; reconciliation delivers the entries.
    pub pushes_withheld: u64,
    /// Misbehaviours reported.
    pub misbehaviours: u64,
}

impl Mempool {
    /// How many entries wait that no payload in flight claims to carry. Those of suspended rollups wait for something else.
    #[must_use]
    pub fn waiting(&self) -> usize {
        let suspended = self.config.rollups.iter().filter(|(_, standing)| **standing == Standing::Suspended);
        let queues = suspended.filter_map(|(rollup, _)| self.store.queues().get(rollup));
        let waiting_for_more: usize = queues.map(|queue| queue.pending).sum();
        self.store.pending().saturating_sub(waiting_for_more)
    }

    /// A snapshot of the figures.
    pub fn figures(&self) -> Figures {
        let counters = &self.counters;
        let held = |usage: crate::store::Usage| Held { bytes: usage.bytes, entries: usage.entries };
        Figures {
            total: held(self.store.total()),
            rollups: self.store.queues().iter().map(|(&rollup, queue)| (rollup, held(queue.usage))).collect(),
            peers: self.store.origins().iter().map(|(&peer, &usage)| (peer, held(usage))).collect(),
            payloads_in_flight: self.flights.len(),
            wanted: self.gossip.wanted(),
            remembered: self.history.len() + self.history_of_peers.len() + self.ordered.len(),
            admitted: counters.admitted,
            rejected: Rejected::LABELS.into_iter().zip(counters.rejected).collect(),
            revealed: counters.revealed,
            evicted: counters.evicted,
            expired: counters.expired,
            skipped: counters.skipped,
            fetched: counters.fetched,
            fetch_timeouts: counters.fetch_timeouts,
            announcements_ignored: counters.announcements_ignored,
            pushes_withheld: counters.pushes_withheld,
            misbehaviours: counters.misbehaviours,
        }
    }
}

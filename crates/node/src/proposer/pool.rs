//! What the proposer needs of the mempool.

use crate::watch;
use chorale_types::{Height, Manifest, PayloadUnit, TimestampMs, UnitId};
use std::{collections::BTreeSet, future::Future, sync::Arc};

/// What a selection may take.
#[derive(Clone, Debug)]
pub struct Selection {
    /// Bytes of all entries together.
    pub bytes_max: u64,
    /// Bytes of those that are overdue, which come first.
    pub overdue_bytes_max: u64,
    /// The last revealed height: what has waited for too many heights until it is overdue.
    pub revealed: Height,
    /// How many entries.
    pub entries_max: usize,
    /// The height that they may stand in at the earliest.
    pub height: Height,
    /// What is left out.
    pub exclude: Arc<Exclusion>,
    /// What is left to others.
    pub leave: Leave,
}

/// What leaders on duty before this one are taking, as far as their payloads have not been seen: the oldest entries of
/// the pool, which is about the same on all nodes. Taking those too would order them twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leave {
    /// They take what came before.
    pub before: TimestampMs,
    /// As much as their payloads hold.
    pub bytes: u64,
}

/// What is on its way already.
#[derive(Clone, Debug, Default)]
pub struct Exclusion {
    /// Entries of this node's own payloads.
    pub own: BTreeSet<UnitId>,
    /// Manifests of payloads that leaders before this node's turn have dispersed, or announced.
    pub manifests: Vec<Arc<Manifest>>,
    /// Whether the manifests keep out also what is overdue, for a bounded time.
    pub overdue_too: bool,
}

impl Exclusion {
    /// Whether an entry is left out.
    #[must_use]
    pub fn excludes(&self, unit: &PayloadUnit) -> bool {
        self.own.contains(&unit.id()) || self.claims(unit)
    }

    /// Whether a payload of others claims to carry an entry.
    #[must_use]
    pub fn claims(&self, unit: &PayloadUnit) -> bool {
        let carried = |manifest: &Arc<Manifest>| unit.transaction_ids().iter().all(|id| manifest.contains(id));
        self.manifests.iter().any(carried)
    }
}

/// The pool, as the proposer sees it.
pub trait Pool: Send + Sync + 'static {
    /// First entries that are overdue, against which claims of others count for a bounded time only; then what else
    /// waits. Fair between rollups, oldest first.
    fn select(&self, selection: Selection) -> impl Future<Output = Vec<PayloadUnit>> + Send;

    /// How many entries wait that no payload in flight claims to carry.
    fn waiting(&self) -> watch::Receiver<usize>;
}

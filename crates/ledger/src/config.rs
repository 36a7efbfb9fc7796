//! What the genesis says that settlement depends on.

use chorale_types::{ChainId, RollupId, TimestampMs};
use std::collections::BTreeSet;

/// The parameters of settlement. All of them are part of the genesis: with others, outcomes differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The chain.
    pub chain: ChainId,
    /// Chain time of height 0.
    pub start: TimestampMs,
    /// What chain time rises by at most from height to height.
    pub time_step_ms_max: u64,
    /// For how many heights a transaction that was ordered cannot be ordered again; at most
    /// [`DEDUP_WINDOW_HEIGHTS_MAX`](chorale_types::limits::DEDUP_WINDOW_HEIGHTS_MAX).
    pub dedup_window_heights: u64,
    /// The rollups of the chain.
    pub rollups: BTreeSet<RollupId>,
}

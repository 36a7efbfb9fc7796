//! What the genesis says that settlement depends on.

use chorale_types::{
    ChainId, DomainId, Genesis, HashKey, Height, RollupId, TimestampMs, limits::DEDUP_WINDOW_HEIGHTS_MAX,
};
use std::{collections::BTreeMap, ops::RangeInclusive};

/// What settlement knows of a rollup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RollupRules {
    /// Its transactions carry nonces, so it skips repeats by itself: only those of one height are left out for it.
    /// Ordering a later nonce first burns nothing, and the same transaction may be ordered again.
    pub has_nonces: bool,
    /// The domain that it is executed in, if it is: all legs of a bundle that executes as a whole are of one.
    pub domain: Option<DomainId>,
}

/// The parameters of settlement. All but the hash key are part of the genesis: with others, outcomes differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The chain.
    pub chain: ChainId,
    /// Chain time of height 0.
    pub start: TimestampMs,
    /// What chain time rises by at most from height to height.
    pub time_step_ms_max: u64,
    /// For how many heights a transaction that was ordered cannot be ordered again; at most
    /// [`DEDUP_WINDOW_HEIGHTS_MAX`].
    pub dedup_window_heights: u64,
    /// The rollups of the chain.
    pub rollups: BTreeMap<RollupId, RollupRules>,
    /// What ids are looked up by. No outcome depends on it; fresh and secret on every node, or whoever chooses
    /// transactions could make lookups slow.
    pub hash_key: HashKey,
}

impl Config {
    /// The heights whose transactions decide about the height after `settled`, and `settled` itself: those that a
    /// [`Snapshot`](crate::Snapshot) has.
    #[must_use]
    pub fn remembered(&self, settled: Height) -> RangeInclusive<u64> {
        settled.0.saturating_sub(self.window_heights())..=settled.0
    }

    /// The window, within the limit.
    pub(crate) fn window_heights(&self) -> u64 {
        self.dedup_window_heights.min(DEDUP_WINDOW_HEIGHTS_MAX)
    }
}

/// Without hash key: the caller sets it.
impl From<&Genesis> for Config {
    fn from(genesis: &Genesis) -> Self {
        let parameters = genesis.parameters();
        let rules = |rollup: &chorale_types::genesis::GenesisRollup| {
            let domain = rollup.execution.map(|execution| execution.domain);
            (rollup.id, RollupRules { has_nonces: rollup.has_nonces, domain })
        };
        Self {
            chain: genesis.chain(),
            start: genesis.time(),
            time_step_ms_max: parameters.time_step_ms_max,
            dedup_window_heights: parameters.dedup_window_heights,
            rollups: genesis.rollups().iter().map(rules).collect(),
            hash_key: HashKey::default(),
        }
    }
}

//! What the genesis says that settlement depends on.

use chorale_types::{
    AccountId, ChainId, DomainId, Genesis, HashKey, Height, RollupId, TimestampMs, genesis::BlockTimes,
    limits::DEDUP_WINDOW_HEIGHTS_MAX,
};
use std::{collections::BTreeMap, ops::RangeInclusive};

/// What settlement knows of a rollup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RollupRules {
    /// Its transactions carry nonces, so it skips repeats by itself: only those of one height are left out for it.
    /// Ordering a later nonce first burns nothing, and the same transaction may be ordered again.
    pub has_nonces: bool,
    /// The domain that it is executed in, if it is: all legs of a bundle that executes as a whole are of one.
    pub domain: Option<DomainId>,
    /// Who says that it goes on after it was suspended; if nobody, it does so by itself.
    pub owner: Option<AccountId>,
}

/// What settlement knows of a domain whose rollups validators execute and attest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DomainRules {
    /// Its rollups are suspended when content that old, in heights, is not attested in the order.
    pub attestation_lag_max: u64,
    /// A height is executed when a later second has begun: what is attested of a height says nothing of its content.
    pub by_second: bool,
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
    /// The domains that are attested.
    pub domains: BTreeMap<DomainId, DomainRules>,
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

    /// The rollups of a domain.
    pub(crate) fn rollups_of(&self, domain: DomainId) -> impl Iterator<Item = RollupId> {
        let all = self.rollups.iter();
        all.filter(move |(_, rules)| rules.domain == Some(domain)).map(|(rollup, _)| *rollup)
    }

    /// The window, within the limit.
    pub(crate) fn window_heights(&self) -> u64 {
        self.dedup_window_heights.min(DEDUP_WINDOW_HEIGHTS_MAX)
    }
}

fn attested_domains(genesis: &Genesis) -> impl Iterator<Item = (DomainId, DomainRules)> {
    let attested = genesis.domains().iter().filter(|domain| genesis.is_attested(domain.id));
    attested.map(|domain| {
        let (attestation_lag_max, by_second) = (domain.attestation_lag_max, domain.blocks == BlockTimes::Second);
        (domain.id, DomainRules { attestation_lag_max, by_second })
    })
}

/// Without hash key: the caller sets it.
impl From<&Genesis> for Config {
    fn from(genesis: &Genesis) -> Self {
        let parameters = genesis.parameters();
        let rules = |rollup: &chorale_types::genesis::GenesisRollup| {
            let (domain, owner) = rollup.execution.map_or((None, None), |it| (Some(it.domain), it.owner));
            (rollup.id, RollupRules { has_nonces: rollup.has_nonces, domain, owner })
        };
        let domains: BTreeMap<DomainId, DomainRules> = attested_domains(genesis).collect();
        let mut rollups: BTreeMap<RollupId, RollupRules> = genesis.rollups().iter().map(rules).collect();
        if !domains.is_empty() {
            rollups.insert(RollupId::SYSTEM, RollupRules { has_nonces: false, domain: None, owner: None });
        }
        Self {
            chain: genesis.chain(),
            start: genesis.time(),
            time_step_ms_max: parameters.time_step_ms_max,
            dedup_window_heights: parameters.dedup_window_heights,
            rollups,
            domains,
            hash_key: HashKey::default(),
        }
    }
}

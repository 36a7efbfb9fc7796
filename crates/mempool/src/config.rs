//! What the pool may hold and how fast its peers may talk to it.

use crate::message::{MESSAGE_BYTES_MAX, REQUEST_IDS_MAX};
use chorale_types::{AccountId, ChainId, Digest, DomainId, HashKey, RollupId};
use std::collections::{BTreeMap, BTreeSet};

/// Whether a registered rollup takes new entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Entries are admitted and selected.
    Active,
    /// Nothing new is admitted and nothing selected. What is pooled stays until it expires or the rollup is active again.
    Suspended,
}

/// Bounds and times of a [`Mempool`](crate::Mempool). Every field is a limit that some test drives into.
#[derive(Clone, Debug)]
pub struct Config {
    /// The registered rollups. Entries of any other are refused.
    pub rollups: BTreeMap<RollupId, Standing>,
    /// The domains of those that are executed.
    pub domains: BTreeMap<RollupId, DomainId>,
    /// Those whose transactions carry nonces: one that was ordered may have had no effect, and have it later.
    pub nonces: BTreeSet<RollupId>,
    /// Who may say that a rollup goes on after it was suspended.
    pub owners: BTreeMap<RollupId, AccountId>,
    /// The chain: what payers of bundles sign for.
    pub chain: ChainId,
    /// Encoded bytes of all entries together. A rollup's guaranteed share is this divided by the registered rollups.
    pub bytes_max: u64,
    /// Entries in all. A rollup's guaranteed share is this divided by the registered rollups.
    pub entries_max: u64,
    /// Encoded bytes of one entry.
    pub entry_bytes_max: u64,
    /// Encoded bytes of the entries that came from one peer and are still pooled.
    pub peer_bytes_max: u64,
    /// Entries that came from one peer and are still pooled.
    pub peer_entries_max: u64,
    /// An entry that nobody ordered for this long expires, in milliseconds.
    pub age_ms_max: u64,
    /// An entry that nobody ordered for this many heights expires.
    pub age_heights_max: u64,
    /// An entry is overdue when it has waited for more than this many heights (the inclusion rule).
    pub overdue_heights: u64,
    /// For how many heights more the claim of a payload that no header references keeps an overdue entry out.
    pub claimed_heights: u64,
    /// An entry that was ordered is refused for this many heights; later it may be meant to be ordered again, as on a
    /// rollup with nonces after an earlier nonce came late.
    pub reorder_heights: u64,
    /// The same for what is submitted to this node for one of the rollups with [`Config::nonces`]: who submits it knows that it
    /// came too early, or found no room.
    pub repeat_heights: u64,
    /// Bytes that a rollup may take per turn of the round robin in `select`.
    pub quantum_bytes: u64,
    /// Entries that ended without being ordered whose reason is remembered and answered.
    pub ended_entries_max: usize,
    /// Ordered entries that are remembered, at least the last half of so many: to answer what became of them, to refuse
    /// them if they are submitted again, and to ignore announcements by peers that lag behind. 50 bytes of memory each.
    pub ordered_entries_max: usize,
    /// Refused submissions whose reason is remembered and answered.
    pub refused_entries_max: usize,
    /// Payloads in flight whose manifests mark entries.
    pub payloads_max: usize,
    /// Bytes per second of messages with bodies that a peer may send. This node sends at most half of it to one peer,
    /// and what arrives may lag by [`BURST_IN_S`], so that two honest nodes never accuse each other.
    pub peer_bytes_per_second: u64,
    /// Ids per second that a peer may announce or request, likewise.
    pub peer_ids_per_second: u64,
    /// Announced entries of one peer that wait to be fetched.
    pub announced_entries_max: usize,
    /// Requests to one peer that may be unanswered, each for up to [`REQUEST_IDS_MAX`] bodies.
    pub requests_max: usize,
    /// A body not delivered after this long is asked from another announcer, in milliseconds.
    pub request_timeout_ms: u64,
    /// Pause between two rounds of announcements, in milliseconds. A round tells an eighth of the peers.
    pub reconcile_interval_ms: u64,
    /// Entries younger than this are left out of those rounds: their direct push is still under way. Milliseconds.
    pub reconcile_age_ms: u64,
    /// Whether what comes from peers is written down too. No promise needs it (its submitter was promised durability
    /// by the peer); with it a pool is as full after a restart as before, and the disk writes everything twice.
    pub journal_peers: bool,
    /// What ids are hashed with inside the pool: fresh and secret on every node, or peers could make it slow.
    pub hash_key: HashKey,
    /// Whether changes of status come out as [`Output::Status`](crate::Output::Status).
    pub status_events: bool,
}

/// A configuration under which the pool could not keep its promises.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A limit is too small.
    #[error("{name} is {actual}; it must be at least {min}")]
    TooSmall {
        /// Which.
        name: &'static str,
        /// What was configured.
        actual: u64,
        /// The smallest value that works.
        min: u64,
    },
    /// An entry could not be sent to a peer in one message.
    #[error("entry_bytes_max is {entry_bytes_max}; a message carries entries of at most {max} bytes")]
    EntryTooLarge {
        /// What was configured.
        entry_bytes_max: u64,
        /// The largest value that fits a message.
        max: u64,
    },
    /// Counters of payloads in flight would overflow.
    #[error("payloads_max is {payloads_max}; at most {max} are supported")]
    TooManyPayloads {
        /// What was configured.
        payloads_max: usize,
        /// The largest supported value.
        max: usize,
    },
}

/// How long a connection may hold back messages before all of them arrive at once and still are no flood, in seconds.
pub const BURST_IN_S: u64 = 8;
/// Bytes of a message that are not the entry in it.
const MESSAGE_OVERHEAD_BYTES: u64 = 1024;

impl Config {
    /// Sensible bounds for a node among `validators` peers: 64 MiB, two minutes, and per peer such a share that a
    /// third of the validators, flooding together, leave room for what comes from the others and from users.
    ///
    /// With all bounds exhausted the pool takes about 160 MB of memory; with 20,000 transactions of 512 bytes a second
    /// that wait for half a second, 40 MB.
    ///
    /// The caller sets [`Config::hash_key`] and [`Config::nonces`], and [`Config::domains`] and [`Config::owners`] with
    /// [`Config::chain`] if rollups are executed.
    pub fn new(rollups: impl IntoIterator<Item = RollupId>, validators: u64) -> Self {
        let bytes_max = 64 * 1024 * 1024;
        let entries_max = 128 * 1024;
        let shares = validators / 3 + 2;
        Self {
            rollups: rollups.into_iter().map(|rollup| (rollup, Standing::Active)).collect(),
            domains: BTreeMap::new(),
            nonces: BTreeSet::new(),
            owners: BTreeMap::new(),
            chain: ChainId(Digest::from([0; 32])),
            bytes_max,
            entries_max,
            entry_bytes_max: 192 * 1024,
            peer_bytes_max: bytes_max / shares,
            peer_entries_max: entries_max / shares,
            age_ms_max: 120_000,
            age_heights_max: 512,
            overdue_heights: 2,
            // A payload that missed its header has its leader's next turn, and one more.
            claimed_heights: (2 * validators).clamp(8, 32),
            reorder_heights: 1_024,
            repeat_heights: 16,
            quantum_bytes: 16 * 1024,
            ended_entries_max: 64 * 1024,
            ordered_entries_max: 256 * 1024,
            refused_entries_max: 16 * 1024,
            payloads_max: 256,
            peer_bytes_per_second: 32 * 1024 * 1024,
            peer_ids_per_second: 64 * 1024,
            announced_entries_max: 8 * 1024,
            requests_max: 8,
            request_timeout_ms: 1_000,
            reconcile_interval_ms: 1_000,
            reconcile_age_ms: 2_000,
            journal_peers: false,
            hash_key: [0; 16],
            status_events: true,
        }
    }

    /// Checks that the limits can hold together.
    ///
    /// # Errors
    ///
    /// Names the first limit that cannot, and what it should be.
    pub fn check(&self) -> Result<(), ConfigError> {
        // Half a second's burst of the smaller, sending side must carry one whole message.
        let (bytes_min, ids_min) = (2 * MESSAGE_BYTES_MAX as u64, 2 * REQUEST_IDS_MAX as u64);
        for (name, actual, min) in [
            ("bytes_max", self.bytes_max, 1),
            ("entries_max", self.entries_max, 1),
            ("entry_bytes_max", self.entry_bytes_max, 1),
            ("peer_bytes_max", self.peer_bytes_max, 1),
            ("peer_entries_max", self.peer_entries_max, 1),
            ("age_ms_max", self.age_ms_max, 1),
            ("age_heights_max", self.age_heights_max, 1),
            ("quantum_bytes", self.quantum_bytes, 1),
            ("ended_entries_max", self.ended_entries_max as u64, 1),
            ("ordered_entries_max", self.ordered_entries_max as u64, 1),
            ("refused_entries_max", self.refused_entries_max as u64, 1),
            ("payloads_max", self.payloads_max as u64, 1),
            ("announced_entries_max", self.announced_entries_max as u64, 1),
            ("requests_max", self.requests_max as u64, 1),
            ("request_timeout_ms", self.request_timeout_ms, 1),
            ("reconcile_interval_ms", self.reconcile_interval_ms, 1),
            ("peer_bytes_per_second", self.peer_bytes_per_second, bytes_min),
            ("peer_ids_per_second", self.peer_ids_per_second, ids_min),
        ] {
            if actual < min {
                return Err(ConfigError::TooSmall { name, actual, min });
            }
        }
        let max = MESSAGE_BYTES_MAX as u64 - MESSAGE_OVERHEAD_BYTES;
        if self.entry_bytes_max > max {
            return Err(ConfigError::EntryTooLarge { entry_bytes_max: self.entry_bytes_max, max });
        }
        if self.payloads_max > usize::from(u16::MAX) {
            return Err(ConfigError::TooManyPayloads { payloads_max: self.payloads_max, max: usize::from(u16::MAX) });
        }
        Ok(())
    }
}

//! What the pool may hold and how fast its peers may talk to it.

use crate::message::{MESSAGE_BYTES_MAX, REQUEST_IDS_MAX};
use chorale_types::RollupId;
use std::collections::BTreeMap;

/// Whether a registered rollup takes new entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Entries are admitted and selected.
    Active,
    /// Nothing new is admitted and nothing selected, for example because its escrow is empty. What is pooled stays
    /// until it expires or the rollup is active again.
    Suspended,
}

/// Bounds and times of a [`Mempool`](crate::Mempool). Every field is a limit that some test drives into.
#[derive(Clone, Debug)]
pub struct Config {
    /// The registered rollups. Entries of any other are refused.
    pub rollups: BTreeMap<RollupId, Standing>,
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
    /// Bytes that a rollup may take per turn of the round robin in `select`.
    pub quantum_bytes: u64,
    /// Ended entries whose outcome is remembered and answered.
    pub history_entries_max: usize,
    /// Refused submissions whose reason is remembered and answered.
    pub refused_entries_max: usize,
    /// Ended entries whose id is remembered, to ignore announcements by peers that lag behind.
    pub seen_entries_max: usize,
    /// Payloads in flight whose manifests mark entries.
    pub payloads_max: usize,
    /// Bytes of bodies per second that a peer may send, in milliseconds-refilled tokens with one second's burst.
    /// This node sends at most half of it to one peer, so that two honest nodes never accuse each other.
    pub peer_bytes_per_second: u64,
    /// Ids per second that a peer may announce or request, likewise.
    pub peer_ids_per_second: u64,
    /// Announced entries of one peer that wait to be fetched.
    pub announced_entries_max: usize,
    /// Requests to one peer that may be unanswered, each for up to [`REQUEST_IDS_MAX`] bodies.
    pub requests_max: usize,
    /// A body not delivered after this long is asked from another announcer, in milliseconds.
    pub request_timeout_ms: u64,
    /// Pause between two rounds of announcements to a next peer, in milliseconds.
    pub reconcile_interval_ms: u64,
    /// Entries younger than this are left out of those rounds: their direct push is still under way. Milliseconds.
    pub reconcile_age_ms: u64,
    /// Whether changes of status come out as [`Output::Status`](crate::Output::Status).
    pub status_events: bool,
}

/// A configuration under which the pool could not keep its promises.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A limit that must be positive is zero.
    #[error("{0} is 0; it must be at least 1")]
    Zero(&'static str),
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

/// Bytes of a message that are not the entry in it.
const MESSAGE_OVERHEAD_BYTES: u64 = 1024;

impl Config {
    /// Sensible bounds for a node among `validators` peers: 256 MiB, two minutes, and per peer such a share that a
    /// third of the validators, flooding together, leave room for what comes from the others and from users.
    pub fn new(rollups: impl IntoIterator<Item = RollupId>, validators: u64) -> Self {
        let bytes_max = 256 * 1024 * 1024;
        let entries_max = 512 * 1024;
        let shares = validators / 3 + 2;
        Self {
            rollups: rollups.into_iter().map(|rollup| (rollup, Standing::Active)).collect(),
            bytes_max,
            entries_max,
            entry_bytes_max: 192 * 1024,
            peer_bytes_max: bytes_max / shares,
            peer_entries_max: entries_max / shares,
            age_ms_max: 120_000,
            age_heights_max: 512,
            overdue_heights: 2,
            quantum_bytes: 16 * 1024,
            history_entries_max: 512 * 1024,
            refused_entries_max: 16 * 1024,
            seen_entries_max: 2 * 1024 * 1024,
            payloads_max: 64,
            peer_bytes_per_second: 64 * 1024 * 1024,
            peer_ids_per_second: 64 * 1024,
            announced_entries_max: 8 * 1024,
            requests_max: 8,
            request_timeout_ms: 1_000,
            reconcile_interval_ms: 1_000,
            reconcile_age_ms: 2_000,
            status_events: true,
        }
    }

    /// Checks that the limits can hold together.
    ///
    /// # Errors
    ///
    /// Names the first limit that cannot, and what it should be.
    pub fn check(&self) -> Result<(), ConfigError> {
        for (name, value) in [
            ("bytes_max", self.bytes_max),
            ("entries_max", self.entries_max),
            ("entry_bytes_max", self.entry_bytes_max),
            ("peer_bytes_max", self.peer_bytes_max),
            ("peer_entries_max", self.peer_entries_max),
            ("age_ms_max", self.age_ms_max),
            ("age_heights_max", self.age_heights_max),
            ("quantum_bytes", self.quantum_bytes),
            ("history_entries_max", self.history_entries_max as u64),
            ("refused_entries_max", self.refused_entries_max as u64),
            ("seen_entries_max", self.seen_entries_max as u64),
            ("payloads_max", self.payloads_max as u64),
            ("announced_entries_max", self.announced_entries_max as u64),
            ("requests_max", self.requests_max as u64),
            ("request_timeout_ms", self.request_timeout_ms),
            ("reconcile_interval_ms", self.reconcile_interval_ms),
        ] {
            if value == 0 {
                return Err(ConfigError::Zero(name));
            }
        }
        // Half a second's burst of the smaller, sending side must carry one whole message.
        if self.peer_bytes_per_second < 2 * MESSAGE_BYTES_MAX as u64 {
            return Err(ConfigError::Zero("peer_bytes_per_second / (2 * MESSAGE_BYTES_MAX)"));
        }
        if self.peer_ids_per_second < 2 * REQUEST_IDS_MAX as u64 {
            return Err(ConfigError::Zero("peer_ids_per_second / (2 * REQUEST_IDS_MAX)"));
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

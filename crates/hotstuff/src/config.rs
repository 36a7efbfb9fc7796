//! What an instance of consensus is told once.

use chorale_types::{BlockReference, Height, ValidatorIndex};

/// To whom votes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Votes {
    /// To the leaders of this view and the next: linear, committed after five delays.
    Leaders,
    /// To everyone, with commit votes: committed after three delays, for sets where n x n small messages are affordable.
    All,
}

/// Parameters that all nodes of a chain share, from its genesis. Durations in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// To whom votes go.
    pub votes: Votes,
    /// The part of the view timer that does not depend on the network.
    pub timeout_base_ms: u64,
    /// The longest view timer, backoff included.
    pub timeout_ms_max: u64,
    /// How far ahead of this node's clock a fresh header's timestamp may be.
    pub clock_drift_ms: u64,
    /// How long the leader of an idle chain may hold its empty proposal. 0: never.
    pub idle_interval_ms: u64,
    /// The least time between a fresh header's timestamp and its parent's, kept by honest leaders to pace the chain.
    /// 0: as fast as the network goes. It is no rule of validity.
    pub pace_ms: u64,
    /// For so many bytes of payload in the parent, honest leaders keep a millisecond more, up to a quarter of
    /// `timeout_base_ms`: large payloads take longer to spread, check and open, and blocks that come faster than that
    /// cost signatures without ordering more. 0: never.
    pub pace_bytes_per_ms: u64,
    /// Uncommitted headers that are kept above the committed one; what is further ahead is fetched when it is needed.
    pub headers_ahead_max: usize,
}

impl Parameters {
    /// The most that payloads add to the pace.
    pub(crate) const fn payload_pace_ms_max(&self) -> u64 {
        if self.pace_bytes_per_ms == 0 { 0 } else { self.timeout_base_ms / 4 }
    }
}

/// What one node is told besides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Shared parameters.
    pub parameters: Parameters,
    /// This node's place in the first epoch's validators; none if it only follows.
    pub index: Option<ValidatorIndex>,
    /// The last block that this node knows as committed (the epoch's start if none).
    pub committed: BlockReference,
    /// False after the loss of the safety record: follow, and sign nothing before the first epoch that begins after this
    /// start. Clocks of honest validators are taken to agree within `clock_drift_ms`.
    pub may_sign: bool,
}

impl Config {
    /// The height of the last committed block.
    #[must_use]
    pub const fn committed_height(&self) -> Height {
        self.committed.height
    }
}

//! What a run came to.

use crate::{
    config::{Profile, Votes},
    oracle::Rule,
    queue::Micros,
};
use serde::{Deserialize, Serialize};

/// Percentiles of delays.
///
/// A delay begins when a block's leader sends the block's first proposal. It is measured at every correct node for every
/// block that the node reports, the leader's own included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Delays {
    /// How many were measured.
    pub count: usize,
    /// Half of them took at most this, in milliseconds.
    pub p50_ms: f64,
    /// 99 of 100 took at most this.
    pub p99_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

impl Delays {
    /// Of some delays in microseconds.
    #[must_use]
    pub fn of(mut delays: Vec<Micros>) -> Self {
        delays.sort_unstable();
        let count = delays.len();
        let at = |per_cent: usize| {
            let rank = (count * per_cent).div_ceil(100).saturating_sub(1);
            #[expect(clippy::cast_precision_loss, reason = "delays are far below 2^52 microseconds")]
            delays.get(rank).map_or(0.0, |&delay| delay as f64 / 1000.0)
        };
        Self { count, p50_ms: at(50), p99_ms: at(99), max_ms: at(100) }
    }
}

/// A rule that did not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// Which.
    pub rule: Rule,
    /// What happened instead.
    pub what: String,
    /// When, in virtual time.
    pub at_ms: u64,
    /// The command that replays it with its story.
    pub replay: String,
}

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The kind of world.
    pub profile: Profile,
    /// The seed.
    pub seed: u64,
    /// How many validators.
    pub validators: usize,
    /// To whom votes went.
    pub votes: Votes,
    /// Fingerprint of all that happened.
    pub trace_hash: u64,
    /// How long it took in virtual time.
    pub virtual_ms: u64,
    /// The height that every correct node has committed.
    pub committed: u64,
    /// The highest view that a correct node entered.
    pub views: u64,
    /// Views that a correct node saw end with a timeout certificate.
    pub timeouts: u64,
    /// From proposal to `certified`.
    pub certified: Delays,
    /// From proposal to `committed`.
    pub finalised: Delays,
    /// From proposal to `committed`, at the leader of the block only.
    pub finalised_at_leader: Delays,
    /// Messages delivered.
    pub messages: u64,
    /// Crashes of correct nodes.
    pub crashes: u64,
    /// Pieces of evidence that correct nodes found.
    pub evidence: u64,
    /// Processor time of the run, the simulator's own included.
    pub cpu_ms: f64,
    /// Messages delivered per second of processor time.
    pub messages_per_cpu_second: f64,
    /// The first rule that did not hold.
    pub violation: Option<Violation>,
    /// What happened, if it was asked for.
    pub story: Vec<String>,
}

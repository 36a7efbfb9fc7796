//! Why a submission is refused, with the numbers that decided.

use crate::{peer::PeerId, status::Outcome};
use chorale_types::{Height, PromiseError, RollupId, UnitId};

/// A submission that did not enter the pool.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// The entry is too large.
    #[error("{id} has {bytes} bytes, at most {max} are allowed")]
    TooLarge {
        /// Which entry.
        id: UnitId,
        /// Its encoded size.
        bytes: u64,
        /// What is allowed.
        max: u64,
    },
    /// A rollup of the entry is not registered.
    #[error("rollup {rollup} is not registered")]
    RollupUnknown {
        /// Which rollup.
        rollup: RollupId,
    },
    /// A rollup of the entry takes nothing now.
    #[error(
        "rollup {rollup} is suspended: nothing is ordered for it until its domain is attested again and it is resumed"
    )]
    RollupSuspended {
        /// Which rollup.
        rollup: RollupId,
    },
    /// The entry is for the chain itself, and would have no effect.
    #[error("{id} is for rollup 0, the chain itself: {problem}")]
    System {
        /// Which entry.
        id: UnitId,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The entry is in the pool already.
    #[error("{id} is in the pool already")]
    AlreadyPooled {
        /// Which entry.
        id: UnitId,
    },
    /// The entry was in the pool and its end is final.
    #[error("{id} was {outcome} already")]
    AlreadyEnded {
        /// Which entry.
        id: UnitId,
        /// How it ended.
        outcome: Outcome,
    },
    /// The bundle can no longer be ordered.
    #[error("{id} may be ordered up to height {expiry}; height {height} is revealed")]
    BundleExpired {
        /// Which bundle.
        id: UnitId,
        /// The last height at which it may be ordered.
        expiry: Height,
        /// The newest revealed height.
        height: Height,
    },
    /// The bundle would have to be remembered for too long.
    #[error("{id} may be ordered up to height {expiry}; at most {expiry_max} is allowed now")]
    BundleExpiryTooFar {
        /// Which bundle.
        id: UnitId,
        /// The last height at which it may be ordered.
        expiry: Height,
        /// The latest that is allowed.
        expiry_max: Height,
    },
    /// What the bundle wants to be promised cannot be.
    #[error("{id}: {error}")]
    BundlePromise {
        /// Which bundle.
        id: UnitId,
        /// Why.
        error: PromiseError,
    },
    /// The peer that sent it has filled its part of the pool.
    #[error(
        "peer {peer} holds {bytes} bytes in {entries} entries of the pool; at most {bytes_max} bytes and \
             {entries_max} entries are allowed"
    )]
    PeerShareFull {
        /// Which peer.
        peer: PeerId,
        /// Bytes it holds.
        bytes: u64,
        /// Entries it holds.
        entries: u64,
        /// Bytes it may hold.
        bytes_max: u64,
        /// Entries it may hold.
        entries_max: u64,
    },
    /// The rollup has used its guaranteed share, and the others leave no room.
    #[error(
        "the pool is full ({pool_bytes} bytes, {pool_entries} entries) and rollup {rollup} has used its share: \
             {bytes} of {share_bytes} bytes, {entries} of {share_entries} entries"
    )]
    RollupShareFull {
        /// Which rollup.
        rollup: RollupId,
        /// Bytes it holds.
        bytes: u64,
        /// Entries it holds.
        entries: u64,
        /// Bytes guaranteed to it.
        share_bytes: u64,
        /// Entries guaranteed to it.
        share_entries: u64,
        /// Bytes of all entries.
        pool_bytes: u64,
        /// Entries in all.
        pool_entries: u64,
    },
}

impl Rejected {
    /// The labels of all reasons, for metrics.
    pub const LABELS: [&'static str; 11] = [
        "too_large",
        "rollup_unknown",
        "rollup_suspended",
        "already_pooled",
        "already_ended",
        "bundle_expired",
        "bundle_expiry_too_far",
        "bundle_promise",
        "peer_share_full",
        "rollup_share_full",
        "system",
    ];

    /// The reason's label, for metrics.
    pub const fn label(&self) -> &'static str {
        Self::LABELS[self.index()]
    }

    /// The place of the reason in [`Self::LABELS`].
    pub(crate) const fn index(&self) -> usize {
        match self {
            Self::TooLarge { .. } => 0,
            Self::RollupUnknown { .. } => 1,
            Self::RollupSuspended { .. } => 2,
            Self::AlreadyPooled { .. } => 3,
            Self::AlreadyEnded { .. } => 4,
            Self::BundleExpired { .. } => 5,
            Self::BundleExpiryTooFar { .. } => 6,
            Self::BundlePromise { .. } => 7,
            Self::PeerShareFull { .. } => 8,
            Self::RollupShareFull { .. } => 9,
            Self::System { .. } => 10,
        }
    }

    /// Whether the pool knows the entry, so that its own status stands.
    pub(crate) const fn is_known(&self) -> bool {
        matches!(self, Self::AlreadyPooled { .. } | Self::AlreadyEnded { .. })
    }
}

//! What settling a height yields.

use chorale_types::{Height, Lane, LaneTree, OrderedBundle, Outcome, Place, RegistryTree, RollupId, UnitId};
use std::collections::BTreeMap;

/// A unit that is in the lanes of its rollups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Included {
    /// The unit.
    pub id: UnitId,
    /// Which of the header's payloads it is in.
    pub payload: u8,
    /// Its index there.
    pub unit: u32,
}

impl Included {
    /// Where a transaction of its own stands.
    #[must_use]
    pub const fn place(&self) -> Place {
        Place { payload: self.payload, unit: self.unit, leg: None }
    }
}

/// A unit that was ordered without effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The unit.
    pub id: UnitId,
    /// Why.
    pub reason: SkipReason,
}

/// Why a unit is without effect. Part of no proof: everybody can compute it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum SkipReason {
    /// The transaction is a repeat.
    #[error("the same transaction was ordered at height {first}")]
    Repeated {
        /// Where it counts.
        first: Height,
    },
    /// The bundle was ordered before.
    #[error("the bundle was ordered at height {first}")]
    Burnt {
        /// Where it counts.
        first: Height,
    },
    /// Too late for the bundle.
    #[error("the bundle could be ordered up to height {expiry}")]
    Expired {
        /// Its expiry.
        expiry: Height,
    },
    /// Too early for the bundle: its id could not be remembered until it expires.
    #[error("the bundle expires at height {expiry}; at this height, at most {expiry_max} is allowed")]
    ExpiryTooFar {
        /// Its expiry.
        expiry: Height,
        /// The furthest that is allowed.
        expiry_max: Height,
    },
    /// Nobody would read it.
    #[error("the chain has no rollup {0}")]
    UnknownRollup(RollupId),
}

/// A settled height.
#[derive(Clone, Debug)]
pub struct Settled {
    /// What validators sign.
    pub outcome: Outcome,
    /// The lanes of all rollups with content.
    pub lanes: BTreeMap<RollupId, Lane>,
    /// Proves lanes, and that there is none.
    pub lane_tree: LaneTree,
    /// Proves when a rollup last had content.
    pub registry_tree: RegistryTree,
    /// The bundles that are in the lanes, in the global order.
    pub bundles: Vec<OrderedBundle>,
    /// The units that are in the lanes, in the global order.
    pub included: Vec<Included>,
    /// The units that are not, in the global order; of void payloads none.
    pub skipped: Vec<Skipped>,
}

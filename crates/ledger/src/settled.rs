//! What settling a height yields.

use crate::Refused;
use chorale_foundation::BufMut;
use chorale_types::{
    AccountId, Height, Lane, LaneTree, OrderedBundle, Outcome, Place, PromiseError, RegistryTree, RollupId, UnitId,
    codec::{Buf, EncodeSize, Error, Read, ReadExt, Write},
    codec_struct,
};
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

codec_struct!(Skipped { id, reason });

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
    /// What the bundle wants to be promised cannot be.
    #[error(transparent)]
    Promise(#[from] PromiseError),
    /// What the rollup became is not attested in the order, and nothing is ordered for it until it is.
    #[error("rollup {rollup} is suspended since height {since}: what its domain became is not attested in time")]
    Suspended {
        /// The rollup.
        rollup: RollupId,
        /// The first height.
        since: Height,
    },
    /// It is for the chain itself, and has no effect.
    #[error(transparent)]
    System(#[from] Refused),
    /// Nobody would read it.
    #[error("the chain has no rollup {0}")]
    UnknownRollup(RollupId),
}

impl Write for SkipReason {
    fn write(&self, buf: &mut impl BufMut) {
        match self {
            Self::Repeated { first } => (0u8, first.0).write(buf),
            Self::Burnt { first } => (1u8, first.0).write(buf),
            Self::Expired { expiry } => (2u8, expiry.0).write(buf),
            Self::ExpiryTooFar { expiry, expiry_max } => (3u8, expiry.0, expiry_max.0).write(buf),
            Self::UnknownRollup(rollup) => (4u8, rollup.0).write(buf),
            Self::Promise(PromiseError::Domain { rollup, domain }) => (5u8, rollup.0, domain.0).write(buf),
            Self::Promise(PromiseError::Signature { payer }) => (6u8, *payer).write(buf),
            Self::Suspended { rollup, since } => (7u8, rollup.0, since.0).write(buf),
            Self::System(refused) => (8u8, *refused as u8).write(buf),
        }
    }
}

impl EncodeSize for SkipReason {
    fn encode_size(&self) -> usize {
        1 + match self {
            Self::Repeated { .. } | Self::Burnt { .. } | Self::Expired { .. } | Self::UnknownRollup(_) => 8,
            Self::ExpiryTooFar { .. } | Self::Promise(PromiseError::Domain { .. }) | Self::Suspended { .. } => 16,
            Self::System(_) => 1,
            Self::Promise(PromiseError::Signature { .. }) => AccountId::BYTES,
        }
    }
}

impl Read for SkipReason {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, Error> {
        Ok(match u8::read(buf)? {
            0 => Self::Repeated { first: ReadExt::read(buf)? },
            1 => Self::Burnt { first: ReadExt::read(buf)? },
            2 => Self::Expired { expiry: ReadExt::read(buf)? },
            3 => Self::ExpiryTooFar { expiry: ReadExt::read(buf)?, expiry_max: ReadExt::read(buf)? },
            4 => Self::UnknownRollup(ReadExt::read(buf)?),
            5 => Self::Promise(PromiseError::Domain { rollup: ReadExt::read(buf)?, domain: ReadExt::read(buf)? }),
            6 => Self::Promise(PromiseError::Signature { payer: ReadExt::read(buf)? }),
            7 => Self::Suspended { rollup: ReadExt::read(buf)?, since: ReadExt::read(buf)? },
            8 => {
                let code: u8 = ReadExt::read(buf)?;
                let refused = Refused::ALL.into_iter().find(|refused| *refused as u8 == code);
                Self::System(refused.ok_or(Error::InvalidEnum(code))?)
            }
            tag => return Err(Error::InvalidEnum(tag)),
        })
    }
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

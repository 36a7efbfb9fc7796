//! One of the rollups that are followed: how far all of it is known, and what comes next.

use chorale_api::LaneBundles;
use chorale_light::{Attested, FollowError, LaneClaim, LaneFollower};
use chorale_types::{BundleId, Height, Lane, OrderedBundle, RegistryProof, RollupId};
use std::collections::BTreeSet;

/// The lane of the next height with content, verified, until its turn comes.
#[derive(Clone, Debug)]
pub(crate) struct Ahead {
    pub(crate) attested: Attested,
    pub(crate) lane: Lane,
    pub(crate) bundles: Vec<OrderedBundle>,
}

/// A rollup that is followed.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    lanes: LaneFollower,
    ahead: Option<Ahead>,
    /// Up to here it has no content that is not known.
    complete: Height,
    /// The outcome of that height, if it was seen.
    tip: Option<Attested>,
}

/// Bundles are not those of the lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BundlesError {
    #[error("the terms of bundle {0} are not those that its id names")]
    Terms(BundleId),
    #[error("bundle {0} has a leg in the lane, and its terms are missing")]
    Missing(BundleId),
}

impl Watched {
    /// Everything up to `last` is known.
    pub(crate) const fn new(rollup: RollupId, last: Height) -> Self {
        Self { lanes: LaneFollower::new(rollup, last), ahead: None, complete: last, tip: None }
    }

    /// The last height with content that is here.
    pub(crate) const fn last(&self) -> Height {
        self.lanes.last()
    }

    pub(crate) const fn ahead(&self) -> Option<&Ahead> {
        self.ahead.as_ref()
    }

    /// Whether nothing is missing up to and with a height.
    pub(crate) fn is_complete(&self, height: Height) -> bool {
        self.complete >= height
    }

    /// The outcome of the last height up to and with which nothing is missing, if one was seen.
    pub(crate) const fn tip(&self) -> Option<&Attested> {
        self.tip.as_ref()
    }

    /// Takes the next lane.
    pub(crate) fn follow(
        &mut self,
        attested: Attested,
        LaneClaim { lane, proof }: LaneClaim,
        bundles: Vec<OrderedBundle>,
    ) -> Result<(), FollowError> {
        self.lanes.follow(&attested, &lane, &proof)?;
        self.complete_up_to(&attested);
        self.ahead = Some(Ahead { attested, lane, bundles });
        Ok(())
    }

    /// Learns that nothing is missing up to a tip.
    pub(crate) fn at_tip(&mut self, tip: &Attested, proof: &RegistryProof) -> Result<(), FollowError> {
        self.lanes.at_tip(tip, proof)?;
        self.complete_up_to(tip);
        Ok(())
    }

    fn complete_up_to(&mut self, tip: &Attested) {
        if tip.height() > self.complete {
            self.complete = tip.height();
            self.tip = Some(tip.clone());
        }
    }

    /// What it has at a height, if that is its turn.
    pub(crate) fn take(&mut self, height: Height) -> Option<Ahead> {
        self.ahead.take_if(|ahead| ahead.attested.height() == height)
    }
}

/// Checks that bundles are what their ids say, and that none of a lane is missing.
pub(crate) fn check_bundles(lane: &Lane, bundles: LaneBundles) -> Result<Vec<OrderedBundle>, BundlesError> {
    if let Some(wrong) = bundles.iter().find(|bundle| !bundle.is_named_by_its_id()) {
        return Err(BundlesError::Terms(wrong.id));
    }
    let known: BTreeSet<BundleId> = bundles.iter().map(|bundle| bundle.id).collect();
    let named = lane.items().iter().filter_map(|item| item.place.leg).map(|leg| leg.bundle);
    match named.into_iter().find(|bundle| !known.contains(bundle)) {
        Some(missing) => Err(BundlesError::Missing(missing)),
        None => Ok(bundles.into_vec()),
    }
}

//! What is kept of a settled height.

use crate::store::PayloadName;
use chorale_ledger::{Included, Settled, Skipped};
use chorale_types::{
    BundleId, Header, Height, Lane, LaneLeaf, LaneTree, OrderedBundle, Outcome, RollupId, TxId, UnitId,
    codec::List,
    limits::{HEADER_PAYLOADS_MAX, LANE_ITEMS_MAX, PAYLOAD_SECTIONS_MAX},
};
use std::collections::{BTreeMap, BTreeSet};

/// Lanes of a height at most.
pub(super) const LANES_MAX: usize = HEADER_PAYLOADS_MAX * PAYLOAD_SECTIONS_MAX;

/// A settled height: all that its lanes, proofs and statuses are answered from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub(super) outcome: Outcome,
    pub(super) payloads: List<PayloadName, HEADER_PAYLOADS_MAX>,
    pub(super) leaves: List<LaneLeaf, LANES_MAX>,
    pub(super) lanes: List<Lane, LANES_MAX>,
    pub(super) bundles: List<OrderedBundle, LANE_ITEMS_MAX>,
    pub(super) skipped: List<Skipped, LANE_ITEMS_MAX>,
}

impl Record {
    /// The record of a height that was just settled.
    pub(super) fn new(header: &Header, settled: Settled) -> Self {
        let Settled { outcome, lanes, lane_tree, bundles, skipped, .. } = settled;
        let payloads = header.payloads.iter().map(PayloadName::from).collect();
        let bounded = "payloads bound what a height brings";
        Self {
            outcome,
            payloads: List::new(payloads).expect("headers are bounded alike"),
            leaves: List::new(lane_tree.leaves().to_vec()).expect(bounded),
            lanes: List::new(lanes.into_values().collect()).expect(bounded),
            bundles: List::new(bundles).expect(bounded),
            skipped: List::new(skipped).expect(bounded),
        }
    }

    /// The height.
    #[must_use]
    pub const fn height(&self) -> Height {
        self.outcome.height
    }

    /// What validators sign.
    #[must_use]
    pub const fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    /// The payloads that the header references, in its order, also void and malformed ones; the outcome says which.
    #[must_use]
    pub fn payloads(&self) -> &[PayloadName] {
        &self.payloads
    }

    /// The lanes, by rollup.
    #[must_use]
    pub fn lanes(&self) -> &[Lane] {
        &self.lanes
    }

    /// A rollup's lane, if it has one.
    #[must_use]
    pub fn lane(&self, rollup: RollupId) -> Option<&Lane> {
        let position = self.lanes.binary_search_by_key(&rollup, Lane::rollup).ok()?;
        self.lanes.get(position)
    }

    /// The bundles in the lanes, in the global order.
    #[must_use]
    pub fn bundles(&self) -> &[OrderedBundle] {
        &self.bundles
    }

    /// The units without effect, in the global order.
    #[must_use]
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    /// The units with effect, in the global order.
    #[must_use]
    pub fn included(&self) -> Vec<Included> {
        let items = self.lanes.iter().flat_map(|lane| lane.items());
        let mut included: Vec<Included> = items
            .filter_map(|item| {
                let place = item.place;
                let id = match place.leg {
                    None => UnitId::Transaction(item.id),
                    Some(leg) if leg.position == 0 => UnitId::Bundle(leg.bundle),
                    Some(_) => return None,
                };
                Some(Included { id, payload: place.payload, unit: place.unit })
            })
            .collect();
        included.sort_unstable_by_key(|included| (included.payload, included.unit));
        included
    }

    /// Proves lanes. Hashes a leaf for each.
    #[must_use]
    pub fn lane_tree(&self) -> LaneTree {
        LaneTree::new(self.leaves.to_vec())
    }

    /// Where a transaction of its own stands: its rollup.
    #[must_use]
    pub(super) fn transaction(&self, id: &TxId) -> Option<(&Lane, Included)> {
        self.lanes.iter().find_map(|lane| {
            let item = lane.items().iter().find(|item| item.id == *id && item.place.leg.is_none())?;
            let (payload, unit) = (item.place.payload, item.place.unit);
            Some((lane, Included { id: UnitId::Transaction(*id), payload, unit }))
        })
    }

    /// A bundle that stands in the lanes, and where.
    #[must_use]
    pub(super) fn bundle(&self, id: &BundleId) -> Option<(&OrderedBundle, Included)> {
        let bundle = self.bundles.iter().find(|bundle| bundle.id == *id)?;
        let lane = self.lane(bundle.legs.first()?.rollup)?;
        let is_leg = |item: &&chorale_types::LaneItem| item.place.leg.is_some_and(|leg| leg.bundle == *id);
        let place = lane.items().iter().find(is_leg)?.place;
        Some((bundle, Included { id: UnitId::Bundle(*id), payload: place.payload, unit: place.unit }))
    }

    /// The lanes of a bundle's rollups.
    pub(super) fn lanes_of(&self, bundle: &OrderedBundle) -> BTreeMap<RollupId, Lane> {
        let rollups: BTreeSet<RollupId> = bundle.legs.iter().map(|leg| leg.rollup).collect();
        rollups.into_iter().filter_map(|rollup| Some((rollup, self.lane(rollup)?.clone()))).collect()
    }

    /// Bytes that it takes in memory, about.
    pub(super) fn bytes(&self) -> usize {
        let items = self.lanes.iter().flat_map(|lane| lane.items());
        let data: usize = items.map(|item| item.data.len() + 160).sum();
        data + self.leaves.len() * 128 + self.bundles.len() * 512 + self.skipped.len() * 64 + 1024
    }
}

//! A record as it is on disk: without the data of transactions, which is in the [payloads](crate::store::PayloadStore).

use super::{Record, record::LANES_MAX};
use crate::store::PayloadName;
use chorale_ledger::Skipped;
use chorale_types::{
    Height, Lane, LaneItem, LaneLeaf, OrderedBundle, Outcome, Payload, Place, RollupId,
    codec::List,
    codec_struct,
    limits::{HEADER_PAYLOADS_MAX, LANE_ITEMS_MAX},
};

/// See the [module](self).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    outcome: Outcome,
    payloads: List<PayloadName, HEADER_PAYLOADS_MAX>,
    leaves: List<LaneLeaf, LANES_MAX>,
    /// Where the items of each lane stand, lane by lane in the order of the leaves.
    places: List<List<Place, LANE_ITEMS_MAX>, LANES_MAX>,
    bundles: List<OrderedBundle, LANE_ITEMS_MAX>,
    skipped: List<Skipped, LANE_ITEMS_MAX>,
}
codec_struct!(Stored { outcome, payloads, leaves, places, bundles, skipped });

/// The payloads do not have what a record says: it, or one of them, is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the payloads of {height} do not have the lane of rollup {rollup} that its record names")]
pub struct Damaged {
    height: Height,
    rollup: RollupId,
}

impl Stored {
    pub(super) fn new(record: &Record) -> Self {
        let places = |lane: &Lane| {
            List::new(lane.items().iter().map(|item| item.place).collect()).expect("lanes are bounded alike")
        };
        Self {
            outcome: record.outcome.clone(),
            payloads: record.payloads.clone(),
            leaves: record.leaves.clone(),
            places: List::new(record.lanes.iter().map(places).collect()).expect("as many as the record has"),
            bundles: record.bundles.clone(),
            skipped: record.skipped.clone(),
        }
    }

    /// The outcome alone.
    pub(super) fn into_outcome(self) -> Outcome {
        self.outcome
    }

    /// The payloads that the lanes take their data from, with their index.
    pub(super) fn sources(&self) -> Vec<(u8, PayloadName)> {
        let is_used = |index: u8| self.places.iter().any(|lane| lane.iter().any(|place| place.payload == index));
        (0u8..).zip(self.payloads.iter().copied()).filter(|(index, _)| is_used(*index)).collect()
    }

    /// The record, with what its [sources](Self::sources) opened to.
    pub(super) fn restore(self, contents: &[(u8, Payload)]) -> Result<Record, Damaged> {
        let mut lanes = Vec::with_capacity(self.leaves.len());
        for (leaf, places) in self.leaves.iter().zip(self.places.iter()) {
            let items: Option<Vec<LaneItem>> = places.iter().map(|place| item(contents, *place)).collect();
            let lane = items.and_then(|items| Lane::new(leaf.rollup, items).ok());
            lanes.push(lane.ok_or(Damaged { height: self.outcome.height, rollup: leaf.rollup })?);
        }
        Ok(Record {
            outcome: self.outcome,
            payloads: self.payloads,
            leaves: self.leaves,
            lanes: List::new(lanes).expect("as many as there are leaves at most"),
            bundles: self.bundles,
            skipped: self.skipped,
        })
    }
}

fn item(contents: &[(u8, Payload)], place: Place) -> Option<LaneItem> {
    let (_, payload) = contents.iter().find(|(index, _)| *index == place.payload)?;
    let unit = payload.units().get(usize::try_from(place.unit).ok()?)?;
    let position = place.leg.map_or(0, |leg| usize::from(leg.position));
    let data = unit.transactions().get(position)?.data.clone();
    Some(LaneItem { place, id: *unit.transaction_ids().get(position)?, data })
}

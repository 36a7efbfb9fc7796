//! Where units are found by their id: in memory, 8 bytes for each, and a list of heights for each rollup.

use super::Record;
use chorale_types::{
    Height, RollupId, UnitId,
    codec::List,
    codec_struct,
    limits::{HEADER_PAYLOADS_MAX, LANE_ITEMS_MAX, PAYLOAD_SECTIONS_MAX},
};
use std::collections::BTreeMap;

/// What the index knows of one height.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) height: Height,
    /// The first 8 bytes of the ids of all units, sorted.
    ids: List<u64, LANE_ITEMS_MAX>,
    /// Rollups with content, rising.
    rollups: List<RollupId, { HEADER_PAYLOADS_MAX * PAYLOAD_SECTIONS_MAX }>,
}
codec_struct!(Row { height, ids, rollups });

impl Row {
    pub(super) fn new(record: &Record) -> Self {
        let included = record.included().into_iter().map(|included| included.id);
        let skipped = record.skipped().iter().map(|skipped| skipped.id);
        let mut ids: Vec<u64> = included.chain(skipped).map(|id| short(&id)).collect();
        ids.sort_unstable();
        // A unit that is there twice, included and skipped, is found by one.
        ids.dedup();
        ids.shrink_to_fit();
        Self {
            height: record.height(),
            ids: List::new(ids).expect("payloads bound the units of a height"),
            rollups: List::new(record.lanes().iter().map(chorale_types::Lane::rollup).collect())
                .expect("payloads bound the lanes of a height"),
        }
    }

    pub(super) fn ids(&self) -> usize {
        self.ids.len()
    }
}

fn short(id: &UnitId) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&id.digest()[..8]);
    u64::from_be_bytes(bytes)
}

/// The rows of the heights that are kept, as far as they fit.
#[derive(Debug)]
pub(super) struct Index {
    ids_max: usize,
    ids: usize,
    rows: BTreeMap<Height, Row>,
    /// Everything up to here was dropped or is pruned.
    floor: Height,
}

impl Index {
    pub(super) const fn new(ids_max: usize) -> Self {
        Self { ids_max, ids: 0, rows: BTreeMap::new(), floor: Height(0) }
    }

    /// Heights up to this one cannot be found any more.
    pub(super) const fn floor(&self) -> Height {
        self.floor
    }

    pub(super) fn insert(&mut self, row: Row) {
        if row.height <= self.floor || row.ids.is_empty() && row.rollups.is_empty() {
            return;
        }
        self.ids += row.ids();
        if let Some(replaced) = self.rows.insert(row.height, row) {
            self.ids -= replaced.ids();
        }
        while self.ids > self.ids_max {
            let Some((height, row)) = self.rows.pop_first() else { break };
            self.ids -= row.ids();
            self.floor = height;
        }
    }

    /// Forgets heights below this one.
    pub(super) fn prune(&mut self, below: Height) {
        while let Some(first) = self.rows.first_entry().filter(|first| *first.key() < below) {
            self.ids -= first.remove().ids();
        }
        self.floor = self.floor.max(Height(below.0.saturating_sub(1)));
    }

    /// The heights that may have ordered a unit, newest first; nearly always one or none.
    pub(super) fn heights_of(&self, id: &UnitId) -> Vec<Height> {
        let short = short(id);
        let has = |row: &&Row| row.ids.binary_search(&short).is_ok();
        self.rows.values().rev().filter(has).map(|row| row.height).collect()
    }

    /// The first height after this one at which a rollup has content.
    pub(super) fn next_content(&self, rollup: RollupId, after: Height) -> Option<Height> {
        let later = self.rows.range(after.next()..);
        later.map(|(_, row)| row).find(|row| row.rollups.binary_search(&rollup).is_ok()).map(|row| row.height)
    }
}

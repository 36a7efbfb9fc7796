//! Where units are found by their id, and the content of rollups by height: in memory, 8 bytes for each id, and 8 bytes
//! for each height and rollup with content at it.

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
    height: Height,
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
}

fn short(id: &UnitId) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&id.digest()[..8]);
    u64::from_be_bytes(bytes)
}

/// The rows of the heights that are kept; ids only as far as they fit.
#[derive(Debug)]
pub(super) struct Index {
    ids_max: usize,
    ids_len: usize,
    ids: BTreeMap<Height, Box<[u64]>>,
    /// The ids of everything up to here did not fit.
    ids_floor: Height,
    /// Apart from the ids, which a busy chain fills up while lanes are kept for longer: a follower that is told that
    /// what it needs is pruned, which it is not, has no way on.
    rollups: BTreeMap<Height, Box<[RollupId]>>,
    /// Everything up to here is pruned.
    floor: Height,
}

impl Index {
    pub(super) const fn new(ids_max: usize) -> Self {
        Self {
            ids_max,
            ids_len: 0,
            ids: BTreeMap::new(),
            ids_floor: Height(0),
            rollups: BTreeMap::new(),
            floor: Height(0),
        }
    }

    /// The content of rollups cannot be found any more up to this height.
    pub(super) const fn floor(&self) -> Height {
        self.floor
    }

    /// Takes a height, in any order.
    pub(super) fn insert(&mut self, row: Row) {
        let Row { height, ids, rollups } = row;
        if height <= self.floor {
            return;
        }
        if !rollups.is_empty() {
            self.rollups.insert(height, rollups.into_vec().into_boxed_slice());
        }
        if height > self.ids_floor && !ids.is_empty() {
            self.insert_ids(height, ids.into_vec().into_boxed_slice());
        }
    }

    fn insert_ids(&mut self, height: Height, ids: Box<[u64]>) {
        self.ids_len += ids.len();
        if let Some(replaced) = self.ids.insert(height, ids) {
            self.ids_len -= replaced.len();
        }
        while self.ids_len > self.ids_max {
            let Some((oldest, ids)) = self.ids.pop_first() else { break };
            self.ids_len -= ids.len();
            self.ids_floor = oldest;
        }
    }

    /// Forgets heights below this one.
    pub(super) fn prune(&mut self, below: Height) {
        while let Some(first) = self.ids.first_entry().filter(|first| *first.key() < below) {
            self.ids_len -= first.remove().len();
        }
        while let Some(first) = self.rollups.first_entry().filter(|first| *first.key() < below) {
            drop(first.remove());
        }
        self.floor = self.floor.max(Height(below.0.saturating_sub(1)));
    }

    /// The heights that may have ordered a unit, newest first; nearly always one or none.
    pub(super) fn heights_of(&self, id: &UnitId) -> Vec<Height> {
        let short = short(id);
        let rows = self.ids.iter().rev();
        rows.filter(|(_, ids)| ids.binary_search(&short).is_ok()).map(|(height, _)| *height).collect()
    }

    /// The first height after this one at which a rollup has content.
    pub(super) fn next_content(&self, rollup: RollupId, after: Height) -> Option<Height> {
        let mut later = self.rollups.range(after.next()..);
        later.find(|(_, rollups)| rollups.binary_search(&rollup).is_ok()).map(|(height, _)| *height)
    }
}

//! Where units are found by their id, and the content of rollups by height: in memory, 8 bytes for each id, and 8 bytes
//! for each height and rollup with content at it.

use super::Record;
use chorale_types::{
    Height, RollupId, UnitId,
    codec::List,
    codec_struct,
    limits::{HEADER_PAYLOADS_MAX, LANE_ITEMS_MAX, PAYLOAD_SECTIONS_MAX},
};
use std::collections::{BTreeMap, BTreeSet};

/// The ids of the units of one height.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ids {
    height: Height,
    /// The first 8 bytes of each, sorted.
    ids: List<u64, LANE_ITEMS_MAX>,
}
codec_struct!(Ids { height, ids });

impl Ids {
    pub(super) fn new(record: &Record) -> Self {
        let included = record.included().into_iter().map(|included| included.id);
        let skipped = record.skipped().iter().map(|skipped| skipped.id);
        let mut ids: Vec<u64> = included.chain(skipped).map(|id| short(&id)).collect();
        ids.sort_unstable();
        // A unit that is there twice, included and skipped, is found by one.
        ids.dedup();
        ids.shrink_to_fit();
        Self { height: record.height(), ids: List::new(ids).expect("payloads bound the units of a height") }
    }
}

/// The rollups with content at one height.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rollups {
    height: Height,
    /// Rising.
    rollups: List<RollupId, { HEADER_PAYLOADS_MAX * PAYLOAD_SECTIONS_MAX }>,
}
codec_struct!(Rollups { height, rollups });

impl Rollups {
    pub(super) fn new(record: &Record) -> Self {
        let rollups = record.lanes().iter().map(chorale_types::Lane::rollup).collect();
        Self { height: record.height(), rollups: List::new(rollups).expect("payloads bound the lanes of a height") }
    }
}

fn short(id: &UnitId) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&id.digest()[..8]);
    u64::from_be_bytes(bytes)
}

/// Of the heights that are kept; ids only as far as they fit.
#[derive(Debug)]
pub(super) struct Index {
    ids_max: usize,
    ids_len: usize,
    ids: BTreeMap<Height, Box<[u64]>>,
    /// The ids of everything up to here did not fit.
    ids_floor: Height,
    /// Apart from the ids, which a busy chain fills up while lanes are kept for longer: a follower that is told that
    /// what it needs is pruned, which it is not, has no way on.
    contents: BTreeMap<RollupId, BTreeSet<Height>>,
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
            contents: BTreeMap::new(),
            floor: Height(0),
        }
    }

    /// The content of rollups cannot be found any more up to this height.
    pub(super) const fn floor(&self) -> Height {
        self.floor
    }

    /// Whether the ids of this height are looked up. While heights are read newest first: whether older ones are worth
    /// reading.
    pub(super) fn wants_ids(&self, height: Height) -> bool {
        height > self.floor.max(self.ids_floor)
    }

    /// Takes the ids of a height in, in any order of heights.
    pub(super) fn insert_ids(&mut self, row: Ids) {
        let Ids { height, ids } = row;
        if ids.is_empty() || !self.wants_ids(height) {
            return;
        }
        self.ids_len += ids.len();
        if let Some(replaced) = self.ids.insert(height, ids.into_vec().into_boxed_slice()) {
            self.ids_len -= replaced.len();
        }
        while self.ids_len > self.ids_max {
            let Some((oldest, ids)) = self.ids.pop_first() else { break };
            self.ids_len -= ids.len();
            self.ids_floor = oldest;
        }
    }

    /// Takes the content of a height in, in any order of heights.
    pub(super) fn insert_rollups(&mut self, row: &Rollups) {
        if row.height > self.floor {
            for rollup in row.rollups.iter() {
                self.contents.entry(*rollup).or_default().insert(row.height);
            }
        }
    }

    /// Forgets heights below this one.
    pub(super) fn prune(&mut self, below: Height) {
        while let Some(first) = self.ids.first_entry().filter(|first| *first.key() < below) {
            self.ids_len -= first.remove().len();
        }
        self.contents.retain(|_, heights| {
            while heights.first().is_some_and(|first| *first < below) {
                heights.pop_first();
            }
            !heights.is_empty()
        });
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
        self.contents.get(&rollup)?.range(after.next()..).next().copied()
    }
}

//! Bounded memories of what left the pool.

use crate::status::{Ended, Outcome, SkipReason, Skipped};
use chorale_types::{HashKey, Height, Table, TimestampMs, UnitId};
use std::collections::{BTreeMap, VecDeque};

/// The newest `max` values by id; the oldest are forgotten first.
#[derive(Clone, Debug)]
pub(crate) struct History<T> {
    values: BTreeMap<UnitId, (u64, T)>,
    /// Writes in order; one whose number is not that of the id's value was overwritten since.
    order: VecDeque<(u64, UnitId)>,
    next: u64,
    max: usize,
}

impl<T> History<T> {
    pub(crate) const fn new(max: usize) -> Self {
        Self { values: BTreeMap::new(), order: VecDeque::new(), next: 0, max }
    }

    pub(crate) fn insert(&mut self, id: UnitId, value: T) {
        let number = self.next;
        self.next += 1;
        self.values.insert(id, (number, value));
        self.order.push_back((number, id));
        // The second condition bounds the writes that were overwritten or removed.
        while self.values.len() > self.max || self.order.len() > 2 * self.max {
            let (number, id) = self.order.pop_front().expect("every value has a write in the order");
            if self.values.get(&id).is_some_and(|(current, _)| *current == number) {
                self.values.remove(&id);
            }
        }
    }

    pub(crate) fn get(&self, id: &UnitId) -> Option<&T> {
        self.values.get(id).map(|(_, value)| value)
    }

    pub(crate) fn remove(&mut self, id: &UnitId) {
        self.values.remove(id);
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    /// Ids and values, oldest write first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&UnitId, &T)> {
        self.order.iter().filter_map(|(number, id)| {
            let (current, value) = self.values.get(id)?;
            (current == number).then_some((id, value))
        })
    }
}

/// What was ordered: at least the last `max / 2` ids and at most `max`, at 32 bytes each. Nearly all entries end here, at
/// the full rate of the network, so nothing else is kept of them.
///
/// Two generations: the older is dropped whole when the newer is full. Half an id stands for the whole: to be taken for
/// somebody else's ordered transaction costs 2^128 hashes.
#[derive(Clone, Debug)]
pub(crate) struct Ordered {
    newer: Table<u128, Packed>,
    older: Table<u128, Packed>,
    generation_max: usize,
}

impl Ordered {
    pub(crate) fn new(max: usize, key: HashKey) -> Self {
        Self { newer: Table::new(key), older: Table::new(key), generation_max: (max / 2).max(1) }
    }

    /// Remembers the last word on an id: `skipped` at `height`, or in its lanes.
    pub(crate) fn insert(&mut self, id: &UnitId, height: Height, skipped: Option<SkipReason>, at: TimestampMs) {
        let key = half(id);
        if self.newer.len() >= self.generation_max && !self.newer.contains_key(&key) {
            self.older = self.newer.take();
        }
        self.newer.insert(key, Packed::new(height, skipped, at));
    }

    pub(crate) fn get(&self, id: &UnitId) -> Option<Ended> {
        let key = half(id);
        self.newer.get(&key).or_else(|| self.older.get(&key)).map(Packed::unpack)
    }

    /// Ids that are remembered; one in both generations counts twice.
    pub(crate) fn len(&self) -> usize {
        self.newer.len() + self.older.len()
    }
}

/// Height, time and fate in 16 bytes.
#[derive(Clone, Copy, Debug)]
struct Packed {
    height: u64,
    /// Milliseconds times 4, plus 0 for included or 1 and the reason.
    at_and_fate: u64,
}

impl Packed {
    fn new(height: Height, skipped: Option<SkipReason>, at: TimestampMs) -> Self {
        let fate = skipped.map_or(0, |reason| 1 + reason as u64);
        Self { height: height.0, at_and_fate: at.0.min(u64::MAX / 4) * 4 + fate }
    }

    fn unpack(&self) -> Ended {
        let height = Height(self.height);
        let outcome = match self.at_and_fate % 4 {
            0 => Outcome::Revealed(height),
            1 => Outcome::Skipped(Skipped { height, reason: SkipReason::Duplicate }),
            2 => Outcome::Skipped(Skipped { height, reason: SkipReason::Void }),
            _ => Outcome::Skipped(Skipped { height, reason: SkipReason::Invalid }),
        };
        Ended { outcome, at: TimestampMs(self.at_and_fate / 4) }
    }
}

/// The first half of an id's digest.
fn half(id: &UnitId) -> u128 {
    let (first, _) = id.digest().as_ref().split_first_chunk().expect("a digest has 32 bytes");
    u128::from_be_bytes(*first)
}

//! Bounded memories of what left the pool.

use chorale_types::UnitId;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

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
        // The second condition bounds the writes that were overwritten.
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

/// Remembers at least the last `max / 2` ids and at most `max`, at eight bytes an id.
///
/// Two generations: the older is dropped whole when the newer is full. Ids are hashes, so their first eight bytes do
/// not collide by accident; to make one collide with a victim's takes 2^64 hashes, and would only delay the victim's
/// entry on the paths that consult this filter (announcements), never a submission or a push.
#[derive(Clone, Debug)]
pub(crate) struct SeenFilter {
    newer: BTreeSet<u64>,
    older: BTreeSet<u64>,
    generation_max: usize,
}

impl SeenFilter {
    pub(crate) fn new(max: usize) -> Self {
        Self { newer: BTreeSet::new(), older: BTreeSet::new(), generation_max: (max / 2).max(1) }
    }

    pub(crate) fn insert(&mut self, id: &UnitId) {
        if self.newer.len() >= self.generation_max {
            self.older = std::mem::take(&mut self.newer);
        }
        self.newer.insert(prefix(id));
    }

    pub(crate) fn contains(&self, id: &UnitId) -> bool {
        let prefix = prefix(id);
        self.newer.contains(&prefix) || self.older.contains(&prefix)
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.newer.len() + self.older.len()
    }
}

/// The first eight bytes of an id's digest.
fn prefix(id: &UnitId) -> u64 {
    let (first, _) = id.digest().as_ref().split_first_chunk().expect("a digest has 32 bytes");
    u64::from_be_bytes(*first)
}

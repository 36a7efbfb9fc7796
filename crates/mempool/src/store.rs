//! The entries with their indices and totals. Knows no rule; keeps everything consistent.

use crate::{entry::Entry, peer::PeerId};
use chorale_types::{Height, RollupId, TimestampMs, UnitId};
use std::collections::{BTreeMap, BTreeSet};

/// An entry's place in the order of arrival on this node.
pub(crate) type Sequence = u64;

/// How far a payload in flight has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    Proposed,
    Certified,
    Committed,
}

/// In how many payloads in flight an entry is, by their stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    proposed: u16,
    certified: u16,
    committed: u16,
}

impl Marks {
    fn count(&mut self, stage: Stage) -> &mut u16 {
        match stage {
            Stage::Proposed => &mut self.proposed,
            Stage::Certified => &mut self.certified,
            Stage::Committed => &mut self.committed,
        }
    }

    /// The furthest stage, if it is in any payload in flight.
    pub(crate) const fn furthest(self) -> Option<Stage> {
        if self.committed > 0 {
            Some(Stage::Committed)
        } else if self.certified > 0 {
            Some(Stage::Certified)
        } else if self.proposed > 0 {
            Some(Stage::Proposed)
        } else {
            None
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Slot {
    pub(crate) entry: Entry,
    pub(crate) arrived_at: TimestampMs,
    pub(crate) arrival_height: Height,
    /// The peer it came from; none for a submission to this node.
    pub(crate) origin: Option<PeerId>,
    pub(crate) marks: Marks,
    /// A payload claimed to carry it, and came to its end without it. From then on claims do not count for it.
    pub(crate) betrayed: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) bytes: u64,
    pub(crate) entries: u64,
}

impl Usage {
    const fn add(&mut self, bytes: u64) {
        self.bytes += bytes;
        self.entries += 1;
    }

    fn sub(&mut self, bytes: u64) {
        self.bytes = self.bytes.checked_sub(bytes).expect("no more bytes leave than came");
        self.entries = self.entries.checked_sub(1).expect("no more entries leave than came");
    }
}

/// One rollup's entries. Only rollups that have some have a queue.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queue {
    /// Those that no payload in flight carries.
    pub(crate) pending: BTreeSet<Sequence>,
    /// Those that one carries.
    pub(crate) marked: BTreeSet<Sequence>,
    pub(crate) usage: Usage,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Store {
    /// Boxed: a tree whose keys only rise is half empty, and slots are large.
    slots: BTreeMap<Sequence, Box<Slot>>,
    ids: BTreeMap<UnitId, Sequence>,
    queues: BTreeMap<RollupId, Queue>,
    origins: BTreeMap<PeerId, Usage>,
    /// Bundles by their last height.
    expiries: BTreeSet<(Height, Sequence)>,
    total: Usage,
    /// How many entries no payload in flight carries.
    pending: usize,
    next: Sequence,
}

impl Store {
    pub(crate) fn insert(&mut self, slot: Slot) -> Sequence {
        let sequence = self.next;
        self.next += 1;
        let bytes = slot.entry.bytes();
        let replaced = self.ids.insert(slot.entry.id(), sequence);
        assert!(replaced.is_none(), "an id is in the pool once");
        let queue = self.queues.entry(slot.entry.home()).or_default();
        queue.pending.insert(sequence);
        self.pending += 1;
        queue.usage.add(bytes);
        if let Some(origin) = slot.origin {
            self.origins.entry(origin).or_default().add(bytes);
        }
        if let Some(expiry) = slot.entry.expiry() {
            self.expiries.insert((expiry, sequence));
        }
        self.total.add(bytes);
        self.slots.insert(sequence, Box::new(slot));
        sequence
    }

    pub(crate) fn remove(&mut self, sequence: Sequence) -> Option<Box<Slot>> {
        let slot = self.slots.remove(&sequence)?;
        let (id, home, bytes) = (slot.entry.id(), slot.entry.home(), slot.entry.bytes());
        self.ids.remove(&id);
        let queue = self.queues.get_mut(&home).expect("a rollup with entries has a queue");
        if queue.pending.remove(&sequence) {
            self.pending -= 1;
        } else {
            queue.marked.remove(&sequence);
        }
        queue.usage.sub(bytes);
        if queue.usage.entries == 0 {
            self.queues.remove(&home);
        }
        if let Some(origin) = slot.origin {
            let usage = self.origins.get_mut(&origin).expect("a peer with entries has a usage");
            usage.sub(bytes);
            if usage.entries == 0 {
                self.origins.remove(&origin);
            }
        }
        if let Some(expiry) = slot.entry.expiry() {
            self.expiries.remove(&(expiry, sequence));
        }
        self.total.sub(bytes);
        Some(slot)
    }

    /// Counts one more payload in `stage` that carries the entry.
    pub(crate) fn mark(&mut self, sequence: Sequence, stage: Stage) {
        let slot = self.slots.get_mut(&sequence).expect("only pooled entries are marked");
        if slot.marks.furthest().is_none() {
            let queue = self.queues.get_mut(&slot.entry.home()).expect("a rollup with entries has a queue");
            queue.pending.remove(&sequence);
            self.pending -= 1;
            queue.marked.insert(sequence);
        }
        *slot.marks.count(stage) += 1;
    }

    /// Counts one payload less. Does nothing if the entry has left the pool since.
    pub(crate) fn unmark(&mut self, sequence: Sequence, stage: Stage) {
        let Some(slot) = self.slots.get_mut(&sequence) else { return };
        let count = slot.marks.count(stage);
        *count = count.checked_sub(1).expect("a mark is taken back once");
        if slot.marks.furthest().is_none() {
            let queue = self.queues.get_mut(&slot.entry.home()).expect("a rollup with entries has a queue");
            queue.marked.remove(&sequence);
            queue.pending.insert(sequence);
            self.pending += 1;
        }
    }

    /// Notes that a payload that claimed to carry the entry ended without it. Does nothing if the entry has left the pool.
    pub(crate) fn betray(&mut self, sequence: Sequence) {
        if let Some(slot) = self.slots.get_mut(&sequence) {
            slot.betrayed = true;
        }
    }

    pub(crate) fn sequence(&self, id: &UnitId) -> Option<Sequence> {
        self.ids.get(id).copied()
    }

    pub(crate) fn slot(&self, sequence: Sequence) -> Option<&Slot> {
        self.slots.get(&sequence).map(AsRef::as_ref)
    }

    pub(crate) fn get(&self, id: &UnitId) -> Option<&Slot> {
        self.slot(*self.ids.get(id)?)
    }

    /// Slots from `sequence` on, in the order of arrival.
    pub(crate) fn slots_from(&self, sequence: Sequence) -> impl Iterator<Item = (Sequence, &Slot)> {
        self.slots.range(sequence..).map(|(&sequence, slot)| (sequence, slot.as_ref()))
    }

    /// The last that arrived.
    pub(crate) fn newest(&self) -> Option<Sequence> {
        self.slots.last_key_value().map(|(sequence, _)| *sequence)
    }

    /// How many entries no payload in flight carries.
    pub(crate) const fn pending(&self) -> usize {
        self.pending
    }

    pub(crate) const fn queues(&self) -> &BTreeMap<RollupId, Queue> {
        &self.queues
    }

    /// Bundles whose last height is at most `height`.
    pub(crate) fn expired_bundles(&self, height: Height) -> impl Iterator<Item = (Height, Sequence)> {
        self.expiries.range(..=(height, Sequence::MAX)).copied()
    }

    pub(crate) fn usage_of_rollup(&self, rollup: RollupId) -> Usage {
        self.queues.get(&rollup).map(|queue| queue.usage).unwrap_or_default()
    }

    pub(crate) fn usage_of_peer(&self, peer: PeerId) -> Usage {
        self.origins.get(&peer).copied().unwrap_or_default()
    }

    pub(crate) const fn origins(&self) -> &BTreeMap<PeerId, Usage> {
        &self.origins
    }

    pub(crate) const fn total(&self) -> Usage {
        self.total
    }

    /// Recomputes everything from the slots and compares.
    #[cfg(test)]
    pub(crate) fn check(&self) {
        let mut again = Self { next: self.next, ..Self::default() };
        for (&sequence, slot) in &self.slots {
            let (id, bytes, home) = (slot.entry.id(), slot.entry.bytes(), slot.entry.home());
            assert!(again.ids.insert(id, sequence).is_none());
            again.total.add(bytes);
            let queue = again.queues.entry(home).or_default();
            queue.usage.add(bytes);
            let place = if slot.marks.furthest().is_some() { &mut queue.marked } else { &mut queue.pending };
            place.insert(sequence);
            if let Some(origin) = slot.origin {
                again.origins.entry(origin).or_default().add(bytes);
            }
            if let Some(expiry) = slot.entry.expiry() {
                again.expiries.insert((expiry, sequence));
            }
        }
        assert_eq!(self.pending, again.queues.values().map(|queue| queue.pending.len()).sum::<usize>());
        assert_eq!(again.ids, self.ids);
        assert_eq!(again.total, self.total);
        assert_eq!(again.origins, self.origins);
        assert_eq!(again.expiries, self.expiries);
        assert_eq!(again.queues.len(), self.queues.len());
        for (rollup, queue) in &again.queues {
            let actual = &self.queues[rollup];
            assert_eq!((&queue.pending, &queue.marked, queue.usage), (&actual.pending, &actual.marked, actual.usage));
        }
    }
}

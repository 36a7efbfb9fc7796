//! The entries with their indices and totals. Knows no rule; keeps everything consistent.

use crate::{entry::Entry, peer::PeerId};
use chorale_types::{HashKey, Height, RollupId, Table, TimestampMs, UnitId};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

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
    /// In the order of arrival, some that have left among them.
    sequences: VecDeque<Sequence>,
    /// Those that no payload in flight carries.
    pub(crate) pending: usize,
    pub(crate) usage: Usage,
}

impl Queue {
    fn len(&self) -> usize {
        usize::try_from(self.usage.entries).expect("entries are in memory")
    }
}

/// Entries by their sequence, which only rises: places in a row, the first of them taken.
#[derive(Clone, Debug, Default)]
struct Slots {
    first: Sequence,
    places: VecDeque<Option<Box<Slot>>>,
    taken: usize,
}

impl Slots {
    fn place(&self, sequence: Sequence) -> Option<usize> {
        usize::try_from(sequence.checked_sub(self.first)?).ok()
    }

    fn next(&self) -> Sequence {
        self.first + self.places.len() as Sequence
    }

    fn push(&mut self, slot: Slot) -> Sequence {
        let sequence = self.next();
        self.places.push_back(Some(Box::new(slot)));
        self.taken += 1;
        sequence
    }

    fn get(&self, sequence: Sequence) -> Option<&Slot> {
        self.places.get(self.place(sequence)?)?.as_deref()
    }

    fn get_mut(&mut self, sequence: Sequence) -> Option<&mut Slot> {
        let place = self.place(sequence)?;
        self.places.get_mut(place)?.as_deref_mut()
    }

    fn remove(&mut self, sequence: Sequence) -> Option<Box<Slot>> {
        let place = self.place(sequence)?;
        let slot = self.places.get_mut(place)?.take()?;
        self.taken -= 1;
        while self.places.front().is_some_and(Option::is_none) {
            self.places.pop_front();
            self.first += 1;
        }
        Some(slot)
    }

    fn from(&self, sequence: Sequence) -> impl DoubleEndedIterator<Item = (Sequence, &Slot)> {
        let start = usize::try_from(sequence.saturating_sub(self.first)).unwrap_or(usize::MAX).min(self.places.len());
        let places = self.places.range(start..).enumerate();
        let first = self.first + start as Sequence;
        places.filter_map(move |(offset, place)| Some((first + offset as Sequence, place.as_deref()?)))
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Store {
    slots: Slots,
    ids: Table<UnitId, Sequence>,
    queues: BTreeMap<RollupId, Queue>,
    origins: BTreeMap<PeerId, Usage>,
    /// Bundles by their last height.
    expiries: BTreeSet<(Height, Sequence)>,
    total: Usage,
    /// How many entries no payload in flight carries.
    pending: usize,
}

impl Store {
    pub(crate) fn new(key: HashKey) -> Self {
        Self {
            slots: Slots::default(),
            ids: Table::new(key),
            queues: BTreeMap::new(),
            origins: BTreeMap::new(),
            expiries: BTreeSet::new(),
            total: Usage::default(),
            pending: 0,
        }
    }

    pub(crate) fn insert(&mut self, slot: Slot) -> Sequence {
        let (id, home, bytes) = (slot.entry.id(), slot.entry.home(), slot.entry.bytes());
        let (origin, expiry) = (slot.origin, slot.entry.expiry());
        let sequence = self.slots.push(slot);
        let replaced = self.ids.insert(id, sequence);
        assert!(replaced.is_none(), "an id is in the pool once");
        let queue = self.queues.entry(home).or_default();
        queue.sequences.push_back(sequence);
        queue.pending += 1;
        self.pending += 1;
        queue.usage.add(bytes);
        if let Some(origin) = origin {
            self.origins.entry(origin).or_default().add(bytes);
        }
        if let Some(expiry) = expiry {
            self.expiries.insert((expiry, sequence));
        }
        self.total.add(bytes);
        sequence
    }

    pub(crate) fn remove(&mut self, sequence: Sequence) -> Option<Box<Slot>> {
        let slot = self.slots.remove(sequence)?;
        let (id, home, bytes) = (slot.entry.id(), slot.entry.home(), slot.entry.bytes());
        self.ids.remove(&id);
        let queue = self.queues.get_mut(&home).expect("a rollup with entries has a queue");
        if slot.marks.furthest().is_none() {
            queue.pending -= 1;
            self.pending -= 1;
        }
        queue.usage.sub(bytes);
        if queue.usage.entries == 0 {
            self.queues.remove(&home);
        } else {
            tidy(queue, &self.slots);
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
        let slot = self.slots.get_mut(sequence).expect("only pooled entries are marked");
        if slot.marks.furthest().is_none() {
            let queue = self.queues.get_mut(&slot.entry.home()).expect("a rollup with entries has a queue");
            queue.pending -= 1;
            self.pending -= 1;
        }
        *slot.marks.count(stage) += 1;
    }

    /// Counts one payload less. Does nothing if the entry has left the pool since.
    pub(crate) fn unmark(&mut self, sequence: Sequence, stage: Stage) {
        let Some(slot) = self.slots.get_mut(sequence) else { return };
        let count = slot.marks.count(stage);
        *count = count.checked_sub(1).expect("a mark is taken back once");
        if slot.marks.furthest().is_none() {
            let queue = self.queues.get_mut(&slot.entry.home()).expect("a rollup with entries has a queue");
            queue.pending += 1;
            self.pending += 1;
        }
    }

    /// Notes that a payload that claimed to carry the entry ended without it. Does nothing if the entry has left the pool.
    pub(crate) fn betray(&mut self, sequence: Sequence) {
        if let Some(slot) = self.slots.get_mut(sequence) {
            slot.betrayed = true;
        }
    }

    pub(crate) fn sequence(&self, id: &UnitId) -> Option<Sequence> {
        self.ids.get(id).copied()
    }

    pub(crate) fn slot(&self, sequence: Sequence) -> Option<&Slot> {
        self.slots.get(sequence)
    }

    pub(crate) fn get(&self, id: &UnitId) -> Option<&Slot> {
        self.slot(*self.ids.get(id)?)
    }

    /// Slots from `sequence` on, in the order of arrival.
    pub(crate) fn slots_from(&self, sequence: Sequence) -> impl Iterator<Item = (Sequence, &Slot)> {
        self.slots.from(sequence)
    }

    /// The last that arrived.
    pub(crate) fn newest(&self) -> Option<Sequence> {
        self.slots.from(0).next_back().map(|(sequence, _)| sequence)
    }

    pub(crate) const fn len(&self) -> usize {
        self.slots.taken
    }

    /// The entries of a rollup, in the order of arrival.
    pub(crate) fn slots_of<'a>(&'a self, queue: &'a Queue) -> impl DoubleEndedIterator<Item = (Sequence, &'a Slot)> {
        queue.sequences.iter().filter_map(|&sequence| Some((sequence, self.slot(sequence)?)))
    }

    /// The entry of a rollup that came last, one that no payload in flight carries if there is one.
    pub(crate) fn newest_of(&self, queue: &Queue) -> Option<Sequence> {
        let pending = |(_, slot): &(Sequence, &Slot)| slot.marks.furthest().is_none();
        let newest = self.slots_of(queue).rev().find(|it| queue.pending == 0 || pending(it));
        newest.map(|(sequence, _)| sequence)
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
        let mut again = Self::new([7; 16]);
        let mut sequences: BTreeMap<RollupId, Vec<Sequence>> = BTreeMap::new();
        for (sequence, slot) in self.slots.from(0) {
            let (id, bytes, home) = (slot.entry.id(), slot.entry.bytes(), slot.entry.home());
            assert_eq!(self.ids.get(&id), Some(&sequence));
            again.total.add(bytes);
            let queue = again.queues.entry(home).or_default();
            queue.usage.add(bytes);
            sequences.entry(home).or_default().push(sequence);
            if slot.marks.furthest().is_none() {
                queue.pending += 1;
                again.pending += 1;
            }
            if let Some(origin) = slot.origin {
                again.origins.entry(origin).or_default().add(bytes);
            }
            if let Some(expiry) = slot.entry.expiry() {
                again.expiries.insert((expiry, sequence));
            }
        }
        assert_eq!((self.ids.len(), self.slots.taken), (self.len(), self.slots.from(0).count()));
        assert!(self.slots.places.front().is_none_or(Option::is_some));
        assert_eq!((self.pending, self.total), (again.pending, again.total));
        assert_eq!(again.origins, self.origins);
        assert_eq!(again.expiries, self.expiries);
        assert_eq!(again.queues.len(), self.queues.len());
        for (rollup, queue) in &again.queues {
            let actual = &self.queues[rollup];
            assert_eq!((queue.pending, queue.usage), (actual.pending, actual.usage));
            assert_eq!(self.slots_of(actual).map(|(sequence, _)| sequence).collect::<Vec<_>>(), sequences[rollup]);
            assert!(actual.sequences.len() <= 2 * actual.len() + TIDY_MIN, "what left does not pile up");
        }
    }
}

/// Sequences of entries that left are looked over this many at least.
const TIDY_MIN: usize = 32;

/// Forgets entries that have left: at the front at once, in between when they are half of all.
fn tidy(queue: &mut Queue, slots: &Slots) {
    while queue.sequences.front().is_some_and(|sequence| slots.get(*sequence).is_none()) {
        queue.sequences.pop_front();
    }
    if queue.sequences.len() > 2 * queue.len() + TIDY_MIN {
        queue.sequences.retain(|sequence| slots.get(*sequence).is_some());
    }
}

//! What goes into the next payload: oldest first inside a rollup, fair between rollups.
//!
//! Deficit round robin (Shreedhar and Varghese, SIGCOMM 1995): in turn each rollup may take `quantum_bytes` more, and
//! what it could not use, because its next entry is larger, it keeps for its next turn. The turn goes on where the last
//! selection stopped. So over any time in which two rollups both have entries waiting, the bytes they are given differ
//! by less than two quanta and the largest entry, whatever else either of them sends.

use crate::{
    config::Standing,
    entry::Entry,
    pool::Mempool,
    store::{Queue, Slot, Store},
};
use chorale_types::{Height, RollupId};
use std::{
    collections::BTreeMap,
    iter::Peekable,
    ops::Bound::{Excluded, Unbounded},
};

/// Whose turn it was, and what each rollup with entries left may still take.
#[derive(Clone, Debug, Default)]
pub(crate) struct Turns {
    last: Option<RollupId>,
    deficit_bytes: BTreeMap<RollupId, u64>,
}

/// Which entries of a rollup take part.
#[derive(Clone, Copy)]
enum Among<'a> {
    /// Those that no payload in flight carries.
    Pending,
    /// All up to the first that this does not hold for.
    PooledWhile(&'a dyn Fn(&Slot) -> bool),
}

/// The bounds of a selection.
#[derive(Clone, Copy)]
struct Budget {
    bytes: u64,
    entries: usize,
    quantum_bytes: u64,
}

impl Mempool {
    /// Entries for a payload of `height`: at most `entries_max` with at most `budget_bytes` together, without those
    /// that a manifest in flight carries, those that `exclude` names, and bundles whose last height is past.
    ///
    /// Nothing is marked: that happens when the payload's manifest comes back by [`Mempool::manifest_seen`]. The bytes
    /// are those of the entries; what the payload's layout adds is for the caller to keep free.
    pub fn select(
        &mut self,
        budget_bytes: u64,
        entries_max: usize,
        height: Height,
        exclude: impl Fn(&Entry) -> bool,
    ) -> Vec<Entry> {
        let rollups = &self.config.rollups;
        let eligible = |slot: &Slot| selectable(&slot.entry, rollups, height) && !exclude(&slot.entry);
        let budget = Budget { bytes: budget_bytes, entries: entries_max, quantum_bytes: self.config.quantum_bytes };
        pick(&self.store, &mut self.selecting, Among::Pending, &eligible, budget)
    }

    /// Entries that have waited for more than `overdue_heights` heights now that `revealed` is revealed, for the
    /// inclusion payload of a later `height`.
    ///
    /// Those that a manifest in flight claims to carry are left out once: nearly always it tells the truth, and the way
    /// through a pipeline takes more heights than anybody should wait. Where a payload ended without what it claimed,
    /// be it a lie or a header that died, claims do not count any more. `claimed`: what payloads that no header
    /// references yet claim; that counts for `claimed_heights` more, because nothing shows whether they ever are ordered.
    pub fn overdue(
        &mut self,
        budget_bytes: u64,
        entries_max: usize,
        revealed: Height,
        height: Height,
        exclude: impl Fn(&Entry) -> bool,
        claimed: impl Fn(&Entry) -> bool,
    ) -> Vec<Entry> {
        let (rollups, heights) = (&self.config.rollups, self.config.overdue_heights);
        let waited = |slot: &Slot| revealed.0.saturating_sub(slot.arrival_height.0);
        let overdue = |slot: &Slot| waited(slot) > heights;
        let claims_until = heights + self.config.claimed_heights;
        let claimed = |slot: &Slot| {
            let in_flight = slot.marks.furthest().is_some();
            !slot.betrayed && (in_flight || waited(slot) <= claims_until && claimed(&slot.entry))
        };
        let eligible =
            |slot: &Slot| selectable(&slot.entry, rollups, height) && !exclude(&slot.entry) && !claimed(slot);
        let budget = Budget { bytes: budget_bytes, entries: entries_max, quantum_bytes: self.config.quantum_bytes };
        pick(&self.store, &mut self.including, Among::PooledWhile(&overdue), &eligible, budget)
    }
}

fn selectable(entry: &Entry, rollups: &BTreeMap<RollupId, Standing>, height: Height) -> bool {
    let active = |rollup| rollups.get(&rollup) == Some(&Standing::Active);
    entry.expiry().is_none_or(|expiry| expiry >= height) && entry.rollups().all(active)
}

/// A rollup that takes part in a selection.
struct Lane<'a> {
    rollup: RollupId,
    waiting: Peekable<Box<dyn Iterator<Item = &'a Entry> + 'a>>,
    deficit_bytes: u64,
    done: bool,
}

fn pick(
    store: &Store,
    turns: &mut Turns,
    among: Among<'_>,
    eligible: &dyn Fn(&Slot) -> bool,
    budget: Budget,
) -> Vec<Entry> {
    let mut lanes = lanes(store, turns, among, eligible, budget.bytes);
    let mut picked = Vec::new();
    let mut left_bytes = budget.bytes;
    while picked.len() < budget.entries && lanes.iter().any(|lane| !lane.done) {
        for lane in lanes.iter_mut().filter(|lane| !lane.done) {
            turns.last = Some(lane.rollup);
            lane.deficit_bytes += budget.quantum_bytes;
            take_turn(lane, &mut picked, &mut left_bytes, budget.entries);
            if picked.len() == budget.entries {
                break;
            }
        }
    }
    turns.deficit_bytes = lanes
        .into_iter()
        .filter_map(|mut lane| {
            // Credit is for an entry that waits; a rollup without one starts anew when it comes back.
            let next = lane.waiting.peek()?;
            Some((lane.rollup, lane.deficit_bytes.min(next.bytes() + budget.quantum_bytes)))
        })
        .collect();
    picked
}

/// Takes what the lane's deficit and the room left allow.
fn take_turn(lane: &mut Lane<'_>, picked: &mut Vec<Entry>, left_bytes: &mut u64, entries_max: usize) {
    while picked.len() < entries_max {
        let Some(next) = lane.waiting.peek() else {
            lane.done = true;
            return;
        };
        // Nothing overtakes the oldest of its rollup: the next payload has room for it again.
        if next.bytes() > *left_bytes {
            lane.done = true;
            return;
        }
        if next.bytes() > lane.deficit_bytes {
            return;
        }
        *left_bytes -= next.bytes();
        lane.deficit_bytes -= next.bytes();
        picked.extend(lane.waiting.next().cloned());
    }
}

/// All rollups with entries, beginning after the one whose turn was last.
fn lanes<'a>(
    store: &'a Store,
    turns: &Turns,
    among: Among<'a>,
    eligible: &'a dyn Fn(&Slot) -> bool,
    budget_bytes: u64,
) -> Vec<Lane<'a>> {
    let queues = store.queues();
    let rotated: Vec<(&RollupId, &Queue)> = match turns.last {
        Some(last) => queues.range((Excluded(last), Unbounded)).chain(queues.range(..=last)).collect(),
        None => queues.iter().collect(),
    };
    rotated
        .into_iter()
        .map(|(&rollup, queue)| {
            let pooled = store.slots_of(queue).map(|(_, slot)| slot);
            let slots: Box<dyn Iterator<Item = &Slot>> = match among {
                Among::Pending => Box::new(pooled.filter(|slot| slot.marks.furthest().is_none())),
                Among::PooledWhile(holds) => Box::new(pooled.take_while(move |slot| holds(slot))),
            };
            // What is larger than the whole budget would block its rollup for ever.
            let fitting = slots.filter(move |slot| slot.entry.bytes() <= budget_bytes && eligible(slot));
            let waiting: Box<dyn Iterator<Item = &Entry>> = Box::new(fitting.map(|slot| &slot.entry));
            let deficit_bytes = turns.deficit_bytes.get(&rollup).copied().unwrap_or_default();
            Lane { rollup, waiting: waiting.peekable(), deficit_bytes, done: false }
        })
        .collect()
}

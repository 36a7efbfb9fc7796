//! Entries in flight: what the manifests of payloads say they carry, and what became of them.
//!
//! A manifest is a claim. It takes an entry out of selection while its payload is under way, and nothing more: when the
//! payload is revealed without the entry, or dropped, the entry waits again, in its old place.

use crate::{
    entry::Entry,
    expiry,
    pool::{Mempool, status_of},
    status::{Outcome, SkipReason, Skipped, Status},
    store::{Sequence, Slot, Stage, Store},
};
use chorale_types::{Commitment, Height, Manifest, TimestampMs, UnitId, View};
use std::{collections::BTreeMap, sync::Arc};

/// The payloads in flight.
pub(crate) type Flights = BTreeMap<Commitment, Flight>;

/// Entries of a rollup that a manifest is held against, besides twice as many as it claims. Payloads take the oldest
/// first, but each leaves out what those before it have taken: with a backlog they reach far. One that is missed is a
/// repeat at worst.
const LOOKED_AT_MIN: usize = 65_536;

/// The block whose header references a payload in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carrier {
    /// Its height.
    pub height: Height,
    /// Its view.
    pub view: View,
}

/// One payload in flight.
#[derive(Clone, Debug)]
pub(crate) struct Flight {
    carrier: Carrier,
    stage: Stage,
    /// Kept while some of its short ids match nothing pooled: the entry may still arrive.
    unmatched: Option<(Arc<Manifest>, usize)>,
    /// Rising.
    entries: Vec<Sequence>,
}

/// What a height brought, once its payloads are opened and its lanes known.
#[derive(Clone, Copy, Debug)]
pub struct Reveal<'a> {
    /// The height.
    pub height: Height,
    /// The payloads that its header references, also void and malformed ones.
    pub payloads: &'a [Commitment],
    /// What is in its lanes. Units that were never pooled are welcome: they are known from then on.
    pub included: &'a [UnitId],
    /// What was ordered in it without effect.
    pub skipped: &'a [(UnitId, SkipReason)],
}

impl Mempool {
    /// Marks what the manifest of a payload in flight carries as proposed, also what arrives after it.
    ///
    /// Only for payloads that the header of a block, `carrier`, references: a manifest of a payload nobody proposed would
    /// keep entries out of selection for nothing. Returns false if the payload is known already, or no more can be tracked.
    pub fn manifest_seen(
        &mut self,
        payload: Commitment,
        manifest: &Arc<Manifest>,
        carrier: Carrier,
        now: TimestampMs,
    ) -> bool {
        self.advance(now);
        if self.flights.contains_key(&payload) || !self.make_flight_room(carrier.view) {
            return false;
        }
        let mut unmatched = manifest.entries();
        let mut entries = Vec::with_capacity(unmatched.min(self.store.len()));
        for row in manifest.rollups.iter() {
            let Some(queue) = self.store.queues().get(&row.rollup) else { continue };
            // Payloads take the oldest first, so what one carries is found at the front of a queue however long that is.
            let mut unmatched_of_rollup = row.entries as usize;
            let is_marked = |slot: &Slot| slot.marks.furthest().is_some();
            let looked_at_max = LOOKED_AT_MIN + 2 * row.entries as usize;
            let pending = self.store.slots_of(queue).filter(|(_, slot)| !is_marked(slot)).take(looked_at_max);
            let marked = self.store.slots_of(queue).filter(|(_, slot)| is_marked(slot)).take(looked_at_max);
            for (sequence, slot) in pending.chain(marked) {
                if unmatched == 0 || unmatched_of_rollup == 0 {
                    break;
                }
                let entry = &slot.entry;
                if carries(manifest, entry) {
                    unmatched = unmatched.saturating_sub(entry.transaction_ids().len());
                    let of_rollup = entry.rollups().filter(|rollup| *rollup == row.rollup).count();
                    unmatched_of_rollup = unmatched_of_rollup.saturating_sub(of_rollup);
                    entries.push(sequence);
                }
            }
        }
        entries.sort_unstable();
        let unmatched = (unmatched > 0).then(|| (manifest.clone(), unmatched));
        self.change(&entries, |store, sequence| store.mark(sequence, Stage::Proposed));
        self.flights.insert(payload, Flight { carrier, stage: Stage::Proposed, unmatched, entries });
        true
    }

    /// The block that references the payload is certified. Returns false if the payload is not tracked.
    pub fn certified(&mut self, payload: &Commitment, now: TimestampMs) -> bool {
        self.promote(payload, Stage::Certified, now)
    }

    /// The block that references the payload is committed. Returns false if the payload is not tracked.
    pub fn committed(&mut self, payload: &Commitment, now: TimestampMs) -> bool {
        self.promote(payload, Stage::Committed, now)
    }

    /// The payload will not be ordered: what it carried waits again. Returns false if the payload is not tracked.
    pub fn manifest_dropped(&mut self, payload: &Commitment, now: TimestampMs) -> bool {
        self.advance(now);
        let Some(flight) = self.flights.remove(payload) else { return false };
        self.change(&flight.entries, |store, sequence| {
            store.unmark(sequence, flight.stage);
            store.betray(sequence);
        });
        true
    }

    /// Drops all payloads of views below `view` that are not committed: after a block of `view` is committed, and its
    /// ancestors were reported, none of them can be. Not across an epoch's end, where views start again: see
    /// [`Mempool::epoch_ended`].
    pub fn manifests_dropped_below(&mut self, view: View, now: TimestampMs) {
        self.drop_flights(now, |flight| flight.carrier.view < view);
    }

    /// Drops all payloads that are not committed: an epoch ended, and what is sealed for it can no longer be ordered.
    pub fn epoch_ended(&mut self, now: TimestampMs) {
        self.drop_flights(now, |_| true);
    }

    fn drop_flights(&mut self, now: TimestampMs, dead: impl Fn(&Flight) -> bool) {
        let dead = self.flights.iter().filter(|(_, flight)| flight.stage < Stage::Committed && dead(flight));
        let payloads: Vec<Commitment> = dead.map(|(&payload, _)| payload).collect();
        for payload in payloads {
            self.manifest_dropped(&payload, now);
        }
    }

    /// Takes out what a height brought, with its final status; what its payloads only claimed to carry waits again.
    /// Then expires what has waited for too many heights.
    pub fn revealed(&mut self, reveal: &Reveal<'_>, now: TimestampMs) {
        self.advance(now);
        let height = reveal.height;
        self.height = self.height.max(height);
        for id in reveal.included {
            self.settle(id, Outcome::Revealed(height));
        }
        for &(id, reason) in reveal.skipped {
            self.settle(&id, Outcome::Skipped(Skipped { height, reason }));
        }
        for payload in reveal.payloads {
            self.manifest_dropped(payload, now);
        }
        expiry::sweep(self);
    }

    /// The block that is furthest on its way with a pooled entry, as its payload's manifest says.
    #[must_use]
    pub fn carrier(&self, id: &UnitId) -> Option<Carrier> {
        let sequence = self.store.sequence(id)?;
        let furthest = self.store.slot(sequence)?.marks.furthest()?;
        let carries = |flight: &&Flight| flight.stage == furthest && flight.entries.binary_search(&sequence).is_ok();
        self.flights.values().find(carries).map(|flight| flight.carrier)
    }

    /// Marks a new entry with the payloads that claimed to carry it before it arrived.
    pub(crate) fn mark_from_flights(&mut self, sequence: Sequence) {
        for flight in self.flights.values_mut() {
            let Some((manifest, unmatched)) = &mut flight.unmatched else { continue };
            let slot = self.store.slot(sequence).expect("called with a pooled entry");
            if !carries(manifest, &slot.entry) {
                continue;
            }
            *unmatched = unmatched.saturating_sub(slot.entry.transaction_ids().len());
            if *unmatched == 0 {
                flight.unmatched = None;
            }
            // The newest has the highest.
            flight.entries.push(sequence);
            self.store.mark(sequence, flight.stage);
        }
    }

    fn promote(&mut self, payload: &Commitment, stage: Stage, now: TimestampMs) -> bool {
        self.advance(now);
        let Some(mut flight) = self.flights.remove(payload) else { return false };
        if flight.stage < stage {
            let before = std::mem::replace(&mut flight.stage, stage);
            flight.entries.retain(|&sequence| self.store.slot(sequence).is_some());
            self.change(&flight.entries, |store, sequence| {
                store.mark(sequence, stage);
                store.unmark(sequence, before);
            });
        }
        self.flights.insert(*payload, flight);
        true
    }

    /// Changes the marks of entries and reports the statuses that changed by it.
    fn change(&mut self, entries: &[Sequence], change: impl Fn(&mut Store, Sequence)) {
        if !self.config.status_events {
            return entries.iter().for_each(|&sequence| change(&mut self.store, sequence));
        }
        for &sequence in entries {
            let status = |store: &Store| -> Option<(UnitId, Status)> {
                let slot: &Slot = store.slot(sequence)?;
                Some((slot.entry.id(), status_of(slot)))
            };
            let before = status(&self.store);
            change(&mut self.store, sequence);
            let after = status(&self.store);
            if let Some((id, status)) = after.filter(|after| before.as_ref() != Some(after)) {
                self.status_event(id, status);
            }
        }
    }

    fn settle(&mut self, id: &UnitId, outcome: Outcome) {
        // Nearly all: pooled, and ordered with effect.
        if let (Some(sequence), Outcome::Revealed(_)) = (self.store.sequence(id), outcome) {
            return self.end(sequence, outcome);
        }
        let ended = self.ended(id).map(|ended| ended.outcome);
        // A repeat of what took effect does not undo it; what expired or was evicted here may have been ordered all
        // the same, and the order is what counts.
        let outcome = ended.filter(|ended| matches!(ended, Outcome::Revealed(_))).unwrap_or(outcome);
        if let Some(sequence) = self.store.sequence(id) {
            self.end(sequence, outcome);
        } else if ended != Some(outcome) {
            self.record_end(*id, outcome, None, false);
        }
    }

    /// Makes room for one more payload, at the cost of the proposed one of the lowest view.
    fn make_flight_room(&mut self, view: View) -> bool {
        if self.flights.len() < self.config.payloads_max {
            return true;
        }
        let proposed =
            self.flights.iter().filter(|(_, flight)| flight.stage == Stage::Proposed && flight.carrier.view < view);
        let Some((&lowest, _)) = proposed.min_by_key(|(_, flight)| flight.carrier.view) else { return false };
        let now = self.now;
        self.manifest_dropped(&lowest, now)
    }
}

/// Whether the manifest claims all of the entry.
fn carries(manifest: &Manifest, entry: &Entry) -> bool {
    entry.transaction_ids().iter().all(|id| manifest.contains(id))
}

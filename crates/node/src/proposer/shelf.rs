//! This node's own payloads, from sealing until they are revealed, lost or expired.
//!
//! A payload is made for a view that this node will lead, but nothing ties it to that view: if its header dies, or the
//! dispersal took too long, the next header of this node orders it, as long as it has not expired. Until one of its
//! ends is certain, its entries are kept out of this node's other payloads.

use chorale_types::{AvailabilityCertificate, Epoch, Header, Height, UnitId, View, limits::HEADER_PAYLOADS_MAX};
use std::collections::{BTreeMap, BTreeSet};

/// One payload of this node.
#[derive(Clone, Debug)]
struct Prepared {
    epoch: Epoch,
    /// The view it was made for.
    target: View,
    expiry: View,
    entries: Vec<UnitId>,
    stage: Stage,
}

#[derive(Clone, Debug)]
enum Stage {
    /// Being sealed or dispersed: a quorum has not acknowledged it yet.
    Dispersing,
    /// To be ordered.
    Ready(AvailabilityCertificate),
    /// Given to consensus for the header of this view.
    Taken(View, AvailabilityCertificate),
    /// The committed header of this height references it.
    Ordered(Height),
}

/// The place of a payload on the shelf. Never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot(u64);

/// All payloads of this node that are alive.
#[derive(Clone, Debug, Default)]
pub struct Shelf {
    prepared: BTreeMap<Slot, Prepared>,
    next: u64,
}

impl Shelf {
    /// A payload of these entries is made.
    pub fn begin(&mut self, epoch: Epoch, target: View, expiry: View, entries: Vec<UnitId>) -> Slot {
        let slot = Slot(self.next);
        self.next += 1;
        self.prepared.insert(slot, Prepared { epoch, target, expiry, entries, stage: Stage::Dispersing });
        slot
    }

    /// A quorum has acknowledged a payload.
    pub fn certified(&mut self, slot: Slot, certificate: AvailabilityCertificate) {
        if let Some(prepared) = self.prepared.get_mut(&slot) {
            prepared.stage = Stage::Ready(certificate);
        }
    }

    /// A payload will not be certified: its entries are free again.
    pub fn failed(&mut self, slot: Slot) {
        self.prepared.remove(&slot);
    }

    /// What the header of `view` shall order: the payloads made for it and those left over from earlier ones, oldest
    /// first; without any, one that was made for a later view.
    pub fn take(&mut self, epoch: Epoch, view: View) -> Vec<AvailabilityCertificate> {
        let ready = |prepared: &Prepared| {
            prepared.epoch == epoch && prepared.expiry >= view && matches!(prepared.stage, Stage::Ready(_))
        };
        let ready = self.prepared.iter().filter(|(_, prepared)| ready(prepared));
        let mut by_target: Vec<(View, Slot)> = ready.map(|(slot, prepared)| (prepared.target, *slot)).collect();
        by_target.sort_unstable();
        let due = by_target.iter().filter(|(target, _)| *target <= view).count().clamp(1, HEADER_PAYLOADS_MAX);
        by_target.truncate(due);
        by_target.into_iter().filter_map(|(_, slot)| self.take_one(slot, view)).collect()
    }

    fn take_one(&mut self, slot: Slot, view: View) -> Option<AvailabilityCertificate> {
        let prepared = self.prepared.get_mut(&slot)?;
        let Stage::Ready(certificate) = &prepared.stage else { return None };
        let certificate = certificate.clone();
        prepared.stage = Stage::Taken(view, certificate.clone());
        Some(certificate)
    }

    /// A header is committed. What it orders is ordered; what was taken for a header that now can never be committed is
    /// ready again; what no later header may reference is gone. Headers come in the order of their heights.
    pub fn committed(&mut self, header: &Header) {
        for prepared in self.prepared.values_mut().filter(|prepared| prepared.epoch == header.epoch) {
            let Stage::Taken(view, certificate) = &prepared.stage else { continue };
            if header.payloads.iter().any(|ordered| ordered.commitment() == certificate.commitment()) {
                prepared.stage = Stage::Ordered(header.height);
            } else if *view <= header.view {
                prepared.stage = Stage::Ready(certificate.clone());
            }
        }
        self.prepared.retain(|_, prepared| {
            let past = (prepared.epoch, prepared.expiry) <= (header.epoch, header.view);
            matches!(prepared.stage, Stage::Ordered(_)) || !past
        });
    }

    /// An epoch starts: what was sealed for the validators of earlier ones is gone, unless it is ordered.
    pub fn enter(&mut self, epoch: Epoch) {
        self.prepared.retain(|_, prepared| prepared.epoch >= epoch || matches!(prepared.stage, Stage::Ordered(_)));
    }

    /// Everything up to this height is revealed, and the pool knows what was in it.
    pub fn revealed(&mut self, height: Height) {
        self.prepared.retain(|_, prepared| !matches!(prepared.stage, Stage::Ordered(at) if at <= height));
    }

    /// Whether a payload made for this view is still to be proposed.
    #[must_use]
    pub fn covers(&self, epoch: Epoch, view: View) -> bool {
        self.prepared.values().any(|prepared| {
            (prepared.epoch, prepared.target) == (epoch, view)
                && matches!(prepared.stage, Stage::Dispersing | Stage::Ready(_))
        })
    }

    /// Payloads that are not ordered yet.
    #[must_use]
    pub fn unordered(&self) -> usize {
        self.prepared.values().filter(|prepared| !matches!(prepared.stage, Stage::Ordered(_))).count()
    }

    /// The entries of all payloads: they are not to be put into another one.
    #[must_use]
    pub fn entries(&self) -> BTreeSet<UnitId> {
        self.prepared.values().flat_map(|prepared| prepared.entries.iter().copied()).collect()
    }
}

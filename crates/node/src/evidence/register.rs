//! What was proven, for those who read.

use super::PER_VALIDATOR_MAX;
use chorale_types::{Epoch, Evidence, Fault, NodeKey};
use std::{
    collections::BTreeSet,
    sync::{Arc, PoisonError, RwLock},
};

/// Evidence that was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proven {
    /// The offender's identity on the mesh, as the genesis names it.
    pub validator: NodeKey,
    /// What it did.
    pub fault: Fault,
    /// The proof.
    pub evidence: Evidence,
}

impl Proven {
    const fn key(&self) -> (NodeKey, Epoch, Fault) {
        (self.validator, self.evidence.epoch, self.fault)
    }
}

#[derive(Debug, Default)]
struct Inner {
    list: Vec<Proven>,
    keys: BTreeSet<(NodeKey, Epoch, Fault)>,
}

/// Everything that was proven, in the order in which this node kept it. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Register(Arc<RwLock<Inner>>);

impl Register {
    /// At most `max` objects from position `from` on. Positions are the same after a restart.
    #[must_use]
    pub fn list(&self, from: usize, max: usize) -> Vec<Proven> {
        let inner = self.0.read().unwrap_or_else(PoisonError::into_inner);
        inner.list.iter().skip(from).take(max).copied().collect()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.read().unwrap_or_else(PoisonError::into_inner).list.len()
    }

    /// Whether nothing was proven.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether there is room for this one, and it is not here yet in kind.
    pub(super) fn wants(&self, validator: NodeKey, epoch: Epoch, fault: Fault) -> bool {
        let inner = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let first = (validator, Epoch(0), Fault::DoubleHeader);
        let of_validator = inner.keys.range(first..).take_while(|(other, ..)| *other == validator).count();
        of_validator < PER_VALIDATOR_MAX && !inner.keys.contains(&(validator, epoch, fault))
    }

    pub(super) fn insert(&self, proven: Proven) {
        let mut inner = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if inner.keys.insert(proven.key()) {
            inner.list.push(proven);
        }
    }
}

//! What the pool holds: transactions and bundles, each with its id computed once.

use chorale_foundation::Bytes;
use chorale_types::{
    Bundle, Height, PayloadUnit, RollupId, Transaction, TxId, Unit, UnitId,
    codec::{Blob, EncodeSize, List},
};
use std::{cmp::Reverse, collections::BTreeMap};

/// A unit with its ids, checked to belong together because only hashing makes one. Cloning shares the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    home: RollupId,
    bytes: u64,
    unit: PayloadUnit,
}

impl Entry {
    /// Hashes `unit`, the one time that happens on a node. Meant to run wherever the bytes were decoded, beside the
    /// pool.
    #[must_use]
    pub fn new(unit: Unit) -> Self {
        Self { home: home(&unit), bytes: unit.encode_size() as u64, unit: PayloadUnit::new(unit) }
    }

    /// The unit's id.
    #[must_use]
    pub const fn id(&self) -> UnitId {
        self.unit.id()
    }

    /// The rollup whose queue it waits in and whose share it uses: a transaction's own, for a bundle the one with the
    /// most bytes in it (of equals the lowest). So a bundle never uses up the share of a rollup that it only touches.
    #[must_use]
    pub const fn home(&self) -> RollupId {
        self.home
    }

    /// Encoded size in bytes: what the entry counts for in every bound.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The unit with the ids of its transactions, as a payload takes it.
    #[must_use]
    pub const fn unit(&self) -> &PayloadUnit {
        &self.unit
    }

    /// The unit, unwrapped.
    #[must_use]
    pub fn into_unit(self) -> PayloadUnit {
        self.unit
    }

    /// The unit as it was submitted, as it is sent and stored.
    #[must_use]
    pub fn to_unit(&self) -> Unit {
        self.unit.clone().into_unit()
    }

    /// The rollups it has content for, in the order of its legs.
    pub fn rollups(&self) -> impl Iterator<Item = RollupId> {
        self.unit.transactions().iter().map(|transaction| transaction.rollup)
    }

    /// The last height at which it may be ordered, if it names one.
    #[must_use]
    pub const fn expiry(&self) -> Option<Height> {
        match &self.unit {
            PayloadUnit::Transaction { .. } => None,
            PayloadUnit::Bundle { bundle, .. } => Some(bundle.expiry),
        }
    }

    /// The ids of its transactions.
    #[must_use]
    pub fn transaction_ids(&self) -> &[TxId] {
        self.unit.transaction_ids()
    }

    /// A copy with buffers of its own, for an entry that is a small part of the frame it came in: kept as it is, it
    /// would keep the whole frame in memory, and a peer could fill memory with frames of which one entry is pooled.
    #[must_use]
    pub fn detached(self) -> Self {
        let own = |transaction: &Transaction| Transaction {
            rollup: transaction.rollup,
            data: Blob::new(Bytes::copy_from_slice(&transaction.data)).expect("the copy is as long as the original"),
        };
        let unit = match self.unit {
            PayloadUnit::Transaction { id, transaction } => {
                PayloadUnit::Transaction { id, transaction: own(&transaction) }
            }
            PayloadUnit::Bundle { id, legs, bundle } => {
                let copies = List::new(bundle.legs.iter().map(own).collect()).expect("as many legs as before");
                PayloadUnit::Bundle { id, legs, bundle: Bundle { legs: copies, ..bundle } }
            }
        };
        Self { unit, ..self }
    }
}

/// The rollup with the most bytes in `unit`, of equals the lowest.
fn home(unit: &Unit) -> RollupId {
    match unit {
        Unit::Transaction(transaction) => transaction.rollup,
        Unit::Bundle(bundle) => {
            let mut bytes: BTreeMap<RollupId, usize> = BTreeMap::new();
            for leg in bundle.legs.iter() {
                *bytes.entry(leg.rollup).or_default() += leg.encode_size();
            }
            let largest = bytes.into_iter().max_by_key(|&(rollup, bytes)| (bytes, Reverse(rollup)));
            largest.expect("a bundle has legs").0
        }
    }
}

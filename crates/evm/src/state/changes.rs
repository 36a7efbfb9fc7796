//! What a block changed.

use super::{Account, State};
use alloy_primitives::{Address, B256, Bytes, U256};
use std::collections::BTreeMap;

/// A value before and after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change<T> {
    /// At the beginning.
    pub before: T,
    /// At the end.
    pub after: T,
}

/// All that differs between two states: what to write down of a block, and what it takes to undo it.
///
/// One entry for each row of flat tables, in the order of their keys. Nothing whose value is the same before and after.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Accounts; `None` where there is none.
    pub accounts: BTreeMap<Address, Change<Option<Account>>>,
    /// Storage slots; zero where nothing is to be kept.
    pub slots: BTreeMap<(Address, U256), Change<U256>>,
    /// Codes by hash; `None` where no account has it.
    pub codes: BTreeMap<B256, Change<Option<Bytes>>>,
    /// The hashes of blocks that `BLOCKHASH` sees, by number.
    pub block_hashes: BTreeMap<u64, Change<Option<B256>>>,
}

impl Changes {
    /// Whether both states are the same.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty() && self.slots.is_empty() && self.codes.is_empty() && self.block_hashes.is_empty()
    }

    /// Drops what ended where it began.
    pub(super) fn settle(&mut self) {
        self.accounts.retain(|_, change| change.before != change.after);
        self.slots.retain(|_, change| change.before != change.after);
        self.codes.retain(|_, change| change.before != change.after);
        self.block_hashes.retain(|_, change| change.before != change.after);
    }
}

/// Notes a change: of several of one value, the first has what was before and the last what is after.
pub(super) fn record<K: Ord, T: Clone>(changes: &mut BTreeMap<K, Change<T>>, key: K, before: T, after: T) {
    changes.entry(key).and_modify(|change| change.after = after.clone()).or_insert(Change { before, after });
}

impl State {
    /// What changed since the last call: what is written down together, once for each block.
    #[must_use]
    pub fn take_changes(&mut self) -> Changes {
        let mut changes = std::mem::take(&mut self.changes);
        changes.settle();
        changes
    }
}

//! Back to the state before a block.

use super::{Changes, State};
use alloy_primitives::{Address, B256, KECCAK256_EMPTY, U256, keccak256};
use revm::state::Bytecode;
use std::collections::BTreeMap;

/// Changes are not those that led to this state. Nothing was undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UndoError {
    /// The state changed after the block.
    #[error("the state has changes that were not taken yet: take them, and undo them first")]
    Untaken,
    /// An account is not what the block left.
    #[error("account {0} is not what the changes left")]
    Account(Address),
    /// A storage slot is not what the block left, or would be left without its account.
    #[error("slot {slot} of account {address} is not what the changes left, or its account would be missing")]
    Slot {
        /// The account.
        address: Address,
        /// The slot.
        slot: U256,
    },
    /// A code is not what the block left, or the one from before is missing or damaged.
    #[error("code {0} is not what the changes left, or its bytes from before are missing or damaged")]
    Code(B256),
    /// A block hash is not what the block left.
    #[error("the hash of block {0} is not what the changes left")]
    BlockHash(u64),
}

impl State {
    /// Undoes the last changes that were taken; then those before them can be undone. Root, and everything else, are
    /// exactly what they were.
    ///
    /// # Errors
    ///
    /// These are not the last changes, or they are damaged. The state is as it was.
    pub fn undo(&mut self, changes: &Changes) -> Result<(), UndoError> {
        self.changes.settle();
        if !self.changes.is_empty() {
            return Err(UndoError::Untaken);
        }
        let codes = self.check(changes)?;
        for (address, change) in &changes.accounts {
            if let Some(account) = change.before {
                self.set_account(*address, account, codes.get(&account.code_hash).cloned());
            }
        }
        for ((address, slot), change) in &changes.slots {
            if self.accounts.contains_key(address) {
                self.set_slot(*address, *slot, change.before);
            }
        }
        for (address, change) in &changes.accounts {
            if change.before.is_none() {
                self.remove_account(*address);
            }
        }
        for (number, change) in &changes.block_hashes {
            self.set_block_hash(*number, change.before);
        }
        // What was undone is no change since the state that was last taken.
        self.changes = Changes::default();
        Ok(())
    }

    /// That the state is what the changes left, and that all is there to go back. Returns the code of all accounts that
    /// change: another that has the same now may have lost it by the time it is needed.
    fn check(&self, changes: &Changes) -> Result<BTreeMap<B256, Bytecode>, UndoError> {
        let mut codes = BTreeMap::new();
        for (hash, change) in &changes.codes {
            if self.code(*hash).map(Bytecode::original_bytes) != change.after {
                return Err(UndoError::Code(*hash));
            }
            if let Some(bytes) = &change.before {
                let code = Bytecode::new_raw_checked(bytes.clone()).map_err(|_| UndoError::Code(*hash))?;
                if keccak256(bytes) != *hash {
                    return Err(UndoError::Code(*hash));
                }
                codes.insert(*hash, code);
            }
        }
        for (address, change) in &changes.accounts {
            if self.account(*address) != change.after.as_ref() {
                return Err(UndoError::Account(*address));
            }
            let hash = change.before.unwrap_or_default().code_hash;
            if hash != KECCAK256_EMPTY && !codes.contains_key(&hash) {
                codes.insert(hash, self.code(hash).ok_or(UndoError::Code(hash))?.clone());
            }
        }
        for ((address, slot), change) in &changes.slots {
            let existed = match changes.accounts.get(address) {
                Some(account) => account.before.is_some(),
                None => self.accounts.contains_key(address),
            };
            if self.slot(*address, *slot) != change.after || !(existed || change.before.is_zero()) {
                return Err(UndoError::Slot { address: *address, slot: *slot });
            }
        }
        for (number, change) in &changes.block_hashes {
            if self.block_hash(*number) != change.after {
                return Err(UndoError::BlockHash(*number));
            }
        }
        Ok(codes)
    }
}

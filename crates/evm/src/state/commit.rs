//! How the state changes: by transactions, and by blocks that are over.

use super::{Account, BLOCK_HASHES_MAX, Code, Holding, State, changes::record};
use alloy_primitives::{Address, B256, KECCAK256_EMPTY, U256};
use revm::{
    DatabaseCommit,
    state::{self, AccountInfo, Bytecode, EvmState},
};

/// The changes of one transaction.
///
/// Of one only: what changed in storage is told by the values from before the transaction, and those of several that
/// were executed without a commit between them are no longer the state's.
impl DatabaseCommit for State {
    /// # Panics
    ///
    /// If an account has new code that the EVM did not hand over.
    fn commit(&mut self, changes: EvmState) {
        // In any order: no account's changes depend on another's.
        for (address, account) in changes {
            self.commit_account(address, account);
        }
    }
}

impl State {
    /// Makes the hash of a block that is over visible to `BLOCKHASH`, and forgets that of the one that no longer is.
    /// Blocks come one after the other.
    pub fn push_block_hash(&mut self, number: u64, hash: B256) {
        self.set_block_hash(number, Some(hash));
        while let Some(oldest) = self.block_hashes.first_key()
            && oldest.saturating_add(BLOCK_HASHES_MAX) <= number
        {
            self.set_block_hash(oldest, None);
        }
    }

    fn commit_account(&mut self, address: Address, changed: state::Account) {
        if !changed.is_touched() {
            return;
        }
        let (destroyed, created) = (changed.is_selfdestructed(), changed.is_created());
        let state::Account { info: AccountInfo { nonce, balance, code_hash, code, .. }, storage, .. } = changed;
        let code_hash = if code_hash.is_zero() { KECCAK256_EMPTY } else { code_hash };
        let account = Account { nonce, balance, code_hash };
        if destroyed || account.is_empty() {
            self.remove_account(address);
            return;
        }
        if created {
            self.clear_storage(address);
        }
        self.set_account(address, account, code);
        for (slot, value) in storage {
            if value.is_changed() {
                self.set_slot(address, slot, value.present_value());
            }
        }
    }

    /// `code` is needed only if no account has it yet.
    pub(super) fn set_account(&mut self, address: Address, account: Account, code: Option<Bytecode>) {
        let before = self.account(address).copied();
        if before == Some(account) {
            return;
        }
        let code_hash_before = before.unwrap_or_default().code_hash;
        if code_hash_before != account.code_hash {
            self.acquire_code(account.code_hash, code);
            self.release_code(code_hash_before);
        }
        match self.accounts.get_mut(&address) {
            Some(holding) => holding.account = account,
            None => drop(self.accounts.insert(address, Holding { account, ..Holding::default() })),
        }
        self.stale_accounts.insert(address);
        record(&mut self.changes.accounts, address, before, Some(account));
    }

    pub(super) fn remove_account(&mut self, address: Address) {
        self.clear_storage(address);
        let Some(holding) = self.accounts.remove(&address) else { return };
        self.release_code(holding.account.code_hash);
        self.stale_accounts.insert(address);
        record(&mut self.changes.accounts, address, Some(holding.account), None);
    }

    /// The account has to exist.
    pub(super) fn set_slot(&mut self, address: Address, slot: U256, value: U256) {
        let holding = self.accounts.get_mut(&address).expect("storage belongs to an account");
        let before = if value.is_zero() { holding.slots.remove(&slot) } else { holding.slots.insert(slot, value) };
        let before = before.unwrap_or_default();
        if before != value {
            self.stale_slots.insert((address, slot));
            self.stale_accounts.insert(address);
            record(&mut self.changes.slots, (address, slot), before, value);
        }
    }

    fn clear_storage(&mut self, address: Address) {
        if self.accounts.get(&address).is_none_or(|holding| holding.slots.is_empty()) {
            return;
        }
        let Some(holding) = self.accounts.get_mut(&address) else { return };
        for (slot, before) in std::mem::take(&mut holding.slots).iter() {
            record(&mut self.changes.slots, (address, *slot), *before, U256::ZERO);
        }
        holding.trie = Default::default();
        self.stale_accounts.insert(address);
    }

    fn acquire_code(&mut self, hash: B256, code: Option<Bytecode>) {
        if hash == KECCAK256_EMPTY {
            return;
        }
        if let Some(code) = self.codes.get_mut(&hash) {
            code.users += 1;
            return;
        }
        let bytecode = code.expect("new code is handed over with its hash");
        record(&mut self.changes.codes, hash, None, Some(bytecode.original_bytes()));
        self.codes.insert(hash, Code { bytecode, users: 1 });
    }

    /// Code that no account has is forgotten: what a delegation costs is not paid for keeping it for ever, and two nodes
    /// with the same accounts have the same code, whatever each of them has been through.
    fn release_code(&mut self, hash: B256) {
        let Some(code) = self.codes.get_mut(&hash) else { return };
        code.users -= 1;
        if code.users == 0
            && let Some(code) = self.codes.remove(&hash)
        {
            record(&mut self.changes.codes, hash, Some(code.bytecode.original_bytes()), None);
        }
    }

    pub(super) fn set_block_hash(&mut self, number: u64, hash: Option<B256>) {
        let before = match hash {
            Some(hash) => self.block_hashes.insert(number, hash),
            None => self.block_hashes.remove(&number),
        };
        record(&mut self.changes.block_hashes, number, before, hash);
    }
}

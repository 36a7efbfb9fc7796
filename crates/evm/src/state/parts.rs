//! Flat data: the whole state as rows of tables, to write down and to start from.

use super::{
    Account, Code, Holding, State,
    changes::Changes,
    proof::{account_value, slot_key},
};
use crate::{Trie, map::Map};
use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256, keccak256};
use revm::state::Bytecode;
use std::collections::{BTreeMap, BTreeSet};

/// Why rows make no state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PartsError {
    /// Only accounts have storage.
    #[error("there is storage of {0}, but no such account")]
    Storage(Address),
    /// An account's code is needed to execute it.
    #[error("the code {code_hash} of account {address} is missing")]
    Code {
        /// The account.
        address: Address,
        /// The hash of its code.
        code_hash: B256,
    },
    /// Code that could never have been deployed.
    #[error("the code {0} starts like a delegation (EIP-7702), but is none")]
    Delegation(B256),
}

impl State {
    /// The state that rows describe: a genesis, what a node wrote down, or a snapshot from a stranger, if its root then
    /// is the right one. The root says nothing about block hashes: those have to be of verified headers.
    ///
    /// A later row replaces an earlier one with the same key. Slots that are zero are none, and code that no account has
    /// is left out. What comes of it has no changes: the rows are written down already.
    ///
    /// # Errors
    ///
    /// Rows are missing or damaged.
    pub fn from_parts(
        accounts: impl IntoIterator<Item = (Address, Account)>,
        slots: impl IntoIterator<Item = (Address, U256, U256)>,
        codes: impl IntoIterator<Item = Bytes>,
        block_hashes: impl IntoIterator<Item = (u64, B256)>,
    ) -> Result<Self, PartsError> {
        let mut accounts: Map<Address, Holding> = accounts
            .into_iter()
            .map(|(address, account)| (address, Holding { account, ..Holding::default() }))
            .collect();
        for (address, slot, value) in slots {
            let holding = accounts.get_mut(&address).ok_or(PartsError::Storage(address))?;
            if value.is_zero() {
                holding.slots.remove(&slot);
            } else {
                holding.slots.insert(slot, value);
            }
        }
        let codes = used_codes(&accounts, codes)?;
        let trie = build_tries(&mut accounts);
        Ok(Self {
            accounts,
            codes,
            block_hashes: block_hashes.into_iter().collect(),
            trie,
            stale_accounts: BTreeSet::new(),
            stale_slots: BTreeSet::new(),
            changes: Changes::default(),
        })
    }

    /// All accounts, by address.
    pub fn accounts(&self) -> impl Iterator<Item = (Address, &Account)> {
        self.accounts.iter().map(|(address, holding)| (*address, &holding.account))
    }

    /// All storage slots that are not zero, by address and slot, with their values.
    pub fn slots(&self) -> impl Iterator<Item = (Address, U256, U256)> {
        self.accounts
            .iter()
            .flat_map(|(address, holding)| holding.slots.iter().map(|(slot, value)| (*address, *slot, *value)))
    }

    /// All codes, by hash.
    pub fn codes(&self) -> impl Iterator<Item = (B256, Bytes)> {
        self.codes.iter().map(|(hash, code)| (*hash, code.bytecode.original_bytes()))
    }

    /// The hashes of the last blocks, by number.
    pub fn block_hashes(&self) -> impl Iterator<Item = (u64, B256)> {
        self.block_hashes.iter().map(|(number, hash)| (*number, *hash))
    }
}

/// The codes that accounts have, and how many have each.
fn used_codes(
    accounts: &Map<Address, Holding>,
    codes: impl IntoIterator<Item = Bytes>,
) -> Result<Map<B256, Code>, PartsError> {
    let mut given = BTreeMap::new();
    for bytes in codes {
        let hash = keccak256(&bytes);
        let bytecode = Bytecode::new_raw_checked(bytes).map_err(|_| PartsError::Delegation(hash))?;
        given.insert(hash, Code { bytecode, users: 0 });
    }
    // In order: of several that miss their code, the first is told.
    for (address, holding) in accounts.iter() {
        let code_hash = holding.account.code_hash;
        if code_hash != KECCAK256_EMPTY {
            given.get_mut(&code_hash).ok_or(PartsError::Code { address: *address, code_hash })?.users += 1;
        }
    }
    Ok(given.into_iter().filter(|(_, code): &(B256, Code)| code.users > 0).collect())
}

/// The trie of the accounts, with those of their storage.
///
/// Entries come in the order of their keys: neighbours are built together, while they are in the processor's cache.
fn build_tries(accounts: &mut Map<Address, Holding>) -> Trie {
    let mut by_key: BTreeMap<B256, Vec<u8>> = BTreeMap::new();
    let addresses: Vec<Address> = accounts.iter().map(|(address, _)| *address).collect();
    for address in addresses {
        let Some(holding) = accounts.get_mut(&address) else { continue };
        let slots: BTreeMap<B256, &U256> = holding.slots.iter().map(|(slot, value)| (slot_key(*slot), value)).collect();
        for (key, value) in slots {
            holding.trie.insert(key, alloy_rlp::encode(value));
        }
        by_key.insert(keccak256(address), account_value(&holding.account, holding.trie.root()));
    }
    let mut trie = Trie::new();
    for (key, value) in by_key {
        trie.insert(key, value);
    }
    let _ = trie.root();
    trie
}

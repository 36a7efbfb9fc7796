//! The state itself, and what reads it.

mod changes;
mod commit;
mod parts;
mod proof;
#[cfg(test)]
mod tests;
mod undo;

pub use changes::{Change, Changes};
pub use parts::PartsError;
pub use proof::{AccountProof, SlotProof};
pub use undo::UndoError;

use crate::{Trie, map::Map};
use alloy_primitives::{Address, B256, KECCAK256_EMPTY, U256};
use revm::{
    DatabaseRef,
    state::{AccountInfo, Bytecode},
};
use std::{collections::BTreeSet, convert::Infallible, fmt};

/// How many blocks back `BLOCKHASH` sees.
pub const BLOCK_HASHES_MAX: u64 = 256;

/// An account, but for its storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// How many transactions it sent; of a contract, how many contracts it made, plus one.
    pub nonce: u64,
    /// What it owns, in wei.
    pub balance: U256,
    /// The Keccak-256 hash of its code; that of nothing if it has none.
    pub code_hash: B256,
}

impl Default for Account {
    fn default() -> Self {
        Self { nonce: 0, balance: U256::ZERO, code_hash: KECCAK256_EMPTY }
    }
}

impl Account {
    /// Whether it is as good as none ([EIP-161](https://eips.ethereum.org/EIPS/eip-161)): no nonce, balance or code.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// An account with all that is its own.
#[derive(Clone, Debug, Default)]
struct Holding {
    account: Account,
    /// Without those that are zero.
    slots: Map<U256, U256>,
    /// The slots as they were at the last root.
    trie: Trie,
}

/// A code, and how many accounts have it.
#[derive(Clone, Debug)]
struct Code {
    bytecode: Bytecode,
    users: usize,
}

/// The state of one rollup. See the [crate](crate) for the rules.
///
/// A clone is a snapshot of it: of a state whose changes were taken and whose root is current, one is made in constant
/// time. It shares all that is the same in both and stays what it is whatever happens to the other, so that other threads
/// can read it, and prove from it, while the next block is executed.
#[derive(Clone, Default)]
pub struct State {
    accounts: Map<Address, Holding>,
    codes: Map<B256, Code>,
    block_hashes: Map<u64, B256>,
    /// The accounts as they were at the last root.
    trie: Trie,
    /// What changed since then.
    stale_accounts: BTreeSet<Address>,
    stale_slots: BTreeSet<(Address, U256)>,
    /// What changed since it was last asked for.
    changes: Changes,
}

/// Not all of it: it can be millions of accounts.
impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("accounts", &self.accounts.len())
            .field("codes", &self.codes.len())
            .finish_non_exhaustive()
    }
}

impl State {
    /// One without accounts.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An account, if it exists.
    #[must_use]
    pub fn account(&self, address: Address) -> Option<&Account> {
        self.accounts.get(&address).map(|holding| &holding.account)
    }

    /// The value of a storage slot; zero if it was never set, or the account does not exist.
    #[must_use]
    pub fn slot(&self, address: Address, slot: U256) -> U256 {
        self.accounts.get(&address).and_then(|holding| holding.slots.get(&slot)).copied().unwrap_or_default()
    }

    /// The code with a hash, if an account has it.
    #[must_use]
    pub fn code(&self, hash: B256) -> Option<&Bytecode> {
        self.codes.get(&hash).map(|code| &code.bytecode)
    }

    /// The hash of one of the last [`BLOCK_HASHES_MAX`] blocks.
    #[must_use]
    pub fn block_hash(&self, number: u64) -> Option<B256> {
        self.block_hashes.get(&number).copied()
    }
}

/// What the EVM reads.
///
/// Together with [`DatabaseCommit`](revm::DatabaseCommit) and
/// [`WrapDatabaseRef`](revm::database_interface::WrapDatabaseRef), a `&mut State` is all it needs to run.
impl DatabaseRef for State {
    type Error = Infallible;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, Infallible> {
        Ok(self.account(address).map(|account| AccountInfo {
            balance: account.balance,
            nonce: account.nonce,
            code_hash: account.code_hash,
            account_id: None,
            // Asked for by its hash if it is to run: most accounts are only paid, or pay.
            code: None,
        }))
    }

    /// # Panics
    ///
    /// If no account has this code: to go on without it would be to leave the chain.
    fn code_by_hash_ref(&self, code_hash: B256) -> Result<Bytecode, Infallible> {
        if code_hash == KECCAK256_EMPTY {
            return Ok(Bytecode::default());
        }
        Ok(self.code(code_hash).expect("the EVM asks for the code of accounts of this state").clone())
    }

    fn storage_ref(&self, address: Address, index: U256) -> Result<U256, Infallible> {
        Ok(self.slot(address, index))
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, Infallible> {
        Ok(self.block_hash(number).unwrap_or_default())
    }
}

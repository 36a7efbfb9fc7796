#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod evm;
mod history;
mod parts;
mod proofs;
mod rules;
mod snapshots;

use super::*;
use alloy_primitives::{Bytes, keccak256};
use alloy_trie::{
    TrieAccount,
    root::{state_root_unhashed, storage_root_unhashed},
};
use revm::{
    DatabaseCommit,
    state::{self, AccountStatus, EvmState, EvmStorageSlot, TransactionId},
};
use std::collections::BTreeMap;

fn address(name: u8) -> Address {
    Address::repeat_byte(name)
}

fn number(value: u64) -> U256 {
    U256::from(value)
}

fn code(name: u8) -> Bytecode {
    Bytecode::new_raw(vec![name; 3].into())
}

fn account(nonce: u64, balance: u64, code: &Bytecode) -> Account {
    Account { nonce, balance: number(balance), code_hash: code.hash_slow() }
}

/// What the EVM hands over about one account: how it is now, the slots it wrote (their values before the transaction and
/// now), and flags.
fn touched(
    account: Account,
    code: Option<Bytecode>,
    slots: &[(u64, u64, u64)],
    status: AccountStatus,
) -> state::Account {
    let Account { nonce, balance, code_hash } = account;
    let slot = |&(slot, before, after): &(u64, u64, u64)| {
        (number(slot), EvmStorageSlot::new_changed(number(before), number(after), TransactionId::ZERO))
    };
    let info = AccountInfo { nonce, balance, code_hash, account_id: None, code };
    let mut changed = state::Account::default().with_info(info).with_storage(slots.iter().map(slot));
    changed.status = AccountStatus::Touched | status;
    changed
}

fn commit_one(state: &mut State, address: Address, changed: state::Account) {
    state.commit(EvmState::from_iter([(address, changed)]));
}

/// The rows of all tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Rows {
    accounts: BTreeMap<Address, Account>,
    slots: BTreeMap<(Address, U256), U256>,
    codes: BTreeMap<B256, Bytes>,
    block_hashes: BTreeMap<u64, B256>,
}

impl Rows {
    fn of(state: &State) -> Self {
        Self {
            accounts: state.accounts().map(|(address, account)| (address, *account)).collect(),
            slots: state.slots().map(|(address, slot, value)| ((address, slot), value)).collect(),
            codes: state.codes().collect(),
            block_hashes: state.block_hashes().collect(),
        }
    }

    /// As a database would write down what a block changed.
    fn write(&mut self, changes: &Changes) {
        fn put<K: Ord + Copy, V: Clone>(table: &mut BTreeMap<K, V>, key: &K, value: Option<V>) {
            match value {
                Some(value) => table.insert(*key, value),
                None => table.remove(key),
            };
        }
        changes.accounts.iter().for_each(|(key, change)| put(&mut self.accounts, key, change.after));
        let slot = |value: U256| (!value.is_zero()).then_some(value);
        changes.slots.iter().for_each(|(key, change)| put(&mut self.slots, key, slot(change.after)));
        changes.codes.iter().for_each(|(key, change)| put(&mut self.codes, key, change.after.clone()));
        changes.block_hashes.iter().for_each(|(key, change)| put(&mut self.block_hashes, key, change.after));
    }

    fn state(&self) -> Result<State, PartsError> {
        State::from_parts(
            self.accounts.clone(),
            self.slots.iter().map(|((address, slot), value)| (*address, *slot, *value)),
            self.codes.values().cloned(),
            self.block_hashes.clone(),
        )
    }

    /// The root as another implementation computes it, from all rows at once.
    fn root(&self) -> B256 {
        state_root_unhashed(self.accounts.iter().map(|(address, account)| {
            let slots = self.slots.iter().filter(|((owner, _), _)| owner == address);
            let root = storage_root_unhashed(slots.map(|((_, slot), value)| ((*slot).into(), *value)));
            (*address, TrieAccount::new(account.nonce, account.balance, root, account.code_hash))
        }))
    }
}

/// That everything in a state agrees.
fn check(state: &mut State) -> (Rows, B256) {
    let (rows, root) = (Rows::of(state), state.root());
    assert_eq!(root, rows.root());
    assert!(rows.slots.values().all(|value| !value.is_zero()));
    let used = rows.accounts.values().map(|account| account.code_hash).filter(|hash| *hash != KECCAK256_EMPTY);
    assert_eq!(used.collect::<BTreeSet<_>>(), rows.codes.keys().copied().collect());
    assert!(rows.codes.iter().all(|(hash, bytes)| keccak256(bytes) == *hash));
    (rows, root)
}

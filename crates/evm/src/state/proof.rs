//! The root of the state, and proofs against it.

use super::{Account, State};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_trie::{EMPTY_ROOT_HASH, TrieAccount};

/// What an account is, or that there is none, with what proves it against the root of the state: the answer of
/// `eth_getProof` ([EIP-1186](https://eips.ethereum.org/EIPS/eip-1186)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountProof {
    /// Whose it is.
    pub address: Address,
    /// The account, if it exists.
    pub account: Option<Account>,
    /// The root of its storage; that of an empty trie if it does not exist.
    pub storage_hash: B256,
    /// The nodes of the account trie, from the root on.
    pub proof: Vec<Bytes>,
    /// Those of its storage slots that were asked for, in that order.
    pub slots: Vec<SlotProof>,
}

/// What a storage slot holds, with what proves it against the root of the account's storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotProof {
    /// The slot.
    pub slot: U256,
    /// Its value; zero if there is none.
    pub value: U256,
    /// The nodes of the storage trie, from the root on.
    pub proof: Vec<Bytes>,
}

/// Where a slot is in its account's trie.
pub(super) fn slot_key(slot: U256) -> B256 {
    keccak256(slot.to_be_bytes::<32>())
}

/// What the account trie holds of an account.
pub(super) fn account_value(account: &Account, storage_root: B256) -> Vec<u8> {
    alloy_rlp::encode(TrieAccount::new(account.nonce, account.balance, storage_root, account.code_hash))
}

impl State {
    /// Ethereum's state root. Takes as long as what changed since the last call, not as the state.
    #[must_use]
    pub fn root(&mut self) -> B256 {
        for (address, slot) in std::mem::take(&mut self.stale_slots) {
            let Some(holding) = self.accounts.get_mut(&address) else { continue };
            match holding.slots.get(&slot) {
                Some(value) => holding.trie.insert(slot_key(slot), alloy_rlp::encode(value)),
                None => holding.trie.remove(slot_key(slot)),
            }
        }
        for address in std::mem::take(&mut self.stale_accounts) {
            let key = keccak256(address);
            match self.accounts.get_mut(&address) {
                Some(holding) => self.trie.insert(key, account_value(&holding.account, holding.trie.root())),
                None => self.trie.remove(key),
            }
        }
        self.trie.root()
    }

    /// [`State::root`], if that was asked for since the last change. It is after every block.
    #[must_use]
    pub fn current_root(&self) -> Option<B256> {
        let settled = self.stale_accounts.is_empty() && self.stale_slots.is_empty();
        self.trie.current_root().filter(|_| settled)
    }

    /// Proves an account, or that there is none, and slots of its storage, against [`State::root`].
    ///
    /// # Panics
    ///
    /// If the state changed since its last root: there is nothing yet to prove anything against.
    #[must_use]
    pub fn account_proof(&self, address: Address, slots: &[U256]) -> AccountProof {
        assert!(
            self.current_root().is_some(),
            "the state changed since its last root: ask for the root before a proof"
        );
        let holding = self.accounts.get(&address);
        let prove = |&slot: &U256| SlotProof {
            slot,
            value: self.slot(address, slot),
            proof: holding.map_or_else(Vec::new, |holding| holding.trie.proof(slot_key(slot))),
        };
        let storage_hash = holding.map_or(Some(EMPTY_ROOT_HASH), |holding| holding.trie.current_root());
        AccountProof {
            address,
            account: holding.map(|holding| holding.account),
            storage_hash: storage_hash.expect("the root of all accounts is computed after those of their storage"),
            proof: self.trie.proof(keccak256(address)),
            slots: slots.iter().map(prove).collect(),
        }
    }
}

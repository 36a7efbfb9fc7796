//! Transactions that were sent through this node and are in no block yet: wallets ask for them.

use alloy_consensus::Transaction as _;
use alloy_primitives::{Address, TxHash};
use chorale_evm::{SignedTransaction, State};
use std::collections::{BTreeMap, VecDeque};

/// So many are remembered; the oldest are forgotten first. They are in the sequencers' pool all the same.
const PENDING_MAX: usize = 16_384;

/// Those that are remembered.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    transactions: BTreeMap<TxHash, SignedTransaction>,
    nonces: BTreeMap<(Address, u64), TxHash>,
    order: VecDeque<TxHash>,
}

impl Pending {
    pub(crate) fn insert(&mut self, transaction: SignedTransaction) {
        let hash = *transaction.inner().tx_hash();
        self.nonces.insert((transaction.signer(), transaction.nonce()), hash);
        if self.transactions.insert(hash, transaction).is_none() {
            self.order.push_back(hash);
        }
        while self.order.len() > PENDING_MAX {
            let Some(oldest) = self.order.pop_front() else { break };
            self.forget(oldest);
        }
    }

    pub(crate) fn get(&self, hash: TxHash) -> Option<&SignedTransaction> {
        self.transactions.get(&hash)
    }

    /// The nonce that comes after all that a sender sent without a gap.
    pub(crate) fn next_nonce(&self, sender: Address, state: &State) -> u64 {
        let first = state.account(sender).map_or(0, |account| account.nonce);
        (first..).find(|nonce| !self.nonces.contains_key(&(sender, *nonce))).unwrap_or(first)
    }

    /// Forgets what is in a block by now, or can never be.
    pub(crate) fn prune(&mut self, state: &State) {
        let over = |transaction: &SignedTransaction| {
            state.account(transaction.signer()).is_some_and(|account| transaction.nonce() < account.nonce)
        };
        let gone: Vec<TxHash> =
            self.transactions.iter().filter(|(_, transaction)| over(transaction)).map(|(hash, _)| *hash).collect();
        for hash in &gone {
            self.forget(*hash);
        }
        if !gone.is_empty() {
            self.order.retain(|hash| self.transactions.contains_key(hash));
        }
    }

    fn forget(&mut self, hash: TxHash) {
        if let Some(transaction) = self.transactions.remove(&hash) {
            let key = (transaction.signer(), transaction.nonce());
            // Another one may have taken its place.
            if self.nonces.get(&key) == Some(&hash) {
                self.nonces.remove(&key);
            }
        }
    }
}

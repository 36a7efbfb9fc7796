//! Transactions that were sent through this node and are in no block yet: wallets ask for them.

use alloy_consensus::Transaction as _;
use alloy_primitives::{Address, TxHash};
use chorale_evm::{SignedTransaction, State};
use chorale_types::Height;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

/// So many are remembered in all; the oldest are forgotten first. They are in the sequencers' pool all the same.
const PENDING_MAX: usize = 16_384;
/// So many of one sender.
pub(crate) const PENDING_PER_SENDER_MAX: usize = 64;
/// What is in no block after so many heights is forgotten: the pool keeps nothing longer.
const HEIGHTS_MAX: u64 = 1_024;
/// What was ordered in vain is submitted again after this time, and once more each time that nothing came of it: for some
/// heights the pool refuses it.
pub(crate) const AGAIN_AFTER: Duration = Duration::from_secs(3);
/// So often.
const TRIES_MAX: u8 = 8;
/// So many at a time.
const AGAIN_MAX: usize = 64;

/// Those that are remembered.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    transactions: BTreeMap<TxHash, (Height, SignedTransaction)>,
    nonces: BTreeMap<(Address, u64), TxHash>,
    /// By the height at which they came.
    order: BTreeSet<(Height, TxHash)>,
    /// What was ordered and had no effect, but may have it later.
    in_vain: BTreeMap<TxHash, InVain>,
    height: Height,
}

/// When something is submitted again, and how often it was.
#[derive(Clone, Copy, Debug)]
struct InVain {
    again_at: Instant,
    tries: u8,
}

/// What another transaction of its sender with its nonce took the place of.
#[derive(Clone, Debug)]
pub(crate) struct Replaced {
    transaction: SignedTransaction,
    in_vain: Option<InVain>,
}

impl Pending {
    /// Remembers a transaction, and gives what it takes the place of.
    pub(crate) fn insert(&mut self, transaction: SignedTransaction) -> Option<Replaced> {
        let hash = *transaction.inner().tx_hash();
        if self.transactions.contains_key(&hash) {
            return None;
        }
        let place = (transaction.signer(), transaction.nonce());
        let replaced = self.nonces.get(&place).copied().and_then(|replaced| {
            let (transaction, in_vain) = (self.get(replaced)?.clone(), self.in_vain.get(&replaced).copied());
            self.forget(replaced);
            Some(Replaced { transaction, in_vain })
        });
        self.nonces.insert(place, hash);
        self.transactions.insert(hash, (self.height, transaction));
        self.order.insert((self.height, hash));
        while self.order.len() > PENDING_MAX
            && let Some((_, oldest)) = self.order.first().copied()
        {
            self.forget(oldest);
        }
        replaced
    }

    /// Forgets what no node took, if it is in no block all the same, and remembers again what it took the place of.
    pub(crate) fn take_back(&mut self, hash: TxHash, replaced: Option<Replaced>) {
        if self.get(hash).is_none() {
            return;
        }
        self.forget(hash);
        if let Some(Replaced { transaction, in_vain }) = replaced {
            let hash = *transaction.inner().tx_hash();
            self.insert(transaction);
            self.in_vain.extend(in_vain.map(|in_vain| (hash, in_vain)));
        }
    }

    pub(crate) fn get(&self, hash: TxHash) -> Option<&SignedTransaction> {
        self.transactions.get(&hash).map(|(_, transaction)| transaction)
    }

    pub(crate) fn len(&self) -> usize {
        self.transactions.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &SignedTransaction> {
        self.transactions.values().map(|(_, transaction)| transaction)
    }

    /// All of a sender, by nonce.
    pub(crate) fn of(&self, sender: Address) -> impl Iterator<Item = (u64, &SignedTransaction)> {
        let nonces = self.nonces.range((sender, 0)..=(sender, u64::MAX));
        nonces.filter_map(|((_, nonce), hash)| Some((*nonce, self.get(*hash)?)))
    }

    /// The one that a sender sent with a nonce.
    pub(crate) fn at(&self, sender: Address, nonce: u64) -> Option<&SignedTransaction> {
        self.get(*self.nonces.get(&(sender, nonce))?)
    }

    /// How many a sender has.
    pub(crate) fn count(&self, sender: Address) -> usize {
        self.nonces.range((sender, 0)..=(sender, u64::MAX)).count()
    }

    /// The nonce that comes after all that a sender sent without a gap.
    pub(crate) fn next_nonce(&self, sender: Address, state: &State) -> u64 {
        let first = state.account(sender).map_or(0, |account| account.nonce);
        (first..).find(|nonce| !self.nonces.contains_key(&(sender, *nonce))).unwrap_or(first)
    }

    /// Forgets what is in a block by now, what had no effect and cannot have it later, what can never be, and what is too
    /// old. `skipped`: what had no effect, and whether it may have it later.
    pub(crate) fn settle(
        &mut self,
        (height, now): (Height, Instant),
        state: &State,
        skipped: impl IntoIterator<Item = (TxHash, bool)>,
    ) {
        self.height = height;
        for (hash, is_passing) in skipped {
            if !is_passing {
                self.forget(hash);
            } else if self.transactions.contains_key(&hash) {
                let again_at = now + AGAIN_AFTER;
                self.in_vain.entry(hash).or_insert(InVain { again_at, tries: 0 }).again_at = again_at;
            }
        }
        let over = |height_then: Height, transaction: &SignedTransaction| {
            height_then.0.saturating_add(HEIGHTS_MAX) < height.0
                || state.account(transaction.signer()).is_some_and(|account| transaction.nonce() < account.nonce)
        };
        let gone = self.transactions.iter().filter(|(_, (height_then, transaction))| over(*height_then, transaction));
        for hash in gone.map(|(hash, _)| *hash).collect::<Vec<_>>() {
            self.forget(hash);
        }
    }

    /// What was ordered in vain and is to be ordered again now, by nonce, that of the longest waiting sender first: all that
    /// comes before it is in a block, or under way, and can pay. Tried too often, it is forgotten: its sender may decide anew.
    pub(crate) fn again(&mut self, state: &State, base_fee: u64, now: Instant) -> Vec<SignedTransaction> {
        let is_due = |hash: &TxHash| self.in_vain.get(hash).filter(|in_vain| in_vain.again_at <= now);
        let due = self.in_vain.keys().filter(|hash| is_due(hash).is_some()).filter_map(|hash| self.get(*hash));
        let senders: BTreeSet<Address> = due.map(|transaction| transaction.signer()).collect();
        let mut again = Vec::new();
        for sender in senders {
            let first = state.account(sender).map_or(0, |account| account.nonce);
            let in_turn = self.of(sender).skip_while(|(nonce, _)| *nonce < first);
            let in_turn = (first..).zip(in_turn).take_while(|(expected, (nonce, transaction))| {
                expected == nonce && transaction.max_fee_per_gas() >= u128::from(base_fee)
            });
            let hashes = in_turn.map(|(_, (_, transaction))| *transaction.inner().tx_hash());
            let hashes: Vec<TxHash> = hashes.filter(|hash| is_due(hash).is_some()).collect();
            let since = hashes.iter().filter_map(is_due).map(|in_vain| in_vain.again_at).min();
            again.extend(since.map(|since| (since, hashes)));
        }
        again.sort_unstable();
        let again = again.into_iter().flat_map(|(_, hashes)| hashes).take(AGAIN_MAX);
        again.filter_map(|hash| self.try_again(hash, now)).collect()
    }

    fn try_again(&mut self, hash: TxHash, now: Instant) -> Option<SignedTransaction> {
        let in_vain = self.in_vain.get_mut(&hash)?;
        (in_vain.again_at, in_vain.tries) = (now + AGAIN_AFTER, in_vain.tries + 1);
        if in_vain.tries > TRIES_MAX {
            self.forget(hash);
            return None;
        }
        self.get(hash).cloned()
    }

    fn forget(&mut self, hash: TxHash) {
        self.in_vain.remove(&hash);
        if let Some((height, transaction)) = self.transactions.remove(&hash) {
            self.order.remove(&(height, hash));
            let key = (transaction.signer(), transaction.nonce());
            // Another one may have taken its place.
            if self.nonces.get(&key) == Some(&hash) {
                self.nonces.remove(&key);
            }
        }
    }
}

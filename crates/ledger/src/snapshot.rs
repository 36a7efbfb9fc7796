//! Snapshots: the whole state as bytes, to restart from, or to start from where others are.

use crate::{
    Config, Ledger, OrderedTransactions,
    domains::{DomainRow, Domains, SuspendedRow},
    references::{Reference, References},
    window::{Ordered, OrderedBundles, Window},
};
use chorale_types::{
    Digest, Epoch, Height, Outcome, RegistryLeaf, RegistryTree, TimestampMs,
    codec::List,
    codec_struct,
    limits::{BUNDLE_LIFETIME_HEIGHTS_MAX, DEDUP_WINDOW_HEIGHTS_MAX, DOMAINS_MAX, ROLLUPS_MAX},
};
use std::collections::BTreeMap;

const ROWS_MAX: usize = 1 << 17;
const _: () =
    assert!(BUNDLE_LIFETIME_HEIGHTS_MAX + DEDUP_WINDOW_HEIGHTS_MAX < ROWS_MAX as u64, "a row for each height");
const REFERENCES_MAX: usize = 1 << 24;

/// The state of a [`Ledger`] at a height, but for the ids of transactions, which are nearly all of it and never change:
/// whoever writes each height's down once needs only this again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    height: Height,
    timestamp: TimestampMs,
    registry: List<RegistryLeaf, ROLLUPS_MAX>,
    epoch: Epoch,
    references: List<Reference, REFERENCES_MAX>,
    bundles: List<OrderedBundles, ROWS_MAX>,
    domains: List<DomainRow, DOMAINS_MAX>,
    suspended: List<SuspendedRow, ROLLUPS_MAX>,
    /// The ledger's digest, of the transactions too.
    digest: Digest,
}
codec_struct!(Head { height, timestamp, registry, epoch, references, bundles, domains, suspended, digest });

/// The state of a [`Ledger`] at a height.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// All but the transactions of the window.
    pub head: Head,
    /// The transactions of the window, by height.
    pub transactions: List<OrderedTransactions, ROWS_MAX>,
}
codec_struct!(Snapshot { head, transactions });

/// Why a snapshot is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// The rollups are others than the genesis has.
    #[error("the snapshot at height {0} does not have the rollups of the genesis, in order")]
    Rollups(Height),
    /// Rows do not rise, or are not from before the snapshot.
    #[error("the snapshot at height {0} has rows that are out of order")]
    Rows(Height),
    /// It is another state than its digest, or the outcome, commits to.
    #[error("the state at height {height} has the digest {actual}, expected {expected}")]
    Digest {
        /// Its height.
        height: Height,
        /// The outcome's, or the head's.
        expected: Digest,
        /// The state's.
        actual: Digest,
    },
    /// The outcome is of another height, time or registry.
    #[error("the snapshot at height {0} disagrees with the outcome about height, time or registry")]
    Outcome(Height),
}

impl Head {
    /// The height it was taken at.
    #[must_use]
    pub const fn height(&self) -> Height {
        self.height
    }
}

impl Ledger {
    /// The state without the transactions of the window; each height's are [`Ledger::transactions_of`].
    ///
    /// # Panics
    ///
    /// If the genesis has more rollups, or a wider window, than is allowed; it is checked for that.
    #[must_use]
    pub fn head(&self) -> Head {
        let registry = self.registry.iter().map(|(rollup, last)| RegistryLeaf { rollup: *rollup, last: *last });
        let (domains, suspended) = self.domains.rows();
        Head {
            height: self.height,
            timestamp: self.timestamp,
            registry: List::new(registry.collect()).expect("a genesis has at most as many rollups"),
            epoch: self.references.epoch(),
            references: List::new(self.references.iter().collect()).expect("an epoch has fewer headers"),
            bundles: List::new(self.window.all_bundles().cloned().collect()).expect("lifetimes are shorter"),
            domains,
            suspended,
            digest: self.digest(),
        }
    }

    /// The transactions of a height that may not be ordered again for now; none if there are none.
    #[must_use]
    pub fn transactions_of(&self, height: Height) -> Option<&OrderedTransactions> {
        self.window.transactions_of(height)
    }

    /// The whole state.
    ///
    /// # Panics
    ///
    /// As [`Ledger::head`].
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let transactions = self.window.all_transactions().cloned().collect();
        Snapshot { head: self.head(), transactions: List::new(transactions).expect("windows are shorter") }
    }

    /// The state of a snapshot that this node wrote itself.
    ///
    /// # Errors
    ///
    /// It is of another genesis, or damaged.
    pub fn restore(config: Config, snapshot: Snapshot) -> Result<Self, RestoreError> {
        let Snapshot { head, transactions } = snapshot;
        let height = head.height;
        if !head.registry.iter().map(|leaf| leaf.rollup).eq(config.rollups.keys().copied()) {
            return Err(RestoreError::Rollups(height));
        }
        let transactions = transactions.into_vec();
        let rising = transactions.is_sorted_by(|a, b| a.height < b.height)
            && head.bundles.is_sorted_by(|a, b| a.height < b.height);
        let last = transactions.last().map(|row| row.height).max(head.bundles.last().map(|row| row.height));
        if !rising || last.is_some_and(|last| last > height) {
            return Err(RestoreError::Rows(height));
        }
        let mut rows: BTreeMap<Height, Ordered> = BTreeMap::new();
        for row in transactions {
            rows.entry(row.height).or_default().transactions = row.ids;
        }
        for row in head.bundles.into_vec() {
            rows.entry(row.height).or_default().bundles = row.burnt;
        }
        let mut window = Window::new(config.hash_key);
        for (height, ordered) in rows {
            window.insert(height, ordered);
        }
        let domains = Domains::restore(&config, (head.domains, head.suspended)).ok_or(RestoreError::Rollups(height))?;
        let ledger = Self {
            domains,
            config,
            height,
            timestamp: head.timestamp,
            registry: head.registry.iter().map(|leaf| (leaf.rollup, leaf.last)).collect(),
            window,
            references: References::new(head.epoch, &head.references),
        };
        match ledger.digest() {
            actual if actual == head.digest => Ok(ledger),
            actual => Err(RestoreError::Digest { height, expected: head.digest, actual }),
        }
    }

    /// The state of a snapshot from a stranger, if it is the one of an attested outcome.
    ///
    /// # Errors
    ///
    /// It is another state.
    pub fn restore_attested(config: Config, snapshot: Snapshot, outcome: &Outcome) -> Result<Self, RestoreError> {
        let head = &snapshot.head;
        let height = head.height;
        let registry = RegistryTree::new(head.registry.to_vec()).root();
        let same = (height, head.timestamp, registry) == (outcome.height, outcome.timestamp, outcome.registry);
        if !same || config.chain != outcome.chain {
            return Err(RestoreError::Outcome(height));
        }
        if head.digest != outcome.ledger {
            return Err(RestoreError::Digest { height, expected: outcome.ledger, actual: head.digest });
        }
        Self::restore(config, snapshot)
    }
}

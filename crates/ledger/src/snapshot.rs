//! Snapshots: the whole state as bytes, to restart from, or to start from where others are.

use crate::{
    Config, Ledger,
    references::{Reference, References},
    window::{Row, Window},
};
use chorale_types::{
    Digest, Epoch, Height, Outcome, RegistryLeaf, RegistryTree, TimestampMs,
    codec::List,
    codec_struct,
    limits::{BUNDLE_LIFETIME_HEIGHTS_MAX, DEDUP_WINDOW_HEIGHTS_MAX, ROLLUPS_MAX},
};

const ROWS_MAX: usize = 1 << 17;
const _: () =
    assert!(BUNDLE_LIFETIME_HEIGHTS_MAX + DEDUP_WINDOW_HEIGHTS_MAX < ROWS_MAX as u64, "a row for each height");
const REFERENCES_MAX: usize = 1 << 24;

/// The state of a [`Ledger`] at a height.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    height: Height,
    timestamp: TimestampMs,
    registry: List<RegistryLeaf, ROLLUPS_MAX>,
    epoch: Epoch,
    references: List<Reference, REFERENCES_MAX>,
    rows: List<Row, ROWS_MAX>,
}
codec_struct!(Snapshot { height, timestamp, registry, epoch, references, rows });

/// Why a snapshot is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// The rollups are others than the genesis has.
    #[error("the snapshot at height {0} does not have the rollups of the genesis, in order")]
    Rollups(Height),
    /// Rows do not rise, or are not from before the snapshot.
    #[error("the snapshot at height {0} has rows that are out of order")]
    Rows(Height),
    /// It is another state than the outcome commits to.
    #[error("the snapshot at height {height} has the digest {actual}; the outcome has {expected}")]
    Digest {
        /// Its height.
        height: Height,
        /// The outcome's.
        expected: Digest,
        /// The snapshot's.
        actual: Digest,
    },
    /// The outcome is of another height, time or registry.
    #[error("the snapshot at height {0} disagrees with the outcome about height, time or registry")]
    Outcome(Height),
}

impl Snapshot {
    /// The height it was taken at.
    #[must_use]
    pub const fn height(&self) -> Height {
        self.height
    }
}

impl Ledger {
    /// The state, to be written down.
    ///
    /// # Panics
    ///
    /// If the genesis has more rollups, or a wider window, than is allowed; it is checked for that.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let registry = self.registry.iter().map(|(rollup, last)| RegistryLeaf { rollup: *rollup, last: *last });
        Snapshot {
            height: self.height,
            timestamp: self.timestamp,
            registry: List::new(registry.collect()).expect("a genesis has at most as many rollups"),
            epoch: self.references.epoch(),
            references: List::new(self.references.iter().collect()).expect("an epoch has fewer headers"),
            rows: List::new(self.window.rows().cloned().collect()).expect("windows and lifetimes are shorter"),
        }
    }

    /// The state of a snapshot that this node wrote itself.
    ///
    /// # Errors
    ///
    /// It is of another genesis, or damaged.
    pub fn restore(config: Config, snapshot: Snapshot) -> Result<Self, RestoreError> {
        let height = snapshot.height;
        if !snapshot.registry.iter().map(|leaf| leaf.rollup).eq(config.rollups.keys().copied()) {
            return Err(RestoreError::Rollups(height));
        }
        let rising = snapshot.rows.is_sorted_by(|a, b| a.height < b.height);
        if !rising || snapshot.rows.last().is_some_and(|row| row.height > height) {
            return Err(RestoreError::Rows(height));
        }
        let mut window = Window::new(config.hash_key);
        for row in snapshot.rows.into_vec() {
            window.insert(row);
        }
        Ok(Self {
            config,
            height,
            timestamp: snapshot.timestamp,
            registry: snapshot.registry.iter().map(|leaf| (leaf.rollup, leaf.last)).collect(),
            window,
            references: References::new(snapshot.epoch, &snapshot.references),
        })
    }

    /// The state of a snapshot from a stranger, if it is the one of an attested outcome.
    ///
    /// # Errors
    ///
    /// It is another state.
    pub fn restore_attested(config: Config, snapshot: Snapshot, outcome: &Outcome) -> Result<Self, RestoreError> {
        let height = snapshot.height;
        let registry = RegistryTree::new(snapshot.registry.to_vec()).root();
        let same = (height, snapshot.timestamp, registry) == (outcome.height, outcome.timestamp, outcome.registry);
        if !same || config.chain != outcome.chain {
            return Err(RestoreError::Outcome(height));
        }
        let ledger = Self::restore(config, snapshot)?;
        match ledger.digest() {
            actual if actual == outcome.ledger => Ok(ledger),
            actual => Err(RestoreError::Digest { height, expected: outcome.ledger, actual }),
        }
    }
}

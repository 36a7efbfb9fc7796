//! What was ordered lately: transactions within the window, bundles until they expire.

use chorale_types::{
    BundleId, Digest, HashKey, Height, Table, TxId,
    codec::{Encode, List},
    codec_struct,
    limits::{BUNDLE_LEGS_MAX, LANE_ITEMS_MAX},
    tagged_hash,
};
use std::collections::BTreeMap;

/// A bundle that was ordered, and when it may be forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Burnt {
    pub(crate) id: BundleId,
    pub(crate) expiry: Height,
}
codec_struct!(Burnt { id, expiry });

/// What one height ordered, as far as it is remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) height: Height,
    pub(crate) transactions: List<TxId, LANE_ITEMS_MAX>,
    pub(crate) bundles: List<Burnt, LANE_ITEMS_MAX>,
}
codec_struct!(Row { height, transactions, bundles });

const _: () = assert!(BUNDLE_LEGS_MAX > 0, "a bundle takes at least one of a height's entries");

/// A row and the digests of its parts, which change only when a part is forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Kept {
    row: Row,
    transactions: Digest,
    bundles: Digest,
    /// The last height at which one of its bundles counts.
    expiry_max: Height,
}

impl Kept {
    fn new(row: Row) -> Self {
        let transactions = tagged_hash("chorale/ledger-transactions/v1", &[&row.transactions.encode()]);
        let bundles = tagged_hash("chorale/ledger-bundles/v1", &[&row.bundles.encode()]);
        let expiry_max = row.bundles.iter().map(|burnt| burnt.expiry).max().unwrap_or_default();
        Self { row, transactions, bundles, expiry_max }
    }
}

/// The rows that still decide about later heights, and what they hold by id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    rows: BTreeMap<Height, Kept>,
    transactions: Table<TxId, Height>,
    bundles: Table<BundleId, Height>,
}

impl Window {
    /// An empty one, which looks ids up by hashes under a key.
    pub(crate) fn new(key: HashKey) -> Self {
        Self { rows: BTreeMap::new(), transactions: Table::new(key), bundles: Table::new(key) }
    }

    /// Where a transaction was ordered.
    pub(crate) fn transaction(&self, id: &TxId) -> Option<Height> {
        self.transactions.get(id).copied()
    }

    /// Where a bundle was ordered.
    pub(crate) fn bundle(&self, id: &BundleId) -> Option<Height> {
        self.bundles.get(id).copied()
    }

    /// Adds what a height ordered.
    pub(crate) fn insert(&mut self, row: Row) {
        let height = row.height;
        if row.transactions.is_empty() && row.bundles.is_empty() {
            return;
        }
        for id in row.transactions.iter() {
            self.transactions.insert(*id, height);
        }
        for burnt in row.bundles.iter() {
            self.bundles.insert(burnt.id, height);
        }
        self.rows.insert(height, Kept::new(row));
    }

    /// Forgets what cannot matter at `height` any more.
    pub(crate) fn forget(&mut self, height: Height, dedup_window_heights: u64) {
        let is_old = |row: Height| row.0.saturating_add(dedup_window_heights) < height.0;
        // Rows are changed in order of height, and each once: those behind the window hold no transactions any more.
        let old: Vec<Height> = self.rows.keys().copied().take_while(|row| is_old(*row)).collect();
        for key in old {
            let Some(kept) = self.rows.get_mut(&key) else { continue };
            if !kept.row.transactions.is_empty() {
                let row = Row { transactions: List::default(), ..kept.row.clone() };
                for id in kept.row.transactions.iter() {
                    self.transactions.remove(id);
                }
                *kept = Kept::new(row);
            }
            if kept.row.bundles.is_empty() || kept.expiry_max < height {
                for burnt in kept.row.bundles.iter() {
                    self.bundles.remove(&burnt.id);
                }
                self.rows.remove(&key);
            }
        }
    }

    /// Binds all that is remembered.
    pub(crate) fn write_digest(&self, buf: &mut Vec<u8>) {
        for (height, kept) in &self.rows {
            buf.extend_from_slice(&height.0.to_be_bytes());
            buf.extend_from_slice(&kept.transactions);
            buf.extend_from_slice(&kept.bundles);
        }
    }

    pub(crate) fn rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.values().map(|kept| &kept.row)
    }
}

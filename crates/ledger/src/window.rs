//! What was ordered lately: transactions within the window, bundles until they expire.

use crate::places::{Place, Places};
use chorale_types::{
    BundleId, Digest, HashKey, Height, Table, TxId,
    codec::{Encode, List},
    codec_struct,
    limits::{BUNDLE_LEGS_MAX, LANE_ITEMS_MAX},
    tagged_hash,
};
use std::collections::BTreeMap;

/// The transactions that a height ordered, but for those of rollups with nonces of their own: they are not ordered again
/// within the window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderedTransactions {
    pub(crate) height: Height,
    pub(crate) ids: List<TxId, LANE_ITEMS_MAX>,
}
codec_struct!(OrderedTransactions { height, ids });

impl OrderedTransactions {
    /// The height that ordered them.
    #[must_use]
    pub const fn height(&self) -> Height {
        self.height
    }
}

/// A bundle that was ordered, and when it may be forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Burnt {
    pub(crate) id: BundleId,
    pub(crate) expiry: Height,
}
codec_struct!(Burnt { id, expiry });

/// The bundles that a height ordered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OrderedBundles {
    pub(crate) height: Height,
    pub(crate) burnt: List<Burnt, LANE_ITEMS_MAX>,
}
codec_struct!(OrderedBundles { height, burnt });

const _: () = assert!(BUNDLE_LEGS_MAX > 0, "a bundle takes at least one of a height's entries");

/// What one height ordered, as far as it is remembered.
#[derive(Debug, Default)]
pub(crate) struct Ordered {
    pub(crate) transactions: List<TxId, LANE_ITEMS_MAX>,
    pub(crate) bundles: List<Burnt, LANE_ITEMS_MAX>,
}

/// The same, and digests of it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    transactions: OrderedTransactions,
    transactions_digest: Digest,
    bundles: OrderedBundles,
    bundles_digest: Digest,
    /// The last height at which one of its bundles counts.
    expiry_max: Height,
}

impl Row {
    fn new(height: Height, Ordered { transactions, bundles }: Ordered) -> Self {
        let (transactions, bundles) =
            (OrderedTransactions { height, ids: transactions }, OrderedBundles { height, burnt: bundles });
        let transactions_digest = tagged_hash("chorale/ledger-transactions/v1", &[&transactions.ids.encode()]);
        let bundles_digest = tagged_hash("chorale/ledger-bundles/v1", &[&bundles.burnt.encode()]);
        let expiry_max = bundles.burnt.iter().map(|burnt| burnt.expiry).max().unwrap_or_default();
        Self { transactions, transactions_digest, bundles, bundles_digest, expiry_max }
    }

    fn id(&self, place: Place) -> &TxId {
        &self.transactions.ids[place.index()]
    }
}

/// The rows that still decide about later heights, and what they hold by id.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    rows: BTreeMap<Height, Row>,
    transactions: Places,
    bundles: Table<BundleId, Height>,
}

/// The rest follows from the rows.
impl PartialEq for Window {
    fn eq(&self, other: &Self) -> bool {
        self.rows == other.rows
    }
}

impl Eq for Window {}

impl Window {
    /// An empty one, which looks ids up by hashes under a key.
    pub(crate) fn new(key: HashKey) -> Self {
        Self { rows: BTreeMap::new(), transactions: Places::new(key), bundles: Table::new(key) }
    }

    /// Where a transaction was ordered.
    pub(crate) fn transaction(&self, id: &TxId) -> Option<Height> {
        self.transactions.find(id, |place| self.rows[&place.height()].id(place)).map(Place::height)
    }

    /// Where a bundle was ordered.
    pub(crate) fn bundle(&self, id: &BundleId) -> Option<Height> {
        self.bundles.get(id).copied()
    }

    /// Adds what a height ordered, of which nothing is in here yet.
    pub(crate) fn insert(&mut self, height: Height, ordered: Ordered) {
        if ordered.transactions.is_empty() && ordered.bundles.is_empty() {
            return;
        }
        for burnt in ordered.bundles.iter() {
            self.bundles.insert(burnt.id, height);
        }
        self.rows.insert(height, Row::new(height, ordered));
        for (index, id) in self.rows[&height].transactions.ids.iter().enumerate() {
            self.transactions.insert(id, Place::new(height, index), |place| self.rows[&place.height()].id(place));
        }
    }

    /// Forgets what cannot matter at `height` any more.
    pub(crate) fn forget(&mut self, height: Height, dedup_window_heights: u64) {
        let is_old = |row: Height| row.0.saturating_add(dedup_window_heights) < height.0;
        // Rows are changed in order of height, and each once: those behind the window hold no transactions any more.
        let old: Vec<Height> = self.rows.keys().copied().take_while(|row| is_old(*row)).collect();
        for key in old {
            let Some(row) = self.rows.get_mut(&key) else { continue };
            if !row.transactions.ids.is_empty() {
                for (index, id) in row.transactions.ids.iter().enumerate() {
                    self.transactions.remove(id, Place::new(key, index));
                }
                let bundles = std::mem::take(&mut row.bundles.burnt);
                *row = Row::new(key, Ordered { bundles, ..Ordered::default() });
            }
            if row.bundles.burnt.is_empty() || row.expiry_max < height {
                for burnt in row.bundles.burnt.iter() {
                    self.bundles.remove(&burnt.id);
                }
                self.rows.remove(&key);
            }
        }
    }

    /// Binds all that is remembered.
    pub(crate) fn write_digest(&self, buf: &mut Vec<u8>) {
        for (height, row) in &self.rows {
            buf.extend_from_slice(&height.0.to_be_bytes());
            buf.extend_from_slice(&row.transactions_digest);
            buf.extend_from_slice(&row.bundles_digest);
        }
    }

    /// The transactions of a height, if there are any.
    pub(crate) fn transactions_of(&self, height: Height) -> Option<&OrderedTransactions> {
        self.rows.get(&height).map(|row| &row.transactions).filter(|transactions| !transactions.ids.is_empty())
    }

    /// All transactions, by height.
    pub(crate) fn all_transactions(&self) -> impl Iterator<Item = &OrderedTransactions> {
        self.rows.values().map(|row| &row.transactions).filter(|transactions| !transactions.ids.is_empty())
    }

    /// All bundles, by height.
    pub(crate) fn all_bundles(&self) -> impl Iterator<Item = &OrderedBundles> {
        self.rows.values().map(|row| &row.bundles).filter(|bundles| !bundles.burnt.is_empty())
    }
}

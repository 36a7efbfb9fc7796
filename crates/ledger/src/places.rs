//! Where ids stand: a hash table of 8 bytes an entry, for the ids of a window of heights are a million and more.

use chorale_types::{HashKey, Height, TxId, limits::LANE_ITEMS_MAX};
use hashbrown::HashTable;
use siphasher::sip::SipHasher13;

const INDEX_BITS: u32 = 18;
const _: () = assert!(LANE_ITEMS_MAX <= 1 << INDEX_BITS, "every index of a height fits");

/// A height and an index into what it ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place(u64);

impl Place {
    /// # Panics
    ///
    /// If the height is 2^46 or above, which takes 200,000 years of ten heights a second, or the index is above the
    /// limit of a height.
    pub(crate) fn new(height: Height, index: usize) -> Self {
        assert!(height.0 >> (u64::BITS - INDEX_BITS) == 0 && index >> INDEX_BITS == 0, "{height:?}, index {index}");
        Self(height.0 << INDEX_BITS | index as u64)
    }

    pub(crate) const fn height(self) -> Height {
        Height(self.0 >> INDEX_BITS)
    }

    pub(crate) const fn index(self) -> usize {
        (self.0 & ((1 << INDEX_BITS) - 1)) as usize
    }
}

/// A set of places, found by the ids that stand there. The ids are somebody else's to keep: `id_at` is asked for them.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    table: HashTable<Place>,
    key: HashKey,
}

impl Places {
    pub(crate) const fn new(key: HashKey) -> Self {
        Self { table: HashTable::new(), key }
    }

    pub(crate) fn find<'a>(&self, id: &TxId, id_at: impl Fn(Place) -> &'a TxId) -> Option<Place> {
        self.table.find(hash(&self.key, id), |place| id_at(*place) == id).copied()
    }

    /// Adds a place at which an id stands.
    pub(crate) fn insert<'a>(&mut self, id: &TxId, place: Place, id_at: impl Fn(Place) -> &'a TxId) {
        let key = self.key;
        self.table.insert_unique(hash(&key, id), place, |place| hash(&key, id_at(*place)));
    }

    /// Removes the place at which an id stood.
    pub(crate) fn remove(&mut self, id: &TxId, place: Place) {
        if let Ok(entry) = self.table.find_entry(hash(&self.key, id), |other| *other == place) {
            entry.remove();
        }
    }
}

/// Keyed, or whoever chooses transactions could choose them to fall into one place of the table.
fn hash(key: &HashKey, id: &TxId) -> u64 {
    SipHasher13::new_with_key(key).hash(id.0.as_ref())
}

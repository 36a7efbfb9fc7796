//! Hash tables for what is looked up for every entry.

#![expect(clippy::disallowed_types, reason = "nothing here iterates, and the hash is keyed by the configuration")]

use siphasher::sip::SipHasher13;
use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash},
};

/// What tables hash with. Secret, or peers could choose entries that all fall into one place; an input, so that a run can
/// be repeated.
pub type HashKey = [u8; 16];

#[derive(Clone, Copy, Debug)]
struct Keyed(HashKey);

impl BuildHasher for Keyed {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_key(&self.0)
    }
}

/// A map without an order, and so without a way to go through it.
#[derive(Clone, Debug)]
pub(crate) struct Table<K, V>(HashMap<K, V, Keyed>);

impl<K: Eq + Hash, V> Table<K, V> {
    pub(crate) fn new(key: HashKey) -> Self {
        Self(HashMap::with_hasher(Keyed(key)))
    }

    /// Gives up the contents.
    pub(crate) fn take(&mut self) -> Self {
        let empty = Self(HashMap::with_hasher(*self.0.hasher()));
        std::mem::replace(self, empty)
    }

    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        self.0.insert(key, value)
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.0.get(key)
    }

    pub(crate) fn contains_key(&self, key: &K) -> bool {
        self.0.contains_key(key)
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        self.0.remove(key)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

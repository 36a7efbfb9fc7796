//! Hash tables, for what is looked up for every transaction: without an order, and under a key that is an input.

#![expect(clippy::disallowed_types, reason = "no order comes out, and the hash is keyed by an input")]

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
pub struct Table<K, V>(HashMap<K, V, Keyed>);

impl<K: Eq + Hash, V> Table<K, V> {
    /// An empty table.
    #[must_use]
    pub fn new(key: HashKey) -> Self {
        Self(HashMap::with_hasher(Keyed(key)))
    }

    /// Gives up the contents.
    #[must_use]
    pub fn take(&mut self) -> Self {
        let empty = Self(HashMap::with_hasher(*self.0.hasher()));
        std::mem::replace(self, empty)
    }

    /// Sets a value; returns the one before.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        self.0.insert(key, value)
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&V> {
        self.0.get(key)
    }

    /// Whether a key has a value.
    #[must_use]
    pub fn contains_key(&self, key: &K) -> bool {
        self.0.contains_key(key)
    }

    /// Removes a value, and returns it.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        self.0.remove(key)
    }

    /// How many values there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The same keys with the same values, whatever they are hashed with.
impl<K: Eq + Hash, V: PartialEq> PartialEq for Table<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.0.len() == other.0.len() && self.0.iter().all(|(key, value)| other.get(key) == Some(value))
    }
}

impl<K: Eq + Hash, V: Eq> Eq for Table<K, V> {}

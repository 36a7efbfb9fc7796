//! A persistent map: clones cost nothing and share what is the same in both.

#[cfg(test)]
mod tests;

use alloy_primitives::{Address, B256, U256};
use std::sync::Arc;

/// What can be a key: its bytes are in the order of its values, and as many for every key.
pub(crate) trait Key: Copy + Ord {
    type Bytes: AsRef<[u8]>;

    fn bytes(&self) -> Self::Bytes;
}

impl Key for Address {
    type Bytes = [u8; 20];

    fn bytes(&self) -> Self::Bytes {
        self.into_array()
    }
}

impl Key for B256 {
    type Bytes = [u8; 32];

    fn bytes(&self) -> Self::Bytes {
        self.0
    }
}

impl Key for U256 {
    type Bytes = [u8; 32];

    fn bytes(&self) -> Self::Bytes {
        self.to_be_bytes()
    }
}

impl Key for u64 {
    type Bytes = [u8; 8];

    fn bytes(&self) -> Self::Bytes {
        self.to_be_bytes()
    }
}

/// A map in the order of its keys, of which a clone is a snapshot: made in constant time, never changed by what happens
/// to the other, and read by any thread without a lock.
///
/// A radix tree: it branches at the nibbles by which keys differ, and at no others. So its shape depends on its entries
/// alone, it needs no hashing, and whoever chooses keys can make it no deeper than a key has nibbles. A change copies the
/// branches on its way that a clone shares, and works in place on the others.
#[derive(Clone, Debug)]
pub(crate) struct Map<K, V> {
    root: Option<Node<K, V>>,
    len: usize,
}

#[derive(Clone, Debug)]
enum Node<K, V> {
    Leaf(Arc<Leaf<K, V>>),
    /// All keys below it are the same up to a nibble, and go on in two ways or more there.
    Branch {
        /// The index of that nibble. It rises from branch to branch.
        at: u8,
        /// The values of that nibble that go on: a bit for each.
        present: u16,
        /// Those, in order.
        children: Arc<[Self]>,
    },
}

#[derive(Clone, Debug)]
struct Leaf<K, V> {
    key: K,
    value: V,
}

fn nibble(bytes: &impl AsRef<[u8]>, at: u8) -> u8 {
    let byte = bytes.as_ref()[usize::from(at / 2)];
    if at.is_multiple_of(2) { byte >> 4 } else { byte & 0xf }
}

/// The first nibble by which two keys differ.
fn difference(one: &impl AsRef<[u8]>, other: &impl AsRef<[u8]>) -> Option<u8> {
    let pairs = (0u8..).zip(one.as_ref().iter().zip(other.as_ref()));
    let (index, differing) = pairs.map(|(index, (one, other))| (index, one ^ other)).find(|(_, bits)| *bits != 0)?;
    Some(index * 2 + u8::from(differing < 0x10))
}

/// Where a nibble is among those present, or where it would be.
const fn position(present: u16, nibble: u8) -> Result<usize, usize> {
    let bit = 1 << nibble;
    let index = (present & (bit - 1)).count_ones() as usize;
    if present & bit == 0 { Err(index) } else { Ok(index) }
}

impl<K, V> Default for Map<K, V> {
    fn default() -> Self {
        Self { root: None, len: 0 }
    }
}

impl<K: Key, V: Clone> Map<K, V> {
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn contains_key(&self, key: &K) -> bool {
        self.get(key).is_some()
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        let bytes = key.bytes();
        let mut node = self.root.as_ref()?;
        loop {
            match node {
                Node::Leaf(leaf) => return (leaf.key == *key).then_some(&leaf.value),
                Node::Branch { at, present, children } => {
                    node = &children[position(*present, nibble(&bytes, *at)).ok()?];
                }
            }
        }
    }

    /// Copies what is shared on the way, also to where there turns out to be no such key.
    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let bytes = key.bytes();
        let mut node = self.root.as_mut()?;
        loop {
            match node {
                Node::Leaf(leaf) if leaf.key == *key => return Some(&mut Arc::make_mut(leaf).value),
                Node::Leaf(_) => return None,
                Node::Branch { at, present, children } => {
                    let index = position(*present, nibble(&bytes, *at)).ok()?;
                    node = &mut Arc::make_mut(children)[index];
                }
            }
        }
    }

    /// Returns the value that it replaces.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        let bytes = key.bytes();
        let Some(near) = self.near(&bytes) else {
            (self.root, self.len) = (Some(Node::leaf(key, value)), 1);
            return None;
        };
        let Some(fork) = difference(&near.bytes(), &bytes) else {
            return self.get_mut(&key).map(|held| std::mem::replace(held, value));
        };
        let nibbles = (nibble(&near.bytes(), fork), nibble(&bytes, fork));
        self.root.as_mut()?.add(&bytes, fork, nibbles, Node::leaf(key, value));
        self.len += 1;
        None
    }

    /// Returns the value that was there.
    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        // So that nothing is copied for nothing.
        if !self.contains_key(key) {
            return None;
        }
        self.len -= 1;
        if let Some(Node::Leaf(_)) = &self.root {
            return self.root.take().and_then(Node::into_value);
        }
        self.root.as_mut()?.take(&key.bytes()).into_value()
    }

    /// The least key.
    pub(crate) fn first_key(&self) -> Option<K> {
        let first = self.iter().next();
        first.map(|(key, _)| *key)
    }

    /// By key.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let mut path = vec![self.root.as_slice().iter()];
        std::iter::from_fn(move || {
            loop {
                match path.last_mut()?.next() {
                    Some(Node::Leaf(leaf)) => return Some((&leaf.key, &leaf.value)),
                    Some(Node::Branch { children, .. }) => path.push(children.iter()),
                    None => drop(path.pop()),
                }
            }
        })
    }

    /// A key that has as much in common with another as any; none if there are none.
    fn near(&self, bytes: &K::Bytes) -> Option<K> {
        let mut node = self.root.as_ref()?;
        loop {
            match node {
                Node::Leaf(leaf) => return Some(leaf.key),
                Node::Branch { at, present, children } => {
                    node = &children[position(*present, nibble(bytes, *at)).unwrap_or_default()];
                }
            }
        }
    }
}

impl<K: Key, V: Clone> Node<K, V> {
    fn leaf(key: K, value: V) -> Self {
        Self::Leaf(Arc::new(Leaf { key, value }))
    }

    /// Adds a leaf where its way parts from that of the keys that are held: at the nibble `fork`, which they have as
    /// `held`, and it as `added`.
    fn add(&mut self, bytes: &K::Bytes, fork: u8, (held, added): (u8, u8), leaf: Self) {
        let (present, children): (u16, Arc<[Self]>) = match self {
            Self::Branch { at, present, children } if *at < fork => {
                let index = position(*present, nibble(bytes, *at)).unwrap_or_default();
                return Arc::make_mut(children)[index].add(bytes, fork, (held, added), leaf);
            }
            Self::Branch { at, present, children } if *at == fork => {
                let (before, after) = children.split_at(position(*present, added).unwrap_or_else(|index| index));
                (*present, before.iter().cloned().chain([leaf]).chain(after.iter().cloned()).collect())
            }
            _ if held < added => (1 << held, Arc::new([self.clone(), leaf])),
            _ => (1 << held, Arc::new([leaf, self.clone()])),
        };
        *self = Self::Branch { at: fork, present: present | 1 << added, children };
    }

    /// Takes out the leaf that a branch leads to. Where it was one of two, the other takes the branch's place.
    fn take(&mut self, bytes: &K::Bytes) -> Self {
        let Self::Branch { at, present, children } = self else { return self.clone() };
        let gone = nibble(bytes, *at);
        let index = position(*present, gone).unwrap_or_default();
        if matches!(children[index], Self::Branch { .. }) {
            return Arc::make_mut(children)[index].take(bytes);
        }
        let taken = children[index].clone();
        *self = if children.len() == 2 {
            children[1 - index].clone()
        } else {
            let rest = children[..index].iter().chain(&children[index + 1..]).cloned();
            Self::Branch { at: *at, present: *present & !(1 << gone), children: rest.collect() }
        };
        taken
    }

    fn into_value(self) -> Option<V> {
        match self {
            Self::Leaf(leaf) => Some(Arc::unwrap_or_clone(leaf).value),
            Self::Branch { .. } => None,
        }
    }
}

impl<K: Key, V: Clone> FromIterator<(K, V)> for Map<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = Self::default();
        for (key, value) in entries {
            map.insert(key, value);
        }
        map
    }
}

//! Ethereum's secure Merkle Patricia trie, in memory and kept incrementally.

mod node;
#[cfg(test)]
mod tests;

use alloy_primitives::{B256, Bytes, keccak256};
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles, nodes::RlpNode};
use node::{Buffers, End, Link, Node, split};
use std::sync::Arc;

/// A map from hashed keys to values, with a root that commits to it.
///
/// The trie of Ethereum's yellow paper, appendix D, for keys of 32 bytes: roots and proofs are those of every other
/// implementation. Keys are hashes already, or whoever chooses them could make it deep everywhere; it is never deeper
/// than the 64 nibbles of a key.
///
/// [`Trie::root`] hashes only what changed since the last time: a node keeps its hash until something below it changes.
/// The root depends on the entries alone, not on how they came to be.
///
/// A clone takes constant time, and shares the nodes that are the same in both: it stays what it is whatever happens to
/// the other, and proves against its own root.
#[derive(Clone, Debug, Default)]
pub struct Trie {
    root: Link,
}

impl Trie {
    /// An empty one.
    #[must_use]
    pub const fn new() -> Self {
        Self { root: None }
    }

    /// Whether there are no entries.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.root.is_none()
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: B256) -> Option<&[u8]> {
        let mut path = Nibbles::unpack_array(&key.0);
        let mut node = self.root.as_deref()?;
        loop {
            let rest = node.strip(&path)?;
            match &node.end {
                End::Value(value) => return Some(value),
                End::Branch(children) => {
                    let (index, below) = split(&rest)?;
                    (path, node) = (below, children[index].as_deref()?);
                }
            }
        }
    }

    /// Sets the value of a key. Values are the RLP of something, which is never empty.
    pub fn insert(&mut self, key: B256, value: Vec<u8>) {
        let path = Nibbles::unpack_array(&key.0);
        match &mut self.root {
            Some(root) => {
                Arc::make_mut(root).insert(&path, value);
            }
            empty => *empty = Some(Node::leaf(path, value)),
        }
    }

    /// Removes a key, if it is there.
    pub fn remove(&mut self, key: B256) {
        node::remove(&mut self.root, &Nibbles::unpack_array(&key.0));
    }

    /// The hash that commits to all entries.
    #[must_use]
    pub fn root(&mut self) -> B256 {
        if let Some(root) = &mut self.root {
            Node::refresh(root, &mut Buffers::default());
        }
        self.current_root().expect("all references were computed")
    }

    /// [`Trie::root`], if that was asked for since the last change.
    #[must_use]
    pub fn current_root(&self) -> Option<B256> {
        let Some(root) = &self.root else { return Some(EMPTY_ROOT_HASH) };
        Some(root.reference()?.as_hash().unwrap_or_else(|| {
            // Only the root is hashed however short it is.
            let mut buffers = Buffers::default();
            root.encode(&mut buffers);
            keccak256(buffers.outermost())
        }))
    }

    /// The nodes from the root down to where a key is, or would be: they prove its value, or that it has none, to
    /// whoever knows the root.
    ///
    /// As in `eth_getProof` ([EIP-1186](https://eips.ethereum.org/EIPS/eip-1186)): a node that is shorter than a hash
    /// stands inside the one above it, and for an empty trie there are none.
    ///
    /// # Panics
    ///
    /// If there was a change since the last [`Trie::root`]: nodes do not know their hashes then.
    #[must_use]
    pub fn proof(&self, key: B256) -> Vec<Bytes> {
        assert!(self.current_root().is_some(), "the trie changed since its last root: ask for the root before a proof");
        let mut path = Nibbles::unpack_array(&key.0);
        let mut buffers = Buffers::default();
        let mut proof: Vec<Bytes> = Vec::new();
        let mut push = |encoded: &[u8]| {
            if proof.is_empty() || RlpNode::from_rlp(encoded).is_hash() {
                proof.push(Bytes::copy_from_slice(encoded));
            }
        };
        let mut next = self.root.as_deref();
        while let Some(node) = next {
            node.encode(&mut buffers);
            push(buffers.outermost());
            // Where an extension leads elsewhere, what it leads to says nothing about the key.
            let Some(rest) = node.strip(&path) else { break };
            if buffers.has_extension() {
                push(buffers.innermost());
            }
            let (End::Branch(children), Some((index, below))) = (&node.end, split(&rest)) else { break };
            (path, next) = (below, children[index].as_deref());
        }
        proof
    }
}

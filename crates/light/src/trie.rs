//! Ethereum's tries of what a block has in order: transactions, and their receipts. Keys are the RLP of the index, so none
//! is the beginning of another, and every value is in a leaf.

use alloy_primitives::{B256, Bytes, keccak256};
use alloy_rlp::Decodable as _;
use alloy_trie::{HashBuilder, Nibbles, nodes::TrieNode, proof::ProofRetainer, root::adjust_index_for_rlp};
use std::collections::{BTreeMap, BTreeSet};

/// Nodes on the way to one value at most: each but the last uses up one of the key's ten nibbles.
pub(crate) const DEPTH_MAX: usize = 11;

fn key(index: u32) -> Nibbles {
    Nibbles::unpack(alloy_rlp::encode_fixed_size(&index))
}

/// The root over values in order, and the nodes that prove those at some indices. What is proven is at least 32 bytes long, as
/// legs and receipts are: so no node on the way is inside of another.
pub(crate) fn prove(values: &[impl AsRef<[u8]>], indices: &BTreeSet<u32>) -> (B256, Vec<Bytes>) {
    let wanted = indices.iter().map(|index| key(*index)).collect();
    let mut builder = HashBuilder::default().with_proof_retainer(ProofRetainer::new(wanted));
    for place in 0..values.len() {
        // In the order of the keys, which is not that of the indices.
        let index = adjust_index_for_rlp(place, values.len());
        builder.add_leaf(Nibbles::unpack(alloy_rlp::encode_fixed_size(&index)), values[index].as_ref());
    }
    let root = builder.root();
    (root, builder.take_proof_nodes().into_nodes_sorted().into_iter().map(|(_, node)| node).collect())
}

/// Nodes of tries by what they hash to, with whether any way led over them.
pub(crate) struct Nodes<'a>(BTreeMap<B256, (&'a [u8], bool)>);

impl<'a> Nodes<'a> {
    /// None if one comes twice.
    pub(crate) fn new(nodes: impl IntoIterator<Item = &'a [u8]>) -> Option<Self> {
        let mut by_hash = BTreeMap::new();
        let is_new = |node: &'a [u8]| by_hash.insert(keccak256(node), (node, false)).is_none();
        nodes.into_iter().all(is_new).then_some(Self(by_hash))
    }

    /// The value at an index of the trie with this root, if the nodes lead there.
    pub(crate) fn value(&mut self, root: B256, index: u32) -> Option<Vec<u8>> {
        let key = key(index);
        let (mut hash, mut walked) = (root, 0);
        for _ in 0..DEPTH_MAX {
            let entry = self.0.get_mut(&hash)?;
            entry.1 = true;
            let mut node = entry.0;
            hash = match TrieNode::decode(&mut node).ok().filter(|_| node.is_empty())? {
                TrieNode::Leaf(leaf) => return (leaf.key == key.slice(walked..)).then_some(leaf.value),
                TrieNode::Extension(extension) => {
                    let rest = key.slice(walked..);
                    walked += rest.starts_with(&extension.key).then_some(extension.key.len())?;
                    extension.child.as_hash()?
                }
                TrieNode::Branch(branch) => {
                    let nibble = key.get(walked)?;
                    walked += 1;
                    let branch = branch.as_ref();
                    let mut children = branch.children();
                    children.find(|(at, _)| *at == nibble)?.1?.as_hash()?
                }
                TrieNode::EmptyRoot => return None,
            };
        }
        None
    }

    /// Whether there is nothing that was not needed.
    pub(crate) fn are_all_used(&self) -> bool {
        self.0.values().all(|(_, is_used)| *is_used)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_trie::root::ordered_trie_root_encoded;
    use proptest::prelude::*;

    fn values() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let value = proptest::collection::vec(any::<u8>(), 1..90);
        // Where keys get longer, their order changes.
        let count = prop_oneof![1..300usize, 126..131usize, 254..259usize];
        count.prop_flat_map(move |count| proptest::collection::vec(value.clone(), count))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn every_value_is_proven_and_no_other(mut values in values(), picks in proptest::collection::vec(any::<u32>(), 1..6)) {
            let count = u32::try_from(values.len()).unwrap();
            let mut indices: BTreeSet<u32> = picks.iter().map(|pick| pick % count).collect();
            indices.extend([0, count - 1]);
            for index in &indices {
                let value = &mut values[*index as usize];
                value.resize(value.len().max(32), 7);
            }
            let (root, proof) = prove(&values, &indices);
            prop_assert_eq!(root, ordered_trie_root_encoded(&values));
            let mut nodes = Nodes::new(proof.iter().map(|node| &node[..])).unwrap();
            for index in &indices {
                let found = nodes.value(root, *index);
                prop_assert_eq!(found.as_ref(), Some(&values[*index as usize]), "index {}", index);
            }
            prop_assert!(nodes.are_all_used());
            // What was not asked for is proven only where its leaf is on the way, which it never is.
            for index in (0..count + 3).filter(|index| !indices.contains(index)) {
                prop_assert_eq!(nodes.value(root, index), None, "index {}", index);
            }
            // Without any of the nodes something is missing.
            for left_out in 0..proof.len() {
                let rest = proof.iter().enumerate().filter(|(position, _)| *position != left_out);
                let mut nodes = Nodes::new(rest.map(|(_, node)| &node[..])).unwrap();
                prop_assert!(indices.iter().any(|index| nodes.value(root, *index).is_none()));
            }
        }
    }

    #[test]
    fn nodes_come_once() {
        assert!(Nodes::new([&[1u8][..], &[2], &[1]]).is_none());
        assert!(Nodes::new([]).unwrap().value(alloy_trie::EMPTY_ROOT_HASH, 0).is_none());
        // The trie of nothing has a node, and no values.
        assert!(Nodes::new([&[0x80u8][..]]).unwrap().value(alloy_trie::EMPTY_ROOT_HASH, 0).is_none());
    }
}

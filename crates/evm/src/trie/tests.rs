#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use super::*;
use alloy_trie::{HashBuilder, proof::verify_proof};
use proptest::prelude::*;
use std::collections::BTreeMap;

type Entries = BTreeMap<B256, Vec<u8>>;

/// The root as another implementation computes it, from all entries at once.
fn expected_root(entries: &Entries) -> B256 {
    let mut builder = HashBuilder::default();
    for (key, value) in entries {
        builder.add_leaf(Nibbles::unpack(key), value);
    }
    builder.root()
}

fn trie_of(entries: &Entries) -> Trie {
    let mut trie = Trie::new();
    for (key, value) in entries {
        trie.insert(*key, value.clone());
    }
    trie
}

/// A verifier that shares no code with the trie accepts what it says about a key, and nothing else.
fn check_proof(trie: &Trie, entries: &Entries, key: B256) {
    let (root, proof, path) = (trie.current_root().unwrap(), trie.proof(key), Nibbles::unpack(key));
    let value = entries.get(&key).cloned();
    assert_eq!(trie.get(key), value.as_deref());
    verify_proof(root, path, value.clone(), &proof).unwrap();
    let other = if value.is_some() { None } else { Some(vec![1]) };
    verify_proof(root, path, other, &proof).unwrap_err();
    if let Some((_, shorter)) = proof.split_last() {
        verify_proof(root, path, value, shorter).unwrap_err();
    }
}

fn key(start: &[u8], end: u8) -> B256 {
    let mut key = B256::ZERO;
    key[..start.len()].copy_from_slice(start);
    key[31] = end;
    key
}

/// Few and close to each other, so that they often meet; some differ in their last nibbles only, so that leaves are
/// shorter than hashes and stand inside the nodes above them.
fn any_key() -> impl Strategy<Value = B256> {
    let near = (0u8..3, 0u8..3, 0u8..2, 0u8..20).prop_map(|(a, b, c, end)| key(&[a << 4, b, c], end));
    prop_oneof![3 => near, 1 => (0u8..30).prop_map(|name| keccak256([name]))]
}

fn any_value() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 1..50).prop_map(|bytes| alloy_rlp::encode(bytes.as_slice()))
}

/// Rounds of entries, each to be set or removed.
fn any_rounds() -> impl Strategy<Value = Vec<Vec<(B256, Option<Vec<u8>>)>>> {
    let change = (any_key(), proptest::option::weighted(0.6, any_value()));
    proptest::collection::vec(proptest::collection::vec(change, 0..30), 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn roots_and_proofs_are_those_of_the_entries(rounds in any_rounds(), absent in any_key()) {
        let (mut trie, mut entries, mut clones) = (Trie::new(), Entries::new(), Vec::new());
        for round in rounds {
            for (key, value) in &round {
                match value {
                    Some(value) => {
                        trie.insert(*key, value.clone());
                        entries.insert(*key, value.clone());
                    }
                    None => {
                        trie.remove(*key);
                        entries.remove(key);
                    }
                }
            }
            prop_assert_eq!(trie.root(), expected_root(&entries));
            prop_assert_eq!(trie.is_empty(), entries.is_empty());
            for key in round.iter().map(|(key, _)| *key).chain([absent]) {
                check_proof(&trie, &entries, key);
            }
            clones.push((trie.clone(), entries.clone()));
        }
        for key in std::mem::take(&mut entries).into_keys() {
            trie.remove(key);
        }
        prop_assert!(trie.is_empty());
        for (clone, entries) in &clones {
            prop_assert_eq!(clone.current_root(), Some(expected_root(entries)));
            entries.keys().chain([&absent]).for_each(|key| check_proof(clone, entries, *key));
        }
    }

    #[test]
    fn the_order_of_insertion_leaves_no_trace(entries in proptest::collection::btree_map(any_key(), any_value(), 0..40)) {
        let mut backwards = Trie::new();
        for (key, value) in entries.iter().rev() {
            backwards.insert(*key, value.clone());
        }
        prop_assert_eq!(trie_of(&entries).root(), backwards.root());
    }
}

#[test]
fn an_empty_trie_has_the_known_root_and_proves_absence() {
    let mut trie = Trie::new();
    assert_eq!(trie.root(), EMPTY_ROOT_HASH);
    assert_eq!(trie.proof(B256::ZERO), Vec::<Bytes>::new());
    check_proof(&trie, &Entries::new(), B256::ZERO);
    trie.remove(B256::ZERO);
    assert!(trie.is_empty());
}

#[test]
fn one_leaf_is_the_root() {
    let entries = Entries::from([(key(&[1], 1), vec![5])]);
    let mut trie = trie_of(&entries);
    assert_eq!(trie.root(), expected_root(&entries));
    for key in [key(&[1], 1), key(&[1], 2), key(&[2], 1)] {
        check_proof(&trie, &entries, key);
        assert_eq!(trie.proof(key).len(), 1);
    }
}

/// Where two keys differ in their last nibble only, an extension of 63 nibbles leads to a branch that is shorter than a
/// hash, with leaves inside of it.
#[test]
fn keys_may_share_all_but_the_last_nibble() {
    let entries = Entries::from([(key(&[7], 0x10), vec![1]), (key(&[7], 0x11), vec![2])]);
    let mut trie = trie_of(&entries);
    assert_eq!(trie.root(), expected_root(&entries));
    for key in [key(&[7], 0x10), key(&[7], 0x11), key(&[7], 0x12), key(&[7], 0x20), key(&[8], 0x10)] {
        check_proof(&trie, &entries, key);
        assert_eq!(trie.proof(key).len(), 1, "the whole trie is one node with others inside");
    }
    trie.remove(key(&[7], 0x10));
    let rest = Entries::from([(key(&[7], 0x11), vec![2])]);
    assert_eq!(trie.root(), expected_root(&rest));
    check_proof(&trie, &rest, key(&[7], 0x10));
}

/// Removal merges an extension above, the nibble of the only child, and an extension below into one.
#[test]
fn a_removal_joins_what_it_leaves_behind() {
    let kept = [key(&[0x11, 0x22, 0x33], 1), key(&[0x11, 0x22, 0x33], 0x80)];
    let gone = key(&[0x11, 0x92], 7);
    let long = vec![0xb8; 60];
    let entries = Entries::from(kept.map(|key| (key, long.clone())));
    let mut trie = trie_of(&entries);
    let before = (trie.root(), trie.proof(kept[0]));
    trie.insert(gone, long);
    assert_ne!(trie.root(), before.0);
    trie.remove(gone);
    assert_eq!((trie.root(), trie.proof(kept[0])), before);
    assert_eq!(trie.root(), expected_root(&entries));
}

#[test]
fn what_is_set_to_its_own_value_keeps_its_hash() {
    let entries: Entries = (0u8..50).map(|name| (keccak256([name]), vec![name + 1])).collect();
    let mut trie = trie_of(&entries);
    let root = trie.root();
    let present = keccak256([7]);
    assert!(!Arc::make_mut(trie.root.as_mut().unwrap()).insert(&Nibbles::unpack(present), vec![8]));
    trie.remove(keccak256([99]));
    assert_eq!(trie.root(), root);
}

/// Where both change after they parted, hashes that one computes are not the other's.
#[test]
fn a_clone_of_a_trie_that_was_not_hashed_goes_its_own_way() {
    let entries: Entries = (0u8..50).map(|name| (keccak256([name]), vec![name + 1])).collect();
    let mut trie = trie_of(&entries);
    let mut other = trie.clone();
    assert_eq!(other.current_root(), None);
    other.remove(keccak256([7]));
    let mut fewer = entries.clone();
    fewer.remove(&keccak256([7]));
    assert_eq!((trie.root(), other.root()), (expected_root(&entries), expected_root(&fewer)));
    check_proof(&trie, &entries, keccak256([7]));
    check_proof(&other, &fewer, keccak256([7]));
}

#[test]
#[should_panic(expected = "ask for the root before a proof")]
fn nothing_is_proven_before_the_root_is_known() {
    let mut trie = Trie::new();
    trie.insert(keccak256([1]), vec![1]);
    let _ = trie.proof(keccak256([1]));
}

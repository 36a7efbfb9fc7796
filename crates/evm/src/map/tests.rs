#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Close to each other, at either end, so that they differ in few nibbles and often meet.
fn any_key() -> impl Strategy<Value = U256> {
    prop_oneof![
        3 => (0u64..40).prop_map(U256::from),
        2 => (0u64..40).prop_map(|start| U256::from(start) << 248),
        1 => (0usize..64, 0u64..16).prop_map(|(nibble, value)| U256::from(value) << (4 * nibble)),
    ]
}

fn any_rounds() -> impl Strategy<Value = Vec<Vec<(U256, Option<u64>)>>> {
    let change = (any_key(), proptest::option::weighted(0.6, 0u64..3));
    proptest::collection::vec(proptest::collection::vec(change, 0..30), 1..12)
}

fn entries<K: Key, V: Clone>(map: &Map<K, V>) -> Vec<(K, V)> {
    map.iter().map(|(key, value)| (*key, value.clone())).collect()
}

/// How many branches lead to the deepest leaf. Checks the shape on the way.
fn depth<K, V>(node: &Node<K, V>, above: Option<u8>) -> usize {
    let Node::Branch { at, present, children } = node else { return 0 };
    assert!(above.is_none_or(|above| above < *at));
    assert_eq!(children.len(), present.count_ones() as usize);
    assert!(children.len() >= 2);
    1 + children.iter().map(|child| depth(child, Some(*at))).max().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn it_is_a_map_and_its_clones_stay_what_they_were(rounds in any_rounds(), absent in any_key()) {
        let (mut map, mut model) = (Map::default(), BTreeMap::new());
        let mut snapshots = Vec::new();
        for round in rounds {
            for (key, value) in round {
                match value {
                    Some(value) => prop_assert_eq!(map.insert(key, value), model.insert(key, value)),
                    None => prop_assert_eq!(map.remove(&key), model.remove(&key)),
                }
                prop_assert_eq!(map.get(&key), value.as_ref());
            }
            if let (Some(held), Some(expected)) = (map.get_mut(&absent), model.get_mut(&absent)) {
                (*held, *expected) = (*held + 7, *expected + 7);
            }
            snapshots.push((map.clone(), model.clone()));
        }
        for (snapshot, model) in &snapshots {
            prop_assert_eq!(entries(snapshot), Vec::from_iter(model.clone()), "all entries, in order");
            prop_assert_eq!(snapshot.len(), model.len());
            prop_assert_eq!(snapshot.is_empty(), model.is_empty());
            prop_assert_eq!(snapshot.get(&absent), model.get(&absent));
            prop_assert!(snapshot.root.as_ref().map_or(0, |root| depth(root, None)) <= 64);
        }
        // A clone can be changed as well.
        for (mut snapshot, model) in snapshots {
            for (key, value) in model {
                prop_assert_eq!(snapshot.remove(&key), Some(value));
            }
            prop_assert!(snapshot.is_empty() && snapshot.root.is_none());
        }
        prop_assert_eq!(entries(&map), Vec::from_iter(model));
    }
}

#[test]
fn an_empty_map_has_nothing() {
    let mut map = Map::<Address, u8>::default();
    assert_eq!((map.len(), map.iter().next()), (0, None));
    assert_eq!(map.get(&Address::ZERO), None);
    assert_eq!(map.remove(&Address::ZERO), None);
    assert!(map.get_mut(&Address::ZERO).is_none());
}

/// Keys that part from one at every nibble make the longest way that there is.
#[test]
fn chosen_keys_make_it_no_deeper_than_a_key_is_long() {
    let others = (0..64).map(|nibble| U256::from(1) << (4 * nibble));
    let map: Map<_, _> = std::iter::once(U256::ZERO).chain(others).map(|key| (key, ())).collect();
    assert_eq!(depth(map.root.as_ref().unwrap(), None), 64);
}

#[test]
fn what_is_not_shared_is_changed_in_place() {
    let mut map: Map<u64, u64> = (0..1000).map(|key| (key, key)).collect();
    let place = |map: &Map<u64, u64>| std::ptr::from_ref(map.get(&500).unwrap());
    let before = place(&map);
    map.insert(500, 1);
    assert_eq!(place(&map), before);
    let snapshot = map.clone();
    map.insert(500, 2);
    assert_ne!(place(&map), before);
    assert_eq!((place(&snapshot), snapshot.get(&500)), (before, Some(&1)));
    assert_eq!(std::ptr::from_ref(map.get(&7).unwrap()), std::ptr::from_ref(snapshot.get(&7).unwrap()));
}

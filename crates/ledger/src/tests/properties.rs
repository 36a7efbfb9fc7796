//! Random histories against a model that is too simple to be fast.

use super::*;
use chorale_types::{UnitId, codec::Encode};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn any_unit() -> impl Strategy<Value = Unit> {
    let name = (0u8..4).prop_map(|name| name.to_string());
    let leg = (1u64..6, name).prop_map(|(rollup, name)| transaction(rollup, &name));
    prop_oneof![
        3 => leg.clone().prop_map(Unit::Transaction),
        1 => (0u64..30, proptest::collection::vec(leg, 1..4)).prop_map(|(expiry, legs)| bundle(expiry, legs)),
    ]
}

fn any_history() -> impl Strategy<Value = Vec<Vec<Unit>>> {
    proptest::collection::vec(proptest::collection::vec(any_unit(), 0..6), 1..30)
}

/// Whether a unit takes effect, by everything that took effect before: the rules as prose has them.
fn takes_effect(unit: &Unit, height: u64, before: &[(u64, UnitId)]) -> bool {
    let rollups = 1..=4;
    if !unit.transactions().iter().all(|transaction| rollups.contains(&transaction.rollup.0)) {
        return false;
    }
    let same = before.iter().filter(|(_, id)| *id == unit.id()).map(|(height, _)| *height);
    let last = same.max();
    match unit {
        Unit::Bundle(bundle) => last.is_none() && bundle.expiry.0 >= height,
        Unit::Transaction(transaction) => {
            let window = if transaction.rollup.0 == 4 { 0 } else { 4 };
            last.is_none_or(|last| last + window < height)
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn histories_settle_as_the_rules_say(history in any_history()) {
        let mut ledger = Ledger::new(config());
        let mut before: Vec<(u64, UnitId)> = Vec::new();
        let mut last_content: BTreeMap<u64, u64> = BTreeMap::new();
        for (height, units) in (1u64..).zip(history) {
            let mut expected: Vec<UnitId> = Vec::new();
            for unit in &units {
                if takes_effect(unit, height, &before) {
                    before.push((height, unit.id()));
                    expected.push(unit.id());
                }
            }
            let all = units.len();
            let settled = settle(&mut ledger, units);
            let included: Vec<UnitId> = settled.included.iter().map(|unit| unit.id).collect();
            prop_assert_eq!(&included, &expected, "height {}", height);
            prop_assert_eq!(included.len() + settled.skipped.len(), all, "nothing is dropped silently");
            for (rollup, lane) in &settled.lanes {
                let proof = settled.lane_tree.prove(*rollup).unwrap();
                proof.verify(&settled.outcome).unwrap();
                proof.covers(lane).unwrap();
                let previous = last_content.insert(rollup.0, height).unwrap_or(0);
                prop_assert_eq!(proof.leaf.previous, Height(previous));
            }
            for rollup in 1..=4 {
                let row = settled.registry_tree.prove(RollupId(rollup)).unwrap();
                row.verify(&settled.outcome).unwrap();
                prop_assert_eq!(row.leaf.last.0, last_content.get(&rollup).copied().unwrap_or(0));
            }
        }
    }

    #[test]
    fn a_restart_at_any_height_changes_nothing(history in any_history(), at in 0usize..30) {
        let mut whole = Ledger::new(config());
        let mut restarted = Ledger::new(config());
        for (index, units) in history.into_iter().enumerate() {
            if index == at {
                let snapshot = chorale_types::codec::decode(restarted.snapshot().encode()).unwrap();
                restarted = Ledger::restore(config(), snapshot).unwrap();
            }
            let (one, other) = (settle(&mut whole, units.clone()), settle(&mut restarted, units));
            prop_assert_eq!(one.outcome.root(), other.outcome.root());
        }
    }
}

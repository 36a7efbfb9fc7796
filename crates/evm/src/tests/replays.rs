//! Looking at transactions once more: what is seen is what happened.

use super::{
    bundling::{Leg, bundle, effects},
    heights::{A, B, C, Ordered, derive, domain},
    histories::{History, any_plan},
    scripts::{Kind, Step, calling_domain},
    synchronous::{carrier, commits, running},
};
use crate::{Before, DerivedHeight, Domain, Effect, Legs, replay};
use alloy_primitives::{Log, keccak256};
use chorale_types::RollupId;
use proptest::prelude::*;
use revm::inspector::NoOpInspector;
use std::collections::BTreeMap;

/// What was seen of a transaction: whether it succeeded, its gas, and its events.
type Seen = (bool, u64, Vec<Log>);

/// Looks at everything of a height, with the chains as they were before it.
fn look(before: &Domain, derived: &DerivedHeight, payloads: &[Vec<Ordered>]) -> BTreeMap<RollupId, Vec<Seen>> {
    let chain = |rollup: &RollupId| before.chain(*rollup).unwrap();
    let befores = derived
        .blocks
        .iter()
        .map(|(rollup, made)| (*rollup, Before { chain: chain(rollup), block: &made.block }))
        .collect();
    let units = payloads.concat();
    let legs = |id| -> Legs {
        let unit = units.iter().find(|unit| unit.bundle().is_some_and(|bundle| bundle.id == id)).unwrap();
        unit.parts().iter().map(|(rollup, data)| (RollupId(*rollup), keccak256(data))).collect()
    };
    let committed = derived.bundles.iter().filter(|bundle| bundle.effect == Effect::Committed);
    let bundles: Vec<Legs> = committed.map(|bundle| legs(bundle.id)).collect();
    let mut seen: BTreeMap<RollupId, Vec<Seen>> = BTreeMap::new();
    let ended = replay(&befores, &bundles, |mut scene| {
        let of = seen.entry(scene.rollup).or_default();
        assert_eq!(scene.index, of.len(), "in the order of the block");
        assert_eq!(scene.transaction, &derived.blocks[&scene.rollup].block.transactions[scene.index]);
        let nonce = scene.transaction.inner().tx_hash();
        let signer = scene.transaction.signer();
        let before = scene.ground().nonce(signer);
        let result = scene.inspect(&mut NoOpInspector).unwrap().outcome.result;
        assert_eq!(scene.ground().nonce(signer), before, "{nonce}: who looks changes nothing");
        of.push((result.is_success(), result.tx_gas_used(), result.into_logs()));
        Ok::<(), ()>(())
    });
    assert_eq!(ended, Ok(()));
    seen
}

/// That what is seen is what the receipts say. A receipt begins with events of calls that its transaction carries: those
/// are not its own.
fn assert_seen(before: &Domain, derived: &DerivedHeight, payloads: &[Vec<Ordered>]) {
    let seen = look(before, derived, payloads);
    for (rollup, made) in &derived.blocks {
        let (mut last, seen) = (0, seen.get(rollup).cloned().unwrap_or_default());
        assert_eq!(seen.len(), made.block.transactions.len(), "of rollup {rollup} everything is seen");
        for ((success, gas, logs), receipt) in seen.iter().zip(&made.block.receipts) {
            assert_eq!((*success, *gas), (receipt.status(), receipt.cumulative_gas_used() - last));
            assert!(receipt.logs().ends_with(logs));
            last = receipt.cumulative_gas_used();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_seen_of_any_history_is_what_happened(plan in any_plan()) {
        let history = History::new(&plan);
        let mut domain = history.genesis.clone();
        for past in &history.heights {
            let before = domain.clone();
            let derived = derive(&mut domain, past.height, &past.payloads);
            assert_seen(&before, &derived, &past.payloads);
        }
    }
}

fn ask(rollup: u64) -> Step {
    Step::Ask(rollup, vec![Step::Count(1), Step::Say(1)])
}

/// A block does not say what its legs were told: without the other rollups there was no trace of them, nor of what came
/// after them.
#[test]
fn legs_that_call_are_seen_and_what_comes_after_them() {
    let mut domain = calling_domain(&[A, B]);
    let before = domain.clone();
    let legs = [Leg::write(A, 2, 0, 1), Leg::write(B, 2, 0, 1), running(&[ask(B)]), carrier(B)];
    let after = [Leg::write(A, 4, 0, 1).alone(), Leg::write(B, 4, 0, 1).alone()];
    let payloads = [vec![bundle(&legs), after[0].clone(), after[1].clone()]];
    let derived = derive(&mut domain, 1, &payloads);
    assert_eq!(effects(&derived), [Effect::Committed]);
    assert_seen(&before, &derived, &payloads);
    let seen = look(&before, &derived, &payloads);
    assert_eq!((seen[&RollupId(A)].len(), seen[&RollupId(B)].len()), (3, 3));
    let carried = &derived.blocks[&RollupId(B)].block.receipts[1];
    assert_eq!((carried.logs().len(), seen[&RollupId(B)][1].2.len()), (2, 0), "the call's events, and none of its own");
}

/// Of a call that was undone no log tells, but what the leg is told decides what it does.
#[test]
fn a_leg_whose_calls_were_undone_is_seen_as_it_was() {
    let mut domain = calling_domain(&[A, B]);
    let before = domain.clone();
    let steps = [Step::Frame(Kind::Call, vec![ask(B), Step::Revert]), ask(B)];
    let derived = commits(&mut domain, 1, &steps);
    assert_seen(&before, &derived, &[vec![bundle(&[running(&steps), carrier(B)])]]);
}

/// Where nobody calls, a block needs no other one, and a leg is a transaction like others.
#[test]
fn a_block_is_seen_alone_where_legs_call_nobody() {
    let mut domain = domain(&[A, B, C]);
    let before = domain.clone();
    let unit = bundle(&[Leg::write(A, 2, 0, 1), Leg::write(B, 2, 0, 1)]);
    let derived = derive(&mut domain, 1, &[vec![unit, Leg::write(A, 4, 0, 1).alone()]]);
    assert_eq!(effects(&derived), [Effect::Committed]);
    let (rollup, mut shown) = (RollupId(A), 0);
    let block = &derived.blocks[&rollup].block;
    let alone = BTreeMap::from([(rollup, Before { chain: before.chain(rollup).unwrap(), block })]);
    let ended = replay(&alone, &[], |mut scene| {
        assert!(scene.inspect(&mut NoOpInspector).unwrap().outcome.result.is_success());
        shown += 1;
        if shown == 2 { Err("seen enough") } else { Ok(()) }
    });
    assert_eq!((ended, shown, block.transactions.len()), (Err("seen enough"), 2, 2));
}

//! Bundles, and the gas that blocks have for them.

use super::{
    bundling::{Leg, binding_of, bundle, bundle_of, effect_without_trace, effects, nonce, pair, sign, terms, written},
    heights::{A, B, ENDLESS, Ordered, derive, domain_of, genesis},
};
use crate::{AbortReason, Domain, Effect, Terms};
use alloy_genesis::Genesis;
use alloy_primitives::Bytes;
use chorale_types::RollupId;

const BLOCK: u64 = 1_000_000;

/// Two rollups with small blocks.
fn small() -> Domain {
    domain_of([A, B].map(|rollup| Genesis { gas_limit: BLOCK, ..genesis(rollup) }))
}

fn with_gas(leg: Leg, gas_limit: u64) -> Leg {
    leg.with(|ask| ask.gas_limit = gas_limit)
}

/// Uses so much gas of a block.
fn filling(rollup: u64, nonce: u64, gas: u64) -> Ordered {
    with_gas(Leg::call(rollup, 3, nonce, ENDLESS, Bytes::new()), gas).alone()
}

#[test]
fn legs_that_need_more_gas_than_a_block_has_are_aborted_for_good() {
    let too_much = |rollup, limit| {
        let reason = AbortReason::Gas { rollup: RollupId(rollup), limit, block: BLOCK };
        Effect::Aborted { leg: None, reason }
    };
    let [first, second] = pair();
    let third = Leg::write(A, 0, 1, 33);
    for (legs, effect) in [
        (vec![with_gas(first.clone(), BLOCK + 1), second.clone()], too_much(A, BLOCK + 1)),
        (vec![first.clone(), with_gas(second.clone(), BLOCK + 1)], too_much(B, BLOCK + 1)),
        // Together, although each would do.
        (
            vec![with_gas(first.clone(), BLOCK / 2), second.clone(), with_gas(third.clone(), BLOCK / 2 + 1)],
            too_much(A, BLOCK + 1),
        ),
        // More than can be counted.
        (vec![with_gas(first.clone(), u64::MAX), second.clone(), with_gas(third, u64::MAX)], too_much(A, u64::MAX)),
    ] {
        let mut domain = small();
        // That there is no room now either makes no difference.
        let effect_now = effect_without_trace(
            &mut domain,
            1,
            &[vec![filling(A, 0, 900_000), filling(B, 0, 900_000)], vec![bundle(&legs)]],
        );
        assert_eq!(effect_now, effect);
        let again = bundle_of(&terms(), 1, sign(&terms(), &legs));
        let burnt = Effect::Aborted { leg: None, reason: AbortReason::Burnt };
        assert_eq!(effect_without_trace(&mut domain, 2, &[vec![again]]), burnt);
    }
}

#[test]
fn a_bundle_may_use_all_the_gas_that_a_block_has() {
    let [first, second] = pair();
    let legs = [with_gas(first, BLOCK / 2), with_gas(second, BLOCK), with_gas(Leg::write(A, 0, 1, 33), BLOCK / 2)];
    let mut domain = small();
    assert_eq!(effects(&derive(&mut domain, 1, &[vec![bundle(&legs)]])), [Effect::Committed]);
    assert_eq!((written(&domain, A), written(&domain, B)), (33, 22));
}

#[test]
fn a_bundle_that_finds_no_room_can_be_ordered_again_with_the_same_legs() {
    for rollup in [A, B] {
        let mut domain = small();
        let signed = sign(&terms(), &pair());
        let full = vec![filling(rollup, 0, 800_000)];
        let attempt = |number| bundle_of(&terms(), number, signed.clone());
        let effect = effect_without_trace(&mut domain, 1, &[full.clone(), vec![attempt(0)]]);
        assert_eq!(effect, Effect::Unplaced { rollup: RollupId(rollup) });
        assert_eq!((nonce(&domain, A, 0), nonce(&domain, B, 1)), (0, 0));
        let derived = derive(&mut domain, 2, &[vec![attempt(1)]]);
        assert_eq!(effects(&derived), [Effect::Committed]);
        assert_eq!(derived.burnt, [(terms().expiry, binding_of(&terms(), &pair()))]);
        assert_eq!((written(&domain, A), written(&domain, B)), (11, 22));
    }
}

#[test]
fn an_unplaced_bundle_burns_nothing() {
    let mut domain = small();
    let derived = derive(&mut domain, 1, &[vec![filling(A, 0, 800_000)], vec![bundle(&pair())]]);
    assert_eq!((effects(&derived), derived.burnt), (vec![Effect::Unplaced { rollup: RollupId(A) }], vec![]));
}

/// Gas that a leg may use and does not is there for others: what counts against a block is what was used.
#[test]
fn room_is_what_is_left_and_not_what_was_asked_for() {
    let two = |gas_limit| {
        let by = |wallet| {
            let terms = Terms { salt: wallet, ..terms() };
            let legs = [A, B].map(|rollup| with_gas(Leg::write(rollup, wallet, 0, wallet), gas_limit));
            bundle_of(&terms, 0, sign(&terms, &legs))
        };
        let derived = derive(&mut small(), 1, &[vec![by(1), by(2)]]);
        let used = derived.blocks[&RollupId(A)].block.receipts[0].cumulative_gas_used();
        assert!((40_000..100_000).contains(&used), "{used}");
        effects(&derived)
    };
    assert_eq!(two(900_000), [Effect::Committed, Effect::Committed]);
    assert_eq!(two(960_000), [Effect::Committed, Effect::Unplaced { rollup: RollupId(A) }]);
}

/// To the last unit of gas.
#[test]
fn a_bundle_finds_room_exactly_up_to_what_is_left() {
    for (more, placed) in [(0, true), (1, false)] {
        let [first, second] = pair();
        let mut domain = small();
        let legs = [with_gas(first, 400_000 + more), second];
        let derived = derive(&mut domain, 1, &[vec![filling(A, 0, 600_000)], vec![bundle(&legs)]]);
        let unplaced = Effect::Unplaced { rollup: RollupId(A) };
        assert_eq!(effects(&derived), [if placed { Effect::Committed } else { unplaced }]);
    }
}

/// An aborted bundle gives the block back what it had of it. But it was executed: bundles that abort have together as much
/// gas as one block, or whoever sends them for nothing could have nodes execute without end.
#[test]
fn what_was_aborted_uses_no_gas_of_the_block_and_what_bundles_cost_in_vain_is_bounded() {
    let [first, _] = pair();
    let failing = [with_gas(first, 900_000), with_gas(Leg::call(B, 1, 0, ENDLESS, Bytes::new()), 900_000)];
    let of = |salt, gas| {
        let terms = Terms { salt, ..terms() };
        let legs = [A, B].map(|rollup| with_gas(Leg::write(rollup, salt, 0, 5), gas));
        bundle_of(&terms, 0, sign(&terms, &legs))
    };
    let mut domain = small();
    let whole_block = with_gas(Leg::write(A, 4, 0, 6), 900_000).alone();
    let payload = vec![bundle(&failing), of(2, 100_001), of(3, 100_000), whole_block];
    let derived = derive(&mut domain, 1, &[payload]);
    let effects = effects(&derived);
    assert!(matches!(effects[0], Effect::Aborted { leg: Some(1), .. }));
    assert_eq!(effects[1..], [Effect::Unplaced { rollup: RollupId(A) }, Effect::Committed]);
    assert_eq!(derived.blocks[&RollupId(A)].block.receipts.len(), 2, "a bundle's leg, and the transaction");
}

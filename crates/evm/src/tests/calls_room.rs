//! Synchronous calls, and the gas that blocks have for them.

use super::{
    bundling::{GWEI, Leg, bundle, bundle_of, effect_without_trace, effects, sign, terms},
    heights::{A, B, C, ENDLESS, Ordered, derive},
    scripts::{Kind, SCRIPT, Step, calling_domain_of, script, scripted},
    synchronous::{at, carrier, logs},
    wallets::Wallet,
};
use crate::{AbortReason, Domain, Effect, Reason, Skipped, Terms};
use alloy_genesis::Genesis;
use alloy_primitives::{Bytes, U256};
use chorale_types::RollupId;

const BLOCK: u64 = 1_000_000;

fn small() -> Domain {
    calling_domain_of([A, B, C].map(|rollup| Genesis { gas_limit: BLOCK, ..scripted(rollup) }))
}

fn running(gas_limit: u64, steps: &[Step]) -> Leg {
    Leg::call(A, 0, 0, SCRIPT, script(steps)).with(|ask| ask.gas_limit = gas_limit)
}

fn carrying(gas_limit: u64) -> Leg {
    carrier(B).with(|ask| ask.gas_limit = gas_limit)
}

fn filling(rollup: u64, gas: u64) -> Ordered {
    Leg::call(rollup, 3, 0, ENDLESS, Bytes::new()).with(|ask| ask.gas_limit = gas).alone()
}

/// Uses about so much gas there.
fn burning(gas: u32) -> Step {
    Step::Remote(Kind::Call, B, SCRIPT, gas, script(&[Step::Endless]))
}

fn balance(domain: &Domain, rollup: u64, wallet: u64) -> U256 {
    domain.chain(RollupId(rollup)).unwrap().state().account(Wallet::new(wallet).address).unwrap().balance
}

#[test]
fn the_caller_pays_on_its_own_rollup() {
    let mut domain = small();
    let before = [(A, 0), (B, 1), (B, 0)].map(|(rollup, wallet)| balance(&domain, rollup, wallet));
    let derived = derive(&mut domain, 1, &[vec![bundle(&[running(600_000, &[burning(300_000)]), carrying(30_000)])]]);
    assert_eq!(effects(&derived), [Effect::Committed]);
    let [on_a, on_b] = [A, B].map(|rollup| derived.blocks[&RollupId(rollup)].block.header.clone());
    assert!((320_000..420_000).contains(&on_a.gas_used), "{}", on_a.gas_used);
    assert_eq!(on_b.gas_used, 27_200);
    let price = |header: &alloy_consensus::Header| {
        U256::from(u128::from(header.base_fee_per_gas.unwrap()) + GWEI) * U256::from(header.gas_used)
    };
    assert_eq!(before[0] - balance(&domain, A, 0), price(&on_a));
    assert_eq!(before[1] - balance(&domain, B, 1), price(&on_b));
    assert_eq!(before[2], balance(&domain, B, 0));
}

/// What is executed there is gas of a block there, whatever became of it.
#[test]
fn calls_use_gas_of_the_block_where_they_are_executed() {
    let undone = Step::Frame(
        Kind::Call,
        vec![Step::Remote(Kind::Call, B, SCRIPT, 100_000, script(&[Step::Count(1)])), Step::Revert],
    );
    for (step, least) in [(burning(300_000), 280_000), (undone, 20_000)] {
        let mut domain = small();
        let whole = Leg::write(B, 2, 0, 7).with(|ask| ask.gas_limit = BLOCK).alone();
        let legs = [running(900_000, &[step]), carrying(30_000)];
        let derived = derive(&mut domain, 1, &[vec![bundle(&legs), whole]]);
        assert_eq!(effects(&derived), [Effect::Committed]);
        let made = &derived.blocks[&RollupId(B)];
        assert_eq!((made.block.header.gas_used, made.block.transactions.len()), (27_200, 1));
        let [skipped] = &made.skipped[..] else { panic!("{:?}", made.skipped) };
        let Reason::Skipped(Skipped::BlockGas { left, .. }) = skipped.reason else { panic!("{skipped:?}") };
        let used = BLOCK - 27_200 - left;
        assert!((least..350_000).contains(&used), "{used}");
    }
}

/// On each rollup as much as the legs might use there: those before the last one for it could call.
#[test]
fn a_bundle_asks_for_all_gas_that_it_might_use_elsewhere() {
    let of = |on_a: u64, on_b: u64| [running(on_a, &[]), carrying(on_b)];
    assert_eq!(effects(&derive(&mut small(), 1, &[vec![bundle(&of(960_000, 40_000))]])), [Effect::Committed]);
    let reason = AbortReason::Gas { rollup: RollupId(B), limit: BLOCK + 1, block: BLOCK };
    let effect = effect_without_trace(&mut small(), 1, &[vec![bundle(&of(960_000, 40_001))]]);
    assert_eq!(effect, Effect::Aborted { leg: None, reason });
    // After the last leg for a rollup nothing can call it.
    let turned = of(960_000, 40_000).into_iter().rev().collect::<Vec<_>>();
    for (legs, effect) in
        [(&of(960_000, 40_000)[..], Effect::Unplaced { rollup: RollupId(B) }), (&turned, Effect::Committed)]
    {
        let derived = derive(&mut small(), 1, &[vec![filling(B, 950_000)], vec![bundle(legs)]]);
        assert_eq!(effects(&derived), [effect]);
    }
    // To the last unit of what a block has left.
    for (more, placed) in [(0, true), (1, false)] {
        let legs = of(360_000 + more, 40_000);
        let derived = derive(&mut small(), 1, &[vec![filling(B, 600_000)], vec![bundle(&legs)]]);
        let unplaced = Effect::Unplaced { rollup: RollupId(B) };
        assert_eq!(effects(&derived), [if placed { Effect::Committed } else { unplaced }]);
    }
}

#[test]
fn a_bundle_that_finds_no_room_where_it_calls_can_be_ordered_again() {
    let mut domain = small();
    let legs = sign(&terms(), &[running(600_000, &[Step::Ask(B, vec![Step::Count(1)])]), carrying(30_000)]);
    let attempt = |number| bundle_of(&terms(), number, legs.clone());
    let effect = effect_without_trace(&mut domain, 1, &[vec![filling(B, 600_000)], vec![attempt(0)]]);
    assert_eq!(effect, Effect::Unplaced { rollup: RollupId(B) });
    assert_eq!(effects(&derive(&mut domain, 2, &[vec![attempt(1)]])), [Effect::Committed]);
    assert_eq!(at(&domain, B, SCRIPT, 1), 1);
}

/// Work in vain is bounded on the rollup that was called as well: both count all that the bundle had asked for.
#[test]
fn calls_of_bundles_that_abort_have_together_as_much_gas_as_a_block() {
    let failing = [running(900_000, &[burning(500_000), Step::Revert]), carrying(30_000)];
    let of = |salt, gas| {
        let terms = Terms { salt, ..terms() };
        let leg = |rollup| Leg::write(rollup, salt, 0, 5).with(|ask| ask.gas_limit = gas);
        bundle_of(&terms, 0, sign(&terms, &[leg(B), leg(C)]))
    };
    let mut domain = small();
    let derived = derive(&mut domain, 1, &[vec![bundle(&failing), of(2, 70_001), of(3, 70_000)]]);
    let effects = effects(&derived);
    assert!(matches!(effects[0], Effect::Aborted { leg: Some(0), .. }), "{effects:?}");
    assert_eq!(effects[1..], [Effect::Unplaced { rollup: RollupId(B) }, Effect::Committed]);
    assert_eq!(derived.blocks[&RollupId(B)].block.header.gas_used, {
        let receipts = &derived.blocks[&RollupId(B)].block.receipts;
        receipts.last().unwrap().cumulative_gas_used()
    });
}

/// Of what a call has left of its gas it gives all but a 64th, as frames of Ethereum do.
#[test]
fn a_call_that_uses_all_gas_leaves_the_caller_a_64th() {
    let mut domain = small();
    let legs = [running(900_000, &[burning(0), Step::Count(1)]), carrying(30_000)];
    let derived = derive(&mut domain, 1, &[vec![bundle(&legs)]]);
    // Both the frame of the precompiled contract and the one there keep a 64th back; that is enough for no write.
    assert!(matches!(effects(&derived)[..], [Effect::Aborted { leg: Some(0), reason: AbortReason::Halted(_) }]));
    let legs = [running(900_000, &[burning(500_000), Step::Count(1)]), carrying(30_000)];
    let derived = derive(&mut small(), 1, &[vec![bundle(&legs)]]);
    assert_eq!(effects(&derived), [Effect::Committed]);
    assert!(logs(&derived, A, 0).is_empty());
}

/// Storage that is cleared there is refunded here.
#[test]
fn refunds_come_back_to_the_caller() {
    let clear = |value| Step::Ask(B, vec![Step::Write(1, value)]);
    let used = |value| {
        let mut domain = small();
        let set = [running(600_000, &[clear(7)]), carrying(30_000)];
        assert_eq!(effects(&derive(&mut domain, 1, &[vec![bundle(&set)]])), [Effect::Committed]);
        let terms = Terms { salt: 2, ..terms() };
        let mut legs = [running(600_000, &[clear(value)]), carrying(30_000)];
        legs.iter_mut().for_each(|leg| leg.ask.nonce = 1);
        let derived = derive(&mut domain, 2, &[vec![bundle_of(&terms, 0, sign(&terms, &legs))]]);
        assert_eq!(effects(&derived), [Effect::Committed]);
        derived.blocks[&RollupId(A)].block.header.gas_used
    };
    // EIP-3529; a byte of input that is not zero costs 12 gas more.
    assert_eq!(used(8) - used(0), 4_800 + 12);
}

//! What holds of all histories of a domain.

use super::{
    bundling::{Leg, bundle, effects},
    heights::{A, Given, assert_same, derive, domain, outcome_of},
    histories::{History, any_plan, calling_plan, count, nothing, plan},
    oracle::{Expected, Oracle},
};
use crate::{AbortReason, Content, Domain, Effect, Known, OutOfOrder, recover};
use alloy_eips::{eip2935::HISTORY_STORAGE_ADDRESS, eip4788::BEACON_ROOTS_ADDRESS};
use chorale_types::{Atomicity, Height, RollupId};
use proptest::{prelude::*, strategy::ValueTree as _, test_runner::TestRunner};
use std::collections::BTreeMap;

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, max_shrink_iters: 2_000, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config(96))]

    /// All effects on all rollups, or none on any; and blocks are those that a client makes which knows nothing of bundles.
    #[test]
    fn bundles_take_effect_as_a_whole_or_not_at_all(plan in any_plan()) {
        let history = History::new(&plan);
        let (mut domain, mut oracle) = (history.genesis.clone(), Oracle::default());
        for past in &history.heights {
            let (blocks, expected) = oracle.expect(&domain, past.height, &past.payloads);
            let derived = derive(&mut domain, past.height, &past.payloads);
            let seen: Vec<_> = derived.bundles.iter().map(|bundle| (bundle.id, class(&bundle.effect))).collect();
            prop_assert_eq!(seen, expected, "{:?}", effects(&derived));
            let made: BTreeMap<_, _> = derived.blocks.iter().map(|(rollup, made)| (*rollup, made.block.clone())).collect();
            prop_assert_eq!(made, blocks);
            let units = past.payloads.concat();
            for bundle in &derived.bundles {
                let unit = units.iter().find(|unit| unit.bundle().is_some_and(|it| it.id == bundle.id)).unwrap();
                // Of one that is burnt the same legs may be there already, from the first time.
                let burnt = matches!(bundle.effect, Effect::Aborted { reason: AbortReason::Burnt, .. });
                let there = unit.parts().iter().filter(|(rollup, data)| {
                    let block = &derived.blocks[&RollupId(*rollup)].block;
                    block.transactions.iter().any(|it| super::wallets::raw(it.inner()) == *data)
                }).count();
                match bundle.effect {
                    Effect::Committed => prop_assert_eq!(there, unit.parts().len()),
                    _ if burnt => {}
                    _ => prop_assert_eq!(there, 0),
                }
            }
        }
    }

    /// Whoever starts from the genesis comes to the same, whatever he was told in which process.
    #[test]
    fn replaying_a_history_gives_the_same(plan in any_plan()) {
        let history = History::new(&plan);
        let (one, first) = history.derive();
        let (two, second) = History::new(&plan).derive();
        assert_same(&one, &two);
        for (one, two) in first.iter().zip(&second) {
            prop_assert_eq!(&one.outcome, &two.outcome);
            prop_assert_eq!((&one.bundles, &one.burnt), (&two.bundles, &two.burnt));
            for (rollup, made) in &one.blocks {
                let other = &two.blocks[rollup];
                prop_assert_eq!((&made.block, &made.changes, &made.skipped), (&other.block, &other.changes, &other.skipped));
            }
        }
    }

    /// That senders are known saves time, and nothing else.
    #[test]
    fn known_senders_make_no_difference(plan in any_plan(), which in any::<u64>()) {
        let history = History::new(&plan);
        let (expected, all) = history.derive();
        let mut domain = history.genesis.clone();
        for (past, expected) in history.heights.iter().zip(&all) {
            let Given { lanes, bundles } = Given::new(&past.payloads);
            let mut known = Known::default();
            let items = lanes.iter().flat_map(|lane| lane.items().iter().map(|item| (lane.rollup(), item)));
            for (index, (rollup, item)) in items.enumerate() {
                if which >> (index % 64) & 1 == 1 && let Ok(transaction) = recover(&item.data, rollup.0) {
                    known.insert(item.id, transaction);
                }
            }
            let outcome = outcome_of(past.height);
            let content = Content { outcome: &outcome, lanes: &lanes, bundles: &bundles };
            let derived = domain.derive_known(&content, &known).unwrap();
            prop_assert_eq!((&derived.outcome, &derived.bundles), (&expected.outcome, &expected.bundles));
        }
        assert_same(&domain, &expected);
    }

    /// All bundles without effect can be taken out of a history, and everything else stays: states, blocks and their hashes. That
    /// a rollup had content at a height stays too, as every such height makes a block.
    #[test]
    fn bundles_without_effect_change_nothing(plan in any_plan()) {
        let history = History::new(&plan);
        let (one, with) = history.derive();
        let (two, without) = history.without_failures(&with).derive();
        assert_same(&one, &two);
        for (with, without) in with.iter().zip(&without) {
            prop_assert_eq!(&with.heads, &without.heads);
            prop_assert_eq!(with.outcome.rollups, without.outcome.rollups);
            let left: Vec<_> = with.bundles.iter().filter(|it| it.effect == Effect::Committed).cloned().collect();
            prop_assert_eq!(&left, &without.bundles);
            for (rollup, made) in &with.blocks {
                prop_assert_eq!((&made.block, &made.changes), (&without.blocks[rollup].block, &without.blocks[rollup].changes));
            }
        }
    }

    /// Nothing of what is wrong with a height leaves a trace.
    #[test]
    fn a_domain_refuses_what_is_not_its_next_height_and_stays_what_it_is(plan in any_plan(), back in 0u64..5) {
        let history = History::new(&plan);
        let (spared, expected) = history.derive();
        let mut domain = history.genesis.clone();
        for (past, expected) in history.heights.iter().zip(&expected) {
            let given = Given::new(&past.payloads);
            refuse_all(&mut domain, past.height, &given, back);
            let derived = given.try_derive(&mut domain, past.height).unwrap();
            prop_assert_eq!(&derived.outcome, &expected.outcome);
        }
        assert_same(&domain, &spared);
    }
}

fn class(effect: &Effect) -> Expected {
    match effect {
        Effect::Committed => Expected::Committed,
        Effect::Aborted { leg, .. } => Expected::Aborted { leg: *leg },
        Effect::Unplaced { .. } => Expected::Unplaced,
    }
}

#[track_caller]
fn refuse(domain: &mut Domain, height: u64, given: &Given, expected: OutOfOrder) {
    let before = domain.clone();
    assert_eq!(given.try_derive(domain, height).map(|_| ()), Err(expected));
    assert_same(domain, &before);
}

fn refuse_all(domain: &mut Domain, height: u64, given: &Given, back: u64) {
    let last = domain.height();
    let early = last.0.saturating_sub(back);
    refuse(domain, early, given, OutOfOrder::Height { given: Height(early), last });
    let with_lane = |other: &Given| Given { lanes: [&given.lanes[..], &other.lanes].concat(), ..given.clone() };
    let foreign = with_lane(&Given::new(&[vec![nothing(77)]]));
    refuse(domain, height, &foreign, OutOfOrder::Rollup(RollupId(77)));
    let twice = with_lane(&Given { lanes: vec![given.lanes[0].clone()], bundles: vec![] });
    refuse(domain, height, &twice, OutOfOrder::Rollup(given.lanes[0].rollup()));
    for (index, bundle) in given.bundles.iter().enumerate() {
        let mut missing = given.clone();
        missing.bundles.remove(index);
        refuse(domain, height, &missing, OutOfOrder::Terms(bundle.id));
        let mut forged = given.clone();
        forged.bundles[index].salt ^= 1;
        refuse(domain, height, &forged, OutOfOrder::Terms(bundle.id));
        // Of those that execute as a whole every leg has to be there.
        let rollup = bundle.legs[0].rollup;
        let mut partial = given.clone();
        partial.lanes.retain(|lane| lane.rollup() != rollup);
        if partial.lanes.is_empty() {
            refuse(domain, height, &partial, OutOfOrder::Empty(Height(height)));
        } else if given.bundles.len() == 1
            && bundle.atomicity != Atomicity::Inclusion
            && bundle.legs.iter().any(|leg| leg.rollup != rollup)
        {
            refuse(domain, height, &partial, OutOfOrder::Leg(bundle.id));
        }
    }
}

/// Or the agreement would be about nothing.
#[test]
fn the_histories_have_everything_in_them() {
    let mut runner = TestRunner::deterministic();
    let mut seen = BTreeMap::<&str, usize>::new();
    for _ in 0..96 {
        let plan = plan().new_tree(&mut runner).unwrap().current();
        let (_, derived) = History::new(&plan).derive();
        count(&derived, |what| *seen.entry(what).or_default() += 1);
    }
    for (what, least) in [
        ("committed", 40),
        ("unplaced", 5),
        ("burnt", 5),
        ("gas", 5),
        ("invalid", 5),
        ("reverted", 5),
        ("halted", 5),
        ("unsent", 5),
        ("unread", 5),
        ("message", 20),
    ] {
        assert!(seen.get(what).is_some_and(|count| *count >= least), "too few {what}: {seen:?}");
    }
    assert!(!seen.contains_key("other"), "{seen:?}");
}

#[test]
fn the_histories_of_rollups_that_call_have_everything_in_them() {
    let mut runner = TestRunner::deterministic();
    let mut seen = BTreeMap::<&str, usize>::new();
    for _ in 0..96 {
        let plan = calling_plan().new_tree(&mut runner).unwrap().current();
        let (_, derived) = History::new(&plan).derive();
        count(&derived, |what| *seen.entry(what).or_default() += 1);
    }
    for (what, least) in [("committed", 60), ("call", 100), ("undone", 5), ("reverted", 5), ("halted", 5)] {
        assert!(seen.get(what).is_some_and(|count| *count >= least), "too few {what}: {seen:?}");
    }
}

/// The one trace of an aborted bundle: that there was a height. A block is made of it, as for every height with content,
/// and says in two system contracts where it stands.
#[test]
fn a_height_of_which_nothing_had_an_effect_makes_a_block_without_transactions() {
    let mut one = domain(&[A]);
    let before = one.clone();
    let derived = derive(&mut one, 1, &[vec![bundle(&[Leg::reverting(A, 0, 0)])]]);
    let block = &derived.blocks[&RollupId(A)].block;
    assert_eq!((block.header.number, block.header.gas_used, block.transactions.len()), (1, 0, 0));
    let chain = |domain: &Domain| domain.chain(RollupId(A)).unwrap().clone();
    let (old, new) = (chain(&before), chain(&one));
    assert!(old.state().accounts().eq(new.state().accounts()));
    let users = |domain: &crate::Chain| {
        let system = [BEACON_ROOTS_ADDRESS, HISTORY_STORAGE_ADDRESS];
        domain.state().slots().filter(|(address, ..)| !system.contains(address)).collect::<Vec<_>>()
    };
    assert_eq!(users(&old), users(&new));
    // Without the height there is no such block: the next one has another number.
    let next = |mut domain: Domain| derive(&mut domain, 2, &[vec![nothing(A)]]).heads[0].number;
    assert_eq!((next(before), next(one)), (1, 2));
}

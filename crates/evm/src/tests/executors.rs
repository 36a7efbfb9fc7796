//! What is derived does not depend on who runs its parts.

use super::{
    heights::{Given, assert_same, outcome_of},
    histories::{History, plan},
};
use crate::{Content, DerivedHeight, Domain, Executor, InTurn, Known, Part};
use proptest::{prelude::*, strategy::ValueTree as _, test_runner::TestRunner};
use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

/// The last part first.
#[derive(Debug)]
struct Reversed;

impl Executor for Reversed {
    fn run(&self, parts: Vec<Part<'_>>) {
        parts.into_iter().rev().for_each(|part| part());
    }
}

/// All at once.
#[derive(Debug)]
struct Threads;

impl Executor for Threads {
    fn run(&self, parts: Vec<Part<'_>>) {
        thread::scope(|scope| parts.into_iter().for_each(|part| drop(scope.spawn(part))));
    }
}

/// Counts what can be done beside something else.
#[derive(Debug, Default)]
struct Counting(AtomicUsize);

impl Executor for Counting {
    fn run(&self, parts: Vec<Part<'_>>) {
        self.0.fetch_add(parts.len(), Ordering::Relaxed);
        InTurn.run(parts);
    }
}

fn derive(history: &History, executor: &dyn Executor) -> (Domain, Vec<DerivedHeight>) {
    let mut domain = history.genesis.clone();
    let heights = history.heights.iter().map(|past| {
        let Given { lanes, bundles } = Given::new(&past.payloads);
        let outcome = outcome_of(past.height);
        let content = Content { outcome: &outcome, lanes: &lanes, bundles: &bundles };
        domain.derive_with(&content, &Known::default(), executor).unwrap()
    });
    let heights = heights.collect();
    (domain, heights)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_executor_makes_the_same(plan in plan()) {
        let history = History::new(&plan);
        let (expected, all) = derive(&history, &InTurn);
        for executor in [&Reversed as &dyn Executor, &Threads] {
            let (domain, heights) = derive(&history, executor);
            assert_same(&domain, &expected);
            for (made, expected) in heights.iter().zip(&all) {
                prop_assert_eq!((&made.outcome, &made.heads), (&expected.outcome, &expected.heads), "{:?}", executor);
                prop_assert_eq!((&made.bundles, &made.burnt), (&expected.bundles, &expected.burnt), "{:?}", executor);
                for (rollup, made) in &made.blocks {
                    let expected = &expected.blocks[rollup];
                    prop_assert_eq!(&made.block, &expected.block, "{:?}", executor);
                    prop_assert_eq!((&made.changes, &made.skipped), (&expected.changes, &expected.skipped), "{:?}", executor);
                }
            }
        }
    }
}

/// Or the property would be about nothing.
#[test]
fn histories_have_parts_that_can_be_run_beside_each_other() {
    let mut runner = TestRunner::deterministic();
    let counting = Counting::default();
    for _ in 0..16 {
        derive(&History::new(&plan().new_tree(&mut runner).unwrap().current()), &counting);
    }
    let parts = counting.0.into_inner();
    assert!(parts > 60, "only {parts} parts");
}

//! Blocks by the second.

use super::{
    bundling::{Leg, bundle_of, effects, sign, terms},
    heights::{A, B, Given, Ordered, assert_same, domain_of, genesis, header, outcome},
    histories::{History, nothing, plan},
    wallets::raw,
};
use crate::{
    BlockTimes, Chain, Content, DerivedHeight, Domain, DomainRules, Effect, InTurn, Known, OutOfOrder, RollupGenesis,
    Terms,
};
use alloy_eips::{eip2935::HISTORY_STORAGE_ADDRESS, eip4788::BEACON_ROOTS_ADDRESS};
use alloy_primitives::{Address, B256, U256};
use chorale_types::{Height, Outcome, RollupId};
use proptest::prelude::*;
use std::{collections::BTreeSet, num::NonZeroU64};

/// The second in which the rollups begin.
const START_S: u64 = 1_700_000_000;

/// The heights of a second, and what closed it.
struct Second {
    heights: Vec<(Outcome, Given)>,
    closing: Outcome,
}

impl Second {
    fn derive(&self, domain: &mut Domain) -> Result<DerivedHeight, OutOfOrder> {
        let contents: Vec<Content<'_>> = self
            .heights
            .iter()
            .map(|(outcome, given)| Content { outcome, lanes: &given.lanes, bundles: &given.bundles })
            .collect();
        domain.derive_second(&contents, &self.closing, &Known::default(), &InTurn)
    }

    fn last(&self) -> &Outcome {
        &self.heights.last().unwrap().0
    }
}

/// A height of a chain that has one so many milliseconds after the other.
fn at(pace_ms: u64) -> impl Fn(u64) -> Outcome {
    move |height| outcome(height, 1000 * (START_S + 1) + pace_ms * height)
}

/// What heights with content make by the second, closed as the chain does it: by its first height of a later second.
fn by_second(heights: impl IntoIterator<Item = (u64, Given)>, pace_ms: u64) -> Vec<Second> {
    let at = at(pace_ms);
    let mut seconds: Vec<Second> = Vec::new();
    for (height, given) in heights {
        let outcome = at(height);
        match seconds.last_mut() {
            Some(last) if last.closing.height > outcome.height => last.heights.push((outcome, given)),
            _ => {
                let second = outcome.timestamp.second();
                let closing = (height + 1..).map(&at).find(|later| later.timestamp.second() > second).unwrap();
                seconds.push(Second { heights: vec![(outcome, given)], closing });
            }
        }
    }
    seconds
}

fn of_history(history: &History, pace_ms: u64) -> Vec<Second> {
    by_second(history.heights.iter().map(|past| (past.height, Given::new(&past.payloads))), pace_ms)
}

type Accounts = Vec<(Address, crate::Account)>;
type Slots = Vec<(Address, U256, U256)>;

/// What is to be seen of a rollup but for where its blocks stand.
fn users(chain: &Chain) -> (Accounts, Slots) {
    let system = [BEACON_ROOTS_ADDRESS, HISTORY_STORAGE_ADDRESS];
    let accounts = chain.state().accounts().map(|(address, account)| (address, *account)).collect();
    (accounts, chain.state().slots().filter(|(address, ..)| !system.contains(address)).collect())
}

/// A domain of two rollups whose base fee stays: it depends on the number of blocks.
fn steady() -> Domain {
    let rollup = |rollup| {
        let genesis = RollupGenesis::new(&genesis(rollup)).unwrap();
        genesis.with_base_fee(NonZeroU64::MAX, NonZeroU64::MIN)
    };
    Domain::new(super::heights::sequencer(), super::heights::DOMAIN, DomainRules::default(), [A, B].map(rollup))
}

/// Writes, on one rollup or by a bundle on both, some of which abort. Nothing of it looks at the block.
fn writes() -> impl Strategy<Value = Vec<(u64, Vec<Ordered>)>> {
    let step = (1u64..4, proptest::collection::vec((any::<bool>(), 0u8..4, 1u64..9), 1..5));
    proptest::collection::vec(step, 1..9).prop_map(|steps| {
        let (mut height, mut salt) = (0, 0);
        let mut nonces = std::collections::BTreeMap::<(u64, u64), u64>::new();
        let mut write = |rollup, wallet, value| {
            let nonce = nonces.entry((rollup, wallet)).or_default();
            *nonce += 1;
            Leg::write(rollup, wallet, *nonce - 1, value)
        };
        let mut ordered = |(first, what, value): (bool, u8, u64)| match what {
            0 | 1 => write(if first { A } else { B }, 0, value).alone(),
            2 => {
                salt += 1;
                let terms = Terms { salt, ..terms() };
                bundle_of(&terms, 0, sign(&terms, &[write(A, 1, value), write(B, 1, value)]))
            }
            _ => {
                salt += 1;
                let terms = Terms { salt, ..terms() };
                bundle_of(&terms, 0, sign(&terms, &[Leg::write(A, 2, 0, value), Leg::reverting(B, 2, 0)]))
            }
        };
        let mut one = |(later, units): (u64, Vec<_>)| {
            height += later;
            (height, units.into_iter().map(&mut ordered).collect())
        };
        steps.into_iter().map(&mut one).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, max_shrink_iters: 2_000, ..ProptestConfig::default() })]

    /// Times rise, each block says where it stands, and bundles are whole.
    #[test]
    fn seconds_make_blocks_that_ethereum_takes(plan in plan(), pace_ms in 20u64..1_200) {
        let history = History::new(&plan);
        let mut domain = history.genesis.clone().with_blocks(BlockTimes::Second);
        let mut previous = Height(0);
        for second in of_history(&history, pace_ms) {
            let before = domain.clone();
            let derived = second.derive(&mut domain).unwrap();
            let attested = &derived.outcome;
            prop_assert_eq!((attested.height, attested.previous), (second.closing.height, previous));
            prop_assert_eq!((attested.order, domain.height()), (second.closing.root(), second.closing.height));
            let with_content: BTreeSet<RollupId> =
                second.heights.iter().flat_map(|(_, given)| given.lanes.iter().map(|lane| lane.rollup())).collect();
            prop_assert_eq!(derived.blocks.keys().copied().collect::<BTreeSet<_>>(), with_content);
            for (rollup, made) in &derived.blocks {
                let (block, parent) = (&made.block.header, before.chain(*rollup).unwrap().head());
                prop_assert_eq!((block.number, block.parent_hash), (parent.number + 1, parent.hash()));
                prop_assert_eq!(block.timestamp, second.last().timestamp.second());
                prop_assert!(block.timestamp > parent.timestamp);
                prop_assert_eq!(block.extra_data.as_ref(), second.closing.height.0.to_be_bytes());
                let stands = header(second.last().height.0);
                prop_assert_eq!(block.parent_beacon_block_root, Some(B256::from_slice(stands.as_ref())));
            }
            let there = |(rollup, data): &(u64, Vec<u8>)| {
                let block = &derived.blocks[&RollupId(*rollup)].block;
                block.transactions.iter().any(|it| raw(it.inner()) == *data)
            };
            let units: Vec<Ordered> = history.heights.iter()
                .filter(|past| second.heights.iter().any(|(outcome, _)| outcome.height.0 == past.height))
                .flat_map(|past| past.payloads.concat()).collect();
            for bundle in &derived.bundles {
                let unit = units.iter().find(|unit| unit.bundle().is_some_and(|it| it.id == bundle.id)).unwrap();
                let legs = unit.parts().iter().filter(|leg| there(leg)).count();
                match &bundle.effect {
                    Effect::Committed => prop_assert_eq!(legs, unit.parts().len()),
                    // The same legs may have had their effect before, from another attempt.
                    Effect::Aborted { reason: crate::AbortReason::Burnt, .. } => {}
                    other => prop_assert_eq!(legs, 0, "{:?} {:?}", other, effects(&derived)),
                }
            }
            previous = second.closing.height;
        }
    }

    /// What is left out is only the number of blocks: what was ordered does the same.
    #[test]
    fn by_the_second_and_by_the_height_the_state_is_the_same(writes in writes(), pace_ms in 20u64..1_200) {
        let heights: Vec<(u64, Given)> =
            writes.into_iter().map(|(height, units)| (height, Given::new(&[units]))).collect();
        let (mut one, mut two) = (steady(), steady().with_blocks(BlockTimes::Second));
        let mut effects_by_height = Vec::new();
        for (height, Given { lanes, bundles }) in &heights {
            let outcome = at(pace_ms)(*height);
            effects_by_height.extend(one.derive(&Content { outcome: &outcome, lanes, bundles }).unwrap().bundles);
        }
        let seconds = by_second(heights, pace_ms);
        let by_second: Vec<_> = seconds.iter().flat_map(|second| second.derive(&mut two).unwrap().bundles).collect();
        prop_assert_eq!(effects_by_height, by_second);
        for (rollup, chain) in one.chains() {
            prop_assert_eq!(users(chain), users(two.chain(*rollup).unwrap()));
        }
    }

    /// A node that stops in the middle of a second has nothing of it, and makes the same of it later.
    #[test]
    fn a_second_that_is_fetched_anew_makes_the_same(plan in plan(), pace_ms in 20u64..1_200, stops in any::<u16>()) {
        let history = History::new(&plan);
        let steady = || history.genesis.clone().with_blocks(BlockTimes::Second);
        let (mut one, mut two, mut burnt) = (steady(), steady(), Vec::new());
        for (index, second) in of_history(&history, pace_ms).iter().enumerate() {
            let expected = second.derive(&mut one).unwrap();
            if stops >> (index % 16) & 1 == 1 {
                // What goes on from the disk asks for everything after this height.
                prop_assert!(two.complete().next() <= second.heights[0].0.height);
                let (chain, id, chains) = (two.chain_id(), two.id(), two.chains().values().cloned().collect::<Vec<_>>());
                two = Domain::restore(chain, id, chains, two.height(), burnt.clone()).with_blocks(two.blocks());
            }
            let derived = second.derive(&mut two).unwrap();
            prop_assert_eq!((&derived.outcome, &derived.bundles), (&expected.outcome, &expected.bundles));
            burnt.extend(derived.burnt);
            let live = burnt.iter().copied().filter(|(expiry, _)| *expiry > two.complete());
            prop_assert_eq!(derived.outcome.burnt, crate::burnt_root(live));
        }
        assert_same(&one, &two);
    }
}

fn one_block(height: u64, wallet: u64, nonce: u64) -> (u64, Given) {
    (height, Given::new(&[vec![Leg::write(A, wallet, nonce, height).alone()]]))
}

fn by_the_second() -> Domain {
    domain_of([genesis(A)]).with_blocks(BlockTimes::Second)
}

/// The height that closes a second is the first one of the next.
#[test]
fn what_the_closing_height_brought_is_in_the_next_block() {
    let mut domain = by_the_second();
    // 0.4, 0.8, 1.2 and 1.6 seconds: the third closes the second of the first two.
    let seconds = by_second((1..=4).map(|height| one_block(height, 0, height - 1)), 400);
    let closed: Vec<(usize, u64)> =
        seconds.iter().map(|second| (second.heights.len(), second.closing.height.0)).collect();
    assert_eq!(closed, [(2, 3), (2, 5)]);
    for second in &seconds {
        let made = second.derive(&mut domain).unwrap();
        assert_eq!(made.blocks[&RollupId(A)].block.transactions.len(), 2);
        assert_eq!(made.blocks[&RollupId(A)].skipped, []);
    }
    assert_eq!((domain.height(), domain.complete()), (Height(5), Height(4)));
}

/// Each phase is of a height: a bundle of a later one does not overtake what was ordered before.
#[test]
fn heights_of_a_second_stay_in_their_order() {
    let write = |nonce, value| Leg::write(A, 0, nonce, value);
    let terms = terms();
    let bundle = bundle_of(&terms, 0, sign(&terms, &[write(1, 8)]));
    let heights = [(1, vec![write(0, 7).alone()]), (2, vec![bundle])];
    let seconds = by_second(heights.map(|(height, units)| (height, Given::new(&[units]))), 100);
    assert_eq!(seconds.len(), 1);
    let mut domain = by_the_second();
    let made = seconds[0].derive(&mut domain).unwrap();
    assert_eq!(made.bundles[0].effect, Effect::Committed);
    let slot = domain.chain(RollupId(A)).unwrap().state().slot(Address::repeat_byte(0xc1), U256::ZERO);
    assert_eq!(slot, U256::from(8));
}

/// A genesis may say that the rollup begins later than chain time: its clock then waits, one second for each block.
#[test]
fn times_rise_on_a_rollup_that_begins_in_the_future() {
    let mut later = genesis(A);
    later.timestamp = START_S + 100;
    let mut domain = domain_of([later]).with_blocks(BlockTimes::Second);
    let seconds = by_second((1..=3).map(|height| one_block(height, 0, height - 1)), 1_000);
    let times: Vec<u64> = seconds
        .iter()
        .map(|second| second.derive(&mut domain).unwrap().blocks[&RollupId(A)].block.header.timestamp - later_s())
        .collect();
    assert_eq!(times, [1, 2, 3]);
}

const fn later_s() -> u64 {
    START_S + 100
}

#[test]
fn what_is_no_second_changes_nothing() {
    let mut domain = by_the_second();
    let mut seconds = by_second([1, 2, 3, 4].map(|height| one_block(height, 0, height - 1)), 400);
    let second = seconds.pop().unwrap();
    let first = seconds.pop().unwrap();
    first.derive(&mut domain).unwrap();
    let before = domain.clone();
    let closing = second.closing.clone();
    let content = |(outcome, given): &(Outcome, Given)| (outcome.clone(), given.clone());
    let mut refused = |heights: Vec<(Outcome, Given)>, closing: &Outcome, expected: OutOfOrder| {
        let error = Second { heights, closing: closing.clone() }.derive(&mut domain).map(|_| ()).unwrap_err();
        assert_eq!(error, expected);
        assert_same(&domain, &before);
    };
    let all: Vec<_> = second.heights.iter().map(content).collect();
    refused(vec![], &closing, OutOfOrder::Empty(closing.height));
    refused(vec![all[1].clone(), all[0].clone()], &closing, OutOfOrder::Height { given: Height(3), last: Height(4) });
    refused(vec![all[0].clone(), all[0].clone()], &closing, OutOfOrder::Height { given: Height(3), last: Height(3) });
    refused(all.clone(), &all[1].0, OutOfOrder::Closing(Height(4)));
    refused(all.clone(), &outcome(5, all[1].0.timestamp.0 + 1), OutOfOrder::Closing(Height(5)));
    let late = (outcome(4, all[1].0.timestamp.0 + 1_000), all[1].1.clone());
    refused(vec![all[0].clone(), late], &closing, OutOfOrder::Second(Height(4)));
    let old = (first.heights[1].0.clone(), all[0].1.clone());
    refused(vec![old], &closing, OutOfOrder::Height { given: Height(2), last: Height(2) });
    let foreign = (all[1].0.clone(), Given::new(&[vec![nothing(77)]]));
    refused(vec![all[0].clone(), foreign], &closing, OutOfOrder::Rollup(RollupId(77)));
    let by_height = Content { outcome: &all[0].0, lanes: &all[0].1.lanes, bundles: &[] };
    assert_eq!(domain.derive(&by_height).map(|_| ()), Err(OutOfOrder::Blocks(BlockTimes::Second)));
    let mut other = domain_of([genesis(A)]);
    assert_eq!(first.derive(&mut other).map(|_| ()), Err(OutOfOrder::Blocks(BlockTimes::Height)));
    second.derive(&mut domain).unwrap();
}

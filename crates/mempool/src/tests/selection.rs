//! What goes into payloads: oldest first, fair, within the budget.

use super::{at, bundle, carrier, commitment, entry, ids, manifest, pool, roomy};
use crate::{Entry, Mempool, Reveal, Source};
use chorale_types::{Height, RollupId};
use proptest::{collection::vec, prelude::*};
use std::collections::BTreeMap;

fn submit(pool: &mut Mempool, entry: Entry) -> Entry {
    pool.submit(entry.clone(), Source::Local, at(0)).unwrap();
    entry
}

#[test]
fn a_rollup_gets_its_entries_in_the_order_they_came() {
    let mut pool = pool(roomy());
    let all: Vec<Entry> = (0..50).map(|number| submit(&mut pool, entry(1, number, 100))).collect();
    assert_eq!(pool.select(2_000, 100, Height(1), |_| false), all[..20]);
    assert_eq!(pool.select(10_000, 7, Height(1), |_| false), all[..7]);
    let excluded = all[0].id();
    assert_eq!(pool.select(10_000, 3, Height(1), |entry| entry.id() == excluded), all[1..4]);
}

#[test]
fn what_a_payload_in_flight_carries_or_is_too_late_is_left_out() {
    let mut pool = pool(roomy());
    let carried = submit(&mut pool, entry(1, 1, 100));
    let late = submit(&mut pool, bundle(&[(1, 20), (2, 50)], 5, 1));
    let other = submit(&mut pool, entry(1, 2, 100));
    pool.manifest_seen(commitment(1), &manifest(&[carried]), carrier(1), at(0));
    assert_eq!(pool.select(10_000, 10, Height(5), |_| false), [other.clone(), late]);
    assert_eq!(pool.select(10_000, 10, Height(6), |_| false), [other]);
}

#[test]
fn what_waited_for_more_than_two_heights_is_overdue() {
    let mut pool = pool(roomy());
    let waiting = submit(&mut pool, entry(2, 2, 100));
    assert!(pool.overdue(10_000, 10, Height(2), Height(3), |_| false, |_| false).is_empty());
    pool.revealed(&Reveal { height: Height(2), payloads: &[], included: &[], skipped: &[] }, at(0));
    submit(&mut pool, entry(1, 3, 100));
    let overdue = pool.overdue(10_000, 10, Height(3), Height(4), |_| false, |_| false);
    assert_eq!(overdue, [waiting], "and not what came later");
}

#[test]
fn the_claim_of_a_payload_that_no_header_references_counts_for_a_bounded_time() {
    let mut config = roomy();
    config.claimed_heights = 3;
    let mut pool = pool(config);
    let claimed = submit(&mut pool, entry(1, 1, 100));
    for (revealed, is_overdue) in [(3, false), (5, false), (6, true), (60, true)] {
        let overdue = pool.overdue(10_000, 10, Height(revealed), Height(revealed + 1), |_| false, |_| true);
        assert_eq!(overdue.contains(&claimed), is_overdue, "{revealed} heights after it came");
    }
}

#[test]
fn a_claim_keeps_an_entry_from_being_overdue_until_it_proves_false() {
    let mut pool = pool(roomy());
    let claimed = submit(&mut pool, entry(1, 1, 100));
    pool.manifest_seen(commitment(1), &manifest(&[claimed.clone()]), carrier(1), at(0));
    assert!(pool.overdue(10_000, 10, Height(9), Height(10), |_| false, |_| false).is_empty(), "it is on its way");
    pool.revealed(&Reveal { height: Height(9), payloads: &[commitment(1)], included: &[], skipped: &[] }, at(0));
    pool.manifest_seen(commitment(2), &manifest(&[claimed.clone()]), carrier(2), at(0));
    assert!(pool.select(10_000, 10, Height(10), |_| false).is_empty());
    assert_eq!(
        pool.overdue(10_000, 10, Height(9), Height(10), |_| false, |_| false),
        [claimed],
        "nobody lies about it twice"
    );
}

#[test]
fn an_entry_larger_than_the_budget_blocks_nobody() {
    let mut pool = pool(roomy());
    submit(&mut pool, entry(1, 1, 5_000));
    let small = submit(&mut pool, entry(1, 2, 100));
    assert_eq!(pool.select(1_000, 10, Height(1), |_| false), [small]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However many entries of whatever size one rollup has, what two waiting rollups get over several payloads differs
    /// by less than two quanta and the largest entry.
    #[test]
    fn rollups_that_wait_get_the_same(
        sizes in vec((1_u64..4, 60_usize..3_000), 100..400),
        budgets in vec(5_000_u64..60_000, 1..6),
    ) {
        let mut config = roomy();
        config.quantum_bytes = 2_000;
        let mut pool = pool(config);
        for (number, &(rollup, bytes)) in (0..).zip(&sizes) {
            submit(&mut pool, entry(rollup, number, bytes));
        }
        let mut given: BTreeMap<RollupId, u64> = (1..4).map(|rollup| (RollupId(rollup), 0)).collect();
        for (number, budget) in (0..).zip(budgets) {
            let picked = pool.select(budget, usize::MAX, Height(1), |_| false);
            let bytes: u64 = picked.iter().map(Entry::bytes).sum();
            prop_assert!(bytes <= budget);
            for entry in &picked {
                *given.entry(entry.home()).or_default() += entry.bytes();
            }
            pool.manifest_seen(commitment(number), &manifest(&picked), carrier(1), at(0));
            let waiting = |rollup: &RollupId| pool.store.queues().get(rollup).is_some_and(|it| it.pending > 0);
            let of_waiting: Vec<u64> = given.iter().filter(|(rollup, _)| waiting(rollup)).map(|(_, it)| *it).collect();
            if of_waiting.len() < 3 {
                return Ok(());
            }
            let (most, least) = (of_waiting.iter().max().unwrap(), of_waiting.iter().min().unwrap());
            prop_assert!(most - least < 2 * 2_000 + 3_000 * (number + 2), "{given:?} after {} payloads", number + 1);
        }
    }

    /// Nothing is selected twice, and everything is selected in the end.
    #[test]
    fn everything_is_selected_once(sizes in vec((1_u64..4, 60_usize..3_000), 1..200), budget in 3_000_u64..20_000) {
        let mut pool = pool(roomy());
        let all: Vec<Entry> =
            (0..).zip(sizes).map(|(number, (rollup, bytes))| submit(&mut pool, entry(rollup, number, bytes))).collect();
        let mut selected = Vec::new();
        for number in 0.. {
            let picked = pool.select(budget, 1_000, Height(1), |_| false);
            if picked.is_empty() {
                break;
            }
            pool.manifest_seen(commitment(number), &manifest(&picked), carrier(1), at(0));
            selected.extend(ids(&picked));
        }
        prop_assert_eq!(selected.len(), all.len());
        let (mut selected, mut all) = (selected, ids(&all));
        selected.sort();
        all.sort();
        prop_assert_eq!(selected, all);
    }
}

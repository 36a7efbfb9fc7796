//! Each rule of settlement, and its edge.

use super::*;
use crate::{SettleError, SkipReason};
use chorale_types::{PayloadStatus, UnitId, limits::BUNDLE_LIFETIME_HEIGHTS_MAX};

/// What a rollup is given, as text.
fn lane(settled: &Settled, rollup: u64) -> Vec<String> {
    let items = settled.lanes.get(&RollupId(rollup)).map(|lane| lane.items().to_vec()).unwrap_or_default();
    items.iter().map(|item| String::from_utf8(item.data.to_vec()).unwrap()).collect()
}

fn reasons(settled: &Settled) -> Vec<SkipReason> {
    settled.skipped.iter().map(|skipped| skipped.reason).collect()
}

#[test]
fn the_second_payload_comes_after_the_first() {
    let mut ledger = Ledger::new(config());
    let first = content(vec![single(1, "a"), single(2, "b"), single(1, "c")]);
    let second = content(vec![single(1, "d"), single(1, "a")]);
    let settled = ledger.settle(&header(1, &[1, 2]), vec![first, second], None).unwrap();
    assert_eq!(lane(&settled, 1), ["a", "c", "d"]);
    assert_eq!(lane(&settled, 2), ["b"]);
    assert_eq!(reasons(&settled), [SkipReason::Repeated { first: Height(1) }]);
    let places: Vec<(u8, u32)> = settled.included.iter().map(|unit| (unit.payload, unit.unit)).collect();
    assert_eq!(places, [(0, 0), (0, 1), (0, 2), (1, 0)], "in the global order");
}

#[test]
fn repeats_are_left_out_within_the_window_and_not_after() {
    let mut ledger = Ledger::new(config());
    settle(&mut ledger, vec![single(1, "a")]);
    idle_until(&mut ledger, 4);
    let repeated = settle(&mut ledger, vec![single(1, "a")]);
    assert_eq!(repeated.outcome.height, Height(5), "four heights after the first");
    assert_eq!(reasons(&repeated), [SkipReason::Repeated { first: Height(1) }]);
    assert!(repeated.lanes.is_empty(), "a lane is never empty");
    let again = settle(&mut ledger, vec![single(1, "a")]);
    assert_eq!(lane(&again, 1), ["a"], "five heights after the first");
}

#[test]
fn a_repeat_left_out_does_not_prolong_the_window() {
    let mut ledger = Ledger::new(config());
    settle(&mut ledger, vec![single(1, "a")]);
    idle_until(&mut ledger, 2);
    settle(&mut ledger, vec![single(1, "a")]);
    idle_until(&mut ledger, 5);
    assert_eq!(lane(&settle(&mut ledger, vec![single(1, "a")]), 1), ["a"]);
}

#[test]
fn rollups_with_nonces_skip_repeats_of_other_heights_themselves() {
    let mut ledger = Ledger::new(config());
    let settled = settle(&mut ledger, vec![single(4, "a"), single(4, "a")]);
    assert_eq!(lane(&settled, 4), ["a"], "still once at one height");
    assert_eq!(lane(&settle(&mut ledger, vec![single(4, "a")]), 4), ["a"]);
}

#[test]
fn equal_data_for_two_rollups_is_no_repeat() {
    let mut ledger = Ledger::new(config());
    let settled = settle(&mut ledger, vec![single(1, "a"), single(2, "a")]);
    assert_eq!((lane(&settled, 1).len(), lane(&settled, 2).len()), (1, 1));
}

#[test]
fn a_bundle_is_in_whole_or_not_at_all() {
    let mut ledger = Ledger::new(config());
    let legs = || vec![transaction(1, "x"), transaction(2, "y"), transaction(1, "z")];
    let settled = settle(&mut ledger, vec![single(1, "a"), bundle(9, legs())]);
    assert_eq!((lane(&settled, 1), lane(&settled, 2)), (vec!["a".into(), "x".into(), "z".into()], vec!["y".into()]));
    let stranger = vec![transaction(1, "x"), transaction(77, "y")];
    let refused = settle(&mut ledger, vec![bundle(9, stranger)]);
    assert!(refused.lanes.is_empty());
    assert_eq!(reasons(&refused), [SkipReason::UnknownRollup(RollupId(77))]);
}

#[test]
fn legs_stand_next_to_each_other() {
    let mut ledger = Ledger::new(config());
    let legs = vec![transaction(1, "x"), transaction(2, "y")];
    let settled = settle(&mut ledger, vec![single(2, "a"), bundle(9, legs), single(1, "b")]);
    let mut items: Vec<_> = settled.lanes.values().flat_map(|lane| lane.items()).collect();
    items.sort_by_key(|item| item.place.order());
    let order: Vec<&[u8]> = items.iter().map(|item| &item.data[..]).collect();
    assert_eq!(order, [&b"a"[..], b"x", b"y", b"b"], "lanes merge to the global order");
}

#[test]
fn a_bundle_is_burnt_once_ordered_also_far_outside_the_window() {
    let mut ledger = Ledger::new(config());
    let unit = || bundle(30, vec![transaction(1, "x"), transaction(2, "y")]);
    settle(&mut ledger, vec![unit()]);
    idle_until(&mut ledger, 28);
    let again = settle(&mut ledger, vec![unit()]);
    assert_eq!(reasons(&again), [SkipReason::Burnt { first: Height(1) }]);
    let last = settle(&mut ledger, vec![unit()]);
    assert_eq!((last.outcome.height, reasons(&last)), (Height(30), vec![SkipReason::Burnt { first: Height(1) }]));
    let late = settle(&mut ledger, vec![unit()]);
    assert_eq!(reasons(&late), [SkipReason::Expired { expiry: Height(30) }]);
}

#[test]
fn a_bundle_may_be_ordered_up_to_its_expiry_and_not_too_early() {
    let unit = |expiry| bundle(expiry, vec![transaction(1, "x")]);
    let mut ledger = Ledger::new(config());
    idle_until(&mut ledger, 4);
    let mut later = ledger.clone();
    assert!(settle(&mut later, vec![unit(5)]).skipped.is_empty());
    let mut later = ledger.clone();
    assert_eq!(reasons(&settle(&mut later, vec![unit(4)])), [SkipReason::Expired { expiry: Height(4) }]);
    let expiry_max = 5 + BUNDLE_LIFETIME_HEIGHTS_MAX;
    let mut later = ledger.clone();
    assert!(settle(&mut later, vec![unit(expiry_max)]).skipped.is_empty());
    let (expiry, expiry_max) = (Height(expiry_max + 1), Height(expiry_max));
    let early = settle(&mut ledger, vec![unit(expiry.0)]);
    assert_eq!(reasons(&early), [SkipReason::ExpiryTooFar { expiry, expiry_max }]);
}

#[test]
fn a_copy_of_a_leg_neither_counts_as_the_leg_nor_keeps_the_bundle_out() {
    let mut ledger = Ledger::new(config());
    let leg = || transaction(1, "x");
    let settled = settle(&mut ledger, vec![single(1, "x"), bundle(9, vec![leg(), leg()]), single(1, "x")]);
    assert_eq!(lane(&settled, 1), ["x", "x", "x"]);
    assert_eq!(settled.included.len(), 2);
    assert_eq!(reasons(&settled), [SkipReason::Repeated { first: Height(1) }], "of the single one");
}

#[test]
fn a_second_reference_is_void() {
    let mut ledger = Ledger::new(config());
    let units = || vec![single(1, "a")];
    let first = ledger.settle(&header(1, &[7, 7]), vec![content(units()), content(units())], None).unwrap();
    assert_eq!(first.outcome.payloads[..], [PayloadStatus::Opened, PayloadStatus::Void]);
    assert!(first.skipped.is_empty(), "what is void says nothing about its units");
    idle_until(&mut ledger, 8);
    let again = ledger.settle(&header(9, &[7]), vec![content(units())], None).unwrap();
    assert_eq!(again.outcome.payloads[..], [PayloadStatus::Void]);
    assert!(again.lanes.is_empty());
}

#[test]
fn a_malformed_payload_is_empty_and_its_commitment_spent() {
    let mut ledger = Ledger::new(config());
    let settled = ledger.settle(&header(1, &[7, 8]), vec![Content::Malformed, content(vec![single(1, "a")])], None);
    let settled = settled.unwrap();
    assert_eq!(settled.outcome.payloads[..], [PayloadStatus::Malformed, PayloadStatus::Opened]);
    assert_eq!(settled.included[0].payload, 1);
    let again = ledger.settle(&header(2, &[7]), vec![Content::Malformed], None).unwrap();
    assert_eq!(again.outcome.payloads[..], [PayloadStatus::Void]);
}

#[test]
fn references_are_forgotten_when_no_header_can_repeat_them() {
    let mut ledger = Ledger::new(config());
    let fresh = ledger.clone();
    ledger.settle(&header(1, &[7]), vec![content(Vec::new())], None).unwrap();
    assert_ne!(ledger.references, fresh.references);
    idle_until(&mut ledger, 12);
    assert_eq!(ledger.references, fresh.references, "expired");
    ledger.settle(&header(13, &[8]), vec![content(Vec::new())], None).unwrap();
    let next_epoch = Header { epoch: Epoch(1), ..header(14, &[8]) };
    let settled = ledger.settle(&next_epoch, vec![content(Vec::new())], None).unwrap();
    assert_eq!(settled.outcome.payloads[..], [PayloadStatus::Opened], "of another epoch, so another payload");
}

#[test]
fn chain_time_rises_and_nobody_pushes_it_far() {
    let mut ledger = Ledger::new(config());
    let mut time = |height, claimed| {
        let header = Header { timestamp: TimestampMs(claimed), ..header(height, &[]) };
        ledger.settle(&header, Vec::new(), None).unwrap().outcome.timestamp.0 - START
    };
    assert_eq!(time(1, START + 100), 100);
    assert_eq!(time(2, START + 100), 101, "rises");
    assert_eq!(time(3, 0), 102, "never falls");
    assert_eq!(time(4, u64::MAX), 602, "one step at most");
    assert_eq!(time(5, START + 650), 650, "and is right again at once");
}

#[test]
fn time_at_its_end_does_not_wrap() {
    let mut ledger = Ledger::new(Config { start: TimestampMs(u64::MAX), ..config() });
    let settled = ledger.settle(&header(1, &[]), Vec::new(), None).unwrap();
    assert_eq!(settled.outcome.timestamp, TimestampMs(u64::MAX));
}

#[test]
fn lanes_name_the_height_before() {
    let mut ledger = Ledger::new(config());
    let previous = |settled: &Settled| settled.lane_tree.prove(RollupId(1)).unwrap().leaf.previous;
    let registered = |settled: &Settled| settled.registry_tree.prove(RollupId(1)).unwrap().leaf.last;
    let first = settle(&mut ledger, vec![single(1, "a")]);
    assert_eq!((previous(&first), registered(&first)), (Height(0), Height(1)));
    let other = settle(&mut ledger, vec![single(2, "a"), single(1, "a")]);
    assert!(other.lane_tree.prove(RollupId(1)).is_none(), "nothing was left of it");
    assert_eq!(registered(&other), Height(1));
    idle_until(&mut ledger, 5);
    let second = settle(&mut ledger, vec![single(1, "b")]);
    assert_eq!((previous(&second), registered(&second)), (Height(1), Height(6)));
}

#[test]
fn proofs_of_a_settled_height_hold() {
    let mut ledger = Ledger::new(config());
    let unit = bundle(9, vec![transaction(1, "x"), transaction(3, "y")]);
    let settled = settle(&mut ledger, vec![single(1, "a"), unit.clone()]);
    let lane = &settled.lanes[&RollupId(1)];
    let UnitId::Transaction(id) = single(1, "a").id() else { unreachable!() };
    chorale_types::prove_transaction(&settled.lane_tree, lane, &id).unwrap().verify(&settled.outcome).unwrap();
    let bundle = &settled.bundles[0];
    assert_eq!(UnitId::Bundle(bundle.id), unit.id());
    let proof = chorale_types::prove_bundle(&settled.lane_tree, &settled.lanes, bundle).unwrap();
    proof.verify(&settled.outcome).unwrap();
    assert_eq!(proof.id(), bundle.id);
    settled.lane_tree.prove_absence(RollupId(2)).unwrap().verify(&settled.outcome).unwrap();
    settled.registry_tree.prove(RollupId(2)).unwrap().verify(&settled.outcome).unwrap();
}

#[test]
fn the_closing_outcome_names_the_next_validators() {
    let mut ledger = Ledger::new(config());
    let next = tagged_hash("test", &[b"next"]);
    let mut other = ledger.clone();
    let closing = ledger.settle(&header(1, &[]), Vec::new(), Some(next)).unwrap().outcome;
    let plain = other.settle(&header(1, &[]), Vec::new(), None).unwrap().outcome;
    assert_eq!(closing.next_validators, Some(next));
    assert_ne!(closing.root(), plain.root());
}

#[test]
fn what_cannot_be_settled_now_changes_nothing() {
    let mut ledger = Ledger::new(config());
    settle(&mut ledger, vec![single(1, "a")]);
    let before = ledger.clone();
    let mut refused = |header: &Header, contents| ledger.settle(header, contents, None).unwrap_err();
    assert!(matches!(refused(&header(1, &[]), vec![]), SettleError::Height { .. }));
    assert!(matches!(refused(&header(3, &[]), vec![]), SettleError::Height { .. }));
    assert!(matches!(refused(&header(2, &[3]), vec![]), SettleError::Contents { expected: 1, actual: 0 }));
    let other = Header { chain: ChainId(tagged_hash("test", &[b"other"])), ..header(2, &[]) };
    assert!(matches!(refused(&other, vec![]), SettleError::Chain { .. }));
    assert_eq!(ledger, before);
}

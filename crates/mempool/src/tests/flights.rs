//! Manifests are claims: they mark entries, and nothing is lost when they lie or are dropped.

use super::{at, bundle, carrier, commitment, entry, manifest, pool, roomy, statuses, with_peers};
use crate::{Config, Entry, Mempool, Outcome, PeerId, Reveal, SkipReason, Skipped, Source, Status};
use chorale_types::{Height, RollupId, UnitId, View};

fn submitted(pool: &mut Mempool, entry: Entry) -> Entry {
    pool.submit(entry.clone(), Source::Local, at(0)).unwrap();
    let _ = pool.drain_outputs();
    entry
}

fn reveal(pool: &mut Mempool, height: u64, payload: u64, included: &[UnitId], skipped: &[(UnitId, SkipReason)]) {
    let payloads = [commitment(payload)];
    pool.revealed(&Reveal { height: Height(height), payloads: &payloads, included, skipped }, at(0));
}

#[test]
fn it_is_known_which_block_carries_what_is_in_flight() {
    let mut pool = pool(roomy());
    let one = submitted(&mut pool, entry(1, 1, 100));
    let id = one.id();
    assert_eq!(pool.carrier(&id), None, "pending");
    pool.manifest_seen(commitment(1), &manifest(&[one.clone()]), carrier(11), at(0));
    pool.manifest_seen(commitment(2), &manifest(&[one]), carrier(12), at(0));
    pool.certified(&commitment(2), at(0));
    assert_eq!(pool.carrier(&id), Some(carrier(12)), "the one that is furthest");
    pool.manifest_dropped(&commitment(2), at(0));
    assert_eq!(pool.carrier(&id), Some(carrier(11)));
    pool.manifest_dropped(&commitment(1), at(0));
    assert_eq!(pool.carrier(&id), None);
}

#[test]
fn statuses_follow_the_payload_to_its_end() {
    let mut pool = pool(roomy());
    let one = submitted(&mut pool, entry(1, 1, 100));
    let payload = commitment(1);
    assert!(pool.manifest_seen(payload, &manifest(&[one.clone()]), carrier(1), at(0)));
    assert!(pool.certified(&payload, at(0)));
    assert!(pool.committed(&payload, at(0)));
    reveal(&mut pool, 1, 1, &[one.id()], &[]);
    let seen: Vec<Status> = statuses(&pool.drain_outputs()).into_iter().map(|(_, status)| status).collect();
    assert_eq!(seen[..3], [Status::Proposed, Status::Certified, Status::Committed]);
    assert!(matches!(&seen[3..], [Status::Ended(ended)] if ended.outcome == Outcome::Revealed(Height(1))));
    assert_eq!(pool.figures().payloads_in_flight, 0);
}

/// On a rollup with nonces a transaction that came before the one before it has no effect, and who sent it may send it again:
/// through the same node, soon. Others hear of it only by the order, or pools would hand it to each other for ever.
#[test]
fn what_was_ordered_may_be_submitted_again_soon_only_where_there_are_nonces_and_by_who_has_it() {
    let config = Config { nonces: [RollupId(1)].into(), ..roomy() };
    let (repeat, reorder) = (config.repeat_heights, config.reorder_heights);
    let mut pool = with_peers(config, [1]);
    let [nonces, others] = [entry(1, 1, 100), entry(2, 1, 100)].map(|it| submitted(&mut pool, it));
    let both = bundle(&[(1, 50), (2, 50)], 2_000, 1);
    reveal(&mut pool, 1, 1, &[nonces.id(), others.id(), both.id()], &[]);
    let tries = |pool: &mut Mempool, height: u64| {
        reveal(pool, height, height, &[], &[]);
        let entries = [(&nonces, Source::Peer(PeerId(1))), (&others, Source::Local), (&both, Source::Local)];
        let refused = entries.map(|(entry, source)| pool.submit(entry.clone(), source, at(0)).is_err());
        assert_eq!(refused, [true; 3], "height {height}");
        pool.submit(nonces.clone(), Source::Local, at(0)).is_ok()
    };
    assert!(!tries(&mut pool, 1 + repeat));
    assert!(tries(&mut pool, 2 + repeat));
    assert_eq!(pool.status(&nonces.id()), Some(Status::Pending));
    reveal(&mut pool, 2 + reorder, 9_999, &[], &[]);
    assert!(pool.submit(others, Source::Local, at(0)).is_ok(), "after long everything may come again");
}

#[test]
fn an_entry_that_a_manifest_lied_about_waits_again_in_its_old_place() {
    let mut pool = pool(roomy());
    let first = submitted(&mut pool, entry(1, 1, 100));
    let second = submitted(&mut pool, entry(1, 2, 100));
    pool.manifest_seen(commitment(1), &manifest(&[first.clone()]), carrier(1), at(0));
    pool.committed(&commitment(1), at(0));
    assert_eq!(pool.select(1_000, 10, Height(1), |_| false), [second.clone()]);
    reveal(&mut pool, 1, 1, &[], &[]);
    assert_eq!(pool.status(&first.id()), Some(Status::Pending));
    assert_eq!(pool.select(1_000, 10, Height(1), |_| false), [first, second]);
    pool.store.check();
}

#[test]
fn an_entry_in_two_payloads_has_the_status_of_the_further_one() {
    let mut pool = pool(roomy());
    let one = submitted(&mut pool, entry(1, 1, 100));
    pool.manifest_seen(commitment(1), &manifest(&[one.clone()]), carrier(1), at(0));
    pool.manifest_seen(commitment(2), &manifest(&[one.clone()]), carrier(2), at(0));
    pool.certified(&commitment(1), at(0));
    assert_eq!(pool.status(&one.id()), Some(Status::Certified));
    pool.manifest_dropped(&commitment(1), at(0));
    assert_eq!(pool.status(&one.id()), Some(Status::Proposed));
    pool.manifest_dropped(&commitment(2), at(0));
    assert_eq!(pool.status(&one.id()), Some(Status::Pending));
}

#[test]
fn what_arrives_after_the_manifest_is_marked_when_it_arrives() {
    let mut pool = pool(roomy());
    let late = bundle(&[(1, 50), (2, 80)], 100, 1);
    pool.manifest_seen(commitment(1), &manifest(&[entry(1, 1, 100), late.clone()]), carrier(1), at(0));
    pool.certified(&commitment(1), at(0));
    pool.submit(late.clone(), Source::Local, at(0)).unwrap();
    assert_eq!(pool.status(&late.id()), Some(Status::Certified));
    assert!(pool.select(1_000, 10, Height(1), |_| false).is_empty());
}

#[test]
fn payloads_that_lost_are_dropped_by_view_and_at_the_end_of_the_epoch() {
    let mut pool = pool(roomy());
    let entries: Vec<Entry> = (0..3).map(|number| submitted(&mut pool, entry(1, number, 100))).collect();
    for (view, one) in (1..).zip(&entries) {
        pool.manifest_seen(commitment(view), &manifest(std::slice::from_ref(one)), carrier(view), at(0));
    }
    pool.committed(&commitment(2), at(0));
    pool.manifests_dropped_below(View(2), at(0));
    let status = |pool: &Mempool, number: usize| pool.status(&entries[number].id()).unwrap();
    assert_eq!([0, 1, 2].map(|number| status(&pool, number)), [Status::Pending, Status::Committed, Status::Proposed]);
    pool.epoch_ended(at(0));
    assert_eq!([0, 1, 2].map(|number| status(&pool, number)), [Status::Pending, Status::Committed, Status::Pending]);
}

#[test]
fn the_lowest_proposed_view_makes_room_for_a_later_payload() {
    let mut config = roomy();
    config.payloads_max = 2;
    let mut pool = pool(config);
    let entries: Vec<Entry> = (0..3).map(|number| submitted(&mut pool, entry(1, number, 100))).collect();
    for view in 1..=2 {
        let of_view = manifest(&[entries[usize::try_from(view).unwrap() - 1].clone()]);
        assert!(pool.manifest_seen(commitment(view), &of_view, carrier(view), at(0)));
        assert!(!pool.manifest_seen(commitment(view), &of_view, carrier(view), at(0)), "known already");
    }
    let third = manifest(&[entries[2].clone()]);
    assert!(!pool.manifest_seen(commitment(3), &third, carrier(1), at(0)), "an old view displaces nothing");
    pool.committed(&commitment(1), at(0));
    assert!(pool.manifest_seen(commitment(3), &third, carrier(3), at(0)));
    assert_eq!(pool.status(&entries[0].id()), Some(Status::Committed));
    assert_eq!(pool.status(&entries[1].id()), Some(Status::Pending));
}

#[test]
fn the_order_is_the_last_word() {
    let mut pool = pool(roomy());
    // Never pooled here, ordered elsewhere: it is known from then on, and refused.
    let foreign = entry(1, 1, 100);
    reveal(&mut pool, 1, 1, &[foreign.id()], &[]);
    assert!(pool.submit(foreign.clone(), Source::Local, at(0)).is_err());
    // A repeat does not undo it.
    reveal(&mut pool, 2, 2, &[], &[(foreign.id(), SkipReason::Duplicate)]);
    let outcome = |pool: &Mempool, id: &UnitId| match pool.status(id) {
        Some(Status::Ended(ended)) => ended.outcome,
        other => panic!("{other:?}"),
    };
    assert_eq!(outcome(&pool, &foreign.id()), Outcome::Revealed(Height(1)));
    // Expired here, and ordered all the same.
    let expired = submitted(&mut pool, entry(1, 2, 100));
    pool.tick(at(200_000));
    assert!(matches!(outcome(&pool, &expired.id()), Outcome::Expired(_)));
    reveal(&mut pool, 3, 3, &[expired.id()], &[]);
    assert_eq!(outcome(&pool, &expired.id()), Outcome::Revealed(Height(3)));
    // Without effect: with the reason.
    let void = submitted(&mut pool, entry(1, 3, 100));
    reveal(&mut pool, 4, 4, &[], &[(void.id(), SkipReason::Void)]);
    let skipped = Skipped { height: Height(4), reason: SkipReason::Void };
    assert_eq!(outcome(&pool, &void.id()), Outcome::Skipped(skipped));
}

#[test]
fn what_was_ordered_long_ago_may_be_submitted_again() {
    let mut pool = pool(roomy());
    let one = submitted(&mut pool, entry(1, 1, 100));
    reveal(&mut pool, 1, 1, &[one.id()], &[]);
    reveal(&mut pool, 1_025, 2, &[], &[]);
    assert!(pool.submit(one.clone(), Source::Local, at(0)).is_err());
    reveal(&mut pool, 1_026, 3, &[], &[]);
    pool.submit(one.clone(), Source::Local, at(0)).unwrap();
    assert_eq!(pool.status(&one.id()), Some(Status::Pending));
    // If the rollup skips repeats after all, the first time counts.
    reveal(&mut pool, 1_027, 4, &[], &[(one.id(), SkipReason::Duplicate)]);
    let Some(Status::Ended(ended)) = pool.status(&one.id()) else { panic!("it ended") };
    assert_eq!(ended.outcome, Outcome::Revealed(Height(1)));
}

#[test]
fn entries_are_found_deep_in_queues_and_across_rollups() {
    let mut pool = pool(roomy());
    let mut carried = Vec::new();
    for number in 0..200 {
        let one = submitted(&mut pool, entry(1 + number % 3, number, 100));
        if number % 7 == 0 {
            carried.push(one);
        }
    }
    for salt in 0..5 {
        carried.push(submitted(&mut pool, bundle(&[(1, 20), (2, 200), (3, 30)], 100, salt)));
    }
    pool.manifest_seen(commitment(1), &manifest(&carried), carrier(1), at(0));
    for one in &carried {
        assert_eq!(pool.status(&one.id()), Some(Status::Proposed));
    }
    assert_eq!(pool.waiting(), 205 - carried.len());
    pool.store.check();
}

//! Accepted entries survive a restart, and those that ended do not come back.

use super::{at, bundle, carrier, commitment, entry, journal, manifest, pool, roomy, small};
use crate::{Config, Entry, EvictReason, Mempool, Outcome, PeerId, Record, Reveal, Source, Status};
use chorale_types::Height;

#[test]
fn what_peers_bring_pushes_out_no_reason_that_users_ask_for() {
    let mut pool = pool(Config { ended_entries_max: 4, ..roomy() });
    let expiring = |salt| bundle(&[(1, 10)], 1, salt);
    let own = expiring(0);
    pool.submit(own.clone(), Source::Local, at(0)).unwrap();
    for salt in 1..20 {
        pool.submit(expiring(salt), Source::Peer(PeerId(1)), at(0)).unwrap();
    }
    pool.revealed(&Reveal { height: Height(1), payloads: &[], included: &[], skipped: &[] }, at(1));
    assert!(matches!(pool.status(&own.id()), Some(Status::Ended(_))), "{:?}", pool.status(&own.id()));
    assert!(pool.snapshot().iter().any(|record| matches!(record, Record::Remove(it) if it.id == own.id())));
}

fn restored(config: Config, records: impl IntoIterator<Item = Record>) -> Mempool {
    let mut pool = pool(config);
    pool.restore(records, at(10_000));
    pool.store.check();
    pool
}

#[test]
fn what_was_accepted_waits_in_its_old_order_after_a_restart() {
    let mut before = pool(roomy());
    let all: Vec<Entry> = (0..20).map(|number| entry(1, number, 100)).chain([bundle(&[(1, 50)], 90, 7)]).collect();
    assert!(before.submit_batch(all.clone(), Source::Local, at(0)).iter().all(Result::is_ok));
    before.submit(entry(2, 1, 100), Source::Peer(PeerId(1)), at(0)).unwrap();
    before.manifest_seen(commitment(1), &manifest(&all[..2]), carrier(1), at(0));
    let included = [all[0].id()];
    let payloads = [commitment(1)];
    before.revealed(&Reveal { height: Height(1), payloads: &payloads, included: &included, skipped: &[] }, at(1));
    let records = journal(&before.drain_outputs());

    for mut after in [restored(roomy(), records.clone()), restored(roomy(), before.snapshot())] {
        assert_eq!(after.select(100_000, 100, Height(2), |_| false), all[1..]);
        assert!(journal(&after.drain_outputs()).is_empty(), "nothing new happened");
    }
    let after = restored(roomy(), records);
    let Some(Status::Ended(ended)) = after.status(&all[0].id()) else { panic!("it ended") };
    assert_eq!(ended.outcome, Outcome::Revealed(Height(1)));
}

#[test]
fn reasons_survive_a_restart_and_a_new_section_of_the_journal() {
    let mut before = pool(roomy());
    let expired = entry(1, 1, 100);
    before.submit(expired.clone(), Source::Local, at(0)).unwrap();
    before.tick(at(200_000));
    let status = before.status(&expired.id());
    assert!(matches!(status, Some(Status::Ended(_))));
    assert_eq!(restored(roomy(), journal(&before.drain_outputs())).status(&expired.id()), status);
    assert_eq!(restored(roomy(), before.snapshot()).status(&expired.id()), status);
}

#[test]
fn an_expired_entry_that_came_back_is_pooled_after_a_restart() {
    let mut before = pool(roomy());
    let again = entry(1, 1, 100);
    before.submit(again.clone(), Source::Local, at(0)).unwrap();
    before.tick(at(200_000));
    before.submit(again.clone(), Source::Local, at(200_000)).unwrap();
    for records in [journal(&before.drain_outputs()), before.snapshot()] {
        assert_eq!(restored(roomy(), records).status(&again.id()), Some(Status::Pending));
    }
}

#[test]
fn a_crash_between_two_sections_of_the_journal_loses_and_doubles_nothing() {
    let mut before = pool(roomy());
    let all: Vec<Entry> = (0..10).map(|number| entry(1, number, 100)).collect();
    before.submit_batch(all.clone(), Source::Local, at(0));
    let records = journal(&before.drain_outputs());
    let snapshot = before.snapshot();
    for written in 0..=snapshot.len() {
        let mut after = restored(roomy(), records.iter().chain(&snapshot[..written]).cloned());
        assert_eq!(after.select(100_000, 100, Height(1), |_| false), all);
    }
}

#[test]
fn what_a_smaller_pool_has_no_room_for_ends_with_that_reason() {
    let mut before = pool(roomy());
    let all: Vec<Entry> = (0..40).map(|number| entry(1, number, 100)).collect();
    before.submit_batch(all.clone(), Source::Local, at(0));
    let mut after = restored(small(), journal(&before.drain_outputs()));
    assert_eq!(after.figures().total.entries, 30);
    for (number, one) in all.iter().enumerate() {
        match after.status(&one.id()) {
            Some(Status::Pending) => assert!(number < 30),
            Some(Status::Ended(ended)) => assert_eq!(ended.outcome, Outcome::Evicted(EvictReason::PoolShrunk(3_000))),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(journal(&after.drain_outputs()).len(), 10);
}

#[test]
fn entries_of_peers_are_written_down_only_if_wanted() {
    let mut config = roomy();
    config.journal_peers = true;
    let mut before = pool(config.clone());
    let foreign = entry(1, 1, 100);
    before.submit(foreign.clone(), Source::Peer(PeerId(1)), at(0)).unwrap();
    let records = journal(&before.drain_outputs());
    assert_eq!(restored(config.clone(), records).status(&foreign.id()), Some(Status::Pending));
    assert_eq!(restored(config, before.snapshot()).status(&foreign.id()), Some(Status::Pending));
}

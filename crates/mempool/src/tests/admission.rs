//! What gets in, what does not, and the reasons.

use super::{at, bundle, entry, journal, pool, roomy, small, statuses};
use crate::{
    Config, Entry, EvictReason, ExpireReason, Mempool, Outcome, PeerId, Record, Rejected, Reveal, Source, Standing,
    Status,
};
use chorale_types::{
    AccountId, AccountSecret, AccountSignature, Attestation, Bundle, Digest, DomainId, Epoch, Execution, Height,
    PaidExecution, Promise, PromiseError, Resume, RollupId, Signature, Signers, SystemItem, Unit,
    limits::BUNDLE_LIFETIME_HEIGHTS_MAX,
};

fn fill(pool: &mut Mempool, rollup: u64, count: u64) {
    for number in 0..count {
        pool.submit(entry(rollup, number, 100), Source::Local, at(0)).unwrap();
    }
}

#[test]
fn an_admitted_entry_is_written_down_and_pending() {
    let mut pool = pool(roomy());
    let new = entry(1, 1, 200);
    let admitted = pool.submit(new.clone(), Source::Local, at(5)).unwrap();
    assert_eq!((admitted.id, admitted.arrived_at, admitted.arrival_height), (new.id(), at(5), Height(0)));
    let outputs = pool.drain_outputs();
    assert!(matches!(&journal(&outputs)[..], [Record::Add(add)] if add.unit == new.to_unit()));
    assert_eq!(statuses(&outputs), [(new.id(), Status::Pending)]);
    assert_eq!(pool.status(&new.id()), Some(Status::Pending));
}

#[test]
fn a_bundle_that_cannot_be_promised_to_execute_is_refused_with_its_reason() {
    let domains = [(RollupId(1), DomainId(7)), (RollupId(2), DomainId(7)), (RollupId(3), DomainId(8))].into();
    let mut pool = pool(Config { domains, ..roomy() });
    let execution = Execution { domain: DomainId(7), payer: AccountId([1; 20]), max_fee: 1, attempt: 0 };
    let promise = Promise::Execution(PaidExecution { execution, signature: AccountSignature([2; 65]) });
    let cases = [
        (2, PromiseError::Signature { payer: AccountId([1; 20]) }),
        (3, PromiseError::Domain { rollup: RollupId(3), domain: DomainId(7) }),
    ];
    for (rollup, error) in cases {
        let Unit::Bundle(inclusion) = bundle(&[(1, 50), (rollup, 50)], 9, 1).to_unit() else { unreachable!() };
        let executed = Entry::new(Unit::Bundle(Bundle { promise, ..inclusion }));
        let refused = pool.submit(executed.clone(), Source::Local, at(1)).unwrap_err();
        assert_eq!(refused, Rejected::BundlePromise { id: executed.id(), error });
    }
}

#[test]
fn what_is_refused_is_refused_with_its_reason_and_the_reason_is_remembered() {
    let mut pool = pool(roomy());
    let unknown = entry(9, 1, 100);
    let refused = pool.submit(unknown.clone(), Source::Local, at(1)).unwrap_err();
    assert_eq!(refused, Rejected::RollupUnknown { rollup: RollupId(9) });
    assert_eq!(pool.status(&unknown.id()), Some(Status::Rejected { reason: refused, at: at(1) }));

    let late = bundle(&[(1, 50), (2, 50)], 0, 1);
    let refused = pool.submit(late.clone(), Source::Local, at(1)).unwrap_err();
    assert_eq!(refused, Rejected::BundleExpired { id: late.id(), expiry: Height(0), height: Height(0) });

    let expiry_max = BUNDLE_LIFETIME_HEIGHTS_MAX;
    let far = bundle(&[(1, 50), (2, 50)], expiry_max + 1, 1);
    let refused = pool.submit(far.clone(), Source::Local, at(1)).unwrap_err();
    let (expiry, expiry_max) = (Height(expiry_max + 1), Height(expiry_max));
    assert_eq!(refused, Rejected::BundleExpiryTooFar { id: far.id(), expiry, expiry_max }, "settlement would skip it");

    let touching = bundle(&[(1, 50), (9, 50)], 100, 1);
    assert_eq!(
        pool.submit(touching, Source::Local, at(1)).unwrap_err(),
        Rejected::RollupUnknown { rollup: RollupId(9) }
    );
    let large = bundle(&[(1, 100_000), (2, 100_000)], 100, 1);
    assert!(matches!(pool.submit(large, Source::Local, at(1)).unwrap_err(), Rejected::TooLarge { .. }));

    let twice = entry(1, 1, 100);
    pool.submit(twice.clone(), Source::Local, at(1)).unwrap();
    assert_eq!(
        pool.submit(twice.clone(), Source::Local, at(1)).unwrap_err(),
        Rejected::AlreadyPooled { id: twice.id() }
    );
    assert_eq!(pool.status(&twice.id()), Some(Status::Pending), "the pooled entry's own status stands");
    assert_eq!(journal(&pool.drain_outputs()).len(), 1, "what is refused is not written down");
}

#[test]
fn a_suspended_rollup_takes_nothing_and_keeps_what_it_has() {
    let mut pool = pool(roomy());
    let kept = entry(1, 1, 100);
    pool.submit(kept.clone(), Source::Local, at(0)).unwrap();
    let mut rollups = roomy().rollups;
    rollups.insert(RollupId(1), Standing::Suspended);
    pool.set_rollups(rollups, at(0));
    assert_eq!(
        pool.submit(entry(1, 2, 100), Source::Local, at(0)).unwrap_err(),
        Rejected::RollupSuspended { rollup: RollupId(1) }
    );
    assert!(pool.select(10_000, 10, Height(1), |_| false).is_empty());
    pool.set_rollups(roomy().rollups, at(0));
    assert_eq!(pool.select(10_000, 10, Height(1), |_| false), [kept]);
}

#[test]
fn entries_of_a_removed_rollup_end_with_that_reason() {
    let mut pool = pool(roomy());
    let gone = bundle(&[(1, 90), (2, 50)], 100, 1);
    pool.submit(gone.clone(), Source::Local, at(0)).unwrap();
    pool.set_rollups([(RollupId(1), Standing::Active)].into(), at(0));
    let Some(Status::Ended(ended)) = pool.status(&gone.id()) else { panic!("it ended") };
    assert_eq!(ended.outcome, Outcome::Evicted(EvictReason::RollupRemoved(RollupId(2))));
    pool.store.check();
}

#[test]
fn a_rollup_may_use_what_others_leave_and_gives_it_back_newest_first() {
    let mut pool = pool(small());
    fill(&mut pool, 1, 30);
    let refused = pool.submit(entry(1, 99, 100), Source::Local, at(0)).unwrap_err();
    assert!(matches!(refused, Rejected::RollupShareFull { rollup: RollupId(1), entries: 30, .. }));
    for number in 0..10 {
        pool.submit(entry(2, number, 100), Source::Local, at(0)).unwrap();
    }
    // Rollup 2 has its share now; the rest of rollup 1's is its own until rollup 3 claims.
    assert!(pool.submit(entry(2, 10, 100), Source::Local, at(0)).is_err());
    for number in 0..10 {
        pool.submit(entry(3, number, 100), Source::Local, at(0)).unwrap();
    }
    for number in 0..30 {
        match pool.status(&entry(1, number, 100).id()) {
            Some(Status::Pending) => assert!(number < 10, "{number}"),
            Some(Status::Ended(ended)) => {
                assert!(number >= 10, "the newest leave first, not {number}");
                assert!(matches!(ended.outcome, Outcome::Evicted(EvictReason::ShareReclaimed(_))));
            }
            other => panic!("{other:?}"),
        }
    }
    pool.store.check();
}

#[test]
fn an_entry_in_flight_is_evicted_only_when_nothing_else_is_left() {
    let mut pool = pool(small());
    fill(&mut pool, 1, 30);
    let newest = entry(1, 29, 100);
    pool.manifest_seen(super::commitment(1), &super::manifest(&[newest.clone()]), super::carrier(1), at(0));
    pool.submit(entry(2, 0, 100), Source::Local, at(0)).unwrap();
    assert_eq!(pool.status(&newest.id()), Some(Status::Proposed));
    assert!(matches!(pool.status(&entry(1, 28, 100).id()), Some(Status::Ended(_))));
}

#[test]
fn bytes_are_shared_like_entries() {
    let mut pool = pool(small());
    for number in 0..3 {
        pool.submit(entry(1, number, 1_000), Source::Local, at(0)).unwrap();
    }
    pool.submit(entry(2, 0, 900), Source::Local, at(0)).unwrap();
    assert!(matches!(pool.status(&entry(1, 2, 1_000).id()), Some(Status::Ended(_))));
    assert!(pool.submit(entry(2, 1, 300), Source::Local, at(0)).is_err(), "above its share, and nothing is free");
    assert_eq!(pool.figures().total.bytes, 2_900);
}

#[test]
fn a_peer_fills_its_part_and_no_more() {
    let mut pool = pool(small());
    let peer = Source::Peer(PeerId(3));
    for number in 0..15 {
        pool.submit(entry(1, number, 100), peer, at(0)).unwrap();
    }
    let refused = pool.submit(entry(2, 0, 100), peer, at(0)).unwrap_err();
    assert!(matches!(refused, Rejected::PeerShareFull { peer: PeerId(3), entries: 15, .. }));
    assert_eq!(pool.status(&entry(2, 0, 100).id()), None, "reasons are kept for users");
    pool.submit(entry(2, 0, 100), Source::Peer(PeerId(2)), at(0)).unwrap();
    pool.submit(entry(2, 1, 100), Source::Local, at(0)).unwrap();
    assert_eq!(journal(&pool.drain_outputs()).len(), 1, "only what was submitted here is written down");
}

#[test]
fn what_waits_too_long_expires_with_the_reason_and_may_come_back() {
    let mut pool = pool(roomy());
    let (old, ending) = (entry(1, 1, 100), bundle(&[(1, 50), (2, 50)], 10, 1));
    pool.submit(old.clone(), Source::Local, at(0)).unwrap();
    pool.submit(ending.clone(), Source::Local, at(0)).unwrap();
    let reveal = |height| Reveal { height: Height(height), payloads: &[], included: &[], skipped: &[] };
    pool.revealed(&reveal(9), at(1_000));
    assert_eq!(pool.status(&ending.id()), Some(Status::Pending));
    pool.revealed(&reveal(10), at(1_000));
    let outcome = |pool: &Mempool, id: &chorale_types::UnitId| match pool.status(id) {
        Some(Status::Ended(ended)) => ended.outcome,
        other => panic!("{other:?}"),
    };
    assert_eq!(outcome(&pool, &ending.id()), Outcome::Expired(ExpireReason::Bundle(Height(10))));
    pool.tick(at(120_000));
    assert_eq!(pool.status(&old.id()), Some(Status::Pending));
    pool.tick(at(122_000));
    assert_eq!(outcome(&pool, &old.id()), Outcome::Expired(ExpireReason::Age(120_000)));
    pool.submit(old.clone(), Source::Local, at(122_000)).unwrap();
    pool.revealed(&reveal(600), at(122_000));
    assert_eq!(outcome(&pool, &old.id()), Outcome::Expired(ExpireReason::Heights(512)));
}

#[test]
fn limits_that_cannot_hold_are_refused() {
    use crate::Config;
    type Break = fn(&mut Config);
    let broken: [Break; 6] = [
        |config| config.bytes_max = 0,
        |config| config.payloads_max = 70_000,
        |config| config.entry_bytes_max = 256 * 1024,
        |config| config.peer_bytes_per_second = 1,
        |config| config.peer_ids_per_second = 1,
        |config| config.request_timeout_ms = 0,
    ];
    assert_eq!(roomy().check(), Ok(()));
    for broken in broken {
        let mut config = roomy();
        broken(&mut config);
        assert!(config.check().is_err());
    }
}

/// Attestations come from leaders, whose payloads have few: a pool that took them from anybody would make every node check
/// signatures.
#[test]
fn of_what_is_for_the_chain_itself_only_an_owners_word_for_a_suspended_rollup_is_taken() {
    let secret = AccountSecret::from_bytes([7; 32]).unwrap();
    let mut config = roomy();
    config.rollups.insert(RollupId::SYSTEM, Standing::Active);
    config.rollups.insert(RollupId(1), Standing::Suspended);
    config.owners = [(RollupId(1), secret.account()), (RollupId(2), secret.account())].into();
    let chain = config.chain;
    let mut pool = pool(config);
    let item = |item: &SystemItem| Entry::new(Unit::Transaction(item.to_transaction()));
    let resume = |rollup, secret: &AccountSecret| {
        let (rollup, since) = (RollupId(rollup), Height(6));
        let signature = secret.sign(&Resume::message(chain, rollup, since, 0));
        item(&SystemItem::Resume(Resume { rollup, since, salt: 0, signature }))
    };
    let attestation = item(&SystemItem::Attestation(Attestation {
        domain: DomainId(7),
        epoch: Epoch(0),
        height: Height(1),
        root: Digest::from([1; 32]),
        signers: Signers::none(4),
        signature: Signature::NONE,
    }));
    let stranger = AccountSecret::from_bytes([8; 32]).unwrap();
    let refused = [
        (entry(0, 1, 100), "its data is no item that the chain knows"),
        (bundle(&[(0, 90), (2, 50)], 100, 1), "no bundle has legs for it"),
        (attestation, "leaders put attestations into blocks by themselves"),
        (resume(1, &stranger), "it is not signed by the rollup's owner"),
        (resume(2, &secret), "the rollup is not suspended"),
    ];
    for (entry, expected) in refused {
        match pool.submit(entry.clone(), Source::Local, at(0)).unwrap_err() {
            Rejected::System { id, problem } => assert_eq!((id, problem), (entry.id(), expected)),
            other => panic!("{other}"),
        }
    }
    pool.submit(resume(1, &secret), Source::Local, at(0)).unwrap();
}

//! Attestations that are ordered, and what happens without them.

use super::*;
use crate::{DomainRules, Refused, SkipReason, Standing};
use chorale_types::{
    AccountSecret, Attestation, DomainId, Resume, SystemItem,
    codec::{Encode, decode},
};
use std::cell::Cell;

const DOMAIN: DomainId = DomainId(7);
/// Heights for which content may wait.
const LAG_MAX: u64 = 5;

fn owner() -> AccountSecret {
    AccountSecret::from_bytes([7; 32]).unwrap()
}

/// Rollups 1 and 2 are of the domain, and 1 has an owner; 3 is of none.
fn ledger_with(by_second: bool) -> Ledger {
    let rules = |id: u64| {
        let domain = (id == 1 || id == 2).then_some(DOMAIN);
        let owner = (id == 1).then(|| owner().account());
        (RollupId(id), RollupRules { has_nonces: id > 0, domain, owner })
    };
    Ledger::new(Config {
        rollups: [0, 1, 2, 3].map(rules).into(),
        domains: [(DOMAIN, DomainRules { attestation_lag_max: LAG_MAX, by_second })].into(),
        ..config()
    })
}

fn ledger() -> Ledger {
    ledger_with(false)
}

fn attestation(height: u64) -> Attestation {
    let (root, signers) = (tagged_hash("test/root", &[]), Signers::none(1));
    Attestation { domain: DOMAIN, epoch: Epoch(0), height: Height(height), root, signers, signature: Signature::NONE }
}

fn item(item: &SystemItem) -> Unit {
    Unit::Transaction(item.to_transaction())
}

fn attested(height: u64) -> Unit {
    item(&SystemItem::Attestation(attestation(height)))
}

fn resume(rollup: u64, since: u64, secret: &AccountSecret) -> Unit {
    resume_with(rollup, since, 0, secret)
}

fn resume_with(rollup: u64, since: u64, salt: u64, secret: &AccountSecret) -> Unit {
    let (rollup, since) = (RollupId(rollup), Height(since));
    let signature = secret.sign(&Resume::message(chain(), rollup, since, salt));
    item(&SystemItem::Resume(Resume { rollup, since, salt, signature }))
}

/// Settles the next height with these payloads; every attestation holds.
fn settle_payloads(ledger: &mut Ledger, payloads: Vec<Vec<Unit>>) -> Settled {
    let height = ledger.height().0 + 1;
    let names: Vec<u64> = (0..payloads.len() as u64).map(|index| 10 * height + index).collect();
    let contents = payloads.into_iter().map(content).collect();
    ledger.settle_attested(&header(height, &names), contents, None, &|_| true).unwrap()
}

fn settle(ledger: &mut Ledger, units: Vec<Unit>) -> Settled {
    settle_payloads(ledger, vec![units])
}

fn settle_until(ledger: &mut Ledger, height: u64) {
    while ledger.height() < Height(height) {
        settle(ledger, Vec::new());
    }
}

fn reasons(settled: &Settled) -> Vec<SkipReason> {
    settled.skipped.iter().map(|skipped| skipped.reason).collect()
}

fn standing(ledger: &Ledger) -> Standing {
    ledger.standings().remove(0)
}

/// The chain at height 7, where rollups 1 and 2 are suspended: what they had at height 1 is not attested.
fn suspended() -> Ledger {
    let mut ledger = ledger();
    settle(&mut ledger, vec![single(1, "a")]);
    settle_until(&mut ledger, LAG_MAX + 1);
    assert!(standing(&ledger).suspended.is_empty(), "not yet");
    settle(&mut ledger, Vec::new());
    ledger
}

#[test]
fn what_is_not_attested_in_time_suspends_its_domain_and_nobody_else() {
    let mut ledger = suspended();
    let since = Height(LAG_MAX + 2);
    let both = [1, 2].map(|rollup| (RollupId(rollup), since));
    assert_eq!(
        standing(&ledger),
        Standing { domain: DOMAIN, attested: Height(0), waiting: Some(Height(1)), suspended: both.to_vec() }
    );
    let legs = vec![transaction(3, "leg"), transaction(2, "leg")];
    let settled = settle(&mut ledger, vec![single(1, "b"), single(3, "b"), single(2, "b"), bundle(20, legs)]);
    let suspended = |rollup| SkipReason::Suspended { rollup: RollupId(rollup), since };
    assert_eq!(reasons(&settled), [suspended(1), suspended(2), suspended(2)]);
    assert_eq!(settled.lanes.keys().copied().collect::<Vec<_>>(), [RollupId(3)]);
    // Waiting for longer changes nothing.
    settle_until(&mut ledger, 40);
    assert_eq!(standing(&ledger).suspended, both);
}

#[test]
fn a_domain_that_is_attested_in_time_is_never_suspended() {
    let mut ledger = ledger();
    for height in 1..=60 {
        let mut units = vec![single(1, &format!("a{height}"))];
        if height % LAG_MAX == 0 {
            units.push(attested(height - 1));
        }
        let settled = settle(&mut ledger, units);
        assert!(settled.skipped.is_empty(), "{height}: {:?}", settled.skipped);
    }
    // Content long after the last attestation is not late.
    settle(&mut ledger, vec![attested(60)]);
    settle_until(&mut ledger, 200);
    assert!(settle(&mut ledger, vec![single(2, "late")]).skipped.is_empty());
    assert_eq!(standing(&ledger).waiting, Some(Height(201)));
    assert!(settle(&mut ledger, vec![single(2, "later")]).skipped.is_empty());
}

#[test]
fn a_rollup_goes_on_when_its_domain_is_attested_and_its_owner_says_so() {
    let mut ledger = suspended();
    let since = LAG_MAX + 2;
    let early = settle(&mut ledger, vec![resume(1, since, &owner())]);
    assert_eq!(reasons(&early), [Refused::NotAttested.into()]);
    let settled = settle(&mut ledger, vec![attested(1), single(2, "too early")]);
    assert_eq!(settled.skipped.len(), 1, "items count from the next height on");
    assert_eq!(standing(&ledger).suspended, [(RollupId(1), Height(since))], "2 has no owner who could say so");
    let stranger = AccountSecret::from_bytes([8; 32]).unwrap();
    let settled = settle_payloads(
        &mut ledger,
        vec![vec![resume(1, since + 1, &owner()), resume(1, since, &stranger), single(2, "on")]],
    );
    assert_eq!(reasons(&settled), [Refused::NotSuspended.into(), Refused::Owner.into()]);
    assert_eq!(settled.lanes.keys().copied().collect::<Vec<_>>(), [RollupId(2)]);
    let last = ledger.height().0;
    settle(&mut ledger, vec![attested(last)]);
    let settled = settle(&mut ledger, vec![resume(1, since, &owner())]);
    assert!(settled.skipped.is_empty(), "{:?}", settled.skipped);
    assert!(standing(&ledger).suspended.is_empty());
    assert!(settle(&mut ledger, vec![single(1, "on")]).skipped.is_empty());
    // The word was for that suspension.
    let again = settle(&mut ledger, vec![resume(1, since, &owner())]);
    assert_eq!(again.skipped.len(), 1);
}

/// Something of a busy neighbour always waits to be attested: an owner waited for a moment without for ever.
#[test]
fn a_rollup_goes_on_beside_a_busy_neighbour() {
    let mut ledger = suspended();
    let since = LAG_MAX + 2;
    settle(&mut ledger, vec![attested(1)]);
    for round in 0..3 {
        settle(&mut ledger, vec![single(2, &format!("busy {round}"))]);
    }
    assert!(standing(&ledger).waiting.is_some());
    let settled = settle(&mut ledger, vec![single(2, "busy"), resume(1, since, &owner())]);
    assert!(settled.skipped.is_empty(), "{:?}", settled.skipped);
    assert!(standing(&ledger).suspended.is_empty());
}

/// The same word is the same transaction, which may not be ordered again for a while.
#[test]
fn an_owner_that_was_too_early_says_it_again() {
    let mut ledger = suspended();
    let since = LAG_MAX + 2;
    let early = settle(&mut ledger, vec![resume(1, since, &owner())]);
    assert_eq!(reasons(&early), [Refused::NotAttested.into()]);
    settle(&mut ledger, vec![attested(1)]);
    let settled = settle(&mut ledger, vec![resume_with(1, since, 1, &owner())]);
    assert!(settled.skipped.is_empty() && standing(&ledger).suspended.is_empty());
}

#[test]
fn what_an_attestation_covers_waits_no_more() {
    for by_second in [false, true] {
        let mut ledger = ledger_with(by_second);
        for height in 1..=3 {
            settle(&mut ledger, vec![single(2, &height.to_string())]);
        }
        settle(&mut ledger, vec![attested(2)]);
        // Where blocks are by the second, what is attested of a height is of before it.
        assert_eq!(standing(&ledger).waiting, Some(Height(if by_second { 2 } else { 3 })));
        let old = settle(&mut ledger, vec![attested(2), attested(1)]);
        assert_eq!(reasons(&old), [SkipReason::Repeated { first: Height(4) }, Refused::NotNew.into()]);
        let ahead = settle(&mut ledger, vec![attested(6)]);
        assert_eq!(reasons(&ahead), [Refused::NotNew.into()], "of the height that orders it");
    }
}

#[test]
fn nobody_makes_settlement_check_more_than_one_attestation_of_a_payload() {
    let mut ledger = ledger();
    settle(&mut ledger, vec![single(1, "a"), single(2, "a")]);
    settle_until(&mut ledger, 30);
    let checked = Cell::new(0);
    let forged = |_: &Attestation| {
        checked.set(checked.get() + 1);
        false
    };
    let units = || (1..20).map(attested).collect();
    let settled = ledger.settle_attested(&header(31, &[1, 2]), vec![content(units()), content(units())], None, &forged);
    let settled = settled.unwrap();
    assert_eq!(checked.get(), 2, "one of each payload");
    assert_eq!(settled.skipped.len(), 38);
    assert!(settled.lanes.is_empty());
    assert_eq!(standing(&ledger).attested, Height(0));
    // A true one in the second payload counts, whatever the first one has.
    let second_only = |attestation: &Attestation| attestation.height == Height(2);
    let contents = vec![content(vec![attested(1)]), content(vec![attested(2), attested(3)])];
    let settled = ledger.settle_attested(&header(32, &[3, 4]), contents, None, &second_only).unwrap();
    assert_eq!(reasons(&settled), [Refused::Attestation.into(), Refused::NotFirst.into()]);
    assert_eq!(standing(&ledger).attested, Height(2));
}

#[test]
fn what_is_no_item_has_no_effect() {
    let mut ledger = ledger();
    let other = Attestation { domain: DomainId(8), ..attestation(1) };
    let legs = vec![SystemItem::Attestation(attestation(1)).to_transaction(), transaction(3, "leg")];
    let units = vec![single(0, "junk"), item(&SystemItem::Attestation(other)), bundle(9, legs)];
    settle(&mut ledger, Vec::new());
    let settled = settle(&mut ledger, units);
    let expected = [Refused::Malformed, Refused::Domain, Refused::Leg].map(SkipReason::from);
    assert_eq!(reasons(&settled), expected);
    for reason in expected.into_iter().chain([SkipReason::Suspended { rollup: RollupId(1), since: Height(9) }]) {
        assert_eq!(decode::<SkipReason>(reason.encode()).unwrap(), reason);
    }
}

#[test]
fn a_restored_ledger_suspends_and_goes_on_as_if_it_had_never_stopped() {
    let mut whole = suspended();
    let mut restored = Ledger::restore(whole.config().clone(), whole.snapshot()).unwrap();
    assert_eq!(restored.standings(), whole.standings());
    for units in [vec![single(1, "x")], vec![attested(1)], vec![resume(1, LAG_MAX + 2, &owner())], vec![single(1, "y")]]
    {
        let (one, other) = (settle(&mut whole, units.clone()), settle(&mut restored, units));
        assert_eq!(one.outcome, other.outcome);
    }
    assert!(whole.last_content(RollupId(1)) == Some(whole.height()), "it goes on");
    // What is suspended is part of what is attested.
    let before = suspended().snapshot();
    let mut lie = suspended();
    settle(&mut lie, vec![attested(1)]);
    assert_ne!(before.head, lie.snapshot().head);
}

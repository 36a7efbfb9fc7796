//! From lanes to blocks.

use super::{
    bundling::{Leg, bundle, bundle_of, pair, sign, terms},
    heights::{A, B, C, Given, Ordered, assert_same, derive, domain, header, outcome},
    wallets::{Wallet, raw},
};
use crate::{
    BUNDLE_SLOT, Content, Derived, DerivedHeight, Domain, MAILBOX, Marker, OutOfOrder, Reason, Skipped,
    TransactionError,
};
use alloy_consensus::Transaction as _;
use alloy_eips::eip2930::AccessListItem;
use alloy_primitives::{Address, B256, keccak256};
use chorale_types::{BundleId, Digest, Height, Outcome, RollupId};

/// A call by a wallet that writes its number to a slot of a contract: who came last is seen.
fn plain(wallet: u64, nonce: u64) -> Leg {
    Leg::write(A, wallet, nonce, wallet + 1)
}

fn marked(wallet: u64, keys: &[B256]) -> Ordered {
    let entry = AccessListItem { address: MAILBOX, storage_keys: keys.to_vec() };
    Ordered::Transaction(A, raw(&plain(wallet, 0).sign(&[entry])))
}

fn senders(derived: &Derived) -> Vec<Address> {
    derived.block.transactions.iter().map(|transaction| transaction.signer()).collect()
}

fn of_a(mut derived: DerivedHeight) -> Derived {
    derived.blocks.remove(&RollupId(A)).unwrap()
}

fn write_alone(wallet: u64, nonce: u64) -> Ordered {
    plain(wallet, nonce).alone()
}

fn leg(wallet: u64) -> (u64, Vec<u8>) {
    (A, raw(&plain(wallet, 0).sign(&[])))
}

#[test]
fn what_is_only_included_together_and_what_is_alone_keep_their_order_and_payloads_theirs() {
    // The leg between those of this rollup is for one of another domain.
    let elsewhere = (C, raw(&Leg::write(C, 1, 0, 1).sign(&[])));
    let payloads = [
        vec![write_alone(0, 0), Ordered::inclusion(1, vec![leg(1), elsewhere, leg(2)]), write_alone(3, 0)],
        vec![write_alone(4, 0), Ordered::inclusion(2, vec![leg(5)])],
    ];
    let mut given = Given::new(&payloads);
    given.lanes.retain(|lane| lane.rollup() == RollupId(A));
    let derived = of_a(given.try_derive(&mut domain(&[A]), 1).unwrap());
    assert_eq!(senders(&derived), [0, 1, 2, 3, 4, 5].map(|number| Wallet::new(number).address));
    assert_eq!(derived.skipped, []);
}

#[test]
fn a_block_says_where_it_stands() {
    let mut domain = domain(&[A]);
    let head = |domain: &Domain| domain.chain(RollupId(A)).unwrap().head().clone();
    let genesis_s = head(&domain).timestamp;
    // The sequencer may be older than the rollup, and blocks may share a second.
    let times_ms = [(3, 0), (4, genesis_s * 1000 + 999), (9, genesis_s * 1000 + 1999), (10, genesis_s * 1000 + 1999)];
    let mut seen = Vec::new();
    let mut previous = Height(0);
    for (number, (height, time_ms)) in (1..).zip(times_ms) {
        let parent = head(&domain).hash();
        let Given { lanes, bundles } = Given::new(&[vec![write_alone(0, number - 1)]]);
        let outcome = outcome(height, time_ms);
        let derived = domain.derive(&Content { outcome: &outcome, lanes: &lanes, bundles: &bundles }).unwrap();
        let attested = derived.outcome.clone();
        assert_eq!((attested.height, attested.previous, attested.order), (Height(height), previous, outcome.root()));
        assert_eq!((attested.chain, attested.domain), (domain.chain_id(), domain.id()));
        let block = of_a(derived).block.header;
        assert_eq!((block.number, block.parent_hash), (number, parent));
        assert_eq!(block.extra_data.as_ref(), height.to_be_bytes());
        assert_eq!(block.parent_beacon_block_root, Some(B256::from_slice(header(height).as_ref())));
        let drawn = keccak256([header(height).as_ref(), &A.to_be_bytes()].concat());
        assert_eq!(block.mix_hash, drawn);
        assert_eq!((head(&domain).hash(), domain.height()), (block.hash(), Height(height)));
        assert_eq!(domain.chain(RollupId(A)).unwrap().height(), Height(height));
        previous = Height(height);
        seen.push(block.timestamp - genesis_s);
    }
    assert_eq!(seen, [0, 0, 1, 1]);
}

#[test]
fn a_rollup_without_content_stays_where_it_is() {
    let mut domain = domain(&[A, B]);
    let genesis = domain.heads();
    let derived = derive(&mut domain, 4, &[vec![write_alone(0, 0)]]);
    assert_eq!(derived.blocks.keys().copied().collect::<Vec<_>>(), [RollupId(A)]);
    assert_ne!(derived.heads[0], genesis[0]);
    assert_eq!(derived.heads[1], genesis[1]);
    let at = |rollup| domain.chain(RollupId(rollup)).unwrap().height();
    assert_eq!((at(A), at(B), domain.height()), (Height(4), Height(0), Height(4)));
}

#[test]
fn what_has_no_effect_is_named_with_its_reason_and_place() {
    let payload = vec![
        Ordered::Transaction(A, b"no transaction".to_vec()),
        write_alone(0, 5),
        write_alone(1, 0),
        write_alone(1, 0),
    ];
    let given = Given::new(&[payload]);
    let derived = of_a(given.try_derive(&mut domain(&[A]), 1).unwrap());
    assert_eq!(senders(&derived), [Wallet::new(1).address]);
    let items = given.lanes[0].items();
    let skipped: Vec<_> = derived.skipped.iter().map(|it| (it.place, it.id, it.hash)).collect();
    let named = [0, 1, 3].map(|index: usize| (items[index].place, items[index].id, keccak256(&items[index].data[..])));
    assert_eq!(skipped, named);
    assert!(matches!(derived.skipped[0].reason, Reason::Transaction(TransactionError::Encoding(_))));
    assert!(matches!(derived.skipped[1].reason, Reason::Skipped(Skipped::Invalid(_))));
    assert!(derived.skipped[2].reason.to_string().contains("nonce"), "{:?}", derived.skipped[2]);
}

/// Or whoever sees a bundle could have one of its legs alone.
#[test]
fn a_leg_has_no_life_of_its_own() {
    let binding = Digest::from([7; 32]);
    let entry = Marker::entry(binding);
    let in_a_bundle = (A, raw(&plain(0, 0).sign(std::slice::from_ref(&entry))));
    let payload =
        vec![Ordered::inclusion(1, vec![in_a_bundle]), marked(1, &[BUNDLE_SLOT, binding.0.into()]), write_alone(0, 0)];
    let derived = of_a(derive(&mut domain(&[A]), 1, &[payload]));
    let reasons: Vec<_> = derived.skipped.iter().map(|it| it.reason.clone()).collect();
    assert_eq!(reasons, [Reason::Leg(binding), Reason::Leg(binding)]);
    assert_eq!(senders(&derived), [Wallet::new(0).address], "its nonce was not used up");
    assert!(derived.block.receipts[0].status());
    assert_eq!(derived.block.transactions[0].inner().nonce(), 0);
}

/// It would read a slot of the mailbox that is warm, which tells the mailbox that it is in a bundle.
#[test]
fn what_names_the_mailbox_otherwise_than_a_leg_has_no_effect() {
    let (zero, other) = (BUNDLE_SLOT, B256::repeat_byte(7));
    let mut payload: Vec<Ordered> =
        [&[][..], &[zero], &[other], &[other, zero], &[other, other], &[zero, other, other], &[zero, zero, zero]]
            .map(|keys| marked(1, keys))
            .into();
    let entry = Marker::entry(Digest::from([7; 32]));
    let last = AccessListItem { address: Address::repeat_byte(1), storage_keys: vec![] };
    for entries in [vec![entry.clone(), last], vec![entry.clone(), entry]] {
        payload.push(Ordered::Transaction(A, raw(&plain(1, 0).sign(&entries))));
    }
    let count = payload.len();
    let derived = of_a(derive(&mut domain(&[A]), 1, &[payload]));
    let reasons: Vec<_> = derived.skipped.iter().map(|it| it.reason.clone()).collect();
    assert_eq!(reasons, vec![Reason::Marker; count]);
    assert_eq!(senders(&derived), Vec::<Address>::new());
}

/// Refused, and the domain goes on as if nobody had asked.
#[track_caller]
fn refused(domain: &mut Domain, height: u64, given: &Given) -> OutOfOrder {
    let before = domain.clone();
    let error = given.try_derive(domain, height).map(|_| ()).unwrap_err();
    assert_same(domain, &before);
    error
}

#[test]
fn a_height_that_is_not_the_next_changes_nothing() {
    let mut domain = domain(&[A, B]);
    derive(&mut domain, 5, &[vec![write_alone(0, 0)]]);
    let next = Given::new(&[vec![write_alone(0, 1)]]);
    for given in [5, 4, 0] {
        let wrong = OutOfOrder::Height { given: Height(given), last: Height(5) };
        assert_eq!(refused(&mut domain, given, &next), wrong);
    }
    let other = Given::new(&[vec![write_alone(0, 1), Leg::write(C, 0, 0, 1).alone()]]);
    assert_eq!(refused(&mut domain, 6, &other), OutOfOrder::Rollup(RollupId(C)));
    let twice = Given { lanes: [&next.lanes[..], &next.lanes[..]].concat(), bundles: vec![] };
    assert_eq!(refused(&mut domain, 6, &twice), OutOfOrder::Rollup(RollupId(A)));
    assert_eq!(refused(&mut domain, 6, &Given { lanes: vec![], bundles: vec![] }), OutOfOrder::Empty(Height(6)));
    next.try_derive(&mut domain, 6).unwrap();
}

/// Who hands it on is not believed: what a bundle promises is what its id says.
#[test]
fn a_bundle_whose_terms_are_missing_or_made_up_changes_nothing() {
    let mut domain = domain(&[A, B]);
    let bundle = bundle(&pair());
    let good = Given::new(&[vec![bundle.clone()]]);
    let wrong = OutOfOrder::Terms(bundle.id());
    assert_eq!(refused(&mut domain, 1, &Given { bundles: vec![], ..good.clone() }), wrong);
    for other in [
        bundle_of(&terms(), 1, sign(&terms(), &pair())),
        Ordered::inclusion(1, sign(&terms(), &pair())),
        bundle_of(&crate::Terms { salt: 9, ..terms() }, 0, sign(&terms(), &pair())),
    ] {
        let mut told = other.bundle().unwrap();
        assert_eq!(refused(&mut domain, 1, &Given { bundles: vec![told.clone()], ..good.clone() }), wrong);
        told.id = bundle.id();
        assert_eq!(refused(&mut domain, 1, &Given { bundles: vec![told], ..good.clone() }), wrong);
    }
    assert_eq!(BundleId(good.bundles[0].id.0), bundle.id());
    good.try_derive(&mut domain, 1).unwrap();
}

#[test]
fn a_bundle_of_which_a_leg_is_missing_changes_nothing() {
    let mut domain = domain(&[A, B]);
    let bundle = bundle(&pair());
    let good = Given::new(&[vec![bundle.clone()]]);
    for lane in &good.lanes {
        let part = Given { lanes: vec![lane.clone()], ..good.clone() };
        assert_eq!(refused(&mut domain, 1, &part), OutOfOrder::Leg(bundle.id()));
    }
    good.try_derive(&mut domain, 1).unwrap();
}

/// What validators sign is about all rollups of the domain and all bundles of the height, and nothing else.
#[test]
fn the_outcome_of_a_height_names_what_became_of_it() {
    let made = |payloads: &[Vec<Ordered>]| derive(&mut domain(&[A, B]), 1, payloads);
    let (bundle, other) = (bundle(&pair()), bundle_of(&terms(), 1, sign(&terms(), &pair())));
    let one = made(&[vec![bundle.clone()]]);
    assert_eq!(one.outcome.bundles, bundles_root(&one));
    assert_eq!(one.outcome.rollups, chorale_types::ExecutionOutcome::rollups_root(&one.heads));
    let two = made(&[vec![bundle.clone(), other]]);
    assert_eq!(two.outcome.bundles, bundles_root(&two));
    assert_eq!(two.heads, one.heads, "the second has no effect");
    assert_ne!(two.outcome.root(), one.outcome.root(), "and that is attested");
    let order = |outcome: &Outcome| outcome.root();
    assert_eq!(one.outcome.order, order(&outcome(1, 1_700_000_000_400)));
}

fn bundles_root(derived: &DerivedHeight) -> Digest {
    let attested = |bundle: &crate::DerivedBundle| chorale_types::ExecutedBundle {
        id: bundle.id,
        effect: bundle.effect.attested(),
    };
    chorale_types::ExecutionOutcome::bundles_root(&derived.bundles.iter().map(attested).collect::<Vec<_>>())
}

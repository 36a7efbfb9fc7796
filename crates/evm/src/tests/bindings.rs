//! What binds legs to their bundle, and how often that counts.

use super::{
    bundling::{
        GWEI, Leg, aborted, binding_of, bundle, bundle_of, effect_without_trace, effects, pair, sign, terms, written,
    },
    heights::{A, B, C, Ordered, derive, domain},
    wallets::{Ask, raw},
};
use crate::{AbortReason, BUNDLE_SLOT, Effect, MAILBOX, Marker, Reason, Terms};
use alloy_eips::eip2930::AccessListItem;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use chorale_types::{AccountId, ChainId, DomainId, Height};
use revm::context::result::InvalidTransaction;

/// Aborted at a leg because it is not bound to this bundle at its place.
#[track_caller]
fn unbound(leg: u8, terms: &Terms, legs: Vec<(u64, Vec<u8>)>) {
    let reason = AbortReason::Binding;
    assert_eq!(aborted(bundle_of(terms, 0, legs)), Effect::Aborted { leg: Some(leg), reason });
}

#[test]
fn legs_are_bound_to_all_terms_of_their_bundle() {
    let signed = sign(&terms(), &pair());
    for other in [
        Terms { payer: AccountId([0x9b; 20]), ..terms() },
        Terms { max_fee: terms().max_fee + 1, ..terms() },
        Terms { expiry: Height(51), ..terms() },
        Terms { salt: 2, ..terms() },
    ] {
        unbound(0, &other, signed.clone());
    }
    // Another domain's bundle is none here: its legs have no effect.
    let foreign = Terms { domain: DomainId(8), ..terms() };
    let derived = derive(&mut domain(&[A, B]), 1, &[vec![bundle_of(&foreign, 0, signed)]]);
    assert_eq!(effects(&derived), []);
    assert!(derived.blocks.values().all(|made| made.block.transactions.is_empty() && made.skipped.len() == 1));
    // The chain is that of the domain.
    let elsewhere = Terms { chain: ChainId([3; 32].into()), ..terms() };
    unbound(0, &terms(), sign(&elsewhere, &pair()));
}

#[test]
fn legs_are_bound_to_their_places_and_to_each_other() {
    let three = [Leg::write(A, 0, 0, 1), Leg::write(B, 1, 0, 2), Leg::write(A, 2, 0, 3)];
    let signed = sign(&terms(), &three);
    for order in [&[1, 0, 2][..], &[2, 1, 0], &[0, 1], &[1, 2], &[0], &[0, 1, 2, 2]] {
        unbound(0, &terms(), order.iter().map(|leg: &usize| signed[*leg].clone()).collect());
    }
    // One more, by whoever assembles the bundle, and one instead of another.
    let own = sign(&terms(), &[Leg::write(B, 3, 0, 9)]).remove(0);
    unbound(3, &terms(), [&signed[..], &[own.clone()]].concat());
    unbound(1, &terms(), vec![signed[0].clone(), own, signed[2].clone()]);
}

/// That another bundle has the same leg in it helps nobody.
#[test]
fn a_leg_of_one_bundle_has_no_place_in_another() {
    let other = Terms { salt: 2, ..terms() };
    let [one, two] = [sign(&terms(), &pair()), sign(&other, &pair())];
    unbound(1, &terms(), vec![one[0].clone(), two[1].clone()]);
    unbound(1, &terms(), vec![two[0].clone(), one[1].clone()]);
}

#[test]
fn a_leg_taken_out_of_its_bundle_has_no_effect() {
    let mut domain = domain(&[A, B]);
    let signed = sign(&terms(), &pair());
    let alone: Vec<_> = signed.iter().map(|(rollup, data)| Ordered::Transaction(*rollup, data.clone())).collect();
    let derived = derive(&mut domain, 1, &[alone, vec![Ordered::inclusion(1, signed.clone())]]);
    for made in derived.blocks.values() {
        let reasons: Vec<_> = made.skipped.iter().map(|it| it.reason.clone()).collect();
        assert_eq!(reasons, vec![Reason::Leg(binding_of(&terms(), &pair())); 2]);
        assert_eq!(made.block.transactions, []);
    }
    // Nor is it used up by that.
    let derived = derive(&mut domain, 2, &[vec![bundle_of(&terms(), 0, signed)]]);
    assert_eq!(effects(&derived), [Effect::Committed]);
}

/// Whoever signs a leg cannot change it while the others still count on it.
#[test]
fn a_leg_is_bound_with_all_that_is_signed() {
    let entry = [Marker::entry(binding_of(&terms(), &pair()))];
    let [first, second] = pair();
    let changes: [fn(&mut Ask); 9] = [
        |ask| ask.nonce = 1,
        |ask| ask.to = TxKind::Call(Address::repeat_byte(0xc2)),
        |ask| ask.to = TxKind::Create,
        |ask| ask.value = U256::from(1),
        |ask| ask.input = Bytes::new(),
        |ask| ask.gas_limit += 1,
        |ask| ask.fee += 1,
        |ask| ask.tip = 2 * GWEI,
        |ask| ask.access_list.0.push(AccessListItem { address: Address::ZERO, storage_keys: vec![] }),
    ];
    let with = |leg: Leg| vec![(A, raw(&first.sign(&entry))), (B, raw(&leg.sign(&entry)))];
    for change in changes {
        unbound(0, &terms(), with(second.clone().with(change)));
    }
    unbound(0, &terms(), with(second.clone().of(super::bundling::Kind::AccessList)));
    unbound(0, &terms(), with(Leg { wallet: 2, ..second.clone() }));
    let derived = derive(&mut domain(&[A, B]), 1, &[vec![bundle_of(&terms(), 0, with(second))]]);
    assert_eq!(effects(&derived), [Effect::Committed]);
}

#[test]
fn a_leg_whose_marker_is_malformed_has_no_place_in_its_bundle() {
    let binding = B256::new(binding_of(&terms(), &pair()).0);
    let entry = Marker::entry(binding.0.into());
    let keys = |keys: &[B256]| vec![AccessListItem { address: MAILBOX, storage_keys: keys.to_vec() }];
    let somewhere = AccessListItem { address: Address::repeat_byte(1), storage_keys: vec![] };
    let [first, second] = pair();
    for place in [0, 1] {
        let with = |entries: &[AccessListItem]| {
            let mut legs = [&first, &second].map(|leg| (leg.rollup, raw(&leg.sign(std::slice::from_ref(&entry)))));
            legs[place].1 = raw(&[&first, &second][place].sign(entries));
            legs.to_vec()
        };
        // The last entry is what is left out when the binding is computed, so the other leg is bound well.
        for wrong in [
            keys(&[]),
            keys(&[binding]),
            keys(&[BUNDLE_SLOT]),
            keys(&[binding, BUNDLE_SLOT]),
            keys(&[BUNDLE_SLOT, binding, binding]),
            vec![AccessListItem { address: Address::repeat_byte(1), storage_keys: vec![BUNDLE_SLOT, binding] }],
            vec![],
        ] {
            unbound(place as u8, &terms(), with(&wrong));
        }
        // Not the last one, and two of them.
        unbound(place as u8, &terms(), with(&[entry.clone(), somewhere.clone()]));
        unbound(place as u8, &terms(), with(&[entry.clone(), entry.clone()]));
        unbound(place as u8, &terms(), with(&[keys(&[])[0].clone(), entry.clone()]));
    }
}

/// Of two bundles with the same binding only the first counts: nobody pays for legs twice, whoever assembles bundles.
#[test]
fn legs_that_took_effect_never_do_again() {
    let mut domain = domain(&[A, B]);
    let signed = sign(&terms(), &pair());
    let attempt = |number| bundle_of(&terms(), number, signed.clone());
    let burnt = Effect::Aborted { leg: None, reason: AbortReason::Burnt };
    let derived = derive(&mut domain, 1, &[vec![attempt(0), attempt(1)], vec![attempt(2)]]);
    assert_eq!(effects(&derived), [Effect::Committed, burnt.clone(), burnt.clone()]);
    assert_eq!(derived.burnt, [(terms().expiry, binding_of(&terms(), &pair()))], "once");
    for height in [2, 50] {
        assert_eq!(effect_without_trace(&mut domain, height, &[vec![attempt(height as u32)]]), burnt);
    }
    // Forgotten when no bundle can be ordered with it any more. What protects senders then is what always does.
    let effect = effect_without_trace(&mut domain, 51, &[vec![attempt(51)]]);
    let reason = AbortReason::Invalid(InvalidTransaction::NonceTooLow { tx: 0, state: 1 });
    assert_eq!(effect, Effect::Aborted { leg: Some(0), reason });
}

/// Or somebody could keep the legs until they would succeed.
#[test]
fn legs_that_were_aborted_never_take_effect() {
    let mut domain = domain(&[A, B]);
    // The second leg is too early by one transaction.
    let legs = [Leg::write(A, 0, 0, 1), Leg::write(B, 1, 1, 2)];
    let signed = sign(&terms(), &legs);
    let attempt = |number| bundle_of(&terms(), number, signed.clone());
    let derived = derive(&mut domain, 1, &[vec![attempt(0), Leg::write(B, 1, 0, 9).alone()]]);
    let reason = AbortReason::Invalid(InvalidTransaction::NonceTooHigh { tx: 1, state: 0 });
    assert_eq!(effects(&derived), [Effect::Aborted { leg: Some(1), reason }]);
    assert_eq!(derived.burnt, [(terms().expiry, binding_of(&terms(), &legs))]);
    let burnt = Effect::Aborted { leg: None, reason: AbortReason::Burnt };
    for height in [2, 50] {
        assert_eq!(effect_without_trace(&mut domain, height, &[vec![attempt(height as u32)]]), burnt);
    }
    // The same legs under other terms are other legs.
    let again = Terms { salt: 2, ..terms() };
    let derived = derive(&mut domain, 51, &[vec![bundle_of(&again, 0, sign(&again, &legs))]]);
    assert_eq!(effects(&derived), [Effect::Committed]);
}

/// Only what all signers wanted can burn their binding.
#[test]
fn a_bundle_that_is_not_bound_burns_nothing() {
    let mut domain = domain(&[A, B]);
    let signed = sign(&terms(), &pair());
    let mut garbled = signed.clone();
    garbled[1].1 = b"garbage".to_vec();
    let typed = vec![signed[0].clone(), (B, raw(&pair()[1].clone().of(super::bundling::Kind::Legacy).sign(&[])))];
    let reordered = vec![signed[1].clone(), signed[0].clone()];
    let derived = derive(
        &mut domain,
        1,
        &[[garbled, typed, reordered].into_iter().map(|legs| bundle_of(&terms(), 0, legs)).collect()],
    );
    assert!(matches!(&effects(&derived)[..], [Effect::Aborted { .. }, Effect::Aborted { .. }, Effect::Aborted { .. }]));
    assert_eq!(derived.burnt, []);
    let derived = derive(&mut domain, 2, &[vec![bundle(&pair())]]);
    assert_eq!(effects(&derived), [Effect::Committed]);
    assert_eq!((written(&domain, A), written(&domain, B)), (11, 22));
}

/// The attempt is the payer's alone.
#[test]
fn legs_are_not_bound_to_the_attempt() {
    let signed = sign(&terms(), &pair());
    let derived = derive(&mut domain(&[A, B, C]), 1, &[vec![bundle_of(&terms(), 7, signed)]]);
    assert_eq!(effects(&derived), [Effect::Committed]);
}

//! Bundles with synchronous calls that have no effect, and transactions that make them fail: nothing of them is left on
//! any rollup. What is left where only a frame fails is in `undone`.

use super::{
    bundling::{Leg, Message, binding_of, bundle, bundle_of, effect_without_trace, effects, nonce, sign, terms},
    heights::{A, B, C, Ordered, SWAPPING, assert_same, derive},
    programs::words,
    scripts::{Kind, OTHER_SCRIPT, SCRIPT, Step, calling_domain, script},
    synchronous::{at, carrier, commits, running},
    wallets::Wallet,
};
use crate::{AbortReason, Effect, Reason};
use alloy_primitives::{Bytes, U256};
use chorale_types::RollupId;
use revm::context::result::InvalidTransaction;

fn ask(rollup: u64) -> Step {
    Step::Ask(rollup, vec![Step::Count(1), Step::Say(1)])
}

/// Two legs that call, and two that carry what is called.
fn four() -> [Leg; 4] {
    let calling = |rollup, wallet, other| {
        Leg::call(rollup, wallet, 0, SCRIPT, script(&[ask(other), Step::Count(2)])).with(|ask| ask.gas_limit = 500_000)
    };
    [calling(A, 0, B), calling(B, 2, A), calling(A, 3, B), carrier(B)]
}

#[track_caller]
fn fails(legs: &[Leg]) -> (usize, AbortReason) {
    let mut domain = calling_domain(&[A, B]);
    let effect = effect_without_trace(&mut domain, 1, &[vec![bundle(legs)]]);
    let Effect::Aborted { leg: Some(leg), reason } = effect else { panic!("{effect:?}") };
    (usize::from(leg), reason)
}

#[test]
fn nothing_is_wrong_with_the_bundle_that_all_begin_with() {
    let mut domain = calling_domain(&[A, B]);
    assert_eq!(effects(&derive(&mut domain, 1, &[vec![bundle(&four())]])), [Effect::Committed]);
    assert_eq!([A, B].map(|rollup| (at(&domain, rollup, SCRIPT, 1), at(&domain, rollup, SCRIPT, 2))), [(1, 2), (2, 1)]);
}

#[test]
fn a_leg_that_fails_at_any_place_takes_all_calls_with_it() {
    for place in 0..4 {
        let with = |wrong: &dyn Fn(Leg) -> Leg| {
            let mut legs = four();
            legs[place] = wrong(legs[place].clone());
            legs
        };
        let reverting = with(&|leg| Leg::reverting(leg.rollup, leg.wallet, 0));
        let (leg, reason) = fails(&reverting);
        assert_eq!((leg, reason), (place, AbortReason::Reverted { output: Bytes::from_static(b"because") }));
        let endless = with(&|leg| leg.with(|ask| (ask.to, ask.input) = (super::heights::ENDLESS.into(), Bytes::new())));
        assert!(matches!(fails(&endless), (leg, AbortReason::Halted(_)) if leg == place));
        let ahead = with(&|leg| leg.with(|ask| ask.nonce = 1));
        let reason = AbortReason::Invalid(InvalidTransaction::NonceTooHigh { tx: 1, state: 0 });
        assert_eq!(fails(&ahead), (place, reason));
        let poor = with(&|leg| Leg { wallet: 900, ..leg });
        let reason = fails(&poor);
        assert!(
            matches!(reason, (leg, AbortReason::Invalid(InvalidTransaction::LackOfFundForMaxFee { .. })) if leg == place)
        );
    }
}

/// A leg that has too little gas for all it does ends wherever that is.
#[test]
fn a_leg_that_runs_out_of_gas_takes_all_calls_with_it() {
    let mut committed = 0;
    for gas_limit in (40_000..120_000).step_by(2_500) {
        let mut legs = four();
        legs[2].ask.gas_limit = gas_limit;
        let mut domain = calling_domain(&[A, B]);
        let (before, payload) = (domain.clone(), vec![bundle(&legs)]);
        match &effects(&derive(&mut domain, 1, std::slice::from_ref(&payload)))[..] {
            [Effect::Committed] => {
                committed += 1;
                assert_eq!(at(&domain, A, SCRIPT, 2), 2);
            }
            [Effect::Aborted { leg: Some(2), .. }] => {
                effect_without_trace(&mut before.clone(), 1, &[payload]);
            }
            other => panic!("{other:?}"),
        }
    }
    assert!((5..28).contains(&committed), "{committed}");
}

#[test]
fn messages_that_do_not_match_take_all_calls_with_them() {
    let [sender, receiver] = [4, 1].map(|number| Wallet::new(number).address);
    let message = Message { from: A, to: B, sender, receiver, data: b"data" };
    let calling = running(&[ask(B)]);
    let (send, consume) = (Leg::sending(A, 4, 0, &message), Leg::consuming(B, 1, 0, &message));
    assert_eq!(fails(&[send.clone(), calling.clone(), carrier(B)]), (0, AbortReason::Unread));
    assert_eq!(fails(&[calling.clone(), consume.clone()]), (1, AbortReason::Unsent));
    let forged = Leg::consuming(B, 1, 0, &Message { data: b"date", ..message });
    assert_eq!(fails(&[send.clone(), calling.clone(), forged]), (2, AbortReason::Unsent));
    let mut domain = calling_domain(&[A, B]);
    assert_eq!(effects(&derive(&mut domain, 1, &[vec![bundle(&[send, calling, consume])]])), [Effect::Committed]);
}

/// Whoever could order a transaction before the bundle: it uses the nonce of a leg, of one that carries, or changes what a
/// call finds.
#[test]
fn a_transaction_of_an_earlier_payload_can_make_a_bundle_fail_but_not_half_of_it() {
    let swap = |from: u64, to: u64| words(&[U256::from(from), U256::from(to)]);
    let calling = running(&[Step::Remote(Kind::Surely, B, SWAPPING, 0, swap(0, 5))]);
    let legs = [calling, carrier(B)];
    let mut domain = calling_domain(&[A, B]);
    assert_eq!(effects(&derive(&mut domain, 1, &[vec![bundle(&legs)]])), [Effect::Committed]);
    for (killing, leg) in
        [(Leg::write(A, 0, 0, 7), 0), (Leg::write(B, 1, 0, 7), 1), (Leg::call(B, 2, 0, SWAPPING, swap(0, 9)), 0)]
    {
        let mut domain = calling_domain(&[A, B]);
        let effect = effect_without_trace(&mut domain, 1, &[vec![killing.alone()], vec![bundle(&legs)]]);
        assert!(matches!(effect, Effect::Aborted { leg: Some(failed), .. } if failed == leg), "{effect:?}");
        // In the same payload it comes too late.
        let mut domain = calling_domain(&[A, B]);
        assert_eq!(effects(&derive(&mut domain, 1, &[vec![killing.alone(), bundle(&legs)]])), [Effect::Committed]);
    }
}

#[test]
fn legs_that_call_have_no_life_of_their_own() {
    let legs = [running(&[ask(B)]), carrier(B)];
    let binding = binding_of(&terms(), &legs);
    let signed = sign(&terms(), &legs);
    let alone = |index: usize| Ordered::Transaction(signed[index].0, signed[index].1.clone());
    let mut domain = calling_domain(&[A, B]);
    let derived = derive(&mut domain, 1, &[vec![alone(0), alone(1)], vec![Ordered::inclusion(1, signed.clone())]]);
    for made in derived.blocks.values() {
        assert!(made.block.transactions.is_empty());
        assert!(made.skipped.iter().all(|skipped| skipped.reason == Reason::Leg(binding)));
    }
    // Nor without the leg that carries the call, or beside another one; and that burns nothing.
    let other = sign(&terms(), &[running(&[]), carrier(B)]);
    for wrong in
        [vec![signed[0].clone()], vec![signed[0].clone(), other[1].clone()], vec![signed[1].clone(), signed[0].clone()]]
    {
        let effect = effect_without_trace(&mut domain.clone(), 2, &[vec![bundle_of(&terms(), 0, wrong)]]);
        assert_eq!(
            effect,
            Effect::Aborted {
                leg: Some(if matches!(effect, Effect::Aborted { leg: Some(1), .. }) { 1 } else { 0 }),
                reason: AbortReason::Binding
            }
        );
    }
    let expired = crate::Terms { expiry: chorale_types::Height(terms().expiry.0 + 1), ..terms() };
    let effect = effect_without_trace(&mut domain.clone(), 2, &[vec![bundle_of(&expired, 0, signed.clone())]]);
    assert_eq!(effect, Effect::Aborted { leg: Some(0), reason: AbortReason::Binding });
    let derived = derive(&mut domain, 2, &[vec![bundle_of(&terms(), 0, signed)]]);
    assert_eq!(effects(&derived), [Effect::Committed]);
}

/// A contract that is called back while it waits could be surprised; nobody can.
#[test]
fn nobody_is_called_back() {
    // Two rollups, one contract each, and a third one beside them.
    let back = |rollup| Step::Ask(B, vec![Step::Write(3, 3), Step::Ask(rollup, vec![Step::Count(1)])]);
    for rollup in [A, B, C] {
        let mut domain = calling_domain(&[A, B, C]);
        let guarded = [Step::Write(2, 1), back(rollup), Step::Frame(Kind::Call, vec![back(rollup)]), Step::Write(2, 0)];
        let legs = [running(&guarded), carrier(C), carrier(B)];
        assert_eq!(effects(&derive(&mut domain, 1, &[vec![bundle(&legs)]])), [Effect::Committed]);
        assert_eq!((at(&domain, B, SCRIPT, 3), at(&domain, rollup, SCRIPT, 1)), (3, 0));
    }
}

/// What a bundle would do can be asked before, and is what it does.
#[test]
fn a_bundle_that_calls_can_be_simulated() {
    let mut domain = calling_domain(&[A, B]);
    let chains = domain.chains().iter().map(|(rollup, chain)| (*rollup, std::sync::Arc::new(chain.clone()))).collect();
    let legs = [running(&[ask(B), Step::Count(2)]), carrier(B)];
    let signed = sign(&terms(), &legs);
    let raw: Vec<_> = signed.iter().map(|(rollup, data)| (RollupId(*rollup), &data[..])).collect();
    let simulated = crate::simulate(&chains, &terms(), &raw).unwrap();
    let before = domain.clone();
    let derived = derive(&mut domain, 1, &[vec![bundle(&legs)]]);
    for ((_, result), rollup) in simulated.iter().zip([A, B]) {
        assert_eq!(result.tx_gas_used(), derived.blocks[&RollupId(rollup)].block.header.gas_used);
    }
    for (rollup, chain) in &chains {
        assert_eq!(chain.head(), before.chain(*rollup).unwrap().head());
    }
    let failing = sign(&terms(), &[running(&[ask(B), Step::Revert]), carrier(B)]);
    let raw: Vec<_> = failing.iter().map(|(rollup, data)| (RollupId(*rollup), &data[..])).collect();
    assert!(matches!(crate::simulate(&chains, &terms(), &raw), Err((Some(0), AbortReason::Reverted { .. }))));
}

/// Same senders, same calls, one height after the other: nothing of a leg's calls outlives it but what it did.
#[test]
fn a_domain_that_was_written_down_goes_on_the_same() {
    let mut domain = calling_domain(&[A, B]);
    commits(&mut domain, 1, &[ask(B), Step::Ask(B, vec![Step::Create(vec![])])]);
    let restored = domain.chains().values().map(|chain| {
        crate::Chain::restore(chain.rules().clone(), chain.state().clone(), chain.head().clone(), chain.height())
            .unwrap()
    });
    let burnt = [(terms().expiry, chorale_types::Digest::from([9; 32]))];
    let mut restored = crate::Domain::restore(domain.chain_id(), domain.id(), restored, domain.height(), burnt);
    for domain in [&mut domain, &mut restored] {
        commits(domain, 2, &[ask(B), Step::Frame(Kind::Call, vec![ask(B), Step::Revert])]);
    }
    assert_same(&domain, &restored);
    assert_eq!((at(&domain, B, SCRIPT, 1), at(&domain, A, OTHER_SCRIPT, 1), nonce(&domain, A, 0)), (2, 0, 2));
}

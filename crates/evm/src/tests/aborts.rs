//! Bundles that have no effect because of what comes of their legs.

use super::{
    bundling::{Kind, Leg, aborted, bundle, bundle_of, effect_without_trace, pair, sign, terms},
    heights::{A, B, C, ENDLESS, TALKATIVE, domain, domain_of, genesis},
    wallets::{Wallet, raw},
};
use crate::{AbortReason, Effect, TransactionError};
use alloy_primitives::{Address, Bytes, TxKind, U256};
use revm::context::result::{HaltReason, InvalidTransaction, OutOfGasError};

fn failed(leg: u8, reason: AbortReason) -> Effect {
    Effect::Aborted { leg: Some(leg), reason }
}

/// Three legs that nothing is wrong with but the one at a place.
fn with(place: usize, wrong: impl Fn(Leg) -> Leg) -> Vec<Leg> {
    let mut legs = vec![Leg::write(A, 0, 0, 1), Leg::write(B, 1, 0, 2), Leg::write(A, 2, 0, 3)];
    legs[place] = wrong(legs[place].clone());
    legs
}

#[test]
fn a_leg_that_reverts_takes_all_with_it() {
    for place in 0..3 {
        let legs = with(place, |leg| Leg::reverting(leg.rollup, leg.wallet, 0));
        let reason = AbortReason::Reverted { output: Bytes::from_static(b"because") };
        assert_eq!(aborted(bundle(&legs)), failed(place as u8, reason));
    }
}

#[test]
fn a_leg_that_ends_by_an_exception_takes_all_with_it() {
    for place in 0..3 {
        let legs = with(place, |leg| Leg::call(leg.rollup, leg.wallet, 0, ENDLESS, Bytes::new()));
        let reason = AbortReason::Halted(HaltReason::OutOfGas(OutOfGasError::Basic));
        assert_eq!(aborted(bundle(&legs)), failed(place as u8, reason));
    }
    let invalid = |leg: Leg| leg.with(|ask| (ask.to, ask.input) = (TxKind::Create, Bytes::from_static(&[0xfe])));
    assert_eq!(aborted(bundle(&with(2, invalid))), failed(2, AbortReason::Halted(HaltReason::InvalidFEOpcode)));
}

#[test]
fn a_leg_with_too_little_gas_to_begin_takes_all_with_it() {
    for place in 0..3 {
        let effect = aborted(bundle(&with(place, |leg| leg.with(|ask| ask.gas_limit = 21_000))));
        let Effect::Aborted { leg: Some(leg), reason: AbortReason::Invalid(reason) } = effect else {
            panic!("{effect:?}")
        };
        assert_eq!(usize::from(leg), place);
        assert!(matches!(reason, InvalidTransaction::CallGasCostMoreThanGasLimit { .. }), "{reason:?}");
    }
}

#[test]
fn a_leg_with_a_wrong_nonce_takes_all_with_it() {
    for place in 0..3 {
        let legs = with(place, |leg| leg.with(|ask| ask.nonce = 1));
        let reason = AbortReason::Invalid(InvalidTransaction::NonceTooHigh { tx: 1, state: 0 });
        assert_eq!(aborted(bundle(&legs)), failed(place as u8, reason));
    }
    // The nonce is that after the leg before.
    let same = with(2, |leg| Leg { wallet: 0, ..leg });
    let reason = AbortReason::Invalid(InvalidTransaction::NonceTooLow { tx: 0, state: 1 });
    assert_eq!(aborted(bundle(&same)), failed(2, reason));
}

#[test]
fn a_leg_that_cannot_be_paid_takes_all_with_it() {
    for place in 0..3 {
        for poor in [
            // An account that does not exist; one that has less than it wants to give.
            with(place, |leg| Leg { wallet: 900, ..leg }),
            with(place, |leg| leg.with(|ask| ask.value = U256::from(10u128.pow(21)))),
        ] {
            let effect = aborted(bundle(&poor));
            let Effect::Aborted { leg: Some(leg), reason: AbortReason::Invalid(reason) } = effect else {
                panic!("{effect:?}")
            };
            assert_eq!(usize::from(leg), place);
            assert!(matches!(reason, InvalidTransaction::LackOfFundForMaxFee { .. }), "{reason:?}");
        }
        let cheap = with(place, |leg| leg.with(|ask| (ask.fee, ask.tip) = (1, 0)));
        let reason = AbortReason::Invalid(InvalidTransaction::GasPriceLessThanBasefee);
        assert_eq!(aborted(bundle(&cheap)), failed(place as u8, reason));
    }
}

/// What an earlier leg spends is spent.
#[test]
fn legs_cannot_spend_the_same_money() {
    let rich = U256::from(10u128.pow(21)) - U256::from(10u128.pow(17));
    let give = |nonce| {
        let leg = Leg::call(A, 0, nonce, Address::repeat_byte(0x77), Bytes::new());
        leg.with(|ask| ask.value = rich)
    };
    let effect = aborted(bundle(&[give(0), Leg::write(B, 1, 0, 2), give(1)]));
    let Effect::Aborted { leg: Some(2), reason: AbortReason::Invalid(reason) } = effect else { panic!("{effect:?}") };
    assert!(matches!(reason, InvalidTransaction::LackOfFundForMaxFee { .. }), "{reason:?}");
}

#[test]
fn a_leg_of_a_type_without_access_list_or_with_delegations_takes_all_with_it() {
    for place in 0..3 {
        for (kind, number) in [(Kind::Legacy, 0), (Kind::SetCode, 4)] {
            let effect = aborted(bundle(&with(place, |leg| leg.of(kind))));
            assert_eq!(effect, failed(place as u8, AbortReason::Type(number)));
        }
    }
}

#[test]
fn a_leg_that_is_no_transaction_of_its_rollup_takes_all_with_it() {
    for place in 0..3 {
        let foreign = with(place, |leg| Leg { chain_id: C, ..leg });
        let expected = foreign[place].rollup;
        let reason = TransactionError::OtherChain { expected, found: C };
        assert_eq!(aborted(bundle(&foreign)), failed(place as u8, reason.into()));

        let mut garbage = sign(&terms(), &with(place, |leg| leg));
        garbage[place].1 = b"garbage".to_vec();
        let effect = aborted(bundle_of(&terms(), 0, garbage));
        assert!(
            matches!(
                effect,
                Effect::Aborted {
                    leg: Some(leg),
                    reason: AbortReason::Transaction(TransactionError::Encoding(_))
                } if usize::from(leg) == place
            ),
            "{effect:?}"
        );
    }
}

/// A leg of one rollup, ordered for another one: whoever orders cannot move it.
#[test]
fn a_leg_is_for_the_rollup_that_it_is_signed_for() {
    let mut moved = sign(&terms(), &pair());
    moved[0].0 = B;
    let reason = TransactionError::OtherChain { expected: B, found: A };
    assert_eq!(aborted(bundle_of(&terms(), 0, moved)), failed(0, reason.into()));
}

/// Memory that the EVM has asked for is not kept, and of what a contract says when it reverts the beginning.
#[test]
fn a_leg_that_returns_much_is_a_leg_like_others() {
    let talking =
        |rollup, wallet| Leg::call(rollup, wallet, 0, TALKATIVE, Bytes::new()).with(|ask| ask.gas_limit = 2_000_000);
    let mut domain = domain(&[A, B]);
    let derived = super::heights::derive(&mut domain, 1, &[vec![bundle(&[talking(A, 0), talking(B, 1)])]]);
    assert_eq!(super::bundling::effects(&derived), [Effect::Committed]);
    let code: Bytes = [0x62, 8, 0, 0, 0x5f, 0xfd].as_slice().to_vec().into(); // reverts with as much
    let reverting = talking(B, 1).with(|ask| (ask.to, ask.input) = (TxKind::Create, code));
    let reason = AbortReason::Reverted { output: vec![0; crate::REVERT_BYTES_MAX].into() };
    assert_eq!(aborted(bundle(&[talking(A, 0), reverting])), failed(1, reason));
}

/// A contract may not send (EIP-3607), not even if somebody finds a key for its address.
#[test]
fn a_contract_signs_no_leg() {
    let with_code = |rollup| {
        let mut genesis = genesis(rollup);
        let code = Some(Bytes::from_static(super::programs::STORE));
        genesis.alloc.entry(Wallet::new(1).address).and_modify(|account| account.code = code);
        genesis
    };
    let mut domain = domain_of([with_code(A), with_code(B)]);
    let effect = effect_without_trace(&mut domain, 1, &[vec![bundle(&pair())]]);
    assert_eq!(effect, failed(1, AbortReason::Invalid(InvalidTransaction::RejectCallerWithCode)));
    assert!(crate::recover(&raw(&pair()[1].sign(&[])), B).is_ok());
}

//! Payers' signatures, as wallets make them.

use super::samples::{chain, executed_bundle, paid};
use crate::*;

/// Made by `cast wallet sign` with the first key of the well-known mnemonic, over [`pay_message`] of the sample.
const SIGNATURE: &str = include_str!("../../fixtures/payer-signature.hex");

fn signature() -> AccountSignature {
    AccountSignature(hex::decode(SIGNATURE.trim()).unwrap().try_into().unwrap())
}

fn message() -> [u8; 32] {
    pay_message(chain(), executed_bundle().id())
}

#[test]
fn a_wallets_signature_names_its_account() {
    assert_eq!(signature().signer(&message()), Some(paid().execution.payer));
    assert_ne!(signature().signer(&[1; 32]), Some(paid().execution.payer));
}

#[test]
fn of_two_signatures_that_verify_only_one_counts() {
    let mut other = signature();
    let low = secp256k1::Scalar::from_be_bytes(other.0[32..64].try_into().unwrap()).unwrap();
    let high = secp256k1::SecretKey::from_slice(&low.to_be_bytes()).unwrap().negate();
    other.0[32..64].copy_from_slice(&high.secret_bytes());
    other.0[64] = if other.0[64] == 27 { 28 } else { 27 };
    assert_eq!(other.signer(&message()), None, "its s is in the upper half");
    for v in [0, 1, 26, 29, 255] {
        let mut wrong = signature();
        wrong.0[64] = v;
        assert_eq!(wrong.signer(&message()), None, "v is {v}");
    }
    assert_eq!(AccountSignature([0; 65]).signer(&message()), None);
    assert_eq!(AccountSignature([255; 65]).signer(&message()), None);
}

#[test]
fn a_promise_needs_one_domain_and_the_payer() {
    let bundle = executed_bundle();
    let Promise::Execution(paid) = bundle.promise else { unreachable!() };
    let promise = Promise::Execution(PaidExecution { signature: signature(), ..paid });
    let check = |promise: Promise, domain_of: fn(RollupId) -> Option<DomainId>| {
        promise.check(chain(), bundle.id(), &bundle.legs, domain_of)
    };
    assert_eq!(check(promise, |_| Some(DomainId(7))), Ok(()));
    let elsewhere = PromiseError::Domain { rollup: RollupId(3), domain: DomainId(7) };
    assert_eq!(check(promise, |rollup| Some(DomainId(rollup.0))), Err(elsewhere));
    assert_eq!(check(promise, |rollup| (rollup.0 != 3).then_some(DomainId(7))), Err(elsewhere));
    let unsigned = PromiseError::Signature { payer: paid.execution.payer };
    assert_eq!(check(bundle.promise, |_| Some(DomainId(7))), Err(unsigned));
    assert_eq!(check(Promise::Inclusion, |_| None), Ok(()));
}

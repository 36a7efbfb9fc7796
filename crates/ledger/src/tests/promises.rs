//! What a bundle that executes as a whole needs to be ordered.

use super::*;
use crate::SkipReason;
use chorale_types::{
    AccountId, AccountSignature, Atomicity, DomainId, Execution, PaidExecution, PromiseError, codec::Encode,
    codec::decode,
};

/// Of the payer below, over the bundle below, on the chain below: a golden signature, made by a wallet.
const SIGNATURE: &str = include_str!("../../../types/fixtures/payer-signature.hex");
const PAYER: &str = "f39fd6e51aad88f6f4ce6ab8827279cfffb92266";

fn bytes<const N: usize>(text: &str) -> [u8; N] {
    let byte = |at: usize| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap();
    std::array::from_fn(byte)
}

/// A chain whose rollups 3 and 7 are in these domains.
fn ledger(domains: [Option<u64>; 2]) -> Ledger {
    let rules = |domain: Option<u64>| RollupRules { has_nonces: true, domain: domain.map(DomainId), owner: None };
    let [three, seven] = domains.map(rules);
    Ledger::new(Config {
        chain: ChainId(tagged_hash("test", &[b"chain"])),
        rollups: [(RollupId(3), three), (RollupId(7), seven)].into(),
        ..config()
    })
}

fn paid() -> PaidExecution {
    let execution = Execution { domain: DomainId(7), payer: AccountId(bytes(PAYER)), max_fee: 1_000_000, attempt: 2 };
    PaidExecution { execution, signature: AccountSignature(bytes(SIGNATURE)) }
}

fn promised(paid: PaidExecution) -> Unit {
    let legs = List::new(vec![transaction(7, "leg 0"), transaction(3, "leg 1")]).unwrap();
    Unit::Bundle(Bundle { promise: Promise::Execution(paid), legs, expiry: Height(99), salt: 5 })
}

#[test]
fn a_bundle_of_one_domain_with_its_payers_signature_is_ordered_with_its_terms() {
    let mut ledger = ledger([Some(7), Some(7)]);
    let settled = settle(&mut ledger, vec![promised(paid())]);
    assert_eq!(settled.skipped, []);
    assert_eq!(settled.bundles[0].atomicity, Atomicity::Execution(paid().execution));
    assert!(settled.bundles[0].is_named_by_its_id());
    let again = settle(&mut ledger, vec![promised(paid())]);
    assert_eq!(again.skipped[0].reason, SkipReason::Burnt { first: Height(1) });
}

/// The signature is the one thing that the id does not bind: ordered with a wrong one, a bundle is not used up.
#[test]
fn a_forged_signature_takes_nothing_from_the_true_one() {
    let mut ledger = ledger([Some(7), Some(7)]);
    let forged = PaidExecution { signature: AccountSignature([9; 65]), ..paid() };
    assert_eq!(promised(forged).id(), promised(paid()).id());
    let settled = settle(&mut ledger, vec![promised(forged), promised(paid())]);
    let unsigned = PromiseError::Signature { payer: paid().execution.payer };
    assert_eq!(settled.skipped[0].reason, SkipReason::Promise(unsigned));
    assert_eq!(settled.bundles.len(), 1);
}

#[test]
fn a_bundle_that_cannot_be_promised_to_execute_is_left_out_and_its_id_is_not_burnt() {
    let other = PaidExecution { execution: Execution { attempt: 3, ..paid().execution }, ..paid() };
    let unsigned = PromiseError::Signature { payer: paid().execution.payer };
    let outside = |rollup| PromiseError::Domain { rollup: RollupId(rollup), domain: DomainId(7) };
    let cases = [
        ([Some(7), Some(7)], other, unsigned),
        ([Some(8), Some(7)], paid(), outside(3)),
        ([Some(7), None], paid(), outside(7)),
    ];
    for (domains, paid, expected) in cases {
        let mut ledger = ledger(domains);
        for _ in 0..2 {
            let settled = settle(&mut ledger, vec![promised(paid)]);
            assert_eq!(settled.skipped[0].reason, SkipReason::Promise(expected));
            assert!(settled.lanes.is_empty());
        }
        let reason = SkipReason::Promise(expected);
        assert_eq!(decode::<SkipReason>(reason.encode().to_vec()).unwrap(), reason);
    }
}

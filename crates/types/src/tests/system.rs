//! What is ordered for the chain itself, and what executed rollups became.

use super::samples::{chain, digest, executed_height};
use crate::*;

#[test]
fn an_owners_word_is_for_one_suspension_of_one_rollup_of_one_chain() {
    let secret = AccountSecret::from_bytes([7; 32]).unwrap();
    let resume = |chain, rollup, since| {
        let signature = secret.sign(&Resume::message(chain, rollup, since, 5));
        Resume { rollup, since, salt: 5, signature }
    };
    let good = resume(chain(), RollupId(7), Height(6));
    assert_eq!(good.signer(chain()), Some(secret.account()));
    let others = [
        Resume { rollup: RollupId(8), ..good },
        Resume { since: Height(7), ..good },
        Resume { salt: 6, ..good },
        resume(ChainId(digest("other")), RollupId(7), Height(6)),
    ];
    for other in others {
        assert_ne!(other.signer(chain()), Some(secret.account()), "{other:?}");
    }
    assert!(AccountSecret::from_bytes([0; 32]).is_none());
    assert!(!format!("{secret:?}").contains("0707"), "secrets are not shown");
}

#[test]
fn an_item_travels_as_a_transaction_of_rollup_0() {
    let signature = AccountSignature([3; AccountSignature::BYTES]);
    let item = SystemItem::Resume(Resume { rollup: RollupId(7), since: Height(6), salt: 5, signature });
    let transaction = item.to_transaction();
    assert_eq!(transaction.rollup, RollupId::SYSTEM);
    assert_eq!(SystemItem::read(&transaction.data).unwrap(), item);
    let mut longer = transaction.data.to_vec();
    longer.push(0);
    assert!(SystemItem::read(&longer).is_err() && SystemItem::read(&[]).is_err());
}

#[test]
fn every_bundle_and_every_head_of_a_height_is_proven_and_no_other() {
    let executed = executed_height();
    let outcome = &executed.outcome;
    for bundle in executed.bundles.iter() {
        let proof = executed.prove_bundle(bundle.id).unwrap();
        assert!(proof.bundle == *bundle && proof.holds(outcome));
        let effect = BundleEffect::Aborted { leg: Some(9), reason: 9, burns: false };
        let lie = BundleEffectProof { bundle: ExecutedBundle { effect, ..*bundle }, ..proof };
        assert!(!lie.holds(outcome));
    }
    for head in executed.heads.iter() {
        let proof = executed.prove_head(head.rollup).unwrap();
        assert!(proof.head == *head && proof.holds(outcome));
        let lie = RollupHeadProof { head: RollupHead { number: head.number + 1, ..*head }, ..proof };
        assert!(!lie.holds(outcome));
    }
    assert!(executed.prove_bundle(BundleId(digest("other"))).is_none());
    assert!(executed.prove_head(RollupId(u64::MAX)).is_none());
}

//! Signatures: what holds, what does not, and keys without proof.

use super::samples::{chain, digest, epoch_info, secret, statements};
use crate::*;

fn sign(index: u8, statement: &Statement) -> Signature {
    Bls::signer(secret(index)).sign(chain(), Epoch(0), statement)
}

fn one<'a>(index: u16, statement: Statement, signature: &'a Signature) -> Claim<'a> {
    Claim { signatories: Signatories::One(ValidatorIndex(index)), statement, signature }
}

fn holds(claims: &[Claim<'_>]) -> bool {
    Bls::verifier().verify(chain(), Epoch(0), &epoch_info(&[1, 1, 1, 1]).validators, claims)
}

#[test]
fn a_signature_holds_for_its_signer_statement_chain_and_epoch_only() {
    let all = statements();
    let validators = epoch_info(&[1, 1, 1, 1]).validators;
    let scheme = Bls::verifier();
    for (name, statement) in &all {
        let signature = sign(1, statement);
        let claim = one(1, *statement, &signature);
        assert!(holds(&[claim]), "{name}");
        assert!(!holds(&[one(0, *statement, &signature)]), "{name}: another signer");
        assert!(!holds(&[one(4, *statement, &signature)]), "{name}: a stranger");
        assert!(!scheme.verify(ChainId(digest("other")), Epoch(0), &validators, &[claim]), "{name}: another chain");
        assert!(!scheme.verify(chain(), Epoch(1), &validators, &[claim]), "{name}: another epoch");
        for (other, statement) in all.iter().filter(|(other, _)| other != name) {
            assert!(!holds(&[one(1, *statement, &signature)]), "{name} taken for {other}");
        }
    }
}

#[test]
fn aggregates_hold_for_exactly_their_signers() {
    let (_, statement) = statements()[2];
    let signatures: Vec<Signature> = [0, 2, 3].map(|index| sign(index, &statement)).to_vec();
    let signature = Bls::verifier().aggregate(&signatures).unwrap();
    let of = |members: &[u16]| Signers::of(4, members.iter().copied().map(ValidatorIndex));
    let verify = |signers: &Signers| {
        holds(&[Claim { signatories: Signatories::All(signers), statement, signature: &signature }])
    };
    assert!(verify(&of(&[0, 2, 3])));
    for others in [&[0u16, 2][..], &[0, 1, 2, 3], &[0, 1, 3], &[]] {
        assert!(!verify(&of(others)), "{others:?}");
    }
    assert!(!verify(&Signers::of(5, [0, 2, 3].map(ValidatorIndex))), "a set of another size");
}

#[test]
fn a_batch_holds_if_all_of_it_does() {
    let all = statements();
    let signatures: Vec<Signature> = all.iter().map(|(_, statement)| sign(2, statement)).collect();
    let claims: Vec<Claim<'_>> =
        all.iter().zip(&signatures).map(|((_, statement), signature)| one(2, *statement, signature)).collect();
    assert!(holds(&claims));
    assert!(holds(&[]), "nothing claimed");
    for bad in 0..claims.len() {
        let mut changed = claims.clone();
        changed[bad].signature = &signatures[(bad + 1) % signatures.len()];
        assert!(!holds(&changed), "claim {bad} is false");
    }
    // Two false signatures whose errors cancel in a plain sum.
    let mut swapped = claims;
    swapped[0].signature = &signatures[1];
    swapped[1].signature = &signatures[0];
    assert!(!holds(&swapped));
}

#[test]
fn bytes_that_are_no_point_hold_nowhere() {
    let (_, statement) = statements()[0];
    for bytes in [[0; 48], [0xff; 48], {
        let mut infinity = [0; 48];
        infinity[0] = 0xc0;
        infinity
    }] {
        let signature = Signature(bytes);
        assert!(!holds(&[one(0, statement, &signature)]));
    }
    assert_eq!(Bls::verifier().aggregate([&Signature([0xff; 48])]), None);
    let mut signature = sign(0, &statement);
    signature.0[47] ^= 1;
    assert!(!holds(&[one(0, statement, &signature)]));
}

#[test]
fn possession_is_proven_by_the_own_key_only() {
    let proof = secret(0).prove_possession();
    assert!(secret(0).public().verify_possession(&proof));
    assert!(!secret(1).public().verify_possession(&proof));
    assert!(!secret(0).public().verify_possession(&Signature::NONE));
    // A signature over a statement is no proof, and a proof is no signature over one.
    let (_, statement) = statements()[0];
    assert!(!secret(0).public().verify_possession(&sign(0, &statement)));
    assert!(!holds(&[one(0, statement, &proof)]));
}

#[test]
fn keys_survive_their_bytes_and_hide_in_logs() {
    let key = secret(7);
    let again = ConsensusSecret::from_bytes(key.to_bytes()).unwrap();
    assert_eq!(again.public(), key.public());
    assert_eq!(format!("{key:?}"), "ConsensusSecret(..)");
    assert!(ConsensusSecret::from_bytes([0xff; 32]).is_err(), "above the order of the group");
}

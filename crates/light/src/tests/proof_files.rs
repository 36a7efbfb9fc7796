//! Proof files: checked offline, from the genesis on.

use super::*;
use crate::{Claim, LaneClaim, ProofFile, ProofFileError, Proven};
use chorale_types::{
    ProofError, TxId,
    codec::{Encode, decode},
    prove_bundle, prove_transaction,
};
use proptest::prelude::*;
use std::path::PathBuf;

fn file(served: &[Served], height: u64, claim: Claim) -> ProofFile {
    let served_at = &served[usize::try_from(height - 1).unwrap()];
    let hand_overs = (0..(height - 1) / EPOCH_HEIGHTS).map(|epoch| hand_over(served, epoch)).collect();
    ProofFile {
        hand_overs: List::new(hand_overs).unwrap(),
        outcome: served_at.outcome().clone(),
        attestation: served_at.attestation.clone(),
        claim,
    }
}

fn id(unit: &Transaction) -> TxId {
    unit.id()
}

/// One file for every kind of claim, in the order of their tags, with what it proves.
fn files() -> Vec<(ProofFile, Proven)> {
    let served = serve(chain(), &history());
    let (one, two, three) = (RollupId(1), RollupId(2), RollupId(3));
    let at = |height: usize| &served[height - 1].settled;
    let transaction_id = id(&transaction(1, "g"));
    let by_id = prove_transaction(&at(7).lane_tree, &at(7).lanes[&one], &transaction_id).unwrap();
    let legs = prove_bundle(&at(3).lane_tree, &at(3).lanes, &at(3).bundles[0]).unwrap();
    let lane = LaneClaim { lane: at(3).lanes[&two].clone(), proof: at(3).lane_tree.prove(two).unwrap() };
    vec![
        (file(&served, 7, Claim::Transaction(by_id)), Proven::Transaction { id: transaction_id, rollup: one }),
        (file(&served, 3, Claim::Bundle(legs)), Proven::Bundle { id: bundle().id(), legs: 2 }),
        (file(&served, 3, Claim::Lane(lane)), Proven::Lane { rollup: two, items: 2, previous: Height(0) }),
        (
            file(&served, 7, Claim::Absence(at(7).lane_tree.prove_absence(two).unwrap())),
            Proven::Absence { rollup: two },
        ),
        (
            file(&served, 12, Claim::Registry(at(12).registry_tree.prove(three).unwrap())),
            Proven::Registry { rollup: three, last: Height(0) },
        ),
    ]
}

#[test]
fn every_kind_of_claim_is_proven_from_the_genesis() {
    for (file, expected) in files() {
        let read = ProofFile::read_file(file.encode().to_vec()).unwrap();
        assert_eq!(read, file);
        let (proven, attested) = read.verify(&mut light()).unwrap();
        assert_eq!(proven, expected);
        assert_eq!(attested.outcome(), &file.outcome);
    }
}

#[test]
fn a_verifier_that_has_gone_further_is_fine_with_old_files() {
    let served = serve(chain(), &history());
    let mut light = light();
    light.hand_over(hand_over(&served, 0)).unwrap();
    light.hand_over(hand_over(&served, 1)).unwrap();
    for (file, expected) in files() {
        assert_eq!(file.verify(&mut light).unwrap().0, expected);
    }
}

#[test]
fn a_claim_of_another_height_is_refused() {
    let files = files();
    for (file, _) in &files {
        // Heights without content have the registry of the one before, and the claim is true of them as well.
        let differs = |other: &ProofFile| match other.claim {
            Claim::Registry(_) => other.outcome.registry != file.outcome.registry,
            _ => other.outcome.lanes != file.outcome.lanes,
        };
        for (other, _) in files.iter().filter(|(other, _)| differs(other)) {
            let mixed = ProofFile { claim: other.claim.clone(), ..file.clone() };
            assert!(matches!(mixed.verify(&mut light()), Err(ProofFileError::Claim { .. })));
        }
    }
}

#[test]
fn false_absence_is_refused() {
    let (file, _) = files().swap_remove(3);
    let Claim::Absence(absence) = &file.claim else { unreachable!() };
    let mut lie = absence.clone();
    lie.rollup = RollupId(1);
    let file = ProofFile { claim: Claim::Absence(lie), ..file.clone() };
    assert!(matches!(
        file.verify(&mut light()),
        Err(ProofFileError::Claim { error: ProofError::Absence(RollupId(1)), .. })
    ));
}

#[test]
fn missing_hand_overs_are_named() {
    let (file, _) = files().swap_remove(0);
    let file = ProofFile { hand_overs: List::default(), ..file };
    let error = file.verify(&mut light()).unwrap_err().to_string();
    assert_eq!(error, "the validators of epoch 1 are not known; hand-overs have led to epoch 0");
}

#[test]
fn no_bit_of_a_file_can_be_changed() {
    for (file, expected) in files().into_iter().take(2) {
        let bytes = file.encode();
        for byte in 0..bytes.len() {
            // Every byte of the end, where the claim is; a few of the signatures and keys before, which cost a
            // pairing each.
            if byte + 700 < bytes.len() && byte % 53 != 0 {
                continue;
            }
            let mut changed = bytes.to_vec();
            changed[byte] ^= 4;
            if let Ok(file) = ProofFile::read_file(changed) {
                let proven = file.verify(&mut light()).map(|(proven, _)| proven);
                assert!(proven.is_err(), "byte {byte}: {expected:?} became {proven:?}");
            }
        }
    }
}

/// The formats of proof files. Written anew only by `UPDATE_FIXTURES=1 cargo test -p chorale-light`.
#[test]
fn files_are_as_they_were() {
    let names = ["transaction", "bundle", "lane", "absence", "registry"];
    for (name, (file, expected)) in names.into_iter().zip(files()) {
        let path = PathBuf::from("fixtures").join(format!("{name}.proof.hex"));
        if std::env::var_os("UPDATE_FIXTURES").is_some_and(|value| value == "1") {
            std::fs::write(&path, hex::encode(file.encode()) + "\n").unwrap();
        }
        let golden = std::fs::read_to_string(path).unwrap();
        assert_eq!(hex::encode(file.encode()), golden.trim(), "the format of {name} proofs changed");
        let stored: ProofFile = decode(hex::decode(golden.trim()).unwrap()).unwrap();
        assert_eq!(stored.verify(&mut light()).unwrap().0, expected, "a file of an earlier version");
    }
}

proptest! {
    #[test]
    fn garbage_is_no_proof_file(mut bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        if bytes.len() > 13 {
            bytes[..13].copy_from_slice(b"CHORALEPROOF\x01");
        }
        prop_assert!(ProofFile::read_file(bytes).is_err());
    }
}

//! Proof files: checked offline, from the genesis on.

use super::*;
use crate::{
    Claim, ExecutionClaim, ExecutionProof, LaneClaim, LightError, OrderProof, Proof, ProofFile, ProofFileError, Proven,
    ProvenExecution, Verified,
};
use chorale_types::{
    AttestationError, BundleEffect, DomainId, ExecutedBundle, ExecutedHeight, ExecutionOutcome, ProofError, RollupHead,
    TxId,
    codec::{Encode, decode},
    prove_bundle, prove_transaction,
};
use proptest::prelude::*;
use std::path::PathBuf;

fn file(served: &[Served], height: u64, claim: Claim) -> ProofFile {
    let served_at = &served[usize::try_from(height - 1).unwrap()];
    let hand_overs = (0..(height - 1) / EPOCH_HEIGHTS).map(|epoch| hand_over(served, epoch)).collect();
    let proof = OrderProof { outcome: served_at.outcome().clone(), attestation: served_at.attestation.clone(), claim };
    ProofFile { hand_overs: List::new(hand_overs).unwrap(), proof: Proof::Order(proof) }
}

fn order(file: &ProofFile) -> &OrderProof {
    match &file.proof {
        Proof::Order(proof) => proof,
        Proof::Execution(_) => panic!("not about the order"),
    }
}

/// The same with another claim.
fn claiming(file: &ProofFile, claim: Claim) -> ProofFile {
    ProofFile { proof: Proof::Order(OrderProof { claim, ..order(file).clone() }), ..file.clone() }
}

fn proven(verified: &Verified) -> Proven {
    match verified {
        Verified::Order(proven, _) => *proven,
        Verified::Execution(proven, _) => panic!("{proven:?}"),
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
        let Verified::Order(proven, attested) = read.verify(&mut light()).unwrap() else { panic!("of another kind") };
        assert_eq!(proven, expected);
        assert_eq!(attested.outcome(), &order(&file).outcome);
    }
}

#[test]
fn a_verifier_that_has_gone_further_is_fine_with_old_files() {
    let served = serve(chain(), &history());
    let mut light = light();
    light.hand_over(hand_over(&served, 0)).unwrap();
    light.hand_over(hand_over(&served, 1)).unwrap();
    for (file, expected) in files() {
        assert_eq!(proven(&file.verify(&mut light).unwrap()), expected);
    }
}

#[test]
fn a_claim_of_another_height_is_refused() {
    let files = files();
    for (file, _) in &files {
        // Heights without content have the registry of the one before, and the claim is true of them as well.
        let differs = |other: &ProofFile| match order(other).claim {
            Claim::Registry(_) => order(other).outcome.registry != order(file).outcome.registry,
            _ => order(other).outcome.lanes != order(file).outcome.lanes,
        };
        for (other, _) in files.iter().filter(|(other, _)| differs(other)) {
            let mixed = claiming(file, order(other).claim.clone());
            assert!(matches!(mixed.verify(&mut light()), Err(ProofFileError::Claim { .. })));
        }
    }
}

#[test]
fn false_absence_is_refused() {
    let (file, _) = files().swap_remove(3);
    let Claim::Absence(absence) = &order(&file).claim else { unreachable!() };
    let mut lie = absence.clone();
    lie.rollup = RollupId(1);
    let file = claiming(&file, Claim::Absence(lie));
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
                let proven = file.verify(&mut light());
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
        assert_eq!(proven(&stored.verify(&mut light()).unwrap()), expected, "a file of an earlier version");
    }
}

/// What the rollups of a domain became at the last height of an epoch, where a bundle was aborted.
fn executed() -> ExecutedHeight {
    let head = |rollup| RollupHead {
        rollup: RollupId(rollup),
        number: 5 * rollup,
        block: tagged_hash("test/block", &[&rollup.to_be_bytes()]),
        state: tagged_hash("test/state", &[&rollup.to_be_bytes()]),
    };
    let heads = vec![head(1), head(2), head(3)];
    let aborted = BundleEffect::Aborted { leg: Some(1), reason: 7, burns: true };
    let bundles = vec![
        ExecutedBundle { id: bundle().id(), effect: aborted },
        ExecutedBundle {
            id: chorale_types::BundleId(tagged_hash("test/bundle", &[])),
            effect: BundleEffect::Committed,
        },
    ];
    let outcome = ExecutionOutcome {
        chain: chain(),
        domain: DOMAIN,
        height: Height(2 * EPOCH_HEIGHTS),
        previous: Height(3),
        order: tagged_hash("test/order", &[]),
        rollups: ExecutionOutcome::rollups_root(&heads),
        bundles: ExecutionOutcome::bundles_root(&bundles),
        burnt: tagged_hash("test/burnt", &[]),
    };
    ExecutedHeight { outcome, heads: List::new(heads).unwrap(), bundles: List::new(bundles).unwrap() }
}

fn executed_file(claim: ExecutionClaim, signers: &[u16]) -> ProofFile {
    file_of(executed().outcome, claim, signers)
}

/// A claim about what was executed in epoch 1.
pub(super) fn file_of(outcome: ExecutionOutcome, claim: ExecutionClaim, signers: &[u16]) -> ProofFile {
    let served = serve(chain(), &history());
    let attestation = attest_as(chain(), Epoch(1), outcome.statement(), signers);
    let proof = Proof::Execution(ExecutionProof { outcome, attestation, claim });
    ProofFile { hand_overs: List::new(vec![hand_over(&served, 0)]).unwrap(), proof }
}

fn executed_files() -> Vec<(&'static str, ProofFile, ProvenExecution)> {
    let executed = executed();
    let (id, effect) = (executed.bundles[0].id, executed.bundles[0].effect);
    let bundle = ExecutionClaim::Bundle(executed.prove_bundle(id).unwrap());
    let head = ExecutionClaim::Head(executed.prove_head(RollupId(3)).unwrap());
    vec![
        (
            "executed-bundle",
            executed_file(bundle, &[0, 1, 2]),
            ProvenExecution::Bundle { id, domain: DOMAIN, effect, legs: Vec::new() },
        ),
        ("rollup-head", executed_file(head, &[0, 1, 2]), ProvenExecution::Head(executed.heads[2])),
    ]
}

#[test]
fn what_executed_rollups_became_is_proven_from_the_genesis() {
    for (name, file, expected) in executed_files() {
        let path = PathBuf::from("fixtures").join(format!("{name}.proof.hex"));
        if std::env::var_os("UPDATE_FIXTURES").is_some_and(|value| value == "1") {
            std::fs::write(&path, hex::encode(file.encode()) + "\n").unwrap();
        }
        let golden = std::fs::read_to_string(path).unwrap();
        assert_eq!(hex::encode(file.encode()), golden.trim(), "the format of {name} proofs changed");
        let stored = ProofFile::read_file(hex::decode(golden.trim()).unwrap()).unwrap();
        match stored.verify(&mut light()).unwrap() {
            Verified::Execution(proven, executed) => {
                assert_eq!((proven, executed.epoch()), (expected, Epoch(1)));
                assert_eq!(executed.outcome().height, Height(2 * EPOCH_HEIGHTS));
            }
            other @ Verified::Order(..) => panic!("{other:?}"),
        }
        let bytes = file.encode();
        for byte in bytes.len().saturating_sub(400)..bytes.len() {
            let mut changed = bytes.to_vec();
            changed[byte] ^= 4;
            let verified = ProofFile::read_file(changed).and_then(|file| file.verify(&mut light()));
            assert!(verified.is_err(), "{name}, byte {byte}: {verified:?}");
        }
    }
}

#[test]
fn only_those_who_execute_a_domain_attest_it() {
    let claim = || ExecutionClaim::Head(executed().prove_head(RollupId(1)).unwrap());
    let refused = |signers: &[u16]| match executed_file(claim(), signers).verify(&mut light()).unwrap_err() {
        ProofFileError::Light(LightError::Attestation { error, .. }) => error,
        other => panic!("{other}"),
    };
    assert_eq!(refused(&[0, 1, 3]), AttestationError::Signers, "validator 3 did not opt in");
    assert_eq!(refused(&[0, 1]), AttestationError::Weight { weight: 2, quorum: 3 });
    let Proof::Execution(proof) = executed_file(claim(), &[0, 1, 2]).proof else { unreachable!() };
    // All of them sign an outcome of ordering with the same root: that says nothing about executed rollups.
    let (domain, height, root) = (DomainId::ORDERING, proof.outcome.height, proof.outcome.root());
    let ordering = attest_as(chain(), Epoch(1), Statement::Outcome { domain, height, root }, &[0, 1, 2, 3]);
    let file = ProofFile {
        proof: Proof::Execution(ExecutionProof { attestation: ordering, ..proof }),
        ..executed_file(claim(), &[0])
    };
    let error = file.verify(&mut light()).unwrap_err();
    assert!(matches!(error, ProofFileError::Light(LightError::Domain { expected: DOMAIN, .. })), "{error}");
    // And what another bundle became is no proof of this one.
    let mut other = executed().prove_bundle(bundle().id()).unwrap();
    other.bundle.effect = BundleEffect::Committed;
    let error = executed_file(ExecutionClaim::Bundle(other), &[0, 1, 2]).verify(&mut light()).unwrap_err();
    assert!(matches!(error, ProofFileError::ExecutionClaim { .. }), "{error}");
}

proptest! {
    #[test]
    fn garbage_is_no_proof_file(mut bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        if bytes.len() > 13 {
            bytes[..13].copy_from_slice(b"CHORALEPROOF\x03");
        }
        prop_assert!(ProofFile::read_file(bytes).is_err());
    }
}

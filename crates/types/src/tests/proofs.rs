//! Proofs: true ones hold, and no lie does.

use super::samples::{digest, epoch_info, lanes, ordered_bundle, outcome, secret, transaction, trees};
use crate::codec::{Encode, List};
use crate::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn leaf(rollup: u64) -> LaneLeaf {
    LaneLeaf { rollup: RollupId(rollup), previous: Height(1), items: 1, bytes: 2, root: digest("lane") }
}

fn with_lanes(rollups: impl IntoIterator<Item = u64>) -> (LaneTree, Outcome) {
    let tree = LaneTree::new(rollups.into_iter().map(leaf).collect());
    let outcome = outcome(&tree, &trees().1);
    (tree, outcome)
}

#[test]
fn with_a_thousand_rollups_a_lane_proof_stays_small() {
    let (tree, outcome) = with_lanes(0..1_000);
    let lane = tree.prove(RollupId(500)).unwrap();
    lane.verify(&outcome).unwrap();
    // A leaf of 56 bytes, ten siblings of 32, and where they belong.
    assert_eq!(lane.encode().len(), 56 + 320 + 12);
    let (tree, outcome) = with_lanes((0..1_000).map(|rollup| 2 * rollup));
    let absence = tree.prove_absence(RollupId(501)).unwrap();
    absence.verify(&outcome).unwrap();
    assert!(absence.encode().len() <= 748, "{}", absence.encode().len());
}

#[test]
fn presence_and_absence_are_exclusive() {
    for count in 0..10u64 {
        let (tree, outcome) = with_lanes((0..count).map(|index| 2 * index + 1));
        for rollup in 0..2 * count + 2 {
            let rollup = RollupId(rollup);
            assert_eq!(tree.prove(rollup).is_some(), rollup.0 % 2 == 1 && rollup.0 < 2 * count);
            assert_eq!(tree.prove_absence(rollup).is_some(), tree.prove(rollup).is_none());
            if let Some(proof) = tree.prove(rollup) {
                proof.verify(&outcome).unwrap();
            }
            if let Some(proof) = tree.prove_absence(rollup) {
                proof.verify(&outcome).unwrap();
            }
        }
    }
}

/// Every way to claim that a rollup which is there is not, with leaves and siblings of the true tree.
#[test]
fn a_lane_that_is_there_cannot_be_denied() {
    for count in 1..9u64 {
        let (tree, outcome) = with_lanes((0..count).map(|index| 2 * index + 1));
        let leaves: Vec<Option<LaneLeaf>> =
            std::iter::once(None).chain(tree.leaves().iter().copied().map(Some)).collect();
        let honest: Vec<LaneAbsence> = (0..=count).filter_map(|gap| tree.prove_absence(RollupId(2 * gap))).collect();
        let paths = honest.iter().map(|proof| proof.path.clone());
        let paths: Vec<MerklePath> =
            paths.chain(tree.leaves().iter().map(|leaf| tree.prove(leaf.rollup).unwrap().path)).collect();
        for rollup in tree.leaves().iter().map(|leaf| leaf.rollup) {
            for left in &leaves {
                for right in &leaves {
                    for path in &paths {
                        for position in 0..=count as u32 {
                            let path = MerklePath { position, ..path.clone() };
                            let lie = LaneAbsence { rollup, left: *left, right: *right, path };
                            assert_eq!(lie.verify(&outcome), Err(ProofError::Absence(rollup)));
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn an_empty_height_proves_absence_and_nothing_else() {
    let (tree, empty) = with_lanes([]);
    let absence = tree.prove_absence(RollupId(7)).unwrap();
    absence.verify(&empty).unwrap();
    let (_, other) = with_lanes([7]);
    assert_eq!(absence.verify(&other), Err(ProofError::Absence(RollupId(7))));
    let path = MerklePath { leaves: 0, position: 0, siblings: List::default() };
    let lie = LaneProof { leaf: leaf(7), path };
    assert_eq!(lie.verify(&empty), Err(ProofError::Lane(RollupId(7))));
}

#[test]
fn a_lane_proof_covers_all_items_and_no_others() {
    let (tree, registry) = trees();
    let outcome = outcome(&tree, &registry);
    let lanes = lanes();
    let proof = tree.prove(RollupId(7)).unwrap();
    proof.verify(&outcome).unwrap();
    proof.covers(&lanes[1]).unwrap();
    assert_eq!(proof.covers(&lanes[0]), Err(ProofError::Items(RollupId(7))));
    for left_out in 0..lanes[1].items().len() {
        let mut items = lanes[1].items().to_vec();
        items.remove(left_out);
        let fewer = Lane::new(RollupId(7), items).unwrap();
        assert_eq!(proof.covers(&fewer), Err(ProofError::Items(RollupId(7))));
    }
    let mut moved = lanes[1].items().to_vec();
    moved[0].place.unit = 0;
    moved[2].place.unit = 9;
    let moved = Lane::new(RollupId(7), moved).unwrap();
    assert_eq!(proof.covers(&moved), Err(ProofError::Items(RollupId(7))));
    let lie = LaneProof { leaf: LaneLeaf { previous: Height(3), ..proof.leaf }, path: proof.path };
    assert_eq!(lie.verify(&outcome), Err(ProofError::Lane(RollupId(7))));
}

#[test]
fn the_registry_says_when_a_rollup_had_content() {
    let (tree, registry) = trees();
    let outcome = outcome(&tree, &registry);
    let proof = registry.prove(RollupId(3)).unwrap();
    proof.verify(&outcome).unwrap();
    assert_eq!(proof.leaf.last, Height(3));
    assert!(registry.prove(RollupId(4)).is_none());
    let lie = RegistryProof { leaf: RegistryLeaf { last: Height(2), ..proof.leaf }, path: proof.path };
    assert_eq!(lie.verify(&outcome), Err(ProofError::Registry(RollupId(3))));
}

#[test]
fn a_transaction_is_proven_alone_and_not_as_a_leg() {
    let (tree, registry) = trees();
    let outcome = outcome(&tree, &registry);
    let lane = &lanes()[1];
    let first = transaction(7, b"first").id();
    let proof = prove_transaction(&tree, lane, &first).unwrap();
    proof.verify(&outcome).unwrap();
    assert_eq!(proof.id(), first);
    let leg = transaction(7, b"leg 0").id();
    assert!(prove_transaction(&tree, lane, &leg).is_none());
    let as_leg = TransactionProof { lane: proof.lane.clone(), item: lane.prove_item(1).unwrap() };
    assert_eq!(as_leg.verify(&outcome), Err(ProofError::NotAlone(leg)));
    let mut stripped = as_leg;
    stripped.item.leaf.place.leg = None;
    assert_eq!(stripped.verify(&outcome), Err(ProofError::Item(leg)));
    let mut other_lane = proof.clone();
    other_lane.lane = tree.prove(RollupId(3)).unwrap();
    assert_eq!(other_lane.verify(&outcome), Err(ProofError::Item(first)));
    let mut other_id = proof;
    other_id.item.leaf.id = transaction(7, b"second").id();
    assert!(other_id.verify(&outcome).is_err());
}

fn bundle_proof() -> (BundleProof, Outcome) {
    let (tree, registry) = trees();
    let by_rollup: BTreeMap<RollupId, Lane> = lanes().into_iter().map(|lane| (lane.rollup(), lane)).collect();
    let proof = prove_bundle(&tree, &by_rollup, &ordered_bundle()).unwrap();
    (proof, outcome(&tree, &registry))
}

#[test]
fn a_bundle_is_proven_with_all_its_legs() {
    let (proof, outcome) = bundle_proof();
    proof.verify(&outcome).unwrap();
    assert_eq!(proof.id(), ordered_bundle().id);
    assert_eq!((proof.lanes.len(), proof.legs.len()), (2, 3));
}

#[test]
fn a_bundle_with_a_leg_less_or_other_terms_is_refused() {
    let (proof, outcome) = bundle_proof();
    let lies: Vec<(&str, BundleProof)> = vec![
        ("no leg", BundleProof { legs: List::default(), ..proof.clone() }),
        ("a leg less", BundleProof { legs: List::new(proof.legs[..2].to_vec()).unwrap(), ..proof.clone() }),
        ("other order", {
            let mut legs = proof.legs.to_vec();
            legs.swap(0, 1);
            BundleProof { legs: List::new(legs).unwrap(), ..proof.clone() }
        }),
        ("a leg twice", {
            let legs = vec![proof.legs[0].clone(), proof.legs[0].clone(), proof.legs[2].clone()];
            BundleProof { legs: List::new(legs).unwrap(), ..proof.clone() }
        }),
        ("other expiry", BundleProof { expiry: Height(100), ..proof.clone() }),
        ("other salt", BundleProof { salt: 6, ..proof.clone() }),
    ];
    for (name, lie) in lies {
        assert!(matches!(lie.verify(&outcome), Err(ProofError::Leg(_))), "{name}: {:?}", lie.verify(&outcome));
    }
    let mut other_lane = proof.clone();
    let mut legs = proof.legs.to_vec();
    legs[0].lane = 9;
    other_lane.legs = List::new(legs).unwrap();
    assert_eq!(other_lane.verify(&outcome), Err(ProofError::Leg(0)));
}

fn attestation(signers: &[u8], root: Digest) -> Attestation {
    let statement = Statement::Outcome { domain: DomainId::ORDERING, height: Height(6), root };
    let chain = super::samples::chain();
    let signatures: Vec<Signature> =
        signers.iter().map(|index| Bls::signer(secret(*index)).sign(chain, Epoch(0), &statement)).collect();
    Attestation {
        domain: DomainId::ORDERING,
        epoch: Epoch(0),
        height: Height(6),
        root,
        signers: Signers::of(4, signers.iter().map(|index| ValidatorIndex((*index).into()))),
        signature: Bls::verifier().aggregate(&signatures).unwrap(),
    }
}

#[test]
fn an_attestation_needs_a_quorum_of_the_right_signatures() {
    let info = epoch_info(&[1, 1, 1, 1]);
    let scheme = Bls::verifier();
    let good = attestation(&[0, 1, 3], digest("root"));
    good.verify(&scheme, &info).unwrap();
    let too_few = attestation(&[0, 1], digest("root"));
    assert_eq!(too_few.verify(&scheme, &info), Err(AttestationError::Weight { weight: 2, quorum: 3 }));
    let other_root = Attestation { root: digest("other"), ..good.clone() };
    assert_eq!(other_root.verify(&scheme, &info), Err(AttestationError::Signature));
    let other_height = Attestation { height: Height(7), ..good.clone() };
    assert_eq!(other_height.verify(&scheme, &info), Err(AttestationError::Signature));
    let more = Attestation { signers: Signers::of(4, (0..4).map(ValidatorIndex)), ..good };
    assert_eq!(more.verify(&scheme, &info), Err(AttestationError::Signature));
    let other_set = Attestation { signers: Signers::of(5, (0..4).map(ValidatorIndex)), ..good };
    assert_eq!(other_set.verify(&scheme, &info), Err(AttestationError::Signers));
    let other_chain = EpochInfo { chain: ChainId(digest("other chain")), ..info.clone() };
    assert_eq!(good.verify(&scheme, &other_chain), Err(AttestationError::Signature));
    let later = EpochInfo { epoch: Epoch(1), ..info.clone() };
    assert!(matches!(good.verify(&scheme, &later), Err(AttestationError::Epoch { .. })));
    let short = EpochInfo { closing: Height(5), ..info };
    assert!(matches!(good.verify(&scheme, &short), Err(AttestationError::Height { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn paths_from_strangers_never_panic_and_never_hold(
        leaves: u32, position: u32, run in 0usize..3, siblings in 0usize..65,
    ) {
        let siblings = (0..siblings).map(|index| digest(&index.to_string())).collect();
        let path = MerklePath { leaves, position, siblings: List::new(siblings).unwrap() };
        let run: Vec<Digest> = (0..run).map(|index| digest(&format!("leaf {index}"))).collect();
        prop_assert!(!path.verify(&run, &digest("root")));
    }
}

//! Whose word counts: attestations, and hand-overs from epoch to epoch.

use super::*;
use crate::LightError;
use chorale_types::AttestationError;

#[test]
fn all_epochs_are_reached_by_closing_outcomes_alone() {
    let served = serve(chain(), &history());
    let mut light = light();
    for epoch in 0..2 {
        light.hand_over(hand_over(&served, epoch)).unwrap();
    }
    assert_eq!(light.last().epoch, Epoch(2));
    assert_eq!((light.last().start.height, light.last().closing), (Height(10), Height(15)));
    for height in served {
        let attested = light.verify(height.outcome(), &height.attestation).unwrap();
        assert_eq!(attested.outcome(), height.outcome());
    }
}

#[test]
fn an_outcome_without_its_quorum_is_not_believed() {
    let served = serve(chain(), &history());
    let light = light();
    let Served { settled, attestation } = &served[0];
    let outcome = &settled.outcome;
    let refuse = |outcome: &Outcome, attestation: &Attestation| light.verify(outcome, attestation).unwrap_err();
    assert!(matches!(
        refuse(outcome, &attest(outcome, &[0, 1])),
        LightError::Attestation { error: AttestationError::Weight { weight: 2, quorum: 3 }, .. }
    ));
    assert!(matches!(
        refuse(served[1].outcome(), attestation),
        LightError::OtherOutcome { height: Height(2), attested: Height(1) }
    ));
    let forged = Outcome { timestamp: TimestampMs(7), ..outcome.clone() };
    assert!(matches!(refuse(&forged, attestation), LightError::OtherOutcome { .. }));
    let renamed = Attestation { root: forged.root(), ..attestation.clone() };
    assert!(matches!(refuse(&forged, &renamed), LightError::Attestation { error: AttestationError::Signature, .. }));
    assert!(matches!(
        refuse(served[6].outcome(), &served[6].attestation),
        LightError::UnknownEpoch { epoch: Epoch(1), last: Epoch(0) }
    ));
}

#[test]
fn another_chain_with_the_same_validators_is_not_believed() {
    let other = ChainId(tagged_hash("test", &[b"other chain"]));
    let served = serve(other, &history());
    let light = light();
    let Served { settled, attestation } = &served[0];
    assert!(matches!(light.verify(&settled.outcome, attestation), Err(LightError::Chain { .. })));
    // With the chain's name changed, the root is another one; signed for the other chain, it does not hold here.
    let renamed = Outcome { chain: chain(), ..settled.outcome.clone() };
    let replayed = Attestation { root: renamed.root(), ..attest(&settled.outcome, &[0, 1, 3]) };
    assert!(matches!(
        light.verify(&renamed, &replayed),
        Err(LightError::Attestation { error: AttestationError::Signature, .. })
    ));
}

#[test]
fn validators_of_another_epoch_do_not_attest() {
    let served = serve(chain(), &history());
    let mut light = light();
    light.hand_over(hand_over(&served, 0)).unwrap();
    // The old validators, who may have sold their keys, sign a height of the new epoch.
    let late = Outcome { epoch: Epoch(0), ..served[6].outcome().clone() };
    assert!(matches!(
        light.verify(&late, &attest(&late, &[0, 1, 2, 3])),
        Err(LightError::Attestation { error: AttestationError::Height { .. }, .. })
    ));
    let old_keys = Attestation { epoch: Epoch(1), root: served[6].outcome().root(), ..attest(&late, &[0, 1, 2, 3]) };
    assert!(matches!(
        light.verify(served[6].outcome(), &old_keys),
        Err(LightError::Attestation { error: AttestationError::Signature, .. })
    ));
}

#[test]
fn a_hand_over_needs_the_closing_outcome_and_the_validators_it_names() {
    let served = serve(chain(), &history());
    let good = hand_over(&served, 0);
    let mut light = light();
    let mut refuse = |hand_over: HandOver| light.hand_over(hand_over).unwrap_err();
    assert!(matches!(refuse(hand_over(&served, 1)), LightError::HandOverEpoch { .. }));
    let early =
        HandOver { outcome: served[3].outcome().clone(), attestation: served[3].attestation.clone(), ..good.clone() };
    assert!(matches!(refuse(early), LightError::HandOverHeight { expected: Height(5), actual: Height(4) }));
    let others = HandOver { next: Some(validators(7)), ..good.clone() };
    assert!(matches!(refuse(others), LightError::HandOverValidators { .. }));
    let unnamed = HandOver { next: None, ..good.clone() };
    assert!(matches!(refuse(unnamed), LightError::HandOverValidators { .. }), "they have changed");
    let unattested = HandOver { attestation: attest(&good.outcome, &[2]), ..good.clone() };
    assert!(matches!(refuse(unattested), LightError::Attestation { .. }));
    let forged = Outcome { next_validators: Some(validators(7).digest()), ..good.outcome.clone() };
    let forged = HandOver { outcome: forged, next: Some(validators(7)), ..good.clone() };
    assert!(matches!(refuse(forged), LightError::OtherOutcome { .. }));
    let silent = Outcome { next_validators: None, ..good.outcome.clone() };
    let silent = HandOver { attestation: attest(&silent, &[0, 1, 2]), outcome: silent, ..good.clone() };
    assert!(matches!(refuse(silent), LightError::HandOverValidators { expected: None, .. }));
    light.hand_over(good.clone()).unwrap();
    assert!(matches!(light.hand_over(good), Err(LightError::HandOverEpoch { .. })), "once");
}

#[test]
fn validators_that_stay_need_not_be_named_again() {
    let served = serve(chain(), &history());
    let mut light = light();
    let before = light.last().clone();
    let outcome = Outcome { next_validators: Some(before.validators.digest()), ..hand_over(&served, 0).outcome };
    light.hand_over(HandOver { attestation: attest(&outcome, &[0, 1, 2]), outcome, next: None }).unwrap();
    assert_eq!((light.last().epoch, &light.last().validators), (Epoch(1), &before.validators));
}

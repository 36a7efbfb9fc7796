//! Whom a node asks for what is missing.

use super::exchange::{Exchange, Patience};
use crate::{
    dispersal::{keys::assignment_of, message::Wants},
    ports::Position,
    tests::cluster::first_epoch,
};
use chorale_types::{
    Acknowledged, AvailabilityCertificate, BuilderId, Commitment, Epoch, EpochInfo, Signature, Signers, TimestampMs,
    ValidatorIndex, ValidatorSet, View, tagged_hash,
};
use std::{collections::BTreeSet, sync::Arc};

fn exchange(validators: usize, late: bool) -> Exchange {
    let digest = tagged_hash("test", &[]);
    let acknowledged = Acknowledged {
        builder: BuilderId(digest),
        commitment: Commitment(digest),
        length: 1_000,
        manifest: digest,
        expiry: View(9),
    };
    let signers = Signers::none(validators);
    let certificate = AvailabilityCertificate { acknowledged, signers, signature: Signature::NONE };
    let epoch = Arc::new(first_epoch(validators, 100));
    let patience = Patience { ask_after_ms: 100, ask_interval_ms_max: 1_000 };
    Exchange::new(certificate, &epoch, assignment_of(&epoch), Some(ValidatorIndex(0)), late, TimestampMs(0), patience)
}

/// Consensus is in the epoch of this number, and node 0 is one of its validators.
fn present(epoch: u64, validators: usize) -> Position {
    let epoch = EpochInfo { epoch: Epoch(epoch), ..first_epoch(validators, 100) };
    Position { epoch: Arc::new(epoch), view: View(1), index: Some(ValidatorIndex(0)) }
}

/// With one turn for all questions, a round's questions stepped in time with the number of validators, and one that was
/// dead was asked for the manifest for ever.
#[test]
fn everybody_is_asked_for_everything_in_the_end() {
    for (validators, late) in [(4, false), (4, true), (5, false), (7, true)] {
        let mut exchange = exchange(validators, late);
        let present = present(0, validators);
        let mut asked: [BTreeSet<ValidatorIndex>; 3] = Default::default();
        for round in 0..40 {
            for question in exchange.questions(TimestampMs(10_000 * round), &present) {
                assert_eq!(question.epoch, Epoch(0));
                let kind = match question.wants {
                    Wants::Chunks => 0,
                    Wants::Manifest => 1,
                    Wants::Payload => 2,
                };
                asked[kind].insert(question.to);
            }
        }
        let others = validators - 1;
        assert_eq!(asked.map(|asked| asked.len()), [others; 3], "{validators} validators, late: {late}");
    }
}

/// Those who have it are there, unless all of them left; a node that has just joined as well has nothing yet.
#[test]
fn a_payload_of_an_older_epoch_is_asked_of_present_validators_who_were_there_if_any_was() {
    let seven = present(1, 7);
    let only = |nodes: &[u16]| {
        let validator = |index: &u16| seven.epoch.validators.get(ValidatorIndex(*index)).unwrap().clone();
        let validators = ValidatorSet::new(nodes.iter().map(validator).collect()).unwrap();
        let epoch = Arc::new(EpochInfo { validators, ..(*seven.epoch).clone() });
        Position { epoch, ..seven.clone() }
    };
    // This node is the first validator of the old set, and of each of these.
    for (present, expected) in [(seven.clone(), vec![1, 2, 3]), (only(&[0, 4, 5, 6]), vec![1, 2, 3])] {
        let all_new = present.epoch.validators.len() == 4;
        for late in [false, true] {
            let mut exchange = exchange(4, late);
            let mut asked = BTreeSet::new();
            for round in 0..80 {
                for question in exchange.questions(TimestampMs(10_000 * round), &present) {
                    if question.wants == Wants::Payload {
                        assert_eq!(question.epoch, Epoch(1));
                        asked.insert(question.to.0);
                    } else {
                        assert_eq!(question.epoch, Epoch(0), "chunks are with those they were made for");
                    }
                }
            }
            assert_eq!(asked.into_iter().collect::<Vec<_>>(), expected, "all new: {all_new}, late: {late}");
        }
    }
}

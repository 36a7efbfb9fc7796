use super::{WEIGHTS, assignment};
use crate::{Assignment, Rotation};
use chorale_types::{Commitment, ValidatorIndex, tagged_hash};
use std::collections::BTreeSet;

fn commitment(number: u32) -> Commitment {
    Commitment(tagged_hash("test/commitment", &[&number.to_be_bytes()]))
}

fn rotations(assignment: &Assignment, count: u32) -> impl Iterator<Item = Rotation> {
    (0..count).map(|number| Rotation::new(&commitment(number), assignment))
}

#[test]
fn everybody_gets_enough_from_the_first_and_none_of_them_in_vain() {
    for weights in WEIGHTS {
        let assignment = assignment(weights);
        let weigh = |set: &[ValidatorIndex]| set.iter().map(|it| assignment.weight(*it)).sum::<u16>();
        for rotation in rotations(&assignment, 50) {
            for receiver in assignment.indices() {
                let first = rotation.senders_to(receiver).unwrap().first;
                let have = assignment.weight(receiver) + weigh(&first);
                assert!(have >= assignment.needed());
                for sender in &first {
                    assert!(assignment.weight(*sender) > 0);
                    assert!(have - assignment.weight(*sender) < assignment.needed(), "{weights:?}: one too many");
                }
            }
        }
    }
}

#[test]
fn first_and_fallback_are_all_others_with_chunks_once() {
    for weights in WEIGHTS {
        let assignment = assignment(weights);
        for rotation in rotations(&assignment, 20) {
            for receiver in assignment.indices() {
                let senders = rotation.senders_to(receiver).unwrap();
                let all = [senders.first, senders.fallback].concat();
                let distinct: BTreeSet<_> = all.iter().copied().collect();
                let others = |it: &ValidatorIndex| *it != receiver && assignment.weight(*it) > 0;
                let expected: BTreeSet<_> = assignment.indices().filter(others).collect();
                assert_eq!((distinct, all.len()), (expected.clone(), expected.len()));
            }
            assert_eq!(rotation.senders_to(ValidatorIndex(assignment.validators())), None);
        }
    }
}

#[test]
fn senders_and_receivers_agree() {
    for weights in WEIGHTS {
        let assignment = assignment(weights);
        for rotation in rotations(&assignment, 20) {
            for sender in assignment.indices() {
                let receivers: BTreeSet<_> = rotation.receivers_of(sender).into_iter().collect();
                let expected = assignment.indices();
                let expected = expected.filter(|it| rotation.senders_to(*it).unwrap().first.contains(&sender));
                assert_eq!(receivers, expected.collect());
            }
        }
    }
}

#[test]
fn equal_weights_send_exactly_as_much_as_they_receive() {
    for validators in [1, 2, 3, 4, 7, 50] {
        let assignment = assignment(&vec![1; validators]);
        for rotation in rotations(&assignment, 20) {
            for validator in assignment.indices() {
                let neighbours = usize::from(assignment.needed()) - 1;
                assert_eq!(rotation.senders_to(validator).unwrap().first.len(), neighbours);
                assert_eq!(rotation.receivers_of(validator).len(), neighbours);
            }
        }
    }
}

/// A message of a heavy validator is longer, too, so its bytes grow faster than its weight, and those of a light one
/// stay few.
#[test]
fn over_many_payloads_equals_send_alike_and_the_heavier_not_less() {
    const PAYLOADS: u32 = 400;
    for weights in [[1, 2, 3, 4, 5, 6, 7, 8].as_slice(), &[5, 5, 10, 20, 30, 30], &[1, 1, 1, 1, 1, 1, 5, 5, 5, 5]] {
        let assignment = assignment(weights);
        let mut messages = vec![0; weights.len()];
        for rotation in rotations(&assignment, PAYLOADS) {
            for sender in assignment.indices() {
                messages[sender.as_usize()] += rotation.receivers_of(sender).len();
            }
        }
        for heavier in 1..weights.len() {
            let (fewer, more) = (messages[heavier - 1], messages[heavier]);
            assert!(fewer * 9 <= more * 10, "{weights:?} {messages:?}");
            if weights[heavier] == weights[heavier - 1] {
                assert!(more * 9 <= fewer * 10, "{weights:?} {messages:?}");
            }
        }
    }
}

#[test]
fn every_payload_has_its_own_turns() {
    let assignment = assignment(&[1; 10]);
    let distinct: BTreeSet<_> =
        rotations(&assignment, 50).map(|rotation| rotation.senders_to(ValidatorIndex(0)).unwrap().first).collect();
    assert!(distinct.len() > 40);
    assert_eq!(Rotation::new(&commitment(1), &assignment), Rotation::new(&commitment(1), &assignment));
}

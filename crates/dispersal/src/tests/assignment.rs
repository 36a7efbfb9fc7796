use super::{EXPIRY, WEIGHTS, assignment, builder};
use crate::{Assignment, AssignmentError, CHUNK_BYTES_MIN, CHUNKS_BYTES_MAX, Geometry, seal};
use chorale_types::{Epoch, ValidatorIndex, codec::TooLong, limits::PAYLOAD_BYTES_MAX};

#[test]
fn chunks_are_consecutive_and_as_many_as_weight() {
    for weights in WEIGHTS {
        let assignment = assignment(weights);
        let mut next = 0;
        for (validator, weight) in assignment.indices().zip(*weights) {
            let range = assignment.range(validator).unwrap();
            assert_eq!((range.start, range.len()), (next, usize::from(*weight)));
            assert_eq!(assignment.weight(validator), *weight);
            next = range.end;
        }
        assert_eq!(next, assignment.total());
        assert_eq!(assignment.needed(), weights.iter().sum::<u16>() / 3 + 1);
        let stranger = ValidatorIndex(assignment.validators());
        assert_eq!((assignment.range(stranger), assignment.weight(stranger)), (None, 0));
    }
}

#[test]
fn impossible_weights_are_refused() {
    assert_eq!(Assignment::new(Epoch(3), &[]), Err(AssignmentError::TotalWeight(0)));
    assert_eq!(Assignment::new(Epoch(3), &[0, 0]), Err(AssignmentError::TotalWeight(0)));
    assert_eq!(Assignment::new(Epoch(3), &[1024, 1]), Err(AssignmentError::TotalWeight(1025)));
    assert_eq!(Assignment::new(Epoch(3), &[u16::MAX; 1024]), Err(AssignmentError::TotalWeight(1024 * 65535)));
    assert_eq!(Assignment::new(Epoch(3), &[1; 1025]), Err(AssignmentError::Validators(1025)));
    assert!(Assignment::new(Epoch(3), &[1; 1024]).is_ok());
}

#[test]
fn every_geometry_fits_payload_and_key_into_even_chunks_within_the_bound() {
    for total in 1..=1024 {
        let assignment = assignment(&[total]);
        for payload_bytes in [0, 1, 31, 32, 33, 1000, 65_536, PAYLOAD_BYTES_MAX - 1, PAYLOAD_BYTES_MAX] {
            let geometry = Geometry::new(&assignment, payload_bytes).unwrap();
            assert!(geometry.package_bytes() >= payload_bytes + 32);
            assert!(geometry.chunk_bytes() >= CHUNK_BYTES_MIN && geometry.chunk_bytes().is_multiple_of(2));
            assert!(geometry.codeword_bytes() <= CHUNKS_BYTES_MAX);
            let shorter = (geometry.chunk_bytes() - 2) * usize::from(geometry.needed());
            assert!(geometry.chunk_bytes() == CHUNK_BYTES_MIN || shorter < payload_bytes + 32, "no longer than needed");
        }
    }
}

#[test]
fn a_payload_above_the_limit_is_not_sealed() {
    let error = seal(&vec![0; PAYLOAD_BYTES_MAX + 1], &[0; 32], builder("b"), EXPIRY, &assignment(&[1])).unwrap_err();
    assert_eq!(error, TooLong { actual: PAYLOAD_BYTES_MAX + 1, max: PAYLOAD_BYTES_MAX });
}

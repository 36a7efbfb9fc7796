use super::{EXPIRY, KEY, WEIGHTS, all_chunks, assignment, builder, coalitions, noise, open_by, sealed, weight};
use crate::{
    Added, Assignment, ChunkError, Malformed, OpenError, Opened, Opening, Refused, Sealed, coding, mocks, open, seal,
    transform, verify_opened,
};
use chorale_foundation::Bytes;
use chorale_types::{Epoch, ValidatorIndex, View, limits::PAYLOAD_BYTES_MAX};
use std::collections::BTreeMap;

/// What every coalition that has enough chunks opens. They must all agree.
fn result_of_all(sealed: &Sealed, assignment: &Assignment) -> Result<Opened, OpenError> {
    let mut results = coalitions(usize::from(assignment.validators()))
        .filter(|coalition| weight(assignment, coalition) >= assignment.needed())
        .map(|coalition| open_by(sealed, assignment, &coalition));
    let first = results.next().unwrap();
    assert!(results.all(|result| result == first), "the result depends on the chunks");
    first
}

#[test]
fn every_sufficient_set_opens_the_same_bytes() {
    for weights in WEIGHTS {
        let assignment = assignment(weights);
        for len in [0, 1, 32, 500, 4099] {
            let payload = noise(len);
            let opened = result_of_all(&sealed(&payload, &assignment), &assignment).unwrap();
            assert_eq!(opened, Opened { payload: payload.into(), key: KEY });
        }
    }
}

#[test]
fn every_k_chunks_of_a_code_rebuild_the_package_and_re_encode_to_all_others() {
    let assignment = assignment(&[1; 10]);
    let sealed = sealed(&noise(777), &assignment);
    let geometry = sealed.geometry();
    let chunks: Vec<Bytes> = all_chunks(&sealed, &assignment).iter().map(|it| it.chunks.bytes().clone()).collect();
    let mut subsets = 0;
    for subset in coalitions(10).filter(|subset| subset.len() == usize::from(geometry.needed())) {
        let known: BTreeMap<u16, Bytes> = subset.iter().map(|it| (it.0, chunks[it.as_usize()].clone())).collect();
        let package = coding::rebuild(geometry, &known);
        assert_eq!(package, chunks[..usize::from(geometry.needed())].concat());
        let mut recovery = vec![0; geometry.codeword_bytes() - package.len()];
        coding::encode(geometry, &package, &mut recovery);
        assert_eq!(recovery, chunks[usize::from(geometry.needed())..].concat());
        subsets += 1;
    }
    assert_eq!(subsets, 210);
}

#[test]
fn a_bad_encoding_is_malformed_from_every_set() {
    for weights in WEIGHTS.iter().filter(|weights| weights.iter().sum::<u16>() > 1) {
        let assignment = assignment(weights);
        for index in [0, assignment.needed() - 1, assignment.needed(), assignment.total() - 1] {
            let sealed = mocks::seal_bad_encoding(&noise(200), &KEY, builder("b"), EXPIRY, &assignment, index).unwrap();
            let result = result_of_all(&sealed, &assignment);
            assert_eq!(result, Err(OpenError::Malformed(Malformed::NotACodeword)), "{weights:?} {index}");
        }
    }
}

#[test]
fn nonzero_padding_is_malformed_from_every_set() {
    for weights in WEIGHTS {
        let assignment = assignment(weights);
        let result = mocks::seal_bad_padding(&noise(33), &KEY, builder("b"), EXPIRY, &assignment).unwrap();
        let sealed = result.expect("33 bytes leave room for padding in even chunks");
        assert_eq!(result_of_all(&sealed, &assignment), Err(OpenError::Malformed(Malformed::Padding)), "{weights:?}");
    }
}

#[test]
fn too_few_chunks_are_not_a_malformed_payload() {
    let assignment = assignment(&[1, 2, 3, 3]);
    let good = sealed(b"payload", &assignment);
    let bad = mocks::seal_bad_encoding(b"payload", &KEY, builder("b"), EXPIRY, &assignment, 0).unwrap();
    for sealed in [good, bad] {
        assert_eq!(open_by(&sealed, &assignment, &[]), Err(OpenError::NotYet { have: 0, needed: 4 }));
        assert_eq!(open_by(&sealed, &assignment, &[ValidatorIndex(2)]), Err(OpenError::NotYet { have: 3, needed: 4 }));
    }
}

#[test]
fn wrong_chunks_are_refused_with_their_sender_and_do_no_harm() {
    let assignment = assignment(&[1; 4]);
    let sealed = sealed(b"payload", &assignment);
    let mut opening = Opening::new(sealed.reference(), assignment);
    let mut wrong = sealed.chunks_of(ValidatorIndex(1)).unwrap();
    wrong.validator = ValidatorIndex(2);
    let refused = Refused { sender: ValidatorIndex(3), reason: ChunkError::Proof(ValidatorIndex(2)) };
    assert_eq!(opening.add(ValidatorIndex(3), &wrong), Err(refused));
    assert_eq!((opening.missing(), opening.contains(ValidatorIndex(2))), (2, false));

    let right = |index| sealed.chunks_of(ValidatorIndex(index)).unwrap();
    assert_eq!(opening.add(ValidatorIndex(0), &right(2)), Ok(Added::Incomplete));
    assert_eq!(opening.add(ValidatorIndex(2), &right(2)), Ok(Added::NotNeeded), "a repeat does not count twice");
    assert_eq!(opening.missing(), 1);
    assert_eq!(opening.add(ValidatorIndex(1), &right(1)), Ok(Added::Complete));
    assert_eq!(opening.add(ValidatorIndex(0), &right(0)), Ok(Added::NotNeeded));
    assert_eq!(opening.open().unwrap().payload, b"payload".as_slice());
}

#[test]
fn opening_in_one_go_ignores_what_does_not_pass() {
    let assignment = assignment(&[1; 4]);
    let sealed = sealed(b"payload", &assignment);
    let mut chunks = all_chunks(&sealed, &assignment);
    chunks[0].validator = ValidatorIndex(9);
    assert_eq!(open(&sealed.reference(), &assignment, &chunks).unwrap().payload, b"payload".as_slice());
    assert_eq!(open(&sealed.reference(), &assignment, &chunks[..2]), Err(OpenError::NotYet { have: 1, needed: 2 }));
}

#[test]
fn an_opened_payload_is_proven_by_its_key() {
    let assignment = assignment(&[1; 4]);
    let sealed = sealed(b"payload", &assignment);
    let opened = open(&sealed.reference(), &assignment, &all_chunks(&sealed, &assignment)).unwrap();
    assert!(verify_opened(&opened, &sealed.reference(), &assignment));
    let other = Opened { payload: b"paYload".as_slice().into(), ..opened };
    assert!(!verify_opened(&other, &sealed.reference(), &assignment));
    let longer = Opened { payload: b"payload\0".as_slice().into(), ..opened };
    assert!(!verify_opened(&longer, &sealed.reference(), &assignment), "padding is no part of the payload");
    let other = Opened { key: [8; 32], payload: opened.payload.clone() };
    assert!(!verify_opened(&other, &sealed.reference(), &assignment));
    let mut reference = sealed.reference();
    reference.builder = builder("other");
    assert!(!verify_opened(&opened, &reference, &assignment));
    assert!(!verify_opened(&opened, &sealed.reference(), &super::assignment(&[1; 5])));
}

#[test]
fn the_longest_payload_seals_and_opens() {
    let assignment = assignment(&[1; 4]);
    let payload = noise(PAYLOAD_BYTES_MAX);
    let sealed = sealed(&payload, &assignment);
    let opened = open_by(&sealed, &assignment, &[ValidatorIndex(1), ValidatorIndex(3)]).unwrap();
    assert!(opened.payload == payload);
}

#[test]
fn as_many_chunks_as_the_code_allows_seal_and_open() {
    let assignment = assignment(&[1; 1024]);
    let payload = noise(100_000);
    let sealed = sealed(&payload, &assignment);
    let last: Vec<_> = assignment.indices().skip(1024 - 342).collect();
    assert!(open_by(&sealed, &assignment, &last).unwrap().payload == payload);
    assert_eq!(open_by(&sealed, &assignment, &last[1..]), Err(OpenError::NotYet { have: 341, needed: 342 }));
}

#[test]
fn sealing_again_with_another_key_builder_epoch_or_expiry_changes_the_commitment() {
    let assignment = assignment(&[1; 4]);
    let next_epoch = Assignment::new(Epoch(4), &[1; 4]).unwrap();
    let commitments = [
        sealed(b"payload", &assignment),
        seal(b"payload", &[8; 32], builder("b"), EXPIRY, &assignment).unwrap(),
        seal(b"payload", &KEY, builder("c"), EXPIRY, &assignment).unwrap(),
        seal(b"payload\0", &KEY, builder("b"), EXPIRY, &assignment).unwrap(),
        // What was ordered under one name must not come again under it.
        seal(b"payload", &KEY, builder("b"), View(EXPIRY.0 + 1), &assignment).unwrap(),
        seal(b"payload", &KEY, builder("b"), EXPIRY, &next_epoch).unwrap(),
        sealed(b"payload", &super::assignment(&[1; 5])),
    ]
    .map(|sealed| sealed.commitment());
    let distinct: std::collections::BTreeSet<_> = commitments.into_iter().collect();
    assert_eq!(distinct.len(), 7);
}

#[test]
fn strips_give_the_same_code_as_whole_chunks() {
    use chorale_foundation::cryptography::reed_solomon::Encoder;
    let assignment = assignment(&[1; 100]);
    let payload = noise(1_000_000);
    let sealed = sealed(&payload, &assignment);
    let geometry = sealed.geometry();
    let mut package = vec![0; geometry.package_bytes()];
    transform::wrap(&payload, &KEY, &mut package);
    let recovery = usize::from(geometry.recovery());
    let mut encoder = Encoder::new(geometry.needed().into(), recovery, geometry.chunk_bytes()).unwrap();
    for chunk in package.chunks_exact(geometry.chunk_bytes()) {
        encoder.add_original_shard(chunk).unwrap();
    }
    let encoded = encoder.encode().unwrap();
    for index in 0..geometry.recovery() {
        let chunks = sealed.chunks_of(ValidatorIndex(geometry.needed() + index)).unwrap();
        assert_eq!(encoded.recovery(usize::from(index)).unwrap(), &chunks.chunks[..]);
    }
}

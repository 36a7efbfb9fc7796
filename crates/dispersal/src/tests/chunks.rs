use super::{EXPIRY, all_chunks, assignment, builder, noise, sealed};
use crate::{CHUNKS_BYTES_MAX, ChunkError, PROOF_DIGESTS_MAX, SealedReference, ValidatorChunks};
use chorale_types::{
    Commitment, ValidatorIndex, View,
    codec::{Blob, Encode, List, decode},
    limits::PAYLOAD_BYTES_MAX,
    tagged_hash,
};

fn message(weights: &[u16], validator: u16) -> (SealedReference, ValidatorChunks) {
    let sealed = sealed(&noise(90), &assignment(weights));
    (sealed.reference(), sealed.chunks_of(ValidatorIndex(validator)).unwrap())
}

#[test]
fn every_validators_chunks_pass_and_survive_the_codec() {
    for weights in super::WEIGHTS {
        let assignment = assignment(weights);
        let sealed = sealed(&noise(300), &assignment);
        for (validator, weight) in assignment.indices().zip(*weights) {
            let Some(chunks) = sealed.chunks_of(validator) else {
                assert_eq!(*weight, 0);
                continue;
            };
            assert_eq!(chunks.check(&sealed.reference(), &assignment), Ok(()));
            assert!(chunks.proof.len() <= PROOF_DIGESTS_MAX);
            let encoded = chunks.encode();
            let decoded: ValidatorChunks = decode(encoded.clone()).unwrap();
            assert_eq!(decoded, chunks);
            assert_eq!(decoded.encode(), encoded);
        }
        assert_eq!(sealed.chunks_of(ValidatorIndex(assignment.validators())), None);
    }
}

#[test]
fn every_flipped_bit_of_a_message_is_refused() {
    let weights = [2, 3, 1, 5];
    let assignment = assignment(&weights);
    let (reference, chunks) = message(&weights, 1);
    let encoded = chunks.encode().to_vec();
    for bit in 0..encoded.len() * 8 {
        let mut tampered = encoded.clone();
        tampered[bit / 8] ^= 1 << (bit % 8);
        if let Ok(tampered) = decode::<ValidatorChunks>(tampered) {
            assert_ne!(tampered, chunks);
            assert!(tampered.check(&reference, &assignment).is_err(), "bit {bit}");
        }
    }
}

#[test]
fn every_shortened_or_lengthened_message_is_refused() {
    let (_, chunks) = message(&[2, 3, 1, 5], 1);
    let encoded = chunks.encode().to_vec();
    for len in 0..encoded.len() {
        assert!(decode::<ValidatorChunks>(encoded[..len].to_vec()).is_err());
    }
    assert!(decode::<ValidatorChunks>([encoded, vec![0]].concat()).is_err());
}

#[test]
fn lengths_above_the_bounds_do_not_decode() {
    let (_, chunks) = message(&[1, 1, 1, 1], 0);
    let (proof_at, chunks_at) = (76 + 2 + 32, 76 + 2 + 32 + 4 + 32 * chunks.proof.len());
    for (at, max) in [(proof_at, PROOF_DIGESTS_MAX), (chunks_at, CHUNKS_BYTES_MAX)] {
        for claimed in [u32::try_from(max).unwrap() + 1, u32::MAX] {
            let mut encoded = chunks.encode().to_vec();
            encoded[at..at + 4].copy_from_slice(&claimed.to_be_bytes());
            let error = decode::<ValidatorChunks>(encoded).unwrap_err();
            assert!(matches!(error, chorale_types::codec::Error::InvalidLength(len) if len == claimed as usize));
        }
    }
}

#[test]
fn each_thing_that_can_be_wrong_has_its_error() {
    let weights = [2, 3, 1, 0];
    let assignment = assignment(&weights);
    let (reference, good) = message(&weights, 1);
    let check = |change: &dyn Fn(&mut ValidatorChunks)| {
        let mut chunks = good.clone();
        change(&mut chunks);
        chunks.check(&reference, &assignment).unwrap_err()
    };
    let other = Commitment(tagged_hash("test/other", &[]));
    assert_eq!(
        check(&|it| it.reference.commitment = other),
        ChunkError::Payload { expected: reference.commitment, actual: other }
    );
    assert!(matches!(check(&|it| it.reference.builder = builder("thief")), ChunkError::Payload { .. }));
    assert!(matches!(check(&|it| it.reference.length += 1), ChunkError::Payload { .. }));
    for nobody in [ValidatorIndex(3), ValidatorIndex(4), ValidatorIndex(u16::MAX)] {
        assert_eq!(check(&|it| it.validator = nobody), ChunkError::Validator { validator: nobody, validators: 4 });
    }
    let actual = good.chunks.len() - 1;
    assert_eq!(
        check(&|it| it.chunks = Blob::new(good.chunks.bytes().slice(1..)).unwrap()),
        ChunkError::Length { validator: ValidatorIndex(1), expected: actual + 1, actual }
    );
    assert_eq!(
        check(&|it| it.root = tagged_hash("test/other", &[])),
        ChunkError::Commitment(reference.commitment),
        "the commitment fixes the root"
    );
    let proof = ChunkError::Proof(ValidatorIndex(1));
    assert_eq!(check(&|it| it.proof = List::new(good.proof[1..].to_vec()).unwrap()), proof);
    assert_eq!(check(&|it| it.proof = List::new([&good.proof[..], &good.proof[..1]].concat()).unwrap()), proof);
    let mut swapped = good.chunks.to_vec();
    swapped.rotate_left(good.chunks.len() / 3);
    assert_eq!(check(&|it| it.chunks = Blob::new(swapped.clone()).unwrap()), proof, "chunks have their places");
}

#[test]
fn another_builder_cannot_claim_the_chunks() {
    let weights = [1, 1, 1, 1];
    let (reference, mut chunks) = message(&weights, 0);
    let claimed = SealedReference { builder: builder("thief"), ..reference };
    chunks.reference = claimed;
    let error = chunks.check(&claimed, &assignment(&weights)).unwrap_err();
    assert_eq!(error, ChunkError::Commitment(reference.commitment));
}

#[test]
fn a_reference_with_another_length_or_expiry_is_not_what_was_committed() {
    // 94 and 95 bytes give chunks of the same length for four equal weights.
    let weights = [1, 1, 1, 1];
    let sealed = sealed(&noise(94), &assignment(&weights));
    let claimed = SealedReference { length: 95, ..sealed.reference() };
    let mut chunks = sealed.chunks_of(ValidatorIndex(0)).unwrap();
    chunks.reference = claimed;
    let error = chunks.check(&claimed, &assignment(&weights)).unwrap_err();
    assert_eq!(error, ChunkError::Commitment(sealed.commitment()));
    let claimed = SealedReference { expiry: View(EXPIRY.0 + 1), ..sealed.reference() };
    chunks.reference = claimed;
    let error = chunks.check(&claimed, &assignment(&weights)).unwrap_err();
    assert_eq!(error, ChunkError::Commitment(sealed.commitment()));
    let claimed = SealedReference { length: u32::MAX, ..sealed.reference() };
    chunks.reference = claimed;
    let error = chunks.check(&claimed, &assignment(&weights)).unwrap_err();
    assert_eq!(error, ChunkError::PayloadLength { actual: u32::MAX });
    assert!(PAYLOAD_BYTES_MAX < u32::MAX as usize);
}

#[test]
fn chunks_sealed_for_another_set_are_refused() {
    let sealed_for = assignment(&[1, 2, 3]);
    let sealed = sealed(&noise(90), &sealed_for);
    for chunks in all_chunks(&sealed, &sealed_for) {
        assert!(chunks.check(&sealed.reference(), &assignment(&[3, 1, 2])).is_err());
        assert!(chunks.check(&sealed.reference(), &assignment(&[1, 2, 4])).is_err());
        assert!(chunks.check(&sealed.reference(), &assignment(&[1, 2, 3, 1])).is_err());
    }
}

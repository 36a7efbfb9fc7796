//! Availability and secrecy, coalition by coalition.
//!
//! What a coalition below the threshold sees is shown to leave the payload open by construction: for whatever it
//! holds, other payloads and keys are found that give it exactly the same chunks. That none of them can be told apart
//! by the hashes in the commitment rests on SHA-256 and on the 32 unknown bytes at least, which no test can show.

use super::{EXPIRY, KEY, WEIGHTS, assignment, builder, coalitions, noise, open_by, sealed, weight};
use crate::{Assignment, OpenError, Sealed, coding, geometry::KEY_BYTES, seal, transform};
use chorale_foundation::Bytes;
use chorale_types::{ValidatorIndex, tagged_hash};
use std::collections::{BTreeMap, BTreeSet};

#[test]
fn more_than_a_third_of_the_weight_opens_and_no_less_has_enough() {
    for weights in WEIGHTS {
        let assignment = assignment(weights);
        let payload = noise(100);
        let sealed = sealed(&payload, &assignment);
        for coalition in coalitions(weights.len()) {
            let have = weight(&assignment, &coalition);
            let result = open_by(&sealed, &assignment, &coalition);
            if u32::from(have) * 3 > u32::from(assignment.total()) {
                assert_eq!(result.unwrap().payload, payload, "{weights:?} {coalition:?}");
            } else {
                assert_eq!(result, Err(OpenError::NotYet { have, needed: assignment.needed() }));
                assert!(have < assignment.needed(), "{weights:?} {coalition:?}");
            }
        }
    }
}

fn chunks_by_index(sealed: &Sealed, assignment: &Assignment, coalition: &[ValidatorIndex]) -> BTreeMap<u16, Bytes> {
    let messages = coalition.iter().filter_map(|validator| sealed.chunks_of(*validator));
    messages.flat_map(|it| it.split(assignment, sealed.geometry()).collect::<Vec<_>>()).collect()
}

/// A payload whose package needs no padding, so that every package is one of a well-formed payload.
fn exact_payload(assignment: &Assignment) -> Vec<u8> {
    noise(usize::from(assignment.needed()) * 64 - KEY_BYTES)
}

#[test]
fn what_a_third_sees_is_also_the_view_of_other_payloads() {
    for weights in WEIGHTS {
        let assignment = assignment(weights);
        let payload = exact_payload(&assignment);
        let sealed = sealed(&payload, &assignment);
        let geometry = sealed.geometry();
        assert_eq!(geometry.chunk_bytes(), 64);
        let below = coalitions(weights.len()).filter(|it| weight(&assignment, it) < assignment.needed());
        for coalition in below {
            let seen = chunks_by_index(&sealed, &assignment, &coalition);
            for attempt in 0u8..3 {
                let mut completed = seen.clone();
                let unseen = (0..assignment.total()).filter(|index| !seen.contains_key(index));
                for index in unseen.take(usize::from(assignment.needed()) - seen.len()) {
                    let half = tagged_hash("test/completion", &[&[attempt], &index.to_be_bytes()]);
                    completed.insert(index, [&half[..], &half[..]].concat().into());
                }
                let mut package = coding::rebuild(geometry, &completed);
                let key = transform::unwrap(&mut package);
                package.truncate(payload.len());
                assert_ne!(package, payload);
                assert_ne!(key, KEY);
                let other = seal(&package, &key, builder("b"), EXPIRY, &assignment).unwrap();
                assert_eq!(chunks_by_index(&other, &assignment, &coalition), seen, "{weights:?} {coalition:?}");
            }
        }
    }
}

#[test]
fn every_bit_of_a_missing_chunk_decides_the_key() {
    for weights in [[1, 1, 1, 1].as_slice(), &[1, 1, 1, 1, 1, 1], &[1, 2, 3, 4]] {
        let assignment = assignment(weights);
        let sealed = sealed(&exact_payload(&assignment), &assignment);
        let everyone: Vec<_> = assignment.indices().collect();
        let all = chunks_by_index(&sealed, &assignment, &everyone);
        for set in 0u32..1 << assignment.total() {
            if set.count_ones() != u32::from(assignment.needed()) {
                continue;
            }
            let chosen: BTreeMap<u16, Bytes> =
                all.iter().filter(|(index, _)| set >> **index & 1 == 1).map(|(i, chunk)| (*i, chunk.clone())).collect();
            // The one chunk that this set would lack without its first.
            let missing = *chosen.keys().next().unwrap();
            let mut keys = BTreeSet::from([KEY]);
            for bit in 0..64 * 8 {
                let mut guess = chosen.clone();
                let mut bytes = all[&missing].to_vec();
                bytes[bit / 8] ^= 1 << (bit % 8);
                guess.insert(missing, bytes.into());
                let mut package = coding::rebuild(sealed.geometry(), &guess);
                assert!(keys.insert(transform::unwrap(&mut package)), "bit {bit} of chunk {missing} is redundant");
            }
        }
    }
}

#[test]
fn whoever_lacks_a_chunk_lacks_as_many_bytes_as_the_key_has() {
    for weights in WEIGHTS {
        let assignment = assignment(weights);
        for len in [0, 1, 100] {
            assert!(sealed(&noise(len), &assignment).geometry().chunk_bytes() >= KEY_BYTES);
        }
    }
}

#[test]
fn no_chunk_shows_plaintext_or_repeats_under_another_key() {
    let assignment = assignment(&[1, 2, 3, 4]);
    let everyone: Vec<_> = assignment.indices().collect();
    let payload = exact_payload(&assignment);
    let chunks = chunks_by_index(&sealed(&payload, &assignment), &assignment, &everyone);
    let other = seal(&payload, &[8; 32], builder("b"), EXPIRY, &assignment).unwrap();
    for (index, chunk) in &chunks_by_index(&other, &assignment, &everyone) {
        assert_ne!(*chunk, chunks[index]);
        let shown = |window: &[u8]| chunk.windows(8).any(|bytes| bytes == window);
        assert!(!payload.windows(8).any(shown), "chunk {index} shows bytes of the payload");
    }
}

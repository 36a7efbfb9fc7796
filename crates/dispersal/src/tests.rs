#![allow(clippy::unwrap_used, clippy::panic, clippy::cast_possible_truncation, reason = "tests fail by panicking")]

mod assignment;
mod chunks;
mod coalitions;
mod fixtures;
mod opening;
mod properties;
mod rotation;

use crate::{Assignment, OpenError, Opened, Opening, Sealed, ValidatorChunks, seal};
use chorale_types::{BuilderId, Epoch, ValidatorIndex, View, tagged_hash};

const KEY: [u8; 32] = [7; 32];
const EXPIRY: View = View(50);

fn builder(name: &str) -> BuilderId {
    BuilderId(tagged_hash("test/builder", &[name.as_bytes()]))
}

/// Bytes that look like nothing in particular.
fn noise(len: usize) -> Vec<u8> {
    (0u64..).flat_map(|block| tagged_hash("test/noise", &[&block.to_be_bytes()]).to_vec()).take(len).collect()
}

fn assignment(weights: &[u16]) -> Assignment {
    Assignment::new(Epoch(3), weights).unwrap()
}

fn sealed(payload: &[u8], assignment: &Assignment) -> Sealed {
    seal(payload, &KEY, builder("b"), EXPIRY, assignment).unwrap()
}

fn all_chunks(sealed: &Sealed, assignment: &Assignment) -> Vec<ValidatorChunks> {
    assignment.indices().filter_map(|validator| sealed.chunks_of(validator)).collect()
}

/// Every set of validators, as lists of indices.
fn coalitions(validators: usize) -> impl Iterator<Item = Vec<ValidatorIndex>> {
    (0u32..1 << validators)
        .map(move |set| (0..validators).filter(|i| set >> i & 1 == 1).map(|i| ValidatorIndex(i as u16)).collect())
}

fn weight(assignment: &Assignment, coalition: &[ValidatorIndex]) -> u16 {
    coalition.iter().map(|validator| assignment.weight(*validator)).sum()
}

fn open_by(sealed: &Sealed, assignment: &Assignment, coalition: &[ValidatorIndex]) -> Result<Opened, OpenError> {
    let mut opening = Opening::new(sealed.reference(), assignment.clone());
    for validator in coalition {
        if let Some(chunks) = sealed.chunks_of(*validator) {
            opening.add(*validator, &chunks).unwrap();
        }
    }
    opening.open()
}

/// Equal and unequal sets of up to six validators: a sole one, dust, one just below and just above a third, one who
/// holds nearly all, and totals of every remainder by three.
const WEIGHTS: &[&[u16]] = &[
    &[1],
    &[9],
    &[1, 1],
    &[1, 1, 1],
    &[1, 1, 1, 1],
    &[1, 1, 1, 1, 1],
    &[1, 1, 1, 1, 1, 1],
    &[2, 2, 2],
    &[0, 1, 0],
    &[1, 0, 2, 3],
    &[5, 4, 6],
    &[33, 33, 34],
    &[3, 2, 2, 1, 1],
    &[1, 2, 3, 4, 5, 6],
    &[10, 10, 9, 1],
    &[7, 1, 1, 1, 1, 1],
    &[100, 1, 1, 1],
    &[341, 341, 341, 1],
    &[342, 341, 341],
    &[1000, 12, 12],
    &[171, 170, 171, 171, 170, 171],
];

//! The Reed-Solomon code over whole chunks, worked in strips.
//!
//! The engine needs up to two working shards for every chunk. A strip is the same few hundred bytes or more of every
//! chunk, so this space has a fixed size whatever the payload's, and stays in the processor's cache. Strips are whole
//! multiples of the engine's block except the last, which gives the same bytes as coding chunks whole.

use crate::Geometry;
use chorale_foundation::cryptography::reed_solomon::{Decoder, Encoder, Plan, SHARD_CHUNK_BYTES};
use std::{collections::BTreeMap, ops::Range};

/// Bytes of working space that the strip width aims at.
const WORKING_BYTES: usize = 1024 * 1024;

const SUPPORTED: &str = "up to 1024 shards of one even length, original and recovery, are supported";

fn strips(geometry: &Geometry) -> impl Iterator<Item = Range<usize>> + use<> {
    let chunk_bytes = geometry.chunk_bytes();
    let shards = 2 * usize::from(geometry.total()).next_power_of_two();
    let width = (WORKING_BYTES / shards / SHARD_CHUNK_BYTES).max(1) * SHARD_CHUNK_BYTES;
    (0..chunk_bytes).step_by(width).map(move |start| start..(start + width).min(chunk_bytes))
}

/// Computes the `recovery` chunks, one after the other, from the chunks of the package.
///
/// # Panics
///
/// If the slices do not have the lengths of the geometry.
pub(crate) fn encode(geometry: &Geometry, package: &[u8], recovery: &mut [u8]) {
    let (needed, added) = (usize::from(geometry.needed()), usize::from(geometry.recovery()));
    let chunk_bytes = geometry.chunk_bytes();
    assert_eq!(package.len(), needed * chunk_bytes, "a package fills exactly its chunks");
    assert_eq!(recovery.len(), added * chunk_bytes, "recovery chunks have the length of the others");
    // The engine knows no code without recovery; a single chunk is the package.
    if added == 0 {
        return;
    }
    let mut encoder = Encoder::new(needed, added, SHARD_CHUNK_BYTES).expect(SUPPORTED);
    for strip in strips(geometry) {
        encoder.reset(needed, added, strip.len()).expect(SUPPORTED);
        for chunk in package.chunks_exact(chunk_bytes) {
            encoder.add_original_shard(&chunk[strip.clone()]).expect(SUPPORTED);
        }
        let encoded = encoder.encode().expect("all chunks of the package were added");
        for (chunk, computed) in recovery.chunks_exact_mut(chunk_bytes).zip(encoded.recovery_iter()) {
            chunk[strip.clone()].copy_from_slice(computed);
        }
    }
}

/// Rebuilds the package from chunks by their index. Uses as many as it needs, those of the package first.
///
/// # Panics
///
/// If there are fewer than needed, or one has another length or index than the geometry allows.
pub(crate) fn rebuild<C: AsRef<[u8]>>(geometry: &Geometry, chunks: &BTreeMap<u16, C>) -> Vec<u8> {
    let chunk_bytes = geometry.chunk_bytes();
    let (needed, added) = (usize::from(geometry.needed()), usize::from(geometry.recovery()));
    assert!(chunks.len() >= needed, "only enough chunks rebuild");

    let mut package = vec![0; geometry.package_bytes()];
    let originals = || chunks.range(..geometry.needed()).map(|(index, chunk)| (usize::from(*index), chunk.as_ref()));
    for (index, chunk) in originals() {
        package[index * chunk_bytes..][..chunk_bytes].copy_from_slice(chunk);
    }
    let missing = needed - originals().count();
    if missing == 0 {
        return package;
    }
    let recoveries = || {
        let added = chunks.range(geometry.needed()..).take(missing);
        added.map(|(index, chunk)| (usize::from(*index) - needed, chunk.as_ref()))
    };

    let indices = (originals().map(|(index, _)| index), recoveries().map(|(index, _)| index));
    let plan = Plan::new(needed, added, indices.0, indices.1).expect("indices are distinct and in range");
    let mut decoder = Decoder::new(needed, added, SHARD_CHUNK_BYTES).expect(SUPPORTED);
    for strip in strips(geometry) {
        decoder.reset(needed, added, strip.len()).expect(SUPPORTED);
        for (index, chunk) in originals() {
            decoder.add_original_shard(index, &chunk[strip.clone()]).expect(SUPPORTED);
        }
        for (index, chunk) in recoveries() {
            decoder.add_recovery_shard(index, &chunk[strip.clone()]).expect(SUPPORTED);
        }
        let decoded = decoder.decode_with_plan(&plan).expect("enough chunks were added, those of the plan");
        let decoded = decoded.expect("a chunk of the package is missing");
        for (index, restored) in decoded.original_iter() {
            package[index * chunk_bytes..][strip.clone()].copy_from_slice(restored);
        }
    }
    package
}

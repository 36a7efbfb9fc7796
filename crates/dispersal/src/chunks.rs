//! The message that carries one validator's chunks.

use crate::{Assignment, Geometry, SealedReference, sealed::chunk_digest};
use chorale_foundation::{Bytes, cryptography::Sha256, merkle::Proof};
use chorale_types::{
    Commitment, Digest, ValidatorIndex,
    codec::{Blob, List},
    codec_struct,
    limits::{PAYLOAD_BYTES_MAX, WEIGHT_TOTAL_MAX},
};
use std::ops::Range;

/// Bytes of all chunks in one message: of all there are, if one validator had nearly all the weight. Less than three
/// times the package, plus the rounding of every chunk.
pub const CHUNKS_BYTES_MAX: usize = 3 * (PAYLOAD_BYTES_MAX + 32) + 64 * WEIGHT_TOTAL_MAX as usize;

/// Digests in a proof of consecutive leaves: two at every level below the root of 1024 leaves.
pub const PROOF_DIGESTS_MAX: usize = 2 * WEIGHT_TOTAL_MAX.ilog2() as usize;

/// The chunks of one validator with the proof that they are the committed ones.
///
/// Sent by a builder to the validator before a payload is ordered, and by the validator to others when it is revealed.
/// Untrusted until [`check`](Self::check) passes, whoever sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidatorChunks {
    /// Whose payload this is of.
    pub reference: SealedReference,
    /// Whose chunks these are.
    pub validator: ValidatorIndex,
    /// The Merkle root over all chunks.
    pub root: Digest,
    /// The siblings that lead from these chunks to the root, level by level.
    pub proof: List<Digest, PROOF_DIGESTS_MAX>,
    /// All chunks of the validator, one after the other.
    pub chunks: Blob<CHUNKS_BYTES_MAX>,
}
codec_struct!(ValidatorChunks { reference, validator, root, proof, chunks });

/// Why chunks are refused. Whoever sent them is at fault: honest nodes check before they store or forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// Another payload's chunks.
    #[error("chunks are of payload {actual}, expected {expected} with the same builder and length")]
    Payload {
        /// The commitment asked for.
        expected: Commitment,
        /// The commitment in the message.
        actual: Commitment,
    },
    /// Nobody by this index has chunks.
    #[error("validator {validator} has no chunks: it has no weight, or is not one of the {validators} of the set")]
    Validator {
        /// The index in the message.
        validator: ValidatorIndex,
        /// How many validators the set has.
        validators: u16,
    },
    /// The payload would be too long.
    #[error("a payload of {actual} bytes is above the limit of {PAYLOAD_BYTES_MAX}")]
    PayloadLength {
        /// The length in the message.
        actual: u32,
    },
    /// Too few or too many bytes of chunks.
    #[error("{actual} bytes of chunks of validator {validator}, expected {expected}")]
    Length {
        /// Whose chunks.
        validator: ValidatorIndex,
        /// Its weight times the length of one chunk.
        expected: usize,
        /// What the message has.
        actual: usize,
    },
    /// The commitment is not to this root, builder, length, chunk count and threshold.
    #[error("commitment {0} does not follow from builder, length, chunk counts and root")]
    Commitment(Commitment),
    /// The chunks are not those under the root.
    #[error("the chunks of validator {0} and their proof do not lead to the root")]
    Proof(ValidatorIndex),
}

impl ValidatorChunks {
    /// Whether these are the chunks of `self.validator` in the payload `expected`, sealed for `assignment`.
    ///
    /// Only chunks that pass may be stored, acknowledged, forwarded or opened. When they are sent to be acknowledged,
    /// the caller also makes sure that the validator is itself. Costs one hash over the chunks, after all cheap checks.
    ///
    /// # Errors
    ///
    /// The first thing wrong, see [`ChunkError`].
    pub fn check(&self, expected: &SealedReference, assignment: &Assignment) -> Result<(), ChunkError> {
        self.leaves(expected, assignment).map(drop)
    }

    /// The part of [`check`](Self::check) that hashes nothing but names: the chunks are as many and as long as those of
    /// this validator are in a payload with this commitment. Their content may be anything.
    ///
    /// # Errors
    ///
    /// The first thing wrong.
    pub fn check_shape(&self, assignment: &Assignment) -> Result<(Range<u16>, Geometry), ChunkError> {
        let validator = self.validator;
        let range = assignment
            .range(validator)
            .filter(|range| !range.is_empty())
            .ok_or(ChunkError::Validator { validator, validators: assignment.validators() })?;
        let length = self.reference.length;
        let geometry =
            Geometry::new(assignment, length as usize).map_err(|_| ChunkError::PayloadLength { actual: length })?;
        let expected_bytes = range.len() * geometry.chunk_bytes();
        if self.chunks.len() != expected_bytes {
            return Err(ChunkError::Length { validator, expected: expected_bytes, actual: self.chunks.len() });
        }
        if !self.reference.commits_to(assignment, &self.root) {
            return Err(ChunkError::Commitment(self.reference.commitment));
        }
        Ok((range, geometry))
    }

    /// The leaves of the chunks in the tree, if they pass [`check`](Self::check).
    pub(crate) fn leaves(
        &self,
        expected: &SealedReference,
        assignment: &Assignment,
    ) -> Result<Vec<Digest>, ChunkError> {
        if self.reference != *expected {
            return Err(ChunkError::Payload { expected: expected.commitment, actual: self.reference.commitment });
        }
        let (range, geometry) = self.check_shape(assignment)?;
        let leaves: Vec<Digest> = self.chunks.chunks_exact(geometry.chunk_bytes()).map(chunk_digest).collect();
        let proof = Proof { leaf_count: assignment.total().into(), siblings: self.proof.to_vec() };
        proof
            .verify_range_inclusion::<Sha256>(range.start.into(), &leaves, &self.root)
            .map_err(|_| ChunkError::Proof(self.validator))?;
        Ok(leaves)
    }

    /// The single chunks with their indices, once checked.
    pub(crate) fn split<'a>(
        &'a self,
        assignment: &Assignment,
        geometry: &Geometry,
    ) -> impl Iterator<Item = (u16, Bytes)> + use<'a> {
        let range = assignment.range(self.validator).expect("checked chunks are of a validator of the set");
        let chunk_bytes = geometry.chunk_bytes();
        let bytes = self.chunks.bytes();
        range
            .zip((0..).step_by(chunk_bytes))
            .map(move |(index, start)| (index, bytes.slice(start..start + chunk_bytes)))
    }
}

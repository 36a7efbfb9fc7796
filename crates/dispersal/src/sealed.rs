//! Sealing, and the commitment to a sealed payload.

use crate::{Assignment, Geometry, ValidatorChunks, coding, geometry::KEY_BYTES, transform};
use chorale_foundation::{
    Bytes,
    cryptography::Sha256,
    merkle::{Builder, Tree},
};
use chorale_types::{
    BuilderId, Commitment, Digest, ValidatorIndex, View,
    codec::{Blob, List, TooLong},
    codec_struct, tagged_hash,
};

/// Names a sealed payload. Certificates carry the same values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SealedReference {
    /// Who built it.
    pub builder: BuilderId,
    /// What builder, length and all chunks are committed to by.
    pub commitment: Commitment,
    /// Length of the payload in bytes, before sealing.
    pub length: u32,
    /// The last view whose header may reference it.
    pub expiry: View,
}
codec_struct!(SealedReference { builder, commitment, length, expiry });

impl SealedReference {
    /// Whether the commitment is to chunks with this Merkle root, sealed for this many of them, by this builder.
    #[must_use]
    pub(crate) fn commits_to(&self, assignment: &Assignment, root: &Digest) -> bool {
        self.commitment == commit(&self.builder, self.length, self.expiry, assignment, root)
    }
}

/// Commitment = H(builder, epoch as u64, expiry as u64, length as u32, N as u16, k as u16, root): the builder, so that
/// nobody passes off chunks of another's payload as its own; epoch and expiry, so that a payload that was ordered, or could
/// not be, never comes again under the same name; the rest, so that the commitment alone fixes what opening yields.
fn commit(builder: &BuilderId, length: u32, expiry: View, assignment: &Assignment, root: &Digest) -> Commitment {
    Commitment(tagged_hash(
        "chorale/commitment/v2",
        &[
            &builder.0,
            &assignment.epoch().0.to_be_bytes(),
            &expiry.0.to_be_bytes(),
            &length.to_be_bytes(),
            &assignment.total().to_be_bytes(),
            &assignment.needed().to_be_bytes(),
            root,
        ],
    ))
}

/// The leaf of one chunk in the Merkle tree.
pub(crate) fn chunk_digest(chunk: &[u8]) -> Digest {
    tagged_hash("chorale/chunk/v1", &[chunk])
}

/// The Merkle tree over the leaves of chunks, in their order.
pub(crate) fn digest_tree(digests: impl ExactSizeIterator<Item = Digest>) -> Tree<Digest> {
    let mut builder = Builder::<Sha256>::new(digests.len());
    for digest in digests {
        builder.add(&digest);
    }
    builder.build()
}

/// A sealed payload with all its chunks, as its builder holds it until they are sent.
#[derive(Clone, Debug)]
pub struct Sealed {
    reference: SealedReference,
    assignment: Assignment,
    geometry: Geometry,
    codeword: Bytes,
    tree: Tree<Digest>,
}

/// Seals a payload for the validators of an assignment, to be ordered in a view up to `expiry`.
///
/// `key` must be fresh from a secure source of randomness and never used again: a key that is known opens the payload
/// before it is ordered, and one used twice shows where two payloads differ.
///
/// # Errors
///
/// A payload above [`PAYLOAD_BYTES_MAX`](chorale_types::limits::PAYLOAD_BYTES_MAX).
pub fn seal(
    payload: &[u8],
    key: &[u8; KEY_BYTES],
    builder: BuilderId,
    expiry: View,
    assignment: &Assignment,
) -> Result<Sealed, TooLong> {
    let geometry = Geometry::new(assignment, payload.len())?;
    let mut codeword = vec![0; geometry.codeword_bytes()];
    let (package, recovery) = codeword.split_at_mut(geometry.package_bytes());
    transform::wrap(payload, key, package);
    coding::encode(&geometry, package, recovery);
    Ok(Sealed::new(codeword, geometry, builder, expiry, assignment))
}

impl Sealed {
    /// Commits to the chunks of `codeword`, whatever they are.
    pub(crate) fn new(
        codeword: Vec<u8>,
        geometry: Geometry,
        builder: BuilderId,
        expiry: View,
        assignment: &Assignment,
    ) -> Self {
        assert_eq!(codeword.len(), geometry.codeword_bytes(), "a codeword has all chunks");
        let tree = digest_tree(codeword.chunks_exact(geometry.chunk_bytes()).map(chunk_digest));
        let length = u32::try_from(geometry.payload_bytes()).expect("payloads are at most 8 MiB");
        let commitment = commit(&builder, length, expiry, assignment, &tree.root());
        Self {
            reference: SealedReference { builder, commitment, length, expiry },
            assignment: assignment.clone(),
            geometry,
            codeword: codeword.into(),
            tree,
        }
    }

    /// The payload's name.
    #[must_use]
    pub const fn reference(&self) -> SealedReference {
        self.reference
    }

    /// The commitment to all chunks.
    #[must_use]
    pub const fn commitment(&self) -> Commitment {
        self.reference.commitment
    }

    /// The shape of the chunks.
    #[must_use]
    pub const fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// What to send to one validator; `None` if it has no weight or is not of the set. Shares the chunks' memory.
    #[must_use]
    pub fn chunks_of(&self, validator: ValidatorIndex) -> Option<ValidatorChunks> {
        let range = self.assignment.range(validator).filter(|range| !range.is_empty())?;
        let chunk_bytes = self.geometry.chunk_bytes();
        let bytes = usize::from(range.start) * chunk_bytes..usize::from(range.end) * chunk_bytes;
        let proof = self.tree.range_proof(range.start.into(), u32::from(range.end) - 1);
        let siblings = proof.expect("the tree has a leaf for every chunk of the assignment").siblings;
        Some(ValidatorChunks {
            reference: self.reference,
            validator,
            root: self.tree.root(),
            proof: List::new(siblings).expect("a range has two siblings a level, and 1024 leaves 10 levels"),
            chunks: Blob::new(self.codeword.slice(bytes)).expect("the bound covers the largest codeword"),
        })
    }
}

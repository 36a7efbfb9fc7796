//! From chunks back to the payload.

use crate::{
    Assignment, ChunkError, Geometry, SealedReference, ValidatorChunks, coding,
    geometry::KEY_BYTES,
    seal,
    sealed::{chunk_digest, digest_tree},
    transform,
};
use chorale_foundation::Bytes;
use chorale_types::{Digest, ValidatorIndex};
use std::collections::BTreeMap;

/// An opened payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The payload's bytes.
    pub payload: Bytes,
    /// The key it was sealed with. Who holds payload and key can prove to others that they belong to the commitment,
    /// without any chunk; see [`verify_opened`].
    pub key: [u8; KEY_BYTES],
}

/// Why a commitment has no payload. The same for everybody who opens it, from whichever chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The committed chunks do not belong together.
    #[error("the committed chunks are not a codeword")]
    NotACodeword,
    /// What follows the payload is not zero.
    #[error("the padding after the payload is not zero")]
    Padding,
}

/// Why there is no payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// More chunks are needed. Says nothing about the payload.
    #[error("{have} chunks of {needed} needed")]
    NotYet {
        /// Chunks collected.
        have: u16,
        /// Chunks that rebuild.
        needed: u16,
    },
    /// There is none, and never will be.
    #[error("malformed payload: {0}")]
    Malformed(#[from] Malformed),
}

/// Chunks that were refused, and who is to blame: an honest node sends only what it checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("validator {sender} sent wrong chunks: {reason}")]
pub struct Refused {
    /// Who sent them.
    pub sender: ValidatorIndex,
    /// What is wrong with them.
    pub reason: ChunkError,
}

/// What became of a set of chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// Kept; still more are needed.
    Incomplete,
    /// Kept, and now there are enough.
    Complete,
    /// Not looked at: these are here already, or there were enough.
    NotNeeded,
}

/// Collects checked chunks of one payload until there are enough to open it.
#[derive(Clone, Debug)]
pub struct Opening {
    reference: SealedReference,
    assignment: Assignment,
    chunks: BTreeMap<u16, Checked>,
}

/// A chunk that was checked, with its leaf in the tree.
#[derive(Clone, Debug)]
struct Checked {
    bytes: Bytes,
    digest: Digest,
}

impl AsRef<[u8]> for Checked {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Opening {
    /// Starts without chunks. Allocates nothing for the payload, however long it claims to be.
    #[must_use]
    pub const fn new(reference: SealedReference, assignment: Assignment) -> Self {
        Self { reference, assignment, chunks: BTreeMap::new() }
    }

    /// The payload being opened.
    #[must_use]
    pub const fn reference(&self) -> &SealedReference {
        &self.reference
    }

    /// Chunks that are still needed.
    #[must_use]
    pub fn missing(&self) -> u16 {
        self.assignment.needed().saturating_sub(self.have())
    }

    fn have(&self) -> u16 {
        u16::try_from(self.chunks.len()).expect("there are at most 1024 chunks")
    }

    /// Whether this validator's chunks are here.
    #[must_use]
    pub fn contains(&self, validator: ValidatorIndex) -> bool {
        self.assignment
            .range(validator)
            .is_some_and(|range| self.chunks.contains_key(&range.start) && !range.is_empty())
    }

    /// Takes one validator's chunks, received from `sender`. Keeps the memory of the message alive until opened.
    ///
    /// # Errors
    ///
    /// Chunks that do not pass [`ValidatorChunks::check`], with the sender to blame; nothing is kept of them.
    pub fn add(&mut self, sender: ValidatorIndex, chunks: &ValidatorChunks) -> Result<Added, Refused> {
        if self.missing() == 0 || self.contains(chunks.validator) {
            return Ok(Added::NotNeeded);
        }
        let digests = chunks.leaves(&self.reference, &self.assignment).map_err(|reason| Refused { sender, reason })?;
        let geometry = self.geometry().expect("checked chunks are of a payload within the limit");
        let split = chunks.split(&self.assignment, &geometry).zip(digests);
        self.chunks.extend(split.map(|((index, bytes), digest)| (index, Checked { bytes, digest })));
        Ok(if self.missing() == 0 { Added::Complete } else { Added::Incomplete })
    }

    fn geometry(&self) -> Option<Geometry> {
        Geometry::new(&self.assignment, self.reference.length as usize).ok()
    }

    /// Rebuilds, re-encodes and compares all chunks, and undoes the transform.
    ///
    /// # Errors
    ///
    /// [`OpenError::NotYet`] with too few chunks, which depends on what was collected; [`OpenError::Malformed`], which
    /// depends on the commitment alone.
    pub fn open(&self) -> Result<Opened, OpenError> {
        let (have, needed) = (self.have(), self.assignment.needed());
        if have < needed {
            return Err(OpenError::NotYet { have, needed });
        }
        let geometry = self.geometry().expect("checked chunks are of a payload within the limit");
        let mut package = coding::rebuild(&geometry, &self.chunks);
        self.compare(&geometry, &package)?;
        let key = transform::unwrap(&mut package);
        let padding = &package[geometry.payload_bytes()..package.len() - KEY_BYTES];
        if padding.iter().any(|byte| *byte != 0) {
            return Err(Malformed::Padding.into());
        }
        package.truncate(geometry.payload_bytes());
        Ok(Opened { payload: package.into(), key })
    }

    /// Without this, two honest nodes with different chunks of a non-codeword would open different payloads.
    fn compare(&self, geometry: &Geometry, package: &[u8]) -> Result<(), Malformed> {
        let mut recovery = vec![0; geometry.codeword_bytes() - package.len()];
        coding::encode(geometry, package, &mut recovery);
        let chunk = |index: u16| {
            let (part, index) = match index.checked_sub(geometry.needed()) {
                Some(index) => (recovery.as_slice(), index),
                None => (package, index),
            };
            &part[usize::from(index) * geometry.chunk_bytes()..][..geometry.chunk_bytes()]
        };
        // What was checked when it came needs no second hash if it is the same again.
        let digest = |index: u16| match self.chunks.get(&index) {
            Some(checked) if checked.bytes == chunk(index) => checked.digest,
            _ => chunk_digest(chunk(index)),
        };
        let root = digest_tree((0..geometry.total()).map(digest)).root();
        if self.reference.commits_to(&self.assignment, &root) { Ok(()) } else { Err(Malformed::NotACodeword) }
    }
}

/// Opens a payload from sets of chunks in one go, ignoring those that do not pass.
///
/// # Errors
///
/// See [`Opening::open`].
pub fn open<'a>(
    reference: &SealedReference,
    assignment: &Assignment,
    chunks: impl IntoIterator<Item = &'a ValidatorChunks>,
) -> Result<Opened, OpenError> {
    let mut opening = Opening::new(*reference, assignment.clone());
    for chunks in chunks {
        // Whoever wants to know the sender of a wrong set collects with `Opening` itself.
        let _ = opening.add(chunks.validator, chunks);
    }
    opening.open()
}

/// Whether `opened` is what the commitment opens to, by sealing it again: how a payload from an archive is checked.
#[must_use]
pub fn verify_opened(opened: &Opened, reference: &SealedReference, assignment: &Assignment) -> bool {
    seal(&opened.payload, &opened.key, reference.builder, reference.expiry, assignment)
        .is_ok_and(|sealed| sealed.reference() == *reference)
}

//! How long chunks are, and how many.

use crate::Assignment;
use chorale_types::{codec::TooLong, limits::PAYLOAD_BYTES_MAX};

/// The shortest chunk, in bytes. Whoever lacks one chunk lacks this much of the package, as much as the key is long.
pub const CHUNK_BYTES_MIN: usize = 32;

/// Bytes of the masked key at the end of a package.
pub(crate) const KEY_BYTES: usize = 32;

/// The shape of a sealed payload: a function of its length and the assignment's totals alone, so that chunks of any
/// other length are refused before anything is computed from them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    payload_bytes: usize,
    chunk_bytes: usize,
    needed: u16,
    total: u16,
}

impl Geometry {
    /// The shape of a payload of `payload_bytes` bytes.
    ///
    /// # Errors
    ///
    /// A payload above [`PAYLOAD_BYTES_MAX`].
    pub fn new(assignment: &Assignment, payload_bytes: usize) -> Result<Self, TooLong> {
        if payload_bytes > PAYLOAD_BYTES_MAX {
            return Err(TooLong { actual: payload_bytes, max: PAYLOAD_BYTES_MAX });
        }
        let needed = assignment.needed();
        // Even, because symbols of the code are 16 bits wide.
        let chunk_bytes = (payload_bytes + KEY_BYTES).div_ceil(usize::from(needed)).next_multiple_of(2);
        Ok(Self { payload_bytes, chunk_bytes: chunk_bytes.max(CHUNK_BYTES_MIN), needed, total: assignment.total() })
    }

    /// Bytes of the payload before sealing.
    #[must_use]
    pub const fn payload_bytes(&self) -> usize {
        self.payload_bytes
    }

    /// Bytes of one chunk: even, at least [`CHUNK_BYTES_MIN`].
    #[must_use]
    pub const fn chunk_bytes(&self) -> usize {
        self.chunk_bytes
    }

    /// `k`: chunks that rebuild, which are also the chunks of the package itself.
    #[must_use]
    pub const fn needed(&self) -> u16 {
        self.needed
    }

    /// `N`: chunks in all.
    #[must_use]
    pub const fn total(&self) -> u16 {
        self.total
    }

    /// Chunks that the code adds to the package; 0 for a single chunk.
    #[must_use]
    pub const fn recovery(&self) -> u16 {
        self.total - self.needed
    }

    /// Bytes of the package: padded ciphertext and masked key.
    #[must_use]
    pub const fn package_bytes(&self) -> usize {
        self.needed as usize * self.chunk_bytes
    }

    /// Bytes of all chunks together.
    #[must_use]
    pub const fn codeword_bytes(&self) -> usize {
        self.total as usize * self.chunk_bytes
    }
}

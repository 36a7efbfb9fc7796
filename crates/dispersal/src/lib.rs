//! Sealed dispersal: how a payload is hidden, coded, spread by stake, and opened again.
//!
//! One mechanism gives bandwidth, availability and secrecy. A builder seals a payload before it is ordered and sends
//! every validator a share of it in proportion to its weight; more than a third of the weight can rebuild it, and
//! whoever holds at most a third learns nothing.
//!
//! # Construction
//!
//! Validators have integer weights of sum `N`; `k = floor(N / 3) + 1`.
//!
//! 1. *Transform* ([Rivest 1997], all-or-nothing): with a fresh key `K`, the payload is padded with zeros and
//!    encrypted with ChaCha20 (zero nonce: a key is never used twice) to `C`; the package is `C || (K xor SHA-256(C))`.
//!    Who misses any 32 bytes of it has neither `K` nor a way to test a guess.
//! 2. *Code* ([Resch and Plank, FAST 2011]): the package is cut into `k` chunks of one even length of at least 32
//!    bytes and extended to `N` by a systematic Reed-Solomon code over GF(2^16). Any `k` chunks rebuild all.
//! 3. *Commit*: a Merkle root over the hashes of all `N` chunks; the [`Commitment`](chorale_types::Commitment) hashes
//!    builder, payload length, `N`, `k` and this root.
//! 4. *Assign* ([`Assignment`]): validator `i` gets as many consecutive chunks as it has weight.
//!
//! # Rules
//!
//! - A validator stores and acknowledges only [`ValidatorChunks`] that pass [`ValidatorChunks::check`].
//! - Opening re-encodes all `N` chunks and compares the root, also when no decoding was needed. This is what makes the
//!   result a function of the commitment alone: if the committed chunks are one codeword, every `k` of them yield it;
//!   if they are not, every `k` of them yield a codeword with another root, and the payload is malformed for all.
//! - A key, and with it a commitment, is used for one dispersal only. The caller draws it from a secure source.
//!
//! # Limits
//!
//! Payloads of up to [`PAYLOAD_BYTES_MAX`](chorale_types::limits::PAYLOAD_BYTES_MAX); up to 1024 chunks. Coding works
//! in strips, so beyond its results it holds about a megabyte.
//!
//! Everything here is pure: keys come in as arguments, and there is no clock, disk, socket or thread.
//!
//! [Rivest 1997]: https://people.csail.mit.edu/rivest/pubs/Riv97d.pdf
//! [Resch and Plank, FAST 2011]: https://www.usenix.org/legacy/event/fast11/tech/full_papers/Resch.pdf

mod assignment;
mod chunks;
mod coding;
mod geometry;
#[cfg(any(test, feature = "mocks"))]
pub mod mocks;
mod opening;
mod rotation;
mod sealed;
mod transform;

pub use assignment::{Assignment, AssignmentError};
pub use chunks::{CHUNKS_BYTES_MAX, ChunkError, PROOF_DIGESTS_MAX, ValidatorChunks};
pub use geometry::{CHUNK_BYTES_MIN, Geometry};
pub use opening::{Added, Malformed, OpenError, Opened, Opening, Refused, open, verify_opened};
pub use rotation::{Rotation, Senders};
pub use sealed::{Sealed, SealedReference, seal};

#[cfg(test)]
mod tests;

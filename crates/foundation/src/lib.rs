//! The one door to the commonware crates.
//!
//! Chorale uses commonware's codec, hashes, signatures, Reed-Solomon engine, Merkle tree, runtime, peer-to-peer mesh
//! and journals. Every import of them goes through this crate, so that an upgrade (calendar versions, breaking each
//! time) touches one manifest and, at most, this file.
//!
//! The default features are what pure crates may use: no socket, disk, clock or thread behind them. The feature
//! `runtime` adds the impure half, and `simulation` its deterministic counterparts for tests.

#![allow(missing_docs, reason = "re-exports only; the documentation is upstream's")]

pub use bytes::{Buf as BytesBuf, BufMut, Bytes, BytesMut};

pub mod codec {
    pub use commonware_codec::{
        Buf, Decode, DecodeExt, Encode, EncodeSize, Error, FixedSize, Read, ReadExt, Write, varint,
    };
}

pub mod cryptography {
    pub use commonware_cryptography::{
        BatchVerifier, ChaCha20Poly1305, Hasher, PrivateKey, PublicKey, Sha256, Signer, Verifier, bls12381, ed25519,
        reed_solomon, sha256,
    };
    pub use commonware_math::algebra::{Additive, Random};
    pub use commonware_parallel::Sequential;
}

/// Binary Merkle tree over SHA-256: leaves bound to their position, root bound to the leaf count.
pub mod merkle {
    pub use commonware_storage::bmt::{Builder, Error, Proof, Tree};
}

pub use commonware_formatting as formatting;
pub use commonware_utils as utils;

#[cfg(feature = "runtime")]
pub use commonware_actor as actor;
#[cfg(feature = "runtime")]
pub use commonware_macros as macros;
#[cfg(feature = "runtime")]
pub use commonware_p2p as p2p;
#[cfg(feature = "runtime")]
pub use commonware_runtime as runtime;
#[cfg(feature = "runtime")]
pub use commonware_storage as storage;
#[cfg(feature = "runtime")]
pub use commonware_stream as stream;

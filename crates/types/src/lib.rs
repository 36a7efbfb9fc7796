//! The words of Chorale: what is signed, sent, stored and proven, with one canonical encoding.
//!
//! Everything here is data and stateless checks. Nothing knows a clock, a socket, a disk or another crate of Chorale.

pub mod codec;
mod ids;
pub mod limits;

pub use ids::{
    BlockId, BundleId, ChainId, Commitment, Digest, Epoch, Height, ParseIdError, RollupId, TimestampMs, TxId,
    ValidatorIndex, View, tagged_hash,
};

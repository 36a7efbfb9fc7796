//! Why attesting ends: all of it is a broken invariant, or the disk.

use super::store::Error as StorageError;
use crate::settlement;
use chorale_types::{Digest, DomainId, Height};

/// Why the actor ended before the node was shut down.
#[derive(Debug, thiserror::Error)]
pub enum Stopped {
    /// The disk failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Settlement has no record of a height that it says is settled.
    #[error("the record of height {height}: {error}")]
    Record {
        /// The height.
        height: Height,
        /// Why.
        error: settlement::Unavailable,
    },
    /// This node found another outcome than a quorum.
    #[error(
        "of domain {domain} at height {height} this node found the outcome {ours}, and a quorum attested {attested}: this node, or a \
         quorum, is wrong. It stops; do not delete its data before you know which"
    )]
    Diverged {
        /// The domain.
        domain: DomainId,
        /// The height.
        height: Height,
        /// The root that this node computed.
        ours: Digest,
        /// The root that is attested.
        attested: Digest,
    },
    /// This node found another outcome than it did before.
    #[error(
        "of domain {domain} at height {height} this node found the outcome {now}, and signed {signed} before: one history, two outcomes"
    )]
    Inconsistent {
        /// The domain.
        domain: DomainId,
        /// The height.
        height: Height,
        /// The root computed now.
        now: Digest,
        /// The root signed before.
        signed: Digest,
    },
}

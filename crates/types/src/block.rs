//! Blocks: headers, how votes name them, and the certificates of payloads in them.

use crate::{
    Acknowledged, BlockId, BuilderId, ChainId, Commitment, Epoch, Height, QuorumCertificate, Signature, Signers,
    TimestampMs, ValidatorIndex, View,
    codec::{Encode, List},
    codec_struct,
    limits::HEADER_PAYLOADS_MAX,
    tagged_hash,
};

/// What votes and certificates name a block by.
///
/// The parent's view is part of it so that a child can be checked, and a pair of certificates can commit, without the
/// parent's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockReference {
    /// The view the header was made in; 0 only for the block that an epoch starts from.
    pub view: View,
    /// The view of the certificate that the header extends.
    pub parent: View,
    /// The header's height.
    pub height: Height,
    /// The header's hash.
    pub id: BlockId,
}
codec_struct!(BlockReference { view, parent, height, id });

/// Proof that a quorum holds the chunks of a sealed payload on disk, so that it can be rebuilt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AvailabilityCertificate {
    /// What was acknowledged.
    pub acknowledged: Acknowledged,
    /// By whom: at least a quorum.
    pub signers: Signers,
    /// The aggregate of their signatures.
    pub signature: Signature,
}
codec_struct!(AvailabilityCertificate { acknowledged, signers, signature });

impl AvailabilityCertificate {
    /// The payload's commitment.
    #[must_use]
    pub const fn commitment(&self) -> Commitment {
        self.acknowledged.commitment
    }

    /// Who built the payload.
    #[must_use]
    pub const fn builder(&self) -> BuilderId {
        self.acknowledged.builder
    }
}

/// What consensus orders: a few hundred bytes that prove by themselves that they may be voted for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The chain.
    pub chain: ChainId,
    /// The epoch.
    pub epoch: Epoch,
    /// The view it was made in.
    pub view: View,
    /// One more than its parent's.
    pub height: Height,
    /// The certificate it extends.
    pub parent: QuorumCertificate,
    /// A claim; chain time is settled behind consensus.
    pub timestamp: TimestampMs,
    /// The payloads it orders, in this order. Empty above the epoch's closing height.
    pub payloads: List<AvailabilityCertificate, HEADER_PAYLOADS_MAX>,
    /// Leader of `view`.
    pub author: ValidatorIndex,
}
codec_struct!(Header { chain, epoch, view, height, parent, timestamp, payloads, author });

/// Bytes of the largest header: fixed fields, one certificate and two availability certificates of the largest set.
pub const HEADER_BYTES_MAX: usize = 1024 + 3 * (256 + crate::limits::VALIDATORS_MAX / 8);

impl Header {
    /// The header's hash.
    #[must_use]
    pub fn id(&self) -> BlockId {
        BlockId(tagged_hash("chorale/header/v1", &[&self.encode()]))
    }

    /// What votes name it by. Hashes the header.
    #[must_use]
    pub fn reference(&self) -> BlockReference {
        BlockReference { view: self.view, parent: self.parent.view, height: self.height, id: self.id() }
    }
}

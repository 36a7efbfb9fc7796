//! Outcomes: what validators found a height to have brought, in a few hundred bytes under one root.

use crate::{
    BlockId, ChainId, Digest, DomainId, Epoch, Height, Statement, TimestampMs,
    codec::{Buf, Encode, EncodeSize, Error, List, Read, ReadExt, Write},
    codec_struct,
    limits::HEADER_PAYLOADS_MAX,
    tagged_hash,
};
use chorale_foundation::BufMut;

/// What became of a payload that a header references.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PayloadStatus {
    /// It opened and its content is in the lanes.
    Opened,
    /// Another reference came first: without effect.
    Void,
    /// There is no content behind the commitment, or another than its manifest says: without effect.
    Malformed,
}

impl Write for PayloadStatus {
    fn write(&self, buf: &mut impl BufMut) {
        let tag: u8 = match self {
            Self::Opened => 0,
            Self::Void => 1,
            Self::Malformed => 2,
        };
        tag.write(buf);
    }
}

impl EncodeSize for PayloadStatus {
    fn encode_size(&self) -> usize {
        1
    }
}

impl Read for PayloadStatus {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, Error> {
        match u8::read(buf)? {
            0 => Ok(Self::Opened),
            1 => Ok(Self::Void),
            2 => Ok(Self::Malformed),
            tag => Err(Error::InvalidEnum(tag)),
        }
    }
}

/// The outcome of a height: a pure function of all committed headers and revealed payloads up to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The chain.
    pub chain: ChainId,
    /// The epoch.
    pub epoch: Epoch,
    /// The height.
    pub height: Height,
    /// The header.
    pub header: BlockId,
    /// Settled chain time. Rises with every height.
    pub timestamp: TimestampMs,
    /// What became of each of the header's payloads.
    pub payloads: List<PayloadStatus, HEADER_PAYLOADS_MAX>,
    /// Root over the [leaves of lanes](crate::LaneLeaf), sorted by rollup.
    pub lanes: Digest,
    /// Root over the [last content of every rollup](crate::RegistryLeaf), sorted by rollup.
    pub registry: Digest,
    /// Digest of what else decides about later heights.
    pub ledger: Digest,
    /// At the closing height of an epoch, the [digest](crate::ValidatorSet::digest) of the next validators.
    pub next_validators: Option<Digest>,
}
codec_struct!(Outcome { chain, epoch, height, header, timestamp, payloads, lanes, registry, ledger, next_validators });

impl Outcome {
    /// The root that validators sign: a hash of the encoding.
    #[must_use]
    pub fn root(&self) -> Digest {
        tagged_hash("chorale/outcome-root/v1", &[&self.encode()])
    }

    /// What validators sign.
    #[must_use]
    pub fn statement(&self) -> Statement {
        Statement::Outcome { domain: DomainId::ORDERING, height: self.height, root: self.root() }
    }
}

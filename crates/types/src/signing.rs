//! What is signed, byte for byte, and who may check it how.
//!
//! This file is the one place that fixes signed preimages; `docs` and contracts follow it. Every signature is
//! BLS12-381 min-sig (48-byte signatures on G1, hash-to-curve suite `BLS12381G1_XMD:SHA-256_SSWU_RO_`) over
//!
//! ```text
//! len(tag) as one byte | tag | chain id (32) | epoch (u64) | fields of the statement, in order
//! ```
//!
//! with integers big-endian and fixed-width. The tag names the kind of statement, so no signature can be taken for one
//! of another kind, chain or epoch.

use crate::{
    BlockId, BlockReference, ChainId, Commitment, Digest, DomainId, Epoch, Height, Rank, Signers, ValidatorIndex,
    ValidatorSet, View, codec::Write, codec_bytes, codec_newtype,
};
use chorale_foundation::BufMut;
use std::fmt;

/// A signature or an aggregate of signatures, as bytes. It has not been looked at: only a [`Scheme`] can say whether
/// it is one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signature(pub [u8; Self::BYTES]);

impl Signature {
    /// Length of a compressed point of G1.
    pub const BYTES: usize = 48;
    /// No signature: stands in the fixed certificate that an epoch starts from, and verifies nowhere.
    pub const NONE: Self = Self([0; Self::BYTES]);
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({})", hex::encode(&self.0[..4]))
    }
}

codec_bytes!(Signature);

/// Who built a payload: the hash of the builder's public key (of a validator's consensus key, for its own payloads).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BuilderId(pub Digest);
codec_newtype!(BuilderId);

/// What a validator acknowledges about a sealed payload whose chunks it holds on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Acknowledged {
    /// Who built it.
    pub builder: BuilderId,
    /// What its chunks are committed to by.
    pub commitment: Commitment,
    /// Length of the payload in bytes, before sealing.
    pub length: u32,
    /// Hash of its manifest.
    pub manifest: Digest,
    /// The last view whose header may reference it.
    pub expiry: View,
}
crate::codec_struct!(Acknowledged { builder, commitment, length, manifest, expiry });

/// Something that is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Statement {
    /// "I, leader of this view, made this header." Fields: view, block id.
    Tip {
        /// The header's view.
        view: View,
        /// The header's hash.
        id: BlockId,
    },
    /// "I, leader of this view, propose this earlier header again." Fields: view, block id, hash of the timeout
    /// certificate that says so.
    Reproposal {
        /// The view of the proposal, later than the header's.
        view: View,
        /// The header's hash.
        id: BlockId,
        /// Hash of the timeout certificate.
        timeout: Digest,
    },
    /// "I vote for this block in this view." Fields: view, reference.
    Vote {
        /// The view voted in.
        view: View,
        /// The block.
        block: BlockReference,
    },
    /// "I saw this block certified in this view and never timed out in it or later." Fields: view, reference.
    CommitVote {
        /// The view of the certificate.
        view: View,
        /// The block.
        block: BlockReference,
    },
    /// "I give this view up; the best I know has this rank." Fields: view, rank.
    Timeout {
        /// The view given up.
        view: View,
        /// Rank of the best certificate or header known.
        rank: Rank,
    },
    /// "I hold my chunks of this payload on disk." Fields: those of [`Acknowledged`].
    Acknowledgement(Acknowledged),
    /// "This is the root I computed." Fields: domain, height, root.
    Outcome {
        /// The attestation domain.
        domain: DomainId,
        /// The height.
        height: Height,
        /// The outcome root.
        root: Digest,
    },
}

impl Statement {
    /// The domain-separation tag.
    #[must_use]
    pub const fn tag(&self) -> &'static [u8] {
        match self {
            Self::Tip { .. } => b"chorale/tip/v1",
            Self::Reproposal { .. } => b"chorale/reproposal/v1",
            Self::Vote { .. } => b"chorale/vote/v1",
            Self::CommitVote { .. } => b"chorale/commit-vote/v1",
            Self::Timeout { .. } => b"chorale/timeout/v1",
            Self::Acknowledgement(_) => b"chorale/acknowledgement/v1",
            Self::Outcome { .. } => b"chorale/outcome/v1",
        }
    }

    /// The number that stands for the kind of statement in encodings.
    #[must_use]
    pub(crate) const fn kind(&self) -> u8 {
        match self {
            Self::Tip { .. } => 0,
            Self::Reproposal { .. } => 1,
            Self::Vote { .. } => 2,
            Self::CommitVote { .. } => 3,
            Self::Timeout { .. } => 4,
            Self::Acknowledgement(_) => 5,
            Self::Outcome { .. } => 6,
        }
    }

    /// Writes the fields in order.
    pub(crate) fn write_fields(&self, buf: &mut impl BufMut) {
        match self {
            Self::Tip { view, id } => {
                view.write(buf);
                id.write(buf);
            }
            Self::Reproposal { view, id, timeout } => {
                view.write(buf);
                id.write(buf);
                timeout.write(buf);
            }
            Self::Vote { view, block } | Self::CommitVote { view, block } => {
                view.write(buf);
                block.write(buf);
            }
            Self::Timeout { view, rank } => {
                view.write(buf);
                rank.write(buf);
            }
            Self::Acknowledgement(acknowledged) => acknowledged.write(buf),
            Self::Outcome { domain, height, root } => {
                domain.write(buf);
                height.write(buf);
                root.write(buf);
            }
        }
    }

    /// All that follows the tag in the preimage.
    #[must_use]
    pub fn body(&self, chain: ChainId, epoch: Epoch) -> Vec<u8> {
        let mut body = Vec::with_capacity(160);
        chain.write(&mut body);
        epoch.write(&mut body);
        self.write_fields(&mut body);
        body
    }

    /// The whole preimage.
    #[must_use]
    pub fn preimage(&self, chain: ChainId, epoch: Epoch) -> Vec<u8> {
        let tag = self.tag();
        let mut preimage = vec![u8::try_from(tag.len()).expect("tags are short constants")];
        preimage.extend_from_slice(tag);
        preimage.extend(self.body(chain, epoch));
        preimage
    }
}

/// Who is claimed to have signed.
#[derive(Clone, Copy, Debug)]
pub enum Signatories<'a> {
    /// One validator, with its own signature.
    One(ValidatorIndex),
    /// These validators, with the aggregate of their signatures.
    All(&'a Signers),
}

/// A signature with the statement it is said to be over.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// Who.
    pub signatories: Signatories<'a>,
    /// What.
    pub statement: Statement,
    /// The proof.
    pub signature: &'a Signature,
}

/// Signs for one validator and checks for all: stake-weighted BLS in production ([`crate::Bls`]), a fast mock in
/// search. Implementations are deterministic.
pub trait Scheme {
    /// Signs a statement with this node's key.
    fn sign(&self, chain: ChainId, epoch: Epoch, statement: &Statement) -> Signature;

    /// Adds signatures up. `None` if one of them is not a point of the group.
    fn aggregate<'a>(&self, signatures: impl IntoIterator<Item = &'a Signature>) -> Option<Signature>;

    /// Whether *all* claims hold. Signatories outside `validators`, or none, make a claim false. No claims hold.
    ///
    /// Says nothing about weight: see [`ValidatorSet::weight_of`].
    fn verify(&self, chain: ChainId, epoch: Epoch, validators: &ValidatorSet, claims: &[Claim<'_>]) -> bool;
}

//! Certificates of consensus: what a quorum signed together.

use crate::{
    BlockReference, Digest, Epoch, Header, Signature, Signers, View,
    codec::{Buf, Encode, EncodeSize, Error, List, Read, ReadExt, Shared, Write},
    codec_enum, codec_struct,
    limits::VALIDATORS_MAX,
    tagged_hash,
};
use chorale_foundation::BufMut;

/// A quorum voted for a block in a view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuorumCertificate {
    /// The epoch.
    pub epoch: Epoch,
    /// The view voted in; later than the block's own if the block was proposed again.
    pub view: View,
    /// The block.
    pub block: BlockReference,
    /// Who voted: at least a quorum; nobody in the fixed certificate of an epoch's start.
    pub signers: Signers,
    /// The aggregate of their signatures.
    pub signature: Signature,
}
codec_struct!(QuorumCertificate { epoch, view, block, signers, signature });

impl QuorumCertificate {
    /// Whether both certify the same, whoever signed.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        self.epoch == other.epoch && self.view == other.view && self.block == other.block
    }

    /// Whether the vote was on a fresh header, which makes the block `certified`. A vote on a reproposal promises
    /// nothing yet.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.view == self.block.view
    }

    /// Its rank as the best that a validator knows.
    #[must_use]
    pub const fn rank(&self) -> Rank {
        Rank { view: self.view, kind: RankKind::Certified, parent: View(0) }
    }
}

/// A quorum sent commit votes for a block: it is committed with its ancestors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitCertificate {
    /// The epoch.
    pub epoch: Epoch,
    /// The view of the certificate that the commit votes were for.
    pub view: View,
    /// The block.
    pub block: BlockReference,
    /// Who sent them: at least a quorum.
    pub signers: Signers,
    /// The aggregate of their signatures.
    pub signature: Signature,
}
codec_struct!(CommitCertificate { epoch, view, block, signers, signature });

/// Which kind of thing the best known is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RankKind {
    /// A header that was voted for.
    Voted,
    /// A quorum certificate.
    Certified,
}

/// How much a validator's best knowledge counts, compared field by field.
///
/// The last component is load-bearing: of two headers that an equivocating leader made in one view, the one with the
/// newer parent wins, so a tip with an older parent cannot displace a block that may have been committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rank {
    /// The view of the certificate or header.
    pub view: View,
    /// Certificate above header.
    pub kind: RankKind,
    /// For a header, the view of the certificate it extends; else 0.
    pub parent: View,
}

impl Write for Rank {
    fn write(&self, buf: &mut impl BufMut) {
        self.view.write(buf);
        u8::from(self.kind == RankKind::Certified).write(buf);
        self.parent.write(buf);
    }
}

impl EncodeSize for Rank {
    fn encode_size(&self) -> usize {
        17
    }
}

impl Read for Rank {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, Error> {
        let view = View::read(buf)?;
        let kind = match u8::read(buf)? {
            0 => RankKind::Voted,
            1 => RankKind::Certified,
            tag => return Err(Error::InvalidEnum(tag)),
        };
        let parent = View::read(buf)?;
        if kind == RankKind::Certified && parent != View(0) {
            return Err(Error::Invalid("Rank", "the rank of a certificate has no parent view"));
        }
        Ok(Self { view, kind, parent })
    }
}

/// Validators that timed out with one rank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeoutGroup {
    /// The rank they signed.
    pub rank: Rank,
    /// Who.
    pub signers: Signers,
    /// The aggregate of their signatures.
    pub signature: Signature,
}
codec_struct!(TimeoutGroup { rank, signers, signature });

/// A quorum gave a view up: who, and what was the best that each knew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeoutQuorum {
    /// The epoch.
    pub epoch: Epoch,
    /// The view given up.
    pub view: View,
    /// By rank, highest first, ranks distinct and signers disjoint.
    pub groups: List<TimeoutGroup, VALIDATORS_MAX>,
}
codec_struct!(TimeoutQuorum { epoch, view, groups });

impl TimeoutQuorum {
    /// The highest rank in it; `None` if it has no group (such a one is never valid).
    #[must_use]
    pub fn rank(&self) -> Option<Rank> {
        self.groups.iter().map(|group| group.rank).max()
    }
}

/// A timeout certificate: the quorum, and the best that one of it knew, which the next leader has to build on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeoutCertificate {
    /// The timeouts.
    pub quorum: TimeoutQuorum,
    /// Its rank is the highest of the groups.
    pub high: High,
}
codec_struct!(TimeoutCertificate { quorum, high });

impl TimeoutCertificate {
    /// The view given up.
    #[must_use]
    pub const fn view(&self) -> View {
        self.quorum.view
    }

    /// Its hash, which a reproposal names.
    #[must_use]
    pub fn digest(&self) -> Digest {
        tagged_hash("chorale/timeout-certificate/v1", &[&self.encode()])
    }
}

/// The best that a validator knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum High {
    /// A certificate.
    Certified(QuorumCertificate),
    /// A header that it voted for, above every certificate it knows.
    Voted(Tip),
}

codec_enum!(High { 0 => Certified, 1 => Voted });

impl High {
    /// Its rank.
    #[must_use]
    pub fn rank(&self) -> Rank {
        match self {
            Self::Certified(certificate) => certificate.rank(),
            Self::Voted(tip) => tip.rank(),
        }
    }
}

/// A header with its author's signature and the reason why it may extend what it extends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tip {
    /// The header, shared: many places keep a tip, and none changes it.
    pub header: Shared<Header>,
    /// None if the parent is certified in the view before. Else the timeouts of the view before; their highest rank
    /// is that of the parent, so the header's parent completes them to a timeout certificate.
    pub entry: Option<TimeoutQuorum>,
    /// The author's signature over [`Statement::Tip`](crate::Statement::Tip).
    pub signature: Signature,
}
codec_struct!(Tip { header, entry, signature });

impl Tip {
    /// Its rank. A reproposal keeps it.
    #[must_use]
    pub fn rank(&self) -> Rank {
        Rank { view: self.header.view, kind: RankKind::Voted, parent: self.header.parent.view }
    }
}

//! What validators say to each other about the order.

use crate::{
    BlockReference, CommitCertificate, Epoch, High, QuorumCertificate, Signature, Statement, TimeoutCertificate, Tip,
    ValidatorIndex, View, codec_enum, codec_struct,
};

/// A vote for a block in a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vote {
    /// The epoch.
    pub epoch: Epoch,
    /// The view voted in.
    pub view: View,
    /// The block.
    pub block: BlockReference,
    /// Who votes.
    pub author: ValidatorIndex,
    /// Over [`Statement::Vote`].
    pub signature: Signature,
}
codec_struct!(Vote { epoch, view, block, author, signature });

impl Vote {
    /// What the signature is over.
    #[must_use]
    pub const fn statement(&self) -> Statement {
        Statement::Vote { view: self.view, block: self.block }
    }
}

/// "I saw this certified, and have given up neither this view nor a later one."
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommitVote {
    /// The epoch.
    pub epoch: Epoch,
    /// The view of the certificate.
    pub view: View,
    /// The block.
    pub block: BlockReference,
    /// Who says so.
    pub author: ValidatorIndex,
    /// Over [`Statement::CommitVote`].
    pub signature: Signature,
}
codec_struct!(CommitVote { epoch, view, block, author, signature });

impl CommitVote {
    /// What the signature is over.
    #[must_use]
    pub const fn statement(&self) -> Statement {
        Statement::CommitVote { view: self.view, block: self.block }
    }
}

/// How a view was entered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// By a certificate of the view before.
    Certified(QuorumCertificate),
    /// By a timeout certificate of the view before.
    TimedOut(TimeoutCertificate),
}
codec_enum!(Entry { 0 => Certified, 1 => TimedOut });

impl Entry {
    /// The view that it ends.
    #[must_use]
    pub const fn view(&self) -> View {
        match self {
            Self::Certified(certificate) => certificate.view,
            Self::TimedOut(certificate) => certificate.quorum.view,
        }
    }
}

/// A validator gives a view up and says what it knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeout {
    /// The epoch.
    pub epoch: Epoch,
    /// The view given up.
    pub view: View,
    /// The best that the author knows.
    pub high: High,
    /// Who gives up.
    pub author: ValidatorIndex,
    /// Over [`Statement::Timeout`] with the rank of `high`.
    pub signature: Signature,
    /// How the author entered the view, unless `high` is the certificate of the view before and so says it.
    pub entry: Option<Entry>,
}
codec_struct!(Timeout { epoch, view, high, author, signature, entry });

impl Timeout {
    /// What the signature is over.
    #[must_use]
    pub fn statement(&self) -> Statement {
        Statement::Timeout { view: self.view, rank: self.high.rank() }
    }
}

/// A header proposed again, because the best that a timeout certificate knows is a header without certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reproposal {
    /// Of the view before the proposal's; its `high` is the tip proposed again.
    pub timeout: TimeoutCertificate,
    /// The leader's signature over [`Statement::Reproposal`].
    pub signature: Signature,
}
codec_struct!(Reproposal { timeout, signature });

/// What the leader of a view proposes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proposal {
    /// A header of this view.
    Fresh(Tip),
    /// An earlier header.
    Again(Reproposal),
}
codec_enum!(Proposal { 0 => Fresh, 1 => Again });

impl Proposal {
    /// The header and what came with it; `None` for a reproposal of a certificate, which is invalid.
    #[must_use]
    pub const fn tip(&self) -> Option<&Tip> {
        match self {
            Self::Fresh(tip) => Some(tip),
            Self::Again(again) => match &again.timeout.high {
                High::Voted(tip) => Some(tip),
                High::Certified(_) => None,
            },
        }
    }

    /// The view of the proposal.
    #[must_use]
    pub fn view(&self) -> View {
        match self {
            Self::Fresh(tip) => tip.header.view,
            Self::Again(again) => View(again.timeout.quorum.view.0.saturating_add(1)),
        }
    }

    /// The epoch of the proposal.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        match self {
            Self::Fresh(tip) => tip.header.epoch,
            Self::Again(again) => again.timeout.quorum.epoch,
        }
    }
}

/// Two certificates of consecutive views, the second on a child of the first one's block: the first one's block is
/// committed with its ancestors.
///
/// The child's reference names its parent's view, and a view has one certificate, so no header is needed to see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitPair {
    /// Certifies the committed block.
    pub block: QuorumCertificate,
    /// Certifies its child in the next view.
    pub child: QuorumCertificate,
}
codec_struct!(CommitPair { block, child });

/// Why a block is committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommitProof {
    /// By certificates of two consecutive views.
    Pair(CommitPair),
    /// By commit votes.
    Direct(CommitCertificate),
}
codec_enum!(CommitProof { 0 => Pair, 1 => Direct });

impl CommitProof {
    /// The committed block.
    #[must_use]
    pub const fn block(&self) -> BlockReference {
        match self {
            Self::Pair(pair) => pair.block.block,
            Self::Direct(certificate) => certificate.block,
        }
    }

    /// The epoch.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        match self {
            Self::Pair(pair) => pair.block.epoch,
            Self::Direct(certificate) => certificate.epoch,
        }
    }
}

/// A nudge: somebody has something to order, so the leader should not hold its empty proposal any longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nudge {
    /// The epoch.
    pub epoch: Epoch,
    /// The view whose leader is meant.
    pub view: View,
}
codec_struct!(Nudge { epoch, view });

/// A message of consensus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A proposal.
    Proposal(Proposal),
    /// A vote.
    Vote(Vote),
    /// A commit vote.
    CommitVote(CommitVote),
    /// A timeout.
    Timeout(Timeout),
    /// How a view was entered: a certificate that whoever is behind needs.
    Entry(Entry),
    /// Something is committed; of a closing block it ends the epoch.
    Commit(CommitProof),
    /// Something is pending.
    Nudge(Nudge),
}
codec_enum!(Message { 0 => Proposal, 1 => Vote, 2 => CommitVote, 3 => Timeout, 4 => Entry, 5 => Commit, 6 => Nudge });

impl Message {
    /// The epoch it belongs to.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        match self {
            Self::Proposal(proposal) => proposal.epoch(),
            Self::Vote(vote) => vote.epoch,
            Self::CommitVote(vote) => vote.epoch,
            Self::Timeout(timeout) => timeout.epoch,
            Self::Entry(Entry::Certified(certificate)) => certificate.epoch,
            Self::Entry(Entry::TimedOut(certificate)) => certificate.quorum.epoch,
            Self::Commit(proof) => proof.epoch(),
            Self::Nudge(nudge) => nudge.epoch,
        }
    }
}

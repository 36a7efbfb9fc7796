//! The safety record: all that a validator must not forget.

use chorale_types::{
    BlockReference, CommitVote, Entry, Epoch, Proposal, QuorumCertificate, Timeout, Tip, View, Vote, codec_struct,
};

/// What has to be on disk before the message that it allows leaves. One value, replaced as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The epoch.
    pub epoch: Epoch,
    /// The view the node is in.
    pub view: View,
    /// How it entered it; none in view 1, which is entered by the epoch's fixed certificate.
    pub entry: Option<Entry>,
    /// The highest certificate ever verified. Never replaced by a lower one.
    pub high: QuorumCertificate,
    /// The last header voted for, dropped once `high` is of its view or later.
    pub tip: Option<Tip>,
    /// The last vote.
    pub vote: Option<Vote>,
    /// The last timeout.
    pub timeout: Option<Timeout>,
    /// The last commit vote.
    pub commit_vote: Option<CommitVote>,
    /// The last proposal, as it was sent.
    pub proposal: Option<Proposal>,
    /// The last committed block.
    pub committed: BlockReference,
}
codec_struct!(Record { epoch, view, entry, high, tip, vote, timeout, commit_vote, proposal, committed });

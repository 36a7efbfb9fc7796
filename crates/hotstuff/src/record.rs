//! The safety record: all that a validator must not forget.

use chorale_types::{
    BlockReference, CommitVote, Entry, Epoch, EpochInfo, Proposal, QuorumCertificate, Timeout, Tip, View, Vote,
    codec_struct,
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

impl Record {
    /// The record of a node that has done nothing yet in the epoch.
    #[must_use]
    pub fn start(info: &EpochInfo, committed: BlockReference) -> Self {
        Self {
            epoch: info.epoch,
            view: View(1),
            entry: None,
            high: info.start_certificate(),
            tip: None,
            vote: None,
            timeout: None,
            commit_vote: None,
            proposal: None,
            committed,
        }
    }
}
codec_struct!(Record { epoch, view, entry, high, tip, vote, timeout, commit_vote, proposal, committed });

//! Mistakes to plant: each breaks one rule that safety rests on, and the tests have to notice every one.

/// A planted mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mutation {
    /// The highest certificate is replaced by whichever is learnt last.
    HighNotMonotone,
    /// A reproposed block is called certified after one certificate.
    ReproposalCertified,
    /// A reproposed block is committed after one certificate.
    ReproposalFinal,
    /// The header last voted for is forgotten at a restart.
    TipForgotten,
    /// The last timeout is forgotten at a restart.
    TimeoutForgotten,
    /// The last vote is forgotten at a restart.
    VoteForgotten,
    /// Certificates of views that are not consecutive commit.
    CommitOverGap,
    /// A commit vote is sent for a view given up before.
    CommitVoteAfterTimeout,
    /// A vote is sent in a view given up before.
    VoteAfterTimeout,
    /// Every valid proposal of a view is voted for, not only the first.
    VoteTwice,
    /// Ranks leave out the view of the header's parent.
    RankWithoutParent,
    /// A header proposed again counts as one of the later view, above certificates in between.
    ReproposalRaisesRank,
    /// A timeout reports the highest certificate also when a later header was voted for.
    TipNotReported,
    /// A resent timeout reports what is known by then.
    TimeoutRefreshed,
    /// A leader makes a fresh header when it should propose an earlier one again, and the others accept it.
    NoReproposal,
    /// A fresh header need not say why it does not extend the certificate of the view before.
    EntryUnchecked,
    /// Certificates need half of the stake only.
    QuorumOfHalf,
    /// Votes, timeouts and commit votes leave before the record is durable.
    SendBeforePersist,
    /// Headers above the closing height are committed.
    CommitBeyondClosing,
}

impl Mutation {
    /// All of them.
    pub const ALL: [Self; 19] = [
        Self::HighNotMonotone,
        Self::ReproposalCertified,
        Self::ReproposalFinal,
        Self::TipForgotten,
        Self::TimeoutForgotten,
        Self::VoteForgotten,
        Self::CommitOverGap,
        Self::CommitVoteAfterTimeout,
        Self::VoteAfterTimeout,
        Self::VoteTwice,
        Self::RankWithoutParent,
        Self::ReproposalRaisesRank,
        Self::TipNotReported,
        Self::TimeoutRefreshed,
        Self::NoReproposal,
        Self::EntryUnchecked,
        Self::QuorumOfHalf,
        Self::SendBeforePersist,
        Self::CommitBeyondClosing,
    ];
}

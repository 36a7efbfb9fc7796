//! What happened, in words.

use chorale_types::{
    BlockId, BlockReference, CommitProof, Entry, High, Message, Proposal, QuorumCertificate, Rank, RankKind,
};

/// The lines of a run, if anybody wants to read them.
#[derive(Debug, Default)]
pub(crate) struct Story {
    lines: Option<Vec<String>>,
}

impl Story {
    /// A story that is told, or not.
    #[must_use]
    pub(crate) fn new(told: bool) -> Self {
        Self { lines: told.then(Vec::new) }
    }

    /// Adds a line; the words are only made if the story is told.
    pub(crate) fn tell(&mut self, at_us: u64, words: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.lines {
            lines.push(format!("{:>6}.{:03} ms  {}", at_us / 1000, at_us % 1000, words()));
        }
    }

    /// The lines.
    #[must_use]
    pub(crate) fn into_lines(self) -> Vec<String> {
        self.lines.unwrap_or_default()
    }
}

/// A message in words.
#[must_use]
pub fn words(message: &Message) -> String {
    match message {
        Message::Proposal(Proposal::Fresh(tip)) => {
            let header = &tip.header;
            let entry = if tip.entry.is_some() { ", after timeouts" } else { "" };
            let (view, height, parent) = (header.view, header.height, certificate(&header.parent));
            format!("proposal of view {view}: {} at height {height} on {parent}{entry}", block(header.id()))
        }
        Message::Proposal(proposal @ Proposal::Again(again)) => {
            let what = high(&again.timeout.high);
            format!("proposal of view {}: again {what}", proposal.view())
        }
        Message::Vote(vote) => format!("vote in view {} for {}", vote.view, reference(&vote.block)),
        Message::CommitVote(vote) => format!("commit vote for view {}: {}", vote.view, reference(&vote.block)),
        Message::Timeout(timeout) => format!("timeout of view {} with {}", timeout.view, high(&timeout.high)),
        Message::Entry(Entry::Certified(quorum)) => certificate(quorum),
        Message::Entry(Entry::TimedOut(timeout)) => {
            let ranks: Vec<String> = timeout.quorum.groups.iter().map(|group| rank(group.rank)).collect();
            format!("TC({}) of ranks {} with {}", timeout.view(), ranks.join(" "), high(&timeout.high))
        }
        Message::Commit(CommitProof::Pair(pair)) => {
            format!(
                "commit of {} by {} and {}",
                reference(&pair.block.block),
                certificate(&pair.block),
                certificate(&pair.child)
            )
        }
        Message::Commit(CommitProof::Direct(direct)) => {
            format!("commit of {} by commit votes of view {}", reference(&direct.block), direct.view)
        }
        Message::Nudge(nudge) => format!("nudge in view {}", nudge.view),
    }
}

/// A block's short name.
#[must_use]
pub(crate) fn block(id: BlockId) -> String {
    format!("{id}").chars().skip(2).take(6).collect()
}

/// A block in words.
#[must_use]
pub(crate) fn reference(reference: &BlockReference) -> String {
    format!(
        "{} (height {}, made in view {} on {})",
        block(reference.id),
        reference.height,
        reference.view,
        reference.parent
    )
}

/// A certificate in words.
#[must_use]
pub(crate) fn certificate(quorum: &QuorumCertificate) -> String {
    format!("QC({}) for {}", quorum.view, block(quorum.block.id))
}

fn high(high: &High) -> String {
    match high {
        High::Certified(quorum) => certificate(quorum),
        High::Voted(tip) => format!("voted {} of rank {}", block(tip.header.id()), rank(tip.rank())),
    }
}

fn rank(rank: Rank) -> String {
    let kind = if rank.kind == RankKind::Certified { "certified" } else { "voted" };
    format!("({}, {kind}, {})", rank.view, rank.parent)
}

use super::{Adversary, Hand};
use chorale_hotstuff::To;
use chorale_types::{CommitVote, Message, Signature, ValidatorIndex, Vote};

/// A validator that votes for every proposal it sees, whenever it sees it, and at once to commit.
#[derive(Debug)]
pub(super) struct DoubleVoter;

impl Adversary for DoubleVoter {
    fn receive(&mut self, hand: &mut Hand<'_>, _from: ValidatorIndex, message: &Message) -> bool {
        if let Message::Proposal(proposal) = message
            && let Some(tip) = proposal.tip()
        {
            let (epoch, view, block) = (proposal.epoch(), proposal.view(), tip.header.reference());
            let author = hand.index();
            let mut vote = Vote { epoch, view, block, author, signature: Signature::NONE };
            vote.signature = hand.sign(hand.node, &vote.statement());
            hand.send(To::All, Message::Vote(vote));
            let mut commit = CommitVote { epoch, view, block, author, signature: Signature::NONE };
            commit.signature = hand.sign(hand.node, &commit.statement());
            hand.send(To::All, Message::CommitVote(commit));
        }
        true
    }
}

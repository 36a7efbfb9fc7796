use super::{Adversary, Hand};
use chorale_hotstuff::To;
use chorale_types::{
    BlockId, BlockReference, CommitCertificate, CommitProof, CommitVote, Entry, Height, High, Message, Proposal,
    QuorumCertificate, Signature, Signers, Timeout, Tip, Vote, tagged_hash,
};

/// A validator that sends well-formed messages of the current views whose signatures do not hold.
#[derive(Debug)]
pub(super) struct Flooder;

impl Adversary for Flooder {
    fn wake(&mut self, hand: &mut Hand<'_>) {
        let (epoch, author) = (hand.info.epoch, hand.index());
        let mut signature = Signature::NONE;
        signature.0[0] = 0x80;
        signature.0[8..16].copy_from_slice(&hand.random.number().to_be_bytes());
        let view = chorale_types::View(hand.view.0 + hand.random.below(4));
        let id = BlockId(tagged_hash("chorale/sim/flood/v1", &[&hand.random.number().to_be_bytes()]));
        let block =
            BlockReference { view, parent: chorale_types::View(view.0.saturating_sub(1)), height: Height(view.0), id };
        let signers = Signers::of(hand.info.validators.len(), hand.info.validators.indices());
        let quorum = QuorumCertificate { epoch, view, block, signers: signers.clone(), signature };
        let tip = hand.coalition.any_tip(hand.random);
        let message = match hand.random.below(7) {
            0 => Message::Vote(Vote { epoch, view, block, author, signature }),
            1 => Message::CommitVote(CommitVote { epoch, view, block, author, signature }),
            2 => Message::Entry(Entry::Certified(quorum)),
            3 => Message::Commit(CommitProof::Direct(CommitCertificate { epoch, view, block, signers, signature })),
            4 => {
                let high = High::Certified(hand.info.start_certificate());
                Message::Timeout(Timeout {
                    epoch,
                    view,
                    high,
                    author,
                    signature,
                    entry: Some(Entry::Certified(quorum)),
                })
            }
            _ => match tip {
                Some(tip) => Message::Proposal(Proposal::Fresh(Tip { signature, ..tip })),
                None => Message::Vote(Vote { epoch, view, block, author, signature }),
            },
        };
        hand.send(To::All, message);
    }
}

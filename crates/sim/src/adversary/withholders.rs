use super::{Adversary, Hand};
use chorale_hotstuff::To;
use chorale_types::{Entry, Message, ValidatorIndex};

/// A leader that never proposes.
#[derive(Debug)]
pub(super) struct SilentLeader;

impl Adversary for SilentLeader {
    fn send(&mut self, hand: &mut Hand<'_>, to: To, message: Message) {
        if !matches!(message, Message::Proposal(_)) {
            hand.send(to, message);
        }
    }
}

/// A leader that collects the votes and shows the certificate to nobody, or to one.
#[derive(Debug)]
pub(super) struct CertificateWithholder;

impl Adversary for CertificateWithholder {
    fn send(&mut self, hand: &mut Hand<'_>, to: To, message: Message) {
        if !matches!(message, Message::Entry(Entry::Certified(_))) {
            hand.send(to, message);
        } else if hand.random.chance(300) {
            let indices: Vec<ValidatorIndex> =
                hand.info.validators.indices().filter(|index| *index != hand.index()).collect();
            if let Some(index) = hand.random.pick(&indices).copied() {
                hand.send(To::One(index), message);
            }
        }
    }
}

/// A validator that does not vote, or only to one of those who should hear it.
#[derive(Debug)]
pub(super) struct VoteWithholder;

impl Adversary for VoteWithholder {
    fn send(&mut self, hand: &mut Hand<'_>, to: To, message: Message) {
        let is_vote = matches!(message, Message::Vote(_) | Message::CommitVote(_));
        match to {
            _ if !is_vote => hand.send(to, message),
            To::All => hand.send_to_some(&message),
            To::One(_) if hand.random.chance(400) => hand.send(to, message),
            To::One(_) => {}
        }
    }
}

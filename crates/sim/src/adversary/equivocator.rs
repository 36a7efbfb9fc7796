use super::{Adversary, Hand};
use chorale_hotstuff::To;
use chorale_types::{Message, Proposal, Statement, Tip};

/// A leader that signs two headers in a view and shows each to some of the others.
#[derive(Debug)]
pub(super) struct Equivocator;

impl Adversary for Equivocator {
    fn send(&mut self, hand: &mut Hand<'_>, to: To, message: Message) {
        let Message::Proposal(Proposal::Fresh(tip)) = &message else {
            hand.send(to, message);
            return;
        };
        let mut header = tip.header.unshared();
        header.timestamp.0 += 1;
        let statement = Statement::Tip { view: header.view, id: header.id() };
        let signature = hand.sign(hand.node, &statement);
        let other =
            Message::Proposal(Proposal::Fresh(Tip { header: header.into(), entry: tip.entry.clone(), signature }));
        let seen_by_both = hand.random.chance(200);
        let me = hand.index();
        for index in hand.info.validators.indices().filter(|index| *index != me) {
            let first = hand.random.chance(500);
            if first || seen_by_both {
                hand.send(To::One(index), message.clone());
            }
            if !first || seen_by_both {
                hand.send(To::One(index), other.clone());
            }
        }
    }
}

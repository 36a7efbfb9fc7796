use super::{Adversary, Hand};
use chorale_hotstuff::To;
use chorale_types::{Entry, High, Message, Timeout};

/// A validator that reports less than it knows when it times out.
#[derive(Debug)]
pub(super) struct Hider {
    /// Whether it reports the oldest certificate it can instead of the parent of the header it voted for.
    pub(super) stale: bool,
}

impl Adversary for Hider {
    fn send(&mut self, hand: &mut Hand<'_>, to: To, message: Message) {
        let Message::Timeout(timeout) = &message else {
            hand.send(to, message);
            return;
        };
        let known = match &timeout.high {
            High::Voted(tip) => &tip.header.parent,
            High::Certified(certificate) => certificate,
        };
        let reported = if self.stale { hand.info.start_certificate() } else { known.clone() };
        let entry = match &timeout.high {
            // The certificate said how the view was entered; now it has to be said apart.
            High::Certified(certificate) if timeout.entry.is_none() && !reported.same(certificate) => {
                Some(Entry::Certified(certificate.clone()))
            }
            _ => timeout.entry.clone(),
        };
        let mut hiding = Timeout { high: High::Certified(reported), entry, ..timeout.clone() };
        hiding.signature = hand.sign(hand.node, &hiding.statement());
        hand.send(to, Message::Timeout(hiding));
    }
}
